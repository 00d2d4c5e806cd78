//! Checkpoints into Redis, beside what the bare client does with the same bytes in the same run.
//!
//! - `checkpoints/save`: one shard's save of 100 and of 1,000 changed entities of 500 bytes, of 10,000 that are there: fence, check and
//!   states in one script.
//! - `checkpoints/HSET`: the same entities by one HSET of fred on one connection: no check, no cursor.
//! - `checkpoints/MSET`: the same as one MSET of keys of their own.
//! - `checkpoints/refill`: 10,000 entities written anew, in chunks, and switched to.
//!
//! The server is that of `ANDON_TEST_REDIS_URL`; keys lie in a namespace of the run and are removed.
//!
//! `cargo bench -p andon-benches --bench redis`

use andon_benches::{criterion, size};
use andon_engine::ids::JournalId;
use andon_storage::layered_checkpoints::LayeredCheckpoints;
use andon_storage::ports::Cursor;
use andon_storage::ports::checkpoint::{CheckpointStore, EntityChange};
use andon_storage::redis::checkpoints::RedisCheckpoints;
use andon_storage::redis::{Redis, RedisOptions};
use andon_storage::sqlite::CheckpointFile;
use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fred::clients::Client;
use fred::interfaces::{ClientLike, HashesInterface, KeysInterface};
use fred::types::config::Config;
use fred::types::{Builder, Value};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;

const JOURNAL: JournalId = JournalId(1);
const STATE: usize = 500;

fn at(seq: u64) -> Cursor {
    Cursor { journal: JOURNAL, seq }
}

fn changes(from: usize, count: usize, of: usize, fill: u8) -> Vec<EntityChange> {
    (from..from + count)
        .map(|n| EntityChange {
            key: format!("device:conveyor-{:06}", n % of),
            state: Some(Bytes::from(vec![fill; STATE])),
            hot: false,
        })
        .collect()
}

fn pairs(changes: Vec<EntityChange>, prefix: &str) -> Vec<(String, Value)> {
    let pair = |c: EntityChange| (format!("{prefix}{}", c.key), Value::Bytes(c.state.expect("a state")));
    changes.into_iter().map(pair).collect()
}

async fn remove(client: &Client, namespace: &str) {
    let keys: Vec<String> = client
        .custom(
            fred::types::CustomCommand::new_static("KEYS", fred::types::ClusterHash::FirstKey, false),
            vec![format!("{namespace}:*")],
        )
        .await
        .expect("keys");
    for some in keys.chunks(1_000) {
        client.unlink::<(), _>(some.to_vec()).await.expect("removed");
    }
}

fn checkpoints(c: &mut Criterion) {
    let url = std::env::var("ANDON_TEST_REDIS_URL")
        .expect("ANDON_TEST_REDIS_URL names no Redis server: run `make test`, or `deploy/test/servers.sh` and set it");
    let entities = size(10_000, 200);
    let runtime = Runtime::new().expect("a runtime");
    let namespace = format!("andon:bench-{:016x}", rand::random::<u64>());
    let (store, redis, client) = runtime.block_on(async {
        let options = RedisOptions {
            namespace: namespace.clone(),
            ..RedisOptions::new(&url, JOURNAL)
        };
        let redis = Redis::connect(options).await.expect("a Redis");
        let client = Builder::from_config(Config::from_url(&url).expect("a URL"))
            .build()
            .expect("a client");
        client.init().await.expect("a connection");
        (RedisCheckpoints::new(redis.clone()), redis, client)
    });
    let mut seq = 1;
    runtime
        .block_on(store.save(0, at(seq), changes(0, entities, entities, 0)))
        .expect("saved");
    let mut group = c.benchmark_group("checkpoints");
    for count in [100, 1_000] {
        let count = size(count, count / 10);
        group.throughput(Throughput::ElementsAndBytes {
            elements: count as u64,
            bytes: (count * STATE) as u64,
        });
        group.bench_function(BenchmarkId::new("save", count), |b| {
            b.iter_custom(|times| {
                runtime.block_on(async {
                    let mut took = Duration::ZERO;
                    for n in 0..times {
                        seq += 1;
                        let some = changes(n as usize * count, count, entities, n as u8);
                        let from = tokio::time::Instant::now();
                        store.save(0, at(seq), some).await.expect("saved");
                        took += from.elapsed();
                    }
                    took
                })
            });
        });
        let hash = format!("{namespace}:bare");
        group.bench_function(BenchmarkId::new("HSET", count), |b| {
            b.iter_custom(|times| {
                runtime.block_on(async {
                    let mut took = Duration::ZERO;
                    for n in 0..times {
                        let some = pairs(changes(n as usize * count, count, entities, n as u8), "");
                        let from = tokio::time::Instant::now();
                        client.hset::<(), _, _>(&hash, some).await.expect("set");
                        took += from.elapsed();
                    }
                    took
                })
            });
        });
        let prefix = format!("{namespace}:key:");
        group.bench_function(BenchmarkId::new("MSET", count), |b| {
            b.iter_custom(|times| {
                runtime.block_on(async {
                    let mut took = Duration::ZERO;
                    for n in 0..times {
                        let some = pairs(changes(n as usize * count, count, entities, n as u8), &prefix);
                        let from = tokio::time::Instant::now();
                        client.mset(some).await.expect("set");
                        took += from.elapsed();
                    }
                    took
                })
            });
        });
    }
    group.throughput(Throughput::Elements(entities as u64));
    group.bench_function(BenchmarkId::new("refill", entities), |b| {
        let dir = tempfile::tempdir().expect("a folder");
        let file = runtime.block_on(async {
            let file = Arc::new(
                CheckpointFile::open(&dir.path().join("checkpoints.db"))
                    .await
                    .expect("a file"),
            );
            file.save(1, at(1), changes(0, entities, entities, 7))
                .await
                .expect("saved");
            file
        });
        b.iter_custom(|times| {
            runtime.block_on(async {
                let mut took = Duration::ZERO;
                for _ in 0..times {
                    store.clear().await.expect("cleared");
                    let from = tokio::time::Instant::now();
                    let filled = RedisCheckpoints::new(redis.clone());
                    let layered = LayeredCheckpoints::open(Arc::clone(&file), filled, JOURNAL, u64::MAX)
                        .await
                        .expect("opened");
                    layered.settled().await;
                    took += from.elapsed();
                }
                took
            })
        });
    });
    group.finish();
    runtime.block_on(remove(&client, &namespace));
}

criterion_group! {
    name = benches;
    config = criterion();
    targets = checkpoints
}
criterion_main!(benches);
