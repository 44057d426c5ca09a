//! `ancillary_item`: item & packaging variants.

use crate::record::datetime::DateTime;
use crate::record::id::RecordId;
use crate::record::record_type::{Deletion, record_type};

record_type! {
    /// A record of `ancillary_item` (item & packaging variants). Who edits it: open mSupply central server only
    /// (central-only mutations).
    ///
    /// Deletion: deletion is a soft delete carried by an ordinary upsert.
    pub struct AncillaryItem("ancillary_item", AncillaryItemId) {
        group: ItemVariants,
        style: Central,
        pulled: true,
        pushed: false,
        writers: Central,
        deletion: Deletion::Soft("deleted_datetime"),
        after: ["item"],
        since: "2.19.0",
        fields: {
            id: AncillaryItemId = "id",
            /// Left side of the ratio; must be > 0 when created through the API.
            item_quantity: f64 = "item_quantity",
            /// Right side of the ratio; must be > 0 when created through the API.
            ancillary_quantity: f64 = "ancillary_quantity",
            /// Soft-delete marker: null = live, set = deleted.
            deleted_datetime: Option<DateTime> = "deleted_datetime",
            /// Principal item; resolved item id (not an item_link id) on output, stored into item_link_id on input.
            item_id: RecordId = "item_id",
            /// Ancillary item; resolved the same way as item_id.
            ancillary_item_id: RecordId = "ancillary_item_id",
        }
    }
}
