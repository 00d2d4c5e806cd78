//! A segment: one file in one of its lives.

use super::format::{SEGMENT_HEADER_BYTES, SegmentHeader};
use super::io::{JournalFile, JournalIo, write_all_at};
use andon_engine::time::Timestamp;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One step of the sparse index: the cost of finding an entry is at most this much reading.
const INDEX_STRIDE: u64 = 64 << 10;

/// Locks whatever an earlier holder's panic left: the journal's own failure flag decides whether to go on, not the lock.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The file of a segment, whichever life it is in.
#[derive(Debug)]
pub(super) struct SegmentFile {
    /// Number in the file's name; means nothing but to tell files apart.
    pub slot: u32,
    pub path: PathBuf,
    pub file: Arc<dyn JournalFile>,
    pub bytes: u64,
}

/// What of a segment has become durable. Sequences and offsets only grow.
#[derive(Debug, Clone)]
pub(super) struct Extent {
    /// Behind the last durable entry.
    pub end: u64,
    /// 0 when there is none.
    pub last_seq: u64,
    pub received_min: Timestamp,
    pub received_max: Timestamp,
    /// Sequence and offset of an entry for each stride.
    index: Vec<(u64, u64)>,
}

impl Extent {
    pub(super) fn empty() -> Self {
        Self {
            end: SEGMENT_HEADER_BYTES,
            last_seq: 0,
            received_min: Timestamp::MAX,
            received_max: Timestamp::MIN,
            index: Vec::new(),
        }
    }
    /// Notes an entry at `offset`, after all noted before.
    pub(super) fn add(&mut self, seq: u64, offset: u64, size: u64, received_at: Timestamp) {
        if self.index.last().is_none_or(|(_, at)| offset - at >= INDEX_STRIDE) {
            self.index.push((seq, offset));
        }
        self.end = offset + size;
        self.last_seq = seq;
        self.received_min = self.received_min.min(received_at);
        self.received_max = self.received_max.max(received_at);
    }
    /// Where to begin reading for `seq`: an entry at or before it.
    pub(super) fn offset_before(&self, seq: u64) -> u64 {
        match self.index.partition_point(|(s, _)| *s <= seq) {
            0 => SEGMENT_HEADER_BYTES,
            n => self.index[n - 1].1,
        }
    }
}

/// A segment in use.
#[derive(Debug)]
pub(super) struct Segment {
    pub on: SegmentFile,
    pub epoch: u64,
    pub first_seq: u64,
    /// Taken from the reserve: `append` may not fill it while the reserve is short.
    pub from_reserve: bool,
    extent: Mutex<Extent>,
}

impl Segment {
    pub(super) fn new(on: SegmentFile, header: &SegmentHeader, from_reserve: bool, extent: Extent) -> Self {
        let SegmentHeader { epoch, first_seq, .. } = *header;
        Self {
            on,
            epoch,
            first_seq,
            from_reserve,
            extent: Mutex::new(extent),
        }
    }
    pub(super) fn extent(&self) -> MutexGuard<'_, Extent> {
        lock(&self.extent)
    }
}

pub(super) fn file_name(slot: u32) -> String {
    format!("{slot:08}.segment")
}

/// The slot of a segment's file name.
pub(super) fn parse_file_name(name: &str) -> Option<u32> {
    let digits = name.strip_suffix(".segment")?;
    (digits.len() == 8 && digits.bytes().all(|b| b.is_ascii_digit()))
        .then(|| digits.parse().ok())
        .flatten()
}

/// A segment that is being made; a crash leaves it behind, and the next start removes it.
pub(super) const UNFINISHED: &str = ".unfinished";

/// Writes both copies of a header and syncs them.
pub(super) fn write_header(file: &dyn JournalFile, header: &SegmentHeader) -> io::Result<()> {
    write_all_at(file, &header.encode(), 0)?;
    file.sync_data()
}

/// Makes a file of zeros with a header that says it is free, durable under its name. On an error nothing is left of it.
pub(super) fn create(io: &dyn JournalIo, dir: &Path, slot: u32, header: &SegmentHeader) -> io::Result<SegmentFile> {
    let path = dir.join(file_name(slot));
    let unfinished = dir.join(format!("{}{UNFINISHED}", file_name(slot)));
    let bytes = header.segment_bytes;
    let fill = || {
        let file = io.create(&unfinished)?;
        file.allocate(bytes)?;
        let zeros = vec![0; (1 << 20).min(bytes as usize)];
        let mut at = 0;
        while at < bytes {
            let n = (bytes - at).min(zeros.len() as u64);
            write_all_at(&*file, &zeros[..n as usize], at)?;
            at += n;
            // In portions: the writer's own syncs go through the same file system and must not wait for all of it.
            if at.is_multiple_of(8 << 20) {
                file.sync_data()?;
            }
        }
        // Twice: a header must never be on disk before the zeros behind it.
        file.sync_data()?;
        write_header(&*file, header)?;
        io.rename(&unfinished, &path)?;
        io.sync_dir(dir)?;
        Ok(file)
    };
    match fill() {
        Ok(file) => Ok(SegmentFile {
            slot,
            path,
            file,
            bytes,
        }),
        Err(e) => {
            let _ = io.remove(&unfinished);
            let _ = io.remove(&path);
            Err(e)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(parse_file_name(&file_name(7)), Some(7));
        assert_eq!(parse_file_name("00000007.segment.unfinished"), None);
        assert_eq!(parse_file_name("+0000007.segment"), None);
        assert_eq!(parse_file_name("é"), None);
    }

    #[test]
    fn the_index_leads_to_an_entry_at_or_before() {
        let mut e = Extent::empty();
        for i in 0..1000u64 {
            e.add(
                i + 10,
                SEGMENT_HEADER_BYTES + i * 1000,
                1000,
                Timestamp::from_micros(i as i64),
            );
        }
        assert_eq!(e.offset_before(3), SEGMENT_HEADER_BYTES);
        for seq in 10..1010 {
            let true_offset = SEGMENT_HEADER_BYTES + (seq - 10) * 1000;
            let got = e.offset_before(seq);
            assert!(
                got <= true_offset && true_offset - got < INDEX_STRIDE + 1000,
                "{seq}: {got}"
            );
        }
        assert_eq!((e.last_seq, e.received_max), (1009, Timestamp::from_micros(999)));
    }
}
