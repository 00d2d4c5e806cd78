//! The ingest server: senders' requests to durable, packed records.
//!
//! It knows HTTP, JSON and the limits of a request. Where records go and who may send is asked of the traits in [`ports`], which the
//! binary implements. It judges nothing and stores nothing.

mod admission;
mod answer;
mod body;
pub mod config;
pub mod decode;
mod look_up;
pub mod metrics;
mod peers;
pub mod ports;
mod request;
mod retry;
mod server;
mod unknown;
mod wire;

pub use admission::Permit;
pub use config::Config;
pub use ports::{Grant, Intake, IntakeEntry, IntakeError, Keys, KeysUnavailable, LevelWords, Notes, Rate, SharedRates};
pub use request::{MetricsHook, ReadyHook};
pub use server::{Gateway, Stopped};
