//! What is held back and what is not: mute windows by what an alert is about, shelving, and one e-mail to an address in five minutes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod notifier_world;

use andon_engine::effect::AlertReason;
use andon_engine::ids::{RecipientId, RouteId};
use andon_engine::incident::{Activity, Incident, Shelving};
use andon_engine::rule::{MuteScope, MuteWindow, Route};
use andon_engine::subject::SubjectKind::{Application, Device};
use andon_engine::time::{Span, Timestamp};
use andon_storage::ports::deliveries::{DeliveryState, DeliveryStore};
use notifier_world::{NIGHT, World, configuration, mute_all, recipient};
use std::sync::Arc;

const MINUTE: Span = Span::mins(1);

fn mute_device(id: &str, until: Timestamp) -> MuteWindow {
    MuteWindow {
        scope: MuteScope {
            devices: vec![Arc::from(id)],
            ..MuteScope::default()
        },
        ..mute_all("agv-service", until)
    }
}

/// An incident of the WMS that AGV-7 opened.
fn opened_by(w: &World, device: &str) -> Incident {
    let mut i = w.incident("errors-per-application", Application, "wms-core");
    i.device = Some(Arc::from(device));
    i
}

async fn states(w: &World, i: &Incident) -> Vec<(DeliveryState, Option<String>)> {
    let rows = w.deliveries(i).await;
    rows.into_iter().map(|d| (d.state, d.reason)).collect()
}

#[tokio::test]
async fn a_mute_of_the_device_that_opened_an_incident_holds_no_news_of_another() {
    let mut c = configuration();
    c.mute_windows.push(mute_device("AGV-7", NIGHT.plus(Span::hours(8))));
    let w = World::new(c).await;
    let mut i = opened_by(&w, "AGV-7");
    w.raise(&i, AlertReason::Opened).await;
    // In the same request, and decided on together.
    w.fault_of(&mut i, "AGV-8").await;
    assert_eq!(w.step().await.sent, 1);
    let mail = w.last_mail().text;
    assert!(
        mail.contains("| AGV-8 lost its way\n") && mail.contains("Device: AGV-8\n"),
        "{mail}"
    );
    assert!(!mail.contains("AGV-7"), "{mail}");
    let muted = (DeliveryState::Muted, Some("agv-service".to_owned()));
    assert_eq!(states(&w, &i).await, [muted, (DeliveryState::Sent, None)]);
    // And the other way about: the muted device's fault in an incident that another opened.
    let mut i = opened_by(&w, "AGV-8");
    w.raise(&i, AlertReason::Opened).await;
    w.fault_of(&mut i, "AGV-7").await;
    assert_eq!(w.after(Span::mins(5)).await.sent, 1);
    let mail = w.last_mail().text;
    assert!(!mail.contains("AGV-7"), "{mail}");
    assert_eq!(states(&w, &i).await[1].0, DeliveryState::Muted);
}

#[tokio::test]
async fn one_message_of_several_devices_names_them_all() {
    let w = World::new(configuration()).await;
    let mut i = opened_by(&w, "AGV-7");
    w.raise(&i, AlertReason::Opened).await;
    w.fault_of(&mut i, "AGV-8").await;
    w.fault_of(&mut i, "AGV-9").await;
    assert_eq!(w.step().await.sent, 1);
    let mail = w.last_mail();
    assert!(mail.text.contains("Device: AGV-7, AGV-8, AGV-9\n"), "{}", mail.text);
    assert!(mail.text.contains("Why now: new incident\n"), "{}", mail.text);
    assert_eq!(mail.header("X-Andon-Kind"), "alert", "nothing of it was held back");
}

