//! The clock of the site's database, for services of which several may run: who may be told again, and when, is decided by stamps that
//! one of them writes and another one reads.

use crate::up::ports::Relations;
use crate::up::told;
use andon_engine::time::{Clock, Span, Timestamp};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::sync::watch;

const LOOK_EVERY: Duration = Duration::from_secs(10);
/// An answer that took longer says too little.
const ANSWER_WITHIN: Span = Span::secs(1);
/// Beyond this a person is told: records and messages of this machine carry other times than those of the site.
const REPORTED_FROM: Span = Span::secs(5);

/// This machine's clock, put right by what the database says.
pub(crate) struct SharedClock {
    own: Arc<dyn Clock>,
    /// What the database is ahead.
    offset_us: AtomicI64,
}

impl SharedClock {
    /// # Errors
    /// When the database does not answer: without its clock this process must not decide.
    pub(crate) async fn start(
        own: Arc<dyn Clock>,
        store: &dyn Relations,
    ) -> andon_storage::ports::Result<Arc<SharedClock>> {
        let clock = Arc::new(Self {
            own,
            offset_us: AtomicI64::new(0),
        });
        clock.look(store).await?;
        Ok(clock)
    }

    /// Until told to stop: clocks drift, and are set.
    pub(crate) async fn follow(self: Arc<Self>, store: Arc<dyn Relations>, stop: watch::Receiver<bool>) {
        while tokio::time::timeout(LOOK_EVERY, told(stop.clone())).await.is_err() {
            if let Err(e) = self.look(&*store).await {
                tracing::debug!(error = %e, "clock of the database not read");
            }
        }
    }

    async fn look(&self, store: &dyn Relations) -> andon_storage::ports::Result<()> {
        let asked = self.own.now();
        let said = store.database_time(asked).await?;
        self.heard(asked, said, self.own.now());
        Ok(())
    }

    fn heard(&self, asked: Timestamp, said: Timestamp, answered: Timestamp) {
        let took = answered.since(asked);
        if took < Span::ZERO || took > ANSWER_WITHIN {
            return;
        }
        let offset = said.since(asked.plus(Span(took.0 / 2)));
        let before = Span(self.offset_us.swap(offset.0, Ordering::Relaxed));
        let changed = offset.0.saturating_sub(before.0).saturating_abs();
        if offset.0.saturating_abs() >= REPORTED_FROM.0 && changed >= REPORTED_FROM.0 {
            tracing::warn!(
                ahead_ms = offset.0 / 1_000,
                "clock of this machine differs from the database's, whose time is used: check NTP"
            );
        }
    }
}

impl Clock for SharedClock {
    fn now(&self) -> Timestamp {
        self.own.now().plus(Span(self.offset_us.load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_engine::time::ManualClock;

    #[test]
    fn two_machines_whose_clocks_differ_have_one_time() {
        let start = Timestamp(1_800_000_000_000_000);
        let machine = |skew: Span| {
            let own = Arc::new(ManualClock::new(start.plus(skew)));
            let offset_us = AtomicI64::new(0);
            (own.clone(), SharedClock { own, offset_us })
        };
        for skew in [Span::secs(90), Span::secs(-90), Span::ZERO, Span::hours(24 * 365)] {
            let (own, clock) = machine(skew);
            let asked = own.now();
            own.advance(Span::millis(20));
            clock.heard(asked, start.plus(Span::millis(10)), own.now());
            assert_eq!(clock.now(), start.plus(Span::millis(20)));
            // One that took too long, and one over a step of the clock, say nothing.
            clock.heard(own.now(), start, own.now().plus(Span::secs(2)));
            clock.heard(own.now(), start, own.now().minus(Span::secs(2)));
            assert_eq!(clock.now(), start.plus(Span::millis(20)));
        }
    }
}
