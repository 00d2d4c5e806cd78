//! Incidents, their timelines and alerts, and the plant, as readers see them.

use super::Relational;
use super::database::{Conditions, Database, Row, Sql, Value};
use crate::ports::Result;
use crate::ports::incidents::{IncidentFilter, IncidentStore, PlantEntry};
use andon_engine::effect::{Alert, AlertReason};
use andon_engine::ids::{AlertId, IncidentId, Position, RuleId};
use andon_engine::incident::{
    Acknowledgement, Activity, FingerprintCount, Incident, Occurrence, Shelving, TimelineEntry, TimelineKind,
};
use andon_engine::level::Level;
use andon_engine::rule::Priority;
use andon_engine::subject::{Subject, SubjectKind};
use andon_engine::time::Timestamp;
use std::fmt::Write as _;
use std::sync::Arc;

/// The columns of an incident, in the order of [`values`] and [`incident`].
macro_rules! columns {
    () => {
        "id, rule, subject_kind, subject_id, priority, activity, acknowledged_at, acknowledged_by, shelved_until, shelved_by,
    shelved_reason, unshelved_at, closed_cause, first_at, opened_at, last_at, returned_at, first_record, last_record, record_count, reopened,
    occurrence_first_at, occurrence_opened_at, occurrence_count, max_level, peak, title, error_type, device, application, user_id,
    area, source, historical, silent, fingerprints_truncated, position_seq, position_index, revision"
    };
}
pub(super) const COLUMNS_COUNT: usize = 39;
pub(super) const INSERT: &str = concat!("INSERT INTO incidents (", columns!(), ")");
pub(super) const UPSERT: &str = "ON CONFLICT (id) DO UPDATE SET
    rule = excluded.rule, subject_kind = excluded.subject_kind, subject_id = excluded.subject_id, priority = excluded.priority,
    activity = excluded.activity, acknowledged_at = excluded.acknowledged_at, acknowledged_by = excluded.acknowledged_by,
    shelved_until = excluded.shelved_until, shelved_by = excluded.shelved_by, shelved_reason = excluded.shelved_reason,
    unshelved_at = excluded.unshelved_at,
    closed_cause = excluded.closed_cause, first_at = excluded.first_at, opened_at = excluded.opened_at, last_at = excluded.last_at,
    returned_at = excluded.returned_at, first_record = excluded.first_record, last_record = excluded.last_record,
    record_count = excluded.record_count, reopened = excluded.reopened,
    occurrence_first_at = excluded.occurrence_first_at, occurrence_opened_at = excluded.occurrence_opened_at,
    occurrence_count = excluded.occurrence_count, max_level = excluded.max_level, peak = excluded.peak,
    title = excluded.title, error_type = excluded.error_type, device = excluded.device, application = excluded.application,
    user_id = excluded.user_id, area = excluded.area, source = excluded.source, historical = excluded.historical,
    silent = excluded.silent, fingerprints_truncated = excluded.fingerprints_truncated,
    position_seq = excluded.position_seq, position_index = excluded.position_index, revision = excluded.revision
    WHERE (excluded.position_seq, excluded.position_index, excluded.revision)
        > (incidents.position_seq, incidents.position_index, incidents.revision)";

const SELECT: &str = concat!("SELECT ", columns!(), " FROM incidents");
const BY_ID: &str = concat!("SELECT ", columns!(), " FROM incidents WHERE id = $1");
const COUNT_OPEN: &str = "SELECT COUNT(*) FROM incidents WHERE activity <> 'closed'";
const TIMELINE: &str = "SELECT revision, happened_at, kind, who, text, record FROM incident_timeline
    WHERE incident = $1 ORDER BY revision";
const FINGERPRINTS: &str = "SELECT fingerprint, record_count, template FROM incident_fingerprints
    WHERE incident = $1 ORDER BY record_count DESC, fingerprint";

