//! The sequencer: what is judged once, in the order of the journal, for all subjects together. `(state, entry or tick) -> items for
//! subjects + findings`.
//!
//! It owns the clocks of sources, the silence of devices, the names that are registered, and the configuration in force; it matches each
//! record once. Pure: the router feeds it from the journal, a backtest can drive it over an archive.

pub mod accepting;
pub mod registry;

use crate::batch::Batch;
use crate::effect::Registered;
use crate::ids::RuleId;
use crate::parts::{Applied, ConfigurationChange, PartId, PartKind};
use crate::record::{Flags, Record};
use crate::rule::Configuration;
use crate::ruleset::{RuleEnd, RuleMatch, RuleSet, subject_id};
use crate::silence::{Ended, Finding, SilenceTable};
use crate::sources::{Judgement, Sources, history_source};
use crate::subject::SubjectKind;
use crate::time::Timestamp;
use accepting::Accepting;
use registry::Registry;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

#[derive(Debug, Default)]
pub struct Sequencer {
    pub sources: Sources,
    pub silence: SilenceTable,
    pub registry: Registry,
    configuration: Arc<Configuration>,
    /// Of the parts of the configuration that judging goes by.
    rules: Arc<RuleSet>,
}

/// A record and a subject that it concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// The record's place in its entry.
    pub index: u32,
    pub subject: SubjectKind,
    /// Of the subject's name: which shard, which entity.
    pub hash: u64,
    /// Where in [`Sequenced::matches`] its rules are.
    first_match: u32,
    matches: u32,
}

/// A journal entry of records, sequenced.
#[derive(Debug, Default)]
pub struct Sequenced {
    /// One for each record.
    pub judgements: Vec<Judgement>,
    /// In the order of the records; the items of one record and subject are one.
    pub items: Vec<Item>,
    matches: Vec<RuleMatch>,
    /// Devices and applications of which this is the first record.
    pub registered: Vec<Registered>,
    /// Silences that end with a record received at that time.
    pub ended: Vec<(Ended, Timestamp)>,
    /// Devices whose silence cannot be watched: the table is full.
    pub unwatched: u64,
}

impl Sequenced {
    /// The rules under which the record concerns the subject.
    pub fn matches(&self, item: &Item) -> &[RuleMatch] {
        &self.matches[item.first_match as usize..][..item.matches as usize]
    }
}

/// What a change of the configuration does.
#[derive(Debug, Default)]
pub struct Reconfigured {
    /// The parts that are other than before; sorted.
    pub touched: Vec<PartId>,
    /// Judging goes by another [`RuleSet`] from here on. Else only the notifier is concerned.
    pub is_judged: bool,
    /// Rules that judge no more, or otherwise; sorted.
    pub rules: Vec<(RuleId, RuleEnd)>,
    /// Silences of devices that were taken out of the plant.
    pub silences: Vec<Ended>,
}

impl Sequencer {
    pub fn new(configuration: Configuration) -> Self {
        let configuration = Arc::new(configuration);
        let rules = Arc::new(RuleSet::compile(configuration.clone()));
        let mut silence = SilenceTable::new();
        silence.follow(&rules);
        Self {
            configuration,
            rules,
            silence,
            ..Self::default()
        }
    }

    /// The configuration in force.
    pub fn configuration(&self) -> &Arc<Configuration> {
        &self.configuration
    }
    pub fn rules(&self) -> &Arc<RuleSet> {
        &self.rules
    }

    /// Takes an entry of records. `sender` is the key that sent it: the source of records that name no device.
    pub fn records<B: AsRef<[u8]>>(&mut self, batch: &Batch<B>, sender: &str) -> Sequenced {
        let sender = xxh3_64(sender.as_bytes());
        let rules = self.rules.clone();
        let mut out = Sequenced {
            judgements: Vec::with_capacity(batch.len()),
            ..Sequenced::default()
        };
        let mut matched = Vec::new();
        for (index, record) in batch.iter().enumerate() {
            let device = record.device_id.map(|d| SubjectKind::Device.hash(d));
            out.judgements.push(self.judge(&record, device.unwrap_or(sender)));
            self.hear(&record, device, &rules, &mut out);
            matched.clear();
            rules.matching(&record, &mut matched);
            dispatch(index as u32, &record, &rules, &mut matched, &mut out);
        }
        out
    }

