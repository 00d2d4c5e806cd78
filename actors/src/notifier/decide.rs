//! What to send to one target now, what to hold, and until when. Pure: `(what is known, now) -> Decision`.
//!
//! The rules, in the order in which they are asked:
//! 1. A mute window (or shelving) keeps a delivery. When it ends, a fault that still holds is told, with "was muted until now";
//!    one that is over stays as a record only.
//! 2. History waits until no more of it comes, and is told as one summary per route.
//! 3. While the target has no open window, everything that is ready goes out in one message, which opens a window.
//! 4. While it has one, only what may pass the throttle ([`throttle::decide`]) goes out; the rest is held.
//! 5. At the window's end one digest carries what was held, and repeats that are due by number.
//!
//! A message that is still being retried counts as an open window: when a mail server comes back after an hour, a person gets the
//! one that waited and then one digest.

use andon_engine::effect::{Alert, AlertReason};
use andon_engine::ids::IncidentId;
use andon_engine::incident::{Activity, Incident};
use andon_engine::limits::{REPEAT_SECOND_AFTER, THROTTLE_WINDOW};
use andon_engine::throttle;
use andon_engine::time::{Span, Timestamp};
use andon_storage::ports::deliveries::{
    ChannelKind, Decision, Delivery, DeliveryChange, DeliveryId, DeliveryState, Notice, NoticeId, NoticeItem,
    NoticeKind, NoticeState, Slot, Target, Told,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// History goes out when none has come for this long, or when the first has waited for [`HISTORY_WAIT_MAX`].
pub(super) const HISTORY_SETTLES: Span = Span::mins(1);
pub(super) const HISTORY_WAIT_MAX: Span = Span::mins(10);
/// While this many messages of a target are waiting to get through, nothing is added to them but by digest.
const UNFINISHED_MAX: u32 = 3;
/// Deliveries that one message takes up; the rest is in the next.
pub(super) const NOTICE_DELIVERIES_MAX: u32 = 1_000;

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

/// An incident that the target knows, whose repeats are to be looked at.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) told: Told,
    pub(super) incident: Arc<Incident>,
    pub(super) muted: Option<Muted>,
}

#[derive(Debug)]
pub(super) struct Situation {
    pub(super) target: Target,
    pub(super) slot: Slot,
    /// Waiting, or muted and due.
    pub(super) undecided: Vec<Candidate>,
    pub(super) held: Vec<Candidate>,
    pub(super) repeats: Vec<Known>,
    /// Records of each incident that the target was told of.
    pub(super) told: BTreeMap<IncidentId, u64>,
}

/// `None`: nothing changes.
pub(super) fn decide(situation: Situation, now: Timestamp) -> Option<Decision> {
    let Situation {
        target,
        slot,
        undecided,
        held,
        repeats,
        told,
    } = situation;
    let mut d = Decider {
        throttled: target.kind != ChannelKind::Webhook,
        blocked: slot.unfinished > 0 || slot.window_end.is_some_and(|end| end > now),
        decision: Decision {
            version: slot.version,
            slot: slot.clone(),
            target,
            changes: Vec::new(),
            notices: Vec::new(),
            repeats: Vec::new(),
        },
        told,
        now,
    };
    let mut fresh = Vec::new();
    let mut history = Vec::new();
    for c in undecided {
        if let Some(c) = d.unmuted(c) {
            if c.delivery.historical {
                history.push(c)
            } else {
                fresh.push(c)
            }
        }
    }
    let mut kept = Vec::new();
    for c in held {
        // A window may have opened since it was held.
        if let Some(c) = d.unmuted(c) {
            if c.delivery.historical {
                history.push(c)
            } else {
                kept.push(c)
            }
        }
    }
    let repeats = d.repeats(repeats);
    if d.throttled {
        d.throttle(fresh, kept, &repeats)
    } else {
        d.each(fresh)
    }
    d.summarise(history);
    let nothing = d.decision.changes.is_empty() && d.decision.notices.is_empty() && d.decision.repeats.is_empty();
    (!nothing).then_some(d.decision)
}

