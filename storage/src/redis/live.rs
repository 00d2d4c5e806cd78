//! The live feed between processes: what the gateway process sees, the dashboard process shows and the notifier process tells.
//!
//! Pub/sub keeps nothing, and that is right for a feed: whoever must have everything reads the stores. A publisher never waits: its
//! messages pass through a bounded queue to a task, and what does not fit is dropped and counted. Each message carries the
//! publisher's run and a number of its kind, so that a subscriber knows when something is missing: dropped, lost with a connection, or
//! said by a publisher that was started again.

use super::link::{Link, START_WITHIN};
use super::metrics::LIVE_DROPPED;
use super::{Redis, unavailable};
use crate::ports::Result;
use bytes::Bytes;
use fred::interfaces::EventInterface;
use fred::types::Value;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// Messages that may wait for Redis, and their bytes.
const QUEUED_MAX: usize = 1_024;
const QUEUED_BYTES_MAX: u64 = 16 << 20;
/// A larger message is dropped: Redis would hold it once for every slow subscriber.
pub const MESSAGE_BYTES_MAX: usize = 4 << 20;
/// How many messages go out in one pipeline.
const PIPELINE: usize = 64;
/// How often the publisher looks whether somebody listens to record batches.
const LISTENERS_EVERY: Duration = Duration::from_secs(1);
/// How often a subscriber asks whether its connection still lives: a silent one may only have nothing to say.
const PING_EVERY: Duration = Duration::from_secs(2);
/// Before a subscriber tries to subscribe again.
const RESUBSCRIBE_AFTER: Duration = Duration::from_millis(200);
/// Publishers that a subscriber remembers: one owns a site, and each restart is a new run.
const RUNS_MAX: usize = 64;
/// Run and number before the payload.
const HEADER: usize = 16;

/// What a message is about.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LiveKind {
    /// Batches of records; only sent while somebody listens.
    Records,
    Incidents,
    Status,
    /// There are new alerts. Says no more: they are rows.
    Alerts,
    /// What a notifier could not do, for the log of Andon itself.
    Failures,
}

impl LiveKind {
    pub const ALL: [LiveKind; 5] = [
        LiveKind::Records,
        LiveKind::Incidents,
        LiveKind::Status,
        LiveKind::Alerts,
        LiveKind::Failures,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            LiveKind::Records => "records",
            LiveKind::Incidents => "incidents",
            LiveKind::Status => "status",
            LiveKind::Alerts => "alerts",
            LiveKind::Failures => "failures",
        }
    }
}

/// What a subscriber hears.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LiveEvent {
    Message(LiveKind, Bytes),
    /// Something of this kind may be missing here: read it anew from the stores.
    Gap(LiveKind),
}

#[derive(Debug)]
struct Queued {
    kind: LiveKind,
    number: u64,
    payload: Bytes,
}

#[derive(Debug, Default)]
struct Counts {
    /// Numbers of the next message, by kind.
    next: [AtomicU64; LiveKind::ALL.len()],
    queued_bytes: AtomicU64,
    dropped: AtomicU64,
    /// Somebody listens to record batches.
    wanted: AtomicBool,
}

/// The live feed of a site.
#[derive(Debug)]
pub struct LiveBus {
    redis: Redis,
    queue: mpsc::Sender<Queued>,
    counts: Arc<Counts>,
    wanted: watch::Receiver<bool>,
    worker: tokio::task::JoinHandle<()>,
}

fn channel(redis: &Redis, kind: LiveKind) -> String {
    redis.name(&format!("live:{}", kind.as_str()))
}

impl LiveBus {
    pub fn new(redis: Redis) -> Self {
        let (queue, receiver) = mpsc::channel(QUEUED_MAX);
        let counts = Arc::new(Counts::default());
        let (tell, wanted) = watch::channel(false);
        let worker = tokio::spawn(send(redis.clone(), receiver, Arc::clone(&counts), tell));
        Self {
            redis,
            queue,
            counts,
            wanted,
            worker,
        }
    }

    /// Whether somebody listens to record batches: without, there is no need to prepare them. At most about a second old.
    pub fn records_wanted(&self) -> bool {
        self.counts.wanted.load(Ordering::Relaxed)
    }

    /// Waits until somebody listens to record batches.
    pub async fn until_records_wanted(&self) {
        // The sender lives as long as the worker, hence as `self`.
        let _ = self.wanted.clone().wait_for(|wanted| *wanted).await;
    }

    /// Messages that did not get through so far: Redis was slow or gone, or they were too large.
    pub fn dropped(&self) -> u64 {
        self.counts.dropped.load(Ordering::Relaxed)
    }

