//! Playing: a scenario against a server, then the oracle; and the plant, for as long as one likes.

use crate::draft::{Draft, ndjson};
use crate::ledger::Ledger;
use crate::oracle::api::Dashboard;
use crate::oracle::{Finding, Totals, Verdict, gather, judge_incidents, judge_labels, judge_records, judge_repeats};
use crate::plant::{Plant, TimeMap};
use crate::scenarios::{Label, Scenario, Step};
use crate::sender::{KEY_WITHIN, Patience, Post, Sender};
use andon_engine::time::Clock;
use bytes::Bytes;
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Records of one request of the plant at most.
const PLANT_BATCH: usize = 400;
/// The throttle's window and some: by then a digest must have gone out.
const DIGEST_WITHIN: Duration = Duration::from_secs(330);
/// Well before the digest.
const AT_ONCE_WITHIN: Duration = Duration::from_secs(120);

/// Where to play and where to look.
#[derive(Clone, Debug)]
pub struct Stage {
    pub url: String,
    pub dashboard: String,
    /// Of scopes ingest and read.
    pub key: String,
    pub outbox: Option<PathBuf>,
    /// How long the server may take from the last acknowledgement until everything is to be seen.
    pub settle: Duration,
}

/// Plays a scenario and judges what came of it.
pub async fn scenario(stage: &Stage, scenario: &Scenario) -> anyhow::Result<Verdict> {
    let sender = Sender::new(&stage.url, &stage.key, Ledger::in_memory(), Patience::default())?;
    let dashboard = Dashboard::new(&stage.dashboard, &stage.key)?;
    sender.await_key(KEY_WITHIN).await?;
    let (totals, answers) = deliver(scenario, &sender).await?;
    let deadline = Instant::now() + stage.settle;
    let mut findings = loop {
        let settled = gather::settled(&dashboard, deadline).await;
        let mut findings = vec![caught_up(settled)];
        findings.extend(look(stage, scenario, &sender, &dashboard, totals).await?);
        // What is missing may still come, although no sink says that it lags; what is right when all has settled is right.
        if findings.iter().all(|f| f.ok) || Instant::now() >= deadline {
            break findings;
        }
    };
    findings.insert(0, answers);
    findings.extend(mail_findings(stage, scenario).await?);
    Ok(Verdict::new(format!("{}: {}", scenario.name, scenario.goal), findings))
}

/// Whether the server had done all its work in time.
pub fn caught_up(settled: Result<(), String>) -> Finding {
    Finding {
        check: "the server caught up".into(),
        ok: settled.is_ok(),
        detail: settled
            .err()
            .map_or_else(|| "every sink is done".into(), |last| format!("not in time: {last}")),
        examples: Vec::new(),
    }
}

async fn look(
    stage: &Stage,
    scenario: &Scenario,
    sender: &Sender,
    dashboard: &Dashboard,
    totals: Totals,
) -> anyhow::Result<Vec<Finding>> {
    let stored = gather::records(dashboard, &[("source", &scenario.source)]).await?;
    let raised = gather::incidents(dashboard, &scenario.labels).await?;
    let prefix = format!("{}-", scenario.source);
    let mut findings = sender.with_ledger(|l| judge_records(l.fates(), &BTreeSet::new(), &stored));
    findings.extend(judge_labels(&scenario.labels, totals, &stored));
    findings.extend(judge_incidents(&scenario.labels, &prefix, &raised));
    if let Some(outbox) = &stage.outbox {
        findings.push(judge_repeats(&crate::oracle::mail::read_outbox(outbox)?, 0));
    }
    Ok(findings)
}

/// Sends every step in order and compares each answer with what the step expects.
pub async fn deliver(scenario: &Scenario, sender: &Sender) -> anyhow::Result<(Totals, Finding)> {
    let (mut totals, mut wrong) = (Totals::default(), Vec::new());
    for step in &scenario.steps {
        let post = Post {
            body: step.body.clone(),
            content_type: step.content_type,
            history: step.history,
            ids: step.ids.clone(),
        };
        let answer = sender.post(&post).await?;
        totals.accepted += answer.accepted;
        totals.duplicates += answer.duplicates;
        totals.rejected += answer.rejected.len() as u64;
        totals.uncertain += u64::from(answer.uncertain);
        let Step { expect, what, .. } = step;
        let got = (
            answer.status,
            answer.accepted,
            answer.duplicates,
            answer.rejected.len() as u64,
        );
        let want = (expect.status, expect.accepted, expect.duplicates, expect.rejected);
        if got != want && !(answer.uncertain && got.0 == want.0 && got.1 + got.2 == want.1 + want.2) {
            let reasons: Vec<&str> = answer.rejected.iter().map(|r| r.reason.as_str()).take(3).collect();
            wrong.push(format!(
                "{what}: status, accepted, duplicates, rejected are {got:?}, expected {want:?} {} {}",
                answer.text,
                reasons.join("; ")
            ));
        }
    }
    Ok((
        totals,
        Finding::none(
            "each request is answered as it should be",
            format!("{} requests", scenario.steps.len()),
            wrong,
        ),
    ))
}

