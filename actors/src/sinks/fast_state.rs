//! Feeds fast state: recent records and raw readings, for live views.
//!
//! It holds nothing in the journal: what it feeds may be forgotten, so it must never keep a segment from being recycled. It begins as far
//! back as readings are kept, and when its store was down for longer than that, it goes on there and leaves out what lies between.

use super::SinkProgress;
use super::progress::Progress;
use crate::entries::RECORDS;
use crate::metrics;
use andon_engine::batch::Batch;
use andon_engine::time::Span;
use andon_storage::journal::{Entry, Journal, ReadError, Reader};
use andon_storage::ports::fast_state::FastState;
use andon_storage::ports::{Result, StoreError};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;

/// Packed bytes of one push, but for a single larger entry.
const BATCH: usize = 4 * 1024 * 1024;
const BACKOFF_MIN: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(5);

pub struct FastStateFeed {
    store: Arc<dyn FastState>,
    progress: Progress,
    kept: Span,
    batches: Vec<Batch<Bytes>>,
    bytes: usize,
}

impl std::fmt::Debug for FastStateFeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FastStateFeed({} batches buffered)", self.batches.len())
    }
}

enum Pushed {
    Yes,
    /// The reader is to be seated anew.
    Anew,
    /// Told to stop, or fenced.
    End,
}

impl FastStateFeed {
    /// `kept`: how far back the store keeps readings ([`andon_storage::ports::fast_state::READINGS_KEPT`] is usual).
    pub fn new(store: Arc<dyn FastState>, journal: Journal, kept: Span) -> Self {
        let done = journal.durable_seq();
        Self {
            store,
            progress: Progress::new("fast_state", journal, done),
            kept,
            batches: Vec::new(),
            bytes: 0,
        }
    }

    pub fn progress(&self) -> SinkProgress {
        self.progress.subscribe()
    }

