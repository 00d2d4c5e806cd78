//! Checkpoints in a SQLite file beside the journal.

use super::{SqliteDatabase, SqliteTransaction};
use crate::ports::checkpoint::{CheckpointStore, EntityChange, SavedEntity, ShardCheckpoint};
use crate::ports::{Cursor, Result};
use crate::relational::database::{Database, Transaction, Value, insert_rows};
use crate::relational::migrations::{self, migrate};
use crate::relational::{moves, stored};
use andon_engine::ids::JournalId;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

const CURSOR: &str = "SELECT journal, seq FROM shard_cursors WHERE shard = $1";
const REPLACE_CURSOR: &str = "INSERT INTO shard_cursors (shard, journal, seq, resaved) VALUES ($1, $2, $3, FALSE)
    ON CONFLICT (shard) DO UPDATE SET journal = excluded.journal, seq = excluded.seq, resaved = FALSE";
const MOVE_CURSOR: &str = "INSERT INTO shard_cursors (shard, journal, seq) VALUES ($1, $2, $3)
    ON CONFLICT (shard) DO UPDATE SET journal = excluded.journal, seq = excluded.seq,
        resaved = shard_cursors.seq = excluded.seq AND (shard_cursors.resaved OR $4)";
const HOT: &str = "SELECT entity_key, state FROM entities WHERE shard = $1 AND hot = TRUE ORDER BY entity_key";
const COLD: &str = "SELECT entity_key FROM entities WHERE shard = $1 AND hot = FALSE ORDER BY entity_key";
const FETCH: &str = "SELECT state FROM entities WHERE shard = $1 AND entity_key = $2";
const UPSERT: &str = "INSERT INTO entities (shard, entity_key, hot, state)";
const UPSERT_TAIL: &str = "ON CONFLICT (shard, entity_key) DO UPDATE SET hot = excluded.hot, state = excluded.state";
const DELETE: &str = "DELETE FROM entities WHERE shard = $1 AND entity_key = $2";
const CURSORS: &str = "SELECT shard, journal, seq, resaved FROM shard_cursors";
const CHUNK: &str = "SELECT entity_key, state, hot FROM entities WHERE shard = $1 AND entity_key > $2
    ORDER BY entity_key LIMIT $3";
const FIRST_CHUNK: &str = "SELECT entity_key, state, hot FROM entities WHERE shard = $1 ORDER BY entity_key LIMIT $2";
const CLEAR_SHARD: &str = "DELETE FROM entities WHERE shard = $1";
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

    /// The file as it is now, however long it is read and whatever is saved meanwhile.
    pub async fn snapshot(&self) -> Result<CheckpointSnapshot> {
        let mut tx = self.db.read().await?;
        let rows = tx.fetch(CURSORS.into(), vec![]).await?;
        let mut cursors = BTreeMap::new();
        let mut resaved = BTreeSet::new();
        for mut r in rows {
            let shard: u16 = r.unsigned()?;
            let cursor = Cursor {
                journal: JournalId(r.unsigned()?),
                seq: r.unsigned()?,
            };
            cursors.insert(shard, cursor);
            if r.bool()? {
                resaved.insert(shard);
            }
        }
        Ok(CheckpointSnapshot { tx, cursors, resaved })
    }

    /// Begins to put something else in a shard's place.
    pub async fn replace(&self, shard: u16) -> Result<CheckpointReplacement> {
        let mut tx = self.db.begin().await?;
        tx.execute(CLEAR_SHARD.into(), vec![Value::int(shard)]).await?;
        Ok(CheckpointReplacement { tx, shard })
    }
}

/// A checkpoint file at one moment.
#[derive(Debug)]
pub struct CheckpointSnapshot {
    tx: SqliteTransaction,
    cursors: BTreeMap<u16, Cursor>,
    resaved: BTreeSet<u16>,
}

impl CheckpointSnapshot {
    pub fn cursors(&self) -> &BTreeMap<u16, Cursor> {
        &self.cursors
    }

    /// The shards that were changed at the position where they stand: a copy at the same position may have another content.
    pub fn resaved(&self) -> &BTreeSet<u16> {
        &self.resaved
    }

    /// At most `limit` entities of a shard by key, those after the key `after` if there is one; none: that was all.
    pub async fn entities(&mut self, shard: u16, after: Option<&str>, limit: u32) -> Result<Vec<SavedEntity>> {
        let (sql, values) = match after {
            None => (FIRST_CHUNK, vec![Value::int(shard), Value::int(limit)]),
            Some(after) => (CHUNK, vec![Value::int(shard), key(after.to_owned()), Value::int(limit)]),
        };
        let rows = self.tx.fetch(sql.into(), values).await?;
        rows.into_iter()
            .map(|mut r| {
                Ok(SavedEntity {
                    key: r.text()?,
                    state: Bytes::from(r.bytes()?),
                    hot: r.bool()?,
                })
            })
            .collect()
    }
}

/// A shard's new content; dropped before [`CheckpointReplacement::commit`], it changes nothing.
#[derive(Debug)]
pub struct CheckpointReplacement {
    tx: SqliteTransaction,
    shard: u16,
}

impl CheckpointReplacement {
    /// Adds entities that were not added before.
    pub async fn push(&mut self, entities: Vec<SavedEntity>) -> Result<()> {
        let rows: Vec<_> = entities
            .into_iter()
            .map(|e| {
                vec![
                    Value::int(self.shard),
                    key(e.key),
                    Value::Bool(e.hot),
                    Value::Bytes(Some(e.state.into())),
                ]
            })
            .collect();
        insert_rows::<SqliteDatabase>(&mut self.tx, UPSERT, 4, UPSERT_TAIL, rows)
            .await
            .map(|_| ())
    }

    pub async fn commit(mut self, cursor: Cursor) -> Result<()> {
        let seq = Value::unsigned(SqliteDatabase::STORE, "a journal position", cursor.seq)?;
        let values = vec![Value::int(self.shard), Value::int(cursor.journal.0), seq];
        self.tx.execute(REPLACE_CURSOR.into(), values).await?;
        self.tx.commit().await
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
            MOVE_CURSOR.into(),
            vec![
                Value::int(shard),
                Value::int(to.journal.0),
                seq,
                Value::Bool(!changes.is_empty()),
            ],
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
