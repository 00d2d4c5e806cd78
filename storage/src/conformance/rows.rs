//! Checks of [`RowStore`].

use super::sample::{self, HOSTILE, huge};
use super::{assert_foreign, assert_refused, cursor, cut};
use crate::ports::rows::{Quarantined, Rollup, RowStore};
use andon_engine::time::Timestamp;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeMap;

const MINUTE: i64 = 60_000_000;

fn rollup(device: &str, value: f64) -> Rollup {
    Rollup {
        device: device.to_owned(),
        reading: "temperature".to_owned(),
        minute: Timestamp(0),
        min: value,
        max: value,
        sum: value,
        count: 1,
        last: value,
        last_at: Timestamp(1),
    }
}

pub(super) fn quarantined(seq: u64, reason: &str) -> Quarantined {
    Quarantined {
        journal_seq: seq,
        index: 0,
        received_at: Timestamp(seq as i64),
        key_id: "k".to_owned(),
        stage: "gateway".to_owned(),
        field: "timestamp".to_owned(),
        reason: reason.to_owned(),
        excerpt: "{".to_owned(),
    }
}

async fn of_device(s: &impl RowStore, device: &str) -> Vec<Rollup> {
    s.rollups(device, "temperature", Timestamp::MIN, Timestamp::MAX, 1_000)
        .await
        .unwrap()
}

async fn write(s: &impl RowStore, seq: u64, rollups: &[Rollup]) {
    assert_eq!(s.write_rows(rollups, &[], cursor(1, seq)).await.unwrap(), []);
}

pub async fn rollups_are_merged<S: RowStore>(open: impl AsyncFn() -> S) {
    let mut rng = StdRng::seed_from_u64(1);
    let s = open().await;
    let mut want: BTreeMap<(String, String, Timestamp), Rollup> = BTreeMap::new();
    for seq in 1..60 {
        let mut rows = Vec::new();
        for _ in 0..rng.random_range(0..40) {
            // Whole numbers, so that the order of summing does not matter.
            let (low, high) = (f64::from(rng.random_range(-50..0)), f64::from(rng.random_range(0..50)));
            let r = Rollup {
                device: sample::one_of(&mut rng, &["CNV-01", "CNV-02", "'"]).to_owned(),
                reading: sample::one_of(&mut rng, &["load", "vibration"]).to_owned(),
                minute: Timestamp(rng.random_range(-3..3) * MINUTE),
                min: low,
                max: high,
                sum: low + high,
                count: rng.random_range(1..100),
                last: f64::from(rng.random_range(-5..5)),
                // Often the same: then the later one to be written counts.
                last_at: Timestamp(rng.random_range(0..20)),
            };
            want.entry((r.device.clone(), r.reading.clone(), r.minute))
                .and_modify(|w| {
                    w.min = w.min.min(r.min);
                    w.max = w.max.max(r.max);
                    w.sum += r.sum;
                    w.count += r.count;
                    if r.last_at >= w.last_at {
                        (w.last, w.last_at) = (r.last, r.last_at);
                    }
                })
                .or_insert_with(|| r.clone());
            rows.push(r);
        }
        s.write_rows(&rows, &[], cursor(1, seq)).await.unwrap();
    }
    drop(s);
    let s = open().await;
    for device in ["CNV-01", "CNV-02", "'"] {
        for reading in ["load", "vibration"] {
            let of: Vec<_> = want
                .values()
                .filter(|r| r.device == device && r.reading == reading)
                .cloned()
                .collect();
            let got = s
                .rollups(device, reading, Timestamp::MIN, Timestamp::MAX, 100)
                .await
                .unwrap();
            assert_eq!(got, of);
            let (from, to) = (Timestamp(-MINUTE), Timestamp(MINUTE));
            let got = s.rollups(device, reading, from, to, 100).await.unwrap();
            assert_eq!(
                got,
                of.iter()
                    .filter(|r| r.minute >= from && r.minute < to)
                    .cloned()
                    .collect::<Vec<_>>()
            );
            let first = s
                .rollups(device, reading, Timestamp::MIN, Timestamp::MAX, 1)
                .await
                .unwrap();
            assert_eq!(first, of[..1]);
        }
    }
}

