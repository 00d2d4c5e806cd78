use super::*;
use proptest::prelude::*;

const T0: i64 = 1_790_000_000;

fn t(seconds: i64) -> Timestamp {
    Timestamp((T0 + seconds) * 1_000_000)
}
const NEW: Candidate = Candidate {
    reason: AlertReason::Opened,
    passes_throttle: false,
};
const P1: Candidate = Candidate {
    reason: AlertReason::Opened,
    passes_throttle: true,
};
const REPEAT: Candidate = Candidate {
    reason: AlertReason::Repeat,
    passes_throttle: true,
};

fn held(n: u128, at: i64) -> Held {
    Held {
        alert: AlertId(n),
        incident: IncidentId(n),
        reason: AlertReason::Opened,
        at: t(at),
    }
}

#[test]
fn the_windows_end_is_free_and_a_microsecond_before_is_not() {
    let slot = Slot::opened_at(t(0));
    assert_eq!(slot.window_end, t(300));
    let before = Timestamp(t(300).0 - 1);
    for (name, slot, now, alert, want) in [
        ("the first", None, t(0), NEW, Decision::SendNow { new_slot: slot }),
        ("at the start", Some(&slot), t(0), NEW, Decision::Hold { until: t(300) }),
        (
            "just before the end",
            Some(&slot),
            before,
            NEW,
            Decision::Hold { until: t(300) },
        ),
        (
            "at the end",
            Some(&slot),
            t(300),
            NEW,
            Decision::SendNow {
                new_slot: Slot::opened_at(t(300)),
            },
        ),
        (
            "P1",
            Some(&slot),
            t(10),
            P1,
            Decision::SendNow {
                new_slot: Slot { passed: 1, ..slot },
            },
        ),
        ("a repeat", Some(&slot), t(10), REPEAT, Decision::Hold { until: t(300) }),
        (
            "a repeat with no window",
            None,
            t(10),
            REPEAT,
            Decision::Hold { until: t(10) },
        ),
        (
            "a repeat after a window",
            Some(&slot),
            t(400),
            REPEAT,
            Decision::Hold { until: t(400) },
        ),
    ] {
        assert_eq!(decide(slot, now, alert), want, "{name}");
    }
}

#[test]
fn a_flood_of_p1_becomes_a_digest() {
    let mut slot = Slot::opened_at(t(0));
    for _ in 0..THROTTLE_PASSES_MAX {
        match decide(Some(&slot), t(1), P1) {
            Decision::SendNow { new_slot } => slot = new_slot,
            hold => panic!("{hold:?}"),
        }
    }
    assert_eq!(slot.window_end, t(300), "passing does not put the digest off");
    assert_eq!(decide(Some(&slot), t(1), P1), Decision::Hold { until: t(300) });
    assert!(matches!(decide(Some(&slot), t(300), P1), Decision::SendNow { new_slot } if new_slot.passed == 0));
}

#[test]
fn five_errors_make_one_mail_and_five_hundred_more_one_digest_that_counts_them() {
    let Decision::SendNow { new_slot: slot } = decide(None, t(0), NEW) else {
        panic!("the first goes out")
    };
    let mut repeats = RepeatCount::new(IncidentId(1));
    for i in 0..500 {
        assert_eq!(
            decide(Some(&slot), t(1 + i * 239 / 500), REPEAT),
            Decision::Hold { until: t(300) }
        );
        repeats.add(1, t(1 + i * 239 / 500));
        assert_eq!(digest(Some(&slot), &[], &[repeats], t(1 + i * 239 / 500)), None);
    }
    assert_eq!(digest_due_at(Some(&slot), &[], &[repeats]), Some(t(300)));
    let plan = digest(Some(&slot), &[], &[repeats], t(300)).expect("at the window's end");
    assert_eq!(
        (plan.held.len(), plan.repeats[0].count, plan.new_slot),
        (0, 500, Slot::opened_at(t(300)))
    );
    let told = plan.repeats[0].new_state;
    assert_eq!(
        digest(Some(&plan.new_slot), &[], &[told], t(100_000)),
        None,
        "nothing more came, nothing more is told"
    );
}

/// Repeats every minute for two days, and when their number goes out.
#[test]
fn repeats_are_told_at_once_after_half_an_hour_and_every_four_hours() {
    let mut slot = Some(Slot::opened_at(t(0)));
    let mut repeats = RepeatCount::new(IncidentId(1));
    let (mut told, mut counted) = (Vec::new(), 0);
    for minute in 1..=24 * 60 {
        repeats.add(1, t(minute * 60));
        if let Some(plan) = digest(slot.as_ref(), &[], &[repeats], t(minute * 60)) {
            (slot, repeats) = (Some(plan.new_slot), plan.repeats[0].new_state);
            counted += plan.repeats[0].count;
            told.push(minute);
        }
    }
    assert_eq!(told, [5, 35, 275, 515, 755, 995, 1_235]);
    assert_eq!(counted, 1_235, "each repeat is counted once");
}

