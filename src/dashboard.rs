//! `andon dashboard`: the dashboard service in a process of its own. It reads the stores, hears over Redis what happens, and leaves what a
//! person does in PostgreSQL, where the gateway, which has the journal, takes it.

mod remote;

use crate::bus;
use crate::clock::SystemClock;
use crate::exit;
use crate::up::DashboardArgs;
use crate::up::ports::{Logs, Relations};
use crate::up::process::{init_logs, keep_metrics_small, metrics_of_process, signalled};
use crate::up::settings::{ReaderSettings, dashboard_settings};
use crate::up::start::{Metrics, Page};
use crate::up::stores::{open_index, open_relational};
use crate::up::told;
use andon_dashboard_api::LiveFeed;
use andon_engine::ids::JournalId;
use andon_engine::rule::Configuration;
use andon_engine::time::Clock;
use andon_storage::keys::KeyCache;
use andon_storage::ports::incidents::IncidentFilter;
use andon_storage::ports::site::OwnerStore;
use andon_storage::redis::fast_state::RedisFastState;
use andon_storage::redis::live::{LiveBus, LiveEvent, LiveKind};
use andon_storage::redis::{Redis, RedisOptions};
use remote::RemoteSystem;
use std::fmt;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A configuration that came into force is seen after at most this.
const CONFIGURATION_EVERY: Duration = Duration::from_millis(250);
/// How often it is looked whether the site still has the journal that it had.
const OWNER_EVERY: Duration = Duration::from_secs(5);
/// Incidents that are told again after news were missed: what a wall board shows.
const TOLD_AGAIN: u32 = 200;
const END_WITHIN: Duration = Duration::from_secs(5);

/// The command.
pub async fn run(args: DashboardArgs) -> anyhow::Result<ExitCode> {
    let s = dashboard_settings(args)?;
    init_logs(s.json);
    let json = s.json;
    let service = DashboardService::start(s, Arc::new(SystemClock)).await?;
    service.announce(json);
    let mut replaced = service.replaced.subscribe();
    let code = tokio::select! {
        () = signalled() => ExitCode::SUCCESS,
        _ = replaced.wait_for(|r| *r) => {
            tracing::error!("the site has another journal than when this process started: it ends, to be started again");
            exit::TEMPORARY.into()
        }
    };
    service.stop().await;
    if json {
        println!("{}", serde_json::json!({ "event": "stopped" }));
    }
    Ok(code)
}

/// Starts it on the clock given. The port answers when this returns.
pub async fn start(args: DashboardArgs, clock: Arc<dyn Clock>) -> anyhow::Result<DashboardService> {
    DashboardService::start(dashboard_settings(args)?, clock).await
}

/// The running service. End it with [`DashboardService::stop`].
pub struct DashboardService {
    /// Its root, `http://127.0.0.1:7401`.
    pub url: String,
    relational: Arc<dyn Relations>,
    index: Arc<dyn Logs>,
    redis: Redis,
    tasks: JoinSet<()>,
    stop: watch::Sender<bool>,
    replaced: watch::Sender<bool>,
}

impl fmt::Debug for DashboardService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DashboardService")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

impl DashboardService {
    async fn start(s: ReaderSettings, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        let prometheus = metrics_of_process()?;
        // Schemas and templates are the gateway's.
        let mut stores = s.stores.clone();
        stores.migrate = false;
        let relational = open_relational(&stores, None, "dashboard").await?;
        let index = open_index(&stores, None, &clock, true).await?;
        let journal = journal_of(&*relational).await?;
        let redis = Redis::connect(RedisOptions::new(
            stores.redis_url.as_deref().unwrap_or_default(),
            journal,
        ))
        .await
        .map_err(exit::config)?;
        let token_secret = relational.link_secret(rand::random()).await.map_err(exit::config)?;
        let in_force = relational.configuration().await.map_err(exit::config)?;
        let configuration = watch::Sender::new(in_force.unwrap_or_default());

        let live = LiveFeed::new();
        let system = Arc::new(RemoteSystem::new(relational.clone(), clock.clone()));
        let (stop, replaced) = (watch::Sender::new(false), watch::Sender::new(false));
        let mut tasks = JoinSet::new();
        let news = LiveBus::new(redis.clone())
            .subscribe(&LiveKind::ALL)
            .await
            .map_err(exit::config)?;
        tasks.spawn(hear(
            news,
            live.clone(),
            system.clone(),
            relational.clone(),
            stop.subscribe(),
        ));
        let following = follow_configuration(relational.clone(), configuration.clone(), stop.subscribe());
        tasks.spawn(following);
        let watching = watch_owner(relational.clone(), journal, replaced.clone(), stop.subscribe());
        tasks.spawn(watching);
        tasks.spawn(keep_metrics_small(prometheus.clone(), stop.subscribe()));
        let keys = KeyCache::load(relational.clone()).await.map_err(exit::config)?;
        let fresh = keys.keep_fresh();
        let stopped = stop.subscribe();
        tasks.spawn(async move {
            told(stopped).await;
            fresh.abort();
        });

        let metrics: Metrics = Arc::new(move || prometheus.render());
        let page = Page {
            relational: relational.clone(),
            index: index.clone(),
            live,
            fast: Arc::new(RedisFastState::new(redis.clone(), clock.clone())),
            system,
            keys,
            token_secret,
            configuration: configuration.subscribe(),
            public_url: s.public_url,
            metrics,
            clock,
        };
        let dashboard = page.bind(&s.dashboard).await?;
        let url = format!("http://{}", dashboard.local_addr());
        let stopped = stop.subscribe();
        tasks.spawn(async move { dashboard.run(told(stopped)).await });
        Ok(Self {
            url,
            relational,
            index,
            redis,
            tasks,
            stop,
            replaced,
        })
    }

