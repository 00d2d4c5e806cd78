//! Where e-mail goes: an SMTP server, or a folder of `.eml` files when there is none.

use super::address::email_address;
use super::smtp::Smtp;
use lettre::Message;
use lettre::message::Mailbox;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

const PEM_MARK: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// Whose fault it is that a message did not go out, and so whether the same message may go out later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nobody's: the receiver is busy.
    Passing,
    /// The way to the receiver, or our configuration: everything that goes this way waits until it is mended.
    Channel,
    /// This recipient, or this message: it will never go out.
    Message,
}

/// Why a message did not go out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct SendError {
    pub fault: Fault,
    pub reason: String,
    /// What the receiver asked us to wait, if it did.
    pub retry_after: Option<Duration>,
}

impl SendError {
    fn of(fault: Fault, reason: impl Into<String>) -> Self {
        Self {
            fault,
            reason: reason.into(),
            retry_after: None,
        }
    }
    pub(super) fn permanent(reason: impl Into<String>) -> Self {
        Self::of(Fault::Message, reason)
    }
    pub(super) fn channel(reason: impl Into<String>) -> Self {
        Self::of(Fault::Channel, reason)
    }
    pub(super) fn passing(reason: impl Into<String>) -> Self {
        Self::of(Fault::Passing, reason)
    }
}

/// A setting of the mail transport that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MailSettingError {
    #[error("SMTP URL: {0}; write smtp://user:password@host:port?tls=required|opportunistic|none, or smtps://…")]
    Url(String),
    #[error("mail-from {0:?} is no e-mail address: {1}")]
    From(String, String),
    #[error("the certificate authority for SMTP is no PEM certificate: {0}")]
    Authority(String),
    #[error("TLS for SMTP: {0}")]
    Tls(String),
}

#[derive(Debug)]
enum Way {
    Smtp(Box<Smtp>),
    Folder(PathBuf),
}

/// Sends e-mail. Cheap to share behind an `Arc`.
#[derive(Debug)]
pub struct Mailer {
    way: Way,
    from: Mailbox,
}

impl Mailer {
    /// `smtps://` speaks TLS from the first byte (port 465). `smtp://` uses STARTTLS: it must (`tls=required`, the default when the URL
    /// has a password and the host is not loopback), does when the server offers it (`opportunistic`, else the default), or does
    /// not (`none`). Its port is 587 with a user, else 25. `authority_pem`: of a private certificate authority, trusted beside the public ones.
    ///
    /// # Errors
    /// Says which setting cannot work. The server is not contacted.
    pub fn smtp(url: &str, from: &str, authority_pem: Option<&[u8]>) -> Result<Self, MailSettingError> {
        let from = address(from)?;
        let bad = |what: &str| MailSettingError::Url(what.to_owned());
        // The error of the parser does not repeat the URL, which may hold a password.
        let url = reqwest::Url::parse(url).map_err(|e| MailSettingError::Url(e.to_string()))?;
        let host = url
            .host_str()
            .filter(|h| !h.is_empty())
            .ok_or_else(|| bad("it names no host"))?;
        let loopback = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
        let user = (!url.username().is_empty()).then(|| decoded(url.username()));
        let mut mode = None;
        for (name, value) in url.query_pairs() {
            match (&*name, &*value) {
                ("tls", m @ ("required" | "opportunistic" | "none")) => mode = Some(m.to_owned()),
                _ => return Err(MailSettingError::Url(format!("{name}={value} is unknown"))),
            }
        }
        let tls = || {
            let mut t = TlsParameters::builder(host.trim_matches(['[', ']']).to_owned());
            if let Some(pem) = authority_pem {
                // The parser takes a file without any certificate for an empty list of them.
                if !pem.windows(PEM_MARK.len()).any(|w| w == PEM_MARK) {
                    return Err(MailSettingError::Authority(
                        "it has no BEGIN CERTIFICATE line".to_owned(),
                    ));
                }
                let ca = Certificate::from_pem(pem).map_err(|e| MailSettingError::Authority(e.to_string()))?;
                t = t.add_root_certificate(ca);
            }
            t.build().map_err(|e| MailSettingError::Tls(e.to_string()))
        };
        let (tls, port) = match (url.scheme(), mode.as_deref()) {
            ("smtps", None | Some("required")) => (Tls::Wrapper(tls()?), 465),
            ("smtp", mode) => {
                let port = if user.is_some() { 587 } else { 25 };
                match mode {
                    Some("none") => (Tls::None, port),
                    Some("required") => (Tls::Required(tls()?), port),
                    None if user.is_some() && !loopback => (Tls::Required(tls()?), port),
                    _ => (Tls::Opportunistic(tls()?), port),
                }
            }
            ("smtps", _) => return Err(bad("smtps:// always speaks TLS: leave tls= out")),
            _ => return Err(bad("its scheme is neither smtp nor smtps")),
        };
        let host = host.trim_matches(['[', ']']).to_owned();
        let credentials = user.map(|user| Credentials::new(user, decoded(url.password().unwrap_or(""))));
        let smtp = Smtp::new(host, url.port().unwrap_or(port), tls, credentials);
        Ok(Self {
            way: Way::Smtp(Box::new(smtp)),
            from,
        })
    }

