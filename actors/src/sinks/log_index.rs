//! The log index writer: log records into full text, committed by time with the cursor.

use super::Sink;
use super::log_records::LogRecords;
use andon_engine::ids::JournalId;
use andon_storage::journal::Entry;
use andon_storage::ports::log_index::LogIndex;
use andon_storage::ports::rows::RowStore;
use andon_storage::ports::{Cursor, Result};
use std::sync::Arc;
use std::time::Duration;

/// Packed bytes of one commit. A commit costs about as much as indexing 5,000 records, so few of them under load.
const BATCH: usize = 32 * 1024 * 1024;
/// How long a record may be unsearchable after it was acknowledged, when there is little to do.
const LINGER: Duration = Duration::from_millis(500);

pub struct LogIndexWriter {
    index: Arc<dyn LogIndex>,
    records: LogRecords,
}

impl std::fmt::Debug for LogIndexWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LogIndexWriter({:?})", self.records)
    }
}

impl LogIndexWriter {
    /// What `index` refuses for good goes into `quarantine`.
    pub fn new(index: Arc<dyn LogIndex>, quarantine: Arc<dyn RowStore>, journal: JournalId) -> Self {
        Self {
            index,
            records: LogRecords::new("log_index", journal, quarantine),
        }
    }
}

#[async_trait::async_trait]
impl Sink for LogIndexWriter {
    fn name(&self) -> &'static str {
        "log_index"
    }
    fn batch_max(&self) -> usize {
        BATCH
    }
    fn linger(&self) -> Duration {
        LINGER
    }
    async fn cursor(&self) -> Result<Option<Cursor>> {
        self.index.log_cursor().await
    }
    fn take(&mut self, entry: &Entry) -> usize {
        self.records.take(entry)
    }
    async fn flush(&mut self, cursor: Cursor) -> Result<()> {
        // After a failed commit the whole buffer is given again: the index skips what it still has.
        let refused = self.index.add(self.records.batches()).await?;
        self.records.set_aside(refused).await?;
        self.index.commit(cursor).await?;
        self.records.clear();
        Ok(())
    }
    fn clear(&mut self) {
        self.records.clear();
    }
}
