//! What a sender can send in one request.

use crate::world::*;
use andon_engine::batch::BatchBuilder;
use andon_engine::fingerprint::fingerprint;
use andon_engine::level::Level;
use andon_engine::limits::{BATCH_RECORDS_MAX, FINGERPRINTS_MAX};
use andon_engine::record::Record;
use andon_engine::time::{ManualClock, Span};
use andon_storage::journal::Journal;
use std::sync::Arc;
use std::time::Duration;

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
        .append(control(&whole(&configuration(1, None)), START))
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
        .append(control(&whole(&configuration(1, None)), START))
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
