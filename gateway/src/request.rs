//! One request, from its head to its answer. [`ingest`] is the list of what happens to a batch, in order.

use andon_engine::batch::{Batch, BatchBuilder};
use andon_engine::ids::JournalId;
use andon_engine::intake::{Idempotency, Rejected};
use andon_engine::time::{Clock, Timestamp};
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{
    AUTHORIZATION, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST, HeaderMap, HeaderName,
    HeaderValue, TRANSFER_ENCODING,
};
use hyper::{Method, Request, StatusCode, Version};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128_with_seed};

use crate::admission::{Limiter, Permit, Pool};
use crate::answer::{self, Refused, Reply};
use crate::body::{self, BodyError, Encoding};
use crate::config::{Config, IDEMPOTENCY_KEY_BYTES_MAX};
use crate::decode::{DecodeError, DecodeOptions, Decoded, Decoder, Format, excerpt};
use crate::look_up::LookUps;
use crate::metrics::{
    HTTP_REQUEST_SECONDS, HTTP_REQUESTS, READINGS_LEFT_OUT, RECORDS_ACCEPTED, RECORDS_DUPLICATE, RECORDS_REJECTED,
    RETRY_WINDOW_SECONDS,
};
use crate::ports::{Grant, Intake, IntakeEntry, IntakeError, Keys, Notes};
use crate::retry::{Answer, Attempt, Claim, Retries};
use crate::unknown::Unknown;
use crate::wire::Connection;

/// Keeps the hash of a request's key apart from that of a record's id of the same text.
const REQUEST_SEED: u64 = 0x5245_5155_4553_5431;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const ANDON_HISTORY: HeaderName = HeaderName::from_static("andon-history");

/// Text of `GET /metrics`.
pub type MetricsHook = Arc<dyn Fn() -> String + Send + Sync>;
/// Whether the service as a whole is ready, or why not.
pub type ReadyHook = Arc<dyn Fn() -> Result<Option<String>, String> + Send + Sync>;

/// What all requests share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) intake: Arc<dyn Intake>,
    pub(crate) keys: Arc<dyn Keys>,
    pub(crate) look_ups: LookUps,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) pool: Pool,
    pub(crate) rates: Limiter,
    pub(crate) retries: Arc<Retries>,
    pub(crate) unknown: Unknown,
    pub(crate) notes: Option<Arc<dyn Notes>>,
    /// Appends outlive the connection that asked for them.
    pub(crate) commits: TaskTracker,
    pub(crate) stopping: AtomicBool,
    pub(crate) metrics: Option<MetricsHook>,
    pub(crate) ready: Option<ReadyHook>,
}

/// Answers one request, and counts it.
pub(crate) async fn handle(shared: Arc<Shared>, connection: Arc<Connection>, request: Request<Incoming>) -> Reply {
    let _running = connection.request();
    let began = Instant::now();
    let reply = route(&shared, &connection, request).await;
    metrics::counter!(HTTP_REQUESTS, "status" => reply.status().as_str().to_owned()).increment(1);
    metrics::histogram!(HTTP_REQUEST_SECONDS).record(began.elapsed().as_secs_f64());
    reply
}

