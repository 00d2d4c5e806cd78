//! Checkpoints in two places: the file beside the journal decides when a position is safe, Redis has a copy for another machine.
//!
//! A save goes to the file and returns. What it changed waits in memory, merged by key, for one worker that brings it to Redis; so a
//! Redis that is slow, full or gone delays and fails nobody. When too much waits, or Redis has lost what it had, the shard is filled
//! again from the file.
//!
//! One order is kept in both places: the shard with the number [`LEADER`] is never newer than any other. The router is that shard: it
//! reads the journal from its own cursor on, and what it does not read again no shard would see.

use crate::ports::checkpoint::{CheckpointStore, EntityChange, SavedEntity, ShardCheckpoint};
use crate::ports::{Cursor, Result, StoreError};
use crate::redis::checkpoints::RedisCheckpoints;
use crate::redis::metrics::{CHECKPOINT_FAILED, CHECKPOINT_LAG, CHECKPOINT_REFILLS};
use crate::sqlite::{CheckpointFile, CheckpointSnapshot};
use andon_engine::ids::JournalId;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Mutex as AsyncMutex, Notify, watch};

/// The shard that is never newer than the others: it is brought over last.
pub const LEADER: u16 = u16::MAX;
/// Changes that may wait for Redis, over all shards. A shard that would exceed it is filled again from the file.
const WAITING_BYTES_MAX: usize = 32 << 20;
/// What a change takes beside key and state: map, names, counters.
const CHANGE_OVERHEAD: usize = 160;
/// Entities read from the file at once.
const CHUNK: u32 = 1_000;
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(5);
/// How often Redis is asked whether it still has everything: it may have been emptied while nothing changed here.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Debug)]
pub struct LayeredCheckpoints {
    shared: Arc<Shared>,
    /// A save enters the file and what waits in the same order.
    saving: AsyncMutex<()>,
    worker: tokio::task::JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    file: Arc<CheckpointFile>,
    redis: RedisCheckpoints,
    waiting: Mutex<Waiting>,
    wake: Notify,
    idle: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Waiting {
    shards: BTreeMap<u16, Pending>,
    /// Shards with a save that was given up. The file may take it after it was asked what it has; the next save comes after it.
    unsure: BTreeSet<u16>,
    bytes: usize,
    /// Where each shard stands in the file, and in Redis.
    filed: BTreeMap<u16, Cursor>,
    stored: BTreeMap<u16, Cursor>,
    /// Another process owns the site; why.
    fenced: Option<String>,
}

#[derive(Debug)]
enum Pending {
    Changes {
        cursor: Cursor,
        changes: HashMap<String, EntityChange>,
        bytes: usize,
    },
    Refill,
}

fn size(change: &EntityChange) -> usize {
    change.key.len() + change.state.as_ref().map_or(0, Bytes::len) + CHANGE_OVERHEAD
}

impl Waiting {
    fn refill(&mut self, shard: u16) {
        if let Some(Pending::Changes { bytes, .. }) = self.shards.insert(shard, Pending::Refill) {
            self.bytes -= bytes;
        }
    }

    /// Adds changes to what waits of a shard: newer than that, or (`again`) older, because they come back from a failed attempt.
    fn add(&mut self, shard: u16, at: Cursor, new: impl IntoIterator<Item = EntityChange>, again: bool) {
        let pending = self.shards.entry(shard).or_insert_with(|| Pending::Changes {
            cursor: at,
            changes: HashMap::new(),
            bytes: 0,
        });
        let Pending::Changes { cursor, changes, bytes } = pending else {
            return;
        };
        if !again {
            *cursor = at;
        }
        let before = *bytes;
        for change in new {
            if again && changes.contains_key(&change.key) {
                continue;
            }
            *bytes += size(&change);
            if let Some(old) = changes.insert(change.key.clone(), change) {
                *bytes -= size(&old);
            }
        }
        self.bytes = self.bytes - before + *bytes;
        if self.bytes > WAITING_BYTES_MAX {
            self.refill(shard);
        }
    }

