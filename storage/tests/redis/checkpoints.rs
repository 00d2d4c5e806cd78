//! Checkpoints in Redis alone, and layered over the file.

use crate::support::{PASSWORD, Proxy, Server, Space, send};
use andon_engine::ids::JournalId;
use andon_storage::conformance::{self, cursor};
use andon_storage::conformance_checks;
use andon_storage::layered_checkpoints::{LEADER, LayeredCheckpoints};
use andon_storage::ports::checkpoint::{CheckpointStore, EntityChange, ShardCheckpoint};
use andon_storage::ports::{Result, StoreError};
use andon_storage::redis::checkpoints::RedisCheckpoints;
use andon_storage::redis::live::{LiveBus, LiveEvent, LiveKind};
use andon_storage::redis::{Redis, RedisOptions};
use andon_storage::sqlite::CheckpointFile;
use bytes::Bytes;
use std::path::Path;
use std::sync::Arc;

async fn layered(path: &Path, redis: RedisCheckpoints) -> LayeredCheckpoints {
    let file = Arc::new(CheckpointFile::open(path).await.unwrap());
    LayeredCheckpoints::open(file, redis, JournalId(1), u64::MAX)
        .await
        .unwrap()
}

macro_rules! run {
    ($suite:ident: $($check:ident,)+) => {
        mod alone {
            use super::*;
            $(
                #[tokio::test]
                async fn $check() {
                    let space = Space::new();
                    conformance::$suite::$check(async || RedisCheckpoints::new(space.redis(1).await)).await;
                    space.remove().await;
                }
            )+
        }
        mod over_the_file {
            use super::*;
            $(
                #[tokio::test]
                async fn $check() {
                    let space = Space::new();
                    let dir = tempfile::tempdir().unwrap();
                    let path = dir.path().join("checkpoints.db");
                    conformance::$suite::$check(async || {
                        layered(&path, RedisCheckpoints::new(space.redis(1).await)).await
                    })
                    .await;
                    // Redis is brought to the same state, whatever happened on the way.
                    let store = layered(&path, RedisCheckpoints::new(space.redis(1).await)).await;
                    store.settled().await;
                    let copy = RedisCheckpoints::new(space.redis(1).await);
                    for shard in [0, 1, 2, 3, 7, LEADER] {
                        assert_eq!(content(&copy, shard).await, content(&store, shard).await);
                    }
                    space.remove().await;
                }
            )+
        }
    };
}

conformance_checks!(checkpoint, run);

type Content = (Option<u64>, Vec<(String, Bytes)>, Vec<(String, Option<Bytes>)>);

/// Everything of a shard, in order.
async fn content(store: &impl CheckpointStore, shard: u16) -> Content {
    let ShardCheckpoint { cursor, mut hot, cold } = store.load(shard).await.unwrap();
    hot.sort();
    let mut rest = Vec::new();
    for key in cold {
        let state = store.fetch(shard, &key).await.unwrap();
        rest.push((key, state));
    }
    rest.sort();
    (cursor.map(|c| c.seq), hot, rest)
}

fn put(key: impl Into<String>, state: impl Into<Bytes>) -> EntityChange {
    EntityChange {
        key: key.into(),
        state: Some(state.into()),
        hot: true,
    }
}

fn many(count: usize, state: u8) -> Vec<EntityChange> {
    (0..count)
        .map(|n| put(format!("device:{n}"), vec![state; 300]))
        .collect()
}

#[track_caller]
fn assert_lost<T: std::fmt::Debug>(result: Result<T>) {
    assert!(matches!(result, Err(StoreError::Lost { .. })), "{result:?}");
}

#[track_caller]
fn assert_unavailable<T: std::fmt::Debug>(result: Result<T>) {
    assert!(matches!(result, Err(StoreError::Unavailable { .. })), "{result:?}");
}

/// Tries until Redis is back.
async fn saved(store: &impl CheckpointStore, shard: u16, seq: u64, changes: Vec<EntityChange>) {
    loop {
        match store.save(shard, cursor(1, seq), changes.clone()).await {
            Ok(()) => return,
            Err(StoreError::Unavailable { .. }) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
            Err(e) => panic!("{e}"),
        }
    }
}

