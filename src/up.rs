//! `andon up`: everything in one process. Opens the stores, checks that they belong together, wires the parts, and ends them in order.

use crate::adapters::{
    AfterEffects, Failures, IndexLines, JournalIntake, Running, SenderKeys, feed_live, watch_shards,
};
use crate::clock::SystemClock;
use crate::{config, exit};
use andon_actors::effect_log::EffectLog;
use andon_actors::judging::{Judging, JudgingArgs};
use andon_actors::notifier::{Fallback, LocalQueue, Mailer, Notifier, NotifierArgs, Secrets};
use andon_actors::self_log::SelfLog;
use andon_actors::sinks::effects::EffectWriter;
use andon_actors::sinks::log_index::LogIndexWriter;
use andon_actors::sinks::rows::RowWriter;
use andon_actors::sinks::{Sink, SinkProgress, Writer, check_cursor};
use andon_actors::work::EngineJudge;
use andon_dashboard_api::{Dashboard, DashboardArgs, LiveFeed, ShardsHealth, WebApp};
use andon_engine::control::Control;
use andon_engine::intake::decode_header;
use andon_engine::limits::{RETRY_WINDOW, SHARDS};
use andon_engine::rule::Configuration;
use andon_engine::time::{Clock, Span};
use andon_gateway::{Config as GatewayConfig, Gateway};
use andon_storage::journal::{ArchiveOptions, FileIo, Journal, JournalOptions, OpenReport};
use andon_storage::keys::KeyCache;
use andon_storage::link_token::LinkTokens;
use andon_storage::ports::checkpoint::CheckpointStore;
use andon_storage::ports::people::PeopleStore;
use andon_storage::ports::{Cursor, StoreError};
use andon_storage::relational::Sink as RelationalSink;
use andon_storage::sqlite::{CheckpointFile, SqliteStore};
use andon_storage::tantivy_index::{IndexOptions, TantivyIndex};
use anyhow::Context;
use clap::Args;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub const DATA_DIR: &str = "andon-data";
const INGEST: &str = "127.0.0.1:7400";
const DASHBOARD: &str = "127.0.0.1:7401";
/// How long checkpoints may be apart: what a restart has to judge again.
const CHECKPOINT_EVERY: Span = Span::secs(10);
/// The whole of shutdown stays under 10 s: 3 s for requests, the rest shared by what follows.
const DRAIN: Duration = Duration::from_secs(3);
/// How long start-up may read what a crash left unjudged.
const REPLAY: Duration = Duration::from_secs(600);
/// A change of `andon user` is taken over after at most this.
const PEOPLE_EVERY: Duration = Duration::from_millis(500);
/// A new configuration holds within this, or start-up gives up.
const CONFIGURE: Duration = Duration::from_secs(60);
/// Journals: what is full in half an hour at 50,000 records/s, and effects, which are rare.
const JOURNAL_QUOTA: u64 = 8 << 30;
const EFFECTS_QUOTA: u64 = 1 << 30;
const EFFECTS_SEGMENT: u64 = 16 << 20;

#[derive(Debug, Args)]
pub struct UpArgs {
    /// Where everything is kept; made if absent.
    #[arg(long, env = "ANDON_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// Configuration file (TOML).
    #[arg(long, env = "ANDON_CONFIG")]
    config: Option<PathBuf>,
    /// Where senders post records [default: 127.0.0.1:7400]
    #[arg(long, env = "ANDON_INGEST")]
    ingest: Option<String>,
    /// Where people look [default: 127.0.0.1:7401]
    #[arg(long, env = "ANDON_DASHBOARD")]
    dashboard: Option<String>,
    /// Whom the default route mails; repeatable.
    #[arg(long, env = "ANDON_ALERT_TO", value_delimiter = ',')]
    alert_to: Vec<String>,
    /// smtp[s]://user:password@host:port. Without it e-mails become .eml files in DIR/outbox.
    #[arg(long, env = "ANDON_SMTP_URL", hide_env_values = true)]
    smtp_url: Option<String>,
    /// Sender of e-mails; needed with --smtp-url.
    #[arg(long, env = "ANDON_MAIL_FROM")]
    mail_from: Option<String>,
    /// Base of every link; needed with --smtp-url.
    #[arg(long, env = "ANDON_PUBLIC_URL")]
    public_url: Option<String>,
    /// The built web app.
    #[arg(long, env = "ANDON_WEB_DIR")]
    web_dir: Option<PathBuf>,
    /// Take over stores whose cursors belong to another journal.
    #[arg(long, env = "ANDON_ADOPT_STORES")]
    adopt_stores: bool,
    /// One JSON object a line on standard output; the first has "event":"ready".
    #[arg(long, env = "ANDON_JSON")]
    json: bool,
}

