//! What people are told, and what is held: whole scenarios on a real store, with time passed in.

mod notifier_world;

use andon_engine::effect::AlertReason;
use andon_engine::incident::{Acknowledgement, Activity};
use andon_engine::subject::SubjectKind::{Application, Device, User};
use andon_engine::time::Span;
use andon_storage::link_token::LinkTokens;
use andon_storage::ports::deliveries::{DeliveryState, DeliveryStore};
use notifier_world::{NIGHT, SECRET, World, configuration, mute_all, recipient};
use std::sync::Arc;

const MINUTE: Span = Span::mins(1);

#[tokio::test]
async fn five_errors_are_one_email_at_once_and_five_hundred_more_are_one_digest_that_counts_them() {
    let w = World::new(configuration()).await;
    let mut i = w.incident("errors-per-application", Application, "wms-core");
    w.raise(&i, AlertReason::Opened).await;
    let report = w.step().await;
    assert_eq!((report.expanded, report.noticed, report.sent), (1, 1, 1));
    let first = w.last_mail();
    assert_eq!(first.subject(), "[P2 high] wms-core: 5 errors within a minute");
    assert!(first.text.contains("database deadlock on PICK_TASK"), "{}", first.text);
    assert!(first.text.contains("Count: 5 errors\n"), "{}", first.text);

    for _ in 0..4 {
        w.repeats(&mut i, 125).await;
        assert_eq!(w.after(MINUTE).await.sent, 0);
    }
    assert_eq!(
        w.after(Span::micros(MINUTE.as_micros() - 1)).await.sent,
        0,
        "the window's end is not before its end"
    );
    assert_eq!(w.after(Span::micros(1)).await.sent, 1);
    assert_eq!(w.mails().len(), 2);
    let digest = w.last_mail();
    assert!(digest.text.contains("500 further errors"), "{}", digest.text);
    assert!(digest.html.contains("500 further errors"));
    assert!(
        digest
            .text
            .contains("Count: 505 errors: 500 further errors since the last message\n"),
        "{}",
        digest.text
    );
    // One thread: the same subject, the same root, another Message-ID.
    assert_eq!(digest.subject(), first.subject());
    assert_eq!(digest.header("References"), first.header("References"));
    assert_eq!(digest.header("In-Reply-To"), format!("<incident.{}@example.com>", i.id));
    assert_ne!(digest.header("Message-ID"), first.header("Message-ID"));
    for _ in 0..24 {
        assert_eq!(w.after(MINUTE).await.sent, 0, "a digest is told once");
    }
}

#[tokio::test]
async fn repeats_are_told_after_five_minutes_thirty_minutes_and_then_every_four_hours() {
    let w = World::new(configuration()).await;
    let mut i = w.incident("errors-per-application", Application, "wms-core");
    w.raise(&i, AlertReason::Opened).await;
    let mut told_at = Vec::new();
    for minute in 0..(10 * 60) {
        w.repeats(&mut i, 1).await;
        if w.step().await.sent > 0 {
            told_at.push(minute);
        }
        w.clock.advance(MINUTE);
    }
    assert_eq!(told_at, [0, 5, 35, 275, 515]);
    assert!(
        w.last_mail().text.contains("240 further errors"),
        "{}",
        w.last_mail().text
    );
}

