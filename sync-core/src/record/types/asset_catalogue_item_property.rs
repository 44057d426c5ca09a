//! `asset_catalogue_item_property`: asset catalogue.

use super::asset_catalogue_item::AssetCatalogueItemId;
use super::asset_catalogue_property::AssetCataloguePropertyId;
use crate::record::record_type::{Deletion, Scope, record_type};

record_type! {
    /// A record of `asset_catalogue_item_property` (asset catalogue). Who edits it: central only.
    ///
    /// Deletion: no delete. Existed only in v2.0.x; replaced by the properties field of asset_catalogue_item. The
    /// changelog value still exists in v2.19.00 but nothing writes or translates it.
    pub struct AssetCatalogueItemProperty("asset_catalogue_item_property", AssetCatalogueItemPropertyId) {
        group: AssetCatalogue,
        style: Central,
        pulled: true,
        pushed: false,
        writers: Central,
        deletion: Deletion::Never,
        scope: Scope::None,
        after: ["asset_catalogue_item", "asset_catalogue_property"],
        since: "2.0.0",
        removed: "2.1.0",
        key: "id",
        fields: {
            /// Primary key; equals the envelope recordId.
            id: AssetCatalogueItemPropertyId = "id",
            /// Asset_catalogue_item.id.
            catalogue_item_id: AssetCatalogueItemId = "catalogue_item_id",
            /// Asset_catalogue_property.id.
            catalogue_property_id: AssetCataloguePropertyId = "catalogue_property_id",
            /// Value string.
            value_string: Option<String> = "value_string",
            /// Value int.
            value_int: Option<i32> = "value_int",
            /// Value float.
            value_float: Option<f64> = "value_float",
            /// Value bool.
            value_bool: Option<bool> = "value_bool",
        }
    }
}
