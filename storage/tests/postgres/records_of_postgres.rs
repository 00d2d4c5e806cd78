//! What PostgreSQL refuses of log records, and what it does not.

use super::open;
use super::server::{Commit, Proxy, Server};
use super::site::{Site, administer};
use andon_engine::batch::{Batch, BatchBuilder};
use andon_engine::ids::{JournalId, RecordId};
use andon_engine::record::Record;
use andon_engine::time::Timestamp;
use andon_storage::conformance::cursor;
use andon_storage::ports::StoreError;
use andon_storage::ports::records::{RecordFilter, RecordReader, RecordStore, RefusedRecord};
use andon_storage::ports::rows::{Quarantined, RowStore};
use andon_storage::postgres::{PostgresOptions, PostgresStore};
use andon_storage::relational::database::{Database, Transaction, Value};
use bytes::Bytes;

const NOON: Timestamp = Timestamp(1_795_435_200_000_000);

fn batch(seq: u64, records: &[Record<'_>]) -> Batch<Bytes> {
    let mut b = BatchBuilder::new();
    for r in records {
        assert!(b.push(r));
    }
    Batch::parse(b.finish().into(), JournalId(1), seq).unwrap()
}

fn log<'a>(message: &'a str, fields: &'a str) -> Record<'a> {
    Record {
        timestamp: NOON,
        received_at: NOON,
        message: Some(message),
        device_id: Some("D"),
        fields,
        ..Record::default()
    }
}

fn aside(refused: &RefusedRecord) -> Option<Quarantined> {
    let at = refused.record_id.position;
    Some(Quarantined {
        journal_seq: at.seq,
        index: at.index,
        received_at: NOON,
        key_id: "k".into(),
        stage: "records".into(),
        field: String::new(),
        reason: refused.reason.clone(),
        excerpt: String::new(),
    })
}

#[tokio::test]
async fn what_is_refused_is_found_among_the_others_and_named() {
    let site = Site::new();
    let s = open(&site).await;
    // Rules of a site: what a record runs into that is refused for itself.
    let rules = format!(
        "ALTER TABLE {0}.records ADD CONSTRAINT no_secrets CHECK (message NOT LIKE '%secret%'), \
         ADD CONSTRAINT no_json CHECK (NOT coalesce(fields ? 'odd', false))",
        site.schema
    );
    administer(&site.url, &[rules]);
    let texts: Vec<String> = (0..500)
        .map(|n| {
            if n % 97 == 5 {
                format!("secret {n}")
            } else {
                format!("plain {n}")
            }
        })
        .collect();
    let records: Vec<_> = (texts.iter().enumerate())
        .map(|(n, t)| log(t, if n == 250 { r#"{"odd":1}"# } else { r#"{"even":2}"# }))
        .collect();
    let batches = [batch(1, &records[..200]), batch(2, &[]), batch(3, &records[200..])];
    let refused = s.write_records(&batches, cursor(1, 3), &aside).await.unwrap();
    let want: Vec<RecordId> = (batches.iter().flat_map(Batch::iter))
        .filter(|r| r.message.unwrap().contains("secret"))
        .map(|r| r.record_id)
        .collect();
    assert_eq!(want.len(), 6);
    assert_eq!(refused.iter().map(|r| r.record_id).collect::<Vec<_>>(), want);
    assert!(refused.iter().all(|r| r.reason.contains("no_secrets")), "{refused:?}");
    let stored = s.records(&RecordFilter::default(), 1_000).await.unwrap();
    assert_eq!(stored.len(), 500 - 6);
    // What only its JSON was refused for is there, with its fields as text.
    let odd = s.record(RecordId::new(JournalId(1), 3, 50)).await.unwrap().unwrap();
    assert_eq!(odd.record().fields, r#"{"odd":1}"#);
    let sql = "SELECT fields IS NULL, fields_text FROM records WHERE message = 'plain 250'";
    let mut row = s.database().fetch(sql.into(), vec![]).await.unwrap().remove(0);
    assert!(row.bool().unwrap());
    assert_eq!(row.text().unwrap(), r#"{"odd":1}"#);
    assert_eq!(s.record_cursor().await.unwrap(), Some(cursor(1, 3)));
    // All refused: the cursor moves all the same.
    let refused = s
        .write_records(&[batch(4, &[log("secret", "")])], cursor(1, 4), &aside)
        .await
        .unwrap();
    assert_eq!(refused.len(), 1);
    assert_eq!(s.record_cursor().await.unwrap(), Some(cursor(1, 4)));
    assert_eq!(s.quarantined(1_000).await.unwrap().len(), 7);
}

/// More than one statement takes.
#[tokio::test]
async fn all_that_is_refused_of_a_large_batch_is_set_aside() {
    let site = Site::new();
    let s = open(&site).await;
    let rule = format!("ALTER TABLE {}.records ADD CONSTRAINT none CHECK (FALSE)", site.schema);
    administer(&site.url, &[rule]);
    let records = vec![log("no", ""); 120];
    let refused = s
        .write_records(&[batch(1, &records)], cursor(1, 1), &aside)
        .await
        .unwrap();
    assert_eq!(refused.len(), 120);
    let quarantined = s.quarantined(200).await.unwrap();
    assert_eq!(quarantined.len(), 120);
    assert!(quarantined[0].reason.contains("none"), "{:?}", quarantined[0]);
    assert!(s.records(&RecordFilter::default(), 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_is_refused_is_set_aside_in_the_transaction_of_the_rest() {
    let server = Server::start();
    let proxy = Proxy::start(&server.url, server.port()).await;
    let s = PostgresStore::open(&proxy.url, PostgresOptions::default())
        .await
        .unwrap();
    let rule = "ALTER TABLE andon.records ADD CONSTRAINT no_secrets CHECK (message NOT LIKE '%secret%')";
    administer(&server.url, &[rule.to_owned()]);
    // The day is there, so that the next COMMIT is the one of the records.
    s.prepare_partitions(NOON).await.unwrap();
    proxy.commit.send_replace(Commit::LoseAnswer);
    let batches = [batch(1, &[log("a", ""), log("secret", ""), log("b", "")])];
    let e = s.write_records(&batches, cursor(1, 1), &aside).await.unwrap_err();
    assert!(matches!(e, StoreError::Unavailable { .. }), "{e}");
    // It went through: both are there, although nobody heard of it.
    proxy.commit.send_replace(Commit::Pass);
    let held = s.quarantined(10).await.unwrap();
    assert_eq!(
        held.iter().map(|q| (q.journal_seq, q.index)).collect::<Vec<_>>(),
        [(1, 1)]
    );
    assert_eq!(s.write_records(&batches, cursor(1, 1), &aside).await.unwrap(), []);
    assert_eq!(s.quarantined(10).await.unwrap(), held);
    assert_eq!(s.records(&RecordFilter::default(), 10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_day_without_a_partition_is_no_fault_of_the_record() {
    let site = Site::new();
    let s = open(&site).await;
    let mut tx = s.database().begin().await.unwrap();
    let sql = "INSERT INTO records (record_id, received_at, timestamp, fingerprint, flags, message) VALUES ($1, 0, 0, 0, 0, '')";
    let e = tx
        .execute(sql.into(), vec![Value::Bytes(Some(vec![0; 16]))])
        .await
        .unwrap_err();
    assert!(matches!(e, StoreError::Unavailable { .. }), "{e}");
}

#[tokio::test]
async fn rows_that_a_trigger_takes_away_are_missed() {
    let site = Site::new();
    let s = open(&site).await;
    let schema = &site.schema;
    s.write_records(&[batch(1, &[log("one", "")])], cursor(1, 1), &aside)
        .await
        .unwrap();
    administer(
        &site.url,
        &[
            format!("CREATE FUNCTION {schema}.drop_it() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"),
            format!(
                "CREATE TRIGGER drop_it BEFORE INSERT ON {schema}.records FOR EACH ROW EXECUTE FUNCTION {schema}.drop_it()"
            ),
        ],
    );
    let e = s
        .write_records(&[batch(2, &[log("two", "")])], cursor(1, 2), &aside)
        .await
        .unwrap_err();
    assert!(
        matches!(&e, StoreError::Unavailable { reason, .. } if reason.contains("trigger")),
        "{e}"
    );
    administer(&site.url, &[format!("DROP TRIGGER drop_it ON {schema}.records")]);
    s.write_records(&[batch(2, &[log("two", "")])], cursor(1, 2), &aside)
        .await
        .unwrap();
    assert_eq!(s.records(&RecordFilter::default(), 10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_day_that_is_over_is_indexed_and_one_record_is_found_by_an_index() {
    let site = Site::new();
    let s = open(&site).await;
    s.prepare_partitions(NOON).await.unwrap();
    let indices =
        "SELECT indexname FROM pg_indexes WHERE schemaname = $1 AND tablename = 'records_2026_11_23' ORDER BY 1";
    let names = async || -> Vec<String> {
        let rows = s
            .database()
            .fetch(indices.into(), vec![Value::text(&site.schema)])
            .await
            .unwrap();
        rows.into_iter().map(|mut r| r.text().unwrap()).collect()
    };
    assert_eq!(
        names().await.len(),
        1,
        "while records come, only where they arrived: {:?}",
        names().await
    );
    let tomorrow = Timestamp(NOON.0 + 86_400_000_000);
    for _ in 0..2 {
        s.prepare_partitions(tomorrow).await.unwrap();
        let names = names().await;
        assert_eq!(names.len(), 3, "{names:?}");
        assert!(names.iter().any(|n| n.ends_with("by_device")) && names.iter().any(|n| n.ends_with("by_application")));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_that_make_and_drop_the_same_days_at_once_do_no_harm() {
    let site = Site::new();
    let (a, b) = (open(&site).await, open(&site).await);
    for n in 0..5 {
        let now = Timestamp(NOON.0 + n * 20 * 86_400_000_000);
        let (x, y) = tokio::join!(a.prepare_partitions(now), b.prepare_partitions(now));
        x.unwrap();
        y.unwrap();
        let (x, y) = tokio::join!(a.drop_partitions(now), b.drop_partitions(now));
        x.unwrap();
        y.unwrap();
    }
}
