//! A part of the test server that one test has for itself, by the prefix of its indices.

use andon_engine::batch::{Batch, BatchBuilder};
use andon_engine::ids::JournalId;
use andon_engine::record::Record;
use andon_engine::time::{ManualClock, Timestamp};
use andon_storage::elasticsearch::{ElasticsearchIndex, ElasticsearchOptions};
use bytes::Bytes;
use elasticsearch::Elasticsearch;
use elasticsearch::http::headers::HeaderMap;
use elasticsearch::http::transport::Transport;
use elasticsearch::http::{Method, StatusCode};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

pub struct Site {
    pub url: String,
    pub prefix: String,
    raw: Elasticsearch,
}

pub fn server() -> String {
    std::env::var("ANDON_TEST_ELASTICSEARCH_URL").unwrap_or_else(|_| {
        panic!("ANDON_TEST_ELASTICSEARCH_URL is not set: run `make test`, or this test through deploy/test/servers.sh")
    })
}

pub fn options(prefix: &str) -> ElasticsearchOptions {
    ElasticsearchOptions {
        prefix: prefix.to_owned(),
        // Many tests share one small node.
        request_timeout: Duration::from_secs(60),
        ..ElasticsearchOptions::new(Arc::new(ManualClock::new(Timestamp(1_700_000_000_000_000))))
    }
}

impl Site {
    pub fn new(url: String) -> Self {
        let raw = Elasticsearch::new(Transport::single_node(&url).unwrap());
        Self {
            url,
            prefix: format!("andon-test-{:016x}", rand::random::<u64>()),
            raw,
        }
    }

    /// Runs a test in a site of its own, and removes what it left, also when it fails.
    pub async fn with(test: impl AsyncFnOnce(&Site)) {
        let site = Site::new(server());
        let removed = Removed(&site);
        test(&site).await;
        drop(removed);
    }

    pub fn options(&self) -> ElasticsearchOptions {
        options(&self.prefix)
    }

    pub async fn open(&self) -> ElasticsearchIndex {
        ElasticsearchIndex::open(&self.url, self.options()).await.unwrap()
    }

    /// A request beside the index.
    pub async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let body = body.map(|b| serde_json::to_vec(&b).unwrap());
        let sent = self.raw.send(method, path, HeaderMap::new(), None::<&()>, body, None);
        let answer = sent.await.unwrap();
        let status = answer.status_code();
        (
            status,
            serde_json::from_str(&answer.text().await.unwrap()).unwrap_or(Value::Null),
        )
    }

    pub async fn done(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let (status, answer) = self.ask(method, path, body).await;
        assert!(status.is_success(), "{path}: {status} {answer}");
        answer
    }

    /// The indices of this site.
    pub async fn indices(&self) -> Vec<String> {
        let path = format!("/{}-*/_alias?expand_wildcards=all", self.prefix);
        let there = self.done(Method::Get, &path, None).await;
        there.as_object().unwrap().keys().cloned().collect()
    }

    /// Deletes all that the site has on the server.
    pub async fn wipe(&self) {
        for index in self.indices().await {
            self.done(Method::Delete, &format!("/{index}"), None).await;
        }
        self.ask(Method::Delete, &format!("/_index_template/{}-logs", self.prefix), None)
            .await;
    }
}

struct Removed<'a>(&'a Site);

impl Drop for Removed<'_> {
    fn drop(&mut self) {
        let (url, prefix) = (self.0.url.clone(), self.0.prefix.clone());
        // The test's runtime may be unwinding: one of its own does this.
        let cleaning = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            let site = Site {
                prefix,
                ..Site::new(url)
            };
            runtime.block_on(site.wipe());
        });
        let cleaned = cleaning.join();
        assert!(
            cleaned.is_ok() || std::thread::panicking(),
            "the test's indices could not be removed"
        );
    }
}

pub fn batch(seq: u64, records: &[Record<'_>]) -> Batch<Bytes> {
    let mut b = BatchBuilder::new();
    for r in records {
        assert!(b.push(r));
    }
    Batch::parse(b.finish().into(), JournalId(1), seq).unwrap()
}

pub fn log(message: &str) -> Record<'_> {
    Record {
        message: Some(message),
        device_id: Some("D"),
        ..Record::default()
    }
}
