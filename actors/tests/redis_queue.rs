//! The queue that several notifiers share, on a real Redis.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../storage/tests/redis/support.rs"]
#[allow(dead_code, reason = "the tests of storage use the rest")]
mod support;

use andon_actors::notifier::{JobQueue, RedisQueue};
use andon_storage::ports::deliveries::NoticeId;
use std::collections::HashSet;
use std::sync::Arc;
use support::{Server, Space};

#[tokio::test]
async fn notifiers_share_the_work_and_each_notice_goes_to_one() {
    let space = Space::new();
    let (done, mut all) = tokio::sync::mpsc::channel(1_000);
    let mut workers = Vec::new();
    let mut queues = Vec::new();
    for _ in 0..2 {
        let queue = Arc::new(RedisQueue::new(space.redis(1).await));
        for _ in 0..3 {
            let (queue, done) = (queue.clone(), done.clone());
            workers.push(tokio::spawn(async move {
                loop {
                    done.send(queue.next().await).await.unwrap();
                }
            }));
        }
        queues.push(queue);
    }
    for id in 0..200 {
        queues[id as usize % 2].push(NoticeId(id)).await;
    }
    let mut seen = HashSet::new();
    while seen.len() < 200 {
        assert!(seen.insert(all.recv().await.unwrap()), "twice");
    }
    workers.iter().for_each(|w| w.abort());
    space.remove().await;
}

#[tokio::test]
async fn a_worker_that_gives_up_waiting_takes_no_notice_along() {
    let space = Space::new();
    let queue = RedisQueue::new(space.redis(1).await);
    for id in 0..50 {
        queue.push(NoticeId(id)).await;
    }
    let mut seen = HashSet::new();
    let mut turns = 0u32;
    while seen.len() < 50 {
        turns += 1;
        tokio::select! {
            biased;
            id = queue.next() => assert!(seen.insert(id), "twice"),
            () = async { for _ in 0..turns % 7 { tokio::task::yield_now().await } } => {}
        }
    }
    space.remove().await;
}

#[tokio::test]
async fn without_redis_notices_stay_in_this_process_and_go_out_all_the_same() {
    let mut server = Server::start(&[]).await;
    let queue = RedisQueue::new(server.redis().await);
    queue.push(NoticeId(1)).await;
    assert_eq!(queue.next().await, NoticeId(1));
    server.freeze();
    for id in 2..500 {
        queue.push(NoticeId(id)).await;
    }
    for want in 2..500 {
        assert_eq!(queue.next().await, NoticeId(want));
    }
    server.thaw();
    server.kill();
    queue.push(NoticeId(600)).await;
    assert_eq!(queue.next().await, NoticeId(600));
    server.run().await;
    // Another notifier sees what this one queues, once Redis is used again.
    let other = RedisQueue::new(server.redis().await);
    let mut id = 1_000;
    loop {
        queue.push(NoticeId(id)).await;
        id += 1;
        let heard = tokio::time::timeout(std::time::Duration::from_millis(50), other.next()).await;
        if heard.is_ok() {
            break;
        }
    }
}
