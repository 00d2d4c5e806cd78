//! Checks of [`DeliveryStore`]: what is most urgent, what shelving holds, and a clock that was set back.

use super::deliveries::{alerts, anna, at, decision, delivery, notice, told};
use super::sample;
use crate::ports::deliveries::{
    DeliveryChange, DeliveryState, DeliveryStore, Expansion, Furthest, NoticeId, Outcome, Slot, Target, Told,
};
use crate::ports::rows::EffectStore;
use andon_engine::effect::{Alert, Effect};
use andon_engine::ids::{AlertId, IncidentId, Position};
use andon_engine::incident::{Activity, Incident, Shelving};
use andon_engine::rule::Priority;
use andon_engine::time::{Span, Timestamp};
use rand::SeedableRng;
use rand::rngs::StdRng;

const HOUR: i64 = 3_600_000_000;

fn expansion(alert: &Alert, target: &Target) -> Expansion {
    Expansion {
        alert: alert.id,
        deliveries: vec![delivery(alert, target)],
    }
}

/// Alerts at positions 1, 2, … of these priorities.
async fn of_priorities<S: EffectStore>(s: &S, priorities: &[Priority]) -> Vec<Alert> {
    let mut rng = StdRng::seed_from_u64(3);
    let alerts: Vec<Alert> = (1..)
        .zip(priorities)
        .map(|(seq, priority)| Alert {
            position: Position { seq, index: 0 },
            priority: *priority,
            ..sample::alert(&mut rng, IncidentId(7))
        })
        .collect();
    let effects: Vec<Effect> = alerts.iter().map(|a| Effect::Alert(Box::new(a.clone()))).collect();
    s.apply_effects(&effects, super::cursor(1, 1)).await.unwrap();
    alerts
}

pub async fn the_most_urgent_comes_first<S: EffectStore + DeliveryStore>(open: impl AsyncFn() -> S) {
    let s = open().await;
    use Priority::{P1, P2, P3};
    let alerts = of_priorities(&s, &[P3, P2, P1, P3, P1]).await;
    let ids = |order: &[usize]| order.iter().map(|n| alerts[*n].id).collect::<Vec<AlertId>>();
    assert_eq!(s.unexpanded(9).await.unwrap(), ids(&[2, 4, 1, 0, 3]));
    assert_eq!(s.unexpanded(2).await.unwrap(), ids(&[2, 4]));
    let bernd = Target::new(anna().kind, "bernd@plant.example");
    let whom = |n| if n == 2 { bernd.clone() } else { anna() };
    let page: Vec<Expansion> = (0..5).map(|n| expansion(&alerts[n], &whom(n))).collect();
    assert_eq!(s.expand_all(&page, at(1)).await.unwrap().len(), 5);
    let due = s.undecided(&anna(), at(1), 2).await.unwrap();
    assert_eq!(due.iter().map(|d| d.alert).collect::<Vec<_>>(), ids(&[4, 1]));
    assert_eq!(
        s.targets_due(at(1)).await.unwrap(),
        [anna(), bernd.clone()],
        "of equals by name"
    );
    let mut decided = decision(&anna(), 0);
    decided.changes = due.iter().map(|d| held(d.id, Some(9))).collect();
    assert!(s.decide(&decided, at(1)).await.unwrap());
    assert_eq!(
        s.targets_due(at(1)).await.unwrap(),
        [bernd, anna()],
        "only P3 waits for her now"
    );
    let held: Vec<AlertId> = s.held(&anna(), 9).await.unwrap().iter().map(|d| d.alert).collect();
    assert_eq!(held, ids(&[4, 1]));
    let mut decided = decision(&anna(), 1);
    let message = |id, priority, due: i64| {
        let mut n = notice(id, &anna(), false);
        (n.priority, n.due) = (priority, at(due));
        (n, vec![])
    };
    decided.notices = vec![message(1, P3, 1), message(2, P1, 9), message(3, P1, 8)];
    assert!(s.decide(&decided, at(1)).await.unwrap());
    assert_eq!(s.sendable(at(9), 9).await.unwrap(), [3, 2, 1].map(NoticeId));
}

