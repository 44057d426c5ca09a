//! `asset_catalogue_type`: asset catalogue.

use super::asset_category::AssetCategoryId;
use crate::record::record_type::{Deletion, record_type};

record_type! {
    /// A record of `asset_catalogue_type` (asset catalogue). Who edits it: nobody in practice: only seeded reference
    /// data, no mutation exists.
    ///
    /// Deletion: never deleted.
    pub struct AssetCatalogueType("asset_catalogue_type", AssetCatalogueTypeId) {
        group: AssetCatalogue,
        style: Central,
        pulled: true,
        pushed: false,
        writers: Central,
        deletion: Deletion::Never,
        after: ["asset_category"],
        since: "2.0.0",
        fields: {
            id: AssetCatalogueTypeId = "id",
            /// Unique inside its category.
            name: String = "name",
            /// `asset_category.id` (column asset_category_id).
            category_id: AssetCategoryId = "category_id",
        }
    }
}
