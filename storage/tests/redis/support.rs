//! A server to test against: the shared one with a namespace for each test, or one of the test's own that it may harm.

use andon_engine::ids::JournalId;
use andon_storage::redis::{Redis, RedisOptions};
use fred::clients::Client;
use fred::interfaces::ClientLike;
use fred::types::config::Config;
use fred::types::{Builder, ClusterHash, CustomCommand, Value};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

/// A connection of the test, beside those of Andon.
pub async fn raw(url: &str) -> Client {
    let client = Builder::from_config(Config::from_url(url).unwrap()).build().unwrap();
    client.init().await.unwrap();
    client
}

pub async fn send(client: &Client, command: &'static str, args: &[&str]) -> Value {
    let args: Vec<Value> = args.iter().map(|a| Value::from(*a)).collect();
    client
        .custom(CustomCommand::new_static(command, ClusterHash::FirstKey, false), args)
        .await
        .unwrap()
}

/// Keys of one test on the shared server, removed at its end.
pub struct Space {
    pub namespace: String,
    url: String,
}

impl Space {
    pub fn new() -> Self {
        let url = std::env::var("ANDON_TEST_REDIS_URL").expect(
            "ANDON_TEST_REDIS_URL names no Redis server: run `make test`, or `deploy/test/servers.sh` and set it",
        );
        Self {
            namespace: format!("andon:test-{:016x}", rand::random::<u64>()),
            url,
        }
    }

    pub fn options(&self, journal: u32) -> RedisOptions {
        RedisOptions {
            namespace: self.namespace.clone(),
            ..RedisOptions::new(&self.url, JournalId(journal))
        }
    }

    pub async fn redis(&self, journal: u32) -> Redis {
        Redis::connect(self.options(journal)).await.unwrap()
    }

    pub async fn raw(&self) -> Client {
        raw(&self.url).await
    }

    pub async fn keys(&self) -> Vec<String> {
        let client = self.raw().await;
        let mut keys = Vec::new();
        let mut at = "0".to_owned();
        loop {
            let pattern = format!("{}:*", self.namespace);
            let Value::Array(mut found) = send(&client, "SCAN", &[&at, "MATCH", &pattern, "COUNT", "1000"]).await
            else {
                panic!("a scan answers a list");
            };
            let Some(Value::Array(page)) = found.pop() else {
                panic!("a scan answers keys")
            };
            keys.extend(page.into_iter().map(|k| k.as_string().unwrap()));
            at = found.pop().unwrap().as_string().unwrap();
            if at == "0" {
                return keys;
            }
        }
    }

    pub async fn remove(self) {
        let client = self.raw().await;
        for key in self.keys().await {
            send(&client, "UNLINK", &[&key]).await;
        }
    }
}

/// A server of the test's own: it may be stopped, frozen, emptied and filled.
pub struct Server {
    child: Option<Child>,
    dir: tempfile::TempDir,
    pub port: u16,
    arguments: Vec<String>,
}

pub const PASSWORD: &str = "a-secret-of-this-test";

impl Server {
    pub async fn start(arguments: &[&str]) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server = Self {
            child: None,
            dir: tempfile::tempdir().unwrap(),
            port,
            arguments: arguments.iter().map(|a| (*a).to_owned()).collect(),
        };
        server.run().await;
        server
    }

    /// Starts the process (again), and returns when it answers.
    pub async fn run(&mut self) {
        let program = std::env::var("ANDON_TEST_REDIS_SERVER").unwrap_or_else(|_| "redis-server".into());
        let child = Command::new(program)
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(["--requirepass", PASSWORD, "--dir"])
            .arg(self.dir.path())
            .args(&self.arguments)
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is to be installed (Debian: apt install redis-server), or named by ANDON_TEST_REDIS_SERVER");
        self.child = Some(child);
        while tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
            tokio::task::yield_now().await;
        }
    }

    pub fn url(&self) -> String {
        format!("redis://:{PASSWORD}@127.0.0.1:{}", self.port)
    }

    pub fn options(&self) -> RedisOptions {
        RedisOptions::new(self.url(), JournalId(1))
    }

    pub async fn redis(&self) -> Redis {
        Redis::connect(self.options()).await.unwrap()
    }

    pub async fn raw(&self) -> Client {
        raw(&self.url()).await
    }

    pub async fn send(&self, command: &'static str, args: &[&str]) -> Value {
        let client = self.raw().await;
        let answer = send(&client, command, args).await;
        let _ = client.quit().await;
        answer
    }

    pub fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    fn signal(&self, name: &str) {
        let id = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    }

    /// Returns once it stands still: until the signal has arrived it may answer one more request.
    pub fn freeze(&self) {
        self.signal("-STOP");
        let pid = self.child.as_ref().expect("it runs").id();
        let stopped = || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it is there");
            let state = stat
                .rsplit(')')
                .next()
                .and_then(|rest| rest.trim_start().chars().next());
            state == Some('T')
        };
        while !stopped() {
            std::thread::yield_now();
        }
    }

    pub fn thaw(&self) {
        self.signal("-CONT");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Stands between Andon and a server. A connection that it stalls stays open for ever, and nothing comes through.
pub struct Proxy {
    pub port: u16,
    stalled: tokio::sync::watch::Sender<u64>,
    task: tokio::task::JoinHandle<()>,
}

impl Proxy {
    pub async fn start(to: u16) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let stalled = tokio::sync::watch::Sender::new(0);
        let stall = stalled.clone();
        let task = tokio::spawn(async move {
            loop {
                let (mut client, _) = listener.accept().await.unwrap();
                let mut stall = stall.subscribe();
                tokio::spawn(async move {
                    let Ok(mut server) = tokio::net::TcpStream::connect(("127.0.0.1", to)).await else {
                        return;
                    };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                        _ = stall.changed() => std::future::pending().await,
                    }
                });
            }
        });
        Self { port, stalled, task }
    }

    /// Stalls every connection that there is. New ones go through.
    pub fn stall(&self) {
        self.stalled.send_modify(|n| *n += 1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}
