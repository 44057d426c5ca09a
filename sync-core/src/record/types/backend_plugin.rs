//! `backend_plugin`: plugins.

use crate::record::enums::{PluginType, PluginVariantType};
use crate::record::record_type::{Deletion, record_type};

record_type! {
    /// A record of `backend_plugin` (plugins). Who edits it: open mSupply central server only (central-only
    /// mutations): plugin bundle upload.
    ///
    /// Deletion: hard delete. Every release applies one that comes; Open mSupply sends one since 2.20.0.
    pub struct BackendPlugin("backend_plugin", BackendPluginId) {
        group: Plugins,
        style: Central,
        pulled: true,
        pushed: false,
        writers: Central,
        deletion: Deletion::Wire,
        since: "2.6.0",
        fields: {
            id: BackendPluginId = "id",
            code: String = "code",
            /// Plugin version, e.g. 1.2.0.
            version: String = "version".added_in("2.16.0", "\"\""),
            /// Whole JavaScript bundle, base64.
            bundle_base64: String = "bundle_base64",
            /// JSON array of enum:PluginType values; an unknown value rejects the whole record.
            types: Vec<PluginType> = "types",
            variant_type: PluginVariantType = "variant_type",
        }
    }
}
