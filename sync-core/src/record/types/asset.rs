//! `asset`: assets.

use super::asset_catalogue_item::AssetCatalogueItemId;
use super::asset_catalogue_type::AssetCatalogueTypeId;
use super::asset_category::AssetCategoryId;
use super::asset_class::AssetClassId;
use super::name::NameId;
use crate::record::datetime::{Date, DateTime};
use crate::record::field_value::JsonText;
use crate::record::id::StoreId;
use crate::record::record_type::{Deletion, Scope, record_type};

record_type! {
    /// A record of `asset` (assets). Who edits it: the site whose active store owns it; central may also create,
    /// edit, move or delete any asset.
    ///
    /// The app sets `created_datetime` and, at each edit, `modified_datetime`. `delete` sets `deleted_datetime`; the record is still
    /// read and found, so a query for assets in use has `is_null("deleted_datetime")`.
    ///
    /// Deletion on the wire: both directions are implemented since v2.13.1 (missing in v2.14.0, back in v2.14.1), but no code
    /// path writes a DELETE changelog row for assets: deleting one sets deleted_datetime and writes an UPSERT row. An
    /// incoming Delete is applied as that same soft delete.
    pub struct Asset("asset", AssetId) {
        group: Assets,
        style: Remote,
        pulled: true,
        pushed: true,
        writers: StoreSiteOrCentral,
        deletion: Deletion::SoftAndWire("deleted_datetime"),
        scope: Scope::Store("store_id"),
        after: ["store", "asset_catalogue_item", "asset_category", "asset_class", "asset_catalogue_type"],
        since: "2.0.0",
        fields: {
            id: AssetId = "id",
            notes: Option<String> = "notes",
            /// Unique per site by API check, not by the database.
            asset_number: Option<String> = "asset_number",
            asset_category_id: Option<AssetCategoryId> = "asset_category_id",
            asset_class_id: Option<AssetClassId> = "asset_class_id",
            /// `asset_catalogue_type.id` (database column is named asset_catalogue_type_id; the wire key is
            /// asset_type_id).
            asset_type_id: Option<AssetCatalogueTypeId> = "asset_type_id",
            /// Owning store; decides which site gets the record; null = unassigned, stays on central.
            store_id: Option<StoreId> = "store_id",
            serial_number: Option<String> = "serial_number",
            /// `asset_catalogue_item.id` (database column asset_catalogue_item_id).
            catalogue_item_id: Option<AssetCatalogueItemId> = "catalogue_item_id",
            installation_date: Option<Date> = "installation_date",
            replacement_date: Option<Date> = "replacement_date",
            created_datetime: DateTime = "created_datetime",
            modified_datetime: DateTime = "modified_datetime",
            /// Soft-delete marker: null = live, set = deleted.
            deleted_datetime: Option<DateTime> = "deleted_datetime",
            /// JSON object of asset property key to value, encoded as a string.
            properties: Option<JsonText> = "properties",
            /// Name id of the donor; stored in a column that references name_link, and sent unresolved.
            donor_name_id: Option<NameId> = "donor_name_id",
            warranty_start: Option<Date> = "warranty_start",
            warranty_end: Option<Date> = "warranty_end",
            needs_replacement: Option<bool> = "needs_replacement",
            /// JSON object of booleans serial_number, catalogue_item_id, warranty_start, warranty_end.
            locked_fields_json: Option<JsonText> = "locked_fields_json",
        }
    }
}
