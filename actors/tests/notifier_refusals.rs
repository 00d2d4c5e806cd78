//! Mail servers that refuse: at every command of the dialogue, with the words that servers use.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod notifier_world;

use andon_actors::notifier::{Mailer, Secrets};
use andon_engine::effect::AlertReason;
use andon_engine::subject::SubjectKind::Device;
use andon_engine::time::Span;
use andon_storage::ports::deliveries::DeliveryState;
use notifier_world::{World, configuration};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What is answered to a command in place of taking it; `GREETING` and `BODY` are commands too.
type Refusal = Arc<Mutex<Option<(&'static str, &'static str)>>>;

struct Server {
    address: SocketAddr,
    refusal: Refusal,
    taken: Arc<Mutex<u32>>,
    connections: Arc<Mutex<u32>>,
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            refusal: Refusal::default(),
            taken: Arc::default(),
            connections: Arc::default(),
        };
        let (refusal, taken, connections) = (server.refusal.clone(), server.taken.clone(), server.connections.clone());
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                *connections.lock().unwrap() += 1;
                tokio::spawn(talk(socket, refusal.clone(), taken.clone()));
            }
        });
        server
    }
    fn refuses(&self, refusal: Option<(&'static str, &'static str)>) {
        *self.refusal.lock().unwrap() = refusal;
    }
    async fn world(&self, user: &str) -> World {
        let url = format!("smtp://{user}{}?tls=none", self.address);
        let mailer = Mailer::smtp(&url, "Andon <andon@example.com>", None).unwrap();
        World::with(
            configuration(),
            tempfile::tempdir().unwrap(),
            mailer,
            Secrets::default(),
        )
        .await
    }
}

async fn talk(socket: TcpStream, refusal: Refusal, taken: Arc<Mutex<u32>>) -> std::io::Result<()> {
    let mut socket = BufReader::new(socket);
    let answer_to = |command: &str| {
        let refusal = *refusal.lock().unwrap();
        refusal
            .filter(|(at, _)| command.starts_with(at))
            .map(|(_, answer)| answer)
    };
    let mut answer = answer_to("GREETING").unwrap_or("220 ready");
    loop {
        socket.write_all(format!("{answer}\r\n").as_bytes()).await?;
        let mut line = String::new();
        if socket.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        answer = match answer_to(&line) {
            Some(refused) => refused,
            None if line.starts_with("EHLO") => "250-mail\r\n250 AUTH PLAIN LOGIN",
            None if line.starts_with("AUTH") => "235 welcome",
            None if line.starts_with("QUIT") => return Ok(()),
            None if line.starts_with("DATA") => {
                socket.write_all(b"354 go on\r\n").await?;
                while line != ".\r\n" {
                    line.clear();
                    if socket.read_line(&mut line).await? == 0 {
                        return Ok(());
                    }
                }
                answer_to("BODY").unwrap_or_else(|| {
                    *taken.lock().unwrap() += 1;
                    "250 taken"
                })
            }
            None => "250 ok",
        };
    }
}

#[tokio::test]
async fn a_refused_connection_login_or_sender_waits_and_goes_out_when_it_is_mended() {
    for (at, answer) in [
        ("GREETING", "554 no service for you"),
        ("GREETING", "521 host does not accept mail"),
        ("EHLO", "550 5.7.1 name refused"),
        ("AUTH", "535 5.7.8 bad credentials"),
        ("AUTH", "550 5.7.0 account locked"),
        ("MAIL", "550 5.1.8 sender blocked"),
        ("MAIL", "553 sender not allowed"),
        ("RCPT", "554 5.7.1 <anna@example.com>: Relay access denied"),
        ("RCPT", "550 relay not permitted"),
        ("DATA", "554 5.7.1 policy"),
        ("BODY", "550 5.7.1 refused by DMARC policy"),
        ("BODY", "554 rejected"),
    ] {
        let server = Server::start().await;
        let w = server.world("anna:secret@").await;
        server.refuses(Some((at, answer)));
        let i = w.incident("fatal-per-device", Device, "CNV-03");
        w.raise(&i, AlertReason::Opened).await;
        assert_eq!(w.step().await.retried, 1, "{at} {answer}");
        let (_, message) = w.failures.all().pop().unwrap();
        assert!(
            message.contains("fault of the channel") && message.contains(&answer[..3]),
            "{message}"
        );
        // Most of a day later.
        for _ in 0..22 {
            let r = w.after(Span::hours(1)).await;
            assert_eq!((r.dead, r.sent), (0, 0), "{at} {answer}");
        }
        server.refuses(None);
        assert_eq!(w.after(Span::mins(15)).await.sent, 1, "{at} {answer}");
        assert_eq!(*server.taken.lock().unwrap(), 1);
    }
}

#[tokio::test]
async fn a_refused_recipient_or_message_is_final_and_says_why() {
    for (at, answer) in [
        ("RCPT", "550 5.1.1 no such user"),
        ("RCPT", "550 no such user here"),
        ("RCPT", "552 5.2.2 mailbox full"),
        ("BODY", "552 5.3.4 message too big"),
        ("BODY", "554 5.6.0 not such content"),
    ] {
        let server = Server::start().await;
        let w = server.world("").await;
        server.refuses(Some((at, answer)));
        let i = w.incident("fatal-per-device", Device, "CNV-03");
        w.raise(&i, AlertReason::Opened).await;
        assert_eq!(w.step().await.dead, 1, "{at} {answer}");
        let d = w.deliveries(&i).await.remove(0);
        assert_eq!(d.state, DeliveryState::Dead);
        assert!(d.reason.as_ref().unwrap().contains(&answer[..3]), "{d:?}");
    }
}

#[tokio::test]
async fn a_connection_is_kept_for_the_next_message_and_made_anew_when_it_is_gone() {
    let server = Server::start().await;
    let w = server.world("").await;
    for n in 0..3 {
        let i = w.incident("fatal-per-device", Device, &format!("CNV-{n}"));
        w.raise(&i, AlertReason::Opened).await;
        assert_eq!(w.after(Span::mins(6)).await.sent, 1);
    }
    assert_eq!(*server.connections.lock().unwrap(), 1);
    server.refuses(Some(("NOOP", "421 closing")));
    let i = w.incident("fatal-per-device", Device, "CNV-9");
    w.raise(&i, AlertReason::Opened).await;
    assert_eq!(w.after(Span::mins(6)).await.sent, 1);
    assert_eq!(*server.connections.lock().unwrap(), 2);
}
