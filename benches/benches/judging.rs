//! How fast a backlog is judged: a journal of 1,000,000 records in 2,500 entries, read, routed to 16 shards and judged under the default
//! rules, effects made durable and every shard's checkpoint saved.
//!
//! It is what a restart after a long stop has to do, and the limit of what one process can judge live. Once with INFO records only, once
//! with 1 % ERROR, which open an incident for each of the 16 applications and go on for a thousand seconds of event time. Every sample
//! begins with empty effects and checkpoints. Throughput in records.
//!
//! `cargo bench -p andon-benches --bench judging`

use andon_actors::effect_log::EffectLog;
use andon_actors::entries::{self, CONTROL, RECORDS};
use andon_actors::judging::{Judging, JudgingArgs};
use andon_actors::self_log::SelfLog;
use andon_actors::work::EngineJudge;
use andon_benches::{START, Samples, criterion, measures, size};
use andon_engine::control::Control;
use andon_engine::ids::RouteId;
use andon_engine::intake::{IntakeHeader, encode_header};
use andon_engine::limits::SHARDS;
use andon_engine::parts::ConfigurationChange;
use andon_engine::rule::{Configuration, default_rules};
use andon_engine::time::{ManualClock, Span};
use andon_storage::journal::{Append, FileIo, Journal, JournalOptions};
use andon_storage::sqlite::CheckpointFile;
use bytes::Bytes;
use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;

const RECORDS_PER_ENTRY: usize = 400;

async fn open(dir: &Path, name: &str, clock: &Arc<ManualClock>) -> Journal {
    let options = JournalOptions {
        segment_bytes: size(64 << 20, 1 << 20) as u64,
        ..JournalOptions::default()
    };
    let opened = Journal::open(Arc::new(FileIo), &dir.join(name), options, clock.clone()).await;
    opened.expect("a journal").0
}

/// The default rules, then `records` records of 10,000 devices.
async fn write(journal: &Journal, records: usize, errors_per_1000: u32) {
    let configuration = Configuration {
        version: 1,
        rules: default_rules(&RouteId::new("default")).into(),
        ..Configuration::default()
    };
    let configured = Append {
        kind: CONTROL,
        received_at: START,
        header: Bytes::new(),
        body: entries::encode_control(&Control::Changed(ConfigurationChange::whole(&configuration))),
    };
    journal.append(configured).await.expect("appended");
    let header = Bytes::from(encode_header(&IntakeHeader {
        key_id: Arc::from("bench"),
        ..IntakeHeader::default()
    }));
    let mut samples = Samples::new(10_000, errors_per_1000);
    for _ in 0..records / RECORDS_PER_ENTRY {
        let entry = Append {
            kind: RECORDS,
            received_at: START,
            header: header.clone(),
            body: samples.batch(RECORDS_PER_ENTRY).into(),
        };
        journal.append(entry).await.expect("appended");
    }
}

/// Judges the whole journal from its start, and returns how long that took.
async fn judge(journal: &Journal, clock: &Arc<ManualClock>, incidents: bool) -> Duration {
    let dir = tempfile::tempdir().expect("a folder");
    let effects = open(dir.path(), "effects", clock).await;
    let checkpoints = CheckpointFile::open(&dir.path().join("checkpoints.db"))
        .await
        .expect("a checkpoint file");
    let args = JudgingArgs {
        journal: journal.clone(),
        effects: EffectLog::new(effects.clone(), clock.clone()),
        checkpoints: Arc::new(checkpoints),
        clock: clock.clone(),
        judge: Arc::new(EngineJudge),
        self_log: SelfLog::start(journal.clone(), clock.clone()),
        shards: SHARDS as u16,
        checkpoint_every: Span::hours(1),
        accepting_since: START,
        refused: Arc::default(),
    };
    let from = tokio::time::Instant::now();
    let judging = Judging::start(args).await.expect("judging starts");
    assert!(judging.drain(Duration::from_secs(120)).await, "everything is judged");
    let took = from.elapsed();
    let judged: u64 = match judging.observe().await {
        Some(o) => o.shards.iter().map(|s| s.judged).sum(),
        None => 0,
    };
    assert_eq!(judged > 0, incidents, "{judged} records were judged");
    judging.stop().await;
    effects.close().await;
    took
}

fn judging(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let records = size(1_000_000, 4_000);
    let mut group = c.benchmark_group("judging");
    group.throughput(Throughput::Elements(records as u64));
    group.sampling_mode(SamplingMode::Flat);
    for (name, errors_per_1000) in [("INFO only", 0), ("1 % ERROR", 10)] {
        let dir = tempfile::tempdir().expect("a folder");
        // It stands still, so that no timer adds to the journal that every sample reads.
        let clock = Arc::new(ManualClock::new(START));
        let journal = runtime.block_on(async {
            let journal = open(dir.path(), "journal", &clock).await;
            write(&journal, records, errors_per_1000).await;
            journal
        });
        group.bench_function(name, |b| {
            b.iter_custom(|times| {
                (0..times)
                    .map(|_| runtime.block_on(judge(&journal, &clock, errors_per_1000 > 0)))
                    .sum()
            });
        });
        if measures() {
            println!("judging/{name}: {} entries in the journal", journal.durable_seq());
        }
        runtime.block_on(journal.close());
    }
    group.finish();
}

criterion_group! { name = benches; config = criterion(); targets = judging }
criterion_main!(benches);
