//! Every fault of every store, one after another, under load: ingest must go on, nothing acknowledged may be lost or doubled, nobody told
//! twice, and what was held up must come through by itself.

mod matrix;
pub mod overload;
pub mod proxy;
mod row;
pub mod servers;
mod table;
mod watch;

pub use row::Row;
pub use table::write_into;

use crate::ledger::Fate;
use crate::look::{Look, Places, look};
use crate::oracle::api::Dashboard;
use crate::oracle::{Finding, gather};
use crate::play::caught_up;
use crate::sender::{KEY_WITHIN, Patience, Sender};
use crate::server::{Form, Launch, Server, StoreUrls, mailed_at_once};
use crate::workload::{self, Pace, Workload};
use crate::{clock::run_tag, ledger::Ledger};
use andon_engine::time::Clock;
use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressStyle};
use matrix::{Between, Fault, SPOILED, What};
use serde::Serialize;
use servers::{Kind, Servers};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;
use watch::LagWatch;

/// Requests on their way at once.
const WORKERS: usize = 4;
/// A steady load that a debug build carries with room to catch up: 1,600 records a second.
const BATCH_EVERY: Duration = Duration::from_millis(25);
/// Fatal incidents of one run; whom they go to chose them at once, and up to ten pass the throttle in its window: nobody waits for a digest.
const FATALS: u64 = 8;
/// The load goes on for so long after the fault, while the server catches up.
const AFTER: Duration = Duration::from_secs(3);
/// Longer than this without an acknowledgement is no ingest that goes on.
const GAP_MAX: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
pub struct Plan {
    pub binary: PathBuf,
    /// The folder of the servers' scripts.
    pub scripts: PathBuf,
    /// Servers that run already, as `servers.sh` leaves them; their data is destroyed. None: servers of its own.
    pub servers: Option<PathBuf>,
    pub form: Form,
    /// How long each fault lasts.
    pub seconds: u64,
    /// Names of faults; none: all.
    pub only: Vec<String>,
    pub seed: u64,
    /// How long the server may take after a fault until everything is to be seen.
    pub settle: Duration,
    /// Keep the data of each run in a folder of its own in here.
    pub data_dir: Option<PathBuf>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub form: &'static str,
    pub version: String,
    pub seconds: u64,
    pub seed: u64,
    pub rows: Vec<Row>,
    pub passed: bool,
}

pub async fn run(plan: &Plan, clock: &Arc<dyn Clock>) -> anyhow::Result<Report> {
    let faults = matrix::chosen(&plan.only)?;
    let version = crate::server::version(&plan.binary).await?;
    let bar = ProgressBar::new(faults.len() as u64)
        .with_style(ProgressStyle::with_template("{bar:30} {pos}/{len} faults  {msg}").expect("a template of our own"));
    bar.set_message("starting PostgreSQL, Redis and Elasticsearch");
    let servers = Servers::start(&plan.scripts, plan.servers.as_deref()).await?;
    let mut rows = Vec::new();
    for fault in &faults {
        bar.set_message(fault.name.clone());
        let row = tokio::select! {
            row = one(plan, fault, &servers, clock) => row.unwrap_or_else(|e| Row::broken(fault, &e)),
            // Leaving this way drops the servers, which stops them.
            told = told_to_end() => {
                told.context("cannot listen for signals")?;
                bail!("interrupted in {}", fault.name);
            }
        };
        // Where standard error is no terminal, the bar is silent: a long run still says how far it is.
        eprintln!("{}", row.line());
        rows.push(row);
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(Report {
        form: plan.form.name(),
        version,
        seconds: plan.seconds,
        seed: plan.seed,
        passed: rows.iter().all(|r| r.passed),
        rows,
    })
}

/// Ctrl-C, or a polite kill.
async fn told_to_end() -> std::io::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}

