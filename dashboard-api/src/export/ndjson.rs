//! A record as one line of JSON, with the member names that senders use.

use crate::view::scalar::hex;
use andon_engine::record::Record;
use andon_engine::text::plain;
use serde::de::IgnoredAny;
use std::io::Write;

/// Appends `{…}` and a line feed. Members that a record does not have are left out.
pub(super) fn write_line(out: &mut Vec<u8>, r: &Record<'_>) {
    let mut o = Object { out, first: true };
    o.display("record_id", r.record_id);
    o.display("timestamp", r.timestamp);
    o.display("received_at", r.received_at);
    o.text("level", r.level.map(|l| l.as_str()));
    o.text("message", r.message.map(plain).as_deref());
    o.text("type", r.kind);
    o.text("application", r.application);
    o.text("device_id", r.device_id);
    o.text("user_id", r.user_id);
    o.text("source", r.source);
    if !r.readings.is_empty() {
        o.name("readings");
        write_readings(o.out, r);
    }
    if !r.fields.is_empty() {
        o.name("fields");
        write_fields(o.out, r.fields);
    }
    o.text("id", r.id);
    o.text("item_id", r.item_id);
    o.text("order_id", r.order_id);
    o.text("location", r.location);
    o.text("step", r.step);
    o.text("trace_id", r.trace_id);
    o.text("span_id", r.span_id);
    o.text("fingerprint", Some(&hex(r.fingerprint)));
    o.name("flags");
    o.out.push(b'[');
    for (n, flag) in r.flags.names().enumerate() {
        if n > 0 {
            o.out.push(b',');
        }
        write_string(o.out, flag);
    }
    out.extend_from_slice(b"]}\n");
}

struct Object<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

impl Object<'_> {
    fn name(&mut self, name: &str) {
        self.out.push(if self.first { b'{' } else { b',' });
        self.first = false;
        write_string(self.out, name);
        self.out.push(b':');
    }
    fn text(&mut self, name: &str, value: Option<&str>) {
        if let Some(v) = value {
            self.name(name);
            write_string(self.out, v);
        }
    }
    /// A value whose text needs no escaping.
    fn display(&mut self, name: &str, value: impl std::fmt::Display) {
        self.name(name);
        write!(self.out, "\"{value}\"").expect("a Vec takes every byte");
    }
}

pub(super) fn write_string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a Vec takes every byte, and a string is always JSON");
}

pub(super) fn write_readings(out: &mut Vec<u8>, r: &Record<'_>) {
    out.push(b'{');
    for (n, (name, value)) in r.readings.iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        write_string(out, name);
        out.push(b':');
        serde_json::to_writer(&mut *out, value).expect("a Vec takes every byte, and a batch holds finite values only");
    }
    out.push(b'}');
}

/// The text of `fields` as it is, but on one line. What is not JSON after all goes out as a string, so that the line stays readable.
pub(super) fn write_fields(out: &mut Vec<u8>, fields: &str) {
    if serde_json::from_str::<IgnoredAny>(fields).is_err() {
        return write_string(out, fields);
    }
    // Outside of strings a line end is white space, and within them JSON has it escaped.
    out.extend(fields.bytes().map(|b| if b == b'\n' || b == b'\r' { b' ' } else { b }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_engine::level::Level;
    use andon_engine::record::Flags;
    use andon_engine::time::Timestamp;
    use serde_json::{Value, json};

    fn line(r: &Record<'_>) -> Value {
        let mut out = Vec::new();
        write_line(&mut out, r);
        assert_eq!(out.iter().filter(|b| **b == b'\n').count(), 1);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn a_record_is_one_line_whatever_its_texts_hold() {
        let r = Record {
            timestamp: Timestamp(1_000_000),
            level: Some(Level::Fatal),
            message: Some("a\n\u{1b}[31mb\"\u{1b}[0m\u{1}\u{2028}é"),
            device_id: Some("\\"),
            readings: vec![("t\"", -1.5), ("n", 3.0)],
            fields: "{\"a\":\r\n[1,\"x\\ny\"]}",
            fingerprint: 255,
            flags: Flags(3),
            ..Record::default()
        };
        assert_eq!(
            line(&r),
            json!({
                "record_id": "0".repeat(32), "timestamp": "1970-01-01T00:00:01.000000Z",
                "received_at": "1970-01-01T00:00:00.000000Z", "level": "FATAL", "message": "a\nb\"\u{2028}é",
                "device_id": "\\", "readings": {"t\"": -1.5, "n": 3.0}, "fields": {"a": [1, "x\ny"]},
                "fingerprint": "00000000000000ff", "flags": ["clock_skew", "nul_replaced"],
            })
        );
    }

    #[test]
    fn fields_that_are_no_json_do_not_break_the_line() {
        for bad in ["{", "{\"a\":1}}", "nothing\n", "{\"a\":\"\n\"}"] {
            let r = Record {
                fields: bad,
                ..Record::default()
            };
            assert_eq!(line(&r)["fields"], json!(bad));
        }
        let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
        let r = Record {
            fields: &deep,
            ..Record::default()
        };
        let mut out = Vec::new();
        write_line(&mut out, &r);
        assert!(out.ends_with(b"\n"));
    }
}
