//! What the model knows of incidents: one list of all that there ever were, open and closed.

use andon_engine::control::{Action, Operation};
use andon_engine::effect::AlertReason;
use andon_engine::ids::{IncidentId, JournalId, OperationId, Position, RecordId, RuleId};
use andon_engine::incident::{Activity, TimelineKind};
use andon_engine::level::Level;
use andon_engine::limits::{FINGERPRINTS_MAX, OCCURRENCES_REMEMBERED};
use andon_engine::rule::{Condition, Direction, Priority, Rule};
use andon_engine::subject::Subject;
use andon_engine::time::Timestamp;
use std::collections::BTreeMap;
use xxhash_rust::xxh3::xxh3_128;

pub const JOURNAL: JournalId = JournalId(1);
/// New faults of one entry with a line each; the rest share one.
const LINES_PER_ENTRY: usize = 8;

/// The part of an incident that is compared.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub rule: RuleId,
    pub subject: Subject,
    pub activity: Activity,
    pub first_at: Timestamp,
    pub opened_at: Timestamp,
    pub last_at: Timestamp,
    pub returned_at: Option<Timestamp>,
    pub count: u64,
    pub reopened: u32,
    pub occurrence_first_at: Timestamp,
    pub occurrence_opened_at: Timestamp,
    pub occurrence_count: u64,
    pub max_level: Option<Level>,
    pub peak: Option<f64>,
    pub historical: bool,
    pub silent: bool,
    pub closed_cause: Option<String>,
    pub acknowledged_at: Option<Timestamp>,
    pub shelved_until: Option<Timestamp>,
    pub fingerprints: BTreeMap<u64, u64>,
    pub timeline: Vec<(TimelineKind, Timestamp)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Told {
    pub incident: IncidentId,
    pub reason: AlertReason,
    pub historical: bool,
    pub position: Position,
    pub at: Timestamp,
}

/// One event as an incident sees it.
#[derive(Clone, Debug)]
pub struct Event {
    pub at: Timestamp,
    pub received_at: Timestamp,
    pub position: Position,
    pub level: Option<Level>,
    pub peak: Option<f64>,
    pub fingerprint: u64,
    /// Sent as history.
    pub history: bool,
    /// More than an hour old when it was received.
    pub historical: bool,
}

impl Event {
    /// Something that no record says.
    pub fn found(at: Timestamp, received_at: Timestamp, position: Position) -> Event {
        Event {
            at,
            received_at,
            position,
            level: None,
            peak: None,
            fingerprint: 0,
            history: false,
            historical: false,
        }
    }
}

/// An occurrence that begins: its first event, when the condition began to hold, and what belongs to it.
#[derive(Clone, Debug)]
pub struct Begun {
    pub first_at: Timestamp,
    pub records: u64,
    /// Those that no ended occurrence of the incident has.
    pub uncounted: u64,
    /// Of the records that belong to it besides the event that is judged.
    pub fingerprints: Vec<(u64, u64)>,
    pub uncounted_fingerprints: Vec<(u64, u64)>,
    pub max_level: Option<Level>,
}

impl Begun {
    /// One of which nothing is known but how many records it has.
    pub fn with(first_at: Timestamp, records: u64) -> Begun {
        Begun {
            first_at,
            records,
            uncounted: records,
            fingerprints: Vec::new(),
            uncounted_fingerprints: Vec::new(),
            max_level: None,
        }
    }
}

#[derive(Clone, Debug)]
pub struct Incident {
    pub row: Row,
    ended: Vec<(Timestamp, Timestamp)>,
    operations: Vec<OperationId>,
    /// What the entry that is being judged has made of it so far.
    alert: Option<Told>,
    new_fault_lines: usize,
    last_further_fault: Option<Timestamp>,
}

#[derive(Default)]
pub struct Incidents {
    pub all: BTreeMap<IncidentId, Incident>,
    pub told: Vec<Told>,
}

