//! One entity: the state of one subject under every rule that has looked at it, and how a record changes it.
//!
//! Pure: the same records, control entries and configurations in the same order give the same state and the same effects.
//! Time inside is event time (`Judgement::at`); receipt and wall time only decide what the wall decides (shelving, timers).

use crate::control::Operation;
use crate::effect::Effect;
use crate::ids::{Position, RecordId, RuleId};
use crate::incident::Incident;
use crate::level::Level;
use crate::limit::LimitChange;
use crate::record::{Flags, Record};
use crate::rule::Condition;
use crate::ruleset::{RuleIndex, RuleSet};
use crate::sources::{Judgement, Lateness};
use crate::subject::{Subject, SubjectKind};
use crate::tell::Cause;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use state::{Delayed, Judge, LIMIT_NORMAL, LazyTemplate, RuleState, state_of};
use std::sync::Arc;

mod state;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entity {
    pub subject: Subject,
    /// Newest event time judged live.
    watermark: Timestamp,
    /// When the record that set the watermark was received: timers fire at this plus what remains in event time.
    watermark_received: Timestamp,
    #[serde(default)]
    watermark_of: Provenance,
    rules: Vec<RuleState>,
}

/// How the newest record judged live came in. What a delay opens later, with no record of its own, is told as that record would be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Provenance {
    /// Sent as history.
    history: bool,
    historical: bool,
}

/// What moves event time on: a record (then how it came in), or a timer.
#[derive(Clone, Copy)]
struct Passage {
    at: Timestamp,
    received_at: Timestamp,
    position: Position,
    of: Option<Provenance>,
}

/// What happened to a record in this entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Outcome {
    pub breached: u32,
    /// Late and below ERROR: stored, not judged.
    pub late_unjudged: u32,
    pub window_truncated: bool,
}

impl Entity {
    pub fn new(subject: Subject) -> Self {
        Self {
            subject,
            watermark: Timestamp::MIN,
            watermark_received: Timestamp::MIN,
            watermark_of: Provenance::default(),
            rules: Vec::new(),
        }
    }

    /// Judges one record under the rules of `matched` whose subject is of this entity's kind.
    pub fn observe(
        &mut self,
        set: &RuleSet,
        matched: &[RuleIndex],
        record: &Record<'_>,
        judgement: &Judgement,
        source: u64,
        out: &mut Vec<Effect>,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        let live =
            judgement.lateness == Lateness::InOrder && (!judgement.behind || self.subject.kind == SubjectKind::Device);
        // A device is its own source: where its clock goes, its event time goes. A shared subject gives the source a window of its own.
        if judgement.clock_step && self.subject.kind == SubjectKind::Device {
            self.step_back(judgement.at, record.received_at);
        }
        if live {
            let passage = Passage {
                at: judgement.at,
                received_at: record.received_at,
                position: record.record_id.position,
                of: Some(Provenance {
                    history: record.flags.contains(Flags::HISTORY),
                    historical: judgement.historical,
                }),
            };
            self.reach(set, passage, out);
        }
        let mut fingerprint = None;
        for &index in matched {
            let rule = set.rule(index);
            if rule.subject != self.subject.kind {
                continue;
            }
            if judgement.lateness == Lateness::Late && record.level.is_none_or(|l| l < Level::Error) {
                outcome.late_unjudged += 1;
                continue;
            }
            let watermark = self.watermark;
            let Self { rules, subject, .. } = self;
            let state = state_of(rules, rule);
            match &rule.condition {
                Condition::Count { count, within } => {
                    let template = fingerprint.get_or_insert_with(|| {
                        LazyTemplate::new(record.fingerprint, record.message.unwrap_or_default())
                    });
                    if !state.is_active() {
                        state.remember(template, judgement.at, *within);
                    }
                    let breach = state.count(*count, *within, judgement, source, live, watermark, &mut outcome);
                    if let Some((first_at, opening)) = breach {
                        outcome.breached += 1;
                        let cause = Cause {
                            set,
                            rule,
                            record,
                            judgement,
                            first_at,
                            records: u64::from(opening),
                            peak: None,
                        };
                        state.breach(subject, &cause, template, out);
                    } else if state.is_active() {
                        let cause = Cause {
                            set,
                            rule,
                            record,
                            judgement,
                            first_at: judgement.at,
                            records: 1,
                            peak: None,
                        };
                        state.join(&cause, Some(template), out);
                    }
                }
                Condition::Limit(limit) => {
                    if judgement.lateness == Lateness::Late {
                        outcome.late_unjudged += 1;
                        continue;
                    }
                    outcome.breached += state.limit(subject, set, rule, limit, record, judgement, out);
                }
                Condition::Silence { .. } => {}
            }
        }
        outcome
    }

