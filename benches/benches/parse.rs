//! What it costs to take a request's body in: JSON text to a packed batch (parse, validate, stamp, fingerprint, pack), as the
//! gateway does for every record.
//!
//! - `decode/array`, `decode/ndjson`: bodies of 1, 40, 400 and 4,000 records of about 234 bytes. Throughput in records and bytes.
//! - `yardstick`: the same 400 records by serde_json, into a `Value` and into a struct that borrows its texts. These only parse:
//!   nothing is validated, stamped, fingerprinted or packed.
//!
//! `cargo bench -p andon-benches --bench parse`

use andon_benches::{START, Samples, criterion};
use andon_engine::time::Span;
use andon_gateway::decode::{DecodeOptions, Format, decode};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::hint::black_box;

fn body(records: usize, format: Format) -> Vec<u8> {
    let records: Vec<String> = Samples::new(1_000, 10).take(records).map(|s| s.json()).collect();
    match format {
        Format::Json => format!("[{}]", records.join(",")).into_bytes(),
        Format::Ndjson => records.join("\n").into_bytes(),
    }
}

fn throughput(records: usize, body: &[u8]) -> Throughput {
    Throughput::ElementsAndBytes {
        elements: records as u64,
        bytes: body.len() as u64,
    }
}

fn gateway(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode");
    for (name, format) in [("array", Format::Json), ("ndjson", Format::Ndjson)] {
        let options = DecodeOptions::new(START.plus(Span::secs(10)), format, "bench");
        for records in [1, 40, 400, 4_000] {
            let body = body(records, format);
            let decoded = decode(&body, &options).expect("a body of records");
            assert_eq!((decoded.records as usize, decoded.rejected.len()), (records, 0));
            group.throughput(throughput(records, &body));
            group.bench_with_input(BenchmarkId::new(name, records), &body, |b, body| {
                b.iter(|| decode(black_box(body), &options));
            });
        }
    }
    group.finish();
}

/// The fields of a record, as little work as serde can make of them.
#[derive(Deserialize)]
#[allow(dead_code, reason = "filled, and looked at by nobody: parsing is what is measured")]
struct Plain<'a> {
    timestamp: &'a str,
    level: &'a str,
    application: &'a str,
    device_id: &'a str,
    message: Cow<'a, str>,
    #[serde(rename = "type")]
    kind: &'a str,
    readings: BTreeMap<&'a str, f64>,
    source: &'a str,
}

fn yardstick(c: &mut Criterion) {
    const RECORDS: usize = 400;
    let body = body(RECORDS, Format::Json);
    let mut group = c.benchmark_group("yardstick");
    group.throughput(throughput(RECORDS, &body));
    group.bench_function("serde_json into Value/400", |b| {
        b.iter(|| serde_json::from_slice::<serde_json::Value>(black_box(&body)).expect("JSON"));
    });
    group.bench_function("serde_json into a borrowing struct/400", |b| {
        b.iter(|| serde_json::from_slice::<Vec<Plain<'_>>>(black_box(&body)).expect("JSON of records"));
    });
    group.finish();
}

criterion_group! { name = benches; config = criterion(); targets = gateway, yardstick }
criterion_main!(benches);
