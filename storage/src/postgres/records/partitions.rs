//! Partitions: one for each UTC day of receipt, made ahead, indexed when their day is over, dropped by retention.

use crate::ports::Result;
use crate::postgres::{MIGRATION_TIMEOUT, PostgresDatabase, PostgresTransaction};
use crate::relational::database::{Database, Row, Transaction, Value};
use andon_engine::time::{Span, Timestamp};
use std::collections::BTreeSet;

const DAY_MICROS: i64 = 86_400_000_000;
/// Today and the days that follow: a server that cannot be told of a new day over a long weekend still has a place for its records.
const DAYS_AHEAD: i64 = 4;
/// From then on nearly nothing comes for the day that is over, and an index on it costs no write.
const CLOSED_AFTER: Span = Span(2 * 3_600_000_000);
/// Days since 1970 that are named by their date: those before the last one of 9999, of which a stamp as text reaches no instant.
const DATED_DAYS: i64 = 2_932_896;

/// The day of receipt, since 1970 in UTC.
pub(super) fn day(t: Timestamp) -> i64 {
    t.as_micros().div_euclid(DAY_MICROS)
}

/// A partition as PostgreSQL has it, so that one that an administrator made (of a month, say) counts as well.
struct Partition {
    /// Quoted where it has to be.
    name: String,
    /// Received from here on; `None` is any time.
    from: Option<i64>,
    /// Received before; `None` is any time.
    to: Option<i64>,
}

impl Partition {
    fn holds(&self, t: i64) -> bool {
        self.from.is_none_or(|from| from <= t) && self.to.is_none_or(|to| t < to)
    }
}

const LIST: &str = "SELECT quote_ident(c.relname),
    substring(b.bounds FROM 'FROM \\(''?(-?[0-9]+)')::int8, substring(b.bounds FROM 'TO \\(''?(-?[0-9]+)')::int8
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    CROSS JOIN LATERAL (SELECT pg_get_expr(c.relpartbound, c.oid) AS bounds) b
    WHERE i.inhparent = 'records'::regclass ORDER BY 2 NULLS FIRST";

/// Whether the partition `$1` is there and lacks an index of a day that is over.
const NEEDS_INDEX: &str = "SELECT to_regclass($1) IS NOT NULL AND (to_regclass($2) IS NULL OR to_regclass($3) IS NULL)";
const LOCK: &str = "SELECT pg_advisory_xact_lock($1)";

impl PostgresDatabase {
    async fn partitions(&self) -> Result<Vec<Partition>> {
        partitions(self.fetch(LIST.into(), vec![]).await?)
    }

    /// Makes the partitions of these days that are missing.
    pub(super) async fn ensure_partitions(&self, days: &BTreeSet<i64>) -> Result<()> {
        let missing = |there: &[Partition]| -> Vec<i64> {
            let start = |day: i64| day.saturating_mul(DAY_MICROS);
            let is_there = |day: i64| there.iter().any(|p| p.holds(start(day)));
            days.iter().copied().filter(|day| !is_there(*day)).collect()
        };
        if days.is_empty() || missing(&self.partitions().await?).is_empty() {
            return Ok(());
        }
        let mut tx = self.begin().await?;
        let key = vec![Value::int(self.lock_key("partitions"))];
        tx.fetch(LOCK.into(), key).await?;
        // Another process may have made them while we waited.
        for day in missing(&partitions(tx.fetch(LIST.into(), vec![]).await?)?) {
            tx.script(create(day)).await?;
        }
        tx.commit().await
    }

    /// Also indexes a day that is over, one in each call: whoever calls waits for it.
    pub(super) async fn prepare_partitions(&self, now: Timestamp) -> Result<()> {
        let today = day(now);
        self.ensure_partitions(&(today..today + DAYS_AHEAD).collect()).await?;
        let closed = now.minus(CLOSED_AFTER).as_micros();
        for p in self.partitions().await? {
            if p.to.is_some_and(|to| to <= closed) && self.index(&p.name).await? {
                break;
            }
        }
        Ok(())
    }

