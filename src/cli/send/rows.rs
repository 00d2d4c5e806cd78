//! CSV rows with the line on which each begins.
//!
//! The parser takes the line break of the row before, and blank lines, for the beginning of a row. Here they are passed over first, so
//! that a row is named by the line that an editor shows.

use andon_engine::limits::RECORD_BYTES_MAX;
use csv_core::ReadRecordResult;
use std::io::{self, Read};

const BUFFER_BYTES: usize = 64 * 1_024;
/// What one row may take: quoting may double a record's bytes, and the reader reads ahead.
const ROW_BYTES_MAX: u64 = 2 * RECORD_BYTES_MAX as u64 + 2 * BUFFER_BYTES as u64;
const MARK: &[u8] = b"\xEF\xBB\xBF";

/// The cells of a row.
#[derive(Debug, Default, Clone)]
pub(super) struct Row {
    bytes: Vec<u8>,
    /// Where each cell ends.
    ends: Vec<usize>,
    /// From 1, as editors count.
    pub(super) line: u64,
    /// The input ended before the row's line did.
    pub(super) is_cut: bool,
    /// A quote was opened and not closed until the input ended, lines later.
    pub(super) is_open: bool,
}

impl Row {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }
    pub(super) fn get(&self, i: usize) -> Option<&[u8]> {
        let end = *self.ends.get(i)?;
        let start = if i == 0 { 0 } else { self.ends[i - 1] };
        self.bytes.get(start..end)
    }
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).filter_map(|i| self.get(i))
    }
}

pub(super) struct Rows<R> {
    source: R,
    parser: csv_core::Reader,
    /// What is unread begins at `at`.
    buffer: Vec<u8>,
    at: usize,
    line: u64,
    after_return: bool,
    offset: u64,
    row: Row,
}

impl<R: Read> Rows<R> {
    /// Reads rows whose cells are separated by `delimiter`, or else by what a first line `sep=;` says, as Excel writes it, or by commas.
    /// Gives the separator, too.
    pub(super) fn open(source: R, delimiter: Option<u8>) -> io::Result<(Self, u8)> {
        let mut rows = Self {
            source,
            parser: csv_core::Reader::new(),
            buffer: Vec::new(),
            at: 0,
            line: 1,
            after_return: false,
            offset: 0,
            row: Row {
                bytes: vec![0; 4_096],
                ends: vec![0; 64],
                ..Row::default()
            },
        };
        let said = rows.separator_line()?;
        let delimiter = delimiter.or(said).unwrap_or(b',');
        rows.parser = csv_core::ReaderBuilder::new().delimiter(delimiter).build();
        Ok((rows, delimiter))
    }

