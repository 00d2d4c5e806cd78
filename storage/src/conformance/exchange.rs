//! Checks of [`SiteStore`]: what the processes of a site ask of each other.

use super::assert_refused;
use super::sample::{self, HOSTILE, huge};
use crate::ports::StoreError;
use crate::ports::site::{
    Asked, OPERATIONS_WAITING_MAX, Proposal, ProposalId, Proposed, Published, SiteStore, Verdict,
};
use crate::relational::Relational;
use crate::relational::database::{Database, Transaction};
use andon_engine::control::{Action, Operation};
use andon_engine::ids::{OperationId, RuleId};
use andon_engine::parts::{ConfigurationChange, PartId, PartKind};
use andon_engine::rule::{Condition, Configuration, Device, Direction, Limit, Site, default_rules};
use andon_engine::subject::{Subject, SubjectKind};
use andon_engine::time::{Span, Timestamp};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::sync::Arc;

const NOW: Timestamp = Timestamp(1_800_000_000_000_000);

pub(super) fn operation(rng: &mut StdRng) -> Operation {
    let text = Arc::from(sample::text(rng));
    let action = match rng.random_range(0..5) {
        0 => Action::Acknowledge,
        1 => Action::Comment { text },
        2 => Action::Shelve {
            until: sample::time(rng),
            reason: text,
        },
        3 => Action::Unshelve,
        _ => Action::Close { cause: text },
    };
    Operation {
        id: OperationId(rng.random_range(1..=u128::MAX)),
        incident: sample::incident(rng).id,
        rule: RuleId::new(sample::text(rng)),
        subject: Subject::new(SubjectKind::Device, sample::text(rng)),
        at: sample::time(rng),
        who: Arc::from(sample::text(rng)),
        action,
    }
}

fn configuration(version: u64, name: &str) -> Configuration {
    Configuration {
        version,
        rules: default_rules(&andon_engine::ids::RouteId::new(name)).into(),
        sites: vec![Site {
            id: Arc::from(name),
            name: Arc::from(name),
            time_zone: Arc::from("Europe/Berlin"),
        }]
        .into(),
        ..Configuration::default()
    }
}

fn proposal(id: u128, base_version: u64, name: &str) -> Proposal {
    Proposal {
        id: ProposalId(id),
        base_version,
        who: name.to_owned(),
        made_at: NOW,
        configuration: configuration(0, name),
    }
}

pub async fn the_first_secret_wins<S: SiteStore>(open: impl AsyncFn() -> S) {
    let (a, b, c) = (open().await, open().await, open().await);
    let (x, y, z) = tokio::join!(a.link_secret([1; 32]), b.link_secret([2; 32]), c.link_secret([255; 32]));
    let secret = x.unwrap();
    assert!([[1; 32], [2; 32], [255; 32]].contains(&secret));
    assert_eq!((y.unwrap(), z.unwrap()), (secret, secret));
    assert_eq!(open().await.link_secret([9; 32]).await.unwrap(), secret);
}

