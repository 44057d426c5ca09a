//! `asset_log`: asset logs.

use super::asset::AssetId;
use super::asset_log_reason::AssetLogReasonId;
use crate::record::datetime::DateTime;
use crate::record::enums::{AssetLogStatus, AssetLogType};
use crate::record::id::RecordId;
use crate::record::record_type::{Deletion, Scope, record_type};

record_type! {
    /// A record of `asset_log` (asset logs). Who edits it: the site whose active store owns the asset, or central;
    /// logs are append-only, so a write of another version of one is refused.
    ///
    /// Deletion: never deleted.
    pub struct AssetLog("asset_log", AssetLogId) {
        group: AssetLogs,
        style: Remote,
        pulled: true,
        pushed: true,
        writers: StoreSiteOrCentral,
        deletion: Deletion::Never,
        scope: Scope::ParentStore("asset_id", "asset", "store_id"),
        after: ["asset", "asset_log_reason"],
        since: "2.0.0",
        fields: {
            id: AssetLogId = "id",
            asset_id: AssetId = "asset_id".parent("asset"),
            /// `ID` of a record of the legacy table `user`, not a name: who made the entry. Not enforced by a foreign key.
            user_id: RecordId = "user_id",
            status: Option<AssetLogStatus> = "status",
            comment: Option<String> = "comment",
            /// `type` on the wire, and so in a query. New rows always carry a value (default STATUS_UPDATE).
            kind: Option<AssetLogType> = "type",
            reason_id: Option<AssetLogReasonId> = "reason_id",
            /// When the event happened.
            log_datetime: DateTime = "log_datetime",
            /// Not nullable; a missing key reads as 1970-01-01T00:00:00; an explicit null is an error.
            created_datetime: DateTime = "created_datetime".missing_is("\"1970-01-01T00:00:00\""),
        }
    }
}
