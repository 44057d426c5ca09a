//! Why a write is not allowed, with everything that is said of it.

use std::fmt;

use crate::record::RecordId;
use crate::text::{Details, Message, MessageTemplate, declare_errors, placeholders};

declare_errors! {
/// Why a write is not allowed. Shown to users by hosts, so each says what it means for them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are the details that the message names")]
pub enum Refusal {
    /// Configured on central alone.
    OnlyAllowedOnCentral {
        fields: { table: String = "asset_class".into() },
        code: "only_allowed_on_central", class: Input,
        message: "{table}{record} is only allowed on central: it is configured on the Open mSupply central server",
        cause: "Records of this type are configured on the Open mSupply central server alone.",
        advice: "Make this change on the Open mSupply central server; it reaches this site with the next sync.",
    }

    /// Of a store that is not this site's.
    StoreNotActiveHere {
        fields: { table: String = "asset".into() },
        code: "store_not_active_here", class: Input,
        message: "this {table}{record} belongs to a store that is not active on this site",
        cause: "Another site keeps this store.",
        advice: "Make this change on the site on which the store is active.",
    }

    /// Of a store that is a remote site's.
    OwnedByRemoteSite {
        fields: { table: String = "rnr_form".into() },
        code: "owned_by_remote_site", class: Input,
        message: "this {table}{record} belongs to a remote site's store, and only that site may change it",
        cause: "The record belongs to a store on a remote site.",
        advice: "Make this change on the site of that store.",
    }

    /// Kept in mSupply.
    OnlyAllowedOnLegacy {
        fields: { table: String = "name".into() },
        code: "only_allowed_on_legacy", class: Input,
        message: "{table}{record} belongs to the legacy server",
        cause: "Records of this type are kept on the legacy server.",
        advice: "Make this change on the legacy server; it reaches this site with the next sync.",
    }

    /// Of a type whose records stay.
    NotDeletable {
        fields: { table: String = "asset_log".into() },
        code: "not_deletable", class: Input,
        message: "records of {table} cannot be deleted",
        cause: "Other records rest on records of this type.",
        advice: "Leave the record, or mark it in the way its fields offer.",
    }

    /// Of a type that Open mSupply gave up.
    Removed {
        fields: { table: String = "pack_variant".into(), release: &'static str = "2.4.0" },
        code: "removed_type", class: Input,
        message: "{table} does not travel over V6 any more: release {release} removed it",
        cause: "The type was given up by Open mSupply.",
        advice: "Use the type that replaced it.",
    }

    /// Of a type that goes to central only.
    NotPulled {
        fields: { table: String = "system_log".into() },
        code: "not_pulled", class: Input,
        message: "{table} does not travel from central to sites over V6",
        cause: "Central sent a record of a type that goes only to it.",
        advice: "Tell the central server's administrator: it sent something that it should not send.",
    }

    /// Written by another, and of no store.
    WrittenElsewhere {
        fields: { table: String = "sync_file_reference".into() },
        code: "written_elsewhere", class: Input,
        message: "this {table}{record} was written elsewhere, and belongs to no store of this site",
        cause: "Another site or the central server wrote it, and nothing shows that this site may change it.",
        advice: "Make this change on the site that wrote it, or on the Open mSupply central server.",
    }
}
}

impl Refusal {
    /// A stable code in snake_case.
    pub fn code(&self) -> &'static str {
        self.declared().code
    }

    /// What to do next.
    pub fn advice(&self) -> &'static str {
        self.declared().advice
    }

    /// What the message names if the write was one of this record.
    pub(crate) fn details_with(&self, id: Option<&RecordId>) -> Details {
        let mut details = self.details();
        if placeholders(self.declared().message).contains(&"record") {
            // The blank belongs to it: without an id there is none.
            let record = id.map(|id| format!(" {id}")).unwrap_or_default();
            details.push(("record", record.into()));
        }
        details
    }
}

/// In English, as [`Error::NotAllowed`](crate::Error::NotAllowed) says it.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Message::new(MessageTemplate::new(self.code(), "message", self.declared().message), self.details_with(None))
            .fmt(f)
    }
}
