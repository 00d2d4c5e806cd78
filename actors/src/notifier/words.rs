//! What people read, in their language. English and German; anything else reads English.

use andon_engine::effect::AlertReason;
use andon_engine::rule::Priority;
use andon_engine::subject::SubjectKind;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Language {
    English,
    German,
}

/// The catalogue: one table, a column for each language, so that no word is written for one of them only.
macro_rules! words {
    ($($name:ident: $en:literal, $de:literal;)*) => {
        impl Language {$(
            pub(super) fn $name(self) -> &'static str {
                match self { Language::English => $en, Language::German => $de }
            }
        )*}
    };
}

words! {
    tag: "en", "de";
    critical: "critical", "kritisch";
    high: "high", "hoch";
    medium: "medium", "mittel";
    low: "low", "niedrig";
    device: "Device", "Gerät";
    application: "Application", "Anwendung";
    user: "User", "Benutzer";
    area: "Area", "Bereich";
    line: "Line", "Linie";
    source: "Source", "Quelle";
    when: "When", "Wann";
    since: "Since", "Seit";
    state: "State", "Zustand";
    error_type: "Error type", "Fehlertyp";
    count: "Count", "Anzahl";
    peak: "Worst value", "Schlimmster Wert";
    why: "Why now", "Anlass";
    active: "active, not acknowledged", "aktiv, nicht quittiert";
    active_acknowledged: "active, acknowledged by", "aktiv, quittiert von";
    returned: "returned to normal", "wieder normal";
    closed: "closed", "geschlossen";
    opened: "new incident", "neue Störung";
    reopened: "the fault has come back", "die Störung ist wieder da";
    new_fault: "a new fault in a known incident", "ein neuer Fehler in einer bekannten Störung";
    raised: "level or priority rose", "Stufe oder Priorität ist gestiegen";
    repeat: "it goes on", "sie dauert an";
    unshelved: "its shelving is over and it still holds", "nicht mehr zurückgestellt, und sie dauert an";
    muted_until: "was muted until", "war stummgeschaltet bis";
    delayed: "Andon sends this late: the record came in", "Andon meldet verspätet: der Eintrag kam vor";
    delayed_ago: "ago", "an";
    historical: "found in records that arrived late", "in verspätet eingetroffenen Einträgen gefunden";
    history: "history", "Vergangenes";
    open_incident: "Open the incident", "Störung öffnen";
    open_log: "Show the log", "Protokoll zeigen";
    runbook: "Runbook", "Anleitung";
    last_lines: "Last lines", "Letzte Zeilen";
    since_last: "since the last message", "seit der letzten Nachricht";
    and: "and", "und";
    more: "more", "weitere";
    not_shown: "not shown here: see the dashboard", "hier nicht gezeigt: siehe Übersicht";
    digest_intro: "What was held for you:", "Was für Sie zurückgehalten wurde:";
    summary_intro: "Found in history; nothing here is known to be going on now:", "In der Vergangenheit gefunden; nichts davon dauert bekanntermaßen an:";
    link_note: "The link is yours alone, shows this incident only, and works for 12 hours.", "Der Link gilt nur für Sie, zeigt nur diese Störung und gilt 12 Stunden.";
    sent_by: "Sent by Andon by the route", "Gesendet von Andon über den Weg";
}

impl Language {
    /// By the primary subtag of a BCP 47 tag.
    pub(super) fn of(tag: &str) -> Self {
        match tag.split(['-', '_']).next() {
            Some(t) if t.eq_ignore_ascii_case("de") => Language::German,
            _ => Language::English,
        }
    }

    pub(super) fn priority(self, p: Priority) -> String {
        let word = match p {
            Priority::P1 => self.critical(),
            Priority::P2 => self.high(),
            Priority::P3 => self.medium(),
            Priority::P4 => self.low(),
        };
        format!("{} {word}", p.as_str())
    }

