//! Each status of the contract, and each kind of bad input: its answer, what was kept, and that nothing else was disturbed.

use crate::harness::*;
use andon_engine::record::Flags;
use andon_gateway::IntakeError;
use serde_json::json;
use std::io::Write;
use std::sync::Arc;

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut e = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    e.write_all(data).unwrap();
    e.finish().unwrap()
}

fn zstd(data: &[u8]) -> Vec<u8> {
    zstd::encode_all(data, 3).unwrap()
}

#[tokio::test]
async fn an_object_an_array_and_lines_are_accepted() {
    let server = start().await;
    for (headers, body, accepted) in [
        ("", GOOD.to_string(), 1),
        ("", format!("[{GOOD},{GOOD}]"), 2),
        (
            "Content-Type: application/x-ndjson\r\n",
            format!("{GOOD}\r\n\r\n{GOOD}\n{GOOD}"),
            3,
        ),
        ("Content-Type: application/json; charset=utf-8\r\n", GOOD.to_string(), 1),
        ("", "[]".to_string(), 0),
    ] {
        let answer = server.post_with(headers, &body).await;
        assert_eq!(
            (answer.status, answer.body),
            (
                202,
                format!("{{\"accepted\":{accepted},\"duplicates\":0,\"rejected\":[]}}")
            ),
            "{body}"
        );
    }
    let entries = server.journal.entries();
    assert_eq!(
        entries.iter().map(|e| e.records.len()).collect::<Vec<_>>(),
        [1, 2, 3, 1]
    );
    assert!(
        entries
            .iter()
            .all(|e| &*e.key_id == "k-good" && !e.history && e.rejected.is_empty())
    );
}

#[tokio::test]
async fn a_body_without_a_content_type_is_read_as_json() {
    let server = start().await;
    let bytes = format!(
        "POST /v1/records HTTP/1.1\r\nHost: x\r\nAuthorization: bearer  good\r\nContent-Length: {}\r\n\r\n{GOOD}",
        GOOD.len()
    );
    assert_eq!(server.raw(bytes).await.status, 202);
}

#[tokio::test]
async fn gzip_zstd_and_chunks_are_taken() {
    let server = start().await;
    let body = format!("[{}]", vec![GOOD; 5_000].join(","));
    for (headers, bytes) in [
        ("Content-Encoding: gzip\r\n", gzip(body.as_bytes())),
        ("Content-Encoding: zstd\r\n", zstd(body.as_bytes())),
        ("Transfer-Encoding: chunked\r\n", chunked(body.as_bytes(), 1_000)),
        (
            "Content-Encoding: zstd\r\nTransfer-Encoding: chunked\r\n",
            chunked(&zstd(body.as_bytes()), 7),
        ),
        ("Content-Encoding: identity\r\n", body.clone().into_bytes()),
    ] {
        let answer = server.post_with(headers, bytes).await;
        assert_eq!(
            (answer.status, &answer.json()["accepted"]),
            (202, &json!(5_000)),
            "{headers}"
        );
    }
}

