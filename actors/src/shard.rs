//! A shard: hosts the entities whose key hashes to it and runs them one after another.
//!
//! Fed by the router, one message per journal entry that concerns it, in journal order. What survives a restart: the entities as
//! of the last checkpoint; everything after it comes again from the journal, and entries it has applied are skipped. Effects are
//! on disk (effect journal) before the next entry is looked at, so a checkpoint never runs ahead of them.

use crate::checkpoint;
use crate::effect_log::EffectLog;
use crate::entries;
use crate::metrics;
use crate::self_log::SelfLog;
use crate::work::{Item, Judge, RecordWork, Work};
use andon_engine::control::Control;
use andon_engine::effect::Effect;
use andon_engine::entity::Entity;
use andon_engine::ids::{Position, RecordId};
use andon_engine::level::Level;
use andon_engine::ruleset::{RuleIndex, RuleSet, subject_id};
use andon_engine::subject::{Subject, SubjectKind};
use andon_engine::time::{Clock, Span, Timestamp};
use andon_storage::journal::{Append, AppendError, Journal};
use andon_storage::ports::Cursor;
use andon_storage::ports::checkpoint::{CheckpointStore, EntityChange};
use bytes::Bytes;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Different records on which one entity may panic before it is set aside.
const PANICS_MAX: usize = 3;
/// An entity that waits for nothing and has had no work for this long is written out and dropped from memory.
const PASSIVE_AFTER: Span = Span::mins(10);
/// Timers appended in one tick; the rest follow in the next.
const TIMERS_PER_TICK: usize = 1_000;

pub enum ShardMsg {
    /// From here on these rules hold. Sent at start and whenever a configuration enters the journal.
    UseRules(Arc<RuleSet>),
    Judge {
        seq: u64,
        work: Work,
    },
    /// Everything up to `cursor` has been sent before this message: save it, and say so.
    TakeCheckpoint {
        cursor: Cursor,
        reply: RpcReplyPort<bool>,
    },
    TimerTick,
    Observe(RpcReplyPort<ShardObservation>),
}

impl std::fmt::Debug for ShardMsg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            ShardMsg::UseRules(_) => "UseRules",
            ShardMsg::Judge { .. } => "Judge",
            ShardMsg::TakeCheckpoint { .. } => "TakeCheckpoint",
            ShardMsg::TimerTick => "TimerTick",
            ShardMsg::Observe(_) => "Observe",
        })
    }
}

/// What a shard says of itself; tests and the status page read the same.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ShardObservation {
    pub applied: u64,
    pub entities: usize,
    pub passive: usize,
    pub set_aside: usize,
    pub judged: u64,
    pub panics: u64,
}

/// What every shard of a pipeline shares.
#[derive(Clone)]
pub struct ShardShared {
    pub journal: Journal,
    pub effects: EffectLog,
    pub checkpoints: Arc<dyn CheckpointStore>,
    pub clock: Arc<dyn Clock>,
    pub judge: Arc<dyn Judge>,
    pub self_log: SelfLog,
    /// Set while the router has nothing more to read: only then do timers of the wall fire.
    pub at_head: Arc<AtomicBool>,
    pub rules: Arc<RuleSet>,
}

pub struct ShardArgs {
    pub number: u16,
    pub shared: ShardShared,
}

pub struct ShardState {
    number: u16,
    shared: ShardShared,
    rules: Arc<RuleSet>,
    entities: HashMap<u64, Hosted>,
    /// Keys written out: the checkpoint store has them.
    passive: HashSet<String>,
    changed: HashSet<u64>,
    timers: BTreeSet<(Timestamp, u64)>,
    /// Timers whose control entry is on its way through the journal.
    fired: HashSet<u64>,
    panics: HashMap<u64, Vec<RecordId>>,
    applied: u64,
    judged: u64,
    panics_total: u64,
}

impl std::fmt::Debug for ShardShared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ShardShared")
    }
}

impl std::fmt::Debug for ShardArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ShardArgs({})", self.number)
    }
}

impl std::fmt::Debug for ShardState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ShardState({}, {} entities)", self.number, self.entities.len())
    }
}

#[derive(Debug)]
struct Hosted {
    entity: Entity,
    /// Wall time of the last work: who has been idle for long is written out.
    touched_at: Timestamp,
    deadline: Option<Timestamp>,
}

#[derive(Debug)]
pub struct Shard;

impl Actor for Shard {
    type Msg = ShardMsg;
    type State = ShardState;
    type Arguments = ShardArgs;

    async fn pre_start(&self, _: ActorRef<ShardMsg>, args: ShardArgs) -> Result<ShardState, ActorProcessingErr> {
        ShardState::restore(args).await
    }

