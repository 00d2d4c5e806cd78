//! The server: what it is given, its routes, its connections, and its end.

use crate::export::{export_csv, export_ndjson, tail_ndjson};
use crate::graphql::error::{Code, with_codes};
use crate::graphql::{Executor, Services};
use crate::http::{self, Fault, Names};
use crate::live::LiveFeed;
use crate::live::socket::{Sockets, layer};
use crate::system::System;
use crate::view::status::Status;
use crate::viewer::{KeyLookup, Refusal, Viewer, link_code};
use crate::web::{self, WebApp};
use andon_engine::rule::Configuration;
use andon_engine::time::Clock;
use andon_storage::link_token::LinkTokens;
use andon_storage::ports::deliveries::DeliveryStore;
use andon_storage::ports::fast_state::FastState;
use andon_storage::ports::incidents::IncidentStore;
use andon_storage::ports::log_index::LogIndex;
use andon_storage::ports::rows::RowStore;
use async_graphql::{ServerError, Value};
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// A query with its variables. Records do not come this way.
const QUERY_BYTES_MAX: usize = 1 << 20;
/// From accepting to the end of the request's head.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// A request with a body, until its answer starts.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Connections at a time. A page holds one socket and a few requests.
const CONNECTIONS_MAX: usize = 2_048;
/// What requests in flight get when the server stops.
const STOP_WITHIN: Duration = Duration::from_secs(3);
/// How often the state of the system is looked at for the feed, and how often it is told when it has not changed.
const STATUS_EVERY: Duration = Duration::from_secs(1);
const STATUS_AT_LEAST_EVERY: Duration = Duration::from_secs(5);

/// What the dashboard service works with.
pub struct DashboardArgs {
    /// A loopback address; port 0 takes a free one.
    pub addr: SocketAddr,
    pub incidents: Arc<dyn IncidentStore>,
    pub deliveries: Arc<dyn DeliveryStore>,
    pub rows: Arc<dyn RowStore>,
    pub logs: Arc<dyn LogIndex>,
    /// Recent records and raw readings. Whoever runs the service sees to it that they are fed.
    pub fast: Arc<dyn FastState>,
    pub live: LiveFeed,
    pub system: Arc<dyn System>,
    pub keys: KeyLookup,
    pub links: LinkTokens,
    pub web: WebApp,
    pub clock: Arc<dyn Clock>,
    pub configuration: watch::Receiver<Arc<Configuration>>,
    /// Base of every link: `https://andon.plant.example`.
    pub public_url: Option<String>,
    /// The text of `/metrics`.
    pub metrics: Option<Arc<dyn Fn() -> String + Send + Sync>>,
}

impl fmt::Debug for DashboardArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DashboardArgs({})", self.addr)
    }
}

/// Why the service does not start.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error(
        "the dashboard refuses to listen on {0}: it has no sign-in yet, so anybody on the network could read and acknowledge. \
         Give --dashboard a loopback address, such as 127.0.0.1:7401, and reach it from elsewhere through an SSH tunnel"
    )]
    NotLoopback(SocketAddr),
    #[error("the public URL {0:?} is not an http or https URL with a host")]
    PublicUrl(String),
    #[error("the dashboard cannot listen on {addr}: {source}")]
    Bind { addr: SocketAddr, source: std::io::Error },
}

/// What handlers share.
pub(crate) struct Shared {
    pub(crate) logs: Arc<dyn LogIndex>,
    pub(crate) live: LiveFeed,
    pub(crate) stopping: watch::Receiver<bool>,
    pub(crate) context: Arc<Services>,
    executor: Executor,
    keys: KeyLookup,
    links: LinkTokens,
    names: Names,
    web: WebApp,
    metrics: Option<Arc<dyn Fn() -> String + Send + Sync>>,
}

/// A dashboard service that listens, and serves once it is run.
pub struct Dashboard {
    listener: TcpListener,
    local_addr: SocketAddr,
    router: Router,
    sockets: socketioxide::SocketIo,
    context: Arc<Services>,
    stop: watch::Sender<bool>,
}

impl fmt::Debug for Dashboard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dashboard({})", self.local_addr)
    }
}

