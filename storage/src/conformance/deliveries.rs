//! Checks of [`DeliveryStore`].

use super::sample::{self, HOSTILE};
use crate::ports::deliveries::{
    ChannelKind, Decision, Delivery, DeliveryChange, DeliveryId, DeliveryState, DeliveryStore, Notice, NoticeId,
    NoticeItem, NoticeKind, NoticeState, Outcome, Slot, Target, Told,
};
use crate::ports::rows::EffectStore;
use andon_engine::effect::{Alert, AlertReason, Effect};
use andon_engine::ids::{AlertId, IncidentId, Position, RouteId};
use andon_engine::time::{Span, Timestamp};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::sync::Arc;

pub(super) fn at(t: i64) -> Timestamp {
    Timestamp(t)
}

pub(super) fn anna() -> Target {
    Target::new(ChannelKind::Email, "anna")
}

pub(super) fn delivery(alert: &Alert, target: &Target) -> Delivery {
    Delivery {
        id: DeliveryId::of(alert.id, target),
        alert: alert.id,
        incident: alert.incident,
        target: target.clone(),
        route: RouteId::new("default"),
        position: alert.position,
        passes_throttle: alert.passes_throttle,
        historical: alert.historical,
        state: DeliveryState::Waiting,
        reason: None,
        due: None,
        muted_until: None,
        notice: None,
        created_at: at(1),
        updated_at: at(1),
    }
}

/// Alerts of one incident at positions 1, 2, …, written as the effect writer writes them.
pub(super) async fn alerts<S: EffectStore>(s: &S, n: u64) -> Vec<Alert> {
    let mut rng = StdRng::seed_from_u64(1);
    let alerts: Vec<Alert> = (1..=n)
        .map(|seq| Alert {
            id: AlertId(rng.random()),
            position: Position { seq, index: 0 },
            ..sample::alert(&mut rng, IncidentId(7))
        })
        .collect();
    let effects: Vec<Effect> = alerts.iter().map(|a| Effect::Alert(Box::new(a.clone()))).collect();
    s.apply_effects(&effects, super::cursor(1, 1)).await.unwrap();
    alerts
}

/// The same, each expanded to one delivery for `target`.
async fn expanded<S: EffectStore + DeliveryStore>(s: &S, n: u64, target: &Target) -> Vec<Delivery> {
    let mut out = Vec::new();
    for a in alerts(s, n).await {
        let d = delivery(&a, target);
        assert!(s.expand(a.id, std::slice::from_ref(&d), at(1)).await.unwrap());
        out.push(d);
    }
    out
}

pub(super) fn notice(id: u128, target: &Target, claims_slot: bool) -> Notice {
    Notice {
        id: NoticeId(id),
        target: target.clone(),
        kind: NoticeKind::Digest,
        route: Some(RouteId::new("default")),
        items: vec![NoticeItem {
            incident: IncidentId(u128::MAX),
            reason: AlertReason::NewFault,
            alerts: 3,
            text: Arc::from("it's \"broken\" ü 🔥"),
            at: at(-5),
            received_at: at(6),
            count: u64::MAX,
            further: 4,
            muted_until: Some(at(9)),
        }],
        claims_slot,
        state: NoticeState::Queued,
        attempts: 0,
        due: at(10),
        answer: None,
        created_at: at(10),
        finished_at: None,
    }
}

pub(super) fn decision(target: &Target, version: u64) -> Decision {
    Decision {
        target: target.clone(),
        version,
        slot: Slot::default(),
        changes: vec![],
        notices: vec![],
        repeats: vec![],
    }
}

pub(super) fn told(count: u64, next: Option<i64>) -> Told {
    Told {
        target: anna(),
        incident: IncidentId(7),
        count,
        told_at: at(20),
        repeats: 1,
        next_repeat_at: next.map(Timestamp),
        subject: "it's [P1] \"ü\"".to_owned(),
    }
}

