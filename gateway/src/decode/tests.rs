use super::*;
use andon_engine::batch::Batch;
use andon_engine::ids::JournalId;
use andon_engine::level::Level;
use andon_engine::record::Record;

const NOW: Timestamp = Timestamp(1_795_401_059_000_000);

pub(super) fn options(format: Format) -> DecodeOptions<'static> {
    DecodeOptions::new(NOW, format, "k")
}

pub(super) fn json(body: impl AsRef<[u8]>) -> Result<Decoded, DecodeError> {
    decode(body.as_ref(), &options(Format::Json))
}

pub(super) fn ndjson(body: impl AsRef<[u8]>) -> Decoded {
    decode(body.as_ref(), &options(Format::Ndjson)).unwrap()
}

pub(super) fn parsed(d: &Decoded) -> Batch<&[u8]> {
    let batch = Batch::parse(&d.batch[..], JournalId(0), 0).unwrap();
    assert_eq!(batch.len(), d.records as usize);
    batch
}

/// One accepted record, as a line of what the test is about.
pub(super) fn show(r: &Record<'_>) -> String {
    let mut out = r.level.map_or("-", Level::as_str).to_string();
    let texts = [
        ("msg", r.message),
        ("type", r.kind),
        ("app", r.application),
        ("dev", r.device_id),
        ("user", r.user_id),
        ("src", r.source),
        ("id", r.id),
        ("item", r.item_id),
        ("order", r.order_id),
        ("loc", r.location),
        ("step", r.step),
        ("trace", r.trace_id),
        ("span", r.span_id),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            out += &format!(" {name}={text}");
        }
    }
    for (name, v) in &r.readings {
        out += &format!(" {name}:{v}");
    }
    if r.timestamp != NOW {
        out += &format!(" at={}", r.timestamp.since(NOW).as_secs_f64());
    }
    if !r.fields.is_empty() {
        out += &format!(" {}", r.fields);
    }
    for flag in r.flags.names().filter(|f| *f != "time_missing") {
        out += &format!(" !{flag}");
    }
    out
}

