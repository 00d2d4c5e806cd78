//! Checkpoints: the states of a shard's entities as of a position of the journal.

use super::{Cursor, Result};
use bytes::Bytes;

/// What of a shard is loaded at start.
#[derive(Debug, Default)]
pub struct ShardCheckpoint {
    pub cursor: Option<Cursor>,
    /// Entities that must be in memory (open incident, timer), by key.
    pub hot: Vec<(String, Bytes)>,
    /// Keys of the others: restored by [`CheckpointStore::fetch`] when their next record comes.
    pub cold: Vec<String>,
}

#[derive(Debug, Clone)]
pub struct EntityChange {
    pub key: String,
    /// `None` removes it.
    pub state: Option<Bytes>,
    pub hot: bool,
}

/// An entity of a checkpoint, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedEntity {
    pub key: String,
    pub state: Bytes,
    pub hot: bool,
}

#[async_trait::async_trait]
pub trait CheckpointStore: Send + Sync + 'static {
    async fn load(&self, shard: u16) -> Result<ShardCheckpoint>;
    /// All changes and the cursor in one step: after a crash either all of it is there or none.
    async fn save(&self, shard: u16, cursor: Cursor, changes: Vec<EntityChange>) -> Result<()>;
    async fn fetch(&self, shard: u16, key: &str) -> Result<Option<Bytes>>;
}
