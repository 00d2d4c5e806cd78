//! How fast the journal makes entries durable: an append answers after its `fdatasync`, and whoever waits at the same time shares one.
//!
//! Bodies are packed batches of about 4 KB, 64 KB and 1 MB, appended by 1 or 32 tasks that each wait for their answer before the next.
//! From 16 KB on the journal compresses a body; the throughput is in appends and in bytes as handed over. Files lie in the folder for
//! temporary files (`TMPDIR`): on a memory file system a sync costs nothing and these figures say nothing.
//!
//! `cargo bench -p andon-benches --bench journal`

use andon_benches::{START, Samples, criterion, size};
use andon_engine::time::{ManualClock, Span};
use andon_storage::journal::{Append, FileIo, Holder, Journal, JournalOptions};
use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::runtime::Runtime;

/// Appends `appends` entries by `appenders` tasks.
async fn append(journal: Journal, holder: Arc<Holder>, bodies: Arc<Vec<Bytes>>, appenders: usize, appends: u64) {
    let next = Arc::new(AtomicU64::new(0));
    let tasks: Vec<_> = (0..appenders)
        .map(|_| {
            let (journal, holder, bodies, next) = (journal.clone(), holder.clone(), bodies.clone(), next.clone());
            tokio::spawn(async move {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= appends {
                        return;
                    }
                    let entry = Append {
                        kind: 1,
                        received_at: START,
                        header: Bytes::new(),
                        body: bodies[n as usize % bodies.len()].clone(),
                    };
                    let seq = journal.append(entry).await.expect("the journal takes it");
                    // Nobody reads on: the segment may be used again, as it is once everything in it has been judged.
                    holder.release(seq);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("an appender ends");
    }
}

fn journal(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let dir = tempfile::tempdir().expect("a folder");
    let options = JournalOptions {
        segment_bytes: size(64 << 20, 4 << 20) as u64,
        replay_floor: Span::ZERO,
        ..JournalOptions::default()
    };
    let clock = Arc::new(ManualClock::new(START.plus(Span::hours(1))));
    let (journal, _) =
        Journal::open_blocking(Arc::new(FileIo), &dir.path().join("journal"), options, clock).expect("a journal");
    let holder = Arc::new(journal.holder("bench", 0));
    let mut samples = Samples::new(1_000, 10);
    for (name, records) in [("4 KB", 26), ("64 KB", 420), ("1 MB", 6_750)] {
        // Different bodies, so that no cache or compressor sees the same one again at once.
        let bodies: Vec<Bytes> = (0..size(16, 2)).map(|_| samples.batch(records).into()).collect();
        let bytes = bodies.iter().map(Bytes::len).sum::<usize>() / bodies.len();
        let bodies = Arc::new(bodies);
        let mut group = c.benchmark_group(format!("journal/bodies of {name}"));
        group.throughput(Throughput::ElementsAndBytes {
            elements: 1,
            bytes: bytes as u64,
        });
        for appenders in [1, 32] {
            group.bench_function(BenchmarkId::new("appenders", appenders), |b| {
                b.iter_custom(|appends| {
                    let from = tokio::time::Instant::now();
                    let work = append(journal.clone(), holder.clone(), bodies.clone(), appenders, appends);
                    runtime.block_on(work);
                    from.elapsed()
                });
            });
        }
        group.finish();
    }
    runtime.block_on(journal.close());
}

criterion_group! { name = benches; config = criterion(); targets = journal }
criterion_main!(benches);
