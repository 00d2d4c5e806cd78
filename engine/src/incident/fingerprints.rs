//! The fingerprints of one incident, and which of them have changed since they were last given out.
//!
//! An entity is copied before each entry, so that a panic in judging can be undone: what does not change with every record, the
//! templates, is shared between the copies.

use super::FingerprintCount;
use crate::limits::FINGERPRINTS_MAX;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Saved", into = "Saved")]
pub(super) struct Fingerprints {
    /// In the order in which they came, as `counts` and `templates` are.
    hashes: Vec<u64>,
    counts: Vec<u64>,
    templates: Arc<Vec<Arc<str>>>,
    pub(super) truncated: bool,
    /// Places of those that changed. Empty whenever a checkpoint is taken: everything is given out before.
    changed: BTreeSet<u32>,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    all: Vec<FingerprintCount>,
    truncated: bool,
}

impl From<Saved> for Fingerprints {
    fn from(saved: Saved) -> Self {
        Self {
            hashes: saved.all.iter().map(|f| f.fingerprint).collect(),
            counts: saved.all.iter().map(|f| f.count).collect(),
            templates: Arc::new(saved.all.into_iter().map(|f| f.template).collect()),
            truncated: saved.truncated,
            changed: BTreeSet::new(),
        }
    }
}

impl From<Fingerprints> for Saved {
    fn from(f: Fingerprints) -> Self {
        Self {
            all: (0..f.hashes.len()).map(|at| f.at(at)).collect(),
            truncated: f.truncated,
        }
    }
}

impl Fingerprints {
    /// True when the fingerprint had not been seen. Past the limit unknown ones are neither kept nor reported as new.
    pub(super) fn count(&mut self, fingerprint: u64, by: u64, template: impl FnOnce() -> Arc<str>) -> bool {
        if fingerprint == 0 {
            return false;
        }
        if let Some(at) = self.hashes.iter().position(|f| *f == fingerprint) {
            self.counts[at] += by;
            self.changed.insert(at as u32);
            return false;
        }
        if self.hashes.len() >= FINGERPRINTS_MAX {
            self.truncated = true;
            return false;
        }
        self.changed.insert(self.hashes.len() as u32);
        self.hashes.push(fingerprint);
        self.counts.push(by);
        Arc::make_mut(&mut self.templates).push(template());
        true
    }

    fn at(&self, at: usize) -> FingerprintCount {
        FingerprintCount {
            fingerprint: self.hashes[at],
            count: self.counts[at],
            template: self.templates[at].clone(),
        }
    }

    pub(super) fn take_changed(&mut self) -> Vec<FingerprintCount> {
        let changed = std::mem::take(&mut self.changed);
        changed.into_iter().map(|at| self.at(at as usize)).collect()
    }

    /// Everything is to be given out again.
    pub(super) fn mark_all(&mut self) {
        self.changed = (0..self.hashes.len() as u32).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_shares_the_templates_and_a_checkpoint_gives_all_back() {
        let mut one = Fingerprints::default();
        for n in 1..=FINGERPRINTS_MAX as u64 + 1 {
            one.count(n, n, || format!("template {n}").into());
        }
        assert!(one.truncated);
        let copy = one.clone();
        assert!(!one.count(7, 1, || unreachable!("it is known")));
        assert!(Arc::ptr_eq(&one.templates, &copy.templates));
        assert_eq!((one.at(6).count, copy.at(6).count), (8, 7));
        assert_eq!(one.take_changed().len(), FINGERPRINTS_MAX);
        let text = serde_json::to_string(&one).expect("plain data");
        let back: Fingerprints = serde_json::from_str(&text).expect("plain data");
        assert_eq!(back, one);
    }
}
