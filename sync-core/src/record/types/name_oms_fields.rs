//! `name_oms_fields`: store properties.

use crate::record::field_value::JsonText;
use crate::record::record_type::{Deletion, record_type};

record_type! {
    /// A record of `name_oms_fields` (store properties). Who edits it: any site (a user with the mutate-name-
    /// properties permission) and central; despite the central style it flows both ways and central re-broadcasts
    /// each change to all other sites.
    ///
    /// Deletion: no delete. Upsert is an update of one column of an existing name: if the name is unknown to the
    /// receiver nothing is stored, yet a changelog row is still written and the record counts as integrated.
    pub struct NameOmsFields("name_oms_fields", NameOmsFieldsId) {
        group: StoreProperties,
        style: Central,
        pulled: true,
        pushed: true,
        writers: Everyone,
        deletion: Deletion::Never,
        after: ["name"],
        since: "2.1.0",
        fields: {
            /// Name id of the store/facility (same id as the name record).
            id: NameOmsFieldsId = "id",
            /// JSON object of property key to value, encoded as a string.
            properties: Option<JsonText> = "properties",
        }
    }
}
