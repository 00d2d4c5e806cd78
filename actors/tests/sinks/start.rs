//! What a writer says to the cursor that it finds at start.

use crate::world::{Troubled, World};
use andon_actors::sinks::Writer;
use andon_storage::ports::{Cursor, StoreError};
use std::sync::Arc;

#[tokio::test]
async fn a_new_store_on_an_old_site_is_filled_from_what_the_archive_keeps() {
    let world = World::new().await;
    let holder = world.journal.holder("others", 0);
    world.append(300).await;
    holder.release(300);
    world.recycle().await;
    let first = world.archived()[0].clone();
    let index = world.troubled().await;
    let mut sink = world.run_index(&index).await;
    sink.until_done(300).await;
    assert_eq!(index.numbers().await, (1..=300).collect::<Vec<_>>());
    sink.stop().await;
    // The archive keeps only so long: what it has no more does not hold up what it has.
    std::fs::remove_file(&first).expect("removed");
    let index = Arc::new(Troubled::new(world.index("newer").await));
    let mut sink = world.run_index(&index).await;
    sink.until_done(300).await;
    let numbers = index.numbers().await;
    assert!(numbers[0] > 1 && numbers == (numbers[0]..=300).collect::<Vec<_>>());
    sink.stop().await;
}

#[tokio::test]
async fn a_store_that_would_get_a_hole_is_refused_at_start() {
    let world = World::new().await;
    let index = world.troubled().await;
    let mut sink = world.run_index(&index).await;
    world.append(20).await;
    sink.until_done(20).await;
    sink.stop().await;
    world.journal.holder("log_index", 300);
    world.append(280).await;
    world.recycle().await;
    // Everything from 21 on is there: it goes on by itself.
    let opened = Writer::open(world.index_writer(&index), world.journal.clone()).await;
    assert_eq!(*opened.expect("it opens").progress().done.borrow(), 20);
    std::fs::remove_file(&world.archived()[1]).expect("removed");
    let opened = Writer::open(world.index_writer(&index), world.journal.clone()).await;
    let Err(StoreError::ForeignJournal { reason, .. }) = opened else {
        panic!("a hole is refused: {opened:?}");
    };
    assert!(
        reason.contains("come to entry 20") && reason.contains("--adopt-stores"),
        "{reason}"
    );
}

#[tokio::test]
async fn without_an_archive_a_store_that_is_too_far_behind_is_refused() {
    let world = World::with(|o| o.archive = None).await;
    let holder = world.journal.holder("others", 0);
    world.append(300).await;
    holder.release(300);
    world.recycle().await;
    let index = world.troubled().await;
    let opened = Writer::open(world.index_writer(&index), world.journal.clone()).await;
    assert!(matches!(opened, Err(StoreError::ForeignJournal { .. })), "{opened:?}");
}

#[tokio::test]
async fn a_cursor_past_the_end_is_refused() {
    let world = World::new().await;
    world.append(3).await;
    let index = world.troubled().await;
    *index.cursor.lock().expect("not poisoned") = Some(Cursor {
        journal: world.journal.id(),
        seq: 4,
    });
    let opened = Writer::open(world.index_writer(&index), world.journal.clone()).await;
    assert!(matches!(opened, Err(StoreError::ForeignJournal { .. })), "{opened:?}");
}
