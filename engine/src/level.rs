//! Severity: six levels of our own, and the mapping of what others call theirs.

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[repr(u8)]
pub enum Level {
    Trace = 1,
    Debug = 2,
    Info = 3,
    Warn = 4,
    Error = 5,
    Fatal = 6,
}

impl Level {
    pub const ALL: [Level; 6] = [
        Level::Trace,
        Level::Debug,
        Level::Info,
        Level::Warn,
        Level::Error,
        Level::Fatal,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Level::Trace => "TRACE",
            Level::Debug => "DEBUG",
            Level::Info => "INFO",
            Level::Warn => "WARN",
            Level::Error => "ERROR",
            Level::Fatal => "FATAL",
        }
    }

    pub fn from_u8(n: u8) -> Option<Level> {
        Self::ALL.into_iter().find(|l| *l as u8 == n)
    }

    /// A name in any case: ours, and those of syslog, OpenTelemetry (`ERROR2`), Java, Python, bunyan, VDA 5050 (`URGENT`, `CRITICAL`).
    pub fn parse(name: &str) -> Option<Level> {
        let mut buf = [0u8; 16];
        let name = name.trim();
        let dst = buf.get_mut(..name.len())?;
        dst.copy_from_slice(name.as_bytes());
        dst.make_ascii_uppercase();
        // OpenTelemetry's short names carry a step within the range: ERROR, ERROR2, ERROR3, ERROR4.
        let base = match dst {
            [head @ .., b'2'..=b'4'] => &*head,
            whole => &*whole,
        };
        Some(match base {
            b"TRACE" | b"FINEST" | b"FINER" | b"VERBOSE" | b"SILLY" => Level::Trace,
            b"DEBUG" | b"FINE" | b"CONFIG" | b"DBG" => Level::Debug,
            b"INFO" | b"INFORMATION" | b"INFORMATIONAL" | b"NOTICE" | b"LOG" | b"INF" => Level::Info,
            b"WARN" | b"WARNING" | b"WRN" => Level::Warn,
            b"ERROR" | b"ERR" | b"SEVERE" | b"URGENT" | b"EROR" => Level::Error,
            b"FATAL" | b"CRITICAL" | b"CRIT" | b"ALERT" | b"EMERG" | b"EMERGENCY" | b"PANIC" => Level::Fatal,
            _ => return None,
        })
    }

    /// A level as loggers and PLCs spell it, in English or German: what [`Level::parse`] knows, and letters (`E`), other words (`Fault`,
    /// `Störung`), each with punctuation around it (`ERROR:`, `[W]`, `Err!`) or an offset behind it (`INFO+2`).
    pub fn from_word(text: &str) -> Option<Level> {
        let text = text.trim_matches(|c: char| !c.is_alphanumeric());
        if text.len() > WORD_BYTES_MAX {
            return None;
        }
        let mut word = String::with_capacity(WORD_BYTES_MAX);
        for c in text.chars().flat_map(char::to_uppercase) {
            match c {
                'Ä' => word.push_str("AE"),
                'Ö' => word.push_str("OE"),
                'Ü' => word.push_str("UE"),
                // An umlaut as a letter and its two dots.
                '\u{308}' => word.push('E'),
                '_' | '-' => word.push(' '),
                c => word.push(c),
            }
        }
        if let Some((base, offset)) = word.rsplit_once(['+', ' '])
            && !offset.is_empty()
            && offset.bytes().all(|b| b.is_ascii_digit())
        {
            word.truncate(base.len());
        }
        let known = |(words, level): &(&[&str], Level)| words.contains(&word.as_str()).then_some(*level);
        Level::parse(&word).or_else(|| WORDS.iter().find_map(known))
    }

    /// A number. 0 to 7 is RFC 5424 (0 is the worst), 8 to 24 OpenTelemetry's SeverityNumber, 30 to 60 pino's and bunyan's.
    /// OpenTelemetry's 1 to 7 (TRACE, DEBUG) cannot be told from syslog's 1 to 7 and are read as syslog, which errs towards being heard.
    pub fn from_number(n: i64) -> Option<Level> {
        Some(match n {
            30.. => return Level::from_pino(n),
            0..=2 => Level::Fatal,
            3 => Level::Error,
            4 => Level::Warn,
            5 | 6 => Level::Info,
            7 | 8 => Level::Debug,
            9..=12 => Level::Info,
            13..=16 => Level::Warn,
            17..=20 => Level::Error,
            21..=24 => Level::Fatal,
            _ => return None,
        })
    }

    /// pino's and bunyan's scale: 10 is TRACE, 60 FATAL. Levels of one's own between two are the lower one.
    pub fn from_pino(n: i64) -> Option<Level> {
        Some(match n {
            10..=19 => Level::Trace,
            20..=29 => Level::Debug,
            30..=39 => Level::Info,
            40..=49 => Level::Warn,
            50..=59 => Level::Error,
            60 => Level::Fatal,
            _ => return None,
        })
    }

    /// The scale of Python's `levelno`: 10 is DEBUG, 50 CRITICAL. Levels of one's own between two are the lower one.
    pub fn from_python(n: i64) -> Option<Level> {
        Some(match n {
            0..=9 => Level::Trace,
            10..=19 => Level::Debug,
            20..=29 => Level::Info,
            30..=39 => Level::Warn,
            40..=49 => Level::Error,
            50..=59 => Level::Fatal,
            _ => return None,
        })
    }

    /// The level of a Windows event: 1 is critical, 5 verbose; 0 is "log always".
    pub fn from_windows(n: i64) -> Option<Level> {
        Some(match n {
            1 => Level::Fatal,
            2 => Level::Error,
            3 => Level::Warn,
            0 | 4 => Level::Info,
            5 => Level::Debug,
            _ => return None,
        })
    }

    /// OpenTelemetry's SeverityNumber, 1 to 24, where it is known to be one.
    pub fn from_opentelemetry(n: i64) -> Option<Level> {
        Some(match n {
            1..=4 => Level::Trace,
            5..=8 => Level::Debug,
            9..=24 => return Level::from_number(n),
            _ => return None,
        })
    }
}

