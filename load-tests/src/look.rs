//! One look at everything that a workload should have come to: records, incidents, e-mails.

use crate::ledger::{Fate, Ledger};
use crate::oracle::api::Dashboard;
use crate::oracle::mail::{Mail, read_outbox};
use crate::oracle::{Finding, Raised, Stored, gather, judge_first_told, judge_incidents, judge_records, judge_repeats};
use crate::sender::Sender;
use crate::workload::Workload;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What was found, and what is wrong with it.
#[derive(Debug)]
pub(crate) struct Look {
    pub(crate) findings: Vec<Finding>,
    pub(crate) records: Found,
    pub(crate) incidents: usize,
    pub(crate) incidents_expected: usize,
    pub(crate) mails: usize,
    /// E-mails sent again, with the Message-ID that they had.
    pub(crate) mails_repeated: usize,
}

/// Acknowledged records by how often they are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Found {
    pub acknowledged: usize,
    pub once: usize,
    pub more: usize,
    pub missing: usize,
}

impl Found {
    fn of(ledger: &Ledger, stored: &[Stored]) -> Self {
        let mut times: BTreeMap<&str, usize> = BTreeMap::new();
        for id in stored.iter().filter_map(|s| s.id.as_deref()) {
            *times.entry(id).or_default() += 1;
        }
        let mut found = Self::default();
        for (id, _) in ledger.fates().iter().filter(|(_, f)| **f == Fate::Acknowledged) {
            found.acknowledged += 1;
            match times.get(id.as_str()) {
                None => found.missing += 1,
                Some(1) => found.once += 1,
                Some(_) => found.more += 1,
            }
        }
        found
    }
}

/// `repeats_allowed`: e-mails that may have come twice, since a crash can fall between sending one and noting it.
pub(crate) async fn look(
    sender: &Sender,
    dashboard: &Dashboard,
    workload: &Workload,
    outbox: &Path,
    repeats_allowed: usize,
) -> anyhow::Result<Look> {
    let stored = gather::records(dashboard, &[("source", workload.run())]).await?;
    let labels = workload.labels();
    let raised = gather::incidents(dashboard, &labels).await?;
    let mails = read_outbox(outbox)?;
    let (mut findings, records) = sender.with_ledger(|l| {
        let open = l.fates().iter().filter(|(_, f)| **f != Fate::Acknowledged);
        let open = open.map(|(id, f)| format!("{id}: {f:?}")).collect();
        let mut of_records = vec![Finding::none(
            "everything was acknowledged in the end",
            "by the workers' retries",
            open,
        )];
        of_records.extend(judge_records(l.fates(), &BTreeSet::new(), &stored));
        (of_records, Found::of(l, &stored))
    });
    let prefix = format!("{}-", workload.run());
    findings.extend(judge_incidents(&labels, &prefix, &raised));
    findings.push(judge_told(&mails, &raised));
    findings.push(judge_first_told(&mails, &raised));
    findings.push(judge_repeats(&mails, repeats_allowed));
    let different: BTreeSet<(&str, &str)> = mails.iter().map(|m| (m.to.as_str(), m.message_id.as_str())).collect();
    Ok(Look {
        findings,
        records,
        incidents: raised.iter().filter(|r| r.subject.starts_with(&prefix)).count(),
        incidents_expected: labels.len(),
        mails: mails.len(),
        mails_repeated: mails.len() - different.len(),
    })
}

fn judge_told(mails: &[Mail], raised: &[Raised]) -> Finding {
    let fatal = raised.iter().filter(|r| r.rule == "fatal-per-device");
    let untold = fatal
        .clone()
        .filter(|r| !mails.iter().any(|m| m.mentions(&r.id)))
        .map(|r| r.subject.clone())
        .collect();
    Finding::none(
        "each fatal incident is told",
        format!("{} raised", fatal.count()),
        untold,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_is_told_apart_by_how_often() {
        let ids = |names: &[&str]| names.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        let mut ledger = Ledger::in_memory();
        ledger.sending(&ids(&["a", "b", "c", "d"])).unwrap();
        ledger.acknowledged(&ids(&["a", "b", "c"])).unwrap();
        let stored: Vec<Stored> = ["a", "b", "b", "d"]
            .map(|id| Stored {
                id: Some(id.into()),
                ..Stored::default()
            })
            .into();
        let want = Found {
            acknowledged: 3,
            once: 1,
            more: 1,
            missing: 1,
        };
        assert_eq!(Found::of(&ledger, &stored), want);
    }
}
