//! Drives the engine and the model through the same history, and compares what they make of it.

use crate::history::{History, START, Sent, Step};
use crate::incidents::{JOURNAL, Row, Told};
use crate::model::Model;
use andon_engine::batch::{Batch, BatchBuilder};
use andon_engine::control::{Action, Operation, SilenceFound};
use andon_engine::effect::Effect;
use andon_engine::entity::Entity;
use andon_engine::ids::{IncidentId, OperationId, Position, RecordId, RuleId};
use andon_engine::incident::{Incident, TimelineEntry};
use andon_engine::parts::ConfigurationChange;
use andon_engine::rule::{Condition, Configuration};
use andon_engine::ruleset::subject_id;
use andon_engine::sequencer::Sequencer;
use andon_engine::subject::{Subject, SubjectKind};
use andon_engine::time::{Span, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Timers that fire after the last entry before it is clear that they never come to an end.
const TIMERS_MAX: usize = 10_000;

pub type Checked = Result<(), String>;

/// What the two have come to, counted so that a run can show that its histories are worth judging.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub records: u64,
    pub incidents: u64,
    pub reopened: u64,
    pub found_late: u64,
    pub history: u64,
    pub alerts: u64,
}

impl Tally {
    pub fn add(&mut self, other: Tally) {
        self.records += other.records;
        self.incidents += other.incidents;
        self.reopened += other.reopened;
        self.found_late += other.found_late;
        self.history += other.history;
        self.alerts += other.alerts;
    }
}

/// What a store holds after applying every effect.
#[derive(Default)]
struct Store {
    incidents: BTreeMap<IncidentId, Incident>,
    fingerprints: BTreeMap<IncidentId, BTreeMap<u64, u64>>,
    timeline: BTreeMap<(IncidentId, u64), TimelineEntry>,
    told: Vec<Told>,
    /// Every state that was given out.
    given_out: BTreeMap<(IncidentId, Position, u64), Incident>,
}

impl Store {
    /// Takes what one entry said of one entity.
    fn apply(&mut self, effects: Vec<Effect>) -> Checked {
        let (mut incidents, mut alerts) = (BTreeSet::new(), BTreeSet::new());
        for effect in effects {
            match effect {
                Effect::Incident(i) => {
                    if !incidents.insert(i.id) {
                        return Err(format!("an entry gives an incident out twice: {i:?}"));
                    }
                    self.take(*i)?;
                }
                Effect::Timeline(t) => {
                    let had = self.timeline.insert((t.incident, t.revision), (*t).clone());
                    if had.is_some_and(|had| had != *t) {
                        return Err(format!("two lines of one revision: {t:?}"));
                    }
                    if !incidents.contains(&t.incident) {
                        return Err(format!("a line comes before its incident: {t:?}"));
                    }
                }
                Effect::Alert(a) => {
                    let of_device = (a.incident, a.context.device.clone());
                    if !alerts.insert(of_device) || !incidents.contains(&a.incident) {
                        return Err(format!(
                            "two alerts of one incident and device, or one before it: {a:?}"
                        ));
                    }
                    self.told.push(Told {
                        incident: a.incident,
                        device: a.context.device.as_deref().map(str::to_owned),
                        reason: a.reason,
                        historical: a.historical,
                        position: a.position,
                        at: a.at,
                    });
                }
                Effect::Registered(_) => {}
            }
        }
        Ok(())
    }

    fn take(&mut self, mut i: Incident) -> Checked {
        let known = self.fingerprints.entry(i.id).or_default();
        for f in std::mem::take(&mut i.fingerprints) {
            let count = known.entry(f.fingerprint).or_default();
            if f.count < *count {
                return Err(format!("a fingerprint's count falls from {count}: {f:?} of {i:?}"));
            }
            *count = f.count;
        }
        let state = (i.id, i.position, i.revision);
        if let Some(had) = self.given_out.insert(state, i.clone())
            && had != i
        {
            return Err(format!("two states of one position and revision: {had:?} and {i:?}"));
        }
        let had = self.incidents.insert(i.id, i.clone());
        if had.is_some_and(|had| (had.position, had.revision) > (i.position, i.revision)) {
            return Err(format!("a store would not take what is newer: {i:?}"));
        }
        Ok(())
    }

