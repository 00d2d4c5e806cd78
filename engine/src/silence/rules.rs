//! The rules that find silence, filed so that a device meets those that may cover it and not all.

use super::LEARNED_MIN;
use crate::ids::RuleId;
use crate::rule::{Condition, Device, Rule, Selector};
use crate::ruleset::{List, RuleIndex, RuleSet};
use crate::time::Span;
use std::collections::HashMap;
use std::sync::Arc;

/// Each is filed under the first of what its selector names: devices, classes, areas. Nothing else of the selector counts.
#[derive(Debug, Default)]
pub struct SilenceRules {
    by_device: HashMap<Arc<str>, Vec<RuleIndex>>,
    by_class: HashMap<Arc<str>, Vec<RuleIndex>>,
    by_area: HashMap<Arc<str>, Vec<RuleIndex>>,
    rest: Vec<RuleIndex>,
    shortest: Option<Span>,
}

/// What the silence rules of a set are judged by.
pub(super) fn of(set: &RuleSet) -> impl Iterator<Item = (&RuleId, &Selector, &Condition)> {
    let rules = set.rules().iter();
    let silence = rules.filter(|r| r.enabled && matches!(r.condition, Condition::Silence { .. }));
    silence.map(|r| (&r.id, &r.selector, &r.condition))
}

/// The time that a silence rule gives.
pub(super) fn after(rule: &Rule) -> Option<Span> {
    match rule.condition {
        Condition::Silence { after } => after.map(|a| a.max(Span(1))),
        _ => None,
    }
}

impl SilenceRules {
    pub(crate) fn new<'r>(rules: impl Iterator<Item = (RuleIndex, &'r Rule)>) -> Self {
        let mut filed = Self::default();
        for (index, rule) in rules {
            let s = &rule.selector;
            let lists = [
                (&mut filed.by_device, &s.devices),
                (&mut filed.by_class, &s.device_classes),
                (&mut filed.by_area, &s.areas),
            ];
            match lists.into_iter().find(|(_, names)| !names.is_empty()) {
                Some((by_name, names)) => {
                    for name in names {
                        let rules = by_name.entry(name.clone()).or_default();
                        if rules.last() != Some(&index) {
                            rules.push(index);
                        }
                    }
                }
                None => filed.rest.push(index),
            }
            let time = after(rule).unwrap_or(LEARNED_MIN);
            filed.shortest = Some(filed.shortest.map_or(time, |s| s.min(time)));
        }
        filed
    }

    /// How soon any of them may find a device silent; `None` when there are none.
    pub(super) fn shortest(&self) -> Option<Span> {
        self.shortest
    }

    /// The rules that cover this device.
    pub(super) fn covering<'s>(&'s self, set: &'s RuleSet, id: &'s str) -> impl Iterator<Item = RuleIndex> + 's {
        let device = set.device(id);
        let class = device.and_then(|d| d.class.as_ref());
        let area = device.and_then(|d| d.area.as_ref());
        let filed = [
            self.by_device.get(id),
            class.and_then(|c| self.by_class.get(c)),
            area.and_then(|a| self.by_area.get(a)),
            Some(&self.rest),
        ];
        let rules = filed.into_iter().flatten().flatten().copied();
        rules.filter(move |rule| covers(set, *rule, id, device))
    }
}

pub(super) fn covers(set: &RuleSet, rule: RuleIndex, id: &str, device: Option<&Device>) -> bool {
    let s = &set.rule(rule).selector;
    let class = device.and_then(|d| d.class.as_deref());
    let area = device.and_then(|d| d.area.as_deref());
    set.lists(rule, List::Devices, &s.devices, Some(id))
        && set.lists(rule, List::Classes, &s.device_classes, class)
        && set.lists(rule, List::Areas, &s.areas, area)
}
