//! `/tail.ndjson`: records as they come.

use super::ndjson;
use super::query::{Endpoint, ExportQuery};
use crate::http::Fault;
use crate::live::matcher::Matcher;
use crate::live::{LiveFeed, Place};
use crate::server::Shared;
use andon_engine::rule::Configuration;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// An empty line this often when there is no record, so that both ends notice a broken connection.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(10);
/// Bytes of one piece of the body. What more has come by then is counted as dropped, the oldest first.
const PIECE_BYTES_MAX: usize = 1 << 20;

pub(crate) async fn tail_ndjson(
    State(shared): State<Arc<Shared>>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Response, Fault> {
    let q = ExportQuery::parse(pairs, Endpoint::Tail).map_err(Fault::bad_input)?;
    let tail = Tail {
        matcher: Matcher::new(q.filter, q.area),
        // Before the answer starts: what is published once the reader has the headers is in the tail.
        place: shared.live.records_from_now(),
        changes: shared.live.changes(),
        feed: shared.live.clone(),
        stopping: shared.stopping.clone(),
        configuration: shared.context.configuration.clone(),
    };
    let pieces = stream::unfold(tail, async |mut t| {
        t.next().await.map(|piece| (Ok::<_, Infallible>(piece), t))
    });
    Ok((
        [(header::CONTENT_TYPE, "application/x-ndjson")],
        Body::from_stream(pieces),
    )
        .into_response())
}

struct Tail {
    feed: LiveFeed,
    matcher: Matcher,
    place: Place,
    changes: watch::Receiver<u64>,
    stopping: watch::Receiver<bool>,
    configuration: watch::Receiver<Arc<Configuration>>,
}

impl Tail {
    /// The next piece; `None` when the server stops.
    async fn next(&mut self) -> Option<Bytes> {
        let heartbeat = tokio::time::sleep(HEARTBEAT);
        tokio::pin!(heartbeat);
        loop {
            self.changes.mark_unchanged();
            let piece = self.news();
            if !piece.is_empty() {
                return Some(piece.into());
            }
            tokio::select! {
                _ = self.changes.changed() => {}
                _ = self.stopping.wait_for(|s| *s) => return None,
                () = &mut heartbeat => return Some(Bytes::from_static(b"\n")),
            }
        }
    }

    fn news(&mut self) -> Vec<u8> {
        self.matcher.follow(&self.configuration.borrow());
        let news = self.feed.records_since(self.place);
        self.place = news.place;
        let (mut dropped, mut bytes) = (news.lost, 0);
        let mut pieces: Vec<Vec<u8>> = Vec::new();
        for batch in news.items.iter().rev() {
            if bytes > PIECE_BYTES_MAX {
                dropped += batch.len() as u64;
                continue;
            }
            let mut piece = Vec::new();
            for r in batch.iter().filter(|r| self.matcher.matches(r)) {
                ndjson::write_line(&mut piece, &r);
            }
            bytes += piece.len();
            pieces.push(piece);
        }
        let mut out = Vec::with_capacity(bytes + 32);
        if dropped > 0 {
            out.extend_from_slice(format!("{{\"dropped\":{dropped}}}\n").as_bytes());
        }
        out.extend(pieces.into_iter().rev().flatten());
        out
    }
}
