//! The reliable sender: what a careful agent does. It retries with the same ids until the server answers for good, and notes in the
//! ledger what was sent, acknowledged and rejected.

use crate::attempts::Attempts;
use crate::ledger::Ledger;
use anyhow::Context as _;
use bytes::Bytes;
use reqwest::StatusCode;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use serde::Deserialize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// An answer longer than this is not one of Andon's: 100 rejected records with reasons take about 20 KB.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// How long a key may take to reach a running server. It takes a second; a busy machine is no fault.
pub const KEY_WITHIN: Duration = Duration::from_secs(60);

/// When to try again and when to give up.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// One attempt, from the first byte sent to the last received.
    pub attempt: Duration,
    /// The first pause; doubled each time, half of it at random.
    pub backoff: Duration,
    pub backoff_max: Duration,
    /// All attempts at one request together.
    pub total: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            attempt: Duration::from_secs(10),
            backoff: Duration::from_millis(50),
            backoff_max: Duration::from_secs(2),
            total: Duration::from_secs(120),
        }
    }
}

/// One request.
#[derive(Clone, Debug)]
pub struct Post {
    pub body: Bytes,
    pub content_type: &'static str,
    pub history: bool,
    /// The id of each record in the body, in order.
    pub ids: Vec<String>,
}

/// What the server said in the end.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub accepted: u64,
    pub duplicates: u64,
    pub rejected: Vec<Rejected>,
    /// The body where the status is not 202: the server's words.
    pub text: String,
    pub attempts: u32,
    /// An earlier attempt ended without an answer or with one that says the records may have been taken: what was then stored is
    /// now a duplicate.
    pub uncertain: bool,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Rejected {
    pub index: u64,
    #[serde(default)]
    pub field: Option<String>,
    #[serde(default)]
    pub reason: String,
}

#[derive(Deserialize)]
struct Acknowledgement {
    accepted: u64,
    #[serde(default)]
    duplicates: u64,
    #[serde(default)]
    rejected: Vec<Rejected>,
}

/// Sends to one server with one key. Cheap to clone: clones share connections and ledger.
#[derive(Clone, Debug)]
pub struct Sender {
    client: reqwest::Client,
    url: String,
    key: String,
    ledger: Arc<Mutex<Ledger>>,
    patience: Patience,
    attempts: Arc<Attempts>,
}

/// An HTTP client that can speak TLS.
pub fn http_client() -> anyhow::Result<reqwest::Client> {
    // Fails when a provider is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // A proxy between us and the server would be measured too.
    reqwest::Client::builder()
        .no_proxy()
        .build()
        .context("cannot set up an HTTP client")
}

impl Sender {
    /// `url` is the root of the ingest service: `http://127.0.0.1:7400`.
    pub fn new(url: &str, key: &str, ledger: Ledger, patience: Patience) -> anyhow::Result<Self> {
        let url = format!("{}/v1/records", url.trim_end_matches('/'));
        Ok(Self {
            client: http_client()?,
            url,
            key: key.to_owned(),
            ledger: Arc::new(Mutex::new(ledger)),
            patience,
            attempts: Arc::default(),
        })
    }

    /// What single attempts come to, of this sender and its clones.
    pub fn attempts(&self) -> &Attempts {
        &self.attempts
    }

