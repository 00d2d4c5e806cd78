//! Any journal, cut at any point, restored and replayed, ends in the same incidents, timelines and alerts as one run without a cut,
//! whatever the timing of shards and stores. `SEED=n` replays one seed.

use crate::world::*;
use andon_actors::entries;
use andon_actors::judging::Judging;
use andon_engine::time::ManualClock;
use andon_storage::journal::Journal;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Builder;
use tokio::sync::watch;

/// Who follows the effect journal.
const READER: &str = "incidents";

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
        stopped_again_and_again(cut, dir.path(), &mut rng, &want).await;
        killed_again_and_again(dir.path(), &journal, &clock, &mut rng, &want).await;
    }
}

/// Each stop lets an actor finish what it is doing.
async fn stopped_again_and_again(cut: Run, dir: &Path, rng: &mut StdRng, want: &Told) {
    for _ in 0..rng.random_range(1..6) {
        let judging = cut.start().await;
        has_come_to(judging.routed(), rng.random_range(0..cut.journal.durable_seq())).await;
        if rng.random() {
            // Saved or not, as the store pleases.
            judging.drain(Duration::from_millis(rng.random_range(1..200))).await;
        }
        judging.stop().await;
    }
    // The store is well again for the end: what matters is what was made of it before.
    let last = Run {
        checkpoints: checkpoints(&dir.join("cut.db"), 0).await,
        ..cut
    };
    last.finish(last.start().await).await;
    last.told().await.assert_is(want);
}

/// Everything is dropped at whatever it awaits, while the effect journal is full now and then.
async fn killed_again_and_again(
    dir: &Path,
    journal: &Journal,
    clock: &Arc<ManualClock>,
    rng: &mut StdRng,
    want: &Told,
) {
    let effects = open_small(dir, "killed", clock, READER).await;
    let own_records = open(dir, "own", clock).await;
    let ended = watch::Sender::new(false);
    let reading = tokio::spawn(read_slowly(effects.clone(), ended.subscribe(), rng.random()));
    for last in [false, false, false, true] {
        let failing = if last { 0 } else { rng.random_range(0..5) };
        let run = Run {
            effects: effects.clone(),
            // Supervision may see the others go before it goes itself, and say so.
            own_records: own_records.clone(),
            ..run(dir, "unused", journal, clock, 0, 4).await
        };
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let judging = runtime
            .spawn(start(run, dir.join("killed.db"), failing))
            .await
            .expect("judging starts");
        if last {
            let drained = judging.drain(Duration::from_secs(60)).await;
            assert!(drained, "everything is judged and saved");
        } else {
            has_come_to(judging.routed(), rng.random_range(0..journal.durable_seq())).await;
            // Wherever judging and saving are by then: any moment is right.
            let moment = Duration::from_micros(rng.random_range(0..20_000));
            let saving = judging.drain(Duration::from_secs(60));
            let _ = tokio::time::timeout(moment, saving).await;
        }
        tokio::task::spawn_blocking(move || drop(runtime))
            .await
            .expect("nothing of it is left");
    }
    ended.send_replace(true);
    reading.await.expect("reads to the end").assert_is(want);
}

/// The file is opened where it is dropped.
async fn start(run: Run, file: PathBuf, failing: u64) -> Judging {
    let checkpoints = checkpoints(&file, failing).await;
    Run { checkpoints, ..run }.start().await
}

/// Applies effects as they come, at times slower than judging makes them, and to the end once no more will come.
async fn read_slowly(effects: Journal, ended: watch::Receiver<bool>, seed: u64) -> Told {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut told = Told::default();
    let mut reader = effects.reader(1);
    let mut durable = effects.durable();
    let holder = effects.holder(READER, 0);
    let mut seq = 0;
    loop {
        // Asked before the reader is: then what it does not find by then will not come.
        let is_over = *ended.borrow();
        if let Some(entry) = reader.try_next().await.expect("the effect journal is whole") {
            let effects = entries::decode_effects(entry.seq, &entry.body).expect("effects read back");
            effects.into_iter().for_each(|e| told.apply(e));
            seq = entry.seq;
            if rng.random_ratio(1, 8) {
                tokio::time::sleep(Duration::from_millis(rng.random_range(0..5))).await;
            }
            if rng.random_ratio(1, 8) {
                holder.release(seq);
            }
        } else if is_over {
            return told;
        } else {
            holder.release(seq);
            let _ = tokio::time::timeout(Duration::from_millis(20), durable.wait_for(|d| *d > seq)).await;
        }
    }
}

async fn has_come_to(mut routed: watch::Receiver<u64>, until: u64) {
    tokio::time::timeout(Duration::from_secs(60), routed.wait_for(|r| *r >= until))
        .await
        .expect("in time")
        .expect("routing goes on");
}