    /// Where the next row begins, in bytes.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The next row; none at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Row>> {
        if !self.pass_over_blank()? {
            return Ok(None);
        }
        let (line, start) = (self.line, self.offset);
        let (mut filled, mut cells, mut quotes) = (0, 0, 0);
        let is_cut = loop {
            let ended = self.unread().is_empty() && !self.fill()?;
            let unread = &self.buffer[self.at..];
            let (result, read, written, ended_cells) =
                self.parser
                    .read_record(unread, &mut self.row.bytes[filled..], &mut self.row.ends[cells..]);
            quotes += unread[..read].iter().filter(|b| **b == b'"').count();
            self.consume(read);
            (filled, cells) = (filled + written, cells + ended_cells);
            match result {
                ReadRecordResult::Record => break ended,
                ReadRecordResult::End => return Ok(None),
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => self.row.bytes.resize(self.row.bytes.len() * 2, 0),
                ReadRecordResult::OutputEndsFull => self.row.ends.resize(self.row.ends.len() * 2, 0),
            }
            if self.offset - start > ROW_BYTES_MAX {
                return Err(io::Error::other(format!(
                    "the row that begins on line {line} is longer than a record may be; is a quote never closed?"
                )));
            }
        };
        Ok(Some(Row {
            bytes: self.row.bytes[..filled].to_vec(),
            ends: self.row.ends[..cells].to_vec(),
            line,
            is_cut,
            is_open: is_cut && quotes % 2 == 1 && self.line > line,
        }))
    }

    fn unread(&self) -> &[u8] {
        &self.buffer[self.at..]
    }

    /// Reads on; false at the end of the input.
    fn fill(&mut self) -> io::Result<bool> {
        self.buffer.drain(..self.at);
        self.at = 0;
        let len = self.buffer.len();
        self.buffer.resize(len + BUFFER_BYTES, 0);
        let read = loop {
            match self.source.read(&mut self.buffer[len..]) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.buffer.truncate(len + read.as_ref().map_or(0, |n| *n));
        read.map(|n| n > 0)
    }

    /// Reads until so many bytes are unread, or the input ends.
    fn fill_to(&mut self, bytes: usize) -> io::Result<()> {
        while self.unread().len() < bytes && self.fill()? {}
        Ok(())
    }

    /// Counts the line breaks of what is read: `\r\n` is one, and so is either alone.
    fn consume(&mut self, n: usize) {
        for b in &self.buffer[self.at..self.at + n] {
            self.line += u64::from(*b == b'\r' || *b == b'\n' && !self.after_return);
            self.after_return = *b == b'\r';
        }
        self.at += n;
        self.offset += n as u64;
    }

    /// Line breaks, and the mark of a file that was joined to the one before. False at the end of the input.
    fn pass_over_blank(&mut self) -> io::Result<bool> {
        loop {
            self.fill_to(1)?;
            match self.unread().first() {
                None => return Ok(false),
                Some(b'\r' | b'\n') => self.consume(1),
                Some(b'\xEF') => {
                    self.fill_to(MARK.len())?;
                    if !self.unread().starts_with(MARK) {
                        return Ok(true);
                    }
                    self.consume(MARK.len());
                }
                Some(_) => return Ok(true),
            }
        }
    }

    /// Passes over a first line `sep=;` and gives its character.
    fn separator_line(&mut self) -> io::Result<Option<u8>> {
        if !self.pass_over_blank()? {
            return Ok(None);
        }
        // Most files are told apart by their first byte: what a pipe has not written yet is not waited for.
        let mut wanted = 1;
        loop {
            self.fill_to(wanted)?;
            let unread = self.unread();
            let text: Vec<u8> = unread.iter().copied().take(8).filter(|b| *b != b'"').collect();
            let same = text.iter().zip(b"sep=").all(|(a, b)| a.eq_ignore_ascii_case(b));
            match text.as_slice() {
                _ if !same => return Ok(None),
                [_, _, _, _, separator, b'\r' | b'\n', ..] if !separator.is_ascii_alphanumeric() => {
                    let separator = *separator;
                    let end = unread.iter().position(|b| matches!(b, b'\r' | b'\n')).unwrap_or(0);
                    self.consume(end);
                    return Ok(Some(separator));
                }
                _ if wanted >= 8 || unread.len() < wanted => return Ok(None),
                _ => wanted += 1,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives so many bytes at once.
    struct Slow<'a>(&'a [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            let n = self.1.min(buf.len()).min(self.0.len());
            buf[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    fn rows(text: &str, delimiter: Option<u8>) -> Vec<(u64, Vec<String>)> {
        let read = |step| {
            let (mut rows, _) = Rows::open(Slow(text.as_bytes(), step), delimiter).unwrap();
            let mut all = Vec::new();
            while let Some(row) = rows.next().unwrap() {
                all.push((
                    row.line,
                    row.iter().map(|c| String::from_utf8_lossy(c).into_owned()).collect(),
                ));
            }
            assert!(rows.offset() <= text.len() as u64);
            all
        };
        let whole = read(usize::MAX);
        for step in [1, 2, 3, 7] {
            assert_eq!(read(step), whole, "{text:?} in steps of {step}");
        }
        whole
    }

    #[test]
    fn a_row_is_named_by_the_line_that_an_editor_shows() {
        for (text, want) in [
            ("n,t\na,1\nb,x\nc,3\n", [1, 2, 3, 4]),
            ("n,t\r\na,1\r\nb,x\r\nc,3\r\n", [1, 2, 3, 4]),
            ("n,t\ra,1\rb,x\rc,3\r", [1, 2, 3, 4]),
            ("n,t\na,1\n\nb,x\nc,3", [1, 2, 4, 5]),
            ("\r\n\r\nn,t\r\na,1\r\n\r\n\r\nb,x\r\nc,3", [3, 4, 7, 8]),
            ("n,t\n\"a\nb\",1\r\n\"c\r\nd\",x\nc,3\n", [1, 2, 4, 6]),
            ("\u{feff}n,t\r\na,1\r\n\u{feff}b,x\r\nc,3\r\n", [1, 2, 3, 4]),
        ] {
            let got: Vec<u64> = rows(text, None).iter().map(|(line, _)| *line).collect();
            assert_eq!(got, want, "{text:?}");
        }
    }

    #[test]
    fn a_mark_is_no_part_of_a_cell_even_before_a_quote_and_where_two_files_were_joined() {
        let text = "\u{feff}\"n\",t\r\n\"a\",1\r\n\u{feff}\"b, c\",2\r\n";
        let got: Vec<_> = rows(text, None).into_iter().map(|(_, cells)| cells.join("|")).collect();
        assert_eq!(got, ["n|t", "a|1", "b, c|2"]);
    }

    #[test]
    fn a_first_line_that_names_the_separator_is_no_header() {
        for (text, delimiter) in [
            ("sep=;\r\na;b\r\n1;2\r\n", None),
            ("\u{feff}SEP=;\na;b\n1;2", None),
            ("\"sep=;\"\r\na;b\r\n1;2\r\n", None),
            ("sep=\t\r\na\tb\r\n1\t2\r\n", None),
            // What the command line says wins.
            ("sep=,\r\na;b\r\n1;2\r\n", Some(b';')),
        ] {
            let want = [(2, vec!["a".into(), "b".into()]), (3, vec!["1".into(), "2".into()])];
            assert_eq!(rows(text, delimiter), want, "{text:?}");
        }
        assert_eq!(rows("separate,b\n", None)[0].1, ["separate", "b"]);
        assert_eq!(rows("sep=", None), [(1, vec!["sep=".to_owned()])]);
        assert_eq!(rows("", None), []);
    }

    #[test]
    fn the_end_of_the_input_in_the_middle_of_a_row_is_seen() {
        let last = |text: &str| {
            let (mut rows, _) = Rows::open(text.as_bytes(), None).unwrap();
            let mut last = None;
            while let Some(row) = rows.next().unwrap() {
                last = Some((row.is_cut, row.is_open));
            }
            last.unwrap()
        };
        assert_eq!(last("a,b\n1,2\n"), (false, false));
        assert_eq!(last("a,b\n1,2"), (true, false));
        assert_eq!(last("a,b\n1,5\" pipe"), (true, false));
        assert_eq!(last("a,b\n1,\"2\n3,4\n"), (true, true));
    }
}
