//! `andon notifier`: the notifier in a process of its own, for a gateway that was started with `--no-notifier`. It finds alerts in
//! PostgreSQL, hears over Redis that there are new ones, and tells people of them. Several may run: each message is sent by one of them.

use crate::adapters::IndexLines;
use crate::bus;
use crate::clock::SystemClock;
use crate::companion::{Companion, InForce};
use crate::exit;
use crate::heartbeat;
use crate::shared_clock::SharedClock;
use crate::up::NotifierArgs;
use crate::up::ports::Relations;
use crate::up::process::init_logs;
use crate::up::settings::{MailSettings, NotifierSettings, notifier_settings};
use crate::up::start::{Metrics, WATCH_EVERY, mailer};
use crate::up::told;
use andon_actors::notifier::{self, FailureLog, Fallback, Notifier, RedisQueue, Secrets};
use andon_engine::time::{Clock, Span, Timestamp};
use andon_storage::redis::live::{LiveBus, LiveEvent, LiveFeed, LiveKind};
use andon_storage::retention::RetentionClock;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::Instant;

/// What it hears of the gateway.
const NEWS: [LiveKind; 2] = [LiveKind::Alerts, LiveKind::Status];
/// What the gateway said longer ago than this says nothing any more.
const SILENT_AFTER: Duration = Duration::from_secs(5);
/// How often it is read what others have told, and how far back of the last.
const REMEMBER_EVERY: Duration = Duration::from_secs(5);
const CLOCKS_DIFFER: Span = Span::mins(5);
/// Until the gateway has written the configuration by which people are told.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// How long a question whether it is ready may take.
const READY_WITHIN: Duration = Duration::from_secs(2);

/// The command.
pub async fn run(args: NotifierArgs) -> anyhow::Result<ExitCode> {
    let s = notifier_settings(args)?;
    init_logs(s.json);
    let json = s.json;
    let service = NotifierService::start(s, Arc::new(SystemClock), true).await?;
    service.announce(json);
    Ok(service.companion.run(json).await)
}

/// Starts it on the clock given.
pub async fn start(args: NotifierArgs, clock: Arc<dyn Clock>) -> anyhow::Result<NotifierService> {
    NotifierService::start(notifier_settings(args)?, clock, false).await
}

/// The running service. End it with [`NotifierService::stop`].
pub struct NotifierService {
    /// Where it says how it is, `http://127.0.0.1:7402`.
    pub url: String,
    /// Where e-mails become files, when there is no mail server.
    pub outbox: Option<PathBuf>,
    companion: Companion,
}

impl fmt::Debug for NotifierService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NotifierService")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

impl NotifierService {
    /// `shared`: by the time of the database, which other notifiers go by too.
    async fn start(s: NotifierSettings, clock: Arc<dyn Clock>, shared: bool) -> anyhow::Result<Self> {
        let mut companion = Companion::join(&s.stores, "notifier", &clock).await?;
        let clock = if shared {
            by_database(&mut companion, clock).await?
        } else {
            clock
        };
        let bus = LiveBus::new(companion.redis.clone());
        let news = bus.subscribe(&NEWS).await.map_err(exit::store)?;
        let mailer = mailer(&s.mail)?;
        let outbox = s.mail.smtp_url.is_none().then(|| s.mail.outbox.clone());
        let worker = Notifier::new(parts(&companion, &s.mail, &mailer, bus, &clock)).map_err(exit::config)?;

        let heard = Arc::new(Heard::default());
        let (in_force, stop) = (companion.in_force.clone(), companion.stopping());
        companion.spawn(hear(news, in_force, worker.clone(), heard.clone(), stop));
        let (relational, stop) = (companion.relational.clone(), companion.stopping());
        companion.spawn(remember_sent(relational, stop));
        let can_tell = s.mail.smtp_url.is_some() && !s.mail.alert_to.is_empty();
        let fallback = Arc::new(Fallback::new(mailer, s.mail.alert_to, clock));
        let key = heartbeat::Key::of(&companion.token_secret);
        let gateway = Arc::new(heartbeat::Listener::new(key, can_tell, fallback.clone()));
        let watching = watch_gateway(gateway.clone(), heard, fallback, companion.stopping());
        companion.spawn(watching);
        let (in_force, stop) = (companion.in_force.clone(), companion.stopping());
        companion.spawn(async move {
            // By no configuration nobody would be told, and the alert counted as told.
            if until_configured(&in_force, stop.clone()).await {
                worker.run(told(stop)).await;
            }
        });
        let listener = TcpListener::bind(s.listen)
            .await
            .map_err(|e| exit::config(format!("notifier cannot listen on {}: {e}", s.listen)))?;
        let url = format!("http://{}", listener.local_addr()?);
        let serving = serve(
            listener,
            gateway,
            companion.in_force.clone(),
            companion.metrics.clone(),
            companion.stopping(),
        );
        companion.spawn(serving);
        Ok(Self { url, outbox, companion })
    }

