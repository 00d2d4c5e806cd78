//! A server of a test's own, to be stopped, frozen and restarted, and a proxy that stands between it and the store.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Ended and deleted when the test is over.
pub struct Server {
    dir: tempfile::TempDir,
    bin: PathBuf,
    port: u16,
}

impl Server {
    /// A new cluster on a free port.
    pub fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let server = Server {
            bin: programs(),
            port: std::net::TcpListener::bind("127.0.0.1:0")
                .unwrap()
                .local_addr()
                .unwrap()
                .port(),
            dir,
        };
        if is_root() {
            // PostgreSQL refuses to run as root.
            run(Command::new("chown").arg("postgres").arg(server.dir.path()));
        }
        let data = server.data();
        run(server
            .program("initdb")
            .args(["-U", "andon", "-A", "trust", "-E", "UTF8", "--locale=C", "-N", "-D"])
            .arg(&data));
        let settings = format!(
            "port = {}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = ''\nfsync = off\nmax_connections = 30\n",
            server.port
        );
        let with_settings = format!("cat >> {}/postgresql.conf <<'END'\n{settings}END", data.display());
        run(server.as_owner("sh").args(["-c", &with_settings]));
        server.control("start");
        server
    }
    pub fn url(&self) -> String {
        format!("postgres://andon@127.0.0.1:{}/postgres", self.port)
    }
    pub fn port(&self) -> u16 {
        self.port
    }
    /// `start`, `stop` or `restart`, as after a crash: nothing is finished.
    pub fn control(&self, what: &str) {
        let log = self.dir.path().join("data/log");
        let mut c = self.program("pg_ctl");
        c.args(["-w", "-t", "60", "-m", "immediate", "-D"]).arg(self.data());
        run(c.arg("-l").arg(log).arg(what));
    }
    /// Stops (`STOP`) or continues (`CONT`) all its processes, the newest last.
    pub fn signal(&self, signal: &str) {
        let pids = std::fs::read_to_string(self.data().join("postmaster.pid")).unwrap();
        let main = pids.lines().next().unwrap().to_owned();
        let children = Command::new("ps")
            .args(["-o", "pid=", "--ppid", &main])
            .output()
            .unwrap();
        let children = String::from_utf8(children.stdout).unwrap();
        for pid in std::iter::once(main.as_str()).chain(children.split_whitespace()) {
            // One that has just ended is no failure.
            let _ = Command::new("kill")
                .args([&format!("-{signal}"), pid])
                .output()
                .unwrap();
        }
    }
    /// From now on nothing can be written to it, as on a standby.
    pub fn become_standby(&self) {
        let signal = self.data().join("standby.signal");
        self.control("stop");
        run(self.as_owner("touch").arg(signal));
        self.control("start");
    }
    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }
    fn program(&self, name: &str) -> Command {
        self.as_owner(self.bin.join(name).to_str().unwrap())
    }
    fn as_owner(&self, program: &str) -> Command {
        let mut c = if is_root() {
            let mut c = Command::new("runuser");
            c.args(["-u", "postgres", "--", program]);
            c
        } else {
            Command::new(program)
        };
        c.current_dir(self.dir.path());
        c
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.signal("CONT");
        self.control("stop");
    }
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout.trim_ascii() == b"0"
}

/// Where the newest PostgreSQL of this machine has its programs.
fn programs() -> PathBuf {
    let installed = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let found = installed
        .map(|e| e.path().join("bin"))
        .filter(|p| p.join("initdb").exists())
        .max();
    found.unwrap_or_else(|| {
        panic!("no initdb in /usr/lib/postgresql/*/bin: install the package postgresql, as `make test` does")
    })
}

fn run(c: &mut Command) -> Output {
    // pg_ctl's server would keep a pipe open that we wait for.
    let out = c
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .output()
        .unwrap();
    assert!(out.status.success(), "{c:?}: {}", String::from_utf8_lossy(&out.stderr));
    out
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