fn held(id: crate::ports::deliveries::DeliveryId, due: Option<i64>) -> DeliveryChange {
    DeliveryChange {
        id,
        state: DeliveryState::Held,
        reason: None,
        due: due.map(Timestamp),
        muted_until: None,
    }
}

pub async fn a_page_is_expanded_in_one_and_each_alert_once<S: EffectStore + DeliveryStore>(open: impl AsyncFn() -> S) {
    let s = open().await;
    // More than one statement takes.
    let alerts = alerts(&s, 700).await;
    let page: Vec<Expansion> = alerts.iter().map(|a| expansion(a, &anna())).collect();
    assert_eq!(s.expand_all(&page[..3], at(1)).await.unwrap().len(), 3);
    let new = s.expand_all(&page, at(2)).await.unwrap();
    assert_eq!(new.len(), 697, "three were expanded");
    assert!(!new.contains(&alerts[0].id));
    assert_eq!(s.expand_all(&page, at(3)).await.unwrap(), []);
    assert_eq!(s.expand_all(&[], at(3)).await.unwrap(), []);
    let rows = s.undecided(&anna(), at(3), 1_000).await.unwrap();
    assert_eq!(rows.len(), 700);
    let mut decided = decision(&anna(), 0);
    decided.changes = rows.iter().map(|d| held(d.id, Some(9))).collect();
    assert!(s.decide(&decided, at(3)).await.unwrap());
    assert_eq!(s.counts().await.unwrap().held, 700);
    let mut decided = decision(&anna(), 1);
    decided.notices = vec![(notice(1, &anna(), true), rows.iter().map(|d| d.id).collect())];
    assert!(s.decide(&decided, at(4)).await.unwrap());
    assert_eq!(s.counts().await.unwrap().noticed, 700);
}

pub async fn a_message_that_nobody_has_tried_names_more<S: EffectStore + DeliveryStore>(open: impl AsyncFn() -> S) {
    let s = open().await;
    let alerts = alerts(&s, 3).await;
    let page: Vec<Expansion> = alerts.iter().map(|a| expansion(a, &anna())).collect();
    s.expand_all(&page, at(1)).await.unwrap();
    let ids: Vec<_> = page.iter().map(|e| e.deliveries[0].id).collect();
    assert_eq!(s.unsent(&anna()).await.unwrap(), None);
    let mut first = decision(&anna(), 0);
    first.notices = vec![(notice(1, &anna(), true), vec![ids[0]])];
    assert!(s.decide(&first, at(10)).await.unwrap());
    let mut more = s.unsent(&anna()).await.unwrap().unwrap();
    assert_eq!(more, notice(1, &anna(), true));
    more.items.push(more.items[0].clone());
    more.priority = Priority::P1;
    let mut join = decision(&anna(), 1);
    join.joined = Some((more.clone(), vec![ids[1]]));
    assert!(s.decide(&join, at(11)).await.unwrap());
    assert_eq!(s.notice(NoticeId(1)).await.unwrap(), Some(more.clone()));
    let states: Vec<_> = s
        .deliveries_of(IncidentId(7))
        .await
        .unwrap()
        .iter()
        .map(|d| d.notice)
        .collect();
    assert_eq!(states, [Some(NoticeId(1)), Some(NoticeId(1)), None]);
    // Somebody tries to send it: from now on it says the same, and whoever wanted to add to it decides again.
    s.claim(NoticeId(1), "a", at(12), at(90).since(at(12)))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(s.unsent(&anna()).await.unwrap(), None);
    let mut late = decision(&anna(), 2);
    late.joined = Some((more, vec![ids[2]]));
    late.changes = vec![held(ids[2], Some(50))];
    assert!(!s.decide(&late, at(13)).await.unwrap());
    assert_eq!(s.slot(&anna()).await.unwrap().version, 2, "nothing of it is written");
    assert_eq!(s.counts().await.unwrap().waiting, 1);
    let retry = Outcome::Retry {
        at: at(20),
        reason: "busy".to_owned(),
    };
    assert!(s.finish(NoticeId(1), "a", &retry, at(14)).await.unwrap());
    assert_eq!(s.unsent(&anna()).await.unwrap(), None, "it was tried");
}

