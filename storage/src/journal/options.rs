//! What can be set about a journal.

use super::format::{ENTRY_FIXED, SEGMENT_HEADER_BYTES};
use crate::retention::RetentionClock;
use andon_engine::time::Span;
use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Told what the journal does; must not block.
pub trait JournalObserver: Debug + Send + Sync + 'static {
    /// One group commit: how long write and sync took, how many entries it made durable, how many bytes.
    fn synced(&self, took: Duration, entries: usize, bytes: usize);
}

/// Where released segments are kept for later reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveOptions {
    pub dir: PathBuf,
    /// Bytes of all its files; above it the oldest go.
    pub bytes_max: u64,
    /// Files whose newest entry was received longer ago than this go.
    pub keep: Span,
}

/// See each field; [`Default`] suits a site on a disk of its own.
#[derive(Debug, Clone)]
pub struct JournalOptions {
    /// Size of a segment: 64 MiB is written in well under a second and wastes little. From 16 KiB to 1 GiB. A change holds for new
    /// segments.
    pub segment_bytes: u64,
    /// All segments together, spare ones included. At least `reserve_segments` + 2 segments.
    pub quota_bytes: u64,
    /// Segments of the quota that only `append_reserved` may use.
    pub reserve_segments: usize,
    /// Bodies from this size on are compressed (lz4) if that makes them smaller. `usize::MAX`: never.
    pub compress_from_bytes: usize,
    /// Latest entries kept in memory for readers that keep up.
    pub tail_cache_bytes: usize,
    /// Entries that wait for the disk; more make `append` wait.
    pub queue_bytes: usize,
    /// A segment is recycled only when its newest entry was received this long ago.
    pub replay_floor: Span,
    /// Names of holders without which nothing is recycled, so that none is overtaken before it has registered.
    pub holders: Vec<String>,
    pub archive: Option<ArchiveOptions>,
    /// What the age of archived entries is measured against. `None`: the clock of the journal, for a place where that cannot jump.
    pub retention: Option<Arc<RetentionClock>>,
    /// When nothing has been appended for this long, the head of the segment notes that everything so far is durable. Then a later
    /// bit error in the last group is known to be damage, not a torn tail.
    pub idle_mark: Duration,
    pub observer: Option<Arc<dyn JournalObserver>>,
}

impl Default for JournalOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            quota_bytes: 4 << 30,
            reserve_segments: 2,
            compress_from_bytes: 16 << 10,
            tail_cache_bytes: 64 << 20,
            queue_bytes: 8 << 20,
            replay_floor: Span::mins(15),
            holders: Vec::new(),
            archive: None,
            retention: None,
            idle_mark: Duration::from_millis(200),
            observer: None,
        }
    }
}

impl JournalOptions {
    pub(super) fn check(&self) -> Result<(), String> {
        if !(16 << 10..=1 << 30).contains(&self.segment_bytes) || !self.segment_bytes.is_multiple_of(4096) {
            return Err(format!(
                "segment_bytes is {}: it must be a multiple of 4096 from 16384 to 1073741824",
                self.segment_bytes
            ));
        }
        let least = self.segment_bytes * (self.reserve_segments as u64 + 2);
        if self.quota_bytes < least {
            return Err(format!(
                "quota_bytes is {}: with segments of {} bytes and {} in reserve it must be at least {least}",
                self.quota_bytes, self.segment_bytes, self.reserve_segments
            ));
        }
        if self.queue_bytes == 0 || u32::try_from(self.queue_bytes).is_err() {
            return Err(format!(
                "queue_bytes is {}: it must be from 1 to 4294967295",
                self.queue_bytes
            ));
        }
        Ok(())
    }

    /// Header and body of the largest entry, before compression: a segment takes at least one of any kind.
    pub(super) fn entry_bytes_max(&self) -> usize {
        (self.segment_bytes - SEGMENT_HEADER_BYTES) as usize - ENTRY_FIXED
    }

    /// Spare segments kept ready: the next one and the reserve, on disk already so that a full disk cannot take it away.
    pub(super) fn spare_target(&self) -> usize {
        self.reserve_segments + 1
    }
}
