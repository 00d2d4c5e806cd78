//! Silence of devices: who has not been heard for too long, told once, and once for a gateway with all behind it.
//!
//! The table is state of the journal: [`SilenceTable::observe`] is driven by its records and [`SilenceTable::found`] by its control
//! entries. [`SilenceTable::find`] only looks, and only at the journal's head; what it finds becomes true when it is
//! journaled. It runs on the wall clock, by `received_at`. Every device that may fall silent has a timer, never later than that, so
//! that a look costs what is due and not what is watched.
//!
//! - A device is *overdue* when nothing was heard of it for at least the rule's time (that edge included), or, where the rule
//!   gives none, for 3 times its usual gap: the 99th percentile of the times between its receipts, known after
//!   [`GAPS_MIN`] of them, a lone outlier left out, and at least [`LEARNED_MIN`] in all. Time in which Andon did not accept does not count
//!   ([`Accepting`]).
//! - A device of the plant that was never heard is judged as if it had been heard when it was registered, where the rule gives a time.
//! - A silent device is *open* until it is heard; while it is, it is not found again.
//! - **Gateways.** A gateway that was heard is judged by its own word, where the rule covers it and has a time for it. It is never
//!   silent before that time is over, whatever lies behind it; when it is, one finding names it and what was not heard after it.
//!   A device whose gateway was not heard since its own next word was due (by its usual gap, and at least half of its time) waits
//!   until the gateway is heard or its time is over, for once its own time again at most.
//! - Another gateway (a switch; one that the rule does not cover; one heard too seldom for a learned time) is found by what lies
//!   behind it: when a device there is overdue, the others are asked whether they were heard since its word was due. Nearly all of
//!   those that can tell (9 of 10) were not, and at least half can tell, and no gateway on that way was heard since: then it is the
//!   gateway. If it is not clear yet, the device waits. The topmost gateway that explains it is named. A gateway of which nothing
//!   was heard since it was registered, neither itself nor anything behind it, is found when the rule's time is over. Those behind
//!   it have that time too.
//! - While a gateway is open, the devices that its finding names are not found one by one. The others behind it are.
//! - It ends when the gateway speaks; where it was found by what lies behind it, also when one of those named does. If one of them
//!   speaks while the gateway that was overdue itself does not, the way is open: the others are judged by themselves again. In all
//!   cases they get their full time anew from there.

mod gaps;
mod rules;
mod search;

use self::gaps::Gaps;
use self::search::{Look, Search};
use crate::ids::RuleId;
use crate::limits::FUTURE_MAX;
use crate::pages::{Paged, Pages};
use crate::ruleset::{RuleIndex, RuleSet};
use crate::sequencer::accepting::Accepting;
use crate::subject::SubjectKind;
use crate::time::{Span, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

pub use self::gaps::GAPS_MIN;
pub use self::rules::SilenceRules;

/// A learned time is never shorter: below it, it would measure the network.
pub const LEARNED_MIN: Span = Span::secs(60);
/// Devices followed: those that register themselves are the sender's choice, so there is an end to them. About 250 bytes each.
pub const DEVICES_MAX: usize = 200_000;
/// Gateways behind gateways. Also what a circle in the configuration costs at most.
const DEPTH_MAX: usize = 8;
/// After a gateway came back, how long that is remembered for those behind it.
const RESUMED_KEPT: Span = Span::hours(7 * 24);
/// After the table was searched for room in vain, how long it is not searched again.
const CROWDED_FOR: Span = Span::secs(60);

/// All devices of the plant and all heard of, when, and how often usually.
#[derive(Clone, Debug, Default)]
pub struct SilenceTable {
    devices: Paged<Heard>,
    /// By device; one for each rule.
    open: Paged<Vec<Open>>,
    /// For every device whose word changes an open silence, which ones.
    awaited: HashMap<u64, Vec<OpenKey>>,
    /// Gateways behind which the way was found open again or is new, and when.
    resumed: Paged<Timestamp>,
    /// When to look at a device.
    timers: BTreeSet<(Timestamp, u64)>,
    /// By gateway: devices that are looked at when it is no longer silent.
    behind: HashMap<u64, HashSet<u64>>,
    /// How soon any rule may find a device silent; `None` while none finds silence.
    shortest: Option<Span>,
    /// [`Accepting::start`] at the last look.
    accepting_since: Option<Timestamp>,
    crowded_at: Option<Timestamp>,
}

/// Timers follow from the rest.
impl PartialEq for SilenceTable {
    fn eq(&self, other: &Self) -> bool {
        self.devices == other.devices && self.open == other.open && self.resumed == other.resumed
    }
}

/// When a device was heard, and how often usually.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Heard {
    name: Arc<str>,
    /// If it was never heard: since when it is registered.
    last: Timestamp,
    #[serde(default = "yes")]
    is_heard: bool,
    gaps: Gaps,
    #[serde(skip)]
    timer: Timer,
    /// A rule covers it whose time is learned.
    #[serde(skip)]
    learns: bool,
}

