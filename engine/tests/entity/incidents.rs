//! How an incident opens, counts, is operated on and ends.

use crate::bench::*;
use andon_engine::control::Action;
use andon_engine::effect::{Alert, AlertContext, AlertReason, Effect};
use andon_engine::ids::{OperationId, Position, RouteId, RuleId};
use andon_engine::incident::{Activity, TimelineKind};
use andon_engine::level::Level;
use andon_engine::limits::OPERATIONS_REMEMBERED;
use andon_engine::record::Record;
use andon_engine::rule::{Condition, Configuration, default_rules};
use andon_engine::ruleset::RuleSet;
use andon_engine::subject::SubjectKind;
use andon_engine::time::Span;
use std::sync::Arc;

#[test]
fn the_fifth_error_within_exactly_a_minute_opens_one_incident_and_one_alert() {
    let mut b = Bench::application();
    for s in [0.0, 10.0, 20.0, 30.0] {
        assert!(b.error(s, "lock timeout 17").is_empty());
    }
    let out = b.error(60.0, "lock timeout 99");
    assert_eq!(kinds(&out), [TimelineKind::Opened]);
    assert_eq!(alerts(&out).len(), 1);
    let i = b.incident();
    assert_eq!((i.count, i.first_at, i.opened_at), (5, at(0.0), at(60.0)));
    assert_eq!(b.fingerprints(i.id), [5], "the five differ in numbers only");
}

#[test]
fn a_microsecond_more_is_not_within_a_minute() {
    let mut b = Bench::application();
    for s in [0.0, 10.0, 20.0, 30.0, 60.000_001] {
        assert!(b.error(s, "lock timeout").is_empty());
    }
}

#[test]
fn five_hundred_repeats_tell_nobody_and_are_all_counted() {
    let mut b = Bench::application();
    for n in 0..505 {
        b.error(f64::from(n) * 0.4, &format!("lock timeout {n}"));
    }
    b.entity.flush(at(300.0), &mut b.said);
    assert_eq!(b.reasons(), [AlertReason::Opened]);
    assert_eq!(b.rows().into_values().map(|i| i.count).collect::<Vec<_>>(), [505]);
}

#[test]
fn a_new_fault_and_a_rise_in_level_are_told() {
    let mut b = Bench::application();
    b.five_errors(0.0);
    assert_eq!(kinds(&b.error(6.0, "disk full")), [TimelineKind::NewFault]);
    assert!(kinds(&b.error(7.0, "disk full")).is_empty());
    let out = b.log(Level::Fatal, 8.0, 8.0, "disk full");
    assert!(kinds(&out).contains(&TimelineKind::Raised));
    // The FATAL opens an incident of its own rule as well, at the same position: one e-mail to a person.
    let positions: Vec<Position> = alerts(&out).iter().map(|a| a.position).collect();
    assert_eq!(positions.len(), 2);
    assert_eq!(positions[0], positions[1]);
}

#[test]
fn what_opened_it_is_not_told_again_as_new() {
    let mut b = Bench::application();
    for (s, m) in [(0.0, "a"), (1.0, "b"), (2.0, "c"), (3.0, "d"), (4.0, "e")] {
        b.error(s, m);
    }
    for (s, m) in [(5.0, "a"), (6.0, "b"), (7.0, "c"), (8.0, "d")] {
        assert!(kinds(&b.error(s, m)).is_empty(), "{m} was there from the start");
    }
}

#[test]
fn a_fingerprint_is_counted_for_the_records_of_its_incident_only() {
    let mut b = Bench::application();
    for n in 0..20 {
        assert!(b.error(f64::from(n) * 50.0, "lock timeout").is_empty(), "two a minute");
    }
    b.five_errors(1_020.0);
    let i = b.incident();
    assert_eq!((i.count, b.fingerprints(i.id)), (5, vec![5]));
}

#[test]
fn a_record_that_two_occurrences_have_counts_once() {
    let mut b = Bench::application();
    b.five_errors(0.0);
    // It joins the first occurrence, which ends at 360 s, and is the first of the five that reopen it.
    b.error(350.0, "lock timeout");
    for s in 361..365 {
        b.error(f64::from(s), "lock timeout");
    }
    let i = b.incident();
    assert_eq!((i.reopened, i.occurrence.count, i.count), (1, 5, 10));
    b.entity.flush(at(365.0), &mut b.said);
    assert_eq!(b.fingerprints(i.id), [10]);
}

#[test]
fn the_worst_level_is_that_of_all_its_records() {
    let mut b = Bench::application();
    b.log(Level::Fatal, 0.0, 0.0, "disk full");
    for s in 1..5 {
        b.error(f64::from(s), "disk full");
    }
    assert_eq!(b.incident().rule, RuleId::new("errors-per-application"));
    assert_eq!(b.incident().max_level, Some(Level::Fatal));
    let out = b.log(Level::Fatal, 5.0, 5.0, "disk full");
    assert!(kinds(&out).is_empty(), "it was FATAL from the start");
}

