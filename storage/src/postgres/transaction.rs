//! A transaction on a connection of its own, and how values and rows travel.

use super::PostgresDatabase;
use super::errors::{self, unavailable};
use super::pool::{Lease, Pool, step};
use crate::ports::{Result, StoreError};
use crate::relational::database::{Database, Row, Sql, Transaction, UNDO, Value, bound};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::{AssertSqlSafe, Column, Postgres, Row as _, TypeInfo, ValueRef};
use std::time::Duration;

/// What is handed to the socket at a time.
const COPY_PIECE: usize = 256 << 10;
/// A server that takes less is out of order; one that takes this much gets the time for it.
const COPY_BYTES_PER_SECOND_MIN: usize = 1 << 20;

/// A transaction that writes. Dropping it rolls it back.
#[derive(Debug)]
pub struct PostgresTransaction {
    lease: Lease,
    /// For one statement and its answer.
    limit: Duration,
    /// A statement has failed: PostgreSQL answers COMMIT of such a transaction by a rollback, without an error.
    failed: bool,
}

/// What became of a COPY.
#[derive(Debug)]
pub(super) enum Copied {
    /// So many rows are there.
    Rows(u64),
    /// `row`: the one that is at fault, counted from 1, if the server says which.
    Refused { reason: String, row: Option<usize> },
}

