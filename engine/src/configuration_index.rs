//! A version of the configuration in which every part is found by its id in one step.
//!
//! Made once for each version and shared. Of parts with one id the first counts, as in [`Configuration`], which it reads like.

use crate::ids::{RecipientId, RouteId, RuleId};
use crate::rule::{Configuration, Device, Recipient, Route, Rule};
use std::collections::HashMap;
use std::hash::Hash;
use std::ops::Deref;
use std::sync::Arc;

#[derive(Debug, Default)]
pub struct ConfigurationIndex {
    configuration: Arc<Configuration>,
    rules: HashMap<RuleId, usize>,
    routes: HashMap<RouteId, usize>,
    recipients: HashMap<RecipientId, usize>,
    devices: HashMap<Arc<str>, usize>,
}

impl Deref for ConfigurationIndex {
    type Target = Configuration;

    fn deref(&self) -> &Configuration {
        &self.configuration
    }
}

fn by_id<T, K: Clone + Eq + Hash>(parts: &[T], id: impl Fn(&T) -> &K) -> HashMap<K, usize> {
    let mut index = HashMap::with_capacity(parts.len());
    for (i, part) in parts.iter().enumerate() {
        index.entry(id(part).clone()).or_insert(i);
    }
    index
}

impl ConfigurationIndex {
    pub fn new(configuration: Arc<Configuration>) -> Self {
        let c = &*configuration;
        Self {
            rules: by_id(&c.rules, |r| &r.id),
            routes: by_id(&c.routes, |r| &r.id),
            recipients: by_id(&c.recipients, |r| &r.id),
            devices: by_id(&c.devices, |d| &d.id),
            configuration,
        }
    }

    pub fn configuration(&self) -> &Arc<Configuration> {
        &self.configuration
    }
    pub fn rule(&self, id: &RuleId) -> Option<&Rule> {
        self.rules.get(id).map(|i| &self.configuration.rules[*i])
    }
    pub fn route(&self, id: &RouteId) -> Option<&Route> {
        self.routes.get(id).map(|i| &self.configuration.routes[*i])
    }
    pub fn recipient(&self, id: &RecipientId) -> Option<&Recipient> {
        self.recipients.get(id).map(|i| &self.configuration.recipients[*i])
    }
    pub fn device(&self, id: &str) -> Option<&Device> {
        self.devices.get(id).map(|i| &self.configuration.devices[*i])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::default_rules;

    #[test]
    fn every_part_is_found_as_a_walk_would_find_it() {
        let route = RouteId::new("r");
        let mut rules = default_rules(&route);
        let twice = Rule {
            name: "the same id again".into(),
            ..rules[0].clone()
        };
        rules.push(twice);
        let device = |id: &str| Device {
            id: id.into(),
            ..Device::default()
        };
        let configuration = Arc::new(Configuration {
            rules: rules.into(),
            devices: vec![device("a"), device("b")].into(),
            routes: vec![Route {
                id: route.clone(),
                name: "r".into(),
                recipients: Vec::new(),
                channels: Vec::new(),
            }]
            .into(),
            ..Configuration::default()
        });
        let index = ConfigurationIndex::new(configuration.clone());
        for rule in &configuration.rules {
            assert_eq!(index.rule(&rule.id), configuration.rule(&rule.id));
        }
        assert_eq!(index.route(&route), configuration.route(&route));
        assert_eq!(index.recipient(&RecipientId::new("nobody")), None);
        assert_eq!(index.device("a"), configuration.device("a"));
    }
}
