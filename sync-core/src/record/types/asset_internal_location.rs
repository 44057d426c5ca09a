//! `asset_internal_location`: assets.

use super::asset::AssetId;
use crate::record::id::RecordId;
use crate::record::record_type::{Deletion, Scope, record_type};

record_type! {
    /// A record of `asset_internal_location` (assets). Who edits it: the site whose active store owns the asset;
    /// central for assets it manages.
    ///
    /// Deletion: hard delete. The only V6 type whose deletions are really produced and consumed in both directions.
    /// An incoming Delete for an unknown id is accepted as success.
    pub struct AssetInternalLocation("asset_internal_location", AssetInternalLocationId) {
        group: Assets,
        style: Remote,
        pulled: true,
        pushed: true,
        writers: StoreSiteOrCentral,
        deletion: Deletion::Wire,
        scope: Scope::ParentStore("asset_id", "asset", "store_id"),
        after: ["Location", "asset"],
        since: "2.13.1",
        fields: {
            id: AssetInternalLocationId = "id",
            asset_id: AssetId = "asset_id".parent("asset"),
            /// Location id (the location record itself travels over V5 as table 'Location'); UNIQUE in the receiving
            /// database.
            location_id: RecordId = "location_id",
        }
    }
}
