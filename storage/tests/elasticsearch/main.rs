//! The log index on Elasticsearch, against a real node: the checks of its port, and what is its own.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod conformance;
mod crowd;
mod front;
mod losses;
mod node;
mod pressure;
mod site;
mod start;
