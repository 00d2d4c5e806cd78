//! Checks of [`EffectStore`] and of what [`IncidentStore`] reads of it.

use super::sample::{self, huge};
use super::{assert_foreign, assert_refused, cursor, cut};
use crate::ports::incidents::{IncidentFilter, IncidentStore, PlantEntry};
use crate::ports::rows::EffectStore;
use andon_engine::effect::{Alert, Effect, Registered};
use andon_engine::ids::{AlertId, IncidentId, Position};
use andon_engine::incident::{Activity, FingerprintCount, Incident, TimelineEntry};
use andon_engine::subject::SubjectKind;
use andon_engine::time::Timestamp;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeMap;

/// A store of both sides.
pub trait Store: EffectStore + IncidentStore {}
impl<S: EffectStore + IncidentStore> Store for S {}

const ALL: IncidentFilter = IncidentFilter {
    open_only: false,
    subject_kind: None,
    subject_id: None,
    rule: None,
    area: None,
    opened_from: None,
    opened_to: None,
    after: None,
    limit: 100_000,
};

fn opened(i: &Incident) -> Effect {
    Effect::Incident(Box::new(i.clone()))
}

fn line(t: &TimelineEntry) -> Effect {
    Effect::Timeline(Box::new(t.clone()))
}

fn told(a: &Alert) -> Effect {
    Effect::Alert(Box::new(a.clone()))
}

/// As a reader sees it.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    incidents: Vec<Incident>,
    timelines: Vec<Vec<TimelineEntry>>,
    alerts: Vec<Vec<Alert>>,
    plant: Vec<PlantEntry>,
}

async fn seen(s: &impl Store) -> Seen {
    let mut seen = Seen {
        incidents: s.incidents(&ALL).await.unwrap(),
        ..Seen::default()
    };
    for i in &seen.incidents {
        seen.timelines.push(s.timeline(i.id).await.unwrap());
        seen.alerts.push(s.alerts_of(i.id).await.unwrap());
    }
    for kind in SubjectKind::ALL {
        seen.plant.extend(s.plant(kind, None, 100_000).await.unwrap());
    }
    seen
}

pub async fn an_empty_store_has_nothing<S: Store>(open: impl AsyncFn() -> S) {
    let s = open().await;
    assert_eq!(s.effect_cursor().await.unwrap(), None);
    assert_eq!(s.count_open().await.unwrap(), 0);
    assert_eq!(s.incident(IncidentId(1)).await.unwrap(), None);
    assert_eq!(s.alert(AlertId(1)).await.unwrap(), None);
    assert_eq!(seen(&s).await, Seen::default());
    assert_eq!(s.apply_effects(&[], cursor(1, 5)).await.unwrap().new, vec![]);
    assert_eq!(s.effect_cursor().await.unwrap(), Some(cursor(1, 5)));
}

pub async fn what_was_applied_is_read_back<S: Store>(open: impl AsyncFn() -> S) {
    let mut rng = StdRng::seed_from_u64(1);
    let s = open().await;
    let mut effects = Vec::new();
    let (mut incidents, mut lines, mut alerts) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..300u64 {
        let i = sample::incident(&mut rng);
        effects.push(opened(&i));
        for revision in [0, n + 1, i64::MAX as u64] {
            lines.push(sample::timeline(&mut rng, i.id, revision));
            effects.push(line(lines.last().unwrap()));
        }
        alerts.push(sample::alert(&mut rng, i.id));
        effects.push(told(alerts.last().unwrap()));
        incidents.push(i);
    }
    let new = s.apply_effects(&effects, cursor(1, 1)).await.unwrap().new;
    assert_eq!(sorted(new), sorted(alerts.iter().map(|a| a.id).collect()));
    drop(s);
    let s = open().await;
    assert_eq!(s.effect_cursor().await.unwrap(), Some(cursor(1, 1)));
    for i in &incidents {
        assert_eq!(s.incident(i.id).await.unwrap().as_ref(), Some(i));
        let want: Vec<_> = lines.iter().filter(|l| l.incident == i.id).cloned().collect();
        assert_eq!(s.timeline(i.id).await.unwrap(), want);
    }
    for a in &alerts {
        assert_eq!(s.alert(a.id).await.unwrap().as_ref(), Some(a));
        assert_eq!(s.alerts_of(a.incident).await.unwrap(), std::slice::from_ref(a));
    }
    let open_ones = incidents.iter().filter(|i| i.activity != Activity::Closed).count() as u64;
    assert_eq!(s.count_open().await.unwrap(), open_ones);
}

fn sorted(mut ids: Vec<AlertId>) -> Vec<AlertId> {
    ids.sort();
    ids
}

