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
use std::collections::hash_map::Entry as Slot;
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
            let one = Rollup::of(device, reading, Timestamp(minute), *value, record.timestamp);
            match self.rollups.entry(key) {
                Slot::Vacant(e) => {
                    e.insert(one);
                }
                Slot::Occupied(mut e) => e.get_mut().merge(&one),
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
        let rollups: Vec<Rollup> = self.rollups.values().cloned().collect();
        let refused = self
            .store
            .store()
            .write_rows(&rollups, &self.quarantined, cursor)
            .await?;
        if let Some(first) = refused.first() {
            metrics::records_refused("rows", refused.len() as u64);
            tracing::error!(
                rows = refused.len(),
                first = first.what,
                reason = first.reason,
                "rows refused by the store and set aside"
            );
        }
        self.store.wrote(self.quarantined.len() + refused.len()).await;
        self.rollups.clear();
        self.quarantined.clear();
        Ok(())
    }
    fn clear(&mut self) {
        self.rollups.clear();
        self.quarantined.clear();
    }
}
