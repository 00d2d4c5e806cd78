//! What an incident learns from one event, as facts: no event has to be dressed up as a record.

use crate::effect::AlertContext;
use crate::fingerprint;
use crate::ids::{Position, RecordId};
use crate::level::Level;
use crate::record::{Flags, Record};
use crate::ruleset::RuleSet;
use crate::sources::Judgement;
use crate::subject::{Subject, SubjectKind};
use crate::text::plain;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt::Write as _;
use std::sync::Arc;

/// Bytes of a message that an incident's title, an alert or a template keeps.
pub const TITLE_BYTES_MAX: usize = 512;

/// At most [`TITLE_BYTES_MAX`] bytes, cut at a character.
pub fn clip(text: &str) -> &str {
    &text[..text.floor_char_boundary(TITLE_BYTES_MAX)]
}

/// How a record came in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Provenance {
    /// Sent as history.
    pub(crate) history: bool,
    /// More than an hour old when it was received.
    pub(crate) historical: bool,
}

impl Provenance {
    pub(crate) fn of(record: &Record<'_>, judgement: &Judgement) -> Self {
        Self {
            history: record.flags.contains(Flags::HISTORY),
            historical: judgement.historical,
        }
    }
}

/// A template costs an allocation and is needed only for a fingerprint not seen before.
pub(crate) struct LazyTemplate<'a> {
    pub(crate) fingerprint: u64,
    message: &'a str,
    made: OnceCell<Arc<str>>,
}

impl<'a> LazyTemplate<'a> {
    pub(crate) fn new(record: &Record<'a>) -> Self {
        Self {
            fingerprint: record.fingerprint,
            message: record.message.unwrap_or_default(),
            made: OnceCell::new(),
        }
    }
    pub(crate) fn text(&self) -> Arc<str> {
        self.made
            .get_or_init(|| {
                let (template, _) = fingerprint::template(self.message);
                Arc::from(clip(&template))
            })
            .clone()
    }
}

/// One event that concerns an incident. Where no record stands for itself (a delay ended, a silence was found), `record` points
/// to the one that began it, if there is one.
#[derive(Clone)]
pub(crate) struct Evidence<'a> {
    pub(crate) record: RecordId,
    /// The entry being judged, and the place in it.
    pub(crate) position: Position,
    /// Event time.
    pub(crate) at: Timestamp,
    pub(crate) received_at: Timestamp,
    /// What to say, as a person is to see it; empty where a record has no message.
    pub(crate) text: Cow<'a, str>,
    pub(crate) level: Option<Level>,
    pub(crate) error_type: Option<&'a str>,
    pub(crate) device: Option<&'a str>,
    pub(crate) application: Option<&'a str>,
    pub(crate) user: Option<&'a str>,
    pub(crate) source: Option<&'a str>,
    pub(crate) set: &'a RuleSet,
    pub(crate) peak: Option<f64>,
    pub(crate) provenance: Provenance,
    pub(crate) template: Option<&'a LazyTemplate<'a>>,
}

impl<'a> Evidence<'a> {
    /// A record that speaks for itself.
    pub(crate) fn of_record(
        record: &Record<'a>,
        judgement: &Judgement,
        set: &'a RuleSet,
        template: Option<&'a LazyTemplate<'a>>,
    ) -> Self {
        Self {
            record: record.record_id,
            position: record.record_id.position,
            at: judgement.at,
            received_at: record.received_at,
            text: plain(record.message.unwrap_or_default()),
            level: record.level,
            error_type: record.kind,
            device: record.device_id,
            application: record.application,
            user: record.user_id,
            source: record.source,
            set,
            peak: None,
            provenance: Provenance::of(record, judgement),
            template,
        }
    }

    /// Something that no record says: it was found at `position`, and `record` points to what began it.
    pub(crate) fn found(
        set: &'a RuleSet,
        record: RecordId,
        position: Position,
        at: Timestamp,
        received_at: Timestamp,
    ) -> Self {
        Self {
            record,
            position,
            at,
            received_at,
            text: Cow::Borrowed(""),
            level: None,
            error_type: None,
            device: None,
            application: None,
            user: None,
            source: None,
            set,
            peak: None,
            provenance: Provenance::default(),
            template: None,
        }
    }
}

impl Evidence<'_> {
    /// What an alert of it is about. What no record names, the subject may say.
    pub(crate) fn context(&self, subject: &Subject) -> AlertContext {
        let of_subject = |kind| (subject.kind == kind).then(|| subject.id.clone());
        let named = |value: Option<&str>, kind| value.map(Arc::from).or_else(|| of_subject(kind));
        let device = named(self.device, SubjectKind::Device);
        let known = device.as_deref().and_then(|id| self.set.device(id));
        AlertContext {
            error_type: self.error_type.map(Arc::from),
            source: self.source.map(Arc::from),
            area: known
                .and_then(|d| d.area.clone())
                .or_else(|| of_subject(SubjectKind::Area)),
            site: known.and_then(|d| d.site.clone()),
            user: named(self.user, SubjectKind::User),
            application: named(self.application, SubjectKind::Application),
            level: self.level,
            device,
        }
    }

    /// The area of the device that it names.
    pub(crate) fn area(&self) -> Option<Arc<str>> {
        self.set.device(self.device?)?.area.clone()
    }
}

/// What stands for a record without a message in a title: its type and readings. Made for the one that opens an incident only.
pub(crate) fn describe(record: &Record<'_>) -> String {
    let mut text = String::from(record.kind.unwrap_or_default());
    for (name, value) in record.readings.iter().take(4) {
        let gap = if text.is_empty() { "" } else { " " };
        let _ = write!(text, "{gap}{name} {value}");
    }
    text
}
