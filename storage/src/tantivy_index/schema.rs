//! What of a record is indexed, and how.

use super::tokenizer::{WORDS, words_tokenizer};
use crate::words::key_term;
use andon_engine::batch::BatchBuilder;
use andon_engine::ids::RecordId;
use andon_engine::record::Record;
use tantivy::schema::{
    BytesOptions, FAST, Field, INDEXED, IndexRecordOption, JsonObjectOptions, NumericOptions, OwnedValue, STORED,
    Schema, TextFieldIndexing, TextOptions,
};
use tantivy::store::Compressor;
use tantivy::tokenizer::TokenizerManager;
use tantivy::{IndexSettings, TantivyDocument};

pub(super) const TIMESTAMP: &str = "timestamp";
pub(super) const RECORD_HIGH: &str = "record_high";
pub(super) const RECORD_LOW: &str = "record_low";
pub(super) const LEVEL: &str = "level";
pub(super) const APPLICATION: &str = "application";
pub(super) const DEVICE_ID: &str = "device_id";
pub(super) const KIND: &str = "type";

/// Members of `fields` that are searchable, and how deep they may lie: what a device invents must not decide what a segment costs.
const LEAVES_MAX: usize = 256;
const DEPTH_MAX: usize = 8;
const NAME_BYTES_MAX: usize = 128;

/// The fields of the index. Their order is the schema: a change of it makes another index.
#[derive(Debug, Clone)]
pub(super) struct Fields {
    pub(super) schema: Schema,
    pub(super) timestamp: Field,
    pub(super) record_high: Field,
    pub(super) record_low: Field,
    pub(super) level: Field,
    pub(super) application: Field,
    pub(super) device_id: Field,
    pub(super) user_id: Field,
    pub(super) source: Field,
    pub(super) kind: Field,
    pub(super) item_id: Field,
    pub(super) order_id: Field,
    pub(super) location: Field,
    pub(super) step: Field,
    pub(super) trace_id: Field,
    pub(super) span_id: Field,
    pub(super) fingerprint: Field,
    pub(super) message: Field,
    pub(super) fields: Field,
    pub(super) packed: Field,
}

impl Fields {
    pub(super) fn new() -> Self {
        let mut b = Schema::builder();
        let indexing = |option| {
            TextFieldIndexing::default()
                .set_tokenizer("raw")
                .set_fieldnorms(false)
                .set_index_option(option)
        };
        let key = TextOptions::default().set_indexing_options(indexing(IndexRecordOption::Basic));
        // A column as well, for counting by value.
        let counted = key.clone().set_fast("raw");
        let words = indexing(IndexRecordOption::WithFreqsAndPositions).set_tokenizer(WORDS);
        let json =
            JsonObjectOptions::default().set_indexing_options(indexing(IndexRecordOption::Basic).set_tokenizer(WORDS));
        let timestamp = b.add_i64_field(TIMESTAMP, FAST);
        let record_high = b.add_u64_field(RECORD_HIGH, FAST);
        let record_low = b.add_u64_field(RECORD_LOW, NumericOptions::default() | FAST | INDEXED);
        let level = b.add_u64_field(LEVEL, NumericOptions::default() | FAST | INDEXED);
        let application = b.add_text_field(APPLICATION, counted.clone());
        let device_id = b.add_text_field(DEVICE_ID, counted.clone());
        let user_id = b.add_text_field("user_id", key.clone());
        let source = b.add_text_field("source", key.clone());
        let kind = b.add_text_field(KIND, counted);
        let item_id = b.add_text_field("item_id", key.clone());
        let order_id = b.add_text_field("order_id", key.clone());
        let location = b.add_text_field("location", key.clone());
        let step = b.add_text_field("step", key.clone());
        let trace_id = b.add_text_field("trace_id", key.clone());
        let span_id = b.add_text_field("span_id", key);
        let fingerprint = b.add_u64_field("fingerprint", NumericOptions::default() | FAST | INDEXED);
        let message = b.add_text_field("message", TextOptions::default().set_indexing_options(words));
        let fields = b.add_json_field("fields", json);
        let packed = b.add_bytes_field("packed", BytesOptions::default() | STORED);
        Self {
            schema: b.build(),
            timestamp,
            record_high,
            record_low,
            level,
            application,
            device_id,
            user_id,
            source,
            kind,
            item_id,
            order_id,
            location,
            step,
            trace_id,
            span_id,
            fingerprint,
            message,
            fields,
            packed,
        }
    }

