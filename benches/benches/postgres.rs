//! How fast PostgreSQL takes what the journal has, beside what its bare protocol reaches in the same run.
//!
//! - `log records`: batches of 5,000 records, a transaction on disk for each: through `write_records`, and the same bytes by a bare binary
//!   COPY into the same table on one connection.
//! - `roll-ups`: 2,000 minutes of readings a transaction, of which half are there already: through `write_rows`, and by a bare COPY into
//!   a temporary table that one statement then merges.
//!
//! The server is the one that `ANDON_TEST_POSTGRES_URL` names; everything is in schemas of its own, which are dropped.
//!
//! `deploy/test/servers.sh -- cargo bench -p andon-benches --bench postgres`

use andon_benches::{START, Samples, criterion, size};
use andon_engine::batch::Batch;
use andon_engine::ids::JournalId;
use andon_engine::time::Span;
use andon_storage::ports::Cursor;
use andon_storage::ports::records::RecordStore;
use andon_storage::ports::rows::{Rollup, RowStore};
use andon_storage::postgres::{PostgresOptions, PostgresStore};
use bytes::Bytes;
use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use futures_util::TryStreamExt;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::time::Instant;

const JOURNAL: JournalId = JournalId(1);

fn at(seq: u64) -> Cursor {
    Cursor { journal: JOURNAL, seq }
}

/// A schema for one benchmark, and a connection to it that is not the store's.
struct Site {
    store: PostgresStore,
    bare: PgConnection,
}

impl Site {
    async fn new(schema: &str) -> Self {
        let url = std::env::var("ANDON_TEST_POSTGRES_URL").expect(
            "ANDON_TEST_POSTGRES_URL names a PostgreSQL server: run this by `make test`, or under `deploy/test/servers.sh`",
        );
        let schema = format!("andon_bench_{schema}_{}", std::process::id());
        let options = PostgresOptions {
            schema: schema.clone(),
            // A benchmark that waits for a checkpoint is slow, not broken.
            timeout: Duration::from_secs(60),
            ..PostgresOptions::default()
        };
        let store = PostgresStore::open(&url, options).await.expect("a store");
        let mut bare = PgConnection::connect(&url).await.expect("a connection");
        run(&mut bare, format!("SET search_path = {schema}")).await;
        Self { store, bare }
    }
    async fn drop(mut self) {
        let schema = self.store.database().schema().to_owned();
        self.store.close().await;
        run(&mut self.bare, format!("DROP SCHEMA {schema} CASCADE")).await;
        self.bare.close().await.expect("closed");
    }
}

async fn run(connection: &mut PgConnection, sql: String) {
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(connection)
        .await
        .expect("done");
}

async fn copy(connection: &mut PgConnection, sql: &str, data: &[u8]) {
    let mut copy = connection.copy_in_raw(sql).await.expect("begun");
    for piece in data.chunks(256 << 10) {
        copy.send(piece).await.expect("sent");
    }
    copy.finish().await.expect("copied");
}

async fn copied(connection: &mut PgConnection, sql: &str) -> Vec<u8> {
    let pieces = connection.copy_out_raw(sql).await.expect("begun");
    pieces
        .try_fold(Vec::new(), async |mut all, piece| {
            all.extend_from_slice(&piece);
            Ok(all)
        })
        .await
        .expect("read")
}

