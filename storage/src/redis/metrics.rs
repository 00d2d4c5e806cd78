//! Names of what is counted about Redis; `docs/TELEMETRY.md` lists them with their meaning.

pub const CHECKPOINT_LAG: &str = "andon_redis_checkpoint_lag_entries";
pub const CHECKPOINT_FAILED: &str = "andon_redis_checkpoint_failures_total";
pub const CHECKPOINT_REFILLS: &str = "andon_redis_checkpoint_refills_total";
pub const LIVE_DROPPED: &str = "andon_live_messages_dropped_total";
