//! One entity: the state of one subject under every rule that has looked at it, and how an entry changes it.
//!
//! Pure: the same records, control entries and configurations in the same order give the same state and the same effects.
//!
//! - Time inside is event time (`Judgement::at`). The wall decides only what the wall decides: silence, shelving, and when a timer
//!   fires for event time that no record brings. An entity translates between the two; a deadline says which it is.
//! - Records sent as history live in a track of their own, with its own event time: they touch nothing that is going on.
//! - **Lifetime.** An entity is born with the first record that a rule matches. It is *hot* while time alone will change it, *idle* while it
//!   only waits for a person, and *blank*, to be deleted, once nothing is left that a later judgement depends on. Timers make it so:
//!   every window and delay has a deadline.

mod rule_state;

use crate::condition::{Breached, Deadline, Input, Now};
use crate::control::{Operation, SilenceFound};
use crate::effect::Effect;
use crate::ids::{Position, RecordId, RuleId};
use crate::incident::Incident;
use crate::incident::evidence::{Evidence, LazyTemplate, Provenance};
use crate::limits::{FUTURE_MAX, LATENESS};
use crate::record::{Flags, Record};
use crate::rule::Rule;
use crate::ruleset::{RuleEnd, RuleMatch, RuleSet};
use crate::sources::{Judgement, Lateness};
use crate::subject::{Subject, SubjectKind};
use crate::time::{Span, Timestamp};
use rule_state::RuleState;
use serde::{Deserialize, Serialize};

/// Deadlines that one timer may pass, one following from another; what is still due then fires again.
const DEADLINES_PER_TIMER: usize = 16;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entity {
    pub subject: Subject,
    live: Track,
    history: Option<Box<Track>>,
}

/// One course of event time, and the rules judged in it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Track {
    /// How far event time has come; `None` before the first record that moves it.
    clock: Option<EventClock>,
    rules: Vec<RuleState>,
}

/// The newest event time judged, and when it was reached: time that no record brings goes on from here at the pace of the wall.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct EventClock {
    watermark: Timestamp,
    received_at: Timestamp,
}

/// What happened to a record in this entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Outcome {
    pub breached: u32,
    /// Late and below ERROR: stored, not judged.
    pub late_unjudged: u32,
    pub window_truncated: bool,
}

impl Entity {
    pub fn new(subject: Subject) -> Self {
        Self {
            subject,
            live: Track::default(),
            history: None,
        }
    }

    /// Judges one record under the rules that take it.
    pub fn observe(
        &mut self,
        set: &RuleSet,
        matched: &[RuleMatch],
        record: &Record<'_>,
        judgement: &Judgement,
    ) -> Outcome {
        let Self { subject, live, history } = self;
        let is_history = record.flags.contains(Flags::HISTORY);
        let track = if is_history {
            history.get_or_insert_default()
        } else {
            live
        };
        track.follow_clock(set, subject, record, judgement, is_history);
        let now = track.now(record.received_at);
        let template = LazyTemplate::new(record);
        let provenance = Provenance::of(record, judgement);
        let evidence = Evidence::of_record(record, judgement, set, Some(&template));
        let own_source = has_own_source(subject, is_history);
        let is_in_place = judgement.lateness == Lateness::InOrder && (own_source || !judgement.behind);
        let mut outcome = Outcome::default();
        for m in matched {
            let rule = set.rule(m.rule);
            let state = state_of(&mut track.rules, rule);
            let input = Input {
                record,
                judgement,
                template: &template,
                provenance,
                now,
                is_in_place,
            };
            let (seen, breached) = state.observe(subject, rule, &input, &evidence);
            outcome.breached += breached;
            outcome.late_unjudged += u32::from(seen.unjudged);
            outcome.window_truncated |= seen.truncated;
        }
        outcome
    }

    /// Nothing came until `wall`: event time goes on from where it was, at the pace of the wall.
    pub fn timer(&mut self, set: &RuleSet, wall: Timestamp, position: Position) {
        let Self { subject, live, history } = self;
        for track in history.iter_mut().map(|t| &mut **t).chain([live]) {
            track.time_passes(set, subject, wall, position);
        }
        self.forget();
    }

    /// A person did something. An operation on an incident that this entity no longer holds changes nothing.
    pub fn operate(&mut self, set: &RuleSet, op: &Operation, position: Position) {
        for track in self.tracks_mut() {
            let now = track.now(op.at);
            for state in track.rules.iter_mut().filter(|s| s.rule == op.rule) {
                state.operate(set.find(&op.rule), op, now, position);
            }
        }
    }

