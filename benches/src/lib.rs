//! What the benchmarks share: how long they measure, and the records of a plant, made from a fixed seed.
//!
//! `cargo bench -p andon-benches` measures; `cargo test -p andon-benches --benches` runs each benchmark once at a small size.

use andon_engine::batch::BatchBuilder;
use andon_engine::fingerprint::fingerprint;
use andon_engine::level::Level;
use andon_engine::record::Record;
use andon_engine::time::{Span, Timestamp};
use criterion::Criterion;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::time::Duration;

/// Every benchmark draws from this seed, so that two runs measure the same work.
pub const SEED: u64 = 0x616e_646f_6e31;
/// Event time of the first record.
pub const START: Timestamp = Timestamp(1_772_431_200_000_000);
/// Applications that the records name.
pub const APPLICATIONS: usize = 16;

/// Ten samples within about a second a benchmark: the whole set stays within minutes, and figures within some 5 %.
pub fn criterion() -> Criterion {
    Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
}

/// Whether this run measures (`cargo bench`) or only shows that the benchmark works (`cargo test`).
pub fn measures() -> bool {
    std::env::args().any(|a| a == "--bench")
}

/// `full` for a run that measures, else `tiny`.
pub fn size(full: usize, tiny: usize) -> usize {
    if measures() { full } else { tiny }
}

pub fn rng() -> StdRng {
    StdRng::seed_from_u64(SEED)
}

/// One record of the plant, owned.
#[derive(Debug, Clone)]
pub struct Sample {
    pub timestamp: Timestamp,
    pub level: Level,
    pub message: String,
    pub kind: &'static str,
    pub application: String,
    pub device_id: String,
    pub source: String,
    pub readings: Vec<(&'static str, f64)>,
    pub fingerprint: u64,
}

impl Sample {
    /// As the engine sees it.
    pub fn record(&self) -> Record<'_> {
        Record {
            timestamp: self.timestamp,
            received_at: self.timestamp.plus(Span::millis(20)),
            level: Some(self.level),
            message: Some(&self.message),
            kind: Some(self.kind),
            application: Some(&self.application),
            device_id: Some(&self.device_id),
            source: Some(&self.source),
            readings: self.readings.clone(),
            fingerprint: self.fingerprint,
            ..Record::default()
        }
    }

    /// As a sender writes it: about 234 bytes.
    pub fn json(&self) -> String {
        let readings: Vec<String> = self.readings.iter().map(|(n, v)| format!("\"{n}\":{v:.2}")).collect();
        format!(
            r#"{{"timestamp":"{}","level":"{}","application":"{}","device_id":"{}","message":"{}","type":"{}","readings":{{{}}},"source":"{}"}}"#,
            self.timestamp,
            self.level.as_str(),
            self.application,
            self.device_id,
            self.message,
            self.kind,
            readings.join(","),
            self.source,
        )
    }
}

/// Records of `devices` devices, 1,000 a second of event time, of which `errors_per_1000` are ERROR.
#[derive(Debug)]
pub struct Samples {
    rng: StdRng,
    devices: usize,
    errors_per_1000: u32,
    at: Timestamp,
}

impl Samples {
    pub fn new(devices: usize, errors_per_1000: u32) -> Self {
        Self {
            rng: rng(),
            devices,
            errors_per_1000,
            at: START,
        }
    }

    /// The next `n`, packed.
    pub fn batch(&mut self, n: usize) -> Vec<u8> {
        let mut batch = BatchBuilder::new();
        for sample in self.take(n) {
            assert!(batch.push(&sample.record()), "a batch of {n} records is full");
        }
        batch.finish()
    }
}

impl Iterator for Samples {
    type Item = Sample;

    fn next(&mut self) -> Option<Sample> {
        let rng = &mut self.rng;
        self.at = self.at.plus(Span::millis(1));
        let device = rng.random_range(0..self.devices);
        let application = format!("line-{:02}", device % APPLICATIONS);
        let is_error = rng.random_ratio(self.errors_per_1000, 1_000);
        let (level, kind, message) = if is_error {
            let message = match rng.random_range(0..4) {
                0 => format!("drive {device} tripped: overcurrent {} A", rng.random_range(20..90)),
                1 => format!("no read of tote T-{:06} after 3 attempts", rng.random_range(0..999_999)),
                2 => format!(
                    "lock timeout after {} ms on order {}",
                    rng.random_range(100..9_000),
                    rng.random::<u32>()
                ),
                _ => format!(
                    "encoder of axis {} lost {} steps",
                    rng.random_range(1..6),
                    rng.random_range(3..400)
                ),
            };
            (Level::Error, "equipment.drive.fault", message)
        } else {
            let message = format!(
                "cycle {} ended in {} ms",
                rng.random_range(10_000..99_999),
                rng.random_range(1_000..9_999)
            );
            (Level::Info, "state.cycle", message)
        };
        Some(Sample {
            timestamp: self.at,
            level,
            fingerprint: fingerprint(Some(&application), Some(kind), &message),
            message,
            kind,
            application,
            device_id: format!("CNV-{device:05}"),
            source: format!("plc-{:02}", device % 64),
            readings: vec![
                ("temperature", rng.random_range(1_500..9_500) as f64 / 100.0),
                ("vibration", rng.random_range(50..1_200) as f64 / 100.0),
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_what_the_figures_say_of_them() {
        let samples: Vec<Sample> = Samples::new(1_000, 10).take(10_000).collect();
        let bytes: usize = samples.iter().map(|s| s.json().len()).sum();
        let errors = samples.iter().filter(|s| s.level == Level::Error).count();
        assert!(
            (230..=238).contains(&(bytes / samples.len())),
            "{} bytes a record",
            bytes / samples.len()
        );
        assert!((60..=140).contains(&errors), "{errors} errors of 10,000");
        let again: Vec<String> = Samples::new(1_000, 10).take(10_000).map(|s| s.json()).collect();
        assert!(
            samples.iter().map(Sample::json).eq(again),
            "the same seed, the same records"
        );
    }
}
