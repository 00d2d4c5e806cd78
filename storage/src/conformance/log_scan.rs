//! Generated filters on generated records. What a filter means is written down here a second time, as a plain scan.

use super::log_index::index;
use super::sample::{self, HOSTILE};
use crate::ports::log_index::{CountedBy, LogCounts, LogFilter, LogIndex, Order, PageKey, StoredRecord};
use crate::words::Sought;
use andon_engine::ids::{JournalId, RecordId};
use andon_engine::level::Level;
use andon_engine::record::Record;
use andon_engine::time::{Span, Timestamp};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::cmp::Reverse;
use std::collections::BTreeMap;

fn matches(f: &LogFilter, r: &Record<'_>) -> bool {
    let same = |want: &Option<String>, got: Option<&str>| want.as_deref().is_none_or(|w| got == Some(w));
    // What words are has tests of its own: here they only have to be the same everywhere.
    let says = |text: &str| Sought::of(text).is_in(r.message.unwrap_or(""));
    f.text.as_deref().is_none_or(says)
        && r.is_log()
        && same(&f.application, r.application)
        && same(&f.device_id, r.device_id)
        && f.device_ids
            .as_ref()
            .is_none_or(|any| r.device_id.is_some_and(|d| any.iter().any(|one| one == d)))
        && same(&f.user_id, r.user_id)
        && same(&f.source, r.source)
        && same(&f.item_id, r.item_id)
        && same(&f.order_id, r.order_id)
        && same(&f.location, r.location)
        && same(&f.step, r.step)
        && same(&f.trace_id, r.trace_id)
        && f.type_prefix.as_deref().is_none_or(|p| {
            r.kind.is_some_and(|k| {
                k.strip_prefix(p)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            })
        })
        && f.level.is_none_or(|l| r.level == Some(l))
        && f.min_level.is_none_or(|l| r.level.is_some_and(|got| got >= l))
        && f.fingerprint.is_none_or(|n| r.fingerprint == n)
        && f.from.is_none_or(|t| r.timestamp >= t)
        && f.to.is_none_or(|t| r.timestamp < t)
}

const WORDS: &[&str] = &[
    "belt",
    "Belt",
    "torn",
    "CNV-03",
    "cnv",
    "03",
    "motor",
    "ÜBERLAST",
    "3.5",
    "—",
    "x",
    "🏭",
    "№3",
    "ǅ",
    "İ",
    "ß",
    "e\u{301}",
    "AND",
    "OR",
    "NOT",
    "belt*",
    "message:belt",
    "to\u{a0}rn",
    "a_b",
    // One longer than words are, and the longest, which is its start; and one shorter.
    "wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww",
    "wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww",
    "wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww",
];
const KINDS: &[&str] = &[
    "SF",
    "SF.estop",
    "SFX",
    "SF.estop.door",
    "SF-1",
    "SF/1",
    "SF.",
    ".SF",
    "sf",
    "SF*",
    "SF?",
    "SF..x",
    "equipment",
    "",
    ".",
    "..",
    "\\",
    "\"",
];
const KEYS: &[&str] = &["a", "A", "b c", "", "…", "a*", "a\\", "*", "_all", "a\nb"];
const DAY: i64 = Span::hours(24).as_micros();
/// Where a computation in double precision ends to be exact.
const DOUBLE: i64 = 1 << 52;
const TIMES: &[i64] = &[
    i64::MIN,
    i64::MIN + 1,
    -DOUBLE - 1,
    -DOUBLE,
    -DAY - 1,
    -1,
    0,
    1,
    2,
    3,
    999,
    1_000,
    DAY - 1,
    DAY,
    1_763_875_440_893_123,
    1_763_875_440_893_999,
    1_763_875_440_894_000,
    DOUBLE - 1,
    DOUBLE,
    i64::MAX - 1,
    i64::MAX,
];
const INTERVALS: &[i64] = &[1, 2, 3, 7, 1_000, 1_000_000, DAY, DOUBLE - 1, DOUBLE, i64::MAX];
const FINGERPRINTS: &[u64] = &[0, 1, 1 << 63, u64::MAX];
const COUNTED: &[CountedBy] = &[
    CountedBy::Application,
    CountedBy::Device,
    CountedBy::Type,
    CountedBy::Level,
];

/// A key as senders have them, or one that has broken stores.
fn key(rng: &mut StdRng) -> String {
    let of = if rng.random_bool(0.2) { HOSTILE } else { KEYS };
    sample::one_of(rng, of).to_owned()
}

/// Where keys become too long to be indexed as they are.
fn long_key(rng: &mut StdRng) -> String {
    if rng.random_bool(0.8) {
        return key(rng);
    }
    let tail = sample::one_of(rng, &["", "x", "y", "ü"]);
    format!("{}{tail}", "k".repeat(rng.random_range(510..514)))
}

/// One record, generated, that owns its texts.
struct Generated {
    message: Option<String>,
    keys: Vec<Option<String>>,
    kind: Option<&'static str>,
    level: Option<Level>,
    time: i64,
    received_at: i64,
    fingerprint: u64,
}

