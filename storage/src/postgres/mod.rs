//! PostgreSQL as the database of a site: everything of [`crate::relational`], and log records in daily partitions.

mod errors;
mod pool;
mod records;
mod start;
mod transaction;

pub use start::OpenError;
pub use transaction::PostgresTransaction;

use crate::ports::Result;
use crate::relational::Relational;
use crate::relational::database::{Database, Row, Sql, Transaction, Value};
use crate::relational::migrations::{self, Migration};
use pool::Pool;
use std::time::Duration;
use xxhash_rust::xxh3::xxh3_64;

/// How much longer we wait for an answer than the server works on it: its own time-out is the better message.
const ANSWER_MARGIN: Duration = Duration::from_secs(2);
/// A migration may rewrite a large table, and waits for another process that does so.
const MIGRATION_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// What a migration waits for a table that somebody reads or writes.
const TABLE_LOCK_TIMEOUT: Duration = Duration::from_secs(60);

/// How to use a PostgreSQL server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresOptions {
    /// The schema that holds Andon's tables: lower-case letters, digits and `_`, at most 40 bytes. Made when it is missing and
    /// `migrate` is set.
    pub schema: String,
    /// Bring the schema to this version. Otherwise one that is not there yet is an error.
    pub migrate: bool,
    /// The most connections of this process, at least 2: two fifths of them for what writes, the others for what reads.
    pub connections: u32,
    /// How long a statement may take, half of it for a lock that somebody else holds. We wait a little longer for the answer, then the
    /// server counts as gone.
    pub timeout: Duration,
    /// The part of Andon that this is, for `pg_stat_activity`: `gateway` is shown as `andon gateway`.
    pub role: String,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            schema: "andon".to_owned(),
            migrate: true,
            connections: 10,
            timeout: Duration::from_secs(10),
            role: "up".to_owned(),
        }
    }
}

/// Everything relational of a site, in PostgreSQL.
pub type PostgresStore = Relational<PostgresDatabase>;

impl Relational<PostgresDatabase> {
    /// Connects, checks that the server and the role will do, migrates if it may, and checks that everything can be written.
    ///
    /// # Errors
    /// One sentence that says what is wrong and what to do, without the password.
    pub async fn open(url: &str, options: PostgresOptions) -> std::result::Result<PostgresStore, OpenError> {
        let db = PostgresDatabase::connect(url, &options).await?;
        db.migrate_or_check(options.migrate).await?;
        let db = db.started();
        let (described, store) = (db.clone(), Relational::ready(db, options.migrate).await);
        store.map_err(|e| described.unexpected(e))
    }

    /// Ends the connections. What is running is rolled back.
    pub async fn close(&self) {
        self.database().close().await;
    }
}

/// The connections to one schema of a PostgreSQL database.
#[derive(Clone, Debug)]
pub struct PostgresDatabase {
    /// Small, and apart from those that read: no crowd of readers keeps a writer waiting.
    writers: Pool,
    readers: Pool,
    schema: String,
    server: String,
    limit: Duration,
}

impl PostgresDatabase {
    /// The schema that holds the tables.
    pub fn schema(&self) -> &str {
        &self.schema
    }
    /// From here on callers hear sooner of a server that does not answer.
    fn started(self) -> Self {
        PostgresDatabase {
            writers: self.writers.started(),
            readers: self.readers.started(),
            ..self
        }
    }
    /// Host, port and database, for logs.
    pub fn server(&self) -> &str {
        &self.server
    }
    pub async fn close(&self) {
        self.readers.close().await;
        self.writers.close().await;
    }
    /// The key of an advisory lock that is this schema's alone.
    fn lock_key(&self, what: &str) -> i64 {
        xxh3_64(format!("andon {what} {}", self.schema).as_bytes()).cast_signed()
    }
}

#[async_trait::async_trait]
impl Database for PostgresDatabase {
    const STORE: &'static str = "postgresql";
    // The protocol counts parameters in 16 bits.
    const PARAMETERS_MAX: usize = 65_535;
    const NUMBERED: bool = true;
    const TYPES: &'static [(&'static str, &'static str)] = &[("{id}", "TEXT COLLATE \"C\""), ("{bytes}", "BYTEA")];
    const MIGRATIONS: &'static [Migration] = migrations::POSTGRES;
    const NOW: Option<&'static str> = Some("SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::BIGINT");
    const LOCK_KEY_SHARE: &'static str = " FOR KEY SHARE";
    const LOCK_ROW: &'static str = " FOR UPDATE";
    const RECORDS: Option<&'static str> = Some("records");
    type Transaction = PostgresTransaction;

    async fn make_schema(&self) -> Result<()> {
        let mut tx = self.begin().await?;
        self.lock_schema(&mut tx).await?;
        // The name was checked when the options were.
        tx.script(format!("CREATE SCHEMA IF NOT EXISTS \"{}\"", self.schema))
            .await?;
        tx.commit().await
    }

    async fn fetch(&self, sql: Sql, values: Vec<Value>) -> Result<Vec<Row>> {
        transaction::fetch(&self.readers, self.limit, sql, values).await
    }

    async fn begin(&self) -> Result<PostgresTransaction> {
        PostgresTransaction::begin(&self.writers, self.limit).await
    }

    async fn lock_schema(&self, tx: &mut PostgresTransaction) -> Result<()> {
        tx.extend(MIGRATION_TIMEOUT).await?;
        // Nobody queues behind this lock but others who start.
        let wait = format!("SET LOCAL lock_timeout = {}", MIGRATION_TIMEOUT.as_millis());
        tx.script(wait).await?;
        let key = vec![Value::int(self.lock_key("schema"))];
        tx.fetch("SELECT pg_advisory_xact_lock($1)".into(), key).await?;
        // Behind a lock on a table everybody queues.
        tx.script(format!("SET LOCAL lock_timeout = {}", TABLE_LOCK_TIMEOUT.as_millis()))
            .await
    }
}
