//! The clock of every source (the device, else the key): what event time a record is judged by, and how late it is.
//!
//! One table, driven in journal order by the router, so that a replay judges as the first run did. Records sent as history
//! ([`crate::record::Flags::HISTORY`]) should be given a source of their own ([`history_source`]): an import of last month must
//! not move the clock of the machine that is running.
//!
//! - Up to [`LATENESS`] behind the newest time of its source (that edge included) a record is in order. Further behind it is late.
//! - **A buffer that is emptied is not a clock that was set.** Stamps of a buffer run at their own pace, whatever the pace of receipt; a clock
//!   that was set back goes on second for second. So a live source's late records make a clock step only when their lag stays the
//!   same, within [`STEP_TOLERANCE`], through three receipts and [`CLOCK_STEP_PROOF`], without a record in order between. The record that
//!   proves it is flagged `clock_step`, and from there the source is judged by its time + that lag, about the time of receipt.
//! - Where the source was sent as history there is no pace of receipt to compare with. There [`CLOCK_STEP_RECORDS`] late records in a row, of which none is older than the one before, are
//!   a step: the last of them is the new watermark, is flagged `clock_step`, and is in order.
//! - A source that goes on being received at its own pace with a lag of more than [`HISTORICAL_AFTER`] has a clock that is off. Its
//!   lag (of the newest record of each receipt, so that batches of older readings do no harm) must stay the same, within
//!   15 s and a little more with time, through three receipts and [`CLOCK_OFFSET_PROOF`]. An import or an emptied buffer runs
//!   faster than time, so its lag shrinks. From then on it is judged by its time + that lag, at most the time of receipt: for one
//!   record a receipt that is the time of receipt, and a batch keeps its distances. A clock that is set right again is
//!   believed after three records in a row.
//! - A stamp within [`RESET_UPTIME_MAX`] of a date at which clocks start that were never set ([`RESET_EPOCHS`]) says that the device does not
//!   know the time: it is judged by its receipt, unless it was sent as history.
//! - Receipt that steps back by more than [`FUTURE_MAX`] is our own clock being set: what was judged after it is a step back too.

use crate::limits::{
    CLOCK_OFFSET_PROOF, CLOCK_STEP_PROOF, CLOCK_STEP_RECORDS, FUTURE_MAX, HISTORICAL_AFTER, LATENESS, RESET_UPTIME_MAX,
    SOURCE_IDLE, SOURCES_MAX, STEP_TOLERANCE,
};
use crate::pages::{Paged, Pages};
use crate::time::{Span, Timestamp};
use serde::{Deserialize, Serialize};

/// Within its source, a record's place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lateness {
    #[default]
    /// At most [`LATENESS`] behind the newest: put in its place and judged.
    InOrder,
    /// Further behind: counted, and judged in a pass of its own.
    Late,
}

/// How a record is to be judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// Event time to judge by.
    pub at: Timestamp,
    pub lateness: Lateness,
    /// With this record the clock of its source was found to have stepped back; `at` is the new watermark.
    pub clock_step: bool,
    /// The clock of the source is known to be off; `at` is not its stamp.
    pub clock_offset: bool,
    /// The stamp is that of a clock that was never set; `at` is the time of receipt.
    pub clock_unset: bool,
    /// More than an hour old when it was received, by `at`.
    pub historical: bool,
    /// More than 5 min old when it was received, by `at`: a shared subject judges it in a window of this source alone.
    pub behind: bool,
    /// The newest time of the source with this record; windows of its own are pruned by it.
    pub watermark: Timestamp,
}

impl Judgement {
    /// Of what is not a record (a timer, a silence, an operation): it is now.
    pub fn now(at: Timestamp) -> Self {
        Self {
            at,
            lateness: Lateness::InOrder,
            clock_step: false,
            clock_offset: false,
            clock_unset: false,
            historical: false,
            behind: false,
            watermark: at,
        }
    }
}

