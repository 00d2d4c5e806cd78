//! The state of one subject under one rule: what its condition has seen, and its incident.

use super::Outcome;
use crate::control::{Action, Operation};
use crate::effect::{AlertReason, Effect};
use crate::ids::{OperationId, Position, RecordId, RuleId};
use crate::incident::{Acknowledgement, Activity, Incident, Shelving, TimelineKind};
use crate::limit::{LimitChange, LimitState};
use crate::limits::{LATENESS, OPERATIONS_REMEMBERED};
use crate::record::{Flags, Record};
use crate::rule::{Condition, Limit, Rule};
use crate::ruleset::RuleSet;
use crate::sources::{Judgement, Lateness};
use crate::subject::{Subject, SubjectKind};
use crate::tell::{Cause, open_incident, tell, timeline};
use crate::time::{Span, Timestamp};
use crate::window::CountWindow;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Sources that deliver behind their receipt and have a window of their own in a shared subject; the least recent goes first.
const BEHIND_WINDOWS_MAX: usize = 64;
/// Fingerprints remembered from before an incident opens, so that what opened it is not told again as new.
const RECENT_FINGERPRINTS_MAX: usize = 64;
pub(super) const LIMIT_NORMAL: &str = "the reading is back within its limit";
/// An open incident's count goes to the stores at most this often; the shard's flush brings the rest.
const REPEAT_EVERY: Span = Span::secs(1);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct RuleState {
    pub(super) rule: RuleId,
    pub(super) judge: Judge,
    recent: Vec<RecentFingerprint>,
    pub(super) incident: Option<Box<Incident>>,
    /// The incident changed since it was last given out.
    pub(super) dirty: bool,
    told_at: Timestamp,
    /// The last operations, oldest first.
    #[serde(default)]
    operated: Vec<OperationId>,
}

/// A limit's on-delay that ended by time alone.
pub(super) struct Delayed {
    /// The first reading beyond.
    pub(super) since: Timestamp,
    pub(super) peak: f64,
    /// Of what let the time pass.
    pub(super) position: Position,
    pub(super) received_at: Timestamp,
    /// Of the newest reading before it ended.
    pub(super) history: bool,
    pub(super) historical: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Judge {
    Count {
        live: CountWindow,
        /// Records later than the lateness bound, judged among themselves.
        late: Option<Box<CountWindow>>,
        behind: Vec<(u64, CountWindow)>,
    },
    Limit(LimitState),
    Silence,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct RecentFingerprint {
    fingerprint: u64,
    last_at: Timestamp,
    count: u64,
    template: Arc<str>,
}

pub(super) fn state_of<'s>(rules: &'s mut Vec<RuleState>, rule: &Rule) -> &'s mut RuleState {
    let fits = |s: &RuleState| {
        matches!(
            (&s.judge, &rule.condition),
            (Judge::Count { .. }, Condition::Count { .. })
                | (Judge::Limit(_), Condition::Limit(_))
                | (Judge::Silence, Condition::Silence { .. })
        )
    };
    let at = match rules.iter().position(|s| s.rule == rule.id) {
        Some(at) => at,
        None => {
            rules.push(RuleState::new(rule));
            rules.len() - 1
        }
    };
    if !fits(&rules[at]) {
        // The rule kept its name and changed its kind: what was seen under the old one says nothing; its incident stays.
        rules[at].judge = Judge::new(&rule.condition);
    }
    &mut rules[at]
}

impl Judge {
    fn new(condition: &Condition) -> Judge {
        match condition {
            Condition::Count { .. } => Judge::Count {
                live: CountWindow::default(),
                late: None,
                behind: Vec::new(),
            },
            Condition::Limit(_) => Judge::Limit(LimitState::default()),
            Condition::Silence { .. } => Judge::Silence,
        }
    }
}

/// A template costs an allocation and is needed only for a fingerprint not seen before.
pub(super) struct LazyTemplate<'a> {
    pub(super) fingerprint: u64,
    message: &'a str,
    made: std::cell::OnceCell<Arc<str>>,
}