/// A window that names a place holds what its records name, not where the incident began.
#[tokio::test]
async fn a_mute_of_an_area_or_a_site_looks_at_the_alerts_own_record() {
    for scope in [
        MuteScope {
            areas: vec![Arc::from("Hall 2")],
            ..MuteScope::default()
        },
        MuteScope {
            sites: vec![Arc::from("plant")],
            ..MuteScope::default()
        },
    ] {
        let mut c = configuration();
        c.mute_windows.push(MuteWindow {
            scope,
            ..mute_all("hall", NIGHT.plus(Span::hours(8)))
        });
        let w = World::new(c).await;
        let mut i = opened_by(&w, "elsewhere");
        w.raise(&i, AlertReason::Opened).await;
        w.fault_of(&mut i, "CNV-03").await;
        assert_eq!(w.step().await.sent, 1);
        let states: Vec<_> = states(&w, &i).await.into_iter().map(|s| s.0).collect();
        assert_eq!(states, [DeliveryState::Sent, DeliveryState::Muted]);
    }
}

async fn shelve(w: &World, i: &mut Incident, until: Timestamp) {
    let by = Arc::from("lena");
    let reason = Arc::from("part ordered");
    w.change(i, |i| i.shelved = Some(Shelving { until, by, reason })).await;
}

#[tokio::test]
async fn what_comes_while_it_is_shelved_is_kept_and_sent_once_when_the_time_is_over() {
    let w = World::new(configuration()).await;
    let mut i = w.incident("errors-per-application", Application, "wms-core");
    shelve(&w, &mut i, NIGHT.plus(Span::hours(1))).await;
    w.raise(&i, AlertReason::Opened).await;
    w.step().await;
    w.new_fault(&mut i, "printer 7 out of labels").await;
    assert_eq!(w.after(Span::mins(59)).await.sent, 0);
    let muted = (DeliveryState::Muted, Some("shelved".to_owned()));
    assert_eq!(states(&w, &i).await, [muted.clone(), muted]);
    w.clock.advance(MINUTE);
    w.unshelve(&mut i).await;
    assert_eq!(w.step().await.sent, 1);
    let mail = w.last_mail();
    assert!(
        mail.text.contains("was muted until 2026-11-23 03:10:05 CET"),
        "{}",
        mail.text
    );
    assert!(mail.text.contains("printer 7 out of labels"), "{}", mail.text);
    for _ in 0..20 {
        assert_eq!(w.after(MINUTE).await.sent, 0, "once");
    }
}

#[tokio::test]
async fn a_shelving_that_judging_does_not_end_ends_by_its_time() {
    let w = World::new(configuration()).await;
    let mut i = w.incident("errors-per-application", Application, "wms-core");
    shelve(&w, &mut i, NIGHT.plus(Span::hours(1))).await;
    w.raise(&i, AlertReason::Opened).await;
    assert_eq!(w.after(Span::mins(60)).await.sent, 0, "judging may be about to say so");
    assert_eq!(w.after(MINUTE).await.sent, 1);
}

#[tokio::test]
async fn a_shelving_that_a_person_ends_early_frees_what_it_held_and_it_is_sent_once() {
    let w = World::new(configuration()).await;
    let mut i = w.incident("errors-per-application", Application, "wms-core");
    shelve(&w, &mut i, NIGHT.plus(Span::hours(8))).await;
    w.raise(&i, AlertReason::Opened).await;
    assert_eq!(w.step().await.sent, 0);
    w.clock.advance(MINUTE);
    w.unshelve(&mut i).await;
    assert_eq!(w.after(MINUTE).await.sent, 1);
    let mail = w.last_mail().text;
    assert!(
        mail.contains("was muted until 2026-11-23 02:12:05 CET"),
        "until now: {mail}"
    );
    for _ in 0..20 {
        assert_eq!(w.after(MINUTE).await.sent, 0, "once");
    }
}

