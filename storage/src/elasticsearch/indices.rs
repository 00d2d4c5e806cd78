//! Names of the indices, and their mapping.

use andon_engine::level::Level;
use andon_engine::record::Record;
use andon_engine::time::{Span, Timestamp};
use serde_json::{Value, json};

/// Counts up when [`mapping`] changes. A template with another number is replaced at the start.
pub(super) const MAPPING_VERSION: u64 = 1;
const DAY: i64 = Span::hours(24).as_micros();
/// Year 9999 has four digits, and nothing received by a sane clock lies outside of these.
const DAYS: std::ops::RangeInclusive<i64> = 0..=2_932_896;

/// What decides, with its age, when a record is dropped.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum RetentionClass {
    /// TRACE and DEBUG.
    Debug,
    /// All others, also those without a level.
    Standard,
}

impl RetentionClass {
    pub const ALL: [RetentionClass; 2] = [RetentionClass::Debug, RetentionClass::Standard];

    /// The class of a record, by nothing but its level, so that a replay chooses the same.
    pub fn of(level: Option<Level>) -> Self {
        match level {
            Some(Level::Trace | Level::Debug) => RetentionClass::Debug,
            _ => RetentionClass::Standard,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            RetentionClass::Debug => "debug",
            RetentionClass::Standard => "standard",
        }
    }
}

/// Which index: retention class and UTC day of receipt, in days since 1970.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Day {
    class: RetentionClass,
    number: i64,
}

impl Day {
    pub(super) fn of(r: &Record<'_>) -> Self {
        Self::at(RetentionClass::of(r.level), r.received_at)
    }

    fn at(class: RetentionClass, t: Timestamp) -> Self {
        let number = t.as_micros().div_euclid(DAY).clamp(*DAYS.start(), *DAYS.end());
        Self { class, number }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Names {
    prefix: String,
    /// The type of `fields`: OpenSearch calls it otherwise.
    pub(super) flattened: &'static str,
}

impl Names {
    /// `prefix` is made of lower-case letters, digits, `-` and `_`, and begins with a letter.
    pub(super) fn new(prefix: &str) -> Option<Self> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        let ok = prefix.starts_with(|c: char| c.is_ascii_lowercase()) && prefix.len() <= 64 && prefix.chars().all(fits);
        ok.then(|| Self {
            prefix: prefix.to_owned(),
            flattened: "flattened",
        })
    }

    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }
    /// The template, and what its indices' names begin with.
    pub(super) fn logs(&self) -> String {
        format!("{}-logs", self.prefix)
    }
    pub(super) fn all_logs(&self) -> String {
        format!("{}-logs-*", self.prefix)
    }
    pub(super) fn of_class(&self, class: RetentionClass) -> String {
        format!("{}-logs-{}-*", self.prefix, class.as_str())
    }
    pub(super) fn index(&self, day: Day) -> String {
        format!("{}-logs-{}-{}", self.prefix, day.class.as_str(), date(day.number))
    }
    /// What bulk requests write to. It is an alias, and they require one: so that no index is ever made by a write, with a mapping that
    /// Elasticsearch guessed.
    pub(super) fn alias(&self, day: Day) -> String {
        format!("{}-write-{}-{}", self.prefix, day.class.as_str(), date(day.number))
    }
    pub(super) fn state(&self) -> String {
        format!("{}-state", self.prefix)
    }
    pub(super) fn state_index(&self) -> String {
        format!("{}-state-1", self.prefix)
    }

    /// Whether this index of the class holds only what was received before the day of `before`.
    pub(super) fn is_before(&self, index: &str, class: RetentionClass, before: Timestamp) -> bool {
        let first = Day::at(class, before);
        let start = format!("{}-logs-{}-", self.prefix, class.as_str());
        index.strip_prefix(&start).is_some_and(|day| {
            let shape = |(i, b): (usize, u8)| {
                if i == 4 || i == 7 {
                    b == b'.'
                } else {
                    b.is_ascii_digit()
                }
            };
            // Days of one shape sort as they follow.
            day.len() == 10 && day.bytes().enumerate().all(shape) && day < date(first.number).as_str()
        })
    }

    pub(super) fn template(&self) -> Value {
        json!({
            "index_patterns": [self.all_logs()],
            "priority": 200,
            "template": { "settings": settings(), "mappings": self.mapping() },
            "_meta": { "product": "andon", "version": MAPPING_VERSION },
        })
    }

