//! The loop that every sink runs in: read, buffer, write, and what to do when the store says no.

use super::Sink;
use super::progress::{Progress, SinkProgress};
use crate::metrics;
use andon_storage::journal::{Entry, History, Holder, Journal};
use andon_storage::ports::{Cursor, Result, StoreError};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

const BACKOFF_MIN: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// Between looks at a cursor that a person has to put right.
const FOREIGN_RETRY: Duration = Duration::from_secs(30);
/// How often a write that takes long puts the lag on `/metrics`.
const PUBLISH_EVERY: Duration = Duration::from_secs(1);
/// What is being written when the program stops may take this long; the journal has it if it does not.
const STOP_WITHIN: Duration = Duration::from_secs(2);
/// A sink that reads from the archive gives up its hold on the journal when less than one part in this many of the quota is left.
const PRESSURE: u64 = 4;

/// A sink that is ready to run: its cursor has been checked against the journal.
pub struct Writer<S> {
    sink: S,
    holder: Holder,
    progress: Progress,
    /// The hold is given up for now: see [`PRESSURE`].
    yielded: bool,
    archive_looked_at: Option<Instant>,
    /// Before the cursor is read when the store says again that it lost what it had, and has taken nothing in between.
    rewind_wait: Duration,
}

impl<S: Sink> std::fmt::Debug for Writer<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Writer({})", self.sink.name())
    }
}

/// Why following the journal ended.
enum Ended {
    Stopped,
    /// The cursor is to be read again.
    Lost,
}

impl<S: Sink> Writer<S> {
    /// Refuses a store whose cursor names another journal, or a position that this journal has not reached, or one from which on archive
    /// and journal do not have everything. A store without a cursor is filled from the oldest entry that the archive keeps.
    pub async fn open(sink: S, journal: Journal) -> Result<Self> {
        let seq = seat(sink.name(), sink.cursor().await?, &journal).await?;
        let holder = journal.holder(sink.name(), seq);
        Ok(Self {
            holder,
            progress: Progress::new(sink.name(), journal, seq),
            sink,
            yielded: false,
            archive_looked_at: None,
            rewind_wait: Duration::ZERO,
        })
    }

    pub fn progress(&self) -> SinkProgress {
        self.progress.subscribe()
    }

