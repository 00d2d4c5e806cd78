use super::*;
use proptest::prelude::*;

fn t(seconds: i64) -> Timestamp {
    Timestamp((1_790_000_000 + seconds) * 1_000_000)
}

/// An alert by its number; each of its own record and incident, but where a test says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
struct News {
    id: u64,
    incident: u128,
    position: u64,
    passes: bool,
}

fn news(id: u64) -> News {
    News {
        id,
        incident: u128::from(id),
        position: id,
        passes: false,
    }
}

fn p1(id: u64) -> News {
    News {
        passes: true,
        ..news(id)
    }
}

impl Waiting for News {
    fn incident(&self) -> IncidentId {
        IncidentId(self.incident)
    }
    fn position(&self) -> Position {
        Position {
            seq: self.position,
            index: 0,
        }
    }
    fn passes(&self) -> bool {
        self.passes
    }
}

fn waits(held: &[News], fresh: &[News]) -> Waits<News> {
    Waits {
        held: held.to_vec(),
        fresh: fresh.to_vec(),
        repeats: false,
        room: 0,
    }
}

fn open(end: i64) -> Slot {
    Slot {
        window_end: Some(t(end)),
        ..Slot::default()
    }
}

#[test]
fn the_windows_end_is_free_and_a_microsecond_before_is_not() {
    let before = Timestamp(t(300).0 - 1);
    for (name, slot, now, is_sent) in [
        ("the first", Slot::default(), t(0), true),
        ("at the start", open(300), t(0), false),
        ("just before the end", open(300), before, false),
        ("at the end", open(300), t(300), true),
        (
            "while a message is on its way",
            Slot {
                unfinished: 1,
                ..Slot::default()
            },
            t(9_000),
            false,
        ),
    ] {
        let plan = plan(slot, now, waits(&[], &[news(1)]));
        if is_sent {
            assert_eq!(plan.out, Out::News(vec![news(1)]), "{name}");
            assert_eq!(plan.slot.window_end, Some(now.plus(THROTTLE_WINDOW)), "{name}");
        } else {
            assert_eq!((plan.out, plan.held), (Out::Nothing, vec![news(1)]), "{name}");
            assert_eq!(plan.slot.window_end, slot.window_end, "{name}");
        }
    }
}

/// A P1 is no exception: passing is chosen.
#[test]
fn nothing_passes_that_was_not_chosen_to() {
    let plan = plan(open(300), t(10), waits(&[], &[news(1), p1(2)]));
    assert_eq!(
        plan.out,
        Out::Passes {
            alerts: vec![p1(2)],
            is_news: true
        }
    );
    assert_eq!((plan.held, plan.held_until), (vec![news(1)], t(300)));
    assert_eq!(
        plan.slot,
        Slot { passes: 1, ..open(300) },
        "the digest comes when it was to come"
    );
}

#[test]
fn a_flood_of_what_may_pass_is_a_digest() {
    let mut slot = open(300);
    for n in 0..u64::from(THROTTLE_PASSES_MAX) {
        let plan = plan(slot, t(1), waits(&[], &[p1(n)]));
        assert!(matches!(plan.out, Out::Passes { .. }));
        slot = plan.slot;
    }
    let after = plan(slot, t(1), waits(&[], &[p1(99)]));
    assert_eq!((after.out, after.held.len()), (Out::Nothing, 1));
    let digest = plan(slot, t(300), waits(&[p1(99)], &[]));
    assert_eq!((digest.out, digest.slot.passes), (Out::Digest(vec![p1(99)]), 0));
}

#[test]
fn one_record_or_one_incident_is_news_and_more_is_a_digest() {
    let of = |incident, position| News {
        incident,
        position,
        ..news(1)
    };
    for (fresh, is_news) in [
        (vec![of(1, 1), of(2, 1)], true),
        (vec![of(1, 1), of(1, 2)], true),
        (vec![of(1, 1), of(2, 2)], false),
    ] {
        let out = plan(Slot::default(), t(0), waits(&[], &fresh)).out;
        assert_eq!(out == Out::News(fresh.clone()), is_news, "{fresh:?}");
        assert_eq!(out == Out::Digest(fresh), !is_news);
    }
    let out = plan(Slot::default(), t(0), waits(&[news(1)], &[news(2)])).out;
    assert_eq!(out, Out::Digest(vec![news(1), news(2)]), "what was held goes first");
    let mut repeats = waits(&[], &[]);
    repeats.repeats = true;
    assert_eq!(plan(Slot::default(), t(0), repeats).out, Out::Digest(vec![]));
    assert_eq!(plan(Slot::default(), t(0), waits(&[], &[])).out, Out::Nothing);
}

#[test]
fn what_comes_before_anybody_tried_to_send_is_named_in_the_message_that_waits() {
    let slot = Slot {
        unfinished: 1,
        ..open(300)
    };
    let mut w = waits(&[], &[news(1), p1(2), news(3)]);
    w.room = 2;
    let plan = plan(slot, t(1), w);
    assert_eq!(plan.out, Out::Joins(vec![news(1), p1(2)]));
    assert_eq!(plan.held, [news(3)], "no more than a message names");
    assert_eq!(plan.slot, slot);
}

