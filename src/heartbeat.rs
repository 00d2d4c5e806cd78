//! What gateway and notifier say to each other without a store between them: when PostgreSQL and Redis are away together, whoever of the
//! two reaches a mail server sends the one plain e-mail.
//!
//! `POST /v1/heartbeat` every 2 s, signed by a key made from the site's secret, which both know. Each says whether it has mailed already.

use crate::up::told;
use andon_actors::notifier::{Fallback, signature};
use andon_engine::time::{Clock, Span, Timestamp};
use axum::http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

pub(crate) const PATH: &str = "/v1/heartbeat";
pub(crate) const BODY_BYTES_MAX: usize = 4 * 1024;
const SIGNATURE: &str = "andon-signature";
const EVERY: Duration = Duration::from_secs(2);
/// What was said longer ago says nothing any more.
const SILENT_AFTER: Duration = Duration::from_secs(6);
/// How much longer than the notifier a gateway waits before it mails itself: a notifier that answers is at it.
const AFTER_THE_NOTIFIER: Span = Span::secs(30);
const CANNOT_TELL: &str = "if PostgreSQL and Redis are away together, nobody is told of it";

/// The same for a gateway that notifies people itself.
pub(crate) fn uncovered_itself(on_servers: bool, has_mail_server: bool, has_addressees: bool) -> Option<String> {
    let covered = !on_servers || (has_mail_server && has_addressees);
    (!covered).then(|| format!("{CANNOT_TELL}: give this gateway --smtp-url and --alert-to"))
}

/// How the gateway is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Beat {
    /// Rises with every beat, so that one that was overheard counts for nothing.
    at_us: i64,
    /// Incidents and alerts can be stored.
    can_store: bool,
    /// Alerts that wait for it.
    waiting: u64,
    /// It has told somebody of this outage.
    has_told: bool,
}

/// How the notifier is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Answer {
    /// Of the beat that it answers.
    at_us: i64,
    /// It has a mail server, and somebody to tell.
    can_tell: bool,
    has_told: bool,
}

/// The site's secret, for nothing but this.
#[derive(Clone)]
pub(crate) struct Key(String);

impl Key {
    pub(crate) fn of(site_secret: &[u8; 32]) -> Self {
        Self(signature(site_secret, Timestamp(0), "andon heartbeat 1"))
    }

    fn sign(&self, at_us: i64, body: &str) -> String {
        signature(self.0.as_bytes(), Timestamp(at_us), body)
    }

    /// What was signed by the other side. `None`: by somebody else, or it cannot be read.
    fn open<T: serde::de::DeserializeOwned>(
        &self,
        headers: &HeaderMap,
        body: &str,
        at_us: impl Fn(&T) -> i64,
    ) -> Option<T> {
        let said: T = serde_json::from_str(body).ok()?;
        let given = headers.get(SIGNATURE)?.as_bytes();
        let right = self.sign(at_us(&said), body);
        // In the same time wherever they differ.
        let differs = right
            .bytes()
            .zip(given)
            .fold(right.len() ^ given.len(), |d, (a, b)| d | usize::from(a ^ b));
        (differs == 0).then_some(said)
    }
}

/// The notifier's side: what the gateway said last, and what to answer.
pub(crate) struct Listener {
    key: Key,
    can_tell: bool,
    fallback: Arc<Fallback>,
    heard: Mutex<Option<(Instant, Beat)>>,
}

impl Listener {
    pub(crate) fn new(key: Key, can_tell: bool, fallback: Arc<Fallback>) -> Self {
        Self {
            key,
            can_tell,
            fallback,
            heard: Mutex::default(),
        }
    }

    /// What it said, unless it is silent now.
    pub(crate) fn last(&self) -> Option<Beat> {
        let heard = *self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard
            .filter(|(at, _)| at.elapsed() < SILENT_AFTER)
            .map(|(_, beat)| beat)
    }

    pub(crate) fn receive(&self, headers: &HeaderMap, body: &str) -> (StatusCode, HeaderMap, String) {
        let Some(beat) = self.key.open(headers, body, |b: &Beat| b.at_us) else {
            return (
                StatusCode::UNAUTHORIZED,
                HeaderMap::new(),
                "not of this site\n".to_owned(),
            );
        };
        {
            let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
            // A gateway whose clock was set back is heard again after a moment of silence.
            let is_new = heard.is_none_or(|(at, last)| beat.at_us > last.at_us || at.elapsed() >= SILENT_AFTER);
            if !is_new {
                return (
                    StatusCode::CONFLICT,
                    HeaderMap::new(),
                    "not a new heartbeat\n".to_owned(),
                );
            }
            *heard = Some((Instant::now(), beat));
        }
        let answer = Answer {
            at_us: beat.at_us,
            can_tell: self.can_tell,
            // A file in a folder is no e-mail.
            has_told: self.can_tell && self.fallback.has_told(),
        };
        let body = serde_json::to_string(&answer).expect("plain data serialises");
        let signed = self.key.sign(answer.at_us, &body);
        let mut headers = HeaderMap::new();
        headers.insert(SIGNATURE, signed.parse().expect("hexadecimal digits"));
        (StatusCode::OK, headers, body)
    }
}