/// Deterministic, so that a replay finds the incident that it made before.
fn id_of(rule: &Rule, subject: &Subject, event: &Event, first_at: Timestamp) -> IncidentId {
    let mut bytes = Vec::new();
    for part in [rule.id.as_str(), subject.kind.as_str(), &subject.id] {
        bytes.extend((part.len() as u64).to_le_bytes());
        bytes.extend(part.as_bytes());
    }
    let (journal, position) = (JOURNAL, event.position);
    bytes.extend(RecordId { journal, position }.to_bytes());
    bytes.extend(first_at.0.to_le_bytes());
    if event.history {
        bytes.extend(b"history");
    }
    IncidentId(xxh3_128(&bytes))
}

impl Incidents {
    pub fn get(&self, id: IncidentId) -> &Incident {
        &self.all[&id]
    }
    pub fn get_mut(&mut self, id: IncidentId) -> &mut Incident {
        self.all.get_mut(&id).expect("an incident that was opened")
    }

    pub fn open(&mut self, rule: &Rule, subject: &Subject, event: &Event, begun: &Begun, is_over: bool) -> IncidentId {
        let id = id_of(rule, subject, event, begun.first_at);
        let row = Row {
            rule: rule.id.clone(),
            subject: subject.clone(),
            activity: if is_over { Activity::Closed } else { Activity::Active },
            first_at: begun.first_at,
            opened_at: event.at,
            last_at: event.at,
            returned_at: None,
            count: begun.records,
            reopened: 0,
            occurrence_first_at: begun.first_at,
            occurrence_opened_at: event.at,
            occurrence_count: begun.records,
            max_level: event.level.max(begun.max_level),
            peak: event.peak,
            historical: event.historical || (is_over && (rule.priority != Priority::P1 || event.history)),
            silent: event.history,
            closed_cause: is_over.then(|| "found late".to_owned()),
            acknowledged_at: None,
            shelved_until: None,
            fingerprints: BTreeMap::new(),
            timeline: vec![(TimelineKind::Opened, event.at)],
        };
        let mut incident = Incident {
            row,
            ended: Vec::new(),
            operations: Vec::new(),
            alert: None,
            new_fault_lines: 0,
            last_further_fault: None,
        };
        if is_over {
            incident.line(TimelineKind::Closed, event.at);
        }
        incident.count_all(event, &begun.fingerprints);
        incident.raise(id, AlertReason::Opened, event);
        assert!(self.all.insert(id, incident).is_none(), "two incidents of one identity");
        id
    }

    pub fn reopen(&mut self, id: IncidentId, rule: &Rule, event: &Event, begun: &Begun) {
        let i = self.get_mut(id);
        let row = &mut i.row;
        row.activity = Activity::Active;
        row.returned_at = None;
        row.acknowledged_at = None;
        row.reopened += 1;
        row.historical = event.historical;
        row.occurrence_first_at = begun.first_at;
        row.occurrence_opened_at = event.at;
        row.occurrence_count = begun.records;
        row.count += begun.uncounted;
        row.last_at = row.last_at.max(event.at);
        row.max_level = row.max_level.max(event.level).max(begun.max_level);
        i.take_peak(rule, event.peak);
        i.line(TimelineKind::Reopened, event.at);
        i.count_all(event, &begun.uncounted_fingerprints);
        i.raise(id, AlertReason::Reopened, event);
    }

