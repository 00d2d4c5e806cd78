//! Export and tail over a real socket and the real embedded index.

use crate::common::{JOURNAL, NOW, Server, batch, record};
use andon_engine::ids::RecordId;
use andon_engine::level::Level;
use andon_engine::record::{Flags, Record};
use andon_engine::time::Timestamp;
use andon_storage::ports::StoreError;
use andon_storage::ports::log_index::{LogFilter, LogIndex, Order};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::sync::Arc;

/// 10,500 records in 21 entries, not in the order of their times.
async fn store_many(s: &Server) -> HashSet<String> {
    let mut ids = HashSet::new();
    for seq in 1..=21u64 {
        let messages: Vec<String> = (0..500).map(|n| format!("m {seq} {n} \u{2028}\"\r\n,;é=")).collect();
        let records: Vec<Record<'_>> = messages
            .iter()
            .enumerate()
            .map(|(n, m)| {
                // Stamps repeat within and across entries, so that the identity has to order them.
                let at = i64::try_from((seq * 7_919 + n as u64 * 31) % 1_000).unwrap();
                ids.insert(RecordId::new(JOURNAL, seq, u32::try_from(n).unwrap()).to_string());
                record(at, if n % 2 == 0 { "CNV-03" } else { "CNV-04" }, m)
            })
            .collect();
        s.store(seq, &records).await;
    }
    ids
}

#[tokio::test]
async fn every_record_is_exported_once_oldest_first_without_a_cap() {
    let s = Server::start().await;
    let ids = store_many(&s).await;
    let all = s.client.get("/export.ndjson").await;
    assert_eq!((all.status, all.header("content-type")), (200, "application/x-ndjson"));
    let lines = all.lines();
    assert_eq!(lines.len(), ids.len());
    let seen: HashSet<String> = lines
        .iter()
        .map(|l| l["record_id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(seen, ids);
    let key = |l: &Value| {
        (
            l["timestamp"].as_str().unwrap().to_owned(),
            l["record_id"].as_str().unwrap().to_owned(),
        )
    };
    assert!(lines.is_sorted_by_key(key));
    let half = s.client.get("/export.ndjson?device_id=CNV-03").await.lines();
    assert_eq!(half.len(), ids.len() / 2);
    assert!(half.iter().all(|l| l["device_id"] == "CNV-03"));

    let csv = s.client.get("/export.csv?separator=%3B&bom=1").await;
    assert!(csv.header("content-type").starts_with("text/csv"));
    assert!(csv.text().starts_with("\u{FEFF}record_id;timestamp;"));
    let mut reader = csv::ReaderBuilder::new().delimiter(b';').from_reader(&csv.body[3..]);
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), ids.len());
    for (row, line) in rows.iter().zip(&lines) {
        assert_eq!(&row[0], line["record_id"].as_str().unwrap());
        assert_eq!(&row[4], line["message"].as_str().unwrap());
    }
    s.stop().await;
}