/// The longest text that can be a word: what is longer is a sentence.
const WORD_BYTES_MAX: usize = 40;

/// Words besides those of [`Level::parse`], in capitals, umlauts as two letters, `-` and `_` as a space.
const WORDS: [(&[&str], Level); 6] = [
    (
        &["T", "V", "TRCE", "VRB", "VERB", "AUSFUEHRLICH", "NOTSET"],
        Level::Trace,
    ),
    (
        &["D", "DBUG", "DEBUG1", "DEBUG5", "DIAGNOSE", "DIAGNOSIS", "DIAGNOSTIC"],
        Level::Debug,
    ),
    (
        &[
            "I",
            "N",
            "NOTE",
            "SUCCESS",
            "OK",
            "AUDIT",
            "AUDIT SUCCESS",
            "SUCCESS AUDIT",
            "INFOS",
            "EVENT",
            "STATUS",
            "STATE",
            "MESSAGE",
            "DEFAULT",
            "SYSTEM",
            "CLEARED",
            "MELDUNG",
            "BETRIEBSMELDUNG",
            "STATUSMELDUNG",
            "ZUSTANDSMELDUNG",
            "HINWEIS",
            "NOTIZ",
            "EREIGNIS",
            "ERFOLG",
            "ERFOLGSUEBERWACHUNG",
            "INFORMATIONEN",
            "LOG ALWAYS",
            "LOGALWAYS",
        ],
        Level::Info,
    ),
    (
        &[
            "W",
            "WARNINGS",
            "MINOR",
            "CAUTION",
            "ATTENTION",
            "AUDIT FAILURE",
            "FAILURE AUDIT",
            "FEHLERUEBERWACHUNG",
            "WARNUNG",
            "WARNUNGEN",
            "WARNMELDUNG",
            "VORWARNUNG",
            "VORALARM",
            "ACHTUNG",
            "MAINTENANCE REQUIRED",
            "WARTUNGSBEDARF",
            "OUT OF SPECIFICATION",
            "INDETERMINATE",
        ],
        Level::Warn,
    ),
    (
        &[
            "E",
            "ERRORS",
            "FAIL",
            "FAILED",
            "FAILURE",
            "FAULT",
            "FAULTS",
            "MINOR FAULT",
            "ALARM",
            "ALARMS",
            "MAJOR",
            "EXCEPTION",
            "FEHLER",
            "FEHLERMELDUNG",
            "STOERUNG",
            "STOERUNGEN",
            "STOERMELDUNG",
            "ALARMMELDUNG",
            "ALARME",
            "AUSFALL",
            "DEFEKT",
            "ABBRUCH",
            "SCHWERWIEGEND",
            "AUSNAHME",
        ],
        Level::Error,
    ),
    (
        &[
            "F",
            "C",
            "FTL",
            "DPANIC",
            "WTF",
            "ASSERT",
            "MAJOR FAULT",
            "FATAL ERROR",
            "CRITICAL ERROR",
            "SYSTEM FAULT",
            "ESTOP",
            "E STOP",
            "EMERGENCY STOP",
            "NOTFALL",
            "NOTHALT",
            "NOT HALT",
            "NOTAUS",
            "NOT AUS",
            "KRITISCH",
            "KATASTROPHAL",
        ],
        Level::Fatal,
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_other_systems_are_mapped() {
        for (name, want) in [
            ("error", Some(Level::Error)),
            (" Err ", Some(Level::Error)),
            ("WARNING", Some(Level::Warn)),
            ("Error3", Some(Level::Error)),
            ("emerg", Some(Level::Fatal)),
            ("CRITICAL", Some(Level::Fatal)),
            ("Information", Some(Level::Info)),
            ("loud", None),
            ("", None),
            ("a name that is far too long to be one", None),
        ] {
            assert_eq!(Level::parse(name), want, "{name:?}");
        }
    }

    #[test]
    fn letters_and_words_of_loggers_and_plcs_are_understood() {
        let trace = ["T", "v", "trce", "VRB"];
        let debug = ["D", "dbug", "DEBUG-4", "DEBUG5", "Diagnose"];
        let info = [
            "I",
            "[I]",
            "INFO+2",
            "SUCCESS",
            "ok",
            "Meldung",
            "Betriebsmeldung",
            "Hinweis",
            "AUDIT_SUCCESS",
            "Note",
        ];
        let warn = [
            "W",
            "<W>",
            "Warnung",
            "WARN:",
            "Vorwarnung",
            "Warnmeldung",
            "Failure Audit",
            "MAINTENANCE_REQUIRED",
        ];
        let error = [
            "E",
            "e",
            "ERROR:",
            "Err!",
            "**ERROR**",
            "Fault",
            "Alarm",
            "Failure",
            "fail",
            "Fehler",
            "STÖRUNG",
            "Störung",
            "sto\u{308}rung",
            "STOERUNG",
            "Stoermeldung",
            "Fehler 12",
            "Error+1",
        ];
        let fatal = [
            "F",
            "C",
            "FTL",
            "Kritisch",
            "NOT-AUS",
            "E-Stop",
            "Major Fault",
            "fatal error",
        ];
        let all: [(&[&str], Level); 6] = [
            (&trace, Level::Trace),
            (&debug, Level::Debug),
            (&info, Level::Info),
            (&warn, Level::Warn),
            (&error, Level::Error),
            (&fatal, Level::Fatal),
        ];
        for (words, level) in all {
            for word in words {
                assert_eq!(Level::from_word(word), Some(level), "{word:?}");
            }
        }
        for word in [
            "",
            "!",
            "loud",
            "X",
            "no error",
            "\u{1f600}",
            "error error",
            "a sentence that is far too long to be any level of anybody",
        ] {
            assert_eq!(Level::from_word(word), None, "{word:?}");
        }
    }

    #[test]
    fn each_scale_has_its_numbers() {
        use Level::{Debug, Error, Fatal, Info, Trace, Warn};
        for (n, pino, python, windows, opentelemetry) in [
            (1, None, Some(Trace), Some(Fatal), Some(Trace)),
            (2, None, Some(Trace), Some(Error), Some(Trace)),
            (5, None, Some(Trace), Some(Debug), Some(Debug)),
            (10, Some(Trace), Some(Debug), None, Some(Info)),
            (20, Some(Debug), Some(Info), None, Some(Error)),
            (25, Some(Debug), Some(Info), None, None),
            (30, Some(Info), Some(Warn), None, None),
            (40, Some(Warn), Some(Error), None, None),
            (50, Some(Error), Some(Fatal), None, None),
            (60, Some(Fatal), None, None, None),
            (61, None, None, None, None),
            (i64::MAX, None, None, None, None),
            (i64::MIN, None, None, None, None),
        ] {
            let got = (
                Level::from_pino(n),
                Level::from_python(n),
                Level::from_windows(n),
                Level::from_opentelemetry(n),
            );
            assert_eq!(got, (pino, python, windows, opentelemetry), "{n}");
        }
    }

    #[test]
    fn numbers_are_read_as_syslog_then_as_opentelemetry_then_as_pino() {
        for (n, want) in [
            (0, Some(Level::Fatal)),
            (3, Some(Level::Error)),
            (4, Some(Level::Warn)),
            (7, Some(Level::Debug)),
            (9, Some(Level::Info)),
            (17, Some(Level::Error)),
            (24, Some(Level::Fatal)),
            (25, None),
            (29, None),
            (30, Some(Level::Info)),
            (40, Some(Level::Warn)),
            (50, Some(Level::Error)),
            (60, Some(Level::Fatal)),
            (100, None),
            (-1, None),
        ] {
            assert_eq!(Level::from_number(n), want, "{n}");
        }
    }
}