    /// A look at the ledger, or a change of it.
    pub fn with_ledger<T>(&self, f: impl FnOnce(&mut Ledger) -> T) -> T {
        f(&mut self.ledger.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until the server knows the key: one that was made a moment ago takes a second to reach a running server. Asks with an empty
    /// body, which is refused whatever the key may do, and stores nothing.
    pub async fn await_key(&self, within: Duration) -> anyhow::Result<()> {
        let probe = Post {
            body: Bytes::new(),
            content_type: "application/x-ndjson",
            history: false,
            ids: Vec::new(),
        };
        let deadline = Instant::now() + within;
        loop {
            let answer = self.post(&probe).await?;
            if answer.status != StatusCode::UNAUTHORIZED.as_u16() {
                return Ok(());
            }
            anyhow::ensure!(
                Instant::now() < deadline,
                "{} refuses the key: {}",
                self.url,
                answer.text
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Sends until there is an answer for good. Errors when patience ends: the last failure is in the message.
    pub async fn post(&self, post: &Post) -> anyhow::Result<Answer> {
        self.with_ledger(|l| l.sending(&post.ids))
            .context("cannot write the ledger")?;
        let deadline = Instant::now() + self.patience.total;
        let mut pause = self.patience.backoff;
        let (mut attempts, mut uncertain) = (0, false);
        loop {
            attempts += 1;
            let (failure, wait) = match tokio::time::timeout(self.patience.attempt, self.attempt(post)).await {
                Ok(Ok(Reply::Final(mut answer))) => {
                    (answer.attempts, answer.uncertain) = (attempts, uncertain);
                    self.note(post, &answer)?;
                    self.attempts.answered(answer.status);
                    return Ok(answer);
                }
                Ok(Ok(Reply::Later(status, wait, text))) => {
                    self.attempts.answered(status.as_u16());
                    // A 503 may follow a failed fsync; then the records may be on disk all the same.
                    uncertain |= status.is_server_error();
                    (format!("{status}: {text}"), wait)
                }
                Ok(Err(e)) => {
                    self.attempts.unanswered();
                    uncertain |= !e.is_connect();
                    (describe(&e), None)
                }
                Err(_) => {
                    self.attempts.unanswered();
                    uncertain = true;
                    (format!("no answer within {:?}", self.patience.attempt), None)
                }
            };
            let jittered = pause.mul_f64(0.5 + 0.5 * rand::random::<f64>());
            // What the server asks for is waited for, but never past our own patience.
            let wait = wait.unwrap_or(jittered).max(jittered);
            if Instant::now() + wait >= deadline {
                anyhow::bail!("gave up on {} after {attempts} attempts: {failure}", self.url);
            }
            tokio::time::sleep(wait).await;
            pause = (pause * 2).min(self.patience.backoff_max);
        }
    }

    async fn attempt(&self, post: &Post) -> Result<Reply, reqwest::Error> {
        let mut request = self
            .client
            .post(&self.url)
            .header(AUTHORIZATION, format!("Bearer {}", self.key))
            .header(CONTENT_TYPE, post.content_type)
            .body(post.body.clone());
        if post.history {
            request = request.header("andon-history", "true");
        }
        let mut response = request.send().await?;
        let status = response.status();
        let wait = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|v| v.to_str().ok()?.trim().parse().ok())
            .map(Duration::from_secs);
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            body.extend_from_slice(&chunk);
            if body.len() > ANSWER_BYTES_MAX {
                break;
            }
        }
        let text = || String::from_utf8_lossy(&body).chars().take(500).collect::<String>();
        let retry =
            matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT) || status.is_server_error();
        if retry {
            return Ok(Reply::Later(status, wait, text()));
        }
        let mut answer = Answer {
            status: status.as_u16(),
            accepted: 0,
            duplicates: 0,
            rejected: Vec::new(),
            text: text(),
            attempts: 0,
            uncertain: false,
        };
        if status == StatusCode::ACCEPTED {
            match serde_json::from_slice::<Acknowledgement>(&body) {
                Ok(a) => {
                    (answer.accepted, answer.duplicates, answer.rejected, answer.text) =
                        (a.accepted, a.duplicates, a.rejected, String::new())
                }
                // A 202 whose body is not the promised one acknowledges nothing that we could hold the server to.
                Err(e) => return Ok(Reply::Later(status, None, format!("a 202 that cannot be read: {e}"))),
            }
        }
        Ok(Reply::Final(answer))
    }

    fn note(&self, post: &Post, answer: &Answer) -> anyhow::Result<()> {
        if answer.status != 202 {
            return Ok(());
        }
        let (acknowledged, rejected) = fates(&post.ids, answer);
        self.with_ledger(|l| l.acknowledged(&acknowledged).and_then(|()| l.rejected(&rejected)))
            .context("cannot write the ledger")
    }
}

/// Which ids a 202 acknowledges and which it rejects. Where the list of rejected ones is cut short, the ids that it does not name may be
/// either: none is then an obligation.
fn fates(ids: &[String], answer: &Answer) -> (Vec<String>, Vec<String>) {
    let named: std::collections::BTreeSet<u64> = answer.rejected.iter().map(|r| r.index).collect();
    let whole = answer.accepted + answer.duplicates + named.len() as u64 == ids.len() as u64;
    let (mut acknowledged, mut rejected) = (Vec::new(), Vec::new());
    for (i, id) in ids.iter().enumerate() {
        match named.contains(&(i as u64)) {
            true => rejected.push(id.clone()),
            false if whole => acknowledged.push(id.clone()),
            false => {}
        }
    }
    (acknowledged, rejected)
}

enum Reply {
    Final(Answer),
    Later(StatusCode, Option<Duration>, String),
}

/// The error with its causes: reqwest's own text leaves them out.
pub fn describe(e: &reqwest::Error) -> String {
    let mut text = e.to_string();
    let mut source = std::error::Error::source(e);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(accepted: u64, duplicates: u64, rejected: &[u64]) -> Answer {
        Answer {
            status: 202,
            accepted,
            duplicates,
            rejected: rejected
                .iter()
                .map(|i| Rejected {
                    index: *i,
                    field: None,
                    reason: String::new(),
                })
                .collect(),
            text: String::new(),
            attempts: 1,
            uncertain: false,
        }
    }

    #[test]
    fn a_rejected_record_is_no_obligation_and_a_list_cut_short_makes_none() {
        let ids: Vec<String> = ["a", "b", "c"].map(String::from).to_vec();
        let (acked, rejected) = fates(&ids, &answer(1, 1, &[1]));
        assert_eq!(
            (acked, rejected),
            (vec!["a".to_owned(), "c".to_owned()], vec!["b".to_owned()])
        );
        // One accepted, two rejected, one of which is not named: which of `a` and `c` was taken is not known.
        let (acked, rejected) = fates(&ids, &answer(1, 0, &[1]));
        assert_eq!((acked, rejected), (vec![], vec!["b".to_owned()]));
    }
}
