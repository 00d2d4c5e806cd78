//! Control entries: whatever besides records changes the state of an entity enters the journal as one of these.

use crate::ids::{IncidentId, OperationId, RuleId};
use crate::parts::ConfigurationChange;
use crate::subject::Subject;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Control {
    /// From here on the next version of the configuration holds.
    Changed(ConfigurationChange),
    /// A person did something to an incident.
    Operated(Operation),
    /// Nothing came for these subjects until `at` on the wall: what time alone changes has changed.
    TimersFired { subjects: Vec<Subject>, at: Timestamp },
    /// Devices that have fallen silent: those of one look, or a part of them.
    SilencesFound(Vec<SilenceFound>),
}

/// A device, or a gateway with all behind it, has been silent since `since`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SilenceFound {
    pub rule: RuleId,
    pub device: Arc<str>,
    pub since: Timestamp,
    pub at: Timestamp,
    /// Devices behind it of which nothing is known either.
    pub unknown: Vec<Arc<str>>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Operation {
    /// The same operation in a second journal entry (who asked, or who journaled, did not hear that it was taken) changes nothing.
    #[serde(default)]
    pub id: OperationId,
    pub incident: IncidentId,
    pub rule: RuleId,
    pub subject: Subject,
    pub at: Timestamp,
    pub who: Arc<str>,
    pub action: Action,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Action {
    Acknowledge,
    Comment { text: Arc<str> },
    Shelve { until: Timestamp, reason: Arc<str> },
    Unshelve,
    Close { cause: Arc<str> },
}