    /// What an index is made with. The mapping stands here too, so that it is ours even where somebody has deleted the template.
    pub(super) fn creation(&self, day: Day) -> Value {
        json!({ "settings": settings(), "mappings": self.mapping(), "aliases": { self.alias(day): {} } })
    }

    pub(super) fn state_creation(&self) -> Value {
        json!({
            "settings": { "index": { "number_of_shards": 1, "translog": { "durability": "request" } } },
            "mappings": { "dynamic": false, "_meta": { "product": "andon", "version": MAPPING_VERSION } },
            "aliases": { self.state(): {} },
        })
    }

    fn mapping(&self) -> Value {
        let key = json!({ "type": "keyword" });
        let fields = match self.flattened {
            "flattened" => json!({ "type": "flattened", "ignore_above": 1024, "depth_limit": 20 }),
            other => json!({ "type": other }),
        };
        json!({
            "dynamic": false,
            "_meta": { "product": "andon", "version": MAPPING_VERSION },
            "_source": { "excludes": ["words", "packed"] },
            "properties": {
                "record_id": { "type": "keyword", "index": false },
                // Microseconds since 1970, exact: what filters, sorts and counts go by.
                "timestamp": { "type": "long" },
                "received_at": { "type": "long" },
                // In milliseconds, for people and Kibana, and for skipping indices by it.
                "@timestamp": { "type": "date", "format": "strict_date_optional_time" },
                "level": key,
                "level_number": { "type": "byte" },
                "type": key,
                "application": key,
                "device_id": key,
                "user_id": key,
                "source": key,
                "id": key,
                "item_id": key,
                "order_id": key,
                "location": key,
                "step": key,
                "trace_id": key,
                "span_id": key,
                "fingerprint": key,
                "flags": key,
                "message": { "type": "text", "index": false, "norms": false },
                // The words of the message as Andon parts them, between blanks.
                "words": { "type": "text", "analyzer": "whitespace", "norms": false },
                "readings": { "type": "object", "enabled": false },
                "fields": fields,
                "packed": { "type": "binary", "store": true },
            },
        })
    }
}

/// No number of shards or replicas: they are the cluster's to decide.
fn settings() -> Value {
    json!({ "index": {
        "codec": "best_compression",
        // A commit refreshes.
        "refresh_interval": "-1",
        "translog": { "durability": "request" },
    } })
}

fn date(number: i64) -> String {
    Timestamp(number * DAY).to_jiff().strftime("%Y.%m.%d").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names::new("andon").unwrap()
    }

    fn index(received_at: i64, level: Level) -> String {
        names().index(Day::of(&Record {
            received_at: Timestamp(received_at),
            level: Some(level),
            ..Record::default()
        }))
    }

    #[test]
    fn an_index_is_named_by_class_and_utc_day() {
        assert_eq!(index(0, Level::Info), "andon-logs-standard-1970.01.01");
        assert_eq!(index(DAY - 1, Level::Trace), "andon-logs-debug-1970.01.01");
        assert_eq!(index(DAY, Level::Debug), "andon-logs-debug-1970.01.02");
        assert_eq!(index(i64::MAX, Level::Fatal), "andon-logs-standard-9999.12.30");
        assert_eq!(index(i64::MIN, Level::Fatal), "andon-logs-standard-1970.01.01");
    }

    #[test]
    fn only_whole_days_before_are_before() {
        let before = |index: &str, t: i64| names().is_before(index, RetentionClass::Standard, Timestamp(t));
        let second = "andon-logs-standard-1970.01.02";
        assert!(!before(second, DAY));
        assert!(!before(second, 2 * DAY - 1));
        assert!(before(second, 2 * DAY));
        for other in [
            "andon-logs-debug-1970.01.02",
            "andon-logs-standard-1970.01.02x",
            "andon-logs-standard-1970-01-02",
            "other-logs-standard-1970.01.02",
        ] {
            assert!(!before(other, i64::MAX), "{other}");
        }
    }

    #[test]
    fn a_prefix_is_a_plain_name() {
        for bad in ["", "-a", "A", "a*", "a,b", "a/b", "é", &"a".repeat(65)] {
            assert!(Names::new(bad).is_none(), "{bad}");
        }
        assert!(Names::new("andon-site_2").is_some());
    }
}
