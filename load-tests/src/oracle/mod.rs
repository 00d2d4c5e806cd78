//! The oracle: was every acknowledged record stored once, nothing invented, every expected incident raised once, nobody told twice?
//!
//! Judging is pure, over what was gathered; [`gather`] asks the dashboard's API and reads the outbox.

pub mod api;
pub mod gather;
pub mod mail;

use crate::ledger::Fate;
use crate::scenarios::{ExpectedIncident, Label};
use andon_engine::subject::SubjectKind;
use andon_engine::time::Timestamp;
use mail::Mail;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// How many examples a finding names; the rest are counted.
const EXAMPLES: usize = 5;

/// A record as the export gives it, as far as the oracle looks.
#[derive(Clone, Debug, PartialEq, Default, serde::Deserialize)]
pub struct Stored {
    pub record_id: String,
    #[serde(default)]
    pub id: Option<String>,
    #[serde(default)]
    pub message: Option<String>,
    #[serde(default)]
    pub flags: Vec<String>,
}

/// An incident as GraphQL gives it, as far as the oracle looks.
#[derive(Clone, Debug, PartialEq)]
pub struct Raised {
    pub id: String,
    pub rule: String,
    pub subject_kind: SubjectKind,
    pub subject: String,
    pub opened_at: Timestamp,
    pub records: u64,
    pub reopened: u64,
    /// Asked for only where a label says something about them.
    pub fingerprints: Option<u64>,
    pub new_faults: Option<u64>,
}

/// What the answers to the requests added up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize)]
pub struct Totals {
    pub accepted: u64,
    pub duplicates: u64,
    pub rejected: u64,
    /// Requests of which an earlier attempt may have been taken: accepted and duplicates then only add up together.
    pub uncertain: u64,
}

/// One thing that was checked.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    pub check: String,
    pub ok: bool,
    pub detail: String,
    pub examples: Vec<String>,
}

