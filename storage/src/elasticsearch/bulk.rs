//! Bulk requests: their bodies, and what each item of an answer means.

use super::client::{Client, Complaint, NoAnswer};
use super::document::Documents;
use super::indices::{Day, Names};
use super::{refused, unavailable};
use crate::ports::StoreError;
use ::elasticsearch::http::Method;
use andon_engine::batch::Batch;
use andon_engine::ids::RecordId;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

/// Records of a bulk, however small they are: its answer has an item for each.
const RECORDS_MAX: usize = 10_000;

/// One record of a bulk: where its two lines stand in the body.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) id: RecordId,
    pub(super) day: Day,
    bytes: Range<usize>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Bulk {
    pub(super) body: Bytes,
    pub(super) lines: Vec<Line>,
    /// How often an index had to be made again when this was sent.
    pub(super) generation: u64,
}

impl Bulk {
    pub(super) fn days(&self) -> BTreeSet<Day> {
        self.lines.iter().map(|l| l.day).collect()
    }

    /// A bulk of some of its lines.
    pub(super) fn only(&self, keep: &[usize]) -> Bulk {
        let mut body = Vec::new();
        let mut lines = Vec::with_capacity(keep.len());
        for &i in keep {
            let line = &self.lines[i];
            let start = body.len();
            body.extend_from_slice(&self.body[line.bytes.clone()]);
            lines.push(Line {
                bytes: start..body.len(),
                ..line.clone()
            });
        }
        Bulk {
            body: body.into(),
            lines,
            generation: self.generation,
        }
    }

    /// Parts of at most this size, of one record at least.
    pub(super) fn cut(self, bytes_max: usize) -> Vec<Bulk> {
        if self.body.len() <= bytes_max || self.lines.len() <= 1 {
            return vec![self];
        }
        let mut parts = Vec::new();
        let mut from = 0;
        while from < self.lines.len() {
            let start = self.lines[from].bytes.start;
            let fits = self.lines[from..]
                .iter()
                .take_while(|l| l.bytes.end - start <= bytes_max);
            let to = from + fits.count().max(1);
            parts.push(self.only(&(from..to).collect::<Vec<_>>()));
            from = to;
        }
        parts
    }

    pub(super) fn halves(self) -> Vec<Bulk> {
        let middle = self.lines.len() / 2;
        let first = self.only(&(0..middle).collect::<Vec<_>>());
        let second = self.only(&(middle..self.lines.len()).collect::<Vec<_>>());
        vec![first, second]
    }
}

/// Makes bulks of the log records of batches, one after another.
pub(super) struct Encoder {
    names: Names,
    batches: Vec<Batch<Bytes>>,
    batch: usize,
    record: usize,
    documents: Documents,
    aliases: HashMap<Day, String>,
}

impl Encoder {
    pub(super) fn new(names: Names, batches: Vec<Batch<Bytes>>) -> Self {
        Self {
            names,
            batches,
            batch: 0,
            record: 0,
            documents: Documents::default(),
            aliases: HashMap::new(),
        }
    }

    /// The next bulk: full when it has about this size.
    pub(super) fn next(&mut self, bytes: usize) -> Option<Bulk> {
        let mut body = Vec::with_capacity(bytes + bytes / 8);
        let mut lines = Vec::new();
        while let Some(batch) = self.batches.get(self.batch) {
            if self.record >= batch.len() {
                self.batch += 1;
                self.record = 0;
                continue;
            }
            if body.len() >= bytes || lines.len() >= RECORDS_MAX {
                break;
            }
            let r = batch.get(self.record);
            self.record += 1;
            if !r.is_log() {
                continue;
            }
            let day = Day::of(&r);
            let alias = self.aliases.entry(day).or_insert_with(|| self.names.alias(day));
            let start = body.len();
            self.documents.write(alias, &r, &mut body);
            lines.push(Line {
                id: r.record_id,
                day,
                bytes: start..body.len(),
            });
        }
        (!lines.is_empty()).then(|| Bulk {
            body: body.into(),
            lines,
            generation: 0,
        })
    }
}

