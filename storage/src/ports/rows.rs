//! The relational store as the writers see it. Rows and the writer's cursor are one transaction.

use super::{Cursor, Result};
use andon_engine::effect::Effect;
use andon_engine::time::Timestamp;

/// Applies what judging said. That writer alone creates incident and alert rows.
#[async_trait::async_trait]
pub trait EffectStore: Send + Sync + 'static {
    /// Cursor over the effect journal.
    async fn effect_cursor(&self) -> Result<Option<Cursor>>;
    /// In one transaction: every effect by absolute value (an incident only if not older than what is stored, a timeline line, an
    /// alert or a registration only if not there yet), then the cursor. Applying the same effects again changes nothing.
    /// Returns which alerts were new.
    async fn apply_effects(&self, effects: &[Effect], cursor: Cursor) -> Result<Vec<andon_engine::ids::AlertId>>;
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
    /// Adds what another roll-up of the same minute saw. Of two last readings at the same time the other's counts.
    pub fn merge(&mut self, other: &Rollup) {
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.sum += other.sum;
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
    /// Who refused it: `gateway`, `log_index`, `relational`, `judging`.
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
    /// Does nothing when the cursor stands there already: sums must not count twice.
    async fn write_rows(&self, rollups: &[Rollup], quarantined: &[Quarantined], cursor: Cursor) -> Result<()>;
    /// Adds quarantined records without moving a cursor; those that are there stay as they are.
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
