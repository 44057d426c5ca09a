//! `name_store_join`: names & store joins.

use super::name::NameId;
use crate::record::id::StoreId;
use crate::record::record_type::{Deletion, Scope, record_type};

record_type! {
    /// A record of `name_store_join` (names & store joins). Who edits it: on V6: the remote site that makes a patient
    /// (or other name) visible in one of its own stores. Otherwise legacy mSupply.
    ///
    /// Deletion: special case: one-way push (remote -> central), legacy mSupply row shape, not limited to patients.
    /// Central needs it to know which sites may receive a patient's vaccinations. The name must already exist on the
    /// receiver, otherwise integration fails. A join of a store to its own name is ignored. Incoming Delete (or
    /// inactive = true) hard deletes; outgoing deletes are not implemented, so a removed join stays on central. Never
    /// sent back over V6.
    pub struct NameStoreJoin("name_store_join", NameStoreJoinId) {
        group: Names,
        style: Legacy,
        pulled: false,
        pushed: true,
        writers: StoreSite,
        deletion: Deletion::Wire,
        scope: Scope::StoreAndName("store_ID", "name_ID"),
        after: ["name", "store"],
        since: "2.7.0",
        key: "ID",
        fields: {
            id: NameStoreJoinId = "ID",
            /// Store that can see the name.
            store_id: StoreId = "store_ID",
            /// Name that is visible.
            name_id: NameId = "name_ID".parent("name"),
            /// True turns the upsert into a delete on the receiver; sent as false.
            inactive: Option<bool> = "inactive",
            /// Sent, but ignored on input: the receiver copies the value from the name.
            om_name_is_customer: Option<bool> = "om_name_is_customer",
            /// Sent, but ignored on input: the receiver copies the value from the name.
            om_name_is_supplier: Option<bool> = "om_name_is_supplier",
        }
    }
}
