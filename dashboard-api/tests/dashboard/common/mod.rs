//! A dashboard service on a real port over the real embedded stores, with a plant of one operator behind it.

pub mod client;

use andon_dashboard_api::{
    BindError, Dashboard, DashboardArgs, JournalHealth, LiveFeed, OperateError, ShardsHealth, SinkHealth, System,
    SystemStatus, WebApp,
};
use andon_engine::batch::{Batch, BatchBuilder};
use andon_engine::control::{Action, Operation};
use andon_engine::effect::{Alert, AlertContext, AlertReason, Effect, Registered};
use andon_engine::ids::{AlertId, IncidentId, JournalId, Position, RecipientId, RecordId, RouteId, RuleId};
use andon_engine::incident::{
    Acknowledgement, Activity, FingerprintCount, Incident, Occurrence, Shelving, TimelineEntry, TimelineKind,
};
use andon_engine::level::Level;
use andon_engine::record::Record;
use andon_engine::rule::{Configuration, Device, Priority, Recipient, Route, Site, default_rules};
use andon_engine::subject::{Subject, SubjectKind};
use andon_engine::time::{Clock, ManualClock, Timestamp};
use andon_storage::fast_state::{FastStateOptions, LocalFastState};
use andon_storage::keys::{KeyCache, KeyGrant, generate};
use andon_storage::link_token::LinkTokens;
use andon_storage::ports::Cursor;
use andon_storage::ports::fast_state::FastState;
use andon_storage::ports::incidents::IncidentStore;
use andon_storage::ports::keys::{KeyStore, Scope};
use andon_storage::ports::log_index::LogIndex;
use andon_storage::ports::rows::EffectStore;
use andon_storage::sqlite::SqliteStore;
use andon_storage::tantivy_index::{IndexOptions, TantivyIndex};
use bytes::Bytes;
use client::Client;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use tokio::sync::{oneshot, watch};

pub const JOURNAL: JournalId = JournalId(7);
/// 2026-11-23T02:31:13Z.
pub const NOW: Timestamp = Timestamp(1_795_401_073_000_000);
pub const INCIDENT: IncidentId = IncidentId(0xabc);
pub const SECRET: [u8; 32] = [9; 32];

/// Stands for journal, shards and effect writer: an operation changes the incident's row, and the feed hears of it.
pub struct Plant {
    pub store: Arc<SqliteStore>,
    pub live: LiveFeed,
    pub operations: Mutex<Vec<Operation>>,
    /// The journal refuses.
    pub full: AtomicBool,
    /// The shards do not come to it.
    pub behind: AtomicBool,
    seq: AtomicU64,
}

impl Plant {
    pub async fn apply(&self, mut effects: Vec<Effect>) {
        let seq = self.seq.fetch_add(1, Ordering::SeqCst) + 1;
        for e in &mut effects {
            if let Effect::Incident(i) = e {
                i.position = Position { seq, index: 0 };
                i.revision += 1;
            }
        }
        self.store
            .apply_effects(&effects, Cursor { journal: JOURNAL, seq })
            .await
            .unwrap();
        for e in effects {
            if let Effect::Incident(i) = e {
                self.live.publish_incident(*i);
            }
        }
    }

    async fn judge(&self, op: Operation) {
        let mut i = self
            .store
            .incident(op.incident)
            .await
            .unwrap()
            .expect("the API checked it");
        let (kind, text) = match op.action {
            Action::Acknowledge => {
                i.acknowledged = Some(Acknowledgement {
                    at: op.at,
                    by: op.who.clone(),
                });
                (TimelineKind::Acknowledged, Arc::from(""))
            }
            Action::Comment { text } => (TimelineKind::Commented, text),
            Action::Shelve { until, reason } => {
                i.shelved = Some(Shelving {
                    until,
                    by: op.who.clone(),
                    reason: reason.clone(),
                });
                (TimelineKind::Shelved, reason)
            }
            Action::Unshelve => {
                i.shelved = None;
                (TimelineKind::Unshelved, Arc::from(""))
            }
            Action::Close { cause } => {
                i.activity = Activity::Closed;
                i.closed_cause = Some(cause.clone());
                (TimelineKind::Closed, cause)
            }
        };
        let line = TimelineEntry {
            incident: i.id,
            revision: i.revision + 1,
            at: op.at,
            kind,
            who: Some(op.who),
            text,
            record: None,
        };
        self.apply(vec![Effect::Incident(Box::new(i)), Effect::Timeline(Box::new(line))])
            .await;
    }
}