    fn rows(&self) -> BTreeMap<IncidentId, Row> {
        let mut lines: BTreeMap<IncidentId, Vec<_>> = BTreeMap::new();
        for ((id, _), line) in &self.timeline {
            lines.entry(*id).or_default().push((line.kind, line.at));
        }
        let row = |i: &Incident| Row {
            rule: i.rule.clone(),
            subject: i.subject.clone(),
            activity: i.activity,
            first_at: i.first_at,
            opened_at: i.opened_at,
            last_at: i.last_at,
            returned_at: i.returned_at,
            count: i.count,
            reopened: i.reopened,
            occurrence_first_at: i.occurrence.first_at,
            occurrence_opened_at: i.occurrence.opened_at,
            occurrence_count: i.occurrence.count,
            max_level: i.max_level,
            peak: i.peak,
            historical: i.historical,
            silent: i.silent,
            closed_cause: i.closed_cause.as_deref().map(str::to_owned),
            acknowledged_at: i.acknowledged.as_ref().map(|a| a.at),
            shelved_until: i.shelved.as_ref().map(|s| s.until),
            unshelved_at: i.unshelved_at,
            fingerprints: self.fingerprints[&i.id].clone(),
            timeline: lines.get(&i.id).cloned().unwrap_or_default(),
        };
        self.incidents.iter().map(|(id, i)| (*id, row(i))).collect()
    }
}

struct Harness {
    sequencer: Sequencer,
    /// By the hash of the subject.
    entities: BTreeMap<u64, Entity>,
    store: Store,
    model: Model,
    seq: u64,
    wall: Timestamp,
    tally: Tally,
    /// Compare after every entry, not only after the last.
    is_careful: bool,
}

/// Judges a history both ways, and gives what a store holds at the end. An error says what differs.
pub fn judged(history: &History, is_careful: bool) -> Result<(Tally, BTreeMap<IncidentId, Row>), String> {
    let mut h = Harness {
        sequencer: Sequencer::new(history.configuration.clone()),
        entities: BTreeMap::new(),
        store: Store::default(),
        model: Model::new(&history.configuration),
        seq: 0,
        wall: START,
        tally: Tally::default(),
        is_careful,
    };
    for (n, step) in history.steps.iter().enumerate() {
        h.step(step).map_err(|e| format!("step {n}: {e}"))?;
    }
    h.compare().map_err(|e| format!("after the last step: {e}"))?;
    h.come_to_an_end().map_err(|e| format!("at the end: {e}"))?;
    let rows = h.store.rows();
    h.tally.incidents = rows.len() as u64;
    h.tally.alerts = h.store.told.len() as u64;
    for row in rows.values() {
        h.tally.reopened += u64::from(row.reopened);
        h.tally.found_late += u64::from(row.closed_cause.as_deref() == Some("found late"));
        h.tally.history += u64::from(row.silent);
    }
    Ok((h.tally, rows))
}

impl Harness {
    fn step(&mut self, step: &Step) -> Checked {
        self.seq += 1;
        let position = Position {
            seq: self.seq,
            index: 0,
        };
        match step {
            Step::Records {
                received_at,
                sender,
                records,
            } => self.records(*received_at, sender, records),
            Step::Configured { at, configuration } => self.configured(configuration, *at, position),
            Step::Timers { wall } => {
                let due = self.due(*wall)?;
                self.timers(&due, *wall, position)
            }
            Step::Timer { pick, wall } => {
                let hashes: Vec<u64> = self.entities.keys().copied().collect();
                match hashes.get(pick % hashes.len().max(1)) {
                    Some(hash) => self.timers(&[*hash], *wall, position),
                    None => Ok(()),
                }
            }
            Step::Operated { pick, id, at, action } => self.operated(*pick, *id, *at, action, position),
            Step::Silence { device, since, at } => self.silent(device, *since, *at, position),
            Step::Checkpoint { at, marks } => self.checkpoint(*at, *marks),
            Step::Flush { at } => self.flush(*at),
        }?;
        if self.is_careful {
            self.compare()?;
        }
        Ok(())
    }

