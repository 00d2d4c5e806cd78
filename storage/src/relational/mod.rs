//! The relational ports, once for every database.

pub mod database;
pub mod migrations;

mod cursors;
mod deliveries;
mod effects;
mod incidents;
mod keys;
mod people;
mod rows;

pub use cursors::Sink;
pub(crate) use cursors::{advance, moves, stored};

use database::Database;

/// The relational store on a database: `SqliteStore` is this on SQLite.
#[derive(Debug)]
pub struct Relational<D> {
    db: D,
}

impl<D: Database> Relational<D> {
    /// Migrates, then is ready.
    pub async fn new(db: D) -> crate::ports::Result<Self> {
        migrations::migrate(&db, &migrations::relational::<D>()).await?;
        Ok(Self { db })
    }
    /// On a database whose schema is known to be there.
    pub(crate) fn ready(db: D) -> Self {
        Self { db }
    }
    pub fn database(&self) -> &D {
        &self.db
    }
}