pub async fn operations_reach_the_owner_and_answers_come_back<S: SiteStore>(open: impl AsyncFn() -> S) {
    let mut rng = StdRng::seed_from_u64(3);
    let (dashboard, gateway) = (open().await, open().await);
    let mut generation = gateway.requests_generation().await.unwrap();
    let mut asked = Vec::new();
    for _ in 0..40 {
        let operation = operation(&mut rng);
        dashboard.request_operation(&operation).await.unwrap();
        let next = gateway.requests_generation().await.unwrap();
        assert!(next > generation, "the owner notices");
        generation = next;
        // Its answer was lost: asked again, it is one.
        dashboard.request_operation(&operation).await.unwrap();
        asked.push(operation);
    }
    let long = Operation {
        id: OperationId(1),
        action: Action::Comment {
            text: format!("{}\0", huge()).into(),
        },
        ..operation(&mut rng)
    };
    dashboard.request_operation(&long).await.unwrap();
    asked.push(long);
    asked.sort_by_key(|o| (o.at, o.id));
    let some = &asked[7];
    assert_eq!(dashboard.operation_answer(some.id).await.unwrap(), Some(Asked::Waiting));
    assert_eq!(dashboard.operation_answer(OperationId(2)).await.unwrap(), None);

    let taken = gateway.take_operations(10).await.unwrap();
    assert_eq!(taken, asked[..10]);
    assert_eq!(dashboard.operation_answer(some.id).await.unwrap(), Some(Asked::Taken));
    gateway.answer_operation(taken[0].id, &Ok(()), NOW).await.unwrap();
    let why = "there is no room in the journal '; --".to_owned();
    gateway
        .answer_operation(taken[1].id, &Err(why.clone()), NOW)
        .await
        .unwrap();
    // The owner ends here; who comes next is given again what was not answered.
    drop(gateway);
    let gateway = open().await;
    assert_eq!(gateway.take_operations(10).await.unwrap(), asked[2..12]);
    for o in &asked[2..12] {
        gateway.answer_operation(o.id, &Ok(()), NOW).await.unwrap();
    }
    assert_eq!(gateway.take_operations(1_000).await.unwrap(), asked[12..]);
    for (id, answer) in [(asked[0].id, Ok(())), (asked[1].id, Err(why)), (some.id, Ok(()))] {
        // A second answer, from an owner that did not know of the first, changes nothing.
        gateway.answer_operation(id, &Err("no".to_owned()), NOW).await.unwrap();
        assert_eq!(
            dashboard.operation_answer(id).await.unwrap(),
            Some(Asked::Answered(answer))
        );
    }
    gateway.answer_operation(OperationId(2), &Ok(()), NOW).await.unwrap();
    assert_eq!(dashboard.operation_answer(OperationId(2)).await.unwrap(), None);
    assert_refused(
        dashboard
            .request_operation(&Operation {
                id: OperationId::default(),
                ..asked[0].clone()
            })
            .await,
    );
    // What was answered goes when its time is over, what was not stays.
    assert_eq!(gateway.prune_requests(NOW).await.unwrap(), 0);
    assert_eq!(gateway.prune_requests(Timestamp(NOW.0 + 1)).await.unwrap(), 12);
    assert_eq!(dashboard.operation_answer(asked[0].id).await.unwrap(), None);
    assert_eq!(
        dashboard.operation_answer(asked[12].id).await.unwrap(),
        Some(Asked::Taken)
    );
}

pub async fn what_was_withdrawn_never_happens<S: SiteStore>(open: impl AsyncFn() -> S) {
    let mut rng = StdRng::seed_from_u64(4);
    let (dashboard, gateway) = (open().await, open().await);
    for round in 0..20 {
        let o = operation(&mut rng);
        dashboard.request_operation(&o).await.unwrap();
        // Both at once: one of them has it.
        let (withdrawn, taken) = tokio::join!(dashboard.withdraw_operation(o.id, NOW), gateway.take_operations(9));
        let (withdrawn, taken) = (withdrawn.unwrap(), taken.unwrap());
        assert_eq!(withdrawn, taken.is_empty(), "round {round}");
        let state = dashboard.operation_answer(o.id).await.unwrap().unwrap();
        if withdrawn {
            assert_eq!(state, Asked::Withdrawn);
            gateway.answer_operation(o.id, &Ok(()), NOW).await.unwrap();
            assert_eq!(dashboard.operation_answer(o.id).await.unwrap(), Some(Asked::Withdrawn));
            // Asked again under the same id it stays withdrawn.
            dashboard.request_operation(&o).await.unwrap();
            assert_eq!(gateway.take_operations(9).await.unwrap(), []);
        } else {
            assert_eq!((state, taken), (Asked::Taken, vec![o.clone()]));
            gateway.answer_operation(o.id, &Ok(()), NOW).await.unwrap();
            assert!(!dashboard.withdraw_operation(o.id, NOW).await.unwrap());
        }
    }
    assert!(!dashboard.withdraw_operation(OperationId(1), NOW).await.unwrap());
}

/// While no gateway runs no script can fill the store.
pub async fn only_so_many_operations_wait<S: SiteStore>(open: impl AsyncFn() -> S) {
    let mut rng = StdRng::seed_from_u64(6);
    let s = open().await;
    let first = operation(&mut rng);
    s.request_operation(&first).await.unwrap();
    for n in 1..OPERATIONS_WAITING_MAX {
        let o = Operation {
            id: OperationId(n.into()),
            ..first.clone()
        };
        s.request_operation(&o).await.unwrap();
    }
    let one_more = Operation {
        id: OperationId(1 << 100),
        ..first.clone()
    };
    let e = s.request_operation(&one_more).await.unwrap_err();
    assert!(matches!(e, StoreError::Unavailable { .. }), "{e}");
    s.request_operation(&first).await.unwrap();
    assert_eq!(s.operation_answer(one_more.id).await.unwrap(), None);
    let taken = s.take_operations(1).await.unwrap();
    s.answer_operation(taken[0].id, &Ok(()), NOW).await.unwrap();
    s.request_operation(&one_more).await.unwrap();
}

