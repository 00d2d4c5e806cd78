//! A notifier on a real SQLite store with a clock of its own, and readers for what it sends.
#![allow(dead_code, reason = "each test file uses its own part of it")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use andon_actors::notifier::{
    FailureLog, LocalQueue, Mailer, Notifier, NotifierArgs, RecentLines, Secrets, StepReport,
};
use andon_engine::effect::{Alert, AlertContext, AlertReason, Effect};
use andon_engine::ids::{AlertId, IncidentId, JournalId, Position, RecipientId, RouteId, RuleId};
use andon_engine::incident::{Activity, Incident, Occurrence};
use andon_engine::level::Level;
use andon_engine::rule::{
    Channel, Configuration, Device, MuteSchedule, MuteScope, MuteWindow, Recipient, Route, Site, default_rules,
};
use andon_engine::subject::{Subject, SubjectKind};
use andon_engine::time::{ManualClock, Span, Timestamp};
use andon_storage::ports::Cursor;
use andon_storage::ports::deliveries::{Delivery, DeliveryStore};
use andon_storage::ports::rows::EffectStore;
use andon_storage::sqlite::SqliteStore;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

/// 2026-11-23 01:10:05 UTC: 02:10:05 in Berlin.
pub(crate) const NIGHT: Timestamp = Timestamp(1_795_396_205_000_000);
pub(crate) const SECRET: [u8; 32] = [7; 32];
pub(crate) const URL: &str = "https://andon.example.com";

#[derive(Debug, Default)]
pub(crate) struct Failures(Mutex<Vec<(String, String)>>);

impl Failures {
    pub(crate) fn all(&self) -> Vec<(String, String)> {
        self.0.lock().unwrap().clone()
    }
}

impl FailureLog for Failures {
    fn warn(&self, kind: &str, message: &str) {
        self.0.lock().unwrap().push((kind.to_owned(), message.to_owned()));
    }
}

#[derive(Debug)]
pub(crate) struct Lines(pub(crate) Vec<String>);

#[async_trait::async_trait]
impl RecentLines for Lines {
    async fn lines(&self, _: &Incident, n: usize) -> Vec<String> {
        self.0.iter().take(n).cloned().collect()
    }
}

pub(crate) struct World {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) notifier: Notifier,
    pub(crate) config: watch::Sender<Arc<Configuration>>,
    pub(crate) failures: Arc<Failures>,
    position: AtomicU64,
}

pub(crate) fn recipient(id: &str, language: &str) -> Recipient {
    Recipient {
        id: RecipientId::new(id),
        name: Arc::from(id),
        email: Arc::from(format!("{id}@example.com")),
        language: Arc::from(language),
        passes_throttle: false,
    }
}

/// The default rules; one route to Anna, who reads English; Berlin.
pub(crate) fn configuration() -> Configuration {
    let route = RouteId::new("default");
    let mut rules = default_rules(&route);
    rules[0].runbook = Some(Arc::from("https://wiki.example.com/wms"));
    Configuration {
        version: 1,
        rules: rules.into(),
        routes: vec![Route {
            id: route,
            name: Arc::from("Shift lead"),
            recipients: vec![RecipientId::new("anna")],
            channels: vec![],
        }]
        .into(),
        recipients: vec![recipient("anna", "en")].into(),
        sites: vec![Site {
            id: Arc::from("plant"),
            name: Arc::from("Plant"),
            time_zone: Arc::from("Europe/Berlin"),
        }]
        .into(),
        devices: vec![Device {
            id: Arc::from("CNV-03"),
            site: Some(Arc::from("plant")),
            area: Some(Arc::from("Hall 2")),
            line: Some(Arc::from("Line 3")),
            ..Device::default()
        }]
        .into(),
        ..Configuration::default()
    }
}

pub(crate) fn mute_all(id: &str, until: Timestamp) -> MuteWindow {
    MuteWindow {
        id: Arc::from(id),
        reason: Arc::from("belt is being changed"),
        scope: MuteScope::default(),
        schedule: MuteSchedule::Once {
            from: NIGHT.minus(Span::hours(1)),
            until,
        },
        includes_safety: false,
    }
}