/// Dates at which clocks start that were never set, as seconds since 1970: Unix (1970), the PC's clock and GPS (1980), the real-time
/// clocks of microcontrollers and PLCs (1984, 1990, 1998, 2000, 2010, 2015), Apple's and some cameras' (2001).
pub const RESET_EPOCHS: [i64; 10] = [
    0,             // 1970-01-01
    315_532_800,   // 1980-01-01
    315_964_800,   // 1980-01-06
    441_763_200,   // 1984-01-01
    631_152_000,   // 1990-01-01
    883_612_800,   // 1998-01-01
    946_684_800,   // 2000-01-01
    978_307_200,   // 2001-01-01
    1_262_304_000, // 2010-01-01
    1_420_070_400, // 2015-01-01
];

/// No later stamp is one of them.
const LAST_RESET: Timestamp =
    Timestamp(RESET_EPOCHS[RESET_EPOCHS.len() - 1] * 1_000_000 + RESET_UPTIME_MAX.as_micros());

/// A stamp that only a clock that was never set gives.
pub fn is_unset_clock(stamp: Timestamp) -> bool {
    // Almost every stamp is of this decade.
    if stamp > LAST_RESET {
        return false;
    }
    RESET_EPOCHS.iter().any(|epoch| {
        let uptime = stamp.since(Timestamp(epoch * 1_000_000));
        // Local time: some devices start at midnight of their zone.
        uptime >= Span::hours(-14) && uptime <= RESET_UPTIME_MAX
    })
}

/// The table. About 64 bytes a source, at most [`SOURCES_MAX`] of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Vec<(u64, Source)>", into = "Vec<(u64, Source)>")]
pub struct Sources {
    table: Paged<Source>,
}

impl From<Vec<(u64, Source)>> for Sources {
    fn from(list: Vec<(u64, Source)>) -> Self {
        let mut sources = Self::default();
        sources.restore(list.into_iter().take(SOURCES_MAX));
        sources
    }
}

/// Sorted, so that equal tables make equal checkpoints.
impl From<Sources> for Vec<(u64, Source)> {
    fn from(sources: Sources) -> Self {
        let mut list: Vec<_> = sources.table.iter().map(|(hash, s)| (hash, *s)).collect();
        list.sort_unstable_by_key(|(hash, _)| *hash);
        list
    }
}

/// The source that stands for what is imported as history under the name of `source`.
pub fn history_source(source: u64) -> u64 {
    source ^ 0x6869_7374_6f72_7900
}

impl Sources {
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next record of the journal. `received_at` may step back with our own clock: then it counts as the same receipt.
    pub fn observe(&mut self, source: u64, timestamp: Timestamp, received_at: Timestamp) -> Judgement {
        self.observe_as(source, timestamp, received_at, false)
    }

    /// As [`Sources::observe`], for a record that was sent as history if `history`: its source should be a [`history_source`].
    pub fn observe_as(
        &mut self,
        source: u64,
        timestamp: Timestamp,
        received_at: Timestamp,
        history: bool,
    ) -> Judgement {
        self.table.mark(source);
        if let Some(s) = self.table.get_mut(source) {
            return s.observe(timestamp, received_at, history);
        }
        if self.table.len() >= SOURCES_MAX {
            self.drop_idlest();
        }
        let mut new = Source::new(timestamp, received_at, history);
        let judgement = new.observe(timestamp, received_at, history);
        self.table.insert(source, new);
        judgement
    }

    /// Forgets sources that sent nothing in the last [`SOURCE_IDLE`].
    pub fn expire(&mut self, now: Timestamp) {
        let keep_from = now.minus(SOURCE_IDLE);
        self.table.retain(|_, s| s.received >= keep_from);
    }

    /// An eighth at a time, so that the search for the oldest is paid once in many records.
    fn drop_idlest(&mut self) {
        let mut received: Vec<Timestamp> = self.table.iter().map(|(_, s)| s.received).collect();
        let nth = received.len() / 8;
        if nth < received.len() {
            let (_, cut, _) = received.select_nth_unstable(nth);
            let cut = *cut;
            self.table.retain(|_, s| s.received > cut);
        }
    }

    /// The pages in which something came, changed or went since the last call.
    pub fn take_changed(&mut self) -> Pages {
        self.table.take_changed()
    }

    /// What lies in these pages, in no order.
    pub fn in_pages<'a>(&'a self, pages: &'a Pages) -> impl Iterator<Item = (u64, Source)> + 'a {
        self.table.in_pages(pages).map(|(hash, source)| (hash, *source))
    }

