//! Judging by its definition, without any of the engine's shortcuts: plain lists, everything worked out anew from them.
//!
//! It shares no judging code with the engine. It takes three things from it that have naive tests of their own: the clocks of sources
//! (`Sources`, through the judgements of the sequencer), which rules take a record (`RuleSet::matching`, through the
//! sequencer's items), and the state machine of a limit (`LimitState`).

use crate::conditions::{Breach, Due, Finding, Now, Present, Seen};
use crate::incidents::{Begun, Event, Incidents};
use andon_engine::control::{Action, Operation};
use andon_engine::ids::{IncidentId, Position, RuleId};
use andon_engine::incident::Activity;
use andon_engine::level::Level;
use andon_engine::limits::{FUTURE_MAX, LATE_INCIDENTS_MAX, LATENESS};
use andon_engine::record::{Flags, Record};
use andon_engine::rule::{Condition, Configuration, Rule};
use andon_engine::sources::{Judgement, Lateness};
use andon_engine::subject::{Subject, SubjectKind};
use andon_engine::time::{Span, Timestamp};
use std::collections::BTreeMap;

/// Deadlines in event time that one timer passes.
const DEADLINES_PER_TIMER: usize = 16;

#[derive(Default)]
pub struct Model {
    pub incidents: Incidents,
    /// By subject; true: what was sent as history.
    tracks: BTreeMap<(Subject, bool), Track>,
    rules: Vec<Rule>,
    version: u64,
}

#[derive(Clone, Debug, Default)]
struct Track {
    clock: Option<Clock>,
    states: Vec<RuleState>,
}

#[derive(Clone, Copy, Debug)]
struct Clock {
    watermark: Timestamp,
    received_at: Timestamp,
}

#[derive(Clone, Debug)]
struct RuleState {
    rule: RuleId,
    seen: Seen,
    present: Option<IncidentId>,
    late: Vec<Late>,
}

#[derive(Clone, Debug)]
struct Late {
    incident: IncidentId,
    from: Timestamp,
    to: Timestamp,
    received_at: Timestamp,
}

/// Where judging happens: the rules in force, whom it concerns, and the entry.
struct Place<'a> {
    rules: &'a [Rule],
    subject: &'a Subject,
    position: Position,
    incidents: &'a mut Incidents,
}

impl Place<'_> {
    fn rule(&self, id: &RuleId) -> Option<Rule> {
        self.rules.iter().find(|r| r.id == *id).cloned()
    }
}

impl Model {
    pub fn new(configuration: &Configuration) -> Model {
        Model {
            rules: configuration.rules.to_vec(),
            version: configuration.version,
            ..Model::default()
        }
    }

