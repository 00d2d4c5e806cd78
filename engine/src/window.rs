//! The sliding window of a `count` rule: exact, on event time, with late records put in their place.
//!
//! Both edges are included. `count` events of which the last lies exactly `within` after the first breach; one microsecond
//! more and they do not. The condition *holds at t* when at least `count` of the times seen lie in `[t - within, t]`.

use crate::limits::{LATENESS, WINDOW_ENTRIES_MAX};
use crate::time::{Span, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// The times of the matching events since the watermark - 5 min - W, ascending, up to [`WINDOW_ENTRIES_MAX`].
///
/// Starts without memory and grows by doubling. In order, [`CountWindow::add`] takes constant time; a late record takes up to
/// `count` steps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CountWindow {
    times: VecDeque<Timestamp>,
    /// The newest time that had to go for lack of room.
    dropped: Option<Timestamp>,
}

/// A window that holds enough events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breach {
    /// The oldest event in the window that ends at `at`.
    pub first: Timestamp,
    /// The event with which the condition began to hold.
    pub at: Timestamp,
}

impl CountWindow {
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes an event at `t` in and judges every window of `within` that contains it. When several hold `count` events, the one
    /// that ends first is given. A `count` of 0 is read as 1, a negative `within` as 0.
    pub fn add(&mut self, t: Timestamp, within: Span, count: u32) -> Option<Breach> {
        let mut place = match self.times.back() {
            Some(last) if *last > t => self.times.partition_point(|x| *x <= t),
            _ => self.times.len(),
        };
        self.times.insert(place, t);
        if self.times.len() > WINDOW_ENTRIES_MAX {
            let gone = self.times.pop_front();
            self.dropped = self.dropped.max(gone);
            // The event itself was the oldest: there is no room to judge it.
            place = place.checked_sub(1)?;
        }
        let count = count.max(1) as usize;
        let within = not_negative(within);
        // `end` is the last event of a run of `count` that contains `place`; before the first full run there is none.
        for end in place.max(count - 1)..self.times.len().min(place.saturating_add(count)) {
            let at = self.times[end];
            if at.since(t) > within {
                break;
            }
            if at.since(self.times[end + 1 - count]) <= within {
                return Some(Breach {
                    first: self.first_since(at.minus(within), end + 1 - count),
                    at,
                });
            }
        }
        None
    }

    /// The oldest time not before `since`; `known` is the index of one that is not.
    fn first_since(&self, since: Timestamp, known: usize) -> Timestamp {
        let earlier = known.checked_sub(1).and_then(|i| self.times.get(i));
        if earlier.is_some_and(|t| *t >= since) {
            self.times[self.times.partition_point(|t| *t < since)]
        } else {
            self.times[known]
        }
    }

    /// Forgets what no record that is still put in its place can need: times before `watermark` - [`LATENESS`] - `within`. One
    /// exactly there is kept.
    pub fn prune(&mut self, watermark: Timestamp, within: Span) {
        let keep_from = watermark.minus(LATENESS).minus(not_negative(within));
        while self.times.front().is_some_and(|t| *t < keep_from) {
            self.times.pop_front();
        }
        if self.dropped.is_some_and(|t| t < keep_from) {
            self.dropped = None;
        }
        // A burst leaves its memory behind: give it back once it is mostly empty.
        if self.times.capacity() > 64 && self.times.len() < self.times.capacity() / 8 {
            self.times.shrink_to(self.times.len() * 2);
        }
    }

    /// The last instant, included, at which at least `count` of the times seen lie in `[t - within, t]`; `None` when there is
    /// none. Without a further event the condition ceases right after it.
    pub fn holds_until(&self, count: u32, within: Span) -> Option<Timestamp> {
        let count = count.max(1) as usize;
        let within = not_negative(within);
        let last_run = self.times.len().checked_sub(count)?;
        (0..=last_run)
            .rev()
            .find(|&first| self.times[first + count - 1].since(self.times[first]) <= within)
            .map(|first| self.times[first].plus(within))
    }