#[test]
fn repeats_that_stopped_for_a_whole_interval_are_told_as_if_new() {
    let mut r = RepeatCount::new(IncidentId(1));
    r.add(3, t(0));
    let mut r = r.told(t(300));
    assert_eq!((r.times_told, r.due_at()), (1, None));
    r.add(1, t(300 + 1_800));
    assert_eq!(r.due_at(), Some(t(2_100)), "within the half hour, its edge included");
    let mut r = r.told(t(2_100));
    assert_eq!(r.times_told, 2);
    r.add(1, t(2_100 + 4 * 3_600 + 1));
    assert_eq!(r.due_at(), Some(t(2_100 + 4 * 3_600 + 1)), "they had stopped: at once");
    assert_eq!(r.told(t(20_000)).times_told, 1);
}

#[test]
fn a_digest_holds_every_held_alert_once_and_only_the_repeats_that_are_due() {
    let slot = Slot::opened_at(t(0));
    let mut due = RepeatCount::new(IncidentId(7));
    due.add(4, t(20));
    let mut not_due = RepeatCount::new(IncidentId(8)).told(t(0));
    not_due.add(9, t(20));
    let list = [
        held(2, 30),
        held(1, 20),
        held(2, 30),
        Held {
            reason: AlertReason::Repeat,
            ..held(3, 10)
        },
    ];
    assert_eq!(digest(Some(&slot), &list, &[due, not_due], t(299)), None);
    let plan = digest(Some(&slot), &list, &[due, not_due], t(300)).unwrap();
    assert_eq!(plan.held.iter().map(|h| h.alert.0).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(
        plan.repeats
            .iter()
            .map(|r| (r.new_state.incident.0, r.count))
            .collect::<Vec<_>>(),
        [(7, 4)]
    );
    assert_eq!(digest_due_at(Some(&plan.new_slot), &[], &[not_due]), Some(t(1_800)));
    assert_eq!(
        digest(None, &[held(3, 10)], &[], t(10)).map(|p| p.held.len()),
        Some(1),
        "a lost slot holds nothing back"
    );
}

#[test]
fn the_ends_of_time_do_no_harm() {
    for now in [Timestamp::MIN, Timestamp::MAX] {
        let slot = Slot::opened_at(now);
        decide(Some(&slot), now, P1);
        let mut r = RepeatCount {
            times_told: u32::MAX,
            untold: u64::MAX,
            ..RepeatCount::new(IncidentId(1)).told(now)
        };
        r.add(u64::MAX, now);
        digest(Some(&slot), &[], &[r], now);
    }
}

#[derive(Clone, Debug)]
enum Step {
    Wait(i64),
    New { passes: bool },
    Repeat(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0i64..200).prop_map(Step::Wait),
        1 => (0i64..20_000).prop_map(Step::Wait),
        2 => Just(Step::New { passes: false }),
        1 => Just(Step::New { passes: true }),
        4 => (0usize..3).prop_map(Step::Repeat),
    ];
    proptest::collection::vec(step, 1..120)
}

/// A notifier that looks every second: what went out when.
#[derive(Default)]
struct Person {
    now: i64,
    slot: Option<Slot>,
    held: Vec<Held>,
    repeats: Vec<RepeatCount>,
    mails: Vec<Mail>,
}

struct Mail {
    at: i64,
    alerts: Vec<u128>,
    /// Incident and how many.
    repeats: Vec<(u128, u64)>,
    passed: bool,
}

