//! Which part of a large table has changed: so that a checkpoint writes what changed and not the table.
//!
//! A table that is keyed by hashes falls into [`PAGES`] pages. Marking one costs a bit, and when everything changes no more pages
//! are written than there are, however many entries they hold. [`Paged`] is such a table: what a save reads of it is what changed, too.

use std::collections::HashMap;

/// With 100,000 sources a page holds 25, some kilobytes; with 10,000 it holds two or three.
pub const PAGES: usize = 4_096;

/// The page of a hash. Never changes: checkpoints name pages by it.
pub fn page_of(hash: u64) -> u16 {
    (hash >> (u64::BITS - PAGES.ilog2())) as u16
}

/// A set of pages; 512 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pages([u64; PAGES / 64]);

impl Default for Pages {
    fn default() -> Self {
        Self::none()
    }
}

impl Pages {
    pub const fn none() -> Self {
        Self([0; PAGES / 64])
    }
    pub const fn all() -> Self {
        Self([u64::MAX; PAGES / 64])
    }
    /// Adds the page of this hash.
    pub fn mark(&mut self, hash: u64) {
        let page = usize::from(page_of(hash));
        self.0[page / 64] |= 1 << (page % 64);
    }
    /// Whether the page of this hash is among them.
    pub fn has(&self, hash: u64) -> bool {
        let page = usize::from(page_of(hash));
        self.0[page / 64] & (1 << (page % 64)) != 0
    }
    pub fn add(&mut self, other: &Pages) {
        self.0.iter_mut().zip(&other.0).for_each(|(a, b)| *a |= b);
    }
    pub fn take(&mut self) -> Pages {
        std::mem::take(self)
    }
    /// In order.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        (0..PAGES)
            .filter(|p| self.0[p / 64] & (1 << (p % 64)) != 0)
            .map(|p| p as u16)
    }
}

/// A table by hashes that lies in pages, and knows which of them have changed since it was last asked.
#[derive(Clone, Debug)]
pub struct Paged<V> {
    // Hashed again with a key: the hash of a name is not keyed, and names are the sender's choice.
    pages: Vec<HashMap<u64, V>>,
    len: usize,
    changed: Pages,
}

impl<V> Default for Paged<V> {
    fn default() -> Self {
        Self {
            pages: Vec::new(),
            len: 0,
            changed: Pages::none(),
        }
    }
}

/// What is yet to be saved makes no difference.
impl<V: PartialEq> PartialEq for Paged<V> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().all(|(hash, v)| other.get(hash) == Some(v))
    }
}

impl<V> Paged<V> {
    fn page(&self, hash: u64) -> Option<&HashMap<u64, V>> {
        self.pages.get(usize::from(page_of(hash)))
    }
    pub fn get(&self, hash: u64) -> Option<&V> {
        self.page(hash)?.get(&hash)
    }
    pub fn contains(&self, hash: u64) -> bool {
        self.get(hash).is_some()
    }
    /// To change it; what is to be saved of that has to be marked.
    pub fn get_mut(&mut self, hash: u64) -> Option<&mut V> {
        self.pages.get_mut(usize::from(page_of(hash)))?.get_mut(&hash)
    }
    /// Its page is to be saved.
    pub fn mark(&mut self, hash: u64) {
        self.changed.mark(hash);
    }

    /// Puts back what a checkpoint holds: nothing of it is to be saved.
    pub fn restore(&mut self, hash: u64, value: V) {
        if self.pages.is_empty() {
            self.pages.resize_with(PAGES, HashMap::new);
        }
        let had = self.pages[usize::from(page_of(hash))].insert(hash, value);
        self.len += usize::from(had.is_none());
    }

    pub fn insert(&mut self, hash: u64, value: V) {
        self.mark(hash);
        self.restore(hash, value);
    }

    pub fn remove(&mut self, hash: u64) -> Option<V> {
        let gone = self.pages.get_mut(usize::from(page_of(hash)))?.remove(&hash)?;
        self.len -= 1;
        self.mark(hash);
        Some(gone)
    }

    pub fn retain(&mut self, mut keep: impl FnMut(u64, &mut V) -> bool) {
        for (number, page) in self.pages.iter_mut().enumerate() {
            let before = page.len();
            page.retain(|hash, value| keep(*hash, value));
            if page.len() < before {
                self.len -= before - page.len();
                self.changed.0[number / 64] |= 1 << (number % 64);
                if page.len() < page.capacity() / 4 {
                    page.shrink_to_fit();
                }
            }
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (u64, &V)> {
        self.pages.iter().flatten().map(|(hash, value)| (*hash, value))
    }
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (u64, &mut V)> {
        self.pages.iter_mut().flatten().map(|(hash, value)| (*hash, value))
    }

    /// What lies in these pages, in no order.
    pub fn in_pages<'a>(&'a self, pages: &'a Pages) -> impl Iterator<Item = (u64, &'a V)> + 'a {
        let here = pages.iter().filter_map(|p| self.pages.get(usize::from(p)));
        here.flatten().map(|(hash, value)| (*hash, value))
    }

    pub fn take_changed(&mut self) -> Pages {
        self.changed.take()
    }
    pub fn len(&self) -> usize {
        self.len
    }
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_the_upper_bits_of_its_hash() {
        let mut pages = Pages::none();
        assert_eq!(pages.iter().count(), 0);
        for hash in [0, 1, u64::MAX, 1 << 52, 0xabc << 52 | 5] {
            pages.mark(hash);
            assert!(pages.has(hash));
        }
        assert_eq!(pages.iter().collect::<Vec<_>>(), [0, 1, 0xabc, 0xfff]);
        assert!(!pages.has(0xabd << 52));
        let taken = pages.take();
        assert_eq!((pages.clone(), taken.iter().count()), (Pages::none(), 4));
        pages.add(&taken);
        assert_eq!(pages, taken);
        assert_eq!(Pages::all().iter().count(), PAGES);
        assert!(Pages::all().has(u64::MAX / 3));
    }

    #[test]
    fn a_paged_table_knows_what_is_in_it_and_where_it_changed() {
        let mut table = Paged::default();
        let hash = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (0..10_000).for_each(|n| table.insert(hash(n), n));
        table.insert(hash(7), 8);
        assert_eq!(
            (table.len(), table.get(hash(7)), table.get(1)),
            (10_000, Some(&8), None)
        );
        table.take_changed();
        *table.get_mut(hash(3)).expect("it is there") = 4;
        table.mark(hash(3));
        assert_eq!(table.remove(hash(5)), Some(5));
        assert_eq!(table.remove(hash(5)), None);
        let changed = table.take_changed();
        assert!(changed.has(hash(3)) && changed.has(hash(5)) && changed.iter().count() <= 2);
        assert!(table.in_pages(&changed).all(|(h, _)| changed.has(h)));
        table.retain(|_, v| *v % 2 == 0);
        assert_eq!(table.len(), table.iter().count());
        assert!(table.iter().all(|(_, v)| v % 2 == 0));
        assert!(table.take_changed().iter().count() > 1_000);
    }
}
