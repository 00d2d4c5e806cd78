//! A packed batch: the one layout of records in memory and in the journal.
//!
//! The gateway packs each accepted record once; shards, sinks, live feeds and replays read it in place. Wire formats (JSON and
//! others) are the gateway's business and rows the stores'; this is neither.
//!
//! ```text
//! batch   = version u8 (1) · count u32 · offset u32 × count · record × count        (integers little-endian)
//! record  = timestamp i64 · received_at i64 · fingerprint u64 · presence u32 · flags u16 · level u8 · readings u8
//!           · text × popcount(presence) · (name_len u8 · name · value f64) × readings
//! text    = length u32 · UTF-8 bytes                     in the order of the bits of `presence`
//! ```
//! Offsets count from the start of the batch. A batch read back from disk is verified once by [`Batch::parse`]; after that
//! reading a record cannot fail.

use crate::ids::{JournalId, RecordId};
use crate::level::Level;
use crate::limits::{BATCH_RECORDS_MAX, READINGS_MAX};
use crate::record::{Flags, Record};
use crate::time::Timestamp;

const VERSION: u8 = 1;
const HEADER: usize = 5;
/// timestamp, received_at, fingerprint, presence, flags, level, readings.
const FIXED: usize = 8 + 8 + 8 + 4 + 2 + 1 + 1;
const TEXTS: usize = 15;

/// Why bytes are not a batch. Only damage or a foreign version produces it: the packer cannot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBatch {
    #[error("batch layout version {0} is not known to this program")]
    Version(u8),
    #[error("batch is cut short or its offsets are wrong")]
    Layout,
    #[error("batch holds a text that is not UTF-8")]
    Utf8,
    #[error("batch holds a level or reading that cannot be")]
    Value,
}

fn texts<'a>(r: &Record<'a>) -> [Option<&'a str>; TEXTS] {
    let fields = if r.fields.is_empty() { None } else { Some(r.fields) };
    [
        r.message,
        r.kind,
        r.application,
        r.device_id,
        r.user_id,
        r.source,
        fields,
        r.id,
        r.item_id,
        r.order_id,
        r.location,
        r.step,
        r.trace_id,
        r.span_id,
        None,
    ]
}

/// Packs records one after another. Reusable: `finish` leaves it empty with its memory.
#[derive(Debug, Default)]
pub struct BatchBuilder {
    offsets: Vec<u32>,
    body: Vec<u8>,
}

impl BatchBuilder {
    pub fn new() -> Self {
        Self::default()
    }
    pub fn len(&self) -> usize {
        self.offsets.len()
    }
    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }
    /// Bytes so far, without the header.
    pub fn bytes(&self) -> usize {
        self.body.len() + self.offsets.len() * 4
    }

    /// Appends a record; its `record_id` is not kept (the place in the journal is the identity). False when the batch is full.
    pub fn push(&mut self, r: &Record<'_>) -> bool {
        if self.offsets.len() >= BATCH_RECORDS_MAX || u32::try_from(self.body.len() + (1 << 20)).is_err() {
            return false;
        }
        self.offsets.push(self.body.len() as u32);
        let b = &mut self.body;
        let texts = texts(r);
        let presence = texts
            .iter()
            .enumerate()
            .fold(0u32, |m, (i, t)| m | (u32::from(t.is_some()) << i));
        b.extend_from_slice(&r.timestamp.as_micros().to_le_bytes());
        b.extend_from_slice(&r.received_at.as_micros().to_le_bytes());
        b.extend_from_slice(&r.fingerprint.to_le_bytes());
        b.extend_from_slice(&presence.to_le_bytes());
        b.extend_from_slice(&r.flags.0.to_le_bytes());
        b.push(r.level.map_or(0, |l| l as u8));
        let readings = r.readings.len().min(READINGS_MAX);
        b.push(readings as u8);
        for t in texts.into_iter().flatten() {
            b.extend_from_slice(&(t.len() as u32).to_le_bytes());
            b.extend_from_slice(t.as_bytes());
        }
        for (name, value) in r.readings.iter().take(readings) {
            // Names are at most KEY_BYTES_MAX; validation comes before packing.
            debug_assert!(name.len() <= usize::from(u8::MAX));
            let name = &name.as_bytes()[..name.len().min(usize::from(u8::MAX))];
            b.push(name.len() as u8);
            b.extend_from_slice(name);
            b.extend_from_slice(&value.to_le_bytes());
        }
        true
    }

    pub fn finish(&mut self) -> Vec<u8> {
        let table = HEADER + self.offsets.len() * 4;
        let mut out = Vec::with_capacity(table + self.body.len());
        out.push(VERSION);
        out.extend_from_slice(&(self.offsets.len() as u32).to_le_bytes());
        for o in &self.offsets {
            out.extend_from_slice(&(o + table as u32).to_le_bytes());
        }
        out.extend_from_slice(&self.body);
        self.offsets.clear();
        self.body.clear();
        out
    }
}

