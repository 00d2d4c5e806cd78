//! What to send to one target now, what to hold, and until when. Pure: `(what is known, now) -> Decision`.
//!
//! The rules of the throttle are [`throttle`]'s; here they meet rows. In the order in which they are asked:
//! 1. A mute window, or shelving, keeps a delivery. When it ends, a fault that still holds is sent, with "was muted until now";
//!    one that is over stays as a record only.
//! 2. History waits until no more of it comes, and is sent as one summary per route.
//! 3. A channel that is at once gets each alert by itself.
//! 4. For everybody else [`throttle::plan`] says what goes out and what is held back.

use andon_engine::effect::{Alert, AlertContext, AlertReason};
use andon_engine::ids::{IncidentId, Position};
use andon_engine::incident::{Activity, Incident};
use andon_engine::limits::THROTTLE_WINDOW;
use andon_engine::rule::Priority;
use andon_engine::throttle::{self, MESSAGE_ALERTS_MAX, Out, Plan, Repeat, Waits};
use andon_engine::time::{Span, Timestamp};
use andon_storage::ports::deliveries::{
    Decision, Delivery, DeliveryChange, DeliveryId, DeliveryState, Notice, NoticeId, NoticeItem, NoticeKind,
    NoticeState, Slot, Target, Told,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Devices that an item lists.
const DEVICES_SHOWN: usize = 16;

/// What keeps a delivery back, and until when.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Muted {
    pub(super) by: String,
    pub(super) until: Timestamp,
}

/// One delivery with what it is about.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) delivery: Delivery,
    pub(super) alert: Arc<Alert>,
    pub(super) incident: Arc<Incident>,
    pub(super) muted: Option<Muted>,
}

impl throttle::Waiting for Candidate {
    fn incident(&self) -> IncidentId {
        self.incident.id
    }
    fn position(&self) -> Position {
        self.delivery.position
    }
    fn passes(&self) -> bool {
        self.delivery.passes_throttle
    }
}

/// An incident that the target knows, whose repeats are to be looked at.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) told: Told,
    pub(super) incident: Arc<Incident>,
    pub(super) muted: Option<Muted>,
}

impl Known {
    /// Its shelving has ended, and the target has not been notified since.
    fn is_unshelved(&self) -> bool {
        self.incident.unshelved_at.is_some() && self.incident.unshelved_at != self.told.unshelved_at
    }
}

#[derive(Debug)]
pub(super) struct Situation {
    pub(super) target: Target,
    /// It gets each alert by itself, as it comes.
    pub(super) at_once: bool,
    pub(super) slot: Slot,
    /// A message of the target that nobody has tried to send.
    pub(super) unsent: Option<Notice>,
    /// Waiting, or muted and due.
    pub(super) undecided: Vec<Candidate>,
    pub(super) held: Vec<Candidate>,
    pub(super) repeats: Vec<Known>,
    /// Records of each incident that the target was told of.
    pub(super) told: BTreeMap<IncidentId, u64>,
}

/// `None`: nothing changes.
pub(super) fn decide(situation: Situation, now: Timestamp) -> Option<Decision> {
    let mut d = Decider {
        at_once: situation.at_once,
        decision: Decision {
            version: situation.slot.version,
            slot: situation.slot,
            target: situation.target,
            changes: Vec::new(),
            notices: Vec::new(),
            joined: None,
            repeats: Vec::new(),
            reminded: Vec::new(),
        },
        told: situation.told,
        now,
    };
    let mut history = Vec::new();
    let fresh = d.live(situation.undecided, &mut history);
    // A window may have opened since it was held.
    let held = d.live(situation.held, &mut history);
    let repeats = d.repeats(situation.repeats);
    if d.at_once {
        d.each(held.into_iter().chain(fresh).collect(), repeats);
    } else {
        d.throttle(fresh, held, &repeats, situation.unsent);
    }
    d.summarise(history);
    let nothing = d.decision.changes.is_empty()
        && d.decision.notices.is_empty()
        && d.decision.joined.is_none()
        && d.decision.repeats.is_empty();
    (!nothing).then_some(d.decision)
}

struct Decider {
    at_once: bool,
    decision: Decision,
    told: BTreeMap<IncidentId, u64>,
    now: Timestamp,
}