    /// Nothing was heard of this device since `silence.since`; `record` is the control entry that says so.
    pub fn silence_found(&mut self, set: &RuleSet, silence: &SilenceFound, record: RecordId) {
        let Some(rule) = set.find(&silence.rule).filter(|r| r.enabled) else {
            return;
        };
        let (at, position) = (silence.at, record.position);
        let text = silence_text(&self.subject, silence);
        let Self { subject, live, .. } = self;
        let mut evidence = Evidence::found(set, record, position, at, at);
        evidence.device = subject.device();
        evidence.text = text.as_str().into();
        let breach = Breached {
            first_at: silence.since,
            at,
            record_at: at,
            until: None,
            is_over: false,
            peak: None,
            text: None,
            begun_by: None,
        };
        state_of(&mut live.rules, rule).breach(subject, rule, &breach, evidence);
    }

    pub fn silence_ended(&mut self, rule: &RuleId, at: Timestamp, position: Position, why: &str) {
        for state in self.live.rules.iter_mut().filter(|s| s.rule == *rule) {
            state.return_to_normal(at, position, why);
        }
    }

    /// These rules, sorted by id, were removed, switched off or changed. True when that concerned this entity.
    pub fn rules_ended(&mut self, ended: &[(RuleId, RuleEnd)], at: Timestamp, position: Position) -> bool {
        let mut concerned = false;
        for track in self.tracks_mut() {
            for state in &mut track.rules {
                if let Ok(i) = ended.binary_search_by(|(rule, _)| rule.cmp(&state.rule)) {
                    state.rule_ended(ended[i].1, at, position);
                    concerned = true;
                }
            }
        }
        concerned
    }

    /// The entry is judged: gives out what changed, and forgets what no later judgement depends on.
    pub fn end_entry(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        for track in self.tracks_mut() {
            track.rules.iter_mut().for_each(|s| s.give_out(now, false, out));
        }
        self.forget();
    }

    /// Gives out counts that have waited. Changes nothing that judging depends on.
    pub fn flush(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        for track in self.tracks_mut() {
            track.rules.iter_mut().for_each(|s| s.give_out(now, true, out));
        }
    }

    /// Counts have changed that no store has.
    pub fn has_pending(&self) -> bool {
        self.tracks().any(|t| t.rules.iter().any(RuleState::has_pending))
    }

    /// Every incident goes out again: after a restore the stores may not have the newest counts.
    pub fn mark_pending(&mut self) {
        for track in self.tracks_mut() {
            track.rules.iter_mut().for_each(RuleState::mark_pending);
        }
    }

    /// When, on the wall, a timer should fire if no record comes before. `wall` is now.
    pub fn deadline(&self, set: &RuleSet, wall: Timestamp) -> Option<Timestamp> {
        let mut next: Option<Timestamp> = None;
        for track in self.tracks() {
            for state in &track.rules {
                state.deadlines(set.find(&state.rule), |d| {
                    let at = track.on_wall(d, wall);
                    next = Some(next.map_or(at, |n| n.min(at)));
                });
            }
        }
        next
    }

    /// Whether it has a state under one of these rules, which are sorted.
    pub fn is_under(&self, rules: &[RuleId]) -> bool {
        let mut states = self.tracks().flat_map(|t| &t.rules);
        states.any(|state| rules.binary_search(&state.rule).is_ok())
    }

    /// Nothing is left that a later judgement depends on: it can be deleted.
    pub fn is_blank(&self) -> bool {
        self.tracks().all(|t| t.rules.is_empty())
    }

    /// The incidents of the present, those of history after them.
    pub fn incidents(&self) -> impl Iterator<Item = &Incident> {
        self.tracks()
            .flat_map(|t| t.rules.iter().flat_map(RuleState::incidents))
    }

    fn tracks(&self) -> impl Iterator<Item = &Track> {
        std::iter::once(&self.live).chain(self.history.as_deref())
    }

    fn tracks_mut(&mut self) -> impl Iterator<Item = &mut Track> {
        std::iter::once(&mut self.live).chain(self.history.as_deref_mut())
    }

    fn forget(&mut self) {
        for track in self.tracks_mut() {
            let event_now = track.clock.map(|c| c.watermark);
            track.rules.retain(|s| !s.is_quiet(event_now));
            if track.rules.is_empty() {
                track.clock = None;
            }
        }
        if self.history.as_ref().is_some_and(|t| t.rules.is_empty()) {
            self.history = None;
        }
    }
}

