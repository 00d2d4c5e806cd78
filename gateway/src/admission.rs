//! Who may come in now: bytes in flight over all requests and of each key, and records a second of each key.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

use crate::config::{SMALL_BODY_BYTES, SMALL_RESERVE};
use crate::metrics::{IN_FLIGHT_BYTES, RATE_FALLBACKS};
use crate::ports::{Rate, SharedRates};

/// The bytes that bodies may take at once.
///
/// A request takes them as its body arrives, so that a slow one holds no more than it has sent, and never waits for them, so that no two
/// requests wait for each other. A key may take more as long as it holds less than is left free: alone it comes to half of everything, of
/// two greedy keys each to a third, and there is always something left for the next. One body of the greatest size is granted to each
/// key while there is room. Small bodies have a reserve besides, so that an alarm passes when large bodies have taken all.
#[derive(Debug, Clone)]
pub(crate) struct Pool {
    shared: Arc<Shared>,
    /// Bodies that found no room because all of it was taken, and not because their key had its share.
    pub(crate) refused: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Shared {
    parts: [Part; 2],
    held: Mutex<Held>,
}

/// For bodies of any size, and for small ones only.
const GENERAL: usize = 0;
const SMALL: usize = 1;

/// Limits of a part of the bytes.
#[derive(Debug)]
struct Part {
    bytes: usize,
    /// What one key may hold even when little is free.
    key_bytes: usize,
}

/// Bytes held of each part, by all and by each key.
#[derive(Debug, Default)]
struct Held {
    all: [usize; 2],
    keys: HashMap<Arc<str>, [usize; 2]>,
}

/// A share of the bytes in flight; dropping it frees it.
#[derive(Debug)]
pub struct Permit {
    pool: Option<Pool>,
    key: Arc<str>,
    part: usize,
    bytes: usize,
    /// Taken besides the body, as long as it is being read.
    decoder_bytes: usize,
}

impl Pool {
    /// `body_bytes_max` is the size of the greatest body.
    pub(crate) fn new(total: usize, body_bytes_max: usize) -> Self {
        let reserve = total / SMALL_RESERVE;
        let general = Part {
            bytes: total - reserve,
            key_bytes: body_bytes_max,
        };
        let small = Part {
            bytes: reserve,
            key_bytes: SMALL_BODY_BYTES,
        };
        Self {
            shared: Arc::new(Shared {
                parts: [general, small],
                held: Mutex::default(),
            }),
            refused: Arc::default(),
        }
    }

