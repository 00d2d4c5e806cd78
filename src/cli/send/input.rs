//! Reading the input, on a thread of its own: standard input blocks as long as it likes.

use super::rows::{Row, Rows};
use super::shape::Shape;
use andon_engine::limits::RECORD_BYTES_MAX;
use anyhow::Context as _;
use encoding_rs::{UTF_16BE, UTF_16LE};
use encoding_rs_io::DecodeReaderBytesBuilder;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;
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
        let result = match as_utf8(self.source) {
            Err(e) => Err(crate::exit::io(anyhow::Error::from(e).context("cannot read"))),
            Ok(source) if shape.is_csv() => csv_rows(source, &mut shape, &mut give),
            Ok(source) => ndjson_lines(source, &mut shape, &mut give),
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
        // A mark stands where a file begins, and where two were joined.
        let text = buffer.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&buffer).trim_ascii();
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

/// UTF-16, as Excel and PowerShell write it, made UTF-8. With a mark it is sure; without one the zero beside the first character tells: no
/// text that we read begins with a character beyond Latin-1.
fn as_utf8(mut source: Box<dyn Read + Send>) -> io::Result<Box<dyn Read + Send>> {
    let mut start = Vec::new();
    source.by_ref().take(2).read_to_end(&mut start)?;
    let encoding = match start[..] {
        [0xFF, 0xFE] => Some(UTF_16LE),
        [0xFE, 0xFF] => Some(UTF_16BE),
        [1..=0xFF, 0] => Some(UTF_16LE),
        [0, 1..=0xFF] => Some(UTF_16BE),
        _ => None,
    };
    let source = Cursor::new(start).chain(source);
    Ok(match encoding {
        None => Box::new(source),
        encoding => Box::new(DecodeReaderBytesBuilder::new().encoding(encoding).build(source)),
    })
}

/// A row of so many columns as the header, or as can be read as such: Excel leaves out empty cells at the end.
fn ragged(row: &Row, columns: usize) -> Option<String> {
    if row.is_open {
        return Some("opens a quote that is never closed: close it, or double each quote within a cell".into());
    }
    let surplus = row.iter().skip(columns).any(|cell| !cell.trim_ascii().is_empty());
    if surplus {
        return Some(format!(
            "has {} columns where the header has {columns}: quote cells that hold the separator",
            row.len()
        ));
    }
    (row.is_cut && row.len() < columns).then(|| {
        format!(
            "ends after {} of {columns} columns, and the input with it: complete the file and send it again",
            row.len()
        )
    })
}

fn csv_rows(source: impl Read, shape: &mut Shape, give: &mut impl FnMut(Item) -> bool) -> anyhow::Result<()> {
    let unreadable = |e: io::Error| crate::exit::io(anyhow::Error::from(e).context("cannot read on"));
    let (mut rows, delimiter) = Rows::open(source, shape.delimiter()).map_err(unreadable)?;
    let header = rows.next().map_err(unreadable)?.unwrap_or_default();
    shape.header(&header, delimiter)?;
    while let Some(row) = rows.next().map_err(unreadable)? {
        let mut item = match ragged(&row, header.len()) {
            Some(why) => Item::unusable(None, why),
            None => shape.row(row.line, &row)?,
        };
        (item.line, item.end) = (row.line, rows.offset());
        if !give(item) {
            return Ok(());
        }
    }
    Ok(())
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