fn yes() -> bool {
    true
}

impl PartialEq for Heard {
    fn eq(&self, other: &Self) -> bool {
        let of = |h: &Self| (h.name.clone(), h.last, h.is_heard, h.gaps);
        of(self) == of(other)
    }
}

/// When to look at a device; at its deadline or before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Timer {
    /// When it is heard again.
    #[default]
    Unset,
    At(Timestamp),
    /// No rule covers it.
    NoRule,
}

/// A device and the rule.
type OpenKey = (u64, RuleId);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Open {
    rule: RuleId,
    device: Arc<str>,
    /// Overdue itself: only its own voice ends it. Else that of the unknown does too.
    own: bool,
    /// Those behind it are judged by themselves.
    lifted: bool,
    unknown: BTreeSet<Arc<str>>,
}

impl Open {
    fn ended(self) -> Ended {
        Ended {
            rule: self.rule,
            device: self.device,
        }
    }
    fn awaits(&self) -> impl Iterator<Item = &Arc<str>> {
        self.unknown.iter().chain([&self.device])
    }
}

/// A silence that nobody knows of yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub device: Arc<str>,
    /// When it, or for a gateway that still speaks what lies behind it, was last heard; for a device never heard, since when it is
    /// registered and Andon listens.
    pub since: Timestamp,
    /// What lies behind it and was not heard since either; sorted.
    pub unknown: Vec<Arc<str>>,
}

/// A silence that is over.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ended {
    pub rule: RuleId,
    pub device: Arc<str>,
}

fn hash(device: &str) -> u64 {
    SubjectKind::Device.hash(device)
}

impl Heard {
    /// It was heard: a timer that it has is early enough, but for a time that is learned and has become shorter.
    fn set_time(&mut self, key: u64, at_once: bool, shortest: Span, timers: &mut BTreeSet<(Timestamp, u64)>) {
        let next = match self.timer {
            Timer::At(_) if at_once => Timestamp::MIN,
            Timer::Unset => self.last.plus(shortest),
            Timer::At(at) if self.learns && at > self.last.plus(LEARNED_MIN) => match self.learned() {
                Some(time) => self.last.plus(time).min(at),
                None => return,
            },
            Timer::At(_) | Timer::NoRule => return,
        };
        set_timer(timers, key, self, Timer::At(next));
    }
}

fn set_timer(timers: &mut BTreeSet<(Timestamp, u64)>, key: u64, heard: &mut Heard, next: Timer) {
    if heard.timer == next {
        return;
    }
    if let Timer::At(at) = heard.timer {
        timers.remove(&(at, key));
    }
    if let Timer::At(at) = next {
        timers.insert((at, key));
    }
    heard.timer = next;
}

impl SilenceTable {
    pub fn new() -> Self {
        Self::default()
    }

