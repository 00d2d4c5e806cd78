//! What other processes of the site ask of this one, which has the journal: operations on incidents, and new configurations.

use super::people::People;
use super::told;
use andon_actors::judging::Judging;
use andon_engine::control::Control;
use andon_engine::time::{Clock, Span};
use andon_storage::journal::AppendError;
use andon_storage::ports::Result;
use andon_storage::ports::site::{Answer, SiteStore, Verdict};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How soon a request is seen: one small query each time.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How often it is looked for all the same, whatever the count of requests says.
const LOOK_ANYWAY: u32 = 40;
const AT_ONCE: u32 = 32;
/// How long what became of a request can be asked.
const KEPT: Span = Span::hours(24);
/// Looks between two prunings: about every ten minutes.
const PRUNE_EVERY: u32 = 12_000;

pub(super) struct Requests {
    pub(super) site: Arc<dyn SiteStore>,
    pub(super) judging: Judging,
    pub(super) people: Arc<People>,
    pub(super) clock: Arc<dyn Clock>,
    /// What the age of answers is measured against.
    pub(super) age: Arc<dyn Clock>,
}

impl Requests {
    pub(super) async fn serve(self, stop: watch::Receiver<bool>) {
        let mut seen = None;
        let mut looks = 0_u32;
        while tokio::time::timeout(LOOK_EVERY, told(stop.clone())).await.is_err() {
            looks = looks.wrapping_add(1);
            if let Err(e) = self.look(&mut seen, looks).await {
                tracing::debug!(error = %e, "requests of other processes cannot be read now");
                seen = None;
            }
        }
    }

    async fn look(&self, seen: &mut Option<u64>, looks: u32) -> Result<()> {
        // A request that comes after the number was read is seen the next time.
        let generation = self.site.requests_generation().await?;
        if *seen != Some(generation) || looks.is_multiple_of(LOOK_ANYWAY) {
            self.operations().await?;
            self.proposals().await?;
            *seen = Some(generation);
        }
        if looks.is_multiple_of(PRUNE_EVERY) {
            self.site.prune_requests(self.age.now().minus(KEPT)).await?;
        }
        Ok(())
    }

    async fn operations(&self) -> Result<()> {
        loop {
            let operations = self.site.take_operations(AT_ONCE).await?;
            let all = operations.len() < AT_ONCE as usize;
            for operation in operations {
                let id = operation.id;
                let answer: Answer = match self.judging.control(&Control::Operated(operation)).await {
                    Ok(_) => Ok(()),
                    // Whether it was taken is known after a restart: whoever has the journal then answers.
                    Err(AppendError::Failed) => return Ok(()),
                    Err(e) => Err(e.to_string()),
                };
                self.site.answer_operation(id, &answer, self.clock.now()).await?;
            }
            if all {
                return Ok(());
            }
        }
    }

    async fn proposals(&self) -> Result<()> {
        while let Some(proposal) = self.site.take_proposal().await? {
            let (id, who) = (proposal.id, proposal.who.clone());
            let in_force = self.judging.configuration().borrow().clone();
            let answer = match proposal.verdict(&in_force) {
                Verdict::InForce(version) => Ok(version),
                Verdict::Refuse(why) => Err(why),
                Verdict::TakeOver(new) => {
                    tracing::info!(who, "a new configuration is taken over");
                    self.people.replace(new).await.map_err(|e| format!("{e:#}"))
                }
            };
            self.site.answer_proposal(id, &answer, self.clock.now()).await?;
        }
        Ok(())
    }
}
