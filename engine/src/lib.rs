//! The domain of Andon, pure: `(state, input, now) -> effects`.
//!
//! Nothing in this crate does I/O, reads a clock, spawns, logs, or knows JSON, HTTP or SQL. Time is passed in. State types
//! derive serde's traits for one purpose only: a checkpoint holds them. What a record looks like on the wire and in a row is
//! the business of the crates at the edges.

pub mod address;
pub mod batch;
pub mod condition;
pub mod control;
pub mod dedup;
pub mod effect;
pub mod entity;
pub mod fingerprint;
pub mod ids;
pub mod incident;
pub mod intake;
pub mod level;
pub mod limits;
pub mod mute;
pub mod pages;
pub mod parts;
pub mod plant;
pub mod record;
pub mod rule;
pub mod ruleset;
pub mod sequencer;
pub mod silence;
pub mod sources;
pub mod subject;
pub mod text;
pub mod throttle;
pub mod time;