#[tokio::test]
async fn new_faults_and_other_incidents_wait_for_the_digest_which_counts_what_was_held() {
    let w = World::new(configuration()).await;
    let mut i = w.incident("errors-per-application", Application, "wms-core");
    w.raise(&i, AlertReason::Opened).await;
    w.step().await;
    w.clock.advance(MINUTE);
    w.new_fault(&mut i, "printer 7 out of labels").await;
    let other = w.incident("errors-per-application", Application, "erp-bridge");
    w.raise(&other, AlertReason::Opened).await;
    assert_eq!(w.step().await.sent, 0);
    let held: Vec<_> = w.deliveries(&other).await.iter().map(|d| (d.state, d.due)).collect();
    assert_eq!(held, [(DeliveryState::Held, Some(NIGHT.plus(Span::mins(5))))]);
    assert_eq!(w.store.counts().await.unwrap().held, 2);
    assert_eq!(w.after(Span::mins(4)).await.sent, 1);
    let digest = w.last_mail();
    assert_eq!(digest.subject(), "[P2 high] 2 incidents: wms-core and 1 more");
    assert!(
        digest.text.contains("+2 alerts held, 2 incidents, 1 further error."),
        "{}",
        digest.text
    );
    assert!(
        digest.text.contains("printer 7 out of labels") && digest.text.contains("erp-bridge"),
        "{}",
        digest.text
    );
    assert!(
        digest.all("References").is_empty(),
        "a digest of several incidents ties no threads together"
    );
    assert_eq!(w.deliveries(&other).await[0].state, DeliveryState::Sent);
    // It opened the next window itself.
    let third = w.incident("errors-per-application", Application, "tms");
    w.raise(&third, AlertReason::Opened).await;
    assert_eq!(w.after(Span::mins(4)).await.sent, 0);
    assert_eq!(w.after(MINUTE).await.sent, 1);
}

#[tokio::test]
async fn a_rule_that_passes_the_throttle_makes_no_flood_of_emails_of_a_flood_of_alerts() {
    let mut c = configuration();
    for rule in c.rules.iter_mut().filter(|r| r.id.as_str() == "fatal-per-device") {
        rule.passes_throttle = true;
    }
    let w = World::new(c).await;
    w.raise(
        &w.incident("errors-per-application", Application, "wms-core"),
        AlertReason::Opened,
    )
    .await;
    assert_eq!(w.step().await.sent, 1);
    let fatal = w.incident("fatal-per-device", Device, "CNV-03");
    w.clock.advance(Span::secs(5));
    w.raise(&fatal, AlertReason::Opened).await;
    assert_eq!(w.step().await.sent, 1, "it was chosen to pass");
    assert_eq!(w.last_mail().header("Importance"), "high");
    assert!(w.mails()[0].all("Importance").is_empty());
    // 200 machines lose power, one after the other.
    let mut sent = 0;
    for n in 0..200 {
        w.raise(
            &w.incident("fatal-per-device", Device, &format!("CNC-{n}")),
            AlertReason::Opened,
        )
        .await;
        sent += w.after(Span::secs(1)).await.sent;
    }
    assert!((9..=11).contains(&sent), "{sent} e-mails in 200 s");
    for _ in 0..20 {
        w.after(Span::secs(30)).await;
    }
    let counts = w.store.counts().await.unwrap();
    assert_eq!((counts.sent, counts.held, counts.waiting), (202, 0, 0), "each was told");
    let named: String = w.mails().iter().map(|m| m.text.clone()).collect();
    assert!(
        named.contains("CNC-0") && named.contains("not shown here"),
        "the worst are shown, the rest is counted"
    );
}

#[tokio::test]
async fn incidents_of_the_same_record_are_told_in_one_email() {
    let w = World::new(configuration()).await;
    let mut a = w.incident("errors-per-application", Application, "wms-core");
    let mut b = w.incident("errors-per-user", User, "karl");
    b.position = a.position;
    a.position.index = 0;
    for i in [&a, &b] {
        w.raise(i, AlertReason::Opened).await;
    }
    assert_eq!(w.step().await.sent, 1);
    let mail = w.last_mail();
    assert!(
        mail.text.contains("Application wms-core") && mail.text.contains("User karl"),
        "{}",
        mail.text
    );
    assert_eq!(
        mail.subject(),
        "[P2 high] wms-core: 5 errors within a minute",
        "the most urgent names it"
    );
}

