//! The queue of messages to send: hints, not truth.
//!
//! The rows of notices with their due times and claims are the durable queue. A job queue beside them may lose what it holds, or
//! hand out a notice twice: the sweep pushes what is unfinished again, and a claim is given once. So the embedded queue is memory
//! with a bound, and the one that several notifiers share is a stream in Redis.
//!
//! apalis-sqlite 1.0 was looked at for this. It keeps its jobs in a table of its own, with states, attempts, locks and migrations of
//! its own, stamped by the database's clock: a second truth beside the delivery rows that could disagree with them after a crash, in
//! a transaction that is not theirs, and with a time that tests cannot own. The claim of a notice is one conditional update
//! in the transaction that decides about its deliveries; a second table adds nothing to that.
//!
//! apalis-redis 1.0 is the same with Redis for a database: it keeps each job's data, metadata, leases, results and workers in hashes of
//! its own, through a second Redis client, and its workers ask for jobs at an interval unless they subscribe. Here a job is a number that
//! may be lost, so a stream with a consumer group does, and a worker waits in Redis until there is one.

use andon_storage::ports::deliveries::NoticeId;
use andon_storage::redis::Redis;
use andon_storage::redis::jobs::Jobs;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Mutex as AsyncMutex, mpsc, watch};
use tokio::time::Instant;

/// Notices that may lie in the embedded queue. What does not fit comes with the next sweep.
const QUEUED_MAX: usize = 1_024;

#[async_trait::async_trait]
pub trait JobQueue: Send + Sync + 'static {
    /// May drop it: the sweep comes again.
    async fn push(&self, id: NoticeId);
    /// Waits for one. Several workers may wait; each notice goes to one of them.
    async fn next(&self) -> NoticeId;
}

/// The embedded queue: in memory, each notice at most once.
#[derive(Debug)]
pub struct LocalQueue {
    push: mpsc::Sender<NoticeId>,
    next: AsyncMutex<mpsc::Receiver<NoticeId>>,
    queued: Mutex<HashSet<NoticeId>>,
}

impl Default for LocalQueue {
    fn default() -> Self {
        let (push, next) = mpsc::channel(QUEUED_MAX);
        Self {
            push,
            next: AsyncMutex::new(next),
            queued: Mutex::new(HashSet::new()),
        }
    }
}

impl LocalQueue {
    fn queued(&self) -> std::sync::MutexGuard<'_, HashSet<NoticeId>> {
        // A set of hints is as good after a panic as before.
        self.queued.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait::async_trait]
impl JobQueue for LocalQueue {
    async fn push(&self, id: NoticeId) {
        if self.queued().insert(id) && self.push.try_send(id).is_err() {
            self.queued().remove(&id);
        }
    }

    async fn next(&self) -> NoticeId {
        let id = self
            .next
            .lock()
            .await
            .recv()
            .await
            .expect("the sender lives as long as the queue");
        self.queued().remove(&id);
        id
    }
}

/// After a failure, Redis is left alone for this long: a sweep has a thousand notices to say, and each would wait for the time-out.
const LEFT_ALONE: Duration = Duration::from_secs(1);

/// A queue that several notifiers share. What Redis does not take stays in this process.
#[derive(Debug)]
pub struct RedisQueue {
    local: LocalQueue,
    jobs: Arc<Jobs>,
    away_until: Mutex<Option<Instant>>,
    taken: AsyncMutex<mpsc::Receiver<NoticeId>>,
    /// Workers that wait. Only while there are some, a notice is taken out of Redis.
    wanted: watch::Sender<usize>,
    reader: tokio::task::JoinHandle<()>,
}

impl RedisQueue {
    pub fn new(redis: Redis) -> Self {
        let jobs = Arc::new(Jobs::new(redis, "notices"));
        let (give, taken) = mpsc::channel(1);
        let wanted = watch::Sender::new(0);
        let reader = tokio::spawn(read(Arc::clone(&jobs), wanted.subscribe(), give));
        Self {
            local: LocalQueue::default(),
            jobs,
            away_until: Mutex::new(None),
            taken: AsyncMutex::new(taken),
            wanted,
            reader,
        }
    }

    fn away_until(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.away_until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for RedisQueue {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// Takes notices out of Redis, one for each worker that waits. A task of its own: a worker that gives up waiting must not take one along.
async fn read(jobs: Arc<Jobs>, mut wanted: watch::Receiver<usize>, give: mpsc::Sender<NoticeId>) {
    loop {
        // Room first, so that nothing lies here that another process could send.
        let Ok(room) = give.reserve().await else { return };
        if wanted.wait_for(|n| *n > 0).await.is_err() {
            return;
        }
        match jobs.take().await {
            // What is no number was not queued by us.
            Ok(Some(job)) => {
                if let Ok(id) = job.parse() {
                    room.send(id);
                }
            }
            Ok(None) => {}
            Err(e) => {
                tracing::debug!(error = %e, "the queue in Redis cannot be read");
                tokio::time::sleep(LEFT_ALONE).await;
            }
        }
    }
}

/// A worker that waits.
struct Wanted<'a>(&'a watch::Sender<usize>);

impl Drop for Wanted<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|n| *n -= 1);
    }
}

#[async_trait::async_trait]
impl JobQueue for RedisQueue {
    async fn push(&self, id: NoticeId) {
        let away = self.away_until().is_some_and(|until| Instant::now() < until);
        if !away {
            match self.jobs.push(&id.to_string()).await {
                Ok(()) => return,
                Err(e) => {
                    tracing::debug!(error = %e, "the queue in Redis cannot be written");
                    *self.away_until() = Some(Instant::now() + LEFT_ALONE);
                }
            }
        }
        self.local.push(id).await;
    }

    async fn next(&self) -> NoticeId {
        self.wanted.send_modify(|n| *n += 1);
        let _wanted = Wanted(&self.wanted);
        let taken = async {
            let id = self.taken.lock().await.recv().await;
            id.expect("the reader lives as long as the queue")
        };
        tokio::select! {
            id = self.local.next() => id,
            id = taken => id,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_notice_is_queued_once_until_it_is_taken() {
        let queue = LocalQueue::default();
        for id in [1, 2, 1, 2, 3] {
            queue.push(NoticeId(id)).await;
        }
        for want in [1, 2, 3] {
            assert_eq!(queue.next().await, NoticeId(want));
        }
        queue.push(NoticeId(1)).await;
        assert_eq!(queue.next().await, NoticeId(1));
    }

    #[tokio::test]
    async fn a_full_queue_drops_what_the_sweep_brings_again() {
        let queue = LocalQueue::default();
        for id in 0..QUEUED_MAX as u128 + 5 {
            queue.push(NoticeId(id)).await;
        }
        for want in 0..QUEUED_MAX as u128 {
            assert_eq!(queue.next().await, NoticeId(want));
        }
        queue.push(NoticeId(QUEUED_MAX as u128)).await;
        assert_eq!(queue.next().await, NoticeId(QUEUED_MAX as u128));
    }
}
