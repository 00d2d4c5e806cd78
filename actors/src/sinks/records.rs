//! The writer of log records into SQL, for a site whose relational store holds them: in partitions by day, which it has made ahead and
//! dropped by age.

use super::Sink;
use super::log_records::LogRecords;
use andon_engine::ids::JournalId;
use andon_engine::time::{Clock, Span, Timestamp};
use andon_storage::journal::Entry;
use andon_storage::ports::records::{RecordStore, RefusedRecord};
use andon_storage::ports::rows::RowStore;
use andon_storage::ports::{Cursor, Result};
use std::sync::Arc;
use std::time::Duration;

/// Packed bytes of one transaction: about 50,000 records, a second's worth under full load.
const BATCH: usize = 16 * 1024 * 1024;
const LINGER: Duration = Duration::from_secs(1);
/// How often partitions are made ahead and dropped. The store makes those of some days, so one failure costs nothing.
const TEND_EVERY: Span = Span::hours(1);
const DAY: Span = Span::hours(24);
/// How long records stay in SQL unless the site says otherwise.
pub const RETENTION_DAYS: u32 = 30;

pub struct RecordsWriter {
    store: Arc<dyn RecordStore>,
    records: LogRecords,
    clock: Arc<dyn Clock>,
    /// What the age of records is measured against.
    age: Arc<dyn Clock>,
    retention: Span,
    tended_at: Option<Timestamp>,
}

impl std::fmt::Debug for RecordsWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RecordsWriter({:?})", self.records)
    }
}

impl RecordsWriter {
    /// What `store` refuses for good goes into `quarantine`. Records are kept for `retention_days` whole days, at least one
    /// ([`RETENTION_DAYS`] is usual), of their age by the clock `age`.
    pub fn new(
        store: Arc<dyn RecordStore>,
        quarantine: Arc<dyn RowStore>,
        journal: JournalId,
        clock: Arc<dyn Clock>,
        age: Arc<dyn Clock>,
        retention_days: u32,
    ) -> Self {
        Self {
            store,
            records: LogRecords::new("records", journal, quarantine),
            clock,
            age,
            retention: Span::micros(DAY.as_micros().saturating_mul(i64::from(retention_days.max(1)))),
            tended_at: None,
        }
    }

    fn keeps_from(&self) -> Timestamp {
        self.age.now().minus(self.retention)
    }
}

#[async_trait::async_trait]
impl Sink for RecordsWriter {
    fn name(&self) -> &'static str {
        "records"
    }
    fn batch_max(&self) -> usize {
        BATCH
    }
    fn linger(&self) -> Duration {
        LINGER
    }
    async fn cursor(&self) -> Result<Option<Cursor>> {
        self.store.record_cursor().await
    }
    fn take(&mut self, entry: &Entry) -> usize {
        // Of an archive that keeps longer than this store: its partition would be made to be dropped.
        if entry.received_at < self.keeps_from() {
            return 0;
        }
        self.records.take(entry)
    }
    async fn flush(&mut self, cursor: Cursor) -> Result<()> {
        let records = &self.records;
        let set_aside = |refused: &RefusedRecord| records.row(refused);
        let refused = self.store.write_records(records.batches(), cursor, &set_aside).await?;
        self.records.was_set_aside(&refused).await;
        self.records.clear();
        Ok(())
    }
    fn clear(&mut self) {
        self.records.clear();
    }
    async fn tend(&mut self) -> Result<()> {
        let now = self.clock.now();
        if self.tended_at.is_some_and(|at| now.since(at) < TEND_EVERY && at <= now) {
            return Ok(());
        }
        self.store.prepare_partitions(now).await?;
        let dropped = self.store.drop_partitions(self.keeps_from()).await?;
        if dropped > 0 {
            tracing::info!(
                partitions = dropped,
                "records are older than they are kept: their partitions went"
            );
        }
        self.tended_at = Some(now);
        Ok(())
    }
}
