//! `system_log`: system logs.

use crate::record::datetime::DateTime;
use crate::record::enums::SystemLogType;
use crate::record::record_type::{Deletion, Scope, record_type};

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
        scope: Scope::None,
        after: [],
        since: "2.4.1",
        key: "id",
        fields: {
            /// Primary key; equals the envelope recordId.
            id: SystemLogId = "id",
            /// Type.
            kind: SystemLogType = "type",
            /// Site id of the writer; null before the site knows its id.
            sync_site_id: Option<i32> = "sync_site_id",
            /// Datetime.
            datetime: DateTime = "datetime",
            /// Message.
            message: Option<String> = "message",
            /// Is error.
            is_error: bool = "is_error",
        }
    }
}
