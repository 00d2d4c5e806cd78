//! An incident: one problem of one subject under one rule, with the states of ISA-18.2.
//!
//! - [`Incident`] is what the stores, the notifier and the dashboard see: absolute values, ordered by position and revision.
//! - `held` is an incident as its entity keeps it: with all its fingerprints and what has not been given out yet.
//! - [`transition`] is the one table of which change is possible when.
//! - `evidence` is what an incident learns from one event: a record, a reading that time confirmed, a silence.

mod alerts;
pub(crate) mod evidence;
mod fingerprints;
pub(crate) mod held;
pub mod transition;

pub use evidence::{TITLE_BYTES_MAX, clip};

use crate::ids::{IncidentId, Position, RecordId, RuleId};
use crate::level::Level;
use crate::rule::Priority;
use crate::subject::Subject;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Does the condition hold?
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activity {
    Active,
    ReturnedToNormal,
    Closed,
}

impl Activity {
    pub fn as_str(self) -> &'static str {
        match self {
            Activity::Active => "active",
            Activity::ReturnedToNormal => "returned_to_normal",
            Activity::Closed => "closed",
        }
    }
    pub fn parse(s: &str) -> Option<Self> {
        [Activity::Active, Activity::ReturnedToNormal, Activity::Closed]
            .into_iter()
            .find(|a| a.as_str() == s)
    }
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Acknowledgement {
    pub at: Timestamp,
    pub by: Arc<str>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Shelving {
    pub until: Timestamp,
    pub by: Arc<str>,
    pub reason: Arc<str>,
}

/// One uninterrupted stretch of an incident: from its breach until it returns to normal.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Occurrence {
    /// Event time of the first record that belongs to it. Never moves once the occurrence has begun.
    pub first_at: Timestamp,
    /// Event time at which the condition began to hold.
    pub opened_at: Timestamp,
    /// Records that belong to it.
    pub count: u64,
}

/// An incident, written by absolute value.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Incident {
    pub id: IncidentId,
    pub rule: RuleId,
    pub subject: Subject,
    pub priority: Priority,
    pub activity: Activity,
    pub acknowledged: Option<Acknowledgement>,
    pub shelved: Option<Shelving>,
    /// When its last shelving ended, by time or by a person: who knows the incident is notified if it still holds.
    #[serde(default)]
    pub unshelved_at: Option<Timestamp>,
    pub closed_cause: Option<Arc<str>>,
    /// Event time of the first record of the first occurrence, of the record that breached, and of the last.
    pub first_at: Timestamp,
    pub opened_at: Timestamp,
    pub last_at: Timestamp,
    pub returned_at: Option<Timestamp>,
    pub first_record: RecordId,
    pub last_record: RecordId,
    /// Records that belong to it, over all occurrences.
    pub count: u64,
    /// Occurrences after the first.
    pub reopened: u32,
    /// The newest occurrence.
    pub occurrence: Occurrence,
    pub max_level: Option<Level>,
    /// For `limit`: the reading's worst value.
    pub peak: Option<f64>,
    /// The message (or what stands for it) of the newest record, at most 512 bytes, cut at a character.
    pub title: Arc<str>,
    /// `type` of the newest record.
    pub error_type: Option<Arc<str>>,
    /// What else the opening record named.
    pub device: Option<Arc<str>>,
    pub application: Option<Arc<str>>,
    pub user: Option<Arc<str>>,
    pub area: Option<Arc<str>>,
    pub source: Option<Arc<str>>,
    /// Found in records that were more than an hour old, or after its time was over; not known to be going on.
    pub historical: bool,
    /// Found in records sent as history: nobody is notified.
    pub silent: bool,
    /// In an effect: those whose count changed since the incident was last given out. From a store: all, at most
    /// `FINGERPRINTS_MAX`; `fingerprints_truncated` when there were more.
    pub fingerprints: Vec<FingerprintCount>,
    pub fingerprints_truncated: bool,
    /// The last position that changed it. A store takes a row only if this is not older than what it has.
    pub position: Position,
    /// Counts changes: two states of one incident that differ have different revisions.
    pub revision: u64,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct FingerprintCount {
    pub fingerprint: u64,
    pub count: u64,
    pub template: Arc<str>,
}

/// One line of an incident's timeline.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TimelineEntry {
    pub incident: IncidentId,
    /// With `incident` the identity of this line.
    pub revision: u64,
    /// When it happened (event time for what records did, wall time for what people did).
    pub at: Timestamp,
    pub kind: TimelineKind,
    pub who: Option<Arc<str>>,
    pub text: Arc<str>,
    pub record: Option<RecordId>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimelineKind {
    Opened,
    Reopened,
    NewFault,
    Raised,
    ReturnedToNormal,
    Acknowledged,
    Commented,
    Shelved,
    Unshelved,
    Closed,
}

impl TimelineKind {
    pub const ALL: [TimelineKind; 10] = [
        TimelineKind::Opened,
        TimelineKind::Reopened,
        TimelineKind::NewFault,
        TimelineKind::Raised,
        TimelineKind::ReturnedToNormal,
        TimelineKind::Acknowledged,
        TimelineKind::Commented,
        TimelineKind::Shelved,
        TimelineKind::Unshelved,
        TimelineKind::Closed,
    ];

    pub fn parse(s: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.as_str() == s)
    }
    pub fn as_str(self) -> &'static str {
        match self {
            TimelineKind::Opened => "opened",
            TimelineKind::Reopened => "reopened",
            TimelineKind::NewFault => "new_fault",
            TimelineKind::Raised => "raised",
            TimelineKind::ReturnedToNormal => "returned_to_normal",
            TimelineKind::Acknowledged => "acknowledged",
            TimelineKind::Commented => "commented",
            TimelineKind::Shelved => "shelved",
            TimelineKind::Unshelved => "unshelved",
            TimelineKind::Closed => "closed",
        }
    }
}
