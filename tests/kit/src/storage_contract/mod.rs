//! The promises of every storage: one function each, on new storages of the tested implementation.
//!
//! A clause takes a function that creates an empty storage, and panics if the promise is broken.
//! [`storage_contract!`](macro@crate::storage_contract) makes a test of each:
//!
//! ```
//! use std::sync::Arc;
//! use sync_core::storage::{MemoryStorage, Storage};
//!
//! fn make() -> Arc<dyn Storage> {
//!     Arc::new(MemoryStorage::new())
//! }
//!
//! sync_testkit::storage_contract!(memory, make);
//! ```
//!
//! Wrappers run it too: they must keep every promise. A storage for remote sites names its parts:
//! `storage_contract!(mine, make, parts: [remote])`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a clause is a test: it ends where the promise is broken"
)]

pub mod buffer;
pub mod central;
pub mod changelog;
pub mod durability;
pub mod files;
mod history;
pub mod selection;
pub mod state;
pub mod transactions;
pub mod versions;
pub mod visibility;

use std::sync::Arc;

use sync_core::changelog::{Audience, Change, ChangeAction, NewChange};
use sync_core::clock::Timestamp;
use sync_core::record::{Cursor, RecordData};
use sync_core::storage::{ReadTxn, Selection, Storage, WriteTxn};

/// Creates an empty storage at each call.
pub type Make<'m> = &'m dyn Fn() -> Arc<dyn Storage>;

/// Opens the same storage at each call, and creates it at the first.
pub type Open<'o> = &'o dyn Fn() -> Arc<dyn Storage>;

/// Makes a module with a test of each promise of a storage.
///
/// `storage_contract!(module, make)` takes a `Fn() -> Arc<dyn Storage>` that makes an empty storage at each call.
///
/// `storage_contract!(module, make, parts: [remote])` tests the parts that an implementation has: any of `transactions`,
/// `changelog`, `selection`, `visibility`, `versions`, `buffer`, `state`, `files` and `central`; `remote` stands for all but
/// `central`, as a storage for remote sites only has them.
///
/// `storage_contract!(module, reopen = open)` adds the promises of a storage that outlives its process. The expression
/// is evaluated once for each test, and gives a `Fn() -> Arc<dyn Storage>` that opens one and the same storage at each
/// call.
#[macro_export]
macro_rules! storage_contract {
    ($module:ident, reopen = $open:expr) => {
        mod $module {
            #[allow(unused_imports, reason = "the expression may need them")]
            use super::*;

            $crate::storage_contract! { @clauses $open =>
                durability::what_was_committed_is_there_after_reopening,
                durability::what_was_not_committed_is_not,
                durability::cursors_and_sequences_go_on_after_reopening,
            }
        }
    };
    ($module:ident, $make:expr) => {
        $crate::storage_contract!($module, $make, parts: [remote, central]);
    };
    ($module:ident, $make:expr, parts: [$($part:ident),+ $(,)?]) => {
        mod $module {
            #[allow(unused_imports, reason = "the expression may need them")]
            use super::*;

            $crate::storage_contract! { @parts $make => $($part)+ }
        }
    };
    // One after the other, because a macro cannot repeat a list within another.
    (@parts $make:expr => $part:ident $($more:ident)*) => {
        $crate::storage_contract! { @part $part, $make }
        $crate::storage_contract! { @parts $make => $($more)* }
    };
    (@parts $make:expr =>) => {};
    (@part remote, $make:expr) => {
        $crate::storage_contract! { @parts $make => transactions changelog selection visibility versions buffer state files }
    };
    (@part transactions, $make:expr) => {
        $crate::storage_contract! { @clauses $make =>
            transactions::a_dropped_write_leaves_nothing,
            transactions::a_commit_takes_effect_as_a_whole,
            transactions::a_reader_sees_one_state_while_a_writer_commits,
            transactions::a_write_sees_its_own_writes, transactions::a_query_compares_dates_by_their_moment,
            transactions::writers_come_one_after_the_other, transactions::a_thread_that_writes_gets_no_second_writer,
            transactions::the_cycle_lock_is_held_once_and_given_back,
        }
    };
    (@part changelog, $make:expr) => {
        $crate::storage_contract! { @clauses $make =>
            changelog::cursors_only_rise_and_are_never_used_twice,
            changelog::what_was_rolled_back_leaves_the_cursors_as_they_were,
            changelog::put_takes_the_place_of_the_row_of_the_same_table_record_and_store,
            changelog::an_insert_writes_a_record_that_is_not_here_and_no_other,
            changelog::rows_for_the_stores_that_a_record_left_stay,
            changelog::ids_shared_by_two_tables_do_not_meet,
            changelog::a_delete_leaves_its_row_until_the_record_is_put_again,
            changelog::the_newest_deletion_says_in_which_store,
            changelog::the_rows_of_a_record_are_its_own_and_those_beside_it,
            changelog::a_change_reads_back_as_it_was_written,
            changelog::data_read_back_as_the_same_text,
            changelog::a_record_marked_as_synced_has_no_local_edit,
            changelog::local_edits_are_found_by_record_and_cursor,
            changelog::records_are_paged_by_id_and_counted_by_table,
        }
    };
    (@part selection, $make:expr) => {
        $crate::storage_contract! { @clauses $make =>
            selection::all_selects_every_row,
            selection::local_selects_what_sync_did_not_write,
            selection::local_edits_are_counted_by_table_and_action,
            selection::for_site_selects_what_is_for_everyone_its_stores_and_its_patients,
            selection::for_site_leaves_out_what_came_from_it,
            selection::a_store_named_twice_counts_once,
            selection::patient_selects_what_is_for_those_who_see_the_patient,
            selection::store_selects_what_is_of_the_store_and_its_patients,
            selection::legacy_selects_central_data_of_the_legacy_server,
            selection::a_start_is_inclusive_and_may_be_beyond_every_row,
            selection::a_limit_cuts_and_the_next_page_goes_on,
            selection::data_come_with_their_rows_as_far_as_the_bytes_go,
            selection::random_histories_read_as_the_rules_say,
        }
    };
    (@part visibility, $make:expr) => {
        $crate::storage_contract! { @clauses $make =>
            visibility::a_name_is_visible_where_it_is_joined,
            visibility::an_inactive_join_hides,
            visibility::visibility_follows_joins_that_change,
            visibility::children_are_those_that_name_their_parent,
            visibility::records_are_found_by_what_the_rules_read,
            visibility::stores_of_a_site_follow_their_moves,
        }
    };
    (@part versions, $make:expr) => {
        $crate::storage_contract! { @clauses $make =>
            versions::where_a_record_was_written_stays_when_it_is_logged_again,
            versions::a_former_store_is_told_what_the_record_was_when_it_left,
            versions::of_several_former_stores_the_last_one_counts,
            versions::who_is_told_what_a_record_was_when_it_was_for_every_site,
            versions::what_was_known_is_kept_with_a_version,
            versions::the_newest_version_that_a_site_pushed_is_noted,
        }
    };
    (@part buffer, $make:expr) => {
        $crate::storage_contract! { @clauses $make =>
            buffer::a_newer_version_takes_the_place_of_the_older_and_a_new_sequence,
            buffer::sources_do_not_meet,
            buffer::merges_are_kept_each,
            buffer::staged_records_come_in_order_of_arrival_by_kind,
            buffer::a_chunk_ends_at_its_bytes_but_holds_one_record,
            buffer::settle_takes_only_the_versions_that_were_read,
            buffer::what_is_set_aside_is_no_longer_staged,
            buffer::a_record_may_arrive_set_aside,
            buffer::the_parent_wakes_what_waits_for_it_and_nothing_else,
            buffer::requeue_stages_a_cause_again_but_not_what_is_from_here,
            buffer::requeue_one_stages_it_again_in_its_old_place,
            buffer::what_was_set_aside_is_known_once_it_is_staged_again,
            buffer::discard_takes_a_record_whatever_its_state,
            buffer::quarantine_is_counted_by_cause_and_paged,
            buffer::the_cursor_of_what_may_still_be_integrated_is_known,
            buffer::all_versions_of_a_record_in_the_buffer_are_known,
        }
    };
    (@part state, $make:expr) => {
        $crate::storage_contract! { @clauses $make =>
            state::settings_are_kept_by_key,
            state::the_log_is_newest_first_and_keeps_a_thousand,
            state::a_log_entry_reads_back_as_it_was_written,
        }
    };
    (@part files, $make:expr) => {
        $crate::storage_contract! { @clauses $make =>
            files::a_file_reads_back_as_it_was_written_last,
            files::files_are_paged_by_id_and_found_by_their_record,
            files::files_are_counted_by_state,
            files::files_that_are_due_come_longest_due_first,
        }
    };
    (@part central, $make:expr) => {
        $crate::storage_contract! { @clauses $make =>
            central::sites_are_kept_by_number_and_found_by_name,
            central::a_name_and_a_uuid_belong_to_one_site,
            central::integrations_come_oldest_first_and_once,
            central::the_visits_of_a_site_add_up,
            central::what_is_kept_for_a_site_comes_back_in_its_order,
            central::waking_what_a_site_pushed_requests_its_integration,
            central::quarantine_is_counted_by_site,
            central::what_a_site_pushed_is_known_again,
            central::what_a_site_pushed_first_is_noted_in_one_call,
            central::a_refused_call_leaves_the_transaction_as_it_was,
            central::requeueing_what_a_site_pushed_requests_its_integration,
        }
    };
    (@clauses $make:expr => $($part:ident :: $clause:ident),+ $(,)?) => {
        $(
            #[test]
            fn $clause() {
                let make = $make;
                $crate::storage_contract::$part::$clause(&|| make());
            }
        )+
    };
}

