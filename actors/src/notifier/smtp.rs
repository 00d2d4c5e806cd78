//! The dialogue with a mail server, and what a refusal says about whom.
//!
//! At which command a server refuses decides who hears of it. A refused connection, login or sender is a fault of the channel: an
//! administrator can mend it, and whatever waits must still go out then. Only a refusal of this recipient or of this message is final.

use super::letter::one_line;
use super::mailer::{Fault, SendError};
use lettre::Address;
use lettre::address::Envelope;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Tls};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use lettre::transport::smtp::response::Response;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

/// A command's answer. Some servers check a message for half a minute before they take it.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Connections to the server at a time: polite to a relay, and enough for a site.
const CONNECTIONS: usize = 4;
const IDLE_MAX: Duration = Duration::from_secs(60);
const ANSWER_BYTES: usize = 256;

/// Where in the dialogue it was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// Greeting, EHLO, STARTTLS, AUTH.
    Connection,
    Sender,
    Recipient,
    /// DATA, and the answer to the message.
    Message,
}

/// Sends over a few connections that are kept for a minute.
pub(super) struct Smtp {
    host: String,
    port: u16,
    tls: Tls,
    credentials: Option<Credentials>,
    permits: Semaphore,
    idle: Mutex<Vec<(AsyncSmtpConnection, Instant)>>,
}

impl std::fmt::Debug for Smtp {
    // No password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Smtp({}:{})", self.host, self.port)
    }
}

impl Smtp {
    pub(super) fn new(host: String, port: u16, tls: Tls, credentials: Option<Credentials>) -> Self {
        Self {
            host,
            port,
            tls,
            credentials,
            permits: Semaphore::new(CONNECTIONS),
            idle: Mutex::default(),
        }
    }

