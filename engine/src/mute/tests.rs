use super::*;
use crate::rule::MuteScope;
use proptest::prelude::*;

const MINUTE: i64 = 60_000_000;

fn utc(text: &str) -> Timestamp {
    text.parse::<jiff::Timestamp>().unwrap().into()
}
fn recurring(days: &[u8], start: &str, end: &str, zone: &str) -> MuteSchedule {
    let minute = |t: &str| {
        let (h, m) = t.split_once(':').unwrap();
        h.parse::<u16>().unwrap() * 60 + m.parse::<u16>().unwrap()
    };
    MuteSchedule::Recurring {
        days: days.to_vec(),
        start_minute: minute(start),
        end_minute: minute(end),
        time_zone: Arc::from(zone),
    }
}
fn window(schedule: MuteSchedule) -> MuteWindow {
    MuteWindow {
        id: Arc::from("w"),
        reason: Arc::from("night shift"),
        scope: MuteScope::default(),
        schedule,
        includes_safety: false,
    }
}
/// First and last minute that is covered between two instants, and how many are.
fn covered(schedule: &MuteSchedule, from: &str, to: &str) -> (String, String, usize) {
    let s = Schedule::compile(schedule).unwrap();
    let minutes: Vec<_> = (utc(from).0..utc(to).0)
        .step_by(MINUTE as usize)
        .filter(|at| s.is_active(Timestamp(*at)))
        .map(|at| Timestamp(at).to_jiff().strftime("%d %H:%M").to_string())
        .collect();
    (
        minutes.first().cloned().unwrap_or_default(),
        minutes.last().cloned().unwrap_or_default(),
        minutes.len(),
    )
}
fn check(name: &str, schedule: &MuteSchedule, from: &str, to: &str, first: &str, last: &str, minutes: usize) {
    assert_eq!(
        covered(schedule, from, to),
        (first.to_owned(), last.to_owned(), minutes),
        "{name}"
    );
}

#[test]
fn the_night_shift_on_both_nights_on_which_the_clocks_change() {
    let berlin = recurring(&[], "22:00", "06:00", "Europe/Berlin");
    let (spring, autumn) = (
        ("2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z"),
        ("2026-10-24T12:00:00Z", "2026-10-25T12:00:00Z"),
    );
    check(
        "an hour shorter",
        &berlin,
        spring.0,
        spring.1,
        "28 21:00",
        "29 03:59",
        7 * 60,
    );
    check(
        "an hour longer",
        &berlin,
        autumn.0,
        autumn.1,
        "24 20:00",
        "25 04:59",
        9 * 60,
    );
    check(
        "as ever",
        &berlin,
        "2026-06-01T12:00:00Z",
        "2026-06-02T12:00:00Z",
        "01 20:00",
        "02 03:59",
        8 * 60,
    );
    let skipped = recurring(&[], "02:15", "02:45", "Europe/Berlin");
    check("wholly skipped", &skipped, spring.0, spring.1, "", "", 0);
    check(
        "from the first to the second",
        &skipped,
        autumn.0,
        autumn.1,
        "25 00:15",
        "25 01:44",
        90,
    );
    let starts = recurring(&[], "02:30", "04:00", "Europe/Berlin");
    check(
        "starts with the change",
        &starts,
        spring.0,
        spring.1,
        "29 01:00",
        "29 01:59",
        60,
    );
    let ends = recurring(&[], "01:00", "02:30", "Europe/Berlin");
    check(
        "ends with the change",
        &ends,
        spring.0,
        spring.1,
        "29 00:00",
        "29 00:59",
        60,
    );
    check(
        "ends at the second",
        &ends,
        autumn.0,
        autumn.1,
        "24 23:00",
        "25 01:29",
        150,
    );
    let lord_howe = recurring(&[], "01:45", "02:15", "Australia/Lord_Howe");
    check(
        "half an hour is skipped",
        &lord_howe,
        "2026-10-03T12:00:00Z",
        "2026-10-04T00:00:00Z",
        "03 15:15",
        "03 15:29",
        15,
    );
    check(
        "half an hour comes twice",
        &lord_howe,
        "2026-04-04T12:00:00Z",
        "2026-04-05T00:00:00Z",
        "04 14:45",
        "04 15:44",
        60,
    );
}

