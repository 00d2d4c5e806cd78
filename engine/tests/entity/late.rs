//! Records that come late, as history, or from clocks that are wrong.

use crate::bench::*;
use andon_engine::effect::{AlertReason, Effect};
use andon_engine::ids::RuleId;
use andon_engine::incident::{Activity, Incident, TimelineKind};
use andon_engine::level::Level;
use andon_engine::record::{Flags, Record};
use andon_engine::rule::{Condition, Rule, Selector};
use andon_engine::subject::SubjectKind;
use andon_engine::time::Span;

#[test]
fn history_is_judged_and_tells_nobody() {
    let mut b = Bench::application();
    for s in 0..5 {
        let t = at(f64::from(s));
        b.observe(Record {
            timestamp: t,
            received_at: t.plus(Span::hours(48)),
            level: Some(Level::Error),
            message: Some("lock timeout"),
            application: Some("wms"),
            flags: Flags::HISTORY,
            ..Record::default()
        });
    }
    assert!(b.incident().silent && b.incident().historical);
    assert!(b.reasons().is_empty());
}

/// A reading that lies two days back.
fn old(b: &mut Bench, seconds: f64, value: f64, flags: Flags) -> Vec<Effect> {
    b.observe(Record {
        timestamp: at(seconds),
        received_at: at(seconds).plus(Span::hours(48)),
        device_id: Some("press-1"),
        readings: vec![("temperature", value)],
        flags,
        ..Record::default()
    })
}

#[test]
fn what_an_on_delay_opens_in_history_tells_nobody() {
    for by_timer in [false, true] {
        let mut b = Bench::new(SubjectKind::Device, "press-1", vec![hot()]);
        old(&mut b, 0.0, 95.0, Flags::HISTORY);
        old(&mut b, 5.0, 95.0, Flags::HISTORY);
        let out = if by_timer {
            b.timer_at(at(10.0).plus(Span::hours(48)))
        } else {
            old(&mut b, 15.0, 96.0, Flags::HISTORY)
        };
        assert_eq!(kinds(&out), [TimelineKind::Opened]);
        assert!(b.incident().silent && b.incident().historical, "timer: {by_timer}");
        assert!(b.reasons().is_empty(), "timer: {by_timer}");
    }
}

#[test]
fn what_time_opens_live_and_in_history_at_once_are_two_incidents() {
    let mut b = Bench::new(SubjectKind::Device, "press-1", vec![hot()]);
    b.reading(0.0, 95.0);
    // The same reading is sent as history too, before its on-delay has ended; then one timer ends both.
    old(&mut b, 0.0, 95.0, Flags::HISTORY);
    b.timer_at(at(20.0).plus(Span::hours(48)));
    let mut ids: Vec<_> = b.entity.incidents().map(|i| (i.silent, i.id)).collect();
    ids.sort();
    assert_eq!(ids.iter().map(|i| i.0).collect::<Vec<_>>(), [false, true]);
    assert_ne!(ids[0].1, ids[1].1);
}

#[test]
fn what_an_on_delay_opens_in_late_readings_is_told_as_late() {
    let mut b = Bench::new(SubjectKind::Device, "press-1", vec![hot()]);
    old(&mut b, 0.0, 95.0, Flags::default());
    let out = old(&mut b, 15.0, 96.0, Flags::default());
    let told = alerts(&out);
    assert!(told[0].historical && !b.incident().silent);
    assert_eq!(
        told[0].received_at,
        at(15.0).plus(Span::hours(48)),
        "when we could know"
    );
}

#[test]
fn history_touches_nothing_that_is_going_on_and_is_judged_by_itself() {
    let two_days = 48.0 * 3600.0;
    let history = |b: &mut Bench, before: f64, value: f64| {
        b.observe(Record {
            timestamp: at(two_days - before),
            received_at: at(two_days),
            device_id: Some("press-1"),
            readings: vec![("temperature", value)],
            flags: Flags::HISTORY,
            ..Record::default()
        })
    };
    let mut b = Bench::new(SubjectKind::Device, "press-1", vec![hot()]);
    b.reading(two_days - 20.0, 95.0);
    b.reading(two_days - 10.0, 95.0);
    let live = b.incident();
    assert_eq!(b.reasons(), [AlertReason::Opened]);
    history(&mut b, 7_000.0, 95.0);
    assert_eq!(
        kinds(&history(&mut b, 6_990.0, 95.0)),
        [TimelineKind::Opened],
        "an incident of its own"
    );
    assert_eq!(kinds(&history(&mut b, 6_980.0, 20.0)), []);
    let out = history(&mut b, 6_900.0, 20.0);
    assert_eq!(kinds(&out), [TimelineKind::ReturnedToNormal]);
    assert_eq!(b.reasons(), [AlertReason::Opened], "it notifies nobody");
    assert_eq!(b.incident(), live, "the present has not changed");
    b.reading(two_days, 95.0);
    assert_eq!(b.incident().count, live.count + 1);
    // Nobody is asked to acknowledge it.
    history(&mut b, 5_000.0, 20.0);
    assert_eq!(b.entity.incidents().filter(|i| i.silent).count(), 0);
}