impl World {
    pub(crate) async fn new(configuration: Configuration) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mailer = Mailer::folder(dir.path().join("outbox"), "Andon <andon@example.com>").unwrap();
        Self::with(configuration, dir, mailer, Secrets::default()).await
    }

    pub(crate) async fn with(
        configuration: Configuration,
        dir: tempfile::TempDir,
        mailer: Mailer,
        secrets: Secrets,
    ) -> Self {
        let store = Arc::new(SqliteStore::open(&dir.path().join("andon.db")).await.unwrap());
        let clock = Arc::new(ManualClock::new(NIGHT));
        let (config, receiver) = watch::channel(Arc::new(configuration));
        let failures = Arc::new(Failures::default());
        let notifier = notifier(&store, &clock, receiver, &failures, mailer, secrets, "first");
        Self {
            dir,
            store,
            clock,
            notifier,
            config,
            failures,
            position: AtomicU64::new(1),
        }
    }

    /// Another process on the same store.
    pub(crate) fn another(&self, owner: &str) -> Notifier {
        let mailer = Mailer::folder(self.dir.path().join("outbox"), "Andon <andon@example.com>").unwrap();
        self.another_with(owner, mailer)
    }

    pub(crate) fn another_with(&self, owner: &str, mailer: Mailer) -> Notifier {
        notifier(
            &self.store,
            &self.clock,
            self.config.subscribe(),
            &self.failures,
            mailer,
            Secrets::default(),
            owner,
        )
    }

    pub(crate) fn configure(&self, change: impl FnOnce(&mut Configuration)) {
        let mut c = Configuration::clone(&self.config.borrow());
        c.version += 1;
        change(&mut c);
        self.config.send(Arc::new(c)).unwrap();
    }

    pub(crate) fn now(&self) -> Timestamp {
        use andon_engine::time::Clock as _;
        self.clock.now()
    }

    /// Moves the clock and does what is due.
    pub(crate) async fn after(&self, by: Span) -> StepReport {
        self.clock.advance(by);
        self.step().await
    }

    pub(crate) async fn step(&self) -> StepReport {
        self.notifier.step(self.now()).await.unwrap()
    }

    pub(crate) fn next_position(&self) -> Position {
        Position {
            seq: self.position.fetch_add(1, Ordering::Relaxed),
            index: 0,
        }
    }

    pub(crate) async fn apply(&self, effects: &[Effect]) {
        let seq = self.position.fetch_add(1, Ordering::Relaxed);
        self.store
            .apply_effects(
                effects,
                Cursor {
                    journal: JournalId(1),
                    seq,
                },
            )
            .await
            .unwrap();
    }

    /// An active incident that the store does not have yet, with five errors.
    pub(crate) fn incident(&self, rule: &str, kind: SubjectKind, id: &str) -> Incident {
        let position = self.next_position();
        let now = self.now();
        let named = |k| (k == kind).then(|| Arc::from(id));
        Incident {
            id: IncidentId(u128::from(position.seq) << 64 | u128::from(xxhash_rust::xxh3::xxh3_64(id.as_bytes()))),
            rule: RuleId::new(rule),
            subject: Subject::new(kind, id),
            priority: self.config.borrow().rule(&RuleId::new(rule)).unwrap().priority,
            activity: Activity::Active,
            acknowledged: None,
            shelved: None,
            unshelved_at: None,
            closed_cause: None,
            first_at: now.minus(Span::secs(20)),
            opened_at: now,
            last_at: now,
            returned_at: None,
            first_record: Default::default(),
            last_record: Default::default(),
            count: 5,
            reopened: 0,
            occurrence: Occurrence {
                first_at: now,
                opened_at: now,
                count: 5,
            },
            max_level: Some(Level::Error),
            peak: None,
            title: Arc::from("database deadlock on PICK_TASK"),
            error_type: Some(Arc::from("AP.deadlock")),
            device: named(SubjectKind::Device),
            application: named(SubjectKind::Application),
            user: named(SubjectKind::User),
            area: None,
            source: None,
            historical: false,
            silent: false,
            fingerprints: vec![],
            fingerprints_truncated: false,
            position,
            revision: 1,
        }
    }

    pub(crate) fn alert(&self, i: &Incident, reason: AlertReason) -> Alert {
        Alert {
            id: AlertId(u128::from(i.position.seq) << 64 | u128::from(i.revision) << 32 | i.id.0 & 0xffff_ffff),
            incident: i.id,
            reason,
            priority: i.priority,
            context: AlertContext {
                error_type: i.error_type.clone(),
                source: i.source.clone(),
                device: i.device.clone(),
                area: i.area.clone(),
                site: None,
                user: i.user.clone(),
                application: i.application.clone(),
                level: i.max_level,
            },
            at: i.last_at,
            received_at: i.last_at,
            position: i.position,
            passes_throttle: reason == AlertReason::Opened
                && self.config.borrow().rule(&i.rule).is_some_and(|r| r.passes_throttle),
            historical: i.historical,
            text: i.title.clone(),
        }
    }

    /// Writes the incident and an alert that says so.
    pub(crate) async fn raise(&self, i: &Incident, reason: AlertReason) {
        self.raise_alert(i, self.alert(i, reason)).await;
    }

    pub(crate) async fn raise_alert(&self, i: &Incident, alert: Alert) {
        self.apply(&[Effect::Incident(Box::new(i.clone())), Effect::Alert(Box::new(alert))])
            .await;
    }

    /// A new fault of the incident, on a device.
    pub(crate) async fn fault_of(&self, i: &mut Incident, device: &str) {
        i.position = self.next_position();
        i.revision += 1;
        i.count += 1;
        i.last_at = self.now();
        i.title = Arc::from(format!("{device} lost its way"));
        let mut alert = self.alert(i, AlertReason::NewFault);
        alert.context.device = Some(Arc::from(device));
        self.raise_alert(i, alert).await;
    }

    /// A person ends its shelving.
    pub(crate) async fn unshelve(&self, i: &mut Incident) {
        let now = self.now();
        self.change(i, |i| (i.shelved, i.unshelved_at) = (None, Some(now)))
            .await;
    }

    /// Changes the incident at the next position, without an alert.
    pub(crate) async fn change(&self, i: &mut Incident, change: impl FnOnce(&mut Incident)) {
        i.position = self.next_position();
        i.revision += 1;
        i.last_at = self.now();
        change(i);
        self.apply(&[Effect::Incident(Box::new(i.clone()))]).await;
    }

    pub(crate) async fn repeats(&self, i: &mut Incident, n: u64) {
        self.change(i, |i| i.count += n).await;
    }

    /// A new fault of the incident.
    pub(crate) async fn new_fault(&self, i: &mut Incident, text: &str) {
        i.position = self.next_position();
        i.revision += 1;
        i.count += 1;
        i.last_at = self.now();
        i.title = Arc::from(text);
        self.raise(i, AlertReason::NewFault).await;
    }

    pub(crate) async fn deliveries(&self, i: &Incident) -> Vec<Delivery> {
        self.store.deliveries_of(i.id).await.unwrap()
    }

    /// The e-mails in the outbox, oldest first.
    pub(crate) fn mails(&self) -> Vec<Mail> {
        let Ok(dir) = std::fs::read_dir(self.dir.path().join("outbox")) else {
            return vec![];
        };
        let mut files: Vec<PathBuf> = dir.map(|e| e.unwrap().path()).collect();
        files.sort();
        files
            .iter()
            .map(|f| Mail::parse(&std::fs::read_to_string(f).unwrap()))
            .collect()
    }

    pub(crate) fn last_mail(&self) -> Mail {
        self.mails().pop().expect("an e-mail in the outbox")
    }
}

