mod bodies;
mod loggers;
mod names;
mod records;

use super::*;
use andon_engine::batch::Batch;
use andon_engine::ids::JournalId;
use andon_engine::level::Level;
use andon_engine::record::{Flags, Record};

const GOOD: &str = r#"{"device_id":"d","message":"m"}"#;
const NOW: Timestamp = Timestamp(1_795_401_059_000_000);

pub(super) fn options(format: Format) -> DecodeOptions<'static> {
    DecodeOptions::new(NOW, format, "k")
}

pub(super) fn json(body: impl AsRef<[u8]>) -> Result<Decoded, DecodeError> {
    decode(body.as_ref(), &options(Format::Json))
}

pub(super) fn ndjson(body: impl AsRef<[u8]>) -> Decoded {
    decode(body.as_ref(), &options(Format::Ndjson)).unwrap()
}

pub(super) fn parsed(d: &Decoded) -> Batch<&[u8]> {
    let batch = Batch::parse(&d.batch[..], JournalId(0), 0).unwrap();
    assert_eq!(batch.len(), d.records as usize);
    batch
}

/// One accepted record, as a line of what the test is about.
pub(super) fn show(r: &Record<'_>) -> String {
    let mut out = r.level.map_or("-", Level::as_str).to_string();
    let texts = [
        ("msg", r.message),
        ("type", r.kind),
        ("app", r.application),
        ("dev", r.device_id),
        ("user", r.user_id),
        ("src", r.source),
        ("id", r.id),
        ("item", r.item_id),
        ("order", r.order_id),
        ("loc", r.location),
        ("step", r.step),
        ("trace", r.trace_id),
        ("span", r.span_id),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            out += &format!(" {name}={text}");
        }
    }
    for (name, v) in &r.readings {
        out += &format!(" {name}:{v}");
    }
    if r.timestamp != NOW {
        out += &format!(" at={}", r.timestamp.since(NOW).as_secs_f64());
    }
    if !r.fields.is_empty() {
        out += &format!(" {}", r.fields);
    }
    for flag in r.flags.names().filter(|f| *f != "time_missing") {
        out += &format!(" !{flag}");
    }
    out
}

pub(super) fn check(body: &str, expect: &str) {
    let d = json(body).unwrap();
    let got = match (&d.rejected[..], d.records) {
        ([], 1) => show(&parsed(&d).get(0)),
        ([r], 0) => format!("{}: {}", r.field, r.reason),
        other => panic!("{other:?}"),
    };
    if let Some(part) = expect.strip_prefix("~") {
        assert!(got.contains(part), "{body}\n  got {got}");
    } else {
        assert_eq!(got, expect, "{body}");
    }
}
