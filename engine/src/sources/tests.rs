use super::*;
use proptest::prelude::*;

const NOW: Timestamp = Timestamp(1_790_000_000_000_000);
const S: i64 = 1_000_000;

fn t(seconds: i64) -> Timestamp {
    NOW.plus(Span::secs(seconds))
}
/// Feeds (timestamp, received_at) in seconds from `NOW`.
fn run(records: impl IntoIterator<Item = (i64, i64)>) -> Vec<Judgement> {
    let mut sources = Sources::new();
    records
        .into_iter()
        .map(|(ts, received)| sources.observe(1, t(ts), t(received)))
        .collect()
}
fn late(j: &[Judgement]) -> usize {
    j.iter().filter(|j| j.lateness == Lateness::Late).count()
}
fn steps(j: &[Judgement]) -> usize {
    j.iter().filter(|j| j.clock_step).count()
}
fn offsets(j: &[Judgement]) -> usize {
    j.iter().filter(|j| j.clock_offset).count()
}

#[test]
fn five_minutes_behind_is_in_order_and_a_microsecond_more_is_late() {
    let mut s = Sources::new();
    s.observe(1, t(0), t(0));
    assert_eq!(s.observe(1, t(-300), t(0)).lateness, Lateness::InOrder);
    assert_eq!(s.observe(1, Timestamp(t(-300).0 - 1), t(0)).lateness, Lateness::Late);
    assert_eq!(
        s.observe(2, t(-5_000), t(0)).lateness,
        Lateness::InOrder,
        "another source has a clock of its own"
    );
}

#[test]
fn old_by_an_hour_is_not_yet_history() {
    let j = run([(0, 3_600)]);
    assert!(!j[0].historical && j[0].behind);
    let mut s = Sources::new();
    assert!(s.observe(1, Timestamp(t(-3_600).0 - 1), t(0)).historical);
    assert!(!s.observe(2, t(-300), t(0)).behind);
    assert!(s.observe(3, Timestamp(t(-300).0 - 1), t(0)).behind);
}

#[test]
fn a_clock_that_is_set_back_55_minutes_is_found_within_a_minute_and_judged_by_receipt() {
    let back = 55 * 60;
    let j = run((0..100)
        .map(|i| (i * 10, i * 10))
        .chain((100..400).map(|i| (i * 10 - back, i * 10))));
    assert_eq!((late(&j), steps(&j)), (3, 1));
    assert!(j[103].clock_step && j[103].at == t(1_030));
    assert!(
        j[103..]
            .iter()
            .all(|j| j.clock_offset && j.lateness == Lateness::InOrder && !j.behind)
    );
    assert_eq!(j[399].at, t(3_990));
    // Set right again, it is believed.
    let j = run((0..100)
        .map(|i| (i * 10, i * 10))
        .chain((100..200).map(|i| (i * 10 - back, i * 10)))
        .chain((200..300).map(|i| (i * 10, i * 10))));
    assert_eq!(late(&j), 3);
    assert!(
        j[203..]
            .iter()
            .all(|j| !j.clock_offset && j.lateness == Lateness::InOrder)
    );
}

/// A buffer that is emptied after a live record, in any order and at any pace but its own, moves no clock.
#[test]
fn a_buffer_emptied_after_a_live_record_is_no_clock_that_was_set_back() {
    let buffer: Vec<i64> = (-1_200..-900).collect();
    let mut mixed = buffer.clone();
    mixed.sort_by_key(|i| (i * 7919) % 300);
    for order in [buffer.clone(), buffer.iter().rev().copied().collect(), mixed] {
        for per_second in [1_000, 10, 2] {
            let j = run(
                std::iter::once((0, 0)).chain(order.iter().enumerate().map(|(n, ts)| (*ts, n as i64 / per_second)))
            );
            assert_eq!((steps(&j), late(&j)), (0, 300), "{per_second} a second");
            let live = run(order.iter().enumerate().flat_map(|(n, ts)| {
                [
                    (n as i64 / per_second, n as i64 / per_second),
                    (*ts, n as i64 / per_second),
                ]
            }));
            assert_eq!((steps(&live), late(&live)), (0, 300), "live ones between");
        }
    }
}

