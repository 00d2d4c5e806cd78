//! Checks of [`LogIndex`]. What a filter means is written down here a second time, as a plain scan.

use super::sample::{self, HOSTILE};
use super::{assert_foreign, assert_refused, cursor};
use crate::ports::log_index::{
    CountedBy, HISTOGRAM_BARS_MAX, LogCounts, LogFilter, LogIndex, Order, PageKey, StoredRecord,
};
use andon_engine::batch::{Batch, BatchBuilder};
use andon_engine::ids::{JournalId, RecordId};
use andon_engine::level::Level;
use andon_engine::record::{Flags, Record};
use andon_engine::time::{Span, Timestamp};
use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// A batch of journal 1 at this place.
fn batch(seq: u64, records: &[Record<'_>]) -> Batch<Bytes> {
    let mut b = BatchBuilder::new();
    for r in records {
        assert!(b.push(r));
    }
    Batch::parse(b.finish().into(), JournalId(1), seq).unwrap()
}

fn log<'a>(timestamp: i64, message: &'a str) -> Record<'a> {
    Record {
        timestamp: Timestamp(timestamp),
        message: Some(message),
        device_id: Some("D"),
        ..Record::default()
    }
}

async fn index(s: &impl LogIndex, seq: u64, records: &[Record<'_>]) {
    s.add(&[batch(seq, records)]).await.unwrap();
    s.commit(cursor(1, seq)).await.unwrap();
}

async fn messages(s: &impl LogIndex, filter: &LogFilter) -> Vec<String> {
    let found = s.search(filter, Order::OldestFirst, None, 1_000).await.unwrap();
    assert_eq!(s.count(filter).await.unwrap(), found.len() as u64, "{filter:?}");
    found.iter().map(|r| r.record().message.unwrap().to_owned()).collect()
}

fn text(text: &str) -> LogFilter {
    LogFilter {
        text: Some(text.to_owned()),
        ..LogFilter::default()
    }
}

pub async fn an_empty_index_finds_nothing<S: LogIndex>(open: impl AsyncFn() -> S) {
    let s = open().await;
    assert_eq!(s.log_cursor().await.unwrap(), None);
    assert_eq!(messages(&s, &LogFilter::default()).await, Vec::<String>::new());
    assert!(s.record(RecordId::default()).await.unwrap().is_none());
    s.commit(cursor(1, 4)).await.unwrap();
    assert_eq!(s.log_cursor().await.unwrap(), Some(cursor(1, 4)));
    s.commit(cursor(1, 4)).await.unwrap();
}

pub async fn a_record_comes_back_as_it_went_in<S: LogIndex>(open: impl AsyncFn() -> S) {
    let s = open().await;
    let r = Record {
        timestamp: Timestamp(1_700_000_000_000_001),
        received_at: Timestamp(i64::MAX),
        level: Some(Level::Fatal),
        message: Some("Belt torn at CNV-03"),
        kind: Some("equipment.drive.overcurrent"),
        application: Some("wms"),
        device_id: Some("CNV-03"),
        user_id: Some("ana"),
        source: Some("plc"),
        readings: vec![("load", 0.92), ("temperature", -81.4)],
        fields: r#"{"a":{"b":[1,2.5,"x",null,true]},"":0,"a.b":"c","\u0000":"\u0000"}"#,
        id: Some("sender's"),
        item_id: Some("item"),
        order_id: Some("order"),
        location: Some("aisle 3"),
        step: Some("pick"),
        trace_id: Some("abc"),
        span_id: Some("def"),
        fingerprint: u64::MAX,
        flags: Flags(5),
        ..Record::default()
    };
    index(&s, 7, &[log(0, "other"), r.clone()]).await;
    let id = RecordId::new(JournalId(1), 7, 1);
    let want = Record { record_id: id, ..r };
    assert_eq!(s.record(id).await.unwrap().unwrap().record(), want);
    let found = s.search(&text("torn"), Order::NewestFirst, None, 10).await.unwrap();
    assert_eq!(found.iter().map(StoredRecord::record).collect::<Vec<_>>(), [want]);
    for other in [
        RecordId::new(JournalId(2), 7, 1),
        RecordId::new(JournalId(1), 7, 2),
        RecordId::new(JournalId(1), 8, 1),
    ] {
        assert!(s.record(other).await.unwrap().is_none());
    }
    // The same low half in another high half.
    let far = (1 << 32) + 7;
    index(&s, far, &[log(0, "far"), log(1, "far away")]).await;
    let far = RecordId::new(JournalId(1), far, 1);
    assert_eq!(s.record(far).await.unwrap().unwrap().record().message, Some("far away"));
    assert_eq!(
        s.record(id).await.unwrap().unwrap().record().message,
        Some("Belt torn at CNV-03")
    );
}

pub async fn only_what_was_committed_is_there<S: LogIndex>(open: impl AsyncFn() -> S) {
    let s = open().await;
    s.add(&[batch(1, &[log(1, "one")]), batch(2, &[log(2, "two")])])
        .await
        .unwrap();
    assert_eq!(
        messages(&s, &LogFilter::default()).await,
        Vec::<String>::new(),
        "not searchable yet"
    );
    s.commit(cursor(1, 2)).await.unwrap();
    assert_eq!(
        messages(&s, &LogFilter::default()).await,
        ["one", "two"],
        "searchable at once"
    );
    s.add(&[batch(3, &[log(3, "three")])]).await.unwrap();
    drop(s);
    let s = open().await;
    assert_eq!(s.log_cursor().await.unwrap(), Some(cursor(1, 2)));
    assert_eq!(messages(&s, &LogFilter::default()).await, ["one", "two"]);
    index(&s, 3, &[log(3, "three again")]).await;
    assert_eq!(messages(&s, &LogFilter::default()).await, ["one", "two", "three again"]);
}

pub async fn a_replay_doubles_nothing<S: LogIndex>(open: impl AsyncFn() -> S) {
    let s = open().await;
    let batches: Vec<_> = (1..=5)
        .map(|n| batch(n, &[log(n as i64, "a"), log(n as i64, "b")]))
        .collect();
    s.add(&batches[..3]).await.unwrap();
    s.add(&batches[1..4]).await.unwrap();
    s.commit(cursor(1, 4)).await.unwrap();
    s.add(&batches).await.unwrap();
    s.commit(cursor(1, 5)).await.unwrap();
    drop(s);
    let s = open().await;
    s.add(&batches).await.unwrap();
    s.commit(cursor(1, 5)).await.unwrap();
    s.commit(cursor(1, 9)).await.unwrap();
    assert_eq!(s.count(&LogFilter::default()).await.unwrap(), 10);
}

pub async fn a_cursor_that_does_not_follow_is_refused<S: LogIndex>(open: impl AsyncFn() -> S) {
    let s = open().await;
    index(&s, 10, &[log(1, "one")]).await;
    assert_foreign(s.commit(cursor(1, 9)).await);
    assert_foreign(s.commit(cursor(2, 10)).await);
    let other = Batch::parse(batch(11, &[log(1, "x")]).bytes().clone(), JournalId(2), 11).unwrap();
    assert_foreign(s.add(&[other]).await);
    s.add(&[batch(12, &[log(2, "two")])]).await.unwrap();
    assert_refused(s.commit(cursor(1, 11)).await);
    s.commit(cursor(1, 12)).await.unwrap();
    assert_eq!(messages(&s, &LogFilter::default()).await, ["one", "two"]);
}

pub async fn readings_alone_are_no_log_record<S: LogIndex>(open: impl AsyncFn() -> S) {
    let s = open().await;
    let readings = Record {
        readings: vec![("load", 1.0)],
        device_id: Some("D"),
        ..Record::default()
    };
    index(&s, 1, &[readings.clone(), log(1, ""), readings]).await;
    assert_eq!(messages(&s, &LogFilter::default()).await, [""]);
    assert!(s.record(RecordId::new(JournalId(1), 1, 0)).await.unwrap().is_none());
    assert!(s.record(RecordId::new(JournalId(1), 1, 1)).await.unwrap().is_some());
}

pub async fn words_and_phrases_are_found<S: LogIndex>(open: impl AsyncFn() -> S) {
    let s = open().await;
    let texts = [
        "Belt torn at CNV-03",
        "belt at CNV-04 torn",
        "Überlast: 3.5 A",
        "the the the end",
        "Bel",
        "cnv 03",
        "OR AND",
    ];
    let records: Vec<_> = texts.iter().enumerate().map(|(n, t)| log(n as i64, t)).collect();
    index(&s, 1, &records).await;
    let check = async |query: &str, want: &[usize]| {
        let want: Vec<_> = want.iter().map(|n| texts[*n]).collect();
        assert_eq!(messages(&s, &text(query)).await, want, "{query}");
    };
    check("belt", &[0, 1]).await;
    check("BELT TORN", &[0, 1]).await;
    check("torn belt", &[0, 1]).await;
    check("\"belt torn\"", &[0]).await;
    check("\"torn belt\"", &[]).await;
    check("\"belt torn", &[0]).await;
    check("CNV-03", &[0, 5]).await;
    check("03-CNV", &[]).await;
    check("überlast", &[2]).await;
    check("3.5", &[2]).await;
    check("\"the the\"", &[3]).await;
    check("\"the the the the\"", &[]).await;
    check("bel", &[4]).await;
    check("bel*", &[4]).await;
    check("or", &[6]).await;
    check("belt OR bel", &[]).await;
    check("-belt", &[0, 1]).await;
    check("message:belt", &[]).await;
    check("", &[0, 1, 2, 3, 4, 5, 6]).await;
    check("\" ?! \" *", &[0, 1, 2, 3, 4, 5, 6]).await;
}

pub async fn hostile_searches_are_only_searches<S: LogIndex>(open: impl AsyncFn() -> S) {
    let s = open().await;
    let long = "k".repeat(100_000);
    let mut keys: Vec<&str> = HOSTILE.to_vec();
    let other = format!("{}x", &long[1..]);
    keys.extend([long.as_str(), other.as_str()]);
    let records: Vec<_> = keys
        .iter()
        .enumerate()
        .map(|(n, k)| Record {
            timestamp: Timestamp(n as i64),
            message: Some(k),
            kind: Some(k),
            application: Some(k),
            device_id: Some(k),
            user_id: Some(k),
            source: Some(k),
            item_id: Some(k),
            order_id: Some(k),
            location: Some(k),
            step: Some(k),
            trace_id: Some(k),
            span_id: Some(k),
            fields: k,
            ..Record::default()
        })
        .collect();
    index(&s, 1, &records).await;
    for key in &keys {
        let value = || Some((*key).to_owned());
        for filter in [
            LogFilter {
                application: value(),
                ..LogFilter::default()
            },
            LogFilter {
                device_id: value(),
                ..LogFilter::default()
            },
            LogFilter {
                user_id: value(),
                ..LogFilter::default()
            },
            LogFilter {
                source: value(),
                ..LogFilter::default()
            },
            LogFilter {
                item_id: value(),
                ..LogFilter::default()
            },
            LogFilter {
                order_id: value(),
                ..LogFilter::default()
            },
            LogFilter {
                location: value(),
                ..LogFilter::default()
            },
            LogFilter {
                step: value(),
                ..LogFilter::default()
            },
            LogFilter {
                trace_id: value(),
                ..LogFilter::default()
            },
        ] {
            assert_eq!(
                messages(&s, &filter).await,
                [*key],
                "{}",
                key.chars().take(40).collect::<String>()
            );
        }
        // Whatever it finds, it answers.
        messages(&s, &text(key)).await;
        messages(
            &s,
            &LogFilter {
                type_prefix: value(),
                ..LogFilter::default()
            },
        )
        .await;
    }
    assert_refused(s.count(&text(&"word ".repeat(10_000))).await);
}

pub async fn fields_of_any_shape_are_taken<S: LogIndex>(open: impl AsyncFn() -> S) {
    let s = open().await;
    let deep = format!("{}1{}", "{\"a\":".repeat(100), "}".repeat(100));
    let deeper = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let wide = format!(
        "{{{}}}",
        (0..5_000)
            .map(|n| format!("\"k{n}\":{n}"))
            .collect::<Vec<_>>()
            .join(",")
    );
    let list = format!("{{\"a\":[{}1]}}", "1,".repeat(15_000));
    let name = format!("{{\"{}\":1}}", "n".repeat(32_000));
    let value = format!("{{\"a\":\"{}\"}}", "v".repeat(100_000));
    let numbers = r#"{"a":1e308,"b":-9223372036854775808,"c":18446744073709551615,"d":1e-400,"e":123456789012345678901234567890}"#;
    let all = [
        &deep,
        &deeper,
        &wide,
        &list,
        &name,
        &value,
        numbers,
        "{\"a\":1",
        "null",
        "[1]",
        "\u{1}{}",
        "{\"\\u0001a\":1}",
    ];
    let records: Vec<_> = all
        .iter()
        .enumerate()
        .map(|(n, f)| Record {
            fields: f,
            ..log(n as i64, "with fields")
        })
        .collect();
    index(&s, 1, &records).await;
    let found = s
        .search(&LogFilter::default(), Order::OldestFirst, None, 100)
        .await
        .unwrap();
    assert_eq!(
        found.iter().map(|r| r.record().fields.to_owned()).collect::<Vec<_>>(),
        all
    );
}

pub async fn pages_part_equal_stamps_exactly<S: LogIndex>(open: impl AsyncFn() -> S) {
    let s = open().await;
    // Three commits, so that equal stamps lie in different segments; extremes at both ends.
    for seq in 1..=3 {
        let times = [i64::MIN, 5, 5, 5, 6, 5, i64::MAX, -1, 5, 5];
        let texts: Vec<_> = (0..10).map(|n| format!("{seq}/{n}")).collect();
        let records: Vec<_> = times.iter().zip(&texts).map(|(t, m)| log(*t, m)).collect();
        index(&s, seq, &records).await;
    }
    let all = LogFilter::default();
    for (order, limit) in [1, 2, 3, 7, 30, 31]
        .into_iter()
        .flat_map(|l| [(Order::OldestFirst, l), (Order::NewestFirst, l)])
    {
        let mut keys = Vec::new();
        let mut after = None;
        loop {
            let page = s.search(&all, order, after, limit).await.unwrap();
            let Some(last) = page.last() else { break };
            let key = |r: &StoredRecord| (r.record().timestamp, r.record().record_id);
            after = Some(PageKey {
                timestamp: key(last).0,
                record_id: key(last).1,
            });
            keys.extend(page.iter().map(key));
            assert!(keys.len() <= 30, "pages overlap: {order:?} {limit}");
        }
        assert_eq!(keys.len(), 30, "{order:?} {limit}");
        let mut sorted = keys.clone();
        sorted.sort();
        if order == Order::NewestFirst {
            sorted.reverse();
        }
        assert_eq!(keys, sorted);
        sorted.dedup();
        assert_eq!(sorted.len(), 30);
    }
    assert!(s.search(&all, Order::NewestFirst, None, 0).await.unwrap().is_empty());
}

/// Words as letters and digits, in lower case.
fn words(text: &str) -> Vec<String> {
    let parts = text.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty());
    parts
        .map(|w| w.chars().flat_map(char::to_lowercase).collect())
        .collect()
}

