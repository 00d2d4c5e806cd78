//! Minute roll-ups of readings, and the quarantine.

use super::Relational;
use super::apart::{self, Work};
use super::cursors::Sink;
use super::database::{Database, Row, Transaction, Value, clean, insert_rows};
use crate::ports::rows::{Quarantined, RefusedPart, RefusedRow, Rollup, RowStore};
use crate::ports::{Cursor, Result, StoreError};
use andon_engine::time::Timestamp;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;

const ROLLUPS: &str =
    "INSERT INTO reading_minutes AS r (device, reading, minute, min_value, max_value, sum_value, value_count,
    last_value, last_at)";
const ROLLUP_COLUMNS: usize = 9;
/// A sum stays within what a number can be: PostgreSQL would refuse the row, SQLite would store an infinity. By subtraction only, which
/// no two finite numbers break as long as they have the same sign; a half of the least number is one that PostgreSQL refuses. The bound
/// lies so far below the greatest number that no rounding reaches past it.
const ROLLUP_MERGE: &str = "ON CONFLICT (device, reading, minute) DO UPDATE SET
    min_value = CASE WHEN excluded.min_value < r.min_value THEN excluded.min_value ELSE r.min_value END,
    max_value = CASE WHEN excluded.max_value > r.max_value THEN excluded.max_value ELSE r.max_value END,
    sum_value = CASE WHEN r.sum_value > 0 AND excluded.sum_value > 1.797e308 - r.sum_value THEN 1.797e308
                     WHEN r.sum_value < 0 AND excluded.sum_value < -1.797e308 - r.sum_value THEN -1.797e308
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

/// Of a refused roll-up, what quarantine shows.
const EXCERPT_BYTES_MAX: usize = 4 * 1024;
/// Rows that one statement drops, so that the writer's connection is not held for long.
const TRIM_CHUNK: i64 = 10_000;

#[async_trait::async_trait]
impl<D: Database> RowStore for Relational<D> {
    async fn row_cursor(&self) -> Result<Option<Cursor>> {
        self.cursor(Sink::Rows).await
    }

    async fn write_rows(
        &self,
        rollups: &[Rollup],
        quarantined: &[Quarantined],
        cursor: Cursor,
    ) -> Result<Vec<RefusedRow>> {
        let work = Rows {
            rollups: merged(rollups).into_values().collect(),
            quarantined,
            seq: cursor.seq,
        };
        let refused = self.write_at(Sink::Rows, cursor, &work).await?.refused;
        Ok(refused.into_iter().map(|r| work.named(r)).collect())
    }

    async fn quarantine(&self, quarantined: &[Quarantined]) -> Result<()> {
        for apart in [false, true] {
            let mut tx = self.begin().await?;
            match insert_quarantined::<D>(&mut tx, quarantined, apart).await {
                Err(StoreError::Refused { .. }) if !apart => {}
                Err(e) => return Err(e),
                Ok(()) => return tx.commit().await,
            }
        }
        Ok(())
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

/// Roll-ups, each key once, then rows of quarantine.
struct Rows<'a> {
    rollups: Vec<Rollup>,
    quarantined: &'a [Quarantined],
    /// Where the cursor stands when they are written.
    seq: u64,
}

impl Rows<'_> {
    fn named(&self, refused: RefusedPart) -> RefusedRow {
        let what = match self.rollups.get(refused.index) {
            Some(r) => format!("the roll-up of {:?} of {:?}", r.reading, r.device),
            None => "a row of quarantine".to_owned(),
        };
        RefusedRow {
            what,
            reason: refused.reason,
        }
    }

    /// What quarantine is to hold of a refused roll-up.
    fn aside(&self, refused: &RefusedPart) -> Option<Quarantined> {
        let r = self.rollups.get(refused.index)?;
        let excerpt = format!("{r:?}");
        Some(Quarantined {
            journal_seq: self.seq,
            index: u32::try_from(refused.index).unwrap_or(u32::MAX),
            received_at: r.last_at,
            key_id: String::new(),
            stage: "rows".to_owned(),
            field: String::new(),
            reason: refused.reason.clone(),
            excerpt: excerpt[..excerpt.floor_char_boundary(EXCERPT_BYTES_MAX)].to_owned(),
        })
    }
}

#[async_trait::async_trait]
impl<D: Database> Work<D> for Rows<'_> {
    const IDEMPOTENT: bool = false;

    fn parts(&self) -> usize {
        self.rollups.len() + self.quarantined.len()
    }

    async fn write(&self, tx: &mut D::Transaction, parts: Range<usize>) -> Result<Vec<Row>> {
        let n = self.rollups.len();
        let rollups = &self.rollups[parts.start.min(n)..parts.end.min(n)];
        let quarantined = &self.quarantined[parts.start.max(n) - n..parts.end.max(n) - n];
        let values = rollups.iter().map(rollup_values::<D>).collect::<Result<Vec<_>>>()?;
        insert_rows::<D>(tx, ROLLUPS, ROLLUP_COLUMNS, ROLLUP_MERGE, values).await?;
        Quarantine(quarantined).insert::<D>(tx, 0..quarantined.len()).await?;
        Ok(Vec::new())
    }

    async fn set_aside(&self, tx: &mut D::Transaction, refused: &[RefusedPart]) -> Result<()> {
        let rows: Vec<_> = refused.iter().filter_map(|r| self.aside(r)).collect();
        insert_quarantined::<D>(tx, &rows, true).await
    }
}

/// Adds to quarantine; what is there stays as it is. `apart`: a row that is refused for itself is reported and left out.
pub(crate) async fn insert_quarantined<D: Database>(
    tx: &mut D::Transaction,
    rows: &[Quarantined],
    apart: bool,
) -> Result<()> {
    for refused in apart::write::<D, _>(tx, &Quarantine(rows), apart).await?.refused {
        let (stage, seq) = (&rows[refused.index].stage, rows[refused.index].journal_seq);
        tracing::error!(
            store = D::STORE,
            stage,
            entry = seq,
            reason = refused.reason,
            "quarantine refused a row"
        );
    }
    Ok(())
}

struct Quarantine<'a>(&'a [Quarantined]);

impl Quarantine<'_> {
    async fn insert<D: Database>(&self, tx: &mut D::Transaction, parts: Range<usize>) -> Result<()> {
        let values: Vec<_> = self.0[parts]
            .iter()
            .map(quarantine_values::<D>)
            .collect::<Result<_>>()?;
        let (columns, tail) = (QUARANTINE_COLUMNS, "ON CONFLICT DO NOTHING");
        insert_rows::<D>(tx, QUARANTINE, columns, tail, values).await.map(drop)
    }
}

#[async_trait::async_trait]
impl<D: Database> Work<D> for Quarantine<'_> {
    const IDEMPOTENT: bool = true;

    fn parts(&self) -> usize {
        self.0.len()
    }
    async fn write(&self, tx: &mut D::Transaction, parts: Range<usize>) -> Result<Vec<Row>> {
        self.insert::<D>(tx, parts).await.map(|()| Vec::new())
    }
    /// There is no place behind quarantine.
    async fn set_aside(&self, _: &mut D::Transaction, _: &[RefusedPart]) -> Result<()> {
        Ok(())
    }
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
