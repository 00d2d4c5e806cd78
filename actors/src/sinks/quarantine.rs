//! What a store refused, on its way into quarantine.

use andon_storage::ports::rows::{Quarantined, RowStore};
use andon_storage::ports::{Result, StoreError};
use std::sync::Arc;

/// Rows that quarantine keeps; over it the oldest go.
pub const QUARANTINE_ROWS_MAX: u64 = 100_000;
/// The quota is looked at after this many rows.
const TRIM_EVERY: u64 = QUARANTINE_ROWS_MAX / 100;

/// Keeps quarantine within its quota.
pub(super) struct Quota {
    store: Arc<dyn RowStore>,
    written: u64,
}

impl Quota {
    pub(super) fn new(store: Arc<dyn RowStore>) -> Self {
        Self { store, written: 0 }
    }

    pub(super) fn store(&self) -> &dyn RowStore {
        &*self.store
    }

    /// For the sink of another store.
    ///
    /// # Errors
    /// `Fenced`, else `Unavailable`, whatever is wrong with quarantine: that it has lost what it had says nothing about the store whose
    /// cursor waits for this, and the sink must neither forget what was refused nor read its cursor again.
    pub(super) async fn add(&mut self, rows: &[Quarantined]) -> Result<()> {
        self.store.quarantine(rows).await.map_err(waited_for)?;
        self.wrote(rows.len()).await;
        Ok(())
    }

    /// Rows were added. Drops the oldest once in a while; a failure holds up nobody, it is tried again with the next rows.
    pub(super) async fn wrote(&mut self, rows: usize) {
        self.written += rows as u64;
        if self.written < TRIM_EVERY {
            return;
        }
        match self.store.trim_quarantine(QUARANTINE_ROWS_MAX).await {
            Ok(gone) => {
                self.written = 0;
                if gone > 0 {
                    tracing::warn!(rows = gone, "quarantine over its quota: oldest rows dropped");
                }
            }
            Err(e) => tracing::warn!(error = %e, "quarantine not trimmed; tried again with the next rows"),
        }
    }
}

fn waited_for(e: StoreError) -> StoreError {
    match e {
        StoreError::Fenced { .. } | StoreError::Unavailable { .. } => e,
        other => StoreError::Unavailable {
            store: "quarantine",
            reason: other.to_string(),
        },
    }
}
