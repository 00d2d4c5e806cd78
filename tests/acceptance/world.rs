//! One Andon in this process, in a folder of its own, on a clock that only the test moves.

use crate::servers::Servers;
use andon::dashboard::{self, DashboardService};
use andon::notifier::{self, NotifierService};
use andon::up::{self, Andon, DashboardArgs, GatewayArgs, MailArgs, NotifierArgs, ServiceArgs, UpArgs};
use andon_engine::time::{Clock, ManualClock, Span, Timestamp};
use andon_load::oracle::mail::{Mail, read_outbox};
use andon_load::sender::http_client;
use andon_storage::keys::{KeyGrant, NewKey, generate};
use andon_storage::ports::keys::{KeyStore, Scope};
use andon_storage::postgres::{PostgresOptions, PostgresStore};
use andon_storage::sqlite::SqliteStore;
use serde_json::{Value, json};
use std::cell::Cell;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

pub const BINARY: &str = env!("CARGO_BIN_EXE_andon");
/// Whom the default route mails.
pub const LEAD: &str = "lead@example.com";
/// Only a fault reaches it: a debug build on a busy machine is far below.
const DEADLINE: Duration = Duration::from_secs(180);
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// 2026-11-23T02:00:00Z, a Monday.
const START: Timestamp = Timestamp::from_micros(1_795_399_200_000_000);
/// Where links lead when another process serves the dashboard.
const PUBLIC_URL: &str = "http://andon.plant.example";
/// How often [`World::pulse`] may be called.
const PULSES: u32 = 12;

/// Waits until `look` gives something, and says what it waited for when it never does.
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let waiting = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    match tokio::time::timeout(DEADLINE, waiting).await {
        Ok(found) => found,
        Err(_) => panic!("never came true: {what}"),
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
}

impl Answer {
    pub fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }

    pub fn counts(&self) -> (u16, u64, u64) {
        let n = |name: &str| self.body[name].as_u64().unwrap_or(u64::MAX);
        (self.status, n("accepted"), n("duplicates"))
    }
}

/// Sends a body as it is. `headers` may replace the content type.
pub async fn post(http: &reqwest::Client, url: &str, key: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
    let mut request = http.post(format!("{url}/v1/records")).body(body);
    if !key.is_empty() {
        request = request.bearer_auth(key);
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.expect("an answer");
    let status = response.status().as_u16();
    let bytes = response.bytes().await.expect("a whole answer");
    Answer {
        status,
        body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
    }
}

/// Asks the dashboard; `link` is the token out of an e-mail.
pub async fn ask(http: &reqwest::Client, url: &str, link: Option<&str>, query: &str, variables: Value) -> Value {
    let mut request = http.post(format!("{url}/graphql"));
    if let Some(token) = link {
        request = request.header("andon-link-token", token);
    }
    let request = request.json(&json!({ "query": query, "variables": variables }));
    let response = request.send().await.expect("an answer of the dashboard");
    response.json().await.expect("GraphQL answers JSON")
}

/// How Andon runs under a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `andon up` on its embedded stores.
    Embedded,
    /// `andon up` on PostgreSQL, Redis and Elasticsearch.
    Servers,
    /// `andon gateway` and `andon dashboard`, which meet in these.
    TwoServices,
    /// The same, and `andon notifier` instead of the gateway's own.
    ThreeServices,
}

impl Form {
    fn has_services(self) -> bool {
        matches!(self, Form::TwoServices | Form::ThreeServices)
    }
}

/// Makes a test of each function, in each form of Andon.
macro_rules! in_every_form {
    ($($name:ident),* $(,)?) => {
        mod embedded {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::world::Form::Embedded).await;
            })*
        }
        mod servers {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::world::Form::Servers).await;
            })*
        }
        mod two_services {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::world::Form::TwoServices).await;
            })*
        }
    };
}
pub(crate) use in_every_form;