fn notifier(
    store: &Arc<SqliteStore>,
    clock: &Arc<ManualClock>,
    config: watch::Receiver<Arc<Configuration>>,
    failures: &Arc<Failures>,
    mailer: Mailer,
    secrets: Secrets,
    owner: &str,
) -> Notifier {
    Notifier::new(NotifierArgs {
        store: store.clone(),
        incidents: store.clone(),
        config,
        lines: Arc::new(Lines(vec![
            "2026-11-23T01:10:04.250000Z ERROR deadlock detected".into(),
            "2026-11-23T01:10:05.000000Z ERROR <b>retry</b> failed".into(),
        ])),
        mailer: Arc::new(mailer),
        secrets,
        queue: Arc::new(LocalQueue::default()),
        clock: clock.clone(),
        age: clock.clone(),
        public_url: URL.into(),
        token_secret: SECRET,
        self_log: failures.clone(),
        owner: owner.into(),
    })
    .unwrap()
}

/// A received message, read as far as these tests need: unfolded headers and decoded parts.
#[derive(Debug)]
pub(crate) struct Mail {
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) text: String,
    pub(crate) html: String,
    pub(crate) raw: String,
}

impl Mail {
    pub(crate) fn parse(raw: &str) -> Mail {
        let (headers, body) = head_and_body(raw);
        let content_type = header(&headers, "content-type").unwrap();
        let (mut text, mut html) = (String::new(), String::new());
        let mut part = |headers: &[(String, String)], body: &str| {
            let body = decoded(body, header(headers, "content-transfer-encoding").unwrap_or_default());
            match header(headers, "content-type").unwrap() {
                t if t.starts_with("text/plain") => text = body,
                t if t.starts_with("text/html") => html = body,
                t => panic!("a part of type {t}"),
            }
        };
        match content_type.split_once("boundary=\"") {
            Some((_, rest)) => {
                let boundary = format!("--{}", rest.split('"').next().unwrap());
                for p in body.split(&boundary).skip(1).filter(|p| !p.starts_with("--")) {
                    let (headers, body) = head_and_body(p.trim_start_matches("\r\n"));
                    part(&headers, body);
                }
            }
            None => part(&headers, body),
        }
        Mail {
            headers,
            text: text.replace("\r\n", "\n").trim_end().to_owned() + "\n",
            html,
            raw: raw.to_owned(),
        }
    }

