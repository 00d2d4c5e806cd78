//! Everything that can be wrong with a server is found before anything runs on it, and said in one sentence.

use super::errors::text;
use super::pool::{ConnectError, Pool};
use super::{ANSWER_MARGIN, PostgresDatabase, PostgresOptions};
use crate::ports::StoreError;
use crate::relational::database::{Database, Row, Transaction, Value};
use crate::relational::migrations::{self, migrate};
use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;
use std::str::FromStr;

/// Declarative partitions with all that is used of them, and `client_connection_check_interval`.
const VERSION_MIN: u32 = 14;
/// Long enough to say what a site is called, and short enough for the names that are made of it.
const SCHEMA_BYTES_MAX: usize = 40;
/// What a URL may say behind its `?`. The driver would log any other with its value, which may be a secret.
const URL_PARAMETERS: &[&str] = &[
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
    "statement-cache-capacity",
];

/// Why the store was not opened. Each is one sentence with what to do, and never has the password.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The server does not answer, or not now: it may later.
    #[error("{0}")]
    Unreachable(String),
    /// The schema is not of this version, and this process may not change that: another one may.
    #[error("{0}")]
    NotMigrated(String),
    /// Somebody has to change the URL, the server, the role or this program.
    #[error("{0}")]
    Setup(String),
}

impl OpenError {
    /// Whether it may be well by itself later.
    pub fn is_temporary(&self) -> bool {
        matches!(self, OpenError::Unreachable(_))
    }
}

fn setup<T>(sentence: impl Into<String>) -> Result<T, OpenError> {
    Err(OpenError::Setup(sentence.into()))
}