pub async fn applying_twice_changes_nothing<S: Store>(open: impl AsyncFn() -> S) {
    let mut rng = StdRng::seed_from_u64(2);
    let s = open().await;
    let mut effects = Vec::new();
    for n in 0..50 {
        let i = sample::incident(&mut rng);
        effects.push(opened(&i));
        effects.push(line(&sample::timeline(&mut rng, i.id, n)));
        effects.push(told(&sample::alert(&mut rng, i.id)));
        effects.push(Effect::Registered(Registered {
            kind: SubjectKind::Device,
            id: format!("D-{n}").into(),
            first_seen: Timestamp(n as i64),
        }));
    }
    assert_eq!(s.apply_effects(&effects, cursor(1, 9)).await.unwrap().new.len(), 50);
    let before = seen(&s).await;
    assert_eq!(before.plant.len(), 50);
    assert_eq!(
        s.apply_effects(&effects, cursor(1, 9)).await.unwrap().new,
        vec![],
        "no alert is new twice"
    );
    // With the same ids and other content, as after a change of the program: the first counts.
    let changed: Vec<Effect> = effects
        .iter()
        .cloned()
        .map(|e| match e {
            Effect::Timeline(mut t) => {
                t.text = "other".into();
                Effect::Timeline(t)
            }
            Effect::Alert(mut a) => {
                a.text = "other".into();
                Effect::Alert(a)
            }
            Effect::Registered(mut r) => {
                r.first_seen = Timestamp(-1);
                Effect::Registered(r)
            }
            Effect::Incident(mut i) => {
                i.title = "other".into();
                Effect::Incident(i)
            }
        })
        .collect();
    assert_eq!(s.apply_effects(&changed, cursor(1, 10)).await.unwrap().new, vec![]);
    assert_eq!(seen(&s).await, before);
    // Twice within one batch.
    let twice: Vec<Effect> = effects.iter().chain(&effects).cloned().collect();
    assert_eq!(s.apply_effects(&twice, cursor(1, 11)).await.unwrap().new, vec![]);
    assert_eq!(seen(&s).await, before);
}

pub async fn an_older_state_never_overwrites_a_newer_one<S: Store>(open: impl AsyncFn() -> S) {
    let mut rng = StdRng::seed_from_u64(3);
    let s = open().await;
    for round in 0..30u64 {
        let base = sample::incident(&mut rng);
        let mut states: Vec<Incident> = Vec::new();
        for seq in 0..3 {
            for index in 0..2 {
                for revision in 0..4 {
                    let position = Position { seq, index };
                    let title = format!("{seq} {index} {revision}").into();
                    states.push(Incident {
                        position,
                        revision,
                        title,
                        ..base.clone()
                    });
                }
            }
        }
        let newest = states.last().unwrap().clone();
        states.shuffle(&mut rng);
        let split = rng.random_range(0..states.len());
        let (first, second) = states.split_at(split);
        let effects = |states: &[Incident]| states.iter().map(opened).collect::<Vec<_>>();
        s.apply_effects(&effects(first), cursor(1, round * 2)).await.unwrap();
        s.apply_effects(&effects(second), cursor(1, round * 2 + 1))
            .await
            .unwrap();
        assert_eq!(s.incident(base.id).await.unwrap(), Some(newest));
    }
}

pub async fn fingerprints_are_rows_of_their_own_and_their_counts_only_grow<S: Store>(open: impl AsyncFn() -> S) {
    let mut rng = StdRng::seed_from_u64(22);
    let s = open().await;
    let mut want: BTreeMap<(IncidentId, u64), FingerprintCount> = BTreeMap::new();
    let incidents: Vec<Incident> = (0..20).map(|_| sample::incident(&mut rng)).collect();
    for n in 1..30 {
        let mut effects = Vec::new();
        for _ in 0..8 {
            let i = &incidents[rng.random_range(0..incidents.len())];
            let fingerprints = sample::fingerprints(&mut rng);
            for f in &fingerprints {
                let row = want.entry((i.id, f.fingerprint)).or_insert_with(|| f.clone());
                row.count = row.count.max(f.count);
            }
            effects.push(opened(&Incident {
                fingerprints,
                ..i.clone()
            }));
        }
        s.apply_effects(&effects, cursor(1, n)).await.unwrap();
    }
    for i in &incidents {
        let got = s.fingerprints(i.id).await.unwrap();
        assert!(got.is_sorted_by(|a, b| a.count >= b.count), "the most frequent first");
        let counts = |list: &[FingerprintCount]| {
            list.iter()
                .map(|f| (f.fingerprint, f.count))
                .collect::<BTreeMap<_, _>>()
        };
        let mine: Vec<_> = want
            .iter()
            .filter(|((id, _), _)| *id == i.id)
            .map(|(_, f)| f.clone())
            .collect();
        assert_eq!(counts(&got), counts(&mine));
    }
    assert_eq!(s.fingerprints(IncidentId(1)).await.unwrap(), []);
}

