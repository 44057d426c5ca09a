//! `plugin_data`: plugins.

use crate::record::datetime::DateTime;
use crate::record::id::{RecordId, StoreId};
use crate::record::record_type::{Deletion, Scope, record_type};

record_type! {
    /// A record of `plugin_data` (plugins). Who edits it: rows with a store: a user logged in to that store, on its
    /// site. Rows without a store: central only.
    ///
    /// Deletion: hard delete since 2.20.0.
    pub struct PluginData("plugin_data", PluginDataId) {
        group: Plugins,
        style: RemoteAndCentral,
        pulled: true,
        pushed: true,
        writers: StoreSiteElseCentral,
        deletion: Deletion::Wire,
        scope: Scope::Store("store_id"),
        after: ["store"],
        since: "2.6.0",
        fields: {
            id: PluginDataId = "id",
            /// Null = global data.
            store_id: Option<StoreId> = "store_id",
            plugin_code: String = "plugin_code",
            related_record_id: Option<RecordId> = "related_record_id",
            data_identifier: String = "data_identifier",
            /// Opaque to the server; plugins usually store JSON text.
            data: String = "data",
            datetime: Option<DateTime> = "datetime".optional_since("2.20.0"),
        }
    }
}