#[tokio::test]
async fn hostile_values_survive_and_run_nowhere() {
    let s = Server::start().await;
    let message = "=HYPERLINK(\"http://evil\")\r\n\"x\"";
    let r = Record {
        level: Some(Level::Fatal),
        message: Some(message),
        kind: Some("equipment.drive"),
        application: Some("@wms"),
        user_id: Some("-u"),
        source: Some("+s"),
        readings: vec![("temp\"erature", -81.5)],
        fields: "{\"a\":\n\"=1\"}",
        id: Some("\t1"),
        flags: Flags::CLOCK_SKEW,
        ..record(0, "'; DROP TABLE records; --", "")
    };
    s.store(1, &[r]).await;
    let line = s.client.get("/export.ndjson").await.lines().remove(0);
    assert_eq!(
        line,
        json!({
            "record_id": RecordId::new(JOURNAL, 1, 0).to_string(), "timestamp": "2026-11-23T02:31:13.000000Z",
            "received_at": "2026-11-23T02:31:13.000005Z", "level": "FATAL", "message": message, "type": "equipment.drive",
            "application": "@wms", "device_id": "'; DROP TABLE records; --", "user_id": "-u", "source": "+s",
            "readings": {"temp\"erature": -81.5}, "fields": {"a": "=1"}, "id": "\t1", "fingerprint": "00000000000000fe",
            "flags": ["clock_skew"],
        })
    );
    let csv = s.client.get("/export.csv").await;
    let mut reader = csv::Reader::from_reader(&csv.body[..]);
    let row = reader.records().next().unwrap().unwrap();
    assert_eq!(&row[4], format!("'{message}"));
    assert_eq!((&row[6], &row[8], &row[9], &row[12]), ("'@wms", "'-u", "'+s", "'\t1"));
    let fields: serde_json::Value = serde_json::from_str(&row[11]).unwrap();
    assert_eq!(fields, json!({"a": "=1"}));
    let raw = s.client.get("/export.csv?guard=0").await;
    let row = csv::Reader::from_reader(&raw.body[..])
        .records()
        .next()
        .unwrap()
        .unwrap();
    assert_eq!(&row[4], message);
    // The same values as filters.
    let by = "/export.ndjson?device_id=%27%3B%20DROP%20TABLE%20records%3B%20--&type=equipment&min_level=ERROR&text=HYPERLINK";
    assert_eq!(s.client.get(by).await.lines().len(), 1);
    s.stop().await;
}

#[tokio::test]
async fn an_empty_search_is_an_empty_export_and_an_unknown_parameter_is_named() {
    let s = Server::start().await;
    let empty = s.client.get("/export.ndjson?device_id=none").await;
    assert_eq!((empty.status, empty.body.len()), (200, 0));
    assert_eq!(
        s.client.get("/export.csv?device_id=none").await.text().lines().count(),
        1
    );
    for (path, names) in [
        ("/export.ndjson?device=x", "device"),
        ("/export.ndjson?bom=1", "bom"),
        ("/export.csv?from=now", "from"),
        ("/export.csv?level=ERROR&level=WARN", "level"),
        ("/tail.ndjson?from=2026-01-01T00:00:00Z", "from"),
        ("/export.ndjson?fingerprint=zz", "fingerprint"),
    ] {
        let answer = s.client.get(path).await;
        assert_eq!(answer.status, 400, "{path}");
        let error = answer.json()["error"].clone();
        assert_eq!(error["code"], "BAD_INPUT");
        assert!(error["message"].as_str().unwrap().contains(names), "{error}");
    }
    s.stop().await;
}

#[tokio::test]
async fn records_that_come_while_an_export_runs_do_not_keep_it_going() {
    let s = Server::start().await;
    store_many(&s).await;
    let response = s.client.open("GET", "/export.ndjson", &[], String::new()).await;
    let mut body = response.into_body();
    let mut bytes = body.frame().await.unwrap().unwrap().into_data().unwrap().to_vec();
    s.store(22, &[record(5_000, "CNV-03", "came later")]).await;
    while let Some(frame) = body.frame().await {
        bytes.extend_from_slice(&frame.unwrap().into_data().unwrap());
    }
    let text = String::from_utf8(bytes).unwrap();
    assert_eq!(text.lines().count(), 10_500);
    assert!(!text.contains("came later"));
    s.stop().await;
}