#[test]
fn the_stamps_of_clocks_that_were_never_set_are_judged_by_receipt() {
    for epoch in RESET_EPOCHS {
        let stamp = |up: i64| Timestamp((epoch + up) * S);
        let mut s = Sources::new();
        for up in [0, 1, 3_600, 30 * 86_400] {
            let j = s.observe(1, stamp(up), t(up));
            assert!(
                j.clock_unset && !j.historical && !j.behind && j.at == t(up),
                "{epoch} + {up} s"
            );
        }
        // The clock is set: it is believed at once.
        let j = s.observe(1, t(40 * 86_400), t(40 * 86_400));
        assert!(!j.clock_unset && j.at == t(40 * 86_400));
        let history = s.observe_as(2, stamp(5), t(0), true);
        assert!(
            !history.clock_unset && history.historical,
            "sent as history it is what it says"
        );
    }
    let last_year = t(-365 * 86_400);
    let j = Sources::new().observe(1, last_year, t(0));
    assert!(!j.clock_unset && j.historical && j.at == last_year);
}

/// The machine's clock is days ahead for a minute: nothing waits for that day to come.
#[test]
fn when_our_own_clock_is_set_back_event_time_follows() {
    let ahead = 8 * 86_400;
    let mut s = Sources::new();
    s.observe(1, t(0), t(0));
    assert!(!s.observe(1, t(ahead), t(ahead)).clock_step);
    let j = s.observe(1, t(60), t(60));
    assert!(j.clock_step && j.lateness == Lateness::InOrder && j.at == t(60));
    assert!(!s.observe(1, t(61), t(61)).clock_step);
}

#[test]
fn a_file_of_5_minute_readings_with_such_a_step_sent_at_once() {
    let rows: Vec<i64> = (0..500)
        .map(|i| i * 300)
        .chain((0..500).map(|i| 499 * 300 - 55 * 60 + i * 300))
        .collect();
    let newest = rows.last().copied().unwrap();
    let send = |history| {
        let mut s = Sources::new();
        let judge = |(i, ts): (usize, &i64)| s.observe_as(1, t(ts - newest - 9_000_000), t(i as i64 / 1_000), history);
        rows.iter().enumerate().map(judge).collect::<Vec<_>>()
    };
    let j = send(true);
    assert_eq!((late(&j), steps(&j), offsets(&j)), (2, 1, 0));
    assert!(j.iter().all(|j| j.historical));
    // Not sent as history it could be a buffer that is emptied in pieces: what lies behind is late until the newest is passed.
    let j = send(false);
    assert_eq!((late(&j), steps(&j), offsets(&j)), (10, 0, 0));
}

#[test]
fn two_months_within_a_second_or_an_hour_are_history_and_no_wrong_clock() {
    for took in [1i64, 60, 600, 3_600] {
        let j = run((0..17_280).map(|i| (i * 300 - 60 * 86_400, i * took / 17_280)));
        assert_eq!((late(&j), steps(&j), offsets(&j)), (0, 0, 0), "in {took} s");
        assert!(
            j[0].historical
                && j.iter()
                    .enumerate()
                    .all(|(i, j)| j.at == t(i as i64 * 300 - 60 * 86_400))
        );
    }
}

#[test]
fn an_hour_that_a_gateway_had_buffered_is_judged_as_it_happened() {
    for speed in [1_000, 60, 2] {
        let j = run((0..7_200).map(|i| (i - 7_200, i / speed)));
        assert_eq!((late(&j), steps(&j), offsets(&j)), (0, 0, 0), "at {speed} times");
        assert!(j.iter().enumerate().all(|(i, j)| j.at == t(i as i64 - 7_200)));
    }
}

#[test]
fn a_buffer_emptied_newest_first_is_late_and_no_clock_step() {
    let j = run(std::iter::once((0, 0)).chain((1..3_600).map(|i| (-i, 1))));
    assert_eq!((steps(&j), late(&j)), (0, 3_299));
}

