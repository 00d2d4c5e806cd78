//! A server on a free port, a journal in memory that can be told to hold or to fail, and a client that writes raw bytes.

use andon_engine::batch::Batch;
use andon_engine::ids::JournalId;
use andon_engine::intake::{Idempotency, Rejected};
use andon_engine::record::Flags;
use andon_engine::time::{ManualClock, Timestamp};
use andon_gateway::{Config, Gateway, Grant, Intake, IntakeEntry, IntakeError, Keys, KeysUnavailable, Stopped};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

pub(crate) const NOW: Timestamp = Timestamp(1_795_401_059_000_000);
/// Far above anything that should happen: a test that waits this long has failed.
pub(crate) const LONG: Duration = Duration::from_secs(30);
pub(crate) const GOOD: &str = r#"{"device_id":"d","message":"m"}"#;

/// What the journal keeps of an entry.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub(crate) key_id: Arc<str>,
    /// Message, flags.
    pub(crate) records: Vec<(String, Flags)>,
    /// The records, packed.
    batch: Vec<u8>,
    pub(crate) rejected: Vec<Rejected>,
    pub(crate) retry_hashes: Vec<u128>,
    pub(crate) idempotency: Option<Idempotency>,
    pub(crate) history: bool,
}

impl Kept {
    pub(crate) fn batch(&self) -> Batch<&[u8]> {
        Batch::parse(&self.batch[..], JournalId(1), 1).expect("a whole batch")
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Take,
    Fail(IntakeError),
    /// Appends wait until the mode changes.
    Hold,
}

pub(crate) struct Journal {
    entries: Mutex<Vec<Kept>>,
    mode: watch::Sender<Mode>,
    /// How many appends have begun.
    begun: watch::Sender<usize>,
}

impl Journal {
    pub(crate) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
    pub(crate) fn entries(&self) -> Vec<Kept> {
        self.entries.lock().unwrap().clone()
    }
    pub(crate) fn messages(&self) -> Vec<String> {
        self.entries()
            .into_iter()
            .flat_map(|e| e.records)
            .map(|(m, _)| m)
            .collect()
    }
    /// Returns once `n` appends have begun.
    pub(crate) async fn begun(&self, n: usize) {
        timeout(LONG, self.begun.subscribe().wait_for(|b| *b >= n))
            .await
            .expect("appends begin")
            .unwrap();
    }
}

#[async_trait::async_trait]
impl Intake for Journal {
    async fn append(&self, entry: IntakeEntry) -> Result<u64, IntakeError> {
        self.begun.send_modify(|n| *n += 1);
        let mode = *self.mode.subscribe().wait_for(|m| *m != Mode::Hold).await.unwrap();
        if let Mode::Fail(e) = mode {
            return Err(e);
        }
        let batch = Batch::parse(&entry.batch[..], JournalId(1), 1).expect("a whole batch");
        assert_eq!(batch.len(), entry.records as usize);
        let records = batch
            .iter()
            .map(|r| (r.message.unwrap_or_default().to_string(), r.flags))
            .collect();
        let mut entries = self.entries.lock().unwrap();
        entries.push(Kept {
            key_id: entry.key_id,
            records,
            batch: entry.batch.to_vec(),
            rejected: entry.rejected,
            retry_hashes: entry.retry_hashes,
            idempotency: entry.idempotency,
            history: entry.history,
        });
        Ok(entries.len() as u64)
    }
}

/// Keys in memory, and those that only a look at the store would bring there.
pub(crate) struct Book {
    known: Mutex<HashMap<String, Arc<Grant>>>,
    made: Mutex<HashMap<String, Arc<Grant>>>,
    away: AtomicBool,
}

impl Book {
    /// As another process makes a key.
    pub(crate) fn make(&self, token: &str) {
        self.made
            .lock()
            .unwrap()
            .insert(token.into(), Arc::new(Grant::any(token)));
    }
    pub(crate) fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }
}

#[async_trait::async_trait]
impl Keys for Book {
    fn find(&self, token: &str) -> Option<Arc<Grant>> {
        self.known.lock().unwrap().get(token).cloned()
    }
    async fn refresh(&self) -> Result<(), KeysUnavailable> {
        if self.away.load(Ordering::SeqCst) {
            return Err(KeysUnavailable);
        }
        self.known.lock().unwrap().extend(self.made.lock().unwrap().drain());
        Ok(())
    }
}

pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    pub(crate) journal: Arc<Journal>,
    pub(crate) keys: Arc<Book>,
    pub(crate) clock: Arc<ManualClock>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Stopped>,
}

pub(crate) fn config() -> Config {
    Config::new(SocketAddr::from(([127, 0, 0, 1], 0)))
}

pub(crate) async fn start() -> Server {
    start_with(config(), |g| g).await
}

pub(crate) async fn start_with(config: Config, prepare: impl FnOnce(Gateway) -> Gateway) -> Server {
    let journal = Arc::new(Journal {
        entries: Mutex::default(),
        mode: watch::Sender::new(Mode::Take),
        begun: watch::Sender::new(0),
    });
    let grants = [
        ("good", Grant::any("k-good")),
        ("other", Grant::any("k-other")),
        (
            "reader",
            Grant {
                may_ingest: false,
                ..Grant::any("k-reader")
            },
        ),
        (
            "wms",
            Grant {
                applications: vec!["wms".into()],
                ..Grant::any("k-wms")
            },
        ),
        (
            "slow",
            Grant {
                records_per_second: Some(2),
                ..Grant::any("k-slow")
            },
        ),
    ];
    let grants = grants.into_iter().map(|(t, g)| (t.to_string(), Arc::new(g)));
    let keys = Arc::new(Book {
        known: Mutex::new(grants.collect()),
        made: Mutex::default(),
        away: AtomicBool::new(false),
    });
    let clock = Arc::new(ManualClock::new(NOW));
    let gateway = Gateway::bind(config, journal.clone(), keys.clone(), clock.clone())
        .await
        .unwrap();
    let gateway = prepare(gateway);
    let addr = gateway.local_addr();
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(gateway.run(async move {
        let _ = stopped.await;
    }));
    Server {
        addr,
        journal,
        keys,
        clock,
        stop: Some(stop),
        task,
    }
}