pub fn database_path(data_dir: &Path) -> PathBuf {
    data_dir.join("andon.db")
}

/// What the command line, the environment and the file come to.
struct Settings {
    data_dir: PathBuf,
    ingest: SocketAddr,
    dashboard: SocketAddr,
    alert_to: Vec<String>,
    smtp_url: Option<String>,
    mail_from: Option<String>,
    public_url: Option<String>,
    web: WebApp,
    journal: JournalOptions,
    secrets: Vec<(String, String)>,
    configuration: Configuration,
    file_has_default_route: bool,
    adopt_stores: bool,
    json: bool,
}

fn settings(args: UpArgs) -> anyhow::Result<Settings> {
    let mut faults = Vec::new();
    let file = match &args.config {
        None => config::parse("version = 1"),
        Some(path) => match std::fs::read_to_string(path) {
            Ok(text) => config::parse(&text),
            Err(e) => Err(config::Faults(vec![format!("{}: {e}", path.display())])),
        },
    };
    let file = file.unwrap_or_else(|e| {
        faults.extend(e.0);
        config::File::default()
    });
    let configuration = config::configuration(&file, &args.alert_to).unwrap_or_else(|e| {
        faults.extend(e.0);
        Configuration::default()
    });
    let mut address = |option: &str, given: Option<String>, file: &Option<String>, default: &str| {
        let text = given.or_else(|| file.clone()).unwrap_or_else(|| default.to_owned());
        text.parse().unwrap_or_else(|_| {
            faults.push(format!("{option}: \"{text}\" is not an address such as {default}"));
            SocketAddr::from(([127, 0, 0, 1], 0))
        })
    };
    let ingest = address("ingest", args.ingest, &file.server.ingest, INGEST);
    let dashboard = address("dashboard", args.dashboard, &file.server.dashboard, DASHBOARD);
    let smtp_url = args.smtp_url.or_else(|| file.mail.smtp_url.clone()).or_else(|| {
        let path = file.mail.smtp_url_file.as_ref()?;
        match std::fs::read_to_string(path) {
            Ok(text) => Some(text.trim().to_owned()),
            Err(e) => {
                faults.push(format!("mail.smtp_url_file {}: {e}", path.display()));
                None
            }
        }
    });
    let mail_from = args.mail_from.or_else(|| file.mail.from.clone());
    let public_url = args.public_url.or_else(|| file.server.public_url.clone());
    if smtp_url.is_some() {
        for (option, given) in [("mail-from", &mail_from), ("public-url", &public_url)] {
            if given.is_none() {
                faults.push(format!("{option}: needed with smtp-url"));
            }
        }
    }
    let data_dir = args
        .data_dir
        .or_else(|| file.server.data_dir.clone())
        .unwrap_or_else(|| DATA_DIR.into());
    let defaults = JournalOptions::default();
    let keep = file
        .journal
        .archive_keep
        .as_deref()
        .map_or(Ok(Span::hours(7 * 24)), config::span)
        .unwrap_or_else(|e| {
            faults.push(format!("journal.archive_keep: {e}"));
            Span::hours(7 * 24)
        });
    let journal = JournalOptions {
        quota_bytes: file.journal.quota_bytes.unwrap_or(JOURNAL_QUOTA),
        segment_bytes: file.journal.segment_bytes.unwrap_or(defaults.segment_bytes),
        // Nothing is recycled before each of these has said how far it is.
        holders: ["judging", "rows", "log_index"].map(String::from).to_vec(),
        archive: Some(ArchiveOptions {
            dir: data_dir.join("archive"),
            bytes_max: file.journal.archive_bytes.unwrap_or(16 << 30),
            keep,
        }),
        ..defaults
    };
    if !faults.is_empty() {
        return Err(exit::config(format!(
            "the configuration has {} fault(s):\n{}",
            faults.len(),
            faults.join("\n")
        )));
    }
    Ok(Settings {
        web: web_app(args.web_dir.or_else(|| file.server.web_dir.clone())),
        data_dir,
        ingest,
        dashboard,
        alert_to: if args.alert_to.is_empty() {
            file.mail.alert_to.clone()
        } else {
            args.alert_to
        },
        smtp_url,
        mail_from,
        public_url,
        journal,
        file_has_default_route: file.has_default_route(),
        secrets: file.secrets.into_iter().collect(),
        configuration,
        adopt_stores: args.adopt_stores,
        json: args.json,
    })
}

