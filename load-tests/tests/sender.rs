//! The sender and the load generator against a server on a real socket that misbehaves on purpose.

#![allow(clippy::unwrap_used)] // Helpers of tests: a fault here is a failed test.

use andon_engine::time::Clock;
use andon_load::clock::SystemClock;
use andon_load::ledger::{Fate, Ledger};
use andon_load::load::{self, Options};
use andon_load::play;
use andon_load::scenarios;
use andon_load::sender::{Patience, Post, Sender};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::service::service_fn;
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::TokioIo;
use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;

/// What the server does with the next request.
#[derive(Clone, Debug)]
enum Then {
    Answer(u16, Option<&'static str>, &'static str),
    /// Never answers.
    Hang,
    /// Ends the connection without an answer.
    Drop,
}

type Handler = Arc<dyn Fn(Bytes) -> Then + Send + Sync>;

async fn serve(handler: Handler) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let handler = handler.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                let handler = handler.clone();
                async move {
                    assert_eq!(request.uri().path(), "/v1/records");
                    let body = request.into_body().collect().await?.to_bytes();
                    match handler(body) {
                        Then::Answer(status, retry_after, text) => {
                            let mut response = Response::builder().status(status);
                            if let Some(v) = retry_after {
                                response = response.header("retry-after", v);
                            }
                            Ok::<_, anyhow::Error>(response.body(Full::new(Bytes::from(text))).unwrap())
                        }
                        Then::Hang => std::future::pending().await,
                        Then::Drop => anyhow::bail!("hung up on purpose"),
                    }
                }
            });
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    url
}

/// Follows a script and keeps the bodies.
async fn scripted(script: Vec<Then>) -> (String, Arc<Mutex<Vec<Bytes>>>) {
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let (script, seen) = (Mutex::new(VecDeque::from(script)), bodies.clone());
    let url = serve(Arc::new(move |body| {
        seen.lock().unwrap().push(body);
        script
            .lock()
            .unwrap()
            .pop_front()
            .expect("no more requests than the script has")
    }))
    .await;
    (url, bodies)
}

fn impatient() -> Patience {
    Patience {
        attempt: Duration::from_millis(300),
        backoff: Duration::from_millis(1),
        backoff_max: Duration::from_millis(5),
        total: Duration::from_secs(20),
    }
}

fn post() -> Post {
    Post {
        body: Bytes::from_static(b"{\"id\":\"a\"}\n{\"id\":\"b\"}\n"),
        content_type: "application/x-ndjson",
        history: false,
        ids: vec!["a".into(), "b".into()],
    }
}

