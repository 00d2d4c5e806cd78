//! What a journal entry says about a request besides its records: who sent it, what makes a retry of it recognisable, what was
//! refused and why. The gateway writes it, the binary stores it in front of the packed batch, sinks and replays read it back.
//!
//! ```text
//! header   = version u8 (1) · flags u8 · received_at i64 · key_id · count u32 · retry hash u128 × count
//!            · [hash u128 · status u16 · answer]      when flag 2 is set
//!            · [hash of the body u128]                when flag 4 is set, which headers of older versions lack
//!            · count u32 · rejected × count                                     (integers little-endian)
//! rejected = index u32 · field · reason · excerpt
//! text     = length u32 · UTF-8 bytes                 key_id, field, reason, excerpt; `answer` is bytes of the same form
//! ```
//! The header says itself where it ends, so that a packed batch may follow it directly.

use crate::time::Timestamp;
use std::sync::Arc;

/// Application of the records that Andon writes about itself. No sender may use the name: such records can hold back e-mails.
pub const OWN_APPLICATION: &str = "andon";

const VERSION: u8 = 1;
const HISTORY: u8 = 1;
const IDEMPOTENCY: u8 = 2;
const BODY: u8 = 4;
/// A rejection takes at least its index and three lengths.
const REJECTED_BYTES_MIN: usize = 16;

/// What accompanies the packed batch of one request.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct IntakeHeader {
    pub received_at: Timestamp,
    /// The key that sent it.
    pub key_id: Arc<str>,
    /// Sent as history: stored and judged, nobody is told.
    pub history: bool,
    /// Hashes of (key, sender's record id) of the records in the batch.
    pub retry_hashes: Vec<u128>,
    pub idempotency: Option<Idempotency>,
    pub rejected: Vec<Rejected>,
}

/// A request with an `Idempotency-Key`: its hash with the key's id, and what was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idempotency {
    pub hash: u128,
    /// HTTP status.
    pub status: u16,
    /// The body of the answer.
    pub answer: Arc<[u8]>,
    /// Hash of the request's body, decompressed. `None` in entries of versions that did not keep it.
    pub body: Option<u128>,
}

/// A record that was refused: it goes to quarantine.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Rejected {
    /// Place in the request, counted from 0; blank lines do not count.
    pub index: u32,
    /// The field at fault; empty when the record as a whole is.
    pub field: String,
    /// What is wrong and what to do.
    pub reason: String,
    /// The beginning of the record as it was sent, made UTF-8.
    pub excerpt: String,
}

/// Why bytes are not a header. Only damage or a foreign version produces it: the encoder cannot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHeader {
    #[error("intake header version {0} is not known to this program")]
    Version(u8),
    #[error("intake header is cut short or its lengths are wrong")]
    Layout,
    #[error("intake header holds a text that is not UTF-8")]
    Utf8,
}

