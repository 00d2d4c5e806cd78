//! Silence against a naive model: every second it asks every device anew, from the list of all words.

use super::*;
use crate::silence::{GAPS_MIN, LEARNED_MIN};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

type Name = &'static str;
const NAMES: [Name; 7] = ["a", "b", "c", "d", "e", "f", "g"];
const AFTER: i64 = 20;

struct Word {
    at: i64,
    device: Name,
    /// It ended or changed a silence: the gap before it is not usual.
    breaks_silence: bool,
}

struct Told {
    own: bool,
    lifted: bool,
    named: BTreeSet<Name>,
}

#[derive(Default)]
struct Model {
    after: Option<Span>,
    words: Vec<Word>,
    registered: BTreeMap<Name, i64>,
    refused: BTreeSet<i64>,
    gateway: BTreeMap<Name, Name>,
    plant: BTreeSet<Name>,
    uncovered: BTreeSet<Name>,
    open: BTreeMap<Name, Told>,
    resumed: BTreeMap<Name, i64>,
    now: i64,
}

type Found = (Name, Timestamp, Vec<Name>);

impl Model {
    fn heard(&self, d: Name) -> Option<i64> {
        self.words.iter().rev().find(|w| w.device == d).map(|w| w.at)
    }
    fn last(&self, d: Name) -> Option<i64> {
        self.heard(d).or_else(|| self.registered.get(d).copied())
    }
    fn above(&self, d: Name) -> Vec<Name> {
        std::iter::successors(self.gateway.get(d), |g| self.gateway.get(*g))
            .copied()
            .collect()
    }
    fn behind(&self, g: Name) -> Vec<Name> {
        NAMES.into_iter().filter(|d| self.above(d).contains(&g)).collect()
    }
    fn is_gateway(&self, d: Name) -> bool {
        !self.behind(d).is_empty()
    }
    /// The longest gap but, where enough are known, the 100th part of them; rounded up to half an octave.
    fn gap(&self, d: Name, enough: bool) -> Option<Span> {
        let words: Vec<_> = self.words.iter().filter(|w| w.device == d).collect();
        let pairs = words.windows(2).filter(|p| !p[1].breaks_silence && p[1].at > p[0].at);
        let mut gaps: Vec<i64> = pairs.map(|p| (p[1].at - p[0].at) * 1_000).collect();
        gaps.sort_unstable();
        if enough {
            if gaps.len() < GAPS_MIN as usize {
                return None;
            }
            gaps.truncate(gaps.len() - (gaps.len() / 100).max(1));
        }
        let longest = *gaps.last()?;
        let mut octave = 1;
        while octave * 2 <= longest {
            octave *= 2;
        }
        let is_upper_half = longest * longest >= 2 * octave * octave;
        Some(if is_upper_half {
            Span::millis(octave * 2)
        } else {
            Span((octave as f64 * 1_000.0 * std::f64::consts::SQRT_2).ceil() as i64)
        })
    }
    fn known_gap(&self, d: Name) -> Option<Span> {
        self.gap(d, true).or_else(|| self.gap(d, false))
    }
    fn usual(&self, d: Name) -> Option<Span> {
        self.known_gap(d).or(self.after)
    }
    fn time(&self, d: Name) -> Option<Span> {
        let learned = || self.gap(d, true).map(|g| Span(g.0 * 3).max(LEARNED_MIN));
        self.after.or_else(learned)
    }
    fn counted(&self, from: Timestamp) -> Span {
        let seconds = (0..=self.now).filter(|s| !self.refused.contains(s));
        Span(seconds.map(|s| t(s).since(from).0.clamp(0, 1_000_000)).sum())
    }
    fn quiet(&self, d: Name) -> Span {
        let above = self.above(d);
        let resumed = above.iter().filter_map(|g| self.resumed.get(g)).max();
        self.counted(t(self.last(d).expect("known").max(resumed.copied().unwrap_or(0))))
    }
    fn is_overdue(&self, d: Name) -> bool {
        self.last(d).is_some() && self.time(d).is_some_and(|time| self.quiet(d) >= time)
    }
    fn covers(&self, d: Name) -> bool {
        self.plant.contains(d) && !self.uncovered.contains(d)
    }
    fn names_it(&self, named: &BTreeSet<Name>, d: Name) -> bool {
        named.contains(d) || !named.is_empty() && self.heard(d).is_none()
    }
    /// Never heard, while something behind it was since.
    fn speaks_by_others(&self, g: Name) -> bool {
        self.behind(g).into_iter().any(|d| self.heard(d) > self.last(g))
    }
    fn own_time(&self, g: Name) -> Option<Span> {
        self.time(g).filter(|_| self.heard(g).is_some() && self.covers(g))
    }