    /// Sends a message, or drops it; never waits. Record batches nobody listens to are neither sent nor counted as dropped.
    pub fn publish(&self, kind: LiveKind, payload: Bytes) {
        if kind == LiveKind::Records && !self.records_wanted() {
            return;
        }
        // A number that is not sent is a gap to everybody who listens.
        let number = self.counts.next[kind as usize].fetch_add(1, Ordering::AcqRel);
        let size = payload.len() as u64;
        let fits = payload.len() <= MESSAGE_BYTES_MAX
            && self.counts.queued_bytes.fetch_add(size, Ordering::AcqRel) + size <= QUEUED_BYTES_MAX;
        let message = Queued { kind, number, payload };
        if !fits || self.queue.try_send(message).is_err() {
            if size <= MESSAGE_BYTES_MAX as u64 {
                self.counts.queued_bytes.fetch_sub(size, Ordering::AcqRel);
            }
            self.counts.drop_messages(1);
        }
    }

    /// Listens to `kinds`. The first event of each is a gap: what was said before is for the stores to tell.
    ///
    /// # Errors
    /// `Unavailable`. Once it has begun, it goes on by itself through whatever happens to Redis.
    pub async fn subscribe(&self, kinds: &[LiveKind]) -> Result<LiveFeed> {
        LiveFeed::open(&self.redis, kinds).await
    }
}

impl Drop for LiveBus {
    fn drop(&mut self) {
        self.worker.abort();
    }
}

impl Counts {
    fn drop_messages(&self, n: u64) {
        self.dropped.fetch_add(n, Ordering::Relaxed);
        metrics::counter!(LIVE_DROPPED).increment(n);
    }
}

async fn send(redis: Redis, mut queue: mpsc::Receiver<Queued>, counts: Arc<Counts>, tell: watch::Sender<bool>) {
    let run = rand::random::<u64>();
    let mut look_at = Instant::now();
    let mut batch = Vec::with_capacity(PIPELINE);
    loop {
        tokio::select! {
            biased;
            () = tokio::time::sleep_until(look_at) => {
                let channel = Value::from(channel(&redis, LiveKind::Records));
                let numsub = ("PUBSUB", vec![Value::from_static_str("NUMSUB"), channel]);
                if let Ok(answer) = redis.quick().run(numsub).await {
                    let listeners = answer.into_array().pop().and_then(|n| n.as_u64()).unwrap_or(0);
                    counts.wanted.store(listeners > 0, Ordering::Relaxed);
                    tell.send_if_modified(|wanted| std::mem::replace(wanted, listeners > 0) != (listeners > 0));
                }
                look_at = Instant::now() + LISTENERS_EVERY;
            }
            n = queue.recv_many(&mut batch, PIPELINE) => {
                if n == 0 {
                    return;
                }
                let size: u64 = batch.iter().map(|m| m.payload.len() as u64).sum();
                let commands = batch.drain(..).map(|m| {
                    let mut bytes = Vec::with_capacity(HEADER + m.payload.len());
                    bytes.extend_from_slice(&run.to_be_bytes());
                    bytes.extend_from_slice(&m.number.to_be_bytes());
                    bytes.extend_from_slice(&m.payload);
                    ("PUBLISH", vec![Value::from(channel(&redis, m.kind)), super::bytes(bytes)])
                });
                let answers = redis.quick().run_all(commands.collect()).await;
                counts.queued_bytes.fetch_sub(size, Ordering::AcqRel);
                let sent = answers.iter().filter(|a| a.is_ok()).count();
                if sent < n {
                    counts.drop_messages((n - sent) as u64);
                }
            }
        }
    }
}

/// A subscription. It subscribes again by itself, and says where something may be missing.
#[derive(Debug)]
pub struct LiveFeed {
    link: Arc<Link>,
    kinds: HashMap<String, LiveKind>,
    messages: tokio::sync::broadcast::Receiver<fred::types::Message>,
    reconnected: tokio::sync::broadcast::Receiver<fred::types::config::Server>,
    replaced: watch::Receiver<u64>,
    /// The number that comes next, by kind and run.
    next: HashMap<(LiveKind, u64), u64>,
    runs: VecDeque<(LiveKind, u64)>,
    ready: VecDeque<LiveEvent>,
    subscribed: bool,
    /// A task of its own, so that a reader who gives up waiting does not end it.
    pinger: tokio::task::JoinHandle<()>,
}

impl Drop for LiveFeed {
    fn drop(&mut self) {
        self.pinger.abort();
    }
}

