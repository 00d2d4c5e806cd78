//! What the handle, the two threads and the readers of a journal share.

use super::archive::ArchiveUsage;
use super::cache::TailCache;
use super::format::{Check, SEGMENT_HEADER_BYTES, SegmentHeader};
use super::io::{JournalIo, LockGuard};
use super::options::JournalOptions;
use super::segment::{Segment, SegmentFile, lock};
use super::{Append, AppendError, JournalFailure};
use andon_engine::ids::JournalId;
use andon_engine::time::{Clock, Timestamp};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

/// An append on its way to the writer.
pub(super) struct Pending {
    pub entry: Append,
    /// The body compressed, if that was worth it.
    pub packed: Option<Vec<u8>>,
    /// Bytes on disk.
    pub size: usize,
    pub reserved: bool,
    pub reply: oneshot::Sender<Result<u64, AppendError>>,
    /// Room in the queue; returns when the answer is out.
    pub _permit: OwnedSemaphorePermit,
}

#[derive(Default)]
pub(super) struct Queue {
    pub pending: VecDeque<Pending>,
    pub closed: bool,
}

/// Segments that wait for a life, and the conversation between writer (who takes) and keeper (who makes).
#[derive(Debug, Default)]
pub(super) struct Pool {
    pub spares: Vec<SegmentFile>,
    /// Bytes of all segment files, in use or not: what the quota limits.
    pub allocated: u64,
    pub next_slot: u32,
    /// A pass of the keeper is wanted.
    pub wanted: bool,
    /// Passes begun and ended.
    pub begun: u64,
    pub ended: u64,
    /// The last attempt to make a segment failed for want of space (or of a working disk).
    pub disk_full: bool,
    pub stop: bool,
}

pub(super) struct Shared {
    pub io: Arc<dyn JournalIo>,
    pub dir: PathBuf,
    pub options: JournalOptions,
    pub clock: Arc<dyn Clock>,
    pub id: JournalId,
    pub salt: u64,
    pub check: Check,

    pub permits: Arc<Semaphore>,
    pub queue: Mutex<Queue>,
    pub queue_filled: Condvar,

    /// In order of sequence; the last one is being written. Never empty.
    pub segments: Mutex<VecDeque<Arc<Segment>>>,
    pub cache: Mutex<TailCache>,
    pub durable: watch::Sender<u64>,
    /// Sequences that recovery found damaged: readers pass over them without a word.
    pub lost: Vec<RangeInclusive<u64>>,
    /// Entries that a reader found damaged since.
    pub damaged_reads: AtomicU64,

    pub pool: Mutex<Pool>,
    pub pool_wanted: Condvar,
    pub pool_changed: Condvar,
    pub generation: AtomicU64,

    pub holders: Mutex<BTreeMap<String, u64>>,
    pub archive: Mutex<ArchiveUsage>,
    pub failure: watch::Sender<Option<JournalFailure>>,
    /// Threads that run; 0 when the journal has ended.
    pub threads: watch::Sender<usize>,
    pub lock: Mutex<Option<LockGuard>>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal")
            .field("dir", &self.dir)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn enqueue(&self, pending: Pending) -> Result<(), AppendError> {
        let mut queue = lock(&self.queue);
        if queue.closed {
            return Err(AppendError::Stopping);
        }
        queue.pending.push_back(pending);
        drop(queue);
        self.queue_filled.notify_one();
        Ok(())
    }

    pub(super) fn begin_close(&self) {
        lock(&self.queue).closed = true;
        self.permits.close();
        self.queue_filled.notify_one();
    }

    /// The journal ends here. The first reason stays.
    pub(super) fn fail(&self, action: &'static str, path: &Path, error: &io::Error) {
        let failure = JournalFailure {
            action,
            path: path.display().to_string(),
            reason: error.to_string(),
        };
        tracing::error!(action, path = %failure.path, reason = %failure.reason, "journal failed for good");
        self.failure
            .send_if_modified(|f| f.is_none() && f.replace(failure).is_none());
        self.begin_close();
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failure.borrow().is_some()
    }

    /// A header for this journal with the next generation.
    pub(super) fn header(&self, live: bool, epoch: u64, first_seq: u64, synced_to: u64, bytes: u64) -> SegmentHeader {
        SegmentHeader {
            journal: self.id,
            salt: self.salt,
            epoch,
            generation: self.generation.fetch_add(1, Ordering::Relaxed),
            live,
            first_seq,
            synced_to,
            segment_bytes: bytes,
        }
    }

