//! E-mail over a real SMTP server (`deploy/test/smtp.sh`), read back by another library than the one that wrote it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod notifier_world;

use andon_actors::notifier::{Mailer, Secrets};
use andon_engine::effect::AlertReason;
use andon_engine::subject::SubjectKind::{Application, Device};
use andon_engine::time::Span;
use andon_storage::ports::deliveries::{DeliveryState, DeliveryStore};
use notifier_world::{World, configuration, recipient};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

struct Server {
    dir: tempfile::TempDir,
    port: u16,
    _child: Child,
}

impl Server {
    async fn start(args: &[&str]) -> Server {
        let dir = tempfile::tempdir().unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/test/smtp.sh");
        let mut child = Command::new(script)
            .arg(dir.path())
            .args(args)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("deploy/test/smtp.sh runs");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .await
            .unwrap();
        let port = line
            .trim()
            .parse()
            .expect("smtp.sh prints its port; its standard error says why it did not");
        Server {
            dir,
            port,
            _child: child,
        }
    }

    fn answer(&self, answer: Option<&str>) {
        let file = self.dir.path().join("answer");
        match answer {
            Some(a) => std::fs::write(file, a).unwrap(),
            None => std::fs::remove_file(file).unwrap(),
        }
    }

    /// What arrived, in order.
    fn received(&self) -> Vec<serde_json::Value> {
        let files = std::fs::read_dir(self.dir.path()).unwrap().map(|e| e.unwrap().path());
        let mut files: Vec<PathBuf> = files.filter(|p| p.extension().is_some_and(|e| e == "json")).collect();
        files.sort();
        files
            .iter()
            .map(|f| serde_json::from_slice(&std::fs::read(f).unwrap()).unwrap())
            .collect()
    }
}

fn header<'v>(mail: &'v serde_json::Value, name: &str) -> Vec<&'v str> {
    let headers = mail["headers"].as_array().unwrap();
    headers
        .iter()
        .filter(|h| h[0] == name)
        .map(|h| h[1].as_str().unwrap())
        .collect()
}

async fn world(url: &str, authority: Option<&[u8]>) -> World {
    let mut c = configuration();
    c.recipients[0].name = Arc::from("Änne Müller");
    let mailer = Mailer::smtp(url, "Andon Plant <andon@example.com>", authority).unwrap();
    World::with(c, tempfile::tempdir().unwrap(), mailer, Secrets::default()).await
}

#[tokio::test]
async fn a_message_arrives_with_its_headers_and_both_parts() {
    let server = Server::start(&[]).await;
    let w = world(&format!("smtp://127.0.0.1:{}", server.port), None).await;
    let mut i = w.incident("errors-per-application", Application, "wms-core");
    i.title = Arc::from("Übertemperatur: 81 °C\n.\r\nQUIT");
    w.raise(&i, AlertReason::Opened).await;
    assert_eq!(w.step().await.sent, 1);
    w.repeats(&mut i, 500).await;
    assert_eq!(w.after(Span::mins(5)).await.sent, 1);

    let received = server.received();
    assert_eq!(received.len(), 2, "a line with a dot, and QUIT, are text");
    let first = &received[0];
    assert_eq!(first["from"], "andon@example.com");
    assert_eq!(first["to"], serde_json::json!(["anna@example.com"]));
    assert_eq!(first["defects"], serde_json::json!([]));
    assert_eq!(
        header(first, "Subject"),
        ["[P2 high] wms-core: 5 errors within a minute"]
    );
    assert_eq!(header(first, "From"), ["Andon Plant <andon@example.com>"]);
    assert_eq!(header(first, "To"), ["Änne Müller <anna@example.com>"]);
    assert_eq!(header(first, "Date"), ["Mon, 23 Nov 2026 01:10:05 +0000"]);
    assert_eq!(header(first, "Auto-Submitted"), ["auto-generated"]);
    assert_eq!(header(first, "List-Id"), ["Andon <andon.example.com>"]);
    assert_eq!(header(first, "X-Andon-Incident"), [i.id.to_string()]);
    let root = format!("<incident.{}@example.com>", i.id);
    for mail in &received {
        assert_eq!(
            (header(mail, "References"), header(mail, "In-Reply-To")),
            (vec![&*root], vec![&*root])
        );
    }
    let id = w.store.notices(2).await.unwrap()[1].id;
    assert_eq!(header(first, "Message-ID"), [format!("<alert.{id}@example.com>")]);
    let part = |kind: &str| first["parts"][kind].as_str().unwrap().replace("\r\n", "\n");
    let text = part("text/plain");
    assert!(text.contains("| Übertemperatur: 81 °C\n| .\n| QUIT\n"), "{text}");
    assert!(part("text/html").contains("Übertemperatur: 81 °C\n.\nQUIT</p>"));
    let digest = received[1]["parts"]["text/plain"].as_str().unwrap();
    assert!(digest.contains("500 further errors"), "{digest}");
    let answer = w.store.notice(id).await.unwrap().unwrap().answer.unwrap();
    assert_eq!(answer, "250 2.0.0 taken as 1");
}

