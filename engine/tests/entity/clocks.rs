//! Sources whose clocks are slow, were set back, or are two: what their rules find, and when it is said.

use crate::bench::*;
use andon_engine::effect::{Alert, AlertReason};
use andon_engine::ids::RuleId;
use andon_engine::incident::Activity;
use andon_engine::level::Level;
use andon_engine::record::Record;
use andon_engine::rule::{Condition, Direction, Limit, Rule};
use andon_engine::subject::SubjectKind;
use andon_engine::time::Span;

/// What a device says at one time of its own: a reading, or a log record.
#[derive(Clone, Copy)]
enum Say {
    Temperature(f64),
    Log(Level, &'static str),
}

/// Above 85 °C at once.
fn hot_at_once() -> Rule {
    let Condition::Limit(limit) = hot().condition else {
        panic!("a limit")
    };
    Rule {
        id: RuleId::new("hot-at-once"),
        condition: Condition::Limit(Limit {
            direction: Direction::Above,
            bound: 85.0,
            on_delay: Span::ZERO,
            ..limit
        }),
        ..hot()
    }
}

/// The subject of a device, or of an application that sends with a key of its own.
fn bench(kind: SubjectKind) -> Bench {
    let id = if kind == SubjectKind::Device {
        "press-1"
    } else {
        "scada"
    };
    Bench::new(kind, id, vec![hot(), hot_at_once()])
}

fn say(b: &mut Bench, stamp: f64, received: f64, what: Say) {
    // Time goes on between the entries.
    for _ in 0..16 {
        let Some(due) = b.deadline().filter(|due| *due <= at(received)) else {
            break;
        };
        b.timer_at(due);
    }
    let (level, message, readings) = match what {
        Say::Temperature(t) => (None, None, vec![("temperature", t)]),
        Say::Log(level, message) => (Some(level), Some(message), vec![]),
    };
    let of_device = b.entity.subject.kind == SubjectKind::Device;
    b.observe(Record {
        timestamp: at(stamp),
        received_at: at(received),
        level,
        message,
        device_id: of_device.then_some("press-1"),
        application: (!of_device).then_some("scada"),
        readings,
        ..Record::default()
    });
}

/// The alerts of a rule that were said as news of the present.
fn live_alerts<'b>(b: &'b Bench, rule: &str) -> Vec<&'b Alert> {
    let rows = b.rows();
    let of_rule = |a: &&Alert| rows[&a.incident.to_string()].rule == RuleId::new(rule);
    alerts(&b.said)
        .into_iter()
        .filter(|a| !a.historical)
        .filter(of_rule)
        .collect()
}

/// Rules on a device's and on its application's subject for the same fault.
fn rules_of(kind: SubjectKind) -> (&'static str, &'static str) {
    if kind == SubjectKind::Device {
        ("errors-per-device", "fatal-per-device")
    } else {
        ("errors-per-application", "fatal-per-application")
    }
}

const BOTH: [SubjectKind; 2] = [SubjectKind::Device, SubjectKind::Application];

/// Errors and a FATAL at `from`, stamped `back` earlier, are alerted at once as what they are.
fn assert_faults_are_live(b: &mut Bench, kind: SubjectKind, from: f64, back: f64, why: &str) {
    let (errors, fatal) = rules_of(kind);
    for s in 0..6 {
        let s = from + f64::from(s);
        say(b, s - back, s, Say::Log(Level::Error, "conveyor stopped"));
    }
    say(b, from + 6.0 - back, from + 6.0, Say::Log(Level::Fatal, "drive lost"));
    for rule in [errors, fatal] {
        let live = live_alerts(b, rule);
        let first = live.first().unwrap_or_else(|| panic!("{why}: {rule} {:?}", b.rows()));
        assert_eq!(first.reason, AlertReason::Opened, "{why}: {rule}");
        assert!(first.at >= at(from), "{why}: {rule} at {:?}", first.at);
    }
    let late = b
        .rows()
        .into_values()
        .filter(|i| i.closed_cause.as_deref() == Some("found late"));
    assert_eq!(late.count(), 0, "{why}");
}

