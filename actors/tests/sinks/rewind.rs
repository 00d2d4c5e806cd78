//! A store that loses what it had is filled again.

use crate::world::{Running, Troubled, World, within};
use andon_actors::sinks::Writer;
use andon_actors::sinks::rows::RowWriter;
use andon_engine::effect::Effect;
use andon_engine::ids::JournalId;
use andon_engine::time::{Span, Timestamp};
use andon_storage::ports::rows::{EffectStore, EffectsApplied, Quarantined, RefusedRow, Rollup, RowStore};
use andon_storage::ports::{Cursor, Result, StoreError};
use andon_storage::sqlite::SqliteStore;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

fn all(to: u64) -> Vec<u64> {
    (1..=to).collect()
}

/// A world whose index has `count` records.
async fn indexed(count: u64) -> (World, Arc<Troubled>, Running) {
    let world = World::new().await;
    let index = world.troubled().await;
    let mut sink = world.run_index(&index).await;
    world.append(count).await;
    sink.until_done(count).await;
    (world, index, sink)
}

/// The index is exchanged for an empty one while a commit waits at its gate: the sink goes back, and waits there again.
async fn empty(world: &World, index: &Troubled, sink: &mut Running) {
    index.gate.send_replace(false);
    index.becomes(world.index("empty").await);
    world.append(1).await;
    index.gate.send_replace(true);
    index.gate.send_replace(false);
    within("the sink goes back", sink.progress.done.wait_for(|d| *d == 0))
        .await
        .expect("it runs");
}

#[tokio::test]
async fn an_index_that_is_emptied_is_filled_from_archive_and_journal_while_records_come_in() {
    let (world, index, mut sink) = indexed(300).await;
    world.recycle().await;
    assert!(world.journal.first_seq() > 100 && world.archived().len() > 2);

    empty(&world, &index, &mut sink).await;
    assert_eq!(world.released("log_index"), 0, "what it needs again is held");
    assert!(sink.progress.trouble.borrow().is_some());
    assert_eq!(sink.progress.lag(), 301);
    world.append(49).await;
    index.gate.send_replace(true);
    sink.until_done(350).await;
    assert_eq!(index.numbers().await, all(350), "each record once");
    assert!(sink.progress.trouble.borrow().is_none());
    assert_eq!((sink.progress.lag(), sink.progress.lag_seconds()), (0, 0.0));
    assert_eq!(world.released("log_index"), 350);
    sink.stop().await;
}

#[tokio::test]
async fn a_crash_while_it_is_filled_again_costs_nothing() {
    let (world, index, mut sink) = indexed(200).await;
    world.recycle().await;
    empty(&world, &index, &mut sink).await;
    // Killed before anything of the second filling is committed, and started anew.
    sink.task.abort();
    assert!(within("it ends", &mut sink.task).await.is_err_and(|e| e.is_cancelled()));
    index.gate.send_replace(true);
    let mut sink = world.run_index(&index).await;
    sink.until_done(201).await;
    assert_eq!(index.numbers().await, all(201));
    sink.stop().await;
}

#[tokio::test]
async fn a_damaged_block_of_the_archive_costs_its_records_and_no_more() {
    let (world, _, sink) = indexed(200).await;
    world.recycle().await;
    sink.stop().await;
    let file = world.archived()[1].clone();
    let name = file.file_name().and_then(|n| n.to_str()).expect("a name").to_owned();
    let mut parts = name.split('-').skip(1).map(|p| p.parse::<u64>().expect("a number"));
    let lost = parts.next().expect("first")..=parts.next().expect("last");
    let mut bytes = std::fs::read(&file).expect("it can be read");
    bytes[50] ^= 1;
    std::fs::write(&file, bytes).expect("it can be written");

    let index = Arc::new(Troubled::new(world.index("new").await));
    let mut sink = world.run_index(&index).await;
    sink.until_done(200).await;
    let want: Vec<u64> = all(200).into_iter().filter(|n| !lost.contains(n)).collect();
    assert_eq!(index.numbers().await, want);
    sink.stop().await;
}

#[tokio::test]
async fn a_cursor_of_another_journal_stops_its_sink_and_no_other() {
    let world = World::new().await;
    let index = world.troubled().await;
    let mut sink = world.run_index(&index).await;
    let mut rows = world.run(RowWriter::new(world.relational.clone())).await;
    world.append(20).await;
    sink.until_done(20).await;
    *index.cursor.lock().expect("not poisoned") = Some(Cursor {
        journal: JournalId(world.journal.id().0 ^ 1),
        seq: 5,
    });
    index.becomes(world.index("foreign").await);
    world.append(20).await;
    let foreign = |t: &Option<Arc<str>>| t.as_ref().is_some_and(|t| t.contains("another journal"));
    within("it says what is wrong", sink.progress.trouble.wait_for(foreign))
        .await
        .expect("it runs");
    assert_eq!(*sink.progress.done.borrow(), 20);
    rows.until_done(40).await;
    assert_eq!(index.inner().records(), 0, "nothing is written to it");
    sink.stop().await;
    rows.stop().await;
}

