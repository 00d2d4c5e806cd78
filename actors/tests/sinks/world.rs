//! A site in a temporary folder, and a log index whose troubles can be ordered.

use andon_actors::entries;
use andon_actors::sinks::log_index::LogIndexWriter;
use andon_actors::sinks::{Sink, SinkProgress, Writer};
use andon_engine::batch::{Batch, BatchBuilder};
use andon_engine::effect::Effect;
use andon_engine::ids::RecordId;
use andon_engine::intake::{IntakeHeader, encode_header};
use andon_engine::level::Level;
use andon_engine::record::Record;
use andon_engine::time::{Clock, ManualClock, Span, Timestamp};
use andon_storage::journal::{Append, AppendError, ArchiveOptions, FileIo, Journal, JournalOptions};
use andon_storage::ports::log_index::{LogFilter, LogIndex, Order, PageKey, StoredRecord};
use andon_storage::ports::records::RefusedRecord;
use andon_storage::ports::{Cursor, Result, StoreError};
use andon_storage::sqlite::SqliteStore;
use andon_storage::tantivy_index::{IndexOptions, TantivyIndex};
use bytes::Bytes;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub const START: Timestamp = Timestamp(1_800_000_000_000_000);
/// Far more than anything here takes: only what hangs runs into it.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct World {
    pub dir: TempDir,
    pub clock: Arc<ManualClock>,
    pub journal: Journal,
    pub relational: Arc<SqliteStore>,
    appended: AtomicU64,
}

pub fn options(dir: &std::path::Path, quota_segments: u64) -> JournalOptions {
    JournalOptions {
        segment_bytes: 64 << 10,
        quota_bytes: quota_segments * (64 << 10),
        compress_from_bytes: usize::MAX,
        tail_cache_bytes: 64 << 10,
        replay_floor: Span::ZERO,
        archive: Some(ArchiveOptions {
            dir: dir.join("archive"),
            bytes_max: u64::MAX,
            keep: Span::hours(24),
        }),
        ..JournalOptions::default()
    }
}

impl World {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut JournalOptions)) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let clock = Arc::new(ManualClock::new(START));
        let mut options = options(dir.path(), 400);
        change(&mut options);
        let opened = Journal::open(Arc::new(FileIo), &dir.path().join("journal"), options, clock.clone()).await;
        let relational = SqliteStore::open(&dir.path().join("andon.db"))
            .await
            .expect("a database opens");
        Self {
            dir,
            clock,
            journal: opened.expect("a journal opens").0,
            relational: Arc::new(relational),
            appended: AtomicU64::new(0),
        }
    }

    pub async fn index(&self, name: &str) -> TantivyIndex {
        let opened = TantivyIndex::open(&self.dir.path().join(name), IndexOptions::default()).await;
        opened.expect("an index opens")
    }

    pub async fn troubled(&self) -> Arc<Troubled> {
        Arc::new(Troubled::new(self.index("index").await))
    }

    /// One entry of one record for each; `message 17` is the 17th. A second apart.
    pub async fn append(&self, entries: u64) {
        for _ in 0..entries {
            let n = self.appended.fetch_add(1, Ordering::Relaxed) + 1;
            self.append_message(&format!("message {n} {}", "x".repeat(1_000))).await;
        }
    }

    pub async fn append_message(&self, message: &str) -> u64 {
        self.append_record(Record {
            message: Some(message),
            readings: vec![("load", 2.0)],
            ..Record::default()
        })
        .await
    }

    /// Of device CNV-01 unless it names another one.
    pub async fn append_record(&self, record: Record<'_>) -> u64 {
        self.clock.advance(Span::secs(1));
        let now = self.clock.now();
        let mut batch = BatchBuilder::new();
        batch.push(&Record {
            timestamp: now,
            received_at: now,
            level: Some(Level::Info),
            application: Some("wms"),
            device_id: record.device_id.or(Some("CNV-01")),
            ..record
        });
        let header = IntakeHeader {
            key_id: Arc::from("line-3"),
            received_at: now,
            ..IntakeHeader::default()
        };
        self.append_entry(Append {
            kind: entries::RECORDS,
            received_at: now,
            header: Bytes::from(encode_header(&header)),
            body: Bytes::from(batch.finish()),
        })
        .await
    }

    /// The journal of this world is one of effects then.
    pub async fn append_effects(&self, effects: &[Effect]) -> u64 {
        self.append_entry(Append {
            kind: entries::EFFECTS,
            received_at: self.clock.now(),
            header: Bytes::new(),
            body: entries::encode_effects(effects),
        })
        .await
    }

    async fn append_entry(&self, entry: Append) -> u64 {
        within("the journal takes it", async {
            loop {
                match self.journal.append(entry.clone()).await {
                    Ok(seq) => return seq,
                    // A sender is told 503 and tries again.
                    Err(AppendError::Full { .. }) => self.journal.recycle().await,
                    Err(e) => panic!("{e}"),
                }
            }
        })
        .await
    }

    /// Recycles what every holder has done; something by now.
    pub async fn recycle(&self) {
        self.journal.recycle().await;
        assert!(self.journal.first_seq() > 1, "something was recycled");
    }

    pub fn archived(&self) -> Vec<PathBuf> {
        let files = std::fs::read_dir(self.dir.path().join("archive")).expect("an archive");
        let mut files: Vec<_> = files.map(|f| f.expect("a file").path()).collect();
        files.sort();
        files
    }

    pub async fn run<S: Sink>(&self, sink: S) -> Running {
        let writer = Writer::open(sink, self.journal.clone()).await.expect("a writer opens");
        let progress = writer.progress();
        let stop = watch::Sender::new(false);
        let task = tokio::spawn(writer.run(stop.subscribe()));
        Running { progress, stop, task }
    }

    pub async fn run_index(&self, index: &Arc<Troubled>) -> Running {
        self.run(self.index_writer(index)).await
    }

    pub fn index_writer(&self, index: &Arc<Troubled>) -> LogIndexWriter {
        LogIndexWriter::new(index.clone(), self.relational.clone(), self.journal.id())
    }

    pub fn released(&self, name: &str) -> u64 {
        let holders = self.journal.usage().holders;
        holders.iter().find(|h| h.name == name).expect("a holder").released
    }
}

