//! Time stamps as files have them: with or without an offset, in the zone that the operator names.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};

pub(super) fn zone(name: &str) -> Result<TimeZone, String> {
    TimeZone::get(name).map_err(|_| format!("{name:?} is no IANA time zone: write it like Europe/Berlin or UTC"))
}

/// What a stamp means.
#[derive(Debug, PartialEq)]
pub(super) enum Stamp {
    /// A number: the server tells seconds, milliseconds, microseconds and nanoseconds apart.
    Epoch(f64),
    At {
        at: Timestamp,
        ambiguous: bool,
        skipped: bool,
    },
}

#[derive(Debug, PartialEq)]
pub(super) enum Unreadable {
    /// No offset, and no zone to read it in: a mistake of the command line, not of this record.
    NoZone,
    Because(String),
}

/// Reads the stamps of one input, one after another.
#[derive(Debug)]
pub(super) struct Stamps {
    format: Option<String>,
    zone: Option<TimeZone>,
    /// The instant of the stamp before: tells the two passes of a repeated hour apart.
    last: Option<Timestamp>,
}

impl Stamps {
    pub(super) fn new(format: Option<String>, zone: Option<TimeZone>) -> Self {
        Self {
            format,
            zone,
            last: None,
        }
    }

    /// Was anything said about stamps that the server could not know?
    pub(super) fn reads_local(&self) -> bool {
        self.zone.is_some() || self.format.is_some()
    }

    pub(super) fn read(&mut self, text: &str) -> Result<Stamp, Unreadable> {
        let text = text.trim();
        let because = |why: String| Unreadable::Because(why);
        let (at, local) = match &self.format {
            Some(format) => {
                let parsed = jiff::fmt::strtime::parse(format, text)
                    .map_err(|e| because(format!("{:?} is not written like {format:?}: {e}", short(text))))?;
                match parsed.offset() {
                    Some(_) => (Some(parsed.to_timestamp()), None),
                    None => (None, Some(parsed.to_datetime())),
                }
            }
            None => {
                if let Ok(n) = text.parse::<f64>() {
                    return if n.is_finite() {
                        Ok(Stamp::Epoch(n))
                    } else {
                        Err(because("is not a finite number".into()))
                    };
                }
                match text.parse::<Timestamp>() {
                    Ok(t) => (Some(Ok(t)), None),
                    Err(_) => (None, Some(text.parse::<DateTime>())),
                }
            }
        };
        let unknown = || {
            because(format!(
                "{:?} is no time stamp: RFC 3339, ISO 8601 or a number, or say --time-format",
                short(text)
            ))
        };
        let stamp = match (at, local) {
            (Some(t), _) => Stamp::At {
                at: t.map_err(|_| unknown())?,
                ambiguous: false,
                skipped: false,
            },
            (_, Some(local)) => self.resolve(local.map_err(|_| unknown())?)?,
            (None, None) => return Err(unknown()),
        };
        if let Stamp::At { at, .. } = stamp {
            self.last = Some(at);
        }
        Ok(stamp)
    }

    fn resolve(&self, local: DateTime) -> Result<Stamp, Unreadable> {
        let zone = self.zone.as_ref().ok_or(Unreadable::NoZone)?;
        let ambiguous = zone.to_ambiguous_timestamp(local);
        let offset = ambiguous.offset();
        let out_of_range = |_| Unreadable::Because("lies outside of the years that can be told".into());
        match offset {
            AmbiguousOffset::Unambiguous { .. } => {
                let at = ambiguous.compatible().map_err(out_of_range)?;
                Ok(Stamp::At {
                    at,
                    ambiguous: false,
                    skipped: false,
                })
            }
            AmbiguousOffset::Gap { .. } => {
                let at = ambiguous.compatible().map_err(out_of_range)?;
                Ok(Stamp::At {
                    at,
                    ambiguous: false,
                    skipped: true,
                })
            }
            AmbiguousOffset::Fold { .. } => {
                let first = ambiguous.earlier().map_err(out_of_range)?;
                let second = ambiguous.later().map_err(out_of_range)?;
                let at = match self.last {
                    None => first,
                    // A tie goes to the second: time moves on.
                    Some(last) if distance(second, last) <= distance(first, last) => second,
                    Some(_) => first,
                };
                Ok(Stamp::At {
                    at,
                    ambiguous: true,
                    skipped: false,
                })
            }
        }
    }
}

fn distance(a: Timestamp, b: Timestamp) -> i64 {
    (a.as_microsecond() - b.as_microsecond()).abs()
}