    /// The clock stepped back to `at`: what was seen before it lies in the future now, and would keep everything after it from being judged.
    fn step_back(&mut self, at: Timestamp, received_at: Timestamp) {
        self.watermark = at;
        self.watermark_received = received_at;
        for state in &mut self.rules {
            match &mut state.judge {
                Judge::Count { live, .. } => live.forget_after(at),
                Judge::Limit(judge) => judge.clock_stepped(at),
                Judge::Silence => {}
            }
        }
    }

    /// Event time has come to `at` (a record, or a timer): what was to end by then ends.
    fn reach(&mut self, set: &RuleSet, passage: Passage, out: &mut Vec<Effect>) {
        let Passage {
            at,
            received_at,
            position,
            of,
        } = passage;
        // What ends now was made by what came before.
        let before = self.watermark_of;
        if at > self.watermark {
            self.watermark = at;
            self.watermark_received = received_at;
        }
        if let Some(of) = of.filter(|_| at >= self.watermark) {
            self.watermark_of = of;
        }
        let watermark = self.watermark;
        let subject = &self.subject;
        for state in &mut self.rules {
            let Some(rule) = set.find(&state.rule).filter(|r| r.enabled) else {
                // A rule that is gone ends its incidents: nothing would ever judge them again.
                state.return_to_normal(watermark, position, "the rule was removed or switched off", out);
                continue;
            };
            if let (Condition::Limit(limit), Judge::Limit(judge)) = (&rule.condition, &mut state.judge) {
                for change in judge.advance(limit, rule.off_delay, watermark) {
                    match change {
                        LimitChange::Activated { since, peak } => {
                            let delayed = Delayed {
                                since,
                                peak,
                                position,
                                received_at,
                                history: before.history,
                                historical: before.historical,
                            };
                            state.limit_activated_by_time(subject, set, rule, &delayed, out);
                        }
                        LimitChange::Normal { at } => state.return_to_normal(at, position, LIMIT_NORMAL, out),
                    }
                }
            }
            if let Some(at) = state.normal_at(rule).filter(|at| *at <= watermark) {
                state.return_to_normal(at, position, "the condition no longer holds", out);
            }
            state.settle(rule, watermark, position, out);
            if let (Condition::Count { within, .. }, Judge::Count { live, .. }) = (&rule.condition, &mut state.judge) {
                live.prune(watermark, *within);
            }
        }
    }

    /// A timer of this subject fired: no record came, and event time is taken to have reached `event_now`.
    pub fn timer(
        &mut self,
        set: &RuleSet,
        event_now: Timestamp,
        wall: Timestamp,
        position: Position,
        out: &mut Vec<Effect>,
    ) {
        let passage = Passage {
            at: event_now.max(self.watermark),
            received_at: wall,
            position,
            of: None,
        };
        self.reach(set, passage, out);
        for state in &mut self.rules {
            state.unshelve_if_due(set, wall, position, out);
        }
        self.forget();
    }

