//! Delivering a batch: with patience where the server asks for it, and no longer.

use super::Compression;
use crate::exit;
use anyhow::Context as _;
use async_compression::tokio::bufread::{GzipEncoder, ZstdEncoder};
use reqwest::StatusCode;
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use serde::Deserialize;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::time::Instant;

/// One attempt, from the first byte to the last of the answer.
const ATTEMPT: Duration = Duration::from_secs(60);
const BACKOFF: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// A longer answer is not one of Andon's.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// An HTTP client with TLS.
pub(crate) fn client() -> anyhow::Result<reqwest::Client> {
    // Fails when a provider is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .connect_timeout(Duration::from_secs(10))
        .user_agent(concat!("andon/", env!("CARGO_PKG_VERSION")))
        .build()
        .context("cannot set up an HTTP client")
}

/// The error with its causes: reqwest's own text leaves them out.
pub(crate) fn describe(e: &reqwest::Error) -> String {
    let mut text = e.to_string();
    let mut source = std::error::Error::source(e);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[derive(Debug)]
pub(super) struct Delivery {
    client: reqwest::Client,
    url: reqwest::Url,
    authorization: HeaderValue,
    history: bool,
    compression: Compression,
    patience: Duration,
}

/// What became of a batch.
#[derive(Debug)]
pub(super) enum Sent {
    Taken(Answer),
    /// More than the server takes in one body.
    TooLarge(String),
    /// 400, in the server's words, where it does not name records.
    NoneAcceptable(String),
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Answer {
    #[serde(default)]
    pub(super) accepted: u64,
    #[serde(default)]
    pub(super) duplicates: u64,
    #[serde(default)]
    pub(super) rejected: Vec<Rejected>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Rejected {
    pub(super) index: u64,
    #[serde(default)]
    pub(super) field: Option<String>,
    #[serde(default)]
    pub(super) reason: String,
}

enum Attempt {
    Final(Sent),
    Later { why: String, wait: Option<Duration> },
}

impl Delivery {
    pub(super) fn new(
        url: &str,
        key: &str,
        history: bool,
        compression: Compression,
        patience: Duration,
    ) -> anyhow::Result<Self> {
        let url = format!("{}/v1/records", url.trim_end_matches('/'));
        let url: reqwest::Url = url
            .parse()
            .map_err(|e| exit::usage(format!("--url: {url:?} is no address: {e}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(exit::usage(format!("--url: {url} is neither http nor https")));
        }
        let mut authorization = HeaderValue::from_str(&format!("Bearer {key}"))
            .map_err(|_| exit::usage("--key: holds characters that no key has"))?;
        authorization.set_sensitive(true);
        Ok(Self {
            client: client()?,
            url,
            authorization,
            history,
            compression,
            patience,
        })
    }

    /// Sends the lines as one body until there is an answer for good. Gives the answer and how often it was tried again.
    pub(super) async fn post(&self, lines: &[&[u8]]) -> anyhow::Result<(Sent, u64)> {
        let body = self.body(lines).await?;
        let deadline = Instant::now() + self.patience;
        let (mut retries, mut pause) = (0, BACKOFF);
        loop {
            let (why, wait) = match tokio::time::timeout(ATTEMPT, self.attempt(body.clone())).await {
                Ok(Ok(Attempt::Final(sent))) => return Ok((sent, retries)),
                Ok(Ok(Attempt::Later { why, wait })) => (why, wait),
                // What is no failure of the connection will not pass by waiting.
                Ok(Err(e)) => (describe(&e.downcast::<reqwest::Error>()?), None),
                Err(_) => (format!("no answer within {ATTEMPT:?}"), None),
            };
            // Half of the pause at random, so that many senders do not come back at once.
            let jittered = pause.mul_f64(0.5 + 0.5 * rand::random::<f64>());
            let wait = wait.unwrap_or(Duration::ZERO).max(jittered);
            if Instant::now() + wait >= deadline {
                return Err(exit::unavailable(format!(
                    "{} took nothing for {:?} ({} attempts): {why}. Send the rest again later; what it has is not stored twice",
                    self.url,
                    self.patience,
                    retries + 1
                )));
            }
            tokio::time::sleep(wait).await;
            pause = (pause * 2).min(BACKOFF_MAX);
            retries += 1;
        }
    }

    async fn body(&self, lines: &[&[u8]]) -> anyhow::Result<bytes::Bytes> {
        let mut plain = Vec::with_capacity(lines.iter().map(|l| l.len() + 1).sum());
        for line in lines {
            plain.extend_from_slice(line);
            plain.push(b'\n');
        }
        let mut out = Vec::new();
        match self.compression {
            Compression::None => out = plain,
            Compression::Gzip => {
                GzipEncoder::new(&plain[..])
                    .read_to_end(&mut out)
                    .await
                    .context("cannot compress")?;
            }
            Compression::Zstd => {
                ZstdEncoder::new(&plain[..])
                    .read_to_end(&mut out)
                    .await
                    .context("cannot compress")?;
            }
        }
        Ok(out.into())
    }

    async fn attempt(&self, body: bytes::Bytes) -> anyhow::Result<Attempt> {
        let mut request = self
            .client
            .post(self.url.clone())
            .header(AUTHORIZATION, self.authorization.clone())
            .header(CONTENT_TYPE, "application/x-ndjson")
            .body(body);
        match self.compression {
            Compression::None => {}
            Compression::Gzip => request = request.header(CONTENT_ENCODING, "gzip"),
            Compression::Zstd => request = request.header(CONTENT_ENCODING, "zstd"),
        }
        if self.history {
            request = request.header("andon-history", "true");
        }
        let mut response = request.send().await?;
        let status = response.status();
        let wait = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|v| v.to_str().ok()?.trim().parse().ok())
            .map(Duration::from_secs);
        let mut answer = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            answer.extend_from_slice(&chunk);
            anyhow::ensure!(
                answer.len() <= ANSWER_BYTES_MAX,
                "{} answered more than {ANSWER_BYTES_MAX} bytes",
                self.url
            );
        }
        self.judge(status, wait, &answer)
    }

    fn judge(&self, status: StatusCode, wait: Option<Duration>, answer: &[u8]) -> anyhow::Result<Attempt> {
        let words = words(answer);
        let parsed = serde_json::from_slice::<Answer>(answer);
        Ok(Attempt::Final(match status {
            StatusCode::ACCEPTED => match parsed {
                Ok(answer) => Sent::Taken(answer),
                Err(e) => anyhow::bail!("{} does not answer like Andon: {e}", self.url),
            },
            StatusCode::BAD_REQUEST => match parsed {
                Ok(answer) if !answer.rejected.is_empty() => Sent::Taken(answer),
                _ => Sent::NoneAcceptable(words),
            },
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                return Err(exit::no_permission(format!("the server refuses the key: {words}")));
            }
            StatusCode::PAYLOAD_TOO_LARGE => Sent::TooLarge(words),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => {
                return Ok(Attempt::Later {
                    why: format!("{status}: {words}"),
                    wait,
                });
            }
            s if s.is_server_error() => {
                return Ok(Attempt::Later {
                    why: format!("{status}: {words}"),
                    wait,
                });
            }
            _ => anyhow::bail!("{} answered {status}: {words}. Is this the ingest service?", self.url),
        }))
    }
}

/// The server's reason without its wrapping.
fn words(answer: &[u8]) -> String {
    let value: serde_json::Value = serde_json::from_slice(answer).unwrap_or_default();
    let inner = ["/error/message", "/error", "/message", "/reason"]
        .iter()
        .find_map(|p| value.pointer(p)?.as_str());
    match inner {
        Some(text) => super::stamp::short_to(text, 300),
        None => super::stamp::short_to(&String::from_utf8_lossy(answer), 300),
    }
}
