//! The entities of a shard through their lives: born, hot, idle, written out, deleted.
//!
//! Hot ones are in memory, with the timer that time alone will bring. One that only waits for a person is idle; after
//! [`IDLE_AFTER`] it is written out and dropped from memory, and the next work brings it back. A blank one is deleted, also from the store.

use crate::checkpoint;
use crate::metrics;
use andon_engine::effect::Effect;
use andon_engine::entity::Entity;
use andon_engine::ids::RuleId;
use andon_engine::ruleset::RuleSet;
use andon_engine::subject::Subject;
use andon_engine::time::{Span, Timestamp};
use andon_storage::ports::Cursor;
use andon_storage::ports::checkpoint::{CheckpointStore, EntityChange};
use ractor::ActorProcessingErr;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// An idle entity that has had no work for this long is written out and dropped from memory.
const IDLE_AFTER: Span = Span::mins(10);
/// Our own clock was set back when it is this much before what it was at the last tick.
const SET_BACK: Span = Span::secs(5);

pub(super) struct Hosting {
    shard: u16,
    store: Arc<dyn CheckpointStore>,
    entities: HashMap<u64, Hosted>,
    /// Keys written out: the checkpoint store has them.
    written_out: HashSet<String>,
    /// Entities that differ from what the store has.
    changed: HashSet<u64>,
    /// Keys of deleted entities that the store may still have.
    deleted: HashMap<u64, String>,
    /// Entities with counts that no effect has reported yet.
    pending: HashSet<u64>,
    /// When to look at an entity: at its deadline or before.
    timers: BTreeSet<(Timestamp, u64)>,
    /// Entities without a timer, by their last work.
    idle: BTreeSet<(Timestamp, u64)>,
    /// Timers whose control entry is on its way through the journal.
    fired: HashSet<u64>,
    looked_at: Timestamp,
}

#[derive(Debug)]
struct Hosted {
    entity: Entity,
    /// Wall time of the last work.
    touched_at: Timestamp,
    /// Its place in `timers`.
    timer: Option<Timestamp>,
    /// Its place in `idle`.
    idle: Option<Timestamp>,
}

impl Hosted {
    /// It waits for a person: one with a deadline has a timer, whenever that comes.
    fn is_idle(&self) -> bool {
        self.timer.is_none() && !self.entity.has_pending()
    }
}

impl std::fmt::Debug for Hosting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "shard {} with {} entities", self.shard, self.entities.len())
    }
}

fn key_of(subject: &Subject) -> String {
    format!("{}:{}", subject.kind.as_str(), subject.id)
}

impl Hosting {
    pub(super) fn new(shard: u16, store: Arc<dyn CheckpointStore>, written_out: Vec<String>) -> Self {
        Self {
            shard,
            store,
            entities: HashMap::new(),
            written_out: written_out.into_iter().collect(),
            changed: HashSet::new(),
            deleted: HashMap::new(),
            pending: HashSet::new(),
            timers: BTreeSet::new(),
            idle: BTreeSet::new(),
            fired: HashSet::new(),
            looked_at: Timestamp::MIN,
        }
    }

    /// Puts back what a checkpoint holds.
    pub(super) fn restore(&mut self, entity: Entity, rules: &RuleSet, now: Timestamp) {
        let hash = entity.subject.hash();
        if entity.has_pending() {
            self.pending.insert(hash);
        }
        self.put(hash, entity, now);
        self.schedule(hash, rules, now);
    }

    pub(super) fn put(&mut self, hash: u64, entity: Entity, now: Timestamp) {
        match self.entities.get_mut(&hash) {
            Some(hosted) => hosted.entity = entity,
            None => {
                let hosted = Hosted {
                    entity,
                    touched_at: now,
                    timer: None,
                    idle: Some(now),
                };
                self.entities.insert(hash, hosted);
                self.idle.insert((now, hash));
            }
        }
    }

    pub(super) fn has(&self, hash: u64) -> bool {
        self.entities.contains_key(&hash)
    }
    pub(super) fn get_mut(&mut self, hash: u64) -> Option<&mut Entity> {
        self.entities.get_mut(&hash).map(|h| &mut h.entity)
    }
    pub(super) fn in_memory(&self) -> usize {
        self.entities.len()
    }
    pub(super) fn written_out(&self) -> usize {
        self.written_out.len()
    }