/// A request that this version cannot read is refused, and stops no other.
pub async fn an_unreadable_request_stops_nothing<D: Database>(open: impl AsyncFn() -> Relational<D>) {
    let mut rng = StdRng::seed_from_u64(8);
    let s = open().await;
    let good = operation(&mut rng);
    s.request_operation(&good).await.unwrap();
    s.put_configuration(&configuration(1, "a")).await.unwrap();
    let mut tx = s.database().begin().await.unwrap();
    for (n, body) in ["", "{", "null", "1", "{\"version\":\"x\"}", "\u{0}"]
        .iter()
        .enumerate()
    {
        let body = body.replace('\0', "\u{fffd}");
        let script = format!(
            "INSERT INTO operations (id, made_at, body, state) VALUES ('{n:032x}', 0, '{body}', 'waiting');
             INSERT INTO configuration_proposals (id, base_version, who, made_at, body, state)
             VALUES ('{n:032x}', 1, 'x', 0, '{body}', 'waiting')"
        );
        tx.script(script).await.unwrap();
    }
    tx.commit().await.unwrap();
    assert_eq!(
        s.propose_configuration(&proposal(99, 1, "b")).await.unwrap(),
        Proposed::Waiting
    );
    assert_eq!(s.take_operations(100).await.unwrap(), std::slice::from_ref(&good));
    assert_eq!(s.take_operations(100).await.unwrap(), [good]);
    let refused = s.operation_answer(OperationId(3)).await.unwrap();
    assert!(
        matches!(&refused, Some(Asked::Answered(Err(why))) if why.contains("another version")),
        "{refused:?}"
    );
    let mut looks = 0;
    let found = loop {
        looks += 1;
        if let Some(found) = s.take_proposal().await.unwrap() {
            break found;
        }
    };
    assert_eq!((found.id, looks), (ProposalId(99), 7));
    assert!(matches!(
        s.proposal_answer(ProposalId(0)).await.unwrap(),
        Some(Asked::Answered(Err(_)))
    ));
}

async fn in_force<S: SiteStore>(s: &S, known: Option<&Published>) -> Configuration {
    let published = s.configuration(known).await.unwrap().expect("it was written");
    Configuration::clone(&published.configuration)
}

pub async fn the_configuration_in_force_is_what_the_owner_said<S: SiteStore>(open: impl AsyncFn() -> S) {
    let (gateway, dashboard) = (open().await, open().await);
    assert_eq!(dashboard.configuration(None).await.unwrap(), None);
    assert_eq!(dashboard.configuration_version().await.unwrap(), None);
    let mut generation = dashboard.configuration_generation().await.unwrap();
    for (n, text) in HOSTILE.iter().enumerate() {
        let c = configuration(n as u64 + 1, text);
        gateway.put_configuration(&c).await.unwrap();
        assert_eq!(in_force(&dashboard, None).await, c);
        let next = dashboard.configuration_generation().await.unwrap();
        assert!(next > generation, "it is noticed");
        generation = next;
    }
    // Another journal may begin again with a lower version.
    gateway.put_configuration(&configuration(1, "a")).await.unwrap();
    assert_eq!(in_force(&dashboard, None).await.version, 1);
    assert_eq!(dashboard.configuration_version().await.unwrap(), Some(1));
    // What would not read back is not stored.
    let mut broken = configuration(2, "b");
    for bound in [f64::NAN, f64::INFINITY] {
        broken.rules[0].condition = Condition::Limit(Limit {
            reading: Arc::from("temperature"),
            unit: None,
            direction: Direction::Above,
            bound,
            deadband: 0.0,
            on_delay: Span::secs(1),
        });
        assert_refused(gateway.put_configuration(&broken).await);
    }
    broken.rules.clear();
    broken.version = u64::MAX;
    assert_refused(gateway.put_configuration(&broken).await);
    assert_eq!(in_force(&dashboard, None).await.version, 1);
    assert_eq!(dashboard.configuration_version().await.unwrap(), Some(1));
}

fn device(n: usize, area: &str) -> Device {
    Device {
        id: format!("D-{n}").into(),
        area: Some(area.into()),
        ..Device::default()
    }
}

fn area(c: &Configuration, n: usize) -> Option<&str> {
    c.device(&format!("D-{n}")).and_then(|d| d.area.as_deref())
}

