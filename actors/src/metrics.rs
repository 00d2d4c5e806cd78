//! Names of what the actors count, in one place; `docs/TELEMETRY.md` lists them with their meaning.

use andon_engine::entity::Outcome;
use andon_engine::sources::Judgement;

pub const BREACHES: &str = "andon_windows_breached_total";
pub const LATE_UNJUDGED: &str = "andon_records_late_unjudged_total";
pub const WINDOWS_TRUNCATED: &str = "andon_windows_truncated_total";
pub const ENTITY_PANICS: &str = "andon_entity_panics_total";
pub const CLOCK_STEPS: &str = "andon_clock_steps_total";
pub const CLOCK_OFFSET_RECORDS: &str = "andon_clock_offset_records_total";
pub const SINK_LAG: &str = "andon_sink_lag_entries";
pub const SELF_LOG_DROPPED: &str = "andon_self_log_dropped_total";
pub const PIPELINE_RESTARTS: &str = "andon_judging_restarts_total";
pub const EFFECTS_REFUSED: &str = "andon_effects_refused_total";
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
    if judgement.clock_offset {
        metrics::counter!(CLOCK_OFFSET_RECORDS).increment(1);
    }
}

pub(crate) fn entity_panicked() {
    metrics::counter!(ENTITY_PANICS).increment(1);
}

pub(crate) fn sink_lag(sink: &'static str, entries: u64) {
    metrics::gauge!(SINK_LAG, "sink" => sink).set(entries as f64);
}
