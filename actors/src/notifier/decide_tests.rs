//! Decisions over generated histories, against what must hold of any of them.

use super::super::expand::incident_unknown;
use super::*;
use andon_engine::ids::{AlertId, RouteId};
use andon_engine::limits::THROTTLE_PASSES_MAX;
use andon_storage::ports::deliveries::ChannelKind;
use proptest::prelude::*;
use std::collections::BTreeSet;

#[derive(Clone, Debug)]
enum Event {
    Wait {
        secs: i64,
    },
    Alert {
        incident: u8,
        passes: bool,
        historical: bool,
    },
    Repeats {
        incident: u8,
        n: u64,
    },
    Normal {
        incident: u8,
    },
    Mute {
        secs: i64,
    },
    Unmute,
    /// A person shelves an incident, or ends that.
    Shelve {
        incident: u8,
        secs: i64,
    },
    Unshelve {
        incident: u8,
    },
    /// What the mail server does from now on.
    Server(Server),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Server {
    Takes,
    Hangs,
    Refuses,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        6 => (1..200_i64).prop_map(|secs| Event::Wait { secs }),
        1 => (200..20_000_i64).prop_map(|secs| Event::Wait { secs }),
        6 => (0..5_u8, prop::bool::weighted(0.3), prop::bool::weighted(0.1))
            .prop_map(|(incident, passes, historical)| Event::Alert { incident, passes, historical }),
        3 => (0..5_u8, 1..500_u64).prop_map(|(incident, n)| Event::Repeats { incident, n }),
        1 => (0..5_u8).prop_map(|incident| Event::Normal { incident }),
        1 => (1..2_000_i64).prop_map(|secs| Event::Mute { secs }),
        1 => Just(Event::Unmute),
        1 => (0..5_u8, 1..2_000_i64).prop_map(|(incident, secs)| Event::Shelve { incident, secs }),
        1 => (0..5_u8).prop_map(|incident| Event::Unshelve { incident }),
        1 => prop_oneof![Just(Server::Takes), Just(Server::Hangs), Just(Server::Refuses)].prop_map(Event::Server),
    ];
    prop::collection::vec(event, 1..120)
}

/// The rows of one target, as the store keeps them.
struct World {
    target: Target,
    now: Timestamp,
    slot: Slot,
    /// Which notice opened the window.
    opened: Option<NoticeId>,
    incidents: BTreeMap<u8, Incident>,
    deliveries: BTreeMap<DeliveryId, (Delivery, Arc<Alert>)>,
    told: BTreeMap<IncidentId, Told>,
    unfinished: Vec<(Notice, Vec<DeliveryId>)>,
    noticed: BTreeSet<DeliveryId>,
    /// When messages were taken, and whether each opened a window.
    sent: Vec<(Timestamp, bool)>,
    muted_until: Option<Timestamp>,
    server: Server,
    positions: u64,
}

impl World {
    fn new() -> Self {
        Self {
            target: Target::new(ChannelKind::Email, "anna@plant.example"),
            now: Timestamp(1_700_000_000_000_000),
            slot: Slot::default(),
            opened: None,
            incidents: BTreeMap::new(),
            deliveries: BTreeMap::new(),
            told: BTreeMap::new(),
            unfinished: Vec::new(),
            noticed: BTreeSet::new(),
            sent: Vec::new(),
            muted_until: None,
            server: Server::Takes,
            positions: 0,
        }
    }

    fn incident(&mut self, n: u8) -> &mut Incident {
        let now = self.now;
        self.incidents
            .entry(n)
            .or_insert_with(|| incident_unknown(&alert(n, now, 0, false, false)))
    }

