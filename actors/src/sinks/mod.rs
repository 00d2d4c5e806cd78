//! Writers: each follows a journal with a cursor of its own, batching by size and by time, backing off when its store is down.
//!
//! A store that is down makes its own cursor wait, never the others and never judging. The journal keeps what a sink has not done.

pub mod effects;
pub mod log_index;
pub mod rows;

use crate::metrics;
use andon_storage::journal::{Entry, Holder, Journal};
use andon_storage::ports::{Cursor, Result, StoreError};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

const BACKOFF_MIN: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(10);

/// One store's side of a writer.
#[async_trait::async_trait]
pub trait Sink: Send + 'static {
    /// As in metrics, logs and the status page.
    fn name(&self) -> &'static str;
    /// How full a batch may get before it is written, in the unit of [`Sink::take`].
    fn batch_max(&self) -> usize;
    /// How long a started batch may wait for more. Zero: as soon as nothing more is there.
    fn linger(&self) -> Duration;
    async fn cursor(&self) -> Result<Option<Cursor>>;
    /// Buffers an entry; returns what it adds to the batch.
    fn take(&mut self, entry: &Entry) -> usize;
    /// Writes the buffer and the cursor. After an error that is temporary it is called again with the same buffer.
    async fn flush(&mut self, cursor: Cursor) -> Result<()>;
}

/// Where a sink stands; the status page and `/metrics` read it.
#[derive(Clone, Debug)]
pub struct SinkProgress {
    pub name: &'static str,
    /// Highest sequence that the store has.
    pub done: watch::Receiver<u64>,
    /// The store's last error, until it works again.
    pub trouble: watch::Receiver<Option<Arc<str>>>,
    journal: Journal,
}

impl SinkProgress {
    /// Entries of its journal that the store does not have yet.
    pub fn lag(&self) -> u64 {
        self.journal.durable_seq().saturating_sub(*self.done.borrow())
    }
}

/// A sink that is ready to run: its cursor has been checked against the journal.
pub struct Writer<S> {
    sink: S,
    journal: Journal,
    holder: Holder,
    done: watch::Sender<u64>,
    trouble: watch::Sender<Option<Arc<str>>>,
}

impl<S: Sink> std::fmt::Debug for Writer<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Writer({})", self.sink.name())
    }
}

impl<S: Sink> Writer<S> {
    /// Refuses a store whose cursor names another journal, or a position that this journal has not reached.
    pub async fn open(sink: S, journal: Journal) -> Result<Self> {
        let seq = check_cursor(sink.name(), sink.cursor().await?, &journal)?;
        let holder = journal.holder(sink.name(), seq);
        Ok(Self {
            sink,
            journal,
            holder,
            done: watch::Sender::new(seq),
            trouble: watch::Sender::new(None),
        })
    }

    pub fn progress(&self) -> SinkProgress {
        SinkProgress {
            name: self.sink.name(),
            done: self.done.subscribe(),
            trouble: self.trouble.subscribe(),
            journal: self.journal.clone(),
        }
    }

    /// Follows the journal until `stop` says so, then writes what it has buffered.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut reader = self.journal.reader(*self.done.borrow() + 1);
        let mut durable = self.journal.durable();
        let mut last = *self.done.borrow();
        let mut buffered = 0;
        let mut since: Option<Instant> = None;
        loop {
            match reader.try_next().await {
                Ok(Some(entry)) => {
                    last = entry.seq;
                    buffered += self.sink.take(&entry);
                    let since = *since.get_or_insert_with(Instant::now);
                    if buffered < self.sink.batch_max()
                        && (self.sink.linger().is_zero() || since.elapsed() < self.sink.linger())
                    {
                        continue;
                    }
                }
                Ok(None) => {
                    let flush_at = since.map(|s| s + self.sink.linger());
                    let due = flush_at.is_some_and(|at| at <= Instant::now());
                    if !due && !*stop.borrow() {
                        metrics::sink_lag(self.sink.name(), 0);
                        let wait = flush_at.unwrap_or_else(|| Instant::now() + BACKOFF_MAX);
                        tokio::select! {
                            _ = durable.wait_for(|d| *d > last) => {}
                            _ = stop.wait_for(|s| *s) => {}
                            () = tokio::time::sleep_until(wait) => {}
                        }
                        continue;
                    }
                }
                Err(e) => {
                    tracing::error!(sink = self.sink.name(), error = %e, "the journal cannot be read");
                    self.trouble.send_replace(Some(Arc::from(e.to_string())));
                    if tokio::time::timeout(BACKOFF_MAX, stop.wait_for(|s| *s)).await.is_ok() {
                        return;
                    }
                    continue;
                }
            }
            if since.is_some() && !self.write(last, &mut stop).await {
                return;
            }
            buffered = 0;
            since = None;
            metrics::sink_lag(self.sink.name(), self.journal.durable_seq().saturating_sub(last));
            if *stop.borrow() {
                return;
            }
        }
    }

    /// Writes until it is written. False when told to stop while the store is down: the journal has it.
    async fn write(&mut self, last: u64, stop: &mut watch::Receiver<bool>) -> bool {
        let cursor = Cursor {
            journal: self.journal.id(),
            seq: last,
        };
        let mut wait = BACKOFF_MIN;
        loop {
            match self.sink.flush(cursor).await {
                Ok(()) => {
                    if self.trouble.send_if_modified(|t| t.take().is_some()) {
                        tracing::info!(sink = self.sink.name(), "the store takes records again");
                    }
                    self.holder.release(last);
                    self.done.send_replace(last);
                    return true;
                }
                Err(e) => {
                    tracing::warn!(sink = self.sink.name(), error = %e, retry_ms = wait.as_millis() as u64, "the store did not take a batch");
                    self.trouble.send_replace(Some(Arc::from(e.to_string())));
                    metrics::sink_lag(
                        self.sink.name(),
                        self.journal.durable_seq().saturating_sub(*self.done.borrow()),
                    );
                    if tokio::time::timeout(wait, stop.wait_for(|s| *s)).await.is_ok() {
                        return false;
                    }
                    wait = (wait * 2).min(BACKOFF_MAX);
                }
            }
        }
    }
}

/// The sequence to go on after, if the cursor belongs to this journal.
pub fn check_cursor(store: &'static str, cursor: Option<Cursor>, journal: &Journal) -> Result<u64> {
    let Some(cursor) = cursor else { return Ok(0) };
    let end = journal.durable_seq();
    if cursor.journal != journal.id() || cursor.seq > end {
        return Err(StoreError::foreign(store, cursor, journal.id(), end));
    }
    Ok(cursor.seq)
}
