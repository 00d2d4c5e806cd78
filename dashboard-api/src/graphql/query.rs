//! Queries.

use super::error::{bad_input, store};
use super::filter::{CursorText, IncidentFilter, PlantId, RecordFilter};
use super::{PAGE_BYTES_MAX, PAGE_MAX, Services, viewer};
use crate::view::incident::Incident;
use crate::view::plant::{Application, Device, QuarantinedRecord, Rollup, TracePoint};
use crate::view::record::Record;
use crate::view::rule::Rule;
use crate::view::scalar::{DateTime, Long, RecordOrder, ViewerKind};
use crate::view::status::Status;
use crate::viewer::Viewer as Asker;
use andon_engine::ids::{IncidentId, RecordId};
use andon_engine::limits::KEY_BYTES_MAX;
use andon_engine::subject::SubjectKind;
use andon_engine::time::Span;
use andon_storage::ports::fast_state::{READINGS_KEPT, RECENT_MAX, RECENT_RECORD_BYTES_MAX, TRACE_POINTS_MAX};
use andon_storage::ports::log_index::{Order, PageKey};
use async_graphql::connection::{Connection, Edge};
use async_graphql::{Context, ID, Object, Result, SimpleObject};

/// How long a stretch of roll-ups one query reads: a week of minutes.
const ROLLUP_SPAN_MAX: Span = Span::hours(7 * 24);
const ROLLUPS_MAX: u32 = 7 * 24 * 60;

// Recent records need no cutting short as a page of records does.
const _: () = assert!(RECENT_MAX as usize * RECENT_RECORD_BYTES_MAX <= PAGE_BYTES_MAX);

/// Who asks.
#[derive(SimpleObject, Debug)]
struct Viewer {
    /// What a change is signed with: the key's name, `operator` on loopback, the person's name with a link.
    name: String,
    kind: ViewerKind,
    /// May it change incidents? With a link: acknowledge that one incident only.
    can_operate: bool,
    /// With a link: the incident that it shows.
    incident_id: Option<ID>,
    /// With a link: when it ends.
    expires: Option<DateTime>,
}

/// `first` as a page size. One more is asked of the store, to know whether another page follows.
fn page(first: i32) -> Result<u32> {
    u32::try_from(first)
        .ok()
        .filter(|n| (1..=PAGE_MAX).contains(n))
        .ok_or_else(|| bad_input(format!("first is {first}: it must be 1 to {PAGE_MAX}")))
}

/// Refuses a name that no record can have, before a store has to look for it.
fn key(name: &str, text: &str) -> Result<()> {
    if text.len() > KEY_BYTES_MAX {
        let bytes = text.len();
        return Err(bad_input(format!("{name} has {bytes} bytes: at most {KEY_BYTES_MAX}")));
    }
    Ok(())
}

pub(super) fn incident_id(id: &ID) -> Result<IncidentId> {
    id.parse()
        .map_err(|_| bad_input("id is not that of an incident: it has 32 hex digits"))
}

/// A page of at most `first` of `found`, which holds one more when another page follows.
fn connection<T, N: async_graphql::OutputType>(
    first: u32,
    has_previous: bool,
    found: Vec<T>,
    cursor: impl Fn(&T) -> String,
    node: impl Fn(T) -> N,
) -> Connection<String, N> {
    let mut page = Connection::new(has_previous, found.len() > first as usize);
    page.edges.extend(
        found
            .into_iter()
            .take(first as usize)
            .map(|t| Edge::new(cursor(&t), node(t))),
    );
    page
}

/// What can be asked.
#[derive(Debug)]
pub struct Query;

#[Object]
impl Query {
    /// Newest opened first. `first` is 1 to 1000.
    #[graphql(complexity = "crate::graphql::page_complexity(first, child_complexity)")]
    async fn incidents(
        &self,
        ctx: &Context<'_>,
        filter: Option<IncidentFilter>,
        #[graphql(default = 50)] first: i32,
        after: Option<String>,
    ) -> Result<Connection<String, Incident>> {
        viewer(ctx)?.may_read()?;
        let first = page(first)?;
        let after = after.as_deref().map(CursorText::decode).transpose()?;
        let cx = Services::of(ctx)?;
        let filter = filter.unwrap_or_default().of_store(after, first + 1);
        let found = cx.incidents.incidents(&filter).await.map_err(store)?;
        let configuration = cx.configuration();
        Ok(connection(
            first,
            after.is_some(),
            found,
            |i| (i.opened_at, i.id).encode(),
            |i| {
                let rule = configuration.rule(&i.rule).map(|r| r.name.clone());
                Incident::resolvable(i, rule.as_deref())
            },
        ))
    }

    #[graphql(complexity = "crate::graphql::read_complexity(child_complexity)")]
    async fn incident(&self, ctx: &Context<'_>, id: ID) -> Result<Option<Incident>> {
        let id = incident_id(&id)?;
        viewer(ctx)?.may_see(id)?;
        let cx = Services::of(ctx)?;
        let found = cx.incidents.incident(id).await.map_err(store)?;
        let configuration = cx.configuration();
        Ok(found.map(|i| {
            let rule = configuration.rule(&i.rule).map(|r| r.name.clone());
            Incident::resolvable(i, rule.as_deref())
        }))
    }