    fn announce(&self, json: bool) {
        if json {
            let ready = serde_json::json!({
                "event": "ready", "ingest": null, "dashboard": null, "notifier": self.url,
                "version": env!("CARGO_PKG_VERSION"), "warning": null,
            });
            println!("{ready}");
            return;
        }
        println!("The notifier is ready: {}", self.url);
        if let Some(outbox) = &self.outbox {
            println!("E-mails: {} (no --smtp-url given)", outbox.display());
        }
    }

    /// Lets messages on their way finish, then ends.
    pub async fn stop(self) {
        self.companion.stop().await;
    }
}

async fn by_database(companion: &mut Companion, own: Arc<dyn Clock>) -> anyhow::Result<Arc<dyn Clock>> {
    let clock = SharedClock::start(own, &*companion.relational)
        .await
        .map_err(exit::store)?;
    let following = clock.clone().follow(companion.relational.clone(), companion.stopping());
    companion.spawn(following);
    Ok(clock)
}

fn parts(
    companion: &Companion,
    mail: &MailSettings,
    mailer: &Arc<notifier::Mailer>,
    bus: LiveBus,
    clock: &Arc<dyn Clock>,
) -> notifier::NotifierArgs {
    notifier::NotifierArgs {
        store: companion.relational.clone(),
        incidents: companion.relational.clone(),
        config: companion.in_force.subscribe(),
        lines: Arc::new(IndexLines {
            index: companion.index.clone(),
        }),
        mailer: mailer.clone(),
        secrets: Secrets::new(mail.secrets.clone()),
        queue: Arc::new(RedisQueue::new(companion.redis.clone())),
        clock: clock.clone(),
        age: age(clock),
        public_url: mail.public_url.clone().unwrap_or_default(),
        token_secret: companion.token_secret,
        self_log: Arc::new(ToGateway(bus)),
        // Several may run: none can take over at once what another had.
        owner: format!("notifier-{:016x}", rand::random::<u64>()),
    }
}

/// It has no journal whose newest entry could be compared, and no folder to remember a time in: the clock has to run steadily.
fn age(clock: &Arc<dyn Clock>) -> Arc<dyn Clock> {
    let age = RetentionClock::new(clock.clone(), None);
    age.measure_against(|| Some(Timestamp::MAX));
    Arc::new(age)
}

/// The gateway, which has the journal, makes records of what could not be delivered.
struct ToGateway(LiveBus);

impl FailureLog for ToGateway {
    fn warn(&self, kind: &str, message: &str) {
        // It may be lost on the way; the log of this process has it too.
        self.0.publish(LiveKind::Failures, bus::encode_failure(kind, message));
    }
}

/// What the gateway last said of its writer of incidents and alerts.
#[derive(Default)]
struct Heard(Mutex<Option<(Instant, bool, u64)>>);

impl Heard {
    fn note(&self, reachable: bool, waiting: u64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), reachable, waiting));
    }

    /// Whether it can store them, and how many wait. A gateway that says nothing has nothing that waits, as far as we know.
    fn last(&self) -> (bool, u64) {
        match *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some((at, reachable, waiting)) if at.elapsed() < SILENT_AFTER => (reachable, waiting),
            _ => (true, 0),
        }
    }
}

