//! A configuration compiled for judging: which rules look at a record, and for which subjects.
//!
//! A site may have 10,000 rules and a million records a second, so a record must not meet every rule. Each rule is filed under
//! its most selective name (device, application, user), else under what it needs of a record (a reading, a level).

use crate::ids::RuleId;
use crate::record::Record;
use crate::rule::{Condition, Configuration, Device, Rule, Selector};
use crate::subject::SubjectKind;
use std::collections::HashMap;
use std::sync::Arc;

/// Index of a rule within its [`RuleSet`].
pub type RuleIndex = u16;

/// A rule that takes a record. A condition of several parts (first A, then B) says which of them the record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RuleMatch {
    pub rule: RuleIndex,
    /// The part of the condition; 0 for conditions of one part.
    pub arm: u8,
}

/// Why a rule no longer judges what it judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleEnd {
    Removed,
    Disabled,
    /// It judges other records, other subjects, or by another condition.
    Changed,
}

impl RuleEnd {
    pub fn reason(self) -> &'static str {
        match self {
            RuleEnd::Removed => "the rule was removed",
            RuleEnd::Disabled => "the rule was switched off",
            RuleEnd::Changed => "the rule was changed",
        }
    }
}

#[derive(Debug, Default)]
pub struct RuleSet {
    config: Arc<Configuration>,
    /// By kind of subject, so that a record's names are looked up without making an owned key of each.
    by_name: [HashMap<Arc<str>, Vec<RuleIndex>>; SubjectKind::ALL.len()],
    by_reading: HashMap<Arc<str>, Vec<RuleIndex>>,
    /// `by_level[l]`: rules that need at least level `l` (0: none).
    by_level: [Vec<RuleIndex>; 7],
    devices: HashMap<Arc<str>, usize>,
    by_id: HashMap<RuleId, RuleIndex>,
}

impl RuleSet {
    pub fn compile(config: Arc<Configuration>) -> RuleSet {
        let mut set = RuleSet {
            config: config.clone(),
            ..RuleSet::default()
        };
        for (i, rule) in config.rules.iter().enumerate().take(crate::limits::RULES_MAX) {
            let i = i as RuleIndex;
            set.by_id.insert(rule.id.clone(), i);
            // Silence is not found in records but in their absence (module `silence`).
            if !rule.enabled || matches!(rule.condition, Condition::Silence { .. }) {
                continue;
            }
            let s = &rule.selector;
            let names = [
                (SubjectKind::Device, &s.devices),
                (SubjectKind::Application, &s.applications),
                (SubjectKind::User, &s.users),
            ];
            if let Some((kind, ids)) = names.into_iter().find(|(_, ids)| !ids.is_empty()) {
                for id in ids {
                    set.by_name[kind as usize].entry(id.clone()).or_default().push(i);
                }
            } else if let Condition::Limit(limit) = &rule.condition {
                set.by_reading.entry(limit.reading.clone()).or_default().push(i);
            } else {
                set.by_level[s.min_level.map_or(0, |l| l as usize)].push(i);
            }
        }
        set.devices = config
            .devices
            .iter()
            .enumerate()
            .map(|(i, d)| (d.id.clone(), i))
            .collect();
        set
    }

    pub fn configuration(&self) -> &Arc<Configuration> {
        &self.config
    }
    pub fn rule(&self, index: RuleIndex) -> &Rule {
        &self.config.rules[usize::from(index)]
    }
    pub fn find(&self, id: &RuleId) -> Option<&Rule> {
        self.by_id.get(id).map(|i| self.rule(*i))
    }

    /// Rules of this set that judge no more, or otherwise, under `next`.
    pub fn ended(&self, next: &RuleSet) -> Vec<(RuleId, RuleEnd)> {
        let end = |rule: &Rule| match next.find(&rule.id) {
            None => Some(RuleEnd::Removed),
            Some(new) if !new.enabled => Some(RuleEnd::Disabled),
            Some(new) => {
                let same =
                    (&rule.condition, &rule.selector, rule.subject) == (&new.condition, &new.selector, new.subject);
                (!same).then_some(RuleEnd::Changed)
            }
        };
        let judging = self.config.rules.iter().filter(|r| r.enabled);
        judging.filter_map(|r| Some((r.id.clone(), end(r)?))).collect()
    }

    /// Devices of this set that are not in the plant under `next`.
    pub fn devices_gone<'a>(&'a self, next: &'a RuleSet) -> impl Iterator<Item = &'a Arc<str>> {
        self.devices.keys().filter(|id| next.device(id).is_none())
    }
    pub fn device(&self, id: &str) -> Option<&Device> {
        self.devices.get(id).map(|i| &self.config.devices[*i])
    }
    /// The area that a record speaks of: its device's.
    pub fn area(&self, record: &Record<'_>) -> Option<&Arc<str>> {
        self.device(record.device_id?)?.area.as_ref()
    }

