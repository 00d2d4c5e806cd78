//! The fingerprints of one incident, and which of them have changed since they were last given out.

use super::FingerprintCount;
use crate::limits::FINGERPRINTS_MAX;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Fingerprints {
    all: Vec<FingerprintCount>,
    pub(super) truncated: bool,
    /// Places in `all`. Empty whenever a checkpoint is taken: everything is given out before.
    #[serde(skip)]
    changed: BTreeSet<u32>,
}

impl Fingerprints {
    /// True when the fingerprint had not been seen. Past the limit unknown ones are neither kept nor reported as new.
    pub(super) fn count(&mut self, fingerprint: u64, by: u64, template: impl FnOnce() -> Arc<str>) -> bool {
        if fingerprint == 0 {
            return false;
        }
        if let Some(at) = self.all.iter().position(|f| f.fingerprint == fingerprint) {
            self.all[at].count += by;
            self.changed.insert(at as u32);
            return false;
        }
        if self.all.len() >= FINGERPRINTS_MAX {
            self.truncated = true;
            return false;
        }
        self.changed.insert(self.all.len() as u32);
        self.all.push(FingerprintCount {
            fingerprint,
            count: by,
            template: template(),
        });
        true
    }

    pub(super) fn take_changed(&mut self) -> Vec<FingerprintCount> {
        let changed = std::mem::take(&mut self.changed);
        changed.into_iter().map(|at| self.all[at as usize].clone()).collect()
    }

    /// Everything is to be given out again.
    pub(super) fn mark_all(&mut self) {
        self.changed = (0..self.all.len() as u32).collect();
    }
}
