//! An incident as its entity keeps it: the state that the stores see, all its fingerprints, and what has not been given out yet.
//!
//! Changes gather here while an entry is judged and leave as one group of effects: the incident first, so that a group that is
//! split over two appends never shows a line or an alert of an incident that is not there, then its timeline, then at most one
//! alert. What one entry can make an incident say is bounded: records are counted, not listed.

use super::evidence::{Evidence, clip};
use super::fingerprints::Fingerprints;
use super::transition::{Change, after};
use super::{Acknowledgement, Activity, Incident, Occurrence, Shelving, TimelineEntry, TimelineKind};
use crate::control::{Action, Operation};
use crate::effect::{Alert, AlertReason, Effect};
use crate::ids::{AlertId, IncidentId, OperationId, Position, RecordId};
use crate::level::Level;
use crate::limits::{OCCURRENCES_REMEMBERED, OPERATIONS_REMEMBERED, REPEAT_EVERY};
use crate::rule::{Condition, Direction, Priority, Rule};
use crate::ruleset::RuleSet;
use crate::subject::Subject;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use xxhash_rust::xxh3::Xxh3;

/// New faults of one entry that get a line of the timeline each; the rest share one.
const NEW_FAULT_LINES_PER_ENTRY: usize = 8;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Held {
    head: Incident,
    fingerprints: Fingerprints,
    /// Ended occurrences, oldest first: what comes late for one of them is counted there.
    ended: Vec<Ended>,
    /// The last operations, oldest first.
    operated: Vec<OperationId>,
    given_out_at: Timestamp,
    /// Nothing whenever a checkpoint is taken: everything is given out before.
    #[serde(skip)]
    pending: Pending,
}

/// The event time that an ended occurrence covers, both edges included.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Ended {
    from: Timestamp,
    to: Timestamp,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Pending {
    timeline: Vec<TimelineEntry>,
    new_fault_lines: usize,
    /// New faults beyond those that have a line, and where the last of them is.
    further_faults: Option<(u64, Timestamp, RecordId)>,
    alert: Option<Alert>,
    /// The state changed: it goes out with the entry. A count alone may wait.
    state: bool,
    counted: bool,
}

/// What belongs to an occurrence when it begins.
#[derive(Clone, Debug)]
pub(crate) struct Begun {
    /// Event time of its first record.
    pub(crate) first_at: Timestamp,
    pub(crate) records: u64,
    /// Those of them that the incident has not counted yet: an ended occurrence may have had the others.
    pub(crate) uncounted: u64,
    pub(crate) max_level: Option<Level>,
    /// Fingerprints of what is not counted yet but the record that breached, with their counts.
    pub(crate) earlier: Vec<(u64, u64, Arc<str>)>,
}

impl Begun {
    pub(crate) fn with(first_at: Timestamp, records: u64) -> Self {
        Self {
            first_at,
            records,
            uncounted: records,
            max_level: None,
            earlier: Vec::new(),
        }
    }
}

impl Held {
    /// A new incident. `change` is [`Change::Opened`], or [`Change::FoundLate`] for one whose time was over when it was found.
    pub(crate) fn open(
        subject: &Subject,
        rule: &Rule,
        evidence: &Evidence<'_>,
        begun: Begun,
        change: Change,
    ) -> Box<Held> {
        let late = change == Change::FoundLate;
        let mut held = Box::new(Held {
            head: new_incident(subject, rule, evidence, &begun),
            fingerprints: Fingerprints::default(),
            ended: Vec::new(),
            operated: Vec::new(),
            given_out_at: evidence.received_at,
            pending: Pending::default(),
        });
        held.head.activity = after(None, change).unwrap_or(Activity::Active);
        // A slow clock is not known as one from its first record: what is urgent and of this hour is not left to a summary.
        held.head.historical |= late && (rule.priority != Priority::P1 || evidence.provenance.history);
        let record = Some(evidence.record);
        held.line(TimelineKind::Opened, evidence.at, None, &evidence.text, record);
        if late {
            held.head.closed_cause = Some(Arc::from("found late"));
            held.line(
                TimelineKind::Closed,
                evidence.at,
                None,
                "it was over when it was found",
                None,
            );
        }
        held.alert(rule, AlertReason::Opened, evidence);
        held.count_fingerprint(evidence);
        held.count_earlier(begun);
        held
    }