#[test]
fn a_new_incident_knows_what_it_shares_with_the_one_before() {
    let mut b = Bench::new(SubjectKind::Application, "wms", vec![]);
    let mut rule = default_rules(&RouteId::new("default")).remove(0);
    rule.condition = Condition::Count {
        count: 2,
        within: Span::secs(60),
    };
    (rule.off_delay, rule.reopen_within) = (Span::ZERO, Span::ZERO);
    b.set = Arc::new(RuleSet::compile(Arc::new(Configuration {
        rules: vec![rule].into(),
        ..Configuration::default()
    })));
    for (s, message) in [(0.0, "a"), (10.0, "b"), (55.0, "c")] {
        b.error(s, message);
    }
    let first = b.incident();
    // The first returned to normal a minute after its first error; the third error is within a minute of the fourth.
    b.error(100.0, "d");
    let second = b.incident();
    assert_ne!(first.id, second.id);
    assert_eq!((second.count, b.fingerprints(second.id).len()), (2, 2));
    assert!(kinds(&b.error(101.0, "c")).is_empty(), "c was there from the start");
}

#[test]
fn it_returns_to_normal_reopens_and_after_the_reopen_time_is_a_new_incident() {
    let mut b = Bench::application();
    b.five_errors(0.0);
    let first = b.incident();
    // The condition holds until the first of the five leaves the minute, at 60 s; then five minutes of off-delay.
    assert_eq!(b.deadline(), Some(at(360.0).plus(Span::micros(0))));
    assert!(b.timer(359.9).is_empty());
    assert_eq!(kinds(&b.timer(360.0)), [TimelineKind::ReturnedToNormal]);
    b.five_errors(600.0);
    assert_eq!((b.incident().id, b.incident().reopened), (first.id, 1));
    b.timer(2_000.0);
    b.five_errors(9_000.0);
    assert_ne!(b.incident().id, first.id);
    let closed = &b.rows()[&first.id.to_string()];
    assert_eq!(
        (closed.activity, closed.closed_cause.as_deref()),
        (Activity::Closed, Some("recurred"))
    );
    assert_eq!(
        b.reasons(),
        [AlertReason::Opened, AlertReason::Reopened, AlertReason::Opened]
    );
}

#[test]
fn an_operation_that_is_journaled_twice_counts_once() {
    let mut b = Bench::application();
    for n in 0..5 {
        b.error(f64::from(n), "broken");
    }
    let comment = || Action::Comment { text: "seen".into() };
    let id = OperationId(u128::MAX);
    assert_eq!(kinds(&b.operate_as(id, 10.0, comment())), [TimelineKind::Commented]);
    assert!(
        b.operate_as(id, 10.0, comment()).is_empty(),
        "the same again changes nothing"
    );
    // Also after its checkpoint was loaded, and after others.
    for n in 1..OPERATIONS_REMEMBERED as u128 {
        assert_eq!(kinds(&b.operate_as(OperationId(n), 10.0, comment())).len(), 1);
    }
    b.entity = serde_json::from_slice(&serde_json::to_vec(&b.entity).unwrap()).unwrap();
    assert!(b.operate_as(id, 10.0, comment()).is_empty());
    assert_eq!(
        kinds(&b.said).iter().filter(|k| **k == TimelineKind::Commented).count(),
        OPERATIONS_REMEMBERED
    );
    // Two people may say the same, and an entry from before operations had ids is never a repeat.
    assert_eq!(kinds(&b.operate_as(OperationId(999), 10.0, comment())).len(), 1);
    for _ in 0..2 {
        assert_eq!(kinds(&b.operate_as(OperationId::default(), 10.0, comment())).len(), 1);
    }
}

#[test]
fn normal_and_acknowledged_it_closes_when_the_reopen_time_is_over() {
    let mut b = Bench::application();
    b.five_errors(0.0);
    let id = b.incident().id.to_string();
    assert_eq!(
        kinds(&b.operate(10.0, Action::Acknowledge)),
        [TimelineKind::Acknowledged]
    );
    assert!(b.operate(11.0, Action::Acknowledge).is_empty(), "twice changes nothing");
    b.timer(400.0);
    assert_eq!(b.deadline(), Some(at(360.0 + 1_800.0)));
    assert_eq!(kinds(&b.timer(2_160.0)), [TimelineKind::Closed]);
    assert_eq!(b.entity.incidents().count(), 0);
    assert_eq!(b.rows()[&id].acknowledged.as_ref().map(|a| &*a.by), Some("ann"));
}

#[test]
fn closed_by_hand_it_takes_a_new_breach_to_open_the_next() {
    let mut b = Bench::application();
    b.five_errors(0.0);
    let first = b.incident().id;
    b.operate(5.0, Action::Close { cause: "fixed".into() });
    for s in 6..10 {
        assert!(b.error(f64::from(s), "lock timeout").is_empty());
    }
    assert_eq!(kinds(&b.error(10.0, "lock timeout")), [TimelineKind::Opened]);
    assert_ne!(b.incident().id, first);
}

fn shelve(b: &mut Bench) {
    let reason = "known".into();
    b.operate(
        10.0,
        Action::Shelve {
            until: at(100.0),
            reason,
        },
    );
}

