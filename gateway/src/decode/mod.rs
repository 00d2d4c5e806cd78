//! A body to a packed batch.
//!
//! A body is one JSON object, an array of objects, or NDJSON: one object a line, or several without regard to lines. Which it is follows from its content type and its first
//! byte ([`Format`]). Records are parsed by simd-json in chunks of up to [`CHUNK_BYTES`]: lines become an array in place, so that one run
//! of the parser covers hundreds of them, and whatever a sender writes, the parser's tables stay small. When a chunk does not parse, its
//! records are parsed one by one.
//!
//! - A record that breaks a rule is refused alone, and so is a line that is not JSON.
//! - So is an element of an array in which nothing but NaN or Infinity is wrong ([`nan`]).
//! - Any other array or single object that is not JSON is refused as a whole ([`DecodeError::Malformed`]), with the place.
//! - Bytes that are not UTF-8 are read as Latin-1, each by itself, and the record is flagged.
//! - A record for which the key has no permission refuses the whole body ([`DecodeError::Forbidden`]).

mod aliases;
mod decoder;
mod named;
mod names;
mod nan;
mod read;
mod record;
mod split;
mod stamp;
mod value;

use andon_engine::intake::Rejected;
use andon_engine::limits::{BATCH_RECORDS_MAX, KEY_BYTES_MAX};
use andon_engine::time::Timestamp;
use std::borrow::Cow;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128_with_seed};

use crate::ports::{Grant, LevelWords};
pub use decoder::Decoder;
pub use named::{Named, NamedTime, named};

/// Parsed at once: fits a core's cache with its tables, and bounds them (16 bytes of table at most for each byte of chunk).
pub const CHUNK_BYTES: usize = 256 * 1024;
/// Records taken at once, so that a step stays short when each has to be parsed by itself.
pub const CHUNK_RECORDS: usize = 4_096;
/// How much of a refused record is kept.
pub const EXCERPT_BYTES_MAX: usize = 4 * 1024;
/// Refusals of one body that are kept with their excerpt; the others are counted in one more. A body of nothing but `x` lines would
/// otherwise take a hundred times its size.
pub const REJECTED_MAX: usize = 10_000;
/// Excerpts of one body together, for the same reason.
pub const EXCERPTS_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Readings left out that an answer names.
pub const LEFT_OUT_NAMED_MAX: usize = 100;
/// Levels of one body that are told when they mean none that is known.
const UNKNOWN_WORDS_MAX: usize = 8;

/// What a body is said to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `[`: an array. `{`: one object, or NDJSON when more follows the first object; when that does not end with its line, objects one
    /// after another.
    Json,
    /// A record a line. A body that begins with `[` is an array all the same: no record does.
    Ndjson,
}

/// What decoding needs to know besides the body.
#[derive(Clone, Debug)]
pub struct DecodeOptions<'a> {
    pub received_at: Timestamp,
    /// Sent as history: each record is flagged.
    pub history: bool,
    pub format: Format,
    /// `None`: everything is allowed.
    pub grant: Option<&'a Grant>,
    /// What words of the key's senders mean.
    pub levels: Option<&'a LevelWords>,
    /// Keeps the ids of different keys apart.
    retry_seed: u64,
}

impl<'a> DecodeOptions<'a> {
    /// Options for a body of `key_id`.
    pub fn new(received_at: Timestamp, format: Format, key_id: &str) -> Self {
        Self {
            received_at,
            history: false,
            format,
            grant: None,
            levels: None,
            retry_seed: xxh3_64(key_id.as_bytes()),
        }
    }
    /// Refuses what the key may not send.
    pub fn for_grant(received_at: Timestamp, format: Format, grant: &'a Grant) -> Self {
        let restricted = !grant.applications.is_empty() || !grant.devices.is_empty();
        Self {
            grant: restricted.then_some(grant),
            levels: grant.levels.as_deref(),
            ..Self::new(received_at, format, &grant.id)
        }
    }
    fn retry_hash(&self, id: &str) -> u128 {
        xxh3_128_with_seed(id.as_bytes(), self.retry_seed)
    }
}

