//! Scenarios and plant through the real gateway on a real socket, judged by the domain itself: everything but the journal, the stores
//! and the actors between.

#![allow(clippy::unwrap_used)] // Helpers of tests: a fault here is a failed test.

use andon_engine::batch::Batch;
use andon_engine::effect::{AlertReason, Effect};
use andon_engine::entity::Entity;
use andon_engine::ids::{JournalId, RouteId};
use andon_engine::incident::Incident;
use andon_engine::record::Record;
use andon_engine::rule::{Configuration, default_rules};
use andon_engine::ruleset::subject_id;
use andon_engine::sequencer::Sequencer;
use andon_engine::subject::Subject;
use andon_engine::time::{Clock, Span, Timestamp};
use andon_gateway::{Config, Gateway, Grant, Intake, IntakeEntry, IntakeError, Keys};
use andon_load::clock::SystemClock;
use andon_load::draft::{Draft, ndjson};
use andon_load::ledger::Ledger;
use andon_load::oracle::{Finding, Raised, Stored, judge_incidents, judge_labels, judge_records};
use andon_load::plant::{Plant, TIME_ZONE, TimeMap};
use andon_load::play;
use andon_load::scenarios::{self, SHIFT_MUTE, mute_labels};
use andon_load::sender::{Patience, Post, Sender};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

const JOURNAL: JournalId = JournalId(1);

/// Keeps entries in memory, in order.
#[derive(Default)]
struct Memory(Mutex<Vec<Batch<Vec<u8>>>>);

#[async_trait::async_trait]
impl Intake for Memory {
    async fn append(&self, entry: IntakeEntry) -> Result<u64, IntakeError> {
        let mut entries = self.0.lock().unwrap();
        let seq = entries.len() as u64 + 1;
        entries.push(Batch::parse(entry.batch, JOURNAL, seq).unwrap());
        Ok(seq)
    }
}

struct AnyKey;
impl Keys for AnyKey {
    fn find(&self, token: &str) -> Option<Arc<Grant>> {
        (token == "key").then(|| Arc::new(Grant::any("k")))
    }
}

async fn gateway() -> (String, Arc<Memory>) {
    let memory = Arc::new(Memory::default());
    let config = Config::new("127.0.0.1:0".parse().unwrap());
    let gateway = Gateway::bind(config, memory.clone(), Arc::new(AnyKey), Arc::new(SystemClock))
        .await
        .unwrap();
    let url = format!("http://{}", gateway.local_addr());
    tokio::spawn(gateway.run(std::future::pending()));
    (url, memory)
}

/// What a store would hold, and the incidents as they are in the end.
fn judged(entries: &[Batch<Vec<u8>>]) -> (Vec<Stored>, Vec<Raised>) {
    let mut sequencer = Sequencer::new(Configuration {
        version: 1,
        rules: default_rules(&RouteId::new("all")).into(),
        ..Configuration::default()
    });
    let set = sequencer.rules().clone();
    let mut entities = BTreeMap::<u64, Entity>::new();
    let (mut stored, mut effects) = (Vec::new(), Vec::new());
    for batch in entries {
        let sequenced = sequencer.records(batch, "all records are of one key");
        for item in &sequenced.items {
            let record = batch.get(item.index as usize);
            let id = subject_id(&record, item.subject, None).expect("it was matched");
            let entity = entities
                .entry(item.hash)
                .or_insert_with(|| Entity::new(Subject::new(item.subject, id)));
            let judgement = &sequenced.judgements[item.index as usize];
            entity.observe(&set, sequenced.matches(item), &record, judgement);
        }
        stored.extend(batch.iter().map(|r| Stored {
            record_id: r.record_id.to_string(),
            id: r.id.map(str::to_owned),
            message: r.message.map(str::to_owned),
            flags: r.flags.names().map(str::to_owned).collect(),
        }));
        let now = batch.iter().next().map_or(Timestamp::MIN, |r| r.received_at);
        entities.values_mut().for_each(|e| e.end_entry(now, &mut effects));
    }
    entities
        .values_mut()
        .for_each(|e| e.flush(Timestamp::MAX, &mut effects));
    (stored, raised(&effects))
}

fn raised(effects: &[Effect]) -> Vec<Raised> {
    let mut last: BTreeMap<String, &Incident> = BTreeMap::new();
    let mut new_faults: BTreeMap<String, u64> = BTreeMap::new();
    let mut fingerprints: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    for effect in effects {
        match effect {
            Effect::Incident(i) => {
                let known = fingerprints.entry(i.id.to_string()).or_default();
                known.extend(i.fingerprints.iter().map(|f| f.fingerprint));
                last.insert(i.id.to_string(), i);
            }
            Effect::Alert(a) if a.reason == AlertReason::NewFault => {
                *new_faults.entry(a.incident.to_string()).or_default() += 1;
            }
            _ => {}
        }
    }
    last.into_iter()
        .map(|(id, i)| Raised {
            rule: i.rule.as_str().to_owned(),
            subject_kind: i.subject.kind,
            subject: i.subject.id.to_string(),
            opened_at: i.opened_at,
            records: i.count,
            reopened: i.reopened.into(),
            fingerprints: Some(fingerprints[&id].len() as u64),
            new_faults: Some(new_faults.get(&id).copied().unwrap_or(0)),
            id,
        })
        .collect()
}

