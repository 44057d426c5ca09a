//! `asset_category`: asset catalogue.

use super::asset_class::AssetClassId;
use crate::record::record_type::{Deletion, Scope, record_type};

record_type! {
    /// A record of `asset_category` (asset catalogue). Who edits it: nobody in practice: only seeded reference data,
    /// no mutation exists.
    ///
    /// Deletion: never deleted.
    pub struct AssetCategory("asset_category", AssetCategoryId) {
        group: AssetCatalogue,
        style: Central,
        pulled: true,
        pushed: false,
        writers: Central,
        deletion: Deletion::Never,
        scope: Scope::None,
        after: ["asset_class"],
        since: "2.0.0",
        key: "id",
        fields: {
            /// Primary key; equals the envelope recordId.
            id: AssetCategoryId = "id",
            /// Unique inside its class.
            name: String = "name",
            /// Asset_class.id (column asset_class_id).
            class_id: AssetClassId = "class_id",
        }
    }
}
