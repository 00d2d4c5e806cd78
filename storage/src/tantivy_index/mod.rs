//! The log index of a small site: full text and filters by tantivy, in a folder of its own.
//!
//! Every log record is one document that also holds the record itself, packed and compressed. A commit carries the journal cursor as
//! its payload, so that index and cursor are never apart. A damaged or outdated folder may be deleted: it is rebuilt from the journal.

mod counts;
mod query;
mod schema;
mod search;
mod tokenizer;
mod writer;

use crate::ports::log_index::{
    CountedBy, LogCounts, LogFilter, LogIndex, Order, PageKey, SEARCH_LIMIT_MAX, StoredRecord,
};
use crate::ports::records::RefusedRecord;
use crate::ports::{Cursor, Result, StoreError};
use andon_engine::batch::Batch;
use andon_engine::ids::RecordId;
use andon_engine::time::{Span, Timestamp};
use bytes::Bytes;
use schema::Fields;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use tantivy::directory::MmapDirectory;
use tantivy::directory::error::{LockError, OpenReadError};
use tantivy::query::{EnableScoring, TermQuery};
use tantivy::schema::IndexRecordOption;
use tantivy::{Index, IndexReader, ReloadPolicy, Searcher, TantivyError, Term};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use writer::Writer;

const STORE: &str = "log index";
/// Searches that run at once; the others wait. Each keeps a core busy.
const SEARCHES_MAX: usize = 4;

#[derive(Debug, Clone)]
pub struct IndexOptions {
    /// Memory for records that are not yet a segment; at least [`IndexOptions::WRITER_BYTES_MIN`] a thread.
    pub writer_bytes: usize,
    /// Threads that index. One takes about 100,000 records a second.
    pub threads: usize,
    /// Reads the whole index at the start and compares checksums: about a second a gigabyte.
    pub verify: bool,
}

impl IndexOptions {
    pub const WRITER_BYTES_MIN: usize = 15_000_000;
}

impl Default for IndexOptions {
    fn default() -> Self {
        Self {
            writer_bytes: 64_000_000,
            threads: 1,
            verify: false,
        }
    }
}

/// The embedded log index.
#[derive(Clone)]
pub struct TantivyIndex {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for TantivyIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TantivyIndex({} records)", self.shared.reader.searcher().num_docs())
    }
}

struct Shared {
    fields: Fields,
    reader: IndexReader,
    writer: Mutex<Writer>,
    searches: Arc<Semaphore>,
}

impl TantivyIndex {
    /// Opens the index in this folder, or makes it.
    ///
    /// # Errors
    /// `Damaged` when the folder holds what cannot be read or another version's index: delete it, and it is rebuilt from the journal.
    /// `Unavailable` when another process writes to it, or the disk does not answer.
    pub async fn open(dir: &Path, options: IndexOptions) -> Result<Self> {
        let dir = dir.to_owned();
        let shared = blocking(move || open(&dir, options)).await?;
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Sets the cursor whatever it was: what `--adopt-stores` does after a person has said so. What is indexed stays.
    pub async fn adopt(&self, cursor: Cursor) -> Result<()> {
        self.write(move |w, reader| w.adopt(cursor, reader)).await
    }

    /// Records that are searchable.
    pub fn records(&self) -> u64 {
        self.shared.reader.searcher().num_docs()
    }

    /// Lets merges under way finish and releases the folder. What was not committed is dropped.
    pub async fn close(&self) -> Result<()> {
        self.write(|w, _| w.close()).await
    }

    async fn write<T: Send + 'static>(
        &self,
        f: impl FnOnce(&mut Writer, &IndexReader) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let shared = self.shared.clone();
        blocking(move || {
            let mut writer = shared.writer.lock().unwrap_or_else(|poisoned| {
                // A panic in the middle of an addition: what it left is not to be committed.
                shared.writer.clear_poison();
                let mut writer = PoisonError::into_inner(poisoned);
                writer.reset();
                writer
            });
            f(&mut writer, &shared.reader)
        })
        .await
    }

    async fn read<T: Send + 'static>(
        &self,
        f: impl FnOnce(&Searcher, &Fields) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let permit = self.shared.searches.clone().acquire_owned().await;
        let permit = permit.map_err(|e| StoreError::Unavailable {
            store: STORE,
            reason: e.to_string(),
        })?;
        let shared = self.shared.clone();
        blocking(move || {
            // Held by the thread: it goes on when its asker has gone away.
            let _permit = permit;
            f(&shared.reader.searcher(), &shared.fields)
        })
        .await
    }
}

