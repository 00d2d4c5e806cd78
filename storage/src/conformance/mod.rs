//! What every adapter of a port must do: the same checks run on SQLite and PostgreSQL, on tantivy and Elasticsearch.
//!
//! A check takes a way to open the store. Each call opens what is there, so that a check can drop a store and open it again; the first
//! call finds it empty. A check panics with what it saw, as a test does. [`conformance_checks!`](crate::conformance_checks) lists them.

#![allow(clippy::unwrap_used, reason = "a check fails by panicking")]

pub mod checkpoint;
mod checks;
pub mod deliveries;
pub mod effects;
pub mod exchange;
pub mod fast_state;
pub mod keys;
pub mod log_index;
mod log_scan;
pub mod loss;
pub mod ownership;
pub mod records;
pub mod rows;
pub mod sample;

use crate::ports::{Cursor, Result, StoreError};
use andon_engine::ids::JournalId;
use std::task::Poll;

/// A journal's cursor; the journals of the checks have small numbers.
pub fn cursor(journal: u32, seq: u64) -> Cursor {
    Cursor {
        journal: JournalId(journal),
        seq,
    }
}

/// Lets the future run for so many steps, then drops it, as a process does that is killed there. `None`: it had more to do.
async fn cut<T>(future: impl Future<Output = T>, steps: usize) -> Option<T> {
    let mut future = std::pin::pin!(future);
    let mut left = steps;
    std::future::poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        future.as_mut().poll(context).map(Some)
    })
    .await
}

#[track_caller]
fn assert_foreign<T: std::fmt::Debug>(result: Result<T>) {
    assert!(
        matches!(result, Err(StoreError::ForeignJournal { .. })),
        "should name a foreign journal: {result:?}"
    );
}

#[track_caller]
fn assert_refused<T: std::fmt::Debug>(result: Result<T>) {
    assert!(
        matches!(result, Err(StoreError::Refused { .. })),
        "should be refused: {result:?}"
    );
}
