//! The services with a journal: `andon up`, everything in one process, and `andon gateway`, the same without the dashboard. Opens the
//! stores, checks that they belong together, wires the parts, and ends them in order.

pub(crate) mod home;
mod owner;
mod people;
pub(crate) mod ports;
pub(crate) mod process;
mod requests;
mod retention;
pub(crate) mod settings;
pub(crate) mod start;
pub(crate) mod stores;

pub use settings::{DATA_DIR, DashboardArgs, GatewayArgs, MailArgs, NotifierArgs, ServiceArgs, StoreArgs, UpArgs};
pub use stores::database_path;

use crate::adapters::Running;
use crate::clock::SystemClock;
use crate::exit;
use andon_actors::judging::Judging;
use andon_actors::sinks::fenced;
use andon_dashboard_api::{System, SystemStatus};
use andon_engine::time::Clock;
use process::{init_logs, signalled};
use settings::{Settings, gateway_settings, up_settings};
use start::Background;
use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use stores::Stores;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Shutdown stays under 10 s: the gateway gives requests 3 s, then judging gets this, then its effects, then deliveries in flight.
const JUDGE_WITHIN: Duration = Duration::from_millis(1_500);
const WRITE_EFFECTS_WITHIN: Duration = Duration::from_secs(1);
/// The notifier's own 3 s for what is on its way, and a little.
const END_TASKS_WITHIN: Duration = Duration::from_millis(3_500);
/// `andon up`: starts, says so, and runs until a signal or until a journal fails.
pub async fn run(args: UpArgs) -> anyhow::Result<ExitCode> {
    serve(up_settings(args)?).await
}

/// `andon gateway`.
pub async fn run_gateway(args: GatewayArgs) -> anyhow::Result<ExitCode> {
    serve(gateway_settings(args)?).await
}

async fn serve(s: Settings) -> anyhow::Result<ExitCode> {
    init_logs(s.json);
    let andon = Andon::start(s, Arc::new(SystemClock)).await?;
    andon.announce();
    Ok(andon.until_told().await)
}

/// Starts everything on the clock given. Both ports answer when this returns. A failure carries its exit code ([`exit::of`]).
pub async fn start(args: UpArgs, clock: Arc<dyn Clock>) -> anyhow::Result<Andon> {
    Andon::start(up_settings(args)?, clock).await
}

/// The same for the ingest service alone.
pub async fn start_gateway(args: GatewayArgs, clock: Arc<dyn Clock>) -> anyhow::Result<Andon> {
    Andon::start(gateway_settings(args)?, clock).await
}

/// The running program. End it with [`Andon::stop`]: one that is only dropped leaves its stores as a crash would.
pub struct Andon {
    /// Root of the ingest service, `http://127.0.0.1:7400`.
    pub ingest_url: String,
    /// Root of the dashboard service, if this process serves it.
    pub dashboard_url: Option<String>,
    /// Where e-mails become files, when there is no mail server.
    pub outbox: Option<PathBuf>,
    /// Why nobody would be mailed, if so.
    pub nobody_would_be_mailed: Option<String>,
    stores: Stores,
    judging: Judging,
    background: Background,
    gateway: JoinSet<()>,
    stop_gateway: watch::Sender<bool>,
    stopping: Arc<AtomicBool>,
    running: Arc<Running>,
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

pub(crate) async fn told(mut stop: watch::Receiver<bool>) {
    // A sender that is gone says the same.
    let _ = stop.wait_for(|s| *s).await;
}

impl Andon {
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
        println!("Andon is ready.\n");
        if let Some(dashboard) = dashboard {
            println!("  Dashboard   {dashboard}");
        }
        println!("  Send to     {ingest}/v1/records\n");
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
            failure = self.stores.journal.failed() => Some(failure),
            failure = self.stores.effects.failed() => Some(failure),
            (store, reason) = fenced(&self.background.sinks) => return taken_over(store, &reason),
            reason = self.stores.owned.lost() => return taken_over("the site", &reason),
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

    /// As the dashboard shows it.
    pub fn status(&self) -> SystemStatus {
        self.running.status()
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
        let head = self.stores.effects.durable_seq();
        for sink in self.background.sinks.iter_mut().filter(|s| s.name == "incidents") {
            let _ = tokio::time::timeout_at(until, sink.done.wait_for(|d| *d >= head)).await;
        }
        self.background.stop_sinks.send_replace(true);
        self.background.stop_rest.send_replace(true);
        let ended = tokio::time::timeout(END_TASKS_WITHIN, async {
            while self.background.tasks.join_next().await.is_some() {}
        })
        .await
        .is_ok();
        self.judging.stop().await;
        self.stores.close().await;
        tracing::info!(judged, ended, "stopped");
    }
}

/// Nothing of what runs may be finished in order: it would write to stores that are another process's. The journal has it.
fn taken_over(store: &str, reason: &str) -> ExitCode {
    tracing::error!(store, reason, "another process owns the site now: this one ends");
    exit::TEMPORARY.into()
}
