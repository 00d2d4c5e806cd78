//! Silence of devices: who has not been heard for too long, told once, and once for a gateway with all behind it.
//!
//! The table is state of the journal: [`SilenceTable::observe`] is driven by its records and [`SilenceTable::found`] by its control
//! entries. [`SilenceTable::find`] only looks, and only at the journal's head; what it finds becomes true when it is
//! journaled. It runs on the wall clock, by `received_at`.
//!
//! - A device is *overdue* when nothing was heard of it for at least the rule's time (that edge included), or, where the rule
//!   gives none, for 3 times its usual gap: the 99th percentile of the times between its receipts, known after
//!   [`GAPS_MIN`] of them, a lone outlier left out, and at least [`LEARNED_MIN`] in all. Time in which Andon did not accept does not count
//!   ([`Accepting`]).
//! - A silent device is *open* until it is heard; while it is, it is not found again.
//! - **Gateways.** A gateway that is overdue itself is one finding that names what was not heard after it as unknown. One that
//!   still speaks, or never speaks for itself, is found by what lies behind it: when a device there is overdue, the others are
//!   asked whether they were heard since its word was due. Nearly all of those that can tell (9 of 10) were not, and at
//!   least half can tell: then it is the gateway. If it is not clear yet, the device waits, for once its time again at most.
//!   The topmost gateway that explains it is named. While that is open, nothing behind it is found one by one.
//! - It ends when a gateway that had been overdue itself speaks, or else when one of the unknown does. If one of the unknown speaks while
//!   the gateway itself does not, the way is open: the devices behind it are judged by themselves again. In both cases the
//!   others behind it get their full time anew from there.

mod gaps;
mod search;

use self::gaps::Gaps;
use self::search::{Look, Search};
use crate::ids::RuleId;
use crate::limits::FUTURE_MAX;
use crate::pages::Pages;
use crate::rule::{Device, Rule};
use crate::sequencer::accepting::Accepting;
use crate::subject::SubjectKind;
use crate::time::{Span, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

pub use self::gaps::GAPS_MIN;

/// A learned time is never shorter: below it, it would measure the network.
pub const LEARNED_MIN: Span = Span::secs(60);
/// Devices followed: those that register themselves are the sender's choice, so there is an end to them. About 200 bytes each.
pub const DEVICES_MAX: usize = 200_000;
/// Gateways behind gateways. Also what a circle in the configuration costs at most.
const DEPTH_MAX: usize = 8;
/// After a gateway came back, how long that is remembered for those behind it.
const RESUMED_KEPT: Span = Span::hours(7 * 24);

/// All devices heard of, when, and how often usually.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "Checkpoint", into = "Checkpoint")]
pub struct SilenceTable {
    devices: HashMap<u64, Heard>,
    open: HashMap<OpenKey, Open>,
    /// For every device whose word changes an open silence, which ones.
    awaited: HashMap<u64, Vec<OpenKey>>,
    /// Gateways behind which the way was found open again, and when.
    resumed: HashMap<u64, Timestamp>,
    changed: Pages,
    silences_changed: bool,
}

/// What is yet to be saved of them makes no difference.
impl PartialEq for SilenceTable {
    fn eq(&self, other: &Self) -> bool {
        self.devices == other.devices && self.open == other.open && self.resumed == other.resumed
    }
}

/// When a device was heard, and how often usually.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Heard {
    name: Arc<str>,
    last: Timestamp,
    gaps: Gaps,
}

/// Hashes of rule and device.
type OpenKey = (u64, u64);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Open {
    rule: RuleId,
    device: Arc<str>,
    /// Silent itself: only its own voice ends it.
    own: bool,
    /// Those behind it are judged by themselves.
    lifted: bool,
    unknown: Vec<Arc<str>>,
}

impl Open {
    fn ended(self) -> Ended {
        Ended {
            rule: self.rule,
            device: self.device,
        }
    }
    fn awaits(&self) -> impl Iterator<Item = &Arc<str>> {
        self.unknown.iter().chain(self.own.then_some(&self.device))
    }
}

