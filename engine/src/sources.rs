//! The clock of every source (the device, else the key): what event time a record is judged by, and how late it is.
//!
//! One table, driven in journal order by the router, so that a replay judges as the first run did. Records sent as history
//! ([`crate::record::Flags::HISTORY`]) should be given a source of their own ([`history_source`]): an import of last month must
//! not move the clock of the machine that is running.
//!
//! - Up to [`LATENESS`] behind the newest time of its source (that edge included) a record is in order. Further behind it is late.
//! - **A slow clock is told from a buffer by its pace.** Its newest stamp moves on as fast as receipt does. That of a buffer moves faster
//!   while it is emptied and stands still afterwards. So the *lag of a receipt* is the least lag of those of its records that
//!   lag: a batch lags by its newest record, and what another clock of the source says in between does not count. A lag
//!   is a slow clock's when it stays the same within [`STEP_TOLERANCE`] for [`CLOCK_STEP_PROOF`], or within [`DELIVERY_JITTER`] and a little
//!   more for [`CLOCK_OFFSET_PROOF`], through three receipts at least that are spread over that time.
//! - A record lags when it is late, or more than [`LATENESS`] behind its receipt. A source that was live and now comes in order
//!   with a lag of up to [`HISTORICAL_AFTER`] is taken at its word: it is a delivery that fell behind.
//! - From the record on that proves it, the source is judged by its time + that lag, at most the time of receipt: a batch keeps its
//!   distances. Where that record was late, the clock was set back, and it is flagged `clock_step`.
//! - Three records that are right, or nearer to it than to the slow clock, say that the clock was set, or that there are two clocks. From then on only records of
//!   about that lag are the slow clock's, until nothing has lagged for [`SLOW_CLOCK_KNOWN`].
//! - Where the source was sent as history there is no pace of receipt to compare with. There [`CLOCK_STEP_RECORDS`] late records in a
//!   row, of which none is older than the one before, are a step: the last of them is the new watermark, is flagged
//!   `clock_step`, and is in order.
//! - A stamp within [`RESET_UPTIME_MAX`] of a date at which clocks start that were never set ([`RESET_EPOCHS`]) says that the device does not
//!   know the time: it is judged by its receipt, unless it was sent as history.
//! - Receipt that steps back by more than [`FUTURE_MAX`] is our own clock being set: what was judged after it is a step back too.

use crate::limits::{
    CLOCK_OFFSET_PROOF, CLOCK_STEP_PROOF, CLOCK_STEP_RECORDS, DELIVERY_JITTER, FUTURE_MAX, HISTORICAL_AFTER, LATENESS,
    RESET_UPTIME_MAX, SLOW_CLOCK_EARLIER, SLOW_CLOCK_KNOWN, SOURCE_IDLE, SOURCES_MAX, STEP_TOLERANCE,
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
    /// Least lag among the lagging records of the last receipt; `Span::MAX` while there is none.
    receipt_lag: Span,
    /// What its slow clock is behind by, zero while it has none.
    offset: Span,
    /// For each of [`PROOFS`]: the lag that seems to stay, the second since when, and how long after that a receipt had it again.
    steady_lag_s: [i32; 2],
    steady_since_s: [i32; 2],
    steady_again_s: [u16; 2],
    /// The minute in which a record lagged last, modulo 45 days.
    lagged_min: u16,
    /// In history: late records in a row.
    run: u8,
    /// Records of a right clock, up to [`CLOCK_STEP_RECORDS`]: since the slow clock was found, without one since the last late record.
    right: u8,
}

/// How long the least lag of each receipt must stay within how much to be that of a slow clock.
struct Proof {
    tolerance_s: i64,
    /// The tolerance grows with a 16th of the time, for clocks drift.
    tolerance_max_s: i64,
    held_s: i64,
}

/// The first is for what is delivered at once or in regular batches, the second for what is delivered now sooner, now later.
const PROOFS: [Proof; 2] = [
    Proof {
        tolerance_s: STEP_TOLERANCE.0 / 1_000_000,
        tolerance_max_s: STEP_TOLERANCE.0 / 1_000_000,
        held_s: CLOCK_STEP_PROOF.0 / 1_000_000,
    },
    Proof {
        tolerance_s: DELIVERY_JITTER.0 / 1_000_000,
        tolerance_max_s: LATENESS.0 / 2_000_000,
        held_s: CLOCK_OFFSET_PROOF.0 / 1_000_000,
    },
];

impl Proof {
    fn tolerance_s(&self, held_s: i64) -> i64 {
        (self.tolerance_s + held_s / 16).min(self.tolerance_max_s)
    }
}

