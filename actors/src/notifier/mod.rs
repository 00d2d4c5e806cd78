//! The notifier: turns alert rows into messages, and sends them.
//!
//! *Owns* the rows of deliveries, notices, slots and told ([`DeliveryStore`]). *Fed by* alert rows; a wake-up says that there are new
//! ones, and a sweep finds them without it. *Survives a restart*: everything, for everything is in the rows. A message is claimed, sent,
//! noted, in this order: a crash between the server's answer and our note sends it again with the same Message-ID, and loses none.
//!
//! A step has three parts: expand alerts into deliveries ([`expand`]), decide for each target what to send and what to hold
//! ([`decide`]), send what is due ([`send`]). [`Notifier::run`] does them as they become due; tests call [`Notifier::step`] with
//! their own clock.

mod address;
mod bodies;
mod decide;
mod expand;
mod fallback;
mod gather;
mod http;
mod letter;
mod mail;
mod mailer;
mod queue;
mod send;
mod smtp;
mod telemetry;
mod words;

pub use address::email_address;
pub use expand::{OWN_TYPE_PREFIX, routes_without_people};
pub use fallback::{FALLBACK_AFTER, Fallback};
pub use http::{Secrets, signature};
pub use mailer::{Fault, MailSettingError, Mailer, SendError};
pub use queue::{JobQueue, LocalQueue, RedisQueue};

use crate::self_log::SelfLog;
use andon_engine::configuration_index::{ConfigurationIndex, IndexInForce};
use andon_engine::ids::AlertId;
use andon_engine::incident::Incident;
use andon_engine::level::Level;
use andon_engine::rule::Configuration;
use andon_engine::time::{Clock, Span, Timestamp};
use andon_storage::link_token::LinkTokens;
use andon_storage::ports::Result;
use andon_storage::ports::deliveries::DeliveryStore;
use andon_storage::ports::incidents::IncidentStore;
use futures_util::StreamExt as _;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

/// Unfinished work is looked for this often, whoever forgot to say that there is some.
const SWEEP: Duration = Duration::from_secs(10);
/// After a step that a store refused.
const STORE_PAUSE: Duration = Duration::from_secs(1);
/// Messages on their way at a time: SMTP servers are slow, and one that hangs must not keep a webhook waiting.
const WORKERS: usize = 8;
/// At shutdown messages on their way get this long.
const DRAIN: Duration = Duration::from_secs(3);
const PAGE: u32 = 256;
const PAGES_MAX: usize = 64;
/// What became of a message is kept this long.
const KEPT: Span = Span::hours(24 * 90);
const PRUNE_EVERY: Span = Span::hours(6);

/// The last lines of the log before and around an incident, newest last. Best effort: an empty list is an answer.
#[async_trait::async_trait]
pub trait RecentLines: Send + Sync + 'static {
    async fn lines(&self, incident: &Incident, n: usize) -> Vec<String>;
}

/// Where a failed delivery is noted as a WARN record of Andon itself. Never waits: what does not fit is dropped and counted there.
pub trait FailureLog: Send + Sync + 'static {
    /// `kind` is the record's type: `andon.notifier.email`.
    fn warn(&self, kind: &str, message: &str);
}

impl FailureLog for SelfLog {
    fn warn(&self, kind: &str, message: &str) {
        self.write(Level::Warn, kind, message);
    }
}

pub struct NotifierArgs {
    pub store: Arc<dyn DeliveryStore>,
    pub incidents: Arc<dyn IncidentStore>,
    pub config: watch::Receiver<Arc<Configuration>>,
    pub lines: Arc<dyn RecentLines>,
    pub mailer: Arc<Mailer>,
    pub secrets: Secrets,
    /// Embedded: [`LocalQueue`].
    pub queue: Arc<dyn JobQueue>,
    pub clock: Arc<dyn Clock>,
    /// What the age of messages is measured against.
    pub age: Arc<dyn Clock>,
    /// Base of every link: `https://andon.example.com`.
    pub public_url: String,
    pub token_secret: [u8; 32],
    pub self_log: Arc<dyn FailureLog>,
    /// Names this notifier in claims. Claims of the same name that are found at start are of a run that is over, and are taken over at
    /// once; those of others run out.
    pub owner: String,
}

