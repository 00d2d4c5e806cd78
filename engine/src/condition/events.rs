//! A sorted list of events that is cheap to copy.
//!
//! An entity is copied before each entry, so that a panic in judging can be undone. A window of a noisy subject holds thousands of
//! events, of which an entry changes the last few: the older ones are shared between the copies.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::VecDeque;
use std::sync::Arc;

/// Younger events than these become shared: a copy holds at most twice as many of its own, and sharing is paid once in as many events.
const YOUNG: usize = 128;

/// As a `VecDeque`. `old` from `skip` on comes before `young`.
#[derive(Clone, Debug)]
pub(super) struct Events<T> {
    old: Arc<Vec<T>>,
    skip: usize,
    young: VecDeque<T>,
}

impl<T> Default for Events<T> {
    fn default() -> Self {
        Self {
            old: Arc::default(),
            skip: 0,
            young: VecDeque::new(),
        }
    }
}

impl<T: Copy> Events<T> {
    fn old_len(&self) -> usize {
        self.old.len() - self.skip
    }
    pub(super) fn len(&self) -> usize {
        self.old_len() + self.young.len()
    }
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn get(&self, place: usize) -> Option<&T> {
        match place.checked_sub(self.old_len()) {
            Some(young) => self.young.get(young),
            None => self.old.get(self.skip + place),
        }
    }
    pub(super) fn front(&self) -> Option<&T> {
        self.get(0)
    }
    pub(super) fn back(&self) -> Option<&T> {
        self.young.back().or_else(|| self.old[self.skip..].last())
    }
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.old[self.skip..].iter().chain(&self.young)
    }
    /// Those at `from..to`.
    pub(super) fn range(&self, from: usize, to: usize) -> impl Iterator<Item = &T> {
        (from..to).map_while(|place| self.get(place))
    }

    /// The place of the first for which `before` is false; it must be true for all before that one, and false for all after.
    pub(super) fn partition_point(&self, mut before: impl FnMut(&T) -> bool) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.get(middle).is_some_and(&mut before) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    pub(super) fn insert(&mut self, place: usize, event: T) {
        if place < self.old_len() {
            self.take_back();
        }
        let place = place - self.old_len();
        let is_last = place == self.young.len();
        self.young.insert(place, event);
        if is_last && self.young.len().is_multiple_of(YOUNG) {
            self.share();
        }
    }

    pub(super) fn pop_front(&mut self) -> Option<T> {
        if self.old_len() == 0 {
            let first = self.young.pop_front();
            // A burst leaves its memory behind: give it back once it is mostly empty.
            if self.young.capacity() > 64 && self.young.len() < self.young.capacity() / 8 {
                self.young.shrink_to(self.young.len() * 2);
            }
            return first;
        }
        let first = self.old.get(self.skip).copied();
        self.skip += 1;
        if self.old_len() == 0 {
            (self.old, self.skip) = (Arc::default(), 0);
        }
        first
    }

    pub(super) fn truncate(&mut self, len: usize) {
        match len.checked_sub(self.old_len()) {
            Some(young) => self.young.truncate(young),
            None => {
                self.take_back();
                self.young.truncate(len);
            }
        }
    }

    fn share(&mut self) {
        let mut all = Vec::with_capacity(self.len());
        all.extend(self.iter().copied());
        *self = Self {
            old: Arc::new(all),
            ..Self::default()
        };
    }

    /// Something changes among the older ones: they are this copy's own again, until the next are shared.
    fn take_back(&mut self) {
        let mut all = VecDeque::with_capacity(self.len() + 1);
        all.extend(self.iter().copied());
        *self = Self {
            young: all,
            ..Self::default()
        };
    }
}

impl<T: Copy + PartialEq> PartialEq for Events<T> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl<T: Copy + Serialize> Serialize for Events<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().collect::<Vec<_>>())
    }
}

impl<'de, T: Copy + Deserialize<'de>> Deserialize<'de> for Events<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let young = VecDeque::deserialize(deserializer)?;
        Ok(Self {
            young,
            ..Self::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        /// Whatever is done to it, it holds what a plain list would, and a copy taken before does not change.
        #[test]
        fn it_is_a_list(steps in proptest::collection::vec((0u8..10, any::<u16>()), 0..1_500)) {
            let (mut events, mut list) = (Events::default(), Vec::new());
            let mut copies = Vec::new();
            for (n, (what, value)) in steps.into_iter().enumerate() {
                match what {
                    0..7 => {
                        let place = list.partition_point(|x| *x <= n as u16 / 2);
                        let at = if what == 0 { usize::from(value) % (list.len() + 1) } else { place.max(list.len()) };
                        events.insert(at, n as u16);
                        list.insert(at, n as u16);
                    }
                    7 | 8 => {
                        let first = (!list.is_empty()).then(|| list.remove(0));
                        prop_assert_eq!(events.pop_front(), first);
                    }
                    _ if value % 20 == 0 => {
                        let len = usize::from(value) % (list.len() + 1);
                        events.truncate(len);
                        list.truncate(len);
                    }
                    _ => copies.push((events.clone(), list.clone())),
                }
                prop_assert_eq!(events.len(), list.len());
                prop_assert_eq!((events.front(), events.back()), (list.first(), list.last()));
            }
            copies.push((events, list));
            for (events, list) in copies {
                prop_assert!(events.iter().eq(&list));
                prop_assert!(events.range(0, list.len()).eq(&list));
                let text = serde_json::to_string(&events).unwrap();
                prop_assert_eq!(&serde_json::from_str::<Events<u16>>(&text).unwrap(), &events);
            }
        }
    }

    #[test]
    fn a_copy_of_many_shares_most_of_them() {
        let mut events = Events::default();
        (0..4_096).for_each(|n| events.insert(n, n));
        let copy = events.clone();
        assert!(Arc::ptr_eq(&copy.old, &events.old) && copy.young.len() < YOUNG);
        assert_eq!(events.partition_point(|n| *n < 1_000), 1_000);
    }
}