    /// The entity in memory: as it is, brought back from the store, or new.
    pub(super) async fn entity(
        &mut self,
        subject: &Subject,
        now: Timestamp,
    ) -> Result<(u64, &mut Entity), ActorProcessingErr> {
        let hash = subject.hash();
        if !self.has(hash) {
            let key = key_of(subject);
            let back = if self.written_out.remove(&key) {
                self.fetch(&key).await?
            } else {
                None
            };
            self.put(hash, back.unwrap_or_else(|| Entity::new(subject.clone())), now);
            self.deleted.remove(&hash);
        }
        let hosted = self.entities.get_mut(&hash).expect("put above");
        Ok((hash, &mut hosted.entity))
    }

    async fn fetch(&self, key: &str) -> Result<Option<Entity>, ActorProcessingErr> {
        let bytes = self.store.fetch(self.shard, key).await?;
        Ok(bytes.map(|b| checkpoint::decode_entity(key, &b)).transpose()?)
    }

    /// Every entity that is written out comes back into memory: those that wait for a person are few.
    pub(super) async fn bring_back_all(&mut self, now: Timestamp) -> Result<(), ActorProcessingErr> {
        for key in std::mem::take(&mut self.written_out) {
            if let Some(entity) = self.fetch(&key).await? {
                self.put(entity.subject.hash(), entity, now);
            }
        }
        Ok(())
    }

    /// Runs this over all entities in memory; gives those that it changed, in a fixed order.
    pub(super) fn touch_where(&mut self, mut change: impl FnMut(&mut Entity) -> bool) -> Vec<u64> {
        let changed = self
            .entities
            .iter_mut()
            .filter_map(|(hash, h)| change(&mut h.entity).then_some(*hash));
        let mut changed: Vec<u64> = changed.collect();
        changed.sort_unstable();
        changed
    }

    /// An entry is judged for this entity: takes what it gives out, and lets it go on waiting or end.
    pub(super) fn end_entry(&mut self, hash: u64, rules: &RuleSet, now: Timestamp, out: &mut Vec<Effect>) {
        let Some(hosted) = self.entities.get_mut(&hash) else {
            return;
        };
        hosted.touched_at = now;
        hosted.entity.end_entry(now, out);
        self.changed.insert(hash);
        if hosted.entity.is_blank() {
            self.delete(hash);
            return;
        }
        if hosted.entity.has_pending() {
            self.pending.insert(hash);
        }
        self.schedule(hash, rules, now);
    }

    fn delete(&mut self, hash: u64) {
        let Some(hosted) = self.take_out(hash) else {
            return;
        };
        self.fired.remove(&hash);
        self.changed.remove(&hash);
        self.pending.remove(&hash);
        self.deleted.insert(hash, key_of(&hosted.entity.subject));
    }

    fn take_out(&mut self, hash: u64) -> Option<Hosted> {
        let hosted = self.entities.remove(&hash)?;
        if let Some(at) = hosted.timer {
            self.timers.remove(&(at, hash));
        }
        if let Some(at) = hosted.idle {
            self.idle.remove(&(at, hash));
        }
        Some(hosted)
    }

    fn set_timer(&mut self, hash: u64, next: Option<Timestamp>) {
        let Some(hosted) = self.entities.get_mut(&hash) else {
            return;
        };
        let idle = next.is_none().then_some(hosted.touched_at);
        for (queue, was, is) in [
            (&mut self.timers, &mut hosted.timer, next),
            (&mut self.idle, &mut hosted.idle, idle),
        ] {
            if *was != is {
                if let Some(at) = std::mem::replace(was, is) {
                    queue.remove(&(at, hash));
                }
                queue.extend(is.map(|at| (at, hash)));
            }
        }
    }

    pub(super) fn flush(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        let mut pending: Vec<u64> = self.pending.drain().collect();
        pending.sort_unstable();
        for hash in pending {
            if let Some(hosted) = self.entities.get_mut(&hash) {
                hosted.entity.flush(now, out);
            }
        }
    }

    /// A deadline that moves away leaves its timer where it is: it is looked at then, and put where it belongs.
    fn schedule(&mut self, hash: u64, rules: &RuleSet, now: Timestamp) {
        let Some(hosted) = self.entities.get(&hash) else {
            return;
        };
        let next = hosted.entity.deadline(rules, now);
        let keeps = hosted.timer.zip(next).is_some_and(|(timer, next)| timer <= next);
        if !keeps {
            self.set_timer(hash, next);
        }
    }

