//! A plant of any size, and what its records cost.

use andon_engine::batch::{Batch, BatchBuilder};
use andon_engine::entity::Entity;
use andon_engine::fingerprint::fingerprint;
use andon_engine::ids::{JournalId, RouteId, RuleId};
use andon_engine::level::Level;
use andon_engine::parts::ConfigurationChange;
use andon_engine::record::Record;
use andon_engine::rule::{Condition, Configuration, Device, Direction, Limit, Rule, Selector, default_rules};
use andon_engine::ruleset::subject_id;
use andon_engine::sequencer::Sequencer;
use andon_engine::sequencer::accepting::Accepting;
use andon_engine::subject::Subject;
use andon_engine::time::{Span, Timestamp};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

pub const START: Timestamp = Timestamp(1_800_000_000_000_000);
/// Records of a round.
pub const RECORDS: usize = 2_000;
pub const SILENT_AFTER: Span = Span::hours(2);

pub fn measures() -> bool {
    std::env::var_os("SCALE").is_some()
}

/// `full` for a run that measures, else `tiny`.
pub fn size(full: usize, tiny: usize) -> usize {
    if measures() { full } else { tiny }
}

pub fn device(n: usize) -> String {
    format!("CNV-{n:06}")
}

/// A message without numbers, so that each is a template of its own.
pub fn words(n: usize) -> String {
    let word = |n: usize| ["belt", "axis", "drive", "tote", "scanner", "gate", "lift", "lane"][n % 8];
    let places = (0..5).map(|i| word(n / 8usize.pow(i)));
    places.collect::<Vec<_>>().join(" ")
}

/// CPU time of this thread, where the system says it; else the time that passed.
#[allow(clippy::disallowed_methods)] // What is measured here is real time.
pub fn cpu(work: impl FnOnce()) -> Duration {
    let on_cpu = || {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
    };
    let (from, began) = (on_cpu(), std::time::Instant::now());
    work();
    match from.zip(on_cpu()) {
        Some((from, to)) if to > from => to - from,
        _ => began.elapsed(),
    }
}

/// Bytes of this process in memory, where the system says it.
pub fn resident() -> Option<i64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: i64 = text.split(' ').nth(1)?.parse().ok()?;
    Some(pages * 4096)
}

/// The default rules, one of silence, and `rules` more that each look for something of its own.
fn configuration(version: u64, rules: usize, devices: usize) -> Configuration {
    let route = RouteId::new("default");
    let mut all = default_rules(&route);
    let model = all[2].clone();
    all.push(Rule {
        id: RuleId::new("quiet"),
        condition: Condition::Silence {
            after: Some(SILENT_AFTER),
        },
        selector: Selector::default(),
        ..model.clone()
    });
    // The room for rules is used to the last.
    for n in 0..rules.min(10_000 - all.len()) {
        let mut rule = Rule {
            id: RuleId::new(format!("rule-{n:05}")),
            selector: Selector::default(),
            ..model.clone()
        };
        let (s, own) = (&mut rule.selector, Arc::from(format!("value-{n}")));
        match n % 8 {
            0 => s.devices = vec![own],
            1 => s.applications = vec![own],
            2 => s.users = vec![own],
            3 => s.areas = vec![own],
            4 => s.device_classes = vec![own],
            5 => s.type_prefix = Some(own),
            6 => s.fields = vec![("zone".into(), own)],
            _ => {
                rule.condition = Condition::Limit(Limit {
                    reading: own,
                    unit: None,
                    direction: Direction::Above,
                    bound: 1.0,
                    deadband: 0.0,
                    on_delay: Span::ZERO,
                });
            }
        }
        all.push(rule);
    }
    let device = |n: usize| Device {
        id: device(n).into(),
        area: Some(format!("hall-{}", n % 20).into()),
        class: Some(format!("class-{}", n % 50).into()),
        ..Device::default()
    };
    Configuration {
        version,
        rules: all.into(),
        devices: (0..devices).map(device).collect(),
        ..Configuration::default()
    }
}

pub struct Plant {
    pub sequencer: Sequencer,
    pub entities: HashMap<u64, Entity>,
    pub judged: u64,
    now: Timestamp,
    seq: u64,
    accepting: Accepting,
}

impl Plant {
    /// All devices are registered and have been heard once. Of the first `speaking` every one goes on.
    pub fn new(rules: usize, devices: usize, speaking: usize) -> Self {
        let mut sequencer = Sequencer::default();
        let configuration = ConfigurationChange::whole(&configuration(1, rules, devices));
        sequencer.configure(&configuration, START).expect("the first");
        let mut plant = Self {
            sequencer,
            entities: HashMap::new(),
            judged: 0,
            now: START,
            seq: 0,
            accepting: Accepting::since(START),
        };
        plant.hear(0..devices, START);
        let accepting = plant.accepting.clone();
        plant.sequencer.find_silences(START, &accepting);
        assert!(speaking <= devices);
        plant
    }