impl fmt::Debug for NotifierArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NotifierArgs")
            .field("public_url", &self.public_url)
            .field("owner", &self.owner)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, thiserror::Error)]
pub enum NotifierError {
    #[error("the HTTP client for webhooks cannot be made: {0}")]
    Http(String),
}

/// What a step did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StepReport {
    /// Alerts expanded into deliveries.
    pub expanded: u64,
    /// Messages decided on.
    pub noticed: u64,
    pub sent: u64,
    pub retried: u64,
    pub dead: u64,
}

/// A handle; clones work on the same notifier.
#[derive(Clone)]
pub struct Notifier {
    inner: Arc<Inner>,
}

struct Inner {
    args: NotifierArgs,
    tokens: LinkTokens,
    http: http::HttpSender,
    wake: Notify,
    /// Of the configuration that muted deliveries were last reviewed by, plus one.
    reviewed: AtomicU64,
    index: IndexInForce,
}

impl fmt::Debug for Notifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.inner.args, f)
    }
}

impl Notifier {
    /// # Errors
    /// When the HTTP client cannot be made (no TLS roots).
    pub fn new(args: NotifierArgs) -> std::result::Result<Self, NotifierError> {
        let http = http::HttpSender::new(args.secrets.clone()).map_err(|e| NotifierError::Http(e.to_string()))?;
        let tokens = LinkTokens::new(args.token_secret);
        Ok(Self {
            inner: Arc::new(Inner {
                args,
                tokens,
                http,
                wake: Notify::new(),
                reviewed: AtomicU64::new(0),
                index: IndexInForce::default(),
            }),
        })
    }

    /// There are new alerts. Never waits; calling it often costs nothing.
    pub fn wake(&self) {
        self.inner.wake.notify_one();
    }

    /// Takes over what a predecessor of the same name had claimed.
    pub async fn recover(&self) -> Result<u64> {
        let args = &self.inner.args;
        args.store.release_claims(&args.owner).await
    }

    /// Everything that is due at `now`, to the end.
    pub async fn step(&self, now: Timestamp) -> Result<StepReport> {
        let mut report = self.plan(now).await?;
        loop {
            let due = self.inner.args.store.sendable(now, PAGE).await?;
            if due.is_empty() {
                return Ok(report);
            }
            let results: Vec<_> = futures_util::stream::iter(due)
                .map(|id| self.deliver(id))
                .buffer_unordered(WORKERS)
                .collect()
                .await;
            let mut claimed = false;
            for r in results {
                match r? {
                    send::Delivered::Sent => report.sent += 1,
                    send::Delivered::Retried => report.retried += 1,
                    send::Delivered::Dead => report.dead += 1,
                    send::Delivered::NotOurs => continue,
                }
                claimed = true;
            }
            if !claimed {
                // Others have them.
                return Ok(report);
            }
        }
    }

    /// Expands and decides.
    async fn plan(&self, now: Timestamp) -> Result<StepReport> {
        let args = &self.inner.args;
        let config = self.inner.index.of(&args.config.borrow().clone());
        let reviewed = config.version.wrapping_add(1);
        if self.inner.reviewed.load(Ordering::Acquire) != reviewed {
            args.store.review_muted(now).await?;
            self.inner.reviewed.store(reviewed, Ordering::Release);
        }
        let mut report = StepReport {
            expanded: self.expand(&config, now).await?,
            ..StepReport::default()
        };
        // A page at a time. Bounded, because another notifier may keep deciding before us; the sweep comes again.
        for _ in 0..PAGES_MAX {
            let decided = gather::decide_targets(args, &config, now).await?;
            report.noticed += decided.notices;
            if !decided.more {
                break;
            }
        }
        Ok(report)
    }

    async fn expand(&self, config: &ConfigurationIndex, now: Timestamp) -> Result<u64> {
        let store = &self.inner.args.store;
        let mut expanded = 0;
        loop {
            let alerts = store.unexpanded(PAGE).await?;
            let before = expanded;
            for &id in &alerts {
                match self.expand_one(id, config, now).await {
                    Ok(true) => expanded += 1,
                    Ok(false) => {}
                    Err(e) if e.is_temporary() => return Err(e),
                    // One row that cannot be read must not keep the others from being told.
                    Err(e) => tracing::error!(alert = %id, error = %e, "an alert cannot be told"),
                }
            }
            if alerts.len() < PAGE as usize || expanded == before {
                return Ok(expanded);
            }
        }
    }