#[test]
fn what_was_found_in_old_records_and_still_goes_on_is_live() {
    let mut b = Bench::new(SubjectKind::Device, "press-1", vec![]);
    let fatal = |b: &mut Bench, seconds: f64, received: f64, message: &str| {
        b.observe(Record {
            timestamp: at(seconds),
            received_at: at(received),
            level: Some(Level::Fatal),
            message: Some(message),
            device_id: Some("press-1"),
            ..Record::default()
        })
    };
    // Two hours of a fault that goes on, delivered within a second.
    let back = 7_200.0;
    let first = fatal(&mut b, 0.0, back, "drive lost");
    assert!(alerts(&first).iter().all(|a| a.historical));
    for s in (60..7_200).step_by(60) {
        fatal(&mut b, f64::from(s), back + 0.5, "drive lost");
    }
    let live: Vec<_> = alerts(&b.said).into_iter().filter(|a| !a.historical).cloned().collect();
    assert!(
        !live.is_empty() && live.iter().all(|a| a.reason == AlertReason::Opened),
        "{live:?}"
    );
    assert!(!b.incident().historical);
    let out = fatal(&mut b, back + 1.0, back + 1.0, "brake lost");
    assert_eq!(
        alerts(&out)
            .iter()
            .filter(|a| !a.historical && a.reason == AlertReason::NewFault)
            .count(),
        1
    );
}

/// Five errors of 20 minutes ago, after the first live record: in every order, and with live ones between.
#[test]
fn a_burst_that_comes_late_opens_one_incident_that_is_over_in_every_order_of_arrival() {
    for kind in [SubjectKind::Application, SubjectKind::Device] {
        for (name, order) in [
            ("oldest first", [0, 1, 2, 3, 4]),
            ("newest first", [4, 3, 2, 1, 0]),
            ("mixed", [2, 0, 4, 1, 3]),
        ] {
            for live_after in 0..=5 {
                let mut b = Bench::new(kind, if kind == SubjectKind::Device { "d" } else { "wms" }, vec![]);
                let send = |b: &mut Bench, seconds: f64, received: f64, level: Level| {
                    b.observe(Record {
                        timestamp: at(seconds),
                        received_at: at(received),
                        level: Some(level),
                        message: Some("lock timeout"),
                        application: (kind == SubjectKind::Application).then_some("wms"),
                        device_id: Some("d"),
                        ..Record::default()
                    })
                };
                let now = 1_200.0;
                for (n, i) in order.iter().enumerate() {
                    if n == live_after {
                        send(&mut b, now, now, Level::Error);
                    }
                    send(&mut b, f64::from(*i), now + 0.1 * n as f64, Level::Error);
                }
                let rows: Vec<Incident> = b.rows().into_values().collect();
                let burst: Vec<_> = rows.iter().filter(|i| i.count == 5).collect();
                assert_eq!(burst.len(), 1, "{kind:?} {name}, live after {live_after}: {rows:?}");
                assert_eq!(b.reasons().iter().filter(|r| **r == AlertReason::Opened).count(), 1);
            }
        }
    }
}

/// The buffer of a device that was away for hours comes in pieces, not in their order: no breach of any piece is lost.
#[test]
fn a_buffer_of_hours_ago_that_comes_in_pieces_hides_no_breach() {
    for order in [
        vec![3_600, 3_601, 3_602, 0, 1, 2, 3, 4, 3_603, 3_604],
        vec![0, 3_600, 1, 3_601, 2, 3_602, 3, 3_603, 4, 3_604],
        (0..5).chain(3_600..3_605).collect(),
        (3_600..3_605).chain(0..5).collect(),
    ] {
        let mut b = Bench::new(SubjectKind::Device, "d", vec![]);
        for (n, s) in order.iter().enumerate() {
            b.observe(Record {
                timestamp: at(f64::from(*s)),
                received_at: at(14_400.0 + 0.001 * n as f64),
                level: Some(Level::Error),
                message: Some("jam"),
                device_id: Some("d"),
                ..Record::default()
            });
        }
        let mut counts: Vec<u64> = b.rows().into_values().map(|i| i.count).collect();
        counts.sort_unstable();
        assert_eq!(counts, [5, 5], "{order:?}");
        assert_eq!(b.reasons(), [AlertReason::Opened, AlertReason::Opened], "{order:?}");
    }
}

