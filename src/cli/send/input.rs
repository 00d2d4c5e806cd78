//! Reading the input, on a thread of its own: standard input blocks as long as it likes.

use super::shape::Shape;
use andon_engine::limits::RECORD_BYTES_MAX;
use anyhow::Context as _;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::mpsc::Sender;

/// How much of an input's beginning tells it from others.
const HEAD_BYTES: usize = 4_096;
const BUFFER_BYTES: usize = 64 * 1_024;

/// A record as it goes out, and the line that it began on.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) line: u64,
    pub(super) json: Vec<u8>,
}

#[derive(Debug, PartialEq)]
pub(super) enum What {
    /// Done by an earlier run.
    Skipped,
    Record(Vec<u8>),
    Unusable {
        field: Option<String>,
        reason: String,
    },
}

/// One record of the input.
#[derive(Debug, PartialEq)]
pub(super) struct Item {
    /// From 1, as editors count.
    pub(super) line: u64,
    /// Where the next begins, in bytes.
    pub(super) end: u64,
    pub(super) what: What,
    pub(super) ambiguous: bool,
    pub(super) skipped_stamp: bool,
}

pub(super) struct Reader {
    source: Box<dyn Read + Send>,
    pub(super) head: Vec<u8>,
    pub(super) length: Option<u64>,
    /// The file's name without its folder; `-`.
    pub(super) name: String,
    /// What the ids of this run begin from.
    namespace: String,
}

impl Reader {
    /// `-` is standard input. With `resumable` its beginning is read at once, and a run is told from the next by nothing but the input.
    pub(super) fn open(path: &Path, resumable: bool) -> anyhow::Result<Self> {
        let stdin = path == Path::new("-");
        let (mut source, length, name): (Box<dyn Read + Send>, _, _) = if stdin {
            (Box::new(io::stdin()), None, "-".to_owned())
        } else {
            let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
            let metadata = file
                .metadata()
                .with_context(|| format!("cannot read {}", path.display()))?;
            anyhow::ensure!(!metadata.is_dir(), "{} is a folder", path.display());
            let name = path
                .file_name()
                .unwrap_or(path.as_os_str())
                .to_string_lossy()
                .into_owned();
            (Box::new(file), metadata.is_file().then_some(metadata.len()), name)
        };
        let mut head = Vec::new();
        if resumable {
            source
                .by_ref()
                .take(HEAD_BYTES as u64)
                .read_to_end(&mut head)
                .with_context(|| format!("cannot read {name}"))?;
        }
        // The same file sent again is a retry; the same words piped in again are not.
        let namespace = if stdin && !resumable {
            format!("-{:032x}", rand::random::<u128>())
        } else {
            name.clone()
        };
        Ok(Self {
            source: Box::new(Cursor::new(head.clone()).chain(source)),
            head,
            length,
            name,
            namespace,
        })
    }

    /// Hands on every record until the input ends, cannot be read, or nobody listens.
    pub(super) fn run(self, mut shape: Shape, resume_after: u64, to: &Sender<anyhow::Result<Item>>) {
        shape.set_namespace(&self.namespace);
        let mut give = |item: Item| {
            let item = if item.line <= resume_after {
                Item {
                    what: What::Skipped,
                    ..item
                }
            } else {
                item
            };
            to.blocking_send(Ok(item)).is_ok()
        };
        let result = match shape.delimiter() {
            Some(delimiter) => csv_rows(self.source, delimiter, &mut shape, &mut give),
            None => ndjson_lines(self.source, &mut shape, &mut give),
        };
        if let Err(e) = result {
            // Nobody left to tell is the other end's doing.
            let _ = to.blocking_send(Err(e));
        }
    }
}

fn ndjson_lines(source: impl Read, shape: &mut Shape, give: &mut impl FnMut(Item) -> bool) -> anyhow::Result<()> {
    let mut source = BufReader::with_capacity(BUFFER_BYTES, source);
    let (mut line, mut end) = (0, 0);
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        let read = bounded_line(&mut source, &mut buffer)
            .map_err(|e| crate::exit::io(anyhow::Error::from(e).context("cannot read on")))?;
        if read == 0 {
            return Ok(());
        }
        line += 1;
        end += read;
        let text = if line == 1 {
            buffer.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&buffer)
        } else {
            &buffer
        };
        let text = text.trim_ascii();
        if text.is_empty() {
            continue;
        }
        let mut item = if text.len() > RECORD_BYTES_MAX {
            too_long()
        } else {
            shape.ndjson(line, text)
        };
        (item.line, item.end) = (line, end);
        if !give(item) {
            return Ok(());
        }
    }
}