#[tokio::test]
async fn refused_records_are_named_and_kept_beside_the_accepted() {
    let server = start().await;
    let answer = server
        .post(format!(r#"[{GOOD},{{"device_id":"d","readings":{{"t":"x"}}}},{GOOD}]"#))
        .await;
    assert_eq!(answer.status, 202);
    assert_eq!(
        answer.json(),
        json!({"accepted": 2, "duplicates": 0, "rejected": [
            {"index": 1, "field": "readings.t", "reason": "must be a finite number, not a string: leave it out when there is none"}]})
    );
    let entry = &server.journal.entries()[0];
    assert_eq!(
        (entry.records.len(), entry.rejected[0].excerpt.as_str()),
        (2, r#"{"device_id":"d","readings":{"t":"x"}}"#)
    );

    let many = format!("{}{GOOD}", "{}\n".repeat(150));
    let answer = server.post_with("Content-Type: application/x-ndjson\r\n", many).await;
    assert_eq!(
        (answer.status, answer.json()["rejected"].as_array().unwrap().len()),
        (202, 100)
    );
    assert_eq!(server.journal.entries()[1].rejected.len(), 150);
}

#[tokio::test]
async fn nothing_acceptable_is_400_and_kept_for_whoever_mends_the_sender() {
    let server = start().await;
    let answer = server.post(r#"{"message":"m"}"#).await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "nothing_acceptable"));
    assert!(
        answer
            .message()
            .contains("record 0, application: neither application nor device_id"),
        "{answer:?}"
    );
    assert_eq!(answer.json()["rejected"][0]["index"], 0);

    let answer = server.post("[{\"device_id\":\"d\",\n\"message\":None}]").await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "malformed"));
    assert!(
        answer.message().contains("byte 29, line 2: expected value"),
        "{answer:?}"
    );

    let entries = server.journal.entries();
    assert_eq!(
        entries
            .iter()
            .map(|e| (e.records.len(), e.rejected.len()))
            .collect::<Vec<_>>(),
        [(0, 1), (0, 1)]
    );
    assert!(entries[1].rejected[0].excerpt.contains("None"));
    server.is_undisturbed().await;
}

#[tokio::test]
async fn bad_input_gets_its_status_and_disturbs_nothing() {
    let server = start().await;
    let nested = |n: usize| {
        format!(
            r#"{{"device_id":"d","message":"m","x":{}{}}}"#,
            "[".repeat(n),
            "]".repeat(n)
        )
    };
    for (what, body, code, part) in [
        ("empty", String::new(), "empty", "the body is empty"),
        ("blank", " \r\n".into(), "empty", "the body is empty"),
        (
            "text",
            "hello".into(),
            "malformed",
            "byte 0, line 1: expected `{` or `[`",
        ),
        ("cut off", r#"[{"device_id":"d"#.into(), "malformed", "byte"),
        (
            "wrong type",
            r#"{"device_id":"d","message":5}"#.into(),
            "nothing_acceptable",
            "message: must be a string, not a number",
        ),
        (
            "NaN",
            r#"{"device_id":"d","readings":{"t":NaN}}"#.into(),
            "malformed",
            "byte 33, line 1",
        ),
        (
            "overflow",
            r#"{"device_id":"d","readings":{"t":1e999}}"#.into(),
            "nothing_acceptable",
            "beyond the range",
        ),
        ("deep", nested(1_500), "nothing_acceptable", "nests deeper"),
        (
            "very deep",
            nested(500_000),
            "nothing_acceptable",
            "more than the 262144 allowed",
        ),
        ("deep and open", "[".repeat(1_000_000), "malformed", "closing bracket"),
        (
            "10 MB line",
            format!(r#"{{"device_id":"d","message":"{}"}}"#, "x".repeat(10 << 20)),
            "nothing_acceptable",
            "allowed",
        ),
    ] {
        let answer = server.post(&body).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, code),
            "{what}: {}",
            answer.message()
        );
        assert!(answer.message().contains(part), "{what}: {}", answer.message());
    }
    assert!(server.journal.messages().is_empty());
    server.is_undisturbed().await;
}

#[tokio::test]
async fn bad_lines_do_not_spoil_their_batch() {
    let server = start().await;
    let long = format!(r#"{{"device_id":"d","message":"{}"}}"#, "x".repeat(5 << 20));
    let body = [
        GOOD.as_bytes(),
        b"{\"device_id\":\"d\",\"message\":",
        long.as_bytes(),
        b"{\"device_id\":\"d\",\"message\":\"K\xfchler\"}",
        b"{\"device_id\":\"d\",\"message\":\"m\",\"x\":-1e400}",
        GOOD.as_bytes(),
    ]
    .join(&b'\n');
    let answer = server.post_with("Content-Type: application/x-ndjson\r\n", body).await;
    assert_eq!((answer.status, &answer.json()["accepted"]), (202, &json!(3)));
    let rejected: Vec<_> = answer.json()["rejected"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["index"].as_u64().unwrap())
        .collect();
    assert_eq!(rejected, [1, 2, 4]);
    let entry = &server.journal.entries()[0];
    assert_eq!(entry.records[1].0, "K\u{fc}hler");
    assert!(entry.records[1].1.contains(Flags::LATIN1) && !entry.records[0].1.contains(Flags::LATIN1));
    assert!(entry.rejected.iter().all(|r| r.excerpt.len() <= 4_096));
}

#[tokio::test]
async fn keys_are_asked_for_known_and_allowed() {
    let server = start().await;
    for (headers, status, code) in [
        ("Authorization: Basic Z29vZA==\r\n", 401, "no_key"),
        ("Authorization: Bearer \r\n", 401, "no_key"),
        (
            "Authorization: Bearer good\r\nAuthorization: Bearer good\r\n",
            401,
            "no_key",
        ),
        ("Authorization: Bearer wrong\r\n", 401, "wrong_key"),
        ("Authorization: Bearer reader\r\n", 403, "scope"),
        ("Authorization: Bearer wms\r\n", 403, "not_allowed"),
    ] {
        let answer = server.post_with(headers, GOOD).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{headers}");
        assert_eq!(answer.headers.contains_key("www-authenticate"), status == 401);
    }
    let none = format!(
        "POST /v1/records HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{GOOD}",
        GOOD.len()
    );
    assert_eq!(server.raw(none).await.code(), "no_key");

    let own = r#"{"application":"wms","message":"m"}"#;
    let answer = server
        .post_with("Authorization: Bearer wms\r\n", format!("[{own},{GOOD}]"))
        .await;
    assert_eq!(answer.status, 403);
    assert!(
        answer
            .message()
            .contains("record 1, which names device \"d\" without an application"),
        "{answer:?}"
    );
    assert!(server.journal.entries().is_empty(), "nothing of it is taken");
    assert_eq!(server.post_with("Authorization: Bearer wms\r\n", own).await.status, 202);
}

#[tokio::test]
async fn unknown_types_and_encodings_are_415() {
    let server = start().await;
    for (headers, code) in [
        ("Content-Type: text/xml\r\n", "content_type"),
        ("Content-Type: text/plain\r\n", "content_type"),
        ("Content-Type: application/x-www-form-urlencoded\r\n", "content_type"),
        ("Content-Type: application/json; charset=utf-16\r\n", "content_type"),
        ("Content-Encoding: br\r\n", "content_encoding"),
        ("Content-Encoding: gzip, zstd\r\n", "content_encoding"),
        (
            "Content-Encoding: gzip\r\nContent-Encoding: zstd\r\n",
            "content_encoding",
        ),
    ] {
        let answer = server.post_with(headers, GOOD).await;
        assert_eq!((answer.status, answer.code().as_str()), (415, code), "{headers}");
    }
    assert!(server.journal.entries().is_empty());
}

#[tokio::test]
async fn odd_headers_of_ours_are_400() {
    let server = start().await;
    for headers in [
        "Andon-History: yes\r\n",
        "Idempotency-Key: a b\r\n",
        "Idempotency-Key: \r\n",
        "Idempotency-Key: a\r\nIdempotency-Key: b\r\n",
    ] {
        assert_eq!(server.post_with(headers, GOOD).await.status, 400, "{headers}");
    }
    assert_eq!(
        server
            .post_with(&format!("Idempotency-Key: {}\r\n", "x".repeat(129)), GOOD)
            .await
            .status,
        400
    );
}

#[tokio::test]
async fn too_large_is_413_however_it_is_packed() {
    let config = andon_gateway::Config {
        body_bytes_max: 100_000,
        ..config()
    };
    let server = start_with(config, |g| g).await;
    let large = vec![b' '; 100_001];
    let zeros = vec![0u8; 200 << 20];
    let bombs = [("gzip", gzip(&zeros)), ("zstd", zstd(&zeros))];
    let twice = gzip(&gzip(&zeros[..10 << 20]));
    drop(zeros);
    for (headers, body) in [
        ("", large.clone()),
        ("Transfer-Encoding: chunked\r\n", chunked(&large, 4_096)),
    ] {
        let answer = server.post_with(headers, body).await;
        assert_eq!((answer.status, answer.code().as_str()), (413, "too_large"), "{headers}");
    }
    for (encoding, bomb) in bombs {
        for (headers, body) in [
            ("", bomb.clone()),
            ("Transfer-Encoding: chunked\r\n", chunked(&bomb, 50_000)),
        ] {
            let answer = server
                .post_with(&format!("{headers}Content-Encoding: {encoding}\r\n"), body)
                .await;
            assert_eq!(answer.status, 413, "{encoding} {headers}");
        }
    }
    // A bomb within a bomb is, once unpacked, no JSON.
    assert_eq!(server.post_with("Content-Encoding: gzip\r\n", twice).await.status, 400);
    assert_eq!(
        server.post_with("Content-Encoding: gzip\r\n", "no gzip").await.code(),
        "bad_encoding"
    );
    server.is_undisturbed().await;
}

#[tokio::test]
async fn a_length_beyond_the_limit_is_refused_before_a_byte_is_read() {
    let server = start().await;
    for length in ["99999999999", "16777217"] {
        let head = format!(
            "POST /v1/records HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\nContent-Length: {length}\r\n\r\n"
        );
        let answer = server.raw(head).await;
        assert_eq!((answer.status, answer.headers["connection"].as_str()), (413, "close"));
    }
    // One who asks first is told so instead of being asked for the body.
    let answer = server
        .post_with("Expect: 100-continue\r\nContent-Length: 99999999999\r\n", "")
        .await;
    assert_eq!(answer.status, 413);
    let mut polite = server.connect().await;
    polite
        .send(request(
            &format!("Expect: 100-continue\r\nContent-Length: {}\r\n", GOOD.len()),
            b"",
        ))
        .await;
    assert_eq!(polite.answer().await.unwrap().status, 100);
    polite.send(GOOD).await;
    assert_eq!(polite.answer().await.unwrap().status, 202);
}

#[tokio::test]
async fn over_its_rate_a_key_is_told_when_to_come_again() {
    let server = start().await;
    let batch = format!("[{}]", [GOOD; 10].join(","));
    let slow = "Authorization: Bearer slow\r\n";
    assert_eq!(server.post_with(slow, &batch).await.status, 202);
    let answer = server.post_with(slow, &batch).await;
    assert_eq!((answer.status, answer.code().as_str()), (429, "rate"));
    let after: u64 = answer.headers["retry-after"].parse().unwrap();
    assert!((1..=5).contains(&after), "{after}");
    assert_eq!(
        server.journal.messages().len(),
        10,
        "nothing of the refused request was taken"
    );
    assert_eq!(server.post(&batch).await.status, 202, "another key is not held back");
}

#[tokio::test]
async fn a_journal_that_cannot_take_it_is_503_and_says_whether_it_may_have() {
    let server = start().await;
    for (error, code, part) in [
        (IntakeError::Full, "journal_full", "nothing of the request was taken"),
        (IntakeError::Failed, "journal_failed", "may have been taken"),
        (IntakeError::Stopping, "stopping", "nothing of the request was taken"),
    ] {
        server.journal.set(Mode::Fail(error));
        let answer = server.post(GOOD).await;
        assert_eq!(
            (
                answer.status,
                answer.code().as_str(),
                answer.headers["retry-after"].as_str()
            ),
            (503, code, "1")
        );
        assert!(answer.message().contains(part), "{answer:?}");
    }
    server.journal.set(Mode::Fail(IntakeError::TooLarge));
    assert_eq!(server.post(GOOD).await.status, 413);
    server.journal.set(Mode::Take);
    server.is_undisturbed().await;
}

#[tokio::test]
async fn without_room_in_flight_a_request_is_turned_away() {
    let config = andon_gateway::Config {
        in_flight_bytes: 1_000,
        ..config()
    };
    let server = start_with(config, |g| g).await;
    server.journal.set(Mode::Hold);
    let mut first = server.connect().await;
    // The batch of 15 records fills most of the thousand bytes, and is held.
    first
        .send(request("", format!("[{}]", vec![GOOD; 15].join(",")).as_bytes()))
        .await;
    server.journal.begun(1).await;
    let answer = server.post(format!("[{}]", vec![GOOD; 20].join(","))).await;
    assert_eq!(
        (
            answer.status,
            answer.code().as_str(),
            answer.headers["retry-after"].as_str()
        ),
        (503, "busy", "1")
    );
    server.journal.set(Mode::Take);
    assert_eq!(first.answer().await.unwrap().status, 202);
    // All of it is free again.
    let answer = server
        .post_with("Transfer-Encoding: chunked\r\n", chunked(GOOD.as_bytes(), 5))
        .await;
    assert_eq!(answer.status, 202);
}

#[tokio::test]
async fn other_paths_and_methods() {
    let server = start_with(config(), |g| g.with_metrics(Arc::new(|| "andon_up 1\n".into()))).await;
    assert_eq!(server.get("/").await.status, 404);
    assert_eq!(server.get("/v1/records/").await.code(), "not_found");
    let answer = server.get("/v1/records").await;
    assert_eq!((answer.status, answer.headers["allow"].as_str()), (405, "POST"));
    assert_eq!(
        server
            .raw("DELETE /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .status,
        405
    );
    assert_eq!(server.get("/health/live").await.body, r#"{"status":"live"}"#);
    assert_eq!(server.get("/health/ready").await.status, 200);
    assert_eq!(server.get("/metrics").await.body, "andon_up 1\n");
    assert_eq!(start().await.get("/metrics").await.status, 404);

    let server = start_with(config(), |g| {
        g.with_ready(Arc::new(|| Err("replaying the journal".into())))
    })
    .await;
    let answer = server.get("/health/ready").await;
    assert_eq!(
        (answer.status, answer.message().as_str()),
        (503, "replaying the journal")
    );
    let server = start_with(config(), |g| {
        g.with_ready(Arc::new(|| Ok(Some("nobody \"listens\"".into()))))
    })
    .await;
    let answer = server.get("/health/ready").await;
    let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(
        body,
        serde_json::json!({"status": "ready", "warning": "nobody \"listens\""})
    );
}

#[tokio::test]
async fn history_is_marked_on_the_entry_and_each_record() {
    let server = start().await;
    assert_eq!(server.post_with("Andon-History: True\r\n", GOOD).await.status, 202);
    assert_eq!(server.post_with("Andon-History: false\r\n", GOOD).await.status, 202);
    let entries = server.journal.entries();
    assert!(entries[0].history && entries[0].records[0].1.contains(Flags::HISTORY));
    assert!(!entries[1].history && !entries[1].records[0].1.contains(Flags::HISTORY));
}
