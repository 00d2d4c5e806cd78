//! The live feed, through clients that speak Engine.IO and Socket.IO themselves: over WebSocket, and by polling.

use crate::common::{INCIDENT, Server, batch, incident, record};
use andon_engine::effect::Effect;
use andon_engine::ids::IncidentId;
use andon_engine::level::Level;
use andon_engine::record::Record;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

/// A Socket.IO client over a WebSocket.
struct Socket {
    stream: WebSocketStream<TcpStream>,
    events: VecDeque<Value>,
    acks: u32,
}

impl Socket {
    async fn connect(s: &Server) -> Socket {
        let addr = s.client.0;
        let tcp = TcpStream::connect(addr).await.unwrap();
        let url = format!("ws://{addr}/socket.io/?EIO=4&transport=websocket");
        let (stream, _) = client_async(url, tcp).await.unwrap();
        let mut socket = Socket {
            stream,
            events: VecDeque::new(),
            acks: 0,
        };
        assert!(socket.packet().await.starts_with('0'));
        socket.send("40").await;
        assert!(socket.packet().await.starts_with("40"));
        socket
    }

    async fn send(&mut self, packet: &str) {
        self.stream.send(Message::text(packet)).await.unwrap();
    }

    /// The next packet that is no ping.
    async fn packet(&mut self) -> String {
        loop {
            let text = self
                .stream
                .next()
                .await
                .unwrap()
                .unwrap()
                .into_text()
                .unwrap()
                .to_string();
            if text == "2" {
                self.send("3").await;
            } else {
                return text;
            }
        }
    }

    /// Emits and waits for the acknowledgement; events that come first are kept.
    async fn ask(&mut self, event: &str, data: Value) -> Value {
        let id = self.acks;
        self.acks += 1;
        self.send(&format!("42{id}{}", json!([event, data]))).await;
        loop {
            let packet = self.packet().await;
            if let Some(answer) = packet.strip_prefix(&format!("43{id}")) {
                let mut answer: Value = serde_json::from_str(answer).unwrap();
                return answer[0].take();
            }
            self.keep(&packet);
        }
    }

    fn keep(&mut self, packet: &str) {
        let event: Value = serde_json::from_str(packet.strip_prefix("42").expect(packet)).unwrap();
        assert_eq!(event[0], "event");
        self.events.push_back(event[1].clone());
    }

    async fn event(&mut self) -> Value {
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            let packet = self.packet().await;
            self.keep(&packet);
        }
    }

    async fn subscribe(&mut self, request: Value) -> Value {
        let answer = self.ask("subscribe", request).await;
        assert_eq!(answer["ok"], true, "{answer}");
        answer["position"].clone()
    }
}

