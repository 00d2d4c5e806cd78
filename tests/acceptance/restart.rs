//! What a restart keeps, and what it takes over.

use crate::world::{Form, World, in_every_form, until};
use andon_engine::time::Span;
use serde_json::{Value, json};

fn error(id: &str) -> Value {
    json!({ "id": id, "level": "ERROR", "application": "wms-core", "message": "stock is locked" })
}

async fn incidents_retries_and_what_was_told_outlive_a_restart(form: Form) {
    let mut world = World::start_in(form, "").await;
    world.send(json!([error("a"), error("b"), error("c")])).await;
    let keyed = json!([error("d"), error("e")]).to_string().into_bytes();
    let headers = [("idempotency-key", "shift-1")];
    let first = world.post(&headers, keyed.clone()).await;
    assert_eq!(first.counts(), (202, 2, 0));
    world.until_mails(1).await;
    world.pulse().await;
    let before = world
        .until_incident("errors-per-application", |i| i["count"] == 5)
        .await;

    world.start_again("").await;
    assert_eq!(world.until_incident("errors-per-application", |_| true).await, before);
    world.clock.advance(Span::mins(1));
    let again = world
        .post(&[], json!([error("a"), error("f")]).to_string().into_bytes())
        .await;
    assert_eq!(again.counts(), (202, 1, 1), "an id of before the restart");
    let again = world.post(&headers, keyed).await;
    assert_eq!(again.body, first.body, "the answer of before the restart");
    world.pulse().await;
    assert_eq!(
        world.until_records("wms-core", 6).await.len(),
        6,
        "nothing is stored twice"
    );
    let after = world
        .until_incident("errors-per-application", |i| i["count"] == 6)
        .await;
    assert_eq!(after["id"], before["id"]);
    assert_eq!(world.incidents().await.len(), 1);
    assert_eq!(world.mails().len(), 1, "nobody is told twice");

    // What is held over a restart is told at its time.
    world.clock.advance(Span::mins(5));
    world.pulse().await;
    let mails = world.until_mails(2).await;
    assert!(mails.iter().any(|m| m.is_digest() && m.gives_number(6)), "{mails:#?}");
}

async fn a_changed_configuration_takes_effect_and_an_unchanged_one_is_not_journaled(form: Form) {
    let mut world = World::start_in(form, "").await;
    let door = json!({ "device_id": "cell-4", "type": "door.open", "message": "door open" });
    world.send(door.clone()).await;
    world.pulse().await;
    let head = world.last_seq();

    world.start_again("").await;
    assert_eq!(world.last_seq(), head, "the same configuration again");
    assert!(world.incidents().await.is_empty());

    let rule = "[[rules]]\nid = \"doors\"\nsubject = \"device\"\npriority = \"P3\"\ntype = \"door\"\ncount = { n = 1, within = \"60s\" }";
    world.start_again(rule).await;
    assert_eq!(world.last_seq(), head + 1, "the configuration, once");
    world.send(door.clone()).await;
    world.until_incident("doors", |i| i["subject"]["id"] == "cell-4").await;
    world.until_mails(1).await;

    world.start_again("").await;
    world.clock.advance(Span::hours(1));
    world.send(door).await;
    world.pulse().await;
    let count = |i: &Value| i["count"].as_u64();
    assert_eq!(
        world.incidents().await.iter().map(count).collect::<Vec<_>>(),
        [Some(1)],
        "the rule is gone"
    );
}

#[tokio::test]
async fn a_store_that_is_new_to_an_old_site_shows_what_was_and_tells_nobody_again() {
    let mut world = World::start("").await;
    world
        .send(json!({ "device_id": "agv-1", "level": "FATAL", "message": "drive lost" }))
        .await;
    world.until_mails(1).await;
    let before = world.until_incident("fatal-per-device", |_| true).await;
    world.clock.advance(Span::mins(30));
    world.lose_relational_store().await;

    world.start_again("").await;
    let after = world.until_incident("fatal-per-device", |_| true).await;
    assert_eq!((&after["id"], &after["count"]), (&before["id"], &before["count"]));
    // Alerts are told in their order: when the next one is, an older one that is not is not going to be.
    world
        .send(json!({ "device_id": "agv-2", "level": "FATAL", "message": "drive lost" }))
        .await;
    let mails = until("the next alert is told", || async {
        let mails = world.mails();
        mails.iter().any(|m| m.mentions("agv-2")).then_some(mails)
    })
    .await;
    assert_eq!(mails.iter().filter(|m| m.mentions("agv-1")).count(), 1, "{mails:#?}");
}

in_every_form!(
    incidents_retries_and_what_was_told_outlive_a_restart,
    a_changed_configuration_takes_effect_and_an_unchanged_one_is_not_journaled,
);
