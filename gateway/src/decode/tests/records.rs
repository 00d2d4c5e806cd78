//! One record: names, values, limits, and what is said of those that break a rule.

use super::*;
use andon_engine::limits::RECORD_BYTES_MAX;

#[test]
fn our_own_names() {
    for (body, expect) in [
        (r#"{"device_id":"d","message":"m"}"#, "INFO msg=m dev=d"),
        (
            r#"{"application":"a","message":"m","level":"error","type":"x.y"}"#,
            "ERROR msg=m type=x.y app=a",
        ),
        (
            r#"{"application":"a","device_id":"d","user_id":"u","source":"s","id":"i","item_id":"t","order_id":"o","location":"l","step":"p","trace_id":"0aF","span_id":"9","message":"m"}"#,
            "INFO msg=m app=a dev=d user=u src=s id=i item=t order=o loc=l step=p trace=0aF span=9",
        ),
        (
            r#"{"device_id":"d","readings":{"t":81.4,"n":-3}}"#,
            "- dev=d t:81.4 n:-3",
        ),
        (
            r#"{"device_id":"d","readings":{"t":1},"level":"warn"}"#,
            "WARN dev=d t:1",
        ),
        (r#"{"device_id":"d","readings":{"t":1,"t":2}}"#, "- dev=d t:2"),
        (r#"{"device_id":"d","message":"m","readings":{}}"#, "INFO msg=m dev=d"),
        (r#"{"device_id":"d","message":"","readings":{"t":1}}"#, "- dev=d t:1"),
        (
            r#"{"device_id":"d","message":"m","id":17,"fields":{"a":[1,{"b":null}]}}"#,
            r#"INFO msg=m dev=d id=17 {"a":[1,{"b":null}]}"#,
        ),
        (r#"{"device_id":"d","message":"m","fields":{}}"#, "INFO msg=m dev=d"),
        (
            r#"{"device_id":"d","message":"m","user_id":null,"readings":null,"fields":null,"level":null}"#,
            "INFO msg=m dev=d",
        ),
        (r#"{"message":"a","device_id":"d","message":"b"}"#, "INFO msg=b dev=d"),
        (
            r#"{"device_id":"d","message":"caf\u00e9 \ud83d\ude00"}"#,
            "INFO msg=caf\u{e9} \u{1f600} dev=d",
        ),
    ] {
        check(body, expect);
    }
}

#[test]
fn what_shippers_write() {
    for (body, expect) in [
        (r#"{"host.name":"h","msg":"m","severity":"ERR"}"#, "ERROR msg=m dev=h"),
        (
            r#"{"service.name":"s","log":"m","log.level":"fatal"}"#,
            "FATAL msg=m app=s",
        ),
        (
            r#"{"host":{"name":"h"},"service":{"name":"s"},"log":{"level":"warn"},"message":"m"}"#,
            "WARN msg=m app=s dev=h",
        ),
        (
            r#"{"host":{"name":"h","ip":"1"},"message":"m"}"#,
            r#"INFO msg=m dev=h {"host":{"name":"h","ip":"1"}}"#,
        ),
        (
            r#"{"host":"h","device_id":"d","message":"m"}"#,
            r#"INFO msg=m dev=d {"host":"h"}"#,
        ),
        // Our own name wins, in either order; the other is kept.
        (
            r#"{"device_id":"d","host.name":"h","message":"m"}"#,
            r#"INFO msg=m dev=d {"host.name":"h"}"#,
        ),
        (
            r#"{"host.name":"h","device_id":"d","message":"m"}"#,
            r#"INFO msg=m dev=d {"host.name":"h"}"#,
        ),
        (
            r#"{"device_id":"d","host":{"name":"h"},"message":"m"}"#,
            r#"INFO msg=m dev=d {"host":{"name":"h"}}"#,
        ),
        (
            r#"{"device_id":"d","log":"raw","msg":"m"}"#,
            r#"INFO msg=m dev=d {"log":"raw"}"#,
        ),
        (
            r#"{"device_id":"d","log.level":"debug","severity":"warn","level":"error","message":"m"}"#,
            r#"ERROR msg=m dev=d {"log.level":"debug","severity":"warn"}"#,
        ),
        (r#"{"device_id":"d","message":null,"msg":"m"}"#, "INFO msg=m dev=d"),
        // What cannot fill the field is an ordinary member.
        (
            r#"{"device_id":"d","message":"m","log":{"origin":"x"}}"#,
            r#"INFO msg=m dev=d {"log":{"origin":"x"}}"#,
        ),
        (
            r#"{"device_id":"d","message":"m","time":{"took":3},"msg":4,"severity":null}"#,
            r#"INFO msg=m dev=d {"time":{"took":3},"msg":4}"#,
        ),
        (
            r#"{"device_id":"d","message":"m","host.name":"","service":{"name":7}}"#,
            r#"INFO msg=m dev=d {"host.name":"","service":{"name":7}}"#,
        ),
        (
            r#"{"device_id":"d","message":"m","ts":1795401058.5,"time":"2026-11-23T02:30:58Z"}"#,
            r#"INFO msg=m dev=d at=-1 {"ts":1795401058.5}"#,
        ),
        (
            r#"{"device_id":"d","message":"m","@timestamp":"2026-11-23T02:30:57.000Z","time":1}"#,
            r#"INFO msg=m dev=d at=-2 {"time":1}"#,
        ),
        // Other members.
        (
            r#"{"device_id":"d","message":"m","pid":7,"fields":{"a":1}}"#,
            r#"INFO msg=m dev=d {"pid":7,"a":1}"#,
        ),
        (
            r#"{"device_id":"d","message":"m","a":1,"fields":{"a":2},"a":3}"#,
            r#"INFO msg=m dev=d {"a":2}"#,
        ),
        (
            r#"{"device_id":"d","message":"m","big":123456789012345678901234567890}"#,
            r#"INFO msg=m dev=d {"big":1.2345678901234568e+29}"#,
        ),
    ] {
        check(body, expect);
    }
}

#[test]
fn levels() {
    for (level, expect) in [
        (r#""Warning""#, "WARN"),
        ("3", "ERROR"),
        (r#""3""#, "ERROR"),
        ("3.0", "ERROR"),
        ("17", "ERROR"),
        ("21", "FATAL"),
    ] {
        check(
            &format!(r#"{{"device_id":"d","message":"m","level":{level}}}"#),
            &format!("{expect} msg=m dev=d"),
        );
    }
    // One that means nothing loses no record: it is WARN, and kept as it came.
    for (level, kept) in [
        (r#""loud""#, r#""loud""#),
        ("25", "25"),
        ("100", "100"),
        ("-1", "-1"),
        ("3.5", "3.5"),
        ("true", "true"),
        ("[]", "[]"),
        (r#"{"x":1}"#, r#"{"x":1}"#),
        ("1e99", "1e+99"),
        ("18446744073709551615", "18446744073709551615"),
    ] {
        check(
            &format!(r#"{{"device_id":"d","message":"m","level":{level}}}"#),
            &format!(r#"WARN msg=m dev=d {{"level":{kept}}} !level_unknown"#),
        );
    }
    // A text without a word is none.
    for level in [r#""""#, r#""  ""#, "null"] {
        check(
            &format!(r#"{{"device_id":"d","message":"m","level":{level}}}"#),
            "INFO msg=m dev=d",
        );
    }
}

#[test]
fn levels_that_are_not_known_are_counted_and_the_first_few_named() {
    let lines: Vec<_> = (0..30)
        .map(|i| {
            format!(
                r#"{{"device_id":"d","message":"m","level":"odd {}"}}"#,
                char::from(b'k' + i % 10)
            )
        })
        .collect();
    let bad = r#"{"level":"of a record that is refused","message":"m"}"#;
    let long = format!(r#"{{"device_id":"d","message":"m","level":"{}"}}"#, "x".repeat(1_000));
    let d = ndjson(format!("{long}\n{bad}\n{}", lines.join("\n")));
    assert_eq!((d.records, d.rejected.len(), d.unknown_levels.records), (31, 1, 31));
    let words = &d.unknown_levels.words;
    assert_eq!((words.len(), words[0].len(), words[1].as_str()), (8, 40, "odd k"));
}

#[test]
fn times() {
    for (time, expect) in [
        (r#""2026-11-23T02:30:49Z""#, " at=-10"),
        (r#""2026-11-23 03:30:49+01:00""#, " at=-10"),
        ("1795401049", " at=-10"),
        ("1795401049000", " at=-10"),
        ("1795401049000000", " at=-10"),
        ("1795401049000000000", " at=-10"),
        (r#""1795401049000""#, " at=-10"),
        // Five minutes ahead is a clock's fault that we bear; a microsecond more is not.
        ("1795401359", " at=300"),
        ("1795401359000001", " !clock_skew"),
        (r#""2262-01-01T00:00:00Z""#, " !clock_skew"),
        // The stamp is kept as it came; judging takes the receipt.
        ("0", " at=-1795401059 !clock_unset"),
    ] {
        check(
            &format!(r#"{{"device_id":"d","message":"m","timestamp":{time}}}"#),
            &format!("INFO msg=m dev=d{expect}"),
        );
    }
    for (time, part) in [
        (
            r#""2026-11-23T02:30:49""#,
            "timestamp: \"2026-11-23T02:30:49\" has no offset from UTC: add \"Z\"",
        ),
        (r#""soon""#, "is not a time"),
        ("-5", "before 1970"),
        ("true", "must be a time"),
    ] {
        check(
            &format!(r#"{{"device_id":"d","message":"m","timestamp":{time}}}"#),
            &format!("~{part}"),
        );
    }
    let missing = json(r#"{"device_id":"d","message":"m"}"#).unwrap();
    let record = parsed(&missing);
    assert!(record.get(0).flags.contains(Flags::TIME_MISSING));
    assert_eq!(record.get(0).received_at, NOW);
}

#[test]
fn what_is_refused_says_which_field_and_why() {
    let long = "x".repeat(129);
    for (body, expect) in [
        (
            r#"{"message":"m"}"#.into(),
            "application: neither application nor device_id is given: a record needs at least one of them".into(),
        ),
        (
            r#"{"device_id":"d"}"#.into(),
            "message: message is missing: a record needs a message or readings".into(),
        ),
        (
            r#"{"device_id":"d","message":""}"#.into(),
            "~message: message is missing".into(),
        ),
        (
            r#"{"device_id":"d","message":7}"#.into(),
            "message: must be a string, not a number".into(),
        ),
        (
            r#"{"device_id":7,"message":"m"}"#.into(),
            "device_id: must be a string, not a number".into(),
        ),
        (
            r#"{"device_id":"","message":"m"}"#.into(),
            "device_id: is empty: leave it out or give 1 to 128 bytes".into(),
        ),
        (
            format!(r#"{{"device_id":"{long}","message":"m"}}"#),
            "device_id: has 129 bytes, more than the 128 allowed".into(),
        ),
        (
            format!(r#"{{"host.name":"{long}","message":"m"}}"#),
            "host.name: has 129 bytes, more than the 128 allowed".into(),
        ),
        (
            format!(r#"{{"device_id":"d","message":"m","id":"{long}"}}"#),
            "~id: has 129 bytes".into(),
        ),
        (
            r#"{"device_id":"d","message":"m","id":{}}"#.into(),
            "id: must be a string, not an object".into(),
        ),
        (
            r#"{"device_id":"d","message":"m","trace_id":"xyz"}"#.into(),
            "trace_id: must be 1 to 32 hexadecimal digits".into(),
        ),
        (
            r#"{"device_id":"d","message":"m","fields":[1]}"#.into(),
            "fields: must be an object, not an array".into(),
        ),
        (
            r#"{"device_id":"d","readings":[1]}"#.into(),
            "~readings: must be an object of name to number, not an array".into(),
        ),
        (
            r#"{"device_id":"d","readings":{"t":"N","p":true}}"#.into(),
            "readings.t: must be a finite number, not a string: leave it out when there is none".into(),
        ),
        (
            r#"{"device_id":"d","readings":{"t":null}}"#.into(),
            "~message is missing".into(),
        ),
        (
            r#"{"device_id":"d","readings":{"":1}}"#.into(),
            "~readings: a name in it is empty".into(),
        ),
        (
            format!(r#"{{"device_id":"d","readings":{{"{long}":1}}}}"#),
            "~readings: a name in it has 129 bytes".into(),
        ),
        (
            r#"{"device_id":"d","message":"m","t":1e999}"#.into(),
            "~beyond the range of 64-bit floats".into(),
        ),
        (
            format!(r#"{{"device_id":"d","readings":{{"t":{}}}}}"#, "9".repeat(400)),
            "~finite".into(),
        ),
        (
            format!(r#"{{"device_id":"d","message":"m","t":{}}}"#, "9".repeat(400)),
            "~too large".into(),
        ),
    ] {
        let body: String = body;
        let expect: String = expect;
        if expect.starts_with("~finite") || expect.starts_with("~too large") {
            // Which of the two checks finds an endless integer is the parser's affair.
            let d = json(&body).unwrap();
            assert_eq!((d.records, d.rejected.len()), (0, 1), "{body}");
            continue;
        }
        check(&body, &expect);
    }
}

#[test]
fn a_reading_that_is_a_number_in_a_text_is_read_and_one_that_is_null_is_absent() {
    for (readings, expect) in [
        (r#"{"t":"23.4","p":1.2}"#, "t:23.4 p:1.2"),
        (r#"{"t":" -7 ","p":"1e3","q":"+.5"}"#, "t:-7 p:1000 q:0.5"),
        (r#"{"t":null,"p":1.2}"#, "p:1.2"),
        (r#"{"t":1,"t":"2"}"#, "t:2"),
    ] {
        let body = format!(r#"{{"device_id":"d","readings":{readings}}}"#);
        check(&body, &format!("- dev=d {expect}"));
        assert_eq!(json(body).unwrap().left_out, LeftOut::default());
    }
}

#[test]
fn a_reading_that_is_none_takes_neither_its_record_nor_the_others_with_it() {
    let long = "x".repeat(129);
    for (channel, kept, field, reason) in [
        (
            r#""t":true"#,
            r#"{"t":true}"#,
            "readings.t",
            "must be a finite number, not a boolean",
        ),
        (
            r#""t":"N""#,
            r#"{"t":"N"}"#,
            "readings.t",
            "must be a finite number, not a string",
        ),
        (
            r#""t":"23,4""#,
            r#"{"t":"23,4"}"#,
            "readings.t",
            "write the decimal point",
        ),
        (
            r#""t":"NaN""#,
            r#"{"t":"NaN"}"#,
            "readings.t",
            "must be a finite number, not a string",
        ),
        (
            r#""t":"-inf""#,
            r#"{"t":"-inf"}"#,
            "readings.t",
            "must be a finite number, not a string",
        ),
        (
            r#""t":"""#,
            r#"{"t":""}"#,
            "readings.t",
            "must be a finite number, not a string",
        ),
        (r#""t":[1]"#, "", "readings.t", "must be a finite number, not an array"),
        (
            &format!(r#""t":"{long}""#),
            "",
            "readings.t",
            "must be a finite number, not a string",
        ),
        (r#""":5"#, "", "readings", "a name in it is empty"),
        (&format!(r#""{long}":5"#), "", "readings", "a name in it has 129 bytes"),
    ] {
        let body = format!(r#"[{GOOD},{{"device_id":"d","message":"m","readings":{{{channel},"p":1.2}}}}]"#);
        let d = json(&body).unwrap();
        assert_eq!((d.records, d.rejected.len(), d.left_out.count), (2, 0, 1), "{body}");
        let shown = show(&parsed(&d).get(1));
        let kept = if kept.is_empty() {
            String::new()
        } else {
            format!(" {kept}")
        };
        assert_eq!(shown, format!("INFO msg=m dev=d p:1.2{kept}"), "{body}");
        let named = &d.left_out.named[0];
        assert_eq!((named.index, named.field.as_str()), (1, field), "{body}");
        assert!(named.reason.contains(reason), "{body}: {}", named.reason);
    }
    // What the sender says under `fields` counts, and a refused record leaves nothing out.
    check(
        r#"{"device_id":"d","message":"m","readings":{"t":true},"fields":{"t":1}}"#,
        r#"INFO msg=m dev=d {"t":1}"#,
    );
    let refused = json(r#"{"device_id":"d","message":"m","readings":{"t":true},"type":7}"#).unwrap();
    assert_eq!((refused.rejected.len(), refused.left_out), (1, LeftOut::default()));
}

#[test]
fn readings_left_out_are_counted_and_the_first_named() {
    let readings = (0..60).map(|i| format!("\"r{i}\":true")).collect::<Vec<_>>().join(",");
    let line = format!(r#"{{"device_id":"d","message":"m","readings":{{{readings}}}}}"#);
    let d = ndjson(vec![line; 5].join("\n"));
    assert_eq!((d.left_out.count, d.left_out.named.len()), (300, 100));
    let last = &d.left_out.named[99];
    assert_eq!((last.index, last.field.as_str()), (1, "readings.r39"));
}

#[test]
fn limits_hold_at_the_edge_and_one_past_it() {
    let readings = |n: usize| (0..n).map(|i| format!("\"r{i}\":1")).collect::<Vec<_>>().join(",");
    let nested = |n: usize| format!("{}1{}", "{\"a\":".repeat(n), "}".repeat(n));
    let of = |member: String| format!(r#"{{"device_id":"d","message":"m",{member}}}"#);
    let record = |bytes: usize| {
        let frame = r#"{"device_id":"d","message":""}"#.len();
        format!(r#"{{"device_id":"d","message":"{}"}}"#, "m".repeat(bytes - frame))
    };
    for (what, body, ok) in [
        ("readings", of(format!(r#""readings":{{{}}}"#, readings(64))), true),
        ("readings", of(format!(r#""readings":{{{}}}"#, readings(65))), false),
        (
            "field bytes",
            of(format!(r#""fields":{{"a":"{}"}}"#, "x".repeat(32 * 1024 - 8))),
            true,
        ),
        (
            "field bytes",
            of(format!(r#""fields":{{"a":"{}"}}"#, "x".repeat(32 * 1024 - 7))),
            false,
        ),
        (
            "depth",
            of(format!(r#""fields":{}"#, nested(value::FIELDS_DEPTH_MAX))),
            true,
        ),
        (
            "depth",
            of(format!(r#""fields":{}"#, nested(value::FIELDS_DEPTH_MAX + 1))),
            false,
        ),
        ("parser's depth", of(format!(r#""fields":{}"#, nested(1_100))), false),
        ("type", of(format!(r#""type":"{}""#, "t".repeat(256))), true),
        ("type", of(format!(r#""type":"{}""#, "t".repeat(257))), false),
        ("key", of(format!(r#""step":"{}""#, "t".repeat(128))), true),
        ("record", record(RECORD_BYTES_MAX), true),
        ("record", record(RECORD_BYTES_MAX + 1), false),
    ] {
        for (form, d) in [
            ("object", json(&body)),
            ("array", json(format!("[{body}]"))),
            ("large array", json(format!("[{body},{body}]"))),
            ("lines", Ok(ndjson(format!("{body}\n{body}\n")))),
        ] {
            let d = d.unwrap_or_else(|e| panic!("{what} as {form}: {e}"));
            assert_eq!(
                d.rejected.is_empty(),
                ok,
                "{what} as {form}: {:?}",
                d.rejected.first().map(|r| &r.reason)
            );
            assert_eq!(
                d.found,
                if form == "object" || form == "array" { 1 } else { 2 },
                "{what} as {form}"
            );
            assert!(
                d.rejected
                    .iter()
                    .all(|r| r.excerpt.len() <= EXCERPT_BYTES_MAX && !r.excerpt.is_empty())
            );
        }
    }
}

#[test]
fn our_own_application_is_nobody_elses() {
    check(
        r#"{"application":"andon","message":"m"}"#,
        "~application: application \"andon\" is reserved",
    );
    check(r#"{"application":"andon-2","message":"m"}"#, "~app=andon-2");
}

#[test]
fn the_fingerprint_is_of_the_message_and_none_of_readings_alone() {
    let d = json(r#"[{"device_id":"d","message":"m"},{"device_id":"d","readings":{"t":1}}]"#).unwrap();
    let batch = parsed(&d);
    assert_eq!(
        batch.get(0).fingerprint,
        andon_engine::fingerprint::fingerprint(None, None, "m")
    );
    assert_eq!(batch.get(1).fingerprint, 0);
}

#[test]
fn null_takes_back_no_member_of_the_same_name() {
    check(
        r#"{"device_id":"d","message":"m","id":"x","id":null,"order_id":"o","order_id":null}"#,
        "INFO msg=m dev=d id=x order=o",
    );
}

#[test]
fn words_that_an_administrator_mapped_for_a_key_are_its_levels() {
    let words = LevelWords::new([("loud", Level::Error), ("Alarm", Level::Warn), ("99", Level::Debug)]);
    let grant = Grant {
        levels: Some(words.into()),
        ..Grant::any("k")
    };
    let options = DecodeOptions::for_grant(NOW, Format::Json, &grant);
    let of = |level: &str| {
        let body = format!(r#"{{"device_id":"d","message":"m","level":{level}}}"#);
        let d = decode(body.as_bytes(), &options).unwrap();
        let r = parsed(&d);
        (
            r.get(0).level,
            r.get(0).flags.contains(Flags::LEVEL_UNKNOWN),
            d.unknown_levels.records,
        )
    };
    assert_eq!(of(r#"" LOUD ""#), (Some(Level::Error), false, 0));
    assert_eq!(of("99"), (Some(Level::Debug), false, 0));
    // Over what the word means elsewhere.
    assert_eq!(of(r#""ALARM""#), (Some(Level::Warn), false, 0));
    assert_eq!(of(r#""error""#), (Some(Level::Error), false, 0));
    assert_eq!(of(r#""quiet""#), (Some(Level::Warn), true, 1));
}
