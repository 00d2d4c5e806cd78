//! Where the crates meet: each needs something as a trait, and here is what gives it.

use crate::bus;
pub use crate::live_feed::feed_live;
use andon_actors::entries::RECORDS;
use andon_actors::judging::Judging;
use andon_actors::notifier::{FailureLog, Notifier, RecentLines};
use andon_actors::self_log::SelfLog;
use andon_actors::sinks::SinkProgress;
use andon_actors::sinks::effects::Applied;
use andon_dashboard_api::{JournalHealth, LiveFeed, OperateError, ShardsHealth, SinkHealth, System, SystemStatus};
use andon_engine::control::{Control, Operation};
use andon_engine::effect::Effect;
use andon_engine::incident::{Incident, TimelineKind};
use andon_engine::intake::encode_header;
use andon_engine::level::Level;
use andon_engine::rule::Configuration;
use andon_engine::subject::SubjectKind;
use andon_engine::time::Timestamp;
use andon_gateway::{
    Grant, Intake, IntakeEntry, IntakeError, Keys, KeysUnavailable, LevelWords, Notes, Rate, SharedRates,
};
use andon_storage::journal::{Append, AppendError, Journal};
use andon_storage::keys::KeyCache;
use andon_storage::ports::keys::Scope;
use andon_storage::ports::log_index::{LogFilter, LogIndex, Order};
use andon_storage::redis::limits::{self, RateLimits};
use andon_storage::redis::live::{self, LiveBus, LiveEvent, LiveKind};
use async_trait::async_trait;
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::watch;

/// The gateway's intake: one journal entry for a request.
pub struct JournalIntake {
    pub journal: Journal,
    pub accepted: Arc<AtomicU64>,
}

#[async_trait]
impl Intake for JournalIntake {
    async fn append(&self, mut entry: IntakeEntry) -> Result<u64, IntakeError> {
        let header = Bytes::from(encode_header(&entry.take_header()));
        let records = u64::from(entry.records);
        let append = Append {
            kind: RECORDS,
            received_at: entry.received_at,
            header,
            body: Bytes::from(entry.batch),
        };
        // The permit goes back when the entry is durable: from here on the journal is the buffer, and judging reads at its own pace.
        let seq = self.journal.append(append).await.map_err(|e| match e {
            AppendError::Full { .. } => IntakeError::Full,
            AppendError::TooLarge { .. } => IntakeError::TooLarge,
            AppendError::Failed => IntakeError::Failed,
            AppendError::Stopping => IntakeError::Stopping,
        })?;
        self.accepted.fetch_add(records, Ordering::Relaxed);
        Ok(seq)
    }
}

/// The gateway's view of the keys.
pub struct SenderKeys {
    pub cache: Arc<KeyCache>,
    /// What words of a key's senders mean, by its id.
    pub levels: HashMap<String, Arc<LevelWords>>,
}

/// What the gateway notes becomes WARN records of application `andon`.
pub struct GatewayNotes(pub SelfLog);

impl Notes for GatewayNotes {
    fn unknown_level(&self, key_id: &str, word: &str) {
        let message = format!(
            "level {word:?} of key {key_id} is not known and stored as WARN: map it in the sender, or under [levels.{key_id}] of the \
             configuration file"
        );
        self.0.write(Level::Warn, "andon.intake.level_unknown", &message);
    }
}

#[async_trait]
impl Keys for SenderKeys {
    fn find(&self, token: &str) -> Option<Arc<Grant>> {
        let row = self.cache.find(token)?;
        Some(Arc::new(Grant {
            id: Arc::from(row.id.as_str()),
            may_ingest: row.scopes.contains(&Scope::Ingest),
            applications: row.applications.clone(),
            devices: row.devices.clone(),
            records_per_second: row.records_per_second,
            levels: self.levels.get(&row.id).cloned(),
        }))
    }

    async fn refresh(&self) -> Result<(), KeysUnavailable> {
        // The cache's own task logs that the store is away.
        self.cache.refresh().await.map(drop).map_err(|_| KeysUnavailable)
    }
}

/// Rates of keys that all gateways of a site share.
pub struct RedisRates(pub RateLimits);

#[async_trait]
impl SharedRates for RedisRates {
    async fn take(&self, key_id: &str, records: u32, per_second: u32, burst: Duration) -> Option<Rate> {
        match self.0.take(key_id, records, per_second, burst).await {
            Ok(limits::Rate::Allowed) => Some(Rate::Allowed),
            Ok(limits::Rate::RetryAfter(wait)) => Some(Rate::RetryAfter(wait)),
            // The gateway's own count decides then.
            Err(_) => None,
        }
    }
}

/// What follows a committed change of incidents: the live feed hears of it, and the notifier looks for alerts.
pub struct AfterEffects {
    pub live: LiveFeed,
    /// To other processes.
    pub bus: Option<Arc<LiveBus>>,
    /// Empty where another process tells.
    pub notifier: Arc<OnceLock<Notifier>>,
}

impl Applied for AfterEffects {
    fn applied(&self, effects: &[Effect]) {
        let mut alerts = false;
        for effect in effects {
            match effect {
                Effect::Incident(incident) => {
                    if let Some(bus) = &self.bus {
                        bus.publish(LiveKind::Incidents, bus::encode_incident(incident));
                    }
                    self.live.publish_incident(Incident::clone(incident));
                }
                Effect::Alert(_) => alerts = true,
                // What shelving held is due.
                Effect::Timeline(line) if line.kind == TimelineKind::Unshelved => alerts = true,
                Effect::Timeline(_) | Effect::Registered(_) => {}
            }
        }
        if alerts {
            match (self.notifier.get(), &self.bus) {
                (Some(notifier), _) => notifier.wake(),
                (None, Some(bus)) => bus.publish(LiveKind::Alerts, Bytes::new()),
                (None, None) => {}
            }
        }
    }
}

