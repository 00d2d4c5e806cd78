//! Fast state: what a live view asks for again and again. Recent log records of each application, and raw readings of the last minutes.
//!
//! All of it is in the journal too, so it is bounded and may be forgotten: whoever feeds it reads [`FastState::fast_cursor`] at start,
//! and begins again as far back as readings are kept when there is none.

use super::log_index::StoredRecord;
use super::{Cursor, Result};
use andon_engine::batch::Batch;
use andon_engine::time::{Span, Timestamp};
use bytes::Bytes;
use std::collections::BTreeMap;

/// Log records kept of each application.
pub const RECENT_MAX: u32 = 100;
/// A log record that takes more, packed, is not among the recent ones; the log index has it.
pub const RECENT_RECORD_BYTES_MAX: usize = 64 << 10;
/// How long raw readings are kept unless the configuration says otherwise, by event time.
pub const READINGS_KEPT: Span = Span::mins(15);
/// The stamp of a record may lie so far ahead; admission replaces others.
pub const READINGS_AHEAD: Span = Span::mins(5);
/// The most points of a trace. A chart has some hundred.
pub const TRACE_POINTS_MAX: u32 = 100_000;

/// One raw reading.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TracePoint {
    /// Event time.
    pub at: Timestamp,
    pub value: f64,
}

#[async_trait::async_trait]
pub trait FastState: Send + Sync + 'static {
    /// The last entry that was taken; `None`: nothing is there, or it was lost.
    async fn fast_cursor(&self) -> Result<Option<Cursor>>;
    /// Takes entries in journal order. One that was taken before is skipped.
    ///
    /// # Errors
    /// `Unavailable`: some of it may have been taken; go on from [`FastState::fast_cursor`], or with the same again. `Lost`: nothing of
    /// it was taken, because what was there is gone; go on from [`FastState::fast_cursor`].
    async fn push(&self, batches: &[Batch<Bytes>]) -> Result<()>;
    /// The last log records of an application, newest in the journal first; at most `limit` and [`RECENT_MAX`].
    async fn recent(&self, application: &str, limit: u32) -> Result<Vec<StoredRecord>>;
    /// Raw readings, `from` included, `to` excluded, oldest first; of those at the same time the last. Where there are more than
    /// `max_points` (at most [`TRACE_POINTS_MAX`]), the least and greatest of each stretch stand for it.
    async fn trace(
        &self,
        device: &str,
        reading: &str,
        from: Timestamp,
        to: Timestamp,
        max_points: u32,
    ) -> Result<Vec<TracePoint>>;
}

/// Points in order, one for each time, thinned to `max_points` without losing a peak.
pub(crate) fn trace_of(points: impl IntoIterator<Item = TracePoint>, max_points: u32) -> Vec<TracePoint> {
    let by_time: BTreeMap<Timestamp, f64> = points.into_iter().map(|p| (p.at, p.value)).collect();
    let points: Vec<TracePoint> = by_time.into_iter().map(|(at, value)| TracePoint { at, value }).collect();
    let max = max_points.min(TRACE_POINTS_MAX) as usize;
    if points.len() <= max {
        return points;
    }
    // Two of each stretch; fewer than two stretches cannot show a shape.
    let stretches = max / 2;
    if stretches == 0 {
        return points.into_iter().rev().take(max).collect();
    }
    let (first, last) = (points[0].at.as_micros(), points[points.len() - 1].at.as_micros());
    let width = i128::from(last) - i128::from(first) + 1;
    let stretch_of = |p: &TracePoint| ((i128::from(p.at.as_micros()) - i128::from(first)) * stretches as i128 / width) as usize;
    points
        .chunk_by(|a, b| stretch_of(a) == stretch_of(b))
        .flat_map(|stretch| {
            let by_value = |a: &&TracePoint, b: &&TracePoint| a.value.total_cmp(&b.value);
            let least = stretch.iter().min_by(by_value).copied();
            let greatest = stretch.iter().max_by(by_value).copied();
            let mut both: Vec<TracePoint> = least.into_iter().chain(greatest).collect();
            both.sort_by_key(|p| p.at);
            both.dedup_by_key(|p| p.at);
            both
        })
        .collect()
}