#[test]
fn a_clock_off_by_hours_is_found_within_three_minutes_and_judged_by_receipt() {
    let off = 5 * 3_600;
    for (interval, batch, jitter) in [(1, 1, 0), (10, 1, 3), (60, 6, 5), (300, 1, 10)] {
        let wobble = |i: i64| (i * 7919) % (jitter + 1);
        let j = run((0..200).flat_map(|i| {
            (0..batch).map(move |b| {
                (
                    i * interval - off - (batch - 1 - b) * interval / batch,
                    i * interval + wobble(i),
                )
            })
        }));
        let first = j.iter().position(|j| j.clock_offset).expect("found");
        let found_after = first as i64 / batch * interval;
        assert!(
            found_after <= 200.max(4 * interval),
            "every {interval} s: found after {found_after} s"
        );
        for (i, j) in j.iter().enumerate().skip(first) {
            let receipt = i as i64 / batch;
            let age = t(receipt * interval + wobble(receipt)).since(j.at).0 / S;
            let own = (batch - 1 - i as i64 % batch) * interval / batch;
            assert!(j.clock_offset && !j.historical && !j.behind && j.lateness == Lateness::InOrder);
            assert!(
                (0..=own + jitter).contains(&age),
                "every {interval} s: record {i} is {age} s old"
            );
        }
    }
}

#[test]
fn exactly_constant_means_exactly_the_time_of_receipt() {
    let j = run((0..1_000).map(|i| (i - 7_300, i)));
    assert!(
        j.iter()
            .enumerate()
            .skip(130)
            .all(|(i, j)| j.clock_offset && j.at == t(i as i64))
    );
}

#[test]
fn a_clock_set_right_is_believed_and_nothing_is_lost_on_the_way() {
    let j = run((0..600).map(|i| (i - 7_300, i)).chain((600..900).map(|i| (i, i))));
    assert_eq!((late(&j), steps(&j)), (0, 0));
    assert!(
        j[601].clock_offset && j[601].at == t(601),
        "not believed yet, judged by receipt"
    );
    assert!(!j[602].clock_offset && j[899].at == t(899) && !j[899].behind);
}

#[test]
fn a_right_and_a_wrong_clock_under_one_name_are_both_judged_at_about_their_receipt() {
    let j = run((0..600)
        .map(|i| (i - 7_300, i))
        .chain((600..900).map(|i| (if i % 2 == 0 { i } else { i - 7_300 }, i))));
    assert!(
        j[600..]
            .iter()
            .zip(600..)
            .all(|(j, i)| j.at == t(i) && j.lateness == Lateness::InOrder)
    );
}

#[test]
fn idle_sources_are_forgotten_and_the_table_is_bounded() {
    let mut s = Sources::new();
    s.observe(1, t(0), t(0));
    s.observe(2, t(1), t(1));
    s.expire(t(0).plus(SOURCE_IDLE));
    assert_eq!(s.len(), 2);
    s.expire(t(1).plus(SOURCE_IDLE));
    assert_eq!(s.len(), 1);
    assert_eq!(s.watermark(2), Some(t(1)));
    for i in 0..SOURCES_MAX as u64 + 10 {
        s.observe(i, t(0), Timestamp(t(0).0 + i as i64));
    }
    assert!(s.len() <= SOURCES_MAX && s.len() > SOURCES_MAX / 2);
    assert!(s.watermark(SOURCES_MAX as u64 + 9).is_some() && s.watermark(3).is_none());
    assert!(std::mem::size_of::<(u64, Source)>() <= 72);
}

