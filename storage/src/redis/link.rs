//! One connection that comes back for ever, and never lets its callers wait long or pile up.
//!
//! fred reconnects, pipelines and counts time-outs. What is added here: a command is sent at most once (a save must not be repeated
//! behind its caller's back), is refused at once while there is no connection, and a connection that has answered nothing for
//! [`STUCK_AFTER`] is thrown away with everything in it, because fred's router waits for a full socket for as long as the kernel
//! does.

use fred::clients::Client;
use fred::error::{Error, ErrorKind};
use fred::interfaces::{ClientLike, PubsubInterface};
use fred::types::config::{Config, ConnectionConfig, Options, PerformanceConfig, ReconnectPolicy, TcpConfig};
use fred::types::{Builder, ClientState, ClusterHash, CustomCommand, Value};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::Poll;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// Commands and pipelines that may wait for the socket. More are refused: their callers have something better to do than to wait.
const WAITING_MAX: usize = 4_096;
/// How long a connection may take, with TLS and sign-in, and what is asked of the server at start: the time that a busy machine needs.
pub(crate) const START_WITHIN: Duration = Duration::from_secs(10);
/// First, and longest, wait between attempts to connect; each doubles the last and adds up to [`RECONNECT_JITTER_MS`].
const RECONNECT_MIN_MS: u32 = 50;
const RECONNECT_MAX_MS: u32 = 2_000;
const RECONNECT_JITTER_MS: u32 = 250;
/// A connection on which nothing has been answered for so long is replaced.
const STUCK_AFTER: Duration = Duration::from_secs(5);
/// Messages of a subscription that wait for their reader before it has a gap.
const MESSAGES_MAX: usize = 1_024;