    /// Something was heard of this device. Gives the silences that end with it, sorted; almost always none, and then nothing is
    /// allocated.
    pub fn observe(&mut self, device: &str, received_at: Timestamp) -> Vec<Ended> {
        let key = hash(device);
        let awaited = if self.awaited.is_empty() {
            None
        } else {
            self.awaited.remove(&key)
        };
        if !self.hear(key, received_at, awaited.is_some()) && !self.is_full() {
            let mut heard = Heard {
                name: Arc::from(device),
                last: received_at,
                is_heard: true,
                gaps: Gaps::default(),
                timer: Timer::Unset,
                learns: false,
            };
            if let Some(shortest) = self.shortest {
                heard.set_time(key, false, shortest, &mut self.timers);
            }
            self.devices.insert(key, heard);
        }
        awaited.map_or_else(Vec::new, |silences| self.speaks_again(device, silences, received_at))
    }

    /// False when it is not in the table.
    fn hear(&mut self, key: u64, received_at: Timestamp, was_silent: bool) -> bool {
        let Some(heard) = self.devices.get_mut(key) else {
            return false;
        };
        // Heard in the future: our own clock was set back since.
        let is_ahead = heard.last > received_at.plus(FUTURE_MAX);
        if !heard.is_heard {
            (heard.is_heard, heard.last) = (true, received_at);
            // A gateway that begins to speak: those behind it have their time from here on.
            if self.resumed.contains(key) {
                self.resumed.insert(key, received_at);
            }
        } else if is_ahead {
            heard.last = received_at;
        } else if received_at > heard.last {
            // The gap that a silence made says nothing about what is usual.
            if !was_silent {
                heard.gaps.add(received_at.since(heard.last));
            }
            heard.last = received_at;
        }
        if let Some(shortest) = self.shortest {
            heard.set_time(key, is_ahead, shortest, &mut self.timers);
        }
        self.devices.mark(key);
        true
    }

    /// Looks at it with the next look.
    fn wake(&mut self, key: u64) {
        if self.shortest.is_some()
            && let Some(heard) = self.devices.get_mut(key)
        {
            set_timer(&mut self.timers, key, heard, Timer::At(Timestamp::MIN));
        }
    }

    fn wake_behind(&mut self, gateway: u64) {
        for key in self.behind.remove(&gateway).into_iter().flatten() {
            self.wake(key);
        }
    }

    /// By other rules, or another beginning, every deadline is another one.
    fn wake_all(&mut self) {
        self.behind.clear();
        let is_due = self.shortest.is_some();
        let mut due = Vec::new();
        for (key, heard) in self.devices.iter_mut() {
            heard.timer = if is_due {
                Timer::At(Timestamp::MIN)
            } else {
                Timer::Unset
            };
            due.push((Timestamp::MIN, key));
        }
        self.timers = due.into_iter().filter(|_| is_due).collect();
    }

    fn speaks_again(&mut self, device: &str, silences: Vec<OpenKey>, at: Timestamp) -> Vec<Ended> {
        let mut ended = Vec::new();
        for key in silences {
            let Some(open) = self.open_mut(&key) else { continue };
            let itself = *open.device == *device;
            open.unknown.remove(device);
            let is_lifted = !itself || !open.unknown.is_empty();
            open.lifted |= is_lifted;
            let ends = itself || !open.own;
            self.open.mark(key.0);
            if is_lifted {
                self.resumed.insert(key.0, at);
                self.wake_behind(key.0);
            }
            if ends && let Some(open) = self.close(&key) {
                ended.push(open.ended());
            }
        }
        ended.sort_unstable();
        ended
    }

    fn open_under(&self, rule: &RuleId, device: u64) -> Option<&Open> {
        if self.open.is_empty() {
            return None;
        }
        self.open.get(device)?.iter().find(|o| o.rule == *rule)
    }

    fn open_mut(&mut self, (device, rule): &OpenKey) -> Option<&mut Open> {
        self.open.get_mut(*device)?.iter_mut().find(|o| o.rule == *rule)
    }