    fn entity(&mut self, subject: Subject) -> &mut Entity {
        self.entities
            .entry(subject.hash())
            .or_insert_with(|| Entity::new(subject))
    }

    fn records(&mut self, received_at: Timestamp, sender: &str, records: &[Sent]) -> Checked {
        self.tally.records += records.len() as u64;
        let mut builder = BatchBuilder::new();
        for r in records {
            assert!(builder.push(&r.record(received_at)));
        }
        let batch = Batch::parse(builder.finish(), JOURNAL, self.seq).expect("a batch");
        let sequenced = self.sequencer.records(&batch, sender);
        let rules = self.sequencer.rules().clone();
        let mut touched = BTreeSet::new();
        for item in &sequenced.items {
            let record = batch.get(item.index as usize);
            let judgement = &sequenced.judgements[item.index as usize];
            let id = subject_id(&record, item.subject, rules.area(&record)).expect("it names its subject");
            let subject = Subject::new(item.subject, id);
            let matched: Vec<RuleId> = sequenced
                .matches(item)
                .iter()
                .map(|m| rules.rule(m.rule).id.clone())
                .collect();
            self.model.record(&subject, &matched, &record, judgement);
            let entity = self.entity(subject);
            entity.observe(&rules, sequenced.matches(item), &record, judgement);
            touched.insert(item.hash);
        }
        self.end_entry(touched, received_at)?;
        let position = Position {
            seq: self.seq,
            index: 0,
        };
        for (ended, at) in &sequenced.ended {
            let device = Subject::new(SubjectKind::Device, &ended.device);
            self.silence_over(&ended.rule, device, *at, position, "it is heard again")?;
        }
        Ok(())
    }

    fn silence_over(&mut self, rule: &RuleId, device: Subject, at: Timestamp, pos: Position, why: &str) -> Checked {
        self.model.silence_ended(rule, &device, at, pos);
        let hash = device.hash();
        self.entity(device).silence_ended(rule, at, pos, why);
        self.end_entry([hash], at)
    }

    fn configured(&mut self, configuration: &Arc<Configuration>, at: Timestamp, position: Position) -> Checked {
        let change = if configuration.version.is_multiple_of(2) {
            ConfigurationChange {
                version: configuration.version,
                whole: false,
                changes: self.sequencer.configuration().changes_to(configuration),
            }
        } else {
            ConfigurationChange::whole(configuration)
        };
        let changed = self.sequencer.configure(&change, at);
        let Some(changed) = changed else {
            self.model.configure(configuration, at);
            return Ok(());
        };
        for ended in changed.silences {
            let device = Subject::new(SubjectKind::Device, &ended.device);
            self.silence_over(
                &ended.rule,
                device,
                at,
                position,
                "the device was taken out of the plant",
            )?;
        }
        self.model.configure(configuration, at);
        let mut touched = Vec::new();
        for (hash, entity) in &mut self.entities {
            if entity.rules_ended(&changed.rules, at, position) {
                touched.push(*hash);
            }
        }
        self.end_entry(touched, at)
    }

    /// Whose timer is due. Both must say the same.
    fn due(&self, wall: Timestamp) -> Result<Vec<u64>, String> {
        let mut due = Vec::new();
        for (hash, entity) in &self.entities {
            let deadline = entity.deadline(self.sequencer.rules(), wall);
            let want = self.model.deadline(&entity.subject, wall);
            if deadline != want {
                return Err(format!(
                    "deadline of {}: {deadline:?}, defined {want:?}",
                    entity.subject
                ));
            }
            if deadline.is_some_and(|d| d <= wall) {
                due.push(*hash);
            }
        }
        Ok(due)
    }

