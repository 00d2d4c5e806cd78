//! Segments after their life in the journal: copied, compressed, kept for a time, read by time.
//!
//! ```text
//! name  = journal (8 hex) - first_seq (20 digits) - last_seq (20 digits) - received_min (16 hex) - received_max (16 hex) .archive
//! file  = block × n
//! block = magic u32 · header_crc u32 · raw_len u32 · packed_len u32 · received_min i64 · received_max i64 · crc u32 · zero u32
//!         · packed (lz4 of raw) · zeros up to a multiple of 8
//! raw   = entry × n
//! entry = seq u64 · received_at i64 · body_len u32 · header_len u32 · stored_len u32 · kind u8 · flags u8 · header · body (lz4 if flag 1)
//! ```
//! The stamps in a name are offset by 2^63, so that names tell and sort without a file being opened.

use super::Entry;
use super::format::decompress;
use super::io::{JournalFile, JournalIo, read_full_at, write_all_at};
use super::options::ArchiveOptions;
use super::reader::{StoredEntry, for_each};
use super::segment::{Segment, UNFINISHED, lock};
use super::shared::Shared;
use andon_engine::ids::JournalId;
use andon_engine::time::Timestamp;
use bytes::Bytes;
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const SUFFIX: &str = ".archive";
const BLOCK_MAGIC: u32 = u32::from_le_bytes(*b"ANDB");
const BLOCK_HEADER: usize = 40;
const ENTRY_FIXED: usize = 30;
/// Raw bytes of a block, but for a single larger entry: what a reader decompresses to get at one entry.
const BLOCK_BYTES: usize = 256 << 10;
/// No block is larger than a segment.
const RAW_BYTES_MAX: usize = 1 << 30;

/// What the archive holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ArchiveUsage {
    pub files: usize,
    pub bytes: u64,
    /// The lowest sequence kept of this journal.
    pub first_seq: Option<u64>,
    /// Files removed for their age since start.
    pub expired: u64,
    /// Files removed for want of space since start, before their time.
    pub evicted: u64,
    /// Why the last attempt to store or remove a file failed. Segments cannot be recycled while it does.
    pub fault: Option<String>,
}

/// What a file's name says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    journal: u32,
    first_seq: u64,
    last_seq: u64,
    received_min: Timestamp,
    received_max: Timestamp,
}

const STAMP_OFFSET: u64 = 1 << 63;

impl Name {
    fn text(&self) -> String {
        let stamp = |t: Timestamp| (t.as_micros() as u64) ^ STAMP_OFFSET;
        format!(
            "{:08x}-{:020}-{:020}-{:016x}-{:016x}{SUFFIX}",
            self.journal,
            self.first_seq,
            self.last_seq,
            stamp(self.received_min),
            stamp(self.received_max)
        )
    }
    fn parse(name: &str) -> Option<Self> {
        let mut parts = name.strip_suffix(SUFFIX)?.split('-');
        let mut part = |len: usize, radix| {
            let p = parts
                .next()
                .filter(|p| p.len() == len && p.bytes().all(|b| b.is_ascii_alphanumeric()))?;
            u64::from_str_radix(p, radix).ok()
        };
        let journal = part(8, 16)? as u32;
        let (first_seq, last_seq) = (part(20, 10)?, part(20, 10)?);
        let (min, max) = (part(16, 16)?, part(16, 16)?);
        let stamp = |n: u64| Timestamp::from_micros((n ^ STAMP_OFFSET) as i64);
        let done = parts.next().is_none();
        done.then_some(Self {
            journal,
            first_seq,
            last_seq,
            received_min: stamp(min),
            received_max: stamp(max),
        })
    }
}

/// All files, oldest sequence first, with their sizes.
fn list(io: &dyn JournalIo, dir: &Path) -> io::Result<Vec<Name>> {
    let mut names: Vec<_> = io.list(dir)?.iter().filter_map(|n| Name::parse(n)).collect();
    names.sort_by_key(|n| (n.received_max, n.first_seq));
    Ok(names)
}

/// The files of one journal, by sequence.
fn of_journal(io: &dyn JournalIo, dir: &Path, journal: JournalId) -> io::Result<Vec<Name>> {
    let mut names = list(io, dir)?;
    names.retain(|n| n.journal == journal.0);
    names.sort_by_key(|n| (n.first_seq, n.last_seq));
    Ok(names)
}

