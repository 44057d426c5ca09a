//! `pack_variant`: item & packaging variants.

use crate::record::id::RecordId;
use crate::record::record_type::{Deletion, record_type};

record_type! {
    /// A record of `pack_variant` (item & packaging variants). Who edits it: central only.
    ///
    /// Deletion: no delete. The only V6 type with camelCase record keys. Last release with it: v2.3.5. The changelog
    /// value still exists in v2.19.00 but nothing writes or translates it. Replaced by item_variant and
    /// packaging_variant (no record-level successor).
    pub struct PackVariant("pack_variant", PackVariantId) {
        group: ItemVariants,
        style: Central,
        pulled: true,
        pushed: false,
        writers: Central,
        deletion: Deletion::Never,
        after: ["item"],
        since: "2.0.0",
        removed: "2.4.0",
        fields: {
            id: PackVariantId = "id",
            item_id: RecordId = "itemId",
            short_name: String = "shortName",
            long_name: String = "longName",
            /// An integer (i32) in v2.0.x, a float from v2.1.0.
            pack_size: f64 = "packSize",
            is_active: bool = "isActive",
        }
    }
}
