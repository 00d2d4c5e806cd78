//! What a store refuses for good is in quarantine before the cursor passes it.

use crate::world::{World, unavailable, within};
use andon_actors::sinks::log_index::LogIndexWriter;
use andon_engine::time::Timestamp;
use andon_storage::ports::log_index::LogIndex;
use andon_storage::ports::rows::{Quarantined, RefusedRow, Rollup, RowStore};
use andon_storage::ports::{Cursor, Result, StoreError};
use andon_storage::sqlite::SqliteStore;
use std::sync::Arc;
use tokio::sync::watch;

#[tokio::test]
async fn refused_records_are_in_quarantine_with_the_reason_and_stop_no_other() {
    let world = World::new().await;
    let index = world.troubled().await;
    *index.refused_word.lock().expect("not poisoned") = Some("poison");
    let mut sink = world.run_index(&index).await;
    world.append(5).await;
    let long = format!("poison {}", "ä".repeat(4_000));
    let seq = world.append_message(&long).await;
    world.append(5).await;
    sink.until_done(11).await;
    assert_eq!(index.numbers().await, (1..=10).collect::<Vec<_>>());
    let rows = world.relational.quarantined(10).await.expect("it can be read");
    assert_eq!(rows.len(), 1);
    let row = &rows[0];
    assert_eq!(
        (row.journal_seq, row.index, &*row.stage, &*row.key_id),
        (seq, 0, "log_index", "line-3")
    );
    assert_eq!(row.reason, "a message may not say poison");
    assert!(row.excerpt.len() <= 4_096 && row.excerpt.len() > 4_090 && long.starts_with(&row.excerpt));
    sink.stop().await;
}

/// Quarantine that fails until told.
struct Down {
    inner: Arc<SqliteStore>,
    up: watch::Sender<bool>,
    tried: watch::Sender<u32>,
    failure: fn() -> StoreError,
}

impl Down {
    fn new(world: &World, failure: fn() -> StoreError) -> Arc<Self> {
        Arc::new(Self {
            inner: world.relational.clone(),
            up: watch::Sender::new(false),
            tried: watch::Sender::new(0),
            failure,
        })
    }
    async fn until_tried(&self, times: u32) {
        within("quarantine is tried", self.tried.subscribe().wait_for(|n| *n >= times))
            .await
            .expect("it runs");
    }
}

fn lost() -> StoreError {
    StoreError::Lost {
        store: "relational",
        reason: "it was emptied for the test".into(),
    }
}

fn refused() -> StoreError {
    StoreError::Refused {
        store: "relational",
        reason: "for the test".into(),
    }
}

#[async_trait::async_trait]
impl RowStore for Down {
    async fn row_cursor(&self) -> Result<Option<Cursor>> {
        self.inner.row_cursor().await
    }
    async fn write_rows(
        &self,
        rollups: &[Rollup],
        quarantined: &[Quarantined],
        cursor: Cursor,
    ) -> Result<Vec<RefusedRow>> {
        self.inner.write_rows(rollups, quarantined, cursor).await
    }
    async fn quarantine(&self, quarantined: &[Quarantined]) -> Result<()> {
        self.tried.send_modify(|n| *n += 1);
        if !*self.up.borrow() {
            return Err((self.failure)());
        }
        self.inner.quarantine(quarantined).await
    }
    async fn rollups(&self, d: &str, r: &str, from: Timestamp, to: Timestamp, limit: u32) -> Result<Vec<Rollup>> {
        self.inner.rollups(d, r, from, to, limit).await
    }
    async fn quarantined(&self, limit: u32) -> Result<Vec<Quarantined>> {
        self.inner.quarantined(limit).await
    }
    async fn trim_quarantine(&self, rows_max: u64) -> Result<u64> {
        self.inner.trim_quarantine(rows_max).await
    }
}

/// Positions in quarantine, each as often as it is there.
async fn quarantined(world: &World) -> Vec<u64> {
    let rows = world.relational.quarantined(2_000).await.expect("it can be read");
    let mut seqs: Vec<u64> = rows.iter().map(|r| r.journal_seq).collect();
    seqs.sort_unstable();
    seqs
}

#[tokio::test]
async fn the_cursor_waits_for_quarantine() {
    // Whatever is wrong with quarantine says nothing about the index.
    for failure in [unavailable, lost, refused] {
        let world = World::new().await;
        let index = world.troubled().await;
        *index.refused_word.lock().expect("not poisoned") = Some("poison");
        let down = Down::new(&world, failure);
        for n in 0..1_200 {
            world.append_message(&format!("poison {n}")).await;
        }
        let mut sink = world
            .run(LogIndexWriter::new(index.clone(), down.clone(), world.journal.id()))
            .await;
        down.until_tried(2).await;
        let cursor = index.log_cursor().await.expect("a cursor");
        assert_eq!((*sink.progress.done.borrow(), cursor), (0, None));
        assert!(sink.until_troubled().await.contains("for the test"));
        down.up.send_replace(true);
        sink.until_done(1_200).await;
        assert_eq!(quarantined(&world).await, (1..=1_200).collect::<Vec<_>>(), "each once");
        sink.stop().await;
    }
}

#[tokio::test]
async fn what_is_refused_while_index_and_quarantine_are_both_emptied_is_in_quarantine() {
    let world = World::new().await;
    let index = world.troubled().await;
    *index.refused_word.lock().expect("not poisoned") = Some("poison");
    let down = Down::new(&world, lost);
    for n in 0..10 {
        world.append_message(&format!("poison {n}")).await;
    }
    let mut sink = world
        .run(LogIndexWriter::new(index.clone(), down.clone(), world.journal.id()))
        .await;
    down.until_tried(1).await;
    index.becomes(world.index("empty").await);
    let tried = *down.tried.borrow();
    down.until_tried(tried + 2).await;
    down.up.send_replace(true);
    sink.until_done(10).await;
    assert_eq!(quarantined(&world).await, (1..=10).collect::<Vec<_>>(), "each once");
    sink.stop().await;
}
