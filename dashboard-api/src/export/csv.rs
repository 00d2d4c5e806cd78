//! A record as a line of CSV (RFC 4180).

use super::ndjson;
use crate::view::scalar::hex;
use andon_engine::record::Record;
use std::io::Write;

/// Columns in their order.
pub(super) const HEADER: [&str; 21] = [
    "record_id",
    "timestamp",
    "received_at",
    "level",
    "message",
    "type",
    "application",
    "device_id",
    "user_id",
    "source",
    "readings",
    "fields",
    "id",
    "item_id",
    "order_id",
    "location",
    "step",
    "trace_id",
    "span_id",
    "fingerprint",
    "flags",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CsvOptions {
    /// Starts with the UTF-8 mark, by which Excel knows the encoding.
    pub(crate) bom: bool,
    pub(crate) separator: u8,
    /// Puts an apostrophe before a cell that a spreadsheet would take for a formula: senders must not run code in it.
    pub(crate) guard: bool,
}

impl Default for CsvOptions {
    fn default() -> Self {
        Self {
            bom: false,
            separator: b',',
            guard: true,
        }
    }
}

pub(super) fn write_header(out: &mut Vec<u8>, o: CsvOptions) {
    if o.bom {
        out.extend_from_slice("\u{FEFF}".as_bytes());
    }
    let mut row = Row::new(out, o);
    for name in HEADER {
        row.cell(name);
    }
    row.end();
}

pub(super) fn write_row(out: &mut Vec<u8>, r: &Record<'_>, o: CsvOptions) {
    let mut scratch = Vec::new();
    let mut row = Row::new(out, o);
    row.display(r.record_id);
    row.display(r.timestamp);
    row.display(r.received_at);
    row.cell(r.level.map_or("", |l| l.as_str()));
    for text in [r.message, r.kind, r.application, r.device_id, r.user_id, r.source] {
        row.cell(text.unwrap_or_default());
    }
    if !r.readings.is_empty() {
        ndjson::write_readings(&mut scratch, r);
    }
    row.bytes(&scratch);
    scratch.clear();
    if !r.fields.is_empty() {
        ndjson::write_fields(&mut scratch, r.fields);
    }
    row.bytes(&scratch);
    for text in [r.id, r.item_id, r.order_id, r.location, r.step, r.trace_id, r.span_id] {
        row.cell(text.unwrap_or_default());
    }
    row.cell(&hex(r.fingerprint));
    row.cell(&r.flags.names().collect::<Vec<_>>().join(" "));
    row.end();
}

struct Row<'a> {
    out: &'a mut Vec<u8>,
    options: CsvOptions,
    first: bool,
}

impl<'a> Row<'a> {
    fn new(out: &'a mut Vec<u8>, options: CsvOptions) -> Self {
        Self {
            out,
            options,
            first: true,
        }
    }

    fn separate(&mut self) {
        if !self.first {
            self.out.push(self.options.separator);
        }
        self.first = false;
    }

    fn cell(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn bytes(&mut self, text: &[u8]) {
        self.separate();
        let dangerous = self.options.guard && matches!(text.first(), Some(b'=' | b'+' | b'-' | b'@' | b'\t' | b'\r'));
        let quote = text
            .iter()
            .any(|b| matches!(b, b'"' | b'\r' | b'\n') || *b == self.options.separator);
        if !quote {
            if dangerous {
                self.out.push(b'\'');
            }
            return self.out.extend_from_slice(text);
        }
        self.out.push(b'"');
        if dangerous {
            self.out.push(b'\'');
        }
        for b in text {
            if *b == b'"' {
                self.out.push(b'"');
            }
            self.out.push(*b);
        }
        self.out.push(b'"');
    }

    /// A value that needs neither quotes nor guard.
    fn display(&mut self, value: impl std::fmt::Display) {
        self.separate();
        write!(self.out, "{value}").expect("a Vec takes every byte");
    }

    fn end(self) {
        self.out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(out: &[u8], separator: u8) -> Vec<Vec<String>> {
        csv::ReaderBuilder::new()
            .has_headers(false)
            .delimiter(separator)
            .from_reader(out)
            .records()
            .map(|r| r.unwrap().iter().map(str::to_owned).collect())
            .collect()
    }

    #[test]
    fn another_reader_gets_back_what_was_written() {
        for separator in [b',', b';', b'\t'] {
            let o = CsvOptions {
                separator,
                guard: false,
                ..CsvOptions::default()
            };
            let message = "a,b;c\td\"e\"\r\nf";
            let r = Record {
                message: Some(message),
                readings: vec![("t", 1.5)],
                ..Record::default()
            };
            let mut out = Vec::new();
            write_header(&mut out, o);
            write_row(&mut out, &r, o);
            let rows = read(&out, separator);
            assert_eq!(rows[0], HEADER);
            assert_eq!(rows[1][4], message);
            assert_eq!(rows[1][10], r#"{"t":1.5}"#);
            assert_eq!(rows[1].len(), HEADER.len());
        }
    }

    #[test]
    fn no_cell_starts_as_a_formula_unless_asked_for() {
        for hostile in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "=\"a\",1"] {
            let r = Record {
                message: Some(hostile),
                ..Record::default()
            };
            for (guard, want) in [(true, format!("'{hostile}")), (false, hostile.to_owned())] {
                let o = CsvOptions {
                    guard,
                    ..CsvOptions::default()
                };
                let mut out = Vec::new();
                write_row(&mut out, &r, o);
                assert_eq!(read(&out, b',')[0][4], want);
            }
        }
    }

    #[test]
    fn the_mark_comes_first() {
        let mut out = Vec::new();
        write_header(
            &mut out,
            CsvOptions {
                bom: true,
                ..CsvOptions::default()
            },
        );
        assert!(out.starts_with(b"\xEF\xBB\xBFrecord_id,"));
    }
}
