//! Fast state in this process: what one `andon up` needs.
//!
//! Memory is bounded twice: a number for each series and application, and a number of bytes for all of them. When there is more, the
//! applications that have been silent longest go first, and readings are kept for half the time, then a quarter, until they fit.

use crate::ports::fast_state::{
    FastState, READINGS_AHEAD, READINGS_KEPT, RECENT_MAX, RECENT_RECORD_BYTES_MAX, TracePoint, trace_of,
};
use crate::ports::log_index::StoredRecord;
use crate::ports::{Cursor, Result, StoreError};
use andon_engine::batch::{Batch, BatchBuilder};
use andon_engine::ids::RecordId;
use andon_engine::record::Record;
use andon_engine::time::{Clock, Span, Timestamp};
use bytes::Bytes;
use std::collections::{HashMap, VecDeque};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const STORE: &str = "the fast state";
/// Points kept of one series: over four a second for 15 minutes.
const SERIES_POINTS_MAX: usize = 4_096;
/// What a point takes, and a series or application beside its points or records.
const POINT_BYTES: usize = size_of::<TracePoint>();
const ENTRY_OVERHEAD: usize = 256;

/// How much is kept.
#[derive(Debug, Clone)]
pub struct FastStateOptions {
    /// Raw readings, by event time. Default [`READINGS_KEPT`].
    pub readings_kept: Span,
    /// Default 64 MiB: a thousand applications of a hundred records.
    pub recent_bytes: usize,
    /// Default 128 MiB: 8 million points, ten minutes of 14,000 a second.
    pub readings_bytes: usize,
}

impl Default for FastStateOptions {
    fn default() -> Self {
        Self {
            readings_kept: READINGS_KEPT,
            recent_bytes: 64 << 20,
            readings_bytes: 128 << 20,
        }
    }
}

/// The embedded adapter.
pub struct LocalFastState {
    options: FastStateOptions,
    clock: Arc<dyn Clock>,
    inner: Mutex<Inner>,
}

impl std::fmt::Debug for LocalFastState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalFastState").field("options", &self.options).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Inner {
    cursor: Option<Cursor>,
    applications: HashMap<String, Recent>,
    recent_bytes: usize,
    /// By device, then reading.
    devices: HashMap<String, HashMap<String, Series>>,
    readings_bytes: usize,
}

#[derive(Default)]
struct Recent {
    records: VecDeque<(RecordId, Bytes)>,
    /// The entry that the newest is of.
    seq: u64,
}

#[derive(Default)]
struct Series {
    /// In the order of arrival.
    points: VecDeque<TracePoint>,
}

/// A log record as it is kept among the recent ones, unless it is too large or not of an application.
pub(crate) fn packed<'a>(record: &Record<'a>) -> Option<(&'a str, Vec<u8>)> {
    let application = record.application?;
    if !record.is_log() {
        return None;
    }
    let mut builder = BatchBuilder::new();
    if !builder.push(record) || builder.bytes() > RECENT_RECORD_BYTES_MAX {
        return None;
    }
    Some((application, builder.finish()))
}

