//! Checks of [`CheckpointStore`].

use super::sample::HOSTILE;
use super::{assert_foreign, cursor};
use crate::ports::checkpoint::{CheckpointStore, EntityChange};
use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeMap;

fn put(key: impl Into<String>, state: impl Into<Bytes>, hot: bool) -> EntityChange {
    EntityChange {
        key: key.into(),
        state: Some(state.into()),
        hot,
    }
}

fn remove(key: impl Into<String>) -> EntityChange {
    EntityChange {
        key: key.into(),
        state: None,
        hot: false,
    }
}

type Model = BTreeMap<String, (Bytes, bool)>;

async fn assert_holds(s: &impl CheckpointStore, shard: u16, want: &Model) {
    let mut got = s.load(shard).await.unwrap();
    got.hot.sort();
    got.cold.sort();
    let hot: Vec<_> = want
        .iter()
        .filter(|(_, (_, hot))| *hot)
        .map(|(k, (s, _))| (k.clone(), s.clone()))
        .collect();
    let cold: Vec<_> = want
        .iter()
        .filter(|(_, (_, hot))| !*hot)
        .map(|(k, _)| k.clone())
        .collect();
    assert_eq!((got.hot, got.cold), (hot, cold));
    for (key, (state, _)) in want {
        assert_eq!(s.fetch(shard, key).await.unwrap().as_ref(), Some(state));
    }
}

pub async fn what_was_saved_is_loaded<S: CheckpointStore>(open: impl AsyncFn() -> S) {
    let mut rng = StdRng::seed_from_u64(1);
    let mut s = open().await;
    assert_eq!(s.load(3).await.unwrap().cursor, None);
    let mut models: BTreeMap<u16, Model> =
        BTreeMap::from([(0, Model::new()), (3, Model::new()), (u16::MAX, Model::new())]);
    for seq in 0..60 {
        for (shard, model) in &mut models {
            let mut changes = Vec::new();
            for _ in 0..rng.random_range(0..20) {
                let key = format!("device {}", rng.random_range(0..40));
                let hot = rng.random();
                let change = if rng.random_bool(0.3) {
                    model.remove(&key);
                    remove(&key)
                } else {
                    let state: Vec<u8> = (0..rng.random_range(0..50)).map(|_| rng.random()).collect();
                    model.insert(key.clone(), (state.clone().into(), hot));
                    put(&key, state, hot)
                };
                changes.push(change);
            }
            s.save(*shard, cursor(1, seq), changes).await.unwrap();
        }
        if seq % 20 == 0 {
            drop(s);
            s = open().await;
        }
    }
    for (shard, model) in &models {
        assert_holds(&s, *shard, model).await;
        assert_eq!(s.load(*shard).await.unwrap().cursor, Some(cursor(1, 59)));
    }
    assert_eq!(s.fetch(3, "nothing").await.unwrap(), None);
    assert_eq!(s.fetch(7, "device 1").await.unwrap(), None);
}

pub async fn a_save_is_whole_or_not_at_all<S: CheckpointStore>(open: impl AsyncFn() -> S) {
    let s = open().await;
    s.save(1, cursor(1, 10), vec![put("a", "1", true), put("b", "2", false)])
        .await
        .unwrap();
    let want = Model::from([
        ("a".to_owned(), ("1".into(), true)),
        ("b".to_owned(), ("2".into(), false)),
    ]);
    for foreign in [cursor(1, 9), cursor(2, 11)] {
        assert_foreign(
            s.save(1, foreign, vec![put("a", "x", false), remove("b"), put("c", "3", true)])
                .await,
        );
        assert_holds(&s, 1, &want).await;
    }
    // One that is dropped somewhere on its way: all of it is there, or nothing.
    let many = |v: u8| {
        (0..3_000)
            .map(|n| put(format!("n{n}"), vec![v; 100], true))
            .collect::<Vec<_>>()
    };
    s.save(2, cursor(1, 0), many(0)).await.unwrap();
    for round in 1..20u8 {
        let before = s.load(2).await.unwrap();
        let save = s.save(2, cursor(1, u64::from(round)), many(round));
        let patience = async {
            for _ in 0..usize::from(round) * 20 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            saved = save => saved.unwrap(),
            () = patience => {}
        }
        let after = s.load(2).await.unwrap();
        let whole = if after.cursor == before.cursor {
            before.hot[0].1[0]
        } else {
            round
        };
        assert_eq!(after.hot.len(), 3_000);
        assert!(
            after.hot.iter().all(|(_, state)| state.iter().all(|b| *b == whole)),
            "half a save is there"
        );
    }
    drop(s);
    let s = open().await;
    assert_holds(&s, 1, &want).await;
    assert_eq!(s.load(1).await.unwrap().cursor, Some(cursor(1, 10)));
    s.save(1, cursor(1, 10), vec![remove("a")]).await.unwrap();
    assert_eq!(s.load(1).await.unwrap().hot, []);
}

pub async fn any_key_and_any_state_are_kept<S: CheckpointStore>(open: impl AsyncFn() -> S) {
    let s = open().await;
    let mut want = Model::new();
    for (n, text) in HOSTILE.iter().chain(&["\0", "\0a", "a\0", "a\0b"]).enumerate() {
        want.insert((*text).to_owned(), (Bytes::from(vec![n as u8; n]), n % 2 == 0));
    }
    want.insert("large".to_owned(), (Bytes::from(vec![0; 3_000_000]), true));
    let changes = want.iter().map(|(k, (s, hot))| put(k, s.clone(), *hot)).collect();
    s.save(0, cursor(1, 1), changes).await.unwrap();
    assert_holds(&s, 0, &want).await;
    // The last of several changes of a key counts.
    s.save(
        0,
        cursor(1, 2),
        vec![remove("a\0"), put("a\0", "x", true), put("'", "y", true), remove("'")],
    )
    .await
    .unwrap();
    want.insert("a\0".to_owned(), ("x".into(), true));
    want.remove("'");
    assert_holds(&s, 0, &want).await;
}

pub async fn many_entities_are_saved_at_once<S: CheckpointStore>(open: impl AsyncFn() -> S) {
    let s = open().await;
    let want: Model = (0..20_000)
        .map(|n| (format!("device {n}"), (Bytes::from(vec![1; 300]), n % 10 == 0)))
        .collect();
    let changes = want.iter().map(|(k, (s, hot))| put(k, s.clone(), *hot)).collect();
    s.save(0, cursor(1, 1), changes).await.unwrap();
    let got = s.load(0).await.unwrap();
    assert_eq!((got.hot.len(), got.cold.len()), (2_000, 18_000));
    s.save(0, cursor(1, 2), want.keys().map(remove).collect())
        .await
        .unwrap();
    let got = s.load(0).await.unwrap();
    assert_eq!((got.hot.len(), got.cold.len()), (0, 0));
}
