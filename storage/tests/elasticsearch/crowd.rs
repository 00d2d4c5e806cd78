//! Many searches at once. Needs no node: what counts is what it would be asked.

use crate::front::{Fate, Front};
use crate::site::options;
use andon_storage::elasticsearch::{ElasticsearchIndex, ElasticsearchOptions};
use andon_storage::ports::log_index::{LogFilter, LogIndex};
use std::sync::Arc;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

const ROOT: &str = r#"{"version":{"number":"8.19.0"},"tagline":"You Know, for Search"}"#;
const FOUND: &str = r#"{"timed_out":false,"_shards":{"failed":0},"hits":{"total":{"value":7},"hits":[]}}"#;
const SEARCHES: u64 = 200;
/// As the index promises.
const AT_ONCE: u64 = 16;

#[tokio::test]
async fn a_crowd_of_searches_waits_here_and_not_in_the_node() {
    let answers = Arc::new(Semaphore::new(0));
    let (arrived, mut arrivals) = watch::channel(0u64);
    let permits = answers.clone();
    let front = Front::new("127.0.0.1:1", move |request| {
        if !request.head.contains("_search") {
            return Fate::Answer(200, ROOT.to_owned());
        }
        arrived.send_modify(|n| *n += 1);
        Fate::AnswerOn(permits.clone(), 200, FOUND.to_owned())
    })
    .await;
    let read_only = ElasticsearchOptions {
        read_only: true,
        ..options("andon")
    };
    let index = ElasticsearchIndex::open(&front.url, read_only).await.unwrap();
    let mut searches = JoinSet::new();
    for _ in 0..SEARCHES {
        let index = index.clone();
        searches.spawn(async move { index.count(&LogFilter::default()).await.unwrap() });
    }
    arrivals.wait_for(|n| *n >= AT_ONCE).await.unwrap();
    for answered in 1..=SEARCHES {
        answers.add_permits(1);
        assert_eq!(searches.join_next().await.unwrap().unwrap(), 7);
        let asked = *arrivals.borrow_and_update();
        assert!(asked <= AT_ONCE + answered, "{asked} asked, {answered} answered");
    }
    assert_eq!(*arrivals.borrow(), SEARCHES);
}