impl Decider {
    fn slot(&self) -> throttle::Slot {
        throttle::Slot {
            window_end: self.decision.slot.window_end,
            passes: self.decision.slot.passes,
            unfinished: self.decision.slot.unfinished,
        }
    }

    fn take_slot(&mut self, slot: throttle::Slot) {
        self.decision.slot.window_end = slot.window_end;
        self.decision.slot.passes = slot.passes;
    }

    /// Those that no window keeps; what was found in history goes there.
    fn live(&mut self, candidates: Vec<Candidate>, history: &mut Vec<Candidate>) -> Vec<Candidate> {
        let mut live = Vec::new();
        for c in candidates {
            match self.unmuted(c) {
                Some(c) if c.delivery.historical => history.push(c),
                Some(c) => live.push(c),
                None => {}
            }
        }
        live
    }

    fn change(&mut self, c: &Candidate, state: DeliveryState, reason: Option<String>, due: Option<Timestamp>) {
        let muted_until = match state {
            DeliveryState::Muted => due.or(c.delivery.muted_until),
            _ => c.delivery.muted_until,
        };
        let change = DeliveryChange {
            id: c.delivery.id,
            state,
            reason,
            due,
            muted_until,
        };
        let d = &c.delivery;
        // What is held as it was is no change: a step that finds nothing new writes nothing.
        if d.state != state || d.reason != change.reason || d.due != due || d.muted_until != muted_until {
            self.decision.changes.push(change);
        }
    }

    /// The candidate, if no window keeps it.
    fn unmuted(&mut self, c: Candidate) -> Option<Candidate> {
        let over = c.delivery.state == DeliveryState::Muted;
        if let Some(m) = c.muted.clone() {
            // A window that says it ends now is asked again shortly, not in a loop.
            let until = m.until.max(self.now.plus(Span::secs(1)));
            self.change(&c, DeliveryState::Muted, Some(m.by), Some(until));
            return None;
        }
        if over && c.incident.activity != Activity::Active {
            self.change(&c, DeliveryState::Muted, c.delivery.reason.clone(), None);
            return None;
        }
        Some(c)
    }

    /// Which of what the target knows is to be said again; settles when to look next at the others.
    fn repeats(&mut self, known: Vec<Known>) -> Vec<Known> {
        let mut due = Vec::new();
        for k in known {
            let asked = throttle::Known {
                has_more: k.incident.count > k.told.count && !self.at_once,
                is_active: k.incident.activity == Activity::Active,
                is_acknowledged: k.incident.acknowledged.is_some(),
                repeats: k.told.repeats,
                is_unshelved: k.is_unshelved(),
                held_until: k.muted.as_ref().map(|m| m.until),
            };
            match throttle::repeat(asked, self.now) {
                Repeat::Due => due.push(k),
                // A step that finds nothing new writes nothing.
                Repeat::LookAt(next) if k.told.next_repeat_at.is_some_and(|at| at > self.now) && next.is_some() => {}
                Repeat::LookAt(next) => self.decision.repeats.push((k.told.incident, next)),
            }
        }
        due
    }

    /// Each alert as it comes. What a window or shelving held of one incident is one message.
    fn each(&mut self, live: Vec<Candidate>, unshelved: Vec<Known>) {
        let mut released: BTreeMap<IncidentId, Vec<Candidate>> = BTreeMap::new();
        for c in live {
            match c.delivery.state {
                DeliveryState::Muted => released.entry(c.incident.id).or_default().push(c),
                _ => self.send(NoticeKind::Alert, &[c], &[], false),
            }
        }
        for k in unshelved {
            let with = released.remove(&k.incident.id).unwrap_or_default();
            self.send(NoticeKind::Alert, &with, &[k], false);
        }
        for candidates in released.into_values() {
            self.send(NoticeKind::Alert, &candidates, &[], false);
        }
    }

