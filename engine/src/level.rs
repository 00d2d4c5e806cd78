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

    /// A number. 0 to 7 is RFC 5424 (0 is the worst), 8 to 24 OpenTelemetry's SeverityNumber. OpenTelemetry's 1 to 7 (TRACE, DEBUG)
    /// cannot be told from syslog's 1 to 7 and are read as syslog, which errs towards being heard.
    pub fn from_number(n: i64) -> Option<Level> {
        Some(match n {
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
}

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
    fn numbers_are_read_as_syslog_then_as_opentelemetry() {
        for (n, want) in [
            (0, Some(Level::Fatal)),
            (3, Some(Level::Error)),
            (4, Some(Level::Warn)),
            (7, Some(Level::Debug)),
            (9, Some(Level::Info)),
            (17, Some(Level::Error)),
            (24, Some(Level::Fatal)),
            (25, None),
            (-1, None),
        ] {
            assert_eq!(Level::from_number(n), want, "{n}");
        }
    }
}