/// The first sequences from `from` up to before `end` that no file of `journal` under `dir` is named after.
pub(super) fn gap(
    io: &dyn JournalIo,
    dir: &Path,
    journal: JournalId,
    from: u64,
    end: u64,
) -> io::Result<Option<RangeInclusive<u64>>> {
    let mut next = from;
    for name in of_journal(io, dir, journal)? {
        if next >= end {
            return Ok(None);
        }
        if name.first_seq > next {
            return Ok(Some(next..=name.first_seq.min(end) - 1));
        }
        next = next.max(name.last_seq.saturating_add(1));
    }
    Ok((next < end).then(|| next..=end - 1))
}

fn size(io: &dyn JournalIo, path: &Path) -> io::Result<u64> {
    match io.open(path) {
        Ok(file) => file.len(),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(0),
        Err(e) => Err(e),
    }
}

/// Makes the directory and removes what a crash left unfinished.
pub(super) fn open(io: &dyn JournalIo, dir: &Path) -> io::Result<ArchiveUsage> {
    io.create_dir(dir)?;
    for name in io.list(dir)?.iter().filter(|n| n.ends_with(UNFINISHED)) {
        io.remove(&dir.join(name))?;
    }
    let names = list(io, dir)?;
    let mut usage = ArchiveUsage {
        files: names.len(),
        ..ArchiveUsage::default()
    };
    for name in &names {
        usage.bytes += size(io, &dir.join(name.text()))?;
    }
    usage.first_seq = names.iter().map(|n| n.first_seq).min();
    Ok(usage)
}

/// Copies a segment's entries to the archive, durable when it returns. A full disk costs the oldest files of the archive, because the
/// journal needs the segment more.
pub(super) fn store(shared: &Shared, options: &ArchiveOptions, segment: &Arc<Segment>) -> io::Result<()> {
    loop {
        match store_once(shared, options, segment) {
            Err(e) if matches!(e.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => {
                let Some(oldest) = list(&*shared.io, &options.dir)?.into_iter().next() else {
                    return Err(e);
                };
                let path = options.dir.join(oldest.text());
                tracing::warn!(path = %path.display(), "archive file removed early: the disk is full");
                shared.io.remove(&path)?;
                shared.io.sync_dir(&options.dir)?;
                lock(&shared.archive).evicted += 1;
            }
            other => return other,
        }
    }
}

fn store_once(shared: &Shared, options: &ArchiveOptions, segment: &Arc<Segment>) -> io::Result<()> {
    let name = {
        let extent = segment.extent();
        if extent.last_seq == 0 {
            return Ok(());
        }
        Name {
            journal: shared.id.0,
            first_seq: segment.first_seq,
            last_seq: extent.last_seq,
            received_min: extent.received_min,
            received_max: extent.received_max,
        }
    };
    let path = options.dir.join(name.text());
    let unfinished = options.dir.join(format!("{}{UNFINISHED}", name.text()));
    let write = || {
        let file = shared.io.create(&unfinished)?;
        let mut out = BlockWriter::new(&*file);
        for_each(shared, segment, |view| out.add(view))?;
        out.finish()?;
        file.sync_data()?;
        shared.io.rename(&unfinished, &path)?;
        shared.io.sync_dir(&options.dir)
    };
    write().inspect_err(|_| {
        let _ = shared.io.remove(&unfinished);
    })
}

struct BlockWriter<'a> {
    file: &'a dyn JournalFile,
    offset: u64,
    raw: Vec<u8>,
    received_min: Timestamp,
    received_max: Timestamp,
}

impl<'a> BlockWriter<'a> {
    fn new(file: &'a dyn JournalFile) -> Self {
        Self {
            file,
            offset: 0,
            raw: Vec::new(),
            received_min: Timestamp::MAX,
            received_max: Timestamp::MIN,
        }
    }