impl Dashboard {
    /// Checks what it is given and takes the port.
    pub async fn bind(args: DashboardArgs) -> Result<Self, BindError> {
        if !args.addr.ip().is_loopback() {
            return Err(BindError::NotLoopback(args.addr));
        }
        let names = Names::new(args.public_url.as_deref())
            .ok_or_else(|| BindError::PublicUrl(args.public_url.clone().unwrap_or_default()))?;
        let failed = |source| BindError::Bind {
            addr: args.addr,
            source,
        };
        let listener = TcpListener::bind(args.addr).await.map_err(failed)?;
        let local_addr = listener.local_addr().map_err(failed)?;
        let context = Arc::new(Services {
            incidents: args.incidents,
            deliveries: args.deliveries,
            rows: args.rows,
            logs: args.logs.clone(),
            fast: args.fast,
            live: args.live.clone(),
            system: args.system,
            clock: args.clock,
            configuration: args.configuration.clone(),
        });
        let (socket_layer, sockets) = layer(Sockets {
            feed: args.live.clone(),
            configuration: args.configuration,
            open: Arc::new(AtomicUsize::new(0)),
        });
        let (stop, stopping) = watch::channel(false);
        let shared = Arc::new(Shared {
            logs: args.logs,
            live: args.live,
            stopping,
            executor: Executor::new(context.clone()),
            context: context.clone(),
            keys: args.keys,
            links: args.links,
            names,
            web: args.web,
            metrics: args.metrics,
        });
        // From the inside out: routes, Socket.IO (which takes its own path), then what holds for every request.
        let router = Router::new()
            .route("/graphql", post(graphql).layer(DefaultBodyLimit::max(QUERY_BYTES_MAX)))
            .route("/export.ndjson", get(export_ndjson))
            .route("/export.csv", get(export_csv))
            .route("/tail.ndjson", get(tail_ndjson))
            .route("/health/live", get(async || "ok\n"))
            .route("/health/ready", get(ready))
            .route("/metrics", get(metrics))
            .method_not_allowed_fallback(async || {
                Fault::new(
                    StatusCode::METHOD_NOT_ALLOWED,
                    "METHOD_NOT_ALLOWED",
                    "this address takes another method",
                )
            })
            .fallback(files)
            .layer(socket_layer)
            .layer(from_fn_with_state(shared.clone(), guard))
            .with_state(shared);
        Ok(Self {
            listener,
            local_addr,
            router,
            sockets,
            context,
            stop,
        })
    }

    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Serves until `shutdown` completes; then accepts no more, closes sockets and tails, and gives requests in flight 3 s.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) {
        let mut tasks = JoinSet::new();
        let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let stopping = self.stop.subscribe();
        tasks.spawn(report_status(self.context, stopping.clone()));
        tokio::pin!(shutdown);
        loop {
            let accepted = tokio::select! {
                () = &mut shutdown => break,
                Some(_) = tasks.join_next() => continue,
                accepted = accept(&self.listener, &permits) => accepted,
            };
            match accepted {
                Ok((stream, permit)) => {
                    let connection = serve(stream, self.router.clone(), stopping.clone());
                    tasks.spawn(async move {
                        connection.await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    // Out of file descriptors, mostly. Trying at once again would only burn a core.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        drop(self.listener);
        self.stop.send_replace(true);
        let finish = async {
            self.sockets.close().await;
            while tasks.join_next().await.is_some() {}
        };
        if tokio::time::timeout(STOP_WITHIN, finish).await.is_err() {
            tracing::warn!(left = tasks.len(), "connections did not end in time and are cut");
        }
        // Dropping the set aborts what is left of it.
    }
}

type Permit = tokio::sync::OwnedSemaphorePermit;

async fn accept(listener: &TcpListener, permits: &Arc<Semaphore>) -> std::io::Result<(TcpStream, Permit)> {
    // The permit first: past the limit new connections wait in the system's queue.
    let permit = permits.clone().acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    // Without it an answer may wait for the reader's acknowledgement; an error only costs that time.
    let _ = stream.set_nodelay(true);
    Ok((stream, permit))
}

async fn serve(stream: TcpStream, router: Router, mut stopping: watch::Receiver<bool>) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .with_upgrades();
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = stopped(&mut stopping) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // A client that went away or spoke no HTTP: nobody here has to act.
        tracing::debug!(%error, "a connection ended");
    }
}

/// Completes when the server stops.
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // An error means that the server is gone, which is the same.
    let _ = stopping.wait_for(|s| *s).await;
}

/// Looks at the system once a second and tells the feed what changed.
async fn report_status(context: Arc<Services>, mut stopping: watch::Receiver<bool>) {
    let mut tick = tokio::time::interval(STATUS_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut told: Option<(Status, tokio::time::Instant)> = None;
    loop {
        let wanted = tokio::select! {
            () = stopped(&mut stopping) => return,
            _ = tick.tick() => false,
            () = context.live.status_wanted() => true,
        };
        let open = match context.incidents.count_open().await {
            Ok(open) => open,
            Err(error) => {
                tracing::debug!(%error, "open incidents could not be counted");
                continue;
            }
        };
        let status = Status::new(
            context.system.status(),
            &context.configuration(),
            open,
            context.clock.now(),
        );
        let due = wanted
            || told
                .as_ref()
                .is_none_or(|(last, at)| at.elapsed() >= STATUS_AT_LEAST_EVERY || !last.says_the_same_as(&status));
        if due {
            told = Some((status.clone(), tokio::time::Instant::now()));
            context.live.publish_status(status);
        }
    }
}

/// What holds for every request: our own name, no other site's page, a right key, an end in time, safe headers.
async fn guard(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let graphql = request.uri().path() == "/graphql";
    let has_body = *request.method() == Method::POST;
    let checked = match shared.names.check(request.method(), request.uri(), request.headers()) {
        Ok(()) => match viewer(&shared, request.headers()) {
            Ok(viewer) => narrowed(viewer, request.uri().path()).map_err(Fault::into_response),
            Err(refusal) => Err(refused(refusal, graphql)),
        },
        Err(fault) => Err(fault.into_response()),
    };
    let mut response = match checked {
        Err(response) => response,
        Ok(viewer) => {
            let mut request = request;
            request.extensions_mut().insert(viewer);
            if has_body {
                match tokio::time::timeout(ANSWER_WITHIN, next.run(request)).await {
                    Ok(response) => response,
                    Err(_) => {
                        Fault::new(StatusCode::REQUEST_TIMEOUT, "TIMEOUT", "the request took too long").into_response()
                    }
                }
            } else {
                next.run(request).await
            }
        }
    };
    http::secure(&mut response);
    response
}

fn viewer(shared: &Shared, headers: &HeaderMap) -> Result<Viewer, Refusal> {
    let configuration = shared.context.configuration();
    Viewer::of(
        headers,
        &shared.keys,
        &shared.links,
        &configuration,
        shared.context.clock.now(),
    )
}

/// A link is a way to its incident, by GraphQL, and to nothing else that holds data.
fn narrowed(viewer: Viewer, path: &str) -> Result<Viewer, Fault> {
    let data = ["/export.", "/tail.", "/socket.io"].iter().any(|p| path.starts_with(p));
    match &viewer {
        Viewer::Link { .. } if data => Err(Fault::forbidden("this link shows one incident only")),
        Viewer::BadLink(e) if data => Err(Fault::new(
            StatusCode::UNAUTHORIZED,
            link_code(*e).as_str(),
            e.to_string(),
        )),
        _ => Ok(viewer),
    }
}

fn refused(refusal: Refusal, graphql: bool) -> Response {
    let (status, code) = match refusal {
        Refusal::UnknownKey => (StatusCode::UNAUTHORIZED, Code::Unauthenticated),
        Refusal::Scope => (StatusCode::FORBIDDEN, Code::Forbidden),
    };
    let mut response = if graphql {
        let body = json!({ "errors": [{ "message": refusal.to_string(), "extensions": { "code": code.as_str() } }] });
        (status, Json(body)).into_response()
    } else {
        Fault::new(status, code.as_str(), refusal.to_string()).into_response()
    };
    if status == StatusCode::UNAUTHORIZED {
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
    }
    response
}

async fn graphql(
    State(shared): State<Arc<Shared>>,
    axum::Extension(viewer): axum::Extension<Viewer>,
    headers: HeaderMap,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Response {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default();
    // A form of another site can send no JSON without asking first.
    if !kind
        .split(';')
        .next()
        .is_some_and(|k| k.trim().eq_ignore_ascii_case("application/json"))
    {
        let message = "send Content-Type: application/json";
        return Fault::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", message).into_response();
    }
    let body = match body {
        Ok(body) => body,
        Err(e) if e.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            let message = format!("a query has at most {QUERY_BYTES_MAX} bytes");
            return Fault::new(e.status(), "TOO_LARGE", message).into_response();
        }
        Err(_) => return Fault::bad_input("the body could not be read").into_response(),
    };
    // An array would be read as the members of a request in their order.
    let object = if body.trim_ascii_start().starts_with(b"{") {
        &body[..]
    } else {
        b""
    };
    let response = match serde_json::from_slice::<async_graphql::Request>(object) {
        Ok(request) => shared.executor.execute(request, viewer).await,
        Err(e) => {
            let mut error = ServerError::new(format!("the body is no GraphQL request: {e}"), None);
            let mut extensions = async_graphql::ErrorExtensionValues::default();
            extensions.set("code", Value::from(Code::BadInput.as_str()));
            error.extensions = Some(extensions);
            return (
                StatusCode::BAD_REQUEST,
                Json(with_codes(async_graphql::Response::from_errors(vec![error]))),
            )
                .into_response();
        }
    };
    Json(response).into_response()
}

async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    match shared.context.system.not_ready() {
        None => Json(json!({ "ready": true })).into_response(),
        Some(reason) => (
            StatusCode::SERVICE_UNAVAILABLE,
            Json(json!({ "ready": false, "reason": reason })),
        )
            .into_response(),
    }
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    match &shared.metrics {
        Some(render) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], render()).into_response(),
        None => Fault::new(StatusCode::NOT_FOUND, "NOT_FOUND", "metrics are not wired").into_response(),
    }
}

async fn files(State(shared): State<Arc<Shared>>, request: axum::http::Request<Body>) -> Response {
    web::serve(&shared.web, request).await
}
