//! `frontend_plugin`: plugins.

use crate::record::field_value::Json;
use crate::record::record_type::{Deletion, record_type};

record_type! {
    /// A record of `frontend_plugin` (plugins). Who edits it: open mSupply central server only (central-only
    /// mutations): plugin bundle upload.
    ///
    /// Deletion: hard delete. Every release applies one that comes; Open mSupply sends one since 2.20.0.
    pub struct FrontendPlugin("frontend_plugin", FrontendPluginId) {
        group: Plugins,
        style: Central,
        pulled: true,
        pushed: false,
        writers: Central,
        deletion: Deletion::Wire,
        since: "2.6.0",
        fields: {
            id: FrontendPluginId = "id",
            code: String = "code",
            version: String = "version".added_in("2.16.0", "\"\""),
            /// File name of the entry script.
            entry_point: String = "entry_point",
            /// JSON array of free strings.
            types: Json = "types",
            /// JSON array of objects {file_name: string, file_content_base64: string}.
            files: Json = "files",
        }
    }
}
