//! The ingest server over real sockets, with a journal in memory.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod clients;
mod edges;
mod hardening;
mod harness;
mod http2;
mod retries;
mod shares;
mod shippers;
mod statuses;
mod stopping;
mod telemetry;