impl PostgresDatabase {
    /// Connects and checks server and role. The schema may still be missing.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn connect(url: &str, options: &PostgresOptions) -> Result<Self, OpenError> {
        check_schema_name(&options.schema)?;
        if options.connections < 2 {
            return setup("PostgreSQL: at least 2 connections are needed, one to write and one to read");
        }
        let connect = parse(url)?.application_name(&format!("andon {}", options.role));
        let server = server(&connect);
        let session = format!(
            "SET search_path = \"{}\"; SET statement_timeout = {}; SET lock_timeout = {}; \
             SET idle_in_transaction_session_timeout = {}; SET client_min_messages = warning; \
             SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3; \
             SET default_transaction_isolation = 'read committed'; SET synchronous_commit = on",
            options.schema,
            options.timeout.as_millis(),
            (options.timeout / 2).as_millis(),
            options.timeout.as_millis(),
        );
        let read_only = format!("{session}; SET default_transaction_read_only = on");
        let writers_max = (options.connections * 2 / 5).max(1);
        let pool = |session, size| Pool::new(connect.clone(), session, server.clone(), size);
        let db = PostgresDatabase {
            writers: pool(session, writers_max),
            readers: pool(read_only, options.connections - writers_max),
            schema: options.schema.clone(),
            server,
            limit: options.timeout + ANSWER_MARGIN,
        };
        match db.readers.connect_bare().await {
            Ok(connection) => check_version(&db.server, connection.server_version_num().unwrap_or_default())?,
            Err(e) => return Err(db.cannot_connect(&connect, e).await),
        }
        db.check_server(options.migrate).await?;
        Ok(db)
    }

    async fn cannot_connect(&self, connect: &PgConnectOptions, e: ConnectError) -> OpenError {
        let server = &self.server;
        let e = match e {
            ConnectError::TimedOut(limit) => {
                return OpenError::Unreachable(format!(
                    "PostgreSQL at {server} does not answer within {} s: is the address right, and does a firewall stand between?",
                    limit.as_secs()
                ));
            }
            ConnectError::Failed(e) => e,
        };
        let user = connect.get_username();
        match &e {
            sqlx::Error::Database(d) => {
                let said = d.message();
                match &*d.code().unwrap_or_default() {
                    "28P01" | "28000" => OpenError::Setup(format!(
                        "PostgreSQL at {server} does not let user {user:?} in ({said}): check user and password in the URL, and pg_hba.conf"
                    )),
                    "3D000" => OpenError::Setup(format!(
                        "PostgreSQL at {server} has no such database ({said}): create it, or correct the URL"
                    )),
                    "42501" => OpenError::Setup(format!(
                        "PostgreSQL at {server} does not let user {user:?} connect ({said}): GRANT CONNECT ON DATABASE … TO {user:?}"
                    )),
                    code if code.starts_with("53") || code.starts_with("57P") => {
                        OpenError::Unreachable(format!("PostgreSQL at {server} takes no connection now: {said}"))
                    }
                    _ => OpenError::Setup(format!("PostgreSQL at {server} refuses the connection: {}", text(&e))),
                }
            }
            sqlx::Error::Io(io) => {
                let host = connect.get_host();
                if connect.get_socket().is_none()
                    && !host.starts_with('/')
                    && tokio::net::lookup_host((host, connect.get_port())).await.is_err()
                {
                    OpenError::Unreachable(format!("PostgreSQL: the host {host:?} is not found: correct the URL"))
                } else if io.kind() == std::io::ErrorKind::ConnectionRefused {
                    OpenError::Unreachable(format!(
                        "PostgreSQL at {server} refuses the connection: is the server running, and is the port right?"
                    ))
                } else if io.kind() == std::io::ErrorKind::InvalidData {
                    // So rustls says that it does not trust the certificate.
                    no_secure_connection(server, io)
                } else if connect.get_socket().is_none()
                    && matches!(
                        io.kind(),
                        std::io::ErrorKind::NotFound | std::io::ErrorKind::PermissionDenied
                    )
                {
                    OpenError::Setup(format!(
                        "PostgreSQL at {server}: a file that the URL names (sslrootcert, sslcert, sslkey) cannot be read: {io}"
                    ))
                } else {
                    OpenError::Unreachable(format!("PostgreSQL at {server} cannot be reached: {io}"))
                }
            }
            sqlx::Error::Tls(tls) => no_secure_connection(server, tls),
            other => OpenError::Setup(format!("what answers at {server} is no PostgreSQL server: {other}")),
        }
    }

    async fn check_server(&self, may_migrate: bool) -> Result<(), OpenError> {
        let sql = "SELECT pg_is_in_recovery(), \
                   getdatabaseencoding(), current_database(), current_user, \
                   (SELECT oid::int8 FROM pg_namespace WHERE nspname = $1), \
                   has_database_privilege(current_database(), 'CREATE')";
        let rows = self.fetch(sql.into(), vec![Value::text(&self.schema)]).await;
        let mut r = self.first(rows)?;
        let read = (|| Ok((r.bool()?, r.text()?, r.text()?, r.text()?, r.opt_int()?, r.bool()?)))();
        let (standby, encoding, database, user, schema, may_create_schema) = read.map_err(|e| self.unexpected(e))?;
        let (server, name) = (&self.server, &self.schema);
        if standby {
            return setup(format!(
                "PostgreSQL at {server} is a standby and read-only: name the primary in the URL"
            ));
        }
        if encoding != "UTF8" {
            return setup(format!(
                "the database {database:?} of PostgreSQL at {server} has the encoding {encoding}: create one with ENCODING 'UTF8'"
            ));
        }
        // A transaction that writes shows what no privilege does.
        let writes = async {
            let mut tx = self.begin().await.map_err(|e| self.unexpected(e))?;
            let sql = "SELECT current_setting('transaction_read_only') = 'off'";
            self.first(tx.fetch(sql.into(), vec![]).await)
        };
        let writes = writes.await.and_then(|mut r| r.bool().map_err(|e| self.unexpected(e)));
        if !writes? {
            return setup(format!(
                "PostgreSQL at {server} is read-only for user {user:?} (default_transaction_read_only): make it writable, or name another"
            ));
        }
        match schema {
            None if !may_migrate => Err(self.not_migrated()),
            None if !may_create_schema => setup(format!(
                "PostgreSQL at {server}: user {user:?} may not create the schema {name:?}: CREATE SCHEMA {name} AUTHORIZATION \"{user}\""
            )),
            None => self.create_schema().await,
            Some(_) => self.check_schema(&user, may_migrate).await,
        }
    }

    async fn create_schema(&self) -> Result<(), OpenError> {
        let made = async {
            let mut tx = self.begin().await?;
            self.lock_schema(&mut tx).await?;
            tx.script(format!("CREATE SCHEMA IF NOT EXISTS \"{}\"", self.schema))
                .await?;
            tx.commit().await
        };
        made.await.map_err(|e| self.unexpected(e))
    }

    async fn check_schema(&self, user: &str, may_migrate: bool) -> Result<(), OpenError> {
        let (server, name) = (&self.server, &self.schema);
        let sql = "SELECT has_schema_privilege(n.oid, 'USAGE'), has_schema_privilege(n.oid, 'CREATE') \
                   FROM pg_namespace n WHERE n.nspname = $1";
        let rows = self.fetch(sql.into(), vec![Value::text(name)]).await;
        let mut r = self.first(rows)?;
        let (usage, create) = (|| Ok((r.bool()?, r.bool()?)))().map_err(|e| self.unexpected(e))?;
        if !usage {
            return setup(format!(
                "PostgreSQL at {server}: user {user:?} may not use the schema {name:?}: GRANT USAGE ON SCHEMA {name} TO \"{user}\""
            ));
        }
        if !create && may_migrate {
            return setup(format!(
                "PostgreSQL at {server}: user {user:?} may not create tables in the schema {name:?}: \
                 GRANT CREATE ON SCHEMA {name} TO \"{user}\""
            ));
        }
        Ok(())
    }

    /// Migrates, or sees that nobody has to; then that every table can be written.
    pub(super) async fn migrate_or_check(&self, may_migrate: bool) -> Result<(), OpenError> {
        let all = migrations::relational::<Self>();
        if may_migrate {
            migrate(self, &all).await.map_err(|e| self.unexpected(e))?;
        } else if migrations::missing(self, &all).await.map_err(|e| self.unexpected(e))? > 0 {
            return Err(self.not_migrated());
        }
        let sql = "SELECT c.relname, current_user FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                   WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND NOT c.relispartition \
                   AND NOT (has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT') \
                   AND has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE')) ORDER BY 1 LIMIT 1";
        let rows = self.fetch(sql.into(), vec![Value::text(&self.schema)]).await;
        if let Some(mut r) = rows.map_err(|e| self.unexpected(e))?.into_iter().next() {
            let (table, user) = (|| Ok((r.text()?, r.text()?)))().map_err(|e| self.unexpected(e))?;
            return setup(format!(
                "PostgreSQL at {}: user {user:?} may not read and write the table {table:?}: \
                 GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {} TO \"{user}\"",
                self.server, self.schema
            ));
        }
        let sql = "SELECT current_user, pg_get_userbyid(c.relowner) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                   WHERE n.nspname = $1 AND c.relname = 'records' AND NOT pg_has_role(c.relowner, 'USAGE')";
        let rows = self.fetch(sql.into(), vec![Value::text(&self.schema)]).await;
        if let Some(mut r) = rows.map_err(|e| self.unexpected(e))?.into_iter().next() {
            let (user, owner) = (|| Ok((r.text()?, r.text()?)))().map_err(|e| self.unexpected(e))?;
            return setup(format!(
                "PostgreSQL at {}: user {user:?} does not own the table \"records\" and could make no partitions of it: \
                 GRANT \"{owner}\" TO \"{user}\"",
                self.server
            ));
        }
        Ok(())
    }

    fn not_migrated(&self) -> OpenError {
        OpenError::NotMigrated(format!(
            "the schema {:?} of PostgreSQL at {} is not of this version: run `andon migrate --postgres-url …` once",
            self.schema, self.server
        ))
    }

    fn first(&self, rows: crate::ports::Result<Vec<Row>>) -> Result<Row, OpenError> {
        let row = rows.map_err(|e| self.unexpected(e))?.into_iter().next();
        row.ok_or_else(|| {
            OpenError::Setup(format!(
                "what answers at {} is no PostgreSQL server: it gave no row",
                self.server
            ))
        })
    }

    /// What a check or a migration met.
    pub(super) fn unexpected(&self, e: StoreError) -> OpenError {
        let sentence = |reason: &str| format!("PostgreSQL at {}: {reason}", self.server);
        match e {
            StoreError::Unavailable { reason, .. } => OpenError::Unreachable(sentence(&reason)),
            StoreError::Refused { reason, .. }
            | StoreError::ForeignJournal { reason, .. }
            | StoreError::Lost { reason, .. }
            | StoreError::Fenced { reason, .. }
            | StoreError::Damaged { reason, .. } => OpenError::Setup(sentence(&reason)),
        }
    }
}

