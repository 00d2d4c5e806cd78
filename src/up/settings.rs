//! What the services are told: by the command line, the environment and the configuration file, in this order. All faults are found at once.

use crate::secret::Secret;
use crate::{config, exit};
use andon_actors::notifier::email_address;
use andon_dashboard_api::WebApp;
use andon_engine::rule::Configuration;
use andon_engine::time::Span;
use andon_gateway::LevelWords;
use andon_storage::journal::{ArchiveOptions, JournalOptions};
use clap::Args;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The data folder when none is named.
pub const DATA_DIR: &str = "andon-data";
const INGEST: &str = "127.0.0.1:7400";
const DASHBOARD: &str = "127.0.0.1:7401";
const NOTIFIER: &str = "127.0.0.1:7402";
/// The journal's quota: what is full in half an hour at 50,000 records/s.
const JOURNAL_QUOTA: u64 = 8 << 30;

/// Where records, incidents and states are kept when not in the data folder. Passwords are shown nowhere.
#[derive(Debug, Clone, Default, Args)]
pub struct StoreArgs {
    /// postgres://user:password@host/database. Without it SQLite in the data folder.
    #[arg(long, env = "ANDON_POSTGRES_URL", hide_env_values = true)]
    pub postgres_url: Option<Secret>,
    /// redis[s]://user:password@host:port/database. Without it checkpoints lie in the data folder only.
    #[arg(long, env = "ANDON_REDIS_URL", hide_env_values = true)]
    pub redis_url: Option<Secret>,
    /// http[s]://user:password@host:port. Without it the full-text index lies in the data folder.
    #[arg(long, env = "ANDON_ELASTICSEARCH_URL", hide_env_values = true)]
    pub elasticsearch_url: Option<Secret>,
    /// Do not bring the schema of PostgreSQL up to date; refuse to start when it is not (see `andon migrate`).
    #[arg(long, env = "ANDON_NO_MIGRATE")]
    pub no_migrate: bool,
    /// How long to wait at start for a store that does not answer, such as 10m; without it that is an error at once.
    #[arg(long, env = "ANDON_WAIT_FOR_STORES")]
    pub wait_for_stores: Option<String>,
}

/// How people are told.
#[derive(Debug, Default, Args)]
pub struct MailArgs {
    /// Whom the default route mails; repeatable.
    #[arg(long, env = "ANDON_ALERT_TO", value_delimiter = ',')]
    pub alert_to: Vec<String>,
    /// smtp[s]://user:password@host:port. Without it e-mails become .eml files in DIR/outbox.
    #[arg(long, env = "ANDON_SMTP_URL", hide_env_values = true)]
    pub smtp_url: Option<Secret>,
    /// Sender of e-mails; needed with --smtp-url.
    #[arg(long, env = "ANDON_MAIL_FROM")]
    pub mail_from: Option<String>,
    /// Base of every link; needed with --smtp-url.
    #[arg(long, env = "ANDON_PUBLIC_URL")]
    pub public_url: Option<String>,
}

/// The options of the ingest service, which `andon up` has too. What is not given comes from the environment (on the command line
/// only), the file, or a default.
#[derive(Debug, Default, Args)]
pub struct ServiceArgs {
    /// Where the journal is, and everything that no other store keeps; made if absent.
    #[arg(long, env = "ANDON_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// Configuration file (TOML).
    #[arg(long, env = "ANDON_CONFIG")]
    pub config: Option<PathBuf>,
    /// Where senders post records [default: 127.0.0.1:7400]
    #[arg(long, env = "ANDON_INGEST")]
    pub ingest: Option<String>,
    #[command(flatten)]
    pub mail: MailArgs,
    #[command(flatten)]
    pub stores: StoreArgs,
    /// Take over stores whose cursors belong to another journal.
    #[arg(long, env = "ANDON_ADOPT_STORES")]
    pub adopt_stores: bool,
    /// One JSON object a line on standard output; the first has "event":"ready".
    #[arg(long, env = "ANDON_JSON")]
    pub json: bool,
}

/// The options of `andon up`.
#[derive(Debug, Default, Args)]
pub struct UpArgs {
    #[command(flatten)]
    pub service: ServiceArgs,
    /// Where people look [default: 127.0.0.1:7401]
    #[arg(long, env = "ANDON_DASHBOARD")]
    pub dashboard: Option<String>,
    /// The built web app.
    #[arg(long, env = "ANDON_WEB_DIR")]
    pub web_dir: Option<PathBuf>,
}

