//! What the router hands to the shards, and how a shard judges it.

use andon_engine::batch::Batch;
use andon_engine::control::Control;
use andon_engine::effect::Effect;
use andon_engine::entity::{Entity, Outcome};
use andon_engine::record::Record;
use andon_engine::ruleset::{RuleIndex, RuleSet};
use andon_engine::sources::Judgement;
use andon_engine::subject::SubjectKind;
use andon_engine::time::Timestamp;
use bytes::Bytes;
use std::sync::Arc;

/// A journal entry of records on its way to the shards: shared memory, parsed once. Its byte permit goes back with the last shard.
pub struct RecordWork {
    pub batch: Batch<Bytes>,
    pub judgements: Vec<Judgement>,
    pub sources: Vec<u64>,
    pub permit: Option<tokio::sync::OwnedSemaphorePermit>,
}

impl std::fmt::Debug for RecordWork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RecordWork({:?})", self.batch)
    }
}

/// A record that concerns an entity of this shard.
#[derive(Clone, Copy, Debug)]
pub struct Item {
    pub index: u32,
    pub kind: SubjectKind,
}

#[derive(Clone, Debug)]
pub enum Work {
    Records {
        work: Arc<RecordWork>,
        items: Vec<Item>,
    },
    Control(Arc<Control>),
    SilenceEnded {
        rule: andon_engine::ids::RuleId,
        device: Arc<str>,
        at: Timestamp,
    },
}

/// How one record is judged; the product has one implementation, and the seam is what lets a failure be injected.
pub trait Judge: Send + Sync + 'static {
    #[allow(clippy::too_many_arguments)]
    fn observe(
        &self,
        entity: &mut Entity,
        set: &RuleSet,
        matched: &[RuleIndex],
        record: &Record<'_>,
        judgement: &Judgement,
        source: u64,
        out: &mut Vec<Effect>,
    ) -> Outcome;
}

#[derive(Debug, Default, Clone, Copy)]
pub struct EngineJudge;

impl Judge for EngineJudge {
    fn observe(
        &self,
        entity: &mut Entity,
        set: &RuleSet,
        matched: &[RuleIndex],
        record: &Record<'_>,
        judgement: &Judgement,
        source: u64,
        out: &mut Vec<Effect>,
    ) -> Outcome {
        entity.observe(set, matched, record, judgement, source, out)
    }
}
