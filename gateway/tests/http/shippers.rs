//! What Logstash, Filebeat and Fluent Bit send, as their pages describe it, over real HTTP. The bodies are in `shippers/`.

use crate::harness::*;
use andon_engine::record::Record;
use serde_json::{Value, json};

/// What Andon made of a record, but for its fields.
fn told(r: &Record<'_>) -> String {
    let texts = [
        ("app", r.application),
        ("dev", r.device_id),
        ("src", r.source),
        ("type", r.kind),
        ("id", r.id),
    ];
    let mut out = format!("{} {}", r.level.map_or("-", |l| l.as_str()), r.timestamp.to_jiff());
    for (name, text) in texts {
        if let Some(text) = text {
            out += &format!(" {name}={text}");
        }
    }
    let flags: String = r.flags.names().map(|f| format!(" !{f}")).collect();
    format!("{out}{flags}: {}", r.message.unwrap_or_default())
}

/// Posts the body, and compares each record with what it should have become: the line that [`told`] makes of it, and its fields, which are
/// the event without the members named in `taken`.
async fn check(headers: &str, body: &str, expect: &[(&str, &[&str])]) {
    let server = start().await;
    let events: Vec<Value> = match serde_json::from_str(body) {
        Ok(Value::Array(events)) => events,
        _ => body.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
    };
    assert_eq!(events.len(), expect.len());
    let answer = server.post_with(headers, body).await;
    assert_eq!(
        (answer.status, answer.json()),
        (202, json!({"accepted": events.len(), "duplicates": 0, "rejected": []}))
    );
    let entry = server.journal.entries().remove(0);
    for ((record, event), (line, taken)) in entry.batch().iter().zip(events).zip(expect) {
        assert_eq!(told(&record), *line);
        let Value::Object(mut rest) = event else {
            panic!("an event is an object")
        };
        for name in *taken {
            rest.remove(*name)
                .unwrap_or_else(|| panic!("{line}: no {name} to take"));
        }
        // Filebeat's own `fields` are ours.
        if let Some(Value::Object(inner)) = rest.remove("fields") {
            rest.extend(inner);
        }
        let fields: Value = serde_json::from_str(record.fields).unwrap_or(json!({}));
        assert_eq!(fields, Value::Object(rest), "{line}");
    }
}

/// Logstash 8 and 9 in their default mode, ECS v8: the file input (<https://www.elastic.co/docs/reference/logstash/plugins/plugins-inputs-file>,
/// "Compatibility with the Elastic Common Schema"), the syslog input
/// (<https://www.elastic.co/docs/reference/logstash/plugins/plugins-inputs-syslog>), and fields of
/// <https://www.elastic.co/docs/reference/ecs/ecs-log>. `json_batch` is one array
/// (<https://www.elastic.co/docs/reference/logstash/plugins/plugins-outputs-http>).
#[tokio::test]
async fn logstash_in_ecs_mode() {
    check(
        "",
        include_str!("shippers/logstash-ecs.json"),
        &[
            (
                "ERROR 2026-11-23T02:30:58.123456Z dev=packer-3 src=/var/log/packer/app.log: drive 7: overcurrent",
                &["@timestamp", "host", "message", "level"],
            ),
            (
                "ERROR 2026-11-23T02:30:57Z dev=switch-9: port 12 down",
                &["@timestamp", "message"],
            ),
            (
                "WARN 2026-11-23T02:30:56.5Z app=wms dev=edge-1 src=allocation: raw line, kept by no filter",
                &["@timestamp", "host", "event"],
            ),
        ],
    )
    .await;
}

/// Logstash with `pipeline.ecs_compatibility: disabled`, its default up to version 7: the same pages, column "ECS disabled". The syslog
/// input leaves a `timestamp` that only its `@timestamp` makes sense of.
#[tokio::test]
async fn logstash_before_ecs() {
    check(
        "",
        include_str!("shippers/logstash-legacy.json"),
        &[
            (
                "INFO 2026-11-23T02:30:58.5Z dev=oven-2 type=oven.log: zone 4 above limit\r",
                &["@timestamp", "host", "type", "message"],
            ),
            (
                "ERROR 2026-11-23T02:30:55Z dev=10.0.4.9: port 12 down",
                &["@timestamp", "host", "severity", "message"],
            ),
        ],
    )
    .await;
}

