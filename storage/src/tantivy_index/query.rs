//! From a filter to a query. Nothing that a person typed is ever parsed by tantivy.

use super::STORE;
use super::schema::Fields;
use crate::ports::Result;
use crate::ports::log_index::LogFilter;
use crate::words::{key_term, runs};
use andon_engine::level::Level;
use std::ops::Bound;
use tantivy::Term;
use tantivy::query::{AllQuery, BooleanQuery, PhraseQuery, Query, RangeQuery, TermQuery, TermSetQuery};
use tantivy::schema::{Field, IndexRecordOption};

fn term(term: Term) -> Box<dyn Query> {
    Box::new(TermQuery::new(term, IndexRecordOption::Basic))
}

pub(super) fn query(f: &Fields, filter: &LogFilter) -> Result<Box<dyn Query>> {
    let mut all: Vec<Box<dyn Query>> = Vec::new();
    for (field, value) in [
        (f.application, &filter.application),
        (f.device_id, &filter.device_id),
        (f.user_id, &filter.user_id),
        (f.source, &filter.source),
        (f.item_id, &filter.item_id),
        (f.order_id, &filter.order_id),
        (f.location, &filter.location),
        (f.step, &filter.step),
        (f.trace_id, &filter.trace_id),
    ] {
        if let Some(value) = value {
            all.push(term(Term::from_field_text(field, &key_term(value))));
        }
    }
    if let Some(devices) = &filter.device_ids {
        let terms = devices.iter().map(|d| Term::from_field_text(f.device_id, &key_term(d)));
        all.push(Box::new(TermSetQuery::new(terms)));
    }
    if let Some(prefix) = &filter.type_prefix {
        all.push(type_prefix(f.kind, prefix));
    }
    if let Some(level) = filter.level {
        all.push(term(Term::from_field_u64(f.level, level as u64)));
    }
    if let Some(least) = filter.min_level {
        let levels = Level::ALL.into_iter().filter(|l| *l >= least);
        all.push(Box::new(BooleanQuery::new_multiterms_query(
            levels.map(|l| Term::from_field_u64(f.level, l as u64)).collect(),
        )));
    }
    if let Some(fingerprint) = filter.fingerprint {
        all.push(term(Term::from_field_u64(f.fingerprint, fingerprint)));
    }
    if let Some(text) = &filter.text {
        for run in runs(STORE, text)? {
            let mut terms: Vec<Term> = run.iter().map(|w| Term::from_field_text(f.message, w)).collect();
            all.push(match terms.len() {
                1 => term(terms.remove(0)),
                _ => Box::new(PhraseQuery::new(terms)),
            });
        }
    }
    if filter.from.is_some() || filter.to.is_some() {
        let bound = |t: andon_engine::time::Timestamp| Term::from_field_i64(f.timestamp, t.as_micros());
        all.push(Box::new(RangeQuery::new(
            filter.from.map_or(Bound::Unbounded, |t| Bound::Included(bound(t))),
            filter.to.map_or(Bound::Unbounded, |t| Bound::Excluded(bound(t))),
        )));
    }
    Ok(match all.len() {
        0 => Box::new(AllQuery),
        1 => all.remove(0),
        _ => Box::new(BooleanQuery::intersection(all)),
    })
}

/// `SF` takes `SF` and what begins with `SF.`: `/` is the character after the dot.
fn type_prefix(field: Field, prefix: &str) -> Box<dyn Query> {
    let below = RangeQuery::new(
        Bound::Included(Term::from_field_text(field, &format!("{prefix}."))),
        Bound::Excluded(Term::from_field_text(field, &format!("{prefix}/"))),
    );
    let itself = term(Term::from_field_text(field, &key_term(prefix)));
    Box::new(BooleanQuery::union(vec![itself, Box::new(below)]))
}
