//! A shard: hosts the entities whose key hashes to it and runs them one after another.
//!
//! Fed by the router, one message per journal entry that concerns it, in journal order. What survives a restart: the entities as
//! of the last checkpoint; everything after it comes again from the journal, and entries it has applied are skipped. Effects are
//! on disk (effect journal) before the next entry is looked at, its alerts when all shards have judged the entry ([`Stage`]); a checkpoint
//! waits for both.

mod hosting;
mod recovery;

use crate::checkpoint;
use crate::effect_log::EffectLog;
use crate::entries;
use crate::metrics;
use crate::self_log::SelfLog;
use crate::stage::Stage;
use crate::work::{Judge, RecordWork, Work};
use andon_engine::control::{Control, SilenceFound};
use andon_engine::effect::Effect;
use andon_engine::entity::Entity;
use andon_engine::ids::{Position, RecordId, RuleId};
use andon_engine::ruleset::{RuleEnd, RuleSet, subject_id};
use andon_engine::sequencer::Item;
use andon_engine::silence::Ended;
use andon_engine::subject::{Subject, SubjectKind};
use andon_engine::time::{Clock, Timestamp};
use andon_storage::journal::{Append, AppendError, Journal};
use andon_storage::ports::Cursor;
use andon_storage::ports::checkpoint::CheckpointStore;
use bytes::Bytes;
use hosting::Hosting;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Different records on which one entity may panic before it is set aside.
const PANICS_MAX: usize = 3;
/// Subjects of one timer entry; the rest follow with the next tick.
const TIMERS_PER_TICK: usize = 1_000;

pub enum ShardMsg {
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
    /// Entities in memory.
    pub entities: usize,
    /// Entities written out: they wait for a person.
    pub idle: usize,
    pub set_aside: usize,
    /// Timers that are due, or on their way through the journal.
    pub timers_due: usize,
    pub judged: u64,
    pub panics: u64,
    /// How often it was given other rules.
    pub rule_sets: u64,
}

/// What every shard of a pipeline shares.
#[derive(Clone)]
pub struct ShardShared {
    pub journal: Journal,
    pub effects: EffectLog,
    pub stage: Stage,
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
    shared: ShardShared,
    rules: Arc<RuleSet>,
    hosting: Hosting,
    /// Records on which an entity panicked twice.
    panics: HashMap<u64, Vec<RecordId>>,
    applied: u64,
    judged: u64,
    panics_total: u64,
    rule_sets: u64,
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
        write!(f, "ShardState({:?})", self.hosting)
    }
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
            ShardMsg::Judge { seq, work } => state.judge(seq, work).await?,
            ShardMsg::TakeCheckpoint { cursor, reply } => {
                let saved = state.take_checkpoint(cursor).await?;
                // The router may have given up waiting; the checkpoint stands all the same.
                let _ = reply.send(saved);
            }
            ShardMsg::TimerTick => state.tick().await?,
            ShardMsg::Observe(reply) => {
                let _ = reply.send(state.observe());
            }
        }
        Ok(())
    }
}

impl ShardState {
    async fn restore(args: ShardArgs) -> Result<ShardState, ActorProcessingErr> {
        let ShardArgs { number, shared } = args;
        let saved = shared.checkpoints.load(number).await?;
        let hosting = Hosting::new(number, shared.checkpoints.clone(), saved.cold);
        let mut state = ShardState {
            rules: shared.rules.clone(),
            shared,
            hosting,
            panics: HashMap::new(),
            applied: saved.cursor.map_or(0, |c| c.seq),
            judged: 0,
            panics_total: 0,
            rule_sets: 0,
        };
        let now = state.shared.clock.now();
        for (key, bytes) in saved.hot {
            let mut entity = checkpoint::decode_entity(&key, &bytes)?;
            entity.mark_pending();
            state.hosting.restore(entity, &state.rules, now);
        }
        state.flush().await?;
        Ok(state)
    }

