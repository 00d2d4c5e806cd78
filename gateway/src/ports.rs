//! What the gateway needs of others. The binary implements these traits.

use andon_engine::intake::{Idempotency, IntakeHeader, Rejected};
use andon_engine::level::Level;
use andon_engine::time::Timestamp;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::admission::Permit;

/// Where accepted records go: the journal, behind an adapter of the binary.
#[async_trait::async_trait]
pub trait Intake: Send + Sync + 'static {
    /// Appends one entry and returns its sequence once it is durable. Never dropped half-way: the gateway waits for the outcome
    /// even when the sender has gone.
    async fn append(&self, entry: IntakeEntry) -> Result<u64, IntakeError>;
}

/// What is kept of one request.
#[derive(Debug)]
pub struct IntakeEntry {
    pub received_at: Timestamp,
    pub key_id: Arc<str>,
    /// Accepted records, packed by [`andon_engine::batch`]. May hold none, when all were refused.
    pub batch: Vec<u8>,
    /// How many records `batch` holds.
    pub records: u32,
    pub rejected: Vec<Rejected>,
    /// Hashes of the senders' ids in `batch`.
    pub retry_hashes: Vec<u128>,
    pub idempotency: Option<Idempotency>,
    pub history: bool,
    /// The request's share of the bytes in flight. Keep it with the batch until the last shard has handled it, then drop it.
    pub permit: Permit,
}

impl IntakeEntry {
    /// Everything but the batch and the permit, in the form that [`andon_engine::intake::encode_header`] packs.
    pub fn take_header(&mut self) -> IntakeHeader {
        IntakeHeader {
            received_at: self.received_at,
            key_id: self.key_id.clone(),
            history: self.history,
            retry_hashes: std::mem::take(&mut self.retry_hashes),
            idempotency: self.idempotency.take(),
            rejected: std::mem::take(&mut self.rejected),
        }
    }
}

/// Why an entry was not taken. Each is a 503 with Retry-After, but for one that can never be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IntakeError {
    #[error("the journal is full; nothing of the request was taken: send it again later")]
    Full,
    #[error(
        "the journal could not be synced; records of the request may have been taken: send it again with the same ids or Idempotency-Key"
    )]
    Failed,
    /// A 413: no use in sending it again as it is.
    #[error(
        "the request comes to more than the journal takes at once; nothing of it was taken: send it in several requests"
    )]
    TooLarge,
    #[error("the service is stopping; nothing of the request was taken: send it again")]
    Stopping,
}

/// The senders' keys, in memory.
#[async_trait::async_trait]
pub trait Keys: Send + Sync + 'static {
    /// What the holder of `token` may do; `None` for a key that is unknown or revoked. Must not block, and should compare in
    /// constant time or by hash.
    fn find(&self, token: &str) -> Option<Arc<Grant>>;

    /// Takes in keys that were made elsewhere since. The gateway calls it before it refuses a key that it does not find, at most 20 times
    /// a second and one call at a time, and waits 2 s at most.
    async fn refresh(&self) -> Result<(), KeysUnavailable> {
        Ok(())
    }
}

/// The keys cannot be read where they are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the keys cannot be read")]
pub struct KeysUnavailable;

/// What one key may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    pub id: Arc<str>,
    pub may_ingest: bool,
    /// Empty: any.
    pub applications: Vec<String>,
    /// Empty: any.
    pub devices: Vec<String>,
    /// `None`: no limit.
    pub records_per_second: Option<u32>,
    /// Words that its senders use for levels.
    pub levels: Option<Arc<LevelWords>>,
}

/// What the words of one key's senders mean, where an administrator has said so. They win over what the words mean elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LevelWords(HashMap<String, Level>);

impl LevelWords {
    pub fn new<'w>(words: impl IntoIterator<Item = (&'w str, Level)>) -> Self {
        let words = words.into_iter();
        Self(words.map(|(word, level)| (Self::normal(word), level)).collect())
    }

    /// A number is a word, too.
    pub fn get(&self, word: &str) -> Option<Level> {
        self.0.get(&Self::normal(word)).copied()
    }

    fn normal(word: &str) -> String {
        word.trim().to_lowercase()
    }
}

/// Told what an administrator should know of.
pub trait Notes: Send + Sync + 'static {
    /// Records of the key have a level that means nothing here.
    fn unknown_level(&self, key_id: &str, word: &str);
}

impl Grant {
    /// A key without restrictions.
    pub fn any(id: impl AsRef<str>) -> Self {
        Self {
            id: Arc::from(id.as_ref()),
            may_ingest: true,
            applications: Vec::new(),
            devices: Vec::new(),
            records_per_second: None,
            levels: None,
        }
    }

    /// Whether a record naming these may be sent. Each name that the record carries must be allowed, and a restricted key must be
    /// named on one of its lists: a key for application `wms` cannot speak for devices without an application.
    pub fn allows(&self, application: Option<&str>, device: Option<&str>) -> bool {
        let on = |list: &[String], name: Option<&str>| name.is_some_and(|n| list.iter().any(|l| l == n));
        let fits = |list: &[String], name: Option<&str>| list.is_empty() || name.is_none() || on(list, name);
        let unrestricted = self.applications.is_empty() && self.devices.is_empty();
        fits(&self.applications, application)
            && fits(&self.devices, device)
            && (unrestricted || on(&self.applications, application) || on(&self.devices, device))
    }
}

/// Whether a key may send now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rate {
    Allowed,
    /// It may send again after this.
    RetryAfter(Duration),
}

/// Records a second of each key, where several gateways share them.
#[async_trait::async_trait]
pub trait SharedRates: Send + Sync + 'static {
    /// Charges `records` to a key that may send `per_second`, and `burst` worth of that at once; with 0 it only asks. A batch larger
    /// than the burst passes while the key is in credit. `None` when it cannot be told; the gateway waits 50 ms at most, then drops it.
    async fn take(&self, key_id: &str, records: u32, per_second: u32, burst: Duration) -> Option<Rate>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restricted_key_speaks_only_for_what_it_names() {
        let grant = |applications: &[&str], devices: &[&str]| Grant {
            applications: applications.iter().map(|s| s.to_string()).collect(),
            devices: devices.iter().map(|s| s.to_string()).collect(),
            ..Grant::any("k")
        };
        for (applications, devices, application, device, want) in [
            (&[][..], &[][..], Some("a"), Some("d"), true),
            (&["a"], &[], Some("a"), None, true),
            (&["a"], &[], Some("a"), Some("any"), true),
            (&["a"], &[], Some("b"), None, false),
            (&["a"], &[], None, Some("d"), false),
            (&[], &["d"], None, Some("d"), true),
            (&[], &["d"], Some("any"), Some("d"), true),
            (&[], &["d"], Some("any"), None, false),
            (&["a"], &["d"], Some("a"), None, true),
            (&["a"], &["d"], None, Some("d"), true),
            (&["a"], &["d"], Some("a"), Some("e"), false),
        ] {
            let got = grant(applications, devices).allows(application, device);
            assert_eq!(got, want, "{applications:?} {devices:?} for {application:?} {device:?}");
        }
    }
}
