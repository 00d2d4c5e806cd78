//! An entity with the rules it lives under, the clocks of its sources, and everything it said.

use andon_engine::control::{Action, Operation};
use andon_engine::effect::{Alert, AlertReason, Effect};
use andon_engine::entity::Entity;
use andon_engine::fingerprint::fingerprint;
use andon_engine::ids::{IncidentId, JournalId, OperationId, Position, RecordId, RouteId, RuleId};
use andon_engine::incident::{Incident, TimelineKind};
use andon_engine::level::Level;
use andon_engine::record::{Flags, Record};
use andon_engine::rule::{Condition, Configuration, Device, Direction, Limit, Priority, Rule, Selector, default_rules};
use andon_engine::ruleset::RuleSet;
use andon_engine::sources::{Sources, history_source};
use andon_engine::subject::{Subject, SubjectKind};
use andon_engine::time::{Span, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) const START: Timestamp = Timestamp(1_800_000_000_000_000);

pub(crate) fn at(seconds: f64) -> Timestamp {
    START.plus(Span::micros((seconds * 1e6).round() as i64))
}

/// An entity with the rules it lives under, the clocks of its sources, and everything it said.
pub(crate) struct Bench {
    pub(crate) set: Arc<RuleSet>,
    pub(crate) sources: Sources,
    pub(crate) entity: Entity,
    pub(crate) said: Vec<Effect>,
    pub(crate) seq: u64,
    pub(crate) operations: u128,
    /// The wall at the last entry.
    pub(crate) wall: Timestamp,
}

impl Bench {
    pub(crate) fn new(subject: SubjectKind, id: &str, extra: Vec<Rule>) -> Bench {
        let mut rules = default_rules(&RouteId::new("default"));
        rules.extend(extra);
        let configuration = Configuration {
            rules: rules.into(),
            ..Configuration::default()
        };
        Bench {
            set: Arc::new(RuleSet::compile(Arc::new(configuration))),
            sources: Sources::new(),
            entity: Entity::new(Subject::new(subject, id)),
            said: Vec::new(),
            seq: 0,
            operations: 0,
            wall: START,
        }
    }

    pub(crate) fn application() -> Bench {
        Bench::new(SubjectKind::Application, "wms", vec![])
    }

    pub(crate) fn position(&mut self) -> Position {
        self.seq += 1;
        Position {
            seq: self.seq,
            index: 0,
        }
    }

    /// The plant as it is from now on: device, area and site.
    pub(crate) fn plant(&mut self, devices: &[(&str, &str, &str)]) {
        let device = |(id, area, site): &(&str, &str, &str)| Device {
            id: Arc::from(*id),
            area: Some(Arc::from(*area)),
            site: Some(Arc::from(*site)),
            ..Device::default()
        };
        let configuration = Configuration {
            rules: default_rules(&RouteId::new("default")).into(),
            devices: devices.iter().map(device).collect::<Vec<_>>().into(),
            ..Configuration::default()
        };
        self.set = Arc::new(RuleSet::compile(Arc::new(configuration)));
    }

    pub(crate) fn observe(&mut self, record: Record<'_>) -> Vec<Effect> {
        let received_at = record.received_at;
        self.judge(record);
        self.end_entry(received_at)
    }

    /// Records of one request.
    pub(crate) fn entry(&mut self, received: f64, records: &[Record<'_>]) -> Vec<Effect> {
        for record in records {
            self.judge(Record {
                received_at: at(received),
                ..record.clone()
            });
        }
        self.end_entry(at(received))
    }

    /// A record of an entry that goes on.
    pub(crate) fn judge(&mut self, record: Record<'_>) {
        let position = self.position();
        let record = Record {
            record_id: RecordId::new(JournalId(1), position.seq, 0),
            fingerprint: record
                .message
                .map_or(0, |m| fingerprint(record.application, record.kind, m)),
            ..record
        };
        let history = record.flags.contains(Flags::HISTORY);
        let source = if history { history_source(1) } else { 1 };
        let judgement = self
            .sources
            .observe_as(source, record.timestamp, record.received_at, history);
        let mut matched = Vec::new();
        self.set.matching(&record, &mut matched);
        matched.retain(|m| self.set.rule(m.rule).subject == self.entity.subject.kind);
        self.entity.observe(&self.set, &matched, &record, &judgement);
    }

    pub(crate) fn end_entry(&mut self, now: Timestamp) -> Vec<Effect> {
        let mut out = Vec::new();
        self.wall = now;
        self.entity.end_entry(now, &mut out);
        self.said.extend(out.iter().cloned());
        out
    }

    pub(crate) fn log(&mut self, level: Level, seconds: f64, received: f64, message: &str) -> Vec<Effect> {
        self.observe(Record {
            timestamp: at(seconds),
            received_at: at(received),
            level: Some(level),
            message: Some(message),
            application: Some("wms"),
            ..Record::default()
        })
    }

    pub(crate) fn error(&mut self, seconds: f64, message: &str) -> Vec<Effect> {
        self.log(Level::Error, seconds, seconds, message)
    }

    pub(crate) fn five_errors(&mut self, from: f64) {
        for s in 0..5 {
            self.error(from + f64::from(s), "lock timeout");
        }
    }

    pub(crate) fn reading(&mut self, seconds: f64, value: f64) -> Vec<Effect> {
        self.observe(Record {
            timestamp: at(seconds),
            received_at: at(seconds),
            device_id: Some("press-1"),
            readings: vec![("temperature", value)],
            ..Record::default()
        })
    }

    pub(crate) fn timer_at(&mut self, wall: Timestamp) -> Vec<Effect> {
        let position = self.position();
        self.entity.timer(&self.set, wall, position);
        self.end_entry(wall)
    }

    pub(crate) fn timer(&mut self, seconds: f64) -> Vec<Effect> {
        self.timer_at(at(seconds))
    }

    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.entity.deadline(&self.set, self.wall)
    }

