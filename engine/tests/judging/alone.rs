//! One device under one count rule: what there must be follows from the list of its times alone, without a notion of an entry, a
//! watermark or a timer.

use crate::harness::judged;
use crate::history::{History, START, Sent, Step};
use crate::incidents::Row;
use crate::number;
use andon_engine::ids::{RouteId, RuleId};
use andon_engine::incident::TimelineKind::{self, Closed, Opened, Reopened, ReturnedToNormal};
use andon_engine::level::Level;
use andon_engine::limits::LATENESS;
use andon_engine::rule::{Condition, Configuration, Priority, Rule, Selector};
use andon_engine::subject::SubjectKind;
use andon_engine::time::{Span, Timestamp};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const COURSES: u64 = 400;

struct Course {
    count: usize,
    within: Span,
    off_delay: Span,
    reopen_within: Span,
    /// Ascending.
    times: Vec<Timestamp>,
}

/// A stretch of time, both edges included.
type Stretch = (Timestamp, Timestamp);

impl Course {
    fn random(rng: &mut StdRng) -> Course {
        let mut pick = |from: &[i64]| Span::secs(from[rng.random_range(0..from.len())]);
        let (within, off_delay) = (pick(&[0, 10, 60, 600]), pick(&[0, 1, 30, 300]));
        let reopen_within = pick(&[0, 20, 300, 86_400]);
        let mut times = Vec::new();
        let mut now = START;
        for _ in 0..rng.random_range(1..120) {
            let edge = [within, off_delay, within.plus(off_delay), reopen_within][rng.random_range(0..4)];
            now = now.plus(match rng.random_range(0..10) {
                0 => Span::ZERO,
                1..6 => Span(rng.random_range(0..=within.0 / 2)),
                6 => Span((edge.0 + rng.random_range(-1..=1)).max(0)),
                7 => edge.plus(Span(rng.random_range(0..=within.0))),
                _ => Span(rng.random_range(0..=600_000_000)),
            });
            times.push(now);
        }
        Course {
            count: rng.random_range(1..6),
            within,
            off_delay,
            reopen_within,
            times,
        }
    }

    /// When the condition holds: as many times as it takes lie within the window that ends then. Ascending, they may overlap.
    fn holds(&self) -> Vec<Stretch> {
        let runs = self.times.windows(self.count);
        let runs = runs.map(|run| (run[self.count - 1], run[0].plus(self.within)));
        runs.filter(|(from, to)| from <= to).collect()
    }

    fn configuration(&self) -> Configuration {
        let rule = Rule {
            id: RuleId::new("r0"),
            name: "a rule".into(),
            enabled: true,
            selector: Selector::default(),
            subject: SubjectKind::Device,
            condition: Condition::Count {
                count: self.count as u32,
                within: self.within,
            },
            priority: Priority::P2,
            route: RouteId::new("default"),
            runbook: None,
            off_delay: self.off_delay,
            reopen_within: self.reopen_within,
            passes_throttle: false,
            safety: false,
        };
        Configuration {
            version: 1,
            rules: vec![rule].into(),
            ..Configuration::default()
        }
    }

    /// What must be in the timelines, incident by incident, and how many records belong to each. A record counts
    /// once, also where two occurrences have it.
    fn defined(&self) -> Vec<(Vec<(TimelineKind, Timestamp)>, u64)> {
        let off_delay = self.off_delay.max(Span::micros(1));
        let mut incidents: Vec<(Vec<(TimelineKind, Timestamp)>, u64)> = Vec::new();
        let mut stretches: Vec<Stretch> = Vec::new();
        for (from, to) in self.holds() {
            match stretches.last_mut() {
                // At the very end of the off-delay it is normal again.
                Some(last) if from < last.1.plus(off_delay) => last.1 = to,
                _ => stretches.push((from, to)),
            }
        }
        let mut normal_at = None;
        let mut of_it = vec![false; self.times.len()];
        for (from, to) in stretches {
            let reopens = normal_at.is_some_and(|normal| from.since(normal) <= self.reopen_within);
            if !reopens {
                if let Some((lines, _)) = incidents.last_mut() {
                    lines.push((Closed, from));
                }
                incidents.push((Vec::new(), 0));
                of_it.fill(false);
            }
            let normal = to.plus(off_delay);
            for (of_it, t) in of_it.iter_mut().zip(&self.times) {
                *of_it |= from.minus(self.within) <= *t && *t <= normal;
            }
            let (lines, count) = incidents.last_mut().expect("there is one now");
            lines.push((if reopens { Reopened } else { Opened }, from));
            lines.push((ReturnedToNormal, normal));
            *count = of_it.iter().filter(|of_it| **of_it).count() as u64;
            normal_at = Some(normal);
        }
        incidents
    }

