//! The log index on Elasticsearch: a document for each log record, in daily indices by retention class.
//!
//! The words of messages and the terms of keys are those of the embedded index (`words.rs`), so that one filter finds the same on both.
//! Each document holds its record packed, and what comes out equals what went in. `docs/ELASTICSEARCH.md` describes mapping, indices,
//! privileges and faults.
//!
//! Writes are idempotent by record id. What is added is on the cluster's disks at once (translog) and searchable after the commit,
//! which refreshes the indices and then moves the cursor: a document of its own, written by compare-and-set, so that a process that has
//! lost the site cannot move it.

mod bulk;
mod client;
mod counts;
mod document;
mod indices;
mod open;
mod pace;
mod query;
mod search;
mod setup;
mod state;
mod writer;

pub use indices::RetentionClass;
pub use open::ElasticsearchOptions;

use crate::ports::log_index::{
    CountedBy, LogCounts, LogFilter, LogIndex, Order, PageKey, SEARCH_LIMIT_MAX, StoredRecord,
};
use crate::ports::records::RefusedRecord;
use crate::ports::{Cursor, Result, StoreError};
use andon_engine::batch::Batch;
use andon_engine::ids::RecordId;
use andon_engine::time::{Clock, Span, Timestamp};
use bytes::Bytes;
use client::Client;
use indices::Names;
use std::sync::Arc;
use tokio::sync::Mutex;
use writer::Writer;

const STORE: &str = "Elasticsearch";

fn unavailable(reason: String) -> StoreError {
    StoreError::Unavailable { store: STORE, reason }
}

fn refused(reason: String) -> StoreError {
    StoreError::Refused { store: STORE, reason }
}

fn damaged(reason: String) -> StoreError {
    StoreError::Damaged { store: STORE, reason }
}

fn lost(reason: String) -> StoreError {
    StoreError::Lost { store: STORE, reason }
}

fn fenced(reason: String) -> StoreError {
    StoreError::Fenced { store: STORE, reason }
}

/// The bodies of the bulk requests by which `add` stores these batches under this prefix: for measuring it beside a bare client.
///
/// # Panics
/// When the prefix is none.
pub fn bulk_bodies(prefix: &str, batches: &[Batch<Bytes>], bytes: usize) -> Vec<Bytes> {
    let names = Names::new(prefix).expect("a prefix of lower-case letters, digits, - and _");
    let mut encoder = bulk::Encoder::new(names, batches.to_vec());
    std::iter::from_fn(|| encoder.next(bytes))
        .map(|bulk| bulk.body)
        .collect()
}

/// The log index on Elasticsearch.
#[derive(Clone)]
pub struct ElasticsearchIndex {
    shared: Arc<Shared>,
}

struct Shared {
    client: Client,
    names: Names,
    clock: Arc<dyn Clock>,
    /// `None`: opened for reading.
    writer: Option<Mutex<Writer>>,
}

impl std::fmt::Debug for ElasticsearchIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "ElasticsearchIndex({} at {})",
            self.shared.names.prefix(),
            self.shared.client.address()
        )
    }
}

impl ElasticsearchIndex {
    /// Connects, checks that it is a version that works, and (unless for reading) puts the index template if it differs.
    ///
    /// # Errors
    /// Each is one sentence without credentials. `Refused` when the address is no URL, something else than Elasticsearch answers, its
    /// version is too old, or the credentials are wrong or may not do what is needed. `Unavailable` when it cannot be reached.
    /// `Damaged` when the template there is a newer version's.
    pub async fn open(url: &str, options: ElasticsearchOptions) -> Result<Self> {
        open::open(url, options).await
    }

    /// Sets the cursor whatever it was: what `--adopt-stores` does after a person has said so. What is indexed stays.
    pub async fn adopt(&self, cursor: Cursor) -> Result<()> {
        let s = &self.shared;
        let now = s.clock.now();
        self.writer()?
            .lock()
            .await
            .adopt(&s.client, &s.names, cursor, now)
            .await
    }

    /// Takes the index over for the owner with this number, which rises with each owner of the site: whoever had it before is fenced
    /// off from now on.
    ///
    /// # Errors
    /// `Fenced` when an owner with a higher number has it.
    pub async fn set_epoch(&self, epoch: u64) -> Result<()> {
        let s = &self.shared;
        let now = s.clock.now();
        self.writer()?
            .lock()
            .await
            .set_epoch(&s.client, &s.names, epoch, now)
            .await
    }

    /// Deletes the indices of this class whose records were all received before the UTC day of `before`; says how many.
    pub async fn drop_indices(&self, class: RetentionClass, before: Timestamp) -> Result<u64> {
        let s = &self.shared;
        self.writer()?
            .lock()
            .await
            .drop_indices(&s.client, &s.names, class, before)
            .await
    }

    fn writer(&self) -> Result<&Mutex<Writer>> {
        let reading = || refused("it was opened for reading".to_owned());
        self.shared.writer.as_ref().ok_or_else(reading)
    }
}

#[async_trait::async_trait]
impl LogIndex for ElasticsearchIndex {
    async fn log_cursor(&self) -> Result<Option<Cursor>> {
        let s = &self.shared;
        match &s.writer {
            Some(writer) => writer.lock().await.cursor(&s.client, &s.names).await,
            None => Ok(state::read(&s.client, &s.names).await?.and_then(|stored| stored.cursor)),
        }
    }

    async fn add(&self, batches: &[Batch<Bytes>]) -> Result<Vec<RefusedRecord>> {
        let s = &self.shared;
        self.writer()?.lock().await.add(&s.client, &s.names, batches).await
    }

    async fn commit(&self, cursor: Cursor) -> Result<()> {
        let s = &self.shared;
        let now = s.clock.now();
        self.writer()?
            .lock()
            .await
            .commit(&s.client, &s.names, cursor, now)
            .await
    }

    async fn search(
        &self,
        filter: &LogFilter,
        order: Order,
        after: Option<PageKey>,
        limit: u32,
    ) -> Result<Vec<StoredRecord>> {
        let limit = limit.min(SEARCH_LIMIT_MAX) as usize;
        search::search(&self.shared.client, &self.shared.names, filter, order, after, limit).await
    }

    async fn record(&self, id: RecordId) -> Result<Option<StoredRecord>> {
        search::record(&self.shared.client, &self.shared.names, id).await
    }

    async fn count(&self, filter: &LogFilter) -> Result<u64> {
        counts::count(&self.shared.client, &self.shared.names, &query::query(filter)?).await
    }
}

#[async_trait::async_trait]
impl LogCounts for ElasticsearchIndex {
    async fn histogram(&self, filter: &LogFilter, interval: Span) -> Result<Vec<(Timestamp, u64)>> {
        counts::histogram(&self.shared.client, &self.shared.names, filter, interval.as_micros()).await
    }

    async fn top(&self, filter: &LogFilter, by: CountedBy, limit: u32) -> Result<Vec<(String, u64)>> {
        counts::top(&self.shared.client, &self.shared.names, filter, by, limit as usize).await
    }
}