    fn close(&mut self, key: &OpenKey) -> Option<Open> {
        let of_device = self.open.get_mut(key.0)?;
        let at = of_device.iter().position(|o| o.rule == key.1)?;
        let open = of_device.remove(at);
        if of_device.is_empty() {
            self.open.remove(key.0);
        }
        self.open.mark(key.0);
        for name in open.awaits() {
            if let Entry::Occupied(mut silences) = self.awaited.entry(hash(name)) {
                silences.get_mut().retain(|k| k != key);
                if silences.get().is_empty() {
                    silences.remove();
                }
            }
        }
        self.wake(key.0);
        self.wake_behind(key.0);
        Some(open)
    }

    /// A finding was journaled: it is open from here on. Doing it twice changes nothing.
    pub fn found(&mut self, rule: &RuleId, device: &Arc<str>, unknown: &[Arc<str>], since: Timestamp) {
        let heard_last = self.last_heard(device);
        // What was found for its own silence has not been heard since; what was found by those behind it may have.
        let own = unknown.is_empty() || heard_last.is_some_and(|last| last == since);
        self.reopen(Open {
            rule: rule.clone(),
            device: device.clone(),
            own,
            lifted: false,
            unknown: unknown.iter().filter(|d| *d != device).cloned().collect(),
        });
        self.open.mark(hash(device));
    }

    fn reopen(&mut self, open: Open) {
        let device = hash(&open.device);
        if self.open_under(&open.rule, device).is_some() {
            return;
        }
        let key = (device, open.rule.clone());
        for name in open.awaits() {
            let silences = self.awaited.entry(hash(name)).or_default();
            silences.push(key.clone());
            silences.sort_unstable();
        }
        match self.open.get_mut(device) {
            Some(of_device) => of_device.push(open),
            None => self.open.restore(device, vec![open]),
        }
    }

    pub fn is_full(&self) -> bool {
        self.devices.len() >= DEVICES_MAX
    }

    /// Forgets an eighth of the devices, so that new ones can be watched: those heard least recently among the ones whose usual gap is
    /// not known, that are not silent and that `keep` does not name. Nothing when there are none: then the table stays full, and is not
    /// searched again for a while.
    pub fn make_room(&mut self, at: Timestamp, keep: impl Fn(&str) -> bool) {
        let is_crowded = |since: Timestamp| at >= since && at.since(since) < CROWDED_FOR;
        if self.crowded_at.is_some_and(is_crowded) {
            return;
        }
        let awaited = &self.awaited;
        let stranger = |key: u64, h: &Heard| h.gaps.p99().is_none() && !awaited.contains_key(&key) && !keep(&h.name);
        let strangers = self.devices.iter().filter(|(key, h)| stranger(*key, h));
        // In the order of the hashes: which of several heard at one time go must not depend on the order of a table in memory.
        let mut gone: Vec<(Timestamp, u64)> = strangers.map(|(key, h)| (h.last, key)).collect();
        let Some(nth) = (DEVICES_MAX / 8).min(gone.len()).checked_sub(1) else {
            self.crowded_at = Some(at);
            return;
        };
        gone.select_nth_unstable(nth);
        for (_, key) in gone.into_iter().take(nth + 1) {
            self.forget(key);
        }
    }

    fn forget(&mut self, key: u64) {
        if let Some(Heard {
            timer: Timer::At(at), ..
        }) = self.devices.remove(key)
        {
            self.timers.remove(&(at, key));
        }
    }

    /// Forgets a device that was taken out of the plant, and gives the silences that end with it.
    pub fn remove(&mut self, device: &str) -> Vec<Ended> {
        let gone = hash(device);
        self.forget(gone);
        self.resumed.remove(gone);
        let own = self.open.get(gone).into_iter().flatten().map(|o| o.rule.clone());
        let own: Vec<RuleId> = own.collect();
        let mut ended: Vec<_> = own.into_iter().filter_map(|rule| self.close(&(gone, rule))).collect();
        for key in self.awaited.remove(&gone).unwrap_or_default() {
            let is_empty = self.open_mut(&key).is_some_and(|open| {
                open.unknown.remove(device);
                !open.own && open.unknown.is_empty()
            });
            self.open.mark(key.0);
            // Nobody is left whose word could end it.
            if is_empty {
                ended.extend(self.close(&key));
            }
        }
        let mut ended: Vec<_> = ended.into_iter().map(Open::ended).collect();
        ended.sort_unstable();
        ended
    }