/// The rules of the module's page over a full history, sent as such.
fn naive(history: &[Timestamp]) -> Vec<(Lateness, bool)> {
    let mut out: Vec<(Lateness, bool)> = Vec::new();
    let mut watermark = None::<Timestamp>;
    for (i, ts) in history.iter().enumerate() {
        let behind = |w: Timestamp, t: Timestamp| w.0 - t.0 > LATENESS.0;
        let w = watermark.unwrap_or(*ts);
        if !behind(w, *ts) {
            watermark = Some(w.max(*ts));
            out.push((Lateness::InOrder, false));
            continue;
        }
        let three = i >= 2 && out[i - 2..].iter().all(|o| o.0 == Lateness::Late) && {
            let (a, b) = (history[i - 2], history[i - 1]);
            a <= b && b <= *ts
        };
        if three {
            watermark = Some(*ts);
        }
        out.push((if three { Lateness::InOrder } else { Lateness::Late }, three));
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn lateness_and_steps_of_history_are_as_defined(
        moves in proptest::collection::vec(prop_oneof![5 => 0i64..100, 2 => -320i64..=-280, 2 => -4000i64..4000, 1 => Just(0)], 1..100),
    ) {
        let mut now = 0;
        let history: Vec<_> = moves.iter().map(|m| { now += m; t(now - 1_000_000) }).collect();
        let mut s = Sources::new();
        let got: Vec<_> = history.iter().map(|ts| { let j = s.observe_as(9, *ts, t(0), true); (j.lateness, j.clock_step) }).collect();
        prop_assert_eq!(got, naive(&history));
    }

    /// Whatever the stamps: no panic, a record is never judged in the future of its receipt unless it says so itself, the
    /// watermark never lies behind a record that is in order, and a checkpoint anywhere changes nothing.
    #[test]
    fn nothing_that_a_sender_writes_does_harm(
        records in proptest::collection::vec((prop_oneof![any::<i64>(), NOW.0 - 40_000 * S..NOW.0 + 300 * S], any::<bool>(), 0i64..200 * S), 1..80),
        cut in 0usize..80,
    ) {
        let mut s = Sources::new();
        let mut received = NOW;
        let mut last = NOW.0 - 20_000 * S;
        for (i, (ts, fresh, step)) in records.into_iter().enumerate() {
            received = received.plus(Span(step));
            last = if fresh { ts } else { last.saturating_add(step) };
            if i == cut {
                let text = serde_json::to_string(&s).unwrap();
                let back: Sources = serde_json::from_str(&text).unwrap();
                prop_assert_eq!(&back, &s);
                s = back;
            }
            let j = s.observe(1, Timestamp(last), received);
            prop_assert!(j.at <= received.max(Timestamp(last)));
            if j.lateness == Lateness::InOrder {
                prop_assert!(j.watermark >= j.at);
            }
            if !j.clock_offset && !j.clock_unset { prop_assert_eq!(j.at, Timestamp(last)); }
            prop_assert!(!j.historical || j.behind);
        }
    }
}

/// Sorted by receipt, as the journal has them.
fn by_receipt(mut records: Vec<(i64, i64)>) -> Vec<(i64, i64)> {
    records.sort_by_key(|r| r.1);
    records
}
/// A record for each second of `from..to` with a clock that is `back` seconds slow, delivered in one request every `every` seconds.
fn batches(from: i64, to: i64, back: i64, every: i64) -> Vec<(i64, i64)> {
    (from..to)
        .map(|i| (i - back, from + ((i - from) / every + 1) * every))
        .collect()
}
/// A number in `0..below` that looks like one of chance.
fn chance(i: i64, below: i64) -> i64 {
    (i.wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407)
        >> 33)
        .rem_euclid(below)
}
/// From which receipt on every record was judged in order and within `slack` seconds of it.
fn judged_live_from(records: &[(i64, i64)], j: &[Judgement], slack: i64, whose: impl Fn(i64) -> bool) -> i64 {
    let last_bad = records
        .iter()
        .zip(j)
        .filter(|((ts, received), _)| whose(received - ts))
        .rfind(|((_, received), j)| j.lateness == Lateness::Late || t(*received).since(j.at) > Span::secs(slack));
    last_bad.map_or(i64::MIN, |((_, received), _)| *received)
}

#[test]
fn a_clock_set_back_is_found_in_batches_of_up_to_a_minute() {
    for back in [600, 3_000, 7_200, 86_400] {
        for every in [5, 10, 15, 30, 60] {
            let mut records: Vec<_> = (0..100).map(|i| (i, i)).collect();
            records.extend(batches(100, 1_000, back, every));
            let j = run(records.iter().copied());
            let from = judged_live_from(&records, &j, every, |_| true);
            let bound = 100 + every + (2 * every).max(30 + every);
            assert!(from <= bound, "{back} s back, every {every} s: {from}");
            assert_eq!(steps(&j), 1);
            assert!(j.windows(2).all(|w| w[1].watermark >= w[0].watermark));
        }
    }
}

#[test]
fn a_clock_set_back_is_found_though_delivery_takes_0_to_15_seconds() {
    for back in [600, 3_000, 7_200, 86_400] {
        let mut records: Vec<_> = (0..50).map(|i| (2 * i, 2 * i)).collect();
        records.extend((50..400).map(|i| (2 * i - back, 2 * i + chance(i, 16))));
        let records = by_receipt(records);
        let j = run(records.iter().copied());
        let from = judged_live_from(&records, &j, 15, |_| true);
        assert!(from <= 100 + 15 + 125, "{back} s back: {from}");
    }
}