/// All that is silent now, and what came back of late.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Silences {
    open: Vec<Open>,
    resumed: Vec<(u64, Timestamp)>,
}

/// A silence that nobody knows of yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub device: Arc<str>,
    /// When it, or for a gateway that still speaks what lies behind it, was last heard; for a device never heard, since when Andon
    /// listens.
    pub since: Timestamp,
    /// What lies behind it and was not heard since either; sorted.
    pub unknown: Vec<Arc<str>>,
}

/// A silence that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    pub rule: RuleId,
    pub device: Arc<str>,
}

fn hash(device: &str) -> u64 {
    SubjectKind::Device.hash(device)
}

fn open_key(rule: &RuleId, device: &str) -> OpenKey {
    (xxh3_64(rule.as_str().as_bytes()), hash(device))
}

impl SilenceTable {
    pub fn new() -> Self {
        Self::default()
    }

    /// Something was heard of this device. Gives the silences that end with it, sorted; almost always none, and then nothing is
    /// allocated.
    pub fn observe(&mut self, device: &str, received_at: Timestamp) -> Vec<Ended> {
        let key = hash(device);
        self.changed.mark(key);
        let awaited = if self.awaited.is_empty() {
            None
        } else {
            self.awaited.remove(&key)
        };
        self.silences_changed |= awaited.is_some();
        let full = self.devices.len() >= DEVICES_MAX;
        match self.devices.get_mut(&key) {
            // Heard in the future: our own clock was set back since.
            Some(heard) if heard.last > received_at.plus(FUTURE_MAX) => heard.last = received_at,
            Some(heard) if received_at > heard.last => {
                // The gap that a silence made says nothing about what is usual.
                if awaited.is_none() {
                    heard.gaps.add(received_at.since(heard.last));
                }
                heard.last = received_at;
            }
            Some(_) => {}
            None if full => {}
            None => {
                let heard = Heard {
                    name: Arc::from(device),
                    last: received_at,
                    gaps: Gaps::default(),
                };
                self.devices.insert(key, heard);
            }
        }
        awaited.map_or_else(Vec::new, |silences| self.speaks_again(device, silences, received_at))
    }

    fn speaks_again(&mut self, device: &str, silences: Vec<OpenKey>, at: Timestamp) -> Vec<Ended> {
        let mut ended = Vec::new();
        for key in silences {
            let Some(open) = self.open.get_mut(&key) else { continue };
            let itself = *open.device == *device;
            open.unknown.retain(|d| **d != *device);
            if !itself || !open.unknown.is_empty() {
                self.resumed.retain(|_, t| at.since(*t) <= RESUMED_KEPT);
                self.resumed.insert(key.1, at);
                open.lifted = true;
            }
            if itself == open.own
                && let Some(open) = self.close(key)
            {
                ended.push(open.ended());
            }
        }
        ended.sort_unstable_by(|a, b| (&a.rule, &a.device).cmp(&(&b.rule, &b.device)));
        ended
    }

    fn close(&mut self, key: OpenKey) -> Option<Open> {
        let open = self.open.remove(&key)?;
        for name in open.awaits() {
            if let Entry::Occupied(mut silences) = self.awaited.entry(hash(name)) {
                silences.get_mut().retain(|k| *k != key);
                if silences.get().is_empty() {
                    silences.remove();
                }
            }
        }
        Some(open)
    }

    /// A finding was journaled: it is open from here on. Doing it twice changes nothing.
    pub fn found(&mut self, rule: &RuleId, device: &Arc<str>, unknown: &[Arc<str>], since: Timestamp) {
        // What was found for its own silence has not been heard since; what was found by those behind it may have.
        let own = unknown.is_empty() || self.last_heard(device).is_some_and(|last| last == since);
        let mut unknown: Vec<_> = unknown.iter().filter(|d| *d != device).cloned().collect();
        unknown.sort_unstable();
        unknown.dedup();
        self.silences_changed = true;
        self.reopen(Open {
            rule: rule.clone(),
            device: device.clone(),
            own,
            lifted: false,
            unknown,
        });
    }