    async fn handle(
        &self,
        _: ActorRef<ShardMsg>,
        msg: ShardMsg,
        state: &mut ShardState,
    ) -> Result<(), ActorProcessingErr> {
        match msg {
            ShardMsg::UseRules(rules) => state.use_rules(rules),
            ShardMsg::Judge { seq, work } => state.judge(seq, work).await?,
            ShardMsg::TakeCheckpoint { cursor, reply } => {
                let saved = state.take_checkpoint(cursor).await?;
                // The router may have given up waiting; the checkpoint stands all the same.
                let _ = reply.send(saved);
            }
            ShardMsg::TimerTick => state.fire_timers().await,
            ShardMsg::Observe(reply) => {
                let _ = reply.send(state.observe());
            }
        }
        Ok(())
    }
}

pub(crate) fn key_of(subject: &Subject) -> String {
    format!("{}:{}", subject.kind.as_str(), subject.id)
}

impl ShardState {
    async fn restore(args: ShardArgs) -> Result<ShardState, ActorProcessingErr> {
        let ShardArgs { number, shared } = args;
        let saved = shared.checkpoints.load(number).await?;
        let mut state = ShardState {
            number,
            rules: shared.rules.clone(),
            shared,
            entities: HashMap::new(),
            passive: saved.cold.into_iter().collect(),
            changed: HashSet::new(),
            timers: BTreeSet::new(),
            fired: HashSet::new(),
            panics: HashMap::new(),
            applied: saved.cursor.map_or(0, |c| c.seq),
            judged: 0,
            panics_total: 0,
        };
        for (key, bytes) in saved.hot {
            let mut entity = checkpoint::decode_entity(&key, &bytes)?;
            entity.mark_dirty();
            let hash = entity.subject.hash();
            state.host(hash, entity);
            state.schedule(hash);
        }
        state.flush().await?;
        Ok(state)
    }

    fn use_rules(&mut self, rules: Arc<RuleSet>) {
        self.rules = rules;
        let all: Vec<u64> = self.entities.keys().copied().collect();
        for hash in all {
            self.schedule(hash);
        }
    }

    async fn judge(&mut self, seq: u64, work: Work) -> Result<(), ActorProcessingErr> {
        if seq <= self.applied {
            return Ok(());
        }
        let mut out = Vec::new();
        let position = Position { seq, index: 0 };
        let journal = self.shared.journal.id();
        match work {
            Work::Records { work, items } => self.judge_records(&work, &items, &mut out).await?,
            Work::Control(control) => match &*control {
                Control::TimerFired { subject, event_now, at } => {
                    let hash = self.entity(subject).await?;
                    self.fired.remove(&hash);
                    let rules = self.rules.clone();
                    if let Some(e) = self.hosted(hash) {
                        e.timer(&rules, *event_now, *at, position, &mut out);
                    }
                    self.touched(hash);
                }
                Control::Operated(op) => {
                    let hash = self.entity(&op.subject).await?;
                    let rules = self.rules.clone();
                    if let Some(e) = self.hosted(hash) {
                        e.operate(&rules, op, position, &mut out);
                    }
                    self.touched(hash);
                }
                Control::SilenceFound {
                    rule,
                    device,
                    since,
                    at,
                    unknown,
                } => {
                    let hash = self.entity(&Subject::new(SubjectKind::Device, device)).await?;
                    let rules = self.rules.clone();
                    if let Some(e) = self.hosted(hash) {
                        e.silence_found(
                            &rules,
                            rule,
                            *since,
                            *at,
                            unknown,
                            RecordId { journal, position },
                            &mut out,
                        );
                    }
                    self.touched(hash);
                }
                Control::Configured(_) => {}
            },
            Work::SilenceEnded { rule, device, at } => {
                let hash = self.entity(&Subject::new(SubjectKind::Device, device)).await?;
                if let Some(e) = self.hosted(hash) {
                    e.silence_ended(&rule, at, position, &mut out);
                }
                self.touched(hash);
            }
        }
        self.shared.effects.append(&out).await?;
        // One entry may bring several pieces of work; only a later entry proves that this one is done.
        Ok(())
    }

