//! Keys of senders and scripts.

use super::Relational;
use super::database::{Database, Row, Transaction, Value};
use crate::ports::keys::{KeyRow, KeyStore, Scope};
use crate::ports::{Result, StoreError};
use andon_engine::time::Timestamp;

const INSERT: &str = "INSERT INTO api_keys
    (id, name, hash, scopes, applications, devices, records_per_second, created_at, revoked_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
const SELECT: &str = "SELECT id, name, hash, scopes, applications, devices, records_per_second, created_at, revoked_at
    FROM api_keys ORDER BY created_at, id";
const REVOKE: &str = "UPDATE api_keys SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL";
const GENERATION: &str = "SELECT generation FROM generations WHERE name = 'api_keys'";
const NEXT_GENERATION: &str = "INSERT INTO generations AS g (name, generation) VALUES ('api_keys', 1)
    ON CONFLICT (name) DO UPDATE SET generation = g.generation + 1";

#[async_trait::async_trait]
impl<D: Database> KeyStore for Relational<D> {
    async fn insert_key(&self, key: &KeyRow) -> Result<()> {
        let scopes: Vec<&str> = key.scopes.iter().map(|s| s.as_str()).collect();
        let values = vec![
            Value::text(&key.id),
            Value::text(&key.name),
            Value::text(&hex(&key.hash)),
            Value::text(&json::<D, _>(&scopes)?),
            Value::text(&json::<D, _>(&key.applications)?),
            Value::text(&json::<D, _>(&key.devices)?),
            Value::Int(key.records_per_second.map(i64::from)),
            Value::int(key.created_at.as_micros()),
            Value::Int(key.revoked_at.map(Timestamp::as_micros)),
        ];
        let mut tx = self.db.begin().await?;
        tx.execute(INSERT.into(), values).await?;
        tx.execute(NEXT_GENERATION.into(), vec![]).await?;
        tx.commit().await
    }

    async fn keys(&self) -> Result<Vec<KeyRow>> {
        self.db
            .fetch(SELECT.into(), vec![])
            .await?
            .into_iter()
            .map(key)
            .collect()
    }

    async fn revoke_key(&self, id: &str, at: Timestamp) -> Result<bool> {
        let mut tx = self.db.begin().await?;
        let revoked = tx
            .execute(REVOKE.into(), vec![Value::text(id), Value::int(at.as_micros())])
            .await?
            > 0;
        if revoked {
            tx.execute(NEXT_GENERATION.into(), vec![]).await?;
        }
        tx.commit().await?;
        Ok(revoked)
    }

    async fn keys_generation(&self) -> Result<u64> {
        match self.db.fetch(GENERATION.into(), vec![]).await?.into_iter().next() {
            Some(mut row) => row.unsigned(),
            None => Ok(0),
        }
    }
}

fn json<D: Database, T: serde::Serialize>(v: &T) -> Result<String> {
    serde_json::to_string(v).map_err(|e| StoreError::Refused {
        store: D::STORE,
        reason: e.to_string(),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn unhex(s: &str) -> Option<[u8; 32]> {
    let mut out = [0; 32];
    if s.len() != 64 || !s.is_ascii() {
        return None;
    }
    for (i, b) in out.iter_mut().enumerate() {
        *b = u8::from_str_radix(&s[i * 2..i * 2 + 2], 16).ok()?;
    }
    Some(out)
}

fn key(mut r: Row) -> Result<KeyRow> {
    Ok(KeyRow {
        id: r.text()?,
        name: r.text()?,
        hash: r.parsed("SHA-256", unhex)?,
        scopes: {
            let names: Vec<String> = r.json("a list of scopes")?;
            let scopes = names.iter().map(|n| Scope::parse(n)).collect::<Option<Vec<_>>>();
            scopes.ok_or_else(|| r.damaged(format!("{names:?} names an unknown scope")))?
        },
        applications: r.json("a list of applications")?,
        devices: r.json("a list of devices")?,
        records_per_second: r.opt_unsigned()?,
        created_at: Timestamp(r.int()?),
        revoked_at: r.opt_int()?.map(Timestamp),
    })
}