    async fn judge(&mut self, seq: u64, work: Work) -> Result<(), ActorProcessingErr> {
        // Also when this shard has applied the entry: what follows is judged by the newest rules.
        if let Work::Rules { rules, changed, .. } = &work {
            self.rules = rules.clone();
            self.rule_sets += 1;
            // A delay that is shorter now must not wait for the timer of the longer one.
            self.hosting
                .schedule_under(changed, &self.rules, self.shared.clock.now());
        }
        if seq <= self.applied {
            return Ok(self.shared.stage.done(seq, Vec::new()).await?);
        }
        let position = Position { seq, index: 0 };
        let touched = match work {
            Work::Records { work, items } => self.judge_records(&work, &items).await?,
            Work::Rules { ended, at, .. } => self.end_rules(&ended, at, position).await?,
            Work::Timers { subjects, at } => self.judge_timers(&subjects, at, position).await?,
            Work::Operation(op) => {
                let rules = self.rules.clone();
                let (hash, entity) = self.entity(&op.subject).await?;
                entity.operate(&rules, &op, position);
                vec![hash]
            }
            Work::SilencesFound(found) => self.silences_found(&found, position).await?,
            Work::SilencesEnded { ended, why } => self.silences_ended(&ended, position, why).await?,
        };
        // One entry may bring several pieces of work; only a later entry proves that this one is done.
        self.end_entry(seq, &touched).await
    }

    /// Gives out what the entry changed, durably; its alerts leave with those of the other shards.
    async fn end_entry(&mut self, seq: u64, touched: &[u64]) -> Result<(), ActorProcessingErr> {
        let now = self.shared.clock.now();
        let mut out = Vec::new();
        for hash in touched {
            self.hosting.end_entry(*hash, &self.rules, now, &mut out);
        }
        let mut alerts = Vec::new();
        let mut changes = Vec::with_capacity(out.len());
        for effect in out {
            match effect {
                Effect::Alert(alert) => alerts.push(*alert),
                change => changes.push(change),
            }
        }
        self.append(&changes).await?;
        Ok(self.shared.stage.done(seq, alerts).await?)
    }

    async fn append(&self, effects: &[Effect]) -> Result<(), ActorProcessingErr> {
        self.shared.effects.append(effects).await?;
        Ok(())
    }

    /// The entity in memory: as it is, brought back from the store, or new.
    async fn entity(&mut self, subject: &Subject) -> Result<(u64, &mut Entity), ActorProcessingErr> {
        let now = self.shared.clock.now();
        self.hosting.entity(subject, now).await
    }

    async fn judge_timers(
        &mut self,
        subjects: &[Subject],
        at: Timestamp,
        position: Position,
    ) -> Result<Vec<u64>, ActorProcessingErr> {
        let rules = self.rules.clone();
        let mut touched = Vec::with_capacity(subjects.len());
        for subject in subjects {
            let (hash, entity) = self.entity(subject).await?;
            entity.timer(&rules, at, position);
            self.hosting.timer_came(hash);
            touched.push(hash);
        }
        Ok(touched)
    }

    async fn silences_found(
        &mut self,
        found: &[SilenceFound],
        position: Position,
    ) -> Result<Vec<u64>, ActorProcessingErr> {
        let journal = self.shared.journal.id();
        let rules = self.rules.clone();
        let mut touched = Vec::with_capacity(found.len());
        for silence in found {
            let device = Subject::new(SubjectKind::Device, &silence.device);
            let (hash, entity) = self.entity(&device).await?;
            entity.silence_found(&rules, silence, RecordId { journal, position });
            touched.push(hash);
        }
        Ok(each_once(touched))
    }

    async fn silences_ended(
        &mut self,
        ended: &[(Ended, Timestamp)],
        position: Position,
        why: &str,
    ) -> Result<Vec<u64>, ActorProcessingErr> {
        let mut touched = Vec::with_capacity(ended.len());
        for (Ended { rule, device }, at) in ended {
            let (hash, entity) = self.entity(&Subject::new(SubjectKind::Device, device)).await?;
            entity.silence_ended(rule, *at, position, why);
            touched.push(hash);
        }
        Ok(each_once(touched))
    }

