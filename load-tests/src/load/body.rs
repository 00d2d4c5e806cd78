//! Bodies made beforehand, so that making them is not what is measured: only stamps and ids are written into a copy.

use andon_engine::time::Timestamp;
use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::fmt::Write as _;

/// Different bodies, so that neither a cache nor a compressor sees one again and again.
const VARIANTS: usize = 64;
/// Microseconds since the epoch until the year 2286.
const STAMP_DIGITS: usize = 16;
/// Request and index within it, as hexadecimal digits.
const ID_DIGITS: usize = 16;

#[derive(Debug)]
struct Template {
    bytes: Vec<u8>,
    stamps: Vec<usize>,
    ids: Vec<usize>,
}

/// NDJSON bodies of a given number of records each.
#[derive(Debug)]
pub struct Bodies {
    templates: Vec<Template>,
}

impl Bodies {
    /// `ids`: every record carries an id, different in every body that is ever sent with another number.
    pub fn new(batch: usize, devices: usize, ids: bool, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let run: u32 = rng.random();
        let templates = (0..VARIANTS)
            .map(|_| template(&mut rng, batch, devices.max(1), ids.then_some(run)))
            .collect();
        Self { templates }
    }

    /// The body of request `n`, its records stamped with `now`.
    pub fn stamped(&self, n: u64, now: Timestamp) -> Bytes {
        let template = &self.templates[(n % VARIANTS as u64) as usize];
        let mut bytes = template.bytes.clone();
        let stamp = format!("{:0width$}", now.as_micros().max(0), width = STAMP_DIGITS);
        for at in &template.stamps {
            bytes[*at..*at + STAMP_DIGITS].copy_from_slice(stamp.as_bytes());
        }
        for (i, at) in template.ids.iter().enumerate() {
            let id = format!("{:08x}{:08x}", n as u32, i as u32);
            bytes[*at..*at + ID_DIGITS].copy_from_slice(id.as_bytes());
        }
        bytes.into()
    }
}

fn template(rng: &mut StdRng, batch: usize, devices: usize, run: Option<u32>) -> Template {
    let (mut text, mut stamps, mut ids) = (String::new(), Vec::new(), Vec::new());
    for _ in 0..batch {
        let device = rng.random_range(0..devices);
        text.push_str(r#"{"timestamp":"#);
        stamps.push(text.len());
        text.push_str(&"1".repeat(STAMP_DIGITS));
        // Writing to a `String` cannot fail.
        let _ = write!(
            text,
            r#","level":"{}","application":"load-{}","device_id":"LD-{device:05}","message":"cycle {} finished in {} ms","type":"state.cycle","readings":{{"temperature":{}.{},"vibration":{}.{}}},"source":"andon-load""#,
            ["INFO", "INFO", "INFO", "DEBUG", "WARN"][rng.random_range(0..5)],
            device % 16,
            rng.random_range(10_000..99_999),
            rng.random_range(1_000..9_999),
            rng.random_range(40..90),
            rng.random_range(1..9),
            rng.random_range(1..8),
            rng.random_range(1..9),
        );
        if let Some(run) = run {
            let _ = write!(text, r#","id":"{run:08x}-"#);
            ids.push(text.len());
            text.push_str(&"0".repeat(ID_DIGITS));
            text.push('"');
        }
        text.push_str("}\n");
    }
    Template {
        bytes: text.into_bytes(),
        stamps,
        ids,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::collections::BTreeSet;

    fn records(body: &[u8]) -> Vec<Value> {
        body.split(|b| *b == b'\n')
            .filter(|l| !l.is_empty())
            .map(|l| serde_json::from_slice(l).unwrap())
            .collect()
    }

    #[test]
    fn every_line_is_a_record_with_the_stamp_asked_for_and_an_id_of_its_own() {
        let bodies = Bodies::new(40, 100, true, 1);
        let mut ids = BTreeSet::new();
        for n in 0..200 {
            let now = Timestamp(1_790_000_000_000_000 + n as i64);
            for r in records(&bodies.stamped(n, now)) {
                assert_eq!(r["timestamp"], now.as_micros());
                assert!(ids.insert(r["id"].as_str().unwrap().to_owned()));
            }
        }
        assert_eq!(ids.len(), 200 * 40);
    }

    #[test]
    fn without_ids_there_are_none_and_a_record_is_about_as_long_as_real_ones() {
        let body = Bodies::new(400, 2_000, false, 1).stamped(0, Timestamp(1_790_000_000_000_000));
        assert!(records(&body).iter().all(|r| r.get("id").is_none()));
        assert!((200..280).contains(&(body.len() / 400)), "{}", body.len() / 400);
    }
}