/// Packs a header. [`decode_header`] reads it back.
pub fn encode_header(h: &IntakeHeader) -> Vec<u8> {
    let texts: usize = h
        .rejected
        .iter()
        .map(|r| r.field.len() + r.reason.len() + r.excerpt.len())
        .sum();
    let answer = h
        .idempotency
        .as_ref()
        .map_or(0, |i| i.answer.len() + 22 + i.body.map_or(0, |_| 16));
    let size = 22 + h.key_id.len() + h.retry_hashes.len() * 16 + answer + h.rejected.len() * REJECTED_BYTES_MIN + texts;
    let mut out = Vec::with_capacity(size);
    out.push(VERSION);
    let body = h.idempotency.as_ref().and_then(|i| i.body);
    let set = [
        (h.history, HISTORY),
        (h.idempotency.is_some(), IDEMPOTENCY),
        (body.is_some(), BODY),
    ];
    out.push(set.into_iter().filter(|(is, _)| *is).map(|(_, flag)| flag).sum());
    out.extend_from_slice(&h.received_at.as_micros().to_le_bytes());
    put(&mut out, h.key_id.as_bytes());
    out.extend_from_slice(&(h.retry_hashes.len() as u32).to_le_bytes());
    for hash in &h.retry_hashes {
        out.extend_from_slice(&hash.to_le_bytes());
    }
    if let Some(i) = &h.idempotency {
        out.extend_from_slice(&i.hash.to_le_bytes());
        out.extend_from_slice(&i.status.to_le_bytes());
        put(&mut out, &i.answer);
    }
    if let Some(hash) = body {
        out.extend_from_slice(&hash.to_le_bytes());
    }
    out.extend_from_slice(&(h.rejected.len() as u32).to_le_bytes());
    for r in &h.rejected {
        out.extend_from_slice(&r.index.to_le_bytes());
        for text in [&r.field, &r.reason, &r.excerpt] {
            put(&mut out, text.as_bytes());
        }
    }
    out
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

/// Who sent it, without reading the rest: all that judging needs of a header.
pub fn sender(bytes: &[u8]) -> Result<&str, InvalidHeader> {
    let mut r = Reader { bytes, at: 0 };
    match r.array::<1>()? {
        [VERSION] => {}
        [other] => return Err(InvalidHeader::Version(other)),
    }
    let _flags_and_time = r.array::<9>()?;
    r.text()
}

/// The header at the start of `bytes`, and how many bytes it took; what follows is the caller's.
pub fn decode_header(bytes: &[u8]) -> Result<(IntakeHeader, usize), InvalidHeader> {
    let mut r = Reader { bytes, at: 0 };
    match r.array::<1>()? {
        [VERSION] => {}
        [other] => return Err(InvalidHeader::Version(other)),
    }
    let [flags] = r.array::<1>()?;
    if flags & !(HISTORY | IDEMPOTENCY | BODY) != 0 || flags & (IDEMPOTENCY | BODY) == BODY {
        return Err(InvalidHeader::Layout);
    }
    let received_at = Timestamp(i64::from_le_bytes(r.array()?));
    let key_id = Arc::from(r.text()?);
    let count = r.count(16)?;
    let mut retry_hashes = Vec::with_capacity(count);
    for _ in 0..count {
        retry_hashes.push(u128::from_le_bytes(r.array()?));
    }
    let idempotency = if flags & IDEMPOTENCY != 0 {
        let hash = u128::from_le_bytes(r.array()?);
        let status = u16::from_le_bytes(r.array()?);
        let answer = Arc::from(r.slice()?);
        let body = match flags & BODY {
            0 => None,
            _ => Some(u128::from_le_bytes(r.array()?)),
        };
        Some(Idempotency {
            hash,
            status,
            answer,
            body,
        })
    } else {
        None
    };
    let count = r.count(REJECTED_BYTES_MIN)?;
    let mut rejected = Vec::with_capacity(count);
    for _ in 0..count {
        let index = r.u32()?;
        let (field, reason, excerpt) = (r.text()?.into(), r.text()?.into(), r.text()?.into());
        rejected.push(Rejected {
            index,
            field,
            reason,
            excerpt,
        });
    }
    let history = flags & HISTORY != 0;
    Ok((
        IntakeHeader {
            received_at,
            key_id,
            history,
            retry_hashes,
            idempotency,
            rejected,
        },
        r.at,
    ))
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], InvalidHeader> {
        let end = self.at.checked_add(n).ok_or(InvalidHeader::Layout)?;
        let s = self.bytes.get(self.at..end).ok_or(InvalidHeader::Layout)?;
        self.at = end;
        Ok(s)
    }
    fn array<const N: usize>(&mut self) -> Result<[u8; N], InvalidHeader> {
        self.take(N)?.try_into().map_err(|_| InvalidHeader::Layout)
    }
    fn u32(&mut self) -> Result<u32, InvalidHeader> {
        Ok(u32::from_le_bytes(self.array()?))
    }
    /// A count of items of at least `each` bytes. One that the rest cannot hold is damage, told before memory is asked for.
    fn count(&mut self, each: usize) -> Result<usize, InvalidHeader> {
        let n = self.u32()? as usize;
        if n > (self.bytes.len() - self.at) / each {
            Err(InvalidHeader::Layout)
        } else {
            Ok(n)
        }
    }
    fn slice(&mut self) -> Result<&'a [u8], InvalidHeader> {
        let n = self.u32()? as usize;
        self.take(n)
    }
    fn text(&mut self) -> Result<&'a str, InvalidHeader> {
        std::str::from_utf8(self.slice()?).map_err(|_| InvalidHeader::Utf8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> IntakeHeader {
        IntakeHeader {
            received_at: Timestamp(1_700_000_000_000_000),
            key_id: "line-3".into(),
            history: true,
            retry_hashes: vec![0, u128::MAX, 7],
            idempotency: Some(Idempotency {
                hash: 9,
                status: 202,
                answer: Arc::from(&b"{\"accepted\":1}"[..]),
                body: Some(11),
            }),
            rejected: vec![Rejected {
                index: 4,
                field: "readings.load".into(),
                reason: "not a number".into(),
                excerpt: "{\"Stra\u{df}e\"".into(),
            }],
        }
    }

    #[test]
    fn a_header_is_read_back_and_says_where_it_ends() {
        for header in [sample(), IntakeHeader::default()] {
            let mut bytes = encode_header(&header);
            let end = bytes.len();
            bytes.extend_from_slice(b"the batch");
            assert_eq!(sender(&bytes), Ok(&*header.key_id));
            assert_eq!(decode_header(&bytes), Ok((header, end)));
        }
    }

    #[test]
    fn a_header_of_a_version_that_kept_no_hash_of_the_body_is_read() {
        let mut header = sample();
        header.idempotency.as_mut().unwrap().body = None;
        let bytes = encode_header(&header);
        assert_eq!(
            (bytes[0], bytes[1]),
            (1, HISTORY | IDEMPOTENCY),
            "as it was written before"
        );
        assert_eq!(decode_header(&bytes), Ok((header, bytes.len())));
        // A hash of a body belongs to an answer.
        let mut odd = encode_header(&IntakeHeader::default());
        odd[1] = BODY;
        assert_eq!(decode_header(&odd), Err(InvalidHeader::Layout));
    }

    #[test]
    fn a_header_cut_anywhere_or_of_another_version_is_refused() {
        let bytes = encode_header(&sample());
        for end in 0..bytes.len() {
            assert_eq!(decode_header(&bytes[..end]), Err(InvalidHeader::Layout), "cut at {end}");
        }
        let mut other = bytes;
        other[0] = 2;
        assert_eq!(decode_header(&other), Err(InvalidHeader::Version(2)));
    }

    #[test]
    fn a_count_beyond_the_bytes_asks_for_no_memory() {
        let mut bytes = encode_header(&IntakeHeader::default());
        let at = bytes.len() - 8;
        bytes[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(decode_header(&bytes), Err(InvalidHeader::Layout));
    }

    proptest! {
        #[test]
        fn any_header_survives(at in any::<i64>(), key in ".{0,20}", history in any::<bool>(), hashes in proptest::collection::vec(any::<u128>(), 0..20),
                               answer in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..50)), body in any::<Option<u128>>(),
                               rejected in proptest::collection::vec((any::<u32>(), ".{0,9}", ".{0,9}", ".{0,30}"), 0..9)) {
            let header = IntakeHeader {
                received_at: Timestamp(at), key_id: key.into(), history, retry_hashes: hashes,
                idempotency: answer.map(|a| Idempotency { hash: 1, status: 400, answer: Arc::from(a), body }),
                rejected: rejected.into_iter().map(|(index, field, reason, excerpt)| Rejected { index, field, reason, excerpt }).collect(),
            };
            let bytes = encode_header(&header);
            prop_assert_eq!(decode_header(&bytes), Ok((header, bytes.len())));
        }

        #[test]
        fn damage_never_panics(at in 0usize..500, with in any::<u8>(), cut in 0usize..500) {
            let mut bytes = encode_header(&sample());
            let n = bytes.len();
            bytes[at % n] = with;
            bytes.truncate(n - cut % n);
            if let Ok((_, used)) = decode_header(&bytes) {
                prop_assert!(used <= bytes.len());
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode_header(&bytes);
        }
    }
}
