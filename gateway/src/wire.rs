//! What hyper does not tell about a connection: when it is idle, when a head began, and whether a head carried both `Content-Length` and
//! `Transfer-Encoding` (hyper drops the first of them before we see the request).

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::config::UNKNOWN_STREAMS_MAX;
use crate::peers::Place;

/// "Not now" for an instant in milliseconds.
const NEVER: u64 = u64::MAX;

/// Shared by a connection's bytes, its requests and its watchdog.
#[derive(Debug)]
pub(crate) struct Connection {
    started: Instant,
    active: AtomicU32,
    /// Milliseconds after `started`.
    idle_since: AtomicU64,
    /// The first byte after the last request; [`NEVER`] when there is none.
    head_since: AtomicU64,
    served: AtomicBool,
    /// Knows whether some request had a key that is known.
    place: Place,
    /// Requests that wait while no key is known.
    unknown: AtomicU32,
    http2: AtomicBool,
    ambiguous_length: AtomicBool,
}

/// Why a connection without a request was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overdue {
    Header,
    Idle,
}

impl Connection {
    pub(crate) fn new(place: Place) -> Self {
        Self {
            started: Instant::now(),
            active: AtomicU32::new(0),
            idle_since: AtomicU64::new(0),
            head_since: AtomicU64::new(NEVER),
            served: AtomicBool::new(false),
            place,
            unknown: AtomicU32::new(0),
            http2: AtomicBool::new(false),
            ambiguous_length: AtomicBool::new(false),
        }
    }

