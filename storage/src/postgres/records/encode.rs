//! Records as rows of a binary COPY: <https://www.postgresql.org/docs/current/sql-copy.html>, "Binary Format".

use super::json;
use super::partitions::day;
use crate::relational::database::clean;
use andon_engine::batch::Batch;
use andon_engine::record::Record;
use bytes::Bytes;
use std::collections::BTreeSet;
use std::ops::Range;

macro_rules! columns {
    () => {
        "record_id, received_at, timestamp, fingerprint, flags, level, message, type, application, device_id, user_id, source,
    sender_id, item_id, order_id, location, step, trace_id, span_id, readings, fields, fields_text"
    };
}
const COLUMNS: i16 = 22;
pub(super) const COPY: &str = concat!("COPY records (", columns!(), ") FROM STDIN (FORMAT binary)");

const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const TRAILER: &[u8] = &(-1i16).to_be_bytes();
/// The one version of JSONB's binary form; its text follows.
const JSONB: u8 = 1;

/// The log records of some batches, ready to be copied.
#[derive(Debug, Default)]
pub(super) struct Rows {
    bytes: Vec<u8>,
    /// Where each row ends, and which record it is: its batch, and its index there.
    rows: Vec<(usize, usize, usize)>,
    days: BTreeSet<i64>,
}

impl Rows {
    pub(super) fn of(batches: &[Batch<Bytes>]) -> Self {
        let mut rows = Rows {
            bytes: Vec::with_capacity(batches.iter().map(|b| b.bytes().len() * 5 / 4).sum()),
            ..Rows::default()
        };
        for (b, batch) in batches.iter().enumerate() {
            for (i, record) in batch.iter().enumerate().filter(|(_, r)| r.is_log()) {
                push(&mut rows.bytes, &record, false);
                rows.rows.push((rows.bytes.len(), b, i));
                rows.days.insert(day(record.received_at));
            }
        }
        rows
    }

    /// The COPY of one record with its fields as text.
    pub(super) fn plain(record: &Record<'_>) -> [Vec<u8>; 1] {
        let mut bytes = HEADER.to_vec();
        push(&mut bytes, record, true);
        bytes.extend_from_slice(TRAILER);
        [bytes]
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }
    /// Days of receipt, since 1970 in UTC.
    pub(super) fn days(&self) -> &BTreeSet<i64> {
        &self.days
    }
    pub(super) fn record<'a>(&self, batches: &'a [Batch<Bytes>], index: usize) -> Record<'a> {
        let (_, b, i) = self.rows[index];
        batches[b].get(i)
    }
    /// The COPY of these rows, in pieces.
    pub(super) fn bytes(&self, part: &Range<usize>) -> [&[u8]; 3] {
        let end = |i: usize| self.rows[i].0;
        let from = if part.start == 0 { 0 } else { end(part.start - 1) };
        [HEADER, &self.bytes[from..end(part.end - 1)], TRAILER]
    }
}

fn push(out: &mut Vec<u8>, r: &Record<'_>, plain: bool) {
    out.extend_from_slice(&COLUMNS.to_be_bytes());
    field(out, &r.record_id.to_bytes());
    field(out, &r.received_at.as_micros().to_be_bytes());
    field(out, &r.timestamp.as_micros().to_be_bytes());
    field(out, &r.fingerprint.to_be_bytes());
    field(out, &i32::from(r.flags.0).to_be_bytes());
    match r.level {
        Some(level) => field(out, &i16::from(level as u8).to_be_bytes()),
        None => null(out),
    }
    text(out, r.message);
    for t in [
        r.kind,
        r.application,
        r.device_id,
        r.user_id,
        r.source,
        r.id,
        r.item_id,
        r.order_id,
        r.location,
        r.step,
        r.trace_id,
        r.span_id,
    ] {
        text(out, t);
    }
    match json::readings(&r.readings) {
        Some(json) => jsonb(out, &json),
        None => null(out),
    }
    let fields = Some(r.fields).filter(|f| !f.is_empty());
    match fields.filter(|_| !plain).and_then(json::for_jsonb) {
        Some(json) => {
            jsonb(out, &json);
            null(out);
        }
        None => {
            null(out);
            text(out, fields);
        }
    }
}

fn null(out: &mut Vec<u8>) {
    out.extend_from_slice(&(-1i32).to_be_bytes());
}

fn field(out: &mut Vec<u8>, bytes: &[u8]) {
    length(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn length(out: &mut Vec<u8>, bytes: usize) {
    let length = i32::try_from(bytes).expect("a field is a part of a record, and a record far below 2 GiB");
    out.extend_from_slice(&length.to_be_bytes());
}

fn text(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(t) => field(out, clean(t).as_bytes()),
        None => null(out),
    }
}

fn jsonb(out: &mut Vec<u8>, json: &str) {
    length(out, 1 + json.len());
    out.push(JSONB);
    out.extend_from_slice(json.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_are_as_many_as_the_rows_say() {
        assert_eq!(columns!().split(',').count(), COLUMNS as usize);
    }

    #[test]
    fn a_part_is_a_copy_of_its_own() {
        let mut b = andon_engine::batch::BatchBuilder::new();
        for message in ["one", "two", "three"] {
            assert!(b.push(&Record {
                message: Some(message),
                fields: r#"{"a":1}"#,
                ..Record::default()
            }));
        }
        let batch = Batch::parse(Bytes::from(b.finish()), andon_engine::ids::JournalId(1), 1).unwrap();
        let rows = Rows::of(std::slice::from_ref(&batch));
        let all = rows.bytes(&(0..3)).concat();
        let parts: Vec<u8> = (0..3).flat_map(|i| rows.bytes(&(i..i + 1))[1].to_vec()).collect();
        assert_eq!(all, [HEADER, &parts, TRAILER].concat());
    }
}
