//! Minute roll-ups of readings, and the quarantine.

use super::Relational;
use super::cursors::Sink;
use super::database::{Database, Row, Transaction, Value, clean, insert_rows};
use crate::ports::rows::{Quarantined, Rollup, RowStore};
use crate::ports::{Cursor, Result};
use andon_engine::time::Timestamp;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

const ROLLUPS: &str =
    "INSERT INTO reading_minutes AS r (device, reading, minute, min_value, max_value, sum_value, value_count,
    last_value, last_at)";
const ROLLUP_COLUMNS: usize = 9;
/// A sum stays within what a number can be: PostgreSQL would refuse the row, SQLite would store an infinity.
const ROLLUP_MERGE: &str = "ON CONFLICT (device, reading, minute) DO UPDATE SET
    min_value = CASE WHEN excluded.min_value < r.min_value THEN excluded.min_value ELSE r.min_value END,
    max_value = CASE WHEN excluded.max_value > r.max_value THEN excluded.max_value ELSE r.max_value END,
    sum_value = CASE WHEN r.sum_value / 2 + excluded.sum_value / 2 > 8.9e307 THEN 1.78e308
                     WHEN r.sum_value / 2 + excluded.sum_value / 2 < -8.9e307 THEN -1.78e308
                     ELSE r.sum_value + excluded.sum_value END,
    value_count = CASE WHEN r.value_count > 9223372036854775807 - excluded.value_count THEN 9223372036854775807
                       ELSE r.value_count + excluded.value_count END,
    last_value = CASE WHEN excluded.last_at >= r.last_at THEN excluded.last_value ELSE r.last_value END,
    last_at = CASE WHEN excluded.last_at >= r.last_at THEN excluded.last_at ELSE r.last_at END";
const READ_ROLLUPS: &str =
    "SELECT minute, min_value, max_value, sum_value, value_count, last_value, last_at FROM reading_minutes
    WHERE device = $1 AND reading = $2 AND minute >= $3 AND minute < $4 ORDER BY minute LIMIT $5";

const QUARANTINE: &str =
    "INSERT INTO quarantine (received_at, journal_seq, record_index, stage, key_id, field, reason, excerpt)";
const QUARANTINE_COLUMNS: usize = 8;
const READ_QUARANTINE: &str = "SELECT received_at, journal_seq, record_index, stage, key_id, field, reason, excerpt
    FROM quarantine ORDER BY received_at DESC, journal_seq DESC, record_index DESC, stage DESC LIMIT $1";
const TRIM_QUARANTINE: &str = "DELETE FROM quarantine WHERE (received_at, journal_seq, record_index, stage) IN
    (SELECT received_at, journal_seq, record_index, stage FROM quarantine
     ORDER BY received_at DESC, journal_seq DESC, record_index DESC, stage DESC LIMIT $2 OFFSET $1)";

/// Rows that one statement drops, so that the writer's connection is not held for long.
const TRIM_CHUNK: i64 = 10_000;

#[async_trait::async_trait]
impl<D: Database> RowStore for Relational<D> {
    async fn row_cursor(&self) -> Result<Option<Cursor>> {
        self.cursor(Sink::Rows).await
    }

    async fn write_rows(&self, rollups: &[Rollup], quarantined: &[Quarantined], cursor: Cursor) -> Result<()> {
        let rollups = merged(rollups)
            .into_values()
            .map(|r| rollup_values::<D>(&r))
            .collect::<Result<Vec<_>>>()?;
        self.as_sink(Sink::Rows, async {
            let (mut tx, moved) = self.begin_at(Sink::Rows, cursor).await?;
            // A commit whose answer was lost is tried again: sums must not count twice.
            if !moved {
                return Ok(());
            }
            insert_rows::<D>(&mut tx, ROLLUPS, ROLLUP_COLUMNS, ROLLUP_MERGE, rollups).await?;
            insert_quarantined::<D>(&mut tx, quarantined).await?;
            self.commit_at(tx, Sink::Rows, cursor).await
        })
        .await
    }

    async fn quarantine(&self, quarantined: &[Quarantined]) -> Result<()> {
        let mut tx = self.begin().await?;
        insert_quarantined::<D>(&mut tx, quarantined).await?;
        tx.commit().await
    }

