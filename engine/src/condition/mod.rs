//! The conditions of rules: what each has seen of one subject, and what it finds.
//!
//! Every condition answers the same questions, one file each: [`State::observe`] takes a record, [`State::advance`] lets time pass,
//! [`State::deadlines`] say when time alone changes something, [`State::is_quiet`] whether forgetting it would change no judgement,
//! [`State::begun`] what belongs to an occurrence that begins. What it finds is a [`Verdict`]; incidents are the business of the entity.

pub mod count;
mod events;
pub mod limit;
pub mod limit_state;
pub mod window;

use crate::ids::RecordId;
use crate::incident::evidence::{Evidence, LazyTemplate, Provenance};
use crate::incident::held::{Begun, Held};
use crate::record::Record;
use crate::rule::{Condition, Rule};
use crate::sources::Judgement;
use crate::time::{Span, Timestamp};
use serde::{Deserialize, Serialize};

/// Event time and receipt as far as an entity has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Now {
    pub(crate) event: Timestamp,
    pub(crate) received: Timestamp,
}

/// When time alone changes something. Event time and wall time never mix: an entity translates one into the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deadline {
    Event(Timestamp),
    Wall(Timestamp),
    /// When both have been reached.
    Both(Timestamp, Timestamp),
}

/// What a condition found.
#[derive(Clone, Debug)]
pub(crate) enum Verdict {
    /// The condition holds.
    Breach(Breached),
    /// A record that belongs to the incident, if it lies within its time.
    Record { peak: Option<f64> },
    /// The condition has not held for the off-delay at `at`.
    Normal { at: Timestamp, why: &'static str },
}

/// What one record or one step of time brings, in order: at most three (see [`limit_state::LimitChanges`]).
#[derive(Default)]
pub(crate) struct Verdicts([Option<Verdict>; 3]);

impl Verdicts {
    fn push(&mut self, verdict: Verdict) {
        if let Some(free) = self.0.iter_mut().find(|f| f.is_none()) {
            *free = Some(verdict);
        }
    }
}

impl IntoIterator for Verdicts {
    type Item = Verdict;
    type IntoIter = std::iter::Flatten<std::array::IntoIter<Option<Verdict>, 3>>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter().flatten()
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Breached {
    /// Event time of the first record that belongs to it, and at which the condition began to hold.
    pub(crate) first_at: Timestamp,
    pub(crate) at: Timestamp,
    /// Event time of the record with which it was found.
    pub(crate) record_at: Timestamp,
    /// The last instant at which it is known to hold; `None`: until something ends it.
    pub(crate) until: Option<Timestamp>,
    /// It came late, and its time is over.
    pub(crate) is_over: bool,
    pub(crate) peak: Option<f64>,
    /// What to say, where it is not the record's own message.
    pub(crate) text: Option<String>,
    /// The record that began it and how that came in, where it is not the one being judged.
    pub(crate) begun_by: Option<(RecordId, Provenance)>,
}

/// A record as a condition takes it.
pub(crate) struct Input<'a> {
    pub(crate) record: &'a Record<'a>,
    pub(crate) judgement: &'a Judgement,
    pub(crate) template: &'a LazyTemplate<'a>,
    pub(crate) provenance: Provenance,
    /// How far the entity has come, this record included.
    pub(crate) now: Now,
    /// It came in its place: neither late, nor, for a shared subject, from a source that delivers late.
    pub(crate) is_in_place: bool,
}

/// What one condition has seen of one subject.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum State {
    Count(count::CountState),
    Limit(limit::LimitCondition),
    /// Found by the silence table, over all devices: nothing is kept here.
    Silence,
}

impl State {
    pub(crate) fn new(condition: &Condition) -> State {
        match condition {
            Condition::Count { .. } => State::Count(count::CountState::default()),
            Condition::Limit(_) => State::Limit(limit::LimitCondition::default()),
            Condition::Silence { .. } => State::Silence,
        }
    }