    fn now(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    /// Counts a request as running until the guard is dropped.
    pub(crate) fn request(self: &Arc<Self>) -> Running {
        self.active.fetch_add(1, Ordering::SeqCst);
        self.head_since.store(NEVER, Ordering::SeqCst);
        self.served.store(true, Ordering::SeqCst);
        Running(Arc::clone(self))
    }

    /// Some head of this connection had both lengths. Requests pipelined beside it are suspected too.
    pub(crate) fn ambiguous_length(&self) -> bool {
        self.ambiguous_length.load(Ordering::SeqCst)
    }

    /// Counts a request whose key is not known yet; `None` when there are too many of them, here or of this peer, and no key is known
    /// here.
    pub(crate) fn unknown(self: &Arc<Self>) -> Option<Unknown> {
        let of_connection = self.unknown.fetch_add(1, Ordering::SeqCst) < UNKNOWN_STREAMS_MAX;
        let of_peer = self.place.wait();
        let unknown = Unknown(Arc::clone(self));
        (of_connection && of_peer || self.is_known()).then_some(unknown)
    }

    /// Somebody with a key is at the other end.
    pub(crate) fn set_known(&self) {
        self.place.set_known();
    }

    pub(crate) fn is_known(&self) -> bool {
        self.place.is_known()
    }

    pub(crate) fn is_http2(&self) -> bool {
        self.http2.load(Ordering::SeqCst)
    }

    /// Resolves when the connection has been without a request for too long: `header` from its start, from the first byte of a head, or
    /// while no key is known on it; `idle` otherwise.
    pub(crate) async fn overdue(&self, header: Duration, idle: Duration) -> Overdue {
        loop {
            let now = self.now();
            let mut due = now + header.as_millis() as u64;
            if self.active.load(Ordering::SeqCst) == 0 {
                let head_since = self.head_since.load(Ordering::SeqCst);
                let (since, limit, why) = if !self.served.load(Ordering::SeqCst) {
                    (0, header, Overdue::Header)
                } else if head_since != NEVER && !self.is_http2() {
                    (head_since, header, Overdue::Header)
                } else {
                    let limit = if self.is_known() { idle } else { header.min(idle) };
                    (self.idle_since.load(Ordering::SeqCst), limit, Overdue::Idle)
                };
                let end = since + limit.as_millis() as u64;
                if now >= end {
                    return why;
                }
                // A head may begin while this sleeps; its deadline cannot come before `due`.
                due = due.min(end);
            }
            tokio::time::sleep_until(self.started + Duration::from_millis(due.max(now + 1))).await;
        }
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(crate) struct Running(Arc<Connection>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.idle_since.store(self.0.now(), Ordering::SeqCst);
        self.0.active.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A request whose key is not known.
#[derive(Debug)]
pub(crate) struct Unknown(Arc<Connection>);

impl Drop for Unknown {
    fn drop(&mut self) {
        self.0.unknown.fetch_sub(1, Ordering::SeqCst);
        self.0.place.end_wait();
    }
}

/// How an HTTP/2 connection begins (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Longest prefix of a line that matters: `transfer-encoding:` and a little more.
const PREFIX_BYTES: usize = 20;

/// Looks for header lines in the bytes of an HTTP/1 connection. It knows no bodies: a line of a body that looks like such a header, within a
/// block of lines that also has the other, would be taken for one. No JSON text has such a line.
#[derive(Debug, Default)]
struct Lines {
    prefix: [u8; PREFIX_BYTES],
    len: usize,
    content_length: bool,
    transfer_encoding: bool,
}

impl Lines {
    /// True once both headers were seen between two blank lines.
    fn feed(&mut self, mut bytes: &[u8]) -> bool {
        let mut both = false;
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            self.keep(&bytes[..end]);
            both |= self.line();
            self.len = 0;
            bytes = &bytes[end + 1..];
        }
        self.keep(bytes);
        both
    }

    fn keep(&mut self, bytes: &[u8]) {
        let n = bytes.len().min(PREFIX_BYTES - self.len);
        self.prefix[self.len..self.len + n].copy_from_slice(&bytes[..n]);
        self.len += n;
    }

    fn line(&mut self) -> bool {
        let line = &self.prefix[..self.len];
        let is = |name: &[u8]| line.get(..name.len()).is_some_and(|l| l.eq_ignore_ascii_case(name));
        match line {
            [] | [b'\r'] => (self.content_length, self.transfer_encoding) = (false, false),
            [b'c' | b'C', ..] => self.content_length |= is(b"content-length:"),
            [b't' | b'T', ..] => self.transfer_encoding |= is(b"transfer-encoding:"),
            _ => {}
        }
        self.content_length && self.transfer_encoding
    }
}

/// Answers of pipelined requests that are held back to leave together, in bytes: some 25 of them.
const HELD_BYTES_MAX: usize = 4 * 1024;

/// A stream that keeps its [`Connection`] informed, and sends the answers of pipelined HTTP/1 requests together: what hyper writes is held
/// while hyper has more input than it has answered, up to
/// [`HELD_BYTES_MAX`]. (hyper's own `pipeline_flush` does not send what is
/// written while its read buffer holds bytes: the 400 to a malformed head, and every answer before it, are lost.)
#[derive(Debug)]
pub(crate) struct Watched<S> {
    stream: S,
    held: Vec<u8>,
    /// How much of `held` has left.
    sent: usize,
    /// The last read found nothing: hyper has answered all it has, or the peer waits for us (`100 Continue`).
    starved: bool,
    connection: Arc<Connection>,
    lines: Lines,
    /// How much of the preface has come, while nothing else has.
    preface: Option<usize>,
}

impl<S> Watched<S> {
    pub(crate) fn new(stream: S, connection: Arc<Connection>) -> Self {
        Self {
            stream,
            held: Vec::new(),
            sent: 0,
            starved: false,
            connection,
            lines: Lines::default(),
            preface: Some(0),
        }
    }

    fn received(&mut self, bytes: &[u8]) {
        let c = &self.connection;
        if let Some(come) = self.preface {
            let n = bytes.len().min(PREFACE.len() - come);
            self.preface = (bytes[..n] == PREFACE[come..come + n]).then_some(come + n);
            if self.preface == Some(PREFACE.len()) {
                self.preface = None;
                c.http2.store(true, Ordering::SeqCst);
            }
        }
        if c.active.load(Ordering::SeqCst) == 0 && c.head_since.load(Ordering::SeqCst) == NEVER {
            c.head_since.store(c.now(), Ordering::SeqCst);
        }
        if !c.is_http2() && self.lines.feed(bytes) {
            c.ambiguous_length.store(true, Ordering::SeqCst);
        }
    }
}

impl<S: AsyncWrite + Unpin> Watched<S> {
    fn poll_release(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.held.len() {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, &self.held[self.sent..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => self.sent += n,
            }
        }
        self.held.clear();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // A peer that does not take its answers may still send: the idle deadline ends that.
        if let Poll::Ready(Err(e)) = self.poll_release(cx) {
            return Poll::Ready(Err(e));
        }
        let before = buf.filled().len();
        let poll = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.starved = poll.is_pending();
        if poll.is_ready() && buf.filled().len() > before {
            self.received(&buf.filled()[before..]);
        }
        poll
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.connection.is_http2() {
            return Pin::new(&mut self.stream).poll_write(cx, buf);
        }
        if self.held.len() >= HELD_BYTES_MAX {
            ready!(self.poll_release(cx))?;
        }
        self.held.extend_from_slice(buf);
        Poll::Ready(Ok(buf.len()))
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.starved || self.held.len() >= HELD_BYTES_MAX {
            ready!(self.poll_release(cx))?;
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_release(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::Peers;

    fn connection() -> Arc<Connection> {
        let place = Peers::new(8).admit([10, 0, 0, 1].into()).unwrap();
        Arc::new(Connection::new(place))
    }

    #[test]
    fn both_lengths_in_one_head_are_seen_however_the_bytes_arrive() {
        for (bytes, want) in [
            (
                "POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
                true,
            ),
            (
                "POST / HTTP/1.1\r\ntransfer-ENCODING:chunked\r\nX: y\r\ncontent-LENGTH:5\r\n\r\n",
                true,
            ),
            (
                "POST / HTTP/1.1\nContent-Length: 5\nTransfer-Encoding: chunked\n\n",
                true,
            ),
            (
                "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhelloPOST / HTTP/1.1\r\nX: y\r\n\r\n",
                false,
            ),
            (
                "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                false,
            ),
            (
                "POST / HTTP/1.1\r\nX-Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
                false,
            ),
            (
                "POST / HTTP/1.1\r\nContent-Length-X: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
                false,
            ),
        ] {
            for step in 1..bytes.len() {
                let mut lines = Lines::default();
                let seen = bytes
                    .as_bytes()
                    .chunks(step)
                    .fold(false, |seen, part| lines.feed(part) | seen);
                assert_eq!(seen, want, "{bytes:?} in steps of {step}");
            }
        }
    }

    #[tokio::test]
    async fn only_the_whole_preface_makes_it_http_2() {
        for (bytes, want) in [
            (&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], true),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n and frames", true),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r", false),
            (b"PRIX / HTTP/1.1\r\nHost: x\r\n\r\n", false),
            (b"PRI * HTTP/2.0\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", false),
            (b"GET / HTTP/1.1\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", false),
        ] {
            for step in [1, 3, 100] {
                let connection = self::connection();
                let mut watched = Watched::new(tokio::io::empty(), Arc::clone(&connection));
                bytes.chunks(step).for_each(|part| watched.received(part));
                assert_eq!(
                    connection.is_http2(),
                    want,
                    "{:?} in steps of {step}",
                    String::from_utf8_lossy(bytes)
                );
            }
        }
    }

    #[test]
    fn requests_without_a_key_are_few_until_one_is_known() {
        let connection = self::connection();
        let some: Vec<_> = (0..UNKNOWN_STREAMS_MAX).map_while(|_| connection.unknown()).collect();
        assert_eq!(some.len(), UNKNOWN_STREAMS_MAX as usize);
        assert!(connection.unknown().is_none() && connection.unknown().is_none());
        drop(some);
        let some: Vec<_> = (0..UNKNOWN_STREAMS_MAX).map_while(|_| connection.unknown()).collect();
        assert_eq!(some.len(), UNKNOWN_STREAMS_MAX as usize);
        connection.set_known();
        assert!(connection.unknown().is_some());
    }

    #[tokio::test]
    async fn answers_leave_when_input_is_wanted_when_there_are_many_and_at_the_end() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (near, mut far) = tokio::io::duplex(100_000);
        let mut watched = Watched::new(near, connection());
        let arrived = async |far: &mut tokio::io::DuplexStream| {
            let mut buf = vec![0; 100_000];
            let read = tokio::time::timeout(Duration::from_millis(1), far.read(&mut buf));
            read.await.map_or(0, |n| n.unwrap())
        };
        for _ in 0..2 {
            watched.write_all(b"answer").await.unwrap();
            watched.flush().await.unwrap();
        }
        assert_eq!(arrived(&mut far).await, 0, "held");
        far.write_all(b"x").await.unwrap();
        watched.read_u8().await.unwrap();
        assert_eq!(arrived(&mut far).await, 12, "input was wanted");
        // Nothing came: whoever waits for the answer gets it now.
        assert!(
            tokio::time::timeout(Duration::from_millis(1), watched.read_u8())
                .await
                .is_err()
        );
        watched.write_all(b"go on").await.unwrap();
        watched.flush().await.unwrap();
        assert_eq!(arrived(&mut far).await, 5);
        far.write_all(b"x").await.unwrap();
        watched.read_u8().await.unwrap();
        watched.write_all(&[b'y'; HELD_BYTES_MAX]).await.unwrap();
        watched.flush().await.unwrap();
        assert_eq!(arrived(&mut far).await, HELD_BYTES_MAX);
        watched.write_all(b"last").await.unwrap();
        watched.shutdown().await.unwrap();
        assert_eq!(arrived(&mut far).await, 4);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_overdue_by_the_deadline_of_its_state() {
        let (header, idle) = (Duration::from_secs(10), Duration::from_secs(75));
        let fresh = connection();
        let start = Instant::now();
        assert_eq!(fresh.overdue(header, idle).await, Overdue::Header);
        assert_eq!(start.elapsed().as_secs(), 10);

        let stranger = connection();
        let start = Instant::now();
        drop(stranger.request());
        assert_eq!(stranger.overdue(header, idle).await, Overdue::Idle);
        assert_eq!(start.elapsed().as_secs(), 10, "no key is known on it");

        let kept = connection();
        kept.set_known();
        let start = Instant::now();
        drop(kept.request());
        assert_eq!(kept.overdue(header, idle).await, Overdue::Idle);
        assert_eq!(start.elapsed().as_secs(), 75);

        let second_head = connection();
        let mut watched = Watched::new(tokio::io::empty(), Arc::clone(&second_head));
        second_head.set_known();
        drop(second_head.request());
        tokio::time::sleep(Duration::from_secs(20)).await;
        watched.received(b"POST");
        let start = Instant::now();
        assert_eq!(second_head.overdue(header, idle).await, Overdue::Header);
        assert_eq!(start.elapsed().as_secs(), 10);

        let busy = connection();
        let running = busy.request();
        let long = tokio::time::timeout(Duration::from_secs(3_600), busy.overdue(header, idle)).await;
        assert!(long.is_err(), "a running request is bounded by its own deadlines");
        drop(running);
    }
}
