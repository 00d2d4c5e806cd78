//! One e-mail to an address in five minutes, and a digest of what was held back.
//!
//! Pure rules, all on the wall clock; the rows that hold slots and what waits are the notifier's, which asks here and nowhere else.
//!
//! - A message opens a window of [`THROTTLE_WINDOW`], which runs from when it was sent. Within it, start included and end excluded, what comes
//!   is held back. At its end what was held goes out as one digest, which is itself a message and opens the next window.
//! - A message that is still on its way counts as an open window: when a mail server comes back after an hour, a person gets the
//!   message that waited and then one digest. While nobody has tried to send it yet, what comes is named in it.
//! - Nothing passes an open window unless somebody chose that, for a rule or for a recipient. What passes leaves the window as it is: the
//!   digest comes when it was to come. At most [`THROTTLE_PASSES_MAX`] pass in one window; a flood is a digest.
//! - Repeats of what is known to the recipient are never sent by themselves. A digest says their number: for an incident once at the next
//!   window's end, then after [`REPEAT_SECOND_AFTER`], then every [`REPEAT_EVERY_AFTER`].
//! - Our own clock may be set back. No window can end later than one that opens now, so one that does ends then.

use crate::ids::{IncidentId, Position};
use crate::limits::{REPEAT_EVERY_AFTER, REPEAT_SECOND_AFTER, THROTTLE_PASSES_MAX, THROTTLE_WINDOW};
use crate::time::{Span, Timestamp};

/// While this many messages are on their way, nothing passes: they do not get through.
const UNFINISHED_MAX: u32 = 3;
/// Alerts that one message names; the rest is in the next.
pub const MESSAGE_ALERTS_MAX: usize = 1_000;
/// History goes out when none has come for this long, or when the first has waited for [`HISTORY_WAIT_MAX`].
pub const HISTORY_SETTLES: Span = Span::mins(1);
pub const HISTORY_WAIT_MAX: Span = Span::mins(10);

/// The window of one recipient.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slot {
    /// Excluded: at this instant the next message may go. `None`: no window is open.
    pub window_end: Option<Timestamp>,
    /// Messages that passed within it.
    pub passes: u32,
    /// Messages on their way: neither sent nor given up.
    pub unfinished: u32,
}

impl Slot {
    /// When the window ends, if one is open.
    pub fn open_until(&self, now: Timestamp) -> Option<Timestamp> {
        let end = self.window_end.filter(|end| *end > now)?;
        Some(end.min(now.plus(THROTTLE_WINDOW)))
    }
    /// What comes is held back.
    pub fn is_blocked(&self, now: Timestamp) -> bool {
        self.unfinished > 0 || self.open_until(now).is_some()
    }
    fn opened_at(self, now: Timestamp) -> Self {
        Self {
            window_end: Some(now.plus(THROTTLE_WINDOW)),
            passes: 0,
            ..self
        }
    }
}

/// An alert that waits to go out.
pub trait Waiting {
    fn incident(&self) -> IncidentId;
    /// Of its record: the incidents of one record are one message.
    fn position(&self) -> Position;
    /// Somebody chose that it does not wait for the window's end.
    fn passes(&self) -> bool;
}

/// What waits for one recipient, each list the most urgent first.
#[derive(Debug)]
pub struct Waits<T> {
    pub held: Vec<T>,
    pub fresh: Vec<T>,
    /// Known incidents whose number of repeats is due.
    pub repeats: bool,
    /// Alerts that fit into a message that nobody has tried to send yet; 0: there is none.
    pub room: usize,
}

