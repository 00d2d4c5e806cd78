//! The listening socket, its connections, and how they end.

use andon_engine::intake::Idempotency;
use andon_engine::time::{Clock, Timestamp};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admission::{Limiter, Pool};
use crate::config::{
    CONNECTION_WINDOW_BYTES, Config, HEAD_BYTES_MAX, HEADER_LIST_BYTES_MAX, STREAM_WINDOW_BYTES, STREAMS_MAX,
};
use crate::look_up::LookUps;
use crate::metrics::CONNECTIONS_CLOSED;
use crate::peers::{NoPlace, Peers, Place};
use crate::ports::{Intake, Keys, Notes, SharedRates};
use crate::request::{MetricsHook, ReadyHook, Shared, handle};
use crate::retry::Retries;
use crate::unknown::Unknown;
use crate::wire::{Connection, Overdue, Watched};

/// After an accept that failed for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// For an HTTP/2 peer to take note that its idle connection ends.
const GOODBYE: Duration = Duration::from_secs(1);
/// What a connection beyond the limit is told, as far as its socket takes it at once.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: 76\r\n\r\n{\"error\":{\"code\":\"connections\",\"message\":\"too many connections: try again\"}}";

/// The ingest server, bound and not yet serving.
pub struct Gateway {
    listener: TcpListener,
    local_addr: SocketAddr,
    shared: Shared,
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway")
            .field("addr", &self.local_addr)
            .finish_non_exhaustive()
    }
}

/// How the server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped {
    /// Connections that had not finished their requests by the stop deadline and were cut.
    pub cut: usize,
}

impl Gateway {
    /// Binds the address. Requests wait in the kernel until [`Gateway::run`].
    pub async fn bind(
        config: Config,
        intake: Arc<dyn Intake>,
        keys: Arc<dyn Keys>,
        clock: Arc<dyn Clock>,
    ) -> io::Result<Gateway> {
        let listener = TcpListener::bind(config.addr).await?;
        let local_addr = listener.local_addr()?;
        let shared = Shared {
            pool: Pool::new(config.in_flight_bytes, config.body_bytes_max),
            config,
            intake,
            keys,
            look_ups: LookUps::default(),
            clock,
            rates: Limiter::default(),
            retries: Arc::new(Retries::default()),
            unknown: Unknown::default(),
            notes: None,
            commits: TaskTracker::new(),
            stopping: AtomicBool::new(false),
            metrics: None,
            ready: None,
        };
        Ok(Gateway {
            listener,
            local_addr,
            shared,
        })
    }

    /// Serves `GET /metrics` from this.
    pub fn with_metrics(mut self, hook: MetricsHook) -> Self {
        self.shared.metrics = Some(hook);
        self
    }

    /// Asks this, too, for `GET /health/ready`.
    pub fn with_ready(mut self, hook: ReadyHook) -> Self {
        self.shared.ready = Some(hook);
        self
    }

    /// Tells this what an administrator should know of.
    pub fn with_notes(mut self, notes: Arc<dyn Notes>) -> Self {
        self.shared.notes = Some(notes);
        self
    }

    /// Shares the rates of keys with other gateways.
    pub fn with_shared_rates(mut self, rates: Arc<dyn SharedRates>) -> Self {
        self.shared.rates.share(rates);
        self
    }

    /// Counts here what is turned away because everything is taken: bodies for which there is no memory, connections for which there is no
    /// place. What a sender has more than its share of is not counted.
    pub fn with_refused(mut self, refused: Arc<AtomicU64>) -> Self {
        self.shared.pool.refused = refused;
        self
    }

    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Takes in the retry hashes and keyed answers of past entries, oldest first. Before [`Gateway::run`], so that no retry slips through.
    pub fn restore_retries(&self, entries: impl IntoIterator<Item = (Timestamp, Vec<u128>, Option<Idempotency>)>) {
        self.shared.retries.restore(entries);
    }

