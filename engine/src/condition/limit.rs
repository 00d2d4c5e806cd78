//! `limit`: a reading beyond a bound. The state machine is [`super::limit_state`]; here it meets records.

use super::limit_state::{LimitChange, LimitState};
use super::{Breached, Deadline, Input, Now, Taken, Verdict, Verdicts};
use crate::ids::RecordId;
use crate::incident::evidence::Provenance;
use crate::rule::{Direction, Limit, Rule};
use crate::sources::Lateness;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

const BACK_WITHIN: &str = "the reading is back within its limit";

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct LimitCondition {
    state: LimitState,
    /// The first reading beyond, while its on-delay runs or the alarm is active.
    begun_by: Option<RecordId>,
    /// How the newest reading came in: what a delay opens later is reported as that reading would be.
    newest: Provenance,
}

impl LimitCondition {
    pub(super) fn observe(&mut self, limit: &Limit, rule: &Rule, input: &Input<'_>, found: &mut Verdicts) -> Taken {
        let (record, judgement) = (input.record, input.judgement);
        let Some(value) = record.reading(&limit.reading) else {
            return Taken::default();
        };
        if judgement.lateness == Lateness::Late {
            return Taken {
                unjudged: true,
                ..Taken::default()
            };
        }
        let begun_before = self.begun_by;
        let since_before = self.state.beyond_since();
        let changes = self.state.observe(limit, rule.off_delay, judgement.at, value);
        let since = self.state.beyond_since();
        if since.is_some() && since != since_before {
            self.begun_by = Some(record.record_id);
        } else if since.is_none() {
            self.begun_by = None;
        }
        self.newest = input.provenance;
        if changes.is_empty() && self.state.is_active() {
            found.push(Verdict::Record {
                peak: self.state.peak(),
            });
        }
        for change in changes {
            // What a delay had begun before this reading points to the reading that began it.
            let begun_by = match change {
                LimitChange::Activated { since, .. } if Some(since) == since_before => begun_before,
                _ => None,
            };
            found.push(verdict(
                limit,
                change,
                judgement.at,
                begun_by.map(|r| (r, input.provenance)),
            ));
        }
        Taken::default()
    }

    pub(super) fn advance(&mut self, limit: &Limit, rule: &Rule, now: Now, found: &mut Verdicts) {
        for change in self.state.advance(limit, rule.off_delay, now.event) {
            let at = match change {
                LimitChange::Activated { since, .. } => since.plus(limit.on_delay),
                LimitChange::Normal { at } => at,
            };
            let begun_by = self.begun_by.map(|r| (r, self.newest));
            found.push(verdict(limit, change, at, begun_by));
        }
        if self.state.beyond_since().is_none() {
            self.begun_by = None;
        }
        if self.state.is_forgettable(now.event) {
            *self = Self::default();
        }
    }

    pub(super) fn deadlines(&self, limit: &Limit, rule: &Rule, each: &mut dyn FnMut(Deadline)) {
        if let Some(at) = self.state.deadline(limit, rule.off_delay) {
            each(Deadline::Event(at));
        } else if let Some(at) = self.state.forgettable_at().filter(|_| self.state.is_quiet()) {
            each(Deadline::Event(at));
        }
    }

    pub(super) fn is_quiet(&self, event_now: Option<Timestamp>) -> bool {
        self.state == LimitState::default() || event_now.is_some_and(|now| self.state.is_forgettable(now))
    }

    pub(super) fn step_back(&mut self, at: Timestamp) {
        self.state.clock_stepped(at);
    }
}

fn verdict(limit: &Limit, change: LimitChange, at: Timestamp, begun_by: Option<(RecordId, Provenance)>) -> Verdict {
    match change {
        LimitChange::Activated { since, peak } => Verdict::Breach(Breached {
            first_at: since,
            at,
            record_at: at,
            until: None,
            is_over: false,
            peak: Some(peak),
            text: Some(limit_text(limit, peak)),
            begun_by,
        }),
        LimitChange::Normal { at } => Verdict::Normal { at, why: BACK_WITHIN },
    }
}

fn limit_text(limit: &Limit, value: f64) -> String {
    let side = match limit.direction {
        Direction::Above => "above",
        Direction::Below => "below",
    };
    let unit = limit.unit.as_deref().map(|u| format!(" {u}")).unwrap_or_default();
    format!(
        "{} {value}{unit} is {side} its limit of {}{unit}",
        limit.reading, limit.bound
    )
}
