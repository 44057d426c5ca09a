//! `vaccination`: vaccinations/encounters.

use super::name::NameId;
use super::vaccine_course_dose::VaccineCourseDoseId;
use crate::record::datetime::{Date, DateTime};
use crate::record::id::{RecordId, StoreId};
use crate::record::record_type::{Deletion, Scope, record_type};

record_type! {
    /// A record of `vaccination` (vaccinations/encounters). Who edits it: any site on which the patient is visible
    /// (through a name_store_join of one of its active stores).
    ///
    /// Deletion: no delete in either direction; the repository can hard delete without a changelog row but nothing
    /// calls it.
    pub struct Vaccination("vaccination", VaccinationId) {
        group: Vaccinations,
        style: Remote,
        pulled: true,
        pushed: true,
        writers: Everyone,
        deletion: Deletion::Never,
        scope: Scope::Patient("patient_id"),
        after: ["om_document", "user", "clinician", "store", "trans_line", "name"],
        since: "2.3.0",
        fields: {
            id: VaccinationId = "id",
            /// Store where the record was created.
            store_id: StoreId = "store_id",
            /// Store where the dose was marked given.
            given_store_id: Option<StoreId> = "given_store_id",
            program_enrolment_id: RecordId = "program_enrolment_id",
            encounter_id: RecordId = "encounter_id",
            user_id: RecordId = "user_id",
            /// `vaccine_course_dose.id`; the only enforced foreign key.
            vaccine_course_dose_id: VaccineCourseDoseId = "vaccine_course_dose_id".parent("vaccine_course_dose"),
            created_datetime: DateTime = "created_datetime",
            facility_free_text: Option<String> = "facility_free_text",
            invoice_id: Option<RecordId> = "invoice_id",
            stock_line_id: Option<RecordId> = "stock_line_id",
            /// Item_link id, unresolved.
            item_link_id: Option<RecordId> = "item_link_id",
            /// Clinician_link id, unresolved.
            clinician_link_id: Option<RecordId> = "clinician_link_id",
            /// Event date.
            vaccination_date: Date = "vaccination_date",
            given: bool = "given",
            not_given_reason: Option<String> = "not_given_reason",
            comment: Option<String> = "comment",
            /// Resolved name id of the patient; key was patient_link_id from v2.7.0 to v2.16.x.
            patient_id: NameId = "patient_id".formerly(&["patient_link_id"]),
            /// Resolved name id; key was facility_name_link_id before v2.17.0.
            facility_name_id: Option<NameId> = "facility_name_id".formerly(&["facility_name_link_id"]),
        }
    }
}