    pub(crate) fn incident(&self) -> &Incident {
        &self.head
    }
    pub(crate) fn is_active(&self) -> bool {
        self.head.activity == Activity::Active
    }
    pub(crate) fn is_closed(&self) -> bool {
        self.head.activity == Activity::Closed
    }
    /// Counts have changed that no store has.
    pub(crate) fn has_pending(&self) -> bool {
        self.pending.state || self.pending.counted
    }

    /// Does a breach that was over at `over_at` lie before the newest occurrence, or within it once that is over?
    pub(crate) fn is_past(&self, over_at: Timestamp) -> bool {
        match self.head.activity {
            Activity::Active => over_at < self.head.occurrence.first_at,
            Activity::ReturnedToNormal => self.head.returned_at.is_some_and(|returned| over_at <= returned),
            Activity::Closed => false,
        }
    }

    /// Does `[from, to]` of event time touch an ended occurrence?
    pub(crate) fn has_ended_within(&self, from: Timestamp, to: Timestamp) -> bool {
        self.ended.iter().any(|e| e.from <= to && from <= e.to)
    }

    /// The condition holds again.
    pub(crate) fn reopen(&mut self, rule: &Rule, evidence: &Evidence<'_>, begun: Begun) {
        if !self.change(Change::Reopened, evidence.position) {
            return;
        }
        self.head.returned_at = None;
        self.head.acknowledged = None;
        self.head.reopened += 1;
        self.head.occurrence = Occurrence {
            first_at: begun.first_at,
            opened_at: evidence.at,
            count: begun.records,
        };
        // Whether it is history is a matter of what brings it back, not of what opened it.
        self.head.historical = evidence.provenance.historical;
        self.head.count += begun.uncounted;
        self.head.max_level = self.head.max_level.max(begun.max_level);
        self.learn(rule, evidence);
        self.line(
            TimelineKind::Reopened,
            evidence.at,
            None,
            &evidence.text,
            Some(evidence.record),
        );
        self.alert(rule, AlertReason::Reopened, evidence);
        self.count_fingerprint(evidence);
        self.count_earlier(begun);
    }

    /// A further record of the newest occurrence: a repeat, unless its fingerprint or its level is new.
    pub(crate) fn join(&mut self, rule: &Rule, evidence: &Evidence<'_>) {
        if !self.change(Change::Joined, evidence.position) {
            return;
        }
        self.head.count += 1;
        self.head.occurrence.count += 1;
        self.pending.counted = true;
        let raised = self.is_raised_by(evidence);
        self.learn(rule, evidence);
        let fresh = self.count_fingerprint(evidence);
        // Found in old records, and now going on in ones that are not: from here on it is live.
        let live_now = self.is_active() && self.head.historical && !evidence.provenance.historical;
        if live_now {
            self.head.historical = false;
        }
        let news = self.news(rule, raised, fresh, evidence);
        let reason = match live_now {
            // Found late: it is reported once.
            _ if self.is_closed() => None,
            true => Some(AlertReason::Opened),
            false => news,
        };
        if let Some(reason) = reason {
            self.alert(rule, reason, evidence);
        }
    }

    /// A record of an occurrence that is over: it changes the totals; what nobody has heard of is alerted all the same.
    pub(crate) fn count_late(&mut self, rule: &Rule, evidence: &Evidence<'_>) {
        if !self.change(Change::Joined, evidence.position) {
            return;
        }
        self.head.count += 1;
        self.pending.counted = true;
        let raised = self.is_raised_by(evidence);
        self.head.max_level = self.head.max_level.max(evidence.level);
        self.take_peak(rule, evidence.peak);
        let fresh = self.count_fingerprint(evidence);
        if let Some(reason) = self.news(rule, raised, fresh, evidence) {
            self.alert(rule, reason, evidence);
        }
    }

    fn is_raised_by(&self, evidence: &Evidence<'_>) -> bool {
        self.head.max_level.is_some() && evidence.level > self.head.max_level
    }

