//! The relational store as the writers see it. Rows and the writer's cursor are one transaction.

use super::{Cursor, Result};
use andon_engine::effect::Effect;
use andon_engine::ids::AlertId;
use andon_engine::time::Timestamp;

/// Applies what judging said. That writer alone creates incident and alert rows.
#[async_trait::async_trait]
pub trait EffectStore: Send + Sync + 'static {
    /// Cursor over the effect journal.
    async fn effect_cursor(&self) -> Result<Option<Cursor>>;
    /// In one transaction: every effect by absolute value (an incident only if not older than what is stored, a timeline line, an
    /// alert or a registration only if not there yet), then the cursor. Applying the same effects again changes nothing.
    /// An effect that the store refuses for itself is left out.
    async fn apply_effects(&self, effects: &[Effect], cursor: Cursor) -> Result<EffectsApplied>;
}

/// One of the things that were given to a store: it will never take this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedPart {
    /// Its place among what was given.
    pub index: usize,
    pub reason: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EffectsApplied {
    /// Alerts that were not there before.
    pub new: Vec<AlertId>,
    pub refused: Vec<RefusedPart>,
}

/// A roll-up or a row of quarantine that the store will never take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedRow {
    pub what: String,
    pub reason: String,
}

/// A minute of one reading of one device.
#[derive(Clone, Debug, PartialEq)]
pub struct Rollup {
    pub device: String,
    pub reading: String,
    /// Start of the minute, event time.
    pub minute: Timestamp,
    pub min: f64,
    pub max: f64,
    pub sum: f64,
    pub count: u64,
    pub last: f64,
    pub last_at: Timestamp,
}

impl Rollup {
    /// Of one reading. `value` is finite.
    pub fn of(device: &str, reading: &str, minute: Timestamp, value: f64, at: Timestamp) -> Self {
        Self {
            device: device.to_owned(),
            reading: reading.to_owned(),
            minute,
            min: value,
            max: value,
            sum: value,
            count: 1,
            last: value,
            last_at: at,
        }
    }

    /// Adds what another roll-up of the same minute saw. Of two last readings at the same time the other's counts.
    pub fn merge(&mut self, other: &Rollup) {
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        // A sum past the range of a number stays at its end: an infinity would be refused, and a later one of the other sign make a NaN.
        self.sum = (self.sum + other.sum).clamp(f64::MIN, f64::MAX);
        self.count = self.count.saturating_add(other.count);
        if other.last_at >= self.last_at {
            self.last = other.last;
            self.last_at = other.last_at;
        }
    }
}

/// A record that was not taken, or that a store refused.
#[derive(Clone, Debug, PartialEq)]
pub struct Quarantined {
    pub journal_seq: u64,
    pub index: u32,
    pub received_at: Timestamp,
    pub key_id: String,
    /// Who refused it: `gateway`, `log_index`, `records`, `rows`, `judging`.
    pub stage: String,
    pub field: String,
    pub reason: String,
    /// The first 4 KiB of what was sent, as text with anything unreadable replaced.
    pub excerpt: String,
}

/// Roll-ups and quarantine, driven by a cursor over the record journal.
#[async_trait::async_trait]
pub trait RowStore: Send + Sync + 'static {
    async fn row_cursor(&self) -> Result<Option<Cursor>>;
    /// In one transaction: merges the roll-ups into what is stored, adds the quarantined records, moves the cursor.
    /// Does nothing when the cursor stands there already: sums must not count twice. A row that the store refuses for itself is left
    /// out and returned, a roll-up is in quarantine then.
    async fn write_rows(
        &self,
        rollups: &[Rollup],
        quarantined: &[Quarantined],
        cursor: Cursor,
    ) -> Result<Vec<RefusedRow>>;
    /// Adds quarantined records without moving a cursor; those that are there stay as they are. One that the store refuses for itself is
    /// reported and left out.
    async fn quarantine(&self, quarantined: &[Quarantined]) -> Result<()>;
    async fn rollups(
        &self,
        device: &str,
        reading: &str,
        from: Timestamp,
        to: Timestamp,
        limit: u32,
    ) -> Result<Vec<Rollup>>;
    /// Newest first.
    async fn quarantined(&self, limit: u32) -> Result<Vec<Quarantined>>;
    /// Drops the oldest rows over the quota; says how many.
    async fn trim_quarantine(&self, rows_max: u64) -> Result<u64>;
}