pub async fn rows_of_a_cursor_count_once<S: RowStore>(open: impl AsyncFn() -> S) {
    let s = open().await;
    assert_eq!(s.row_cursor().await.unwrap(), None);
    let rows = [rollup("D", 5.0)];
    for _ in 0..3 {
        s.write_rows(&rows, &[quarantined(1, "no")], cursor(1, 7))
            .await
            .unwrap();
    }
    assert_eq!(of_device(&s, "D").await, rows);
    assert_eq!(s.quarantined(10).await.unwrap().len(), 1);
    for foreign in [cursor(1, 6), cursor(2, 7), cursor(2, 8)] {
        assert_foreign(s.write_rows(&rows, &[], foreign).await);
    }
    drop(s);
    let s = open().await;
    assert_eq!(s.row_cursor().await.unwrap(), Some(cursor(1, 7)));
    s.write_rows(&rows, &[], cursor(1, 8)).await.unwrap();
    assert_eq!(of_device(&s, "D").await[0].count, 2);
}

pub async fn extreme_readings_are_kept<S: RowStore>(open: impl AsyncFn() -> S) {
    let s = open().await;
    let extremes = [f64::MAX, f64::MIN, f64::MIN_POSITIVE, 5e-324, 0.1, -0.1];
    for (n, v) in extremes.into_iter().enumerate() {
        let device = format!("D{n}");
        write(&s, n as u64, &[rollup(&device, v)]).await;
        assert_eq!(of_device(&s, &device).await, [rollup(&device, v)]);
    }
    let most = Rollup {
        count: i64::MAX as u64,
        ..rollup("D8", 1.0)
    };
    write(&s, 12, std::slice::from_ref(&most)).await;
    write(&s, 13, &[most]).await;
    assert_eq!(of_device(&s, "D8").await[0].count, i64::MAX as u64);
}

/// Stores that merge by arithmetic of their own meet here what a half, a sum or a difference may break on.
pub async fn extreme_readings_are_merged<S: RowStore>(open: impl AsyncFn() -> S) {
    let s = open().await;
    let odd = 3.0 * 2_f64.powi(970);
    let extremes = [
        f64::MAX,
        f64::MIN,
        1.7e308,
        -1.7e308,
        1.797e308,
        f64::MAX - odd,
        odd,
        f64::MIN_POSITIVE,
        5e-324,
        -5e-324,
        0.0,
        0.1,
    ];
    let mut seq = 0;
    for a in extremes {
        for b in extremes {
            let (apart, together) = (format!("{a:e} and {b:e}"), format!("{a:e} with {b:e}"));
            write(&s, seq + 1, &[rollup(&apart, a)]).await;
            write(&s, seq + 2, &[rollup(&apart, b)]).await;
            write(&s, seq + 3, &[rollup(&together, a), rollup(&together, b)]).await;
            seq += 3;
            for device in [apart, together] {
                let got = of_device(&s, &device).await.remove(0);
                let want = (a.min(b), a.max(b), 2, b);
                assert_eq!((got.min, got.max, got.count, got.last), want, "{device}");
                let exact = a + b;
                if exact.abs() < 1.79e308 {
                    assert_eq!(got.sum, exact, "{device}");
                } else {
                    // At the end of the range.
                    assert!(got.sum.is_finite() && got.sum.abs() > 1.79e308, "{device}: {}", got.sum);
                    assert_eq!(got.sum.signum(), exact.signum(), "{device}");
                }
            }
        }
    }
}

/// Rows that no store takes, between `count` that every one does.
fn with_impossible(count: usize) -> Vec<Rollup> {
    let mut rows: Vec<_> = (0..count).map(|n| rollup(&format!("good {n}"), 1.0)).collect();
    let last = f64::NEG_INFINITY;
    rows.insert(count / 2, rollup("bad 1", f64::NAN));
    rows.insert(count / 3, rollup("bad 2", f64::INFINITY));
    rows.insert(
        0,
        Rollup {
            last,
            ..rollup("bad 3", 1.0)
        },
    );
    rows.push(Rollup {
        count: u64::MAX,
        ..rollup("bad 4", 1.0)
    });
    rows
}