/// A verified view of packed records. `B` is any shared bytes (`Bytes`, `Vec<u8>`, `&[u8]`).
#[derive(Clone)]
pub struct Batch<B> {
    bytes: B,
    journal: JournalId,
    seq: u64,
}

impl<B> std::fmt::Debug for Batch<B>
where
    B: AsRef<[u8]>,
{
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Batch(seq {}, {} records, {} bytes)",
            self.seq,
            self.len(),
            self.bytes.as_ref().len()
        )
    }
}

impl<B: AsRef<[u8]>> Batch<B> {
    /// Verifies every offset, length and text, so that [`Batch::get`] cannot fail.
    pub fn parse(bytes: B, journal: JournalId, seq: u64) -> Result<Self, InvalidBatch> {
        let b = bytes.as_ref();
        match b.first() {
            Some(&VERSION) => {}
            Some(&v) => return Err(InvalidBatch::Version(v)),
            None => return Err(InvalidBatch::Layout),
        }
        let mut r = Reader { b, at: 1 };
        let count = r.u32()? as usize;
        if count > BATCH_RECORDS_MAX {
            return Err(InvalidBatch::Layout);
        }
        let table = HEADER + count * 4;
        let mut end = table;
        for i in 0..count {
            let mut t = Reader { b, at: HEADER + i * 4 };
            if t.u32()? as usize != end {
                return Err(InvalidBatch::Layout);
            }
            end = verify(b, end)?;
        }
        if end != b.len() {
            return Err(InvalidBatch::Layout);
        }
        Ok(Self { bytes, journal, seq })
    }

    pub fn len(&self) -> usize {
        let b = self.bytes.as_ref();
        u32::from_le_bytes([b[1], b[2], b[3], b[4]]) as usize
    }
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    pub fn journal(&self) -> JournalId {
        self.journal
    }
    pub fn seq(&self) -> u64 {
        self.seq
    }
    pub fn bytes(&self) -> &B {
        &self.bytes
    }

    /// The record at `index`. Panics past the end, like a slice.
    pub fn get(&self, index: usize) -> Record<'_> {
        assert!(index < self.len(), "record {index} of a batch of {}", self.len());
        let b = self.bytes.as_ref();
        let mut r = Reader {
            b,
            at: HEADER + index * 4,
        };
        let offset = r.u32().expect("verified by parse") as usize;
        let mut record = read(b, offset).expect("verified by parse").0;
        record.record_id = RecordId::new(self.journal, self.seq, index as u32);
        record
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = Record<'_>> {
        (0..self.len()).map(|i| self.get(i))
    }
}

struct Reader<'a> {
    b: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], InvalidBatch> {
        let end = self.at.checked_add(n).ok_or(InvalidBatch::Layout)?;
        let s = self.b.get(self.at..end).ok_or(InvalidBatch::Layout)?;
        self.at = end;
        Ok(s)
    }
    fn array<const N: usize>(&mut self) -> Result<[u8; N], InvalidBatch> {
        self.take(N)?.try_into().map_err(|_| InvalidBatch::Layout)
    }
    fn u8(&mut self) -> Result<u8, InvalidBatch> {
        Ok(self.array::<1>()?[0])
    }
    fn u32(&mut self) -> Result<u32, InvalidBatch> {
        Ok(u32::from_le_bytes(self.array()?))
    }
    fn text(&mut self, len: usize) -> Result<&'a str, InvalidBatch> {
        std::str::from_utf8(self.take(len)?).map_err(|_| InvalidBatch::Utf8)
    }
}

fn verify(b: &[u8], offset: usize) -> Result<usize, InvalidBatch> {
    read(b, offset).map(|(_, end)| end)
}

