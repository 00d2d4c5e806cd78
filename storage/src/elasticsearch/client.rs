//! Requests by the official client, and what their failures mean. The one place that knows its errors; it does not log.

use super::{STORE, refused, unavailable};
use crate::ports::{Result, StoreError};
use ::elasticsearch::Elasticsearch;
use ::elasticsearch::http::headers::{CONTENT_TYPE, HeaderMap, HeaderValue};
use ::elasticsearch::http::{Method, Url};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};

/// What is told of an error's reason: it may quote a document.
const REASON_CHARS_MAX: usize = 500;
/// No answer to what is asked here comes near it; one that says it is longer is not read.
const ANSWER_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// Searches that the node is asked at once; the others wait here. Without a bound a crowd of askers would fill its queues, and the
/// writer would be turned away.
const SEARCHES_MAX: usize = 16;

/// The kind of the complaint about an index that is not there.
pub(super) const NO_INDEX: &str = "index_not_found_exception";

/// What Andon asks of an account, for the errors that say that something is missing.
pub(super) const PRIVILEGES: &str =
    "Andon needs the cluster privileges monitor and manage_index_templates, and manage, read and write on its indices";

#[derive(Clone)]
pub(super) struct Client {
    inner: Elasticsearch,
    /// Without credentials.
    address: String,
    timeout: Duration,
    searches: Arc<Semaphore>,
}

pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Bytes,
}

/// No answer came.
pub(super) enum NoAnswer {
    TimedOut(StoreError),
    Unreachable(StoreError),
}

impl From<NoAnswer> for StoreError {
    fn from(e: NoAnswer) -> Self {
        match e {
            NoAnswer::TimedOut(e) | NoAnswer::Unreachable(e) => e,
        }
    }
}

/// Kind and reason as Elasticsearch gives them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Complaint {
    pub(super) kind: String,
    pub(super) reason: String,
}

impl Complaint {
    /// From the `error` of an answer or of an item: an object, or a mere text.
    pub(super) fn new(error: &Value) -> Self {
        let text = |v: &Value, name: &str| v.get(name).and_then(Value::as_str).map(str::to_owned);
        let kind = text(error, "type").unwrap_or_default();
        let mut reason = text(error, "reason")
            .or_else(|| error.as_str().map(str::to_owned))
            .unwrap_or_default();
        let root = error.pointer("/root_cause/0");
        for cause in [root, error.get("caused_by")].into_iter().flatten() {
            if let Some(more) = text(cause, "reason").filter(|more| !reason.contains(more)) {
                reason = if reason.is_empty() {
                    more
                } else {
                    format!("{reason}: {more}")
                };
            }
        }
        let kind = if kind.is_empty() { "error".to_owned() } else { kind };
        Self {
            kind,
            reason: reason.chars().take(REASON_CHARS_MAX).collect(),
        }
    }
}

impl std::fmt::Display for Complaint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.kind, self.reason)
    }
}

impl Answer {
    pub(super) fn ok(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub(super) fn complaint(&self) -> Complaint {
        match serde_json::from_slice::<Value>(&self.body) {
            Ok(answer) => Complaint::new(answer.get("error").unwrap_or(&Value::Null)),
            Err(_) => Complaint {
                kind: "error".to_owned(),
                reason: String::from_utf8_lossy(&self.body[..self.body.len().min(REASON_CHARS_MAX)]).into_owned(),
            },
        }
    }

    /// What this answer, which is no success, means for whoever asked for `what`.
    pub(super) fn failure(&self, what: &str) -> StoreError {
        let complaint = self.complaint();
        let status = self.status;
        match status {
            401 => refused(format!("{what}: the user name, password or API key is wrong (401)")),
            403 if complaint.kind == "security_exception" => refused(format!(
                "{what}: a privilege is missing: {}; {PRIVILEGES}",
                complaint.reason
            )),
            400 | 413 => refused(format!("{what}: {complaint}")),
            _ => unavailable(format!("{what}: {complaint} ({status})")),
        }
    }

    pub(super) fn json<T: DeserializeOwned>(&self, what: &str) -> Result<T> {
        serde_json::from_slice(&self.body)
            .map_err(|e| unavailable(format!("{what}: its answer is not what Elasticsearch answers ({e})")))
    }
}

impl Client {
    pub(super) fn new(inner: Elasticsearch, url: &Url, timeout: Duration) -> Self {
        let address = url.as_str().trim_end_matches('/').to_owned();
        Self {
            inner,
            address,
            timeout,
            searches: Arc::new(Semaphore::new(SEARCHES_MAX)),
        }
    }