    /// A person did something. An operation on an incident that this entity no longer holds changes nothing.
    pub fn operate(&mut self, set: &RuleSet, op: &Operation, position: Position, out: &mut Vec<Effect>) {
        let watermark = self.watermark;
        for state in self.rules.iter_mut().filter(|s| s.rule == op.rule) {
            if state.incident.as_ref().is_some_and(|i| i.id == op.incident) {
                state.operate(op, position, out);
                if let Some(rule) = set.find(&op.rule) {
                    state.settle(rule, watermark, position, out);
                }
            }
        }
        self.forget();
    }

    /// Nothing was heard of this device since `since`.
    #[allow(clippy::too_many_arguments)]
    pub fn silence_found(
        &mut self,
        set: &RuleSet,
        rule: &RuleId,
        since: Timestamp,
        at: Timestamp,
        unknown: &[Arc<str>],
        record_id: RecordId,
        out: &mut Vec<Effect>,
    ) {
        let Some(rule) = set.find(rule) else { return };
        let text = match unknown.len() {
            0 => format!("{} has been silent since {since}", self.subject),
            n => format!(
                "{} has been silent since {since}; {n} devices behind it are unknown",
                self.subject
            ),
        };
        let Self { subject, rules, .. } = self;
        let record = Record {
            record_id,
            timestamp: at,
            received_at: at,
            device_id: (subject.kind == SubjectKind::Device).then_some(&*subject.id),
            ..Record::default()
        };
        let judgement = Judgement::now(at);
        let cause = Cause {
            set,
            rule,
            record: &record,
            judgement: &judgement,
            first_at: since,
            records: 0,
            peak: None,
        };
        state_of(rules, rule).breach_with_text(subject, &cause, &text, out);
    }

    pub fn silence_ended(&mut self, rule: &RuleId, at: Timestamp, position: Position, out: &mut Vec<Effect>) {
        for state in self.rules.iter_mut().filter(|s| s.rule == *rule) {
            state.return_to_normal(at, position, "it speaks again", out);
        }
    }

    /// Incidents whose newest count has not been given out yet. Changes nothing that judging depends on.
    pub fn flush(&mut self, out: &mut Vec<Effect>) {
        for state in &mut self.rules {
            if std::mem::take(&mut state.dirty)
                && let Some(incident) = &state.incident
            {
                out.push(Effect::Incident(incident.clone()));
            }
        }
    }

    pub fn is_dirty(&self) -> bool {
        self.rules.iter().any(|s| s.dirty)
    }

    /// Everything open goes out again: after a restore the stores may not have the newest counts.
    pub fn mark_dirty(&mut self) {
        for state in &mut self.rules {
            state.dirty = state.incident.is_some();
        }
    }

    /// When, on the wall, a timer should fire if no record comes before: `(wall, event time it stands for)`.
    pub fn deadline(&self, set: &RuleSet) -> Option<(Timestamp, Timestamp)> {
        let wall_of = |event: Timestamp| self.watermark_received.plus(event.since(self.watermark));
        let mut next: Option<(Timestamp, Timestamp)> = None;
        let mut consider = |wall: Timestamp, event: Timestamp| {
            if next.is_none_or(|(w, _)| wall < w) {
                next = Some((wall, event));
            }
        };
        for state in &self.rules {
            if let Some(rule) = set.find(&state.rule) {
                if let Some(at) = state.event_deadline(rule) {
                    consider(wall_of(at), at);
                }
            } else if state.is_active() {
                consider(self.watermark_received, self.watermark);
            }
            if let Some(shelved) = state.incident.as_ref().and_then(|i| i.shelved.as_ref()) {
                consider(shelved.until, self.watermark);
            }
        }
        next
    }

    /// It waits for nothing that time alone brings: it can be written out until the next record or operation.
    pub fn is_passive(&self, set: &RuleSet) -> bool {
        self.deadline(set).is_none() && !self.is_dirty()
    }

    pub fn incidents(&self) -> impl Iterator<Item = &Incident> {
        self.rules.iter().filter_map(|s| s.incident.as_deref())
    }

    fn forget(&mut self) {
        self.rules.retain(|s| s.incident.is_some() || !s.is_quiet());
    }
}
