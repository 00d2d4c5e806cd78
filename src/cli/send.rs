//! `andon send`: records from a file or standard input to an Andon server.
//!
//! Every record gets an id made from its place and its bytes, so that whatever is sent again after a lost answer, an interrupted run or
//! a `--state` file that is one step behind is recognised and stored once. The server remembers ids for ten minutes; giving up comes
//! before that.
//!
//! Exit codes: 0 all accepted (or known already), 1 some rejected, 2 usage, 69 the server cannot be reached or does not take records,
//! 74 the input or the state file cannot be read or written, 77 the key was refused.

mod delivery;
mod input;
mod numbers;
mod resume;
mod rows;
mod shape;
mod stamp;

pub(crate) use delivery::{client, describe};

use crate::exit;
use andon_engine::limits::KEY_BYTES_MAX;
use clap::{Args, ValueEnum};
use delivery::{Delivery, Sent};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use input::Item;
use resume::State;
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Rejected records named by line; the rest are counted.
const NAMED_MAX: usize = 20;
/// A body is sent when it has this many bytes, however few records: half of what the server takes.
const BODY_BYTES: usize = 8 << 20;
/// Items between the reading thread and the sender.
const QUEUE: usize = 1_024;
/// A pipe that says nothing for this long is no reason to hold back what it said before.
const FLUSH_AFTER: Duration = Duration::from_millis(200);

#[derive(Debug, Args)]
pub struct SendArgs {
    /// NDJSON (one record a line), or CSV with --csv. `-` is standard input.
    pub file: PathBuf,
    /// Root of the ingest service.
    #[arg(long, env = "ANDON_URL", default_value = "http://127.0.0.1:7400")]
    pub url: String,
    /// A key of scope ingest.
    #[arg(long, env = "ANDON_KEY", hide_env_values = true)]
    pub key: String,
    /// The input is CSV with a header line.
    #[arg(long)]
    pub csv: bool,
    /// What separates the columns; `tab` for a tabulator. Without it a first line such as `sep=;` says it, or else it is a comma.
    #[arg(long, requires = "csv", value_parser = shape::delimiter)]
    pub delimiter: Option<u8>,
    /// Numbers are written with a comma, and dots or blanks group their digits: 1.234,5. Without it a comma is understood where the
    /// columns are separated by semicolons.
    #[arg(long, requires = "csv")]
    pub decimal_comma: bool,
    /// The column of the time stamp. Without it the time of receipt is taken.
    #[arg(long, requires = "csv", value_name = "COLUMN")]
    pub time_column: Option<String>,
    /// How stamps are written, as for strptime: "%d.%m.%Y %H:%M:%S". Without it ISO 8601, RFC 3339 and epoch numbers are understood.
    #[arg(long, value_name = "FORMAT")]
    pub time_format: Option<String>,
    /// IANA zone of stamps without an offset: Europe/Berlin, UTC. A local time that occurs twice is the occurrence that is nearest to the
    /// record before it (the first, if it is the first record); one that the zone skips is moved on by the length of the gap.
    #[arg(long, value_name = "ZONE", value_parser = stamp::zone)]
    pub time_zone: Option<jiff::tz::TimeZone>,
    /// A reading and its column: temperature=value. Repeatable.
    #[arg(long = "reading", requires = "csv", value_name = "NAME=COLUMN", value_parser = shape::pair)]
    pub readings: Vec<(String, String)>,
    /// A field and its column. Repeatable.
    #[arg(long = "field", requires = "csv", value_name = "NAME=COLUMN", value_parser = shape::pair)]
    pub fields: Vec<(String, String)>,
    /// The device of records that name none.
    #[arg(long, value_parser = name)]
    pub device: Option<String>,
    /// The application of records that name none.
    #[arg(long, value_parser = name)]
    pub application: Option<String>,
    /// The column of the device; an empty cell is --device.
    #[arg(long, requires = "csv", value_name = "COLUMN")]
    pub device_column: Option<String>,
    #[arg(long, requires = "csv", value_name = "COLUMN")]
    pub level_column: Option<String>,
    #[arg(long, requires = "csv", value_name = "COLUMN")]
    pub message_column: Option<String>,
    /// The records are history: stored and judged, and nobody is told.
    #[arg(long)]
    pub history: bool,
    /// Records of one request.
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    pub batch: u32,
    /// How bodies are compressed.
    #[arg(long, value_enum, default_value_t = Compression::None)]
    pub compress: Compression,
    /// Keeps the place reached in this file and goes on from there the next time.
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,
    /// Seconds to go on trying while the server cannot be reached or asks to wait. Stays below the ten minutes that it remembers ids for.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=540))]
    pub give_up_after: u64,
    /// One JSON object at the end instead of text.
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Compression {
    None,
    Gzip,
    Zstd,
}

fn name(text: &str) -> Result<String, String> {
    match text.len() {
        1..=KEY_BYTES_MAX => Ok(text.to_owned()),
        n => Err(format!("must be of 1 to {KEY_BYTES_MAX} bytes, not {n}")),
    }
}

/// What a run came to.
#[derive(Debug, Default, Serialize)]
pub struct Summary {
    /// Records read, those that could not be sent included.
    pub records: u64,
    pub accepted: u64,
    /// Known to the server already: sent before with the same id.
    pub duplicates: u64,
    pub rejected: u64,
    /// The first of the rejected.
    pub rejections: Vec<Rejection>,
    /// Records before the place that `--state` named.
    pub skipped: u64,
    /// Local times that occurred twice, and such that the zone skips.
    pub ambiguous_stamps: u64,
    pub skipped_stamps: u64,
    pub retries: u64,
    pub bytes: u64,
    pub seconds: f64,
}

#[derive(Debug, Serialize)]
pub struct Rejection {
    pub line: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    pub reason: String,
}

impl Summary {
    fn reject(&mut self, line: u64, field: Option<String>, reason: String) {
        self.rejected += 1;
        if self.rejections.len() < NAMED_MAX {
            self.rejections.push(Rejection { line, field, reason });
        }
    }
}

pub async fn run(args: SendArgs) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let plan = shape::Shape::of(&args);
    let (state, reader) = open(&args)?;
    let bar = bar(reader.length);
    let mut summary = Summary::default();
    let (to_sender, mut items) = mpsc::channel::<anyhow::Result<Item>>(QUEUE);
    let resume_after = state.as_ref().map_or(0, State::line);
    // Ends with its input, or with the first item that nobody takes any more.
    std::thread::spawn(move || reader.run(plan, resume_after, &to_sender));
    let patience = Duration::from_secs(args.give_up_after);
    let delivery = Delivery::new(&args.url, &args.key, args.history, args.compress, patience)?;
    let outcome = pump(&mut items, &delivery, state, args.batch as usize, &bar, &mut summary).await;
    summary.seconds = started.elapsed().as_secs_f64();
    bar.finish_and_clear();
    report(&summary, args.json)?;
    outcome?;
    Ok(if summary.rejected > 0 {
        exit::FAILED.into()
    } else {
        ExitCode::SUCCESS
    })
}

