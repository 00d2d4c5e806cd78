//! Whole bodies: what they are, where they are broken, and what one record does to its neighbours.

use super::*;

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
                "is NaN, which JSON does not have: send null, or leave it out",
                "{\"device_id\":\"d\",\"message\":NaN}"
            ),
            (3, "a record must be a JSON object, not a number", "7"),
        ]
    );
}

#[test]
fn what_is_not_a_number_is_refused_alone_in_an_array_too() {
    for (bad, field, token) in [
        (
            r#"{"device_id":"d","message":"m","readings":{"t":NaN}}"#,
            "readings.t",
            "NaN",
        ),
        (
            r#"{"device_id":"d","message":"m","readings":{"p":1,"t": -Infinity }}"#,
            "readings.t",
            "-Infinity",
        ),
        (
            r#"{"device_id":"d","message":"a \" NaN, b","x":[1,{"y":[Infinity]}]}"#,
            "x.y",
            "Infinity",
        ),
        (r#"{"device_id":"d","message":"m","x":nan,"y":-inf}"#, "x", "nan"),
        ("NaN", "", "NaN"),
    ] {
        let many = vec![GOOD; 9_000].join(",");
        for (form, d, others) in [
            ("array", json(format!("[{GOOD},{bad},{GOOD}]")), 2),
            ("large array", json(format!("[{GOOD},{bad},{many}]")), 9_001),
            ("array of one", json(format!("[{bad}]")), 0),
            ("lines", Ok(ndjson(format!("{GOOD}\n{bad}\n{GOOD}"))), 2),
        ] {
            let d = d.unwrap_or_else(|e| panic!("{form} with {bad}: {e}"));
            assert_eq!((d.records, d.rejected.len()), (others, 1), "{form} with {bad}");
            let r = &d.rejected[0];
            assert_eq!(
                (r.index, r.field.as_str(), r.reason.as_str(), r.excerpt.as_str()),
                (
                    u32::from(others > 0),
                    field,
                    format!("is {token}, which JSON does not have: send null, or leave it out").as_str(),
                    bad
                ),
                "{form}"
            );
        }
    }
    // Any other fault leaves it a guess where the records end.
    for bad in [
        r#"{"a":NaNo}"#,
        r#"{"a":NaN,}"#,
        r#"{"a" NaN}"#,
        r#"{"a":NaN"b":1}"#,
        r#"{"a":-}"#,
        r#"{NaN:1}"#,
    ] {
        assert!(
            matches!(json(format!("[{GOOD},{bad}]")), Err(DecodeError::Malformed { .. })),
            "{bad}"
        );
    }
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
        // Fluent Bit's json_stream, and what jq prints.
        (format!("{r}{r} {r}"), Format::Json, 3, true),
        (
            format!("{0}\n{0}\n\n{r}", r.replace(',', ",\r\n")),
            Format::Json,
            3,
            true,
        ),
        (r.repeat(20_000), Format::Json, 20_000, true),
        (r.to_string(), Format::Ndjson, 1, true),
        (format!("[{r},{r}]"), Format::Ndjson, 2, false),
        ("[]".into(), Format::Json, 0, false),
    ] {
        let d = decode(body.as_bytes(), &options(format)).unwrap();
        assert_eq!((d.records, d.lines, d.rejected.len()), (records, lines, 0), "{body}");
    }
}

#[test]
fn what_stands_between_objects_is_refused_and_they_are_not() {
    let r = r#"{"device_id":"d","message":"m"}"#;
    for (body, records, excerpts) in [
        (format!("{r}{r}x{r}\n{r}{r}"), 4, vec![format!("x{r}")]),
        (format!("{r}{r},{r}"), 2, vec![format!(",{r}")]),
        (format!("{r}{r}]\n{r}"), 3, vec!["]".to_string()]),
        (format!("{r} {r} {{\"a\":{r}"), 2, vec![format!("{{\"a\":{r}")]),
        (
            format!("{r}{{\"message\":\"x\"}}{r}"),
            2,
            vec!["{\"message\":\"x\"}".to_string()],
        ),
    ] {
        let d = json(&body).unwrap();
        let told: Vec<_> = d.rejected.iter().map(|r| r.excerpt.clone()).collect();
        assert_eq!((d.records, told), (records, excerpts), "{body}");
        assert!(d.rejected.iter().all(|r| !r.reason.is_empty()));
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
fn byte_order_marks_are_no_part_of_the_data_wherever_two_files_were_joined() {
    const MARK: &str = "\u{feff}";
    let record = |n: u32| format!("{{\"device_id\":\"d\",\"message\":\"{n}\"}}");
    for body in [
        format!("{MARK}{}\r\n{}\r\n{MARK}{}\r\n", record(0), record(1), record(2)),
        format!("{}\n{MARK}\n {MARK}{}\n{}\n{MARK}", record(0), record(1), record(2)),
        format!("{}{MARK}{} {MARK}{MARK}{}", record(0), record(1), record(2)),
        format!("{MARK}[{MARK}{},{},{MARK} {}]", record(0), record(1), record(2)),
    ] {
        for format in [Format::Json, Format::Ndjson] {
            if format == Format::Ndjson && !body.contains('\n') && !body.contains('[') {
                continue;
            }
            let d = decode(body.as_bytes(), &options(format)).unwrap();
            assert_eq!(d.rejected, [], "{body:?} {format:?}");
            let batch = parsed(&d);
            let got: Vec<_> = (0..d.records as usize).map(|i| show(&batch.get(i))).collect();
            assert_eq!(
                got,
                ["INFO msg=0 dev=d", "INFO msg=1 dev=d", "INFO msg=2 dev=d"],
                "{body:?} {format:?}"
            );
        }
    }
    assert_eq!(json(MARK).unwrap_err(), DecodeError::Empty);
}

#[test]
fn utf_16_is_refused_in_words_whole_or_among_lines() {
    let wide = |text: &str, mark: &[u8], bytes: fn(u16) -> [u8; 2]| {
        [mark, &text.encode_utf16().flat_map(bytes).collect::<Vec<_>>()].concat()
    };
    let lines = format!("{GOOD}\r\n{GOOD}\r\n");
    for body in [
        wide(&lines, b"\xFF\xFE", u16::to_le_bytes),
        wide(&lines, b"\xFE\xFF", u16::to_be_bytes),
        wide(&lines, b"", u16::to_le_bytes),
        wide(&lines, b"", u16::to_be_bytes),
    ] {
        for format in [Format::Json, Format::Ndjson] {
            let e = decode(&body, &options(format)).unwrap_err().to_string();
            assert!(e.contains("UTF-16: send UTF-8"), "{e}");
        }
    }
    // PowerShell appends UTF-16 to a file of UTF-8.
    let body = [lines.as_bytes(), &wide(&lines, b"", u16::to_le_bytes)].concat();
    let d = ndjson(&body);
    assert_eq!(d.records, 2);
    assert!(d.rejected.len() >= 2);
    for r in &d.rejected {
        assert!(
            r.reason.starts_with("line ") && r.reason.contains("UTF-16") && r.reason.ends_with("send UTF-8"),
            "{}",
            r.reason
        );
    }
}
