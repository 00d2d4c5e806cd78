//! How fast the embedded stores take what the journal has.
//!
//! - `log index`: 100,000 log records in batches of 400 into an empty tantivy index, and their commit, with the default options.
//! - `incidents`: effects of judging into SQLite, a transaction on disk for each call: 1 and 100 incidents, each with its timeline
//!   entries and its alert. Every call brings incidents that the store has not seen.
//!
//! Files lie in the folder for temporary files (`TMPDIR`).
//!
//! `cargo bench -p andon-benches --bench stores`

use andon_benches::{START, Samples, criterion, size};
use andon_engine::batch::Batch;
use andon_engine::effect::Effect;
use andon_engine::entity::Entity;
use andon_engine::ids::{AlertId, IncidentId, JournalId, RouteId};
use andon_engine::level::Level;
use andon_engine::rule::{Configuration, default_rules};
use andon_engine::ruleset::RuleSet;
use andon_engine::sources::Judgement;
use andon_engine::subject::{Subject, SubjectKind};
use andon_storage::ports::Cursor;
use andon_storage::ports::log_index::LogIndex;
use andon_storage::ports::rows::EffectStore;
use andon_storage::sqlite::SqliteStore;
use andon_storage::tantivy_index::{IndexOptions, TantivyIndex};
use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;

const JOURNAL: JournalId = JournalId(1);

fn at(seq: u64) -> Cursor {
    Cursor { journal: JOURNAL, seq }
}

fn log_index(c: &mut Criterion) {
    const PER_BATCH: usize = 400;
    let runtime = Runtime::new().expect("a runtime");
    let records = size(100_000, 2_000);
    let mut samples = Samples::new(10_000, 10);
    let batches: Vec<Batch<Bytes>> = (1..=(records / PER_BATCH) as u64)
        .map(|seq| Batch::parse(samples.batch(PER_BATCH).into(), JOURNAL, seq).expect("a batch"))
        .collect();
    let bytes: usize = batches.iter().map(|b| b.bytes().len()).sum();
    let mut group = c.benchmark_group("log index");
    group.sampling_mode(SamplingMode::Flat);
    group.throughput(Throughput::ElementsAndBytes {
        elements: records as u64,
        bytes: bytes as u64,
    });
    let index = async || -> Duration {
        let dir = tempfile::tempdir().expect("a folder");
        let index = TantivyIndex::open(dir.path(), IndexOptions::default())
            .await
            .expect("an index");
        let from = tokio::time::Instant::now();
        for some in batches.chunks(25) {
            index.add(some).await.expect("added");
        }
        index.commit(at(batches.len() as u64)).await.expect("committed");
        let took = from.elapsed();
        assert_eq!(index.records(), records as u64);
        index.close().await.expect("closed");
        took
    };
    group.bench_function("add and commit 100,000", |b| {
        b.iter_custom(|times| (0..times).map(|_| runtime.block_on(index())).sum());
    });
    group.finish();
}

/// What judging says when each of `devices` devices has five errors within a second.
fn effects(devices: usize) -> Vec<Effect> {
    let rules = RuleSet::compile(Arc::new(Configuration {
        rules: default_rules(&RouteId::new("default")).into(),
        ..Configuration::default()
    }));
    let sample = Samples::new(1_000, 500)
        .find(|s| s.level == Level::Error)
        .expect("half of them are errors");
    let mut out = Vec::new();
    for device in 0..devices {
        let id = format!("CNV-{device:05}");
        let mut entity = Entity::new(Subject::new(SubjectKind::Device, &id));
        for n in 0..5 {
            let mut record = sample.record();
            // Without an application the rule for devices takes it.
            (record.application, record.device_id) = (None, Some(id.as_str()));
            record.record_id.position.seq = device as u64 + 1;
            record.record_id.position.index = n;
            let mut matched = Vec::new();
            rules.matching(&record, &mut matched);
            matched.retain(|m| rules.rule(m.rule).subject == SubjectKind::Device);
            entity.observe(&rules, &matched, &record, &Judgement::now(START));
        }
        entity.end_entry(START, &mut out);
    }
    out
}

/// The same effects, of incidents and alerts with other ids.
fn renamed(effects: &[Effect], turn: u64) -> Vec<Effect> {
    let turn = u128::from(turn) << 64;
    let mut effects = effects.to_vec();
    for effect in &mut effects {
        match effect {
            Effect::Incident(i) => i.id = IncidentId(i.id.0.wrapping_add(turn)),
            Effect::Timeline(t) => t.incident = IncidentId(t.incident.0.wrapping_add(turn)),
            Effect::Alert(a) => {
                a.incident = IncidentId(a.incident.0.wrapping_add(turn));
                a.id = AlertId(a.id.0.wrapping_add(turn));
            }
            Effect::Registered(_) => {}
        }
    }
    effects
}

fn incidents(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let dir = tempfile::tempdir().expect("a folder");
    let store = runtime
        .block_on(SqliteStore::open(&dir.path().join("andon.db")))
        .expect("a store");
    let mut group = c.benchmark_group("incidents");
    let mut turn = 0;
    for incidents in [1, size(100, 5)] {
        let effects = effects(incidents);
        let alerts = effects.iter().filter(|e| matches!(e, Effect::Alert(_))).count();
        assert_eq!(alerts, incidents, "{effects:?}");
        group.throughput(Throughput::Elements(effects.len() as u64));
        let name = format!("{incidents} incidents, {} effects a transaction", effects.len());
        group.bench_function(BenchmarkId::new("apply_effects", name), |b| {
            b.iter_custom(|times| {
                let mut took = Duration::ZERO;
                for _ in 0..times {
                    turn += 1;
                    let effects = renamed(&effects, turn);
                    let from = tokio::time::Instant::now();
                    let new = runtime
                        .block_on(store.apply_effects(&effects, at(turn)))
                        .expect("applied");
                    took += from.elapsed();
                    assert_eq!(new.new.len(), incidents, "every alert is new");
                }
                took
            });
        });
    }
    group.finish();
    runtime.block_on(store.close());
}

criterion_group! { name = benches; config = criterion(); targets = log_index, incidents }
criterion_main!(benches);
