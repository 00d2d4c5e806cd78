//! The notifier: turns alert rows into messages, and sends them.
//!
//! *Owns* the rows of deliveries, notices, slots and told ([`DeliveryStore`]). *Fed by* alert rows; a wake-up says that there are new
//! ones, and a sweep finds them without it. *Survives a restart*: everything, for everything is in the rows. A message is claimed, sent,
//! noted, in this order: a crash between the server's answer and our note sends it again with the same Message-ID, and loses none.
//!
//! A step has three parts: expand alerts into deliveries ([`expand`]), decide for each target what to send and what to hold
//! ([`decide`]), send what is due ([`send`]). They take a page at a time, the most urgent first, and take turns: what comes while
//! thousands wait goes out after a page. [`Notifier::run`] does them as they become due; tests call [`Notifier::step`] with their own
//! clock.

mod address;
mod bodies;
mod decide;
mod directory;
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
use andon_engine::ids::AlertId;
use andon_engine::ids::IncidentId;
use andon_engine::incident::Incident;
use andon_engine::level::Level;
use andon_engine::limits::{REPEAT_EVERY_AFTER, THROTTLE_WINDOW};
use andon_engine::rule::Configuration;
use andon_engine::throttle::HISTORY_WAIT_MAX;
use andon_engine::time::{Clock, Span, Timestamp};
use andon_storage::link_token::LinkTokens;
use andon_storage::ports::Result;
use andon_storage::ports::deliveries::{DeliveryStore, Expansion, Furthest};
use andon_storage::ports::incidents::IncidentStore;
use directory::Directory;
use futures_util::StreamExt as _;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
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
/// Alerts that are expanded, and messages that are sent, before the next look at what is most urgent.
const PAGE: u32 = 256;
/// Messages that lie in the queue at a time: what is more urgent than they are waits for no more than these.
const QUEUE_PAGE: u32 = 64;
/// Alerts that cannot be read and are left out, so that they fill no page. Past it they are looked at anew.
const STUCK_MAX: usize = 10_000;
/// A clock that is corrected by less was not set back.
const CLOCK_NOISE: Span = Span::secs(1);
/// The longest that a receiver may ask us to wait is an hour, and no other wait before an attempt is longer.
const FURTHEST: Furthest = Furthest {
    window: THROTTLE_WINDOW,
    held: HISTORY_WAIT_MAX,
    repeat: REPEAT_EVERY_AFTER,
    retry: Span::hours(1),
};
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
    /// Of the configuration in force when it was last asked.
    directory: Mutex<Arc<Directory>>,
    /// Of the configuration that muted deliveries were last reviewed by, plus one.
    reviewed: AtomicU64,
    /// The newest time seen, in microseconds: when now is before it, our clock was set back.
    clock_seen: AtomicI64,
    stuck: Mutex<HashSet<AlertId>>,
}

