//! The pure parts of the hot path, each on one core: packing and reading a batch, fingerprints, sliding windows, the retry set,
//! matching of rules, and judging a record of an open incident.
//!
//! - `batch`: 400 records packed, verified (as after a read from the journal), and read one by one. Throughput in records and bytes.
//! - `fingerprint`: a log line, a message full of numbers, a stack trace. Throughput in bytes.
//! - `window`: one event into a `count` rule's window and the old ones out, the watermark following: 3,600 times kept (10 events a
//!   second), all in order, and with 5 % up to 5 min late; and a quiet device with one event each 20 s.
//! - `dedup`: a retry set that holds its limit of 1,000,000 hashes: known, unknown, and one in for one out.
//! - `ruleset`: the rules that take a record: default rules for an INFO and an ERROR record; and the same with 1,000 and 10,000 rules, each of
//!   which names a device.
//! - `entity`: an ERROR record judged by an application whose incident is open.
//!
//! `cargo bench -p andon-benches --bench engine`

use andon_benches::{START, Sample, Samples, criterion, rng, size};
use andon_engine::batch::{Batch, BatchBuilder};
use andon_engine::condition::window::{CountWindow, Mark};
use andon_engine::dedup::RetrySet;
use andon_engine::entity::Entity;
use andon_engine::fingerprint::fingerprint;
use andon_engine::ids::{JournalId, RouteId, RuleId};
use andon_engine::level::Level;
use andon_engine::rule::{Configuration, Rule, Selector, default_rules};
use andon_engine::ruleset::RuleSet;
use andon_engine::sources::Judgement;
use andon_engine::subject::{Subject, SubjectKind};
use andon_engine::time::{Span, Timestamp};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rand::RngExt;
use std::hint::black_box;
use std::sync::Arc;

fn batch(c: &mut Criterion) {
    const RECORDS: usize = 400;
    let samples: Vec<Sample> = Samples::new(1_000, 10).take(RECORDS).collect();
    let records: Vec<_> = samples.iter().map(Sample::record).collect();
    let mut builder = BatchBuilder::new();
    let packed = Samples::new(1_000, 10).batch(RECORDS);
    let mut group = c.benchmark_group("batch");
    group.throughput(Throughput::ElementsAndBytes {
        elements: RECORDS as u64,
        bytes: packed.len() as u64,
    });
    group.bench_function("pack/400", |b| {
        b.iter(|| {
            for record in &records {
                builder.push(black_box(record));
            }
            builder.finish()
        });
    });
    group.bench_function("verify/400", |b| {
        b.iter(|| Batch::parse(black_box(&packed[..]), JournalId(1), 1).expect("a batch"));
    });
    let batch = Batch::parse(&packed[..], JournalId(1), 1).expect("a batch");
    group.bench_function("read/400", |b| {
        b.iter(|| {
            for record in black_box(&batch).iter() {
                black_box(record);
            }
        });
    });
    group.finish();
}

fn fingerprints(c: &mut Criterion) {
    let trace = (0..40).fold("panic: index 17 out of range".to_owned(), |t, i| {
        format!(
            "{t}\n    at plant.line{}.Conveyor.step(/opt/wms/src/conveyor.rs:{})",
            i % 7,
            100 + i * 3
        )
    });
    let messages = [
        ("log line", "lock timeout after 1702 ms on order 4711".to_owned()),
        (
            "numbers",
            "axis 3 at 17.25 mm, -4.5 mm/s, 0x1F03, f47ac10b-58cc-4372-a567-0e02b2c3d479, 10.0.17.3:502, 2026-03-02T06:13:09Z".to_owned(),
        ),
        ("stack trace", trace),
    ];
    let mut group = c.benchmark_group("fingerprint");
    for (name, message) in &messages {
        group.throughput(Throughput::Bytes(message.len() as u64));
        group.bench_function(*name, |b| {
            b.iter(|| fingerprint(Some("wms"), Some("equipment.drive.fault"), black_box(message)));
        });
    }
    group.finish();
}