pub(super) fn check(body: &str, expect: &str) {
    let d = json(body).unwrap();
    let got = match (&d.rejected[..], d.records) {
        ([], 1) => show(&parsed(&d).get(0)),
        ([r], 0) => format!("{}: {}", r.field, r.reason),
        other => panic!("{other:?}"),
    };
    if let Some(part) = expect.strip_prefix("~") {
        assert!(got.contains(part), "{body}\n  got {got}");
    } else {
        assert_eq!(got, expect, "{body}");
    }
}

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
            r#"{"device_id":"d","message":"m","log":{"logger":"x"}}"#,
            r#"INFO msg=m dev=d {"log":{"logger":"x"}}"#,
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
    for level in [
        r#""loud""#,
        r#""""#,
        "30",
        "-1",
        "3.5",
        "true",
        "[]",
        "1e99",
        "18446744073709551615",
    ] {
        check(
            &format!(r#"{{"device_id":"d","message":"m","level":{level}}}"#),
            "~ is no level: use TRACE",
        );
    }
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
            r#"{"device_id":"d","readings":{"t":"81"}}"#.into(),
            "~readings.t: must be a finite number, not a string".into(),
        ),
        (
            r#"{"device_id":"d","readings":{"t":null}}"#.into(),
            "~readings.t: must be a finite number, not null".into(),
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
fn a_nul_is_replaced_and_flagged_wherever_it_is() {
    for body in [
        r#"{"device_id":"d","message":"a\u0000b"}"#,
        r#"{"device_id":"d\u0000","message":"m"}"#,
        r#"{"device_id":"d","message":"m","x\u0000":1}"#,
        r#"{"device_id":"d","message":"m","fields":{"a":["\u0000"]}}"#,
        r#"{"device_id":"d","readings":{"t\u0000":1}}"#,
    ] {
        let d = json(body).unwrap();
        let batch = parsed(&d);
        let r = batch.get(0);
        assert!(r.flags.contains(Flags::NUL_REPLACED), "{body}");
        assert!(!show(&r).contains('\0') && show(&r).contains('\u{fffd}'), "{body}");
    }
}

#[test]
fn latin_1_is_read_and_flagged_and_its_neighbours_are_not() {
    let bad = b"{\"device_id\":\"d\",\"message\":\"K\xfchler \xc3\xa4\"}";
    let good = br#"{"device_id":"d","message":"ok"}"#;
    let array = [b"[", &good[..], b",", bad, b"]"].concat();
    let lines = [&good[..], b"\n", bad, b"\r\n"].concat();
    for d in [json(&array).unwrap(), ndjson(&lines)] {
        let batch = parsed(&d);
        assert_eq!(show(&batch.get(0)), "INFO msg=ok dev=d");
        // The part that was UTF-8 stays what it was.
        assert_eq!(show(&batch.get(1)), "INFO msg=K\u{fc}hler \u{e4} dev=d !latin1");
    }
    assert_eq!(
        show(&parsed(&json(bad).unwrap()).get(0)),
        "INFO msg=K\u{fc}hler \u{e4} dev=d !latin1"
    );
}

#[test]
fn a_bad_line_is_refused_alone() {
    let d = ndjson(
        "\u{feff}{\"device_id\":\"d\",\"message\":\"1\"}\r\n\r\n{\"device_id\":\"d\",\n  \n{\"device_id\":\"d\",\"message\":NaN}\n7\n{\"device_id\":\"d\",\"message\":\"5\"}",
    );
    assert_eq!((d.records, d.found, d.lines), (2, 5, true));
    let told: Vec<_> = d
        .rejected
        .iter()
        .map(|r| (r.index, r.reason.as_str(), r.excerpt.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            (
                1,
                "line 3 is not JSON: byte 17 of the record: EOF while parsing an object",
                "{\"device_id\":\"d\","
            ),
            (
                2,
                "line 5 is not JSON: byte 27 of the record: expected value",
                "{\"device_id\":\"d\",\"message\":NaN}"
            ),
            (3, "a record must be a JSON object, not a number", "7"),
        ]
    );
}

#[test]
fn lines_that_only_make_sense_together_are_refused() {
    for body in [
        "{\"device_id\":\"d\"\n\"message\":\"m\"}",
        "{\"device_id\":\"d\",\"message\":\"a\nb\"}",
        "{\"device_id\":\"d\",\"message\":\"m\",\"x\":[{\"a\":1}\n{\"b\":2}]}\n{\"device_id\":\"d\",\"message\":\"m\"},{\"device_id\":\"d\",\"message\":\"m\"}",
    ] {
        let d = ndjson(body);
        assert_eq!((d.records, d.rejected.len()), (0, body.lines().count()), "{body}");
    }
}

#[test]
fn what_a_body_is_follows_from_its_first_byte_and_type() {
    let r = r#"{"device_id":"d","message":"m"}"#;
    for (body, format, records, lines) in [
        (r.to_string(), Format::Json, 1, false),
        (format!(" \n[{r}, {r}]\n"), Format::Json, 2, false),
        (format!("\u{feff}{r}"), Format::Json, 1, false),
        (format!("{r}\n{r}\n"), Format::Json, 2, true),
        (r.replace(',', ",\n"), Format::Json, 1, false),
        (r.to_string(), Format::Ndjson, 1, true),
        (format!("[{r},{r}]"), Format::Ndjson, 2, false),
        ("[]".into(), Format::Json, 0, false),
    ] {
        let d = decode(body.as_bytes(), &options(format)).unwrap();
        assert_eq!((d.records, d.lines, d.rejected.len()), (records, lines, 0), "{body}");
    }
}

#[test]
fn a_body_that_is_not_json_says_where() {
    for (body, offset, line) in [
        ("hello", 0, 1),
        ("\n\n  hello", 4, 3),
        (r#"{"a":1"#, 6, 1),
        ("{\n\"a\":tru\n}", 9, 2),
        ("[{\"a\":1},\n{\"a\":]", 16, 2),
        ("[{\"a\":1},\n{\"a\":x}]", 15, 2),
        ("[{\"a\":1}", 8, 1),
        ("[{\"a\":1}] {}", 10, 1),
        ("[1,]", 3, 1),
        ("\"text\"", 0, 1),
        ("nul", 0, 1),
    ] {
        match json(body) {
            Err(DecodeError::Malformed { offset: o, line: l, .. }) => assert_eq!((o, l), (offset, line), "{body}"),
            other => panic!("{body}: {other:?}"),
        }
    }
    for body in ["", " \r\n ", "\u{feff}"] {
        assert_eq!(json(body).unwrap_err(), DecodeError::Empty);
    }
    assert!(matches!(json(b"\xff\xfe{\0"), Err(DecodeError::Malformed { .. })));
}

#[test]
fn a_bad_record_of_an_array_is_refused_alone_with_its_own_excerpt() {
    let good = r#"{"device_id":"d","message":"m"}"#;
    let many = vec![good; 10_000].join(",");
    for body in [
        format!(r#"[{good},{{"message":"x"}},7,{good}]"#),
        format!(r#"[{good},{{"message":"x"}},7,{many}]"#),
    ] {
        let d = json(&body).unwrap();
        let told: Vec<_> = d.rejected.iter().map(|r| (r.index, r.excerpt.as_str())).collect();
        assert_eq!(told, [(1, r#"{"message":"x"}"#), (2, "7")]);
        assert_eq!(d.found, d.records + 2);
    }
}

#[test]
fn very_long_lines_and_deep_ones_disturb_nothing() {
    let good = r#"{"device_id":"d","message":"m"}"#;
    let long = format!(r#"{{"device_id":"d","message":"{}"}}"#, "x".repeat(10 << 20));
    let deep = format!(
        r#"{{"device_id":"d","message":"m","x":{}{}}}"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    let open = "[{\"a\":".repeat(20_000);
    let d = ndjson(format!("{good}\n{long}\n{deep}\n{open}\n{good}\n"));
    assert_eq!((d.records, d.rejected.len()), (2, 3));
    assert!(d.rejected[0].reason.contains("bytes, more than the 262144 allowed"));
    assert!(d.rejected[1].reason.contains("nests deeper"));
    assert!(d.rejected[2].reason.contains("line 4 is not JSON"));
    assert!(matches!(json(&open), Err(DecodeError::Malformed { .. })));
}

#[test]
fn refusals_of_one_body_are_bounded_and_counted() {
    let d = ndjson("x\n".repeat(REJECTED_MAX + 500));
    assert_eq!(d.found as usize, REJECTED_MAX + 500);
    assert_eq!(d.rejected.len(), REJECTED_MAX + 1);
    let last = &d.rejected[REJECTED_MAX];
    assert_eq!(
        (last.index as usize, last.reason.starts_with("500 records")),
        (REJECTED_MAX, true)
    );

    let wide = format!("{}\n", "y".repeat(8_000)).repeat(1_500);
    let d = ndjson(wide);
    assert!(d.rejected.iter().map(|r| r.excerpt.len()).sum::<usize>() <= EXCERPTS_BYTES_MAX + EXCERPT_BYTES_MAX);
    assert_eq!(d.rejected.len(), 1_500);
}

#[test]
fn more_records_than_a_batch_holds_are_refused_together() {
    let line = "{\"device_id\":\"d\",\"message\":\"m\"}\n";
    let lines = line.repeat(BATCH_RECORDS_MAX);
    assert_eq!(ndjson(&lines).records as usize, BATCH_RECORDS_MAX);
    assert_eq!(
        decode((lines + line).as_bytes(), &options(Format::Ndjson)).unwrap_err(),
        DecodeError::TooMany
    );
}

#[test]
fn ids_are_hashed_with_the_key() {
    let body = r#"[{"device_id":"d","message":"m"},{"device_id":"d","message":"m","id":"i"},{"message":"x"},{"device_id":"d","message":"m","id":"j"}]"#;
    let of = |key: &str| {
        decode(body.as_bytes(), &DecodeOptions::new(NOW, Format::Json, key))
            .unwrap()
            .ids
    };
    let (a, b) = (of("a"), of("b"));
    assert_eq!(
        a.iter().map(|(place, _)| *place).collect::<Vec<_>>(),
        [1, 2],
        "places in the batch, not in the body"
    );
    assert!(a[0].1 != a[1].1 && a[0].1 != b[0].1);
    assert_eq!(a, of("a"));
}

#[test]
fn a_key_without_permission_refuses_the_whole_body() {
    let grant = Grant {
        applications: vec!["wms".into()],
        ..Grant::any("k")
    };
    let options = DecodeOptions::for_grant(NOW, Format::Json, &grant);
    let ok = r#"{"application":"wms","message":"m"}"#;
    let no = r#"{"application":"mes","message":"m"}"#;
    assert_eq!(decode(format!("[{ok},{ok}]").as_bytes(), &options).unwrap().records, 2);
    let e = decode(format!("[{ok},{no}]").as_bytes(), &options).unwrap_err();
    assert_eq!(
        e,
        DecodeError::Forbidden {
            index: 1,
            application: Some("mes".into()),
            device_id: None
        }
    );
    assert!(
        e.to_string()
            .contains("record 1, which names application \"mes\" without a device")
    );
}

#[test]
fn history_flags_each_record() {
    let options = DecodeOptions {
        history: true,
        ..options(Format::Json)
    };
    let d = decode(
        br#"[{"device_id":"d","message":"m"},{"device_id":"d","readings":{"t":1}}]"#,
        &options,
    )
    .unwrap();
    assert!(parsed(&d).iter().all(|r| r.flags.contains(Flags::HISTORY)));
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
fn our_own_application_is_nobody_elses() {
    check(
        r#"{"application":"andon","message":"m"}"#,
        "~application: application \"andon\" is reserved",
    );
    check(r#"{"application":"andon-2","message":"m"}"#, "~app=andon-2");
}
