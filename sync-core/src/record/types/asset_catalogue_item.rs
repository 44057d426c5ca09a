//! `asset_catalogue_item`: asset catalogue.

use super::asset_catalogue_type::AssetCatalogueTypeId;
use super::asset_category::AssetCategoryId;
use super::asset_class::AssetClassId;
use crate::record::datetime::DateTime;
use crate::record::field_value::JsonText;
use crate::record::record_type::{Deletion, record_type};

record_type! {
    /// A record of `asset_catalogue_item` (asset catalogue). Who edits it: open mSupply central server only (central-
    /// only mutations).
    ///
    /// Deletion: soft delete carried by an ordinary upsert.
    pub struct AssetCatalogueItem("asset_catalogue_item", AssetCatalogueItemId) {
        group: AssetCatalogue,
        style: Central,
        pulled: true,
        pushed: false,
        writers: Central,
        deletion: Deletion::Soft("deleted_datetime"),
        after: ["asset_category", "asset_catalogue_type", "asset_class"],
        since: "2.0.0",
        fields: {
            id: AssetCatalogueItemId = "id",
            /// E.g. WHO PQS for the seeded items.
            sub_catalogue: String = "sub_catalogue",
            category_id: AssetCategoryId = "category_id",
            class_id: AssetClassId = "class_id",
            /// Unique in the receiving database.
            code: String = "code",
            manufacturer: Option<String> = "manufacturer",
            model: String = "model",
            type_id: AssetCatalogueTypeId = "type_id",
            /// JSON object of property key to value, encoded as a string.
            properties: Option<JsonText> = "properties",
            /// Soft-delete marker: null = live, set = deleted.
            deleted_datetime: Option<DateTime> = "deleted_datetime",
        }
    }
}
