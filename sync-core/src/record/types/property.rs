//! `property`: store properties.

use crate::record::enums::PropertyValueType;
use crate::record::record_type::{Deletion, record_type};

record_type! {
    /// A record of `property` (store properties). Who edits it: open mSupply central server only (central-only
    /// mutations).
    ///
    /// Deletion: the repository can hard delete without writing a changelog row; nothing is sent. An incoming record
    /// that has a key 'ID' is a legacy mSupply property that arrived over V5 under the same table name and is
    /// ignored.
    pub struct Property("property", PropertyId) {
        group: StoreProperties,
        style: Central,
        pulled: true,
        pushed: false,
        writers: Central,
        deletion: Deletion::Never,
        since: "2.1.0",
        fields: {
            id: PropertyId = "id",
            /// Unique by API check.
            key: String = "key",
            name: String = "name",
            value_type: PropertyValueType = "value_type",
            /// Comma-separated list, not JSON.
            allowed_values: Option<String> = "allowed_values",
        }
    }
}
