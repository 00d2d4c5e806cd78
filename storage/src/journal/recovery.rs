//! Opening a journal: what is on disk, what of it counts, and an end at which writing can go on.

use super::cache::TailCache;
use super::format::{
    Check, EntryView, HeaderFault, SEGMENT_HEADER_BYTES, SegmentHeader, claims_entry, decode_entry, next_valid,
};
use super::io::{JournalIo, read_tolerant, write_all_at};
use super::options::JournalOptions;
use super::segment::{self, Extent, Segment, SegmentFile, UNFINISHED, parse_file_name, write_header};
use super::shared::{Pool, Queue, Shared};
use super::writer::Tail;
use super::{archive, keeper};
use andon_engine::ids::JournalId;
use andon_engine::time::Clock;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use tokio::sync::{Semaphore, watch};

/// Why a journal cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("journal options: {0}")]
    Options(String),
    #[error("journal {dir} is in use by another process; stop that one first")]
    Locked { dir: String },
    #[error("journal: cannot {action} {path}: {source}")]
    Io {
        action: &'static str,
        path: String,
        source: io::Error,
    },
    #[error(
        "journal segment {path} has format version {version}, which this program does not know; start the version that wrote it"
    )]
    Version { path: String, version: u32 },
    #[error(
        "journal {dir} has segments of two journals, {one:08x} and {other:08x}; move the files of one of them away"
    )]
    Mixed { dir: String, one: u32, other: u32 },
    #[error(
        "journal {dir} has segments but the head of none can be read; restore it from a backup, or move the directory away to begin anew"
    )]
    Unreadable { dir: String },
    #[error("journal: cannot start a thread: {0}")]
    Thread(io::Error),
    #[error("journal: opening was interrupted")]
    Interrupted,
}

/// What was found at start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpenReport {
    pub id: JournalId,
    /// There was no journal, and now there is.
    pub created: bool,
    pub first_seq: u64,
    /// The highest sequence; 0 when there is none. Everything up to here is durable now.
    pub last_seq: u64,
    /// Entries that can be read.
    pub entries: u64,
    /// Bytes of these entries on disk.
    pub bytes: u64,
    /// Acknowledged entries that are lost, in order.
    pub damaged: Vec<Damage>,
    /// What was cut off the end; it had not been acknowledged, as far as can be told.
    pub cut_tail: Option<CutTail>,
    /// Segment files whose head and entries could not be read; renamed, not used.
    pub set_aside: Vec<String>,
    /// Blocks of 4 KiB that the disk could not read.
    pub unreadable_blocks: usize,
}

impl OpenReport {
    /// Acknowledged entries that are lost.
    pub fn damaged_entries(&self) -> u64 {
        self.damaged.iter().map(|d| d.last_seq - d.first_seq + 1).sum()
    }
}

/// A range of acknowledged entries that cannot be read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    pub first_seq: u64,
    pub last_seq: u64,
    /// The file in which they lay.
    pub path: String,
}

/// What was cut off the end of the last segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CutTail {
    pub path: String,
    pub offset: u64,
    pub bytes: u64,
    /// Whole entries behind the first bad one.
    pub valid_entries: u64,
}

pub(super) struct Recovered {
    pub shared: Arc<Shared>,
    pub tail: Tail,
    pub report: OpenReport,
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    let path = path.display().to_string();
    move |source| OpenError::Io { action, path, source }
}

/// A segment file as found, and its header.
struct Found {
    on: SegmentFile,
    header: SegmentHeader,
    /// Both copies of the header agree.
    whole: bool,
}

/// A contiguous run of entries: each begins where the one before ends and has the next sequence.
struct Run {
    offset: u64,
    end: u64,
    first: u64,
    last: u64,
    entries: u64,
}

/// What one segment holds.
struct Walk {
    runs: Vec<Run>,
    extent: Extent,
    synced_to: u64,
}