async fn hear(
    mut news: LiveFeed,
    in_force: Arc<InForce>,
    worker: Notifier,
    heard: Arc<Heard>,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let event = tokio::select! {
            event = news.next() => event,
            _ = stop.wait_for(|s| *s) => return,
        };
        match event {
            LiveEvent::Message(LiveKind::Status, bytes) => {
                let status = bus::decode_status(&bytes);
                let sinks = status.iter().flat_map(|s| &s.sinks);
                if let Some(sink) = sinks.into_iter().find(|s| s.name == "incidents") {
                    heard.note(sink.error.is_none(), sink.lag);
                }
            }
            LiveEvent::Message(LiveKind::Alerts, _) | LiveEvent::Gap(LiveKind::Alerts) => {
                // An alert may be of a rule that came into force a moment ago. Should this fail, the notifier's own query will, too.
                if let Err(e) = in_force.refresh().await {
                    tracing::debug!(error = %e, "the configuration cannot be read now");
                }
                worker.wake();
            }
            LiveEvent::Message(..) | LiveEvent::Gap(_) => {}
        }
    }
}

/// So that after a loss of PostgreSQL nobody is told again what another notifier, or this one before it was started again, has told.
async fn remember_sent(store: Arc<dyn Relations>, stop: watch::Receiver<bool>) {
    let mut since = Timestamp::MIN;
    loop {
        match store.remember_sent(since).await {
            // Clocks of several machines differ.
            Ok(newest) => since = newest.map_or(since, |at| since.max(at.minus(CLOCKS_DIFFER))),
            Err(e) => tracing::debug!(error = %e, "what others have told cannot be read now"),
        }
        if tokio::time::timeout(REMEMBER_EVERY, told(stop.clone())).await.is_ok() {
            return;
        }
    }
}

async fn until_configured(in_force: &InForce, stop: watch::Receiver<bool>) -> bool {
    loop {
        match in_force.refresh().await {
            Ok(true) => return true,
            Ok(false) => tracing::debug!("the gateway has not written its configuration yet"),
            Err(e) => tracing::debug!(error = %e, "the configuration cannot be read now"),
        }
        if tokio::time::timeout(LOOK_AGAIN, told(stop.clone())).await.is_ok() {
            return false;
        }
    }
}

/// Alerts that the gateway cannot store: from itself, else as Redis last had it.
async fn watch_gateway(
    gateway: Arc<heartbeat::Listener>,
    heard: Arc<Heard>,
    fallback: Arc<Fallback>,
    stop: watch::Receiver<bool>,
) {
    loop {
        let observed = match gateway.last() {
            Some(beat) => beat.observed(),
            None => Some(heard.last()),
        };
        if let Some((reachable, waiting)) = observed {
            fallback.observe(reachable, waiting).await;
        }
        if tokio::time::timeout(WATCH_EVERY, told(stop.clone())).await.is_ok() {
            return;
        }
    }
}

async fn serve(
    listener: TcpListener,
    gateway: Arc<heartbeat::Listener>,
    in_force: Arc<InForce>,
    metrics: Metrics,
    stop: watch::Receiver<bool>,
) {
    let ready = async move || match tokio::time::timeout(READY_WITHIN, in_force.refresh()).await {
        Ok(Ok(true)) => (StatusCode::OK, "ready\n".to_owned()),
        Ok(Ok(false)) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "the gateway has not written its configuration yet\n".to_owned(),
        ),
        Ok(Err(e)) => (StatusCode::SERVICE_UNAVAILABLE, format!("{e}\n")),
        Err(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "PostgreSQL does not answer\n".to_owned(),
        ),
    };
    let app = axum::Router::new()
        .route("/health/live", get(async || "live\n"))
        .route("/health/ready", get(ready))
        .route("/metrics", get(async move || metrics()))
        .route(
            heartbeat::PATH,
            post(async move |headers: HeaderMap, body: String| gateway.receive(&headers, &body)),
        )
        .layer(DefaultBodyLimit::max(heartbeat::BODY_BYTES_MAX));
    if let Err(e) = axum::serve(listener, app).with_graceful_shutdown(told(stop)).await {
        tracing::error!(error = %e, "nobody can ask the notifier how it is any more");
    }
}
