//! Any journal, cut at any point, restored and replayed, ends in the same incidents, timelines and alerts as one run without a cut,
//! whatever the timing of shards and stores. Real journals and a real checkpoint file; the checkpoint store is made slow and unreliable.
//! `SEED=n` replays one seed.

use andon_actors::effect_log::EffectLog;
use andon_actors::entries::{self, EFFECTS};
use andon_actors::judging::{Judging, JudgingArgs};
use andon_actors::router::ROUTER_SHARD;
use andon_actors::self_log::SelfLog;
use andon_actors::work::{EngineJudge, Judge};
use andon_engine::batch::BatchBuilder;
use andon_engine::control::Control;
use andon_engine::effect::Effect;
use andon_engine::entity::{Entity, Outcome};
use andon_engine::fingerprint::fingerprint;
use andon_engine::ids::RouteId;
use andon_engine::incident::Incident;
use andon_engine::intake::{IntakeHeader, encode_header};
use andon_engine::level::Level;
use andon_engine::limits::{BATCH_RECORDS_MAX, FINGERPRINTS_MAX};
use andon_engine::record::Record;
use andon_engine::rule::{Configuration, Device, default_rules};
use andon_engine::ruleset::{RuleMatch, RuleSet};
use andon_engine::sources::Judgement;
use andon_engine::subject::{Subject, SubjectKind};
use andon_engine::time::{ManualClock, Span, Timestamp};
use andon_storage::journal::{Append, FileIo, Journal, JournalOptions};
use andon_storage::ports::checkpoint::{CheckpointStore, EntityChange, ShardCheckpoint};
use andon_storage::ports::{Cursor, Result, StoreError};
use andon_storage::sqlite::CheckpointFile;
use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const START: Timestamp = Timestamp(1_800_000_000_000_000);
const DEVICES: [&str; 6] = ["CNV-01", "CNV-02", "MTR-01", "SRM-01", "GW-1", "GW-2"];
const APPLICATIONS: [&str; 3] = ["wms", "sorter", "erp"];
const MESSAGES: [&str; 4] = ["lock timeout 17 ms", "belt slip on CNV-03", "disk 93 % full", "no read"];

async fn open(dir: &Path, name: &str, clock: &Arc<ManualClock>) -> Journal {
    open_with(dir, name, clock, 1024 * 1024).await
}

async fn open_with(dir: &Path, name: &str, clock: &Arc<ManualClock>, segment_bytes: u64) -> Journal {
    let options = JournalOptions {
        segment_bytes,
        ..JournalOptions::default()
    };
    Journal::open(Arc::new(FileIo), &dir.join(name), options, clock.clone())
        .await
        .expect("a journal opens")
        .0
}

fn configuration(version: u64, without: Option<&str>) -> Configuration {
    let mut rules = default_rules(&RouteId::new("default"));
    rules.retain(|r| Some(r.id.as_str()) != without);
    let device = |id: &str| Device {
        id: Arc::from(id),
        area: Some("hall 1".into()),
        ..Device::default()
    };
    Configuration {
        version,
        rules,
        devices: DEVICES.iter().map(|d| device(d)).collect(),
        ..Configuration::default()
    }
}

fn control(control: &Control, at: Timestamp) -> Append {
    Append {
        kind: entries::CONTROL,
        received_at: at,
        header: Bytes::new(),
        body: entries::encode_control(control),
    }
}

fn pick<'a>(rng: &mut StdRng, from: &[&'a str]) -> &'a str {
    from[rng.random_range(0..from.len())]
}

