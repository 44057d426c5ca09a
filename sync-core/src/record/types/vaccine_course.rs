//! `vaccine_course`: immunisation programs and vaccine courses.

use super::demographic::DemographicId;
use crate::record::datetime::DateTime;
use crate::record::id::RecordId;
use crate::record::record_type::{Deletion, record_type};

record_type! {
    /// A record of `vaccine_course` (immunisation programs and vaccine courses). Who edits it: open mSupply central
    /// server only (central-only mutations).
    ///
    /// Deletion: soft delete in intent, but deleting a course writes no changelog row for the course itself (only for
    /// its doses), so the course stays live on every remote site; editing it again clears the mark instead of sending
    /// it.
    pub struct VaccineCourse("vaccine_course", VaccineCourseId) {
        group: VaccineCourses,
        style: Central,
        pulled: true,
        pushed: false,
        writers: Central,
        deletion: Deletion::Soft("deleted_datetime"),
        after: ["list_master", "demographic"],
        since: "2.3.0",
        fields: {
            id: VaccineCourseId = "id",
            name: String = "name",
            program_id: RecordId = "program_id",
            demographic_id: Option<DemographicId> = "demographic_id",
            coverage_rate: f64 = "coverage_rate",
            /// Internally 'use in gaps calculations'; the old wire key was kept.
            is_active: bool = "is_active",
            wastage_rate: f64 = "wastage_rate",
            /// Soft-delete marker: null = live, set = deleted.
            deleted_datetime: Option<DateTime> = "deleted_datetime",
            can_skip_dose: bool = "can_skip_dose".added_in("2.12.0", "false"),
        }
    }
}
