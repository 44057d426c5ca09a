//! `sync_file_reference`: files.

use crate::record::datetime::DateTime;
use crate::record::id::RecordId;
use crate::record::record_type::{Deletion, record_type};

record_type! {
    /// A record of `sync_file_reference` (files). Who edits it: any site for a record it holds; whoever attaches the
    /// file creates the reference. Central also rewrites the row when the file bytes arrive.
    ///
    /// Deletion: soft delete carried by an ordinary upsert.
    pub struct SyncFileReference("sync_file_reference", SyncFileReferenceId) {
        group: Files,
        style: File,
        pulled: true,
        pushed: true,
        writers: Holder,
        deletion: Deletion::Soft("deleted_datetime"),
        after: ["asset"],
        since: "2.0.0",
        fields: {
            /// Primary key; also the file id of the upload and download calls.
            id: SyncFileReferenceId = "id",
            /// Table of the record the file belongs to, e.g. asset.
            table_name: String = "table_name",
            /// Id of that record.
            record_id: RecordId = "record_id",
            file_name: String = "file_name",
            mime_type: Option<String> = "mime_type",
            /// A missing key reads as 0.
            total_bytes: i32 = "total_bytes".missing_is("0"),
            created_datetime: DateTime = "created_datetime",
            /// Soft-delete marker: null = live, set = deleted.
            deleted_datetime: Option<DateTime> = "deleted_datetime",
            /// The state of the file at the sender: New, InProgress, Error, Done or PermanentFailure. Text, so that a state
            /// of a later release keeps no file away.
            status: Option<String> = "status".optional_since("2.20.0"),
            /// Why the file could not be sent.
            error: Option<String> = "error".optional_since("2.20.0"),
        }
    }
}
