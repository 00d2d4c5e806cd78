//! How HTTP clients of log shippers wrap a body: each of these is the same three records, and is answered the same.

use crate::harness::*;
use std::io::Write;

const LINES: &str = "{\"device_id\":\"d\",\"message\":\"1\"}\n{\"device_id\":\"d\",\"message\":\"2\"}\n{\"device_id\":\"d\",\"message\":\"3\"}\n";

fn gzip(data: impl AsRef<[u8]>) -> Vec<u8> {
    let mut e = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    e.write_all(data.as_ref()).unwrap();
    e.finish().unwrap()
}

#[tokio::test]
async fn line_ends_marks_and_compression_of_every_kind_are_taken() {
    let server = start().await;
    let ndjson = "Content-Type: application/x-ndjson\r\n";
    let array = format!("[{}]", LINES.trim_end().replace('\n', ","));
    let parts = [&LINES[..10], &LINES[10..]].map(gzip).concat();
    for (what, headers, body) in [
        ("lines", ndjson.to_string(), LINES.into()),
        ("no last line end", ndjson.into(), LINES.trim_end().into()),
        ("blank lines behind", ndjson.into(), format!("{LINES}\r\n\n").into()),
        ("Windows", ndjson.into(), LINES.replace('\n', "\r\n").into()),
        (
            "a mark before",
            ndjson.into(),
            format!("\u{feff}{}", LINES.replace('\n', "\r\n")).into(),
        ),
        ("lines said to be JSON", String::new(), LINES.into()),
        ("no line ends", String::new(), LINES.replace('\n', "").into()),
        ("an array and a line end", String::new(), format!("{array}\r\n").into()),
        ("an array said to be lines", ndjson.into(), array.clone().into()),
        (
            "charset",
            "Content-Type: Application/JSON;Charset=UTF-8\r\n".into(),
            array.clone().into(),
        ),
        ("jsonl", "Content-Type: application/jsonl\r\n".into(), LINES.into()),
        ("gzip", format!("{ndjson}Content-Encoding: gzip\r\n"), gzip(LINES)),
        ("GZIP", format!("{ndjson}Content-Encoding: GZIP\r\n"), gzip(LINES)),
        (
            "gzip in two members",
            format!("{ndjson}Content-Encoding: x-gzip\r\n"),
            parts,
        ),
        (
            "gzip in chunks",
            format!("{ndjson}Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n"),
            chunked(&gzip(LINES), 5),
        ),
        (
            "chunks of single bytes",
            format!("{ndjson}Transfer-Encoding: chunked\r\n"),
            chunked(LINES.as_bytes(), 1),
        ),
    ] {
        let answer = server.post_with(&headers, body).await;
        assert_eq!(
            (answer.status, answer.json()["accepted"].as_u64()),
            (202, Some(3)),
            "{what}: {answer:?}"
        );
        let entry = server.journal.entries().pop().unwrap();
        assert_eq!(
            entry.records.iter().map(|(m, _)| m.as_str()).collect::<Vec<_>>(),
            ["1", "2", "3"],
            "{what}"
        );
    }
}

#[tokio::test]
async fn one_connection_carries_all_of_them() {
    let server = start().await;
    let mut client = server.connect().await;
    for i in 0..50 {
        let (headers, body) = match i % 3 {
            0 => ("", LINES.as_bytes().to_vec()),
            1 => ("Content-Encoding: gzip\r\n", gzip(LINES)),
            _ => ("Transfer-Encoding: chunked\r\n", chunked(LINES.as_bytes(), 40)),
        };
        client.send(request(headers, &body)).await;
        let answer = client.answer().await.expect("the connection stays");
        assert_eq!((answer.status, answer.headers.get("connection")), (202, None));
    }
    assert_eq!(server.journal.messages().len(), 150);
}