/// Reads entries in order, passing over damage to the next one that is valid, has a higher sequence and is below `limit`.
fn walk(bytes: &[u8], check: &Check, epoch: u64, first_seq: u64, limit: Option<u64>) -> Walk {
    let mut out = Walk {
        runs: Vec::new(),
        extent: Extent::empty(),
        synced_to: 0,
    };
    let mut at = SEGMENT_HEADER_BYTES as usize;
    let mut last = first_seq.saturating_sub(1);
    let fits = |e: &EntryView<'_>, last: u64| e.fixed.seq > last && limit.is_none_or(|l| e.fixed.seq < l);
    let valid_at = |at: usize, last: u64| {
        let view = decode_entry(bytes.get(at..)?, check, Some(epoch)).ok()?;
        fits(&view, last).then_some(view)
    };
    loop {
        let (pos, view) = match valid_at(at, last) {
            Some(view) => (at, view),
            // The next segment continues here: what follows are remains of earlier lives.
            None if limit == Some(last + 1) => break,
            None => {
                // Right behind the damaged one, if its length is whole; else wherever the next one is.
                let claimed = bytes.get(at..).and_then(|b| claims_entry(b, epoch)).map(|n| at + n);
                let next = match claimed.filter(|pos| valid_at(*pos, last).is_some()) {
                    Some(pos) => Some(pos),
                    None => next_valid(bytes, at + 8, check, epoch, last + 1),
                };
                match next.and_then(|pos| Some((pos, valid_at(pos, last)?))) {
                    Some(found) => found,
                    None => break,
                }
            }
        };
        let (seq, offset, end) = (view.fixed.seq, pos as u64, (pos + view.size) as u64);
        match out.runs.last_mut().filter(|r| r.end == offset && r.last + 1 == seq) {
            Some(run) => {
                run.end = end;
                run.last = seq;
                run.entries += 1;
            }
            None => out.runs.push(Run {
                offset,
                end,
                first: seq,
                last: seq,
                entries: 1,
            }),
        }
        out.extent.add(seq, offset, view.size as u64, view.fixed.received_at);
        out.synced_to = out.synced_to.max(view.fixed.synced_to);
        last = seq;
        at = pos + view.size;
    }
    out
}

pub(super) fn open(
    io: Arc<dyn JournalIo>,
    dir: &Path,
    options: JournalOptions,
    clock: Arc<dyn Clock>,
) -> Result<Recovered, OpenError> {
    options.check().map_err(OpenError::Options)?;
    io.create_dir(dir).map_err(io_error("make", dir))?;
    let lock_path = dir.join("lock");
    let guard = io.lock(&lock_path).map_err(|e| match e.kind() {
        io::ErrorKind::WouldBlock => OpenError::Locked {
            dir: dir.display().to_string(),
        },
        _ => io_error("lock", &lock_path)(e),
    })?;
    let mut r = Recovery {
        io,
        dir,
        report: OpenReport::default(),
        lost: Vec::new(),
        names_changed: false,
    };
    let (mut found, headless, highest_slot) = r.find_files()?;
    let (id, salt) = r.identity(&found, &headless)?;
    let check = Check::new(salt);
    r.infer_headers(headless, &mut found, id, salt, &check)?;
    found.sort_by_key(|f| f.header.epoch);
    let next_epoch = found.iter().map(|f| f.header.epoch).max().unwrap_or(0) + 1;
    let generation = found.iter().map(|f| f.header.generation).max().unwrap_or(0) + 1;
    let marked = found.iter().map(|f| f.header.synced_to).max().unwrap_or(0);
    let (live, free): (Vec<_>, Vec<_>) = found.into_iter().partition(|f| f.header.live);
    let spares = r.spares(free, &live, &options)?;
    let generation = AtomicU64::new(generation);
    let (segments, next_seq) = r.read_segments(live, &check, marked, &generation)?;
    if r.names_changed {
        r.io.sync_dir(dir).map_err(io_error("sync", dir))?;
    }
    let (io, mut report, lost) = (r.io, r.report, r.lost);
    report.created = segments.is_empty() && next_seq == 1 && spares.is_empty();
    report.id = id;
    let archive_usage = match &options.archive {
        None => archive::ArchiveUsage::default(),
        Some(a) => archive::open(&*io, &a.dir).map_err(io_error("open the archive in", &a.dir))?,
    };
    let in_use: u64 = segments.iter().map(|s| s.on.bytes).sum();
    let allocated = in_use + spares.iter().map(|s| s.bytes).sum::<u64>();
    let shared = Arc::new(Shared {
        dir: dir.to_owned(),
        clock,
        id,
        salt,
        check,
        permits: Arc::new(Semaphore::new(options.queue_bytes)),
        queue: Mutex::new(Queue::default()),
        queue_filled: Default::default(),
        segments: Mutex::new(segments.into()),
        cache: Mutex::new(TailCache::new(options.tail_cache_bytes)),
        durable: watch::Sender::new(next_seq - 1),
        lost,
        damaged_reads: AtomicU64::new(0),
        pool: Mutex::new(Pool {
            spares,
            allocated,
            next_slot: highest_slot,
            ..Pool::default()
        }),
        pool_wanted: Default::default(),
        pool_changed: Default::default(),
        generation,
        holders: Mutex::new(BTreeMap::new()),
        archive: Mutex::new(archive_usage),
        failure: watch::Sender::new(None),
        threads: watch::Sender::new(2),
        lock: Mutex::new(Some(guard)),
        io,
        options,
    });
    let mut tail = Tail {
        next_seq,
        next_epoch,
        marked: next_seq - 1,
    };
    activate_first(&shared, &mut tail)?;
    report.first_seq = shared.first_seq();
    report.last_seq = next_seq - 1;
    Ok(Recovered { shared, tail, report })
}

