//! `om_sync_message`: messages between stores and central.

use crate::record::datetime::DateTime;
use crate::record::id::StoreId;
use crate::record::record_type::{Deletion, Scope, record_type};

record_type! {
    /// A record of `om_sync_message` (messages & contact forms). Three may edit it: the site of the store that sends it, the site
    /// of the store that receives it (to change the status), and central.
    ///
    /// Deletion: never deleted.
    pub struct OmSyncMessage("om_sync_message", OmSyncMessageId) {
        group: ContactForms,
        style: Remote,
        pulled: true,
        pushed: true,
        writers: StoreSiteOrCentral,
        deletion: Deletion::Never,
        scope: Scope::Correspondence("to_store_id", "from_store_id"),
        after: ["store"],
        since: "2.20.0",
        fields: {
            id: OmSyncMessageId = "id",
            /// The store that receives it; null if central receives it.
            to_store_id: Option<StoreId> = "to_store_id",
            /// The store that sends it.
            from_store_id: Option<StoreId> = "from_store_id",
            /// Any text, often JSON.
            body: String = "body",
            /// The time at which it was made.
            created_datetime: DateTime = "created_datetime",
            /// New, InProgress or Processed. Text, because later releases may have more.
            status: String = "status",
            /// RequestFieldChange, SupportUpload or any other text.
            kind: String = "type",
            /// Why it could not be processed.
            error_message: Option<String> = "error_message",
        }
    }
}
