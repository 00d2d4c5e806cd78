//! The overloaded cluster in front of a real one.

#![allow(clippy::unwrap_used)] // Helpers of tests: a fault here is a failed test.

use andon_load::faults::overload::{Answer, Overload};
use reqwest::Method;
use serde_json::{Value, json};

struct Cluster {
    client: reqwest::Client,
    url: String,
}

impl Cluster {
    async fn ask(&self, method: Method, path: &str, body: impl Into<reqwest::Body>) -> (u16, Value) {
        let request = self.client.request(method, format!("{}/{path}", self.url));
        let response = request
            .header("content-type", "application/json")
            .body(body)
            .send()
            .await
            .unwrap();
        (response.status().as_u16(), response.json().await.unwrap_or_default())
    }
}

fn bulk(ids: std::ops::Range<u32>) -> String {
    ids.map(|i| {
        format!(
            "{}\n{}\n",
            json!({ "index": { "_id": i.to_string() } }),
            json!({ "message": format!("no {i}"), "timestamp": i })
        )
    })
    .collect()
}

fn statuses(answer: &Value) -> Vec<u64> {
    answer["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| i["index"]["status"].as_u64().unwrap())
        .collect()
}

#[tokio::test]
async fn a_bulk_request_is_turned_away_as_a_whole_or_in_part_and_a_spoiled_document_is_refused_by_the_mapping_itself() {
    let Ok(real) = std::env::var("ANDON_TEST_ELASTICSEARCH_URL") else {
        panic!("ANDON_TEST_ELASTICSEARCH_URL is not set: run `make test`, or `deploy/test/servers.sh -- cargo test`");
    };
    let overload = Overload::start(&real).await.unwrap();
    let cluster = Cluster {
        client: andon_load::sender::http_client().unwrap(),
        url: format!("http://{}", overload.address()),
    };
    let index = format!("andon-load-test-{}", std::process::id());
    let mapping = json!({ "mappings": { "properties": { "timestamp": { "type": "long" } } } });
    let (status, said) = cluster.ask(Method::PUT, &index, mapping.to_string()).await;
    assert_eq!(status, 200, "{said}");
    let path = format!("{index}/_bulk?refresh=true");

    overload.set(Answer::Overloaded);
    let (status, said) = cluster.ask(Method::POST, &path, bulk(0..4)).await;
    assert_eq!(
        (status, &said["error"]["type"]),
        (429, &json!("es_rejected_execution_exception"))
    );

    overload.set(Answer::OverloadedItems { every: 3 });
    let (status, said) = cluster.ask(Method::POST, &path, bulk(0..5)).await;
    assert_eq!((status, &said["errors"]), (200, &json!(true)));
    assert_eq!(statuses(&said), [429, 201, 201, 429, 201]);
    let ids: Vec<&str> = said["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| i["index"]["_id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["0", "1", "2", "3", "4"]);

    overload.set(Answer::Spoil { marker: "no 7".into() });
    let (_, said) = cluster.ask(Method::POST, &path, bulk(6..9)).await;
    assert_eq!(statuses(&said), [201, 400, 201]);
    let kind = said["items"][1]["index"]["error"]["type"].as_str().unwrap();
    assert!(kind.contains("pars"), "{said}");

    overload.set(Answer::Pass);
    let (_, said) = cluster.ask(Method::GET, &format!("{index}/_count"), "").await;
    assert_eq!(said["count"], 5);
    assert_eq!((overload.turned_away(), overload.spoiled()), (3, 1));
    assert_eq!(cluster.ask(Method::DELETE, &index, "").await.0, 200);
}