    fn apply(&mut self, event: &Event) {
        match *event {
            Event::Wait { secs } => self.now = self.now.plus(Span::secs(secs)),
            Event::Alert {
                incident,
                passes,
                historical,
            } => {
                self.positions += 1;
                let alert = alert(incident, self.now, self.positions, passes, historical);
                let i = self.incident(incident);
                i.count += 1;
                i.activity = Activity::Active;
                let delivery = Delivery {
                    id: DeliveryId::of(alert.id, &self.target),
                    alert: alert.id,
                    incident: alert.incident,
                    target: self.target.clone(),
                    route: RouteId::new("default"),
                    position: alert.position,
                    priority: alert.priority,
                    passes_throttle: passes,
                    historical,
                    state: DeliveryState::Waiting,
                    reason: None,
                    due: None,
                    muted_until: None,
                    notice: None,
                    created_at: self.now,
                    updated_at: self.now,
                };
                self.deliveries.insert(delivery.id, (delivery, Arc::new(alert)));
            }
            Event::Repeats { incident, n } => self.incident(incident).count += n,
            Event::Normal { incident } => self.incident(incident).activity = Activity::ReturnedToNormal,
            Event::Mute { secs } => self.muted_until = Some(self.now.plus(Span::secs(secs))),
            Event::Unmute => {
                self.muted_until = None;
                // The configuration has changed: everything muted is looked at again.
                for (d, _) in self
                    .deliveries
                    .values_mut()
                    .filter(|(d, _)| d.state == DeliveryState::Muted)
                {
                    d.due = d.due.map(|t| t.min(self.now));
                }
            }
            Event::Shelve { incident, secs } => {
                let until = self.now.plus(Span::secs(secs));
                let by: Arc<str> = Arc::from("lena");
                let reason = by.clone();
                self.incident(incident).shelved = Some(andon_engine::incident::Shelving { until, by, reason });
            }
            Event::Unshelve { incident } => {
                let now = self.now;
                self.unshelve(incident, now);
            }
            Event::Server(s) => self.server = s,
        }
    }

    fn unshelve(&mut self, incident: u8, now: Timestamp) {
        let i = self.incident(incident);
        if i.shelved.take().is_some() {
            i.unshelved_at = Some(now);
            let id = i.id;
            // As the store does it.
            let of_it = self.deliveries.values_mut().filter(|(d, _)| d.incident == id);
            for (d, _) in of_it.filter(|(d, _)| d.reason.as_deref() == Some("shelved")) {
                d.due = d.due.map(|t| t.min(now));
            }
        }
    }

    fn muted(&self, incident: &Incident) -> Option<Muted> {
        if let Some(s) = incident.shelved.as_ref().filter(|s| s.until > self.now) {
            return Some(Muted {
                by: "shelved".to_owned(),
                until: s.until,
            });
        }
        let until = self.muted_until.filter(|u| *u > self.now)?;
        Some(Muted {
            by: "window".to_owned(),
            until,
        })
    }

    fn situation(&self) -> Situation {
        let blocked = self.slot.unfinished > 0 || self.slot.window_end.is_some_and(|e| e > self.now);
        let incident = |id| {
            Arc::new(
                self.incidents
                    .values()
                    .find(|i| i.id == id)
                    .expect("it was raised")
                    .clone(),
            )
        };
        let candidate = |(d, a): &(Delivery, Arc<Alert>)| Candidate {
            delivery: d.clone(),
            alert: a.clone(),
            muted: self.muted(&incident(d.incident)),
            incident: incident(d.incident),
        };
        let mut notices = self.unfinished.iter().rev().map(|(n, _)| n);
        let unsent = notices.find(|n| n.attempts == 0 && n.kind != NoticeKind::Summary);
        let is_unshelved = |t: &Told| {
            let i = incident(t.incident);
            i.activity == Activity::Active && i.unshelved_at.is_some() && i.unshelved_at != t.unshelved_at
        };
        let due = |d: &Delivery| d.due.is_some_and(|t| t <= self.now);
        let all = || self.deliveries.values();
        let undecided =
            all().filter(|(d, _)| d.state == DeliveryState::Waiting || (d.state == DeliveryState::Muted && due(d)));
        let held = all().filter(|(d, _)| d.state == DeliveryState::Held && (!blocked || unsent.is_some()));
        let repeats = self
            .told
            .values()
            .filter(|t| !blocked && (is_unshelved(t) || t.next_repeat_at.is_some_and(|n| n <= self.now)));
        Situation {
            target: self.target.clone(),
            at_once: false,
            slot: self.slot.clone(),
            unsent: unsent.cloned(),
            undecided: undecided.map(candidate).collect(),
            held: held.map(candidate).collect(),
            repeats: repeats
                .map(|t| Known {
                    told: t.clone(),
                    muted: self.muted(&incident(t.incident)),
                    incident: incident(t.incident),
                })
                .collect(),
            told: self.told.iter().map(|(id, t)| (*id, t.count)).collect(),
        }
    }

