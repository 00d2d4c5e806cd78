//! Webhooks and Slack: JSON by POST.
//!
//! A webhook is signed: `Andon-Signature: t=<epoch seconds>,v1=<hex HMAC-SHA256 of "<t>.<body>">`. Its receiver checks the signature and
//! that `t` is recent, and takes `Andon-Notice` (the same in every attempt) for the key of idempotence.

use super::letter::{Letter, Told, Writer, one_line};
use super::mailer::{Fault, SendError};
use andon_engine::rule::Channel;
use andon_engine::time::Timestamp;
use andon_storage::ports::deliveries::Notice;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::{Client, StatusCode, Url, redirect};
use serde_json::{Value, json};
use sha2::Sha256;
use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::time::Duration;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(15);
/// Of an answer only what fits a log line is of use; the rest is not read.
const ANSWER_BYTES_MAX: usize = 4 * 1024;
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3_600);
/// Slack takes 3,000 characters in a section, and 50 blocks.
const SLACK_TEXT_CHARS: usize = 2_800;

/// Secrets of the configuration file, by name: signing keys of webhooks, addresses of Slack hooks. Never printed.
#[derive(Clone, Default)]
pub struct Secrets(HashMap<String, String>);

impl Secrets {
    pub fn new(secrets: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(secrets.into_iter().collect())
    }
    fn get(&self, name: &str) -> Result<&str, SendError> {
        let missing = || {
            let name = one_line(name, 128);
            SendError::channel(format!(
                "the configuration has no secret {name:?}: add it, and what waits is sent"
            ))
        };
        self.0.get(name).map(String::as_str).ok_or_else(missing)
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[derive(Debug, Clone)]
pub(super) struct HttpSender {
    client: Client,
    secrets: Secrets,
}

impl HttpSender {
    pub(super) fn new(secrets: Secrets) -> Result<Self, reqwest::Error> {
        // Fails when a provider is there already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            // A receiver must not send our signed alerts on to somewhere else.
            .redirect(redirect::Policy::none())
            .user_agent(concat!("andon/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { client, secrets })
    }

    /// Returns what the receiver answered.
    pub(super) async fn send(
        &self,
        channel: &Channel,
        notice: &Notice,
        letter: &Letter,
        told: &[Told<'_>],
        writer: &Writer<'_>,
    ) -> Result<String, SendError> {
        match channel {
            Channel::Webhook { url, secret, .. } => {
                let body = webhook_body(notice, told, writer).to_string();
                let secret = secret.as_deref().map(|name| self.secrets.get(name)).transpose()?;
                let mut headers = vec![("andon-notice", notice.id.to_string())];
                if let Some(secret) = secret {
                    headers.push(("andon-signature", signature(secret.as_bytes(), writer.now, &body)));
                }
                self.post(url, body, headers).await
            }
            Channel::Slack { url_secret, .. } => {
                let url = self.secrets.get(url_secret)?;
                self.post(url, slack_body(letter).to_string(), Vec::new()).await
            }
        }
    }

    async fn post(&self, url: &str, body: String, headers: Vec<(&'static str, String)>) -> Result<String, SendError> {
        // The address of a Slack hook is a secret: no error repeats it.
        let url = Url::parse(url).map_err(|e| SendError::channel(format!("the channel's URL is none: {e}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(SendError::channel("the channel's URL is neither http nor https"));
        }
        let mut request = self
            .client
            .post(url)
            .header("content-type", "application/json")
            .body(body);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let mut response = request.send().await.map_err(|e| SendError::channel(error_text(e)))?;
        let status = response.status();
        let retry_after = response
            .headers()
            .get("retry-after")
            .and_then(|v| v.to_str().ok()?.trim().parse().ok())
            .map(|secs| Duration::from_secs(secs).min(RETRY_AFTER_MAX));
        let mut answer = Vec::new();
        // The status is the answer; a body that breaks off changes nothing.
        while let Ok(Some(chunk)) = response.chunk().await {
            answer.extend_from_slice(&chunk[..chunk.len().min(ANSWER_BYTES_MAX - answer.len())]);
            if answer.len() >= ANSWER_BYTES_MAX {
                break;
            }
        }
        let said = one_line(&format!("{status} {}", String::from_utf8_lossy(&answer)), 256);
        if status.is_success() {
            return Ok(said);
        }
        let hint = if status.is_redirection() {
            " (redirects are not followed: set the final URL)"
        } else {
            ""
        };
        Err(SendError {
            fault: fault(status),
            reason: format!("HTTP {}{hint}", said.trim_end()),
            retry_after,
        })
    }
}

/// Only an answer that can be about nothing but this message is final. All others can be mended by whoever runs the receiver, what stands
/// before it, or Andon: 400 is what a server says to plain HTTP on its port for TLS, 404 to a path with a slip of the pen.
fn fault(status: StatusCode) -> Fault {
    match status {
        StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNPROCESSABLE_ENTITY => Fault::Message,
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS | StatusCode::LOCKED => {
            Fault::Passing
        }
        _ => Fault::Channel,
    }
}

fn error_text(e: reqwest::Error) -> String {
    let e = e.without_url();
    let mut text = e.to_string();
    let mut source = std::error::Error::source(&e);
    while let Some(s) = source {
        let _ = write!(text, ": {s}");
        source = s.source();
    }
    one_line(&format!("HTTP: {text}"), 256)
}

/// `t=…,v1=…`.
pub fn signature(secret: &[u8], now: Timestamp, body: &str) -> String {
    let t = now.as_micros().div_euclid(1_000_000);
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes a key of any length");
    mac.update(format!("{t}.").as_bytes());
    mac.update(body.as_bytes());
    let mut out = format!("t={t},v1=");
    for b in mac.finalize().into_bytes() {
        let _ = write!(out, "{b:02x}");
    }
    out
}

fn webhook_body(notice: &Notice, told: &[Told<'_>], writer: &Writer<'_>) -> Value {
    let incidents: Vec<Value> = told
        .iter()
        .map(|t| {
            let i = t.incident;
            json!({
                "id": i.id.to_string(),
                "reason": t.item.reason.as_str(),
                "rule": i.rule.as_str(),
                "rule_name": writer.rule_name(i),
                "priority": i.priority.as_str(),
                "state": i.activity.as_str(),
                "acknowledged": i.acknowledged.is_some(),
                "subject": {"kind": i.subject.kind.as_str(), "id": &*i.subject.id},
                "message": &*t.item.text,
                "type": i.error_type,
                "level": i.max_level.map(|l| l.as_str()),
                "device_id": i.device,
                "application": i.application,
                "user_id": i.user,
                "area": i.area,
                "source": i.source,
                "timestamp": t.item.at.to_string(),
                "received_at": t.item.received_at.to_string(),
                "first_at": i.first_at.to_string(),
                "opened_at": i.opened_at.to_string(),
                "last_at": i.last_at.to_string(),
                "count": t.item.count,
                "further": t.item.further,
                "peak": i.peak,
                "historical": i.historical,
                "muted_until": t.item.muted_until.map(|m| m.to_string()),
                "lines": t.lines,
                "runbook": writer.rule(i).and_then(|r| r.runbook.clone()),
                "url": writer.link(notice, i),
                "log_url": writer.log_link(i),
            })
        })
        .collect();
    json!({
        "version": 1,
        "id": notice.id.to_string(),
        "kind": notice.kind.as_str(),
        "channel": &*notice.target.name,
        "created_at": notice.created_at.to_string(),
        "incidents": incidents,
        "more": notice.items.len().saturating_sub(told.len()),
    })
}

fn slack_body(letter: &Letter) -> Value {
    let mut blocks = Vec::new();
    let section = |text: String| {
        let text: String = text.chars().take(SLACK_TEXT_CHARS).collect();
        json!({"type": "section", "text": {"type": "mrkdwn", "text": text}})
    };
    for line in &letter.intro {
        blocks.push(section(slack_escaped(line)));
    }
    let language = letter.language;
    for p in &letter.paragraphs {
        let mut text = format!(
            "*{} · {}*\n{}\n{}",
            slack_escaped(&p.priority),
            slack_escaped(&p.subject),
            slack_escaped(&p.rule),
            slack_escaped(&p.message)
        );
        for (label, value) in &p.facts {
            let _ = write!(text, "\n{label}: {}", slack_escaped(value));
        }
        // The link last and whole: a text that is cut must not cut it, so what stands before is cut.
        let links = format!(
            "\n<{}|{}>  <{}|{}>",
            p.link,
            language.open_incident(),
            p.log_link,
            language.open_log()
        );
        let room = SLACK_TEXT_CHARS.saturating_sub(links.chars().count());
        let text: String = text.chars().take(room).collect();
        blocks.push(section(text + &links));
    }
    if letter.more > 0 {
        let more = format!("+{} {}", language.incidents(letter.more), language.not_shown());
        blocks.push(section(slack_escaped(&more)));
    }
    json!({"text": slack_escaped(&letter.subject), "blocks": blocks})
}

/// Slack's three characters; what is left of a record's text cannot make a link or a mention.
fn slack_escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