    /// All values of a header.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.headers
            .iter()
            .filter(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_str())
            .collect()
    }

    /// The one value of a header.
    pub(crate) fn header(&self, name: &str) -> &str {
        let all = self.all(name);
        assert_eq!(all.len(), 1, "{name} in {:?}", self.headers);
        all[0]
    }

    pub(crate) fn subject(&self) -> &str {
        self.header("Subject")
    }
}

fn head_and_body(raw: &str) -> (Vec<(String, String)>, &str) {
    let (head, body) = raw.split_once("\r\n\r\n").expect("an empty line after the headers");
    let mut headers: Vec<(String, String)> = Vec::new();
    for line in head.split("\r\n") {
        if line.starts_with([' ', '\t']) {
            headers
                .last_mut()
                .expect("a header before its continuation")
                .1
                .push_str(line);
        } else {
            let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("no header: {line:?}"));
            headers.push((name.to_owned(), value.trim_start().to_owned()));
        }
    }
    (headers, body)
}

fn header<'h>(headers: &'h [(String, String)], name: &str) -> Option<&'h str> {
    headers
        .iter()
        .find(|(n, _)| n.eq_ignore_ascii_case(name))
        .map(|(_, v)| v.as_str())
}

fn decoded(body: &str, encoding: &str) -> String {
    use base64::Engine as _;
    match encoding {
        "base64" => {
            let packed: String = body.split_whitespace().collect();
            String::from_utf8(base64::engine::general_purpose::STANDARD.decode(packed).unwrap()).unwrap()
        }
        "quoted-printable" => {
            let body = body.replace("=\r\n", "");
            let mut bytes = Vec::new();
            let mut rest = body.as_bytes();
            while let Some((&b, after)) = rest.split_first() {
                if b == b'=' {
                    let hex = std::str::from_utf8(&after[..2]).unwrap();
                    bytes.push(u8::from_str_radix(hex, 16).unwrap());
                    rest = &after[2..];
                } else {
                    bytes.push(b);
                    rest = after;
                }
            }
            String::from_utf8(bytes).unwrap()
        }
        _ => body.to_owned(),
    }
}

pub(crate) fn webhook(name: &str, url: &str, secret: Option<&str>) -> Channel {
    Channel::Webhook {
        name: Arc::from(name),
        url: Arc::from(url),
        secret: secret.map(Arc::from),
        at_once: true,
    }
}
