//! Mute windows: when and for what alerts are held back.
//!
//! - A window covers what it names, all of it together: an alert of area A on device D is covered by a window that names A and D, not by
//!   one that names A and E. A list that is empty names nothing and so asks nothing. A safety rule is covered only by a
//!   window that says so.
//! - A window is in force from its start, included, to its end, excluded.
//! - A recurring window runs on the clock on the wall of its zone, from the IANA database built into the program. One that ends at or before the
//!   minute it starts runs into the next day; the day it starts on is the one that counts. A local time that a change of
//!   the clocks skips is the instant of the change. One that it repeats starts at its first and ends at its second occurrence.

use crate::ids::{RecipientId, RuleId};
use crate::rule::{MuteSchedule, MuteWindow};
use crate::time::{Span, Timestamp};
use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use std::sync::{Arc, OnceLock};

const DAY_MINUTES: u16 = 24 * 60;
/// Windows that follow one another without a gap are told as one, up to this many.
const CHAIN_MAX: usize = 14;

/// What an alert is about and whom it goes to.
#[derive(Clone, Copy, Debug)]
pub struct MuteContext<'a> {
    pub site: Option<&'a str>,
    pub area: Option<&'a str>,
    pub device: Option<&'a str>,
    pub rule: &'a RuleId,
    /// The rule is a safety rule.
    pub safety: bool,
    /// Those of the recipients that the address belongs to: a window holds it if it names one of them.
    pub recipients: &'a [RecipientId],
    /// The name of the channel; `email` for mail.
    pub channel: Option<&'a str>,
}

/// Why a window cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMute {
    #[error("the window has no reason: say why alerts are held back")]
    NoReason,
    #[error("until must be later than from: a mute ends")]
    EndsBeforeItStarts,
    #[error("day {0} is none: 1 is Monday, 7 is Sunday")]
    Day(u8),
    #[error("minute {0} of the day is none: 0 to 1439, and 1440 only as an end")]
    Minute(u16),
    #[error("{0:?} is no time zone of the IANA database, such as Europe/Berlin")]
    TimeZone(Arc<str>),
}

/// Can the window be used? For the checking of a configuration.
pub fn validate(window: &MuteWindow) -> Result<(), InvalidMute> {
    if window.reason.trim().is_empty() {
        return Err(InvalidMute::NoReason);
    }
    Schedule::compile(&window.schedule).map(drop)
}

/// Is this alert held back at `at`? Compiles the window each time; keep a [`Mute`] where many alerts are asked about. A window that
/// is not valid covers nothing.
pub fn covers(window: &MuteWindow, context: &MuteContext<'_>, at: Timestamp) -> bool {
    Mute::compile(window).is_ok_and(|mute| mute.covers(context, at))
}

/// When the window that is in force at `at` ends; `None` when it is not in force. See [`Schedule::active_until`].
pub fn active_until(window: &MuteWindow, at: Timestamp) -> Option<Timestamp> {
    Schedule::compile(&window.schedule).ok()?.active_until(at)
}

/// A window ready to be asked.
#[derive(Clone, Debug)]
pub struct Mute {
    window: MuteWindow,
    schedule: Schedule,
}

impl Mute {
    /// Fails as [`validate`] does, but for the reason, which changes nothing here.
    pub fn compile(window: &MuteWindow) -> Result<Self, InvalidMute> {
        Ok(Self {
            window: window.clone(),
            schedule: Schedule::compile(&window.schedule)?,
        })
    }

    pub fn window(&self) -> &MuteWindow {
        &self.window
    }
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    pub fn covers(&self, context: &MuteContext<'_>, at: Timestamp) -> bool {
        self.concerns(context) && self.schedule.is_active(at)
    }

    /// Whether it names the alert, at whatever time.
    pub fn concerns(&self, context: &MuteContext<'_>) -> bool {
        let scope = &self.window.scope;
        (self.window.includes_safety || !context.safety)
            && names(&scope.sites, context.site)
            && names(&scope.areas, context.area)
            && names(&scope.devices, context.device)
            && names(&scope.channels, context.channel)
            && (scope.rules.is_empty() || scope.rules.contains(context.rule))
            && (scope.recipients.is_empty() || context.recipients.iter().any(|r| scope.recipients.contains(r)))
    }
}

fn names(list: &[Arc<str>], value: Option<&str>) -> bool {
    list.is_empty() || value.is_some_and(|v| list.iter().any(|n| **n == *v))
}

/// The times of a window, with its zone looked up.
#[derive(Clone, Debug)]
pub struct Schedule(Times);

#[derive(Clone, Debug)]
enum Times {
    Once {
        from: Timestamp,
        until: Timestamp,
    },
    Recurring {
        days: Days,
        start: u16,
        end: u16,
        zone: TimeZone,
    },
}

/// A bit for each day of the week, Monday first.
#[derive(Clone, Copy, Debug)]
struct Days(u8);

impl Days {
    fn contains(self, day: Date) -> bool {
        self.0 & 1 << day.weekday().to_monday_zero_offset() != 0
    }
}