/// An answer as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
    pub(crate) fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_string()
    }
    pub(crate) fn message(&self) -> String {
        self.json()["error"]["message"].as_str().unwrap_or_default().to_string()
    }
}

impl Server {
    pub(crate) async fn connect(&self) -> Client {
        Client {
            stream: TcpStream::connect(self.addr).await.unwrap(),
            unread: Vec::new(),
        }
    }

    /// A client at another address of this host.
    pub(crate) async fn connect_from(&self, address: [u8; 4]) -> Client {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from((address, 0))).unwrap();
        Client {
            stream: socket.connect(self.addr).await.unwrap(),
            unread: Vec::new(),
        }
    }

    /// Writes, and reads one answer.
    pub(crate) async fn raw(&self, bytes: impl AsRef<[u8]>) -> Answer {
        let mut client = self.connect().await;
        client.send(bytes).await;
        client.answer().await.expect("an answer")
    }

    /// Posts as JSON with the good key.
    pub(crate) async fn post(&self, body: impl AsRef<[u8]>) -> Answer {
        self.post_with("", body).await
    }

    /// Posts with more headers, each ending with CRLF. Those given take the place of the usual ones.
    pub(crate) async fn post_with(&self, headers: &str, body: impl AsRef<[u8]>) -> Answer {
        self.raw(request(headers, body.as_ref())).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.raw(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")).await
    }

    pub(crate) fn begin_stop(&mut self) {
        let _ = self.stop.take().expect("stopped once").send(());
    }

    pub(crate) async fn stopped(self) -> Stopped {
        timeout(LONG, self.task).await.expect("the server stops").unwrap()
    }

    /// It still serves, and nothing of what came before was kept.
    pub(crate) async fn is_undisturbed(&self) {
        let before = self.journal.entries().len();
        let answer = self.post(GOOD).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        assert_eq!(self.journal.entries().len(), before + 1);
    }
}

/// A whole request for `POST /v1/records`.
pub(crate) fn request(headers: &str, body: &[u8]) -> Vec<u8> {
    let lower = headers.to_ascii_lowercase();
    let mut head = "POST /v1/records HTTP/1.1\r\nHost: x\r\n".to_string();
    for (name, line) in [
        ("authorization:", "Authorization: Bearer good\r\n".to_string()),
        ("content-type:", "Content-Type: application/json\r\n".to_string()),
        ("content-length:", format!("Content-Length: {}\r\n", body.len())),
    ] {
        let chunked = name == "content-length:" && lower.contains("transfer-encoding:");
        if !chunked && !lower.contains(name) {
            head += &line;
        }
    }
    [head.as_bytes(), headers.as_bytes(), b"\r\n", body].concat()
}

pub(crate) fn chunked(body: &[u8], step: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for part in body.chunks(step) {
        out.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
        out.extend_from_slice(part);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\n\r\n");
    out
}

pub(crate) struct Client {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Client {
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // The server may have answered and closed before it took everything.
        self.try_send(bytes).await;
    }

    /// False when the server has closed.
    pub(crate) async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        timeout(LONG, self.stream.write_all(bytes.as_ref()))
            .await
            .expect("the server takes the bytes or closes")
            .is_ok()
    }

    async fn more(&mut self) -> bool {
        let mut buf = [0; 8192];
        let n = timeout(LONG, self.stream.read(&mut buf))
            .await
            .expect("the server answers or closes")
            .unwrap_or(0);
        self.unread.extend_from_slice(&buf[..n]);
        n > 0
    }

    /// The next answer; `None` when the connection ends without one.
    pub(crate) async fn answer(&mut self) -> Option<Answer> {
        let head_end = loop {
            if let Some(n) = self.unread.windows(4).position(|w| w == b"\r\n\r\n") {
                break n;
            }
            if !self.more().await {
                return None;
            }
        };
        let head = String::from_utf8(self.unread[..head_end].to_vec()).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: HashMap<String, String> = lines
            .filter_map(|l| l.split_once(": "))
            .map(|(n, v)| (n.to_ascii_lowercase(), v.to_string()))
            .collect();
        let length = headers.get("content-length").map_or(0, |l| l.parse().unwrap());
        while self.unread.len() < head_end + 4 + length {
            assert!(self.more().await, "an answer cut short: {head}");
        }
        let body = String::from_utf8(self.unread[head_end + 4..head_end + 4 + length].to_vec()).unwrap();
        self.unread.drain(..head_end + 4 + length);
        Some(Answer { status, headers, body })
    }

    /// Whether the server has answered or closed; gives it a moment to.
    pub(crate) async fn closing(&mut self) -> bool {
        let mut buf = [0; 1024];
        match timeout(Duration::from_millis(10), self.stream.read(&mut buf)).await {
            Ok(n) => {
                self.unread.extend_from_slice(&buf[..n.unwrap_or(0)]);
                true
            }
            Err(_) => false,
        }
    }

    /// The server closes the connection without another byte.
    pub(crate) async fn is_closed(&mut self) {
        assert!(
            !self.more().await,
            "unexpected: {:?}",
            String::from_utf8_lossy(&self.unread)
        );
    }
}
