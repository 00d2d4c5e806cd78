//! A change of the configuration costs what changed.

use crate::world::*;
use andon_actors::entries;
use andon_actors::judging::Judging;
use andon_engine::control::Control;
use andon_engine::ids::{RecipientId, RouteId, RuleId};
use andon_engine::parts::ConfigurationChange;
use andon_engine::rule::{Configuration, Device, MuteSchedule, MuteScope, MuteWindow, Recipient, Route, Rule, Site};
use andon_engine::time::ManualClock;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

const WITHIN: Duration = Duration::from_secs(120);

/// Journals what makes this of what is in force, waits until it is, and gives the bytes that were journaled.
async fn change(judging: &Judging, change: impl FnOnce(&mut Configuration)) -> usize {
    let mut in_force = judging.configuration();
    let old = in_force.borrow_and_update().clone();
    let mut new = Configuration::clone(&old);
    change(&mut new);
    let steps = judging.steps(ConfigurationChange {
        version: old.version + 1,
        whole: false,
        changes: old.changes_to(&new),
    });
    let last = old.version + steps.len() as u64;
    let mut bytes = 0;
    for step in steps {
        let step = Control::Changed(step);
        bytes += entries::encode_control(&step).len();
        judging.control(&step).await.expect("journaled");
    }
    let is_last = in_force.wait_for(|c| c.version == last);
    let is = tokio::time::timeout(WITHIN, is_last)
        .await
        .expect("it is in force")
        .expect("judging runs")
        .clone();
    assert_eq!(is.changes_to(&new), [], "as it was meant");
    bytes
}

/// How often each shard was given other rules.
async fn rule_sets(judging: &Judging) -> Vec<u64> {
    let seen = judging.observe().await.expect("it runs");
    seen.shards.iter().map(|s| s.rule_sets).collect()
}

fn put_people(c: &mut Configuration) {
    c.sites.push(Site {
        id: "plant".into(),
        name: "Plant".into(),
        time_zone: "Europe/Berlin".into(),
    });
    c.recipients.push(Recipient {
        id: RecipientId::new("anna"),
        name: "Anna".into(),
        email: "anna@example.com".into(),
        language: "en".into(),
        passes_throttle: false,
    });
    c.routes.push(Route {
        id: RouteId::new("default"),
        name: "Default".into(),
        recipients: vec![RecipientId::new("anna")],
        channels: Vec::new(),
    });
    c.mute_windows.push(MuteWindow {
        id: "night".into(),
        reason: "nobody is there".into(),
        scope: MuteScope::default(),
        schedule: MuteSchedule::Once {
            from: START,
            until: START.plus(andon_engine::time::Span::hours(8)),
        },
        includes_safety: false,
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_only_the_notifier_needs_reaches_no_shard() {
    let dir = tempfile::tempdir().expect("a folder");
    let clock = Arc::new(ManualClock::new(START));
    let journal = open(dir.path(), "journal", &clock).await;
    let run = run(dir.path(), "run", &journal, &clock, 0, 4).await;
    let judging = run.start().await;
    change(&judging, |c| *c = configuration(0, None)).await;
    assert_eq!(rule_sets(&judging).await, [1; 4]);
    change(&judging, put_people).await;
    change(&judging, |c| c.recipients[0].language = "de".into()).await;
    change(&judging, |c| c.mute_windows[0].reason = "another".into()).await;
    change(&judging, |c| c.routes[0].recipients.clear()).await;
    change(&judging, |c| c.sites.clear()).await;
    assert_eq!(rule_sets(&judging).await, [1; 4], "judging goes by none of it");
    change(&judging, |c| c.devices[0].area = Some("hall 9".into())).await;
    change(&judging, |c| c.rules[0].enabled = false).await;
    assert_eq!(rule_sets(&judging).await, [3; 4]);
    run.finish(judging).await;
    // It is all there after a restart, and what is said a second time changes nothing.
    let judging = run.start().await;
    let in_force = judging.configuration().borrow().clone();
    assert_eq!(
        (in_force.version, in_force.recipients.len(), in_force.sites.len()),
        (8, 1, 0)
    );
    let old = ConfigurationChange::whole(&configuration(8, None));
    judging.control(&Control::Changed(old)).await.expect("journaled");
    run.finish(judging).await;
    let judging = run.start().await;
    assert_eq!(*judging.configuration().borrow(), in_force);
    judging.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_changed_among_many_costs_what_changed() {
    const RULES: usize = 1_000;
    const DEVICES: usize = 20_000;
    let dir = tempfile::tempdir().expect("a folder");
    let clock = Arc::new(ManualClock::new(START));
    let journal = open(dir.path(), "journal", &clock).await;
    let run = run(dir.path(), "run", &journal, &clock, 0, 4).await;
    let saved = || run.checkpoints.router_bytes.swap(0, Ordering::Relaxed);
    let judging = run.start().await;
    let model = configuration(0, None).rules[0].clone();
    let all = change(&judging, |c| {
        let rule = |n| Rule {
            id: RuleId::new(format!("rule-{n:05}")),
            ..model.clone()
        };
        c.rules = (0..RULES).map(rule).collect();
        let device = |n| Device {
            id: format!("CNV-{n:06}").into(),
            class: Some("conveyor".into()),
            area: Some(format!("hall {}", n % 40).into()),
            ..Device::default()
        };
        c.devices = (0..DEVICES).map(device).collect();
        put_people(c);
    })
    .await;
    assert!(judging.drain(WITHIN).await);
    let all_saved = saved();
    let informed = rule_sets(&judging).await;

    let rule = change(&judging, |c| c.rules[500].off_delay.0 += 1).await;
    assert!(judging.drain(WITHIN).await);
    let rule_saved = saved();
    assert_eq!(
        rule_sets(&judging).await,
        informed.iter().map(|n| n + 1).collect::<Vec<_>>(),
        "once"
    );
    let mute = change(&judging, |c| c.mute_windows[0].reason = "another".into()).await;
    assert!(judging.drain(WITHIN).await);
    let mute_saved = saved();
    assert_eq!(
        rule_sets(&judging).await,
        informed.iter().map(|n| n + 1).collect::<Vec<_>>(),
        "no more"
    );
    println!(
        "journaled: all {all} bytes, a rule {rule}, a mute {mute}; saved: {all_saved}, {rule_saved}, {mute_saved}"
    );
    assert!(rule < 2_048 && mute < 2_048, "{rule} and {mute} bytes journaled");
    assert!(
        rule_saved < 16_384 && mute_saved < 2_048,
        "{rule_saved} and {mute_saved} bytes saved"
    );
    judging.stop().await;
}
