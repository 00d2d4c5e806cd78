//! What one record opens is alerted at one time.

use crate::world::*;
use andon_actors::entries;
use andon_actors::work::{EngineJudge, Judge};
use andon_engine::batch::BatchBuilder;
use andon_engine::effect::Effect;
use andon_engine::entity::{Entity, Outcome};
use andon_engine::level::Level;
use andon_engine::record::Record;
use andon_engine::rule::{Condition, Configuration};
use andon_engine::ruleset::{RuleMatch, RuleSet};
use andon_engine::sources::Judgement;
use andon_engine::subject::SubjectKind;
use andon_engine::time::{ManualClock, Span};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Holds up the shard of an application until it is told to go on.
struct HeldUp(Mutex<Receiver<()>>);

impl Judge for HeldUp {
    fn observe(
        &self,
        entity: &mut Entity,
        set: &RuleSet,
        matched: &[RuleMatch],
        record: &Record<'_>,
        judgement: &Judgement,
    ) -> Outcome {
        if entity.subject.kind == SubjectKind::Application {
            let go_on = self.0.lock().expect("one shard at a time");
            go_on.recv_timeout(Duration::from_secs(60)).expect("is told to go on");
        }
        EngineJudge.observe(entity, set, matched, record, judgement)
    }
}

/// One error opens an incident of its device and one of its application.
fn one_error_opens_two() -> Configuration {
    let mut configuration = configuration(1, None);
    configuration.rules.retain(|r| {
        let id = r.id.as_str();
        id == "errors-per-application" || id == "errors-per-device"
    });
    for rule in &mut configuration.rules {
        rule.selector.without.clear();
        rule.condition = Condition::Count {
            count: 1,
            within: Span::secs(60),
        };
    }
    configuration
}

/// How many alerts each entry of the effect journal has, of those that have any.
async fn alerts(run: &Run) -> Vec<usize> {
    let mut groups = Vec::new();
    let mut reader = run.effects.reader(1);
    while let Some(entry) = reader.try_next().await.expect("the effect journal is whole") {
        let effects = entries::decode_effects(entry.seq, &entry.body).expect("effects read back");
        let n = effects.iter().filter(|e| matches!(e, Effect::Alert(_))).count();
        groups.extend((n > 0).then_some(n));
    }
    groups
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_alerts_of_one_record_leave_together_however_slow_a_shard_is() {
    let dir = tempfile::tempdir().expect("a folder");
    let clock = Arc::new(ManualClock::new(START));
    let journal = open(dir.path(), "journal", &clock).await;
    let configured = whole(&one_error_opens_two());
    journal.append(control(&configured, START)).await.expect("appended");
    let mut batch = BatchBuilder::new();
    batch.push(&Record {
        timestamp: START,
        received_at: START,
        level: Some(Level::Error),
        message: Some("lock timeout"),
        application: Some("wms"),
        device_id: Some("CNV-01"),
        ..Record::default()
    });
    append_batch(&journal, batch, START).await;
    let shards = 16;
    let shard = |kind: SubjectKind, id| kind.hash(id) % u64::from(shards);
    assert_ne!(
        shard(SubjectKind::Application, "wms"),
        shard(SubjectKind::Device, "CNV-01"),
        "or one does not wait for the other"
    );

    let (go_on, held_up) = sync_channel(1);
    let run = Run {
        judge: Arc::new(HeldUp(Mutex::new(held_up))),
        ..run(dir.path(), "effects", &journal, &clock, 0, shards).await
    };
    let judging = run.start().await;
    // The names and the device's incident are out; its alert waits for the application's shard.
    let mut durable = run.effects.durable();
    tokio::time::timeout(Duration::from_secs(60), durable.wait_for(|seq| *seq >= 2))
        .await
        .expect("the device is judged")
        .expect("the journal is open");
    assert_eq!(alerts(&run).await, [] as [usize; 0]);
    assert!(
        !judging.drain(Duration::from_millis(1)).await,
        "no checkpoint passes what is not out"
    );
    go_on.send(()).expect("somebody waits");
    run.finish(judging).await;
    assert_eq!(alerts(&run).await, [2]);
}
