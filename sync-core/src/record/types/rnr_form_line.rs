//! `rnr_form_line`: R&R forms.

use super::rnr_form::RnrFormId;
use crate::record::datetime::Date;
use crate::record::enums::RnRFormLowStock;
use crate::record::id::RecordId;
use crate::record::record_type::{Deletion, Scope, record_type};

record_type! {
    /// A record of `rnr_form_line` (R&R forms). Who edits it: the site whose active store owns the form.
    ///
    /// Deletion: same gap as rnr_form: deletions are logged locally, understood on receipt, never sent. The local
    /// delete writes a changelog row even when the line does not exist (with store_id null).
    pub struct RnrFormLine("rnr_form_line", RnrFormLineId) {
        group: RnRForms,
        style: Remote,
        pulled: true,
        pushed: true,
        writers: StoreSite,
        deletion: Deletion::Wire,
        scope: Scope::ParentStore("rnr_form_id", "rnr_form", "store_id"),
        after: ["rnr_form", "item", "requisition_line"],
        since: "2.2.0",
        fields: {
            id: RnrFormLineId = "id",
            rnr_form_id: RnrFormId = "rnr_form_id".parent("rnr_form"),
            /// Item_link id, unresolved.
            item_link_id: RecordId = "item_link_id",
            requisition_line_id: Option<RecordId> = "requisition_line_id",
            /// Comma-separated decimal numbers, may be empty; not JSON.
            previous_monthly_consumption_values: String = "previous_monthly_consumption_values",
            average_monthly_consumption: f64 = "average_monthly_consumption",
            initial_balance: f64 = "initial_balance",
            snapshot_quantity_received: f64 = "snapshot_quantity_received",
            snapshot_quantity_consumed: f64 = "snapshot_quantity_consumed",
            snapshot_adjustments: f64 = "snapshot_adjustments",
            entered_quantity_received: Option<f64> = "entered_quantity_received",
            entered_quantity_consumed: Option<f64> = "entered_quantity_consumed",
            entered_losses: Option<f64> = "entered_losses",
            entered_adjustments: Option<f64> = "entered_adjustments",
            adjusted_quantity_consumed: f64 = "adjusted_quantity_consumed",
            /// Days.
            stock_out_duration: i32 = "stock_out_duration",
            final_balance: f64 = "final_balance",
            minimum_quantity: f64 = "minimum_quantity".added_in("2.3.1", "0.0"),
            maximum_quantity: f64 = "maximum_quantity",
            expiry_date: Option<Date> = "expiry_date",
            calculated_requested_quantity: f64 = "calculated_requested_quantity",
            entered_requested_quantity: Option<f64> = "entered_requested_quantity",
            low_stock: RnRFormLowStock = "low_stock",
            comment: Option<String> = "comment",
            confirmed: bool = "confirmed",
        }
    }
}
