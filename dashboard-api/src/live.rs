//! The live feed: what the writers publish, and how Socket.IO and the tail read it.
//!
//! The feed is a set of bounded rings with one sequence. A reader holds nothing but its place: it reads on from there when it
//! can, whether it is fast, slow, or back after a broken connection. So a slow reader costs no memory, and resuming is not a
//! case of its own.

pub mod event;
mod feed;
pub(crate) mod matcher;
mod pump;
pub(crate) mod socket;

pub use feed::LiveFeed;
pub(crate) use feed::Place;
