//! The labels of the scenarios against the domain itself, without a server between: what is delivered is judged in order of delivery.

use andon_engine::effect::{AlertReason, Effect};
use andon_engine::entity::Entity;
use andon_engine::fingerprint::fingerprint;
use andon_engine::ids::{JournalId, RecordId, RouteId};
use andon_engine::incident::Incident;
use andon_engine::record::{Flags, Record};
use andon_engine::rule::{Configuration, default_rules};
use andon_engine::ruleset::{RuleSet, subject_id};
use andon_engine::sources::{Sources, history_source};
use andon_engine::subject::{Subject, SubjectKind};
use andon_engine::time::{Span, Timestamp};
use andon_load::draft::Draft;
use andon_load::oracle::{Raised, judge_incidents};
use andon_load::scenarios::{self, Scenario};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const NOW: Timestamp = Timestamp(1_790_000_000_000_000);

fn record<'a>(d: &'a Draft, received_at: Timestamp, seq: u64, history: bool) -> Record<'a> {
    let (application, kind) = (d.application.as_deref(), d.kind.as_deref());
    Record {
        record_id: RecordId::new(JournalId(1), seq, 0),
        timestamp: d.timestamp,
        received_at,
        level: d.level,
        message: d.message.as_deref(),
        kind,
        application,
        device_id: d.device.as_deref(),
        user_id: d.user.as_deref(),
        source: d.source.as_deref(),
        id: Some(&d.id),
        fingerprint: fingerprint(application, kind, d.message.as_deref().unwrap_or_default()),
        flags: if history { Flags::HISTORY } else { Flags::default() },
        ..Record::default()
    }
}

/// Delivers a scenario a millisecond a step and gives the incidents as they are in the end.
fn judged(scenario: &Scenario) -> Vec<Raised> {
    let rules = default_rules(&RouteId::new("all"));
    let set = RuleSet::compile(Arc::new(Configuration {
        version: 1,
        rules,
        ..Configuration::default()
    }));
    let (mut sources, mut entities) = (Sources::new(), BTreeMap::<Subject, Entity>::new());
    let (mut effects, mut known, mut seq) = (Vec::new(), BTreeSet::new(), 0);
    let mut received_at = NOW;
    for step in &scenario.steps {
        received_at = received_at.plus(Span::millis(1));
        // Retries are recognised before anything is judged.
        for d in step.drafts.iter().filter(|d| known.insert(d.id.as_str())) {
            seq += 1;
            let r = record(d, received_at, seq, step.history);
            let source = r.device_id.map_or(7, |d| SubjectKind::Device.hash(d));
            let source = if step.history { history_source(source) } else { source };
            let judgement = sources.observe(source, r.timestamp, r.received_at);
            let mut matched = Vec::new();
            set.matching(&r, &mut matched);
            for kind in SubjectKind::ALL {
                if let Some(id) = subject_id(&r, kind, None) {
                    let subject = Subject::new(kind, id);
                    let entity = entities.entry(subject.clone()).or_insert_with(|| Entity::new(subject));
                    entity.observe(&set, &matched, &r, &judgement, source, &mut effects);
                }
            }
        }
    }
    entities.values_mut().for_each(|e| e.flush(&mut effects));
    let mut last: BTreeMap<String, &Incident> = BTreeMap::new();
    let mut new_faults: BTreeMap<String, u64> = BTreeMap::new();
    for effect in &effects {
        match effect {
            Effect::Incident(i) => drop(last.insert(i.id.to_string(), i)),
            Effect::Alert(a) if a.reason == AlertReason::NewFault => {
                *new_faults.entry(a.incident.to_string()).or_default() += 1
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
            fingerprints: Some(i.fingerprints.len() as u64),
            new_faults: Some(new_faults.get(&id).copied().unwrap_or(0)),
            id,
        })
        .collect()
}

#[test]
fn every_scenario_raises_exactly_its_labelled_incidents() {
    for name in scenarios::names() {
        for seed in [None, Some(1), Some(77)] {
            let scenario = scenarios::make(name, "t", seed, NOW).unwrap();
            let findings = judge_incidents(&scenario.labels, &format!("{}-", scenario.source), &judged(&scenario));
            assert!(findings.iter().all(|f| f.ok), "{name}: {findings:#?}");
        }
    }
}
