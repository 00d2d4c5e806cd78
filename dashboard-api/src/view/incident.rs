//! An incident as GraphQL and the live feed show it.

use super::scalar::{
    Activity, AlertReason, ChannelKind, DateTime, DeliveryState, IncidentState, Level, Long, Priority, SubjectKind,
    TimelineKind, hex,
};
use andon_engine::address;
use andon_engine::effect::Alert as EngineAlert;
use andon_engine::incident::{self as engine, Activity as EngineActivity};
use andon_engine::rule::{Configuration, Recipient};
use andon_storage::ports::deliveries;
use async_graphql::{ID, SimpleObject};
use serde::Serialize;

#[derive(SimpleObject, Serialize, Clone, Debug, PartialEq)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Subject {
    pub kind: SubjectKind,
    pub id: String,
}

#[derive(SimpleObject, Serialize, Clone, Debug, PartialEq)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Acknowledgement {
    #[cfg_attr(test, ts(type = "string"))]
    pub at: DateTime,
    pub by: String,
}

#[derive(SimpleObject, Serialize, Clone, Debug, PartialEq)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Shelving {
    #[cfg_attr(test, ts(type = "string"))]
    pub until: DateTime,
    pub by: String,
    pub reason: String,
}

#[derive(SimpleObject, Clone, Debug, PartialEq)]
pub struct FingerprintCount {
    /// 16 hex digits.
    pub fingerprint: String,
    pub count: Long,
    /// The message with its variable parts masked.
    pub template: String,
}

/// One problem of one subject under one rule. What needs a store of its own is resolved in `graphql::incident`.
#[derive(SimpleObject, Serialize, Clone, Debug, PartialEq)]
#[graphql(complex)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(test, ts(rename = "LiveIncident"))]
pub struct Incident {
    /// 32 hex digits.
    #[cfg_attr(test, ts(type = "string"))]
    pub id: ID,
    pub rule_id: String,
    /// Name of the rule, or its id when it is no longer configured.
    pub rule_name: String,
    pub subject: Subject,
    pub priority: Priority,
    pub state: IncidentState,
    pub activity: Activity,
    pub acknowledged: Option<Acknowledgement>,
    pub shelved: Option<Shelving>,
    pub closed_cause: Option<String>,
    /// Event time of the first record that belongs to it.
    #[cfg_attr(test, ts(type = "string"))]
    pub first_at: DateTime,
    /// Event time of the record that breached.
    #[cfg_attr(test, ts(type = "string"))]
    pub opened_at: DateTime,
    #[cfg_attr(test, ts(type = "string"))]
    pub last_at: DateTime,
    #[cfg_attr(test, ts(type = "string | null"))]
    pub returned_at: Option<DateTime>,
    #[cfg_attr(test, ts(type = "string"))]
    pub first_record_id: ID,
    #[cfg_attr(test, ts(type = "string"))]
    pub last_record_id: ID,
    /// Records that belong to it, over all occurrences.
    #[cfg_attr(test, ts(type = "number"))]
    pub count: Long,
    /// Occurrences after the first.
    pub reopened: u32,
    /// The newest occurrence.
    pub occurrence: Occurrence,
    pub max_level: Option<Level>,
    /// For a limit: the worst value of the reading.
    pub peak: Option<f64>,
    /// Message of the newest record.
    pub title: String,
    /// `type` of the newest record.
    pub error_type: Option<String>,
    pub device: Option<String>,
    pub application: Option<String>,
    pub user: Option<String>,
    pub area: Option<String>,
    pub source: Option<String>,
    /// Found in records that were history when they were judged.
    pub historical: bool,
    /// Sent as history: nobody is told.
    pub silent: bool,
    pub fingerprints_truncated: bool,
    /// Grows with every change of this incident, compared as text: of two copies the greater is the newer.
    pub version: String,
    /// Not for the feed: up to 1,024 templates.
    #[graphql(skip)]
    #[serde(skip)]
    #[cfg_attr(test, ts(skip))]
    pub of: Option<std::sync::Arc<engine::Incident>>,
}