macro_rules! select_alerts {
    ($where:literal) => {
        concat!(
            "SELECT id, incident, reason, happened_at, received_at, position_seq, position_index, passes_throttle, historical, text,
    priority, context FROM alerts WHERE ",
            $where,
            " ORDER BY position_seq, position_index, id"
        )
    };
}
const ALERTS: &str =
    "SELECT id, incident, reason, happened_at, received_at, position_seq, position_index, passes_throttle,
    historical, text, priority, context FROM alerts";
const ALERT: &str = select_alerts!("id = $1");
const ALERTS_OF: &str = select_alerts!("incident = $1");
const PLANT: &str = "SELECT id, first_seen FROM plant WHERE kind = $1 ORDER BY id LIMIT $2";
const PLANT_AFTER: &str = "SELECT id, first_seen FROM plant WHERE kind = $1 AND id > $3 ORDER BY id LIMIT $2";

/// Ids that one statement asks for; the statements are of few lengths only, so that they stay prepared.
const IDS: usize = 256;

impl<D: Database> Relational<D> {
    /// The rows of `select` with these ids, a page of them at a time.
    pub(super) async fn by_id(&self, select: &str, ids: impl Iterator<Item = String>) -> Result<Vec<Row>> {
        let ids: Vec<String> = ids.collect();
        let mut found = Vec::new();
        for page in ids.chunks(IDS) {
            let length = page.len().next_power_of_two();
            let mut text = format!("{select} WHERE id IN (");
            for n in 1..=length {
                write!(text, "{}${n}", if n == 1 { "" } else { "," }).expect("writing to a string");
            }
            text.push(')');
            // The last one again and again: IN does not count.
            let values = (0..length).map(|n| Value::text(&page[n.min(page.len() - 1)])).collect();
            found.extend(self.db.fetch(Sql::kept(text), values).await?);
        }
        Ok(found)
    }
}

fn read_or_tell<T>(row: Result<T>) -> Option<T> {
    row.inspect_err(|e| tracing::error!(error = %e, "a row cannot be read and is left out"))
        .ok()
}

#[async_trait::async_trait]
impl<D: Database> IncidentStore for Relational<D> {
    async fn incident(&self, id: IncidentId) -> Result<Option<Incident>> {
        let rows = self.db.fetch(BY_ID.into(), vec![Value::text(&id.to_string())]).await?;
        rows.into_iter().next().map(incident).transpose()
    }

    async fn incidents_by_id(&self, ids: &[IncidentId]) -> Result<Vec<Incident>> {
        let rows = self.by_id(SELECT, ids.iter().map(ToString::to_string)).await?;
        Ok(rows.into_iter().filter_map(|row| read_or_tell(incident(row))).collect())
    }

    async fn alerts_by_id(&self, ids: &[AlertId]) -> Result<Vec<Alert>> {
        let rows = self.by_id(ALERTS, ids.iter().map(ToString::to_string)).await?;
        Ok(rows.into_iter().filter_map(|row| read_or_tell(alert(row))).collect())
    }

    async fn incidents(&self, f: &IncidentFilter) -> Result<Vec<Incident>> {
        let (sql, values) = list(f);
        self.db.fetch(sql, values).await?.into_iter().map(incident).collect()
    }

    async fn count_open(&self) -> Result<u64> {
        match self.db.fetch(COUNT_OPEN.into(), vec![]).await?.into_iter().next() {
            Some(mut row) => row.unsigned(),
            None => Ok(0),
        }
    }

    async fn timeline(&self, id: IncidentId) -> Result<Vec<TimelineEntry>> {
        let rows = self
            .db
            .fetch(TIMELINE.into(), vec![Value::text(&id.to_string())])
            .await?;
        rows.into_iter().map(|row| timeline_entry(id, row)).collect()
    }

    async fn fingerprints(&self, id: IncidentId) -> Result<Vec<FingerprintCount>> {
        let rows = self
            .db
            .fetch(FINGERPRINTS.into(), vec![Value::text(&id.to_string())])
            .await?;
        rows.into_iter().map(fingerprint).collect()
    }

