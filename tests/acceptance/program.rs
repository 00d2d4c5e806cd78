//! The program itself: exit codes, what it says, and its end by SIGTERM.

use crate::world::{BINARY, key_in, post, until};
use andon_load::oracle::api::Dashboard;
use andon_load::sender::http_client;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

/// Only a program that hangs reaches it. Each step of the end has its own time, of less than 10 s together.
const STOP_WITHIN: Duration = Duration::from_secs(60);

fn up(data: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.arg("up").arg("--json").arg("--data-dir").arg(data);
    // What is given twice is a fault of the command line.
    for (option, default) in [("--ingest", "127.0.0.1:0"), ("--dashboard", "127.0.0.1:0")] {
        if !args.contains(&option) {
            command.args([option, default]);
        }
    }
    command
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// A start that must fail: code and what it said on standard error.
async fn refused(data: &Path, args: &[&str]) -> (Option<i32>, String) {
    let output = up(data, args).output().await.expect("it runs");
    assert!(
        output.stdout.is_empty(),
        "not ready: {}",
        String::from_utf8_lossy(&output.stdout)
    );
    let said = String::from_utf8_lossy(&output.stderr);
    // Its last message, behind the log.
    let message = said.rfind("andon: ").map_or(&*said, |at| &said[at..]);
    (output.status.code(), message.to_owned())
}

struct Server {
    child: Child,
    ingest: String,
    dashboard: String,
}

impl Server {
    async fn start(data: &Path, args: &[&str]) -> Server {
        let mut child = up(data, args).spawn().expect("it runs");
        let mut errors = child.stderr.take().expect("piped");
        // Read, so that a full pipe cannot stop it.
        let said = tokio::spawn(async move {
            let mut text = String::new();
            let _ = errors.read_to_string(&mut text).await;
            text
        });
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let Some(line) = lines.next_line().await.expect("readable") else {
            panic!("it ended: {}", said.await.unwrap_or_default());
        };
        let ready: Value = serde_json::from_str(&line).expect("one JSON object a line");
        assert_eq!(ready["event"], "ready");
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let text = |name: &str| ready[name].as_str().expect("an address").to_owned();
        Server {
            ingest: text("ingest"),
            dashboard: text("dashboard"),
            child,
        }
    }

    /// SIGTERM, and its code.
    async fn terminate(mut self) -> Option<i32> {
        let pid = self.child.id().expect("it runs").to_string();
        let sent = Command::new("sh")
            .args(["-c", "kill -TERM \"$0\"", &pid])
            .status()
            .await
            .expect("a shell");
        assert!(sent.success());
        let ended = tokio::time::timeout(STOP_WITHIN, self.child.wait()).await;
        ended.expect("it ends in time").expect("a status").code()
    }
}

#[tokio::test]
async fn all_faults_of_a_configuration_are_said_at_once_before_a_port_opens() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("andon.toml");
    std::fs::write(
        &file,
        "version = 1\ncolour = \"red\"\n[[rules]]\nid = \"x\"\nsubject = \"device\"\npriority = \"P9\"\n[[devices]]\nid = \"d\"\nklass = \"c\"\n",
    )
    .unwrap();
    // Taken: whoever opened a port first would speak of that.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap().to_string();
    let data = dir.path().join("data");
    let args = [
        "--config",
        file.to_str().unwrap(),
        "--ingest",
        &at,
        "--dashboard",
        "nowhere",
    ];
    let (code, said) = refused(&data, &args).await;
    assert_eq!(code, Some(78), "{said}");
    for part in [
        "4 fault(s)",
        "colour",
        "rules \"x\"",
        "devices \"d\"",
        "dashboard: \"nowhere\"",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    assert!(!data.exists(), "nothing was begun");
}

#[tokio::test]
async fn a_dashboard_that_others_could_reach_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (code, said) = refused(dir.path(), &["--dashboard", "0.0.0.0:0"]).await;
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("0.0.0.0:0") && said.contains("loopback"), "{said}");
}

#[tokio::test]
async fn two_servers_on_one_folder_are_refused_and_the_first_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let key = key_in(dir.path()).await;
    let first = Server::start(dir.path(), &[]).await;
    let (code, said) = refused(dir.path(), &[]).await;
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("journal") && said.contains("in use"), "{said}");
    let answer = post(&http_client().unwrap(), &first.ingest, &key, &[], record("m")).await;
    assert_eq!(answer.counts(), (202, 1, 0));
    assert_eq!(first.terminate().await, Some(0));
}