async fn route(shared: &Arc<Shared>, connection: &Arc<Connection>, request: Request<Incoming>) -> Reply {
    if let Err(refused) = check_head(connection, &request) {
        return refused.reply(true);
    }
    let read_only = matches!(*request.method(), Method::GET | Method::HEAD);
    let refused = match request.uri().path() {
        "/v1/records" if request.method() == Method::POST => return ingest(shared, connection, request).await,
        "/v1/records" => Refused::Method { allow: "POST" },
        "/health/live" if read_only => return answer::json(StatusCode::OK, &b"{\"status\":\"live\"}"[..]),
        "/health/ready" if read_only => return ready(shared),
        "/metrics" if shared.metrics.is_none() => Refused::NotFound,
        "/metrics" if read_only => {
            let page = shared.metrics.as_ref().map(|hook| hook()).unwrap_or_default();
            return answer::text(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", page);
        }
        "/health/live" | "/health/ready" | "/metrics" => Refused::Method { allow: "GET, HEAD" },
        _ => Refused::NotFound,
    };
    refuse(refused, request).await
}

/// What hyper lets through and we do not: a request without a Host or with two, and one whose length is told twice.
fn check_head(connection: &Connection, request: &Request<Incoming>) -> Result<(), Refused> {
    let hosts = request.headers().get_all(HOST).iter().count();
    match request.version() {
        Version::HTTP_11 if hosts != 1 => return Err(Refused::Host),
        _ if hosts > 1 => return Err(Refused::Host),
        _ => {}
    }
    if request.headers().contains_key(TRANSFER_ENCODING) && connection.ambiguous_length() {
        return Err(Refused::AmbiguousLength);
    }
    Ok(())
}

fn ready(shared: &Shared) -> Reply {
    let state = if shared.stopping.load(Ordering::SeqCst) {
        Err("the service is stopping".to_string())
    } else {
        shared.ready.as_ref().map_or(Ok(None), |hook| hook())
    };
    match state {
        Ok(None) => answer::json(StatusCode::OK, &b"{\"status\":\"ready\"}"[..]),
        Ok(Some(warning)) => {
            let body = serde_json::json!({ "status": "ready", "warning": warning });
            answer::json(StatusCode::OK, body.to_string())
        }
        Err(why) => answer::json(StatusCode::SERVICE_UNAVAILABLE, answer::error_body("not_ready", &why)),
    }
}

/// Refuses a request whose body has not been read.
async fn refuse(refused: Refused, request: Request<Incoming>) -> Reply {
    // Reading the body would ask a client that waits for our word to send it.
    let close = request.headers().contains_key(EXPECT) || !body::discard(request.into_body()).await;
    refused.reply(close)
}

/// What the head of an ingest request says.
struct Head {
    grant: Arc<Grant>,
    format: Format,
    encoding: Encoding,
    content_length: Option<u64>,
    history: bool,
    /// Hash of (key, `Idempotency-Key`).
    request: Option<u128>,
}

async fn ingest(shared: &Arc<Shared>, connection: &Arc<Connection>, request: Request<Incoming>) -> Reply {
    // Cheap and sure checks first: nothing is read, and no memory taken, for a request that cannot succeed.
    let head = match known_head(shared, connection, request.headers()).await {
        Ok(head) => head,
        // Streams of nobody known are let go at once; HTTP/2 needs no body to be read for its connection to go on.
        Err(refused) if connection.is_http2() && !connection.is_known() => return refused.reply(false),
        Err(refused) => return refuse(refused, request).await,
    };
    // A keyed request that was answered gets that answer, whatever the load.
    if let Some(known) = head
        .request
        .and_then(|hash| shared.retries.answer(hash, shared.clock.now()))
    {
        return answer_again(shared, &head, known, request.into_body()).await;
    }
    if let Err(refused) = charge(shared, &head.grant, 0).await {
        return refuse(refused, request).await;
    }
    let permit = shared.pool.permit(&head.grant.id, head.encoding.decoder_bytes());
    let length = head.content_length.and_then(|n| usize::try_from(n).ok());
    if !permit.could_reach(length.unwrap_or_default()) {
        return refuse(BodyError::NoRoom.into(), request).await;
    }
    let mut incoming = request.into_body();
    let (body, permit) = match body::read(&mut incoming, head.encoding, permit, &shared.config).await {
        Ok(read) => read,
        Err(e) => return refuse_body(e, incoming).await,
    };
    // A task of its own: it runs to its end even when the sender has gone, because what was appended must be known as done, and a panic in
    // it is an answer and not a connection that ends.
    let task = shared.commits.spawn(take_body(Arc::clone(shared), head, body, permit));
    let outcome = task.await.unwrap_or_else(|e| {
        tracing::error!(error = %e, "taking a request failed");
        Err(Refused::Internal)
    });
    outcome.unwrap_or_else(|refused| refused.reply(false))
}

/// Refuses a request of whose body a part may have been read.
async fn refuse_body(e: BodyError, rest: Incoming) -> Reply {
    // One who may come again soon should find the connection open.
    let close = e != BodyError::NoRoom || !body::discard(rest).await;
    Refused::from(e).reply(close)
}

/// The answer that the key's body was given, or a refusal of another body.
async fn answer_again(shared: &Shared, head: &Head, known: Answer, mut body: Incoming) -> Reply {
    if known.request.is_none() {
        let mut reply = replay(known);
        if !body::discard(body).await {
            reply
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
        }
        return reply;
    }
    match body::digest(&mut body, head.encoding, &shared.config).await {
        Ok(hash) if known.is_for(Some(hash)) => replay(known),
        Ok(_) => Refused::OtherBody.reply(false),
        Err(e) => refuse_body(e, body).await,
    }
}

/// The head of a request whose key is known.
async fn known_head(shared: &Shared, connection: &Arc<Connection>, headers: &HeaderMap) -> Result<Head, Refused> {
    if shared.stopping.load(Ordering::SeqCst) {
        return Err(IntakeError::Stopping.into());
    }
    let unknown = connection.unknown().ok_or(Refused::Unknown)?;
    let token = bearer(headers).ok_or(Refused::NoKey)?;
    let grant = shared.look_ups.find(&*shared.keys, token).await?;
    connection.set_known();
    drop(unknown);
    read_head(shared, headers, grant)
}

fn read_head(shared: &Shared, headers: &HeaderMap, grant: Arc<Grant>) -> Result<Head, Refused> {
    if !grant.may_ingest {
        return Err(Refused::NotForIngest);
    }
    let content_length = match headers.get(CONTENT_LENGTH) {
        // hyper has checked that it is a number.
        Some(v) => v.to_str().ok().and_then(|s| s.trim().parse().ok()),
        None => None,
    };
    let max = shared.config.body_bytes_max;
    if let Some(length) = content_length.filter(|n| *n > max as u64) {
        return Err(Refused::ContentLength { length, max });
    }
    Ok(Head {
        format: format(headers)?,
        encoding: encoding(headers)?,
        history: history(headers)?,
        request: request_hash(headers, &grant.id)?,
        content_length,
        grant,
    })
}

/// The token of `Authorization: Bearer …`. Two such headers are none.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (all.next(), all.next()) else {
        return None;
    };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// Without a content type the first byte decides, as for `application/json`. `text/plain` stays free for lines that are no JSON.
