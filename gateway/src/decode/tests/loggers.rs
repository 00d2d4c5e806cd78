//! Records as common loggers write them, and the tables of `docs/INGEST.md`, which must be what the decoder does.

use super::super::aliases::NAMES;
use super::*;
use serde_json::{Value, json};

const GUIDE: &str = include_str!("../../../../docs/INGEST.md");

/// The section of the guide under a heading.
fn section(heading: &str) -> &'static str {
    let from = GUIDE.find(heading).unwrap_or_else(|| panic!("no section {heading:?}"));
    let rest = &GUIDE[from + heading.len()..];
    &rest[..rest.find("\n## ").unwrap_or(rest.len())]
}

/// What stands between backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// The rows of the table with this head, by cells.
fn rows(section: &'static str, head: &str) -> Vec<Vec<&'static str>> {
    let table = section
        .split_once(head)
        .unwrap_or_else(|| panic!("no table {head:?}"))
        .1;
    let lines = table.lines().skip(2).take_while(|l| l.starts_with('|'));
    lines
        .map(|l| l.trim_matches('|').split('|').map(str::trim).collect())
        .collect()
}

/// A record with this one member besides what it needs to be taken; `a{b}` is a member within an object.
fn with(members: &[(&str, Value)]) -> Value {
    let mut record = json!({});
    for (notation, value) in members {
        let mut at = &mut record;
        for name in notation.trim_end_matches('}').split('{') {
            at = &mut at[name];
        }
        *at = value.clone();
    }
    record
}

/// The value of a field, as the decoder filled it.
fn filled(field: &str, record: &Value) -> String {
    let d = json(record.to_string()).unwrap();
    assert_eq!((d.records, d.rejected.len()), (1, 0), "{record}: {:?}", d.rejected);
    let batch = parsed(&d);
    let r = batch.get(0);
    match field {
        "timestamp" => r.timestamp.to_string(),
        "level" => r.level.map_or("", Level::as_str).into(),
        "message" => r.message.unwrap_or_default().into(),
        "device_id" => r.device_id.unwrap_or_default().into(),
        "application" => r.application.unwrap_or_default().into(),
        "source" => r.source.unwrap_or_default().into(),
        other => panic!("the guide names the field {other}"),
    }
}

/// Two values of a field, as a sender writes them under this name and as they are stored.
fn samples(field: &str, name: &str) -> [(Value, String); 2] {
    let same = |v: &str| (json!(v), v.to_string());
    match (field, name) {
        ("timestamp", "instant") => {
            let stamp = |s: i64| {
                (
                    json!({"epochSecond": s, "nanoOfSecond": 5_000}),
                    Timestamp(s * 1_000_000 + 5).to_string(),
                )
            };
            [stamp(1_795_401_001), stamp(1_795_401_002)]
        }
        ("timestamp", "__REALTIME_TIMESTAMP" | "timeUnixNano") => {
            let stamp = |s: i64| (json!((s * 1_000_000).to_string()), Timestamp(s * 1_000_000).to_string());
            [stamp(1_795_401_001), stamp(1_795_401_002)]
        }
        ("timestamp", _) => {
            let stamp = |s: i64| (json!(s), Timestamp(s * 1_000_000).to_string());
            [stamp(1_795_401_001), stamp(1_795_401_002)]
        }
        ("level", "levelno") => [(json!(40), "ERROR".into()), (json!(10), "DEBUG".into())],
        ("level", "severity_number" | "severityNumber" | "SeverityNumber") => {
            [(json!(17), "ERROR".into()), (json!(5), "DEBUG".into())]
        }
        ("level", "PRIORITY" | "log{syslog{severity{code}}}") => {
            [(json!("3"), "ERROR".into()), (json!(7), "DEBUG".into())]
        }
        ("level", _) => [same("ERROR"), same("DEBUG")],
        _ => [same("first"), same("second")],
    }
}

/// What a record needs besides the field under test.
fn needed(field: &str) -> Vec<(&'static str, Value)> {
    let all = [("device_id", json!("d")), ("message", json!("m"))];
    all.into_iter()
        .filter(|(name, _)| *name != field)
        .chain((field == "device_id").then(|| ("application", json!("a"))))
        .collect()
}

#[test]
fn the_guide_s_table_of_names_is_that_of_the_decoder() {
    let rows = rows(
        section("## Names of loggers and log shippers"),
        "| field | members, best first |",
    );
    assert_eq!(rows.len(), NAMES.len());
    for (row, (field, names)) in rows.iter().zip(NAMES) {
        let told = quoted(row[1]);
        let known: Vec<_> = names.iter().map(|(name, _)| *name).collect();
        assert_eq!(told, known, "{field:?}");
        let field = quoted(row[0])[0];
        for (i, name) in told.iter().enumerate() {
            let [(value, want), (later, _)] = samples(field, name);
            let mut members = needed(field);
            members.push((name, value.clone()));
            assert_eq!(filled(field, &with(&members)), want, "{field} by {name}");
            // And it goes before the next, whichever comes first.
            let Some(next) = told.get(i + 1).filter(|next| !nested(name, next)) else {
                continue;
            };
            let [_, (worse, _)] = samples(field, next);
            assert_ne!(value, later);
            for flip in [false, true] {
                let mut both = vec![(*name, value.clone()), (*next, worse.clone())];
                if flip {
                    both.reverse();
                }
                let both = needed(field).into_iter().chain(both).collect::<Vec<_>>();
                assert_eq!(filled(field, &with(&both)), want, "{field} by {name} before {next}");
            }
        }
    }
}

/// One of them is an object that the other is within, so that no record has both.
fn nested(a: &str, b: &str) -> bool {
    let within = |a: &str, b: &str| b.starts_with(&format!("{a}{{"));
    within(a, b) || within(b, a)
}

#[test]
fn the_guide_s_names_that_depend_on_others_are_those_of_the_decoder() {
    let rows = rows(
        section("## Names of loggers and log shippers"),
        "| member | beside | fills |",
    );
    assert_eq!(
        rows.len(),
        super::super::aliases::DEFERRED.len() + 1,
        "`name` means two things"
    );
    for row in rows {
        let (name, field) = (quoted(row[0])[0], quoted(row[2])[0]);
        let beside: Vec<_> = quoted(row[1])
            .into_iter()
            .map(|b| (b, if b == "pid" { json!(7) } else { json!("INFO") }))
            .collect();
        let alone = with(&[("device_id", json!("d")), ("message", json!("m")), (name, json!("x"))]);
        assert_eq!(filled(field, &alone), "", "{name} alone");
        let mut members = vec![("device_id", json!("d")), ("message", json!("m")), (name, json!("x"))];
        members.extend(beside);
        assert_eq!(filled(field, &with(&members)), "x", "{name} beside {}", row[1]);
    }
}

#[test]
fn the_guide_s_numbers_of_levels_are_those_of_the_decoder() {
    let rows = rows(section("## Levels"), "| numbers |");
    assert!(rows.len() >= 5, "{rows:?}");
    for row in rows {
        let record = quoted(row[1]).join(",");
        for (told, level) in row[2].split(", ").map(|pair| pair.split_once(' ').unwrap()) {
            let numbers: Vec<i64> = match told.split_once('–') {
                Some((from, to)) => (from.parse().unwrap()..=to.parse().unwrap()).collect(),
                None => vec![told.parse().unwrap()],
            };
            for n in numbers {
                let body = format!(
                    r#"{{"device_id":"d","message":"m",{}}}"#,
                    record.replace(":N", &format!(":{n}"))
                );
                assert_eq!(filled("level", &serde_json::from_str(&body).unwrap()), level, "{body}");
            }
        }
    }
}

#[test]
fn the_guide_s_words_of_levels_are_those_of_the_decoder() {
    let rows = rows(section("## Levels"), "| level | words |");
    assert_eq!(rows.len(), Level::ALL.len());
    for row in rows {
        for word in quoted(row[1]) {
            let body = json!({"device_id": "d", "message": "m", "level": word});
            assert_eq!(filled("level", &body), row[0], "{word}");
        }
    }
}

fn checks(cases: &[(&str, &str)]) {
    for (body, expect) in cases {
        check(body, expect);
    }
}

#[test]
fn loggers_of_python() {
    checks(&[
        // python-json-logger; its asctime has no offset, so it says nothing.
        (
            r#"{"application":"a","asctime":"2026-01-15 10:30:00,123","levelname":"ERROR","name":"plc.driver","message":"read timeout"}"#,
            r#"ERROR msg=read timeout app=a src=plc.driver {"asctime":"2026-01-15 10:30:00,123"}"#,
        ),
        (
            r#"{"application":"a","asctime":"2026-11-23T02:30:58+0000","levelno":40,"message":"m"}"#,
            r#"ERROR msg=m app=a at=-1"#,
        ),
        // structlog
        (
            r#"{"event":"torque exceeded","level":"warning","logger":"press","timestamp":"2026-11-23T02:30:58.000000Z","app":"press-2","station":4}"#,
            r#"WARN msg=torque exceeded app=press-2 src=press at=-1 {"station":4}"#,
        ),
    ]);
}

#[test]
fn loggers_of_dotnet() {
    checks(&[
        (
            r#"{"@t":"2026-11-23T02:30:58.0000000Z","@mt":"Axis {Axis} lost","@m":"Axis 3 lost","@l":"Error","@i":"7f","Axis":3,"SourceContext":"Plc.Axis","MachineName":"pc-4","Application":"mes"}"#,
            r#"ERROR msg=Axis 3 lost app=mes dev=pc-4 src=Plc.Axis at=-1 {"@mt":"Axis {Axis} lost","@i":"7f","Axis":3}"#,
        ),
        // Compact form without a level: Information.
        (
            r#"{"@t":"2026-11-23T02:30:59Z","@mt":"started","Application":"mes"}"#,
            "INFO msg=started app=mes",
        ),
        (
            r#"{"Timestamp":"2026-11-23T03:30:58.0000000+01:00","Level":"Fatal","MessageTemplate":"gone","RenderedMessage":"gone","Properties":{"SourceContext":"Plc","MachineName":"pc-4","Application":"mes"}}"#,
            r#"FATAL msg=gone app=mes dev=pc-4 src=Plc at=-1 {"MessageTemplate":"gone","Properties":{"SourceContext":"Plc","MachineName":"pc-4","Application":"mes"}}"#,
        ),
        // Microsoft.Extensions.Logging
        (
            r#"{"EventId":7,"LogLevel":"Critical","Category":"Plc.Axis","Message":"lost","application":"mes"}"#,
            r#"FATAL msg=lost app=mes src=Plc.Axis {"EventId":7}"#,
        ),
        // NLog
        (
            r#"{"time":"2026-11-23 02:30:58.0000Z","level":"Warn","logger":"Plc","message":"m","application":"mes"}"#,
            "WARN msg=m app=mes src=Plc at=-1",
        ),
        (
            r#"{"lvl":"error","message":"m","application":"a"}"#,
            "ERROR msg=m app=a",
        ),
    ]);
}

#[test]
fn loggers_of_java_and_php() {
    checks(&[
        (
            r#"{"@timestamp":"2026-11-23T03:30:58.000+01:00","@version":"1","message":"m","logger_name":"org.plant.Line","thread_name":"main","level":"WARN","level_value":30000,"app_name":"mes"}"#,
            r#"WARN msg=m app=mes src=org.plant.Line at=-1 {"@version":"1","thread_name":"main","level_value":30000}"#,
        ),
        (
            r#"{"instant":{"epochSecond":1795401058,"nanoOfSecond":500000000},"thread":"main","level":"ERROR","loggerName":"org.plant.Line","message":"m","endOfBatch":false,"application":"mes"}"#,
            r#"ERROR msg=m app=mes src=org.plant.Line at=-0.5 {"thread":"main","endOfBatch":false}"#,
        ),
        (
            r#"{"timeMillis":1795401058000,"level":"INFO","loggerName":"L","message":"m","application":"mes"}"#,
            "INFO msg=m app=mes src=L at=-1",
        ),
        // monolog: 400 is ERROR to it and would be nothing to others.
        (
            r#"{"message":"m","context":{},"level":400,"level_name":"ERROR","channel":"app","datetime":"2026-11-23T02:30:58.000000+00:00","extra":{"hostname":"web-1"}}"#,
            r#"ERROR msg=m dev=web-1 src=app at=-1 {"context":{},"level":400}"#,
        ),
        (
            r#"{"device_id":"d","message":"m","channel":"CH1","name":"Meier","Category":7}"#,
            r#"INFO msg=m dev=d {"name":"Meier","channel":"CH1","Category":7}"#,
        ),
    ]);
}

#[test]
fn loggers_of_node_and_their_numbers() {
    for (n, level) in [
        (10, "TRACE"),
        (20, "DEBUG"),
        (30, "INFO"),
        (40, "WARN"),
        (50, "ERROR"),
        (60, "FATAL"),
        (35, "INFO"),
    ] {
        for (body, expect) in [
            (
                format!(r#"{{"level":{n},"time":1795401058000,"pid":7,"hostname":"h","msg":"m"}}"#),
                format!(r#"{level} msg=m dev=h at=-1 {{"pid":7}}"#),
            ),
            (
                format!(
                    r#"{{"name":"mes","hostname":"h","pid":7,"level":{n},"msg":"m","time":"2026-11-23T02:30:58.000Z","v":0}}"#
                ),
                format!(r#"{level} msg=m app=mes dev=h at=-1 {{"pid":7,"v":0}}"#),
            ),
            // Without its base, pino writes no more than this.
            (
                format!(r#"{{"level":{n},"time":1795401058000,"msg":"m","application":"a"}}"#),
                format!("{level} msg=m app=a at=-1"),
            ),
        ] {
            check(&body, &expect);
        }
    }
    checks(&[
        // Nothing speaks for pino: OpenTelemetry's numbers.
        (r#"{"device_id":"d","message":"m","level":10}"#, "INFO msg=m dev=d"),
        (r#"{"device_id":"d","message":"m","level":20}"#, "ERROR msg=m dev=d"),
        (
            r#"{"device_id":"d","message":"m","level":20,"time":1795401059}"#,
            "ERROR msg=m dev=d",
        ),
        // Syslog's, though a process and a host are there.
        (
            r#"{"hostname":"h","pid":7,"message":"m","level":3}"#,
            r#"ERROR msg=m dev=h {"pid":7}"#,
        ),
        (
            r#"{"level":"error","message":"m","label":"line","timestamp":"2026-11-23T02:30:58Z","application":"a"}"#,
            r#"ERROR msg=m app=a at=-1 {"label":"line"}"#,
        ),
    ]);
}

#[test]
fn loggers_of_go_rust_and_the_system() {
    checks(&[
        (
            r#"{"level":"dpanic","ts":1795401058.5,"logger":"line","caller":"a.go:7","msg":"m","app":"mes"}"#,
            r#"FATAL msg=m app=mes src=line at=-0.5 {"caller":"a.go:7"}"#,
        ),
        (
            r#"{"time":"2026-11-23T02:30:58Z","level":"ERROR+2","msg":"m","app":"mes"}"#,
            "ERROR msg=m app=mes at=-1",
        ),
        (
            r#"{"timestamp":"2026-11-23T02:30:58Z","level":"WARN","fields":{"message":"m","axis":3},"target":"plc","app":"mes"}"#,
            r#"WARN msg=m app=mes at=-1 {"target":"plc","message":"m","axis":3}"#,
        ),
        // GELF
        (
            r#"{"version":"1.1","host":"pc-4","short_message":"m","full_message":"m\nat x","timestamp":1795401058.5,"level":3,"_logger_name":"L","_order":7}"#,
            r#"ERROR msg=m dev=pc-4 src=L at=-0.5 {"version":"1.1","full_message":"m\nat x","_order":7}"#,
        ),
        // journald
        (
            r#"{"__REALTIME_TIMESTAMP":"1795401058000000","PRIORITY":"3","MESSAGE":"m","_HOSTNAME":"pc-4","SYSLOG_IDENTIFIER":"opcua","_COMM":"python","_SYSTEMD_UNIT":"opcua.service"}"#,
            r#"ERROR msg=m app=opcua dev=pc-4 src=opcua.service at=-1 {"_COMM":"python"}"#,
        ),
        (
            r#"{"PRIORITY":"6","MESSAGE":[75,252,104,108,101,114],"_HOSTNAME":"pc-4","SYSLOG_IDENTIFIER":"andon"}"#,
            r#"INFO msg=Kühler dev=pc-4 {"SYSLOG_IDENTIFIER":"andon"} !latin1"#,
        ),
        (
            r#"{"device_id":"d","MESSAGE":[75,256],"msg":"m"}"#,
            r#"INFO msg=m dev=d {"MESSAGE":[75,256]}"#,
        ),
    ]);
}

#[test]
fn windows_events() {
    checks(&[
        // Fluent Bit's winevtlog: the level is Windows' own, in which 2 is an error.
        (
            r#"{"ProviderName":"Disk","EventID":7,"Level":2,"TimeCreated":"2026-11-23T02:30:58Z","Channel":"System","Computer":"pc-4","Message":"bad block"}"#,
            r#"ERROR msg=bad block dev=pc-4 src=Disk at=-1 {"EventID":7,"Channel":"System"}"#,
        ),
        (
            r#"{"ProviderName":"Disk","EventID":7,"Level":4,"Computer":"pc-4","Message":"m"}"#,
            r#"INFO msg=m dev=pc-4 src=Disk {"EventID":7}"#,
        ),
        // In German, as Get-WinEvent prints it.
        (
            r#"{"Id":7,"Level":3,"LevelDisplayName":"Warnung","MachineName":"pc-4","ProviderName":"Disk","Message":"m"}"#,
            r#"WARN msg=m dev=pc-4 src=Disk {"Id":7,"Level":3}"#,
        ),
        // winlogbeat
        (
            r#"{"@timestamp":"2026-11-23T02:30:58Z","log":{"level":"information"},"message":"m","winlog":{"computer_name":"pc-4","provider_name":"Disk","channel":"System"}}"#,
            r#"INFO msg=m dev=pc-4 src=Disk at=-1 {"winlog":{"computer_name":"pc-4","provider_name":"Disk","channel":"System"}}"#,
        ),
        // NXLog
        (
            r#"{"EventTime":"2026-11-23T02:30:58+00:00","Hostname":"pc-4","EventType":"AUDIT_FAILURE","SourceName":"Security","Message":"m"}"#,
            "WARN msg=m dev=pc-4 src=Security at=-1",
        ),
        (
            r#"{"device_id":"d","message":"m","EventType":"OrderCreated","detected_level":"unknown","Severity":"x"}"#,
            r#"INFO msg=m dev=d {"EventType":"OrderCreated","detected_level":"unknown","Severity":"x"}"#,
        ),
    ]);
}
