//! What the rest of Andon asks of a store. Every adapter of a port passes the same conformance suite.

pub mod checkpoint;
pub mod deliveries;
pub mod fast_state;
pub mod incidents;
pub mod keys;
pub mod log_index;
pub mod people;
pub mod records;
pub mod rows;
pub mod site;

use andon_engine::ids::JournalId;

/// How far a consumer of a journal has come: everything up to and including `seq` is done.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize)]
pub struct Cursor {
    pub journal: JournalId,
    pub seq: u64,
}

impl Cursor {
    /// At start: whether this cursor of `store` lies in `journal`, whose last position is `end`.
    ///
    /// # Errors
    /// `ForeignJournal` when it names another journal or a later position.
    pub fn check(self, store: &'static str, journal: JournalId, end: u64) -> Result<()> {
        if self.journal == journal && self.seq <= end {
            Ok(())
        } else {
            Err(StoreError::foreign(store, self, journal, end))
        }
    }
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
    /// It answers, and what it had taken is gone (restarted empty, restored from a backup). Whoever writes reads its cursor again and
    /// goes on from there: the journal still has it, or the archive.
    #[error("{store} has lost what it had: {reason}")]
    Lost { store: &'static str, reason: String },
    /// Another process owns the site now, and this one may not write any more: it has to end.
    #[error("{store} takes nothing more of this process: {reason}")]
    Fenced { store: &'static str, reason: String },
    /// What is stored cannot be read: damage, or a newer version's.
    #[error("{store} holds what this version cannot read: {reason}")]
    Damaged { store: &'static str, reason: String },
}

impl StoreError {
    /// Nothing is wrong with what was to be written: it is to be kept and written again, after [`StoreError::Lost`] together with
    /// what came before.
    pub fn is_temporary(&self) -> bool {
        matches!(
            self,
            StoreError::Unavailable { .. } | StoreError::Lost { .. } | StoreError::Fenced { .. }
        )
    }
    /// `stored` does not fit a journal whose last position is `end`.
    pub fn foreign(store: &'static str, stored: Cursor, journal: JournalId, end: u64) -> Self {
        let reason = format!(
            "its cursor stands at position {} of journal {:08x}, and this is position {end} of journal {:08x}: \
             start with the journal that belongs to it, or with --adopt-stores to take it over",
            stored.seq, stored.journal.0, journal.0
        );
        StoreError::ForeignJournal { store, reason }
    }
}

pub type Result<T> = std::result::Result<T, StoreError>;