    /// Follows the journal until `stop` says so, or the store is fenced.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut wait = BACKOFF_MIN;
        loop {
            let followed = match self.seat().await {
                Ok(mut reader) => {
                    wait = BACKOFF_MIN;
                    self.follow(&mut reader, &mut stop).await
                }
                Err(e) => Err(e),
            };
            match followed {
                Ok(Pushed::End) => return,
                Ok(_) => continue,
                Err(reason) => self.trouble(&reason),
            }
            if timeout(wait, stop.wait_for(|s| *s)).await.is_ok() {
                return;
            }
            wait = (wait * 2).min(BACKOFF_MAX);
        }
    }

    fn trouble(&self, reason: &str) {
        if self.progress.subscribe().trouble.borrow().is_none() {
            tracing::warn!(reason, "recent records and raw readings are not kept for live views");
        }
        self.progress.in_trouble(reason.to_owned());
        self.progress.publish();
    }

    /// The oldest entry that is still worth taking.
    async fn oldest(&self) -> std::result::Result<u64, String> {
        let journal = &self.progress.journal;
        let Some((_, newest)) = journal.head() else {
            return Ok(1);
        };
        let read = journal.seq_received_at(newest.minus(self.kept)).await;
        read.map_err(|e| e.to_string())
    }

    /// Nobody looks back as far as to this entry any more.
    fn is_old(&self, entry: &Entry) -> bool {
        let head = self.progress.journal.head();
        head.is_some_and(|(_, newest)| entry.received_at < newest.minus(self.kept))
    }

    async fn seat(&mut self) -> std::result::Result<Reader, String> {
        self.batches.clear();
        self.bytes = 0;
        let journal = self.progress.journal.clone();
        let cursor = self.store.fast_cursor().await.map_err(|e| e.to_string())?;
        let of_ours = cursor.filter(|c| c.journal == journal.id() && c.seq <= journal.durable_seq());
        let oldest = self.oldest().await?;
        let from = of_ours.map_or(oldest, |c| (c.seq + 1).max(oldest));
        self.progress.rewound(from - 1);
        Ok(journal.reader(from))
    }

    async fn follow(
        &mut self,
        reader: &mut Reader,
        stop: &mut watch::Receiver<bool>,
    ) -> std::result::Result<Pushed, String> {
        let mut last: Option<Arc<Entry>> = None;
        loop {
            let next = match reader.try_next().await {
                Ok(next) => next,
                // Recycled before it was read: it is older than what is wanted, or the store was down for long.
                Err(ReadError::Recycled { first, .. }) => {
                    self.skip_to(reader, first.max(self.oldest().await?));
                    last = None;
                    continue;
                }
                Err(e) => return Err(e.to_string()),
            };
            if let Some(entry) = &next {
                self.take(entry);
                last = next.clone();
                if self.bytes < BATCH {
                    continue;
                }
            }
            if let Some(written) = last.take() {
                match self.push(&written, stop).await {
                    Pushed::Yes => {}
                    other => return Ok(other),
                }
                if self.is_old(&written) {
                    let oldest = self.oldest().await?;
                    if oldest > reader.position() {
                        self.skip_to(reader, oldest);
                    }
                }
            }
            if *stop.borrow() {
                return Ok(Pushed::End);
            }
            if next.is_none() {
                let position = reader.position();
                let mut durable = self.progress.journal.durable();
                tokio::select! {
                    _ = durable.wait_for(|d| *d >= position) => {}
                    _ = stop.wait_for(|s| *s) => {}
                }
            }
        }
    }

    fn skip_to(&mut self, reader: &mut Reader, to: u64) {
        let skipped = to.saturating_sub(reader.position());
        metrics::sink_entries_gone(self.progress.name, skipped);
        tracing::info!(skipped, "live views leave out entries that are older than they show");
        self.batches.clear();
        self.bytes = 0;
        *reader = self.progress.journal.reader(to);
    }

    fn take(&mut self, entry: &Entry) {
        self.progress.read(entry.received_at);
        if entry.kind != RECORDS {
            return;
        }
        // What cannot be read was counted and reported by the router, which reads every entry.
        if let Ok(batch) = Batch::parse(entry.body.clone(), self.progress.journal.id(), entry.seq)
            && !batch.is_empty()
        {
            self.bytes += entry.body.len();
            self.batches.push(batch);
        }
    }

    async fn push_once(&self) -> Result<()> {
        if self.batches.is_empty() {
            return Ok(());
        }
        self.store.push(&self.batches).await
    }

    /// Tries until it is taken, or it is too old to be worth it.
    async fn push(&mut self, last: &Entry, stop: &mut watch::Receiver<bool>) -> Pushed {
        let mut wait = BACKOFF_MIN;
        loop {
            match self.push_once().await {
                Ok(()) => {
                    if self.progress.out_of_trouble() {
                        tracing::info!("recent records and raw readings are kept for live views again");
                    }
                    self.batches.clear();
                    self.bytes = 0;
                    self.progress.wrote(last.seq, last.received_at);
                    self.progress.publish();
                    return Pushed::Yes;
                }
                Err(e @ (StoreError::Lost { .. } | StoreError::ForeignJournal { .. })) => {
                    self.trouble(&e.to_string());
                    metrics::sink_rewound(self.progress.name);
                    // Not at once: a store that says so again and again is not to be asked all the time.
                    return match timeout(BACKOFF_MIN, stop.wait_for(|s| *s)).await {
                        Ok(_) => Pushed::End,
                        Err(_) => Pushed::Anew,
                    };
                }
                Err(e @ StoreError::Fenced { .. }) => {
                    self.progress.fence(e.to_string());
                    return Pushed::End;
                }
                Err(e) => {
                    self.trouble(&e.to_string());
                    if timeout(wait, stop.wait_for(|s| *s)).await.is_ok() {
                        return Pushed::End;
                    }
                    wait = (wait * 2).min(BACKOFF_MAX);
                    if self.is_old(last) {
                        return Pushed::Anew;
                    }
                }
            }
        }
    }
}
