//! What is sent again is stored once, whatever happened to the first.

use crate::harness::*;
use andon_engine::intake::Idempotency;
use andon_engine::time::Span;
use andon_gateway::IntakeError;
use serde_json::json;
use std::sync::Arc;

fn with_id(id: &str, message: &str) -> String {
    format!(r#"{{"device_id":"d","message":"{message}","id":"{id}"}}"#)
}

#[tokio::test]
async fn a_record_with_an_id_is_stored_once_within_the_window() {
    let server = start().await;
    let (a, b) = (with_id("a", "1"), with_id("b", "2"));
    assert_eq!(
        server.post(&a).await.json(),
        json!({"accepted": 1, "duplicates": 0, "rejected": []})
    );
    let answer = server.post(format!("[{GOOD},{a},{b},{b}]")).await;
    assert_eq!(
        (answer.status, answer.json()),
        (202, json!({"accepted": 2, "duplicates": 2, "rejected": []}))
    );
    assert_eq!(server.journal.messages(), ["1", "m", "2"]);
    assert_eq!(server.journal.entries()[1].retry_hashes.len(), 1);
    // All of them known: nothing to append, and no failure to have nothing accepted.
    assert_eq!(
        server.post(&a).await.json(),
        json!({"accepted": 0, "duplicates": 1, "rejected": []})
    );
    assert_eq!(server.journal.entries().len(), 2);
    // Another key's id is another id, and so is this one after the window.
    assert_eq!(
        server.post_with("Authorization: Bearer other\r\n", &a).await.json()["accepted"],
        1
    );
    server.clock.advance(Span::mins(30));
    assert_eq!(server.post(&a).await.json()["accepted"], 1);
}

#[tokio::test]
async fn equal_records_without_an_id_are_two_events() {
    let server = start().await;
    server.post(GOOD).await;
    server.post(GOOD).await;
    assert_eq!(server.journal.messages().len(), 2);
}

#[tokio::test]
async fn the_same_id_in_flight_waits_and_is_then_a_duplicate() {
    let server = start().await;
    server.journal.set(Mode::Hold);
    let mut first = server.connect().await;
    first.send(request("", with_id("a", "1").as_bytes())).await;
    server.journal.begun(1).await;
    let (a, b) = (with_id("a", "1"), with_id("b", "2"));
    let second = tokio::spawn({
        let mut client = server.connect().await;
        client.send(request("", format!("[{b},{a}]").as_bytes())).await;
        async move { client.answer().await.unwrap() }
    });
    // A third that shares nothing goes its way while they wait.
    let mut third = server.connect().await;
    third.send(request("", GOOD.as_bytes())).await;
    server.journal.begun(2).await;
    assert!(!second.is_finished());
    server.journal.set(Mode::Take);
    assert_eq!(first.answer().await.unwrap().json()["accepted"], 1);
    assert_eq!(third.answer().await.unwrap().json()["accepted"], 1);
    assert_eq!(
        second.await.unwrap().json(),
        json!({"accepted": 1, "duplicates": 1, "rejected": []})
    );
    let mut messages = server.journal.messages();
    messages.sort();
    assert_eq!(messages, ["1", "2", "m"]);
}

#[tokio::test]
async fn the_one_that_waits_takes_the_record_when_the_first_failed() {
    let server = start().await;
    server.journal.set(Mode::Hold);
    let mut first = server.connect().await;
    first.send(request("", with_id("a", "1").as_bytes())).await;
    server.journal.begun(1).await;
    let mut second = server.connect().await;
    second.send(request("", with_id("a", "1").as_bytes())).await;
    server.journal.set(Mode::Fail(IntakeError::Full));
    assert_eq!(first.answer().await.unwrap().status, 503);
    assert_eq!(second.answer().await.unwrap().status, 503);
    server.journal.set(Mode::Take);
    assert_eq!(server.post(with_id("a", "1")).await.json()["accepted"], 1);
    assert_eq!(server.journal.messages(), ["1"]);
}

#[tokio::test]
async fn many_at_once_with_the_same_ids_store_each_once() {
    let server = Arc::new(start().await);
    let posts: Vec<_> = (0..24)
        .map(|i| {
            let server = Arc::clone(&server);
            // Each names eight of sixteen ids, in another order.
            let records: Vec<_> = (0..8)
                .map(|k| format!("id{}", (i * 5 + k * 3) % 16))
                .map(|id| with_id(&id, &id))
                .collect();
            tokio::spawn(async move { server.post(format!("[{}]", records.join(","))).await })
        })
        .collect();
    let (mut accepted, mut duplicates) = (0, 0);
    for post in posts {
        let answer = post.await.unwrap();
        assert_eq!(answer.status, 202);
        accepted += answer.json()["accepted"].as_u64().unwrap();
        duplicates += answer.json()["duplicates"].as_u64().unwrap();
    }
    let mut messages = server.journal.messages();
    messages.sort();
    messages.dedup();
    assert_eq!(
        (accepted, duplicates, messages.len(), server.journal.messages().len()),
        (16, 24 * 8 - 16, 16, 16)
    );
}

#[tokio::test]
async fn a_keyed_request_gets_the_same_answer_and_stores_nothing_twice() {
    let server = start().await;
    let key = "Idempotency-Key: 7f3a\r\n";
    let body = format!(r#"[{GOOD},{{"message":"x"}}]"#);
    let first = server.post_with(key, &body).await;
    assert_eq!(first.json()["accepted"], 1);
    assert_eq!(server.post_with(key, &body).await.body, first.body);
    // Even a request that would be refused now gets it: it was answered.
    server.journal.set(Mode::Fail(IntakeError::Full));
    assert_eq!(server.post_with(key, &body).await.body, first.body);
    server.journal.set(Mode::Take);
    let entries = server.journal.entries();
    assert_eq!(entries.len(), 1);
    let kept = entries[0].idempotency.as_ref().expect("the answer is in the journal");
    assert_eq!((kept.status, &*kept.answer), (202, first.body.as_bytes()));
    // A refusal is an answer too.
    let key = "Idempotency-Key: bad\r\n";
    let first = server.post_with(key, "{]").await;
    assert_eq!(
        (first.status, server.post_with(key, "{]").await.body),
        (400, first.body)
    );
    assert_eq!(
        server
            .post_with("Idempotency-Key: 7f3a\r\nAuthorization: Bearer other\r\n", GOOD)
            .await
            .json()["accepted"],
        1
    );
    assert_eq!(server.journal.entries().len(), 3);
}

#[tokio::test]
async fn a_key_with_another_body_is_refused_and_nothing_of_it_stored() {
    let server = start().await;
    let key = "Idempotency-Key: line3\r\n";
    let (a, b) = (with_id("a", "1"), with_id("b", "2"));
    let first = server.post_with(key, &a).await;
    assert_eq!(first.status, 202);
    for body in [b.as_str(), "{]", "", &a.replace(',', ", ")] {
        let answer = server.post_with(key, body).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (422, "idempotency_reused"),
            "{body}"
        );
        assert!(
            answer.message().contains("nothing of this request was taken"),
            "{answer:?}"
        );
    }
    // The same body, however it is packed, gets the answer; and the connection goes on.
    let mut client = server.connect().await;
    for (headers, body, status) in [
        ("Transfer-Encoding: chunked\r\n", chunked(a.as_bytes(), 3), 202),
        (
            "Content-Encoding: zstd\r\n",
            zstd::encode_all(a.as_bytes(), 3).unwrap(),
            202,
        ),
        (
            "Content-Encoding: zstd\r\n",
            zstd::encode_all(b.as_bytes(), 3).unwrap(),
            422,
        ),
        ("", a.clone().into_bytes(), 202),
    ] {
        client.send(request(&format!("{key}{headers}"), &body)).await;
        let answer = client.answer().await.unwrap();
        assert_eq!(answer.status, status, "{headers}");
        assert_eq!(status == 202, answer.body == first.body, "{headers}");
    }
    assert_eq!(
        server
            .post_with(&format!("{key}Content-Encoding: gzip\r\n"), &a)
            .await
            .code(),
        "bad_encoding"
    );
    assert_eq!(server.journal.messages(), ["1"]);
    assert_eq!(server.post(&b).await.json()["accepted"], 1, "its ids are free");
}

#[tokio::test]
async fn a_key_with_another_body_at_once_is_refused_as_well() {
    let server = start().await;
    server.journal.set(Mode::Hold);
    let mut clients = Vec::new();
    for i in 0..4 {
        let mut client = server.connect().await;
        let body = with_id(&format!("id{}", i % 2), "m");
        client.send(request("Idempotency-Key: once\r\n", body.as_bytes())).await;
        server.journal.begun(1).await;
        clients.push(client);
    }
    server.journal.set(Mode::Take);
    let mut statuses = Vec::new();
    for mut client in clients {
        statuses.push(client.answer().await.unwrap().status);
    }
    assert_eq!(
        (statuses, server.journal.messages().len()),
        (vec![202, 422, 202, 422], 1)
    );
}

#[tokio::test]
async fn a_body_for_a_known_key_is_bounded_like_any_other() {
    let limits = andon_gateway::Config {
        body_bytes_max: 10_000,
        ..config()
    };
    let server = start_with(limits, |g| g).await;
    let key = "Idempotency-Key: k\r\n";
    assert_eq!(server.post_with(key, GOOD).await.status, 202);
    let bomb = zstd::encode_all(&vec![b' '; 50 << 20][..], 3).unwrap();
    let answer = server
        .post_with(&format!("{key}Content-Encoding: zstd\r\n"), &bomb)
        .await;
    assert_eq!((answer.status, answer.code().as_str()), (413, "too_large"));
    assert_eq!(server.post_with(key, vec![b' '; 10_001]).await.status, 413);
    server.is_undisturbed().await;
}

#[tokio::test]
async fn a_keyed_request_sent_twice_at_once_is_stored_once() {
    let server = start().await;
    server.journal.set(Mode::Hold);
    let mut clients = Vec::new();
    for _ in 0..4 {
        let mut client = server.connect().await;
        client.send(request("Idempotency-Key: once\r\n", GOOD.as_bytes())).await;
        clients.push(client);
    }
    server.journal.begun(1).await;
    server.journal.set(Mode::Take);
    for mut client in clients {
        assert_eq!(client.answer().await.unwrap().json()["accepted"], 1);
    }
    assert_eq!(server.journal.messages().len(), 1);
}

#[tokio::test]
async fn a_sender_that_goes_away_leaves_its_records_known() {
    let server = start().await;
    server.journal.set(Mode::Hold);
    let mut client = server.connect().await;
    client
        .send(request("Idempotency-Key: gone\r\n", with_id("a", "1").as_bytes()))
        .await;
    server.journal.begun(1).await;
    drop(client);
    server.journal.set(Mode::Take);
    let again = server.post_with("Idempotency-Key: gone\r\n", with_id("a", "1")).await;
    assert_eq!(
        again.json(),
        json!({"accepted": 1, "duplicates": 0, "rejected": []}),
        "the first one's answer"
    );
    assert_eq!(server.post(with_id("a", "1")).await.json()["duplicates"], 1);
    assert_eq!(server.journal.messages(), ["1"]);
}

#[tokio::test]
async fn after_a_restart_the_journal_s_headers_tell_what_is_a_retry() {
    let first = start().await;
    first.post_with("Idempotency-Key: k\r\n", with_id("a", "1")).await;
    let entry = first.journal.entries().remove(0);
    let kept: Idempotency = entry.idempotency.clone().unwrap();
    let restore = async |kept: Idempotency| {
        let hashes = entry.retry_hashes.clone();
        start_with(config(), |g| {
            g.restore_retries([(NOW, hashes, Some(kept))]);
            g
        })
        .await
    };
    let second = restore(kept.clone()).await;
    let key = "Idempotency-Key: k\r\n";
    assert_eq!(second.post(with_id("a", "1")).await.json()["duplicates"], 1);
    assert_eq!(second.post_with(key, with_id("a", "1")).await.json()["accepted"], 1);
    assert_eq!(second.post_with(key, GOOD).await.status, 422);
    assert!(second.journal.entries().is_empty());
    // What an older version wrote does not say which body it was.
    let third = restore(Idempotency { body: None, ..kept }).await;
    assert_eq!(third.post_with(key, GOOD).await.json()["accepted"], 1);
    assert!(third.journal.entries().is_empty());
}