/// The directory given, else `web` beside the program, else what a checkout has built.
fn web_app(given: Option<PathBuf>) -> WebApp {
    let beside = std::env::current_exe()
        .ok()
        .and_then(|exe| Some(exe.parent()?.join("web")));
    let found = given
        .into_iter()
        .chain(beside)
        .chain([PathBuf::from("web/dist")])
        .find(|d| d.join("index.html").is_file());
    found.map_or(WebApp::Absent, WebApp::Directory)
}

pub async fn run(args: UpArgs) -> anyhow::Result<ExitCode> {
    let s = settings(args)?;
    init_logs(s.json);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let prometheus = PrometheusBuilder::new()
        .set_buckets(&[
            0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
        ])
        .context("metrics")?
        .install_recorder()
        .context("metrics")?;
    let stores = Stores::open(&s, &clock).await?;
    let ended = Andon::start(s, stores, clock, prometheus).await?.until_told().await;
    Ok(ended)
}

fn init_logs(json: bool) {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_env("ANDON_LOG").unwrap_or_else(|_| EnvFilter::new("info,tantivy=warn,sqlx=warn"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    // A second subscriber in one process is a test's; it keeps the first.
    let _ = if json {
        builder.json().try_init()
    } else {
        builder.try_init()
    };
}

/// Everything on disk, opened and known to belong together.
struct Stores {
    journal: Journal,
    effects: Journal,
    relational: Arc<SqliteStore>,
    checkpoints: Arc<CheckpointFile>,
    index: Arc<TantivyIndex>,
    token_secret: [u8; 32],
}

impl Stores {
    async fn open(s: &Settings, clock: &Arc<dyn Clock>) -> anyhow::Result<Stores> {
        let dir = &s.data_dir;
        std::fs::create_dir_all(dir).map_err(|e| exit::config(format!("{} cannot be made: {e}", dir.display())))?;
        let open = |name: &'static str, options| {
            let (path, clock) = (dir.join(name), clock.clone());
            async move {
                let opened = Journal::open(Arc::new(FileIo), &path, options, clock).await;
                let (journal, report) = opened.map_err(|e| exit::config(format!("{}: {e}", path.display())))?;
                say_what_was_found(name, &report);
                anyhow::Ok(journal)
            }
        };
        let journal = open("journal", s.journal.clone()).await?;
        let effects_options = JournalOptions {
            quota_bytes: EFFECTS_QUOTA,
            segment_bytes: EFFECTS_SEGMENT,
            holders: vec!["incidents".into()],
            ..JournalOptions::default()
        };
        let effects = open("effects", effects_options).await?;
        let relational = Arc::new(SqliteStore::open(&database_path(dir)).await.map_err(exit::config)?);
        let checkpoints = Arc::new(
            CheckpointFile::open(&dir.join("checkpoints.db"))
                .await
                .map_err(exit::config)?,
        );
        let index = Arc::new(
            TantivyIndex::open(&dir.join("index"), IndexOptions::default())
                .await
                .map_err(exit::config)?,
        );
        if s.adopt_stores {
            // The stores keep what they hold; what this journal has is judged and stored from its first entry on.
            relational
                .adopt(RelationalSink::Effects, None)
                .await
                .map_err(exit::config)?;
            relational
                .adopt(RelationalSink::Rows, None)
                .await
                .map_err(exit::config)?;
            index
                .adopt(Cursor {
                    journal: journal.id(),
                    seq: 0,
                })
                .await
                .map_err(exit::config)?;
            checkpoints.clear().await.map_err(exit::config)?;
        }
        for shard in (0..SHARDS as u16).chain([andon_actors::router::ROUTER_SHARD]) {
            let saved = checkpoints.load(shard).await.map_err(exit::config)?;
            check_cursor("the checkpoint file", saved.cursor, &journal).map_err(adoptable)?;
        }
        let token_secret = token_secret(dir)?;
        Ok(Stores {
            journal,
            effects,
            relational,
            checkpoints,
            index,
            token_secret,
        })
    }
}

fn adoptable(e: StoreError) -> anyhow::Error {
    exit::config(e)
}

fn say_what_was_found(name: &str, report: &OpenReport) {
    if report.damaged_entries() > 0 {
        tracing::error!(
            journal = name,
            entries = report.damaged_entries(),
            ?report,
            "the journal has damage: acknowledged entries are lost"
        );
    } else {
        tracing::info!(journal = name, ?report, "journal opened");
    }
}

/// Signs the links of e-mails; made at first start, readable by the owner only.
fn token_secret(dir: &Path) -> anyhow::Result<[u8; 32]> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let path = dir.join("link.secret");
    match std::fs::read(&path) {
        Ok(bytes) => bytes.try_into().map_err(|_| {
            exit::config(format!(
                "{}: must be 32 bytes; delete it to make a new one (links in sent e-mails end)",
                path.display()
            ))
        }),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let secret: [u8; 32] = rand::random();
            let temporary = dir.join("link.secret.new");
            let mut file = std::fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&temporary)?;
            file.write_all(&secret)?;
            file.sync_all()?;
            std::fs::rename(&temporary, &path)?;
            Ok(secret)
        }
        Err(e) => Err(exit::config(format!("{}: {e}", path.display()))),
    }
}

