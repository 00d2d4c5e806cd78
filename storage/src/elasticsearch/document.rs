//! The document of a record.

use crate::words::{Words, key_term};
use andon_engine::batch::BatchBuilder;
use andon_engine::record::Record;
use andon_engine::time::Timestamp;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// Members of `fields` that are searchable, and how deep they may lie. `flattened` refuses what lies deeper than 20 or has a name or value
/// of more than 32 KB, and with it the whole document.
const LEAVES_MAX: usize = 256;
const DEPTH_MAX: usize = 8;
const NAME_BYTES_MAX: usize = 128;
const VALUE_BYTES_MAX: usize = 8 * 1024;
/// Nodes that are looked at for them.
const NODES_MAX: usize = 4 * LEAVES_MAX;

#[derive(Serialize)]
struct Document<'a> {
    record_id: &'a str,
    timestamp: i64,
    received_at: i64,
    #[serde(rename = "@timestamp")]
    date: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    level_number: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    words: &'a str,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    application: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_id: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    item_id: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    order_id: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    span_id: Option<Cow<'a, str>>,
    fingerprint: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    flags: Vec<&'static str>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    readings: Map<String, Value>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    fields: Map<String, Value>,
    packed: &'a str,
}

/// Writes documents, with memory that it keeps.
#[derive(Default)]
pub(super) struct Documents {
    builder: BatchBuilder,
    words: String,
    packed: String,
}

