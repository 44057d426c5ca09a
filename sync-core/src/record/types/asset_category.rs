//! `asset_category`: asset catalogue.

use super::asset_class::AssetClassId;
use crate::record::record_type::{Deletion, record_type};

record_type! {
    /// A record of `asset_category` (asset catalogue). Who edits it: nobody in practice: only seeded reference data,
    /// no mutation exists.
    ///
    /// Deletion: never deleted.
    pub struct AssetCategory("asset_category", AssetCategoryId) {
        group: AssetCatalogue,
        style: Central,
        pulled: true,
        pushed: false,
        writers: Central,
        deletion: Deletion::Never,
        after: ["asset_class"],
        since: "2.0.0",
        fields: {
            id: AssetCategoryId = "id",
            /// Unique inside its class.
            name: String = "name",
            /// `asset_class.id` (column asset_class_id).
            class_id: AssetClassId = "class_id",
        }
    }
}
