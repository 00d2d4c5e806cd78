//! Mutations: what an operator does to an incident.
//!
//! Each becomes a control entry of the journal, which the shards judge like everything else; the answer waits until the
//! incident's row shows it. A row that is slow to show it is no failure: the entry is durable by then.

use super::error::{Code, bad_input, fail, store};
use super::query::incident_id;
use super::{Services, viewer};
use crate::system::OperateError;
use crate::telemetry;
use crate::view::incident::Incident;
use crate::view::scalar::DateTime;
use andon_engine::control::{Action, Operation};
use andon_engine::ids::{IncidentId, OperationId};
use andon_engine::incident::{Activity, Incident as EngineIncident, TimelineKind};
use andon_engine::time::Span;
use async_graphql::{Context, ID, Object, Result, SimpleObject};
use std::sync::Arc;
use std::time::Duration;

/// Longest time for which an operator may shelve.
pub(crate) const SHELVE_MAX: Span = Span::hours(8);
/// Bytes of a comment, a reason or a cause.
pub(crate) const REMARK_BYTES_MAX: usize = 2_048;
/// How long an answer waits for the row.
const SHOWN_WITHIN: Duration = Duration::from_secs(2);
/// The feed wakes the wait; this is for a change that reached the store by another way.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// The incident as it is now.
#[derive(SimpleObject, Debug)]
pub struct OperationResult {
    pub incident: Incident,
    /// False: the change is in the journal and will be done, but the incident does not show it yet.
    pub applied: bool,
}

/// Each returns once the incident shows it, or, when that takes longer than 2 s, with `applied: false`: it is in the journal and will be done.
#[derive(Debug)]
pub struct Mutation;

#[Object]
impl Mutation {
    /// Acknowledging what is acknowledged changes nothing and is no error; a comment is added all the same.
    #[graphql(complexity = "crate::graphql::read_complexity(child_complexity)")]
    async fn acknowledge(
        &self,
        ctx: &Context<'_>,
        incident_id: ID,
        comment: Option<String>,
    ) -> Result<OperationResult> {
        let comment = comment.map(|c| remark("comment", c)).transpose()?;
        let op = Operator::start(ctx, &incident_id, true).await?;
        op.refuse_closed("acknowledged")?;
        let mut actions = Vec::new();
        if op.before.acknowledged.is_none() {
            actions.push(Action::Acknowledge);
        }
        actions.extend(comment.map(|text| Action::Comment { text }));
        op.run(actions).await
    }

    #[graphql(complexity = "crate::graphql::read_complexity(child_complexity)")]
    async fn comment(&self, ctx: &Context<'_>, incident_id: ID, text: String) -> Result<OperationResult> {
        let text = remark("text", text)?;
        let op = Operator::start(ctx, &incident_id, false).await?;
        op.run(vec![Action::Comment { text }]).await
    }

    /// Until a time in the future, at most 8 hours ahead.
    #[graphql(complexity = "crate::graphql::read_complexity(child_complexity)")]
    async fn shelve(
        &self,
        ctx: &Context<'_>,
        incident_id: ID,
        until: DateTime,
        reason: String,
    ) -> Result<OperationResult> {
        let reason = remark("reason", reason)?;
        let op = Operator::start(ctx, &incident_id, false).await?;
        op.refuse_closed("shelved")?;
        let ahead = until.0.since(op.cx.clock.now());
        if ahead <= Span::ZERO || ahead > SHELVE_MAX {
            return Err(bad_input("until must lie in the future, at most 8 hours ahead"));
        }
        op.run(vec![Action::Shelve { until: until.0, reason }]).await
    }

    #[graphql(complexity = "crate::graphql::read_complexity(child_complexity)")]
    async fn unshelve(&self, ctx: &Context<'_>, incident_id: ID) -> Result<OperationResult> {
        let op = Operator::start(ctx, &incident_id, false).await?;
        if op.before.shelved.is_none() {
            return Err(fail(Code::Conflict, "the incident is not shelved"));
        }
        op.run(vec![Action::Unshelve]).await
    }

    #[graphql(complexity = "crate::graphql::read_complexity(child_complexity)")]
    async fn close(&self, ctx: &Context<'_>, incident_id: ID, cause: String) -> Result<OperationResult> {
        let cause = remark("cause", cause)?;
        let op = Operator::start(ctx, &incident_id, false).await?;
        op.refuse_closed("closed again")?;
        op.run(vec![Action::Close { cause }]).await
    }
}