#[tokio::test]
async fn what_is_emptied_or_written_by_another_is_lost_until_it_is_loaded_again() {
    let space = Space::new();
    let store = RedisCheckpoints::new(space.redis(1).await);
    store
        .save(0, cursor(1, 1), vec![put("a", "1"), put("b", "2")])
        .await
        .unwrap();
    let raw = space.raw().await;
    for key in space.keys().await {
        send(&raw, "UNLINK", &[&key]).await;
    }
    assert_lost(store.fetch(0, "a").await);
    assert_lost(store.save(0, cursor(1, 2), vec![put("a", "3")]).await);
    assert_lost(store.save(0, cursor(1, 2), vec![put("a", "3")]).await);
    assert_eq!(store.load(0).await.unwrap().cursor, None);
    store.save(0, cursor(1, 2), vec![put("a", "4")]).await.unwrap();
    // Another process saves.
    let other = RedisCheckpoints::new(space.redis(1).await);
    other.save(0, cursor(1, 3), vec![put("c", "5")]).await.unwrap();
    assert_lost(store.save(0, cursor(1, 4), vec![]).await);
    assert_eq!(content(&store, 0).await.1.len(), 2);
    store.save(0, cursor(1, 4), vec![]).await.unwrap();
    assert_lost(other.save(0, cursor(1, 5), vec![]).await);
    space.remove().await;
}

#[tokio::test]
async fn a_part_of_a_checkpoint_is_none() {
    let space = Space::new();
    let raw = space.raw().await;
    for victim in [true, false] {
        let store = RedisCheckpoints::new(space.redis(1).await);
        store.load(0).await.unwrap();
        store
            .save(0, cursor(1, 1), vec![put("a", "1"), put("b", "2")])
            .await
            .unwrap();
        let states = space.keys().await.into_iter().find(|k| k.contains(":cp:0:")).unwrap();
        if victim {
            send(&raw, "HDEL", &[&states, "a"]).await;
        } else {
            send(&raw, "UNLINK", &[&states]).await;
        }
        assert_lost(store.save(0, cursor(1, 2), vec![put("a", "3")]).await);
        let other = RedisCheckpoints::new(space.redis(1).await);
        assert_eq!(content(&other, 0).await, (None, vec![], vec![]));
    }
    space.remove().await;
}

#[tokio::test]
async fn an_owner_that_was_succeeded_writes_nothing() {
    let space = Space::new();
    let (old, new) = (space.redis(1).await, space.redis(1).await);
    old.set_epoch(9).await.unwrap();
    let (first, second) = (RedisCheckpoints::new(old.clone()), RedisCheckpoints::new(new.clone()));
    first.save(0, cursor(1, 1), many(3, 1)).await.unwrap();
    new.set_epoch(10).await.unwrap();
    let fenced = |r: Result<()>| assert!(matches!(r, Err(StoreError::Fenced { .. })), "{r:?}");
    fenced(old.set_epoch(9).await);
    fenced(first.save(0, cursor(1, 2), many(3, 2)).await);
    fenced(first.save(0, cursor(1, 2), many(3_000, 2)).await);
    fenced(first.clear().await);
    assert_eq!(content(&second, 0).await.0, Some(1));
    second.save(0, cursor(1, 2), many(3, 3)).await.unwrap();
    // Layered, the process is told to end, and its file is left alone.
    let dir = tempfile::tempdir().unwrap();
    let file = Arc::new(CheckpointFile::open(&dir.path().join("file.db")).await.unwrap());
    let store = LayeredCheckpoints::open(Arc::clone(&file), first, JournalId(1), 100)
        .await
        .unwrap();
    let mut seq = 3;
    let refused = loop {
        match store.save(0, cursor(1, seq), many(1, 4)).await {
            Ok(()) => seq += 1,
            Err(e) => break e,
        }
        tokio::task::yield_now().await;
    };
    assert!(matches!(refused, StoreError::Fenced { .. }), "{refused}");
    assert_eq!(content(&second, 0).await.0, Some(2));
    space.remove().await;
}