#[tokio::test]
async fn a_mute_window_holds_everything_and_keeps_a_record() {
    let mut c = configuration();
    c.mute_windows.push(mute_all("belt-change", NIGHT.plus(Span::mins(30))));
    let w = World::new(c).await;
    let mut i = w.incident("errors-per-application", Application, "wms-core");
    w.raise(&i, AlertReason::Opened).await;
    for _ in 0..10 {
        w.repeats(&mut i, 50).await;
        w.after(MINUTE).await;
    }
    assert!(w.mails().is_empty());
    let d = &w.deliveries(&i).await[0];
    assert_eq!(
        (d.state, d.reason.as_deref()),
        (DeliveryState::Muted, Some("belt-change"))
    );
    assert_eq!(d.muted_until, Some(NIGHT.plus(Span::mins(30))));
    assert_eq!(w.store.counts().await.unwrap().muted, 1);
    // It still holds when the window ends: then it is told.
    assert_eq!(w.after(Span::mins(20)).await.sent, 1);
    let mail = w.last_mail();
    assert!(
        mail.text.contains("was muted until 2026-11-23 02:40:05 CET"),
        "{}",
        mail.text
    );
    assert!(mail.text.contains("Count: 505 errors"), "{}", mail.text);
    assert_eq!(w.deliveries(&i).await[0].state, DeliveryState::Sent);
}

#[tokio::test]
async fn a_fault_that_is_over_when_the_window_ends_stays_a_record() {
    let mut c = configuration();
    c.mute_windows.push(mute_all("belt-change", NIGHT.plus(Span::mins(30))));
    let w = World::new(c).await;
    let mut i = w.incident("errors-per-application", Application, "wms-core");
    w.raise(&i, AlertReason::Opened).await;
    w.step().await;
    w.change(&mut i, |i| i.activity = Activity::ReturnedToNormal).await;
    assert_eq!(w.after(Span::hours(2)).await.sent, 0);
    let d = &w.deliveries(&i).await[0];
    assert_eq!(
        (d.state, d.reason.as_deref(), d.due),
        (DeliveryState::Muted, Some("belt-change"), None)
    );
    assert_eq!(w.store.counts().await.unwrap().muted, 0, "it is no longer held");
}

#[tokio::test]
async fn a_window_that_is_taken_away_frees_what_it_held() {
    let mut c = configuration();
    c.mute_windows.push(mute_all("belt-change", NIGHT.plus(Span::hours(8))));
    let w = World::new(c).await;
    for n in 0..3 {
        w.raise(
            &w.incident("errors-per-application", Application, &format!("app-{n}")),
            AlertReason::Opened,
        )
        .await;
    }
    assert_eq!(w.step().await.sent, 0);
    w.configure(|c| c.mute_windows.clear());
    assert_eq!(w.after(MINUTE).await.sent, 1, "in one e-mail");
    assert!(w.last_mail().text.contains("app-0") && w.last_mail().text.contains("app-2"));
}

#[tokio::test]
async fn a_safety_rule_refuses_to_be_muted_unless_an_administrator_says_so() {
    let mut c = configuration();
    c.mute_windows.push(mute_all("belt-change", NIGHT.plus(Span::hours(8))));
    let w = World::new(c).await;
    let i = w.incident("safety-per-device", Device, "CNV-03");
    w.raise(&i, AlertReason::Opened).await;
    assert_eq!(w.step().await.sent, 1);
    w.configure(|c| c.mute_windows[0].includes_safety = true);
    let other = w.incident("safety-per-device", Device, "CNV-04");
    w.raise(&other, AlertReason::Opened).await;
    assert_eq!(w.step().await.sent, 0);
    assert_eq!(w.deliveries(&other).await[0].state, DeliveryState::Muted);
}

#[tokio::test]
async fn a_window_that_opens_while_the_throttle_holds_keeps_the_digest_too() {
    let w = World::new(configuration()).await;
    let mut i = w.incident("errors-per-application", Application, "wms-core");
    w.raise(&i, AlertReason::Opened).await;
    w.step().await;
    w.new_fault(&mut i, "another fault").await;
    w.repeats(&mut i, 10).await;
    w.step().await;
    w.configure(|c| c.mute_windows.push(mute_all("night", NIGHT.plus(Span::mins(30)))));
    for _ in 0..9 {
        assert_eq!(w.after(MINUTE).await.sent, 0);
    }
    assert_eq!(w.after(Span::mins(21)).await.sent, 1);
    assert!(w.last_mail().text.contains("another fault"));
}

