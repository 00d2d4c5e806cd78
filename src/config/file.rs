//! The shape of the configuration file: sections and entries as they are written, before anything is made of them.

use crate::secret::Secret;
use andon_engine::rule::{Channel, Priority};
use andon_engine::subject::SubjectKind;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// Values of the server that may stand in the file; the command line's options of the same names win.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerSection {
    pub data_dir: Option<PathBuf>,
    pub ingest: Option<String>,
    pub dashboard: Option<String>,
    pub public_url: Option<String>,
    pub web_dir: Option<PathBuf>,
    /// Of `andon notifier`, for a gateway that runs without one.
    pub notifier_url: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MailSection {
    pub alert_to: Vec<String>,
    pub smtp_url: Option<Secret>,
    pub smtp_url_file: Option<PathBuf>,
    pub from: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JournalSection {
    pub quota_bytes: Option<u64>,
    pub segment_bytes: Option<u64>,
    pub archive_bytes: Option<u64>,
    pub archive_keep: Option<String>,
}

/// Where the stores are. Each secret may stand in a file of its own.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoresSection {
    pub postgres_url: Option<Secret>,
    pub postgres_url_file: Option<PathBuf>,
    pub redis_url: Option<Secret>,
    pub redis_url_file: Option<PathBuf>,
    pub elasticsearch_url: Option<Secret>,
    pub elasticsearch_url_file: Option<PathBuf>,
    pub elasticsearch_api_key_file: Option<PathBuf>,
    /// PEM certificates to trust beside the public ones.
    pub elasticsearch_ca_file: Option<PathBuf>,
    /// What the names of its indices begin with: `andon` if not given.
    pub elasticsearch_prefix: Option<String>,
    /// How long to wait at start for one that does not answer: `"10m"`.
    pub wait_for: Option<String>,
}

/// How long log records are kept in PostgreSQL and Elasticsearch: `"30d"`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetentionSection {
    pub debug: Option<String>,
    pub standard: Option<String>,
}

#[derive(Debug, Default)]
pub struct File {
    pub server: ServerSection,
    pub mail: MailSection,
    pub journal: JournalSection,
    pub stores: StoresSection,
    pub retention: RetentionSection,
    /// Secrets by name, for webhooks and Slack.
    pub secrets: BTreeMap<String, String>,
    /// By id of a key: what the words of its senders mean.
    pub(super) levels: BTreeMap<String, BTreeMap<String, String>>,
    pub default_rules: bool,
    pub(super) rules: Vec<RuleEntry>,
    pub(super) routes: Vec<RouteEntry>,
    pub(super) recipients: Vec<RecipientEntry>,
    pub(super) mute_windows: Vec<MuteEntry>,
    pub(super) sites: Vec<SiteEntry>,
    pub(super) devices: Vec<DeviceEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleEntry {
    pub(super) id: String,
    pub(super) name: Option<String>,
    #[serde(default = "yes")]
    pub(super) enabled: bool,
    pub(super) subject: SubjectKind,
    pub(super) priority: Priority,
    pub(super) route: Option<String>,
    pub(super) runbook: Option<String>,
    pub(super) off_delay: Option<String>,
    pub(super) reopen_within: Option<String>,
    pub(super) passes_throttle: Option<bool>,
    #[serde(default)]
    pub(super) safety: bool,
    pub(super) count: Option<CountEntry>,
    pub(super) limit: Option<LimitEntry>,
    pub(super) silence: Option<SilenceEntry>,
    #[serde(default)]
    pub(super) applications: Vec<Arc<str>>,
    #[serde(default)]
    pub(super) devices: Vec<Arc<str>>,
    #[serde(default)]
    pub(super) device_classes: Vec<Arc<str>>,
    #[serde(default)]
    pub(super) areas: Vec<Arc<str>>,
    #[serde(default)]
    pub(super) users: Vec<Arc<str>>,
    #[serde(rename = "type")]
    pub(super) type_prefix: Option<Arc<str>>,
    pub(super) min_level: Option<String>,
    #[serde(default)]
    pub(super) without: Vec<SubjectKind>,
    #[serde(default)]
    pub(super) fields: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CountEntry {
    pub(super) n: u32,
    pub(super) within: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitEntry {
    pub(super) reading: String,
    pub(super) above: Option<f64>,
    pub(super) below: Option<f64>,
    pub(super) unit: Option<String>,
    #[serde(default)]
    pub(super) deadband: f64,
    pub(super) on_delay: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SilenceEntry {
    pub(super) after: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RouteEntry {
    pub(super) id: String,
    pub(super) name: Option<String>,
    #[serde(default)]
    pub(super) recipients: Vec<String>,
    #[serde(default)]
    pub(super) channels: Vec<ChannelEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SiteEntry {
    pub(super) id: Arc<str>,
    pub(super) name: Option<Arc<str>>,
    pub(super) time_zone: Arc<str>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeviceEntry {
    pub(super) id: Arc<str>,
    pub(super) class: Option<Arc<str>>,
    pub(super) site: Option<Arc<str>>,
    pub(super) area: Option<Arc<str>>,
    pub(super) line: Option<Arc<str>>,
    pub(super) gateway: Option<Arc<str>>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum ChannelEntry {
    Webhook {
        name: Arc<str>,
        url: Arc<str>,
        secret: Option<Arc<str>>,
    },
    Slack {
        name: Arc<str>,
        url_secret: Arc<str>,
    },
}

impl ChannelEntry {
    pub(super) fn channel(&self) -> Channel {
        match self {
            ChannelEntry::Webhook { name, url, secret } => Channel::Webhook {
                name: name.clone(),
                url: url.clone(),
                secret: secret.clone(),
            },
            ChannelEntry::Slack { name, url_secret } => Channel::Slack {
                name: name.clone(),
                url_secret: url_secret.clone(),
            },
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RecipientEntry {
    pub(super) id: String,
    pub(super) name: Option<String>,
    pub(super) email: String,
    pub(super) language: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MuteEntry {
    pub(super) id: String,
    pub(super) reason: String,
    #[serde(default)]
    pub(super) includes_safety: bool,
    #[serde(default)]
    pub(super) sites: Vec<Arc<str>>,
    #[serde(default)]
    pub(super) areas: Vec<Arc<str>>,
    #[serde(default)]
    pub(super) devices: Vec<Arc<str>>,
    #[serde(default)]
    pub(super) rules: Vec<String>,
    #[serde(default)]
    pub(super) recipients: Vec<String>,
    #[serde(default)]
    pub(super) channels: Vec<Arc<str>>,
    /// Once: both. RFC 3339 with offset.
    pub(super) from: Option<String>,
    pub(super) until: Option<String>,
    /// Recurring: all three, and which days (`mon` … `sun`; none means every day).
    pub(super) start: Option<String>,
    pub(super) end: Option<String>,
    pub(super) time_zone: Option<Arc<str>>,
    #[serde(default)]
    pub(super) days: Vec<String>,
}

fn yes() -> bool {
    true
}
