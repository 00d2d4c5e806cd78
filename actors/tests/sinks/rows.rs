//! Roll-ups of any reading that a number can be, and what a store refuses of them.

use crate::world::{START, World};
use andon_actors::sinks::rows::RowWriter;
use andon_engine::record::Record;
use andon_engine::time::{Span, Timestamp};
use andon_storage::ports::rows::{Rollup, RowStore};
use andon_storage::relational::database::{Database, Transaction};

async fn of(world: &World, device: &str) -> Vec<Rollup> {
    let (from, to) = (Timestamp(0), START.plus(Span::hours(24)));
    let rows = world.relational.rollups(device, "load", from, to, 100).await;
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
    let rows = of(&world, "CNV-01").await;
    assert_eq!(rows.iter().map(|r| r.count).sum::<u64>(), 8, "no reading is left out");
    assert!(rows.iter().all(|r| r.sum.is_finite()));
    let rows = of(&world, "CNV-02").await;
    assert_eq!(rows.iter().map(|r| r.sum).sum::<f64>(), 1e-323);
    sink.stop().await;
}

#[tokio::test]
async fn a_refused_roll_up_costs_no_other_and_is_in_quarantine() {
    let world = World::new().await;
    let trigger = "CREATE TRIGGER refuses BEFORE INSERT ON reading_minutes WHEN NEW.device = 'CNV-13'
        BEGIN SELECT RAISE(ABORT, 'for the test'); END";
    let mut tx = world.relational.database().begin().await.expect("it begins");
    tx.script(trigger.to_owned()).await.expect("a trigger is made");
    tx.commit().await.expect("it is there");
    let mut sink = world.run(RowWriter::new(world.relational.clone())).await;
    for n in 0..40 {
        append(&world, &format!("CNV-{n:02}"), 2.0).await;
    }
    sink.until_done(40).await;
    for n in 0..40 {
        let rows = of(&world, &format!("CNV-{n:02}")).await;
        assert_eq!(rows.len(), usize::from(n != 13), "{n}");
    }
    let rows = world.relational.quarantined(10).await.expect("it can be read");
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].stage, "rows");
    assert!(rows[0].reason.contains("for the test") && rows[0].excerpt.contains("CNV-13"));
    sink.stop().await;
}
