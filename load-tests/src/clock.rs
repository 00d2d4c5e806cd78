//! The system's clock, read in one place.

use andon_engine::time::{Clock, Timestamp};

#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods)] // The one implementation that everything else takes as a `Clock`.
    fn now(&self) -> Timestamp {
        jiff::Timestamp::now().into()
    }
}

/// Six base-36 digits that tell one run from the next, so that a scenario can be played twice against the same server.
pub fn run_tag(now: Timestamp) -> String {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    // Milliseconds modulo 36^6 come round after 25 days, longer than anything asks for the records of a run.
    let mut n = (now.as_micros() / 1_000).rem_euclid(36i64.pow(6)) as usize;
    let mut out = [b'0'; 6];
    for slot in out.iter_mut().rev() {
        *slot = DIGITS[n % 36];
        n /= 36;
    }
    out.iter().map(|b| char::from(*b)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_runs_a_millisecond_apart_differ() {
        let t = Timestamp(1_790_000_000_000_000);
        assert_eq!(run_tag(t).len(), 6);
        assert_ne!(run_tag(t), run_tag(Timestamp(t.0 + 1_000)));
    }
}