pub async fn an_alert_is_expanded_once<S: EffectStore + DeliveryStore>(open: impl AsyncFn() -> S) {
    let s = open().await;
    assert_eq!(s.unexpanded(10).await.unwrap(), []);
    let alerts = alerts(&s, 3).await;
    let ids: Vec<AlertId> = alerts.iter().map(|a| a.id).collect();
    assert_eq!(s.unexpanded(10).await.unwrap(), ids, "in the order of the journal");
    assert_eq!(s.unexpanded(2).await.unwrap(), ids[..2]);
    assert_eq!(s.counts().await.unwrap().alerts_unexpanded, 3);
    let both = [
        delivery(&alerts[0], &anna()),
        delivery(&alerts[0], &Target::new(ChannelKind::Webhook, "mes")),
    ];
    assert!(s.expand(ids[0], &both, at(1)).await.unwrap());
    let changed = Delivery {
        reason: Some("again".to_owned()),
        ..both[0].clone()
    };
    assert!(!s.expand(ids[0], &[changed], at(2)).await.unwrap(), "it was expanded");
    assert!(
        s.expand(ids[1], &[], at(1)).await.unwrap(),
        "to nobody is an expansion too"
    );
    drop(s);
    let s = open().await;
    assert_eq!(s.unexpanded(10).await.unwrap(), ids[2..]);
    let mut found = s.deliveries_of(IncidentId(7)).await.unwrap();
    found.sort_by(|a, b| a.target.cmp(&b.target));
    assert_eq!(found, both);
    assert_eq!(s.targets_due(at(1)).await.unwrap(), [anna(), both[1].target.clone()]);
    assert_eq!(s.undecided(&anna(), at(1), 10).await.unwrap(), both[..1]);
}

pub async fn a_decision_on_an_old_version_changes_nothing<S: EffectStore + DeliveryStore>(open: impl AsyncFn() -> S) {
    let s = open().await;
    let d = expanded(&s, 2, &anna()).await;
    assert_eq!(s.slot(&anna()).await.unwrap(), Slot::default());
    let mut first = decision(&anna(), 0);
    first.slot = Slot {
        window_end: Some(at(300)),
        passes: 2,
        ..Slot::default()
    };
    first.notices = vec![(notice(1, &anna(), true), vec![d[0].id])];
    first.changes = vec![DeliveryChange {
        id: d[1].id,
        state: DeliveryState::Held,
        reason: None,
        due: Some(at(300)),
        muted_until: None,
    }];
    assert!(s.decide(&first, at(10)).await.unwrap());
    let mut late = first.clone();
    late.notices = vec![(notice(2, &anna(), true), vec![d[0].id, d[1].id])];
    assert!(!s.decide(&late, at(10)).await.unwrap());
    assert_eq!(s.notice(NoticeId(2)).await.unwrap(), None);
    let slot = s.slot(&anna()).await.unwrap();
    assert_eq!(
        slot,
        Slot {
            version: 1,
            unfinished: 1,
            ..first.slot.clone()
        }
    );
    // Even on the right version a delivery stays in the message that it is in.
    late.version = 1;
    late.changes[0].id = d[0].id;
    assert!(s.decide(&late, at(11)).await.unwrap());
    let now = s.deliveries_of(IncidentId(7)).await.unwrap();
    let states: Vec<_> = now.iter().map(|d| (d.state, d.notice.map(|n| n.0))).collect();
    assert_eq!(
        states,
        [(DeliveryState::Noticed, Some(1)), (DeliveryState::Noticed, Some(2))]
    );
    assert_eq!(
        s.notice(NoticeId(1)).await.unwrap(),
        Some(notice(1, &anna(), true)),
        "read back as it was written"
    );
    assert_eq!(
        s.slot(&Target::new(ChannelKind::Slack, "anna")).await.unwrap(),
        Slot::default(),
        "another's slot"
    );
}