struct Decider {
    throttled: bool,
    blocked: bool,
    decision: Decision,
    told: BTreeMap<IncidentId, u64>,
    now: Timestamp,
}

impl Decider {
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

    /// Which of what the target knows has come again; settles when to look next at the others.
    fn repeats(&mut self, known: Vec<Known>) -> Vec<Known> {
        let mut grown = Vec::new();
        for k in known {
            let more = k.incident.count > k.told.count;
            let acknowledged = k.incident.acknowledged.is_some() && k.told.repeats > 0;
            let next = match &k.muted {
                Some(m) => Some(m.until.max(self.now.plus(Span::secs(1)))),
                // Somebody has taken it: after the one digest that was due no reminders follow.
                None if acknowledged => None,
                None if more => {
                    grown.push(k);
                    continue;
                }
                // Told never: as if the first window ended again. Told before: not before the usual time.
                None if k.incident.activity == Activity::Active && k.told.repeats == 0 => {
                    Some(self.now.plus(THROTTLE_WINDOW))
                }
                None if k.incident.activity == Activity::Active => Some(self.now.plus(REPEAT_SECOND_AFTER)),
                None => None,
            };
            self.decision.repeats.push((k.told.incident, next));
        }
        grown
    }

    /// A machine gets each alert as it comes.
    fn each(&mut self, fresh: Vec<Candidate>) {
        for c in fresh {
            self.send(NoticeKind::Alert, &[c], &[], false);
        }
    }

    fn throttle(&mut self, fresh: Vec<Candidate>, held: Vec<Candidate>, repeats: &[Known]) {
        if !self.blocked {
            let one_record = fresh
                .windows(2)
                .all(|w| w[0].delivery.position == w[1].delivery.position);
            if held.is_empty() && !fresh.is_empty() && one_record {
                // News of one record goes out by itself; repeats that are due wait for this window's end.
                self.send(NoticeKind::Alert, &fresh, &[], true);
            } else if !(held.is_empty() && fresh.is_empty() && repeats.is_empty()) {
                let mut all = held;
                all.extend(fresh);
                self.send(NoticeKind::Digest, &all, repeats, true);
            }
            return;
        }
        let end = self.decision.slot.window_end.unwrap_or(self.now);
        let slot = throttle::Slot {
            window_end: end,
            passed: self.decision.slot.passes,
        };
        let asked = throttle::Candidate {
            reason: AlertReason::Opened,
            passes_throttle: true,
        };
        // All that may pass goes out in one message, so one question answers for all.
        let new_slot = match throttle::decide(Some(&slot), self.now, asked) {
            throttle::Decision::SendNow { new_slot } if self.decision.slot.unfinished < UNFINISHED_MAX => {
                Some(new_slot)
            }
            _ => None,
        };
        let (passing, staying): (Vec<_>, Vec<_>) = held
            .into_iter()
            .chain(fresh)
            .partition(|c| new_slot.is_some() && c.delivery.passes_throttle);
        for c in &staying {
            self.change(c, DeliveryState::Held, c.delivery.reason.clone(), Some(end));
        }
        if let Some(new_slot) = new_slot.filter(|_| !passing.is_empty()) {
            let one_record = passing
                .windows(2)
                .all(|w| w[0].delivery.position == w[1].delivery.position);
            let kind = if one_record {
                NoticeKind::Alert
            } else {
                NoticeKind::Digest
            };
            self.send(kind, &passing, &[], false);
            self.decision.slot.passes = new_slot.passed;
        }
    }