    /// To be held while a search is under way. In the order of asking.
    pub(super) async fn search_permit(&self) -> SemaphorePermit<'_> {
        let permit = self.searches.acquire().await;
        permit.expect("the semaphore is never closed")
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The answer, whatever its status.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<Bytes>,
    ) -> std::result::Result<Answer, NoAnswer> {
        let mut headers = HeaderMap::new();
        if path == "/_bulk" {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
        }
        let sent = self
            .inner
            .send(method, path, headers, Some(query), body, Some(self.timeout));
        let answer = sent.await.map_err(|e| self.no_answer(&e))?;
        if let Some(length) = answer.content_length().filter(|n| *n > ANSWER_BYTES_MAX) {
            return Err(NoAnswer::Unreachable(unavailable(format!(
                "its answer has {length} bytes, more than any should have"
            ))));
        }
        let status = answer.status_code().as_u16();
        let body = answer.bytes().await.map_err(|e| self.no_answer(&e))?;
        Ok(Answer { status, body })
    }

    /// The answer to what should succeed.
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        what: &str,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<Value>,
    ) -> Result<T> {
        let answer = self.ask(method, path, query, body.map(|b| json_body(&b))).await?;
        if answer.ok() {
            answer.json(what)
        } else {
            Err(answer.failure(what))
        }
    }

    fn no_answer(&self, e: &::elasticsearch::Error) -> NoAnswer {
        if e.is_timeout() {
            let reason = format!("{}: no answer within {:?}", self.address, self.timeout);
            return NoAnswer::TimedOut(unavailable(reason));
        }
        // The last of the causes says it: "Connection refused".
        let mut cause = e.source();
        let mut last = e.to_string();
        while let Some(e) = cause {
            last = e.to_string();
            cause = e.source();
        }
        NoAnswer::Unreachable(unavailable(format!("{}: {last}", self.address)))
    }
}

pub(super) fn json_body(body: &Value) -> Bytes {
    Bytes::from(serde_json::to_vec(body).expect("JSON values are serialisable"))
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Client({STORE} at {})", self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_complaint_says_kind_reason_and_cause_once() {
        let complaint = |v: Value| Complaint::new(&v).to_string();
        assert_eq!(complaint(json!("no handler")), "error: no handler");
        assert_eq!(
            complaint(json!({"type":"a","reason":"b","root_cause":[{"reason":"b"}],"caused_by":{"reason":"c"}})),
            "a: b: c"
        );
        assert_eq!(complaint(Value::Null), "error: ");
        let long = complaint(json!({"type":"a","reason":"ü".repeat(10_000)}));
        assert_eq!(long.chars().count(), REASON_CHARS_MAX + 3);
    }

    #[test]
    fn what_is_no_answer_of_elasticsearch_is_still_told() {
        let answer = |status, body: &'static str| Answer {
            status,
            body: Bytes::from_static(body.as_bytes()),
        };
        assert!(answer(502, "<html>bad gateway").failure("a search").is_temporary());
        assert!(answer(429, "").failure("a search").is_temporary());
        assert!(!answer(400, r#"{"error":"x"}"#).failure("a search").is_temporary());
        assert!(answer(200, "{\"took\":").json::<Value>("a search").is_err());
    }
}
