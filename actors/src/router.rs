//! The router: one sequencer that hands each journal entry to the shards it concerns, in journal order, after its fsync.
//!
//! What is judged once for all shards is the business of the engine's sequencer; the router feeds it from a reader of the journal and
//! hands on what it says. What survives a restart: the sequencer's state as of the last checkpoint, which is never newer than that of
//! any shard, so that a replay from there misses nothing and shards skip what they have.

use crate::effect_log::EffectLog;
use crate::entries::{self, CONTROL, RECORDS};
use crate::metrics;
use crate::router_checkpoint::{Tables, Unsaved};
use crate::self_log::SelfLog;
use crate::shard::{ShardMsg, append_control};
use crate::stage::Stage;
use crate::work::{RecordWork, Work};
use andon_engine::batch::Batch;
use andon_engine::control::{Control, SilenceFound};
use andon_engine::effect::Effect;
use andon_engine::ids::RuleId;
use andon_engine::intake;
use andon_engine::level::Level;
use andon_engine::parts::{ConfigurationChange, PartKind};
use andon_engine::rule::Configuration;
use andon_engine::ruleset::RuleSet;
use andon_engine::sequencer::accepting::Accepting;
use andon_engine::sequencer::{Item, Sequenced};
use andon_engine::silence::Ended;
use andon_engine::subject::{Subject, SubjectKind};
use andon_engine::time::{Clock, Span, Timestamp};
use andon_storage::journal::{Entry, Holder, Journal, Reader};
use andon_storage::ports::Cursor;
use andon_storage::ports::checkpoint::CheckpointStore;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

/// The router's own row in the checkpoint store, beside those of the shards.
pub const ROUTER_SHARD: u16 = u16::MAX;
/// Entries handed on before the mailbox is looked at again.
const PUMP_ENTRIES: usize = 256;
/// Longest wait for a new entry before the mailbox is looked at again.
const PUMP_WAIT: Duration = Duration::from_millis(100);
/// Bytes of batches that shards have not handled yet, in KiB: bounds their (unbounded) mailboxes. Past it the router waits, ingest
/// goes on, and the lag lies on disk.
pub const IN_FLIGHT_KIB: u32 = 64 * 1024;
/// How often the wall is asked whether a device has gone silent.
const SILENCE_EVERY: Span = Span::secs(1);
/// A router that has not ticked for this long did not run: the process was stopped, the machine slept. Real time, not the clock's.
const STOOD_STILL: Duration = Duration::from_secs(5);
/// Devices that one entry of silences names: some 100 KB. A silence that names more is an entry of its own.
const NAMES_PER_ENTRY: usize = 4_096;

/// A rule and the device that is silent under it.
type Silent = (RuleId, Arc<str>);

