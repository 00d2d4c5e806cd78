//! Any journal, cut at any point, restored and replayed, ends in the same incidents, timelines and alerts as one run without a cut,
//! whatever the timing of shards and stores. `SEED=n` replays one seed.

use crate::world::*;
use andon_engine::time::ManualClock;
use andon_storage::sqlite::CheckpointFile;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

fn seeds() -> Vec<u64> {
    match std::env::var("SEED") {
        Ok(seed) => vec![seed.parse().expect("SEED is a number")],
        Err(_) => (1..=12).collect(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_run_ends_like_one_without_a_cut() {
    for seed in seeds() {
        println!("seed {seed}");
        let mut rng = StdRng::seed_from_u64(seed);
        let dir = tempfile::tempdir().expect("a folder");
        let clock = Arc::new(ManualClock::new(START));
        let journal = open(dir.path(), "journal", &clock).await;
        // The wall stands where the history ends. The first run lets every timer fire that is due by then, so that the second finds
        // them in the journal and has none of its own.
        clock.set(write_history(&journal, &mut rng, 150).await);

        let whole = run(dir.path(), "whole", &journal, &clock, 0, 4).await;
        let judging = whole.start().await;
        timers_have_fired(&judging).await;
        whole.finish(judging).await;
        let want = whole.told().await;
        assert!(
            !want.alerts.is_empty() && want.incidents.len() > 3,
            "the history is worth judging"
        );

        let cut = run(dir.path(), "cut", &journal, &clock, rng.random_range(0..5), 4).await;
        for _ in 0..rng.random_range(1..6) {
            let judging = cut.start().await;
            let until = rng.random_range(0..journal.durable_seq());
            let mut routed = judging.routed();
            tokio::time::timeout(Duration::from_secs(60), routed.wait_for(|r| *r >= until))
                .await
                .expect("in time")
                .expect("routing goes on");
            if rng.random() {
                // Saved or not, as the store pleases.
                judging.drain(Duration::from_millis(rng.random_range(1..200))).await;
            }
            judging.stop().await;
        }
        // The store is well again for the end: what matters is what was made of it before.
        let last = Run {
            checkpoints: Arc::new(Unreliable {
                inner: CheckpointFile::open(&dir.path().join("cut.db")).await.expect("opens"),
                failing: 0,
                calls: AtomicU64::new(0),
                router_bytes: AtomicU64::new(0),
            }),
            ..cut
        };
        last.finish(last.start().await).await;
        assert_eq!(last.told().await, want, "seed {seed}");
    }
}
