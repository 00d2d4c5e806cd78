//! What is remembered of recent requests and records, so that a retry is known for one.
//!
//! 128-bit hashes of a sender's id or `Idempotency-Key`, with its key, in the order in which they came, in time buckets of
//! [`RETRY_BUCKET`]. A hash used at `a` is known for as long as `now - a <= `[`RETRY_WINDOW`], that edge included, and forgotten at most a
//! bucket later; past [`RETRY_ENTRIES_MAX`] the oldest go, one for one, and [`RetrySet::effective_window`] says how far back the set
//! still knows everything.
//!
//! The set is not part of a checkpoint: it is rebuilt from the headers of the journal's entries before the gateway is ready.

use crate::limits::{RETRY_ENTRIES_MAX, RETRY_WINDOW};
use crate::time::{Span, Timestamp};
use std::collections::VecDeque;
use std::fmt;
use std::hash::{BuildHasher, RandomState};

/// How finely time is kept.
pub const RETRY_BUCKET: Span = Span::secs(10);

/// A slot of the index that holds nothing.
const EMPTY: u32 = u32::MAX;
const SLOTS_MIN: usize = 1_024;

/// Hashes in a ring in the order of their coming, and an open-addressing index of places in the ring: 16 bytes and at most 16
/// of index for each, no allocation of its own. Grows by doubling and gives memory back when it empties.
#[derive(Clone)]
pub struct RetrySet {
    /// A power of two long, or empty.
    ring: Vec<u128>,
    /// Place of the oldest.
    head: usize,
    len: usize,
    /// Twice as long as the ring: places in it, found by linear probing.
    index: Vec<u32>,
    /// (number of the bucket, hashes in it), ascending.
    buckets: VecDeque<(i64, u32)>,
    /// The newest bucket that lost a hash for lack of room.
    lost: Option<i64>,
    capacity: usize,
    /// The hash is not keyed and the ids are the sender's choice: with this nobody can choose ids that share a slot. Nothing that the
    /// set says depends on it.
    keys: (u64, u64),
}

impl Default for RetrySet {
    fn default() -> Self {
        Self::with_limit(RETRY_ENTRIES_MAX)
    }
}

fn bucket_of(t: Timestamp) -> i64 {
    t.0.div_euclid(RETRY_BUCKET.0)
}

fn end_of(bucket: i64) -> Timestamp {
    Timestamp(bucket.saturating_add(1).saturating_mul(RETRY_BUCKET.0))
}

impl RetrySet {
    pub fn new() -> Self {
        Self::default()
    }

    /// A set of at most `limit` hashes; 0 is read as 1, and more than [`RETRY_ENTRIES_MAX`] as that.
    pub fn with_limit(limit: usize) -> Self {
        let random = RandomState::new();
        Self {
            keys: (random.hash_one(0), random.hash_one(1)),
            ring: Vec::new(),
            head: 0,
            len: 0,
            index: Vec::new(),
            buckets: VecDeque::new(),
            lost: None,
            capacity: limit.clamp(1, RETRY_ENTRIES_MAX),
        }
    }

    pub fn contains(&self, hash: u128) -> bool {
        self.slot_of(hash).is_some_and(|slot| self.index[slot] != EMPTY)
    }

    /// Remembers `hash` as used at `at`; false when it is known already (its time stays what it was). Times come in order; one that
    /// is earlier than the newest, after a step of the clock, is kept as if it were that.
    pub fn insert(&mut self, hash: u128, at: Timestamp) -> bool {
        if self.contains(hash) {
            return false;
        }
        while self.len >= self.capacity {
            self.lost = self.buckets.front().map(|b| b.0);
            self.forget_oldest();
        }
        if self.len == self.ring.len() {
            self.resize((self.ring.len() * 2).max(SLOTS_MIN));
        }
        let bucket = bucket_of(at);
        match self.buckets.back_mut() {
            Some((newest, count)) if *newest >= bucket => *count += 1,
            _ => self.buckets.push_back((bucket, 1)),
        }
        let place = (self.head + self.len) & (self.ring.len() - 1);
        self.ring[place] = hash;
        self.len += 1;
        if let Some(slot) = self.slot_of(hash) {
            self.index[slot] = place as u32;
        }
        true
    }

    /// Forgets the buckets that lie wholly outside the window.
    pub fn advance(&mut self, now: Timestamp) {
        let keep_from = now.minus(RETRY_WINDOW);
        while let Some(&(bucket, count)) = self.buckets.front()
            && end_of(bucket) <= keep_from
        {
            for _ in 0..count {
                self.forget_oldest();
            }
        }
        if self.lost.is_some_and(|bucket| end_of(bucket) <= keep_from) {
            self.lost = None;
        }
        if self.len == 0 {
            (self.ring, self.index, self.head) = (Vec::new(), Vec::new(), 0);
        } else if self.ring.len() > SLOTS_MIN && self.len < self.ring.len() / 8 {
            self.resize((self.len * 2).next_power_of_two().max(SLOTS_MIN));
        }
    }

