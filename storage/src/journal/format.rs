//! How segments and entries lie on disk. Pure: bytes in, bytes out. All integers are little-endian.
//!
//! ```text
//! segment = header (8 KiB: the same 512-byte sector at 0 and at 4,096) · entry × n · whatever was there before
//! header  = magic 8 · version u32 · crc u32 · journal u32 · state u32 · salt u64 · epoch u64 · generation u64
//!           · first_seq u64 · synced_to u64 · segment_bytes u64 · zeros
//! entry   = magic u32 · crc u32 · length u32 · header_len u32 · seq u64 · epoch u64 · synced_to u64 · received_at i64
//!           · body_len u32 · kind u8 · flags u8 · zeros 2 · header · body (lz4 if flag 1) · zeros up to a multiple of 8
//! ```
//! A checksum covers everything but itself. An entry's also covers the journal's `salt`, which is random and never leaves the
//! disk: bytes that a sender puts into a record can therefore not pass for an entry when a damaged place is searched for the next.

use andon_engine::ids::JournalId;
use andon_engine::time::Timestamp;

/// Before the first entry of a segment.
pub(super) const SEGMENT_HEADER_BYTES: u64 = 8192;
const COPIES: [usize; 2] = [0, 4096];
const SECTOR: usize = 512;
const SEGMENT_MAGIC: [u8; 8] = *b"ANDONSEG";
const VERSION: u32 = 1;
const LIVE: u32 = 1;
const FREE: u32 = 2;

/// The fixed part of an entry.
pub(super) const ENTRY_FIXED: usize = 56;
const ENTRY_MAGIC: u32 = u32::from_le_bytes(*b"ANDE");
const ALIGN: usize = 8;
const FLAG_LZ4: u8 = 1;

/// What the first sector of a segment says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub journal: JournalId,
    /// Random, one for the whole journal.
    pub salt: u64,
    /// Which life of the file: grows over all segments each time one is taken into use.
    pub epoch: u64,
    /// Grows with each write of this header.
    pub generation: u64,
    /// False: holds nothing that counts.
    pub live: bool,
    pub first_seq: u64,
    /// Highest sequence known durable when the header was written.
    pub synced_to: u64,
    pub segment_bytes: u64,
}

/// Why a header cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeaderFault {
    Damaged,
    Version(u32),
}

fn u32_at(b: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(b[at..at + 4].try_into().expect("four bytes"))
}
fn u64_at(b: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(b[at..at + 8].try_into().expect("eight bytes"))
}

impl SegmentHeader {
    /// Both copies, to be written at offset 0.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut sector = [0u8; SECTOR];
        sector[..8].copy_from_slice(&SEGMENT_MAGIC);
        sector[8..12].copy_from_slice(&VERSION.to_le_bytes());
        sector[16..20].copy_from_slice(&self.journal.0.to_le_bytes());
        sector[20..24].copy_from_slice(&(if self.live { LIVE } else { FREE }).to_le_bytes());
        let words = [
            self.salt,
            self.epoch,
            self.generation,
            self.first_seq,
            self.synced_to,
            self.segment_bytes,
        ];
        for (i, word) in words.into_iter().enumerate() {
            sector[24 + i * 8..32 + i * 8].copy_from_slice(&word.to_le_bytes());
        }
        let crc = Self::crc(&sector);
        sector[12..16].copy_from_slice(&crc.to_le_bytes());
        let mut out = vec![0; SEGMENT_HEADER_BYTES as usize];
        for at in COPIES {
            out[at..at + SECTOR].copy_from_slice(&sector);
        }
        out
    }

    fn crc(sector: &[u8]) -> u32 {
        let mut h = crc32fast::Hasher::new();
        h.update(&sector[..12]);
        h.update(&sector[16..SECTOR]);
        h.finalize()
    }

    fn decode_copy(sector: &[u8]) -> Result<Self, HeaderFault> {
        if sector.len() < SECTOR || sector[..8] != SEGMENT_MAGIC || u32_at(sector, 12) != Self::crc(sector) {
            return Err(HeaderFault::Damaged);
        }
        match u32_at(sector, 8) {
            VERSION => {}
            other => return Err(HeaderFault::Version(other)),
        }
        let live = match u32_at(sector, 20) {
            LIVE => true,
            FREE => false,
            _ => return Err(HeaderFault::Damaged),
        };
        Ok(Self {
            journal: JournalId(u32_at(sector, 16)),
            salt: u64_at(sector, 24),
            epoch: u64_at(sector, 32),
            generation: u64_at(sector, 40),
            live,
            first_seq: u64_at(sector, 48),
            synced_to: u64_at(sector, 56),
            segment_bytes: u64_at(sector, 64),
        })
    }

    /// The newer of the two copies, and whether both said the same.
    pub(super) fn decode(bytes: &[u8]) -> Result<(Self, bool), HeaderFault> {
        let copy = |at: usize| Self::decode_copy(bytes.get(at..at + SECTOR).unwrap_or(&[]));
        match (copy(COPIES[0]), copy(COPIES[1])) {
            (Ok(a), Ok(b)) if (b.epoch, b.generation) > (a.epoch, a.generation) => Ok((b, false)),
            (Ok(a), Ok(b)) => Ok((a, a == b)),
            (Ok(one), Err(_)) | (Err(_), Ok(one)) => Ok((one, false)),
            (Err(HeaderFault::Version(v)), Err(_)) | (Err(_), Err(HeaderFault::Version(v))) => {
                Err(HeaderFault::Version(v))
            }
            (Err(_), Err(_)) => Err(HeaderFault::Damaged),
        }
    }
}

