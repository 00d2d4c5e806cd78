//! What fails on the way, and what a crash leaves: nothing is lost, and twice only where nobody can know.

mod notifier_world;

use andon_engine::effect::{AlertReason, Effect};
use andon_engine::subject::SubjectKind::{Application, Device};
use andon_engine::time::{Span, Timestamp};
use andon_storage::ports::deliveries::{DeliveryState, DeliveryStore, NoticeState, Outcome};
use notifier_world::{World, configuration, mute_all, recipient};
use std::sync::Arc;

const MINUTE: Span = Span::mins(1);

#[tokio::test]
async fn a_server_that_was_away_for_an_hour_gets_the_first_message_and_then_one_digest() {
    let w = World::new(configuration()).await;
    let outbox = w.dir.path().join("outbox");
    std::fs::write(&outbox, "a file where the folder should be").unwrap();
    let mut sent = 0;
    for n in 0..12 {
        w.raise(
            &w.incident("errors-per-application", Application, &format!("app-{n}")),
            AlertReason::Opened,
        )
        .await;
        sent += w.after(Span::mins(5)).await.sent;
    }
    assert_eq!(sent, 0);
    assert_eq!(
        w.failures.all().len(),
        1,
        "one warning for one message: {:?}",
        w.failures.all()
    );
    assert_eq!(w.failures.all()[0].0, "andon.notifier.email");
    std::fs::remove_file(&outbox).unwrap();
    assert_eq!(w.after(Span::mins(15)).await.sent, 1);
    assert_eq!(w.after(Span::mins(5)).await.sent, 1);
    assert!(w.last_mail().text.contains("+11 alerts held"), "{}", w.last_mail().text);
    assert_eq!(w.store.counts().await.unwrap().sent, 12);
}

#[tokio::test]
async fn a_message_that_cannot_be_sent_dies_says_so_and_gives_its_slot_back() {
    let w = World::new(configuration()).await;
    w.configure(|c| c.recipients[0].email = Arc::from("nobody"));
    let i = w.incident("errors-per-application", Application, "wms-core");
    w.raise(&i, AlertReason::Opened).await;
    assert_eq!(w.step().await.dead, 1);
    let d = &w.deliveries(&i).await[0];
    assert_eq!(d.state, DeliveryState::Dead);
    assert!(
        d.reason
            .as_ref()
            .unwrap()
            .contains("recipient anna cannot be reached: \"nobody\" is not an e-mail address"),
        "{d:?}"
    );
    let (kind, message) = &w.failures.all()[0];
    assert_eq!(kind, "andon.notifier.email");
    assert!(message.contains("given up"), "{message}");
    w.configure(|c| c.recipients[0].email = Arc::from("anna@example.com"));
    w.raise(
        &w.incident("errors-per-application", Application, "erp"),
        AlertReason::Opened,
    )
    .await;
    assert_eq!(w.step().await.sent, 1, "its window ended with it");
}

#[tokio::test]
async fn a_message_is_given_up_after_a_day_of_trying() {
    let w = World::new(configuration()).await;
    std::fs::write(w.dir.path().join("outbox"), "in the way").unwrap();
    w.raise(
        &w.incident("errors-per-application", Application, "wms-core"),
        AlertReason::Opened,
    )
    .await;
    let (mut retried, mut dead) = (0, 0);
    for _ in 0..25 {
        for _ in 0..4 {
            let r = w.after(Span::mins(15)).await;
            (retried, dead) = (retried + r.retried, dead + r.dead);
        }
    }
    assert_eq!(dead, 1);
    assert!((80..=110).contains(&retried), "{retried} attempts in a day");
    assert_eq!(w.failures.all().len(), 2);
}

#[tokio::test]
async fn news_of_failing_email_is_not_sent_by_email() {
    let w = World::new(configuration()).await;
    let mut i = w.incident("errors-per-application", Application, "andon");
    i.error_type = Some(Arc::from("andon.notifier.email"));
    w.raise(&i, AlertReason::Opened).await;
    assert_eq!(w.step().await.sent, 0);
    let d = &w.deliveries(&i).await[0];
    assert_eq!(d.state, DeliveryState::Suppressed);
    assert!(w.mails().is_empty());
    // What others say of themselves with such a type is news.
    let mut other = w.incident("errors-per-application", Application, "wms");
    other.error_type = Some(Arc::from("andon.notifier.email"));
    w.raise(&other, AlertReason::Opened).await;
    assert_eq!(w.step().await.sent, 1);
}

