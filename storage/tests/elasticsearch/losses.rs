//! Indices that vanish, owners that come and go, days that are dropped.

use crate::front::{Fate, Front};
use crate::site::{Site, batch, log};
use andon_engine::level::Level;
use andon_engine::record::Record;
use andon_engine::time::{Span, Timestamp};
use andon_storage::conformance::cursor;
use andon_storage::elasticsearch::{ElasticsearchIndex, ElasticsearchOptions, RetentionClass};
use andon_storage::ports::StoreError;
use andon_storage::ports::log_index::{LogFilter, LogIndex};
use elasticsearch::http::Method;

async fn count(index: &ElasticsearchIndex) -> u64 {
    index.count(&LogFilter::default()).await.unwrap()
}

#[track_caller]
fn assert_lost<T: std::fmt::Debug>(result: Result<T, StoreError>) {
    assert!(matches!(result, Err(StoreError::Lost { .. })), "{result:?}");
}

#[track_caller]
fn assert_fenced<T: std::fmt::Debug>(result: Result<T, StoreError>) {
    assert!(matches!(result, Err(StoreError::Fenced { .. })), "{result:?}");
}

/// No index of the site was made by a mere write: each has a mapping of ours, which takes no field that it does not know.
async fn all_mappings_are_ours(site: &Site) {
    for index in site.indices().await {
        let mapping = site.done(Method::Get, &format!("/{index}/_mapping"), None).await;
        let mapping = &mapping[index.as_str()]["mappings"];
        assert_eq!(mapping["_meta"]["product"], "andon", "{index}: {mapping}");
        assert_eq!(mapping["dynamic"], "false", "{index}: {mapping}");
    }
}

#[tokio::test]
async fn a_cluster_that_comes_back_empty_is_filled_again() {
    Site::with(async |site| {
        let index = site.open().await;
        let entries: Vec<_> = (1..=4).map(|n| batch(n, &[log("a"), log("b")])).collect();
        for seq in 1..=2 {
            index.add(&entries[seq - 1..seq]).await.unwrap();
            index.commit(cursor(1, seq as u64)).await.unwrap();
        }
        // Noticed by an addition.
        site.wipe().await;
        assert_lost(index.add(&entries[2..3]).await);
        assert_eq!(index.log_cursor().await.unwrap(), None);
        index.add(&entries[..3]).await.unwrap();
        index.commit(cursor(1, 3)).await.unwrap();
        assert_eq!(count(&index).await, 6);
        all_mappings_are_ours(site).await;

        // By a commit with something to commit, and by one without.
        index.add(&entries[3..]).await.unwrap();
        site.wipe().await;
        assert_lost(index.commit(cursor(1, 4)).await);
        index.add(&entries).await.unwrap();
        index.commit(cursor(1, 4)).await.unwrap();
        assert_eq!(count(&index).await, 8);
        site.wipe().await;
        assert_lost(index.commit(cursor(1, 9)).await);
        index.add(&entries).await.unwrap();
        index.commit(cursor(1, 9)).await.unwrap();
        assert_eq!(count(&index).await, 8);

        // By asking.
        site.wipe().await;
        assert_eq!(index.log_cursor().await.unwrap(), None);
        index.add(&entries).await.unwrap();
        index.commit(cursor(1, 9)).await.unwrap();
        assert_eq!(count(&index).await, 8);
        all_mappings_are_ours(site).await;
    })
    .await;
}

#[tokio::test]
async fn a_day_that_is_deleted_loses_only_what_was_committed_there() {
    Site::with(async |site| {
        let day = format!("/{}-logs-standard-1970.01.01", site.prefix);
        let index = site.open().await;
        let entries: Vec<_> = (1..=4).map(|n| batch(n, &[log("x")])).collect();
        index.add(&entries[..1]).await.unwrap();
        index.commit(cursor(1, 1)).await.unwrap();
        // Nothing was on its way: whoever deleted it meant it.
        site.done(Method::Delete, &day, None).await;
        index.add(&entries[1..2]).await.unwrap();
        index.commit(cursor(1, 2)).await.unwrap();
        assert_eq!(count(&index).await, 1);
        // What was on its way comes again.
        index.add(&entries[2..3]).await.unwrap();
        site.done(Method::Delete, &day, None).await;
        assert_lost(index.add(&entries[3..]).await);
        assert_eq!(index.log_cursor().await.unwrap(), Some(cursor(1, 2)));
        index.add(&entries[2..]).await.unwrap();
        site.done(Method::Delete, &day, None).await;
        assert_lost(index.commit(cursor(1, 4)).await);
        index.add(&entries[2..]).await.unwrap();
        index.commit(cursor(1, 4)).await.unwrap();
        assert_eq!(count(&index).await, 2);
        all_mappings_are_ours(site).await;
    })
    .await;
}