/// The options of `andon gateway`: `andon up` without its dashboard.
#[derive(Debug, Default, Args)]
pub struct GatewayArgs {
    #[command(flatten)]
    pub service: ServiceArgs,
    /// Tell nobody: `andon notifier` does.
    #[arg(long, env = "ANDON_NO_NOTIFIER")]
    pub no_notifier: bool,
    /// Where that notifier listens, so that the two know of each other when PostgreSQL and Redis are away: http://host:7402
    #[arg(long, env = "ANDON_NOTIFIER_URL")]
    pub notifier_url: Option<String>,
}

/// The options of `andon dashboard`.
#[derive(Debug, Default, Args)]
pub struct DashboardArgs {
    /// Configuration file (TOML).
    #[arg(long, env = "ANDON_CONFIG")]
    pub config: Option<PathBuf>,
    /// Where people look [default: 127.0.0.1:7401]
    #[arg(long, env = "ANDON_DASHBOARD")]
    pub dashboard: Option<String>,
    /// The built web app.
    #[arg(long, env = "ANDON_WEB_DIR")]
    pub web_dir: Option<PathBuf>,
    /// Base of every link, as it is given to the gateway.
    #[arg(long, env = "ANDON_PUBLIC_URL")]
    pub public_url: Option<String>,
    #[command(flatten)]
    pub stores: StoreArgs,
    /// One JSON object a line on standard output; the first has "event":"ready".
    #[arg(long, env = "ANDON_JSON")]
    pub json: bool,
}

/// The options of `andon notifier`.
#[derive(Debug, Default, Args)]
pub struct NotifierArgs {
    /// Configuration file (TOML).
    #[arg(long, env = "ANDON_CONFIG")]
    pub config: Option<PathBuf>,
    /// Where `outbox` is, which has the e-mails when there is no --smtp-url [default: andon-data]
    #[arg(long, env = "ANDON_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// Where it says how it is: /health/live, /health/ready and /metrics [default: 127.0.0.1:7402]
    #[arg(long, env = "ANDON_NOTIFIER")]
    pub listen: Option<String>,
    #[command(flatten)]
    pub mail: MailArgs,
    #[command(flatten)]
    pub stores: StoreArgs,
    /// One JSON object a line on standard output; the first has "event":"ready".
    #[arg(long, env = "ANDON_JSON")]
    pub json: bool,
}

/// Where the stores are, with their secrets.
#[derive(Clone, Default)]
pub(crate) struct StoreSettings {
    pub postgres_url: Option<Secret>,
    pub redis_url: Option<Secret>,
    pub elasticsearch_url: Option<Secret>,
    pub elasticsearch_api_key: Option<Secret>,
    pub elasticsearch_prefix: Option<String>,
    /// PEM.
    pub elasticsearch_ca: Option<Vec<u8>>,
    pub migrate: bool,
    /// How long a store that does not answer is waited for.
    pub wait: Span,
    pub retention: Retention,
}

/// How long log records are kept, by what they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Retention {
    /// TRACE and DEBUG.
    pub debug: Span,
    /// All others.
    pub standard: Span,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            debug: Span::hours(7 * 24),
            standard: Span::hours(90 * 24),
        }
    }
}

/// The dashboard's side.
pub(crate) struct DashboardSettings {
    pub(crate) addr: SocketAddr,
    pub(crate) web: WebApp,
}

/// How people are told.
pub(crate) struct MailSettings {
    pub(crate) alert_to: Vec<String>,
    pub(crate) smtp_url: Option<Secret>,
    pub(crate) from: Option<String>,
    /// Base of every link.
    pub(crate) public_url: Option<String>,
    /// What webhooks are signed with, by name.
    pub(crate) secrets: Vec<(String, String)>,
    /// Where e-mails go when there is no server to send them by.
    pub(crate) outbox: PathBuf,
}

