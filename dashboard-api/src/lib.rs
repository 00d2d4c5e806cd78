//! The dashboard service: GraphQL, the live feed over Socket.IO, export and tail, links out of e-mails, and the web app's files.
//!
//! Reads stores and the live feed through their ports; whatever changes an incident goes to the running system as an operation
//! ([`System::operate`]) and comes back through the stores. Until sign-in exists it answers on loopback only.

mod export;
#[cfg(test)]
mod generated;
pub mod graphql;
mod http;
pub mod live;
mod server;
pub mod system;
mod telemetry;
pub mod view;
mod viewer;
mod web;

pub use live::LiveFeed;
pub use server::{BindError, Dashboard, DashboardArgs};
pub use system::{JournalHealth, OperateError, ShardsHealth, SinkHealth, System, SystemStatus};
pub use viewer::{KeyLookup, LINK_HEADER};
pub use web::WebApp;