#[tokio::test]
async fn a_tail_shows_what_matches_as_it_comes_and_ends_with_the_server() {
    let s = Server::start().await;
    s.store(1, &[record(0, "CNV-03", "before")]).await;
    let response = s
        .client
        .open(
            "GET",
            "/tail.ndjson?device_id=CNV-03&min_level=WARN",
            &[],
            String::new(),
        )
        .await;
    assert_eq!(response.status(), 200);
    let mut body = response.into_body();
    let quiet = Record {
        level: Some(Level::Info),
        ..record(2, "CNV-03", "quiet")
    };
    s.live.publish_records(Arc::new(batch(
        2,
        &[quiet, record(1, "CNV-04", "other"), record(3, "CNV-03", "torn\nbelt")],
    )));
    let piece = body.frame().await.unwrap().unwrap().into_data().unwrap();
    let line: Value = serde_json::from_slice(&piece).unwrap();
    assert_eq!(line["message"], "torn\nbelt");
    assert_eq!(piece.iter().filter(|b| **b == b'\n').count(), 1);
    s.stop().await;
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn a_tail_that_is_too_slow_is_told_how_much_it_missed() {
    let s = Server::start().await;
    let response = s.client.open("GET", "/tail.ndjson", &[], String::new()).await;
    let mut body = response.into_body();
    // Not read: far more than sockets and the feed hold.
    let text = "x".repeat(8_000);
    let records: Vec<Record<'_>> = (0..100).map(|n| record(n, "CNV-03", &text)).collect();
    for seq in 1..=100 {
        s.live.publish_records(Arc::new(batch(seq, &records)));
        tokio::task::yield_now().await;
    }
    let (mut got, mut dropped, mut rest) = (0, 0, Vec::new());
    while got + dropped < 10_000 {
        rest.extend_from_slice(&body.frame().await.unwrap().unwrap().into_data().unwrap());
        while let Some(end) = rest.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            if line.len() == 1 {
                continue;
            }
            let v: Value = serde_json::from_slice(&line).unwrap();
            match v.get("dropped") {
                Some(n) => dropped += n.as_u64().unwrap(),
                None => got += 1,
            }
        }
    }
    assert!(dropped > 0, "80 MB were held for a reader that read nothing");
    assert_eq!(got + dropped, 10_000);
    s.stop().await;
}

/// What passes the live filter is what the index finds, for the same words.
#[tokio::test]
async fn tail_and_search_mean_the_same_by_text() {
    let s = Server::start().await;
    let messages = [
        "Belt torn at CNV-03",
        "belt of CNV 03",
        "CNV-0 3 belt",
        "Überlast: Gürtel",
        "torn",
        "x_y",
        "ΣΊΣΥΦΟΣ",
        "传送带堵塞在三号站 🔥",
        "U\u{308}berlast, STRASSE",
        "\u{1b}[31mchain \u{1b}[1msnapped\u{1b}[0m",
    ];
    let records: Vec<Record<'_>> = messages
        .iter()
        .enumerate()
        .map(|(n, m)| record(i64::try_from(n).unwrap(), "d", m))
        .collect();
    s.store(1, &records).await;
    for text in [
        "belt",
        "BELT torn",
        "\"belt torn\"",
        "cnv-03",
        "\"cnv 03",
        "überlast",
        "x_y",
        "y",
        "tor",
        "-",
        "σίσυφος",
        "belt \"at cnv\"",
        "堵塞",
        "🔥",
        "straße",
        "\"chain snapped\"",
    ] {
        let encoded: String = text.bytes().map(|b| format!("%{b:02X}")).collect();
        let filter = LogFilter {
            text: Some(text.into()),
            ..LogFilter::default()
        };
        let plain = |m: &str| andon_engine::text::plain(m).into_owned();
        let want: Vec<String> = match s.index.search(&filter, Order::OldestFirst, None, 100).await {
            Ok(found) => found.iter().map(|r| plain(r.record().message.unwrap())).collect(),
            // Signs without a word: the index says so, and live records are those that hold them.
            Err(StoreError::Refused { .. }) => messages.iter().filter(|m| m.contains(text)).map(|m| plain(m)).collect(),
            Err(e) => panic!("{e}"),
        };
        assert!(!want.is_empty() || text == "tor", "{text}");
        let mut tail = s
            .client
            .open("GET", &format!("/tail.ndjson?text={encoded}"), &[], String::new())
            .await
            .into_body();
        // The last record matches every text, and so marks the end.
        let mut all = records.clone();
        let end = format!("end {}", text.replace('"', " "));
        all.push(Record {
            timestamp: Timestamp(NOW.0 + 99),
            ..record(99, "end", &end)
        });
        s.live.publish_records(Arc::new(batch(2, &all)));
        let piece = tail.frame().await.unwrap().unwrap().into_data().unwrap();
        let got: Vec<String> = std::str::from_utf8(&piece)
            .unwrap()
            .lines()
            .map(|l| serde_json::from_str::<Value>(l).unwrap())
            .filter(|l| l["device_id"] == "d")
            .map(|l| l["message"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(got, want, "{text}");
    }
    s.stop().await;
}
