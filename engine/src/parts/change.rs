//! What makes one version of the configuration of another.

use super::{ConfigurationPart, Part, PartId, Parts, for_each_kind, sorted};
use crate::rule::Configuration;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartChange {
    /// New, or other than it was.
    Put(Part),
    Remove(PartId),
}

/// One step from a version of the configuration to the next.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ConfigurationChange {
    /// The version that is in force after it. One that is not newer than that in force changes nothing.
    pub version: u64,
    /// What it does not name is gone: it is all there is.
    #[serde(default)]
    pub whole: bool,
    pub changes: Vec<PartChange>,
}

/// A configuration after a change.
#[derive(Clone, Debug)]
pub struct Applied {
    pub configuration: Configuration,
    /// The parts that are other than before, new or gone; sorted.
    pub touched: Vec<PartId>,
}

impl ConfigurationChange {
    /// Whatever was in force, this is from then on.
    pub fn whole(configuration: &Configuration) -> Self {
        Self {
            version: configuration.version,
            whole: true,
            changes: Configuration::default().changes_to(configuration),
        }
    }

    /// The same in steps of at most `bytes_max`, as `size` counts them, whose versions count up from this one's. A part that is larger makes a
    /// step of its own. What is whole stays so.
    pub fn split(self, bytes_max: usize, size: impl Fn(&PartChange) -> usize) -> Vec<ConfigurationChange> {
        if self.whole {
            return vec![self];
        }
        let mut steps: Vec<ConfigurationChange> = Vec::new();
        let mut bytes = 0;
        for change in self.changes {
            let of_it = size(&change);
            match steps.last_mut().filter(|_| bytes + of_it <= bytes_max) {
                Some(step) => step.changes.push(change),
                None => {
                    bytes = 0;
                    steps.push(ConfigurationChange {
                        version: self.version + steps.len() as u64,
                        whole: false,
                        changes: vec![change],
                    });
                }
            }
            bytes += of_it;
        }
        steps
    }
}

impl Configuration {
    /// What makes the parts of `next` of these, and nothing else: first what is put, then what goes. Takes time in proportion to the parts of
    /// the kinds of which the two do not share their list.
    pub fn changes_to(&self, next: &Configuration) -> Vec<PartChange> {
        let mut changes = Vec::new();
        let mut gone = Vec::new();
        for_each_kind!(P => {
            let (put, of_kind) = differing(P::of(self), P::of(next));
            changes.extend(put.into_iter().map(|part| PartChange::Put(part.to_part())));
            gone.push(of_kind);
        });
        changes.extend(gone.into_iter().rev().flatten().map(PartChange::Remove));
        changes
    }

    /// This after a change. A part that is put as it is has not changed.
    pub fn apply(&self, change: &ConfigurationChange) -> Applied {
        if change.whole {
            // It is only compared: which version a part is of comes of that.
            let puts = change.changes.iter().filter_map(|change| match change {
                PartChange::Put(part) => Some((part.clone(), 0)),
                PartChange::Remove(_) => None,
            });
            let all = Configuration::in_force(change.version, puts);
            return self.apply(&ConfigurationChange {
                version: change.version,
                whole: false,
                changes: self.changes_to(&all),
            });
        }
        let mut applied = Applied {
            configuration: Configuration {
                version: change.version,
                ..self.clone()
            },
            touched: Vec::new(),
        };
        for_each_kind!(P => {
            let of_kind = of_kind::<P>(&change.changes);
            if !of_kind.is_empty() && let Some((parts, touched)) = changed(P::of(self), &of_kind, change.version) {
                *P::of_mut(&mut applied.configuration) = parts;
                let touched = touched.into_iter().map(|id| PartId { kind: P::KIND, id });
                applied.touched.extend(touched);
            }
        });
        applied
    }
}

/// The parts that are new or other in `new`, and those that are gone; each sorted.
fn differing<'a, P: ConfigurationPart>(old: &Parts<P>, new: &'a Parts<P>) -> (Vec<&'a P>, Vec<PartId>) {
    if old.is_shared_with(new) {
        return (Vec::new(), Vec::new());
    }
    let (was, is) = (by_id(old), by_id(new));
    let mut put: Vec<&P> = is
        .iter()
        .filter(|(id, part)| was.get(*id) != Some(*part))
        .map(|(_, part)| *part)
        .collect();
    put.sort_unstable_by(|a, b| a.id().cmp(b.id()));
    let gone = was.keys().filter(|id| !is.contains_key(*id));
    let mut gone: Vec<PartId> = gone
        .map(|id| PartId {
            kind: P::KIND,
            id: Arc::clone(id),
        })
        .collect();
    gone.sort_unstable();
    (put, gone)
}

fn by_id<P: ConfigurationPart>(parts: &Parts<P>) -> HashMap<&Arc<str>, &P> {
    let mut by_id = HashMap::with_capacity(parts.len());
    for part in parts {
        by_id.entry(part.id()).or_insert(part);
    }
    by_id
}

/// What becomes of the parts of one kind that a change names; the last word counts.
fn of_kind<P: ConfigurationPart>(changes: &[PartChange]) -> BTreeMap<&Arc<str>, Option<&P>> {
    let mut of_kind = BTreeMap::new();
    for change in changes {
        match change {
            PartChange::Put(part) => {
                if let Some(part) = P::from_part(part) {
                    of_kind.insert(part.id(), Some(part));
                }
            }
            PartChange::Remove(gone) if gone.kind == P::KIND => {
                of_kind.insert(&gone.id, None);
            }
            PartChange::Remove(_) => {}
        }
    }
    of_kind
}

/// The parts after the change, and those that it touched; `None` when it touched none.
fn changed<P: ConfigurationPart>(
    parts: &Parts<P>,
    changes: &BTreeMap<&Arc<str>, Option<&P>>,
    version: u64,
) -> Option<(Parts<P>, Vec<Arc<str>>)> {
    let resorted;
    let before: &[P] = if parts.is_sorted() {
        parts
    } else {
        resorted = sorted(parts.to_vec());
        &resorted
    };
    let mut list = Vec::with_capacity(before.len() + changes.len());
    let mut versions = None;
    let mut touched = Vec::new();
    let mut touch = |id: &Arc<str>, new: Option<&P>, list: &mut Vec<P>| {
        let versions = versions.get_or_insert_with(|| HashMap::clone(&parts.versions));
        match new {
            Some(_) => versions.insert(id.clone(), version),
            None => versions.remove(id),
        };
        list.extend(new.cloned());
        touched.push(id.clone());
    };
    let mut changes = changes.iter().map(|(id, part)| (*id, *part)).peekable();
    for part in before {
        while let Some((id, new)) = changes.next_if(|(id, _)| *id < part.id()) {
            if new.is_some() {
                touch(id, new, &mut list);
            }
        }
        match changes.next_if(|(id, _)| *id == part.id()) {
            Some((id, new)) if new != Some(part) => touch(id, new, &mut list),
            _ => list.push(part.clone()),
        }
    }
    for (id, new) in changes.filter(|(_, new)| new.is_some()) {
        touch(id, new, &mut list);
    }
    let versions = versions?;
    let parts = Parts {
        list: Arc::new(list),
        versions: Arc::new(versions),
    };
    Some((parts, touched))
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
