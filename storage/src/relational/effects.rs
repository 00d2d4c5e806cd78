//! Applies what judging said, by absolute value.

use super::cursors::Sink;
use super::database::{Database, Row, Value, insert_rows};
use super::{Relational, incidents};
use crate::ports::rows::EffectStore;
use crate::ports::{Cursor, Result};
use andon_engine::effect::{Alert, Effect, Registered};
use andon_engine::ids::{AlertId, IncidentId};
use andon_engine::incident::{Incident, TimelineEntry};
use std::collections::HashMap;

const TIMELINE: &str = "INSERT INTO incident_timeline (incident, revision, happened_at, kind, who, text, record)";
const TIMELINE_COLUMNS: usize = 7;
const ALERTS: &str = "INSERT INTO alerts (id, incident, reason, happened_at, received_at, position_seq, position_index,
    passes_throttle, historical, text, expanded_at)";
const ALERT_COLUMNS: usize = 11;
const PLANT: &str = "INSERT INTO plant (kind, id, first_seen)";
const PLANT_COLUMNS: usize = 3;
const NOTHING: &str = "ON CONFLICT DO NOTHING";
const NOTHING_RETURNING_ID: &str = "ON CONFLICT DO NOTHING RETURNING id";

#[async_trait::async_trait]
impl<D: Database> EffectStore for Relational<D> {
    async fn effect_cursor(&self) -> Result<Option<Cursor>> {
        self.cursor(Sink::Effects).await
    }

    async fn apply_effects(&self, effects: &[Effect], cursor: Cursor) -> Result<Vec<AlertId>> {
        let mut newest: HashMap<IncidentId, &Incident> = HashMap::new();
        let (mut timeline, mut alerts, mut registered) = (Vec::new(), Vec::new(), Vec::new());
        for effect in effects {
            match effect {
                Effect::Incident(i) => {
                    let held = newest.entry(i.id).or_insert(i);
                    if (i.position, i.revision) > (held.position, held.revision) {
                        *held = i;
                    }
                }
                Effect::Timeline(t) => timeline.push(timeline_values::<D>(t)?),
                Effect::Alert(a) => {
                    let mut values = alert_values::<D>(a)?;
                    let told = self.memory.lock().telling.was_told(a, cursor.seq);
                    values.push(Value::Int(told.then_some(a.received_at.as_micros())));
                    alerts.push(values);
                }
                Effect::Registered(r) => registered.push(plant_values(r)),
            }
        }
        let mut incident_rows = Vec::with_capacity(newest.len());
        for i in newest.into_values() {
            incident_rows.push(incidents::values::<D>(i)?);
        }

        self.as_sink(Sink::Effects, async {
            // Also when the cursor stands there already: a half of what was refused is applied again with the same cursor.
            let (mut tx, _) = self.begin_at(Sink::Effects, cursor).await?;
            insert_rows::<D>(
                &mut tx,
                incidents::INSERT,
                incidents::COLUMNS_COUNT,
                incidents::UPSERT,
                incident_rows,
            )
            .await?;
            insert_rows::<D>(&mut tx, TIMELINE, TIMELINE_COLUMNS, NOTHING, timeline).await?;
            let new = insert_rows::<D>(&mut tx, ALERTS, ALERT_COLUMNS, NOTHING_RETURNING_ID, alerts).await?;
            insert_rows::<D>(&mut tx, PLANT, PLANT_COLUMNS, NOTHING, registered).await?;
            let new = new.into_iter().map(alert_id).collect::<Result<Vec<_>>>()?;
            self.commit_at(tx, Sink::Effects, cursor).await?;
            Ok(new)
        })
        .await
    }
}

fn alert_id(mut row: Row) -> Result<AlertId> {
    row.parsed("alert id", |s| s.parse().ok())
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