/// Nothing new came while it was shelved, but it holds: whoever shelved it, and everybody else, must hear that it is back.
#[tokio::test]
async fn who_knows_an_incident_hears_once_that_its_shelving_is_over_and_it_still_holds() {
    for early in [false, true] {
        let w = World::new(configuration()).await;
        let mut i = w.incident("errors-per-application", Application, "wms-core");
        w.raise(&i, AlertReason::Opened).await;
        assert_eq!(w.step().await.sent, 1);
        shelve(&w, &mut i, NIGHT.plus(Span::hours(2))).await;
        assert_eq!(w.after(Span::mins(30)).await.sent, 0);
        if !early {
            assert_eq!(w.after(Span::mins(90)).await.sent, 0);
        }
        w.unshelve(&mut i).await;
        assert_eq!(w.step().await.sent, 1, "early: {early}");
        let mail = w.last_mail().text;
        assert!(
            mail.contains("Why now: its shelving is over and it still holds\n"),
            "{mail}"
        );
        for _ in 0..100 {
            assert_eq!(w.after(MINUTE).await.sent, 0, "once");
        }
    }
}

#[tokio::test]
async fn of_what_is_over_when_its_shelving_ends_nobody_hears() {
    let w = World::new(configuration()).await;
    let mut known = w.incident("errors-per-application", Application, "known");
    w.raise(&known, AlertReason::Opened).await;
    assert_eq!(w.step().await.sent, 1);
    let mut unknown = w.incident("errors-per-application", Application, "unknown");
    let until = NIGHT.plus(Span::hours(1));
    shelve(&w, &mut known, until).await;
    shelve(&w, &mut unknown, until).await;
    w.new_fault(&mut known, "another").await;
    w.raise(&unknown, AlertReason::Opened).await;
    w.step().await;
    for i in [&mut known, &mut unknown] {
        w.change(i, |i| i.activity = Activity::ReturnedToNormal).await;
        w.unshelve(i).await;
    }
    assert_eq!(w.after(Span::hours(2)).await.sent, 0);
    let over = (DeliveryState::Muted, Some("shelved".to_owned()));
    assert_eq!(states(&w, &unknown).await, [over]);
    assert_eq!(
        w.store.counts().await.unwrap().muted,
        0,
        "they are a record and no longer held"
    );
}

#[tokio::test]
async fn six_fatals_of_six_devices_are_two_emails_five_minutes_apart() {
    let w = World::new(configuration()).await;
    let mut sent = 0;
    for n in 0..6 {
        w.raise(
            &w.incident("fatal-per-device", Device, &format!("CNC-{n}")),
            AlertReason::Opened,
        )
        .await;
        sent += w.after(Span::secs(2)).await.sent;
    }
    assert_eq!(sent, 1, "also of a P1 there is one e-mail in five minutes");
    assert_eq!(w.after(Span::mins(5)).await.sent, 1);
    let digest = w.last_mail().text;
    for n in 1..6 {
        assert!(digest.contains(&format!("Device CNC-{n}")), "CNC-{n} in {digest}");
    }
}

#[tokio::test]
async fn a_person_who_chose_it_gets_the_first_alert_of_each_incident_at_once() {
    let mut c = configuration();
    c.recipients.push(recipient("bernd", "en"));
    c.recipients[1].passes_throttle = true;
    c.routes[0].recipients.push(RecipientId::new("bernd"));
    let w = World::new(c).await;
    for n in 0..3 {
        let mut i = w.incident("errors-per-application", Application, &format!("app-{n}"));
        w.raise(&i, AlertReason::Opened).await;
        w.after(Span::secs(2)).await;
        w.new_fault(&mut i, "a new fault waits for the digest").await;
        w.after(Span::secs(2)).await;
    }
    let to = |name: &str| w.mails().iter().filter(|m| m.header("To").contains(name)).count();
    assert_eq!((to("anna"), to("bernd")), (1, 3));
}

