//! What `andon up` is told: by the command line, the environment and the configuration file, in this order. All faults are found at once.

use crate::{config, exit};
use andon_dashboard_api::WebApp;
use andon_engine::rule::Configuration;
use andon_engine::time::Span;
use andon_storage::journal::{ArchiveOptions, JournalOptions};
use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;

/// The data folder when none is named.
pub const DATA_DIR: &str = "andon-data";
const INGEST: &str = "127.0.0.1:7400";
const DASHBOARD: &str = "127.0.0.1:7401";
/// The journal's quota: what is full in half an hour at 50,000 records/s.
const JOURNAL_QUOTA: u64 = 8 << 30;

/// The options of `andon up`. What is not given comes from the environment (on the command line only), the file, or a default.
#[derive(Debug, Default, Args)]
pub struct UpArgs {
    /// Where everything is kept; made if absent.
    #[arg(long, env = "ANDON_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// Configuration file (TOML).
    #[arg(long, env = "ANDON_CONFIG")]
    pub config: Option<PathBuf>,
    /// Where senders post records [default: 127.0.0.1:7400]
    #[arg(long, env = "ANDON_INGEST")]
    pub ingest: Option<String>,
    /// Where people look [default: 127.0.0.1:7401]
    #[arg(long, env = "ANDON_DASHBOARD")]
    pub dashboard: Option<String>,
    /// Whom the default route mails; repeatable.
    #[arg(long, env = "ANDON_ALERT_TO", value_delimiter = ',')]
    pub alert_to: Vec<String>,
    /// smtp[s]://user:password@host:port. Without it e-mails become .eml files in DIR/outbox.
    #[arg(long, env = "ANDON_SMTP_URL", hide_env_values = true)]
    pub smtp_url: Option<String>,
    /// Sender of e-mails; needed with --smtp-url.
    #[arg(long, env = "ANDON_MAIL_FROM")]
    pub mail_from: Option<String>,
    /// Base of every link; needed with --smtp-url.
    #[arg(long, env = "ANDON_PUBLIC_URL")]
    pub public_url: Option<String>,
    /// The built web app.
    #[arg(long, env = "ANDON_WEB_DIR")]
    pub web_dir: Option<PathBuf>,
    /// Take over stores whose cursors belong to another journal.
    #[arg(long, env = "ANDON_ADOPT_STORES")]
    pub adopt_stores: bool,
    /// One JSON object a line on standard output; the first has "event":"ready".
    #[arg(long, env = "ANDON_JSON")]
    pub json: bool,
}

/// What the command line, the environment and the file come to.
pub(super) struct Settings {
    pub(super) data_dir: PathBuf,
    pub(super) ingest: SocketAddr,
    pub(super) dashboard: SocketAddr,
    pub(super) alert_to: Vec<String>,
    pub(super) smtp_url: Option<String>,
    pub(super) mail_from: Option<String>,
    pub(super) public_url: Option<String>,
    pub(super) web: WebApp,
    pub(super) journal: JournalOptions,
    pub(super) secrets: Vec<(String, String)>,
    pub(super) configuration: Configuration,
    pub(super) file_has_default_route: bool,
    pub(super) adopt_stores: bool,
    pub(super) json: bool,
}

pub(super) fn settings(args: UpArgs) -> anyhow::Result<Settings> {
    let mut faults = Vec::new();
    let file = match &args.config {
        None => config::parse("version = 1"),
        Some(path) => match std::fs::read_to_string(path) {
            Ok(text) => config::parse(&text),
            Err(e) => Err(config::Faults(vec![format!("{}: {e}", path.display())])),
        },
    };
    let file = file.unwrap_or_else(|e| {
        faults.extend(e.0);
        config::File::default()
    });
    let configuration = config::configuration(&file, &args.alert_to).unwrap_or_else(|e| {
        faults.extend(e.0);
        Configuration::default()
    });
    let mut address = |option: &str, given: Option<String>, file: &Option<String>, default: &str| {
        let text = given.or_else(|| file.clone()).unwrap_or_else(|| default.to_owned());
        text.parse().unwrap_or_else(|_| {
            faults.push(format!("{option}: \"{text}\" is not an address such as {default}"));
            SocketAddr::from(([127, 0, 0, 1], 0))
        })
    };
    let ingest = address("ingest", args.ingest, &file.server.ingest, INGEST);
    let dashboard = address("dashboard", args.dashboard, &file.server.dashboard, DASHBOARD);
    let smtp_url = args.smtp_url.or_else(|| file.mail.smtp_url.clone()).or_else(|| {
        let path = file.mail.smtp_url_file.as_ref()?;
        match std::fs::read_to_string(path) {
            Ok(text) => Some(text.trim().to_owned()),
            Err(e) => {
                faults.push(format!("mail.smtp_url_file {}: {e}", path.display()));
                None
            }
        }
    });
    let mail_from = args.mail_from.or_else(|| file.mail.from.clone());
    let public_url = args.public_url.or_else(|| file.server.public_url.clone());
    if smtp_url.is_some() {
        for (option, given) in [("mail-from", &mail_from), ("public-url", &public_url)] {
            if given.is_none() {
                faults.push(format!("{option}: needed with smtp-url"));
            }
        }
    }
    let data_dir = args
        .data_dir
        .or_else(|| file.server.data_dir.clone())
        .unwrap_or_else(|| DATA_DIR.into());
    let defaults = JournalOptions::default();
    let keep = file
        .journal
        .archive_keep
        .as_deref()
        .map_or(Ok(Span::hours(7 * 24)), config::span)
        .unwrap_or_else(|e| {
            faults.push(format!("journal.archive_keep: {e}"));
            Span::hours(7 * 24)
        });
    let journal = JournalOptions {
        quota_bytes: file.journal.quota_bytes.unwrap_or(JOURNAL_QUOTA),
        segment_bytes: file.journal.segment_bytes.unwrap_or(defaults.segment_bytes),
        // Nothing is recycled before each of these has said how far it is.
        holders: ["judging", "rows", "log_index"].map(String::from).to_vec(),
        archive: Some(ArchiveOptions {
            dir: data_dir.join("archive"),
            bytes_max: file.journal.archive_bytes.unwrap_or(16 << 30),
            keep,
        }),
        ..defaults
    };
    if !faults.is_empty() {
        return Err(exit::config(format!(
            "the configuration has {} fault(s):\n{}",
            faults.len(),
            faults.join("\n")
        )));
    }
    Ok(Settings {
        web: web_app(args.web_dir.or_else(|| file.server.web_dir.clone())),
        data_dir,
        ingest,
        dashboard,
        alert_to: if args.alert_to.is_empty() {
            file.mail.alert_to.clone()
        } else {
            args.alert_to
        },
        smtp_url,
        mail_from,
        public_url,
        journal,
        file_has_default_route: file.has_default_route(),
        secrets: file.secrets.into_iter().collect(),
        configuration,
        adopt_stores: args.adopt_stores,
        json: args.json,
    })
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
