//! Ports (traits) of the stores, their adapters, and the journal.

pub mod conformance;
pub mod elasticsearch;
pub mod fast_state;
pub mod journal;
pub mod keys;
pub mod layered_checkpoints;
pub mod link_token;
pub mod owner;
pub mod ports;
pub mod postgres;
pub mod redis;
pub mod relational;
pub mod retention;
pub mod sqlite;
pub mod tantivy_index;
pub mod words;
