//! Ending a writer, and what it may hold in memory.

use crate::world::{World, within};
use andon_actors::sinks::fenced;
use std::sync::atomic::Ordering;

#[tokio::test]
async fn a_fenced_writer_writes_nothing_more_and_says_so() {
    let world = World::new().await;
    let index = world.troubled().await;
    let mut sink = world.run_index(&index).await;
    let rows = world
        .run(andon_actors::sinks::rows::RowWriter::new(world.relational.clone()))
        .await;
    world.append(10).await;
    sink.until_done(10).await;
    index.fenced.store(true, Ordering::SeqCst);
    world.append(10).await;
    let sinks = [rows.progress.clone(), sink.progress.clone()];
    let (name, reason) = within("it says that it is fenced", fenced(&sinks)).await;
    assert_eq!(name, "log_index");
    assert!(reason.contains("takes nothing more of this process"), "{reason}");
    within("the writer ends", &mut sink.task).await.expect("no panic");
    let calls = index.calls.load(Ordering::SeqCst);
    index.fenced.store(false, Ordering::SeqCst);
    world.append(10).await;
    rows.stop().await;
    assert_eq!(
        index.calls.load(Ordering::SeqCst),
        calls,
        "nobody asks the store any more"
    );
    assert_eq!(index.inner().records(), 10);
}

#[tokio::test]
async fn what_is_buffered_is_written_at_the_end() {
    let world = World::new().await;
    let index = world.troubled().await;
    let sink = world.run_index(&index).await;
    world.append(30).await;
    sink.stop().await;
    assert_eq!(index.numbers().await, (1..=30).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_store_that_hangs_does_not_hold_up_the_end() {
    let world = World::new().await;
    let index = world.troubled().await;
    let mut sink = world.run_index(&index).await;
    world.append(3).await;
    sink.until_done(3).await;
    index.gate.send_replace(false);
    let calls = index.calls.load(Ordering::SeqCst);
    world.append(3).await;
    within("a batch is on its way", async {
        while index.calls.load(Ordering::SeqCst) == calls {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // Nobody opens the gate.
    sink.stop().await;
    assert_eq!(index.numbers().await, [1, 2, 3]);
    index.gate.send_replace(true);
    let mut sink = world.run_index(&index).await;
    sink.until_done(6).await;
    assert_eq!(index.numbers().await, (1..=6).collect::<Vec<_>>());
    sink.stop().await;
}

#[tokio::test]
async fn a_store_that_is_down_ends_the_writer_at_once() {
    let world = World::new().await;
    let index = world.troubled().await;
    let mut sink = world.run_index(&index).await;
    index.down.store(true, Ordering::SeqCst);
    world.append(3).await;
    sink.until_troubled().await;
    sink.stop().await;
}

#[tokio::test]
async fn the_buffer_stays_within_its_bytes_however_far_behind_and_however_long_the_store_is_down() {
    const ENTRY: usize = 1 << 20;
    const BUFFER: usize = 32 << 20;
    let world = World::with(|o| {
        o.segment_bytes = 4 << 20;
        o.quota_bytes = 100 << 20;
    })
    .await;
    let index = world.troubled().await;
    for n in 1..=50 {
        world
            .append_message(&format!("message {n} {}", "x".repeat(ENTRY - 1_000)))
            .await;
    }
    let mut sink = world.run_index(&index).await;
    index.down.store(true, Ordering::SeqCst);
    sink.until_troubled().await;
    let calls = index.calls.load(Ordering::SeqCst);
    within("it is tried again and again", async {
        while index.calls.load(Ordering::SeqCst) < calls + 4 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    index.down.store(false, Ordering::SeqCst);
    sink.until_done(50).await;
    let most = index.bytes_max.load(Ordering::SeqCst);
    assert!(most > BUFFER / 2 && most <= BUFFER + ENTRY, "{most}");
    assert_eq!(index.inner().records(), 50);
    sink.stop().await;
}
