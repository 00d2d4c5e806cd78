//! Ports (traits) of the stores, their adapters, and the journal.

pub mod conformance;
pub mod journal;
pub mod keys;
pub mod link_token;
pub mod owner;
pub mod ports;
pub mod postgres;
pub mod relational;
pub mod sqlite;
pub mod tantivy_index;