/// Reads up to and with the next line feed; keeps at most one byte more than a record may have. Gives how many bytes were read.
fn bounded_line(source: &mut impl BufRead, buffer: &mut Vec<u8>) -> io::Result<u64> {
    let mut read = 0;
    loop {
        let available = match source.fill_buf() {
            Ok(a) => a,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        if available.is_empty() {
            return Ok(read);
        }
        let feed = available.iter().position(|b| *b == b'\n');
        let n = feed.map_or(available.len(), |at| at + 1);
        // White space around a record does not count against it, but only so much of it.
        let room = (RECORD_BYTES_MAX + 1_024).saturating_sub(buffer.len());
        buffer.extend_from_slice(&available[..n.min(room)]);
        source.consume(n);
        read += n as u64;
        if feed.is_some() {
            return Ok(read);
        }
    }
}

fn too_long() -> Item {
    Item::unusable(
        None,
        format!("is longer than a record may be ({RECORD_BYTES_MAX} bytes)"),
    )
}

impl Item {
    /// Line and end are set by whoever knows them.
    pub(super) fn unusable(field: Option<&str>, reason: impl Into<String>) -> Self {
        let what = What::Unusable {
            field: field.map(str::to_owned),
            reason: reason.into(),
        };
        Self {
            line: 0,
            end: 0,
            what,
            ambiguous: false,
            skipped_stamp: false,
        }
    }
    pub(super) fn record(json: Vec<u8>) -> Self {
        Self {
            line: 0,
            end: 0,
            what: What::Record(json),
            ambiguous: false,
            skipped_stamp: false,
        }
    }
}

/// Stops a reader that has given too much since it was last told that a row is whole: a quote that is never closed would otherwise make
/// one row of the rest of the file, in memory.
struct Guard<R> {
    inner: R,
    since: Arc<AtomicU64>,
}

/// What one row may take: quoting may double a record's bytes, and the reader reads ahead.
const ROW_BYTES_MAX: u64 = 2 * RECORD_BYTES_MAX as u64 + 2 * BUFFER_BYTES as u64;

impl<R: Read> Read for Guard<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        if self.since.fetch_add(n as u64, Ordering::Relaxed) + n as u64 > ROW_BYTES_MAX {
            return Err(io::Error::other(
                "a row is longer than a record may be; is a quote never closed?",
            ));
        }
        Ok(n)
    }
}

fn csv_rows(
    source: impl Read,
    delimiter: u8,
    shape: &mut Shape,
    give: &mut impl FnMut(Item) -> bool,
) -> anyhow::Result<()> {
    let since = Arc::new(AtomicU64::new(0));
    let guard = Guard {
        inner: source,
        since: since.clone(),
    };
    let mut rows = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .flexible(true)
        .buffer_capacity(BUFFER_BYTES)
        .from_reader(guard);
    let unreadable = |e: csv::Error| crate::exit::io(anyhow::Error::from(e).context("cannot read on"));
    let header = rows.byte_headers().map_err(unreadable)?.clone();
    shape.header(&header)?;
    let mut row = csv::ByteRecord::new();
    loop {
        since.store(0, Ordering::Relaxed);
        if !rows.read_byte_record(&mut row).map_err(unreadable)? {
            return Ok(());
        }
        let line = row.position().map_or(0, csv::Position::line);
        let mut item = if row.len() == header.len() {
            shape.row(line, &row)?
        } else {
            Item::unusable(
                None,
                format!("has {} columns where the header has {}", row.len(), header.len()),
            )
        };
        (item.line, item.end) = (line, rows.position().byte());
        if !give(item) {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_never_ends_takes_no_more_memory_than_a_record() {
        let mut source = BufReader::new(io::repeat(b'x').take(5_000_000).chain(&b"\nnext\n"[..]));
        let mut buffer = Vec::new();
        assert_eq!(bounded_line(&mut source, &mut buffer).unwrap(), 5_000_001);
        assert!(buffer.len() > RECORD_BYTES_MAX && buffer.capacity() < 4 * RECORD_BYTES_MAX);
        buffer.clear();
        assert_eq!(bounded_line(&mut source, &mut buffer).unwrap(), 5);
        assert_eq!(buffer, b"next\n");
    }
}
