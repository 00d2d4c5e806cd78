//! Where each rule is filed, so that a record meets few rules that do not take it.
//!
//! A rule is filed under one criterion that a record must meet: of those that it has, the one whose values the fewest rules ask for. So of
//! 10,000 rules of one area that differ by their type a record meets those of its type, and of as many of one type that differ by
//! their area those of its area. A rule without any is filed under its level and the kind of its subject.

use super::{Facts, RuleIndex, fields};
use crate::level::Level;
use crate::rule::{Condition, Rule};
use crate::subject::SubjectKind;
use std::collections::HashMap;
use std::sync::Arc;

/// What a rule may be filed under. Of equally selective ones the first counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Criterion {
    Device,
    User,
    Application,
    Reading,
    Type,
    Class,
    Area,
}

const CRITERIA: usize = 7;
const LEVELS: usize = Level::Fatal as usize + 1;

/// A criterion of a rule, and the values of which a record must have one.
enum Key<'r> {
    Values(Criterion, &'r [Arc<str>]),
    Field(&'r Arc<str>, &'r Arc<str>),
}

fn keys(rule: &Rule) -> Vec<Key<'_>> {
    let s = &rule.selector;
    let reading = match &rule.condition {
        Condition::Limit(limit) => std::slice::from_ref(&limit.reading),
        _ => &[],
    };
    let lists = [
        (Criterion::Device, s.devices.as_slice()),
        (Criterion::User, s.users.as_slice()),
        (Criterion::Application, s.applications.as_slice()),
        (Criterion::Reading, reading),
        (Criterion::Type, s.type_prefix.as_slice()),
        (Criterion::Class, s.device_classes.as_slice()),
        (Criterion::Area, s.areas.as_slice()),
    ];
    let values = lists.into_iter().filter(|(_, values)| !values.is_empty());
    let values = values.map(|(criterion, values)| Key::Values(criterion, values));
    values
        .chain(s.fields.iter().map(|(name, value)| Key::Field(name, value)))
        .collect()
}

/// Something for each value that a rule may ask for.
#[derive(Debug, Default)]
struct ByValue<T> {
    values: [HashMap<Arc<str>, T>; CRITERIA],
    fields: HashMap<Arc<str>, HashMap<Arc<str>, T>>,
}

impl<T: Default> ByValue<T> {
    fn each(&mut self, key: &Key<'_>, mut change: impl FnMut(&mut T)) {
        match key {
            Key::Values(criterion, values) => {
                for value in *values {
                    change(self.values[*criterion as usize].entry(value.clone()).or_default());
                }
            }
            Key::Field(name, value) => {
                let values = self.fields.entry((*name).clone()).or_default();
                change(values.entry((*value).clone()).or_default());
            }
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Filing {
    by: ByValue<Vec<RuleIndex>>,
    /// Length of the longest type that a rule is filed under: no longer prefix of a record's type is looked up.
    type_len_max: usize,
    /// The other rules, by kind of subject and by the level that they need at least (0: none).
    by_level: [[Vec<RuleIndex>; LEVELS]; SubjectKind::ALL.len()],
}

impl Filing {
    pub(super) fn new<'r>(rules: impl Iterator<Item = (RuleIndex, &'r Rule)> + Clone) -> Self {
        let mut asked: ByValue<u32> = ByValue::default();
        for (_, rule) in rules.clone() {
            keys(rule).iter().for_each(|key| asked.each(key, |n| *n += 1));
        }
        let mut filing = Filing::default();
        for (index, rule) in rules {
            let most_asked = |key: &Key<'_>| {
                let mut most = 0;
                asked.each(key, |n| most = most.max(*n));
                most
            };
            match keys(rule).into_iter().min_by_key(most_asked) {
                Some(key) => filing.by.each(&key, |rules| rules.push(index)),
                None => {
                    let level = rule.selector.min_level.map_or(0, |l| l as usize);
                    filing.by_level[rule.subject as usize][level].push(index);
                }
            }
        }
        let types = &filing.by.values[Criterion::Type as usize];
        filing.type_len_max = types.keys().map(|t| t.len()).max().unwrap_or(0);
        filing
    }

    /// Every rule that may take the record, some more than once.
    pub(super) fn candidates(&self, facts: &Facts<'_, '_>, mut each: impl FnMut(&[RuleIndex])) {
        let r = facts.record;
        let mut under = |criterion: Criterion, value: Option<&str>| {
            let by_value = &self.by.values[criterion as usize];
            if let Some(rules) = value.filter(|_| !by_value.is_empty()).and_then(|v| by_value.get(v)) {
                each(rules);
            }
        };
        under(Criterion::Device, r.device_id);
        under(Criterion::User, r.user_id);
        under(Criterion::Application, r.application);
        under(Criterion::Class, facts.device.and_then(|d| d.class.as_deref()));
        under(Criterion::Area, facts.area.map(|a| &**a));
        for (name, _) in &r.readings {
            under(Criterion::Reading, Some(name));
        }
        if let Some(kind) = r.kind.filter(|_| !self.by.values[Criterion::Type as usize].is_empty()) {
            let parts = kind.match_indices('.').map(|(dot, _)| dot);
            for end in parts.chain([kind.len()]).take_while(|end| *end <= self.type_len_max) {
                under(Criterion::Type, kind.get(..end));
            }
        }
        if !self.by.fields.is_empty() {
            fields::members(r.fields, |name, value| {
                let rules = self.by.fields.get(name).and_then(|values| values.get(value?));
                if let Some(rules) = rules {
                    each(rules);
                }
            });
        }
        for kind in SubjectKind::ALL {
            if facts.subject_id(kind).is_some() {
                for rules in &self.by_level[kind as usize][..=r.level.map_or(0, |l| l as usize)] {
                    each(rules);
                }
            }
        }
    }
}
