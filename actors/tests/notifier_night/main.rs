//! A night of twelve hours by a clock of its own: the real notifier on the real store, with mute windows over the change of the clocks,
//! shelving, a storm, a mail server that fails for stretches, a clock that is set back, and a process that is killed between any two
//! calls of the store. Checked against what was promised, by an oracle that shares nothing with the notifier.
//!
//! `NIGHTS=n` goes through so many, `SEED=n` through one.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../notifier_world/mod.rs"]
mod notifier_world;
mod oracle;
mod script;
mod sink;
mod store;

use andon_actors::notifier::{LocalQueue, Mailer, Notifier, NotifierArgs, Secrets};
use andon_engine::effect::{Alert, AlertReason, Effect};
use andon_engine::incident::{Activity, Incident, Shelving};
use andon_engine::subject::SubjectKind::{Application, Device, User};
use andon_engine::time::Span;
use andon_storage::ports::deliveries::{ChannelKind, DeliveryId, DeliveryState, DeliveryStore, NoticeKind, Target};
use notifier_world::{Lines, SECRET, URL, World};
use oracle::{Checked, Expected};
use script::{EVENING, Event, NIGHT, RULES, Script};
use sink::{Mode, Sink};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use store::MortalStore;

/// Some twenty seconds unoptimised.
const NIGHTS: u64 = 10;
/// After the night everything that waits has come to its end.
const MORNING: i64 = 3 * 3_600;

/// What nights came to, so that a run can show that they were worth it.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    sent: u64,
    in_digests: u64,
    muted: u64,
    dead: u64,
    kills: u64,
    twice: u64,
}

struct Night {
    world: World,
    store: Arc<MortalStore>,
    notifier: Notifier,
    sink: Sink,
    passed: Arc<AtomicI64>,
    /// How far the clock on the wall is behind.
    behind: Span,
    incidents: Vec<Incident>,
    expected: HashMap<DeliveryId, Expected>,
    tally: Tally,
}

fn notifier(world: &World, store: &Arc<MortalStore>, port: u16) -> Notifier {
    Notifier::new(NotifierArgs {
        store: store.clone(),
        incidents: world.store.clone(),
        config: world.config.subscribe(),
        lines: Arc::new(Lines(vec![])),
        mailer: Arc::new(
            Mailer::smtp(
                &format!("smtp://127.0.0.1:{port}?tls=none"),
                "Andon <andon@example.com>",
                None,
            )
            .unwrap(),
        ),
        secrets: Secrets::default(),
        queue: Arc::new(LocalQueue::default()),
        clock: world.clock.clone(),
        age: world.clock.clone(),
        public_url: URL.into(),
        token_secret: SECRET,
        self_log: world.failures.clone(),
        owner: "night".into(),
    })
    .unwrap()
}

impl Night {
    async fn new() -> Night {
        // In memory where there is such a folder: what a power cut leaves is not what this is about.
        let memory = Path::new("/dev/shm");
        let dir = match memory.is_dir() {
            true => tempfile::tempdir_in(memory).unwrap(),
            false => tempfile::tempdir().unwrap(),
        };
        let unused = Mailer::folder(dir.path(), "andon@example.com").unwrap();
        let world = World::with(script::plant(), dir, unused, Secrets::default()).await;
        world.clock.set(EVENING);
        let passed = Arc::new(AtomicI64::new(0));
        let sink = Sink::start(passed.clone()).await;
        let store = Arc::new(MortalStore::new(world.store.clone()));
        Night {
            notifier: notifier(&world, &store, sink.port),
            world,
            store,
            sink,
            passed,
            behind: Span::ZERO,
            incidents: Vec::new(),
            expected: HashMap::new(),
            tally: Tally::default(),
        }
    }

    fn passed(&self) -> i64 {
        self.passed.load(Ordering::Acquire)
    }

    /// Microseconds since the evening have passed.
    fn pass_to(&mut self, at: i64) {
        let at = at.max(self.passed());
        self.passed.store(at, Ordering::Release);
        let wall = EVENING.plus(Span::micros(at)).minus(self.behind);
        self.world.clock.set(wall);
    }

