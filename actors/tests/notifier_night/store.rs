//! The store as a process that may be killed sees it: at a chosen call, before or after it, nothing comes back any more.

use andon_engine::ids::{AlertId, IncidentId};
use andon_engine::time::{Span, Timestamp};
use andon_storage::ports::Result;
use andon_storage::ports::deliveries::{
    Decision, Delivery, DeliveryCounts, DeliveryStore, Expansion, Furthest, Notice, NoticeId, Outcome, Slot, Target,
    Told,
};
use andon_storage::sqlite::SqliteStore;
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// When the process is killed next.
#[derive(Clone, Copy, Debug)]
pub struct Kill {
    /// Calls of the store that still come back.
    pub after_calls: u64,
    /// The store does what it is asked, and its answer is lost.
    pub is_done: bool,
}

pub struct MortalStore {
    inner: Arc<SqliteStore>,
    kill: Mutex<Option<Kill>>,
    killed: Notify,
    /// What was decided, and when by the clock on the wall.
    pub decided: Mutex<Vec<(Timestamp, Decision)>>,
}

impl MortalStore {
    pub fn new(inner: Arc<SqliteStore>) -> Self {
        Self {
            inner,
            kill: Mutex::new(None),
            killed: Notify::new(),
            decided: Mutex::new(Vec::new()),
        }
    }

    pub fn kill(&self, kill: Option<Kill>) {
        *self.kill.lock().unwrap() = kill;
    }

    pub async fn is_killed(&self) {
        self.killed.notified().await;
    }

    /// Comes back unless this is the call at which the process dies.
    async fn lives(&self, is_done: bool) {
        let dies = {
            let mut kill = self.kill.lock().unwrap();
            match kill.as_mut() {
                Some(k) if k.after_calls == 0 => k.is_done == is_done,
                Some(k) => {
                    k.after_calls -= u64::from(is_done);
                    false
                }
                None => false,
            }
        };
        if dies {
            self.killed.notify_one();
            std::future::pending::<()>().await;
        }
    }
}

macro_rules! mortal {
    ($($name:ident($($arg:ident: $type:ty),*) -> $out:ty;)*) => {
        #[async_trait::async_trait]
        impl DeliveryStore for MortalStore {
            $(async fn $name(&self, $($arg: $type),*) -> Result<$out> {
                self.lives(false).await;
                let answer = self.inner.$name($($arg),*).await;
                self.lives(true).await;
                answer
            })*

            async fn decide(&self, decision: &Decision, now: Timestamp) -> Result<bool> {
                self.lives(false).await;
                let answer = self.inner.decide(decision, now).await;
                if matches!(answer, Ok(true)) {
                    self.decided.lock().unwrap().push((now, decision.clone()));
                }
                self.lives(true).await;
                answer
            }
        }
    };
}

mortal! {
    unexpanded(limit: u32) -> Vec<AlertId>;
    expand_all(page: &[Expansion], now: Timestamp) -> Vec<AlertId>;
    targets_due(now: Timestamp) -> Vec<Target>;
    undecided(target: &Target, now: Timestamp, limit: u32) -> Vec<Delivery>;
    held(target: &Target, limit: u32) -> Vec<Delivery>;
    slot(target: &Target) -> Slot;
    unsent(target: &Target) -> Option<Notice>;
    repeats_due(now: Timestamp, limit: u32) -> Vec<Told>;
    told(target: &Target, incident: IncidentId) -> Option<Told>;
    told_of(target: &Target, incidents: &[IncidentId]) -> Vec<Told>;
    sendable(now: Timestamp, limit: u32) -> Vec<NoticeId>;
    claim(id: NoticeId, owner: &str, now: Timestamp, lease: Span) -> Option<Notice>;
    finish(id: NoticeId, owner: &str, outcome: &Outcome, now: Timestamp) -> bool;
    release_claims(owner: &str) -> u64;
    review_muted(now: Timestamp) -> u64;
    review_shelved(now: Timestamp) -> u64;
    clock_set_back(now: Timestamp, furthest: Furthest) -> u64;
    next_due(now: Timestamp) -> Option<Timestamp>;
    counts() -> DeliveryCounts;
    deliveries_of(incident: IncidentId) -> Vec<Delivery>;
    notice(id: NoticeId) -> Option<Notice>;
    notices(limit: u32) -> Vec<Notice>;
    prune_deliveries(before: Timestamp) -> u64;
}