impl Beat {
    /// As [`Fallback::observe`] takes it. A gateway that has told somebody leaves nothing to tell.
    pub(crate) fn observed(self) -> Option<(bool, u64)> {
        (!self.has_told).then_some((self.can_store, self.waiting))
    }
}

/// The gateway's side, where it has no notifier of its own.
pub(crate) struct Sender {
    /// Where the notifier listens; `None`: nothing is known of one.
    pub(crate) notifier_url: Option<String>,
    pub(crate) key: Key,
    /// With a mail server of its own, and somebody to tell.
    pub(crate) fallback: Option<Fallback>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Sender {
    /// Why nobody would be told if the stores were away; it is said at start, and in `/health/ready`.
    pub(crate) fn uncovered(&self, answer: Option<&Heard>) -> Option<String> {
        if self.fallback.is_some() {
            return None;
        }
        let Some(url) = &self.notifier_url else {
            return Some(format!(
                "{CANNOT_TELL}: give this gateway --notifier-url, or --smtp-url with --alert-to"
            ));
        };
        match answer {
            None => None,
            Some(Heard::Nothing(why)) => Some(format!("{CANNOT_TELL}: the notifier at {url} does not answer ({why})")),
            Some(Heard::Answer { can_tell: false, .. }) => Some(format!(
                "{CANNOT_TELL}: the notifier at {url} has no --smtp-url or no --alert-to, and this gateway neither"
            )),
            Some(Heard::Answer { .. }) => None,
        }
    }

    /// Until told to stop. `look`: whether incidents can be stored, and how many alerts wait. `note` gets [`Sender::uncovered`].
    pub(crate) async fn run(
        self,
        look: impl Fn() -> (bool, u64),
        note: watch::Sender<Option<String>>,
        stop: watch::Receiver<bool>,
    ) {
        let client = match client() {
            Ok(client) => client,
            Err(e) => {
                tracing::error!(error = %e, "heartbeat to the notifier not started");
                return;
            }
        };
        let mut last_us = 0;
        loop {
            let (can_store, waiting) = look();
            let has_told = self.fallback.as_ref().is_some_and(Fallback::has_told);
            last_us = self.clock.now().as_micros().max(last_us + 1);
            let beat = Beat {
                at_us: last_us,
                can_store,
                waiting,
                has_told,
            };
            let heard = match &self.notifier_url {
                Some(url) => Some(self.exchange(&client, url, &beat).await),
                None => None,
            };
            let why = self.uncovered(heard.as_ref());
            note.send_if_modified(|noted| {
                let changed = noted.is_some() != why.is_some();
                if changed && let Some(why) = &why {
                    tracing::warn!("{why}");
                }
                *noted = why.clone();
                changed
            });
            self.observe(heard.as_ref(), can_store, waiting).await;
            if tokio::time::timeout(EVERY, told(stop.clone())).await.is_ok() {
                return;
            }
        }
    }

    /// Mails itself only what the notifier cannot, or has not after a while.
    async fn observe(&self, heard: Option<&Heard>, can_store: bool, waiting: u64) {
        let Some(fallback) = &self.fallback else { return };
        let patience = match heard {
            // Once it is over the next outage begins anew.
            Some(Heard::Answer { has_told: true, .. }) if !can_store && waiting > 0 => return,
            Some(Heard::Answer { can_tell: true, .. }) => AFTER_THE_NOTIFIER,
            _ => Span::ZERO,
        };
        fallback.observe_after(can_store, waiting, patience).await;
    }

    async fn exchange(&self, client: &reqwest::Client, url: &str, beat: &Beat) -> Heard {
        let nothing = |e: reqwest::Error| {
            let mut text = e.without_url().to_string();
            text.truncate(text.floor_char_boundary(200));
            Heard::Nothing(text)
        };
        let body = serde_json::to_string(beat).expect("plain data serialises");
        let request = client
            .post(format!("{}{PATH}", url.trim_end_matches('/')))
            .header(SIGNATURE, self.key.sign(beat.at_us, &body))
            .body(body);
        let mut response = match request.send().await {
            Ok(response) => response,
            Err(e) => return nothing(e),
        };
        if !response.status().is_success() {
            let mut why = String::new();
            let _ = write!(why, "HTTP {}", response.status());
            return Heard::Nothing(why);
        }
        let mut body = Vec::new();
        while body.len() <= BODY_BYTES_MAX {
            match response.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk[..chunk.len().min(BODY_BYTES_MAX)]),
                Ok(None) => break,
                Err(e) => return nothing(e),
            }
        }
        let body = String::from_utf8_lossy(&body);
        match self.key.open(response.headers(), &body, |a: &Answer| a.at_us) {
            Some(answer) if answer.at_us == beat.at_us => Heard::Answer {
                can_tell: answer.can_tell,
                has_told: answer.has_told,
            },
            _ => Heard::Nothing("its answer is not of this site".to_owned()),
        }
    }
}

fn client() -> Result<reqwest::Client, reqwest::Error> {
    // Fails when a provider is there already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .timeout(EVERY)
        .redirect(reqwest::redirect::Policy::none())
        .build()
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Nothing(String),
    Answer { can_tell: bool, has_told: bool },
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
