//! A configuration compiled for judging: which rules look at a record, and for which subjects.
//!
//! A site may have 10,000 rules and a million records a second, so a record must not meet every rule: see [`filing`].

mod fields;
mod filing;

use crate::ids::RuleId;
use crate::parts::{JudgingParts, Parts};
use crate::plant::Plant;
use crate::record::Record;
use crate::rule::{Condition, Configuration, Device, Rule, Selector};
use crate::silence::SilenceRules;
use crate::subject::SubjectKind;
use fields::field_equals;
use filing::Filing;
use std::collections::{HashMap, HashSet};
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

/// Names beyond which a selector's list is looked up and not walked.
const WALKED_MAX: usize = 8;

/// What a change of the configuration leaves as it was is shared with the set before.
#[derive(Debug, Default)]
pub struct RuleSet {
    rules: Parts<Rule>,
    filed: Arc<Filed>,
    plant: Arc<Plant>,
}

/// What is made of the rules alone: of which there are, and what each looks for.
#[derive(Debug, Default)]
struct Filed {
    by_id: HashMap<RuleId, RuleIndex>,
    filing: Filing,
    /// The long lists of selectors.
    long_lists: HashMap<(RuleIndex, List), HashSet<Arc<str>>>,
    silence: SilenceRules,
}

/// A list of names in a selector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum List {
    Devices,
    Classes,
    Areas,
    Applications,
    Users,
}

/// A record, with what the configuration says of its device.
pub(crate) struct Facts<'r, 'c> {
    record: &'r Record<'r>,
    device: Option<&'c Device>,
    area: Option<&'c Arc<str>>,
}

impl Facts<'_, '_> {
    fn subject_id(&self, kind: SubjectKind) -> Option<&str> {
        match kind {
            SubjectKind::Area => self.area.map(|a| &**a),
            _ => subject_id(self.record, kind, None),
        }
    }
}

fn lists(s: &Selector) -> [(List, &[Arc<str>]); 5] {
    [
        (List::Devices, &s.devices),
        (List::Classes, &s.device_classes),
        (List::Areas, &s.areas),
        (List::Applications, &s.applications),
        (List::Users, &s.users),
    ]
}

impl Filed {
    fn new(all: &[Rule]) -> Self {
        let rules = || {
            let rules = all.iter().enumerate().take(crate::limits::RULES_MAX);
            rules.map(|(i, rule)| (i as RuleIndex, rule)).filter(|(_, r)| r.enabled)
        };
        let mut long_lists = HashMap::new();
        for (i, rule) in rules() {
            for (list, names) in lists(&rule.selector) {
                if names.len() > WALKED_MAX {
                    long_lists.insert((i, list), names.iter().cloned().collect());
                }
            }
        }
        let mut by_id = HashMap::with_capacity(all.len());
        for (i, rule) in (0..=RuleIndex::MAX).zip(all) {
            by_id.entry(rule.id.clone()).or_insert(i);
        }
        // Silence is not found in records but in their absence (module `silence`).
        let is_silence = |rule: &Rule| matches!(rule.condition, Condition::Silence { .. });
        Filed {
            filing: Filing::new(rules().filter(|(_, r)| !is_silence(r))),
            silence: SilenceRules::new(rules().filter(|(_, r)| is_silence(r))),
            long_lists,
            by_id,
        }
    }
}

/// Whether the same is made of both lists: they differ at most in names, routes, delays and the like.
fn files_alike(a: &[Rule], b: &[Rule]) -> bool {
    let alike = |a: &Rule, b: &Rule| {
        (&a.id, a.enabled, a.subject) == (&b.id, b.enabled, b.subject)
            && a.selector == b.selector
            && a.condition == b.condition
    };
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b))
}

impl RuleSet {
    pub fn compile(configuration: Arc<Configuration>) -> RuleSet {
        Self::default().followed_by(configuration.judging())
    }

    /// The set after a change of the configuration.
    pub fn followed_by(&self, parts: JudgingParts) -> RuleSet {
        let JudgingParts { rules, devices } = parts;
        let plant = match devices.is_shared_with(self.plant.devices()) {
            true => self.plant.clone(),
            false => Arc::new(Plant::new(devices)),
        };
        let filed = match rules.is_shared_with(&self.rules) || files_alike(&rules, &self.rules) {
            true => self.filed.clone(),
            false => Arc::new(Filed::new(&rules)),
        };
        RuleSet { rules, filed, plant }
    }