/// A journal of records (early, late, historical, from clocks that step), timers and configuration changes.
/// Gives the time of the last entry.
async fn write_history(journal: &Journal, rng: &mut StdRng, entries: usize) -> Timestamp {
    let mut now = START;
    journal
        .append(control(&Control::Configured(Arc::new(configuration(1, None))), now))
        .await
        .expect("appended");
    for n in 0..entries {
        now = now.plus(Span::millis(rng.random_range(0..8_000)));
        if rng.random_ratio(1, 12) {
            let subject = match rng.random_range(0..2) {
                0 => Subject::new(SubjectKind::Device, pick(rng, &DEVICES)),
                _ => Subject::new(SubjectKind::Application, pick(rng, &APPLICATIONS)),
            };
            let at = now.plus(Span::secs(rng.random_range(-600..1_200)));
            let subjects = vec![subject, Subject::new(SubjectKind::User, "ann")];
            journal
                .append(control(&Control::TimersFired { subjects, at }, now))
                .await
                .expect("appended");
            continue;
        }
        if n > 0 && rng.random_ratio(1, 40) {
            let without = if rng.random() {
                Some("errors-per-application")
            } else {
                None
            };
            let configured = Control::Configured(Arc::new(configuration(n as u64 + 1, without)));
            journal.append(control(&configured, now)).await.expect("appended");
            continue;
        }
        let mut batch = BatchBuilder::new();
        for _ in 0..rng.random_range(1..12) {
            let message = pick(rng, &MESSAGES);
            let lag = match rng.random_range(0..20) {
                0 => Span::secs(rng.random_range(200..800)),
                1 => Span::hours(rng.random_range(1..4)),
                2 => Span::secs(-rng.random_range(1..200)),
                _ => Span::millis(rng.random_range(0..3_000)),
            };
            let level = [Level::Info, Level::Warn, Level::Error, Level::Error, Level::Fatal][rng.random_range(0..5)];
            let application = rng.random_ratio(2, 3).then(|| pick(rng, &APPLICATIONS));
            let device = (application.is_none() || rng.random()).then(|| pick(rng, &DEVICES));
            batch.push(&Record {
                timestamp: now.minus(lag),
                received_at: now,
                level: Some(level),
                message: Some(message),
                kind: rng.random_ratio(1, 30).then_some("SF.estop"),
                application,
                device_id: device,
                user_id: rng.random_ratio(1, 4).then_some("ann"),
                fingerprint: fingerprint(application, None, message),
                ..Record::default()
            });
        }
        let header = Bytes::from(encode_header(&IntakeHeader {
            key_id: Arc::from("k"),
            ..IntakeHeader::default()
        }));
        let entry = Append {
            kind: entries::RECORDS,
            received_at: now,
            header,
            body: Bytes::from(batch.finish()),
        };
        journal.append(entry).await.expect("appended");
    }
    now
}

