//! What bare hyper lets through, on raw sockets, and the deadlines.

use crate::harness::*;
use andon_gateway::Config;
use std::time::Duration;

const AUTH: &str = "Authorization: Bearer good\r\n";

fn post(headers: &str, body: &str) -> String {
    format!("POST /v1/records HTTP/1.1\r\n{AUTH}{headers}\r\n{body}")
}

#[tokio::test]
async fn heads_that_could_be_read_in_two_ways_are_400() {
    let server = start().await;
    let chunk = format!("{:x}\r\n{GOOD}\r\n0\r\n\r\n", GOOD.len());
    let cl = format!("Content-Length: {}\r\n", GOOD.len());
    for (what, bytes) in [
        (
            "length, then encoding",
            post(&format!("Host: x\r\n{cl}Transfer-Encoding: chunked\r\n"), &chunk),
        ),
        (
            "encoding, then length",
            post(&format!("Host: x\r\nTransfer-Encoding: chunked\r\n{cl}"), &chunk),
        ),
        (
            "in other cases",
            post(
                &format!(
                    "Host: x\r\ntransfer-encoding: chunked\r\nCONTENT-length: {}\r\n",
                    GOOD.len()
                ),
                &chunk,
            ),
        ),
        ("no host", post(&cl, GOOD)),
        ("two hosts", post(&format!("Host: x\r\nHost: y\r\n{cl}"), GOOD)),
        ("two equal hosts", post(&format!("Host: x\r\nHost: x\r\n{cl}"), GOOD)),
        (
            "two lengths",
            post(&format!("Host: x\r\nContent-Length: 3\r\n{cl}"), GOOD),
        ),
        ("a list of lengths", post("Host: x\r\nContent-Length: 31, 31\r\n", GOOD)),
        ("a signed length", post("Host: x\r\nContent-Length: +31\r\n", GOOD)),
        (
            "an endless length",
            post("Host: x\r\nContent-Length: 99999999999999999999999\r\n", GOOD),
        ),
        (
            "another transfer encoding",
            post("Host: x\r\nTransfer-Encoding: xchunked\r\n", &chunk),
        ),
        (
            "chunked, then identity",
            post("Host: x\r\nTransfer-Encoding: chunked, identity\r\n", &chunk),
        ),
        (
            "a space before the colon",
            post("Host: x\r\nTransfer-Encoding : chunked\r\n", &chunk),
        ),
        ("a folded line", post(&format!("Host: x\r\nX: a\r\n b\r\n{cl}"), GOOD)),
        ("a NUL", post(&format!("Host: x\r\nX: a\0b\r\n{cl}"), GOOD)),
        (
            "an encoding in HTTP/1.0",
            post("Host: x\r\nTransfer-Encoding: chunked\r\n", &chunk).replace("HTTP/1.1", "HTTP/1.0"),
        ),
        ("no HTTP at all", "hello world\r\n\r\n".into()),
    ] {
        let mut client = server.connect().await;
        client.send(&bytes).await;
        assert_eq!(client.answer().await.expect(what).status, 400, "{what}");
        client.is_closed().await;
    }
    assert!(server.journal.entries().is_empty());
    server.is_undisturbed().await;
}

#[tokio::test]
async fn both_lengths_are_seen_byte_by_byte_and_behind_a_good_request() {
    let server = start().await;
    let bad = post(
        "Host: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "0\r\n\r\n",
    );
    let mut client = server.connect().await;
    client.send(request("", GOOD.as_bytes())).await;
    assert_eq!(client.answer().await.unwrap().status, 202);
    for byte in bad.as_bytes() {
        client.send([*byte]).await;
    }
    assert_eq!(client.answer().await.unwrap().code(), "ambiguous_length");
    client.is_closed().await;
}