/// A new journal, or one whose segments are all free, gets a segment to write.
fn activate_first(shared: &Shared, tail: &mut Tail) -> Result<(), OpenError> {
    if !segment::lock(&shared.segments).is_empty() {
        return Ok(());
    }
    if segment::lock(&shared.pool).spares.is_empty() {
        keeper::add_spare(shared).map_err(io_error("make a segment in", &shared.dir))?;
    }
    let on = segment::lock(&shared.pool).spares.pop().expect("one was just made");
    let header = shared.header(true, tail.next_epoch, tail.next_seq, tail.marked, on.bytes);
    write_header(&*on.file, &header).map_err(io_error("write the head of", &on.path))?;
    tail.next_epoch += 1;
    segment::lock(&shared.segments).push_back(Arc::new(Segment::new(on, &header, false, Extent::empty())));
    Ok(())
}

fn random_u64() -> u64 {
    // The standard library keys this hasher from the system's random source.
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

struct Recovery<'a> {
    io: Arc<dyn JournalIo>,
    dir: &'a Path,
    report: OpenReport,
    lost: Vec<RangeInclusive<u64>>,
    names_changed: bool,
}

impl Recovery<'_> {
    fn remove(&mut self, path: &Path) -> Result<(), OpenError> {
        self.names_changed = true;
        self.io.remove(path).map_err(io_error("remove", path))
    }

    /// Segment files with a readable header, those without, and the highest slot in use.
    fn find_files(&mut self) -> Result<(Vec<Found>, Vec<SegmentFile>, u32), OpenError> {
        let (mut found, mut headless, mut highest) = (Vec::new(), Vec::new(), 0);
        let mut names = self.io.list(self.dir).map_err(io_error("list", self.dir))?;
        names.sort();
        for name in names {
            let path = self.dir.join(&name);
            if name.ends_with(UNFINISHED) {
                self.remove(&path)?;
                continue;
            }
            let Some(slot) = parse_file_name(name.strip_suffix(".damaged").unwrap_or(&name)) else {
                continue;
            };
            highest = highest.max(slot);
            if name.ends_with(".damaged") {
                continue;
            }
            let file = self.io.open(&path).map_err(io_error("open", &path))?;
            let bytes = file.len().map_err(io_error("open", &path))?;
            let mut head = vec![0; SEGMENT_HEADER_BYTES as usize];
            let decoded = match read_tolerant(&*file, &mut head, 0) {
                Ok(bad) => {
                    self.report.unreadable_blocks += bad;
                    SegmentHeader::decode(&head)
                }
                Err(_) => Err(HeaderFault::Damaged),
            };
            let mut on = SegmentFile {
                slot,
                path,
                file,
                bytes,
            };
            match decoded {
                Ok((header, whole)) if (16 << 10..=1 << 30).contains(&header.segment_bytes) => {
                    on.bytes = header.segment_bytes;
                    found.push(Found { on, header, whole });
                }
                Err(HeaderFault::Version(version)) => {
                    return Err(OpenError::Version {
                        path: on.path.display().to_string(),
                        version,
                    });
                }
                _ => headless.push(on),
            }
        }
        Ok((found, headless, highest))
    }

    /// Id and salt of the journal; new ones when there is no segment at all.
    fn identity(&self, found: &[Found], headless: &[SegmentFile]) -> Result<(JournalId, u64), OpenError> {
        let dir = || self.dir.display().to_string();
        let Some(one) = found.first() else {
            if !headless.is_empty() {
                return Err(OpenError::Unreadable { dir: dir() });
            }
            return Ok((JournalId((random_u64() as u32).max(1)), random_u64()));
        };
        for f in found {
            if (f.header.journal, f.header.salt) != (one.header.journal, one.header.salt) {
                return Err(OpenError::Mixed {
                    dir: dir(),
                    one: one.header.journal.0,
                    other: f.header.journal.0,
                });
            }
        }
        Ok((one.header.journal, one.header.salt))
    }

    /// A segment both copies of whose header are damaged still tells by its entries which life it is in. One that does not is set aside.
    fn infer_headers(
        &mut self,
        headless: Vec<SegmentFile>,
        found: &mut Vec<Found>,
        journal: JournalId,
        salt: u64,
        check: &Check,
    ) -> Result<(), OpenError> {
        for mut on in headless {
            on.bytes = on.bytes.min(1 << 30);
            let bytes = self.read(&on)?;
            let mut newest: Option<(u64, u64)> = None;
            for at in (SEGMENT_HEADER_BYTES as usize..bytes.len()).step_by(8) {
                // Whichever epoch it claims; the first entry found of the newest epoch is the segment's first that can be read.
                if let Ok(e) = decode_entry(&bytes[at..], check, None)
                    && newest.is_none_or(|(epoch, _)| e.fixed.epoch > epoch)
                {
                    newest = Some((e.fixed.epoch, e.fixed.seq));
                }
            }
            let fits = |(epoch, first): &(u64, u64)| {
                found
                    .iter()
                    .filter(|f| f.header.live)
                    .all(|f| f.header.epoch != *epoch && (f.header.epoch < *epoch) == (f.header.first_seq <= *first))
            };
            let Some((epoch, first_seq)) = newest.filter(fits) else {
                let aside = on.path.with_extension("segment.damaged");
                self.io.rename(&on.path, &aside).map_err(io_error("rename", &on.path))?;
                self.names_changed = true;
                self.report.set_aside.push(aside.display().to_string());
                continue;
            };
            let segment_bytes = on.bytes;
            let header = SegmentHeader {
                journal,
                salt,
                epoch,
                generation: 0,
                live: true,
                first_seq,
                synced_to: first_seq - 1,
                segment_bytes,
            };
            found.push(Found {
                on,
                header,
                whole: false,
            });
        }
        Ok(())
    }

    /// Free segments that can be used again; others are removed.
    fn spares(
        &mut self,
        free: Vec<Found>,
        live: &[Found],
        options: &JournalOptions,
    ) -> Result<Vec<SegmentFile>, OpenError> {
        let mut bytes: u64 = live.iter().map(|f| f.on.bytes).sum();
        let mut spares = Vec::new();
        for f in free {
            if f.on.bytes != options.segment_bytes || bytes + f.on.bytes > options.quota_bytes {
                self.remove(&f.on.path)?;
                continue;
            }
            bytes += f.on.bytes;
            spares.push(f.on);
        }
        Ok(spares)
    }

    fn read(&mut self, on: &SegmentFile) -> Result<Vec<u8>, OpenError> {
        let mut bytes = vec![0; on.bytes as usize];
        self.report.unreadable_blocks += read_tolerant(&*on.file, &mut bytes, 0).map_err(io_error("read", &on.path))?;
        Ok(bytes)
    }

    fn lose(&mut self, first_seq: u64, last_seq: u64, path: &Path) {
        if first_seq <= last_seq {
            self.lost.push(first_seq..=last_seq);
            self.report.damaged.push(Damage {
                first_seq,
                last_seq,
                path: path.display().to_string(),
            });
        }
    }

    /// Verifies every live segment and gives the last one an end. Answers the segments and the next sequence.
    fn read_segments(
        &mut self,
        live: Vec<Found>,
        check: &Check,
        marked: u64,
        generation: &AtomicU64,
    ) -> Result<(Vec<Arc<Segment>>, u64), OpenError> {
        let mut synced_to = marked;
        let firsts: Vec<u64> = live.iter().map(|f| f.header.first_seq).collect();
        let mut segments = Vec::new();
        // Nothing is missing before the first segment: it was recycled.
        let mut last = firsts.first().map_or(0, |f| f.saturating_sub(1));
        let mut next_seq = marked + 1;
        let mut before: Option<PathBuf> = None;
        for (i, f) in live.into_iter().enumerate() {
            let mut bytes = self.read(&f.on)?;
            let SegmentHeader { epoch, first_seq, .. } = f.header;
            let limit = firsts.get(i + 1).copied();
            self.lose(
                last + 1,
                first_seq.saturating_sub(1),
                before.as_deref().unwrap_or(&f.on.path),
            );
            last = last.max(first_seq.saturating_sub(1));
            let mut walked = walk(&bytes, check, epoch, first_seq, limit);
            synced_to = synced_to.max(walked.synced_to);
            let mut end = SEGMENT_HEADER_BYTES;
            let mut kept = 0;
            for run in &walked.runs {
                // Only the last segment can have a torn tail: each is synced whole before the next begins.
                let missing = last + 1;
                let follows = run.first == missing && run.offset == end;
                if limit.is_none() && !follows && (missing > synced_to || run.first > synced_to + 1) {
                    break;
                }
                self.lose(missing, run.first - 1, &f.on.path);
                self.report.entries += run.entries;
                self.report.bytes += run.end - run.offset;
                (last, end) = (run.last, run.end);
                kept += 1;
            }
            if limit.is_none() {
                self.lose(last + 1, synced_to, &f.on.path);
                let dropped: u64 = walked.runs[kept..].iter().map(|r| r.entries).sum();
                let unproven = first_above(&bytes, check, epoch, &walked.runs[..kept], synced_to).unwrap_or(end);
                self.mend_tail(&f.on, &mut bytes, epoch, unproven..end, dropped)?;
                next_seq = last.max(synced_to) + 1;
                last = next_seq - 1;
                walked = walk(&bytes, check, epoch, first_seq, None);
                let generation = generation.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                let header = SegmentHeader {
                    generation,
                    synced_to: last,
                    ..f.header
                };
                write_header(&*f.on.file, &header).map_err(io_error("write the head of", &f.on.path))?;
            } else if !f.whole {
                let generation = generation.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                let header = SegmentHeader { generation, ..f.header };
                write_header(&*f.on.file, &header).map_err(io_error("write the head of", &f.on.path))?;
            }
            before = Some(f.on.path.clone());
            segments.push(Arc::new(Segment::new(f.on, &f.header, false, walked.extent)));
        }
        Ok((segments, next_seq))
    }

    /// Makes the end of the last segment what it was found to be. `unproven` are the bytes of valid entries that nothing says are on
    /// disk: they are written anew, because after a failed sync the kernel can show data that never got there.
    fn mend_tail(
        &mut self,
        on: &SegmentFile,
        bytes: &mut [u8],
        epoch: u64,
        unproven: std::ops::Range<u64>,
        dropped: u64,
    ) -> Result<(), OpenError> {
        let write = |bytes: &[u8], offset| write_all_at(&*on.file, bytes, offset).map_err(io_error("write", &on.path));
        if !unproven.is_empty() {
            write(&bytes[unproven.start as usize..unproven.end as usize], unproven.start)?;
        }
        // Whatever claims to be an entry of this life behind the end is wiped, or it could pass for one later.
        let end = unproven.end as usize;
        let cut = (end..bytes.len())
            .step_by(8)
            .filter_map(|at| Some((at + claims_entry(&bytes[at..], epoch)?).min(bytes.len())))
            .max();
        if let Some(cut) = cut {
            bytes[end..cut].fill(0);
            write(&bytes[end..cut], unproven.end)?;
            self.report.cut_tail = Some(CutTail {
                path: on.path.display().to_string(),
                offset: unproven.end,
                bytes: (cut - end) as u64,
                valid_entries: dropped,
            });
        }
        on.file.sync_data().map_err(io_error("sync", &on.path))
    }
}

/// Where the first entry above `synced_to` begins.
fn first_above(bytes: &[u8], check: &Check, epoch: u64, runs: &[Run], synced_to: u64) -> Option<u64> {
    let run = runs.iter().find(|r| r.last > synced_to)?;
    let mut at = run.offset as usize;
    while (at as u64) < run.end {
        let entry = decode_entry(&bytes[at..], check, Some(epoch)).ok()?;
        if entry.fixed.seq > synced_to {
            return Some(at as u64);
        }
        at += entry.size;
    }
    None
}
