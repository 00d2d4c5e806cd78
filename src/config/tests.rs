use super::*;

fn build(text: &str) -> Result<Configuration, Faults> {
    parse(text).and_then(|f| configuration(&f, &[]))
}

#[test]
fn an_empty_file_has_the_default_rules() {
    let c = build("version = 1").unwrap();
    assert_eq!(c.rules.len(), 7);
    assert!(nobody_would_be_mailed(&c).is_some());
}

#[test]
fn alert_to_makes_the_default_route() {
    let c = configuration(&parse("version = 1").unwrap(), &["a@example.com".into()]).unwrap();
    assert_eq!(c.routes[0].recipients.len(), 1);
    assert_eq!(nobody_would_be_mailed(&c), None);
}

#[test]
fn rules_of_every_kind_are_read() {
    let c = build(
        r#"
        version = 1
        default_rules = false
        [[rules]]
        id = "hot"
        subject = "device"
        priority = "P2"
        devices = ["press-1"]
        limit = { reading = "temperature", above = 100.0, deadband = 2, on_delay = "10m" }
        [[rules]]
        id = "errors"
        subject = "application"
        priority = "P1"
        min_level = "error"
        count = { n = 3, within = "1h 30m" }
        [[rules]]
        id = "quiet"
        subject = "device"
        priority = "P3"
        silence = { after = "10m" }
        [[mute_windows]]
        id = "night"
        reason = "nobody is in"
        start = "22:00"
        end = "06:00"
        time_zone = "Europe/Berlin"
        days = ["mon", "Fri"]
        "#,
    )
    .unwrap();
    assert_eq!(
        c.rules[1].condition,
        Condition::Count {
            count: 3,
            within: Span::mins(90)
        }
    );
    let MuteSchedule::Recurring { days, start_minute, .. } = &c.mute_windows[0].schedule else {
        panic!("recurring")
    };
    assert_eq!((days.as_slice(), *start_minute), (&[1, 5][..], 1320));
}

#[test]
fn all_faults_are_reported_at_once() {
    let faults = build(
        r#"
        version = 2
        colour = "red"
        [server]
        port = 1
        [[rules]]
        id = "x"
        [[devices]]
        id = "d"
        klass = "c"
        [[sites]]
        id = "s"
        name = "S"
        time_zone = "UTC"
        clock = "c"
        [[routes]]
        id = "r"
        channels = [{ kind = "webhook", name = "n", url = "http://127.0.0.1:1", header = "h" }]
        "#,
    )
    .unwrap_err()
    .0;
    let all = faults.join("\n");
    for part in [
        "version",
        "colour",
        "server",
        "rules \"x\"",
        "devices \"d\"",
        "sites \"s\"",
        "routes \"r\"",
    ] {
        assert!(all.contains(part), "{part} in {all}");
    }
    assert_eq!(faults.len(), 7, "{all}");
}

#[test]
fn faults_of_the_whole_are_found_together() {
    let faults = build(
        r#"
        version = 1
        [[rules]]
        id = "x"
        subject = "device"
        priority = "P2"
        route = "nowhere"
        off_delay = "soon"
        min_level = "loud"
        limit = { reading = "t", above = 1.0, below = 0.0 }
        [[rules]]
        id = "y"
        subject = "device"
        priority = "P2"
        route = "nowhere"
        off_delay = "soon"
        count = { n = 0, within = "60s" }
        [[recipients]]
        id = "bad"
        email = "nobody"
        [[recipients]]
        id = "dots"
        email = "shift..lead@docomo.example"
        [[sites]]
        id = "s"
        name = "S"
        time_zone = "Mars/Olympus"
        [levels.a1b2]
        loud = "very"
        "#,
    )
    .unwrap_err()
    .0
    .join("\n");
    for part in [
        "exactly one of above and below",
        "count.n",
        "no route \"nowhere\"",
        "soon",
        "not an e-mail",
        "Mars/Olympus",
        "recipients \"dots\": \"shift..lead@docomo.example\"",
        "quote it: \"shift..lead\"@docomo.example",
        "levels.a1b2: \"loud\"",
    ] {
        assert!(faults.contains(part), "{part} in {faults}");
    }
}

#[test]
fn lengths_of_time() {
    for (text, want) in [
        ("90s", Some(90)),
        ("5m", Some(300)),
        ("1h 30m", Some(5400)),
        ("7d", Some(604_800)),
        ("soon", None),
        ("-5s", None),
    ] {
        assert_eq!(span(text).ok(), want.map(Span::secs), "{text}");
    }
}

#[test]
fn words_of_a_key_s_senders_are_levels() {
    let file = parse(
        r#"
        version = 1
        [levels.a1b2]
        loud = "error"
        "Stufe 3" = "FATAL"
        7 = "DEBUG"
        "#,
    )
    .unwrap();
    let (words, faults) = level_words(&file);
    assert!(faults.is_empty(), "{faults:?}");
    let of_key = &words["a1b2"];
    assert_eq!(of_key.get(" LOUD"), Some(Level::Error));
    assert_eq!(of_key.get("stufe 3"), Some(Level::Fatal));
    assert_eq!(of_key.get("7"), Some(Level::Debug));
    assert_eq!(of_key.get("quiet"), None);
}

