//! Scenarios: a stream with a known truth. Each names its goal, makes its requests from a seed, and labels what must come of them.

mod sim09;
mod sim10;
mod sim11;
mod sim15;
mod sim16;
mod sim17;
mod storm;

pub use sim16::{MuteLabel, SHIFT_MUTE, mute_labels};

use crate::draft::{Draft, ndjson};
use andon_engine::subject::SubjectKind;
use andon_engine::time::{Span, Timestamp};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// What a scenario is made from.
#[derive(Clone, Debug)]
pub struct Context {
    pub seed: u64,
    /// Tells this run from others on the same server; begins every name.
    pub run: String,
    /// The stamps end here: live scenarios are delivered at once.
    pub now: Timestamp,
}

impl Context {
    /// A device, application or user that only this run knows.
    pub fn name(&self, part: &str) -> String {
        format!("{}-{part}", self.run)
    }
}

/// One request, and what must come of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub what: String,
    pub body: Bytes,
    pub content_type: &'static str,
    /// Sent as history: judged, nobody told.
    pub history: bool,
    /// The id of each record of the body, in order. Empty for a body that holds no record at all.
    pub ids: Vec<String>,
    /// The records that must be stored once this is acknowledged, each once however often it is sent.
    pub drafts: Vec<Draft>,
    pub expect: Expect,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expect {
    pub status: u16,
    pub accepted: u64,
    pub duplicates: u64,
    pub rejected: u64,
}

impl Step {
    /// A body of these records, all of which must be accepted.
    pub fn records(what: impl Into<String>, drafts: Vec<Draft>) -> Self {
        let lines: Vec<Bytes> = drafts.iter().map(Draft::line).collect();
        Self {
            what: what.into(),
            body: ndjson(lines.iter().map(|l| &l[..])),
            content_type: "application/x-ndjson",
            history: false,
            ids: drafts.iter().map(|d| d.id.clone()).collect(),
            expect: Expect {
                status: 202,
                accepted: drafts.len() as u64,
                duplicates: 0,
                rejected: 0,
            },
            drafts,
        }
    }
}

/// One line of the label file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Label {
    /// This incident, exactly once.
    Incident(ExpectedIncident),
    /// None of any rule for this subject.
    NoIncident { subject_kind: SubjectKind, subject: String },
    /// Over all requests of the run.
    Totals {
        accepted: u64,
        duplicates: u64,
        rejected: u64,
    },
    /// This record is stored with this message and these flags among its own.
    Stored {
        id: String,
        message: String,
        flags: Vec<String>,
    },
    /// Is an instant inside the recurring mute window of the scenario?
    Mute(MuteLabel),
    /// E-mails that mention `subject`: `at_once` within half a minute, then one digest that says how many records there are by then. (How
    /// many of them are new to the reader depends on how many had come when the first was written.)
    Mail {
        subject: String,
        at_once: u64,
        digest_records: u64,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedIncident {
    pub rule: String,
    pub subject_kind: SubjectKind,
    pub subject: String,
    /// Records that belong to it.
    pub records: u64,
    /// Event time of the record that breached lies here, both ends included (microseconds since the epoch).
    pub opened_from: Timestamp,
    pub opened_to: Timestamp,
    /// How many fingerprints it must have; `None`: not said.
    pub fingerprints: Option<u64>,
    /// How many alerts for new faults; `None`: not said.
    pub new_faults: Option<u64>,
}

impl ExpectedIncident {
    pub(crate) fn new(rule: &str, kind: SubjectKind, subject: &str, records: u64, opened: Timestamp) -> Self {
        Self {
            rule: rule.to_owned(),
            subject_kind: kind,
            subject: subject.to_owned(),
            records,
            opened_from: opened,
            opened_to: opened,
            fingerprints: None,
            new_faults: None,
        }
    }
}

/// A scenario, ready to be played.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    pub name: &'static str,
    pub goal: &'static str,
    /// `source` of every record, unique to the run.
    pub source: String,
    pub steps: Vec<Step>,
    pub labels: Vec<Label>,
}

impl Scenario {
    /// Every record that must be stored, once each.
    pub fn stored(&self) -> Vec<&Draft> {
        let mut seen = std::collections::BTreeSet::new();
        self.steps
            .iter()
            .flat_map(|s| &s.drafts)
            .filter(|d| seen.insert(d.id.as_str()))
            .collect()
    }

    /// The label file: one JSON object a line.
    pub fn label_file(&self) -> String {
        self.labels
            .iter()
            .map(|l| serde_json::to_string(l).expect("labels are plain data") + "\n")
            .collect()
    }
}

