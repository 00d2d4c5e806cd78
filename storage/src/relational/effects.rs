//! Applies what judging said, by absolute value.

use super::apart::Work;
use super::cursors::Sink;
use super::database::{Database, Row, Value, insert_rows};
use super::{Relational, incidents};
use crate::ports::rows::{EffectStore, EffectsApplied, RefusedPart};
use crate::ports::{Cursor, Result};
use andon_engine::effect::{Alert, Effect, Registered};
use andon_engine::ids::{AlertId, IncidentId};
use andon_engine::incident::{FingerprintCount, Incident, TimelineEntry};
use std::collections::HashMap;
use std::ops::Range;

const TIMELINE: &str = "INSERT INTO incident_timeline (incident, revision, happened_at, kind, who, text, record)";
const TIMELINE_COLUMNS: usize = 7;
const ALERTS: &str = "INSERT INTO alerts (id, incident, reason, happened_at, received_at, position_seq, position_index,
    passes_throttle, historical, text, expanded_at)";
const ALERT_COLUMNS: usize = 11;
const PLANT: &str = "INSERT INTO plant (kind, id, first_seen)";
const PLANT_COLUMNS: usize = 3;
const FINGERPRINTS: &str = "INSERT INTO incident_fingerprints (incident, fingerprint, record_count, template)";
const FINGERPRINT_COLUMNS: usize = 4;
/// Counts only grow: an older one changes nothing.
const FINGERPRINT_UPSERT: &str =
    "ON CONFLICT (incident, fingerprint) DO UPDATE SET record_count = excluded.record_count
    WHERE excluded.record_count > incident_fingerprints.record_count";
const NOTHING: &str = "ON CONFLICT DO NOTHING";
const NOTHING_RETURNING_ID: &str = "ON CONFLICT DO NOTHING RETURNING id";

#[async_trait::async_trait]
impl<D: Database> EffectStore for Relational<D> {
    async fn effect_cursor(&self) -> Result<Option<Cursor>> {
        self.cursor(Sink::Effects).await
    }

    async fn apply_effects(&self, effects: &[Effect], cursor: Cursor) -> Result<EffectsApplied> {
        let work = Effects {
            store: self,
            effects,
            seq: cursor.seq,
        };
        let written = self.write_at(Sink::Effects, cursor, &work).await?;
        Ok(EffectsApplied {
            new: written.rows.into_iter().map(alert_id).collect::<Result<_>>()?,
            refused: written.refused,
        })
    }
}

/// Effects on their way into the tables.
struct Effects<'a, D> {
    store: &'a Relational<D>,
    effects: &'a [Effect],
    /// Where the cursor stands when they are written.
    seq: u64,
}

/// The rows of some effects, of each incident the newest state.
#[derive(Default)]
struct Rows {
    incidents: Vec<Vec<Value>>,
    fingerprints: Vec<Vec<Value>>,
    timeline: Vec<Vec<Value>>,
    alerts: Vec<Vec<Value>>,
    plant: Vec<Vec<Value>>,
}

impl<D: Database> Effects<'_, D> {
    fn rows(&self, effects: &[Effect]) -> Result<Rows> {
        let mut newest: HashMap<IncidentId, &Incident> = HashMap::new();
        let mut fingerprints: HashMap<(IncidentId, u64), &FingerprintCount> = HashMap::new();
        let mut rows = Rows::default();
        for effect in effects {
            match effect {
                Effect::Incident(i) => {
                    for f in &i.fingerprints {
                        let held = fingerprints.entry((i.id, f.fingerprint)).or_insert(f);
                        if f.count > held.count {
                            *held = f;
                        }
                    }
                    let held = newest.entry(i.id).or_insert(i);
                    if (i.position, i.revision) > (held.position, held.revision) {
                        *held = i;
                    }
                }
                Effect::Timeline(t) => rows.timeline.push(timeline_values::<D>(t)?),
                Effect::Alert(a) => {
                    let mut values = alert_values::<D>(a)?;
                    let told = self.store.memory.lock().telling.was_told(a, self.seq);
                    values.push(Value::Int(told.then_some(a.received_at.as_micros())));
                    rows.alerts.push(values);
                }
                Effect::Registered(r) => rows.plant.push(plant_values(r)),
            }
        }
        for i in newest.into_values() {
            rows.incidents.push(incidents::values::<D>(i)?);
        }
        for ((incident, _), f) in fingerprints {
            rows.fingerprints.push(fingerprint_values::<D>(incident, f)?);
        }
        Ok(rows)
    }
}

