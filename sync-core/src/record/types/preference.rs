//! `preference`: preferences.

use crate::record::field_value::JsonText;
use crate::record::id::StoreId;
use crate::record::record_type::{Deletion, Scope, record_type};

record_type! {
    /// A record of `preference` (preferences). Who edits it: open mSupply central server only (central-only
    /// mutations), for global and for store preferences alike.
    ///
    /// Deletion: hard delete. An incoming Delete is understood and a DELETE changelog row is written by the
    /// repository, but it is never translated to the wire; no service deletes preferences today.
    pub struct Preference("preference", PreferenceId) {
        group: Preferences,
        style: RemoteAndCentral,
        pulled: true,
        pushed: false,
        writers: Central,
        deletion: Deletion::Wire,
        scope: Scope::Store("store_id"),
        after: ["store"],
        since: "2.7.0",
        fields: {
            id: PreferenceId = "id",
            /// Preference name, snake_case.
            key: String = "key",
            /// JSON value encoded as a string.
            value: JsonText = "value",
            /// Null = global preference.
            store_id: Option<StoreId> = "store_id",
        }
    }
}