/// The beginning of a text, for messages.
pub(super) fn short(text: &str) -> String {
    short_to(text, 40)
}

pub(super) fn short_to(text: &str, chars: usize) -> String {
    let mut out: String = text.chars().take(chars).collect();
    if text.chars().nth(chars).is_some() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn berlin() -> Stamps {
        Stamps::new(None, Some(zone("Europe/Berlin").unwrap()))
    }

    fn all(stamps: &mut Stamps, texts: &[&str]) -> Vec<(String, bool, bool)> {
        texts
            .iter()
            .map(|t| match stamps.read(t).unwrap() {
                Stamp::At { at, ambiguous, skipped } => (at.to_string(), ambiguous, skipped),
                Stamp::Epoch(n) => (n.to_string(), false, false),
            })
            .collect()
    }

    #[test]
    fn an_offset_in_the_stamp_wins_over_the_zone() {
        assert_eq!(
            all(&mut berlin(), &["2026-10-25T02:30:00+05:00"]),
            [("2026-10-24T21:30:00Z".into(), false, false)]
        );
        assert_eq!(
            all(&mut berlin(), &["2013-12-02 21:15:00"]),
            [("2013-12-02T20:15:00Z".into(), false, false)]
        );
        assert_eq!(
            all(&mut berlin(), &["1790000000.5"]),
            [("1790000000.5".into(), false, false)]
        );
    }

    #[test]
    fn the_repeated_hour_is_read_once_through_and_then_again() {
        let texts = [
            "2026-10-25 01:30:00",
            "2026-10-25 02:00:00",
            "2026-10-25 02:30:00",
            "2026-10-25 02:29:58",
            "2026-10-25 02:59:59",
            "2026-10-25 02:00:00",
            "2026-10-25 02:30:00",
            "2026-10-25 03:00:00",
        ];
        let got: Vec<String> = all(&mut berlin(), &texts).into_iter().map(|(t, ..)| t).collect();
        assert_eq!(
            got,
            [
                "2026-10-24T23:30:00Z",
                "2026-10-25T00:00:00Z",
                "2026-10-25T00:30:00Z",
                "2026-10-25T00:29:58Z",
                "2026-10-25T00:59:59Z",
                "2026-10-25T01:00:00Z",
                "2026-10-25T01:30:00Z",
                "2026-10-25T02:00:00Z",
            ]
        );
    }

    #[test]
    fn without_a_record_before_it_a_repeated_time_is_the_first_and_is_counted() {
        assert_eq!(
            all(&mut berlin(), &["2026-10-25 02:30:00"]),
            [("2026-10-25T00:30:00Z".into(), true, false)]
        );
    }

    #[test]
    fn half_hourly_data_passes_the_repeated_hour_without_a_jump() {
        let texts = [
            "2026-10-25 02:00:00",
            "2026-10-25 02:30:00",
            "2026-10-25 02:00:00",
            "2026-10-25 02:30:00",
        ];
        let got: Vec<String> = all(&mut berlin(), &texts).into_iter().map(|(t, ..)| t).collect();
        assert_eq!(
            got,
            [
                "2026-10-25T00:00:00Z",
                "2026-10-25T00:30:00Z",
                "2026-10-25T01:00:00Z",
                "2026-10-25T01:30:00Z"
            ]
        );
    }

    #[test]
    fn a_skipped_time_moves_on_by_the_gap_and_is_counted() {
        assert_eq!(
            all(&mut berlin(), &["2026-03-29 02:30:00"]),
            [("2026-03-29T01:30:00Z".into(), false, true)]
        );
    }

    #[test]
    fn a_local_time_without_a_zone_and_nonsense_are_told_apart() {
        let mut none = Stamps::new(None, None);
        assert_eq!(none.read("2013-12-02 21:15:00"), Err(Unreadable::NoZone));
        for text in ["yesterday", "", "inf", "2026-13-01 00:00:00"] {
            assert!(matches!(none.read(text), Err(Unreadable::Because(_))), "{text:?}");
        }
    }

    #[test]
    fn a_format_of_ones_own() {
        let mut s = Stamps::new(Some("%d.%m.%Y %H:%M".into()), Some(zone("Europe/Berlin").unwrap()));
        assert_eq!(
            all(&mut s, &["24.12.2026 18:05"]),
            [("2026-12-24T17:05:00Z".into(), false, false)]
        );
        assert!(matches!(s.read("2026-12-24"), Err(Unreadable::Because(_))));
    }
}