/// One stretch of an incident, from its breach until it returns to normal.
#[derive(SimpleObject, Serialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Occurrence {
    /// Event time of the first record that belongs to it.
    #[cfg_attr(test, ts(type = "string"))]
    pub first_at: DateTime,
    /// Event time at which the condition began to hold.
    #[cfg_attr(test, ts(type = "string"))]
    pub opened_at: DateTime,
    /// Records that belong to it.
    #[cfg_attr(test, ts(type = "number"))]
    pub count: Long,
}

/// The state in one word.
pub fn state(i: &engine::Incident) -> IncidentState {
    match (i.activity, &i.shelved, &i.acknowledged) {
        (EngineActivity::Closed, _, _) => IncidentState::Closed,
        (_, Some(_), _) => IncidentState::Shelved,
        (EngineActivity::Active, None, None) => IncidentState::ActiveUnacknowledged,
        (EngineActivity::Active, None, Some(_)) => IncidentState::ActiveAcknowledged,
        (EngineActivity::ReturnedToNormal, None, None) => IncidentState::ReturnedUnacknowledged,
        (EngineActivity::ReturnedToNormal, None, Some(_)) => IncidentState::ReturnedAcknowledged,
    }
}

impl Incident {
    /// `rule_name` is what the configuration calls its rule.
    pub fn new(i: &engine::Incident, rule_name: Option<&str>) -> Self {
        let own = |t: &Option<std::sync::Arc<str>>| t.as_deref().map(str::to_owned);
        Self {
            id: ID(i.id.to_string()),
            rule_id: i.rule.to_string(),
            rule_name: rule_name.unwrap_or(i.rule.as_str()).to_owned(),
            subject: Subject {
                kind: i.subject.kind.into(),
                id: i.subject.id.to_string(),
            },
            priority: i.priority.into(),
            state: state(i),
            activity: i.activity.into(),
            acknowledged: i.acknowledged.as_ref().map(|a| Acknowledgement {
                at: a.at.into(),
                by: a.by.to_string(),
            }),
            shelved: i.shelved.as_ref().map(|s| Shelving {
                until: s.until.into(),
                by: s.by.to_string(),
                reason: s.reason.to_string(),
            }),
            closed_cause: own(&i.closed_cause),
            first_at: i.first_at.into(),
            opened_at: i.opened_at.into(),
            last_at: i.last_at.into(),
            returned_at: i.returned_at.map(Into::into),
            first_record_id: ID(i.first_record.to_string()),
            last_record_id: ID(i.last_record.to_string()),
            count: i.count.into(),
            reopened: i.reopened,
            occurrence: Occurrence {
                first_at: i.occurrence.first_at.into(),
                opened_at: i.occurrence.opened_at.into(),
                count: i.occurrence.count.into(),
            },
            max_level: i.max_level.map(Into::into),
            peak: i.peak.filter(|p| p.is_finite()),
            title: i.title.to_string(),
            error_type: own(&i.error_type),
            device: own(&i.device),
            application: own(&i.application),
            user: own(&i.user),
            area: own(&i.area),
            source: own(&i.source),
            historical: i.historical,
            silent: i.silent,
            fingerprints_truncated: i.fingerprints_truncated,
            version: format!("{:016x}{:08x}{:016x}", i.position.seq, i.position.index, i.revision),
            of: None,
        }
    }

    /// The same with what GraphQL resolves beyond the feed's copy.
    pub fn resolvable(i: engine::Incident, rule_name: Option<&str>) -> Self {
        let mut view = Self::new(&i, rule_name);
        view.of = Some(std::sync::Arc::new(i));
        view
    }
}