/// What a body came to.
#[derive(Debug, Default)]
pub struct Decoded {
    /// Accepted records, packed.
    pub batch: Vec<u8>,
    /// How many `batch` holds.
    pub records: u32,
    /// In the order of the body.
    pub rejected: Vec<Rejected>,
    /// Place in `batch` and hash of (key, id) of the records with an id.
    pub ids: Vec<(u32, u128)>,
    /// Records found, accepted or not.
    pub found: u32,
    /// Levels that meant none that is known, among the accepted records.
    pub unknown_levels: UnknownLevels,
    /// Readings that were no numbers, of accepted records.
    pub left_out: LeftOut,
    /// It was NDJSON.
    pub lines: bool,
}

/// Readings of one body that were no numbers, while the rest of their records was accepted.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    pub count: u32,
    /// The first [`LEFT_OUT_NAMED_MAX`].
    pub named: Vec<LeftOutReading>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct LeftOutReading {
    /// Place of its record in the request, counted from 0; blank lines do not count.
    pub index: u32,
    pub field: String,
    pub reason: String,
}

/// Levels of one body that meant none that is known.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct UnknownLevels {
    pub records: u32,
    /// Those that came first, shortened, each once.
    pub words: Vec<String>,
}

impl LeftOut {
    fn add(&mut self, index: u32, fault: record::Fault) {
        self.count += 1;
        if self.named.len() < LEFT_OUT_NAMED_MAX {
            self.named.push(LeftOutReading {
                index,
                field: fault.field,
                reason: fault.reason,
            });
        }
    }
}

impl UnknownLevels {
    fn add(&mut self, word: String) {
        self.records += 1;
        if self.words.len() < UNKNOWN_WORDS_MAX && !self.words.contains(&word) {
            self.words.push(word);
        }
    }
}

/// Why nothing of a body is accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("the body is empty: send a JSON object, an array of objects, or an object a line")]
    Empty,
    #[error("the body is not JSON: byte {offset}, line {line}: {reason}")]
    Malformed {
        /// From 0.
        offset: usize,
        /// From 1.
        line: usize,
        reason: String,
    },
    #[error("{}", forbidden(*index, application.as_deref(), device_id.as_deref()))]
    Forbidden {
        index: u32,
        application: Option<String>,
        device_id: Option<String>,
    },
    #[error("the body holds more than {BATCH_RECORDS_MAX} records: send them in several requests")]
    TooMany,
}

fn forbidden(index: u32, application: Option<&str>, device_id: Option<&str>) -> String {
    let named = match (application, device_id) {
        (Some(a), Some(d)) => format!("application {a:?} and device {d:?}"),
        (Some(a), None) => format!("application {a:?} without a device"),
        (None, Some(d)) => format!("device {d:?} without an application"),
        (None, None) => "neither".into(),
    };
    format!("this key is not allowed for record {index}, which names {named}; nothing of the request was taken")
}

/// Decodes a whole body on the spot. The server uses [`Decoder`], which can pause.
pub fn decode(body: &[u8], options: &DecodeOptions<'_>) -> Result<Decoded, DecodeError> {
    let mut decoder = Decoder::new(body, options)?;
    while decoder.step()? {}
    Ok(decoder.finish())
}

/// The beginning of a record or body, made UTF-8.
pub fn excerpt(bytes: &[u8]) -> String {
    let cut = &bytes[..bytes.len().min(EXCERPT_BYTES_MAX)];
    // A character cut at the end is dropped, not turned into Latin-1.
    let cut = match std::str::from_utf8(cut) {
        Err(e) if e.error_len().is_none() && cut.len() < bytes.len() => &cut[..e.valid_up_to()],
        _ => cut,
    };
    latin1(cut).into_owned()
}

/// UTF-8 as it is; each byte that is not part of it as the Latin-1 character of that number. Texts with one broken byte keep the rest.
fn latin1(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(bytes.len() + bytes.len() / 8);
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        out.extend(chunk.invalid().iter().map(|b| char::from(*b)));
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