    pub(super) fn first_seq(&self) -> u64 {
        lock(&self.segments).front().map_or(1, |s| s.first_seq)
    }

    /// The segment that holds `seq`, or the first one after it. `Err` with the first sequence when it is gone already.
    pub(super) fn segment_of(&self, seq: u64) -> Result<Arc<Segment>, u64> {
        let segments = lock(&self.segments);
        let after = segments.partition_point(|s| s.first_seq <= seq);
        match after.checked_sub(1) {
            Some(i) => Ok(segments[i].clone()),
            None => Err(segments.front().map_or(1, |s| s.first_seq)),
        }
    }

    /// The segment behind `this`, in which `next` lies or which follows it. `Err` with the first sequence when that is gone already.
    pub(super) fn segment_after(&self, this: &Segment, next: u64) -> Result<Option<Arc<Segment>>, u64> {
        let segments = lock(&self.segments);
        match segments.front() {
            Some(front) if front.first_seq > next => Err(front.first_seq),
            _ => Ok(segments.iter().find(|s| s.epoch > this.epoch).cloned()),
        }
    }

    pub(super) fn is_live(&self, segment: &Segment) -> bool {
        lock(&self.segments).iter().any(|s| s.epoch == segment.epoch)
    }

    /// Where to look for the first entry received at or after `t`, and the sequence behind the last durable one.
    pub(super) fn segment_received_at(&self, t: Timestamp) -> (u64, u64) {
        let end = *self.durable.borrow() + 1;
        let segments = lock(&self.segments);
        let from = segments
            .iter()
            .find(|s| s.extent().received_max >= t)
            .map_or(end, |s| s.first_seq);
        (from, end)
    }

    pub(super) fn want_pass(&self) {
        lock(&self.pool).wanted = true;
        self.pool_wanted.notify_one();
    }

