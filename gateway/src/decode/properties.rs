//! What holds for any body.

use super::tests::{json, ndjson, options, parsed, show};
use super::*;
use proptest::prelude::*;

fn any_json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_string()),
        any::<bool>().prop_map(|b| b.to_string()),
        any::<i64>().prop_map(|n| n.to_string()),
        any::<f64>()
            .prop_filter("finite", |f| f.is_finite())
            .prop_map(|f| format!("{f:?}")),
        ".{0,12}".prop_map(|s| serde_json::to_string(&s).unwrap()),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        let name = prop_oneof![
            prop::sample::select(vec![
                "timestamp",
                "@timestamp",
                "time",
                "ts",
                "level",
                "severity",
                "log.level",
                "log",
                "message",
                "msg",
                "device_id",
                "host",
                "host.name",
                "name",
                "application",
                "service",
                "service.name",
                "readings",
                "fields",
                "id",
                "trace_id",
                "type",
                "user_id",
                "source",
                "date",
                "hostname",
                "event",
                "original",
                "kubernetes",
                "container",
                "container_name",
                "pod",
                "file",
                "path",
                "syslog",
                "levelname",
                "level_name",
                "levelno",
                "Level",
                "LogLevel",
                "Category",
                "channel",
                "pid",
                "hostname",
                "v",
                "instant",
                "epochSecond",
                "nanoOfSecond",
                "MESSAGE",
                "EventID",
                "Properties",
                "SourceContext",
                "logger",
                "app"
            ])
            .prop_map(String::from),
            "[a-z]{1,3}",
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|v| format!("[{}]", v.join(","))),
            prop::collection::vec((name, inner), 0..8).prop_map(|m| {
                let members: Vec<_> = m
                    .into_iter()
                    .map(|(k, v)| format!("{}:{v}", serde_json::to_string(&k).unwrap()))
                    .collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

/// Records that are mostly acceptable.
fn any_record() -> impl Strategy<Value = String> {
    (any_json(), ".{1,20}", prop::option::of("[a-z]{1,9}")).prop_map(|(x, message, id)| {
        let id = id.map_or(String::new(), |i| format!(",\"id\":\"{i}\""));
        format!(
            "{{\"device_id\":\"d\",\"x\":{x},\"message\":{}{id}}}",
            serde_json::to_string(&message).unwrap()
        )
    })
}

fn records(d: &Decoded) -> Vec<String> {
    parsed(d).iter().map(|r| show(&r)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn arbitrary_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..300)) {
        for format in [Format::Json, Format::Ndjson] {
            if let Ok(d) = decode(&body, &options(format)) {
                prop_assert_eq!(d.found as usize, parsed(&d).len() + d.rejected.len());
            }
        }
    }

    #[test]
    fn nearly_json_never_panics(parts in prop::collection::vec(prop::sample::select(vec![
        "{", "}", "[", "]", ",", ":", "\"", "\\", "\n", "0", "-", "1e9", "true", "\"message\":\"m\"", "\"device_id\":\"d\"", "\"fields\"", "\u{0}", "\u{e9}", " ",
        "{\"device_id\":\"d\",\"message\":\"m\"}",
    ]), 0..40)) {
        let body = parts.concat();
        for format in [Format::Json, Format::Ndjson] {
            if let Ok(d) = decode(body.as_bytes(), &options(format)) {
                prop_assert_eq!(d.found as usize, parsed(&d).len() + d.rejected.len());
            }
        }
    }

    #[test]
    fn any_json_is_accepted_or_refused_with_a_reason(values in prop::collection::vec(any_json(), 1..6)) {
        let d = json(format!("[{}]", values.join(","))).unwrap();
        prop_assert_eq!(d.found as usize, values.len());
        for (i, r) in d.rejected.iter().enumerate() {
            prop_assert!(!r.reason.is_empty() && !r.excerpt.is_empty(), "{i}");
        }
        for r in parsed(&d).iter().filter(|r| !r.fields.is_empty()) {
            let fields: serde_json::Value = serde_json::from_str(r.fields).unwrap();
            prop_assert!(fields.is_object());
        }
    }

    #[test]
    fn lines_and_an_array_of_the_same_records_are_equal(values in prop::collection::vec(prop_oneof![any_record(), any_json()], 1..12),
                                                        blank in any::<bool>(), repeat in prop_oneof![30 => Just(1usize), 1 => Just(400)]) {
        let values: Vec<String> = values.iter().cycle().take(values.len() * repeat).cloned().collect();
        let array = json(format!("[{}]", values.join(","))).unwrap();
        let end = if blank { "\r\n\r\n" } else { "\n" };
        // A line that is an array makes a body of its own kind when it is the first.
        prop_assume!(!values[0].starts_with('['));
        let lines = ndjson(values.join(end));
        prop_assert_eq!(&array.batch, &lines.batch);
        prop_assert_eq!(&array.ids, &lines.ids);
        prop_assert_eq!(&array.rejected, &lines.rejected);
        // Objects need no line of their own.
        if values.iter().all(|v| v.starts_with('{')) {
            let stream = json(values.concat()).unwrap();
            prop_assert_eq!(&array.batch, &stream.batch);
            prop_assert_eq!(&array.rejected, &stream.rejected);
        }
        // And so is each by itself.
        let single: Vec<String> = values.iter().filter(|v| v.starts_with('{')).flat_map(|v| records(&json(v).unwrap())).collect();
        prop_assert_eq!(records(&lines), single);
    }
}
