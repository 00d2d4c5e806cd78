//! The metrics that the gateway must emit, by their names.

use crate::harness::*;
use andon_gateway::Notes;
use metrics_exporter_prometheus::PrometheusBuilder;
use std::sync::{Arc, Mutex};

#[derive(Default)]
struct Noted(Mutex<Vec<String>>);

impl Notes for Noted {
    fn unknown_level(&self, key_id: &str, word: &str) {
        self.0.lock().unwrap().push(format!("{key_id}: {word}"));
    }
}

#[tokio::test]
async fn each_metric_is_there_once_its_cause_was() {
    // One recorder for the process: other tests count into it too, so only presence is asserted.
    let recorder = PrometheusBuilder::new().install_recorder().unwrap();
    let noted = Arc::new(Noted::default());
    let notes = noted.clone();
    let server = start_with(config(), |g| {
        g.with_metrics(Arc::new(move || recorder.render())).with_notes(notes)
    })
    .await;
    let body = r#"[{"device_id":"d","message":"m","id":"i"},{"device_id":"d","message":"m","id":"i"},{"message":"x"},
        {"device_id":"d","message":"m","level":"loud","readings":{"t":"N"}}]"#;
    assert_eq!(server.post(body).await.status, 202);
    assert_eq!(
        server
            .post_with("Content-Type: application/x-ndjson\r\n", GOOD)
            .await
            .status,
        202
    );
    assert_eq!(*noted.0.lock().unwrap(), ["k-good: loud"]);
    let page = server.get("/metrics").await.body;
    for part in [
        "andon_records_accepted_total{format=\"json\"}",
        "andon_records_accepted_total{format=\"ndjson\"}",
        "andon_records_rejected_total ",
        "andon_records_duplicate_total ",
        "andon_records_level_unknown_total{key=\"k-good\"}",
        "andon_readings_left_out_total ",
        "andon_http_requests_total{status=\"202\"}",
        "andon_http_request_seconds",
        "andon_ingest_in_flight_bytes ",
        "andon_ingest_connections ",
        "andon_retry_window_seconds ",
    ] {
        assert!(page.contains(part), "{part} is missing from\n{page}");
    }
}
