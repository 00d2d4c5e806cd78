//! Webhooks and Slack on real sockets.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod notifier_world;

use andon_actors::notifier::{Mailer, Secrets, signature};
use andon_engine::effect::AlertReason;
use andon_engine::rule::Channel;
use andon_engine::subject::SubjectKind::{Application, Device};
use andon_engine::time::Span;
use andon_storage::ports::deliveries::{DeliveryState, DeliveryStore};
use notifier_world::{NIGHT, World, configuration, webhook};
use serde_json::Value;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

#[derive(Debug, Clone)]
struct Request {
    head: String,
    body: String,
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|l| l.split_once(": "));
        lines.find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v)
    }
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// Answers every request with what `answer` says, and keeps what it was sent.
struct Receiver {
    url: String,
    answer: Arc<Mutex<Vec<u8>>>,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Receiver {
    async fn start() -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let answer = Arc::new(Mutex::new(Vec::new()));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (answers, kept) = (answer.clone(), requests.clone());
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let (answers, kept) = (answers.clone(), kept.clone());
                tokio::spawn(async move {
                    let mut read = Vec::new();
                    let mut chunk = [0; 8192];
                    loop {
                        let n = socket.read(&mut chunk).await.unwrap_or(0);
                        if n == 0 {
                            return;
                        }
                        read.extend_from_slice(&chunk[..n]);
                        let text = String::from_utf8_lossy(&read).into_owned();
                        let Some((head, body)) = text.split_once("\r\n\r\n") else {
                            continue;
                        };
                        let request = Request {
                            head: head.to_owned(),
                            body: body.to_owned(),
                        };
                        let length: usize = request.header("content-length").unwrap().parse().unwrap();
                        if body.len() == length {
                            kept.lock().unwrap().push(request);
                            break;
                        }
                    }
                    let answer = answers.lock().unwrap().clone();
                    let _ = socket.write_all(&answer).await;
                });
            }
        });
        let r = Receiver { url, answer, requests };
        r.answers("200 OK", "", "");
        r
    }

    fn answers(&self, status: &str, headers: &str, body: &str) {
        let text = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n{body}",
            body.len()
        );
        *self.answer.lock().unwrap() = text.into_bytes();
    }

    fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

async fn world(channel: Channel, secrets: &[(&str, &str)]) -> World {
    let mut c = configuration();
    c.routes[0].recipients.clear();
    c.routes[0].channels.push(channel);
    let secrets = Secrets::new(secrets.iter().map(|(n, v)| (n.to_string(), v.to_string())));
    let mailer = Mailer::folder("/nonexistent", "andon@example.com").unwrap();
    World::with(c, tempfile::tempdir().unwrap(), mailer, secrets).await
}

#[tokio::test]
async fn a_webhook_is_signed_json_and_hears_every_alert_at_once() {
    let r = Receiver::start().await;
    let w = world(webhook("mes", &r.url, Some("mes-key")), &[("mes-key", "s3cret")]).await;
    let mut i = w.incident("fatal-per-device", Device, "CNV-03");
    i.title = Arc::from("\"jam\" <at> \u{1} 🏭");
    w.raise(&i, AlertReason::Opened).await;
    assert_eq!(w.step().await.sent, 1);
    w.new_fault(&mut i, "another").await;
    assert_eq!(w.step().await.sent, 1, "a machine is not throttled");

    let requests = r.requests();
    let first = &requests[0];
    assert_eq!(first.header("content-type"), Some("application/json"));
    assert_eq!(
        first.header("andon-signature"),
        Some(&*signature(b"s3cret", NIGHT, &first.body))
    );
    // Computed elsewhere: printf '1795396205.{}' | openssl dgst -sha256 -hmac s3cret
    assert!(signature(b"s3cret", NIGHT, "{}").starts_with("t=1795396205,v1="));
    assert_ne!(
        signature(b"s3cret", NIGHT, &first.body),
        signature(b"s3crets", NIGHT, &first.body)
    );
    let body = first.json();
    assert_eq!(first.header("andon-notice"), body["id"].as_str());
    assert_eq!(
        (&body["version"], &body["kind"], &body["channel"]),
        (&1.into(), &"alert".into(), &"mes".into())
    );
    let told = &body["incidents"][0];
    assert_eq!(told["id"], i.id.to_string());
    assert_eq!(told["subject"], serde_json::json!({"kind": "device", "id": "CNV-03"}));
    assert_eq!(
        (&told["priority"], &told["reason"], &told["count"]),
        (&"P1".into(), &"opened".into(), &5.into())
    );
    assert_eq!(told["message"], "\"jam\" <at> \u{1} 🏭");
    assert_eq!(
        told["url"],
        format!("https://andon.example.com/incidents/{}", i.id),
        "a link without a person's token"
    );
    assert_eq!(requests[1].json()["incidents"][0]["reason"], "new_fault");
}

