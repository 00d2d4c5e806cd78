//! The state of a `limit` rule for one subject: a bound with deadband, on-delay and off-delay, on event time.
//!
//! - *Beyond* is strictly beyond: a value on the bound is not. *Normal again* is a value that came back to the bound or, with a
//!   deadband, at least that far over it (that edge included); between the two an active alarm stays active.
//! - A value holds until the next reading. The alarm becomes active when the value has been beyond for the on-delay, and normal when
//!   it has been normal again for the off-delay. Both edges are included: a delay that ends exactly when a reading comes
//!   has ended. A value within the deadband restarts both.
//! - Delays run on event time. [`LimitState::observe`] lets those end that ended before its reading; where no reading comes, the
//!   caller lets time pass with [`LimitState::advance`]. Both give the same changes.
//! - A reading older than the newest cannot be judged as if it had come in time, for what followed it is not kept. It changes only
//!   what it proves: with no on-delay an excursion that nobody was told of is told (and is over when the newest reading
//!   says so); the peak takes it; and an on-delay or off-delay that it interrupts starts again at the newest reading. Equal
//!   stamps are taken in the order in which they come.
//! - Values that are not finite are ignored.

use crate::limits::LATENESS;
use crate::rule::{Direction, Limit};
use crate::time::{Span, Timestamp};
use serde::{Deserialize, Serialize};