    fn add(&mut self, view: &StoredEntry) -> io::Result<()> {
        let f = &view.fixed;
        let bytes = ENTRY_FIXED + view.header.len() + view.stored.len();
        if !self.raw.is_empty() && self.raw.len() + bytes > BLOCK_BYTES {
            self.finish()?;
        }
        self.raw.extend_from_slice(&f.seq.to_le_bytes());
        self.raw.extend_from_slice(&f.received_at.as_micros().to_le_bytes());
        self.raw.extend_from_slice(&f.body_len.to_le_bytes());
        self.raw.extend_from_slice(&(view.header.len() as u32).to_le_bytes());
        self.raw.extend_from_slice(&(view.stored.len() as u32).to_le_bytes());
        self.raw.extend_from_slice(&[f.kind, u8::from(f.lz4)]);
        self.raw.extend_from_slice(&view.header);
        self.raw.extend_from_slice(&view.stored);
        self.received_min = self.received_min.min(f.received_at);
        self.received_max = self.received_max.max(f.received_at);
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        if self.raw.is_empty() {
            return Ok(());
        }
        let packed = lz4_flex::block::compress(&self.raw);
        let mut block = Vec::with_capacity(BLOCK_HEADER + packed.len() + 8);
        block.extend_from_slice(&BLOCK_MAGIC.to_le_bytes());
        block.extend_from_slice(&[0; 4]);
        block.extend_from_slice(&(self.raw.len() as u32).to_le_bytes());
        block.extend_from_slice(&(packed.len() as u32).to_le_bytes());
        block.extend_from_slice(&self.received_min.as_micros().to_le_bytes());
        block.extend_from_slice(&self.received_max.as_micros().to_le_bytes());
        block.extend_from_slice(&crc32fast::hash(&packed).to_le_bytes());
        block.extend_from_slice(&[0; 4]);
        let crc = crc32fast::hash(&block[8..]);
        block[4..8].copy_from_slice(&crc.to_le_bytes());
        block.extend_from_slice(&packed);
        block.resize(block.len().next_multiple_of(8), 0);
        write_all_at(self.file, &block, self.offset)?;
        self.offset += block.len() as u64;
        self.raw.clear();
        (self.received_min, self.received_max) = (Timestamp::MAX, Timestamp::MIN);
        Ok(())
    }
}

/// Removes files that are too old, and the oldest while there are too many bytes.
pub(super) fn trim(shared: &Shared, options: &ArchiveOptions, now: Timestamp) -> io::Result<()> {
    let mut files = VecDeque::new();
    for name in list(&*shared.io, &options.dir)? {
        let path = options.dir.join(name.text());
        let bytes = size(&*shared.io, &path)?;
        files.push_back((name, path, bytes));
    }
    let mut bytes: u64 = files.iter().map(|f| f.2).sum();
    let (mut expired, mut evicted) = (0, 0);
    while let Some((name, path, size)) = files.front() {
        let old = now.since(name.received_max) > options.keep;
        if !old && bytes <= options.bytes_max {
            break;
        }
        shared.io.remove(path)?;
        bytes -= size;
        *(if old { &mut expired } else { &mut evicted }) += 1;
        files.pop_front();
    }
    if expired + evicted > 0 {
        shared.io.sync_dir(&options.dir)?;
    }
    let mut usage = lock(&shared.archive);
    usage.files = files.len();
    usage.bytes = bytes;
    usage.first_seq = files
        .iter()
        .filter(|f| f.0.journal == shared.id.0)
        .map(|f| f.0.first_seq)
        .min();
    usage.expired += expired;
    usage.evicted += evicted;
    Ok(())
}

/// Which entries are wanted of the archive.
#[derive(Debug, Clone)]
enum Wanted {
    /// `from <= received_at < to`.
    Received(Timestamp, Timestamp),
    Seqs(RangeInclusive<u64>),
}

impl Wanted {
    fn of_file(&self, name: &Name) -> bool {
        match self {
            Wanted::Received(from, to) => name.received_max >= *from && name.received_min < *to,
            Wanted::Seqs(seqs) => name.last_seq >= *seqs.start() && name.first_seq <= *seqs.end(),
        }
    }
    /// Blocks do not say their sequences.
    fn of_block(&self, block: &BlockHeader) -> bool {
        match self {
            Wanted::Received(from, to) => block.received_max >= *from && block.received_min < *to,
            Wanted::Seqs(_) => true,
        }
    }
    fn of_entry(&self, seq: u64, received_at: Timestamp) -> bool {
        match self {
            Wanted::Received(from, to) => (*from..*to).contains(&received_at),
            Wanted::Seqs(seqs) => seqs.contains(&seq),
        }
    }
}

