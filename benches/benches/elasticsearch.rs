//! Documents a second into Elasticsearch: through the log index (`add` and `commit`), and beside it by the bare client, which sends the
//! same bulk bodies and refreshes. Both one request at a time and as many at once as the log index sends.
//!
//! Needs a server: `ANDON_TEST_ELASTICSEARCH_URL` (`deploy/test/servers.sh -- cargo bench -p andon-benches --bench elasticsearch`).

use andon_benches::{START, Samples, criterion, size};
use andon_engine::batch::Batch;
use andon_engine::ids::JournalId;
use andon_engine::time::ManualClock;
use andon_storage::elasticsearch::{ElasticsearchIndex, ElasticsearchOptions, bulk_bodies};
use andon_storage::ports::Cursor;
use andon_storage::ports::log_index::{LogFilter, LogIndex};
use bytes::Bytes;
use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use elasticsearch::Elasticsearch;
use elasticsearch::http::Method;
use elasticsearch::http::headers::{CONTENT_TYPE, HeaderMap, HeaderValue};
use elasticsearch::http::transport::Transport;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

const JOURNAL: JournalId = JournalId(1);
const PER_BATCH: usize = 400;
/// As large as the log index makes its bulks once all is well.
const BODY_BYTES: usize = 4 * 1024 * 1024;
const AT_ONCE: usize = 4;

struct Site {
    index: ElasticsearchIndex,
    bare: Elasticsearch,
    prefix: String,
}

impl Site {
    /// Indices of its own, which are there before anything is measured.
    async fn new(url: &str, turn: u64, bulks_max: usize, first: &Batch<Bytes>) -> Self {
        let prefix = format!("andon-bench-{}-{turn}", std::process::id());
        let options = ElasticsearchOptions {
            prefix: prefix.clone(),
            bulk_bytes_max: BODY_BYTES,
            bulks_max,
            request_timeout: Duration::from_secs(60),
            ..ElasticsearchOptions::new(Arc::new(ManualClock::new(START)))
        };
        let index = ElasticsearchIndex::open(url, options).await.expect("Elasticsearch");
        index.add(std::slice::from_ref(first)).await.expect("added");
        index.commit(at(first.seq())).await.expect("committed");
        let bare = Elasticsearch::new(Transport::single_node(url).expect("a URL"));
        Self { index, bare, prefix }
    }

    async fn remove(&self) {
        let there = ask(&self.bare, Method::Get, &format!("/{}-*/_alias", self.prefix), None).await;
        for name in there.as_object().expect("indices by name").keys() {
            ask(&self.bare, Method::Delete, &format!("/{name}"), None).await;
        }
        ask(
            &self.bare,
            Method::Delete,
            &format!("/_index_template/{}-logs", self.prefix),
            None,
        )
        .await;
    }
}

async fn ask(client: &Elasticsearch, method: Method, path: &str, body: Option<Bytes>) -> Value {
    let mut headers = HeaderMap::new();
    if body.is_some() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    }
    let answer = client
        .send(method, path, headers, None::<&()>, body, None)
        .await
        .expect("an answer");
    assert!(answer.status_code().is_success(), "{path}: {}", answer.status_code());
    answer.json().await.expect("JSON")
}

fn at(seq: u64) -> Cursor {
    Cursor { journal: JOURNAL, seq }
}

async fn through_the_index(site: &Site, batches: &[Batch<Bytes>]) -> Duration {
    let from = tokio::time::Instant::now();
    for some in batches.chunks(50) {
        let refused = site.index.add(some).await.expect("added");
        assert!(refused.is_empty(), "{refused:?}");
    }
    let last = batches.last().expect("batches").seq();
    site.index.commit(at(last)).await.expect("committed");
    from.elapsed()
}

async fn bare(site: &Site, bodies: &[Bytes], at_once: usize) -> Duration {
    let from = tokio::time::Instant::now();
    let mut flight = JoinSet::new();
    let done = |answer: Option<Result<Value, _>>| {
        assert_eq!(answer.expect("one under way").expect("it ends")["errors"], false);
    };
    for body in bodies {
        if flight.len() >= at_once {
            done(flight.join_next().await);
        }
        let (client, body) = (site.bare.clone(), body.clone());
        flight.spawn(async move { ask(&client, Method::Post, "/_bulk", Some(body)).await });
    }
    while !flight.is_empty() {
        done(flight.join_next().await);
    }
    ask(
        &site.bare,
        Method::Post,
        &format!("/{}-logs-*/_refresh", site.prefix),
        None,
    )
    .await;
    from.elapsed()
}

fn documents(c: &mut Criterion) {
    let url = std::env::var("ANDON_TEST_ELASTICSEARCH_URL").expect(
        "ANDON_TEST_ELASTICSEARCH_URL is not set: run `make test`, or this benchmark through deploy/test/servers.sh",
    );
    let runtime = Runtime::new().expect("a runtime");
    let records = size(40_000, 2_000);
    let mut samples = Samples::new(10_000, 10);
    let mut batch = |seq| Batch::parse(samples.batch(PER_BATCH).into(), JOURNAL, seq).expect("a batch");
    let first = batch(1);
    let batches: Vec<Batch<Bytes>> = (2..(records / PER_BATCH) as u64 + 2).map(batch).collect();
    let mut turn = 0;
    let mut measure = |bulks: usize, through: bool| {
        turn += 1;
        runtime.block_on(async {
            let site = Site::new(&url, turn, bulks, &first).await;
            let bodies = bulk_bodies(&site.prefix, &batches, BODY_BYTES);
            let took = if through {
                through_the_index(&site, &batches).await
            } else {
                bare(&site, &bodies, bulks).await
            };
            let all = site.index.count(&LogFilter::default()).await.expect("a count");
            assert_eq!(all as usize, records + PER_BATCH);
            site.remove().await;
            took
        })
    };
    let mut group = c.benchmark_group("Elasticsearch");
    group.sampling_mode(SamplingMode::Flat);
    group.throughput(Throughput::Elements(records as u64));
    for bulks in [1, AT_ONCE] {
        for (name, through) in [("bare client", false), ("log index", true)] {
            group.bench_function(format!("{name}, {bulks} at once"), |b| {
                b.iter_custom(|times| (0..times).map(|_| measure(bulks, through)).sum());
            });
        }
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = criterion();
    targets = documents
}
criterion_main!(benches);
