//! Who a token belongs to. A key that is not in memory may have been made a moment ago, so it is looked up in the store once before it is
//! refused. Guesses cost little: however many come, the store is asked at most every [`GAP`], for all of them together, and a token that
//! was refused is not looked up again for [`REMEMBERED`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout};
use xxhash_rust::xxh3::xxh3_128;

use crate::answer::Refused;
use crate::ports::{Grant, Keys};

/// Between the beginnings of two look-ups.
const GAP: Duration = Duration::from_millis(50);
/// For a store that does not answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a refused token is refused at once.
const REMEMBERED: Duration = Duration::from_secs(10);
/// Refused tokens remembered; with more of them at once each is looked up, at the same pace.
const REFUSED_MAX: usize = 4_096;

/// Finds the holders of tokens.
#[derive(Debug, Default)]
pub(crate) struct LookUps {
    /// The last look-up, and the turn of whoever makes the next.
    last: tokio::sync::Mutex<Option<LookUp>>,
    refused: Mutex<HashMap<u128, Instant>>,
}

#[derive(Clone, Copy, Debug)]
struct LookUp {
    began: Instant,
    succeeded: bool,
}

impl LookUps {
    pub(crate) async fn find(&self, keys: &dyn Keys, token: &str) -> Result<Arc<Grant>, Refused> {
        if let Some(grant) = keys.find(token) {
            return Ok(grant);
        }
        let hash = xxh3_128(token.as_bytes());
        if self.was_refused(hash) {
            return Err(Refused::WrongKey);
        }
        let succeeded = timeout(PATIENCE, self.look_up(keys)).await.unwrap_or(false);
        match keys.find(token) {
            Some(grant) => Ok(grant),
            None if !succeeded => Err(Refused::KeysAway),
            None => {
                self.remember(hash);
                Err(Refused::WrongKey)
            }
        }
    }

    /// Whether a look-up that began after this call succeeded.
    async fn look_up(&self, keys: &dyn Keys) -> bool {
        let arrived = Instant::now();
        let mut last = self.last.lock().await;
        if let Some(last) = *last {
            // Somebody else's, while this one waited for its turn.
            if last.began >= arrived {
                return last.succeeded;
            }
            sleep_until(last.began + GAP).await;
        }
        let began = Instant::now();
        // Should this be given up, the next one must not think that it succeeded.
        *last = Some(LookUp {
            began,
            succeeded: false,
        });
        let succeeded = keys.refresh().await.is_ok();
        *last = Some(LookUp { began, succeeded });
        succeeded
    }

    fn was_refused(&self, hash: u128) -> bool {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.get(&hash).is_some_and(|at| at.elapsed() < REMEMBERED)
    }

    fn remember(&self, hash: u128) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.len() >= REFUSED_MAX {
            refused.retain(|_, at| at.elapsed() < REMEMBERED);
        }
        if refused.len() < REFUSED_MAX {
            refused.insert(hash, Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::KeysUnavailable;
    use futures_util::future::join_all;
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

    /// Keys of which one is known once the store was asked.
    #[derive(Default)]
    struct Store {
        asked: AtomicU32,
        away: AtomicBool,
        silent: AtomicBool,
    }

    #[async_trait::async_trait]
    impl Keys for Store {
        fn find(&self, token: &str) -> Option<Arc<Grant>> {
            let known = token == "old" || token == "new" && self.asked.load(Ordering::SeqCst) > 0;
            known.then(|| Arc::new(Grant::any(token)))
        }
        async fn refresh(&self) -> Result<(), KeysUnavailable> {
            if self.silent.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            if self.away.load(Ordering::SeqCst) {
                return Err(KeysUnavailable);
            }
            tokio::time::sleep(Duration::from_millis(3)).await;
            self.asked.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_made_a_moment_ago_is_found_and_a_known_one_asks_nobody() {
        let (look_ups, store) = (LookUps::default(), Store::default());
        assert!(look_ups.find(&store, "old").await.is_ok());
        assert_eq!(store.asked.load(Ordering::SeqCst), 0);
        let both = join_all(["new", "new"].map(|t| look_ups.find(&store, t))).await;
        assert!(both.iter().all(Result::is_ok));
        assert_eq!(store.asked.load(Ordering::SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn guesses_ask_the_store_together_and_not_often() {
        let (look_ups, store) = (LookUps::default(), Store::default());
        let began = Instant::now();
        for round in 0..20 {
            let tokens: Vec<_> = (0..500).map(|i| format!("guess {round} {i}")).collect();
            let found = join_all(tokens.iter().map(|t| look_ups.find(&store, t))).await;
            assert!(found.iter().all(|f| matches!(f, Err(Refused::WrongKey))));
        }
        let asked = u128::from(store.asked.load(Ordering::SeqCst));
        assert!(asked <= began.elapsed().as_millis() / GAP.as_millis() + 1, "{asked}");
        assert!(asked <= 40, "each round shares: {asked}");
        // One that was refused is refused at once, until it is forgotten.
        let again = || look_ups.find(&store, "guess 0 0");
        assert!(matches!(again().await, Err(Refused::WrongKey)));
        assert_eq!(u128::from(store.asked.load(Ordering::SeqCst)), asked);
        tokio::time::advance(REMEMBERED).await;
        assert!(matches!(again().await, Err(Refused::WrongKey)));
        assert_eq!(u128::from(store.asked.load(Ordering::SeqCst)), asked + 1);
        assert!(look_ups.refused.lock().unwrap().len() <= REFUSED_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_is_away_says_nothing_about_a_key() {
        let (look_ups, store) = (LookUps::default(), Store::default());
        store.away.store(true, Ordering::SeqCst);
        assert!(matches!(look_ups.find(&store, "new").await, Err(Refused::KeysAway)));
        assert!(look_ups.find(&store, "old").await.is_ok());
        tokio::time::advance(Duration::from_millis(1)).await;
        store.silent.store(true, Ordering::SeqCst);
        let began = Instant::now();
        let many = join_all((0..100).map(|_| look_ups.find(&store, "new"))).await;
        assert!(many.iter().all(|f| matches!(f, Err(Refused::KeysAway))));
        assert_eq!(began.elapsed(), PATIENCE);
        store.silent.store(false, Ordering::SeqCst);
        store.away.store(false, Ordering::SeqCst);
        assert!(look_ups.find(&store, "new").await.is_ok());
    }
}