/// Waits until everything is judged and no timer is due.
async fn timers_have_fired(judging: &Judging) {
    let waiting = async {
        loop {
            let seen = judging.observe().await.expect("an answer");
            let due: usize = seen.shards.iter().map(|s| s.timers_due).sum();
            if due == 0 && seen.router.at_head && seen.router.position == judging.head() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting)
        .await
        .expect("timers come to an end");
}

/// A checkpoint store that is slow at times, and at times not there.
struct Unreliable {
    inner: CheckpointFile,
    /// Out of 8 calls to save, how many fail.
    failing: u64,
    calls: AtomicU64,
    /// Bytes of the router's states that were saved.
    router_bytes: AtomicU64,
}

#[async_trait::async_trait]
impl CheckpointStore for Unreliable {
    async fn load(&self, shard: u16) -> Result<ShardCheckpoint> {
        self.inner.load(shard).await
    }
    async fn save(&self, shard: u16, cursor: Cursor, changes: Vec<EntityChange>) -> Result<()> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        for _ in 0..(call * 7) % 5 {
            tokio::task::yield_now().await;
        }
        if call.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 61 < self.failing {
            return Err(StoreError::Unavailable {
                store: "checkpoints",
                reason: "injected".into(),
            });
        }
        if shard == ROUTER_SHARD {
            let bytes = changes.iter().flat_map(|c| &c.state).map(|s| s.len() as u64).sum();
            self.router_bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        self.inner.save(shard, cursor, changes).await
    }
    async fn fetch(&self, shard: u16, key: &str) -> Result<Option<Bytes>> {
        self.inner.fetch(shard, key).await
    }
}

struct Run {
    journal: Journal,
    effects: Journal,
    checkpoints: Arc<Unreliable>,
    clock: Arc<ManualClock>,
    judge: Arc<dyn Judge>,
    shards: u16,
}

impl Run {
    async fn start(&self) -> Judging {
        let args = JudgingArgs {
            journal: self.journal.clone(),
            effects: EffectLog::new(self.effects.clone(), self.clock.clone()),
            checkpoints: self.checkpoints.clone(),
            clock: self.clock.clone(),
            judge: self.judge.clone(),
            self_log: SelfLog::start(self.journal.clone(), self.clock.clone()),
            shards: self.shards,
            checkpoint_every: Span::hours(1),
            accepting_since: START,
        };
        Judging::start(args).await.expect("judging starts")
    }

    async fn finish(&self, judging: Judging) {
        let drained = judging.drain(Duration::from_secs(60)).await;
        assert!(
            drained,
            "everything is judged and saved: {:?}, journal at {}",
            judging.observe().await,
            judging.head()
        );
        judging.stop().await;
    }

    /// What a store holds after applying every effect in order.
    async fn told(&self) -> Told {
        let mut told = Told::default();
        let mut reader = self.effects.reader(1);
        while let Some(entry) = reader.try_next().await.expect("the effect journal is whole") {
            assert_eq!(entry.kind, EFFECTS);
            for effect in entries::decode_effects(entry.seq, &entry.body).expect("effects read back") {
                told.apply(effect);
            }
        }
        told
    }
}

#[derive(Debug, Default, PartialEq)]
struct Told {
    incidents: BTreeMap<String, Incident>,
    fingerprints: BTreeMap<(String, u64), u64>,
    timeline: BTreeMap<(String, u64), String>,
    alerts: BTreeMap<String, String>,
    registered: BTreeMap<String, Timestamp>,
}

impl Told {
    fn apply(&mut self, effect: Effect) {
        match effect {
            Effect::Incident(i) => {
                let row = self
                    .incidents
                    .entry(i.id.to_string())
                    .or_insert_with(|| Incident::clone(&i));
                for f in &i.fingerprints {
                    let row = self.fingerprints.entry((i.id.to_string(), f.fingerprint)).or_default();
                    *row = f.count.max(*row);
                }
                if (i.position, i.revision) >= (row.position, row.revision) {
                    *row = *i;
                }
                row.fingerprints.clear();
            }
            Effect::Timeline(t) => {
                let line = self
                    .timeline
                    .entry((t.incident.to_string(), t.revision))
                    .or_insert_with(|| format!("{t:?}"));
                assert_eq!(*line, format!("{t:?}"), "a line of a timeline never changes");
            }
            Effect::Alert(a) => {
                let alert = self.alerts.entry(a.id.to_string()).or_insert_with(|| format!("{a:?}"));
                assert_eq!(*alert, format!("{a:?}"), "an alert never changes");
            }
            Effect::Registered(r) => {
                self.registered
                    .entry(format!("{} {}", r.kind.as_str(), r.id))
                    .or_insert(r.first_seen);
            }
        }
    }
}

async fn run(dir: &Path, name: &str, journal: &Journal, clock: &Arc<ManualClock>, failing: u64, shards: u16) -> Run {
    let inner = CheckpointFile::open(&dir.join(format!("{name}.db")))
        .await
        .expect("a checkpoint file opens");
    Run {
        journal: journal.clone(),
        effects: open(dir, name, clock).await,
        checkpoints: Arc::new(Unreliable {
            inner,
            failing,
            calls: AtomicU64::new(0),
            router_bytes: AtomicU64::new(0),
        }),
        clock: clock.clone(),
        judge: Arc::new(EngineJudge),
        shards,
    }
}

fn seeds() -> Vec<u64> {
    match std::env::var("SEED") {
        Ok(seed) => vec![seed.parse().expect("SEED is a number")],
        Err(_) => (1..=12).collect(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_run_ends_like_one_without_a_cut() {
    for seed in seeds() {
        println!("seed {seed}");
        let mut rng = StdRng::seed_from_u64(seed);
        let dir = tempfile::tempdir().expect("a folder");
        let clock = Arc::new(ManualClock::new(START));
        let journal = open(dir.path(), "journal", &clock).await;
        // The wall stands where the history ends. The first run lets every timer fire that is due by then, so that the second finds
        // them in the journal and has none of its own.
        clock.set(write_history(&journal, &mut rng, 150).await);

        let whole = run(dir.path(), "whole", &journal, &clock, 0, 4).await;
        let judging = whole.start().await;
        timers_have_fired(&judging).await;
        whole.finish(judging).await;
        let want = whole.told().await;
        assert!(
            !want.alerts.is_empty() && want.incidents.len() > 3,
            "the history is worth judging"
        );

        let cut = run(dir.path(), "cut", &journal, &clock, rng.random_range(0..5), 4).await;
        for _ in 0..rng.random_range(1..6) {
            let judging = cut.start().await;
            let until = rng.random_range(0..journal.durable_seq());
            let mut routed = judging.routed();
            tokio::time::timeout(Duration::from_secs(60), routed.wait_for(|r| *r >= until))
                .await
                .expect("in time")
                .expect("routing goes on");
            if rng.random() {
                // Saved or not, as the store pleases.
                judging.drain(Duration::from_millis(rng.random_range(1..200))).await;
            }
            judging.stop().await;
        }
        // The store is well again for the end: what matters is what was made of it before.
        let last = Run {
            checkpoints: Arc::new(Unreliable {
                inner: CheckpointFile::open(&dir.path().join("cut.db")).await.expect("opens"),
                failing: 0,
                calls: AtomicU64::new(0),
                router_bytes: AtomicU64::new(0),
            }),
            ..cut
        };
        last.finish(last.start().await).await;
        assert_eq!(last.told().await, want, "seed {seed}");
    }
}

/// Panics on one message, as a fault of ours would.
struct Fragile;

impl Judge for Fragile {
    fn observe(
        &self,
        entity: &mut Entity,
        set: &RuleSet,
        matched: &[RuleMatch],
        record: &Record<'_>,
        judgement: &Judgement,
    ) -> Outcome {
        let outcome = EngineJudge.observe(entity, set, matched, record, judgement);
        assert!(record.message != Some("poison"), "injected");
        outcome
    }
}

async fn append_errors(journal: &Journal, application: &str, messages: &[&str], from: Timestamp) {
    let mut batch = BatchBuilder::new();
    for (i, message) in messages.iter().enumerate() {
        let t = from.plus(Span::secs(i as i64));
        batch.push(&Record {
            timestamp: t,
            received_at: t,
            level: Some(Level::Error),
            message: Some(message),
            application: Some(application),
            fingerprint: fingerprint(Some(application), None, message),
            ..Record::default()
        });
    }
    let header = Bytes::from(encode_header(&IntakeHeader::default()));
    let entry = Append {
        kind: entries::RECORDS,
        received_at: from,
        header,
        body: Bytes::from(batch.finish()),
    };
    journal.append(entry).await.expect("appended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_panics_is_skipped_and_the_entity_and_its_neighbours_live_on() {
    let dir = tempfile::tempdir().expect("a folder");
    let clock = Arc::new(ManualClock::new(START));
    let journal = open(dir.path(), "journal", &clock).await;
    journal
        .append(control(&Control::Configured(Arc::new(configuration(1, None))), START))
        .await
        .expect("appended");
    // Four errors, a poisoned one, and a fifth: the fifth opens the incident, so nothing of the four was lost.
    append_errors(&journal, "wms", &["a", "a", "a", "a", "poison", "a"], START).await;
    append_errors(&journal, "erp", &["b", "b", "b", "b", "b"], START).await;

    // One shard, so that they are neighbours.
    let run = Run {
        judge: Arc::new(Fragile),
        ..run(dir.path(), "effects", &journal, &clock, 0, 1).await
    };
    let judging = run.start().await;
    assert!(judging.drain(Duration::from_secs(30)).await);
    let seen = judging.observe().await.expect("an answer");
    assert_eq!(
        (seen.shards[0].panics, seen.shards[0].set_aside, seen.restarts),
        (1, 0, 0)
    );

    // It panics on two more records: then it is set aside, and said so in a record of our own.
    append_errors(&journal, "wms", &["poison", "poison", "a"], START.plus(Span::secs(20))).await;
    assert!(judging.drain(Duration::from_secs(30)).await);
    let seen = judging.observe().await.expect("an answer");
    assert_eq!(seen.shards[0].set_aside, 1);
    run.finish(judging).await;

    let told = run.told().await;
    let opened: Vec<_> = told
        .incidents
        .values()
        .map(|i| (i.subject.id.to_string(), i.count))
        .collect();
    assert!(
        opened.contains(&("wms".into(), 5)) && opened.contains(&("erp".into(), 5)),
        "{opened:?}"
    );
}

/// One entry with a record of each of these devices.
async fn hear(journal: &Journal, devices: impl Iterator<Item = usize>, at: Timestamp) {
    let mut batch = BatchBuilder::new();
    for device in devices {
        batch.push(&Record {
            timestamp: at,
            received_at: at,
            level: Some(Level::Info),
            message: Some("all is well"),
            device_id: Some(&format!("MTR-{device:05}")),
            ..Record::default()
        });
    }
    let entry = Append {
        kind: entries::RECORDS,
        received_at: at,
        header: Bytes::from(encode_header(&IntakeHeader::default())),
        body: Bytes::from(batch.finish()),
    };
    journal.append(entry).await.expect("appended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_of_the_router_costs_what_changed() {
    let dir = tempfile::tempdir().expect("a folder");
    let clock = Arc::new(ManualClock::new(START));
    let journal = open(dir.path(), "journal", &clock).await;
    let run = run(dir.path(), "run", &journal, &clock, 0, 4).await;
    let saved = || run.checkpoints.router_bytes.swap(0, Ordering::Relaxed);
    for from in (0..10_000).step_by(1_000) {
        hear(&journal, from..from + 1_000, START).await;
    }
    run.finish(run.start().await).await;
    let all = saved();
    // A process that starts on it knows what it had, and saves no more of it than another.
    hear(&journal, (0..10_000).step_by(1_000), START.plus(Span::secs(10))).await;
    let judging = run.start().await;
    assert!(judging.drain(Duration::from_secs(60)).await);
    let seen = judging.observe().await.expect("it runs").router;
    assert_eq!((seen.sources, seen.registered), (10_000, 10_000));
    judging.stop().await;
    let few = saved();
    println!("{all} bytes for 10,000 sources, {few} for 10 of them");
    assert!(few > 0 && few * 200 < all, "{few} of {all} bytes");
}

/// Gives the bytes of the entry.
async fn append_batch(journal: &Journal, mut batch: BatchBuilder, at: Timestamp) -> usize {
    let header = Bytes::from(encode_header(&IntakeHeader::default()));
    let body = Bytes::from(batch.finish());
    let bytes = body.len();
    let entry = Append {
        kind: entries::RECORDS,
        received_at: at,
        header,
        body,
    };
    journal.append(entry).await.expect("appended");
    bytes
}

/// 20 words, none of which another message has.
fn words(n: usize) -> String {
    let word = |w: usize| {
        let letters = (0..6).map(|l| char::from(b'a' + ((n * 31 + w * 7 + n / 26_usize.pow(l)) % 26) as u8));
        letters.collect::<String>()
    };
    (0..20).map(|w| format!("{} ", word(w))).collect()
}

/// Bytes of the effect journal from `from` on, and the largest entry.
async fn effect_bytes(effects: &Journal, from: u64) -> (usize, usize) {
    let (mut all, mut largest) = (0, 0);
    let mut reader = effects.reader(from);
    while let Some(entry) = reader.try_next().await.expect("the effect journal is whole") {
        all += entry.body.len();
        largest = largest.max(entry.body.len());
    }
    (all, largest)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_variety_of_one_request_stops_judging() {
    let dir = tempfile::tempdir().expect("a folder");
    let clock = Arc::new(ManualClock::new(START));
    let journal = open_with(dir.path(), "journal", &clock, 64 << 20).await;
    journal
        .append(control(&Control::Configured(Arc::new(configuration(1, None))), START))
        .await
        .expect("appended");
    // Every message a template of its own, of one application; then more devices and applications than fit an entry.
    let mut templates = BatchBuilder::new();
    let mut bytes = 0;
    for n in 0..1_200 {
        let message = words(n);
        bytes += message.len();
        templates.push(&Record {
            timestamp: START,
            received_at: START,
            level: Some(Level::Error),
            message: Some(&message),
            application: Some("wms"),
            fingerprint: fingerprint(Some("wms"), None, &message),
            ..Record::default()
        });
    }
    append_batch(&journal, templates, START).await;
    let mut names = BatchBuilder::new();
    for n in 0..BATCH_RECORDS_MAX {
        names.push(&Record {
            timestamp: START,
            received_at: START,
            level: Some(Level::Info),
            message: Some("hello"),
            device_id: Some(&format!("D{n:06}")),
            application: Some(&format!("A{n:06}")),
            ..Record::default()
        });
    }
    append_batch(&journal, names, START).await;
    append_errors(&journal, "erp", &["b"; 5], START).await;

    let run = run(dir.path(), "effects", &journal, &clock, 0, 4).await;
    // The process ends in the middle of it, and starts again on what was saved.
    let judging = run.start().await;
    let mut routed = judging.routed();
    routed.wait_for(|r| *r >= 2).await.expect("routing goes on");
    judging.stop().await;
    let judging = run.start().await;
    assert!(judging.drain(Duration::from_secs(120)).await, "everything is judged");
    let seen = judging.observe().await.expect("an answer");
    assert_eq!(seen.restarts, 0);
    run.finish(judging).await;

    let told = run.told().await;
    assert_eq!(told.registered.len(), 2 * BATCH_RECORDS_MAX + 2);
    let of = |name: &str| {
        told.incidents
            .values()
            .find(|i| &*i.subject.id == name)
            .expect("an incident")
    };
    assert_eq!((of("wms").count, of("erp").count), (1_200, 5));
    assert!(of("wms").fingerprints_truncated);
    let kept = told
        .fingerprints
        .keys()
        .filter(|(id, _)| *id == of("wms").id.to_string())
        .count();
    assert_eq!(kept, FINGERPRINTS_MAX);
    let (all, largest) = effect_bytes(&run.effects, 1).await;
    println!("{all} bytes of effects, the largest entry {largest}, for {bytes} bytes of messages");
    assert!(largest <= 4 << 20);
}

/// What judging says of an entry is bounded by the entry: a small multiple, whatever it holds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_effects_of_an_entry_are_a_small_multiple_of_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let clock = Arc::new(ManualClock::new(START));
    let journal = open_with(dir.path(), "journal", &clock, 64 << 20).await;
    journal
        .append(control(&Control::Configured(Arc::new(configuration(1, None))), START))
        .await
        .expect("appended");
    let run = run(dir.path(), "effects", &journal, &clock, 0, 2).await;
    let judging = run.start().await;
    let mut now = START;
    for (name, devices, messages, level, apart) in [
        ("templates of one application", 0, 700, Level::Error, Span::ZERO),
        ("repeats", 0, 1, Level::Error, Span::ZERO),
        ("a fault of each device", 700, 1, Level::Fatal, Span::ZERO),
        ("new incidents all the time", 1, 700, Level::Fatal, Span::hours(2)),
        ("new devices", 700, 1, Level::Info, Span::ZERO),
    ] {
        now = now.plus(Span::hours(2_000));
        clock.set(now);
        let before = run.effects.durable_seq();
        let mut batch = BatchBuilder::new();
        for n in 0..700usize {
            let message = words(n % messages);
            let device = (devices > 0).then(|| format!("{name} {}", n % devices));
            batch.push(&Record {
                timestamp: now.minus(Span(apart.0 * (700 - n as i64))),
                received_at: now,
                level: Some(level),
                message: Some(&message),
                application: device.is_none().then_some("wms"),
                device_id: device.as_deref(),
                fingerprint: fingerprint(None, None, &message),
                ..Record::default()
            });
        }
        let body = append_batch(&journal, batch, now).await;
        assert!(judging.drain(Duration::from_secs(60)).await, "{name}");
        let (bytes, _) = effect_bytes(&run.effects, before + 1).await;
        println!("{name}: {bytes} bytes of effects for an entry of {body}");
        assert!(
            bytes <= 16 * body,
            "{name}: {bytes} bytes of effects for an entry of {body}"
        );
    }
    run.finish(judging).await;
}
