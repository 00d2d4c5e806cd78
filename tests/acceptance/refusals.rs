//! Stores that will not do: one sentence, no port was opened, and an exit code that says whether another start may help.

use crate::servers::Servers;
use crate::world::BINARY;
use serde_json::Value;
use std::path::Path;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

fn program(command: &str, args: &[&str]) -> Command {
    let mut c = Command::new(BINARY);
    c.arg(command)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    c
}

fn up<'a>(data: &'a Path, port: &'a str, rest: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec!["--json", "--data-dir", data.to_str().expect("a path"), "--ingest", port];
    args.extend(["--dashboard", "127.0.0.1:0"]);
    args.extend(rest);
    args
}

/// A store is away: a service manager starts the process again.
const AWAY: i32 = 75;
/// Somebody has to change something first.
const SETUP: i32 = 78;

/// A start that must fail with this code: its last sentence.
async fn refused(code: i32, command: &str, args: &[&str]) -> String {
    let output = program(command, args).output().await.expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.stdout.is_empty(), "it was ready: {args:?}");
    assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
    let message = &said[said.rfind("andon: ").unwrap_or_else(|| panic!("no sentence: {said}"))..];
    message.trim_end().to_owned()
}

#[tokio::test]
async fn a_store_that_will_not_do_is_one_sentence_before_a_port_opens() {
    let servers = Servers::new().await;
    let dir = tempfile::tempdir().expect("a folder");
    // Taken: whoever opened a port first would speak of that.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").to_string();
    // Nobody listens here.
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let nobody = free.local_addr().expect("an address").to_string();
    drop(free);
    let changed = |url: &str, change: &dyn Fn(&mut reqwest::Url)| {
        let mut url: reqwest::Url = url.parse().expect("a URL");
        change(&mut url);
        url.to_string()
    };
    let wrong_password = |url: &str| {
        changed(url, &|u| {
            u.set_password(Some("hunter2-wrong")).expect("a URL with a host")
        })
    };
    let cases = [
        (
            AWAY,
            "--postgres-url",
            format!("postgres://andon:hunter2@{nobody}/andon"),
            &["refuses the connection"][..],
        ),
        (
            SETUP,
            "--postgres-url",
            "mysql://andon:hunter2@localhost/andon".into(),
            &["postgres://"],
        ),
        (
            SETUP,
            "--postgres-url",
            wrong_password(&servers.postgres),
            &["password"],
        ),
        (
            SETUP,
            "--postgres-url",
            changed(&servers.postgres, &|u| u.set_path("hunter2_no_such_database")),
            &["no such database"],
        ),
        (
            AWAY,
            "--redis-url",
            format!("redis://default:hunter2@{nobody}/0"),
            &["cannot be reached"],
        ),
        (
            SETUP,
            "--redis-url",
            "http://localhost:6379".into(),
            &["neither redis nor rediss"],
        ),
        (
            SETUP,
            "--redis-url",
            wrong_password(&servers.redis),
            &["does not let Andon in"],
        ),
        (
            SETUP,
            "--redis-url",
            changed(&servers.redis, &|u| u.set_path("99")),
            &["no such database"],
        ),
        (
            AWAY,
            "--elasticsearch-url",
            format!("http://elastic:hunter2@{nobody}"),
            &["cannot be reached"],
        ),
        (SETUP, "--elasticsearch-url", "localhost".into(), &["http"]),
    ];
    for (n, (code, option, url, parts)) in cases.iter().enumerate() {
        let data = dir.path().join(n.to_string());
        let said = refused(*code, "up", &up(&data, &port, &[option, url])).await;
        for part in *parts {
            assert!(said.contains(part), "{option} {n}: {said}");
        }
        assert!(
            !said.contains("hunter2@") && !said.contains("hunter2-wrong"),
            "a password is shown: {said}"
        );
        assert_eq!(said.lines().count(), 1, "one sentence: {said}");
    }

    let data = dir.path().join("unmigrated");
    let said = refused(
        SETUP,
        "up",
        &up(&data, &port, &["--postgres-url", &servers.postgres, "--no-migrate"]),
    )
    .await;
    assert!(said.contains("andon migrate"), "{said}");
    let said = refused(SETUP, "dashboard", &["--json", "--dashboard", "127.0.0.1:0"]).await;
    for option in ["postgres-url", "redis-url", "elasticsearch-url"] {
        assert!(said.contains(option), "{said}");
    }
    let said = refused(SETUP, "notifier", &["--json", "--listen", "127.0.0.1:0"]).await;
    for option in ["postgres-url", "redis-url", "elasticsearch-url", "public-url"] {
        assert!(said.contains(option), "{said}");
    }
    let unreachable = format!("postgres://andon:hunter2@{nobody}/andon");
    for command in [&["migrate"][..], &["key", "list"], &["user", "list"]] {
        let said = refused(
            AWAY,
            command[0],
            &[&command[1..], &["--postgres-url", &unreachable]].concat(),
        )
        .await;
        assert!(said.contains("refuses the connection"), "{said}");
    }
    // Nobody knows yet of which site this would be: the gateway may be about to start.
    let elsewhere = Servers::new().await;
    let stores = [
        "--postgres-url",
        &elsewhere.postgres,
        "--redis-url",
        &elsewhere.redis,
        "--elasticsearch-url",
        &elsewhere.elasticsearch,
    ];
    let notifier = [
        &["--listen", &port, "--public-url", "http://andon.example"][..],
        &stores,
    ]
    .concat();
    let dashboard = [&["--dashboard", &port][..], &stores].concat();
    for (command, args) in [("notifier", &notifier), ("dashboard", &dashboard)] {
        let said = refused(AWAY, command, args).await;
        assert!(said.contains("is not of this version"), "{said}");
    }
    let migrated = program("migrate", &["--postgres-url", &elsewhere.postgres])
        .output()
        .await;
    assert!(migrated.expect("it runs").status.success());
    for (command, args) in [("notifier", &notifier), ("dashboard", &dashboard)] {
        let said = refused(AWAY, command, args).await;
        assert!(said.contains("no gateway has run on this PostgreSQL yet"), "{said}");
    }
}