fn matches(f: &LogFilter, r: &Record<'_>) -> bool {
    let same = |want: &Option<String>, got: Option<&str>| want.as_deref().is_none_or(|w| got == Some(w));
    let has = |run: &[String], all: &[String]| run.is_empty() || all.windows(run.len()).any(|w| w == run);
    let text = f.text.as_deref().unwrap_or("");
    let message = words(r.message.unwrap_or(""));
    let mut quoted = false;
    text.split('"').all(|part| {
        let ok = if quoted {
            has(&words(part), &message)
        } else {
            part.split(' ').all(|p| has(&words(p), &message))
        };
        quoted = !quoted;
        ok
    }) && r.is_log()
        && same(&f.application, r.application)
        && same(&f.device_id, r.device_id)
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

const WORDS: &[&str] = &["belt", "Belt", "torn", "CNV-03", "motor", "ÜBERLAST", "3.5", "—", "x"];
const KINDS: &[&str] = &[
    "SF",
    "SF.estop",
    "SFX",
    "SF.estop.door",
    "SF-1",
    "SF/1",
    "equipment",
    "",
    ".",
];
const KEYS: &[&str] = &["a", "A", "b c", "", "…"];
const TIMES: &[i64] = &[i64::MIN, -1, 0, 1, 2, 3, i64::MAX];

/// One record, generated, that owns its texts.
struct Generated {
    message: Option<String>,
    keys: Vec<Option<&'static str>>,
    kind: Option<&'static str>,
    level: Option<Level>,
    time: i64,
    fingerprint: u64,
}

impl Generated {
    fn new(rng: &mut StdRng) -> Self {
        let phrase = |r: &mut StdRng| {
            (0..r.random_range(0..6))
                .map(|_| sample::one_of(r, WORDS))
                .collect::<Vec<_>>()
                .join(" ")
        };
        Self {
            message: if rng.random_bool(0.9) { Some(phrase(rng)) } else { None },
            keys: (0..9)
                .map(|_| sample::maybe(rng, |r| sample::one_of(r, KEYS)))
                .collect(),
            kind: sample::maybe(rng, |r| sample::one_of(r, KINDS)),
            level: sample::maybe(rng, |r| sample::one_of(r, &Level::ALL)),
            time: sample::one_of(rng, TIMES),
            fingerprint: sample::one_of(rng, &[0, 1, u64::MAX]),
        }
    }
    fn record(&self) -> Record<'_> {
        Record {
            timestamp: Timestamp(self.time),
            message: self.message.as_deref(),
            application: self.keys[0],
            device_id: self.keys[1],
            user_id: self.keys[2],
            source: self.keys[3],
            item_id: self.keys[4],
            order_id: self.keys[5],
            location: self.keys[6],
            step: self.keys[7],
            trace_id: self.keys[8],
            kind: self.kind,
            level: self.level,
            fingerprint: self.fingerprint,
            ..Record::default()
        }
    }
}

