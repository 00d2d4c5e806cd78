//! `andon dashboard`: the dashboard service in a process of its own. It reads the stores, hears over Redis what happens, and leaves what a
//! person does in PostgreSQL, where the gateway, which has the journal, takes it.

mod remote;

use crate::bus;
use crate::clock::SystemClock;
use crate::companion::Companion;
use crate::exit;
use crate::up::DashboardArgs;
use crate::up::ports::Relations;
use crate::up::process::init_logs;
use crate::up::settings::{ReaderSettings, dashboard_settings};
use crate::up::start::Page;
use crate::up::told;
use andon_dashboard_api::LiveFeed;
use andon_engine::time::Clock;
use andon_storage::keys::KeyCache;
use andon_storage::ports::incidents::IncidentFilter;
use andon_storage::redis::fast_state::RedisFastState;
use andon_storage::redis::live::{LiveBus, LiveEvent, LiveKind};
use remote::RemoteSystem;
use std::fmt;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::sync::watch;

/// Incidents that are told again after news were missed: what a wall board shows.
const TOLD_AGAIN: u32 = 200;
/// What it hears of the gateway.
const NEWS: [LiveKind; 3] = [LiveKind::Records, LiveKind::Incidents, LiveKind::Status];

/// The command.
pub async fn run(args: DashboardArgs) -> anyhow::Result<ExitCode> {
    let s = dashboard_settings(args)?;
    init_logs(s.json);
    let json = s.json;
    let service = DashboardService::start(s, Arc::new(SystemClock)).await?;
    service.announce(json);
    Ok(service.companion.run(json).await)
}

/// Starts it on the clock given. The port answers when this returns.
pub async fn start(args: DashboardArgs, clock: Arc<dyn Clock>) -> anyhow::Result<DashboardService> {
    DashboardService::start(dashboard_settings(args)?, clock).await
}

/// The running service. End it with [`DashboardService::stop`].
pub struct DashboardService {
    /// Its root, `http://127.0.0.1:7401`.
    pub url: String,
    companion: Companion,
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
        let mut companion = Companion::join(&s.stores, "dashboard", &clock).await?;
        let (relational, redis) = (companion.relational.clone(), companion.redis.clone());
        let live = LiveFeed::new();
        let system = Arc::new(RemoteSystem::new(relational.clone(), clock.clone()));
        let news = LiveBus::new(redis.clone())
            .subscribe(&NEWS)
            .await
            .map_err(exit::store)?;
        let hearing = hear(
            news,
            live.clone(),
            system.clone(),
            relational.clone(),
            companion.stopping(),
        );
        companion.spawn(hearing);
        let keys = KeyCache::load(relational.clone()).await.map_err(exit::store)?;
        let fresh = keys.keep_fresh();
        let stopped = companion.stopping();
        companion.spawn(async move {
            told(stopped).await;
            fresh.abort();
        });
        let page = Page {
            relational,
            index: companion.index.clone(),
            live,
            fast: Arc::new(RedisFastState::new(redis, clock.clone())),
            system,
            keys,
            token_secret: companion.token_secret,
            configuration: companion.in_force.subscribe(),
            public_url: s.public_url,
            metrics: companion.metrics.clone(),
            clock,
        };
        let dashboard = page.bind(&s.dashboard).await?;
        let url = format!("http://{}", dashboard.local_addr());
        let stopped = companion.stopping();
        companion.spawn(async move { dashboard.run(told(stopped)).await });
        Ok(Self { url, companion })
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
    pub async fn stop(self) {
        self.companion.stop().await;
    }
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
            // Records that were missed are in the log; of the state the next one counts. The rest is for others.
            LiveEvent::Gap(_) | LiveEvent::Message(..) => true,
        };
        if !understood {
            tracing::debug!("the gateway says what this version does not understand");
        }
    }
}