    async fn judge_records(
        &mut self,
        work: &RecordWork,
        items: &[Item],
        out: &mut Vec<Effect>,
    ) -> Result<(), ActorProcessingErr> {
        let rules = self.rules.clone();
        let mut matched: Vec<RuleIndex> = Vec::new();
        let mut matched_for = u32::MAX;
        let mut touched: Vec<u64> = Vec::new();
        let mut backups: HashMap<u64, Entity> = HashMap::new();
        for (done, item) in items.iter().enumerate() {
            let record = work.batch.get(item.index as usize);
            if matched_for != item.index {
                matched.clear();
                rules.matching(&record, &mut matched);
                matched_for = item.index;
            }
            let Some(id) = subject_id(&record, item.kind, rules.area(&record)) else {
                continue;
            };
            let hash = item.kind.hash(id);
            if self.panics.get(&hash).is_some_and(|p| p.len() >= PANICS_MAX) {
                continue;
            }
            if !self.entities.contains_key(&hash) {
                self.entity(&Subject::new(item.kind, id)).await?;
            }
            let Some(Hosted { entity, .. }) = self.entities.get_mut(&hash) else {
                continue;
            };
            if let std::collections::hash_map::Entry::Vacant(e) = backups.entry(hash) {
                e.insert(entity.clone());
                touched.push(hash);
            }
            let judgement = &work.judgements[item.index as usize];
            let source = work.sources[item.index as usize];
            let before = out.len();
            let judge = self.shared.judge.clone();
            let result = catch_unwind(AssertUnwindSafe(|| {
                judge.observe(entity, &rules, &matched, &record, judgement, source, out)
            }));
            self.judged += 1;
            match result {
                Ok(outcome) => metrics::judged(&outcome),
                Err(_) => {
                    out.truncate(before);
                    self.recover(work, &items[..done], *item, &backups[&hash], hash, out);
                }
            }
        }
        for hash in touched {
            self.touched(hash);
        }
        Ok(())
    }

    /// An entity panicked. It is rebuilt from before this entry and its records of this entry are judged again (their effects are
    /// already out, and the same), then the culprit once more; a second panic on it skips it. Neighbours never notice.
    fn recover(
        &mut self,
        work: &RecordWork,
        before: &[Item],
        culprit: Item,
        backup: &Entity,
        hash: u64,
        out: &mut Vec<Effect>,
    ) {
        self.panics_total += 1;
        metrics::entity_panicked();
        let judge = self.shared.judge.clone();
        let rules = self.rules.clone();
        let judge_item = |entity: &mut Entity, item: &Item, out: &mut Vec<Effect>| {
            let record = work.batch.get(item.index as usize);
            let mut matched = Vec::new();
            rules.matching(&record, &mut matched);
            let (judgement, source) = (&work.judgements[item.index as usize], work.sources[item.index as usize]);
            catch_unwind(AssertUnwindSafe(|| {
                judge.observe(entity, &rules, &matched, &record, judgement, source, out)
            }))
            .is_ok()
        };
        let concerns = |item: &&Item| {
            let record = work.batch.get(item.index as usize);
            subject_id(&record, item.kind, rules.area(&record)).is_some_and(|id| item.kind.hash(id) == hash)
        };
        let rebuild = || {
            let mut entity = backup.clone();
            let mut again = Vec::new();
            for item in before.iter().filter(concerns) {
                let kept = entity.clone();
                if !judge_item(&mut entity, item, &mut again) {
                    entity = kept;
                }
            }
            entity
        };
        let mut entity = rebuild();
        let mut effects = Vec::new();
        if judge_item(&mut entity, &culprit, &mut effects) {
            out.append(&mut effects);
        } else {
            entity = rebuild();
            let record = work.batch.get(culprit.index as usize);
            let panics = self.panics.entry(hash).or_default();
            panics.push(record.record_id);
            let set_aside = panics.len() >= PANICS_MAX;
            let (level, what) = if set_aside {
                (Level::Fatal, "is set aside: judging it failed on several records")
            } else {
                (Level::Error, "a record was skipped: judging it failed twice")
            };
            tracing::error!(subject = %entity.subject, record = %record.record_id, set_aside, "judging a record panicked");
            self.shared.self_log.write(
                level,
                "andon.judging.panic",
                &format!("{}: {what} ({})", entity.subject, record.record_id),
            );
        }
        self.host(hash, entity);
    }

    fn host(&mut self, hash: u64, entity: Entity) {
        let touched_at = self.shared.clock.now();
        match self.entities.get_mut(&hash) {
            Some(hosted) => hosted.entity = entity,
            None => {
                self.entities.insert(
                    hash,
                    Hosted {
                        entity,
                        touched_at,
                        deadline: None,
                    },
                );
            }
        }
    }

    fn hosted(&mut self, hash: u64) -> Option<&mut Entity> {
        self.entities.get_mut(&hash).map(|h| &mut h.entity)
    }

    /// The entity in memory: as it is, brought back from the store, or new.
    async fn entity(&mut self, subject: &Subject) -> Result<u64, ActorProcessingErr> {
        let hash = subject.hash();
        if !self.entities.contains_key(&hash) {
            let key = key_of(subject);
            let mut entity = Entity::new(subject.clone());
            if self.passive.remove(&key)
                && let Some(bytes) = self.shared.checkpoints.fetch(self.number, &key).await?
            {
                entity = checkpoint::decode_entity(&key, &bytes)?;
            }
            self.host(hash, entity);
        }
        Ok(hash)
    }