/// What the command line, the environment and the file come to, for a process with a journal.
pub(crate) struct Settings {
    pub(crate) data_dir: PathBuf,
    pub(crate) ingest: SocketAddr,
    /// `None`: a process of its own serves it.
    pub(crate) dashboard: Option<DashboardSettings>,
    pub(crate) notifier: bool,
    /// Of the notifier beside it, where it has none of its own.
    pub(crate) notifier_url: Option<String>,
    pub(crate) mail: MailSettings,
    pub(crate) journal: JournalOptions,
    pub(crate) configuration: Configuration,
    /// By id of a key.
    pub(crate) level_words: HashMap<String, Arc<LevelWords>>,
    pub(crate) file_has_default_route: bool,
    pub(crate) stores: StoreSettings,
    pub(crate) adopt_stores: bool,
    pub(crate) json: bool,
}

/// The same for `andon dashboard`.
pub(crate) struct ReaderSettings {
    pub(crate) dashboard: DashboardSettings,
    pub(crate) public_url: Option<String>,
    pub(crate) stores: StoreSettings,
    pub(crate) json: bool,
}

/// The same for `andon notifier`.
pub(crate) struct NotifierSettings {
    pub(crate) listen: SocketAddr,
    pub(crate) mail: MailSettings,
    pub(crate) stores: StoreSettings,
    pub(crate) json: bool,
}

pub(crate) fn up_settings(args: UpArgs) -> anyhow::Result<Settings> {
    let mut reading = Reading::of(args.service.config.as_deref());
    let dashboard = reading.dashboard(args.dashboard, args.web_dir);
    reading.service(args.service, Some(dashboard), true, None)
}

pub(crate) fn gateway_settings(args: GatewayArgs) -> anyhow::Result<Settings> {
    let mut reading = Reading::of(args.service.config.as_deref());
    reading.all_stores("gateway", &args.service.stores);
    let notifier_url = reading.notifier_url(args.notifier_url, args.no_notifier);
    reading.service(args.service, None, !args.no_notifier, notifier_url)
}

pub(crate) fn dashboard_settings(args: DashboardArgs) -> anyhow::Result<ReaderSettings> {
    let mut reading = Reading::of(args.config.as_deref());
    reading.all_stores("dashboard", &args.stores);
    let dashboard = reading.dashboard(args.dashboard, args.web_dir);
    let stores = reading.stores(args.stores);
    let public_url = args.public_url.or_else(|| reading.file.server.public_url.clone());
    reading.done()?;
    Ok(ReaderSettings {
        dashboard,
        public_url,
        stores,
        json: args.json,
    })
}

pub(crate) fn notifier_settings(args: NotifierArgs) -> anyhow::Result<NotifierSettings> {
    let mut reading = Reading::of(args.config.as_deref());
    reading.all_stores("notifier", &args.stores);
    let data_dir = reading.data_dir(args.data_dir);
    let mail = reading.mail(args.mail, &data_dir);
    reading.needs_public_url(&mail);
    let stores = reading.stores(args.stores);
    let listen = reading.address("listen", args.listen, NOTIFIER);
    reading.done()?;
    Ok(NotifierSettings {
        listen,
        mail,
        stores,
        json: args.json,
    })
}

/// Stores for a command at a terminal, from its options and the file, if one is named.
pub(crate) fn store_settings(args: StoreArgs, config: Option<&Path>) -> anyhow::Result<StoreSettings> {
    let mut reading = Reading::of(config);
    let stores = reading.stores(args);
    reading.done()?;
    Ok(stores)
}

/// The file, and what is wrong so far.
struct Reading {
    file: config::File,
    faults: Vec<String>,
}

impl Reading {
    fn of(path: Option<&Path>) -> Self {
        let file = match path {
            None => config::parse("version = 1"),
            Some(path) => match std::fs::read_to_string(path) {
                Ok(text) => config::parse(&text),
                Err(e) => Err(config::Faults(vec![format!("{}: {e}", path.display())])),
            },
        };
        match file {
            Ok(file) => Self { file, faults: vec![] },
            Err(e) => Self {
                file: config::File::default(),
                faults: e.0,
            },
        }
    }

    fn done(&mut self) -> anyhow::Result<()> {
        if self.faults.is_empty() {
            return Ok(());
        }
        Err(exit::config(format!(
            "the configuration has {} fault(s):\n{}",
            self.faults.len(),
            self.faults.join("\n")
        )))
    }

    fn address(&mut self, option: &str, given: Option<String>, default: &str) -> SocketAddr {
        let text = given.unwrap_or_else(|| default.to_owned());
        text.parse().unwrap_or_else(|_| {
            self.faults
                .push(format!("{option}: \"{text}\" is not an address such as {default}"));
            SocketAddr::from(([127, 0, 0, 1], 0))
        })
    }

