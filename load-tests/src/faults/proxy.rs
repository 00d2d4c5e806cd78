//! A TCP proxy between Andon and a store that can be told to be bad: at any time, for connections that are open and those to come.

use crate::server::free_address;
use anyhow::Context as _;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// What is read at once.
const CHUNK: usize = 16 << 10;
/// Chunks that a delay holds; more wait in the sender's socket.
const HELD_MAX: usize = 64;
/// The share of a second that a slow connection sends at once.
const SLICES_PER_SECOND: u64 = 20;

/// How a proxy treats its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Pass,
    /// Nothing listens; open connections are reset.
    Refuse,
    /// Connections are taken and stay open, and no byte moves. When it ends they go on where they stood.
    Hang,
    /// Each connection is reset after it has carried so many bytes towards the store: every other one in the middle of what is sent, the
    /// rest when the answer to it comes, so that the store has done what the client never hears of.
    Cut {
        after: u64,
    },
    /// So many bytes a second in each direction of each connection.
    Slow {
        bytes_per_second: u64,
    },
    /// Every byte arrives so much later.
    Delay(Duration),
}

/// A running proxy. Dropping it closes everything.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    mode: watch::Sender<Mode>,
    seen: Arc<Seen>,
    _task: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Seen {
    connections: AtomicU64,
    cuts: AtomicU64,
}

