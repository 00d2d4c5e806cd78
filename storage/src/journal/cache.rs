//! The latest entries in memory, for readers that keep up.

use super::Entry;
use std::collections::VecDeque;
use std::sync::Arc;

/// A contiguous run of entries that ends with the newest durable one, bounded in bytes.
#[derive(Debug)]
pub(super) struct TailCache {
    entries: VecDeque<Arc<Entry>>,
    bytes: usize,
    bytes_max: usize,
}

/// An entry's own memory, about: the struct, its two handles, the counters.
const OVERHEAD: usize = 160;

fn cost(entry: &Entry) -> usize {
    entry.header.len() + entry.body.len() + OVERHEAD
}

impl TailCache {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            bytes: 0,
            bytes_max,
        }
    }
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
    /// Adds the entry that follows the newest.
    pub(super) fn push(&mut self, entry: Arc<Entry>) {
        debug_assert!(self.entries.back().is_none_or(|last| last.seq + 1 == entry.seq));
        self.bytes += cost(&entry);
        self.entries.push_back(entry);
        while self.bytes > self.bytes_max {
            let Some(oldest) = self.entries.pop_front() else { break };
            self.bytes -= cost(&oldest);
        }
    }
    /// Entries from `seq` on, up to `count` and about `bytes`; `None` when the cache begins later or holds nothing from there on.
    pub(super) fn run(&self, seq: u64, count: usize, bytes: usize) -> Option<Vec<Arc<Entry>>> {
        let first = self.entries.front()?.seq;
        let skip = usize::try_from(seq.checked_sub(first)?).ok()?;
        let mut taken = 0;
        let run: Vec<_> = self
            .entries
            .range(skip.min(self.entries.len())..)
            .take(count)
            .take_while(|e| {
                let go = taken < bytes;
                taken += cost(e);
                go
            })
            .cloned()
            .collect();
        (!run.is_empty()).then_some(run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_engine::time::Timestamp;
    use bytes::Bytes;

    fn entry(seq: u64) -> Arc<Entry> {
        let (header, body) = (Bytes::new(), Bytes::from(vec![0; 40]));
        Arc::new(Entry {
            seq,
            kind: 0,
            received_at: Timestamp::default(),
            header,
            body,
        })
    }

    #[test]
    fn the_oldest_go_when_the_bytes_are_used_up() {
        let mut cache = TailCache::new(3 * (40 + OVERHEAD));
        assert!(cache.run(1, 10, 1000).is_none());
        (1..=5).for_each(|s| cache.push(entry(s)));
        assert!(cache.run(2, 10, 1000).is_none(), "2 is gone: the disk has it");
        let seqs = |run: Option<Vec<Arc<Entry>>>| run.map(|r| r.iter().map(|e| e.seq).collect::<Vec<_>>());
        assert_eq!(seqs(cache.run(3, 10, 1000)), Some(vec![3, 4, 5]));
        assert_eq!(seqs(cache.run(4, 1, 1000)), Some(vec![4]));
        assert_eq!(seqs(cache.run(3, 10, 1)), Some(vec![3]), "one entry however large");
        assert!(cache.run(6, 10, 1000).is_none());
        let mut none = TailCache::new(0);
        none.push(entry(1));
        assert_eq!(none.bytes(), 0);
    }
}
