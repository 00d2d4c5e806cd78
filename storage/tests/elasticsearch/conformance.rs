//! The checks that every log index passes.

use crate::site::Site;
use andon_storage::{conformance, conformance_checks};

macro_rules! run {
    ($suite:ident: $($check:ident,)+) => {$(
        #[tokio::test]
        async fn $check() {
            Site::with(async |site| {
                conformance::$suite::$check(async || site.open().await).await;
            })
            .await;
        }
    )+};
}

conformance_checks!(log_index, run);