const TAKEN: Then = Then::Answer(202, None, r#"{"accepted":1,"duplicates":1,"rejected":[]}"#);

#[tokio::test]
async fn it_tries_again_with_the_same_bytes_until_a_202_and_notes_nothing_before() {
    let script = vec![
        Then::Answer(429, Some("0"), "slow down"),
        Then::Answer(503, None, "the journal is full"),
        Then::Hang,
        Then::Drop,
        Then::Answer(202, None, "not what was promised"),
        TAKEN,
    ];
    let attempts = script.len();
    let (url, bodies) = scripted(script).await;
    let sender = Sender::new(&url, "key", Ledger::in_memory(), impatient()).unwrap();
    let answer = sender.post(&post()).await.unwrap();
    assert_eq!((answer.status, answer.accepted, answer.duplicates), (202, 1, 1));
    assert_eq!((answer.attempts as usize, answer.uncertain), (attempts, true));
    let bodies = bodies.lock().unwrap();
    assert_eq!(bodies.iter().collect::<BTreeSet<_>>().len(), 1);
    assert_eq!(sender.with_ledger(|l| l.count(Fate::Acknowledged)), 2);
}

#[tokio::test]
async fn what_was_never_acknowledged_is_only_sent() {
    let (url, _) = scripted(vec![Then::Answer(503, Some("60"), "stopping")]).await;
    let patience = Patience {
        total: Duration::from_secs(2),
        ..impatient()
    };
    let sender = Sender::new(&url, "key", Ledger::in_memory(), patience).unwrap();
    // A wait of a minute is more than our patience: it says so at once, with the server's words.
    let error = sender.post(&post()).await.unwrap_err().to_string();
    assert!(error.contains("503") && error.contains("stopping"), "{error}");
    sender.with_ledger(|l| assert_eq!((l.count(Fate::Sent), l.count(Fate::Acknowledged)), (2, 0)));
}

#[tokio::test]
async fn a_rejected_record_and_a_refused_body_are_no_obligations() {
    let rejected = r#"{"accepted":1,"duplicates":0,"rejected":[{"index":1,"field":"message","reason":"missing"}]}"#;
    let (url, _) = scripted(vec![
        Then::Answer(202, None, rejected),
        Then::Answer(400, None, "no JSON"),
    ])
    .await;
    let sender = Sender::new(&url, "key", Ledger::in_memory(), impatient()).unwrap();
    sender.post(&post()).await.unwrap();
    sender.with_ledger(|l| assert_eq!((l.fates()["a"], l.fates()["b"]), (Fate::Acknowledged, Fate::Rejected)));
    let answer = sender
        .post(&Post {
            ids: vec!["c".into()],
            ..post()
        })
        .await
        .unwrap();
    assert_eq!((answer.status, answer.text.as_str()), (400, "no JSON"));
    sender.with_ledger(|l| assert_eq!(l.fates()["c"], Fate::Sent));
}

/// Counts as Andon would: an id seen before is a duplicate, a line that is no object or too long is rejected.
fn counting() -> Handler {
    let seen = Mutex::new(BTreeSet::new());
    Arc::new(move |body| {
        let mut counts = (0, 0);
        let mut rejected = Vec::new();
        for (i, line) in body.split(|b| *b == b'\n').filter(|l| !l.is_empty()).enumerate() {
            let text: String = line.iter().map(|b| char::from(*b)).collect();
            let id = serde_json::from_str::<serde_json::Value>(&text)
                .ok()
                .and_then(|v| Some(v.get("id")?.as_str()?.to_owned()));
            match id {
                Some(id) if line.len() < 256 * 1024 => {
                    let fresh = seen.lock().unwrap().insert(id);
                    counts = if fresh {
                        (counts.0 + 1, counts.1)
                    } else {
                        (counts.0, counts.1 + 1)
                    };
                }
                _ => rejected.push(serde_json::json!({ "index": i, "field": "record", "reason": "no" })),
            }
        }
        let answer =
            serde_json::json!({ "accepted": counts.0, "duplicates": counts.1, "rejected": rejected }).to_string();
        Then::Answer(202, None, answer.leak())
    })
}

#[tokio::test]
async fn a_scenario_is_answered_as_its_steps_expect_and_a_server_that_forgets_ids_is_found_out() {
    let scenario = scenarios::make("SIM10", "t", None, SystemClock.now()).unwrap();
    let url = serve(counting()).await;
    let sender = Sender::new(&url, "key", Ledger::in_memory(), Patience::default()).unwrap();
    let (totals, finding) = play::deliver(&scenario, &sender).await.unwrap();
    assert!(finding.ok, "{finding:?}");
    assert_eq!(
        (totals.accepted, totals.duplicates, totals.rejected),
        (10_000, 10_000, 0)
    );
    assert_eq!(sender.with_ledger(|l| l.count(Fate::Acknowledged)), 10_000);

    let forgetful = serve(Arc::new(|_| {
        Then::Answer(202, None, r#"{"accepted":400,"duplicates":0,"rejected":[]}"#)
    }))
    .await;
    let sender = Sender::new(&forgetful, "key", Ledger::in_memory(), Patience::default()).unwrap();
    let (_, finding) = play::deliver(&scenario, &sender).await.unwrap();
    assert!(!finding.ok && finding.detail.contains("25 wrong"), "{finding:?}");
}

fn options(url: &str) -> Options {
    Options {
        url: url.to_owned(),
        key: "key".into(),
        rate: 2_000,
        batch: 10,
        connections: 2,
        seconds: 1,
        devices: 10,
        ids: true,
        seed: 1,
        pid: Some(std::process::id()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn load_counts_what_is_acknowledged_and_errors_by_status() {
    let requests = Arc::new(AtomicU64::new(0));
    let seen = requests.clone();
    let url = serve(Arc::new(move |_| match seen.fetch_add(1, Ordering::SeqCst) {
        0 => Then::Answer(503, None, "{}"),
        _ => Then::Answer(202, None, r#"{"accepted":10,"duplicates":0,"rejected":[]}"#),
    }))
    .await;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let report = load::run(&options(&url), &clock).await.unwrap();
    let n = requests.load(Ordering::SeqCst);
    assert_eq!((report.requests, report.errors["503 Service Unavailable"]), (n, 1));
    assert_eq!(report.records_acknowledged, (n - 1) * 10);
    // Every request that was due within the second was sent or is told of.
    assert_eq!(report.requests + report.requests_not_sent, 200);
    assert!(report.server.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn load_without_a_server_is_an_error_that_is_counted_not_a_hang() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let report = load::run(
        &Options {
            rate: 0,
            pid: None,
            ..options(&format!("http://{closed}"))
        },
        &clock,
    )
    .await
    .unwrap();
    assert_eq!(report.records_acknowledged, 0);
    assert!(
        report.errors.keys().all(|k| k.contains("cannot connect")) && report.requests > 0,
        "{:?}",
        report.errors
    );
}