    /// Decides and sends until nothing changes, as a step does.
    fn step(&mut self) {
        let now = self.now;
        for n in self.incidents.keys().copied().collect::<Vec<_>>() {
            if self.incident(n).shelved.as_ref().is_some_and(|s| s.until <= now) {
                self.unshelve(n, now);
            }
        }
        for round in 0.. {
            assert!(round < 20, "decisions at one moment come to an end");
            let decided = self.decide();
            let sends = !self.unfinished.is_empty() && self.server != Server::Hangs;
            if !decided && !sends {
                return;
            }
            if self.server == Server::Hangs {
                for (notice, _) in &mut self.unfinished {
                    notice.attempts += 1;
                }
            } else {
                for (notice, deliveries) in std::mem::take(&mut self.unfinished) {
                    self.finish(notice, &deliveries);
                }
            }
            self.slot.unfinished = self.unfinished.len() as u32;
        }
    }

    fn decide(&mut self) -> bool {
        let decided = decide(self.situation(), self.now);
        decided.map(|d| self.commit(d)).is_some()
    }

    fn commit(&mut self, d: Decision) {
        let unfinished = self.slot.unfinished;
        self.slot = Slot {
            version: self.slot.version + 1,
            unfinished,
            ..d.slot
        };
        for c in d.changes {
            let (row, _) = self.deliveries.get_mut(&c.id).expect("a change of a row that is there");
            assert!(!matches!(
                row.state,
                DeliveryState::Noticed | DeliveryState::Sent | DeliveryState::Dead
            ));
            (row.state, row.reason, row.due, row.muted_until) = (c.state, c.reason, c.due, c.muted_until);
        }
        for (incident, next) in d.repeats {
            self.told
                .get_mut(&incident)
                .expect("repeats of what was told")
                .next_repeat_at = next;
        }
        for (incident, at) in d.reminded {
            if let Some(told) = self.told.get_mut(&incident) {
                told.unshelved_at = Some(at);
            }
        }
        if let Some((notice, more)) = d.joined {
            self.take_up(&more);
            let (waits, deliveries) = self
                .unfinished
                .iter_mut()
                .find(|(n, _)| n.id == notice.id && n.attempts == 0)
                .expect("one that waits");
            let named: u32 = notice.items.iter().map(|i| i.alerts).sum();
            deliveries.extend(more);
            assert_eq!(named as usize, deliveries.len());
            *waits = notice;
        }
        for (notice, deliveries) in d.notices {
            assert!(
                self.muted_until.is_none_or(|u| u <= self.now),
                "nothing goes out while a window covers everything"
            );
            assert!(!notice.items.is_empty());
            self.take_up(&deliveries);
            for item in &notice.items {
                let before = self.told.get(&item.incident).map(|t| t.count);
                assert_eq!(
                    item.further,
                    before.map_or(0, |n| item.count - n),
                    "repeats are counted from what was told"
                );
                let is_something = item.alerts > 0 || item.further > 0 || item.is_unshelved;
                assert!(is_something, "no message about nothing");
                let shelved = self
                    .incidents
                    .values()
                    .find(|i| i.id == item.incident)
                    .and_then(|i| i.shelved.as_ref());
                assert!(
                    shelved.is_none_or(|s| s.until <= self.now),
                    "nothing of what is shelved goes out"
                );
            }
            if notice.claims_slot {
                self.opened = Some(notice.id);
            }
            self.unfinished.push((notice, deliveries));
        }
        self.slot.unfinished = self.unfinished.len() as u32;
    }

