//! Searches for records.

use super::client::{Client, json_body};
use super::indices::Names;
use super::query::query;
use super::{damaged, unavailable};
use crate::ports::Result;
use crate::ports::log_index::{LogFilter, Order, PageKey, StoredRecord};
use ::elasticsearch::http::Method;
use andon_engine::ids::RecordId;
use andon_engine::time::Timestamp;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

/// The status of a search that not every shard can answer.
const NO_SHARD: u16 = 503;
/// How long a shard may take to start before that is a fault.
const SHARDS_START_WITHIN: Duration = Duration::from_secs(3);
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Records of one request: of 256 KiB at most, and Elasticsearch holds the answer in memory.
const PAGE: usize = 1_000;

#[derive(Deserialize)]
pub(super) struct Found {
    timed_out: bool,
    _shards: Shards,
    pub(super) hits: Hits,
    #[serde(default)]
    pub(super) aggregations: Value,
}

#[derive(Deserialize)]
struct Shards {
    failed: u64,
}

#[derive(Deserialize)]
pub(super) struct Hits {
    total: Option<Total>,
    hits: Vec<Hit>,
}

#[derive(Deserialize)]
struct Total {
    value: u64,
}

#[derive(Deserialize)]
struct Hit {
    _id: String,
    #[serde(default)]
    fields: HitFields,
    #[serde(default)]
    sort: Vec<Value>,
}

#[derive(Deserialize, Default)]
struct HitFields {
    #[serde(default)]
    packed: Vec<String>,
}

impl Hits {
    pub(super) fn total(&self) -> Result<u64> {
        let total = self.total.as_ref().map(|t| t.value);
        total.ok_or_else(|| unavailable("a search: its answer has no total".to_owned()))
    }
}

/// Searches all indices of log records. All answer, or it is an error: never fewer results without a word. Indices whose least and
/// greatest event time rule them out are skipped (`pre_filter_shard_size`).
pub(super) async fn ask(client: &Client, names: &Names, mut body: Value) -> Result<Found> {
    let _permit = client.search_permit().await;
    body["timeout"] = format!("{}ms", client.timeout().as_millis().max(1)).into();
    let path = format!("/{}/_search", names.all_logs());
    let parameters = [
        ("allow_partial_search_results", "false"),
        ("pre_filter_shard_size", "1"),
    ];
    let until = Instant::now() + SHARDS_START_WITHIN;
    let answer = loop {
        let answer = client
            .ask(Method::Post, &path, &parameters, Some(json_body(&body)))
            .await?;
        // An index that was made this moment, the first of a day, is there before its shard is.
        if answer.status != NO_SHARD || Instant::now() >= until {
            break answer;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    };
    if !answer.ok() {
        return Err(answer.failure("a search"));
    }
    let found: Found = answer.json("a search")?;
    if found.timed_out || found._shards.failed > 0 {
        return Err(unavailable(format!(
            "a search: not all of it was looked at ({} shards failed, timed out: {})",
            found._shards.failed, found.timed_out
        )));
    }
    Ok(found)
}

pub(super) fn sort(order: Order) -> Value {
    let order = match order {
        Order::OldestFirst => "asc",
        Order::NewestFirst => "desc",
    };
    json!([{ "timestamp": order }, { "record_id": order }])
}

pub(super) async fn search(
    client: &Client,
    names: &Names,
    filter: &LogFilter,
    order: Order,
    mut after: Option<PageKey>,
    limit: usize,
) -> Result<Vec<StoredRecord>> {
    let query = query(filter)?;
    let mut records: Vec<StoredRecord> = Vec::new();
    while records.len() < limit {
        let size = PAGE.min(limit - records.len());
        let mut body = json!({
            "query": query,
            "sort": sort(order),
            "size": size,
            "track_total_hits": false,
            "_source": false,
            "stored_fields": ["packed"],
        });
        if let Some(key) = after {
            body["search_after"] = json!([key.timestamp.as_micros(), key.record_id.to_string()]);
        }
        let found = ask(client, names, body).await?.hits.hits;
        let whole = found.len() == size;
        for hit in &found {
            records.push(stored(hit)?);
        }
        match records.last() {
            Some(last) if whole => {
                let r = last.record();
                after = Some(PageKey {
                    timestamp: r.timestamp,
                    record_id: r.record_id,
                });
            }
            _ => break,
        }
    }
    Ok(records)
}

pub(super) async fn record(client: &Client, names: &Names, id: RecordId) -> Result<Option<StoredRecord>> {
    let body = json!({
        "query": { "ids": { "values": [id.to_string()] } },
        "size": 1,
        "track_total_hits": false,
        "_source": false,
        "stored_fields": ["packed"],
    });
    let found = ask(client, names, body).await?.hits.hits;
    found.first().map(stored).transpose()
}

/// The event time of the first record at or after `from`.
pub(super) async fn first_time(client: &Client, names: &Names, query: Value) -> Result<Option<Timestamp>> {
    let body = json!({
        "query": query,
        "sort": sort(Order::OldestFirst),
        "size": 1,
        "track_total_hits": false,
        "_source": false,
    });
    let found = ask(client, names, body).await?.hits.hits;
    let Some(hit) = found.first() else { return Ok(None) };
    let time = hit.sort.first().and_then(Value::as_i64);
    let no_time = || unavailable("a search: its answer has no sort values".to_owned());
    time.map(|t| Some(Timestamp(t))).ok_or_else(no_time)
}

fn stored(hit: &Hit) -> Result<StoredRecord> {
    let bad = |e: &dyn std::fmt::Display| damaged(format!("document {}: {e}", hit._id));
    let id: RecordId = hit._id.parse().map_err(|e| bad(&e))?;
    let packed = hit.fields.packed.first().ok_or_else(|| bad(&"it holds no record"))?;
    let packed = BASE64_STANDARD.decode(packed).map_err(|e| bad(&e))?;
    StoredRecord::new(Bytes::from(packed), id).map_err(|e| bad(&e))
}
