//! The sliding window of a `count` rule: exact, on event time, with late records put in their place.
//!
//! Both edges are included. `count` events of which the last lies exactly `within` after the first breach; one microsecond
//! more and they do not. The condition *holds at t* when at least `count` of the times seen lie in `[t - within, t]`.
//!
//! **What is kept.** From its old end a window forgets a time once it is older than [`LATENESS`] + `within` by event time *and* was received
//! longer ago than that. So a record that is put in its place finds what it needs, and so do the records of a buffer that is emptied
//! out of order, among live ones or after them: they arrive within minutes of each other, however old they are.

use super::events::Events;
use crate::level::Level;
use crate::limits::{LATENESS, WINDOW_ENTRIES_MAX};
use crate::time::{Span, Timestamp};
use serde::{Deserialize, Serialize};

/// A matching event: when it happened, when it was received, and what kind of event it was.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Event(Timestamp, Timestamp, Mark);

/// What an incident has to know of each event that belongs to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// 0 where there is no message.
    pub fingerprint: u64,
    pub level: Option<Level>,
}

/// The times of the matching events, ascending, up to [`WINDOW_ENTRIES_MAX`].
///
/// Starts without memory and grows by doubling. In order, [`CountWindow::add`] takes constant time; a late record takes up to
/// `count` steps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CountWindow {
    seen: Events<Event>,
    /// The newest time that had to go for lack of room.
    dropped: Option<Timestamp>,
    /// Newest receipt of all that was added since the window was empty.
    received_at: Option<Timestamp>,
}

/// A window that holds enough events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breach {
    /// The oldest event in the window that ends at `at`.
    pub first: Timestamp,
    /// The event with which the condition began to hold.
    pub at: Timestamp,
    /// The last instant, included, at which the condition holds by the windows that the event belongs to.
    pub until: Timestamp,
}

impl CountWindow {
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes an event at `t` in and judges every window of `within` that contains it. When several hold `count` events, the one
    /// that ends first says since when. A `count` of 0 is read as 1, a negative `within` as 0.
    pub fn add(
        &mut self,
        t: Timestamp,
        received_at: Timestamp,
        mark: Mark,
        within: Span,
        count: u32,
    ) -> Option<Breach> {
        let mut place = match self.seen.back() {
            Some(last) if last.0 > t => self.seen.partition_point(|x| x.0 <= t),
            _ => self.seen.len(),
        };
        self.seen.insert(place, Event(t, received_at, mark));
        self.received_at = self.received_at.max(Some(received_at));
        if self.seen.len() > WINDOW_ENTRIES_MAX {
            let gone = self.seen.pop_front().map(|s| s.0);
            self.dropped = self.dropped.max(gone);
            // The event itself was the oldest: there is no room to judge it.
            place = place.checked_sub(1)?;
        }
        let count = count.max(1) as usize;
        let within = not_negative(within);
        // `end` is the last event of a run of `count` that contains `place`; before the first full run there is none.
        let ends = place.max(count - 1)..self.seen.len().min(place.saturating_add(count));
        let full = |end: &usize| self.time(*end).since(self.time(end + 1 - count)) <= within;
        let first_end = ends
            .clone()
            .take_while(|end| self.time(*end).since(t) <= within)
            .find(full)?;
        let last_end = ends.rev().find(full).unwrap_or(first_end);
        let at = self.time(first_end);
        Some(Breach {
            first: self.first_since(at.minus(within), first_end + 1 - count),
            at,
            until: self.time(last_end + 1 - count).plus(within),
        })
    }

    fn time(&self, place: usize) -> Timestamp {
        self.seen.get(place).map_or(Timestamp::MIN, |s| s.0)
    }

    /// The oldest time not before `since`; `known` is the index of one that is not.
    fn first_since(&self, since: Timestamp, known: usize) -> Timestamp {
        let earlier = known.checked_sub(1).and_then(|i| self.seen.get(i));
        if earlier.is_some_and(|s| s.0 >= since) {
            self.time(self.seen.partition_point(|s| s.0 < since))
        } else {
            self.time(known)
        }
    }

