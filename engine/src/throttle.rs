//! One e-mail per person in five minutes, and a digest of what was held.
//!
//! Pure decisions; the rows that hold slots and held alerts are the notifier's. All on the wall clock.
//!
//! - An e-mail opens a window of [`THROTTLE_WINDOW`]. Within it, start included and end excluded, what comes is held. At its end
//!   what was held goes out as one digest, which is itself an e-mail and opens the next window.
//! - An alert that passes (the first of a P1 incident, if its rule says so) goes out within a window too and leaves it as
//!   it is: the digest comes when it was to come. At most [`THROTTLE_PASSES_MAX`] pass in one window; a flood of P1 is a digest.
//! - Repeats of what the person was already told are never mailed by themselves. A digest tells their number: for an incident once at the next
//!   window's end, then after [`REPEAT_SECOND_AFTER`], then every [`REPEAT_EVERY_AFTER`]. When a whole such interval went by without one,
//!   the next repeat is told as if it were the first. A digest that goes out for another reason tells only what is due.

use crate::effect::AlertReason;
use crate::ids::{AlertId, IncidentId};
use crate::limits::{REPEAT_EVERY_AFTER, REPEAT_SECOND_AFTER, THROTTLE_PASSES_MAX, THROTTLE_WINDOW};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// The window of one recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// Excluded: at this instant the next e-mail may go.
    pub window_end: Timestamp,
    /// E-mails that passed within it.
    pub passed: u32,
}

impl Slot {
    /// The window that an e-mail sent at `now` opens.
    pub fn opened_at(now: Timestamp) -> Self {
        Self {
            window_end: now.plus(THROTTLE_WINDOW),
            passed: 0,
        }
    }
    pub fn is_open(&self, now: Timestamp) -> bool {
        now < self.window_end
    }
}

/// What is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub reason: AlertReason,
    pub passes_throttle: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Send it; the slot must be changed from what was given to this, or the decision does not hold.
    SendNow { new_slot: Slot },
    /// Keep it and ask [`digest`] at `until`.
    Hold { until: Timestamp },
}

/// May this alert go to this person now? `slot` is the last window of the person, over or not.
pub fn decide(slot: Option<&Slot>, now: Timestamp, alert: Candidate) -> Decision {
    let open = slot.filter(|s| s.is_open(now));
    match (open, alert.reason) {
        (Some(s), AlertReason::Repeat) => Decision::Hold { until: s.window_end },
        (None, AlertReason::Repeat) => Decision::Hold { until: now },
        (None, _) => Decision::SendNow {
            new_slot: Slot::opened_at(now),
        },
        (Some(s), _) if alert.passes_throttle && s.passed < THROTTLE_PASSES_MAX => Decision::SendNow {
            new_slot: Slot {
                passed: s.passed + 1,
                ..*s
            },
        },
        (Some(s), _) => Decision::Hold { until: s.window_end },
    }
}

/// An alert that waits for the digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    pub alert: AlertId,
    pub incident: IncidentId,
    pub reason: AlertReason,
    pub at: Timestamp,
}

/// Repeats of an incident that this person was told of, and how often their number was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepeatCount {
    pub incident: IncidentId,
    /// Repeats that came since their number was last told.
    pub untold: u64,
    /// When the first and the last of those came.
    pub first_at: Timestamp,
    pub last_at: Timestamp,
    /// How often their number was told in a row, and when last.
    pub times_told: u32,
    pub told_at: Option<Timestamp>,
}

impl RepeatCount {
    pub fn new(incident: IncidentId) -> Self {
        Self {
            incident,
            untold: 0,
            first_at: Timestamp::MAX,
            last_at: Timestamp::MIN,
            times_told: 0,
            told_at: None,
        }
    }

    /// More repeats came.
    pub fn add(&mut self, count: u64, at: Timestamp) {
        if count > 0 {
            self.untold = self.untold.saturating_add(count);
            self.first_at = self.first_at.min(at);
            self.last_at = self.last_at.max(at);
        }
    }

    /// From when on their number is to be told; `None` while there are none.
    pub fn due_at(&self) -> Option<Timestamp> {
        if self.untold == 0 {
            return None;
        }
        match self.next_in_a_row() {
            Some(next) if self.first_at <= next => Some(next),
            // Told never, or they had stopped: at once.
            _ => Some(self.first_at),
        }
    }

    fn next_in_a_row(&self) -> Option<Timestamp> {
        let interval = match self.times_told {
            0 => return None,
            1 => REPEAT_SECOND_AFTER,
            _ => REPEAT_EVERY_AFTER,
        };
        self.told_at.map(|t| t.plus(interval))
    }

    /// The state after their number went out at `now`.
    pub fn told(&self, now: Timestamp) -> Self {
        let stopped = self.next_in_a_row().is_none_or(|next| self.first_at > next);
        let times_told = if stopped { 1 } else { self.times_told.saturating_add(1) };
        Self {
            times_told,
            told_at: Some(now),
            ..Self::new(self.incident)
        }
    }
}

/// What goes into one digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DigestPlan {
    /// To be claimed as with [`Decision::SendNow`].
    pub new_slot: Slot,
    /// All that was held, oldest first; each alert once.
    pub held: Vec<Held>,
    /// The repeats whose number is told, sorted by incident, with the state to store once the digest is sent.
    pub repeats: Vec<RepeatTold>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RepeatTold {
    pub count: u64,
    pub last_at: Timestamp,
    pub new_state: RepeatCount,
}

/// The digest that goes out now; `None` while the window is open, or when there is nothing to tell. Alerts held for being a repeat
/// are no content of their own: they are told by number.
pub fn digest(slot: Option<&Slot>, held: &[Held], repeats: &[RepeatCount], now: Timestamp) -> Option<DigestPlan> {
    if digest_due_at(slot, held, repeats)? > now {
        return None;
    }
    let mut seen = HashSet::new();
    let mut held: Vec<Held> = held
        .iter()
        .filter(|h| tells(h) && seen.insert(h.alert))
        .copied()
        .collect();
    held.sort_by_key(|h| (h.at, h.alert));
    let mut repeats: Vec<_> = repeats
        .iter()
        .filter(|r| r.due_at().is_some_and(|due| due <= now))
        .map(|r| RepeatTold {
            count: r.untold,
            last_at: r.last_at,
            new_state: r.told(now),
        })
        .collect();
    repeats.sort_by_key(|r| r.new_state.incident);
    Some(DigestPlan {
        new_slot: Slot::opened_at(now),
        held,
        repeats,
    })
}

/// When [`digest`] will have something to send; `None` while nothing waits. To be asked again when something is held or a repeat comes.
pub fn digest_due_at(slot: Option<&Slot>, held: &[Held], repeats: &[RepeatCount]) -> Option<Timestamp> {
    let held = held.iter().filter(|h| tells(h)).map(|h| h.at);
    let first = held.chain(repeats.iter().filter_map(RepeatCount::due_at)).min()?;
    Some(slot.map_or(first, |s| first.max(s.window_end)))
}

fn tells(held: &Held) -> bool {
    held.reason != AlertReason::Repeat
}

#[cfg(test)]
mod tests;
