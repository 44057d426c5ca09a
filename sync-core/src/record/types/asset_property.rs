//! `asset_property`: asset catalogue.

use super::asset_catalogue_type::AssetCatalogueTypeId;
use super::asset_category::AssetCategoryId;
use super::asset_class::AssetClassId;
use crate::record::enums::PropertyValueType;
use crate::record::record_type::{Deletion, record_type};

record_type! {
    /// A record of `asset_property` (asset catalogue). Who edits it: seeded reference data; a service call to add one
    /// exists but no public mutation was found.
    ///
    /// Deletion: the repository can hard delete without writing a changelog row; nothing is sent.
    pub struct AssetProperty("asset_property", AssetPropertyId) {
        group: AssetCatalogue,
        style: Central,
        pulled: true,
        pushed: false,
        writers: Central,
        deletion: Deletion::Never,
        after: ["asset_class", "asset_category", "asset_catalogue_type"],
        since: "2.1.0",
        fields: {
            id: AssetPropertyId = "id",
            key: String = "key",
            name: String = "name",
            asset_class_id: Option<AssetClassId> = "asset_class_id",
            asset_category_id: Option<AssetCategoryId> = "asset_category_id",
            asset_type_id: Option<AssetCatalogueTypeId> = "asset_type_id",
            value_type: PropertyValueType = "value_type",
            /// Comma-separated list, not JSON.
            allowed_values: Option<String> = "allowed_values",
        }
    }
}
