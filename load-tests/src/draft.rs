//! A record before it is sent: what the generator knows about it, and its JSON.

use andon_engine::level::Level;
use andon_engine::time::Timestamp;
use bytes::Bytes;
use serde_json::{Map, Value, json};

/// One record as the plant means it. The judge of the labels reads the fields; the server gets [`Draft::line`].
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Draft {
    /// The sender's id: unique within a run.
    pub id: String,
    pub timestamp: Timestamp,
    /// The stamp as it is written, where that is not `timestamp` in UTC: with an offset, say. It must mean the same instant.
    pub stamp: Option<String>,
    pub level: Option<Level>,
    pub message: Option<String>,
    pub kind: Option<String>,
    pub application: Option<String>,
    pub device: Option<String>,
    pub user: Option<String>,
    /// The run that the record belongs to: what the oracle asks the export for.
    pub source: Option<String>,
    pub item: Option<String>,
    pub order: Option<String>,
    pub location: Option<String>,
    pub step: Option<String>,
    pub trace_id: Option<String>,
    pub readings: Vec<(&'static str, f64)>,
    pub fields: Map<String, Value>,
    pub dialect: Dialect,
}

/// How the sender writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Dialect {
    /// Andon's own names.
    #[default]
    Andon,
    /// The names that log shippers use: `@timestamp`, `log.level`, `msg`, `service.name`, `host.name`.
    Shipper,
    /// Andon's names with the stamp as epoch milliseconds and the level as a syslog number.
    Syslog,
    /// Andon's names, the text in Latin-1 bytes.
    Latin1,
}

impl Draft {
    pub fn log(id: impl Into<String>, at: Timestamp, level: Level, message: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            timestamp: at,
            level: Some(level),
            message: Some(message.into()),
            ..Self::default()
        }
    }
    pub fn kind(mut self, kind: impl Into<String>) -> Self {
        self.kind = Some(kind.into());
        self
    }
    pub fn application(mut self, v: impl Into<String>) -> Self {
        self.application = Some(v.into());
        self
    }
    pub fn device(mut self, v: impl Into<String>) -> Self {
        self.device = Some(v.into());
        self
    }
    pub fn user(mut self, v: impl Into<String>) -> Self {
        self.user = Some(v.into());
        self
    }

    /// The record as one line of JSON without the line feed.
    pub fn line(&self) -> Bytes {
        let shipper = self.dialect == Dialect::Shipper;
        let name = |own: &'static str, theirs: &'static str| if shipper { theirs } else { own };
        let mut o = Map::new();
        let stamp = match self.dialect {
            _ if self.stamp.is_some() => json!(self.stamp),
            Dialect::Syslog => json!(self.timestamp.as_micros() / 1_000),
            _ => json!(self.timestamp.to_string()),
        };
        o.insert(name("timestamp", "@timestamp").into(), stamp);
        if let Some(level) = self.level {
            let level = match self.dialect {
                Dialect::Syslog => json!(syslog_number(level)),
                Dialect::Shipper => json!(level.as_str().to_ascii_lowercase()),
                _ => json!(level.as_str()),
            };
            o.insert(name("level", "log.level").into(), level);
        }
        let texts = [
            (name("message", "msg"), &self.message),
            ("type", &self.kind),
            (name("application", "service.name"), &self.application),
            (name("device_id", "host.name"), &self.device),
            ("user_id", &self.user),
            ("source", &self.source),
            ("item_id", &self.item),
            ("order_id", &self.order),
            ("location", &self.location),
            ("step", &self.step),
            ("trace_id", &self.trace_id),
        ];
        for (k, v) in texts {
            if let Some(v) = v {
                o.insert(k.into(), json!(v));
            }
        }
        o.insert("id".into(), json!(self.id));
        if !self.readings.is_empty() {
            let readings: Map<String, Value> = self
                .readings
                .iter()
                .map(|(n, v)| ((*n).to_owned(), json!((v * 1e4).round() / 1e4)))
                .collect();
            o.insert("readings".into(), Value::Object(readings));
        }
        if !self.fields.is_empty() {
            o.insert("fields".into(), Value::Object(self.fields.clone()));
        }
        let text = Value::Object(o).to_string();
        match self.dialect {
            // What Latin-1 cannot say is sent as a question mark, as old software does.
            Dialect::Latin1 => text
                .chars()
                .map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?'))
                .collect::<Vec<u8>>()
                .into(),
            _ => text.into(),
        }
    }

    /// Can the log index show it? A record of readings only is no log record.
    pub fn is_log(&self) -> bool {
        self.message.is_some()
    }
}

fn syslog_number(level: Level) -> u8 {
    match level {
        Level::Fatal => 2,
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

/// Joins lines to an NDJSON body.
pub fn ndjson<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> Bytes {
    let mut out = Vec::new();
    for line in lines {
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(dialect: Dialect) -> Draft {
        Draft {
            dialect,
            readings: vec![("temperature", 81.25)],
            ..Draft::log("a-1", Timestamp(1_790_000_000_123_456), Level::Error, "Störung")
                .application("wms")
                .device("CNV-03")
        }
    }

    #[test]
    fn each_dialect_says_the_same_in_its_own_words() {
        let own: Value = serde_json::from_slice(&draft(Dialect::Andon).line()).unwrap();
        assert_eq!(own["timestamp"], "2026-09-21T14:13:20.123456Z");
        assert_eq!((&own["level"], &own["device_id"]), (&json!("ERROR"), &json!("CNV-03")));
        let shipper: Value = serde_json::from_slice(&draft(Dialect::Shipper).line()).unwrap();
        assert_eq!(shipper["@timestamp"], own["timestamp"]);
        assert_eq!(
            (&shipper["log.level"], &shipper["msg"]),
            (&json!("error"), &json!("Störung"))
        );
        assert_eq!(
            (&shipper["service.name"], &shipper["host.name"]),
            (&json!("wms"), &json!("CNV-03"))
        );
        let syslog: Value = serde_json::from_slice(&draft(Dialect::Syslog).line()).unwrap();
        assert_eq!(
            (&syslog["timestamp"], &syslog["level"]),
            (&json!(1_790_000_000_123i64), &json!(3))
        );
    }

    #[test]
    fn latin1_is_not_utf8() {
        let line = draft(Dialect::Latin1).line();
        assert!(std::str::from_utf8(&line).is_err());
        assert!(line.windows(3).any(|w| w == [b't', 0xF6, b'r']));
    }
}
