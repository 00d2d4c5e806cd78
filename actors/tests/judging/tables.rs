//! What the router's tables cost.

use crate::world::*;
use andon_actors::entries::{self};
use andon_engine::batch::BatchBuilder;
use andon_engine::intake::{IntakeHeader, encode_header};
use andon_engine::level::Level;
use andon_engine::record::Record;
use andon_engine::time::{ManualClock, Span, Timestamp};
use andon_storage::journal::{Append, Journal};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// One entry with a record of each of these devices.
async fn hear(journal: &Journal, devices: impl Iterator<Item = usize>, at: Timestamp) {
    let mut batch = BatchBuilder::new();
    for device in devices {
        batch.push(&Record {
            timestamp: at,
            received_at: at,
            level: Some(Level::Info),
            message: Some("all is well"),
            device_id: Some(&format!("MTR-{device:05}")),
            ..Record::default()
        });
    }
    let entry = Append {
        kind: entries::RECORDS,
        received_at: at,
        header: Bytes::from(encode_header(&IntakeHeader::default())),
        body: Bytes::from(batch.finish()),
    };
    journal.append(entry).await.expect("appended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_of_the_router_costs_what_changed() {
    let dir = tempfile::tempdir().expect("a folder");
    let clock = Arc::new(ManualClock::new(START));
    let journal = open(dir.path(), "journal", &clock).await;
    let run = run(dir.path(), "run", &journal, &clock, 0, 4).await;
    let saved = || run.checkpoints.router_bytes.swap(0, Ordering::Relaxed);
    for from in (0..10_000).step_by(1_000) {
        hear(&journal, from..from + 1_000, START).await;
    }
    run.finish(run.start().await).await;
    let all = saved();
    // A process that starts on it knows what it had, and saves no more of it than another.
    hear(&journal, (0..10_000).step_by(1_000), START.plus(Span::secs(10))).await;
    let judging = run.start().await;
    assert!(judging.drain(Duration::from_secs(60)).await);
    let seen = judging.observe().await.expect("it runs").router;
    assert_eq!((seen.sources, seen.registered), (10_000, 10_000));
    judging.stop().await;
    let few = saved();
    println!("{all} bytes for 10,000 sources, {few} for 10 of them");
    assert!(few > 0 && few * 200 < all, "{few} of {all} bytes");
}