#[async_trait::async_trait]
impl<D: Database> Work<D> for Effects<'_, D> {
    const IDEMPOTENT: bool = true;

    fn parts(&self) -> usize {
        self.effects.len()
    }

    async fn write(&self, tx: &mut D::Transaction, parts: Range<usize>) -> Result<Vec<Row>> {
        let rows = self.rows(&self.effects[parts])?;
        let (head, columns) = (incidents::INSERT, incidents::COLUMNS_COUNT);
        insert_rows::<D>(tx, head, columns, incidents::UPSERT, rows.incidents).await?;
        let (columns, upsert) = (FINGERPRINT_COLUMNS, FINGERPRINT_UPSERT);
        insert_rows::<D>(tx, FINGERPRINTS, columns, upsert, rows.fingerprints).await?;
        insert_rows::<D>(tx, TIMELINE, TIMELINE_COLUMNS, NOTHING, rows.timeline).await?;
        let new = insert_rows::<D>(tx, ALERTS, ALERT_COLUMNS, NOTHING_RETURNING_ID, rows.alerts).await?;
        insert_rows::<D>(tx, PLANT, PLANT_COLUMNS, NOTHING, rows.plant).await?;
        Ok(new)
    }

    /// Quarantine is of records. Whoever wrote it reports it.
    async fn set_aside(&self, _: &mut D::Transaction, _: &[RefusedPart]) -> Result<()> {
        Ok(())
    }
}

fn alert_id(mut row: Row) -> Result<AlertId> {
    row.parsed("alert id", |s| s.parse().ok())
}

fn fingerprint_values<D: Database>(incident: IncidentId, f: &FingerprintCount) -> Result<Vec<Value>> {
    Ok(vec![
        Value::text(&incident.to_string()),
        // The same 64 bits: the database has no unsigned ones.
        Value::int(f.fingerprint.cast_signed()),
        Value::unsigned(D::STORE, "a count", f.count)?,
        Value::text(&f.template),
    ])
}

fn timeline_values<D: Database>(t: &TimelineEntry) -> Result<Vec<Value>> {
    Ok(vec![
        Value::text(&t.incident.to_string()),
        Value::unsigned(D::STORE, "a revision", t.revision)?,
        Value::int(t.at.as_micros()),
        Value::text(t.kind.as_str()),
        Value::opt_text(t.who.as_deref()),
        Value::text(&t.text),
        Value::Text(t.record.map(|r| r.to_string())),
    ])
}

fn alert_values<D: Database>(a: &Alert) -> Result<Vec<Value>> {
    Ok(vec![
        Value::text(&a.id.to_string()),
        Value::text(&a.incident.to_string()),
        Value::text(a.reason.as_str()),
        Value::int(a.at.as_micros()),
        Value::int(a.received_at.as_micros()),
        Value::unsigned(D::STORE, "a journal position", a.position.seq)?,
        Value::int(a.position.index),
        Value::Bool(a.passes_throttle),
        Value::Bool(a.historical),
        Value::text(&a.text),
    ])
}

fn plant_values(r: &Registered) -> Vec<Value> {
    vec![
        Value::text(r.kind.as_str()),
        Value::text(&r.id),
        Value::int(r.first_seen.as_micros()),
    ]
}