/// Filebeat 8 through Logstash: <https://www.elastic.co/docs/reference/beats/filebeat/exported-fields-log>, `exported-fields-beat-common`,
/// `exported-fields-ecs`, `exported-fields-kubernetes-processor` and `exported-fields-docker-processor` beside it; the tag and
/// `event.original` are the beats input's (<https://www.elastic.co/docs/reference/logstash/plugins/plugins-inputs-beats>).
#[tokio::test]
async fn filebeat_by_logstash() {
    check(
        "",
        include_str!("shippers/filebeat.json"),
        &[
            (
                "INFO 2026-11-23T02:30:58.001Z dev=line-pc-3 src=/var/log/line/conveyor.log: conveyor 12 stopped",
                &["@timestamp", "message"],
            ),
            // The path is longer than a source may be.
            (
                "INFO 2026-11-23T02:30:57.002Z app=allocation dev=node-b src=wms-allocation-7c9d8f6b5d-x2x4q: allocation failed",
                &["@timestamp", "message"],
            ),
            (
                "ERROR 2026-11-23T02:30:56.003Z app=mes dev=mes-1 src=/var/log/mes/mes.json: label printer offline",
                &["@timestamp", "message", "host"],
            ),
        ],
    )
    .await;
}

/// Keys that Filebeat decoded from the line of a library that logs ECS, names with dots left as they are:
/// <https://www.elastic.co/docs/reference/ecs/logging/intro>, <https://www.elastic.co/guide/en/ecs-logging/php/current/setup.html>.
#[tokio::test]
async fn ecs_logging_with_dotted_names() {
    check(
        "Content-Type: application/x-ndjson\r\n",
        include_str!("shippers/ecs-logging.ndjson"),
        &[
            (
                "WARN 2026-11-23T02:30:58.061Z app=weighing dev=scale-4 src=/var/log/weighing.json: scale drifts",
                &[
                    "@timestamp",
                    "log.level",
                    "message",
                    "service.name",
                    "log.file.path",
                    "host.name",
                ],
            ),
            (
                "ERROR 2026-11-23T02:30:58.061Z app=weighing src=MyLogger: no answer",
                &["@timestamp", "log.level", "log", "message", "service.name"],
            ),
        ],
    )
    .await;
}

/// Fluent Bit 5.1, `format json`: the date as `double`, `epoch`, `iso8601` and `epoch_ms`
/// (<https://docs.fluentbit.io/manual/data-pipeline/outputs/http>), a container's record
/// (<https://docs.fluentbit.io/manual/data-pipeline/filters/kubernetes>), a record of <https://docs.fluentbit.io/manual/data-pipeline/filters/record-modifier>,
/// one of <https://docs.fluentbit.io/manual/data-pipeline/inputs/syslog>, and one as the parser `mongodb` of its `parsers.conf` leaves it.
#[tokio::test]
async fn fluent_bit_as_an_array() {
    check(
        "User-Agent: Fluent-Bit\r\n",
        include_str!("shippers/fluent-bit.json"),
        &[
            (
                "ERROR 2026-11-23T02:30:58.123456Z app=picking dev=node-a src=picking-5d4f8c7b9-k2lqp: pick station 4: light curtain broken",
                &["date", "log", "level"],
            ),
            (
                "INFO 2026-11-23T02:30:57Z dev=press-2: hydraulic pressure low",
                &["date", "hostname", "log"],
            ),
            (
                "INFO 2026-11-23T02:30:56.25Z dev=gate-1: door 4 forced",
                &["date", "host", "message"],
            ),
            (
                "INFO 2026-11-23T02:30:55.321Z dev=mongo-1: slow query",
                &["date", "host", "severity", "message"],
            ),
        ],
    )
    .await;
}

