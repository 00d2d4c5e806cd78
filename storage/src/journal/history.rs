//! A cursor that begins before the journal does: first the archive, then the journal.
//!
//! A segment is in the archive before the journal loses sight of it. So when the journal says that an entry has been recycled, a look
//! at the archive from then on finds it, or it is gone: older than the archive keeps, removed for want of space, or damaged. What
//! is gone is counted and said, and the cursor goes on behind it.

use super::Entry;
use super::archive::ArchiveReader;
use super::reader::{BATCH_BYTES, ReadError, Reader};
use super::shared::Shared;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

/// How often the same place of an archive file is read before the rest of the file counts as gone. The caller waits in between.
const READ_TRIES: u32 = 3;

/// A cursor over the archive and then the journal, in order, each entry once. Every method can be dropped half-way without losing
/// its place.
#[derive(Debug)]
pub struct History {
    shared: Arc<Shared>,
    /// What the archive is read up to: the journal's first entry when it was looked at. Below `next`: the journal is read.
    until: u64,
    archive: Option<ArchiveReader>,
    live: Reader,
    ready: VecDeque<Arc<Entry>>,
    /// The sequence behind `ready`.
    next: u64,
    gone: u64,
    /// Failures in a row at `next`.
    failures: u32,
}

/// What one visit of the archive brought.
struct Visit {
    archive: Option<ArchiveReader>,
    entries: Vec<Arc<Entry>>,
    fault: Option<ReadError>,
}

impl History {
    pub(super) fn new(shared: Arc<Shared>, from_seq: u64) -> Self {
        let next = from_seq.max(1);
        Self {
            live: Reader::new(shared.clone(), next),
            shared,
            until: 0,
            archive: None,
            ready: VecDeque::new(),
            next,
            gone: 0,
            failures: 0,
        }
    }

    /// The sequence that comes next, unless nobody has it any more.
    pub fn position(&self) -> u64 {
        match self.ready.front() {
            Some(entry) => entry.seq,
            None if self.reads_archive() => self.next,
            None => self.live.position(),
        }
    }

    /// Entries that this cursor had to pass over: neither archive nor journal has them, or they are damaged.
    pub fn gone(&self) -> u64 {
        self.gone + self.live.lost()
    }

    /// It has come to entries that only the archive has.
    pub fn reads_archive(&self) -> bool {
        self.next < self.until
    }

    /// Bytes of archive files that are still to be read, as they lie on disk: more than what is wanted of them. Looks at the files.
    pub async fn archive_bytes(&mut self) -> u64 {
        let Some(archive) = self.archive.take() else { return 0 };
        let looked = tokio::task::spawn_blocking(move || (archive.bytes_left(), archive)).await;
        looked.map_or(0, |(bytes, archive)| {
            self.archive = Some(archive);
            bytes
        })
    }

    /// The next entry, or `None` when everything durable has been read.
    ///
    /// # Errors
    /// When a file cannot be read: the call may be repeated. After some tries at the same place of an archive file what follows in
    /// it counts as gone. `Recycled` never.
    pub async fn try_next(&mut self) -> Result<Option<Arc<Entry>>, ReadError> {
        loop {
            if let Some(entry) = self.ready.pop_front() {
                return Ok(Some(entry));
            }
            if self.reads_archive() {
                self.visit_archive().await?;
                continue;
            }
            match self.live.try_next().await {
                Err(ReadError::Recycled { first, .. }) => {
                    self.next = self.live.position();
                    self.until = first;
                    self.gone += self.live.lost();
                    self.live = Reader::new(self.shared.clone(), first);
                }
                other => return other,
            }
        }
    }

    async fn visit_archive(&mut self) -> Result<(), ReadError> {
        let Some(options) = self.shared.options.archive.clone() else {
            self.pass_over(self.until);
            return Ok(());
        };
        // A visit that is dropped half-way takes its reader with it: the next one begins again at `next`.
        let (shared, archive, seqs) = (self.shared.clone(), self.archive.take(), self.next..=self.until - 1);
        let visit = tokio::task::spawn_blocking(move || match archive {
            Some(archive) => visit(archive, &options.dir),
            None => match ArchiveReader::of_seqs(shared.io.clone(), &options.dir, shared.id, seqs) {
                Ok(archive) => visit(archive, &options.dir),
                Err(e) => Visit {
                    archive: None,
                    entries: Vec::new(),
                    fault: Some(ReadError::of_archive(&options.dir, &e)),
                },
            },
        });
        let Visit {
            archive,
            entries,
            fault,
        } = visit.await.map_err(|_| ReadError::Closed)?;
        for entry in entries {
            // Files overlap where a crash came between archiving a segment and giving it up.
            if entry.seq < self.next {
                continue;
            }
            self.pass_over(entry.seq);
            self.next = entry.seq + 1;
            self.failures = 0;
            self.ready.push_back(entry);
        }
        let Some(fault) = fault else {
            match archive {
                None => self.pass_over(self.until),
                archive => self.archive = archive,
            }
            return Ok(());
        };
        self.failures += 1;
        if self.failures >= READ_TRIES {
            // It goes on in the next file, unless this one could not even be opened.
            self.archive = archive;
        }
        // What was read before the fault comes first; the fault comes again.
        if self.ready.is_empty() { Err(fault) } else { Ok(()) }
    }

    /// Goes to `to`, and says what lies between.
    fn pass_over(&mut self, to: u64) {
        let from = self.next;
        let Some(entries) = to.checked_sub(from).filter(|n| *n > 0) else {
            return;
        };
        self.gone += entries;
        self.next = to;
        tracing::error!(
            dir = %self.shared.dir.display(),
            entries,
            "entries {from} to {} are gone: older than the archive keeps, or damaged in it",
            to - 1
        );
    }
}

/// Reads about [`BATCH_BYTES`]. No archive in the answer: its end was reached.
fn visit(mut archive: ArchiveReader, dir: &Path) -> Visit {
    let (mut entries, mut bytes) = (Vec::new(), 0);
    let mut fault = None;
    let ended = loop {
        match archive.next() {
            Some(Ok(entry)) => {
                bytes += entry.header.len() + entry.body.len() + std::mem::size_of::<Entry>();
                entries.push(Arc::new(entry));
                if bytes >= BATCH_BYTES {
                    break false;
                }
            }
            Some(Err(e)) => {
                fault = Some(ReadError::of_archive(dir, &e));
                break false;
            }
            None => break true,
        }
    };
    Visit {
        archive: (!ended).then_some(archive),
        entries,
        fault,
    }
}
