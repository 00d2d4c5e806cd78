//! Recent records and raw readings in Redis.

use crate::support::{Server, Space, send};
use andon_engine::time::{ManualClock, Span, Timestamp};
use andon_storage::conformance::{self, fast_state::batch, fast_state::reading};
use andon_storage::conformance_checks;
use andon_storage::ports::StoreError;
use andon_storage::ports::fast_state::FastState;
use andon_storage::redis::fast_state::{RedisFastState, STRETCH_BYTES_MAX};
use std::sync::Arc;

macro_rules! run {
    ($suite:ident: $($check:ident,)+) => {$(
        #[tokio::test]
        async fn $check() {
            let space = Space::new();
            conformance::$suite::$check(async |clock| RedisFastState::new(space.redis(1).await, clock)).await;
            space.remove().await;
        }
    )+};
}

conformance_checks!(fast_state, run);

const NOON: Timestamp = Timestamp(1_780_000_000_000_000);

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(NOON))
}

async fn length(state: &RedisFastState, device: &str) -> usize {
    state
        .trace(device, "r", Timestamp::MIN, Timestamp::MAX, u32::MAX)
        .await
        .unwrap()
        .len()
}

#[tokio::test]
async fn no_reading_stays_for_ever_and_no_series_grows_without_end() {
    let space = Space::new();
    let state = RedisFastState::new(space.redis(1).await, clock());
    let raw = space.raw().await;
    let assert_ends = async || {
        let keys = space.keys().await;
        assert!(keys.iter().any(|k| k.contains(":trace:")));
        for key in keys.iter().filter(|k| !k.ends_with(":fast")) {
            let left = send(&raw, "PTTL", &[key]).await.as_i64().unwrap();
            assert!(left > 0 && left <= 24 * 3_600_000, "{key}: {left}");
        }
    };
    let mut seq = 0;
    let mut push = async |points: i64| {
        seq += 1;
        let records: Vec<_> = (0..points)
            .map(|n| reading("d", "r", NOON.minus(Span::micros(seq * 10_000 + n)), 1.0))
            .collect();
        let log = andon_engine::record::Record {
            application: Some("wms"),
            message: Some("m"),
            ..reading("e", "r", NOON, 1.0)
        };
        state.push(&[batch(seq as u64, records.into_iter().chain([log]))]).await
    };
    push(10).await.unwrap();
    assert_ends().await;
    // What this process knows to be there has gone.
    for key in space.keys().await.iter().filter(|k| k.contains(":trace:")) {
        send(&raw, "UNLINK", &[key]).await;
    }
    push(10).await.unwrap();
    assert_ends().await;
    for _ in 0..12 {
        push(1_000).await.unwrap();
    }
    assert_eq!(length(&state, "d").await, STRETCH_BYTES_MAX / 16);
    assert_ends().await;
    space.remove().await;
}

#[tokio::test]
async fn a_server_that_is_gone_slow_or_empty_is_told_and_gone_on_from() {
    let mut server = Server::start(&[]).await;
    let state = RedisFastState::new(server.redis().await, clock());
    let one = |seq: u64| [batch(seq, [reading("d", "r", NOON.minus(Span::secs(seq as i64)), 1.0)])];
    state.push(&one(1)).await.unwrap();
    server.send("FLUSHALL", &[]).await;
    assert!(matches!(state.push(&one(2)).await, Err(StoreError::Lost { .. })));
    assert_eq!(state.fast_cursor().await.unwrap(), None);
    state.push(&one(1)).await.unwrap();
    state.push(&one(2)).await.unwrap();
    server.freeze();
    assert!(matches!(state.push(&one(3)).await, Err(StoreError::Unavailable { .. })));
    assert!(matches!(
        state.recent("wms", 1).await,
        Err(StoreError::Unavailable { .. })
    ));
    server.thaw();
    let pushed = async |seq: u64| {
        loop {
            match state.push(&one(seq)).await {
                Err(StoreError::Unavailable { .. }) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
                other => break other,
            }
        }
    };
    pushed(3).await.unwrap();
    assert_eq!(length(&state, "d").await, 3);
    server.kill();
    assert!(matches!(state.push(&one(4)).await, Err(StoreError::Unavailable { .. })));
    server.run().await;
    assert!(matches!(pushed(4).await, Err(StoreError::Lost { .. })));
    assert_eq!(state.fast_cursor().await.unwrap(), None);
    state.push(&one(4)).await.unwrap();
    assert_eq!(length(&state, "d").await, 1);
    server.send("CONFIG", &["SET", "maxmemory", "1"]).await;
    let full = state.push(&one(5)).await;
    assert!(
        matches!(&full, Err(StoreError::Unavailable { reason, .. }) if reason.contains("full")),
        "{full:?}"
    );
}

#[tokio::test]
async fn a_point_costs_some_twenty_bytes() {
    let server = Server::start(&[]).await;
    let state = RedisFastState::new(server.redis().await, clock());
    let used = async || {
        let info = server.send("INFO", &["memory"]).await.as_string().unwrap();
        let line = info
            .lines()
            .find_map(|l| l.strip_prefix("used_memory_dataset:"))
            .unwrap();
        line.trim().parse::<f64>().unwrap()
    };
    state
        .push(&[batch(1, [reading("warm", "up", NOON, 1.0)])])
        .await
        .unwrap();
    // A hundred series, one a second for 14 minutes; in a push 10 s of each, or one.
    let devices: Vec<String> = (0..100).map(|n| format!("conveyor-{n:04}")).collect();
    let mut seq = 1;
    for (name, in_a_push) in [("motor_current", 10), ("temperature", 1)] {
        let before = used().await;
        for push in 0..840 / in_a_push {
            let records = devices.iter().flat_map(|d| {
                (0..in_a_push)
                    .map(move |s| reading(d, name, NOON.minus(Span::secs(840 - push * in_a_push - s)), s as f64))
            });
            seq += 1;
            state.push(&[batch(seq, records)]).await.unwrap();
        }
        let each = (used().await - before) / 84_000.0;
        println!("{each:.1} bytes a point, {in_a_push} in a push");
        assert!((16.0..40.0).contains(&each), "{each}");
    }
}
