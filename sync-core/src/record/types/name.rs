//! `name`: names & store joins.

use crate::record::RecordData;
use crate::record::enums::LegacyGender;
use crate::record::field_value::{Json, LegacyDate};
use crate::record::id::{RecordId, StoreId};
use crate::record::record_type::{Deletion, record_type};

record_type! {
    /// A record of `name` (names & store joins). Who edits it: on V6: the remote site that creates or edits a
    /// patient. All other names belong to legacy mSupply and never travel over V6.
    ///
    /// Deletion: special case: one-way push (remote -> central), legacy mSupply row shape. Upserts are sent only for
    /// live patients; other names and soft-deleted names are skipped. A wire Delete is soft-deleted by the receiver.
    /// Sending deletes is implemented without a patient check, but in practice only sync integration writes DELETE
    /// rows for names and those carry is_sync_update, so nothing is pushed. Any other incoming type string reads as
    /// Others. Never sent back over V6; legacy mSupply distributes names over V5. Receiving a name also rewrites
    /// name_is_customer and name_is_supplier of all that name's store joins.
    pub struct Name("name", NameId) {
        group: Names,
        style: Legacy,
        pulled: false,
        pushed: true,
        writers: Everyone,
        deletion: Deletion::Wire,
        after: ["currency"],
        since: "2.7.0",
        key: "ID",
        fields: {
            id: NameId = "ID",
            name: String = "name",
            code: String = "code",
            /// Always patient when sent over V6.
            kind: String = "type",
            customer: bool = "customer",
            supplier: bool = "supplier",
            /// Empty string reads as null; key must be present.
            supplying_store_id: Option<StoreId> = "supplying_store_id".present(),
            /// Empty string reads as null; key must be present.
            first: Option<String> = "first".present(),
            /// Empty string reads as null; key must be present.
            last: Option<String> = "last".present(),
            /// Sent as true only when the gender is FEMALE; on input used as gender fallback for patients when
            /// om_gender is empty (true FEMALE, false MALE).
            female: bool = "female",
            /// Sent as a date with T00:00:00 appended; input also accepts YYYY-MM-DD and 'YYYY-MM-DD HH:MM:SS'; null,
            /// '' and 0000-00-00 read as null; key must be present.
            date_of_birth: Option<LegacyDate> = "date_of_birth".present(),
            /// Key must be present.
            phone: Option<String> = "phone".present(),
            /// The key contains a space; key must be present.
            charge_code: Option<String> = "charge code".present(),
            /// Key must be present.
            comment: Option<String> = "comment".present(),
            /// Key must be present.
            country: Option<String> = "country".present(),
            /// Key must be present.
            bill_address1: Option<String> = "bill_address1".present(),
            /// Key must be present.
            bill_address2: Option<String> = "bill_address2".present(),
            /// Key must be present.
            email: Option<String> = "email".present(),
            /// Website; key must be present.
            url: Option<String> = "url".present(),
            manufacturer: bool = "manufacturer",
            donor: bool = "donor",
            hold: bool = "hold",
            /// Key must be present.
            next_of_kin_id: Option<NameId> = "NEXT_OF_KIN_ID".added_in("2.6.0", "null"),
            /// Next of kin's name; key must be present.
            next_of_kin_relative: Option<String> = "next_of_kin_relative".added_in("2.6.0", "null"),
            /// Date part of om_created_datetime, sent with T00:00:00; parsed like date_of_birth; key must be present.
            created_date: Option<LegacyDate> = "created_date".present(),
            /// Key must be present.
            national_health_number: Option<String> = "national_health_number".present(),
            is_deceased: bool = "isDeceased",
            /// Empty string reads as null; falls back to created_date at midnight; key must be present.
            om_created_datetime: Option<LegacyDate> = "om_created_datetime".present(),
            /// Empty string reads as null; key must be present.
            om_gender: Option<LegacyGender> = "om_gender".present(),
            /// Sent and parsed like date_of_birth.
            om_date_of_death: Option<LegacyDate> = "om_date_of_death",
            /// Always null when sent over V6; on input kept only for type facility or store.
            custom_data: Option<Json> = "custom_data",
            /// Empty string reads as null.
            hsh_code: Option<String> = "HSH_code",
            /// Empty string reads as null.
            hsh_name: Option<String> = "HSH_name",
            margin: Option<f64> = "margin",
            freightfac: Option<f64> = "freightfac",
            /// Empty string reads as null; cleared (and a system log written) if the currency is unknown to the
            /// receiver.
            currency_id: Option<RecordId> = "currency_ID",
        }
    }
}

/// Whether a record of `name` is a patient; all other names belong to the legacy server.
pub(crate) fn is_patient(data: &RecordData) -> bool {
    data.fields().and_then(|fields| fields.text("type")).is_some_and(|kind| kind == "patient")
}
