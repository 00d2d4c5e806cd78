//! Rules that look at readings, and at time in which nothing comes.

use crate::world::World;
use andon_engine::time::Span;
use serde_json::{Value, json};

fn temperature(device: &str, value: f64) -> Value {
    json!({ "device_id": device, "readings": { "temperature": value } })
}

#[tokio::test]
async fn a_silent_device_is_one_incident_that_ends_when_it_speaks() {
    let world = World::start(
        "[[rules]]\nid = \"quiet\"\nsubject = \"device\"\npriority = \"P2\"\ndevices = [\"scale-1\"]\nsilence = { after = \"2m\" }\n\
         [[devices]]\nid = \"scale-1\"",
    )
    .await;
    world.send(temperature("scale-1", 20.0)).await;
    world.clock.advance(Span::secs(119));
    world.pulse().await;
    assert!(world.incidents().await.is_empty(), "not yet");
    world.clock.advance(Span::secs(1));
    let incident = world.until_incident("quiet", |i| i["activity"] == "ACTIVE").await;
    assert_eq!(incident["subject"]["id"], "scale-1");
    assert!(world.until_mails(1).await[0].mentions("scale-1"));
    world.clock.advance(Span::secs(60));
    world.pulse().await;

    world.send(temperature("scale-1", 20.0)).await;
    world
        .until_incident("quiet", |i| i["activity"] == "RETURNED_TO_NORMAL")
        .await;
    world.pulse().await;
    assert_eq!(world.incidents().await.len(), 1);
    assert_eq!(world.mails().len(), 1, "once for the whole silence");
}

#[tokio::test]
async fn a_silent_gateway_is_one_incident_that_counts_what_is_behind_it() {
    let behind = ["scale-1", "scale-2", "scale-3"];
    let mut config =
        "[[rules]]\nid = \"quiet\"\nsubject = \"device\"\npriority = \"P2\"\nsilence = { after = \"2m\" }\n[[devices]]\nid = \"gw-1\"\n".to_owned();
    for id in behind {
        config.push_str(&format!("[[devices]]\nid = \"{id}\"\ngateway = \"gw-1\"\n"));
    }
    let world = World::start(&config).await;
    let all = || {
        behind
            .iter()
            .chain(["gw-1"].iter())
            .map(|d| temperature(d, 20.0))
            .collect::<Vec<_>>()
    };
    world.send(Value::Array(all())).await;
    world.clock.advance(Span::mins(3));
    let incident = world.until_incident("quiet", |_| true).await;
    assert_eq!(incident["subject"]["id"], "gw-1");
    let title = incident["title"].as_str().unwrap_or_default();
    assert!(title.contains("3 devices behind it are unknown"), "{title}");
    assert!(world.until_mails(1).await[0].mentions("3 devices behind it are unknown"));
    world.clock.advance(Span::mins(1));
    world.pulse().await;
    assert_eq!(world.incidents().await.len(), 1, "none for the devices behind it");

    world.send(Value::Array(all())).await;
    world
        .until_incident("quiet", |i| i["activity"] == "RETURNED_TO_NORMAL")
        .await;
    world.pulse().await;
    assert_eq!((world.incidents().await.len(), world.mails().len()), (1, 1));
}

#[tokio::test]
async fn a_reading_beyond_its_limit_is_an_incident_until_it_is_back_by_the_deadband() {
    let world = World::start(
        "[[rules]]\nid = \"hot\"\nsubject = \"device\"\npriority = \"P2\"\noff_delay = \"1m\"\n\
         limit = { reading = \"temperature\", above = 90.0, deadband = 2.0, unit = \"°C\" }",
    )
    .await;
    world.send(temperature("press-1", 90.0)).await;
    world.pulse().await;
    assert!(world.incidents().await.is_empty(), "at the limit is not beyond it");
    for value in [91.5, 94.25, 93.0] {
        world.clock.advance(Span::secs(1));
        world.send(temperature("press-1", value)).await;
    }
    world.until_incident("hot", |i| i["peak"] == json!(94.25)).await;
    assert!(world.until_mails(1).await[0].mentions("press-1"));

    // Below the limit, but not by the deadband: still the same fault.
    world.send(temperature("press-1", 89.0)).await;
    world.clock.advance(Span::mins(2));
    world.pulse().await;
    world.until_incident("hot", |i| i["activity"] == "ACTIVE").await;

    world.send(temperature("press-1", 87.5)).await;
    world.clock.advance(Span::mins(2));
    // No further reading: the off-delay ends by its timer.
    world
        .until_incident("hot", |i| i["activity"] == "RETURNED_TO_NORMAL")
        .await;
    world.pulse().await;
    assert_eq!((world.incidents().await.len(), world.mails().len()), (1, 1));
}

#[tokio::test]
async fn an_on_delay_ends_by_its_timer_when_no_further_reading_comes() {
    let world = World::start(
        "[[rules]]\nid = \"hot\"\nsubject = \"device\"\npriority = \"P2\"\n\
         limit = { reading = \"temperature\", above = 90.0, on_delay = \"30s\" }",
    )
    .await;
    world
        .send(json!([temperature("press-1", 95.0), temperature("press-2", 95.0)]))
        .await;
    world.clock.advance(Span::secs(20));
    world.send(temperature("press-2", 80.0)).await;
    world.clock.advance(Span::secs(9));
    world.pulse().await;
    assert!(world.incidents().await.is_empty(), "29 s");
    world.clock.advance(Span::secs(1));
    world.until_incident("hot", |i| i["subject"]["id"] == "press-1").await;
    world.until_mails(1).await;
    world.pulse().await;
    assert_eq!(world.incidents().await.len(), 1, "the other was back in time");
}