    /// Puts back what a checkpoint holds, unchanged.
    pub fn restore(&mut self, sources: impl IntoIterator<Item = (u64, Source)>) {
        sources.into_iter().for_each(|(hash, s)| self.table.restore(hash, s));
    }

    /// The newest time of a source.
    pub fn watermark(&self, source: u64) -> Option<Timestamp> {
        self.table.get(source).map(|s| s.watermark)
    }
    pub fn len(&self) -> usize {
        self.table.len()
    }
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }
}

/// What is kept of a source.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// Newest time judged by.
    watermark: Timestamp,
    /// Time of the last receipt.
    received: Timestamp,
    /// In history: newest of the late records in a row.
    run_newest: Timestamp,
    /// Of a live source's late records in a row: their lag, and the second of the first and of the last receipt.
    run_lag_s: i32,
    run_first_s: i32,
    run_last_s: i32,
    /// Smallest lag among the records of the last receipt; `Span::MAX` while there is none in order.
    receipt_lag: Span,
    /// What the clock is off by, zero while it is not.
    offset: Span,
    /// The lag that seems to stay, and the second since when.
    steady_lag_s: i32,
    steady_since_s: i32,
    /// Late records in a row; of a live source their receipts.
    run: u8,
    /// Receipts in a row with the steady lag.
    steady_receipts: u8,
    /// Records in a row that say the clock was set right.
    righted: u8,
}

/// A clock that is off is believed to be set right below this lag; the distance to [`HISTORICAL_AFTER`] keeps the two from alternating.
const RIGHTED_BELOW: Span = Span(HISTORICAL_AFTER.0 - LATENESS.0);

/// Where a record falls within its source.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    InOrder,
    Late,
    /// The history was written by a clock that stepped back to here.
    NewWatermark,
    /// The clock of a live source was set back.
    SetBack,
}

fn seconds(us: i64) -> i32 {
    (us / 1_000_000).clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
}

impl Source {
    fn new(timestamp: Timestamp, received_at: Timestamp, history: bool) -> Self {
        let known = if is_unset_clock(timestamp) && !history {
            received_at
        } else {
            timestamp
        };
        Self {
            watermark: known,
            received: received_at,
            run_newest: known,
            run_lag_s: 0,
            run_first_s: 0,
            run_last_s: 0,
            receipt_lag: Span::MAX,
            offset: Span::ZERO,
            steady_lag_s: i32::MIN,
            steady_since_s: 0,
            run: 0,
            steady_receipts: 0,
            righted: 0,
        }
    }

    fn observe(&mut self, timestamp: Timestamp, received_at: Timestamp, history: bool) -> Judgement {
        let mut clock_step = self.notice_own_clock(received_at);
        if received_at > self.received {
            self.end_receipt();
            self.received = received_at;
        }
        let clock_unset = !history && is_unset_clock(timestamp);
        let lag = received_at.since(timestamp);
        if !clock_unset {
            self.notice_righted(timestamp, lag);
        }
        let mut clock_offset = self.offset > Span::ZERO && !clock_unset;
        let at = match (clock_unset, clock_offset) {
            (true, _) => received_at,
            (_, true) => timestamp.plus(self.offset).min(received_at),
            _ => timestamp,
        };
        let mut place = self.place(at, received_at, history);
        let mut at = at;
        if place == Place::SetBack {
            // Proven: its clock was set back by a lag that stays.
            self.offset = lag;
            (clock_offset, clock_step) = (true, true);
            at = received_at;
            self.watermark = self.watermark.max(at);
            place = Place::InOrder;
        }
        clock_step |= place == Place::NewWatermark;
        let lateness = if place == Place::Late {
            Lateness::Late
        } else {
            Lateness::InOrder
        };
        if lateness == Lateness::InOrder && !clock_unset {
            self.receipt_lag = self.receipt_lag.min(lag);
        }
        let age = received_at.since(at);
        Judgement {
            at,
            lateness,
            clock_step,
            clock_offset,
            clock_unset,
            historical: age > HISTORICAL_AFTER,
            behind: age > LATENESS,
            watermark: self.watermark,
        }
    }

