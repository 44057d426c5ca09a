//! `packaging_variant`: item & packaging variants.

use super::item_variant::ItemVariantId;
use crate::record::datetime::DateTime;
use crate::record::record_type::{Deletion, record_type};

record_type! {
    /// A record of `packaging_variant` (item & packaging variants). Only the Open mSupply central server edits it.
    ///
    /// Deletion: an ordinary upsert sets a mark.
    pub struct PackagingVariant("packaging_variant", PackagingVariantId) {
        group: ItemVariants,
        style: Central,
        pulled: true,
        pushed: false,
        writers: Central,
        deletion: Deletion::Soft("deleted_datetime"),
        after: ["item_variant"],
        since: "2.4.0",
        fields: {
            id: PackagingVariantId = "id",
            name: String = "name",
            /// The id of the record of `item_variant` to which it belongs.
            item_variant_id: ItemVariantId = "item_variant_id".parent("item_variant"),
            /// 1 = primary, 2 = secondary, 3 = tertiary.
            packaging_level: i32 = "packaging_level",
            pack_size: Option<f64> = "pack_size",
            volume_per_unit: Option<f64> = "volume_per_unit",
            /// Soft-delete marker: null = live, set = deleted.
            deleted_datetime: Option<DateTime> = "deleted_datetime",
        }
    }
}