    fn throttle(&mut self, fresh: Vec<Candidate>, held: Vec<Candidate>, repeats: &[Known], unsent: Option<Notice>) {
        let named = |n: &Notice| n.items.iter().map(|i| i.alerts as usize).sum::<usize>();
        let room = unsent
            .as_ref()
            .map_or(0, |n| MESSAGE_ALERTS_MAX.saturating_sub(named(n)));
        let waits = Waits {
            held,
            fresh,
            repeats: !repeats.is_empty(),
            room,
        };
        let Plan {
            out,
            held,
            held_until,
            slot,
        } = throttle::plan(self.slot(), self.now, waits);
        for c in &held {
            self.change(c, DeliveryState::Held, c.delivery.reason.clone(), Some(held_until));
        }
        self.take_slot(slot);
        match out {
            Out::Nothing => {}
            Out::News(alerts) => self.send(NoticeKind::Alert, &alerts, &[], true),
            Out::Digest(alerts) => self.send(NoticeKind::Digest, &alerts, repeats, true),
            Out::Passes { alerts, is_news: true } => self.send(NoticeKind::Alert, &alerts, &[], false),
            Out::Passes { alerts, is_news: false } => self.send(NoticeKind::Digest, &alerts, &[], false),
            Out::Joins(alerts) => self.join(unsent, &alerts),
        }
    }

    /// Named in a message that nobody has tried to send yet.
    fn join(&mut self, unsent: Option<Notice>, alerts: &[Candidate]) {
        let Some(mut notice) = unsent else { return };
        let mut items: BTreeMap<IncidentId, NoticeItem> = notice.items.drain(..).map(|i| (i.incident, i)).collect();
        self.name(&mut items, alerts, &[]);
        notice.items = in_order(items);
        notice.priority = most_urgent(&notice.items);
        if notice.items.len() > 1 {
            notice.kind = NoticeKind::Digest;
        }
        self.decision.joined = Some((notice, alerts.iter().map(|c| c.delivery.id).collect()));
    }

    /// History, one route at a time: the first whose last find has settled.
    fn summarise(&mut self, history: Vec<Candidate>) {
        let mut routes: BTreeMap<_, Vec<Candidate>> = BTreeMap::new();
        for c in history {
            routes.entry(c.delivery.route.clone()).or_default().push(c);
        }
        for found in routes.into_values() {
            let due = throttle::history_due(found.iter().map(|c| c.delivery.created_at), self.now);
            let blocked = !self.at_once && self.slot().is_blocked(self.now);
            if due <= self.now && !blocked {
                self.send(NoticeKind::Summary, &found, &[], !self.at_once);
                continue;
            }
            let due = match self.slot().open_until(self.now) {
                Some(end) if blocked => due.max(end),
                _ => due,
            };
            for c in &found {
                self.change(c, DeliveryState::Held, c.delivery.reason.clone(), Some(due));
            }
        }
    }

    /// Adds these to what a message says of each incident.
    fn name(&mut self, items: &mut BTreeMap<IncidentId, NoticeItem>, candidates: &[Candidate], repeats: &[Known]) {
        let mut newest: BTreeMap<IncidentId, Timestamp> = BTreeMap::new();
        for c in candidates {
            let (alert, incident) = (&c.alert, &c.incident);
            let told = self.told.get(&incident.id).copied();
            let item = items.entry(incident.id).or_insert_with(|| NoticeItem {
                reason: alert.reason,
                text: alert.text.clone(),
                context: alert.context.clone(),
                at: alert.at,
                received_at: alert.received_at,
                ..item_of(incident, told)
            });
            (item.count, item.further) = (incident.count, further(incident, told));
            item.alerts += 1;
            // A window that was ended early held it until now.
            let muted_until = c.delivery.muted_until.map(|until| until.min(self.now));
            item.muted_until = item.muted_until.max(muted_until);
            if telling(alert.reason) < telling(item.reason) {
                item.reason = alert.reason;
            }
            let newest = newest.entry(incident.id).or_insert(alert.at);
            if alert.at >= *newest {
                *newest = alert.at;
                (item.text, item.context) = (alert.text.clone(), alert.context.clone());
            }
            if let Some(device) = &alert.context.device
                && item.devices.len() < DEVICES_SHOWN
                && !item.devices.contains(device)
            {
                item.devices.push(device.clone());
            }
            item.at = item.at.min(alert.at);
            item.received_at = item.received_at.min(alert.received_at);
        }
        for k in repeats {
            let item = items.entry(k.incident.id).or_insert_with(|| NoticeItem {
                received_at: self.now,
                ..item_of(&k.incident, Some(k.told.count))
            });
            // Of what has come back since, that is the news.
            item.is_unshelved |= k.is_unshelved() && item.reason == AlertReason::Repeat;
        }
    }

