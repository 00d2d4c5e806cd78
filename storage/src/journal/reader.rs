//! Cursors over a journal.

use super::Entry;
use super::format::{EntryFault, EntryView, Fixed, SEGMENT_HEADER_BYTES, decode_entry, decompress, next_valid};
use super::io::read_tolerant;
use super::segment::{Segment, lock};
use super::shared::Shared;
use andon_engine::time::Timestamp;
use bytes::Bytes;
use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::watch;

/// One read from disk, unless a single entry is larger.
const CHUNK_BYTES: usize = 1 << 20;
/// Decompressed bytes that one read hands out, unless a single entry is larger: a chunk can expand 255 times.
pub(super) const BATCH_BYTES: usize = 4 << 20;
/// Entries that a reader takes from the cache at once.
const RUN_ENTRIES: usize = 256;

/// Why a reader cannot go on. It stays where it was, so that the call can be repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Asked for what nobody held.
    #[error("entry {wanted} has been recycled; the journal begins at {first}")]
    Recycled { wanted: u64, first: u64 },
    #[error("journal: cannot read {path}: {reason}")]
    Io { path: String, reason: String },
    /// Everything durable has been read and no more will come.
    #[error("the journal is closed")]
    Closed,
}

impl ReadError {
    pub(super) fn of_archive(dir: &Path, error: &io::Error) -> Self {
        ReadError::Io {
            path: dir.display().to_string(),
            reason: error.to_string(),
        }
    }
}

/// A place on disk at which an entry begins or the segment ends.
#[derive(Debug, Clone)]
struct Place {
    segment: Arc<Segment>,
    offset: u64,
}

/// What a scan of the disk found.
struct Scan<T> {
    items: Vec<T>,
    place: Place,
    /// The sequence after the last one found or passed over.
    next: u64,
    lost: u64,
}

