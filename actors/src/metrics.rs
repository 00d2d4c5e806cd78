//! Names of what the actors count, in one place; `docs/TELEMETRY.md` lists them with their meaning.

use andon_engine::entity::Outcome;
use andon_engine::sequencer::Sequencer;
use andon_engine::sources::Judgement;

pub const BREACHES: &str = "andon_windows_breached_total";
pub const LATE_UNJUDGED: &str = "andon_records_late_unjudged_total";
pub const WINDOWS_TRUNCATED: &str = "andon_windows_truncated_total";
pub const ENTITY_PANICS: &str = "andon_entity_panics_total";
pub const CLOCK_STEPS: &str = "andon_clock_steps_total";
pub const CLOCK_OFFSET_RECORDS: &str = "andon_clock_offset_records_total";
pub const CLOCK_UNSET_RECORDS: &str = "andon_clock_unset_records_total";
pub const UNREGISTERED_RECORDS: &str = "andon_records_unregistered_total";
pub const UNWATCHED_RECORDS: &str = "andon_records_unwatched_total";
pub const JUDGING_LAG: &str = "andon_judging_lag_entries";
pub const ENTITIES: &str = "andon_entities";
pub const SOURCES: &str = "andon_sources";
pub const NAMES_REGISTERED: &str = "andon_names_registered";
pub const DEVICES_WATCHED: &str = "andon_devices_watched";
pub const SINK_LAG: &str = "andon_sink_lag_entries";
pub const SINK_LAG_SECONDS: &str = "andon_sink_lag_seconds";
pub const SINK_LAG_BYTES: &str = "andon_sink_lag_bytes";
pub const SINK_TROUBLE: &str = "andon_sink_trouble";
pub const SINK_REWINDS: &str = "andon_sink_rewinds_total";
pub const SINK_ENTRIES_GONE: &str = "andon_sink_entries_gone_total";
pub const RECORDS_REFUSED: &str = "andon_records_refused_total";
pub const SELF_LOG_DROPPED: &str = "andon_self_log_dropped_total";
pub const PIPELINE_RESTARTS: &str = "andon_judging_restarts_total";
pub const EFFECTS_REFUSED: &str = "andon_effects_refused_total";
pub const RETENTION_HELD: &str = "andon_retention_held";
pub const UNREADABLE_ENTRIES: &str = "andon_journal_entries_unreadable_total";

pub(crate) fn judged(outcome: &Outcome) {
    if outcome.breached > 0 {
        metrics::counter!(BREACHES).increment(u64::from(outcome.breached));
    }
    if outcome.late_unjudged > 0 {
        metrics::counter!(LATE_UNJUDGED).increment(u64::from(outcome.late_unjudged));
    }
    if outcome.window_truncated {
        metrics::counter!(WINDOWS_TRUNCATED).increment(1);
    }
}

pub(crate) fn clocks(judgement: &Judgement) {
    if judgement.clock_step {
        metrics::counter!(CLOCK_STEPS).increment(1);
    }
    if judgement.clock_unset {
        metrics::counter!(CLOCK_UNSET_RECORDS).increment(1);
    }
    if judgement.clock_offset {
        metrics::counter!(CLOCK_OFFSET_RECORDS).increment(1);
    }
}

/// Nothing is deleted for its age: the clock has jumped.
pub fn retention_held(held: bool) {
    metrics::gauge!(RETENTION_HELD).set(f64::from(u8::from(held)));
}

/// Entries of the journal that are durable and not handed to the shards yet.
pub(crate) fn judging_lag(entries: u64) {
    metrics::gauge!(JUDGING_LAG).set(entries as f64);
}

/// How full the sequencer's tables are.
pub(crate) fn tables(sequencer: &Sequencer) {
    metrics::gauge!(SOURCES).set(sequencer.sources.len() as f64);
    metrics::gauge!(NAMES_REGISTERED).set(sequencer.registry.len() as f64);
    metrics::gauge!(DEVICES_WATCHED).set(sequencer.silence.len() as f64);
}

/// Entities of a shard, in memory and written out.
pub(crate) fn entities(shard: u16, in_memory: usize, written_out: usize) {
    let shard = shard.to_string();
    metrics::gauge!(ENTITIES, "shard" => shard.clone(), "state" => "in_memory").set(in_memory as f64);
    metrics::gauge!(ENTITIES, "shard" => shard, "state" => "written_out").set(written_out as f64);
}

/// Records of devices or applications that found no room in the table of registered names, and in that of watched devices.
pub(crate) fn tables_full(unregistered: u64, unwatched: u64) {
    if unregistered > 0 {
        metrics::counter!(UNREGISTERED_RECORDS).increment(unregistered);
    }
    if unwatched > 0 {
        metrics::counter!(UNWATCHED_RECORDS).increment(unwatched);
    }
}

pub(crate) fn entity_panicked() {
    metrics::counter!(ENTITY_PANICS).increment(1);
}

/// What `/metrics` says of a sink.
pub(crate) struct SinkState {
    pub(crate) lag_entries: u64,
    pub(crate) lag_seconds: f64,
    pub(crate) lag_bytes: u64,
    pub(crate) trouble: bool,
}

pub(crate) fn sink(sink: &'static str, state: &SinkState) {
    metrics::gauge!(SINK_LAG, "sink" => sink).set(state.lag_entries as f64);
    metrics::gauge!(SINK_LAG_SECONDS, "sink" => sink).set(state.lag_seconds);
    metrics::gauge!(SINK_LAG_BYTES, "sink" => sink).set(state.lag_bytes as f64);
    metrics::gauge!(SINK_TROUBLE, "sink" => sink).set(if state.trouble { 1.0 } else { 0.0 });
}

pub(crate) fn sink_rewound(sink: &'static str) {
    metrics::counter!(SINK_REWINDS, "sink" => sink).increment(1);
}

pub(crate) fn sink_entries_gone(sink: &'static str, entries: u64) {
    metrics::counter!(SINK_ENTRIES_GONE, "sink" => sink).increment(entries);
}

pub(crate) fn records_refused(store: &'static str, records: u64) {
    metrics::counter!(RECORDS_REFUSED, "store" => store).increment(records);
}