    /// Log records. `first` is 1 to 1000.
    #[graphql(complexity = "crate::graphql::records_complexity(first, child_complexity)")]
    async fn records(
        &self,
        ctx: &Context<'_>,
        filter: Option<RecordFilter>,
        #[graphql(default = 100)] first: i32,
        after: Option<String>,
        #[graphql(default_with = "RecordOrder::NewestFirst")] order: RecordOrder,
    ) -> Result<Connection<String, Record>> {
        viewer(ctx)?.may_read()?;
        let first = page(first)?;
        let after = after.as_deref().map(PageKey::decode).transpose()?;
        let cx = Services::of(ctx)?;
        let filter = filter.unwrap_or_default().of_store(&cx.configuration())?;
        let order = match order {
            RecordOrder::NewestFirst => Order::NewestFirst,
            RecordOrder::OldestFirst => Order::OldestFirst,
        };
        let found = cx.logs.search(&filter, order, after, first + 1).await.map_err(store)?;
        let mut page = Connection::new(after.is_some(), found.len() > first as usize);
        let mut bytes = 0;
        for stored in found.iter().take(first as usize) {
            if bytes > PAGE_BYTES_MAX {
                page.has_next_page = true;
                break;
            }
            let r = stored.record();
            let cursor = PageKey {
                timestamp: r.timestamp,
                record_id: r.record_id,
            }
            .encode();
            let view = Record::whole(&r);
            bytes += view.weight();
            page.edges.push(Edge::new(cursor, view));
        }
        Ok(page)
    }

    #[graphql(complexity = "crate::graphql::read_complexity(child_complexity)")]
    async fn record(&self, ctx: &Context<'_>, id: ID) -> Result<Option<Record>> {
        viewer(ctx)?.may_read()?;
        let id: RecordId = id
            .parse()
            .map_err(|_| bad_input("id is not that of a record: it has 32 hex digits"))?;
        let found = Services::of(ctx)?.logs.record(id).await.map_err(store)?;
        Ok(found.map(|r| Record::whole(&r.record())))
    }

    /// The last log records of an application, as they came in, the last first. At most 100 are kept of each application, none larger
    /// than 64 KiB; `records` has all. `first` is 1 to 1000.
    #[graphql(complexity = "crate::graphql::recent_complexity(first, child_complexity)")]
    async fn recent_records(
        &self,
        ctx: &Context<'_>,
        application: String,
        #[graphql(default = 50)] first: i32,
    ) -> Result<Vec<Record>> {
        viewer(ctx)?.may_read()?;
        let first = page(first)?;
        key("application", &application)?;
        let cx = Services::of(ctx)?;
        let found = cx.fast.recent(&application, first).await.map_err(store)?;
        Ok(found.iter().map(|r| Record::whole(&r.record())).collect())
    }

    #[graphql(complexity = "crate::graphql::read_complexity(child_complexity)")]
    async fn record_count(&self, ctx: &Context<'_>, filter: Option<RecordFilter>) -> Result<Long> {
        viewer(ctx)?.may_read()?;
        let cx = Services::of(ctx)?;
        let filter = filter.unwrap_or_default().of_store(&cx.configuration())?;
        Ok(cx.logs.count(&filter).await.map_err(store)?.into())
    }

    /// By id.
    #[graphql(complexity = "crate::graphql::page_complexity(first, child_complexity)")]
    async fn devices(
        &self,
        ctx: &Context<'_>,
        #[graphql(default = 100)] first: i32,
        after: Option<String>,
    ) -> Result<Connection<String, Device>> {
        viewer(ctx)?.may_read()?;
        let first = page(first)?;
        let after = after.as_deref().map(PlantId::decode).transpose()?;
        let cx = Services::of(ctx)?;
        let after_id = after.as_ref().map(|p| p.0.as_str());
        let found = cx
            .incidents
            .plant(SubjectKind::Device, after_id, first + 1)
            .await
            .map_err(store)?;
        let configuration = cx.configuration();
        Ok(connection(
            first,
            after.is_some(),
            found,
            |e| PlantId(e.id.clone()).encode(),
            |e| {
                let configured = configuration.device(&e.id);
                Device::new(e, configured)
            },
        ))
    }

    /// By id.
    #[graphql(complexity = "crate::graphql::page_complexity(first, child_complexity)")]
    async fn applications(
        &self,
        ctx: &Context<'_>,
        #[graphql(default = 100)] first: i32,
        after: Option<String>,
    ) -> Result<Connection<String, Application>> {
        viewer(ctx)?.may_read()?;
        let first = page(first)?;
        let after = after.as_deref().map(PlantId::decode).transpose()?;
        let after_id = after.as_ref().map(|p| p.0.as_str());
        let found = Services::of(ctx)?
            .incidents
            .plant(SubjectKind::Application, after_id, first + 1)
            .await
            .map_err(store)?;
        Ok(connection(
            first,
            after.is_some(),
            found,
            |e| PlantId(e.id.clone()).encode(),
            |e| Application {
                id: e.id,
                first_seen: e.first_seen.into(),
            },
        ))
    }

