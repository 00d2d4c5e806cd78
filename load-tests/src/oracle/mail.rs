//! E-mails as the outbox folder holds them: enough of MIME to read what Andon writes.

use anyhow::Context as _;
use std::path::Path;

/// A larger file is not an e-mail of ours.
const MAIL_BYTES_MAX: u64 = 4 << 20;
/// Parts within parts.
const DEPTH_MAX: usize = 8;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    pub message_id: String,
    pub to: String,
    pub subject: String,
    /// All text parts, decoded, one after another.
    pub text: String,
    /// `X-Andon-Kind`: alert, digest or summary. Empty on what is about Andon itself.
    pub kind: String,
}

impl Mail {
    pub fn mentions(&self, what: &str) -> bool {
        self.subject.contains(what) || self.text.contains(what)
    }

    /// A digest tells what was held back, so what it names may have been told before.
    pub fn is_digest(&self) -> bool {
        self.kind == "digest"
    }

    /// Does a number stand in the text by itself, not as a part of a longer one?
    pub fn gives_number(&self, n: u64) -> bool {
        let n = n.to_string();
        let whole = |s: &str| s.split(|c: char| !c.is_ascii_digit()).any(|run| run == n);
        whole(&self.text) || whole(&self.subject)
    }
}

/// Every `.eml` file of a folder; none when there is no folder yet.
pub fn read_outbox(dir: &Path) -> anyhow::Result<Vec<Mail>> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e).with_context(|| format!("cannot read the outbox {}", dir.display())),
    };
    let mut paths: Vec<_> = entries
        .filter_map(|e| Some(e.ok()?.path()))
        .filter(|p| p.extension().is_some_and(|x| x == "eml"))
        .collect();
    paths.sort();
    paths
        .iter()
        .map(|path| {
            let size = std::fs::metadata(path)?.len();
            anyhow::ensure!(
                size <= MAIL_BYTES_MAX,
                "{} has {size} bytes: not an e-mail of Andon",
                path.display()
            );
            parse(&std::fs::read(path)?).with_context(|| format!("{} is not an e-mail", path.display()))
        })
        .collect()
}

/// Reads one message. Errors when it has no Message-ID.
pub fn parse(bytes: &[u8]) -> anyhow::Result<Mail> {
    let raw = String::from_utf8_lossy(bytes).replace("\r\n", "\n");
    let (headers, body) = split(&raw);
    let message_id = header(&headers, "message-id").context("no Message-ID")?.to_owned();
    let mut text = String::new();
    collect(&headers, body, 0, &mut text);
    Ok(Mail {
        message_id,
        to: header(&headers, "to").unwrap_or_default().to_owned(),
        subject: encoded_words(header(&headers, "subject").unwrap_or_default()),
        text,
        kind: header(&headers, "x-andon-kind")
            .unwrap_or_default()
            .to_ascii_lowercase(),
    })
}

/// Headers by lower-case name with folded lines joined, and the body.
fn split(raw: &str) -> (Vec<(String, String)>, &str) {
    let (head, body) = raw.split_once("\n\n").unwrap_or((raw, ""));
    let mut headers: Vec<(String, String)> = Vec::new();
    for line in head.lines() {
        match (line.starts_with([' ', '\t']), headers.last_mut()) {
            (true, Some((_, value))) => {
                value.push(' ');
                value.push_str(line.trim());
            }
            _ => {
                if let Some((name, value)) = line.split_once(':') {
                    headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
                }
            }
        }
    }
    (headers, body)
}

fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
}

fn collect(headers: &[(String, String)], body: &str, depth: usize, out: &mut String) {
    let kind = header(headers, "content-type").unwrap_or("text/plain");
    if let (Some(boundary), true) = (boundary(kind), depth < DEPTH_MAX) {
        // What stands before the first delimiter and after the closing one is no part.
        for part in body
            .split(&format!("--{boundary}"))
            .skip(1)
            .take_while(|p| !p.starts_with("--"))
        {
            let (headers, body) = split(part.trim_start_matches('\n'));
            collect(&headers, body, depth + 1, out);
        }
    } else if kind.to_ascii_lowercase().starts_with("text/") {
        let bytes = match header(headers, "content-transfer-encoding")
            .map(str::to_ascii_lowercase)
            .as_deref()
        {
            Some("base64") => base64(body),
            Some("quoted-printable") => quoted_printable(body),
            _ => body.as_bytes().to_vec(),
        };
        out.push_str(&String::from_utf8_lossy(&bytes));
        out.push('\n');
    }
}

