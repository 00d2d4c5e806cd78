//! Checks of [`FastState`]. An adapter that is opened again may have forgotten everything, so none is.

use super::sample::HOSTILE;
use crate::ports::Cursor;
use crate::ports::fast_state::{FastState, READINGS_AHEAD, READINGS_KEPT, RECENT_MAX, RECENT_RECORD_BYTES_MAX, TracePoint};
use andon_engine::batch::{Batch, BatchBuilder};
use andon_engine::ids::JournalId;
use andon_engine::record::Record;
use andon_engine::time::{Clock, ManualClock, Span, Timestamp};
use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Some time in 2026.
const NOON: Timestamp = Timestamp(1_780_000_000_000_000);
const JOURNAL: JournalId = JournalId(1);

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(NOON))
}

pub fn batch<'a>(seq: u64, records: impl IntoIterator<Item = Record<'a>>) -> Batch<Bytes> {
    let mut builder = BatchBuilder::new();
    for record in records {
        assert!(builder.push(&record));
    }
    Batch::parse(builder.finish().into(), JOURNAL, seq).unwrap()
}

fn line<'a>(application: &'a str, message: &'a str) -> Record<'a> {
    Record {
        timestamp: NOON,
        received_at: NOON,
        application: Some(application),
        message: Some(message),
        ..Record::default()
    }
}

pub fn reading<'a>(device: &'a str, name: &'a str, at: Timestamp, value: f64) -> Record<'a> {
    Record {
        timestamp: at,
        received_at: at,
        device_id: Some(device),
        readings: vec![(name, value)],
        ..Record::default()
    }
}

async fn messages(s: &impl FastState, application: &str, limit: u32) -> Vec<String> {
    let records = s.recent(application, limit).await.unwrap();
    records.iter().map(|r| r.record().message.unwrap().to_owned()).collect()
}

async fn all_of(s: &impl FastState, device: &str, name: &str) -> Vec<TracePoint> {
    s.trace(device, name, Timestamp::MIN, Timestamp::MAX, u32::MAX).await.unwrap()
}

fn point(at: Timestamp, value: f64) -> TracePoint {
    TracePoint { at, value }
}

pub async fn recent_records_are_the_last_of_their_application<S: FastState>(open: impl AsyncFn(Arc<dyn Clock>) -> S) {
    let s = open(clock()).await;
    assert_eq!(s.fast_cursor().await.unwrap(), None);
    assert_eq!(messages(&s, "wms", 10).await, Vec::<String>::new());
    let large = "x".repeat(RECENT_RECORD_BYTES_MAX);
    let kept = "y".repeat(RECENT_RECORD_BYTES_MAX - 1_000);
    let batches = [
        batch(3, [line("wms", "1"), line("pick", "2"), line("wms", "3")]),
        batch(4, []),
        batch(
            9,
            [
                line("wms", &large),
                reading("d", "t", NOON, 1.0),
                Record {
                    application: None,
                    ..line("", "of no application")
                },
                Record {
                    message: None,
                    ..line("wms", "")
                },
                line("wms", &kept),
            ],
        ),
    ];
    s.push(&batches).await.unwrap();
    assert_eq!(messages(&s, "wms", 10).await, [kept.as_str(), "3", "1"]);
    assert_eq!(messages(&s, "wms", 2).await, [kept.as_str(), "3"]);
    assert_eq!(messages(&s, "pick", 10).await, ["2"]);
    assert_eq!(messages(&s, "wms", 0).await, Vec::<String>::new());
    let of_pick = s.recent("pick", 1).await.unwrap();
    assert_eq!(of_pick[0].record(), batches[0].get(1));
    let cursor = |seq| Some(Cursor { journal: JOURNAL, seq });
    assert_eq!(s.fast_cursor().await.unwrap(), cursor(9));
    // More than are kept, in one push and in several.
    let texts: Vec<String> = (0..250).map(|n| n.to_string()).collect();
    let many = batch(10, texts[..120].iter().map(|t| line("wms", t)));
    s.push(&[many]).await.unwrap();
    for (n, text) in texts[120..].iter().enumerate() {
        s.push(&[batch(11 + n as u64, [line("wms", text)])]).await.unwrap();
    }
    let want: Vec<String> = texts.iter().rev().take(RECENT_MAX as usize).cloned().collect();
    assert_eq!(messages(&s, "wms", u32::MAX).await, want);
}

