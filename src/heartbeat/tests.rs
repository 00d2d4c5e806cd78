//! Both sides over a real socket, each with a folder for a mail server, or none.

use super::*;
use andon_actors::notifier::{FALLBACK_AFTER, Mailer};
use andon_engine::time::ManualClock;
use axum::extract::DefaultBodyLimit;
use axum::routing::post;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

const SECRET: [u8; 32] = [7; 32];

fn fallback(dir: &Path, clock: &Arc<ManualClock>) -> Fallback {
    let mailer = Mailer::folder(dir, "andon@example.com").unwrap();
    Fallback::new(Arc::new(mailer), vec!["anna@example.com".into()], clock.clone())
}

fn mails(dir: &Path) -> usize {
    std::fs::read_dir(dir).map_or(0, |files| {
        files
            .filter(|f| f.as_ref().unwrap().path().extension().is_some_and(|e| e == "eml"))
            .count()
    })
}

async fn served(listener: Arc<Listener>) -> String {
    let app = axum::Router::new()
        .route(
            PATH,
            post(async move |headers: HeaderMap, body: String| listener.receive(&headers, &body)),
        )
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX));
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", socket.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(socket, app).await });
    url
}

struct Site {
    clock: Arc<ManualClock>,
    notifier: Arc<Listener>,
    notifier_mails: tempfile::TempDir,
    gateway: Sender,
    gateway_mails: tempfile::TempDir,
    client: reqwest::Client,
    last: i64,
}

impl Site {
    async fn new(notifier_can_tell: bool, gateway_can_tell: bool, secret: &[u8; 32]) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp(1_800_000_000_000_000)));
        let (notifier_mails, gateway_mails) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let at_notifier = Arc::new(fallback(notifier_mails.path(), &clock));
        let notifier = Arc::new(Listener::new(Key::of(&SECRET), notifier_can_tell, at_notifier));
        let gateway = Sender {
            notifier_url: Some(served(notifier.clone()).await),
            key: Key::of(secret),
            fallback: gateway_can_tell.then(|| fallback(gateway_mails.path(), &clock)),
            clock: clock.clone(),
        };
        Self {
            clock,
            notifier,
            notifier_mails,
            gateway,
            gateway_mails,
            client: client().unwrap(),
            last: 0,
        }
    }

    /// One turn of both loops.
    async fn turn(&mut self, can_store: bool, waiting: u64) -> Heard {
        self.last += 1;
        let has_told = self.gateway.fallback.as_ref().is_some_and(Fallback::has_told);
        let beat = Beat {
            at_us: self.last,
            can_store,
            waiting,
            has_told,
        };
        let url = self.gateway.notifier_url.clone().unwrap();
        let heard = self.gateway.exchange(&self.client, &url, &beat).await;
        self.gateway.observe(Some(&heard), can_store, waiting).await;
        if let Some((reachable, waiting)) = self.notifier.last().and_then(Beat::observed)
            && self.notifier.can_tell
        {
            self.notifier.fallback.observe(reachable, waiting).await;
        }
        self.clock.advance(Span::secs(2));
        heard
    }

    async fn outage(&mut self) -> (usize, usize) {
        for _ in 0..100 {
            self.turn(false, 3).await;
        }
        (mails(self.notifier_mails.path()), mails(self.gateway_mails.path()))
    }
}

#[tokio::test]
async fn one_of_the_two_sends_one_email() {
    for (notifier_can, gateway_can, want) in [
        (true, true, (1, 0)),
        (true, false, (1, 0)),
        (false, true, (0, 1)),
        (false, false, (0, 0)),
    ] {
        let mut site = Site::new(notifier_can, gateway_can, &SECRET).await;
        assert_eq!(site.outage().await, want);
        // Over, and another one.
        site.turn(true, 0).await;
        let again = site.outage().await;
        assert_eq!(again, (want.0 * 2, want.1 * 2), "once for each outage");
    }
}