fn incident(revision: u64, shelved_until: Option<i64>, unshelved_at: Option<i64>) -> Effect {
    let base = sample::incident(&mut StdRng::seed_from_u64(5));
    Effect::Incident(Box::new(Incident {
        id: IncidentId(7),
        activity: Activity::Active,
        shelved: shelved_until.map(|until| Shelving {
            until: at(until),
            by: "lena".into(),
            reason: "known".into(),
        }),
        unshelved_at: unshelved_at.map(Timestamp),
        position: Position { seq: 5, index: 0 },
        revision,
        ..base
    }))
}

pub async fn what_shelving_holds_is_due_when_it_ends<S: EffectStore + DeliveryStore>(open: impl AsyncFn() -> S) {
    let s = open().await;
    let alerts = alerts(&s, 2).await;
    let page: Vec<Expansion> = alerts.iter().map(|a| expansion(a, &anna())).collect();
    s.expand_all(&page, at(1)).await.unwrap();
    let muted = |n: usize, by: &str| DeliveryChange {
        state: DeliveryState::Muted,
        reason: Some(by.to_owned()),
        ..held(page[n].deliveries[0].id, Some(100))
    };
    let mut decided = decision(&anna(), 0);
    decided.changes = vec![muted(0, "shelved"), muted(1, "a window")];
    assert!(s.decide(&decided, at(1)).await.unwrap());
    s.apply_effects(&[incident(1, Some(100), None)], super::cursor(1, 2))
        .await
        .unwrap();
    assert_eq!(s.review_shelved(at(10)).await.unwrap(), 0, "it is shelved");
    s.apply_effects(&[incident(2, Some(60), None)], super::cursor(1, 3))
        .await
        .unwrap();
    assert_eq!(s.review_shelved(at(10)).await.unwrap(), 1, "not for so long");
    assert!(s.decide(&decision_again(&decided), at(10)).await.unwrap());
    s.apply_effects(&[incident(3, None, Some(20))], super::cursor(1, 4))
        .await
        .unwrap();
    assert_eq!(s.review_shelved(at(20)).await.unwrap(), 1, "a person has ended it");
    let due = s.undecided(&anna(), at(20), 9).await.unwrap();
    assert_eq!(
        due.iter().map(|d| d.alert).collect::<Vec<_>>(),
        [alerts[0].id],
        "the window's is the window's"
    );
    assert_eq!(s.review_shelved(at(20)).await.unwrap(), 0);
}

fn decision_again(first: &crate::ports::deliveries::Decision) -> crate::ports::deliveries::Decision {
    crate::ports::deliveries::Decision {
        version: first.version + 1,
        ..first.clone()
    }
}

