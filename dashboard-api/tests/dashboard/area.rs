//! The records of an area: those of every device that the configuration puts there, and of no other.

use crate::common::{Server, batch, incident, plant_configuration, record};
use andon_engine::effect::Effect;
use andon_engine::ids::IncidentId;
use andon_engine::incident::Incident;
use andon_engine::record::Record;
use andon_engine::rule::{Configuration, Device};
use andon_engine::subject::{Subject, SubjectKind};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::sync::Arc;

/// `pick` has one device more than in the plant's configuration.
fn wider() -> Arc<Configuration> {
    let mut configuration = plant_configuration();
    configuration.version += 1;
    configuration.devices.push(Device {
        id: "CNV-05".into(),
        area: Some("pick".into()),
        ..Device::default()
    });
    Arc::new(configuration)
}

fn records() -> [Record<'static>; 4] {
    let no_device = Record {
        device_id: None,
        application: Some("pick"),
        ..record(3, "", "of no device")
    };
    [
        record(0, "CNV-03", "third"),
        record(1, "CNV-04", "elsewhere"),
        record(2, "CNV-05", "fifth"),
        no_device,
    ]
}

fn said(nodes: &Value) -> Vec<&str> {
    nodes
        .as_array()
        .unwrap()
        .iter()
        .map(|n| n["message"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn an_area_is_all_its_devices_in_searches_counts_and_exports() {
    let s = Server::start().await;
    s.store(1, &records()).await;
    let ask = "{ records(filter: {area: \"pick\"}, order: OLDEST_FIRST) { nodes { message } } \
               n: recordCount(filter: {area: \"pick\"}) none: recordCount(filter: {area: \"nowhere\"}) }";
    let found = s.client.graphql(ask).await;
    assert_eq!(said(&found["records"]["nodes"]), ["third"]);
    s.configuration.send_replace(wider());
    let found = s.client.graphql(ask).await;
    assert_eq!(said(&found["records"]["nodes"]), ["third", "fifth"]);
    assert_eq!((&found["n"], &found["none"]), (&json!(2), &json!(0)));
    for path in ["/export.ndjson?area=pick", "/export.csv?area=pick"] {
        let all = s.client.get(path).await;
        let text = all.text();
        assert!(text.contains("third") && text.contains("fifth"), "{text}");
        assert!(!text.contains("elsewhere") && !text.contains("of no device"), "{text}");
    }
    let long = format!("/export.csv?area={}", "x".repeat(200));
    let refused = s.client.get(&long).await;
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("area"), "{}", refused.text());
    s.stop().await;
}

#[tokio::test]
async fn an_incident_of_an_area_has_the_records_of_all_its_devices() {
    let s = Server::start().await;
    s.configuration.send_replace(wider());
    s.store(1, &records()).await;
    let of_area = Incident {
        subject: Subject::new(SubjectKind::Area, "pick"),
        ..incident(IncidentId(9), 0)
    };
    let id = of_area.id;
    s.plant.apply(vec![Effect::Incident(Box::new(of_area))]).await;
    let found = s
        .client
        .graphql(&format!("{{ incident(id: \"{id}\") {{ records {{ message }} }} }}"))
        .await;
    assert_eq!(said(&found["incident"]["records"]), ["fifth", "third"]);
    s.stop().await;
}

#[tokio::test]
async fn a_tail_of_an_area_follows_the_configuration() {
    let s = Server::start().await;
    let response = s.client.open("GET", "/tail.ndjson?area=pick", &[], String::new()).await;
    let mut body = response.into_body();
    let mut next = async || -> Value {
        let piece = body.frame().await.unwrap().unwrap().into_data().unwrap();
        serde_json::from_slice(&piece).unwrap()
    };
    s.live.publish_records(Arc::new(batch(1, &records())));
    assert_eq!(next().await["message"], "third");
    s.configuration.send_replace(wider());
    s.live.publish_records(Arc::new(batch(2, &records()[2..])));
    assert_eq!(next().await["message"], "fifth");
    s.stop().await;
}
