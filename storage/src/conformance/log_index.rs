//! Checks of [`LogIndex`].

pub use super::log_scan::{a_search_agrees_with_a_scan, counts_agree_with_a_scan};

use super::sample::HOSTILE;
use super::{assert_foreign, assert_refused, cursor};
use crate::ports::log_index::{HISTOGRAM_BARS_MAX, LogCounts, LogFilter, LogIndex, Order, PageKey, StoredRecord};
use crate::words::Sought;
use andon_engine::batch::{Batch, BatchBuilder};
use andon_engine::ids::{JournalId, RecordId};
use andon_engine::level::Level;
use andon_engine::record::{Flags, Record};
use andon_engine::time::{Span, Timestamp};
use bytes::Bytes;

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

pub(super) async fn index(s: &impl LogIndex, seq: u64, records: &[Record<'_>]) {
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
        "传送带堵塞在三号站 🔥",
        "สายพานหยุดทำงาน U\u{308}berlast STRASSE",
        "\u{1b}[31mchain \u{1b}[1msnapped\u{1b}[0m (again)",
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
    check("überlast", &[2, 8]).await;
    check("U\u{308}BERLAST", &[2, 8]).await;
    check("straße", &[8]).await;
    check("堵塞", &[7]).await;
    check("塞堵", &[]).await;
    check("หยุด", &[8]).await;
    check("🔥", &[7]).await;
    check("🚀", &[]).await;
    check("\"chain snapped\"", &[9]).await;
    check("31mchain", &[]).await;
    check("again (", &[9]).await;
    check("3.5", &[2]).await;
    check("\"the the\"", &[3]).await;
    check("\"the the the the\"", &[]).await;
    check("bel", &[4]).await;
    check("bel*", &[4]).await;
    check("or", &[6]).await;
    check("belt OR bel", &[]).await;
    check("-belt", &[0, 1]).await;
    check("message:belt", &[]).await;
    let all: Vec<_> = (0..texts.len()).collect();
    check("", &all).await;
    check("  ", &all).await;
    for signs in ["\" ?! \" *", "(", "---", "!!"] {
        assert_refused(s.count(&text(signs)).await);
    }
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
        if Sought::of(key).has_words() {
            messages(&s, &text(key)).await;
        } else {
            assert_refused(s.count(&text(key)).await);
        }
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
