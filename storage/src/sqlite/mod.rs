//! SQLite as the database of a small site: one connection that writes, a few that read, WAL, every commit on disk.

mod checkpoint;

pub use checkpoint::{CheckpointFile, CheckpointReplacement, CheckpointSnapshot};

use crate::ports::{Result, StoreError};
use crate::relational::Relational;
use crate::relational::database::{Database, Row, Sql, Transaction, Value, bound};
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, Column, ConnectOptions, Row as _, Sqlite, SqlitePool, TypeInfo, ValueRef};
use std::path::Path;
use std::time::Duration;

/// Another process (`andon key create` beside a server) may hold the lock for a moment.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a caller waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// Reads are short; more connections would only share the same cores.
const READERS: u32 = 4;

/// Incidents, alerts, roll-ups, quarantine, keys and cursors in one SQLite file.
pub type SqliteStore = Relational<SqliteDatabase>;

impl Relational<SqliteDatabase> {
    /// Opens the file, or makes it (mode 0600) with its folder, and migrates it.
    ///
    /// # Errors
    /// `Damaged` when the file is no database or a newer Andon's, `Unavailable` when it cannot be reached.
    pub async fn open(path: &Path) -> Result<SqliteStore> {
        Relational::new(SqliteDatabase::open(path).await?).await
    }

    /// Waits for what runs, then closes the file.
    pub async fn close(&self) {
        self.database().close().await;
    }
}

/// The connections to one SQLite file.
#[derive(Debug, Clone)]
pub struct SqliteDatabase {
    writer: SqlitePool,
    readers: SqlitePool,
}

impl SqliteDatabase {
    pub async fn open(path: &Path) -> Result<Self> {
        make_file(path)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            // A cursor that is committed must survive a power cut together with its rows.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT)
            // An error is told by whoever handles it; a statement is no news.
            .disable_statement_logging();
        let pool = || {
            SqlitePoolOptions::new()
                .acquire_timeout(ACQUIRE_TIMEOUT)
                .idle_timeout(None)
                .max_lifetime(None)
        };
        let deadline = tokio::time::Instant::now() + BUSY_TIMEOUT;
        let writer = loop {
            let wal = options.clone().journal_mode(SqliteJournalMode::Wal);
            match pool()
                .min_connections(1)
                .max_connections(1)
                .connect_with(wal)
                .await
                .map_err(error)
            {
                Ok(pool) => break pool,
                // Turning a new file to WAL needs it alone, and SQLite does not wait for that as it waits for a lock.
                Err(e) if e.is_temporary() && tokio::time::Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(e) => return Err(e),
            }
        };
        let readers = pool()
            .max_connections(READERS)
            .connect_lazy_with(options.read_only(true));
        Ok(Self { writer, readers })
    }

    /// The one connection that writes.
    pub fn writer(&self) -> &SqlitePool {
        &self.writer
    }
    /// Connections that only read.
    pub fn readers(&self) -> &SqlitePool {
        &self.readers
    }
    /// A transaction that only reads: all of it sees one state.
    pub async fn read(&self) -> Result<SqliteTransaction> {
        self.readers.begin().await.map(SqliteTransaction).map_err(error)
    }
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// Keys and what people wrote lie in it: nobody but us reads it. SQLite gives its side files the mode of the file.
fn make_file(path: &Path) -> Result<()> {
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
    let mode = 0o600;
    let make = || {
        if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
        }
        let file = std::fs::OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(mode)
            .open(path)?;
        if file.metadata()?.permissions().mode() & 0o077 != 0 {
            file.set_permissions(std::fs::Permissions::from_mode(mode))?;
        }
        Ok::<(), std::io::Error>(())
    };
    make().map_err(|e| StoreError::Unavailable {
        store: SqliteDatabase::STORE,
        reason: format!("{}: {e}", path.display()),
    })
}