/// The running program.
struct Andon {
    journal: Journal,
    effects: Journal,
    index: Arc<TantivyIndex>,
    relational: Arc<SqliteStore>,
    judging: Judging,
    sinks: Vec<SinkProgress>,
    tasks: JoinSet<()>,
    gateway: JoinSet<()>,
    stop_gateway: watch::Sender<bool>,
    stop_sinks: watch::Sender<bool>,
    stop_rest: watch::Sender<bool>,
    stopping: Arc<AtomicBool>,
    json: bool,
}

async fn told(mut stop: watch::Receiver<bool>) {
    // A sender that is gone says the same.
    let _ = stop.wait_for(|s| *s).await;
}

impl Andon {
    async fn start(
        s: Settings,
        stores: Stores,
        clock: Arc<dyn Clock>,
        prometheus: PrometheusHandle,
    ) -> anyhow::Result<Andon> {
        let Stores {
            journal,
            effects,
            relational,
            checkpoints,
            index,
            token_secret,
        } = stores;
        let (stop_gateway, stop_sinks, stop_rest) = (
            watch::Sender::new(false),
            watch::Sender::new(false),
            watch::Sender::new(false),
        );
        let stopping = Arc::new(AtomicBool::new(false));
        let accepted = Arc::new(AtomicU64::new(0));
        let self_log = SelfLog::start(journal.clone(), clock.clone());
        let live = LiveFeed::new();
        let mut tasks = JoinSet::new();

        let judging = Judging::start(JudgingArgs {
            journal: journal.clone(),
            effects: EffectLog::new(effects.clone(), clock.clone()),
            checkpoints,
            clock: clock.clone(),
            judge: Arc::new(EngineJudge),
            self_log: self_log.clone(),
            shards: SHARDS as u16,
            checkpoint_every: CHECKPOINT_EVERY,
            accepting_since: clock.now(),
        })
        .await
        .map_err(|e| exit::config(format!("judging cannot start: {e}")))?;
        let people = People {
            judging: judging.clone(),
            store: relational.clone(),
            file: s.configuration,
            file_has_default_route: s.file_has_default_route,
        };
        let generation = people.configure().await?;
        tasks.spawn(people.follow(generation, stop_rest.subscribe()));
        let configuration = judging.configuration();

        let notifier = Arc::new(OnceLock::new());
        let after = Arc::new(AfterEffects {
            live: live.clone(),
            notifier: notifier.clone(),
        });
        let mut sinks = Vec::new();
        let effect_writer = EffectWriter::new(relational.clone(), after, self_log.clone());
        start_sink(effect_writer, &effects, &mut sinks, &mut tasks, &stop_sinks).await?;
        start_sink(
            RowWriter::new(relational.clone()),
            &journal,
            &mut sinks,
            &mut tasks,
            &stop_sinks,
        )
        .await?;
        start_sink(
            LogIndexWriter::new(index.clone(), journal.id()),
            &journal,
            &mut sinks,
            &mut tasks,
            &stop_sinks,
        )
        .await?;
        tasks.spawn(feed_live(journal.clone(), live.clone(), stop_rest.subscribe()));

        let keys = KeyCache::load(relational.clone()).await.map_err(exit::config)?;
        let keeping_fresh = keys.keep_fresh();
        let shards = watch::Sender::new(ShardsHealth::default());
        let running = Arc::new(Running {
            judging: judging.clone(),
            journal: journal.clone(),
            sinks: sinks.clone(),
            configuration: configuration.clone(),
            accepted: accepted.clone(),
            stopping: stopping.clone(),
            started_at: clock.now(),
            shards: shards.subscribe(),
        });
        tasks.spawn(watch_shards(judging.clone(), shards, stop_rest.subscribe()));

        let dashboard_keys = keys.clone();
        let metrics: Arc<dyn Fn() -> String + Send + Sync> = Arc::new(move || prometheus.render());
        let dashboard = Dashboard::bind(DashboardArgs {
            addr: s.dashboard,
            incidents: relational.clone(),
            deliveries: relational.clone(),
            rows: relational.clone(),
            logs: index.clone(),
            live,
            system: running,
            keys: Arc::new(move |text| dashboard_keys.find(text)),
            links: LinkTokens::new(token_secret),
            web: s.web,
            clock: clock.clone(),
            configuration: configuration.clone(),
            public_url: s.public_url.clone(),
            metrics: Some(metrics.clone()),
        })
        .await
        .map_err(exit::config)?;
        let dashboard_url = format!("http://{}", dashboard.local_addr());

        let intake = Arc::new(JournalIntake {
            journal: journal.clone(),
            accepted,
        });
        let gateway = Gateway::bind(
            GatewayConfig::new(s.ingest),
            intake,
            Arc::new(SenderKeys(keys)),
            clock.clone(),
        )
        .await
        .map_err(|e| exit::config(format!("ingest cannot listen on {}: {e}", s.ingest)))?
        .with_metrics(metrics);
        let ingest_url = format!("http://{}", gateway.local_addr());
        restore_retries(&gateway, &journal, &*clock).await?;

        let mailer = Arc::new(match &s.smtp_url {
            Some(url) => Mailer::smtp(url, s.mail_from.as_deref().unwrap_or_default(), None).map_err(exit::config)?,
            None => {
                let from = s.mail_from.as_deref().unwrap_or("Andon <andon@localhost>");
                Mailer::folder(s.data_dir.join("outbox"), from).map_err(exit::config)?
            }
        });
        let worker = Notifier::new(NotifierArgs {
            store: relational.clone(),
            incidents: relational.clone(),
            config: configuration.clone(),
            lines: Arc::new(IndexLines { index: index.clone() }),
            mailer: mailer.clone(),
            secrets: Secrets::new(s.secrets),
            queue: Arc::new(LocalQueue::default()),
            clock: clock.clone(),
            public_url: s.public_url.unwrap_or_else(|| dashboard_url.clone()),
            token_secret,
            self_log: Arc::new(Failures(self_log)),
            owner: format!("{:016x}", rand::random::<u64>()),
            sole: true,
        })
        .map_err(exit::config)?;
        let _ = notifier.set(worker.clone());
        let stop = stop_rest.subscribe();
        tasks.spawn(async move { worker.run(told(stop)).await });
        tasks.spawn(watch_incidents_store(
            sinks[0].clone(),
            Fallback::new(mailer, s.alert_to, clock),
            stop_rest.subscribe(),
        ));
        let stop = stop_rest.subscribe();
        tasks.spawn(async move {
            dashboard.run(told(stop)).await;
            keeping_fresh.abort();
        });
        let mut serving = JoinSet::new();
        let stop = stop_gateway.subscribe();
        serving.spawn(async move {
            gateway.run(told(stop)).await;
        });

        let nobody = config::nobody_would_be_mailed(&configuration.borrow());
        if s.json {
            let ready = serde_json::json!({
                "event": "ready", "ingest": ingest_url, "dashboard": dashboard_url,
                "version": env!("CARGO_PKG_VERSION"), "warning": nobody,
            });
            println!("{ready}");
        } else {
            println!("Andon is ready.\n\n  Dashboard   {dashboard_url}\n  Send to     {ingest_url}/v1/records\n");
            if s.smtp_url.is_none() {
                println!(
                    "  E-mails     {} (no --smtp-url given)",
                    s.data_dir.join("outbox").display()
                );
            }
            if let Some(why) = nobody {
                println!("  Nobody would be mailed: {why}");
            }
        }
        Ok(Andon {
            journal,
            effects,
            index,
            relational,
            judging,
            sinks,
            tasks,
            gateway: serving,
            stop_gateway,
            stop_sinks,
            stop_rest,
            stopping,
            json: s.json,
        })
    }