    fn send(&mut self, kind: NoticeKind, candidates: &[Candidate], repeats: &[Known], claims_slot: bool) {
        let mut items = BTreeMap::new();
        self.name(&mut items, candidates, repeats);
        for k in repeats {
            // Should the message die, the next look is not at once: its successor would die in the same way.
            let next = (!self.at_once).then(|| self.now.plus(throttle::repeat_after(1)));
            self.decision.repeats.push((k.incident.id, next));
        }
        for item in items.values() {
            self.told.insert(item.incident, item.count);
            self.decision
                .reminded
                .extend(item.unshelved_at.map(|at| (item.incident, at)));
        }
        let items = in_order(items);
        let deliveries: Vec<_> = candidates.iter().map(|c| c.delivery.id).collect();
        let id = notice_id(&self.decision.target, &deliveries, &items, self.now);
        let notice = Notice {
            id,
            target: self.decision.target.clone(),
            kind,
            route: candidates.first().map(|c| c.delivery.route.clone()),
            priority: most_urgent(&items),
            items,
            claims_slot,
            state: NoticeState::Queued,
            attempts: 0,
            due: self.now,
            answer: None,
            created_at: self.now,
            finished_at: None,
        };
        self.decision.notices.push((notice, deliveries));
        // A message on its way holds the next one back.
        self.decision.slot.unfinished += 1;
        if claims_slot {
            self.decision.slot.window_end = Some(self.now.plus(THROTTLE_WINDOW));
            self.decision.slot.passes = 0;
        }
    }
}

/// What can be said of an incident without an alert: it goes on.
fn item_of(incident: &Incident, told: Option<u64>) -> NoticeItem {
    NoticeItem {
        incident: incident.id,
        priority: incident.priority,
        opened_at: incident.opened_at,
        reason: AlertReason::Repeat,
        alerts: 0,
        text: incident.title.clone(),
        context: AlertContext {
            error_type: incident.error_type.clone(),
            source: incident.source.clone(),
            device: incident.device.clone(),
            area: incident.area.clone(),
            site: None,
            user: incident.user.clone(),
            application: incident.application.clone(),
            level: incident.max_level,
        },
        devices: Vec::new(),
        unshelved_at: incident.unshelved_at,
        is_unshelved: false,
        at: incident.last_at,
        received_at: incident.last_at,
        count: incident.count,
        further: further(incident, told),
        muted_until: None,
    }
}

/// Records that the target has not been notified of, where it knows the incident.
fn further(incident: &Incident, told: Option<u64>) -> u64 {
    told.map_or(0, |n| incident.count.saturating_sub(n))
}

/// The most urgent first; of equals news before repeats, then the oldest.
fn in_order(items: BTreeMap<IncidentId, NoticeItem>) -> Vec<NoticeItem> {
    let mut items: Vec<NoticeItem> = items.into_values().collect();
    items.sort_by_key(|i| {
        let is_repeat = i.reason == AlertReason::Repeat;
        (i.priority, is_repeat, i.opened_at, i.incident)
    });
    items
}

fn most_urgent(items: &[NoticeItem]) -> Priority {
    items.iter().map(|i| i.priority).min().unwrap_or(Priority::P4)
}

fn telling(reason: AlertReason) -> u8 {
    match reason {
        AlertReason::Opened => 0,
        AlertReason::Reopened => 1,
        AlertReason::Raised => 2,
        AlertReason::NewFault => 3,
        AlertReason::Repeat => 4,
    }
}

/// Made of what the notice tells, so that deciding again after a crash makes the same. A digest of repeats alone has no deliveries
/// to tell it by, and is told from its predecessors by its time.
fn notice_id(target: &Target, deliveries: &[DeliveryId], items: &[NoticeItem], now: Timestamp) -> NoticeId {
    let mut text = target.key().into_bytes();
    for d in deliveries {
        text.extend_from_slice(&d.0.to_be_bytes());
    }
    if deliveries.is_empty() {
        for i in items {
            text.extend_from_slice(&i.incident.0.to_be_bytes());
            text.extend_from_slice(&now.as_micros().to_be_bytes());
        }
    }
    NoticeId(xxhash_rust::xxh3::xxh3_128(&text))
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
