//! Which devices and applications have been registered by their first record.

use crate::pages::{Paged, Pages};
use crate::time::{Span, Timestamp};

/// Names registered at once, 12 bytes each. Past it new ones are judged all the same, counted, and not listed.
pub const REGISTERED_MAX: usize = 1_000_000;
/// A name that was not heard for this long is forgotten; its next record registers it again, which changes nothing in a store.
pub const REGISTERED_IDLE: Span = Span::hours(90 * 24);

/// Hashes of names, and the day on which each was last heard.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    days: Paged<u32>,
    /// Names that found no room.
    refused: u64,
}

/// What found no room makes no difference.
impl PartialEq for Registry {
    fn eq(&self, other: &Self) -> bool {
        self.days == other.days
    }
}

fn day(t: Timestamp) -> u32 {
    (t.as_micros() / 86_400_000_000).clamp(0, i64::from(u32::MAX)) as u32
}

impl Registry {
    /// True when the name is new: it is to be registered.
    pub fn hear(&mut self, name: u64, received_at: Timestamp) -> bool {
        let today = day(received_at);
        let full = self.days.len() >= REGISTERED_MAX;
        match self.days.get_mut(name) {
            Some(heard) if *heard < today => {
                *heard = today;
                self.days.mark(name);
                false
            }
            Some(_) => false,
            None if full => {
                self.refused += 1;
                false
            }
            None => {
                self.days.insert(name, today);
                true
            }
        }
    }

    /// Forgets names not heard in the last [`REGISTERED_IDLE`].
    pub fn expire(&mut self, now: Timestamp) {
        let from = day(now.minus(REGISTERED_IDLE));
        self.days.retain(|_, heard| *heard >= from);
    }

    /// Records whose name found no room since the last call.
    pub fn take_refused(&mut self) -> u64 {
        std::mem::take(&mut self.refused)
    }
    pub fn take_changed(&mut self) -> Pages {
        self.days.take_changed()
    }
    pub fn in_pages<'a>(&'a self, pages: &'a Pages) -> impl Iterator<Item = (u64, u32)> + 'a {
        self.days.in_pages(pages).map(|(name, day)| (name, *day))
    }
    /// Puts back what a checkpoint holds, unchanged.
    pub fn restore(&mut self, names: impl IntoIterator<Item = (u64, u32)>) {
        names.into_iter().for_each(|(name, day)| self.days.restore(name, day));
    }
    pub fn len(&self) -> usize {
        self.days.len()
    }
    pub fn is_empty(&self) -> bool {
        self.days.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_bounded_says_so_and_makes_room_with_time() {
        let now = Timestamp(1_800_000_000_000_000);
        let mut r = Registry::default();
        assert!(r.hear(7, now) && !r.hear(7, now));
        let junk = (0..REGISTERED_MAX as u64 + 5)
            .filter(|n| r.hear(1_000 + n, now))
            .count();
        assert_eq!(
            (junk, r.len(), r.take_refused()),
            (REGISTERED_MAX - 1, REGISTERED_MAX, 6)
        );
        let later = now.plus(REGISTERED_IDLE);
        r.hear(7, later);
        r.expire(later.plus(Span::hours(48)));
        assert_eq!(r.len(), 1, "who is still heard stays");
        assert!(r.hear(8, later));
    }
}
