//! What one fault came to.

use super::matrix::Fault;
use crate::attempts::{Counts, seconds};
use crate::look::Found;
use crate::metrics::Highest;
use crate::oracle::Finding;
use serde::Serialize;
use std::time::Duration;

/// Fewer entries behind than this is what any load brings.
const LAG_SEEN: u64 = 10;

#[derive(Clone, Debug, Default, Serialize)]
pub struct Row {
    pub name: String,
    /// What was done to which server.
    pub fault: String,
    /// From the first step of making it to the last of ending it: stopping and starting a server takes its own time.
    pub lasted_ms: u64,
    /// Records acknowledged while it lasted.
    pub acknowledged_during: usize,
    /// Requests while it lasted.
    pub counts: Counts,
    pub records: Found,
    /// In PostgreSQL's table of records.
    pub rows: Option<Found>,
    pub incidents: usize,
    pub incidents_expected: usize,
    pub mails: usize,
    pub mails_repeated: usize,
    /// How many the nature of the fault lets come twice.
    pub repeats_allowed: usize,
    /// The farthest that a sink was behind while it lasted.
    pub lag_max: Highest,
    /// From the end of the fault until every sink had caught up.
    pub drained_after_ms: Option<u64>,
    /// What the fault costs by its nature.
    pub edge: Option<&'static str>,
    pub passed: bool,
    pub findings: Vec<Finding>,
    /// Why the run could not be brought to its end.
    pub error: Option<String>,
}

impl Row {
    /// A run that did not come to its end is a failed one.
    pub(super) fn broken(fault: &Fault, e: &anyhow::Error) -> Self {
        Self {
            name: fault.name.clone(),
            fault: fault.says(),
            edge: fault.edge(),
            error: Some(format!("{e:#}")),
            ..Self::default()
        }
    }

    pub(super) fn unavailable(&self) -> u64 {
        self.counts.turned_away.get(&503).copied().unwrap_or_default()
    }

    pub(super) fn drained(&self) -> String {
        self.drained_after_ms.map_or_else(|| "never".into(), seconds)
    }

    /// In a few words: well, or what is not.
    pub(super) fn verdict(&self) -> String {
        if self.passed {
            return "holds".into();
        }
        let wrong = self.findings.iter().find(|f| !f.ok).map(|f| f.check.clone());
        let wrong = wrong.or_else(|| {
            self.error
                .as_ref()
                .map(|e| e.lines().next().unwrap_or_default().to_owned())
        });
        format!("FAILED: {}", wrong.unwrap_or_default())
    }

    /// One line for whoever waits.
    pub(super) fn line(&self) -> String {
        if let Some(error) = &self.error {
            return format!("{:<26} FAILED: {error}", self.name);
        }
        let mut text = format!(
            "{:<26} {}; {} s, {} records acknowledged meanwhile, {} times 503, {} s at most between two; lag {} at most, gone after {} s; \
             {} of {} found once, {} more than once (rows: {}, {}); {} of {} incidents; {} e-mails, {} twice",
            self.name,
            self.verdict(),
            seconds(self.lasted_ms),
            self.acknowledged_during,
            self.unavailable(),
            seconds(self.counts.longest_gap_ms),
            self.lag_max.entries,
            self.drained(),
            self.records.once,
            self.records.acknowledged,
            self.records.more,
            self.rows.unwrap_or_default().once,
            self.rows.unwrap_or_default().more,
            self.incidents,
            self.incidents_expected,
            self.mails,
            self.mails_repeated,
        );
        for finding in self.findings.iter().filter(|f| !f.ok) {
            text.push_str(&format!("\n  {}: {}", finding.check, finding.detail));
            finding
                .examples
                .iter()
                .for_each(|x| text.push_str(&format!("\n    {x}")));
        }
        text
    }
}

/// Did ingest go on, was lag to be seen, and did it go away by itself?
pub(super) fn judge_course(
    fault: &Fault,
    counts: &Counts,
    lag_max: &Highest,
    drained: Option<Duration>,
    gap_max: Duration,
) -> Vec<Finding> {
    let mut wrong = Vec::new();
    let others = counts
        .turned_away
        .iter()
        .filter(|(status, _)| !(fault.is_of_journal() && **status == 503));
    wrong.extend(others.map(|(status, n)| format!("{n} requests were answered {status}")));
    if counts.unanswered > 0 {
        wrong.push(format!("{} requests were not answered", counts.unanswered));
    }
    if fault.is_of_journal() {
        if !counts.turned_away.contains_key(&503) {
            wrong.push("nobody was told with a 503 that the journal is full".into());
        }
    } else if u128::from(counts.longest_gap_ms) >= gap_max.as_millis() {
        wrong.push(format!(
            "{} s without an acknowledgement",
            seconds(counts.longest_gap_ms)
        ));
    }
    let ingest = Finding::none(
        "ingest goes on",
        format!("{} requests acknowledged", counts.accepted),
        wrong,
    );
    let unseen = fault.holds_up_sinks() && lag_max.entries < LAG_SEEN;
    let lag = Finding::none(
        "lag is to be seen in the metrics",
        format!("{} entries at most", lag_max.entries),
        if unseen {
            vec!["no sink was seen to be behind".into()]
        } else {
            Vec::new()
        },
    );
    let stuck = drained.is_none().then(|| "some sink never caught up".to_owned());
    let drained = Finding::none("lag drains by itself", "after the fault", stuck.into_iter().collect());
    vec![ingest, lag, drained]
}

#[cfg(test)]
mod tests {
    use super::super::matrix::chosen;
    use super::*;

    fn course(name: &str, statuses: &[(u16, u64)], gap_ms: u64, lag: u64, drained: bool) -> Vec<String> {
        let fault = &chosen(&[name.to_owned()]).unwrap()[0];
        let counts = Counts {
            accepted: 7,
            turned_away: statuses.iter().copied().collect(),
            unanswered: 0,
            longest_gap_ms: gap_ms,
        };
        let lag = Highest {
            entries: lag,
            sink: "rows".into(),
        };
        let drained = drained.then_some(Duration::from_secs(1));
        let all = judge_course(fault, &counts, &lag, drained, Duration::from_secs(5));
        all.into_iter().filter(|f| !f.ok).map(|f| f.check).collect()
    }

    #[test]
    fn a_store_may_cost_no_acknowledgement_and_the_journal_must_say_503() {
        assert!(course("postgres-stopped", &[], 300, 50, true).is_empty());
        assert_eq!(
            course("postgres-stopped", &[(503, 1)], 300, 50, true),
            ["ingest goes on"]
        );
        assert_eq!(course("postgres-stopped", &[], 5_000, 50, true), ["ingest goes on"]);
        assert!(course("journal-disk-full", &[(503, 1)], 9_000, 0, true).is_empty());
        assert_eq!(course("journal-disk-full", &[], 300, 0, true), ["ingest goes on"]);
        assert_eq!(
            course("journal-disk-full", &[(503, 1), (500, 1)], 300, 0, true),
            ["ingest goes on"]
        );
    }

    #[test]
    fn a_store_that_is_gone_shows_as_lag_that_goes_away() {
        assert_eq!(
            course("elasticsearch-frozen", &[], 1, 0, true),
            ["lag is to be seen in the metrics"]
        );
        // Redis holds up no sink.
        assert!(course("redis-frozen", &[], 1, 0, true).is_empty());
        assert_eq!(course("redis-frozen", &[], 1, 0, false), ["lag drains by itself"]);
    }
}
