//! Latencies and counts of one connection, and their sum.

use hdrhistogram::Histogram;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// One hour in microseconds; a later answer is counted as that late.
const HIGHEST_US: u64 = 3_600_000_000;
/// Three digits: a value is right to a thousandth.
const DIGITS: u8 = 3;

#[derive(Clone, Debug)]
pub struct Recorder {
    from_intended: Histogram<u64>,
    from_sending: Histogram<u64>,
    pub requests: u64,
    pub not_sent: u64,
    pub records: u64,
    pub bytes: u64,
    pub errors: BTreeMap<String, u64>,
}

impl Default for Recorder {
    fn default() -> Self {
        let histogram =
            || Histogram::new_with_bounds(1, HIGHEST_US, DIGITS).expect("bounds and digits are constants that fit");
        Self {
            from_intended: histogram(),
            from_sending: histogram(),
            requests: 0,
            not_sent: 0,
            records: 0,
            bytes: 0,
            errors: BTreeMap::new(),
        }
    }
}

impl Recorder {
    /// A request ended, well or not: how long after it was meant to go out, and after it did.
    pub fn answered(&mut self, from_intended: Duration, from_sending: Duration) {
        let us = |d: Duration| u64::try_from(d.as_micros()).unwrap_or(HIGHEST_US);
        self.from_intended.saturating_record(us(from_intended));
        self.from_sending.saturating_record(us(from_sending));
        self.requests += 1;
    }

    pub fn acknowledged(&mut self, records: u64, bytes: u64) {
        self.records += records;
        self.bytes += bytes;
    }

    pub fn failed(&mut self, what: String) {
        *self.errors.entry(what).or_default() += 1;
    }

    pub fn add(&mut self, other: Recorder) {
        self.from_intended
            .add(&other.from_intended)
            .expect("both have the same bounds");
        self.from_sending
            .add(&other.from_sending)
            .expect("both have the same bounds");
        self.requests += other.requests;
        self.not_sent += other.not_sent;
        self.records += other.records;
        self.bytes += other.bytes;
        for (what, n) in other.errors {
            *self.errors.entry(what).or_default() += n;
        }
    }

    pub fn latency(&self) -> Latency {
        Latency::of(&self.from_intended)
    }
    pub fn service_time(&self) -> Latency {
        Latency::of(&self.from_sending)
    }
}

/// Milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Latency {
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p99_ms: f64,
    pub p999_ms: f64,
    pub max_ms: f64,
}

impl Latency {
    fn of(h: &Histogram<u64>) -> Self {
        let ms = |q: f64| h.value_at_quantile(q) as f64 / 1e3;
        Self {
            p50_ms: ms(0.5),
            p90_ms: ms(0.9),
            p99_ms: ms(0.99),
            p999_ms: ms(0.999),
            max_ms: h.max() as f64 / 1e3,
        }
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "p50 {:.2} ms  p90 {:.2}  p99 {:.2}  p99.9 {:.2}  max {:.2}",
            self.p50_ms, self.p90_ms, self.p99_ms, self.p999_ms, self.max_ms
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One request a 10 ms; the server takes 1 ms each, but stands still for a second at the hundredth.
    fn stall() -> Recorder {
        let mut r = Recorder::default();
        let mut free = Duration::ZERO;
        for n in 0..1_000u32 {
            let due = Duration::from_millis(10) * n;
            let sent = due.max(free);
            let took = Duration::from_millis(if n == 100 { 1_000 } else { 1 });
            free = sent + took;
            r.answered(free - due, took);
        }
        r
    }

    #[test]
    fn a_stall_is_seen_by_every_request_that_it_held_up_not_by_one() {
        let r = stall();
        // One in a thousand saw the stall from the inside; a hundred and more were due while it lasted.
        assert!((r.service_time().p99_ms - 1.0).abs() < 0.01, "{}", r.service_time());
        assert!(r.latency().p99_ms > 800.0, "{}", r.latency());
        assert!((r.latency().p50_ms - 1.0).abs() < 0.01, "{}", r.latency());
        assert!((r.latency().max_ms - 1_000.0).abs() < 2.0);
    }

    #[test]
    fn sums_hold_every_connection() {
        let (mut a, mut b) = (stall(), stall());
        a.failed("503".into());
        b.failed("503".into());
        b.acknowledged(400, 1_000);
        a.add(b);
        assert_eq!((a.requests, a.records, a.errors["503"]), (2_000, 400, 2));
    }

    #[test]
    fn a_time_beyond_the_scale_is_kept_at_its_end() {
        let mut r = Recorder::default();
        r.answered(Duration::from_secs(90_000), Duration::ZERO);
        assert!(r.latency().max_ms >= 3_600_000.0);
    }
}
