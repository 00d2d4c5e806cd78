//! The simulated plant, the scenarios with a known truth, the load generator and the oracle of Andon.
//!
//! It shares nothing with the server but the vocabulary of `andon-engine`: its own HTTP client, its own retries, its own naive
//! judge of the rules. An oracle that reused the code it checks would repeat its faults.

pub mod attempts;
pub mod clock;
pub mod crash;
pub mod draft;
pub mod faults;
pub mod ledger;
pub mod load;
mod look;
pub mod metrics;
pub mod model;
pub mod oracle;
pub mod plant;
pub mod play;
pub mod process;
pub mod scenarios;
pub mod sender;
pub mod server;
mod workload;
