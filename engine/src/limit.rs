//! The state of a `limit` rule for one subject: a bound with deadband, on-delay and off-delay, on event time.
//!
//! - *Beyond* is strictly beyond: a value on the bound is not. *Normal again* is a value that came back to the bound or, with a
//!   deadband, at least that far over it (that edge included); between the two an active alarm stays active.
//! - A value holds until the next reading. The alarm becomes active when the value has been beyond for the on-delay, and normal when
//!   it has been normal again for the off-delay. Both edges are included: a delay that ends exactly when a reading comes
//!   has ended. A value within the deadband restarts both.
//! - Delays run on event time. [`LimitState::observe`] lets those end that ended before its reading; where no reading comes, the
//!   caller lets time pass with [`LimitState::advance`]. Both give the same changes.
//! - A reading older than the newest cannot be judged as if it had come in time, for what followed it is not kept. It changes only
//!   what it proves: with no on-delay an excursion that nobody was told of is told (and is over when the newest reading
//!   says so); the peak takes it; and an on-delay or off-delay that it interrupts starts again at the newest reading. Equal
//!   stamps are taken in the order in which they come.
//! - Values that are not finite are ignored.

use crate::rule::{Direction, Limit};
use crate::time::{Span, Timestamp};
use serde::{Deserialize, Serialize};