pub struct RouterArgs {
    pub journal: Journal,
    pub shards: Vec<ActorRef<ShardMsg>>,
    pub effects: EffectLog,
    pub stage: Stage,
    pub checkpoints: Arc<dyn CheckpointStore>,
    pub clock: Arc<dyn Clock>,
    pub self_log: SelfLog,
    pub configuration: watch::Sender<Arc<Configuration>>,
    pub at_head: Arc<AtomicBool>,
    pub routed: watch::Sender<u64>,
    pub accepting: Arc<Mutex<Accepting>>,
    /// As in [`crate::judging::JudgingArgs`].
    pub refused: Arc<AtomicU64>,
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
    pub fn rules(&self) -> &Arc<RuleSet> {
        self.saved.sequencer.rules()
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
    /// Wall time of the last tick.
    pub ticked_at: Timestamp,
    pub sources: usize,
    pub registered: usize,
    pub checkpoint: u64,
}

pub struct RouterState {
    a: RouterArgs,
    state: Tables,
    /// Requests refused for lack of memory by the last tick.
    refused: u64,
    ticked_at: Timestamp,
    last_tick: tokio::time::Instant,
    full_reported_at: Timestamp,
    reader: Reader,
    position: u64,
    in_flight: Arc<Semaphore>,
    silence_checked_at: Timestamp,
    /// Found and on their way through the journal.
    silence_pending: Arc<Mutex<HashSet<Silent>>>,
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
        a.configuration
            .send_replace(start.saved.sequencer.configuration().clone());
        // What lies before the checkpoint has been routed, by a run before this one.
        a.routed.send_replace(start.cursor);
        let now = a.clock.now();
        let reader = a.journal.reader(start.cursor + 1);
        myself.cast(RouterMsg::Pump)?;
        Ok(RouterState {
            state: start.saved,
            refused: a.refused.load(Ordering::Relaxed),
            ticked_at: Timestamp::MIN,
            last_tick: tokio::time::Instant::now(),
            full_reported_at: Timestamp::MIN,
            reader,
            position: start.cursor,
            in_flight: Arc::new(Semaphore::new(IN_FLIGHT_KIB as usize)),
            silence_checked_at: now,
            silence_pending: Arc::default(),
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
            RouterMsg::Tick => s.tick(),
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
        self.a.stage.begin(entry.seq);
        match entry.kind {
            RECORDS => self.route_records(entry).await?,
            CONTROL => match entries::decode_control(entry.seq, &entry.body) {
                Ok(control) => self.route_control(entry, control)?,
                Err(e) => unreadable(&e),
            },
            kind => unreadable(&format!("journal entry {} is of unknown kind {kind}", entry.seq)),
        }
        self.a.stage.done(entry.seq, Vec::new()).await?;
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
        let sender = match intake::sender(&entry.header) {
            Ok(key_id) => key_id,
            Err(e) => {
                unreadable(&format!("header of journal entry {}: {e}", entry.seq));
                ""
            }
        };
        let mut sequenced = self.state.sequencer.records(&batch, sender);
        sequenced.judgements.iter().for_each(metrics::clocks);
        let registered: Vec<Effect> = sequenced.registered.drain(..).map(Effect::Registered).collect();
        self.a.effects.append(&registered).await?;
        let refused = self.state.sequencer.registry.take_refused();
        self.report_full(refused, sequenced.unwatched);
        let ended = std::mem::take(&mut sequenced.ended);
        self.send_records(entry, batch, sequenced).await?;
        self.send_silences_ended(entry.seq, ended, "it is heard again")
    }

    async fn send_records(
        &mut self,
        entry: &Entry,
        batch: Batch<bytes::Bytes>,
        sequenced: Sequenced,
    ) -> Result<(), ActorProcessingErr> {
        if sequenced.items.is_empty() {
            return Ok(());
        }
        let mut items: Vec<Vec<Item>> = vec![Vec::new(); self.a.shards.len()];
        for item in &sequenced.items {
            items[self.shard_of(item.hash)].push(*item);
        }
        let kib = u32::try_from(entry.body.len() / 1024 + 1)
            .unwrap_or(IN_FLIGHT_KIB)
            .min(IN_FLIGHT_KIB);
        let permit = Some(self.in_flight.clone().acquire_many_owned(kib).await?);
        let work = Arc::new(RecordWork {
            batch,
            sequenced,
            permit,
        });
        for (shard, items) in items.into_iter().enumerate().filter(|(_, items)| !items.is_empty()) {
            let work = Work::Records {
                work: work.clone(),
                items,
            };
            self.send(shard, entry.seq, work)?;
        }
        Ok(())
    }

    fn send(&self, shard: usize, seq: u64, work: Work) -> Result<(), ActorProcessingErr> {
        self.a.stage.expect_piece(seq);
        Ok(self.a.shards[shard].cast(ShardMsg::Judge { seq, work })?)
    }

    /// One message to each shard: what an entry ends is given out together.
    fn send_silences_ended(
        &self,
        seq: u64,
        ended: Vec<(Ended, Timestamp)>,
        why: &'static str,
    ) -> Result<(), ActorProcessingErr> {
        for (shard, ended) in self.by_shard(ended, |(e, _)| SubjectKind::Device.hash(&e.device)) {
            self.send(shard, seq, Work::SilencesEnded { ended, why })?;
        }
        Ok(())
    }

    fn by_shard<T>(&self, items: Vec<T>, hash: impl Fn(&T) -> u64) -> BTreeMap<usize, Vec<T>> {
        let mut by_shard: BTreeMap<usize, Vec<T>> = BTreeMap::new();
        for item in items {
            by_shard.entry(self.shard_of(hash(&item))).or_default().push(item);
        }
        by_shard
    }

    fn route_control(&mut self, entry: &Entry, control: Control) -> Result<(), ActorProcessingErr> {
        let (seq, at) = (entry.seq, entry.received_at);
        match control {
            Control::Changed(change) => self.configure(seq, at, &change),
            Control::TimersFired { subjects, at } => {
                for (shard, subjects) in self.by_shard(subjects, Subject::hash) {
                    self.send(shard, seq, Work::Timers { subjects, at })?;
                }
                Ok(())
            }
            Control::Operated(op) => {
                let shard = self.shard_of(op.subject.hash());
                self.send(shard, seq, Work::Operation(Box::new(op)))
            }
            Control::SilencesFound(found) => self.silences_found(seq, found),
        }
    }

    fn silences_found(&mut self, seq: u64, mut found: Vec<SilenceFound>) -> Result<(), ActorProcessingErr> {
        let rules = self.state.sequencer.rules().clone();
        let silence = &mut self.state.sequencer.silence;
        let mut pending = lock(&self.silence_pending);
        found.retain(|f| {
            pending.remove(&(f.rule.clone(), f.device.clone()));
            if !rules.find(&f.rule).is_some_and(|r| r.enabled) {
                // It ended after the look: what would be open under it nobody would end.
                return false;
            }
            // Found by a pipeline that was stopped before its entry was routed, and by this one: it is one silence.
            let is_new = !silence.is_open(&f.rule, &f.device);
            silence.found(&f.rule, &f.device, &f.unknown, f.since);
            is_new
        });
        drop(pending);
        for (shard, found) in self.by_shard(found, |f| SubjectKind::Device.hash(&f.device)) {
            self.send(shard, seq, Work::SilencesFound(found))?;
        }
        Ok(())
    }

    /// A change of the configuration: what it ends is ended in every shard, then its rules hold. What judging does not go by is no shard's
    /// business.
    fn configure(&mut self, seq: u64, at: Timestamp, change: &ConfigurationChange) -> Result<(), ActorProcessingErr> {
        let in_force = self.state.sequencer.configuration().version;
        let Some(changed) = self.state.configure(change, at) else {
            tracing::debug!(
                version = change.version,
                in_force,
                "an older change of the configuration was passed over"
            );
            return Ok(());
        };
        if !change.whole && change.version > in_force + 1 {
            tracing::error!(
                version = change.version,
                in_force,
                "changes of the configuration between these versions are missing in the journal"
            );
        }
        if changed.is_judged {
            let silences = changed.silences.into_iter().map(|ended| (ended, at)).collect();
            self.send_silences_ended(seq, silences, "the device was taken out of the plant")?;
            let rules = changed.touched.iter().filter(|part| part.kind == PartKind::Rule);
            let touched: Arc<[RuleId]> = rules.map(|part| RuleId(part.id.clone())).collect();
            let ended: Arc<[_]> = changed.rules.into();
            for shard in 0..self.a.shards.len() {
                let work = Work::Rules {
                    rules: self.state.sequencer.rules().clone(),
                    changed: touched.clone(),
                    ended: ended.clone(),
                    at,
                };
                self.send(shard, seq, work)?;
            }
        }
        let configuration = self.state.sequencer.configuration().clone();
        self.a.configuration.send_replace(configuration);
        Ok(())
    }

    fn shard_of(&self, hash: u64) -> usize {
        (hash % self.a.shards.len() as u64) as usize
    }

    fn tick(&mut self) {
        let now = self.a.clock.now();
        metrics::judging_lag(self.a.journal.durable_seq().saturating_sub(self.position));
        let usage = self.a.journal.usage();
        let has_room = usage.available > 0 && !usage.disk_full;
        let stood_still = self.last_tick.elapsed() > STOOD_STILL;
        self.last_tick = tokio::time::Instant::now();
        let refused = self.a.refused.load(Ordering::Relaxed);
        let has_memory = std::mem::replace(&mut self.refused, refused) == refused;
        lock(&self.a.accepting).observe(now, self.a.clock.elapsed(), has_room && has_memory && !stood_still);
        let at_head = self.a.at_head.load(Ordering::Acquire);
        if at_head && is_due(&mut self.silence_checked_at, now, SILENCE_EVERY) {
            self.look_for_silence(now);
        }
        if is_due(&mut self.checkpoint_at, now, self.a.checkpoint_every) {
            metrics::tables(&self.state.sequencer);
            self.take_checkpoint(None);
        }
        self.ticked_at = now;
    }

    /// Says at most once an hour that a table has no room for new names.
    fn report_full(&mut self, unregistered: u64, unwatched: u64) {
        metrics::tables_full(unregistered, unwatched);
        if unregistered + unwatched == 0 || !is_due(&mut self.full_reported_at, self.a.clock.now(), Span::hours(1)) {
            return;
        }
        let what = if unregistered > 0 {
            "1,000,000 names are registered: new devices and applications are judged, but not listed"
        } else {
            "200,000 devices are watched for silence: that of new ones is not noticed"
        };
        tracing::warn!(unregistered, unwatched, "{what}");
        self.a.self_log.write(Level::Warn, "andon.judging.full", what);
    }

    /// Who has fallen silent is journaled beside routing, which goes on meanwhile; what cannot be journaled is found again.
    fn look_for_silence(&mut self, now: Timestamp) {
        let found = self.state.sequencer.find_silences(now, &lock(&self.a.accepting));
        if found.is_empty() {
            return;
        }
        let mut pending = lock(&self.silence_pending);
        let mut fresh = Vec::new();
        for (rule, finding) in found {
            if pending.insert((rule.clone(), finding.device.clone())) {
                fresh.push(SilenceFound {
                    rule,
                    device: finding.device,
                    since: finding.since,
                    at: now,
                    unknown: finding.unknown,
                });
            }
        }
        drop(pending);
        let (journal, pending) = (self.a.journal.clone(), self.silence_pending.clone());
        tokio::spawn(async move {
            for found in split(fresh) {
                let control = Control::SilencesFound(found);
                let Err(e) = append_control(&journal, &control, now).await else {
                    continue;
                };
                tracing::warn!(error = %e, "silences could not be journaled; they are tried again");
                if let Control::SilencesFound(found) = control {
                    let mut pending = lock(&pending);
                    for f in found {
                        pending.remove(&(f.rule, f.device));
                    }
                }
            }
        });
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
        self.state.expire(self.a.clock.now());
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
            ticked_at: self.ticked_at,
            sources: self.state.sequencer.sources.len(),
            registered: self.state.sequencer.registry.len(),
            checkpoint: *self.checkpoint.borrow(),
        }
    }
}

/// Whether `every` has passed since `last`, which is then now. Our own clock may have been set back: then it is due as well.
fn is_due(last: &mut Timestamp, now: Timestamp, every: Span) -> bool {
    let is_due = now.since(*last) >= every || now < *last;
    if is_due {
        *last = now;
    }
    is_due
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// In their order, as many entries as it takes.
fn split(found: Vec<SilenceFound>) -> Vec<Vec<SilenceFound>> {
    let mut entries: Vec<Vec<SilenceFound>> = Vec::new();
    let mut names = 0;
    for silence in found {
        let of_it = 1 + silence.unknown.len();
        match entries.last_mut().filter(|_| names + of_it <= NAMES_PER_ENTRY) {
            Some(entry) => entry.push(silence),
            None => {
                entries.push(vec![silence]);
                names = 0;
            }
        }
        names += of_it;
    }
    entries
}

fn unreadable(what: &dyn std::fmt::Display) {
    ::metrics::counter!(metrics::UNREADABLE_ENTRIES).increment(1);
    tracing::error!(%what, "an entry of the journal cannot be judged and is skipped");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silences_are_journaled_as_few_bounded_entries() {
        let silence = |n: usize, unknown: usize| SilenceFound {
            rule: RuleId::new("quiet"),
            device: format!("CNV-{n:05}").into(),
            since: Timestamp(1),
            at: Timestamp(2),
            unknown: vec!["X".into(); unknown],
        };
        let mut found: Vec<_> = (0..5_000).map(|n| silence(n, 0)).collect();
        found.insert(7, silence(9_999, 40_000));
        let entries = split(found.clone());
        assert_eq!(entries.iter().map(Vec::len).collect::<Vec<_>>(), [7, 1, 4_096, 897]);
        assert_eq!(entries.concat(), found);
        assert_eq!(split(Vec::new()), Vec::<Vec<SilenceFound>>::new());
    }
}