/// Fluent Bit as `deploy/fluent-bit/fluent-bit.conf` sets it up: `format json_lines`, `json_date_key @timestamp`, an id of each record.
#[tokio::test]
async fn fluent_bit_as_lines_once_however_often() {
    let (headers, body) = (
        "Content-Type: application/x-ndjson\r\n",
        include_str!("shippers/fluent-bit.ndjson"),
    );
    check(
        headers,
        body,
        &[
            (
                "INFO 2026-11-23T02:30:58.000001Z dev=belt-2 id=0e9c1f8c-5f1c-4c55-9d57-2f2f6d1b2a10: belt 2 slips",
                &["@timestamp", "log", "device_id", "id"],
            ),
            (
                "INFO 2026-11-23T02:30:58.000002Z dev=belt-2 id=9bd6c7b6-1de5-4f8e-86d0-b2a3a3cf2b11: belt 2 stopped",
                &["@timestamp", "log", "device_id", "id"],
            ),
        ],
    )
    .await;
    let server = start().await;
    server.post_with(headers, body).await;
    let again = server.post_with(headers, body).await;
    assert_eq!(again.json(), json!({"accepted": 0, "duplicates": 2, "rejected": []}));
    assert_eq!(server.journal.messages(), ["belt 2 slips", "belt 2 stopped"]);
}

/// A batch of Logstash's, each event with the id that `deploy/logstash/andon.conf` gives it.
fn batch(ids: impl IntoIterator<Item = u32>) -> String {
    let event = |n: u32| {
        json!({"@timestamp": "2026-11-23T02:30:58.123Z", "host": {"name": "packer-3"}, "message": format!("m{n}"),
               "id": format!("{n:064x}")})
    };
    Value::Array(ids.into_iter().map(event).collect()).to_string()
}

#[tokio::test]
async fn a_batch_that_logstash_retries_is_stored_once() {
    let server = start().await;
    // It was taken, but the answer was lost; or the answer was 503 and nothing was. Logstash sends the same again.
    server.journal.set(Mode::Fail(andon_gateway::IntakeError::Full));
    assert_eq!(server.post(batch(0..125)).await.status, 503);
    server.journal.set(Mode::Take);
    let first = server.post(batch(0..125)).await;
    assert_eq!(first.json(), json!({"accepted": 125, "duplicates": 0, "rejected": []}));
    let again = server.post(batch(0..125)).await;
    assert_eq!(
        (again.status, again.json()),
        (202, json!({"accepted": 0, "duplicates": 125, "rejected": []}))
    );
    // After a restart of Logstash its queue hands the events out in other batches.
    let other = server.post(batch(100..140)).await;
    assert_eq!(other.json(), json!({"accepted": 15, "duplicates": 25, "rejected": []}));
    let mut messages = server.journal.messages();
    messages.sort();
    messages.dedup();
    assert_eq!((messages.len(), server.journal.messages().len()), (140, 140));
}

#[tokio::test]
async fn one_bad_event_of_a_batch_is_refused_alone() {
    let server = start().await;
    let mut events: Vec<Value> = serde_json::from_str(&batch(0..3)).unwrap();
    events[1]["type"] = json!(7);
    let answer = server.post(Value::Array(events).to_string()).await;
    let reply = answer.json();
    // 202: the http output takes it for done and sends neither the good ones again nor the bad one for ever.
    assert_eq!((answer.status, &reply["accepted"]), (202, &json!(2)));
    assert_eq!(
        (&reply["rejected"][0]["index"], &reply["rejected"][0]["field"]),
        (&json!(1), &json!("type"))
    );
    let entry = &server.journal.entries()[0];
    assert_eq!(server.journal.messages(), ["m0", "m2"]);
    assert!(entry.rejected[0].excerpt.contains("\"message\":\"m1\""));
}
