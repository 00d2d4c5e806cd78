//! `andon tail`: follows live records on a terminal, or as NDJSON for programs.
//!
//! Exit codes: 0 ended by the reader of the output, 1 the server refused the filter, 2 usage, 69 the server was never reached,
//! 77 the key was refused. Once it has been connected it goes on trying; Ctrl-C ends it.

use super::send::{client, describe};
use crate::exit;
use andon_engine::level::Level;
use andon_engine::text::plain;
use andon_storage::words::Sought;
use clap::Args;
use reqwest::StatusCode;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

/// The server says something every 10 s, if only an empty line.
const SILENCE_MAX: Duration = Duration::from_secs(30);
const BACKOFF: Duration = Duration::from_millis(500);
const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// A record is at most 256 KiB and JSON may escape each byte to six.
const LINE_BYTES_MAX: usize = 2 << 20;
/// A message on a terminal; `--json` has all of it.
const MESSAGE_CHARS: usize = 2_000;

#[derive(Debug, Args)]
pub struct TailArgs {
    /// Root of the dashboard service.
    #[arg(long, env = "ANDON_DASHBOARD_URL", default_value = "http://127.0.0.1:7401")]
    pub url: String,
    /// A key of scope read.
    #[arg(long, env = "ANDON_KEY", hide_env_values = true)]
    pub key: String,
    #[arg(long)]
    pub application: Option<String>,
    #[arg(long)]
    pub device: Option<String>,
    #[arg(long)]
    pub user: Option<String>,
    /// This type and what is below it: EQ.elec takes EQ.elec.overload.
    #[arg(long = "type", value_name = "PREFIX")]
    pub kind: Option<String>,
    /// This level and above.
    #[arg(long, value_parser = level)]
    pub level: Option<Level>,
    /// Words that the message must all contain.
    #[arg(long)]
    pub text: Option<String>,
    /// Each record as the server writes it, one JSON object a line.
    #[arg(long)]
    pub json: bool,
}

fn level(text: &str) -> Result<Level, String> {
    Level::parse(text).ok_or_else(|| "must be trace, debug, info, warn, error or fatal".into())
}

/// How a connection ended.
enum Ended {
    /// Whoever reads our output has gone.
    NobodyReads,
    Lost(String),
}

