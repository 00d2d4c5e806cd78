//! What happens when judging a record panics: the entity lives on, and its neighbours never notice.

use super::{PANICS_MAX, ShardState};
use crate::metrics;
use crate::work::RecordWork;
use andon_engine::entity::Entity;
use andon_engine::level::Level;
use andon_engine::sequencer::Item;
use std::panic::{AssertUnwindSafe, catch_unwind};

impl ShardState {
    /// An entity panicked. It is rebuilt from before this entry and its records of this entry are judged again, then the culprit once
    /// more; a second panic on it skips it: it goes to quarantine, and a record of our own says so. An entity that panics on several
    /// records is set aside.
    pub(super) fn recover(&mut self, work: &RecordWork, before: &[Item], culprit: Item, backup: &Entity) {
        self.panics_total += 1;
        metrics::entity_panicked();
        let rebuild = || {
            let mut entity = backup.clone();
            for item in before.iter().filter(|i| i.hash == culprit.hash) {
                let kept = entity.clone();
                if !self.judge_again(&mut entity, work, item) {
                    entity = kept;
                }
            }
            entity
        };
        let mut entity = rebuild();
        if !self.judge_again(&mut entity, work, &culprit) {
            entity = rebuild();
            self.skip(work, culprit, &entity);
        }
        let now = self.shared.clock.now();
        self.hosting.put(culprit.hash, entity, now);
    }

    fn judge_again(&self, entity: &mut Entity, work: &RecordWork, item: &Item) -> bool {
        let record = work.batch.get(item.index as usize);
        let judgement = &work.sequenced.judgements[item.index as usize];
        let matched = work.sequenced.matches(item);
        catch_unwind(AssertUnwindSafe(|| {
            self.shared
                .judge
                .observe(entity, &self.rules, matched, &record, judgement)
        }))
        .is_ok()
    }

    fn skip(&mut self, work: &RecordWork, culprit: Item, entity: &Entity) {
        let record = work.batch.get(culprit.index as usize);
        let panics = self.panics.entry(culprit.hash).or_default();
        panics.push(record.record_id);
        let set_aside = panics.len() >= PANICS_MAX;
        let what = if set_aside {
            "is set aside: judging it failed on several records"
        } else {
            "a record was skipped: judging it failed twice"
        };
        let (subject, id) = (&entity.subject, record.record_id);
        tracing::error!(%subject, record = %id, set_aside, "judging a record panicked");
        let reason = format!("{subject}: {what} ({id})");
        // FATAL: by the default rules an incident of priority 1.
        self.shared
            .self_log
            .quarantine(Level::Fatal, "andon.judging.panic", &reason, &record);
    }
}
