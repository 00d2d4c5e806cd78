//! What loggers, PLCs and sensors send at the edges of the format, over real HTTP.

use crate::harness::*;
use andon_engine::level::Level;
use serde_json::{Value, json};

const NDJSON: &str = "Content-Type: application/x-ndjson\r\n";

/// Posts lines that must all be accepted; the level of each.
async fn levels(lines: &str) -> Vec<Option<Level>> {
    let server = start().await;
    let answer = server.post_with(NDJSON, lines).await;
    assert_eq!(
        (answer.status, answer.json()),
        (
            202,
            json!({"accepted": lines.lines().count(), "duplicates": 0, "rejected": []})
        )
    );
    server.journal.entries()[0].batch().iter().map(|r| r.level).collect()
}

#[tokio::test]
async fn numbers_of_pino_are_no_false_alarms_and_lose_none() {
    let lines: Vec<_> = (1..=6)
        .map(|n| {
            format!(
                r#"{{"level":{0}0,"time":1795401059000,"pid":7,"hostname":"h","msg":"n{0}0"}}"#,
                n
            )
        })
        .collect();
    assert_eq!(levels(&lines.join("\n")).await, Level::ALL.map(Some));
}

#[tokio::test]
async fn no_record_is_lost_for_its_level() {
    let words = [
        "I", "W", "E", "F", "D", "Fault", "Alarm", "ERROR:", "SUCCESS", "STÖRUNG", "Warnung", "Meldung", "Wibble",
    ];
    let lines: Vec<_> = words
        .map(|w| json!({"application": "a", "level": w, "message": "m"}).to_string())
        .into();
    use Level::{Debug, Error, Fatal, Info, Warn};
    let want = [
        Info, Warn, Error, Fatal, Debug, Error, Error, Error, Info, Error, Warn, Info, Warn,
    ];
    assert_eq!(levels(&lines.join("\n")).await, want.map(Some));
}

#[tokio::test]
async fn errors_of_python_are_errors() {
    let line = r#"{"application":"a","asctime":"2026-01-15 10:30:00,123","levelname":"ERROR","name":"plc.driver","message":"read timeout"}"#;
    assert_eq!(levels(&[line; 5].join("\n")).await, [Some(Level::Error); 5]);
}

#[tokio::test]
async fn a_sensor_that_failed_to_read_takes_no_others_with_it() {
    let reading = |i: usize| {
        let t = if i == 25 { "NaN".to_string() } else { i.to_string() };
        format!(r#"{{"device_id":"d","message":"r{i}","readings":{{"t":{t}}}}}"#)
    };
    let records: Vec<_> = (0..50).map(reading).collect();
    for (headers, body) in [("", format!("[{}]", records.join(","))), (NDJSON, records.join("\n"))] {
        let server = start().await;
        let answer = server.post_with(headers, body).await;
        let rejected = json!([{"index": 25, "field": "readings.t",
            "reason": "is NaN, which JSON does not have: send null, or leave it out"}]);
        assert_eq!(
            (answer.status, answer.json()),
            (202, json!({"accepted": 49, "duplicates": 0, "rejected": rejected}))
        );
        let entry = &server.journal.entries()[0];
        assert_eq!(
            (entry.records.len(), entry.rejected[0].excerpt.as_str()),
            (49, records[25].as_str())
        );
    }
}

#[tokio::test]
async fn a_channel_that_is_no_number_is_named_and_left_out() {
    let server = start().await;
    let body = [
        r#"{"device_id":"d","message":"text","readings":{"t":"23.4","p":1.2}}"#,
        r#"{"device_id":"d","message":"bool","readings":{"door":true,"p":1.2}}"#,
        r#"{"device_id":"d","message":"absent","readings":{"t":null,"p":1.2}}"#,
    ];
    let answer = server.post_with(NDJSON, body.join("\n")).await;
    let left_out = json!([{"index": 1, "field": "readings.door",
        "reason": "must be a finite number, not a boolean: leave it out when there is none"}]);
    assert_eq!(
        (answer.status, answer.json()),
        (
            202,
            json!({"accepted": 3, "duplicates": 0, "rejected": [], "left_out": left_out})
        )
    );
    let entry = &server.journal.entries()[0];
    let readings: Vec<_> = entry.batch().iter().map(|r| format!("{:?}", r.readings)).collect();
    assert_eq!(
        readings,
        [r#"[("t", 23.4), ("p", 1.2)]"#, r#"[("p", 1.2)]"#, r#"[("p", 1.2)]"#]
    );
    let kept: Value = serde_json::from_str(entry.batch().get(1).fields).unwrap();
    assert_eq!(kept, json!({"door": true}));

    let many: Vec<_> = (0..150).map(|_| body[1]).collect();
    let answer = server.post_with(NDJSON, many.join("\n")).await;
    assert_eq!(answer.json()["left_out"].as_array().unwrap().len(), 100);
}