#[tokio::test]
async fn a_crash_before_sending_loses_nothing_and_one_after_it_sends_the_same_message_id() {
    let w = World::new(configuration()).await;
    let i = w.incident("errors-per-application", Application, "wms-core");
    w.raise(&i, AlertReason::Opened).await;
    w.step().await;
    let id = w.store.notices(1).await.unwrap()[0].id;
    let first = w.last_mail().header("Message-ID").to_owned();
    std::fs::remove_dir_all(w.dir.path().join("outbox")).unwrap();

    // A process that claims and dies, before or after the server has answered: only its claim is left.
    let other = w.incident("errors-per-application", Application, "erp");
    w.raise(&other, AlertReason::Opened).await;
    w.after(Span::mins(5)).await;
    let sent = w.store.notices(1).await.unwrap()[0].clone();
    assert_eq!(
        w.last_mail().header("Message-ID"),
        format!("<alert.{}@example.com>", sent.id)
    );
    assert_ne!(sent.id, id);
    assert_eq!(first, format!("<alert.{id}@example.com>"));

    let third = w.incident("errors-per-application", Application, "tms");
    w.raise(&third, AlertReason::Opened).await;
    std::fs::remove_dir_all(w.dir.path().join("outbox")).unwrap();
    std::fs::write(w.dir.path().join("outbox"), "in the way").unwrap();
    assert_eq!(w.after(Span::mins(5)).await.retried, 1);
    std::fs::remove_file(w.dir.path().join("outbox")).unwrap();
    let now = w.now().plus(Span::mins(1));
    w.clock.set(now);
    let waiting = w.store.notices(1).await.unwrap()[0].id;
    let claimed = w.store.claim(waiting, "crashed", now, Span::secs(90)).await.unwrap();
    assert_eq!(claimed.map(|n| n.attempts), Some(2));
    assert_eq!(w.step().await.sent, 0, "another one holds it");
    let other = w.another("other");
    assert_eq!(other.recover().await.unwrap(), 0, "it may live");
    // It was started again.
    let successor = w.another("crashed");
    assert_eq!(successor.recover().await.unwrap(), 1);
    assert_eq!(successor.step(now).await.unwrap().sent, 1);
    assert_eq!(
        w.last_mail().header("Message-ID"),
        format!("<alert.{waiting}@example.com>")
    );
    // The one that crashed comes back late: its note finds its claim gone and changes nothing.
    let late = Outcome::Retry {
        at: now,
        reason: "late".into(),
    };
    assert!(!w.store.finish(waiting, "crashed", &late, now).await.unwrap());
    assert_eq!(w.store.notice(waiting).await.unwrap().unwrap().state, NoticeState::Sent);
}

#[tokio::test]
async fn a_claim_runs_out_by_itself() {
    let w = World::new(configuration()).await;
    std::fs::write(w.dir.path().join("outbox"), "in the way").unwrap();
    w.raise(
        &w.incident("errors-per-application", Application, "wms-core"),
        AlertReason::Opened,
    )
    .await;
    w.step().await;
    std::fs::remove_file(w.dir.path().join("outbox")).unwrap();
    w.clock.advance(MINUTE);
    let id = w.store.notices(1).await.unwrap()[0].id;
    w.store
        .claim(id, "crashed", w.now(), Span::secs(90))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(w.after(Span::secs(89)).await.sent, 0);
    assert_eq!(w.after(Span::secs(1)).await.sent, 1);
}

#[tokio::test]
async fn two_notifiers_on_one_store_send_each_message_once() {
    let w = World::new(configuration()).await;
    let second = w.another("second");
    for n in 0..20 {
        w.raise(
            &w.incident("errors-per-application", Application, &format!("app-{n}")),
            AlertReason::Opened,
        )
        .await;
        w.clock.advance(Span::mins(5));
        let (a, b) = tokio::join!(w.notifier.step(w.now()), second.step(w.now()));
        assert_eq!(a.unwrap().sent + b.unwrap().sent, 1, "round {n}");
    }
    assert_eq!(w.mails().len(), 20);
    let counts = w.store.counts().await.unwrap();
    assert_eq!((counts.sent, counts.held + counts.waiting + counts.noticed), (20, 0));
}

