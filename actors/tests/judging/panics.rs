//! A fault of our own in judging one record.

use crate::world::*;
use andon_actors::entries;
use andon_actors::work::{EngineJudge, Judge};
use andon_engine::batch::Batch;
use andon_engine::entity::{Entity, Outcome};
use andon_engine::intake::decode_header;
use andon_engine::level::Level;
use andon_engine::record::Record;
use andon_engine::ruleset::{RuleMatch, RuleSet};
use andon_engine::sources::Judgement;
use andon_engine::time::{ManualClock, Span};
use std::sync::Arc;
use std::time::Duration;

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_panics_is_skipped_and_the_entity_and_its_neighbours_live_on() {
    let dir = tempfile::tempdir().expect("a folder");
    let clock = Arc::new(ManualClock::new(START));
    let journal = open(dir.path(), "journal", &clock).await;
    journal
        .append(control(&whole(&configuration(1, None)), START))
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

    // Each skipped record is in quarantine with the reason, by an entry of our own that is FATAL.
    let (mut quarantined, mut fatal) = (Vec::new(), 0);
    let mut reader = journal.reader(1);
    while let Some(entry) = reader.try_next().await.expect("the journal is whole") {
        if entry.kind == entries::RECORDS {
            let header = decode_header(&entry.header).expect("a header").0;
            quarantined.extend(header.rejected);
            let batch = Batch::parse(entry.body.clone(), journal.id(), entry.seq).expect("a batch");
            fatal += batch.iter().filter(|r| r.level == Some(Level::Fatal)).count();
        }
    }
    assert!(
        quarantined
            .iter()
            .all(|r| r.excerpt == "poison" && r.reason.contains("application wms"))
    );
    assert_eq!((quarantined.len(), fatal), (3, 3));

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