fn window(c: &mut Criterion) {
    const MINUTE: Span = Span::secs(60);
    let mut group = c.benchmark_group("window");
    group.throughput(Throughput::Elements(1));
    let mut rng = rng();
    // By how much each of a thousand events is late.
    let late: Vec<Span> = (0..1_000)
        .map(|_| match rng.random_ratio(1, 20) {
            true => Span::millis(rng.random_range(0..300_000)),
            false => Span::ZERO,
        })
        .collect();
    for (name, every, late) in [
        ("in order, 3,600 kept", Span::millis(100), &[Span::ZERO][..]),
        ("5 % late, 3,600 kept", Span::millis(100), &late[..]),
        ("in order, 18 kept", Span::secs(20), &[Span::ZERO][..]),
    ] {
        let (mut w, mut now, mut n) = (CountWindow::new(), START, 0usize);
        let mut add = || {
            now = now.plus(every);
            n += 1;
            w.prune(now, now, MINUTE);
            w.add(now.minus(late[n % late.len()]), now, Mark::default(), MINUTE, 5)
        };
        for _ in 0..4_000 {
            black_box(add());
        }
        group.bench_function(name, |b| b.iter(&mut add));
    }
    group.finish();
}

fn dedup(c: &mut Criterion) {
    let entries = size(1_000_000, 1_000);
    let mut rng = rng();
    let (known, unknown): (Vec<u128>, Vec<u128>) = (0..entries)
        .map(|_| (rng.random::<u128>(), rng.random::<u128>()))
        .unzip();
    let mut set = RetrySet::with_limit(entries);
    for (i, hash) in known.iter().enumerate() {
        set.insert(*hash, START.plus(Span::micros(i as i64 * 500)));
    }
    let mut group = c.benchmark_group("dedup");
    group.throughput(Throughput::Elements(1));
    let mut at = 0usize;
    // A stride that is prime to the number of entries: every one is asked for, in no order that a cache could follow.
    let mut next = || {
        at = (at + 7_919) % entries;
        at
    };
    group.bench_function("contains, known", |b| b.iter(|| set.contains(known[next()])));
    group.bench_function("contains, unknown", |b| b.iter(|| set.contains(unknown[next()])));
    let mut now = START.plus(Span::secs(500));
    group.bench_function("insert, the oldest goes", |b| {
        b.iter(|| {
            now = now.plus(Span::micros(500));
            set.insert(rng.random(), now)
        });
    });
    group.finish();
}

/// The default rules, and `named` rules that each look at one device.
fn rules(named: usize) -> RuleSet {
    let route = RouteId::new("default");
    let mut rules = default_rules(&route);
    let model = rules[2].clone();
    rules.extend((0..named).map(|i| Rule {
        id: RuleId::new(format!("device-{i}")),
        selector: Selector {
            devices: vec![format!("CNV-{i:05}").into()],
            min_level: Some(Level::Error),
            ..Selector::default()
        },
        subject: SubjectKind::Device,
        ..model.clone()
    }));
    RuleSet::compile(Arc::new(Configuration {
        rules: rules.into(),
        ..Configuration::default()
    }))
}

fn sample(level: Level) -> Sample {
    let mut samples = Samples::new(1_000, 500);
    samples.find(|s| s.level == level).expect("half of them are errors")
}

fn ruleset(c: &mut Criterion) {
    let mut group = c.benchmark_group("ruleset");
    group.throughput(Throughput::Elements(1));
    for (name, named) in [
        ("default rules", 0),
        ("and 1,000 by device", 1_000),
        ("and 9,993 by device", 9_993),
    ] {
        let set = rules(named);
        for level in [Level::Info, Level::Error] {
            let sample = sample(level);
            let record = sample.record();
            let mut out = Vec::new();
            group.bench_function(BenchmarkId::new(name, level.as_str()), |b| {
                b.iter(|| {
                    out.clear();
                    set.matching(black_box(&record), &mut out);
                    out.len()
                });
            });
        }
    }
    group.finish();
}

fn entity(c: &mut Criterion) {
    let set = rules(0);
    let sample = sample(Level::Error);
    let mut record = sample.record();
    let mut matched = Vec::new();
    set.matching(&record, &mut matched);
    matched.retain(|m| set.rule(m.rule).subject == SubjectKind::Application);
    let mut entity = Entity::new(Subject::new(SubjectKind::Application, &sample.application));
    let mut effects = Vec::new();
    let mut seq = 0;
    let mut judge = || {
        seq += 1;
        let at = Timestamp(START.0 + seq * 100_000);
        (record.timestamp, record.received_at) = (at, at);
        record.record_id.position.seq = seq as u64;
        effects.clear();
        entity.observe(&set, &matched, &record, &Judgement::now(at));
        entity.end_entry(at, &mut effects);
        effects.len()
    };
    for _ in 0..4_000 {
        black_box(judge());
    }
    let mut group = c.benchmark_group("entity");
    group.throughput(Throughput::Elements(1));
    group.bench_function("error of an open incident", |b| b.iter(&mut judge));
    group.finish();
}

criterion_group! { name = benches; config = criterion(); targets = batch, fingerprints, window, dedup, ruleset, entity }
criterion_main!(benches);