pub async fn who_knows_an_incident_is_found_when_its_shelving_ends<S: EffectStore + DeliveryStore>(
    open: impl AsyncFn() -> S,
) {
    let s = open().await;
    let knows = Told {
        unshelved_at: None,
        ..told(5, None)
    };
    let mut first = decision(&anna(), 0);
    first.notices = vec![(notice(1, &anna(), true), vec![])];
    assert!(s.decide(&first, at(10)).await.unwrap());
    s.claim(NoticeId(1), "a", at(10), at(90).since(at(10)))
        .await
        .unwrap()
        .unwrap();
    let sent = Outcome::Sent {
        answer: String::new(),
        window_end: at(320),
        told: vec![knows.clone()],
    };
    assert!(s.finish(NoticeId(1), "a", &sent, at(20)).await.unwrap());
    s.apply_effects(&[incident(1, Some(100), None)], super::cursor(1, 2))
        .await
        .unwrap();
    assert_eq!(s.repeats_due(at(50), 9).await.unwrap(), []);
    s.apply_effects(&[incident(2, None, Some(40))], super::cursor(1, 3))
        .await
        .unwrap();
    let knows = [knows];
    assert_eq!(s.repeats_due(at(50), 9).await.unwrap(), knows);
    assert_eq!(
        s.told_of(&anna(), &[IncidentId(1), IncidentId(7)]).await.unwrap(),
        knows
    );
    assert_eq!(s.told_of(&anna(), &[]).await.unwrap(), []);
    let mut reminded = decision(&anna(), s.slot(&anna()).await.unwrap().version);
    reminded.reminded = vec![(IncidentId(7), at(40))];
    assert!(s.decide(&reminded, at(50)).await.unwrap());
    assert_eq!(s.repeats_due(at(60), 9).await.unwrap(), [], "once");
    // Shelved again, and ended again.
    s.apply_effects(&[incident(3, None, Some(41))], super::cursor(1, 4))
        .await
        .unwrap();
    assert_eq!(s.repeats_due(at(60), 9).await.unwrap().len(), 1);
}

pub async fn a_clock_that_was_set_back_leaves_nothing_in_its_old_future<S: EffectStore + DeliveryStore>(
    open: impl AsyncFn() -> S,
) {
    let s = open().await;
    let alerts = alerts(&s, 2).await;
    let page: Vec<Expansion> = alerts.iter().map(|a| expansion(a, &anna())).collect();
    s.expand_all(&page, at(1)).await.unwrap();
    let minute = HOUR / 60;
    let future = 10 * HOUR;
    let mut decided = decision(&anna(), 0);
    decided.slot = Slot {
        window_end: Some(at(future)),
        ..Slot::default()
    };
    let mut message = notice(1, &anna(), true);
    message.due = at(future);
    decided.notices = vec![(message, vec![])];
    decided.changes = vec![
        held(page[0].deliveries[0].id, Some(future)),
        DeliveryChange {
            state: DeliveryState::Muted,
            reason: Some("a window".to_owned()),
            ..held(page[1].deliveries[0].id, Some(future))
        },
    ];
    assert!(s.decide(&decided, at(1)).await.unwrap());
    let furthest = Furthest {
        window: Span::mins(5),
        held: Span::mins(10),
        repeat: Span::hours(4),
        retry: Span::hours(1),
    };
    let version = s.slot(&anna()).await.unwrap().version;
    // As far ahead as their rules set them: they stay.
    let early = at(future - 4 * minute);
    assert_eq!(
        s.clock_set_back(early, furthest).await.unwrap(),
        1,
        "only what the window holds is asked again"
    );
    assert_eq!(s.slot(&anna()).await.unwrap().version, version);
    let now = at(HOUR);
    assert!(s.clock_set_back(now, furthest).await.unwrap() >= 3);
    let slot = s.slot(&anna()).await.unwrap();
    assert_eq!(
        slot.window_end,
        Some(now.plus(Span::mins(5))),
        "the promise holds by the new clock"
    );
    assert!(slot.version > version);
    assert_eq!(s.sendable(now, 9).await.unwrap(), [NoticeId(1)]);
    assert_eq!(s.targets_due(now).await.unwrap(), [anna()]);
    assert_eq!(s.undecided(&anna(), now, 9).await.unwrap().len(), 1);
    s.claim(NoticeId(1), "a", now, Span::mins(2)).await.unwrap().unwrap();
    let sent = Outcome::Sent {
        answer: String::new(),
        window_end: now.plus(Span::mins(5)),
        told: vec![told(5, Some(future))],
    };
    assert!(s.finish(NoticeId(1), "a", &sent, now).await.unwrap());
    assert_eq!(s.repeats_due(now, 9).await.unwrap(), []);
    s.clock_set_back(now, furthest).await.unwrap();
    assert_eq!(s.repeats_due(now, 9).await.unwrap().len(), 1);
}
