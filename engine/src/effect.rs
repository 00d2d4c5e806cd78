//! What judging says to the world. Absolute values with deterministic ids, so that applying one twice changes nothing.

use crate::ids::{AlertId, IncidentId, Position};
use crate::incident::{Incident, TimelineEntry};
use crate::level::Level;
use crate::rule::Priority;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// The incident as it is now, with the fingerprints whose count changed.
    Incident(Box<Incident>),
    Timeline(Box<TimelineEntry>),
    /// People are to be notified, once.
    Alert(Box<Alert>),
    /// A device or application that nobody had registered sent its first record.
    Registered(Registered),
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Alert {
    pub id: AlertId,
    pub incident: IncidentId,
    pub reason: AlertReason,
    /// Of the incident when the alert was raised: the most urgent is notified first.
    pub priority: Priority,
    /// What its own record named. The record that opened the incident may have named another device.
    #[serde(default)]
    pub context: AlertContext,
    /// Event time of the record that caused it.
    pub at: Timestamp,
    /// When that record was received: what the e-mail's delay is measured from.
    pub received_at: Timestamp,
    /// Incidents opened at the same position are told to a person in one e-mail.
    pub position: Position,
    pub passes_throttle: bool,
    pub historical: bool,
    /// What to say, at most 512 bytes: the newest record's message.
    pub text: Arc<str>,
}

/// What an alert is about, by its own record: mute windows look at this, and messages show it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AlertContext {
    /// `type` of the record.
    pub error_type: Option<Arc<str>>,
    pub source: Option<Arc<str>>,
    pub device: Option<Arc<str>>,
    pub area: Option<Arc<str>>,
    pub site: Option<Arc<str>>,
    pub user: Option<Arc<str>>,
    pub application: Option<Arc<str>>,
    pub level: Option<Level>,
}

impl AlertContext {
    /// Keeps what holds for both: of several alerts in one, a mute window holds only what all of them name.
    pub fn keep_common(&mut self, other: &AlertContext) {
        let keep = |mine: &mut Option<Arc<str>>, theirs: &Option<Arc<str>>| {
            if mine != theirs {
                *mine = None;
            }
        };
        keep(&mut self.error_type, &other.error_type);
        keep(&mut self.source, &other.source);
        keep(&mut self.device, &other.device);
        keep(&mut self.area, &other.area);
        keep(&mut self.site, &other.site);
        keep(&mut self.user, &other.user);
        keep(&mut self.application, &other.application);
        self.level = self.level.max(other.level);
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertReason {
    Opened,
    Reopened,
    /// A fingerprint that the incident had not seen.
    NewFault,
    /// Level or priority rose.
    Raised,
    /// Repeats of what is known: never mailed by itself, counted in a digest.
    Repeat,
}

impl AlertReason {
    /// An occurrence begins.
    pub fn opens(self) -> bool {
        matches!(self, AlertReason::Opened | AlertReason::Reopened)
    }
    pub fn as_str(self) -> &'static str {
        match self {
            AlertReason::Opened => "opened",
            AlertReason::Reopened => "reopened",
            AlertReason::NewFault => "new_fault",
            AlertReason::Raised => "raised",
            AlertReason::Repeat => "repeat",
        }
    }
    /// Of several reasons in one entry the weightiest is the one to name.
    pub fn weight(self) -> u8 {
        match self {
            AlertReason::Opened => 4,
            AlertReason::Reopened => 3,
            AlertReason::Raised => 2,
            AlertReason::NewFault => 1,
            AlertReason::Repeat => 0,
        }
    }
    pub fn parse(s: &str) -> Option<Self> {
        use AlertReason::{NewFault, Opened, Raised, Reopened, Repeat};
        [Opened, Reopened, NewFault, Raised, Repeat]
            .into_iter()
            .find(|r| r.as_str() == s)
    }
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Registered {
    pub kind: crate::subject::SubjectKind,
    pub id: Arc<str>,
    pub first_seen: Timestamp,
}