    fn touched(&mut self, hash: u64) {
        self.changed.insert(hash);
        if let Some(hosted) = self.entities.get_mut(&hash) {
            hosted.touched_at = self.shared.clock.now();
        }
        self.schedule(hash);
    }

    fn schedule(&mut self, hash: u64) {
        let Some(hosted) = self.entities.get_mut(&hash) else {
            return;
        };
        let next = hosted.entity.deadline(&self.rules).map(|(wall, _)| wall);
        if next == hosted.deadline {
            return;
        }
        if let Some(old) = std::mem::replace(&mut hosted.deadline, next) {
            self.timers.remove(&(old, hash));
        }
        if let Some(at) = next {
            self.timers.insert((at, hash));
        }
    }

    /// Timers that are due enter the journal; their effect comes back through the router, in its order.
    async fn fire_timers(&mut self) {
        if let Err(e) = self.flush().await {
            tracing::error!(error = %e, "effects could not be written");
            return;
        }
        if !self.shared.at_head.load(Ordering::Acquire) {
            return;
        }
        let now = self.shared.clock.now();
        let due: Vec<u64> = self
            .timers
            .iter()
            .take_while(|(at, _)| *at <= now)
            .map(|(_, h)| *h)
            .take(TIMERS_PER_TICK)
            .collect();
        for hash in due {
            let Some(Hosted { entity, .. }) = self.entities.get(&hash).filter(|_| !self.fired.contains(&hash)) else {
                continue;
            };
            let Some((_, event_now)) = entity.deadline(&self.rules) else {
                continue;
            };
            let control = Control::TimerFired {
                subject: entity.subject.clone(),
                event_now,
                at: now,
            };
            match append_control(&self.shared.journal, &control, now).await {
                Ok(_) => {
                    self.fired.insert(hash);
                }
                Err(e) => {
                    tracing::warn!(error = %e, "a timer could not be journaled; it is tried again");
                    break;
                }
            }
        }
    }

    /// Counts of open incidents that have not been given out.
    async fn flush(&mut self) -> Result<(), ActorProcessingErr> {
        let mut out = Vec::new();
        for hosted in self.entities.values_mut().filter(|h| h.entity.is_dirty()) {
            hosted.entity.flush(&mut out);
        }
        self.shared.effects.append(&out).await?;
        Ok(())
    }

    async fn take_checkpoint(&mut self, cursor: Cursor) -> Result<bool, ActorProcessingErr> {
        if cursor.seq <= self.applied {
            return Ok(true);
        }
        self.flush().await?;
        let idle_since = self.shared.clock.now().minus(PASSIVE_AFTER);
        let mut changes = Vec::with_capacity(self.changed.len());
        let mut dropped = Vec::new();
        for (&hash, hosted) in &self.entities {
            let entity = &hosted.entity;
            let key = key_of(&entity.subject);
            let passive = entity.is_passive(&self.rules);
            if self.changed.contains(&hash) {
                let state = Some(checkpoint::encode_entity(entity));
                changes.push(EntityChange {
                    key: key.clone(),
                    state,
                    hot: !passive,
                });
            }
            if passive && hosted.touched_at <= idle_since {
                dropped.push((hash, key));
            }
        }
        match self.shared.checkpoints.save(self.number, cursor, changes).await {
            Ok(()) => {}
            Err(e) if e.is_temporary() => {
                tracing::warn!(shard = self.number, error = %e, "a checkpoint could not be saved; the journal keeps what it would have covered");
                return Ok(false);
            }
            Err(e) => return Err(e.into()),
        }
        for (hash, key) in dropped {
            if let Some(at) = self.entities.remove(&hash).and_then(|h| h.deadline) {
                self.timers.remove(&(at, hash));
            }
            self.passive.insert(key);
        }
        self.changed.clear();
        self.applied = cursor.seq;
        Ok(true)
    }

    fn observe(&self) -> ShardObservation {
        ShardObservation {
            applied: self.applied,
            entities: self.entities.len(),
            passive: self.passive.len(),
            set_aside: self.panics.values().filter(|p| p.len() >= PANICS_MAX).count(),
            judged: self.judged,
            panics: self.panics_total,
        }
    }
}

/// Appends a control entry; it uses the journal's reserve, so that a journal full of records can still be operated.
pub async fn append_control(journal: &Journal, control: &Control, now: Timestamp) -> Result<u64, AppendError> {
    let entry = Append {
        kind: entries::CONTROL,
        received_at: now,
        header: Bytes::new(),
        body: entries::encode_control(control),
    };
    journal.append_reserved(entry).await
}