/// Reads about [`CHUNK_BYTES`] from `from` on, up to `durable`, and makes an item of each entry; `item` also answers its bytes in
/// memory. At least one, if there is one.
fn scan<T>(
    shared: &Shared,
    place: Option<Place>,
    from: u64,
    durable: u64,
    item: impl Fn(&EntryView<'_>) -> Option<(T, usize)>,
) -> Result<Scan<T>, ReadError> {
    let recycled = |first| ReadError::Recycled { wanted: from, first };
    let (mut next, mut lost) = (from, 0);
    let mut items = Vec::new();
    let mut place = match place {
        Some(place) => place,
        None => {
            let segment = shared.segment_of(from).map_err(recycled)?;
            let offset = segment.extent().offset_before(from);
            Place { segment, offset }
        }
    };
    let (mut want, mut handed_out) = (CHUNK_BYTES, 0);
    while next <= durable {
        let segment = place.segment.clone();
        let end = segment.extent().end;
        if place.offset >= end {
            let Some(after) = shared.segment_after(&segment, next).map_err(recycled)? else {
                break;
            };
            // The gap, if any, lies at the end of the segment that was just read.
            lost += pass_over(shared, next, after.first_seq);
            next = next.max(after.first_seq);
            place = Place {
                segment: after,
                offset: SEGMENT_HEADER_BYTES,
            };
            if items.is_empty() { continue } else { break }
        }
        let mut bytes = vec![0; want.min((end - place.offset) as usize)];
        read_tolerant(&*segment.on.file, &mut bytes, place.offset).map_err(|e| ReadError::Io {
            path: segment.on.path.display().to_string(),
            reason: e.to_string(),
        })?;
        let mut at = 0;
        want = CHUNK_BYTES;
        while at < bytes.len() && next <= durable && handed_out < BATCH_BYTES {
            let view = decode_entry(&bytes[at..], &shared.check, Some(segment.epoch));
            match view {
                Ok(view) => {
                    at += view.size;
                    if view.fixed.seq < next {
                        continue;
                    }
                    match item(&view) {
                        Some((it, bytes)) => {
                            lost += pass_over(shared, next, view.fixed.seq);
                            items.push(it);
                            handed_out += bytes;
                        }
                        None => lost += pass_over(shared, next, view.fixed.seq + 1),
                    }
                    next = view.fixed.seq + 1;
                }
                // Cut by the chunk, not by the end of the segment.
                Err(EntryFault::Short(needs)) if place.offset + (at + needs) as u64 <= end => {
                    want = needs.max(CHUNK_BYTES);
                    break;
                }
                Err(_) => {
                    // The segment's next life may have begun under this read.
                    if !shared.is_live(&segment) {
                        return Err(recycled(shared.first_seq()));
                    }
                    if !items.is_empty() {
                        break;
                    }
                    let offset = place.offset + at as u64;
                    match resync(shared, &segment, offset, end, next)? {
                        Some(offset) => place.offset = offset,
                        None => place.offset = end,
                    }
                    at = 0;
                    break;
                }
            }
        }
        place.offset += at as u64;
        if !items.is_empty() {
            break;
        }
    }
    if items.is_empty() && next <= durable {
        // Acknowledged, and nothing after it in any segment: the last entries are damaged.
        lost += pass_over(shared, next, durable + 1);
        next = durable + 1;
    }
    Ok(Scan {
        items,
        place,
        next,
        lost,
    })
}

/// The next valid entry behind a damaged place.
fn resync(shared: &Shared, segment: &Segment, offset: u64, end: u64, seq: u64) -> Result<Option<u64>, ReadError> {
    let mut bytes = vec![0; (end - offset) as usize];
    read_tolerant(&*segment.on.file, &mut bytes, offset).map_err(|e| ReadError::Io {
        path: segment.on.path.display().to_string(),
        reason: e.to_string(),
    })?;
    Ok(next_valid(&bytes, 8, &shared.check, segment.epoch, seq).map(|at| offset + at as u64))
}

/// Counts sequences `from..to` as lost, and says so if that is news.
fn pass_over(shared: &Shared, from: u64, to: u64) -> u64 {
    let Some(n) = to.checked_sub(from).filter(|n| *n > 0) else {
        return 0;
    };
    let known: u64 = shared
        .lost
        .iter()
        .map(|r| (*r.end() + 1).min(to).saturating_sub((*r.start()).max(from)))
        .sum();
    if known < n {
        shared.damaged_reads.fetch_add(n - known, Ordering::Relaxed);
        tracing::error!(dir = %shared.dir.display(), from, to = to - 1, "journal entries cannot be read back and are passed over");
    }
    n
}

fn entry_of(view: &EntryView<'_>) -> Option<(Arc<Entry>, usize)> {
    let f = &view.fixed;
    let body = decompress(view.stored, f.body_len as usize, f.lz4)?;
    let bytes = view.header.len() + body.len();
    let header = Bytes::copy_from_slice(view.header);
    let (seq, kind, received_at) = (f.seq, f.kind, f.received_at);
    Some((
        Arc::new(Entry {
            seq,
            kind,
            received_at,
            header,
            body: body.into(),
        }),
        bytes,
    ))
}

/// A cursor over durable entries, in order. Every method can be dropped half-way without losing its place.
#[derive(Debug)]
pub struct Reader {
    shared: Arc<Shared>,
    durable: watch::Receiver<u64>,
    threads: watch::Receiver<usize>,
    ready: VecDeque<Arc<Entry>>,
    /// The sequence behind `ready`.
    next: u64,
    /// Where `next` is on disk, if the last read was from there.
    place: Option<Place>,
    lost: u64,
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>, from_seq: u64) -> Self {
        let (durable, threads) = (shared.durable.subscribe(), shared.threads.subscribe());
        let next = from_seq.max(1);
        Self {
            shared,
            durable,
            threads,
            ready: VecDeque::new(),
            next,
            place: None,
            lost: 0,
        }
    }

    /// The sequence that comes next, unless it turns out to be damaged.
    pub fn position(&self) -> u64 {
        self.ready.front().map_or(self.next, |e| e.seq)
    }

    /// Acknowledged entries that this reader had to pass over because they are damaged.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// The next entry, once there is one.
    pub async fn next(&mut self) -> Result<Arc<Entry>, ReadError> {
        loop {
            if let Some(entry) = self.try_next().await? {
                return Ok(entry);
            }
            // What became durable up to the end of the threads is still delivered, hence the order.
            let ended = *self.threads.borrow() == 0;
            if *self.durable.borrow_and_update() >= self.next {
                continue;
            }
            if ended {
                return Err(ReadError::Closed);
            }
            tokio::select! {
                _ = self.durable.changed() => {}
                _ = self.threads.wait_for(|n| *n == 0) => {}
            }
        }
    }

    /// The next entry, or `None` when everything durable has been read.
    pub async fn try_next(&mut self) -> Result<Option<Arc<Entry>>, ReadError> {
        if self.ready.is_empty() {
            self.fill().await?;
        }
        Ok(self.ready.pop_front())
    }

    /// Waits for at least one entry and takes what is at hand, up to `count`.
    pub async fn next_batch(&mut self, count: usize) -> Result<Vec<Arc<Entry>>, ReadError> {
        let mut batch = vec![self.next().await?];
        let more = self.ready.len().min(count.saturating_sub(1));
        batch.extend(self.ready.drain(..more));
        Ok(batch)
    }

    async fn fill(&mut self) -> Result<(), ReadError> {
        while self.ready.is_empty() {
            let durable = *self.durable.borrow();
            if self.next > durable {
                return Ok(());
            }
            let cached = lock(&self.shared.cache).run(self.next, RUN_ENTRIES, CHUNK_BYTES);
            if let Some(run) = cached {
                self.next = run.last().map_or(self.next, |e| e.seq + 1);
                self.place = None;
                self.ready = run.into();
                return Ok(());
            }
            let (shared, place, next) = (self.shared.clone(), self.place.clone(), self.next);
            let scanned = tokio::task::spawn_blocking(move || scan(&shared, place, next, durable, entry_of)).await;
            let Scan {
                items,
                place,
                next,
                lost,
            } = scanned.map_err(|_| ReadError::Closed)??;
            (self.next, self.place, self.ready) = (next, Some(place), items.into());
            self.lost += lost;
        }
        Ok(())
    }
}

