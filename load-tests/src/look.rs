//! One look at everything that a workload should have come to: records, incidents, e-mails.

use crate::ledger::{Fate, Ledger};
use crate::oracle::api::Dashboard;
use crate::oracle::mail::{Mail, read_outbox};
use crate::oracle::{Finding, Raised, Stored, gather, judge_first_told, judge_incidents, judge_records, judge_repeats};
use crate::sender::Sender;
use crate::workload::Workload;
use anyhow::Context as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Connection as _, Row as _};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::str::FromStr as _;
use std::time::Duration;

const ASKED_WITHIN: Duration = Duration::from_secs(60);

/// What was found, and what is wrong with it.
#[derive(Debug)]
pub(crate) struct Look {
    pub(crate) findings: Vec<Finding>,
    pub(crate) records: Found,
    /// The same in PostgreSQL's own table, where there is one: nothing there keeps a row from being written twice but the writer's care.
    pub(crate) rows: Option<Found>,
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

/// Where to look.
#[derive(Debug)]
pub(crate) struct Places<'a> {
    pub(crate) dashboard: &'a Dashboard,
    pub(crate) outbox: &'a Path,
    pub(crate) postgres_url: Option<&'a str>,
}

/// `repeats_allowed`: e-mails that may have come twice, since a crash can fall between sending one and noting it.
pub(crate) async fn look(
    sender: &Sender,
    workload: &Workload,
    places: &Places<'_>,
    repeats_allowed: usize,
) -> anyhow::Result<Look> {
    let stored = gather::records(places.dashboard, &[("source", workload.run())]).await?;
    let written = match places.postgres_url {
        Some(url) => Some(rows(url, workload.run()).await?),
        None => None,
    };
    let labels = workload.labels();
    let raised = gather::incidents(places.dashboard, &labels).await?;
    let mails = read_outbox(places.outbox)?;
    let (mut findings, records, rows) = sender.with_ledger(|l| {
        let open = l.fates().iter().filter(|(_, f)| **f != Fate::Acknowledged);
        let open = open.map(|(id, f)| format!("{id}: {f:?}")).collect();
        let mut of_records = vec![Finding::none(
            "everything was acknowledged in the end",
            "by the workers' retries",
            open,
        )];
        of_records.extend(judge_records(l.fates(), &BTreeSet::new(), &stored));
        if let Some(written) = &written {
            let of_rows = judge_records(l.fates(), &BTreeSet::new(), written).into_iter();
            of_records.extend(of_rows.map(|f| Finding {
                check: format!("{}, in PostgreSQL", f.check),
                ..f
            }));
        }
        (of_records, Found::of(l, &stored), written.map(|w| Found::of(l, &w)))
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
        rows,
        incidents: raised.iter().filter(|r| r.subject.starts_with(&prefix)).count(),
        incidents_expected: labels.len(),
        mails: mails.len(),
        mails_repeated: mails.len() - different.len(),
    })
}

/// The log records of a run in PostgreSQL.
async fn rows(url: &str, run: &str) -> anyhow::Result<Vec<Stored>> {
    // Errors of the driver do not repeat the URL with its password.
    let options = PgConnectOptions::from_str(url)
        .context("the address of PostgreSQL")?
        .disable_statement_logging();
    let asking = async {
        let mut session = PgConnection::connect_with(&options).await?;
        // Andon's schema by its name: a role of another name would not look there.
        let found = sqlx::query("SELECT encode(record_id, 'hex'), sender_id FROM andon.records WHERE source = $1")
            .bind(run)
            .fetch_all(&mut session)
            .await?;
        session.close().await?;
        found
            .iter()
            .map(|row| {
                Ok(Stored {
                    record_id: row.try_get(0)?,
                    id: row.try_get(1)?,
                    ..Stored::default()
                })
            })
            .collect::<Result<Vec<_>, sqlx::Error>>()
    };
    let found = tokio::time::timeout(ASKED_WITHIN, asking)
        .await
        .context("PostgreSQL does not answer")?;
    found.context("the records in PostgreSQL")
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