impl<'a> LazyTemplate<'a> {
    pub(super) fn new(fingerprint: u64, message: &'a str) -> Self {
        Self {
            fingerprint,
            message,
            made: std::cell::OnceCell::new(),
        }
    }
    pub(super) fn text(&self) -> Arc<str> {
        self.made
            .get_or_init(|| {
                let (template, _) = crate::fingerprint::template(self.message);
                Arc::from(crate::tell::clip(&template))
            })
            .clone()
    }
}

impl RuleState {
    pub(super) fn new(rule: &Rule) -> Self {
        Self {
            rule: rule.id.clone(),
            judge: Judge::new(&rule.condition),
            recent: Vec::new(),
            incident: None,
            dirty: false,
            told_at: Timestamp::MIN,
            operated: Vec::new(),
        }
    }

    pub(super) fn is_active(&self) -> bool {
        self.incident.as_ref().is_some_and(|i| i.activity == Activity::Active)
    }

    /// As if it had never been: forgetting it changes no judgement.
    pub(super) fn is_quiet(&self) -> bool {
        let quiet = match &self.judge {
            Judge::Count { live, late, behind } => live.is_empty() && late.is_none() && behind.is_empty(),
            Judge::Limit(l) => *l == LimitState::default(),
            Judge::Silence => true,
        };
        quiet && self.recent.is_empty()
    }

    pub(super) fn remember(&mut self, template: &LazyTemplate<'_>, at: Timestamp, within: Span) {
        if template.fingerprint == 0 {
            return;
        }
        if let Some(r) = self.recent.iter_mut().find(|r| r.fingerprint == template.fingerprint) {
            r.last_at = r.last_at.max(at);
            r.count += 1;
            return;
        }
        let floor = at.minus(within).minus(LATENESS);
        self.recent.retain(|r| r.last_at >= floor);
        if self.recent.len() >= RECENT_FINGERPRINTS_MAX {
            self.recent.remove(0);
        }
        let fingerprint = template.fingerprint;
        self.recent.push(RecentFingerprint {
            fingerprint,
            last_at: at,
            count: 1,
            template: template.text(),
        });
    }