/// Entries of the archive in order of sequence. Blocking. A file that goes while it is read is passed over.
#[derive(Debug)]
pub struct ArchiveReader {
    io: Arc<dyn JournalIo>,
    wanted: Wanted,
    files: VecDeque<(Name, PathBuf)>,
    open: Option<OpenFile>,
    /// The block that is being read, decompressed, and how far.
    block: Vec<u8>,
    at: usize,
    damaged_blocks: u64,
}

#[derive(Debug)]
struct OpenFile {
    file: Arc<dyn JournalFile>,
    offset: u64,
    end: u64,
}

struct BlockHeader {
    raw_len: usize,
    packed_len: usize,
    received_min: Timestamp,
    received_max: Timestamp,
    crc: u32,
}

fn u32_at(b: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(b[at..at + 4].try_into().expect("four bytes"))
}
fn i64_at(b: &[u8], at: usize) -> i64 {
    i64::from_le_bytes(b[at..at + 8].try_into().expect("eight bytes"))
}

impl BlockHeader {
    fn decode(b: &[u8]) -> Option<Self> {
        let b = b.get(..BLOCK_HEADER)?;
        if u32_at(b, 0) != BLOCK_MAGIC || u32_at(b, 4) != crc32fast::hash(&b[8..]) {
            return None;
        }
        let (raw_len, packed_len) = (u32_at(b, 8) as usize, u32_at(b, 12) as usize);
        let stamp = |at| Timestamp::from_micros(i64_at(b, at));
        (raw_len <= RAW_BYTES_MAX && raw_len / 255 <= packed_len).then(|| Self {
            raw_len,
            packed_len,
            received_min: stamp(16),
            received_max: stamp(24),
            crc: u32_at(b, 32),
        })
    }
}

/// The first entry of `raw`, a part of a decompressed block, if it is wanted, and its length there; `None` when there is none.
fn parse_entry(raw: &[u8], wanted: &Wanted) -> Option<(Option<Entry>, usize)> {
    let fixed = raw.get(..ENTRY_FIXED)?;
    let (body_len, header_len, stored_len) = (
        u32_at(fixed, 16) as usize,
        u32_at(fixed, 20) as usize,
        u32_at(fixed, 24) as usize,
    );
    let header = raw.get(ENTRY_FIXED..)?.get(..header_len)?;
    let stored = raw.get(ENTRY_FIXED + header_len..)?.get(..stored_len)?;
    let length = ENTRY_FIXED + header_len + stored_len;
    let (seq, received_at) = (i64_at(fixed, 0) as u64, Timestamp::from_micros(i64_at(fixed, 8)));
    if !wanted.of_entry(seq, received_at) {
        return Some((None, length));
    }
    let entry = Entry {
        seq,
        kind: fixed[28],
        received_at,
        header: Bytes::copy_from_slice(header),
        body: decompress(stored, body_len, fixed[29] != 0)?.into(),
    };
    Some((Some(entry), length))
}

impl ArchiveReader {
    /// Entries of `journal` with `from <= received_at < to` under `dir`.
    pub fn open(
        io: Arc<dyn JournalIo>,
        dir: &Path,
        journal: JournalId,
        from: Timestamp,
        to: Timestamp,
    ) -> io::Result<Self> {
        Self::of(io, dir, journal, Wanted::Received(from, to))
    }

    /// Entries of `journal` with these sequences under `dir`.
    pub(super) fn of_seqs(
        io: Arc<dyn JournalIo>,
        dir: &Path,
        journal: JournalId,
        seqs: RangeInclusive<u64>,
    ) -> io::Result<Self> {
        Self::of(io, dir, journal, Wanted::Seqs(seqs))
    }

    fn of(io: Arc<dyn JournalIo>, dir: &Path, journal: JournalId, wanted: Wanted) -> io::Result<Self> {
        let mut names = of_journal(&*io, dir, journal)?;
        names.retain(|n| wanted.of_file(n));
        let files = names.into_iter().map(|n| (n.clone(), dir.join(n.text()))).collect();
        Ok(Self {
            io,
            wanted,
            files,
            open: None,
            block: Vec::new(),
            at: 0,
            damaged_blocks: 0,
        })
    }

