//! Limits, silence and rules that end.

use crate::bench::*;
use andon_engine::control::{Action, SilenceFound};
use andon_engine::effect::AlertReason;
use andon_engine::ids::{JournalId, Position, RecordId};
use andon_engine::incident::{Activity, TimelineKind};
use andon_engine::level::Level;
use andon_engine::record::Record;
use andon_engine::rule::{Condition, Rule};
use andon_engine::ruleset::RuleEnd;
use andon_engine::subject::SubjectKind;
use std::sync::Arc;

#[test]
fn a_limit_opens_after_its_on_delay_and_returns_after_deadband_and_off_delay() {
    let mut b = Bench::new(SubjectKind::Device, "press-1", vec![hot()]);
    assert!(b.reading(0.0, 95.0).is_empty());
    assert!(b.reading(5.0, 96.0).is_empty());
    assert_eq!(kinds(&b.reading(10.0, 99.0)), [TimelineKind::Opened]);
    assert!(kinds(&b.reading(20.0, 89.0)).is_empty(), "inside the deadband");
    assert!(kinds(&b.reading(30.0, 87.0)).is_empty(), "off-delay runs");
    assert_eq!(kinds(&b.timer(60.0)), [TimelineKind::ReturnedToNormal]);
    let i = b.incident();
    assert_eq!((i.peak, i.activity), (Some(99.0), Activity::ReturnedToNormal));
}

/// The title says what the limit is; which value came last is not it.
#[test]
fn further_readings_of_an_alarm_leave_its_title() {
    let mut b = Bench::new(SubjectKind::Device, "press-1", vec![hot()]);
    b.reading(0.0, 95.0);
    b.reading(10.0, 99.0);
    let title = b.incident().title;
    assert!(title.contains("above its limit of 90"), "{title}");
    b.reading(12.0, 97.0);
    assert_eq!(b.incident().title, title);
}

/// A safety device that sends readings and a type, and no message.
#[test]
fn a_safety_record_of_readings_only_opens_an_incident_that_says_what_it_read() {
    let mut b = Bench::new(SubjectKind::Device, "press-1", vec![]);
    let out = b.observe(Record {
        timestamp: at(0.0),
        received_at: at(0.0),
        device_id: Some("press-1"),
        kind: Some("SF.estop"),
        readings: vec![("loop_current", 0.0)],
        ..Record::default()
    });
    assert_eq!(alerts(&out).len(), 1);
    assert_eq!(&*b.incident().title, "SF.estop loop_current 0");
}

#[test]
fn a_limit_whose_on_delay_ends_without_a_further_reading_opens_by_timer() {
    let mut b = Bench::new(SubjectKind::Device, "press-1", vec![hot()]);
    b.reading(0.0, 95.0);
    assert_eq!(b.deadline(), Some(at(10.0)));
    assert_eq!(kinds(&b.timer(10.0)), [TimelineKind::Opened]);
    assert_eq!(&*b.incident().title, "temperature 95 °C is above its limit of 90 °C");
}

#[test]
fn the_peak_is_the_worst_value_over_all_that_reopened() {
    let mut b = Bench::new(SubjectKind::Device, "press-1", vec![hot()]);
    for (seconds, value) in [
        (0.0, 99.0),
        (10.0, 99.0),
        (20.0, 80.0),
        (60.0, 80.0),
        (70.0, 91.0),
        (80.0, 91.0),
    ] {
        b.reading(seconds, value);
    }
    let i = b.incident();
    assert_eq!((i.reopened, i.activity, i.peak), (1, Activity::Active, Some(99.0)));
}

/// SIM9: what comes after the step is judged as what came before it.
#[test]
fn a_device_whose_clock_steps_back_55_minutes_is_judged_on() {
    let mut b = Bench::new(SubjectKind::Device, "press", vec![hot()]);
    let back = 55.0 * 60.0;
    let send = |b: &mut Bench, seconds: f64, received: f64, error: bool, value: f64| {
        b.observe(Record {
            timestamp: at(seconds),
            received_at: at(received),
            level: error.then_some(Level::Error),
            message: error.then_some("jam"),
            device_id: Some("press"),
            readings: vec![("temperature", value)],
            ..Record::default()
        })
    };
    for i in 0..60 {
        send(&mut b, f64::from(i), f64::from(i), false, 20.0);
    }
    assert!(b.said.is_empty());
    for i in 60..80 {
        send(&mut b, f64::from(i) - back, f64::from(i), true, 20.0);
    }
    assert_eq!(
        alerts(&b.said)
            .iter()
            .filter(|a| a.reason == AlertReason::Opened)
            .count(),
        1,
        "five errors in a minute"
    );
    for i in 80..140 {
        send(&mut b, f64::from(i) - back, f64::from(i), false, 500.0);
    }
    assert_eq!(
        alerts(&b.said)
            .iter()
            .filter(|a| a.reason == AlertReason::Opened)
            .count(),
        2,
        "and the limit"
    );
}

