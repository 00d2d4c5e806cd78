//! A process beside the gateway's: it meets the gateway in the stores, follows the configuration in force, and ends when the site has
//! got another journal.

use crate::exit::{self, MayPass};
use crate::up::ports::{Logs, Relations};
use crate::up::process::{keep_metrics_small, metrics_of_process, signalled};
use crate::up::settings::StoreSettings;
use crate::up::start::Metrics;
use crate::up::stores::{open_index, open_redis, open_relational, patiently};
use crate::up::told;
use andon_engine::ids::JournalId;
use andon_engine::rule::Configuration;
use andon_engine::time::Clock;
use andon_storage::ports::StoreError;
use andon_storage::ports::site::{OwnerStore, Published};
use andon_storage::redis::Redis;
use std::future::Future;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;

/// A configuration that came into force is seen after at most this.
const CONFIGURATION_EVERY: Duration = Duration::from_millis(250);
/// How often it is looked whether the site still has the journal that it had.
const OWNER_EVERY: Duration = Duration::from_secs(5);
const END_WITHIN: Duration = Duration::from_secs(5);

/// The stores of a gateway, in another process, and what runs there in the background.
pub(crate) struct Companion {
    pub(crate) relational: Arc<dyn Relations>,
    pub(crate) index: Arc<dyn Logs>,
    pub(crate) redis: Redis,
    pub(crate) token_secret: [u8; 32],
    pub(crate) in_force: Arc<InForce>,
    pub(crate) metrics: Metrics,
    tasks: JoinSet<()>,
    stop: watch::Sender<bool>,
    replaced: watch::Sender<bool>,
}

impl Companion {
    /// `role` says in the stores' lists of sessions who it is.
    pub(crate) async fn join(s: &StoreSettings, role: &str, clock: &Arc<dyn Clock>) -> anyhow::Result<Self> {
        let prometheus = metrics_of_process()?;
        // Schemas and templates are the gateway's.
        let mut s = s.clone();
        s.migrate = false;
        let relational = open_relational(&s, None, role).await?;
        let index = open_index(&s, None, clock, true).await?;
        let journal = patiently(s.wait, async || journal_of(&*relational).await).await?;
        let redis = open_redis(&s, s.redis_url.as_deref().unwrap_or_default(), journal).await?;
        let token_secret = relational.link_secret(rand::random()).await.map_err(exit::store)?;
        let in_force = Arc::new(InForce::new(relational.clone()));
        in_force.refresh().await.map_err(exit::store)?;
        let (stop, replaced) = (watch::Sender::new(false), watch::Sender::new(false));
        let mut tasks = JoinSet::new();
        tasks.spawn(follow(in_force.clone(), stop.subscribe()));
        tasks.spawn(watch_owner(
            relational.clone(),
            journal,
            replaced.clone(),
            stop.subscribe(),
        ));
        tasks.spawn(keep_metrics_small(prometheus.clone(), stop.subscribe()));
        Ok(Self {
            relational,
            index,
            redis,
            token_secret,
            in_force,
            metrics: Arc::new(move || prometheus.render()),
            tasks,
            stop,
            replaced,
        })
    }

    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    /// Runs `task`, which ends by itself when [`Companion::stopping`] says so.
    pub(crate) fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Waits for a signal, or until the site has another journal. How the process then ends.
    async fn until_told(&self) -> ExitCode {
        let mut replaced = self.replaced.subscribe();
        tokio::select! {
            () = signalled() => ExitCode::SUCCESS,
            _ = replaced.wait_for(|r| *r) => {
                tracing::error!("the site has another journal than when this process started: it ends, to be started again");
                exit::TEMPORARY.into()
            }
        }
    }

    /// Runs until it is told to end, then ends everything in order and says so. How the process ends.
    pub(crate) async fn run(self, json: bool) -> ExitCode {
        let code = self.until_told().await;
        self.stop().await;
        if json {
            println!("{}", serde_json::json!({ "event": "stopped" }));
        }
        code
    }

    /// Lets what runs finish, then lets go of the stores.
    pub(crate) async fn stop(mut self) {
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

/// Why it is not known of which site this is a process.
#[derive(Debug, thiserror::Error)]
enum NoJournal {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("no gateway has run on this PostgreSQL yet: start `andon gateway` with the same --postgres-url first")]
    NoGateway,
}

impl MayPass for NoJournal {
    fn is_temporary(&self) -> bool {
        match self {
            NoJournal::Store(e) => e.is_temporary(),
            NoJournal::NoGateway => true,
        }
    }
}

/// The journal of the site: Redis keeps everything under its number.
async fn journal_of(site: &dyn OwnerStore) -> Result<JournalId, NoJournal> {
    let owner = site.owner().await?;
    owner.map(|o| o.journal).ok_or(NoJournal::NoGateway)
}

/// The configuration in force, as the gateway wrote it into PostgreSQL.
pub(crate) struct InForce {
    store: Arc<dyn Relations>,
    configuration: watch::Sender<Arc<Configuration>>,
    /// What was read last, and its generation.
    seen: Mutex<Option<(u64, Published)>>,
}

impl InForce {
    fn new(store: Arc<dyn Relations>) -> Self {
        Self {
            store,
            configuration: watch::Sender::default(),
            seen: Mutex::default(),
        }
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<Configuration>> {
        self.configuration.subscribe()
    }

    /// Reads what has changed since it was read last. False while the gateway has not written any.
    pub(crate) async fn refresh(&self) -> Result<bool, StoreError> {
        let mut seen = self.seen.lock().await;
        // A change after the number was read is seen the next time.
        let generation = self.store.configuration_generation().await?;
        if seen.as_ref().is_some_and(|(read, _)| *read == generation) {
            return Ok(true);
        }
        let known = seen.as_ref().map(|(_, known)| known);
        let Some(new) = self.store.configuration(known).await? else {
            return Ok(false);
        };
        self.configuration.send_if_modified(|old| {
            let changed = *old != new.configuration;
            *old = new.configuration.clone();
            changed
        });
        *seen = Some((generation, new));
        Ok(true)
    }
}

async fn follow(in_force: Arc<InForce>, stop: watch::Receiver<bool>) {
    while tokio::time::timeout(CONFIGURATION_EVERY, told(stop.clone()))
        .await
        .is_err()
    {
        if let Err(e) = in_force.refresh().await {
            tracing::debug!(error = %e, "the configuration cannot be read now");
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