fn open(args: &SendArgs) -> anyhow::Result<(Option<State>, input::Reader)> {
    let reader = input::Reader::open(&args.file, args.state.is_some()).map_err(exit::io)?;
    let state = match &args.state {
        Some(path) => Some(State::open(path, &reader.head, &reader.name).map_err(exit::io)?),
        None => None,
    };
    Ok((state, reader))
}

/// Batch after batch, in the order of the input: what the state file names is then always a place up to which all is answered.
async fn pump(
    items: &mut mpsc::Receiver<anyhow::Result<Item>>,
    delivery: &Delivery,
    mut state: Option<State>,
    batch: usize,
    bar: &ProgressBar,
    summary: &mut Summary,
) -> anyhow::Result<()> {
    let mut open = true;
    while open {
        let mut records: Vec<input::Line> = Vec::new();
        let (mut bytes, mut reached) = (0, None);
        let mut failed = None;
        while records.len() < batch && bytes < BODY_BYTES {
            // The first may take as long as it likes.
            let next = if reached.is_none() {
                Some(items.recv().await)
            } else {
                tokio::time::timeout(FLUSH_AFTER, items.recv()).await.ok()
            };
            match next {
                Some(Some(Ok(item))) => {
                    reached = Some((item.line, item.end));
                    summary.ambiguous_stamps += u64::from(item.ambiguous);
                    summary.skipped_stamps += u64::from(item.skipped_stamp);
                    match item.what {
                        input::What::Skipped => summary.skipped += 1,
                        input::What::Record(json) => {
                            summary.records += 1;
                            bytes += json.len() + 1;
                            records.push(input::Line { line: item.line, json });
                        }
                        input::What::Unusable { field, reason } => {
                            summary.records += 1;
                            summary.reject(item.line, field, reason);
                        }
                    }
                }
                Some(Some(Err(e))) => {
                    failed = Some(e);
                    break;
                }
                Some(None) => {
                    open = false;
                    break;
                }
                None => break,
            }
        }
        if !records.is_empty() {
            deliver(delivery, records, summary).await?;
        }
        if let Some((line, end)) = reached {
            if let Some(state) = &mut state {
                state.advance(line, end).map_err(exit::io)?;
            }
            bar.set_position(end);
            bar.set_message(format!(
                "{} accepted, {} rejected",
                HumanCount(summary.accepted),
                HumanCount(summary.rejected)
            ));
        }
        if let Some(e) = failed {
            return Err(e);
        }
    }
    Ok(())
}