#[test]
fn a_silence_selects_devices_and_not_records() {
    let silence = |selection: &str| {
        build(&format!(
            "version = 1\n[[rules]]\nid = \"quiet\"\nsubject = \"device\"\npriority = \"P3\"\n\
             silence = {{ after = \"10m\" }}\n{selection}"
        ))
    };
    for selection in ["devices = [\"a\"]", "device_classes = [\"a\"]", "areas = [\"a\"]"] {
        silence(selection).unwrap();
    }
    for (name, value) in [
        ("applications", "[\"a\"]"),
        ("users", "[\"a\"]"),
        ("type", "\"a\""),
        ("min_level", "\"error\""),
        ("without", "[\"application\"]"),
        ("fields", "{ line = \"3\" }"),
    ] {
        let faults = silence(&format!("{name} = {value}")).unwrap_err().0;
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].starts_with("rules \"quiet\": "), "{faults:?}");
        assert!(faults[0].contains(&format!("remove {name}. ")), "{faults:?}");
    }
}

/// The promise is one e-mail in five minutes, of every rule; who wants another says so.
#[test]
fn nothing_passes_the_throttle_unless_the_file_says_so() {
    let c = configuration(&parse("version = 1").unwrap(), &["a@example.com".into()]).unwrap();
    assert!(c.rules.iter().all(|r| !r.passes_throttle));
    let c = build(
        r#"
        version = 1
        [[rules]]
        id = "fire"
        subject = "device"
        priority = "P1"
        count = { n = 1, within = "60s" }
        email_at_once = true
        [[rules]]
        id = "other"
        subject = "device"
        priority = "P1"
        count = { n = 1, within = "60s" }
        [[recipients]]
        id = "anna"
        email = "anna@example.com"
        email_at_once = true
        [[recipients]]
        id = "bernd"
        email = "bernd@example.com"
        [[routes]]
        id = "r"
        channels = [
            { kind = "webhook", name = "w", url = "http://127.0.0.1:1" },
            { kind = "webhook", name = "held", url = "http://127.0.0.1:2", at_once = false },
            { kind = "slack", name = "s", url_secret = "s" },
            { kind = "slack", name = "now", url_secret = "s", at_once = true },
        ]
        "#,
    )
    .unwrap();
    let passing: Vec<&str> = c
        .rules
        .iter()
        .filter(|r| r.passes_throttle)
        .map(|r| r.id.as_str())
        .collect();
    assert_eq!(passing, ["fire"]);
    assert_eq!(
        c.recipients.iter().map(|r| r.passes_throttle).collect::<Vec<_>>(),
        [true, false]
    );
    let at_once: Vec<bool> = c.routes[0].channels.iter().map(Channel::is_at_once).collect();
    assert_eq!(at_once, [true, false, false, true]);
}

#[test]
fn a_name_is_one_channel_and_the_fault_names_both_places() {
    let channel = |url: &str| format!("channels = [{{ kind = \"webhook\", name = \"mes\", url = \"{url}\" }}]");
    let with = |a: &str, b: &str| {
        let (a, b) = (channel(a), channel(b));
        build(&format!(
            "version = 1\n[[routes]]\nid = \"hall-1\"\n{a}\n[[routes]]\nid = \"hall-2\"\n{b}"
        ))
    };
    let fault = with("http://127.0.0.1:1", "http://127.0.0.1:2").unwrap_err().0;
    assert_eq!(fault.len(), 1, "{fault:?}");
    for part in [
        "routes \"hall-2\", channel \"mes\"",
        "routes \"hall-1\"",
        "another name",
    ] {
        assert!(fault[0].contains(part), "{part} in {fault:?}");
    }
    assert!(
        with("http://127.0.0.1:1", "http://127.0.0.1:1").is_ok(),
        "two routes may use one channel"
    );
    let twice = "version = 1\n[[routes]]\nid = \"r\"\nchannels = [\
        { kind = \"slack\", name = \"x\", url_secret = \"a\" }, { kind = \"webhook\", name = \"x\", url = \"http://127.0.0.1:1\" }, \
        { kind = \"slack\", name = \"email\", url_secret = \"a\" }]";
    let faults = build(twice).unwrap_err().0;
    assert_eq!(faults.len(), 2, "{faults:?}");
}

/// However it is written, it is one mailbox.
#[test]
fn an_address_of_alert_to_is_the_person_who_has_it() {
    let text = "version = 1\n[[recipients]]\nid = \"anna\"\nemail = \"anna@Plant.Example\"";
    let to = ["anna@plant.example", "anna@PLANT.example", "Anna@plant.example"].map(str::to_owned);
    let c = configuration(&parse(text).unwrap(), &to).unwrap();
    let ids: Vec<&str> = c.routes[0].recipients.iter().map(|r| r.as_str()).collect();
    assert_eq!(ids, ["anna", "Anna@plant.example"], "before the @ case may matter");
}
