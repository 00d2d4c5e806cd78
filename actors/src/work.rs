//! What the router hands to the shards, and how a shard judges it.

use andon_engine::batch::Batch;
use andon_engine::control::{Operation, SilenceFound};
use andon_engine::entity::{Entity, Outcome};
use andon_engine::ids::RuleId;
use andon_engine::record::Record;
use andon_engine::ruleset::{RuleEnd, RuleMatch, RuleSet};
use andon_engine::sequencer::{Item, Sequenced};
use andon_engine::silence::Ended;
use andon_engine::sources::Judgement;
use andon_engine::subject::Subject;
use andon_engine::time::Timestamp;
use bytes::Bytes;
use std::sync::Arc;

/// A journal entry of records on its way to the shards: shared memory, parsed and matched once. Its byte permit goes back with the
/// last shard.
pub struct RecordWork {
    pub batch: Batch<Bytes>,
    pub sequenced: Sequenced,
    pub permit: Option<tokio::sync::OwnedSemaphorePermit>,
}

impl std::fmt::Debug for RecordWork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RecordWork({:?})", self.batch)
    }
}

/// What one journal entry asks of one shard.
#[derive(Clone, Debug)]
pub enum Work {
    Records {
        work: Arc<RecordWork>,
        items: Vec<Item>,
    },
    /// From here on these rules hold. Of those that changed, `ended` judge no more, or otherwise; both are sorted.
    Rules {
        rules: Arc<RuleSet>,
        changed: Arc<[RuleId]>,
        ended: Arc<[(RuleId, RuleEnd)]>,
        at: Timestamp,
    },
    Timers {
        subjects: Vec<Subject>,
        at: Timestamp,
    },
    Operation(Box<Operation>),
    SilencesFound(Vec<SilenceFound>),
    SilencesEnded {
        ended: Vec<(Ended, Timestamp)>,
        why: &'static str,
    },
}

/// How one record is judged; the product has one implementation, and the seam is what lets a failure be injected.
pub trait Judge: Send + Sync + 'static {
    fn observe(
        &self,
        entity: &mut Entity,
        set: &RuleSet,
        matched: &[RuleMatch],
        record: &Record<'_>,
        judgement: &Judgement,
    ) -> Outcome;
}

#[derive(Debug, Default, Clone, Copy)]
pub struct EngineJudge;

impl Judge for EngineJudge {
    fn observe(
        &self,
        entity: &mut Entity,
        set: &RuleSet,
        matched: &[RuleMatch],
        record: &Record<'_>,
        judgement: &Judgement,
    ) -> Outcome {
        entity.observe(set, matched, record, judgement)
    }
}