impl Documents {
    /// Appends the two lines of a bulk request that store this record under its identity.
    pub(super) fn write(&mut self, alias: &str, r: &Record<'_>, into: &mut Vec<u8>) {
        let record_id = r.record_id.to_string();
        into.extend_from_slice(br#"{"index":{"_index":""#);
        into.extend_from_slice(alias.as_bytes());
        into.extend_from_slice(br#"","_id":""#);
        into.extend_from_slice(record_id.as_bytes());
        into.extend_from_slice(b"\"}}\n");
        self.builder.push(r);
        self.packed.clear();
        BASE64_STANDARD.encode_string(self.builder.finish(), &mut self.packed);
        self.words.clear();
        let mut words = Words::of(r.message.unwrap_or_default());
        while let Some(word) = words.next() {
            if !self.words.is_empty() {
                self.words.push(' ');
            }
            self.words.push_str(word);
        }
        let document = Document {
            record_id: &record_id,
            timestamp: r.timestamp.as_micros(),
            received_at: r.received_at.as_micros(),
            date: date(r.timestamp),
            level: r.level.map(|l| l.as_str()),
            level_number: r.level.map(|l| l as u8),
            message: r.message,
            words: &self.words,
            kind: r.kind.map(key_term),
            application: r.application.map(key_term),
            device_id: r.device_id.map(key_term),
            user_id: r.user_id.map(key_term),
            source: r.source.map(key_term),
            id: r.id.map(key_term),
            item_id: r.item_id.map(key_term),
            order_id: r.order_id.map(key_term),
            location: r.location.map(key_term),
            step: r.step.map(key_term),
            trace_id: r.trace_id.map(key_term),
            span_id: r.span_id.map(key_term),
            fingerprint: fingerprint(r.fingerprint),
            flags: r.flags.names().collect(),
            readings: r
                .readings
                .iter()
                .map(|(n, v)| ((*n).to_owned(), Value::from(*v)))
                .collect(),
            fields: searchable(r.fields),
            packed: &self.packed,
        };
        serde_json::to_writer(&mut *into, &document)
            .expect("texts and numbers are serialisable, and memory takes them");
        into.push(b'\n');
    }
}

/// The instant as a date; the first or last that has four digits of year where it lies outside. So later is never earlier.
pub(super) fn date(t: Timestamp) -> String {
    const FIRST: Timestamp = Timestamp(-62_167_219_200_000_000);
    const LAST: Timestamp = Timestamp(253_402_207_200_000_000);
    t.clamp(FIRST, LAST).to_string()
}

pub(super) fn fingerprint(n: u64) -> String {
    format!("{n:016x}")
}

/// What of `fields` can be searched; what is no JSON object is kept with the record and not searchable.
fn searchable(fields: &str) -> Map<String, Value> {
    if fields.is_empty() {
        return Map::new();
    }
    let Ok(Value::Object(members)) = serde_json::from_str(fields) else {
        return Map::new();
    };
    let mut left = Left {
        leaves: LEAVES_MAX,
        nodes: NODES_MAX,
    };
    object(members, 0, &mut left)
}

struct Left {
    leaves: usize,
    nodes: usize,
}

impl Left {
    fn node(&mut self) -> bool {
        self.nodes = self.nodes.saturating_sub(1);
        self.nodes > 0 && self.leaves > 0
    }
}

fn object(members: Map<String, Value>, depth: usize, left: &mut Left) -> Map<String, Value> {
    let mut out = Map::new();
    for (name, v) in members {
        if !left.node() {
            break;
        }
        // U+0000 parts name and value within Lucene.
        if name.len() > NAME_BYTES_MAX || name.contains('\0') {
            continue;
        }
        if let Some(v) = value(v, depth + 1, left) {
            out.insert(name, v);
        }
    }
    out
}

fn value(v: Value, depth: usize, left: &mut Left) -> Option<Value> {
    let nested = v.is_array() || v.is_object();
    if nested && depth >= DEPTH_MAX {
        return None;
    }
    if !nested {
        left.leaves = left.leaves.saturating_sub(1);
    }
    Some(match v {
        Value::Null => return None,
        Value::Object(members) => Value::Object(object(members, depth, left)),
        Value::Array(items) => {
            let mut out = Vec::new();
            for item in items {
                if !left.node() {
                    break;
                }
                out.extend(value(item, depth + 1, left));
            }
            Value::Array(out)
        }
        Value::String(mut s) => {
            s.truncate(s.floor_char_boundary(VALUE_BYTES_MAX));
            Value::String(s)
        }
        other => other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn depth(v: &Value) -> usize {
        match v {
            Value::Object(m) => 1 + m.values().map(depth).max().unwrap_or(0),
            Value::Array(a) => 1 + a.iter().map(depth).max().unwrap_or(0),
            _ => 0,
        }
    }

    fn leaves(v: &Value) -> usize {
        match v {
            Value::Object(m) => m.values().map(leaves).sum(),
            Value::Array(a) => a.iter().map(leaves).sum(),
            _ => 1,
        }
    }

    #[test]
    fn fields_are_bounded_whatever_their_shape() {
        let long = format!("{{\"a\":\"{}\"}}", "ü".repeat(20_000));
        let nested = format!("{}1{}", "{\"a\":".repeat(100), "}".repeat(100));
        let empty = format!("{{\"a\":[{}[]]}}", "[],".repeat(10_000));
        let wide = format!("{{\"a\":[{}1]}}", "1,".repeat(10_000));
        for text in [&long, &nested, &empty, &wide] {
            let bounded = Value::Object(searchable(text));
            assert!(depth(&bounded) <= DEPTH_MAX, "{}", depth(&bounded));
            assert!(leaves(&bounded) <= LEAVES_MAX, "{}", leaves(&bounded));
            assert!(bounded.to_string().len() <= 16 * 1024, "{}", bounded.to_string().len());
        }
        assert_eq!(
            Value::Object(searchable(r#"{"a":{"b":[1,"x",null]},"":true,"\u0000":1}"#)),
            serde_json::json!({"a":{"b":[1,"x"]},"":true})
        );
        for none in ["", "[1]", "null", "{\"a\":", "\u{1}{}"] {
            assert!(searchable(none).is_empty(), "{none}");
        }
    }

    #[test]
    fn a_date_has_four_digits_of_year_and_keeps_the_order() {
        let times = [i64::MIN, -1, 0, 1_700_000_000_000_001, i64::MAX];
        let dates = times.map(|t| date(Timestamp(t)));
        assert_eq!(dates[3], "2023-11-14T22:13:20.000001Z");
        assert!(dates.is_sorted() && dates.iter().all(|d| d.len() == 27), "{dates:?}");
    }

    #[test]
    fn two_lines_hold_the_record_and_nothing_breaks_out_of_them() {
        let r = Record {
            message: Some("Belt\n\"torn\" \u{2028}at CNV-03"),
            device_id: Some("a\"}}\n{\"delete\":{}}"),
            ..Record::default()
        };
        let mut out = Vec::new();
        Documents::default().write("alias", &r, &mut out);
        let lines: Vec<Value> = out
            .split(|b| *b == b'\n')
            .filter(|l| !l.is_empty())
            .map(|l| serde_json::from_slice(l).unwrap())
            .collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0]["index"]["_id"], "0".repeat(32));
        assert_eq!(lines[1]["words"], "belt torn at cnv 03");
        assert_eq!(lines[1]["device_id"], r.device_id.unwrap());
    }
}
