//! What one sender may take of what all share: memory, connections, look-ups of keys.

use crate::harness::*;
use andon_gateway::Config;
use std::io::Write;

const ALARM: &str = r#"{"device_id":"d","level":"FATAL","message":"belt torn"}"#;

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut e = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    e.write_all(data).unwrap();
    e.finish().unwrap()
}

#[tokio::test]
async fn bodies_that_come_slowly_hold_up_nobody() {
    let server = start().await;
    let lengths = ["Transfer-Encoding: chunked\r\n", "Content-Length: 16000000\r\n"];
    let encodings = ["", "Content-Encoding: gzip\r\n", "Content-Encoding: zstd\r\n"];
    let mut slow = Vec::new();
    for i in 0..64 {
        let mut client = server.connect().await;
        let headers = format!("Expect: 100-continue\r\n{}{}", lengths[i % 2], encodings[i % 3]);
        client.send(request(&headers, b"")).await;
        // The server asks for the body: it waits for it from now on.
        assert_eq!(client.answer().await.expect("an answer").status, 100, "{headers}");
        slow.push(client);
    }
    assert_eq!(server.post(ALARM).await.status, 202, "of the same key");
    let large = format!("[{}]", vec![ALARM; 20_000].join(","));
    assert_eq!(server.post(&large).await.status, 202);
    assert_eq!(
        server.post_with("Authorization: Bearer other\r\n", &large).await.status,
        202
    );
    assert_eq!(
        server
            .post_with(
                "Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
                chunked(&gzip(large.as_bytes()), 5_000)
            )
            .await
            .status,
        202
    );
    assert_eq!(slow.len(), 64);
}

#[tokio::test]
async fn a_body_that_outgrows_the_room_is_turned_away_and_its_connection_goes_on() {
    let server = start_with(
        Config {
            in_flight_bytes: 400_000,
            ..config()
        },
        |g| g,
    )
    .await;
    server.journal.set(Mode::Hold);
    let mut first = server.connect().await;
    let large = format!("[{}]", vec![ALARM; 5_000].join(","));
    first.send(request("", large.as_bytes())).await;
    server.journal.begun(1).await;
    let mut second = server.connect().await;
    for (headers, body) in [
        ("Transfer-Encoding: chunked\r\n", chunked(large.as_bytes(), 10_000)),
        ("Content-Encoding: gzip\r\n", gzip(large.as_bytes())),
        ("", large.clone().into_bytes()),
    ] {
        second.send(request(headers, &body)).await;
        let answer = second.answer().await.unwrap();
        assert_eq!((answer.status, answer.code().as_str()), (503, "busy"), "{headers}");
        if answer.headers.get("connection").is_some_and(|c| c == "close") {
            second = server.connect().await;
        }
    }
    // An alarm passes in the reserve for small bodies, whoever sends it.
    for (n, key) in ["good", "other"].into_iter().enumerate() {
        let mut alarm = server.connect().await;
        alarm
            .send(request(&format!("Authorization: Bearer {key}\r\n"), ALARM.as_bytes()))
            .await;
        server.journal.begun(2 + n).await;
    }
    server.journal.set(Mode::Take);
    assert_eq!(first.answer().await.unwrap().status, 202);
    assert_eq!(server.post(&large).await.status, 202, "all of it is free again");
}

#[tokio::test]
async fn one_address_does_not_shut_out_all_others() {
    let server = start_with(
        Config {
            connections_max: 8,
            ..config()
        },
        |g| g,
    )
    .await;
    let mut open = Vec::new();
    for _ in 0..4 {
        let mut client = server.connect().await;
        client.send(request("", GOOD.as_bytes())).await;
        assert_eq!(client.answer().await.unwrap().status, 202);
        open.push(client);
    }
    // Four are free, and this address has four.
    let mut fifth = server.connect().await;
    assert_eq!(fifth.answer().await.unwrap().code(), "connections");
    fifth.is_closed().await;
    let mut other = server.connect_from([127, 0, 0, 2]).await;
    other.send(request("", GOOD.as_bytes())).await;
    assert_eq!(other.answer().await.unwrap().status, 202);
}

#[tokio::test]
async fn a_head_without_a_key_is_small() {
    let server = start().await;
    let headers = format!("Authorization: Bearer wrong\r\nX: {}\r\n", "y".repeat(20_000));
    assert_eq!(server.raw(request(&headers, GOOD.as_bytes())).await.status, 431);
    let headers = format!("X: {}\r\n", "y".repeat(4_000));
    assert_eq!(server.post_with(&headers, GOOD).await.status, 202);
}

#[tokio::test]
async fn a_key_made_a_moment_ago_may_send() {
    let server = start().await;
    let key = "Authorization: Bearer fresh\r\n";
    assert_eq!(
        server.post_with("Authorization: Bearer wrong\r\n", GOOD).await.code(),
        "wrong_key"
    );
    server.keys.make("fresh");
    assert_eq!(server.post_with(key, GOOD).await.status, 202);
    // A store that cannot be asked says nothing about a key, and stops nobody who is known.
    server.keys.set_away(true);
    let answer = server.post_with("Authorization: Bearer another\r\n", GOOD).await;
    assert_eq!(
        (
            answer.status,
            answer.code().as_str(),
            answer.headers["retry-after"].as_str()
        ),
        (503, "keys", "1")
    );
    assert_eq!(server.post_with(key, GOOD).await.status, 202);
    server.keys.set_away(false);
    server.keys.make("another");
    assert_eq!(
        server.post_with("Authorization: Bearer another\r\n", GOOD).await.status,
        202
    );
}
