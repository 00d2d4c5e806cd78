//! What one entity does with records, timers and operations.

use andon_engine::control::{Action, Operation, SilenceFound};
use andon_engine::effect::{Alert, AlertReason, Effect};
use andon_engine::entity::Entity;
use andon_engine::fingerprint::fingerprint;
use andon_engine::ids::{JournalId, OperationId, Position, RecordId, RouteId, RuleId};
use andon_engine::incident::{Activity, Incident, TimelineKind};
use andon_engine::level::Level;
use andon_engine::limits::OPERATIONS_REMEMBERED;
use andon_engine::record::{Flags, Record};
use andon_engine::rule::{Condition, Configuration, Direction, Limit, Priority, Rule, Selector, default_rules};
use andon_engine::ruleset::{RuleEnd, RuleSet};
use andon_engine::sources::{Sources, history_source};
use andon_engine::subject::{Subject, SubjectKind};
use andon_engine::time::{Span, Timestamp};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

const START: Timestamp = Timestamp(1_800_000_000_000_000);

fn at(seconds: f64) -> Timestamp {
    START.plus(Span::micros((seconds * 1e6).round() as i64))
}

/// An entity with the rules it lives under, the clocks of its sources, and everything it said.
struct Bench {
    set: Arc<RuleSet>,
    sources: Sources,
    entity: Entity,
    said: Vec<Effect>,
    seq: u64,
    operations: u128,
    /// The wall at the last entry.
    wall: Timestamp,
}

impl Bench {
    fn new(subject: SubjectKind, id: &str, extra: Vec<Rule>) -> Bench {
        let mut rules = default_rules(&RouteId::new("default"));
        rules.extend(extra);
        let configuration = Configuration {
            rules,
            ..Configuration::default()
        };
        Bench {
            set: Arc::new(RuleSet::compile(Arc::new(configuration))),
            sources: Sources::new(),
            entity: Entity::new(Subject::new(subject, id)),
            said: Vec::new(),
            seq: 0,
            operations: 0,
            wall: START,
        }
    }

    fn application() -> Bench {
        Bench::new(SubjectKind::Application, "wms", vec![])
    }

    fn position(&mut self) -> Position {
        self.seq += 1;
        Position {
            seq: self.seq,
            index: 0,
        }
    }

    fn observe(&mut self, record: Record<'_>) -> Vec<Effect> {
        let position = self.position();
        let record = Record {
            record_id: RecordId::new(JournalId(1), position.seq, 0),
            fingerprint: record
                .message
                .map_or(0, |m| fingerprint(record.application, record.kind, m)),
            ..record
        };
        let history = record.flags.contains(Flags::HISTORY);
        let source = if history { history_source(1) } else { 1 };
        let judgement = self
            .sources
            .observe_as(source, record.timestamp, record.received_at, history);
        let mut matched = Vec::new();
        self.set.matching(&record, &mut matched);
        matched.retain(|m| self.set.rule(m.rule).subject == self.entity.subject.kind);
        self.entity.observe(&self.set, &matched, &record, &judgement);
        self.end_entry(record.received_at)
    }

    fn end_entry(&mut self, now: Timestamp) -> Vec<Effect> {
        let mut out = Vec::new();
        self.wall = now;
        self.entity.end_entry(now, &mut out);
        self.said.extend(out.iter().cloned());
        out
    }

    fn log(&mut self, level: Level, seconds: f64, received: f64, message: &str) -> Vec<Effect> {
        self.observe(Record {
            timestamp: at(seconds),
            received_at: at(received),
            level: Some(level),
            message: Some(message),
            application: Some("wms"),
            ..Record::default()
        })
    }

    fn error(&mut self, seconds: f64, message: &str) -> Vec<Effect> {
        self.log(Level::Error, seconds, seconds, message)
    }

    fn five_errors(&mut self, from: f64) {
        for s in 0..5 {
            self.error(from + f64::from(s), "lock timeout");
        }
    }

    fn reading(&mut self, seconds: f64, value: f64) -> Vec<Effect> {
        self.observe(Record {
            timestamp: at(seconds),
            received_at: at(seconds),
            device_id: Some("press-1"),
            readings: vec![("temperature", value)],
            ..Record::default()
        })
    }