    fn announce(&self, json: bool) {
        if json {
            let ready = serde_json::json!({
                "event": "ready", "ingest": null, "dashboard": self.url,
                "version": env!("CARGO_PKG_VERSION"), "warning": null,
            });
            println!("{ready}");
        } else {
            println!("The dashboard is ready: {}", self.url);
        }
    }

    /// Finishes the requests that run, then ends.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        let ended = tokio::time::timeout(END_WITHIN, async { while self.tasks.join_next().await.is_some() {} }).await;
        if let Err(e) = self.index.close().await {
            tracing::debug!(error = %e, "the log index did not close cleanly");
        }
        self.redis.close().await;
        self.relational.close().await;
        tracing::info!(ended = ended.is_ok(), "stopped");
    }
}

/// The journal of the site: Redis keeps everything under its number.
async fn journal_of(site: &dyn OwnerStore) -> anyhow::Result<JournalId> {
    let owner = site.owner().await.map_err(exit::config)?;
    owner.map(|o| o.journal).ok_or_else(|| {
        exit::config(
            "no gateway has run on this PostgreSQL yet: start `andon gateway` with the same --postgres-url first",
        )
    })
}

/// What happens in the gateway's process, as this process hears of it.
async fn hear(
    mut news: andon_storage::redis::live::LiveFeed,
    live: LiveFeed,
    system: Arc<RemoteSystem>,
    store: Arc<dyn Relations>,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let heard = tokio::select! {
            heard = news.next() => heard,
            _ = stop.wait_for(|s| *s) => return,
        };
        let understood = match heard {
            LiveEvent::Message(LiveKind::Records, bytes) => bus::feed_batch(&live, &bytes),
            LiveEvent::Message(LiveKind::Incidents, bytes) => bus::feed_incident(&live, &bytes),
            LiveEvent::Message(LiveKind::Status, bytes) => system.heard(&bytes),
            // Records that were missed are in the log.
            LiveEvent::Gap(LiveKind::Records | LiveKind::Status) => true,
            // A board that missed one would go on showing the wrong thing.
            LiveEvent::Gap(LiveKind::Incidents) => {
                let newest = IncidentFilter {
                    limit: TOLD_AGAIN,
                    ..IncidentFilter::default()
                };
                match store.incidents(&newest).await {
                    Ok(incidents) => incidents.into_iter().rev().for_each(|i| live.publish_incident(i)),
                    Err(e) => tracing::warn!(error = %e, "news were missed, and the incidents cannot be read"),
                }
                true
            }
        };
        if !understood {
            tracing::debug!("the gateway says what this version does not understand");
        }
    }
}

async fn follow_configuration(
    store: Arc<dyn Relations>,
    configuration: watch::Sender<Arc<Configuration>>,
    stop: watch::Receiver<bool>,
) {
    let mut seen = None;
    while tokio::time::timeout(CONFIGURATION_EVERY, told(stop.clone()))
        .await
        .is_err()
    {
        let read = async {
            // A change after the number was read is seen the next time.
            let generation = store.configuration_generation().await?;
            if seen != Some(generation)
                && let Some(new) = store.configuration().await?
            {
                configuration.send_if_modified(|old| {
                    let changed = *old != new;
                    *old = new;
                    changed
                });
            }
            Ok::<u64, andon_storage::ports::StoreError>(generation)
        };
        match read.await {
            Ok(generation) => seen = Some(generation),
            Err(e) => tracing::debug!(error = %e, "the configuration cannot be read now"),
        }
    }
}

async fn watch_owner(
    store: Arc<dyn Relations>,
    journal: JournalId,
    replaced: watch::Sender<bool>,
    stop: watch::Receiver<bool>,
) {
    while tokio::time::timeout(OWNER_EVERY, told(stop.clone())).await.is_err() {
        if let Ok(Some(owner)) = store.owner().await
            && owner.journal != journal
        {
            replaced.send_replace(true);
        }
    }
}