/// Text that a person wrote: not empty, not too long, and without U+0000, which not every store can hold.
fn remark(name: &str, text: String) -> Result<Arc<str>> {
    let text = text.trim().replace('\0', "\u{FFFD}");
    match text.len() {
        0 => Err(bad_input(format!("{name} is empty"))),
        n if n > REMARK_BYTES_MAX => Err(bad_input(format!("{name} has {n} bytes: at most {REMARK_BYTES_MAX}"))),
        _ => Ok(text.into()),
    }
}

/// One mutation on its way.
struct Operator<'a> {
    cx: &'a Arc<Services>,
    who: Arc<str>,
    before: EngineIncident,
}

impl<'a> Operator<'a> {
    async fn start(ctx: &Context<'a>, id: &ID, acknowledges: bool) -> Result<Self> {
        let id = incident_id(id)?;
        let asker = viewer(ctx)?;
        if acknowledges {
            asker.may_acknowledge(id)?;
        } else {
            asker.may_operate()?;
        }
        let cx = Services::of(ctx)?;
        let before = cx
            .incidents
            .incident(id)
            .await
            .map_err(store)?
            .ok_or_else(|| fail(Code::NotFound, "there is no such incident"))?;
        Ok(Self {
            cx,
            who: asker.name().into(),
            before,
        })
    }

    fn refuse_closed(&self, what: &str) -> Result<()> {
        match self.before.activity {
            Activity::Closed => Err(fail(
                Code::Conflict,
                format!("the incident is closed: it cannot be {what}"),
            )),
            Activity::Active | Activity::ReturnedToNormal => Ok(()),
        }
    }

    async fn run(self, actions: Vec<Action>) -> Result<OperationResult> {
        // Subscribed before the change is made, so that its event cannot be missed.
        let mut changes = self.cx.live.changes();
        let comments_before = match actions.iter().any(|a| matches!(a, Action::Comment { .. })) {
            true => self.comments().await?,
            false => 0,
        };
        for action in &actions {
            let operation = Operation {
                id: OperationId(rand::random()),
                incident: self.before.id,
                rule: self.before.rule.clone(),
                subject: self.before.subject.clone(),
                at: self.cx.clock.now(),
                who: self.who.clone(),
                action: action.clone(),
            };
            self.cx.system.operate(operation).await.map_err(not_taken)?;
            telemetry::operated(name(action));
        }
        let deadline = tokio::time::Instant::now() + SHOWN_WITHIN;
        loop {
            changes.mark_unchanged();
            let now = self.now_is().await?;
            let applied = self.shows(&now, &actions, comments_before).await?;
            if applied || tokio::time::Instant::now() >= deadline {
                let configuration = self.cx.configuration();
                let rule = configuration.rule(&now.rule).map(|r| r.name.clone());
                return Ok(OperationResult {
                    incident: Incident::resolvable(now, rule.as_deref()),
                    applied,
                });
            }
            tokio::select! {
                _ = changes.changed() => {}
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
        }
    }

    async fn now_is(&self) -> Result<EngineIncident> {
        let found = self.cx.incidents.incident(self.before.id).await.map_err(store)?;
        found.ok_or_else(|| fail(Code::NotFound, "the incident is gone"))
    }

    async fn comments(&self) -> Result<usize> {
        let id: IncidentId = self.before.id;
        let lines = self.cx.incidents.timeline(id).await.map_err(store)?;
        Ok(lines
            .iter()
            .filter(|l| l.kind == TimelineKind::Commented && l.who.as_deref() == Some(&*self.who))
            .count())
    }

    async fn shows(&self, now: &EngineIncident, actions: &[Action], comments_before: usize) -> Result<bool> {
        for action in actions {
            let shown = match action {
                Action::Acknowledge => now.acknowledged.is_some(),
                Action::Comment { .. } => self.comments().await? > comments_before,
                Action::Shelve { until, .. } => now.shelved.as_ref().is_some_and(|s| s.until == *until),
                Action::Unshelve => now.shelved.is_none(),
                Action::Close { .. } => now.activity == Activity::Closed,
            };
            if !shown {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn name(action: &Action) -> &'static str {
    match action {
        Action::Acknowledge => "acknowledge",
        Action::Comment { .. } => "comment",
        Action::Shelve { .. } => "shelve",
        Action::Unshelve => "unshelve",
        Action::Close { .. } => "close",
    }
}

fn not_taken(error: OperateError) -> async_graphql::Error {
    tracing::warn!(%error, "an operator's change was not taken");
    fail(Code::Unavailable, error.to_string())
}