/// What became of one record.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Item {
    Stored,
    /// Not now.
    Retry(String),
    /// Never.
    Refused(String),
    /// Its index is not there.
    Gone,
}

/// What became of a bulk.
#[derive(Debug)]
pub(super) enum Sent {
    /// Each of its records was looked at.
    Items(Vec<Item>),
    /// Not now: too much at once, or no shard to take it.
    Overloaded(String),
    /// The body is larger than Elasticsearch takes.
    TooLarge(String),
    /// Elasticsearch cannot read the body: one of its records is at fault.
    Unreadable(String),
    TimedOut(StoreError),
    Failed(StoreError),
}

#[derive(Deserialize)]
struct BulkAnswer {
    items: Vec<HashMap<String, ItemAnswer>>,
}

#[derive(Deserialize)]
struct ItemAnswer {
    _id: String,
    status: u16,
    error: Option<Value>,
}

pub(super) async fn send(client: &Client, bulk: &Bulk) -> Sent {
    let parameters = [
        ("require_alias", "true"),
        ("filter_path", "items.*._id,items.*.status,items.*.error"),
    ];
    let answer = client
        .ask(Method::Post, "/_bulk", &parameters, Some(bulk.body.clone()))
        .await;
    match answer {
        Err(NoAnswer::TimedOut(e)) => Sent::TimedOut(e),
        Err(NoAnswer::Unreachable(e)) => Sent::Failed(e),
        Ok(answer) => match answer.status {
            200 => items(&answer.body, &bulk.lines).map_or_else(|e| Sent::Failed(unavailable(e)), Sent::Items),
            413 => Sent::TooLarge(answer.complaint().to_string()),
            400 => Sent::Unreadable(answer.complaint().to_string()),
            429 | 500..=599 => Sent::Overloaded(format!("{} ({})", answer.complaint(), answer.status)),
            _ => Sent::Failed(match answer.failure("a bulk request") {
                // Not the fault of any record.
                StoreError::Refused { reason, .. } => unavailable(reason),
                e => e,
            }),
        },
    }
}

/// Sorts an answer's items, which come in the order of what was sent.
fn items(answer: &[u8], lines: &[Line]) -> Result<Vec<Item>, String> {
    let answer: BulkAnswer =
        serde_json::from_slice(answer).map_err(|e| format!("a bulk request: its answer cannot be read ({e})"))?;
    if answer.items.len() != lines.len() {
        return Err(format!(
            "a bulk request of {} records: its answer has {} items",
            lines.len(),
            answer.items.len()
        ));
    }
    let mut out = Vec::with_capacity(lines.len());
    for (item, line) in answer.items.into_iter().zip(lines) {
        let item = item.into_values().next();
        let item = item.filter(|i| i._id.parse::<RecordId>() == Ok(line.id));
        let item = item.ok_or_else(|| "a bulk request: its answer is about other records".to_owned())?;
        out.push(sorted(item.status, &item.error.unwrap_or(Value::Null)));
    }
    Ok(out)
}

fn sorted(status: u16, error: &Value) -> Item {
    // 409: a newer version of the same record is there, which is the same record.
    if matches!(status, 200 | 201 | 409) {
        return Item::Stored;
    }
    let complaint = Complaint::new(error);
    match (status, complaint.kind.as_str()) {
        (404, _) => Item::Gone,
        // A person has closed the index, or the shard is full: no fault of the record.
        (400, "index_closed_exception") => Item::Retry(complaint.to_string()),
        (400 | 413, _) => Item::Refused(complaint.to_string()),
        _ => Item::Retry(format!("{complaint} ({status})")),
    }
}