/// What is checked for every entry of a segment.
#[derive(Debug, Clone)]
pub(super) struct Check {
    seed: crc32fast::Hasher,
}

impl Check {
    pub(super) fn new(salt: u64) -> Self {
        let mut seed = crc32fast::Hasher::new();
        seed.update(&salt.to_le_bytes());
        Self { seed }
    }
    fn crc(&self, covered: &[u8]) -> u32 {
        let mut h = self.seed.clone();
        h.update(covered);
        h.finalize()
    }
}

/// Bytes of an entry on disk, padding included.
pub(super) fn entry_size(header_len: usize, stored_len: usize) -> usize {
    (ENTRY_FIXED + header_len + stored_len).next_multiple_of(ALIGN)
}

/// The fixed part of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fixed {
    pub seq: u64,
    pub epoch: u64,
    pub synced_to: u64,
    pub received_at: Timestamp,
    pub kind: u8,
    pub lz4: bool,
    /// Length of the body once decompressed.
    pub body_len: u32,
}

/// Appends one entry to `out`. The caller has checked that the lengths fit a segment, which is below 4 GiB.
pub(super) fn encode_entry(out: &mut Vec<u8>, check: &Check, fixed: &Fixed, header: &[u8], stored: &[u8]) {
    let start = out.len();
    let length = ENTRY_FIXED + header.len() + stored.len();
    out.reserve(length.next_multiple_of(ALIGN));
    out.extend_from_slice(&ENTRY_MAGIC.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&(length as u32).to_le_bytes());
    out.extend_from_slice(&(header.len() as u32).to_le_bytes());
    out.extend_from_slice(&fixed.seq.to_le_bytes());
    out.extend_from_slice(&fixed.epoch.to_le_bytes());
    out.extend_from_slice(&fixed.synced_to.to_le_bytes());
    out.extend_from_slice(&fixed.received_at.as_micros().to_le_bytes());
    out.extend_from_slice(&fixed.body_len.to_le_bytes());
    out.extend_from_slice(&[fixed.kind, if fixed.lz4 { FLAG_LZ4 } else { 0 }, 0, 0]);
    out.extend_from_slice(header);
    out.extend_from_slice(stored);
    let crc = check.crc(&out[start + 8..]);
    out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
    out.resize(start + length.next_multiple_of(ALIGN), 0);
}

/// A verified entry in place.
#[derive(Debug, Clone, Copy)]
pub(super) struct EntryView<'a> {
    pub fixed: Fixed,
    pub header: &'a [u8],
    pub stored: &'a [u8],
    /// Bytes on disk, padding included.
    pub size: usize,
}

/// Why the bytes at a place are not an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EntryFault {
    /// It could be one, but needs this many bytes.
    Short(usize),
    Bad,
}

/// Whether an entry of this epoch seems to begin here, and the bytes that it says it takes. Not verified.
pub(super) fn claims_entry(bytes: &[u8], epoch: u64) -> Option<usize> {
    if bytes.len() < ENTRY_FIXED || u32_at(bytes, 0) != ENTRY_MAGIC || u64_at(bytes, 24) != epoch {
        return None;
    }
    Some((u32_at(bytes, 8) as usize).max(ENTRY_FIXED).next_multiple_of(ALIGN))
}

