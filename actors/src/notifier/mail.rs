//! An e-mail: a letter with its headers.

use super::address::email_address;
use super::bodies;
use super::letter::{Letter, one_line};
use super::mailer::{Mailer, SendError};
use andon_engine::ids::IncidentId;
use andon_engine::rule::{Priority, Recipient};
use andon_engine::time::Timestamp;
use andon_storage::ports::deliveries::Notice;
use lettre::Message;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use std::time::{Duration, SystemTime};

/// How an e-mail hangs together with others.
#[derive(Debug)]
pub(super) struct Thread {
    /// The incident whose thread it joins; a digest of several stands alone, or mail programs would tie their threads together.
    pub(super) incident: Option<IncidentId>,
    pub(super) priority: Priority,
}

/// The Message-ID that every message of an incident refers to. No message has it itself; mail programs gather those that name the same.
pub(super) fn thread_id(incident: IncidentId, domain: &str) -> String {
    format!("<incident.{incident}@{domain}>")
}

/// The same in every attempt, so that a message that a crash sent twice can be told, by programs and by us.
pub(super) fn message_id(notice: &Notice, domain: &str) -> String {
    format!("<{}.{}@{domain}>", notice.kind.as_str(), notice.id)
}

pub(super) fn compose(
    letter: &Letter,
    notice: &Notice,
    thread: &Thread,
    recipient: &Recipient,
    mailer: &Mailer,
    now: Timestamp,
) -> Result<Message, SendError> {
    let address = email_address(&recipient.email).map_err(|why| {
        let why = one_line(&why, 256);
        SendError::permanent(format!("recipient {} cannot be reached: {why}", recipient.id))
    })?;
    // Who is known by the address only has no name to be shown before it.
    let name = (recipient.name != recipient.email).then(|| one_line(&recipient.name, 128));
    let domain = mailer.domain();
    let mut builder = Message::builder()
        .from(mailer.from().clone())
        .to(Mailbox::new(name, address))
        .subject(one_line(&letter.subject, 512))
        .date(system_time(now))
        .message_id(Some(message_id(notice, domain)))
        .raw_header(header("Auto-Submitted", "auto-generated"))
        .raw_header(header("X-Auto-Response-Suppress", "All"))
        .raw_header(header("List-Id", &format!("Andon <andon.{domain}>")))
        .raw_header(header("X-Andon-Kind", notice.kind.as_str()));
    if let Some(incident) = thread.incident {
        let root = thread_id(incident, domain);
        builder = builder
            .in_reply_to(root.clone())
            .references(root)
            .raw_header(header("X-Andon-Incident", &incident.to_string()));
    }
    if thread.priority == Priority::P1 {
        builder = builder.raw_header(header("Importance", "high"));
    }
    let bodies = MultiPart::alternative()
        .singlepart(SinglePart::plain(bodies::text(letter)))
        .singlepart(SinglePart::html(bodies::html(letter)));
    builder
        .multipart(bodies)
        .map_err(|e| SendError::permanent(format!("the message cannot be built: {e}")))
}

/// One body, no thread: for the few messages that are about Andon itself.
pub(super) fn compose_plain(
    to: &str,
    subject: &str,
    body: String,
    id: &str,
    mailer: &Mailer,
    now: Timestamp,
) -> Result<Message, SendError> {
    let to = email_address(to).map_err(|why| SendError::permanent(one_line(&why, 256)))?;
    Message::builder()
        .from(mailer.from().clone())
        .to(Mailbox::new(None, to))
        .subject(one_line(subject, 512))
        .date(system_time(now))
        .message_id(Some(format!("<{id}@{}>", mailer.domain())))
        .raw_header(header("Auto-Submitted", "auto-generated"))
        .singlepart(SinglePart::plain(body))
        .map_err(|e| SendError::permanent(format!("the message cannot be built: {e}")))
}

fn header(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

/// Of the injected clock: the one place where a stamp becomes the system's type, because the message builder asks for it.
fn system_time(t: Timestamp) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_micros(t.as_micros().max(0) as u64)
}
