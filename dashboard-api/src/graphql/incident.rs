//! What an incident resolves beyond its own row.

use super::error::{bad_input, store};
use super::{INCIDENT_RECORDS_MAX, Services, devices_of};
use crate::view::incident::{Alert, Delivery, FingerprintCount, Incident, TimelineEntry};
use crate::view::record::Record;
use crate::view::rule::Rule;
use andon_engine::incident as engine;
use andon_engine::subject::SubjectKind;
use andon_engine::time::Span;
use andon_storage::ports::log_index::{LogFilter, Order};
use async_graphql::{ComplexObject, Result};

impl Incident {
    fn engine(&self) -> Result<&engine::Incident> {
        self.of
            .as_deref()
            .ok_or_else(|| bad_input("this copy of the incident is not resolvable"))
    }
}

#[ComplexObject]
impl Incident {
    /// Null when the rule is no longer configured.
    async fn rule(&self, ctx: &async_graphql::Context<'_>) -> Result<Option<Rule>> {
        let configuration = Services::of(ctx)?.configuration();
        Ok(configuration
            .rule(&self.engine()?.rule)
            .map(|r| Rule::new(r, &configuration)))
    }

    /// The most frequent first.
    #[graphql(complexity = "20 * child_complexity")]
    async fn fingerprints(&self, ctx: &async_graphql::Context<'_>) -> Result<Vec<FingerprintCount>> {
        let all = Services::of(ctx)?
            .incidents
            .fingerprints(self.engine()?.id)
            .await
            .map_err(store)?;
        Ok(all.iter().map(Into::into).collect())
    }

    /// Oldest first.
    #[graphql(complexity = "50 * child_complexity")]
    async fn timeline(&self, ctx: &async_graphql::Context<'_>) -> Result<Vec<TimelineEntry>> {
        let lines = Services::of(ctx)?
            .incidents
            .timeline(self.engine()?.id)
            .await
            .map_err(store)?;
        Ok(lines.into_iter().map(Into::into).collect())
    }

    #[graphql(complexity = "20 * child_complexity")]
    async fn alerts(&self, ctx: &async_graphql::Context<'_>) -> Result<Vec<Alert>> {
        let alerts = Services::of(ctx)?
            .incidents
            .alerts_of(self.engine()?.id)
            .await
            .map_err(store)?;
        Ok(alerts.into_iter().map(Into::into).collect())
    }

    /// Who was told, or why not; oldest first.
    #[graphql(complexity = "20 * child_complexity")]
    async fn deliveries(&self, ctx: &async_graphql::Context<'_>) -> Result<Vec<Delivery>> {
        let cx = Services::of(ctx)?;
        let found = cx.deliveries.deliveries_of(self.engine()?.id).await.map_err(store)?;
        let configuration = cx.configuration();
        Ok(found.into_iter().map(|d| Delivery::new(d, &configuration)).collect())
    }

    /// The newest log records of its subject up to its last record, newest first. `first` is 1 to 100.
    #[graphql(complexity = "crate::graphql::records_complexity(first, child_complexity)")]
    async fn records(
        &self,
        ctx: &async_graphql::Context<'_>,
        #[graphql(default = 20)] first: i32,
    ) -> Result<Vec<Record>> {
        let i = self.engine()?;
        let limit = u32::try_from(first)
            .ok()
            .filter(|n| (1..=INCIDENT_RECORDS_MAX).contains(n));
        let limit =
            limit.ok_or_else(|| bad_input(format!("first is {first}: it must be 1 to {INCIDENT_RECORDS_MAX}")))?;
        let cx = Services::of(ctx)?;
        let subject = Some(i.subject.id.to_string());
        let mut filter = LogFilter {
            to: Some(i.last_at.plus(Span::micros(1))),
            ..LogFilter::default()
        };
        match i.subject.kind {
            SubjectKind::Device => filter.device_id = subject,
            SubjectKind::Application => filter.application = subject,
            SubjectKind::User => filter.user_id = subject,
            SubjectKind::Area => filter.device_ids = Some(devices_of(&i.subject.id, &cx.configuration())),
        }
        let found = cx
            .logs
            .search(&filter, Order::NewestFirst, None, limit)
            .await
            .map_err(store)?;
        Ok(found.iter().map(|r| Record::whole(&r.record())).collect())
    }
}