#[tokio::test]
async fn a_signature_is_what_others_compute() {
    // printf '1795396205.{"a":1}' | openssl dgst -sha256 -hmac s3cret
    let openssl = std::process::Command::new("sh")
        .args([
            "-c",
            "printf '1795396205.{\"a\":1}' | openssl dgst -sha256 -hmac s3cret | sed 's/.* //'",
        ])
        .output()
        .unwrap();
    let theirs = String::from_utf8(openssl.stdout).unwrap();
    assert_eq!(
        signature(b"s3cret", NIGHT, "{\"a\":1}"),
        format!("t=1795396205,v1={}", theirs.trim())
    );
}

#[tokio::test]
async fn answers_are_told_apart_in_later_and_never() {
    let r = Receiver::start().await;
    let w = world(webhook("mes", &r.url, None), &[]).await;
    let raise = async |n: u32| {
        let i = w.incident("fatal-per-device", Device, &format!("CNV-{n}"));
        w.raise(&i, AlertReason::Opened).await;
        i
    };
    r.answers("503 Service Unavailable", "", "");
    raise(1).await;
    assert_eq!(w.step().await.retried, 1);
    r.answers("429 Too Many Requests", "Retry-After: 120\r\n", "");
    assert_eq!(w.after(Span::secs(5)).await.retried, 1);
    assert_eq!(w.after(Span::secs(119)).await.retried, 0, "it is asked for two minutes");
    r.answers("204 No Content", "", "");
    assert_eq!(w.after(Span::secs(1)).await.sent, 1);
    assert!(r.requests().iter().all(|q| q.header("andon-signature").is_none()));
    assert_eq!(
        r.requests()[0].header("andon-notice"),
        r.requests()[2].header("andon-notice")
    );

    let elsewhere = Receiver::start().await;
    for (status, headers, why) in [
        ("400 Bad Request", String::new(), "400"),
        ("401 Unauthorized", String::new(), "401"),
        ("403 Forbidden", String::new(), "403"),
        ("404 Not Found", String::new(), "404"),
        ("410 Gone", String::new(), "410"),
        (
            "301 Moved Permanently",
            format!("Location: {}\r\n", elsewhere.url),
            "redirects are not followed",
        ),
        (
            "307 Temporary Redirect",
            format!("Location: {}\r\n", elsewhere.url),
            "redirects are not followed",
        ),
    ] {
        r.answers(status, &headers, "no such hook");
        raise(status[..3].parse().unwrap()).await;
        assert_eq!(w.step().await.retried, 1, "{status}");
        let (kind, message) = w.failures.all().pop().unwrap();
        assert_eq!(kind, "andon.notifier.webhook");
        assert!(
            message.contains("fault of the channel") && message.contains(why),
            "{message}"
        );
    }
    assert!(elsewhere.requests().is_empty());
    r.answers("422 Unprocessable Content", "", "no such device");
    let i = raise(422).await;
    assert_eq!(w.step().await.dead, 1);
    let d = w.deliveries(&i).await.remove(0);
    assert!(d.reason.as_ref().unwrap().contains("422"), "{d:?}");
    assert!(w.failures.all().pop().unwrap().1.contains("given up"));
    // Whoever runs the receiver mends it: what waited goes out.
    r.answers("200 OK", "", "");
    let mut sent = 0;
    for _ in 0..7 {
        sent += w.after(Span::mins(1)).await.sent;
    }
    assert_eq!(sent, 7);
}