/// The entry at the start of `bytes`. `epoch` of `None` takes any.
pub(super) fn decode_entry<'a>(
    bytes: &'a [u8],
    check: &Check,
    epoch: Option<u64>,
) -> Result<EntryView<'a>, EntryFault> {
    if bytes.len() < ENTRY_FIXED {
        return Err(EntryFault::Short(ENTRY_FIXED));
    }
    let found = u64_at(bytes, 24);
    if u32_at(bytes, 0) != ENTRY_MAGIC || epoch.is_some_and(|e| e != found) {
        return Err(EntryFault::Bad);
    }
    let length = u32_at(bytes, 8) as usize;
    let header_len = u32_at(bytes, 12) as usize;
    if length < ENTRY_FIXED || header_len > length - ENTRY_FIXED {
        return Err(EntryFault::Bad);
    }
    if bytes.len() < length {
        return Err(EntryFault::Short(length.next_multiple_of(ALIGN)));
    }
    if check.crc(&bytes[8..length]) != u32_at(bytes, 4) {
        return Err(EntryFault::Bad);
    }
    let fixed = Fixed {
        seq: u64_at(bytes, 16),
        epoch: found,
        synced_to: u64_at(bytes, 32),
        received_at: Timestamp::from_micros(u64_at(bytes, 40) as i64),
        body_len: u32_at(bytes, 48),
        kind: bytes[52],
        lz4: bytes[53] & FLAG_LZ4 != 0,
    };
    let (header, stored) = bytes[ENTRY_FIXED..length].split_at(header_len);
    Ok(EntryView {
        fixed,
        header,
        stored,
        size: length.next_multiple_of(ALIGN),
    })
}

/// The next verified entry of `epoch` at or after `from` whose sequence is at least `min_seq`: its offset.
pub(super) fn next_valid(bytes: &[u8], from: usize, check: &Check, epoch: u64, min_seq: u64) -> Option<usize> {
    let mut at = from.next_multiple_of(ALIGN);
    while at + ENTRY_FIXED <= bytes.len() {
        if claims_entry(&bytes[at..], epoch).is_some()
            && decode_entry(&bytes[at..], check, Some(epoch)).is_ok_and(|e| e.fixed.seq >= min_seq)
        {
            return Some(at);
        }
        at += ALIGN;
    }
    None
}

/// Compresses a body when that saves at least an eighth of it.
pub(super) fn compress(body: &[u8]) -> Option<Vec<u8>> {
    let packed = lz4_flex::block::compress(body);
    (packed.len() <= body.len() - body.len() / 8).then_some(packed)
}

