//! The checks that every log index passes.

use crate::site::Site;
use andon_storage::conformance;

macro_rules! conformance {
    ($($check:ident),+ $(,)?) => {$(
        #[tokio::test]
        async fn $check() {
            Site::with(async |site| {
                conformance::log_index::$check(async || site.open().await).await;
            })
            .await;
        }
    )+};
}

conformance!(
    an_empty_index_finds_nothing,
    a_record_comes_back_as_it_went_in,
    only_what_was_committed_is_there,
    a_replay_doubles_nothing,
    a_cursor_that_does_not_follow_is_refused,
    readings_alone_are_no_log_record,
    words_and_phrases_are_found,
    hostile_searches_are_only_searches,
    fields_of_any_shape_are_taken,
    pages_part_equal_stamps_exactly,
    a_search_agrees_with_a_scan,
    counts_agree_with_a_scan,
    a_histogram_has_a_bound,
);
