//! The journal: what is acknowledged lies here, on disk.
//!
//! # What it promises
//! - [`Journal::append`] answers with a sequence only after the entry has been synced (`fdatasync`). Sequences start at 1, grow by
//!   one, and are never used for two acknowledged entries.
//! - After a crash or a power cut every acknowledged entry is read back once, with the same bytes, in order. One that was not
//!   acknowledged may be there or not; if it is there it is whole.
//! - Damage to acknowledged entries is counted and named in [`OpenReport`], and what follows is still read. A torn tail is cut.
//! - It never drops silently: a full quota or disk is [`AppendError::Full`], and it goes on when there is space again.
//!
//! # How it works
//! Segments are files of a fixed size, filled with zeros once and then overwritten in place life after life: a sync then writes data
//! and nothing else, which is several times faster than growing a file. One thread (`writer`) drains a queue bounded in bytes,
//! writes what it found as one write, syncs once and answers everybody (group commit). A second thread (`keeper`) keeps spare
//! segments ready, copies segments that nobody needs to the archive, and recycles them. Readers are cursors: they take entries from
//! a cache of the tail, or else from disk on tokio's blocking pool.
//!
//! `format` has the layout. Three numbers make recovery decidable: an entry's **sequence**, the **epoch** (which life of the segment it
//! belongs to) and **`synced_to`**, the highest sequence known durable when it was written. At start (`recovery`) everything
//! up to the highest `synced_to` found anywhere must be there: what is not is damage, skipped and counted. Above it everything from
//! the first bad entry on is cut, valid or not, and wiped, so that it cannot come back.
//!
//! # Operation
//! - A failed write or sync is final: the kernel may have dropped the data and call the next sync a success. Waiters get
//!   [`AppendError::Failed`], nothing is written any more, and [`Journal::failed`] resolves: the process must end and start again.
//!   At the next start the part of the tail that is not proven durable is written anew before it is trusted.
//! - A segment is recycled when every [`Holder`] has released it, its newest entry is older than the replay floor, and it is in
//!   the archive if there is one. Without any holder nothing is recycled.
//! - The last segments of the quota are a reserve, for [`Journal::append_reserved`] alone.
//! - On a file system that copies on write (btrfs, ZFS) overwriting needs new space: keep its disk from filling up, because a full one
//!   there is a failed write, not [`AppendError::Full`].

mod archive;
mod cache;
mod format;
mod history;
mod io;
mod keeper;
mod options;
mod reader;
mod recovery;
mod segment;
mod shared;
mod writer;

pub use archive::{ArchiveReader, ArchiveUsage};
pub use history::History;
pub use io::{FileIo, JournalFile, JournalIo, LockGuard};
pub use options::{ArchiveOptions, JournalObserver, JournalOptions};
pub use reader::{EntryHeader, Headers, ReadError, Reader};
pub use recovery::{CutTail, Damage, OpenError, OpenReport};
pub use shared::{Holder, HolderUsage, Usage};

use andon_engine::ids::JournalId;
use andon_engine::time::{Clock, Timestamp};
use bytes::Bytes;
use shared::{Pending, Shared};
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::{oneshot, watch};

/// What to append.
#[derive(Debug, Clone, Default)]
pub struct Append {
    /// What the bytes are; the journal does not look.
    pub kind: u8,
    pub received_at: Timestamp,
    /// Kept uncompressed and readable without the body: what start-up needs of every entry.
    pub header: Bytes,
    pub body: Bytes,
}

/// An entry as it was appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub seq: u64,
    pub kind: u8,
    pub received_at: Timestamp,
    pub header: Bytes,
    pub body: Bytes,
}

/// Why an append was not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// Nothing was taken. Try again later: it may have been recycled or freed by then.
    #[error(
        "the journal is full: {}",
        if *.disk { "the disk has no space for another segment; free some".to_owned() }
        else { format!("its segments take {used} of {quota} bytes and none can be recycled yet; see the lag of its consumers") }
    )]
    Full {
        /// Bytes of the segments in use.
        used: u64,
        quota: u64,
        /// The disk refused, not the quota.
        disk: bool,
    },
    /// Nothing was taken and it never will be.
    #[error("an entry of {bytes} bytes does not fit a segment of the journal, which takes {limit}")]
    TooLarge { bytes: usize, limit: usize },
    /// The write or its sync failed: the entry may have been taken. Retry with the same id.
    #[error("the journal could not be written; the entry may have been taken")]
    Failed,
    /// Nothing was taken: the journal is closed, or ended by an earlier failure.
    #[error("the journal is closing")]
    Stopping,
}

/// Why the journal ended for good. The process must end and start again, so that recovery decides what is on disk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("journal {path}: {action} failed: {reason}")]
pub struct JournalFailure {
    /// What was being done: `write`, `sync`, …
    pub action: &'static str,
    pub path: String,
    pub reason: String,
}

