//! Hashes by time; gives way to the engine's set.

use andon_engine::limits::{RETRY_ENTRIES_MAX, RETRY_WINDOW};
use andon_engine::time::Timestamp;
use std::collections::{HashSet, VecDeque};

#[derive(Debug, Default)]
pub(crate) struct RetrySet {
    hashes: HashSet<u128>,
    order: VecDeque<(Timestamp, u128)>,
}

impl RetrySet {
    pub(crate) fn contains(&self, hash: &u128) -> bool {
        self.hashes.contains(hash)
    }
    pub(crate) fn insert(&mut self, hash: u128, at: Timestamp) {
        if self.hashes.insert(hash) {
            self.order.push_back((at, hash));
        }
        while self.order.len() > RETRY_ENTRIES_MAX {
            self.drop_oldest();
        }
    }
    pub(crate) fn advance(&mut self, now: Timestamp) {
        while self.order.front().is_some_and(|(at, _)| now.since(*at) > RETRY_WINDOW) {
            self.drop_oldest();
        }
    }
    fn drop_oldest(&mut self) {
        if let Some((_, h)) = self.order.pop_front() {
            self.hashes.remove(&h);
        }
    }
}
