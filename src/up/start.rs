//! The wiring: which part is given which other, in the order in which they start.

use super::people::People;
use super::ports::{Logs, Relations};
use super::process::{keep_metrics_small, metrics_of_process};
use super::requests::Requests;
use super::retention;
use super::settings::{DashboardSettings, MailSettings, Settings};
use super::stores::Stores;
use super::{Andon, told};
use crate::adapters::{
    AfterEffects, Failures, GatewayNotes, IndexLines, JournalIntake, RedisRates, Running, SenderKeys, feed_live,
    hear_failures, tell_status, watch_shards,
};
use crate::{config, exit, heartbeat};
use andon_actors::effect_log::EffectLog;
use andon_actors::judging::{Judging, JudgingArgs};
use andon_actors::notifier::{Fallback, LocalQueue, Mailer, Notifier, NotifierArgs, RedisQueue, Secrets};
use andon_actors::self_log::SelfLog;
use andon_actors::sinks::effects::EffectWriter;
use andon_actors::sinks::fast_state::FastStateFeed;
use andon_actors::sinks::log_index::LogIndexWriter;
use andon_actors::sinks::records::RecordsWriter;
use andon_actors::sinks::rows::RowWriter;
use andon_actors::sinks::{Sink, SinkProgress, Writer};
use andon_actors::work::EngineJudge;
use andon_dashboard_api::{Dashboard, DashboardArgs, LiveFeed, ShardsHealth, System};
use andon_engine::intake::decode_header;
use andon_engine::limits::{RETRY_WINDOW, SHARDS};
use andon_engine::rule::Configuration;
use andon_engine::time::{Clock, Span};
use andon_gateway::{Config as GatewayConfig, Gateway};
use andon_storage::fast_state::{FastStateOptions, LocalFastState};
use andon_storage::journal::Journal;
use andon_storage::keys::KeyCache;
use andon_storage::link_token::LinkTokens;
use andon_storage::ports::fast_state::{FastState, READINGS_KEPT};
use andon_storage::redis::fast_state::RedisFastState;
use andon_storage::redis::limits::RateLimits;
use andon_storage::redis::live::{LiveBus, LiveKind};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How long checkpoints may be apart: what a restart has to judge again.
const CHECKPOINT_EVERY: Span = Span::secs(10);
const DAY_S: f64 = 86_400.0;
/// How often the store of incidents is looked at for the plain e-mail that says it is gone.
pub(crate) const WATCH_EVERY: Duration = Duration::from_secs(2);

/// The text of `/metrics`.
pub(crate) type Metrics = Arc<dyn Fn() -> String + Send + Sync>;

/// What runs in the background, and how it is told to end.
pub(super) struct Background {
    pub(super) tasks: JoinSet<()>,
    pub(super) sinks: Vec<SinkProgress>,
    pub(super) stop_sinks: watch::Sender<bool>,
    pub(super) stop_rest: watch::Sender<bool>,
}

impl Background {
    fn new() -> Self {
        Self {
            tasks: JoinSet::new(),
            sinks: Vec::new(),
            stop_sinks: watch::Sender::new(false),
            stop_rest: watch::Sender::new(false),
        }
    }

    fn stop(&self) -> watch::Receiver<bool> {
        self.stop_rest.subscribe()
    }

    async fn sink(&mut self, sink: impl Sink + Sync, journal: &Journal) -> anyhow::Result<()> {
        let writer = Writer::open(sink, journal.clone()).await.map_err(exit::store)?;
        self.sinks.push(writer.progress());
        self.tasks.spawn(writer.run(self.stop_sinks.subscribe()));
        Ok(())
    }
}