    /// Keeps what is open for these rules only: the incidents of a rule that is gone are gone too.
    pub fn retain_rules(&mut self, keep: impl Fn(&RuleId) -> bool) {
        let gone: Vec<OpenKey> = self
            .open
            .iter()
            .flat_map(|(device, open)| open.iter().map(move |o| (device, o)))
            .filter(|(_, o)| !keep(&o.rule))
            .map(|(device, o)| (device, o.rule.clone()))
            .collect();
        for key in gone {
            self.close(&key);
        }
    }

    /// The rules of `next` hold. `devices` are those that are other than under `before`; what is new of them is watched from `at` on.
    pub fn configured<'a>(
        &mut self,
        before: &RuleSet,
        next: &RuleSet,
        devices: impl Iterator<Item = &'a Arc<str>> + Clone,
        at: Timestamp,
    ) {
        for device in devices.clone().filter(|id| next.device(id).is_some()) {
            self.watch(device, at);
            let is_new = before.device(device).is_none();
            if is_new && next.plant().is_gateway(device) {
                self.resumed.insert(hash(device), at);
            }
        }
        let gateways = devices.clone().filter_map(|id| next.device(id)?.gateway.as_ref());
        for gateway in gateways {
            // It came into the plant before those that it is the gateway of: the way is new.
            if next.device(gateway).is_some() && !before.plant().is_gateway(gateway) {
                self.resumed.insert(hash(gateway), at);
            }
        }
        // What a change of another rule costs must not depend on how many devices are watched.
        if next.files_as(before) || rules::of(before).eq(rules::of(next)) {
            self.wake_around(before, devices.clone());
            self.wake_around(next, devices);
        } else {
            self.follow(next);
        }
    }

    fn watch(&mut self, device: &Arc<str>, at: Timestamp) {
        let key = hash(device);
        if self.devices.contains(key) {
            return;
        }
        let registered = Heard {
            name: device.clone(),
            last: at,
            is_heard: false,
            gaps: Gaps::default(),
            timer: Timer::Unset,
            learns: false,
        };
        self.devices.insert(key, registered);
    }

    /// Looks soon at all whose silence may be judged otherwise when these devices are other ones: those that they are gateways of, and those
    /// with which they share one.
    fn wake_around<'a>(&mut self, set: &RuleSet, devices: impl Iterator<Item = &'a Arc<str>>) {
        if self.shortest.is_none() {
            return;
        }
        let mut around: HashSet<&str> = HashSet::new();
        for device in devices {
            around.insert(device);
            around.extend(set.device(device).and_then(|d| d.gateway.as_deref()));
        }
        let mut level: Vec<&str> = around.iter().copied().collect();
        while !level.is_empty() {
            let behind = level.iter().flat_map(|g| set.plant().behind(g)).map(|d| &*d.id);
            level = behind.filter(|d| around.insert(d)).collect();
        }
        for device in around {
            self.wake(hash(device));
            self.wake_behind(hash(device));
        }
    }

    /// Judges by these rules from now on.
    pub fn follow(&mut self, rules: &RuleSet) {
        self.shortest = rules.silence().shortest();
        self.wake_all();
    }

    /// Forgets what is too old to say anything.
    pub fn expire(&mut self, now: Timestamp) {
        self.resumed.retain(|_, at| now.since(*at) <= RESUMED_KEPT);
    }

    /// The pages in which something came, changed or went since the last call.
    pub fn take_changed(&mut self) -> Pages {
        let mut changed = self.devices.take_changed();
        changed.add(&self.open.take_changed());
        changed.add(&self.resumed.take_changed());
        changed
    }

    /// The devices of these pages by the hash of their name, in no order.
    pub fn heard_in<'a>(&'a self, pages: &'a Pages) -> impl Iterator<Item = (u64, &'a Heard)> + 'a {
        self.devices.in_pages(pages)
    }
    /// What is silent of these pages, by the hash of the device.
    pub fn open_in<'a>(&'a self, pages: &'a Pages) -> impl Iterator<Item = (u64, &'a Open)> + 'a {
        let devices = self.open.in_pages(pages);
        devices.flat_map(|(device, open)| open.iter().map(move |o| (device, o)))
    }
    /// The gateways of these pages behind which the way is open again or new, and since when.
    pub fn resumed_in<'a>(&'a self, pages: &'a Pages) -> impl Iterator<Item = (u64, Timestamp)> + 'a {
        self.resumed.in_pages(pages).map(|(gateway, at)| (gateway, *at))
    }

    /// Puts back what a checkpoint holds, unchanged. [`SilenceTable::follow`] comes after it.
    pub fn restore(
        &mut self,
        heard: impl IntoIterator<Item = Heard>,
        open: impl IntoIterator<Item = Open>,
        resumed: impl IntoIterator<Item = (u64, Timestamp)>,
    ) {
        for heard in heard {
            self.devices.restore(hash(&heard.name), heard);
        }
        open.into_iter().for_each(|open| self.reopen(open));
        for (gateway, at) in resumed {
            self.resumed.restore(gateway, at);
        }
    }

    /// Is this device found silent under this rule and not heard since?
    pub fn is_open(&self, rule: &RuleId, device: &str) -> bool {
        self.open_under(rule, hash(device)).is_some()
    }
    /// When it was last heard.
    pub fn last_heard(&self, device: &str) -> Option<Timestamp> {
        self.devices.get(hash(device)).filter(|h| h.is_heard).map(|h| h.last)
    }
    /// Whether it is in the table, heard or not.
    pub fn watches(&self, device: &str) -> bool {
        self.devices.contains(hash(device))
    }
    /// Its usual gap (p99), once known.
    pub fn usual_gap(&self, device: &str) -> Option<Span> {
        self.devices.get(hash(device)).and_then(|h| h.gaps.p99())
    }
    pub fn len(&self) -> usize {
        self.devices.len()
    }
    pub fn is_empty(&self) -> bool {
        self.devices.is_empty()
    }
    /// Devices that are to be looked at by `now`.
    pub fn due(&self, now: Timestamp) -> usize {
        self.timers.range(..=(now, u64::MAX)).count()
    }

    /// The silences that are not open yet, rule by rule, sorted by device. The rules are those that the table follows.
    pub fn find(&mut self, rules: &RuleSet, now: Timestamp, accepting: &Accepting) -> Vec<(RuleId, Finding)> {
        if self.accepting_since != Some(accepting.start()) {
            // Our own clock was set back: deadlines are as far away as they may be.
            self.accepting_since = Some(accepting.start());
            self.wake_all();
        }
        let due: Vec<u64> = self.timers.range(..=(now, u64::MAX)).map(|(_, key)| *key).collect();
        if due.is_empty() {
            return Vec::new();
        }
        let look = Look {
            table: self,
            set: rules,
            now,
            accepting,
        };
        let mut overdue: BTreeMap<RuleIndex, Vec<&Arc<str>>> = BTreeMap::new();
        let next: Vec<_> = due.into_iter().map(|key| (key, look.at(key, &mut overdue))).collect();
        let mut found = Vec::new();
        for (rule, mut devices) in overdue {
            devices.sort_unstable();
            let findings = Search::new(look, rule).run(&devices).into_iter();
            found.extend(findings.map(|f| (rules.rule(rule).id.clone(), f)));
        }
        for (key, next) in next {
            for gateway in next.behind {
                self.behind.entry(gateway).or_default().insert(key);
            }
            if let Some(heard) = self.devices.get_mut(key) {
                heard.learns = next.learns;
                if let Some(timer) = next.timer {
                    set_timer(&mut self.timers, key, heard, timer);
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests;
