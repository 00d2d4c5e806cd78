//! Rules, routes, recipients, mute windows and the plant: the configuration that judging depends on.
//!
//! Plain data. What changes of it enters the journal as a control entry ([`crate::parts`]), so that a replay judges by what held at the time.

use crate::ids::{RecipientId, RouteId, RuleId};
use crate::level::Level;
use crate::parts::Parts;
use crate::subject::SubjectKind;
use crate::time::Span;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Priority as in ISA-18.2 practice: P1 critical to P4 low. `P1 < P4` in the order of this type: the most urgent comes first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[repr(u8)]
pub enum Priority {
    P1 = 1,
    P2 = 2,
    P3 = 3,
    P4 = 4,
}

impl Priority {
    pub fn from_u8(n: u8) -> Option<Priority> {
        [Priority::P1, Priority::P2, Priority::P3, Priority::P4]
            .into_iter()
            .find(|p| *p as u8 == n)
    }
    pub fn as_str(self) -> &'static str {
        match self {
            Priority::P1 => "P1",
            Priority::P2 => "P2",
            Priority::P3 => "P3",
            Priority::P4 => "P4",
        }
    }
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Rule {
    pub id: RuleId,
    /// What people read: "5 errors within a minute".
    pub name: Arc<str>,
    pub enabled: bool,
    pub selector: Selector,
    /// Whom it judges: the rule keeps a state of its own for each.
    pub subject: SubjectKind,
    pub condition: Condition,
    pub priority: Priority,
    pub route: RouteId,
    pub runbook: Option<Arc<str>>,
    /// How long the condition must not hold before the incident returns to normal. For `limit` this is the alarm's off-delay.
    pub off_delay: Span,
    /// A fault that comes back within this time after the return to normal reopens the incident.
    pub reopen_within: Span,
    /// The first alert of an incident does not wait for the end of a recipient's window. Chosen, never by default: one e-mail in five minutes
    /// is promised.
    pub passes_throttle: bool,
    /// A safety rule refuses to be muted unless an administrator's window says so.
    pub safety: bool,
}

