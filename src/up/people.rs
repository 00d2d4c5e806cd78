//! Who is told: what the file says, and the people whom `andon user` adds beside the running server.

use super::ports::Relations;
use super::told;
use crate::{config, exit};
use andon_actors::judging::Judging;
use andon_engine::control::Control;
use andon_engine::ids::RouteId;
use andon_engine::parts::ConfigurationChange;
use andon_engine::rule::{Configuration, Recipient, Route};
use anyhow::Context;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// How long start-up may read what a crash left unjudged.
const REPLAY: Duration = Duration::from_secs(600);
/// A change of `andon user` is taken over after at most this.
const PEOPLE_EVERY: Duration = Duration::from_millis(500);
/// How often it is looked whether the store still has what is in force, for other processes.
const PUBLISH_EVERY: Duration = Duration::from_secs(10);
/// A new configuration holds within this, or start-up gives up.
const CONFIGURE: Duration = Duration::from_secs(60);
/// How often what is in force is brought to what it is to be: once, unless a change that was given up has come into force meanwhile.
const CHANGES_MAX: u32 = 3;

/// The configuration: that of the file, or one that took its place since, and the people whom `andon user` has added beside the running
/// server.
pub(super) struct People {
    judging: Judging,
    store: Arc<dyn Relations>,
    /// One change at a time.
    base: tokio::sync::Mutex<Base>,
    /// Where in the journal the last change may lie: at first, where it ended at the start.
    journaled: AtomicU64,
    /// The default route that this process makes when a configuration defines none.
    default_route: Option<(Route, Vec<Recipient>)>,
}

struct Base {
    configuration: Configuration,
    /// Then people are not added to it.
    defines_default_route: bool,
}

impl People {
    pub(super) fn new(
        judging: Judging,
        store: Arc<dyn Relations>,
        configuration: Configuration,
        defines_default_route: bool,
    ) -> Self {
        let default_route = config::made_default_route(&configuration, defines_default_route);
        Self {
            journaled: AtomicU64::new(judging.head()),
            judging,
            store,
            base: tokio::sync::Mutex::new(Base {
                configuration,
                defines_default_route,
            }),
            default_route,
        }
    }

    /// Waits until what the journal still held is judged, then journals the configuration if it is not the one in force, and waits until
    /// it is. Returns the generation of the people in it.
    pub(super) async fn configure(&self) -> anyhow::Result<u64> {
        let mut base = self.base.lock().await;
        // A change after the number was read is seen the next time.
        let generation = self.store.people_generation().await.map_err(exit::store)?;
        self.put_in_force(&mut base).await?;
        Ok(generation)
    }

    /// Another process proposes a configuration. Returns the version that is in force then.
    pub(super) async fn replace(&self, mut configuration: Configuration) -> anyhow::Result<u64> {
        let mut base = self.base.lock().await;
        let defines_default_route = configuration.route(&RouteId::new(config::DEFAULT_ROUTE)).is_some();
        if !defines_default_route && let Some((route, recipients)) = &self.default_route {
            configuration.routes.push(route.clone());
            for r in recipients {
                if configuration.recipient(&r.id).is_none() {
                    configuration.recipients.push(r.clone());
                }
            }
        }
        let mut new = Base {
            configuration,
            defines_default_route,
        };
        let version = self.put_in_force(&mut new).await?;
        *base = new;
        Ok(version)
    }

    async fn put_in_force(&self, base: &mut Base) -> anyhow::Result<u64> {
        let people = self.store.people().await.map_err(exit::store)?;
        // A change may still lie in the journal, not yet judged.
        self.judged(self.journaled.load(Ordering::Acquire), REPLAY)
            .await
            .context("replaying the journal takes too long")?;
        let mut changes_made = 0;
        loop {
            let in_force = self.judging.configuration().borrow().clone();
            // What is the same need not be compared again.
            base.configuration.share_with(&in_force);
            let mut new = base.configuration.clone();
            config::add_people(&mut new, &people, base.defines_default_route);
            let changes = in_force.changes_to(&new);
            if changes.is_empty() {
                return Ok(in_force.version);
            }
            anyhow::ensure!(
                changes_made < CHANGES_MAX,
                "the configuration is in force otherwise than it was journaled: look at the log of judging"
            );
            changes_made += 1;
            let version = in_force.version + 1;
            let whole = false;
            self.journal(ConfigurationChange {
                version,
                whole,
                changes,
            })
            .await?;
        }
    }

    /// Journals a change, and waits until it is in force.
    async fn journal(&self, change: ConfigurationChange) -> anyhow::Result<()> {
        for step in self.judging.steps(change) {
            let journaled = self.judging.control(&Control::Changed(step)).await;
            let seq = journaled.context("the configuration cannot be journaled")?;
            self.journaled.store(seq, Ordering::Release);
        }
        self.judged(self.journaled.load(Ordering::Acquire), CONFIGURE)
            .await
            .context("the configuration does not take effect")
    }

    /// Waits until the journal is judged up to there.
    async fn judged(&self, seq: u64, within: Duration) -> anyhow::Result<()> {
        let mut routed = self.judging.routed();
        tokio::time::timeout(within, routed.wait_for(|r| *r >= seq)).await??;
        Ok(())
    }

    /// Says in the store what is in force, for processes that have no journal.
    pub(super) async fn publish(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut in_force = self.judging.configuration();
        loop {
            let now = in_force.borrow_and_update().clone();
            if let Err(e) = self.store.put_configuration(&now).await {
                tracing::debug!(error = %e, "the configuration in force cannot be written now");
            }
            tokio::select! {
                _ = in_force.changed() => {}
                // Again from time to time: the store may have been away, or come back empty.
                () = tokio::time::sleep(PUBLISH_EVERY) => {}
                _ = stop.wait_for(|s| *s) => return,
            }
        }
    }

    pub(super) async fn follow(self: Arc<Self>, mut generation: u64, stop: watch::Receiver<bool>) {
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
