use super::*;
use proptest::prelude::*;

#[test]
fn variable_parts_are_masked_and_what_names_the_fault_stays() {
    for (message, want) in [
        ("", ""),
        ("motor overload", "motor overload"),
        (
            "order 8812 failed after 3 tries",
            "order <num> failed after <num> tries",
        ),
        ("temperature 81.4 above -12,5", "temperature <num> above <num>"),
        ("t=-3.5e-7, n=+4", "t=<num>, n=<num>"),
        ("slow: 950ms", "slow: <num>"),
        ("slow: 1.2s", "slow: <num>"),
        ("slow: 12µs", "slow: <num>"),
        ("slow: 1m30.5s", "slow: <num>"),
        ("81 °C", "<num> °C"),
        ("81°C", "<num>°C"),
        ("items [1,2,3]", "items [<num>]"),
        ("AGV12 lost CNV-03", "AGV<num> lost CNV-<num>"),
        ("worker_17 of line3.5", "worker_<num> of line<num>"),
        ("serial 8a3fz and A1B2", "serial <id> and <id>"),
        ("at 0xDEADbeef in 7f3a99c0", "at <hex> in <hex>"),
        ("the decade facade", "the decade facade"),
        ("id 550e8400-e29b-41d4-a716-446655440000.", "id <uuid>."),
        ("from 10.0.0.12:8080", "from <ip>:<num>"),
        ("version 1.2.3", "version <num>"),
        ("via fe80::1 and 2001:db8:0:0:0:0:2:1", "via <ip> and <ip>"),
        ("mac 00:1a:2b:3c:4d:5e", "mac <hex>"),
        ("std::string bad: add", "std::string bad: add"),
        ("at 2026-10-25T02:00:00.123+01:00 x", "at <time> x"),
        ("on 2026-10-25, 02:00:01,5", "on <time>, <time>"),
        ("item \"SKU 1\" in 'bin 2' of `x`", "item <str> in <str> of <str>"),
        ("can't open the operator's 'door'", "can't open the operator's <str>"),
        ("unclosed \"text 1", "unclosed \"text <num>"),
        ("a \\\" b \"c \\\" d\" e", "a \\\" b <str> e"),
        ("open /var/log/x-1.log: denied", "open <path>: denied"),
        ("open C:\\plc\\db1.dat failed", "open <path> failed"),
        ("share \\\\srv2\\data gone", "share <path> gone"),
        ("N/A and/or 12 km/h", "N/A and/or <num> km/h"),
        (
            "GET https://wms.local:8080/orders/1?x=2 failed",
            "GET https://wms.local:<num><path> failed",
        ),
        ("F0x0021 MTR_OVL CNV-03", "F0x0021 MTR_OVL CNV-<num>"),
        ("E42: door open 3", "E42: door open <num>"),
        ("P000123 lost", "P<num> lost"),
        ("HTTP status 404 for order 404", "HTTP status 404 for order <num>"),
        ("exit code 137", "exit code 137"),
        ("fault code: 0x21", "fault code: 0x21"),
        ("barcode 12345", "barcode <num>"),
        ("position error 17", "position error <num>"),
        (
            r#"{"errorType":"LOCALIZATION_ERROR","agv": "A7","n":3}"#,
            r#"{"errorType":"LOCALIZATION_ERROR","agv": <str>,"n":<num>}"#,
        ),
        ("Störung an Förderer 7", "Störung an Förderer <num>"),
        ("Größe 7x9 ü8", "Größe <id> ü<num>"),
    ] {
        assert_eq!(template(message).0, want, "{message:?}");
    }
}

#[test]
fn the_same_fault_with_other_ids_is_the_same_and_another_fault_is_not() {
    let f = |m: &str| fingerprint(Some("wms"), Some("MV.no_read"), m);
    let mut seen = std::collections::HashSet::new();
    for n in 0..1_000u64 {
        let id = format!(
            "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
            n * 7919,
            n,
            n & 0xfff,
            n & 0xfff,
            n * 104_729
        );
        seen.insert(f(&format!(
            "order {} not found (request {id}, took {}ms at 10.0.{}.7)",
            n * n,
            n,
            n % 250
        )));
    }
    assert_eq!(seen.len(), 1);
    let faults = [
        "order 1 not found",
        "order 1 not allocated",
        "F0x0021 trip",
        "F0x0022 trip",
        "status 404",
        "status 500",
    ];
    let distinct: std::collections::HashSet<u64> = faults.iter().map(|m| f(m)).collect();
    assert_eq!(distinct.len(), faults.len());
}