    pub(crate) fn operate(&mut self, seconds: f64, action: Action) -> Vec<Effect> {
        // Each an operation of its own.
        self.operations += 1;
        self.operate_as(OperationId(self.operations), seconds, action)
    }

    pub(crate) fn operate_as(&mut self, id: OperationId, seconds: f64, action: Action) -> Vec<Effect> {
        let incident = self.incident();
        let op = Operation {
            id,
            incident: incident.id,
            rule: incident.rule,
            subject: incident.subject,
            at: at(seconds),
            who: Arc::from("ann"),
            action,
        };
        let position = self.position();
        self.entity.operate(&self.set, &op, position);
        self.end_entry(at(seconds))
    }

    pub(crate) fn incident(&self) -> Incident {
        self.entity.incidents().next().cloned().expect("an incident")
    }

    pub(crate) fn reasons(&self) -> Vec<AlertReason> {
        alerts(&self.said).iter().map(|a| a.reason).collect()
    }

    /// How often each fingerprint of an incident was counted, as a store would have it.
    pub(crate) fn fingerprints(&self, id: IncidentId) -> Vec<u64> {
        let mut counts: BTreeMap<u64, u64> = BTreeMap::new();
        for effect in &self.said {
            if let Effect::Incident(i) = effect
                && i.id == id
            {
                for f in &i.fingerprints {
                    let count = counts.entry(f.fingerprint).or_default();
                    *count = f.count.max(*count);
                }
            }
        }
        counts.into_values().collect()
    }

    /// Rows as a store would hold them after everything that was said.
    pub(crate) fn rows(&self) -> BTreeMap<String, Incident> {
        let mut rows: BTreeMap<String, Incident> = BTreeMap::new();
        for effect in &self.said {
            if let Effect::Incident(i) = effect {
                let row = rows.entry(i.id.to_string()).or_insert_with(|| Incident::clone(i));
                if (i.position, i.revision) >= (row.position, row.revision) {
                    *row = Incident::clone(i);
                }
            }
        }
        rows
    }
}

pub(crate) fn alerts(effects: &[Effect]) -> Vec<&Alert> {
    effects
        .iter()
        .filter_map(|e| if let Effect::Alert(a) = e { Some(&**a) } else { None })
        .collect()
}

pub(crate) fn kinds(effects: &[Effect]) -> Vec<TimelineKind> {
    let kind = |e: &Effect| {
        if let Effect::Timeline(t) = e {
            Some(t.kind)
        } else {
            None
        }
    };
    effects.iter().filter_map(kind).collect()
}

/// Above 90 °C for 10 s; normal again 2 °C below it for 30 s.
pub(crate) fn hot() -> Rule {
    Rule {
        id: RuleId::new("hot"),
        name: "too hot".into(),
        enabled: true,
        selector: Selector::default(),
        subject: SubjectKind::Device,
        condition: Condition::Limit(Limit {
            reading: "temperature".into(),
            unit: Some("°C".into()),
            direction: Direction::Above,
            bound: 90.0,
            deadband: 2.0,
            on_delay: Span::secs(10),
        }),
        priority: Priority::P2,
        route: RouteId::new("default"),
        runbook: None,
        off_delay: Span::secs(30),
        reopen_within: Span::secs(100),
        passes_throttle: false,
        safety: false,
    }
}
