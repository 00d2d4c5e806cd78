//! The queue of messages to send: hints, not truth.
//!
//! The rows of notices with their due times and claims are the durable queue. A job queue beside them may lose what it holds, or
//! hand out a notice twice: the sweep pushes what is unfinished again, and a claim is given once. So the embedded queue is memory
//! with a bound, and one on Redis (a list, popped blocking) fits the same two calls.
//!
//! apalis-sqlite 1.0 was looked at for this. It keeps its jobs in a table of its own, with states, attempts, locks and migrations of
//! its own, stamped by the database's clock: a second truth beside the delivery rows that could disagree with them after a crash, in
//! a transaction that is not theirs, and with a time that tests cannot own. The claim of a notice is one conditional update
//! in the transaction that decides about its deliveries; a second table adds nothing to that.

use andon_storage::ports::deliveries::NoticeId;
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use tokio::sync::{Mutex as AsyncMutex, mpsc};

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
