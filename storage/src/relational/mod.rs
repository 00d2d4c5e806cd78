//! The relational ports, once for every database.

pub mod database;
pub mod migrations;

mod apart;
mod configuration;
mod cursors;
mod deliveries;
mod delivery_rows;
mod effects;
mod fence;
mod heal;
mod incidents;
mod keys;
mod memory;
mod owner;
mod people;
pub(crate) mod rows;
mod site;
mod telling;

pub use cursors::Sink;
pub(crate) use cursors::{moves, stored};
pub(crate) use heal::tables;

use database::Database;
use memory::Memory;

/// The relational store on a database: `SqliteStore` is this on SQLite.
#[derive(Debug)]
pub struct Relational<D> {
    db: D,
    /// This process may make tables; one that may not waits for another that does.
    may_migrate: bool,
    memory: Memory,
    healing: tokio::sync::Mutex<()>,
}

impl<D: Database> Relational<D> {
    /// Migrates, then is ready.
    pub async fn new(db: D) -> crate::ports::Result<Self> {
        migrations::migrate(&db, &migrations::relational::<D>()).await?;
        Self::ready(db, true).await
    }
    /// On a database whose schema is known to be there. `may_migrate`: this process may make it again if it is lost.
    pub(crate) async fn ready(db: D, may_migrate: bool) -> crate::ports::Result<Self> {
        let store = Self {
            db,
            may_migrate,
            memory: Memory::default(),
            healing: tokio::sync::Mutex::default(),
        };
        store.identify().await?;
        Ok(store)
    }
    pub fn database(&self) -> &D {
        &self.db
    }
}