    fn judge(&mut self, record: &Record<'_>, source: u64) -> Judgement {
        let is_history = record.flags.contains(Flags::HISTORY);
        // An import of last month must not move the clock of the machine that is running.
        let source = if is_history { history_source(source) } else { source };
        self.sources
            .observe_as(source, record.timestamp, record.received_at, is_history)
    }

    fn hear(&mut self, record: &Record<'_>, device: Option<u64>, rules: &RuleSet, out: &mut Sequenced) {
        let received_at = record.received_at;
        if let Some(name) = record.device_id.filter(|_| !record.flags.contains(Flags::HISTORY)) {
            if self.silence.is_full() && !self.silence.watches(name) {
                // Once an entry at most: a flood of new names must not cost a walk over the table each.
                if out.unwatched == 0 {
                    self.silence.make_room(received_at, |d| rules.device(d).is_some());
                }
                out.unwatched += u64::from(self.silence.is_full());
            }
            let ended = self.silence.observe(name, received_at);
            out.ended.extend(ended.into_iter().map(|e| (e, received_at)));
        }
        let application = record.application.map(|a| SubjectKind::Application.hash(a));
        for (kind, id, hash) in [
            (SubjectKind::Device, record.device_id, device),
            (SubjectKind::Application, record.application, application),
        ] {
            if let (Some(id), Some(hash)) = (id, hash)
                && self.registry.hear(hash, received_at)
            {
                let id = Arc::from(id);
                out.registered.push(Registered {
                    kind,
                    id,
                    first_seen: received_at,
                });
            }
        }
    }

    /// The configuration is changed from `at` on. `None` when the change is not newer than what is in force.
    pub fn configure(&mut self, change: &ConfigurationChange, at: Timestamp) -> Option<Reconfigured> {
        if change.version <= self.configuration.version {
            return None;
        }
        let Applied { configuration, touched } = self.configuration.apply(change);
        let mut out = Reconfigured {
            is_judged: touched.iter().any(|part| part.kind.is_judged()),
            ..Reconfigured::default()
        };
        if out.is_judged {
            let next = Arc::new(self.rules.followed_by(configuration.judging()));
            self.judge_by(next, &touched, at, &mut out);
        }
        self.configuration = Arc::new(configuration);
        out.touched = touched;
        Some(out)
    }

    fn judge_by(&mut self, next: Arc<RuleSet>, touched: &[PartId], at: Timestamp, out: &mut Reconfigured) {
        let of = |kind| {
            touched
                .iter()
                .filter(move |part| part.kind == kind)
                .map(|part| &part.id)
        };
        out.rules = self.rules.ended(&next, of(PartKind::Rule));
        for device in of(PartKind::Device).filter(|id| next.device(id).is_none()) {
            out.silences.extend(self.silence.remove(device));
        }
        if !out.rules.is_empty() {
            let has_ended = |rule: &RuleId| out.rules.binary_search_by(|(r, _)| r.cmp(rule)).is_ok();
            self.silence.retain_rules(|rule| !has_ended(rule));
        }
        self.silence.configured(&self.rules, &next, of(PartKind::Device), at);
        self.rules = next;
    }

    /// Who is silent by `now` and was not found before.
    pub fn find_silences(&mut self, now: Timestamp, accepting: &Accepting) -> Vec<(RuleId, Finding)> {
        self.silence.find(&self.rules, now, accepting)
    }
}

/// One item for each subject that a matched rule judges.
fn dispatch(index: u32, record: &Record<'_>, rules: &RuleSet, matched: &mut [RuleMatch], out: &mut Sequenced) {
    if matched.is_empty() {
        return;
    }
    matched.sort_unstable_by_key(|m| (rules.rule(m.rule).subject, *m));
    for same in matched.chunk_by(|a, b| rules.rule(a.rule).subject == rules.rule(b.rule).subject) {
        let subject = rules.rule(same[0].rule).subject;
        if let Some(id) = subject_id(record, subject, rules.area(record)) {
            out.items.push(Item {
                index,
                subject,
                hash: subject.hash(id),
                first_match: out.matches.len() as u32,
                matches: same.len() as u32,
            });
            out.matches.extend_from_slice(same);
        }
    }
}

#[cfg(test)]
mod tests;