    /// A further record of the newest occurrence.
    pub fn join(&mut self, id: IncidentId, rule: &Rule, event: &Event) {
        let i = self.get_mut(id);
        let is_new = i.count_fingerprint(event.fingerprint, 1);
        let is_raised = i.row.max_level.is_some() && event.level > i.row.max_level;
        let goes_live = i.row.activity == Activity::Active && i.row.historical && !event.historical;
        i.row.count += 1;
        i.row.occurrence_count += 1;
        i.row.last_at = i.row.last_at.max(event.at);
        i.row.max_level = i.row.max_level.max(event.level);
        i.row.historical &= !goes_live;
        i.take_peak(rule, event.peak);
        // A reading's fault is the reading.
        let has_words = matches!(rule.condition, Condition::Count { .. });
        let (is_raised, is_new) = (is_raised && has_words, is_new && has_words);
        if is_raised {
            i.line(TimelineKind::Raised, event.at);
        } else if is_new {
            i.new_fault(event.at);
        }
        if i.row.activity == Activity::Closed {
            return;
        }
        if goes_live {
            i.raise(id, AlertReason::Opened, event);
        }
        if is_raised {
            i.raise(id, AlertReason::Raised, event);
        }
        if is_new {
            i.raise(id, AlertReason::NewFault, event);
        }
    }

    /// A record of an occurrence that is over.
    pub fn count_late(&mut self, id: IncidentId, rule: &Rule, event: &Event) {
        let i = self.get_mut(id);
        let is_raised = i.row.max_level.is_some() && event.level > i.row.max_level;
        i.row.count += 1;
        i.row.max_level = i.row.max_level.max(event.level);
        i.take_peak(rule, event.peak);
        let is_new = i.count_fingerprint(event.fingerprint, 1);
        if !matches!(rule.condition, Condition::Count { .. }) {
            return;
        }
        if is_raised {
            i.line(TimelineKind::Raised, event.at);
            i.raise(id, AlertReason::Raised, event);
        } else if is_new {
            i.new_fault(event.at);
        }
        if is_new {
            i.raise(id, AlertReason::NewFault, event);
        }
    }

    pub fn return_to_normal(&mut self, id: IncidentId, at: Timestamp) {
        let i = self.get_mut(id);
        if i.row.activity != Activity::Active {
            return;
        }
        i.row.activity = Activity::ReturnedToNormal;
        i.row.returned_at = Some(at);
        let from = i.row.occurrence_first_at;
        i.ended.push((from, at.max(from)));
        i.line(TimelineKind::ReturnedToNormal, at);
    }

    pub fn close(&mut self, id: IncidentId, at: Timestamp, cause: Option<&str>) {
        let i = self.get_mut(id);
        i.row.activity = Activity::Closed;
        if let Some(cause) = cause {
            i.row.closed_cause = Some(cause.to_owned());
        }
        i.line(TimelineKind::Closed, at);
    }

    /// The clock of its source went back to `at`.
    pub fn step_back(&mut self, id: IncidentId, at: Timestamp) {
        let row = &mut self.get_mut(id).row;
        if row.last_at <= at {
            return;
        }
        row.last_at = at;
        row.returned_at = row.returned_at.map(|r| r.min(at));
        if row.activity == Activity::Active {
            row.occurrence_first_at = row.occurrence_first_at.min(at);
            row.occurrence_opened_at = row.occurrence_opened_at.min(at);
        }
    }

    /// False when it changes nothing.
    pub fn operate(&mut self, id: IncidentId, op: &Operation) -> bool {
        let i = self.get_mut(id);
        if op.id != OperationId::default() {
            if i.operations.contains(&op.id) {
                return false;
            }
            i.operations.push(op.id);
        }
        match &op.action {
            Action::Acknowledge if i.row.acknowledged_at.is_some() => return false,
            Action::Unshelve if i.row.shelved_until.is_none() => return false,
            Action::Acknowledge => {
                i.row.acknowledged_at = Some(op.at);
                i.line(TimelineKind::Acknowledged, op.at);
            }
            Action::Comment { .. } => i.line(TimelineKind::Commented, op.at),
            Action::Shelve { until, .. } => {
                i.row.shelved_until = Some(*until);
                i.line(TimelineKind::Shelved, op.at);
            }
            Action::Unshelve => {
                i.row.shelved_until = None;
                i.line(TimelineKind::Unshelved, op.at);
            }
            Action::Close { cause } => self.close(id, op.at, Some(cause)),
        }
        true
    }