    async fn alert(&self, id: AlertId) -> Result<Option<Alert>> {
        let rows = self.db.fetch(ALERT.into(), vec![Value::text(&id.to_string())]).await?;
        rows.into_iter().next().map(alert).transpose()
    }

    async fn alerts_of(&self, id: IncidentId) -> Result<Vec<Alert>> {
        self.db
            .fetch(ALERTS_OF.into(), vec![Value::text(&id.to_string())])
            .await?
            .into_iter()
            .map(alert)
            .collect()
    }

    async fn plant(&self, kind: SubjectKind, after: Option<&str>, limit: u32) -> Result<Vec<PlantEntry>> {
        let mut values = vec![Value::text(kind.as_str()), Value::int(limit)];
        let sql = match after {
            Some(after) => {
                values.push(Value::text(after));
                PLANT_AFTER
            }
            None => PLANT,
        };
        let entry = |mut row: Row| {
            Ok(PlantEntry {
                kind,
                id: row.text()?,
                first_seen: Timestamp(row.int()?),
            })
        };
        self.db
            .fetch(sql.into(), values)
            .await?
            .into_iter()
            .map(entry)
            .collect()
    }
}

fn list(f: &IncidentFilter) -> (Sql, Vec<Value>) {
    let mut c = Conditions::default();
    if f.open_only {
        c.and("activity <> 'closed'", []);
    }
    if let Some(kind) = f.subject_kind {
        c.and("subject_kind = ?", [Value::text(kind.as_str())]);
    }
    if let Some(id) = &f.subject_id {
        c.and("subject_id = ?", [Value::text(id)]);
    }
    if let Some(rule) = &f.rule {
        c.and("rule = ?", [Value::text(rule)]);
    }
    if let Some(area) = &f.area {
        c.and("area = ?", [Value::text(area)]);
    }
    if let Some(t) = f.opened_from {
        c.and("opened_at >= ?", [Value::int(t.as_micros())]);
    }
    if let Some(t) = f.opened_to {
        c.and("opened_at < ?", [Value::int(t.as_micros())]);
    }
    if let Some((t, id)) = f.after {
        let t = Value::int(t.as_micros());
        // The first condition alone lets an index start in the right place.
        c.and("opened_at <= ?", [t.clone()]);
        c.and("(opened_at < ? OR id > ?)", [t, Value::text(&id.to_string())]);
    }
    c.limited(SELECT, "ORDER BY opened_at DESC, id", f.limit)
}

pub(super) fn values<D: Database>(i: &Incident) -> Result<Vec<Value>> {
    let peak = i
        .peak
        .map(|v| Value::finite(D::STORE, "a peak", v))
        .transpose()?
        .unwrap_or(Value::Real(None));
    Ok(vec![
        Value::text(&i.id.to_string()),
        Value::text(i.rule.as_str()),
        Value::text(i.subject.kind.as_str()),
        Value::text(&i.subject.id),
        Value::int(i.priority as u8),
        Value::text(i.activity.as_str()),
        Value::Int(i.acknowledged.as_ref().map(|a| a.at.as_micros())),
        Value::opt_text(i.acknowledged.as_ref().map(|a| &*a.by)),
        Value::Int(i.shelved.as_ref().map(|s| s.until.as_micros())),
        Value::opt_text(i.shelved.as_ref().map(|s| &*s.by)),
        Value::opt_text(i.shelved.as_ref().map(|s| &*s.reason)),
        Value::Int(i.unshelved_at.map(Timestamp::as_micros)),
        Value::opt_text(i.closed_cause.as_deref()),
        Value::int(i.first_at.as_micros()),
        Value::int(i.opened_at.as_micros()),
        Value::int(i.last_at.as_micros()),
        Value::Int(i.returned_at.map(Timestamp::as_micros)),
        Value::text(&i.first_record.to_string()),
        Value::text(&i.last_record.to_string()),
        Value::unsigned(D::STORE, "a count", i.count)?,
        Value::int(i.reopened),
        Value::int(i.occurrence.first_at.as_micros()),
        Value::int(i.occurrence.opened_at.as_micros()),
        Value::unsigned(D::STORE, "a count", i.occurrence.count)?,
        Value::Int(i.max_level.map(|l| i64::from(l as u8))),
        peak,
        Value::text(&i.title),
        Value::opt_text(i.error_type.as_deref()),
        Value::opt_text(i.device.as_deref()),
        Value::opt_text(i.application.as_deref()),
        Value::opt_text(i.user.as_deref()),
        Value::opt_text(i.area.as_deref()),
        Value::opt_text(i.source.as_deref()),
        Value::Bool(i.historical),
        Value::Bool(i.silent),
        Value::Bool(i.fingerprints_truncated),
        Value::unsigned(D::STORE, "a journal position", i.position.seq)?,
        Value::int(i.position.index),
        Value::unsigned(D::STORE, "a revision", i.revision)?,
    ])
}