/// A journal that is open. Cheap to clone; all clones are the same journal. Dropping the last one closes it without waiting.
#[derive(Debug, Clone)]
pub struct Journal {
    handle: Arc<Handle>,
}

/// Ends the threads when the last [`Journal`] goes; readers and the threads themselves hold only the [`Shared`].
#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.begin_close();
    }
}

fn newest_receipt(shared: &Shared) -> Option<Timestamp> {
    segment::lock(&shared.segments).iter().rev().find_map(|s| {
        let extent = s.extent();
        (extent.last_seq > 0).then_some(extent.received_max)
    })
}

impl Journal {
    /// Opens the journal in `dir`, making it if there is none. Reads every segment and verifies every entry, on the blocking pool.
    pub async fn open(
        io: Arc<dyn JournalIo>,
        dir: &Path,
        options: JournalOptions,
        clock: Arc<dyn Clock>,
    ) -> Result<(Journal, OpenReport), OpenError> {
        let dir = dir.to_owned();
        match tokio::task::spawn_blocking(move || Self::open_blocking(io, &dir, options, clock)).await {
            Ok(opened) => opened,
            Err(_) => Err(OpenError::Interrupted),
        }
    }

    /// [`Journal::open`] for a caller that may block.
    pub fn open_blocking(
        io: Arc<dyn JournalIo>,
        dir: &Path,
        options: JournalOptions,
        clock: Arc<dyn Clock>,
    ) -> Result<(Journal, OpenReport), OpenError> {
        let recovered = recovery::open(io, dir, options, clock)?;
        let shared = recovered.shared;
        let journal = Journal {
            handle: Arc::new(Handle { shared: shared.clone() }),
        };
        keeper::start(shared.clone()).map_err(OpenError::Thread)?;
        writer::start(shared, recovered.tail).map_err(OpenError::Thread)?;
        Ok((journal, recovered.report))
    }

    /// Drawn at random when the journal was made.
    pub fn id(&self) -> JournalId {
        self.handle.shared.id
    }

    /// Answers the entry's sequence once it is on disk. Waits while the queue is full. Once begun it is carried out even if the
    /// future is dropped.
    pub async fn append(&self, entry: Append) -> Result<u64, AppendError> {
        self.append_as(entry, false).await
    }

    /// [`Journal::append`] that may use the reserve: for Andon's own control entries and effects, which must get through when
    /// senders have filled the journal.
    pub async fn append_reserved(&self, entry: Append) -> Result<u64, AppendError> {
        self.append_as(entry, true).await
    }

    /// The largest header and body together that fit an entry.
    pub fn entry_bytes_max(&self) -> usize {
        self.handle.shared.options.entry_bytes_max()
    }

    async fn append_as(&self, entry: Append, reserved: bool) -> Result<u64, AppendError> {
        let shared = &self.handle.shared;
        let (bytes, limit) = (
            entry.header.len().saturating_add(entry.body.len()),
            self.entry_bytes_max(),
        );
        if bytes > limit {
            return Err(AppendError::TooLarge { bytes, limit });
        }
        let packed = self.compress(&entry.body).await;
        let stored = packed.as_ref().map_or(entry.body.len(), Vec::len);
        let size = format::entry_size(entry.header.len(), stored);
        let cost = size.min(shared.options.queue_bytes) as u32;
        let permit = shared
            .permits
            .clone()
            .acquire_many_owned(cost)
            .await
            .map_err(|_| AppendError::Stopping)?;
        let (reply, answer) = oneshot::channel();
        shared.enqueue(Pending {
            entry,
            packed,
            size,
            reserved,
            reply,
            _permit: permit,
        })?;
        answer.await.unwrap_or(Err(AppendError::Failed))
    }

    /// On the caller's side, so that the one writer thread does not become the limit.
    async fn compress(&self, body: &Bytes) -> Option<Vec<u8>> {
        /// Above this compressing takes longer (about 0.4 ms) than an async thread should be kept.
        const INLINE_BYTES_MAX: usize = 256 * 1024;
        if body.len() < self.handle.shared.options.compress_from_bytes {
            return None;
        }
        if body.len() <= INLINE_BYTES_MAX {
            return format::compress(body);
        }
        let body = body.clone();
        tokio::task::spawn_blocking(move || format::compress(&body))
            .await
            .ok()
            .flatten()
    }

    /// The highest sequence that is on disk; 0 when there is none.
    pub fn durable_seq(&self) -> u64 {
        *self.handle.shared.durable.borrow()
    }

    /// [`Journal::durable_seq`] to wait on.
    pub fn durable(&self) -> watch::Receiver<u64> {
        self.handle.shared.durable.subscribe()
    }

    /// The lowest sequence that can still be read; one above [`Journal::durable_seq`] when the journal is empty.
    pub fn first_seq(&self) -> u64 {
        self.handle.shared.first_seq()
    }