    /// The events in `[from, to]`.
    pub fn between(&self, from: Timestamp, to: Timestamp) -> impl Iterator<Item = (Timestamp, Mark)> + '_ {
        let start = self.seen.partition_point(|s| s.0 < from);
        let end = self.seen.partition_point(|s| s.0 <= to);
        self.seen.range(start, end.max(start)).map(|s| (s.0, s.2))
    }

    /// Event time has reached `watermark`, and it is `received_at`: forgets, from the old end, what is older than
    /// [`LATENESS`] + `within` by both. One exactly there is kept.
    pub fn prune(&mut self, watermark: Timestamp, received_at: Timestamp, within: Span) {
        let kept = kept(within);
        let (event_from, received_from) = (watermark.minus(kept), received_at.minus(kept));
        while self
            .seen
            .front()
            .is_some_and(|s| s.0 < event_from && s.1 < received_from)
        {
            self.seen.pop_front();
        }
        if self.dropped.is_some_and(|t| t < event_from) {
            self.dropped = None;
        }
        if self.seen.is_empty() {
            self.received_at = None;
        }
    }

    /// Event time and receipt after which [`CountWindow::prune`] leaves nothing.
    pub fn empty_after(&self, within: Span) -> Option<(Timestamp, Timestamp)> {
        let kept = kept(within);
        Some((self.seen.back()?.0.plus(kept), self.received_at?.plus(kept)))
    }

    /// The oldest and the newest time kept.
    pub fn bounds(&self) -> Option<(Timestamp, Timestamp)> {
        Some((self.seen.front()?.0, self.seen.back()?.0))
    }

    /// Times had to go for lack of room that would still count: a late record may be judged by fewer than there were. What
    /// comes in order is judged exactly all the same, for rules of up to [`WINDOW_ENTRIES_MAX`] events.
    pub fn truncated(&self) -> bool {
        self.dropped.is_some()
    }

    pub fn len(&self) -> usize {
        self.seen.len()
    }
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }
    /// Forgets the times after `t`: the clock of the source stepped back to it, and what was seen lies in its future now.
    pub fn forget_after(&mut self, t: Timestamp) {
        self.seen.truncate(self.seen.partition_point(|x| x.0 <= t));
    }
}

/// How long a time is kept, by event time and by receipt: as long as a record that is put in its place may need it.
pub(crate) fn kept(within: Span) -> Span {
    LATENESS.plus(not_negative(within))
}

