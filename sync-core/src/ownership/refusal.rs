//! The reasons why a write is not allowed, with all their texts.

use std::fmt;

use crate::record::RecordId;
use crate::text::{Details, Message, MessageTemplate, declare_errors, placeholders};

declare_errors! {
/// Why a write is not allowed. Hosts show these to users, so each explains the reason to them.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are the details that the message names")]
pub enum Refusal {
    /// The type is configured on central.
    OnlyAllowedOnCentral {
        fields: { table: String = "asset_class".into() },
        code: "only_allowed_on_central", class: Input,
        message: "{table}{record} is only allowed on central: it is configured on the Open mSupply central server",
        cause: "Records of this type are configured on the Open mSupply central server alone.",
        advice: "Make this change on the Open mSupply central server; it reaches this site with the next sync.",
    }

    /// The store is not active on this site.
    StoreNotActiveHere {
        fields: { table: String = "asset".into() },
        code: "store_not_active_here", class: Input,
        message: "this {table}{record} belongs to a store that is not active on this site",
        cause: "Another site keeps this store.",
        advice: "Make this change on the site on which the store is active.",
    }

    /// The store belongs to a remote site.
    OwnedByRemoteSite {
        fields: { table: String = "rnr_form".into() },
        code: "owned_by_remote_site", class: Input,
        message: "this {table}{record} belongs to a remote site's store, and only that site may change it",
        cause: "The record belongs to a store on a remote site.",
        advice: "Make this change on the site of that store.",
    }

    /// The legacy server owns the type.
    OnlyAllowedOnLegacy {
        fields: { table: String = "name".into() },
        code: "only_allowed_on_legacy", class: Input,
        message: "{table}{record} belongs to the legacy server",
        cause: "Records of this type are kept on the legacy server.",
        advice: "Make this change on the legacy server; it reaches this site with the next sync.",
    }

    /// Records of the type are never deleted.
    NotDeletable {
        fields: { table: String = "asset_log".into() },
        code: "not_deletable", class: Input,
        message: "records of {table} cannot be deleted",
        cause: "Other records depend on records of this type.",
        advice: "Leave the record, or mark it with one of its fields.",
    }

    /// Records of the type are written once.
    WrittenOnce {
        fields: { table: String = "asset_log".into() },
        code: "written_once", class: Input,
        message: "this {table}{record} is here already, and records of its type are never changed",
        cause: "Records of this type are a history: each is written once, with an id of its own.",
        advice: "Write a further record with a new id.",
    }

    /// Open mSupply removed the type.
    Removed {
        fields: { table: String = "pack_variant".into(), release: &'static str = "2.4.0" },
        code: "removed_type", class: Input,
        message: "{table} does not travel over V6 any more: release {release} removed it",
        cause: "Open mSupply removed the type.",
        advice: "Use the type that replaced it.",
    }

    /// The type only travels to central.
    NotPulled {
        fields: { table: String = "system_log".into() },
        code: "not_pulled", class: Input,
        message: "{table} does not travel from central to sites over V6",
        cause: "Central sent a record of a type that only travels to central.",
        advice: "Tell the central server's administrator: it sent something that it should not send.",
    }

    /// Another wrote the record, and it has no store.
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

    /// The advice.
    pub fn advice(&self) -> &'static str {
        self.declared().advice
    }

    /// The details of the message for a write of this record.
    pub(crate) fn details_with(&self, id: Option<&RecordId>) -> Details {
        let mut details = self.details();
        if placeholders(self.declared().message).contains(&"record") {
            // With its blank, because without an id there is none.
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
