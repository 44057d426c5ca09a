//! `asset_catalogue_property`: asset catalogue.

use super::asset_category::AssetCategoryId;
use crate::record::enums::PropertyValueType;
use crate::record::record_type::{Deletion, record_type};

record_type! {
    /// A record of `asset_catalogue_property` (asset catalogue). Who edits it: central only.
    ///
    /// Deletion: no delete. Existed only in v2.0.x; replaced by asset_property. The changelog value still exists in
    /// v2.19.00 but nothing writes or translates it.
    pub struct AssetCatalogueProperty("asset_catalogue_property", AssetCataloguePropertyId) {
        group: AssetCatalogue,
        style: Central,
        pulled: true,
        pushed: false,
        writers: Central,
        deletion: Deletion::Never,
        after: ["asset_class", "asset_category", "asset_catalogue_type"],
        since: "2.0.0",
        removed: "2.1.0",
        fields: {
            id: AssetCataloguePropertyId = "id",
            category_id: AssetCategoryId = "category_id",
            name: String = "name",
            value_type: PropertyValueType = "value_type",
            allowed_values: Option<String> = "allowed_values",
        }
    }
}
