//! `asset_property`: asset catalogue.

use super::asset_catalogue_type::AssetCatalogueTypeId;
use super::asset_category::AssetCategoryId;
use super::asset_class::AssetClassId;
use crate::record::enums::PropertyValueType;
use crate::record::record_type::{Deletion, Scope, record_type};

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
        scope: Scope::None,
        after: ["asset_class", "asset_category", "asset_catalogue_type"],
        since: "2.1.0",
        key: "id",
        fields: {
            /// Primary key; equals the envelope recordId.
            id: AssetPropertyId = "id",
            /// Key.
            key: String = "key",
            /// Name.
            name: String = "name",
            /// Asset_class.id.
            asset_class_id: Option<AssetClassId> = "asset_class_id",
            /// Asset_category.id.
            asset_category_id: Option<AssetCategoryId> = "asset_category_id",
            /// Asset_catalogue_type.id.
            asset_type_id: Option<AssetCatalogueTypeId> = "asset_type_id",
            /// Value type.
            value_type: PropertyValueType = "value_type",
            /// Comma-separated list, not JSON.
            allowed_values: Option<String> = "allowed_values",
        }
    }
}
