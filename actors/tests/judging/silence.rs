//! Silence in the running pipeline: what is not silence, and many devices at once.

use crate::rules::{clock_now, configure, pass, silent, until};
use crate::world::*;
use andon_actors::entries::{self, CONTROL};
use andon_engine::batch::BatchBuilder;
use andon_engine::control::Control;
use andon_engine::incident::Activity;
use andon_engine::record::Record;
use andon_engine::time::{ManualClock, Span};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

async fn plant(dir: &Path, devices: &[&str]) -> (Run, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(START));
    // Large segments, so that what is counted is entries and not segments.
    let journal = open_with(dir, "journal", &clock, 16 << 20).await;
    let run = run(dir, "effects", &journal, &clock, 0, 4).await;
    configure(&run, silent(1, true, devices)).await;
    (run, clock)
}

async fn hear(run: &Run, devices: &[&str]) {
    let at = clock_now(&run.clock);
    let mut batch = BatchBuilder::new();
    for device in devices {
        batch.push(&Record {
            timestamp: at,
            received_at: at,
            readings: vec![("speed", 1.0)],
            device_id: Some(device),
            ..Record::default()
        });
    }
    append_batch(&run.journal, batch, at).await;
}

/// Journal entries that say that something is silent.
async fn silences(run: &Run) -> Vec<usize> {
    let mut reader = run.journal.reader(1);
    let mut entries = Vec::new();
    while let Some(entry) = reader.try_next().await.expect("the journal is whole") {
        if entry.kind == CONTROL
            && let Control::SilencesFound(found) =
                entries::decode_control(entry.seq, &entry.body).expect("it reads back")
        {
            entries.push(found.len());
        }
    }
    entries
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn time_that_our_clock_was_set_forward_by_is_no_silence() {
    let dir = tempfile::tempdir().expect("a folder");
    let (run, clock) = plant(dir.path(), &["CNV-01", "CNV-02"]).await;
    let judging = run.start().await;
    hear(&run, &["CNV-01", "CNV-02"]).await;
    pass(&clock, &judging, Span::secs(4)).await;
    clock.step(Span::hours(8 * 24));
    for _ in 0..4 {
        hear(&run, &["CNV-01"]).await;
        pass(&clock, &judging, Span::secs(2)).await;
    }
    assert_eq!(silences(&run).await, Vec::<usize>::new(), "nobody was quiet for 20 s");
    // Set right again, everybody has the time of the rule from there.
    clock.step(Span::hours(-8 * 24));
    pass(&clock, &judging, Span::secs(1)).await;
    for _ in 0..8 {
        hear(&run, &["CNV-01"]).await;
        pass(&clock, &judging, Span::secs(2)).await;
    }
    assert_eq!(silences(&run).await, Vec::<usize>::new());
    hear(&run, &["CNV-01"]).await;
    pass(&clock, &judging, Span::secs(8)).await;
    let told = until(&run, "the one that is silent is found", |t| t.alerts.len() == 1).await;
    assert_eq!(&*told.incidents.values().next().expect("one").subject.id, "CNV-02");
    run.finish(judging).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn time_in_which_requests_found_no_memory_is_no_silence() {
    let dir = tempfile::tempdir().expect("a folder");
    let (run, clock) = plant(dir.path(), &["CNV-01"]).await;
    let judging = run.start().await;
    hear(&run, &["CNV-01"]).await;
    pass(&clock, &judging, Span::secs(10)).await;
    for _ in 0..20 {
        run.refused.fetch_add(3, Ordering::Relaxed);
        pass(&clock, &judging, Span::secs(2)).await;
    }
    pass(&clock, &judging, Span::secs(8)).await;
    assert_eq!(
        silences(&run).await,
        Vec::<usize>::new(),
        "it was quiet for 18 s that count"
    );
    pass(&clock, &judging, Span::secs(4)).await;
    until(&run, "it is found", |t| t.alerts.len() == 1).await;
    run.finish(judging).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_thousand_devices_that_fall_silent_at_once_are_a_few_entries() {
    let dir = tempfile::tempdir().expect("a folder");
    let names: Vec<String> = (0..5_000).map(|i| format!("CNV-{i:04}")).collect();
    let devices: Vec<&str> = names.iter().map(String::as_str).collect();
    let (run, clock) = plant(dir.path(), &devices).await;
    let judging = run.start().await;
    hear(&run, &devices).await;
    pass(&clock, &judging, Span::secs(24)).await;
    until(&run, "all are found", |t| t.alerts.len() == 5_000).await;
    assert_eq!(silences(&run).await, [4_096, 904]);
    let effects = run.effects.durable_seq();
    assert!(effects <= 16, "{effects} entries of effects");
    hear(&run, &devices).await;
    let normal = |t: &Told| t.incidents.values().all(|i| i.activity == Activity::ReturnedToNormal);
    until(&run, "all are heard again", normal).await;
    let ended = run.effects.durable_seq() - effects;
    assert!(ended <= 8, "{ended} entries of effects");
    run.finish(judging).await;
}
