//! The stores as the wiring sees them, whichever adapter is behind: all ports of one store in one handle.

use andon_storage::ports::deliveries::DeliveryStore;
use andon_storage::ports::incidents::IncidentStore;
use andon_storage::ports::keys::KeyStore;
use andon_storage::ports::log_index::{LogCounts, LogIndex};
use andon_storage::ports::people::PeopleStore;
use andon_storage::ports::rows::{EffectStore, RowStore};
use andon_storage::ports::site::{OwnerStore, SiteStore};
use andon_storage::ports::{Cursor, Result};
use andon_storage::postgres::PostgresStore;
use andon_storage::relational::Sink;
use andon_storage::sqlite::SqliteStore;
use andon_storage::tantivy_index::TantivyIndex;
use async_trait::async_trait;

/// The relational store.
#[async_trait]
pub trait Relations:
    EffectStore + RowStore + IncidentStore + KeyStore + DeliveryStore + PeopleStore + OwnerStore + SiteStore
{
    /// Sets a writer's cursor whatever it was.
    async fn adopt(&self, sink: Sink, cursor: Option<Cursor>) -> Result<()>;
    /// Waits for what runs, then lets go of the store.
    async fn close(&self);
}

#[async_trait]
impl Relations for SqliteStore {
    async fn adopt(&self, sink: Sink, cursor: Option<Cursor>) -> Result<()> {
        SqliteStore::adopt(self, sink, cursor).await
    }
    async fn close(&self) {
        SqliteStore::close(self).await;
    }
}

#[async_trait]
impl Relations for PostgresStore {
    async fn adopt(&self, sink: Sink, cursor: Option<Cursor>) -> Result<()> {
        PostgresStore::adopt(self, sink, cursor).await
    }
    async fn close(&self) {
        PostgresStore::close(self).await;
    }
}

/// The log index.
#[async_trait]
pub trait Logs: LogIndex + LogCounts {
    /// Sets the writer's cursor whatever it was.
    async fn adopt(&self, cursor: Cursor) -> Result<()>;
    async fn close(&self) -> Result<()>;
}

#[async_trait]
impl Logs for TantivyIndex {
    async fn adopt(&self, cursor: Cursor) -> Result<()> {
        TantivyIndex::adopt(self, cursor).await
    }
    async fn close(&self) -> Result<()> {
        TantivyIndex::close(self).await
    }
}