#[test]
fn the_start_is_included_and_the_end_is_not() {
    let s = Schedule::compile(&recurring(&[], "22:00", "06:00", "Asia/Kathmandu")).unwrap();
    let (start, end) = (utc("2026-05-01T16:15:00Z"), utc("2026-05-02T00:15:00Z"));
    for (at, want) in [
        (start.0 - 1, None),
        (start.0, Some(end)),
        (end.0 - 1, Some(end)),
        (end.0, None),
    ] {
        assert_eq!(s.active_until(Timestamp(at)), want);
    }
    let once = window(MuteSchedule::Once {
        from: start,
        until: end,
    });
    assert_eq!(active_until(&once, start), Some(end));
    assert_eq!(remaining(&once, Timestamp(end.0 - 1)), Span(1));
    assert_eq!(
        (active_until(&once, end), active_until(&once, Timestamp(start.0 - 1))),
        (None, None)
    );
}

#[test]
fn the_day_it_starts_on_counts_and_the_whole_day_is_one() {
    // 2026-05-01 is a Friday.
    let friday = recurring(&[5], "22:00", "06:00", "UTC");
    check(
        "into Saturday",
        &friday,
        "2026-05-01T00:00:00Z",
        "2026-05-08T00:00:00Z",
        "01 22:00",
        "02 05:59",
        480,
    );
    let whole = recurring(&[6, 7], "00:00", "24:00", "UTC");
    check(
        "a weekend",
        &whole,
        "2026-05-01T00:00:00Z",
        "2026-05-08T00:00:00Z",
        "02 00:00",
        "03 23:59",
        2_880,
    );
    let s = Schedule::compile(&whole).unwrap();
    assert_eq!(
        s.active_until(utc("2026-05-02T10:00:00Z")),
        Some(utc("2026-05-04T00:00:00Z"))
    );
    let same = recurring(&[5], "22:00", "22:00", "UTC");
    check(
        "start and end the same",
        &same,
        "2026-05-01T00:00:00Z",
        "2026-05-08T00:00:00Z",
        "01 22:00",
        "02 21:59",
        1_440,
    );
    let always = Schedule::compile(&recurring(&[], "00:00", "00:00", "UTC")).unwrap();
    assert!(always.active_until(utc("2026-05-01T10:00:00Z")) > Some(utc("2026-05-14T00:00:00Z")));
}

#[test]
fn a_window_covers_what_it_names_together() {
    let rule = RuleId::new("errors");
    let anna = RecipientId::new("anna");
    // The address is hers twice.
    let of_anna = [RecipientId::new("anna@example.com"), anna.clone()];
    let at = utc("2026-05-01T23:00:00Z");
    let context = MuteContext {
        site: Some("hall"),
        area: Some("pack"),
        device: Some("press"),
        rule: &rule,
        safety: false,
        recipients: &of_anna,
        channel: Some("email"),
    };
    let list = |n: &str| vec![Arc::from(n)];
    let base = window(recurring(&[], "22:00", "06:00", "UTC"));
    let with = |scope: MuteScope| MuteWindow { scope, ..base.clone() };
    let safety = MuteContext {
        safety: true,
        ..context
    };
    let nobody = MuteContext {
        site: None,
        area: None,
        device: None,
        recipients: &[],
        channel: None,
        ..context
    };
    for (name, w, c, want) in [
        ("all", base.clone(), context, true),
        (
            "area and device",
            with(MuteScope {
                areas: list("pack"),
                devices: list("press"),
                ..Default::default()
            }),
            context,
            true,
        ),
        (
            "another device",
            with(MuteScope {
                areas: list("pack"),
                devices: list("saw"),
                ..Default::default()
            }),
            context,
            false,
        ),
        (
            "site",
            with(MuteScope {
                sites: list("yard"),
                ..Default::default()
            }),
            context,
            false,
        ),
        (
            "rule",
            with(MuteScope {
                rules: vec![rule.clone()],
                ..Default::default()
            }),
            context,
            true,
        ),
        (
            "another rule",
            with(MuteScope {
                rules: vec![RuleId::new("x")],
                ..Default::default()
            }),
            context,
            false,
        ),
        (
            "recipient",
            with(MuteScope {
                recipients: vec![anna.clone()],
                ..Default::default()
            }),
            context,
            true,
        ),
        (
            "a recipient is asked for, there is none",
            with(MuteScope {
                recipients: vec![anna.clone()],
                ..Default::default()
            }),
            nobody,
            false,
        ),
        (
            "a channel is asked for, there is none",
            with(MuteScope {
                channels: list("email"),
                ..Default::default()
            }),
            nobody,
            false,
        ),
        ("safety", base.clone(), safety, false),
        (
            "safety, and the window says so",
            MuteWindow {
                includes_safety: true,
                ..base.clone()
            },
            safety,
            true,
        ),
    ] {
        assert_eq!(covers(&w, &c, at), want, "{name}");
        assert!(!covers(&w, &c, utc("2026-05-01T12:00:00Z")), "{name}: outside its time");
    }
}

