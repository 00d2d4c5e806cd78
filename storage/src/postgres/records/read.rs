//! Log records read back: for an export over SQL, and for the checks.

use crate::ports::log_index::StoredRecord;
use crate::ports::records::{RecordFilter, RecordReader};
use crate::ports::{Result, StoreError};
use crate::postgres::PostgresDatabase;
use crate::relational::Relational;
use crate::relational::database::{Conditions, Database, Row, Value};
use andon_engine::batch::BatchBuilder;
use andon_engine::ids::RecordId;
use andon_engine::level::Level;
use andon_engine::record::{Flags, Record};
use andon_engine::time::Timestamp;
use std::collections::BTreeMap;

macro_rules! select {
    () => {
        // A number as text loses nothing on its way through JSON.
        "SELECT record_id, received_at, timestamp, fingerprint, flags, level, message, type, application, device_id, user_id,
    source, sender_id, item_id, order_id, location, step, trace_id, span_id,
    (SELECT jsonb_object_agg(key, value #>> '{}')::text FROM jsonb_each(readings)),
    coalesce(fields::text, fields_text) FROM records"
    };
}

#[async_trait::async_trait]
impl RecordReader for Relational<PostgresDatabase> {
    async fn records(&self, f: &RecordFilter, limit: u32) -> Result<Vec<StoredRecord>> {
        let mut c = Conditions::default();
        if let Some(t) = f.from {
            c.and("timestamp >= ?", [Value::int(t.as_micros())]);
        }
        if let Some(t) = f.to {
            c.and("timestamp < ?", [Value::int(t.as_micros())]);
        }
        if let Some(device) = &f.device_id {
            c.and("device_id = ?", [Value::text(device)]);
        }
        if let Some(application) = &f.application {
            c.and("application = ?", [Value::text(application)]);
        }
        if let Some(after) = f.after {
            let (t, id) = (after.timestamp.as_micros(), after.record_id.to_bytes().to_vec());
            c.and(
                "(timestamp, record_id) > (?, ?)",
                [Value::int(t), Value::Bytes(Some(id))],
            );
        }
        let (sql, values) = c.limited(select!(), "ORDER BY timestamp, record_id", limit);
        self.database()
            .fetch(sql, values)
            .await?
            .into_iter()
            .map(stored)
            .collect()
    }

    async fn record(&self, id: RecordId) -> Result<Option<StoredRecord>> {
        let sql = concat!(select!(), " WHERE record_id = $1 LIMIT 1");
        let values = vec![Value::Bytes(Some(id.to_bytes().to_vec()))];
        let rows = self.database().fetch(sql.into(), values).await?;
        rows.into_iter().next().map(stored).transpose()
    }
}

fn stored(mut r: Row) -> Result<StoredRecord> {
    let id = r.bytes()?;
    let id = <[u8; 16]>::try_from(id).map_err(|_| r.damaged("a record id is not 16 bytes long"))?;
    let record_id = RecordId::from_bytes(id);
    let (received_at, timestamp) = (Timestamp(r.int()?), Timestamp(r.int()?));
    let fingerprint = r.int()?.cast_unsigned();
    let flags = Flags(r.unsigned()?);
    let level = match r.opt_unsigned::<u8>()? {
        Some(n) => Some(Level::from_u8(n).ok_or_else(|| r.damaged(format!("{n} is no level")))?),
        None => None,
    };
    let message = r.text()?;
    let mut texts: [Option<String>; 12] = Default::default();
    for t in &mut texts {
        *t = r.opt_text()?;
    }
    let [
        kind,
        application,
        device_id,
        user_id,
        source,
        sender_id,
        item_id,
        order_id,
        location,
        step,
        trace_id,
        span_id,
    ] = &texts;
    let readings: BTreeMap<String, Option<String>> = match r.opt_text()? {
        Some(json) => serde_json::from_str(&json).map_err(|e| r.damaged(format!("readings are not readable: {e}")))?,
        None => BTreeMap::new(),
    };
    let readings = readings
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), value.as_deref()?)))
        .map(|(name, value)| value.parse().map(|v| (name, v)))
        .collect::<std::result::Result<Vec<(&str, f64)>, _>>()
        .map_err(|e| r.damaged(format!("a reading is no number: {e}")))?;
    let fields = r.opt_text()?.unwrap_or_default();
    let record = Record {
        record_id,
        timestamp,
        received_at,
        level,
        message: Some(&message),
        kind: kind.as_deref(),
        application: application.as_deref(),
        device_id: device_id.as_deref(),
        user_id: user_id.as_deref(),
        source: source.as_deref(),
        readings,
        fields: &fields,
        id: sender_id.as_deref(),
        item_id: item_id.as_deref(),
        order_id: order_id.as_deref(),
        location: location.as_deref(),
        step: step.as_deref(),
        trace_id: trace_id.as_deref(),
        span_id: span_id.as_deref(),
        fingerprint,
        flags,
    };
    let mut packed = BatchBuilder::new();
    packed.push(&record);
    StoredRecord::new(packed.finish().into(), record_id).map_err(|e| StoreError::Damaged {
        store: PostgresDatabase::STORE,
        reason: format!("record {record_id}: {e}"),
    })
}
