//! Who may come in now: bytes in flight over all requests, and records a second of each key.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::metrics::IN_FLIGHT_BYTES;

/// The bytes that bodies may take at once. A request takes its worst case in one step, so that no two requests wait for each
/// other half-way, and gives back the rest when its size is known.
#[derive(Debug, Clone)]
pub(crate) struct Pool {
    free: Arc<Semaphore>,
    total: usize,
}

/// A share of the bytes in flight; dropping it frees it.
#[derive(Debug)]
pub struct Permit {
    permit: Option<OwnedSemaphorePermit>,
}

impl Pool {
    pub(crate) fn new(total: usize) -> Self {
        let total = total.min(Semaphore::MAX_PERMITS).min(u32::MAX as usize);
        Self {
            free: Arc::new(Semaphore::new(total)),
            total,
        }
    }

    /// `None` when so much is not free now. A request larger than everything takes everything.
    pub(crate) fn take(&self, bytes: usize) -> Option<Permit> {
        let n = bytes.min(self.total) as u32;
        let permit = Arc::clone(&self.free).try_acquire_many_owned(n).ok()?;
        metrics::gauge!(IN_FLIGHT_BYTES).increment(f64::from(n));
        Some(Permit { permit: Some(permit) })
    }
}

impl Permit {
    /// A share of nothing, for entries that did not come in by a request.
    pub fn none() -> Self {
        Self { permit: None }
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.permit.as_ref().map_or(0, OwnedSemaphorePermit::num_permits)
    }

    /// Gives back what is held beyond `bytes`.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        if let Some(permit) = &mut self.permit {
            let excess = permit.num_permits().saturating_sub(bytes);
            if let Some(rest) = permit.split(excess) {
                metrics::gauge!(IN_FLIGHT_BYTES).decrement(rest.num_permits() as f64);
            }
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        metrics::gauge!(IN_FLIGHT_BYTES).decrement(self.bytes() as f64);
    }
}

/// Keys whose rate is remembered before those in credit are forgotten.
const RATES_MAX: usize = 4_096;
/// How much of its rate a key may send at once. A batch larger than that passes when the key is in credit, and is paid off.
const BURST: Duration = Duration::from_secs(1);

/// Records a second by key: for each, the instant at which what it has sent will be paid off (a generic cell rate algorithm).
#[derive(Debug, Default)]
pub(crate) struct Rates {
    paid_at: Mutex<HashMap<Arc<str>, Instant>>,
}

impl Rates {
    /// Charges `records` to the key, or says after how long it may send again. With 0 it only asks.
    pub(crate) fn charge(&self, key: &Arc<str>, per_second: u32, records: u32, now: Instant) -> Result<(), Duration> {
        let mut map = self.paid_at.lock().unwrap_or_else(PoisonError::into_inner);
        let paid_at = map.get(key).copied().unwrap_or(now).max(now);
        if paid_at - now >= BURST {
            return Err((paid_at - now - BURST).max(Duration::from_millis(1)));
        }
        if records > 0 {
            if map.len() >= RATES_MAX {
                map.retain(|_, t| *t > now);
            }
            let cost = Duration::from_secs_f64(f64::from(records) / f64::from(per_second.max(1)));
            map.insert(Arc::clone(key), paid_at + cost);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_taken_at_once_shrunk_and_given_back() {
        let pool = Pool::new(100);
        let mut a = pool.take(80).unwrap();
        assert!(pool.take(30).is_none());
        a.shrink(10);
        assert_eq!(a.bytes(), 10);
        let b = pool.take(90).unwrap();
        assert!(pool.take(1).is_none());
        drop((a, b));
        let all = pool.take(1_000).unwrap();
        assert_eq!(all.bytes(), 100);
        assert!(pool.take(1).is_none());
    }

    #[test]
    fn a_key_sends_its_rate_and_no_more() {
        let rates = Rates::default();
        let key: Arc<str> = "k".into();
        let start = Instant::now();
        // Ten a second, one at a time, as fast as allowed, for ten seconds: the burst and then the rate.
        let mut sent = 0;
        for ms in 0..10_000 {
            while rates.charge(&key, 10, 1, start + Duration::from_millis(ms)).is_ok() {
                sent += 1;
            }
        }
        assert!((100..=110).contains(&sent), "{sent}");
    }

    #[test]
    fn a_large_batch_passes_once_and_is_paid_off() {
        let rates = Rates::default();
        let key: Arc<str> = "k".into();
        let start = Instant::now();
        assert_eq!(rates.charge(&key, 100, 1_000, start), Ok(()));
        assert_eq!(rates.charge(&key, 100, 0, start), Err(Duration::from_secs(9)));
        assert_eq!(rates.charge(&key, 100, 1, start + Duration::from_millis(9_500)), Ok(()));
        assert_eq!(rates.charge(&"other".into(), 100, 1, start), Ok(()));
    }
}
