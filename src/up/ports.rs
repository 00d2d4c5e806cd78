//! The stores as the wiring sees them, whichever adapter is behind: all ports of one store in one handle.

use super::settings::Retention;
use andon_engine::time::Timestamp;
use andon_storage::elasticsearch::{ElasticsearchIndex, RetentionClass};
use andon_storage::owner::Keeper;
use andon_storage::ports::deliveries::DeliveryStore;
use andon_storage::ports::incidents::IncidentStore;
use andon_storage::ports::keys::KeyStore;
use andon_storage::ports::log_index::{LogCounts, LogIndex};
use andon_storage::ports::people::PeopleStore;
use andon_storage::ports::records::RecordStore;
use andon_storage::ports::rows::{EffectStore, RowStore};
use andon_storage::ports::site::SiteStore;
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
    EffectStore + RowStore + IncidentStore + KeyStore + DeliveryStore + PeopleStore + SiteStore + Keeper
{
    /// Sets a writer's cursor whatever it was.
    async fn adopt(&self, sink: Sink, cursor: Option<Cursor>) -> Result<()>;
    /// Alerts of what was received before this are not told.
    fn tell_only_after(&self, at: Timestamp);
    /// Learns what other processes have sent since then, and says when the last of it was noted.
    async fn remember_sent(&self, since: Timestamp) -> Result<Option<Timestamp>>;
    /// What time it is by the database, if it has a clock of its own.
    async fn database_time(&self, own: Timestamp) -> Result<Timestamp>;
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
    fn tell_only_after(&self, at: Timestamp) {
        SqliteStore::tell_only_after(self, at);
    }
    async fn remember_sent(&self, since: Timestamp) -> Result<Option<Timestamp>> {
        SqliteStore::remember_sent(self, since).await
    }
    async fn database_time(&self, own: Timestamp) -> Result<Timestamp> {
        SqliteStore::now(self, own).await
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
    fn tell_only_after(&self, at: Timestamp) {
        PostgresStore::tell_only_after(self, at);
    }
    async fn remember_sent(&self, since: Timestamp) -> Result<Option<Timestamp>> {
        PostgresStore::remember_sent(self, since).await
    }
    async fn database_time(&self, own: Timestamp) -> Result<Timestamp> {
        PostgresStore::now(self, own).await
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
    /// The highest epoch of an owner that it has met.
    async fn stored_epoch(&self) -> Result<u64>;
    /// Writes as the owner with this epoch from now on, and keeps earlier ones out.
    async fn set_epoch(&self, epoch: u64) -> Result<()>;
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
    async fn stored_epoch(&self) -> Result<u64> {
        ElasticsearchIndex::stored_epoch(self).await
    }
    async fn set_epoch(&self, epoch: u64) -> Result<()> {
        ElasticsearchIndex::set_epoch(self, epoch).await
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
    async fn stored_epoch(&self) -> Result<u64> {
        Ok(0)
    }
    async fn set_epoch(&self, _: u64) -> Result<()> {
        // The folder is locked by its one process.
        Ok(())
    }
    async fn close(&self) -> Result<()> {
        TantivyIndex::close(self).await
    }
}