/// Which records a rule looks at. Every condition given must hold; an empty selector takes all.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Selector {
    pub applications: Vec<Arc<str>>,
    pub devices: Vec<Arc<str>>,
    pub device_classes: Vec<Arc<str>>,
    pub areas: Vec<Arc<str>>,
    pub users: Vec<Arc<str>>,
    /// Whole dotted parts: `SF` takes `SF` and `SF.estop`, not `SFX`.
    pub type_prefix: Option<Arc<str>>,
    pub min_level: Option<Level>,
    /// Kinds of subject that the record must not name: "per device where a record names no application".
    pub without: Vec<SubjectKind>,
    /// Top-level members of `fields` that must equal this text (numbers and booleans by their JSON text).
    pub fields: Vec<(Arc<str>, Arc<str>)>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Condition {
    /// At least `count` matching records within `within`, both edges included.
    Count { count: u32, within: Span },
    /// A reading beyond a bound.
    Limit(Limit),
    /// Nothing from a registered device for `after`, or, if `None`, three times its usual gap (p99).
    Silence { after: Option<Span> },
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Limit {
    pub reading: Arc<str>,
    /// What the reading is measured in, for people: `°C`, `mm/s`.
    pub unit: Option<Arc<str>>,
    pub direction: Direction,
    pub bound: f64,
    /// Once active, the value must come back over the bound by this much to count as normal. At least 0.
    pub deadband: f64,
    /// The value must be beyond the bound for this long, in event time, before the incident opens.
    pub on_delay: Span,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    Above,
    Below,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Route {
    pub id: RouteId,
    pub name: Arc<str>,
    pub recipients: Vec<RecipientId>,
    /// Slack and other webhooks, told beside the people.
    pub channels: Vec<Channel>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Recipient {
    pub id: RecipientId,
    pub name: Arc<str>,
    pub email: Arc<str>,
    /// BCP 47; `en` and `de` are written, anything else reads English.
    pub language: Arc<str>,
    /// As [`Rule::passes_throttle`], for every rule: this person has chosen more e-mails.
    #[serde(default)]
    pub passes_throttle: bool,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Channel {
    /// `secret` is the name of a secret of the configuration file, never the secret: configuration is journaled.
    Webhook {
        name: Arc<str>,
        url: Arc<str>,
        secret: Option<Arc<str>>,
        /// Each alert goes out by itself as it comes; else as e-mail does, one message in five minutes.
        #[serde(default = "yes")]
        at_once: bool,
    },
    Slack {
        name: Arc<str>,
        url_secret: Arc<str>,
        #[serde(default)]
        at_once: bool,
    },
}

fn yes() -> bool {
    true
}

impl Channel {
    pub fn name(&self) -> &str {
        match self {
            Channel::Webhook { name, .. } | Channel::Slack { name, .. } => name,
        }
    }
    pub fn is_at_once(&self) -> bool {
        match self {
            Channel::Webhook { at_once, .. } | Channel::Slack { at_once, .. } => *at_once,
        }
    }
}

/// What is known of a device besides what it sends.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, Default)]
#[serde(default)]
pub struct Device {
    pub id: Arc<str>,
    pub class: Option<Arc<str>>,
    pub site: Option<Arc<str>>,
    pub area: Option<Arc<str>>,
    pub line: Option<Arc<str>>,
    /// The device (gateway, switch, PLC) through which this one reaches us.
    pub gateway: Option<Arc<str>>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Site {
    pub id: Arc<str>,
    pub name: Arc<str>,
    /// IANA name, such as `Europe/Berlin`.
    pub time_zone: Arc<str>,
}

/// When alerts are held back. What a window covers is the conjunction of what it names; one that names nothing covers all.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct MuteWindow {
    pub id: Arc<str>,
    pub reason: Arc<str>,
    pub scope: MuteScope,
    pub schedule: MuteSchedule,
    /// Set by an administrator only: covers safety rules too.
    pub includes_safety: bool,
}

#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MuteScope {
    pub sites: Vec<Arc<str>>,
    pub areas: Vec<Arc<str>>,
    pub devices: Vec<Arc<str>>,
    pub rules: Vec<RuleId>,
    pub recipients: Vec<RecipientId>,
    pub channels: Vec<Arc<str>>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum MuteSchedule {
    /// From `from` (included) to `until` (excluded), RFC 3339 instants in microseconds.
    Once {
        from: crate::time::Timestamp,
        until: crate::time::Timestamp,
    },
    /// Each of `days` (1 = Monday to 7 = Sunday; empty means every day) from `start` to `end`, minutes of the local day, in `time_zone`.
    /// `end <= start` runs into the next day. A local time that a DST change skips is the instant of the change; one that it repeats
    /// starts at its first and ends at its second occurrence, so that a window never has a hole.
    Recurring {
        days: Vec<u8>,
        start_minute: u16,
        end_minute: u16,
        time_zone: Arc<str>,
    },
}

/// One version of all of it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Configuration {
    /// Counts up; the newest wins.
    pub version: u64,
    pub rules: Parts<Rule>,
    pub routes: Parts<Route>,
    pub recipients: Parts<Recipient>,
    pub mute_windows: Parts<MuteWindow>,
    pub sites: Parts<Site>,
    pub devices: Parts<Device>,
}

impl Configuration {
    pub fn route(&self, id: &RouteId) -> Option<&Route> {
        self.routes.part(id.as_str())
    }
    pub fn rule(&self, id: &RuleId) -> Option<&Rule> {
        self.rules.part(id.as_str())
    }
    pub fn recipient(&self, id: &RecipientId) -> Option<&Recipient> {
        self.recipients.part(id.as_str())
    }
    pub fn device(&self, id: &str) -> Option<&Device> {
        self.devices.part(id)
    }
}

/// The rules of a new installation: ordinary, editable.
pub fn default_rules(route: &RouteId) -> Vec<Rule> {
    let rule = |id: &str, name: &str, subject, selector, condition, priority| Rule {
        id: RuleId::new(id),
        name: Arc::from(name),
        enabled: true,
        selector,
        subject,
        condition,
        priority,
        route: route.clone(),
        runbook: None,
        off_delay: Span::mins(5),
        reopen_within: Span::mins(30),
        passes_throttle: false,
        safety: false,
    };
    let errors = || Selector {
        min_level: Some(Level::Error),
        ..Selector::default()
    };
    let fatal = || Selector {
        min_level: Some(Level::Fatal),
        ..Selector::default()
    };
    let safety = || Selector {
        type_prefix: Some(Arc::from("SF")),
        ..Selector::default()
    };
    let five = Condition::Count {
        count: 5,
        within: Span::secs(60),
    };
    let one = Condition::Count {
        count: 1,
        within: Span::secs(60),
    };
    use SubjectKind::{Application, Device, User};
    let mut rules = vec![
        rule(
            "errors-per-application",
            "5 errors within a minute",
            Application,
            errors(),
            five.clone(),
            Priority::P2,
        ),
        rule(
            "errors-per-user",
            "5 errors of one user within a minute",
            User,
            errors(),
            five.clone(),
            Priority::P3,
        ),
        rule(
            "errors-per-device",
            "5 errors within a minute",
            Device,
            Selector {
                without: vec![Application],
                ..errors()
            },
            five,
            Priority::P2,
        ),
        rule(
            "fatal-per-device",
            "Fatal error",
            Device,
            fatal(),
            one.clone(),
            Priority::P1,
        ),
        rule(
            "fatal-per-application",
            "Fatal error",
            Application,
            Selector {
                without: vec![Device],
                ..fatal()
            },
            one.clone(),
            Priority::P1,
        ),
        rule(
            "safety-per-device",
            "Safety event",
            Device,
            safety(),
            one.clone(),
            Priority::P1,
        ),
        rule(
            "safety-per-application",
            "Safety event",
            Application,
            Selector {
                without: vec![Device],
                ..safety()
            },
            one,
            Priority::P1,
        ),
    ];
    for r in rules.iter_mut().filter(|r| r.selector.type_prefix.is_some()) {
        r.safety = true;
    }
    rules
}