fn log_records(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let records = size(5_000, 200);
    let packed: Bytes = Samples::new(10_000, 10).batch(records).into();
    let mut site = runtime.block_on(Site::new("records"));
    let mut group = c.benchmark_group("log records");
    group.sampling_mode(SamplingMode::Flat);
    group.throughput(Throughput::ElementsAndBytes {
        elements: records as u64,
        bytes: packed.len() as u64,
    });
    let mut seq = 0;
    group.bench_function("write_records", |b| {
        b.iter_custom(|times| {
            runtime.block_on(async {
                let mut took = Duration::ZERO;
                for _ in 0..times {
                    seq += 1;
                    let batch = [Batch::parse(packed.clone(), JOURNAL, seq).expect("a batch")];
                    let from = Instant::now();
                    let refused = site
                        .store
                        .write_records(&batch, at(seq), &|_| None)
                        .await
                        .expect("written");
                    took += from.elapsed();
                    assert!(refused.is_empty());
                }
                took
            })
        });
    });
    let (bytes, columns) = runtime.block_on(async {
        let one = "COPY (SELECT * FROM records ORDER BY record_id LIMIT LENGTH) TO STDOUT (FORMAT binary)"
            .replace("LENGTH", &records.to_string());
        (
            copied(&mut site.bare, &one).await,
            "COPY records FROM STDIN (FORMAT binary)",
        )
    });
    group.bench_function("bare COPY of the same bytes", |b| {
        b.iter_custom(|times| {
            runtime.block_on(async {
                let from = Instant::now();
                for _ in 0..times {
                    copy(&mut site.bare, columns, &bytes).await;
                }
                from.elapsed()
            })
        });
    });
    group.finish();
    runtime.block_on(site.drop());
}

fn rollups(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let rows = size(2_000, 100);
    let mut site = runtime.block_on(Site::new("rollups"));
    let mut group = c.benchmark_group("roll-ups");
    group.sampling_mode(SamplingMode::Flat);
    group.throughput(Throughput::Elements(rows as u64));
    // Every transaction has the second half of the one before it again, as two flushes within a minute do.
    let batch = |turn: u64| -> Vec<Rollup> {
        (0..rows as u64)
            .map(|n| turn * rows as u64 / 2 + n)
            .map(|n| Rollup {
                device: format!("CNV-{:05}", n % 10_000),
                reading: "temperature".to_owned(),
                minute: START.plus(Span::mins((n / 10_000) as i64)),
                min: 1.0,
                max: 3.0,
                sum: 4.0,
                count: 2,
                last: 3.0,
                last_at: START,
            })
            .collect()
    };
    let mut seq = 0;
    group.bench_function("write_rows", |b| {
        b.iter_custom(|times| {
            runtime.block_on(async {
                let mut took = Duration::ZERO;
                for _ in 0..times {
                    seq += 1;
                    let rows = batch(seq);
                    let from = Instant::now();
                    site.store.write_rows(&rows, &[], at(seq)).await.expect("written");
                    took += from.elapsed();
                }
                took
            })
        });
    });
    runtime.block_on(run(
        &mut site.bare,
        "TRUNCATE reading_minutes; CREATE TEMPORARY TABLE incoming (LIKE reading_minutes) ON COMMIT DELETE ROWS"
            .to_owned(),
    ));
    let mut turn = 0;
    group.bench_function("bare COPY into a temporary table and a merge", |b| {
        b.iter_custom(|times| {
            runtime.block_on(async {
                let mut took = Duration::ZERO;
                for _ in 0..times {
                    turn += 1;
                    let text: String = (batch(turn).iter())
                        .map(|r| {
                            let (minute, at) = (r.minute.as_micros(), r.last_at.as_micros());
                            format!("{}\t{}\t{minute}\t1\t3\t4\t2\t3\t{at}\n", r.device, r.reading)
                        })
                        .collect();
                    let from = Instant::now();
                    run(&mut site.bare, "BEGIN".to_owned()).await;
                    copy(&mut site.bare, "COPY incoming FROM STDIN", text.as_bytes()).await;
                    run(&mut site.bare, MERGE.to_owned()).await;
                    run(&mut site.bare, "COMMIT".to_owned()).await;
                    took += from.elapsed();
                }
                took
            })
        });
    });
    group.finish();
    runtime.block_on(site.drop());
}

const MERGE: &str = "INSERT INTO reading_minutes AS r SELECT * FROM incoming
    ON CONFLICT (device, reading, minute) DO UPDATE SET min_value = least(excluded.min_value, r.min_value),
    max_value = greatest(excluded.max_value, r.max_value), sum_value = r.sum_value + excluded.sum_value,
    value_count = r.value_count + excluded.value_count,
    last_value = CASE WHEN excluded.last_at >= r.last_at THEN excluded.last_value ELSE r.last_value END,
    last_at = greatest(excluded.last_at, r.last_at)";

criterion_group! { name = benches; config = criterion(); targets = log_records, rollups }
criterion_main!(benches);