    /// Minutes of one reading of one device, oldest first; `from` included, `to` excluded, at most 7 days apart.
    #[graphql(complexity = "crate::graphql::read_complexity(200 * child_complexity)")]
    async fn rollups(
        &self,
        ctx: &Context<'_>,
        device: String,
        reading: String,
        from: DateTime,
        to: DateTime,
    ) -> Result<Vec<Rollup>> {
        viewer(ctx)?.may_read()?;
        if to < from || to.0.since(from.0) > ROLLUP_SPAN_MAX {
            return Err(bad_input("to must lie after from, at most 7 days"));
        }
        if device.len() > KEY_BYTES_MAX || reading.len() > KEY_BYTES_MAX {
            return Err(bad_input(format!(
                "device and reading have at most {KEY_BYTES_MAX} bytes"
            )));
        }
        let found = Services::of(ctx)?
            .rows
            .rollups(&device, &reading, from.0, to.0, ROLLUPS_MAX)
            .await
            .map_err(store)?;
        Ok(found.into_iter().map(Into::into).collect())
    }

    /// Raw readings of one device, oldest first; `from` included, `to` excluded, by event time. Left out, `to` is now and `from` 15
    /// minutes before `to`. They are kept for 15 minutes unless the configuration says otherwise; `rollups` goes further back. Where
    /// there are more than `points` (1 to 100000), the least and greatest of each stretch stand for it.
    #[graphql(complexity = "crate::graphql::trace_complexity(points, child_complexity)")]
    async fn trace(
        &self,
        ctx: &Context<'_>,
        device_id: String,
        reading: String,
        from: Option<DateTime>,
        to: Option<DateTime>,
        #[graphql(default = 500)] points: i32,
    ) -> Result<Vec<TracePoint>> {
        viewer(ctx)?.may_read()?;
        key("deviceId", &device_id)?;
        key("reading", &reading)?;
        let points = u32::try_from(points)
            .ok()
            .filter(|n| (1..=TRACE_POINTS_MAX).contains(n))
            .ok_or_else(|| bad_input(format!("points is {points}: it must be 1 to {TRACE_POINTS_MAX}")))?;
        let cx = Services::of(ctx)?;
        let to = to.map_or_else(|| cx.clock.now(), |t| t.0);
        let from = from.map_or_else(|| to.minus(READINGS_KEPT), |t| t.0);
        if to < from {
            return Err(bad_input(format!(
                "from is {from}: it must not lie after to, which is {to} (now, when it is left out)"
            )));
        }
        let found = cx
            .fast
            .trace(&device_id, &reading, from, to, points)
            .await
            .map_err(store)?;
        Ok(found.into_iter().map(Into::into).collect())
    }

    /// Records that were not taken, newest first.
    #[graphql(complexity = "crate::graphql::page_complexity(first, child_complexity)")]
    async fn quarantine(
        &self,
        ctx: &Context<'_>,
        #[graphql(default = 50)] first: i32,
    ) -> Result<Vec<QuarantinedRecord>> {
        viewer(ctx)?.may_read()?;
        let found = Services::of(ctx)?.rows.quarantined(page(first)?).await.map_err(store)?;
        Ok(found.into_iter().map(Into::into).collect())
    }

    #[graphql(complexity = "50 * child_complexity")]
    async fn rules(&self, ctx: &Context<'_>) -> Result<Vec<Rule>> {
        viewer(ctx)?.may_read()?;
        let configuration = Services::of(ctx)?.configuration();
        Ok(configuration
            .rules
            .iter()
            .map(|r| Rule::new(r, &configuration))
            .collect())
    }

    #[graphql(complexity = "crate::graphql::read_complexity(child_complexity)")]
    async fn status(&self, ctx: &Context<'_>) -> Result<Status> {
        viewer(ctx)?.may_read()?;
        let cx = Services::of(ctx)?;
        let open = cx.incidents.count_open().await.map_err(store)?;
        Ok(Status::new(
            cx.system.status(),
            &cx.configuration(),
            open,
            cx.clock.now(),
        ))
    }

    async fn viewer(&self, ctx: &Context<'_>) -> Result<Viewer> {
        let asker = viewer(ctx)?;
        asker.may_ask()?;
        let (incident_id, expires) = match asker {
            Asker::Link { incident, expires, .. } => (Some(ID(incident.to_string())), Some((*expires).into())),
            Asker::BadLink(_) | Asker::Loopback | Asker::Key { .. } => (None, None),
        };
        Ok(Viewer {
            name: asker.name().to_owned(),
            kind: asker.kind(),
            can_operate: asker.can_operate(),
            incident_id,
            expires,
        })
    }
}