    /// History, one route at a time: the first whose last find has settled.
    fn summarise(&mut self, history: Vec<Candidate>) {
        let mut routes: BTreeMap<_, Vec<Candidate>> = BTreeMap::new();
        for c in history {
            routes.entry(c.delivery.route.clone()).or_default().push(c);
        }
        for found in routes.into_values() {
            let times = || found.iter().map(|c| c.delivery.created_at);
            let settled = times().max().map_or(self.now, |t| t.plus(HISTORY_SETTLES));
            let at_last = times().min().map_or(self.now, |t| t.plus(HISTORY_WAIT_MAX));
            let due = settled.min(at_last);
            if due <= self.now && !(self.throttled && self.blocked) {
                self.send(NoticeKind::Summary, &found, &[], self.throttled);
                continue;
            }
            let due = match self.decision.slot.window_end {
                Some(end) if self.throttled && self.blocked => due.max(end),
                _ => due,
            };
            for c in &found {
                self.change(c, DeliveryState::Held, c.delivery.reason.clone(), Some(due));
            }
        }
    }

    fn send(&mut self, kind: NoticeKind, candidates: &[Candidate], repeats: &[Known], claims_slot: bool) {
        let mut items: BTreeMap<IncidentId, (NoticeItem, Arc<Incident>, Timestamp)> = BTreeMap::new();
        for c in candidates {
            let told = self.told.get(&c.incident.id).copied();
            let (item, _, newest) = items.entry(c.incident.id).or_insert_with(|| {
                let item = NoticeItem {
                    incident: c.incident.id,
                    reason: c.alert.reason,
                    alerts: 0,
                    text: c.alert.text.clone(),
                    at: c.alert.at,
                    received_at: c.alert.received_at,
                    count: c.incident.count,
                    further: told.map_or(0, |n| c.incident.count.saturating_sub(n)),
                    muted_until: c.delivery.muted_until,
                };
                (item, c.incident.clone(), c.alert.at)
            });
            item.alerts += 1;
            item.muted_until = item.muted_until.max(c.delivery.muted_until);
            if telling(c.alert.reason) < telling(item.reason) {
                item.reason = c.alert.reason;
            }
            if c.alert.at >= *newest {
                *newest = c.alert.at;
                item.text = c.alert.text.clone();
            }
            item.at = item.at.min(c.alert.at);
            item.received_at = item.received_at.min(c.alert.received_at);
        }
        for k in repeats {
            items.entry(k.incident.id).or_insert_with(|| {
                let item = NoticeItem {
                    incident: k.incident.id,
                    reason: AlertReason::Repeat,
                    alerts: 0,
                    text: k.incident.title.clone(),
                    at: k.incident.last_at,
                    received_at: self.now,
                    count: k.incident.count,
                    further: k.incident.count.saturating_sub(k.told.count),
                    muted_until: None,
                };
                (item, k.incident.clone(), k.incident.last_at)
            });
        }
        let mut items: Vec<_> = items.into_values().collect();
        // The most urgent first; of equals news before repeats, then the oldest.
        items.sort_by_key(|(item, incident, _)| {
            (
                incident.priority,
                telling(item.reason) == telling(AlertReason::Repeat),
                incident.opened_at,
                incident.id,
            )
        });
        for k in repeats {
            // Should the message die, the next look is not at once: its successor would die in the same way.
            self.decision
                .repeats
                .push((k.incident.id, Some(self.now.plus(REPEAT_SECOND_AFTER))));
        }
        for (_, incident, _) in &items {
            self.told.insert(incident.id, incident.count);
        }
        let items: Vec<NoticeItem> = items.into_iter().map(|(item, ..)| item).collect();
        let deliveries: Vec<_> = candidates.iter().map(|c| c.delivery.id).collect();
        let id = notice_id(&self.decision.target, &deliveries, &items, self.now);
        let notice = Notice {
            id,
            target: self.decision.target.clone(),
            kind,
            route: candidates.first().map(|c| c.delivery.route.clone()),
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
        if claims_slot {
            let opened = throttle::Slot::opened_at(self.now);
            self.decision.slot.window_end = Some(opened.window_end);
            self.decision.slot.passes = opened.passed;
            self.blocked = true;
        }
    }
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
