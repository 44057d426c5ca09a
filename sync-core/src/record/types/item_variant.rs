//! `item_variant`: item & packaging variants.

use super::name::NameId;
use crate::record::datetime::DateTime;
use crate::record::id::RecordId;
use crate::record::record_type::{Deletion, record_type};

record_type! {
    /// A record of `item_variant` (item & packaging variants). Who edits it: open mSupply central server only
    /// (central-only mutations).
    ///
    /// Deletion: soft delete carried by an ordinary upsert.
    pub struct ItemVariant("item_variant", ItemVariantId) {
        group: ItemVariants,
        style: Central,
        pulled: true,
        pushed: false,
        writers: Central,
        deletion: Deletion::Soft("deleted_datetime"),
        after: ["item", "name", "Location_type"],
        since: "2.4.0",
        fields: {
            id: ItemVariantId = "id",
            name: String = "name",
            /// Item_link id, sent unresolved (equals the item id unless items were merged).
            item_link_id: RecordId = "item_link_id",
            /// Location type id; the internal field is called location_type_id but the wire keeps the old key.
            cold_storage_type_id: Option<RecordId> = "cold_storage_type_id",
            /// Soft-delete marker: null = live, set = deleted.
            deleted_datetime: Option<DateTime> = "deleted_datetime",
            vvm_type: Option<String> = "vvm_type",
            created_datetime: DateTime = "created_datetime".added_in("2.8.0", "\"1970-01-01T00:00:00\""),
            /// User id.
            created_by: Option<RecordId> = "created_by",
            /// Resolved name id of the manufacturer; key was manufacturer_link_id before v2.17.0.
            manufacturer_id: Option<NameId> = "manufacturer_id".formerly(&["manufacturer_link_id"]),
        }
    }
}