pub struct Running {
    pub progress: SinkProgress,
    pub stop: watch::Sender<bool>,
    pub task: JoinHandle<()>,
}

impl Running {
    pub async fn until_done(&mut self, seq: u64) {
        within(
            "the sink has come to the end",
            self.progress.done.wait_for(|d| *d == seq),
        )
        .await
        .expect("it runs");
    }
    pub async fn until_troubled(&mut self) -> Arc<str> {
        let trouble = within(
            "the sink is in trouble",
            self.progress.trouble.wait_for(Option::is_some),
        )
        .await;
        trouble.expect("it runs").clone().expect("just seen")
    }
    pub async fn stop(self) {
        self.stop.send_replace(true);
        within("the writer ends", self.task).await.expect("no panic");
    }
}

pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(t) => t,
        Err(_) => panic!("never: {what}"),
    }
}

pub fn unavailable() -> StoreError {
    StoreError::Unavailable {
        store: "log index",
        reason: "it is down for the test".into(),
    }
}

/// A real log index, and what happens to it on its way there.
pub struct Troubled {
    inner: Mutex<Arc<TantivyIndex>>,
    /// Every call fails.
    pub down: AtomicBool,
    /// Every write says that another process owns the site.
    pub fenced: AtomicBool,
    /// Records with this word in their message are refused.
    pub refused_word: Mutex<Option<&'static str>>,
    /// Entries up to here were added: they are skipped, and what was refused of them is said once.
    added: AtomicU64,
    /// Instead of the index's own.
    pub cursor: Mutex<Option<Cursor>>,
    /// Commits wait until it is open.
    pub gate: watch::Sender<bool>,
    /// It was emptied, and nobody has read its cursor since.
    lost: AtomicBool,
    pub calls: AtomicUsize,
    /// The most packed bytes that were given at once.
    pub bytes_max: AtomicUsize,
}

