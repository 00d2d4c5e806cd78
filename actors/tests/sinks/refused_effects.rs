//! An effect that the store refuses costs nothing but itself, wherever the writer is cut off.

use crate::rewind::Emptied;
use crate::world::{World, unavailable, within};
use andon_actors::self_log::SelfLog;
use andon_actors::sinks::effects::{Applied, EffectWriter};
use andon_engine::effect::{Alert, Effect};
use andon_engine::ids::{AlertId, IncidentId};
use andon_storage::conformance::sample;
use andon_storage::ports::incidents::IncidentStore;
use andon_storage::ports::rows::{EffectStore, EffectsApplied};
use andon_storage::ports::{Cursor, Result};
use andon_storage::sqlite::SqliteStore;
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

const INCIDENT: IncidentId = IncidentId(7);
const ALERTS: u64 = 24;
const REFUSED: u64 = 13;

/// A real store whose process is killed after some calls: from then on it answers nothing.
struct Dying {
    inner: Arc<SqliteStore>,
    calls: AtomicU64,
    calls_max: u64,
}

#[async_trait::async_trait]
impl EffectStore for Dying {
    async fn effect_cursor(&self) -> Result<Option<Cursor>> {
        self.inner.effect_cursor().await
    }
    async fn apply_effects(&self, effects: &[Effect], cursor: Cursor) -> Result<EffectsApplied> {
        if self.calls.fetch_add(1, Ordering::SeqCst) >= self.calls_max {
            return Err(unavailable());
        }
        self.inner.apply_effects(effects, cursor).await
    }
}

#[derive(Default)]
struct Listener(Mutex<Vec<Effect>>);

impl Applied for Listener {
    fn applied(&self, effects: &[Effect]) {
        self.0.lock().expect("not poisoned").extend_from_slice(effects);
    }
}

fn alerts() -> Vec<Effect> {
    let mut rng = StdRng::seed_from_u64(1);
    let alert = |n: u64| {
        let mut alert = Alert {
            id: AlertId(u128::from(n)),
            ..sample::alert(&mut rng, INCIDENT)
        };
        if n == REFUSED {
            // Beyond what a database counts to.
            alert.position.seq = u64::MAX;
        }
        Effect::Alert(Box::new(alert))
    };
    (0..ALERTS).map(alert).collect()
}

#[tokio::test]
async fn a_refused_effect_costs_no_other_wherever_the_process_is_killed() {
    for calls_max in 1..12 {
        let (world, own) = (World::new().await, World::new().await);
        let self_log = SelfLog::start(own.journal.clone(), own.clock.clone());
        let effects = alerts();
        for entry in effects.chunks(8) {
            world.append_effects(entry).await;
        }
        let dying = Arc::new(Dying {
            inner: world.relational.clone(),
            calls: AtomicU64::new(0),
            calls_max,
        });
        let listener = Arc::new(Listener::default());
        let mut first = world
            .run(EffectWriter::new(dying, listener.clone(), self_log.clone()))
            .await;
        within("it has written all, or died", async {
            tokio::select! {
                _ = first.progress.done.wait_for(|d| *d == 3) => {}
                _ = first.progress.trouble.wait_for(Option::is_some) => {}
            }
        })
        .await;
        first.task.abort();
        let store = world.relational.clone();
        let mut second = world.run(EffectWriter::new(store, listener.clone(), self_log)).await;
        second.until_done(3).await;
        second.stop().await;

        all_but_the_refused(&world.relational).await;
        let listened = listener.0.lock().expect("not poisoned").clone();
        assert!(
            !listened.contains(&effects[REFUSED as usize]),
            "nobody hears of what is not there"
        );
        let mut durable = own.journal.durable();
        within("a record says that one was refused", durable.wait_for(|d| *d >= 1))
            .await
            .expect("it runs");
    }
}

async fn all_but_the_refused(store: &SqliteStore) {
    let stored = store.alerts_of(INCIDENT).await.expect("it can be read");
    let mut stored: Vec<u128> = stored.iter().map(|a| a.id.0).collect();
    stored.sort_unstable();
    let want: Vec<u128> = (0..ALERTS).filter(|n| *n != REFUSED).map(u128::from).collect();
    assert_eq!(stored, want);
}

#[tokio::test]
async fn a_refused_effect_is_refused_again_by_a_store_that_was_emptied_and_costs_no_other() {
    let (world, own) = (World::new().await, World::new().await);
    let self_log = SelfLog::start(own.journal.clone(), own.clock.clone());
    let store = Emptied::new(&world);
    let effects = alerts();
    world.append_effects(&effects[..20]).await;
    let writer = EffectWriter::new(store.clone(), Arc::new(Listener::default()), self_log);
    let mut sink = world.run(writer).await;
    sink.until_done(1).await;
    let empty = SqliteStore::open(&world.dir.path().join("empty.db"))
        .await
        .expect("it opens");
    store.becomes(empty);
    world.append_effects(&effects[20..]).await;
    sink.until_done(2).await;
    all_but_the_refused(&store.inner()).await;
    sink.stop().await;
}