#[test]
fn application_and_type_are_part_of_it_and_cannot_run_into_each_other() {
    let all = [
        fingerprint(None, None, "ab"),
        fingerprint(Some(""), None, "ab"),
        fingerprint(None, Some(""), "ab"),
        fingerprint(Some("a"), None, "b"),
        fingerprint(None, Some("a"), "b"),
        fingerprint(Some("ab"), None, ""),
        fingerprint(Some("a"), Some("b"), ""),
    ];
    let distinct: std::collections::HashSet<u64> = all.into_iter().collect();
    assert_eq!(distinct.len(), all.len());
}

/// Short messages are hashed in one go and long ones as a stream: at the border nothing changes.
#[test]
fn it_is_the_plain_hash_of_its_parts_at_every_length() {
    for len in 200..300 {
        let message = format!("{} 17 x", "a".repeat(len));
        let plain = [b"wms\xff\xfe", template(&message).0.as_bytes()].concat();
        let want = xxhash_rust::xxh3::xxh3_64(&plain);
        assert_eq!(fingerprint(Some("wms"), None, &message), want, "{len}");
        assert_eq!(
            fingerprint_of_template(Some("wms"), None, &template(&message).0),
            want,
            "{len}"
        );
    }
}

/// Each of these would take minutes were the scan quadratic.
#[test]
fn a_hostile_message_takes_linear_time() {
    for unit in [
        "'a ",
        "\"",
        "`x'",
        "aa:",
        "1:",
        "a1",
        "1,",
        "0x",
        "//",
        "://",
        "\\\\",
        "-1",
        "\"a\"   :",
        "12:34:",
        "C:\\",
        "é1'",
    ] {
        let message = unit.repeat(256 * 1024 / unit.len());
        let (text, masked) = template(&message);
        assert!(!text.is_empty() || masked.is_empty());
        assert_eq!(
            fingerprint(None, None, &message),
            fingerprint_of_template(None, None, &text),
            "{unit:?}"
        );
    }
}

fn messages() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("order".to_owned()),
        Just(" ".to_owned()),
        Just("code ".to_owned()),
        "[0-9]{1,4}",
        "[a-f0-9]{1,12}",
        "[-+.,:/\\\\\"'`{}=#_x ]{1,3}",
        "0x[0-9a-f]{0,6}",
        "[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}",
        "\\PC{0,4}",
        Just("µs".to_owned()),
        Just("\n".to_owned()),
        Just("https://h/p?q".to_owned()),
    ];
    proptest::collection::vec(part, 0..12).prop_map(|v| v.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_streamed_hash_is_the_hash_of_the_template(message in messages(), app in proptest::option::of("[a-z]{0,3}")) {
        let (text, _) = template(&message);
        let app = app.as_deref();
        prop_assert_eq!(fingerprint(app, None, &message), fingerprint_of_template(app, None, &text));
        prop_assert_ne!(fingerprint(app, None, &message), 0);
    }

    /// Putting each placeholder back in the place of its range rebuilds the template: ranges are ascending, disjoint,
    /// not empty and on character borders, and everything outside them stays.
    #[test]
    fn the_ranges_say_exactly_what_was_masked(message in messages()) {
        let (text, ranges) = template(&message);
        let mut at = 0;
        let mut rest = text.as_str();
        for r in &ranges {
            prop_assert!(r.start >= at && r.end > r.start);
            let kept = message.get(at..r.start);
            prop_assert!(kept.is_some(), "{:?} splits a character", r);
            rest = rest.strip_prefix(kept.unwrap_or_default()).expect("what lies between two masks stays");
            let close = rest.find('>').expect("a placeholder");
            prop_assert!(["<num", "<id", "<hex", "<uuid", "<ip", "<time", "<str", "<path"].contains(&&rest[..close]));
            rest = &rest[close + 1..];
            at = r.end;
        }
        prop_assert_eq!(Some(rest), message.get(at..));
    }

    #[test]
    fn any_number_reads_as_any_other(a in any::<u32>(), b in any::<u32>(), c in any::<i16>(), d in -1e9..1e9f64) {
        let say = |n: &dyn std::fmt::Display| fingerprint(None, None, &format!("parcel {n} of tote T-{n} lost at x={n}mm"));
        prop_assert_eq!(say(&a), say(&b));
        prop_assert_eq!(fingerprint(None, None, &format!("off by {c} mm")), fingerprint(None, None, &format!("off by {d} mm")));
    }
}

#[test]
fn colour_codes_are_no_part_of_a_message() {
    let of = |message| fingerprint(Some("wms"), None, message);
    let coloured = "\u{1b}[31mbelt \u{1b}[1mtorn\u{1b}[0m at CNV-03 after 12\u{1b}[32mms\u{1b}[0m";
    assert_eq!(of(coloured), of("belt torn at CNV-03 after 12ms"));
    assert_eq!(template(coloured).0, "belt torn at CNV-<num> after <num>");
    // Other control characters are as they were.
    assert_ne!(of("belt\u{7} torn"), of("belt torn"));
}