    /// Was it made for a condition of this kind?
    pub(crate) fn fits(&self, condition: &Condition) -> bool {
        matches!(
            (self, condition),
            (State::Count(_), Condition::Count { .. })
                | (State::Limit(_), Condition::Limit(_))
                | (State::Silence, Condition::Silence { .. })
        )
    }

    pub(crate) fn observe(
        &mut self,
        rule: &Rule,
        input: &Input<'_>,
        present: Option<&Held>,
        found: &mut Verdicts,
    ) -> Taken {
        match (self, &rule.condition) {
            (State::Count(s), Condition::Count { count, within }) => {
                s.observe(*count, *within, rule, input, present, found)
            }
            (State::Limit(s), Condition::Limit(limit)) => s.observe(limit, rule, input, found),
            _ => Taken::default(),
        }
    }

    /// Time has come to `now`.
    pub(crate) fn advance(&mut self, rule: &Rule, now: Now, found: &mut Verdicts) {
        match (self, &rule.condition) {
            (State::Count(s), Condition::Count { within, .. }) => s.advance(*within, rule, now, found),
            (State::Limit(s), Condition::Limit(limit)) => s.advance(limit, rule, now, found),
            _ => {}
        }
    }

    /// When something is found, or everything forgotten, if no record comes.
    pub(crate) fn deadlines(&self, rule: &Rule, mut each: impl FnMut(Deadline)) {
        match (self, &rule.condition) {
            (State::Count(s), Condition::Count { within, .. }) => s.deadlines(*within, rule, &mut each),
            (State::Limit(s), Condition::Limit(limit)) => s.deadlines(limit, rule, &mut each),
            _ => {}
        }
    }

    /// As if it had never seen anything: forgetting it changes no judgement.
    pub(crate) fn is_quiet(&self, event_now: Option<Timestamp>) -> bool {
        match self {
            State::Count(s) => s.is_quiet(),
            State::Limit(s) => s.is_quiet(event_now),
            State::Silence => true,
        }
    }

    /// How far before an occurrence's first record another one may lie and still belong to it.
    pub(crate) fn reach(&self, rule: &Rule) -> Span {
        match (self, &rule.condition) {
            (State::Count(_), Condition::Count { within, .. }) => *within,
            _ => Span::MAX,
        }
    }

    /// The clock of the source went back to `at`: what lies after it lies in its future now.
    pub(crate) fn step_back(&mut self, rule: &Rule, at: Timestamp) {
        match (self, &rule.condition) {
            (State::Count(s), Condition::Count { within, .. }) => s.step_back(*within, at),
            (State::Limit(s), _) => s.step_back(at),
            _ => {}
        }
    }

    /// What belongs to the occurrence that begins with `breach`, found with a record of the fingerprint `own`. `is_counted` says
    /// whether the incident has counted what happened then.
    pub(crate) fn begun(&self, breach: &Breached, own: u64, is_counted: impl Fn(Timestamp) -> bool) -> Begun {
        match self {
            State::Count(s) => s.begun(breach, own, is_counted),
            State::Limit(_) => Begun::with(breach.first_at, 1),
            State::Silence => Begun::with(breach.first_at, 0),
        }
    }

    /// Closed by hand while the condition holds: it takes a new breach, not the old records, to open the next.
    pub(crate) fn reset(&mut self) {
        match self {
            State::Count(s) => *s = count::CountState::default(),
            State::Limit(s) => *s = limit::LimitCondition::default(),
            State::Silence => {}
        }
    }
}

/// What happened to a record besides its findings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) truncated: bool,
    /// Late, and not judged for it.
    pub(crate) unjudged: bool,
}

/// A breach as evidence of its incident.
pub(crate) fn evidence_of<'a>(breach: &'a Breached, mut evidence: Evidence<'a>) -> Evidence<'a> {
    if let Some(text) = &breach.text {
        evidence.text = text.as_str().into();
    }
    if let Some((record, provenance)) = breach.begun_by {
        evidence.record = record;
        evidence.provenance = provenance;
    }
    evidence.peak = breach.peak.or(evidence.peak);
    evidence
}
