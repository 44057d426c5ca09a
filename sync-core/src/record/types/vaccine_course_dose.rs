//! `vaccine_course_dose`: immunisation programs and vaccine courses.

use super::vaccine_course::VaccineCourseId;
use crate::record::datetime::DateTime;
use crate::record::record_type::{Deletion, record_type};

record_type! {
    /// A record of `vaccine_course_dose` (immunisation programs and vaccine courses). Who edits it: open mSupply
    /// central server only (central-only mutations).
    ///
    /// Deletion: soft delete carried by an ordinary upsert.
    pub struct VaccineCourseDose("vaccine_course_dose", VaccineCourseDoseId) {
        group: VaccineCourses,
        style: Central,
        pulled: true,
        pushed: false,
        writers: Central,
        deletion: Deletion::Soft("deleted_datetime"),
        after: ["vaccine_course"],
        since: "2.3.0",
        fields: {
            id: VaccineCourseDoseId = "id",
            vaccine_course_id: VaccineCourseId = "vaccine_course_id".parent("vaccine_course"),
            label: String = "label",
            /// Months.
            min_age: f64 = "min_age",
            /// Months.
            max_age: f64 = "max_age",
            custom_age_label: Option<String> = "custom_age_label",
            min_interval_days: i32 = "min_interval_days",
            /// Soft-delete marker: null = live, set = deleted.
            deleted_datetime: Option<DateTime> = "deleted_datetime",
        }
    }
}