    pub(super) fn kind(self, k: SubjectKind) -> &'static str {
        match k {
            SubjectKind::Device => self.device(),
            SubjectKind::Application => self.application(),
            SubjectKind::User => self.user(),
            SubjectKind::Area => self.area(),
        }
    }

    pub(super) fn reason(self, r: AlertReason) -> &'static str {
        match r {
            AlertReason::Opened => self.opened(),
            AlertReason::Reopened => self.reopened(),
            AlertReason::NewFault => self.new_fault(),
            AlertReason::Raised => self.raised(),
            AlertReason::Repeat => self.repeat(),
        }
    }

    /// Grouped by thousands.
    pub(super) fn number(self, n: u64) -> String {
        let digits = n.to_string();
        let mut out = String::with_capacity(digits.len() + 4);
        for (i, c) in digits.chars().enumerate() {
            if i > 0 && (digits.len() - i).is_multiple_of(3) {
                out.push(match self {
                    Language::English => ',',
                    Language::German => '.',
                });
            }
            out.push(c);
        }
        out
    }

    /// `505 errors`.
    pub(super) fn records(self, n: u64, errors: bool) -> String {
        format!("{} {}", self.number(n), self.noun(n, errors))
    }

    /// `since it came back the 2nd time`, where the count that stands before it is of that occurrence.
    pub(super) fn since_back(self, times: u32) -> String {
        let n = self.number(u64::from(times));
        match self {
            Language::English if times == 1 => "since it came back".to_owned(),
            Language::English => format!("since it came back for time {n}"),
            Language::German if times == 1 => "seit der Wiederkehr".to_owned(),
            Language::German => format!("seit der {n}. Wiederkehr"),
        }
    }

    /// `500 further errors`.
    pub(super) fn further(self, n: u64, errors: bool) -> String {
        let further = match (self, n) {
            (Language::English, _) => "further",
            (Language::German, 1) if errors => "weiterer",
            (Language::German, _) => "weitere",
        };
        format!("{} {further} {}", self.number(n), self.noun(n, errors))
    }

    fn noun(self, n: u64, errors: bool) -> &'static str {
        match (self, errors, n) {
            (Language::English, true, 1) => "error",
            (Language::English, true, _) => "errors",
            (Language::English, false, 1) => "record",
            (Language::English, false, _) => "records",
            (Language::German, true, _) => "Fehler",
            (Language::German, false, 1) => "Meldung",
            (Language::German, false, _) => "Meldungen",
        }
    }

    pub(super) fn incidents(self, n: usize) -> String {
        let word = match (self, n) {
            (Language::English, 1) => "incident",
            (Language::English, _) => "incidents",
            (Language::German, 1) => "Störung",
            (Language::German, _) => "Störungen",
        };
        format!("{} {word}", self.number(n as u64))
    }

    /// `3 alerts held`.
    pub(super) fn held(self, n: u64) -> String {
        let number = self.number(n);
        match (self, n) {
            (Language::English, 1) => format!("{number} alert held"),
            (Language::English, _) => format!("{number} alerts held"),
            (Language::German, 1) => format!("{number} Alarm zurückgehalten"),
            (Language::German, _) => format!("{number} Alarme zurückgehalten"),
        }
    }

    /// `12 min`, `3 h 05 min`, `2 d 4 h`: a length of time as a person says it, in whole minutes.
    pub(super) fn length(self, minutes: i64) -> String {
        match minutes {
            ..60 => format!("{minutes} min"),
            60..1_440 => format!("{} h {:02} min", minutes / 60, minutes % 60),
            _ => {
                let day = match self {
                    Language::English => "d",
                    Language::German => "T",
                };
                format!("{} {day} {} h", minutes / 1_440, minutes % 1_440 / 60)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_told_by_their_primary_subtag() {
        for (tag, want) in [
            ("de", Language::German),
            ("DE-AT", Language::German),
            ("de_CH", Language::German),
            ("den", Language::English),
            ("fr", Language::English),
            ("", Language::English),
        ] {
            assert_eq!(Language::of(tag), want, "{tag}");
        }
    }

    #[test]
    fn numbers_read_as_in_the_language() {
        use Language::{English, German};
        assert_eq!(English.further(500, true), "500 further errors");
        assert_eq!(German.further(1, true), "1 weiterer Fehler");
        assert_eq!(German.further(1_234_567, false), "1.234.567 weitere Meldungen");
        assert_eq!(English.records(1_000, false), "1,000 records");
        assert_eq!(English.since_back(1), "since it came back");
        assert_eq!(German.since_back(3), "seit der 3. Wiederkehr");
        assert_eq!(English.records(1, true), "1 error");
        assert_eq!(English.length(59), "59 min");
        assert_eq!(English.length(185), "3 h 05 min");
        assert_eq!(German.length(3_120), "2 T 4 h");
    }
}
