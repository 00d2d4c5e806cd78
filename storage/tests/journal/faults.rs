//! One fault at every single step of a fixed story, and what must hold whichever it was.

use crate::model::{Plant, tiny};
use crate::sim::Fault;
use andon_engine::time::Span;
use andon_storage::journal::ArchiveOptions;
use futures_util::FutureExt;

/// Opens, fills several segments, recycles through the archive, restarts, goes on. Any step may be hit.
async fn story(plant: &mut Plant) {
    plant.open().await;
    for round in 0..4 {
        for size in [10, 3000, 9000] {
            plant.append(4, size, round % 2 == 1).await;
        }
        plant.clock.advance(Span::mins(20));
        plant.release(plant.newest().saturating_sub(5));
        plant.journal.as_ref().unwrap().recycle().await;
        let failed = plant.journal.as_ref().unwrap().failed().now_or_never().is_some();
        match round {
            _ if failed => {
                assert!(plant.disk.fired(), "failed without a fault");
                plant.lose_process(false);
                plant.open().await;
            }
            1 => {
                plant.journal.as_ref().unwrap().close().await;
                plant.lose_process(false);
                plant.open().await;
            }
            2 => {
                plant.lose_process(true);
                plant.open().await;
            }
            _ => plant.check_all(false).await,
        }
    }
}

fn plant(seed: u64) -> Plant {
    let mut options = tiny();
    options.archive = Some(ArchiveOptions {
        dir: "/a".into(),
        bytes_max: 60_000,
        keep: Span::hours(1),
    });
    Plant::new(seed, options)
}

async fn every_step(fault: Fault, power: bool) {
    let mut whole = plant(0);
    story(&mut whole).await;
    assert!(whole.acked() == 48, "without a fault everything is acknowledged");
    let steps = whole.disk.steps();
    assert!(steps > 100, "the story is long enough: {steps}");
    for at in 0..steps {
        let mut plant = plant(at);
        plant.disk.arm(at, fault);
        story(&mut plant).await;
        plant.disk.disarm();
        plant.lose_process(power);
        plant.open().await;
        let acked = plant.acked();
        plant.append(1, 10, false).await;
        assert_eq!(plant.acked(), acked + 1, "it goes on after {fault:?} at step {at}");
        plant.check_all(false).await;
    }
}

#[tokio::test]
async fn an_io_error_at_every_step() {
    every_step(Fault::Eio, false).await;
}
#[tokio::test]
async fn an_io_error_at_every_step_and_then_a_power_cut() {
    every_step(Fault::Eio, true).await;
}
#[tokio::test]
async fn no_space_at_every_step() {
    every_step(Fault::Enospc, true).await;
}
#[tokio::test]
async fn a_short_write_at_every_step() {
    every_step(Fault::Short, true).await;
}
#[tokio::test]
async fn a_power_cut_at_every_step() {
    every_step(Fault::PowerCut, true).await;
}