    fn find(&self) -> Vec<Found> {
        let is_hidden = |d: Name| {
            let mut told = self.above(d).into_iter().filter_map(|g| self.open.get(g));
            told.any(|o| !o.lifted && self.names_it(&o.named, d))
        };
        let mut overdue: Vec<Name> = NAMES
            .into_iter()
            .filter(|d| self.covers(d) && self.is_overdue(d) && !self.open.contains_key(d) && !is_hidden(d))
            .filter(|d| self.heard(d).is_some() || !(self.is_gateway(d) && self.speaks_by_others(d)))
            .collect();
        overdue.sort_by_key(|d| {
            (
                !self.is_gateway(d),
                if self.is_gateway(d) { self.above(d).len() } else { 0 },
            )
        });
        let mut found: Vec<Found> = Vec::new();
        for d in overdue {
            let above = self.above(d);
            let is_named = found
                .iter()
                .any(|(g, _, named)| above.contains(g) && self.names_it(&named.iter().copied().collect(), d));
            if !is_named {
                found.extend(self.explain(d, &found));
            }
        }
        found.sort_unstable();
        found
    }

    fn itself(&self, d: Name) -> Found {
        let last = self.last(d).expect("known");
        let due = t(last).plus(
            self.known_gap(d)
                .unwrap_or(Span(self.after.unwrap_or(Span::ZERO).0 / 2)),
        );
        let is_unknown = |b: &Name| match (self.heard(d), self.heard(b)) {
            (Some(_), Some(b_last)) => t(b_last) <= due || self.is_overdue(b),
            (Some(_), None) => false,
            (None, _) => self.last(b).is_some(),
        };
        (d, t(last), self.behind(d).into_iter().filter(is_unknown).collect())
    }

    /// What is to be said because this device is overdue.
    fn explain(&self, d: Name, found: &[Found]) -> Option<Found> {
        let mut above = self.above(d);
        above.retain(|g| !self.open.contains_key(g) && !found.iter().any(|f| f.0 == *g));
        let is_unheard = |g: &Name| {
            self.after.is_some() && self.heard(g).is_none() && self.is_overdue(g) && !self.speaks_by_others(g)
        };
        if let Some(g) = above.iter().rev().find(|g| is_unheard(g)) {
            return Some(self.itself(g));
        }
        let (time, quiet) = (self.time(d).expect("overdue"), self.quiet(d));
        let is_patient = quiet.0 / 2 < time.0;
        let word_due = self.usual(d).unwrap_or(Span::ZERO).min(time).max(Span(time.0 / 2));
        let quiet_with_it = |g: &Name| {
            let own = self.own_time(g);
            own.is_some_and(|own| self.quiet(g) < own && quiet.0 - self.quiet(g).0 <= word_due.0)
        };
        if is_patient && above.iter().any(quiet_with_it) {
            return None;
        }
        let (Some(last), Some(usual)) = (self.heard(d), self.usual(d)) else {
            return Some(self.itself(d));
        };
        let due = t(last).plus(usual);
        let is_since = |x: Name| self.heard(x).is_some_and(|at| t(at) > due);
        let mut is_unclear = false;
        for g in above.into_iter().rev() {
            let behind = self.behind(g);
            let gateway_spoke = is_since(g) || behind.iter().any(|b| self.is_gateway(b) && is_since(b));
            if gateway_spoke || self.own_time(g).is_some() {
                continue;
            }
            let is_witness = |b: &&Name| {
                **b != d && !self.is_gateway(b) && self.covers(b) && self.heard(b).is_some() && self.usual(b).is_some()
            };
            let (spoke, others): (Vec<Name>, Vec<Name>) =
                behind.iter().filter(is_witness).copied().partition(|b| is_since(b));
            let is_missing = |b: &&Name| self.counted(due) > self.usual(b).expect("a witness") || self.is_overdue(b);
            let missing = others.iter().filter(is_missing).count();
            let (spoke, cannot_tell) = (spoke.len(), others.len() - missing);
            if missing >= 1 && missing * 10 >= (missing + spoke) * 9 && missing + spoke >= cannot_tell {
                let named: Vec<Name> = behind
                    .into_iter()
                    .filter(|b| self.heard(b).is_some() && !is_since(b))
                    .collect();
                let since = named.iter().filter_map(|b| self.heard(b)).max().expect("this device");
                let bump = Span(i64::from(self.heard(g) == Some(since)));
                return Some((g, t(since).plus(bump), named));
            }
            let may_miss = missing + cannot_tell;
            is_unclear |= cannot_tell > 0 && may_miss * 10 >= (may_miss + spoke) * 9;
        }
        (!(is_unclear && is_patient)).then(|| self.itself(d))
    }

