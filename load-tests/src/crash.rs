//! `kill -9` at random moments under load. After the last restart every acknowledged record must be found once, no incident doubled,
//! and no e-mail for an incident sent twice but where the crash fell between sending it and noting that it was sent.

use crate::clock::run_tag;
use crate::ledger::{Fate, Ledger};
use crate::look::{Places, look};
use crate::oracle::api::Dashboard;
use crate::oracle::{Finding, Verdict, gather};
use crate::play::caught_up;
use crate::sender::{KEY_WITHIN, Patience, Sender};
use crate::server::{Form, Launch, Server, StoreUrls, mailed_at_once};
use crate::workload::{self, Pace, Workload};
use andon_engine::time::Clock;
use anyhow::{Context as _, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::Serialize;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Requests on their way at once.
const WORKERS: usize = 4;
/// The share of kills that fall into the start, before the server says that it is ready.
const EARLY_SHARE: f64 = 0.2;
/// How long the server may take, after the last restart, until everything is to be seen: what the e-mail throttle held comes when its
/// window of 5 min is over.
const SETTLE: Duration = Duration::from_secs(390);

#[derive(Clone, Debug)]
pub struct Plan {
    pub binary: PathBuf,
    pub rounds: u32,
    pub seed: u64,
    pub data_dir: Option<PathBuf>,
    /// Where the stores are; they must be empty.
    pub stores: StoreUrls,
    pub form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Round {
    /// Killed while it started, before it was ready.
    pub while_starting: bool,
    /// From its start until it was ready; `None` where it was killed before.
    pub ready_after_ms: Option<u64>,
    pub killed_after_ms: u64,
    /// Records acknowledged since the run began.
    pub acknowledged: usize,
}

#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub seed: u64,
    pub rounds: Vec<Round>,
    /// E-mails that a crash sent a second time, with the same Message-ID.
    pub mails_repeated: usize,
    pub verdict: Verdict,
}

pub async fn run(plan: &Plan, clock: &Arc<dyn Clock>) -> anyhow::Result<Report> {
    let temporary = tempfile::tempdir().context("cannot make a temporary folder")?;
    let data = plan.data_dir.clone().unwrap_or_else(|| temporary.path().join("data"));
    let used = std::fs::read_dir(&data).is_ok_and(|mut entries| entries.next().is_some());
    ensure!(
        !used,
        "{} is not empty: the oracle would find records that this run did not send",
        data.display()
    );
    let mut rng = StdRng::seed_from_u64(plan.seed);
    let config = temporary.path().join("andon.toml");
    std::fs::write(&config, mailed_at_once()).context("cannot write the configuration")?;
    let launch = Launch {
        binary: plan.binary.clone(),
        data: data.clone(),
        form: plan.form,
        stores: plan.stores.clone(),
        config: Some(config),
    };
    let mut server = Server::start(&launch, None).await?;
    let addresses = server.ready().await?;
    let key = server.create_key().await?;
    let patience = Patience {
        attempt: Duration::from_secs(10),
        backoff: Duration::from_millis(20),
        backoff_max: Duration::from_millis(250),
        total: Duration::from_secs(300),
    };
    let sender = Sender::new(&addresses.ingest, &key, Ledger::in_memory(), patience)?;
    sender.await_key(KEY_WITHIN).await?;
    let workload = Arc::new(Workload::new(
        format!("crash-{}", run_tag(clock.now())),
        plan.seed,
        Pace::default(),
    ));
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..WORKERS {
        workers.spawn(workload::work(workload.clone(), sender.clone(), clock.clone()));
    }
    let bar = ProgressBar::new(plan.rounds.into())
        .with_style(ProgressStyle::with_template("{bar:30} {pos}/{len} kills  {msg}").expect("a template of our own"));
    let mut rounds = Vec::new();
    let mut started = Instant::now();
    let mut ready_after = Some(Duration::ZERO);
    for _ in 0..plan.rounds {
        let early = ready_after.is_none();
        let wait = if early {
            rng.random_range(5..250)
        } else {
            rng.random_range(50..1_800)
        };
        tokio::time::sleep(Duration::from_millis(wait)).await;
        if let Some(done) = workers.try_join_next() {
            done.context("a worker ended badly")??;
        }
        // Of several services sometimes one goes alone, sometimes all go together.
        let alone = plan.form != Form::Up && rng.random_bool(0.6);
        if !alone {
            server.kill().await?;
        } else if plan.form == Form::Services || rng.random_bool(0.5) || !server.kill_notifier().await? {
            server.kill_ingest().await?;
        }
        let acknowledged = sender.with_ledger(|l| l.count(Fate::Acknowledged));
        rounds.push(Round {
            while_starting: early,
            ready_after_ms: ready_after.map(|d| d.as_millis() as u64),
            killed_after_ms: started.elapsed().as_millis() as u64,
            acknowledged,
        });
        bar.inc(1);
        bar.set_message(format!("{acknowledged} acknowledged"));
        server.start_again().await?;
        started = Instant::now();
        // The last start must come through; of the others some are killed on their way.
        let last = rounds.len() == plan.rounds as usize;
        ready_after = None;
        if last || !rng.random_bool(EARLY_SHARE) {
            server
                .ready()
                .await
                .with_context(|| format!("after kill {} of seed {}", rounds.len(), plan.seed))?;
            ready_after = Some(started.elapsed());
        }
    }
    bar.set_message("finishing what was begun");
    workload.finish();
    while let Some(done) = workers.join_next().await {
        done.context("a worker ended badly")??;
    }
    bar.set_message("waiting until everything is to be seen");
    let places = Places {
        dashboard: &Dashboard::new(&addresses.dashboard, &key)?,
        outbox: &data.join("outbox"),
        postgres_url: plan.stores.postgres.as_deref(),
    };
    let (findings, mails_repeated) = judge(&sender, &workload, &places, plan.rounds as usize).await?;
    bar.finish_and_clear();
    server.kill().await?;
    let name = format!("kill -9, {} rounds, seed {}", plan.rounds, plan.seed);
    Ok(Report {
        seed: plan.seed,
        rounds,
        mails_repeated,
        verdict: Verdict::new(name, findings),
    })
}

/// Looks until all is as it must be, or time is up; gives the findings and how many e-mails a crash sent again.
async fn judge(
    sender: &Sender,
    workload: &Workload,
    places: &Places<'_>,
    kills: usize,
) -> anyhow::Result<(Vec<Finding>, usize)> {
    let deadline = Instant::now() + SETTLE;
    loop {
        let settled = gather::settled(places.dashboard, deadline).await;
        let look = look(sender, workload, places, kills).await?;
        let mut findings = vec![caught_up(settled)];
        findings.extend(look.findings);
        if findings.iter().all(|f| f.ok) || Instant::now() >= deadline {
            return Ok((findings, look.mails_repeated));
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:>5}  {:<9} {:>10} {:>10} {:>13}",
            "kill", "while", "ready ms", "killed ms", "acknowledged"
        )?;
        for (i, r) in self.rounds.iter().enumerate() {
            let phase = if r.while_starting { "starting" } else { "running" };
            let ready = r.ready_after_ms.map_or_else(|| "-".to_owned(), |ms| ms.to_string());
            writeln!(
                f,
                "{:>5}  {phase:<9} {ready:>10} {:>10} {:>13}",
                i + 1,
                r.killed_after_ms,
                r.acknowledged
            )?;
        }
        write!(
            f,
            "e-mails sent again by a crash: {}\n{}",
            self.mails_repeated, self.verdict
        )
    }
}