    /// False when there was nothing to do.
    async fn index(&self, partition: &str) -> Result<bool> {
        let plain = partition.trim_matches('"');
        let quoted = |column: &str| format!("\"{plain}_by_{column}\"");
        let (device, application) = (quoted("device"), quoted("application"));
        let values = || [partition, &device, &application].map(Value::text).to_vec();
        if !needs_index(self.fetch(NEEDS_INDEX.into(), values()).await?)? {
            return Ok(false);
        }
        let mut tx = self.begin().await?;
        tx.extend(MIGRATION_TIMEOUT).await?;
        self.lock_old_days(&mut tx).await?;
        // Another process may have indexed it while we waited, or dropped it.
        if needs_index(tx.fetch(NEEDS_INDEX.into(), values()).await?)? {
            for (name, column) in [(&device, "device_id"), (&application, "application")] {
                tx.script(format!(
                    "CREATE INDEX IF NOT EXISTS {name} ON {partition} ({column}, timestamp) WHERE {column} IS NOT NULL"
                ))
                .await?;
            }
        }
        tx.commit().await.map(|()| true)
    }

    pub(super) async fn drop_partitions(&self, before: Timestamp) -> Result<u64> {
        let mut dropped = 0;
        for p in self.partitions().await? {
            if p.to.is_some_and(|to| to <= before.as_micros()) {
                // Each by itself: the lock on the whole table is held for a moment only.
                let mut tx = self.begin().await?;
                self.lock_old_days(&mut tx).await?;
                tx.script(format!("DROP TABLE IF EXISTS {}", p.name)).await?;
                tx.commit().await?;
                dropped += 1;
            }
        }
        Ok(dropped)
    }

    /// Two processes that index and drop at once would see each other's half. Making days has a lock of its own: it never waits for
    /// an index.
    async fn lock_old_days(&self, tx: &mut PostgresTransaction) -> Result<()> {
        let key = vec![Value::int(self.lock_key("old days"))];
        tx.fetch(LOCK.into(), key).await.map(drop)
    }
}

fn needs_index(rows: Vec<Row>) -> Result<bool> {
    rows.into_iter().next().map_or(Ok(false), |mut r| r.bool())
}

fn partitions(rows: Vec<Row>) -> Result<Vec<Partition>> {
    let one = |mut r: Row| {
        Ok(Partition {
            name: r.text()?,
            from: r.opt_int()?,
            to: r.opt_int()?,
        })
    };
    rows.into_iter().map(one).collect()
}

/// Attaching locks out nobody who reads or writes other partitions, as `CREATE TABLE … PARTITION OF` would.
fn create(day: i64) -> String {
    let name = name(day);
    let from = day
        .checked_mul(DAY_MICROS)
        .map_or("MINVALUE".to_owned(), |n| format!("'{n}'"));
    let to = (day.checked_add(1))
        .and_then(|next| next.checked_mul(DAY_MICROS))
        .map_or("MAXVALUE".to_owned(), |n| format!("'{n}'"));
    format!(
        "CREATE TABLE {name} (LIKE records INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE INCLUDING COMPRESSION); \
         ALTER TABLE records ATTACH PARTITION {name} FOR VALUES FROM ({from}) TO ({to})"
    )
}

/// By date, as people look for it: `records_2026_11_23`.
fn name(day: i64) -> String {
    if (0..DATED_DAYS).contains(&day) {
        let date = Timestamp(day * DAY_MICROS).to_string();
        format!("records_{}", date[..10].replace('-', "_"))
    } else {
        let sign = if day < 0 { "minus_" } else { "" };
        format!("records_day_{sign}{}", day.unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_at_midnight_utc() {
        for (t, want) in [
            (0, "records_1970_01_01"),
            (-1, "records_day_minus_1"),
            (1_795_392_000_000_000 - 1, "records_2026_11_22"),
            (1_795_392_000_000_000, "records_2026_11_23"),
            (253_402_214_399_999_999, "records_9999_12_30"),
            (253_402_214_400_000_000, "records_day_2932896"),
            (i64::MAX, "records_day_106751991"),
            (i64::MIN, "records_day_minus_106751992"),
        ] {
            assert_eq!(name(day(Timestamp(t))), want);
        }
        assert!(create(day(Timestamp(i64::MAX))).contains("MAXVALUE"));
        assert!(create(day(Timestamp(i64::MIN))).contains("MINVALUE"));
    }
}
