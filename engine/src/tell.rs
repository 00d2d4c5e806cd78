//! How an incident is opened, fed and spoken of: incident rows, timeline lines and alerts made from a cause.

use crate::effect::{Alert, AlertReason, Effect};
use crate::ids::{AlertId, IncidentId, Position, RecordId};
use crate::incident::{Activity, FingerprintCount, Incident, TimelineEntry, TimelineKind};
use crate::limits::FINGERPRINTS_MAX;
use crate::record::{Flags, Record};
use crate::rule::{Condition, Direction, Rule};
use crate::ruleset::RuleSet;
use crate::sources::Judgement;
use crate::subject::Subject;
use crate::time::Timestamp;
use std::sync::Arc;
use xxhash_rust::xxh3::Xxh3;

/// Bytes of a message that an incident's title, an alert or a template keeps.
pub const TITLE_BYTES_MAX: usize = 512;

/// A record that concerns an incident, and why.
pub(crate) struct Cause<'a, 'r> {
    pub(crate) set: &'a RuleSet,
    pub(crate) rule: &'a Rule,
    pub(crate) record: &'a Record<'r>,
    pub(crate) judgement: &'a Judgement,
    pub(crate) first_at: Timestamp,
    /// How many records this stands for.
    pub(crate) records: u64,
    pub(crate) peak: Option<f64>,
}

impl Cause<'_, '_> {
    /// Sent as history: judged, and nobody is told.
    pub(crate) fn is_history(&self) -> bool {
        self.record.flags.contains(Flags::HISTORY)
    }
}

/// At most [`TITLE_BYTES_MAX`] bytes, cut at a character.
pub fn clip(text: &str) -> &str {
    let mut end = text.len().min(TITLE_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

pub(crate) fn open_incident(subject: &Subject, cause: &Cause<'_, '_>, text: &str) -> Incident {
    let record = cause.record;
    let owned = |s: Option<&str>| s.map(Arc::from);
    let mut h = Xxh3::new();
    for part in [cause.rule.id.as_str(), subject.kind.as_str(), &subject.id] {
        h.update(&(part.len() as u64).to_le_bytes());
        h.update(part.as_bytes());
    }
    h.update(&record.record_id.to_bytes());
    Incident {
        id: IncidentId(h.digest128()),
        rule: cause.rule.id.clone(),
        subject: subject.clone(),
        priority: cause.rule.priority,
        activity: Activity::Active,
        acknowledged: None,
        shelved: None,
        closed_cause: None,
        first_at: cause.first_at,
        opened_at: cause.judgement.at,
        last_at: cause.judgement.at,
        returned_at: None,
        first_record: record.record_id,
        last_record: record.record_id,
        count: cause.records,
        reopened: 0,
        max_level: record.level,
        peak: cause.peak,
        title: Arc::from(clip(text)),
        error_type: owned(record.kind),
        device: owned(record.device_id),
        application: owned(record.application),
        user: owned(record.user_id),
        area: cause.set.area(record).cloned(),
        source: owned(record.source),
        historical: cause.judgement.historical,
        silent: cause.is_history(),
        fingerprints: Vec::new(),
        fingerprints_truncated: false,
        position: record.record_id.position,
        revision: 0,
    }
}

impl Incident {
    /// Marks a change, so that stores can order the rows of one incident.
    pub(crate) fn touch(&mut self, position: Position) {
        self.position = self.position.max(position);
        self.revision += 1;
    }

    /// What a further record changes.
    pub(crate) fn take(&mut self, cause: &Cause<'_, '_>, text: &str) {
        let record = cause.record;
        self.touch(record.record_id.position);
        self.first_at = self.first_at.min(cause.first_at);
        if cause.judgement.at >= self.last_at {
            self.last_at = cause.judgement.at;
            self.last_record = record.record_id;
            if !text.is_empty() {
                self.title = Arc::from(clip(text));
            }
            if let Some(kind) = record.kind {
                self.error_type = Some(Arc::from(kind));
            }
        }
        self.max_level = self.max_level.max(record.level);
        // Over the whole incident: what came back is often not as bad as what it was at first.
        if let (Some(peak), Condition::Limit(limit)) = (cause.peak, &cause.rule.condition) {
            self.peak = Some(match (self.peak, limit.direction) {
                (None, _) => peak,
                (Some(worst), Direction::Above) => worst.max(peak),
                (Some(worst), Direction::Below) => worst.min(peak),
            });
        }
    }

    /// True when the fingerprint had not been seen. Past the limit unknown ones are neither kept nor told.
    pub(crate) fn count_fingerprint(&mut self, fingerprint: u64, by: u64, template: impl FnOnce() -> Arc<str>) -> bool {
        if let Some(f) = self.fingerprints.iter_mut().find(|f| f.fingerprint == fingerprint) {
            f.count += by;
            return false;
        }
        if self.fingerprints.len() >= FINGERPRINTS_MAX {
            self.fingerprints_truncated = true;
            return false;
        }
        self.fingerprints.push(FingerprintCount {
            fingerprint,
            count: by,
            template: template(),
        });
        true
    }
}

pub(crate) fn timeline(
    incident: &mut Incident,
    kind: TimelineKind,
    at: Timestamp,
    who: Option<Arc<str>>,
    text: &str,
    record: Option<RecordId>,
    out: &mut Vec<Effect>,
) {
    // Each line has a revision of its own: with the incident's id it is the line's identity.
    incident.revision += 1;
    out.push(Effect::Timeline(Box::new(TimelineEntry {
        incident: incident.id,
        revision: incident.revision,
        at,
        kind,
        who,
        text: Arc::from(clip(text)),
        record,
    })));
}

/// Raises an alert, unless the incident is shelved or was sent as history: its timeline says what happened all the same.
pub(crate) fn tell(incident: &Incident, reason: AlertReason, cause: &Cause<'_, '_>, text: &str, out: &mut Vec<Effect>) {
    let received_at = cause.record.received_at;
    if incident.silent || incident.shelved.as_ref().is_some_and(|s| s.until > received_at) {
        return;
    }
    let position = cause.record.record_id.position;
    let mut h = Xxh3::new();
    h.update(&incident.id.0.to_le_bytes());
    h.update(reason.as_str().as_bytes());
    h.update(&position.seq.to_le_bytes());
    h.update(&position.index.to_le_bytes());
    out.push(Effect::Alert(Box::new(Alert {
        id: AlertId(h.digest128()),
        incident: incident.id,
        reason,
        at: cause.judgement.at,
        received_at,
        position,
        passes_throttle: cause.rule.passes_throttle && matches!(reason, AlertReason::Opened | AlertReason::Reopened),
        historical: incident.historical,
        text: Arc::from(clip(text)),
    })));
}
