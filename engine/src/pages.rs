//! Which part of a large table has changed: so that a checkpoint writes what changed and not the table.
//!
//! A table that is keyed by hashes falls into [`PAGES`] pages. Marking one costs a bit, and when everything changes no more pages
//! are written than there are, however many entries they hold.

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
}