    fn told(&mut self, (d, since, named): Found) {
        let own = named.is_empty() || self.heard(d).map(t) == Some(since);
        let named = named.into_iter().collect();
        self.open.insert(
            d,
            Told {
                own,
                lifted: false,
                named,
            },
        );
    }

    fn hear(&mut self, d: Name) -> Vec<Name> {
        if self.heard(d).is_none() && self.registered.contains_key(d) && self.resumed.contains_key(d) {
            self.resumed.insert(d, self.now);
        }
        let (mut ended, mut breaks_silence) = (Vec::new(), false);
        for (g, told) in &mut self.open {
            let itself = *g == d;
            if !itself && !told.named.remove(d) {
                continue;
            }
            breaks_silence = true;
            if !itself || !told.named.is_empty() {
                told.lifted = true;
                self.resumed.insert(g, self.now);
            }
            if itself || !told.own {
                ended.push(*g);
            }
        }
        self.open.retain(|g, _| !ended.contains(g));
        self.words.push(Word {
            at: self.now,
            device: d,
            breaks_silence,
        });
        ended
    }

    fn configure(&mut self, devices: &[Device]) -> Vec<Name> {
        let plant: BTreeMap<Name, &Device> = NAMES
            .into_iter()
            .filter_map(|n| devices.iter().find(|d| *d.id == *n).map(|d| (n, d)))
            .collect();
        let mut ended = Vec::new();
        for gone in self.plant.iter().filter(|d| !plant.contains_key(*d)) {
            self.words.retain(|w| w.device != *gone);
            self.registered.remove(gone);
            self.resumed.remove(gone);
            for (g, told) in &mut self.open {
                let is_last = told.named.remove(gone) && told.named.is_empty() && !told.own;
                if g == gone || is_last {
                    ended.push(*g);
                }
            }
            self.open.retain(|g, _| !ended.contains(g));
        }
        let name = |id: &str| NAMES.into_iter().find(|n| *n == id);
        let gateways: Vec<Name> = NAMES.into_iter().filter(|n| self.is_gateway(n)).collect();
        self.gateway = plant
            .iter()
            .filter_map(|(n, d)| Some((*n, name(d.gateway.as_deref()?)?)))
            .collect();
        self.uncovered = plant
            .iter()
            .filter(|(_, d)| d.class.is_none())
            .map(|(n, _)| *n)
            .collect();
        let before = std::mem::replace(&mut self.plant, plant.keys().copied().collect());
        for d in self.plant.clone() {
            // The way through it is new.
            let was_gateway = before.contains(d) && gateways.contains(&d);
            if !was_gateway && self.is_gateway(d) {
                self.resumed.insert(d, self.now);
            }
            if self.last(d).is_none() {
                self.registered.insert(d, self.now);
            }
        }
        ended
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// So many seconds, in which these devices send, each in its own rhythm.
    Send(i64, u8),
    Refuse(i64),
    Configure(Vec<Device>),
}

/// A forest: every gateway comes before those behind it. Some devices are missing, some not covered by the rule.
fn plant() -> impl Strategy<Value = Vec<Device>> {
    let one = (any::<prop::sample::Index>(), 0u8..4, 0u8..8, 0u8..12);
    proptest::collection::vec(one, NAMES.len()).prop_map(|drawn| {
        let mut out = Vec::new();
        for (i, (parent, has_parent, covered, present)) in drawn.into_iter().enumerate() {
            let gateway = (i > 0 && has_parent > 0).then(|| NAMES[parent.index(i)]);
            let class = (covered > 0).then(|| "cnc".into());
            if present > 0 {
                out.push(Device {
                    class,
                    ..device(NAMES[i], gateway)
                });
            }
        }
        out
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (1i64..50, any::<u8>()).prop_map(|(s, who)| Step::Send(s, who)),
        3 => (30i64..150, any::<u8>()).prop_map(|(s, who)| Step::Send(s, who)),
        1 => (1i64..40).prop_map(Step::Refuse),
        2 => plant().prop_map(Step::Configure),
    ]
}

fn second(p: &mut Plant, m: &mut Model, sending: u8, every: &[i64], accepts: bool) -> Result<(), TestCaseError> {
    p.now += 1;
    m.now = p.now;
    p.accepting.observe(t(p.now), Span::secs(p.now), accepts);
    if !accepts {
        m.refused.insert(p.now);
    }
    for (i, d) in NAMES.into_iter().enumerate() {
        if accepts && (sending >> i) & 1 == 1 && (p.now + i as i64) % every[i] == 0 {
            prop_assert_eq!(p.hear(&[d]), m.hear(d), "{}'s word at {}", d, p.now);
        }
    }
    let want = m.find();
    let found = p.sequencer.find_silences(t(p.now), &p.accepting);
    let got: Vec<(&str, Timestamp, Vec<&str>)> = found
        .iter()
        .map(|(_, f)| (&*f.device, f.since, f.unknown.iter().map(|d| &**d).collect()))
        .collect();
    prop_assert_eq!(&got, &want, "found at {}", p.now);
    for (rule, f) in &found {
        p.sequencer.silence.found(rule, &f.device, &f.unknown, f.since);
    }
    want.into_iter().for_each(|f| m.told(f));
    Ok(())
}

fn run(steps: Vec<Step>, every: &[i64], after: Option<Span>) -> Result<(), TestCaseError> {
    let (mut p, mut m) = (
        Plant::new(),
        Model {
            after,
            ..Model::default()
        },
    );
    p.rule.condition = Condition::Silence { after };
    p.rule.selector.device_classes = vec!["cnc".into()];
    for step in steps {
        match step {
            Step::Send(seconds, sending) => {
                for _ in 0..seconds {
                    second(&mut p, &mut m, sending, every, true)?;
                }
            }
            Step::Refuse(seconds) => {
                for _ in 0..seconds {
                    second(&mut p, &mut m, 0, every, false)?;
                }
            }
            Step::Configure(devices) => {
                let mut ended = p.configure(&devices);
                let mut want = m.configure(&devices);
                ended.sort_unstable();
                want.sort_unstable();
                prop_assert_eq!(ended, want, "ended by the configuration at {}", p.now);
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn silence_is_found_as_a_naive_model_finds_it(
        first in plant(), mut steps in proptest::collection::vec(step(), 1..14),
        every in proptest::collection::vec(1i64..12, NAMES.len()), learned: bool,
    ) {
        steps.insert(0, Step::Configure(first));
        run(steps, &every, (!learned).then(|| Span::secs(AFTER)))?;
    }
}
