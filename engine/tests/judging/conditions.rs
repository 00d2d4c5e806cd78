//! What a subject has seen under one rule, as lists, and what follows from them by the definition.

use crate::incidents::{Begun, Event};
use andon_engine::condition::limit_state::{LimitChange, LimitState};
use andon_engine::level::Level;
use andon_engine::limits::{LATENESS, RECENT_FINGERPRINTS_MAX, WINDOW_ENTRIES_MAX};
use andon_engine::rule::{Condition, Limit, Rule};
use andon_engine::time::{Span, Timestamp};

/// The shortest time after which a condition that held no longer does.
const INSTANT: Span = Span::micros(1);

/// When time alone changes something: in event time, on the wall, or when both have come.
#[derive(Clone, Copy, Debug)]
pub enum Due {
    Event(Timestamp),
    Wall(Timestamp),
    Both(Timestamp, Timestamp),
}

#[derive(Clone, Copy, Debug)]
pub struct Now {
    pub event: Timestamp,
    pub received: Timestamp,
}

/// The present incident as far as a condition has to know it.
#[derive(Clone, Copy)]
pub struct Present<'a> {
    pub is_active: bool,
    /// Since when its newest occurrence lasts, or until when it lasted.
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
    /// Does an ended occurrence of it have this time?
    pub has_ended: &'a dyn Fn(Timestamp) -> bool,
}

#[derive(Clone, Debug)]
pub enum Seen {
    Count(Count),
    Limit(LimitSeen),
    /// Nothing: of a rule that ended, or that is judged elsewhere.
    Nothing,
}

/// What a record or time brought.
#[derive(Clone, Debug)]
pub enum Finding {
    Breach(Breach),
    /// A record that belongs where its time lies.
    Record(Event),
    Normal(Timestamp),
}

#[derive(Clone, Debug)]
pub struct Breach {
    pub begun: Begun,
    /// The last instant at which it is known to hold, if one is known.
    pub until: Option<Timestamp>,
    pub is_over: bool,
    pub event: Event,
}

impl Seen {
    pub fn new(condition: &Condition) -> Seen {
        match condition {
            Condition::Count { .. } => Seen::Count(Count::default()),
            Condition::Limit(_) => Seen::Limit(LimitSeen::default()),
            Condition::Silence { .. } => Seen::Nothing,
        }
    }

    pub fn fits(&self, condition: &Condition) -> bool {
        match condition {
            Condition::Count { .. } => matches!(self, Seen::Count(_)),
            Condition::Limit(_) => matches!(self, Seen::Limit(_)),
            Condition::Silence { .. } => matches!(self, Seen::Nothing),
        }
    }

    pub fn is_quiet(&self, event_now: Option<Timestamp>) -> bool {
        match self {
            Seen::Count(c) => c.times.is_empty() && c.holds_until.is_none(),
            Seen::Limit(l) => {
                l.state == LimitState::default() || event_now.is_some_and(|now| l.state.is_forgettable(now))
            }
            Seen::Nothing => true,
        }
    }

    pub fn advance(&mut self, rule: &Rule, now: Now) -> Vec<Finding> {
        match (self, &rule.condition) {
            (Seen::Count(c), Condition::Count { within, .. }) => c.advance(*within, rule, now),
            (Seen::Limit(l), Condition::Limit(limit)) => l.advance(limit, rule, now),
            _ => Vec::new(),
        }
    }

    pub fn step_back(&mut self, rule: &Rule, at: Timestamp) {
        match (self, &rule.condition) {
            (Seen::Count(c), Condition::Count { within, .. }) => {
                c.times.retain(|t| t.at <= at);
                c.holds_until = c.holds_until.map(|h| h.min(at.plus(*within)));
            }
            (Seen::Limit(l), _) => l.state.clock_stepped(at),
            _ => {}
        }
    }

