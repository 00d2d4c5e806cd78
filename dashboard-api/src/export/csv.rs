//! A record as a line of CSV (RFC 4180).

use super::formula::{guard_json, guard_text};
use super::ndjson;
use crate::view::scalar::hex;
use andon_engine::record::Record;
use andon_engine::text::plain;
use std::borrow::Cow;
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
    /// Defuses what a spreadsheet would take for a formula: senders must not run code in it.
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
    row.cell(&r.message.map(plain).unwrap_or_default());
    for text in [r.kind, r.application, r.device_id, r.user_id, r.source] {
        row.cell(text.unwrap_or_default());
    }
    if !r.readings.is_empty() {
        ndjson::write_readings(&mut scratch, r);
    }
    row.json(&scratch);
    scratch.clear();
    if !r.fields.is_empty() {
        ndjson::write_fields(&mut scratch, r.fields);
    }
    row.json(&scratch);
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
        let text = match self.options.guard {
            true => guard_text(text),
            false => Cow::Borrowed(text),
        };
        self.quoted(&text);
    }

    fn json(&mut self, json: &[u8]) {
        let json = String::from_utf8_lossy(json);
        let json = match self.options.guard {
            true => guard_json(&json),
            false => Cow::Borrowed(&*json),
        };
        self.quoted(&json);
    }

    /// In quotes where a reader needs them, or another one, which takes another separator, or which trims blanks.
    fn quoted(&mut self, text: &str) {
        self.separate();
        let special = |b: u8| matches!(b, b'"' | b'\r' | b'\n' | b',' | b';' | b'\t');
        let blank_end = text.starts_with(' ') || text.ends_with(' ');
        if !blank_end && !text.bytes().any(special) {
            return self.out.extend_from_slice(text.as_bytes());
        }
        self.out.push(b'"');
        for b in text.bytes() {
            if b == b'"' {
                self.out.push(b'"');
            }
            self.out.push(b);
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
            let coloured = format!("\u{1b}[31m{message}\u{1b}[0m");
            let r = Record {
                message: Some(&coloured),
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

    const SEPARATORS: [u8; 3] = [b',', b';', b'\t'];

    /// Every text of up to four pieces that mean something to a spreadsheet or to a reader of CSV.
    fn texts() -> Vec<String> {
        let pieces = ["=", "'", "\"", ";", "\t", "\n", " ", "x"];
        let mut all = vec![String::new()];
        let mut from = 0;
        for _ in 0..4 {
            let to = all.len();
            for n in from..to {
                for piece in pieces {
                    all.push(format!("{}{piece}", all[n]));
                }
            }
            from = to;
        }
        all
    }

    fn written(r: &Record<'_>, separator: u8) -> Vec<u8> {
        let o = CsvOptions {
            separator,
            ..CsvOptions::default()
        };
        let mut out = Vec::new();
        write_row(&mut out, r, o);
        out
    }

    /// As a spreadsheet of a country with this separator: quotes count where a cell begins with one, whatever else there is.
    fn cells(text: &str, separator: char) -> Vec<String> {
        let mut cells = vec![String::new()];
        let (mut quoted, mut begins) = (false, true);
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            let cell = cells.last_mut().unwrap();
            match c {
                '"' if quoted && rest.peek() == Some(&'"') => cell.extend(rest.next()),
                '"' if quoted || begins => quoted = !quoted,
                '\r' | '\n' if !quoted => cells.push(String::new()),
                c if c == separator && !quoted => cells.push(String::new()),
                c => cell.push(c),
            }
            begins = !quoted && cells.last().unwrap().is_empty() && c != '"';
        }
        cells
    }

    fn is_formula(cell: &str) -> bool {
        let passed = |c: char| c.is_whitespace() || matches!(c, '"' | '\u{feff}');
        cell.trim_start_matches(passed)
            .starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠'])
    }

    #[test]
    fn no_cell_is_a_formula_whatever_separator_it_is_opened_with() {
        let (mut hostile, calc) = (texts(), "x;=cmd|'/C calc'!A0;");
        hostile.extend(
            [
                calc,
                "\n=1+1",
                " =1",
                "＝1+1",
                "+1",
                "@SUM(A1)",
                "\t=1",
                "\r=1",
                "a\",\t\"=1",
                "\u{3000}=1",
            ]
            .map(String::from),
        );
        for message in &hostile {
            for separator in SEPARATORS {
                let fields = serde_json::json!({ "a": [message, -2] }).to_string();
                let r = Record {
                    message: Some(message),
                    fields: &fields,
                    ..Record::default()
                };
                let out = String::from_utf8(written(&r, separator)).unwrap();
                for opened_with in SEPARATORS {
                    for cell in cells(&out, opened_with.into()) {
                        // A number of a list, and the end of the list.
                        let number = cell.starts_with("-2]}");
                        assert!(
                            number || !is_formula(&cell),
                            "{message:?} opened with {opened_with}: {cell:?} of {out:?}"
                        );
                    }
                }
            }
        }
    }

    /// What the documents promise: one apostrophe less at each place gives the text back.
    fn unguarded(text: &str) -> String {
        let formula = |t: &str| is_formula(&t.chars().filter(|c| *c != '\'').collect::<String>());
        let mut out = String::new();
        let mut before = None;
        for (at, c) in text.char_indices() {
            let begins = before.is_none_or(|b| matches!(b, ',' | ';' | '\t' | '\r' | '\n'));
            let first = text.trim_start_matches('\'');
            let blank = at == 0 && first.starts_with(['\t', '\r', '\n']);
            let run: String = text[at..]
                .chars()
                .take_while(|c| *c == '\'' || *c == '"' || *c == '\u{feff}' || c.is_whitespace())
                .collect();
            let guarded = begins && c == '\'' && (blank || formula(&text[at + run.len()..]));
            if !guarded {
                out.push(c);
            }
            before = Some(c);
        }
        out
    }

    #[test]
    fn a_guarded_value_is_read_back_and_can_be_had_back() {
        for message in texts() {
            for separator in SEPARATORS {
                let fields = serde_json::json!({ "a": message }).to_string();
                let r = Record {
                    message: Some(&message),
                    fields: &fields,
                    ..Record::default()
                };
                let rows = read(&written(&r, separator), separator);
                assert_eq!((rows.len(), rows[0].len()), (1, HEADER.len()), "{message:?}");
                assert_eq!(unguarded(&rows[0][4]), message);
                let fields: serde_json::Value = serde_json::from_str(&rows[0][11]).unwrap();
                assert_eq!(fields["a"], message.as_str());
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