    pub fn rules(&self) -> &Parts<Rule> {
        &self.rules
    }
    pub fn plant(&self) -> &Plant {
        &self.plant
    }
    pub fn rule(&self, index: RuleIndex) -> &Rule {
        &self.rules[usize::from(index)]
    }
    pub fn find(&self, id: &RuleId) -> Option<&Rule> {
        self.filed.by_id.get(id).map(|i| self.rule(*i))
    }
    pub(crate) fn silence(&self) -> &SilenceRules {
        &self.filed.silence
    }
    /// Whether the two file their rules in one way: a rule that ends, begins or looks for something else makes another one.
    pub(crate) fn files_as(&self, other: &RuleSet) -> bool {
        Arc::ptr_eq(&self.filed, &other.filed)
    }

    /// Of these rules, those that judge no more, or otherwise, under `next`; sorted by id.
    pub fn ended<'a>(&self, next: &RuleSet, of: impl IntoIterator<Item = &'a Arc<str>>) -> Vec<(RuleId, RuleEnd)> {
        let end = |rule: &Rule| match next.find(&rule.id) {
            None => Some(RuleEnd::Removed),
            Some(new) if !new.enabled => Some(RuleEnd::Disabled),
            Some(new) => {
                let same =
                    (&rule.condition, &rule.selector, rule.subject) == (&new.condition, &new.selector, new.subject);
                (!same).then_some(RuleEnd::Changed)
            }
        };
        let rules = of.into_iter().filter_map(|id| self.find(&RuleId(id.clone())));
        let judging = rules.filter(|r| r.enabled);
        let mut ended: Vec<_> = judging.filter_map(|r| Some((r.id.clone(), end(r)?))).collect();
        ended.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        ended
    }

    pub fn device(&self, id: &str) -> Option<&Device> {
        self.plant.device(id)
    }
    /// The area that a record speaks of: its device's.
    pub fn area(&self, record: &Record<'_>) -> Option<&Arc<str>> {
        self.device(record.device_id?)?.area.as_ref()
    }

    fn facts<'r>(&self, record: &'r Record<'r>) -> Facts<'r, '_> {
        let device = record.device_id.and_then(|id| self.device(id));
        Facts {
            record,
            device,
            area: device.and_then(|d| d.area.as_ref()),
        }
    }

    /// Appends the rules that take this record, each once, in no particular order.
    pub fn matching(&self, record: &Record<'_>, out: &mut Vec<RuleMatch>) {
        let start = out.len();
        let facts = self.facts(record);
        self.filed.filing.candidates(&facts, |rules| {
            for &rule in rules {
                if self.takes(rule, &facts) {
                    out.push(RuleMatch { rule, arm: 0 });
                }
            }
        });
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

    /// Whether the rule's list asks for nobody, or for this name.
    pub(crate) fn lists(&self, rule: RuleIndex, list: List, names: &[Arc<str>], id: Option<&str>) -> bool {
        if names.len() <= WALKED_MAX {
            return names.is_empty() || id.is_some_and(|id| names.iter().any(|n| &**n == id));
        }
        let names = self.filed.long_lists.get(&(rule, list));
        id.is_some_and(|id| names.is_some_and(|names| names.contains(id)))
    }

    fn takes(&self, index: RuleIndex, facts: &Facts<'_, '_>) -> bool {
        let (rule, r) = (self.rule(index), facts.record);
        let s: &Selector = &rule.selector;
        // A count is of log records, and of readings that come with the type or level it asks for; a limit is of readings.
        let fits = match &rule.condition {
            Condition::Count { .. } => r.is_log() || s.type_prefix.is_some() || s.min_level.is_some(),
            Condition::Limit(l) => r.reading(&l.reading).is_some(),
            Condition::Silence { .. } => false,
        };
        let class = || facts.device.and_then(|d| d.class.as_deref());
        fits && facts.subject_id(rule.subject).is_some()
            && s.min_level.is_none_or(|min| r.level.is_some_and(|l| l >= min))
            && self.lists(index, List::Devices, &s.devices, r.device_id)
            && self.lists(index, List::Applications, &s.applications, r.application)
            && self.lists(index, List::Users, &s.users, r.user_id)
            && s.without.iter().all(|k| facts.subject_id(*k).is_none())
            && s.type_prefix
                .as_deref()
                .is_none_or(|p| r.kind.is_some_and(|k| has_prefix(k, p)))
            && self.lists(index, List::Areas, &s.areas, facts.area.map(|a| &**a))
            && self.lists(index, List::Classes, &s.device_classes, class())
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

#[cfg(test)]
mod tests;