/// The next version, as judging would have it.
fn next(c: &Configuration, change: impl FnOnce(&mut Configuration)) -> Configuration {
    let mut next = c.clone();
    change(&mut next);
    let step = ConfigurationChange {
        version: c.version + 1,
        whole: false,
        changes: c.changes_to(&next),
    };
    c.apply(&step).configuration
}

fn plant() -> Configuration {
    let mut plant = configuration(1, "r");
    plant.devices = (0..2_000).map(|n| device(n, "hall")).collect();
    Configuration::default()
        .apply(&ConfigurationChange::whole(&plant))
        .configuration
}

/// What is marked where nobody has changed it shows what is read and what is written.
pub async fn a_change_of_the_configuration_costs_what_changed<D: Database>(open: impl AsyncFn() -> Relational<D>) {
    let (gateway, dashboard) = (open().await, open().await);
    let first = plant();
    gateway.put_configuration(&first).await.unwrap();
    let mut known = dashboard.configuration(None).await.unwrap().expect("it was written");
    assert_eq!(*known.configuration, first);
    let generation = dashboard.configuration_generation().await.unwrap();
    gateway.put_configuration(&first).await.unwrap();
    assert_eq!(
        dashboard.configuration_generation().await.unwrap(),
        generation,
        "nothing changed"
    );

    let mark = |id: &str| {
        format!(
            "UPDATE configuration_parts SET body = replace(body, '\"hall\"', '\"marked\"') WHERE kind = 'device' AND id = '{id}'"
        )
    };
    let mut tx = gateway.database().begin().await.unwrap();
    tx.script(mark("D-7")).await.unwrap();
    tx.commit().await.unwrap();
    let marked = Arc::make_mut(&mut known.configuration);
    *marked = next(marked, |c| c.devices[0].area = Some("known".into()));
    marked.version = 1;
    let second = next(&first, |c| {
        c.devices.push(device(9_999, "yard"));
        c.rules[2].name = "another".into();
    });
    gateway.put_configuration(&second).await.unwrap();
    let read = dashboard
        .configuration(Some(&known))
        .await
        .unwrap()
        .expect("it is there");
    let (version, parts) = (read.configuration.version, read.configuration.len());
    assert_eq!((version, parts, &read.series), (2, second.len(), &known.series));
    assert_eq!(read.configuration.rules, second.rules);
    assert_eq!(area(&read.configuration, 9_999), Some("yard"));
    assert_eq!(
        area(&read.configuration, 0),
        Some("known"),
        "what did not change is not read"
    );
    assert_eq!(area(&read.configuration, 7), Some("hall"));
    let all = in_force(&dashboard, None).await;
    assert_eq!(
        (area(&all, 0), area(&all, 7)),
        (Some("hall"), Some("marked")),
        "nor is it written"
    );
    for kind in [PartKind::Rule, PartKind::Device] {
        let id = PartId {
            kind,
            id: "D-9999".into(),
        };
        assert_eq!(all.version_of(&id), second.version_of(&id));
    }

    // Something goes: that is told by the number of what is left.
    let third = next(&second, |c| drop(c.devices.remove(5)));
    gateway.put_configuration(&third).await.unwrap();
    let read = dashboard
        .configuration(Some(&read))
        .await
        .unwrap()
        .expect("it is there");
    assert_eq!(
        (read.configuration.version, area(&read.configuration, 0)),
        (3, Some("hall"))
    );
    assert_eq!(read.configuration.len(), third.len());

    // A process that does not know what was written, of another journal perhaps, writes all of it.
    let other = open().await;
    let anew = next(&first, |c| c.devices[1].area = Some("anew".into()));
    other.put_configuration(&anew).await.unwrap();
    assert_eq!(in_force(&dashboard, Some(&read)).await, anew);
    // And what it wrote is not what the first one knows.
    gateway
        .put_configuration(&next(&third, |c| c.rules.clear()))
        .await
        .unwrap();
    let last = in_force(&dashboard, None).await;
    assert_eq!(
        (last.rules.len(), area(&last, 1), area(&last, 7)),
        (0, Some("hall"), Some("hall"))
    );
}