    /// Appends the rules that take this record, each once, in no particular order.
    pub fn matching(&self, record: &Record<'_>, out: &mut Vec<RuleMatch>) {
        let start = out.len();
        let mut consider = |rules: &[RuleIndex]| {
            for &rule in rules {
                if self.takes(self.rule(rule), record) {
                    out.push(RuleMatch { rule, arm: 0 });
                }
            }
        };
        for (kind, id) in [
            (SubjectKind::Device, record.device_id),
            (SubjectKind::Application, record.application),
            (SubjectKind::User, record.user_id),
        ] {
            if let Some(rules) = id.and_then(|id| self.by_name[kind as usize].get(id)) {
                consider(rules);
            }
        }
        if !self.by_reading.is_empty() {
            for (name, _) in &record.readings {
                if let Some(rules) = self.by_reading.get(*name) {
                    consider(rules);
                }
            }
        }
        for rules in &self.by_level[..=record.level.map_or(0, |l| l as usize)] {
            consider(rules);
        }
        out[start..].sort_unstable();
        let mut seen = start;
        for i in start..out.len() {
            if i == start || out[i] != out[i - 1] {
                out[seen] = out[i];
                seen += 1;
            }
        }
        out.truncate(seen);
    }

    fn takes(&self, rule: &Rule, r: &Record<'_>) -> bool {
        let s: &Selector = &rule.selector;
        let named = |list: &[Arc<str>], id: Option<&str>| {
            list.is_empty() || id.is_some_and(|id| list.iter().any(|x| &**x == id))
        };
        // A count is of log records, and of readings that come with the type or level it asks for; a limit is of readings.
        let fits = match &rule.condition {
            Condition::Count { .. } => r.is_log() || s.type_prefix.is_some() || s.min_level.is_some(),
            Condition::Limit(l) => r.reading(&l.reading).is_some(),
            Condition::Silence { .. } => false,
        };
        fits && subject_id(r, rule.subject, self.area(r)).is_some()
            && s.min_level.is_none_or(|min| r.level.is_some_and(|l| l >= min))
            && named(&s.devices, r.device_id)
            && named(&s.applications, r.application)
            && named(&s.users, r.user_id)
            && s.without.iter().all(|k| subject_id(r, *k, self.area(r)).is_none())
            && s.type_prefix
                .as_deref()
                .is_none_or(|p| r.kind.is_some_and(|k| has_prefix(k, p)))
            && (s.areas.is_empty() || named(&s.areas, self.area(r).map(|a| &**a)))
            && (s.device_classes.is_empty()
                || named(
                    &s.device_classes,
                    r.device_id.and_then(|d| self.device(d)?.class.as_deref()),
                ))
            && s.fields.iter().all(|(name, want)| field_equals(r.fields, name, want))
    }
}

/// What a record names of this kind.
pub fn subject_id<'a>(r: &Record<'a>, kind: SubjectKind, area: Option<&'a Arc<str>>) -> Option<&'a str> {
    match kind {
        SubjectKind::Device => r.device_id,
        SubjectKind::Application => r.application,
        SubjectKind::User => r.user_id,
        SubjectKind::Area => area.map(|a| &**a),
    }
}