impl From<&engine::FingerprintCount> for FingerprintCount {
    fn from(f: &engine::FingerprintCount) -> Self {
        Self {
            fingerprint: hex(f.fingerprint),
            count: f.count.into(),
            template: f.template.to_string(),
        }
    }
}

#[derive(SimpleObject, Clone, Debug, PartialEq)]
pub struct TimelineEntry {
    /// Unique within the incident.
    pub revision: Long,
    pub at: DateTime,
    pub kind: TimelineKind,
    pub who: Option<String>,
    pub text: String,
    pub record_id: Option<ID>,
}

impl From<engine::TimelineEntry> for TimelineEntry {
    fn from(e: engine::TimelineEntry) -> Self {
        Self {
            revision: e.revision.into(),
            at: e.at.into(),
            kind: e.kind.into(),
            who: e.who.as_deref().map(str::to_owned),
            text: e.text.to_string(),
            record_id: e.record.map(|r| ID(r.to_string())),
        }
    }
}

#[derive(SimpleObject, Clone, Debug, PartialEq)]
pub struct Alert {
    pub id: ID,
    pub reason: AlertReason,
    pub priority: Priority,
    /// What its own record named; the record that opened the incident may have named another device.
    pub error_type: Option<String>,
    pub source: Option<String>,
    pub device: Option<String>,
    pub area: Option<String>,
    pub site: Option<String>,
    pub user: Option<String>,
    pub application: Option<String>,
    pub level: Option<Level>,
    pub at: DateTime,
    pub received_at: DateTime,
    pub passes_throttle: bool,
    pub historical: bool,
    pub text: String,
}

impl From<EngineAlert> for Alert {
    fn from(a: EngineAlert) -> Self {
        let own = |t: &Option<std::sync::Arc<str>>| t.as_deref().map(str::to_owned);
        Self {
            id: ID(a.id.to_string()),
            reason: a.reason.into(),
            priority: a.priority.into(),
            error_type: own(&a.context.error_type),
            source: own(&a.context.source),
            device: own(&a.context.device),
            area: own(&a.context.area),
            site: own(&a.context.site),
            user: own(&a.context.user),
            application: own(&a.context.application),
            level: a.context.level.map(Into::into),
            at: a.at.into(),
            received_at: a.received_at.into(),
            passes_throttle: a.passes_throttle,
            historical: a.historical,
            text: a.text.to_string(),
        }
    }
}

/// One alert for one person or channel, and what became of it.
#[derive(SimpleObject, Clone, Debug, PartialEq)]
pub struct Delivery {
    pub id: ID,
    pub alert_id: ID,
    pub channel: ChannelKind,
    /// The person, or the name of the channel.
    pub to: String,
    pub state: DeliveryState,
    /// The mute window that holds or held it, or why it is dead or suppressed.
    pub reason: Option<String>,
    /// When it is looked at again, for HELD and MUTED.
    pub due: Option<DateTime>,
    pub muted_until: Option<DateTime>,
    pub created_at: DateTime,
    pub updated_at: DateTime,
}

impl Delivery {
    pub fn new(d: deliveries::Delivery, configuration: &Configuration) -> Self {
        let is_theirs = |r: &&Recipient| {
            d.target.kind == deliveries::ChannelKind::Email && address::canonical(&r.email) == *d.target.name
        };
        let at_address = || configuration.recipients.iter().filter(is_theirs);
        // Who is known by more than the address is whom it belongs to.
        let person = at_address().find(|r| r.name != r.email).or_else(|| at_address().next());
        Self {
            id: ID(d.id.to_string()),
            alert_id: ID(d.alert.to_string()),
            channel: d.target.kind.into(),
            to: person.map_or_else(|| d.target.name.to_string(), |p| p.name.to_string()),
            state: d.state.into(),
            reason: d.reason,
            due: d.due.map(Into::into),
            muted_until: d.muted_until.map(Into::into),
            created_at: d.created_at.into(),
            updated_at: d.updated_at.into(),
        }
    }
}
