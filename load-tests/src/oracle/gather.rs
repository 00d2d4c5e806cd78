//! Gathering what the oracle judges, and waiting until there is something to judge: on conditions, with a deadline and the last status.

use super::api::{Dashboard, Progress};
use super::mail::{Mail, read_outbox};
use super::{Raised, Stored};
use crate::scenarios::Label;
use std::path::Path;
use std::time::Duration;
use tokio::time::Instant;

const POLL: Duration = Duration::from_millis(200);

/// Waits until every sink has done all of the journal and nothing came in between two looks. On the deadline gives the last status
/// instead: the caller judges what there is, and says so.
pub async fn settled(dashboard: &Dashboard, deadline: Instant) -> Result<(), String> {
    let mut before: Option<Progress> = None;
    let mut last = String::from("never asked");
    while Instant::now() < deadline {
        match dashboard.progress().await {
            Ok(now) => {
                if now.is_done() && before.as_ref() == Some(&now) {
                    return Ok(());
                }
                last = format!("{now:?}");
                before = Some(now);
            }
            Err(e) => {
                last = format!("{e:#}");
                before = None;
            }
        }
        tokio::time::sleep(POLL).await;
    }
    Err(last)
}

/// Every stored record that `query` asks for.
pub async fn records(dashboard: &Dashboard, query: &[(&str, &str)]) -> anyhow::Result<Vec<Stored>> {
    let mut out = Vec::new();
    dashboard.export(query, |s| out.push(s)).await?;
    Ok(out)
}

/// Every incident, with details where a label says something about them.
pub async fn incidents(dashboard: &Dashboard, labels: &[Label]) -> anyhow::Result<Vec<Raised>> {
    let mut raised = dashboard.incidents().await?;
    for r in &mut raised {
        let detailed = labels.iter().any(|l| {
            matches!(l, Label::Incident(e) if e.subject == r.subject && e.rule == r.rule && (e.fingerprints.is_some() || e.new_faults.is_some()))
        });
        if detailed {
            let (fingerprints, new_faults) = dashboard.details(&r.id).await?;
            (r.fingerprints, r.new_faults) = (Some(fingerprints), Some(new_faults));
        }
    }
    Ok(raised)
}

/// Waits until the mails of the outbox satisfy `enough`; on the deadline gives what there is.
pub async fn mails(outbox: &Path, deadline: Instant, enough: impl Fn(&[Mail]) -> bool) -> anyhow::Result<Vec<Mail>> {
    loop {
        let mails = read_outbox(outbox)?;
        if enough(&mails) || Instant::now() >= deadline {
            return Ok(mails);
        }
        tokio::time::sleep(POLL).await;
    }
}
