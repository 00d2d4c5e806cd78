//! Counts by Elasticsearch's aggregations, only where they are exact.

use super::client::Client;
use super::indices::Names;
use super::query::query;
use super::search::{ask, first_time};
use super::{refused, unavailable};
use crate::ports::log_index::{CountedBy, HISTOGRAM_BARS_MAX, LogFilter};
use crate::ports::{Result, StoreError};
use andon_engine::time::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Values of one request.
const VALUES: usize = 5_000;
/// Elasticsearch computes a bar as floor(time / interval) in double precision. Where both are below 2^52 µs (year 2112), that is exact:
/// for the last µs of a bar the quotient lies 1 / interval below the next whole number, more than the rounding can bridge.
const EXACT: i64 = 1 << 52;

pub(super) async fn count(client: &Client, names: &Names, query: &Value) -> Result<u64> {
    // `_count` would not say whether it timed out, and looks into indices that the time rules out.
    let body = json!({ "query": query, "size": 0, "track_total_hits": true });
    ask(client, names, body).await?.hits.total()
}

#[derive(Deserialize)]
struct Bars {
    doc_count: u64,
    bars: Buckets<f64>,
}

#[derive(Deserialize)]
struct Buckets<K> {
    buckets: Vec<Bucket<K>>,
    after_key: Option<Value>,
}

#[derive(Deserialize)]
struct Bucket<K> {
    key: K,
    doc_count: u64,
}

#[derive(Deserialize)]
struct ValueKey {
    value: String,
}

fn aggregation<T: serde::de::DeserializeOwned>(aggregations: &Value, name: &str) -> Result<T> {
    let found = aggregations.get(name).unwrap_or(&Value::Null);
    T::deserialize(found).map_err(|e| unavailable(format!("an aggregation: its answer is not one ({e})")))
}

fn too_many() -> StoreError {
    refused(format!(
        "more than {HISTOGRAM_BARS_MAX} intervals: take longer ones, or a shorter time"
    ))
}

pub(super) async fn histogram(
    client: &Client,
    names: &Names,
    filter: &LogFilter,
    interval: i64,
) -> Result<Vec<(Timestamp, u64)>> {
    if interval <= 0 {
        return Err(refused(format!("an interval of {interval} µs: it must be positive")));
    }
    // By the number of the bar.
    let mut bars: BTreeMap<i64, u64> = BTreeMap::new();
    if interval >= EXACT {
        walk(client, names, filter, interval, (i64::MIN, None), &mut bars).await?;
    } else {
        let near = json!({ "range": { "timestamp": { "gte": -EXACT, "lt": EXACT } } });
        let histogram = json!({ "histogram": { "field": "timestamp", "interval": interval, "min_doc_count": 1 } });
        let body = json!({
            "query": query(filter)?,
            "size": 0,
            "track_total_hits": true,
            "aggs": { "near": { "filter": near, "aggs": { "bars": histogram } } },
        });
        let found = ask(client, names, body).await.map_err(|e| match e {
            StoreError::Refused { reason, .. } if reason.contains("too_many_buckets") => too_many(),
            e => e,
        })?;
        let total = found.hits.total()?;
        let near = match found.aggregations {
            // No index there.
            Value::Null => return Ok(Vec::new()),
            aggregations => aggregation::<Bars>(&aggregations, "near")?,
        };
        for bucket in near.bars.buckets {
            bars.insert((bucket.key / interval as f64).round() as i64, bucket.doc_count);
        }
        if total > near.doc_count {
            walk(client, names, filter, interval, (i64::MIN, Some(-EXACT)), &mut bars).await?;
            walk(client, names, filter, interval, (EXACT, None), &mut bars).await?;
        }
    }
    if bars.len() > HISTOGRAM_BARS_MAX {
        return Err(too_many());
    }
    // The first interval may begin before the first instant there is.
    Ok(bars
        .into_iter()
        .map(|(bar, count)| (Timestamp(bar.saturating_mul(interval)), count))
        .collect())
}

/// Counts bar by bar: for stamps of other centuries, which only a test has, and intervals that leave few bars.
async fn walk(
    client: &Client,
    names: &Names,
    filter: &LogFilter,
    interval: i64,
    (from, to): (i64, Option<i64>),
    bars: &mut BTreeMap<i64, u64>,
) -> Result<()> {
    let mut left = filter.clone();
    let later = |a: Option<Timestamp>, b: i64| Some(a.map_or(Timestamp(b), |a| a.max(Timestamp(b))));
    let earlier = |a: Option<Timestamp>, b: Option<i64>| match (a, b) {
        (a, None) => a,
        (None, Some(b)) => Some(Timestamp(b)),
        (Some(a), Some(b)) => Some(a.min(Timestamp(b))),
    };
    left.from = later(left.from, from);
    left.to = earlier(left.to, to);
    while let Some(first) = first_time(client, names, query(&left)?).await? {
        let bar = first.as_micros().div_euclid(interval);
        let end = i64::try_from((i128::from(bar) + 1) * i128::from(interval)).ok();
        let mut one = left.clone();
        one.to = earlier(one.to, end);
        *bars.entry(bar).or_default() += count(client, names, &query(&one)?).await?;
        if bars.len() > HISTOGRAM_BARS_MAX {
            return Err(too_many());
        }
        // The last bar has no end.
        let Some(end) = end else { break };
        left.from = later(left.from, end);
    }
    Ok(())
}

pub(super) async fn top(
    client: &Client,
    names: &Names,
    filter: &LogFilter,
    by: CountedBy,
    limit: usize,
) -> Result<Vec<(String, u64)>> {
    let field = match by {
        CountedBy::Application => "application",
        CountedBy::Device => "device_id",
        CountedBy::Type => "type",
        CountedBy::Level => "level",
    };
    let query = query(filter)?;
    // All values page by page: a `terms` aggregation guesses where an index has more of them than it was asked for.
    let mut counts: Vec<(String, u64)> = Vec::new();
    let mut after: Option<Value> = None;
    loop {
        let mut composite = json!({ "size": VALUES, "sources": [{ "value": { "terms": { "field": field } } }] });
        if let Some(after) = after {
            composite["after"] = after;
        }
        let body = json!({
            "query": query,
            "size": 0,
            "track_total_hits": false,
            "aggs": { "values": { "composite": composite } },
        });
        let found = ask(client, names, body).await?;
        if found.aggregations.is_null() {
            break;
        }
        let page: Buckets<ValueKey> = aggregation(&found.aggregations, "values")?;
        let whole = page.buckets.len() == VALUES;
        counts.extend(page.buckets.into_iter().map(|b| (b.key.value, b.doc_count)));
        after = page.after_key;
        if !whole || after.is_none() {
            break;
        }
    }
    counts.sort_unstable_by(|(a, n), (b, m)| (Reverse(n), a).cmp(&(Reverse(m), b)));
    counts.truncate(limit);
    Ok(counts)
}