    /// How far back everything is remembered: the whole window, or less when there was no room.
    pub fn effective_window(&self, now: Timestamp) -> Span {
        match self.lost {
            Some(bucket) => now.since(end_of(bucket)).clamp(Span::ZERO, RETRY_WINDOW),
            None => RETRY_WINDOW,
        }
    }

    pub fn len(&self) -> usize {
        self.len
    }
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
    /// Memory held, in bytes.
    pub fn bytes(&self) -> usize {
        self.ring.capacity() * 16 + self.index.capacity() * 4
    }

    fn home(&self, hash: u128) -> usize {
        let product = u128::from(hash as u64 ^ self.keys.0) * u128::from((hash >> 64) as u64 ^ self.keys.1);
        ((product >> 64) ^ product) as usize
    }

    /// Where the hash is in the index, or the empty slot where it would be. The index is never more than half full.
    fn slot_of(&self, hash: u128) -> Option<usize> {
        let mask = self.index.len().checked_sub(1)?;
        let mut slot = self.home(hash) & mask;
        loop {
            let place = self.index[slot];
            if place == EMPTY || self.ring[place as usize] == hash {
                return Some(slot);
            }
            slot = (slot + 1) & mask;
        }
    }

    fn forget_oldest(&mut self) {
        if self.len == 0 {
            return;
        }
        if let Some(slot) = self.slot_of(self.ring[self.head]) {
            self.close_gap(slot);
        }
        self.head = (self.head + 1) & (self.ring.len() - 1);
        self.len -= 1;
        if let Some((_, count)) = self.buckets.front_mut() {
            *count -= 1;
            if *count == 0 {
                self.buckets.pop_front();
            }
        }
    }

    /// Empties a slot and moves up what had been pushed past it, so that no search ends too early.
    fn close_gap(&mut self, mut gap: usize) {
        let mask = self.index.len() - 1;
        let mut slot = gap;
        loop {
            slot = (slot + 1) & mask;
            let place = self.index[slot];
            if place == EMPTY {
                break;
            }
            let home = self.home(self.ring[place as usize]) & mask;
            // It may move to the gap unless its home lies between the two.
            if slot.wrapping_sub(home) & mask >= slot.wrapping_sub(gap) & mask {
                self.index[gap] = place;
                gap = slot;
            }
        }
        self.index[gap] = EMPTY;
    }

    fn resize(&mut self, places: usize) {
        let mut ring = Vec::with_capacity(places);
        let (front, back) = (self.head, self.ring.len());
        ring.extend((0..self.len).map(|i| self.ring[(front + i) % back.max(1)]));
        ring.resize(places, 0);
        self.ring = ring;
        self.head = 0;
        self.index = vec![EMPTY; places * 2];
        for place in 0..self.len {
            if let Some(slot) = self.slot_of(self.ring[place]) {
                self.index[slot] = place as u32;
            }
        }
    }

    fn hashes(&self) -> impl Iterator<Item = u128> + '_ {
        (0..self.len).map(|i| self.ring[(self.head + i) & (self.ring.len() - 1)])
    }
}

/// The same hashes in the same order and buckets; how much room there is does not matter.
impl PartialEq for RetrySet {
    fn eq(&self, other: &Self) -> bool {
        self.buckets == other.buckets && self.lost == other.lost && self.hashes().eq(other.hashes())
    }
}

