//! A record as GraphQL and the live feed show it.

use super::scalar::{DateTime, Level, hex};
use andon_engine::record::Record as EngineRecord;
use andon_engine::text::plain;
use async_graphql::{ID, SimpleObject};
use serde::Serialize;

/// Bytes of message, and of fields, that one live record shows: a screen's worth. The whole is one query away.
pub const LIVE_TEXT_BYTES_MAX: usize = 2 * 1024;

#[derive(SimpleObject, Serialize, Clone, Debug, PartialEq)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Reading {
    pub name: String,
    pub value: f64,
}

/// A log record, or a record of readings.
#[derive(SimpleObject, Serialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Record {
    /// 32 hex digits; sorts as the journal does.
    #[cfg_attr(test, ts(type = "string"))]
    pub record_id: ID,
    #[cfg_attr(test, ts(type = "string"))]
    pub timestamp: DateTime,
    #[cfg_attr(test, ts(type = "string"))]
    pub received_at: DateTime,
    /// Null for a record of readings only.
    pub level: Option<Level>,
    pub message: Option<String>,
    #[graphql(name = "type")]
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub application: Option<String>,
    pub device_id: Option<String>,
    pub user_id: Option<String>,
    pub source: Option<String>,
    pub readings: Vec<Reading>,
    /// A JSON object as text; null when there is none.
    pub fields: Option<String>,
    /// The sender's own id.
    pub id: Option<String>,
    pub item_id: Option<String>,
    pub order_id: Option<String>,
    pub location: Option<String>,
    pub step: Option<String>,
    pub trace_id: Option<String>,
    pub span_id: Option<String>,
    /// 16 hex digits; null where there is no message.
    pub fingerprint: Option<String>,
    /// What was noticed: `clock_skew`, `nul_replaced`, `time_missing`, `history`, `latin1`, `level_unknown`, `clock_unset`.
    pub flags: Vec<String>,
    /// Live feed only: message or fields were cut; ask `record(id)` for the whole.
    pub truncated: bool,
}

impl Record {
    /// The whole record.
    pub fn whole(r: &EngineRecord<'_>) -> Self {
        Self::with_texts(
            r,
            r.message.map(|m| plain(m).into_owned()),
            fields(r).map(str::to_owned),
            false,
        )
    }

    /// The record as a live feed shows it: message cut, fields left out when they are long (cut JSON is no JSON).
    pub fn live(r: &EngineRecord<'_>) -> Self {
        let whole = r.message.map(plain);
        let message = whole.as_deref().map(|m| cut(m, LIVE_TEXT_BYTES_MAX));
        let short = fields(r).filter(|f| f.len() <= LIVE_TEXT_BYTES_MAX);
        let truncated =
            short.is_none() && fields(r).is_some() || message.map(str::len) != whole.as_deref().map(str::len);
        Self::with_texts(r, message.map(str::to_owned), short.map(str::to_owned), truncated)
    }

    fn with_texts(r: &EngineRecord<'_>, message: Option<String>, fields: Option<String>, truncated: bool) -> Self {
        let own = |t: Option<&str>| t.map(str::to_owned);
        Self {
            record_id: ID(r.record_id.to_string()),
            timestamp: r.timestamp.into(),
            received_at: r.received_at.into(),
            level: r.level.map(Into::into),
            message,
            kind: own(r.kind),
            application: own(r.application),
            device_id: own(r.device_id),
            user_id: own(r.user_id),
            source: own(r.source),
            readings: r
                .readings
                .iter()
                .map(|(n, v)| Reading {
                    name: (*n).to_owned(),
                    value: *v,
                })
                .collect(),
            fields,
            id: own(r.id),
            item_id: own(r.item_id),
            order_id: own(r.order_id),
            location: own(r.location),
            step: own(r.step),
            trace_id: own(r.trace_id),
            span_id: own(r.span_id),
            fingerprint: r.is_log().then(|| hex(r.fingerprint)),
            flags: r.flags.names().map(str::to_owned).collect(),
            truncated,
        }
    }

    /// About how many bytes it takes on the wire.
    pub fn weight(&self) -> usize {
        let len = |t: &Option<String>| t.as_ref().map_or(0, String::len);
        400 + len(&self.message) + len(&self.fields) + self.readings.len() * 48
    }
}

fn fields<'a>(r: &EngineRecord<'a>) -> Option<&'a str> {
    Some(r.fields).filter(|f| !f.is_empty())
}

/// At most `max` bytes of `text`, cut at a character.
pub fn cut(text: &str, max: usize) -> &str {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// One value of one reading, as it arrives.
#[derive(Serialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct LiveReading {
    pub device_id: Option<String>,
    pub application: Option<String>,
    pub name: String,
    pub value: f64,
    #[cfg_attr(test, ts(type = "string"))]
    pub timestamp: DateTime,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_live_record_is_cut_at_a_character_and_says_so() {
        let long = "é".repeat(LIVE_TEXT_BYTES_MAX);
        let json = format!("{{\"a\":\"{long}\"}}");
        let r = EngineRecord {
            message: Some(&long),
            fields: &json,
            ..EngineRecord::default()
        };
        let live = Record::live(&r);
        assert!(live.truncated);
        assert_eq!(live.fields, None);
        assert_eq!(live.message.as_deref().map(str::len), Some(LIVE_TEXT_BYTES_MAX));
        assert!(!Record::whole(&r).truncated);

        let odd = format!("a{long}");
        let r = EngineRecord {
            message: Some(&odd),
            ..EngineRecord::default()
        };
        assert_eq!(Record::live(&r).message.map(|m| m.len()), Some(LIVE_TEXT_BYTES_MAX - 1));

        let short = EngineRecord {
            message: Some("belt torn"),
            fields: "{}",
            ..EngineRecord::default()
        };
        assert!(!Record::live(&short).truncated);
    }
}