    /// Follows the journal until `stop` says so, then writes what it has buffered. Ends too when the sink is fenced
    /// ([`SinkProgress::fenced`]): it writes nothing from then on.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        loop {
            match self.follow(&mut stop).await {
                Ended::Stopped => break,
                Ended::Lost => {
                    if !self.rewind(&mut stop).await {
                        break;
                    }
                }
            }
        }
        self.progress.publish();
    }

    async fn follow(&mut self, stop: &mut watch::Receiver<bool>) -> Ended {
        let mut history = self.progress.journal.history(self.progress.done() + 1);
        let mut durable = self.progress.journal.durable();
        let mut gone = 0;
        let mut last: Option<Arc<Entry>> = None;
        let (mut buffered, mut bytes) = (0, 0usize);
        let mut since: Option<Instant> = None;
        if !self.tend().await {
            return Ended::Stopped;
        }
        loop {
            match history.try_next().await {
                Ok(Some(entry)) => {
                    self.progress.read(entry.received_at);
                    buffered += self.sink.take(&entry);
                    bytes = bytes.saturating_add(entry.body.len());
                    last = Some(entry);
                    let since = *since.get_or_insert_with(Instant::now);
                    if buffered < self.sink.batch_max()
                        && bytes < self.sink.batch_bytes_max()
                        && (self.sink.linger().is_zero() || since.elapsed() < self.sink.linger())
                    {
                        continue;
                    }
                }
                Ok(None) => {
                    let flush_at = since.map(|s| s + self.sink.linger());
                    let due = flush_at.is_some_and(|at| at <= Instant::now());
                    if !due && !*stop.borrow() {
                        let wait = flush_at.unwrap_or_else(|| Instant::now() + BACKOFF_MAX);
                        let position = history.position();
                        let idle = tokio::select! {
                            _ = durable.wait_for(|d| *d >= position) => false,
                            _ = stop.wait_for(|s| *s) => false,
                            () = sleep_until(wait) => since.is_none(),
                        };
                        if idle {
                            if !self.tend().await {
                                return Ended::Stopped;
                            }
                            self.progress.publish();
                        }
                        continue;
                    }
                }
                Err(e) => {
                    tracing::error!(sink = self.progress.name, error = %e, "the journal cannot be read");
                    self.progress.in_trouble(e.to_string());
                    self.progress.publish();
                    if timeout(BACKOFF_MAX, stop.wait_for(|s| *s)).await.is_ok() {
                        return Ended::Stopped;
                    }
                    continue;
                }
            }
            if history.gone() > gone {
                metrics::sink_entries_gone(self.progress.name, history.gone() - gone);
                gone = history.gone();
            }
            if let Some(last) = last.take()
                && let Some(ended) = self.write(&last, &mut history, stop).await
            {
                return ended;
            }
            (buffered, bytes) = (0, 0);
            since = None;
            // Under load there is no idle moment; what is not due costs a look at the clock.
            if *stop.borrow() || !self.tend().await {
                return Ended::Stopped;
            }
        }
    }

    /// False when the sink is fenced.
    async fn tend(&mut self) -> bool {
        match self.sink.tend().await {
            Ok(()) => return true,
            Err(e @ StoreError::Fenced { .. }) => self.fence(&e),
            Err(e) => {
                tracing::warn!(sink = self.progress.name, error = %e, "the store could not be tended; it is tried again");
                return true;
            }
        }
        false
    }

    fn fence(&self, error: &StoreError) {
        tracing::error!(sink = self.progress.name, %error, "nothing more is written");
        self.progress.fence(error.to_string());
    }

    /// What the sink has not done stays in the journal. What it still needs of the archive comes before the journal's first entry: the
    /// hold does not keep that, and filling a store for hours must not fill the journal. So when space gets short what the
    /// journal has goes to the archive too, and the sink finds it there.
    async fn hold(&mut self, history: &mut History) {
        let (journal, done) = (&self.progress.journal, self.progress.done());
        if !history.reads_archive() {
            self.progress.archive_bytes = 0;
            if self.yielded {
                self.holder = journal.holder(self.progress.name, done);
                self.yielded = false;
            }
            self.holder.release(done);
            return;
        }
        let usage = journal.usage();
        self.yielded = usage.available < usage.quota / PRESSURE;
        let held_from = if self.yielded { usage.durable_seq } else { done };
        self.holder = journal.holder(self.progress.name, held_from);
        if self.archive_looked_at.is_none_or(|at| at.elapsed() >= PUBLISH_EVERY) {
            self.archive_looked_at = Some(Instant::now());
            self.progress.archive_bytes = history.archive_bytes().await;
        }
    }

    /// Writes until it is written. Something when following ends: told to stop while the store is down (the journal has it), or the
    /// store takes no more of this.
    async fn write(&mut self, last: &Entry, history: &mut History, stop: &mut watch::Receiver<bool>) -> Option<Ended> {
        let cursor = Cursor {
            journal: self.progress.journal.id(),
            seq: last.seq,
        };
        let mut wait = BACKOFF_MIN;
        loop {
            self.hold(history).await;
            let Some(flushed) = flush(&mut self.sink, &self.progress, cursor, stop).await else {
                tracing::info!(
                    sink = self.progress.name,
                    "stopped in the middle of a batch; the journal has it"
                );
                return Some(Ended::Stopped);
            };
            match flushed {
                Ok(()) => {
                    if self.progress.out_of_trouble() {
                        tracing::info!(sink = self.progress.name, "the store takes records again");
                    }
                    self.progress.wrote(last.seq, last.received_at);
                    self.rewind_wait = Duration::ZERO;
                    self.hold(history).await;
                    self.progress.publish();
                    return None;
                }
                Err(e @ (StoreError::Lost { .. } | StoreError::ForeignJournal { .. })) => {
                    tracing::warn!(sink = self.progress.name, error = %e, "the cursor is read again");
                    self.progress.in_trouble(e.to_string());
                    return Some(Ended::Lost);
                }
                Err(e @ StoreError::Fenced { .. }) => {
                    self.fence(&e);
                    return Some(Ended::Stopped);
                }
                Err(e) => {
                    tracing::warn!(sink = self.progress.name, error = %e, retry_ms = wait.as_millis() as u64, "the store did not take a batch");
                    self.progress.in_trouble(e.to_string());
                    self.progress.publish();
                    if timeout(wait, stop.wait_for(|s| *s)).await.is_ok() {
                        return Some(Ended::Stopped);
                    }
                    wait = (wait * 2).min(BACKOFF_MAX);
                }
            }
        }
    }

    /// Goes to where the store says it is. False when told to stop before, or fenced.
    async fn rewind(&mut self, stop: &mut watch::Receiver<bool>) -> bool {
        self.sink.clear();
        self.progress.publish();
        let mut wait = self.rewind_wait;
        self.rewind_wait = (self.rewind_wait * 2).clamp(BACKOFF_MIN, BACKOFF_MAX);
        let seq = loop {
            if !wait.is_zero() && timeout(wait, stop.wait_for(|s| *s)).await.is_ok() {
                return false;
            }
            match self.cursor_now().await {
                Ok(seq) => break seq,
                Err(e @ StoreError::Fenced { .. }) => {
                    self.fence(&e);
                    return false;
                }
                Err(e) => {
                    let foreign = matches!(e, StoreError::ForeignJournal { .. });
                    wait = if foreign {
                        FOREIGN_RETRY
                    } else {
                        (wait * 2).clamp(BACKOFF_MIN, BACKOFF_MAX)
                    };
                    tracing::error!(sink = self.progress.name, error = %e, retry_ms = wait.as_millis() as u64, "the sink waits");
                    self.progress.in_trouble(e.to_string());
                    self.progress.publish();
                }
            }
        };
        let had = self.progress.done();
        // The hold first: what is recycled before it is in the archive.
        self.holder = self.progress.journal.holder(self.progress.name, seq);
        self.progress.rewound(seq);
        self.progress.publish();
        metrics::sink_rewound(self.progress.name);
        tracing::warn!(
            sink = self.progress.name,
            "the store had everything up to entry {had} and now says {seq}: it is filled again from there"
        );
        true
    }

    async fn cursor_now(&mut self) -> Result<u64> {
        let cursor = self.sink.cursor().await?;
        let journal = &self.progress.journal;
        if let Some(cursor) = cursor {
            cursor.check(self.progress.name, journal.id(), journal.durable_seq())?;
        }
        Ok(cursor.map_or(0, |c| c.seq))
    }
}