    fn timers(&mut self, due: &[u64], wall: Timestamp, position: Position) -> Checked {
        let rules = self.sequencer.rules().clone();
        for hash in due {
            let entity = self.entities.get_mut(hash).expect("it is there");
            self.model.timer(&entity.subject, wall, position);
            entity.timer(&rules, wall, position);
        }
        self.end_entry(due.iter().copied(), wall)
    }

    fn operated(&mut self, pick: usize, id: u128, at: Timestamp, action: &Action, position: Position) -> Checked {
        let mut incidents: Vec<&Incident> = self.store.incidents.values().collect();
        // The newest first, so that those that are open are picked more often.
        incidents.sort_by_key(|i| std::cmp::Reverse((i.position, i.id)));
        let Some(incident) = incidents.get(pick % incidents.len().clamp(1, 6)) else {
            return Ok(());
        };
        let op = Operation {
            id: OperationId(id),
            incident: incident.id,
            rule: incident.rule.clone(),
            subject: incident.subject.clone(),
            at,
            who: "ann".into(),
            action: action.clone(),
        };
        self.model.operate(&op, position);
        let rules = self.sequencer.rules().clone();
        let hash = op.subject.hash();
        self.entity(op.subject.clone()).operate(&rules, &op, position);
        self.end_entry([hash], at)
    }

    fn silent(&mut self, device: &str, since: Timestamp, at: Timestamp, position: Position) -> Checked {
        let rules = self.sequencer.rules().clone();
        let silence = |r: &&andon_engine::rule::Rule| matches!(r.condition, Condition::Silence { .. });
        let Some(rule) = rules.rules().iter().find(silence) else {
            return Ok(());
        };
        let subject = Subject::new(SubjectKind::Device, device);
        self.sequencer.silence.found(&rule.id, &device.into(), &[], since);
        self.model.silence_found(&rule.id, &subject, since, at, position);
        let found = SilenceFound {
            rule: rule.id.clone(),
            device: device.into(),
            since,
            at,
            unknown: Vec::new(),
        };
        let record = RecordId {
            journal: JOURNAL,
            position,
        };
        let hash = subject.hash();
        self.entity(subject).silence_found(&rules, &found, record);
        self.end_entry([hash], at)
    }

    fn end_entry(&mut self, touched: impl IntoIterator<Item = u64>, now: Timestamp) -> Checked {
        self.wall = now;
        self.model.end_entry();
        for hash in touched {
            let entity = self.entities.get_mut(&hash).expect("it was touched");
            let mut out = Vec::new();
            entity.end_entry(now, &mut out);
            if entity.is_blank() && entity.has_pending() {
                return Err(format!("{} is blank and has more to say", entity.subject));
            }
            if entity.is_blank() {
                self.entities.remove(&hash);
            }
            self.store.apply(out)?;
        }
        Ok(())
    }

    fn flush(&mut self, at: Timestamp) -> Checked {
        for entity in self.entities.values_mut() {
            let mut out = Vec::new();
            entity.flush(at, &mut out);
            if entity.has_pending() {
                return Err(format!("{} has more to say after all was given out", entity.subject));
            }
            self.store.apply(out)?;
        }
        Ok(())
    }

    fn checkpoint(&mut self, at: Timestamp, marks: bool) -> Checked {
        self.flush(at)?;
        for entity in self.entities.values_mut() {
            let saved = serde_json::to_vec(entity).map_err(|e| e.to_string())?;
            let mut back: Entity = serde_json::from_slice(&saved).map_err(|e| e.to_string())?;
            if back != *entity {
                return Err(format!("a checkpoint brings back {back:?} of {entity:?}"));
            }
            if marks {
                back.mark_pending();
            }
            *entity = back;
        }
        let saved = serde_json::to_vec(&self.sequencer.sources).map_err(|e| e.to_string())?;
        self.sequencer.sources = serde_json::from_slice(&saved).map_err(|e| e.to_string())?;
        Ok(())
    }

