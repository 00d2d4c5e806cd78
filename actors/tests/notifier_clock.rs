//! The clock of the machine is set back while something is held: nothing waits for its old future.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod notifier_world;

use andon_engine::effect::AlertReason;
use andon_engine::rule::MuteSchedule;
use andon_engine::subject::SubjectKind::Application;
use andon_engine::time::{Span, Timestamp};
use andon_storage::ports::deliveries::DeliveryState;
use notifier_world::{NIGHT, World, configuration, mute_all};
use std::sync::Arc;

const MINUTE: Span = Span::mins(1);
const BACK: Timestamp = NIGHT.minus(Span::hours(30));

async fn raise(w: &World, id: &str) -> andon_engine::incident::Incident {
    let i = w.incident("errors-per-application", Application, id);
    w.raise(&i, AlertReason::Opened).await;
    i
}

/// The files of the outbox sort by the clock, which went back.
fn says(w: &World, text: &str) -> bool {
    w.mails().iter().any(|m| m.text.contains(text))
}

#[tokio::test]
async fn what_the_throttle_holds_is_sent_five_minutes_later_by_the_new_clock() {
    let w = World::new(configuration()).await;
    raise(&w, "first").await;
    assert_eq!(w.step().await.sent, 1);
    raise(&w, "erp-bridge").await;
    w.after(MINUTE).await;
    w.clock.set(BACK);
    assert_eq!(w.step().await.sent, 0, "the promise holds by every clock");
    assert_eq!(w.after(Span::mins(4)).await.sent, 0);
    assert_eq!(w.after(MINUTE).await.sent, 1);
    assert!(says(&w, "Application erp-bridge"));
    // And after a restart, to which nobody says what the clock was.
    raise(&w, "third").await;
    w.after(MINUTE).await;
    w.clock.set(BACK.minus(Span::hours(30)));
    let successor = w.another("successor");
    successor.step(w.now()).await.unwrap();
    w.clock.advance(Span::mins(5));
    assert_eq!(successor.step(w.now()).await.unwrap().sent, 1);
}

#[tokio::test]
async fn what_waits_for_another_try_is_tried() {
    let w = World::new(configuration()).await;
    std::fs::write(w.dir.path().join("outbox"), "in the way").unwrap();
    raise(&w, "first").await;
    assert_eq!(w.step().await.retried, 1);
    std::fs::remove_file(w.dir.path().join("outbox")).unwrap();
    w.clock.set(BACK);
    assert_eq!(w.step().await.sent, 1);
}

#[tokio::test]
async fn a_mute_window_holds_by_its_schedule_and_the_new_clock() {
    let mut c = configuration();
    let mut window = mute_all("evening", NIGHT);
    window.schedule = MuteSchedule::Once {
        from: NIGHT.minus(Span::hours(1)),
        until: NIGHT.plus(Span::hours(1)),
    };
    c.mute_windows.push(window);
    let w = World::new(c).await;
    let i = raise(&w, "muted").await;
    assert_eq!(w.step().await.sent, 0);
    assert_eq!(w.deliveries(&i).await[0].state, DeliveryState::Muted);
    w.clock.set(BACK);
    assert_eq!(w.step().await.sent, 1, "by the new clock the window has not begun");
}

#[tokio::test]
async fn repeats_and_history_come_by_the_new_clock() {
    let w = World::new(configuration()).await;
    let mut i = raise(&w, "first").await;
    assert_eq!(w.step().await.sent, 1);
    for _ in 0..40 {
        w.repeats(&mut i, 1).await;
        w.after(MINUTE).await;
    }
    assert_eq!(
        w.mails().len(),
        3,
        "after 5 minutes and after 30: the next is 4 hours away"
    );
    w.repeats(&mut i, 7).await;
    w.clock.set(BACK);
    let mut sent = 0;
    for _ in 0..(4 * 60 + 10) {
        sent += w.after(MINUTE).await.sent;
    }
    assert_eq!(sent, 1, "within the 4 hours that its rule sets");
    let mut found = w.incident("errors-per-application", Application, "found late");
    found.historical = true;
    found.title = Arc::from("an old one");
    w.raise(&found, AlertReason::Opened).await;
    w.step().await;
    w.clock.set(BACK.minus(Span::hours(30)));
    for _ in 0..12 {
        w.after(MINUTE).await;
    }
    assert!(says(&w, "an old one"));
}