/// Nobody has tried to send it yet: it may say more.
#[tokio::test]
async fn what_is_held_back_is_named_in_the_message_that_has_not_left() {
    let w = World::new(configuration()).await;
    let outbox = w.dir.path().join("outbox");
    let first = w.incident("errors-per-application", Application, "first");
    w.raise(&first, AlertReason::Opened).await;
    w.step().await;
    w.clock.advance(Span::mins(5));
    let second = w.incident("errors-per-application", Application, "second");
    w.raise(&second, AlertReason::Opened).await;
    w.notifier.plan(w.now()).await.unwrap();
    let third = w.incident("fatal-per-device", Device, "CNC-1");
    w.raise(&third, AlertReason::Opened).await;
    assert_eq!(w.step().await.sent, 1);
    let mail = w.last_mail();
    assert!(
        mail.text.contains("second") && mail.text.contains("Device CNC-1"),
        "{}",
        mail.text
    );
    assert!(
        mail.subject().starts_with("[P1 critical] 2 incidents"),
        "the most urgent first: {}",
        mail.subject()
    );
    assert_eq!(w.after(Span::mins(10)).await.sent, 0, "nothing is left over");
    // Once somebody has tried, a message says the same in every attempt.
    let hold = |on: bool| {
        if on {
            std::fs::rename(&outbox, w.dir.path().join("kept")).unwrap();
            std::fs::write(&outbox, "in the way").unwrap();
        } else {
            std::fs::remove_file(&outbox).unwrap();
            std::fs::rename(w.dir.path().join("kept"), &outbox).unwrap();
        }
    };
    hold(true);
    w.raise(
        &w.incident("errors-per-application", Application, "fourth"),
        AlertReason::Opened,
    )
    .await;
    assert_eq!(w.step().await.retried, 1);
    w.raise(
        &w.incident("errors-per-application", Application, "fifth"),
        AlertReason::Opened,
    )
    .await;
    w.step().await;
    hold(false);
    assert_eq!(w.after(MINUTE).await.sent, 1);
    assert!(!w.last_mail().text.contains("fifth"), "{}", w.last_mail().text);
    assert_eq!(w.after(Span::mins(5)).await.sent, 1);
    assert!(w.last_mail().text.contains("fifth"));
}

/// Anna is known to `andon user`, and somebody gave her address at start too.
#[tokio::test]
async fn an_address_is_mailed_once_whatever_roles_it_has() {
    let mut c = configuration();
    let mut by_address = recipient("anna@EXAMPLE.com", "en");
    by_address.email = Arc::from("anna@EXAMPLE.com");
    by_address.name = by_address.email.clone();
    c.recipients.insert(0, by_address);
    c.routes[0].recipients = ["anna@EXAMPLE.com", "anna"].map(RecipientId::new).to_vec();
    c.routes.push(Route {
        id: RouteId::new("fatal"),
        name: Arc::from("Fatal"),
        recipients: vec![RecipientId::new("anna@EXAMPLE.com")],
        channels: vec![],
    });
    for rule in c.rules.iter_mut().filter(|r| r.id.as_str() == "fatal-per-device") {
        rule.route = RouteId::new("fatal");
    }
    let w = World::new(c).await;
    w.raise(
        &w.incident("errors-per-application", Application, "wms-core"),
        AlertReason::Opened,
    )
    .await;
    assert_eq!(w.step().await.sent, 1, "in one route");
    assert_eq!(
        w.last_mail().header("To"),
        "anna <anna@example.com>",
        "who has a name is greeted by it"
    );
    w.raise(&w.incident("fatal-per-device", Device, "CNC-1"), AlertReason::Opened)
        .await;
    assert_eq!(w.after(MINUTE).await.sent, 0, "in two routes");
    // A window that names one of her roles holds her mail.
    w.configure(|c| {
        c.mute_windows.push(MuteWindow {
            scope: MuteScope {
                recipients: vec![RecipientId::new("anna")],
                ..MuteScope::default()
            },
            ..mute_all("holiday", NIGHT.plus(Span::hours(8)))
        });
    });
    assert_eq!(w.after(Span::mins(10)).await.sent, 0);
}