/// The record at `offset` and where it ends. Text is checked each time: the check costs less than a copy, and `unsafe` is not ours to use.
fn read(b: &[u8], offset: usize) -> Result<(Record<'_>, usize), InvalidBatch> {
    let mut r = Reader { b, at: offset };
    let fixed: [u8; FIXED] = r.array()?;
    let i64_at = |i: usize| i64::from_le_bytes(fixed[i..i + 8].try_into().expect("eight bytes"));
    let presence = u32::from_le_bytes(fixed[24..28].try_into().expect("four bytes"));
    if presence >> TEXTS != 0 {
        return Err(InvalidBatch::Layout);
    }
    let level = match fixed[30] {
        0 => None,
        n => Some(Level::from_u8(n).ok_or(InvalidBatch::Value)?),
    };
    let mut texts: [Option<&str>; TEXTS] = [None; TEXTS];
    for (i, t) in texts.iter_mut().enumerate() {
        if presence & (1 << i) != 0 {
            let len = r.u32()? as usize;
            *t = Some(r.text(len)?);
        }
    }
    let mut record = Record {
        timestamp: Timestamp(i64_at(0)),
        received_at: Timestamp(i64_at(8)),
        fingerprint: i64_at(16) as u64,
        flags: Flags(u16::from_le_bytes([fixed[28], fixed[29]])),
        level,
        ..Record::default()
    };
    let [
        message,
        kind,
        application,
        device_id,
        user_id,
        source,
        fields,
        id,
        item_id,
        order_id,
        location,
        step,
        trace_id,
        span_id,
        _,
    ] = texts;
    record.message = message;
    record.kind = kind;
    record.application = application;
    record.device_id = device_id;
    record.user_id = user_id;
    record.source = source;
    record.fields = fields.unwrap_or("");
    record.id = id;
    record.item_id = item_id;
    record.order_id = order_id;
    record.location = location;
    record.step = step;
    record.trace_id = trace_id;
    record.span_id = span_id;
    for _ in 0..fixed[31] {
        let len = usize::from(r.u8()?);
        let name = r.text(len)?;
        let value = f64::from_le_bytes(r.array()?);
        if !value.is_finite() {
            return Err(InvalidBatch::Value);
        }
        record.readings.push((name, value));
    }
    Ok((record, r.at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> Record<'static> {
        Record {
            timestamp: Timestamp(1),
            received_at: Timestamp(-2),
            level: Some(Level::Fatal),
            message: Some("belt torn"),
            application: Some("wms"),
            device_id: Some("CNV-03"),
            fields: r#"{"a":1}"#,
            readings: vec![("temperature", 81.5), ("vibration", 7.25)],
            fingerprint: 42,
            flags: Flags::CLOCK_SKEW,
            ..Record::default()
        }
    }

    #[test]
    fn a_batch_gives_back_what_was_packed_with_its_place_as_identity() {
        let mut b = BatchBuilder::new();
        assert!(b.push(&sample()));
        assert!(b.push(&Record::default()));
        let batch = Batch::parse(b.finish(), JournalId(7), 9).unwrap();
        assert!(b.is_empty());
        let want = Record {
            record_id: RecordId::new(JournalId(7), 9, 0),
            ..sample()
        };
        assert_eq!(batch.get(0), want);
        assert_eq!(batch.get(1).record_id, RecordId::new(JournalId(7), 9, 1));
        assert_eq!(batch.iter().len(), 2);
    }

    proptest! {
        #[test]
        fn any_texts_and_readings_survive(message in ".{0,40}", device in proptest::option::of(".{1,20}"),
                                          value in any::<f64>().prop_filter("finite", |v| v.is_finite()), n in 0usize..64) {
            let names: Vec<String> = (0..n).map(|i| format!("r{i}")).collect();
            let r = Record { message: Some(&message), device_id: device.as_deref(),
                readings: names.iter().map(|s| (s.as_str(), value)).collect(), ..Record::default() };
            let mut b = BatchBuilder::new();
            b.push(&r);
            let batch = Batch::parse(b.finish(), JournalId(0), 0).unwrap();
            prop_assert_eq!(batch.get(0), r);
        }

        #[test]
        fn damaged_bytes_are_an_error_or_a_batch_that_can_be_read(at in 0usize..200, with in any::<u8>(), cut in 0usize..200) {
            let mut b = BatchBuilder::new();
            b.push(&sample());
            b.push(&sample());
            let mut bytes = b.finish();
            let n = bytes.len();
            bytes[at % n] = with;
            bytes.truncate(n - cut % n);
            if let Ok(batch) = Batch::parse(bytes, JournalId(0), 0) {
                for r in batch.iter() { let _ = r.is_log(); }
            }
        }
    }
}
