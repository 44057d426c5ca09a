//! `rnr_form`: R&R forms.

use super::name::NameId;
use crate::record::datetime::DateTime;
use crate::record::enums::RnRFormStatus;
use crate::record::id::{RecordId, StoreId};
use crate::record::record_type::{Deletion, Scope, record_type};

record_type! {
    /// A record of `rnr_form` (R&R forms). Who edits it: the site whose active store owns the form.
    ///
    /// Deletion: hard delete on receipt (since v2.9.1). A DELETE changelog row is written when a user deletes a form,
    /// but nothing translates it to the wire: the form survives on central and returns when the site is re-
    /// initialised.
    pub struct RnrForm("rnr_form", RnrFormId) {
        group: RnRForms,
        style: Remote,
        pulled: true,
        pushed: true,
        writers: StoreSite,
        deletion: Deletion::Wire,
        scope: Scope::StoreAndName("store_id", "name_id"),
        after: ["list_master", "period", "store", "name", "requisition"],
        since: "2.2.0",
        fields: {
            id: RnrFormId = "id",
            /// Owning store.
            store_id: StoreId = "store_id",
            period_id: RecordId = "period_id",
            program_id: RecordId = "program_id",
            created_datetime: DateTime = "created_datetime",
            finalised_datetime: Option<DateTime> = "finalised_datetime",
            status: RnRFormStatus = "status",
            linked_requisition_id: Option<RecordId> = "linked_requisition_id",
            their_reference: Option<String> = "their_reference",
            comment: Option<String> = "comment",
            /// Resolved name id of the supplying party; key was name_link_id before v2.17.0.
            name_id: NameId = "name_id".formerly(&["name_link_id"]),
        }
    }
}
