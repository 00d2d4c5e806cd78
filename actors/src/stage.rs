//! The stage above entities: alerts leave judging here, in the order of the journal, those of one entry together.
//!
//! Shards judge side by side, so what one record opens comes from several of them, at different times. An alert waits here until every
//! shard has judged its entry and all entries before it; then the alerts of the entry go to the effect journal as one group, after the
//! incidents that they are about. So whoever reads alerts sees all that one record brought, or nothing of it yet.
//!
//! It keeps nothing of its own over a restart: a checkpoint waits until the alerts up to its position are on disk ([`Stage::settled`]),
//! and a replay from there brings the later ones again, under the same ids. Whoever finishes the oldest entry writes: there is no task
//! that could end unseen.

use crate::effect_log::{EffectLog, EffectLogClosed};
use andon_engine::effect::{Alert, Effect};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

#[derive(Clone)]
pub struct Stage {
    effects: EffectLog,
    judging: Arc<Mutex<Entries>>,
    settled: watch::Sender<Settled>,
}

/// Entries on their way through the shards, oldest first.
#[derive(Debug, Default)]
struct Entries {
    waiting: VecDeque<Waiting>,
    /// Somebody is writing what is ready.
    is_writing: bool,
}

#[derive(Debug)]
struct Waiting {
    seq: u64,
    /// Pieces of work that are not judged yet, the router's own included.
    pieces: u32,
    alerts: Vec<Alert>,
}

#[derive(Clone, Copy, Debug)]
struct Settled {
    seq: u64,
    is_closed: bool,
}

impl std::fmt::Debug for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Stage({:?})", *self.settled.borrow())
    }
}

impl Stage {
    /// Everything up to `seq` has been judged by a run before.
    pub fn new(effects: EffectLog, seq: u64) -> Self {
        Self {
            effects,
            judging: Arc::default(),
            settled: watch::Sender::new(Settled { seq, is_closed: false }),
        }
    }

    /// The router takes up an entry; [`Stage::done`] says that it has handed out all its work.
    pub fn begin(&self, seq: u64) {
        self.entries().waiting.push_back(Waiting {
            seq,
            pieces: 1,
            alerts: Vec::new(),
        });
    }

    /// A piece of work of the entry goes to a shard.
    pub fn expect_piece(&self, seq: u64) {
        if let Some(entry) = self.entries().find(seq) {
            entry.pieces += 1;
        }
    }

    /// A piece is judged, and what it changed is on disk but for these alerts. Writes what is ready.
    pub async fn done(&self, seq: u64, alerts: Vec<Alert>) -> Result<(), EffectLogClosed> {
        if !self.entries().done(seq, alerts) {
            return Ok(());
        }
        loop {
            // The guard must not live over the append.
            let next = self.entries().next_ready();
            let Some((seq, group)) = next else {
                return Ok(());
            };
            self.effects.append(&group).await?;
            self.settled.send_modify(|s| s.seq = seq);
        }
    }

    /// Waits until the alerts of everything up to `seq` are on disk. False when judging ends before.
    pub async fn settled(&self, seq: u64) -> bool {
        let mut settled = self.settled.subscribe();
        let settled = settled.wait_for(|s| s.is_closed || s.seq >= seq).await;
        settled.is_ok_and(|s| !s.is_closed)
    }

    /// Judging ends: nobody waits any longer.
    pub fn close(&self) {
        self.settled.send_modify(|s| s.is_closed = true);
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.judging.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn find(&mut self, seq: u64) -> Option<&mut Waiting> {
        let at = self.waiting.partition_point(|w| w.seq < seq);
        self.waiting.get_mut(at).filter(|w| w.seq == seq)
    }

    /// True when the caller is to write what is ready.
    fn done(&mut self, seq: u64, alerts: Vec<Alert>) -> bool {
        if let Some(entry) = self.find(seq) {
            entry.pieces -= 1;
            entry.alerts.extend(alerts);
        }
        let is_ready = self.waiting.front().is_some_and(|w| w.pieces == 0);
        is_ready && !std::mem::replace(&mut self.is_writing, true)
    }

    /// The alerts of the oldest entry that has any, and up to where all is settled with them; entries without are passed over.
    fn next_ready(&mut self) -> Option<(u64, Vec<Effect>)> {
        let mut through = None;
        while let Some(entry) = self.waiting.pop_front_if(|w| w.pieces == 0) {
            through = Some(entry.seq);
            if !entry.alerts.is_empty() {
                return Some((entry.seq, in_order(entry.alerts)));
            }
        }
        self.is_writing = through.is_some();
        through.map(|seq| (seq, Vec::new()))
    }
}

/// The same whichever shard came first.
fn in_order(mut alerts: Vec<Alert>) -> Vec<Effect> {
    alerts.sort_by_key(|a| (a.position, a.id));
    alerts.into_iter().map(|a| Effect::Alert(Box::new(a))).collect()
}