/// `Default` is the state before the first reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LimitState {
    phase: Phase,
    newest: Option<Reading>,
    /// When it last became normal: what lies before is told already.
    normal_at: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Reading {
    at: Timestamp,
    value: f64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Phase {
    #[default]
    Normal,
    /// Beyond, and the on-delay runs.
    Pending { since: Timestamp, peak: f64 },
    /// `normal_since`: the value is normal again and the off-delay runs.
    Active {
        since: Timestamp,
        peak: f64,
        normal_since: Option<Timestamp>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LimitChange {
    /// The condition holds, since the on-delay had passed. `since` is the first reading beyond, `peak` the worst value from there.
    Activated { since: Timestamp, peak: f64 },
    /// The value had been normal for the off-delay at `at`.
    Normal { at: Timestamp },
}

/// What one reading changed, in order; at most three. Most readings change nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LimitChanges([Option<LimitChange>; 3]);

impl LimitChanges {
    fn push(&mut self, change: Option<LimitChange>) {
        if let Some(free) = self.0.iter_mut().find(|c| c.is_none()) {
            *free = change;
        }
    }
    pub fn is_empty(&self) -> bool {
        self.0[0].is_none()
    }
    pub fn last(&self) -> Option<LimitChange> {
        self.into_iter().last()
    }
}

impl IntoIterator for LimitChanges {
    type Item = LimitChange;
    type IntoIter = std::iter::Flatten<std::array::IntoIter<Option<LimitChange>, 3>>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter().flatten()
    }
}

impl LimitState {
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a reading. `off_delay` is the rule's ([`crate::rule::Rule::off_delay`]); negative delays are read as 0.
    pub fn observe(&mut self, limit: &Limit, off_delay: Span, t: Timestamp, value: f64) -> LimitChanges {
        let mut changes = LimitChanges::default();
        if !value.is_finite() {
            return changes;
        }
        match self.newest {
            Some(newest) if t < newest.at => {
                changes.push(self.observe_late(limit, t, value, newest));
                self.pass(limit, off_delay, newest.at, &mut changes);
            }
            _ => {
                self.pass(limit, off_delay, t, &mut changes);
                self.newest = Some(Reading { at: t, value });
                self.step(limit, t, value);
                self.pass(limit, off_delay, t, &mut changes);
            }
        }
        changes
    }

    /// Lets event time pass without a reading. Never goes back: an earlier `now` than one before changes nothing.
    pub fn advance(&mut self, limit: &Limit, off_delay: Span, now: Timestamp) -> LimitChanges {
        let mut changes = LimitChanges::default();
        self.pass(limit, off_delay, now, &mut changes);
        changes
    }

    /// The clock of its source stepped back: the next reading comes at `to`. What was read before counts as read then, so that a
    /// delay starts anew and what comes is not taken for late.
    pub fn clock_stepped(&mut self, to: Timestamp) {
        let Some(newest) = self.newest.as_mut().filter(|n| n.at > to) else {
            return;
        };
        newest.at = to;
        self.normal_at = self.normal_at.map(|at| at.min(to));
        match &mut self.phase {
            Phase::Normal => {}
            Phase::Pending { since, .. } => *since = to.min(*since),
            Phase::Active {
                since, normal_since, ..
            } => {
                *since = to.min(*since);
                *normal_since = normal_since.map(|at| at.min(to));
            }
        }
    }

    /// When time alone changes something next.
    pub fn deadline(&self, limit: &Limit, off_delay: Span) -> Option<Timestamp> {
        match self.phase {
            Phase::Pending { since, .. } => Some(since.plus(limit.on_delay.max(Span::ZERO))),
            Phase::Active {
                normal_since: Some(since),
                ..
            } => Some(since.plus(off_delay.max(Span::ZERO))),
            Phase::Normal | Phase::Active { normal_since: None, .. } => None,
        }
    }

    /// Active, and the reading has not come back: no off-delay runs.
    pub fn holds(&self) -> bool {
        matches!(self.phase, Phase::Active { normal_since: None, .. })
    }

    /// Nothing runs and nothing is active. What is kept still matters for readings that come late, up to [`crate::limits::LATENESS`].
    pub fn is_quiet(&self) -> bool {
        matches!(self.phase, Phase::Normal)
    }
    pub fn is_active(&self) -> bool {
        matches!(self.phase, Phase::Active { .. })
    }
    /// The worst value since the alarm's first reading beyond, while it is active.
    pub fn peak(&self) -> Option<f64> {
        match self.phase {
            Phase::Active { peak, .. } => Some(peak),
            Phase::Normal | Phase::Pending { .. } => None,
        }
    }
    /// The first reading beyond, while the on-delay runs or the alarm is active.
    pub fn beyond_since(&self) -> Option<Timestamp> {
        match self.phase {
            Phase::Pending { since, .. } | Phase::Active { since, .. } => Some(since),
            Phase::Normal => None,
        }
    }
    /// Normal, and nothing that may still come could be judged otherwise for what was read: event time has reached `now`, and a
    /// reading more than [`LATENESS`] older than the newest is not judged.
    pub fn is_forgettable(&self, now: Timestamp) -> bool {
        self.is_quiet() && self.forgettable_at().is_none_or(|at| at <= now)
    }
    /// When [`LimitState::is_forgettable`] becomes true if no reading comes.
    pub fn forgettable_at(&self) -> Option<Timestamp> {
        self.newest.map(|n| n.at.plus(LATENESS).plus(Span::micros(1)))
    }
    /// The first reading beyond of an active alarm.
    pub fn active_since(&self) -> Option<Timestamp> {
        match self.phase {
            Phase::Active { since, .. } => Some(since),
            Phase::Normal | Phase::Pending { .. } => None,
        }
    }

    /// Ends the delay that ends until `now`, included. Without a reading at most one can: an alarm that becomes active stays so.
    fn pass(&mut self, limit: &Limit, off_delay: Span, now: Timestamp, changes: &mut LimitChanges) {
        while let Some(at) = self.deadline(limit, off_delay).filter(|at| *at <= now) {
            match self.phase {
                Phase::Pending { since, peak } => {
                    self.phase = Phase::Active {
                        since,
                        peak,
                        normal_since: None,
                    };
                    changes.push(Some(LimitChange::Activated { since, peak }));
                }
                Phase::Active { .. } | Phase::Normal => {
                    self.phase = Phase::Normal;
                    self.normal_at = Some(at);
                    changes.push(Some(LimitChange::Normal { at }));
                }
            }
        }
    }

    fn step(&mut self, limit: &Limit, t: Timestamp, value: f64) {
        let beyond = is_beyond(limit, value);
        self.phase = match self.phase {
            Phase::Normal if beyond => Phase::Pending { since: t, peak: value },
            Phase::Normal => Phase::Normal,
            Phase::Pending { since, peak } if beyond => Phase::Pending {
                since,
                peak: worse(limit, peak, value),
            },
            Phase::Pending { .. } => Phase::Normal,
            Phase::Active {
                since,
                peak,
                normal_since,
            } => {
                let normal_since = if is_normal(limit, value) {
                    normal_since.or(Some(t))
                } else {
                    None
                };
                Phase::Active {
                    since,
                    peak: worse(limit, peak, value),
                    normal_since,
                }
            }
        };
    }

    fn observe_late(&mut self, limit: &Limit, t: Timestamp, value: f64, newest: Reading) -> Option<LimitChange> {
        let beyond = is_beyond(limit, value);
        match &mut self.phase {
            Phase::Normal => {
                let untold = self.normal_at.is_none_or(|at| t > at);
                if beyond && untold && limit.on_delay <= Span::ZERO {
                    let normal_since = is_normal(limit, newest.value).then_some(newest.at);
                    self.phase = Phase::Active {
                        since: t,
                        peak: value,
                        normal_since,
                    };
                    return Some(LimitChange::Activated { since: t, peak: value });
                }
            }
            Phase::Pending { since, peak } if t >= *since => {
                if beyond {
                    *peak = worse(limit, *peak, value);
                } else {
                    (*since, *peak) = (newest.at, newest.value);
                }
            }
            Phase::Active {
                since,
                peak,
                normal_since,
            } if t >= *since => {
                *peak = worse(limit, *peak, value);
                if let Some(normal) = normal_since
                    && t >= *normal
                    && !is_normal(limit, value)
                {
                    *normal = newest.at;
                }
            }
            Phase::Pending { .. } | Phase::Active { .. } => {}
        }
        None
    }
}

fn is_beyond(limit: &Limit, value: f64) -> bool {
    match limit.direction {
        Direction::Above => value > limit.bound,
        Direction::Below => value < limit.bound,
    }
}

/// A deadband that is negative or no number is none.
fn is_normal(limit: &Limit, value: f64) -> bool {
    let deadband = limit.deadband.max(0.0);
    match limit.direction {
        Direction::Above => value <= limit.bound - deadband,
        Direction::Below => value >= limit.bound + deadband,
    }
}

fn worse(limit: &Limit, a: f64, b: f64) -> f64 {
    match limit.direction {
        Direction::Above => a.max(b),
        Direction::Below => a.min(b),
    }
}

#[cfg(test)]
#[path = "limit_state_tests.rs"]
mod tests;