/// What is held back while it is shelved is the notifier's to know.
#[test]
fn shelved_it_raises_alerts_as_ever_and_none_when_the_time_is_over() {
    let mut b = Bench::application();
    b.five_errors(0.0);
    shelve(&mut b);
    assert_eq!(kinds(&b.error(20.0, "disk full")), [TimelineKind::NewFault]);
    assert_eq!(b.reasons(), [AlertReason::Opened, AlertReason::NewFault]);
    assert_eq!(b.deadline(), Some(at(100.0)));
    let out = b.timer(100.0);
    assert_eq!(kinds(&out), [TimelineKind::Unshelved]);
    assert!(alerts(&out).is_empty(), "no record raises one");
    let i = b.incident();
    assert_eq!((i.shelved, i.unshelved_at), (None, Some(at(100.0))));
}

#[test]
fn a_person_ends_a_shelving_early() {
    let mut b = Bench::application();
    b.five_errors(0.0);
    shelve(&mut b);
    let out = b.operate(50.0, Action::Unshelve);
    assert!(alerts(&out).is_empty());
    let i = b.incident();
    assert_eq!((i.shelved, i.unshelved_at), (None, Some(at(50.0))));
}

/// Errors of an application, each of a device and with a text of its own, in one request.
fn request(b: &mut Bench, from: f64, devices: &[String]) -> Vec<Effect> {
    for (n, device) in devices.iter().enumerate() {
        let text = format!("{device} lost its way{}", "!".repeat(n));
        b.judge(Record {
            timestamp: at(from + n as f64 / 1_000.0),
            received_at: at(from + 1.0),
            level: Some(if n == 0 { Level::Error } else { Level::Fatal }),
            message: Some(&text),
            kind: Some("AGV.lost"),
            application: Some("wms"),
            device_id: Some(device),
            source: Some("fleet"),
            user_id: Some("ann"),
            ..Record::default()
        });
    }
    b.end_entry(at(from + 1.0))
}

#[test]
fn an_alert_names_what_its_own_record_names() {
    let mut b = Bench::application();
    b.plant(&[("AGV-7", "hall 1", "north"), ("AGV-8", "hall 2", "south")]);
    for s in 0..5 {
        request(&mut b, f64::from(s) * 2.0, &["AGV-7".to_owned()]);
    }
    assert_eq!(b.incident().device.as_deref(), Some("AGV-7"));
    let out = request(&mut b, 20.0, &["AGV-7".to_owned(), "AGV-8".to_owned()]);
    let out: Vec<&Alert> = alerts(&out)
        .into_iter()
        .filter(|a| a.context.device.as_deref() == Some("AGV-8"))
        .collect();
    let text = |s: &str| Some(Arc::from(s));
    let want = AlertContext {
        error_type: text("AGV.lost"),
        source: text("fleet"),
        device: text("AGV-8"),
        area: text("hall 2"),
        site: text("south"),
        user: text("ann"),
        application: text("wms"),
        level: Some(Level::Fatal),
    };
    assert_eq!(out.iter().map(|a| &a.context).collect::<Vec<_>>(), [&want]);
    assert_eq!(out[0].priority, b.incident().priority);
}

/// A mute window of AGV-7 must not hold the news of AGV-8, wherever in the request it stands.
#[test]
fn devices_of_one_request_have_an_alert_each() {
    let mut b = Bench::application();
    let devices = ["AGV-7", "AGV-7", "AGV-7", "AGV-7", "AGV-7", "AGV-8", "AGV-7", "AGV-8"];
    let out = request(&mut b, 0.0, &devices.map(str::to_owned));
    let said: Vec<_> = alerts(&out)
        .iter()
        .map(|a| (a.context.device.clone(), a.reason))
        .collect();
    assert_eq!(
        said,
        [
            (Some(Arc::from("AGV-7")), AlertReason::Opened),
            (Some(Arc::from("AGV-8")), AlertReason::NewFault)
        ]
    );
}

/// However many devices one request names: beyond 16 one alert stands for the rest, and names what all of them share.
#[test]
fn the_alerts_of_one_request_are_bounded_and_none_of_its_devices_is_lost() {
    let mut b = Bench::application();
    let devices: Vec<String> = (0..40).map(|n| format!("AGV-{n}")).collect();
    b.plant(
        &devices
            .iter()
            .map(|d| (d.as_str(), "hall 1", "north"))
            .collect::<Vec<_>>(),
    );
    let out = request(&mut b, 0.0, &devices);
    let said = alerts(&out);
    assert_eq!(said.len(), 17);
    let rest = &said[16].context;
    assert_eq!(
        (rest.device.as_deref(), rest.area.as_deref(), rest.source.as_deref()),
        (None, Some("hall 1"), Some("fleet"))
    );
}

#[test]
fn an_incident_s_title_has_no_colour_codes() {
    let mut b = Bench::application();
    for s in 0..5 {
        b.error(f64::from(s), "\u{1b}[31mlock \u{1b}[1mtimeout\u{1b}[0m\u{7}");
    }
    assert_eq!(&*b.incident().title, "lock timeout");
}