#[tokio::test]
async fn starttls_and_a_password_are_used_where_they_are_asked_for() {
    let server = Server::start(&["--tls", "--auth", "anna:s:cr@t"]).await;
    let authority = std::fs::read(server.dir.path().join("ca.pem")).unwrap();
    let url = |password: &str| format!("smtp://anna:{password}@localhost:{}?tls=required", server.port);
    let w = world(&url("s%3Acr%40t"), Some(&authority)).await;
    let i = w.incident("fatal-per-device", Device, "CNV-03");
    w.raise(&i, AlertReason::Opened).await;
    assert_eq!(w.step().await.sent, 1);
    let received = server.received();
    assert_eq!(
        (received[0]["tls"].as_bool(), received[0]["user"].as_str()),
        (Some(true), Some("anna"))
    );

    // A certificate that nobody here trusts, and a wrong password: an administrator can mend both, so the message waits.
    for (url, authority, why) in [
        (url("s%3Acr%40t"), None, "certificate"),
        (url("wrong"), Some(&authority[..]), "535"),
    ] {
        let w = world(&url, authority).await;
        w.raise(&w.incident("fatal-per-device", Device, "CNV-03"), AlertReason::Opened)
            .await;
        assert_eq!(w.step().await.retried, 1);
        let message = &w.failures.all()[0].1;
        assert!(
            message.contains(why) && message.contains("will be tried again"),
            "{message}"
        );
        assert!(!message.contains("wrong"), "no password in a message");
    }
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn a_temporary_answer_is_tried_again_and_a_permanent_one_is_not() {
    let server = Server::start(&[]).await;
    let w = world(&format!("smtp://127.0.0.1:{}?tls=none", server.port), None).await;
    let i = w.incident("errors-per-application", Application, "wms-core");
    w.raise(&i, AlertReason::Opened).await;
    server.answer(Some("451 4.3.0 mailbox busy"));
    assert_eq!(w.step().await.retried, 1);
    assert_eq!(w.step().await.retried, 0, "not before its time");
    assert!(w.failures.all()[0].1.contains("451"), "{:?}", w.failures.all());
    server.answer(None);
    assert_eq!(w.after(Span::secs(5)).await.sent, 1);

    server.answer(Some("554 5.6.0 we do not take such"));
    let other = w.incident("errors-per-application", Application, "erp");
    w.raise(&other, AlertReason::Opened).await;
    assert_eq!(w.after(Span::mins(5)).await.dead, 1);
    let d = &w.deliveries(&other).await[0];
    assert_eq!(d.state, DeliveryState::Dead);
    assert!(d.reason.as_ref().unwrap().contains("554"), "{d:?}");
    assert_eq!(w.failures.all().len(), 2);
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn a_connection_cut_after_the_server_took_the_message_sends_it_again_with_the_same_id() {
    let server = Server::start(&[]).await;
    let w = world(&format!("smtp://127.0.0.1:{}?tls=none", server.port), None).await;
    w.raise(
        &w.incident("errors-per-application", Application, "wms-core"),
        AlertReason::Opened,
    )
    .await;
    server.answer(Some("drop"));
    assert_eq!(w.step().await.retried, 1);
    server.answer(None);
    assert_eq!(w.after(Span::secs(5)).await.sent, 1);
    let received = server.received();
    assert_eq!(received.len(), 2, "twice, because nobody can know; never none");
    assert_eq!(header(&received[0], "Message-ID"), header(&received[1], "Message-ID"));
}

#[tokio::test]
async fn nobody_listening_is_temporary_and_one_bad_address_does_not_keep_the_others() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("smtp://{}?tls=none", listener.local_addr().unwrap());
    drop(listener);
    let w = world(&url, None).await;
    w.raise(
        &w.incident("errors-per-application", Application, "wms-core"),
        AlertReason::Opened,
    )
    .await;
    assert_eq!(w.step().await.retried, 1);

    let server = Server::start(&[]).await;
    let w = world(&format!("smtp://127.0.0.1:{}?tls=none", server.port), None).await;
    w.configure(|c| {
        let mut bad = recipient("mallory", "en");
        bad.email = Arc::from("x@example.com>\r\nRCPT TO:<victim@example.com");
        bad.name = Arc::from("M\r\nBcc: victim@example.com");
        c.recipients.insert(0, bad);
        c.recipients[1].name = Arc::from("A\r\nBcc: victim@example.com\r\n\r\nbody");
        c.routes[0]
            .recipients
            .insert(0, andon_engine::ids::RecipientId::new("mallory"));
    });
    let mut i = w.incident("errors-per-application", Application, "x\r\nBcc: victim@example.com");
    i.error_type = Some(Arc::from("A\r\nB: c"));
    w.raise(&i, AlertReason::Opened).await;
    let report = w.step().await;
    assert_eq!((report.sent, report.dead), (1, 1));
    let received = server.received();
    assert_eq!(received[0]["to"], serde_json::json!(["anna@example.com"]));
    assert!(header(&received[0], "Bcc").is_empty() && header(&received[0], "B").is_empty());
    assert_eq!(
        header(&received[0], "Subject"),
        ["[P2 high] x Bcc: victim@example.com: 5 errors within a minute"]
    );
}
