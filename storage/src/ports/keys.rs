//! Keys of senders and scripts. A key is shown once; only a hash of it is stored.

use super::Result;
use andon_engine::time::Timestamp;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Scope {
    Ingest,
    Read,
    Admin,
}

impl Scope {
    pub fn as_str(self) -> &'static str {
        match self {
            Scope::Ingest => "ingest",
            Scope::Read => "read",
            Scope::Admin => "admin",
        }
    }
    pub fn parse(s: &str) -> Option<Self> {
        [Scope::Ingest, Scope::Read, Scope::Admin]
            .into_iter()
            .find(|k| k.as_str() == s)
    }
}

#[derive(Clone, PartialEq, Debug)]
pub struct KeyRow {
    pub id: String,
    pub name: String,
    /// SHA-256 of the whole key text. The secret part is 256 random bits, so a fast hash is enough.
    pub hash: [u8; 32],
    pub scopes: Vec<Scope>,
    /// Empty: any.
    pub applications: Vec<String>,
    /// Empty: any.
    pub devices: Vec<String>,
    /// Records a second this key may send; `None`: no limit.
    pub records_per_second: Option<u32>,
    pub created_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
}

#[async_trait::async_trait]
pub trait KeyStore: Send + Sync + 'static {
    async fn insert_key(&self, key: &KeyRow) -> Result<()>;
    /// All of them, revoked ones too.
    ///
    /// # Errors
    /// `Lost`, never an empty list, when the store was emptied since this process read the keys. What this process knows of them is put
    /// back before that, revoked ones as revoked: read again.
    async fn keys(&self) -> Result<Vec<KeyRow>>;
    /// False when there is no such key, or it was revoked before.
    async fn revoke_key(&self, id: &str, at: Timestamp) -> Result<bool>;
    /// Counts the changes of the keys: while it stays the same, so do they. In a store that was emptied it goes on from what this process
    /// knows, once the keys are back.
    async fn keys_generation(&self) -> Result<u64>;
}
