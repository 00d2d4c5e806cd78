//! Rate limits that several gateways share.

use crate::support::{Server, Space, send};
use andon_storage::ports::StoreError;
use andon_storage::redis::limits::{Rate, RateLimits};
use std::time::Duration;

/// A burst of 100,000 records at one a second: no test runs long enough for what is paid off meanwhile to matter.
const BURST: Duration = Duration::from_secs(100_000);

#[tokio::test]
async fn two_gateways_share_one_budget_exactly() {
    let space = Space::new();
    let mut workers = Vec::new();
    for _ in 0..2 {
        let limits = RateLimits::new(space.redis(1).await);
        for _ in 0..4 {
            let limits = limits.clone();
            workers.push(tokio::spawn(async move {
                let mut allowed = 0;
                for _ in 0..50 {
                    if limits.take("key", 1_000, 1, BURST).await.unwrap() == Rate::Allowed {
                        allowed += 1;
                    }
                }
                allowed
            }));
        }
    }
    let mut allowed = 0;
    for worker in workers {
        allowed += worker.await.unwrap();
    }
    // A hundred batches of a thousand fill the burst but for what was paid off since; the next goes into debt, and no other.
    assert_eq!(allowed, 101);
    space.remove().await;
}

#[tokio::test]
async fn a_large_batch_passes_once_and_is_paid_off() {
    let space = Space::new();
    let limits = RateLimits::new(space.redis(1).await);
    let take = async |key: &str, records, per_second| {
        limits
            .take(key, records, per_second, Duration::from_secs(1))
            .await
            .unwrap()
    };
    assert_eq!(take("key", 0, 100).await, Rate::Allowed);
    assert_eq!(take("key", 100_000, 100).await, Rate::Allowed);
    for records in [0, 1] {
        let Rate::RetryAfter(wait) = take("key", records, 100).await else {
            panic!("a thousand seconds are owed");
        };
        assert!(
            wait > Duration::from_secs(900) && wait <= Duration::from_secs(999),
            "{wait:?}"
        );
    }
    assert_eq!(take("other", 1, 100).await, Rate::Allowed);
    assert_eq!(take("never", u32::MAX, 0).await, Rate::Allowed);
    assert!(matches!(take("never", 1, 1).await, Rate::RetryAfter(_)));
    // What is paid off leaves nothing behind: no key is kept for ever. One that is gone by now (-2) is paid off.
    let raw = space.raw().await;
    for key in space.keys().await {
        assert_ne!(send(&raw, "PTTL", &[&key]).await.as_i64().unwrap(), -1, "{key}");
    }
    space.remove().await;
}

#[tokio::test]
async fn a_server_that_forgot_the_script_or_is_away_is_no_obstacle() {
    let mut server = Server::start(&[]).await;
    let limits = RateLimits::new(server.redis().await);
    let take = async || limits.take("key", 1, 100, BURST).await;
    while take().await.is_err() {}
    server.send("SCRIPT", &["FLUSH"]).await;
    while take().await.is_err() {}
    server.freeze();
    assert!(matches!(take().await, Err(StoreError::Unavailable { .. })));
    server.thaw();
    while take().await.is_err() {}
    server.kill();
    assert!(matches!(take().await, Err(StoreError::Unavailable { .. })));
    server.run().await;
    while take().await.is_err() {}
}