fn no_secure_connection(server: &str, why: &dyn std::fmt::Display) -> OpenError {
    OpenError::Setup(format!(
        "PostgreSQL at {server}: no secure connection ({why}): check sslmode and sslrootcert in the URL"
    ))
}

/// `number` is `server_version_num`: 150004 is 15.4.
fn check_version(server: &str, number: u32) -> Result<(), OpenError> {
    if number / 10_000 < VERSION_MIN {
        let (major, minor) = (number / 10_000, number % 10_000);
        return setup(format!(
            "PostgreSQL at {server} is version {major}.{minor}: Andon needs {VERSION_MIN} or later"
        ));
    }
    Ok(())
}

fn check_schema_name(name: &str) -> Result<(), OpenError> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    if name.len() > SCHEMA_BYTES_MAX
        || !name.bytes().all(plain)
        || name.starts_with("pg_")
        || !name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
    {
        return setup(format!(
            "the name {name:?} will not do for a PostgreSQL schema: lower-case letters, digits and _, at most {SCHEMA_BYTES_MAX}, \
             not beginning with a digit or pg_"
        ));
    }
    Ok(())
}

/// The options of a URL. Nothing of it is repeated in an error: it has a password.
fn parse(url: &str) -> Result<PgConnectOptions, OpenError> {
    if !(url.starts_with("postgres://") || url.starts_with("postgresql://")) {
        return setup(
            "the PostgreSQL URL does not begin with postgres:// (postgres://USER:PASSWORD@HOST:5432/DATABASE)",
        );
    }
    let parameters = url.split_once('?').map_or("", |(_, p)| p);
    for (i, name) in parameters.split('&').filter(|p| !p.is_empty()).enumerate() {
        if !URL_PARAMETERS.contains(&name.split('=').next().unwrap_or_default()) {
            return setup(format!(
                "parameter {} behind the ? of the PostgreSQL URL is unknown: it may have {} (and % # ? / @ : in a password must be written as %25 %23 %3F %2F %40 %3A)",
                i + 1,
                URL_PARAMETERS.join(", ")
            ));
        }
    }
    let options = PgConnectOptions::from_str(url).map_err(|_| {
        OpenError::Setup(
            "the PostgreSQL URL cannot be read: it is postgres://USER:PASSWORD@HOST:5432/DATABASE?sslmode=…, \
             with % # ? / @ : in user and password written as %25 %23 %3F %2F %40 %3A"
                .to_owned(),
        )
    })?;
    // The brackets are the URL's, not the address's.
    let host = options.get_host().trim_matches(['[', ']']).to_owned();
    // An error is told by whoever handles it; a statement is no news.
    Ok(options.host(&host).disable_statement_logging())
}

