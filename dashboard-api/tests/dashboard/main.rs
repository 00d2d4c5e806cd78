//! The dashboard service on real sockets over the real embedded stores. One binary: linking the stores takes longer than the tests.
#![allow(unreachable_pub, clippy::unwrap_used)] // Nothing outside can reach a test, and its helpers may panic as it may.

mod area;
mod common;
mod export;
mod graphql;
mod http;
mod limits;
mod recent;
mod socket;
