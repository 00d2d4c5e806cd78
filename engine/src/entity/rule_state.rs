//! The state of one subject under one rule: what its condition has seen, its incident, and incidents found late.

use crate::condition::{Breached, Deadline, Input, Now, State, Taken, Verdict, Verdicts, evidence_of, window};
use crate::control::{Action, Operation};
use crate::effect::Effect;
use crate::ids::{Position, RuleId};
use crate::incident::evidence::{Evidence, describe};
use crate::incident::held::Held;
use crate::incident::transition::Change;
use crate::incident::{Activity, Incident};
use crate::limits::{LATE_INCIDENTS_MAX, LATENESS};
use crate::rule::{Condition, Rule};
use crate::ruleset::{RuleEnd, RuleSet};
use crate::subject::Subject;
use crate::time::{Span, Timestamp};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct RuleState {
    pub(super) rule: RuleId,
    condition: State,
    /// The incident of the present.
    present: Option<Box<Held>>,
    /// Incidents whose time was over when they were found; further records of that time belong to them.
    late: Vec<Late>,
    /// Incidents that have ended with this entry and are yet to be given out.
    #[serde(skip)]
    leaving: Vec<Held>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Late {
    held: Box<Held>,
    /// Event time that it covers, both edges included.
    from: Timestamp,
    to: Timestamp,
    /// Receipt of its newest record.
    received_at: Timestamp,
}

impl RuleState {
    pub(super) fn new(rule: &Rule) -> Self {
        Self {
            rule: rule.id.clone(),
            condition: State::new(&rule.condition),
            present: None,
            late: Vec::new(),
            leaving: Vec::new(),
        }
    }

    pub(super) fn incidents(&self) -> impl Iterator<Item = &Incident> {
        self.present.iter().map(|h| h.incident())
    }
    pub(super) fn present(&self) -> Option<&Held> {
        self.present.as_deref()
    }

    /// As if it had never been: forgetting it changes no judgement.
    pub(super) fn is_quiet(&self, event_now: Option<Timestamp>) -> bool {
        self.present.is_none() && self.late.is_empty() && self.leaving.is_empty() && self.condition.is_quiet(event_now)
    }

    pub(super) fn has_pending(&self) -> bool {
        self.all_held().any(|h| h.has_pending())
    }

    fn all_held(&self) -> impl Iterator<Item = &Held> {
        let late = self.late.iter().map(|l| &*l.held);
        self.leaving.iter().chain(late).chain(self.present.as_deref())
    }

    pub(super) fn observe(
        &mut self,
        subject: &Subject,
        rule: &Rule,
        input: &Input<'_>,
        evidence: &Evidence<'_>,
    ) -> (Taken, u32) {
        if !self.condition.fits(&rule.condition) {
            self.condition = State::new(&rule.condition);
        }
        let mut found = Verdicts::default();
        let seen = self.condition.observe(rule, input, self.present.as_deref(), &mut found);
        let mut breached = 0;
        for verdict in found {
            match verdict {
                Verdict::Breach(breach) => {
                    breached += 1;
                    let mut evidence = Evidence {
                        at: breach.at,
                        ..evidence.clone()
                    };
                    if evidence.text.is_empty() && (breach.is_over || !self.present().is_some_and(Held::is_active)) {
                        evidence.text = describe(input.record).into();
                    }
                    self.breach(subject, rule, &breach, evidence_of(&breach, evidence));
                }
                Verdict::Record { peak } => self.record(
                    rule,
                    &Evidence {
                        peak,
                        ..evidence.clone()
                    },
                ),
                Verdict::Normal { at, why } => self.return_to_normal(at, evidence.position, why),
            }
        }
        (seen, breached)
    }

    /// Time has come to `now`, by an entry at `position`.
    pub(super) fn advance(&mut self, set: &RuleSet, subject: &Subject, rule: &Rule, now: Now, position: Position) {
        let mut found = Verdicts::default();
        self.condition.advance(rule, now, &mut found);
        for verdict in found {
            match verdict {
                Verdict::Breach(breach) => {
                    let record = breach.begun_by.map(|(r, _)| r).unwrap_or_default();
                    let mut evidence = Evidence::found(set, record, position, breach.at, now.received);
                    evidence.device = subject.device();
                    self.breach(subject, rule, &breach, evidence_of(&breach, evidence));
                }
                Verdict::Normal { at, why } => self.return_to_normal(at, position, why),
                Verdict::Record { .. } => {}
            }
        }
        self.settle(rule, now, position);
        let kept = late_kept(rule);
        let leaving = &mut self.leaving;
        self.late.retain_mut(|l| {
            let keep = now.received.since(l.received_at) <= kept;
            if !keep && l.held.has_pending() {
                leaving.push((*l.held).clone());
            }
            keep
        });
    }

    /// The condition holds, or held at a time that is over.
    pub(super) fn breach(&mut self, subject: &Subject, rule: &Rule, breach: &Breached, evidence: Evidence<'_>) {
        if breach.is_over {
            self.breach_found_late(subject, rule, breach, &evidence);
            return;
        }
        let own = evidence.template.map_or(0, |t| t.fingerprint);
        match &mut self.present {
            Some(held) if held.is_active() => {
                held.join(rule, &evidence);
            }
            Some(held)
                if held
                    .incident()
                    .returned_at
                    .is_some_and(|r| breach.at.since(r) <= rule.reopen_within) =>
            {
                let is_counted = |at| held.has_ended_within(at, at);
                let begun = self.condition.begun(breach, own, is_counted);
                held.reopen(rule, &evidence, begun);
            }
            _ => {
                self.retire(
                    breach.at,
                    evidence.position,
                    "recurred",
                    "it came back after the reopen time: a new incident",
                );
                let begun = self.condition.begun(breach, own, |_| false);
                self.present = Some(Held::open(subject, rule, &evidence, begun, Change::Opened));
            }
        }
    }

    /// It belongs to the occurrence that covers its time, else to an incident of that time, which is reported once.
    fn breach_found_late(&mut self, subject: &Subject, rule: &Rule, breach: &Breached, evidence: &Evidence<'_>) {
        let (from, to) = (breach.first_at, breach.until.unwrap_or(breach.at));
        if let Some(held) = &mut self.present {
            if held.is_active() && to >= held.incident().occurrence.first_at {
                held.join(rule, evidence);
                return;
            }
            if held.has_ended_within(breach.at, to) {
                held.count_late(rule, evidence);
                return;
            }
        }
        let gap = rule.reopen_within.max(Span::ZERO);
        if let Some(late) = self
            .late
            .iter_mut()
            .find(|l| from.since(l.to) <= gap && l.from.since(to) <= gap)
        {
            late.held.join(rule, evidence);
            (late.from, late.to) = (late.from.min(from), late.to.max(to));
            late.received_at = late.received_at.max(evidence.received_at);
            return;
        }
        if self.late.len() >= LATE_INCIDENTS_MAX
            && let Some((oldest, _)) = self.late.iter().enumerate().min_by_key(|(_, l)| l.received_at)
        {
            self.leaving.push(*self.late.remove(oldest).held);
        }
        let own = evidence.template.map_or(0, |t| t.fingerprint);
        let begun = self.condition.begun(breach, own, |_| false);
        let held = Held::open(subject, rule, evidence, begun, Change::FoundLate);
        self.late.push(Late {
            held,
            from,
            to,
            received_at: evidence.received_at,
        });
    }

    /// A record that does not breach: it is counted where its time belongs.
    fn record(&mut self, rule: &Rule, evidence: &Evidence<'_>) {
        let at = evidence.at;
        if let Some(held) = &mut self.present {
            let reach = self.condition.reach(rule);
            if held.is_active() && at >= held.incident().occurrence.first_at.minus(reach) {
                held.join(rule, evidence);
                return;
            }
            if held.has_ended_within(at, at) {
                held.count_late(rule, evidence);
                return;
            }
        }
        if let Some(late) = self.late.iter_mut().find(|l| l.from <= at && at <= l.to) {
            late.held.join(rule, evidence);
            late.received_at = late.received_at.max(evidence.received_at);
        }
    }

    pub(super) fn return_to_normal(&mut self, at: Timestamp, position: Position, why: &str) {
        if let Some(held) = &mut self.present {
            held.return_to_normal(at, position, why);
        }
    }

    /// The present incident ends for good.
    fn retire(&mut self, at: Timestamp, position: Position, cause: &str, why: &str) {
        if let Some(mut held) = self.present.take() {
            held.close(at, position, Some(cause), why);
            self.leaving.push(*held);
        }
    }

    /// When it closes by itself: normal, past the reopen time, and acknowledged; of history nobody is asked to acknowledge it.
    fn settles_at(&self, rule: &Rule) -> Option<Timestamp> {
        let incident = self.present.as_ref()?.incident();
        if incident.acknowledged.is_none() && !incident.silent {
            return None;
        }
        Some(incident.returned_at?.plus(rule.reopen_within))
    }

    fn settle(&mut self, rule: &Rule, now: Now, position: Position) {
        let time = if is_on_wall(rule) { now.received } else { now.event };
        if self.settles_at(rule).is_some_and(|at| at <= time)
            && let Some(mut held) = self.present.take()
        {
            let why = if held.incident().silent {
                "normal"
            } else {
                "normal and acknowledged"
            };
            held.close(time, position, None, why);
            self.leaving.push(*held);
        }
    }

    pub(super) fn operate(&mut self, rule: Option<&Rule>, op: &Operation, now: Now, position: Position) {
        let Some(held) = self.present.as_mut().filter(|h| h.incident().id == op.incident) else {
            return;
        };
        if !held.operate(op, position) {
            return;
        }
        if matches!(op.action, Action::Close { .. }) {
            self.condition.reset();
        }
        if held.incident().activity == Activity::Closed {
            self.leaving.extend(self.present.take().map(|h| *h));
        }
        if let Some(rule) = rule {
            self.settle(rule, now, position);
        }
    }

    pub(super) fn unshelve_if_due(&mut self, wall: Timestamp, position: Position) {
        if let Some(held) = &mut self.present {
            held.unshelve_if_due(wall, position);
        }
    }

    /// The rule was removed, switched off or changed: nothing judges the incident by what it was any more.
    pub(super) fn rule_ended(&mut self, end: RuleEnd, at: Timestamp, position: Position) {
        self.condition = State::Silence;
        self.leaving.extend(self.late.drain(..).map(|l| *l.held));
        let why = end.reason();
        self.return_to_normal(at, position, why);
        if end != RuleEnd::Changed {
            self.retire(at, position, why, why);
        }
    }

    pub(super) fn step_back(&mut self, rule: Option<&Rule>, at: Timestamp, position: Position) {
        if let Some(rule) = rule {
            self.condition.step_back(rule, at);
        }
        if let Some(held) = &mut self.present {
            held.step_back(at, position);
        }
    }

    pub(super) fn deadlines(&self, rule: Option<&Rule>, mut each: impl FnMut(Deadline)) {
        if let Some(rule) = rule {
            self.condition.deadlines(rule, &mut each);
            if let Some(at) = self.settles_at(rule) {
                each(if is_on_wall(rule) {
                    Deadline::Wall(at)
                } else {
                    Deadline::Event(at)
                });
            }
            for late in &self.late {
                each(Deadline::Wall(
                    late.received_at.plus(late_kept(rule)).plus(Span::micros(1)),
                ));
            }
        }
        if let Some(shelved) = self.present.as_ref().and_then(|h| h.incident().shelved.as_ref()) {
            each(Deadline::Wall(shelved.until));
        }
    }

    pub(super) fn give_out(&mut self, now: Timestamp, all: bool, out: &mut Vec<Effect>) {
        for mut held in self.leaving.drain(..) {
            held.give_out_all(now, out);
        }
        for held in self.late.iter_mut().map(|l| &mut l.held).chain(&mut self.present) {
            if all {
                held.give_out_all(now, out);
            } else {
                held.give_out(now, out);
            }
        }
    }

    pub(super) fn mark_pending(&mut self) {
        for held in self.late.iter_mut().map(|l| &mut l.held).chain(&mut self.present) {
            held.mark_pending();
        }
    }
}

/// How long after its newest record an incident found late takes further ones: as long as a window keeps what came late.
fn late_kept(rule: &Rule) -> Span {
    match rule.condition {
        Condition::Count { within, .. } => window::kept(within),
        Condition::Limit(_) | Condition::Silence { .. } => LATENESS,
    }
}

/// Silence is found on the wall clock; everything else happens in event time.
fn is_on_wall(rule: &Rule) -> bool {
    matches!(rule.condition, Condition::Silence { .. })
}
