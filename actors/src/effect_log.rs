//! The effect journal: what judging said, durable before anything downstream or a checkpoint relies on it.

use crate::entries::{self, EFFECTS};
use andon_engine::effect::Effect;
use andon_engine::time::Clock;
use andon_storage::journal::{Append, AppendError, Journal};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

/// How long judging waits before it tries a full effect journal again. Ingest goes on meanwhile.
const RETRY: Duration = Duration::from_millis(200);

/// The process is ending: effects can no longer be written.
#[derive(Debug, thiserror::Error)]
#[error("the effect journal takes no more: {0}")]
pub struct EffectLogClosed(String);

#[derive(Clone)]
pub struct EffectLog {
    journal: Journal,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for EffectLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EffectLog")
    }
}

impl EffectLog {
    pub fn new(journal: Journal, clock: Arc<dyn Clock>) -> Self {
        Self { journal, clock }
    }

    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Returns once the effects are on disk. A full journal is waited out: the caller's judging lags, nothing is lost.
    pub async fn append(&self, effects: &[Effect]) -> Result<(), EffectLogClosed> {
        if effects.is_empty() {
            return Ok(());
        }
        let body = entries::encode_effects(effects);
        loop {
            let entry = Append {
                kind: EFFECTS,
                received_at: self.clock.now(),
                header: Bytes::new(),
                body: body.clone(),
            };
            match self.journal.append(entry).await {
                Ok(_) => return Ok(()),
                Err(AppendError::Full { .. }) => {
                    tracing::warn!(
                        retry_ms = RETRY.as_millis() as u64,
                        "the effect journal is full: judging waits"
                    );
                    tokio::time::sleep(RETRY).await;
                }
                Err(e) => return Err(EffectLogClosed(e.to_string())),
            }
        }
    }
}
