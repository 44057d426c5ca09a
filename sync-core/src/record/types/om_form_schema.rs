//! `om_form_schema`: reports & form schemas.

use crate::record::field_value::Json;
use crate::record::record_type::{Deletion, record_type};

record_type! {
    /// A record of `om_form_schema` (reports & form schemas). Who edits it: open mSupply central server only
    /// (central-only mutations): report upload; also every form schema central receives from legacy mSupply over V5,
    /// which it re-sends over V6.
    ///
    /// Deletion: hard delete on receipt; the repository writes no changelog row for it and the translator cannot send
    /// it, so deletions never travel.
    pub struct OmFormSchema("om_form_schema", OmFormSchemaId) {
        changelog: "form_schema",
        group: Reports,
        style: Central,
        pulled: true,
        pushed: false,
        writers: Central,
        deletion: Deletion::Wire,
        since: "2.6.0",
        fields: {
            id: OmFormSchemaId = "id",
            /// E.g. reportArgument.
            kind: String = "type",
            /// Any JSON value; key must be present; null accepted.
            json_schema: Option<Json> = "json_schema".present(),
            /// Any JSON value; key must be present; null accepted.
            ui_schema: Option<Json> = "ui_schema".present(),
        }
    }
}
