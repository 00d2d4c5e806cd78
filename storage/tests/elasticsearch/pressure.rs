//! What the node cannot take now, will never take, or takes without saying so.

use crate::front::{Fate, Front, Request};
use crate::site::{Site, batch, log};
use andon_engine::ids::{JournalId, RecordId};
use andon_engine::record::Record;
use andon_engine::time::Span;
use andon_storage::conformance::cursor;
use andon_storage::elasticsearch::{ElasticsearchIndex, ElasticsearchOptions};
use andon_storage::ports::StoreError;
use andon_storage::ports::log_index::{LogCounts, LogFilter, LogIndex};
use elasticsearch::http::Method;
use serde_json::json;
use std::time::Duration;

async fn count(index: &ElasticsearchIndex) -> u64 {
    index.count(&LogFilter::default()).await.unwrap()
}

/// As Elasticsearch 8.19 writes it.
const REJECTED: &str = r#"{"type":"es_rejected_execution_exception","reason":"rejected execution of coordinating operation [coordinating_and_primary_bytes=53, replica_bytes=0, all_bytes=53, coordinating_operation_bytes=53, max_coordinating_and_primary_bytes=52]"}"#;

fn items(request: &Request, status: impl Fn(usize) -> u16) -> String {
    let item = |(i, id): (usize, &String)| match status(i) {
        429 => format!(r#"{{"index":{{"_id":"{id}","status":429,"error":{REJECTED}}}}}"#),
        status => format!(r#"{{"index":{{"_id":"{id}","status":{status}}}}}"#),
    };
    let items: Vec<_> = request.ids().iter().enumerate().map(item).collect();
    format!(r#"{{"items":[{}]}}"#, items.join(","))
}

#[tokio::test]
async fn a_record_that_the_mapping_refuses_is_named_and_stops_no_other() {
    Site::with(async |site| {
        let index = site.open().await;
        index.add(&[batch(1, &[log("first")])]).await.unwrap();
        index.commit(cursor(1, 1)).await.unwrap();
        let path = format!("/{}-logs-standard-1970.01.01/_mapping", site.prefix);
        let stricter = json!({"properties": {"fields": {"type": "flattened", "ignore_above": 1024, "depth_limit": 1}}});
        site.done(Method::Put, &path, Some(stricter)).await;

        let deep = Record {
            fields: r#"{"a":{"b":{"c":1}}}"#,
            ..log("too deep")
        };
        let entry = batch(2, &[log("before"), deep, log("after")]);
        let refused = index.add(std::slice::from_ref(&entry)).await.unwrap();
        assert_eq!(refused.len(), 1);
        assert_eq!(refused[0].record_id, RecordId::new(JournalId(1), 2, 1));
        assert!(refused[0].reason.contains("depth limit"), "{}", refused[0].reason);
        let again = index.add(std::slice::from_ref(&entry)).await.unwrap();
        assert_eq!(again, [], "each is told once");
        // Whoever reads the cursor has perhaps forgotten it, as a writer whose quarantine was emptied.
        assert_eq!(index.log_cursor().await.unwrap(), Some(cursor(1, 1)));
        assert_eq!(index.add(&[entry]).await.unwrap(), refused);
        index.commit(cursor(1, 2)).await.unwrap();
        assert_eq!(count(&index).await, 3);
    })
    .await;
}

#[tokio::test]
async fn items_that_are_turned_away_come_again_until_all_are_there() {
    Site::with(async |site| {
        let mut bulks = 0;
        let front = Front::new(&site.url, move |request| {
            if !request.is("POST /_bulk") {
                return Fate::Forward;
            }
            bulks += 1;
            match bulks {
                // Nothing of it was taken, whatever it says: so what it calls stored would be missed.
                1 => Fate::Answer(200, items(request, |_| 429)),
                2 => Fate::Answer(429, format!(r#"{{"error":{REJECTED},"status":429}}"#)),
                3 => Fate::Answer(503, r#"{"error":{"type":"cluster_block_exception","reason":"blocked by: [SERVICE_UNAVAILABLE/1/state not recovered / initialized];"},"status":503}"#.to_owned()),
                _ => Fate::Forward,
            }
        })
        .await;
        let index = ElasticsearchIndex::open(&front.url, site.options()).await.unwrap();
        let texts: Vec<String> = (0..500).map(|n| format!("record {n}")).collect();
        let records: Vec<_> = texts.iter().map(|t| log(t)).collect();
        assert_eq!(index.add(&[batch(1, &records)]).await.unwrap(), []);
        index.commit(cursor(1, 1)).await.unwrap();
        assert_eq!(count(&index).await, 500);
    })
    .await;
}

#[tokio::test]
async fn only_what_was_turned_away_is_sent_again() {
    Site::with(async |site| {
        let (sent, mut seen) = tokio::sync::mpsc::channel(10);
        let mut bulks = 0;
        let front = Front::new(&site.url, move |request| {
            if !request.is("POST /_bulk") {
                return Fate::Forward;
            }
            sent.try_send(request.ids().len()).unwrap();
            bulks += 1;
            match bulks {
                1 => Fate::Answer(200, items(request, |i| if i % 4 == 0 { 429 } else { 201 })),
                _ => Fate::Forward,
            }
        })
        .await;
        let index = ElasticsearchIndex::open(&front.url, site.options()).await.unwrap();
        let records: Vec<_> = (0..100).map(|_| log("x")).collect();
        index.add(&[batch(1, &records)]).await.unwrap();
        assert_eq!((seen.recv().await, seen.recv().await), (Some(100), Some(25)));
        assert!(seen.try_recv().is_err());
    })
    .await;
}

#[tokio::test]
async fn a_node_that_takes_nothing_is_unavailable_and_then_takes_the_same_again() {
    Site::with(async |site| {
        let front = Front::new(&site.url, |_| Fate::Forward).await;
        let options = ElasticsearchOptions {
            retry_for: Duration::from_millis(500),
            ..site.options()
        };
        let index = ElasticsearchIndex::open(&front.url, options).await.unwrap();
        let entry = [batch(1, &[log("one"), log("two")])];
        front.decide(|request| match request.is("POST /_bulk") {
            true => Fate::Answer(429, format!(r#"{{"error":{REJECTED},"status":429}}"#)),
            false => Fate::Forward,
        });
        let e = index.add(&entry).await.unwrap_err();
        assert!(matches!(e, StoreError::Unavailable { .. }), "{e:?}");
        assert!(e.to_string().contains("es_rejected_execution_exception"), "{e}");

        // What is no answer to this request is none at all.
        for kind in 0..4 {
            front.decide(move |request| match request.is("POST /_bulk") {
                true => {
                    let whole = items(request, |_| 201);
                    Fate::Answer(
                        200,
                        match kind {
                            0 => whole[..whole.len() - 3].to_owned(),
                            1 => "<html>ok</html>".to_owned(),
                            2 => r#"{"items":[]}"#.to_owned(),
                            _ => whole.replacen("00000000\"", "00000007\"", 1),
                        },
                    )
                }
                false => Fate::Forward,
            });
            let e = index.add(&entry).await.unwrap_err();
            assert!(matches!(e, StoreError::Unavailable { .. }), "{e:?}");
        }
        front.decide(|_| Fate::Forward);
        assert_eq!(index.add(&entry).await.unwrap(), []);
        index.commit(cursor(1, 1)).await.unwrap();
        assert_eq!(count(&index).await, 2);
    })
    .await;
}

#[tokio::test]
async fn a_body_that_is_too_large_is_halved_and_a_record_that_is_too_large_refused() {
    Site::with(async |site| {
        let front = Front::new(&site.url, |request| {
            match request.is("POST /_bulk") && request.body.len() > 20_000 {
                true => Fate::Answer(413, String::new()),
                false => Fate::Forward,
            }
        })
        .await;
        let index = ElasticsearchIndex::open(&front.url, site.options()).await.unwrap();
        let long = "long ".repeat(10_000);
        let mut records: Vec<_> = (0..200).map(|_| log("short")).collect();
        records.insert(77, log(&long));
        let refused = index.add(&[batch(1, &records)]).await.unwrap();
        let ids: Vec<_> = refused.iter().map(|r| r.record_id.position.index).collect();
        assert_eq!(ids, [77]);
        assert!(refused[0].reason.contains("too large"), "{}", refused[0].reason);
        index.commit(cursor(1, 1)).await.unwrap();
        assert_eq!(count(&index).await, 200);
    })
    .await;
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_known_for_done() {
    Site::with(async |site| {
        let front = Front::new(&site.url, |_| Fate::Forward).await;
        let index = ElasticsearchIndex::open(&front.url, site.options()).await.unwrap();
        for seq in 1..=3 {
            index.add(&[batch(seq, &[log("x")])]).await.unwrap();
            front.decide(|request| match request.is("PUT ") {
                true => Fate::LoseAnswer,
                false => Fate::Forward,
            });
            let e = index.commit(cursor(1, seq)).await.unwrap_err();
            assert!(matches!(e, StoreError::Unavailable { .. }), "{e:?}");
            front.decide(|_| Fate::Forward);
            // Whether it asks first or commits again at once.
            if seq == 2 {
                assert_eq!(index.log_cursor().await.unwrap(), Some(cursor(1, 2)));
            }
            index.commit(cursor(1, seq)).await.unwrap();
        }
        assert_eq!(count(&index).await, 3);
        assert_eq!(index.log_cursor().await.unwrap(), Some(cursor(1, 3)));
    })
    .await;
}

#[tokio::test]
async fn a_search_that_not_all_shards_answered_is_an_error() {
    Site::with(async |site| {
        let front = Front::new(&site.url, |_| Fate::Forward).await;
        let index = ElasticsearchIndex::open(&front.url, site.options()).await.unwrap();
        for answer in [
            r#"{"took":1,"timed_out":true,"_shards":{"total":1,"successful":1,"failed":0},"hits":{"total":{"value":0,"relation":"eq"},"hits":[]}}"#,
            r#"{"took":1,"timed_out":false,"_shards":{"total":2,"successful":1,"failed":1},"hits":{"total":{"value":0,"relation":"eq"},"hits":[]}}"#,
            r#"{"took":1}"#,
        ] {
            front.decide(move |_| Fate::Answer(200, answer.to_owned()));
            let e = index.count(&LogFilter::default()).await.unwrap_err();
            assert!(matches!(e, StoreError::Unavailable { .. }), "{e:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_privilege_that_is_taken_away_is_no_fault_of_a_record() {
    Site::with(async |site| {
        let front = Front::new(&site.url, |_| Fate::Forward).await;
        let index = ElasticsearchIndex::open(&front.url, site.options()).await.unwrap();
        let denied = r#"{"error":{"root_cause":[],"type":"security_exception","reason":"action is unauthorized for user [x]"},"status":403}"#;
        let entry = [batch(1, &[log("x")])];
        let unavailable = |e: StoreError| assert!(matches!(e, StoreError::Unavailable { .. }), "{e:?}");
        for (status, body) in [(403, denied), (401, denied), (404, "<html>no such page"), (302, "")] {
            front.decide(move |_| Fate::Answer(status, body.to_owned()));
            unavailable(index.add(&entry).await.unwrap_err());
            unavailable(index.log_cursor().await.unwrap_err());
        }
        front.decide(|_| Fate::Forward);
        index.add(&entry).await.unwrap();
        for (status, body) in [(403, denied), (401, denied), (404, "<html>no such page")] {
            front.decide(move |_| Fate::Answer(status, body.to_owned()));
            unavailable(index.commit(cursor(1, 1)).await.unwrap_err());
        }
        front.decide(|_| Fate::Forward);
        index.commit(cursor(1, 1)).await.unwrap();
        assert_eq!(count(&index).await, 1);
    })
    .await;
}

#[tokio::test]
async fn more_bars_than_the_cluster_counts_are_refused_in_words() {
    Site::with(async |site| {
        let front = Front::new(&site.url, |_| Fate::Forward).await;
        let index = ElasticsearchIndex::open(&front.url, site.options()).await.unwrap();
        // As Elasticsearch 8.19 writes it.
        let answer = r#"{"error":{"root_cause":[],"type":"search_phase_execution_exception","reason":"","phase":"fetch","grouped":true,"failed_shards":[],"caused_by":{"type":"too_many_buckets_exception","reason":"Trying to create too many buckets. Must be less than or equal to: [65536] but this number of buckets was exceeded. This limit can be set by changing the [search.max_buckets] cluster level setting.","max_buckets":65536}},"status":400}"#;
        front.decide(move |_| Fate::Answer(400, answer.to_owned()));
        let e = index.histogram(&LogFilter::default(), Span::micros(1)).await.unwrap_err();
        assert!(matches!(e, StoreError::Refused { .. }), "{e:?}");
        assert!(e.to_string().contains("take longer ones"), "{e}");
    })
    .await;
}