    /// Puts the record's time into the window it belongs to. A breach gives the first time that belongs to it and how many records.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn count(
        &mut self,
        count: u32,
        within: Span,
        judgement: &Judgement,
        source: u64,
        live_record: bool,
        watermark: Timestamp,
        outcome: &mut Outcome,
    ) -> Option<(Timestamp, u32)> {
        let Judge::Count { live, late, behind } = &mut self.judge else {
            return None;
        };
        let at = judgement.at;
        let window = if judgement.lateness == Lateness::Late {
            late.get_or_insert_default()
        } else if live_record {
            live.prune(watermark, within);
            live
        } else {
            let place = match behind.iter().position(|(s, _)| *s == source) {
                Some(p) => p,
                None => {
                    if behind.len() >= BEHIND_WINDOWS_MAX {
                        behind.remove(0);
                    }
                    behind.push((source, CountWindow::default()));
                    behind.len() - 1
                }
            };
            &mut behind[place].1
        };
        let breach = window.add(at, within, count);
        if !live_record {
            // Windows of late and lagging records follow their own newest time; the live watermark says nothing about them.
            let newest = window.bounds().map_or(at, |(_, newest)| newest);
            window.prune(newest, within);
        }
        outcome.window_truncated |= window.truncated();
        breach.map(|b| (b.first, count))
    }

    pub(super) fn breach(
        &mut self,
        subject: &Subject,
        cause: &Cause<'_, '_>,
        template: &LazyTemplate<'_>,
        out: &mut Vec<Effect>,
    ) {
        if self.is_active() {
            self.join(cause, Some(template), out);
            return;
        }
        let text = cause.record.message.unwrap_or_default().to_owned();
        self.breach_with_text(subject, cause, &text, out);
        // What was seen since the window began is part of the incident from the start.
        if let Some(incident) = &mut self.incident {
            for r in self.recent.drain(..).filter(|r| r.last_at >= cause.first_at) {
                incident.count_fingerprint(r.fingerprint, r.count, || r.template);
            }
        }
        self.give_out(cause.record.received_at, out);
    }

    pub(super) fn breach_with_text(
        &mut self,
        subject: &Subject,
        cause: &Cause<'_, '_>,
        text: &str,
        out: &mut Vec<Effect>,
    ) {
        let at = cause.judgement.at;
        let position = cause.record.record_id.position;
        if self.is_active() {
            self.join(cause, None, out);
            return;
        }
        if let Some(old) = &mut self.incident {
            let comes_back = old.returned_at.is_some_and(|r| at.since(r) <= cause.rule.reopen_within);
            if comes_back {
                old.activity = Activity::Active;
                old.returned_at = None;
                old.acknowledged = None;
                old.reopened += 1;
                // Whether anybody is told is a matter of what brings it back, not of what opened it.
                old.silent = cause.is_history();
                old.historical = cause.judgement.historical;
                old.take(cause, text);
                timeline(
                    old,
                    TimelineKind::Reopened,
                    at,
                    None,
                    text,
                    Some(cause.record.record_id),
                    out,
                );
                tell(old, AlertReason::Reopened, cause, text, out);
                self.give_out(cause.record.received_at, out);
                return;
            }
            old.activity = Activity::Closed;
            old.closed_cause = Some(Arc::from("recurred"));
            old.touch(position);
            timeline(
                old,
                TimelineKind::Closed,
                at,
                None,
                "it came back after the reopen time: a new incident",
                None,
                out,
            );
            out.push(Effect::Incident(old.clone()));
        }
        let mut incident = open_incident(subject, cause, text);
        timeline(
            &mut incident,
            TimelineKind::Opened,
            at,
            None,
            text,
            Some(cause.record.record_id),
            out,
        );
        tell(&incident, AlertReason::Opened, cause, text, out);
        self.incident = Some(Box::new(incident));
        self.give_out(cause.record.received_at, out);
    }

    /// A record of an open incident: a repeat, unless its fingerprint or its level is new.
    pub(super) fn join(&mut self, cause: &Cause<'_, '_>, template: Option<&LazyTemplate<'_>>, out: &mut Vec<Effect>) {
        let holds = match &self.judge {
            Judge::Limit(limit) => limit.holds(),
            Judge::Count { .. } | Judge::Silence => true,
        };
        let Some(incident) = &mut self.incident else { return };
        let text = cause.record.message.unwrap_or_default();
        // Opened by history, it was told to nobody; it goes on in what is not history.
        let live_now = incident.silent && holds && !cause.is_history();
        if live_now {
            incident.silent = false;
            incident.historical = cause.judgement.historical;
        }
        let raised = cause.record.level > incident.max_level && incident.max_level.is_some();
        incident.count += 1;
        incident.take(cause, text);
        let fresh = template
            .filter(|t| t.fingerprint != 0)
            .is_some_and(|t| incident.count_fingerprint(t.fingerprint, 1, || t.text()));
        self.dirty = true;
        if raised || fresh {
            let (kind, reason) = if raised {
                (TimelineKind::Raised, AlertReason::Raised)
            } else {
                (TimelineKind::NewFault, AlertReason::NewFault)
            };
            timeline(
                incident,
                kind,
                cause.judgement.at,
                None,
                text,
                Some(cause.record.record_id),
                out,
            );
            tell(incident, reason, cause, text, out);
            self.give_out(cause.record.received_at, out);
        } else if live_now {
            let title = incident.title.clone();
            tell(incident, AlertReason::Opened, cause, &title, out);
            self.give_out(cause.record.received_at, out);
        } else if cause.record.received_at.since(self.told_at) >= REPEAT_EVERY {
            self.give_out(cause.record.received_at, out);
        }
    }

    pub(super) fn give_out(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        if let Some(incident) = &self.incident {
            out.push(Effect::Incident(incident.clone()));
            self.dirty = false;
            self.told_at = now;
        }
    }

    #[allow(clippy::too_many_arguments)]
    pub(super) fn limit(
        &mut self,
        subject: &Subject,
        set: &RuleSet,
        rule: &Rule,
        limit: &Limit,
        record: &Record<'_>,
        judgement: &Judgement,
        out: &mut Vec<Effect>,
    ) -> u32 {
        let Some(value) = record.reading(&limit.reading) else {
            return 0;
        };
        let Judge::Limit(judge) = &mut self.judge else { return 0 };
        let changes = judge.observe(limit, rule.off_delay, judgement.at, value);
        let peak = judge.peak();
        let cause = |first_at, peak| Cause {
            set,
            rule,
            record,
            judgement,
            first_at,
            records: 1,
            peak,
        };
        if changes.is_empty() && self.is_active() {
            self.join(&cause(judgement.at, peak), None, out);
        }
        let mut breached = 0;
        for change in changes {
            match change {
                LimitChange::Activated { since, peak } => {
                    self.breach_with_text(subject, &cause(since, Some(peak)), &limit_text(limit, peak), out);
                    breached += 1;
                }
                LimitChange::Normal { at } => self.return_to_normal(at, record.record_id.position, LIMIT_NORMAL, out),
            }
        }
        breached
    }

    /// The on-delay ended between two readings, or no further one came.
    pub(super) fn limit_activated_by_time(
        &mut self,
        subject: &Subject,
        set: &RuleSet,
        rule: &Rule,
        delayed: &Delayed,
        out: &mut Vec<Effect>,
    ) {
        let Condition::Limit(limit) = &rule.condition else {
            return;
        };
        let Delayed { since, peak, .. } = *delayed;
        let at = since.plus(limit.on_delay);
        let record = Record {
            record_id: RecordId {
                position: delayed.position,
                ..RecordId::default()
            },
            timestamp: at,
            received_at: delayed.received_at,
            device_id: (subject.kind == SubjectKind::Device).then_some(&*subject.id),
            flags: if delayed.history {
                Flags::HISTORY
            } else {
                Flags::default()
            },
            ..Record::default()
        };
        let judgement = Judgement {
            historical: delayed.historical,
            ..Judgement::now(at)
        };
        let cause = Cause {
            set,
            rule,
            record: &record,
            judgement: &judgement,
            first_at: since,
            records: 1,
            peak: Some(peak),
        };
        self.breach_with_text(subject, &cause, &limit_text(limit, peak), out);
    }

    /// The event time at which an active count incident counts as normal if nothing more comes.
    pub(super) fn normal_at(&self, rule: &Rule) -> Option<Timestamp> {
        if !self.is_active() {
            return None;
        }
        let (Condition::Count { count, within }, Judge::Count { live, late, behind }) = (&rule.condition, &self.judge)
        else {
            return None;
        };
        let windows = behind.iter().map(|(_, w)| w).chain(late.as_deref()).chain([live]);
        let held = windows.filter_map(|w| w.holds_until(*count, *within)).max();
        // Nothing in any window (they were pruned, or the rule changed): it ended with its last record.
        let held = held.or(self.incident.as_ref().map(|i| i.last_at))?;
        Some(held.plus(rule.off_delay.max(Span::micros(1))))
    }

    pub(super) fn event_deadline(&self, rule: &Rule) -> Option<Timestamp> {
        let limit = match &self.judge {
            Judge::Limit(judge) => match &rule.condition {
                Condition::Limit(limit) => judge.deadline(limit, rule.off_delay),
                _ => None,
            },
            _ => None,
        };
        let settle = self.settles_at(rule);
        [self.normal_at(rule), limit, settle].into_iter().flatten().min()
    }

    pub(super) fn settles_at(&self, rule: &Rule) -> Option<Timestamp> {
        let incident = self.incident.as_ref()?;
        incident.acknowledged.as_ref()?;
        Some(incident.returned_at?.plus(rule.reopen_within))
    }

    /// Normal, acknowledged, and past the reopen time: nobody has anything left to do with it.
    pub(super) fn settle(&mut self, rule: &Rule, watermark: Timestamp, position: Position, out: &mut Vec<Effect>) {
        if self.settles_at(rule).is_some_and(|at| at <= watermark)
            && let Some(mut incident) = self.incident.take()
        {
            incident.activity = Activity::Closed;
            incident.touch(position);
            timeline(
                &mut incident,
                TimelineKind::Closed,
                watermark,
                None,
                "normal and acknowledged",
                None,
                out,
            );
            out.push(Effect::Incident(incident));
        }
        if self.incident.as_ref().is_some_and(|i| i.activity == Activity::Closed) {
            self.incident = None;
        }
    }

    pub(super) fn return_to_normal(&mut self, at: Timestamp, position: Position, why: &str, out: &mut Vec<Effect>) {
        if !self.is_active() {
            return;
        }
        if let Some(incident) = &mut self.incident {
            incident.activity = Activity::ReturnedToNormal;
            incident.returned_at = Some(at);
            incident.touch(position);
            timeline(incident, TimelineKind::ReturnedToNormal, at, None, why, None, out);
            out.push(Effect::Incident(incident.clone()));
            self.dirty = false;
        }
    }

    pub(super) fn unshelve_if_due(
        &mut self,
        set: &RuleSet,
        wall: Timestamp,
        position: Position,
        out: &mut Vec<Effect>,
    ) {
        let Some(incident) = &mut self.incident else { return };
        if incident.shelved.as_ref().is_none_or(|s| s.until > wall) {
            return;
        }
        incident.shelved = None;
        incident.touch(position);
        timeline(
            incident,
            TimelineKind::Unshelved,
            wall,
            None,
            "the shelving time is over",
            None,
            out,
        );
        if incident.activity == Activity::Active
            && let Some(rule) = set.find(&self.rule)
        {
            let record = Record {
                record_id: RecordId {
                    position,
                    ..RecordId::default()
                },
                received_at: wall,
                ..Record::default()
            };
            let judgement = Judgement::now(wall);
            let cause = Cause {
                set,
                rule,
                record: &record,
                judgement: &judgement,
                first_at: wall,
                records: 0,
                peak: None,
            };
            let text = incident.title.clone();
            tell(incident, AlertReason::Reopened, &cause, &text, out);
        }
        out.push(Effect::Incident(incident.clone()));
        self.dirty = false;
    }

    pub(super) fn operate(&mut self, op: &Operation, position: Position, out: &mut Vec<Effect>) {
        let Some(incident) = &mut self.incident else { return };
        if op.id != OperationId::default() {
            if self.operated.contains(&op.id) {
                return;
            }
            if self.operated.len() >= OPERATIONS_REMEMBERED {
                self.operated.remove(0);
            }
            self.operated.push(op.id);
        }
        let (kind, text): (TimelineKind, Arc<str>) = match &op.action {
            Action::Acknowledge => {
                if incident.acknowledged.is_some() {
                    return;
                }
                incident.acknowledged = Some(Acknowledgement {
                    at: op.at,
                    by: op.who.clone(),
                });
                (TimelineKind::Acknowledged, Arc::from(""))
            }
            Action::Comment { text } => (TimelineKind::Commented, text.clone()),
            Action::Shelve { until, reason } => {
                incident.shelved = Some(Shelving {
                    until: *until,
                    by: op.who.clone(),
                    reason: reason.clone(),
                });
                (TimelineKind::Shelved, reason.clone())
            }
            Action::Unshelve => {
                if incident.shelved.take().is_none() {
                    return;
                }
                (TimelineKind::Unshelved, Arc::from(""))
            }
            Action::Close { cause } => {
                incident.activity = Activity::Closed;
                incident.closed_cause = Some(cause.clone());
                // Closed by hand while the condition holds: it takes a new breach, not the old records, to open the next.
                if let Judge::Count { live, late, behind } = &mut self.judge {
                    *live = CountWindow::default();
                    *late = None;
                    behind.clear();
                }
                self.recent.clear();
                (TimelineKind::Closed, cause.clone())
            }
        };
        incident.touch(position);
        timeline(incident, kind, op.at, Some(op.who.clone()), &text, None, out);
        out.push(Effect::Incident(incident.clone()));
        self.dirty = false;
    }
}

fn limit_text(limit: &Limit, value: f64) -> String {
    let side = match limit.direction {
        crate::rule::Direction::Above => "above",
        crate::rule::Direction::Below => "below",
    };
    let unit = limit.unit.as_deref().map(|u| format!(" {u}")).unwrap_or_default();
    format!(
        "{} {value}{unit} is {side} its limit of {}{unit}",
        limit.reading, limit.bound
    )
}