    /// Returns the server's answer to the message.
    pub(super) async fn send(&self, envelope: &Envelope, message: &[u8]) -> Result<String, SendError> {
        let _permit = self.permits.acquire().await.expect("never closed");
        let mut connection = self.connection().await?;
        match dialogue(&mut connection, envelope, message).await {
            Ok(answer) => {
                self.idle().push((connection, Instant::now()));
                let text: Vec<&str> = answer.message().collect();
                Ok(one_line(&format!("{} {}", answer.code(), text.join(" ")), ANSWER_BYTES))
            }
            Err(e) => {
                // Whatever state the dialogue is in: the next message begins a new one.
                let _ = timeout(Duration::from_secs(1), connection.abort()).await;
                Err(e)
            }
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<(AsyncSmtpConnection, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn connection(&self) -> Result<AsyncSmtpConnection, SendError> {
        loop {
            let idle = self.idle().pop();
            let Some((mut connection, since)) = idle else { break };
            let alive =
                since.elapsed() < IDLE_MAX && timeout(ANSWER_WITHIN, connection.test_connected()).await == Ok(true);
            if alive {
                return Ok(connection);
            }
        }
        answered(Stage::Connection, self.connect()).await
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, Error> {
        let name = ClientId::default();
        let from_the_start = match &self.tls {
            Tls::Wrapper(tls) => Some(tls.clone()),
            _ => None,
        };
        let server = (&*self.host, self.port);
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(server, Some(ANSWER_WITHIN), &name, from_the_start, None).await?;
        match &self.tls {
            Tls::Opportunistic(tls) if connection.can_starttls() => connection.starttls(tls.clone(), &name).await?,
            Tls::Required(tls) => connection.starttls(tls.clone(), &name).await?,
            _ => {}
        }
        if let Some(credentials) = &self.credentials {
            connection.auth(DEFAULT_MECHANISMS, credentials).await?;
        }
        Ok(connection)
    }
}

async fn answered<T>(stage: Stage, dialogue: impl Future<Output = Result<T, Error>>) -> Result<T, SendError> {
    match timeout(ANSWER_WITHIN, dialogue).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(e)) => Err(refusal(stage, &e)),
        Err(_) => Err(SendError::channel("SMTP: the server does not answer within 30 s")),
    }
}

async fn dialogue(c: &mut AsyncSmtpConnection, envelope: &Envelope, message: &[u8]) -> Result<Response, SendError> {
    let mut parameters = Vec::new();
    let is_ascii = |address: &Address| AsRef::<str>::as_ref(address).is_ascii();
    let recipients_ascii = envelope.to().iter().all(is_ascii);
    if !recipients_ascii || !envelope.from().is_none_or(is_ascii) {
        if !c.server_info().supports_feature(Extension::SmtpUtfEight) {
            let why = "the mail server takes no addresses beyond ASCII (SMTPUTF8)";
            return Err(if recipients_ascii {
                SendError::channel(format!("mail-from cannot be used: {why}"))
            } else {
                SendError::permanent(format!("the recipient cannot be reached: {why}"))
            });
        }
        parameters.push(MailParameter::SmtpUtfEight);
    }
    if !message.is_ascii() {
        if !c.server_info().supports_feature(Extension::EightBitMime) {
            return Err(SendError::channel(
                "SMTP: the server does not offer 8BITMIME, which the message needs",
            ));
        }
        parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
    }
    let sender: Option<Address> = envelope.from().cloned();
    answered(Stage::Sender, c.command(Mail::new(sender, parameters))).await?;
    for recipient in envelope.to() {
        let rcpt = Rcpt::new(recipient.clone(), Vec::new());
        answered(Stage::Recipient, c.command(rcpt)).await?;
    }
    answered(Stage::Message, c.command(Data)).await?;
    answered(Stage::Message, c.message(message)).await
}

fn refusal(stage: Stage, e: &Error) -> SendError {
    let mut reason = e.to_string();
    let mut said = String::new();
    let mut source = std::error::Error::source(e);
    while let Some(s) = source {
        said = s.to_string();
        if !reason.contains(&said) {
            reason = format!("{reason}: {said}");
        }
        source = s.source();
    }
    let reason = one_line(&format!("SMTP: {reason}"), ANSWER_BYTES);
    let code = e.status().map(u16::from);
    SendError {
        fault: fault(stage, code, &said),
        reason,
        retry_after: None,
    }
}

/// RFC 5321 for the code, RFC 3463 for the enhanced one that `said` may begin with. `None`: no answer at all.
fn fault(stage: Stage, code: Option<u16>, said: &str) -> Fault {
    let Some(code) = code else { return Fault::Channel };
    if matches!(stage, Stage::Connection | Stage::Sender) {
        return Fault::Channel;
    }
    if code < 500 {
        return Fault::Passing;
    }
    let is_final = match enhanced(said) {
        // The sender's address, which is ours.
        Some((1, 7..=9)) => false,
        // The recipient's address, and its mailbox.
        Some((1 | 2, _)) => true,
        // The message is too large, or of a kind that is not taken.
        Some((3, 4) | (6, _)) => true,
        // The server, the way there, the protocol, its policy: relaying is denied, the sender is blocked.
        Some(_) => false,
        None => match (stage, code) {
            (Stage::Recipient, 550 | 551 | 553) => !is_policy(said),
            (Stage::Message, 552) => true,
            _ => false,
        },
    };
    if is_final { Fault::Message } else { Fault::Channel }
}

/// Subject and detail of `5.1.1 …`.
fn enhanced(said: &str) -> Option<(u16, u16)> {
    let mut parts = said.split_whitespace().next()?.split('.');
    let mut part = || parts.next()?.parse::<u16>().ok();
    let (class, subject, detail) = (part()?, part()?, part()?);
    (matches!(class, 4 | 5) && parts.next().is_none()).then_some((subject, detail))
}

/// An old server without enhanced codes says 550 for an unknown mailbox and for its policy. In doubt it is the policy: trying again for a
/// day costs little, an alert that is dead costs a plant.
fn is_policy(said: &str) -> bool {
    const WORDS: &[&str] = &[
        "relay",
        "polic",
        "denied",
        "deny",
        "block",
        "list",
        "spam",
        "authenti",
        "permit",
        "allow",
        "sender",
        "spf",
        "dkim",
        "dmarc",
        "reputation",
        "banned",
        "client host",
        "helo",
    ];
    let said = said.to_lowercase();
    WORDS.iter().any(|w| said.contains(w))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_refusal_of_this_recipient_or_this_message_is_final() {
        use Stage::{Connection, Message, Recipient, Sender};
        for (stage, code, said, want) in [
            (Connection, 554, "no SMTP service here", Fault::Channel),
            (Connection, 535, "5.7.8 bad credentials", Fault::Channel),
            (Connection, 421, "busy", Fault::Channel),
            (Sender, 550, "5.1.8 sender blocked", Fault::Channel),
            (Sender, 553, "5.1.1 who?", Fault::Channel),
            (Recipient, 550, "5.1.1 no such user", Fault::Message),
            (Recipient, 550, "5.1.10 recipient address has null MX", Fault::Message),
            (Recipient, 553, "5.1.3 bad address syntax", Fault::Message),
            (Recipient, 550, "5.1.7 bad sender", Fault::Channel),
            (Recipient, 552, "5.2.2 mailbox full", Fault::Message),
            (Recipient, 550, "5.2.1 mailbox disabled", Fault::Message),
            (Recipient, 554, "5.7.1 Relay access denied", Fault::Channel),
            (Recipient, 550, "5.7.1 blocked", Fault::Channel),
            (Recipient, 550, "5.4.1 no answer from host", Fault::Channel),
            (Recipient, 450, "4.2.1 greylisted", Fault::Passing),
            (Recipient, 550, "No such user here", Fault::Message),
            (Recipient, 550, "mailbox unavailable", Fault::Message),
            (Recipient, 550, "relay not permitted", Fault::Channel),
            (Recipient, 550, "authentication required", Fault::Channel),
            (Recipient, 554, "transaction failed", Fault::Channel),
            (Recipient, 550, "5.x.1 odd", Fault::Message),
            (Message, 552, "5.3.4 too big", Fault::Message),
            (Message, 552, "message exceeds size", Fault::Message),
            (Message, 554, "5.6.0 conversion failed", Fault::Message),
            (Message, 550, "5.7.1 we do not like you", Fault::Channel),
            (Message, 554, "rejected", Fault::Channel),
            (Message, 451, "later", Fault::Passing),
        ] {
            assert_eq!(fault(stage, Some(code), said), want, "{stage:?} {code} {said}");
        }
        assert_eq!(fault(Message, None, "connection reset"), Fault::Channel);
    }

    #[test]
    fn an_enhanced_code_stands_first_or_is_none() {
        for (said, want) in [
            ("5.1.1 x", Some((1, 1))),
            ("5.1.10", Some((1, 10))),
            ("4.7.0 y", Some((7, 0))),
            ("x 5.1.1", None),
            ("5.1 x", None),
            ("5.1.1.1 x", None),
            ("2.1.5 ok", None),
            ("5.1.99999999 x", None),
            ("", None),
        ] {
            assert_eq!(enhanced(said), want, "{said}");
        }
    }
}
