//! What the effect writer holds in memory while it catches up.

use crate::world::World;
use andon_actors::entries::{self, EFFECTS};
use andon_actors::self_log::SelfLog;
use andon_actors::sinks::effects::{Applied, EffectWriter};
use andon_engine::effect::{Effect, Registered};
use andon_engine::subject::SubjectKind;
use andon_storage::journal::Append;
use andon_storage::ports::rows::{EffectStore, EffectsApplied};
use andon_storage::ports::{Cursor, Result};
use bytes::Bytes;
use std::sync::{Arc, Mutex};

/// Remembers how large each transaction was.
#[derive(Default)]
struct Weighing(Mutex<(Vec<usize>, Option<Cursor>)>);

#[async_trait::async_trait]
impl EffectStore for Weighing {
    async fn effect_cursor(&self) -> Result<Option<Cursor>> {
        Ok(self.0.lock().expect("no panic").1)
    }
    async fn apply_effects(&self, effects: &[Effect], cursor: Cursor) -> Result<EffectsApplied> {
        let mut state = self.0.lock().expect("no panic");
        state.0.push(entries::encode_effects(effects).len());
        state.1 = Some(cursor);
        Ok(EffectsApplied::default())
    }
}

struct Nobody;

impl Applied for Nobody {
    fn applied(&self, _: &[Effect]) {}
}

#[tokio::test]
async fn a_transaction_is_bounded_by_bytes_however_few_effects_they_are() {
    let world = World::with(|o| (o.segment_bytes, o.quota_bytes) = (8 << 20, 128 << 20)).await;
    let large = Effect::Registered(Registered {
        kind: SubjectKind::Device,
        id: "x".repeat(1 << 20).into(),
        first_seen: crate::world::START,
    });
    for _ in 0..30 {
        let entry = Append {
            kind: EFFECTS,
            received_at: crate::world::START,
            header: Bytes::new(),
            body: entries::encode_effects(std::slice::from_ref(&large)),
        };
        world.journal.append(entry).await.expect("appended");
    }
    let store = Arc::new(Weighing::default());
    let self_log = SelfLog::start(world.journal.clone(), world.clock.clone());
    let mut sink = world
        .run(EffectWriter::new(store.clone(), Arc::new(Nobody), self_log))
        .await;
    sink.until_done(30).await;
    sink.stop().await;
    let transactions = store.0.lock().expect("no panic").0.clone();
    assert!(transactions.iter().sum::<usize>() >= 30 << 20, "{transactions:?}");
    assert!(transactions.iter().all(|bytes| *bytes <= 9 << 20), "{transactions:?}");
}
