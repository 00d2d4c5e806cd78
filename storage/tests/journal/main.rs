//! The journal against real files and against a disk that loses, tears, refuses and flips.

// `allow-unwrap-in-tests` does not reach the helpers of an integration test.
#![allow(clippy::unwrap_used)]

mod archiving;
mod damage;
mod faults;
mod history;
mod model;
mod operation;
mod real_files;
mod sim;

use andon_engine::time::{ManualClock, Timestamp};
use andon_storage::journal::Append;
use bytes::Bytes;
use std::sync::Arc;

pub(crate) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Timestamp::from_micros(1_700_000_000_000_000)))
}

/// An entry that can be told from all others, and checked, by its number and the length of its body.
pub(crate) fn payload(n: u64, body: usize) -> Append {
    Append {
        kind: (n % 7) as u8,
        received_at: Timestamp::from_micros(1_700_000_000_000_000 + n as i64),
        header: Bytes::from(n.to_le_bytes().to_vec()),
        body: (0..body)
            .map(|i| ((n as usize) * 31 + i * i % 251) as u8)
            .collect::<Vec<u8>>()
            .into(),
    }
}
