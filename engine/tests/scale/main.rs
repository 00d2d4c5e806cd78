//! What a record costs, by how much there is that does not concern it.
//!
//! `make prove-scale` measures 10 against 10,000 rules and 1,000 against 200,000 devices, and prints ratios of CPU time. `cargo test` runs a small
//! form of it, so that it cannot rot. Nothing is asserted of time: the machine is not ours alone.

mod plant;

use andon_engine::batch::BatchBuilder;
use andon_engine::control::SilenceFound;
use andon_engine::entity::Entity;
use andon_engine::ids::{JournalId, Position, RecipientId, RecordId};
use andon_engine::level::Level;
use andon_engine::record::Record;
use andon_engine::rule::Recipient;
use andon_engine::sequencer::accepting::Accepting;
use andon_engine::subject::{Subject, SubjectKind};
use andon_engine::time::Span;
use plant::{Plant, START, cpu, device, measures, resident, size};
use std::hint::black_box;
use std::time::Duration;

/// Rounds of each side, taken in turns; the median counts.
fn rounds() -> usize {
    size(41, 3)
}

fn median(mut of: Vec<Duration>) -> Duration {
    of.sort_unstable();
    of[of.len() / 2]
}

/// CPU time of a record in both plants, and their ratio.
fn compare(what: &str, small: &mut Plant, large: &mut Plant, concerned: usize) {
    let (mut of_small, mut of_large) = (Vec::new(), Vec::new());
    let before = (small.judged, large.judged);
    for round in 0..rounds() + 2 {
        // In turns, so that neither always comes after the other.
        let (a, b) = if round % 2 == 0 {
            (small.round(concerned), large.round(concerned))
        } else {
            let b = large.round(concerned);
            (small.round(concerned), b)
        };
        // The first two warm up.
        if round >= 2 {
            of_small.push(a);
            of_large.push(b);
        }
    }
    let (judged, of_large_too) = (small.judged - before.0, large.judged - before.1);
    assert_eq!(judged, of_large_too, "{what}: both judge the same");
    let (a, b) = (median(of_small), median(of_large));
    let per_record = |d: Duration| d.as_nanos() as f64 / plant::RECORDS as f64;
    println!(
        "{what}: {:.0} ns and {:.0} ns a record, ratio {:.2}",
        per_record(a),
        per_record(b),
        b.as_secs_f64() / a.as_secs_f64().max(1e-9)
    );
}

#[test]
fn a_record_costs_what_concerns_it() {
    let (few, many) = (10, size(10_000, 400));
    let (small, large) = (1_000, size(200_000, 3_000));
    let mut with_few = Plant::new(few, small, small);
    let mut with_many = Plant::new(many, small, small);
    compare(&format!("{few} and {many} rules"), &mut with_few, &mut with_many, small);
    drop(with_many);
    let before = resident();
    let mut with_large = Plant::new(few, large, small);
    let after = resident();
    if let Some((before, after)) = before.zip(after) {
        println!(
            "{large} devices, registered and heard: {} bytes each",
            (after - before) / large as i64
        );
    }
    let changed = with_large.change_a_rule();
    println!("a rule changed in a plant of {large} devices: in force after {changed:?}");
    let named = format!("{small} and {large} devices, records of one");
    compare(&named, &mut with_few, &mut with_large, 1);
    let named = format!("{small} and {large} devices, records of {small}");
    compare(&named, &mut with_few, &mut with_large, small);
}

#[test]
fn a_change_of_the_configuration_is_in_force_soon() {
    let (rules, devices) = (size(10_000, 400), size(200_000, 3_000));
    let mut plant = Plant::new(rules, devices, 0);
    let name = plant.change_a_rule();
    let selector = plant.change(|c| c.rules.last_mut().expect("a rule").selector.users = vec!["anna".into()]);
    let device = plant.change(|c| c.devices.last_mut().expect("a device").area = Some("hall-7".into()));
    let recipient = plant.change(|c| {
        c.recipients.push(Recipient {
            id: RecipientId::new("anna"),
            name: "Anna".into(),
            email: "anna@example.com".into(),
            language: "en".into(),
            passes_throttle: false,
        });
    });
    println!(
        "{rules} rules and {devices} devices: a rule has another name after {name:?}, takes other records after {selector:?}, a device is \
         elsewhere after {device:?}, a recipient is there after {recipient:?}"
    );
}