#[test]
fn a_second_clock_of_a_source_is_judged_by_receipt_and_the_first_goes_on() {
    for behind in [360, 600, 1_800, 3_660, 7_200, 86_400] {
        for every in [1, 10, 30] {
            let mut records: Vec<_> = (0..1_000).map(|i| (i, i)).collect();
            records.extend(batches(0, 1_000, behind, every));
            let records = by_receipt(records);
            let j = run(records.iter().copied());
            let from = judged_live_from(&records, &j, every, |lag| lag >= behind);
            assert!(
                from <= every + (2 * every).max(30 + every),
                "{behind} s, every {every} s: {from}"
            );
            let undisturbed = |((ts, received), j): (&(i64, i64), &Judgement)| {
                ts != received || (j.lateness == Lateness::InOrder && j.at == t(*ts))
            };
            assert!(records.iter().zip(&j).all(undisturbed), "{behind} s, every {every} s");
        }
    }
}

/// One clock 4 minutes ahead, the other 4 minutes behind: neither is far from the true time, but they are from each other.
#[test]
fn two_clocks_on_either_side_of_the_time_are_both_judged() {
    let records: Vec<_> = (0..600).flat_map(|i| [(i + 240, i), (i - 240, i)]).collect();
    let j = run(records.iter().copied());
    assert!(judged_live_from(&records, &j, 0, |_| true) <= 30);
    assert!(
        j.iter()
            .zip(&records)
            .skip(100)
            .all(|(j, r)| r.0 < r.1 || j.at == t(r.0))
    );
}

/// The rare records of the second clock are known as its own for an hour.
#[test]
fn a_second_clock_that_rests_is_known_for_an_hour() {
    let slow = |i: i64| (i - 1_800, i);
    let mut records: Vec<_> = (0..100).flat_map(|i| [(i, i), slow(i)]).collect();
    records.extend((100..3_600).map(|i| (i, i)));
    records.push(slow(3_600));
    records.extend((3_600..7_300).map(|i| (i, i)));
    records.push(slow(7_300));
    let j = run(records.iter().copied());
    let rare: Vec<_> = j[200..]
        .iter()
        .filter(|j| j.clock_offset || j.lateness == Lateness::Late)
        .collect();
    assert_eq!(rare.len(), 2);
    assert!(rare[0].clock_offset && rare[0].at == t(3_600));
    assert!(rare[1].lateness == Lateness::Late && rare[1].at == t(5_500));
}

/// A buffer of half an hour that is emptied among the live records of its source, in requests and in any order.
#[test]
fn a_buffer_emptied_among_live_records_is_no_second_clock() {
    for request in [1, 20, 100] {
        for speed in [2, 5, 20] {
            let orders: [Box<dyn Fn(i64) -> i64>; 3] = [
                Box::new(|n| n),
                Box::new(|n| 1_799 - n),
                Box::new(|n| (n * 1_237) % 1_800),
            ];
            for (name, order) in ["forward", "backward", "mixed"].iter().zip(orders) {
                let buffer = (0..1_800).map(|n| (order(n) - 2_400, n / request * request / speed));
                let live = (0..1_800 / speed + 1).map(|i| (i, i));
                let records = by_receipt(live.chain(buffer).collect());
                let j = run(records.iter().copied());
                let told_apart = records.iter().zip(&j).all(|((ts, _), j)| j.at == t(*ts));
                assert!(told_apart, "{name}, {request} a request, {speed} times");
                assert_eq!(offsets(&j), 0);
            }
        }
    }
}

#[test]
fn once_a_second_clock_is_known_a_buffer_keeps_its_times_but_where_it_has_that_lag() {
    let mut records: Vec<_> = (0..300).flat_map(|i| [(i, i), (i - 600, i)]).collect();
    records.extend((300..400).flat_map(|i| {
        let buffer = (0..30).map(move |n| ((i - 300) * 30 + n - 3_000, i));
        std::iter::once((i, i)).chain(buffer).chain([(i - 600, i)])
    }));
    let j = run(records.iter().copied());
    for ((ts, received), j) in records.iter().zip(&j).skip(600) {
        let lag = received - ts;
        let expected = if lag == 600 { *received } else { *ts };
        assert!((570..=900).contains(&lag) || j.at == t(expected), "lag {lag}");
    }
}

