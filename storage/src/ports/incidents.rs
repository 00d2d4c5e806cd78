//! Incidents and the plant as readers see them.

use super::Result;
use andon_engine::effect::Alert;
use andon_engine::ids::{AlertId, IncidentId};
use andon_engine::incident::{FingerprintCount, Incident, TimelineEntry};
use andon_engine::subject::SubjectKind;
use andon_engine::time::Timestamp;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct IncidentFilter {
    /// Not closed.
    pub open_only: bool,
    pub subject_kind: Option<SubjectKind>,
    pub subject_id: Option<String>,
    pub rule: Option<String>,
    pub area: Option<String>,
    pub opened_from: Option<Timestamp>,
    pub opened_to: Option<Timestamp>,
    /// Incidents after this one in the order of the list (newest opened first, then id).
    pub after: Option<(Timestamp, IncidentId)>,
    pub limit: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub struct PlantEntry {
    pub kind: SubjectKind,
    pub id: String,
    pub first_seen: Timestamp,
}

#[async_trait::async_trait]
pub trait IncidentStore: Send + Sync + 'static {
    async fn incident(&self, id: IncidentId) -> Result<Option<Incident>>;
    /// Those of `ids` that are there, in any order. One that cannot be read is left out: it must not hide the others.
    async fn incidents_by_id(&self, ids: &[IncidentId]) -> Result<Vec<Incident>>;
    /// Newest opened first.
    async fn incidents(&self, filter: &IncidentFilter) -> Result<Vec<Incident>>;
    async fn count_open(&self) -> Result<u64>;
    /// All fingerprints of an incident, the most frequent first. Incidents themselves are read without them.
    async fn fingerprints(&self, id: IncidentId) -> Result<Vec<FingerprintCount>>;
    /// Oldest first.
    async fn timeline(&self, id: IncidentId) -> Result<Vec<TimelineEntry>>;
    /// As [`IncidentStore::incidents_by_id`].
    async fn alerts_by_id(&self, ids: &[AlertId]) -> Result<Vec<Alert>>;
    async fn alert(&self, id: AlertId) -> Result<Option<Alert>>;
    async fn alerts_of(&self, id: IncidentId) -> Result<Vec<Alert>>;
    /// Registered devices or applications, by id, after `after`.
    async fn plant(&self, kind: SubjectKind, after: Option<&str>, limit: u32) -> Result<Vec<PlantEntry>>;
}