impl PostgresTransaction {
    pub(super) async fn begin(pool: &Pool, limit: Duration) -> Result<Self> {
        loop {
            let mut lease = pool.acquire().await?;
            let (connection, state) = lease.parts();
            match step(state, limit, "BEGIN", sqlx::raw_sql("BEGIN").execute(connection)).await {
                Ok(_) => {
                    lease.set_in_transaction(true);
                    return Ok(Self {
                        lease,
                        limit,
                        failed: false,
                    });
                }
                Err(_) if lease.was_stale() => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// Gives this transaction's statements more time, the server's and ours. A lock is waited for as ever: others queue behind it.
    pub(super) async fn extend(&mut self, limit: Duration) -> Result<()> {
        let ms = limit.as_millis();
        self.script(format!("SET LOCAL statement_timeout = {ms}")).await?;
        self.limit = limit + super::ANSWER_MARGIN;
        Ok(())
    }

    /// `sql` is a `COPY … FROM STDIN`. When it is refused nothing of it is there, and the transaction can go on.
    pub(super) async fn try_copy(&mut self, sql: &'static str, data: &[impl AsRef<[u8]> + Sync]) -> Result<Copied> {
        self.mark().await?;
        let copied = self.copy(sql, data).await?;
        match copied {
            Copied::Rows(_) => self.keep().await?,
            Copied::Refused { .. } => self.undo().await?,
        }
        Ok(copied)
    }

    async fn copy(&mut self, sql: &'static str, data: &[impl AsRef<[u8]> + Sync]) -> Result<Copied> {
        let bytes: usize = data.iter().map(|d| d.as_ref().len()).sum();
        let more = Duration::from_secs((bytes / COPY_BYTES_PER_SECOND_MIN) as u64);
        if !more.is_zero() {
            let ms = (self.limit + more).as_millis();
            self.script(format!("SET LOCAL statement_timeout = {ms}")).await?;
        }
        let (connection, state) = self.lease.parts();
        let mut row = None;
        let copying = async {
            let mut copy = connection.copy_in_raw(sql).await?;
            for piece in data.iter().flat_map(|d| d.as_ref().chunks(COPY_PIECE)) {
                copy.send(piece).await?;
            }
            copy.finish().await
        };
        let noting = async {
            let copied = copying.await;
            row = copied.as_ref().err().and_then(errors::row_of_copy);
            copied
        };
        let copied = step(state, self.limit + more, "COPY", noting).await;
        match self.note(copied) {
            Ok(rows) => Ok(Copied::Rows(rows)),
            Err(StoreError::Refused { reason, .. }) => Ok(Copied::Refused { reason, row }),
            Err(e) => Err(e),
        }
    }

    fn note<T>(&mut self, result: Result<T>) -> Result<T> {
        self.failed |= result.is_err();
        result
    }
}

#[async_trait::async_trait]
impl Transaction for PostgresTransaction {
    async fn execute(&mut self, sql: Sql, values: Vec<Value>) -> Result<u64> {
        let (connection, state) = self.lease.parts();
        let done = step(state, self.limit, "a statement", query(sql, values).execute(connection)).await;
        self.note(done).map(|r| r.rows_affected())
    }

    async fn fetch(&mut self, sql: Sql, values: Vec<Value>) -> Result<Vec<Row>> {
        let (connection, state) = self.lease.parts();
        let rows = step(
            state,
            self.limit,
            "a statement",
            query(sql, values).fetch_all(connection),
        )
        .await;
        self.note(rows)?.iter().map(row).collect()
    }

    async fn script(&mut self, sql: String) -> Result<()> {
        let (connection, state) = self.lease.parts();
        let script = sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection);
        let done = step(state, self.limit, "a script", script).await;
        self.note(done).map(drop)
    }

    async fn undo(&mut self) -> Result<()> {
        self.script(UNDO.to_owned()).await?;
        self.failed = false;
        Ok(())
    }

    async fn commit(mut self) -> Result<()> {
        if self.failed {
            return Err(unavailable(
                "a statement of this transaction failed, so nothing of it is stored",
            ));
        }
        let (connection, state) = self.lease.parts();
        // Without an answer nobody knows whether it is stored: the cursor tells, when it is tried again.
        match step(state, self.limit, "COMMIT", sqlx::raw_sql("COMMIT").execute(connection)).await {
            Ok(_) => {
                self.lease.set_in_transaction(false);
                Ok(())
            }
            // Nothing is deferred, so no value is at fault here.
            Err(StoreError::Refused { reason, .. }) => Err(unavailable(reason)),
            Err(e) => Err(e),
        }
    }
}

/// One statement outside a transaction, that only reads.
pub(super) async fn fetch(pool: &Pool, limit: Duration, sql: Sql, values: Vec<Value>) -> Result<Vec<Row>> {
    loop {
        let mut lease = pool.acquire().await?;
        let (connection, state) = lease.parts();
        let query = query(sql.clone(), values.clone()).fetch_all(connection);
        match step(state, limit, "a query", query).await {
            Ok(rows) => {
                drop(lease);
                return rows.iter().map(row).collect();
            }
            Err(_) if lease.was_stale() => {}
            Err(e) => return Err(e),
        }
    }
}

fn query(sql: Sql, values: Vec<Value>) -> sqlx::query::Query<'static, Postgres, PgArguments> {
    bound!(sql, values)
}

fn row(r: &PgRow) -> Result<Row> {
    let value = |i: usize| {
        let raw = r.try_get_raw(i)?;
        if raw.is_null() {
            return Ok(Value::Null);
        }
        let type_ = raw.type_info();
        Ok(match type_.name() {
            "INT8" => Value::Int(Some(r.try_get_unchecked(i)?)),
            "INT4" => Value::Int(Some(i64::from(r.try_get_unchecked::<i32, _>(i)?))),
            "INT2" => Value::Int(Some(i64::from(r.try_get_unchecked::<i16, _>(i)?))),
            "FLOAT8" => Value::Real(Some(r.try_get_unchecked(i)?)),
            "BOOL" => Value::Bool(r.try_get_unchecked(i)?),
            "BYTEA" => Value::Bytes(Some(r.try_get_unchecked(i)?)),
            "TEXT" | "VARCHAR" | "NAME" | "CHAR" => Value::Text(Some(r.try_get_unchecked(i)?)),
            "VOID" => Value::Null,
            other => {
                let unknown = format!("column {i} is of type {other}, which no query of Andon asks for");
                return Err(sqlx::Error::Decode(unknown.into()));
            }
        })
    };
    let values = r
        .columns()
        .iter()
        .map(|c| value(c.ordinal()))
        .collect::<sqlx::Result<_>>()
        .map_err(errors::error)?;
    Ok(Row::new(PostgresDatabase::STORE, values))
}