impl Schedule {
    pub fn compile(schedule: &MuteSchedule) -> Result<Self, InvalidMute> {
        match schedule {
            MuteSchedule::Once { from, until } if from >= until => Err(InvalidMute::EndsBeforeItStarts),
            MuteSchedule::Once { from, until } => Ok(Self(Times::Once {
                from: *from,
                until: *until,
            })),
            MuteSchedule::Recurring {
                days,
                start_minute,
                end_minute,
                time_zone,
            } => {
                let mut bits = if days.is_empty() { 0x7f } else { 0 };
                for day in days {
                    if !(1..=7).contains(day) {
                        return Err(InvalidMute::Day(*day));
                    }
                    bits |= 1 << (day - 1);
                }
                if *start_minute >= DAY_MINUTES {
                    return Err(InvalidMute::Minute(*start_minute));
                }
                if *end_minute > DAY_MINUTES {
                    return Err(InvalidMute::Minute(*end_minute));
                }
                let zone = zones()
                    .get(time_zone)
                    .map_err(|_| InvalidMute::TimeZone(time_zone.clone()))?;
                Ok(Self(Times::Recurring {
                    days: Days(bits),
                    start: *start_minute,
                    end: *end_minute,
                    zone,
                }))
            }
        }
    }

    pub fn is_active(&self, at: Timestamp) -> bool {
        self.end_at(at).is_some()
    }

    /// When it ends, if it is in force at `at`. Occurrences that follow one another without a gap count as one, up to two weeks.
    pub fn active_until(&self, at: Timestamp) -> Option<Timestamp> {
        let mut end = self.end_at(at)?;
        for _ in 0..CHAIN_MAX {
            match self.end_at(end) {
                Some(later) if later > end => end = later,
                _ => break,
            }
        }
        Some(end)
    }

    /// The end of the occurrences that are in force at `at`, the latest of them.
    fn end_at(&self, at: Timestamp) -> Option<Timestamp> {
        match &self.0 {
            Times::Once { from, until } => (*from <= at && at < *until).then_some(*until),
            Times::Recurring { days, start, end, zone } => {
                let today = zone.to_datetime(at.to_jiff()).date();
                // An occurrence lasts a day at most, but a change of clocks may stretch it, or drop a day (Apia, 2011).
                (-2..=1)
                    .filter_map(|n| today.checked_add(jiff::Span::new().days(n)).ok())
                    .filter(|day| days.contains(*day))
                    .filter_map(|day| occurrence(zone, day, *start, *end))
                    .filter(|(from, until)| *from <= at && at < *until)
                    .map(|(_, until)| until)
                    .max()
            }
        }
    }
}

/// The occurrence that starts on `day`. It may be empty where the clocks change. `None` at the end of the calendar.
fn occurrence(zone: &TimeZone, day: Date, start: u16, end: u16) -> Option<(Timestamp, Timestamp)> {
    let from = instant(zone, local(day, start)?, Occurrence::First)?;
    let last_day = if end <= start { day.tomorrow().ok()? } else { day };
    let until = instant(zone, local(last_day, end)?, Occurrence::Second)?;
    Some((from, until))
}

/// Minute 1440 is the next day's first.
fn local(day: Date, minute: u16) -> Option<DateTime> {
    let day = if minute >= DAY_MINUTES {
        day.tomorrow().ok()?
    } else {
        day
    };
    let minute = minute % DAY_MINUTES;
    Some(day.at((minute / 60) as i8, (minute % 60) as i8, 0, 0))
}

#[derive(Clone, Copy)]
enum Occurrence {
    First,
    Second,
}

fn instant(zone: &TimeZone, local: DateTime, which: Occurrence) -> Option<Timestamp> {
    let offset = match zone.to_ambiguous_timestamp(local).offset() {
        AmbiguousOffset::Unambiguous { offset } => offset,
        // Repeated: the offset before the change gives the first.
        AmbiguousOffset::Fold { before, after } => match which {
            Occurrence::First => before,
            Occurrence::Second => after,
        },
        AmbiguousOffset::Gap { after, .. } => {
            // Read by the clock as it is after the change the skipped time lies before the change, which therefore comes next.
            let before_change = after.to_timestamp(local).ok()?;
            return zone
                .following(before_change)
                .next()
                .map(|change| change.timestamp().into());
        }
    };
    offset.to_timestamp(local).ok().map(Timestamp::from)
}

/// The database built into the program, whatever the machine has: a replay elsewhere judges the same.
fn zones() -> &'static TimeZoneDatabase {
    static ZONES: OnceLock<TimeZoneDatabase> = OnceLock::new();
    ZONES.get_or_init(TimeZoneDatabase::bundled)
}

/// How long a window is in force from `at` on; zero when it is not.
pub fn remaining(window: &MuteWindow, at: Timestamp) -> Span {
    active_until(window, at).map_or(Span::ZERO, |until| until.since(at))
}

#[cfg(test)]
mod tests;