#[tokio::test]
async fn a_method_that_begins_like_http_2_turns_no_check_off() {
    let mut limits = hasty();
    limits.idle_deadline = Duration::from_secs(3_600);
    let server = start_with(limits, |g| g).await;
    let head = "PRIX /v1/records HTTP/1.1\r\nHost: x\r\n";
    let answer = server
        .raw(format!(
            "{head}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        ))
        .await;
    assert_eq!(answer.code(), "ambiguous_length");
    let mut slow = server.connect().await;
    slow.send(format!("{head}\r\n")).await;
    assert_eq!(slow.answer().await.unwrap().status, 405);
    slow.send("POST /v1/records HTTP/1.1\r\nX: ").await;
    drip(&mut slow, "y").await;
}

#[tokio::test]
async fn http_1_0_needs_no_host() {
    let server = start().await;
    let bytes = post(&format!("Content-Length: {}\r\n", GOOD.len()), GOOD).replace("HTTP/1.1", "HTTP/1.0");
    assert_eq!(server.raw(bytes).await.status, 202);
}

#[tokio::test]
async fn broken_chunks_and_bodies_are_400_and_take_nothing() {
    let server = start().await;
    let long = format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(20_000));
    for chunks in [
        "zz\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nhello\r\n",
        "5\nhello\n0\n\n",
        "5\r\nhelloworld\r\n0\r\n\r\n",
        &long,
    ] {
        let mut client = server.connect().await;
        client
            .send(post("Host: x\r\nTransfer-Encoding: chunked\r\n", chunks))
            .await;
        // hyper closes at once for some of them; where a status can be sent it is 400.
        if let Some(answer) = client.answer().await {
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (400, "broken_body"),
                "{:?}",
                &chunks[..chunks.len().min(40)]
            );
        }
        client.is_closed().await;
    }
    // A body that ends before its length.
    let mut client = server.connect().await;
    client.send(request("Content-Length: 500\r\n", GOOD.as_bytes())).await;
    drop(client);
    assert!(server.journal.entries().is_empty());
    server.is_undisturbed().await;
}

#[tokio::test]
async fn heads_without_end_are_431() {
    let server = start().await;
    let many: String = (0..200).map(|i| format!("X-{i}: y\r\n")).collect();
    for headers in [many, format!("X: {}\r\n", "y".repeat(600_000))] {
        let mut client = server.connect().await;
        client
            .send(format!("POST /v1/records HTTP/1.1\r\nHost: x\r\n{headers}\r\n"))
            .await;
        if let Some(answer) = client.answer().await {
            assert_eq!(answer.status, 431);
        }
        client.is_closed().await;
    }
    server.is_undisturbed().await;
}

fn hasty() -> Config {
    Config {
        header_deadline: Duration::from_millis(200),
        idle_deadline: Duration::from_millis(400),
        body_idle_deadline: Duration::from_millis(300),
        body_deadline: Duration::from_secs(5),
        body_rate_min: 10_000,
        ..config()
    }
}

/// Writes a byte every now and then until the server has had enough.
async fn drip(client: &mut Client, bytes: &str) {
    for byte in bytes.bytes().cycle().take(2_000) {
        client.send([byte]).await;
        if client.closing().await {
            return;
        }
    }
    panic!("the server still listens");
}

#[tokio::test]
async fn slow_heads_are_cut_off() {
    let server = start_with(hasty(), |g| g).await;
    // Nothing at all; the beginning of a version; a head that never ends; a second head that never ends.
    let mut silent = server.connect().await;
    silent.is_closed().await;
    let mut preface = server.connect().await;
    preface.send("PRI * HT").await;
    preface.is_closed().await;
    let mut slow = server.connect().await;
    slow.send("POST /v1/records HTTP/1.1\r\nHost: x\r\nX: ").await;
    drip(&mut slow, "y").await;
    let mut second = server.connect().await;
    second.send(request("", GOOD.as_bytes())).await;
    assert_eq!(second.answer().await.unwrap().status, 202);
    second.send("POST /v1/records HTTP/1.1\r\nHost: x\r\nX: ").await;
    drip(&mut second, "y").await;
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let server = start_with(hasty(), |g| g).await;
    let mut client = server.connect().await;
    client.send(request("", GOOD.as_bytes())).await;
    assert_eq!(client.answer().await.unwrap().status, 202);
    client.is_closed().await;
}

