//! `demographic_indicator`: demographics.

use crate::record::record_type::{Deletion, record_type};

record_type! {
    /// A record of `demographic_indicator` (demographics). Who edits it: central only.
    ///
    /// Deletion: no delete. Synced only by v2.3.0; replaced by demographic. The table demographic_indicator still
    /// exists as local data of each server and demographic_projection has always been local data: neither has synced
    /// since. The changelog value was removed too.
    pub struct DemographicIndicator("demographic_indicator", DemographicIndicatorId) {
        group: Demographics,
        style: Central,
        pulled: true,
        pushed: false,
        writers: Central,
        deletion: Deletion::Never,
        since: "2.3.0",
        removed: "2.3.1",
        fields: {
            id: DemographicIndicatorId = "id",
            name: String = "name",
            base_year: i32 = "base_year",
            base_population: i32 = "base_population",
            population_percentage: f64 = "population_percentage",
            year_1_projection: i32 = "year_1_projection",
            year_2_projection: i32 = "year_2_projection",
            year_3_projection: i32 = "year_3_projection",
            year_4_projection: i32 = "year_4_projection",
            year_5_projection: i32 = "year_5_projection",
        }
    }
}
