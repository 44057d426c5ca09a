//! `help_document`: help documents.

use crate::record::datetime::DateTime;
use crate::record::record_type::{Deletion, Scope, record_type};

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
        scope: Scope::None,
        after: [],
        since: "2.21.0",
        key: "id",
        fields: {
            /// Primary key; equals the envelope recordId.
            id: HelpDocumentId = "id",
            /// Title.
            title: String = "title",
            /// Created datetime.
            created_datetime: DateTime = "created_datetime",
            /// Soft-delete marker: null = live, set = deleted.
            deleted_datetime: Option<DateTime> = "deleted_datetime",
        }
    }
}