#[test]
fn records_that_lag_reopen_nothing_and_are_summarised_once() {
    let mut b = Bench::application();
    b.five_errors(0.0);
    b.timer(400.0);
    assert_eq!(b.incident().activity, Activity::ReturnedToNormal);
    b.log(Level::Info, 1_000.0, 1_000.0, "alive");
    // Half an hour of errors that were received 20 minutes late.
    for s in 0..180 {
        let s = f64::from(s) * 10.0;
        b.log(Level::Error, 1_000.0 + s, 2_200.0 + s, "lock timeout");
        if b.deadline().is_some_and(|due| due <= at(2_200.0 + s)) {
            b.timer(2_200.0 + s);
        }
    }
    let reopened = b.reasons().iter().filter(|r| **r == AlertReason::Reopened).count();
    assert_eq!(reopened, 0);
    let rows = b.rows();
    assert_eq!(rows.len(), 2, "{rows:?}");
    let late = rows
        .values()
        .find(|i| i.closed_cause.as_deref() == Some("found late"))
        .expect("found late");
    assert!(late.historical && late.count > 100);
    assert_eq!(alerts(&b.said).iter().filter(|a| a.incident == late.id).count(), 1);
}

/// Three warnings within 2 s; over a second after the last instant at which that held.
fn short() -> Rule {
    Rule {
        id: RuleId::new("short"),
        selector: Selector {
            min_level: Some(Level::Warn),
            ..Selector::default()
        },
        subject: SubjectKind::Application,
        condition: Condition::Count {
            count: 3,
            within: Span::secs(2),
        },
        off_delay: Span::secs(1),
        ..hot()
    }
}

fn warn(b: &mut Bench, seconds: f64, received: f64) {
    b.log(Level::Warn, seconds, received, "belt slips");
}

#[test]
fn an_earlier_breach_is_not_counted_into_what_goes_on() {
    let mut b = Bench::new(SubjectKind::Application, "wms", vec![short()]);
    for s in [100.0, 100.1, 100.2] {
        warn(&mut b, s, s);
    }
    // A minute before, in its place: a few minutes late at most.
    for s in [40.0, 40.1, 40.2] {
        warn(&mut b, s, 100.5);
    }
    let mut rows: Vec<_> = b.rows().into_values().collect();
    rows.sort_by_key(|i| i.first_at);
    let seen: Vec<_> = rows.iter().map(|i| (i.activity, i.first_at, i.count)).collect();
    assert_eq!(
        seen,
        [(Activity::Closed, at(40.0), 3), (Activity::Active, at(100.0), 3)]
    );
    assert_eq!(b.reasons(), [AlertReason::Opened, AlertReason::Opened]);
}

#[test]
fn a_straggler_of_an_occurrence_that_is_over_reopens_nothing() {
    let mut b = Bench::new(SubjectKind::Application, "wms", vec![short()]);
    for s in [100.0, 100.1, 100.2] {
        warn(&mut b, s, s);
    }
    b.log(Level::Info, 110.0, 110.0, "alive");
    warn(&mut b, 110.0, 110.0);
    assert_eq!(b.incident().activity, Activity::ReturnedToNormal);
    warn(&mut b, 99.9, 111.0);
    assert_eq!(
        (b.incident().activity, b.incident().count),
        (Activity::ReturnedToNormal, 4)
    );
    // One that was not known, before it: found late, and the present is as it was.
    for s in [40.0, 40.1, 40.2] {
        warn(&mut b, s, 112.0);
    }
    assert_eq!(b.incident().activity, Activity::ReturnedToNormal);
    assert_eq!(b.rows().len(), 2);
    assert_eq!(b.reasons(), [AlertReason::Opened, AlertReason::Opened]);
    // What holds again after it is news.
    for s in [113.0, 113.1, 113.2] {
        warn(&mut b, s, s);
    }
    assert_eq!(b.reasons().last(), Some(&AlertReason::Reopened));
}

#[test]
fn a_new_fault_that_comes_late_for_an_occurrence_that_is_over_is_alerted() {
    let mut b = Bench::new(SubjectKind::Application, "wms", vec![short()]);
    for s in [100.0, 100.1, 100.2] {
        warn(&mut b, s, s);
    }
    b.log(Level::Info, 110.0, 110.0, "alive");
    warn(&mut b, 110.0, 110.0);
    b.log(Level::Warn, 99.8, 111.0, "belt torn");
    b.log(Level::Error, 99.7, 111.1, "belt torn");
    assert_eq!(b.incident().activity, Activity::ReturnedToNormal);
    assert_eq!(
        b.reasons(),
        [AlertReason::Opened, AlertReason::NewFault, AlertReason::Raised]
    );
}

/// A buffer of more than an hour, delivered whole: what still goes on is alerted at once, not as history.
#[test]
fn what_goes_on_is_live_though_its_request_reaches_back_for_hours() {
    let mut b = Bench::new(
        SubjectKind::Device,
        "press-1",
        vec![Rule {
            condition: Condition::Count {
                count: 1,
                within: Span::secs(60),
            },
            selector: Selector::default(),
            reopen_within: Span::hours(3),
            ..hot()
        }],
    );
    b.entry(
        3_700.0,
        &[0.0, 3_600.0, 3_700.0].map(|at_s| Record {
            timestamp: at(at_s),
            level: Some(Level::Info),
            message: Some("jam"),
            device_id: Some("press-1"),
            ..Record::default()
        }),
    );
    let told = alerts(&b.said);
    assert_eq!(told.iter().map(|a| a.historical).collect::<Vec<_>>(), [false]);
}