#[test]
fn what_cannot_be_used_is_named_and_covers_nothing() {
    let at = utc("2026-05-01T12:00:00Z");
    let r = |days: &[u8], start, end, zone: &str| MuteSchedule::Recurring {
        days: days.to_vec(),
        start_minute: start,
        end_minute: end,
        time_zone: Arc::from(zone),
    };
    for (schedule, want) in [
        (
            MuteSchedule::Once { from: at, until: at },
            InvalidMute::EndsBeforeItStarts,
        ),
        (r(&[0], 0, 1, "UTC"), InvalidMute::Day(0)),
        (r(&[1, 8], 0, 1, "UTC"), InvalidMute::Day(8)),
        (r(&[], 1_440, 1, "UTC"), InvalidMute::Minute(1_440)),
        (r(&[], 0, 1_441, "UTC"), InvalidMute::Minute(1_441)),
        (r(&[], u16::MAX, u16::MAX, "UTC"), InvalidMute::Minute(u16::MAX)),
        (r(&[], 0, 1, "Berlin"), InvalidMute::TimeZone(Arc::from("Berlin"))),
        (
            r(&[], 0, 1, "../etc/passwd"),
            InvalidMute::TimeZone(Arc::from("../etc/passwd")),
        ),
    ] {
        let w = window(schedule);
        assert_eq!(validate(&w), Err(want));
        assert_eq!(active_until(&w, at), None);
    }
    let mut w = window(r(&[1, 7], 0, 1_440, "Europe/Berlin"));
    assert_eq!(validate(&w), Ok(()));
    w.reason = Arc::from("  ");
    assert_eq!(validate(&w), Err(InvalidMute::NoReason));
}

#[test]
fn the_ends_of_time_do_no_harm() {
    for zone in ["Europe/Berlin", "Pacific/Apia", "UTC"] {
        let s = Schedule::compile(&recurring(&[], "22:00", "06:00", zone)).unwrap();
        for at in [Timestamp::MIN, Timestamp::MAX, Timestamp(0)] {
            s.active_until(at);
        }
    }
    // The day that Apia left out: 2011-12-29 was followed by 12-31.
    let s = Schedule::compile(&recurring(&[4], "22:00", "06:00", "Pacific/Apia")).unwrap();
    assert_eq!(
        s.active_until(utc("2011-12-30T09:00:00Z")),
        Some(utc("2011-12-30T10:00:00Z"))
    );
}