    /// What a further record says that nobody has heard of, and its line. Only where the fault is in the records' words: what a machine
    /// logs beside a reading that is beyond its limit is no new fault of the reading.
    fn news(&mut self, rule: &Rule, raised: bool, fresh: bool, evidence: &Evidence<'_>) -> Option<AlertReason> {
        if !matches!(rule.condition, Condition::Count { .. }) {
            return None;
        }
        if raised {
            let record = Some(evidence.record);
            self.line(TimelineKind::Raised, evidence.at, None, &evidence.text, record);
            return Some(AlertReason::Raised);
        }
        if fresh {
            self.new_fault_line(evidence);
        }
        fresh.then_some(AlertReason::NewFault)
    }

    /// Fingerprints seen since the breach began belong to it from the start.
    fn count_earlier(&mut self, begun: Begun) {
        for (fingerprint, by, template) in begun.earlier {
            self.fingerprints.count(fingerprint, by, || template);
        }
        self.head.fingerprints_truncated = self.fingerprints.truncated;
    }

    pub(crate) fn return_to_normal(&mut self, at: Timestamp, position: Position, why: &str) {
        if !self.change(Change::ReturnedToNormal, position) {
            return;
        }
        self.head.returned_at = Some(at);
        if self.ended.len() >= OCCURRENCES_REMEMBERED {
            self.ended.remove(0);
        }
        let from = self.head.occurrence.first_at;
        self.ended.push(Ended { from, to: at.max(from) });
        self.line(TimelineKind::ReturnedToNormal, at, None, why, None);
    }

    /// Ends it for good. `cause` is kept with the incident, `why` is the line of its timeline.
    pub(crate) fn close(&mut self, at: Timestamp, position: Position, cause: Option<&str>, why: &str) {
        if self.change(Change::Closed, position) {
            if let Some(cause) = cause {
                self.head.closed_cause = Some(Arc::from(cause));
            }
            self.line(TimelineKind::Closed, at, None, why, None);
        }
    }

    /// The clock of its source went back to `at`: the times of the newest occurrence follow it.
    pub(crate) fn step_back(&mut self, at: Timestamp, position: Position) {
        if self.head.last_at <= at {
            return;
        }
        self.head.last_at = at;
        if self.is_active() {
            let o = &mut self.head.occurrence;
            (o.first_at, o.opened_at) = (o.first_at.min(at), o.opened_at.min(at));
        }
        self.head.returned_at = self.head.returned_at.map(|r| r.min(at));
        self.touch(position);
        self.pending.state = true;
    }

    /// False when the operation was done already, or cannot be done to what is there.
    pub(crate) fn operate(&mut self, op: &Operation, position: Position) -> bool {
        if op.id != OperationId::default() {
            if self.operated.contains(&op.id) {
                return false;
            }
            if self.operated.len() >= OPERATIONS_REMEMBERED {
                self.operated.remove(0);
            }
            self.operated.push(op.id);
        }
        let (change, kind, text): (Change, TimelineKind, Arc<str>) = match &op.action {
            Action::Acknowledge if self.head.acknowledged.is_some() => return false,
            Action::Acknowledge => (Change::Acknowledged, TimelineKind::Acknowledged, Arc::from("")),
            Action::Comment { text } => (Change::Commented, TimelineKind::Commented, text.clone()),
            Action::Shelve { reason, .. } => (Change::Shelved, TimelineKind::Shelved, reason.clone()),
            Action::Unshelve if self.head.shelved.is_none() => return false,
            Action::Unshelve => (Change::Unshelved, TimelineKind::Unshelved, Arc::from("")),
            Action::Close { cause } => (Change::Closed, TimelineKind::Closed, cause.clone()),
        };
        if !self.change(change, position) {
            return false;
        }
        let by = op.who.clone();
        match &op.action {
            Action::Acknowledge => self.head.acknowledged = Some(Acknowledgement { at: op.at, by }),
            Action::Shelve { until, reason } => {
                let (until, reason) = (*until, reason.clone());
                self.head.shelved = Some(Shelving { until, by, reason });
            }
            Action::Unshelve => self.head.shelved = None,
            Action::Close { cause } => self.head.closed_cause = Some(cause.clone()),
            Action::Comment { .. } => {}
        }
        self.line(kind, op.at, Some(op.who.clone()), &text, None);
        true
    }