/// Whole dotted parts: `SF` is a prefix of `SF` and `SF.estop`, not of `SFX`.
pub fn has_prefix(kind: &str, prefix: &str) -> bool {
    kind.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Does the top-level member `name` of this JSON object equal `want`: a string by its text (escapes are not resolved), anything
/// else by its JSON text? The gateway has validated the object; on anything else the answer is no.
fn field_equals(object: &str, name: &str, want: &str) -> bool {
    let b = object.as_bytes();
    let mut at = 0;
    let mut depth = 0u32;
    let mut key: Option<&str> = None;
    while at < b.len() {
        match b[at] {
            b'{' | b'[' => {
                if depth == 1 && key == Some(name) {
                    return false;
                }
                depth += 1;
                at += 1;
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                at += 1;
            }
            b'"' => {
                let start = at + 1;
                at = start;
                while at < b.len() && b[at] != b'"' {
                    at += if b[at] == b'\\' { 2 } else { 1 };
                }
                let Some(text) = object.get(start..at) else {
                    return false;
                };
                at += 1;
                if depth == 1 {
                    match key {
                        None => key = Some(text),
                        Some(k) if k == name => return text == want,
                        Some(_) => {}
                    }
                }
            }
            b',' => {
                if depth == 1 {
                    key = None;
                }
                at += 1;
            }
            b':' | b' ' | b'\t' | b'\n' | b'\r' => at += 1,
            _ => {
                let start = at;
                while at < b.len() && !matches!(b[at], b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r') {
                    at += 1;
                }
                if depth == 1 && key == Some(name) {
                    return object.get(start..at) == Some(want);
                }
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::RouteId;
    use crate::level::Level;
    use crate::rule::{Direction, Limit, Priority, default_rules};
    use crate::time::Span;

    fn ids(set: &RuleSet, r: &Record<'_>) -> Vec<String> {
        let mut out = Vec::new();
        set.matching(r, &mut out);
        let mut ids: Vec<_> = out.iter().map(|m| set.rule(m.rule).id.to_string()).collect();
        ids.sort();
        ids
    }

    fn defaults(extra: Vec<Rule>) -> RuleSet {
        let route = RouteId::new("default");
        let mut rules = default_rules(&route);
        rules.extend(extra);
        let devices = vec![Device {
            id: "CNV-03".into(),
            area: Some("packing".into()),
            class: Some("CNV".into()),
            ..Device::default()
        }];
        RuleSet::compile(Arc::new(Configuration {
            rules,
            devices,
            ..Configuration::default()
        }))
    }

    #[test]
    fn default_rules_take_what_the_design_says() {
        let set = defaults(vec![]);
        let base = Record {
            message: Some("m"),
            ..Record::default()
        };
        let check = |r: Record<'_>, want: &[&str]| assert_eq!(ids(&set, &r), want, "{r:?}");
        check(
            Record {
                level: Some(Level::Info),
                application: Some("a"),
                ..base.clone()
            },
            &[],
        );
        check(
            Record {
                level: Some(Level::Error),
                application: Some("a"),
                ..base.clone()
            },
            &["errors-per-application"],
        );
        check(
            Record {
                level: Some(Level::Error),
                application: Some("a"),
                device_id: Some("d"),
                user_id: Some("u"),
                ..base.clone()
            },
            &["errors-per-application", "errors-per-user"],
        );
        check(
            Record {
                level: Some(Level::Error),
                device_id: Some("d"),
                ..base.clone()
            },
            &["errors-per-device"],
        );
        check(
            Record {
                level: Some(Level::Fatal),
                device_id: Some("d"),
                ..base.clone()
            },
            &["errors-per-device", "fatal-per-device"],
        );
        check(
            Record {
                level: Some(Level::Info),
                kind: Some("SF.estop"),
                device_id: Some("d"),
                ..base.clone()
            },
            &["safety-per-device"],
        );
        check(
            Record {
                level: Some(Level::Info),
                kind: Some("SFX"),
                device_id: Some("d"),
                ..base
            },
            &[],
        );
    }

    #[test]
    fn selectors_by_name_class_area_reading_and_field() {
        let limit = Condition::Limit(Limit {
            reading: "temperature".into(),
            unit: None,
            direction: Direction::Above,
            bound: 90.0,
            deadband: 1.0,
            on_delay: Span::ZERO,
        });
        let rule = |id: &str, selector, condition| Rule {
            id: crate::ids::RuleId::new(id),
            name: id.into(),
            enabled: true,
            selector,
            subject: SubjectKind::Device,
            condition,
            priority: Priority::P3,
            route: RouteId::new("default"),
            runbook: None,
            off_delay: Span::ZERO,
            reopen_within: Span::ZERO,
            passes_throttle: false,
            safety: false,
        };
        let one = Condition::Count {
            count: 1,
            within: Span::secs(1),
        };
        let set = defaults(vec![
            rule(
                "hot",
                Selector {
                    device_classes: vec!["CNV".into()],
                    ..Selector::default()
                },
                limit,
            ),
            rule(
                "named",
                Selector {
                    devices: vec!["CNV-03".into()],
                    ..Selector::default()
                },
                one.clone(),
            ),
            rule(
                "area",
                Selector {
                    areas: vec!["packing".into()],
                    ..Selector::default()
                },
                one.clone(),
            ),
            rule(
                "field",
                Selector {
                    fields: vec![("zone".into(), "7".into())],
                    ..Selector::default()
                },
                one,
            ),
        ]);
        let reading = Record {
            device_id: Some("CNV-03"),
            readings: vec![("temperature", 1.0)],
            ..Record::default()
        };
        assert_eq!(ids(&set, &reading), ["hot"]);
        assert_eq!(
            ids(
                &set,
                &Record {
                    device_id: Some("X"),
                    ..reading.clone()
                }
            ),
            Vec::<String>::new()
        );
        let log = Record {
            message: Some("m"),
            device_id: Some("CNV-03"),
            level: Some(Level::Info),
            ..Record::default()
        };
        assert_eq!(ids(&set, &log), ["area", "named"]);
        let other = Record {
            device_id: Some("X"),
            fields: r#"{"a":{"zone":7},"zone": 7}"#,
            ..log
        };
        assert_eq!(ids(&set, &other), ["field"]);
    }

    #[test]
    fn a_field_is_compared_at_the_top_level_only() {
        for (object, name, want, equal) in [
            (r#"{"a":"x","b":"y"}"#, "b", "y", true),
            (r#"{"a":"b","b":"y"}"#, "a", "y", false),
            (r#"{"n":{"b":"y"}}"#, "b", "y", false),
            (r#"{"l":["b","y"],"b":true}"#, "b", "true", true),
            (r#"{"q":"say \"b\"","b":1.5}"#, "b", "1.5", true),
            (r#"{"b":{"b":1}}"#, "b", "1", false),
            ("", "b", "1", false),
            (r#"{"b":"unfinished"#, "c", "1", false),
        ] {
            assert_eq!(field_equals(object, name, want), equal, "{object} {name}={want}");
        }
    }
}