pub async fn a_refused_row_is_set_aside_alone<S: RowStore>(open: impl AsyncFn() -> S) {
    let s = open().await;
    let rows = with_impossible(300);
    let given = [
        quarantined(7, "r"),
        quarantined(u64::MAX, "no position"),
        quarantined(8, "r"),
    ];
    for turn in 0..2 {
        let refused = s.write_rows(&rows, &given, cursor(1, 20)).await.unwrap();
        // The second time it was written before.
        assert_eq!(refused.len(), if turn == 0 { 5 } else { 0 }, "{refused:?}");
        for n in 0..300 {
            assert_eq!(of_device(&s, &format!("good {n}")).await.len(), 1, "{n}");
        }
        let rows = s.quarantined(100).await.unwrap();
        let of = |stage: &str| rows.iter().filter(|q| q.stage == stage).count();
        assert_eq!((of("gateway"), of("rows")), (2, 4));
        assert!((1..=4).all(|n| rows.iter().any(|q| q.excerpt.contains(&format!("bad {n}")))));
    }
    assert_eq!(s.row_cursor().await.unwrap(), Some(cursor(1, 20)));
    // Without a cursor too: whoever waits for quarantine is not held up for good.
    let given = [quarantined(9, "r"), quarantined(u64::MAX, "no position")];
    s.quarantine(&given).await.unwrap();
    assert!(s.quarantined(100).await.unwrap().iter().any(|q| q.journal_seq == 9));
    assert_refused(s.write_rows(&rows, &[], cursor(1, u64::MAX)).await);
}

pub async fn what_is_cut_off_anywhere_is_there_once_after_another_try<S: RowStore>(open: impl AsyncFn() -> S) {
    let s = open().await;
    let rows = with_impossible(4);
    for steps in 1.. {
        let at = cursor(1, steps as u64);
        let done = cut(s.write_rows(&rows, &[quarantined(steps as u64, "r")], at), steps).await;
        s.row_cursor().await.unwrap();
        s.write_rows(&rows, &[quarantined(steps as u64, "r")], at)
            .await
            .unwrap();
        for n in 0..4 {
            let got = of_device(&s, &format!("good {n}")).await;
            assert_eq!(got[0].count, steps as u64, "cut after {steps} steps");
        }
        let quarantined = s.quarantined(10_000).await.unwrap();
        let here = quarantined.iter().filter(|q| q.journal_seq == steps as u64).count();
        assert_eq!(here, 5, "cut after {steps} steps");
        if done.is_some() {
            break;
        }
    }
}

pub async fn quarantine_keeps_what_was_sent<S: RowStore>(open: impl AsyncFn() -> S) {
    let s = open().await;
    let mut want = Vec::new();
    for (n, text) in HOSTILE.iter().enumerate() {
        want.push(Quarantined {
            journal_seq: n as u64,
            index: u32::MAX,
            received_at: Timestamp(n as i64),
            key_id: (*text).to_owned(),
            stage: (*text).to_owned(),
            field: (*text).to_owned(),
            reason: (*text).to_owned(),
            excerpt: format!("{text}{}", huge()),
        });
    }
    s.write_rows(&[], &want, cursor(1, 1)).await.unwrap();
    want.reverse();
    assert_eq!(s.quarantined(1_000).await.unwrap(), want, "newest first");
    let nul = Quarantined {
        excerpt: "a\0b".to_owned(),
        ..quarantined(100, "\0")
    };
    s.write_rows(&[], &[nul], cursor(1, 2)).await.unwrap();
    let got = s.quarantined(1).await.unwrap();
    assert_eq!(
        (got[0].excerpt.as_str(), got[0].reason.as_str()),
        ("a\u{fffd}b", "\u{fffd}")
    );
}

pub async fn the_oldest_in_quarantine_go_first<S: RowStore>(open: impl AsyncFn() -> S) {
    let s = open().await;
    let rows: Vec<_> = (0..25_000).map(|n| quarantined(n, "bad")).collect();
    s.write_rows(&[], &rows, cursor(1, 1)).await.unwrap();
    assert_eq!(s.trim_quarantine(u64::MAX).await.unwrap(), 0);
    assert_eq!(s.trim_quarantine(25_000).await.unwrap(), 0);
    assert_eq!(s.trim_quarantine(24_999).await.unwrap(), 1);
    assert_eq!(s.trim_quarantine(10).await.unwrap(), 24_989);
    let left: Vec<_> = s
        .quarantined(100)
        .await
        .unwrap()
        .into_iter()
        .map(|q| q.journal_seq)
        .collect();
    assert_eq!(left, (24_990..25_000).rev().collect::<Vec<_>>());
    assert_eq!(s.trim_quarantine(0).await.unwrap(), 10);
    assert_eq!(s.quarantined(100).await.unwrap(), []);
}
