//! The PostgreSQL adapter passes the checks of its ports on a real server, and what is its own.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod claims;
mod emptied;
mod faults;
mod migrations;
mod records_of_postgres;
mod refused;
mod server;
mod site;
mod start;

use andon_storage::postgres::PostgresStore;
use andon_storage::{conformance, conformance_checks};
use site::Site;

macro_rules! run {
    ($suite:ident: $($check:ident,)+) => {
        mod $suite {
            use super::*;
            $(
                #[tokio::test]
                async fn $check() {
                    let site = Site::new();
                    conformance::$suite::$check(async || open(&site).await).await;
                }
            )+
        }
    };
}

async fn open(site: &Site) -> PostgresStore {
    PostgresStore::open(&site.url, site.options()).await.unwrap()
}

conformance_checks!(effects, run);
conformance_checks!(rows, run);
conformance_checks!(keys, run);
conformance_checks!(deliveries, run);
conformance_checks!(ownership, run);
conformance_checks!(exchange, run);
conformance_checks!(loss, run);
conformance_checks!(records, run);
