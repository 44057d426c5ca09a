//! `asset_catalogue_property`: asset catalogue.

use super::asset_category::AssetCategoryId;
use crate::record::enums::PropertyValueType;
use crate::record::record_type::{Deletion, Scope, record_type};

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
        scope: Scope::None,
        after: ["asset_class", "asset_category", "asset_catalogue_type"],
        since: "2.0.0",
        removed: "2.1.0",
        key: "id",
        fields: {
            /// Primary key; equals the envelope recordId.
            id: AssetCataloguePropertyId = "id",
            /// Asset_category.id.
            category_id: AssetCategoryId = "category_id",
            /// Name.
            name: String = "name",
            /// Value type.
            value_type: PropertyValueType = "value_type",
            /// Allowed values.
            allowed_values: Option<String> = "allowed_values",
        }
    }
}
