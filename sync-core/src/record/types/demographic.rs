//! `demographic`: demographics.

use crate::record::record_type::{Deletion, record_type};

record_type! {
    /// A record of `demographic` (demographics). Who edits it: open mSupply central server only (central-only
    /// mutations).
    ///
    /// Deletion: never deleted.
    pub struct Demographic("demographic", DemographicId) {
        group: Demographics,
        style: Central,
        pulled: true,
        pushed: false,
        writers: Central,
        deletion: Deletion::Never,
        since: "2.3.1",
        fields: {
            id: DemographicId = "id",
            name: String = "name",
            population_percentage: f64 = "population_percentage".added_in("2.8.0", "0.0"),
        }
    }
}