    /// The shelving time is over: what still holds is alerted.
    pub(crate) fn unshelve_if_due(&mut self, set: &RuleSet, wall: Timestamp, position: Position) {
        let due = self.head.shelved.as_ref().is_some_and(|s| s.until <= wall);
        if !due || !self.change(Change::Unshelved, position) {
            return;
        }
        self.head.shelved = None;
        self.line(TimelineKind::Unshelved, wall, None, "the shelving time is over", None);
        if let Some(rule) = set.find(&self.head.rule).filter(|_| self.is_active()) {
            let mut evidence = Evidence::found(set, self.head.last_record, position, wall, wall);
            evidence.text = self.head.title.to_string().into();
            self.alert(rule, AlertReason::Reopened, &evidence);
        }
    }

    /// Gives out what changed, at the end of an entry: a change of state always, a count alone at most once a second.
    pub(crate) fn give_out(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        if self.pending.state || (self.pending.counted && now.since(self.given_out_at) >= REPEAT_EVERY) {
            self.give_out_all(now, out);
        }
    }

    /// Gives out whatever changed. Nothing that judging depends on changes with it.
    pub(crate) fn give_out_all(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        if !self.has_pending() {
            return;
        }
        if let Some((n, at, record)) = self.pending.further_faults.take() {
            let text = format!("and {n} further new faults in the same request");
            self.line(TimelineKind::NewFault, at, None, &text, Some(record));
        }
        let pending = std::mem::take(&mut self.pending);
        let mut incident = Box::new(self.head.clone());
        incident.fingerprints = self.fingerprints.take_changed();
        out.push(Effect::Incident(incident));
        out.extend(pending.timeline.into_iter().map(|t| Effect::Timeline(Box::new(t))));
        out.extend(pending.alert.map(|a| Effect::Alert(Box::new(a))));
        self.given_out_at = now;
    }

    /// Everything goes out again: after a restore the stores may not have the newest counts.
    pub(crate) fn mark_pending(&mut self) {
        self.fingerprints.mark_all();
        self.pending.counted = true;
    }

    /// Checks the change against the table of transitions, and marks it.
    fn change(&mut self, change: Change, position: Position) -> bool {
        let Some(activity) = after(Some(self.head.activity), change) else {
            return false;
        };
        self.head.activity = activity;
        self.touch(position);
        true
    }

    fn touch(&mut self, position: Position) {
        self.head.position = self.head.position.max(position);
        self.head.revision += 1;
    }

    /// What the newest record says of the incident.
    fn learn(&mut self, rule: &Rule, evidence: &Evidence<'_>) {
        let i = &mut self.head;
        if evidence.at >= i.last_at {
            i.last_at = evidence.at;
            i.last_record = evidence.record;
            if !evidence.text.is_empty() {
                i.title = Arc::from(clip(&evidence.text));
            }
            if let Some(kind) = evidence.error_type {
                i.error_type = Some(Arc::from(kind));
            }
        }
        i.max_level = i.max_level.max(evidence.level);
        self.take_peak(rule, evidence.peak);
    }

    /// Over the whole incident: what came back is often not as bad as what it was at first.
    fn take_peak(&mut self, rule: &Rule, peak: Option<f64>) {
        if let (Some(peak), Condition::Limit(limit)) = (peak, &rule.condition) {
            self.head.peak = Some(match (self.head.peak, limit.direction) {
                (None, _) => peak,
                (Some(worst), Direction::Above) => worst.max(peak),
                (Some(worst), Direction::Below) => worst.min(peak),
            });
        }
    }

    fn count_fingerprint(&mut self, evidence: &Evidence<'_>) -> bool {
        let Some(template) = evidence.template else {
            return false;
        };
        let fresh = self.fingerprints.count(template.fingerprint, 1, || template.text());
        self.head.fingerprints_truncated = self.fingerprints.truncated;
        fresh
    }

    fn new_fault_line(&mut self, evidence: &Evidence<'_>) {
        if self.pending.new_fault_lines < NEW_FAULT_LINES_PER_ENTRY {
            self.pending.new_fault_lines += 1;
            self.line(
                TimelineKind::NewFault,
                evidence.at,
                None,
                &evidence.text,
                Some(evidence.record),
            );
        } else {
            let n = self.pending.further_faults.map_or(0, |(n, ..)| n);
            self.pending.further_faults = Some((n + 1, evidence.at, evidence.record));
            self.pending.state = true;
        }
    }