#[test]
fn a_clock_set_back_that_delivers_in_batches_is_judged_on() {
    for back in [3_000.0, 7_200.0, 86_400.0] {
        for every in [5, 15, 30, 60] {
            for kind in BOTH {
                let why = format!("{kind:?}, {back} s back, every {every} s");
                let mut b = bench(kind);
                for i in 0..60 {
                    say(&mut b, f64::from(i), f64::from(i), Say::Temperature(20.0));
                }
                for i in 0..300 {
                    let (s, received) = (60.0 + f64::from(i), f64::from(60 + (i / every + 1) * every));
                    say(&mut b, s - back, received, Say::Temperature(95.0));
                }
                if kind == SubjectKind::Device {
                    for rule in ["hot", "hot-at-once"] {
                        let live = live_alerts(&b, rule);
                        let found = live.first().map(|a| a.received_at).expect(&why);
                        assert!(
                            found <= at(f64::from(60 + 3 * every.max(15) + every) + 11.0),
                            "{why}: {rule} {found:?}"
                        );
                    }
                }
                assert_faults_are_live(&mut b, kind, 361.0, back, &why);
            }
        }
    }
}

#[test]
fn a_clock_set_back_whose_records_take_0_to_15_seconds_is_judged_on() {
    let mut records: Vec<(f64, f64)> = (0..120)
        .map(|i| (f64::from(2 * i), f64::from(2 * i + (i * 7_919 + i * i) % 16)))
        .collect();
    records.sort_by(|a, b| a.1.total_cmp(&b.1));
    for back in [3_000.0, 7_200.0, 86_400.0] {
        let mut b = bench(SubjectKind::Device);
        for i in 0..60 {
            say(&mut b, f64::from(i), f64::from(i), Say::Temperature(20.0));
        }
        for (s, received) in &records {
            say(&mut b, 60.0 + s - back, 60.0 + received, Say::Temperature(95.0));
        }
        for rule in ["hot", "hot-at-once"] {
            let live = live_alerts(&b, rule);
            assert!(
                !live.is_empty() && live[0].received_at <= at(60.0 + 150.0),
                "{back}: {rule}"
            );
        }
        assert_faults_are_live(&mut b, SubjectKind::Device, 330.0, back, "jitter");
    }
}

/// The agent of a device knows the time, its controller does not.
#[test]
fn the_second_clock_of_a_device_is_judged_and_the_first_goes_on() {
    for behind in [6.0, 10.0, 30.0, 61.0, 120.0, 1_440.0].map(|minutes| minutes * 60.0) {
        for kind in BOTH {
            let why = format!("{kind:?}, {behind} s behind");
            let mut b = bench(kind);
            let both = |b: &mut Bench, s: f64, value: f64| {
                say(b, s, s, Say::Log(Level::Info, "alive"));
                say(b, s + 0.5 - behind, s + 0.5, Say::Temperature(value));
            };
            for s in 0..60 {
                both(&mut b, f64::from(s), 20.0);
            }
            for s in 60..100 {
                both(&mut b, f64::from(s), 95.0);
            }
            if kind == SubjectKind::Device {
                assert_eq!(live_alerts(&b, "hot-at-once")[0].at, at(60.5), "{why}");
                assert_eq!(live_alerts(&b, "hot")[0].at, at(70.5), "{why}");
            }
            assert_faults_are_live(&mut b, kind, 100.0, behind, &why);
            // The first clock's are judged with them, at their own time.
            say(&mut b, 110.0, 110.0, Say::Log(Level::Fatal, "disk full"));
            let last = b.rows().into_values().map(|i| i.last_at).max();
            assert_eq!(last, Some(at(110.0)), "{why}");
        }
    }
}

#[test]
fn a_clock_slow_from_its_first_record_is_live_for_every_subject() {
    for behind in [6.0, 12.0, 30.0, 59.0, 61.0].map(|minutes| minutes * 60.0) {
        for kind in BOTH {
            let mut b = bench(kind);
            for s in 0..40 {
                let s = f64::from(s);
                say(&mut b, s - behind, s, Say::Log(Level::Info, "ready"));
            }
            assert_faults_are_live(&mut b, kind, 40.0, behind, &format!("{kind:?}, {behind} s behind"));
        }
    }
}

/// Whether its clock is slow or it delivers late is not known yet: what is urgent and less than an hour old is not left to a summary.
#[test]
fn a_first_fatal_that_is_half_an_hour_old_is_alerted_as_live() {
    for (minutes, historical) in [(12.0, false), (30.0, false), (59.0, false), (61.0, true)] {
        let mut b = bench(SubjectKind::Application);
        say(&mut b, -60.0 * minutes, 0.0, Say::Log(Level::Fatal, "drive lost"));
        let rows: Vec<_> = b.rows().into_values().collect();
        assert_eq!(rows.len(), 1);
        assert_eq!(
            (rows[0].activity, rows[0].historical),
            (Activity::Closed, historical),
            "{minutes} min"
        );
        let told = alerts(&b.said);
        assert_eq!((told.len(), told[0].historical), (1, historical), "{minutes} min");
    }
}
