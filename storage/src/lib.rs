//! Ports (traits) of the stores, their adapters, and the journal.

pub mod journal;
pub mod link_token;
pub mod ports;
pub mod relational;
pub mod sqlite;