    /// The times with their receipts, sent in the order of receipt, some in one entry; timers fire now and then.
    fn history(&self, rng: &mut StdRng, mut lag: impl FnMut(&mut StdRng, Timestamp) -> Span) -> History {
        let mut sent: Vec<Stretch> = self.times.iter().map(|t| (t.plus(lag(rng, *t)), *t)).collect();
        sent.sort_by_key(|(received_at, _)| *received_at);
        let mut steps: Vec<Step> = Vec::new();
        let mut wall = START;
        for (received_at, stamp) in sent {
            if rng.random_ratio(1, 3) {
                wall = wall.plus(Span(rng.random_range(0..=received_at.since(wall).0)));
                steps.push(Step::Timers { wall });
            }
            wall = received_at;
            steps.push(Step::Records {
                received_at,
                sender: "key-1",
                records: vec![Sent {
                    stamp,
                    level: Some(Level::Error),
                    message: Some("lock timeout".to_owned()),
                    device: Some("D1"),
                    ..Sent::default()
                }],
            });
        }
        History {
            configuration: self.configuration(),
            steps,
        }
    }
}

/// The rows in the order in which they opened, without what is not of the condition.
fn rows(history: &History) -> Vec<Row> {
    let rows = judged(history, false)
        .unwrap_or_else(|why| panic!("{history}\n{why}"))
        .1;
    let mut rows: Vec<Row> = rows.into_values().collect();
    rows.sort_by_key(|r| r.timeline[0].1);
    rows
}

fn courses() -> u64 {
    number("HISTORIES").map_or(COURSES, |n| n / 10)
}

/// Always late by the same, or from a buffer that is emptied at twice the pace at which it was filled. A lag of more than
/// [`LATENESS`] that stays would be that of a slow clock, which is judged by receipt.
#[test]
fn what_comes_in_order_is_judged_by_its_times_alone() {
    for seed in 0..courses() {
        let mut rng = StdRng::seed_from_u64(seed);
        let course = Course::random(&mut rng);
        let lag = Span(rng.random_range(0..=Span::mins(50).0));
        let first = course.times[0];
        let history = course.history(&mut rng, |_, t| match seed % 2 {
            0 => Span(lag.0.min(LATENESS.0)),
            _ => Span((lag.0 - t.since(first).0 / 2).max(0)),
        });
        let have: Vec<_> = rows(&history).into_iter().map(|r| (r.timeline, r.count)).collect();
        let want = course.defined();
        let n = (0..have.len().max(want.len())).find(|n| have.get(*n) != want.get(*n));
        if let Some(n) = n {
            panic!("seed {seed}\n{history}\n{:?}, defined {:?}", have.get(n), want.get(n));
        }
    }
}

/// Up to five minutes late, in any order: whatever held is in an incident, and no incident is of something that did not hold.
#[test]
fn no_order_of_arrival_hides_or_invents_a_breach() {
    for seed in 0..courses() {
        let mut rng = StdRng::seed_from_u64(seed);
        let course = Course::random(&mut rng);
        let history = course.history(&mut rng, |rng, _| Span(rng.random_range(0..=LATENESS.0)));
        let rows = rows(&history);
        let mut occurrences: Vec<Stretch> = Vec::new();
        for (kind, at) in rows.iter().flat_map(|r| &r.timeline) {
            match kind {
                Opened | Reopened => occurrences.push((*at, *at)),
                ReturnedToNormal => occurrences.last_mut().expect("it began").1 = *at,
                _ => {}
            }
        }
        let holds = course.holds();
        for (from, to) in &holds {
            // What comes late joins the incident that is active by then.
            let reach = LATENESS.plus(course.within);
            let is_told = occurrences.iter().any(|o| o.0.minus(reach) <= *to && o.1 >= *from);
            assert!(
                is_told,
                "seed {seed}: from {from} to {to} in none of {occurrences:?}\n{history}"
            );
        }
        for (opened_at, _) in &occurrences {
            let held = holds.iter().any(|(from, to)| from <= opened_at && opened_at <= to);
            assert!(held, "seed {seed}: nothing held at {opened_at}\n{history}");
        }
    }
}
