//! The first so many of what matches, in the order of (event time, identity).

use super::schema::{Fields, RECORD_HIGH, RECORD_LOW, TIMESTAMP, halves, whole};
use crate::ports::log_index::{Order, PageKey, StoredRecord};
use andon_engine::ids::RecordId;
use bytes::Bytes;
use std::collections::BinaryHeap;
use tantivy::error::DataCorruption;
use tantivy::query::{EnableScoring, Query};
use tantivy::schema::Value;
use tantivy::{DocAddress, DocId, Searcher, TantivyDocument, TantivyError};

/// Where a record stands in a list: what comes first is least.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Rank {
    time: u64,
    high: u64,
    low: u64,
}

impl Rank {
    fn new(order: Order, timestamp: i64, (high, low): (u64, u64)) -> Self {
        match order {
            Order::OldestFirst => Rank {
                time: Self::time(order, timestamp),
                high,
                low,
            },
            Order::NewestFirst => Rank {
                time: Self::time(order, timestamp),
                high: !high,
                low: !low,
            },
        }
    }
    fn time(order: Order, timestamp: i64) -> u64 {
        let ascending = timestamp as u64 ^ (1 << 63);
        match order {
            Order::OldestFirst => ascending,
            Order::NewestFirst => !ascending,
        }
    }
}

pub(super) fn search(
    searcher: &Searcher,
    fields: &Fields,
    query: &dyn Query,
    order: Order,
    after: Option<PageKey>,
    limit: usize,
) -> tantivy::Result<Vec<StoredRecord>> {
    if limit == 0 {
        return Ok(Vec::new());
    }
    let after = after.map(|key| Rank::new(order, key.timestamp.as_micros(), halves(key.record_id)));
    let weight = query.weight(EnableScoring::disabled_from_searcher(searcher))?;

    // Segments by the first that each could give: once the list is full, most need not be looked at.
    let mut segments = Vec::new();
    for (ord, reader) in searcher.segment_readers().iter().enumerate() {
        let times = reader.fast_fields().i64(TIMESTAMP)?;
        let (first, last) = match order {
            Order::OldestFirst => (times.min_value(), times.max_value()),
            Order::NewestFirst => (times.max_value(), times.min_value()),
        };
        let past = after.is_some_and(|after| Rank::time(order, last) < after.time);
        if !past {
            segments.push((Rank::time(order, first), ord, reader, times));
        }
    }
    segments.sort_by_key(|(first, ord, ..)| (*first, *ord));

    let mut list: BinaryHeap<(Rank, u32, DocId)> = BinaryHeap::new();
    for (first, ord, reader, times) in segments {
        if list.len() >= limit && list.peek().is_some_and(|(worst, ..)| first > worst.time) {
            break;
        }
        let (highs, lows) = (
            reader.fast_fields().u64(RECORD_HIGH)?,
            reader.fast_fields().u64(RECORD_LOW)?,
        );
        let alive = reader.alive_bitset();
        weight.for_each_no_score(reader, &mut |docs| {
            for &doc in docs {
                if alive.is_some_and(|alive| !alive.is_alive(doc)) {
                    continue;
                }
                let Some(time) = times.first(doc) else { continue };
                // Most are told off by their time alone.
                if list.len() >= limit
                    && list
                        .peek()
                        .is_some_and(|(worst, ..)| Rank::time(order, time) > worst.time)
                {
                    continue;
                }
                let (Some(high), Some(low)) = (highs.first(doc), lows.first(doc)) else {
                    continue;
                };
                let rank = Rank::new(order, time, (high, low));
                if after.is_some_and(|after| rank <= after) {
                    continue;
                }
                if list.len() < limit {
                    list.push((rank, ord as u32, doc));
                } else if let Some(mut worst) = list.peek_mut()
                    && rank < worst.0
                {
                    *worst = (rank, ord as u32, doc);
                }
            }
        })?;
    }

    let sorted = list.into_sorted_vec();
    sorted
        .into_iter()
        .map(|(rank, ord, doc)| load(searcher, fields, order, rank, DocAddress::new(ord, doc)))
        .collect()
}

fn load(
    searcher: &Searcher,
    fields: &Fields,
    order: Order,
    rank: Rank,
    address: DocAddress,
) -> tantivy::Result<StoredRecord> {
    let id = match order {
        Order::OldestFirst => whole(rank.high, rank.low),
        Order::NewestFirst => whole(!rank.high, !rank.low),
    };
    stored(searcher, fields, id, address)
}

fn stored(searcher: &Searcher, fields: &Fields, id: RecordId, address: DocAddress) -> tantivy::Result<StoredRecord> {
    let document: TantivyDocument = searcher.doc(address)?;
    let packed = document
        .get_first(fields.packed)
        .and_then(|v| v.as_bytes().map(Bytes::copy_from_slice));
    let damaged = |reason: String| TantivyError::DataCorruption(DataCorruption::comment_only(reason));
    let packed = packed.ok_or_else(|| damaged(format!("record {id} has no content")))?;
    StoredRecord::new(packed, id).map_err(|e| damaged(format!("record {id}: {e}")))
}

/// The record of this identity, found by the low half of it, which is nearly always its alone.
pub(super) fn record(
    searcher: &Searcher,
    fields: &Fields,
    query: &dyn Query,
    id: RecordId,
) -> tantivy::Result<Option<StoredRecord>> {
    let weight = query.weight(EnableScoring::disabled_from_searcher(searcher))?;
    let (high, _) = halves(id);
    for (ord, reader) in searcher.segment_readers().iter().enumerate() {
        let highs = reader.fast_fields().u64(RECORD_HIGH)?;
        let mut found = None;
        weight.for_each_no_score(reader, &mut |docs| {
            let same = |doc: &DocId| highs.first(*doc) == Some(high) && !reader.is_deleted(*doc);
            found = found.or(docs.iter().copied().find(same));
        })?;
        if let Some(doc) = found {
            return stored(searcher, fields, id, DocAddress::new(ord as u32, doc)).map(Some);
        }
    }
    Ok(None)
}