/// The body of a verified entry. `None`: not what its header says, which only a foreign writer can cause.
pub(super) fn decompress(stored: &[u8], body_len: usize, lz4: bool) -> Option<Vec<u8>> {
    if !lz4 {
        return (stored.len() == body_len).then(|| stored.to_vec());
    }
    // lz4 expands at most 255 times; anything beyond is not ours and must not reserve memory.
    if body_len / 255 > stored.len() {
        return None;
    }
    lz4_flex::block::decompress(stored, body_len)
        .ok()
        .filter(|b| b.len() == body_len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header() -> SegmentHeader {
        SegmentHeader {
            journal: JournalId(7),
            salt: 11,
            epoch: 3,
            generation: 9,
            live: true,
            first_seq: 100,
            synced_to: 99,
            segment_bytes: 65_536,
        }
    }

    fn fixed(seq: u64, body_len: usize) -> Fixed {
        Fixed {
            seq,
            epoch: 3,
            synced_to: seq - 1,
            received_at: Timestamp::from_micros(-5),
            kind: 2,
            lz4: false,
            body_len: body_len as u32,
        }
    }

    #[test]
    fn one_damaged_copy_of_the_header_is_survived_and_two_are_not() {
        let good = header().encode();
        assert_eq!(SegmentHeader::decode(&good), Ok((header(), true)));
        for copy in COPIES {
            for byte in 0..SECTOR {
                let mut bytes = good.clone();
                bytes[copy + byte] ^= 0x10;
                assert_eq!(
                    SegmentHeader::decode(&bytes),
                    Ok((header(), false)),
                    "byte {byte} of the copy at {copy}"
                );
            }
        }
        let mut bytes = good;
        bytes[30] ^= 1;
        bytes[4096 + 30] ^= 1;
        assert_eq!(SegmentHeader::decode(&bytes), Err(HeaderFault::Damaged));
        assert_eq!(SegmentHeader::decode(&[]), Err(HeaderFault::Damaged));
    }

    #[test]
    fn a_torn_header_counts_as_the_newer_copy() {
        let old = header();
        let new = SegmentHeader {
            generation: 10,
            live: false,
            ..old
        };
        let (a, b) = (old.encode(), new.encode());
        let mut torn = a.clone();
        torn[4096..].copy_from_slice(&b[4096..]);
        assert_eq!(SegmentHeader::decode(&torn), Ok((new, false)));
        let mut torn = b;
        torn[4096..].copy_from_slice(&a[4096..]);
        assert_eq!(SegmentHeader::decode(&torn), Ok((new, false)));
    }

    #[test]
    fn any_flipped_bit_of_an_entry_is_noticed() {
        let check = Check::new(42);
        let mut bytes = Vec::new();
        encode_entry(&mut bytes, &check, &fixed(5, 11), b"head", b"hello world");
        let length = ENTRY_FIXED + 15;
        assert!(decode_entry(&bytes, &check, Some(3)).is_ok());
        for bit in 0..length * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(decode_entry(&bad, &check, Some(3)).is_err(), "bit {bit}");
        }
        assert_eq!(
            decode_entry(&bytes, &Check::new(43), Some(3)).err(),
            Some(EntryFault::Bad),
            "another journal's salt"
        );
        assert_eq!(
            decode_entry(&bytes, &check, Some(4)).err(),
            Some(EntryFault::Bad),
            "another life of the segment"
        );
    }

    #[test]
    fn a_body_that_looks_like_an_entry_is_not_found_without_the_salt() {
        let mut inner = Vec::new();
        encode_entry(&mut inner, &Check::new(0), &fixed(6, 3), b"", b"abc");
        let check = Check::new(42);
        let mut bytes = Vec::new();
        encode_entry(&mut bytes, &check, &fixed(5, inner.len()), b"", &inner);
        let second = bytes.len();
        encode_entry(&mut bytes, &check, &fixed(7, 3), b"", b"xyz");
        bytes[20] ^= 1;
        assert_eq!(next_valid(&bytes, 8, &check, 3, 0), Some(second));
    }

    #[test]
    fn decompression_takes_no_word_for_a_size() {
        let packed = compress(&vec![7; 4096]).expect("compresses");
        assert_eq!(decompress(&packed, 4096, true), Some(vec![7; 4096]));
        assert_eq!(decompress(&packed, usize::MAX, true), None);
        assert_eq!(decompress(&packed, 4095, true), None);
        assert_eq!(decompress(&packed, 4096, false), None);
        assert_eq!(decompress(b"\xff\xff\xff", 600, true), None);
    }

    proptest! {
        #[test]
        fn entries_come_back_as_they_went_in(
            header in proptest::collection::vec(any::<u8>(), 0..80),
            body in proptest::collection::vec(any::<u8>(), 0..400),
            seq in 1..u64::MAX, salt: u64, at: i64, kind: u8,
        ) {
            let check = Check::new(salt);
            let f = Fixed { received_at: Timestamp::from_micros(at), kind, ..fixed(seq, body.len()) };
            let mut bytes = Vec::new();
            encode_entry(&mut bytes, &check, &f, &header, &body);
            prop_assert_eq!(bytes.len(), entry_size(header.len(), body.len()));
            let view = decode_entry(&bytes, &check, Some(3)).expect("what was written is valid");
            prop_assert_eq!(view.fixed, f);
            prop_assert_eq!(view.header, &header[..]);
            prop_assert_eq!(decompress(view.stored, body.len(), false), Some(body));
        }

        #[test]
        fn no_bytes_make_the_decoders_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), magic: bool) {
            let mut bytes = bytes;
            if magic && bytes.len() >= 4 {
                bytes[..4].copy_from_slice(&ENTRY_MAGIC.to_le_bytes());
            }
            let check = Check::new(1);
            let _ = decode_entry(&bytes, &check, None);
            let _ = next_valid(&bytes, 0, &check, 0, 0);
            let _ = SegmentHeader::decode(&bytes);
            let _ = decompress(&bytes, bytes.len() * 3, true);
        }
    }
}
