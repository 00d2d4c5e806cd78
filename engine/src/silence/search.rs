//! Who is silent by now: the device, or a gateway that explains it.

use super::{DEPTH_MAX, Finding, Heard, LEARNED_MIN, SilenceTable, hash, open_key};
use crate::rule::{Device, Rule};
use crate::sequencer::accepting::Accepting;
use crate::time::{Span, Timestamp};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

#[derive(Clone, Copy)]
pub(super) struct Look<'a> {
    pub(super) table: &'a SilenceTable,
    pub(super) rule: &'a Rule,
    pub(super) after: Option<Span>,
    pub(super) now: Timestamp,
    pub(super) accepting: &'a Accepting,
}

impl Look<'_> {
    fn threshold(&self, heard: &Heard) -> Option<Span> {
        match self.after {
            Some(after) => Some(after.max(Span(1))),
            None => heard.gaps.p99().map(|p| Span(p.0.saturating_mul(3)).max(LEARNED_MIN)),
        }
    }
    /// How long it may usually be quiet, as well as it is known: a device that is quieter says something about its gateway.
    fn usual(&self, heard: &Heard) -> Option<Span> {
        heard.gaps.p99().or_else(|| heard.gaps.longest()).or(self.after)
    }
    pub(super) fn is_overdue(&self, heard: &Heard, quiet: Span) -> bool {
        self.threshold(heard).is_some_and(|t| quiet >= t)
    }
    pub(super) fn never_heard_is_overdue(&self) -> bool {
        self.after
            .is_some_and(|after| self.accepting.quiet(Timestamp::MIN, self.now) >= after.max(Span(1)))
    }
}

/// One search, with the plant's tree at hand.
pub(super) struct Search<'a> {
    look: Look<'a>,
    by_name: HashMap<&'a str, &'a Device>,
    behind: HashMap<&'a str, Vec<&'a Arc<str>>>,
    findings: Vec<Finding>,
    /// Gateways found in this search: what lies behind them is told with them.
    told: HashSet<Arc<str>>,
}

impl<'a> Search<'a> {
    pub(super) fn new(look: Look<'a>, devices: &'a [Device]) -> Self {
        let mut by_name = HashMap::new();
        let mut behind: HashMap<&str, Vec<&Arc<str>>> = HashMap::new();
        for d in devices {
            by_name.insert(&*d.id, d);
            if let Some(gateway) = &d.gateway {
                behind.entry(&**gateway).or_default().push(&d.id);
            }
        }
        Self {
            look,
            by_name,
            behind,
            findings: Vec::new(),
            told: HashSet::new(),
        }
    }

    pub(super) fn run(mut self, overdue: &[&'a Arc<str>]) -> Vec<Finding> {
        let overdue: Vec<_> = overdue
            .iter()
            .copied()
            .filter(|d| self.is_covered(d) && self.is_overdue(d) && !self.is_told(d))
            .collect();
        // Gateways that are silent themselves first, the topmost before those behind it.
        let mut gateways: Vec<_> = overdue.iter().copied().filter(|d| self.is_silent_gateway(d)).collect();
        gateways.sort_by_key(|d| self.above(d).len());
        for gateway in gateways {
            if !self.is_told(gateway) {
                self.tell_silent_gateway(gateway);
            }
        }
        for device in overdue {
            if self.told.contains(device) || self.is_told(device) || self.is_mute_gateway(device) {
                continue;
            }
            if self.gateway_explains(device) {
                continue;
            }
            let since = self.heard(device).map_or(self.look.accepting.start(), |h| h.last);
            self.findings.push(Finding {
                device: device.clone(),
                since,
                unknown: Vec::new(),
            });
        }
        self.findings.sort_unstable_by(|a, b| a.device.cmp(&b.device));
        self.findings
    }

    fn heard(&self, device: &str) -> Option<&'a Heard> {
        self.look.table.devices.get(&hash(device))
    }

    fn is_covered(&self, device: &str) -> bool {
        let s = &self.look.rule.selector;
        let d = self.by_name.get(device);
        let names =
            |list: &[Arc<str>], value: Option<&Arc<str>>| list.is_empty() || value.is_some_and(|v| list.contains(v));
        (s.devices.is_empty() || s.devices.iter().any(|n| **n == *device))
            && names(&s.device_classes, d.and_then(|d| d.class.as_ref()))
            && names(&s.areas, d.and_then(|d| d.area.as_ref()))
    }

