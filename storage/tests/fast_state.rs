//! The embedded fast state passes the checks of its port, and stays within its bounds.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use andon_engine::record::Record;
use andon_engine::time::{ManualClock, Span, Timestamp};
use andon_storage::conformance::{self, fast_state::batch, fast_state::reading};
use andon_storage::conformance_checks;
use andon_storage::fast_state::{FastStateOptions, LocalFastState};
use andon_storage::ports::fast_state::FastState;
use std::sync::Arc;

macro_rules! run {
    ($suite:ident: $($check:ident,)+) => {$(
        #[tokio::test]
        async fn $check() {
            let open = async |clock| LocalFastState::new(clock, FastStateOptions::default());
            conformance::$suite::$check(open).await;
        }
    )+};
}

conformance_checks!(fast_state, run);

#[tokio::test]
async fn memory_is_bounded_whatever_is_sent() {
    let noon = Timestamp(1_780_000_000_000_000);
    let options = FastStateOptions {
        recent_bytes: 200_000,
        readings_bytes: 200_000,
        ..FastStateOptions::default()
    };
    let state = LocalFastState::new(Arc::new(ManualClock::new(noon)), options);
    let names: Vec<String> = (0..200_u32).map(|n| format!("name {n}")).collect();
    for round in 0..100u64 {
        let names = names.iter().cycle().skip(round as usize * 37).take(150);
        let records = names.enumerate().map(|(n, name)| Record {
            application: Some(name),
            message: Some(
                "something of a hundred bytes or so, as lines of logs are: conveyor 4 stopped, motor current 12.3 A",
            ),
            ..reading(
                name,
                name,
                noon.minus(Span::secs((n as i64 * 31 + round as i64) % 900)),
                1.0,
            )
        });
        state.push(&[batch(round + 1, records)]).await.unwrap();
        assert!(state.bytes() <= 400_000, "{}", state.bytes());
    }
    // What came last is there.
    let last = names[(99 * 37 + 149) % 200].as_str();
    assert_eq!(state.recent(last, 1).await.unwrap().len(), 1);
    // Everything leaves: nothing was counted that is not there.
    let future = noon.plus(Span::mins(5));
    let many: Vec<String> = (0..2_000).map(|n| format!("device {n}")).collect();
    state
        .push(&[batch(1_000, many.iter().map(|d| reading(d, "r", future, 1.0)))])
        .await
        .unwrap();
    assert!(state.bytes() <= 400_000);
}