#[test]
fn a_rule_that_is_removed_or_switched_off_closes_its_incident() {
    for end in [RuleEnd::Removed, RuleEnd::Disabled, RuleEnd::Changed] {
        let mut b = Bench::application();
        b.five_errors(0.0);
        b.operate(5.0, Action::Acknowledge);
        let rule = b.incident().rule;
        let position = b.position();
        assert!(b.entity.rules_ended(&[(rule, end)], at(10.0), position));
        let out = b.end_entry(at(10.0));
        let line = |kind| {
            if end == RuleEnd::Changed {
                vec![kind]
            } else {
                vec![kind, TimelineKind::Closed]
            }
        };
        assert_eq!(kinds(&out), line(TimelineKind::ReturnedToNormal), "{end:?}");
        let open = b.entity.incidents().count();
        assert_eq!(open, usize::from(end == RuleEnd::Changed), "{end:?}");
        if end != RuleEnd::Changed {
            assert_eq!(
                (b.entity.is_blank(), b.deadline()),
                (true, None),
                "nothing is left to wait for"
            );
        }
    }
}

#[test]
fn silence_opens_one_incident_and_ends_when_the_device_speaks() {
    let rule = Rule {
        condition: Condition::Silence { after: None },
        ..hot()
    };
    let mut b = Bench::new(SubjectKind::Device, "gw-1", vec![rule.clone()]);
    let unknown = [Arc::from("a"), Arc::from("b")];
    b.entity.silence_found(
        &b.set,
        &SilenceFound {
            rule: rule.id.clone(),
            device: "gw-1".into(),
            since: at(0.0),
            at: at(60.0),
            unknown: unknown.to_vec(),
        },
        RecordId::new(JournalId(1), 9, 0),
    );
    assert_eq!(alerts(&b.end_entry(at(60.0))).len(), 1);
    assert!(b.incident().title.contains("2 devices behind it are unknown"));
    b.entity
        .silence_ended(&rule.id, at(90.0), Position { seq: 10, index: 0 }, "it is heard again");
    b.end_entry(at(90.0));
    assert_eq!(b.incident().activity, Activity::ReturnedToNormal);
    // It is found and ends on the wall; the device's event time has nothing to do with it.
    b.operate(100.0, Action::Acknowledge);
    assert_eq!(b.deadline(), Some(at(190.0)), "the reopen time of 100 s");
    assert_eq!(kinds(&b.timer(190.0)), [TimelineKind::Closed]);
}

#[test]
fn a_limit_that_was_closed_by_hand_is_found_anew() {
    for between in [None, Some(20.0)] {
        let mut b = Bench::new(SubjectKind::Device, "press-1", vec![hot()]);
        b.reading(0.0, 95.0);
        b.reading(10.0, 95.0);
        let first = b.incident().id;
        b.operate(
            11.0,
            Action::Close {
                cause: "cleaned".into(),
            },
        );
        // A short dip, or none: what is above its limit for the on-delay is a fault, whoever closed what.
        if let Some(value) = between {
            b.reading(15.0, value);
        }
        b.reading(20.0, 95.0);
        b.reading(29.0, 95.0);
        assert_eq!(b.entity.incidents().count(), 0, "the on-delay runs from the start");
        b.reading(30.0, 95.0);
        assert_ne!(b.incident().id, first);
        assert_eq!(b.reasons(), [AlertReason::Opened, AlertReason::Opened]);
    }
}

#[test]
fn what_a_machine_logs_beside_a_reading_is_no_new_fault_of_it() {
    let mut b = Bench::new(SubjectKind::Device, "press-1", vec![hot()]);
    for (n, message) in ["started", "lamp green", "operator login"].into_iter().enumerate() {
        let t = at(10.0 * n as f64);
        b.observe(Record {
            timestamp: t,
            received_at: t,
            level: Some([Level::Info, Level::Info, Level::Warn][n]),
            message: Some(message),
            device_id: Some("press-1"),
            readings: vec![("temperature", 95.0)],
            ..Record::default()
        });
    }
    assert_eq!(b.incident().count, 3);
    assert_eq!(b.reasons(), [AlertReason::Opened]);
}