/// Where the server is, for people.
fn server(options: &PgConnectOptions) -> String {
    let database = options.get_database().unwrap_or(options.get_username());
    match options.get_socket() {
        Some(path) => format!("{}/{database}", path.display()),
        None => format!("{}:{}/{database}", options.get_host(), options.get_port()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_is_none_is_named_without_its_secret() {
        for url in [
            "",
            "mysql://u:s3cret@host/db",
            "host=db password=s3cret",
            "postgres://u:s3cret@host:notaport/db",
            "postgres://u:s3#cret@host/db",
            "postgres://u:p@host/db?sslmode=s3cret",
            "postgres://u:p@host/db?passwd=s3cret",
            "postgres://u:p@host/db?sslmode=require&s3cret",
            "postgres://u:p@host:99999/db?password=s3cret",
        ] {
            let e = parse(url).unwrap_err().to_string();
            assert!(!e.contains("s3"), "{e}");
            assert!(!e.contains('\n') && e.contains("PostgreSQL URL"), "{e}");
        }
        let options = parse("postgresql://u:p%40ss@[::1]:6000/db?sslmode=disable").unwrap();
        assert_eq!(server(&options), "::1:6000/db");
    }

    #[test]
    fn an_old_server_is_named_with_its_version() {
        assert!(check_version("h:1/d", 140_000).is_ok());
        assert!(check_version("h:1/d", 170_002).is_ok());
        let e = check_version("h:1/d", 130_014).unwrap_err().to_string();
        assert_eq!(e, "PostgreSQL at h:1/d is version 13.14: Andon needs 14 or later");
    }

    #[test]
    fn a_schema_s_name_is_plain() {
        for name in ["andon", "_a1", "site_2"] {
            assert!(check_schema_name(name).is_ok(), "{name}");
        }
        for name in ["", "Andon", "a b", "a\"b", "a;b", "1a", "pg_x", "ä", &"a".repeat(41)] {
            assert!(check_schema_name(name).is_err(), "{name}");
        }
    }
}
