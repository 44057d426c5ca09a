//! `asset_catalogue_item_property`: asset catalogue.

use super::asset_catalogue_item::AssetCatalogueItemId;
use super::asset_catalogue_property::AssetCataloguePropertyId;
use crate::record::record_type::{Deletion, record_type};

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
        after: ["asset_catalogue_item", "asset_catalogue_property"],
        since: "2.0.0",
        removed: "2.1.0",
        fields: {
            id: AssetCatalogueItemPropertyId = "id",
            catalogue_item_id: AssetCatalogueItemId = "catalogue_item_id",
            catalogue_property_id: AssetCataloguePropertyId = "catalogue_property_id",
            value_string: Option<String> = "value_string",
            value_int: Option<i32> = "value_int",
            value_float: Option<f64> = "value_float",
            value_bool: Option<bool> = "value_bool",
        }
    }
}