fn messages(event: &Value) -> Vec<&str> {
    event["records"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["message"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn the_records_of_a_user_and_of_an_area_are_followed_from_a_time_on() {
    let s = Server::start().await;
    let mut socket = Socket::connect(&s).await;
    let from = "2026-11-23T02:31:13Z";
    for (name, filter) in [
        ("area", json!({"area": "pick", "from": from})),
        (
            "user",
            json!({"userId": "anna", "from": from, "to": "2026-11-23T02:31:14Z"}),
        ),
    ] {
        socket
            .subscribe(json!({"subscription": name, "room": "record", "filter": filter}))
            .await;
    }
    let of_anna = |at, message| Record {
        user_id: Some("anna"),
        ..record(at, "CNV-04", message)
    };
    s.live.publish_records(Arc::new(batch(
        1,
        &[
            record(-1, "CNV-03", "before"),
            record(0, "CNV-03", "third"),
            record(0, "CNV-04", "elsewhere"),
            of_anna(-1, "too early"),
            of_anna(0, "of anna"),
            of_anna(1_000_000, "too late"),
        ],
    )));
    let mut got = [socket.event().await, socket.event().await];
    got.sort_by_key(|e| e["subscription"].to_string());
    assert_eq!(messages(&got[0]), ["third"]);
    assert_eq!(messages(&got[1]), ["of anna"]);
    for filter in [json!({"from": "yesterday"}), json!({"area": "x".repeat(200)})] {
        let answer = socket
            .ask(
                "subscribe",
                json!({"subscription": "x", "room": "record", "filter": filter}),
            )
            .await;
        assert_eq!(answer["code"], "BAD_INPUT", "{answer}");
    }
    s.stop().await;
}

#[tokio::test]
async fn each_room_gets_what_its_filter_takes() {
    let s = Server::start().await;
    let mut socket = Socket::connect(&s).await;
    socket
        .subscribe(
            json!({"subscription": "errors", "room": "record", "filter": {"deviceId": "CNV-03", "minLevel": "ERROR"}}),
        )
        .await;
    let quiet = Record {
        level: Some(Level::Info),
        ..record(1, "CNV-03", "quiet")
    };
    s.live.publish_records(Arc::new(batch(
        1,
        &[
            record(0, "CNV-03", "first"),
            quiet,
            record(2, "CNV-04", "other"),
            record(3, "CNV-03", "second"),
        ],
    )));
    let event = socket.event().await;
    assert_eq!(
        (&event["type"], &event["subscription"]),
        (&json!("records"), &json!("errors"))
    );
    assert_eq!(messages(&event), ["first", "second"]);
    assert_eq!(
        (&event["dropped"], &event["records"][0]["truncated"]),
        (&json!(0), &json!(false))
    );
    assert_eq!(
        socket.ask("unsubscribe", json!({"subscription": "errors"})).await,
        json!({"ok": true})
    );

    socket
        .subscribe(json!({"subscription": "t", "room": "reading", "filter": {"reading": "temperature"}}))
        .await;
    let readings = Record {
        message: None,
        readings: vec![("load", 0.5), ("temperature", 81.5)],
        ..record(4, "CNV-03", "")
    };
    s.live.publish_records(Arc::new(batch(2, &[readings])));
    let event = socket.event().await;
    assert_eq!(event["type"], "readings");
    assert_eq!(event["readings"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&event["readings"][0]["name"], &event["readings"][0]["value"]),
        (&json!("temperature"), &json!(81.5))
    );

    socket
        .subscribe(json!({"subscription": "i", "room": "incident", "filter": {"area": "pick"}}))
        .await;
    let elsewhere = incident(IncidentId(2), 1);
    let elsewhere = andon_engine::incident::Incident {
        area: None,
        ..elsewhere
    };
    s.plant
        .apply(vec![
            Effect::Incident(Box::new(elsewhere)),
            Effect::Incident(Box::new(incident(IncidentId(3), 2))),
        ])
        .await;
    let event = socket.event().await;
    assert_eq!(event["type"], "incidents");
    let shown = event["incidents"].as_array().unwrap();
    assert_eq!(shown.len(), 1);
    assert_eq!(
        (&shown[0]["id"], &shown[0]["ruleName"]),
        (&json!(IncidentId(3).to_string()), &json!("Fatal error"))
    );
    // The feed's copy is GraphQL's.
    let fields = "id ruleId ruleName subject { kind id } priority state activity acknowledged { by } shelved { by } closedCause firstAt openedAt lastAt \
                  returnedAt firstRecordId lastRecordId count reopened occurrence { firstAt openedAt count } maxLevel peak title errorType device application user area source \
                  historical silent fingerprintsTruncated version";
    let asked = s
        .client
        .graphql(&format!("{{ incident(id: \"{}\") {{ {fields} }} }}", IncidentId(3)))
        .await;
    assert_eq!(shown[0], asked["incident"]);

    socket.subscribe(json!({"subscription": "s", "room": "status"})).await;
    let event = socket.event().await;
    assert_eq!(event["type"], "status");
    assert_eq!(
        (&event["status"]["timeZone"], &event["status"]["openIncidents"]),
        (&json!("Europe/Berlin"), &json!(3))
    );
    s.stop().await;
}

#[tokio::test]
async fn a_client_that_comes_back_misses_nothing() {
    let s = Server::start().await;
    let mut socket = Socket::connect(&s).await;
    let records = json!({"subscription": "r", "room": "record"});
    let start = socket.subscribe(records.clone()).await;
    s.live.publish_records(Arc::new(batch(1, &[record(0, "a", "one")])));
    let event = socket.event().await;
    assert_eq!(messages(&event), ["one"]);
    let position = event["position"].clone();
    assert!(position["seq"].as_u64() > start["seq"].as_u64());
    drop(socket);
    s.live
        .publish_records(Arc::new(batch(2, &[record(1, "a", "two"), record(2, "a", "three")])));
    s.plant
        .apply(vec![Effect::Incident(Box::new(incident(INCIDENT, 9)))])
        .await;

    let mut back = Socket::connect(&s).await;
    let with = |name: &str, room: &str, since: &Value| json!({"subscription": name, "room": room, "since": since});
    back.subscribe(with("r", "record", &position)).await;
    back.subscribe(with("i", "incident", &position)).await;
    let (mut seen, mut changed) = (Vec::new(), Vec::new());
    while seen.len() < 2 || changed.is_empty() {
        let event = back.event().await;
        match event["type"].as_str() {
            Some("records") => seen.extend(messages(&event).into_iter().map(str::to_owned)),
            Some("incidents") => changed.push(event["incidents"][0]["id"].clone()),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(seen, ["two", "three"]);
    assert_eq!(changed, [json!(INCIDENT.to_string())]);
    // A position of another run of the server.
    back.subscribe(with("x", "incident", &json!({"epoch": "gone", "seq": 1})))
        .await;
    let event = back.event().await;
    assert_eq!(
        (&event["type"], &event["reason"]),
        (&json!("reset"), &json!("restarted"))
    );
    // Before what the feed still holds: 5,000 batches of 4,096.
    let empty = batch(3, &[record(0, "other", "x")]);
    for _ in 0..5_000 {
        s.live.publish_records(Arc::new(empty.clone()));
    }
    let mut late = Socket::connect(&s).await;
    late.subscribe(with("y", "record", &position)).await;
    let event = late.event().await;
    assert_eq!((&event["type"], &event["reason"]), (&json!("reset"), &json!("too_old")));
    s.stop().await;
}

#[tokio::test]
async fn a_flood_is_cut_to_frames_and_what_is_left_out_is_counted() {
    let s = Server::start().await;
    let mut socket = Socket::connect(&s).await;
    socket.subscribe(json!({"subscription": "r", "room": "record"})).await;
    let texts: Vec<String> = (0..5_000).map(|n| n.to_string()).collect();
    let mut all = Vec::new();
    for seq in 1..=4 {
        let records: Vec<Record<'_>> = texts.iter().map(|t| record(0, "a", t)).collect();
        all.push(Arc::new(batch(seq, &records)));
    }
    for b in all {
        s.live.publish_records(b);
    }
    let (mut got, mut dropped, mut last) = (0, 0, String::new());
    while got + dropped < 20_000 {
        let event = socket.event().await;
        let shown = messages(&event);
        assert!(shown.len() <= 200, "{}", shown.len());
        got += shown.len() as u64;
        dropped += event["dropped"].as_u64().unwrap();
        last = shown.last().map(|m| (*m).to_owned()).unwrap_or(last);
    }
    assert_eq!(got + dropped, 20_000);
    assert_eq!(last, "4999", "the newest are shown");
    s.stop().await;
}

#[tokio::test]
async fn a_reader_that_does_not_read_holds_up_nobody_and_is_told_what_it_missed() {
    let s = Server::start().await;
    let mut slow = Socket::connect(&s).await;
    slow.subscribe(json!({"subscription": "r", "room": "record"})).await;
    let mut quick = Socket::connect(&s).await;
    quick.subscribe(json!({"subscription": "r", "room": "record"})).await;
    let text = "x".repeat(1_900);
    let records: Vec<Record<'_>> = (0..200).map(|n| record(n, "a", &text)).collect();
    // Each round waits until the quick one has its frame, so that the slow one has as many waiting.
    let rounds = 60;
    for seq in 1..=rounds {
        s.live.publish_records(Arc::new(batch(seq, &records)));
        quick.event().await;
    }
    let (mut got, mut dropped) = (0, 0);
    while got + dropped < rounds * 200 {
        let event = slow.event().await;
        got += messages(&event).len() as u64;
        dropped += event["dropped"].as_u64().unwrap();
    }
    assert_eq!(got + dropped, rounds * 200);
    s.stop().await;
}

#[tokio::test]
async fn bad_requests_are_refused_with_the_reason_and_a_socket_has_sixteen_rooms() {
    let s = Server::start().await;
    let mut socket = Socket::connect(&s).await;
    for bad in [
        json!({"subscription": "", "room": "record"}),
        json!({"subscription": "x".repeat(65), "room": "record"}),
        json!({"subscription": "a", "room": "kitchen"}),
        json!({"subscription": "a", "room": "record", "filter": {"devce": "x"}}),
        json!({"subscription": "a", "room": "record", "filter": {"fingerprint": "x"}}),
        json!({"subscription": "a", "room": "record", "filter": {"text": "x".repeat(2_000)}}),
        json!({"subscription": "a", "room": "record", "since": {"epoch": "x", "seq": -1}}),
        json!("subscribe"),
        json!(null),
    ] {
        let answer = socket.ask("subscribe", bad.clone()).await;
        assert_eq!(
            (&answer["ok"], &answer["code"]),
            (&json!(false), &json!("BAD_INPUT")),
            "{bad}"
        );
        assert_ne!(answer["message"], "");
    }
    for n in 0..16 {
        socket
            .subscribe(json!({"subscription": format!("s{n}"), "room": "incident"}))
            .await;
    }
    let again = socket
        .ask("subscribe", json!({"subscription": "s3", "room": "record"}))
        .await;
    assert_eq!(again["code"], "BAD_INPUT");
    let more = socket
        .ask("subscribe", json!({"subscription": "s16", "room": "record"}))
        .await;
    assert_eq!(more["code"], "TOO_MANY");
    socket.ask("unsubscribe", json!({"subscription": "s3"})).await;
    socket.subscribe(json!({"subscription": "s16", "room": "record"})).await;
    // All of them hear of a change, the last as well as the first.
    s.plant
        .apply(vec![Effect::Incident(Box::new(incident(INCIDENT, 1)))])
        .await;
    let mut heard = HashSet::new();
    while heard.len() < 15 {
        heard.insert(socket.event().await["subscription"].as_str().unwrap().to_owned());
    }
    // Junk ends this socket at most.
    socket.send("4{{{").await;
    assert_eq!(s.client.get("/health/live").await.status, 200);
    s.stop().await;
}

#[tokio::test]
async fn polling_works_where_a_proxy_allows_no_websocket() {
    let s = Server::start().await;
    let open = s.client.get("/socket.io/?EIO=4&transport=polling").await;
    let hello: Value = serde_json::from_str(&open.text()[1..]).unwrap();
    let path = format!(
        "/socket.io/?EIO=4&transport=polling&sid={}",
        hello["sid"].as_str().unwrap()
    );
    let post = async |body: &str| {
        let answer = s
            .client
            .send("POST", &path, &[("content-type", "text/plain")], body.to_owned())
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    post("40").await;
    post(&format!(
        "420{}",
        json!(["subscribe", {"subscription": "r", "room": "record"}])
    ))
    .await;
    let mut packets = Vec::new();
    while !packets.iter().any(|p: &String| p.starts_with("430")) {
        packets.extend(s.client.get(&path).await.text().split('\u{1e}').map(str::to_owned));
    }
    s.live
        .publish_records(Arc::new(batch(1, &[record(0, "a", "belt torn")])));
    while !packets.iter().any(|p| p.contains("belt torn")) {
        packets.extend(s.client.get(&path).await.text().split('\u{1e}').map(str::to_owned));
    }
    // A body larger than a request can be.
    let big = s
        .client
        .send("POST", &path, &[("content-type", "text/plain")], "x".repeat(200_000))
        .await;
    assert_eq!(big.status, 413);
    s.stop().await;
}
