//! One message: claim it, write it, send it, note what became of it.

use super::expand::{OWN_TYPE_PREFIX, incident_gone, target_of};
use super::gather::readable;
use super::letter::{ITEMS_SHOWN, LINES, Letter, Told as ToldItem, Writer, one_line};
use super::mail::{Thread, compose};
use super::mailer::{Fault, SendError};
use super::words::Language;
use super::{Notifier, telemetry};
use andon_engine::effect::AlertReason;
use andon_engine::incident::Incident;
use andon_engine::limits::{REPEAT_EVERY_AFTER, REPEAT_SECOND_AFTER, THROTTLE_WINDOW};
use andon_engine::rule::{Channel, Configuration, Recipient};
use andon_engine::time::{Span, Timestamp};
use andon_storage::ports::Result;
use andon_storage::ports::deliveries::{ChannelKind, Notice, NoticeId, NoticeKind, Outcome, Target, Told};
use rand::RngExt as _;
use std::time::Duration;

/// An attempt is over by then, whatever the server does; the claim lasts longer, so that nobody else begins before.
const ATTEMPT_MAX: Duration = Duration::from_secs(60);
const LEASE: Span = Span::secs(90);
const RETRY_FIRST: Span = Span::secs(5);
const RETRY_MAX: Span = Span::mins(15);
/// After a day whoever was to be told has found out.
const GIVE_UP_AFTER: Span = Span::hours(24);
/// Incidents of a message that show their last lines, and how long the index may take to find them.
const ITEMS_WITH_LINES: usize = 3;
const LINES_WAIT: Duration = Duration::from_secs(2);
/// Noting what was sent is worth some patience: the alternative is to send it twice.
const NOTE_TRIES: u32 = 10;
const NOTE_PAUSE: Duration = Duration::from_millis(200);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Delivered {
    Sent,
    Retried,
    Dead,
    /// Somebody else has it, or it is finished.
    NotOurs,
}

/// What was sent, for the notes.
struct Posted {
    answer: String,
    told: Vec<Told>,
}

impl Notifier {
    pub(super) async fn deliver(&self, id: NoticeId) -> Result<Delivered> {
        let args = &self.inner.args;
        let now = args.clock.now();
        let Some(notice) = args.store.claim(id, &args.owner, now, LEASE).await? else {
            return Ok(Delivered::NotOurs);
        };
        let posted = match tokio::time::timeout(ATTEMPT_MAX, self.post(&notice, now)).await {
            Ok(posted) => posted,
            Err(_) => Ok(Err(SendError::channel("no answer within 60 s"))),
        };
        let posted = match posted {
            Ok(posted) => posted,
            // We could not even read what to say.
            Err(e) => Err(SendError::passing(e.to_string())),
        };
        let now = args.clock.now();
        let channel_fault = posted.as_ref().is_err_and(|e| e.fault == Fault::Channel);
        let (outcome, delivered) = match posted {
            Ok(p) => {
                let outcome = Outcome::Sent {
                    answer: p.answer,
                    window_end: now.plus(THROTTLE_WINDOW),
                    told: p.told,
                };
                (outcome, Delivered::Sent)
            }
            Err(e) => {
                let dead = e.fault == Fault::Message || now.since(notice.created_at) > GIVE_UP_AFTER;
                self.warn(&notice, &e, dead);
                if dead {
                    (Outcome::Dead { reason: e.reason }, Delivered::Dead)
                } else {
                    let at = now.plus(backoff(
                        notice.attempts,
                        e.retry_after,
                        rand::rng().random_range(0.5..=1.0),
                    ));
                    (Outcome::Retry { at, reason: e.reason }, Delivered::Retried)
                }
            }
        };
        let outcome_name = match delivered {
            Delivered::Sent => "sent",
            Delivered::Retried => "retried",
            _ => "dead",
        };
        let channel = notice.target.kind;
        telemetry::attempted(channel, outcome_name);
        telemetry::channel_fault(channel, channel_fault);
        let at_once = delivered == Delivered::Sent && notice.kind == NoticeKind::Alert;
        if let Some(received) = notice.items.iter().map(|i| i.received_at).min().filter(|_| at_once) {
            telemetry::told_after(channel, now.since(received).as_secs_f64());
        }
        let mut tries = 0;
        loop {
            match args.store.finish(id, &args.owner, &outcome, now).await {
                Ok(true) => return Ok(delivered),
                Ok(false) => {
                    tracing::warn!(notice = %id, "a claim ran out before its message was noted: it may be sent twice");
                    metrics::counter!(telemetry::CLAIM_LOST).increment(1);
                    return Ok(delivered);
                }
                Err(e) if e.is_temporary() && tries < NOTE_TRIES => {
                    tries += 1;
                    tokio::time::sleep(NOTE_PAUSE).await;
                }
                Err(e) => return Err(e),
            }
        }
    }

