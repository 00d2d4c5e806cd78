//! Migrations: numbered SQL files, applied in order, each once, all of a start in one transaction under a lock.
//!
//! The files are written for both databases. Where the dialects differ in the name of a type, a file writes it in braces:
//! `{id}` is a text that compares by its bytes, whatever the database's collation.

use super::database::{Database, Row, Transaction, Value};
use crate::ports::{Result, StoreError};
use xxhash_rust::xxh3::xxh3_64;

#[derive(Clone, Copy, Debug)]
pub struct Migration {
    pub version: u32,
    pub name: &'static str,
    pub sql: &'static str,
}

macro_rules! migration {
    ($version:literal, $name:literal) => {
        Migration {
            version: $version,
            name: $name,
            sql: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/", $name, ".sql")),
        }
    };
}

/// Of the relational store, on every database.
pub const RELATIONAL: &[Migration] = &[
    migration!(1, "0001_base"),
    migration!(2, "0002_notifications"),
    migration!(3, "0003_people"),
    migration!(4, "0004_site"),
    migration!(5, "0005_sent"),
];

/// What only PostgreSQL has.
pub const POSTGRES: &[Migration] = &[migration!(1001, "1001_records")];

/// Every migration of the relational store on `D`, in order.
pub fn relational<D: Database>() -> Vec<Migration> {
    [RELATIONAL, D::MIGRATIONS].concat()
}

/// Of the file of checkpoints.
pub const CHECKPOINTS: &[Migration] = &[
    migration!(1, "checkpoints_0001_base"),
    migration!(2, "checkpoints_0002_resaved"),
];

const CREATE_TABLE: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (
    version BIGINT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    checksum TEXT NOT NULL
)";

/// The text of a migration in the dialect of `D`.
pub fn render<D: Database>(sql: &str) -> String {
    D::TYPES
        .iter()
        .fold(sql.to_owned(), |sql, (name, type_)| sql.replace(name, type_))
}

const APPLIED: &str = "SELECT version, name, checksum FROM schema_migrations ORDER BY version";

/// Brings the schema to the newest of `migrations`. Does nothing when it is there already.
pub async fn migrate<D: Database>(database: &D, migrations: &[Migration]) -> Result<()> {
    // Nearly always nothing is to be done, and then nobody is kept from writing. A new database has no such table: that is found
    // out below, under the lock.
    if let Ok(rows) = database.fetch(APPLIED.into(), vec![]).await
        && applied::<D>(rows, migrations)?.len() == migrations.len()
    {
        return Ok(());
    }
    let mut tx = database.begin().await?;
    database.lock_schema(&mut tx).await?;
    tx.script(CREATE_TABLE.to_owned()).await?;
    let done = applied::<D>(tx.fetch(APPLIED.into(), vec![]).await?, migrations)?;
    for m in migrations.iter().filter(|m| !done.contains(&m.version)) {
        tx.script(render::<D>(m.sql)).await?;
        note::<D>(&mut tx, m).await?;
    }
    tx.commit().await
}

/// Runs every migration again, those noted too: for a database that has lost some of its tables, or all. Each may run twice.
pub(super) async fn repeat<D: Database>(database: &D) -> Result<()> {
    let migrations = relational::<D>();
    database.make_schema().await?;
    let mut tx = database.begin().await?;
    database.lock_schema(&mut tx).await?;
    tx.script(CREATE_TABLE.to_owned()).await?;
    let done = applied::<D>(tx.fetch(APPLIED.into(), vec![]).await?, &migrations)?;
    for m in &migrations {
        tx.script(render::<D>(m.sql)).await?;
        if !done.contains(&m.version) {
            note::<D>(&mut tx, m).await?;
        }
    }
    tx.commit().await
}

async fn note<D: Database>(tx: &mut D::Transaction, m: &Migration) -> Result<()> {
    tx.execute(
        "INSERT INTO schema_migrations (version, name, checksum) VALUES ($1, $2, $3)".into(),
        vec![Value::int(m.version), Value::text(m.name), Value::text(&checksum_of(m))],
    )
    .await
    .map(drop)
}

/// How many of `migrations` the schema does not have yet.
///
/// # Errors
/// `Damaged` when it is a newer version's; whatever keeps it from being read.
pub async fn missing<D: Database>(database: &D, migrations: &[Migration]) -> Result<usize> {
    let done = match database.fetch(APPLIED.into(), vec![]).await {
        Ok(rows) => applied::<D>(rows, migrations)?.len(),
        // There is no such table.
        Err(StoreError::Lost { .. }) => 0,
        Err(e) => return Err(e),
    };
    Ok(migrations.len() - done)
}

/// The versions that are there; an error when one of them is not ours.
fn applied<D: Database>(rows: Vec<Row>, migrations: &[Migration]) -> Result<Vec<u32>> {
    let damaged = |reason| {
        Err(StoreError::Damaged {
            store: D::STORE,
            reason,
        })
    };
    let mut done = Vec::new();
    for mut row in rows {
        let (version, name, checksum) = (row.unsigned::<u32>()?, row.text()?, row.text()?);
        let Some(known) = migrations.iter().find(|m| m.version == version) else {
            return damaged(format!(
                "its schema has version {version} ({name}), made by a newer Andon: start that one"
            ));
        };
        if checksum != checksum_of(known) {
            return damaged(format!(
                "its schema version {version} ({name}) is not the one that this Andon knows: another version made it. Go on with that version, \
                 or start with an empty database or a new data folder"
            ));
        }
        done.push(version);
    }
    Ok(done)
}

fn checksum_of(m: &Migration) -> String {
    format!("{:016x}", xxh3_64(m.sql.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_count_up_and_every_statement_may_run_twice() {
        for (set, first) in [(RELATIONAL, 1), (CHECKPOINTS, 1), (POSTGRES, 1001)] {
            for (i, m) in set.iter().enumerate() {
                assert_eq!(m.version as usize, first + i, "{}", m.name);
                assert!(m.sql.starts_with("-- "), "{} begins with a line that says why", m.name);
                for statement in m.sql.split(';').filter(|s| s.contains("CREATE")) {
                    assert!(statement.contains("IF NOT EXISTS"), "{}: {statement}", m.name);
                }
            }
        }
    }
}