impl LocalFastState {
    pub fn new(clock: Arc<dyn Clock>, options: FastStateOptions) -> Self {
        Self {
            options,
            clock,
            inner: Mutex::new(Inner::default()),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // A record more or less after a panic: it is a copy.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes held, as they are counted for the bounds.
    pub fn bytes(&self) -> usize {
        let inner = self.inner();
        inner.recent_bytes + inner.readings_bytes
    }
}

impl Inner {
    fn take(&mut self, record: &Record<'_>, live: &RangeInclusive<Timestamp>) {
        if let Some((application, bytes)) = packed(record) {
            if !self.applications.contains_key(application) {
                self.applications.insert(application.to_owned(), Recent::default());
                self.recent_bytes += ENTRY_OVERHEAD + application.len();
            }
            let recent = self.applications.get_mut(application).expect("it was just made");
            self.recent_bytes += bytes.len();
            recent.seq = record.record_id.position.seq;
            recent.records.push_front((record.record_id, Bytes::from(bytes)));
            if recent.records.len() > RECENT_MAX as usize
                && let Some((_, gone)) = recent.records.pop_back()
            {
                self.recent_bytes -= gone.len();
            }
        }
        if let Some(device) = record.device_id
            && live.contains(&record.timestamp)
        {
            for (name, value) in &record.readings {
                if !self.devices.contains_key(device) {
                    self.devices.insert(device.to_owned(), HashMap::new());
                    self.readings_bytes += ENTRY_OVERHEAD + device.len();
                }
                let readings = self.devices.get_mut(device).expect("it was just made");
                if !readings.contains_key(*name) {
                    readings.insert((*name).to_owned(), Series::default());
                    self.readings_bytes += ENTRY_OVERHEAD + name.len();
                }
                let series = readings.get_mut(*name).expect("it was just made");
                let at = record.timestamp;
                series.points.push_back(TracePoint { at, value: *value });
                self.readings_bytes += POINT_BYTES;
                if series.points.len() > SERIES_POINTS_MAX {
                    series.points.pop_front();
                    self.readings_bytes -= POINT_BYTES;
                }
            }
        }
    }

    fn drop_before(&mut self, floor: Timestamp) {
        let mut freed = 0;
        self.devices.retain(|device, readings| {
            readings.retain(|name, series| {
                let before = series.points.len();
                series.points.retain(|p| p.at >= floor);
                series.points.shrink_to(series.points.len() * 2);
                freed += (before - series.points.len()) * POINT_BYTES;
                if series.points.is_empty() {
                    freed += ENTRY_OVERHEAD + name.len();
                }
                !series.points.is_empty()
            });
            if readings.is_empty() {
                freed += ENTRY_OVERHEAD + device.len();
            }
            !readings.is_empty()
        });
        self.readings_bytes -= freed;
    }

    fn bound(&mut self, options: &FastStateOptions, now: Timestamp) {
        let mut kept = options.readings_kept;
        while self.readings_bytes > options.readings_bytes && !self.devices.is_empty() {
            self.drop_before(now.minus(kept));
            if kept == Span::ZERO {
                // What is dated in the future: a clock that is wrong is no reason to keep it.
                self.drop_before(Timestamp::MAX);
            }
            kept = Span::micros(kept.as_micros() / 2);
        }
        if self.recent_bytes > options.recent_bytes {
            let mut by_age: Vec<(u64, String)> = self.applications.iter().map(|(a, r)| (r.seq, a.clone())).collect();
            by_age.sort_unstable();
            // Somewhat below the bound, so that this is not done for every batch.
            let target = options.recent_bytes - options.recent_bytes / 8;
            for (_, application) in by_age {
                if self.recent_bytes <= target {
                    break;
                }
                if let Some(recent) = self.applications.remove(&application) {
                    let records: usize = recent.records.iter().map(|(_, b)| b.len()).sum();
                    self.recent_bytes -= records + ENTRY_OVERHEAD + application.len();
                }
            }
        }
    }
}

#[async_trait::async_trait]
impl FastState for LocalFastState {
    async fn fast_cursor(&self) -> Result<Option<Cursor>> {
        Ok(self.inner().cursor)
    }

    async fn push(&self, batches: &[Batch<Bytes>]) -> Result<()> {
        let now = self.clock.now();
        let live = now.minus(self.options.readings_kept)..=now.plus(READINGS_AHEAD);
        let mut inner = self.inner();
        for batch in batches {
            let cursor = Cursor {
                journal: batch.journal(),
                seq: batch.seq(),
            };
            if inner.cursor.is_some_and(|c| c.journal == cursor.journal && c.seq >= cursor.seq) {
                continue;
            }
            for record in batch.iter() {
                inner.take(&record, &live);
            }
            inner.cursor = Some(cursor);
            inner.bound(&self.options, now);
        }
        Ok(())
    }

    async fn recent(&self, application: &str, limit: u32) -> Result<Vec<StoredRecord>> {
        let inner = self.inner();
        let Some(recent) = inner.applications.get(application) else {
            return Ok(Vec::new());
        };
        let stored = recent.records.iter().take(limit.min(RECENT_MAX) as usize);
        stored
            .map(|(id, bytes)| {
                StoredRecord::new(bytes.clone(), *id).map_err(|e| StoreError::Damaged {
                    store: STORE,
                    reason: e.to_string(),
                })
            })
            .collect()
    }

    async fn trace(
        &self,
        device: &str,
        reading: &str,
        from: Timestamp,
        to: Timestamp,
        max_points: u32,
    ) -> Result<Vec<TracePoint>> {
        let from = from.max(self.clock.now().minus(self.options.readings_kept));
        let points: Vec<TracePoint> = {
            let inner = self.inner();
            let series = inner.devices.get(device).and_then(|readings| readings.get(reading));
            series
                .map(|s| s.points.iter().filter(|p| p.at >= from && p.at < to).copied().collect())
                .unwrap_or_default()
        };
        Ok(trace_of(points, max_points))
    }
}
