//! Writing records: each record with its row in the changelog, and what a write takes with it.

pub(crate) mod merged;
pub(crate) mod moved_stores;
pub(crate) mod outgoing;
pub(crate) mod record;
pub(crate) mod record_owner;
pub(crate) mod records;
pub(crate) mod restored_site;

/// The pause after a full transaction, in which a writer of another process gets its turn: it can only ask again and again.
pub(crate) const PAUSE: std::time::Duration = std::time::Duration::from_millis(4);

pub(crate) use record::{
    Origin, Stored, WentUnseen, delete, is_same, log_again, log_anew, log_row_anew, marked_deleted, scope, site_in,
    tell_of_newer, upsert, upsert_at_central, went_unseen, write_again,
};