    fn reopen(&mut self, open: Open) {
        let key = open_key(&open.rule, &open.device);
        if self.open.contains_key(&key) {
            return;
        }
        for name in open.awaits() {
            let silences = self.awaited.entry(hash(name)).or_default();
            silences.push(key);
            silences.sort_unstable();
        }
        self.open.insert(key, open);
    }

    pub fn is_full(&self) -> bool {
        self.devices.len() >= DEVICES_MAX
    }

    /// Forgets an eighth of the devices, so that new ones can be watched: those heard least recently among the ones whose usual gap is
    /// not known, that are not silent and that `keep` does not name. Nothing when there are none: then the table stays full.
    pub fn make_room(&mut self, keep: impl Fn(&str) -> bool) {
        let awaited = &self.awaited;
        let stranger = |key: &u64, h: &Heard| h.gaps.p99().is_none() && !awaited.contains_key(key) && !keep(&h.name);
        let mut heard: Vec<Timestamp> = self
            .devices
            .iter()
            .filter(|(key, h)| stranger(key, h))
            .map(|(_, h)| h.last)
            .collect();
        let Some(nth) = (DEVICES_MAX / 8).min(heard.len()).checked_sub(1) else {
            return;
        };
        let (_, cut, _) = heard.select_nth_unstable(nth);
        let (cut, mut left) = (*cut, nth + 1);
        let changed = &mut self.changed;
        // In the order of the hashes: which of several heard at one time go must not depend on the order of a table in memory.
        let mut gone: Vec<u64> = self
            .devices
            .iter()
            .filter(|(key, h)| h.last <= cut && stranger(key, h))
            .map(|(key, _)| *key)
            .collect();
        gone.sort_unstable_by_key(|key| (self.devices[key].last, *key));
        for key in gone {
            if left == 0 {
                break;
            }
            left -= 1;
            changed.mark(key);
            self.devices.remove(&key);
        }
    }

    /// Forgets a device that was taken out of the plant, and gives the silences that end with it.
    pub fn remove(&mut self, device: &str) -> Vec<Ended> {
        let mut ended = Vec::new();
        let gone = hash(device);
        self.changed.mark(gone);
        self.silences_changed = true;
        self.devices.remove(&gone);
        self.resumed.remove(&gone);
        let own: Vec<_> = self.open.keys().filter(|k| k.1 == gone).copied().collect();
        ended.extend(own.into_iter().filter_map(|key| self.close(key)));
        for key in self.awaited.remove(&gone).unwrap_or_default() {
            let empty = self.open.get_mut(&key).is_some_and(|open| {
                open.unknown.retain(|d| **d != *device);
                !open.own && open.unknown.is_empty()
            });
            // Nobody is left whose word could end it.
            if empty {
                ended.extend(self.close(key));
            }
        }
        let mut ended: Vec<_> = ended.into_iter().map(Open::ended).collect();
        ended.sort_unstable_by(|a, b| (&a.rule, &a.device).cmp(&(&b.rule, &b.device)));
        ended
    }

    /// Keeps what is open for these rules only: the incidents of a rule that is gone are gone too.
    pub fn retain_rules(&mut self, keep: impl Fn(&RuleId) -> bool) {
        let gone: Vec<_> = self
            .open
            .iter()
            .filter(|(_, o)| !keep(&o.rule))
            .map(|(k, _)| *k)
            .collect();
        self.silences_changed |= !gone.is_empty();
        for key in gone {
            self.close(key);
        }
    }

    /// The pages in which a device was heard or went since the last call.
    pub fn take_changed(&mut self) -> Pages {
        self.changed.take()
    }

    /// Whether [`SilenceTable::silences`] may have changed since the last call.
    pub fn take_silences_changed(&mut self) -> bool {
        std::mem::take(&mut self.silences_changed)
    }