/// A command and its arguments.
pub(crate) type Command = (&'static str, Vec<Value>);

#[derive(Debug)]
pub(crate) struct Link {
    shared: Arc<Shared>,
    supervisor: tokio::task::JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    config: Config,
    timeout: Duration,
    client: RwLock<Client>,
    /// Since when nothing is answered.
    silent_since: RwLock<Option<Instant>>,
    replace: Notify,
    /// How often `client` was replaced.
    replaced: watch::Sender<u64>,
}

impl Link {
    /// Connects, and keeps on connecting when that fails later.
    ///
    /// # Errors
    /// What the first attempt said.
    pub(crate) async fn open(config: &Config, timeout: Duration) -> Result<Self, Error> {
        let config = Config {
            fail_fast: true,
            ..config.clone()
        };
        let client = build(&config, timeout)?;
        let task = connect(&client).await?;
        let shared = Arc::new(Shared {
            config: Config {
                fail_fast: false,
                ..config
            },
            timeout,
            client: RwLock::new(client),
            silent_since: RwLock::new(None),
            replace: Notify::new(),
            replaced: watch::Sender::new(0),
        });
        let supervisor = tokio::spawn(supervise(Arc::clone(&shared), task));
        Ok(Self { shared, supervisor })
    }

    pub(crate) fn client(&self) -> Client {
        self.shared.client()
    }

    /// Changes whenever the client is another one: subscriptions have to be made again.
    pub(crate) fn replaced(&self) -> watch::Receiver<u64> {
        self.shared.replaced.subscribe()
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.client().state() == ClientState::Connected
    }

    /// What a command has.
    pub(crate) fn timeout(&self) -> Duration {
        self.shared.timeout
    }

    fn options(&self, timeout: Duration) -> Options {
        Options {
            max_attempts: Some(1),
            timeout: Some(timeout),
            fail_fast: true,
            ..Options::default()
        }
    }

    pub(crate) async fn run(&self, (name, args): Command) -> Result<Value, Error> {
        self.run_within(self.shared.timeout, (name, args)).await
    }

    pub(crate) async fn run_within(&self, timeout: Duration, (name, args): Command) -> Result<Value, Error> {
        let client = self.client().with_options(&self.options(timeout));
        let answer = client
            .custom(CustomCommand::new_static(name, ClusterHash::FirstKey, false), args)
            .await;
        self.shared.note(answer.as_ref().err());
        answer
    }

    /// Sends all of them at once. An answer each, or fewer with an error where the connection failed.
    pub(crate) async fn run_all(&self, commands: Vec<Command>) -> Vec<Result<Value, Error>> {
        self.run_all_within(self.shared.timeout, commands).await
    }

    pub(crate) async fn run_all_within(&self, timeout: Duration, commands: Vec<Command>) -> Vec<Result<Value, Error>> {
        let pipeline = self.client().pipeline();
        let queue = pipeline.with_options(&self.options(timeout));
        for (name, args) in commands {
            let queued: Result<Value, _> = queue
                .custom(CustomCommand::new_static(name, ClusterHash::FirstKey, false), args)
                .await;
            if let Err(e) = queued {
                return vec![Err(e)];
            }
        }
        let answers = pipeline.try_all::<Value>().await;
        // A pipeline that failed as a whole has one answer.
        let answered = answers.iter().any(Result::is_ok);
        let failed = answers.iter().find_map(|a| a.as_ref().err()).filter(|_| !answered);
        self.shared.note(failed);
        answers
    }

    /// Ends the connection.
    pub(crate) async fn close(&self) {
        self.supervisor.abort();
        // It only says goodbye: a server that does not answer is left alone.
        let _ = tokio::time::timeout(Duration::from_millis(200), self.client().quit()).await;
    }

    /// Subscribes this connection, which then takes no other commands but PING. When this returns, the server has heard of it; whether
    /// it allows it, only `PUBSUB NUMSUB` tells, because fred does not hand on that answer.
    pub(crate) async fn subscribe_within(&self, timeout: Duration, channels: Vec<String>) -> Result<(), Error> {
        self.client()
            .with_options(&self.options(timeout))
            .subscribe(channels)
            .await?;
        self.run_within(timeout, ("PING", vec![])).await.map(|_| ())
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.supervisor.abort();
    }
}

impl Shared {
    fn client(&self) -> Client {
        self.client.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Learns from an answer whether the connection still lives.
    fn note(&self, failed: Option<&Error>) {
        use fred::error::ErrorKind::{Backpressure, Timeout};
        let silent = failed.is_some_and(|e| matches!(e.kind(), Timeout | Backpressure));
        let since = *self.silent_since.read().unwrap_or_else(PoisonError::into_inner);
        match (silent, since) {
            (false, None) => {}
            (false, Some(_)) => *self.silent_since.write().unwrap_or_else(PoisonError::into_inner) = None,
            (true, None) => {
                *self.silent_since.write().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
            }
            (true, Some(since)) if since.elapsed() >= STUCK_AFTER => self.replace.notify_one(),
            (true, Some(_)) => {}
        }
    }
}

fn build(config: &Config, timeout: Duration) -> Result<Client, Error> {
    let mut policy = ReconnectPolicy::new_exponential(0, RECONNECT_MIN_MS, RECONNECT_MAX_MS, 2);
    policy.set_jitter(RECONNECT_JITTER_MS);
    Builder::from_config(config.clone())
        .set_policy(policy)
        .set_performance_config(PerformanceConfig {
            default_command_timeout: timeout,
            broadcast_channel_capacity: MESSAGES_MAX,
            ..PerformanceConfig::default()
        })
        .set_connection_config(ConnectionConfig {
            // Both are of connecting alone: the second is of signing in.
            connection_timeout: START_WITHIN,
            internal_command_timeout: START_WITHIN,
            max_command_attempts: 1,
            max_command_buffer_len: WAITING_MAX,
            tcp: TcpConfig {
                nodelay: Some(true),
                ..TcpConfig::default()
            },
            ..ConnectionConfig::default()
        })
        .build()
}

/// Aborts the task when it is dropped: the supervisor itself may be aborted.
struct Owned(fred::types::ConnectHandle);

impl Drop for Owned {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Connects once. The task goes on as long as the connection does.
///
/// fred notifies whoever listens at that moment. A listener that comes after the task was started may come too late, when the machine is
/// busy and the task runs elsewhere, and would wait for a connection that is there until its time is up.
async fn connect(client: &Client) -> Result<Owned, Error> {
    let mut connected = pin!(client.wait_for_connect());
    if let Poll::Ready(early) = poll_fn(|cx| Poll::Ready(connected.as_mut().poll(cx))).await {
        // A client that nobody has connected is not connected.
        return early.and(Err(Error::new(ErrorKind::Unknown, "connected twice")));
    }
    let mut task = Owned(client.connect());
    tokio::select! {
        connected = connected => connected?,
        ended = &mut task.0 => return Err(match ended {
            Ok(Err(e)) => e,
            Ok(Ok(())) => Error::new(ErrorKind::Canceled, "the connection was closed"),
            Err(e) => Error::new(ErrorKind::Unknown, e.to_string()),
        }),
        () = tokio::time::sleep(START_WITHIN) => return Err(Error::new(ErrorKind::Timeout, "no connection")),
    }
    Ok(task)
}

async fn supervise(shared: Arc<Shared>, mut task: Owned) {
    loop {
        tokio::select! {
            // fred has given up: an error that it thinks will not pass.
            _ = &mut task.0 => {}
            () = shared.replace.notified() => {}
        }
        drop(task);
        task = loop {
            tokio::time::sleep(Duration::from_millis(RECONNECT_MIN_MS.into())).await;
            if let Ok(client) = build(&shared.config, shared.timeout) {
                let task = Owned(client.connect());
                *shared.client.write().unwrap_or_else(PoisonError::into_inner) = client;
                *shared.silent_since.write().unwrap_or_else(PoisonError::into_inner) = None;
                shared.replaced.send_modify(|n| *n += 1);
                break task;
            }
        };
    }
}
