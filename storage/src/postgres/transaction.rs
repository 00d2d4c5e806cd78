//! A transaction on a connection of its own, and how values and rows travel.

use super::PostgresDatabase;
use super::errors::{self, unavailable};
use super::pool::{Lease, step};
use crate::ports::{Result, StoreError};
use crate::relational::database::{Database, Row, Sql, Transaction, Value};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::{AssertSqlSafe, Column, Postgres, Row as _, TypeInfo, ValueRef};
use std::time::Duration;

/// A transaction that writes. Dropping it rolls it back.
#[derive(Debug)]
pub struct PostgresTransaction {
    lease: Lease,
    /// For one statement and its answer.
    limit: Duration,
    /// A statement has failed: PostgreSQL answers COMMIT of such a transaction by a rollback, without an error.
    failed: bool,
}

impl PostgresTransaction {
    pub(super) async fn begin(mut lease: Lease, limit: Duration) -> Result<Self> {
        let (connection, whole) = lease.parts();
        step(whole, limit, "BEGIN", sqlx::raw_sql("BEGIN").execute(connection)).await?;
        lease.set_in_transaction(true);
        Ok(Self {
            lease,
            limit,
            failed: false,
        })
    }

    /// Gives this transaction's statements more time, the server's and ours.
    pub(super) async fn extend(&mut self, limit: Duration) -> Result<()> {
        let ms = limit.as_millis();
        self.script(format!(
            "SET LOCAL statement_timeout = {ms}; SET LOCAL lock_timeout = {ms}"
        ))
        .await?;
        self.limit = limit + super::ANSWER_MARGIN;
        Ok(())
    }

    fn note<T>(&mut self, result: Result<T>) -> Result<T> {
        self.failed |= result.is_err();
        result
    }
}

#[async_trait::async_trait]
impl Transaction for PostgresTransaction {
    async fn execute(&mut self, sql: Sql, values: Vec<Value>) -> Result<u64> {
        let (connection, whole) = self.lease.parts();
        let done = step(whole, self.limit, "a statement", query(sql, values).execute(connection)).await;
        self.note(done).map(|r| r.rows_affected())
    }

    async fn fetch(&mut self, sql: Sql, values: Vec<Value>) -> Result<Vec<Row>> {
        let (connection, whole) = self.lease.parts();
        let rows = step(
            whole,
            self.limit,
            "a statement",
            query(sql, values).fetch_all(connection),
        )
        .await;
        self.note(rows)?.iter().map(row).collect()
    }

    async fn script(&mut self, sql: String) -> Result<()> {
        let (connection, whole) = self.lease.parts();
        let script = sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection);
        let done = step(whole, self.limit, "a script", script).await;
        self.note(done).map(drop)
    }

    async fn commit(mut self) -> Result<()> {
        if self.failed {
            return Err(unavailable(
                "a statement of this transaction failed, so nothing of it is stored",
            ));
        }
        let (connection, whole) = self.lease.parts();
        // Without an answer nobody knows whether it is stored: the cursor tells, when it is tried again.
        match step(whole, self.limit, "COMMIT", sqlx::raw_sql("COMMIT").execute(connection)).await {
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

/// One statement outside a transaction.
pub(super) async fn fetch(mut lease: Lease, limit: Duration, sql: Sql, values: Vec<Value>) -> Result<Vec<Row>> {
    let (connection, whole) = lease.parts();
    let rows = step(whole, limit, "a query", query(sql, values).fetch_all(connection)).await?;
    drop(lease);
    rows.iter().map(row).collect()
}

fn query(sql: Sql, values: Vec<Value>) -> sqlx::query::Query<'static, Postgres, PgArguments> {
    // `Sql` is made of constants only; what comes from outside is in `values`.
    let mut q = sqlx::query(AssertSqlSafe(sql.text)).persistent(sql.keep);
    for v in values {
        q = match v {
            Value::Int(n) => q.bind(n),
            Value::Real(v) => q.bind(v),
            Value::Text(s) => q.bind(s),
            Value::Bool(b) => q.bind(b),
            Value::Bytes(b) => q.bind(b),
            Value::Null => q.bind(None::<i64>),
        };
    }
    q
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
