//! Devices, applications, roll-ups, raw readings and quarantine as GraphQL shows them.

use super::scalar::{DateTime, Long};
use andon_engine::rule::Device as ConfiguredDevice;
use andon_storage::ports::incidents::PlantEntry;
use andon_storage::ports::{fast_state, rows};
use async_graphql::{ID, SimpleObject};

#[derive(SimpleObject, Clone, Debug)]
pub struct Device {
    pub id: String,
    pub first_seen: DateTime,
    /// False until it has a place in the plant: it registered itself with its first record.
    pub assigned: bool,
    pub class: Option<String>,
    pub site: Option<String>,
    pub area: Option<String>,
    pub line: Option<String>,
    /// The device through which this one reaches us.
    pub gateway: Option<String>,
}

impl Device {
    pub fn new(entry: PlantEntry, configured: Option<&ConfiguredDevice>) -> Self {
        let of = |f: fn(&ConfiguredDevice) -> &Option<std::sync::Arc<str>>| {
            configured.and_then(|d| f(d).as_deref().map(str::to_owned))
        };
        Self {
            id: entry.id,
            first_seen: entry.first_seen.into(),
            assigned: configured.is_some(),
            class: of(|d| &d.class),
            site: of(|d| &d.site),
            area: of(|d| &d.area),
            line: of(|d| &d.line),
            gateway: of(|d| &d.gateway),
        }
    }
}

#[derive(SimpleObject, Clone, Debug)]
pub struct Application {
    pub id: String,
    pub first_seen: DateTime,
}

/// A minute of one reading of one device.
#[derive(SimpleObject, Clone, Debug)]
pub struct Rollup {
    /// Start of the minute, event time.
    pub minute: DateTime,
    pub min: f64,
    pub max: f64,
    pub mean: f64,
    pub sum: f64,
    pub count: Long,
    pub last: f64,
    pub last_at: DateTime,
}

impl From<rows::Rollup> for Rollup {
    fn from(r: rows::Rollup) -> Self {
        // The sum of values near f64's end may overflow; the mean of what lies between min and max cannot.
        let mean = (r.sum / r.count.max(1) as f64).max(r.min).min(r.max);
        Self {
            minute: r.minute.into(),
            min: r.min,
            max: r.max,
            mean,
            sum: r.sum.clamp(f64::MIN, f64::MAX),
            count: r.count.into(),
            last: r.last,
            last_at: r.last_at.into(),
        }
    }
}

/// One raw reading.
#[derive(SimpleObject, Clone, Debug)]
pub struct TracePoint {
    /// Event time.
    pub at: DateTime,
    pub value: f64,
}

impl From<fast_state::TracePoint> for TracePoint {
    fn from(p: fast_state::TracePoint) -> Self {
        Self {
            at: p.at.into(),
            value: p.value,
        }
    }
}

#[derive(SimpleObject, Clone, Debug)]
pub struct QuarantinedRecord {
    /// Journal sequence and index: `seq:index`.
    pub id: ID,
    pub received_at: DateTime,
    pub key_id: String,
    /// Who refused it: `gateway`, `log_index`, `relational`, `judging`.
    pub stage: String,
    pub field: String,
    pub reason: String,
    /// The first 4 KiB of what was sent.
    pub excerpt: String,
}

impl From<rows::Quarantined> for QuarantinedRecord {
    fn from(q: rows::Quarantined) -> Self {
        Self {
            id: ID(format!("{}:{}", q.journal_seq, q.index)),
            received_at: q.received_at.into(),
            key_id: q.key_id,
            stage: q.stage,
            field: q.field,
            reason: q.reason,
            excerpt: q.excerpt,
        }
    }
}
