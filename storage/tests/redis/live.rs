//! The live feed: what is said is heard in order, and what is missing is known to be.

use crate::support::{Server, Space};
use andon_storage::redis::live::{LiveBus, LiveEvent, LiveFeed, LiveKind, MESSAGE_BYTES_MAX};
use bytes::Bytes;

fn message(kind: LiveKind, n: u32) -> LiveEvent {
    LiveEvent::Message(kind, Bytes::from(n.to_be_bytes().to_vec()))
}

fn say(bus: &LiveBus, kind: LiveKind, n: u32) {
    bus.publish(kind, Bytes::from(n.to_be_bytes().to_vec()));
}

/// A feed that has said its first gaps.
async fn listen(bus: &LiveBus, kinds: &[LiveKind]) -> LiveFeed {
    let mut feed = bus.subscribe(kinds).await.unwrap();
    for _ in kinds {
        assert!(matches!(feed.next().await, LiveEvent::Gap(_)));
    }
    feed
}

#[tokio::test]
async fn what_is_said_is_heard_in_order_by_every_process() {
    let space = Space::new();
    let (one, two) = (LiveBus::new(space.redis(1).await), LiveBus::new(space.redis(1).await));
    let other_site = LiveBus::new(space.redis(2).await);
    let mut feeds = [listen(&one, &[LiveKind::Incidents, LiveKind::Status]).await, listen(&two, &[LiveKind::Incidents]).await];
    let mut elsewhere = listen(&other_site, &[LiveKind::Status]).await;
    for n in 0..500 {
        say(&one, LiveKind::Incidents, n);
        tokio::task::yield_now().await;
    }
    say(&one, LiveKind::Status, 7);
    for feed in &mut feeds {
        for n in 0..500 {
            assert_eq!(feed.next().await, message(LiveKind::Incidents, n));
        }
    }
    assert_eq!(feeds[0].next().await, message(LiveKind::Status, 7));
    say(&other_site, LiveKind::Status, 9);
    assert_eq!(elsewhere.next().await, message(LiveKind::Status, 9));
    assert_eq!(one.dropped(), 0);
}

#[tokio::test]
async fn batches_of_records_are_sent_only_while_somebody_listens() {
    let space = Space::new();
    let bus = LiveBus::new(space.redis(1).await);
    assert!(!bus.records_wanted());
    say(&bus, LiveKind::Records, 1);
    let mut feed = listen(&bus, &[LiveKind::Records]).await;
    bus.until_records_wanted().await;
    say(&bus, LiveKind::Records, 2);
    assert_eq!(feed.next().await, message(LiveKind::Records, 2));
    drop(feed);
    while bus.records_wanted() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn what_is_too_large_or_too_much_is_dropped_counted_and_a_gap() {
    let space = Space::new();
    let bus = LiveBus::new(space.redis(1).await);
    let mut feed = listen(&bus, &[LiveKind::Status]).await;
    say(&bus, LiveKind::Status, 1);
    bus.publish(LiveKind::Status, Bytes::from(vec![0; MESSAGE_BYTES_MAX + 1]));
    say(&bus, LiveKind::Status, 2);
    assert_eq!(bus.dropped(), 1);
    assert_eq!(feed.next().await, message(LiveKind::Status, 1));
    assert_eq!(feed.next().await, LiveEvent::Gap(LiveKind::Status));
    assert_eq!(feed.next().await, message(LiveKind::Status, 2));
    // Nothing runs between these: the queue is all the room there is.
    for n in 0..5_000 {
        say(&bus, LiveKind::Status, n);
    }
    let dropped = bus.dropped() - 1;
    assert!(dropped > 0 && dropped < 5_000, "{dropped}");
    let kept = 5_000 - dropped as u32;
    for n in 0..kept {
        assert_eq!(feed.next().await, message(LiveKind::Status, n));
    }
    say(&bus, LiveKind::Status, 9_999);
    assert_eq!(feed.next().await, LiveEvent::Gap(LiveKind::Status));
    assert_eq!(feed.next().await, message(LiveKind::Status, 9_999));
    // Bytes count too: 16 MiB may wait.
    let before = bus.dropped();
    for _ in 0..6 {
        bus.publish(LiveKind::Status, Bytes::from(vec![0; MESSAGE_BYTES_MAX]));
    }
    assert_eq!(bus.dropped() - before, 2);
}

#[tokio::test]
async fn a_server_that_goes_and_comes_back_is_a_gap_and_no_more() {
    let mut server = Server::start(&[]).await;
    let bus = LiveBus::new(server.redis().await);
    let mut feed = listen(&bus, &[LiveKind::Incidents]).await;
    say(&bus, LiveKind::Incidents, 1);
    assert_eq!(feed.next().await, message(LiveKind::Incidents, 1));
    server.kill();
    say(&bus, LiveKind::Incidents, 2);
    server.run().await;
    assert_eq!(feed.next().await, LiveEvent::Gap(LiveKind::Incidents));
    // The publisher's own connection comes back in its own time.
    let mut n = 3;
    let heard = loop {
        say(&bus, LiveKind::Incidents, n);
        n += 1;
        if let Ok(event) = tokio::time::timeout(std::time::Duration::from_millis(20), feed.next()).await {
            break event;
        }
    };
    assert!(matches!(heard, LiveEvent::Message(LiveKind::Incidents, _)), "{heard:?}");
    // A publisher that is started again begins at nought: no gap.
    let again = LiveBus::new(server.redis().await);
    say(&again, LiveKind::Incidents, 1_000_000);
    while feed.next().await != message(LiveKind::Incidents, 1_000_000) {}
}

#[tokio::test]
async fn a_frozen_server_keeps_no_publisher_waiting() {
    let server = Server::start(&[]).await;
    let bus = LiveBus::new(server.redis().await);
    let mut feed = listen(&bus, &[LiveKind::Status]).await;
    server.freeze();
    for n in 0..10_000 {
        say(&bus, LiveKind::Status, n);
    }
    assert!(bus.dropped() > 0);
    server.thaw();
    say(&bus, LiveKind::Status, 1);
    assert!(matches!(feed.next().await, LiveEvent::Message(LiveKind::Status, _)));
}

#[tokio::test]
async fn strangers_on_the_channel_are_a_gap() {
    let space = Space::new();
    let bus = LiveBus::new(space.redis(1).await);
    let mut feed = listen(&bus, &[LiveKind::Status]).await;
    let raw = space.raw().await;
    let channel = format!("{}:00000001:live:status", space.namespace);
    for text in ["", "short", "fifteen bytes.."] {
        crate::support::send(&raw, "PUBLISH", &[&channel, text]).await;
        assert_eq!(feed.next().await, LiveEvent::Gap(LiveKind::Status));
    }
}
