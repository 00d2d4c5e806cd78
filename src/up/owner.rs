//! This process takes the site, in every store in which another process could write.

use super::ports::{Logs, Relations};
use crate::exit;
use andon_engine::time::Clock;
use andon_storage::journal::Journal;
use andon_storage::owner::{LEASE, Ownership, claim_of};
use andon_storage::ports::StoreError;
use andon_storage::ports::site::ClaimError;
use andon_storage::redis::Redis;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

const ASK_AGAIN: Duration = Duration::from_millis(500);

/// Claims the site and puts up the fences.
///
/// # Errors
/// With the exit code of [`exit::store`]: another process has it, a store belongs to another journal, or does not answer.
pub(super) async fn own(
    relational: &Arc<dyn Relations>,
    redis: Option<&Redis>,
    index: &dyn Logs,
    journal: &Journal,
    folder: &Path,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<Ownership> {
    // Where the relational store was emptied the others have met a later owner than it remembers.
    let mut above = index.stored_epoch().await.map_err(exit::store)?;
    if let Some(redis) = redis {
        above = above.max(redis.stored_epoch().await.map_err(exit::store)?);
    }
    let claim = claim_of(folder, journal.id(), above);
    let until = Instant::now() + LEASE.to_std() + ASK_AGAIN;
    let owned = loop {
        match Ownership::claim(relational.clone(), &claim, clock.clone()).await {
            Ok(owned) => break owned,
            // The same journal elsewhere: this machine was started anew, or the folder was moved. Its former owner is most likely gone;
            // one that lives goes on renewing, and is still there after a lease.
            Err(ClaimError::Taken(owner)) if owner.journal == journal.id() && Instant::now() < until => {
                tracing::info!(owner = owner.owner, until = %owner.lease_until, "waiting whether the owner of the site still lives");
                tokio::time::sleep(ASK_AGAIN).await;
            }
            Err(e) => return Err(exit::store(e)),
        }
    };
    let fences = async {
        if let Some(redis) = redis {
            redis.set_epoch(owned.epoch()).await?;
        }
        index.set_epoch(owned.epoch()).await
    };
    fences.await.map_err(|e: StoreError| exit::store(e))?;
    Ok(owned)
}