/// A changelog row of an upsert that sync wrote and nobody receives; a clause changes it as needed.
fn change(table: &str, id: &str) -> NewChange {
    NewChange {
        table: table.into(),
        id: id.into(),
        action: ChangeAction::Upsert,
        store: None,
        name: None,
        source_site: None,
        is_sync_update: true,
        audience: Audience::Nobody,
        changed_at: Timestamp::from_unix_millis(1_700_000_000_000),
    }
}

fn deletion(of: &NewChange) -> NewChange {
    NewChange { action: ChangeAction::Delete, ..of.clone() }
}

fn in_store(change: NewChange, store: &str) -> NewChange {
    NewChange { store: Some(store.into()), ..change }
}

fn data(json: &str) -> RecordData {
    RecordData::parse(json).unwrap()
}

/// Does work in one committed transaction.
fn write<T>(storage: &Arc<dyn Storage>, work: impl FnOnce(&dyn WriteTxn) -> T) -> T {
    let txn = storage.write().unwrap();
    let done = work(txn.as_ref());
    txn.commit().unwrap();
    done
}

/// Puts a record with `{}` as its data.
fn put(storage: &Arc<dyn Storage>, change: &NewChange) -> Cursor {
    write(storage, |txn| txn.put_record(&data("{}"), change).unwrap())
}

fn read<T>(storage: &Arc<dyn Storage>, look: impl FnOnce(&dyn ReadTxn) -> T) -> T {
    look(storage.read().unwrap().as_ref())
}

fn all_changes(storage: &Arc<dyn Storage>) -> Vec<Change> {
    read(storage, |txn| txn.changes(&Selection::All, Cursor(0), usize::MAX).unwrap())
}