impl Troubled {
    pub fn new(inner: TantivyIndex) -> Self {
        Self {
            inner: Mutex::new(Arc::new(inner)),
            down: AtomicBool::new(false),
            fenced: AtomicBool::new(false),
            refused_word: Mutex::new(None),
            added: AtomicU64::new(0),
            cursor: Mutex::new(None),
            gate: watch::Sender::new(true),
            lost: AtomicBool::new(false),
            calls: AtomicUsize::new(0),
            bytes_max: AtomicUsize::new(0),
        }
    }
    pub fn inner(&self) -> Arc<TantivyIndex> {
        self.inner.lock().expect("not poisoned").clone()
    }
    /// The store restarts with nothing in it.
    pub fn becomes(&self, empty: TantivyIndex) {
        *self.inner.lock().expect("not poisoned") = Arc::new(empty);
        self.added.store(0, Ordering::SeqCst);
        self.lost.store(true, Ordering::SeqCst);
    }
    fn check(&self) -> Result<()> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let (store, reason) = ("log index", String::from("for the test"));
        if self.down.load(Ordering::SeqCst) {
            return Err(unavailable());
        }
        if self.fenced.load(Ordering::SeqCst) {
            return Err(StoreError::Fenced { store, reason });
        }
        if self.lost.load(Ordering::SeqCst) {
            return Err(StoreError::Lost { store, reason });
        }
        Ok(())
    }
    /// Messages by their number, and how often each is there.
    pub async fn numbers(&self) -> Vec<u64> {
        let mut numbers = Vec::new();
        let mut after = None;
        loop {
            let page = self
                .inner()
                .search(&LogFilter::default(), Order::OldestFirst, after, 500)
                .await;
            let page = page.expect("it can be searched");
            let Some(last) = page.last().map(StoredRecord::record) else {
                break;
            };
            after = Some(PageKey {
                timestamp: last.timestamp,
                record_id: last.record_id,
            });
            numbers.extend(page.iter().map(|r| {
                let record = r.record();
                let word = record.message.and_then(|m| m.split(' ').nth(1));
                word.and_then(|n| n.parse::<u64>().ok()).expect("a numbered message")
            }));
        }
        numbers
    }
}

#[async_trait::async_trait]
impl LogIndex for Troubled {
    async fn log_cursor(&self) -> Result<Option<Cursor>> {
        if self.down.load(Ordering::SeqCst) {
            return Err(unavailable());
        }
        self.lost.store(false, Ordering::SeqCst);
        if let Some(cursor) = *self.cursor.lock().expect("not poisoned") {
            return Ok(Some(cursor));
        }
        self.inner().log_cursor().await
    }
    async fn add(&self, batches: &[Batch<Bytes>]) -> Result<Vec<RefusedRecord>> {
        let bytes = batches.iter().map(|b| b.bytes().len()).sum();
        self.bytes_max.fetch_max(bytes, Ordering::SeqCst);
        self.check()?;
        let Some(word) = *self.refused_word.lock().expect("not poisoned") else {
            return self.inner().add(batches).await;
        };
        let (mut refused, mut taken) = (Vec::new(), Vec::new());
        for batch in batches {
            if batch.seq() <= self.added.load(Ordering::SeqCst) {
                continue;
            }
            let mut rest = BatchBuilder::new();
            for record in batch.iter() {
                if record.message.is_some_and(|m| m.contains(word)) {
                    refused.push(RefusedRecord {
                        record_id: record.record_id,
                        reason: format!("a message may not say {word}"),
                    });
                } else {
                    rest.push(&record);
                }
            }
            taken.push(Batch::parse(Bytes::from(rest.finish()), batch.journal(), batch.seq()).expect("just built"));
        }
        self.inner().add(&taken).await?;
        if let Some(last) = taken.last() {
            self.added.store(last.seq(), Ordering::SeqCst);
        }
        Ok(refused)
    }
    async fn commit(&self, cursor: Cursor) -> Result<()> {
        let _ = self.gate.subscribe().wait_for(|open| *open).await;
        self.check()?;
        self.inner().commit(cursor).await
    }
    async fn search(&self, f: &LogFilter, o: Order, a: Option<PageKey>, l: u32) -> Result<Vec<StoredRecord>> {
        self.inner().search(f, o, a, l).await
    }
    async fn record(&self, id: RecordId) -> Result<Option<StoredRecord>> {
        self.inner().record(id).await
    }
    async fn count(&self, filter: &LogFilter) -> Result<u64> {
        self.inner().count(filter).await
    }
}