fn not_negative(span: Span) -> Span {
    span.max(Span::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE: Span = Span::secs(60);
    const NO_MARK: Mark = Mark {
        fingerprint: 0,
        level: None,
    };

    fn at(us: i64) -> Timestamp {
        Timestamp(1_700_000_000_000_000 + us)
    }
    fn feed(times: &[i64], within: Span, count: u32) -> Vec<Option<(i64, i64)>> {
        let mut w = CountWindow::new();
        let rel = |t: Timestamp| t.0 - at(0).0;
        times
            .iter()
            .map(|t| {
                w.add(at(*t), at(*t), NO_MARK, within, count)
                    .map(|b| (rel(b.first), rel(b.at)))
            })
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
            w.add(t, t, NO_MARK, Span::MAX, 3);
            w.prune(Timestamp::MIN, Timestamp::MIN, Span::MAX);
        }
        assert_eq!(
            w.add(Timestamp(1), Timestamp(1), NO_MARK, Span::secs(1), u32::MAX),
            None
        );
        w.prune(Timestamp::MAX, Timestamp::MAX, Span::ZERO);
        assert_eq!(w.bounds(), Some((Timestamp::MAX, Timestamp::MAX)));
    }

    #[test]
    fn at_the_cap_the_oldest_goes_and_it_says_so_for_as_long_as_it_matters() {
        let mut w = CountWindow::new();
        let cap = WINDOW_ENTRIES_MAX as i64;
        for i in 0..cap {
            w.add(at(i), at(i), NO_MARK, MINUTE, u32::MAX);
        }
        assert!(!w.truncated() && w.len() == WINDOW_ENTRIES_MAX);
        assert!(
            w.add(at(cap), at(cap), NO_MARK, MINUTE, WINDOW_ENTRIES_MAX as u32)
                .is_some(),
            "in order it is exact up to the cap"
        );
        assert!(w.truncated() && w.len() == WINDOW_ENTRIES_MAX);
        assert_eq!(
            w.add(at(0), at(0), NO_MARK, MINUTE, 1),
            None,
            "no room for one older than all"
        );
        assert_eq!(w.bounds(), Some((at(1), at(cap))));
        w.prune(
            at(0).plus(LATENESS).plus(MINUTE),
            at(0).plus(LATENESS).plus(MINUTE),
            MINUTE,
        );
        assert!(w.truncated());
        w.prune(
            at(1).plus(LATENESS).plus(MINUTE),
            at(1).plus(LATENESS).plus(MINUTE),
            MINUTE,
        );
        assert!(!w.truncated() && w.len() == WINDOW_ENTRIES_MAX);
        w.prune(
            at(cap).plus(LATENESS).plus(MINUTE),
            at(cap).plus(LATENESS).plus(MINUTE),
            MINUTE,
        );
        assert_eq!(w.len(), 1);
    }

    #[test]
    fn a_step_of_the_clock_leaves_nothing_in_the_future() {
        let mut w = CountWindow::new();
        for us in [0, 10, 20] {
            w.add(at(us), at(us), NO_MARK, MINUTE, 9);
        }
        w.forget_after(at(10));
        assert_eq!((w.len(), w.bounds()), (2, Some((at(0), at(10)))));
    }

    #[test]
    fn what_was_received_of_late_is_kept_however_old_it_is() {
        let mut w = CountWindow::new();
        let hour = Span::hours(1);
        // Three of an hour ago, received now; then event time moves on to now.
        for us in [0, 1, 2] {
            assert_eq!(w.add(at(us), at(us).plus(hour), NO_MARK, MINUTE, 5), None);
        }
        w.prune(at(0).plus(hour), at(0).plus(hour), MINUTE);
        assert_eq!(w.len(), 3);
        assert_eq!(w.add(at(4), at(10).plus(hour), NO_MARK, MINUTE, 5), None);
        let breach = w
            .add(at(3), at(11).plus(hour), NO_MARK, MINUTE, 5)
            .expect("five within a minute");
        assert_eq!(
            (breach.first, breach.at, breach.until),
            (at(0), at(4), at(0).plus(MINUTE))
        );
        let kept = LATENESS.plus(MINUTE);
        assert_eq!(
            w.empty_after(MINUTE),
            Some((at(4).plus(kept), at(11).plus(hour).plus(kept)))
        );
        w.prune(at(12).plus(hour).plus(kept), at(12).plus(hour).plus(kept), MINUTE);
        assert!(w.is_empty());
    }

    /// The definition, word for word, over the times as a plain list.
    #[derive(Default)]
    struct Naive(Vec<Timestamp>);

    impl Naive {
        fn within(&self, end: Timestamp, within: Span) -> Vec<Timestamp> {
            let here = |t: &Timestamp| *t <= end && end.since(*t) <= within;
            self.0.iter().copied().filter(here).collect()
        }
        fn add(&mut self, t: Timestamp, within: Span, count: u32) -> Option<Breach> {
            self.0.push(t);
            let holds = |end: &Timestamp| self.within(*end, within).len() >= count as usize;
            let own = |end: &Timestamp| *end >= t && end.since(t) <= within;
            let at = self.0.iter().copied().filter(own).filter(holds).min()?;
            // The condition can only cease `within` after some event; of those ends, the last at which `t` still counts.
            let ceases = self.0.iter().map(|x| x.plus(within));
            Some(Breach {
                first: self.within(at, within).into_iter().min().expect("holds t"),
                at,
                until: ceases.filter(own).filter(holds).max().expect("it holds at `at`"),
            })
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
                prop_assert_eq!(w.add(at(t), at(0), NO_MARK, Span(within), count), naive.add(at(t), Span(within), count));
                prop_assert!(w.seen.iter().map(|s| s.0).is_sorted());
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
                let (within, now) = (Span::secs(within), at(newest * 1_000_000));
                prop_assert_eq!(w.add(t, now, NO_MARK, within, count), naive.add(t, within, count));
                w.prune(now, now, within);
            }
        }

        #[test]
        fn a_checkpoint_brings_it_back(times in proptest::collection::vec(any::<i64>(), 0..20)) {
            let mut w = CountWindow::new();
            for t in times { w.add(Timestamp(t), Timestamp(t), NO_MARK, MINUTE, 3); }
            let text = serde_json::to_string(&w).unwrap();
            prop_assert_eq!(serde_json::from_str::<CountWindow>(&text).unwrap(), w);
        }
    }
}
