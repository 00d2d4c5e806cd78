//! What one query may ask for.

use crate::common::{INCIDENT, Server};
use serde_json::json;

#[tokio::test]
async fn a_query_that_would_read_a_store_thousands_of_times_is_refused_before_the_first() {
    let s = Server::start().await;
    let many = |n: usize, field: &str| -> String {
        let fields: String = (0..n).map(|i| format!("a{i}: {field} ")).collect();
        format!("{{ {fields} }}")
    };
    let id = "0".repeat(32);
    let fragment = format!("query {{ ...F }} fragment F on Query {}", many(101, "recordCount"));
    assert_eq!(s.client.graphql_code(&[], &fragment).await, "TOO_COMPLEX");
    let answer = s
        .client
        .graphql_with(&[], &many(30_000, "recordCount"), json!({}))
        .await
        .json();
    let error = &answer["errors"][0];
    assert!(answer["data"].is_null(), "it was answered");
    assert_eq!(error["extensions"]["code"], "TOO_COMPLEX");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("100 reads") && message.contains("50000"), "{message}");
    for field in [
        "recordCount",
        &format!("record(id: \"{id}\") {{ id }}"),
        "records(first: 1) { nodes { id } }",
        "recentRecords(application: \"a\", first: 1) { id }",
        "incidents(first: 1) { nodes { id } }",
        &format!("incident(id: \"{INCIDENT}\") {{ id }}"),
        "devices(first: 1) { nodes { id } }",
        "applications(first: 1) { nodes { id } }",
        "rollups(device: \"d\", reading: \"r\", from: \"2026-01-01T00:00:00Z\", to: \"2026-01-01T00:00:00Z\") { min }",
        "quarantine(first: 1) { reason }",
        "status { version }",
    ] {
        assert_eq!(
            s.client.graphql_code(&[], &many(101, field)).await,
            "TOO_COMPLEX",
            "{field}"
        );
        assert!(s.client.graphql(&many(80, field)).await.is_object(), "{field}");
    }
    let nested = |first: i32| format!("{{ incidents(first: {first}) {{ nodes {{ records(first: 1) {{ id }} }} }} }}");
    assert!(s.client.graphql(&nested(80)).await.is_object());
    assert_eq!(s.client.graphql_code(&[], &nested(101)).await, "TOO_COMPLEX");
    let changes = |n: usize| {
        let fields: String = (0..n)
            .map(|i| format!("a{i}: comment(incidentId: \"{INCIDENT}\", text: \"x\") {{ applied }} "))
            .collect();
        format!("mutation {{ {fields} }}")
    };
    assert_eq!(s.client.graphql_code(&[], &changes(101)).await, "TOO_COMPLEX");
    assert!(s.plant.operations.lock().unwrap().is_empty(), "nothing of it was done");
    s.stop().await;
}
