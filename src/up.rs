//! `andon up`: everything in one process. Opens the stores, checks that they belong together, wires the parts, and ends them in order.

mod people;
mod settings;
mod stores;

pub use settings::{DATA_DIR, UpArgs};
pub use stores::database_path;

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
use andon_actors::sinks::{Sink, SinkProgress, Writer};
use andon_actors::work::EngineJudge;
use andon_dashboard_api::{Dashboard, DashboardArgs, LiveFeed, ShardsHealth};
use andon_engine::intake::decode_header;
use andon_engine::limits::{RETRY_WINDOW, SHARDS};
use andon_engine::time::{Clock, Span};
use andon_gateway::{Config as GatewayConfig, Gateway};
use andon_storage::journal::Journal;
use andon_storage::keys::KeyCache;
use andon_storage::link_token::LinkTokens;
use andon_storage::sqlite::SqliteStore;
use andon_storage::tantivy_index::TantivyIndex;
use anyhow::Context;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use people::People;
use settings::{Settings, settings};
use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use stores::Stores;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How long checkpoints may be apart: what a restart has to judge again.
const CHECKPOINT_EVERY: Span = Span::secs(10);
/// Shutdown stays under 10 s: the gateway gives requests 3 s, then judging gets this, then its effects, then deliveries in flight.
const JUDGE_WITHIN: Duration = Duration::from_millis(1_500);
const WRITE_EFFECTS_WITHIN: Duration = Duration::from_secs(1);
/// The notifier's own 3 s for what is on its way, and a little.
const END_TASKS_WITHIN: Duration = Duration::from_millis(3_500);
/// Values of histograms that wait to be sorted in: at most what this time brings.
const METRICS_EVERY: Duration = Duration::from_secs(5);

/// The command: starts, says so, and runs until a signal or until a journal fails.
pub async fn run(args: UpArgs) -> anyhow::Result<ExitCode> {
    let s = settings(args)?;
    init_logs(s.json);
    let andon = Andon::start(s, Arc::new(SystemClock)).await?;
    andon.announce();
    Ok(andon.until_told().await)
}

/// Starts everything on the clock given. Both ports answer when this returns. A failure carries its exit code ([`exit::of`]).
pub async fn start(args: UpArgs, clock: Arc<dyn Clock>) -> anyhow::Result<Andon> {
    Andon::start(settings(args)?, clock).await
}

/// The metrics of this process, which can have one recorder only: whoever starts next shares it.
fn metrics_of_process() -> anyhow::Result<PrometheusHandle> {
    static HANDLE: Mutex<Option<PrometheusHandle>> = Mutex::new(None);
    let mut handle = HANDLE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = &*handle {
        return Ok(handle.clone());
    }
    let installed = PrometheusBuilder::new()
        .set_buckets(&[
            0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
        ])
        .context("metrics")?
        .install_recorder()
        .context("metrics")?;
    Ok(handle.insert(installed).clone())
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

/// The running program. End it with [`Andon::stop`]: one that is only dropped leaves its stores as a crash would.
pub struct Andon {
    /// Root of the ingest service, `http://127.0.0.1:7400`.
    pub ingest_url: String,
    /// Root of the dashboard service.
    pub dashboard_url: String,
    /// Where e-mails become files, when there is no mail server.
    pub outbox: Option<PathBuf>,
    /// Why nobody would be mailed, if so.
    pub nobody_would_be_mailed: Option<String>,
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

impl fmt::Debug for Andon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Andon")
            .field("ingest_url", &self.ingest_url)
            .field("dashboard_url", &self.dashboard_url)
            .finish_non_exhaustive()
    }
}

async fn told(mut stop: watch::Receiver<bool>) {
    // A sender that is gone says the same.
    let _ = stop.wait_for(|s| *s).await;
}

impl Andon {
    async fn start(s: Settings, clock: Arc<dyn Clock>) -> anyhow::Result<Andon> {
        let prometheus = metrics_of_process()?;
        let Stores {
            journal,
            effects,
            relational,
            checkpoints,
            index,
            token_secret,
        } = Stores::open(&s, &clock).await?;
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
            LogIndexWriter::new(index.clone(), relational.clone(), journal.id()),
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

        tasks.spawn(keep_metrics_small(prometheus.clone(), stop_rest.subscribe()));

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

        let outbox = s.smtp_url.is_none().then(|| s.data_dir.join("outbox"));
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

        let nobody_would_be_mailed = config::nobody_would_be_mailed(&configuration.borrow());
        Ok(Andon {
            ingest_url,
            dashboard_url,
            outbox,
            nobody_would_be_mailed,
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

    /// Says on standard output that it is ready, and where.
    fn announce(&self) {
        let (ingest, dashboard) = (&self.ingest_url, &self.dashboard_url);
        if self.json {
            let ready = serde_json::json!({
                "event": "ready", "ingest": ingest, "dashboard": dashboard,
                "version": env!("CARGO_PKG_VERSION"), "warning": self.nobody_would_be_mailed,
            });
            println!("{ready}");
            return;
        }
        println!("Andon is ready.\n\n  Dashboard   {dashboard}\n  Send to     {ingest}/v1/records\n");
        if let Some(outbox) = &self.outbox {
            println!("  E-mails     {} (no --smtp-url given)", outbox.display());
        }
        if let Some(why) = &self.nobody_would_be_mailed {
            println!("  Nobody would be mailed: {why}");
        }
    }

    /// Runs until a signal or until a journal fails for good, then ends everything in order.
    async fn until_told(self) -> ExitCode {
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
        let json = self.json;
        self.stop().await;
        if json {
            println!("{}", serde_json::json!({ "event": "stopped" }));
        }
        ExitCode::SUCCESS
    }

    /// Ends everything in order: requests, judging, effects, notifier, stores. Under 10 s; what a sink has not done stays in the journal.
    pub async fn stop(mut self) {
        tracing::info!("stopping");
        self.stopping.store(true, Ordering::Release);
        self.stop_gateway.send_replace(true);
        while self.gateway.join_next().await.is_some() {}
        let judged = self.judging.drain(JUDGE_WITHIN).await;
        // The effects of what was judged reach the store while the notifier still works.
        let until = tokio::time::Instant::now() + WRITE_EFFECTS_WITHIN;
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
        let ended = tokio::time::timeout(END_TASKS_WITHIN, async {
            while self.tasks.join_next().await.is_some() {}
        })
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
    }
}

async fn start_sink<S: Sink>(
    sink: S,
    journal: &Journal,
    sinks: &mut Vec<SinkProgress>,
    tasks: &mut JoinSet<()>,
    stop: &watch::Sender<bool>,
) -> anyhow::Result<()> {
    let writer = Writer::open(sink, journal.clone()).await.map_err(exit::config)?;
    sinks.push(writer.progress());
    tasks.spawn(writer.run(stop.subscribe()));
    Ok(())
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

/// A histogram keeps every value until somebody reads it or this is done: where nobody scrapes, they would pile up.
async fn keep_metrics_small(prometheus: PrometheusHandle, stop: watch::Receiver<bool>) {
    while tokio::time::timeout(METRICS_EVERY, told(stop.clone())).await.is_err() {
        prometheus.run_upkeep();
    }
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