    /// The oldest and the newest time kept.
    pub fn bounds(&self) -> Option<(Timestamp, Timestamp)> {
        Some((*self.times.front()?, *self.times.back()?))
    }

    /// Times had to go for lack of room that would still count: a late record may be judged by fewer than there were. What
    /// comes in order is judged exactly all the same, for rules of up to [`WINDOW_ENTRIES_MAX`] events.
    pub fn truncated(&self) -> bool {
        self.dropped.is_some()
    }

    pub fn len(&self) -> usize {
        self.times.len()
    }
    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }
    /// Forgets the times after `t`: the clock of the source stepped back to it, and what was seen lies in its future now.
    pub fn forget_after(&mut self, t: Timestamp) {
        self.times.truncate(self.times.partition_point(|x| *x <= t));
    }
}

fn not_negative(span: Span) -> Span {
    span.max(Span::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE: Span = Span::secs(60);

    fn at(us: i64) -> Timestamp {
        Timestamp(1_700_000_000_000_000 + us)
    }
    fn feed(times: &[i64], within: Span, count: u32) -> Vec<Option<(i64, i64)>> {
        let mut w = CountWindow::new();
        let rel = |t: Timestamp| t.0 - at(0).0;
        times
            .iter()
            .map(|t| w.add(at(*t), within, count).map(|b| (rel(b.first), rel(b.at))))
            .collect()
    }

    #[test]
    fn both_edges_are_included() {
        const S: i64 = 1_000_000;
        for (name, times, last) in [
            (
                "the fifth at exactly 60 s",
                vec![0, 15 * S, 30 * S, 45 * S, 60 * S],
                Some((0, 60 * S)),
            ),
            (
                "the fifth at 60 s + 1 µs",
                vec![0, 15 * S, 30 * S, 45 * S, 60 * S + 1],
                None,
            ),
            ("five at one instant", vec![7; 5], Some((7, 7))),
            ("four", vec![0; 4], None),
            (
                "a late one completes a window that ends after it",
                vec![0, 10, 60 * S, 20, 5],
                Some((0, 60 * S)),
            ),
            ("a late one is too old by 1 µs", vec![0, 10, 60 * S, 60 * S, -1], None),
            (
                "a late one before all others",
                vec![10, 60 * S, 60 * S, 60 * S, 0],
                Some((0, 60 * S)),
            ),
            (
                "a sixth names the oldest within the window",
                vec![0, 1, 2, 3, 4, 5, 60 * S + 1],
                Some((1, 60 * S + 1)),
            ),
        ] {
            assert_eq!(feed(&times, MINUTE, 5).last().copied().flatten(), last, "{name}");
        }
    }

    #[test]
    fn degenerate_rules_and_stamps_at_the_end_of_time_do_no_harm() {
        assert_eq!(feed(&[5], Span(-1), 0), [Some((5, 5))]);
        let mut w = CountWindow::new();
        for t in [
            Timestamp::MAX,
            Timestamp::MIN,
            Timestamp(0),
            Timestamp::MAX,
            Timestamp::MIN,
        ] {
            w.add(t, Span::MAX, 3);
            w.prune(Timestamp::MIN, Span::MAX);
            w.holds_until(u32::MAX, Span::MAX);
        }
        assert_eq!(w.add(Timestamp(1), Span::secs(1), u32::MAX), None);
        w.prune(Timestamp::MAX, Span::ZERO);
        assert_eq!(w.bounds(), Some((Timestamp::MAX, Timestamp::MAX)));
    }

    #[test]
    fn at_the_cap_the_oldest_goes_and_it_says_so_for_as_long_as_it_matters() {
        let mut w = CountWindow::new();
        let cap = WINDOW_ENTRIES_MAX as i64;
        for i in 0..cap {
            w.add(at(i), MINUTE, u32::MAX);
        }
        assert!(!w.truncated() && w.len() == WINDOW_ENTRIES_MAX);
        assert!(
            w.add(at(cap), MINUTE, WINDOW_ENTRIES_MAX as u32).is_some(),
            "in order it is exact up to the cap"
        );
        assert!(w.truncated() && w.len() == WINDOW_ENTRIES_MAX);
        assert_eq!(w.add(at(0), MINUTE, 1), None, "no room for one older than all");
        assert_eq!(w.bounds(), Some((at(1), at(cap))));
        w.prune(at(0).plus(LATENESS).plus(MINUTE), MINUTE);
        assert!(w.truncated());
        w.prune(at(1).plus(LATENESS).plus(MINUTE), MINUTE);
        assert!(!w.truncated() && w.len() == WINDOW_ENTRIES_MAX);
        w.prune(at(cap).plus(LATENESS).plus(MINUTE), MINUTE);
        assert!(
            w.len() == 1 && w.times.capacity() <= 64,
            "memory of a burst is given back"
        );
    }

    #[test]
    fn a_step_of_the_clock_leaves_nothing_in_the_future() {
        let mut w = CountWindow::new();
        for us in [0, 10, 20] {
            w.add(at(us), MINUTE, 9);
        }
        w.forget_after(at(10));
        assert_eq!((w.len(), w.bounds()), (2, Some((at(0), at(10)))));
    }

    /// The definition, word for word, over the times as a plain list.
    #[derive(Default)]
    struct Naive(Vec<Timestamp>);

    impl Naive {
        fn within(&self, end: Timestamp, within: Span) -> Vec<Timestamp> {
            self.0
                .iter()
                .copied()
                .filter(|t| *t <= end && end.since(*t) <= within)
                .collect()
        }
        fn add(&mut self, t: Timestamp, within: Span, count: u32) -> Option<Breach> {
            self.0.push(t);
            self.0
                .iter()
                .copied()
                .filter(|end| *end >= t && end.since(t) <= within)
                .filter(|end| self.within(*end, within).len() >= count as usize)
                .min()
                .map(|at| Breach {
                    first: self.within(at, within).into_iter().min().expect("holds t"),
                    at,
                })
        }
        /// The condition can only cease `within` after some event.
        fn holds_until(&self, count: u32, within: Span) -> Option<Timestamp> {
            let ends = self.0.iter().map(|t| t.plus(within));
            ends.filter(|end| self.within(*end, within).len() >= count as usize)
                .max()
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        #[test]
        fn it_agrees_with_the_definition_whatever_the_order(
            steps in proptest::collection::vec((-30i64..40, proptest::bool::weighted(0.2)), 1..60),
            within in 0i64..60, count in 1u32..7,
        ) {
            let (mut w, mut naive, mut t) = (CountWindow::new(), Naive::default(), 0);
            for (step, equal) in steps {
                t += if equal { 0 } else { step };
                prop_assert_eq!(w.add(at(t), Span(within), count), naive.add(at(t), Span(within), count));
                prop_assert_eq!(w.holds_until(count, Span(within)), naive.holds_until(count, Span(within)));
                prop_assert!(w.times.iter().is_sorted());
            }
        }

        /// Pruning by the watermark changes no judgement of a record that comes at most `LATENESS` behind it.
        #[test]
        fn pruning_forgets_nothing_that_a_record_in_time_could_need(
            steps in proptest::collection::vec((0i64..200, 0i64..=300), 1..80), within in 1i64..400, count in 1u32..6,
        ) {
            let (mut w, mut naive, mut newest) = (CountWindow::new(), Naive::default(), 0);
            for (ahead, behind) in steps {
                newest += ahead;
                let late = if ahead % 3 == 0 { behind } else { 0 };
                let t = at((newest - late) * 1_000_000);
                let within = Span::secs(within);
                prop_assert_eq!(w.add(t, within, count), naive.add(t, within, count));
                w.prune(at(newest * 1_000_000), within);
            }
        }

        #[test]
        fn a_checkpoint_brings_it_back(times in proptest::collection::vec(any::<i64>(), 0..20)) {
            let mut w = CountWindow::new();
            for t in times { w.add(Timestamp(t), MINUTE, 3); }
            let text = serde_json::to_string(&w).unwrap();
            prop_assert_eq!(serde_json::from_str::<CountWindow>(&text).unwrap(), w);
        }
    }
}