    /// A value that is a secret: given, in the file, or in a file that the file names.
    fn secret(
        &mut self,
        option: &str,
        given: Option<Secret>,
        value: Option<Secret>,
        path: Option<PathBuf>,
    ) -> Option<Secret> {
        given.or(value).or_else(|| {
            let path = path?;
            match std::fs::read_to_string(&path) {
                Ok(text) => Some(text.trim().to_owned().into()),
                Err(e) => {
                    self.faults.push(format!("{option} {}: {e}", path.display()));
                    None
                }
            }
        })
    }

    fn span(&mut self, place: &str, text: Option<&str>, default: Span) -> Span {
        match text.map(config::span) {
            None => default,
            Some(Ok(span)) => span,
            Some(Err(e)) => {
                self.faults.push(format!("{place}: {e}"));
                default
            }
        }
    }

    /// Separate services meet in these stores and nowhere else.
    fn all_stores(&mut self, command: &str, args: &StoreArgs) {
        let s = &self.file.stores;
        for (option, missing) in [
            (
                "postgres-url",
                args.postgres_url.is_none() && s.postgres_url.is_none() && s.postgres_url_file.is_none(),
            ),
            (
                "redis-url",
                args.redis_url.is_none() && s.redis_url.is_none() && s.redis_url_file.is_none(),
            ),
            (
                "elasticsearch-url",
                args.elasticsearch_url.is_none() && s.elasticsearch_url.is_none() && s.elasticsearch_url_file.is_none(),
            ),
        ] {
            if missing {
                self.faults.push(format!(
                    "{option}: `andon {command}` needs it, because separate services meet in PostgreSQL, Redis and Elasticsearch; \
                     `andon up` runs everything in one process and needs none of them"
                ));
            }
        }
    }

    fn stores(&mut self, args: StoreArgs) -> StoreSettings {
        let s = self.file.stores.clone();
        let keep = self.file.retention.clone();
        let wait = args.wait_for_stores.or(s.wait_for);
        let default = Retention::default();
        StoreSettings {
            postgres_url: self.secret(
                "stores.postgres_url_file",
                args.postgres_url,
                s.postgres_url,
                s.postgres_url_file,
            ),
            redis_url: self.secret("stores.redis_url_file", args.redis_url, s.redis_url, s.redis_url_file),
            elasticsearch_url: self.secret(
                "stores.elasticsearch_url_file",
                args.elasticsearch_url,
                s.elasticsearch_url,
                s.elasticsearch_url_file,
            ),
            elasticsearch_api_key: self.secret(
                "stores.elasticsearch_api_key_file",
                None,
                None,
                s.elasticsearch_api_key_file,
            ),
            elasticsearch_prefix: s.elasticsearch_prefix,
            elasticsearch_ca: self
                .secret("stores.elasticsearch_ca_file", None, None, s.elasticsearch_ca_file)
                .map(|pem| pem.as_bytes().to_vec()),
            migrate: !args.no_migrate,
            wait: self.span("wait-for-stores", wait.as_deref(), Span::ZERO),
            retention: Retention {
                debug: self.span("retention.debug", keep.debug.as_deref(), default.debug),
                standard: self.span("retention.standard", keep.standard.as_deref(), default.standard),
            },
        }
    }

    fn data_dir(&self, given: Option<PathBuf>) -> PathBuf {
        given
            .or_else(|| self.file.server.data_dir.clone())
            .unwrap_or_else(|| DATA_DIR.into())
    }

    fn mail(&mut self, args: MailArgs, data_dir: &Path) -> MailSettings {
        let file = &self.file.mail;
        let alert_to = if args.alert_to.is_empty() {
            file.alert_to.clone()
        } else {
            args.alert_to
        };
        for email in &alert_to {
            // The configuration has found it already where it makes the default route of it.
            if let Err(why) = email_address(email)
                && !self.faults.iter().any(|f| f.ends_with(&why))
            {
                self.faults.push(format!("alert_to: {why}"));
            }
        }
        let (url, path) = (file.smtp_url.clone(), file.smtp_url_file.clone());
        let from = args.mail_from.or_else(|| file.from.clone());
        let smtp_url = self.secret("mail.smtp_url_file", args.smtp_url, url, path);
        let public_url = args.public_url.or_else(|| self.file.server.public_url.clone());
        if smtp_url.is_some() {
            for (option, given) in [("mail-from", &from), ("public-url", &public_url)] {
                if given.is_none() {
                    self.faults.push(format!("{option}: needed with smtp-url"));
                }
            }
        }
        MailSettings {
            alert_to,
            smtp_url,
            from,
            public_url,
            secrets: self.file.secrets.clone().into_iter().collect(),
            outbox: data_dir.join("outbox"),
        }
    }