    /// Runs until a signal or until a journal fails for good, then ends everything in order.
    async fn until_told(mut self) -> ExitCode {
        let failure = tokio::select! {
            () = signalled() => None,
            failure = self.journal.failed() => Some(failure),
            failure = self.effects.failed() => Some(failure),
        };
        if let Some(failure) = failure {
            // What is on disk is decided by recovery at the next start; going on could only add to the doubt.
            tracing::error!(%failure, "the journal failed: the process ends");
            return exit::JOURNAL.into();
        }
        self.stop().await;
        ExitCode::SUCCESS
    }

    async fn stop(&mut self) {
        tracing::info!("stopping");
        self.stopping.store(true, Ordering::Release);
        self.stop_gateway.send_replace(true);
        while self.gateway.join_next().await.is_some() {}
        let judged = self.judging.drain(DRAIN).await;
        // The effects of what was judged reach the store while the notifier still works.
        let until = tokio::time::Instant::now() + DRAIN;
        for sink in &mut self.sinks {
            let head = if sink.name == "incidents" {
                self.effects.durable_seq()
            } else {
                continue;
            };
            let _ = tokio::time::timeout_at(until, sink.done.wait_for(|d| *d >= head)).await;
        }
        self.stop_sinks.send_replace(true);
        self.stop_rest.send_replace(true);
        let ended = tokio::time::timeout(DRAIN, async { while self.tasks.join_next().await.is_some() {} })
            .await
            .is_ok();
        self.judging.stop().await;
        if let Err(e) = self.index.close().await {
            tracing::warn!(error = %e, "the log index did not close cleanly; the journal has what it lacks");
        }
        self.relational.close().await;
        self.journal.close().await;
        self.effects.close().await;
        tracing::info!(judged, ended, "stopped");
        if self.json {
            println!("{}", serde_json::json!({ "event": "stopped" }));
        }
    }
}

