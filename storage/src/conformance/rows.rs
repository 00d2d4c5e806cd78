//! Checks of [`RowStore`].

use super::sample::{self, HOSTILE, huge};
use super::{assert_foreign, assert_refused, cursor};
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

pub async fn extreme_readings_are_kept_and_impossible_ones_refused<S: RowStore>(open: impl AsyncFn() -> S) {
    let s = open().await;
    let extremes = [f64::MAX, f64::MIN, f64::MIN_POSITIVE, 5e-324, 0.1, -0.1];
    for (n, v) in extremes.into_iter().enumerate() {
        let device = format!("D{n}");
        s.write_rows(&[rollup(&device, v)], &[], cursor(1, n as u64))
            .await
            .unwrap();
        assert_eq!(of_device(&s, &device).await, [rollup(&device, v)]);
    }
    // A sum past what a number can be stays at the end of the range.
    s.write_rows(&[rollup("D0", f64::MAX), rollup("D1", f64::MIN)], &[], cursor(1, 10))
        .await
        .unwrap();
    assert!(of_device(&s, "D0").await[0].sum > 1.7e308 && of_device(&s, "D0").await[0].sum.is_finite());
    assert!(of_device(&s, "D1").await[0].sum < -1.7e308 && of_device(&s, "D1").await[0].sum.is_finite());
    let both = [rollup("D9", f64::MAX), rollup("D9", f64::MAX)];
    s.write_rows(&both, &[], cursor(1, 11)).await.unwrap();
    assert!(of_device(&s, "D9").await[0].sum.is_finite());
    let most = Rollup {
        count: i64::MAX as u64,
        ..rollup("D8", 1.0)
    };
    s.write_rows(std::slice::from_ref(&most), &[], cursor(1, 12))
        .await
        .unwrap();
    s.write_rows(&[most], &[], cursor(1, 13)).await.unwrap();
    assert_eq!(of_device(&s, "D8").await[0].count, i64::MAX as u64);
    for bad in [
        rollup("bad", f64::NAN),
        rollup("bad", f64::INFINITY),
        Rollup {
            last: f64::NEG_INFINITY,
            ..rollup("bad", 1.0)
        },
        Rollup {
            count: u64::MAX,
            ..rollup("bad", 1.0)
        },
    ] {
        assert_refused(
            s.write_rows(&[rollup("good", 1.0), bad], &[quarantined(1, "r")], cursor(1, 20))
                .await,
        );
    }
    assert_eq!(of_device(&s, "good").await, []);
    assert_eq!(s.quarantined(10).await.unwrap(), []);
    assert_eq!(s.row_cursor().await.unwrap(), Some(cursor(1, 13)));
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
    assert_refused(s.write_rows(&[], &[quarantined(u64::MAX, "r")], cursor(1, 3)).await);
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
