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

#[test]
fn after_a_step_of_the_clock_it_goes_on_from_there() {
    let l = above(10);
    let mut s = check(
        "pending when the clock steps",
        &l,
        10,
        &[(1_000, 90.0), (1_005, 101.0)],
        &[],
    );
    s.clock_stepped(t(100));
    assert_eq!(s.deadline(&l, Span(10)), Some(t(110)), "the on-delay starts anew");
    let told: Vec<_> = [(100, 101.0), (105, 120.0), (110, 101.0)]
        .into_iter()
        .flat_map(|(at, v)| s.observe(&l, Span(10), t(at), v))
        .collect();
    assert_eq!(
        told,
        [Activated {
            since: t(100),
            peak: 120.0
        }]
    );
    s.observe(&l, Span(10), t(200), 90.0);
    s.clock_stepped(t(50));
    assert_eq!(s.deadline(&l, Span(10)), Some(t(60)));
    s.clock_stepped(t(70));
    assert_eq!(s.deadline(&l, Span(10)), Some(t(60)), "forward it is no step back");
    assert_eq!(s.advance(&l, Span(10), t(60)).last(), Some(Normal { at: t(60) }));
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