    /// How many journal entries Redis is behind the file.
    fn lag(&self) -> u64 {
        let behind = |(shard, filed): (&u16, &Cursor)| {
            let stored = self
                .stored
                .get(shard)
                .filter(|s| s.journal == filed.journal)
                .map_or(0, |s| s.seq);
            filed.seq.saturating_sub(stored)
        };
        self.filed.iter().map(behind).max().unwrap_or(0)
    }
}

/// The least position of a set of shards: what was judged up to there is in all of them.
fn reaches(cursors: &BTreeMap<u16, Cursor>) -> Option<u64> {
    cursors.values().map(|c| c.seq).min()
}

impl LayeredCheckpoints {
    /// Takes the newer of both that is whole, and brings the other up to it: the file at once, Redis beside everything else.
    /// `journal` and `end` are the journal and its last position: what lies elsewhere in Redis is no use.
    ///
    /// # Errors
    /// `ForeignJournal` when the file belongs to another journal, `Fenced` when another process owns the site, and what the file says.
    /// Redis being away is none.
    pub async fn open(
        file: Arc<CheckpointFile>,
        redis: RedisCheckpoints,
        journal: JournalId,
        end: u64,
    ) -> Result<LayeredCheckpoints> {
        let filed = file.snapshot().await?.cursors().clone();
        for cursor in filed.values() {
            cursor.check("the checkpoint file", journal, end)?;
        }
        let stored = match redis.cursors().await {
            Ok(stored) => stored,
            Err(e @ StoreError::Fenced { .. }) => return Err(e),
            Err(e) => {
                tracing::warn!(error = %e, "the checkpoints in Redis cannot be read: those in the file count");
                BTreeMap::new()
            }
        };
        let beyond = stored.values().any(|c| c.check("Redis", journal, end).is_err());
        let leads = stored.get(&LEADER).map_or(0, |l| l.seq);
        let whole =
            !beyond && stored.values().all(|c| c.seq >= leads) && filed.keys().all(|shard| stored.contains_key(shard));
        if beyond {
            tracing::warn!("Redis has checkpoints of positions that this journal does not have: they are replaced");
        } else if whole && reaches(&stored) > reaches(&filed) {
            tracing::info!(
                "Redis has newer checkpoints than the file beside the journal: the file is filled from Redis"
            );
            match fill_file(&file, &redis, &stored).await {
                Ok(()) => {}
                Err(e) if e.is_temporary() && !matches!(e, StoreError::Fenced { .. }) => {
                    tracing::warn!(error = %e, "the file could not be filled from Redis: more of the journal is judged again");
                }
                Err(e) => return Err(e),
            }
        }
        let snapshot = file.snapshot().await?;
        let mut waiting = Waiting {
            filed: snapshot.cursors().clone(),
            stored,
            ..Waiting::default()
        };
        waiting.find_missing();
        // Whether Redis got the last of several saves at one position, the position does not say.
        for shard in snapshot.resaved() {
            waiting.refill(*shard);
        }
        drop(snapshot);
        let shared = Arc::new(Shared {
            file,
            redis,
            idle: watch::Sender::new(waiting.shards.is_empty()),
            waiting: Mutex::new(waiting),
            wake: Notify::new(),
        });
        let worker = tokio::spawn(work(Arc::clone(&shared)));
        Ok(Self {
            shared,
            saving: AsyncMutex::new(()),
            worker,
        })
    }

    /// How many journal entries Redis is behind the file.
    pub fn lag(&self) -> u64 {
        self.shared.waiting().lag()
    }

    /// Waits until Redis has everything that the file has.
    pub async fn settled(&self) {
        // The sender lives as long as `self`.
        let _ = self.shared.idle.subscribe().wait_for(|idle| *idle).await;
    }

