//! Who is told, how often, and what is kept of what was not.

use crate::world::{Form, LEAD, World, in_every_form, until, with_a_notifier_apart};
use andon_engine::time::Span;
use serde_json::{Value, json};

fn error(at: String, n: usize) -> Value {
    json!({
        "timestamp": at, "level": "ERROR", "application": "wms-core", "type": "software.db.timeout",
        "message": format!("pick {n} timed out after 3000 ms"),
    })
}

/// Five errors within a minute of the world's clock, which is then at the fifth.
async fn five_errors(world: &World) {
    for n in 0..5 {
        world.send(error(world.at(Span::ZERO), n)).await;
        if n < 4 {
            world.clock.advance(Span::secs(12));
        }
    }
}

async fn five_errors_are_one_e_mail_and_500_more_one_digest(form: Form) {
    let world = World::start_in(form, "").await;
    five_errors(&world).await;
    let mails = world.until_mails(1).await;
    assert_eq!((mails[0].kind.as_str(), mails[0].to.as_str()), ("alert", LEAD));
    assert!(mails[0].mentions("wms-core") && mails[0].mentions("software.db.timeout"));
    assert!(mails[0].gives_number(5));

    // 500 more in four minutes: 8 bodies, half a minute apart.
    let mut sent = 0;
    for step in 1..=8 {
        world.clock.advance(Span::secs(30));
        let until = 500 * step / 8;
        let body: Vec<Value> = (sent..until)
            .map(|n| error(world.at(Span::millis(n as i64 - 1_000)), n))
            .collect();
        world.send(Value::Array(body)).await;
        sent = until;
    }
    assert_eq!(sent, 500);
    world.pulse().await;
    assert_eq!(world.mails().len(), 1, "nothing more within the five minutes");
    let incident = world
        .until_incident("errors-per-application", |i| i["count"] == 505)
        .await;
    assert_eq!(incident["deliveries"].as_array().map(Vec::len), Some(1));

    world.clock.advance(Span::secs(61));
    world.pulse().await;
    let mails = world.until_mails(2).await;
    let digest = mails.iter().find(|m| m.is_digest()).expect("a digest");
    assert!(digest.gives_number(500) && digest.gives_number(505), "{digest:#?}");

    for _ in 0..3 {
        world.clock.advance(Span::mins(6));
        world.pulse().await;
    }
    assert_eq!(world.mails().len(), 2, "nothing has happened since");
    assert_eq!(world.incidents().await.len(), 1);
}

async fn a_mute_window_holds_what_is_not_safety_and_says_so(form: Form) {
    let window = format!(
        "[[mute_windows]]\nid = \"inventory\"\nreason = \"stock-taking\"\nrecipients = [\"{LEAD}\"]\n\
         from = \"2026-11-23T00:00:00Z\"\nuntil = \"2026-11-23T12:00:00Z\""
    );
    let world = World::start_in(form, &window).await;
    five_errors(&world).await;
    world.clock.advance(Span::mins(6));
    world.pulse().await;
    assert!(world.mails().is_empty(), "muted");
    let incident = world.until_incident("errors-per-application", |_| true).await;
    let held = &incident["deliveries"][0];
    assert_eq!((&held["to"], &held["state"]), (&json!(LEAD), &json!("MUTED")));
    let reason = held["reason"].as_str().unwrap_or_default();
    assert!(
        reason.contains("inventory") || reason.contains("stock-taking"),
        "{held}"
    );

    let safety =
        json!({ "level": "WARN", "device_id": "press-1", "type": "SF.estop", "message": "emergency stop pressed" });
    world.send(safety).await;
    let mails = world.until_mails(1).await;
    assert!(mails[0].mentions("press-1") && mails[0].mentions("emergency stop"));
    world.pulse().await;
    assert_eq!(world.mails().len(), 1);
}

async fn one_fatal_of_a_device_without_an_application_is_one_e_mail(form: Form) {
    let world = World::start_in(form, "").await;
    world
        .send(json!({ "level": "FATAL", "device_id": "agv-7", "message": "drive controller lost" }))
        .await;
    let mails = world.until_mails(1).await;
    assert!(mails[0].mentions("agv-7") && mails[0].mentions("drive controller lost"));
    world.pulse().await;
    world.clock.advance(Span::mins(6));
    world.pulse().await;
    assert_eq!(world.mails().len(), 1);
    let incidents = world.incidents().await;
    assert_eq!(incidents.len(), 1);
    assert_eq!(incidents[0]["ruleId"], "fatal-per-device");
}