#[test]
fn a_clock_slow_from_the_first_record_is_judged_by_receipt_after_half_a_minute() {
    for behind in [301, 720, 1_800, 3_540, 7_200] {
        for every in [1, 10, 30] {
            let records = batches(0, 600, behind, every);
            let j = run(records.iter().copied());
            let from = judged_live_from(&records, &j, every, |_| true);
            assert!(
                from <= every + (2 * every).max(30 + every),
                "{behind} s, every {every} s: {from}"
            );
            assert_eq!((late(&j), steps(&j)), (0, 0));
        }
    }
}

#[test]
fn a_source_that_was_live_and_now_comes_late_in_order_is_no_slow_clock() {
    let j = run((0..100).map(|i| (i, i)).chain((100..600).map(|i| (i, i + 1_200))));
    assert_eq!((late(&j), offsets(&j)), (0, 0));
}

/// From 2 h slow to 50 min slow: neither is the true time.
#[test]
fn a_slow_clock_that_is_set_less_slow_is_found_again() {
    let records: Vec<_> = (0..300)
        .map(|i| (i - 7_200, i))
        .chain((300..600).map(|i| (i - 3_000, i)))
        .collect();
    let j = run(records.iter().copied());
    assert!(judged_live_from(&records, &j, 0, |_| true) <= 335);
    assert_eq!(late(&j), 0);
}

/// A buffer filled for `length` seconds that is emptied in pieces of so many seconds, at `speed` tenths of the pace at which it was
/// filled, with pauses between them.
fn emptied(length: i64, speed: i64, pieces: &[(i64, i64)]) -> Vec<(i64, i64)> {
    let (mut records, mut now, mut next) = (Vec::new(), 0, 0);
    for (piece, pause) in pieces.iter().cycle() {
        records.extend((0..*piece).map(|n| (next + n - length, now + n * 10 / speed)));
        now += piece * 10 / speed + pause;
        next += piece;
        if next >= length || now > 7_200 {
            break;
        }
    }
    records.retain(|(ts, _)| *ts < 0);
    records
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// At 1.3 times its pace at least, or with pauses longer than a proof takes.
    #[test]
    fn a_buffer_that_is_emptied_in_pieces_is_no_slow_clock(
        length in 400i64..7_200,
        (speed, pieces) in prop_oneof![
            (13i64..200, proptest::collection::vec((10i64..400, Just(0)), 1..4)),
            (30i64..200, proptest::collection::vec((10i64..20, 0i64..4), 1..6)),
            (20i64..200, proptest::collection::vec((60i64..400, 60i64..300), 1..6)),
        ],
        lives in any::<bool>(),
    ) {
        let buffer = emptied(length, speed, &pieces);
        let end = buffer.last().map_or(0, |r| r.1);
        let live = (0..end).filter(|_| lives).map(|i| (i, i)).collect::<Vec<_>>();
        let records = by_receipt([live, buffer].concat());
        let j = run(records.iter().copied());
        prop_assert_eq!(offsets(&j), 0);
    }

    #[test]
    fn a_slow_clock_is_found_however_it_delivers(
        behind in prop_oneof![330i64..3_600, 3_600i64..100_000],
        every in 1i64..=60,
        jitter in 0i64..=15,
        lives in 0usize..3,
        seed in any::<u32>(),
    ) {
        // From its first record on, after it was live, beside a clock that is right.
        let from = if lives == 0 { 0 } else { 100 };
        let delay = |i: i64| chance((i - from) / every + i64::from(seed), jitter + 1);
        let mut records: Vec<_> = batches(from, 1_200, behind, every);
        for (r, i) in records.iter_mut().zip(from..) {
            r.1 += delay(i);
        }
        records.extend((0..if lives == 1 { from } else { 1_200 }).filter(|_| lives > 0).map(|i| (i, i)));
        let records = by_receipt(records);
        let j = run(records.iter().copied());
        let found = judged_live_from(&records, &j, every + jitter, |lag| lag >= behind);
        prop_assert!(found <= from + 120 + 3 * (every + jitter), "{}", found);
    }
}