    pub fn unshelve_if_due(&mut self, id: IncidentId, wall: Timestamp, position: Position) {
        let i = self.get_mut(id);
        if i.row.shelved_until.is_none_or(|until| until > wall) {
            return;
        }
        i.row.shelved_until = None;
        i.line(TimelineKind::Unshelved, wall);
        if i.row.activity == Activity::Active {
            i.raise(id, AlertReason::Reopened, &Event::found(wall, wall, position));
        }
    }

    /// Does `[from, to]` touch an occurrence of it that has ended?
    pub fn has_ended_within(&self, id: IncidentId, from: Timestamp, to: Timestamp) -> bool {
        let ended = &self.get(id).ended;
        let known = &ended[ended.len().saturating_sub(OCCURRENCES_REMEMBERED)..];
        known.iter().any(|(f, t)| *f <= to && from <= *t)
    }

    /// The entry is judged: at most one alert of each incident.
    pub fn end_entry(&mut self) {
        for i in self.all.values_mut() {
            if let Some(at) = i.last_further_fault.take() {
                i.row.timeline.push((TimelineKind::NewFault, at));
            }
            i.new_fault_lines = 0;
            self.told.extend(i.alert.take());
        }
    }
}

impl Incident {
    fn line(&mut self, kind: TimelineKind, at: Timestamp) {
        self.row.timeline.push((kind, at));
    }

    fn new_fault(&mut self, at: Timestamp) {
        if self.new_fault_lines < LINES_PER_ENTRY {
            self.new_fault_lines += 1;
            self.line(TimelineKind::NewFault, at);
        } else {
            self.last_further_fault = Some(at);
        }
    }

    fn count_all(&mut self, event: &Event, others: &[(u64, u64)]) {
        self.count_fingerprint(event.fingerprint, 1);
        for (fingerprint, count) in others {
            self.count_fingerprint(*fingerprint, *count);
        }
    }

    /// True when it is new to the incident.
    fn count_fingerprint(&mut self, fingerprint: u64, by: u64) -> bool {
        let known = &mut self.row.fingerprints;
        let is_new = !known.contains_key(&fingerprint);
        if fingerprint == 0 || (is_new && known.len() >= FINGERPRINTS_MAX) {
            return false;
        }
        *known.entry(fingerprint).or_default() += by;
        is_new
    }

    fn take_peak(&mut self, rule: &Rule, peak: Option<f64>) {
        let Condition::Limit(limit) = &rule.condition else {
            return;
        };
        self.row.peak = match (self.row.peak, peak, limit.direction) {
            (Some(worst), Some(peak), Direction::Above) => Some(worst.max(peak)),
            (Some(worst), Some(peak), Direction::Below) => Some(worst.min(peak)),
            (worst, peak, _) => worst.or(peak),
        };
    }

    /// The weightiest of an entry stays; nobody is told of history, nor of what is shelved.
    fn raise(&mut self, id: IncidentId, reason: AlertReason, event: &Event) {
        let weight = |r: AlertReason| match r {
            AlertReason::Opened => 4,
            AlertReason::Reopened => 3,
            AlertReason::Raised => 2,
            AlertReason::NewFault => 1,
            AlertReason::Repeat => 0,
        };
        let is_shelved = self.row.shelved_until.is_some_and(|until| until > event.received_at);
        if self.row.silent || is_shelved {
            return;
        }
        let opens = matches!(reason, AlertReason::Opened | AlertReason::Reopened);
        let historical = self.row.historical && (opens || event.historical);
        if let Some(known) = &self.alert {
            let is_better = known.historical && !historical;
            let is_worse = !known.historical && historical;
            if is_worse || (!is_better && weight(known.reason) >= weight(reason)) {
                return;
            }
        }
        self.alert = Some(Told {
            incident: id,
            reason,
            historical,
            position: event.position,
            at: event.at,
        });
    }
}