    fn timer_at(&mut self, wall: Timestamp) -> Vec<Effect> {
        let position = self.position();
        self.entity.timer(&self.set, wall, position);
        self.end_entry(wall)
    }

    fn timer(&mut self, seconds: f64) -> Vec<Effect> {
        self.timer_at(at(seconds))
    }

    fn deadline(&self) -> Option<Timestamp> {
        self.entity.deadline(&self.set, self.wall)
    }

    fn operate(&mut self, seconds: f64, action: Action) -> Vec<Effect> {
        // Each an operation of its own.
        self.operations += 1;
        self.operate_as(OperationId(self.operations), seconds, action)
    }

    fn operate_as(&mut self, id: OperationId, seconds: f64, action: Action) -> Vec<Effect> {
        let incident = self.incident();
        let op = Operation {
            id,
            incident: incident.id,
            rule: incident.rule,
            subject: incident.subject,
            at: at(seconds),
            who: Arc::from("ann"),
            action,
        };
        let position = self.position();
        self.entity.operate(&self.set, &op, position);
        self.end_entry(at(seconds))
    }

    fn incident(&self) -> Incident {
        self.entity.incidents().next().cloned().expect("an incident")
    }

    fn reasons(&self) -> Vec<AlertReason> {
        alerts(&self.said).iter().map(|a| a.reason).collect()
    }

    /// Rows as a store would hold them after everything that was said.
    fn rows(&self) -> BTreeMap<String, Incident> {
        let mut rows: BTreeMap<String, Incident> = BTreeMap::new();
        for effect in &self.said {
            if let Effect::Incident(i) = effect {
                let row = rows.entry(i.id.to_string()).or_insert_with(|| Incident::clone(i));
                if (i.position, i.revision) >= (row.position, row.revision) {
                    *row = Incident::clone(i);
                }
            }
        }
        rows
    }
}

fn alerts(effects: &[Effect]) -> Vec<&Alert> {
    effects
        .iter()
        .filter_map(|e| if let Effect::Alert(a) = e { Some(&**a) } else { None })
        .collect()
}

fn kinds(effects: &[Effect]) -> Vec<TimelineKind> {
    let kind = |e: &Effect| {
        if let Effect::Timeline(t) = e {
            Some(t.kind)
        } else {
            None
        }
    };
    effects.iter().filter_map(kind).collect()
}

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
    let fingerprints = b.entity.fingerprints(i.id);
    assert_eq!(fingerprints.len(), 1, "the five differ in numbers only");
    assert_eq!(fingerprints[0].count, 5);
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
    let fingerprints = b.entity.fingerprints(i.id);
    assert_eq!((i.count, fingerprints.len(), fingerprints[0].count), (5, 1, 5));
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
    assert_eq!(b.entity.fingerprints(i.id)[0].count, 10);
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
        rules: vec![rule],
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
    assert_eq!((second.count, b.entity.fingerprints(second.id).len()), (2, 2));
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

#[test]
fn shelved_it_tells_nobody_until_the_time_is_over() {
    let mut b = Bench::application();
    b.five_errors(0.0);
    b.operate(
        10.0,
        Action::Shelve {
            until: at(100.0),
            reason: "known".into(),
        },
    );
    assert_eq!(kinds(&b.error(20.0, "disk full")), [TimelineKind::NewFault]);
    assert_eq!(b.reasons(), [AlertReason::Opened]);
    assert_eq!(b.deadline(), Some(at(100.0)));
    let out = b.timer(100.0);
    assert_eq!(kinds(&out), [TimelineKind::Unshelved]);
    assert_eq!(alerts(&out).len(), 1, "it still holds");
}

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

fn hot() -> Rule {
    Rule {
        id: RuleId::new("hot"),
        name: "too hot".into(),
        enabled: true,
        selector: Selector::default(),
        subject: SubjectKind::Device,
        condition: Condition::Limit(Limit {
            reading: "temperature".into(),
            unit: Some("°C".into()),
            direction: Direction::Above,
            bound: 90.0,
            deadband: 2.0,
            on_delay: Span::secs(10),
        }),
        priority: Priority::P2,
        route: RouteId::new("default"),
        runbook: None,
        off_delay: Span::secs(30),
        reopen_within: Span::secs(100),
        passes_throttle: false,
        safety: false,
    }
}

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
