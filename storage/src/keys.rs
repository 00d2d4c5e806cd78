//! Keys in use: how one is made, and how a sender's is found.

use crate::ports::Result;
use crate::ports::keys::{KeyRow, KeyStore, Scope};
use andon_engine::time::Timestamp;
use rand::TryRng;
use rand::rngs::SysRng;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::task::JoinHandle;

/// Of a key's id, and of its secret part.
const ID_BYTES: usize = 8;
const SECRET_BYTES: usize = 32;
/// Longer than any key: what is longer is none, and is not hashed.
const TEXT_BYTES_MAX: usize = 256;
/// A key that another process made works after this time.
const REFRESH: Duration = Duration::from_millis(500);

/// What a new key may do.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct KeyGrant {
    pub name: String,
    pub scopes: Vec<Scope>,
    /// Empty: any.
    pub applications: Vec<String>,
    /// Empty: any.
    pub devices: Vec<String>,
    pub records_per_second: Option<u32>,
}

/// A key that was just made. Its text is shown once and not kept.
pub struct NewKey {
    /// `andon_<id>_<secret>`.
    pub text: String,
    pub row: KeyRow,
}

impl std::fmt::Debug for NewKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NewKey({})", self.row.id)
    }
}

/// Makes a key; [`KeyStore::insert_key`] keeps it.
///
/// # Panics
/// When the operating system gives no random bytes: there is no safe way on.
pub fn generate(grant: KeyGrant, created_at: Timestamp) -> NewKey {
    let mut random = [0u8; ID_BYTES + SECRET_BYTES];
    SysRng
        .try_fill_bytes(&mut random)
        .expect("the operating system gives random bytes");
    let id = hex(&random[..ID_BYTES]);
    let text = format!("andon_{id}_{}", hex(&random[ID_BYTES..]));
    let row = KeyRow {
        id,
        name: grant.name,
        hash: hash(&text),
        scopes: grant.scopes,
        applications: grant.applications,
        devices: grant.devices,
        records_per_second: grant.records_per_second,
        created_at,
        revoked_at: None,
    };
    NewKey { text, row }
}

/// SHA-256 of the whole key text.
pub fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[derive(Default)]
struct Known {
    generation: Option<u64>,
    by_hash: HashMap<[u8; 32], Arc<KeyRow>>,
}

/// The keys that are valid, in memory, for the path of every request.
pub struct KeyCache {
    store: Arc<dyn KeyStore>,
    known: RwLock<Known>,
    /// One reads at a time: a list that was read before a key was revoked must not replace the one that was read after.
    refreshing: tokio::sync::Mutex<()>,
}

impl std::fmt::Debug for KeyCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "KeyCache({} keys)",
            self.known.read().unwrap_or_else(PoisonError::into_inner).by_hash.len()
        )
    }
}

impl KeyCache {
    /// Reads the keys once.
    pub async fn load(store: Arc<dyn KeyStore>) -> Result<Arc<Self>> {
        let cache = Arc::new(Self {
            store,
            known: RwLock::default(),
            refreshing: tokio::sync::Mutex::default(),
        });
        cache.refresh().await?;
        Ok(cache)
    }

    /// The key with this text, unless it was revoked. The text is hashed before anything is compared, so the time that this takes says
    /// nothing about a key that exists.
    pub fn find(&self, text: &str) -> Option<Arc<KeyRow>> {
        if text.len() > TEXT_BYTES_MAX || !text.starts_with("andon_") {
            return None;
        }
        let hash = hash(text);
        self.known
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .by_hash
            .get(&hash)
            .cloned()
    }

    /// Reads the keys again if they changed, here or in another process. True if they did.
    pub async fn refresh(&self) -> Result<bool> {
        let _alone = self.refreshing.lock().await;
        let generation = self.store.keys_generation().await?;
        if self.known.read().unwrap_or_else(PoisonError::into_inner).generation == Some(generation) {
            return Ok(false);
        }
        // A change after the number was read is seen the next time.
        let keys = self.store.keys().await?.into_iter().filter(|k| k.revoked_at.is_none());
        let by_hash = keys.map(|k| (k.hash, Arc::new(k))).collect();
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Known {
            generation: Some(generation),
            by_hash,
        };
        Ok(true)
    }

