//! The Redis adapters pass the checks of their ports, and what is their own: faults of a real server.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "redis/support.rs"]
mod support;

#[path = "redis/checkpoints.rs"]
mod checkpoints;
#[path = "redis/fast_state.rs"]
mod fast_state;
#[path = "redis/jobs.rs"]
mod jobs;
#[path = "redis/limits.rs"]
mod limits;
#[path = "redis/live.rs"]
mod live;
#[path = "redis/start.rs"]
mod start;