pub async fn run(args: TailArgs) -> anyhow::Result<ExitCode> {
    let client = client()?;
    let url = address(&args)?;
    if let Some(Sought::Literal(_)) = args.text.as_deref().map(Sought::of) {
        eprintln!("andon tail: --text has no word: shown is what holds exactly these signs");
    }
    let colour = !args.json && std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let mut pause = BACKOFF;
    let mut connected_before = false;
    loop {
        let mut heard = false;
        let ended = follow(&client, &url, &args.key, |line| {
            if !heard {
                (heard, pause) = (true, BACKOFF);
            }
            write(line, args.json, colour)
        })
        .await?;
        connected_before |= heard;
        match ended {
            Ended::NobodyReads => return Ok(ExitCode::SUCCESS),
            Ended::Lost(why) if !connected_before => {
                return Err(exit::unavailable(format!("{}: {why}", args.url)));
            }
            Ended::Lost(why) => eprintln!("andon tail: {why}; trying again. Records until then are not shown here."),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(BACKOFF_MAX);
    }
}

fn address(args: &TailArgs) -> anyhow::Result<reqwest::Url> {
    let root = format!("{}/tail.ndjson", args.url.trim_end_matches('/'));
    let mut url: reqwest::Url = root
        .parse()
        .map_err(|e| exit::usage(format!("--url: {root:?} is no address: {e}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(exit::usage(format!("--url: {url} is neither http nor https")));
    }
    let filters = [
        ("application", args.application.as_deref()),
        ("device_id", args.device.as_deref()),
        ("user_id", args.user.as_deref()),
        ("type", args.kind.as_deref()),
        ("min_level", args.level.map(Level::as_str)),
        ("text", args.text.as_deref()),
    ];
    for (name, value) in filters {
        if let Some(value) = value {
            url.query_pairs_mut().append_pair(name, value);
        }
    }
    Ok(url)
}

/// One connection, line by line; `each` gives false when nobody reads what it writes. The answer itself counts as heard, as an empty line.
async fn follow(
    client: &reqwest::Client,
    url: &reqwest::Url,
    key: &str,
    mut each: impl FnMut(&[u8]) -> bool,
) -> anyhow::Result<Ended> {
    let request = client.get(url.clone()).bearer_auth(key).send();
    let mut response = match tokio::time::timeout(SILENCE_MAX, request).await {
        Ok(Ok(response)) => response,
        Ok(Err(e)) => return Ok(Ended::Lost(describe(&e))),
        Err(_) => return Ok(Ended::Lost(format!("no answer within {SILENCE_MAX:?}"))),
    };
    let status = response.status();
    if !status.is_success() {
        let words = tokio::time::timeout(SILENCE_MAX, response.chunk())
            .await
            .ok()
            .and_then(Result::ok)
            .flatten()
            .unwrap_or_default();
        let words: String = String::from_utf8_lossy(&words)
            .chars()
            .filter(|c| !c.is_control())
            .take(300)
            .collect();
        return match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(exit::no_permission(format!(
                "the server refuses the key: {status} {words}"
            ))),
            s if s.is_server_error() || s == StatusCode::TOO_MANY_REQUESTS => {
                Ok(Ended::Lost(format!("{status} {words}")))
            }
            _ => anyhow::bail!("{url} answered {status}: {words}"),
        };
    }
    each(b"");
    let mut rest: Vec<u8> = Vec::new();
    loop {
        let chunk = match tokio::time::timeout(SILENCE_MAX, response.chunk()).await {
            Ok(Ok(Some(chunk))) => chunk,
            Ok(Ok(None)) => return Ok(Ended::Lost("the server ended the stream".into())),
            Ok(Err(e)) => return Ok(Ended::Lost(describe(&e))),
            Err(_) => return Ok(Ended::Lost(format!("nothing heard for {SILENCE_MAX:?}"))),
        };
        rest.extend_from_slice(&chunk);
        let mut from = 0;
        while let Some(n) = rest[from..].iter().position(|b| *b == b'\n') {
            if !each(&rest[from..from + n]) {
                return Ok(Ended::NobodyReads);
            }
            from += n + 1;
        }
        rest.drain(..from);
        if rest.len() > LINE_BYTES_MAX {
            return Ok(Ended::Lost(format!(
                "the server sent a line of more than {LINE_BYTES_MAX} bytes"
            )));
        }
    }
}

/// Writes a line of the stream; false when standard output is closed.
fn write(line: &[u8], json: bool, colour: bool) -> bool {
    let line = line.trim_ascii();
    if line.is_empty() {
        return true;
    }
    let mut out = std::io::stdout().lock();
    let written = if json {
        out.write_all(line).and_then(|()| out.write_all(b"\n"))
    } else {
        writeln!(out, "{}", human(line, colour))
    };
    written.and_then(|()| out.flush()).is_ok()
}

/// A record of the stream, as far as a person reads it.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Shown {
    dropped: Option<u64>,
    timestamp: Option<jiff::Timestamp>,
    level: Option<String>,
    application: Option<String>,
    device_id: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    message: Option<String>,
    readings: BTreeMap<String, f64>,
}

fn human(line: &[u8], colour: bool) -> String {
    let Ok(r) = serde_json::from_slice::<Shown>(line) else {
        return printable(&String::from_utf8_lossy(line));
    };
    if let Some(n) = r.dropped {
        return paint(
            &format!("… up to {n} records left out: this terminal is too slow"),
            "33",
            colour,
        );
    }
    let time = r.timestamp.map_or_else(
        || "-".to_owned(),
        |t| {
            t.to_zoned(jiff::tz::TimeZone::system())
                .strftime("%F %T%.3f")
                .to_string()
        },
    );
    let level = r.level.as_deref().unwrap_or("");
    let code = match level {
        "FATAL" => "1;37;41",
        "ERROR" => "1;31",
        "WARN" => "33",
        "DEBUG" | "TRACE" => "2",
        _ => "0",
    };
    let who: Vec<&str> = [&r.application, &r.device_id]
        .into_iter()
        .flatten()
        .map(String::as_str)
        .collect();
    let mut out = format!(
        "{time} {} {}",
        paint(&format!("{level:5}"), code, colour),
        paint(&printable(&who.join("/")), "36", colour)
    );
    if let Some(kind) = &r.kind {
        let _ = write!(out, " {}", paint(&printable(kind), "2", colour));
    }
    if let Some(message) = &r.message {
        let _ = write!(out, " {}", printable(message));
    }
    for (name, value) in &r.readings {
        let _ = write!(out, " {}={value}", printable(name));
    }
    out
}

fn paint(text: &str, code: &str, colour: bool) -> String {
    if colour && code != "0" && !text.trim().is_empty() {
        format!("\x1b[{code}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}

/// What a record says must not steer the terminal: escape sequences and control characters are left out, line feeds indent.
fn printable(text: &str) -> String {
    let mut out = String::new();
    let text = plain(text);
    for c in text.chars().take(MESSAGE_CHARS) {
        match c {
            '\n' => out.push_str("\n    "),
            '\t' => out.push_str("    "),
            '\r' => {}
            // Directional overrides could make a line read as another.
            '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    if text.chars().nth(MESSAGE_CHARS).is_some() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_cannot_steer_the_terminal() {
        let line = br#"{"timestamp":"2026-11-23T02:31:13.000000Z","level":"ERROR","application":"a\u001b[2J","message":"\u001b[31mx\u001b]0;t\u0007\u202ey\u0008\nz"}"#;
        let text = human(line, false);
        assert!(
            !text.contains('\u{1b}') && !text.contains('\u{7}') && !text.contains('\u{202E}'),
            "{text:?}"
        );
        assert!(
            text.contains("ERROR a x\\u{202e}y\n") && text.ends_with("\n    z"),
            "{text:?}"
        );
        assert!(human(line, true).contains("\x1b[1;31mERROR\x1b[0m"));
    }

    #[test]
    fn readings_drops_and_what_is_no_record_are_shown() {
        assert!(
            human(br#"{"device_id":"press-1","readings":{"temperature":81.4}}"#, false)
                .ends_with("press-1 temperature=81.4")
        );
        assert!(human(br#"{"dropped":17}"#, false).contains("17"));
        assert_eq!(human(b"[1]\x1b", false), "[1]");
    }

    #[test]
    fn filters_are_escaped_in_the_address() {
        let args = TailArgs {
            url: "http://127.0.0.1:7401/".into(),
            key: "k".into(),
            application: Some("a&level=x".into()),
            device: None,
            user: None,
            kind: None,
            level: Some(Level::Warn),
            text: Some("belt torn".into()),
            json: false,
        };
        let url = address(&args).unwrap();
        assert_eq!(
            url.as_str(),
            "http://127.0.0.1:7401/tail.ndjson?application=a%26level%3Dx&min_level=WARN&text=belt+torn"
        );
        assert!(
            address(&TailArgs {
                url: "nonsense".into(),
                ..args
            })
            .is_err()
        );
    }
}