    /// Runs `judge` over one track of a subject.
    fn with<T>(
        &mut self,
        subject: &Subject,
        history: bool,
        position: Position,
        judge: impl FnOnce(&mut Track, &mut Place<'_>) -> T,
    ) -> T {
        let track = self.tracks.entry((subject.clone(), history)).or_default();
        let mut place = Place {
            rules: &self.rules,
            subject,
            position,
            incidents: &mut self.incidents,
        };
        judge(track, &mut place)
    }

    pub fn record(&mut self, subject: &Subject, matched: &[RuleId], record: &Record<'_>, judgement: &Judgement) {
        let history = record.flags.contains(Flags::HISTORY);
        self.with(subject, history, record.record_id.position, |track, place| {
            track.record(place, matched, record, judgement, history);
        });
    }

    pub fn timer(&mut self, subject: &Subject, wall: Timestamp, position: Position) {
        for history in [true, false] {
            self.with(subject, history, position, |track, place| track.timer(place, wall));
        }
    }

    pub fn operate(&mut self, op: &Operation, position: Position) {
        for history in [true, false] {
            self.with(&op.subject, history, position, |track, place| track.operate(place, op));
        }
    }

    pub fn silence_found(&mut self, rule: &RuleId, device: &Subject, since: Timestamp, at: Timestamp, pos: Position) {
        self.with(device, false, pos, |track, place| {
            let Some(rule) = place.rule(rule).filter(|r| r.enabled) else {
                return;
            };
            let breach = Breach {
                begun: Begun::with(since, 0),
                until: None,
                is_over: false,
                event: Event::found(at, at, pos),
            };
            track.state(&rule).breach(place, &rule, breach);
        });
    }

    pub fn silence_ended(&mut self, rule: &RuleId, device: &Subject, at: Timestamp, position: Position) {
        self.with(device, false, position, |track, place| {
            for state in track.states.iter().filter(|s| s.rule == *rule) {
                state.return_to_normal(place, at);
            }
        });
    }

    /// A new configuration holds; what it ends ends.
    pub fn configure(&mut self, next: &Configuration, at: Timestamp) {
        if next.version <= self.version {
            return;
        }
        self.version = next.version;
        for old in self.rules.iter().filter(|r| r.enabled) {
            let (why, closes) = match next.rules.iter().find(|r| r.id == old.id) {
                None => ("the rule was removed", true),
                Some(new) if !new.enabled => ("the rule was switched off", true),
                Some(new)
                    if new.condition != old.condition || new.selector != old.selector || new.subject != old.subject =>
                {
                    ("the rule was changed", false)
                }
                Some(_) => continue,
            };
            for track in self.tracks.values_mut() {
                for state in track.states.iter_mut().filter(|s| s.rule == old.id) {
                    state.seen = Seen::Nothing;
                    state.late.clear();
                    let Some(id) = state.present else { continue };
                    self.incidents.return_to_normal(id, at);
                    if closes {
                        self.incidents.close(id, at, Some(why));
                        state.present = None;
                    }
                }
            }
        }
        self.rules = next.rules.to_vec();
    }

    /// The entry is judged: alerts go out, and what no later judgement depends on is forgotten.
    pub fn end_entry(&mut self) {
        self.incidents.end_entry();
        for track in self.tracks.values_mut() {
            let event_now = track.clock.map(|c| c.watermark);
            track
                .states
                .retain(|s| s.present.is_some() || !s.late.is_empty() || !s.seen.is_quiet(event_now));
        }
        self.tracks.retain(|_, t| {
            if t.states.is_empty() {
                t.clock = None;
            }
            !t.states.is_empty()
        });
    }

    pub fn deadline(&self, subject: &Subject, wall: Timestamp) -> Option<Timestamp> {
        let tracks = [true, false].map(|history| self.tracks.get(&(subject.clone(), history)));
        let due = tracks.into_iter().flatten().flat_map(|t| {
            let due = t.due(&self.rules, self.incidents_ref());
            due.into_iter().map(|d| t.on_wall(d, wall)).collect::<Vec<_>>()
        });
        due.min()
    }

    fn incidents_ref(&self) -> &Incidents {
        &self.incidents
    }

    /// Of whom anything is known.
    pub fn subjects(&self) -> Vec<Subject> {
        let mut subjects: Vec<Subject> = self.tracks.keys().map(|(s, _)| s.clone()).collect();
        subjects.dedup();
        subjects
    }

    /// Who waits for a person, a reading or a device, but not for time.
    pub fn waiting(&self) -> Vec<Subject> {
        let waits = |s: &RuleState| {
            let reading = matches!(&s.seen, Seen::Limit(l) if l.holds());
            let incident = s.present.is_some_and(|id| {
                let row = &self.incidents.get(id).row;
                let silence = self
                    .rules
                    .iter()
                    .any(|r| r.id == s.rule && matches!(r.condition, Condition::Silence { .. }));
                let unasked = row.acknowledged_at.is_none() && !row.silent;
                (row.activity == Activity::ReturnedToNormal && unasked) || (row.activity == Activity::Active && silence)
            });
            reading || incident
        };
        let tracks = self.tracks.iter().filter(|(_, t)| t.states.iter().any(waits));
        let mut subjects: Vec<Subject> = tracks.map(|((s, _), _)| s.clone()).collect();
        subjects.dedup();
        subjects
    }
}

impl Track {
    fn state(&mut self, rule: &Rule) -> &mut RuleState {
        if self.states.iter().all(|s| s.rule != rule.id) {
            self.states.push(RuleState {
                rule: rule.id.clone(),
                seen: Seen::new(&rule.condition),
                present: None,
                late: Vec::new(),
            });
        }
        let state = self.states.iter_mut().find(|s| s.rule == rule.id);
        state.expect("it is there now")
    }

