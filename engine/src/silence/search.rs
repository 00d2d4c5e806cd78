//! Who is silent by now: the device, or a gateway that explains it.

use super::rules::{self, after};
use super::{DEPTH_MAX, Finding, Heard, LEARNED_MIN, SilenceTable, Timer, hash};
use crate::ruleset::{RuleIndex, RuleSet};
use crate::sequencer::accepting::Accepting;
use crate::time::{Span, Timestamp};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

/// Devices behind one gateway of which a search asks the others in vain; the rest wait with them for the next search.
const UNCLEAR_MAX: usize = 64;

/// A look at the table: who is overdue by now.
#[derive(Clone, Copy)]
pub(super) struct Look<'a> {
    pub(super) table: &'a SilenceTable,
    pub(super) set: &'a RuleSet,
    pub(super) now: Timestamp,
    pub(super) accepting: &'a Accepting,
}

/// When to look at a device again.
pub(super) struct Next {
    /// `None`: at once, it is overdue.
    pub(super) timer: Option<Timer>,
    /// A rule covers it that gives no time.
    pub(super) learns: bool,
    /// Gateways that have to be heard, or found again, before it is looked at.
    pub(super) behind: Vec<u64>,
}

fn threshold(after: Option<Span>, heard: &Heard) -> Option<Span> {
    after.or_else(|| heard.learned())
}

impl<'a> Look<'a> {
    /// What is to be done about a device of which it is time to look; adds it to those that are overdue, by rule.
    pub(super) fn at(&self, key: u64, overdue: &mut BTreeMap<RuleIndex, Vec<&'a Arc<str>>>) -> Next {
        let mut next = Next {
            timer: Some(Timer::NoRule),
            learns: false,
            behind: Vec::new(),
        };
        let Some(device) = self.table.devices.get(key) else {
            return next;
        };
        let above = self.above(&device.name);
        let quiet = self.quiet(device, &above);
        for rule in self.set.silence().covering(self.set, &device.name) {
            if next.timer == Some(Timer::NoRule) {
                next.timer = Some(Timer::Unset);
            }
            let after = after(self.set.rule(rule));
            next.learns |= after.is_none();
            if self.is_open(rule, key) {
                continue;
            }
            if let Some(gateway) = above.iter().map(|g| hash(g)).find(|g| self.hides(rule, *g, device)) {
                next.behind.push(gateway);
                continue;
            }
            let Some(time) = threshold(after, device) else { continue };
            let left = Span(time.0.saturating_sub(quiet.0));
            if left > Span::ZERO {
                let at = self.now.plus(left);
                next.timer = match next.timer {
                    Some(Timer::At(other)) => Some(Timer::At(at.min(other))),
                    Some(_) => Some(Timer::At(at)),
                    None => None,
                };
            } else if device.is_heard || !self.speaks_by_others(device) {
                overdue.entry(rule).or_default().push(&device.name);
                next.timer = None;
            }
        }
        next
    }

