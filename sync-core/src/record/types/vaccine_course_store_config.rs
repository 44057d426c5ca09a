//! `vaccine_course_store_config`: immunisation programs and vaccine courses.

use super::vaccine_course::VaccineCourseId;
use crate::record::id::StoreId;
use crate::record::record_type::{Deletion, Scope, record_type};

record_type! {
    /// A record of `vaccine_course_store_config` (immunisation programs and vaccine courses). Who edits it: open
    /// mSupply central server only (central-only mutations).
    ///
    /// Deletion: no delete in either direction.
    pub struct VaccineCourseStoreConfig("vaccine_course_store_config", VaccineCourseStoreConfigId) {
        group: VaccineCourses,
        style: Central,
        pulled: true,
        pushed: false,
        writers: Central,
        deletion: Deletion::Never,
        scope: Scope::Store("store_id"),
        after: ["vaccine_course", "store"],
        since: "2.17.0",
        fields: {
            id: VaccineCourseStoreConfigId = "id",
            vaccine_course_id: VaccineCourseId = "vaccine_course_id".parent("vaccine_course"),
            /// Store the override applies to.
            store_id: StoreId = "store_id",
            wastage_rate: Option<f64> = "wastage_rate",
            coverage_rate: Option<f64> = "coverage_rate",
        }
    }
}