pub async fn what_was_taken_is_skipped<S: FastState>(open: impl AsyncFn(Arc<dyn Clock>) -> S) {
    let s = open(clock()).await;
    let batches: Vec<_> = (1..=20)
        .map(|seq| batch(seq, [line("wms", "a"), reading("d", "t", NOON.minus(Span::secs(seq as i64)), seq as f64)]))
        .collect();
    s.push(&batches[..10]).await.unwrap();
    s.push(&batches[..10]).await.unwrap();
    s.push(&batches[5..]).await.unwrap();
    s.push(&[]).await.unwrap();
    let records = s.recent("wms", 100).await.unwrap();
    let seqs: Vec<u64> = records.iter().map(|r| r.record().record_id.position.seq).collect();
    assert_eq!(seqs, (1..=20).rev().collect::<Vec<_>>());
    assert_eq!(all_of(&s, "d", "t").await.len(), 20);
    assert_eq!(s.fast_cursor().await.unwrap().unwrap().seq, 20);
}

pub async fn any_name_is_only_a_name<S: FastState>(open: impl AsyncFn(Arc<dyn Clock>) -> S) {
    let s = open(clock()).await;
    let mut names: Vec<&str> = HOSTILE.to_vec();
    names.extend(["a", "a:", ":a", "a:a", "1:a", "*", "?", "[a]", "\0"]);
    let pairs: Vec<(&str, &str)> = names.iter().flat_map(|d| names.iter().map(move |r| (*d, *r))).collect();
    let records = pairs.iter().enumerate().map(|(n, (d, r))| reading(d, r, NOON, n as f64));
    let lines = names.iter().map(|a| line(a, a));
    s.push(&[batch(1, records), batch(2, lines)]).await.unwrap();
    for (n, (device, name)) in pairs.iter().enumerate() {
        assert_eq!(all_of(&s, device, name).await, [point(NOON, n as f64)], "{device:?} {name:?}");
    }
    for application in names {
        assert_eq!(messages(&s, application, 10).await, [application]);
    }
}

pub async fn a_trace_has_what_lies_in_its_range_in_order<S: FastState>(open: impl AsyncFn(Arc<dyn Clock>) -> S) {
    let mut rng = StdRng::seed_from_u64(7);
    let s = open(clock()).await;
    let mut models: HashMap<usize, BTreeMap<Timestamp, f64>> = HashMap::new();
    let devices = ["press 1", "press 2", "oven"];
    for seq in 1..60 {
        let mut records = Vec::new();
        for _ in 0..rng.random_range(0..40) {
            let d = rng.random_range(0..devices.len());
            // A whole number of seconds, so that some come twice, in any order and across every stretch that is kept.
            let at = NOON.minus(Span::secs(rng.random_range(-300..=900)));
            let value = rng.random_range(-1e9..1e9);
            records.push(reading(devices[d], "speed", at, value));
            models.entry(d).or_default().insert(at, value);
        }
        s.push(&[batch(seq, records)]).await.unwrap();
    }
    for (d, model) in &models {
        let want = |from, to| model.range(from..to).map(|(at, v)| point(*at, *v)).collect::<Vec<_>>();
        assert_eq!(all_of(&s, devices[*d], "speed").await, want(Timestamp::MIN, Timestamp::MAX));
        for _ in 0..50 {
            let from = NOON.minus(Span::secs(rng.random_range(-400..=1_000)));
            let to = from.plus(Span::secs(rng.random_range(0..500)));
            let got = s.trace(devices[*d], "speed", from, to, u32::MAX).await.unwrap();
            assert_eq!(got, want(from, to));
        }
    }
    assert_eq!(s.trace("oven", "speed", NOON, NOON.minus(Span::secs(9)), 10).await.unwrap(), []);
    assert_eq!(all_of(&s, "oven", "none").await, []);
    assert_eq!(all_of(&s, "none", "speed").await, []);
}