impl Person {
    fn look(&mut self) {
        let due = digest_due_at(self.slot.as_ref(), &self.held, &self.repeats);
        let plan = digest(self.slot.as_ref(), &self.held, &self.repeats, t(self.now));
        assert_eq!(
            plan.is_some(),
            due.is_some_and(|d| d <= t(self.now)),
            "due and digest agree"
        );
        let Some(plan) = plan else { return };
        assert!(!plan.held.is_empty() || !plan.repeats.is_empty());
        let told = plan.repeats.iter().map(|r| (r.new_state.incident.0, r.count)).collect();
        let alerts = plan.held.iter().map(|h| h.alert.0).collect();
        self.mails.push(Mail {
            at: self.now,
            alerts,
            repeats: told,
            passed: false,
        });
        self.slot = Some(plan.new_slot);
        self.held.clear();
        for r in plan.repeats {
            let state = self.repeats.iter_mut().find(|s| s.incident == r.new_state.incident);
            *state.expect("it was given") = r.new_state;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Against the promise itself, over any history: mails that do not pass are five minutes apart; an alert is told exactly
    /// once, at the first instant at which a mail may go; every repeat is counted exactly once, at the instants that the rule names.
    #[test]
    fn nobody_is_mailed_more_often_than_promised_and_nothing_is_lost(steps in steps()) {
        let mut p = Person { repeats: (0..3).map(|i| RepeatCount::new(IncidentId(1_000 + i))).collect(), ..Person::default() };
        let mut raised: Vec<(u128, i64)> = Vec::new();
        let mut repeated = [0u64; 3];
        let mut came: [Vec<i64>; 3] = Default::default();
        for step in steps.into_iter().chain([Step::Wait(40_000)]) {
            match step {
                Step::Wait(n) => for _ in 0..n {
                    p.now += 1;
                    p.look();
                },
                Step::New { passes } => {
                    let id = raised.len() as u128;
                    raised.push((id, p.now));
                    match decide(p.slot.as_ref(), t(p.now), Candidate { reason: AlertReason::Opened, passes_throttle: passes }) {
                        Decision::SendNow { new_slot } => {
                            let passed = p.slot.is_some_and(|s| s.is_open(t(p.now)));
                            prop_assert!(!passed || passes);
                            p.mails.push(Mail { at: p.now, alerts: vec![id], repeats: vec![], passed });
                            p.slot = Some(new_slot);
                        }
                        Decision::Hold { until } => {
                            prop_assert!(until > t(p.now));
                            p.held.push(held(id, p.now));
                        }
                    }
                }
                Step::Repeat(i) => {
                    repeated[i] += 1;
                    came[i].push(p.now);
                    let at = t(p.now);
                    p.repeats[i].add(1, at);
                    p.look();
                }
            }
        }
        let ordinary: Vec<i64> = p.mails.iter().filter(|m| !m.passed).map(|m| m.at).collect();
        prop_assert!(ordinary.windows(2).all(|w| w[1] - w[0] >= 300), "{:?}", ordinary);
        let free_at = |at: i64| ordinary.iter().copied().rfind(|m| *m < at).map_or(at, |m| at.max(m + 300));
        for (id, at) in &raised {
            let told: Vec<i64> = p.mails.iter().filter(|m| m.alerts.contains(id)).map(|m| m.at).collect();
            prop_assert_eq!(told.len(), 1);
            let passed = p.mails.iter().any(|m| m.passed && m.alerts.contains(id));
            prop_assert!(passed || told[0] <= free_at(*at).max(*at) + 300, "alert {} of {} told at {}", id, at, told[0]);
        }
        let counted = |i: usize| p.mails.iter().flat_map(|m| &m.repeats).filter(|r| r.0 == 1_000 + i as u128).map(|r| r.1).sum::<u64>();
        for i in 0..3 {
            prop_assert_eq!(counted(i), repeated[i]);
            // The schedule, word for word: replayed over the times at which repeats came and mails could go.
            let told: Vec<i64> = p.mails.iter().filter(|m| m.repeats.iter().any(|r| r.0 == 1_000 + i as u128)).map(|m| m.at).collect();
            let (mut last, mut row): (Option<i64>, u32) = (None, 0);
            for at in told {
                let first = came[i].iter().copied().filter(|c| last.is_none_or(|l| *c > l) && *c <= at).min();
                let first = first.or_else(|| came[i].iter().copied().filter(|c| Some(*c) == last).min()).expect("something was told");
                let interval = if row == 1 { 1_800 } else { 4 * 3_600 };
                let next = last.map(|l| l + interval);
                match next {
                    Some(next) if row > 0 && first <= next => {
                        prop_assert!(at >= next, "told at {}, not before {}", at, next);
                        row += 1;
                    }
                    _ => row = 1,
                }
                last = Some(at);
            }
        }
    }

    #[test]
    fn a_stored_count_comes_back(untold in any::<u64>(), at in any::<i64>(), times in any::<u32>()) {
        let mut r = RepeatCount { times_told: times, ..RepeatCount::new(IncidentId(5)).told(Timestamp(at)) };
        r.add(untold, Timestamp(at));
        let text = serde_json::to_string(&r).unwrap();
        prop_assert_eq!(serde_json::from_str::<RepeatCount>(&text).unwrap(), r);
    }
}
