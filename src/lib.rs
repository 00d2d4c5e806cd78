//! `andon` as a library: the configuration, the wiring of the crates, and what each command of the command line does.
//!
//! What Andon *does* lies in the crates (`andon-engine`, `andon-storage`, `andon-gateway`, `andon-actors`, `andon-dashboard-api`); here they
//! meet. The program `andon` is a thin layer over this, so that tests can run the whole of it in their own process and on their own clock:
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use andon::up::{self, ServiceArgs, UpArgs};
//! use andon_engine::time::{ManualClock, Timestamp};
//! use std::sync::Arc;
//!
//! let clock = Arc::new(ManualClock::new(Timestamp::from_micros(1_790_000_000_000_000)));
//! let args = UpArgs {
//!     service: ServiceArgs {
//!         data_dir: Some("andon-data".into()),
//!         ingest: Some("127.0.0.1:0".into()),
//!         ..ServiceArgs::default()
//!     },
//!     dashboard: Some("127.0.0.1:0".into()),
//!     ..UpArgs::default()
//! };
//! let andon = up::start(args, clock).await?;
//! println!("send to {}/v1/records", andon.ingest_url);
//! andon.stop().await;
//! # Ok(())
//! # }
//! ```

mod adapters;
mod bus;
pub mod cli;
pub mod clock;
mod companion;
pub mod config;
pub mod dashboard;
pub mod exit;
mod heartbeat;
mod live_feed;
pub mod notifier;
pub mod secret;
mod shared_clock;
pub mod up;