async fn check(name: &str, seed: Option<u64>) {
    let (url, memory) = gateway().await;
    let scenario = scenarios::make(name, "t", seed, SystemClock.now()).unwrap();
    let sender = Sender::new(&url, "key", Ledger::in_memory(), Patience::default()).unwrap();
    let (totals, answers) = play::deliver(&scenario, &sender).await.unwrap();
    let (stored, raised) = judged(&memory.0.lock().unwrap());
    let mut findings: Vec<Finding> = vec![answers];
    findings.extend(sender.with_ledger(|l| judge_records(l.fates(), &BTreeSet::new(), &stored)));
    findings.extend(judge_labels(&scenario.labels, totals, &stored));
    findings.extend(judge_incidents(
        &scenario.labels,
        &format!("{}-", scenario.source),
        &raised,
    ));
    let failed: Vec<&Finding> = findings.iter().filter(|f| !f.ok).collect();
    assert!(failed.is_empty(), "{name}: {failed:#?}");
}

#[tokio::test]
async fn every_scenario_is_answered_stored_and_judged_as_its_labels_say() {
    for name in scenarios::names() {
        check(name, None).await;
    }
}

#[tokio::test]
async fn another_seed_has_the_same_truth() {
    for name in ["SIM9", "SIM11", "SIM15"] {
        check(name, Some(77)).await;
    }
}

#[tokio::test]
async fn everything_the_plant_says_is_accepted_and_its_second_copies_are_known() {
    let (url, memory) = gateway().await;
    let sender = Sender::new(&url, "key", Ledger::in_memory(), Patience::default()).unwrap();
    // Ten plant minutes that end now: every class, every dialect, second copies among them.
    let origin = SystemClock.now().minus(Span::secs(60));
    let stream: Vec<_> = Plant::new(1, TimeMap { origin, speed: 20.0 }, "p", true)
        .take(20_000)
        .collect();
    let (mut accepted, mut duplicates) = (0, 0);
    for part in stream.chunks(400) {
        let drafts: Vec<&Draft> = part.iter().map(|e| &e.draft).collect();
        let lines: Vec<_> = drafts.iter().map(|d| d.line()).collect();
        let post = Post {
            body: ndjson(lines.iter().map(|l| &l[..])),
            content_type: "application/x-ndjson",
            history: false,
            ids: drafts.iter().map(|d| d.id.clone()).collect(),
        };
        let answer = sender.post(&post).await.unwrap();
        assert_eq!((answer.status, &answer.rejected[..]), (202, &[][..]));
        accepted += answer.accepted;
        duplicates += answer.duplicates;
    }
    let copies = stream.iter().filter(|e| e.duplicate).count() as u64;
    assert_eq!((accepted, duplicates), (stream.len() as u64 - copies, copies));
    let entries = memory.0.lock().unwrap();
    // What the dialects say differently comes out the same.
    let by_id: BTreeMap<&str, Record<'_>> = entries
        .iter()
        .flat_map(Batch::iter)
        .map(|r| (r.id.unwrap(), r))
        .collect();
    for d in stream.iter().map(|e| &e.draft) {
        let r = &by_id[d.id.as_str()];
        assert_eq!(r.message, d.message.as_deref(), "{}", d.id);
        assert_eq!(
            (r.level, r.device_id, r.application),
            (d.level, d.device.as_deref(), d.application.as_deref()),
            "{}",
            d.id
        );
        assert_eq!(
            (r.item_id, r.trace_id),
            (d.item.as_deref(), d.trace_id.as_deref()),
            "{}",
            d.id
        );
        assert_eq!(r.readings.len(), d.readings.len(), "{}", d.id);
    }
}

#[test]
fn the_mute_of_the_night_shift_covers_what_the_labels_say() {
    use andon_engine::ids::RuleId;
    use andon_engine::mute::{MuteContext, covers};
    use andon_engine::rule::{MuteSchedule, MuteScope, MuteWindow};
    let (start_minute, end_minute) = SHIFT_MUTE;
    let window = MuteWindow {
        id: Arc::from("night"),
        reason: Arc::from("the night shift looks at the board"),
        scope: MuteScope::default(),
        schedule: MuteSchedule::Recurring {
            days: Vec::new(),
            start_minute,
            end_minute,
            time_zone: Arc::from(TIME_ZONE),
        },
        includes_safety: false,
    };
    let rule = RuleId::new("errors-per-device");
    let context = MuteContext {
        site: None,
        area: None,
        device: None,
        rule: &rule,
        safety: false,
        recipients: &[],
        channel: None,
    };
    let zone = jiff::tz::TimeZone::get(TIME_ZONE).unwrap();
    let labels = mute_labels(&zone, SystemClock.now());
    assert_eq!(labels.len(), 16);
    for l in labels {
        assert_eq!(covers(&window, &context, l.at), l.covered, "{}", l.local);
    }
}