/// The same with a notifier of its own.
macro_rules! with_a_notifier_apart {
    ($($name:ident),* $(,)?) => {
        mod three_services {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::world::Form::ThreeServices).await;
            })*
        }
    };
}
pub(crate) use with_a_notifier_apart;

/// A key straight into the store, as `andon key create` makes it.
pub async fn key_in(data_dir: &Path) -> String {
    std::fs::create_dir_all(data_dir).expect("a folder");
    let store = SqliteStore::open(&up::database_path(data_dir)).await.expect("a store");
    let key = test_key();
    store.insert_key(&key.row).await.expect("a key");
    store.close().await;
    key.text
}

/// The same in PostgreSQL.
async fn key_on(postgres_url: &str) -> String {
    let store = PostgresStore::open(postgres_url, PostgresOptions::default())
        .await
        .expect("a store");
    let key = test_key();
    store.insert_key(&key.row).await.expect("a key");
    store.close().await;
    key.text
}

fn test_key() -> NewKey {
    let grant = KeyGrant {
        name: "test".into(),
        scopes: vec![Scope::Ingest, Scope::Read],
        ..KeyGrant::default()
    };
    generate(grant, START)
}

pub struct World {
    pub clock: Arc<ManualClock>,
    pub key: String,
    pub http: reqwest::Client,
    form: Form,
    andon: Option<Andon>,
    dashboard: Option<DashboardService>,
    notifier: Option<NotifierService>,
    pulses: Cell<u32>,
    servers: Option<Servers>,
    dir: TempDir,
}

impl World {
    /// On embedded stores. `config`: what follows `version = 1` in the file.
    pub async fn start(config: &str) -> World {
        World::start_in(Form::Embedded, config).await
    }

    pub async fn start_in(form: Form, config: &str) -> World {
        let dir = tempfile::tempdir().expect("a folder");
        let servers = match form {
            Form::Embedded => None,
            _ => Some(Servers::new().await),
        };
        let key = match &servers {
            None => key_in(&dir.path().join("data")).await,
            Some(servers) => key_on(&servers.postgres).await,
        };
        let mut world = World {
            clock: Arc::new(ManualClock::new(START)),
            key,
            http: http_client().expect("a client"),
            form,
            andon: None,
            dashboard: None,
            notifier: None,
            pulses: Cell::new(0),
            servers,
            dir,
        };
        world.start_again(config).await;
        world
    }

    /// Stops it if it runs, and starts it on the same stores.
    pub async fn start_again(&mut self, config: &str) {
        self.stop().await;
        let file = self.dir.path().join("andon.toml");
        let stores = self.servers.as_ref().map(Servers::configuration).unwrap_or_default();
        std::fs::write(&file, format!("version = 1\n{stores}{config}\n{}", pulse_rules())).expect("a file");
        let clock: Arc<dyn Clock> = self.clock.clone();
        let any = || Some("127.0.0.1:0".to_owned());
        let service = ServiceArgs {
            data_dir: Some(self.data_dir()),
            config: Some(file.clone()),
            ingest: any(),
            mail: MailArgs {
                alert_to: vec![LEAD.into()],
                public_url: self.form.has_services().then(|| PUBLIC_URL.to_owned()),
                ..MailArgs::default()
            },
            ..ServiceArgs::default()
        };
        if self.form.has_services() {
            let args = GatewayArgs {
                service,
                no_notifier: self.form == Form::ThreeServices,
                ..GatewayArgs::default()
            };
            self.andon = Some(up::start_gateway(args, clock.clone()).await.expect("it starts"));
            let args = DashboardArgs {
                config: Some(file.clone()),
                dashboard: any(),
                ..DashboardArgs::default()
            };
            self.dashboard = Some(dashboard::start(args, clock.clone()).await.expect("it starts"));
            if self.form == Form::ThreeServices {
                let args = NotifierArgs {
                    config: Some(file),
                    data_dir: Some(self.data_dir()),
                    listen: any(),
                    mail: MailArgs {
                        public_url: Some(PUBLIC_URL.to_owned()),
                        ..MailArgs::default()
                    },
                    ..NotifierArgs::default()
                };
                self.notifier = Some(notifier::start(args, clock).await.expect("it starts"));
            }
        } else {
            let args = UpArgs {
                service,
                dashboard: any(),
                ..UpArgs::default()
            };
            self.andon = Some(up::start(args, clock).await.expect("it starts"));
        }
    }