    /// Gives Redis `patience` to take what waits, then lets it be. The file is the caller's to close.
    pub async fn close(&self, patience: Duration) {
        if tokio::time::timeout(patience, self.settled()).await.is_err() {
            tracing::info!(
                lag = self.lag(),
                "Redis has not taken all checkpoints; the file has them"
            );
        }
        self.worker.abort();
    }
}

impl Drop for LayeredCheckpoints {
    fn drop(&mut self) {
        self.worker.abort();
    }
}

/// The leader last: should this end half-way, it is older than what it leads.
async fn fill_file(file: &CheckpointFile, redis: &RedisCheckpoints, stored: &BTreeMap<u16, Cursor>) -> Result<()> {
    for shard in stored.keys() {
        let Some((cursor, entities)) = redis.read(*shard).await? else {
            return Err(StoreError::Lost {
                store: "Redis",
                reason: format!("the checkpoint of shard {shard} is not whole"),
            });
        };
        let mut replacement = file.replace(*shard).await?;
        replacement.push(entities).await?;
        replacement.commit(cursor).await?;
    }
    Ok(())
}

impl Waiting {
    /// Marks every shard that Redis does not have as the file has it, unless changes are on their way anyway.
    fn find_missing(&mut self) {
        let missing: Vec<u16> = self
            .filed
            .iter()
            .filter(|(shard, at)| self.stored.get(shard) != Some(at))
            .map(|(s, _)| *s)
            .collect();
        for shard in missing {
            self.shards.entry(shard).or_insert(Pending::Refill);
        }
    }
}

/// Nobody knows whether a save that was given up reached the file: then the file is asked.
struct Unsure<'a> {
    shared: &'a Shared,
    shard: u16,
    armed: bool,
}

impl Drop for Unsure<'_> {
    fn drop(&mut self) {
        if self.armed {
            let mut waiting = self.shared.waiting();
            waiting.unsure.insert(self.shard);
            waiting.refill(self.shard);
            drop(waiting);
            self.shared.wake();
        }
    }
}

#[async_trait::async_trait]
impl CheckpointStore for LayeredCheckpoints {
    async fn load(&self, shard: u16) -> Result<ShardCheckpoint> {
        self.shared.file.load(shard).await
    }

    async fn save(&self, shard: u16, cursor: Cursor, changes: Vec<EntityChange>) -> Result<()> {
        let _one = self.saving.lock().await;
        if let Some(reason) = &self.shared.waiting().fenced {
            return Err(StoreError::Fenced {
                store: "Redis",
                reason: reason.clone(),
            });
        }
        let mut unsure = Unsure {
            shared: &self.shared,
            shard,
            armed: true,
        };
        let saved = self.shared.file.save(shard, cursor, changes.clone()).await;
        match &saved {
            Ok(()) => {
                let mut waiting = self.shared.waiting();
                waiting.filed.insert(shard, cursor);
                if waiting.unsure.remove(&shard) {
                    waiting.refill(shard);
                } else {
                    waiting.add(shard, cursor, changes, false);
                }
                metrics::gauge!(CHECKPOINT_LAG).set(waiting.lag() as f64);
                drop(waiting);
                unsure.armed = false;
                self.shared.wake();
            }
            // The file has said that it did not take it.
            Err(StoreError::ForeignJournal { .. } | StoreError::Refused { .. }) => unsure.armed = false,
            Err(_) => {}
        }
        saved
    }

    async fn fetch(&self, shard: u16, key: &str) -> Result<Option<Bytes>> {
        self.shared.file.fetch(shard, key).await
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // It is consistent between any two statements that can panic: none can.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        self.idle.send_if_modified(|idle| std::mem::replace(idle, false));
        self.wake.notify_one();
    }

    /// Nothing waits, and nothing is on its way.
    fn rest(&self) -> bool {
        let waiting = self.waiting();
        let empty = waiting.shards.is_empty();
        if empty {
            self.idle.send_if_modified(|idle| !std::mem::replace(idle, true));
        }
        empty
    }

    /// Brings over what waits.
    async fn round(&self) -> Result<()> {
        // The file as it is before the changes are taken: a leader that is filled from it is older than all that is brought over now.
        let refills = self.waiting().shards.values().any(|p| matches!(p, Pending::Refill));
        let snapshot = if refills {
            Some(self.file.snapshot().await?)
        } else {
            None
        };
        let mut taken = {
            let mut waiting = self.waiting();
            waiting.bytes = 0;
            std::mem::take(&mut waiting.shards)
        };
        let outcome = self.bring(snapshot, &mut taken).await;
        // What was not brought over waits again, behind what came meanwhile.
        let mut waiting = self.waiting();
        for (shard, pending) in taken {
            match pending {
                Pending::Refill => waiting.refill(shard),
                Pending::Changes { cursor, changes, .. } => waiting.add(shard, cursor, changes.into_values(), true),
            }
        }
        if matches!(outcome, Err(StoreError::Lost { .. })) {
            let all: Vec<u16> = waiting.filed.keys().copied().collect();
            for shard in all {
                waiting.refill(shard);
            }
            waiting.stored.clear();
        }
        metrics::gauge!(CHECKPOINT_LAG).set(waiting.lag() as f64);
        outcome
    }