impl Generated {
    fn new(rng: &mut StdRng) -> Self {
        let phrase = |r: &mut StdRng| {
            let word = |r: &mut StdRng| {
                let of = if r.random_bool(0.1) { HOSTILE } else { WORDS };
                sample::one_of(r, of)
            };
            (0..r.random_range(0..6)).map(|_| word(r)).collect::<Vec<_>>().join(" ")
        };
        Self {
            message: if rng.random_bool(0.9) { Some(phrase(rng)) } else { None },
            keys: (0..9)
                .map(|n| sample::maybe(rng, if n < 2 { key } else { long_key }))
                .collect(),
            kind: sample::maybe(rng, |r| sample::one_of(r, KINDS)),
            level: sample::maybe(rng, |r| sample::one_of(r, &Level::ALL)),
            time: sample::one_of(rng, TIMES),
            received_at: sample::one_of(rng, &[0, DAY - 1, DAY]),
            fingerprint: sample::one_of(rng, FINGERPRINTS),
        }
    }
    fn record(&self) -> Record<'_> {
        let key = |n: usize| self.keys[n].as_deref();
        Record {
            timestamp: Timestamp(self.time),
            received_at: Timestamp(self.received_at),
            message: self.message.as_deref(),
            application: key(0),
            device_id: key(1),
            user_id: key(2),
            source: key(3),
            item_id: key(4),
            order_id: key(5),
            location: key(6),
            step: key(7),
            trace_id: key(8),
            kind: self.kind,
            level: self.level,
            fingerprint: self.fingerprint,
            ..Record::default()
        }
    }
}

/// What a person may type: words, phrases, quotes that do not close, and what is syntax elsewhere.
fn typed(rng: &mut StdRng) -> String {
    let piece = |r: &mut StdRng| {
        let words: Vec<_> = (0..r.random_range(1..3)).map(|_| sample::one_of(r, WORDS)).collect();
        let words = words.join(" ");
        match r.random_range(0..8) {
            0 => sample::one_of(r, HOSTILE).to_owned(),
            1..4 => format!("\"{words}\""),
            _ => words,
        }
    };
    let pieces: Vec<_> = (0..rng.random_range(1..3)).map(|_| piece(rng)).collect();
    pieces.join(" ")
}

/// A filter of any conditions.
fn any(rng: &mut StdRng) -> LogFilter {
    fn rare<T>(rng: &mut StdRng, make: impl FnOnce(&mut StdRng) -> T) -> Option<T> {
        if rng.random_bool(0.15) { Some(make(rng)) } else { None }
    }
    let time = |r: &mut StdRng| Timestamp(sample::one_of(r, TIMES));
    LogFilter {
        application: rare(rng, key),
        device_id: rare(rng, key),
        device_ids: rare(rng, |r| (0..r.random_range(0..4)).map(|_| key(r)).collect()),
        user_id: rare(rng, long_key),
        source: rare(rng, long_key),
        item_id: rare(rng, long_key),
        order_id: rare(rng, long_key),
        location: rare(rng, long_key),
        step: rare(rng, long_key),
        trace_id: rare(rng, long_key),
        type_prefix: rare(rng, |r| sample::one_of(r, KINDS).to_owned()),
        level: rare(rng, |r| sample::one_of(r, &Level::ALL)),
        min_level: rare(rng, |r| sample::one_of(r, &Level::ALL)),
        fingerprint: rare(rng, |r| sample::one_of(r, FINGERPRINTS)),
        text: rare(rng, typed).filter(|t| Sought::of(t).has_words()),
        from: rare(rng, time),
        to: rare(rng, time),
    }
}

/// A filter of many conditions, which one record at least fulfils.
fn of_record(rng: &mut StdRng, r: &Generated) -> LogFilter {
    fn often<T>(rng: &mut StdRng, value: Option<T>) -> Option<T> {
        value.filter(|_| rng.random_bool(0.4))
    }
    let message = r.message.clone().unwrap_or_default();
    // A part of the message between two blanks, as a phrase or as words.
    let parts: Vec<_> = message.split(' ').collect();
    let from = rng.random_range(0..parts.len());
    let part = parts[from..rng.random_range(from..parts.len()) + 1]
        .join(" ")
        .replace('"', " ");
    let text = if rng.random() { format!("\"{part}\"") } else { part };
    let kind = r.kind.map(|k| match k.rfind('.') {
        Some(at) if rng.random() => k[..at].to_owned(),
        _ => k.to_owned(),
    });
    let mut key = |n: usize| often(rng, r.keys[n].clone());
    let keys: [Option<String>; 9] = std::array::from_fn(&mut key);
    let [
        application,
        device_id,
        user_id,
        source,
        item_id,
        order_id,
        location,
        step,
        trace_id,
    ] = keys;
    LogFilter {
        application,
        device_ids: often(rng, device_id.clone().map(|d| vec!["other".to_owned(), d])),
        device_id,
        user_id,
        source,
        item_id,
        order_id,
        location,
        step,
        trace_id,
        type_prefix: often(rng, kind),
        level: often(rng, r.level),
        min_level: often(rng, r.level),
        fingerprint: often(rng, Some(r.fingerprint)),
        text: often(rng, Some(text)).filter(|t| Sought::of(t).has_words()),
        from: often(rng, Some(Timestamp(r.time))),
        to: often(rng, r.time.checked_add(1).map(Timestamp)),
    }
}