fn format(headers: &HeaderMap) -> Result<Format, Refused> {
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return Ok(Format::Json);
    };
    let unknown = || Refused::ContentType(String::from_utf8_lossy(value.as_bytes()).chars().take(100).collect());
    let text = value.to_str().map_err(|_| unknown())?.to_ascii_lowercase();
    let mut parts = text.split(';').map(str::trim);
    let format = match parts.next() {
        Some("application/json") => Format::Json,
        Some(
            "application/x-ndjson"
            | "application/ndjson"
            | "application/jsonl"
            | "application/x-jsonlines"
            | "application/jsonlines",
        ) => Format::Ndjson,
        _ => return Err(unknown()),
    };
    for parameter in parts {
        let Some(charset) = parameter.strip_prefix("charset=") else {
            continue;
        };
        // Latin-1 needs no word: bytes that are not UTF-8 are read as such.
        if !matches!(
            charset.trim_matches('"'),
            "utf-8" | "utf8" | "us-ascii" | "iso-8859-1" | "latin1" | "windows-1252"
        ) {
            return Err(unknown());
        }
    }
    Ok(format)
}

fn encoding(headers: &HeaderMap) -> Result<Encoding, Refused> {
    let mut all = headers.get_all(CONTENT_ENCODING).iter();
    let (first, second) = (all.next(), all.next());
    let name = first
        .map_or("", |v| v.to_str().unwrap_or("?"))
        .trim()
        .to_ascii_lowercase();
    match name.as_str() {
        _ if second.is_some() => Err(Refused::ContentEncoding("more than one".into())),
        "" | "identity" => Ok(Encoding::Identity),
        "gzip" | "x-gzip" => Ok(Encoding::Gzip),
        "zstd" => Ok(Encoding::Zstd),
        _ => Err(Refused::ContentEncoding(name.chars().take(100).collect())),
    }
}

fn history(headers: &HeaderMap) -> Result<bool, Refused> {
    match headers.get(ANDON_HISTORY).map(|v| v.as_bytes().to_ascii_lowercase()) {
        None => Ok(false),
        Some(v) if v == b"true" => Ok(true),
        Some(v) if v == b"false" => Ok(false),
        Some(_) => Err(Refused::History),
    }
}

fn request_hash(headers: &HeaderMap, key_id: &str) -> Result<Option<u128>, Refused> {
    let mut all = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = all.next() else { return Ok(None) };
    let bytes = value.as_bytes();
    if all.next().is_some()
        || !(1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&bytes.len())
        || !bytes.iter().all(|b| (0x21..=0x7e).contains(b))
    {
        return Err(Refused::IdempotencyKey);
    }
    Ok(Some(xxh3_128_with_seed(
        bytes,
        xxh3_64_with_seed(key_id.as_bytes(), REQUEST_SEED),
    )))
}

async fn charge(shared: &Shared, grant: &Grant, records: u32) -> Result<(), Refused> {
    match grant.records_per_second {
        Some(rate) => shared
            .rates
            .charge(&grant.id, rate, records)
            .await
            .map_err(Refused::Rate),
        // A key without a limit asks nobody.
        None => Ok(()),
    }
}

fn replay(answer: Answer) -> Reply {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::ACCEPTED);
    answer::json(status, Bytes::from_owner(answer.body))
}

