//! Who is told: what the file says, and the people whom `andon user` adds beside the running server.

use super::told;
use crate::{config, exit};
use andon_actors::judging::Judging;
use andon_engine::control::Control;
use andon_engine::rule::Configuration;
use andon_storage::ports::people::PeopleStore;
use anyhow::Context;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How long start-up may read what a crash left unjudged.
const REPLAY: Duration = Duration::from_secs(600);
/// A change of `andon user` is taken over after at most this.
const PEOPLE_EVERY: Duration = Duration::from_millis(500);
/// A new configuration holds within this, or start-up gives up.
const CONFIGURE: Duration = Duration::from_secs(60);

/// The configuration: that of the file, and the people whom `andon user` has added beside the running server.
pub(super) struct People {
    pub(super) judging: Judging,
    pub(super) store: Arc<dyn PeopleStore>,
    pub(super) file: Configuration,
    pub(super) file_has_default_route: bool,
}

impl People {
    /// Journals the configuration if it is not the one in force, and waits until it is. Returns the generation of the people in it.
    pub(super) async fn configure(&self) -> anyhow::Result<u64> {
        // A change after the number was read is seen the next time.
        let generation = self.store.people_generation().await.map_err(exit::config)?;
        let mut new = self.file.clone();
        config::add_people(
            &mut new,
            &self.store.people().await.map_err(exit::config)?,
            self.file_has_default_route,
        );
        let mut in_force = self.judging.configuration();
        // A configuration of a past run may still lie in the journal, not yet judged.
        let head = self.judging.head();
        let mut routed = self.judging.routed();
        let wait = async { routed.wait_for(|r| *r >= head).await.map(drop) };
        tokio::time::timeout(REPLAY, wait)
            .await
            .context("replaying the journal takes too long")??;
        let old = in_force.borrow_and_update().clone();
        new.version = old.version;
        if new == *old {
            return Ok(generation);
        }
        new.version = old.version + 1;
        let version = new.version;
        self.judging
            .control(&Control::Configured(Arc::new(new)))
            .await
            .context("the configuration cannot be journaled")?;
        let wait = in_force.wait_for(|c| c.version >= version);
        tokio::time::timeout(CONFIGURE, wait)
            .await
            .context("the configuration does not take effect")??;
        Ok(generation)
    }

    pub(super) async fn follow(self, mut generation: u64, stop: watch::Receiver<bool>) {
        while tokio::time::timeout(PEOPLE_EVERY, told(stop.clone())).await.is_err() {
            match self.store.people_generation().await {
                Ok(now) if now == generation => {}
                Ok(_) => match self.configure().await {
                    Ok(now) => generation = now,
                    Err(e) => {
                        tracing::warn!(error = %e, "a change of people could not be taken over; it is tried again")
                    }
                },
                Err(e) => tracing::debug!(error = %e, "people cannot be read now"),
            }
        }
    }
}
