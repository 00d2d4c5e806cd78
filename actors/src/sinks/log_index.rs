//! The log index writer: log records into full text, committed by time with the cursor.

use super::Sink;
use crate::entries::RECORDS;
use andon_engine::batch::Batch;
use andon_engine::ids::JournalId;
use andon_storage::journal::Entry;
use andon_storage::ports::log_index::LogIndex;
use andon_storage::ports::{Cursor, Result};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

/// Bytes of one commit. A commit costs about as much as indexing 5,000 records, so few of them under load.
const BATCH: usize = 32 * 1024 * 1024;
/// How long a record may be unsearchable after it was acknowledged, when there is little to do.
const LINGER: Duration = Duration::from_millis(500);

pub struct LogIndexWriter {
    index: Arc<dyn LogIndex>,
    journal: JournalId,
    buffer: Vec<Batch<Bytes>>,
}

impl std::fmt::Debug for LogIndexWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LogIndexWriter({} batches buffered)", self.buffer.len())
    }
}

impl LogIndexWriter {
    pub fn new(index: Arc<dyn LogIndex>, journal: JournalId) -> Self {
        Self {
            index,
            journal,
            buffer: Vec::new(),
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
        if entry.kind != RECORDS {
            return 0;
        }
        match Batch::parse(entry.body.clone(), self.journal, entry.seq) {
            Ok(batch) if !batch.is_empty() => {
                self.buffer.push(batch);
                entry.body.len()
            }
            // What cannot be read was counted and reported by the router, which reads every entry.
            Ok(_) | Err(_) => 0,
        }
    }

    async fn flush(&mut self, cursor: Cursor) -> Result<()> {
        // After a failed commit the whole buffer is given again: the index skips what it still has.
        self.index.add(&self.buffer).await?;
        self.index.commit(cursor).await?;
        self.buffer.clear();
        Ok(())
    }
}
