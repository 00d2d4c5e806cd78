//! Log records in the relational store, for a site that wants them in SQL. The log index stays what searches read.

use super::log_index::{PageKey, StoredRecord};
use super::rows::Quarantined;
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

/// What quarantine is to hold of a refused record, if anything.
pub type SetAside<'a> = dyn Fn(&RefusedRecord) -> Option<Quarantined> + Send + Sync + 'a;

/// The writer's side of the table of log records, driven by a cursor over the record journal.
#[async_trait::async_trait]
pub trait RecordStore: Send + Sync + 'static {
    async fn record_cursor(&self) -> Result<Option<Cursor>>;
    /// In one transaction: the log records (those with a message) of the batches, which come in journal order, one for each entry, then
    /// the cursor. Does nothing when the cursor stands there already. The records that the store refuses for themselves are set aside
    /// in the same transaction, so that none is in neither place, and returned.
    async fn write_records(
        &self,
        batches: &[Batch<Bytes>],
        cursor: Cursor,
        set_aside: &SetAside<'_>,
    ) -> Result<Vec<RefusedRecord>>;
    /// Makes the partitions of today and of the days that follow, by day of receipt in UTC, so that no write waits for it.
    async fn prepare_partitions(&self, now: Timestamp) -> Result<()>;
    /// Drops the partitions whose records were all received before `before`; says how many.
    async fn drop_partitions(&self, before: Timestamp) -> Result<u64>;
}

/// Which log records. Every condition given must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RecordFilter {
    pub device_id: Option<String>,
    pub application: Option<String>,
    /// Event time, `from` included, `to` excluded.
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
    /// Only what comes after this place in the order.
    pub after: Option<PageKey>,
}

/// The reader's side: an export over SQL, and checks. Searches go to the log index.
///
/// The members of `fields` may come back in another order, and U+0000 in it as U+FFFD.
#[async_trait::async_trait]
pub trait RecordReader: Send + Sync + 'static {
    /// At most `limit` records, oldest first by event time, then by id.
    async fn records(&self, filter: &RecordFilter, limit: u32) -> Result<Vec<StoredRecord>>;
    async fn record(&self, id: RecordId) -> Result<Option<StoredRecord>>;
}
