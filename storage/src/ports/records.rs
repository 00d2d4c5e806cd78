//! Log records in the relational store, for a site that wants them in SQL. The log index stays what searches read.

use super::{Cursor, Result};
use andon_engine::batch::Batch;
use andon_engine::ids::RecordId;
use andon_engine::time::Timestamp;
use bytes::Bytes;

/// A record that a store will never take, and what it said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedRecord {
    pub record_id: RecordId,
    pub reason: String,
}

/// The writer's side of the table of log records, driven by a cursor over the record journal.
#[async_trait::async_trait]
pub trait RecordStore: Send + Sync + 'static {
    async fn record_cursor(&self) -> Result<Option<Cursor>>;
    /// In one transaction: the log records (those with a message) of the batches, which come in journal order, one for each entry, then
    /// the cursor. Does nothing when the cursor stands there already. The records that the store refuses for themselves are left out
    /// and returned.
    async fn write_records(&self, batches: &[Batch<Bytes>], cursor: Cursor) -> Result<Vec<RefusedRecord>>;
    /// Makes the partitions of today and of the days that follow, by day of receipt in UTC, so that no write waits for it.
    async fn prepare_partitions(&self, now: Timestamp) -> Result<()>;
    /// Drops the partitions whose records were all received before `before`; says how many.
    async fn drop_partitions(&self, before: Timestamp) -> Result<u64>;
}
