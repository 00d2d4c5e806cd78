//! The PostgreSQL adapter passes the checks of its ports on a real server, and what is its own.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod faults;
mod migrations;
mod records_of_postgres;
mod server;
mod site;
mod start;

use andon_storage::conformance;
use andon_storage::postgres::PostgresStore;
use site::Site;

macro_rules! conformance {
    ($suite:ident, $($check:ident),+ $(,)?) => {
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

conformance!(
    effects,
    an_empty_store_has_nothing,
    what_was_applied_is_read_back,
    applying_twice_changes_nothing,
    an_older_state_never_overwrites_a_newer_one,
    a_cursor_that_does_not_follow_is_refused_and_nothing_written,
    what_is_refused_leaves_nothing_behind,
    hostile_texts_are_only_texts,
    lists_hold_what_the_filter_asks_for_in_order_and_in_pages,
    the_plant_is_listed_by_id_in_pages,
    many_rows_are_written_at_once,
);
conformance!(
    rows,
    rollups_are_merged,
    rows_of_a_cursor_count_once,
    extreme_readings_are_kept_and_impossible_ones_refused,
    quarantine_keeps_what_was_sent,
    the_oldest_in_quarantine_go_first,
);
conformance!(keys, keys_are_kept_listed_and_revoked, a_key_is_there_once,);
conformance!(
    deliveries,
    an_alert_is_expanded_once,
    a_decision_on_an_old_version_changes_nothing,
    what_is_held_or_muted_comes_back_when_it_is_due,
    a_claim_is_given_once_runs_out_and_is_released,
    what_was_sent_and_what_died_is_noted_with_its_slot,
    what_is_finished_is_pruned_after_its_time,
    hostile_names_are_only_names,
);
conformance!(
    records,
    an_empty_store_has_no_records,
    a_record_comes_back_as_it_went_in,
    records_of_a_cursor_are_there_once,
    any_value_is_kept,
    fields_that_are_hard_to_hold_are_not_lost,
    a_list_holds_what_is_asked_for_in_order_and_in_pages,
    a_day_is_made_ahead_dropped_and_made_again,
);
