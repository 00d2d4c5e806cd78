//! Where the state of a device lives: in a ractor actor of its own, or hosted with thousands of others by one of 16 shard actors.
//!
//! Both ways keep the same state for each device (a sliding window of a `count` rule and its newest time) and do the same with a record. Both are
//! told of records by one sender, which has them in messages of 1, 100 and 1,000 as requests bring them, each of a device drawn at
//! random from 10,000 or 100,000. The sender of shards groups a message by shard and sends each group; the sender of devices groups it by
//! device and does so too. A round of 100,000 records ends when the last is in its window. Throughput in records. For 100,000 devices it also
//! prints by how much each way of hosting made the process grow, a device.
//!
//! `cargo bench -p andon-benches --bench hosting`

use andon_benches::{START, criterion, measures, rng, size};
use andon_engine::condition::window::{CountWindow, Mark};
use andon_engine::time::{Span, Timestamp};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use rand::RngExt;
use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::runtime::Runtime;
use tokio::sync::Notify;

const SHARDS: usize = andon_engine::limits::SHARDS;

#[derive(Clone, Copy)]
struct Event {
    device: u32,
    at: Timestamp,
}

/// The state of one device, the same however it is hosted.
#[derive(Default)]
struct Device {
    window: CountWindow,
    newest: Timestamp,
}

impl Device {
    fn observe(&mut self, at: Timestamp) {
        const MINUTE: Span = Span::secs(60);
        self.newest = self.newest.max(at);
        self.window.prune(self.newest, self.newest, MINUTE);
        black_box(self.window.add(at, at, Mark::default(), MINUTE, 5));
    }
}

/// How many records of a round are not in their window yet.
#[derive(Default)]
struct Round {
    open: AtomicUsize,
    closed: Notify,
}

impl Round {
    fn done(&self, records: usize) {
        if self.open.fetch_sub(records, Ordering::AcqRel) == records {
            self.closed.notify_one();
        }
    }
}

/// One device, an actor of its own.
struct Alone;

impl Actor for Alone {
    type Msg = Vec<Event>;
    type State = (Device, Arc<Round>);
    type Arguments = Arc<Round>;

    async fn pre_start(&self, _: ActorRef<Self::Msg>, round: Arc<Round>) -> Result<Self::State, ActorProcessingErr> {
        Ok((Device::default(), round))
    }
    async fn handle(
        &self,
        _: ActorRef<Self::Msg>,
        events: Self::Msg,
        (device, round): &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        for event in &events {
            device.observe(event.at);
        }
        round.done(events.len());
        Ok(())
    }
}

/// Many devices in a map.
struct Shard;

impl Actor for Shard {
    type Msg = Vec<Event>;
    type State = (HashMap<u32, Device>, Arc<Round>);
    type Arguments = Arc<Round>;

    async fn pre_start(&self, _: ActorRef<Self::Msg>, round: Arc<Round>) -> Result<Self::State, ActorProcessingErr> {
        Ok((HashMap::new(), round))
    }
    async fn handle(
        &self,
        _: ActorRef<Self::Msg>,
        events: Self::Msg,
        (devices, round): &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        for event in &events {
            devices.entry(event.device).or_default().observe(event.at);
        }
        round.done(events.len());
        Ok(())
    }
}

/// The actors of one way of hosting; `group_of` an event is the one that has its device.
struct Hosting {
    actors: Vec<ActorRef<Vec<Event>>>,
    round: Arc<Round>,
}

impl Hosting {
    async fn start<A>(actors: usize, actor: impl Fn() -> A) -> Hosting
    where
        A: Actor<Msg = Vec<Event>, Arguments = Arc<Round>>,
    {
        let round = Arc::new(Round::default());
        let mut started = Vec::with_capacity(actors);
        for _ in 0..actors {
            let (actor, _) = Actor::spawn(None, actor(), round.clone())
                .await
                .expect("an actor starts");
            started.push(actor);
        }
        Hosting { actors: started, round }
    }