    /// Takes out of `taken` what Redis has got.
    async fn bring(&self, mut snapshot: Option<CheckpointSnapshot>, taken: &mut BTreeMap<u16, Pending>) -> Result<()> {
        let mut refilled = false;
        // By number, hence the leader last.
        let shards: Vec<u16> = taken.keys().copied().collect();
        for shard in shards {
            let cursor = match &taken[&shard] {
                // What was filled is as old as the snapshot, and these changes may be newer: the next round brings them.
                Pending::Changes { .. } if shard == LEADER && refilled => continue,
                Pending::Changes { cursor, changes, .. } => {
                    let cursor = *cursor;
                    let saved = self
                        .redis
                        .save(shard, cursor, changes.values().cloned().collect())
                        .await;
                    if saved.as_ref().is_err_and(|e| !e.is_temporary()) {
                        // Whatever is there, it is not what these changes follow.
                        taken.insert(shard, Pending::Refill);
                    }
                    saved?;
                    Some(cursor)
                }
                Pending::Refill => {
                    // It was marked after the snapshot was taken, or not taken: the next round has one.
                    let Some(snapshot) = &mut snapshot else { continue };
                    refilled = true;
                    self.refill(shard, snapshot).await?
                }
            };
            taken.remove(&shard);
            if let Some(cursor) = cursor {
                self.waiting().stored.insert(shard, cursor);
            }
        }
        Ok(())
    }

    async fn refill(&self, shard: u16, file: &mut CheckpointSnapshot) -> Result<Option<Cursor>> {
        let Some(cursor) = file.cursors().get(&shard).copied() else {
            return Ok(None);
        };
        metrics::counter!(CHECKPOINT_REFILLS).increment(1);
        let mut refill = self.redis.refill(shard);
        let mut after: Option<String> = None;
        loop {
            let chunk: Vec<SavedEntity> = file.entities(shard, after.as_deref(), CHUNK).await?;
            let Some(last) = chunk.last() else { break };
            after = Some(last.key.clone());
            refill.push(chunk).await?;
        }
        refill.switch(cursor).await?;
        Ok(Some(cursor))
    }

    /// Whether Redis still has what was brought to it.
    async fn look(&self) -> Result<()> {
        let stored = self.redis.cursors().await?;
        let mut waiting = self.waiting();
        waiting.stored = stored;
        waiting.find_missing();
        if !waiting.shards.is_empty() {
            self.idle.send_if_modified(|idle| std::mem::replace(idle, false));
        }
        Ok(())
    }
}

async fn work(shared: Arc<Shared>) {
    let mut pause = RETRY_MIN;
    let mut failing = false;
    loop {
        let outcome = if shared.rest() {
            tokio::select! {
                () = shared.wake.notified() => continue,
                () = tokio::time::sleep(LOOK_EVERY) => shared.look().await,
            }
        } else {
            shared.round().await
        };
        match outcome {
            Ok(()) => {
                if std::mem::take(&mut failing) {
                    tracing::info!("Redis takes checkpoints again");
                }
                pause = RETRY_MIN;
            }
            Err(e @ StoreError::Fenced { .. }) => {
                tracing::error!(error = %e, "this process does not own the site any more");
                shared.waiting().fenced = Some(match e {
                    StoreError::Fenced { reason, .. } => reason,
                    other => other.to_string(),
                });
                return;
            }
            Err(e) => {
                metrics::counter!(CHECKPOINT_FAILED).increment(1);
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(error = %e, "Redis does not take checkpoints; the file beside the journal has them");
                }
                // Of several processes not all at the same time.
                tokio::time::sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
                pause = (pause * 2).min(RETRY_MAX);
            }
        }
    }
}