    /// The devices of these pages by the hash of their name, in no order.
    pub fn in_pages<'a>(&'a self, pages: &'a Pages) -> impl Iterator<Item = (u64, &'a Heard)> + 'a {
        let here = self.devices.iter().filter(|(hash, _)| pages.has(**hash));
        here.map(|(hash, heard)| (*hash, heard))
    }

    pub fn silences(&self) -> Silences {
        let mut open: Vec<_> = self.open.values().cloned().collect();
        open.sort_unstable_by(|a, b| (&a.rule, &a.device).cmp(&(&b.rule, &b.device)));
        let mut resumed: Vec<_> = self.resumed.iter().map(|(hash, at)| (*hash, *at)).collect();
        resumed.sort_unstable();
        Silences { open, resumed }
    }

    /// Puts back what a checkpoint holds, unchanged.
    pub fn restore_heard(&mut self, heard: impl IntoIterator<Item = Heard>) {
        self.devices.extend(heard.into_iter().map(|h| (hash(&h.name), h)));
    }

    /// Puts back what a checkpoint holds, unchanged.
    pub fn restore_silences(&mut self, silences: Silences) {
        self.resumed.extend(silences.resumed);
        silences.open.into_iter().for_each(|open| self.reopen(open));
    }

    /// Is this device found silent under this rule and not heard since?
    pub fn is_open(&self, rule: &RuleId, device: &str) -> bool {
        !self.open.is_empty() && self.open.contains_key(&open_key(rule, device))
    }
    /// When it was last heard.
    pub fn last_heard(&self, device: &str) -> Option<Timestamp> {
        self.devices.get(&hash(device)).map(|h| h.last)
    }
    /// Its usual gap (p99), once known.
    pub fn usual_gap(&self, device: &str) -> Option<Span> {
        self.devices.get(&hash(device)).and_then(|h| h.gaps.p99())
    }
    pub fn len(&self) -> usize {
        self.devices.len()
    }
    pub fn is_empty(&self) -> bool {
        self.devices.is_empty()
    }

    /// The silences under this rule (its [`crate::rule::Condition::Silence`] is `after`) that are not open yet, sorted by device.
    /// `devices` are those of the configuration: their gateways, and those that were never heard. Of the rule's selector, devices, classes
    /// and areas count.
    pub fn find(
        &self,
        rule: &Rule,
        after: Option<Span>,
        devices: &[Device],
        now: Timestamp,
        accepting: &Accepting,
    ) -> Vec<Finding> {
        let look = Look {
            table: self,
            rule,
            after,
            now,
            accepting,
        };
        // Most of the time nobody is overdue: that must cost no more than a walk over the table.
        let never_heard = |d: &&Device| !self.devices.contains_key(&hash(&d.id));
        let mut overdue: Vec<&Arc<str>> = self
            .devices
            .values()
            .filter(|h| look.is_overdue(h, accepting.quiet(h.last, now)))
            .map(|h| &h.name)
            .chain(
                devices
                    .iter()
                    .filter(never_heard)
                    .filter(|_| look.never_heard_is_overdue())
                    .map(|d| &d.id),
            )
            .filter(|name| !self.is_open(&rule.id, name))
            .collect();
        if overdue.is_empty() {
            return Vec::new();
        }
        overdue.sort_unstable();
        overdue.dedup();
        Search::new(look, devices).run(&overdue)
    }
}

/// The table in a fixed order, so that equal tables make equal checkpoints.
#[derive(Serialize, Deserialize)]
struct Checkpoint {
    devices: Vec<Heard>,
    open: Vec<Open>,
    resumed: Vec<(u64, Timestamp)>,
}

impl From<Checkpoint> for SilenceTable {
    fn from(c: Checkpoint) -> Self {
        let mut table = Self::default();
        table.restore_heard(c.devices);
        table.restore_silences(Silences {
            open: c.open,
            resumed: c.resumed,
        });
        table
    }
}

impl From<SilenceTable> for Checkpoint {
    fn from(t: SilenceTable) -> Self {
        let Silences { open, resumed } = t.silences();
        let mut devices: Vec<_> = t.devices.into_values().collect();
        devices.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Self { devices, open, resumed }
    }
}

#[cfg(test)]
mod tests;