#[tokio::test]
async fn stores_of_another_journal_are_refused_until_they_are_adopted() {
    let dir = tempfile::tempdir().unwrap();
    let key = key_in(dir.path()).await;
    let http = http_client().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    assert_eq!(
        post(&http, &server.ingest, &key, &[], record("before")).await.counts(),
        (202, 1, 0)
    );
    until_stored(&server, &key, 1).await;
    assert_eq!(server.terminate().await, Some(0));

    std::fs::remove_dir_all(dir.path().join("journal")).unwrap();
    let (code, said) = refused(dir.path(), &[]).await;
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("--adopt-stores"), "{said}");

    let server = Server::start(dir.path(), &["--adopt-stores"]).await;
    assert_eq!(
        post(&http, &server.ingest, &key, &[], record("after")).await.counts(),
        (202, 1, 0)
    );
    let stored = until_stored(&server, &key, 2).await;
    assert_eq!((stored.get("before"), stored.get("after")), (Some(&1), Some(&1)));
    assert_eq!(server.terminate().await, Some(0));
}

#[tokio::test]
async fn sigterm_under_load_ends_well_and_keeps_what_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let key = key_in(dir.path()).await;
    let server = Server::start(dir.path(), &[]).await;
    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    let answers = Arc::new(AtomicUsize::new(0));
    let mut senders = tokio::task::JoinSet::new();
    for sender in 0..4 {
        let (url, key) = (server.ingest.clone(), key.clone());
        let (acknowledged, answers) = (acknowledged.clone(), answers.clone());
        let http = http_client().unwrap();
        senders.spawn(async move {
            for n in 0.. {
                let names: Vec<String> = (0..20).map(|i| format!("{sender}-{n}-{i}")).collect();
                let body: Vec<Value> = names
                    .iter()
                    .map(|m| json!({ "application": "load", "message": m }))
                    .collect();
                let request = http.post(format!("{url}/v1/records")).bearer_auth(&key).json(&body);
                match request.send().await {
                    Ok(answer) if answer.status() == 202 => {
                        acknowledged.lock().unwrap().extend(names);
                        answers.fetch_add(1, Ordering::Relaxed);
                    }
                    // It is going, or gone.
                    Ok(answer) => {
                        assert_eq!(answer.status(), 503);
                        return;
                    }
                    Err(_) => return,
                }
            }
        });
    }
    until("load", || async {
        (answers.load(Ordering::Relaxed) >= 100).then_some(())
    })
    .await;
    assert_eq!(server.terminate().await, Some(0));
    while let Some(ended) = senders.join_next().await {
        ended.expect("a sender that saw nothing odd");
    }

    let server = Server::start(dir.path(), &[]).await;
    let acknowledged = std::mem::take(&mut *acknowledged.lock().unwrap());
    let stored = until_stored(&server, &key, acknowledged.len()).await;
    let lost: Vec<_> = acknowledged.iter().filter(|m| !stored.contains_key(*m)).collect();
    let twice: Vec<_> = stored.iter().filter(|(_, n)| **n > 1).collect();
    assert!(lost.is_empty() && twice.is_empty(), "lost {lost:?}, twice {twice:?}");
    assert_eq!(server.terminate().await, Some(0));
}

fn record(message: &str) -> Vec<u8> {
    json!({ "application": "a", "message": message })
        .to_string()
        .into_bytes()
}

/// Waits until every sink is done and at least `n` messages are stored: each with its number of records.
async fn until_stored(server: &Server, key: &str, n: usize) -> HashMap<String, usize> {
    let dashboard = Dashboard::new(&server.dashboard, key).expect("a client");
    until("everything is stored", || async {
        if !dashboard.progress().await.expect("a status").is_done() {
            return None;
        }
        let mut stored = HashMap::new();
        let each = |r: andon_load::oracle::Stored| *stored.entry(r.message.unwrap_or_default()).or_default() += 1;
        dashboard.export(&[], each).await.expect("an export");
        (stored.len() >= n).then_some(stored)
    })
    .await
}