pub async fn what_is_held_or_muted_comes_back_when_it_is_due<S: EffectStore + DeliveryStore>(
    open: impl AsyncFn() -> S,
) {
    let s = open().await;
    let d = expanded(&s, 4, &anna()).await;
    let change = |n: usize, state, due: Option<i64>| DeliveryChange {
        id: d[n].id,
        state,
        reason: Some("window".to_owned()),
        due: due.map(Timestamp),
        muted_until: due.map(Timestamp),
    };
    let mut first = decision(&anna(), 0);
    first.changes = vec![
        change(0, DeliveryState::Muted, Some(100)),
        change(1, DeliveryState::Muted, None),
        change(2, DeliveryState::Held, Some(50)),
        change(3, DeliveryState::Suppressed, None),
    ];
    assert!(s.decide(&first, at(2)).await.unwrap());
    assert_eq!(s.targets_due(at(49)).await.unwrap(), []);
    assert_eq!(s.next_due(at(2)).await.unwrap(), Some(at(50)));
    assert_eq!(s.next_due(at(50)).await.unwrap(), Some(at(100)));
    assert_eq!(s.next_due(at(100)).await.unwrap(), None);
    assert_eq!(s.targets_due(at(50)).await.unwrap(), [anna()]);
    assert_eq!(s.held(&anna(), 10).await.unwrap().len(), 1);
    assert_eq!(s.undecided(&anna(), at(99), 10).await.unwrap(), []);
    let due = s.undecided(&anna(), at(100), 10).await.unwrap();
    assert_eq!((due.len(), due[0].id, due[0].muted_until), (1, d[0].id, Some(at(100))));
    let counts = s.counts().await.unwrap();
    assert_eq!(
        (counts.muted, counts.held, counts.suppressed, counts.waiting),
        (1, 1, 1, 0),
        "a mute that is over is not held"
    );
    assert_eq!(s.review_muted(at(60)).await.unwrap(), 1);
    assert_eq!(s.review_muted(at(60)).await.unwrap(), 0);
    assert_eq!(s.undecided(&anna(), at(60), 10).await.unwrap().len(), 1);
}

const LEASE: Span = Span::secs(80);

pub async fn a_claim_is_given_once_runs_out_and_is_released<S: EffectStore + DeliveryStore>(open: impl AsyncFn() -> S) {
    let s = open().await;
    let mut first = decision(&anna(), 0);
    first.notices = vec![(notice(1, &anna(), false), vec![])];
    assert!(s.decide(&first, at(10)).await.unwrap());
    let id = NoticeId(1);
    assert_eq!(s.sendable(at(9), 10).await.unwrap(), []);
    assert_eq!(s.claim(id, "a", at(9), LEASE).await.unwrap(), None, "it is not due");
    assert_eq!(s.sendable(at(10), 10).await.unwrap(), [id]);
    // Ends by the store's clock, which the check's may not be.
    let short = Span::secs(2);
    let later = at(10).plus(short);
    assert_eq!(
        s.claim(id, "a", at(10), short).await.unwrap().map(|n| n.attempts),
        Some(1)
    );
    assert_eq!(s.claim(id, "b", at(10), LEASE).await.unwrap(), None);
    assert_eq!(s.claim(id, "a", at(10), LEASE).await.unwrap(), None);
    assert_eq!(s.sendable(at(11), 10).await.unwrap(), []);
    let due = s.next_due(at(10)).await.unwrap().unwrap();
    assert!(due > at(10) && due <= later, "{due}");
    while s.sendable(later, 10).await.unwrap() != [id] {
        tokio::task::yield_now().await;
    }
    assert_eq!(
        s.claim(id, "b", later, LEASE).await.unwrap().map(|n| n.attempts),
        Some(2)
    );
    let retry = Outcome::Retry {
        at: at(120),
        reason: "busy".to_owned(),
    };
    assert!(
        !s.finish(id, "a", &retry, at(95)).await.unwrap(),
        "a's claim has run out"
    );
    assert!(s.finish(id, "b", &retry, at(95)).await.unwrap());
    assert!(
        !s.finish(id, "b", &retry, at(95)).await.unwrap(),
        "a claim ends with its note"
    );
    assert_eq!(s.sendable(at(119), 10).await.unwrap(), []);
    assert!(
        s.claim(id, "b", at(120), LEASE)
            .await
            .unwrap()
            .is_some_and(|n| n.answer.as_deref() == Some("busy"))
    );
    assert_eq!(s.release_claims("a").await.unwrap(), 0);
    drop(s);
    let s = open().await;
    assert_eq!(s.release_claims("b").await.unwrap(), 1);
    assert!(s.claim(id, "c", at(120), LEASE).await.unwrap().is_some());
    assert_eq!(s.claim(NoticeId(9), "c", at(120), LEASE).await.unwrap(), None);
}

