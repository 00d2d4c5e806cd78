//! The checks of every suite, listed once: an adapter names a suite and gets all of it.

/// Gives the macro `$run` a suite and every check of it, as `$run! { suite: check, check }`.
#[macro_export]
macro_rules! conformance_checks {
    (checkpoint, $run:ident) => {
        $run! { checkpoint:
            what_was_saved_is_loaded,
            a_save_is_whole_or_not_at_all,
            any_key_and_any_state_are_kept,
            many_entities_are_saved_at_once,
        }
    };
    (deliveries, $run:ident) => {
        $run! { deliveries:
            an_alert_is_expanded_once,
            a_decision_on_an_old_version_changes_nothing,
            what_is_held_or_muted_comes_back_when_it_is_due,
            a_claim_is_given_once_runs_out_and_is_released,
            what_was_sent_and_what_died_is_noted_with_its_slot,
            what_is_finished_is_pruned_after_its_time,
            hostile_names_are_only_names,
        }
    };
    (holding, $run:ident) => {
        $run! { holding:
            the_most_urgent_comes_first,
            a_page_is_expanded_in_one_and_each_alert_once,
            a_message_that_nobody_has_tried_names_more,
            what_shelving_holds_is_due_when_it_ends,
            who_knows_an_incident_is_found_when_its_shelving_ends,
            a_clock_that_was_set_back_leaves_nothing_in_its_old_future,
        }
    };
    (effects, $run:ident) => {
        $run! { effects:
            an_empty_store_has_nothing,
            what_was_applied_is_read_back,
            applying_twice_changes_nothing,
            an_older_state_never_overwrites_a_newer_one,
            fingerprints_are_rows_of_their_own_and_their_counts_only_grow,
            a_cursor_that_does_not_follow_is_refused_and_nothing_written,
            what_is_refused_costs_no_other,
            what_is_cut_off_anywhere_is_whole_after_another_try,
            hostile_texts_are_only_texts,
            lists_hold_what_the_filter_asks_for_in_order_and_in_pages,
            the_plant_is_listed_by_id_in_pages,
            many_rows_are_written_at_once,
            many_are_found_by_their_ids,
        }
    };
    (exchange, $run:ident) => {
        $run! { exchange:
            the_first_secret_wins,
            operations_reach_the_owner_and_answers_come_back,
            what_was_withdrawn_never_happens,
            only_so_many_operations_wait,
            an_unreadable_request_stops_nothing,
            the_configuration_in_force_is_what_the_owner_said,
            a_change_of_the_configuration_costs_what_changed,
            a_configuration_that_is_damaged_is_written_again,
            a_proposal_is_taken_over_once_or_refused,
        }
    };
    (fast_state, $run:ident) => {
        $run! { fast_state:
            recent_records_are_the_last_of_their_application,
            what_was_taken_is_skipped,
            any_name_is_only_a_name,
            a_trace_has_what_lies_in_its_range_in_order,
            extreme_readings_are_kept_as_they_are,
            a_long_trace_is_thinned_and_keeps_its_peaks,
            readings_are_kept_for_their_time_and_no_longer,
        }
    };
    (keys, $run:ident) => {
        $run! { keys:
            keys_are_kept_listed_and_revoked,
            a_key_is_there_once,
        }
    };
    (log_index, $run:ident) => {
        $run! { log_index:
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
            a_histogram_has_a_bound,
            counts_agree_with_a_scan,
            a_search_agrees_with_a_scan,
        }
    };
    (loss, $run:ident) => {
        $run! { loss:
            a_cursor_that_is_gone_or_behind_is_lost_until_it_is_read,
            an_emptied_store_gets_back_what_no_journal_holds,
            rows_that_go_away_are_noticed_too,
            keys_and_people_outlive_a_store_that_was_made_anew,
            a_restored_store_is_believed,
            a_lost_table_comes_back_and_is_filled_again,
            a_lost_cursor_does_not_count_rows_twice,
            who_owns_an_emptied_site_still_owns_it,
            nobody_is_told_again_by_an_emptied_store,
        }
    };
    (ownership, $run:ident) => {
        $run! { ownership:
            one_gateway_owns_a_site,
            a_lease_that_ran_out_is_taken_over,
            a_restart_in_its_place_need_not_wait,
            an_epoch_is_above_all_that_were_met,
            of_several_at_once_one_wins,
            hostile_names_of_owners_are_only_names,
            a_late_owner_writes_nothing,
            a_takeover_waits_for_what_is_under_way,
        }
    };
    (records, $run:ident) => {
        $run! { records:
            an_empty_store_has_no_records,
            a_record_comes_back_as_it_went_in,
            records_of_a_cursor_are_there_once,
            any_value_is_kept,
            fields_that_are_hard_to_hold_are_not_lost,
            a_list_holds_what_is_asked_for_in_order_and_in_pages,
            a_day_is_made_ahead_dropped_and_made_again,
        }
    };
    (rows, $run:ident) => {
        $run! { rows:
            rollups_are_merged,
            rows_of_a_cursor_count_once,
            extreme_readings_are_kept,
            extreme_readings_are_merged,
            a_refused_row_is_set_aside_alone,
            what_is_cut_off_anywhere_is_there_once_after_another_try,
            quarantine_keeps_what_was_sent,
            the_oldest_in_quarantine_go_first,
        }
    };
}

#[cfg(test)]
mod tests {
    macro_rules! names {
        ($suite:ident: $($check:ident,)+) => {
            (stringify!($suite), vec![$(stringify!($check)),+])
        };
    }

    /// The lists by suite, and the source that they are of.
    macro_rules! lists {
        ($($suite:ident in $($file:literal),+);+ $(;)?) => {
            vec![$((
                conformance_checks!($suite, names),
                concat!($(include_str!(concat!($file, ".rs"))),+),
            )),+]
        };
    }

    #[test]
    fn every_check_is_listed() {
        let lists = lists!(
            checkpoint in "checkpoint";
            deliveries in "deliveries";
            effects in "effects";
            exchange in "exchange";
            fast_state in "fast_state";
            holding in "holding";
            keys in "keys";
            log_index in "log_index", "log_scan";
            loss in "loss";
            ownership in "ownership";
            records in "records";
            rows in "rows";
        );
        for ((suite, listed), source) in lists {
            let checks = source.lines().filter_map(|line| {
                let name = line.strip_prefix("pub async fn ")?;
                name.split(['<', '(']).next()
            });
            assert_eq!(checks.collect::<Vec<_>>(), listed, "{suite}");
        }
    }
}