impl Finding {
    /// Passes when nothing offends.
    pub fn none(check: impl Into<String>, detail: impl Into<String>, offenders: Vec<String>) -> Self {
        let (ok, n) = (offenders.is_empty(), offenders.len());
        let mut detail = detail.into();
        if !ok {
            detail = format!("{detail}; {n} wrong");
        }
        Self {
            check: check.into(),
            ok,
            detail,
            examples: offenders.into_iter().take(EXAMPLES).collect(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    pub name: String,
    pub passed: bool,
    pub findings: Vec<Finding>,
}

impl Verdict {
    pub fn new(name: impl Into<String>, findings: Vec<Finding>) -> Self {
        Self {
            name: name.into(),
            passed: findings.iter().all(|f| f.ok),
            findings,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {}", self.name, if self.passed { "PASSED" } else { "FAILED" })?;
        for finding in &self.findings {
            let mark = if finding.ok { "ok  " } else { "FAIL" };
            writeln!(f, "  {mark} {}: {}", finding.check, finding.detail)?;
            for example in &finding.examples {
                writeln!(f, "         {example}")?;
            }
        }
        Ok(())
    }
}

/// Conservation: acknowledged is stored once, sent is stored at most once, rejected and never sent is not stored.
/// `readings_only` are ids of records that have no message and that the log index therefore never shows.
pub fn judge_records(
    fates: &BTreeMap<String, Fate>,
    readings_only: &BTreeSet<String>,
    stored: &[Stored],
) -> Vec<Finding> {
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    let mut nameless = Vec::new();
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for s in stored {
        *places.entry(&s.record_id).or_default() += 1;
        match &s.id {
            Some(id) => *times.entry(id).or_default() += 1,
            None => nameless.push(format!("record {} has no id", s.record_id)),
        }
    }
    let ids_of = |fate| {
        fates
            .iter()
            .filter(move |(id, f)| **f == fate && !readings_only.contains(*id))
            .map(|(id, _)| id)
    };
    let acknowledged = ids_of(Fate::Acknowledged).count();
    let missing = ids_of(Fate::Acknowledged)
        .filter(|id| !times.contains_key(id.as_str()))
        .cloned()
        .collect();
    let doubled = times
        .iter()
        .filter(|(_, n)| **n > 1)
        .map(|(id, n)| format!("{id} is stored {n} times"))
        .collect();
    let refused = ids_of(Fate::Rejected)
        .filter(|id| times.contains_key(id.as_str()))
        .map(|id| format!("{id} was rejected"))
        .collect();
    let mut invented = nameless;
    invented.extend(
        times
            .keys()
            .filter(|id| !fates.contains_key(**id))
            .map(|id| format!("{id} was never sent")),
    );
    let same_place = places
        .iter()
        .filter(|(_, n)| **n > 1)
        .map(|(id, n)| format!("record_id {id} names {n} records"))
        .collect();
    vec![
        Finding::none(
            "acknowledged is stored",
            format!("{acknowledged} acknowledged, {} stored", stored.len()),
            missing,
        ),
        Finding::none("stored once", format!("{} different ids", times.len()), doubled),
        Finding::none(
            "rejected is not stored",
            format!("{} rejected", ids_of(Fate::Rejected).count()),
            refused,
        ),
        Finding::none("nothing invented", "every stored record was sent", invented),
        Finding::none("record_id is unique", format!("{} places", places.len()), same_place),
    ]
}

/// Exactly the labelled incidents, among those whose subject belongs to the run (begins with `prefix`).
pub fn judge_incidents(labels: &[Label], prefix: &str, raised: &[Raised]) -> Vec<Finding> {
    let expected: Vec<&ExpectedIncident> = labels
        .iter()
        .filter_map(|l| if let Label::Incident(e) = l { Some(e) } else { None })
        .collect();
    let (mut count, mut wrong) = (Vec::new(), Vec::new());
    for e in &expected {
        let name = format!("{} of {} {}", e.rule, e.subject_kind.as_str(), e.subject);
        let of: Vec<&Raised> = raised.iter().filter(|r| is(e, r)).collect();
        match of[..] {
            [one] => wrong.extend(differences(e, one).into_iter().map(|d| format!("{name}: {d}"))),
            [] => count.push(format!("{name}: not raised")),
            _ => count.push(format!(
                "{name}: raised {} times ({})",
                of.len(),
                join(of.iter().map(|r| r.id.as_str()))
            )),
        }
    }
    let stray = raised
        .iter()
        .filter(|r| r.subject.starts_with(prefix) && !expected.iter().any(|e| is(e, r)))
        .map(|r| {
            format!(
                "{} of {} {} ({} records)",
                r.rule,
                r.subject_kind.as_str(),
                r.subject,
                r.records
            )
        })
        .collect();
    vec![
        Finding::none(
            "each expected incident once",
            format!("{} expected", expected.len()),
            count,
        ),
        Finding::none(
            "incidents hold what they should",
            "records, time of the breach, fingerprints",
            wrong,
        ),
        Finding::none("no other incident", format!("subjects of {prefix}…"), stray),
    ]
}

fn is(e: &ExpectedIncident, r: &Raised) -> bool {
    r.rule == e.rule && r.subject_kind == e.subject_kind && r.subject == e.subject
}

fn differences(e: &ExpectedIncident, r: &Raised) -> Vec<String> {
    let mut out = Vec::new();
    if r.records != e.records {
        out.push(format!("{} records belong to it, expected {}", r.records, e.records));
    }
    if r.opened_at < e.opened_from || r.opened_at > e.opened_to {
        out.push(format!(
            "opened at {}, expected {} to {}",
            r.opened_at, e.opened_from, e.opened_to
        ));
    }
    if r.reopened > 0 {
        out.push(format!("was reopened {} times", r.reopened));
    }
    if e.fingerprints.is_some() && r.fingerprints != e.fingerprints {
        out.push(format!(
            "fingerprints {:?}, expected {:?}",
            r.fingerprints, e.fingerprints
        ));
    }
    if e.new_faults.is_some() && r.new_faults != e.new_faults {
        out.push(format!(
            "alerts for new faults {:?}, expected {:?}",
            r.new_faults, e.new_faults
        ));
    }
    out
}

/// The answers' sums and the labelled texts.
pub fn judge_labels(labels: &[Label], totals: Totals, stored: &[Stored]) -> Vec<Finding> {
    let mut out = Vec::new();
    let mut texts = Vec::new();
    let mut n_texts = 0;
    for label in labels {
        match label {
            Label::Totals {
                accepted,
                duplicates,
                rejected,
            } => {
                let exact = (totals.accepted, totals.duplicates) == (*accepted, *duplicates);
                let together = totals.accepted + totals.duplicates == accepted + duplicates;
                let ok = totals.rejected == *rejected && if totals.uncertain == 0 { exact } else { together };
                out.push(Finding {
                    check: "answers add up".into(),
                    ok,
                    detail: format!(
                        "accepted {} duplicates {} rejected {}, expected {accepted} {duplicates} {rejected}{}",
                        totals.accepted,
                        totals.duplicates,
                        totals.rejected,
                        if totals.uncertain > 0 {
                            " (some were sent again after no answer)"
                        } else {
                            ""
                        },
                    ),
                    examples: Vec::new(),
                });
            }
            Label::Stored { id, message, flags } => {
                n_texts += 1;
                match stored.iter().find(|s| s.id.as_ref() == Some(id)) {
                    None => texts.push(format!("{id} is not stored")),
                    Some(s) if s.message.as_ref() != Some(message) => {
                        texts.push(format!("{id} says {:?}, expected {message:?}", s.message));
                    }
                    Some(s) if !flags.iter().all(|f| s.flags.contains(f)) => {
                        texts.push(format!("{id} has flags {:?}, expected {flags:?}", s.flags));
                    }
                    Some(_) => {}
                }
            }
            _ => {}
        }
    }
    if n_texts > 0 {
        out.push(Finding::none(
            "texts are stored as they should be",
            format!("{n_texts} labelled"),
            texts,
        ));
    }
    out
}

/// E-mails: how many files repeat a Message-ID. A crash between the mail server's answer and our note of it may send one again, so up to
/// `crashes` repeats are counted but allowed.
pub fn judge_repeats(mails: &[Mail], crashes: usize) -> Finding {
    let mut times: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for m in mails {
        *times.entry((m.to.as_str(), m.message_id.as_str())).or_default() += 1;
    }
    let repeats: usize = times.values().map(|n| n - 1).sum();
    let offenders: Vec<String> = times
        .iter()
        .filter(|(_, n)| **n > 1)
        .map(|((to, id), n)| format!("{id} to {to}: {n} times"))
        .collect();
    Finding {
        check: "no e-mail twice".into(),
        ok: repeats <= crashes,
        detail: format!(
            "{} e-mails, {repeats} sent again, {crashes} allowed for crashes in between",
            mails.len()
        ),
        examples: offenders.into_iter().take(EXAMPLES).collect(),
    }
}

/// The first e-mails of each incident: by (recipient, incident), different messages that are no digest. Two would tell one fault twice.
pub fn judge_first_told(mails: &[Mail], incidents: &[Raised]) -> Finding {
    let mut told: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    for m in mails.iter().filter(|m| !m.is_digest()) {
        for r in incidents.iter().filter(|r| m.mentions(&r.id)) {
            told.entry((&m.to, &r.id)).or_default().insert(&m.message_id);
        }
    }
    let twice = told
        .iter()
        .filter(|(_, ids)| ids.len() > 1)
        .map(|((to, incident), ids)| format!("{to} was told of {incident} by {}", join(ids.iter().copied())))
        .collect();
    Finding::none(
        "each incident told once",
        format!("{} told by themselves", told.len()),
        twice,
    )
}

fn join<'a>(parts: impl Iterator<Item = &'a str>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