    pub async fn stop(&mut self) {
        if let Some(notifier) = self.notifier.take() {
            notifier.stop().await;
        }
        if let Some(dashboard) = self.dashboard.take() {
            dashboard.stop().await;
        }
        if let Some(andon) = self.andon.take() {
            andon.stop().await;
        }
    }

    /// The head of the journal.
    pub fn last_seq(&self) -> u64 {
        self.andon().status().journal.last_seq
    }

    /// Stops it, and takes its embedded relational store away. Its key is put into a new one.
    pub async fn lose_relational_store(&mut self) {
        self.stop().await;
        let store = up::database_path(&self.data_dir());
        for suffix in ["", "-wal", "-shm"] {
            let mut name = store.clone().into_os_string();
            name.push(suffix);
            let _ = std::fs::remove_file(name);
        }
        assert!(!store.exists());
        self.key = key_in(&self.data_dir()).await;
    }

    /// Where its relational store is, if that is a server.
    pub fn postgres_url(&self) -> Option<&str> {
        self.servers.as_ref().map(|s| s.postgres.as_str())
    }

    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn andon(&self) -> &Andon {
        self.andon.as_ref().expect("it runs")
    }

    /// Where the notifier says how it is.
    pub fn notifier_url(&self) -> &str {
        &self.notifier.as_ref().expect("it runs apart").url
    }

    fn dashboard_url(&self) -> &str {
        match &self.dashboard {
            Some(dashboard) => &dashboard.url,
            None => self.andon().dashboard_url.as_deref().expect("it serves a dashboard"),
        }
    }

    /// The time on its clock as records write it, `after` later.
    pub fn at(&self, after: Span) -> String {
        self.clock.now().plus(after).to_string()
    }

    /// `body` is one record or an array of them; all must be taken.
    pub async fn send(&self, body: Value) {
        let records = body.as_array().map_or(1, Vec::len) as u64;
        let answer = self.post(&[], body.to_string().into_bytes()).await;
        assert_eq!(answer.counts(), (202, records, 0), "{answer:?}");
    }

    pub async fn post(&self, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
        self.post_as(&self.key, headers, body).await
    }

    pub async fn post_as(&self, key: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
        post(&self.http, &self.andon().ingest_url, key, headers, body).await
    }

    /// Data of an answer without errors.
    pub async fn ask(&self, query: &str, variables: Value) -> Value {
        let answer = ask(&self.http, self.dashboard_url(), None, query, variables).await;
        assert_eq!(answer["errors"], Value::Null, "{query}");
        answer["data"].clone()
    }

    /// The whole answer to the holder of a link.
    pub async fn ask_with_link(&self, token: &str, query: &str, variables: Value) -> Value {
        ask(&self.http, self.dashboard_url(), Some(token), query, variables).await
    }

    /// The e-mails so far, without those of [`World::pulse`].
    pub fn mails(&self) -> Vec<Mail> {
        self.all_mails()
            .into_iter()
            .filter(|m| !m.to.contains("pulse-"))
            .collect()
    }

    fn all_mails(&self) -> Vec<Mail> {
        read_outbox(&self.data_dir().join("outbox")).expect("a readable outbox")
    }

    /// Waits for the `n`th e-mail, and until it is noted as sent, and gives all; more than `n` are a fault.
    pub async fn until_mails(&self, n: usize) -> Vec<Mail> {
        let mails = until(&format!("{n} e-mails"), || async {
            let mails = self.mails();
            (mails.len() >= n).then_some(mails)
        })
        .await;
        assert_eq!(mails.len(), n, "{mails:#?}");
        self.settled().await;
        mails
    }

