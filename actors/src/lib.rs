//! andon-actors

pub mod notifier;