#[tokio::test]
async fn a_store_that_loses_its_data_over_and_over_is_filled_when_it_stays() {
    let (world, index, mut sink) = indexed(50).await;
    for round in 0..3 {
        index.becomes(world.index(&format!("empty {round}")).await);
        world.append(5).await;
        let trouble = sink.until_troubled().await;
        assert!(trouble.contains("has lost what it had"), "{trouble}");
    }
    sink.until_done(65).await;
    assert_eq!(index.numbers().await, all(65));
    sink.stop().await;
}

#[tokio::test]
async fn filling_a_store_for_long_does_not_fill_the_journal() {
    // More in the archive than a sink buffers at once, and a journal that is smaller than that.
    let world = World::with(|o| {
        o.segment_bytes = 1 << 20;
        o.quota_bytes = 12 << 20;
    })
    .await;
    let append = async |from: u64, to: u64| {
        for n in from..=to {
            let message = format!("message {n} {}", "x".repeat(240_000));
            world.append_message(&message).await;
        }
    };
    let others = world.journal.holder("others", u64::MAX);
    append(1, 160).await;
    world.recycle().await;
    let index = world.troubled().await;
    let mut sink = world.run_index(&index).await;
    assert_eq!(world.released("log_index"), 0);
    // The first batch out of the archive meets a store that is down, while more comes in than the journal has room for.
    index.down.store(true, Ordering::SeqCst);
    sink.until_troubled().await;
    append(161, 220).await;
    index.down.store(false, Ordering::SeqCst);
    sink.until_done(220).await;
    assert_eq!(index.numbers().await, all(220), "and nothing was missed for it");
    assert_eq!(world.released("log_index"), 220);
    sink.stop().await;
    others.remove();
}

/// The database of roll-ups and effects, which can be taken away and given back empty.
pub struct Emptied {
    inner: Mutex<Arc<SqliteStore>>,
    lost: AtomicBool,
}

impl Emptied {
    pub fn new(world: &World) -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::new(world.relational.clone()),
            lost: AtomicBool::new(false),
        })
    }
    /// The store restarts as `empty`.
    pub fn becomes(&self, empty: SqliteStore) {
        *self.inner.lock().expect("not poisoned") = Arc::new(empty);
        self.lost.store(true, Ordering::SeqCst);
    }
    fn check(&self) -> Result<()> {
        if self.lost.load(Ordering::SeqCst) {
            let (store, reason) = ("relational", "for the test".into());
            return Err(StoreError::Lost { store, reason });
        }
        Ok(())
    }
    pub fn inner(&self) -> Arc<SqliteStore> {
        self.inner.lock().expect("not poisoned").clone()
    }
}

#[async_trait::async_trait]
impl RowStore for Emptied {
    async fn row_cursor(&self) -> Result<Option<Cursor>> {
        self.lost.store(false, Ordering::SeqCst);
        self.inner().row_cursor().await
    }
    async fn write_rows(
        &self,
        rollups: &[Rollup],
        quarantined: &[Quarantined],
        cursor: Cursor,
    ) -> Result<Vec<RefusedRow>> {
        self.check()?;
        self.inner().write_rows(rollups, quarantined, cursor).await
    }
    async fn quarantine(&self, quarantined: &[Quarantined]) -> Result<()> {
        self.inner().quarantine(quarantined).await
    }
    async fn rollups(&self, d: &str, r: &str, from: Timestamp, to: Timestamp, limit: u32) -> Result<Vec<Rollup>> {
        self.inner().rollups(d, r, from, to, limit).await
    }
    async fn quarantined(&self, limit: u32) -> Result<Vec<Quarantined>> {
        self.inner().quarantined(limit).await
    }
    async fn trim_quarantine(&self, rows_max: u64) -> Result<u64> {
        self.inner().trim_quarantine(rows_max).await
    }
}

#[async_trait::async_trait]
impl EffectStore for Emptied {
    async fn effect_cursor(&self) -> Result<Option<Cursor>> {
        self.lost.store(false, Ordering::SeqCst);
        self.inner().effect_cursor().await
    }
    async fn apply_effects(&self, effects: &[Effect], cursor: Cursor) -> Result<EffectsApplied> {
        self.check()?;
        self.inner().apply_effects(effects, cursor).await
    }
}

#[tokio::test]
async fn roll_ups_count_every_reading_once_again() {
    let world = World::new().await;
    let store = Emptied::new(&world);
    let mut sink = world.run(RowWriter::new(store.clone())).await;
    world.append(150).await;
    sink.until_done(150).await;
    world.recycle().await;
    let empty = SqliteStore::open(&world.dir.path().join("empty.db"))
        .await
        .expect("it opens");
    store.becomes(empty);
    world.append(50).await;
    sink.until_done(200).await;
    let (from, to) = (Timestamp(0), crate::world::START.plus(Span::hours(24)));
    let rows = store
        .rollups("CNV-01", "load", from, to, 1_000)
        .await
        .expect("it can be read");
    assert_eq!(rows.iter().map(|r| r.count).sum::<u64>(), 200);
    assert_eq!(rows.iter().map(|r| r.sum).sum::<f64>(), 400.0);
    sink.stop().await;
}

#[tokio::test]
async fn the_hold_follows_the_store_s_cursor_at_start() {
    let (world, index, sink) = indexed(10).await;
    sink.stop().await;
    world.append(10).await;
    let writer = Writer::open(world.index_writer(&index), world.journal.clone())
        .await
        .expect("it opens");
    assert_eq!(
        (*writer.progress().done.borrow(), world.released("log_index")),
        (10, 10)
    );
}