pub async fn a_configuration_that_is_damaged_is_written_again<D: Database>(open: impl AsyncFn() -> Relational<D>) {
    let (gateway, dashboard) = (open().await, open().await);
    let plant = plant();
    gateway.put_configuration(&plant).await.unwrap();
    let known = dashboard.configuration(None).await.unwrap().expect("it was written");
    for damage in [
        "DELETE FROM configuration_parts WHERE id = 'D-7'",
        "DELETE FROM configuration_parts",
        "DELETE FROM configuration_in_force",
    ] {
        let mut tx = gateway.database().begin().await.unwrap();
        tx.script(damage.to_owned()).await.unwrap();
        tx.commit().await.unwrap();
        let read = dashboard.configuration(None).await;
        let is_missed = matches!(&read, Ok(None) | Err(StoreError::Unavailable { .. }));
        assert!(is_missed, "{damage}: half of it is not what is in force: {read:?}");
        gateway.put_configuration(&plant).await.unwrap();
        assert_eq!(in_force(&dashboard, None).await, plant);
        assert_eq!(in_force(&dashboard, Some(&known)).await, plant);
    }
}

pub async fn a_proposal_is_taken_over_once_or_refused<S: SiteStore>(open: impl AsyncFn() -> S) {
    let (gateway, dashboard) = (open().await, open().await);
    assert_eq!(
        dashboard.propose_configuration(&proposal(1, 5, "early")).await.unwrap(),
        Proposed::Stale { in_force: 0 },
        "nobody has said what is in force"
    );
    let mut in_force = configuration(5, "start");
    gateway.put_configuration(&in_force).await.unwrap();
    assert_eq!(
        dashboard.propose_configuration(&proposal(1, 4, "stale")).await.unwrap(),
        Proposed::Stale { in_force: 5 }
    );
    assert_eq!(dashboard.proposal_answer(ProposalId(1)).await.unwrap(), None);
    assert_eq!(gateway.take_proposal().await.unwrap(), None);
    let generation = gateway.requests_generation().await.unwrap();
    let (first, second) = (proposal(2, 5, "anna '"), proposal(3, 5, "bob"));
    for p in [&first, &second, &first] {
        assert_eq!(dashboard.propose_configuration(p).await.unwrap(), Proposed::Waiting);
    }
    assert!(gateway.requests_generation().await.unwrap() > generation);
    assert_eq!(
        dashboard.proposal_answer(ProposalId(2)).await.unwrap(),
        Some(Asked::Waiting)
    );
    assert_eq!(gateway.take_proposal().await.unwrap(), Some(first.clone()));
    assert_eq!(
        dashboard.proposal_answer(ProposalId(2)).await.unwrap(),
        Some(Asked::Taken)
    );
    assert!(!dashboard.withdraw_proposal(ProposalId(2), NOW).await.unwrap());
    let Verdict::TakeOver(new) = first.clone().verdict(&in_force) else {
        panic!()
    };
    in_force = new;
    gateway.put_configuration(&in_force).await.unwrap();
    // The owner ends before it answers; the next one sees that it is in force.
    let again = gateway.take_proposal().await.unwrap().unwrap();
    assert_eq!(again.clone().verdict(&in_force), Verdict::InForce(6));
    gateway.answer_proposal(again.id, &Ok(6), NOW).await.unwrap();
    gateway
        .answer_proposal(again.id, &Err("no".to_owned()), NOW)
        .await
        .unwrap();
    assert_eq!(
        dashboard.proposal_answer(ProposalId(2)).await.unwrap(),
        Some(Asked::Answered(Ok(6)))
    );
    // The other was made from the same version, and is too late.
    let late = gateway.take_proposal().await.unwrap().unwrap();
    let Verdict::Refuse(why) = late.clone().verdict(&in_force) else {
        panic!()
    };
    gateway.answer_proposal(late.id, &Err(why.clone()), NOW).await.unwrap();
    assert_eq!(
        dashboard.proposal_answer(ProposalId(3)).await.unwrap(),
        Some(Asked::Answered(Err(why)))
    );
    assert_eq!(gateway.take_proposal().await.unwrap(), None);
    // Withdrawn before anybody looked.
    dashboard.propose_configuration(&proposal(4, 6, "carl")).await.unwrap();
    assert!(dashboard.withdraw_proposal(ProposalId(4), NOW).await.unwrap());
    assert_eq!(gateway.take_proposal().await.unwrap(), None);
    assert_eq!(
        dashboard.proposal_answer(ProposalId(4)).await.unwrap(),
        Some(Asked::Withdrawn)
    );
    assert_eq!(gateway.prune_requests(Timestamp(NOW.0 + 1)).await.unwrap(), 3);
}