    /// Subjects whose deadline has come, at most `limit`.
    pub(super) fn due(&mut self, rules: &RuleSet, now: Timestamp, limit: usize) -> (Vec<u64>, Vec<Subject>) {
        if now < self.looked_at.minus(SET_BACK) {
            self.schedule_all(rules, now);
        }
        self.looked_at = now;
        let (mut hashes, mut subjects) = (Vec::new(), Vec::new());
        let seen: Vec<(Timestamp, u64)> = self.timers.iter().take_while(|(at, _)| *at <= now).copied().collect();
        for (_, hash) in seen {
            if hashes.len() >= limit {
                break;
            }
            let Some(hosted) = self.entities.get(&hash).filter(|_| !self.fired.contains(&hash)) else {
                continue;
            };
            let next = hosted.entity.deadline(rules, now);
            if next.is_some_and(|next| next <= now) {
                hashes.push(hash);
                subjects.push(hosted.entity.subject.clone());
            } else {
                self.set_timer(hash, next);
            }
        }
        (hashes, subjects)
    }

    /// These rules, sorted, have changed: so may have the deadlines of what they judge.
    pub(super) fn schedule_under(&mut self, changed: &[RuleId], rules: &RuleSet, now: Timestamp) {
        if changed.is_empty() {
            return;
        }
        let under = self.entities.iter().filter(|(_, h)| h.entity.is_under(changed));
        let under: Vec<u64> = under.map(|(hash, _)| *hash).collect();
        under.into_iter().for_each(|hash| self.schedule(hash, rules, now));
    }

    /// By a clock that was set back, every deadline is another one.
    pub(super) fn schedule_all(&mut self, rules: &RuleSet, now: Timestamp) {
        let deadline = |(hash, hosted): (&u64, &Hosted)| (*hash, hosted.entity.deadline(rules, now));
        let all: Vec<_> = self.entities.iter().map(deadline).collect();
        all.into_iter().for_each(|(hash, next)| self.set_timer(hash, next));
    }

    pub(super) fn timers_due(&self, now: Timestamp) -> usize {
        self.timers.iter().take_while(|(at, _)| *at <= now).count()
    }

    pub(super) fn timers_fired(&mut self, hashes: &[u64]) {
        self.fired.extend(hashes);
    }
    pub(super) fn timer_came(&mut self, hash: u64) {
        self.fired.remove(&hash);
    }

    /// Saves what changed since the last save. False when the store cannot be reached: the journal keeps what it would have covered.
    pub(super) async fn save(&mut self, cursor: Cursor, now: Timestamp) -> Result<bool, ActorProcessingErr> {
        let mut changes = Vec::with_capacity(self.changed.len() + self.deleted.len());
        for hosted in self.changed.iter().filter_map(|hash| self.entities.get(hash)) {
            changes.push(EntityChange {
                key: key_of(&hosted.entity.subject),
                state: Some(checkpoint::encode_entity(&hosted.entity)),
                hot: !hosted.is_idle(),
            });
        }
        let idle = self.idle.range(..=(now.minus(IDLE_AFTER), u64::MAX));
        let idle: Vec<u64> = idle.map(|(_, hash)| *hash).collect();
        let deleted = self.deleted.values().cloned();
        changes.extend(deleted.map(|key| EntityChange {
            key,
            state: None,
            hot: false,
        }));
        match self.store.save(self.shard, cursor, changes).await {
            Ok(()) => {}
            Err(e) if e.is_temporary() => {
                tracing::warn!(shard = self.shard, error = %e, "a checkpoint could not be saved; the journal keeps what it would have covered");
                return Ok(false);
            }
            Err(e) => return Err(e.into()),
        }
        for hash in idle {
            if self.entities.get(&hash).is_some_and(Hosted::is_idle)
                && let Some(hosted) = self.take_out(hash)
            {
                self.written_out.insert(key_of(&hosted.entity.subject));
            }
        }
        self.changed.clear();
        self.deleted.clear();
        metrics::entities(self.shard, self.entities.len(), self.written_out.len());
        Ok(true)
    }
}