#[tokio::test]
async fn a_cluster_that_was_set_back_is_filled_from_there() {
    Site::with(async |site| {
        let index = site.open().await;
        index.add(&[batch(1, &[log("x")])]).await.unwrap();
        index.commit(cursor(1, 1)).await.unwrap();
        let path = format!("/{}-state/_doc/log_index", site.prefix);
        let old = site.done(Method::Get, &path, None).await["_source"].clone();
        index.commit(cursor(1, 5)).await.unwrap();
        site.done(Method::Put, &path, Some(old)).await;
        assert_lost(index.commit(cursor(1, 6)).await);
        assert_eq!(index.log_cursor().await.unwrap(), Some(cursor(1, 1)));
        index.commit(cursor(1, 6)).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn an_owner_that_was_replaced_moves_nothing() {
    Site::with(async |site| {
        let old = site.open().await;
        old.set_epoch(1).await.unwrap();
        old.add(&[batch(1, &[log("x")])]).await.unwrap();
        old.commit(cursor(1, 1)).await.unwrap();

        let new = site.open().await;
        // The old one is not gone before the new one says so.
        old.commit(cursor(1, 2)).await.unwrap();
        new.set_epoch(2).await.unwrap();
        assert_fenced(old.commit(cursor(1, 3)).await);
        assert_fenced(old.log_cursor().await);
        assert_fenced(old.set_epoch(1).await);
        assert_eq!(new.log_cursor().await.unwrap(), Some(cursor(1, 2)));
        new.commit(cursor(1, 3)).await.unwrap();
        assert_fenced(old.log_cursor().await);
        assert_fenced(old.commit(cursor(1, 4)).await);
        assert_eq!(new.log_cursor().await.unwrap(), Some(cursor(1, 3)));

        // It stays fenced off where the cluster has forgotten everything but the new owner.
        site.wipe().await;
        assert_lost(new.commit(cursor(1, 4)).await);
        new.commit(cursor(1, 4)).await.unwrap();
        assert_fenced(old.commit(cursor(1, 5)).await);
    })
    .await;
}

#[tokio::test]
async fn of_two_writers_without_a_number_the_later_is_fenced_off() {
    Site::with(async |site| {
        let (a, b) = (site.open().await, site.open().await);
        a.commit(cursor(1, 1)).await.unwrap();
        assert_fenced(b.commit(cursor(1, 2)).await);
        assert_fenced(b.log_cursor().await);
        a.commit(cursor(1, 2)).await.unwrap();
        assert_eq!(site.open().await.log_cursor().await.unwrap(), Some(cursor(1, 2)));
    })
    .await;
}

#[tokio::test]
async fn an_index_of_another_journal_can_be_adopted() {
    Site::with(async |site| {
        let index = site.open().await;
        index.add(&[batch(1, &[log("x")])]).await.unwrap();
        index.commit(cursor(1, 7)).await.unwrap();
        drop(index);
        let index = site.open().await;
        index.adopt(cursor(2, 0)).await.unwrap();
        assert_eq!(index.log_cursor().await.unwrap(), Some(cursor(2, 0)));
        index.commit(cursor(2, 1)).await.unwrap();
        assert_eq!(count(&index).await, 1);
    })
    .await;
}

const DAY: i64 = Span::hours(24).as_micros();

fn received(day: i64, level: Level, message: &str) -> Record<'_> {
    Record {
        received_at: Timestamp(day * DAY + 1),
        timestamp: Timestamp(day * DAY),
        level: Some(level),
        ..log(message)
    }
}

#[tokio::test]
async fn whole_days_are_dropped_by_class_and_age() {
    Site::with(async |site| {
        let index = site.open().await;
        let records: Vec<_> = (0..4)
            .flat_map(|day| {
                [
                    received(day, Level::Debug, "debug"),
                    received(day, Level::Error, "error"),
                ]
            })
            .collect();
        index.add(&[batch(1, &records)]).await.unwrap();
        index.commit(cursor(1, 1)).await.unwrap();
        assert_eq!(site.indices().await.len(), 9);

        let before = async |class, t| index.drop_indices(class, Timestamp(t)).await.unwrap();
        assert_eq!(before(RetentionClass::Debug, DAY - 1).await, 0);
        assert_eq!(before(RetentionClass::Debug, 2 * DAY).await, 2);
        assert_eq!(before(RetentionClass::Debug, 2 * DAY).await, 0);
        assert_eq!(count(&index).await, 6);
        assert_eq!(before(RetentionClass::Standard, i64::MAX).await, 4);
        let left = LogFilter {
            level: Some(Level::Debug),
            ..LogFilter::default()
        };
        assert_eq!(index.count(&left).await.unwrap(), 2);
        assert_eq!(count(&index).await, 2);
        // A day that was dropped with what was on its way there is no loss.
        index
            .add(&[batch(2, &[received(0, Level::Info, "late")])])
            .await
            .unwrap();
        assert_eq!(before(RetentionClass::Standard, i64::MAX).await, 1);
        index.commit(cursor(1, 2)).await.unwrap();
        assert_eq!(index.log_cursor().await.unwrap(), Some(cursor(1, 2)));
    })
    .await;
}

#[tokio::test]
async fn a_search_by_time_skips_the_days_that_cannot_match() {
    Site::with(async |site| {
        let (asked, mut asking) = tokio::sync::mpsc::channel(100);
        let front = Front::new(&site.url, move |request| {
            if request.is("POST") && request.head.contains("/_search") {
                let path = request.head.split(' ').nth(1).unwrap().to_owned();
                asked.try_send((path, request.body.clone())).unwrap();
            }
            Fate::Forward
        })
        .await;
        let index = ElasticsearchIndex::open(&front.url, site.options()).await.unwrap();
        let records: Vec<_> = (0..5).map(|day| received(day, Level::Info, "x")).collect();
        index.add(&[batch(1, &records)]).await.unwrap();
        index.commit(cursor(1, 1)).await.unwrap();
        let check = async |from: Option<i64>, to: Option<i64>, days: u64| {
            let filter = LogFilter {
                from: from.map(Timestamp),
                to: to.map(Timestamp),
                ..LogFilter::default()
            };
            assert_eq!(index.count(&filter).await.unwrap(), days, "{filter:?}");
        };
        for (from, to, days) in [
            (Some(3 * DAY), Some(3 * DAY + 1), 1),
            (Some(3 * DAY), None, 2),
            (None, Some(DAY), 1),
        ] {
            check(from, to, days).await;
            // The same request again: Elasticsearch says how many it did not look into. `to` itself is one ms of doubt.
            let (path, body) = asking.recv().await.unwrap();
            let body = serde_json::from_slice(&body).unwrap();
            let found = site.done(Method::Post, &path, Some(body)).await;
            let skipped = found["_shards"]["skipped"].as_u64().unwrap();
            assert!((4 - days..=5 - days).contains(&skipped), "{from:?} {to:?} {found}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_index_of_somebody_else_is_left_alone() {
    Site::with(async |site| {
        let day = format!("/{}-logs-standard-1970.01.01", site.prefix);
        let index = site.open().await;
        site.ask(Method::Delete, &format!("/_index_template/{}-logs", site.prefix), None)
            .await;
        site.done(Method::Put, &day, None).await;
        let e = index.add(&[batch(1, &[log("x")])]).await.unwrap_err();
        assert!(matches!(e, StoreError::Damaged { .. }), "{e:?}");
        assert!(e.to_string().contains("not made by Andon"), "{e}");
    })
    .await;
}

#[tokio::test]
async fn one_that_reads_writes_nothing() {
    Site::with(async |site| {
        let options = ElasticsearchOptions {
            read_only: true,
            ..site.options()
        };
        let reader = ElasticsearchIndex::open(&site.url, options).await.unwrap();
        assert_eq!(site.indices().await, Vec::<String>::new());
        assert_eq!(reader.log_cursor().await.unwrap(), None);
        assert_eq!(count(&reader).await, 0);
        for e in [
            reader.add(&[batch(1, &[log("x")])]).await.map(drop),
            reader.commit(cursor(1, 1)).await,
            reader.set_epoch(1).await,
            reader.adopt(cursor(1, 1)).await,
            reader
                .drop_indices(RetentionClass::Standard, Timestamp::MAX)
                .await
                .map(drop),
        ] {
            assert!(matches!(e, Err(StoreError::Refused { .. })), "{e:?}");
        }
        let writer = site.open().await;
        writer.add(&[batch(1, &[log("x")])]).await.unwrap();
        writer.commit(cursor(1, 1)).await.unwrap();
        assert_eq!(count(&reader).await, 1);
        assert_eq!(reader.log_cursor().await.unwrap(), Some(cursor(1, 1)));
    })
    .await;
}