#[test]
fn a_clock_that_was_set_back_holds_nothing_longer_than_a_window() {
    let plan = plan(open(40_000), t(0), waits(&[news(1)], &[]));
    assert_eq!((plan.held_until, plan.slot.window_end), (t(300), Some(t(300))));
    assert_eq!(
        history_due([t(40_000), t(50_000)].into_iter(), t(0)),
        t(0),
        "what came in the future has settled"
    );
    assert_eq!(history_due([t(-30), t(-10), t(9_000)].into_iter(), t(0)), t(50));
    assert_eq!(history_due([t(-590), t(-10)].into_iter(), t(0)), t(10));
}

fn known() -> Known {
    Known {
        has_more: true,
        is_active: true,
        is_acknowledged: false,
        repeats: 0,
        is_unshelved: false,
        held_until: None,
    }
}

#[test]
fn repeats_are_sent_while_there_are_any_and_nobody_has_taken_it() {
    let now = t(0);
    for (name, known, want) in [
        ("more", known(), Repeat::Due),
        (
            "more of what is over",
            Known {
                is_active: false,
                ..known()
            },
            Repeat::Due,
        ),
        (
            "acknowledged, and its first digest is due",
            Known {
                is_acknowledged: true,
                ..known()
            },
            Repeat::Due,
        ),
        (
            "acknowledged and told",
            Known {
                is_acknowledged: true,
                repeats: 1,
                ..known()
            },
            Repeat::LookAt(None),
        ),
        (
            "muted",
            Known {
                held_until: Some(t(9)),
                ..known()
            },
            Repeat::LookAt(Some(t(9))),
        ),
        (
            "no more yet",
            Known {
                has_more: false,
                ..known()
            },
            Repeat::LookAt(Some(t(300))),
        ),
        (
            "no more for now",
            Known {
                has_more: false,
                repeats: 3,
                ..known()
            },
            Repeat::LookAt(Some(t(1_800))),
        ),
        (
            "over",
            Known {
                has_more: false,
                is_active: false,
                ..known()
            },
            Repeat::LookAt(None),
        ),
        (
            "its shelving is over and it holds, whoever had taken it",
            Known {
                has_more: false,
                is_acknowledged: true,
                repeats: 2,
                is_unshelved: true,
                ..known()
            },
            Repeat::Due,
        ),
        (
            "its shelving is over and so is it",
            Known {
                is_active: false,
                is_unshelved: true,
                ..known()
            },
            Repeat::LookAt(None),
        ),
    ] {
        assert_eq!(repeat(known, now), want, "{name}");
    }
}

#[test]
fn the_ends_of_time_do_no_harm() {
    for now in [Timestamp::MIN, Timestamp::MAX] {
        let slot = Slot {
            passes: u32::MAX,
            unfinished: u32::MAX,
            window_end: Some(now),
        };
        plan(slot, now, waits(&[news(1)], &[p1(2)]));
        plan(Slot::default(), now, waits(&[news(1)], &[p1(2)]));
        repeat(known(), now);
        history_due([now].into_iter(), now);
    }
}

/// A recipient whose mail server takes what it is given, or hangs; looked after every second.
#[derive(Default)]
struct Person {
    /// Seconds that have passed, and how far the clock on the wall is behind them.
    real: i64,
    behind: i64,
    slot: Slot,
    held: Vec<News>,
    on_the_way: Option<Mail>,
    hangs: bool,
    mails: Vec<Mail>,
    /// Repeats of one incident that it knows: how many there were, and how many it was notified of.
    repeats: u64,
    told: u64,
    times_told: u32,
    look_at: i64,
}

#[derive(Clone, Default, Debug)]
struct Mail {
    at: i64,
    alerts: Vec<u64>,
    repeats: u64,
    passed: bool,
    opens: bool,
    attempted: bool,
}

impl Person {
    fn now(&self) -> Timestamp {
        t(self.real - self.behind)
    }

    /// Decides, as often as something comes and once a second.
    fn look(&mut self, fresh: Vec<News>) {
        let now = self.now();
        let unsent = self.on_the_way.as_ref().filter(|m| !m.attempted);
        let room = unsent.map_or(0, |m| 5 - m.alerts.len().min(5));
        let due = self.look_at <= self.real - self.behind
            && repeat(
                Known {
                    has_more: self.repeats > self.told,
                    repeats: self.times_told,
                    ..known()
                },
                now,
            ) == Repeat::Due;
        let waits = Waits {
            held: std::mem::take(&mut self.held),
            fresh,
            repeats: due,
            room,
        };
        let plan = plan(self.slot, now, waits);
        (self.slot, self.held) = (plan.slot, plan.held);
        let (alerts, opens, with_repeats, passed) = match plan.out {
            Out::Nothing => return,
            Out::Joins(more) => {
                let mail = self.on_the_way.as_mut().expect("a message that waits");
                assert!(!mail.attempted);
                mail.alerts.extend(more.iter().map(|n| n.id));
                return;
            }
            Out::News(alerts) => (alerts, true, false, false),
            Out::Digest(alerts) => (alerts, true, due, false),
            Out::Passes { alerts, .. } => (alerts, false, false, true),
        };
        assert!(!alerts.is_empty() || with_repeats, "no message about nothing");
        assert!(!passed || alerts.iter().all(|n| n.passes));
        let mail = Mail {
            alerts: alerts.iter().map(|n| n.id).collect(),
            repeats: if with_repeats { self.repeats - self.told } else { 0 },
            opens,
            passed,
            ..Mail::default()
        };
        if passed {
            // Its own way: the server takes it at once, or nothing passes.
            self.mails.push(Mail { at: self.real, ..mail });
        } else {
            self.slot.unfinished = 1;
            self.on_the_way = Some(mail);
        }
    }

