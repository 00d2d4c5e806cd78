//! Checks of [`RecordStore`] and [`RecordReader`].

use super::sample::{self, HOSTILE};
use super::{assert_foreign, cursor};
use crate::ports::log_index::{PageKey, StoredRecord};
use crate::ports::records::{RecordFilter, RecordReader, RecordStore};
use andon_engine::batch::{Batch, BatchBuilder};
use andon_engine::ids::{JournalId, RecordId};
use andon_engine::level::Level;
use andon_engine::record::{Flags, Record};
use andon_engine::time::Timestamp;
use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;

const DAY: i64 = 86_400_000_000;
/// Some day in 2026, at noon.
const NOON: Timestamp = Timestamp(1_795_435_200_000_000);

/// A batch of journal 1 at this place.
fn batch(seq: u64, records: &[Record<'_>]) -> Batch<Bytes> {
    let mut b = BatchBuilder::new();
    for r in records {
        assert!(b.push(r));
    }
    Batch::parse(b.finish().into(), JournalId(1), seq).unwrap()
}

fn log(message: &str) -> Record<'_> {
    Record {
        timestamp: NOON,
        received_at: NOON,
        level: Some(Level::Info),
        message: Some(message),
        device_id: Some("D"),
        ..Record::default()
    }
}

async fn write(s: &impl RecordStore, seq: u64, records: &[Record<'_>]) {
    let refused = s
        .write_records(&[batch(seq, records)], cursor(1, seq), &|_| None)
        .await
        .unwrap();
    assert_eq!(refused, []);
}

async fn all(s: &impl RecordReader) -> Vec<StoredRecord> {
    s.records(&RecordFilter::default(), 100_000).await.unwrap()
}

async fn messages(s: &impl RecordReader, filter: &RecordFilter) -> Vec<String> {
    let found = s.records(filter, 1_000).await.unwrap();
    found.iter().map(|r| r.record().message.unwrap().to_owned()).collect()
}

/// The record as a store may give it back: JSON by value, readings by name.
fn comparable<'a>(r: &Record<'a>) -> (Record<'a>, Option<Value>) {
    let mut r = r.clone();
    r.readings.sort_by(|a, b| a.0.cmp(b.0));
    let json = serde_json::from_str(r.fields).ok();
    if json.is_some() {
        r.fields = "";
    }
    (r, json)
}

#[track_caller]
fn assert_same(got: &Record<'_>, want: &Record<'_>) {
    assert_eq!(comparable(got), comparable(want));
}

pub async fn an_empty_store_has_no_records<S: RecordStore + RecordReader>(open: impl AsyncFn() -> S) {
    let s = open().await;
    assert_eq!(s.record_cursor().await.unwrap(), None);
    assert_eq!(messages(&s, &RecordFilter::default()).await, Vec::<String>::new());
    assert!(s.record(RecordId::default()).await.unwrap().is_none());
    assert_eq!(s.drop_partitions(Timestamp(i64::MAX)).await.unwrap(), 0);
    assert_eq!(s.write_records(&[], cursor(1, 4), &|_| None).await.unwrap(), []);
    drop(s);
    assert_eq!(open().await.record_cursor().await.unwrap(), Some(cursor(1, 4)));
}

pub async fn a_record_comes_back_as_it_went_in<S: RecordStore + RecordReader>(open: impl AsyncFn() -> S) {
    let s = open().await;
    let r = Record {
        timestamp: Timestamp(1_700_000_000_000_001),
        received_at: NOON,
        level: Some(Level::Fatal),
        message: Some("Belt torn at CNV-03"),
        kind: Some("equipment.drive.overcurrent"),
        application: Some("wms"),
        device_id: Some("CNV-03"),
        user_id: Some("ana"),
        source: Some("plc"),
        readings: vec![
            ("temperature", -81.4),
            ("load", 0.1 + 0.2),
            ("", f64::MAX),
            ("least", 5e-324),
            ("'\"{}\\", -1e-300),
        ],
        fields: r#"{"a":{"b":[1,2.5,"x",null,true]},"":0,"a.b":"c","big":123456789012345678901234567890.5,"e":"\ud83c\udfed"}"#,
        id: Some("sender's"),
        item_id: Some("item"),
        order_id: Some("order"),
        location: Some("aisle 3"),
        step: Some("pick"),
        trace_id: Some("abc"),
        span_id: Some("def"),
        fingerprint: u64::MAX,
        flags: Flags(u16::MAX),
        ..Record::default()
    };
    write(&s, u64::MAX >> 1, &[log("other"), r.clone()]).await;
    let id = RecordId::new(JournalId(1), u64::MAX >> 1, 1);
    let want = Record { record_id: id, ..r };
    assert_same(&s.record(id).await.unwrap().unwrap().record(), &want);
    assert_same(&all(&s).await[0].record(), &want);
    assert!(
        s.record(RecordId::new(JournalId(2), u64::MAX >> 1, 1))
            .await
            .unwrap()
            .is_none()
    );
}