    /// Everything sent so far is judged and told, and everything that is due by the clock as well: an alert made now has gone its
    /// way to a person of its own, and no delivery is open. After this, an e-mail that is not there is not coming.
    pub async fn pulse(&self) {
        let n = self.pulses.get();
        assert!(n < PULSES, "raise PULSES");
        self.pulses.set(n + 1);
        let name = format!("pulse-{n}");
        self.send(json!({ "application": name, "message": "beat" })).await;
        until(&format!("{name} is told"), || async {
            self.all_mails()
                .iter()
                .any(|m| m.to.contains(&format!("<{name}@")))
                .then_some(())
        })
        .await;
        self.settled().await;
    }

    /// Everything sent so far is judged, and no delivery is open. An e-mail is a file a moment before the store has it as sent, and that
    /// moment's clock begins the throttle's window: a test that moves the clock waits for this first.
    async fn settled(&self) {
        until("nothing is on its way", || async {
            // Of the process that judges: another one hears of it a moment later.
            let status = self.andon().status();
            let done = status.sinks.iter().all(|s| s.lag == 0 && s.error.is_none());
            let told = self.incidents().await.iter().all(|i| {
                let deliveries = i["deliveries"].as_array().expect("deliveries");
                let open = |d: &Value| d["state"] == "WAITING" || d["state"] == "NOTICED";
                deliveries.len() >= i["alerts"].as_array().expect("alerts").len() && !deliveries.iter().any(open)
            });
            (done && told).then_some(())
        })
        .await;
    }

    /// All incidents but those of [`World::pulse`], newest first.
    pub async fn incidents(&self) -> Vec<Value> {
        let data = self
            .ask(
                "{ incidents(first: 200) { nodes { id ruleId title count state activity peak historical version subject { kind id } \
                 acknowledged { by } alerts { reason } deliveries { to state reason } timeline { kind text who } } } }",
                Value::Null,
            )
            .await;
        let nodes = data["incidents"]["nodes"].as_array().expect("a list").clone();
        nodes
            .into_iter()
            .filter(|i| !i["ruleId"].as_str().is_some_and(|r| r.starts_with("pulse-")))
            .collect()
    }

    /// Waits for the incident of a rule that `is` as it should be.
    pub async fn until_incident(&self, rule: &str, is: impl Fn(&Value) -> bool) -> Value {
        until(&format!("an incident of {rule} in the state awaited"), || async {
            self.incidents()
                .await
                .into_iter()
                .find(|i| i["ruleId"] == rule && is(i))
        })
        .await
    }

    /// Messages of all log records of an application, oldest first, once there are `n` of them.
    pub async fn until_records(&self, application: &str, n: usize) -> Vec<String> {
        let query = "query($a: String!) { records(filter: { application: $a }, first: 1000, order: OLDEST_FIRST) { nodes { message } } }";
        until(&format!("{n} records of {application}"), || async {
            let data = self.ask(query, json!({ "a": application })).await;
            let nodes = data["records"]["nodes"].as_array().expect("a list").clone();
            (nodes.len() >= n).then(|| {
                let message = |r: &Value| r["message"].as_str().expect("a message").to_owned();
                nodes.iter().map(message).collect()
            })
        })
        .await
    }
}

/// Rules of applications that no test uses but [`World::pulse`], each with a person of its own, so that no throttle holds it.
fn pulse_rules() -> String {
    let mut text = String::new();
    for n in 0..PULSES {
        text.push_str(&format!(
            "[[rules]]\nid = \"pulse-{n}\"\nsubject = \"application\"\npriority = \"P4\"\nroute = \"pulse-{n}\"\napplications = [\"pulse-{n}\"]\n\
             count = {{ n = 1, within = \"60s\" }}\n[[routes]]\nid = \"pulse-{n}\"\nrecipients = [\"pulse-{n}\"]\n\
             [[recipients]]\nid = \"pulse-{n}\"\nemail = \"pulse-{n}@example.com\"\n"
        ));
    }
    text
}
