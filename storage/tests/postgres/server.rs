//! A server of a test's own, to be stopped, frozen and restarted, and a proxy that stands between it and the store.

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Ended and deleted when the test is over.
pub struct Server {
    dir: tempfile::TempDir,
    pub url: String,
}

impl Server {
    /// A new one, on a free port.
    pub fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        // The server runs as another user when the tests run as root.
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
        let mut server = Server {
            dir,
            url: String::new(),
        };
        server.url = server.tell("start");
        server
    }
    pub fn port(&self) -> u16 {
        let (_, address) = self.url.rsplit_once(':').unwrap();
        address.split('/').next().unwrap().parse().unwrap()
    }
    /// `start`, `stop`, `kill`, `freeze` or `thaw`.
    pub fn tell(&self, what: &str) -> String {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/test/postgres.sh");
        let out = Command::new(script)
            .arg(what)
            .arg(self.dir.path().join("server"))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "postgres.sh {what}: {said}");
        String::from_utf8(out.stdout).unwrap().trim().to_owned()
    }
    /// From now on it only reads, as a standby that follows another one does.
    pub fn become_standby(&self) {
        self.tell("stop");
        std::fs::write(self.dir.path().join("server/run/data/standby.signal"), "").unwrap();
        self.tell("start");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.tell("wipe");
    }
}

/// What the proxy does with the next COMMIT that it sees.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Commit {
    Pass,
    /// Hands it on, and cuts the connection instead of bringing the answer.
    LoseAnswer,
    /// Cuts the connection before the server has it.
    Lose,
}

pub struct Proxy {
    pub url: String,
    pub commit: watch::Sender<Commit>,
    /// How many COMMITs were not simply passed.
    pub met: Arc<watch::Sender<u32>>,
}

impl Proxy {
    /// Between `url`'s server at `port` and whoever uses the proxy's URL.
    pub async fn start(url: &str, port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let (commit, rule) = watch::channel(Commit::Pass);
        let met = Arc::new(watch::channel(0).0);
        let noted = met.clone();
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                tokio::spawn(carry(client, server, rule.clone(), noted.clone()));
            }
        });
        Proxy {
            url: format!("{}?sslmode=disable", url.replace(&port.to_string(), &own.to_string())),
            commit,
            met,
        }
    }
}

async fn carry(client: TcpStream, server: TcpStream, rule: watch::Receiver<Commit>, met: Arc<watch::Sender<u32>>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let muted = Arc::new(AtomicBool::new(false));
    let silent = muted.clone();
    let answers = tokio::spawn(async move {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(n @ 1..) = from_server.read(&mut buffer).await {
            if !silent.load(Ordering::SeqCst) && to_client.write_all(&buffer[..n]).await.is_err() {
                return;
            }
        }
    });
    let mut buffer = vec![0; 1 << 16];
    while let Ok(n @ 1..) = from_client.read(&mut buffer).await {
        let now = *rule.borrow();
        if now == Commit::Pass || !buffer[..n].windows(6).any(|w| w == b"COMMIT") {
            if to_server.write_all(&buffer[..n]).await.is_err() {
                break;
            }
            continue;
        }
        muted.store(true, Ordering::SeqCst);
        met.send_modify(|n| *n += 1);
        if now == Commit::LoseAnswer {
            // With the word to end the session: when it ends, the COMMIT is done.
            buffer.truncate(n);
            buffer.extend_from_slice(b"X\0\0\0\x04");
            let _ = to_server.write_all(&buffer).await;
            let _ = answers.await;
            return;
        }
        break;
    }
    answers.abort();
}
