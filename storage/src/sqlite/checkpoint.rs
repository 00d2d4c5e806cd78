//! Checkpoints in a SQLite file beside the journal.

use super::SqliteDatabase;
use crate::ports::checkpoint::{CheckpointStore, EntityChange, ShardCheckpoint};
use crate::ports::{Cursor, Result};
use crate::relational::database::{Database, Transaction, Value, insert_rows};
use crate::relational::migrations::{self, migrate};
use crate::relational::{moves, stored};
use bytes::Bytes;
use std::collections::HashMap;
use std::path::Path;

const CURSOR: &str = "SELECT journal, seq FROM shard_cursors WHERE shard = $1";
const SET_CURSOR: &str = "INSERT INTO shard_cursors (shard, journal, seq) VALUES ($1, $2, $3)
    ON CONFLICT (shard) DO UPDATE SET journal = excluded.journal, seq = excluded.seq";
const HOT: &str = "SELECT entity_key, state FROM entities WHERE shard = $1 AND hot = TRUE ORDER BY entity_key";
const COLD: &str = "SELECT entity_key FROM entities WHERE shard = $1 AND hot = FALSE ORDER BY entity_key";
const FETCH: &str = "SELECT state FROM entities WHERE shard = $1 AND entity_key = $2";
const UPSERT: &str = "INSERT INTO entities (shard, entity_key, hot, state)";
const UPSERT_TAIL: &str = "ON CONFLICT (shard, entity_key) DO UPDATE SET hot = excluded.hot, state = excluded.state";
const DELETE: &str = "DELETE FROM entities WHERE shard = $1 AND entity_key = $2";
const CLEAR: &str = "DELETE FROM entities";
const CLEAR_CURSORS: &str = "DELETE FROM shard_cursors";

/// The local checkpoints of all shards, `checkpoints.db`.
#[derive(Debug)]
pub struct CheckpointFile {
    db: SqliteDatabase,
}

impl CheckpointFile {
    /// Opens the file, or makes it with its folder.
    pub async fn open(path: &Path) -> Result<Self> {
        let db = SqliteDatabase::open(path).await?;
        migrate(&db, migrations::CHECKPOINTS).await?;
        Ok(Self { db })
    }

    /// Forgets every checkpoint: the journal is then read from its start.
    pub async fn clear(&self) -> Result<()> {
        let mut tx = self.db.begin().await?;
        tx.execute(CLEAR.into(), vec![]).await?;
        tx.execute(CLEAR_CURSORS.into(), vec![]).await?;
        tx.commit().await
    }

    pub async fn close(&self) {
        self.db.close().await;
    }
}

/// A key is the caller's to the byte; no other database will read this file.
fn key(key: String) -> Value {
    Value::Text(Some(key))
}

#[async_trait::async_trait]
impl CheckpointStore for CheckpointFile {
    async fn load(&self, shard: u16) -> Result<ShardCheckpoint> {
        // One transaction, so that cursor and states are of the same save.
        let mut tx = self.db.read().await?;
        let shard = vec![Value::int(shard)];
        let cursor = stored(tx.fetch(CURSOR.into(), shard.clone()).await?)?;
        let hot = tx.fetch(HOT.into(), shard.clone()).await?;
        let cold = tx.fetch(COLD.into(), shard).await?;
        Ok(ShardCheckpoint {
            cursor,
            hot: hot
                .into_iter()
                .map(|mut r| Ok((r.text()?, Bytes::from(r.bytes()?))))
                .collect::<Result<_>>()?,
            cold: cold.into_iter().map(|mut r| r.text()).collect::<Result<_>>()?,
        })
    }

    async fn save(&self, shard: u16, to: Cursor, changes: Vec<EntityChange>) -> Result<()> {
        // The last change of a key counts.
        let changes: HashMap<String, EntityChange> = changes.into_iter().map(|c| (c.key.clone(), c)).collect();
        let mut tx = self.db.begin().await?;
        let held = stored(tx.fetch(CURSOR.into(), vec![Value::int(shard)]).await?)?;
        moves(SqliteDatabase::STORE, held, to)?;
        let seq = Value::unsigned(SqliteDatabase::STORE, "a journal position", to.seq)?;
        tx.execute(
            SET_CURSOR.into(),
            vec![Value::int(shard), Value::int(to.journal.0), seq],
        )
        .await?;
        let mut rows = Vec::with_capacity(changes.len());
        for c in changes.into_values() {
            match c.state {
                Some(state) => {
                    rows.push(vec![
                        Value::int(shard),
                        key(c.key),
                        Value::Bool(c.hot),
                        Value::Bytes(Some(state.into())),
                    ]);
                }
                None => {
                    tx.execute(DELETE.into(), vec![Value::int(shard), key(c.key)]).await?;
                }
            }
        }
        insert_rows::<SqliteDatabase>(&mut tx, UPSERT, 4, UPSERT_TAIL, rows).await?;
        tx.commit().await
    }

    async fn fetch(&self, shard: u16, entity: &str) -> Result<Option<Bytes>> {
        let rows = self
            .db
            .fetch(FETCH.into(), vec![Value::int(shard), key(entity.to_owned())])
            .await?;
        rows.into_iter()
            .next()
            .map(|mut r| r.bytes().map(Bytes::from))
            .transpose()
    }
}
