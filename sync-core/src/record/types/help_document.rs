//! `help_document`: help documents.

use crate::record::datetime::DateTime;
use crate::record::record_type::{Deletion, record_type};

record_type! {
    /// A record of `help_document` (help documents). Who edits it: open mSupply central server only (central-only
    /// mutations); its file comes by sync_file_reference.
    ///
    /// Deletion: soft delete carried by an ordinary upsert.
    pub struct HelpDocument("help_document", HelpDocumentId) {
        group: HelpDocuments,
        style: Central,
        pulled: true,
        pushed: false,
        writers: Central,
        deletion: Deletion::Soft("deleted_datetime"),
        since: "2.21.0",
        fields: {
            id: HelpDocumentId = "id",
            title: String = "title",
            created_datetime: DateTime = "created_datetime",
            /// Soft-delete marker: null = live, set = deleted.
            deleted_datetime: Option<DateTime> = "deleted_datetime",
        }
    }
}