/// Machines start in any order after a power cut.
#[tokio::test]
async fn a_store_that_comes_later_is_waited_for() {
    let servers = Servers::new().await;
    let dir = tempfile::tempdir().expect("a folder");
    let config = dir.path().join("andon.toml");
    std::fs::write(&config, format!("version = 1\n{}", servers.configuration())).expect("a file");
    let later = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = later.local_addr().expect("an address");
    drop(later);
    let mut redis: reqwest::Url = servers.redis.parse().expect("a URL");
    let real = format!("127.0.0.1:{}", redis.port().expect("a port"));
    redis.set_port(Some(at.port())).expect("a port");
    let data = dir.path().join("data");
    let args = [
        "--json",
        "--config",
        config.to_str().expect("a path"),
        "--data-dir",
        data.to_str().expect("a path"),
        "--ingest",
        "127.0.0.1:0",
        "--public-url",
        "http://andon.example",
        "--redis-url",
        redis.as_str(),
        "--wait-for-stores",
        "10m",
    ];
    let mut gateway = program("gateway", &args).spawn().expect("it runs");
    let mut log = BufReader::new(gateway.stderr.take().expect("piped")).lines();
    loop {
        let line = log.next_line().await.expect("readable").expect("it waits");
        if line.contains("it is waited for") {
            assert!(line.contains("Redis"), "{line}");
            break;
        }
    }
    // What else it says must find a reader.
    tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
    let listener = tokio::net::TcpListener::bind(at).await.expect("the port");
    tokio::spawn(async move {
        while let Ok((mut from, _)) = listener.accept().await {
            let real = real.clone();
            tokio::spawn(async move {
                let mut to = tokio::net::TcpStream::connect(real).await.expect("Redis");
                let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
            });
        }
    });
    let mut said = BufReader::new(gateway.stdout.take().expect("piped")).lines();
    let line = said.next_line().await.expect("readable").expect("it gets ready");
    assert!(line.contains("\"ready\""), "{line}");
    gateway.kill().await.expect("it runs");
}

struct Gateway {
    child: Child,
}

impl Gateway {
    async fn start(args: &[&str]) -> Gateway {
        let mut child = program("gateway", args).stderr(Stdio::null()).spawn().expect("it runs");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let line = lines.next_line().await.expect("readable").expect("it gets ready");
        let ready: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(
            (&ready["event"], &ready["dashboard"]),
            (&Value::from("ready"), &Value::Null)
        );
        Gateway { child }
    }

    async fn signal(&self, name: &str) {
        let pid = self.child.id().expect("it runs").to_string();
        let sent = Command::new("sh")
            .args(["-c", "kill -s \"$0\" \"$1\"", name, &pid])
            .status()
            .await;
        assert!(sent.expect("a shell").success());
    }
}

#[tokio::test]
async fn one_gateway_owns_a_site_and_one_that_was_paused_meanwhile_ends() {
    let servers = Servers::new().await;
    let dir = tempfile::tempdir().expect("a folder");
    let config = dir.path().join("andon.toml");
    std::fs::write(&config, format!("version = 1\n{}", servers.configuration())).expect("a file");
    let args = |data: &str| -> Vec<String> {
        let data = dir.path().join(data);
        [
            "--json",
            "--config",
            config.to_str().expect("a path"),
            "--data-dir",
            data.to_str().expect("a path"),
        ]
        .into_iter()
        .chain([
            "--ingest",
            "127.0.0.1:0",
            "--public-url",
            "http://andon.plant.example",
            "--adopt-stores",
        ])
        .map(str::to_owned)
        .collect()
    };
    let (first, second) = (args("first"), args("second"));
    let first_args: Vec<&str> = first.iter().map(String::as_str).collect();
    let second_args: Vec<&str> = second.iter().map(String::as_str).collect();
    let mut owner = Gateway::start(&first_args).await;
    let said = refused(SETUP, "gateway", &second_args).await;
    assert!(
        said.contains("belongs to the gateway") && said.contains("process"),
        "{said}"
    );

    // Paused: its lease runs out, and another one takes over. When it wakes up it must not write, and ends.
    owner.signal("STOP").await;
    let successor = loop {
        let mut child = program("gateway", &second_args)
            .stderr(Stdio::null())
            .spawn()
            .expect("it runs");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        if let Some(line) = lines.next_line().await.expect("readable") {
            assert!(line.contains("\"ready\""), "{line}");
            break Gateway { child };
        }
        assert_eq!(child.wait().await.expect("a status").code(), Some(78));
    };
    owner.signal("CONT").await;
    assert_eq!(owner.child.wait().await.expect("a status").code(), Some(75));
    drop(successor);
}