    fn notifier_url(&mut self, given: Option<String>, no_notifier: bool) -> Option<String> {
        let url = given.or_else(|| self.file.server.notifier_url.clone())?;
        let fits = reqwest::Url::parse(&url).is_ok_and(|u| matches!(u.scheme(), "http" | "https") && u.has_host());
        if !fits {
            self.faults.push(format!(
                "notifier-url: \"{url}\" is no address such as http://host:7402"
            ));
        } else if !no_notifier {
            self.faults
                .push("notifier-url: only with no-notifier: otherwise this gateway tells people itself".into());
        }
        Some(url)
    }

    fn needs_public_url(&mut self, mail: &MailSettings) {
        if mail.public_url.is_none() {
            self.faults.push(
                "public-url: needed, because the links in e-mails lead to a dashboard that another process serves"
                    .into(),
            );
        }
    }

    fn dashboard(&mut self, addr: Option<String>, web_dir: Option<PathBuf>) -> DashboardSettings {
        let addr = addr.or_else(|| self.file.server.dashboard.clone());
        DashboardSettings {
            addr: self.address("dashboard", addr, DASHBOARD),
            web: web_app(web_dir.or_else(|| self.file.server.web_dir.clone())),
        }
    }

    fn service(
        mut self,
        args: ServiceArgs,
        dashboard: Option<DashboardSettings>,
        notifier: bool,
        notifier_url: Option<String>,
    ) -> anyhow::Result<Settings> {
        let configuration = config::configuration(&self.file, &args.mail.alert_to).unwrap_or_else(|e| {
            self.faults.extend(e.0);
            Configuration::default()
        });
        let ingest = args.ingest.or_else(|| self.file.server.ingest.clone());
        let ingest = self.address("ingest", ingest, INGEST);
        let stores = self.stores(args.stores);
        let data_dir = self.data_dir(args.data_dir);
        let mail = self.mail(args.mail, &data_dir);
        if dashboard.is_none() && notifier {
            self.needs_public_url(&mail);
        }
        let keep = self.file.journal.archive_keep.clone();
        let keep = self.span("journal.archive_keep", keep.as_deref(), Span::hours(7 * 24));
        let defaults = JournalOptions::default();
        let file = &self.file.journal;
        // Nothing is recycled before each of these has said how far it is.
        let mut holders = vec!["judging".to_owned(), "rows".to_owned(), "log_index".to_owned()];
        if stores.postgres_url.is_some() {
            holders.push("records".to_owned());
        }
        let journal = JournalOptions {
            quota_bytes: file.quota_bytes.unwrap_or(JOURNAL_QUOTA),
            segment_bytes: file.segment_bytes.unwrap_or(defaults.segment_bytes),
            holders,
            archive: Some(ArchiveOptions {
                dir: data_dir.join("archive"),
                bytes_max: file.archive_bytes.unwrap_or(16 << 30),
                keep,
            }),
            ..defaults
        };
        self.done()?;
        let file = self.file;
        let (level_words, _) = config::level_words(&file);
        Ok(Settings {
            data_dir,
            ingest,
            dashboard,
            notifier,
            notifier_url,
            mail,
            journal,
            file_has_default_route: file.has_default_route(),
            configuration,
            level_words,
            stores,
            adopt_stores: args.adopt_stores,
            json: args.json,
        })
    }
}

/// The directory given, else `web` beside the program, else what a checkout has built.
fn web_app(given: Option<PathBuf>) -> WebApp {
    let beside = std::env::current_exe()
        .ok()
        .and_then(|exe| Some(exe.parent()?.join("web")));
    let found = given
        .into_iter()
        .chain(beside)
        .chain([PathBuf::from("web/dist")])
        .find(|d| d.join("index.html").is_file());
    found.map_or(WebApp::Absent, WebApp::Directory)
}