type Make = fn(&Context) -> Scenario;
const ALL: [(&str, u64, Make); 7] = [
    ("SIM9", 9, sim09::make),
    ("SIM10", 10, sim10::make),
    ("SIM11", 11, sim11::make),
    ("SIM15", 15, sim15::make),
    ("SIM16", 16, sim16::make),
    ("SIM17", 17, sim17::make),
    ("STORM", 5, storm::make),
];

/// The names of all scenarios.
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|(name, ..)| *name)
}

/// Builds a scenario by name (any case); `seed` replaces its own. `tag` tells this run from others.
pub fn make(name: &str, tag: &str, seed: Option<u64>, now: Timestamp) -> Option<Scenario> {
    let (name, own_seed, make) = ALL.iter().find(|(n, ..)| n.eq_ignore_ascii_case(name))?;
    let run = format!("{}-{tag}", name.to_ascii_lowercase());
    let mut scenario = make(&Context {
        seed: seed.unwrap_or(*own_seed),
        run: run.clone(),
        now,
    });
    scenario.source = run.clone();
    let totals = scenario.steps.iter().fold((0, 0, 0), |t, s| {
        (
            t.0 + s.expect.accepted,
            t.1 + s.expect.duplicates,
            t.2 + s.expect.rejected,
        )
    });
    scenario.labels.push(Label::Totals {
        accepted: totals.0,
        duplicates: totals.1,
        rejected: totals.2,
    });
    Some(scenario)
}

/// `n` records of one kind, each `gap` after the one before.
fn burst(from: Timestamp, gap: Span, n: usize, mut each: impl FnMut(usize, Timestamp) -> Draft) -> Vec<Draft> {
    let mut at = from;
    (0..n)
        .map(|i| {
            let draft = each(i, at);
            at = at.plus(gap);
            draft
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model;
    use andon_engine::subject::Subject;
    use std::collections::{BTreeMap, BTreeSet};

    fn all() -> Vec<Scenario> {
        names()
            .map(|n| make(n, "tag", None, Timestamp(1_790_000_000_000_000)).unwrap())
            .collect()
    }

    #[test]
    fn labels_name_exactly_the_incidents_that_a_naive_judge_finds() {
        for s in all() {
            let found: BTreeMap<(String, Subject), usize> = model::breaches(s.stored());
            let labelled: BTreeMap<(String, Subject), usize> = s
                .labels
                .iter()
                .filter_map(|l| match l {
                    Label::Incident(e) => Some((
                        (e.rule.clone(), Subject::new(e.subject_kind, &e.subject)),
                        e.records as usize,
                    )),
                    _ => None,
                })
                .collect();
            assert_eq!(found, labelled, "{}", s.name);
            for l in &s.labels {
                if let Label::NoIncident { subject_kind, subject } = l {
                    let subject = Subject::new(*subject_kind, subject);
                    assert!(!found.keys().any(|(_, x)| *x == subject), "{}: {subject}", s.name);
                }
            }
        }
    }

    #[test]
    fn each_scenario_has_labels_that_could_fail_and_its_records_carry_its_source() {
        for s in all() {
            assert!(
                s.labels
                    .iter()
                    .any(|l| matches!(l, Label::Incident(_) | Label::Stored { .. })),
                "{}",
                s.name
            );
            assert!(
                s.stored().iter().all(|d| d.source.as_deref() == Some(&s.source)),
                "{}",
                s.name
            );
            assert!(
                s.stored().iter().all(|d| d.is_log()),
                "{}: the export shows log records only",
                s.name
            );
        }
    }

    #[test]
    fn one_seed_is_one_scenario_and_the_tag_keeps_two_runs_apart() {
        for name in names() {
            let now = Timestamp(1_790_000_000_000_000);
            let a = make(name, "one", Some(4), now).unwrap();
            assert_eq!(a, make(name, "one", Some(4), now).unwrap());
            let b = make(name, "two", Some(4), now).unwrap();
            let ids = |s: &Scenario| s.stored().iter().map(|d| d.id.clone()).collect::<BTreeSet<_>>();
            assert!(ids(&a).is_disjoint(&ids(&b)), "{name}");
        }
    }

    #[test]
    fn label_files_read_back() {
        for s in all() {
            let back: Vec<Label> = s
                .label_file()
                .lines()
                .map(|l| serde_json::from_str(l).unwrap())
                .collect();
            assert_eq!(back, s.labels);
        }
    }

    #[test]
    fn the_stated_answers_add_up_to_what_is_sent() {
        for s in all() {
            for step in s.steps.iter().filter(|s| s.expect.status == 202) {
                let e = step.expect;
                assert_eq!(
                    e.accepted + e.duplicates + e.rejected,
                    step.ids.len() as u64,
                    "{}: {}",
                    s.name,
                    step.what
                );
            }
        }
    }
}