    fn send(&mut self) {
        let now = self.real - self.behind;
        let Some(mail) = &mut self.on_the_way else { return };
        mail.attempted = true;
        if self.hangs {
            return;
        }
        let mut mail = self.on_the_way.take().expect("it was there");
        mail.at = self.real;
        self.slot.unfinished = 0;
        if mail.opens {
            self.slot.window_end = Some(t(now).plus(THROTTLE_WINDOW));
        }
        self.told += mail.repeats;
        if mail.repeats > 0 {
            self.times_told += 1;
        }
        self.look_at = now + repeat_after(self.times_told).as_micros() / 1_000_000;
        self.mails.push(mail);
    }

    fn wait(&mut self, seconds: i64) {
        for _ in 0..seconds {
            self.real += 1;
            self.look(Vec::new());
            self.send();
        }
    }
}

#[test]
fn repeats_are_sent_at_the_windows_end_after_half_an_hour_and_every_four_hours() {
    let mut p = Person::default();
    p.look(vec![news(1)]);
    p.send();
    let mut told = Vec::new();
    for minute in 1..=24 * 60 {
        p.repeats += 1;
        p.wait(60);
        if p.mails.last().is_some_and(|m| m.at == minute * 60) {
            told.push(minute);
        }
    }
    assert_eq!(told, [5, 35, 275, 515, 755, 995, 1_235]);
    assert_eq!(
        p.mails.iter().map(|m| m.repeats).sum::<u64>(),
        1_235,
        "each is counted once"
    );
}

#[derive(Clone, Debug)]
enum Step {
    Wait(i64),
    New {
        passes: bool,
    },
    Repeats(u64),
    Hangs(bool),
    /// Somebody sets the clock of the machine back.
    SetBack(i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0i64..200).prop_map(Step::Wait),
        1 => (0i64..20_000).prop_map(Step::Wait),
        4 => prop::bool::weighted(0.2).prop_map(|passes| Step::New { passes }),
        2 => (1u64..50).prop_map(Step::Repeats),
        1 => any::<bool>().prop_map(Step::Hangs),
        1 => (1i64..100_000).prop_map(Step::SetBack),
    ];
    proptest::collection::vec(step, 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Against the promise itself, over any history: messages that were not chosen to pass are five minutes apart, whatever the clock
    /// on the wall is set to; an alert is in exactly one message, and within five minutes where the server takes what it is given;
    /// every repeat is counted exactly once.
    #[test]
    fn nobody_is_mailed_more_often_than_promised_and_nothing_is_lost(steps in steps()) {
        let mut p = Person::default();
        let mut came = Vec::new();
        let mut is_steady = true;
        for step in steps.into_iter().chain([Step::Hangs(false), Step::Wait(40_000)]) {
            match step {
                Step::Wait(n) => p.wait(n),
                Step::New { passes } => {
                    let id = came.len() as u64;
                    came.push(p.real);
                    p.look(vec![News { passes, ..news(id) }]);
                }
                Step::Repeats(n) => p.repeats += n,
                Step::Hangs(hangs) => {
                    p.hangs = hangs;
                    is_steady &= !hangs;
                }
                Step::SetBack(by) => {
                    p.behind += by;
                    // Each time a window may begin anew.
                    is_steady = false;
                }
            }
        }
        let ordinary: Vec<i64> = p.mails.iter().filter(|m| !m.passed).map(|m| m.at).collect();
        prop_assert!(ordinary.windows(2).all(|w| w[1] - w[0] >= 300), "{:?}", ordinary);
        for (id, at) in came.iter().enumerate() {
            let told: Vec<i64> = p.mails.iter().filter(|m| m.alerts.contains(&(id as u64))).map(|m| m.at).collect();
            prop_assert_eq!(told.len(), 1, "alert {}", id);
            prop_assert!(!is_steady || told[0] - at <= 301, "alert {} of {} sent at {}", id, at, told[0]);
        }
        prop_assert_eq!(p.told, p.mails.iter().map(|m| m.repeats).sum::<u64>());
        prop_assert!(p.told <= p.repeats);
        for pair in p.mails.iter().filter(|m| m.passed).collect::<Vec<_>>().chunks(THROTTLE_PASSES_MAX as usize + 1) {
            if pair.len() > THROTTLE_PASSES_MAX as usize {
                let within = pair[pair.len() - 1].at - pair[0].at;
                prop_assert!(within > 0, "{} passed at once", pair.len());
            }
        }
    }
}