#[tokio::test]
async fn an_endless_answer_and_a_cut_one_are_read_no_further_than_needed() {
    let r = Receiver::start().await;
    let w = world(webhook("mes", &r.url, None), &[]).await;
    r.answers("200 OK", "", &"x".repeat(8 << 20));
    w.raise(&w.incident("fatal-per-device", Device, "CNV-1"), AlertReason::Opened)
        .await;
    assert_eq!(w.step().await.sent, 1);
    let answer = w.store.notices(1).await.unwrap()[0].answer.clone().unwrap();
    assert!(answer.len() < 300, "{}", answer.len());
    // The socket closes before any answer.
    r.answer.lock().unwrap().clear();
    w.raise(&w.incident("fatal-per-device", Device, "CNV-2"), AlertReason::Opened)
        .await;
    assert_eq!(w.step().await.retried, 1);
}

#[tokio::test]
async fn a_missing_secret_and_a_wrong_url_say_what_to_do() {
    for (channel, why) in [
        (
            webhook("mes", "http://127.0.0.1:1/", Some("mes-key")),
            "no secret \"mes-key\"",
        ),
        (webhook("mes", "ftp://127.0.0.1/", None), "neither http nor https"),
        (webhook("mes", "nonsense", None), "URL is none"),
    ] {
        let w = world(channel, &[]).await;
        let i = w.incident("fatal-per-device", Device, "CNV-03");
        w.raise(&i, AlertReason::Opened).await;
        assert_eq!(w.step().await.retried, 1);
        assert_eq!(w.deliveries(&i).await[0].state, DeliveryState::Noticed);
        let (_, message) = w.failures.all().pop().unwrap();
        assert!(
            message.contains("fault of the channel") && message.contains(why),
            "{message}"
        );
    }
}

#[tokio::test]
async fn slack_gets_blocks_in_which_nothing_of_a_record_is_markup() {
    let r = Receiver::start().await;
    let slack = Channel::Slack {
        name: Arc::from("#hall-2"),
        url_secret: Arc::from("slack-hall-2"),
    };
    let w = world(slack, &[("slack-hall-2", &r.url)]).await;
    let mut i = w.incident("errors-per-application", Application, "wms <!channel>");
    i.title = Arc::from("<https://evil.example|click> & <@U123> ".repeat(200));
    w.raise(&i, AlertReason::Opened).await;
    assert_eq!(w.step().await.sent, 1);
    let body = r.requests()[0].json();
    assert_eq!(body["text"], "[P2 high] wms &lt;!channel&gt;: 5 errors within a minute");
    let text = body["blocks"][0]["text"]["text"].as_str().unwrap();
    assert!(text.chars().count() <= 3_000, "{}", text.len());
    assert!(
        text.contains("&lt;https://evil.example|click&gt; &amp; &lt;@U123&gt;"),
        "{text}"
    );
    let markup: Vec<&str> = text
        .match_indices('<')
        .map(|(at, _)| &text[at..(at + 27).min(text.len())])
        .collect();
    assert_eq!(
        markup,
        ["<https://andon.example.com/i", "<https://andon.example.com/l"].map(|s| &s[..27]),
        "{text}"
    );
    assert!(text.ends_with(">"), "the links are whole: {text}");
    // People read it: it is throttled as their e-mail is.
    w.raise(
        &w.incident("errors-per-application", Application, "erp"),
        AlertReason::Opened,
    )
    .await;
    assert_eq!(w.step().await.sent, 0);
    assert_eq!(w.after(Span::mins(5)).await.sent, 1);
}

#[tokio::test]
async fn no_error_repeats_the_address_of_a_hook() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/services/T000/B000/XXXX", listener.local_addr().unwrap());
    drop(listener);
    let slack = Channel::Slack {
        name: Arc::from("#hall-2"),
        url_secret: Arc::from("slack-hall-2"),
    };
    let w = world(slack, &[("slack-hall-2", &url)]).await;
    w.raise(&w.incident("fatal-per-device", Device, "CNV-03"), AlertReason::Opened)
        .await;
    assert_eq!(w.step().await.retried, 1);
    let (kind, message) = &w.failures.all()[0];
    assert_eq!(kind, "andon.notifier.slack");
    assert!(!message.contains("services") && !message.contains("XXXX"), "{message}");
}