#[async_trait::async_trait]
impl System for Plant {
    async fn operate(&self, operation: Operation) -> Result<(), OperateError> {
        if self.full.load(Ordering::SeqCst) {
            return Err(OperateError::Refused("the journal is full".into()));
        }
        self.operations.lock().unwrap().push(operation.clone());
        if !self.behind.load(Ordering::SeqCst) {
            self.judge(operation).await;
        }
        Ok(())
    }
    fn status(&self) -> SystemStatus {
        SystemStatus {
            version: "1.2.3".into(),
            started_at: NOW,
            not_accepting: self
                .full
                .load(Ordering::SeqCst)
                .then(|| "the journal is full".to_owned()),
            records_accepted: 5,
            journal: JournalHealth {
                bytes: 10,
                quota_bytes: 1 << 40,
                last_seq: 3,
            },
            sinks: vec![SinkHealth {
                name: "log_index".into(),
                lag: 2,
                error: None,
            }],
            shards: ShardsHealth {
                count: 16,
                entities: 4,
                restarts: 0,
            },
            nobody_would_be_mailed: Some("no recipient is configured".into()),
        }
    }
}

pub struct Server {
    pub client: Client,
    pub plant: Arc<Plant>,
    pub live: LiveFeed,
    pub index: TantivyIndex,
    pub fast: Arc<LocalFastState>,
    pub clock: Arc<ManualClock>,
    pub links: LinkTokens,
    pub read_key: String,
    pub admin_key: String,
    pub ingest_key: String,
    pub configuration: watch::Sender<Arc<Configuration>>,
    stop: Option<oneshot::Sender<()>>,
    running: tokio::task::JoinHandle<()>,
    _dir: TempDir,
}

impl Server {
    pub async fn start() -> Server {
        Self::start_with(|_| {}).await.unwrap()
    }

    pub async fn start_with(change: impl FnOnce(&mut DashboardArgs)) -> Result<Server, BindError> {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(&dir.path().join("andon.db")).await.unwrap());
        let options = IndexOptions {
            writer_bytes: IndexOptions::WRITER_BYTES_MIN,
            ..IndexOptions::default()
        };
        let index = TantivyIndex::open(&dir.path().join("index"), options).await.unwrap();
        let mut texts = Vec::new();
        for scope in [Scope::Read, Scope::Admin, Scope::Ingest] {
            let name = format!("{} script", scope.as_str());
            let key = generate(
                KeyGrant {
                    name,
                    scopes: vec![scope],
                    ..KeyGrant::default()
                },
                NOW,
            );
            store.insert_key(&key.row).await.unwrap();
            texts.push(key.text);
        }
        let keys = KeyCache::load(store.clone()).await.unwrap();
        let live = LiveFeed::new();
        let plant = Arc::new(Plant {
            store: store.clone(),
            live: live.clone(),
            operations: Mutex::default(),
            full: AtomicBool::new(false),
            behind: AtomicBool::new(false),
            seq: AtomicU64::new(0),
        });
        plant.apply(plant_effects()).await;
        let clock = Arc::new(ManualClock::new(NOW));
        let fast = Arc::new(LocalFastState::new(clock.clone(), FastStateOptions::default()));
        let (configuration, receiver) = watch::channel(Arc::new(plant_configuration()));
        let links = LinkTokens::new(SECRET);
        let mut args = DashboardArgs {
            addr: "127.0.0.1:0".parse().unwrap(),
            incidents: store.clone(),
            deliveries: store.clone(),
            rows: store,
            logs: Arc::new(index.clone()),
            fast: fast.clone(),
            live: live.clone(),
            system: plant.clone(),
            keys: Arc::new(move |token| keys.find(token)),
            links: links.clone(),
            web: WebApp::Absent,
            clock: clock.clone() as Arc<dyn Clock>,
            configuration: receiver,
            public_url: Some("https://andon.plant.example".into()),
            metrics: Some(Arc::new(|| "andon_up 1\n".to_owned())),
        };
        change(&mut args);
        let dashboard = Dashboard::bind(args).await?;
        let client = Client::new(dashboard.local_addr());
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(dashboard.run(async {
            let _ = stopped.await;
        }));
        let mut texts = texts.into_iter();
        let mut next = || texts.next().unwrap();
        Ok(Server {
            client,
            plant,
            live,
            index,
            fast,
            clock,
            links,
            read_key: next(),
            admin_key: next(),
            ingest_key: next(),
            configuration,
            stop: Some(stop),
            running,
            _dir: dir,
        })
    }

    /// Asks it to stop, and waits until it has.
    pub async fn stop(mut self) {
        drop(self.stop.take());
        self.running.await.unwrap();
    }

    /// Takes records as one journal entry into the index and the fast state, and publishes them to the feed.
    pub async fn store(&self, seq: u64, records: &[Record<'_>]) {
        let batch = batch(seq, records);
        self.index.add(std::slice::from_ref(&batch)).await.unwrap();
        self.index.commit(Cursor { journal: JOURNAL, seq }).await.unwrap();
        self.fast.push(std::slice::from_ref(&batch)).await.unwrap();
        self.live.publish_records(Arc::new(batch));
    }
}

