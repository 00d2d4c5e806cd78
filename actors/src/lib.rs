//! The actors: router, shards, writers and notifier, with their supervision, checkpoints and replay.
//!
//! Knows neither HTTP nor SQL: records come from the journal, effects go to the effect journal, stores are ports.

pub mod checkpoint;
pub mod effect_log;
pub mod entries;
pub mod judging;
pub mod metrics;
pub mod notifier;
pub mod router;
mod router_checkpoint;
pub mod self_log;
pub mod shard;
pub mod sinks;
pub mod stage;
pub mod work;
