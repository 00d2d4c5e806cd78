//! Every limit of the domain, with its reason.

use crate::time::Span;

/// A record as JSON. A stack trace with context fits; a core dump does not.
pub const RECORD_BYTES_MAX: usize = 256 * 1024;
/// `fields` as JSON text.
pub const FIELDS_BYTES_MAX: usize = 32 * 1024;
/// Identifiers (device, application, user, source, item, order, location, step, the sender's id): indexed, so short.
pub const KEY_BYTES_MAX: usize = 128;
/// Dotted type, such as `equipment.drive.overcurrent`.
pub const TYPE_BYTES_MAX: usize = 256;
/// Readings of one record: the channels of one instrument.
pub const READINGS_MAX: usize = 64;
/// Records of one batch: 16 MiB of the smallest useful record (about 64 bytes).
pub const BATCH_RECORDS_MAX: usize = 262_144;
/// Further than this in the future a stamp is replaced by the time of receipt and flagged.
pub const FUTURE_MAX: Span = Span::mins(5);
/// Up to this far behind its source's newest, a record is put in its place.
pub const LATENESS: Span = Span::mins(5);
/// `received_at - timestamp` above this is history.
pub const HISTORICAL_AFTER: Span = Span::hours(1);
/// Records (in history) or receipts (of a live source) in a row behind the lateness bound that make a clock step of it.
pub const CLOCK_STEP_RECORDS: u8 = 3;
/// How long the least lag of each receipt must stay within [`STEP_TOLERANCE`] before it is taken for that of a slow clock. A buffer
/// that is emptied at 1.2 times the pace at which it was filled or faster is still told from one.
pub const CLOCK_STEP_PROOF: Span = Span::secs(30);
/// By how much that lag may differ: the jitter of a network.
pub const STEP_TOLERANCE: Span = Span::secs(5);
/// By how much it may differ, and a 16th of the time more, where [`CLOCK_OFFSET_PROOF`] is waited for: what a sender waits before it delivers.
pub const DELIVERY_JITTER: Span = Span::secs(15);
/// Where a source has a right clock as well, a record is the slow one's if it lags by this much less than was found, or by
/// [`LATENESS`] (a batch) more.
pub const SLOW_CLOCK_EARLIER: Span = Span::secs(30);
/// How long the slow clock of a source that has a right one as well is known without a record of it.
pub const SLOW_CLOCK_KNOWN: Span = Span::hours(1);
/// How long a device whose clock was never set has been running at most when its stamps are recognised by their date alone.
pub const RESET_UPTIME_MAX: Span = Span::hours(31 * 24);
/// Times kept in one count window.
pub const WINDOW_ENTRIES_MAX: usize = 4_096;
/// Fingerprints kept by one incident.
pub const FINGERPRINTS_MAX: usize = 1_024;
/// How long a sender's id or an `Idempotency-Key` is remembered.
pub const RETRY_WINDOW: Span = Span::mins(10);
/// Hashes remembered at most: 4 million of 16 bytes and their table come to about 150 MB.
pub const RETRY_ENTRIES_MAX: usize = 4_000_000;
/// An incident's count alone goes to the stores at most this often.
pub const REPEAT_EVERY: Span = Span::secs(1);
/// Ended occurrences of an incident whose times are known, so that a record that comes late for one is counted there.
pub const OCCURRENCES_REMEMBERED: usize = 16;
/// Incidents found late, of one subject under one rule, that still take records; past it the one that took none for longest goes.
pub const LATE_INCIDENTS_MAX: usize = 8;
/// Fingerprints remembered from before an incident opens, so that what opened it is not reported again as new.
pub const RECENT_FINGERPRINTS_MAX: usize = 64;
/// Operations on one subject under one rule that are known again when their entry comes twice.
pub const OPERATIONS_REMEMBERED: usize = 64;
/// Rules of one site.
pub const RULES_MAX: usize = 10_000;
/// Shards of a process.
pub const SHARDS: usize = 16;
/// One e-mail to a person in this time.
pub const THROTTLE_WINDOW: Span = Span::mins(5);
/// Sources whose clocks are followed, 64 bytes each; past it those idle longest are forgotten and start anew.
pub const SOURCES_MAX: usize = 500_000;
/// A source that has sent nothing for this long is forgotten: longer than a holiday week, so that a wrong clock stays known.
pub const SOURCE_IDLE: Span = Span::hours(10 * 24);
/// How long a lag that wanders within [`DELIVERY_JITTER`] must stay what it is, while receipt goes on, before it is taken for that
/// of a slow clock. A replay of history at 1.2 times its own speed or faster is still told from one.
pub const CLOCK_OFFSET_PROOF: Span = Span::mins(2);
/// E-mails that pass the throttle in one window: a few P1 at once are told at once, a flood of them is a digest.
pub const THROTTLE_PASSES_MAX: u32 = 10;
/// The number of repeats is told in the next digest, again after this, and then every [`REPEAT_EVERY_AFTER`].
pub const REPEAT_SECOND_AFTER: Span = Span::mins(30);
pub const REPEAT_EVERY_AFTER: Span = Span::hours(4);
