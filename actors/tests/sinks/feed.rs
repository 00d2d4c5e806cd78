//! What live views read is fed from the journal, and never keeps it from recycling.

use crate::world::{World, unavailable, within};
use andon_actors::sinks::SinkProgress;
use andon_actors::sinks::fast_state::FastStateFeed;
use andon_engine::batch::Batch;
use andon_engine::time::{Clock, Span, Timestamp};
use andon_storage::fast_state::{FastStateOptions, LocalFastState};
use andon_storage::ports::fast_state::{FastState, READINGS_KEPT, TracePoint};
use andon_storage::ports::log_index::StoredRecord;
use andon_storage::ports::{Cursor, Result, StoreError};
use bytes::Bytes;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Real fast state that can be down, and can lose everything.
struct Troubled {
    inner: Mutex<Arc<LocalFastState>>,
    down: AtomicBool,
    lost: AtomicBool,
}

impl Troubled {
    fn inner(&self) -> Arc<LocalFastState> {
        self.inner.lock().expect("not poisoned").clone()
    }
}

#[async_trait::async_trait]
impl FastState for Troubled {
    async fn fast_cursor(&self) -> Result<Option<Cursor>> {
        self.lost.store(false, Ordering::SeqCst);
        self.inner().fast_cursor().await
    }
    async fn push(&self, batches: &[Batch<Bytes>]) -> Result<()> {
        if self.down.load(Ordering::SeqCst) {
            return Err(unavailable());
        }
        if self.lost.load(Ordering::SeqCst) {
            let (store, reason) = ("fast state", "for the test".into());
            return Err(StoreError::Lost { store, reason });
        }
        self.inner().push(batches).await
    }
    async fn recent(&self, application: &str, limit: u32) -> Result<Vec<StoredRecord>> {
        self.inner().recent(application, limit).await
    }
    async fn trace(&self, d: &str, r: &str, from: Timestamp, to: Timestamp, n: u32) -> Result<Vec<TracePoint>> {
        self.inner().trace(d, r, from, to, n).await
    }
}

struct Fed {
    store: Arc<Troubled>,
    progress: SinkProgress,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

fn empty(world: &World) -> Arc<LocalFastState> {
    Arc::new(LocalFastState::new(world.clock.clone(), FastStateOptions::default()))
}

impl Fed {
    async fn start(world: &World) -> Self {
        let store = Arc::new(Troubled {
            inner: Mutex::new(empty(world)),
            down: AtomicBool::new(false),
            lost: AtomicBool::new(false),
        });
        let feed = FastStateFeed::new(store.clone(), world.journal.clone(), READINGS_KEPT);
        let progress = feed.progress();
        let stop = watch::Sender::new(false);
        let task = tokio::spawn(feed.run(stop.subscribe()));
        Self {
            store,
            progress,
            stop,
            task,
        }
    }
    /// It has taken the entry.
    async fn until(&mut self, seq: u64) {
        let taken = async {
            while self
                .store
                .fast_cursor()
                .await
                .expect("it answers")
                .is_none_or(|c| c.seq < seq)
            {
                tokio::task::yield_now().await;
            }
        };
        within("it has taken everything", taken).await;
    }
    async fn times(&self, world: &World) -> Vec<Timestamp> {
        let (from, to) = (Timestamp(0), world.clock.now().plus(Span::hours(1)));
        let points = self.store.trace("CNV-01", "load", from, to, 100_000).await;
        points.expect("it answers").iter().map(|p| p.at).collect()
    }
    async fn stop(self) {
        self.stop.send_replace(true);
        within("the feed ends", self.task).await.expect("no panic");
    }
}

/// The last `n` entries, a second apart.
fn last(world: &World, n: i64) -> Vec<Timestamp> {
    (0..n).rev().map(|s| world.clock.now().minus(Span::secs(s))).collect()
}

#[tokio::test]
async fn it_begins_as_far_back_as_readings_are_kept_and_follows() {
    let world = World::new().await;
    world.append(1_000).await;
    let mut fed = Fed::start(&world).await;
    fed.until(1_000).await;
    // 15 minutes before the head, that edge included.
    assert_eq!(fed.times(&world).await, last(&world, 901));
    world.append(5).await;
    fed.until(1_005).await;
    assert_eq!(fed.store.recent("wms", 3).await.expect("it answers").len(), 3);
    assert!(world.journal.usage().holders.is_empty(), "it holds nothing");
    fed.stop().await;
}

#[tokio::test]
async fn one_that_lost_everything_is_filled_again() {
    let world = World::new().await;
    world.append(100).await;
    let mut fed = Fed::start(&world).await;
    fed.until(100).await;
    *fed.store.inner.lock().expect("not poisoned") = empty(&world);
    fed.store.lost.store(true, Ordering::SeqCst);
    world.append(1).await;
    within("it is told", fed.progress.trouble.wait_for(Option::is_some))
        .await
        .expect("it runs");
    fed.until(101).await;
    assert_eq!(fed.times(&world).await, last(&world, 101));
    fed.stop().await;
}

#[tokio::test]
async fn after_a_long_time_down_it_leaves_out_what_nobody_looks_at() {
    let world = World::new().await;
    world.append(10).await;
    let mut fed = Fed::start(&world).await;
    fed.until(10).await;
    fed.store.down.store(true, Ordering::SeqCst);
    world.append(10).await;
    within("it is down", fed.progress.trouble.wait_for(Option::is_some))
        .await
        .expect("it runs");
    world.append(2_000).await;
    world.journal.holder("others", 1_900);
    world.recycle().await;
    assert!(world.journal.first_seq() > 20, "what it waits with is gone");
    fed.store.down.store(false, Ordering::SeqCst);
    fed.until(2_020).await;
    let times = fed.times(&world).await;
    assert_eq!(times.last(), Some(&world.clock.now()));
    assert!(times.len() <= 901, "{}", times.len());
    fed.stop().await;
}