/// Failed deliveries become WARN records of application `andon`.
pub struct Failures(pub SelfLog);

impl FailureLog for Failures {
    fn warn(&self, kind: &str, message: &str) {
        self.0.write(Level::Warn, kind, message);
    }
}

/// The same of notifiers in other processes.
pub async fn hear_failures(mut news: live::LiveFeed, log: Failures, mut stop: watch::Receiver<bool>) {
    loop {
        let event = tokio::select! {
            event = news.next() => event,
            _ = stop.wait_for(|s| *s) => return,
        };
        if let LiveEvent::Message(_, bytes) = event {
            match bus::decode_failure(&bytes) {
                Some((kind, message)) => log.warn(&kind, &message),
                None => tracing::debug!("a notifier says what this version does not understand"),
            }
        }
    }
}

/// The last lines of an incident's subject, for its e-mail.
pub struct IndexLines {
    pub index: Arc<dyn LogIndex>,
}

#[async_trait]
impl RecentLines for IndexLines {
    async fn lines(&self, incident: &Incident, n: usize) -> Vec<String> {
        let mut filter = LogFilter {
            to: Some(Timestamp(incident.last_at.0.saturating_add(1))),
            ..LogFilter::default()
        };
        match incident.subject.kind {
            SubjectKind::Device => filter.device_id = Some(incident.subject.id.to_string()),
            SubjectKind::Application => filter.application = Some(incident.subject.id.to_string()),
            SubjectKind::User => filter.user_id = Some(incident.subject.id.to_string()),
            SubjectKind::Area => filter.device_id = incident.device.as_ref().map(ToString::to_string),
        }
        let mut lines = Vec::new();
        // The index lags by half a second; what has just been written is told by the alert itself.
        if let Ok(records) = self.index.search(&filter, Order::NewestFirst, None, n as u32).await {
            for stored in records.iter().rev() {
                let r = stored.record();
                let level = r.level.map_or("", |l| l.as_str());
                lines.push(format!("{} {level} {}", r.timestamp, r.message.unwrap_or_default()));
            }
        }
        lines
    }
}

/// What the dashboard asks of the running system.
pub struct Running {
    pub judging: Judging,
    pub journal: Journal,
    pub sinks: Vec<SinkProgress>,
    pub configuration: watch::Receiver<Arc<Configuration>>,
    pub accepted: Arc<AtomicU64>,
    pub stopping: Arc<AtomicBool>,
    pub started_at: Timestamp,
    /// Entities and restarts of the shards, looked at now and then by [`Running::observe`].
    pub shards: watch::Receiver<ShardsHealth>,
}

#[async_trait]
impl System for Running {
    async fn operate(&self, operation: Operation) -> Result<(), OperateError> {
        self.judging
            .control(&Control::Operated(operation))
            .await
            .map(drop)
            .map_err(|e| match e {
                AppendError::Failed => OperateError::Uncertain(e.to_string()),
                _ => OperateError::Refused(e.to_string()),
            })
    }

    fn status(&self) -> SystemStatus {
        let usage = self.journal.usage();
        let head = self.journal.durable_seq();
        let mut sinks: Vec<SinkHealth> = self
            .sinks
            .iter()
            .map(|s| SinkHealth {
                name: s.name.to_owned(),
                lag: s.lag(),
                error: s.trouble.borrow().as_ref().map(ToString::to_string),
            })
            .collect();
        let judged = *self.judging.routed().borrow();
        sinks.insert(
            0,
            SinkHealth {
                name: "judging".into(),
                lag: head.saturating_sub(judged),
                error: None,
            },
        );
        let full = usage.available == 0;
        let not_accepting = match (self.stopping.load(Ordering::Acquire), full) {
            (true, _) => Some("the service is stopping".to_owned()),
            (_, true) => Some("the journal is full: see which sink lags".to_owned()),
            _ => None,
        };
        SystemStatus {
            version: env!("CARGO_PKG_VERSION").into(),
            started_at: self.started_at,
            not_accepting,
            records_accepted: self.accepted.load(Ordering::Relaxed),
            journal: JournalHealth {
                bytes: usage.bytes,
                quota_bytes: usage.quota,
                last_seq: head,
            },
            sinks,
            shards: *self.shards.borrow(),
            nobody_would_be_mailed: crate::config::nobody_would_be_mailed(&self.configuration.borrow()),
        }
    }
}

/// Keeps the counts of the shards fresh for the status, which must not ask anybody itself.
pub async fn watch_shards(judging: Judging, health: watch::Sender<ShardsHealth>, mut stop: watch::Receiver<bool>) {
    loop {
        if let Some(seen) = judging.observe().await {
            health.send_replace(ShardsHealth {
                count: seen.shards.len() as u32,
                entities: seen.shards.iter().map(|s| (s.entities + s.idle) as u64).sum(),
                restarts: seen.restarts,
            });
        }
        if tokio::time::timeout(Duration::from_secs(2), stop.wait_for(|s| *s))
            .await
            .is_ok()
        {
            return;
        }
    }
}

/// Says every second how the system is, to processes that cannot look for themselves.
pub async fn tell_status(system: Arc<Running>, bus: Arc<LiveBus>, mut stop: watch::Receiver<bool>) {
    loop {
        bus.publish(LiveKind::Status, bus::encode_status(&system.status()));
        let pause = Duration::from_secs(1);
        if tokio::time::timeout(pause, stop.wait_for(|s| *s)).await.is_ok() {
            return;
        }
    }
}
