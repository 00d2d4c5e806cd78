//! The stores as the wiring sees them, whichever adapter is behind: all ports of one store in one handle.

use super::settings::Retention;
use andon_engine::time::Timestamp;
use andon_storage::elasticsearch::{ElasticsearchIndex, RetentionClass};
use andon_storage::ports::deliveries::DeliveryStore;
use andon_storage::ports::incidents::IncidentStore;
use andon_storage::ports::keys::KeyStore;
use andon_storage::ports::log_index::{LogCounts, LogIndex};
use andon_storage::ports::people::PeopleStore;
use andon_storage::ports::records::RecordStore;
use andon_storage::ports::rows::{EffectStore, RowStore};
use andon_storage::ports::site::{OwnerStore, SiteStore};
use andon_storage::ports::{Cursor, Result};
use andon_storage::postgres::PostgresStore;
use andon_storage::relational::Sink;
use andon_storage::sqlite::SqliteStore;
use andon_storage::tantivy_index::TantivyIndex;
use async_trait::async_trait;
use std::sync::Arc;

/// The relational store.
#[async_trait]
pub trait Relations:
    EffectStore + RowStore + IncidentStore + KeyStore + DeliveryStore + PeopleStore + OwnerStore + SiteStore
{
    /// Sets a writer's cursor whatever it was.
    async fn adopt(&self, sink: Sink, cursor: Option<Cursor>) -> Result<()>;
    /// Puts back what can be put back when the store was emptied. Cheap when it was not.
    async fn heal(&self) -> Result<bool>;
    /// The table of log records, where the database has one.
    fn records(self: Arc<Self>) -> Option<Arc<dyn RecordStore>>;
    /// Waits for what runs, then lets go of the store.
    async fn close(&self);
}

#[async_trait]
impl Relations for SqliteStore {
    async fn adopt(&self, sink: Sink, cursor: Option<Cursor>) -> Result<()> {
        SqliteStore::adopt(self, sink, cursor).await
    }
    async fn heal(&self) -> Result<bool> {
        SqliteStore::heal(self).await
    }
    fn records(self: Arc<Self>) -> Option<Arc<dyn RecordStore>> {
        None
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
    async fn heal(&self) -> Result<bool> {
        PostgresStore::heal(self).await
    }
    fn records(self: Arc<Self>) -> Option<Arc<dyn RecordStore>> {
        Some(self)
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
    /// Drops what was received longer ago than is to be kept, if it lies in parts of its own; says how many parts.
    async fn drop_older(&self, keep: Retention, now: Timestamp) -> Result<u64>;
    async fn close(&self) -> Result<()>;
}

#[async_trait]
impl Logs for ElasticsearchIndex {
    async fn adopt(&self, cursor: Cursor) -> Result<()> {
        ElasticsearchIndex::adopt(self, cursor).await
    }
    async fn drop_older(&self, keep: Retention, now: Timestamp) -> Result<u64> {
        let mut dropped = 0;
        for class in RetentionClass::ALL {
            let age = match class {
                RetentionClass::Debug => keep.debug,
                RetentionClass::Standard => keep.standard,
            };
            dropped += self.drop_indices(class, now.minus(age)).await?;
        }
        Ok(dropped)
    }
    async fn close(&self) -> Result<()> {
        // Every request is finished or given up by its own time-out.
        Ok(())
    }
}

#[async_trait]
impl Logs for TantivyIndex {
    async fn adopt(&self, cursor: Cursor) -> Result<()> {
        TantivyIndex::adopt(self, cursor).await
    }
    async fn drop_older(&self, _: Retention, _: Timestamp) -> Result<u64> {
        // Its segments hold records of any day.
        Ok(0)
    }
    async fn close(&self) -> Result<()> {
        TantivyIndex::close(self).await
    }
}
