//! The effect writer: the only one that creates incident and alert rows. Applies effects in order, with its cursor, in one transaction.

use super::Sink;
use crate::entries;
use crate::metrics;
use crate::self_log::SelfLog;
use andon_engine::effect::Effect;
use andon_engine::level::Level;
use andon_storage::journal::Entry;
use andon_storage::ports::rows::EffectStore;
use andon_storage::ports::{Cursor, Result};
use std::sync::Arc;
use std::time::Duration;

/// Effects of one transaction.
const BATCH: usize = 2_000;
/// Bytes of the entries of one transaction; read, they take a few times that.
const BATCH_BYTES: usize = 8 << 20;

/// Told after the transaction: the live feed and the notifier.
pub trait Applied: Send + Sync + 'static {
    fn applied(&self, effects: &[Effect]);
}

pub struct EffectWriter {
    store: Arc<dyn EffectStore>,
    listener: Arc<dyn Applied>,
    self_log: SelfLog,
    buffer: Vec<Effect>,
}

impl std::fmt::Debug for EffectWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EffectWriter({} buffered)", self.buffer.len())
    }
}

impl EffectWriter {
    pub fn new(store: Arc<dyn EffectStore>, listener: Arc<dyn Applied>, self_log: SelfLog) -> Self {
        Self {
            store,
            listener,
            self_log,
            buffer: Vec::new(),
        }
    }

    /// The store refuses something in the buffer: finds it by bisection, so that one bad effect stops no other.
    async fn bisect(&self, effects: &[Effect], cursor: Cursor) -> Result<()> {
        match self.store.apply_effects(effects, cursor).await {
            Ok(_) => Ok(()),
            Err(e) if e.is_temporary() => Err(e),
            Err(e) if effects.len() <= 1 => {
                ::metrics::counter!(metrics::EFFECTS_REFUSED).increment(1);
                tracing::error!(error = %e, effects = ?effects.first(), "the store refuses an effect: it is skipped");
                self.self_log.write(
                    Level::Error,
                    "andon.store.refused",
                    &format!("an effect was refused: {e}"),
                );
                self.store.apply_effects(&[], cursor).await.map(drop)
            }
            Err(_) => {
                let (left, right) = effects.split_at(effects.len() / 2);
                Box::pin(self.bisect(left, cursor)).await?;
                Box::pin(self.bisect(right, cursor)).await
            }
        }
    }
}

#[async_trait::async_trait]
impl Sink for EffectWriter {
    fn name(&self) -> &'static str {
        "incidents"
    }
    fn batch_max(&self) -> usize {
        BATCH
    }
    fn batch_bytes_max(&self) -> usize {
        BATCH_BYTES
    }
    fn linger(&self) -> Duration {
        Duration::ZERO
    }
    async fn cursor(&self) -> Result<Option<Cursor>> {
        self.store.effect_cursor().await
    }
    fn take(&mut self, entry: &Entry) -> usize {
        match entries::decode_effects(entry.seq, &entry.body) {
            Ok(effects) => {
                let n = effects.len();
                self.buffer.extend(effects);
                n
            }
            Err(e) => {
                ::metrics::counter!(metrics::UNREADABLE_ENTRIES).increment(1);
                tracing::error!(error = %e, "an entry of the effect journal is skipped");
                0
            }
        }
    }
    async fn flush(&mut self, cursor: Cursor) -> Result<()> {
        match self.store.apply_effects(&self.buffer, cursor).await {
            Ok(_) => {}
            Err(e) if e.is_temporary() => return Err(e),
            // A part of it applied twice changes nothing: effects are absolute.
            Err(_) => self.bisect(&self.buffer, cursor).await?,
        }
        self.listener.applied(&self.buffer);
        self.buffer = Vec::new();
        Ok(())
    }
    fn clear(&mut self) {
        self.buffer = Vec::new();
    }
}
