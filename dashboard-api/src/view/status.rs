//! The health of the system, as GraphQL and the live feed show it.

use super::scalar::{DateTime, Long};
use crate::system::SystemStatus;
use andon_engine::rule::Configuration;
use andon_engine::time::Timestamp;
use async_graphql::SimpleObject;
use serde::Serialize;

#[derive(SimpleObject, Serialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(test, ts(rename = "LiveStatus"))]
pub struct Status {
    pub version: String,
    #[cfg_attr(test, ts(type = "string"))]
    pub now: DateTime,
    #[cfg_attr(test, ts(type = "string"))]
    pub started_at: DateTime,
    /// IANA name of the (first) site's time zone: show times in it. `UTC` when no site is configured.
    pub time_zone: String,
    pub site_name: Option<String>,
    /// False: senders get 503.
    pub accepting: bool,
    pub not_accepting_reason: Option<String>,
    /// Records accepted since the start.
    #[cfg_attr(test, ts(type = "number"))]
    pub records_accepted: Long,
    pub journal: JournalStatus,
    pub sinks: Vec<SinkStatus>,
    pub shards: ShardsStatus,
    #[cfg_attr(test, ts(type = "number"))]
    pub open_incidents: Long,
    /// Why no e-mail would reach anybody; null when somebody would be mailed.
    pub nobody_would_be_mailed: Option<String>,
}

#[derive(SimpleObject, Serialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct JournalStatus {
    #[cfg_attr(test, ts(type = "number"))]
    pub bytes: Long,
    #[cfg_attr(test, ts(type = "number"))]
    pub quota_bytes: Long,
    #[cfg_attr(test, ts(type = "number"))]
    pub last_seq: Long,
}

#[derive(SimpleObject, Serialize, Clone, Debug, PartialEq)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct SinkStatus {
    pub name: String,
    /// Journal entries that it has not done yet.
    #[cfg_attr(test, ts(type = "number"))]
    pub lag: Long,
    /// What it is stuck at; null when it is well.
    pub error: Option<String>,
}

#[derive(SimpleObject, Serialize, Clone, Debug, PartialEq)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ShardsStatus {
    pub count: u32,
    #[cfg_attr(test, ts(type = "number"))]
    pub entities: Long,
    #[cfg_attr(test, ts(type = "number"))]
    pub restarts: Long,
}

impl Status {
    pub fn new(s: SystemStatus, configuration: &Configuration, open_incidents: u64, now: Timestamp) -> Self {
        let site = configuration.sites.first();
        Self {
            version: s.version,
            now: now.into(),
            started_at: s.started_at.into(),
            time_zone: site.map_or_else(|| "UTC".to_owned(), |s| s.time_zone.to_string()),
            site_name: site.map(|s| s.name.to_string()),
            accepting: s.not_accepting.is_none(),
            not_accepting_reason: s.not_accepting,
            records_accepted: s.records_accepted.into(),
            journal: JournalStatus {
                bytes: s.journal.bytes.into(),
                quota_bytes: s.journal.quota_bytes.into(),
                last_seq: s.journal.last_seq.into(),
            },
            sinks: s
                .sinks
                .into_iter()
                .map(|s| SinkStatus {
                    name: s.name,
                    lag: s.lag.into(),
                    error: s.error,
                })
                .collect(),
            shards: ShardsStatus {
                count: s.shards.count,
                entities: s.shards.entities.into(),
                restarts: s.shards.restarts.into(),
            },
            open_incidents: open_incidents.into(),
            nobody_would_be_mailed: s.nobody_would_be_mailed,
        }
    }

    /// Equal but for the time of asking.
    pub fn says_the_same_as(&self, other: &Status) -> bool {
        self == &Status {
            now: self.now,
            ..other.clone()
        }
    }
}
