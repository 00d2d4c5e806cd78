//! Filters as GraphQL takes them, and cursors.

use super::error::bad_input;
use crate::view::scalar::{DateTime, Level, SubjectKind, parse_hex};
use andon_engine::ids::{IncidentId, RecordId};
use andon_engine::limits::{KEY_BYTES_MAX, TYPE_BYTES_MAX};
use andon_engine::rule::Configuration;
use andon_engine::time::Timestamp;
use andon_storage::ports::incidents;
use andon_storage::ports::log_index::{LogFilter, PageKey};
use async_graphql::{InputObject, Result};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Bytes of `text` of a search: a sentence, not a document.
pub(crate) const TEXT_BYTES_MAX: usize = 1_024;

/// Every condition given must hold.
#[derive(InputObject, Default, Debug)]
pub(crate) struct IncidentFilter {
    /// Not closed.
    #[graphql(default)]
    pub open_only: bool,
    pub subject_kind: Option<SubjectKind>,
    pub subject_id: Option<String>,
    /// Id of the rule.
    pub rule: Option<String>,
    pub area: Option<String>,
    pub opened_from: Option<DateTime>,
    pub opened_to: Option<DateTime>,
}

impl IncidentFilter {
    pub(crate) fn of_store(self, after: Option<(Timestamp, IncidentId)>, limit: u32) -> incidents::IncidentFilter {
        incidents::IncidentFilter {
            open_only: self.open_only,
            subject_kind: self.subject_kind.map(Into::into),
            subject_id: self.subject_id,
            rule: self.rule,
            area: self.area,
            opened_from: self.opened_from.map(|t| t.0),
            opened_to: self.opened_to.map(|t| t.0),
            after,
            limit,
        }
    }
}

/// Every condition given must hold.
#[derive(InputObject, Default, Debug)]
pub(crate) struct RecordFilter {
    pub application: Option<String>,
    pub device_id: Option<String>,
    /// Every device that the configuration puts in this area.
    pub area: Option<String>,
    pub user_id: Option<String>,
    pub source: Option<String>,
    pub item_id: Option<String>,
    pub order_id: Option<String>,
    pub location: Option<String>,
    pub step: Option<String>,
    pub trace_id: Option<String>,
    /// Whole dotted parts: `equipment.drive` takes `equipment.drive.overcurrent`.
    #[graphql(name = "type")]
    pub kind: Option<String>,
    pub level: Option<Level>,
    pub min_level: Option<Level>,
    /// 16 hex digits.
    pub fingerprint: Option<String>,
    /// Words that the message must all contain; a part in double quotes must stand as it is.
    pub text: Option<String>,
    /// Event time, included.
    pub from: Option<DateTime>,
    /// Event time, excluded.
    pub to: Option<DateTime>,
}

impl RecordFilter {
    pub(crate) fn of_store(self, configuration: &Configuration) -> Result<LogFilter> {
        check_area(self.area.as_deref()).map_err(bad_input)?;
        let filter = LogFilter {
            application: self.application,
            device_id: self.device_id,
            device_ids: self.area.map(|area| devices_of(&area, configuration)),
            user_id: self.user_id,
            source: self.source,
            item_id: self.item_id,
            order_id: self.order_id,
            location: self.location,
            step: self.step,
            trace_id: self.trace_id,
            type_prefix: self.kind,
            level: self.level.map(Into::into),
            min_level: self.min_level.map(Into::into),
            fingerprint: self
                .fingerprint
                .as_deref()
                .map(parse_hex)
                .transpose()
                .map_err(bad_input)?,
            text: self.text,
            from: self.from.map(|t| t.0),
            to: self.to.map(|t| t.0),
        };
        check(&filter).map_err(bad_input)?;
        Ok(filter)
    }
}

/// The devices that the configuration puts in `area`. Records name no area, so it stands for these.
pub fn devices_of(area: &str, configuration: &Configuration) -> Vec<String> {
    let devices = configuration.devices.iter();
    devices
        .filter(|d| d.area.as_deref() == Some(area))
        .map(|d| d.id.to_string())
        .collect()
}

