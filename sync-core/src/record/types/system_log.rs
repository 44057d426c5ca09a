//! `system_log`: system logs.

use crate::record::datetime::DateTime;
use crate::record::enums::SystemLogType;
use crate::record::record_type::{Deletion, record_type};

record_type! {
    /// A record of `system_log` (system logs). Who edits it: every site, for itself; append-only, so a write
    /// of another version of one is refused.
    ///
    /// Deletion: never deleted. Integration is insert-only, not upsert: a second delivery of the same id fails on the
    /// primary key and is recorded as an integration error.
    pub struct SystemLog("system_log", SystemLogId) {
        group: SystemLogs,
        style: RemoteToCentral,
        pulled: false,
        pushed: true,
        writers: Author,
        deletion: Deletion::Never,
        since: "2.4.1",
        fields: {
            id: SystemLogId = "id",
            kind: SystemLogType = "type",
            /// Site id of the writer; null before the site knows its id.
            sync_site_id: Option<i32> = "sync_site_id",
            datetime: DateTime = "datetime",
            message: Option<String> = "message",
            is_error: bool = "is_error",
        }
    }
}