async fn mail_findings(stage: &Stage, scenario: &Scenario) -> anyhow::Result<Vec<Finding>> {
    let mut out = Vec::new();
    for label in &scenario.labels {
        let Label::Mail {
            subject,
            at_once,
            digest_records,
        } = label
        else {
            continue;
        };
        let Some(outbox) = &stage.outbox else {
            out.push(Finding {
                check: "e-mails".into(),
                ok: false,
                detail: "this scenario needs --outbox".into(),
                examples: Vec::new(),
            });
            continue;
        };
        let of = |mails: &[crate::oracle::mail::Mail], digest: bool| {
            mails
                .iter()
                .filter(|m| m.mentions(subject) && m.is_digest() == digest)
                .count() as u64
        };
        let soon = Instant::now() + AT_ONCE_WITHIN;
        let mails = gather::mails(outbox, soon, |m| of(m, false) >= *at_once).await?;
        out.push(Finding {
            check: "told at once".into(),
            ok: of(&mails, false) == *at_once && of(&mails, true) == 0,
            detail: format!("{} e-mails of {subject}, expected {at_once}", of(&mails, false)),
            examples: Vec::new(),
        });
        let later = Instant::now() + DIGEST_WITHIN;
        let mails = gather::mails(outbox, later, |m| of(m, true) > 0).await?;
        let digests: Vec<_> = mails.iter().filter(|m| m.is_digest() && m.mentions(subject)).collect();
        let counts = digests.iter().any(|m| m.gives_number(*digest_records));
        out.push(Finding {
            check: "one digest that counts the rest".into(),
            ok: digests.len() == 1 && counts && of(&mails, false) == *at_once,
            detail: format!(
                "{} digests, {digest_records} named: {counts}; {} e-mails by themselves",
                digests.len(),
                of(&mails, false)
            ),
            examples: digests.iter().map(|m| m.subject.clone()).take(3).collect(),
        });
    }
    Ok(out)
}

/// How the plant is to run.
#[derive(Clone, Debug)]
pub struct PlantRun {
    pub url: String,
    pub key: String,
    pub seed: u64,
    /// Records a second; `None`: the plant's natural rate, in real time.
    pub rate: Option<f64>,
    /// `None`: until interrupted.
    pub seconds: Option<u64>,
    pub tag: String,
    pub stories: bool,
}

/// What a run of the plant came to.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct PlantReport {
    pub records: u64,
    pub accepted: u64,
    pub duplicates: u64,
    pub rejected: u64,
    pub refused_requests: u64,
}

/// Streams the plant in time with the clock until its end or until `stop` is done.
pub async fn plant(
    run: &PlantRun,
    clock: &Arc<dyn Clock>,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<PlantReport> {
    let sender = Sender::new(&run.url, &run.key, Ledger::in_memory(), Patience::default())?;
    sender.await_key(KEY_WITHIN).await?;
    let origin = clock.now();
    let speed = run.rate.map_or(1.0, |r| r / Plant::natural_rate());
    let map = TimeMap { origin, speed };
    let end = run
        .seconds
        .map(|s| origin.plus(andon_engine::time::Span::secs(s as i64)));
    let bar = progress(run.seconds);
    let mut report = PlantReport {
        records: 0,
        accepted: 0,
        duplicates: 0,
        rejected: 0,
        refused_requests: 0,
    };
    let mut stream = Plant::new(run.seed, map, &format!("plant-{}", run.tag), run.stories).peekable();
    tokio::pin!(stop);
    loop {
        let now = clock.now();
        let mut drafts = Vec::new();
        while drafts.len() < PLANT_BATCH
            && let Some(e) = stream.next_if(|e| e.due <= now && end.is_none_or(|end| e.due < end))
        {
            drafts.push(e.draft);
        }
        if drafts.is_empty() {
            let Some(next) = stream
                .peek()
                .map(|e| e.due)
                .filter(|due| end.is_none_or(|end| *due < end))
            else {
                break;
            };
            tokio::select! {
                () = tokio::time::sleep(next.since(now).to_std()) => continue,
                () = &mut stop => break,
            }
        }
        let lines: Vec<Bytes> = drafts.iter().map(Draft::line).collect();
        // The ledger would grow without end; the plant keeps no books.
        let post = Post {
            body: ndjson(lines.iter().map(|l| &l[..])),
            content_type: "application/x-ndjson",
            history: false,
            ids: Vec::new(),
        };
        let answer = tokio::select! {
            answer = sender.post(&post) => answer?,
            () = &mut stop => break,
        };
        match answer.status {
            202 => {}
            401 | 403 => anyhow::bail!("the server refused the key: {}", answer.text),
            _ => report.refused_requests += 1,
        }
        report.records += drafts.len() as u64;
        report.accepted += answer.accepted;
        report.duplicates += answer.duplicates;
        report.rejected += answer.rejected.len() as u64;
        bar.set_position(clock.now().since(origin).to_std().as_secs());
        bar.set_message(format!(
            "{} records, {} accepted, {} twice, {} rejected",
            report.records, report.accepted, report.duplicates, report.rejected
        ));
    }
    bar.finish_and_clear();
    Ok(report)
}

/// A bar with an end, or a line that counts seconds. Draws nothing where standard error is no terminal.
pub fn progress(seconds: Option<u64>) -> ProgressBar {
    let (bar, template) = match seconds {
        Some(s) => (ProgressBar::new(s), "{bar:30} {pos}/{len} s  {msg}"),
        None => (ProgressBar::no_length(), "{spinner} {pos} s  {msg}"),
    };
    bar.with_style(ProgressStyle::with_template(template).expect("a template of our own"))
}
