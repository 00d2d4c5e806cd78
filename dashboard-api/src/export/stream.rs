//! The bodies of `/export.ndjson` and `/export.csv`.

use super::csv::{self, CsvOptions};
use super::ndjson;
use super::query::{Endpoint, ExportQuery};
use crate::http::Fault;
use crate::server::Shared;
use andon_storage::ports::log_index::{LogFilter, LogIndex, Order, PageKey};
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use std::sync::Arc;

/// Records of the first page; the next are larger or smaller by what the records weigh.
const PAGE_START: u32 = 128;
const PAGE_MAX: u32 = 1_000;
/// A page heavier than this makes the next one smaller.
const PAGE_BYTES: usize = 1 << 20;

pub(crate) async fn export_ndjson(
    State(shared): State<Arc<Shared>>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Response, Fault> {
    let q = ExportQuery::parse(pairs, Endpoint::Ndjson).map_err(Fault::bad_input)?;
    let body = body(
        shared.logs.clone(),
        q.filter_by(&shared.context.configuration()),
        Form::Ndjson,
    )
    .await?;
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}

pub(crate) async fn export_csv(
    State(shared): State<Arc<Shared>>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Response, Fault> {
    let q = ExportQuery::parse(pairs, Endpoint::Csv).map_err(Fault::bad_input)?;
    let body = body(
        shared.logs.clone(),
        q.filter_by(&shared.context.configuration()),
        Form::Csv(q.csv),
    )
    .await?;
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8; header=present"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"records.csv\""),
    ];
    Ok((headers, body).into_response())
}

#[derive(Clone, Copy)]
enum Form {
    Ndjson,
    Csv(CsvOptions),
}

struct Progress {
    logs: Arc<dyn LogIndex>,
    filter: LogFilter,
    form: Form,
    /// The newest record when the export began. It ends there, or records that keep coming would keep it going for ever.
    last: PageKey,
    after: Option<PageKey>,
    page: u32,
}

/// The whole search as a body. A page is read when the reader has taken the one before; a reader that goes away ends it.
async fn body(logs: Arc<dyn LogIndex>, filter: LogFilter, form: Form) -> Result<Body, Fault> {
    let newest = logs
        .search(&filter, Order::NewestFirst, None, 1)
        .await
        .map_err(Fault::store)?;
    let mut head = Vec::new();
    if let Form::Csv(o) = form {
        csv::write_header(&mut head, o);
    }
    let Some(last) = newest.first().map(|r| key(&r.record())) else {
        return Ok(Body::from(head));
    };
    let start = Progress {
        logs,
        filter,
        form,
        last,
        after: None,
        page: PAGE_START,
    };
    let pages = stream::try_unfold((Some(start), head), async |(progress, mut out)| {
        let Some(mut p) = progress else {
            return Ok::<_, std::io::Error>(None);
        };
        let more = p.page_into(&mut out).await?;
        let next = if more { Some(p) } else { None };
        Ok(Some((Bytes::from(out), (next, Vec::new()))))
    });
    Ok(Body::from_stream(pages))
}

impl Progress {
    /// Appends a page. False when it was the last.
    async fn page_into(&mut self, out: &mut Vec<u8>) -> Result<bool, std::io::Error> {
        let found = self
            .logs
            .search(&self.filter, Order::OldestFirst, self.after, self.page)
            .await
            // The error breaks the body off, so that the reader cannot take a part for the whole.
            .map_err(|error| {
                tracing::error!(%error, "an export was broken off: the log index failed");
                std::io::Error::other(error)
            })?;
        for stored in &found {
            let r = stored.record();
            let k = key(&r);
            if after(k, self.last) {
                return Ok(false);
            }
            match self.form {
                Form::Ndjson => ndjson::write_line(out, &r),
                Form::Csv(o) => csv::write_row(out, &r, o),
            }
            self.after = Some(k);
        }
        let full = found.len() >= self.page as usize;
        self.page = if out.len() > PAGE_BYTES {
            (self.page / 2).max(1)
        } else {
            (self.page * 2).min(PAGE_MAX)
        };
        Ok(full && self.after != Some(self.last))
    }
}

fn key(r: &andon_engine::record::Record<'_>) -> PageKey {
    PageKey {
        timestamp: r.timestamp,
        record_id: r.record_id,
    }
}

fn after(a: PageKey, b: PageKey) -> bool {
    (a.timestamp, a.record_id) > (b.timestamp, b.record_id)
}