    /// The outer error: a store could not be read.
    async fn post(&self, notice: &Notice, now: Timestamp) -> Result<std::result::Result<Posted, SendError>> {
        let args = &self.inner.args;
        let config = args.config.borrow().clone();
        let addressee = match addressee(&config, &notice.target) {
            Ok(a) => a,
            Err(e) => return Ok(Err(e)),
        };
        let writer = Writer {
            config: &config,
            public_url: &args.public_url,
            tokens: &self.inner.tokens,
            now,
        };
        let mut incidents = Vec::new();
        for item in notice.items.iter().take(ITEMS_SHOWN) {
            let incident = readable(args.incidents.incident(item.incident).await)?;
            incidents.push(incident.unwrap_or_else(|| incident_gone(item.incident, item.at, &item.text)));
        }
        let mut shown = Vec::new();
        for (i, (item, incident)) in notice.items.iter().zip(&incidents).enumerate() {
            let lines = if i < ITEMS_WITH_LINES {
                self.lines(incident).await
            } else {
                Vec::new()
            };
            shown.push(ToldItem { item, incident, lines });
        }
        let language = match &addressee {
            Addressee::Person(r) => Language::of(&r.language),
            Addressee::Channel(_) => Language::English,
        };
        let mut told = Vec::new();
        for (i, item) in notice.items.iter().enumerate() {
            let before = args.store.told(&notice.target, item.incident).await?;
            let subject = match (before.as_ref().filter(|t| !t.subject.is_empty()), incidents.get(i)) {
                (Some(t), _) => t.subject.clone(),
                (None, Some(incident)) => writer.incident_subject(incident, language),
                (None, None) => String::new(),
            };
            let repeats = match item.reason {
                AlertReason::Repeat => before.map_or(0, |t| t.repeats).saturating_add(1),
                _ => 0,
            };
            told.push(Told {
                target: notice.target.clone(),
                incident: item.incident,
                count: item.count,
                told_at: now,
                repeats,
                next_repeat_at: next_repeat(notice, repeats, now),
                subject,
            });
        }
        // News of one record is in the thread of its first incident; a digest of one incident in that one's.
        let one = notice.kind == NoticeKind::Alert || notice.items.len() == 1;
        let thread = Thread {
            incident: notice.items.first().filter(|_| one).map(|i| i.incident),
            priority: incidents
                .first()
                .map_or(andon_engine::rule::Priority::P2, |i| i.priority),
        };
        let subject = told
            .first()
            .filter(|_| one)
            .map(|t| t.subject.clone())
            .filter(|s| !s.is_empty());
        let letter: Letter = writer.write(notice, &shown, language, subject);
        let sent = match addressee {
            Addressee::Person(recipient) => match compose(&letter, notice, &thread, recipient, &args.mailer, now) {
                Ok(message) => args.mailer.send(message, &file_name(notice)).await,
                Err(e) => Err(e),
            },
            Addressee::Channel(channel) => self.inner.http.send(channel, notice, &letter, &shown, &writer).await,
        };
        Ok(sent.map(|answer| Posted { answer, told }))
    }

