//! `vaccine_course_item`: immunisation programs and vaccine courses.

use super::vaccine_course::VaccineCourseId;
use crate::record::datetime::DateTime;
use crate::record::id::RecordId;
use crate::record::record_type::{Deletion, record_type};

record_type! {
    /// A record of `vaccine_course_item` (immunisation programs and vaccine courses). Who edits it: open mSupply
    /// central server only (central-only mutations).
    ///
    /// Deletion: soft delete carried by an ordinary upsert.
    pub struct VaccineCourseItem("vaccine_course_item", VaccineCourseItemId) {
        group: VaccineCourses,
        style: Central,
        pulled: true,
        pushed: false,
        writers: Central,
        deletion: Deletion::Soft("deleted_datetime"),
        after: ["vaccine_course", "item"],
        since: "2.3.0",
        fields: {
            id: VaccineCourseItemId = "id",
            vaccine_course_id: VaccineCourseId = "vaccine_course_id".parent("vaccine_course"),
            /// Item_link id, unresolved.
            item_link_id: RecordId = "item_link_id",
            /// Soft-delete marker: null = live, set = deleted.
            deleted_datetime: Option<DateTime> = "deleted_datetime",
        }
    }
}