/// As [`check`], for the name of an area.
pub fn check_area(area: Option<&str>) -> std::result::Result<(), String> {
    match area {
        Some(area) if area.len() > KEY_BYTES_MAX => {
            Err(format!("area has {} bytes: at most {KEY_BYTES_MAX}", area.len()))
        }
        _ => Ok(()),
    }
}

/// Refuses what no record can match for its length, before a store has to look at it.
pub fn check(f: &LogFilter) -> std::result::Result<(), String> {
    let keys = [
        ("application", &f.application, KEY_BYTES_MAX),
        ("device_id", &f.device_id, KEY_BYTES_MAX),
        ("user_id", &f.user_id, KEY_BYTES_MAX),
        ("source", &f.source, KEY_BYTES_MAX),
        ("item_id", &f.item_id, KEY_BYTES_MAX),
        ("order_id", &f.order_id, KEY_BYTES_MAX),
        ("location", &f.location, KEY_BYTES_MAX),
        ("step", &f.step, KEY_BYTES_MAX),
        ("trace_id", &f.trace_id, KEY_BYTES_MAX),
        ("type", &f.type_prefix, TYPE_BYTES_MAX),
        ("text", &f.text, TEXT_BYTES_MAX),
    ];
    for (name, value, max) in keys {
        if let Some(v) = value
            && v.len() > max
        {
            return Err(format!("{name} has {} bytes: at most {max}", v.len()));
        }
    }
    Ok(())
}

/// The place after which a page goes on, as opaque text.
pub(crate) trait CursorText: Sized {
    fn to_text(&self) -> String;
    fn from_text(text: &str) -> Option<Self>;

    fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.to_text())
    }
    fn decode(cursor: &str) -> Result<Self> {
        URL_SAFE_NO_PAD
            .decode(cursor)
            .ok()
            .and_then(|b| String::from_utf8(b).ok())
            .and_then(|t| Self::from_text(&t))
            .ok_or_else(|| bad_input("after is not a cursor of this list: take endCursor of its last page"))
    }
}

impl CursorText for (Timestamp, IncidentId) {
    fn to_text(&self) -> String {
        format!("i:{}:{}", self.0.as_micros(), self.1)
    }
    fn from_text(text: &str) -> Option<Self> {
        let (at, id) = text.strip_prefix("i:")?.split_once(':')?;
        Some((Timestamp(at.parse().ok()?), id.parse().ok()?))
    }
}

impl CursorText for PageKey {
    fn to_text(&self) -> String {
        format!("r:{}:{}", self.timestamp.as_micros(), self.record_id)
    }
    fn from_text(text: &str) -> Option<Self> {
        let (at, id) = text.strip_prefix("r:")?.split_once(':')?;
        Some(PageKey {
            timestamp: Timestamp(at.parse().ok()?),
            record_id: id.parse::<RecordId>().ok()?,
        })
    }
}

/// The id of a device or application.
#[derive(Debug, PartialEq)]
pub(crate) struct PlantId(pub String);

impl CursorText for PlantId {
    fn to_text(&self) -> String {
        format!("p:{}", self.0)
    }
    fn from_text(text: &str) -> Option<Self> {
        text.strip_prefix("p:").map(|id| PlantId(id.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_engine::ids::JournalId;

    #[test]
    fn a_cursor_gives_back_its_place_and_no_other_list_s() {
        let key = PageKey {
            timestamp: Timestamp(-5),
            record_id: RecordId::new(JournalId(7), u64::MAX, 3),
        };
        assert_eq!(PageKey::decode(&key.encode()).unwrap(), key);
        let incident = (Timestamp(9), IncidentId(u128::MAX));
        assert_eq!(<(Timestamp, IncidentId)>::decode(&incident.encode()).unwrap(), incident);
        let plant = PlantId("CNV:03".into());
        assert_eq!(PlantId::decode(&plant.encode()).unwrap(), plant);
        for bad in [
            incident.encode(),
            plant.encode(),
            String::new(),
            "!!".into(),
            URL_SAFE_NO_PAD.encode("r:1:x"),
        ] {
            assert!(PageKey::decode(&bad).is_err(), "{bad:?}");
        }
    }
}
