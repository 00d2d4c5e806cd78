//! Checks of [`KeyStore`].

use super::assert_refused;
use super::sample::{self, HOSTILE};
use crate::keys::{KeyGrant, generate};
use crate::ports::keys::{KeyRow, KeyStore, Scope};
use andon_engine::time::Timestamp;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

pub async fn keys_are_kept_listed_and_revoked<S: KeyStore>(open: impl AsyncFn() -> S) {
    let mut rng = StdRng::seed_from_u64(1);
    let s = open().await;
    assert_eq!(s.keys().await.unwrap(), []);
    let mut generation = s.keys_generation().await.unwrap();
    let mut want = Vec::new();
    for (n, text) in HOSTILE.iter().enumerate() {
        let grant = KeyGrant {
            name: (*text).to_owned(),
            scopes: vec![sample::one_of(&mut rng, &[Scope::Ingest, Scope::Read, Scope::Admin])],
            applications: vec![(*text).to_owned(), "b".to_owned()],
            devices: if rng.random() { vec![] } else { vec![(*text).to_owned()] },
            records_per_second: sample::maybe(&mut rng, |r| r.random()),
        };
        let row = KeyRow {
            id: format!("{n:03}{text}"),
            ..generate(grant, Timestamp(n as i64)).row
        };
        s.insert_key(&row).await.unwrap();
        let next = s.keys_generation().await.unwrap();
        assert!(next > generation, "a new key is noticed");
        generation = next;
        want.push(row);
    }
    drop(s);
    let s = open().await;
    assert_eq!(s.keys().await.unwrap(), want);
    assert!(!s.revoke_key("nobody's", Timestamp(5)).await.unwrap());
    assert_eq!(s.keys_generation().await.unwrap(), generation);
    assert!(s.revoke_key(&want[3].id, Timestamp(5)).await.unwrap());
    assert!(
        !s.revoke_key(&want[3].id, Timestamp(6)).await.unwrap(),
        "once is enough"
    );
    want[3].revoked_at = Some(Timestamp(5));
    assert_eq!(s.keys().await.unwrap(), want);
    assert!(s.keys_generation().await.unwrap() > generation);
}

pub async fn a_key_is_there_once<S: KeyStore>(open: impl AsyncFn() -> S) {
    let s = open().await;
    let a = generate(KeyGrant::default(), Timestamp(0)).row;
    let b = generate(KeyGrant::default(), Timestamp(0)).row;
    s.insert_key(&a).await.unwrap();
    assert_refused(s.insert_key(&a).await);
    assert_refused(
        s.insert_key(&KeyRow {
            id: a.id.clone(),
            ..b.clone()
        })
        .await,
    );
    assert_refused(s.insert_key(&KeyRow { hash: a.hash, ..b }).await);
    assert_eq!(s.keys().await.unwrap(), [a]);
}