    /// Goes on to `at`, and does what becomes due on the way.
    async fn go_on_to(&mut self, at: i64) -> Checked {
        for round in 0.. {
            if round > 5_000 {
                return Err("something is due again and again".into());
            }
            let now = self.world.now();
            let due = self.world.store.next_due(now).await.unwrap();
            let shelved = self
                .incidents
                .iter()
                .filter_map(|i| i.shelved.as_ref())
                .map(|s| s.until);
            let next = due.into_iter().chain(shelved).filter(|t| *t > now).min();
            let next = next.map(|t| self.passed() + t.since(now).as_micros());
            match next.filter(|t| *t <= at) {
                Some(next) => {
                    self.pass_to(next);
                    self.end_shelvings().await;
                    self.step().await?;
                }
                None => break,
            }
        }
        self.pass_to(at);
        Ok(())
    }

    /// As judging does when the time is over.
    async fn end_shelvings(&mut self) {
        let now = self.world.now();
        for n in 0..self.incidents.len() {
            if self.incidents[n].shelved.as_ref().is_some_and(|s| s.until <= now) {
                self.world.unshelve(&mut self.incidents[n]).await;
            }
        }
    }

    /// A step, and another one by a successor when the process is killed in the middle of it.
    async fn step(&mut self) -> Checked {
        loop {
            let now = self.world.now();
            let is_killed = tokio::select! {
                report = self.notifier.step(now) => {
                    report.map_err(|e| e.to_string())?;
                    false
                }
                () = self.store.is_killed() => true,
            };
            let decided = std::mem::take(&mut *self.store.decided.lock().unwrap());
            let config = self.world.config.borrow().clone();
            for (at, decision) in &decided {
                oracle::check_decision(decision, *at, &config, &self.incidents, &self.expected)?;
            }
            if !is_killed {
                return Ok(());
            }
            self.tally.kills += 1;
            self.store.kill(None);
            self.notifier = notifier(&self.world, &self.store, self.sink.port);
            self.notifier.recover().await.map_err(|e| e.to_string())?;
        }
    }

    /// The alert of an incident, of its newest record.
    async fn raise(&mut self, n: usize, reason: AlertReason, device: usize) {
        let i = &self.incidents[n];
        let mut alert: Alert = self.world.alert(i, reason);
        alert.context.device = Some(Arc::from(script::name(device)));
        alert.context.area = Some(Arc::from(script::hall(device)));
        alert.context.site = Some(Arc::from("plant"));
        for address in script::addresses(i.rule.as_str()) {
            let expected = Expected {
                incident: n,
                device,
                address,
            };
            let id = DeliveryId::of(alert.id, &Target::new(ChannelKind::Email, address));
            self.expected.insert(id, expected);
        }
        let incident = Effect::Incident(Box::new(i.clone()));
        self.world.apply(&[incident, Effect::Alert(Box::new(alert))]).await;
    }

    /// Changes the incident that was raised so many ago, if there was one.
    async fn change(&mut self, ago: usize, change: impl FnOnce(&mut Incident)) {
        if let Some(n) = self.incidents.len().checked_sub(1 + ago) {
            self.world.change(&mut self.incidents[n], change).await;
        }
    }

    async fn apply(&mut self, event: Event) {
        let now = self.world.now();
        match event {
            Event::Raise { rule, device } => {
                let n = self.incidents.len();
                let (kind, subject) = match RULES[rule] {
                    "errors-per-application" => (Application, format!("app-{n}")),
                    "errors-per-user" => (User, format!("user-{n}")),
                    _ => (Device, script::name(device)),
                };
                self.incidents.push(self.world.incident(RULES[rule], kind, &subject));
                self.raise(n, AlertReason::Opened, device).await;
            }
            Event::NewFault { ago, device } => {
                let Some(n) = self.incidents.len().checked_sub(1 + ago) else {
                    return;
                };
                let i = &mut self.incidents[n];
                i.position = self.world.next_position();
                (i.revision, i.count, i.last_at) = (i.revision + 1, i.count + 1, now);
                let was_over = i.activity != Activity::Active;
                i.activity = Activity::Active;
                let reason = if was_over {
                    AlertReason::Reopened
                } else {
                    AlertReason::NewFault
                };
                self.raise(n, reason, device).await;
            }
            Event::Repeats { ago, n } => self.change(ago, |i| i.count += n).await,
            Event::Normal { ago } => self.change(ago, |i| i.activity = Activity::ReturnedToNormal).await,
            Event::Shelve { ago, secs } => {
                let by: Arc<str> = Arc::from("lena");
                let (until, reason) = (now.plus(Span::secs(secs)), by.clone());
                self.change(ago, |i| i.shelved = Some(Shelving { until, by, reason }))
                    .await;
            }
            Event::Unshelve { ago } => {
                if let Some(n) = self.incidents.len().checked_sub(1 + ago)
                    && self.incidents[n].shelved.is_some()
                {
                    self.world.unshelve(&mut self.incidents[n]).await;
                }
            }
            Event::Server(mode) => *self.sink.mode.lock().unwrap() = mode,
            Event::AddWindow(window) => self.world.configure(|c| c.mute_windows.push(*window)),
            Event::DropWindow(n) => self.world.configure(|c| {
                if n < c.mute_windows.len() {
                    c.mute_windows.remove(n);
                }
            }),
            Event::Kill(kill) => self.store.kill(Some(kill)),
            Event::SetBack(secs) => {
                self.behind = self.behind.plus(Span::secs(secs));
                self.pass_to(self.passed());
            }
        }
    }