fn shared(s: Option<String>) -> Option<Arc<str>> {
    s.map(Arc::from)
}

fn time(us: Option<i64>) -> Option<Timestamp> {
    us.map(Timestamp)
}

fn incident(mut r: Row) -> Result<Incident> {
    let id = r.parsed("incident id", |s| s.parse().ok())?;
    let rule = RuleId::new(r.text()?);
    let subject = Subject {
        kind: r.parsed("kind of subject", SubjectKind::parse)?,
        id: r.text()?.into(),
    };
    let priority = priority(&mut r)?;
    let activity = r.parsed("state", Activity::parse)?;
    let acknowledged = (time(r.opt_int()?), r.opt_text()?);
    let shelved = (time(r.opt_int()?), r.opt_text()?, r.opt_text()?);
    let unshelved_at = time(r.opt_int()?);
    let closed_cause = shared(r.opt_text()?);
    Ok(Incident {
        id,
        rule,
        subject,
        priority,
        activity,
        acknowledged: match acknowledged {
            (Some(at), Some(by)) => Some(Acknowledgement { at, by: by.into() }),
            _ => None,
        },
        shelved: match shelved {
            (Some(until), Some(by), reason) => Some(Shelving {
                until,
                by: by.into(),
                reason: reason.unwrap_or_default().into(),
            }),
            _ => None,
        },
        unshelved_at,
        closed_cause,
        first_at: Timestamp(r.int()?),
        opened_at: Timestamp(r.int()?),
        last_at: Timestamp(r.int()?),
        returned_at: time(r.opt_int()?),
        first_record: r.parsed("record id", |s| s.parse().ok())?,
        last_record: r.parsed("record id", |s| s.parse().ok())?,
        count: r.unsigned()?,
        reopened: r.unsigned()?,
        occurrence: Occurrence {
            first_at: Timestamp(r.int()?),
            opened_at: Timestamp(r.int()?),
            count: r.unsigned()?,
        },
        max_level: match r.opt_unsigned::<u8>()? {
            Some(n) => Some(Level::from_u8(n).ok_or_else(|| r.damaged(format!("{n} is no level")))?),
            None => None,
        },
        peak: r.opt_real()?,
        title: r.text()?.into(),
        error_type: shared(r.opt_text()?),
        device: shared(r.opt_text()?),
        application: shared(r.opt_text()?),
        user: shared(r.opt_text()?),
        area: shared(r.opt_text()?),
        source: shared(r.opt_text()?),
        historical: r.bool()?,
        silent: r.bool()?,
        fingerprints: Vec::new(),
        fingerprints_truncated: r.bool()?,
        position: Position {
            seq: r.unsigned()?,
            index: r.unsigned()?,
        },
        revision: r.unsigned()?,
    })
}