pub async fn extreme_readings_are_kept_as_they_are<S: FastState>(open: impl AsyncFn(Arc<dyn Clock>) -> S) {
    let s = open(clock()).await;
    let values = [0.0, -0.0, f64::MIN, f64::MAX, f64::MIN_POSITIVE, 5e-324, 0.1 + 0.2];
    let at = |n: usize| NOON.minus(Span::micros(n as i64));
    let records = values.iter().enumerate().map(|(n, v)| reading("d", "r", at(values.len() - n), *v));
    s.push(&[batch(1, records)]).await.unwrap();
    let got: Vec<u64> = all_of(&s, "d", "r").await.iter().map(|p| p.value.to_bits()).collect();
    assert_eq!(got, values.map(f64::to_bits));
}

pub async fn a_long_trace_is_thinned_and_keeps_its_peaks<S: FastState>(open: impl AsyncFn(Arc<dyn Clock>) -> S) {
    let s = open(clock()).await;
    // Ten minutes of one a second: a wave, with one peak and one dip that are single points.
    let value = |n: i64| match n {
        123 => 1e6,
        456 => -1e6,
        _ => (n as f64 / 50.0).sin(),
    };
    let at = |n: i64| NOON.minus(Span::secs(600 - n));
    let records = (0..600).map(|n| reading("d", "r", at(n), value(n)));
    s.push(&[batch(1, records)]).await.unwrap();
    for max in [1, 2, 3, 10, 99, 100, 599] {
        let got = s.trace("d", "r", Timestamp::MIN, Timestamp::MAX, max).await.unwrap();
        assert!(got.len() <= max as usize && !got.is_empty(), "{max}: {}", got.len());
        assert!(got.is_sorted_by(|a, b| a.at < b.at));
        assert!(got.iter().all(|p| (0..600).any(|n| *p == point(at(n), value(n)))), "no point is made up");
        if max >= 2 {
            assert!([123, 456].iter().all(|n| got.contains(&point(at(*n), value(*n)))), "{max}");
        }
    }
    for max in [600, u32::MAX] {
        assert_eq!(s.trace("d", "r", Timestamp::MIN, Timestamp::MAX, max).await.unwrap().len(), 600);
    }
    assert_eq!(s.trace("d", "r", Timestamp::MIN, Timestamp::MAX, 0).await.unwrap(), []);
}

pub async fn readings_are_kept_for_their_time_and_no_longer<S: FastState>(open: impl AsyncFn(Arc<dyn Clock>) -> S) {
    let clock = clock();
    let s = open(clock.clone()).await;
    let stamps = [
        NOON.minus(READINGS_KEPT).minus(Span::micros(1)),
        NOON.minus(READINGS_KEPT),
        NOON,
        NOON.plus(READINGS_AHEAD),
        NOON.plus(READINGS_AHEAD).plus(Span::micros(1)),
        Timestamp::MIN,
        Timestamp::MAX,
    ];
    s.push(&[batch(1, stamps.map(|at| reading("d", "r", at, 1.0)))]).await.unwrap();
    let times = |points: Vec<TracePoint>| points.iter().map(|p| p.at).collect::<Vec<_>>();
    assert_eq!(times(all_of(&s, "d", "r").await), stamps[1..4]);
    clock.advance(Span::micros(1));
    assert_eq!(times(all_of(&s, "d", "r").await), stamps[2..4]);
    clock.advance(READINGS_KEPT);
    assert_eq!(times(all_of(&s, "d", "r").await), stamps[3..4]);
    // An old entry that comes late is no live reading.
    s.push(&[batch(2, [reading("d", "r", NOON, 1.0), line("wms", "late")])]).await.unwrap();
    assert_eq!(times(all_of(&s, "d", "r").await), stamps[3..4]);
    assert_eq!(messages(&s, "wms", 10).await, ["late"]);
}