    async fn lines(&self, incident: &Incident) -> Vec<String> {
        // The message is worth more than its last lines: a slow index does not hold it.
        let lines = tokio::time::timeout(LINES_WAIT, self.inner.args.lines.lines(incident, LINES)).await;
        lines.unwrap_or_default()
    }

    /// A failed delivery is a WARN record of Andon itself, at the first failure and at the last.
    fn warn(&self, notice: &Notice, e: &SendError, dead: bool) {
        let kind = notice.target.kind.as_str();
        tracing::warn!(notice = %notice.id, channel = kind, attempts = notice.attempts, dead, reason = %e.reason, "a message was not sent");
        if !dead && notice.attempts > 1 {
            return;
        }
        let what = match (dead, e.fault) {
            (true, _) => "given up",
            (false, Fault::Channel) => "a fault of the channel, will be tried again for 24 hours",
            (false, _) => "will be tried again",
        };
        let message = format!(
            "message {} by {kind} not sent after {} attempts, {what}: {}",
            notice.id,
            notice.attempts,
            one_line(&e.reason, 256)
        );
        self.inner
            .args
            .self_log
            .warn(&format!("{OWN_TYPE_PREFIX}{kind}"), &message);
    }
}

enum Addressee<'c> {
    Person(&'c Recipient),
    Channel(&'c Channel),
}

fn addressee<'c>(config: &'c Configuration, target: &Target) -> std::result::Result<Addressee<'c>, SendError> {
    let gone = || {
        SendError::permanent(format!(
            "{} is no longer in the configuration",
            one_line(&target.key(), 160)
        ))
    };
    match target.kind {
        ChannelKind::Email => {
            let person = config.recipients.iter().find(|r| r.id.as_str() == &*target.name);
            person.map(Addressee::Person).ok_or_else(gone)
        }
        ChannelKind::Slack | ChannelKind::Webhook => {
            let mut channels = config.routes.iter().flat_map(|r| &r.channels);
            channels
                .find(|c| target_of(c) == *target)
                .map(Addressee::Channel)
                .ok_or_else(gone)
        }
    }
}

/// Repeats are told once at the window's end, then after 30 min, then every 4 h. A machine counts for itself, and history does not repeat.
fn next_repeat(notice: &Notice, repeats: u32, now: Timestamp) -> Option<Timestamp> {
    if notice.target.kind == ChannelKind::Webhook || notice.kind == NoticeKind::Summary {
        return None;
    }
    let wait = match repeats {
        0 => THROTTLE_WINDOW,
        1 => REPEAT_SECOND_AFTER,
        _ => REPEAT_EVERY_AFTER,
    };
    Some(now.plus(wait))
}

/// `spread` in 0.5 to 1: many messages that failed together do not come back together.
fn backoff(attempts: u32, asked: Option<Duration>, spread: f64) -> Span {
    let doubled = RETRY_FIRST
        .as_micros()
        .saturating_mul(1 << attempts.saturating_sub(1).min(20));
    let wait = (doubled.min(RETRY_MAX.as_micros()) as f64 * spread) as i64;
    let asked = asked.map_or(0, |d| i64::try_from(d.as_micros()).unwrap_or(i64::MAX));
    Span::micros(wait.max(asked))
}

/// `20261123T021005.123456Z-<id>`: the files of a folder sort by time, and a message that is sent again is the same file.
fn file_name(notice: &Notice) -> String {
    format!(
        "{}-{}",
        notice.created_at.to_jiff().strftime("%Y%m%dT%H%M%S.%6fZ"),
        notice.id
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_a_quarter_of_an_hour_and_heeds_what_was_asked() {
        assert_eq!(backoff(1, None, 1.0), Span::secs(5));
        assert_eq!(backoff(2, None, 1.0), Span::secs(10));
        assert_eq!(backoff(2, None, 0.5), Span::secs(5));
        assert_eq!(backoff(9, None, 1.0), RETRY_MAX);
        assert_eq!(backoff(u32::MAX, None, 1.0), RETRY_MAX);
        assert_eq!(backoff(1, Some(Duration::from_secs(60)), 1.0), Span::secs(60));
    }
}