    async fn expand_one(&self, id: AlertId, config: &ConfigurationIndex, now: Timestamp) -> Result<bool> {
        let args = &self.inner.args;
        let Some(alert) = args.incidents.alert(id).await? else {
            return Ok(false);
        };
        let incident = gather::incident_or_unknown(args, &alert).await?;
        let deliveries = expand::expand(&alert, &incident, config, now);
        if deliveries.is_empty() && !incident.silent {
            tracing::warn!(incident = %incident.id, rule = %incident.rule, "nobody is told: the rule's route leads nowhere");
            metrics::counter!(telemetry::NOBODY_TOLD).increment(1);
        }
        args.store.expand(id, &deliveries, now).await
    }

    /// Works until `shutdown` is ready, then lets messages on their way finish for 3 s and gives the other claims back.
    pub async fn run(&self, shutdown: impl Future<Output = ()> + Send) {
        if let Err(e) = self.recover().await {
            tracing::warn!(error = %e, "claims of the last run could not be taken over: they run out by themselves");
        }
        let (stop, stopped) = watch::channel(false);
        let mut workers = JoinSet::new();
        for _ in 0..WORKERS {
            workers.spawn(self.clone().work(stopped.clone()));
        }
        let mut config = self.inner.args.config.clone();
        let mut pruned = Timestamp::MIN;
        let mut failing = false;
        let mut configurable = true;
        tokio::pin!(shutdown);
        loop {
            let now = self.inner.args.clock.now();
            let pause = match self.sweep(now, &mut pruned).await {
                Ok(pause) => {
                    failing = false;
                    pause
                }
                Err(e) => {
                    // Once for each outage; the metric counts the rest.
                    if !std::mem::replace(&mut failing, true) {
                        tracing::warn!(error = %e, "the notifier cannot work: trying again");
                    }
                    metrics::counter!(telemetry::STORE_ERRORS).increment(1);
                    STORE_PAUSE
                }
            };
            tokio::select! {
                () = &mut shutdown => break,
                () = self.inner.wake.notified() => {}
                // Without its sender it would be ready for ever.
                changed = config.changed(), if configurable => configurable = changed.is_ok(),
                () = tokio::time::sleep(pause) => {}
            }
        }
        let _ = stop.send(true);
        let drained = tokio::time::timeout(DRAIN, async { while workers.join_next().await.is_some() {} }).await;
        if drained.is_err() {
            workers.shutdown().await;
        }
        if let Err(e) = self.inner.args.store.release_claims(&self.inner.args.owner).await {
            tracing::warn!(error = %e, "claims could not be given back: they run out by themselves");
        }
    }

    /// Plans, and queues what is due. How long to wait until something is due again.
    async fn sweep(&self, now: Timestamp, pruned: &mut Timestamp) -> Result<Duration> {
        let args = &self.inner.args;
        self.plan(now).await?;
        for id in args.store.sendable(now, PAGE).await? {
            args.queue.push(id).await;
        }
        if now.since(*pruned) > PRUNE_EVERY {
            args.store.prune_deliveries(args.age.now().minus(KEPT)).await?;
            *pruned = now;
        }
        let due = args.store.next_due(now).await?;
        // One millisecond more, so that a wait that ends early by rounding does not go round twice.
        Ok(due.map_or(SWEEP, |t| (t.since(now).to_std() + Duration::from_millis(1)).min(SWEEP)))
    }

    async fn work(self, mut stopped: watch::Receiver<bool>) {
        loop {
            let id = tokio::select! {
                biased;
                _ = stopped.wait_for(|s| *s) => return,
                id = self.inner.args.queue.next() => id,
            };
            let this = self.clone();
            // In a task of its own: a message that makes us panic ends neither this worker nor the others.
            match tokio::spawn(async move { this.deliver(id).await }).await {
                Ok(Ok(_)) => {}
                Ok(Err(e)) => tracing::warn!(notice = %id, error = %e, "a message waits for the store"),
                Err(e) => tracing::error!(notice = %id, error = %e, "a message could not be handled"),
            }
            // What it held back may be due now.
            self.wake();
        }
    }
}
