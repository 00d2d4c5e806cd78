//! Limits and deadlines of the ingest server, each with its reason.

use std::net::SocketAddr;
use std::time::Duration;

/// A body after decompression. 16 MiB is about 70,000 records; more in one request only adds latency and memory.
pub const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bodies in flight: sixteen requests of the greatest size, or thousands of usual ones.
pub const IN_FLIGHT_BYTES_MAX: usize = 256 * 1024 * 1024;
/// From a connection's start, or a head's first byte, to the head's end. A head is a few hundred bytes: one slow round trip
/// with a retransmission fits.
pub const HEADER_DEADLINE: Duration = Duration::from_secs(10);
/// Without a byte of an expected body. Longer than TCP's usual retransmissions, shorter than an operator's patience.
pub const BODY_IDLE_DEADLINE: Duration = Duration::from_secs(10);
/// A body as a whole. 16 MiB in two minutes is 140 KB/s; a slower line sends smaller batches.
pub const BODY_DEADLINE: Duration = Duration::from_secs(120);
/// Kept-alive connection without a request. Senders report each minute or oftener.
pub const IDLE_DEADLINE: Duration = Duration::from_secs(75);
/// Bytes a second that a body must average after [`BODY_IDLE_DEADLINE`]: below any modem, above any slow-body attack worth its name.
pub const BODY_RATE_MIN: u32 = 1_024;
/// Open connections. Each costs some 20 KB; file descriptors are usually limited to more. One peer address gets half of them at most, and a
/// quarter as long as no key is known on them.
pub const CONNECTIONS_MAX: usize = 8_192;
/// An HTTP/1 head, and what is read of a body at once. With all connections open and full this is 128 MiB, the worst that senders without
/// a key can make us hold over HTTP/1, and 32 MiB of it from one address.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Requests that run on one HTTP/2 connection at a time.
pub const STREAMS_MAX: u32 = 64;
/// Of these, those that run before a key is known on the connection: they wait for the look-up of a new key, or for nothing.
pub const UNKNOWN_STREAMS_MAX: u32 = 16;
/// The same of all connections of one peer address: with unread bodies they hold 64 MiB at most.
pub const UNKNOWN_STREAMS_OF_PEER_MAX: u32 = 256;
/// Header list of an HTTP/2 request. A key, a length and a handful of others come to some hundred bytes.
pub const HEADER_LIST_BYTES_MAX: u32 = 8 * 1024;
/// Unread bytes of one HTTP/2 request that hyper may hold before we take them.
pub const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
/// Unread bytes of one HTTP/2 connection.
pub const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// How long requests may take to finish once the service stops.
pub const STOP_DEADLINE: Duration = Duration::from_secs(3);
/// A zstd window. RFC 9659 lets a receiver refuse more over HTTP; a frame that asks for 2 GiB gets no memory.
pub const ZSTD_WINDOW_LOG_MAX: u32 = 23;
/// A gzip decoder: its window of 32 KiB, its tables, and a buffer.
pub const GZIP_DECODER_BYTES: usize = 80 * 1024;
/// A zstd decoder without its window: tables, a block, a buffer. The window is filled with what was decoded, hence no larger than that.
pub const ZSTD_DECODER_BYTES: usize = 320 * 1024;
/// A body up to this, decompressed, may use the reserve for small bodies: some hundred records.
pub const SMALL_BODY_BYTES: usize = 64 * 1024;
/// The part of the bytes in flight that only small bodies may use, as a divisor: a sixteenth is 16 MiB, some hundred small bodies.
pub const SMALL_RESERVE: usize = 16;
/// A body of a refused request up to this size is read and dropped, so that the connection can be kept.
pub const DISCARD_BYTES_MAX: u64 = 256 * 1024;
/// `Retry-After` of a 503, in seconds.
pub const RETRY_AFTER_SECS: u64 = 1;
/// An `Idempotency-Key`: the length of our other keys.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 128;
/// Answers of keyed requests kept in memory; the oldest go first.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Settings of the ingest server. `Config::new(addr)` has the constants of this module.
#[derive(Clone, Debug)]
pub struct Config {
    pub addr: SocketAddr,
    /// Decompressed bytes of one body; also the greatest compressed size.
    pub body_bytes_max: usize,
    /// Bytes of all bodies in flight, from admission to the answer. Real memory is up to three times that.
    pub in_flight_bytes: usize,
    pub header_deadline: Duration,
    pub body_idle_deadline: Duration,
    pub body_deadline: Duration,
    pub idle_deadline: Duration,
    /// Bytes a second.
    pub body_rate_min: u32,
    pub connections_max: usize,
    pub stop_deadline: Duration,
}

impl Config {
    pub fn new(addr: SocketAddr) -> Self {
        Self {
            addr,
            body_bytes_max: BODY_BYTES_MAX,
            in_flight_bytes: IN_FLIGHT_BYTES_MAX,
            header_deadline: HEADER_DEADLINE,
            body_idle_deadline: BODY_IDLE_DEADLINE,
            body_deadline: BODY_DEADLINE,
            idle_deadline: IDLE_DEADLINE,
            body_rate_min: BODY_RATE_MIN,
            connections_max: CONNECTIONS_MAX,
            stop_deadline: STOP_DEADLINE,
        }
    }
}
