//! `asset_log_reason`: asset status reasons.

use crate::record::datetime::DateTime;
use crate::record::enums::AssetLogStatus;
use crate::record::record_type::{Deletion, Scope, record_type};

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
        scope: Scope::None,
        after: [],
        since: "2.0.0",
        key: "id",
        fields: {
            /// Primary key; equals the envelope recordId.
            id: AssetLogReasonId = "id",
            /// Asset log status.
            asset_log_status: AssetLogStatus = "asset_log_status",
            /// Reason.
            reason: String = "reason",
            /// Soft-delete marker: null = live, set = deleted.
            deleted_datetime: Option<DateTime> = "deleted_datetime",
            /// Comments required.
            comments_required: bool = "comments_required".added_in("2.16.0", "false"),
        }
    }
}
