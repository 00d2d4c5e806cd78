//! Roll-ups of any reading that a number can be, and what a store refuses of them.

use crate::rewind::Emptied;
use crate::world::{START, World};
use andon_actors::sinks::rows::RowWriter;
use andon_engine::record::Record;
use andon_engine::time::{Span, Timestamp};
use andon_storage::ports::rows::{Rollup, RowStore};
use andon_storage::relational::database::{Database, Transaction};
use andon_storage::sqlite::SqliteStore;

async fn of(store: &SqliteStore, device: &str) -> Vec<Rollup> {
    let (from, to) = (Timestamp(0), START.plus(Span::hours(24)));
    let rows = store.rollups(device, "load", from, to, 100).await;
    rows.expect("it can be read")
}

async fn append(world: &World, device: &str, value: f64) -> u64 {
    let record = Record {
        device_id: Some(device),
        readings: vec![("load", value)],
        ..Record::default()
    };
    world.append_record(record).await
}

#[tokio::test]
async fn readings_at_the_ends_of_what_a_number_can_be_are_rolled_up() {
    let world = World::new().await;
    let mut sink = world.run(RowWriter::new(world.relational.clone())).await;
    for value in [1.7e308, 1.7e308, -1.7e308, -1.7e308, -1.7e308, -1.7e308, 5e-324, 5e-324] {
        append(&world, "CNV-01", value).await;
    }
    append(&world, "CNV-02", 5e-324).await;
    let end = append(&world, "CNV-02", 5e-324).await;
    sink.until_done(end).await;
    let rows = of(&world.relational, "CNV-01").await;
    assert_eq!(rows.iter().map(|r| r.count).sum::<u64>(), 8, "no reading is left out");
    assert!(rows.iter().all(|r| r.sum.is_finite()));
    let rows = of(&world.relational, "CNV-02").await;
    assert_eq!(rows.iter().map(|r| r.sum).sum::<f64>(), 1e-323);
    sink.stop().await;
}

/// A database that refuses what is said of CNV-13.
async fn refuse(store: &SqliteStore) {
    let trigger = "CREATE TRIGGER refuses BEFORE INSERT ON reading_minutes WHEN NEW.device = 'CNV-13'
        BEGIN SELECT RAISE(ABORT, 'for the test'); END";
    let mut tx = store.database().begin().await.expect("it begins");
    tx.script(trigger.to_owned()).await.expect("a trigger is made");
    tx.commit().await.expect("it is there");
}

async fn all_but_the_refused(store: &SqliteStore, count: u32) {
    for n in 0..count {
        let rows = of(store, &format!("CNV-{n:02}")).await;
        assert_eq!(rows.len(), usize::from(n != 13), "{n}");
    }
    let rows = store.quarantined(10).await.expect("it can be read");
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].stage, "rows");
    assert!(rows[0].reason.contains("for the test") && rows[0].excerpt.contains("CNV-13"));
}

#[tokio::test]
async fn a_refused_roll_up_costs_no_other_and_is_in_quarantine_also_after_the_store_was_emptied() {
    let world = World::new().await;
    refuse(&world.relational).await;
    let store = Emptied::new(&world);
    let mut sink = world.run(RowWriter::new(store.clone())).await;
    for n in 0..40 {
        append(&world, &format!("CNV-{n:02}"), 2.0).await;
    }
    sink.until_done(40).await;
    all_but_the_refused(&world.relational, 40).await;
    let empty = SqliteStore::open(&world.dir.path().join("empty.db"))
        .await
        .expect("it opens");
    refuse(&empty).await;
    store.becomes(empty);
    append(&world, "CNV-40", 2.0).await;
    sink.until_done(41).await;
    all_but_the_refused(&store.inner(), 41).await;
    sink.stop().await;
}