/// `Default` is the state before the first reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LimitState {
    phase: Phase,
    newest: Option<Reading>,
    /// When it last became normal: what lies before is told already.
    normal_at: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Reading {
    at: Timestamp,
    value: f64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Phase {
    #[default]
    Normal,
    /// Beyond, and the on-delay runs.
    Pending { since: Timestamp, peak: f64 },
    /// `normal_since`: the value is normal again and the off-delay runs.
    Active {
        since: Timestamp,
        peak: f64,
        normal_since: Option<Timestamp>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LimitChange {
    /// The condition holds, since the on-delay had passed. `since` is the first reading beyond, `peak` the worst value from there.
    Activated { since: Timestamp, peak: f64 },
    /// The value had been normal for the off-delay at `at`.
    Normal { at: Timestamp },
}

/// What one reading changed, in order; at most three. Most readings change nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LimitChanges([Option<LimitChange>; 3]);

impl LimitChanges {
    fn push(&mut self, change: Option<LimitChange>) {
        if let Some(free) = self.0.iter_mut().find(|c| c.is_none()) {
            *free = change;
        }
    }
    pub fn is_empty(&self) -> bool {
        self.0[0].is_none()
    }
    pub fn last(&self) -> Option<LimitChange> {
        self.into_iter().last()
    }
}

impl IntoIterator for LimitChanges {
    type Item = LimitChange;
    type IntoIter = std::iter::Flatten<std::array::IntoIter<Option<LimitChange>, 3>>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter().flatten()
    }
}

impl LimitState {
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a reading. `off_delay` is the rule's ([`crate::rule::Rule::off_delay`]); negative delays are read as 0.
    pub fn observe(&mut self, limit: &Limit, off_delay: Span, t: Timestamp, value: f64) -> LimitChanges {
        let mut changes = LimitChanges::default();
        if !value.is_finite() {
            return changes;
        }
        match self.newest {
            Some(newest) if t < newest.at => {
                changes.push(self.observe_late(limit, t, value, newest));
                self.pass(limit, off_delay, newest.at, &mut changes);
            }
            _ => {
                self.pass(limit, off_delay, t, &mut changes);
                self.newest = Some(Reading { at: t, value });
                self.step(limit, t, value);
                self.pass(limit, off_delay, t, &mut changes);
            }
        }
        changes
    }

    /// Lets event time pass without a reading. Never goes back: an earlier `now` than one before changes nothing.
    pub fn advance(&mut self, limit: &Limit, off_delay: Span, now: Timestamp) -> LimitChanges {
        let mut changes = LimitChanges::default();
        self.pass(limit, off_delay, now, &mut changes);
        changes
    }

    /// When time alone changes something next.
    pub fn deadline(&self, limit: &Limit, off_delay: Span) -> Option<Timestamp> {
        match self.phase {
            Phase::Pending { since, .. } => Some(since.plus(limit.on_delay.max(Span::ZERO))),
            Phase::Active {
                normal_since: Some(since),
                ..
            } => Some(since.plus(off_delay.max(Span::ZERO))),
            Phase::Normal | Phase::Active { normal_since: None, .. } => None,
        }
    }

    /// Nothing runs and nothing is active. What is kept still matters for readings that come late, up to [`crate::limits::LATENESS`].
    pub fn is_quiet(&self) -> bool {
        matches!(self.phase, Phase::Normal)
    }
    pub fn is_active(&self) -> bool {
        matches!(self.phase, Phase::Active { .. })
    }
    /// The worst value since the alarm's first reading beyond, while it is active.
    pub fn peak(&self) -> Option<f64> {
        match self.phase {
            Phase::Active { peak, .. } => Some(peak),
            Phase::Normal | Phase::Pending { .. } => None,
        }
    }
    /// The first reading beyond of an active alarm.
    pub fn active_since(&self) -> Option<Timestamp> {
        match self.phase {
            Phase::Active { since, .. } => Some(since),
            Phase::Normal | Phase::Pending { .. } => None,
        }
    }

    /// Ends the delay that ends until `now`, included. Without a reading at most one can: an alarm that becomes active stays so.
    fn pass(&mut self, limit: &Limit, off_delay: Span, now: Timestamp, changes: &mut LimitChanges) {
        while let Some(at) = self.deadline(limit, off_delay).filter(|at| *at <= now) {
            match self.phase {
                Phase::Pending { since, peak } => {
                    self.phase = Phase::Active {
                        since,
                        peak,
                        normal_since: None,
                    };
                    changes.push(Some(LimitChange::Activated { since, peak }));
                }
                Phase::Active { .. } | Phase::Normal => {
                    self.phase = Phase::Normal;
                    self.normal_at = Some(at);
                    changes.push(Some(LimitChange::Normal { at }));
                }
            }
        }
    }

    fn step(&mut self, limit: &Limit, t: Timestamp, value: f64) {
        let beyond = is_beyond(limit, value);
        self.phase = match self.phase {
            Phase::Normal if beyond => Phase::Pending { since: t, peak: value },
            Phase::Normal => Phase::Normal,
            Phase::Pending { since, peak } if beyond => Phase::Pending {
                since,
                peak: worse(limit, peak, value),
            },
            Phase::Pending { .. } => Phase::Normal,
            Phase::Active {
                since,
                peak,
                normal_since,
            } => {
                let normal_since = if is_normal(limit, value) {
                    normal_since.or(Some(t))
                } else {
                    None
                };
                Phase::Active {
                    since,
                    peak: worse(limit, peak, value),
                    normal_since,
                }
            }
        };
    }

    fn observe_late(&mut self, limit: &Limit, t: Timestamp, value: f64, newest: Reading) -> Option<LimitChange> {
        let beyond = is_beyond(limit, value);
        match &mut self.phase {
            Phase::Normal => {
                let untold = self.normal_at.is_none_or(|at| t > at);
                if beyond && untold && limit.on_delay <= Span::ZERO {
                    let normal_since = is_normal(limit, newest.value).then_some(newest.at);
                    self.phase = Phase::Active {
                        since: t,
                        peak: value,
                        normal_since,
                    };
                    return Some(LimitChange::Activated { since: t, peak: value });
                }
            }
            Phase::Pending { since, peak } if t >= *since => {
                if beyond {
                    *peak = worse(limit, *peak, value);
                } else {
                    (*since, *peak) = (newest.at, newest.value);
                }
            }
            Phase::Active {
                since,
                peak,
                normal_since,
            } if t >= *since => {
                *peak = worse(limit, *peak, value);
                if let Some(normal) = normal_since
                    && t >= *normal
                    && !is_normal(limit, value)
                {
                    *normal = newest.at;
                }
            }
            Phase::Pending { .. } | Phase::Active { .. } => {}
        }
        None
    }
}

fn is_beyond(limit: &Limit, value: f64) -> bool {
    match limit.direction {
        Direction::Above => value > limit.bound,
        Direction::Below => value < limit.bound,
    }
}

/// A deadband that is negative or no number is none.
fn is_normal(limit: &Limit, value: f64) -> bool {
    let deadband = limit.deadband.max(0.0);
    match limit.direction {
        Direction::Above => value <= limit.bound - deadband,
        Direction::Below => value >= limit.bound + deadband,
    }
}

fn worse(limit: &Limit, a: f64, b: f64) -> f64 {
    match limit.direction {
        Direction::Above => a.max(b),
        Direction::Below => a.min(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use LimitChange::{Activated, Normal};
    use proptest::prelude::*;
    use std::sync::Arc;

    fn limit(direction: Direction, bound: f64, deadband: f64, on_delay: i64) -> Limit {
        Limit {
            reading: Arc::from("temperature"),
            unit: None,
            direction,
            bound,
            deadband,
            on_delay: Span(on_delay),
        }
    }
    fn above(on_delay: i64) -> Limit {
        limit(Direction::Above, 100.0, 5.0, on_delay)
    }
    const fn t(us: i64) -> Timestamp {
        Timestamp(us)
    }
    /// What is told, without the peak: (active?, when).
    type Told = (bool, i64);
    const fn on(since: i64) -> Told {
        (true, since)
    }
    const fn off(at: i64) -> Told {
        (false, at)
    }
    fn plain(change: LimitChange) -> Told {
        match change {
            Activated { since, .. } => on(since.0),
            Normal { at } => off(at.0),
        }
    }
    fn check(name: &str, l: &Limit, off_delay: i64, readings: &[(i64, f64)], want: &[Told]) -> LimitState {
        let mut s = LimitState::new();
        let got: Vec<_> = readings
            .iter()
            .flat_map(|(at, v)| s.observe(l, Span(off_delay), t(*at), *v))
            .map(plain)
            .collect();
        assert_eq!(got, want, "{name}");
        s
    }

    #[test]
    fn the_edges_of_value_and_time() {
        check("on the bound is not beyond", &above(0), 0, &[(0, 100.0)], &[]);
        check("just over it is", &above(0), 0, &[(0, 100.0), (1, 100.001)], &[on(1)]);
        check(
            "within the deadband it stays active",
            &above(0),
            0,
            &[(0, 101.0), (1, 95.001)],
            &[on(0)],
        );
        check(
            "at the deadband's edge it is normal",
            &above(0),
            0,
            &[(0, 101.0), (1, 95.0)],
            &[on(0), off(1)],
        );
        check(
            "below",
            &limit(Direction::Below, 2.0, 0.5, 0),
            0,
            &[(0, 2.0), (1, 1.9), (2, 2.4), (3, 2.5)],
            &[on(1), off(3)],
        );
        check("on-delay not over", &above(10), 0, &[(0, 101.0), (9, 101.0)], &[]);
        check(
            "on-delay over to the microsecond",
            &above(10),
            0,
            &[(0, 101.0), (10, 101.0)],
            &[on(0)],
        );
        check(
            "normal exactly at its end: it was beyond all the time",
            &above(10),
            0,
            &[(0, 101.0), (10, 90.0)],
            &[on(0), off(10)],
        );
        check(
            "normal before its end",
            &above(10),
            0,
            &[(0, 101.0), (9, 100.0), (20, 101.0), (29, 101.0)],
            &[],
        );
        check(
            "a value holds until the next",
            &above(10),
            0,
            &[(0, 101.0), (500, 90.0)],
            &[on(0), off(500)],
        );
        check(
            "off-delay",
            &above(0),
            10,
            &[(0, 101.0), (5, 90.0), (14, 90.0), (15, 90.0)],
            &[on(0), off(15)],
        );
        check(
            "deadband restarts it",
            &above(0),
            10,
            &[(0, 101.0), (5, 90.0), (14, 96.0), (15, 90.0), (24, 90.0)],
            &[on(0)],
        );
        check(
            "back again at its end",
            &above(0),
            10,
            &[(0, 101.0), (5, 90.0), (15, 101.0)],
            &[on(0), off(15), on(15)],
        );
        check("no number", &above(0), 0, &[(0, f64::NAN), (1, f64::INFINITY)], &[]);
    }

    #[test]
    fn timers_fire_without_a_reading() {
        let l = above(10);
        let mut s = LimitState::new();
        s.observe(&l, Span(20), t(0), 101.0);
        assert_eq!(s.deadline(&l, Span(20)), Some(t(10)));
        assert!(s.advance(&l, Span(20), t(9)).is_empty());
        assert_eq!(s.advance(&l, Span(20), t(50)).last().map(plain), Some(on(0)));
        assert_eq!(
            (s.peak(), s.active_since(), s.deadline(&l, Span(20))),
            (Some(101.0), Some(t(0)), None)
        );
        s.observe(&l, Span(20), t(60), 120.0);
        s.observe(&l, Span(20), t(70), 80.0);
        assert_eq!(s.peak(), Some(120.0));
        assert_eq!(s.deadline(&l, Span(20)), Some(t(90)));
        assert_eq!(s.advance(&l, Span(20), t(90)).last().map(plain), Some(off(90)));
        assert!(s.advance(&l, Span(20), t(1_000)).is_empty() && !s.is_active());
    }

    #[test]
    fn a_reading_out_of_order_proves_only_what_it_can() {
        check(
            "an excursion nobody saw",
            &above(0),
            0,
            &[(0, 90.0), (10, 90.0), (5, 101.0)],
            &[on(5), off(10)],
        );
        let s = check("with an off-delay", &above(0), 20, &[(10, 90.0), (5, 130.0)], &[on(5)]);
        assert_eq!((s.peak(), s.deadline(&above(0), Span(20))), (Some(130.0), Some(t(30))));
        check(
            "part of one that is told",
            &above(0),
            0,
            &[(5, 101.0), (10, 90.0), (6, 102.0)],
            &[on(5), off(10)],
        );
        check(
            "an on-delay cannot be proven",
            &above(3),
            0,
            &[(10, 90.0), (5, 101.0)],
            &[],
        );
        check(
            "an on-delay interrupted",
            &above(10),
            0,
            &[(0, 101.0), (8, 101.0), (4, 90.0), (17, 101.0)],
            &[],
        );
        check(
            "and over",
            &above(10),
            0,
            &[(0, 101.0), (8, 101.0), (4, 90.0), (18, 101.0)],
            &[on(8)],
        );
        check(
            "an off-delay interrupted",
            &above(0),
            10,
            &[(0, 101.0), (5, 90.0), (9, 90.0), (7, 101.0), (18, 90.0)],
            &[on(0)],
        );
        let s = check(
            "the peak takes it",
            &above(0),
            10,
            &[(0, 101.0), (5, 101.0), (3, 150.0)],
            &[on(0)],
        );
        assert_eq!(s.peak(), Some(150.0));
        let s = check(
            "but not one before the alarm",
            &above(0),
            10,
            &[(5, 101.0), (3, 150.0)],
            &[on(5)],
        );
        assert_eq!(s.peak(), Some(101.0));
    }

    /// The definition, walked microsecond by microsecond.
    struct Naive<'a> {
        limit: &'a Limit,
        off_delay: i64,
        active: bool,
        beyond: Option<(i64, f64)>,
        normal: Option<i64>,
        told: Vec<LimitChange>,
    }

    impl Naive<'_> {
        /// A delay that ends now ends before what comes now.
        fn settle(&mut self, now: i64) {
            if let Some((since, peak)) = self
                .beyond
                .filter(|b| !self.active && now - b.0 >= self.limit.on_delay.0)
            {
                (self.active, self.beyond, self.normal) = (true, None, None);
                self.told.push(Activated { since: t(since), peak });
            } else if self.normal.is_some_and(|n| self.active && now - n >= self.off_delay) {
                (self.active, self.beyond, self.normal) = (false, None, None);
                self.told.push(Normal { at: t(now) });
            }
        }
        fn read(&mut self, now: i64, v: f64) {
            let above = self.limit.direction == Direction::Above;
            let over = if above {
                v - self.limit.bound
            } else {
                self.limit.bound - v
            };
            if self.active {
                self.normal = (-over >= self.limit.deadband).then(|| self.normal.unwrap_or(now));
            } else {
                let worst = |b: (i64, f64)| (b.0, if above == (v > b.1) { v } else { b.1 });
                self.beyond = (over > 0.0).then(|| self.beyond.map_or((now, v), worst));
            }
        }
    }

    fn naive(limit: &Limit, off_delay: i64, readings: &[(i64, f64)], until: i64) -> Vec<LimitChange> {
        let mut n = Naive {
            limit,
            off_delay,
            active: false,
            beyond: None,
            normal: None,
            told: Vec::new(),
        };
        for now in 0..=until {
            n.settle(now);
            for (_, v) in readings.iter().filter(|r| r.0 == now) {
                n.read(now, *v);
                n.settle(now);
            }
        }
        n.told
    }

    fn histories() -> impl Strategy<Value = Vec<(i64, f64)>> {
        proptest::collection::vec((0i64..12, -4i32..5), 1..40).prop_map(|steps| {
            let mut now = 0;
            steps
                .into_iter()
                .map(|(gap, v)| {
                    now += gap;
                    (now, f64::from(v))
                })
                .collect()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        #[test]
        fn it_agrees_with_the_definition(
            readings in histories(), above in any::<bool>(), deadband in 0u8..4, on_delay in 0i64..15, off_delay in 0i64..15,
            ticks in proptest::collection::vec(any::<bool>(), 40),
        ) {
            let l = limit(if above { Direction::Above } else { Direction::Below }, 0.0, f64::from(deadband), on_delay);
            let end = readings.last().map_or(0, |r| r.0) + 40;
            let mut s = LimitState::new();
            let mut got = Vec::new();
            for (i, (at, v)) in readings.iter().enumerate() {
                // A timer may or may not have fired before the reading comes: the same changes.
                if ticks[i] {
                    while let Some(d) = s.deadline(&l, Span(off_delay)).filter(|d| d.0 <= *at) {
                        got.extend(s.advance(&l, Span(off_delay), d));
                    }
                }
                got.extend(s.observe(&l, Span(off_delay), t(*at), *v));
            }
            got.extend(s.advance(&l, Span(off_delay), t(end)));
            prop_assert_eq!(got, naive(&l, off_delay, &readings, end));
        }

        /// Whatever the order: changes alternate, none is before an alarm's own beginning, and a checkpoint changes nothing.
        #[test]
        fn any_order_leaves_a_sound_state(
            readings in proptest::collection::vec((prop_oneof![0i64..50, any::<i64>()], prop_oneof![-4.0..5.0f64, any::<f64>()]), 1..60),
            on_delay in -1i64..10, off_delay in -1i64..10,
        ) {
            let l = limit(Direction::Above, 0.0, 1.0, on_delay);
            let mut s = LimitState::new();
            let mut active = false;
            for (at, v) in readings {
                for c in s.observe(&l, Span(off_delay), t(at), v) {
                    match c {
                        Activated { .. } => { prop_assert!(!active); active = true; }
                        Normal { .. } => { prop_assert!(active); active = false; }
                    }
                }
                prop_assert_eq!(s.is_active(), active);
                prop_assert_eq!(s.peak().is_some(), active);
                if let Some(p) = s.peak() { prop_assert!(p > 0.0); }
                let text = serde_json::to_string(&s).unwrap();
                let back: LimitState = serde_json::from_str(&text).unwrap();
                prop_assert_eq!(back.is_active(), s.is_active());
                prop_assert_eq!(back.deadline(&l, Span(off_delay)), s.deadline(&l, Span(off_delay)));
            }
        }
    }
}