    /// Rules that judge no more end what they held, wherever it is: in memory or written out.
    async fn end_rules(
        &mut self,
        ended: &[(RuleId, RuleEnd)],
        at: Timestamp,
        position: Position,
    ) -> Result<Vec<u64>, ActorProcessingErr> {
        let now = self.shared.clock.now();
        if ended.is_empty() {
            return Ok(Vec::new());
        }
        self.hosting.bring_back_all(now).await?;
        Ok(self
            .hosting
            .touch_where(|entity| entity.rules_ended(ended, at, position)))
    }

    async fn judge_records(&mut self, work: &RecordWork, items: &[Item]) -> Result<Vec<u64>, ActorProcessingErr> {
        let rules = self.rules.clone();
        let mut touched: Vec<u64> = Vec::new();
        let mut backups: HashMap<u64, Entity> = HashMap::new();
        for (done, item) in items.iter().enumerate() {
            let record = work.batch.get(item.index as usize);
            let hash = item.hash;
            if self.panics.get(&hash).is_some_and(|p| p.len() >= PANICS_MAX) {
                continue;
            }
            if !self.hosting.has(hash) {
                let Some(id) = subject_id(&record, item.subject, rules.area(&record)) else {
                    continue;
                };
                self.entity(&Subject::new(item.subject, id)).await?;
            }
            let Some(entity) = self.hosting.get_mut(hash) else {
                continue;
            };
            if let std::collections::hash_map::Entry::Vacant(e) = backups.entry(hash) {
                e.insert(entity.clone());
                touched.push(hash);
            }
            let judgement = &work.sequenced.judgements[item.index as usize];
            let matched = work.sequenced.matches(item);
            let judge = &self.shared.judge;
            let result = catch_unwind(AssertUnwindSafe(|| {
                judge.observe(entity, &rules, matched, &record, judgement)
            }));
            self.judged += 1;
            match result {
                Ok(outcome) => metrics::judged(&outcome),
                Err(_) => self.recover(work, &items[..done], *item, &backups[&hash]),
            }
        }
        Ok(touched)
    }

    async fn tick(&mut self) -> Result<(), ActorProcessingErr> {
        self.flush().await?;
        if self.shared.at_head.load(Ordering::Acquire) {
            self.fire_timers().await;
        }
        Ok(())
    }

    /// Timers that are due enter the journal, as one entry; what they change comes back through the router, in its order.
    async fn fire_timers(&mut self) {
        let now = self.shared.clock.now();
        let (hashes, subjects) = self.hosting.due(&self.rules, now, TIMERS_PER_TICK);
        if subjects.is_empty() {
            return;
        }
        let control = Control::TimersFired { subjects, at: now };
        match append_control(&self.shared.journal, &control, now).await {
            Ok(_) => self.hosting.timers_fired(&hashes),
            Err(e) => tracing::warn!(error = %e, "timers could not be journaled; they are tried again"),
        }
    }

    /// Counts of open incidents that have not been given out.
    async fn flush(&mut self) -> Result<(), ActorProcessingErr> {
        let mut out = Vec::new();
        self.hosting.flush(self.shared.clock.now(), &mut out);
        self.append(&out).await
    }

    async fn take_checkpoint(&mut self, cursor: Cursor) -> Result<bool, ActorProcessingErr> {
        if cursor.seq <= self.applied {
            return Ok(true);
        }
        self.flush().await?;
        if !self.shared.stage.settled(cursor.seq).await {
            return Ok(false);
        }
        let saved = self.hosting.save(cursor, self.shared.clock.now()).await?;
        if saved {
            self.applied = cursor.seq;
        }
        Ok(saved)
    }

    fn observe(&self) -> ShardObservation {
        ShardObservation {
            applied: self.applied,
            entities: self.hosting.in_memory(),
            idle: self.hosting.written_out(),
            set_aside: self.panics.values().filter(|p| p.len() >= PANICS_MAX).count(),
            timers_due: self.hosting.timers_due(self.shared.clock.now()),
            judged: self.judged,
            panics: self.panics_total,
            rule_sets: self.rule_sets,
        }
    }
}

/// In their order, so that a replay gives out the same.
fn each_once(mut touched: Vec<u64>) -> Vec<u64> {
    let mut seen = HashSet::with_capacity(touched.len());
    touched.retain(|hash| seen.insert(*hash));
    touched
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
