//! The row writer: minute roll-ups of readings, and what was rejected, into the relational store.

use super::Sink;
use super::quarantine::Quota;
use crate::entries::RECORDS;
use crate::metrics;
use andon_engine::batch::Batch;
use andon_engine::intake;
use andon_engine::record::Record;
use andon_engine::time::Timestamp;
use andon_storage::journal::Entry;
use andon_storage::ports::rows::{Quarantined, Rollup, RowStore};
use andon_storage::ports::{Cursor, Result};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Roll-ups and rejections of one transaction.
const BATCH: usize = 20_000;
const LINGER: Duration = Duration::from_secs(1);
const MINUTE_US: i64 = 60_000_000;

pub struct RowWriter {
    store: Quota,
    rollups: HashMap<(String, String, i64), Rollup>,
    quarantined: Vec<Quarantined>,
}

impl std::fmt::Debug for RowWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RowWriter({} roll-ups buffered)", self.rollups.len())
    }
}

impl RowWriter {
    pub fn new(store: Arc<dyn RowStore>) -> Self {
        Self {
            store: Quota::new(store),
            rollups: HashMap::new(),
            quarantined: Vec::new(),
        }
    }

    fn roll_up(&mut self, record: &Record<'_>) {
        let Some(device) = record.device_id.or(record.application) else {
            return;
        };
        let minute = record.timestamp.as_micros().div_euclid(MINUTE_US) * MINUTE_US;
        for (reading, value) in &record.readings {
            let key = (device.to_owned(), (*reading).to_owned(), minute);
            let row = self.rollups.entry(key).or_insert_with(|| Rollup {
                device: device.to_owned(),
                reading: (*reading).to_owned(),
                minute: Timestamp(minute),
                min: *value,
                max: *value,
                sum: 0.0,
                count: 0,
                last: *value,
                last_at: record.timestamp,
            });
            row.min = row.min.min(*value);
            row.max = row.max.max(*value);
            row.sum += value;
            row.count += 1;
            if record.timestamp >= row.last_at {
                row.last = *value;
                row.last_at = record.timestamp;
            }
        }
    }
}

#[async_trait::async_trait]
impl Sink for RowWriter {
    fn name(&self) -> &'static str {
        "rows"
    }
    fn batch_max(&self) -> usize {
        BATCH
    }
    fn linger(&self) -> Duration {
        LINGER
    }
    async fn cursor(&self) -> Result<Option<Cursor>> {
        self.store.store().row_cursor().await
    }

    fn take(&mut self, entry: &Entry) -> usize {
        if entry.kind != RECORDS {
            return 0;
        }
        let before = self.rollups.len() + self.quarantined.len();
        // What cannot be read here was counted and reported by the router, which reads every entry.
        if let Ok(batch) = Batch::parse(&entry.body, Default::default(), entry.seq) {
            for record in batch.iter().filter(|r| !r.readings.is_empty()) {
                self.roll_up(&record);
            }
        }
        if let Ok((header, _)) = intake::decode_header(&entry.header) {
            for r in header.rejected {
                self.quarantined.push(Quarantined {
                    journal_seq: entry.seq,
                    index: r.index,
                    received_at: entry.received_at,
                    key_id: header.key_id.to_string(),
                    stage: "gateway".into(),
                    field: r.field,
                    reason: r.reason,
                    excerpt: r.excerpt,
                });
            }
        }
        self.rollups.len() + self.quarantined.len() - before
    }

    async fn flush(&mut self, cursor: Cursor) -> Result<()> {
        // A sum of a minute may overflow though every reading is finite: such a row says nothing, and no store takes it.
        self.rollups.retain(|_, r| r.sum.is_finite());
        let rollups: Vec<Rollup> = self.rollups.values().cloned().collect();
        match self.store.store().write_rows(&rollups, &self.quarantined, cursor).await {
            Ok(()) => {}
            Err(e) if e.is_temporary() => return Err(e),
            Err(e) => {
                // Our rows are all of one shape and cleaned: a refusal is a fault of ours. Raw readings stay in the journal's archive.
                ::metrics::counter!(metrics::EFFECTS_REFUSED).increment(1);
                tracing::error!(error = %e, rollups = rollups.len(), "the store refuses rows: they are skipped");
                self.store.store().write_rows(&[], &[], cursor).await?;
            }
        }
        self.store.wrote(self.quarantined.len()).await?;
        self.rollups.clear();
        self.quarantined.clear();
        Ok(())
    }
    fn clear(&mut self) {
        self.rollups.clear();
        self.quarantined.clear();
    }
}
