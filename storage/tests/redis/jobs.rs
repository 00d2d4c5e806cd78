//! The queue of hints: each job goes to one taker, and is queued once.

use crate::support::{Server, Space, send};
use andon_storage::ports::StoreError;
use andon_storage::redis::jobs::{Jobs, QUEUED_MAX};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

/// Waits for the next job.
async fn next(jobs: &Jobs) -> String {
    loop {
        if let Some(job) = jobs.take().await.unwrap() {
            return job;
        }
    }
}

#[tokio::test]
async fn each_job_goes_to_one_of_several_processes() {
    let space = Space::new();
    let (done, mut all) = tokio::sync::mpsc::channel(1_000);
    let mut workers = Vec::new();
    for worker in 0..3 {
        let (redis, done) = (space.redis(1).await, done.clone());
        workers.push(tokio::spawn(async move {
            let jobs = Jobs::new(redis, "test");
            loop {
                done.send((worker, next(&jobs).await)).await.unwrap();
            }
        }));
    }
    let jobs = Jobs::new(space.redis(1).await, "test");
    for n in 0..500 {
        jobs.push(&n.to_string()).await.unwrap();
    }
    let mut seen = HashSet::new();
    let mut busy = HashSet::new();
    while seen.len() < 500 {
        let (worker, job) = all.recv().await.unwrap();
        assert!(seen.insert(job), "twice");
        busy.insert(worker);
    }
    assert_eq!(busy.len(), 3);
    workers.iter().for_each(|w| w.abort());
    // What is done leaves nothing but the stream and its group.
    assert_eq!(space.keys().await, [format!("{}:00000001:jobs:test", space.namespace)]);
    space.remove().await;
}

#[tokio::test]
async fn a_job_is_queued_once_until_it_is_taken() {
    let space = Space::new();
    let jobs = Jobs::new(space.redis(1).await, "test");
    assert_eq!(jobs.take().await.unwrap(), None);
    for job in ["1", "2", "1", "2", "3"] {
        jobs.push(job).await.unwrap();
    }
    for want in ["1", "2", "3"] {
        assert_eq!(next(&jobs).await, want);
    }
    assert_eq!(jobs.take().await.unwrap(), None);
    jobs.push("1").await.unwrap();
    assert_eq!(next(&jobs).await, "1");
    space.remove().await;
}

#[tokio::test]
async fn what_a_dead_process_was_given_goes_to_another() {
    let space = Space::new();
    let jobs = Jobs::new(space.redis(1).await, "test").abandoned_after(Duration::from_millis(1));
    assert_eq!(jobs.take().await.unwrap(), None);
    jobs.push("7").await.unwrap();
    // A process that ends between being given a job and taking it.
    let raw = space.raw().await;
    let stream = format!("{}:00000001:jobs:test", space.namespace);
    let given = send(&raw, "XREADGROUP", &["GROUP", "workers", "dead", "STREAMS", &stream, ">"]).await;
    assert!(!given.is_null());
    assert_eq!(next(&jobs).await, "7");
    assert_eq!(jobs.take().await.unwrap(), None);
    space.remove().await;
}

#[tokio::test]
async fn a_full_queue_drops_what_the_sweep_brings_again() {
    let space = Space::new();
    let jobs = Arc::new(Jobs::new(space.redis(1).await, "test"));
    let pushes = (0..QUEUED_MAX + 5).map(|n| {
        let jobs = jobs.clone();
        async move { jobs.push(&n.to_string()).await.unwrap() }
    });
    for push in pushes {
        push.await;
    }
    let raw = space.raw().await;
    let stream = format!("{}:00000001:jobs:test", space.namespace);
    assert_eq!(send(&raw, "XLEN", &[&stream]).await.as_u64(), Some(QUEUED_MAX));
    assert_eq!(next(&jobs).await, "0");
    jobs.push(&QUEUED_MAX.to_string()).await.unwrap();
    assert_eq!(send(&raw, "XLEN", &[&stream]).await.as_u64(), Some(QUEUED_MAX));
    space.remove().await;
}

#[tokio::test]
async fn an_emptied_or_frozen_server_is_told_and_used_again() {
    let server = Server::start(&[]).await;
    let jobs = Jobs::new(server.redis().await, "test");
    jobs.push("1").await.unwrap();
    assert_eq!(next(&jobs).await, "1");
    jobs.push("2").await.unwrap();
    server.send("FLUSHALL", &[]).await;
    assert_eq!(jobs.take().await.unwrap(), None);
    jobs.push("2").await.unwrap();
    assert_eq!(next(&jobs).await, "2");
    server.freeze();
    assert!(matches!(jobs.push("3").await, Err(StoreError::Unavailable { .. })));
    assert!(matches!(jobs.take().await, Err(StoreError::Unavailable { .. })));
    server.thaw();
    while jobs.push("4").await.is_err() {
        tokio::task::yield_now().await;
    }
    loop {
        // The job that was pushed while nobody answered may have arrived.
        match jobs.take().await {
            Ok(Some(job)) if job == "4" => break,
            Ok(Some(job)) => assert_eq!(job, "3"),
            Ok(None) | Err(StoreError::Unavailable { .. }) => {}
            Err(e) => panic!("{e}"),
        }
    }
}
