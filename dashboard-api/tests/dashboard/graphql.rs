//! GraphQL over a real socket and the real embedded stores.

use crate::common::{INCIDENT, JOURNAL, NOW, Server, incident, record};
use andon_engine::effect::Effect;
use andon_engine::ids::{AlertId, IncidentId, Position, RouteId};
use andon_engine::level::Level;
use andon_engine::record::Record;
use andon_engine::rule::Priority;
use andon_engine::time::{Span, Timestamp};
use andon_storage::ports::Cursor;
use andon_storage::ports::deliveries::{ChannelKind, Delivery, DeliveryId, DeliveryState, DeliveryStore, Target};
use andon_storage::ports::rows::{Quarantined, Rollup, RowStore};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::Ordering;

#[tokio::test]
async fn an_incident_shows_all_that_is_known_of_it() {
    let s = Server::start().await;
    let before = Record {
        timestamp: Timestamp(NOW.0 - 5),
        ..record(0, "CNV-03", "before")
    };
    let later = record(2_000_000, "CNV-03", "after its last record");
    s.store(1, &[before, record(0, "CNV-04", "of another"), later]).await;
    let data = s
        .client
        .graphql(&format!(
            "{{ incident(id: \"{INCIDENT}\") {{ id ruleName rule {{ name sentence tells }} subject {{ kind id }} priority \
             state activity count openedAt maxLevel title fingerprints {{ fingerprint count template }} \
             timeline {{ kind who text recordId }} alerts {{ reason device text }} records {{ message }} version }} }}"
        ))
        .await;
    let i = &data["incident"];
    assert_eq!(i["id"], INCIDENT.to_string());
    assert_eq!(
        i["rule"],
        json!({"name": "Fatal error", "sentence": "one record of FATAL or above, per device", "tells": ["Anna Krüger"]})
    );
    assert_eq!(i["subject"], json!({"kind": "DEVICE", "id": "CNV-03"}));
    assert_eq!(
        (&i["priority"], &i["state"]),
        (&json!("P1"), &json!("ACTIVE_UNACKNOWLEDGED"))
    );
    assert_eq!(i["openedAt"], "2026-11-23T02:31:13.000000Z");
    assert_eq!(i["title"], "belt torn <b>now</b>");
    assert_eq!(
        i["fingerprints"][0],
        json!({"fingerprint": "00000000000000fe", "count": 3, "template": "belt torn"})
    );
    assert_eq!(i["timeline"][0]["kind"], "OPENED");
    assert_eq!(
        i["alerts"],
        json!([{"reason": "OPENED", "device": "CNV-04", "text": "belt torn"}])
    );
    assert_eq!(i["records"], json!([{"message": "before"}]));
    assert_eq!(
        s.client
            .graphql("{ incident(id: \"00000000000000000000000000000001\") { id } }")
            .await["incident"],
        Value::Null
    );
    s.stop().await;
}

#[tokio::test]
async fn an_incident_says_who_was_told() {
    let s = Server::start().await;
    let target = Target::new(ChannelKind::Email, "anna@PLANT.example");
    let delivery = Delivery {
        id: DeliveryId::of(AlertId(5), &target),
        alert: AlertId(5),
        incident: INCIDENT,
        target,
        route: RouteId::new("shift"),
        position: Position { seq: 1, index: 0 },
        priority: Priority::P1,
        passes_throttle: true,
        historical: false,
        state: DeliveryState::Waiting,
        reason: None,
        due: None,
        muted_until: None,
        notice: None,
        created_at: NOW,
        updated_at: NOW,
    };
    assert!(s.plant.store.expand(AlertId(5), &[delivery], NOW).await.unwrap());
    let query = format!("{{ incident(id: \"{INCIDENT}\") {{ deliveries {{ alertId channel to state reason }} }} }}");
    assert_eq!(
        s.client.graphql(&query).await["incident"]["deliveries"],
        json!([{"alertId": AlertId(5).to_string(), "channel": "EMAIL", "to": "Anna Krüger", "state": "WAITING", "reason": null}])
    );
    s.stop().await;
}