/// Tantivy reads and writes files, and panics on some damage: neither may reach an async thread.
async fn blocking<T: Send + 'static>(f: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    spawn_blocking(f).await.unwrap_or_else(|e| {
        let store = STORE;
        Err(if e.is_panic() {
            let reason = format!(
                "it could not be read ({e}): delete the folder of the log index to rebuild it from the journal"
            );
            StoreError::Damaged { store, reason }
        } else {
            StoreError::Unavailable {
                store,
                reason: "the program is stopping".to_owned(),
            }
        })
    })
}

fn open(dir: &Path, options: IndexOptions) -> Result<Shared> {
    let at = |e: StoreError| match e {
        StoreError::Damaged { store, reason } => StoreError::Damaged {
            store,
            reason: format!(
                "{}: {reason}: delete the folder to rebuild it from the journal",
                dir.display()
            ),
        },
        StoreError::Unavailable { store, reason } => StoreError::Unavailable {
            store,
            reason: format!("{}: {reason}", dir.display()),
        },
        other => other,
    };
    try_open(dir, options).map_err(at)
}

fn try_open(dir: &Path, options: IndexOptions) -> Result<Shared> {
    let damaged = |reason: String| StoreError::Damaged { store: STORE, reason };
    let io = |e: std::io::Error| StoreError::Unavailable {
        store: STORE,
        reason: e.to_string(),
    };
    std::fs::create_dir_all(dir).map_err(io)?;
    let fields = Fields::new();
    let directory = MmapDirectory::open(dir).map_err(|e| error(e.into()))?;
    let mut index = if Index::exists(&directory).map_err(|e| error(e.into()))? {
        Index::open(directory).map_err(error)?
    } else {
        if holds_segments(dir).map_err(io)? {
            return Err(damaged("it holds segments and no list of them (meta.json)".to_owned()));
        }
        Index::create(directory, fields.schema.clone(), schema::settings()).map_err(error)?
    };
    if index.schema() != fields.schema {
        return Err(damaged("its fields are those of another version".to_owned()));
    }
    index.set_tokenizers(schema::tokenizers());
    if options.verify {
        let bad = index.validate_checksum().map_err(error)?;
        if let Some(first) = bad.iter().next() {
            return Err(damaged(format!(
                "{} of its files do not match their checksum, {} among them",
                bad.len(),
                first.display()
            )));
        }
    }
    let reader = index
        .reader_builder()
        .reload_policy(ReloadPolicy::Manual)
        .try_into()
        .map_err(error)?;
    let writer = Mutex::new(Writer::open(index, fields.clone(), options)?);
    Ok(Shared {
        fields,
        reader,
        writer,
        searches: Arc::new(Semaphore::new(SEARCHES_MAX)),
    })
}

