//! A database that is emptied under running processes: what only PostgreSQL can lose, and who may make it again.

use crate::site::{Site, administer};
use andon_engine::ids::JournalId;
use andon_engine::time::{Clock, ManualClock, Span, Timestamp};
use andon_storage::keys::{KeyCache, KeyGrant, generate};
use andon_storage::owner::{Ownership, claim_of};
use andon_storage::ports::StoreError;
use andon_storage::ports::keys::KeyStore;
use andon_storage::ports::rows::EffectStore;
use andon_storage::ports::site::{Claim, LEASE_MIN, OwnerStore, SiteStore};
use andon_storage::postgres::{PostgresOptions, PostgresStore};
use std::sync::Arc;
use std::time::Duration;

#[tokio::test]
async fn a_dropped_schema_is_made_again_by_who_may_and_awaited_by_who_may_not() {
    let site = Site::new();
    let gateway = Arc::new(PostgresStore::open(&site.url, site.options()).await.unwrap());
    let reader = PostgresOptions {
        migrate: false,
        ..site.options()
    };
    let dashboard = Arc::new(PostgresStore::open(&site.url, reader).await.unwrap());
    let (ours, theirs) = (
        generate(KeyGrant::default(), Timestamp(1)),
        generate(KeyGrant::default(), Timestamp(2)),
    );
    gateway.insert_key(&ours.row).await.unwrap();
    let cache = KeyCache::load(dashboard.clone()).await.unwrap();
    // The gateway hears of this one only from the dashboard.
    dashboard.insert_key(&theirs.row).await.unwrap();
    cache.refresh().await.unwrap();
    let clock = Arc::new(ManualClock::new(Timestamp(5)));
    let claim = Claim {
        lease: LEASE_MIN,
        ..claim_of(std::path::Path::new("/nowhere"), JournalId(1), 3)
    };
    gateway.claim_site(&claim, clock.now()).await.unwrap();
    let secret = gateway.link_secret([4; 32]).await.unwrap();

    administer(&site.url, &[format!("DROP SCHEMA {} CASCADE", site.schema)]);
    for _ in 0..2 {
        let e = dashboard.keys().await.unwrap_err();
        assert!(
            matches!(e, StoreError::Lost { .. }),
            "an emptied store has no answer, not the answer that there are none: {e}"
        );
        let _ = cache.refresh().await.unwrap_err();
    }
    assert!(cache.find(&ours.text).is_some() && cache.find(&theirs.text).is_some());
    gateway.renew(4, LEASE_MIN, clock.now()).await.unwrap();
    cache.refresh().await.unwrap();
    assert!(cache.find(&ours.text).is_some() && cache.find(&theirs.text).is_some());
    let mut ids: Vec<_> = gateway.keys().await.unwrap().into_iter().map(|k| k.id).collect();
    ids.sort();
    let mut want = vec![ours.row.id, theirs.row.id];
    want.sort();
    assert_eq!(ids, want);
    assert_eq!(dashboard.link_secret([5; 32]).await.unwrap(), secret);
    assert_eq!(gateway.owner().await.unwrap().unwrap().epoch, 4);
}

/// Leases run by the server's clock: those of the processes may be wrong by years.
#[tokio::test]
async fn clocks_of_machines_do_not_matter() {
    let site = Site::new();
    let (a, b) = (
        Arc::new(PostgresStore::open(&site.url, site.options()).await.unwrap()),
        PostgresStore::open(&site.url, site.options()).await.unwrap(),
    );
    let claim = |owner: &str| Claim {
        owner: owner.to_owned(),
        place: String::new(),
        lease: LEASE_MIN,
        ..claim_of(std::path::Path::new("/nowhere"), JournalId(1), 0)
    };
    let slow = Arc::new(ManualClock::new(Timestamp(0)));
    let owned = Ownership::claim(a.clone(), &claim("slow"), slow.clone()).await.unwrap();
    let far = Timestamp(4_000_000_000_000_000);
    let first = a.owner().await.unwrap().unwrap();
    assert!(b.claim_site(&claim("fast"), far).await.is_err());
    // Renewed all the while, longer than a lease.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(120);
    while a.owner().await.unwrap().unwrap().lease_until <= first.lease_until.plus(Span::secs(2)) {
        assert!(b.claim_site(&claim("fast"), far).await.is_err());
        assert!(tokio::time::Instant::now() < deadline, "it is not renewed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Its process is frozen: nothing is renewed.
    let epoch = owned.epoch();
    drop(owned);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(120);
    let taken = loop {
        match b.claim_site(&claim("fast"), Timestamp(0)).await {
            Ok(taken) => break taken,
            Err(_) => assert!(tokio::time::Instant::now() < deadline, "the lease does not end"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(taken.epoch, epoch + 1);
    let late = a
        .apply_effects(&[], andon_storage::conformance::cursor(1, 1))
        .await
        .unwrap_err();
    assert!(
        matches!(&late, StoreError::Fenced { .. }) && late.to_string().contains("fast"),
        "{late}"
    );
}