    /// Each line has a revision of its own: with the incident's id it is the line's identity.
    fn line(&mut self, kind: TimelineKind, at: Timestamp, who: Option<Arc<str>>, text: &str, record: Option<RecordId>) {
        self.head.revision += 1;
        self.pending.state = true;
        self.pending.timeline.push(TimelineEntry {
            incident: self.head.id,
            revision: self.head.revision,
            at,
            kind,
            who,
            text: Arc::from(clip(text)),
            record,
        });
    }

    /// Raises an alert, unless the incident is shelved or was sent as history: its timeline has it all the same. Of several in one
    /// entry the weightiest stays, and one of what goes on before one of history.
    fn alert(&mut self, rule: &Rule, reason: AlertReason, evidence: &Evidence<'_>) {
        let received_at = evidence.received_at;
        let shelved = self.head.shelved.as_ref().is_some_and(|s| s.until > received_at);
        let opens = matches!(reason, AlertReason::Opened | AlertReason::Reopened);
        let historical = self.head.historical && (opens || evidence.provenance.historical);
        let weight = (!historical, reason.weight());
        let known = self.pending.alert.as_ref().map(|a| (!a.historical, a.reason.weight()));
        if self.head.silent || shelved || known.is_some_and(|known| known >= weight) {
            return;
        }
        let position = evidence.position;
        self.pending.state = true;
        self.pending.alert = Some(Alert {
            id: alert_id(self.head.id, reason, position),
            incident: self.head.id,
            reason,
            at: evidence.at,
            received_at,
            position,
            passes_throttle: rule.passes_throttle && opens,
            historical,
            text: Arc::from(clip(&evidence.text)),
        });
    }
}

fn alert_id(incident: IncidentId, reason: AlertReason, position: Position) -> AlertId {
    let mut h = Xxh3::new();
    h.update(&incident.0.to_le_bytes());
    h.update(reason.as_str().as_bytes());
    h.update(&position.seq.to_le_bytes());
    h.update(&position.index.to_le_bytes());
    AlertId(h.digest128())
}

fn incident_id(subject: &Subject, rule: &Rule, evidence: &Evidence<'_>, first_at: Timestamp) -> IncidentId {
    let mut h = Xxh3::new();
    for part in [rule.id.as_str(), subject.kind.as_str(), &subject.id] {
        h.update(&(part.len() as u64).to_le_bytes());
        h.update(part.as_bytes());
    }
    h.update(
        &RecordId {
            journal: evidence.record.journal,
            position: evidence.position,
        }
        .to_bytes(),
    );
    // One reading may end a delay and begin another alarm: two incidents at one position.
    h.update(&first_at.as_micros().to_le_bytes());
    // One timer may open what was sent live and what was sent as history, for the same reading.
    if evidence.provenance.history {
        h.update(b"history");
    }
    IncidentId(h.digest128())
}

fn new_incident(subject: &Subject, rule: &Rule, evidence: &Evidence<'_>, begun: &Begun) -> Incident {
    let owned = |s: Option<&str>| s.map(Arc::from);
    Incident {
        id: incident_id(subject, rule, evidence, begun.first_at),
        rule: rule.id.clone(),
        subject: subject.clone(),
        priority: rule.priority,
        activity: Activity::Active,
        acknowledged: None,
        shelved: None,
        closed_cause: None,
        first_at: begun.first_at,
        opened_at: evidence.at,
        last_at: evidence.at,
        returned_at: None,
        first_record: evidence.record,
        last_record: evidence.record,
        count: begun.records,
        reopened: 0,
        occurrence: Occurrence {
            first_at: begun.first_at,
            opened_at: evidence.at,
            count: begun.records,
        },
        max_level: evidence.level.max(begun.max_level),
        peak: evidence.peak,
        title: Arc::from(clip(&evidence.text)),
        error_type: owned(evidence.error_type),
        device: owned(evidence.device),
        application: owned(evidence.application),
        user: owned(evidence.user),
        area: evidence.area(),
        source: owned(evidence.source),
        historical: evidence.provenance.historical,
        silent: evidence.provenance.history,
        fingerprints: Vec::new(),
        fingerprints_truncated: false,
        position: evidence.position,
        revision: 0,
    }
}