#[tokio::test]
async fn http_1_0_is_kept_alive_when_it_asks_and_closed_when_it_does_not() {
    let server = start().await;
    let old = |headers: &str| {
        let bytes = request(headers, LINES.as_bytes());
        String::from_utf8(bytes)
            .unwrap()
            .replace("HTTP/1.1\r\nHost: x\r\n", "HTTP/1.0\r\n")
    };
    let mut client = server.connect().await;
    for _ in 0..3 {
        client.send(old("Connection: keep-alive\r\n")).await;
        let answer = client.answer().await.unwrap();
        assert_eq!(
            (answer.status, answer.headers["connection"].as_str()),
            (202, "keep-alive")
        );
    }
    client.send(old("")).await;
    assert_eq!(client.answer().await.unwrap().status, 202);
    client.is_closed().await;
    assert_eq!(server.journal.messages().len(), 12);
    // Without a length a body of HTTP/1.0 would end with the connection: it is none.
    let headless = old("").replace(&format!("Content-Length: {}\r\n", LINES.len()), "");
    assert_eq!(server.raw(headless).await.status, 400);
}

#[tokio::test]
async fn one_that_asks_first_is_told_to_go_on_or_why_not() {
    let server = start().await;
    let body = gzip(LINES);
    let head = |more: &str| {
        let headers = format!(
            "{more}Expect: 100-continue\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n",
            body.len()
        );
        request(&headers, b"")
    };
    let mut client = server.connect().await;
    for _ in 0..2 {
        client.send(head("")).await;
        assert_eq!(client.answer().await.unwrap().status, 100);
        client.send(&body).await;
        assert_eq!(client.answer().await.unwrap().json()["accepted"], 3);
    }
    // Refused before the body: the client keeps it, and the connection ends so that neither waits for the other.
    client.send(head("Authorization: Bearer wrong\r\n")).await;
    let refused = client.answer().await.unwrap();
    assert_eq!((refused.status, refused.headers["connection"].as_str()), (401, "close"));
    client.is_closed().await;
    // A retry of a keyed request that asks first gets the first one's answer.
    let keyed = "Idempotency-Key: k1\r\n";
    let first = server
        .post_with(&format!("{keyed}Content-Encoding: gzip\r\n"), &body)
        .await;
    let mut again = server.connect().await;
    again.send(head(keyed)).await;
    let mut answer = again.answer().await.unwrap();
    if answer.status == 100 {
        again.send(&body).await;
        answer = again.answer().await.unwrap();
    }
    assert_eq!(answer.body, first.body);
    assert_eq!(server.journal.messages().len(), 9);
}

#[tokio::test]
async fn a_proxy_s_request_line_and_a_query_are_understood() {
    let server = start().await;
    for target in ["http://andon.example:7400/v1/records", "/v1/records?source=fluent-bit"] {
        let bytes = String::from_utf8(request("", LINES.as_bytes())).unwrap();
        let answer = server
            .raw(bytes.replace("POST /v1/records ", &format!("POST {target} ")))
            .await;
        assert_eq!(answer.status, 202, "{target}");
    }
    // An address that ends with a slash, put before the path: the answer says where records go.
    let bytes = String::from_utf8(request("", LINES.as_bytes())).unwrap();
    let answer = server
        .raw(bytes.replace("POST /v1/records ", "POST //v1/records "))
        .await;
    assert_eq!(answer.status, 404);
    assert!(answer.message().contains("POST /v1/records"));
}

#[tokio::test]
async fn nothing_to_send_is_no_failure_and_tags_without_end_cost_one_record() {
    let server = start().await;
    for body in ["[]", "[ ]\r\n"] {
        assert_eq!(server.post(body).await.json()["accepted"], 0);
    }
    assert_eq!(
        server
            .post_with("Content-Type: application/x-ndjson\r\n", "\r\n")
            .await
            .code(),
        "empty"
    );
    let tags = vec!["\"conveyor-belt-sensor\""; 2_000].join(",");
    let answer = server
        .post(format!(
            r#"[{GOOD},{{"device_id":"d","message":"m","tags":[{tags}]}},{GOOD}]"#
        ))
        .await;
    let reply = answer.json();
    assert_eq!((answer.status, &reply["accepted"]), (202, &serde_json::json!(2)));
    assert_eq!(reply["rejected"][0]["field"], "fields");
}