#[tokio::test]
async fn pages_of_incidents_follow_one_another_newest_first() {
    let s = Server::start().await;
    let more = (1..=6).map(|n| {
        // Two of each time, so that the id has to decide.
        let mut i = incident(IncidentId(n), i64::try_from(n / 2).unwrap() * 1_000);
        if n == 6 {
            i.activity = andon_engine::incident::Activity::Closed;
        }
        Effect::Incident(Box::new(i))
    });
    s.plant.apply(more.collect()).await;
    let (mut seen, mut after) = (Vec::new(), Value::Null);
    loop {
        let query = format!(
            "{{ incidents(first: 2, after: {after}, filter: {{openOnly: true}}) {{ nodes {{ id openedAt }} pageInfo {{ hasNextPage endCursor }} }} }}"
        );
        let page = s.client.graphql(&query).await["incidents"].take();
        seen.extend(page["nodes"].as_array().unwrap().iter().cloned());
        after = page["pageInfo"]["endCursor"].clone();
        if page["pageInfo"]["hasNextPage"] == json!(false) {
            break;
        }
    }
    assert_eq!(seen.len(), 6, "{seen:?}");
    let times: Vec<&str> = seen.iter().map(|i| i["openedAt"].as_str().unwrap()).collect();
    assert!(times.is_sorted_by(|a, b| a >= b), "{times:?}");
    let mut ids: Vec<&str> = seen.iter().map(|i| i["id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 6);
    s.stop().await;
}

#[tokio::test]
async fn records_are_found_by_filter_in_both_orders_and_shown_whole() {
    let s = Server::start().await;
    let hostile = "<script>alert(1)</script> \u{202e}x \"q\" '; DROP TABLE";
    let long = "y".repeat(40_000);
    let full = Record {
        kind: Some("equipment.drive"),
        fields: r#"{"weight":21.5}"#,
        readings: vec![("temperature", 81.5)],
        order_id: Some("O-1"),
        ..record(1, "CNV-03", hostile)
    };
    let records = [
        full,
        Record {
            level: Some(Level::Info),
            ..record(2, "CNV-04", &long)
        },
        record(3, "CNV-03", "belt torn"),
    ];
    s.store(1, &records).await;
    let query = "{ records(filter: {deviceId: \"CNV-03\", minLevel: ERROR}, order: OLDEST_FIRST) { nodes { recordId message type fields orderId \
                 readings { name value } fingerprint level timestamp truncated } pageInfo { hasNextPage } } }";
    let found = s.client.graphql(query).await["records"].take();
    let nodes = found["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 2);
    assert_eq!(nodes[0]["message"], hostile);
    assert_eq!(nodes[0]["fields"], r#"{"weight":21.5}"#);
    assert_eq!(nodes[0]["readings"], json!([{"name": "temperature", "value": 81.5}]));
    assert_eq!(nodes[0]["truncated"], false);
    let id = nodes[0]["recordId"].as_str().unwrap();
    assert_eq!(
        s.client
            .graphql(&format!("{{ record(id: \"{id}\") {{ message }} }}"))
            .await["record"]["message"],
        hostile
    );
    let newest = s.client.graphql("{ records(first: 1) { nodes { message } pageInfo { hasNextPage } } recordCount(filter: {text: \"torn\"}) }").await;
    assert_eq!(newest["records"]["nodes"][0]["message"], "belt torn");
    assert_eq!(newest["records"]["pageInfo"]["hasNextPage"], true);
    assert_eq!(newest["recordCount"], 1);
    s.stop().await;
}

#[tokio::test]
async fn a_page_of_heavy_records_is_cut_short_and_the_next_goes_on() {
    let s = Server::start().await;
    let text = "x".repeat(100_000);
    let records: Vec<Record<'_>> = (0..120).map(|n| record(n, "CNV-03", &text)).collect();
    s.store(1, &records).await;
    let (mut seen, mut pages, mut after) = (Vec::new(), 0, Value::Null);
    loop {
        let query = format!(
            "{{ records(first: 1000, after: {after}) {{ nodes {{ recordId message }} pageInfo {{ hasNextPage endCursor }} }} }}"
        );
        let page = s.client.graphql(&query).await["records"].take();
        seen.extend(
            page["nodes"]
                .as_array()
                .unwrap()
                .iter()
                .map(|r| r["recordId"].as_str().unwrap().to_owned()),
        );
        pages += 1;
        after = page["pageInfo"]["endCursor"].clone();
        if page["pageInfo"]["hasNextPage"] == json!(false) {
            break;
        }
    }
    assert!(pages > 1);
    assert_eq!(seen.len(), 120);
    assert!(seen.is_sorted_by(|a, b| a > b), "newest first, each once");
    let three = "{ a: records(first: 1000) { nodes { id } } b: records(first: 1000) { nodes { id } } c: records(first: 1000) { nodes { id } } }";
    assert_eq!(s.client.graphql_code(&[], three).await, "TOO_COMPLEX");
    s.stop().await;
}

#[tokio::test]
async fn the_plant_its_readings_its_quarantine_and_its_health_can_be_asked() {
    let s = Server::start().await;
    let rollup = Rollup {
        device: "CNV-03".into(),
        reading: "temperature".into(),
        minute: NOW,
        min: 1.0,
        max: 4.0,
        sum: 5.0,
        count: 2,
        last: 4.0,
        last_at: NOW,
    };
    let bad = Quarantined {
        journal_seq: 8,
        index: 2,
        received_at: NOW,
        key_id: "k".into(),
        stage: "gateway".into(),
        field: "level".into(),
        reason: "not a level".into(),
        excerpt: "{\"level\":\"<loud>\"}".into(),
    };
    s.plant
        .store
        .write_rows(
            &[rollup],
            &[bad],
            Cursor {
                journal: JOURNAL,
                seq: 9,
            },
        )
        .await
        .unwrap();
    let (from, to) = (NOW.minus(Span::mins(1)), NOW.plus(Span::mins(1)));
    let data = s
        .client
        .graphql(&format!(
            "{{ devices(first: 1) {{ nodes {{ id assigned area }} pageInfo {{ hasNextPage endCursor }} }} applications {{ nodes {{ id }} }} \
             rollups(device: \"CNV-03\", reading: \"temperature\", from: \"{from}\", to: \"{to}\") {{ min max mean count }} \
             quarantine {{ id stage field excerpt }} rules {{ id conditionKind count {{ count withinSeconds }} }} \
             status {{ version timeZone siteName accepting openIncidents nobodyWouldBeMailed journal {{ quotaBytes }} sinks {{ name lag }} }} \
             viewer {{ name kind canOperate incidentId }} }}"
        ))
        .await;
    assert_eq!(
        data["devices"]["nodes"],
        json!([{"id": "CNV-03", "assigned": true, "area": "pick"}])
    );
    assert_eq!(data["devices"]["pageInfo"]["hasNextPage"], true);
    let next = data["devices"]["pageInfo"]["endCursor"].clone();
    let rest = s
        .client
        .graphql(&format!("{{ devices(after: {next}) {{ nodes {{ id assigned }} }} }}"))
        .await;
    assert_eq!(rest["devices"]["nodes"], json!([{"id": "CNV-04", "assigned": false}]));
    assert_eq!(data["applications"]["nodes"], json!([{"id": "wms"}]));
    assert_eq!(
        data["rollups"],
        json!([{"min": 1.0, "max": 4.0, "mean": 2.5, "count": 2}])
    );
    assert_eq!(data["quarantine"][0]["id"], "8:2");
    assert_eq!(data["rules"][0]["count"], json!({"count": 5, "withinSeconds": 60.0}));
    let status = &data["status"];
    assert_eq!(status["timeZone"], "Europe/Berlin");
    assert_eq!(
        (&status["openIncidents"], &status["accepting"]),
        (&json!(1), &json!(true))
    );
    assert_eq!(status["journal"]["quotaBytes"], 1_u64 << 40);
    assert_eq!(
        data["viewer"],
        json!({"name": "operator", "kind": "LOOPBACK", "canOperate": true, "incidentId": null})
    );
    s.stop().await;
}

#[tokio::test]
async fn what_an_operator_does_is_signed_checked_and_shown() {
    let s = Server::start().await;
    let run = async |mutation: &str| {
        let query = format!(
            "mutation {{ m: {mutation} {{ applied incident {{ state acknowledged {{ by }} shelved {{ by reason }} closedCause timeline {{ kind who text }} }} }} }}"
        );
        s.client.graphql(&query).await["m"].take()
    };
    let id = format!("incidentId: \"{INCIDENT}\"");
    let acked = run(&format!("acknowledge({id}, comment: \" on my way \")")).await;
    assert_eq!(
        (&acked["applied"], &acked["incident"]["state"]),
        (&json!(true), &json!("ACTIVE_ACKNOWLEDGED"))
    );
    assert_eq!(acked["incident"]["acknowledged"]["by"], "operator");
    let last = acked["incident"]["timeline"]
        .as_array()
        .unwrap()
        .last()
        .unwrap()
        .clone();
    assert_eq!(
        last,
        json!({"kind": "COMMENTED", "who": "operator", "text": "on my way"})
    );
    // Again: no error, and nothing more in the journal.
    let operations = s.plant.operations.lock().unwrap().len();
    assert_eq!(run(&format!("acknowledge({id})")).await["applied"], true);
    assert_eq!(s.plant.operations.lock().unwrap().len(), operations);

    let until = |h: i64| NOW.plus(Span::hours(h));
    let shelved = run(&format!(
        "shelve({id}, until: \"{}\", reason: \"spare part\")",
        until(8)
    ))
    .await;
    assert_eq!(
        shelved["incident"]["shelved"],
        json!({"by": "operator", "reason": "spare part"})
    );
    assert_eq!(
        run(&format!("unshelve({id})")).await["incident"]["shelved"],
        Value::Null
    );
    for (bad, code) in [
        (
            format!("shelve({id}, until: \"{}\", reason: \"x\")", until(9)),
            "BAD_INPUT",
        ),
        (
            format!("shelve({id}, until: \"{}\", reason: \"x\")", until(0)),
            "BAD_INPUT",
        ),
        (
            format!("shelve({id}, until: \"2026-11-23T03:00:00\", reason: \"x\")"),
            "GRAPHQL_INVALID",
        ),
        (format!("unshelve({id})"), "CONFLICT"),
        (format!("comment({id}, text: \"  \")"), "BAD_INPUT"),
        (format!("comment({id}, text: \"{}\")", "x".repeat(3_000)), "BAD_INPUT"),
        ("acknowledge(incidentId: \"7\")".into(), "BAD_INPUT"),
        (format!("acknowledge(incidentId: \"{}\")", IncidentId(1)), "NOT_FOUND"),
    ] {
        let query = format!("mutation {{ {bad} {{ applied }} }}");
        assert_eq!(s.client.graphql_code(&[], &query).await, code, "{bad}");
    }
    s.plant.full.store(true, Ordering::SeqCst);
    let refused = format!("mutation {{ close({id}, cause: \"belt replaced\") {{ applied }} }}");
    assert_eq!(s.client.graphql_code(&[], &refused).await, "UNAVAILABLE");
    s.plant.full.store(false, Ordering::SeqCst);
    assert_eq!(
        run(&format!("close({id}, cause: \"belt replaced\")")).await["incident"]["closedCause"],
        "belt replaced"
    );
    let again = format!("mutation {{ acknowledge({id}) {{ applied }} }}");
    assert_eq!(s.client.graphql_code(&[], &again).await, "CONFLICT");
    s.stop().await;
}

#[tokio::test]
async fn a_change_that_the_shards_have_not_come_to_is_answered_as_not_applied() {
    let s = Server::start().await;
    s.plant.behind.store(true, Ordering::SeqCst);
    let query = format!("mutation {{ acknowledge(incidentId: \"{INCIDENT}\") {{ applied incident {{ state }} }} }}");
    let data = s.client.graphql(&query).await;
    assert_eq!(
        data["acknowledge"],
        json!({"applied": false, "incident": {"state": "ACTIVE_UNACKNOWLEDGED"}})
    );
    assert_eq!(s.plant.operations.lock().unwrap().len(), 1);
    s.stop().await;
}

#[tokio::test]
async fn keys_narrow_what_a_script_may_do() {
    let s = Server::start().await;
    let ack =
        format!("mutation {{ acknowledge(incidentId: \"{INCIDENT}\") {{ incident {{ acknowledged {{ by }} }} }} }}");
    let bearer = |key: &str| format!("Bearer {key}");
    let (read, admin, ingest) = (bearer(&s.read_key), bearer(&s.admin_key), bearer(&s.ingest_key));
    let ask = async |auth: &str, query: &str| {
        s.client
            .graphql_with(&[("authorization", auth)], query, json!({}))
            .await
    };
    let viewer = ask(&read, "{ viewer { name kind canOperate } }").await.json();
    assert_eq!(
        viewer["data"]["viewer"],
        json!({"name": "read script", "kind": "KEY", "canOperate": false})
    );
    assert_eq!(
        s.client.graphql_code(&[("authorization", &read)], &ack).await,
        "FORBIDDEN"
    );
    for (auth, status, code) in [
        (ingest.as_str(), 403, "FORBIDDEN"),
        ("Bearer andon_wrong", 401, "UNAUTHENTICATED"),
        ("Basic YTpi", 401, "UNAUTHENTICATED"),
        ("", 401, "UNAUTHENTICATED"),
    ] {
        let answer = ask(auth, "{ viewer { name } }").await;
        assert_eq!(answer.status, status, "{auth}");
        assert_eq!(answer.json()["errors"][0]["extensions"]["code"], code);
        let export = s
            .client
            .send("GET", "/export.ndjson", &[("authorization", auth)], String::new())
            .await;
        assert_eq!(export.status, status);
    }
    assert!(s.plant.operations.lock().unwrap().is_empty());
    let acked = ask(&admin, &ack).await.json();
    assert_eq!(
        acked["data"]["acknowledge"]["incident"]["acknowledged"]["by"],
        "admin script"
    );
    s.stop().await;
}

#[tokio::test]
async fn a_link_shows_its_incident_and_acknowledges_it_as_its_person_and_nothing_else() {
    let s = Server::start().await;
    let other = IncidentId(0xdef);
    s.plant
        .apply(vec![Effect::Incident(Box::new(incident(other, 5)))])
        .await;
    let token = s.links.sign("anna", INCIDENT, NOW.plus(Span::hours(12)));
    let link = [("andon-link-token", token.as_str())];
    let own = format!(
        "{{ incident(id: \"{INCIDENT}\") {{ title timeline {{ text }} }} viewer {{ name kind incidentId expires }} }}"
    );
    let seen = s.client.graphql_with(&link, &own, json!({})).await.json();
    assert_eq!(seen["data"]["incident"]["title"], "belt torn <b>now</b>");
    assert_eq!(
        seen["data"]["viewer"],
        json!({"name": "Anna Krüger", "kind": "LINK", "incidentId": INCIDENT.to_string(), "expires": "2026-11-23T14:31:13.000000Z"})
    );
    let ack = |id: IncidentId| {
        format!("mutation {{ acknowledge(incidentId: \"{id}\") {{ incident {{ acknowledged {{ by }} }} }} }}")
    };
    for forbidden in [
        format!("{{ incident(id: \"{other}\") {{ title }} }}"),
        "{ incidents { nodes { id } } }".into(),
        "{ records { nodes { message } } }".into(),
        "{ status { version } }".into(),
        ack(other),
        format!("mutation {{ comment(incidentId: \"{INCIDENT}\", text: \"x\") {{ applied }} }}"),
        format!("mutation {{ close(incidentId: \"{INCIDENT}\", cause: \"x\") {{ applied }} }}"),
    ] {
        assert_eq!(
            s.client.graphql_code(&link, &forbidden).await,
            "FORBIDDEN",
            "{forbidden}"
        );
    }
    // A mail scanner follows links: GET of the page, with and without the header, changes nothing.
    for headers in [&link[..], &[]] {
        s.client
            .send(
                "GET",
                &format!("/incidents/{INCIDENT}?token={token}"),
                headers,
                String::new(),
            )
            .await;
        let get = s
            .client
            .send("GET", "/graphql?query=mutation%7Bx%7D", headers, String::new())
            .await;
        assert_eq!(get.status, 405);
    }
    assert!(s.plant.operations.lock().unwrap().is_empty());

    let export = s.client.send("GET", "/export.ndjson", &link, String::new()).await;
    assert_eq!(export.status, 403, "a link is no way to the records of the plant");

    let expired = s.links.sign("anna", INCIDENT, NOW);
    let stranger = s.links.sign("bob", INCIDENT, NOW.plus(Span::hours(1)));
    for (token, code) in [
        (expired.as_str(), "LINK_EXPIRED"),
        (stranger.as_str(), "LINK_INVALID"),
        ("nonsense", "LINK_INVALID"),
        ("", "LINK_INVALID"),
        (&token[1..], "LINK_INVALID"),
    ] {
        let bad = [("andon-link-token", token)];
        for query in [
            own.as_str(),
            &ack(INCIDENT),
            "{ viewer { name } }",
            "{ status { version } }",
        ] {
            assert_eq!(s.client.graphql_code(&bad, query).await, code, "{token:?} {query}");
        }
    }
    assert!(s.plant.operations.lock().unwrap().is_empty());

    let acked = s.client.graphql_with(&link, &ack(INCIDENT), json!({})).await.json();
    assert_eq!(
        acked["data"]["acknowledge"]["incident"]["acknowledged"]["by"],
        "Anna Krüger"
    );
    s.clock.advance(Span::hours(12));
    assert_eq!(s.client.graphql_code(&link, &own).await, "LINK_EXPIRED");
    s.clock.advance(Span::hours(-1));
    // Whoever is no longer told can no longer act.
    s.configuration.send_modify(|c| Arc::make_mut(c).recipients.clear());
    assert_eq!(s.client.graphql_code(&link, &own).await, "LINK_INVALID");
    s.stop().await;
}

#[tokio::test]
async fn queries_have_limits_and_bad_ones_a_code() {
    let s = Server::start().await;
    let nested = |n: usize| {
        format!(
            "{{ incident(id: \"{INCIDENT}\") {{ rule {{ {} id {} }} }} }}",
            "... {".repeat(n),
            "}".repeat(n)
        )
    };
    assert!(s.client.graphql(&nested(1)).await["incident"].is_object());
    let wide = |first: i32| {
        format!(
            "{{ records(first: {first}) {{ nodes {{ recordId timestamp receivedAt level message type application deviceId userId source \
                 readings {{ name value }} fields id itemId orderId location step traceId spanId fingerprint flags truncated }} }} }}"
        )
    };
    assert!(s.client.graphql(&wide(1_000)).await["records"].is_object());
    let rich = "{ incidents(first: 1000) { nodes { timeline { text who kind } } } }";
    let aliases: String = (0..60).map(|n| format!("a{n}: recordCount ")).collect();
    assert!(s.client.graphql(&format!("{{ {aliases} }}")).await.is_object());
    for (query, code) in [
        (wide(1_001), "BAD_INPUT"),
        (wide(0), "BAD_INPUT"),
        (wide(-5), "BAD_INPUT"),
        (rich.into(), "TOO_COMPLEX"),
        (nested(200), "TOO_COMPLEX"),
        ("{ records(first: 99999999999) { nodes { id } } }".into(), "GRAPHQL_INVALID"),
        ("{ nothing }".into(), "GRAPHQL_INVALID"),
        ("{ records".into(), "GRAPHQL_INVALID"),
        ("".into(), "GRAPHQL_INVALID"),
        ("{ incident(id: \"x\") { id } }".into(), "BAD_INPUT"),
        ("{ records(after: \"x\") { nodes { id } } }".into(), "BAD_INPUT"),
        ("{ records(filter: {fingerprint: \"x\"}) { nodes { id } } }".into(), "BAD_INPUT"),
        (format!("{{ records(filter: {{text: \"{}\"}}) {{ nodes {{ id }} }} }}", "a ".repeat(300)), "BAD_INPUT"),
        ("{ records(filter: {text: \"(\"}) { nodes { id } } }".to_owned(), "BAD_INPUT"),
        (format!("{{ recordCount(filter: {{deviceId: \"{}\"}}) }}", "d".repeat(129)), "BAD_INPUT"),
        ("{ rollups(device: \"d\", reading: \"r\", from: \"2026-01-01T00:00:00Z\", to: \"2026-01-09T00:00:00Z\") { min } }".into(), "BAD_INPUT"),
        ("{ rollups(device: \"d\", reading: \"r\", from: \"2026-01-02T00:00:00Z\", to: \"2026-01-01T00:00:00Z\") { min } }".into(), "BAD_INPUT"),
    ] {
        assert_eq!(s.client.graphql_code(&[], &query).await, code, "{}", &query[..query.len().min(120)]);
    }
    // Depth: 13 levels of fields cannot be written without introspection, which has a limit of its own.
    let of_type = |n: usize| {
        format!(
            "{{ __schema {{ types {{ fields {{ type {{ {} name {} }} }} }} }} }}",
            "ofType {".repeat(n),
            "}".repeat(n)
        )
    };
    assert!(s.client.graphql(&of_type(9)).await["__schema"].is_object());
    assert_eq!(s.client.graphql_code(&[], &of_type(22)).await, "TOO_COMPLEX");
    let mixed = of_type(12).replacen("{ __schema", "{ viewer { name } __schema", 1);
    assert_eq!(s.client.graphql_code(&[], &mixed).await, "TOO_COMPLEX");
    s.stop().await;
}

#[tokio::test]
async fn a_body_that_is_no_query_is_refused_before_anything_looks_at_it() {
    let s = Server::start().await;
    let json = ("content-type", "application/json");
    for (kind, body, status) in [
        (("content-type", "text/plain"), "{}".to_owned(), 415),
        (
            ("content-type", "application/x-www-form-urlencoded"),
            "query=x".into(),
            415,
        ),
        (json, "{".into(), 400),
        (json, "[]".into(), 400),
        (json, "\u{0}".into(), 400),
        (json, format!("{{\"query\":\"{}\"}}", "x".repeat(1 << 20)), 413),
        (json, format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)), 400),
    ] {
        assert_eq!(s.client.send("POST", "/graphql", &[kind], body).await.status, status);
    }
    let deep = format!("{}a{}", "{a".repeat(50_000), "}".repeat(50_000));
    assert_eq!(s.client.graphql_code(&[], &deep).await, "TOO_COMPLEX");
    assert_eq!(s.client.get("/health/live").await.status, 200);
    s.stop().await;
}
