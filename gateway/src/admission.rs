//! Who may come in now: bytes in flight over all requests, and records a second of each key.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::metrics::{IN_FLIGHT_BYTES, RATE_FALLBACKS};
use crate::ports::{Rate, SharedRates};

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

/// How long an answer of the shared rates may take: no sender is to notice that somebody is asked.
const SHARED_PATIENCE: Duration = Duration::from_millis(50);
/// After a failure they are left alone for this long, or every request would wait.
const SHARED_LEFT_ALONE: Duration = Duration::from_secs(1);

/// The rates of this gateway, or those that it shares with others. While those cannot be asked, its own count.
#[derive(Default)]
pub(crate) struct Limiter {
    own: Rates,
    shared: Option<Arc<dyn SharedRates>>,
    away_until: Mutex<Option<Instant>>,
}

impl Limiter {
    pub(crate) fn share(&mut self, shared: Arc<dyn SharedRates>) {
        self.shared = Some(shared);
    }

    /// As [`Rates::charge`].
    pub(crate) async fn charge(&self, key: &Arc<str>, per_second: u32, records: u32) -> Result<(), Duration> {
        if let Some(rate) = self.ask(key, per_second, records).await {
            return match rate {
                Rate::Allowed => Ok(()),
                Rate::RetryAfter(wait) => Err(wait),
            };
        }
        self.own.charge(key, per_second, records, Instant::now())
    }

    async fn ask(&self, key: &Arc<str>, per_second: u32, records: u32) -> Option<Rate> {
        let shared = self.shared.as_ref()?;
        let away_until = || self.away_until.lock().unwrap_or_else(PoisonError::into_inner);
        if away_until().is_some_and(|until| Instant::now() < until) {
            return None;
        }
        let answer = tokio::time::timeout(SHARED_PATIENCE, shared.take(key, records, per_second, BURST)).await;
        let rate = answer.ok().flatten();
        if rate.is_none() {
            metrics::counter!(RATE_FALLBACKS).increment(1);
            *away_until() = Some(Instant::now() + SHARED_LEFT_ALONE);
        }
        rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// Rates that are away, slowly or at once, and count who asks.
    #[derive(Default)]
    struct Away {
        asked: AtomicU32,
        at_once: bool,
    }

    #[async_trait::async_trait]
    impl SharedRates for Away {
        async fn take(&self, _: &str, _: u32, _: u32, _: Duration) -> Option<Rate> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            if !self.at_once {
                std::future::pending::<()>().await;
            }
            None
        }
    }

    #[tokio::test(start_paused = true)]
    async fn rates_that_are_away_are_asked_once_a_second_and_the_own_count() {
        for at_once in [true, false] {
            let away = Arc::new(Away {
                at_once,
                ..Away::default()
            });
            let mut limiter = Limiter::default();
            limiter.share(away.clone());
            let key: Arc<str> = "k".into();
            let began = Instant::now();
            for _ in 0..100 {
                assert_eq!(limiter.charge(&key, 1_000, 1).await, Ok(()));
            }
            assert_eq!(away.asked.load(Ordering::SeqCst), 1);
            assert_eq!(began.elapsed(), if at_once { Duration::ZERO } else { SHARED_PATIENCE });
            assert!(limiter.charge(&key, 1_000, 100_000).await.is_ok());
            assert!(limiter.charge(&key, 1_000, 1).await.is_err());
            tokio::time::advance(SHARED_LEFT_ALONE).await;
            assert!(limiter.charge(&key, 1_000, 1).await.is_err());
            assert_eq!(away.asked.load(Ordering::SeqCst), 2);
        }
    }

    /// Rates that answer what they are told to.
    struct Says(Rate);

    #[async_trait::async_trait]
    impl SharedRates for Says {
        async fn take(&self, key: &str, records: u32, per_second: u32, burst: Duration) -> Option<Rate> {
            assert_eq!((key, records, per_second, burst), ("k", 7, 9, BURST));
            Some(self.0)
        }
    }

    #[tokio::test]
    async fn shared_rates_decide_while_they_answer() {
        let key: Arc<str> = "k".into();
        let wait = Duration::from_secs(3);
        for (says, want) in [(Rate::Allowed, Ok(())), (Rate::RetryAfter(wait), Err(wait))] {
            let mut limiter = Limiter::default();
            limiter.share(Arc::new(Says(says)));
            for _ in 0..20 {
                assert_eq!(limiter.charge(&key, 9, 7).await, want);
            }
        }
    }

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
