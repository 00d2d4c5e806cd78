//! The log index: full text, filters and aggregates over log records.

use super::records::RefusedRecord;
use super::{Cursor, Result};
use andon_engine::batch::Batch;
use andon_engine::ids::{JournalId, RecordId};
use andon_engine::level::Level;
use andon_engine::record::Record;
use andon_engine::time::{Span, Timestamp};
use bytes::Bytes;

/// Which log records. Every condition given must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogFilter {
    pub application: Option<String>,
    pub device_id: Option<String>,
    /// Any of these devices: those of an area, which records do not name. None at all matches nothing.
    pub device_ids: Option<Vec<String>>,
    pub user_id: Option<String>,
    pub source: Option<String>,
    pub item_id: Option<String>,
    pub order_id: Option<String>,
    pub location: Option<String>,
    pub step: Option<String>,
    pub trace_id: Option<String>,
    /// Whole dotted parts.
    pub type_prefix: Option<String>,
    pub level: Option<Level>,
    pub min_level: Option<Level>,
    pub fingerprint: Option<u64>,
    /// Words that the message must all contain; a part in double quotes must stand as it is.
    pub text: Option<String>,
    /// Event time, `from` included, `to` excluded.
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    NewestFirst,
    OldestFirst,
}

/// A place in the order of a search: event time, then identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageKey {
    pub timestamp: Timestamp,
    pub record_id: RecordId,
}

#[derive(Clone, Debug)]
pub struct StoredRecord {
    packed: Batch<Bytes>,
    record_id: RecordId,
}

impl StoredRecord {
    /// `packed` is a batch of this one record.
    pub fn new(packed: Bytes, record_id: RecordId) -> std::result::Result<Self, andon_engine::batch::InvalidBatch> {
        let packed = Batch::parse(packed, JournalId::default(), 0)?;
        if packed.len() != 1 {
            return Err(andon_engine::batch::InvalidBatch::Layout);
        }
        Ok(Self { packed, record_id })
    }
    pub fn record(&self) -> Record<'_> {
        Record {
            record_id: self.record_id,
            ..self.packed.get(0)
        }
    }
}

/// The longest page of a search. An export reads page after page.
pub const SEARCH_LIMIT_MAX: u32 = 10_000;

#[async_trait::async_trait]
pub trait LogIndex: Send + Sync + 'static {
    /// Whoever has read it gives again what follows it, and hears again what is refused of that.
    async fn log_cursor(&self) -> Result<Option<Cursor>>;
    /// Adds the log records (those with a message) of the batches, which come in journal order, one for each entry. Not searchable and
    /// not durable before [`LogIndex::commit`]. A batch that was added before is skipped. After an `Unavailable` what was not
    /// committed is gone: go on from [`LogIndex::log_cursor`]. Returns the records that the index will never take, each once: they are
    /// to be in quarantine before the commit.
    async fn add(&self, batches: &[Batch<Bytes>]) -> Result<Vec<RefusedRecord>>;
    /// Makes all that was added durable and searchable, together with the cursor. Records that were indexed before are not doubled.
    /// `cursor` is the last entry that was looked at, with log records or without.
    async fn commit(&self, cursor: Cursor) -> Result<()>;
    /// At most `limit` and [`SEARCH_LIMIT_MAX`] records, those after the key `after` if there is one.
    async fn search(
        &self,
        filter: &LogFilter,
        order: Order,
        after: Option<PageKey>,
        limit: u32,
    ) -> Result<Vec<StoredRecord>>;
    async fn record(&self, id: RecordId) -> Result<Option<StoredRecord>>;
    async fn count(&self, filter: &LogFilter) -> Result<u64>;
}

/// What log records are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CountedBy {
    Application,
    Device,
    Type,
    Level,
}

/// The most bars of a histogram. A chart has some hundred.
pub const HISTOGRAM_BARS_MAX: usize = 10_000;

/// Counts over what a search would find.
#[async_trait::async_trait]
pub trait LogCounts: Send + Sync + 'static {
    /// Records in each `interval`, which begins at a multiple of it since 1970; empty ones are left out. Oldest first.
    ///
    /// # Errors
    /// `Refused` when `interval` is not positive, or there would be more than [`HISTOGRAM_BARS_MAX`] bars.
    async fn histogram(&self, filter: &LogFilter, interval: Span) -> Result<Vec<(Timestamp, u64)>>;
    /// The `limit` values that most records have, with their number; of equal numbers the lesser value first. Records without one are
    /// not counted.
    async fn top(&self, filter: &LogFilter, by: CountedBy, limit: u32) -> Result<Vec<(String, u64)>>;
}