/// What a failure means for the caller. The one place that knows SQLite's codes; it does not log.
pub(crate) fn error(e: sqlx::Error) -> StoreError {
    let store = SqliteDatabase::STORE;
    let reason = e.to_string();
    match e {
        sqlx::Error::Database(d) => {
            let code = d.code().and_then(|c| c.parse::<i32>().ok()).unwrap_or(1);
            // The low byte is the primary code: https://www.sqlite.org/rescode.html
            match code & 0xff {
                // TOOBIG, CONSTRAINT, MISMATCH, RANGE: this value, whenever.
                18 | 19 | 20 | 25 => StoreError::Refused { store, reason },
                // All of ours are made before anything is asked of them.
                1 if d.message().starts_with("no such table") => StoreError::Lost { store, reason },
                // ERROR (no such table or column: another schema than ours), CORRUPT, NOTADB, SCHEMA, FORMAT.
                1 | 11 | 17 | 24 | 26 => StoreError::Damaged { store, reason },
                // BUSY, LOCKED, NOMEM, READONLY, IOERR, FULL, CANTOPEN, …
                _ => StoreError::Unavailable { store, reason },
            }
        }
        sqlx::Error::Encode(_) | sqlx::Error::InvalidArgument(_) => StoreError::Refused { store, reason },
        sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::Decode(_)
        | sqlx::Error::ColumnIndexOutOfBounds { .. }
        | sqlx::Error::ColumnNotFound(_)
        | sqlx::Error::TypeNotFound { .. }
        | sqlx::Error::RowNotFound => StoreError::Damaged { store, reason },
        _ => StoreError::Unavailable { store, reason },
    }
}

#[async_trait::async_trait]
impl Database for SqliteDatabase {
    const STORE: &'static str = "sqlite";
    // SQLITE_MAX_VARIABLE_NUMBER is 32,766 since 3.32.
    const PARAMETERS_MAX: usize = 32_000;
    const NUMBERED: bool = false;
    const TYPES: &'static [(&'static str, &'static str)] = &[("{id}", "TEXT"), ("{bytes}", "BLOB")];
    const NOW: Option<&'static str> = None;
    // It has one writer, and BEGIN IMMEDIATE is its lock.
    const LOCK_KEY_SHARE: &'static str = "";
    const LOCK_ROW: &'static str = "";
    type Transaction = SqliteTransaction;

    async fn fetch(&self, sql: Sql, values: Vec<Value>) -> Result<Vec<Row>> {
        let rows = query(sql, values).fetch_all(&self.readers).await.map_err(error)?;
        rows.iter().map(row).collect()
    }

    async fn begin(&self) -> Result<SqliteTransaction> {
        // A deferred transaction that turns from reading to writing fails at once when another process has written since.
        self.writer
            .begin_with("BEGIN IMMEDIATE")
            .await
            .map(SqliteTransaction)
            .map_err(error)
    }

    async fn lock_schema(&self, _: &mut SqliteTransaction) -> Result<()> {
        // BEGIN IMMEDIATE is that lock: SQLite has one writer.
        Ok(())
    }
}

/// A transaction that writes.
#[derive(Debug)]
pub struct SqliteTransaction(sqlx::Transaction<'static, Sqlite>);

#[async_trait::async_trait]
impl Transaction for SqliteTransaction {
    async fn execute(&mut self, sql: Sql, values: Vec<Value>) -> Result<u64> {
        query(sql, values)
            .execute(&mut *self.0)
            .await
            .map(|r| r.rows_affected())
            .map_err(error)
    }
    async fn fetch(&mut self, sql: Sql, values: Vec<Value>) -> Result<Vec<Row>> {
        let rows = query(sql, values).fetch_all(&mut *self.0).await.map_err(error)?;
        rows.iter().map(row).collect()
    }
    async fn script(&mut self, sql: String) -> Result<()> {
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut *self.0)
            .await
            .map(|_| ())
            .map_err(error)
    }
    async fn commit(self) -> Result<()> {
        self.0.commit().await.map_err(error)
    }
}

fn query(sql: Sql, values: Vec<Value>) -> sqlx::query::Query<'static, Sqlite, SqliteArguments> {
    bound!(sql, values)
}

fn row(r: &SqliteRow) -> Result<Row> {
    let value = |i: usize| {
        let raw = r.try_get_raw(i)?;
        if raw.is_null() {
            return Ok(Value::Null);
        }
        let type_ = raw.type_info();
        Ok(match type_.name() {
            "REAL" => Value::Real(Some(r.try_get_unchecked(i)?)),
            "TEXT" => Value::Text(Some(r.try_get_unchecked(i)?)),
            "BLOB" => Value::Bytes(Some(r.try_get_unchecked(i)?)),
            _ => Value::Int(Some(r.try_get_unchecked(i)?)),
        })
    };
    let values = r
        .columns()
        .iter()
        .map(|c| value(c.ordinal()))
        .collect::<sqlx::Result<_>>()
        .map_err(error)?;
    Ok(Row::new(SqliteDatabase::STORE, values))
}