/// One fault, on servers where nothing was ever written.
async fn one(plan: &Plan, fault: &Fault, servers: &Servers, clock: &Arc<dyn Clock>) -> anyhow::Result<Row> {
    matrix::prepare(fault, servers).await.context("before the fault")?;
    let between = Between::start(servers, fault).await?;
    let temporary = tempfile::tempdir().context("cannot make a temporary folder")?;
    let root = plan
        .data_dir
        .as_ref()
        .map_or_else(|| temporary.path().to_owned(), |d| d.join(&fault.name));
    let data = root.join("data");
    std::fs::create_dir_all(&data).with_context(|| format!("cannot make {}", data.display()))?;
    let disk = match fault.what {
        What::DiskFull => Some(matrix::small_disk(&data.join("journal"), SMALL_DISK_MIB).await?),
        _ => None,
    };
    let config = root.join("andon.toml");
    std::fs::write(&config, configuration(fault, false)).context("cannot write the configuration")?;
    let launch = Launch {
        binary: plan.binary.clone(),
        data: data.clone(),
        form: plan.form,
        stores: StoreUrls {
            postgres: Some(servers.url_at(Kind::Postgres, between.proxy(Kind::Postgres).address())?),
            redis: Some(servers.url_at(Kind::Redis, between.proxy(Kind::Redis).address())?),
            elasticsearch: Some(servers.url_at(Kind::Elasticsearch, between.proxy(Kind::Elasticsearch).address())?),
        },
        config: Some(config.clone()),
    };
    let mut server = Server::start(&launch, None).await?;
    let addresses = server.ready().await?;
    let key = server.create_key().await?;
    let patience = Patience {
        attempt: Duration::from_secs(20),
        backoff: Duration::from_millis(20),
        backoff_max: Duration::from_millis(500),
        total: Duration::from_secs(plan.seconds) + Duration::from_secs(240),
    };
    let sender = Sender::new(&addresses.ingest, &key, Ledger::in_memory(), patience)?;
    sender.await_key(KEY_WITHIN).await?;
    let during = Duration::from_secs(plan.seconds);
    let before = (during / 5).clamp(Duration::from_secs(2), Duration::from_secs(10));
    let pace = Pace::within(BATCH_EVERY, before + during + AFTER, FATALS);
    let workload = Arc::new(Workload::new(
        format!("fault-{}", run_tag(clock.now())),
        plan.seed,
        pace,
    ));
    let mut work = JoinSet::new();
    for _ in 0..WORKERS {
        work.spawn(workload::work(workload.clone(), sender.clone(), clock.clone()));
    }
    let lag = LagWatch::start(&addresses.ingest)?;

    let mut run = Run { server, work };
    run.goes_on(before).await.context("before the fault")?;
    let calm = lag.highest();
    let outbox = data.join("outbox");
    let acknowledged_before = sender.with_ledger(|l| l.count(Fate::Acknowledged));
    sender.attempts().begin();
    lag.begin();
    let begun = Instant::now();
    let held = matrix::inject(fault, servers, &between, &data)
        .await
        .context("cannot inject the fault")?;
    let extra = Extra::start(fault, &workload, &sender, &addresses.ingest, &key, clock)?;
    let lived = run.goes_on(during).await.context("during the fault");
    matrix::heal(fault, servers, &between, held)
        .await
        .context("cannot end the fault")?;
    lived?;
    let counts = sender.attempts().end();
    let acknowledged_during = sender.with_ledger(|l| l.count(Fate::Acknowledged)) - acknowledged_before;
    let lag_max = lag.highest();
    let lasted = begun.elapsed();
    if fault.what == What::QuotaFull {
        std::fs::write(&config, configuration(fault, true)).context("cannot write the configuration")?;
        run.server.kill().await?;
        run.server.start_again().await?;
        run.server.ready().await.context("with a larger quota")?;
    }
    let healed = Instant::now();
    run.goes_on(AFTER).await.context("after the fault")?;
    workload.finish();
    while let Some(done) = run.work.join_next().await {
        done.context("a worker ended badly")?.context("after the fault")?;
    }
    let spoiled = extra.finish().await?;

    let dashboard = Dashboard::new(&addresses.dashboard, &key)?;
    let places = Places {
        dashboard: &dashboard,
        outbox: &outbox,
        postgres_url: Some(servers.url(Kind::Postgres)),
    };
    let repeats_allowed = match fault.what {
        // The server is killed once.
        What::QuotaFull => 1,
        _ => 0,
    };
    let deadline = healed + during + plan.settle;
    let judged = loop {
        let settled = gather::settled(&dashboard, deadline).await;
        let looked = async {
            let look = look(&sender, &workload, &places, repeats_allowed).await?;
            let refused = judge_refused(fault, &dashboard, &workload, &spoiled).await?;
            anyhow::Ok((look, refused))
        };
        match looked.await {
            Ok((look, refused)) => {
                let findings: Vec<Finding> = [caught_up(settled)].into_iter().chain(refused).collect();
                let all_well = findings.iter().chain(&look.findings).all(|f| f.ok);
                if all_well || Instant::now() >= deadline {
                    break (findings, look);
                }
            }
            Err(e) if Instant::now() >= deadline => return Err(e.context("the dashboard does not tell")),
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    };
    run.server.lives()?;
    let drained = lag.drained(healed, calm.entries);
    let (
        mut findings,
        Look {
            findings: of_workload,
            records,
            rows,
            incidents,
            incidents_expected,
            mails,
            mails_repeated,
        },
    ) = judged;
    findings.extend(of_workload);
    findings.push(between.proves(fault));
    findings.extend(row::judge_course(
        fault,
        &counts,
        &lag_max,
        drained,
        GAP_MAX.min(during),
    ));
    run.server.kill().await?;
    drop(disk);
    Ok(Row {
        name: fault.name.clone(),
        fault: fault.says(),
        lasted_ms: lasted.as_millis() as u64,
        acknowledged_during,
        counts,
        records,
        rows,
        incidents,
        incidents_expected,
        mails,
        mails_repeated,
        repeats_allowed,
        lag_max,
        drained_after_ms: drained.map(|d| d.as_millis() as u64),
        edge: fault.edge(),
        passed: findings.iter().all(|f| f.ok),
        findings,
        error: None,
    })
}

/// A server under load.
struct Run {
    server: Server,
    work: JoinSet<anyhow::Result<()>>,
}

impl Run {
    /// Lets time pass. An error when the server or a worker ends meanwhile.
    async fn goes_on(&mut self, time: Duration) -> anyhow::Result<()> {
        let end = Instant::now() + time;
        let mut looks = tokio::time::interval(Duration::from_millis(100));
        while Instant::now() < end {
            looks.tick().await;
            self.server.lives()?;
            if let Some(done) = self.work.try_join_next() {
                done.context("a worker ended badly")??;
                bail!("a worker ended before its time");
            }
        }
        Ok(())
    }
}

const SMALL_DISK_MIB: u32 = 64;
/// Small ones fill in seconds.
const SEGMENT_BYTES: u64 = 256 << 10;
const SMALL_QUOTA: u64 = 4 << 20;
const LARGE_QUOTA: u64 = 1 << 30;

fn configuration(fault: &Fault, healed: bool) -> String {
    let quota = match fault.what {
        What::QuotaFull if !healed => SMALL_QUOTA,
        What::QuotaFull | What::DiskFull => LARGE_QUOTA,
        _ => return mailed_at_once(),
    };
    format!(
        "{}[journal]\nsegment_bytes = {SEGMENT_BYTES}\nquota_bytes = {quota}\n",
        mailed_at_once()
    )
}

/// What some faults need beside the workload: records that the mapping will refuse, or bulk that fills the journal.
struct Extra {
    work: JoinSet<anyhow::Result<()>>,
    spoiled: Vec<String>,
}

impl Extra {
    fn start(
        fault: &Fault,
        workload: &Arc<Workload>,
        sender: &Sender,
        ingest: &str,
        key: &str,
        clock: &Arc<dyn Clock>,
    ) -> anyhow::Result<Self> {
        let (mut work, mut spoiled) = (JoinSet::new(), Vec::new());
        if fault.what == What::Mapping {
            let drafts: Vec<_> = (0..SPOILED_RECORDS)
                .map(|i| {
                    let message = format!("{SPOILED} {}-{i}", workload.run());
                    let mut draft = workload.single(&format!("spoiled-{i}"), clock.now(), message);
                    // PostgreSQL takes them, so they are no part of what both stores must have.
                    draft.source = Some(spoiled_source(workload));
                    draft
                })
                .collect();
            spoiled = drafts.iter().filter_map(|d| d.message.clone()).collect();
            // Books of their own: these are acknowledged and yet must not be found.
            let apart = Sender::new(ingest, key, Ledger::in_memory(), Patience::default())?;
            work.spawn(async move {
                for draft in drafts {
                    let answer = apart.post(&workload::post_of(&[draft])).await?;
                    anyhow::ensure!(
                        answer.status == 202,
                        "a record was answered {} {}",
                        answer.status,
                        answer.text
                    );
                }
                Ok(())
            });
        }
        if fault.is_of_journal() {
            let (workload, sender, clock) = (workload.clone(), sender.clone(), clock.clone());
            work.spawn(async move {
                for n in 0u64.. {
                    // Until the journal is full or the fault over.
                    let so_far = sender.attempts().so_far();
                    if so_far.is_none_or(|c| c.turned_away.contains_key(&503)) {
                        break;
                    }
                    sender.post(&workload::post_of(&workload.bulky(n, clock.now()))).await?;
                }
                Ok(())
            });
        }
        Ok(Self { work, spoiled })
    }

    /// Waits for what was begun; gives the messages that must be in quarantine.
    async fn finish(mut self) -> anyhow::Result<Vec<String>> {
        while let Some(done) = self.work.join_next().await {
            done.context("a worker ended badly")??;
        }
        Ok(self.spoiled)
    }
}

const SPOILED_RECORDS: usize = 5;

fn spoiled_source(workload: &Workload) -> String {
    format!("{}-spoiled", workload.run())
}

/// What Elasticsearch refused for itself is in quarantine, each once, and nothing else is; it cannot be found.
async fn judge_refused(
    fault: &Fault,
    dashboard: &Dashboard,
    workload: &Workload,
    spoiled: &[String],
) -> anyhow::Result<Option<Finding>> {
    if fault.what != What::Mapping {
        return Ok(None);
    }
    let found = dashboard.quarantined("log_index").await?;
    let mut wrong: Vec<String> = spoiled
        .iter()
        .filter(|message| found.iter().filter(|x| x.contains(message.as_str())).count() != 1)
        .map(|message| format!("{message} is not there once"))
        .collect();
    let strangers = found
        .iter()
        .filter(|x| !spoiled.iter().any(|message| x.contains(message.as_str())));
    wrong.extend(strangers.map(|x| format!("{x} should not be there")));
    let indexed = gather::records(dashboard, &[("source", &spoiled_source(workload))]).await?;
    wrong.extend(
        indexed
            .into_iter()
            .map(|s| format!("{} was refused and is found", s.record_id)),
    );
    let check = "what the mapping refuses is in quarantine";
    Ok(Some(Finding::none(check, format!("{} records", spoiled.len()), wrong)))
}

/// Rewrites the table of this form in a Markdown file, between its markers.
pub fn write(report: &Report, path: &Path) -> anyhow::Result<()> {
    let old = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let new = write_into(&old, report)?;
    std::fs::write(path, new).with_context(|| format!("cannot write {}", path.display()))
}