impl Sent {
    /// For a bulk of one record: what will never be taken is refused.
    pub(super) fn reason(self) -> String {
        match self {
            Sent::TooLarge(reason) => format!("too large for one request: {reason}"),
            Sent::Unreadable(reason) | Sent::Overloaded(reason) => reason,
            Sent::TimedOut(e) | Sent::Failed(e) => e.to_string(),
            Sent::Items(_) => refused(String::new()).to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_engine::batch::BatchBuilder;
    use andon_engine::ids::JournalId;
    use andon_engine::record::Record;
    use serde_json::json;

    fn batches(n: usize) -> Vec<Batch<Bytes>> {
        let mut b = BatchBuilder::new();
        for i in 0..n {
            let message = format!("record {i}");
            b.push(&Record {
                message: (i % 3 != 2).then_some(message.as_str()),
                ..Record::default()
            });
        }
        vec![Batch::parse(b.finish().into(), JournalId(1), 1).unwrap()]
    }

    fn ids(bulks: &[Bulk]) -> Vec<u32> {
        bulks
            .iter()
            .flat_map(|b| b.lines.iter().map(|l| l.id.position.index))
            .collect()
    }

    #[test]
    fn every_log_record_is_in_one_bulk_however_it_is_cut() {
        let names = Names::new("andon").unwrap();
        let want: Vec<u32> = (0..100).filter(|i| i % 3 != 2).collect();
        for bytes in [1, 1_000, 10_000, 1_000_000] {
            let mut encoder = Encoder::new(names.clone(), batches(100));
            let bulks: Vec<Bulk> = std::iter::from_fn(|| encoder.next(bytes)).collect();
            assert_eq!(ids(&bulks), want);
            for cut in [1, 700, 5_000] {
                let parts: Vec<Bulk> = bulks.iter().cloned().flat_map(|b| b.cut(cut)).collect();
                assert_eq!(ids(&parts), want);
                for part in &parts {
                    assert!(part.body.len() <= cut || part.lines.len() == 1);
                    assert_eq!(part.body.iter().filter(|b| **b == b'\n').count(), 2 * part.lines.len());
                }
            }
            let halves: Vec<Bulk> = bulks.iter().cloned().flat_map(Bulk::halves).collect();
            assert_eq!(ids(&halves), want);
        }
    }

    #[test]
    fn an_item_is_stored_or_refused_or_tried_again() {
        let sort = |status, kind: &str| sorted(status, &json!({ "type": kind, "reason": "r" }));
        assert_eq!(sorted(201, &Value::Null), Item::Stored);
        assert_eq!(sort(409, "version_conflict_engine_exception"), Item::Stored);
        assert_eq!(sort(404, "index_not_found_exception"), Item::Gone);
        for kind in [
            "document_parsing_exception",
            "mapper_parsing_exception",
            "illegal_argument_exception",
        ] {
            assert_eq!(sort(400, kind), Item::Refused(format!("{kind}: r")));
        }
        for (status, kind) in [
            (429, "es_rejected_execution_exception"),
            (429, "cluster_block_exception"),
            (403, "cluster_block_exception"),
            (403, "security_exception"),
            (503, "unavailable_shards_exception"),
            (500, "x"),
            (400, "index_closed_exception"),
        ] {
            assert!(matches!(sort(status, kind), Item::Retry(_)), "{status} {kind}");
        }
    }

    #[test]
    fn an_answer_that_is_cut_or_about_something_else_is_no_answer() {
        let names = Names::new("andon").unwrap();
        let bulk = Encoder::new(names, batches(2)).next(1_000_000).unwrap();
        let item = |id: &RecordId| json!({"index": {"_id": id.to_string(), "status": 201}});
        let both = [item(&bulk.lines[0].id), item(&bulk.lines[1].id)];
        let answer = |items: &[Value]| serde_json::to_vec(&json!({ "items": items })).unwrap();
        assert_eq!(items(&answer(&both), &bulk.lines), Ok(vec![Item::Stored, Item::Stored]));
        let swapped = [both[1].clone(), both[0].clone()];
        let three = [both[0].clone(), both[1].clone(), both[0].clone()];
        for bad in [answer(&both[..1]), answer(&swapped), answer(&three), answer(&[])] {
            assert!(items(&bad, &bulk.lines).is_err());
        }
        let whole = answer(&both);
        for cut in 0..whole.len() {
            assert!(items(&whole[..cut], &bulk.lines).is_err(), "{cut}");
        }
        for other in ["<html>", "{}", "[]", r#"{"items":[{},{}]}"#, r#"{"items":null}"#] {
            assert!(items(other.as_bytes(), &bulk.lines).is_err(), "{other}");
        }
    }
}