/// Receipts that come sooner after each other are one: a batch may be several requests.
const RECEIPTS_APART_S: i64 = 10;
/// A slow clock is believed to be set right below this lag; the distance to [`HISTORICAL_AFTER`] keeps the two from alternating.
const RIGHTED_BELOW: Span = Span(HISTORICAL_AFTER.0 - LATENESS.0);

/// How a record of a live source or of history is placed.
struct Placed {
    at: Timestamp,
    lateness: Lateness,
    clock_step: bool,
    clock_offset: bool,
}

fn seconds(us: i64) -> i32 {
    (us / 1_000_000).clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
}

fn minutes(at: Timestamp) -> u16 {
    (at.0 / 60_000_000) as u16
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
            receipt_lag: Span::MAX,
            offset: Span::ZERO,
            steady_lag_s: [i32::MIN; 2],
            steady_since_s: [0; 2],
            steady_again_s: [0; 2],
            lagged_min: 0,
            run: 0,
            right: 0,
        }
    }

    fn observe(&mut self, timestamp: Timestamp, received_at: Timestamp, history: bool) -> Judgement {
        let own_clock_step = self.notice_own_clock(received_at);
        if received_at > self.received {
            self.end_receipt();
            self.received = received_at;
        }
        let clock_unset = !history && is_unset_clock(timestamp);
        let placed = if history {
            self.place_in_history(timestamp)
        } else if clock_unset {
            self.place(received_at, false)
        } else {
            self.place_live(timestamp, received_at)
        };
        let age = received_at.since(placed.at);
        Judgement {
            at: placed.at,
            lateness: placed.lateness,
            clock_step: placed.clock_step || own_clock_step,
            clock_offset: placed.clock_offset,
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
            self.run = 0;
            self.steady_lag_s = [i32::MIN; 2];
            self.receipt_lag = Span::MAX;
            self.lagged_min = minutes(received_at);
        }
        let in_future = self.watermark > received_at.plus(FUTURE_MAX);
        if in_future {
            self.watermark = received_at.minus(LATENESS);
        }
        in_future
    }

    fn place(&mut self, at: Timestamp, clock_offset: bool) -> Placed {
        let is_late = self.watermark.since(at) > LATENESS;
        if !is_late {
            self.watermark = self.watermark.max(at);
        }
        Placed {
            at,
            lateness: if is_late { Lateness::Late } else { Lateness::InOrder },
            clock_step: false,
            clock_offset,
        }
    }

    /// Three late records in a row, none older than the one before, are a step of the clock that wrote the history.
    fn place_in_history(&mut self, at: Timestamp) -> Placed {
        let placed = self.place(at, false);
        if placed.lateness == Lateness::InOrder {
            self.run = 0;
            return placed;
        }
        self.run = if self.run > 0 && at >= self.run_newest {
            self.run + 1
        } else {
            1
        };
        self.run_newest = at;
        if self.run < CLOCK_STEP_RECORDS {
            return placed;
        }
        self.watermark = at;
        self.run = 0;
        Placed {
            lateness: Lateness::InOrder,
            clock_step: true,
            ..placed
        }
    }

    fn place_live(&mut self, timestamp: Timestamp, received_at: Timestamp) -> Placed {
        let lag = received_at.since(timestamp);
        self.notice_right(timestamp, lag);
        let clock_offset = self.is_of_slow_clock(lag);
        let at = if clock_offset {
            timestamp.plus(self.offset).min(received_at)
        } else {
            timestamp
        };
        let placed = self.place(at, clock_offset);
        let is_late = placed.lateness == Lateness::Late;
        if !is_late && lag <= self.right_below().min(LATENESS) {
            return placed;
        }
        self.lags_again();
        if is_late && self.offset == Span::ZERO {
            // Its stamps went back: what follows in order may be the same clock.
            self.right = 0;
        }
        // A receipt lags by its newest record: the first of a batch are as old as the batch is long.
        if lag <= self.receipt_lag {
            self.receipt_lag = lag;
            // A source that was live and is in order, but up to an hour late, is a delivery that fell behind.
            let was_live = self.right > 0;
            let in_doubt = is_late || (!clock_offset && (!was_live || lag > HISTORICAL_AFTER));
            if in_doubt && self.is_proven(lag) {
                return self.find_slow_clock(lag, is_late);
            }
        }
        placed
    }

    /// From here on records of this lag are judged by receipt.
    fn find_slow_clock(&mut self, lag: Span, is_late: bool) -> Placed {
        let at = self.received;
        self.offset = lag;
        self.right = 0;
        self.watermark = self.watermark.max(at);
        Placed {
            at,
            lateness: Lateness::InOrder,
            clock_step: is_late,
            clock_offset: true,
        }
    }

    /// Until a right clock is heard of beside it, the slow one is taken for the only one.
    fn is_of_slow_clock(&self, lag: Span) -> bool {
        if self.offset == Span::ZERO || self.right < CLOCK_STEP_RECORDS {
            return self.offset > Span::ZERO;
        }
        let least = self.offset.0 - (self.offset.0 / 2).min(SLOW_CLOCK_EARLIER.0);
        (least..=self.offset.0.saturating_add(LATENESS.0)).contains(&lag.0)
    }

    /// Up to this lag a clock is right, or more so than the slow one.
    fn right_below(&self) -> Span {
        if self.offset == Span::ZERO {
            LATENESS
        } else {
            RIGHTED_BELOW.min(Span(self.offset.0 / 2))
        }
    }

    /// A clock that was set right, or another one that is right, is believed after three records. What was slow stays known for
    /// a while: it may be a second clock.
    fn notice_right(&mut self, timestamp: Timestamp, lag: Span) {
        if lag <= self.right_below() && self.right < CLOCK_STEP_RECORDS {
            self.take_right(timestamp, lag);
        }
        if self.offset > Span::ZERO && self.right >= CLOCK_STEP_RECORDS && self.has_not_lagged() {
            self.offset = Span::ZERO;
        }
    }

    fn has_not_lagged(&self) -> bool {
        let rested = minutes(self.received).wrapping_sub(self.lagged_min);
        i64::from(rested) > SLOW_CLOCK_KNOWN.0 / 60_000_000
    }

    /// What lagged longer ago is no proof of anything.
    fn lags_again(&mut self) {
        if self.has_not_lagged() {
            self.steady_lag_s = [i32::MIN; 2];
        }
        self.lagged_min = minutes(self.received);
    }

    fn take_right(&mut self, timestamp: Timestamp, lag: Span) {
        self.right += 1;
        if self.offset == Span::ZERO || self.right < CLOCK_STEP_RECORDS {
            return;
        }
        if self.watermark.since(timestamp) > LATENESS {
            self.watermark = timestamp;
        }
        if lag > LATENESS {
            // Nearer to the time than it was, and not known to be right: it may be slow by less.
            (self.offset, self.right) = (Span::ZERO, 0);
        }
    }

    fn held_s(&self, proof: usize) -> i64 {
        i64::from(seconds(self.received.0)) - i64::from(self.steady_since_s[proof])
    }

    fn is_steady(&self, proof: usize, lag: Span, tolerance_s: i64) -> bool {
        (i64::from(seconds(lag.0)) - i64::from(self.steady_lag_s[proof])).abs() <= tolerance_s
    }

    /// The lag was seen again on the way. Were it seen again only now, a buffer that is emptied in pieces could pass it twice.
    fn is_held(&self, proof: usize) -> bool {
        let (held_s, again_s) = (self.held_s(proof), i64::from(self.steady_again_s[proof]));
        held_s >= PROOFS[proof].held_s && again_s > 0 && held_s - again_s >= held_s / 3
    }

    /// With this record the receipt that goes on has the lag that stayed for long enough before it.
    fn is_proven(&self, lag: Span) -> bool {
        let proves = |proof: usize| {
            let p = &PROOFS[proof];
            self.is_held(proof) && self.is_steady(proof, lag, p.tolerance_s(p.held_s))
        };
        (0..PROOFS.len()).any(proves)
    }

    /// The receipt is complete: does its lag go on as before?
    fn end_receipt(&mut self) {
        if self.receipt_lag == Span::MAX {
            return;
        }
        let lag = std::mem::replace(&mut self.receipt_lag, Span::MAX);
        for (proof, p) in PROOFS.iter().enumerate() {
            let held_s = self.held_s(proof);
            if !self.is_steady(proof, lag, p.tolerance_s(held_s)) {
                self.steady_lag_s[proof] = seconds(lag.0);
                self.steady_since_s[proof] = seconds(self.received.0);
                self.steady_again_s[proof] = 0;
            } else if self.steady_again_s[proof] == 0 && held_s >= RECEIPTS_APART_S {
                self.steady_again_s[proof] = held_s.min(i64::from(u16::MAX)) as u16;
            }
        }
        self.follow_drift(lag);
    }

    /// A slow clock is behind by its least lag, what comes on top is delivery; and it drifts.
    fn follow_drift(&mut self, lag: Span) {
        let more = lag.0.saturating_sub(self.offset.0);
        let is_less = (-DELIVERY_JITTER.0..0).contains(&more);
        let is_more = more > DELIVERY_JITTER.0 && more <= LATENESS.0 / 2;
        if self.offset > Span::ZERO && (is_less || is_more) && self.is_held(PROOFS.len() - 1) {
            self.offset = lag;
        }
    }
}

#[cfg(test)]
mod tests;
