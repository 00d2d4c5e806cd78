//! Log records on their way into a store that may refuse some of them for good.

use super::quarantine::Quota;
use crate::entries::RECORDS;
use crate::metrics;
use andon_engine::batch::Batch;
use andon_engine::ids::{JournalId, RecordId};
use andon_engine::intake;
use andon_storage::journal::Entry;
use andon_storage::ports::Result;
use andon_storage::ports::records::RefusedRecord;
use andon_storage::ports::rows::{Quarantined, RowStore};
use bytes::Bytes;
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

/// Of a refused record's message, what quarantine shows.
const EXCERPT_BYTES_MAX: usize = 4 * 1024;
/// Refused records of one transaction: what their excerpts take in memory stays small however many there are.
const QUARANTINE_ROWS: usize = 500;

/// The buffer of a sink of log records. Bounded in packed bytes by the sink's `batch_max` and one entry.
pub(super) struct LogRecords {
    /// Who refuses, as quarantine and `/metrics` name it.
    stage: &'static str,
    journal: JournalId,
    batches: Vec<Batch<Bytes>>,
    /// The key that sent each batch.
    senders: Vec<Arc<str>>,
    /// Refused, and not in quarantine yet.
    refused: VecDeque<RefusedRecord>,
    /// All that was refused of the buffer: a store that is given it again refuses the same again.
    told: HashSet<RecordId>,
    quarantine: Quota,
}

impl LogRecords {
    pub(super) fn new(stage: &'static str, journal: JournalId, quarantine: Arc<dyn RowStore>) -> Self {
        Self {
            stage,
            journal,
            batches: Vec::new(),
            senders: Vec::new(),
            refused: VecDeque::new(),
            told: HashSet::new(),
            quarantine: Quota::new(quarantine),
        }
    }

    pub(super) fn batches(&self) -> &[Batch<Bytes>] {
        &self.batches
    }

    /// Keeps the entry if it holds log records; answers its packed bytes then.
    pub(super) fn take(&mut self, entry: &Entry) -> usize {
        if entry.kind != RECORDS {
            return 0;
        }
        // What cannot be read was counted and reported by the router, which reads every entry.
        let Ok(batch) = Batch::parse(entry.body.clone(), self.journal, entry.seq) else {
            return 0;
        };
        if !batch.iter().any(|r| r.is_log()) {
            return 0;
        }
        let sender = intake::sender(&entry.header).unwrap_or_default();
        self.senders.push(match self.senders.last() {
            Some(last) if **last == *sender => last.clone(),
            _ => Arc::from(sender),
        });
        self.batches.push(batch);
        entry.body.len()
    }

    pub(super) fn clear(&mut self) {
        self.batches.clear();
        self.senders.clear();
        self.refused.clear();
        self.told.clear();
    }

    /// Puts what the store refused into quarantine. What could not be put there yet is kept for the next call.
    pub(super) async fn set_aside(&mut self, mut refused: Vec<RefusedRecord>) -> Result<()> {
        refused.retain(|r| self.told.insert(r.record_id));
        self.warn(&refused);
        self.refused.extend(refused);
        while !self.refused.is_empty() {
            let count = self.refused.len().min(QUARANTINE_ROWS);
            let rows: Vec<_> = self.refused.iter().take(count).filter_map(|r| self.row(r)).collect();
            self.quarantine.add(&rows).await?;
            self.refused.drain(..count);
        }
        Ok(())
    }

    /// The store put what it refused into quarantine itself.
    pub(super) async fn was_set_aside(&mut self, refused: &[RefusedRecord]) {
        self.warn(refused);
        self.quarantine.wrote(refused.len()).await;
    }

    fn warn(&self, refused: &[RefusedRecord]) {
        let Some(first) = refused.first() else { return };
        metrics::records_refused(self.stage, refused.len() as u64);
        tracing::warn!(
            store = self.stage,
            records = refused.len(),
            reason = first.reason,
            "the store refuses records: they go to quarantine"
        );
    }

    /// What quarantine is to hold of a record of the buffer.
    pub(super) fn row(&self, refused: &RefusedRecord) -> Option<Quarantined> {
        let at = refused.record_id.position;
        let found = self.batches.binary_search_by_key(&at.seq, Batch::seq).ok();
        let Some(batch) = found.filter(|i| (at.index as usize) < self.batches[*i].len()) else {
            tracing::error!(store = self.stage, record = %refused.record_id, "the store refuses a record that it was not given");
            return None;
        };
        let record = self.batches[batch].get(at.index as usize);
        let message = record.message.unwrap_or_default();
        Some(Quarantined {
            journal_seq: at.seq,
            index: at.index,
            received_at: record.received_at,
            key_id: self.senders[batch].to_string(),
            stage: self.stage.to_owned(),
            field: String::new(),
            reason: refused.reason.clone(),
            excerpt: message[..message.floor_char_boundary(EXCERPT_BYTES_MAX)].to_owned(),
        })
    }
}

impl std::fmt::Debug for LogRecords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} batches buffered", self.batches.len())
    }
}
