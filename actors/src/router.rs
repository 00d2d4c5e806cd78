//! The router: one sequencer that hands each journal entry to the shards it concerns, in journal order, after its fsync.
//!
//! Owns what is judged once for all shards: the clocks of sources, the silence of devices, which devices are known, and the
//! configuration in force. Fed by a reader of the journal. What survives a restart: its state as of the last checkpoint, which is
//! never newer than that of any shard, so that a replay from there misses nothing and shards skip what they have.

use crate::effect_log::EffectLog;
use crate::entries::{self, CONTROL, RECORDS};
use crate::metrics;
use crate::router_checkpoint::{Tables, Unsaved};
use crate::shard::{ShardMsg, append_control};
use crate::work::{Item, RecordWork, Work};
use andon_engine::batch::Batch;
use andon_engine::control::Control;
use andon_engine::effect::{Effect, Registered};
use andon_engine::ids::RuleId;
use andon_engine::intake;
use andon_engine::record::Flags;
use andon_engine::rule::{Condition, Configuration, Rule};
use andon_engine::ruleset::{RuleIndex, RuleSet, subject_id};
use andon_engine::sources::history_source;
use andon_engine::subject::{Subject, SubjectKind};
use andon_engine::time::{Clock, Span, Timestamp};
use andon_storage::journal::{Entry, Holder, Journal, Reader};
use andon_storage::ports::Cursor;
use andon_storage::ports::checkpoint::CheckpointStore;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use xxhash_rust::xxh3::xxh3_64;

/// The router's own row in the checkpoint store, beside those of the shards.
pub const ROUTER_SHARD: u16 = u16::MAX;
/// Entries handed on before the mailbox is looked at again.
const PUMP_ENTRIES: usize = 256;
/// Longest wait for a new entry before the mailbox is looked at again.
const PUMP_WAIT: Duration = Duration::from_millis(100);
/// Bytes of batches that shards have not handled yet, in KiB: bounds their (unbounded) mailboxes. Past it the router waits, ingest
/// goes on, and the lag lies on disk.
pub const IN_FLIGHT_KIB: u32 = 64 * 1024;
/// Devices and applications that are registered by their first record; past it they are judged all the same, but not listed.
const REGISTERED_MAX: usize = 1_000_000;
/// How often the wall is asked whether a device has gone silent.
const SILENCE_EVERY: Span = Span::secs(1);

pub struct RouterArgs {
    pub journal: Journal,
    pub shards: Vec<ActorRef<ShardMsg>>,
    pub effects: EffectLog,
    pub checkpoints: Arc<dyn CheckpointStore>,
    pub clock: Arc<dyn Clock>,
    pub configuration: watch::Sender<Arc<Configuration>>,
    pub at_head: Arc<AtomicBool>,
    pub routed: watch::Sender<u64>,
    pub accepting_since: Timestamp,
    pub checkpoint_every: Span,
    pub holder: Arc<Holder>,
    pub start: RouterStart,
}

impl std::fmt::Debug for RouterArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RouterArgs({} shards)", self.shards.len())
    }
}

/// What [`load`] found: where to read on from.
#[derive(Debug)]
pub struct RouterStart {
    saved: Tables,
    cursor: u64,
}

impl RouterStart {
    pub fn configuration(&self) -> &Configuration {
        &self.saved.configuration
    }
    pub fn cursor(&self) -> u64 {
        self.cursor
    }
}

/// The router's last checkpoint, or a fresh start. The shards need its configuration before they restore.
pub async fn load(checkpoints: &dyn CheckpointStore) -> Result<RouterStart, ActorProcessingErr> {
    let saved = checkpoints.load(ROUTER_SHARD).await?;
    Ok(RouterStart {
        saved: Tables::load(&saved.hot)?,
        cursor: saved.cursor.map_or(0, |c| c.seq),
    })
}

pub enum RouterMsg {
    Pump,
    Tick,
    /// Save everything up to where the router is now; answers whether it was saved.
    TakeCheckpoint(RpcReplyPort<bool>),
    Observe(RpcReplyPort<RouterObservation>),
}

impl std::fmt::Debug for RouterMsg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            RouterMsg::Pump => "Pump",
            RouterMsg::Tick => "Tick",
            RouterMsg::TakeCheckpoint(_) => "TakeCheckpoint",
            RouterMsg::Observe(_) => "Observe",
        })
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct RouterObservation {
    pub position: u64,
    pub at_head: bool,
    pub sources: usize,
    pub registered: usize,
    pub checkpoint: u64,
}