/// An entry without its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryHeader {
    pub seq: u64,
    pub kind: u8,
    pub received_at: Timestamp,
    pub header: Bytes,
    /// Length of the body in bytes, decompressed.
    pub body_len: usize,
}

/// Headers up to what was durable when it was made; always from disk.
#[derive(Debug)]
pub struct Headers {
    shared: Arc<Shared>,
    durable: u64,
    ready: VecDeque<EntryHeader>,
    next: u64,
    place: Option<Place>,
}

impl Headers {
    pub(super) fn new(shared: Arc<Shared>, from_seq: u64) -> Self {
        let durable = *shared.durable.borrow();
        Self {
            shared,
            durable,
            ready: VecDeque::new(),
            next: from_seq.max(1),
            place: None,
        }
    }

    /// The next header; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<EntryHeader>, ReadError> {
        while self.ready.is_empty() && self.next <= self.durable {
            let (shared, place, from, durable) = (self.shared.clone(), self.place.clone(), self.next, self.durable);
            let scanned = tokio::task::spawn_blocking(move || {
                scan(&shared, place, from, durable, |view| {
                    let f = &view.fixed;
                    let header = EntryHeader {
                        seq: f.seq,
                        kind: f.kind,
                        received_at: f.received_at,
                        header: Bytes::copy_from_slice(view.header),
                        body_len: f.body_len as usize,
                    };
                    Some((header, view.header.len()))
                })
            })
            .await;
            let Scan { items, place, next, .. } = scanned.map_err(|_| ReadError::Closed)??;
            (self.next, self.place, self.ready) = (next, Some(place), items.into());
        }
        Ok(self.ready.pop_front())
    }
}

/// An entry as it lies on disk.
pub(super) struct StoredEntry {
    pub fixed: Fixed,
    pub header: Bytes,
    pub stored: Bytes,
}

/// For the archive: every entry of a segment in use, in order, a chunk at a time. Blocking.
pub(super) fn for_each(
    shared: &Shared,
    segment: &Arc<Segment>,
    mut each: impl FnMut(&StoredEntry) -> io::Result<()>,
) -> io::Result<()> {
    let last = segment.extent().last_seq;
    let mut next = segment.first_seq;
    let mut place = Place {
        segment: segment.clone(),
        offset: SEGMENT_HEADER_BYTES,
    };
    while next <= last {
        let item = |view: &EntryView<'_>| {
            let (header, stored) = (Bytes::copy_from_slice(view.header), Bytes::copy_from_slice(view.stored));
            let fixed = view.fixed;
            Some((StoredEntry { fixed, header, stored }, view.size))
        };
        let scanned = scan(shared, Some(place), next, last, item).map_err(io::Error::other)?;
        scanned.items.iter().try_for_each(&mut each)?;
        (next, place) = (scanned.next, scanned.place);
    }
    Ok(())
}