impl Andon {
    pub(super) async fn start(s: Settings, clock: Arc<dyn Clock>) -> anyhow::Result<Andon> {
        let prometheus = metrics_of_process()?;
        let stores = Stores::open(&s, &clock).await?;
        let (journal, effects) = (stores.journal.clone(), stores.effects.clone());
        let age: Arc<dyn Clock> = stores.retention.clone();
        let (relational, index) = (stores.relational.clone(), stores.index.clone());
        let mut background = Background::new();
        let stopping = Arc::new(AtomicBool::new(false));
        let accepted = Arc::new(AtomicU64::new(0));
        let refused = Arc::new(AtomicU64::new(0));
        let self_log = SelfLog::start(journal.clone(), clock.clone());
        let live = LiveFeed::new();
        let bus = stores.redis.clone().map(LiveBus::new).map(Arc::new);

        let judging = Judging::start(JudgingArgs {
            journal: journal.clone(),
            effects: EffectLog::new(effects.clone(), clock.clone()),
            checkpoints: stores.checkpoints.store(),
            clock: clock.clone(),
            judge: Arc::new(EngineJudge),
            self_log: self_log.clone(),
            shards: SHARDS as u16,
            checkpoint_every: CHECKPOINT_EVERY,
            accepting_since: clock.now(),
            refused: refused.clone(),
        })
        .await
        .map_err(|e| exit::config(format!("judging cannot start: {e}")))?;
        let people = Arc::new(People::new(
            judging.clone(),
            relational.clone(),
            s.configuration.clone(),
            s.file_has_default_route,
        ));
        let generation = people.configure().await?;
        let following = people.clone().follow(generation, background.stop());
        background.tasks.spawn(following);
        let publishing = people.clone().publish(background.stop());
        background.tasks.spawn(publishing);
        let requests = Requests {
            site: relational.clone(),
            judging: judging.clone(),
            people,
            clock: clock.clone(),
            age: age.clone(),
        };
        let serving = requests.serve(background.stop());
        background.tasks.spawn(serving);
        let configuration = judging.configuration();

        let notifier = Arc::new(OnceLock::new());
        let after = Arc::new(AfterEffects {
            live: live.clone(),
            bus: bus.clone(),
            notifier: notifier.clone(),
        });
        let effect_writer = EffectWriter::new(relational.clone(), after, self_log.clone());
        background.sink(effect_writer, &effects).await?;
        background.sink(RowWriter::new(relational.clone()), &journal).await?;
        background
            .sink(
                LogIndexWriter::new(index.clone(), relational.clone(), journal.id()),
                &journal,
            )
            .await?;
        if let Some(records) = relational.clone().records() {
            let keep = (s.stores.retention.standard.as_secs_f64() / DAY_S).ceil() as u32;
            let (wall, age) = (clock.clone(), age.clone());
            let writer = RecordsWriter::new(records, relational.clone(), journal.id(), wall, age, keep);
            background.sink(writer, &journal).await?;
        }
        let fast: Arc<dyn FastState> = match &stores.redis {
            Some(redis) => Arc::new(RedisFastState::new(redis.clone(), clock.clone())),
            None => Arc::new(LocalFastState::new(clock.clone(), FastStateOptions::default())),
        };
        let feeding = FastStateFeed::new(fast.clone(), journal.clone(), READINGS_KEPT);
        background.sinks.push(feeding.progress());
        background.tasks.spawn(feeding.run(background.stop_sinks.subscribe()));
        let dropping = retention::drop_old_logs(index.clone(), s.stores.retention, age.clone(), background.stop());
        background.tasks.spawn(dropping);
        let dir = s.data_dir.as_path().into();
        let reporting = retention::report(stores.retention.clone(), dir, self_log.clone(), background.stop());
        background.tasks.spawn(reporting);
        let feed = feed_live(journal.clone(), live.clone(), bus.clone(), background.stop());
        background.tasks.spawn(feed);

        let keys = KeyCache::load(relational.clone()).await.map_err(exit::store)?;
        let keeping_fresh = keys.keep_fresh();
        let mut stop = background.stop();
        background.tasks.spawn(async move {
            let _ = stop.wait_for(|s| *s).await;
            keeping_fresh.abort();
        });
        let shards = watch::Sender::new(ShardsHealth::default());
        let running = Arc::new(Running {
            judging: judging.clone(),
            journal: journal.clone(),
            sinks: background.sinks.clone(),
            configuration: configuration.clone(),
            accepted: accepted.clone(),
            stopping: stopping.clone(),
            started_at: clock.now(),
            shards: shards.subscribe(),
        });
        if let Some(bus) = bus {
            let telling = tell_status(running.clone(), bus, background.stop());
            background.tasks.spawn(telling);
        }
        let watching = watch_shards(judging.clone(), shards, background.stop());
        background.tasks.spawn(watching);
        let upkeep = keep_metrics_small(prometheus.clone(), background.stop());
        background.tasks.spawn(upkeep);
        let metrics: Metrics = Arc::new(move || prometheus.render());

        let mut dashboard_url = None;
        if let Some(dashboard) = s.dashboard.as_ref() {
            let page = Page {
                relational: relational.clone(),
                index: index.clone(),
                live: live.clone(),
                fast,
                system: running.clone(),
                keys: keys.clone(),
                token_secret: stores.token_secret,
                configuration: configuration.clone(),
                public_url: s.mail.public_url.clone(),
                metrics: metrics.clone(),
                clock: clock.clone(),
            };
            let dashboard = page.bind(dashboard).await?;
            dashboard_url = Some(format!("http://{}", dashboard.local_addr()));
            let stop = background.stop();
            background.tasks.spawn(async move { dashboard.run(told(stop)).await });
        }

        let intake = Arc::new(JournalIntake {
            journal: journal.clone(),
            accepted,
        });
        let levels = s.level_words.clone();
        let keys = Arc::new(SenderKeys { cache: keys, levels });
        let mut gateway = Gateway::bind(GatewayConfig::new(s.ingest), intake, keys, clock.clone())
            .await
            .map_err(|e| exit::config(format!("ingest cannot listen on {}: {e}", s.ingest)))?
            .with_metrics(metrics)
            .with_refused(refused)
            .with_notes(Arc::new(GatewayNotes(self_log.clone())));
        if let Some(redis) = &stores.redis {
            gateway = gateway.with_shared_rates(Arc::new(RedisRates(RateLimits::new(redis.clone()))));
        }
        let ingest_url = format!("http://{}", gateway.local_addr());
        restore_retries(&gateway, &journal, &*clock).await?;

        let incidents = background.sinks[0].clone();
        let look = move || (incidents.trouble.borrow().is_none(), incidents.lag());
        let note = watch::Sender::new(None);
        let noted = note.subscribe();
        gateway = gateway.with_ready(Arc::new(move || Ok(noted.borrow().clone())));
        let outbox = (s.notifier && s.mail.smtp_url.is_none()).then(|| s.mail.outbox.clone());
        if s.notifier {
            let mailer = mailer(&s.mail)?;
            let public_url = s.mail.public_url.clone().or_else(|| dashboard_url.clone());
            let worker = Notifier::new(NotifierArgs {
                store: relational.clone(),
                incidents: relational.clone(),
                config: configuration.clone(),
                lines: Arc::new(IndexLines { index: index.clone() }),
                mailer: mailer.clone(),
                secrets: Secrets::new(s.mail.secrets.clone()),
                queue: match &stores.redis {
                    Some(redis) => Arc::new(RedisQueue::new(redis.clone())),
                    None => Arc::new(LocalQueue::default()),
                },
                clock: clock.clone(),
                age,
                public_url: public_url.unwrap_or_default(),
                token_secret: stores.token_secret,
                self_log: Arc::new(Failures(self_log)),
                // A site has one gateway: whoever had this name before is gone.
                owner: "gateway".into(),
            })
            .map_err(exit::config)?;
            let _ = notifier.set(worker.clone());
            let (on_servers, to) = (s.stores.postgres_url.is_some(), !s.mail.alert_to.is_empty());
            if let Some(why) = heartbeat::uncovered_itself(on_servers, s.mail.smtp_url.is_some(), to) {
                tracing::warn!("{why}");
                note.send_replace(Some(why));
            }
            let stop = background.stop();
            background.tasks.spawn(async move { worker.run(told(stop)).await });
            let fallback = Fallback::new(mailer, s.mail.alert_to.clone(), clock);
            let watching = watch_incidents_store(look, fallback, background.stop());
            background.tasks.spawn(watching);
        } else {
            let sender = heartbeat(&s, &stores, clock)?;
            background.tasks.spawn(sender.run(look, note, background.stop()));
            if let Some(redis) = &stores.redis {
                let news = LiveBus::new(redis.clone()).subscribe(&[LiveKind::Failures]).await;
                let hearing = hear_failures(news.map_err(exit::store)?, Failures(self_log), background.stop());
                background.tasks.spawn(hearing);
            }
        }
        let stop_gateway = watch::Sender::new(false);
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
            stores,
            judging,
            background,
            gateway: serving,
            stop_gateway,
            stopping,
            running,
            json: s.json,
        })
    }
}

