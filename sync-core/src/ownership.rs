//! The rules of ownership: pure functions, used in three places.
//!
//! 1. A *local write* on a site or on central: [`may_write`].
//! 2. What central accepts from a site's *push*: [`may_push`].
//! 3. What a site takes from central in a *pull*: [`may_arrive`].
//!
//! Source: `record-types`, *Ownership rules*; upstream enforces none of this in its sync (quirk D1).

mod refusal;

use crate::record::{Deletion, RecordType, Writers};
use crate::role::Role;

pub use refusal::Refusal;

/// The action on a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Operation {
    /// Created or changed.
    Upsert,
    /// Deleted by a Delete on the wire (a soft delete is an upsert).
    Delete,
}

/// The store that owns a record, as seen by the writing site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum StoreOwner {
    /// The record belongs to no store.
    Nobody,
    /// A store that is active on the writing site.
    Own,
    /// A store that is active elsewhere, or not known.
    Other,
}

/// Checks that a database may write a record locally.
///
/// # Errors
/// The rule that forbids it.
pub(crate) fn may_write(role: Role, kind: &RecordType, operation: Operation, store: StoreOwner) -> Result<(), Refusal> {
    let table = || kind.table.to_owned();
    if let Some(release) = kind.removed {
        return Err(Refusal::Removed { table: table(), release });
    }
    match role {
        Role::Remote => may_remote_write(kind, store),
        Role::Central => match (kind.writers, store) {
            (Writers::StoreSite | Writers::StoreSiteElseCentral, StoreOwner::Other) => {
                Err(Refusal::OwnedByRemoteSite { table: table() })
            }
            _ => Ok(()),
        },
    }?;
    match (operation, kind.deletion) {
        (Operation::Delete, Deletion::Never | Deletion::Soft(_)) => Err(Refusal::NotDeletable { table: table() }),
        _ => Ok(()),
    }
}

/// Checks that central accepts a record that a site pushes; `store` as seen by that site.
///
/// # Errors
/// The rule that forbids it.
pub(crate) fn may_push(kind: &RecordType, operation: Operation, store: StoreOwner) -> Result<(), Refusal> {
    may_write(Role::Remote, kind, operation, store)
}

/// Checks that central accepts a site's version of a record without a store that another site or central wrote.
///
/// # Errors
/// The rule that forbids it.
pub(crate) fn may_replace(kind: &RecordType) -> Result<(), Refusal> {
    match kind.writers {
        Writers::Author | Writers::Holder | Writers::StoreSiteOrCentral => {
            Err(Refusal::WrittenElsewhere { table: kind.table.to_owned() })
        }
        _ => Ok(()),
    }
}

/// Checks that a site accepts a record from central. Its store does not matter: central is trusted to select, and a
/// store may have moved meanwhile.
///
/// # Errors
/// The rule that forbids it.
pub(crate) fn may_arrive(kind: &RecordType, operation: Operation) -> Result<(), Refusal> {
    if !kind.pulled {
        return Err(Refusal::NotPulled { table: kind.table.to_owned() });
    }
    match operation {
        Operation::Delete if !kind.deletes_on_wire() => Err(Refusal::NotDeletable { table: kind.table.to_owned() }),
        _ => Ok(()),
    }
}

fn may_remote_write(kind: &RecordType, store: StoreOwner) -> Result<(), Refusal> {
    let table = || kind.table.to_owned();
    let by_store = match (kind.writers, store) {
        (Writers::Central, _) | (Writers::StoreSiteElseCentral, StoreOwner::Nobody) => {
            Err(Refusal::OnlyAllowedOnCentral { table: table() })
        }
        (Writers::Everyone | Writers::Author, _) | (_, StoreOwner::Own) => Ok(()),
        // An asset that is taken out of its store, and its logs: they reach central, which may give it to another
        // store.
        (Writers::StoreSiteOrCentral | Writers::Holder, StoreOwner::Nobody) => Ok(()),
        (Writers::StoreSite, StoreOwner::Nobody) | (_, StoreOwner::Other) => {
            Err(Refusal::StoreNotActiveHere { table: table() })
        }
    };
    match by_store {
        Ok(()) if !kind.pushed => Err(Refusal::OnlyAllowedOnCentral { table: table() }),
        verdict => verdict,
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::record::record_types;

    const STORES: [StoreOwner; 3] = [StoreOwner::Nobody, StoreOwner::Own, StoreOwner::Other];

    fn verdict(result: Result<(), Refusal>) -> &'static str {
        match result {
            Ok(()) => "yes",
            Err(refusal) => refusal.code(),
        }
    }

    /// All types, roles, operations and stores in one table. Whoever reviews a change reads the difference.
    #[test]
    fn the_whole_table() {
        let mut table = String::from(
            "# style, table, role of the writer, operation: the verdict on a record of no store, of a store of its own, of \
             another store\n",
        );
        for kind in record_types() {
            for role in [Role::Central, Role::Remote] {
                for operation in [Operation::Upsert, Operation::Delete] {
                    let row = STORES.map(|store| verdict(may_write(role, kind, operation, store)));
                    let style = kind.style.spec_name();
                    let line = format!("{style} {} {} {operation:?}:", kind.table, role.as_str());
                    writeln!(table, "{line} {}", row.join(" ")).unwrap();
                }
            }
        }
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/ownership_table.txt");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, &table).unwrap();
        }
        let reviewed = std::fs::read_to_string(path).unwrap_or_default();
        let differs = reviewed.lines().zip(table.lines()).find(|(old, new)| old != new);
        assert!(
            table == reviewed,
            "{path} is out of date (first difference: {differs:?}); renew it with UPDATE_DOCS=1 cargo test -p sync-core \
             ownership, and read what changed"
        );
    }

    #[test]
    fn a_remote_never_writes_what_central_configures() {
        for kind in record_types().iter().filter(|k| k.writers == Writers::Central && k.removed.is_none()) {
            for operation in [Operation::Upsert, Operation::Delete] {
                for store in STORES {
                    let refusal = may_write(Role::Remote, kind, operation, store).unwrap_err();
                    assert_eq!(refusal, Refusal::OnlyAllowedOnCentral { table: kind.table.to_owned() });
                }
            }
        }
    }

    #[test]
    fn of_no_store_a_site_replaces_only_what_it_wrote() {
        let refuse: Vec<_> = record_types().iter().filter(|kind| may_replace(kind).is_err()).map(|k| k.table).collect();
        for table in ["asset", "asset_log", "sync_file_reference", "system_log"] {
            assert!(refuse.contains(&table), "{table}: {refuse:?}");
        }
        assert!(!refuse.contains(&"vaccination") && !refuse.contains(&"name"), "they wait for a join: {refuse:?}");
    }

    #[test]
    fn what_central_may_not_send_is_refused() {
        for kind in record_types() {
            assert_eq!(may_arrive(kind, Operation::Upsert).is_ok(), kind.pulled, "{}", kind.table);
            let deletes = kind.pulled && kind.deletes_on_wire();
            assert_eq!(may_arrive(kind, Operation::Delete).is_ok(), deletes, "{}", kind.table);
        }
    }
}
