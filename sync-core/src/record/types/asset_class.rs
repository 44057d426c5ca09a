//! `asset_class`: asset catalogue.

use crate::record::record_type::{Deletion, record_type};

record_type! {
    /// A record of `asset_class` (asset catalogue). Who edits it: nobody in practice: only seeded reference data, no
    /// mutation exists.
    ///
    /// Deletion: never deleted.
    pub struct AssetClass("asset_class", AssetClassId) {
        group: AssetCatalogue,
        style: Central,
        pulled: true,
        pushed: false,
        writers: Central,
        deletion: Deletion::Never,
        since: "2.0.0",
        fields: {
            id: AssetClassId = "id",
            /// Unique.
            name: String = "name",
        }
    }
}