impl Track {
    /// A record has come: event time moves to it, and everything that was to end by then ends.
    fn follow_clock(
        &mut self,
        set: &RuleSet,
        subject: &Subject,
        record: &Record<'_>,
        judgement: &Judgement,
        is_history: bool,
    ) {
        let (received_at, position) = (record.received_at, record.record_id.position);
        self.notice_own_clock(set, received_at, position);
        let own_source = has_own_source(subject, is_history);
        let is_back = self.clock.is_some_and(|c| judgement.at < c.watermark);
        if judgement.clock_step && own_source && is_back {
            self.step_back(set, judgement.at, received_at, position);
        }
        let reached = match judgement.lateness {
            // Its source is further: this record moves nothing on.
            Lateness::Late if own_source => None,
            Lateness::InOrder if own_source || !judgement.behind => Some(judgement.at),
            // A shared subject is as far as the wall: a source that delivers late does not hold it back.
            _ => Some(received_at.minus(LATENESS)),
        };
        let Some(reached) = reached else {
            if self.clock.is_none() {
                self.clock = Some(EventClock {
                    watermark: judgement.watermark,
                    received_at,
                });
            }
            return;
        };
        if self.clock.is_some_and(|c| reached <= c.watermark) {
            return;
        }
        self.clock = Some(EventClock {
            watermark: reached,
            received_at,
        });
        self.advance(set, subject, self.now(received_at), position);
    }

    /// Event time goes on to each deadline that has come by the wall, and no further: what a source still holds back of the
    /// time since is not late for it.
    fn time_passes(&mut self, set: &RuleSet, subject: &Subject, wall: Timestamp, position: Position) {
        self.notice_own_clock(set, wall, position);
        for _ in 0..DEADLINES_PER_TIMER {
            let (Some(clock), Some(event)) = (self.clock, self.due_event(set, wall)) else {
                break;
            };
            self.clock = Some(EventClock {
                watermark: event.max(clock.watermark),
                received_at: clock.received_at.plus(event.since(clock.watermark).max(Span::ZERO)),
            });
            self.advance(set, subject, self.now(wall), position);
        }
        self.advance(set, subject, self.now(wall), position);
        for state in &mut self.rules {
            state.unshelve_if_due(wall, position);
        }
    }

    /// The earliest deadline in event time that has come by `wall`.
    fn due_event(&self, set: &RuleSet, wall: Timestamp) -> Option<Timestamp> {
        let mut due: Option<Timestamp> = None;
        for state in &self.rules {
            state.deadlines(set.find(&state.rule), |d| {
                let (Deadline::Event(event) | Deadline::Both(event, _)) = d else {
                    return;
                };
                if self.on_wall(d, wall) <= wall {
                    due = Some(due.map_or(event, |e| e.min(event)));
                }
            });
        }
        due
    }

    fn advance(&mut self, set: &RuleSet, subject: &Subject, now: Now, position: Position) {
        for state in &mut self.rules {
            if let Some(rule) = set.find(&state.rule) {
                state.advance(set, subject, rule, now, position);
            }
        }
    }

    /// No stamp lies more than [`FUTURE_MAX`] after its receipt. Where event time does, it is our own clock that stepped back.
    fn notice_own_clock(&mut self, set: &RuleSet, wall: Timestamp, position: Position) {
        let Some(clock) = &mut self.clock else { return };
        if clock.received_at > wall.plus(FUTURE_MAX) {
            clock.received_at = wall;
        }
        if clock.watermark > wall.plus(FUTURE_MAX) {
            self.step_back(set, wall, wall, position);
        }
    }

    fn step_back(&mut self, set: &RuleSet, at: Timestamp, received_at: Timestamp, position: Position) {
        self.clock = Some(EventClock {
            watermark: at,
            received_at,
        });
        for state in &mut self.rules {
            state.step_back(set.find(&state.rule), at, position);
        }
    }

    /// How far it has come; before any record of its own as far as the wall.
    fn now(&self, wall: Timestamp) -> Now {
        Now {
            event: self.clock.map_or(wall, |c| c.watermark),
            received: wall,
        }
    }

    fn on_wall(&self, deadline: Deadline, wall: Timestamp) -> Timestamp {
        let of_event = |event: Timestamp| match self.clock {
            // Our own clock stepped back: the timer fires at once, and event time goes on from there.
            Some(c) if c.received_at > wall.plus(FUTURE_MAX) => wall,
            Some(c) => c.received_at.plus(event.since(c.watermark)),
            None => event,
        };
        match deadline {
            Deadline::Event(event) => of_event(event),
            Deadline::Wall(at) => at,
            Deadline::Both(event, at) => of_event(event).max(at),
        }
    }
}

/// A device is its own source, and history keeps to its own time: where the clock of the source goes, event time goes.
fn has_own_source(subject: &Subject, is_history: bool) -> bool {
    subject.kind == SubjectKind::Device || is_history
}

fn state_of<'s>(rules: &'s mut Vec<RuleState>, rule: &Rule) -> &'s mut RuleState {
    let at = match rules.iter().position(|s| s.rule == rule.id) {
        Some(at) => at,
        None => {
            rules.push(RuleState::new(rule));
            rules.len() - 1
        }
    };
    &mut rules[at]
}

fn silence_text(subject: &Subject, silence: &SilenceFound) -> String {
    let since = silence.since;
    match silence.unknown.len() {
        0 => format!("{subject} has been silent since {since}"),
        n => format!("{subject} has been silent since {since}; {n} devices behind it are unknown"),
    }
}
