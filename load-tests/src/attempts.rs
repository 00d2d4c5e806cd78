//! What single attempts at requests came to, over a stretch of time: how a sender lives through a fault.

use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Counts of one stretch.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Counts {
    /// Requests answered 202.
    pub accepted: u64,
    /// Other answers, by status.
    pub turned_away: BTreeMap<u16, u64>,
    /// No answer at all: refused, broken off, too late.
    pub unanswered: u64,
    /// The longest time without a 202, at the stretch's edges too.
    pub longest_gap_ms: u64,
}

/// Counts from [`Attempts::begin`] to [`Attempts::end`]; between stretches nothing is counted.
#[derive(Debug, Default)]
pub struct Attempts(Mutex<Option<Stretch>>);

#[derive(Debug)]
struct Stretch {
    counts: Counts,
    last_accepted: Instant,
}

impl Stretch {
    fn mind_the_gap(&mut self) {
        let gap = self.last_accepted.elapsed().as_millis() as u64;
        self.counts.longest_gap_ms = self.counts.longest_gap_ms.max(gap);
        self.last_accepted = Instant::now();
    }
}

impl Attempts {
    pub fn begin(&self) {
        *self.lock() = Some(Stretch {
            counts: Counts::default(),
            last_accepted: Instant::now(),
        });
    }

    pub fn end(&self) -> Counts {
        self.lock().take().map_or_else(Counts::default, |mut stretch| {
            stretch.mind_the_gap();
            stretch.counts
        })
    }

    /// What there is so far; `None` between stretches.
    pub fn so_far(&self) -> Option<Counts> {
        self.lock().as_ref().map(|s| s.counts.clone())
    }

    pub(crate) fn answered(&self, status: u16) {
        if let Some(stretch) = &mut *self.lock() {
            if status == 202 {
                stretch.counts.accepted += 1;
                stretch.mind_the_gap();
            } else {
                *stretch.counts.turned_away.entry(status).or_default() += 1;
            }
        }
    }

    pub(crate) fn unanswered(&self) {
        if let Some(stretch) = &mut *self.lock() {
            stretch.counts.unanswered += 1;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Stretch>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// In milliseconds, as a person reads it.
pub(crate) fn seconds(ms: u64) -> String {
    format!("{:.1}", Duration::from_millis(ms).as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_happens_within_the_stretch_counts() {
        let attempts = Attempts::default();
        attempts.answered(202);
        attempts.begin();
        attempts.answered(202);
        attempts.answered(503);
        attempts.answered(503);
        attempts.unanswered();
        assert_eq!(attempts.so_far().map(|c| c.accepted), Some(1));
        let counts = attempts.end();
        attempts.answered(202);
        assert_eq!((counts.accepted, counts.unanswered), (1, 1));
        assert_eq!(counts.turned_away, BTreeMap::from([(503, 2)]));
        assert_eq!((attempts.so_far(), attempts.end()), (None, Counts::default()));
    }
}