/// What the dashboard service works with, in the process of the journal or in one of its own.
pub(crate) struct Page {
    pub(crate) relational: Arc<dyn Relations>,
    pub(crate) index: Arc<dyn Logs>,
    pub(crate) live: LiveFeed,
    pub(crate) fast: Arc<dyn FastState>,
    pub(crate) system: Arc<dyn System>,
    pub(crate) keys: Arc<KeyCache>,
    pub(crate) token_secret: [u8; 32],
    pub(crate) configuration: watch::Receiver<Arc<Configuration>>,
    pub(crate) public_url: Option<String>,
    pub(crate) metrics: Metrics,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Page {
    pub(crate) async fn bind(self, settings: &DashboardSettings) -> anyhow::Result<Dashboard> {
        let keys = self.keys;
        Dashboard::bind(DashboardArgs {
            addr: settings.addr,
            incidents: self.relational.clone(),
            deliveries: self.relational.clone(),
            rows: self.relational,
            logs: self.index,
            live: self.live,
            fast: self.fast,
            system: self.system,
            keys: Arc::new(move |text| keys.find(text)),
            links: LinkTokens::new(self.token_secret),
            web: settings.web.clone(),
            clock: self.clock,
            configuration: self.configuration,
            public_url: self.public_url,
            metrics: Some(self.metrics),
        })
        .await
        .map_err(exit::config)
    }
}

/// For a gateway without a notifier of its own.
fn heartbeat(s: &Settings, stores: &Stores, clock: Arc<dyn Clock>) -> anyhow::Result<heartbeat::Sender> {
    let can_tell = s.mail.smtp_url.is_some() && !s.mail.alert_to.is_empty();
    let fallback = match can_tell {
        true => Some(Fallback::new(mailer(&s.mail)?, s.mail.alert_to.clone(), clock.clone())),
        false => None,
    };
    Ok(heartbeat::Sender {
        notifier_url: s.notifier_url.clone(),
        key: heartbeat::Key::of(&stores.token_secret),
        fallback,
        clock,
    })
}

pub(crate) fn mailer(s: &MailSettings) -> anyhow::Result<Arc<Mailer>> {
    let mailer = match &s.smtp_url {
        Some(url) => Mailer::smtp(url, s.from.as_deref().unwrap_or_default(), None),
        None => {
            let from = s.from.as_deref().unwrap_or("Andon <andon@localhost>");
            Mailer::folder(s.outbox.clone(), from)
        }
    };
    mailer.map(Arc::new).map_err(exit::config)
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
/// `look` says whether they can be written, and how many effects wait.
async fn watch_incidents_store(look: impl Fn() -> (bool, u64), fallback: Fallback, stop: watch::Receiver<bool>) {
    loop {
        let (reachable, waiting) = look();
        fallback.observe(reachable, waiting).await;
        if tokio::time::timeout(WATCH_EVERY, told(stop.clone())).await.is_ok() {
            return;
        }
    }
}
