//! What a store refused, on its way into quarantine.

use andon_storage::ports::Result;
use andon_storage::ports::rows::{Quarantined, RowStore};
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

    pub(super) async fn add(&mut self, rows: &[Quarantined]) -> Result<()> {
        self.store.quarantine(rows).await?;
        self.wrote(rows.len()).await
    }

    /// Rows were added. Drops the oldest once in a while.
    pub(super) async fn wrote(&mut self, rows: usize) -> Result<()> {
        self.written += rows as u64;
        if self.written < TRIM_EVERY {
            return Ok(());
        }
        let gone = self.store.trim_quarantine(QUARANTINE_ROWS_MAX).await?;
        self.written = 0;
        if gone > 0 {
            tracing::warn!(rows = gone, "quarantine is over its quota: the oldest rows went");
        }
        Ok(())
    }
}