    fn now(&self, received: Timestamp) -> Now {
        Now {
            event: self.clock.map_or(received, |c| c.watermark),
            received,
        }
    }

    fn record(
        &mut self,
        place: &mut Place<'_>,
        matched: &[RuleId],
        record: &Record<'_>,
        judgement: &Judgement,
        history: bool,
    ) {
        let (at, received_at) = (judgement.at, record.received_at);
        let own_source = place.subject.kind == SubjectKind::Device || history;
        let late = judgement.lateness == Lateness::Late;
        self.follow(place, judgement, received_at, own_source);
        let now = self.now(received_at);
        let event = Event {
            at,
            received_at,
            position: place.position,
            level: record.level,
            peak: None,
            fingerprint: record.fingerprint,
            device: record.device_id.map(str::to_owned),
            history,
            historical: judgement.historical,
        };
        let in_place = !late && (own_source || !judgement.behind);
        for rule in matched {
            let rule = place.rule(rule).expect("a rule in force");
            let incidents = &*place.incidents;
            let state = self.state(&rule);
            if !state.seen.fits(&rule.condition) {
                state.seen = Seen::new(&rule.condition);
            }
            let id = state.present;
            let row = id.map(|id| &incidents.get(id).row);
            let present = Present {
                is_active: row.is_some_and(|row| row.activity == Activity::Active),
                since: row
                    .filter(|row| row.activity == Activity::Active)
                    .map(|row| row.occurrence_first_at),
                until: row.and_then(|row| row.returned_at),
                has_ended: &|at| id.is_some_and(|id| incidents.has_ended_within(id, at, at)),
            };
            let found = match (&mut state.seen, &rule.condition) {
                (Seen::Count(_), _) if late && event.level < Some(Level::Error) => Vec::new(),
                (Seen::Count(c), _) => vec![c.observe(&rule, &event, now, in_place, present)],
                (Seen::Limit(_), _) if late => Vec::new(),
                (Seen::Limit(l), Condition::Limit(limit)) => match record.reading(&limit.reading) {
                    Some(value) => l.observe(&rule, &event, value),
                    None => Vec::new(),
                },
                _ => Vec::new(),
            };
            state.take(place, &rule, found);
        }
    }

    /// Event time follows a record.
    fn follow(&mut self, place: &mut Place<'_>, judgement: &Judgement, received_at: Timestamp, own_source: bool) {
        self.notice_own_clock(place, received_at);
        let stepped = judgement.clock_step && own_source;
        if stepped && self.clock.is_some_and(|c| judgement.at < c.watermark) {
            self.step_back(place, judgement.at, received_at);
        }
        let late = judgement.lateness == Lateness::Late;
        let watermark = match (late, own_source) {
            (true, true) => {
                let watermark = judgement.watermark;
                self.clock = self.clock.or(Some(Clock { watermark, received_at }));
                return;
            }
            (false, true) => judgement.at,
            (false, false) if !judgement.behind => judgement.at,
            _ => received_at.minus(LATENESS),
        };
        if self.clock.is_none_or(|c| watermark > c.watermark) {
            self.clock = Some(Clock { watermark, received_at });
            self.advance(place, received_at);
        }
    }

    fn notice_own_clock(&mut self, place: &mut Place<'_>, wall: Timestamp) {
        let latest = wall.plus(FUTURE_MAX);
        if let Some(clock) = &mut self.clock
            && clock.received_at > latest
        {
            clock.received_at = wall;
        }
        if self.clock.is_some_and(|c| c.watermark > latest) {
            self.step_back(place, wall, wall);
        }
    }

    fn step_back(&mut self, place: &mut Place<'_>, to: Timestamp, received_at: Timestamp) {
        self.clock = Some(Clock {
            watermark: to,
            received_at,
        });
        for state in &mut self.states {
            if let Some(rule) = place.rule(&state.rule) {
                state.seen.step_back(&rule, to);
            }
            if let Some(id) = state.present {
                place.incidents.step_back(id, to);
            }
        }
    }