async fn the_link_of_an_e_mail_acknowledges_as_its_recipient(form: Form) {
    let world = World::start_in(form, "").await;
    world
        .send(json!({ "level": "FATAL", "device_id": "agv-7", "message": "drive controller lost" }))
        .await;
    world.until_mails(1).await;
    // One e-mail in five minutes, of a P1 too; the first has not returned to normal by then.
    world.clock.advance(Span::mins(5));
    world
        .send(json!({ "level": "FATAL", "application": "erp", "message": "out of memory" }))
        .await;
    let mails = world.until_mails(2).await;
    let mail = mails.iter().find(|m| m.mentions("agv-7")).expect("the device's");
    let other = world.until_incident("fatal-per-application", |_| true).await;
    let (id, token) = link(&mail.text);
    let own = world.until_incident("fatal-per-device", |_| true).await;
    assert_eq!(own["id"], id);

    const ACKNOWLEDGE: &str =
        "mutation($id: ID!) { acknowledge(incidentId: $id) { applied incident { acknowledged { by } } } }";
    let refused = world
        .ask_with_link(&token, ACKNOWLEDGE, json!({ "id": other["id"] }))
        .await;
    assert_ne!(refused["errors"], Value::Null, "another incident than the link's");
    let mut forged = token.clone();
    forged.replace_range(0..1, if forged.starts_with('A') { "B" } else { "A" });
    let refused = world.ask_with_link(&forged, ACKNOWLEDGE, json!({ "id": id })).await;
    assert_ne!(refused["errors"], Value::Null, "a token that was changed");
    assert_eq!(
        world.until_incident("fatal-per-device", |_| true).await["acknowledged"],
        Value::Null
    );

    let done = world.ask_with_link(&token, ACKNOWLEDGE, json!({ "id": id })).await;
    assert_eq!(done["errors"], Value::Null, "{done}");
    let own = world
        .until_incident("fatal-per-device", |i| i["acknowledged"] != Value::Null)
        .await;
    assert_eq!(own["acknowledged"]["by"], LEAD);
    assert_eq!(own["state"], "ACTIVE_ACKNOWLEDGED");
    assert_eq!(
        world.until_incident("fatal-per-application", |_| true).await["acknowledged"],
        Value::Null
    );

    world.clock.advance(Span::hours(13));
    let late = world.ask_with_link(&token, ACKNOWLEDGE, json!({ "id": id })).await;
    assert_eq!(late["errors"][0]["extensions"]["code"], "LINK_EXPIRED", "{late}");
}

/// Incident and token of the first link.
fn link(text: &str) -> (String, String) {
    let (_, rest) = text.split_once("/incidents/").expect("a link");
    let (id, rest) = rest.split_once("?token=").expect("a token");
    let token = rest
        .split(|c: char| c.is_whitespace() || matches!(c, '"' | '<' | '>' | ')'))
        .next();
    (id.to_owned(), token.expect("a text").to_owned())
}

async fn what_cannot_be_delivered_is_a_record_of_andon_itself(form: Form) {
    let config = "[[rules]]\nid = \"jam\"\nsubject = \"application\"\npriority = \"P2\"\nroute = \"desk\"\napplications = [\"sorter\"]\n\
         count = { n = 1, within = \"60s\" }\n\
         [[routes]]\nid = \"desk\"\nrecipients = []\n[[routes.channels]]\nkind = \"webhook\"\nname = \"pager\"\nurl = \"http://127.0.0.1:1/\"\n";
    let world = World::start_in(form, config).await;
    world
        .send(json!({ "application": "sorter", "level": "ERROR", "message": "jam" }))
        .await;
    let said = world.until_records("andon", 1).await;
    assert!(said.iter().any(|m| m.contains("by webhook not sent")), "{said:?}");
}

async fn a_notifier_says_how_it_is(form: Form) {
    let world = World::start_in(form, "").await;
    let get = async |path: &str| {
        let answer = world.http.get(format!("{}{path}", world.notifier_url())).send().await;
        let answer = answer.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("a text"))
    };
    assert_eq!(get("/health/live").await.0, 200);
    until("it is ready", async || {
        (get("/health/ready").await.0 == 200).then_some(())
    })
    .await;
    assert_eq!(get("/metrics").await.0, 200);
    assert_eq!(get("/graphql").await.0, 404);
}

in_every_form!(
    five_errors_are_one_e_mail_and_500_more_one_digest,
    a_mute_window_holds_what_is_not_safety_and_says_so,
    one_fatal_of_a_device_without_an_application_is_one_e_mail,
    the_link_of_an_e_mail_acknowledges_as_its_recipient,
    what_cannot_be_delivered_is_a_record_of_andon_itself,
);
with_a_notifier_apart!(
    five_errors_are_one_e_mail_and_500_more_one_digest,
    a_mute_window_holds_what_is_not_safety_and_says_so,
    one_fatal_of_a_device_without_an_application_is_one_e_mail,
    the_link_of_an_e_mail_acknowledges_as_its_recipient,
    what_cannot_be_delivered_is_a_record_of_andon_itself,
    a_notifier_says_how_it_is,
);