#[tokio::test]
async fn sites_do_not_mix() {
    let space = Space::new();
    let (one, two) = (
        RedisCheckpoints::new(space.redis(1).await),
        RedisCheckpoints::new(space.redis(2).await),
    );
    one.save(0, cursor(1, 1), many(1, 1)).await.unwrap();
    assert_eq!(two.load(0).await.unwrap().cursor, None);
    two.save(0, cursor(2, 7), many(2, 2)).await.unwrap();
    two.clear().await.unwrap();
    assert_eq!(two.load(0).await.unwrap().cursor, None);
    assert_eq!(content(&one, 0).await.0, Some(1));
    space.remove().await;
}

#[tokio::test]
async fn a_large_save_that_was_only_committed_is_applied_by_whoever_loads() {
    // A server that dies loses its memory here; so the writer is ended in the middle instead.
    let space = Space::new();
    for patience in (0..400).step_by(7) {
        let store = RedisCheckpoints::new(space.redis(1).await);
        let before = store.load(0).await.unwrap().cursor.map_or(0, |c| c.seq);
        let state = (before + 1) as u8;
        let save = store.save(0, cursor(1, before + 1), many(2_500, state));
        let wait = async {
            for _ in 0..patience {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            saved = save => saved.unwrap(),
            () = wait => {}
        }
        let other = RedisCheckpoints::new(space.redis(1).await);
        let (seq, hot, _) = content(&other, 0).await;
        match seq {
            None => assert!(hot.is_empty()),
            Some(seq) => {
                assert_eq!(hot.len(), 2_500);
                assert!(
                    hot.iter().all(|(_, s)| s.iter().all(|b| u64::from(*b) == seq)),
                    "half a save is there"
                );
            }
        }
    }
    space.remove().await;
}

#[tokio::test]
async fn a_frozen_server_and_one_that_is_killed_are_unavailable_and_come_back() {
    let mut server = Server::start(&[]).await;
    let store = RedisCheckpoints::new(server.redis().await);
    saved(&store, 0, 1, many(10, 1)).await;
    server.freeze();
    assert_unavailable(store.save(0, cursor(1, 2), many(10, 2)).await);
    assert_unavailable(store.save(0, cursor(1, 2), many(10, 2)).await);
    assert_unavailable(store.fetch(0, "device:1").await);
    server.thaw();
    // Whether the save that nobody heard of is there or not: it goes on from it.
    saved(&store, 0, 2, many(10, 2)).await;
    assert_eq!(content(&store, 0).await.0, Some(2));
    server.kill();
    assert_unavailable(store.save(0, cursor(1, 3), many(10, 3)).await);
    server.run().await;
    let lost = loop {
        match store.save(0, cursor(1, 3), many(10, 3)).await {
            Err(StoreError::Unavailable { .. }) => tokio::task::yield_now().await,
            other => break other,
        }
    };
    assert_lost(lost);
    assert_eq!(store.load(0).await.unwrap().cursor, None);
    saved(&store, 0, 3, many(10, 3)).await;
}

#[tokio::test]
async fn a_connection_that_silently_died_is_replaced() {
    let server = Server::start(&[]).await;
    let proxy = Proxy::start(server.port).await;
    let url = format!("redis://:{PASSWORD}@127.0.0.1:{}", proxy.port);
    let redis = Redis::connect(RedisOptions::new(url, JournalId(1))).await.unwrap();
    let store = RedisCheckpoints::new(redis.clone());
    saved(&store, 0, 1, many(10, 1)).await;
    let bus = LiveBus::new(redis);
    let mut feed = bus.subscribe(&[LiveKind::Status]).await.unwrap();
    assert_eq!(feed.next().await, LiveEvent::Gap(LiveKind::Status));
    proxy.stall();
    // The kernel would wait for a quarter of an hour, and the sockets are full long before.
    assert_unavailable(store.save(0, cursor(1, 2), many(900, 2)).await);
    saved(&store, 0, 2, many(900, 2)).await;
    assert_eq!(content(&store, 0).await.0, Some(2));
    // Who only listens notices too.
    assert_eq!(feed.next().await, LiveEvent::Gap(LiveKind::Status));
    // The publisher's connection is replaced in its own time; until then its messages are dropped.
    loop {
        bus.publish(LiveKind::Status, Bytes::from_static(b"again"));
        let heard = tokio::time::timeout(std::time::Duration::from_millis(50), feed.next()).await;
        if heard.is_ok_and(|event| matches!(event, LiveEvent::Message(..))) {
            break;
        }
    }
}

#[tokio::test]
async fn a_full_server_refuses_a_save_whole() {
    let server = Server::start(&[]).await;
    let store = RedisCheckpoints::new(server.redis().await);
    store.save(0, cursor(1, 1), many(100, 1)).await.unwrap();
    server.send("CONFIG", &["SET", "maxmemory", "1"]).await;
    let full = store.save(0, cursor(1, 2), many(100, 2)).await;
    assert!(
        matches!(&full, Err(StoreError::Unavailable { reason, .. }) if reason.contains("full")),
        "{full:?}"
    );
    assert_unavailable(store.save(0, cursor(1, 2), many(5_000, 2)).await);
    let gone = vec![EntityChange {
        key: "device:1".into(),
        state: None,
        hot: false,
    }];
    assert_unavailable(store.save(0, cursor(1, 2), gone).await);
    server.send("CONFIG", &["SET", "maxmemory", "0"]).await;
    let (seq, hot, _) = content(&store, 0).await;
    assert_eq!((seq, hot.len()), (Some(1), 100));
    assert!(hot.iter().all(|(_, s)| s[0] == 1));
    store.save(0, cursor(1, 2), many(5_000, 2)).await.unwrap();
}

async fn assert_copied(server: &Server, store: &LayeredCheckpoints, shards: &[u16]) {
    store.settled().await;
    assert_eq!(store.lag(), 0);
    let copy = RedisCheckpoints::new(server.redis().await);
    for shard in shards {
        let want = content(store, *shard).await;
        assert!(want.0.is_some());
        assert_eq!(content(&copy, *shard).await, want);
    }
}

#[tokio::test]
async fn the_file_takes_every_save_whatever_becomes_of_redis_and_redis_is_filled_again() {
    let mut server = Server::start(&[]).await;
    let dir = tempfile::tempdir().unwrap();
    let store = layered(&dir.path().join("file.db"), RedisCheckpoints::new(server.redis().await)).await;
    let mut seq = 0;
    let mut save_some = async || {
        seq += 1;
        for shard in [0, 1, LEADER] {
            let changes = if shard == LEADER {
                vec![put("router", seq.to_string())]
            } else {
                many(700, seq as u8)
            };
            store.save(shard, cursor(1, seq), changes).await.unwrap();
        }
    };
    save_some().await;
    assert_copied(&server, &store, &[0, 1, LEADER]).await;
    // Emptied.
    server.send("FLUSHALL", &[]).await;
    save_some().await;
    assert_copied(&server, &store, &[0, 1, LEADER]).await;
    // Full.
    server.send("CONFIG", &["SET", "maxmemory", "1"]).await;
    save_some().await;
    save_some().await;
    assert!(store.lag() >= 2);
    server.send("CONFIG", &["SET", "maxmemory", "0"]).await;
    assert_copied(&server, &store, &[0, 1, LEADER]).await;
    // Frozen.
    server.freeze();
    save_some().await;
    save_some().await;
    server.thaw();
    assert_copied(&server, &store, &[0, 1, LEADER]).await;
    // Gone, and back with nothing.
    server.kill();
    save_some().await;
    server.run().await;
    save_some().await;
    assert_copied(&server, &store, &[0, 1, LEADER]).await;
}

#[tokio::test]
async fn a_save_at_the_same_position_that_redis_never_got_is_brought_over_at_the_next_start() {
    let server = Server::start(&[]).await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file.db");
    let store = layered(&path, RedisCheckpoints::new(server.redis().await)).await;
    store.save(0, cursor(1, 10), many(3, 1)).await.unwrap();
    store.save(1, cursor(1, 10), many(3, 1)).await.unwrap();
    assert_copied(&server, &store, &[0, 1]).await;
    drop(store);
    // As a process leaves it that dies between the file and Redis.
    let gone = EntityChange {
        key: "device:1".into(),
        state: None,
        hot: false,
    };
    let file = CheckpointFile::open(&path).await.unwrap();
    file.save(0, cursor(1, 10), vec![gone]).await.unwrap();
    // Nothing more happens to it: that it was changed is not forgotten.
    file.save(0, cursor(1, 10), vec![]).await.unwrap();
    file.save(1, cursor(1, 10), vec![]).await.unwrap();
    let snapshot = file.snapshot().await.unwrap();
    assert_eq!(snapshot.resaved().iter().collect::<Vec<_>>(), [&0]);
    drop(snapshot);
    file.close().await;
    let store = layered(&path, RedisCheckpoints::new(server.redis().await)).await;
    assert_copied(&server, &store, &[0, 1]).await;
    assert_eq!(content(&store, 0).await.1.len(), 2);
}

#[tokio::test]
async fn more_than_memory_holds_is_filled_from_the_file() {
    let mut server = Server::start(&[]).await;
    let dir = tempfile::tempdir().unwrap();
    let store = layered(&dir.path().join("file.db"), RedisCheckpoints::new(server.redis().await)).await;
    store.save(0, cursor(1, 1), many(10, 1)).await.unwrap();
    store.settled().await;
    server.kill();
    for n in 0..20u64 {
        let changes = (0..20)
            .map(|k| put(format!("{n}:{k}"), vec![n as u8; 100_000]))
            .collect();
        store.save(0, cursor(1, 2 + n), changes).await.unwrap();
    }
    server.run().await;
    assert_copied(&server, &store, &[0]).await;
}

#[tokio::test]
async fn the_newest_whole_checkpoint_of_both_counts() {
    let server = Server::start(&[]).await;
    let dir = tempfile::tempdir().unwrap();
    let open = async |name: &str, end: u64| {
        let file = Arc::new(CheckpointFile::open(&dir.path().join(name)).await.unwrap());
        let redis = RedisCheckpoints::new(server.redis().await);
        LayeredCheckpoints::open(file, redis, JournalId(1), end).await
    };
    let first = open("first.db", 100).await.unwrap();
    for shard in [0, 1, LEADER] {
        first.save(shard, cursor(1, 10), many(1_500, 1)).await.unwrap();
    }
    first.settled().await;
    let want = [
        content(&first, 0).await,
        content(&first, 1).await,
        content(&first, LEADER).await,
    ];
    drop(first);
    // A folder without its file is filled from Redis; one that is newer fills Redis.
    let second = open("second.db", 100).await.unwrap();
    assert_eq!(
        [
            content(&second, 0).await,
            content(&second, 1).await,
            content(&second, LEADER).await
        ],
        want
    );
    second.save(0, cursor(1, 20), many(1, 2)).await.unwrap();
    second.settled().await;
    drop(second);
    // A part of it in Redis is no checkpoint: the file of the first machine counts, though it is older.
    let states = async |shard: u16| {
        let raw = server.raw().await;
        let all = send(&raw, "KEYS", &[&format!("andon:*:cp:{shard}:*")]).await;
        all.into_array().remove(0).as_string().unwrap()
    };
    let victim = states(1).await;
    server.send("UNLINK", &[&victim]).await;
    let first = open("first.db", 100).await.unwrap();
    assert_eq!(content(&first, 0).await.0, Some(10));
    assert_copied(&server, &first, &[0, 1, LEADER]).await;
    drop(first);
    // Positions that the journal does not have are of another history.
    let third = open("third.db", 9).await.unwrap();
    assert_eq!(content(&third, 0).await.0, None);
    third.save(0, cursor(1, 5), many(2, 3)).await.unwrap();
    assert_copied(&server, &third, &[0]).await;
    drop(third);
    let foreign = open("second.db", 15).await.map(|_| ());
    assert!(matches!(foreign, Err(StoreError::ForeignJournal { .. })), "{foreign:?}");
}

#[tokio::test]
async fn a_save_that_is_dropped_on_its_way_reaches_redis_if_it_reached_the_file() {
    let space = Space::new();
    let dir = tempfile::tempdir().unwrap();
    let store = layered(&dir.path().join("file.db"), RedisCheckpoints::new(space.redis(1).await)).await;
    for round in 1..60u64 {
        let save = store.save(0, cursor(1, round), many(50, round as u8));
        let wait = async {
            for _ in 0..round * 3 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            saved = save => saved.unwrap(),
            () = wait => {}
        }
    }
    store.save(0, cursor(1, 60), vec![put("last", "1")]).await.unwrap();
    store.settled().await;
    let copy = RedisCheckpoints::new(space.redis(1).await);
    assert_eq!(content(&copy, 0).await, content(&store, 0).await);
    space.remove().await;
}
