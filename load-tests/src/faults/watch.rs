//! How far the sinks are behind, followed over a run.

use crate::metrics::{Highest, Metrics};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

const EVERY: Duration = Duration::from_millis(200);
/// Entries on their way at any moment under load are no lag.
const CALM: u64 = 20;

/// Looks at the metrics until it is dropped.
#[derive(Debug)]
pub(super) struct LagWatch {
    seen: Arc<Mutex<Seen>>,
    _task: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Seen {
    highest: Highest,
    /// When, and the farthest that any sink was behind.
    samples: Vec<(Instant, u64)>,
}

impl LagWatch {
    pub(super) fn start(ingest: &str) -> anyhow::Result<Self> {
        let metrics = Metrics::new(ingest)?;
        let seen = Arc::new(Mutex::new(Seen::default()));
        let mut task = JoinSet::new();
        let into = seen.clone();
        task.spawn(async move {
            let mut looks = tokio::time::interval(EVERY);
            looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                looks.tick().await;
                // A server that is being started again says nothing; that is no lag and no calm.
                if let Ok(lags) = metrics.lags().await {
                    let mut seen = into.lock().unwrap_or_else(PoisonError::into_inner);
                    seen.highest.see(&lags);
                    seen.samples
                        .push((Instant::now(), lags.values().copied().max().unwrap_or_default()));
                }
            }
        });
        Ok(Self { seen, _task: task })
    }

    /// Forgets the highest so far.
    pub(super) fn begin(&self) {
        self.lock().highest = Highest::default();
    }

    pub(super) fn highest(&self) -> Highest {
        self.lock().highest.clone()
    }

    /// How long after `from` every sink was as near the head again as it had been before the fault.
    pub(super) fn drained(&self, from: Instant, before: u64) -> Option<Duration> {
        let calm = before.max(CALM);
        let seen = self.lock();
        let at = seen.samples.iter().find(|(at, lag)| *at >= from && *lag <= calm);
        at.map(|(at, _)| *at - from)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
