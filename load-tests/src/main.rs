//! `andon-load`: the simulated plant, the scenarios with their oracle, the load generator and the crash test.
//!
//! Exit codes: 0 all well, 1 a check failed or something went wrong, 2 usage.

use andon_engine::time::Clock;
use andon_load::clock::{SystemClock, run_tag};
use andon_load::load::{self, Options};
use andon_load::play::{self, PlantRun, Stage};
use andon_load::server::{Form, StoreUrls};
use andon_load::{crash, faults, plant, scenarios};
use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// Simulated plant, scenarios with a known truth, load generator and oracle of Andon.
#[derive(Debug, Parser)]
#[command(name = "andon-load", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Stream the simulated plant, in real time or as fast as a rate asks for.
    Plant(PlantArgs),
    /// Print a configuration file of Andon with the plant's site, areas and devices.
    Configuration,
    /// Play scenarios and check what came of them. Without names: all but STORM, which takes six minutes.
    Run(RunArgs),
    /// Print the labels of a scenario, one JSON object a line.
    Labels {
        scenario: String,
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Send as much as asked for, in an open loop, and measure.
    Load(LoadArgs),
    /// Kill Andon with SIGKILL under load, again and again, and check that nothing acknowledged is lost or told twice.
    Crash(CrashArgs),
    /// Let PostgreSQL, Redis, Elasticsearch and the journal's disk fail under load, in every way, and check that nothing is lost or told twice.
    Faults(FaultsArgs),
}

#[derive(Debug, Args)]
struct Server {
    /// Root of the ingest service, such as http://127.0.0.1:7400.
    #[arg(long, env = "ANDON_URL")]
    url: String,
    /// A key of scope ingest; for `run` also of scope read.
    #[arg(long, env = "ANDON_KEY", hide_env_values = true)]
    key: String,
}

#[derive(Debug, Args)]
struct PlantArgs {
    #[command(flatten)]
    server: Server,
    /// Records a second; without it the plant runs in real time, at about 20.
    #[arg(long, value_parser = rate)]
    rate: Option<f64>,
    /// How long; without it until interrupted.
    #[arg(long)]
    seconds: Option<u64>,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Leave out the faults that unfold in the first minute.
    #[arg(long)]
    no_stories: bool,
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct RunArgs {
    #[command(flatten)]
    server: Server,
    /// Root of the dashboard service, such as http://127.0.0.1:7401.
    #[arg(long, env = "ANDON_DASHBOARD_URL")]
    dashboard: String,
    /// The folder of e-mails that Andon writes without an SMTP server.
    #[arg(long)]
    outbox: Option<PathBuf>,
    /// Replaces each scenario's own seed.
    #[arg(long)]
    seed: Option<u64>,
    /// How long the server may take to catch up, in seconds.
    #[arg(long, default_value_t = 60)]
    settle: u64,
    /// Also write each scenario's labels to SCENARIO.labels.jsonl in this folder.
    #[arg(long)]
    labels: Option<PathBuf>,
    #[arg(long)]
    json: bool,
    /// SIM9, SIM10, SIM11, SIM15, SIM16, SIM17, STORM.
    scenarios: Vec<String>,
}

#[derive(Debug, Args)]
struct LoadArgs {
    #[command(flatten)]
    server: Server,
    /// Records a second; 0: as fast as possible.
    #[arg(long, default_value_t = 50_000)]
    rate: u64,
    /// Records of one request.
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    batch: u32,
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1_024))]
    connections: u16,
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// How many devices the records are of.
    #[arg(long, default_value_t = 2_000)]
    devices: usize,
    /// Give every record an id of its own, so that the server remembers it against retries.
    #[arg(long)]
    ids: bool,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The server's process on this machine: adds its CPU time and memory.
    #[arg(long)]
    pid: Option<u32>,
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct CrashArgs {
    /// The `andon` binary.
    #[arg(long)]
    binary: PathBuf,
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Chooses load and moments; printed when something fails.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Keep the data in this folder (it must be empty or absent) instead of a temporary one.
    #[arg(long)]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    stores: Stores,
    /// `andon gateway` and `andon dashboard` instead of `andon up`; needs all three stores.
    #[arg(long, requires_all = ["postgres_url", "redis_url", "elasticsearch_url"])]
    two_services: bool,
    /// `andon gateway`, `andon dashboard` and `andon notifier`; needs all three stores.
    #[arg(long, conflicts_with = "two_services", requires_all = ["postgres_url", "redis_url", "elasticsearch_url"])]
    three_services: bool,
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct FaultsArgs {
    /// The `andon` binary.
    #[arg(long)]
    binary: PathBuf,
    /// Names of faults, separated by commas; without it all. A wrong name lists them.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// How long each fault lasts.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(2..=3_600))]
    seconds: u64,
    #[arg(long, value_enum, default_value_t = Form::Up)]
    form: Form,
    /// How long, in seconds, the server may take after a fault until everything is to be seen.
    #[arg(long, default_value_t = 180)]
    settle: u64,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The folder with postgres.sh, redis.sh and elasticsearch.sh.
    #[arg(long, default_value = "deploy/test")]
    scripts: PathBuf,
    /// Servers that run already, in a folder as `servers.sh start` makes it. Their data is destroyed. Without it, servers of its own.
    #[arg(long)]
    servers: Option<PathBuf>,
    /// Keep the data and the logs of each fault in this folder.
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// A Markdown file whose table of this form is replaced by this run's.
    #[arg(long)]
    write: Option<PathBuf>,
    #[arg(long)]
    json: bool,
}

/// Stores that the run has to itself: they must be empty.
#[derive(Args)]
struct Stores {
    #[arg(long)]
    postgres_url: Option<String>,
    #[arg(long)]
    redis_url: Option<String>,
    #[arg(long)]
    elasticsearch_url: Option<String>,
}

impl std::fmt::Debug for Stores {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The URLs have passwords.
        f.debug_struct("Stores").finish_non_exhaustive()
    }
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(r) if r.is_finite() && r > 0.0 => Ok(r),
        _ => Err("must be a number above 0".into()),
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse().command).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("andon-load: {e:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> anyhow::Result<bool> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    match command {
        Command::Plant(args) => stream(args, &clock).await,
        Command::Configuration => {
            print!("{}", plant::configuration());
            Ok(true)
        }
        Command::Run(args) => scenarios_run(args, &clock).await,
        Command::Labels { scenario, seed } => {
            let now = clock.now();
            let made = scenarios::make(&scenario, &run_tag(now), seed, now).with_context(|| unknown(&scenario))?;
            print!("{}", made.label_file());
            Ok(true)
        }
        Command::Load(a) => {
            let options = Options {
                url: a.server.url,
                key: a.server.key,
                rate: a.rate,
                batch: a.batch as usize,
                connections: a.connections.into(),
                seconds: a.seconds,
                devices: a.devices,
                ids: a.ids,
                seed: a.seed,
                pid: a.pid,
            };
            let report = load::run(&options, &clock).await?;
            show(a.json, &report, &report)?;
            Ok(report.records_acknowledged > 0)
        }
        Command::Crash(a) => {
            let plan = crash::Plan {
                binary: a.binary,
                rounds: a.rounds,
                seed: a.seed,
                data_dir: a.data_dir,
                stores: StoreUrls {
                    postgres: a.stores.postgres_url,
                    redis: a.stores.redis_url,
                    elasticsearch: a.stores.elasticsearch_url,
                },
                form: match (a.two_services, a.three_services) {
                    (_, true) => Form::ThreeServices,
                    (true, false) => Form::Services,
                    (false, false) => Form::Up,
                },
            };
            let report = crash::run(&plan, &clock).await?;
            show(a.json, &report, &report)?;
            Ok(report.verdict.passed)
        }
        Command::Faults(a) => {
            let plan = faults::Plan {
                binary: a.binary,
                scripts: a.scripts,
                servers: a.servers,
                form: a.form,
                seconds: a.seconds,
                only: a.only,
                seed: a.seed,
                settle: Duration::from_secs(a.settle),
                data_dir: a.data_dir,
            };
            let report = faults::run(&plan, &clock).await?;
            if let Some(path) = a.write {
                faults::write(&report, &path)?;
            }
            show(a.json, &report, &report)?;
            Ok(report.passed)
        }
    }
}