    async fn rollups(
        &self,
        device: &str,
        reading: &str,
        from: Timestamp,
        to: Timestamp,
        limit: u32,
    ) -> Result<Vec<Rollup>> {
        let values = vec![
            Value::text(device),
            Value::text(reading),
            Value::int(from.as_micros()),
            Value::int(to.as_micros()),
            Value::int(limit),
        ];
        let (device, reading) = (clean(device), clean(reading));
        let rollup = |mut r: Row| {
            Ok(Rollup {
                device: device.to_string(),
                reading: reading.to_string(),
                minute: Timestamp(r.int()?),
                min: r.real()?,
                max: r.real()?,
                sum: r.real()?,
                count: r.unsigned()?,
                last: r.real()?,
                last_at: Timestamp(r.int()?),
            })
        };
        self.db
            .fetch(READ_ROLLUPS.into(), values)
            .await?
            .into_iter()
            .map(rollup)
            .collect()
    }

    async fn quarantined(&self, limit: u32) -> Result<Vec<Quarantined>> {
        self.db
            .fetch(READ_QUARANTINE.into(), vec![Value::int(limit)])
            .await?
            .into_iter()
            .map(quarantine_row)
            .collect()
    }

    async fn trim_quarantine(&self, rows_max: u64) -> Result<u64> {
        let keep = Value::int(i64::try_from(rows_max).unwrap_or(i64::MAX));
        let mut dropped = 0;
        loop {
            let mut tx = self.begin().await?;
            let n = tx
                .execute(TRIM_QUARANTINE.into(), vec![keep.clone(), Value::int(TRIM_CHUNK)])
                .await?;
            tx.commit().await?;
            dropped += n;
            if n < TRIM_CHUNK as u64 {
                return Ok(dropped);
            }
        }
    }
}

/// One row for each key: a statement may not touch a row twice.
fn merged(rollups: &[Rollup]) -> HashMap<(String, String, Timestamp), Rollup> {
    let mut by_key: HashMap<_, Rollup> = HashMap::with_capacity(rollups.len());
    for r in rollups {
        match by_key.entry((clean(&r.device).into_owned(), clean(&r.reading).into_owned(), r.minute)) {
            Entry::Vacant(e) => {
                e.insert(r.clone());
            }
            Entry::Occupied(mut e) => e.get_mut().merge(r),
        }
    }
    by_key
}

fn rollup_values<D: Database>(r: &Rollup) -> Result<Vec<Value>> {
    // The sum of finite readings may pass what a number can be; a reading may not.
    let sum = if r.sum.is_infinite() {
        f64::MAX.copysign(r.sum)
    } else {
        r.sum
    };
    Ok(vec![
        Value::text(&r.device),
        Value::text(&r.reading),
        Value::int(r.minute.as_micros()),
        Value::finite(D::STORE, "the least reading", r.min)?,
        Value::finite(D::STORE, "the greatest reading", r.max)?,
        Value::finite(D::STORE, "the sum of readings", sum)?,
        Value::unsigned(D::STORE, "a count of readings", r.count)?,
        Value::finite(D::STORE, "the last reading", r.last)?,
        Value::int(r.last_at.as_micros()),
    ])
}

/// Adds to quarantine; what is there stays as it is.
pub(crate) async fn insert_quarantined<D: Database>(tx: &mut D::Transaction, rows: &[Quarantined]) -> Result<()> {
    let values: Vec<_> = rows.iter().map(quarantine_values::<D>).collect::<Result<_>>()?;
    insert_rows::<D>(tx, QUARANTINE, QUARANTINE_COLUMNS, "ON CONFLICT DO NOTHING", values)
        .await
        .map(|_| ())
}

fn quarantine_values<D: Database>(q: &Quarantined) -> Result<Vec<Value>> {
    Ok(vec![
        Value::int(q.received_at.as_micros()),
        Value::unsigned(D::STORE, "a journal position", q.journal_seq)?,
        Value::int(q.index),
        Value::text(&q.stage),
        Value::text(&q.key_id),
        Value::text(&q.field),
        Value::text(&q.reason),
        Value::text(&q.excerpt),
    ])
}

fn quarantine_row(mut r: Row) -> Result<Quarantined> {
    Ok(Quarantined {
        received_at: Timestamp(r.int()?),
        journal_seq: r.unsigned()?,
        index: r.unsigned()?,
        stage: r.text()?,
        key_id: r.text()?,
        field: r.text()?,
        reason: r.text()?,
        excerpt: r.text()?,
    })
}