    async fn run(mut self, script: Script) -> Result<Tally, String> {
        for (at, event) in script.events {
            self.go_on_to(at * 1_000_000).await?;
            self.end_shelvings().await;
            self.apply(event).await;
            self.step().await?;
        }
        self.go_on_to(NIGHT * 1_000_000).await?;
        self.apply(Event::Server(Mode::Takes)).await;
        self.world.configure(|c| c.mute_windows.clear());
        for ago in 0..self.incidents.len() {
            self.apply(Event::Unshelve { ago }).await;
        }
        self.step().await?;
        self.go_on_to((NIGHT + MORNING) * 1_000_000).await?;
        self.step().await?;
        self.check().await
    }

    async fn check(mut self) -> Result<Tally, String> {
        let taken = std::mem::take(&mut *self.sink.taken.lock().unwrap());
        let notices = self.world.store.notices(100_000).await.unwrap();
        let by_message: HashMap<String, _> = notices
            .iter()
            .map(|n| (format!("<{}.{}@example.com>", n.kind.as_str(), n.id), n.clone()))
            .collect();
        oracle::check_pace(&taken, &by_message)?;
        let by_id: HashMap<_, _> = notices.iter().map(|n| (n.id, n)).collect();
        let mut found = 0;
        for i in &self.incidents {
            let rows = self.world.store.deliveries_of(i.id).await.unwrap();
            oracle::check_addresses(&rows, i)?;
            for d in &rows {
                let notice = d.notice.and_then(|id| by_id.get(&id).copied());
                oracle::check_end(d, i, notice, &taken, "example.com")?;
                let is_digest = notice.is_some_and(|n| n.kind == NoticeKind::Digest);
                match d.state {
                    DeliveryState::Sent if is_digest => self.tally.in_digests += 1,
                    DeliveryState::Sent => self.tally.sent += 1,
                    DeliveryState::Muted => self.tally.muted += 1,
                    _ => self.tally.dead += 1,
                }
            }
            found += rows.len();
        }
        if found != self.expected.len() {
            return Err(format!("{found} deliveries, expected {}", self.expected.len()));
        }
        let mut ids: Vec<&str> = taken.iter().map(|t| t.mail.header("Message-ID")).collect();
        ids.sort_unstable();
        let all = ids.len();
        ids.dedup();
        self.tally.twice = (all - ids.len()) as u64;
        Ok(self.tally)
    }
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

#[tokio::test]
async fn a_night_keeps_its_promises() {
    let seeds = match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => 1..number("NIGHTS").unwrap_or(NIGHTS) + 1,
    };
    let mut sum = Tally::default();
    for seed in seeds.clone() {
        let night = Night::new().await;
        let tally = night.run(Script::of(seed)).await;
        let t = tally.unwrap_or_else(|why| panic!("SEED={seed}\n{why}"));
        sum = Tally {
            sent: sum.sent + t.sent,
            in_digests: sum.in_digests + t.in_digests,
            muted: sum.muted + t.muted,
            dead: sum.dead + t.dead,
            kills: sum.kills + t.kills,
            twice: sum.twice + t.twice,
        };
        if seed % 100 == 0 {
            println!("{seed} nights: {sum:?}");
        }
    }
    println!("{sum:?}");
    if seeds.count() > 1 {
        let all = [sum.sent, sum.in_digests, sum.muted, sum.dead, sum.kills, sum.twice];
        assert!(all.iter().all(|n| *n > 0), "the nights are worth it: {sum:?}");
    }
}