fn filter(rng: &mut StdRng, all: &[(RecordId, Generated)]) -> LogFilter {
    if rng.random() {
        any(rng)
    } else {
        let n = rng.random_range(0..all.len());
        of_record(rng, &all[n].1)
    }
}

/// Fills the index with generated records, in several commits, of several days and classes.
async fn generated(s: &impl LogIndex, rng: &mut StdRng) -> Vec<(RecordId, Generated)> {
    let mut all = Vec::new();
    for (seq, n) in (1..).zip([1, 80, 7, 250, 160]) {
        let records: Vec<_> = (0..n).map(|_| Generated::new(rng)).collect();
        index(s, seq, &records.iter().map(Generated::record).collect::<Vec<_>>()).await;
        let id = |n| RecordId::new(JournalId(1), seq, n as u32);
        all.extend(records.into_iter().enumerate().map(|(n, r)| (id(n), r)));
    }
    all
}

pub async fn counts_agree_with_a_scan<S: LogIndex + LogCounts>(open: impl AsyncFn() -> S) {
    let mut rng = StdRng::seed_from_u64(2);
    let s = open().await;
    let all = generated(&s, &mut rng).await;
    for _ in 0..150 {
        let f = filter(&mut rng, &all);
        let found: Vec<_> = all.iter().map(|(_, r)| r.record()).filter(|r| matches(&f, r)).collect();

        let interval = sample::one_of(&mut rng, INTERVALS);
        let mut bars: BTreeMap<i64, u64> = BTreeMap::new();
        for r in &found {
            let start = i128::from(r.timestamp.as_micros()).div_euclid(interval.into()) * i128::from(interval);
            *bars.entry(start.max(i64::MIN.into()) as i64).or_default() += 1;
        }
        let want: Vec<_> = bars.into_iter().map(|(t, n)| (Timestamp(t), n)).collect();
        assert_eq!(
            s.histogram(&f, Span::micros(interval)).await.unwrap(),
            want,
            "{f:?} {interval}"
        );

        let by = sample::one_of(&mut rng, COUNTED);
        let mut values: BTreeMap<String, u64> = BTreeMap::new();
        for r in &found {
            let value = match by {
                CountedBy::Application => r.application,
                CountedBy::Device => r.device_id,
                CountedBy::Type => r.kind,
                CountedBy::Level => r.level.map(Level::as_str),
            };
            if let Some(value) = value {
                *values.entry(value.to_owned()).or_default() += 1;
            }
        }
        let mut want: Vec<_> = values.into_iter().collect();
        want.sort_by_key(|(value, n)| (Reverse(*n), value.clone()));
        let limit = sample::one_of(&mut rng, &[0, 1, 2, 5, u32::MAX]);
        want.truncate(limit as usize);
        assert_eq!(s.top(&f, by, limit).await.unwrap(), want, "{f:?} {by:?}");
    }
}

pub async fn a_search_agrees_with_a_scan<S: LogIndex>(open: impl AsyncFn() -> S) {
    let mut rng = StdRng::seed_from_u64(1);
    let s = open().await;
    let all = generated(&s, &mut rng).await;
    let mut found_some = 0;
    for _ in 0..400 {
        let f = filter(&mut rng, &all);
        let order = sample::one_of(&mut rng, &[Order::NewestFirst, Order::OldestFirst]);
        let key = |(id, r): &&(RecordId, Generated)| (Timestamp(r.time), *id);
        let mut want: Vec<_> = all.iter().filter(|(_, r)| matches(&f, &r.record())).collect();
        want.sort_by_key(key);
        if order == Order::NewestFirst {
            want.reverse();
        }
        assert_eq!(s.count(&f).await.unwrap(), want.len() as u64, "{f:?}");
        // From anywhere in the order, also where nothing that matches stands.
        let after = sample::maybe(&mut rng, |r| key(&&all[r.random_range(0..all.len())]));
        want.retain(|w| match (after, order) {
            (None, _) => true,
            (Some(after), Order::OldestFirst) => key(w) > after,
            (Some(after), Order::NewestFirst) => key(w) < after,
        });
        let limit = rng.random_range(1..40);
        want.truncate(limit as usize);
        let after = after.map(|(timestamp, record_id)| PageKey { timestamp, record_id });
        let got = s.search(&f, order, after, limit).await.unwrap();
        let got: Vec<_> = got.iter().map(StoredRecord::record).collect();
        let want: Vec<_> = want
            .into_iter()
            .map(|(id, r)| Record {
                record_id: *id,
                ..r.record()
            })
            .collect();
        assert_eq!(got, want, "{f:?} {order:?} {after:?}");
        found_some += usize::from(!want.is_empty());
    }
    assert!(found_some > 150, "the filters are not all empty: {found_some}");
}
