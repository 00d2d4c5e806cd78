//! A real journal, a real checkpoint file made slow and unreliable, and judging over them.

use andon_actors::effect_log::EffectLog;
use andon_actors::entries::{self, EFFECTS};
use andon_actors::judging::{Judging, JudgingArgs};
use andon_actors::router::ROUTER_SHARD;
use andon_actors::self_log::SelfLog;
use andon_actors::work::{EngineJudge, Judge};
use andon_engine::batch::BatchBuilder;
use andon_engine::control::{Control, SilenceFound};
use andon_engine::effect::Effect;
use andon_engine::fingerprint::fingerprint;
use andon_engine::ids::{RouteId, RuleId};
use andon_engine::incident::Incident;
use andon_engine::intake::{IntakeHeader, encode_header};
use andon_engine::level::Level;
use andon_engine::parts::ConfigurationChange;
use andon_engine::record::Record;
use andon_engine::rule::{Condition, Configuration, Device, Rule, Selector, default_rules};
use andon_engine::subject::{Subject, SubjectKind};
use andon_engine::time::{ManualClock, Span, Timestamp};
use andon_storage::journal::{Append, FileIo, Journal, JournalOptions};
use andon_storage::ports::checkpoint::{CheckpointStore, EntityChange, ShardCheckpoint};
use andon_storage::ports::{Cursor, Result, StoreError};
use andon_storage::sqlite::CheckpointFile;
use bytes::Bytes;
use rand::RngExt;
use rand::rngs::StdRng;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub(crate) const START: Timestamp = Timestamp(1_800_000_000_000_000);
pub(crate) const DEVICES: [&str; 6] = ["CNV-01", "CNV-02", "MTR-01", "SRM-01", "GW-1", "GW-2"];
pub(crate) const APPLICATIONS: [&str; 3] = ["wms", "sorter", "erp"];
pub(crate) const QUIET: &str = "quiet";
pub(crate) const MESSAGES: [&str; 4] = ["lock timeout 17 ms", "belt slip on CNV-03", "disk 93 % full", "no read"];

pub(crate) async fn open(dir: &Path, name: &str, clock: &Arc<ManualClock>) -> Journal {
    open_with(dir, name, clock, 1024 * 1024).await
}

pub(crate) async fn open_with(dir: &Path, name: &str, clock: &Arc<ManualClock>, segment_bytes: u64) -> Journal {
    let options = JournalOptions {
        segment_bytes,
        ..JournalOptions::default()
    };
    Journal::open(Arc::new(FileIo), &dir.join(name), options, clock.clone())
        .await
        .expect("a journal opens")
        .0
}

/// A journal that is full whenever its reader is not quick enough.
pub(crate) async fn open_small(dir: &Path, name: &str, clock: &Arc<ManualClock>, reader: &str) -> Journal {
    let segment_bytes = 64 * 1024;
    let options = JournalOptions {
        segment_bytes,
        quota_bytes: 4 * segment_bytes,
        replay_floor: Span::ZERO,
        holders: vec![reader.to_owned()],
        ..JournalOptions::default()
    };
    Journal::open(Arc::new(FileIo), &dir.join(name), options, clock.clone())
        .await
        .expect("a journal opens")
        .0
}

pub(crate) fn configuration(version: u64, without: Option<&str>) -> Configuration {
    let mut rules = default_rules(&RouteId::new("default"));
    rules.retain(|r| Some(r.id.as_str()) != without);
    // Nobody is so silent that it is found: what it finds is written into the journal.
    rules.push(Rule {
        id: RuleId::new(QUIET),
        condition: Condition::Silence {
            after: Some(Span::hours(1_000_000)),
        },
        selector: Selector::default(),
        subject: SubjectKind::Device,
        ..rules[0].clone()
    });
    let device = |id: &str| Device {
        id: Arc::from(id),
        area: Some("hall 1".into()),
        ..Device::default()
    };
    Configuration {
        version,
        rules: rules.into(),
        devices: DEVICES.iter().map(|d| device(d)).collect(),
        ..Configuration::default()
    }
}

/// It is in force from then on, whatever was before.
pub(crate) fn whole(configuration: &Configuration) -> Control {
    Control::Changed(ConfigurationChange::whole(configuration))
}

pub(crate) fn control(control: &Control, at: Timestamp) -> Append {
    Append {
        kind: entries::CONTROL,
        received_at: at,
        header: Bytes::new(),
        body: entries::encode_control(control),
    }
}

pub(crate) fn pick<'a>(rng: &mut StdRng, from: &[&'a str]) -> &'a str {
    from[rng.random_range(0..from.len())]
}