    /// What has been given out, and what is yet to be, against the model.
    fn compare(&mut self) -> Checked {
        self.flush(self.wall)?;
        let have = self.store.rows();
        let want = &self.model.incidents.all;
        for (id, row) in &have {
            let Some(defined) = want.get(id) else {
                return Err(format!("an incident that is not defined: {id:?} {row:#?}"));
            };
            if row.peak.is_none() && row.fingerprints.values().sum::<u64>() > row.count {
                return Err(format!("{id:?} has more of its fingerprints than records: {row:#?}"));
            }
            if *row != defined.row {
                return Err(format!("{id:?}: {}", difference(row, &defined.row)));
            }
        }
        if let Some((id, missing)) = want.iter().find(|(id, _)| !have.contains_key(id)) {
            return Err(format!("an incident is missing: {id:?} {:#?}", missing.row));
        }
        let sorted = |told: &[Told]| {
            let mut told = told.to_vec();
            told.sort_by_key(|t| (t.position, t.incident, t.reason.weight(), t.device.clone()));
            told
        };
        let (have, want) = (sorted(&self.store.told), sorted(&self.model.incidents.told));
        if let Some(n) = (0..have.len().max(want.len())).find(|n| have.get(*n) != want.get(*n)) {
            return Err(format!("alerts differ: {:?}, defined {:?}", have.get(n), want.get(n)));
        }
        let have: BTreeSet<Subject> = self.entities.values().map(|e| e.subject.clone()).collect();
        let want: BTreeSet<Subject> = self.model.subjects().into_iter().collect();
        if have != want {
            return Err(format!("entities {have:?}, defined {want:?}"));
        }
        self.due(self.wall).map(|_| ())
    }

    /// Nothing more comes: time alone ends everything but what waits for a person, a reading or a device.
    fn come_to_an_end(&mut self) -> Checked {
        for _ in 0..TIMERS_MAX {
            let rules = self.sequencer.rules();
            let next = self
                .entities
                .values()
                .filter_map(|e| e.deadline(rules, self.wall))
                .min();
            let Some(next) = next else {
                self.compare()?;
                let left: BTreeSet<Subject> = self.entities.values().map(|e| e.subject.clone()).collect();
                let waiting: BTreeSet<Subject> = self.model.waiting().into_iter().collect();
                return match left == waiting {
                    true => Ok(()),
                    false => Err(format!("left {left:?}, waiting {waiting:?}")),
                };
            };
            // At times a little late, as timers are.
            let late = Span(((self.seq % 3) * 400_000) as i64);
            let wall = next.plus(late).max(self.wall);
            self.seq += 1;
            let position = Position {
                seq: self.seq,
                index: 0,
            };
            let due = self.due(wall)?;
            self.timers(&due, wall, position)?;
        }
        Err("timers never come to an end".to_owned())
    }
}

/// Whose it is, and the members that differ.
fn difference(have: &Row, want: &Row) -> String {
    let mut out = format!(
        "{} of {}, {:?} since {}\n",
        have.rule, have.subject, have.activity, have.first_at
    );
    for (have, want) in members(have)
        .iter()
        .zip(&members(want))
        .filter(|(have, want)| have != want)
    {
        out += &format!("{have}\n  defined {want}\n");
    }
    out
}

/// Each with its name, on a line.
fn members(row: &Row) -> Vec<String> {
    let mut members: Vec<String> = Vec::new();
    for line in format!("{row:#?}").lines() {
        let is_inner = line.starts_with("     ") || line.starts_with("    )") || line.starts_with("    ]");
        match members.last_mut().filter(|_| is_inner || line.starts_with("    }")) {
            Some(member) => *member += &format!(" {}", line.trim()),
            None => members.push(line.trim().to_owned()),
        }
    }
    members
}
