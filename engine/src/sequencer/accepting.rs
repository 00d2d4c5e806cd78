//! When Andon could be heard. Quiet in time in which it took nothing, for whatever reason, is not silence.
//!
//! Nor is time that never passed: what the wall clock was set forward by beyond the time that really passed does not count.

use crate::time::{Span, Timestamp};

/// Gaps remembered one by one; older ones are joined with the time between them.
const GAPS_MAX: usize = 64;
/// By how much our own clock may step back before what it said is forgotten.
const STEP_MAX: Span = Span::secs(5);

/// Since when Andon accepts, and the gaps since then. Runs on the wall clock and is not journaled: a silence is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepting {
    since: Timestamp,
    /// From and to, in order.
    gaps: Vec<(Timestamp, Timestamp)>,
    asked_at: Timestamp,
    /// [`crate::time::Clock::elapsed`] then; `None` before it was first asked.
    elapsed: Option<Span>,
}

impl Accepting {
    pub fn since(since: Timestamp) -> Self {
        Self {
            since,
            gaps: Vec::new(),
            asked_at: since,
            elapsed: None,
        }
    }

    /// It is `now`, and `elapsed` by [`crate::time::Clock::elapsed`]: has Andon accepted since it was asked last? Not when the journal was
    /// full, requests found no memory, or the process stood still.
    pub fn observe(&mut self, now: Timestamp, elapsed: Span, accepted: bool) {
        let on_wall = now.since(self.asked_at);
        let passed = self.elapsed.replace(elapsed).map_or(on_wall, |e| Span(elapsed.0 - e.0));
        if now < self.asked_at.minus(STEP_MAX) {
            // Our own clock was set back: what it said before says nothing about how long anybody has been quiet.
            *self = Self {
                elapsed: self.elapsed,
                ..Self::since(now)
            };
            return;
        }
        if !accepted {
            self.add_gap(self.asked_at, now);
        } else if on_wall > passed.plus(STEP_MAX) {
            self.add_gap(self.asked_at, now.minus(passed));
        }
        self.asked_at = self.asked_at.max(now);
    }

    fn add_gap(&mut self, from: Timestamp, to: Timestamp) {
        match self.gaps.last_mut() {
            Some(last) if last.1 >= from => last.1 = last.1.max(to),
            _ => self.gaps.push((from, to)),
        }
        if self.gaps.len() > GAPS_MAX {
            let first = self.gaps.remove(0);
            self.gaps[0].0 = first.0;
        }
    }

    /// How long somebody last heard at `from` has been quiet by `now`, in time that counts.
    pub fn quiet(&self, from: Timestamp, now: Timestamp) -> Span {
        let from = if from > now.plus(STEP_MAX) {
            // Stamped before our own clock was set back.
            self.since
        } else {
            from.clamp(self.since.min(now), now)
        };
        let gaps = self.gaps.iter().rev().take_while(|g| g.1 > from);
        let missed: i64 = gaps.map(|g| g.1.since(g.0.max(from)).0.max(0)).sum();
        Span(now.since(from).0.saturating_sub(missed))
    }

    /// Since when quiet can be told at all.
    pub fn start(&self) -> Timestamp {
        self.since
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn t(seconds: i64) -> Timestamp {
        Timestamp(1_800_000_000_000_000).plus(Span::secs(seconds))
    }
    /// Asks at this second, when so many seconds have really passed.
    fn ask_at(a: &mut Accepting, wall: i64, passed: i64, accepts: bool) {
        a.observe(t(wall), Span::secs(passed), accepts);
    }
    fn ask(a: &mut Accepting, from: i64, to: i64, accepts: bool) {
        (from..=to).for_each(|s| ask_at(a, s, s, accepts));
    }

    #[test]
    fn time_in_which_nothing_was_taken_does_not_count() {
        let mut a = Accepting::since(t(0));
        ask(&mut a, 1, 100, true);
        assert_eq!(a.quiet(t(40), t(100)), Span::secs(60));
        assert_eq!(
            a.quiet(t(-500), t(100)),
            Span::secs(100),
            "before it began it could not hear"
        );
        ask(&mut a, 101, 400, false);
        assert_eq!(a.quiet(t(40), t(400)), Span::secs(60), "the journal was full");
        ask(&mut a, 401, 410, true);
        assert_eq!(a.quiet(t(40), t(410)), Span::secs(70));
        assert_eq!(a.quiet(t(200), t(410)), Span::secs(10), "heard within the gap");
        ask_at(&mut a, 1_000, 1_000, false);
        assert_eq!(a.quiet(t(405), t(1_000)), Span::secs(5), "the process stood still");
    }

    #[test]
    fn a_clock_of_ours_that_is_set_back_gives_everybody_their_time_anew() {
        let mut a = Accepting::since(t(0));
        ask(&mut a, 1, 10, true);
        ask_at(&mut a, 700_000, 700_000, true);
        ask_at(&mut a, 20, 700_001, true);
        assert_eq!(
            a.quiet(t(699_999), t(25)),
            Span::secs(5),
            "heard in what is the future now"
        );
        assert_eq!(a.quiet(t(5), t(25)), Span::secs(5));
    }

    #[test]
    fn time_that_never_passed_does_not_count_and_leaves_nothing_behind() {
        const DAYS: i64 = 8 * 86_400;
        let mut a = Accepting::since(t(0));
        ask(&mut a, 1, 10, true);
        for s in 11..=70 {
            ask_at(&mut a, DAYS + s, s, true);
        }
        assert_eq!(a.quiet(t(5), t(DAYS + 70)), Span::secs(65), "set forward for a minute");
        assert_eq!(a.quiet(t(DAYS + 20), t(DAYS + 70)), Span::secs(50));
        ask_at(&mut a, 71, 71, true);
        assert_eq!(a, {
            let mut anew = Accepting::since(t(71));
            anew.elapsed = Some(Span::secs(71));
            anew
        });
        // Slewed, it is as good as time.
        for s in 72..=200 {
            a.observe(t(s), Span::millis(s * 999), true);
        }
        assert_eq!(a.quiet(t(100), t(200)), Span::secs(100));
    }

    #[test]
    fn a_receipt_a_moment_ahead_of_the_clock_is_no_silence() {
        let mut a = Accepting::since(t(0));
        ask(&mut a, 1, 1_000, true);
        assert_eq!(a.quiet(t(1_002), t(1_000)), Span::ZERO);
    }

    #[test]
    fn however_many_gaps_there_are_they_are_bounded_and_none_counts() {
        let mut a = Accepting::since(t(0));
        for s in 1..10_000 {
            ask_at(&mut a, s, s, s % 2 == 0);
        }
        assert!(a.gaps.len() <= GAPS_MAX);
        assert!(a.quiet(t(0), t(9_999)) <= Span::secs(5_000));
    }
}
