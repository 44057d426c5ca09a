//! `om_report`: reports & form schemas.

use super::om_form_schema::OmFormSchemaId;
use crate::record::enums::ReportContext;
use crate::record::field_value::{Json, JsonText};
use crate::record::record_type::{Deletion, record_type};

record_type! {
    /// A record of `om_report` (reports & form schemas). Who edits it: open mSupply central server only (central-only
    /// mutations): report upload; plus the standard reports every server loads from its own binary at start-up.
    ///
    /// Deletion: hard delete on receipt, no changelog row, never sent. A v2.7.0 migration writes DELETE rows for one
    /// report code; they are never translated.
    pub struct OmReport("om_report", OmReportId) {
        changelog: "report",
        group: Reports,
        style: Central,
        pulled: true,
        pushed: false,
        writers: Central,
        deletion: Deletion::Wire,
        after: ["om_form_schema"],
        since: "2.6.0",
        fields: {
            id: OmReportId = "id",
            name: String = "name",
            /// Report definition, usually large.
            template: JsonText = "template",
            context: ReportContext = "context",
            comment: Option<String> = "comment",
            sub_context: Option<String> = "sub_context",
            /// Om_form_schema id.
            argument_schema_id: Option<OmFormSchemaId> = "argument_schema_id",
            is_custom: bool = "is_custom",
            version: String = "version",
            code: String = "code",
            is_active: bool = "is_active",
            /// Binary file as a JSON array of integers 0-255.
            excel_template_buffer: Option<Json> = "excel_template_buffer",
        }
    }
}