fn holds_segments(dir: &Path) -> std::io::Result<bool> {
    for entry in std::fs::read_dir(dir)? {
        if Path::new(&entry?.file_name())
            .extension()
            .is_some_and(|e| e == "store" || e == "idx" || e == "term")
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What a failure means for the caller. The one place that knows tantivy's errors; it does not log.
fn error(e: TantivyError) -> StoreError {
    let store = STORE;
    let reason = e.to_string();
    match e {
        TantivyError::LockFailure(LockError::LockBusy, _) => StoreError::Unavailable {
            store,
            reason: "another process writes to it".to_owned(),
        },
        TantivyError::OpenReadError(OpenReadError::IoError { io_error, .. }) if !cut_short(&io_error) => {
            StoreError::Unavailable { store, reason }
        }
        TantivyError::DataCorruption(_)
        | TantivyError::OpenReadError(_)
        | TantivyError::IncompatibleIndex(_)
        | TantivyError::SchemaError(_)
        | TantivyError::FieldNotFound(_)
        | TantivyError::DeserializeError(_) => StoreError::Damaged { store, reason },
        TantivyError::InvalidArgument(_) => StoreError::Refused { store, reason },
        TantivyError::IoError(e) if cut_short(&e) => StoreError::Damaged { store, reason },
        _ => StoreError::Unavailable { store, reason },
    }
}

/// The disk answered, and what it gave is not what was written.
fn cut_short(e: &std::io::Error) -> bool {
    matches!(
        e.kind(),
        std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::InvalidData
    )
}

#[async_trait::async_trait]
impl LogIndex for TantivyIndex {
    async fn log_cursor(&self) -> Result<Option<Cursor>> {
        self.write(|w, _| Ok(w.committed())).await
    }

    async fn add(&self, batches: &[Batch<Bytes>]) -> Result<Vec<RefusedRecord>> {
        let batches = batches.to_vec();
        // What a record holds was made to fit by the schema: this index refuses none.
        self.write(move |w, _| w.add(&batches)).await.map(|()| Vec::new())
    }

    async fn commit(&self, cursor: Cursor) -> Result<()> {
        self.write(move |w, reader| w.commit(cursor, reader)).await
    }

    async fn search(
        &self,
        filter: &LogFilter,
        order: Order,
        after: Option<PageKey>,
        limit: u32,
    ) -> Result<Vec<StoredRecord>> {
        let mut filter = filter.clone();
        // A page needs nothing before its key.
        match (after, order) {
            (Some(after), Order::OldestFirst) => {
                filter.from = Some(filter.from.map_or(after.timestamp, |t| t.max(after.timestamp)));
            }
            (Some(after), Order::NewestFirst) if after.timestamp.as_micros() < i64::MAX => {
                let end = Timestamp(after.timestamp.as_micros() + 1);
                filter.to = Some(filter.to.map_or(end, |t| t.min(end)));
            }
            _ => {}
        }
        let limit = limit.min(SEARCH_LIMIT_MAX) as usize;
        self.read(move |searcher, fields| {
            let query = query::query(fields, &filter)?;
            search::search(searcher, fields, &*query, order, after, limit).map_err(error)
        })
        .await
    }

    async fn record(&self, id: RecordId) -> Result<Option<StoredRecord>> {
        self.read(move |searcher, fields| {
            let (_, low) = schema::halves(id);
            let query = TermQuery::new(Term::from_field_u64(fields.record_low, low), IndexRecordOption::Basic);
            search::record(searcher, fields, &query, id).map_err(error)
        })
        .await
    }

    async fn count(&self, filter: &LogFilter) -> Result<u64> {
        let filter = filter.clone();
        self.read(move |searcher, fields| {
            let query = query::query(fields, &filter)?;
            let weight = query
                .weight(EnableScoring::disabled_from_searcher(searcher))
                .map_err(error)?;
            let count = |reader| weight.count(reader).map(u64::from);
            searcher
                .segment_readers()
                .iter()
                .map(count)
                .sum::<tantivy::Result<u64>>()
                .map_err(error)
        })
        .await
    }
}

#[async_trait::async_trait]
impl LogCounts for TantivyIndex {
    async fn histogram(&self, filter: &LogFilter, interval: Span) -> Result<Vec<(Timestamp, u64)>> {
        let filter = filter.clone();
        self.read(move |searcher, fields| {
            let query = query::query(fields, &filter)?;
            counts::histogram(searcher, &*query, interval.as_micros())
        })
        .await
    }

    async fn top(&self, filter: &LogFilter, by: CountedBy, limit: u32) -> Result<Vec<(String, u64)>> {
        let filter = filter.clone();
        self.read(move |searcher, fields| {
            let query = query::query(fields, &filter)?;
            counts::top(searcher, &*query, by, limit as usize)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn a_search_that_nobody_waits_for_counts_until_it_ends() {
        let dir = tempfile::tempdir().unwrap();
        let index = TantivyIndex::open(dir.path(), IndexOptions::default()).await.unwrap();
        let mut going = Vec::new();
        for _ in 0..SEARCHES_MAX {
            let (end, ended) = mpsc::sync_channel::<()>(1);
            let (begin, begun) = oneshot::channel();
            let asked = index.clone();
            let search = tokio::spawn(async move {
                asked
                    .read(move |_, _| {
                        let _ = begin.send(());
                        let _ = ended.recv();
                        Ok(())
                    })
                    .await
            });
            begun.await.unwrap();
            // Its asker goes away: the thread does not.
            search.abort();
            assert!(search.await.unwrap_err().is_cancelled());
            going.push(end);
        }
        assert_eq!(index.shared.searches.available_permits(), 0);
        drop(going);
        assert_eq!(index.count(&LogFilter::default()).await.unwrap(), 0);
    }
}