    fn take_up(&mut self, deliveries: &[DeliveryId]) {
        for id in deliveries {
            assert!(self.noticed.insert(*id), "a delivery is in one message only");
            let (row, _) = self.deliveries.get_mut(id).expect("a row that is there");
            (row.state, row.due) = (DeliveryState::Noticed, None);
        }
    }

    fn finish(&mut self, notice: Notice, deliveries: &[DeliveryId]) {
        let taken = self.server == Server::Takes;
        let state = if taken {
            DeliveryState::Sent
        } else {
            DeliveryState::Dead
        };
        for id in deliveries {
            self.deliveries.get_mut(id).expect("a row that is there").0.state = state;
        }
        if self.opened == Some(notice.id) {
            self.slot.window_end = taken.then(|| self.now.plus(THROTTLE_WINDOW));
        }
        if !taken {
            return;
        }
        self.sent.push((self.now, notice.claims_slot));
        for item in &notice.items {
            let repeats = match item.reason {
                AlertReason::Repeat => self.told.get(&item.incident).map_or(0, |t| t.repeats) + 1,
                _ => 0,
            };
            let wait = throttle::repeat_after(repeats);
            let told = Told {
                target: self.target.clone(),
                incident: item.incident,
                count: item.count,
                told_at: self.now,
                repeats,
                next_repeat_at: (notice.kind != NoticeKind::Summary).then(|| self.now.plus(wait)),
                subject: String::new(),
                unshelved_at: item.unshelved_at,
            };
            self.told.insert(item.incident, told);
        }
    }
}

fn alert(incident: u8, at: Timestamp, position: u64, passes: bool, historical: bool) -> Alert {
    Alert {
        id: AlertId(u128::from(position)),
        incident: IncidentId(u128::from(incident)),
        reason: if position == 1 {
            AlertReason::Opened
        } else {
            AlertReason::NewFault
        },
        priority: Priority::P2,
        context: AlertContext::default(),
        at,
        received_at: at,
        position: Position {
            seq: position,
            index: 0,
        },
        passes_throttle: passes,
        historical,
        text: Arc::from("it broke"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_person_is_told_of_everything_once_and_not_too_often(events in events()) {
        let mut w = World::new();
        for e in &events {
            w.apply(e);
            match e {
                Event::Wait { .. } => w.step(),
                // What comes at one moment is decided on before anything is sent.
                _ => drop(w.decide()),
            }
        }
        // Then all is well for a while, and everything comes to its end.
        w.apply(&Event::Unmute);
        w.apply(&Event::Server(Server::Takes));
        for _ in 0..60 {
            w.step();
            w.apply(&Event::Wait { secs: 60 });
        }
        for (d, _) in w.deliveries.values() {
            let active = w.incidents.values().any(|i| i.id == d.incident && i.activity == Activity::Active);
            let over = d.state == DeliveryState::Muted && d.due.is_none();
            prop_assert!(
                matches!(d.state, DeliveryState::Sent | DeliveryState::Dead) || (over && d.reason.is_some()),
                "{:?} (its incident is {}active)", d, if active { "" } else { "not " }
            );
        }
        let windows: Vec<Timestamp> = w.sent.iter().filter(|(_, opens)| *opens).map(|(t, _)| *t).collect();
        for pair in windows.windows(2) {
            prop_assert!(pair[1].since(pair[0]) >= THROTTLE_WINDOW, "{:?}", pair);
        }
        // What passes the throttle is bounded too. Any five minutes touch two windows, and each is opened by a message.
        for (i, (from, _)) in w.sent.iter().enumerate() {
            let within = w.sent[i..].iter().filter(|(t, _)| t.since(*from) < THROTTLE_WINDOW).count();
            prop_assert!(within as u32 <= 2 * (THROTTLE_PASSES_MAX + 1), "{within} messages in five minutes");
        }
    }
}
