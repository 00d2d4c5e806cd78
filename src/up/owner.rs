//! This process owns the site, and goes on saying so. When another one has taken over, it has to end.

use super::ports::Relations;
use super::told;
use crate::exit;
use andon_engine::ids::JournalId;
use andon_engine::time::{Clock, Span};
use andon_storage::ports::StoreError;
use andon_storage::ports::site::{Claim, ClaimError, Owned};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// How long the site stays this process's when it says nothing. The fence holds whatever the lease says; this is how long a successor
/// on another machine has to wait.
const LEASE: Span = Span::secs(15);
const RENEW_EVERY: Duration = Duration::from_secs(3);
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// Takes the site.
///
/// # Errors
/// With the configuration's exit code, when another process has it.
pub(super) async fn claim(
    store: &dyn Relations,
    journal: JournalId,
    folder: &Path,
    clock: &dyn Clock,
) -> anyhow::Result<Owned> {
    let host = kernel("hostname").unwrap_or_else(|| "a host without a name".into());
    let claim = Claim {
        owner: format!("{host}, process {}, run {:08x}", std::process::id(), rand::random::<u32>()),
        journal,
        place: place(folder).unwrap_or_default(),
        lease: LEASE,
        above: 0,
    };
    let until = Instant::now() + Duration::from_micros(LEASE.as_micros().unsigned_abs()) + RENEW_EVERY;
    loop {
        match store.claim_site(&claim, clock.now()).await {
            Ok(owned) => return Ok(owned),
            // The same journal elsewhere: this machine has been started anew, or the folder was moved. Its former owner is most likely
            // gone; one that lives goes on renewing, and is still there after a lease.
            Err(ClaimError::Taken(owner)) if owner.journal == journal && Instant::now() < until => {
                tracing::info!(owner = owner.owner, until = %owner.lease_until, "the site's lease runs: waiting whether it is renewed");
                tokio::time::sleep(ASK_AGAIN).await;
            }
            Err(e) => return Err(exit::config(e)),
        }
    }
}

fn kernel(what: &str) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/sys/kernel/{what}")).ok()?;
    Some(text.trim().to_owned()).filter(|t| !t.is_empty())
}

/// Where the journal's lock is: this run of this machine's kernel, and the folder as its file system numbers it. Whoever is at the same
/// place holds the same lock.
fn place(folder: &Path) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let boot = kernel("random/boot_id")?;
    let folder = std::fs::metadata(folder.join("journal")).ok()?;
    Some(format!("{boot}/{:x}/{:x}", folder.dev(), folder.ino()))
}

/// Says again and again that the site is this process's, until told to stop; then gives it free.
pub(super) async fn keep(
    store: Arc<dyn Relations>,
    owned: Owned,
    clock: Arc<dyn Clock>,
    fenced: watch::Sender<Option<String>>,
    stop: watch::Receiver<bool>,
) {
    while tokio::time::timeout(RENEW_EVERY, told(stop.clone())).await.is_err() {
        match store.renew(owned.epoch, LEASE, clock.now()).await {
            Ok(_) => match store.heal().await {
                Ok(false) => {}
                Ok(true) => tracing::warn!("the relational store had lost what it had: tables, keys, people and owner are back, the writers follow"),
                Err(e) => tracing::warn!(error = %e, "the relational store has lost what it had, and cannot be mended now"),
            },
            Err(StoreError::Fenced { reason, .. }) => {
                fenced.send_replace(Some(reason));
                return;
            }
            Err(e @ StoreError::Lost { .. }) => {
                tracing::warn!(error = %e, "the relational store has lost what it had");
                if let Err(e) = store.heal().await {
                    tracing::warn!(error = %e, "and it cannot be mended now");
                }
            }
            Err(e) => tracing::debug!(error = %e, "the lease of the site cannot be renewed now"),
        }
    }
}
