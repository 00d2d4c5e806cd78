//! Rules that are switched off, changed or removed, and devices that are taken out of the plant.

use crate::world::*;
use andon_actors::judging::Judging;
use andon_engine::control::{Action, Control, Operation};
use andon_engine::ids::{OperationId, RouteId, RuleId};
use andon_engine::incident::Activity;
use andon_engine::rule::{Condition, Configuration, Device, Priority, Rule, Selector};
use andon_engine::subject::SubjectKind;
use andon_engine::time::{ManualClock, Span};
use std::sync::Arc;
use std::time::Duration;

/// Waits until what judging said satisfies `done`, and gives it.
pub(crate) async fn until(run: &Run, what: &str, done: impl Fn(&Told) -> bool) -> Told {
    let waiting = async {
        loop {
            let told = run.told().await;
            if done(&told) {
                return told;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting)
        .await
        .unwrap_or_else(|_| panic!("not in time: {what}"))
}

/// Moves the clock, and waits until judging has looked at it.
pub(crate) async fn pass(clock: &ManualClock, judging: &Judging, span: Span) {
    clock.advance(span);
    let now = clock_now(clock);
    let ticked = async {
        while judging.observe().await.is_none_or(|o| o.router.ticked_at < now) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), ticked)
        .await
        .expect("it ticks");
}

pub(crate) fn clock_now(clock: &ManualClock) -> andon_engine::time::Timestamp {
    use andon_engine::time::Clock;
    clock.now()
}

pub(crate) async fn configure(run: &Run, configuration: Configuration) {
    let at = clock_now(&run.clock);
    let entry = control(&whole(&configuration), at);
    run.journal.append(entry).await.expect("appended");
}

async fn acknowledge(run: &Run, told: &Told, id: u128) {
    let incident = told.incidents.values().next().expect("an incident").clone();
    let at = clock_now(&run.clock);
    let op = Operation {
        id: OperationId(id),
        incident: incident.id,
        rule: incident.rule,
        subject: incident.subject,
        at,
        who: "ann".into(),
        action: Action::Acknowledge,
    };
    run.journal
        .append(control(&Control::Operated(op), at))
        .await
        .expect("appended");
}

fn without(version: u64, rule: &str) -> Configuration {
    configuration(version, Some(rule))
}

fn switched_off(version: u64, rule: &str) -> Configuration {
    let mut c = configuration(version, None);
    c.rules
        .iter_mut()
        .filter(|r| r.id.as_str() == rule)
        .for_each(|r| r.enabled = false);
    c
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_that_ends_closes_its_incidents_wherever_they_are_and_leaves_no_timer() {
    const RULE: &str = "errors-per-application";
    for removed in [true, false] {
        for is_idle in [true, false] {
            let dir = tempfile::tempdir().expect("a folder");
            let clock = Arc::new(ManualClock::new(START));
            let journal = open(dir.path(), "journal", &clock).await;
            let run = run(dir.path(), "effects", &journal, &clock, 0, 2).await;
            configure(&run, configuration(1, None)).await;
            append_errors(&journal, "wms", &["a"; 5], START).await;
            let judging = run.start().await;
            until(&run, "it opens", |t| t.incidents.len() == 1).await;
            clock.advance(Span::mins(10));
            let told = until(&run, "it returns to normal", |t| {
                t.incidents.values().all(|i| i.activity == Activity::ReturnedToNormal)
            })
            .await;
            if is_idle {
                // Written out: it waits for nobody but a person.
                clock.advance(Span::mins(11));
                timers_have_fired(&judging).await;
                assert!(judging.drain(Duration::from_secs(30)).await);
                append_errors(&journal, "erp", &["b"], clock_now(&clock)).await;
                assert!(judging.drain(Duration::from_secs(30)).await);
                let seen = judging.observe().await.expect("an answer");
                assert_eq!(seen.shards.iter().map(|s| s.idle).sum::<usize>(), 1);
            } else {
                acknowledge(&run, &told, 1).await;
            }
            let next = if removed {
                without(2, RULE)
            } else {
                switched_off(2, RULE)
            };
            configure(&run, next).await;
            let told = until(&run, "it closes with its rule", |t| {
                t.incidents.values().all(|i| i.activity == Activity::Closed)
            })
            .await;
            let cause = if removed {
                "the rule was removed"
            } else {
                "the rule was switched off"
            };
            let incident = told.incidents.values().next().expect("an incident");
            assert_eq!(incident.closed_cause.as_deref(), Some(cause));
            // In a year nothing is due.
            clock.advance(Span::hours(24 * 365));
            timers_have_fired(&judging).await;
            assert!(judging.drain(Duration::from_secs(30)).await);
            let seen = judging.observe().await.expect("an answer");
            assert_eq!(
                seen.shards.iter().map(|s| s.entities + s.idle).sum::<usize>(),
                0,
                "and nothing is left"
            );
            run.finish(judging).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delay_that_is_made_shorter_holds_for_what_is_waiting() {
    let with_off_delay = |version, off_delay| {
        let mut c = configuration(version, None);
        c.rules.iter_mut().for_each(|r| r.off_delay = off_delay);
        c
    };
    let dir = tempfile::tempdir().expect("a folder");
    let clock = Arc::new(ManualClock::new(START));
    let journal = open(dir.path(), "journal", &clock).await;
    let run = run(dir.path(), "effects", &journal, &clock, 0, 2).await;
    configure(&run, with_off_delay(1, Span::hours(1))).await;
    append_errors(&journal, "wms", &["a"; 5], START).await;
    let judging = run.start().await;
    until(&run, "it opens", |t| t.incidents.len() == 1).await;
    configure(&run, with_off_delay(2, Span::mins(1))).await;
    clock.advance(Span::mins(5));
    until(&run, "it returns to normal by the shorter delay", |t| {
        t.incidents.values().all(|i| i.activity == Activity::ReturnedToNormal)
    })
    .await;
    run.finish(judging).await;
}

pub(crate) fn silent(version: u64, enabled: bool, devices: &[&str]) -> Configuration {
    let rule = Rule {
        id: RuleId::new("silence"),
        name: "silent".into(),
        enabled,
        selector: Selector::default(),
        subject: SubjectKind::Device,
        condition: Condition::Silence {
            after: Some(Span::secs(20)),
        },
        priority: Priority::P2,
        route: RouteId::new("default"),
        runbook: None,
        off_delay: Span::ZERO,
        reopen_within: Span::mins(30),
        passes_throttle: false,
        safety: false,
    };
    let device = |id: &&str| Device {
        id: (*id).into(),
        ..Device::default()
    };
    Configuration {
        version,
        rules: vec![rule].into(),
        devices: devices.iter().map(device).collect(),
        ..Configuration::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silence_rule_that_is_switched_off_and_on_finds_a_silent_device_anew() {
    let dir = tempfile::tempdir().expect("a folder");
    let clock = Arc::new(ManualClock::new(START));
    let journal = open(dir.path(), "journal", &clock).await;
    let run = run(dir.path(), "effects", &journal, &clock, 0, 2).await;
    configure(&run, silent(1, true, &["CNV-01"])).await;
    let judging = run.start().await;
    pass(&clock, &judging, Span::secs(24)).await;
    until(&run, "it is found", |t| t.alerts.len() == 1).await;
    configure(&run, silent(2, false, &["CNV-01"])).await;
    let closed = |t: &Told| t.incidents.values().all(|i| i.activity == Activity::Closed);
    until(&run, "it closes with its rule", closed).await;
    configure(&run, silent(3, true, &["CNV-01"])).await;
    pass(&clock, &judging, Span::secs(4)).await;
    let told = until(&run, "it is found anew", |t| t.alerts.len() == 2).await;
    assert_eq!(told.incidents.len(), 2, "an incident of its own");
    // Taken out of the plant it is nobody's concern any more.
    configure(&run, silent(4, true, &[])).await;
    until(&run, "it ends with the device", |t| {
        t.incidents.values().all(|i| i.activity != Activity::Active)
    })
    .await;
    run.finish(judging).await;
}
