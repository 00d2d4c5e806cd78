//! The ingest server over real sockets, with a journal in memory.

mod hardening;
mod harness;
mod http2;
mod retries;
mod statuses;
mod stopping;