    /// Serves until `shutdown` resolves. Then: unready, no new connections, new requests answered 503; requests that run may finish
    /// within the stop deadline; what is left is cut. When it returns nothing more is appended by a request that was not cut.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Stopped {
        let Gateway { listener, shared, .. } = self;
        let shared = Arc::new(shared);
        let peers = Peers::new(shared.config.connections_max);
        let connections = TaskTracker::new();
        let (stop, cut) = (CancellationToken::new(), CancellationToken::new());
        let builder = Arc::new(builder(&shared.config));
        let mut shutdown = pin!(shutdown);
        loop {
            let accepted = tokio::select! {
                biased;
                () = &mut shutdown => break,
                accepted = listener.accept() => accepted,
            };
            let (stream, address) = match accepted {
                Ok(accepted) => accepted,
                Err(e) => {
                    // The peer's reset is its own affair; want of descriptors passes.
                    if e.kind() != io::ErrorKind::ConnectionAborted && e.kind() != io::ErrorKind::ConnectionReset {
                        tracing::warn!(error = %e, "accepting a connection failed");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                    continue;
                }
            };
            let place = match peers.admit(address.ip()) {
                Ok(place) => place,
                Err(why) => {
                    if why == NoPlace::Full {
                        shared.pool.refused.fetch_add(1, Ordering::Relaxed);
                    }
                    closed(match why {
                        NoPlace::Full => "full",
                        NoPlace::Share => "peer",
                    });
                    // As much as the socket takes now: waiting would be one more thing to hold.
                    let _ = stream.try_write(FULL);
                    continue;
                }
            };
            let task = Driver {
                shared: Arc::clone(&shared),
                builder: Arc::clone(&builder),
                stop: stop.clone(),
                cut: cut.clone(),
            };
            connections.spawn(task.drive(stream, place));
        }
        shared.stopping.store(true, Ordering::SeqCst);
        drop(listener);
        stop.cancel();
        connections.close();
        shared.commits.close();
        let finished = async {
            connections.wait().await;
            shared.commits.wait().await;
        };
        if tokio::time::timeout(shared.config.stop_deadline, finished)
            .await
            .is_ok()
        {
            return Stopped { cut: 0 };
        }
        let left = connections.len();
        tracing::warn!(connections = left, "requests did not finish in time and are cut");
        cut.cancel();
        connections.wait().await;
        Stopped { cut: left }
    }
}

fn closed(reason: &'static str) {
    metrics::counter!(CONNECTIONS_CLOSED, "reason" => reason).increment(1);
}

fn builder(config: &Config) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // The watchdog keeps the exact deadlines; this one holds should it be wrong.
        .header_read_timeout(config.idle_deadline.max(config.header_deadline))
        .max_buf_size(HEAD_BYTES_MAX)
        .half_close(false);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEADER_LIST_BYTES_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
    builder
}

struct Driver {
    shared: Arc<Shared>,
    builder: Arc<auto::Builder<TokioExecutor>>,
    stop: CancellationToken,
    cut: CancellationToken,
}

impl Driver {
    async fn drive(self, stream: TcpStream, place: Place) {
        // Small answers should not wait for more.
        let _ = stream.set_nodelay(true);
        let state = Arc::new(Connection::new(place));
        let io = TokioIo::new(Watched::new(stream, Arc::clone(&state)));
        let service = service_fn(|request| {
            let reply = handle(Arc::clone(&self.shared), Arc::clone(&state), request);
            async move { Ok::<_, Infallible>(reply.await) }
        });
        let mut connection = pin!(self.builder.serve_connection(io, service));
        let config = &self.shared.config;
        let mut overdue = pin!(state.overdue(config.header_deadline, config.idle_deadline));
        let mut stopping = false;
        loop {
            tokio::select! {
                done = connection.as_mut() => {
                    if let Err(e) = done {
                        tracing::debug!(error = %e, "connection ended");
                    }
                    return;
                }
                why = &mut overdue => {
                    closed(match why {
                        Overdue::Header => "header",
                        Overdue::Idle => "idle",
                    });
                    if state.is_http2() {
                        connection.as_mut().graceful_shutdown();
                        let _ = tokio::time::timeout(GOODBYE, connection.as_mut()).await;
                    }
                    return;
                }
                () = self.stop.cancelled(), if !stopping => {
                    stopping = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = self.cut.cancelled() => return,
            }
        }
    }
}