    fn advance(&mut self, place: &mut Place<'_>, received: Timestamp) {
        let now = self.now(received);
        for state in &mut self.states {
            let Some(rule) = place.rule(&state.rule) else { continue };
            let found = state.seen.advance(&rule, now);
            state.take(place, &rule, found);
            state.settle(place, &rule, now);
            let kept = late_kept(&rule);
            state.late.retain(|l| now.received.since(l.received_at) <= kept);
        }
    }

    fn timer(&mut self, place: &mut Place<'_>, wall: Timestamp) {
        self.notice_own_clock(place, wall);
        for _ in 0..DEADLINES_PER_TIMER {
            let Some(clock) = self.clock else { break };
            let due = self.due(place.rules, place.incidents);
            let due = due.into_iter().filter(|d| self.on_wall(*d, wall) <= wall);
            let Some(event) = due
                .filter_map(|d| match d {
                    Due::Event(e) | Due::Both(e, _) => Some(e),
                    Due::Wall(_) => None,
                })
                .min()
            else {
                break;
            };
            let watermark = clock.watermark.max(event);
            self.clock = Some(Clock {
                watermark,
                received_at: clock.received_at.plus(watermark.since(clock.watermark)),
            });
            self.advance(place, wall);
        }
        self.advance(place, wall);
        for id in self.states.iter().filter_map(|s| s.present) {
            place.incidents.unshelve_if_due(id, wall);
        }
    }

    fn operate(&mut self, place: &mut Place<'_>, op: &Operation) {
        let now = self.now(op.at);
        for state in self.states.iter_mut().filter(|s| s.rule == op.rule) {
            if state.present != Some(op.incident) || !place.incidents.operate(op.incident, op) {
                continue;
            }
            if matches!(op.action, Action::Close { .. }) {
                state.present = None;
                // It takes a new breach, not the old records, to open the next.
                match &mut state.seen {
                    Seen::Count(count) => *count = Default::default(),
                    Seen::Limit(limit) => *limit = Default::default(),
                    Seen::Nothing => {}
                }
            }
            if let Some(rule) = place.rule(&op.rule) {
                state.settle(place, &rule, now);
            }
        }
    }

    fn due(&self, rules: &[Rule], incidents: &Incidents) -> Vec<Due> {
        let mut due = Vec::new();
        for state in &self.states {
            if let Some(rule) = rules.iter().find(|r| r.id == state.rule) {
                due.extend(state.seen.due(rule));
                due.extend(state.settles_at(rule, incidents));
                let kept = late_kept(rule).plus(Span::micros(1));
                due.extend(state.late.iter().map(|l| Due::Wall(l.received_at.plus(kept))));
            }
            let shelved = state.present.and_then(|id| incidents.get(id).row.shelved_until);
            due.extend(shelved.map(Due::Wall));
        }
        due
    }

    fn on_wall(&self, due: Due, wall: Timestamp) -> Timestamp {
        let of = |event: Timestamp| match self.clock {
            Some(c) if c.received_at > wall.plus(FUTURE_MAX) => wall,
            Some(c) => c.received_at.plus(event.since(c.watermark)),
            None => event,
        };
        match due {
            Due::Event(event) => of(event),
            Due::Wall(at) => at,
            Due::Both(event, at) => of(event).max(at),
        }
    }
}

fn late_kept(rule: &Rule) -> Span {
    match rule.condition {
        Condition::Count { within, .. } => LATENESS.plus(within),
        _ => LATENESS,
    }
}

impl RuleState {
    fn take(&mut self, place: &mut Place<'_>, rule: &Rule, found: Vec<Finding>) {
        for finding in found {
            match finding {
                Finding::Breach(mut breach) => {
                    breach.event.position = place.position;
                    self.breach(place, rule, breach);
                }
                Finding::Record(event) => self.unbreached(place, rule, &event),
                Finding::Normal(at) => self.return_to_normal(place, at),
            }
        }
    }

