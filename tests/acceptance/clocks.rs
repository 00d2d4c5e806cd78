//! Records whose time is not now: buffers that come late, clocks that were never set.

use crate::world::World;
use andon_engine::time::Span;
use serde_json::{Value, json};

/// A burst of 20 minutes ago, delivered after the device's first live record.
#[tokio::test]
async fn a_burst_delivered_after_an_outage_is_one_incident_and_one_summary() {
    let world = World::start("").await;
    let error = |n: i64| {
        json!({
            "timestamp": world.at(Span::secs(n - 1_200)), "level": "ERROR", "application": "wms-core", "device_id": "AGV-7",
            "message": format!("no route to node {n}"),
        })
    };
    let live = json!({ "timestamp": world.at(Span::ZERO), "level": "INFO", "application": "wms-core", "device_id": "AGV-7", "message": "up" });
    world.send(live).await;
    world.send(Value::Array((0..7).map(error).collect())).await;
    // Held for the summary: it is due a minute from here.
    let incident = world
        .until_incident("errors-per-application", |i| {
            i["count"] == 7 && i["deliveries"][0]["state"] == "HELD"
        })
        .await;
    assert_eq!(
        (&incident["activity"], &incident["historical"]),
        (&json!("CLOSED"), &json!(true))
    );
    world.clock.advance(Span::secs(61));
    let mails = world.until_mails(1).await;
    assert!(mails[0].mentions("wms-core"), "{mails:#?}");
    world.clock.advance(Span::mins(20));
    world.pulse().await;
    assert_eq!(world.mails().len(), 1, "reported once");
}

/// A controller that lost its clock reports a fatal fault: it is one of now.
#[tokio::test]
async fn a_fatal_of_a_clock_that_was_never_set_is_sent_at_once() {
    for (device, stamp) in [("RTC-1", "1970-01-01T00:00:07Z"), ("RTC-2", "2000-01-01T03:00:00Z")] {
        let world = World::start("").await;
        world
            .send(json!({ "timestamp": stamp, "level": "FATAL", "device_id": device, "message": "axis 3 drive lost" }))
            .await;
        let mails = world.until_mails(1).await;
        assert_eq!(mails[0].kind, "alert", "no summary of history: {mails:#?}");
        assert!(mails[0].mentions("axis 3 drive lost"));
        let incident = world.until_incident("fatal-per-device", |_| true).await;
        assert_eq!(
            (&incident["activity"], &incident["historical"]),
            (&json!("ACTIVE"), &json!(false))
        );
    }
}

/// What was imported as history notifies nobody, also while the same device has an incident.
#[tokio::test]
async fn history_of_a_device_in_trouble_touches_nothing_of_the_present() {
    let world = World::start("").await;
    let fatal =
        |at: String| json!({ "timestamp": at, "level": "FATAL", "device_id": "CNV-03", "message": "belt torn" });
    world.send(fatal(world.at(Span::ZERO))).await;
    world.until_mails(1).await;
    let before = world.until_incident("fatal-per-device", |_| true).await;
    let old: Vec<Value> = (0..50).map(|h| fatal(world.at(Span::hours(-24 - h)))).collect();
    let answer = world
        .post(&[("andon-history", "true")], Value::Array(old).to_string().into_bytes())
        .await;
    assert_eq!(answer.counts(), (202, 50, 0));
    world.clock.advance(Span::mins(6));
    world.pulse().await;
    assert_eq!(world.mails().len(), 1);
    let after = world
        .incidents()
        .await
        .into_iter()
        .find(|i| i["id"] == before["id"])
        .expect("it is there");
    // Six minutes without another record, by the off-delay of its rule: nothing of the day before keeps it open.
    assert_eq!(
        (&after["count"], &after["activity"]),
        (&json!(1), &json!("RETURNED_TO_NORMAL"))
    );
    assert_eq!(before["activity"], "ACTIVE");
}
