//! A record as the domain sees it: borrowed, validated, stamped.

use crate::ids::RecordId;
use crate::level::Level;
use crate::time::Timestamp;

/// One validated record. Borrows from the packed batch that holds it, so that a shard, a sink and a replay read the same bytes.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Record<'a> {
    pub record_id: RecordId,
    pub timestamp: Timestamp,
    pub received_at: Timestamp,
    /// `None` for a record of readings only.
    pub level: Option<Level>,
    pub message: Option<&'a str>,
    pub kind: Option<&'a str>,
    pub application: Option<&'a str>,
    pub device_id: Option<&'a str>,
    pub user_id: Option<&'a str>,
    pub source: Option<&'a str>,
    pub readings: Vec<(&'a str, f64)>,
    /// A JSON object as text; empty when there is none.
    pub fields: &'a str,
    /// The sender's own id.
    pub id: Option<&'a str>,
    pub item_id: Option<&'a str>,
    pub order_id: Option<&'a str>,
    pub location: Option<&'a str>,
    pub step: Option<&'a str>,
    pub trace_id: Option<&'a str>,
    pub span_id: Option<&'a str>,
    /// 0 where there is no message.
    pub fingerprint: u64,
    pub flags: Flags,
}

impl Record<'_> {
    /// A log record has a message; the others are readings only.
    pub fn is_log(&self) -> bool {
        self.message.is_some()
    }
    pub fn reading(&self, name: &str) -> Option<f64> {
        self.readings.iter().find(|(n, _)| *n == name).map(|(_, v)| *v)
    }
}

/// What was noticed about a record, a bit each. `clock_step`, `clock_offset`, `late` are found when it is judged, the others at admission.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Flags(pub u16);

impl Flags {
    /// The stamp lay too far in the future and was replaced by the time of receipt.
    pub const CLOCK_SKEW: Flags = Flags(1);
    /// U+0000 in a text was replaced by U+FFFD.
    pub const NUL_REPLACED: Flags = Flags(1 << 1);
    /// The sender gave no time: the time of receipt stands in.
    pub const TIME_MISSING: Flags = Flags(1 << 2);
    /// Sent as history (`andon send --history`): stored and judged, nobody is told.
    pub const HISTORY: Flags = Flags(1 << 3);
    /// Text that was not UTF-8 was read as Latin-1.
    pub const LATIN1: Flags = Flags(1 << 4);

    /// The sender's level meant none that is known: WARN stands in, and `fields` has the sender's.
    pub const LEVEL_UNKNOWN: Flags = Flags(1 << 5);

    /// The stamp is that of a clock that was never set; the record is judged by its receipt.
    pub const CLOCK_UNSET: Flags = Flags(1 << 6);

    const NAMES: [(Flags, &'static str); 7] = [
        (Flags::CLOCK_SKEW, "clock_skew"),
        (Flags::NUL_REPLACED, "nul_replaced"),
        (Flags::TIME_MISSING, "time_missing"),
        (Flags::HISTORY, "history"),
        (Flags::LATIN1, "latin1"),
        (Flags::LEVEL_UNKNOWN, "level_unknown"),
        (Flags::CLOCK_UNSET, "clock_unset"),
    ];

    pub fn contains(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }
    pub fn insert(&mut self, other: Flags) {
        self.0 |= other.0;
    }
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES
            .into_iter()
            .filter(move |(f, _)| self.contains(*f))
            .map(|(_, n)| n)
    }
}
