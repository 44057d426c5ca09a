//! `asset_log_reason`: asset status reasons.

use crate::record::datetime::DateTime;
use crate::record::enums::AssetLogStatus;
use crate::record::record_type::{Deletion, record_type};

record_type! {
    /// A record of `asset_log_reason` (asset status reasons). Who edits it: open mSupply central server only
    /// (central-only mutations) plus seeded reference data.
    ///
    /// Deletion: central sets deleted_datetime but writes a DELETE changelog row, and the translator has no delete in
    /// either direction: the deletion never reaches any site.
    pub struct AssetLogReason("asset_log_reason", AssetLogReasonId) {
        group: AssetStatusReasons,
        style: Central,
        pulled: true,
        pushed: false,
        writers: Central,
        deletion: Deletion::Soft("deleted_datetime"),
        since: "2.0.0",
        fields: {
            id: AssetLogReasonId = "id",
            asset_log_status: AssetLogStatus = "asset_log_status",
            reason: String = "reason",
            /// Soft-delete marker: null = live, set = deleted.
            deleted_datetime: Option<DateTime> = "deleted_datetime",
            comments_required: bool = "comments_required".added_in("2.16.0", "false"),
        }
    }
}
