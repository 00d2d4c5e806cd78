//! The filter of the log index, applied to records as they pass.

use crate::graphql::devices_of;
use andon_engine::record::Record;
use andon_engine::rule::Configuration;
use andon_storage::ports::log_index::LogFilter;
use andon_storage::words::Sought;
use std::collections::HashSet;

/// A filter made ready to be asked often.
#[derive(Debug, Clone)]
pub(crate) struct Matcher {
    filter: LogFilter,
    /// What the message must say.
    sought: Sought,
    area: Option<Area>,
}

/// The devices of an area, as of a version of the configuration.
#[derive(Debug, Clone)]
struct Area {
    name: String,
    version: Option<u64>,
    devices: HashSet<String>,
}

impl Matcher {
    pub(crate) fn new(filter: LogFilter, area: Option<String>) -> Self {
        let sought = Sought::of(filter.text.as_deref().unwrap_or_default());
        let area = area.map(|name| Area {
            name,
            version: None,
            devices: HashSet::new(),
        });
        Self { filter, sought, area }
    }

    /// Takes the devices of the area out of the configuration in force. An area matches nothing before it.
    pub(crate) fn follow(&mut self, configuration: &Configuration) {
        if let Some(area) = &mut self.area
            && area.version != Some(configuration.version)
        {
            area.version = Some(configuration.version);
            area.devices = devices_of(&area.name, configuration).into_iter().collect();
        }
    }

    pub(crate) fn matches(&self, r: &Record<'_>) -> bool {
        let f = &self.filter;
        let same = |want: &Option<String>, is: Option<&str>| want.as_deref().is_none_or(|w| is == Some(w));
        // The cheap and choosy first.
        same(&f.device_id, r.device_id)
            && self
                .area
                .as_ref()
                .is_none_or(|a| r.device_id.is_some_and(|d| a.devices.contains(d)))
            && same(&f.application, r.application)
            && f.level.is_none_or(|l| r.level == Some(l))
            && f.min_level.is_none_or(|l| r.level.is_some_and(|is| is >= l))
            && f.fingerprint.is_none_or(|p| r.is_log() && r.fingerprint == p)
            && same(&f.user_id, r.user_id)
            && same(&f.source, r.source)
            && same(&f.item_id, r.item_id)
            && same(&f.order_id, r.order_id)
            && same(&f.location, r.location)
            && same(&f.step, r.step)
            && same(&f.trace_id, r.trace_id)
            && f.type_prefix
                .as_deref()
                .is_none_or(|p| r.kind.is_some_and(|k| under(k, p)))
            && f.from.is_none_or(|t| r.timestamp >= t)
            && f.to.is_none_or(|t| r.timestamp < t)
            && self.says(r.message)
    }

    fn says(&self, message: Option<&str>) -> bool {
        match (&self.sought, message) {
            (Sought::Anything, _) => true,
            (sought, Some(message)) => sought.is_in(message),
            (_, None) => false,
        }
    }
}

/// Whole dotted parts: `equipment.drive` is under `equipment`, `equipments` is not.
fn under(kind: &str, prefix: &str) -> bool {
    kind.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_engine::level::Level;
    use andon_engine::time::Timestamp;

    #[test]
    fn every_condition_must_hold() {
        let r = Record {
            timestamp: Timestamp(100),
            level: Some(Level::Error),
            message: Some("Belt torn at CNV-03, 7 mm"),
            kind: Some("equipment.drive.overcurrent"),
            device_id: Some("CNV-03"),
            fingerprint: 9,
            ..Record::default()
        };
        let text = |t: &str| LogFilter {
            text: Some(t.into()),
            ..LogFilter::default()
        };
        let kind = |t: &str| LogFilter {
            type_prefix: Some(t.into()),
            ..LogFilter::default()
        };
        for (filter, want) in [
            (LogFilter::default(), true),
            (text("TORN belt"), true),
            (text("\"torn at\" cnv"), true),
            (text("\"at torn\""), false),
            (text("\"torn at"), true),
            (text("bel"), false),
            (text("cnv-03"), true),
            (text("03-cnv"), false),
            (text("  "), true),
            (text("---"), false),
            (text("🔥"), false),
            (text(","), true),
            (kind("equipment.drive"), true),
            (kind("equipment.dri"), false),
            (
                LogFilter {
                    level: Some(Level::Warn),
                    ..LogFilter::default()
                },
                false,
            ),
            (
                LogFilter {
                    min_level: Some(Level::Warn),
                    ..LogFilter::default()
                },
                true,
            ),
            (
                LogFilter {
                    fingerprint: Some(9),
                    ..LogFilter::default()
                },
                true,
            ),
            (
                LogFilter {
                    fingerprint: Some(8),
                    ..LogFilter::default()
                },
                false,
            ),
            (
                LogFilter {
                    application: Some("wms".into()),
                    ..LogFilter::default()
                },
                false,
            ),
            (
                LogFilter {
                    from: Some(Timestamp(100)),
                    to: Some(Timestamp(101)),
                    ..LogFilter::default()
                },
                true,
            ),
            (
                LogFilter {
                    to: Some(Timestamp(100)),
                    ..LogFilter::default()
                },
                false,
            ),
        ] {
            assert_eq!(Matcher::new(filter.clone(), None).matches(&r), want, "{filter:?}");
        }
    }
}