#[tokio::test]
async fn an_acknowledged_incident_gets_one_last_digest_and_no_reminders() {
    let w = World::new(configuration()).await;
    let mut i = w.incident("errors-per-application", Application, "wms-core");
    w.raise(&i, AlertReason::Opened).await;
    w.step().await;
    w.change(&mut i, |i| {
        i.count += 10;
        i.acknowledged = Some(Acknowledgement {
            at: NIGHT.plus(MINUTE),
            by: Arc::from("lena"),
        });
    })
    .await;
    assert_eq!(w.after(Span::mins(5)).await.sent, 1);
    assert!(
        w.last_mail()
            .text
            .contains("active, acknowledged by lena, 2026-11-23 02:11:05 CET"),
        "{}",
        w.last_mail().text
    );
    w.repeats(&mut i, 10).await;
    assert_eq!(w.after(Span::hours(1)).await.sent, 0);
    assert_eq!(w.after(Span::hours(9)).await.sent, 0);
}

#[tokio::test]
async fn history_is_one_summary_for_each_route_and_silent_history_is_nothing() {
    let w = World::new(configuration()).await;
    for n in 0..30 {
        let mut i = w.incident("errors-per-application", Application, &format!("gateway-{n}"));
        i.historical = true;
        i.activity = Activity::ReturnedToNormal;
        w.raise(&i, AlertReason::Opened).await;
        assert_eq!(w.after(Span::secs(10)).await.sent, 0);
    }
    let mut silent = w.incident("errors-per-application", Application, "import");
    silent.silent = true;
    w.raise(&silent, AlertReason::Opened).await;
    assert_eq!(w.after(MINUTE).await.sent, 1);
    let mail = w.last_mail();
    assert!(
        mail.text.contains("Found in history") && mail.text.contains("gateway-0"),
        "{}",
        mail.text
    );
    assert!(mail.text.contains("+10 incidents"), "{}", mail.text);
    assert_eq!(mail.header("X-Andon-Kind"), "summary");
    assert_eq!(mail.header("Subject"), "[history] 30 incidents: gateway-0 and 29 more");
    assert!(w.deliveries(&silent).await.is_empty());
    assert_eq!(w.after(Span::hours(10)).await.sent, 0);
    assert_eq!(w.mails().len(), 1);
}

#[tokio::test]
async fn an_alert_that_andon_delayed_is_sent_and_says_by_how_much() {
    let w = World::new(configuration()).await;
    let i = w.incident("errors-per-application", Application, "wms-core");
    w.raise(&i, AlertReason::Opened).await;
    assert_eq!(w.after(Span::mins(95)).await.sent, 1);
    let text = w.last_mail().text;
    assert!(
        text.contains("Andon sends this late: the record came in 1 h 35 min ago"),
        "{text}"
    );
}

#[tokio::test]
async fn every_recipient_has_a_window_a_language_and_a_link_of_their_own() {
    let mut c = configuration();
    c.recipients.push(recipient("bernd", "de-DE"));
    c.routes[0].recipients = ["anna", "bernd", "anna", "gone"]
        .map(andon_engine::ids::RecipientId::new)
        .to_vec();
    let w = World::new(c).await;
    let i = w.incident("errors-per-application", Application, "wms-core");
    w.raise(&i, AlertReason::Opened).await;
    assert_eq!(
        w.step().await.sent,
        2,
        "a person named twice is told once, one who is gone not at all"
    );
    let tokens = LinkTokens::new(SECRET);
    for mail in w.mails() {
        let (name, subject) = match mail.header("To") {
            "anna <anna@example.com>" => ("anna", "[P2 high] wms-core: 5 errors within a minute"),
            "bernd <bernd@example.com>" => ("bernd", "[P2 hoch] wms-core: 5 errors within a minute"),
            to => panic!("{to}"),
        };
        assert_eq!(mail.subject(), subject);
        let token = mail
            .text
            .split("?token=")
            .nth(1)
            .unwrap()
            .split_whitespace()
            .next()
            .unwrap();
        let grant = tokens.verify(token, w.now()).unwrap();
        assert_eq!((grant.recipient.as_str(), grant.incident), (name, i.id));
        assert_eq!(grant.expires, w.now().plus(Span::hours(12)));
        assert!(mail.html.contains(&format!("/incidents/{}?token={token}\"", i.id)));
    }
}