fn filter(rng: &mut StdRng) -> LogFilter {
    fn rare<T>(rng: &mut StdRng, make: impl FnOnce(&mut StdRng) -> T) -> Option<T> {
        if rng.random_bool(0.15) { Some(make(rng)) } else { None }
    }
    let key = |r: &mut StdRng| sample::one_of(r, KEYS).to_owned();
    let time = |r: &mut StdRng| Timestamp(sample::one_of(r, TIMES));
    LogFilter {
        application: rare(rng, key),
        device_id: rare(rng, key),
        user_id: rare(rng, key),
        source: rare(rng, key),
        item_id: rare(rng, key),
        order_id: rare(rng, key),
        location: rare(rng, key),
        step: rare(rng, key),
        trace_id: rare(rng, key),
        type_prefix: rare(rng, |r| sample::one_of(r, KINDS).to_owned()),
        level: rare(rng, |r| sample::one_of(r, &Level::ALL)),
        min_level: rare(rng, |r| sample::one_of(r, &Level::ALL)),
        fingerprint: rare(rng, |r| sample::one_of(r, &[0, 1, u64::MAX])),
        text: rare(rng, |r| {
            let piece = |r: &mut StdRng| {
                let words: Vec<_> = (0..r.random_range(1..3)).map(|_| sample::one_of(r, WORDS)).collect();
                let words = words.join(" ");
                if r.random() { format!("\"{words}\"") } else { words }
            };
            (0..r.random_range(1..3))
                .map(|_| piece(r))
                .collect::<Vec<_>>()
                .join(" ")
        }),
        from: rare(rng, time),
        to: rare(rng, time),
    }
}

