//! An HTTP proxy in front of Elasticsearch that answers bulk requests as an overloaded or a stricter cluster would.

use crate::sender::http_client;
use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, HeaderValue, TRANSFER_ENCODING};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Elasticsearch itself takes no more than 100 MB by default.
const BODY_BYTES_MAX: usize = 100 << 20;
/// Members of a document that a mapping knows as a number or a date.
const STRICT: [&str; 4] = ["timestamp", "@timestamp", "received_at", "timestamp_us"];

/// What becomes of bulk requests; everything else passes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Pass,
    /// Each is answered 429 as a whole, as a node does whose memory for requests is taken.
    Overloaded,
    /// Every so many documents one is answered 429 and the others are stored, as a shard does whose queue is full.
    OverloadedItems {
        every: u64,
    },
    /// In documents that hold this text the stamps are replaced by objects, so that the mapping refuses them for its own reasons.
    Spoil {
        marker: String,
    },
}

/// A running proxy. Dropping it ends it.
#[derive(Debug)]
pub struct Overload {
    address: SocketAddr,
    answer: watch::Sender<Answer>,
    seen: Arc<Seen>,
    _task: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Seen {
    items: AtomicU64,
    turned_away: AtomicU64,
    spoiled: AtomicU64,
}

/// What the cluster answered.
struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl From<Reply> for Response<Full<Bytes>> {
    fn from(reply: Reply) -> Self {
        let mut made = Response::new(Full::new(reply.body));
        *made.status_mut() = reply.status;
        *made.headers_mut() = reply.headers;
        made
    }
}

#[derive(Debug)]
struct Shared {
    client: reqwest::Client,
    upstream: String,
    answer: watch::Receiver<Answer>,
    seen: Arc<Seen>,
}

impl Overload {
    /// `upstream` is the root of a cluster, `http://127.0.0.1:9200`.
    pub async fn start(upstream: &str) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .context("the proxy cannot listen")?;
        let address = listener.local_addr()?;
        let answer = watch::Sender::new(Answer::Pass);
        let seen = Arc::new(Seen::default());
        let shared = Arc::new(Shared {
            client: http_client()?,
            upstream: upstream.trim_end_matches('/').to_owned(),
            answer: answer.subscribe(),
            seen: seen.clone(),
        });
        let mut task = JoinSet::new();
        task.spawn(serve(listener, shared));
        Ok(Self {
            address,
            answer,
            seen,
            _task: task,
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn set(&self, answer: Answer) {
        self.answer.send_replace(answer);
    }

    /// Requests or documents answered 429.
    pub fn turned_away(&self) -> u64 {
        self.seen.turned_away.load(Ordering::Relaxed)
    }

    /// Documents spoiled.
    pub fn spoiled(&self) -> u64 {
        self.seen.spoiled.load(Ordering::Relaxed)
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            taken = listener.accept() => {
                let Ok((stream, _)) = taken else { continue };
                let shared = shared.clone();
                open.spawn(async move {
                    let service = service_fn(move |request| {
                        let shared = shared.clone();
                        async move { Ok::<_, Infallible>(shared.handle(request).await) }
                    });
                    // What a client does to its own connection is its own affair.
                    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
            Some(_) = open.join_next() => {}
        }
    }
}

impl Shared {
    async fn handle(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let path = head.uri.path_and_query().map_or("/", |p| p.as_str()).to_owned();
        let body = match Limited::new(body, BODY_BYTES_MAX).collect().await {
            Ok(body) => body.to_bytes(),
            Err(e) => return failure(StatusCode::PAYLOAD_TOO_LARGE, "content_too_long", &e.to_string()),
        };
        let answer = match head.uri.path().ends_with("/_bulk") {
            true => self.answer.borrow().clone(),
            false => Answer::Pass,
        };
        let made = match answer {
            Answer::Pass => self
                .forward(head.method, &path, head.headers, body)
                .await
                .map(Into::into),
            Answer::Overloaded => {
                self.seen.turned_away.fetch_add(1, Ordering::Relaxed);
                return failure(
                    StatusCode::TOO_MANY_REQUESTS,
                    "es_rejected_execution_exception",
                    REJECTED,
                );
            }
            Answer::OverloadedItems { every } => {
                let (kept, verdicts) = self.split(&body, every);
                if kept.is_empty() {
                    Ok(answer_of(Map::new(), verdicts, Vec::new()))
                } else {
                    let stored = self.forward(head.method, &path, head.headers, kept.into()).await;
                    stored.map(|stored| merged(stored, verdicts))
                }
            }
            Answer::Spoil { marker } => {
                let body = self.spoiled_body(&body, &marker);
                self.forward(head.method, &path, head.headers, body.into())
                    .await
                    .map(Into::into)
            }
        };
        made.unwrap_or_else(|e| failure(StatusCode::BAD_GATEWAY, "proxy", &format!("{e:#}")))
    }

    async fn forward(
        &self,
        method: hyper::Method,
        path: &str,
        mut headers: HeaderMap,
        body: Bytes,
    ) -> anyhow::Result<Reply> {
        for name in [HOST, CONTENT_LENGTH, CONNECTION, TRANSFER_ENCODING] {
            headers.remove(name);
        }
        let request = self
            .client
            .request(method, format!("{}{path}", self.upstream))
            .headers(headers)
            .body(body);
        let response = request.send().await.context("the cluster does not answer")?;
        let (status, mut headers) = (response.status(), response.headers().clone());
        for name in [CONTENT_LENGTH, CONNECTION, TRANSFER_ENCODING] {
            headers.remove(name);
        }
        let body = response.bytes().await.context("the cluster's answer broke off")?;
        Ok(Reply { status, headers, body })
    }

    /// The body without every so manieth document, and for each document of it whether it was left out, and for which index and id.
    fn split(&self, body: &[u8], every: u64) -> (Vec<u8>, Vec<Option<Value>>) {
        let (mut kept, mut verdicts) = (Vec::new(), Vec::new());
        for (action, lines) in operations(body) {
            let n = self.seen.items.fetch_add(1, Ordering::Relaxed);
            if n.is_multiple_of(every.max(1)) {
                self.seen.turned_away.fetch_add(1, Ordering::Relaxed);
                verdicts.push(Some(turned_away(&action)));
            } else {
                kept.extend_from_slice(lines);
                verdicts.push(None);
            }
        }
        (kept, verdicts)
    }

    fn spoiled_body(&self, body: &[u8], marker: &str) -> Vec<u8> {
        let mut out = Vec::with_capacity(body.len());
        for (_, lines) in operations(body) {
            let mut parts = lines.splitn(2, |b| *b == b'\n');
            let (action, document) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            out.extend_from_slice(action);
            out.push(b'\n');
            match spoil(document, marker) {
                Some(text) => {
                    self.seen.spoiled.fetch_add(1, Ordering::Relaxed);
                    out.extend_from_slice(text.as_bytes());
                    out.push(b'\n');
                }
                None => out.extend_from_slice(document),
            }
        }
        out
    }
}

const REJECTED: &str = "rejected execution of coordinating operation: the memory for requests is taken";

fn spoil(document: &[u8], marker: &str) -> Option<String> {
    if !String::from_utf8_lossy(document).contains(marker) {
        return None;
    }
    let mut document: Map<String, Value> = serde_json::from_slice(document).ok()?;
    let mut any = false;
    for name in STRICT {
        if let Some(value) = document.get_mut(name) {
            *value = json!({ "spoiled": "by the fault test" });
            any = true;
        }
    }
    any.then(|| Value::Object(document).to_string())
}

/// The operations of a bulk body: the action line as JSON, and all of its lines with their line feeds.
fn operations(body: &[u8]) -> Vec<(Value, &[u8])> {
    let mut out = Vec::new();
    let mut at = 0;
    let line = |from: usize| {
        body[from..]
            .iter()
            .position(|b| *b == b'\n')
            .map_or(body.len(), |n| from + n + 1)
    };
    while at < body.len() {
        let end = line(at);
        let Ok(action) = serde_json::from_slice::<Value>(&body[at..end]) else {
            // A blank line; anything else is the cluster's to refuse.
            at = end;
            continue;
        };
        let whole = if action.get("delete").is_some() { end } else { line(end) };
        out.push((action, &body[at..whole]));
        at = whole;
    }
    out
}

/// The item of an answer for an operation that was not done.
fn turned_away(action: &Value) -> Value {
    let (name, target) = action
        .as_object()
        .and_then(|o| o.iter().next())
        .map_or(("index", &Value::Null), |(name, target)| (name.as_str(), target));
    let item = json!({
        "_index": target["_index"], "_id": target["_id"], "status": 429,
        "error": { "type": "es_rejected_execution_exception", "reason": REJECTED },
    });
    json!({ name: item })
}

/// Puts what was left out back into its place of the cluster's answer.
fn merged(stored: Reply, verdicts: Vec<Option<Value>>) -> Response<Full<Bytes>> {
    match serde_json::from_slice(&stored.body) {
        Ok(Value::Object(mut answer)) if answer.get("items").is_some_and(Value::is_array) => {
            let items = answer
                .remove("items")
                .and_then(|v| if let Value::Array(a) = v { Some(a) } else { None });
            answer_of(answer, verdicts, items.unwrap_or_default())
        }
        // The cluster refused the request as a whole.
        _ => stored.into(),
    }
}

fn answer_of(mut answer: Map<String, Value>, verdicts: Vec<Option<Value>>, items: Vec<Value>) -> Response<Full<Bytes>> {
    let mut items = items.into_iter();
    let all: Vec<Value> = verdicts
        .into_iter()
        .filter_map(|v| v.or_else(|| items.next()))
        .collect();
    answer.entry("took").or_insert(json!(1));
    answer.insert("errors".into(), json!(true));
    answer.insert("items".into(), Value::Array(all));
    json_answer(StatusCode::OK, &Value::Object(answer))
}

fn failure(status: StatusCode, kind: &str, reason: &str) -> Response<Full<Bytes>> {
    let cause = json!({ "type": kind, "reason": reason });
    let body = json!({ "error": { "root_cause": [cause], "type": kind, "reason": reason }, "status": status.as_u16() });
    json_answer(status, &body)
}

fn json_answer(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    let mut made = Response::new(Full::new(body.to_string().into()));
    *made.status_mut() = status;
    let headers = made.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // Clients look for this to know that they speak to Elasticsearch.
    headers.insert(
        HeaderName::from_static("x-elastic-product"),
        HeaderValue::from_static("Elasticsearch"),
    );
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = b"{\"create\":{\"_index\":\"i\",\"_id\":\"1\"}}\n{\"message\":\"a\",\"timestamp\":1}\n\
                          {\"delete\":{\"_index\":\"i\",\"_id\":\"2\"}}\n\
                          {\"index\":{\"_index\":\"i\",\"_id\":\"3\"}}\n{\"message\":\"poison\",\"timestamp\":3}\n";

    #[test]
    fn operations_keep_their_lines_together() {
        let found = operations(BODY);
        assert_eq!(found.len(), 3);
        assert_eq!(
            found.iter().flat_map(|(_, lines)| lines.to_vec()).collect::<Vec<u8>>(),
            BODY
        );
        assert_eq!(found[1].0["delete"]["_id"], "2");
        // A body that ends in the middle of an operation does not run over its end.
        assert_eq!(operations(&BODY[..BODY.len() - 20]).len(), 3);
        assert_eq!(operations(b"nonsense\n").len(), 0);
    }

    #[tokio::test]
    async fn what_was_left_out_comes_back_in_its_place() {
        let away = |id: &str| turned_away(&json!({ "index": { "_index": "i", "_id": id } }));
        let stored = Reply {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: json!({ "took": 3, "errors": false, "items": [{ "index": { "_id": "b", "status": 201 } }] })
                .to_string()
                .into(),
        };
        let made = merged(stored, vec![Some(away("a")), None, Some(away("c"))]);
        let body = made.into_body().collect().await.unwrap().to_bytes();
        let answer: Value = serde_json::from_slice(&body).unwrap();
        let ids: Vec<&Value> = answer["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|i| &i["index"]["_id"])
            .collect();
        assert_eq!(ids, ["a", "b", "c"]);
        assert_eq!((&answer["errors"], &answer["took"]), (&json!(true), &json!(3)));
    }

    #[test]
    fn only_marked_documents_are_spoiled() {
        let found = operations(BODY);
        let document = |n: usize| found[n].1.splitn(2, |b| *b == b'\n').nth(1).unwrap();
        assert_eq!(spoil(document(0), "poison"), None);
        let spoiled: Value = serde_json::from_str(&spoil(document(2), "poison").unwrap()).unwrap();
        assert!(spoiled["timestamp"].is_object() && spoiled["message"] == "poison");
    }
}