    /// Keeps the cache fresh within a second, until the task is aborted or the last other owner drops the cache. While the store
    /// cannot be reached the known keys go on working.
    pub fn keep_fresh(self: &Arc<Self>) -> JoinHandle<()> {
        let cache = Arc::downgrade(self);
        tokio::spawn(async move {
            let mut failing = false;
            loop {
                tokio::time::sleep(REFRESH).await;
                let Some(cache) = cache.upgrade() else { return };
                match cache.refresh().await {
                    Ok(_) => failing = false,
                    Err(e) if !failing => {
                        failing = true;
                        tracing::warn!(error = %e, "keys cannot be read again: new and revoked ones are not noticed");
                    }
                    Err(_) => {}
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU64, Ordering};
    use tokio::sync::Notify;

    #[test]
    fn a_key_names_its_id_and_no_two_are_alike() {
        let grant = KeyGrant {
            name: "line 3".to_owned(),
            scopes: vec![Scope::Ingest],
            ..KeyGrant::default()
        };
        let (a, b) = (generate(grant.clone(), Timestamp(1)), generate(grant, Timestamp(1)));
        assert_ne!(a.text, b.text);
        assert_eq!(a.text.len(), "andon_".len() + 16 + 1 + 64);
        assert_eq!(a.text.split('_').nth(1), Some(a.row.id.as_str()));
        assert_eq!(a.row.hash, hash(&a.text));
        assert!(
            !format!("{a:?} {:?}", a.row).contains(&a.text[24..]),
            "the secret is in no debug output"
        );
    }

    /// Holds back the first list of keys until it is told to go on.
    struct SlowStore {
        keys: Mutex<Vec<KeyRow>>,
        reads: AtomicU64,
        go_on: Notify,
    }

    #[async_trait::async_trait]
    impl KeyStore for SlowStore {
        async fn insert_key(&self, _: &KeyRow) -> Result<()> {
            Ok(())
        }
        async fn keys(&self) -> Result<Vec<KeyRow>> {
            let keys = self.keys.lock().unwrap().clone();
            if self.reads.fetch_add(1, Ordering::SeqCst) == 0 {
                self.go_on.notified().await;
            }
            Ok(keys)
        }
        async fn revoke_key(&self, _: &str, at: Timestamp) -> Result<bool> {
            self.keys.lock().unwrap()[0].revoked_at = Some(at);
            Ok(true)
        }
        async fn keys_generation(&self) -> Result<u64> {
            let revoked = self
                .keys
                .lock()
                .unwrap()
                .iter()
                .filter(|k| k.revoked_at.is_some())
                .count();
            Ok(revoked as u64)
        }
    }

    #[tokio::test]
    async fn a_list_of_keys_that_comes_late_brings_no_revoked_key_back() {
        let key = generate(KeyGrant::default(), Timestamp(1));
        let store = Arc::new(SlowStore {
            keys: Mutex::new(vec![key.row.clone()]),
            reads: AtomicU64::new(0),
            go_on: Notify::new(),
        });
        let cache = Arc::new(KeyCache {
            store: store.clone(),
            known: RwLock::default(),
            refreshing: tokio::sync::Mutex::default(),
        });
        let refresh = |cache: Arc<KeyCache>| tokio::spawn(async move { cache.refresh().await.unwrap() });
        let late = refresh(cache.clone());
        while store.reads.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        store.revoke_key(&key.row.id, Timestamp(2)).await.unwrap();
        let second = refresh(cache.clone());
        // As far as it comes without the first.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        store.go_on.notify_one();
        late.await.unwrap();
        second.await.unwrap();
        assert!(cache.find(&key.text).is_none());
    }
}