    pub fn hear(&mut self, devices: std::ops::Range<usize>, at: Timestamp) {
        let devices: Vec<usize> = devices.collect();
        for some in devices.chunks(10_000) {
            let mut batch = BatchBuilder::new();
            for n in some {
                batch.push(&Record {
                    timestamp: at,
                    received_at: at,
                    level: Some(Level::Info),
                    message: Some("all is well"),
                    device_id: Some(&device(*n)),
                    ..Record::default()
                });
            }
            self.judge(&mut batch);
        }
        self.now = self.now.max(at);
    }

    /// Another version that differs by one rule, which judges nothing here.
    pub fn change_a_rule(&mut self) -> Duration {
        self.change(|c| c.rules.last_mut().expect("a rule").name = "changed".into())
    }

    /// CPU time until what differs from the version in force is found, and until that is in force.
    pub fn change(&mut self, change: impl FnOnce(&mut Configuration)) -> Duration {
        let in_force = self.sequencer.configuration();
        let mut next = Configuration::clone(in_force);
        change(&mut next);
        let now = self.now;
        cpu(|| {
            let in_force = self.sequencer.configuration();
            let change = ConfigurationChange {
                version: in_force.version + 1,
                whole: false,
                changes: in_force.changes_to(&next),
            };
            assert_eq!(change.changes.len(), 1);
            let changed = self.sequencer.configure(&change, now);
            assert!(changed.is_some_and(|c| c.silences.is_empty()));
        })
    }

    /// A plant without devices: gives how many silences that ends.
    pub fn configure_without(&mut self, devices: usize) -> usize {
        let next = ConfigurationChange::whole(&configuration(9, 0, 0));
        let changed = self.sequencer.configure(&next, self.now).expect("a newer one");
        assert!(self.sequencer.silence.len() <= devices);
        changed.silences.len()
    }

    /// Judges [`RECORDS`] records of the first `concerned` devices, one in fifty an error, and looks for silence.
    pub fn round(&mut self, concerned: usize) -> Duration {
        let mut batch = BatchBuilder::new();
        for n in 0..RECORDS {
            self.now = self.now.plus(Span::millis(1));
            let message = words(n % 7);
            let application = format!("line-{}", n % 16);
            batch.push(&Record {
                timestamp: self.now,
                received_at: self.now,
                level: Some(if n % 50 == 0 { Level::Error } else { Level::Info }),
                message: Some(&message),
                kind: Some("state.cycle.ended"),
                application: Some(&application),
                device_id: Some(&device((n * 7_919) % concerned)),
                fields: r#"{"zone":"north","shift":2}"#,
                readings: vec![("temperature", 20.0), ("speed", 1.5)],
                fingerprint: fingerprint(Some(&application), None, &message),
                ..Record::default()
            });
        }
        let judged = self.judge(&mut batch);
        let (now, accepting) = (self.now, self.accepting.clone());
        let mut found = Vec::new();
        let looked = cpu(|| found = self.sequencer.find_silences(now, &accepting));
        assert_eq!(found, []);
        judged + looked
    }

    /// As router and shards do it.
    pub fn judge(&mut self, batch: &mut BatchBuilder) -> Duration {
        self.seq += 1;
        let batch = Batch::parse(batch.finish(), JournalId(1), self.seq).expect("a batch");
        cpu(|| {
            let sequenced = self.sequencer.records(&batch, "key");
            let rules = self.sequencer.rules().clone();
            let mut touched = Vec::new();
            for item in &sequenced.items {
                let record = batch.get(item.index as usize);
                let judgement = &sequenced.judgements[item.index as usize];
                let entity = self.entities.entry(item.hash).or_insert_with(|| {
                    let id = subject_id(&record, item.subject, rules.area(&record)).expect("it names its subject");
                    Entity::new(Subject::new(item.subject, id))
                });
                entity.observe(&rules, sequenced.matches(item), &record, judgement);
                self.judged += 1;
                touched.push(item.hash);
            }
            touched.sort_unstable();
            touched.dedup();
            let mut effects = Vec::new();
            for hash in touched {
                let entity = self.entities.get_mut(&hash).expect("it was judged");
                entity.end_entry(self.now, &mut effects);
                if entity.is_blank() {
                    self.entities.remove(&hash);
                }
            }
            std::hint::black_box(effects);
        })
    }
}