pub fn batch(seq: u64, records: &[Record<'_>]) -> Batch<Bytes> {
    let mut b = BatchBuilder::new();
    for r in records {
        assert!(b.push(r));
    }
    Batch::parse(Bytes::from(b.finish()), JOURNAL, seq).unwrap()
}

pub fn record<'a>(at: i64, device: &'a str, message: &'a str) -> Record<'a> {
    Record {
        timestamp: Timestamp(NOW.0 + at),
        received_at: Timestamp(NOW.0 + at + 5),
        level: Some(Level::Error),
        message: Some(message),
        device_id: Some(device),
        fingerprint: 0xfe,
        ..Record::default()
    }
}

pub fn plant_configuration() -> Configuration {
    let route = RouteId::new("shift");
    Configuration {
        version: 1,
        rules: default_rules(&route).into(),
        routes: vec![Route {
            id: route,
            name: "Shift".into(),
            recipients: vec![RecipientId::new("anna")],
            channels: Vec::new(),
        }]
        .into(),
        recipients: vec![Recipient {
            id: RecipientId::new("anna"),
            name: "Anna Krüger".into(),
            email: "anna@plant.example".into(),
            language: "de".into(),
            passes_throttle: false,
        }]
        .into(),
        sites: vec![Site {
            id: "s1".into(),
            name: "Werk 1".into(),
            time_zone: "Europe/Berlin".into(),
        }]
        .into(),
        devices: vec![Device {
            id: "CNV-03".into(),
            area: Some("pick".into()),
            ..Device::default()
        }]
        .into(),
        ..Configuration::default()
    }
}

pub fn incident(id: IncidentId, opened: i64) -> Incident {
    let record = RecordId::new(JOURNAL, 1, 0);
    Incident {
        id,
        rule: RuleId::new("fatal-per-device"),
        subject: Subject::new(SubjectKind::Device, "CNV-03"),
        priority: Priority::P1,
        activity: Activity::Active,
        acknowledged: None,
        shelved: None,
        unshelved_at: None,
        closed_cause: None,
        first_at: Timestamp(NOW.0 + opened),
        opened_at: Timestamp(NOW.0 + opened),
        last_at: Timestamp(NOW.0 + opened + 1_000_000),
        returned_at: None,
        first_record: record,
        last_record: record,
        count: 3,
        reopened: 0,
        occurrence: Occurrence {
            first_at: NOW,
            opened_at: NOW,
            count: 3,
        },
        max_level: Some(Level::Fatal),
        peak: None,
        title: "belt torn <b>now</b>".into(),
        error_type: Some("equipment.drive".into()),
        device: Some("CNV-03".into()),
        application: None,
        user: None,
        area: Some("pick".into()),
        source: None,
        historical: false,
        silent: false,
        fingerprints: vec![FingerprintCount {
            fingerprint: 0xfe,
            count: 3,
            template: "belt torn".into(),
        }],
        fingerprints_truncated: false,
        position: Position::default(),
        revision: 0,
    }
}

fn plant_effects() -> Vec<Effect> {
    let line = TimelineEntry {
        incident: INCIDENT,
        revision: 1,
        at: NOW,
        kind: TimelineKind::Opened,
        who: None,
        text: "belt torn".into(),
        record: Some(RecordId::new(JOURNAL, 1, 0)),
    };
    let alert = Alert {
        id: AlertId(5),
        incident: INCIDENT,
        reason: AlertReason::Opened,
        priority: Priority::P1,
        context: AlertContext {
            device: Some("CNV-04".into()),
            ..AlertContext::default()
        },
        at: NOW,
        received_at: NOW,
        position: Position { seq: 1, index: 0 },
        passes_throttle: true,
        historical: false,
        text: "belt torn".into(),
    };
    let registered = |kind, id: &str| {
        Effect::Registered(Registered {
            kind,
            id: id.into(),
            first_seen: NOW,
        })
    };
    vec![
        Effect::Incident(Box::new(incident(INCIDENT, 0))),
        Effect::Timeline(Box::new(line)),
        Effect::Alert(Box::new(alert)),
        registered(SubjectKind::Device, "CNV-03"),
        registered(SubjectKind::Device, "CNV-04"),
        registered(SubjectKind::Application, "wms"),
    ]
}