/// What one page came to.
#[derive(Clone, Copy, Debug, Default)]
struct Page {
    expanded: u64,
    noticed: u64,
    /// There may be another.
    more: bool,
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
        let directory = Mutex::new(Arc::new(Directory::new(args.config.borrow().clone())));
        Ok(Self {
            inner: Arc::new(Inner {
                args,
                tokens,
                http,
                wake: Notify::new(),
                directory,
                reviewed: AtomicU64::new(0),
                // What an earlier process left may be of a time that was set back since.
                clock_seen: AtomicI64::new(i64::MAX),
                stuck: Mutex::new(HashSet::new()),
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
        let mut report = StepReport::default();
        self.review(now).await?;
        // Each page expands, decides or sends something, so this comes to an end.
        loop {
            let page = self.page(now).await?;
            report.expanded += page.expanded;
            report.noticed += page.noticed;
            let sent = self.send_page(now, &mut report).await?;
            if !page.more && !sent {
                return Ok(report);
            }
            if !page.more {
                while self.send_page(now, &mut report).await? {}
                return Ok(report);
            }
        }
    }

    /// The part of [`Notifier::step`] before sending: what an attempt to send finds.
    pub async fn plan(&self, now: Timestamp) -> Result<()> {
        self.review(now).await?;
        while self.page(now).await?.more {}
        Ok(())
    }

    /// Sends the most urgent of what is due. False: there was nothing, or others have it.
    async fn send_page(&self, now: Timestamp, report: &mut StepReport) -> Result<bool> {
        let due = self.inner.args.store.sendable(now, PAGE).await?;
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
        Ok(claimed)
    }

    /// The configuration in force, by what it is asked for.
    fn directory(&self) -> Arc<Directory> {
        let config = self.inner.args.config.borrow().clone();
        let mut known = self.inner.directory.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&known.config, &config) {
            *known = Arc::new(Directory::new(config));
        }
        known.clone()
    }

    /// Makes due what is held for a reason that is gone: a clock that was set back, a mute window or a shelving that was ended early.
    async fn review(&self, now: Timestamp) -> Result<()> {
        let (inner, store) = (&self.inner, &self.inner.args.store);
        let seen = Timestamp(inner.clock_seen.load(Ordering::Acquire));
        if now < seen.minus(CLOCK_NOISE) {
            let moved = store.clock_set_back(now, FURTHEST).await?;
            if seen != Timestamp(i64::MAX) {
                tracing::warn!(%seen, %now, moved, "the clock was set back: what lies further ahead than its rule can set is due again");
            }
        }
        inner.clock_seen.store(now.as_micros(), Ordering::Release);
        let reviewed = inner.args.config.borrow().version.wrapping_add(1);
        if inner.reviewed.load(Ordering::Acquire) != reviewed {
            store.review_muted(now).await?;
            inner.reviewed.store(reviewed, Ordering::Release);
        }
        store.review_shelved(now).await.map(drop)
    }

    /// Expands a page of alerts, and decides on a page of each target.
    async fn page(&self, now: Timestamp) -> Result<Page> {
        let directory = self.directory();
        let (expanded, more) = self.expand(&directory, now).await?;
        let decided = gather::decide_targets(&self.inner.args, &directory, now).await?;
        Ok(Page {
            expanded,
            noticed: decided.notices,
            more: more || decided.more,
        })
    }

    fn stuck(&self) -> std::sync::MutexGuard<'_, HashSet<AlertId>> {
        // A set of ids is as good after a panic as before.
        self.inner.stuck.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The most urgent of the alerts that nobody has expanded; how many, and whether there may be more.
    async fn expand(&self, directory: &Directory, now: Timestamp) -> Result<(u64, bool)> {
        let args = &self.inner.args;
        let left_out = self.stuck().len() as u32;
        let mut ids = args.store.unexpanded(PAGE + left_out).await?;
        {
            let stuck = self.stuck();
            ids.retain(|id| !stuck.contains(id));
        }
        if ids.is_empty() {
            return Ok((0, false));
        }
        let is_full = ids.len() >= PAGE as usize;
        let alerts = args.incidents.alerts_by_id(&ids).await?;
        let found: HashSet<AlertId> = alerts.iter().map(|a| a.id).collect();
        // One row that cannot be read must not keep the others from being sent.
        for id in ids.iter().filter(|id| !found.contains(id)) {
            self.leave_out(*id, "its row cannot be read");
        }
        let incidents: BTreeSet<IncidentId> = alerts.iter().map(|a| a.incident).collect();
        let incidents: Vec<IncidentId> = incidents.into_iter().collect();
        let incidents = args.incidents.incidents_by_id(&incidents).await?;
        let incidents: HashMap<IncidentId, Incident> = incidents.into_iter().map(|i| (i.id, i)).collect();
        let mut page = Vec::with_capacity(alerts.len());
        for alert in &alerts {
            let unknown;
            let incident = match incidents.get(&alert.incident) {
                Some(incident) => incident,
                None => {
                    // One that is not there, or cannot be read, must not keep anybody from being notified.
                    unknown = expand::incident_unknown(alert);
                    &unknown
                }
            };
            let deliveries = expand::expand(alert, incident, directory, now);
            if deliveries.is_empty() && !incident.silent {
                tracing::warn!(incident = %incident.id, rule = %incident.rule, "nobody is notified: the rule's route leads nowhere");
                metrics::counter!(telemetry::NOBODY_TOLD).increment(1);
            }
            page.push(Expansion {
                alert: alert.id,
                deliveries,
            });
        }
        Ok((self.write(&page, now).await?, is_full))
    }

    /// Writes a page; where the store refuses it, one by one, so that one refused alert stops no other.
    async fn write(&self, page: &[Expansion], now: Timestamp) -> Result<u64> {
        let store = &self.inner.args.store;
        match store.expand_all(page, now).await {
            Ok(new) => return Ok(new.len() as u64),
            Err(e) if e.is_temporary() => return Err(e),
            Err(_) => {}
        }
        let mut expanded = 0;
        for one in page {
            match store.expand_all(std::slice::from_ref(one), now).await {
                Ok(new) => expanded += new.len() as u64,
                Err(e) if e.is_temporary() => return Err(e),
                Err(e) => self.leave_out(one.alert, &e.to_string()),
            }
        }
        Ok(expanded)
    }

    fn leave_out(&self, alert: AlertId, why: &str) {
        tracing::error!(%alert, why, "an alert cannot be sent");
        let mut stuck = self.stuck();
        if stuck.len() >= STUCK_MAX {
            stuck.clear();
        }
        stuck.insert(alert);
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

    /// A page: expands, decides, and queues what is most urgent. How long to wait until something is due again.
    async fn sweep(&self, now: Timestamp, pruned: &mut Timestamp) -> Result<Duration> {
        let args = &self.inner.args;
        self.review(now).await?;
        let page = self.page(now).await?;
        for id in args.store.sendable(now, QUEUE_PAGE).await? {
            args.queue.push(id).await;
        }
        if page.more {
            return Ok(Duration::ZERO);
        }
        // Before it: the clock was set back.
        if now < *pruned || now.since(*pruned) > PRUNE_EVERY {
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