fn show(json: bool, text: &impl std::fmt::Display, value: &impl serde::Serialize) -> anyhow::Result<()> {
    if json {
        println!("{}", serde_json::to_string(value)?);
    } else {
        print!("{text}");
    }
    Ok(())
}

async fn stream(args: PlantArgs, clock: &Arc<dyn Clock>) -> anyhow::Result<bool> {
    let run = PlantRun {
        url: args.server.url,
        key: args.server.key,
        seed: args.seed,
        rate: args.rate,
        seconds: args.seconds,
        tag: run_tag(clock.now()),
        stories: !args.no_stories,
    };
    let interrupted = async {
        // Without a signal handler the interrupt ends the program at once, which is as well.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let report = play::plant(&run, clock, interrupted).await?;
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        println!(
            "{} records sent: {} accepted, {} twice, {} rejected, {} requests refused",
            report.records, report.accepted, report.duplicates, report.rejected, report.refused_requests
        );
    }
    Ok(report.refused_requests == 0)
}

async fn scenarios_run(args: RunArgs, clock: &Arc<dyn Clock>) -> anyhow::Result<bool> {
    let names: Vec<String> = match args.scenarios.is_empty() {
        true => scenarios::names()
            .filter(|n| *n != "STORM")
            .map(str::to_owned)
            .collect(),
        false => args.scenarios,
    };
    if let Some(wrong) = names
        .iter()
        .find(|n| !scenarios::names().any(|s| s.eq_ignore_ascii_case(n)))
    {
        anyhow::bail!(unknown(wrong));
    }
    let stage = Stage {
        url: args.server.url,
        dashboard: args.dashboard,
        key: args.server.key,
        outbox: args.outbox,
        settle: Duration::from_secs(args.settle),
    };
    let mut passed = true;
    for name in names {
        let now = clock.now();
        let scenario = scenarios::make(&name, &run_tag(now), args.seed, now).with_context(|| unknown(&name))?;
        if let Some(dir) = &args.labels {
            let path = dir.join(format!("{}.labels.jsonl", scenario.name));
            std::fs::write(&path, scenario.label_file()).with_context(|| format!("cannot write {}", path.display()))?;
        }
        let verdict = play::scenario(&stage, &scenario)
            .await
            .with_context(|| format!("{name} could not be played"))?;
        passed &= verdict.passed;
        show(args.json, &verdict, &verdict)?;
    }
    Ok(passed)
}

fn unknown(name: &str) -> String {
    format!(
        "{name} is not a scenario; there are {}",
        scenarios::names().collect::<Vec<_>>().join(", ")
    )
}