    fn heard(&self, device: &str) -> Option<&'a Heard> {
        self.table.devices.get(hash(device)).filter(|h| h.is_heard)
    }

    /// A gateway that was never heard, while something behind it was: it is judged by those alone.
    fn speaks_by_others(&self, gateway: &Heard) -> bool {
        let from = gateway.last.max(self.accepting.start());
        let is_heard_since = |d: &Arc<str>| self.heard(d).is_some_and(|h| h.last > from);
        self.set.plant().is_gateway(&gateway.name) && self.all_behind(&gateway.name).into_iter().any(is_heard_since)
    }

    fn is_open(&self, rule: RuleIndex, device: u64) -> bool {
        self.table.open_under(&self.set.rule(rule).id, device).is_some()
    }

    /// The open incident of this gateway names the device, and the way is not known to be open. A device that was never heard is
    /// behind it like those named; one that was heard after the gateway is judged by itself.
    fn hides(&self, rule: RuleIndex, gateway: u64, device: &Heard) -> bool {
        let open = self.table.open_under(&self.set.rule(rule).id, gateway);
        open.is_some_and(|o| {
            !o.lifted && (o.unknown.contains(&device.name) || !device.is_heard && !o.unknown.is_empty())
        })
    }

    /// The gateways above a device, nearest first.
    fn above(&self, device: &str) -> Vec<&'a Arc<str>> {
        let mut out: Vec<&'a Arc<str>> = Vec::new();
        let mut at = device;
        while let Some(gateway) = self.set.device(at).and_then(|d| d.gateway.as_ref()) {
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
            for child in level.iter().flat_map(|g| self.set.plant().behind(g)).map(|d| &d.id) {
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
    fn quiet(&self, device: &Heard, above: &[&Arc<str>]) -> Span {
        let resumed = above.iter().filter_map(|g| self.table.resumed.get(hash(g))).max();
        let from = device.last.max(resumed.copied().unwrap_or(Timestamp::MIN));
        self.accepting.quiet(from, self.now)
    }
}

/// One search under one rule.
pub(super) struct Search<'a> {
    look: Look<'a>,
    rule: RuleIndex,
    after: Option<Span>,
    findings: Vec<Finding>,
    /// Gateways found in this search, and where in `findings`: the devices named there have no finding of their own.
    told: HashMap<Arc<str>, usize>,
    lines: HashMap<&'a str, Rc<Line<'a>>>,
    /// By gateway: how often the others could not tell.
    unclear: HashMap<&'a str, usize>,
}

/// What lies behind a gateway.
struct Line<'a> {
    devices: Vec<&'a Arc<str>>,
    witnesses: Vec<Witness>,
    /// When a gateway behind this one was last heard: its word came through here.
    gateway_heard: Option<Timestamp>,
    /// The gateway was never heard, nor anything behind it in all the time of the rule.
    is_unheard: bool,
}

/// A device whose word, or silence, says something about its gateway.
struct Witness {
    device: u64,
    last: Timestamp,
    usual: Span,
    is_overdue: bool,
}

#[derive(Default)]
struct Votes {
    spoke: usize,
    missing: usize,
    cannot_tell: usize,
}

impl<'a> Search<'a> {
    pub(super) fn new(look: Look<'a>, rule: RuleIndex) -> Self {
        Self {
            after: after(look.set.rule(rule)),
            look,
            rule,
            findings: Vec::new(),
            told: HashMap::new(),
            lines: HashMap::new(),
            unclear: HashMap::new(),
        }
    }