    /// Waits for a pass of the keeper that begins after now.
    pub(super) fn wait_for_pass(&self) {
        let mut pool = lock(&self.pool);
        let ticket = pool.begun + 1;
        pool.wanted = true;
        self.pool_wanted.notify_one();
        while pool.ended < ticket && !pool.stop {
            pool = self.pool_changed.wait(pool).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// For the writer: a segment to go on in, and whether it comes out of the reserve. Waits for the keeper while that may help.
    pub(super) fn take_spare(&self, reserved: bool) -> Result<(SegmentFile, bool), AppendError> {
        let reserve = self.options.reserve_segments;
        let mut pool = lock(&self.pool);
        let mut ticket = None;
        loop {
            // The reserve is only touched when the keeper has had its chance to make another segment.
            let waited = ticket.is_some_and(|t| pool.ended >= t) || pool.stop;
            if pool.spares.len() > reserve || (reserved && waited && !pool.spares.is_empty()) {
                let spare = pool.spares.pop().expect("just seen not to be empty");
                let from_reserve = pool.spares.len() < reserve;
                pool.wanted = true;
                self.pool_wanted.notify_one();
                return Ok((spare, from_reserve));
            }
            if waited {
                let disk = pool.disk_full;
                drop(pool);
                return Err(self.full(disk));
            }
            if ticket.is_none() {
                ticket = Some(pool.begun + 1);
                pool.wanted = true;
                self.pool_wanted.notify_one();
            }
            pool = self.pool_changed.wait(pool).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Whether `append` may use a segment that was taken from the reserve: once the reserve is whole again.
    pub(super) fn reserve_is_whole(&self) -> bool {
        let pool = lock(&self.pool);
        pool.spares.len() >= self.options.reserve_segments
    }

    pub(super) fn full(&self, disk: bool) -> AppendError {
        let used = lock(&self.segments).iter().map(|s| s.on.bytes).sum();
        AppendError::Full {
            used,
            quota: self.options.quota_bytes,
            disk,
        }
    }

    /// Called by each thread as its last act.
    pub(super) fn thread_ended(&self) {
        self.threads.send_modify(|n| {
            *n -= 1;
            if *n == 0 {
                // Before anybody who waits for the end can try to open the journal again.
                lock(&self.lock).take();
            }
        });
    }

    pub(super) fn bytes_after(&self, seq: u64) -> u64 {
        lock(&self.segments).iter().map(|s| lag_in(s, seq)).sum()
    }

    pub(super) fn usage(&self) -> Usage {
        let durable_seq = *self.durable.borrow();
        let (mut bytes, mut used, mut damaged) = (0, 0, self.damaged_reads.load(Ordering::Relaxed));
        let segments: Vec<_> = lock(&self.segments).iter().cloned().collect();
        for s in &segments {
            bytes += s.extent().end - SEGMENT_HEADER_BYTES;
            used += s.on.bytes;
        }
        let segments_live = segments.len();
        let first_seq = segments.first().map_or(1, |s| s.first_seq);
        let (segments_spare, allocated, disk_full) = {
            let pool = lock(&self.pool);
            (pool.spares.len(), pool.allocated, pool.disk_full)
        };
        let reserve = self.options.reserve_segments as u64 * self.options.segment_bytes;
        damaged += self.lost.iter().map(|r| r.end() - r.start() + 1).sum::<u64>();
        let holders = lock(&self.holders)
            .iter()
            .map(|(name, seq)| HolderUsage {
                name: name.clone(),
                released: *seq,
                lag_entries: durable_seq.saturating_sub(*seq),
                lag_bytes: segments.iter().map(|s| lag_in(s, *seq)).sum(),
            })
            .collect();
        Usage {
            bytes,
            allocated,
            quota: self.options.quota_bytes,
            available: self.options.quota_bytes.saturating_sub(used + reserve),
            disk_full,
            segments_live,
            segments_spare,
            first_seq,
            durable_seq,
            damaged_entries: damaged,
            cache_bytes: lock(&self.cache).bytes(),
            holders,
            archive: self.options.archive.as_ref().map(|_| lock(&self.archive).clone()),
        }
    }
}

/// Bytes of a segment's entries behind `seq`, to one step of its index.
fn lag_in(segment: &Segment, seq: u64) -> u64 {
    let extent = segment.extent();
    if extent.last_seq <= seq {
        0
    } else {
        extent.end - extent.offset_before(seq.saturating_add(1))
    }
}

/// How full a journal is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of entries.
    pub bytes: u64,
    /// Bytes of files, spare segments included.
    pub allocated: u64,
    pub quota: u64,
    /// Bytes of segments that `append` may still take into use if the disk has them.
    pub available: u64,
    /// The disk refused space for another segment.
    pub disk_full: bool,
    pub segments_live: usize,
    pub segments_spare: usize,
    pub first_seq: u64,
    /// 0 when there is none.
    pub durable_seq: u64,
    /// Acknowledged entries that could not be read back: found at start, or by a reader since.
    pub damaged_entries: u64,
    pub cache_bytes: usize,
    pub holders: Vec<HolderUsage>,
    pub archive: Option<ArchiveUsage>,
}

/// How far a consumer is behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HolderUsage {
    pub name: String,
    /// Everything up to here it needs no more.
    pub released: u64,
    pub lag_entries: u64,
    /// On disk; exact to 64 KiB.
    pub lag_bytes: u64,
}

/// Keeps entries from being recycled until it has released them.
#[derive(Debug)]
pub struct Holder {
    shared: Arc<Shared>,
    name: String,
}

impl Holder {
    pub(super) fn register(shared: Arc<Shared>, name: &str, at: u64) -> Self {
        lock(&shared.holders).insert(name.to_owned(), at);
        shared.want_pass();
        Self {
            shared,
            name: name.to_owned(),
        }
    }
    pub fn name(&self) -> &str {
        &self.name
    }
    /// Everything up to and including `seq` is needed no more. A lower one than before changes nothing.
    pub fn release(&self, seq: u64) {
        let mut passed = false;
        if let Some(at) = lock(&self.shared.holders).get_mut(&self.name)
            && seq > *at
        {
            // Most releases stay within a segment, where the keeper has nothing to do.
            let oldest = lock(&self.shared.segments).front().map_or(0, |s| s.extent().last_seq);
            passed = seq >= oldest;
            *at = seq;
        }
        if passed {
            self.shared.want_pass();
        }
    }
    /// The consumer is gone for good and holds nothing any more. Dropping a holder, as when its task is restarted, keeps its hold.
    pub fn remove(self) {
        lock(&self.shared.holders).remove(&self.name);
        self.shared.want_pass();
    }
}