impl Proxy {
    /// Listens on a free port and carries every connection to `upstream`.
    pub async fn start(upstream: SocketAddr) -> anyhow::Result<Self> {
        let address: SocketAddr = free_address()?.parse().context("a free address")?;
        let listener = TcpListener::bind(address).await.context("the proxy cannot listen")?;
        let mode = watch::Sender::new(Mode::Pass);
        let seen = Arc::new(Seen::default());
        let mut task = JoinSet::new();
        task.spawn(accept(listener, address, upstream, mode.subscribe(), seen.clone()));
        Ok(Self {
            address,
            mode,
            seen,
            _task: task,
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// Connections taken since it was started.
    pub fn connections(&self) -> u64 {
        self.seen.connections.load(Ordering::Relaxed)
    }

    /// Connections that [`Mode::Cut`] has reset.
    pub fn cuts(&self) -> u64 {
        self.seen.cuts.load(Ordering::Relaxed)
    }
}

async fn accept(
    listener: TcpListener,
    address: SocketAddr,
    upstream: SocketAddr,
    mut mode: watch::Receiver<Mode>,
    seen: Arc<Seen>,
) {
    let mut listener = Some(listener);
    let mut connections = JoinSet::new();
    loop {
        if *mode.borrow_and_update() == Mode::Refuse {
            listener = None;
            if mode.changed().await.is_err() {
                return;
            }
            continue;
        }
        let Some(open) = &listener else {
            match TcpListener::bind(address).await {
                Ok(open) => listener = Some(open),
                // The port is ours, but what was reset may take a moment to leave it.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
            continue;
        };
        tokio::select! {
            taken = open.accept() => {
                if let Ok((client, _)) = taken {
                    let number = seen.connections.fetch_add(1, Ordering::Relaxed);
                    connections.spawn(connection(client, upstream, mode.clone(), seen.clone(), number));
                }
            }
            changed = mode.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Why a connection ended.
enum End {
    /// The mode says so.
    Cut,
    /// One of the two sides is gone.
    Gone,
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        End::Gone
    }
}

async fn connection(
    client: TcpStream,
    upstream: SocketAddr,
    mut mode: watch::Receiver<Mode>,
    seen: Arc<Seen>,
    number: u64,
) {
    // Whoever tells us the mode is gone: so is everything.
    if mode.wait_for(|m| *m != Mode::Hang).await.is_err() {
        return;
    }
    let Ok(server) = TcpStream::connect(upstream).await else {
        reset(&client);
        return;
    };
    let (Ok(()), Ok(())) = (client.set_nodelay(true), server.set_nodelay(true)) else {
        return;
    };
    let ((mut client_in, mut client_out), (mut server_in, mut server_out)) = (client.into_split(), server.into_split());
    let cut = Cut {
        in_answer: !number.is_multiple_of(2),
        sent: AtomicU64::new(0),
        active: AtomicBool::new(false),
    };
    let up = pump(&mut client_in, &mut server_out, mode.clone(), &cut, Direction::ToStore);
    let down = pump(
        &mut server_in,
        &mut client_out,
        mode.clone(),
        &cut,
        Direction::FromStore,
    );
    let mut refusing = mode.clone();
    let end = tokio::select! {
        both = async { tokio::try_join!(up, down) } => both.err(),
        _ = refusing.wait_for(|m| *m == Mode::Refuse) => Some(End::Cut),
    };
    if let Some(end) = end {
        if matches!(end, End::Cut) && *mode.borrow() != Mode::Refuse {
            seen.cuts.fetch_add(1, Ordering::Relaxed);
        }
        // A side that went away without a word is passed on as it came.
        reset(client_out.as_ref());
        reset(server_out.as_ref());
    }
}

/// Lets the connection's end be a reset (RST), not an orderly close.
fn reset(stream: &TcpStream) {
    // If it cannot be set, the connection is gone already.
    let _ = stream.set_zero_linger();
}

#[derive(Clone, Copy, PartialEq)]
enum Direction {
    ToStore,
    FromStore,
}

/// What one connection has carried since cutting began.
struct Cut {
    in_answer: bool,
    sent: AtomicU64,
    active: AtomicBool,
}

impl Cut {
    /// How many of `n` bytes may still pass. `None`: all.
    fn allows(&self, mode: Mode, direction: Direction, n: usize) -> Option<usize> {
        let Mode::Cut { after } = mode else {
            self.active.store(false, Ordering::Relaxed);
            return None;
        };
        if !self.active.swap(true, Ordering::Relaxed) {
            self.sent.store(0, Ordering::Relaxed);
        }
        let sent = self.sent.load(Ordering::Relaxed);
        match direction {
            Direction::ToStore => {
                let left = usize::try_from(after.saturating_sub(sent)).unwrap_or(usize::MAX);
                if self.in_answer || n <= left {
                    self.sent.fetch_add(n as u64, Ordering::Relaxed);
                    return None;
                }
                Some(left)
            }
            Direction::FromStore => (self.in_answer && sent >= after).then_some(0),
        }
    }
}

async fn pump(
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    mut mode: watch::Receiver<Mode>,
    cut: &Cut,
    direction: Direction,
) -> Result<(), End> {
    let mut held: VecDeque<(Instant, Vec<u8>)> = VecDeque::new();
    let (mut buffer, mut at_end) = (vec![0; CHUNK], false);
    loop {
        let now = *mode.borrow_and_update();
        let hanging = now == Mode::Hang;
        let due = held.front().map(|(due, _)| *due);
        if at_end && held.is_empty() {
            to.shutdown().await?;
            return Ok(());
        }
        tokio::select! {
            changed = mode.changed() => changed.map_err(|_| End::Gone)?,
            read = from.read(&mut buffer), if !hanging && !at_end && held.len() < HELD_MAX => {
                let n = read?;
                at_end = n == 0;
                if n > 0 {
                    let later = if let Mode::Delay(d) = now { d } else { Duration::ZERO };
                    held.push_back((Instant::now() + later, buffer[..n].to_vec()));
                }
            }
            () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if !hanging && due.is_some() => {
                let (_, bytes) = held.pop_front().expect("it has a due time");
                if let Some(allowed) = cut.allows(now, direction, bytes.len()) {
                    to.write_all(&bytes[..allowed]).await?;
                    return Err(End::Cut);
                }
                let rest = pass(to, &bytes, &mut mode).await?;
                if rest < bytes.len() {
                    held.push_front((Instant::now(), bytes[rest..].to_vec()));
                }
            }
        }
    }
}

/// Writes at the speed that the mode allows; stops early when the mode changes, and says how far it came.
async fn pass(to: &mut OwnedWriteHalf, bytes: &[u8], mode: &mut watch::Receiver<Mode>) -> Result<usize, End> {
    let Mode::Slow { bytes_per_second } = *mode.borrow() else {
        to.write_all(bytes).await?;
        return Ok(bytes.len());
    };
    let speed = bytes_per_second.max(1);
    let slice = (speed / SLICES_PER_SECOND).max(1) as usize;
    let mut done = 0;
    for piece in bytes.chunks(slice) {
        to.write_all(piece).await?;
        done += piece.len();
        let pause = Duration::from_secs(1).mul_f64(piece.len() as f64 / speed as f64);
        if tokio::time::timeout(pause, mode.changed()).await.is_ok() {
            break;
        }
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A store that gives back what it gets, and counts what it got.
    async fn echo() -> (SocketAddr, Arc<AtomicU64>, JoinSet<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let got = Arc::new(AtomicU64::new(0));
        let counted = got.clone();
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let got = counted.clone();
                open.spawn(async move {
                    let mut buffer = vec![0; 4_096];
                    while let Ok(n @ 1..) = stream.read(&mut buffer).await {
                        got.fetch_add(n as u64, Ordering::SeqCst);
                        if stream.write_all(&buffer[..n]).await.is_err() {
                            break;
                        }
                    }
                });
            }
        });
        (address, got, task)
    }

    async fn asks(stream: &mut TcpStream, text: &[u8]) -> io::Result<Vec<u8>> {
        stream.write_all(text).await?;
        let mut answer = vec![0; text.len()];
        stream.read_exact(&mut answer).await?;
        Ok(answer)
    }

    #[tokio::test]
    async fn what_passes_is_whole_and_an_end_is_an_end() {
        let (store, _, _task) = echo().await;
        let proxy = Proxy::start(store).await.unwrap();
        let stream = TcpStream::connect(proxy.address()).await.unwrap();
        let (mut reading, mut writing) = stream.into_split();
        let sent: Vec<u8> = (0..300_000u32).flat_map(u32::to_le_bytes).collect();
        let all = sent.clone();
        let sending = tokio::spawn(async move {
            writing.write_all(&all).await.unwrap();
            writing.shutdown().await.unwrap();
        });
        let mut back = Vec::new();
        reading.read_to_end(&mut back).await.unwrap();
        sending.await.unwrap();
        assert!(back == sent, "{} of {} bytes came back", back.len(), sent.len());
    }

    #[tokio::test]
    async fn refusing_resets_what_is_open_and_takes_nothing_new_until_it_ends() {
        let (store, _, _task) = echo().await;
        let proxy = Proxy::start(store).await.unwrap();
        let mut open = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(asks(&mut open, b"one").await.unwrap(), b"one");
        proxy.set(Mode::Refuse);
        assert!(open.read_u8().await.is_err());
        // The listener goes away a moment after.
        while TcpStream::connect(proxy.address()).await.is_ok() {
            tokio::task::yield_now().await;
        }
        proxy.set(Mode::Pass);
        let mut again = loop {
            if let Ok(stream) = TcpStream::connect(proxy.address()).await {
                break stream;
            }
            tokio::task::yield_now().await;
        };
        assert_eq!(asks(&mut again, b"two").await.unwrap(), b"two");
    }

    #[tokio::test]
    async fn what_hangs_moves_no_byte_and_goes_on_where_it_stood() {
        let (store, got, _task) = echo().await;
        let proxy = Proxy::start(store).await.unwrap();
        let mut open = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(asks(&mut open, b"one").await.unwrap(), b"one");
        proxy.set(Mode::Hang);
        let mut new = TcpStream::connect(proxy.address()).await.unwrap();
        open.write_all(b"two").await.unwrap();
        new.write_all(b"three").await.unwrap();
        let (mut one, mut other) = ([0], [0]);
        let waited = tokio::select! {
            _ = open.read(&mut one) => "open",
            _ = new.read(&mut other) => "new",
            () = tokio::time::sleep(Duration::from_millis(100)) => "neither",
        };
        assert_eq!((waited, got.load(Ordering::SeqCst)), ("neither", 3));
        proxy.set(Mode::Pass);
        let mut answer = [0; 5];
        new.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"three");
        open.read_exact(&mut answer[..3]).await.unwrap();
        assert_eq!(&answer[..3], b"two");
    }

    #[tokio::test]
    async fn a_cut_comes_in_the_middle_of_a_request_or_of_its_answer() {
        let (store, got, _task) = echo().await;
        let proxy = Proxy::start(store).await.unwrap();
        proxy.set(Mode::Cut { after: 1_000 });
        let mut first = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(asks(&mut first, &[7; 600]).await.is_ok());
        assert!(asks(&mut first, &[7; 600]).await.is_err(), "cut in what is sent");
        // The second connection's bytes arrive whole; only the answer does not.
        let mut second = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(asks(&mut second, &[7; 1_500]).await.is_err(), "cut in the answer");
        while got.load(Ordering::SeqCst) < 1_000 + 1_500 {
            tokio::task::yield_now().await;
        }
        assert_eq!((got.load(Ordering::SeqCst), proxy.cuts()), (2_500, 2));
        proxy.set(Mode::Pass);
        let mut third = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(asks(&mut third, &[7; 5_000]).await.is_ok());
    }

    #[tokio::test]
    async fn slow_and_late_are_at_least_as_slow_and_as_late_as_told() {
        let (store, _, _task) = echo().await;
        let proxy = Proxy::start(store).await.unwrap();
        let mut open = TcpStream::connect(proxy.address()).await.unwrap();
        proxy.set(Mode::Delay(Duration::from_millis(50)));
        let start = Instant::now();
        assert!(asks(&mut open, b"late").await.is_ok());
        // There and back.
        assert!(start.elapsed() >= Duration::from_millis(100), "{:?}", start.elapsed());
        proxy.set(Mode::Slow {
            bytes_per_second: 5_000,
        });
        let start = Instant::now();
        assert!(asks(&mut open, &[7; 1_000]).await.is_ok());
        // The first twentieth of a second's bytes leave at once, each further one after its pause.
        assert!(start.elapsed() >= Duration::from_millis(150), "{:?}", start.elapsed());
        proxy.set(Mode::Pass);
        assert!(asks(&mut open, &[7; 100_000]).await.is_ok());
    }
}
