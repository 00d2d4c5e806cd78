//! Recent records and traces: what the fast state has, asked over a real socket.

use crate::common::{INCIDENT, NOW, Server, record};
use andon_engine::level::Level;
use andon_engine::record::Record;
use andon_engine::time::{Span, Timestamp};
use andon_storage::ports::fast_state::{READINGS_AHEAD, READINGS_KEPT, RECENT_MAX, TRACE_POINTS_MAX};
use serde_json::{Value, json};

/// A log record of an application.
fn of<'a>(application: &'a str, at: i64, message: &'a str) -> Record<'a> {
    Record {
        application: Some(application),
        ..record(at, "CNV-03", message)
    }
}

/// A record of readings only, `ago` before now.
fn readings<'a>(device: &'a str, ago: Span, readings: Vec<(&'a str, f64)>) -> Record<'a> {
    Record {
        timestamp: NOW.minus(ago),
        received_at: NOW,
        device_id: Some(device),
        readings,
        ..Record::default()
    }
}

fn messages(records: &Value) -> Vec<&str> {
    let records = records.as_array().unwrap();
    records.iter().map(|r| r["message"].as_str().unwrap()).collect()
}

/// The points of a trace: microseconds since `NOW`, and the value.
fn points(trace: &Value) -> Vec<(i64, f64)> {
    let point = |p: &Value| {
        let at: Timestamp = p["at"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().into();
        (at.since(NOW).as_micros(), p["value"].as_f64().unwrap())
    };
    trace.as_array().unwrap().iter().map(point).collect()
}

impl Server {
    /// The points of `trace` with these arguments.
    async fn trace(&self, arguments: &str) -> Vec<(i64, f64)> {
        let data = self
            .client
            .graphql(&format!("{{ trace({arguments}) {{ at value }} }}"))
            .await;
        points(&data["trace"])
    }

    async fn message_of(&self, query: &str) -> String {
        let answer = self.client.graphql_with(&[], query, json!({})).await.json();
        answer["errors"][0]["message"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn recent_records_are_the_application_s_last_and_whole() {
    let s = Server::start().await;
    let hostile = "<script>alert(1)</script> \u{202e}x \"q\" '; DROP TABLE";
    let full = Record {
        kind: Some("equipment.drive"),
        fields: r#"{"weight":21.5}"#,
        readings: vec![("temperature", 81.5)],
        ..of("wms", 9, hostile)
    };
    let measured = Record {
        application: Some("wms"),
        ..readings("CNV-03", Span::ZERO, vec![("speed", 1.0)])
    };
    s.store(1, &[of("wms", 8, "first"), full, of("mes", 7, "of another"), measured])
        .await;
    // Dated before the others, but it came in after them.
    s.store(2, &[of("wms", -60_000_000, "late"), record(5, "CNV-03", "of none")])
        .await;

    let all = "recordId timestamp receivedAt level message type application deviceId userId source readings { name value } fields id itemId \
               orderId location step traceId spanId fingerprint flags truncated";
    let data = s
        .client
        .graphql(&format!(
            "{{ recentRecords(application: \"wms\") {{ {all} }} records(filter: {{application: \"wms\"}}) {{ nodes {{ {all} }} }} }}"
        ))
        .await;
    let recent = &data["recentRecords"];
    assert_eq!(messages(recent), ["late", hostile, "first"]);
    assert_eq!(recent[1]["fields"], r#"{"weight":21.5}"#);
    // The very records that the index has, which sorts them by event time.
    assert_eq!(data["records"]["nodes"], json!([recent[1], recent[2], recent[0]]));

    for (application, first, want) in [
        ("wms", 1, &["late"][..]),
        ("wms", 2, &["late", hostile]),
        ("wms", 1_000, &["late", hostile, "first"]),
        ("mes", 50, &["of another"]),
        ("nobody", 50, &[]),
        ("WMS", 50, &[]),
        ("", 50, &[]),
    ] {
        let query = format!("{{ recentRecords(application: \"{application}\", first: {first}) {{ message }} }}");
        assert_eq!(
            messages(&s.client.graphql(&query).await["recentRecords"]),
            want,
            "{query}"
        );
    }
    s.stop().await;
}

#[tokio::test]
async fn fifty_recent_records_come_unless_more_are_asked_for_and_a_hundred_are_all_there_are() {
    let s = Server::start().await;
    let texts: Vec<String> = (0..RECENT_MAX + 20).map(|n| format!("message {n}")).collect();
    let records: Vec<Record<'_>> = texts.iter().map(|t| of("wms", 0, t)).collect();
    s.store(1, &records).await;
    let newest: Vec<&str> = texts.iter().rev().map(String::as_str).collect();
    for (first, want) in [("", 50), (", first: 51", 51), (", first: 1000", RECENT_MAX as usize)] {
        let query = format!("{{ recentRecords(application: \"wms\"{first}) {{ message }} }}");
        assert_eq!(
            messages(&s.client.graphql(&query).await["recentRecords"]),
            newest[..want],
            "{query}"
        );
    }
    s.stop().await;
}

#[tokio::test]
async fn a_trace_has_the_raw_readings_of_its_device_oldest_first() {
    let s = Server::start().await;
    let logged = Record {
        level: Some(Level::Warn),
        readings: vec![("temperature", 79.25)],
        ..record(-30_000_000, "CNV-03", "hot")
    };
    s.store(
        1,
        &[
            readings("CNV-03", Span::secs(10), vec![("temperature", 81.5), ("speed", 1.25)]),
            readings("CNV-03", Span::secs(20), vec![("temperature", -80.0)]),
            readings("CNV-04", Span::secs(10), vec![("temperature", 20.0)]),
            logged,
        ],
    )
    .await;
    let temperature = [(-30_000_000, 79.25), (-20_000_000, -80.0), (-10_000_000, 81.5)];
    let of = "deviceId: \"CNV-03\", reading: \"temperature\"";
    assert_eq!(s.trace(of).await, temperature);
    assert_eq!(
        s.trace("deviceId: \"CNV-03\", reading: \"speed\"").await,
        [(-10_000_000, 1.25)]
    );
    assert_eq!(
        s.trace("deviceId: \"CNV-04\", reading: \"temperature\"").await,
        [(-10_000_000, 20.0)]
    );
    for nothing in [
        "deviceId: \"CNV-04\", reading: \"speed\"",
        "deviceId: \"CNV-05\", reading: \"temperature\"",
        "deviceId: \"\", reading: \"\"",
        "deviceId: \"temperature\", reading: \"CNV-03\"",
    ] {
        assert_eq!(s.trace(nothing).await, [], "{nothing}");
    }

    let at = |micros: i64| NOW.plus(Span::micros(micros));
    for (from, to, want) in [
        // The first is included, the last is not.
        (-30_000_000, -10_000_000, &temperature[..2]),
        (-29_999_999, -9_999_999, &temperature[1..]),
        (-20_000_000, -20_000_000, &[]),
        (-3_600_000_000, 3_600_000_000, &temperature),
    ] {
        let range = format!("{of}, from: \"{}\", to: \"{}\"", at(from), at(to));
        assert_eq!(s.trace(&range).await, want, "{range}");
    }
    // Any offset names the instant: 02:30:53Z.
    let berlin = format!("{of}, from: \"2026-11-23T03:30:53+01:00\"");
    assert_eq!(s.trace(&berlin).await, temperature[1..]);
    let ends = format!("{of}, to: \"{}\"", at(-15_000_000));
    assert_eq!(s.trace(&ends).await, temperature[..2]);
    let whole_calendar = format!("{of}, from: \"-009999-01-03T00:00:00Z\", to: \"9999-12-30T00:00:00Z\"");
    assert_eq!(s.trace(&whole_calendar).await, temperature);
    s.stop().await;
}

#[tokio::test]
async fn a_trace_without_times_is_that_of_the_last_fifteen_minutes_of_the_server_s_clock() {
    let s = Server::start().await;
    s.store(
        1,
        &[
            readings("CNV-03", READINGS_KEPT, vec![("speed", 1.0)]),
            readings("CNV-03", Span::micros(1), vec![("speed", 2.0)]),
            readings("CNV-03", Span::ZERO, vec![("speed", 3.0)]),
            readings(
                "CNV-03",
                Span::micros(-READINGS_AHEAD.as_micros()),
                vec![("speed", 4.0)],
            ),
        ],
    )
    .await;
    let of = "deviceId: \"CNV-03\", reading: \"speed\"";
    let (first, last) = ((-READINGS_KEPT.as_micros(), 1.0), (READINGS_AHEAD.as_micros(), 4.0));
    assert_eq!(s.trace(of).await, [first, (-1, 2.0)]);
    let ahead = format!("{of}, to: \"{}\"", NOW.plus(Span::hours(1)));
    assert_eq!(
        s.trace(&ahead).await,
        [],
        "15 minutes before an hour from now nothing was measured"
    );
    s.clock.advance(Span::micros(1));
    assert_eq!(s.trace(of).await, [(-1, 2.0), (0, 3.0)]);
    s.clock.advance(READINGS_AHEAD);
    assert_eq!(s.trace(of).await, [(-1, 2.0), (0, 3.0), last]);
    s.clock.advance(Span::hours(1));
    assert_eq!(s.trace(of).await, []);
    s.stop().await;
}

#[tokio::test]
async fn a_long_trace_is_thinned_without_losing_its_peak() {
    let s = Server::start().await;
    let n = 2_000;
    let value = |i: i64| if i == 1_234 { 500.0 } else { (i % 7) as f64 };
    let records: Vec<Record<'_>> = (0..n)
        .map(|i| readings("CNV-03", Span::millis((n - i) * 100), vec![("speed", value(i))]))
        .collect();
    s.store(1, &records).await;
    let of = "deviceId: \"CNV-03\", reading: \"speed\"";
    let all: Vec<(i64, f64)> = (0..n).map(|i| ((i - n) * 100_000, value(i))).collect();
    assert_eq!(s.trace(&format!("{of}, points: {n}")).await, all);
    assert_eq!(s.trace(&format!("{of}, points: {TRACE_POINTS_MAX}")).await, all);
    for (points, max) in [
        ("", 500_usize),
        (", points: 20", 20),
        (", points: 2", 2),
        (", points: 1", 1),
    ] {
        let thin = s.trace(&format!("{of}{points}")).await;
        assert!((max.div_ceil(2)..=max).contains(&thin.len()), "{} of {max}", thin.len());
        assert!(thin.is_sorted_by(|a, b| a.0 < b.0), "{thin:?}");
        assert!(thin.iter().all(|p| all.contains(p)), "only what was measured: {thin:?}");
        assert!(max == 1 || thin.contains(&((1_234 - n) * 100_000, 500.0)), "{thin:?}");
    }
    s.stop().await;
}

#[tokio::test]
async fn what_cannot_be_is_refused_by_name() {
    let s = Server::start().await;
    let long = "d".repeat(129);
    let at = |h: i64| NOW.plus(Span::hours(h));
    let of = "deviceId: \"d\", reading: \"r\"";
    for (query, says) in [
        (
            "recentRecords(application: \"a\", first: 0) { message }".into(),
            "first is 0: it must be 1 to 1000",
        ),
        (
            "recentRecords(application: \"a\", first: -1) { message }".into(),
            "first is -1: it must be 1 to 1000",
        ),
        (
            "recentRecords(application: \"a\", first: 1001) { message }".into(),
            "first is 1001: it must be 1 to 1000",
        ),
        (
            format!("recentRecords(application: \"{long}\") {{ message }}"),
            "application has 129 bytes: at most 128",
        ),
        (
            format!("trace(deviceId: \"{long}\", reading: \"r\") {{ at }}"),
            "deviceId has 129 bytes: at most 128",
        ),
        (
            format!("trace(deviceId: \"d\", reading: \"{long}\") {{ at }}"),
            "reading has 129 bytes: at most 128",
        ),
        (
            format!("trace({of}, points: 0) {{ at }}"),
            "points is 0: it must be 1 to 100000",
        ),
        (
            format!("trace({of}, points: -2147483648) {{ at }}"),
            "points is -2147483648: it must be 1 to 100000",
        ),
        (
            format!("trace({of}, points: {}) {{ at }}", TRACE_POINTS_MAX + 1),
            "points is 100001: it must be 1 to 100000",
        ),
        (
            format!("trace({of}, from: \"{}\", to: \"{}\") {{ at }}", at(2), at(1)),
            "from is 2026-11-23T04:31:13.000000Z: it must not lie after to, which is 2026-11-23T03:31:13.000000Z",
        ),
        (
            format!("trace({of}, from: \"{}\") {{ at }}", at(2)),
            "from is 2026-11-23T04:31:13.000000Z: it must not lie after to, which is 2026-11-23T02:31:13.000000Z",
        ),
    ] {
        let query = format!("{{ {query} }}");
        assert_eq!(s.client.graphql_code(&[], &query).await, "BAD_INPUT", "{query}");
        let message = s.message_of(&query).await;
        assert!(message.starts_with(says), "{message}");
    }
    for query in [
        "{ recentRecords { message } }".into(),
        "{ recentRecords(application: \"a\", first: 99999999999) { message } }".into(),
        "{ trace(deviceId: \"d\") { at } }".into(),
        "{ trace(reading: \"r\") { at } }".into(),
        format!("{{ trace({of}, from: \"yesterday\") {{ at }} }}"),
        format!("{{ trace({of}, from: \"2026-11-23T02:31:13\") {{ at }} }}"),
        format!("{{ trace({of}, points: 1.5) {{ at }} }}"),
    ] {
        assert_eq!(s.client.graphql_code(&[], &query).await, "GRAPHQL_INVALID", "{query}");
    }
    let most = "d".repeat(128);
    assert_eq!(s.trace(&format!("deviceId: \"{most}\", reading: \"{most}\"")).await, []);
    s.stop().await;
}

#[tokio::test]
async fn a_query_holds_two_full_traces_or_twenty_pages_of_recent_records_and_no_more() {
    let s = Server::start().await;
    let repeated = |n: usize, field: &str| {
        let fields: String = (0..n).map(|i| format!("f{i}: {field} ")).collect();
        format!("{{ {fields} }}")
    };
    let full = "trace(deviceId: \"d\", reading: \"r\", points: 100000) { at value }";
    let usual = "trace(deviceId: \"d\", reading: \"r\") { at value }";
    let few = "trace(deviceId: \"d\", reading: \"r\", points: 1) { at }";
    let recent = "recentRecords(application: \"a\", first: 1000) { message }";
    for (field, most) in [(full, 2), (usual, 100), (few, 100), (recent, 20)] {
        let answer = s.client.graphql(&repeated(most, field)).await;
        assert_eq!(answer.as_object().unwrap().len(), most, "{field}");
        assert_eq!(
            s.client.graphql_code(&[], &repeated(most + 1, field)).await,
            "TOO_COMPLEX",
            "{field}"
        );
    }
    s.stop().await;
}

#[tokio::test]
async fn whoever_may_read_may_ask_and_a_link_out_of_an_e_mail_may_not() {
    let s = Server::start().await;
    // The device of the link's own incident too: its readings are no part of what the mail told.
    s.store(
        1,
        &[
            of("wms", 0, "secret"),
            readings("CNV-03", Span::secs(1), vec![("speed", 1.0)]),
        ],
    )
    .await;
    let token = s.links.sign("anna", INCIDENT, NOW.plus(Span::hours(12)));
    let expired = s.links.sign("anna", INCIDENT, NOW);
    let (read, ingest) = (format!("Bearer {}", s.read_key), format!("Bearer {}", s.ingest_key));
    for query in [
        "{ recentRecords(application: \"wms\") { message } }",
        "{ recentRecords(application: \"nobody\") { message } }",
        "{ trace(deviceId: \"CNV-03\", reading: \"speed\") { value } }",
        "{ trace(deviceId: \"CNV-03\", reading: \"speed\", points: 0) { value } }",
    ] {
        for (header, code) in [
            (("andon-link-token", token.as_str()), "FORBIDDEN"),
            (("andon-link-token", expired.as_str()), "LINK_EXPIRED"),
            (("andon-link-token", "nonsense"), "LINK_INVALID"),
            (("authorization", ingest.as_str()), "FORBIDDEN"),
        ] {
            let answer = s.client.graphql_with(&[header], query, json!({})).await.json();
            assert_eq!(answer["errors"][0]["extensions"]["code"], code, "{query}");
            assert!(answer["data"].is_null(), "{answer}");
        }
    }
    let both =
        "{ recentRecords(application: \"wms\") { message } trace(deviceId: \"CNV-03\", reading: \"speed\") { value } }";
    let want = json!({"recentRecords": [{"message": "secret"}], "trace": [{"value": 1.0}]});
    assert_eq!(s.client.graphql(both).await, want);
    let by_key = s
        .client
        .graphql_with(&[("authorization", &read)], both, json!({}))
        .await
        .json();
    assert_eq!(by_key["data"], want);
    s.stop().await;
}