/// A journal of records (early, late, historical, from clocks that step), timers, silences and configuration changes.
/// Gives the time of the last entry.
pub(crate) async fn write_history(journal: &Journal, rng: &mut StdRng, entries: usize) -> Timestamp {
    let mut now = START;
    let mut in_force = configuration(1, None);
    journal.append(control(&whole(&in_force), now)).await.expect("appended");
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
        if rng.random_ratio(1, 15) {
            let found = (0..rng.random_range(1..4)).map(|_| SilenceFound {
                rule: RuleId::new(QUIET),
                device: pick(rng, &DEVICES).into(),
                since: now.minus(Span::mins(10)),
                at: now,
                unknown: Vec::new(),
            });
            let found = Control::SilencesFound(found.collect());
            journal.append(control(&found, now)).await.expect("appended");
            continue;
        }
        if n > 0 && rng.random_ratio(1, 40) {
            let without = if rng.random() {
                Some("errors-per-application")
            } else {
                None
            };
            let next = configuration(n as u64 + 1, without);
            let change = if rng.random_ratio(1, 4) {
                ConfigurationChange::whole(&next)
            } else {
                ConfigurationChange {
                    version: next.version,
                    whole: false,
                    changes: in_force.changes_to(&next),
                }
            };
            in_force = next;
            let changed = control(&Control::Changed(change), now);
            journal.append(changed).await.expect("appended");
            continue;
        }
        let mut batch = BatchBuilder::new();
        let most = if rng.random_ratio(1, 20) { 400 } else { 12 };
        for _ in 0..rng.random_range(1..=most) {
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
pub(crate) async fn timers_have_fired(judging: &Judging) {
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
pub(crate) struct Unreliable {
    pub(crate) inner: CheckpointFile,
    /// Out of 8 calls to save, how many fail.
    pub(crate) failing: u64,
    pub(crate) calls: AtomicU64,
    /// Bytes of the router's states that were saved.
    pub(crate) router_bytes: AtomicU64,
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

pub(crate) struct Run {
    pub(crate) journal: Journal,
    pub(crate) effects: Journal,
    pub(crate) checkpoints: Arc<Unreliable>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) judge: Arc<dyn Judge>,
    pub(crate) shards: u16,
    /// Where what judging says of itself goes.
    pub(crate) own_records: Journal,
    /// Requests that a gateway refused for lack of memory.
    pub(crate) refused: Arc<AtomicU64>,
}

impl Run {
    pub(crate) async fn start(&self) -> Judging {
        let args = JudgingArgs {
            journal: self.journal.clone(),
            effects: EffectLog::new(self.effects.clone(), self.clock.clone()),
            checkpoints: self.checkpoints.clone(),
            clock: self.clock.clone(),
            judge: self.judge.clone(),
            self_log: SelfLog::start(self.own_records.clone(), self.clock.clone()),
            shards: self.shards,
            checkpoint_every: Span::hours(1),
            accepting_since: START,
            refused: self.refused.clone(),
        };
        Judging::start(args).await.expect("judging starts")
    }

    pub(crate) async fn finish(&self, judging: Judging) {
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
    pub(crate) async fn told(&self) -> Told {
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
pub(crate) struct Told {
    pub(crate) incidents: BTreeMap<String, Incident>,
    pub(crate) fingerprints: BTreeMap<(String, u64), u64>,
    pub(crate) timeline: BTreeMap<(String, u64), String>,
    pub(crate) alerts: BTreeMap<String, String>,
    pub(crate) registered: BTreeMap<String, Timestamp>,
}

impl Told {
    /// Fails with what differs, not with all there is.
    pub(crate) fn assert_is(&self, want: &Told) {
        fn differing<K: Ord + std::fmt::Debug, V: PartialEq + std::fmt::Debug>(
            what: &str,
            have: &BTreeMap<K, V>,
            want: &BTreeMap<K, V>,
        ) -> Vec<String> {
            let keys: std::collections::BTreeSet<&K> = have.keys().chain(want.keys()).collect();
            let keys = keys.into_iter().filter(|k| have.get(k) != want.get(k));
            keys.map(|k| format!("{what} {k:?}\n  is {:?}\n  not {:?}", have.get(k), want.get(k)))
                .collect()
        }
        let mut all = differing("incident", &self.incidents, &want.incidents);
        all.extend(differing("fingerprint", &self.fingerprints, &want.fingerprints));
        all.extend(differing("line", &self.timeline, &want.timeline));
        all.extend(differing("alert", &self.alerts, &want.alerts));
        all.extend(differing("name", &self.registered, &want.registered));
        assert!(all.is_empty(), "{} differ:\n{}", all.len(), all.join("\n"));
    }

    pub(crate) fn apply(&mut self, effect: Effect) {
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

pub(crate) async fn run(
    dir: &Path,
    name: &str,
    journal: &Journal,
    clock: &Arc<ManualClock>,
    failing: u64,
    shards: u16,
) -> Run {
    Run {
        journal: journal.clone(),
        effects: open(dir, name, clock).await,
        checkpoints: checkpoints(&dir.join(format!("{name}.db")), failing).await,
        clock: clock.clone(),
        judge: Arc::new(EngineJudge),
        shards,
        own_records: journal.clone(),
        refused: Arc::default(),
    }
}

pub(crate) async fn checkpoints(file: &Path, failing: u64) -> Arc<Unreliable> {
    Arc::new(Unreliable {
        inner: CheckpointFile::open(file).await.expect("a checkpoint file opens"),
        failing,
        calls: AtomicU64::new(0),
        router_bytes: AtomicU64::new(0),
    })
}

pub(crate) async fn append_errors(journal: &Journal, application: &str, messages: &[&str], from: Timestamp) {
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

/// Gives the bytes of the entry.
pub(crate) async fn append_batch(journal: &Journal, mut batch: BatchBuilder, at: Timestamp) -> usize {
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