#[tokio::test]
async fn a_gateway_mails_itself_when_the_notifier_is_gone_or_its_mail_server_is() {
    let mut site = Site::new(true, true, &SECRET).await;
    // The notifier has nowhere to write: it cannot tell though it should.
    std::fs::remove_dir(site.notifier_mails.path()).unwrap();
    std::fs::write(site.notifier_mails.path(), "in the way").unwrap();
    for _ in 0..100 {
        site.turn(false, 3).await;
    }
    assert_eq!(mails(site.gateway_mails.path()), 1);
    std::fs::remove_file(site.notifier_mails.path()).unwrap();
    for _ in 0..100 {
        site.turn(false, 3).await;
    }
    assert_eq!(mails(site.notifier_mails.path()), 0, "the gateway has told");

    let mut site = Site::new(true, true, &SECRET).await;
    site.gateway.notifier_url = Some("http://127.0.0.1:1".into());
    for _ in 0..(FALLBACK_AFTER.as_micros() / 2_000_000 + 2) {
        assert!(matches!(site.turn(false, 3).await, Heard::Nothing(_)));
    }
    assert_eq!(mails(site.gateway_mails.path()), 1);
}

#[tokio::test]
async fn what_is_not_signed_by_the_site_or_was_overheard_counts_for_nothing() {
    let mut stranger = Site::new(true, false, &[8; 32]).await;
    assert_eq!(
        stranger.turn(false, 3).await,
        Heard::Nothing("HTTP 401 Unauthorized".into())
    );
    assert_eq!(stranger.notifier.last(), None);

    let mut site = Site::new(true, false, &SECRET).await;
    assert!(matches!(site.turn(true, 0).await, Heard::Answer { .. }));
    site.turn(false, 3).await;
    site.last = 0;
    assert_eq!(site.turn(true, 0).await, Heard::Nothing("HTTP 409 Conflict".into()));
    assert!(!site.notifier.last().unwrap().can_store, "the newest counts");
    let big = site
        .client
        .post(format!("{}{PATH}", site.gateway.notifier_url.as_deref().unwrap()));
    let answer = big.body("x".repeat(BODY_BYTES_MAX + 1)).send().await.unwrap();
    assert_eq!(answer.status(), 413);
}

#[tokio::test]
async fn what_is_not_covered_is_said() {
    let site = Site::new(false, false, &SECRET).await;
    let can = |can_tell| Heard::Answer {
        can_tell,
        has_told: false,
    };
    let mut sender = site.gateway;
    assert_eq!(sender.uncovered(None), None, "not known yet");
    assert_eq!(sender.uncovered(Some(&can(true))), None);
    assert!(sender.uncovered(Some(&can(false))).unwrap().contains("--alert-to"));
    assert!(
        sender
            .uncovered(Some(&Heard::Nothing("refused".into())))
            .unwrap()
            .contains("refused")
    );
    sender.notifier_url = None;
    assert!(sender.uncovered(None).unwrap().contains("--notifier-url"));
    sender.fallback = Some(fallback(site.gateway_mails.path(), &site.clock));
    assert_eq!(sender.uncovered(None), None, "it mails itself");

    for (on_servers, mail, to, want) in [
        (false, false, false, false),
        (true, true, true, false),
        (true, true, false, true),
        (true, false, true, true),
    ] {
        assert_eq!(uncovered_itself(on_servers, mail, to).is_some(), want);
    }

    // The loop says it to whoever asks.
    let seen = AtomicBool::new(false);
    let sender = Sender {
        notifier_url: None,
        key: Key::of(&SECRET),
        fallback: None,
        clock: site.clock.clone(),
    };
    let (stop, note) = (watch::Sender::new(false), watch::Sender::new(None));
    let mut noted = note.subscribe();
    let running = sender.run(
        || {
            seen.store(true, Ordering::SeqCst);
            (true, 0)
        },
        note,
        stop.subscribe(),
    );
    let (_, said) = tokio::join!(running, async {
        let said = noted.wait_for(Option::is_some).await.unwrap().clone();
        stop.send_replace(true);
        said
    });
    assert!(said.unwrap().contains("--notifier-url") && seen.load(Ordering::SeqCst));
}