    fn return_to_normal(&self, place: &mut Place<'_>, at: Timestamp) {
        if let Some(id) = self.present {
            place.incidents.return_to_normal(id, at);
        }
    }

    fn breach(&mut self, place: &mut Place<'_>, rule: &Rule, breach: Breach) {
        if breach.is_over {
            return self.breach_over(place, rule, &breach);
        }
        let event = &breach.event;
        if let Some(id) = self.present {
            let row = &place.incidents.get(id).row;
            if row.activity == Activity::Active {
                return place.incidents.join(id, rule, event);
            }
            let returned_at = row.returned_at.expect("it returned to normal");
            if event.at.since(returned_at) <= rule.reopen_within {
                return place.incidents.reopen(id, rule, event, &breach.begun);
            }
            place.incidents.close(id, event.at, Some("recurred"));
        }
        let id = place.incidents.open(rule, place.subject, event, &breach.begun, false);
        self.present = Some(id);
    }

    fn breach_over(&mut self, place: &mut Place<'_>, rule: &Rule, breach: &Breach) {
        let event = &breach.event;
        let (first, until) = (breach.begun.first_at, breach.until.expect("it is over"));
        if let Some(id) = self.present {
            let row = &place.incidents.get(id).row;
            if row.activity == Activity::Active && until >= row.occurrence_first_at {
                return place.incidents.join(id, rule, event);
            }
            if place.incidents.has_ended_within(id, event.at, until) {
                return place.incidents.count_late(id, rule, event);
            }
        }
        let near = |l: &&mut Late| first.since(l.to) <= rule.reopen_within && l.from.since(until) <= rule.reopen_within;
        if let Some(late) = self.late.iter_mut().find(near) {
            place.incidents.join(late.incident, rule, event);
            late.from = late.from.min(first);
            late.to = late.to.max(until);
            late.received_at = late.received_at.max(event.received_at);
            return;
        }
        if self.late.len() == LATE_INCIDENTS_MAX {
            let oldest = self.late.iter().map(|l| l.received_at).min();
            let gone = self.late.iter().position(|l| Some(l.received_at) == oldest);
            self.late.remove(gone.expect("there are some"));
        }
        let incident = place.incidents.open(rule, place.subject, event, &breach.begun, true);
        self.late.push(Late {
            incident,
            from: first,
            to: until,
            received_at: event.received_at,
        });
    }

    /// A record that is of no breach.
    fn unbreached(&mut self, place: &mut Place<'_>, rule: &Rule, event: &Event) {
        if let Some(id) = self.present {
            let row = &place.incidents.get(id).row;
            let reaches = match rule.condition {
                Condition::Count { within, .. } => event.at >= row.occurrence_first_at.minus(within),
                _ => true,
            };
            if row.activity == Activity::Active && reaches {
                return place.incidents.join(id, rule, event);
            }
            if place.incidents.has_ended_within(id, event.at, event.at) {
                return place.incidents.count_late(id, rule, event);
            }
        }
        if let Some(late) = self.late.iter_mut().find(|l| l.from <= event.at && event.at <= l.to) {
            place.incidents.join(late.incident, rule, event);
            late.received_at = late.received_at.max(event.received_at);
        }
    }

    fn settles_at(&self, rule: &Rule, incidents: &Incidents) -> Option<Due> {
        let row = &incidents.get(self.present?).row;
        if row.acknowledged_at.is_none() && !row.silent {
            return None;
        }
        let at = row.returned_at?.plus(rule.reopen_within);
        Some(match rule.condition {
            Condition::Silence { .. } => Due::Wall(at),
            _ => Due::Event(at),
        })
    }

    fn settle(&mut self, place: &mut Place<'_>, rule: &Rule, now: Now) {
        let closed_at = match self.settles_at(rule, place.incidents) {
            Some(Due::Wall(at)) if at <= now.received => now.received,
            Some(Due::Event(at)) if at <= now.event => now.event,
            _ => return,
        };
        if let Some(id) = self.present.take() {
            place.incidents.close(id, closed_at, None);
        }
    }
}