    /// `overdue` is sorted.
    pub(super) fn run(mut self, overdue: &[&'a Arc<str>]) -> Vec<Finding> {
        // Gateways that are silent themselves first, the topmost before those behind it.
        let is_gateway = |d: &&'a Arc<str>| self.look.set.plant().is_gateway(d);
        let (mut gateways, devices): (Vec<&Arc<str>>, Vec<&Arc<str>>) = overdue.iter().copied().partition(is_gateway);
        gateways.sort_by_key(|d| self.look.above(d).len());
        for device in gateways.into_iter().chain(devices) {
            if self.is_told(device) || self.gateway_explains(device) {
                continue;
            }
            if self.look.set.plant().is_gateway(device) {
                self.tell_silent_gateway(device);
            } else {
                self.tell(device, self.since(device), Vec::new());
            }
        }
        self.findings.sort_unstable_by(|a, b| a.device.cmp(&b.device));
        self.findings
    }

    /// Since when nothing was heard of it.
    fn since(&self, device: &str) -> Timestamp {
        let start = self.look.accepting.start();
        match self.look.table.devices.get(hash(device)) {
            Some(h) if h.is_heard && h.last <= self.look.now => h.last,
            Some(h) if !h.is_heard => h.last.max(start),
            _ => start,
        }
    }

    /// How long a device may usually be quiet, as well as it is known: one that is quieter says something about its gateway.
    fn usual(&self, heard: &Heard) -> Option<Span> {
        heard.gaps.p99().or_else(|| heard.gaps.longest()).or(self.after)
    }

    fn quiet(&self, device: &Heard) -> Span {
        self.look.quiet(device, &self.look.above(&device.name))
    }

    fn is_overdue(&self, device: &Heard) -> bool {
        threshold(self.after, device).is_some_and(|t| self.quiet(device) >= t)
    }

    /// A gateway above it was found silent, now or before, and the device is named there.
    fn is_told(&self, device: &'a Arc<str>) -> bool {
        let Some(heard) = self.look.table.devices.get(hash(device)) else {
            return false;
        };
        self.look.above(device).into_iter().any(|g| {
            let found = self.told.get(g).map(|at| &self.findings[*at].unknown);
            let is_named = |unknown: &Vec<Arc<str>>| {
                unknown.binary_search(device).is_ok() || !heard.is_heard && !unknown.is_empty()
            };
            found.is_some_and(is_named) || self.look.hides(self.rule, hash(g), heard)
        })
    }

    /// The gateway is known to send, and the rule has a time for it: it is judged by its own word, and never by what lies behind it.
    fn own_time(&self, gateway: &str) -> Option<(&'a Heard, Span)> {
        let heard = self.look.heard(gateway)?;
        let set = self.look.set;
        let is_covered = rules::covers(set, self.rule, gateway, set.device(gateway));
        let time = threshold(self.after, heard).filter(|_| is_covered)?;
        Some((heard, time))
    }

    /// A gateway above was not heard since a word of the device was due, and its own time is not over: it will speak, or be found
    /// with this device.
    fn waits_for_gateway(&self, device: &str, above: &[&'a Arc<str>]) -> bool {
        let Some(heard) = self.look.table.devices.get(hash(device)) else {
            return false;
        };
        let Some(time) = threshold(self.after, heard) else {
            return false;
        };
        let quiet = self.quiet(heard);
        let usual = self.usual(heard).map_or(Span::ZERO, |usual| usual.min(time));
        let due = usual.max(Span(time.0 / 2));
        let went_quiet_with_it = |(gateway, own_time): (&Heard, Span)| {
            let quiet_gateway = self.quiet(gateway);
            quiet_gateway < own_time && quiet.0.saturating_sub(quiet_gateway.0) <= due.0
        };
        quiet.0 / 2 < time.0 && above.iter().filter_map(|g| self.own_time(g)).any(went_quiet_with_it)
    }

    fn line(&mut self, gateway: &'a str) -> Rc<Line<'a>> {
        if let Some(line) = self.lines.get(gateway) {
            return line.clone();
        }
        let devices = self.look.all_behind(gateway);
        let witnesses = devices.iter().filter_map(|d| self.witness(d)).collect();
        let itself = self.look.table.devices.get(hash(gateway));
        let is_unheard = itself.is_some_and(|g| {
            !g.is_heard && self.after.is_some() && self.is_overdue(g) && !self.look.speaks_by_others(g)
        });
        let gateways = devices.iter().filter(|d| self.look.set.plant().is_gateway(d));
        let gateway_heard = gateways.filter_map(|d| self.look.heard(d)).map(|h| h.last).max();
        let line = Rc::new(Line {
            devices,
            witnesses,
            gateway_heard,
            is_unheard,
        });
        self.lines.insert(gateway, line.clone());
        line
    }

    /// A gateway between may speak while all behind it is dead: it is no witness for those ([`Line::gateway_heard`]).
    fn witness(&self, device: &str) -> Option<Witness> {
        let set = self.look.set;
        let heard = self.look.heard(device)?;
        if set.plant().is_gateway(device) || !rules::covers(set, self.rule, device, set.device(device)) {
            return None;
        }
        Some(Witness {
            device: hash(device),
            last: heard.last,
            usual: self.usual(heard)?,
            is_overdue: self.is_overdue(heard),
        })
    }

    fn tell_silent_gateway(&mut self, gateway: &'a Arc<str>) {
        let Some(itself) = self.look.table.devices.get(hash(gateway)) else {
            return;
        };
        let behind = self.look.all_behind(gateway).into_iter();
        let unknown = if itself.is_heard {
            // Who was heard well after the gateway's next word was due has another way to us.
            let usual = itself.gaps.p99().or_else(|| itself.gaps.longest());
            let half = || self.after.map_or(Span::ZERO, |after| Span(after.0 / 2));
            let due = itself.last.plus(usual.unwrap_or_else(half));
            let is_unknown = |d: &&Arc<str>| self.look.heard(d).is_some_and(|h| h.last <= due || self.is_overdue(h));
            sorted(behind.filter(is_unknown))
        } else {
            sorted(behind.filter(|d| self.look.table.devices.contains(hash(d))))
        };
        self.tell(gateway, self.since(gateway), unknown);
    }

    fn tell(&mut self, gateway: &Arc<str>, since: Timestamp, unknown: Vec<Arc<str>>) {
        self.told.insert(gateway.clone(), self.findings.len());
        self.findings.push(Finding {
            device: gateway.clone(),
            since,
            unknown,
        });
    }

    /// Is it the gateway, and not this device, or may it yet turn out to be? The topmost that explains it is told.
    fn gateway_explains(&mut self, device: &str) -> bool {
        let mut above = self.look.above(device);
        above.retain(|g| !self.look.is_open(self.rule, hash(g)) && !self.told.contains_key(*g));
        if let Some(gateway) = above.iter().rev().find(|g| self.line(g).is_unheard) {
            self.tell_silent_gateway(gateway);
            return true;
        }
        if self.waits_for_gateway(device, &above) {
            return true;
        }
        let Some(heard) = self.look.heard(device) else {
            return false;
        };
        let Some(due) = self.usual(heard).map(|usual| heard.last.plus(usual)) else {
            return false;
        };
        let mut is_unclear = false;
        for gateway in above.into_iter().rev() {
            let line = self.line(gateway);
            let itself = self.look.heard(gateway).map(|g| g.last);
            let is_heard_since = itself.max(line.gateway_heard).is_some_and(|last| last > due);
            if is_heard_since || self.own_time(gateway).is_some() {
                continue;
            }
            if self.unclear.get(&**gateway).is_some_and(|n| *n >= UNCLEAR_MAX) {
                is_unclear = true;
                continue;
            }
            let Votes {
                spoke,
                missing,
                cannot_tell,
            } = self.votes(&line, device, due);
            let explains = missing >= 1 && missing * 10 >= (missing + spoke) * 9;
            if explains && missing + spoke >= cannot_tell {
                let behind = line.devices.iter().filter_map(|d| self.look.heard(d));
                let silent: Vec<_> = behind.filter(|h| h.last <= due).collect();
                let since = silent.iter().map(|h| h.last).max().unwrap_or(heard.last);
                // Never the gateway's own last word: by that a silence of its own is known.
                let since = if itself == Some(since) {
                    since.plus(Span(1))
                } else {
                    since
                };
                self.tell(gateway, since, sorted(silent.into_iter().map(|h| &h.name)));
                return true;
            }
            if cannot_tell > 0 && (missing + cannot_tell) * 10 >= (missing + cannot_tell + spoke) * 9 {
                is_unclear = true;
                *self.unclear.entry(gateway).or_default() += 1;
            }
        }
        let patience = threshold(self.after, heard).unwrap_or(Span::ZERO);
        is_unclear && self.quiet(heard).0 / 2 < patience.0
    }

    /// What the other devices behind a gateway say, when a word of this one was due.
    fn votes(&self, line: &Line<'_>, device: &str, due: Timestamp) -> Votes {
        // Time in which Andon did not accept tells nothing of them.
        let passed = match due < self.look.now {
            true => self.look.accepting.quiet(due, self.look.now),
            false => Span::ZERO,
        };
        let mut votes = Votes::default();
        for other in line.witnesses.iter().filter(|w| w.device != hash(device)) {
            if other.last > due {
                votes.spoke += 1;
            } else if passed > other.usual || other.is_overdue {
                votes.missing += 1;
            } else {
                votes.cannot_tell += 1;
            }
        }
        votes
    }
}

impl Heard {
    /// After how long it is silent where the rule gives no time.
    pub(super) fn learned(&self) -> Option<Span> {
        let usual = self.gaps.p99()?;
        Some(Span(usual.0.saturating_mul(3)).max(LEARNED_MIN))
    }
}

fn sorted<'a>(names: impl Iterator<Item = &'a Arc<str>>) -> Vec<Arc<str>> {
    let mut names: Vec<_> = names.cloned().collect();
    names.sort_unstable();
    names
}