async fn start_sink<S: Sink>(
    sink: S,
    journal: &Journal,
    sinks: &mut Vec<SinkProgress>,
    tasks: &mut JoinSet<()>,
    stop: &watch::Sender<bool>,
) -> anyhow::Result<()> {
    let writer = Writer::open(sink, journal.clone()).await.map_err(adoptable)?;
    sinks.push(writer.progress());
    tasks.spawn(writer.run(stop.subscribe()));
    Ok(())
}

/// The configuration: that of the file, and the people whom `andon user` has added beside the running server.
struct People {
    judging: Judging,
    store: Arc<SqliteStore>,
    file: Configuration,
    file_has_default_route: bool,
}

impl People {
    /// Journals the configuration if it is not the one in force, and waits until it is. Returns the generation of the people in it.
    async fn configure(&self) -> anyhow::Result<u64> {
        // A change after the number was read is seen the next time.
        let generation = self.store.people_generation().await.map_err(exit::config)?;
        let mut new = self.file.clone();
        config::add_people(
            &mut new,
            &self.store.people().await.map_err(exit::config)?,
            self.file_has_default_route,
        );
        let mut in_force = self.judging.configuration();
        // A configuration of a past run may still lie in the journal, not yet judged.
        let head = self.judging.head();
        let mut routed = self.judging.routed();
        let wait = async { routed.wait_for(|r| *r >= head).await.map(drop) };
        tokio::time::timeout(REPLAY, wait)
            .await
            .context("replaying the journal takes too long")??;
        let old = in_force.borrow_and_update().clone();
        new.version = old.version;
        if new == *old {
            return Ok(generation);
        }
        new.version = old.version + 1;
        let version = new.version;
        self.judging
            .control(&Control::Configured(Arc::new(new)))
            .await
            .context("the configuration cannot be journaled")?;
        let wait = in_force.wait_for(|c| c.version >= version);
        tokio::time::timeout(CONFIGURE, wait)
            .await
            .context("the configuration does not take effect")??;
        Ok(generation)
    }

