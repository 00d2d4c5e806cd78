//! What the rest of Andon asks of a store. Every adapter of a port passes the same conformance suite.

pub mod checkpoint;
pub mod deliveries;
pub mod incidents;
pub mod keys;
pub mod log_index;
pub mod rows;

use andon_engine::ids::JournalId;

/// How far a consumer of a journal has come: everything up to and including `seq` is done.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize)]
pub struct Cursor {
    pub journal: JournalId,
    pub seq: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Connection, lock or time-out: the same call may succeed later.
    #[error("{store} cannot be reached: {reason}")]
    Unavailable { store: &'static str, reason: String },
    /// The store will never take this: bisect, and put the culprit into quarantine.
    #[error("{store} refused it: {reason}")]
    Refused { store: &'static str, reason: String },
    /// The stored cursor names another journal, or lies past the end of ours.
    #[error("{store} belongs to another journal: {reason}")]
    ForeignJournal { store: &'static str, reason: String },
    /// What is stored cannot be read: damage, or a newer version's.
    #[error("{store} holds what this version cannot read: {reason}")]
    Damaged { store: &'static str, reason: String },
}

impl StoreError {
    pub fn is_temporary(&self) -> bool {
        matches!(self, StoreError::Unavailable { .. })
    }
}

pub type Result<T> = std::result::Result<T, StoreError>;