/// A few days minute by minute, by what the clock on the wall shows: an occurrence starts at the first minute that shows its start,
/// ends at the last that shows its end, and where none does, at the first that shows a later time.
fn naive(days: &[u8], start: u16, end: u16, zone: &TimeZone, from: i64, minutes: i64) -> Vec<bool> {
    let wall: Vec<(i64, DateTime)> = (-3 * 1_440..minutes + 3 * 1_440)
        .map(|m| from + m * MINUTE)
        .map(|at| (at, zone.to_datetime(Timestamp(at).to_jiff())))
        .collect();
    let at_or_after = |want: DateTime, last: bool| {
        let mut shows = wall.iter().filter(|w| w.1 == want).map(|w| w.0);
        let exact = if last { shows.next_back() } else { shows.next() };
        exact.or_else(|| wall.iter().find(|w| w.1 > want).map(|w| w.0))
    };
    let mut covered = vec![false; minutes as usize];
    let first_day = wall[0].1.date();
    for n in 1..(minutes / 1_440 + 7) {
        let day = first_day.checked_add(jiff::Span::new().days(n)).unwrap();
        if !days.is_empty() && !days.contains(&(day.weekday().to_monday_one_offset() as u8)) {
            continue;
        }
        let time = |day: Date, m: u16| {
            day.at(0, 0, 0, 0)
                .checked_add(jiff::Span::new().minutes(i64::from(m)))
                .unwrap()
        };
        let last_day = if end <= start { day.tomorrow().unwrap() } else { day };
        let (Some(a), Some(b)) = (
            at_or_after(time(day, start), false),
            at_or_after(time(last_day, end), true),
        ) else {
            continue;
        };
        for (m, c) in covered.iter_mut().enumerate() {
            let at = from + m as i64 * MINUTE;
            *c |= a <= at && at < b;
        }
    }
    covered
}

const NIGHTS: [(&str, &str); 12] = [
    ("Europe/Berlin", "2026-03-29T01:00:00Z"),
    ("Europe/Berlin", "2026-10-25T01:00:00Z"),
    ("America/New_York", "2026-03-08T07:00:00Z"),
    ("America/New_York", "2026-11-01T06:00:00Z"),
    ("Australia/Lord_Howe", "2026-04-04T15:00:00Z"),
    ("Australia/Lord_Howe", "2026-10-03T15:30:00Z"),
    ("Asia/Kathmandu", "2026-03-29T01:00:00Z"),
    ("UTC", "2026-03-29T01:00:00Z"),
    ("Africa/Cairo", "2026-04-23T22:00:00Z"),
    ("Africa/Cairo", "2026-10-29T21:00:00Z"),
    ("America/Sao_Paulo", "2018-11-04T03:00:00Z"),
    ("Pacific/Apia", "2011-12-30T10:00:00Z"),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn it_agrees_with_the_clock_on_the_wall(
        night in 0..NIGHTS.len(),
        days in proptest::collection::vec(1u8..=7, 0..4),
        start in prop_oneof![0u16..1_440, 0u16..240, 1_380u16..1_440], end in prop_oneof![0u16..=1_440, 0u16..240, 1_380u16..=1_440],
    ) {
        let (zone, change) = NIGHTS[night];
        let schedule = MuteSchedule::Recurring { days: days.clone(), start_minute: start, end_minute: end, time_zone: Arc::from(zone) };
        let s = Schedule::compile(&schedule).unwrap();
        let zone = zones().get(zone).unwrap();
        let (from, minutes) = (utc(change).0 - 1_500 * MINUTE, 3_000);
        let want = naive(&days, start, end, &zone, from, minutes);
        for m in 0..want.len() {
            let at = Timestamp(from + m as i64 * MINUTE);
            prop_assert_eq!(s.is_active(at), want[m], "at {} ({})", at, zone.to_datetime(at.to_jiff()));
            if let Some(until) = s.active_until(at) {
                prop_assert!(until > at);
                // In force all the way to its end, and there not any more (unless the chain was cut at two weeks).
                let end = ((until.0 - from) / MINUTE) as usize;
                prop_assert!(want[m..end.min(want.len())].iter().all(|c| *c));
                prop_assert!(end >= want.len() || !want[end]);
            }
        }
    }
}