    /// A share of this key that holds nothing yet.
    pub(crate) fn permit(&self, key: &Arc<str>, decoder_bytes: usize) -> Permit {
        Permit {
            pool: Some(self.clone()),
            key: Arc::clone(key),
            part: GENERAL,
            bytes: 0,
            decoder_bytes,
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // A panic elsewhere leaves the counts whole: nothing panics while they are changed.
        self.shared.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Whether the key may hold `bytes` of the part instead of the `own` that one of its requests holds.
    fn allows(&self, part: usize, limits: &Part, key: &str, own: usize, bytes: usize) -> bool {
        let others = self.all[part] - own;
        if others == 0 {
            // Nobody waits for it, and a body that is larger than everything would never be taken otherwise.
            return part == GENERAL || bytes <= limits.bytes;
        }
        let Some(free) = limits.bytes.checked_sub(others + bytes) else {
            return false;
        };
        let of_key = self.keys.get(key).map_or(0, |held| held[part]) - own + bytes;
        of_key <= free.max(limits.key_bytes)
    }

    fn change(&mut self, part: usize, key: &Arc<str>, own: usize, bytes: usize) {
        self.all[part] = self.all[part] - own + bytes;
        let held = self.keys.entry(Arc::clone(key)).or_default();
        held[part] = held[part] - own + bytes;
        if *held == [0, 0] {
            self.keys.remove(key);
        }
    }
}

impl Permit {
    /// A share of nothing, for entries that did not come in by a request. It may grow without limit.
    pub fn none() -> Self {
        Self {
            pool: None,
            key: Arc::from(""),
            part: GENERAL,
            bytes: 0,
            decoder_bytes: 0,
        }
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Grows to a body of so many bytes. False when they are not there; it then holds what it held.
    #[must_use]
    pub(crate) fn reach(&mut self, body_bytes: usize) -> bool {
        let bytes = body_bytes + self.decoder_bytes;
        bytes <= self.bytes || self.hold(body_bytes, bytes)
    }

    /// Whether a body of so many bytes would find room now.
    pub(crate) fn could_reach(&self, body_bytes: usize) -> bool {
        let bytes = body_bytes + self.decoder_bytes;
        let room = |pool: &Pool| self.part_for(pool, &pool.held(), body_bytes, bytes).is_some();
        bytes <= self.bytes || self.pool.as_ref().is_none_or(room)
    }

    fn hold(&mut self, body_bytes: usize, bytes: usize) -> bool {
        let Some(pool) = self.pool.clone() else { return true };
        let mut held = pool.held();
        let Some(part) = self.part_for(&pool, &held, body_bytes, bytes) else {
            return false;
        };
        if part == self.part {
            held.change(part, &self.key, self.bytes, bytes);
        } else {
            held.change(part, &self.key, 0, bytes);
            held.change(self.part, &self.key, self.bytes, 0);
        }
        drop(held);
        metrics::gauge!(IN_FLIGHT_BYTES).increment((bytes - self.bytes) as f64);
        (self.part, self.bytes) = (part, bytes);
        true
    }

    /// The part that has room for a body of this size.
    fn part_for(&self, pool: &Pool, held: &Held, body_bytes: usize, bytes: usize) -> Option<usize> {
        let parts = if body_bytes <= SMALL_BODY_BYTES {
            GENERAL..=SMALL
        } else {
            GENERAL..=GENERAL
        };
        let own = |part: usize| if part == self.part { self.bytes } else { 0 };
        let allows = |part: usize| held.allows(part, &pool.shared.parts[part], &self.key, own(part), bytes);
        let found = parts.clone().find(|part| allows(*part));
        let is_full = |part: usize| held.all[part] - own(part) + bytes > pool.shared.parts[part].bytes;
        if found.is_none() && parts.clone().all(is_full) {
            pool.refused.fetch_add(1, Ordering::Relaxed);
        }
        found
    }

    /// Gives back what is held beyond `bytes`. The body has been read: its decoder is gone.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        self.decoder_bytes = 0;
        let Some(pool) = &self.pool else { return };
        let bytes = bytes.min(self.bytes);
        pool.held().change(self.part, &self.key, self.bytes, bytes);
        metrics::gauge!(IN_FLIGHT_BYTES).decrement((self.bytes - bytes) as f64);
        self.bytes = bytes;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.shrink(0);
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

    const MIB: usize = 1 << 20;

    fn pool() -> (Pool, impl Fn(&str) -> Permit) {
        let pool = Pool::new(256 * MIB, 16 * MIB);
        let of = pool.clone();
        (pool, move |key: &str| of.permit(&key.into(), 0))
    }

    /// Bytes of each part, and how many keys hold some.
    fn held(pool: &Pool) -> ([usize; 2], usize) {
        let held = pool.held();
        (held.all, held.keys.len())
    }

    /// The permit, if it gets so many bytes.
    fn reached(mut permit: Permit, bytes: usize) -> Option<Permit> {
        permit.reach(bytes).then_some(permit)
    }

    /// Permits of this key of this size, as many as it gets.
    fn fill(permit: &impl Fn(&str) -> Permit, key: &str, bytes: usize) -> Vec<Permit> {
        std::iter::from_fn(|| reached(permit(key), bytes)).collect()
    }

    #[test]
    fn what_finds_everything_taken_is_counted_and_what_has_its_share_is_not() {
        let (pool, permit) = pool();
        let refused = || pool.refused.load(Ordering::Relaxed);
        let first = fill(&permit, "k0", MIB);
        assert!(!first.is_empty());
        assert_eq!(refused(), 0, "it has its share, and others find room");
        let others: Vec<_> = (1..40).flat_map(|k| fill(&permit, &format!("k{k}"), 5 * MIB)).collect();
        let before = refused();
        assert!(!permit("late").could_reach(5 * MIB), "{} hold all", others.len());
        assert_eq!(refused(), before + 1);
        assert!(permit("late").could_reach(60), "an alarm passes");
        assert_eq!(refused(), before + 1);
    }

    #[test]
    fn bytes_are_taken_as_they_come_shrunk_and_given_back() {
        let (pool, permit) = pool();
        let mut a = permit("k");
        assert!(a.reach(10) && a.reach(2 * MIB) && a.reach(5));
        assert_eq!(a.bytes(), 2 * MIB);
        a.shrink(10);
        a.shrink(20);
        assert_eq!((a.bytes(), held(&pool)), (10, ([10, 0], 1)));
        drop(a);
        assert_eq!(held(&pool), ([0, 0], 0));
    }

    #[test]
    fn no_key_takes_more_than_is_left_for_others() {
        let (pool, permit) = pool();
        let first = fill(&permit, "greedy", 16 * MIB);
        assert_eq!(first.len(), 7, "not quite half of 240 MiB");
        let second = fill(&permit, "as greedy", 16 * MIB);
        assert!(second.len() >= 3, "{}", second.len());
        // However many come, each finds room for a body of the greatest size, until there is none at all.
        let mut others = 0;
        let mut kept = Vec::new();
        while let Some(p) = reached(permit(&format!("k{others}")), 16 * MIB) {
            kept.push(p);
            others += 1;
        }
        assert!(others >= 3, "{others}");
        assert!(pool.held().all[GENERAL] <= 240 * MIB);
    }

    #[test]
    fn small_bodies_pass_when_large_ones_have_taken_all() {
        let (pool, permit) = pool();
        let large: Vec<_> = (0..100)
            .flat_map(|k| fill(&permit, &format!("k{k}"), 5 * MIB))
            .collect();
        assert!(permit("k0").could_reach(60) && !permit("k0").could_reach(5 * MIB));
        let mut alarm = permit("k0");
        assert!(alarm.reach(60) && alarm.reach(SMALL_BODY_BYTES));
        assert!(!alarm.reach(5 * MIB), "one that grows needs room like any other");
        assert_eq!(alarm.bytes(), SMALL_BODY_BYTES);
        // Nor does one key take the whole reserve.
        let small = fill(&permit, "k0", SMALL_BODY_BYTES);
        assert!((100..=200).contains(&small.len()), "{}", small.len());
        let mut other = permit("other");
        assert!(other.reach(SMALL_BODY_BYTES));
        assert!(pool.held().all[SMALL] <= 16 * MIB);
        drop(large);
        assert!(alarm.reach(5 * MIB), "it moves to the others");
        assert_eq!(pool.held().keys["k0"], [5 * MIB, small.len() * SMALL_BODY_BYTES]);
        drop((alarm, small, other));
        assert_eq!(held(&pool), ([0, 0], 0));
    }

    #[test]
    fn decoders_count_until_the_body_is_read() {
        let pool = Pool::new(10 * MIB, MIB);
        let mut p = pool.permit(&"k".into(), 1_000);
        assert!(p.reach(10));
        assert_eq!(p.bytes(), 1_010);
        p.shrink(10);
        assert!(p.reach(20));
        assert_eq!(p.bytes(), 20);
    }

    #[test]
    fn a_body_larger_than_everything_is_taken_alone() {
        let pool = Pool::new(100, 1_000);
        let mut a = pool.permit(&"a".into(), 0);
        assert!(a.reach(500) && a.reach(1_000));
        let mut b = pool.permit(&"b".into(), 0);
        assert!(!b.reach(50), "more than the reserve");
        drop(a);
        assert!(b.reach(50));
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