pub async fn what_was_sent_and_what_died_is_noted_with_its_slot<S: EffectStore + DeliveryStore>(
    open: impl AsyncFn() -> S,
) {
    let s = open().await;
    let d = expanded(&s, 2, &anna()).await;
    for (n, sent) in [(0, true), (1, false)] {
        let id = NoticeId(n as u128);
        let mut decided = decision(&anna(), s.slot(&anna()).await.unwrap().version);
        decided.slot.window_end = Some(at(310));
        decided.notices = vec![(notice(n as u128, &anna(), true), vec![d[n].id])];
        assert!(s.decide(&decided, at(10)).await.unwrap());
        s.claim(id, "a", at(10), LEASE).await.unwrap().unwrap();
        let before = s.slot(&anna()).await.unwrap().version;
        let outcome = if sent {
            Outcome::Sent {
                answer: "250 ok".to_owned(),
                window_end: at(320),
                told: vec![told(5, Some(320))],
            }
        } else {
            Outcome::Dead {
                reason: "550 no".to_owned(),
            }
        };
        assert!(s.finish(id, "a", &outcome, at(20)).await.unwrap());
        let slot = s.slot(&anna()).await.unwrap();
        assert_eq!((slot.window_end, slot.unfinished), (sent.then_some(at(320)), 0));
        assert!(slot.version > before, "whoever decided meanwhile decides again");
        let row = s.deliveries_of(IncidentId(7)).await.unwrap().remove(n);
        let want = if sent {
            (DeliveryState::Sent, None)
        } else {
            (DeliveryState::Dead, Some("550 no"))
        };
        assert_eq!((row.state, row.reason.as_deref()), want);
        let done = s.notice(id).await.unwrap().unwrap();
        assert_eq!(done.finished_at, Some(at(20)));
        assert_eq!(s.sendable(Timestamp::MAX, 10).await.unwrap(), []);
    }
    assert_eq!(s.told(&anna(), IncidentId(7)).await.unwrap(), Some(told(5, Some(320))));
    assert_eq!(s.told(&anna(), IncidentId(8)).await.unwrap(), None);
    assert_eq!(s.repeats_due(at(319), 10).await.unwrap(), []);
    assert_eq!(s.repeats_due(at(320), 10).await.unwrap(), [told(5, Some(320))]);
    let mut later = decision(&anna(), s.slot(&anna()).await.unwrap().version);
    later.repeats = vec![(IncidentId(7), None)];
    assert!(s.decide(&later, at(320)).await.unwrap());
    assert_eq!(s.repeats_due(Timestamp::MAX, 10).await.unwrap(), []);
    assert_eq!(s.notices(1).await.unwrap().len(), 1);
}

pub async fn what_is_finished_is_pruned_after_its_time<S: EffectStore + DeliveryStore>(open: impl AsyncFn() -> S) {
    let s = open().await;
    let d = expanded(&s, 3, &anna()).await;
    let mut first = decision(&anna(), 0);
    first.notices = vec![
        (notice(1, &anna(), true), vec![d[0].id]),
        (notice(2, &anna(), false), vec![d[1].id]),
    ];
    assert!(s.decide(&first, at(10)).await.unwrap());
    s.claim(NoticeId(1), "a", at(10), LEASE).await.unwrap().unwrap();
    let sent = Outcome::Sent {
        answer: String::new(),
        window_end: at(320),
        told: vec![told(5, None)],
    };
    assert!(s.finish(NoticeId(1), "a", &sent, at(20)).await.unwrap());
    assert_eq!(s.prune_deliveries(at(20)).await.unwrap(), 0);
    assert_eq!(s.prune_deliveries(Timestamp::MAX).await.unwrap(), 1);
    assert_eq!(s.notice(NoticeId(1)).await.unwrap(), None);
    assert!(
        s.notice(NoticeId(2)).await.unwrap().is_some(),
        "what is not finished stays"
    );
    assert_eq!(s.told(&anna(), IncidentId(7)).await.unwrap(), None);
    assert_eq!(s.deliveries_of(IncidentId(7)).await.unwrap().len(), 2);
}

pub async fn hostile_names_are_only_names<S: EffectStore + DeliveryStore>(open: impl AsyncFn() -> S) {
    let s = open().await;
    let alert = alerts(&s, 1).await.remove(0);
    let targets: Vec<Target> = HOSTILE.iter().map(|n| Target::new(ChannelKind::Email, n)).collect();
    let rows: Vec<Delivery> = targets
        .iter()
        .zip(HOSTILE)
        .map(|(t, name)| Delivery {
            route: RouteId::new(name),
            reason: Some((*name).to_owned()),
            ..delivery(&alert, t)
        })
        .collect();
    assert!(s.expand(alert.id, &rows, at(1)).await.unwrap());
    for (target, row) in targets.iter().zip(&rows) {
        assert_eq!(
            s.undecided(target, at(1), 10).await.unwrap(),
            std::slice::from_ref(row),
            "{target:?}"
        );
    }
}