    fn group_of(&self, event: &Event) -> usize {
        event.device as usize % self.actors.len()
    }

    /// Sends the events in messages of `each`, and waits until all are handled.
    async fn judge(&self, events: &[Event], each: usize) {
        self.round.open.store(events.len(), Ordering::Release);
        let send = |to: usize, group: Vec<Event>| self.actors[to].cast(group).expect("the actor runs");
        if each == 1 {
            for event in events {
                send(self.group_of(event), vec![*event]);
            }
        } else if self.actors.len() == SHARDS {
            for message in events.chunks(each) {
                let mut groups = [const { Vec::new() }; SHARDS];
                for event in message {
                    groups[self.group_of(event)].push(*event);
                }
                for (to, group) in groups.into_iter().enumerate().filter(|(_, g)| !g.is_empty()) {
                    send(to, group);
                }
            }
        } else {
            for message in events.chunks(each) {
                let mut sorted = message.to_vec();
                sorted.sort_by_key(|e| e.device);
                for group in sorted.chunk_by(|a, b| a.device == b.device) {
                    send(self.group_of(&group[0]), group.to_vec());
                }
            }
        }
        self.round.closed.notified().await;
    }

    async fn stop(self) {
        for actor in &self.actors {
            actor.stop(None);
        }
        for actor in self.actors {
            actor.wait(None).await.expect("the actor stops");
        }
    }
}

/// Bytes of this process in memory; `None` where the system does not say it in this way.
fn resident() -> Option<i64> {
    let pages: i64 = std::fs::read_to_string("/proc/self/statm")
        .ok()?
        .split(' ')
        .nth(1)?
        .parse()
        .ok()?;
    Some(pages * 4096)
}

fn hosting(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let per_round = size(100_000, 1_000);
    // The large plant first: its memory is taken anew, while what comes after it may use what was given back.
    let large = size(100_000, 200);
    for devices in [large, size(10_000, 100)] {
        let mut rng = rng();
        // The first round speaks of every device, so that each has its state before anything is measured.
        let everyone: Vec<Event> = (0..devices as u32).map(|device| Event { device, at: START }).collect();
        let mut now = START;
        let mut next_round = move || -> Vec<Event> {
            let event = |_| {
                now = now.plus(Span::micros(100));
                Event {
                    device: rng.random_range(0..devices as u32),
                    at: now,
                }
            };
            (0..per_round).map(event).collect()
        };
        let mut group = c.benchmark_group(format!("hosting/{devices} devices"));
        group.throughput(Throughput::Elements(per_round as u64));
        // The shards first: memory that they give back does then not hide what the actors take.
        for name in ["16 shards", "an actor each"] {
            let before = resident();
            let hosting = runtime.block_on(async {
                let hosting = match name {
                    "16 shards" => Hosting::start(SHARDS, || Shard).await,
                    _ => Hosting::start(devices, || Alone).await,
                };
                hosting.judge(&everyone, 1_000).await;
                hosting
            });
            if measures()
                && devices == large
                && let (Some(before), Some(after)) = (before, resident())
            {
                println!(
                    "hosting/{devices} devices/{name}: {} bytes a device",
                    (after - before) / devices as i64
                );
            }
            let hosting = Arc::new(hosting);
            for each in [1, 100, 1_000] {
                group.bench_function(BenchmarkId::new(name, format!("messages of {each}")), |b| {
                    b.iter_batched(
                        &mut next_round,
                        |events| {
                            let hosting = hosting.clone();
                            // The sender runs where actors do, on a thread of the runtime.
                            runtime
                                .block_on(runtime.spawn(async move { hosting.judge(&events, each).await }))
                                .expect("a round ends");
                        },
                        criterion::BatchSize::PerIteration,
                    );
                });
            }
            let hosting = Arc::into_inner(hosting).expect("the rounds are over");
            runtime.block_on(hosting.stop());
        }
        group.finish();
    }
}

criterion_group! { name = benches; config = criterion(); targets = hosting }
criterion_main!(benches);
