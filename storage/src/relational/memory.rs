//! What this process knows of the store, to notice that the store has lost it and to put back what only it still has.

use super::cursors::Sink;
use super::telling::Telling;
use crate::ports::keys::KeyRow;
use crate::ports::people::PersonRow;
use crate::ports::site::{Claim, Published};
use crate::ports::{Cursor, Result, StoreError};
use andon_engine::time::Timestamp;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Default)]
pub(super) struct Memory(Mutex<Known>);

/// Everything that the process has read or written and that no journal holds.
#[derive(Default)]
pub(super) struct Known {
    /// The fence: transactions of the owner check it. `None`: this process does not own the site and writes unfenced.
    pub(super) epoch: Option<u64>,
    /// What it was claimed with, to stand in an emptied store again.
    pub(super) claim: Option<Claim>,
    pub(super) identity: Option<String>,
    pub(super) keys: BTreeMap<String, KeyRow>,
    pub(super) people: BTreeMap<String, PersonRow>,
    pub(super) generations: HashMap<&'static str, u64>,
    pub(super) link_secret: Option<String>,
    /// The configuration in force, as it was written last.
    pub(super) published: Option<Published>,
    pub(super) telling: Telling,
    cursors: HashMap<Sink, Seen>,
}

#[derive(Clone, Copy, Default)]
struct Seen {
    cursor: Option<Cursor>,
    /// The writer has not read the cursor since it was found gone: until then it would leave a gap.
    lost: bool,
}

impl std::fmt::Debug for Memory {
    // It holds a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let known = self.lock();
        f.debug_struct("Memory")
            .field("epoch", &known.epoch)
            .field("identity", &known.identity)
            .finish_non_exhaustive()
    }
}

impl Memory {
    pub(super) fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The store holds this cursor, as its writer just read.
    pub(super) fn read(&self, sink: Sink, cursor: Option<Cursor>) {
        let mut known = self.lock();
        let seen = known.cursors.entry(sink).or_default();
        // One that is lower although nobody was told so is left for the next write to find.
        let newer = match (seen.cursor, cursor) {
            (Some(s), Some(c)) => s.journal != c.journal || s.seq <= c.seq,
            (Some(_), None) => false,
            (None, _) => true,
        };
        if seen.lost || newer {
            *seen = Seen { cursor, lost: false };
        }
    }

    pub(super) fn committed(&self, sink: Sink, cursor: Option<Cursor>) {
        self.lock().cursors.insert(sink, Seen { cursor, lost: false });
    }

    /// What the sink's writer takes to be written may be gone.
    pub(super) fn lose(&self, sink: Sink) {
        if let Some(seen) = self.lock().cursors.get_mut(&sink) {
            seen.lost |= seen.cursor.is_some();
        }
    }

    /// The highest cursor that the store is known to have had.
    pub(super) fn cursor(&self, sink: Sink) -> Option<Cursor> {
        self.lock().cursors.get(&sink).and_then(|s| s.cursor)
    }

    /// Whether the writer may go on from what is stored.
    ///
    /// # Errors
    /// `Lost` when the store had more than this before, until the writer has read the cursor again.
    pub(super) fn check(&self, store: &'static str, sink: Sink, stored: Option<Cursor>) -> Result<()> {
        let mut known = self.lock();
        let seen = known.cursors.entry(sink).or_default();
        seen.lost |= match (seen.cursor, stored) {
            (Some(_), None) => true,
            (Some(had), Some(has)) => had.journal == has.journal && has.seq < had.seq,
            (None, _) => false,
        };
        if !seen.lost {
            return Ok(());
        }
        let place = |c: Option<Cursor>| c.map_or("at nothing".to_owned(), |c| format!("at position {}", c.seq));
        Err(StoreError::Lost {
            store,
            reason: format!(
                "its cursor of {} stands {} and has stood {}",
                sink.as_str(),
                place(stored),
                place(seen.cursor)
            ),
        })
    }

    pub(super) fn keep_key(&self, key: &KeyRow) {
        self.lock().keys.insert(key.id.clone(), key.clone());
    }

    pub(super) fn revoke_key(&self, id: &str, at: Timestamp) {
        if let Some(key) = self.lock().keys.get_mut(id) {
            key.revoked_at.get_or_insert(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_engine::ids::JournalId;

    fn at(seq: u64) -> Option<Cursor> {
        Some(Cursor {
            journal: JournalId(1),
            seq,
        })
    }

    fn is_lost(m: &Memory, stored: Option<Cursor>) -> bool {
        matches!(m.check("test", Sink::Rows, stored), Err(StoreError::Lost { .. }))
    }

    #[test]
    fn what_was_lost_stays_lost_until_the_writer_has_read_its_cursor() {
        let m = Memory::default();
        assert!(!is_lost(&m, None), "a new store");
        m.committed(Sink::Rows, at(10));
        assert!(!is_lost(&m, at(10)));
        assert!(!is_lost(&m, at(11)), "a commit whose answer did not come");
        assert!(is_lost(&m, at(9)));
        assert!(is_lost(&m, at(10)), "the writer does not know yet");
        m.read(Sink::Rows, at(9));
        assert!(!is_lost(&m, at(9)));
        assert!(is_lost(&m, None));
        m.read(Sink::Rows, None);
        assert!(!is_lost(&m, None));
        // Somebody reads a cursor that is gone before the writer has heard of it.
        m.committed(Sink::Rows, at(5));
        m.read(Sink::Rows, None);
        assert!(is_lost(&m, None));
        assert!(!is_lost(&m, None) || m.cursor(Sink::Rows) == at(5));
        assert!(m.check("test", Sink::Effects, None).is_ok(), "each for itself");
        // Another journal's is for others to say.
        let foreign = Cursor {
            journal: JournalId(2),
            seq: 1,
        };
        m.read(Sink::Rows, at(5));
        assert!(!is_lost(&m, Some(foreign)));
    }
}