    pub fn due(&self, rule: &Rule) -> Vec<Due> {
        match (self, &rule.condition) {
            (Seen::Count(c), Condition::Count { within, .. }) => c.due(*within, rule),
            (Seen::Limit(l), Condition::Limit(limit)) => l.due(limit, rule),
            _ => Vec::new(),
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Time {
    at: Timestamp,
    received_at: Timestamp,
    fingerprint: u64,
    level: Option<Level>,
}

#[derive(Clone, Debug, Default)]
pub struct Count {
    /// Ascending; those of one instant as they came.
    times: Vec<Time>,
    /// Every fingerprint that came, as it came.
    fingerprints: Vec<u64>,
    holds_until: Option<Timestamp>,
    newest_receipt: Option<Timestamp>,
}

fn off_delay(rule: &Rule) -> Span {
    rule.off_delay.max(INSTANT)
}

impl Count {
    /// A record that is judged. `in_place`: it came in its place.
    pub fn observe(&mut self, rule: &Rule, event: &Event, now: Now, in_place: bool, present: Present<'_>) -> Finding {
        let Condition::Count { count, within } = rule.condition else {
            unreachable!("of a count rule")
        };
        self.prune(within, now);
        self.fingerprints.push(event.fingerprint);
        self.newest_receipt = self.newest_receipt.max(Some(event.received_at));
        let Some((first, at, until)) = self.add(event, within, count as usize) else {
            return Finding::Record(event.clone());
        };
        let ends = until.plus(off_delay(rule));
        let is_before = present.since.is_some_and(|since| ends < since);
        let is_within = present.until.is_some_and(|until| ends <= until);
        let is_over = ends <= now.event && (!in_place || is_before || is_within);
        if !is_over {
            self.holds_until = self.holds_until.max(Some(until));
        }
        let begun = if is_over || !present.is_active {
            self.begun(event, first, until, present.has_ended)
        } else {
            Begun::with(first, 1)
        };
        Finding::Breach(Breach {
            begun,
            until: Some(until),
            is_over,
            event: Event { at, ..event.clone() },
        })
    }

    /// First event, instant and last instant of the breach that the event is part of, if it is of one.
    fn add(&mut self, event: &Event, within: Span, count: usize) -> Option<(Timestamp, Timestamp, Timestamp)> {
        let added = Time {
            at: event.at,
            received_at: event.received_at,
            fingerprint: event.fingerprint,
            level: event.level,
        };
        self.times.push(added);
        self.times.sort_by_key(|t| t.at);
        if self.times.len() > WINDOW_ENTRIES_MAX && self.times.remove(0).at == event.at {
            // It was the oldest itself, unless another of its instant went instead.
            if self.times.first().is_none_or(|t| t.at > event.at) {
                return None;
            }
        }
        let all: Vec<Timestamp> = self.times.iter().map(|t| t.at).collect();
        let holds = |from: Timestamp, to: Timestamp| {
            let inside = all.partition_point(|t| *t <= to) - all.partition_point(|t| *t < from);
            inside >= count
        };
        let ends = all.iter().filter(|e| **e >= event.at && e.since(event.at) <= within);
        let at = *ends.filter(|e| holds(e.minus(within), **e)).min()?;
        let first = *all.iter().filter(|t| **t >= at.minus(within)).min()?;
        let starts = all.iter().filter(|s| **s <= event.at && event.at.since(**s) <= within);
        let last = *starts.filter(|s| holds(**s, s.plus(within))).max()?;
        Some((first, at, last.plus(within)))
    }

    /// What belongs to an occurrence of `[first, until]`; `ended` says which times an ended occurrence of the incident has.
    fn begun(&self, event: &Event, first: Timestamp, until: Timestamp, ended: &dyn Fn(Timestamp) -> bool) -> Begun {
        let inside: Vec<&Time> = self.times.iter().filter(|t| first <= t.at && t.at <= until).collect();
        let uncounted: Vec<&Time> = inside.iter().copied().filter(|t| !ended(t.at)).collect();
        let is_own_among = !ended(event.at);
        Begun {
            first_at: first,
            records: inside.len() as u64,
            // The event itself is new, wherever its time lies.
            uncounted: uncounted.len() as u64 + u64::from(!is_own_among),
            fingerprints: self.counts(&inside, Some(event.fingerprint)),
            uncounted_fingerprints: self.counts(&uncounted, is_own_among.then_some(event.fingerprint)),
            max_level: inside.iter().filter_map(|t| t.level).max(),
        }
    }

    /// The fingerprints of these times as far as they are remembered, the event's own left out: it counts by itself.
    fn counts(&self, times: &[&Time], own: Option<u64>) -> Vec<(u64, u64)> {
        let mut remembered: Vec<u64> = Vec::new();
        for f in self.fingerprints.iter().rev().filter(|f| **f != 0) {
            if remembered.len() < RECENT_FINGERPRINTS_MAX && !remembered.contains(f) {
                remembered.push(*f);
            }
        }
        let of = |f: &u64| times.iter().filter(|t| t.fingerprint == *f).count() as u64;
        let counts = remembered.iter().map(|f| (*f, of(f) - u64::from(own == Some(*f))));
        counts.filter(|(_, n)| *n > 0).collect()
    }

    /// From the old end, while the oldest is old by event time and by receipt.
    fn prune(&mut self, within: Span, now: Now) {
        let kept = LATENESS.plus(within);
        while let Some(oldest) = self.times.first()
            && oldest.at < now.event.minus(kept)
            && oldest.received_at < now.received.minus(kept)
        {
            self.times.remove(0);
        }
        if self.times.is_empty() {
            self.newest_receipt = None;
        }
    }

    fn advance(&mut self, within: Span, rule: &Rule, now: Now) -> Vec<Finding> {
        let mut found = Vec::new();
        if let Some(holds_until) = self.holds_until
            && holds_until.plus(off_delay(rule)) <= now.event
        {
            self.holds_until = None;
            found.push(Finding::Normal(holds_until.plus(off_delay(rule))));
        }
        self.prune(within, now);
        found
    }

    fn due(&self, within: Span, rule: &Rule) -> Vec<Due> {
        let mut due = Vec::new();
        if let Some(holds_until) = self.holds_until {
            due.push(Due::Event(holds_until.plus(off_delay(rule))));
        }
        if let (Some(newest), Some(receipt)) = (self.times.last(), self.newest_receipt) {
            let kept = LATENESS.plus(within).plus(INSTANT);
            due.push(Due::Both(newest.at.plus(kept), receipt.plus(kept)));
        }
        due
    }
}

#[derive(Clone, Debug, Default)]
pub struct LimitSeen {
    state: LimitState,
    /// How the newest reading came: sent as history, more than an hour old.
    newest: (bool, bool),
}

impl LimitSeen {
    pub fn observe(&mut self, rule: &Rule, event: &Event, value: f64) -> Vec<Finding> {
        let Condition::Limit(limit) = &rule.condition else {
            unreachable!("of a limit rule")
        };
        let changes: Vec<LimitChange> = self
            .state
            .observe(limit, rule.off_delay, event.at, value)
            .into_iter()
            .collect();
        self.newest = (event.history, event.historical);
        if changes.is_empty() && self.state.is_active() {
            let peak = self.state.peak();
            return vec![Finding::Record(Event { peak, ..event.clone() })];
        }
        let found = changes.into_iter().map(|change| match change {
            LimitChange::Normal { at } => Finding::Normal(at),
            LimitChange::Activated { since, peak } => activated(since, peak, event.clone()),
        });
        found.collect()
    }

    fn advance(&mut self, limit: &Limit, rule: &Rule, now: Now) -> Vec<Finding> {
        let changes = self.state.advance(limit, rule.off_delay, now.event);
        let (history, historical) = self.newest;
        let found = changes.into_iter().map(|change| match change {
            LimitChange::Normal { at } => Finding::Normal(at),
            LimitChange::Activated { since, peak } => {
                let at = since.plus(limit.on_delay);
                let found = Event::found(at, now.received, Default::default());
                activated(
                    since,
                    peak,
                    Event {
                        history,
                        historical,
                        ..found
                    },
                )
            }
        });
        let found = found.collect();
        if self.state.is_forgettable(now.event) {
            *self = LimitSeen::default();
        }
        found
    }

    fn due(&self, limit: &Limit, rule: &Rule) -> Vec<Due> {
        let ends = self.state.deadline(limit, rule.off_delay);
        let forgotten = self.state.forgettable_at().filter(|_| self.state.is_quiet());
        ends.or(forgotten).map(Due::Event).into_iter().collect()
    }

    pub fn holds(&self) -> bool {
        self.state.holds()
    }
}

fn activated(since: Timestamp, peak: f64, event: Event) -> Finding {
    Finding::Breach(Breach {
        begun: Begun::with(since, 1),
        until: None,
        is_over: false,
        event: Event {
            peak: Some(peak),
            ..event
        },
    })
}
