//! Keys of senders and scripts.

use super::Relational;
use super::database::{Database, Row, Transaction, Value, insert_rows};
use super::heal::{gone, next_generation};
use crate::ports::keys::{KeyRow, KeyStore, Scope};
use crate::ports::{Result, StoreError};
use andon_engine::time::Timestamp;

const INSERT: &str = "INSERT INTO api_keys
    (id, name, hash, scopes, applications, devices, records_per_second, created_at, revoked_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
const SELECT: &str = "SELECT id, name, hash, scopes, applications, devices, records_per_second, created_at, revoked_at
    FROM api_keys ORDER BY created_at, id";
const REVOKE: &str = "UPDATE api_keys SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL";
const PUT_BACK: &str = "INSERT INTO api_keys
    (id, name, hash, scopes, applications, devices, records_per_second, created_at, revoked_at)";
const KEYS: &str = "api_keys";

#[async_trait::async_trait]
impl<D: Database> KeyStore for Relational<D> {
    async fn insert_key(&self, key: &KeyRow) -> Result<()> {
        let values = values::<D>(key)?;
        let mut tx = self.db.begin().await?;
        tx.execute(INSERT.into(), values).await?;
        next_generation::<D>(&mut tx, KEYS).await?;
        tx.commit().await?;
        self.memory.keep_key(key);
        Ok(())
    }

    async fn keys(&self) -> Result<Vec<KeyRow>> {
        let read = self.db.fetch(SELECT.into(), vec![]).await;
        let keys = self
            .or_heal(read)
            .await?
            .into_iter()
            .map(key)
            .collect::<Result<Vec<_>>>()?;
        // An emptied table must not be taken for the keys: a sender's would be refused.
        if !self.same_store().await? {
            return Err(gone::<D>(
                "it was emptied and the known keys are back: read them again".to_owned(),
            ));
        }
        self.memory.lock().keys = keys.iter().map(|k| (k.id.clone(), k.clone())).collect();
        Ok(keys)
    }

    async fn revoke_key(&self, id: &str, at: Timestamp) -> Result<bool> {
        let mut tx = self.db.begin().await?;
        let revoked = tx
            .execute(REVOKE.into(), vec![Value::text(id), Value::int(at.as_micros())])
            .await?
            > 0;
        if revoked {
            next_generation::<D>(&mut tx, KEYS).await?;
        }
        tx.commit().await?;
        self.memory.revoke_key(id, at);
        Ok(revoked)
    }

    async fn keys_generation(&self) -> Result<u64> {
        self.generation(KEYS).await
    }
}

/// What a store that was emptied has to hold again. Those that are there stay, and who is revoked on either side is revoked.
pub(super) async fn put_back<D: Database>(tx: &mut D::Transaction, keys: &[KeyRow]) -> Result<()> {
    let rows = keys.iter().map(values::<D>).collect::<Result<Vec<_>>>()?;
    insert_rows::<D>(tx, PUT_BACK, 9, "ON CONFLICT DO NOTHING", rows).await?;
    for (key, at) in keys.iter().filter_map(|k| Some((k, k.revoked_at?))) {
        tx.execute(REVOKE.into(), vec![Value::text(&key.id), Value::int(at.as_micros())])
            .await?;
    }
    Ok(())
}

fn values<D: Database>(key: &KeyRow) -> Result<Vec<Value>> {
    let scopes: Vec<&str> = key.scopes.iter().map(|s| s.as_str()).collect();
    Ok(vec![
        Value::text(&key.id),
        Value::text(&key.name),
        Value::text(&hex(&key.hash)),
        Value::text(&json::<D, _>(&scopes)?),
        Value::text(&json::<D, _>(&key.applications)?),
        Value::text(&json::<D, _>(&key.devices)?),
        Value::Int(key.records_per_second.map(i64::from)),
        Value::int(key.created_at.as_micros()),
        Value::Int(key.revoked_at.map(Timestamp::as_micros)),
    ])
}

fn json<D: Database, T: serde::Serialize>(v: &T) -> Result<String> {
    serde_json::to_string(v).map_err(|e| StoreError::Refused {
        store: D::STORE,
        reason: e.to_string(),
    })
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

pub(super) fn unhex(s: &str) -> Option<[u8; 32]> {
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