pub async fn a_cursor_that_does_not_follow_is_refused_and_nothing_written<S: Store>(open: impl AsyncFn() -> S) {
    let mut rng = StdRng::seed_from_u64(4);
    let s = open().await;
    s.apply_effects(&[], cursor(1, 100)).await.unwrap();
    let i = sample::incident(&mut rng);
    let effects = [opened(&i), told(&sample::alert(&mut rng, i.id))];
    for foreign in [cursor(2, 100), cursor(2, 101), cursor(1, 99), cursor(0, 0)] {
        assert_foreign(s.apply_effects(&effects, foreign).await);
    }
    assert_eq!(seen(&s).await, Seen::default());
    drop(s);
    let s = open().await;
    assert_eq!(s.effect_cursor().await.unwrap(), Some(cursor(1, 100)));
    assert_eq!(s.apply_effects(&effects, cursor(1, 101)).await.unwrap().new.len(), 1);
}

/// Effects of which every second one is refused, whatever the store.
fn with_impossible(rng: &mut StdRng, good: &Incident) -> Vec<Effect> {
    let (position, revision) = (
        Position {
            seq: u64::MAX,
            index: 0,
        },
        u64::MAX,
    );
    let alert = Alert {
        position,
        ..sample::alert(rng, good.id)
    };
    let bad = [
        opened(&Incident {
            count: u64::MAX,
            ..good.clone()
        }),
        opened(&Incident {
            revision,
            ..good.clone()
        }),
        opened(&Incident {
            peak: Some(f64::NAN),
            revision: good.revision.saturating_add(1),
            ..good.clone()
        }),
        opened(&Incident {
            peak: Some(f64::INFINITY),
            position,
            ..good.clone()
        }),
        line(&sample::timeline(rng, good.id, u64::MAX)),
        told(&alert),
    ];
    let mut effects = Vec::new();
    for (n, bad) in bad.into_iter().enumerate() {
        effects.push(told(&sample::alert(rng, good.id)));
        effects.push(bad);
        effects.push(line(&sample::timeline(rng, good.id, n as u64)));
        effects.push(opened(good));
    }
    effects
}

pub async fn what_is_refused_costs_no_other<S: Store>(open: impl AsyncFn() -> S) {
    let mut rng = StdRng::seed_from_u64(5);
    let s = open().await;
    let good = sample::incident(&mut rng);
    let effects = with_impossible(&mut rng, &good);
    let applied = s.apply_effects(&effects, cursor(1, 1)).await.unwrap();
    let refused: Vec<usize> = applied.refused.iter().map(|r| r.index).collect();
    assert_eq!(refused, (0..6).map(|n| 4 * n + 1).collect::<Vec<_>>());
    assert_eq!(applied.new.len(), 6);
    assert_eq!(s.effect_cursor().await.unwrap(), Some(cursor(1, 1)));
    let seen = seen(&s).await;
    assert_eq!(seen.incidents, std::slice::from_ref(&good));
    assert_eq!((seen.timelines[0].len(), seen.alerts[0].len()), (6, 6));
    assert_refused(s.apply_effects(&[opened(&good)], cursor(1, u64::MAX)).await);
}

pub async fn what_is_cut_off_anywhere_is_whole_after_another_try<S: Store>(open: impl AsyncFn() -> S) {
    let mut rng = StdRng::seed_from_u64(6);
    let s = open().await;
    for steps in 1.. {
        let good = sample::incident(&mut rng);
        let effects = with_impossible(&mut rng, &good);
        let at = cursor(1, steps as u64);
        let done = cut(s.apply_effects(&effects, at), steps).await;
        // Who comes after a crash goes on behind the cursor.
        if s.effect_cursor().await.unwrap() != Some(at) {
            s.apply_effects(&effects, at).await.unwrap();
        }
        let there = (
            s.timeline(good.id).await.unwrap().len(),
            s.alerts_of(good.id).await.unwrap().len(),
        );
        assert_eq!(there, (6, 6), "cut after {steps} steps");
        if done.is_some() {
            break;
        }
    }
}