pub async fn records_of_a_cursor_are_there_once<S: RecordStore + RecordReader>(open: impl AsyncFn() -> S) {
    let s = open().await;
    let readings_only = Record {
        message: None,
        readings: vec![("load", 1.0)],
        ..log("")
    };
    for _ in 0..3 {
        write(&s, 7, &[log("a"), readings_only.clone(), log("b")]).await;
    }
    let more = [batch(8, &[log("c")]), batch(9, &[]), batch(10, &[readings_only])];
    assert_eq!(s.write_records(&more, cursor(1, 12), &|_| None).await.unwrap(), []);
    for foreign in [cursor(1, 6), cursor(2, 12), cursor(2, 13)] {
        assert_foreign(s.write_records(&[batch(13, &[log("no")])], foreign, &|_| None).await);
    }
    drop(s);
    let s = open().await;
    assert_eq!(s.record_cursor().await.unwrap(), Some(cursor(1, 12)));
    assert_eq!(messages(&s, &RecordFilter::default()).await, ["a", "b", "c"]);
    assert_eq!(all(&s).await[1].record().record_id, RecordId::new(JournalId(1), 7, 2));
}

pub async fn any_value_is_kept<S: RecordStore + RecordReader>(open: impl AsyncFn() -> S) {
    let s = open().await;
    let mut rng = StdRng::seed_from_u64(41);
    let mut texts: Vec<String> = HOSTILE.iter().map(|t| (*t).to_owned()).collect();
    texts.extend((0..60).map(|_| sample::text(&mut rng)));
    texts.push(sample::huge()[..200_000].to_owned());
    let fields: Vec<String> = (texts.iter())
        .map(|t| serde_json::json!({ t.as_str(): t, "n": [t] }).to_string())
        .collect();
    let mut records = Vec::new();
    for (n, t) in texts.iter().enumerate() {
        let t = Some(t.as_str());
        records.push(Record {
            timestamp: sample::time(&mut rng),
            // Some days only: each is a partition.
            received_at: match n {
                0 => Timestamp(i64::MIN),
                1 => Timestamp(i64::MAX),
                2 => Timestamp(-1),
                _ => Timestamp(NOON.0 + (n % 3) as i64 * DAY),
            },
            level: sample::maybe(&mut rng, |r| sample::one_of(r, &Level::ALL)),
            message: t,
            kind: t,
            application: t,
            device_id: t,
            user_id: t,
            source: t,
            id: t,
            item_id: t,
            order_id: t,
            location: t,
            step: t,
            trace_id: t,
            span_id: t,
            readings: (0..rng.random_range(0..3))
                .map(|n| (HOSTILE[n], sample::finite(&mut rng)))
                .collect(),
            fields: &fields[n],
            fingerprint: rng.random(),
            flags: Flags(rng.random()),
            ..Record::default()
        });
    }
    write(&s, 3, &records).await;
    for (n, r) in records.iter().enumerate() {
        let record_id = RecordId::new(JournalId(1), 3, n as u32);
        let want = Record { record_id, ..r.clone() };
        assert_same(&s.record(record_id).await.unwrap().unwrap().record(), &want);
        let by_name = RecordFilter {
            device_id: r.device_id.map(str::to_owned),
            from: Some(r.timestamp),
            ..RecordFilter::default()
        };
        let found = s.records(&by_name, 100).await.unwrap();
        assert!(found.iter().any(|f| f.record().record_id == record_id), "{r:?}");
        assert!(found.iter().all(|f| f.record().device_id == r.device_id));
    }
}

pub async fn fields_that_are_hard_to_hold_are_not_lost<S: RecordStore + RecordReader>(open: impl AsyncFn() -> S) {
    let s = open().await;
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(15_000), "]".repeat(15_000));
    let as_they_are = [
        r#"{"half":"\ud800"}"#,
        r#"{"half":"\udfff x"}"#,
        r#"{"much":1e999999}"#,
        r#"{"many":[1e400000,-1e-400000]}"#,
        "{not json",
        "{\"control\":\"\u{1}\"}",
        deep.as_str(),
    ];
    let records: Vec<_> = (as_they_are.iter())
        .map(|fields| Record { fields, ..log("m") })
        .collect();
    write(&s, 1, &records).await;
    let found = all(&s).await;
    assert_eq!(found.len(), as_they_are.len());
    for (found, want) in found.iter().zip(as_they_are) {
        assert_eq!(found.record().fields, want);
    }
    let nul = Record {
        fields: r#"{"\u0000":"a\u0000b"}"#,
        ..log("a\0b")
    };
    write(&s, 2, &[nul]).await;
    let found = s.record(RecordId::new(JournalId(1), 2, 0)).await.unwrap().unwrap();
    assert_eq!(found.record().message, Some("a\u{fffd}b"));
    let fields: Value = serde_json::from_str(found.record().fields).unwrap();
    assert_eq!(fields, serde_json::json!({"\u{fffd}": "a\u{fffd}b"}));
}