    /// The gateways above a device, nearest first.
    fn above(&self, device: &str) -> Vec<&'a Arc<str>> {
        let mut out: Vec<&'a Arc<str>> = Vec::new();
        let mut at = device;
        while let Some(gateway) = self.by_name.get(at).and_then(|d| d.gateway.as_ref()) {
            if out.len() >= DEPTH_MAX || **gateway == *device || out.contains(&gateway) {
                break;
            }
            out.push(gateway);
            at = gateway;
        }
        out
    }

    /// All behind a gateway, through gateways of its own too.
    fn all_behind(&self, gateway: &str) -> Vec<&'a Arc<str>> {
        let mut seen: HashSet<&str> = HashSet::new();
        let mut out = Vec::new();
        let mut level: Vec<&str> = vec![gateway];
        for _ in 0..DEPTH_MAX {
            let mut next = Vec::new();
            for &child in level.iter().filter_map(|g| self.behind.get(g)).flatten() {
                if **child != *gateway && seen.insert(child) {
                    out.push(child);
                    next.push(&**child);
                }
            }
            level = next;
        }
        out
    }

    /// How long a device has been quiet in time that counts.
    fn quiet(&self, device: &str) -> Span {
        let last = self.heard(device).map_or(Timestamp::MIN, |h| h.last);
        let resumed = self
            .above(device)
            .iter()
            .filter_map(|g| self.look.table.resumed.get(&hash(g)))
            .max()
            .copied();
        let from = last.max(resumed.unwrap_or(Timestamp::MIN));
        self.look.accepting.quiet(from, self.look.now)
    }

    fn is_overdue(&self, device: &str) -> bool {
        match self.heard(device) {
            Some(heard) => self.look.is_overdue(heard, self.quiet(device)),
            None => self
                .look
                .after
                .is_some_and(|after| self.quiet(device) >= after.max(Span(1))),
        }
    }

    /// A gateway above it is told, now or before, and the way is not known to be open.
    fn is_told(&self, device: &str) -> bool {
        self.above(device).iter().any(|g| {
            let open = || self.look.table.open.get(&open_key(&self.look.rule.id, g));
            self.told.contains(*g) || open().is_some_and(|o| !o.lifted)
        })
    }

    fn is_silent_gateway(&self, device: &str) -> bool {
        self.behind.contains_key(device) && self.heard(device).is_some()
    }

    /// A gateway that never spoke for itself is judged by those behind it alone.
    fn is_mute_gateway(&self, device: &str) -> bool {
        self.behind.contains_key(device) && self.heard(device).is_none()
    }

    fn tell_silent_gateway(&mut self, gateway: &Arc<str>) {
        let Some(heard) = self.heard(gateway) else { return };
        // Who was heard well after the gateway's next word was due has another way to us.
        let due = heard.last.plus(self.look.usual(heard).unwrap_or(Span::ZERO));
        let unknown = self.all_behind(gateway).into_iter().filter(|d| {
            self.heard(d)
                .is_some_and(|h| h.last <= due || self.look.is_overdue(h, self.quiet(d)))
        });
        let unknown = sorted(unknown);
        self.tell(gateway, heard.last, unknown);
    }

    fn tell(&mut self, gateway: &Arc<str>, since: Timestamp, unknown: Vec<Arc<str>>) {
        self.told.insert(gateway.clone());
        self.findings.push(Finding {
            device: gateway.clone(),
            since,
            unknown,
        });
    }

    /// Is it the gateway, and not this device, or may it yet turn out to be? The topmost that explains it is told.
    fn gateway_explains(&mut self, device: &str) -> bool {
        let Some(heard) = self.heard(device) else { return false };
        let Some(due) = self.look.usual(heard).map(|usual| heard.last.plus(usual)) else {
            return false;
        };
        let mut unclear = false;
        for gateway in self.above(device).into_iter().rev() {
            if self.look.table.is_open(&self.look.rule.id, gateway) {
                continue;
            }
            let behind = self.all_behind(gateway);
            let (mut spoke, mut missing, mut cannot_tell) = (0, 0, 0);
            for other in behind
                .iter()
                .filter(|d| ****d != *device && self.is_covered(d))
                .filter_map(|d| self.heard(d))
            {
                // A gateway between may speak for itself while all behind it is dead: it is no witness for those, nor against.
                if self.behind.contains_key(&*other.name) {
                    continue;
                }
                let Some(usual) = self.look.usual(other) else { continue };
                if other.last > due {
                    spoke += 1;
                } else if self.look.now.since(due) > usual {
                    missing += 1;
                } else {
                    cannot_tell += 1;
                }
            }
            let explains = missing >= 1 && missing * 10 >= (missing + spoke) * 9;
            if explains && missing + spoke >= cannot_tell {
                let silent: Vec<_> = behind
                    .into_iter()
                    .filter_map(|d| self.heard(d))
                    .filter(|h| h.last <= due)
                    .collect();
                let since = silent.iter().map(|h| h.last).max().unwrap_or(heard.last);
                self.tell(gateway, since, sorted(silent.into_iter().map(|h| &h.name)));
                return true;
            }
            unclear |= cannot_tell > 0 && (missing + cannot_tell) * 10 >= (missing + cannot_tell + spoke) * 9;
        }
        let patience = self.look.threshold(heard).unwrap_or(Span::ZERO);
        unclear && self.quiet(device).0 / 2 < patience.0
    }
}

fn sorted<'a>(names: impl Iterator<Item = &'a Arc<str>>) -> Vec<Arc<str>> {
    let mut names: Vec<_> = names.cloned().collect();
    names.sort_unstable();
    names
}
