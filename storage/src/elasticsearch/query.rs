//! From a filter to a query. Nothing that a person typed is ever parsed by Elasticsearch.

use super::STORE;
use super::document::{date, fingerprint};
use crate::ports::Result;
use crate::ports::log_index::LogFilter;
use crate::words::{KEY_TERM_MAX, key_term, runs};
use andon_engine::level::Level;
use serde_json::{Value, json};

pub(super) fn query(filter: &LogFilter) -> Result<Value> {
    let mut all: Vec<Value> = Vec::new();
    for (field, value) in [
        ("application", &filter.application),
        ("device_id", &filter.device_id),
        ("user_id", &filter.user_id),
        ("source", &filter.source),
        ("item_id", &filter.item_id),
        ("order_id", &filter.order_id),
        ("location", &filter.location),
        ("step", &filter.step),
        ("trace_id", &filter.trace_id),
    ] {
        if let Some(value) = value {
            all.push(json!({ "term": { field: key_term(value) } }));
        }
    }
    if let Some(devices) = &filter.device_ids {
        let terms: Vec<_> = devices.iter().map(|d| key_term(d)).collect();
        all.push(json!({ "terms": { "device_id": terms } }));
    }
    if let Some(prefix) = &filter.type_prefix {
        all.push(type_prefix(prefix));
    }
    if let Some(level) = filter.level {
        all.push(json!({ "term": { "level": level.as_str() } }));
    }
    if let Some(least) = filter.min_level {
        let levels: Vec<_> = Level::ALL
            .into_iter()
            .filter(|l| *l >= least)
            .map(Level::as_str)
            .collect();
        all.push(json!({ "terms": { "level": levels } }));
    }
    if let Some(n) = filter.fingerprint {
        all.push(json!({ "term": { "fingerprint": fingerprint(n) } }));
    }
    if let Some(text) = &filter.text {
        for run in runs(STORE, text)? {
            all.push(match run.as_slice() {
                [word] => json!({ "term": { "words": word } }),
                run => json!({ "match_phrase": { "words": run.join(" ") } }),
            });
        }
    }
    // The number decides, to the µs. The date only lets Elasticsearch skip the indices whose least and greatest one rule them out, which
    // it does not do by numbers.
    if let Some(from) = filter.from {
        all.push(json!({ "range": { "timestamp": { "gte": from.as_micros() } } }));
        all.push(json!({ "range": { "@timestamp": { "gte": date(from) } } }));
    }
    if let Some(to) = filter.to {
        all.push(json!({ "range": { "timestamp": { "lt": to.as_micros() } } }));
        all.push(json!({ "range": { "@timestamp": { "lte": date(to) } } }));
    }
    Ok(match all.len() {
        0 => json!({ "match_all": {} }),
        _ => json!({ "bool": { "filter": all } }),
    })
}

/// `SF` takes `SF` and what begins with `SF.`. Nothing that is indexed whole begins with more than a term may have.
fn type_prefix(prefix: &str) -> Value {
    let itself = json!({ "term": { "type": key_term(prefix) } });
    if prefix.len() >= KEY_TERM_MAX {
        return itself;
    }
    let below = json!({ "prefix": { "type": format!("{prefix}.") } });
    json!({ "bool": { "should": [itself, below], "minimum_should_match": 1 } })
}
