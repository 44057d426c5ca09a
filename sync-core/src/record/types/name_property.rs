//! `name_property`: store properties.

use super::property::PropertyId;
use crate::record::record_type::{Deletion, record_type};

record_type! {
    /// A record of `name_property` (store properties). Who edits it: open mSupply central server only (central-only
    /// mutations).
    ///
    /// Deletion: the repository can hard delete without writing a changelog row; nothing is sent.
    pub struct NameProperty("name_property", NamePropertyId) {
        group: StoreProperties,
        style: Central,
        pulled: true,
        pushed: false,
        writers: Central,
        deletion: Deletion::Never,
        after: ["property"],
        since: "2.1.0",
        fields: {
            id: NamePropertyId = "id",
            property_id: PropertyId = "property_id".parent("property"),
            /// Advice to the user interface; the server does not enforce it.
            remote_editable: bool = "remote_editable",
        }
    }
}