pub async fn hostile_texts_are_only_texts<S: Store>(open: impl AsyncFn() -> S) {
    let mut rng = StdRng::seed_from_u64(6);
    let s = open().await;
    let base = Incident {
        activity: Activity::Active,
        ..sample::incident(&mut rng)
    };
    let mut want = Vec::new();
    for (n, text) in sample::HOSTILE.iter().enumerate() {
        let i = Incident {
            id: IncidentId(n as u128),
            rule: andon_engine::ids::RuleId::new(text),
            subject: andon_engine::subject::Subject::new(SubjectKind::Device, text),
            area: Some((*text).into()),
            title: (*text).into(),
            ..base.clone()
        };
        let r = Registered {
            kind: SubjectKind::Device,
            id: (*text).into(),
            first_seen: Timestamp(n as i64),
        };
        s.apply_effects(&[opened(&i), Effect::Registered(r)], cursor(1, n as u64))
            .await
            .unwrap();
        want.push(i);
    }
    for i in &want {
        for filter in [
            IncidentFilter {
                subject_id: Some(i.subject.id.to_string()),
                ..ALL
            },
            IncidentFilter {
                rule: Some(i.rule.to_string()),
                ..ALL
            },
            IncidentFilter {
                area: i.area.as_ref().map(|a| a.to_string()),
                ..ALL
            },
        ] {
            assert_eq!(
                s.incidents(&filter).await.unwrap(),
                std::slice::from_ref(i),
                "{filter:?}"
            );
        }
    }
    let plant = s.plant(SubjectKind::Device, None, 1000).await.unwrap();
    let mut ids: Vec<&str> = sample::HOSTILE.to_vec();
    ids.sort_unstable();
    assert_eq!(
        plant.iter().map(|p| p.id.as_str()).collect::<Vec<_>>(),
        ids,
        "in the order of bytes"
    );
    // U+0000, and a text that is far too long.
    let (with_nul, without) = ("pump\0'7'", "pump\u{fffd}'7'");
    let subject = |id| andon_engine::subject::Subject::new(SubjectKind::User, id);
    let i = Incident {
        id: IncidentId(999),
        subject: subject(with_nul),
        title: huge().into(),
        ..base
    };
    s.apply_effects(&[opened(&i)], cursor(1, 1000)).await.unwrap();
    let by_subject = IncidentFilter {
        subject_id: Some(with_nul.to_owned()),
        ..ALL
    };
    assert_eq!(
        s.incidents(&by_subject).await.unwrap(),
        [Incident {
            subject: subject(without),
            ..i
        }]
    );
}

pub async fn lists_hold_what_the_filter_asks_for_in_order_and_in_pages<S: Store>(open: impl AsyncFn() -> S) {
    let mut rng = StdRng::seed_from_u64(7);
    let s = open().await;
    let mut all = BTreeMap::new();
    let small = |rng: &mut StdRng| ["a", "b", "'"][rng.random_range(0..3)];
    for n in 0..400u64 {
        let mut i = sample::incident(&mut rng);
        i.opened_at = Timestamp(rng.random_range(-3..10));
        i.rule = andon_engine::ids::RuleId::new(small(&mut rng));
        i.subject.id = small(&mut rng).into();
        i.area = sample::maybe(&mut rng, |r| small(r).into());
        s.apply_effects(&[opened(&i)], cursor(1, n)).await.unwrap();
        all.insert(i.id, i);
    }
    for _ in 0..200 {
        let mut f = IncidentFilter {
            open_only: rng.random(),
            subject_kind: sample::maybe(&mut rng, |r| sample::one_of(r, &SubjectKind::ALL)),
            subject_id: sample::maybe(&mut rng, |r| small(r).to_owned()),
            rule: sample::maybe(&mut rng, |r| small(r).to_owned()),
            area: sample::maybe(&mut rng, |r| small(r).to_owned()),
            opened_from: sample::maybe(&mut rng, |r| Timestamp(r.random_range(-3..10))),
            opened_to: sample::maybe(&mut rng, |r| Timestamp(r.random_range(-3..10))),
            after: None,
            limit: rng.random_range(1..50),
        };
        let mut want: Vec<Incident> = all.values().filter(|i| matches(&f, i)).cloned().collect();
        want.sort_by_key(|i| (std::cmp::Reverse(i.opened_at), i.id));
        let mut got = Vec::new();
        loop {
            let page = s.incidents(&f).await.unwrap();
            assert!(page.len() <= f.limit as usize);
            let Some(last) = page.last() else { break };
            f.after = Some((last.opened_at, last.id));
            got.extend(page);
            assert!(got.len() <= want.len(), "pages overlap: {f:?}");
        }
        assert_eq!(got, want, "{f:?}");
    }
    assert_eq!(s.incidents(&IncidentFilter { limit: 0, ..ALL }).await.unwrap(), vec![]);
}