    /// Bytes of the files that were not opened yet and of the rest of the open one, as they lie on disk.
    pub(super) fn bytes_left(&self) -> u64 {
        let open = self.open.as_ref().map_or(0, |o| o.end.saturating_sub(o.offset));
        let size = |(_, path): &(Name, PathBuf)| size(&*self.io, path).unwrap_or(0);
        open + self.files.iter().map(size).sum::<u64>()
    }

    /// Blocks that could not be read and were passed over so far.
    pub fn damaged_blocks(&self) -> u64 {
        self.damaged_blocks
    }

    /// Reads the next block; false at the end of everything.
    fn advance(&mut self) -> io::Result<bool> {
        let Some(open) = &mut self.open else {
            let Some((_, path)) = self.files.front() else {
                return Ok(false);
            };
            match self.io.open(path) {
                Ok(file) => {
                    let end = file.len()?;
                    self.open = Some(OpenFile { file, offset: 0, end });
                }
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
            self.files.pop_front();
            return Ok(true);
        };
        if open.offset >= open.end {
            self.open = None;
            return Ok(true);
        }
        let mut head = [0; BLOCK_HEADER];
        let n = read_full_at(&*open.file, &mut head, open.offset)?;
        let Some(block) = BlockHeader::decode(&head[..n]) else {
            self.damaged_blocks += 1;
            return open.resync().map(|()| true);
        };
        let at = open.offset + BLOCK_HEADER as u64;
        let next = (at + block.packed_len as u64).next_multiple_of(8);
        if at + block.packed_len as u64 > open.end {
            self.damaged_blocks += 1;
            open.offset = open.end;
            return Ok(true);
        }
        if self.wanted.of_block(&block) {
            let mut packed = vec![0; block.packed_len];
            read_full_at(&*open.file, &mut packed, at)?;
            let raw = (crc32fast::hash(&packed) == block.crc)
                .then(|| decompress(&packed, block.raw_len, true))
                .flatten();
            match raw {
                Some(raw) => (self.block, self.at) = (raw, 0),
                None => self.damaged_blocks += 1,
            }
        }
        open.offset = next;
        Ok(true)
    }
}

impl OpenFile {
    /// Goes to the next block behind a damaged header.
    fn resync(&mut self) -> io::Result<()> {
        let mut rest = vec![0; (self.end - self.offset) as usize];
        let n = read_full_at(&*self.file, &mut rest, self.offset)?;
        let next = (8..n)
            .step_by(8)
            .find(|at| BlockHeader::decode(&rest[*at..n]).is_some());
        self.offset = next.map_or(self.end, |at| self.offset + at as u64);
        Ok(())
    }
}

impl Iterator for ArchiveReader {
    type Item = io::Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.at < self.block.len() {
                // One at a time: a block of compressed bodies can be many times larger than itself.
                match parse_entry(&self.block[self.at..], &self.wanted) {
                    Some((entry, length)) => {
                        self.at += length;
                        if let Some(entry) = entry {
                            return Some(Ok(entry));
                        }
                    }
                    None => {
                        self.damaged_blocks += 1;
                        self.at = self.block.len();
                    }
                }
                continue;
            }
            match self.advance() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(e) => {
                    // The rest of this file cannot be had; the next call goes on with the next one.
                    self.open = None;
                    return Some(Err(e));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_come_back_and_sort_by_time() {
        let name = |first, min, max| Name {
            journal: 0xfe,
            first_seq: first,
            last_seq: first + 1,
            received_min: Timestamp::from_micros(min),
            received_max: Timestamp::from_micros(max),
        };
        let n = name(7, -5, 9);
        assert_eq!(Name::parse(&n.text()), Some(n.clone()));
        assert_eq!(Name::parse(&format!("{}{UNFINISHED}", n.text())), None);
        assert_eq!(Name::parse("é-1.archive"), None);
        assert!(name(7, -5, 9).text() < name(7, 5, 9).text());
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parsers_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_entry(&bytes, &Wanted::Seqs(0..=u64::MAX));
            let _ = BlockHeader::decode(&bytes);
        }
    }
}