impl fmt::Debug for RetrySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetrySet")
            .field("len", &self.len)
            .field("buckets", &self.buckets.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn t(seconds: i64) -> Timestamp {
        Timestamp(1_790_000_000_000_000 + seconds * 1_000_000)
    }
    /// Hashes as they are: uniform.
    fn h(n: u64) -> u128 {
        xxhash_rust::xxh3::xxh3_128(&n.to_le_bytes())
    }

    #[test]
    fn a_hash_is_known_for_the_whole_window_and_forgotten_a_bucket_later() {
        for offset in [0, 1, 9_999_999, 10_000_000] {
            let at = Timestamp(t(0).0 + offset);
            let mut s = RetrySet::new();
            assert!(s.insert(h(1), at) && !s.insert(h(1), at));
            s.advance(at.plus(RETRY_WINDOW));
            assert!(s.contains(h(1)), "at exactly the window's end");
            s.advance(at.plus(RETRY_WINDOW).plus(RETRY_BUCKET));
            assert!(!s.contains(h(1)) && s.is_empty() && s.bytes() == 0);
        }
    }

    #[test]
    fn using_it_again_does_not_make_it_younger() {
        let mut s = RetrySet::new();
        s.insert(h(1), t(0));
        s.insert(h(1), t(500));
        s.advance(t(620));
        assert!(!s.contains(h(1)));
    }

    #[test]
    fn past_the_limit_the_oldest_goes_and_it_says_how_far_back_it_still_knows() {
        let mut s = RetrySet::with_limit(3);
        for i in 0..3 {
            s.insert(h(i), t(i as i64 * 100));
        }
        assert_eq!((s.len(), s.effective_window(t(200))), (3, RETRY_WINDOW));
        s.insert(h(3), t(300));
        assert!(!s.contains(h(0)) && s.contains(h(1)) && s.len() == 3);
        assert_eq!(s.effective_window(t(300)), Span::secs(290));
        s.advance(t(609));
        assert_eq!(s.effective_window(t(609)), Span::secs(599));
        s.advance(t(610));
        assert_eq!(
            s.effective_window(t(610)),
            RETRY_WINDOW,
            "what was lost is outside the window now"
        );
    }

    #[test]
    fn it_grows_and_shrinks_and_stays_within_the_memory_it_names() {
        let mut s = RetrySet::new();
        for i in 0..200_000u64 {
            assert!(s.insert(h(i), t(i as i64 / 400)));
        }
        assert!((0..200_000).all(|i| s.contains(h(i))) && !s.contains(h(200_000)));
        assert!(s.bytes() <= 200_000 * 2 * 24);
        s.advance(t(1_090));
        assert!(
            s.len() < 6_000 && s.bytes() < 1_000_000 && s.contains(h(199_999)),
            "{s:?} {}",
            s.bytes()
        );
        // The named limit, 4 million, takes a ring of 2^22.
        assert!(RETRY_ENTRIES_MAX.next_power_of_two() * 24 <= 150_000_000);
    }

    #[test]
    fn clocks_that_jump_do_no_harm() {
        let mut s = RetrySet::new();
        for (i, at) in [Timestamp::MAX, Timestamp::MIN, t(0), Timestamp::MAX]
            .into_iter()
            .enumerate()
        {
            s.insert(h(i as u64), at);
            s.advance(Timestamp::MIN);
            s.effective_window(Timestamp::MIN);
        }
        assert_eq!(s.len(), 4);
        s.advance(Timestamp::MAX);
        assert!(s.contains(h(3)));
    }

    /// A list of (hash, bucket), newest last.
    #[derive(Default)]
    struct Naive(Vec<(u128, i64)>);

    impl Naive {
        fn insert(&mut self, hash: u128, at: Timestamp, limit: usize) -> bool {
            if self.0.iter().any(|e| e.0 == hash) {
                return false;
            }
            let newest = self.0.last().map_or(i64::MIN, |e| e.1);
            self.0.push((hash, newest.max(at.0.div_euclid(10_000_000))));
            let over = self.0.len().saturating_sub(limit);
            self.0.drain(..over);
            true
        }
        fn advance(&mut self, now: Timestamp) {
            self.0.retain(|e| (e.1 + 1) * 10_000_000 > now.0 - 600_000_000);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        /// With the keys off most of these hashes share a few slots, so that chains are long, wrap, and lose members in their middle.
        #[test]
        fn it_agrees_with_a_list(
            steps in proptest::collection::vec((0u64..400, 0u128..6, -5i64..60, any::<bool>()), 1..400), limit in 1usize..300, keys in prop_oneof![Just((0, 0)), Just((1 << 63, 0)), any::<(u64, u64)>()],
        ) {
            let (mut s, mut naive, mut now) = (RetrySet::with_limit(limit), Naive::default(), 0);
            s.keys = keys;
            for (n, low, step, advance) in steps {
                now += step;
                let hash = (u128::from(n) << 64) | (low * 409);
                prop_assert_eq!(s.insert(hash, t(now)), naive.insert(hash, t(now), limit));
                if advance {
                    s.advance(t(now));
                    naive.advance(t(now));
                }
                prop_assert_eq!(s.len(), naive.0.len());
                prop_assert!(s.hashes().eq(naive.0.iter().map(|e| e.0)));
                prop_assert!(naive.0.iter().all(|e| s.contains(e.0)));
                prop_assert_eq!(s.contains(hash ^ 1 << 100), naive.0.iter().any(|e| e.0 == hash ^ 1 << 100));
                let used = s.index.iter().filter(|p| **p != EMPTY).count();
                prop_assert_eq!(used, s.len());
            }
        }
    }
}