fn matches(f: &IncidentFilter, i: &Incident) -> bool {
    (!f.open_only || i.activity != Activity::Closed)
        && f.subject_kind.is_none_or(|k| i.subject.kind == k)
        && f.subject_id.as_ref().is_none_or(|id| **id == *i.subject.id)
        && f.rule.as_ref().is_none_or(|r| r == i.rule.as_str())
        && f.area.as_ref().is_none_or(|a| i.area.as_deref() == Some(a))
        && f.opened_from.is_none_or(|t| i.opened_at >= t)
        && f.opened_to.is_none_or(|t| i.opened_at < t)
}

pub async fn the_plant_is_listed_by_id_in_pages<S: Store>(open: impl AsyncFn() -> S) {
    let s = open().await;
    let registered = |kind, n: usize| {
        let id = format!("{:03}", n * 7 % 100).into();
        Effect::Registered(Registered {
            kind,
            id,
            first_seen: Timestamp(n as i64),
        })
    };
    let effects: Vec<_> = (0..100)
        .flat_map(|n| {
            [
                registered(SubjectKind::Device, n),
                registered(SubjectKind::Application, n % 3),
            ]
        })
        .collect();
    s.apply_effects(&effects, cursor(1, 1)).await.unwrap();
    let mut ids = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = s.plant(SubjectKind::Device, after.as_deref(), 7).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.id.clone());
        ids.extend(page.into_iter().map(|p| p.id));
        assert!(ids.len() <= 100, "pages overlap");
    }
    assert_eq!(ids, (0..100).map(|n| format!("{n:03}")).collect::<Vec<_>>());
    assert_eq!(s.plant(SubjectKind::Application, None, 10).await.unwrap().len(), 3);
}

pub async fn many_rows_are_written_at_once<S: Store>(open: impl AsyncFn() -> S) {
    let mut rng = StdRng::seed_from_u64(8);
    let s = open().await;
    let i = sample::incident(&mut rng);
    let lines: Vec<_> = (0..12_345).map(|n| sample::timeline(&mut rng, i.id, n)).collect();
    let mut effects: Vec<_> = lines.iter().map(line).collect();
    effects.extend((0..3_000).map(|_| told(&sample::alert(&mut rng, i.id))));
    effects.extend((0..3_000).map(|_| opened(&sample::incident(&mut rng))));
    assert_eq!(s.apply_effects(&effects, cursor(1, 1)).await.unwrap().new.len(), 3_000);
    assert_eq!(s.timeline(i.id).await.unwrap(), lines);
    assert_eq!(s.alerts_of(i.id).await.unwrap().len(), 3_000);
    assert_eq!(s.incidents(&ALL).await.unwrap().len(), 3_000);
}

pub async fn many_are_found_by_their_ids<S: Store>(open: impl AsyncFn() -> S) {
    let mut rng = StdRng::seed_from_u64(21);
    let s = open().await;
    let incidents: Vec<Incident> = (0..700).map(|_| sample::incident(&mut rng)).collect();
    let alerts: Vec<Alert> = incidents[..300].iter().map(|i| sample::alert(&mut rng, i.id)).collect();
    let mut effects: Vec<Effect> = incidents
        .iter()
        .map(|i| Effect::Incident(Box::new(i.clone())))
        .collect();
    effects.extend(alerts.iter().map(|a| Effect::Alert(Box::new(a.clone()))));
    s.apply_effects(&effects, cursor(1, 1)).await.unwrap();
    assert_eq!(s.incidents_by_id(&[]).await.unwrap(), []);
    assert_eq!(s.alerts_by_id(&[]).await.unwrap(), []);
    for n in [1, 2, 3, 255, 256, 257, 600] {
        // Some are asked for twice, and one is not there.
        let mut ids: Vec<IncidentId> = incidents[..n].iter().map(|i| i.id).collect();
        ids.push(IncidentId(7));
        ids.push(ids[0]);
        let mut found = s.incidents_by_id(&ids).await.unwrap();
        found.sort_by_key(|i| i.id);
        found.dedup_by_key(|i| i.id);
        let mut want = incidents[..n].to_vec();
        want.sort_by_key(|i| i.id);
        assert_eq!(found, want);
    }
    let ids: Vec<AlertId> = alerts.iter().map(|a| a.id).collect();
    let mut found = s.alerts_by_id(&ids).await.unwrap();
    let mut want = alerts.clone();
    found.sort_by_key(|a| a.id);
    want.sort_by_key(|a| a.id);
    assert_eq!(found, want);
}