fn boundary(content_type: &str) -> Option<&str> {
    if !content_type.to_ascii_lowercase().starts_with("multipart/") {
        return None;
    }
    let at = content_type.to_ascii_lowercase().find("boundary=")? + "boundary=".len();
    let rest = &content_type[at..];
    let value = match rest.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next()?,
        None => rest.split([';', ' ']).next()?,
    };
    (!value.is_empty()).then_some(value)
}

fn quoted_printable(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        if b != b'=' {
            out.push(b);
            continue;
        }
        // `=` at the end of a line joins it with the next.
        let Some(high) = bytes.next() else { break };
        if high == b'\n' {
            continue;
        }
        let low = bytes.next().unwrap_or(b'0');
        let digit = |b: u8| char::from(b).to_digit(16);
        match (digit(high), digit(low)) {
            (Some(h), Some(l)) => out.push((h * 16 + l) as u8),
            _ => out.extend_from_slice(&[b, high, low]),
        }
    }
    out
}

fn base64(text: &str) -> Vec<u8> {
    let (mut out, mut buffer, mut bits) = (Vec::new(), 0u32, 0);
    for b in text.bytes() {
        let value = match b {
            b'A'..=b'Z' => b - b'A',
            b'a'..=b'z' => b - b'a' + 26,
            b'0'..=b'9' => b - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => continue,
        };
        buffer = (buffer << 6) | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((buffer >> bits) as u8);
            buffer &= (1 << bits) - 1;
        }
    }
    out
}

/// RFC 2047: `=?utf-8?b?…?=` and `=?utf-8?q?…?=`. White space between two encoded words is no part of the text.
fn encoded_words(value: &str) -> String {
    let mut out: Vec<u8> = Vec::new();
    let mut rest = value;
    let mut after_word = false;
    while let Some(at) = rest.find("=?") {
        let (before, word) = rest.split_at(at);
        if !(after_word && before.trim().is_empty()) {
            out.extend_from_slice(before.as_bytes());
        }
        let mut parts = word[2..].splitn(4, '?');
        let (Some(_charset), Some(encoding), Some(text), Some(tail)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            out.extend_from_slice(word.as_bytes());
            return String::from_utf8_lossy(&out).into_owned();
        };
        match encoding {
            "b" | "B" => out.extend(base64(text)),
            _ => out.extend(quoted_printable(&text.replace('_', " "))),
        }
        rest = tail.strip_prefix('=').unwrap_or(tail);
        after_word = true;
    }
    out.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &str = "Message-ID: <n1@andon>\r\nX-Andon-Kind: digest\r\nTo: lead@example.org\r\nSubject: =?utf-8?b?U3TDtnJ1bmc=?= =?utf-8?q?_an?=\r\n \
        Presse\r\nContent-Type: multipart/alternative;\r\n boundary=\"b1\"\r\n\r\npreamble\r\n--b1\r\nContent-Type: text/plain; \
        charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nT=C3=BCr of=\r\nfen, 505 records\r\n--b1\r\nContent-Type: \
        text/html\r\nContent-Transfer-Encoding: base64\r\n\r\nPGI+SGVsbG88L2I+\r\n--b1--\r\nepilogue";

    #[test]
    fn parts_are_decoded_and_headers_unfolded() {
        let m = parse(MESSAGE.as_bytes()).unwrap();
        assert_eq!(
            (m.message_id.as_str(), m.to.as_str(), m.subject.as_str()),
            ("<n1@andon>", "lead@example.org", "Störung an Presse")
        );
        assert!(m.mentions("Tür offen") && m.mentions("<b>Hello</b>"), "{}", m.text);
        assert!(!m.mentions("preamble") && !m.mentions("epilogue"));
        assert!(m.is_digest());
        assert!(m.gives_number(505) && !m.gives_number(50));
    }

    #[test]
    fn bytes_that_are_no_e_mail_are_an_error_and_never_a_panic() {
        assert!(parse(b"hello").is_err());
        for end in 0..MESSAGE.len() {
            let _ = parse(&MESSAGE.as_bytes()[..end]);
        }
        let _ = parse(b"Message-ID: a\nSubject: =?x?q?=F?=\nContent-Type: multipart/x; boundary=\n\n=");
    }

    #[test]
    fn a_folder_that_is_not_there_is_empty() {
        let dir = tempfile::tempdir().unwrap();
        assert!(read_outbox(&dir.path().join("outbox")).unwrap().is_empty());
        std::fs::write(dir.path().join("a.eml"), MESSAGE).unwrap();
        std::fs::write(dir.path().join("a.eml.part"), "half").unwrap();
        assert_eq!(read_outbox(dir.path()).unwrap().len(), 1);
    }
}