    /// True when what was judged lies in the future now that our own clock was set back.
    fn notice_own_clock(&mut self, received_at: Timestamp) -> bool {
        if self.received > received_at.plus(FUTURE_MAX) {
            self.received = received_at;
            (self.run, self.steady_receipts, self.righted) = (0, 0, 0);
            (self.steady_lag_s, self.receipt_lag) = (i32::MIN, Span::MAX);
        }
        let in_future = self.watermark > received_at.plus(FUTURE_MAX);
        if in_future {
            self.watermark = received_at.minus(LATENESS);
        }
        in_future
    }

    fn place(&mut self, at: Timestamp, received_at: Timestamp, history: bool) -> Place {
        if self.watermark.since(at) <= LATENESS {
            self.watermark = self.watermark.max(at);
            self.run = 0;
            return Place::InOrder;
        }
        if history {
            return self.place_in_history(at);
        }
        self.follow_lag(received_at.since(at), received_at)
    }

    /// Three late records in a row, none older than the one before, are a step of the clock that wrote the history.
    fn place_in_history(&mut self, at: Timestamp) -> Place {
        self.run = if self.run > 0 && at >= self.run_newest {
            self.run + 1
        } else {
            1
        };
        self.run_newest = at;
        if self.run < CLOCK_STEP_RECORDS {
            return Place::Late;
        }
        self.watermark = at;
        self.run = 0;
        Place::NewWatermark
    }

    /// Late records of a live source whose lag stays the same while receipt goes on come from a clock that was set back.
    fn follow_lag(&mut self, lag: Span, received_at: Timestamp) -> Place {
        let (now_s, lag_s) = (seconds(received_at.0), seconds(lag.0));
        let differs = (i64::from(lag_s) - i64::from(self.run_lag_s)).abs();
        if self.run == 0 || differs > STEP_TOLERANCE.0 / 1_000_000 {
            (self.run, self.run_lag_s) = (1, lag_s);
            (self.run_first_s, self.run_last_s) = (now_s, now_s);
            return Place::Late;
        }
        if now_s > self.run_last_s {
            self.run = self.run.saturating_add(1);
            self.run_last_s = now_s;
        }
        let held = i64::from(now_s) - i64::from(self.run_first_s);
        if self.run < CLOCK_STEP_RECORDS || held < CLOCK_STEP_PROOF.0 / 1_000_000 {
            return Place::Late;
        }
        self.run = 0;
        Place::SetBack
    }

    /// The receipt is complete: does its lag go on as before?
    fn end_receipt(&mut self) {
        let lag = std::mem::replace(&mut self.receipt_lag, Span::MAX);
        if lag == Span::MAX {
            return;
        }
        let (lag_s, received_s) = (i64::from(seconds(lag.0)), i64::from(seconds(self.received.0)));
        let held = received_s - i64::from(self.steady_since_s);
        let tolerance = (15 + held / 16).clamp(15, LATENESS.0 / 2_000_000);
        if (lag_s - i64::from(self.steady_lag_s)).abs() > tolerance {
            self.steady_lag_s = seconds(lag.0);
            self.steady_since_s = seconds(self.received.0);
            self.steady_receipts = 1;
            return;
        }
        self.steady_receipts = self.steady_receipts.saturating_add(1);
        let proven = self.steady_receipts >= 3 && held >= CLOCK_OFFSET_PROOF.0 / 1_000_000;
        let known_off = self.offset > Span::ZERO && lag > LATENESS;
        if proven && (lag > HISTORICAL_AFTER || known_off) {
            self.offset = lag;
        }
    }

    fn notice_righted(&mut self, timestamp: Timestamp, lag: Span) {
        if self.offset == Span::ZERO || lag > RIGHTED_BELOW.min(Span(self.offset.0 / 2)) {
            self.righted = 0;
            return;
        }
        self.righted += 1;
        if self.righted >= CLOCK_STEP_RECORDS {
            self.righted = 0;
            self.run = 0;
            self.offset = Span::ZERO;
            self.watermark = timestamp;
        }
    }
}

#[cfg(test)]
mod tests;
