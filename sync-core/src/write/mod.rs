//! Writing records: each record with its changelog row, and the other effects of a write.

pub(crate) mod at_central;
mod find;
mod known_table;
pub(crate) mod merged;
pub(crate) mod moved_stores;
pub(crate) mod outgoing;
pub(crate) mod record;
pub(crate) mod record_owner;
pub(crate) mod record_write;
pub(crate) mod records;
pub(crate) mod relog;
pub(crate) mod restored_site;
mod rules;
mod store_name;
pub(crate) mod transaction;
pub(crate) mod typed_records;
mod unseen_moves;

/// The pause after a full transaction, so that a writer of another process gets its turn: it can only retry again and
/// again.
pub(crate) const PAUSE: std::time::Duration = std::time::Duration::from_millis(4);

pub(crate) use at_central::{site_in, site_of_store, upsert_with_fanout};
pub(crate) use known_table::check_known;
pub(crate) use record::{Origin, WriteEffect, delete, is_same, log_deletion, marked_deleted, scope, upsert};
pub(crate) use relog::{
    is_as_stored, leave_source_out, notify_stale_site, push_again, reassert_local, relog_range, relog_row,
    relog_what_replaced, requeue_edit,
};
pub(crate) use rules::store_of_document;
pub(crate) use store_name::{name_and_code, named_stores};
pub(crate) use transaction::{is_local_only, put_of_host};
pub(crate) use unseen_moves::{UnseenMove, WritingSite, relog_move_away, unseen_move};