/// Flushes, with the lag on `/metrics` kept fresh meanwhile. `None` when the program stops and it takes too long.
async fn flush<S: Sink>(
    sink: &mut S,
    progress: &Progress,
    cursor: Cursor,
    stop: &mut watch::Receiver<bool>,
) -> Option<Result<()>> {
    let mut flushing = sink.flush(cursor);
    let mut late = pin!(async {
        // A sender that is gone says the same.
        let _ = stop.wait_for(|s| *s).await;
        sleep(STOP_WITHIN).await;
    });
    loop {
        tokio::select! {
            biased;
            flushed = &mut flushing => return Some(flushed),
            () = &mut late => return None,
            () = sleep(PUBLISH_EVERY) => progress.publish(),
        }
    }
}

/// The sequence to go on after: the cursor belongs to this journal, and archive and journal have what comes next.
async fn seat(store: &'static str, cursor: Option<Cursor>, journal: &Journal) -> Result<u64> {
    if let Some(cursor) = cursor {
        cursor.check(store, journal.id(), journal.durable_seq())?;
    }
    let done = cursor.map_or(0, |c| c.seq);
    let gap = journal
        .gap_in_history(done + 1)
        .await
        .map_err(|e| StoreError::Unavailable {
            store: "the journal's archive",
            reason: e.to_string(),
        })?;
    match gap {
        None => Ok(done),
        // Nothing was ever in it, or somebody emptied it: it gets what there is.
        Some(gap) if cursor.is_none() && journal.has_archive() => {
            tracing::warn!(
                sink = store,
                "a store without anything in it: entries {} to {} are older than the archive keeps, it is filled with what follows",
                gap.start(),
                gap.end()
            );
            Ok(done)
        }
        Some(gap) => Err(recycled(store, done, *gap.start(), *gap.end(), journal.first_seq())),
    }
}

/// The sequence to go on after, for who reads the journal alone: the cursor belongs to it and it still has what comes next.
pub fn check_cursor(store: &'static str, cursor: Option<Cursor>, journal: &Journal) -> Result<u64> {
    if let Some(cursor) = cursor {
        cursor.check(store, journal.id(), journal.durable_seq())?;
    }
    let done = cursor.map_or(0, |c| c.seq);
    let first = journal.first_seq();
    if done + 1 < first {
        return Err(recycled(store, done, done + 1, first - 1, first));
    }
    Ok(done)
}

fn recycled(store: &'static str, done: u64, from: u64, to: u64, first: u64) -> StoreError {
    let reason = format!(
        "it has come to entry {done}, the journal begins at entry {first}, and entries {from} to {to} have been recycled: \
         put the store back from a backup, or start with --adopt-stores to go on from entry {first}"
    );
    StoreError::ForeignJournal { store, reason }
}