    /// A cursor that begins with the first entry at or after `from_seq`.
    pub fn reader(&self, from_seq: u64) -> Reader {
        Reader::new(self.handle.shared.clone(), from_seq)
    }

    /// A cursor like [`Journal::reader`] that takes what has been recycled from the archive, and passes over what neither has.
    pub fn history(&self, from_seq: u64) -> History {
        History::new(self.handle.shared.clone(), from_seq)
    }

    /// The first entries from `from_seq` on that neither archive nor journal has, by the names of the archive's files. Without an
    /// archive all that lies before the journal's first entry is a gap.
    pub async fn gap_in_history(&self, from_seq: u64) -> Result<Option<RangeInclusive<u64>>, ReadError> {
        let (shared, from_seq) = (self.handle.shared.clone(), from_seq.max(1));
        // The order matters: what is recycled after this look is in the archive by the time of the next.
        let end = shared.first_seq();
        if from_seq >= end {
            return Ok(None);
        }
        let Some(options) = shared.options.archive.clone() else {
            return Ok(Some(from_seq..=end - 1));
        };
        let gap = tokio::task::spawn_blocking(move || {
            archive::gap(&*shared.io, &options.dir, shared.id, from_seq, end)
                .map_err(|e| ReadError::of_archive(&options.dir, &e))
        });
        gap.await.unwrap_or(Err(ReadError::Closed))
    }

    /// Whether recycled segments are kept in an archive.
    pub fn has_archive(&self) -> bool {
        self.handle.shared.options.archive.is_some()
    }

    /// The newest durable entry's sequence, and the latest time at which an entry of its segment was received; `None` while the
    /// journal is empty.
    pub fn head(&self) -> Option<(u64, Timestamp)> {
        let received_at = newest_receipt(&self.handle.shared)?;
        Some((self.durable_seq(), received_at))
    }

    /// When its newest entry was received, for whoever may outlive the journal.
    pub fn newest_receipt(&self) -> impl Fn() -> Option<Timestamp> + Send + Sync + 'static {
        let shared = Arc::downgrade(&self.handle.shared);
        move || newest_receipt(&*shared.upgrade()?)
    }

    /// Bytes of the entries behind `seq` that the journal has, as they lie on disk; exact to 64 KiB.
    pub fn bytes_after(&self, seq: u64) -> u64 {
        self.handle.shared.bytes_after(seq)
    }

    /// Entries from `from_seq` up to what is durable now, without their bodies.
    pub fn headers(&self, from_seq: u64) -> Headers {
        Headers::new(self.handle.shared.clone(), from_seq)
    }

    /// The first sequence whose entry was received at or after `t`; one above [`Journal::durable_seq`] if there is none.
    pub async fn seq_received_at(&self, t: Timestamp) -> Result<u64, ReadError> {
        let (from, end) = self.handle.shared.segment_received_at(t);
        let mut headers = self.headers(from);
        while let Some(h) = headers.next().await? {
            if h.received_at >= t {
                return Ok(h.seq);
            }
        }
        Ok(end)
    }

    /// Registers a consumer that has done everything up to and including `at`, or moves one of that name there. What it has not
    /// released stays in the journal, also when the [`Holder`] is dropped: see [`Holder::remove`].
    pub fn holder(&self, name: &str, at: u64) -> Holder {
        Holder::register(self.handle.shared.clone(), name, at)
    }

    pub fn usage(&self) -> Usage {
        self.handle.shared.usage()
    }

    /// Entries of the archive that were received in `from <= received_at < to`. Blocking: for a thread or the blocking pool. `None`
    /// without an archive.
    pub fn archive(&self, from: Timestamp, to: Timestamp) -> Option<std::io::Result<ArchiveReader>> {
        let shared = &self.handle.shared;
        let options = shared.options.archive.as_ref()?;
        Some(ArchiveReader::open(
            shared.io.clone(),
            &options.dir,
            shared.id,
            from,
            to,
        ))
    }

    /// Lets the keeper recycle what can be recycled now, and waits for it. It also does so on its own, when a holder releases and
    /// once in a while; this is for tests and for an operator who wants space.
    pub async fn recycle(&self) {
        let shared = self.handle.shared.clone();
        let _ = tokio::task::spawn_blocking(move || shared.wait_for_pass()).await;
    }

    /// Resolves when a write or sync has failed for good; never otherwise.
    pub async fn failed(&self) -> JournalFailure {
        let mut failure = self.handle.shared.failure.subscribe();
        loop {
            if let Some(f) = failure.borrow_and_update().clone() {
                return f;
            }
            // The sender lives in `shared`, which `self` holds, hence this never fails.
            if failure.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Takes no more appends, writes and syncs those that were taken, ends the threads and releases the lock.
    /// Readers get what is durable and then [`ReadError::Closed`].
    pub async fn close(&self) {
        let shared = &self.handle.shared;
        shared.begin_close();
        let mut stopped = shared.threads.subscribe();
        let _ = stopped.wait_for(|running| *running == 0).await;
    }
}
