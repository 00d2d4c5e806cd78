//! Random courses: what holds whatever happens.

use crate::bench::*;
use andon_engine::control::Action;
use andon_engine::effect::Effect;
use andon_engine::level::Level;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Error { late: i16, message: u8 },
    Fatal { late: i16 },
    Timer,
    Acknowledge,
    Shelve,
    Close,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        12 => (-60i16..400, 0u8..4).prop_map(|(late, message)| Step::Error { late, message }),
        2 => (-60i16..400).prop_map(|late| Step::Fatal { late }),
        3 => Just(Step::Timer),
        1 => Just(Step::Acknowledge),
        1 => Just(Step::Shelve),
        1 => Just(Step::Close),
    ];
    proptest::collection::vec(step, 0..120)
}

fn play(b: &mut Bench, now: &mut f64, step: &Step) {
    match step {
        Step::Error { late, message } => {
            *now += 7.0;
            let message = ["a", "b", "c", "d"][usize::from(*message)];
            b.log(Level::Error, *now - f64::from(*late), *now, message);
        }
        Step::Fatal { late } => {
            *now += 7.0;
            b.log(Level::Fatal, *now - f64::from(*late), *now, "fatal");
        }
        Step::Timer => {
            if let Some(wall) = b.deadline() {
                *now = now.max(wall.since(START).as_secs_f64());
                b.timer_at(wall.max(at(*now)));
            }
        }
        Step::Acknowledge | Step::Shelve | Step::Close if b.entity.incidents().next().is_none() => {}
        Step::Acknowledge => drop(b.operate(*now, Action::Acknowledge)),
        Step::Shelve => {
            let (until, reason) = (at(*now + 50.0), "r".into());
            b.operate(*now, Action::Shelve { until, reason });
        }
        Step::Close => drop(b.operate(*now, Action::Close { cause: "c".into() })),
    }
}

fn all_different<T: Ord>(mut things: Vec<T>) -> bool {
    let n = things.len();
    things.sort();
    things.dedup();
    things.len() == n
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// A checkpoint may be taken anywhere: written out and read back after any step, the entity goes on the same.
    #[test]
    fn an_entity_goes_on_the_same_after_any_checkpoint(
        steps in steps(),
        cuts in proptest::collection::vec(any::<bool>(), 120),
    ) {
        let (mut plain, mut cut) = (Bench::application(), Bench::application());
        let (mut now, mut now_cut) = (0.0, 0.0);
        for (step, restore) in steps.iter().zip(cuts) {
            play(&mut plain, &mut now, step);
            play(&mut cut, &mut now_cut, step);
            if restore {
                let written = serde_json::to_string(&cut.entity).expect("serialises");
                cut.entity = serde_json::from_str(&written).expect("reads back");
            }
        }
        prop_assert_eq!(&plain.entity, &cut.entity);
        prop_assert_eq!(&plain.said, &cut.said);
    }

    /// Whatever happens: identities are unique, a rule has at most one incident, and timers come to an end.
    #[test]
    fn identities_are_unique_and_timers_end(steps in steps()) {
        let mut b = Bench::application();
        let mut now = 0.0;
        for step in &steps {
            play(&mut b, &mut now, step);
            prop_assert!(all_different(b.entity.incidents().map(|i| i.rule.clone()).collect()));
        }
        prop_assert!(all_different(alerts(&b.said).iter().map(|a| a.id).collect()));
        let line = |e: &Effect| if let Effect::Timeline(t) = e { Some((t.incident, t.revision)) } else { None };
        prop_assert!(all_different(b.said.iter().filter_map(line).collect()));
        for _ in 0..20 {
            play(&mut b, &mut now, &Step::Timer);
        }
        prop_assert_eq!(b.deadline(), None);
    }
}