    /// Each e-mail becomes `<time>-<id>.eml` in `dir`, which is made if absent. A reader sees whole files only, and a message that is
    /// sent twice is one file.
    ///
    /// # Errors
    /// When `from` is no address.
    pub fn folder(dir: impl Into<PathBuf>, from: &str) -> Result<Self, MailSettingError> {
        Ok(Self {
            way: Way::Folder(dir.into()),
            from: address(from)?,
        })
    }

    pub fn is_folder(&self) -> bool {
        matches!(self.way, Way::Folder(_))
    }

    pub(super) fn from(&self) -> &Mailbox {
        &self.from
    }

    /// The part of a Message-ID after the `@`: the sender's own domain, under which nobody else makes any.
    pub(super) fn domain(&self) -> &str {
        self.from.email.domain()
    }

    /// `name`: of the file, when it becomes one. Returns the server's answer.
    pub(super) async fn send(&self, message: Message, name: &str) -> Result<String, SendError> {
        match &self.way {
            Way::Smtp(smtp) => smtp.send(message.envelope(), &message.formatted()).await,
            Way::Folder(dir) => {
                let path = dir.join(format!("{name}.eml"));
                let bytes = message.formatted();
                let written = tokio::task::spawn_blocking(move || write_whole(&path, &bytes).map(|()| path)).await;
                match written {
                    Ok(Ok(path)) => Ok(path.display().to_string()),
                    Ok(Err(e)) => Err(SendError::channel(format!("outbox {}: {e}", dir.display()))),
                    Err(e) => Err(SendError::channel(format!("outbox {}: {e}", dir.display()))),
                }
            }
        }
    }
}

fn address(from: &str) -> Result<Mailbox, MailSettingError> {
    let refused = |why: String| MailSettingError::From(from.to_owned(), why);
    let sender = from.parse::<Mailbox>().map_err(|e| refused(e.to_string()))?;
    let address = email_address(sender.email.as_ref()).map_err(refused)?;
    Ok(Mailbox::new(sender.name, address))
}

/// Percent-decoded; what is no valid escape stays.
fn decoded(part: &str) -> String {
    let bytes = part.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let hex = part.get(i + 1..i + 3).and_then(|h| u8::from_str_radix(h, 16).ok());
        match hex {
            Some(b) if bytes[i] == b'%' => {
                out.push(b);
                i += 3;
            }
            _ => {
                out.push(bytes[i]);
                i += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Written beside, synced, renamed: whoever lists the folder sees whole messages only.
fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(dir)?;
    let part = path.with_extension("part");
    let mut file = std::fs::File::create(&part)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&part, path)?;
    std::fs::File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn urls_that_cannot_work_are_refused_with_what_to_write() {
        for (url, why) in [
            ("http://mail", "neither smtp nor smtps"),
            ("smtp://", "host"),
            ("mail.example", "relative URL"),
            ("smtp://mail?tls=maybe", "tls=maybe is unknown"),
            ("smtp://mail?retries=3", "retries=3 is unknown"),
            ("smtps://mail?tls=none", "always speaks TLS"),
        ] {
            let e = Mailer::smtp(url, "andon@example.com", None).unwrap_err().to_string();
            assert!(e.contains(why) && e.contains("smtp://user"), "{url}: {e}");
        }
        let e = Mailer::smtp("smtp://mail", "not an address", None)
            .unwrap_err()
            .to_string();
        assert!(e.contains("\"not an address\""), "{e}");
        let e = Mailer::smtp("smtps://mail", "a@example.com", Some(b"junk")).unwrap_err();
        assert!(matches!(e, MailSettingError::Authority(_)), "{e:?}");
    }

    #[tokio::test]
    async fn a_password_is_not_in_debug_output_and_is_decoded() {
        let m = Mailer::smtp(
            "smtp://anna:s%3Acret%40@mail.example",
            "Andon <andon@example.com>",
            None,
        )
        .unwrap();
        assert_eq!(m.domain(), "example.com");
        assert!(!format!("{m:?}").contains("cret"), "{m:?}");
        for (text, want) in [
            ("s%3Acret%40", "s:cret@"),
            ("100%", "100%"),
            ("%zz", "%zz"),
            ("%C3%A4", "ä"),
            ("%ä", "%ä"),
        ] {
            assert_eq!(decoded(text), want);
        }
    }

    #[test]
    fn a_folder_shows_whole_files_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("outbox").join("a.eml");
        write_whole(&path, b"first").unwrap();
        write_whole(&path, b"second").unwrap();
        let names: Vec<_> = std::fs::read_dir(path.parent().unwrap())
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        assert_eq!(names, ["a.eml"]);
        assert_eq!(std::fs::read(&path).unwrap(), b"second");
    }
}
