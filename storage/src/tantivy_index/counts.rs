//! Counts over the columns of what matches.

use super::schema::{APPLICATION, DEVICE_ID, KIND, LEVEL, TIMESTAMP};
use super::{STORE, error};
use crate::ports::log_index::{CountedBy, HISTOGRAM_BARS_MAX};
use crate::ports::{Result, StoreError};
use andon_engine::level::Level;
use andon_engine::time::Timestamp;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use tantivy::query::{EnableScoring, Query, Weight};
use tantivy::{DocId, Searcher, SegmentReader};

fn refused<T>(reason: String) -> Result<T> {
    Err(StoreError::Refused { store: STORE, reason })
}

fn weight(searcher: &Searcher, query: &dyn Query) -> Result<Box<dyn Weight>> {
    query
        .weight(EnableScoring::disabled_from_searcher(searcher))
        .map_err(error)
}

fn each(weight: &dyn Weight, reader: &SegmentReader, mut f: impl FnMut(DocId)) -> Result<()> {
    let alive = reader.alive_bitset();
    let mut visit = |docs: &[DocId]| {
        docs.iter()
            .filter(|d| alive.is_none_or(|a| a.is_alive(**d)))
            .for_each(|d| f(*d))
    };
    weight.for_each_no_score(reader, &mut visit).map_err(error)
}

pub(super) fn histogram(searcher: &Searcher, query: &dyn Query, interval: i64) -> Result<Vec<(Timestamp, u64)>> {
    if interval <= 0 {
        return refused(format!("an interval of {interval} µs: it must be positive"));
    }
    let weight = weight(searcher, query)?;
    let mut bars: BTreeMap<i64, u64> = BTreeMap::new();
    for reader in searcher.segment_readers() {
        let times = reader.fast_fields().i64(TIMESTAMP).map_err(error)?;
        // Records come nearly in order: most fall into the bar of the one before.
        let (mut bar, mut count, mut full) = (0, 0, false);
        each(&*weight, reader, |doc| {
            let Some(at) = times.first(doc).map(|t| t.div_euclid(interval)) else {
                return;
            };
            if at != bar {
                if count > 0 {
                    *bars.entry(bar).or_default() += count;
                }
                full |= bars.len() > HISTOGRAM_BARS_MAX;
                (bar, count) = (at, 0);
            }
            if !full {
                count += 1;
            }
        })?;
        if count > 0 {
            *bars.entry(bar).or_default() += count;
        }
        if full || bars.len() > HISTOGRAM_BARS_MAX {
            return refused(format!(
                "more than {HISTOGRAM_BARS_MAX} intervals: take longer ones, or a shorter time"
            ));
        }
    }
    // The first interval may begin before the first instant there is.
    Ok(bars
        .into_iter()
        .map(|(bar, count)| (Timestamp(bar.saturating_mul(interval)), count))
        .collect())
}

pub(super) fn top(searcher: &Searcher, query: &dyn Query, by: CountedBy, limit: usize) -> Result<Vec<(String, u64)>> {
    let weight = weight(searcher, query)?;
    let mut counts: HashMap<String, u64> = HashMap::new();
    for reader in searcher.segment_readers() {
        match by {
            CountedBy::Level => levels(&*weight, reader, &mut counts)?,
            CountedBy::Application => texts(&*weight, reader, APPLICATION, &mut counts)?,
            CountedBy::Device => texts(&*weight, reader, DEVICE_ID, &mut counts)?,
            CountedBy::Type => texts(&*weight, reader, KIND, &mut counts)?,
        }
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_unstable_by(|(a, n), (b, m)| (Reverse(n), a).cmp(&(Reverse(m), b)));
    counts.truncate(limit);
    Ok(counts)
}

fn levels(weight: &dyn Weight, reader: &SegmentReader, counts: &mut HashMap<String, u64>) -> Result<()> {
    let column = reader.fast_fields().u64(LEVEL).map_err(error)?;
    let mut found = [0u64; Level::ALL.len()];
    each(weight, reader, |doc| {
        let level = column
            .first(doc)
            .and_then(|n| found.get_mut((n as usize).wrapping_sub(1)));
        if let Some(n) = level {
            *n += 1;
        }
    })?;
    for (level, n) in Level::ALL.into_iter().zip(found).filter(|(_, n)| *n > 0) {
        *counts.entry(level.as_str().to_owned()).or_default() += n;
    }
    Ok(())
}

/// Counts by number of the term within the segment, and looks up the text of those that were found.
fn texts(weight: &dyn Weight, reader: &SegmentReader, field: &str, counts: &mut HashMap<String, u64>) -> Result<()> {
    let Some(column) = reader.fast_fields().str(field).map_err(error)? else {
        return Ok(());
    };
    let mut found = vec![0u64; column.num_terms()];
    each(weight, reader, |doc| {
        if let Some(n) = column.ords().first(doc).and_then(|ord| found.get_mut(ord as usize)) {
            *n += 1;
        }
    })?;
    for (ord, n) in found.into_iter().enumerate().filter(|(_, n)| *n > 0) {
        let mut text = String::new();
        column.ord_to_str(ord as u64, &mut text).map_err(|e| error(e.into()))?;
        *counts.entry(text).or_default() += n;
    }
    Ok(())
}