/// One batch; in halves where the server finds it too large as a whole.
async fn deliver(delivery: &Delivery, records: Vec<input::Line>, summary: &mut Summary) -> anyhow::Result<()> {
    let mut waiting = vec![records];
    while let Some(mut part) = waiting.pop() {
        let lines: Vec<&[u8]> = part.iter().map(|l| &l.json[..]).collect();
        let (sent, retries) = delivery.post(&lines).await?;
        summary.retries += retries;
        match sent {
            Sent::Taken(answer) => {
                summary.bytes += lines.iter().map(|l| l.len() as u64 + 1).sum::<u64>();
                summary.accepted += answer.accepted;
                summary.duplicates += answer.duplicates;
                let named = answer.rejected.len() as u64;
                for r in answer.rejected {
                    // An index that we did not send is counted all the same, under the first line of the request.
                    let line = part.get(r.index as usize).or(part.first()).map_or(0, |l| l.line);
                    summary.reject(line, r.field, r.reason);
                }
                // The server names a hundred at most.
                summary.rejected += (part.len() as u64).saturating_sub(answer.accepted + answer.duplicates + named);
            }
            Sent::TooLarge(reason) if part.len() == 1 => summary.reject(part[0].line, None, reason),
            Sent::TooLarge(_) => {
                let rest = part.split_off(part.len() / 2);
                waiting.push(rest);
                waiting.push(part);
            }
            Sent::NoneAcceptable(reason) => {
                part.iter().for_each(|l| summary.reject(l.line, None, reason.clone()));
            }
        }
    }
    Ok(())
}

fn bar(length: Option<u64>) -> ProgressBar {
    let (bar, template) = match length {
        Some(n) => (ProgressBar::new(n), "{bar:30} {bytes}/{total_bytes} {eta}  {msg}"),
        None => (ProgressBar::no_length(), "{spinner} {bytes}  {msg}"),
    };
    bar.with_style(ProgressStyle::with_template(template).expect("a template of our own"))
}

fn report(s: &Summary, json: bool) -> anyhow::Result<()> {
    if json {
        println!("{}", serde_json::to_string(s)?);
        return Ok(());
    }
    for r in &s.rejections {
        match &r.field {
            Some(field) => eprintln!("line {}: {field}: {}", r.line, r.reason),
            None => eprintln!("line {}: {}", r.line, r.reason),
        }
    }
    let unnamed = s.rejected - s.rejections.len() as u64;
    if unnamed > 0 {
        eprintln!("and {} more", HumanCount(unnamed));
    }
    println!(
        "{} records: {} accepted, {} known already, {} rejected, in {:.1} s",
        HumanCount(s.records),
        HumanCount(s.accepted),
        HumanCount(s.duplicates),
        HumanCount(s.rejected),
        s.seconds
    );
    if s.skipped > 0 {
        println!(
            "{} before the place in the state file were left out",
            HumanCount(s.skipped)
        );
    }
    if s.ambiguous_stamps + s.skipped_stamps > 0 {
        println!(
            "{} stamps lie in an hour that occurs twice in this zone, {} in one that it skips: see --time-zone",
            HumanCount(s.ambiguous_stamps),
            HumanCount(s.skipped_stamps)
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests;