fn fingerprint(mut r: Row) -> Result<FingerprintCount> {
    Ok(FingerprintCount {
        fingerprint: r.int()?.cast_unsigned(),
        count: r.unsigned()?,
        template: r.text()?.into(),
    })
}

fn timeline_entry(incident: IncidentId, mut r: Row) -> Result<TimelineEntry> {
    Ok(TimelineEntry {
        incident,
        revision: r.unsigned()?,
        at: Timestamp(r.int()?),
        kind: r.parsed("kind of change", TimelineKind::parse)?,
        who: shared(r.opt_text()?),
        text: r.text()?.into(),
        record: match r.opt_text()? {
            Some(s) => Some(s.parse().map_err(|_| r.damaged(format!("{s:?} is no record id")))?),
            None => None,
        },
    })
}

pub(super) fn priority(r: &mut Row) -> Result<Priority> {
    let n = r.unsigned::<u8>()?;
    Priority::from_u8(n).ok_or_else(|| r.damaged(format!("{n} is no priority")))
}

/// An alert from the columns id to context.
pub(crate) fn alert(mut r: Row) -> Result<Alert> {
    Ok(Alert {
        id: r.parsed("alert id", |s| s.parse().ok())?,
        incident: r.parsed("incident id", |s| s.parse().ok())?,
        reason: r.parsed("reason of an alert", AlertReason::parse)?,
        at: Timestamp(r.int()?),
        received_at: Timestamp(r.int()?),
        position: Position {
            seq: r.unsigned()?,
            index: r.unsigned()?,
        },
        passes_throttle: r.bool()?,
        historical: r.bool()?,
        text: r.text()?.into(),
        priority: priority(&mut r)?,
        context: r.json("what an alert is about")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::SqliteStore;

    /// A list of incidents must not read the whole table, nor sort it.
    #[tokio::test]
    async fn every_list_walks_an_index_in_its_order() {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&dir.path().join("andon.db")).await.unwrap();
        let text = || Some("x".to_owned());
        let after = Some((Timestamp(1), IncidentId(1)));
        let all = IncidentFilter {
            limit: 50,
            ..IncidentFilter::default()
        };
        let subject = IncidentFilter {
            subject_kind: Some(SubjectKind::Device),
            subject_id: text(),
            ..all.clone()
        };
        for (filter, index) in [
            (all.clone(), "incidents_by_opening"),
            (IncidentFilter { after, ..all.clone() }, "incidents_by_opening"),
            (
                IncidentFilter {
                    opened_from: Some(Timestamp(1)),
                    ..all.clone()
                },
                "incidents_by_opening",
            ),
            (
                IncidentFilter {
                    open_only: true,
                    ..all.clone()
                },
                "incidents_open",
            ),
            (
                IncidentFilter {
                    open_only: true,
                    after,
                    ..all.clone()
                },
                "incidents_open",
            ),
            (
                IncidentFilter {
                    after,
                    ..subject.clone()
                },
                "incidents_by_subject",
            ),
            (subject, "incidents_by_subject"),
            (
                IncidentFilter {
                    rule: text(),
                    ..all.clone()
                },
                "incidents_by_rule",
            ),
            (
                IncidentFilter {
                    area: text(),
                    after,
                    ..all
                },
                "incidents_by_area",
            ),
        ] {
            let (sql, values) = list(&filter);
            let explain = Sql::from(format!("EXPLAIN QUERY PLAN {}", sql.text));
            let mut plan = String::new();
            for mut row in store.database().fetch(explain, values).await.unwrap() {
                let _ = (row.int().unwrap(), row.int().unwrap(), row.int().unwrap());
                plan += &row.text().unwrap();
            }
            assert!(plan.contains(&format!("USING INDEX {index}")), "{filter:?}: {plan}");
            assert!(!plan.contains("TEMP B-TREE"), "{filter:?}: {plan}");
        }
    }
}