/// Decodes a whole body and commits what it holds.
async fn take_body(shared: Arc<Shared>, head: Head, body: Bytes, mut permit: Permit) -> Result<Reply, Refused> {
    permit.shrink(body.len());
    let request_body = head.request.map(|_| body::hash(&body));
    let received_at = shared.clock.now();
    let mut options = DecodeOptions::for_grant(received_at, head.format, &head.grant);
    options.history = head.history;
    let (decoded, malformed) = match decode_in_turns(&body, &options).await {
        Ok(decoded) => (decoded, None),
        // Kept as it came, for whoever has to mend the sender.
        Err(e @ DecodeError::Malformed { .. }) => {
            let rejected = Rejected {
                reason: e.to_string(),
                excerpt: excerpt(&body),
                ..Rejected::default()
            };
            let empty = BatchBuilder::new().finish();
            (
                Decoded {
                    batch: empty,
                    rejected: vec![rejected],
                    found: 1,
                    ..Decoded::default()
                },
                Some(e),
            )
        }
        Err(e) => return Err(e.into()),
    };
    drop(body);
    permit.shrink(decoded.batch.len());
    charge(&shared, &head.grant, decoded.found).await?;
    Commit {
        received_at,
        head,
        request_body,
        decoded,
        malformed,
        permit,
    }
    .run(&shared)
    .await
}

/// Lets other requests of the thread run between two chunks.
async fn decode_in_turns(body: &[u8], options: &DecodeOptions<'_>) -> Result<Decoded, DecodeError> {
    let mut decoder = Decoder::new(body, options)?;
    while decoder.step()? {
        tokio::task::yield_now().await;
    }
    Ok(decoder.finish())
}

/// A decoded request on its way to the journal.
struct Commit {
    received_at: Timestamp,
    head: Head,
    /// Hash of a keyed request's body.
    request_body: Option<u128>,
    decoded: Decoded,
    malformed: Option<DecodeError>,
    permit: Permit,
}

impl Commit {
    async fn run(self, shared: &Shared) -> Result<Reply, Refused> {
        let Self {
            received_at,
            head,
            request_body,
            decoded,
            malformed,
            permit,
        } = self;
        let hashes: Vec<u128> = decoded.ids.iter().map(|(_, hash)| *hash).collect();
        let (claim, places) = loop {
            match shared.retries.claim(head.request, &hashes, received_at) {
                Attempt::Answered(answer) if answer.is_for(request_body) => return Ok(replay(answer)),
                Attempt::Answered(_) => return Err(Refused::OtherBody),
                Attempt::Wait(outcome) => outcome.cancelled().await,
                Attempt::Claimed { claim, duplicates } => break (claim, duplicates),
            }
        };
        let duplicates: Vec<u32> = places.iter().map(|place| decoded.ids[*place].0).collect();
        let accepted = decoded.records - duplicates.len() as u32;
        let (status, body) = answer::outcome(
            accepted,
            duplicates.len() as u32,
            &decoded.rejected,
            &decoded.left_out,
            malformed.as_ref(),
        );
        let answer = Answer {
            status: status.as_u16(),
            body: Arc::from(body),
            request: request_body,
        };

        let rejected = decoded.rejected.len() as u64;
        if accepted > 0 || rejected > 0 {
            let entry = IntakeEntry {
                received_at,
                key_id: Arc::clone(&head.grant.id),
                batch: without(decoded.batch, &duplicates),
                records: accepted,
                rejected: decoded.rejected,
                retry_hashes: claim.hashes().to_vec(),
                idempotency: idempotency(&claim, &answer),
                history: head.history,
                permit,
            };
            shared.intake.append(entry).await?;
        }
        if !claim.hashes().is_empty() {
            metrics::gauge!(RETRY_WINDOW_SECONDS).set(shared.retries.effective_window(received_at).as_secs_f64());
        }
        claim.settle(answer.clone(), received_at);
        let notes = shared.notes.as_deref();
        shared
            .unknown
            .report(&head.grant.id, &decoded.unknown_levels, received_at, notes);
        let format = if decoded.lines { "ndjson" } else { "json" };
        metrics::counter!(RECORDS_ACCEPTED, "format" => format).increment(u64::from(accepted));
        metrics::counter!(RECORDS_REJECTED).increment(u64::from(decoded.found - decoded.records));
        if decoded.left_out.count > 0 {
            metrics::counter!(READINGS_LEFT_OUT).increment(u64::from(decoded.left_out.count));
        }
        metrics::counter!(RECORDS_DUPLICATE).increment(duplicates.len() as u64);
        Ok(replay(answer))
    }
}

fn idempotency(claim: &Claim, answer: &Answer) -> Option<Idempotency> {
    claim.request().map(|hash| Idempotency {
        hash,
        status: answer.status,
        answer: Arc::clone(&answer.body),
        body: answer.request,
    })
}

/// The batch without the records at these places, which are in order.
fn without(batch: Vec<u8>, places: &[u32]) -> Vec<u8> {
    if places.is_empty() {
        return batch;
    }
    let packed = Batch::parse(&batch[..], JournalId::default(), 0).expect("we packed it");
    let mut kept = BatchBuilder::new();
    for (place, record) in packed.iter().enumerate() {
        if places.binary_search(&(place as u32)).is_err() {
            kept.push(&record);
        }
    }
    kept.finish()
}