/// Fills the index with generated records, in several commits.
async fn generated(s: &impl LogIndex, rng: &mut StdRng) -> Vec<(RecordId, Generated)> {
    let mut all = Vec::new();
    for seq in 1..=12 {
        let records: Vec<_> = (0..rng.random_range(1..80)).map(|_| Generated::new(rng)).collect();
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
    for _ in 0..200 {
        let f = filter(&mut rng);
        let found: Vec<_> = all.iter().map(|(_, r)| r.record()).filter(|r| matches(&f, r)).collect();

        let interval = sample::one_of(&mut rng, &[1, 2, 3, 1_000_000, i64::MAX]);
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

        let by = sample::one_of(
            &mut rng,
            &[
                CountedBy::Application,
                CountedBy::Device,
                CountedBy::Type,
                CountedBy::Level,
            ],
        );
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
        want.truncate(rng.random_range(0..5));
        assert_eq!(s.top(&f, by, want.len() as u32).await.unwrap(), want, "{f:?} {by:?}");
    }
}

pub async fn a_histogram_has_a_bound<S: LogIndex + LogCounts>(open: impl AsyncFn() -> S) {
    let s = open().await;
    let bars = HISTOGRAM_BARS_MAX as i64;
    let records: Vec<_> = (0..bars).map(|n| log(n, "x")).collect();
    index(&s, 1, &records).await;
    let (all, one) = (LogFilter::default(), Span::micros(1));
    assert_eq!(s.histogram(&all, one).await.unwrap().len(), HISTOGRAM_BARS_MAX);
    index(&s, 2, &[log(bars, "x")]).await;
    assert_refused(s.histogram(&all, one).await);
    assert_eq!(
        s.histogram(&all, Span::micros(bars)).await.unwrap(),
        [(Timestamp(0), bars as u64), (Timestamp(bars), 1)]
    );
    for bad in [0, -1, i64::MIN] {
        assert_refused(s.histogram(&all, Span::micros(bad)).await);
    }
}

pub async fn a_search_agrees_with_a_scan<S: LogIndex>(open: impl AsyncFn() -> S) {
    let mut rng = StdRng::seed_from_u64(1);
    let s = open().await;
    let all = generated(&s, &mut rng).await;
    let mut found_some = 0;
    for _ in 0..500 {
        let f = filter(&mut rng);
        let order = if rng.random() {
            Order::NewestFirst
        } else {
            Order::OldestFirst
        };
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
    assert!(found_some > 100, "the filters are not all empty: {found_some}");
}