pub async fn a_list_holds_what_is_asked_for_in_order_and_in_pages<S: RecordStore + RecordReader>(
    open: impl AsyncFn() -> S,
) {
    let s = open().await;
    let texts: Vec<String> = (0..20_000).map(|n| format!("message {n}")).collect();
    let mut batches = Vec::new();
    for (seq, texts) in texts.chunks(400).enumerate() {
        let records: Vec<_> = (texts.iter().enumerate())
            .map(|(n, t)| Record {
                // Older ones later, and some at the same moment.
                timestamp: Timestamp(NOON.0 - (seq * 400 + n) as i64 / 2),
                application: Some(["a", "b", "c"][n % 3]),
                ..log(t)
            })
            .collect();
        batches.push(batch(seq as u64 + 1, &records));
    }
    let end = cursor(1, batches.len() as u64);
    assert_eq!(s.write_records(&batches, end, &|_| None).await.unwrap(), []);
    assert_eq!(all(&s).await.len(), 20_000);
    let filter = RecordFilter {
        application: Some("b".to_owned()),
        from: Some(Timestamp(NOON.0 - 5_000)),
        to: Some(Timestamp(NOON.0 - 3_000)),
        ..RecordFilter::default()
    };
    let found = s.records(&filter, 100_000).await.unwrap();
    let mut want: Vec<_> = (batches.iter().flat_map(Batch::iter))
        .filter(|r| r.application == Some("b") && (NOON.0 - 5_000..NOON.0 - 3_000).contains(&r.timestamp.0))
        .collect();
    want.sort_by_key(|r| (r.timestamp, r.record_id));
    assert_eq!(found.len(), want.len());
    for (found, want) in found.iter().zip(&want) {
        assert_same(&found.record(), want);
    }
    let mut page = RecordFilter::default();
    let mut paged = Vec::new();
    loop {
        let found = s.records(&page, 3_001).await.unwrap();
        let Some(last) = found.last() else { break };
        let (timestamp, record_id) = (last.record().timestamp, last.record().record_id);
        page.after = Some(PageKey { timestamp, record_id });
        paged.extend(found.iter().map(|f| f.record().record_id));
    }
    let in_order: Vec<_> = all(&s).await.iter().map(|f| f.record().record_id).collect();
    assert_eq!(paged, in_order);
}

pub async fn a_day_is_made_ahead_dropped_and_made_again<S: RecordStore + RecordReader>(open: impl AsyncFn() -> S) {
    let s = open().await;
    for _ in 0..2 {
        s.prepare_partitions(NOON).await.unwrap();
    }
    let on = |day: i64, message: &'static str| Record {
        received_at: Timestamp(NOON.0 + day * DAY),
        timestamp: Timestamp(NOON.0 + day * DAY),
        ..log(message)
    };
    // Today, days that nobody prepared, and one at the last moment of its day.
    let edge = Record {
        received_at: Timestamp(NOON.0 - DAY / 2 - 1),
        ..on(-1, "edge")
    };
    write(&s, 1, &[on(-30, "old"), on(0, "today"), on(40, "later"), edge]).await;
    assert_eq!(
        s.drop_partitions(Timestamp(NOON.0 - 30 * DAY)).await.unwrap(),
        0,
        "its day is not over"
    );
    assert_eq!(s.drop_partitions(Timestamp(NOON.0 - DAY)).await.unwrap(), 1);
    assert_eq!(messages(&s, &RecordFilter::default()).await, ["edge", "today", "later"]);
    // At midnight the day before is over.
    assert_eq!(s.drop_partitions(Timestamp(NOON.0 - DAY / 2)).await.unwrap(), 1);
    assert_eq!(messages(&s, &RecordFilter::default()).await, ["today", "later"]);
    // A replay brings old records again.
    write(&s, 2, &[on(-30, "old again")]).await;
    // Days that are over are indexed, and still take what comes late.
    s.prepare_partitions(Timestamp(NOON.0 + 50 * DAY)).await.unwrap();
    write(&s, 3, &[on(0, "late"), on(-30, "very late")]).await;
    assert_eq!(
        messages(&s, &RecordFilter::default()).await,
        ["old again", "very late", "today", "late", "later"]
    );
    assert!(s.drop_partitions(Timestamp(i64::MAX)).await.unwrap() > 6);
    assert_eq!(messages(&s, &RecordFilter::default()).await, Vec::<String>::new());
    assert_eq!(s.record_cursor().await.unwrap(), Some(cursor(1, 3)));
}