/// What to do with it.
#[derive(Debug, PartialEq, Eq)]
pub struct Plan<T> {
    pub out: Out<T>,
    /// To be held back until then.
    pub held: Vec<T>,
    pub held_until: Timestamp,
    pub slot: Slot,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Out<T> {
    Nothing,
    /// News of one record or one incident, in a message that opens a window.
    News(Vec<T>),
    /// What was held and what is new, with the repeats that are due, in a message that opens a window.
    Digest(Vec<T>),
    /// To be named in the message that nobody has tried to send yet.
    Joins(Vec<T>),
    /// A message within the window; `is_news` as in [`Out::News`].
    Passes {
        alerts: Vec<T>,
        is_news: bool,
    },
}

/// Decides about everything that waits for one recipient.
pub fn plan<T: Waiting>(slot: Slot, now: Timestamp, waits: Waits<T>) -> Plan<T> {
    let Waits {
        held,
        fresh,
        repeats,
        room,
    } = waits;
    let held_until = slot.open_until(now).unwrap_or(now.plus(THROTTLE_WINDOW));
    let mut plan = Plan {
        out: Out::Nothing,
        held: Vec::new(),
        held_until,
        slot: Slot {
            window_end: slot.open_until(now).or(slot.window_end.filter(|end| *end <= now)),
            ..slot
        },
    };
    if !slot.is_blocked(now) {
        let is_news = held.is_empty() && !fresh.is_empty() && is_one(&fresh);
        if is_news {
            // Repeats that are due wait for this window's end.
            plan.out = Out::News(fresh);
        } else if !held.is_empty() || !fresh.is_empty() || repeats {
            plan.out = Out::Digest(held.into_iter().chain(fresh).collect());
        } else {
            return plan;
        }
        plan.slot = slot.opened_at(now);
        return plan;
    }
    let mut waiting: Vec<T> = held.into_iter().chain(fresh).collect();
    if room > 0 && !waiting.is_empty() {
        plan.held = waiting.split_off(room.min(waiting.len()));
        plan.out = Out::Joins(waiting);
        return plan;
    }
    let may_pass = slot.passes < THROTTLE_PASSES_MAX && slot.unfinished < UNFINISHED_MAX;
    let (passing, staying): (Vec<T>, Vec<T>) = waiting.into_iter().partition(|w| may_pass && w.passes());
    plan.held = staying;
    if !passing.is_empty() {
        plan.slot.passes += 1;
        let is_news = is_one(&passing);
        plan.out = Out::Passes {
            alerts: passing,
            is_news,
        };
    }
    plan
}

/// Of one record, or of one incident.
fn is_one<T: Waiting>(alerts: &[T]) -> bool {
    alerts.windows(2).all(|w| w[0].position() == w[1].position())
        || alerts.windows(2).all(|w| w[0].incident() == w[1].incident())
}

/// An incident that a recipient knows.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// It has records that the recipient has not been notified of.
    pub has_more: bool,
    pub is_active: bool,
    pub is_acknowledged: bool,
    /// How often in a row their number was sent.
    pub repeats: u32,
    /// Its shelving has ended since the recipient was notified last.
    pub is_unshelved: bool,
    /// What holds it back, a mute window or its shelving, until when.
    pub held_until: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    Due,
    /// To be looked at again then; `None`: not until there is news.
    LookAt(Option<Timestamp>),
}

/// Is the number of its repeats to be sent?
pub fn repeat(known: Known, now: Timestamp) -> Repeat {
    if let Some(until) = known.held_until {
        // A window that says it ends now is asked again shortly, not in a loop.
        return Repeat::LookAt(Some(until.max(now.plus(Span::secs(1)))));
    }
    if known.is_unshelved {
        // What is over when its shelving ends stays a record, and so do the repeats that came meanwhile.
        return if known.is_active {
            Repeat::Due
        } else {
            Repeat::LookAt(None)
        };
    }
    match known {
        // Somebody has taken it: after the one digest that was due no reminders follow.
        _ if known.is_acknowledged && known.repeats > 0 => Repeat::LookAt(None),
        _ if known.has_more => Repeat::Due,
        _ if !known.is_active => Repeat::LookAt(None),
        // Never sent: as if the first window ended again. Sent before: not before the usual time.
        _ if known.repeats == 0 => Repeat::LookAt(Some(now.plus(THROTTLE_WINDOW))),
        _ => Repeat::LookAt(Some(now.plus(REPEAT_SECOND_AFTER))),
    }
}

/// How long after a message the next number of repeats may be sent; `repeats`: how often in a row it was, this message included.
pub fn repeat_after(repeats: u32) -> Span {
    match repeats {
        0 => THROTTLE_WINDOW,
        1 => REPEAT_SECOND_AFTER,
        _ => REPEAT_EVERY_AFTER,
    }
}

/// When what was found in history goes out; `found`: when each of it came. What came in the future has settled: our clock was set back.
pub fn history_due(found: impl Iterator<Item = Timestamp>, now: Timestamp) -> Timestamp {
    let (mut first, mut last) = (None::<Timestamp>, None::<Timestamp>);
    for at in found.filter(|at| *at <= now) {
        first = Some(first.map_or(at, |f| f.min(at)));
        last = Some(last.map_or(at, |l| l.max(at)));
    }
    match (first, last) {
        (Some(first), Some(last)) => last.plus(HISTORY_SETTLES).min(first.plus(HISTORY_WAIT_MAX)),
        _ => now,
    }
}

#[cfg(test)]
mod tests;