#[tokio::test]
async fn slow_bodies_are_408() {
    let server = start_with(hasty(), |g| g).await;
    // It stops; it comes, but below the least rate; it comes in chunks of one byte.
    let mut stops = server.connect().await;
    stops.send(request("Content-Length: 1000\r\n", b"[")).await;
    let answer = stops.answer().await.unwrap();
    assert_eq!(
        (
            answer.status,
            answer.code().as_str(),
            answer.headers["connection"].as_str()
        ),
        (408, "too_slow", "close")
    );
    stops.is_closed().await;
    for (headers, bytes) in [
        ("Content-Length: 10000\r\n", " "),
        ("Transfer-Encoding: chunked\r\n", "1\r\n \r\n"),
    ] {
        let mut slow = server.connect().await;
        slow.send(request(headers, b"")).await;
        drip(&mut slow, bytes).await;
        assert_eq!(slow.answer().await.unwrap().status, 408);
    }
    // A refused request's body is not waited for.
    let mut refused = server.connect().await;
    refused
        .send(request("Authorization: Bearer wrong\r\nContent-Length: 1000\r\n", b"["))
        .await;
    assert_eq!(refused.answer().await.unwrap().status, 401);
    server.is_undisturbed().await;
}

#[tokio::test]
async fn a_connection_outlives_refusals_and_answers_in_order() {
    let server = start().await;
    let mut client = server.connect().await;
    for (headers, body, status) in [
        ("Authorization: Bearer wrong\r\n", GOOD, 401),
        ("Content-Type: text/xml\r\n", GOOD, 415),
        ("", "{]", 400),
        ("", GOOD, 202),
    ] {
        client.send(request(headers, body.as_bytes())).await;
        assert_eq!(client.answer().await.unwrap().status, status, "{headers}{body}");
    }
    let three: Vec<u8> = ["1", "2", "3"]
        .iter()
        .flat_map(|m| request("", format!(r#"{{"device_id":"d","message":"{m}"}}"#).as_bytes()))
        .chain(request("", b"{]"))
        .collect();
    client.send(three).await;
    for status in [202, 202, 202, 400] {
        assert_eq!(client.answer().await.unwrap().status, status);
    }
    // An answer does not wait for the rest of the request behind it, and a malformed one behind it does not swallow it.
    let mut half = request("", GOOD.as_bytes());
    half.extend_from_slice(b"POST /v1/rec");
    client.send(half).await;
    assert_eq!(client.answer().await.unwrap().status, 202);
    client
        .send("ords HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\n{")
        .await;
    assert_eq!(client.answer().await.unwrap().status, 400);
    client.is_closed().await;
    assert_eq!(server.journal.messages(), ["m", "1", "2", "3", "m"]);
}

#[tokio::test]
async fn connections_beyond_the_limit_are_told_so() {
    let server = start_with(
        Config {
            connections_max: 1,
            ..config()
        },
        |g| g,
    )
    .await;
    let mut first = server.connect().await;
    first.send(request("", GOOD.as_bytes())).await;
    assert_eq!(first.answer().await.unwrap().status, 202);
    let mut second = server.connect().await;
    let answer = second.answer().await.unwrap();
    assert_eq!(
        (
            answer.status,
            answer.code().as_str(),
            answer.headers["retry-after"].as_str()
        ),
        (503, "connections", "1")
    );
    second.is_closed().await;
    first.send(request("", GOOD.as_bytes())).await;
    assert_eq!(first.answer().await.unwrap().status, 202);
}

#[tokio::test]
async fn a_peer_that_takes_no_answers_is_let_go() {
    let page = "x".repeat(1 << 20);
    let server = start_with(hasty(), |g| g.with_metrics(std::sync::Arc::new(move || page.clone()))).await;
    let mut client = server.connect().await;
    // Answers fill every buffer on the way; then the server stops reading, and in the end it closes.
    while client
        .try_send("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".repeat(100))
        .await
    {}
    server.is_undisturbed().await;
}