#[test]
fn many_devices_fall_silent_at_once() {
    let (all, dead) = (size(200_000, 1_000), size(5_000, 100));
    let mut plant = Plant::new(10, all, 0);
    let accepting = Accepting::since(START);
    // All but those speak on.
    let later = START.plus(plant::SILENT_AFTER).plus(Span::mins(-1));
    plant.hear(dead..all, later);
    plant.sequencer.find_silences(later, &accepting);
    let at = START.plus(plant::SILENT_AFTER).plus(Span::mins(1));
    let mut found = Vec::new();
    let looked = cpu(|| found = plant.sequencer.find_silences(at, &accepting));
    assert_eq!(found.len(), dead);
    let judged = cpu(|| {
        let rules = plant.sequencer.rules().clone();
        for (rule, finding) in &found {
            let silence = &mut plant.sequencer.silence;
            silence.found(rule, &finding.device, &finding.unknown, finding.since);
            let subject = Subject::new(SubjectKind::Device, &finding.device);
            let mut entity = Entity::new(subject);
            let (journal, position) = (JournalId(1), Position { seq: 9, index: 0 });
            let silence = SilenceFound {
                rule: rule.clone(),
                device: finding.device.clone(),
                since: finding.since,
                at,
                unknown: finding.unknown.clone(),
            };
            entity.silence_found(&rules, &silence, RecordId { journal, position });
            let mut effects = Vec::new();
            entity.end_entry(at, &mut effects);
            black_box(effects);
        }
    });
    let after = at.plus(Span::secs(1));
    let mut again = Vec::new();
    let looked_again = cpu(|| again = plant.sequencer.find_silences(after, &accepting));
    assert_eq!(again, []);
    let idle = cpu(|| again = plant.sequencer.find_silences(after.plus(Span::secs(1)), &accepting));
    assert_eq!(again, []);
    println!(
        "{dead} of {all} devices silent at once: found in {looked:?}, judged in {judged:?}, the next look {looked_again:?}, one of which nothing is due {idle:?}"
    );
    // All of them are taken out of the plant.
    let gone = cpu(|| {
        let ended = plant.configure_without(all);
        assert_eq!(ended, dead);
    });
    println!("{all} devices taken out of the plant in {gone:?}");
}

/// An entity is copied before each entry, so that a panic can be undone.
#[test]
fn what_a_copy_of_an_entity_costs() {
    let mut plant = Plant::new(10, 10, 0);
    let mut batch = BatchBuilder::new();
    let messages: Vec<String> = (0..size(8_000, 400)).map(|n| plant::words(n % 1_200)).collect();
    for (n, message) in messages.iter().enumerate() {
        let at = START.plus(Span::millis(n as i64 * 10));
        batch.push(&Record {
            timestamp: at,
            received_at: at,
            level: Some(Level::Error),
            message: Some(message),
            device_id: Some(&device(1)),
            fingerprint: andon_engine::fingerprint::fingerprint(None, None, message),
            ..Record::default()
        });
    }
    let judged = plant.judge(&mut batch);
    let entity = plant
        .entities
        .values()
        .max_by_key(|e| e.incidents().count())
        .expect("one");
    const COPIES: u32 = 1_000;
    let copied = cpu(|| {
        for _ in 0..COPIES {
            black_box(entity.clone());
        }
    });
    println!(
        "an entity with full windows: {:?} a copy, {:?} a record judged",
        copied / COPIES,
        judged / messages.len() as u32
    );
    assert!(measures() || plant.judged > 0);
}