#[tokio::test]
async fn the_running_notifier_sends_when_woken_and_stops_when_told() {
    let w = World::new(configuration()).await;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let notifier = w.notifier.clone();
    let running = tokio::spawn(async move {
        notifier
            .run(async {
                let _ = stopped.await;
            })
            .await
    });
    w.raise(
        &w.incident("errors-per-application", Application, "wms-core"),
        AlertReason::Opened,
    )
    .await;
    w.notifier.wake();
    let sent = tokio::time::timeout(std::time::Duration::from_secs(30), async {
        while w.store.counts().await.unwrap().sent == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    });
    sent.await.expect("the message goes out");
    stop.send(()).unwrap();
    tokio::time::timeout(std::time::Duration::from_secs(10), running)
        .await
        .expect("it stops")
        .unwrap();
    assert_eq!(w.mails().len(), 1);
}

#[tokio::test]
async fn an_alert_whose_incident_the_store_does_not_have_is_told_all_the_same() {
    let w = World::new(configuration()).await;
    let i = w.incident("errors-per-application", Application, "wms-core");
    let alert = w.alert(&i, AlertReason::Opened);
    w.apply(&[Effect::Alert(Box::new(alert))]).await;
    assert_eq!(w.step().await.sent, 1);
    assert!(w.last_mail().text.contains("database deadlock on PICK_TASK"));
}

#[tokio::test]
async fn what_is_finished_is_pruned_after_its_time_and_what_is_not_stays() {
    let mut c = configuration();
    c.mute_windows.push(mute_all("belt-change", Timestamp::MAX));
    let w = World::new(c).await;
    let muted = w.incident("errors-per-application", Application, "muted");
    w.raise(&muted, AlertReason::Opened).await;
    let safety = w.incident("safety-per-device", Device, "CNV-03");
    w.raise(&safety, AlertReason::Opened).await;
    assert_eq!(w.step().await.sent, 1);
    assert_eq!(
        w.store.prune_deliveries(w.now()).await.unwrap(),
        0,
        "not before their time"
    );
    assert_eq!(w.store.prune_deliveries(w.now().plus(Span::secs(1))).await.unwrap(), 1);
    assert!(w.deliveries(&safety).await.is_empty());
    assert_eq!(w.deliveries(&muted).await.len(), 1);
}

#[tokio::test]
async fn rows_that_cannot_be_read_keep_nobody_else_from_being_told() {
    let mut c = configuration();
    c.recipients.push(recipient("bernd", "de"));
    c.routes[0]
        .recipients
        .push(andon_engine::ids::RecipientId::new("bernd"));
    let w = World::new(c).await;
    let broken = w.incident("errors-per-application", Application, "broken");
    w.raise(&broken, AlertReason::Opened).await;
    let unreadable = w.incident("errors-per-application", Application, "unreadable");
    w.raise(&unreadable, AlertReason::Opened).await;
    w.raise(
        &w.incident("errors-per-application", Application, "fine"),
        AlertReason::Opened,
    )
    .await;
    let sql = async |text: String| {
        use andon_storage::relational::database::{Database, Transaction};
        let mut tx = w.store.database().begin().await.unwrap();
        assert_eq!(tx.execute(text.into(), vec![]).await.unwrap(), 1);
        tx.commit().await.unwrap();
    };
    sql(format!(
        "UPDATE incidents SET priority = 1, subject_kind = 'no kind' WHERE id = '{}'",
        broken.id
    ))
    .await;
    sql(format!(
        "UPDATE alerts SET reason = 'no reason' WHERE incident = '{}'",
        unreadable.id
    ))
    .await;
    assert_eq!(w.step().await.sent, 2, "Anna and Bernd");
    for mail in w.mails() {
        assert!(
            mail.text.contains("fine") && mail.text.contains("database deadlock"),
            "{}",
            mail.text
        );
    }
    // One person's row.
    let anna = w
        .deliveries(&broken)
        .await
        .into_iter()
        .find(|d| &*d.target.name == "anna")
        .unwrap();
    sql(format!(
        "UPDATE deliveries SET state = 'waiting', route = x'00' WHERE id = '{}'",
        anna.id
    ))
    .await;
    w.raise(
        &w.incident("errors-per-application", Application, "later"),
        AlertReason::Opened,
    )
    .await;
    assert_eq!(w.after(Span::mins(5)).await.sent, 1);
    assert_eq!(w.last_mail().header("To"), "bernd <bernd@example.com>");
}
