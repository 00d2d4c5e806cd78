//! The effect journal: what judging said, durable before anything downstream or a checkpoint relies on it.

use crate::entries::{self, EFFECTS};
use crate::metrics::EFFECTS_REFUSED;
use andon_engine::effect::Effect;
use andon_engine::time::Clock;
use andon_storage::journal::{Append, AppendError, Journal};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

/// How long judging waits before it tries a full effect journal again. Ingest goes on meanwhile.
const RETRY: Duration = Duration::from_millis(200);

/// An entry of effects holds at most this, so that whoever applies entries by number holds a bounded amount of memory.
const ENTRY_BYTES_MAX: usize = 4 << 20;

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

    /// Returns once the effects are on disk. What is too large for one entry is split: effects are absolute, so that a group of which
    /// only a part was written is the same after a replay. A full journal is waited out: the caller's judging lags, nothing is lost.
    pub async fn append(&self, effects: &[Effect]) -> Result<(), EffectLogClosed> {
        if effects.is_empty() {
            return Ok(());
        }
        let limit = self.journal.entry_bytes_max().min(ENTRY_BYTES_MAX);
        for body in encode_split(effects, limit) {
            self.append_body(body).await?;
        }
        Ok(())
    }

    async fn append_body(&self, body: Bytes) -> Result<(), EffectLogClosed> {
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

/// The effects as bodies of at most `limit` bytes, in their order. One that is larger by itself is skipped, counted and reported.
fn encode_split(effects: &[Effect], limit: usize) -> Vec<Bytes> {
    let mut bodies = Vec::new();
    let mut left = vec![effects];
    while let Some(part) = left.pop() {
        let body = entries::encode_effects(part);
        if body.len() <= limit {
            bodies.push(body);
        } else if part.len() > 1 {
            let (first, second) = part.split_at(part.len() / 2);
            left.extend([second, first]);
        } else {
            metrics::counter!(EFFECTS_REFUSED).increment(1);
            tracing::error!(bytes = body.len(), limit, effect = ?part[0], "an effect is larger than an entry and is skipped");
        }
    }
    bodies
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_engine::effect::Registered;
    use andon_engine::subject::SubjectKind;
    use andon_engine::time::Timestamp;

    #[test]
    fn effects_that_do_not_fit_are_split_in_order_and_one_that_is_too_large_is_skipped() {
        let named = |id: String| {
            Effect::Registered(Registered {
                kind: SubjectKind::Device,
                id: id.into(),
                first_seen: Timestamp(1),
            })
        };
        let mut effects: Vec<Effect> = (0..1_000).map(|n| named(format!("CNV-{n:04}"))).collect();
        effects.insert(500, named("x".repeat(5_000)));
        let bodies = encode_split(&effects, 4_096);
        assert!(bodies.len() > 1 && bodies.iter().all(|b| b.len() <= 4_096));
        let read = bodies
            .iter()
            .flat_map(|b| entries::decode_effects(1, b).expect("reads back"));
        effects.remove(500);
        assert_eq!(read.collect::<Vec<_>>(), effects);
    }
}