    /// The document of a record. `builder` is empty before and after.
    pub(super) fn document(&self, r: &Record<'_>, builder: &mut BatchBuilder) -> TantivyDocument {
        let mut d = TantivyDocument::new();
        let (high, low) = halves(r.record_id);
        d.add_i64(self.timestamp, r.timestamp.as_micros());
        d.add_u64(self.record_high, high);
        d.add_u64(self.record_low, low);
        if let Some(level) = r.level {
            d.add_u64(self.level, level as u64);
        }
        for (field, value) in [
            (self.application, r.application),
            (self.device_id, r.device_id),
            (self.user_id, r.user_id),
            (self.source, r.source),
            (self.kind, r.kind),
            (self.item_id, r.item_id),
            (self.order_id, r.order_id),
            (self.location, r.location),
            (self.step, r.step),
            (self.trace_id, r.trace_id),
            (self.span_id, r.span_id),
        ] {
            if let Some(value) = value {
                d.add_text(field, key_term(value));
            }
        }
        d.add_u64(self.fingerprint, r.fingerprint);
        if let Some(message) = r.message {
            d.add_text(self.message, message);
        }
        // What is no JSON object is kept with the record and not searchable.
        if let Ok(serde_json::Value::Object(members)) = serde_json::from_str(r.fields) {
            let mut leaves = LEAVES_MAX;
            if let OwnedValue::Object(members) = object(members, 0, &mut leaves) {
                d.add_object(self.fields, members.into_iter().collect());
            }
        }
        builder.push(r);
        d.add_bytes(self.packed, &builder.finish());
        d
    }
}

pub(super) fn settings() -> IndexSettings {
    IndexSettings {
        docstore_compression: Compressor::Lz4,
        // A commit each second would start and end a thread for each.
        docstore_compress_dedicated_thread: false,
        ..IndexSettings::default()
    }
}

pub(super) fn tokenizers() -> TokenizerManager {
    let tokenizers = TokenizerManager::default();
    tokenizers.register(WORDS, words_tokenizer());
    tokenizers
}

/// A record's identity as two columns; together they sort as it does.
pub(super) fn halves(id: RecordId) -> (u64, u64) {
    let n = u128::from_be_bytes(id.to_bytes());
    ((n >> 64) as u64, n as u64)
}

pub(super) fn whole(high: u64, low: u64) -> RecordId {
    RecordId::from_bytes(((u128::from(high) << 64) | u128::from(low)).to_be_bytes())
}

fn object(members: serde_json::Map<String, serde_json::Value>, depth: usize, leaves: &mut usize) -> OwnedValue {
    let mut out = Vec::new();
    for (name, v) in members {
        if *leaves == 0 {
            break;
        }
        // The bytes 0 and 1 part the steps of a path within tantivy.
        if name.len() <= NAME_BYTES_MAX && !name.contains(['\0', '\u{1}']) {
            out.push((name, value(v, depth + 1, leaves)));
        }
    }
    OwnedValue::Object(out)
}

fn value(v: serde_json::Value, depth: usize, leaves: &mut usize) -> OwnedValue {
    use serde_json::Value as Json;
    let nested = matches!(v, Json::Array(_) | Json::Object(_));
    if *leaves == 0 || (nested && depth >= DEPTH_MAX) {
        return OwnedValue::Null;
    }
    if !nested {
        *leaves -= 1;
    }
    match v {
        Json::Null => OwnedValue::Null,
        Json::Bool(b) => OwnedValue::Bool(b),
        Json::Number(n) => match (n.as_i64(), n.as_u64(), n.as_f64()) {
            (Some(n), _, _) => OwnedValue::I64(n),
            (_, Some(n), _) => OwnedValue::U64(n),
            (_, _, Some(n)) => OwnedValue::F64(n),
            _ => OwnedValue::Null,
        },
        Json::String(s) => OwnedValue::Str(s),
        Json::Array(items) => {
            let mut out = Vec::new();
            for item in items {
                if *leaves == 0 {
                    break;
                }
                out.push(value(item, depth + 1, leaves));
            }
            OwnedValue::Array(out)
        }
        Json::Object(members) => object(members, depth, leaves),
    }
}