pub struct RouterState {
    a: RouterArgs,
    state: Tables,
    rules: Arc<RuleSet>,
    reader: Reader,
    position: u64,
    in_flight: Arc<Semaphore>,
    silence_checked_at: Timestamp,
    silence_pending: HashSet<(RuleId, Arc<str>)>,
    checkpoint_at: Timestamp,
    checkpoint: watch::Sender<u64>,
    saving: Arc<AtomicBool>,
    /// What saves that failed would have written.
    unsaved: Arc<Mutex<Unsaved>>,
}

impl std::fmt::Debug for RouterState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RouterState(at {})", self.position)
    }
}

#[derive(Debug)]
pub struct Router;

impl Actor for Router {
    type Msg = RouterMsg;
    type State = RouterState;
    type Arguments = RouterArgs;

    async fn pre_start(
        &self,
        myself: ActorRef<RouterMsg>,
        mut a: RouterArgs,
    ) -> Result<RouterState, ActorProcessingErr> {
        let start = std::mem::replace(
            &mut a.start,
            RouterStart {
                saved: Tables::default(),
                cursor: 0,
            },
        );
        let rules = Arc::new(RuleSet::compile(Arc::new(start.saved.configuration.clone())));
        a.configuration.send_replace(rules.configuration().clone());
        // What lies before the checkpoint has been routed, by a run before this one.
        a.routed.send_replace(start.cursor);
        let now = a.clock.now();
        let reader = a.journal.reader(start.cursor + 1);
        myself.cast(RouterMsg::Pump)?;
        Ok(RouterState {
            state: start.saved,
            rules,
            reader,
            position: start.cursor,
            in_flight: Arc::new(Semaphore::new(IN_FLIGHT_KIB as usize)),
            silence_checked_at: now,
            silence_pending: HashSet::new(),
            checkpoint_at: now,
            checkpoint: watch::Sender::new(start.cursor),
            saving: Arc::new(AtomicBool::new(false)),
            unsaved: Arc::default(),
            a,
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<RouterMsg>,
        msg: RouterMsg,
        s: &mut RouterState,
    ) -> Result<(), ActorProcessingErr> {
        match msg {
            RouterMsg::Pump => {
                s.pump().await?;
                myself.cast(RouterMsg::Pump)?;
            }
            RouterMsg::Tick => s.tick().await?,
            RouterMsg::TakeCheckpoint(reply) => s.take_checkpoint(Some(reply)),
            RouterMsg::Observe(reply) => {
                let _ = reply.send(s.observe());
            }
        }
        Ok(())
    }
}

impl RouterState {
    async fn pump(&mut self) -> Result<(), ActorProcessingErr> {
        for _ in 0..PUMP_ENTRIES {
            match self.reader.try_next().await? {
                Some(entry) => self.route(&entry).await?,
                None => {
                    self.a.at_head.store(true, Ordering::Release);
                    let mut durable = self.a.journal.durable();
                    let position = self.position;
                    // Either outcome is looked at anew by the next pump.
                    let _ = tokio::time::timeout(PUMP_WAIT, durable.wait_for(|d| *d > position)).await;
                    return Ok(());
                }
            }
        }
        // A full round without reaching the end: timers wait until the backlog is judged.
        self.a.at_head.store(false, Ordering::Release);
        Ok(())
    }

    async fn route(&mut self, entry: &Entry) -> Result<(), ActorProcessingErr> {
        match entry.kind {
            RECORDS => self.route_records(entry).await?,
            CONTROL => match entries::decode_control(entry.seq, &entry.body) {
                Ok(control) => self.route_control(entry.seq, control)?,
                Err(e) => unreadable(&e),
            },
            kind => unreadable(&format!("journal entry {} is of unknown kind {kind}", entry.seq)),
        }
        self.position = entry.seq;
        self.a.routed.send_replace(entry.seq);
        Ok(())
    }

    async fn route_records(&mut self, entry: &Entry) -> Result<(), ActorProcessingErr> {
        let batch = match Batch::parse(entry.body.clone(), self.a.journal.id(), entry.seq) {
            Ok(batch) => batch,
            Err(e) => {
                unreadable(&format!("journal entry {}: {e}", entry.seq));
                return Ok(());
            }
        };
        let key_source = match intake::sender(&entry.header) {
            Ok(key_id) => xxh3_64(key_id.as_bytes()),
            Err(e) => {
                unreadable(&format!("header of journal entry {}: {e}", entry.seq));
                0
            }
        };
        let rules = self.rules.clone();
        let mut work = RecordWork {
            judgements: Vec::with_capacity(batch.len()),
            sources: Vec::with_capacity(batch.len()),
            permit: None,
            batch,
        };
        let mut items: Vec<Vec<Item>> = vec![Vec::new(); self.a.shards.len()];
        let mut matched: Vec<RuleIndex> = Vec::new();
        let mut registered = Vec::new();
        let mut spoke = Vec::new();
        for (index, record) in work.batch.iter().enumerate() {
            let device_hash = record.device_id.map(|d| SubjectKind::Device.hash(d));
            let mut source = device_hash.unwrap_or(key_source);
            if record.flags.contains(Flags::HISTORY) {
                // An import of last month must not move the clock of the machine that is running.
                source = history_source(source);
            }
            let judgement = self.state.sources.observe(source, record.timestamp, record.received_at);
            metrics::clocks(&judgement);
            if judgement.clock_step {
                let (at, name) = (judgement.at, record.device_id.unwrap_or("a sender without devices"));
                tracing::debug!(source = name, new_time = %at, "the clock of a source stepped back: it is judged by its new time");
            }
            work.judgements.push(judgement);
            work.sources.push(source);
            if let Some(device) = record.device_id {
                for ended in self.state.silence.observe(device, record.received_at) {
                    spoke.push((ended, record.received_at));
                }
            }
            let application_hash = record.application.map(|a| SubjectKind::Application.hash(a));
            for (kind, id, hash) in [
                (SubjectKind::Device, record.device_id, device_hash),
                (SubjectKind::Application, record.application, application_hash),
            ] {
                let (Some(id), Some(hash)) = (id, hash) else { continue };
                if self.state.registered.len() < REGISTERED_MAX && self.state.register(hash) {
                    registered.push(Effect::Registered(Registered {
                        kind,
                        id: Arc::from(id),
                        first_seen: record.received_at,
                    }));
                }
            }
            matched.clear();
            rules.matching(&record, &mut matched);
            let mut kinds = [false; SubjectKind::ALL.len()];
            for rule in &matched {
                kinds[rules.rule(*rule).subject as usize] = true;
            }
            for kind in SubjectKind::ALL.into_iter().filter(|k| kinds[*k as usize]) {
                if let Some(id) = subject_id(&record, kind, rules.area(&record)) {
                    items[self.shard_of(kind.hash(id))].push(Item {
                        index: index as u32,
                        kind,
                    });
                }
            }
        }
        self.a.effects.append(&registered).await?;
        if items.iter().any(|i| !i.is_empty()) {
            let kib = u32::try_from(entry.body.len() / 1024 + 1)
                .unwrap_or(IN_FLIGHT_KIB)
                .min(IN_FLIGHT_KIB);
            work.permit = Some(self.in_flight.clone().acquire_many_owned(kib).await?);
            let work = Arc::new(work);
            for (shard, items) in items.into_iter().enumerate().filter(|(_, items)| !items.is_empty()) {
                let work = Work::Records {
                    work: work.clone(),
                    items,
                };
                self.a.shards[shard].cast(ShardMsg::Judge { seq: entry.seq, work })?;
            }
        }
        for (ended, at) in spoke {
            let shard = self.shard_of(SubjectKind::Device.hash(&ended.device));
            let work = Work::SilenceEnded {
                rule: ended.rule,
                device: ended.device,
                at,
            };
            self.a.shards[shard].cast(ShardMsg::Judge { seq: entry.seq, work })?;
        }
        Ok(())
    }

    fn route_control(&mut self, seq: u64, control: Control) -> Result<(), ActorProcessingErr> {
        let subject = match &control {
            Control::Configured(configuration) => {
                if configuration.version < self.state.configuration.version {
                    return Ok(());
                }
                let gone = self
                    .state
                    .configuration
                    .devices
                    .iter()
                    .filter(|d| configuration.device(&d.id).is_none());
                for device in gone {
                    self.state.silence.remove(&device.id);
                }
                let is_silence = |r: &&Rule| r.enabled && matches!(r.condition, Condition::Silence { .. });
                let silences: HashSet<&RuleId> = configuration.rules.iter().filter(is_silence).map(|r| &r.id).collect();
                self.state.silence.retain_rules(|rule| silences.contains(rule));
                self.state.configure(Configuration::clone(configuration));
                self.rules = Arc::new(RuleSet::compile(configuration.clone()));
                for shard in &self.a.shards {
                    shard.cast(ShardMsg::UseRules(self.rules.clone()))?;
                }
                self.a.configuration.send_replace(configuration.clone());
                return Ok(());
            }
            Control::TimerFired { subject, .. } => subject.clone(),
            Control::Operated(op) => op.subject.clone(),
            Control::SilenceFound {
                device,
                rule,
                unknown,
                since,
                ..
            } => {
                self.state.silence.found(rule, device, unknown, *since);
                self.silence_pending.remove(&(rule.clone(), device.clone()));
                Subject::new(SubjectKind::Device, device)
            }
        };
        let shard = self.shard_of(subject.hash());
        self.a.shards[shard].cast(ShardMsg::Judge {
            seq,
            work: Work::Control(Arc::new(control)),
        })?;
        Ok(())
    }

    fn shard_of(&self, hash: u64) -> usize {
        (hash % self.a.shards.len() as u64) as usize
    }

    async fn tick(&mut self) -> Result<(), ActorProcessingErr> {
        let now = self.a.clock.now();
        if now.since(self.silence_checked_at) >= SILENCE_EVERY && self.a.at_head.load(Ordering::Acquire) {
            self.silence_checked_at = now;
            self.look_for_silence(now).await;
        }
        if now.since(self.checkpoint_at) >= self.a.checkpoint_every {
            self.checkpoint_at = now;
            self.take_checkpoint(None);
        }
        Ok(())
    }

    async fn look_for_silence(&mut self, now: Timestamp) {
        let config = self.rules.configuration().clone();
        for rule in config.rules.iter().filter(|r| r.enabled) {
            let Condition::Silence { after } = rule.condition else {
                continue;
            };
            for finding in self
                .state
                .silence
                .find(rule, after, &config.devices, now, self.a.accepting_since)
            {
                let pending = (rule.id.clone(), finding.device.clone());
                if !self.silence_pending.insert(pending.clone()) {
                    continue;
                }
                let control = Control::SilenceFound {
                    rule: rule.id.clone(),
                    device: finding.device.clone(),
                    since: finding.since,
                    at: now,
                    unknown: finding.unknown,
                };
                if let Err(e) = append_control(&self.a.journal, &control, now).await {
                    self.silence_pending.remove(&pending);
                    tracing::warn!(error = %e, "a silence could not be journaled; it is tried again");
                    return;
                }
            }
        }
    }

    /// Takes the router's state as of now, asks every shard to save the same position, and when all have, saves its own: a router's
    /// checkpoint is never newer than a shard's. Runs beside routing; one at a time.
    fn take_checkpoint(&mut self, reply: Option<RpcReplyPort<bool>>) {
        let answer = |reply: Option<RpcReplyPort<bool>>, saved| {
            if let Some(reply) = reply {
                let _ = reply.send(saved);
            }
        };
        if *self.checkpoint.borrow() == self.position {
            return answer(reply, true);
        }
        if self.saving.swap(true, Ordering::AcqRel) {
            return answer(reply, false);
        }
        self.state.sources.expire(self.a.clock.now());
        let cursor = Cursor {
            journal: self.a.journal.id(),
            seq: self.position,
        };
        let snapshot = self.state.snapshot(std::mem::take(&mut *lock(&self.unsaved)));
        let (shards, checkpoints) = (self.a.shards.clone(), self.a.checkpoints.clone());
        let (saving, done, holder) = (self.saving.clone(), self.checkpoint.clone(), self.a.holder.clone());
        let unsaved = self.unsaved.clone();
        // The orders go out now, so that each shard gets its own after exactly this position.
        let orders: Vec<_> = shards
            .iter()
            .map(|shard| {
                let (tx, rx) = tokio::sync::oneshot::channel();
                shard
                    .cast(ShardMsg::TakeCheckpoint {
                        cursor,
                        reply: tx.into(),
                    })
                    .map(|()| rx)
            })
            .collect();
        tokio::spawn(async move {
            let mut all = true;
            for order in orders {
                all &= match order {
                    Ok(saved) => saved.await.unwrap_or(false),
                    Err(_) => false,
                };
            }
            let not_saved = if all {
                let (changes, not_saved) = snapshot.changes();
                match checkpoints.save(ROUTER_SHARD, cursor, changes).await {
                    Ok(()) => None,
                    Err(e) => {
                        tracing::warn!(error = %e, "the router's checkpoint could not be saved");
                        Some(not_saved)
                    }
                }
            } else {
                Some(snapshot.into_unsaved())
            };
            all = not_saved.is_none();
            match not_saved {
                None => {
                    holder.release(cursor.seq);
                    done.send_replace(cursor.seq);
                }
                Some(not_saved) => lock(&unsaved).add(&not_saved),
            }
            saving.store(false, Ordering::Release);
            answer(reply, all);
        });
    }

    fn observe(&self) -> RouterObservation {
        RouterObservation {
            position: self.position,
            at_head: self.a.at_head.load(Ordering::Acquire),
            sources: self.state.sources.len(),
            registered: self.state.registered.len(),
            checkpoint: *self.checkpoint.borrow(),
        }
    }
}

fn lock(unsaved: &Mutex<Unsaved>) -> MutexGuard<'_, Unsaved> {
    unsaved.lock().unwrap_or_else(PoisonError::into_inner)
}

fn unreadable(what: &dyn std::fmt::Display) {
    ::metrics::counter!(metrics::UNREADABLE_ENTRIES).increment(1);
    tracing::error!(%what, "an entry of the journal cannot be judged and is skipped");
}