async fn ping(link: Arc<Link>) {
    loop {
        tokio::time::sleep(PING_EVERY).await;
        // A failure is the link's to act on: it replaces what does not answer.
        let _ = link.run(("PING", vec![])).await;
    }
}

impl LiveFeed {
    async fn open(redis: &Redis, kinds: &[LiveKind]) -> Result<Self> {
        let link = Arc::new(redis.another().await?);
        let kinds: HashMap<String, LiveKind> = kinds.iter().map(|k| (channel(redis, *k), *k)).collect();
        let client = link.client();
        let pinger = tokio::spawn(ping(Arc::clone(&link)));
        let mut feed = Self {
            messages: client.message_rx(),
            reconnected: client.reconnect_rx(),
            replaced: link.replaced(),
            link,
            kinds,
            next: HashMap::new(),
            runs: VecDeque::new(),
            ready: VecDeque::new(),
            subscribed: false,
            pinger,
        };
        // Redis has just answered, and the machine may be busy with the start of others.
        feed.subscribe_within(START_WITHIN).await.map_err(unavailable)?;
        Ok(feed)
    }

    async fn subscribe(&mut self) -> std::result::Result<(), fred::error::Error> {
        self.subscribe_within(self.link.timeout()).await
    }

    async fn subscribe_within(&mut self, timeout: Duration) -> std::result::Result<(), fred::error::Error> {
        let channels = self.kinds.keys().cloned().collect();
        self.link.subscribe_within(timeout, channels).await?;
        self.subscribed = true;
        self.gap();
        Ok(())
    }

    /// Nobody knows what was said meanwhile.
    fn gap(&mut self) {
        self.next.clear();
        self.runs.clear();
        for kind in LiveKind::ALL {
            if self.kinds.values().any(|k| *k == kind) {
                self.ready.push_back(LiveEvent::Gap(kind));
            }
        }
    }

    /// The next event; waits for it, for ever if need be. May be dropped at any time without losing one.
    pub async fn next(&mut self) -> LiveEvent {
        use tokio::sync::broadcast::error::RecvError;
        loop {
            if let Some(event) = self.ready.pop_front() {
                return event;
            }
            if !self.subscribed {
                if self.subscribe().await.is_err() {
                    tokio::time::sleep(RESUBSCRIBE_AFTER).await;
                }
                continue;
            }
            tokio::select! {
                biased;
                // Of a client that was replaced, both come at once.
                _ = self.reconnected.recv() => self.begin_again(),
                _ = self.replaced.changed() => self.begin_again(),
                message = self.messages.recv() => match message {
                    Ok(message) => self.take(message),
                    // This subscriber was slow: what it has not read is gone.
                    Err(RecvError::Lagged(_)) => self.gap(),
                    Err(RecvError::Closed) => self.begin_again(),
                },
            }
        }
    }

    /// On whatever client the link has now. What was not read yet is part of the gap.
    fn begin_again(&mut self) {
        self.replaced.mark_unchanged();
        let client = self.link.client();
        self.messages = client.message_rx();
        self.reconnected = client.reconnect_rx();
        self.subscribed = false;
    }

    fn take(&mut self, message: fred::types::Message) {
        let channel: &str = &message.channel;
        let Some(kind) = self.kinds.get(channel).copied() else {
            return;
        };
        let bytes = message.value.into_bytes().unwrap_or_default();
        let word = |at: usize| bytes.get(at..at + 8)?.try_into().ok().map(u64::from_be_bytes);
        let (Some(run), Some(number)) = (word(0), word(8)) else {
            // Nothing of ours; whoever sent it, it is not worth more than a gap.
            self.ready.push_back(LiveEvent::Gap(kind));
            return;
        };
        let following = number.wrapping_add(1);
        match self.next.insert((kind, run), following) {
            Some(expected) if expected == number => {}
            // Twice, or overtaken by itself: nothing of that is new.
            Some(expected) if number < expected => {
                self.next.insert((kind, run), expected);
                return;
            }
            Some(_) => self.ready.push_back(LiveEvent::Gap(kind)),
            None => {
                self.runs.push_back((kind, run));
                if self.runs.len() > RUNS_MAX
                    && let Some(oldest) = self.runs.pop_front()
                {
                    self.next.remove(&oldest);
                }
                // The first word of a publisher that was silent until now is no gap, if it is its first of all.
                if number != 0 && self.runs.iter().filter(|(k, _)| *k == kind).count() > 1 {
                    self.ready.push_back(LiveEvent::Gap(kind));
                }
            }
        }
        self.ready.push_back(LiveEvent::Message(kind, bytes.slice(HEADER..)));
    }
}