    async fn follow(self, mut generation: u64, stop: watch::Receiver<bool>) {
        while tokio::time::timeout(PEOPLE_EVERY, told(stop.clone())).await.is_err() {
            match self.store.people_generation().await {
                Ok(now) if now == generation => {}
                Ok(_) => match self.configure().await {
                    Ok(now) => generation = now,
                    Err(e) => {
                        tracing::warn!(error = %e, "a change of people could not be taken over; it is tried again")
                    }
                },
                Err(e) => tracing::debug!(error = %e, "people cannot be read now"),
            }
        }
    }
}

/// What was answered in the last ten minutes, so that a retry is still known after a restart.
async fn restore_retries(gateway: &Gateway, journal: &Journal, clock: &dyn Clock) -> anyhow::Result<()> {
    let from = journal.seq_received_at(clock.now().minus(RETRY_WINDOW)).await?;
    let mut headers = journal.headers(from);
    while let Some(entry) = headers.next().await? {
        if entry.kind != andon_actors::entries::RECORDS {
            continue;
        }
        match decode_header(&entry.header) {
            Ok((h, _)) => gateway.restore_retries([(entry.received_at, h.retry_hashes, h.idempotency)]),
            Err(e) => {
                tracing::error!(seq = entry.seq, error = %e, "an entry's header cannot be read: its retries are not known")
            }
        }
    }
    Ok(())
}

/// When incidents cannot be written for long while effects wait, the people of `--alert-to` hear of it.
async fn watch_incidents_store(sink: SinkProgress, fallback: Fallback, stop: watch::Receiver<bool>) {
    loop {
        let reachable = sink.trouble.borrow().is_none();
        fallback.observe(reachable, sink.lag()).await;
        if tokio::time::timeout(Duration::from_secs(2), told(stop.clone()))
            .await
            .is_ok()
        {
            return;
        }
    }
}

async fn signalled() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}
