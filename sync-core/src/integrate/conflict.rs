//! Conflicts, and what a host decides about them: which version of a record stays if it was edited here and elsewhere.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::protocol::hex;
use crate::protocol::v6::Action;
use crate::record::{
    Cursor, RecordData, RecordId, TableName, TypedRecord, differing_keys, is_known_table, record_type,
};
use crate::storage::{Incoming, Source};

/// The two versions of a record that was edited here while another version of it came with a pull.
#[derive(Debug)]
#[non_exhaustive]
pub struct ConflictVersions<'a> {
    /// Its table.
    pub table: &'a TableName,
    /// Its id.
    pub id: &'a RecordId,
    /// The version of this database, which is not pushed yet; `None` if it was deleted here.
    pub local: Option<&'a RecordData>,
    /// The version that came; `None` if it is a deletion.
    pub received: Option<&'a RecordData>,
    /// The server that it came from: `central` or `legacy`.
    pub from: &'static str,
}

impl ConflictVersions<'_> {
    /// The local version as a value; `None` if it was deleted, or is of another type.
    pub fn local_as<T: TypedRecord>(&self) -> Option<T> {
        self.value_of(self.local)
    }

    /// The received version as a value; `None` if it is a deletion, or is of another type.
    pub fn received_as<T: TypedRecord>(&self) -> Option<T> {
        self.value_of(self.received)
    }

    fn value_of<T: TypedRecord>(&self, data: Option<&RecordData>) -> Option<T> {
        data.filter(|_| *self.table == *T::TYPE.table).and_then(|data| T::read(data).ok())
    }
}

/// What a host decides about a conflict.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Resolution {
    /// The local version stays and is pushed, as without a resolver.
    KeepLocal,
    /// The received version replaces the local one, which is not pushed.
    TakeReceived,
    /// This record replaces both and is pushed. It has the same id, and passes the checks of every other write of a host.
    Replace(RecordData),
}

impl Resolution {
    /// A value that replaces both versions. It is written with its own `unknown` keys; those that only the other version has are
    /// lost, unless the resolver adds them.
    pub fn replace_with<T: TypedRecord>(value: &T) -> Self {
        Self::Replace(value.write())
    }
}

/// Decides the conflicts of a table; see [`ReplicaBuilder::resolver`](crate::ReplicaBuilder::resolver).
///
/// With a resolver a cycle pulls before it pushes; see there.
/// The resolver is called within the transaction of a pull, so it decides from the two versions alone: it must not use the replica, and
/// should be quick. A dry run asks it too. Where it panics, or gives a record that may not be written, the local version stays,
/// and the [conflict](crate::site::Conflict) says so; a warning of the report says why.
pub trait ConflictResolver: Send + Sync {
    /// Decides.
    fn resolve(&self, versions: &ConflictVersions<'_>) -> Resolution;
}

impl<F: Fn(&ConflictVersions<'_>) -> Resolution + Send + Sync> ConflictResolver for F {
    fn resolve(&self, versions: &ConflictVersions<'_>) -> Resolution {
        self(versions)
    }
}

/// How a conflict ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ConflictOutcome {
    /// The local version was kept, and is pushed.
    KeptLocal,
    /// A resolver of the host took the received version.
    TookReceived,
    /// A resolver of the host replaced both versions.
    Replaced,
    /// A resolver of the host failed, or gave a record that may not be written. The local version was kept.
    ResolverFailed,
    /// Central had told that it did not take the local version ([`CentralRefusal`](crate::site::CentralRefusal)), and then the received
    /// version replaced it. No report counts it as a conflict; [`Replica::conflicts`](crate::Replica::conflicts) keeps the local version.
    NotTaken,
}

/// A record that was edited here while a version of it came from elsewhere. Unless a [resolver](ConflictResolver) of the host
/// decided otherwise, the edit was kept, and goes out with the next push. It does not hold the two versions, because a report is written
/// to the log, but says which one came and where it differs; [`Replica::conflicts`](crate::Replica::conflicts) has what it held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Conflict {
    /// Its table.
    pub table: TableName,
    /// Its id.
    pub id: RecordId,
    /// The server whose version came: `central` or `legacy`.
    pub from: &'static str,
    /// True if that version was a deletion.
    pub is_deletion: bool,
    /// The position of that version in central's changelog; `None` if it came from the legacy server, which has no such positions.
    pub cursor: Option<Cursor>,
    /// The SHA-256 of that version's data in hexadecimal digits; `None` for a deletion.
    pub digest: Option<String>,
    /// The fields in which that version differed from the local one, at most [`FIELDS_MAX`](Self::FIELDS_MAX) of them; none if one of the
    /// two was a deletion. In a record type, a key that this version does not know is named only if both versions have it: a site of an
    /// older release may have left it out. So a version may have keys that are not named here; compare the documents of a
    /// [`KeptConflict`](super::KeptConflict) to see all that did not stay.
    pub differs: Vec<String>,
    /// How it ended.
    pub outcome: ConflictOutcome,
}

impl Conflict {
    /// The most that are named, in a report and for each batch.
    pub const NAMED_MAX: usize = 100;

    /// The most fields that are named.
    pub const FIELDS_MAX: usize = 20;

    pub(super) fn of(incoming: &Incoming, local: Option<&RecordData>, outcome: ConflictOutcome) -> Self {
        let (table, id, is_deletion) = (incoming.table.clone(), incoming.id.clone(), incoming.action == Action::Delete);
        let cursor = incoming.cursor.filter(|_| incoming.source == Source::Central);
        let received = Some(&incoming.data).filter(|_| !is_deletion);
        let digest = received.map(|data| hex(&Sha256::digest(data.as_str())));
        let differs = local.zip(received).map_or_else(Vec::new, |(local, received)| differing(&table, local, received));
        Self { table, id, from: server_of(incoming), is_deletion, cursor, digest, differs, outcome }
    }

    /// Adds to those that are named already, as far as there is room.
    pub(crate) fn add_to(named: &mut Vec<Self>, more: &[Self]) {
        let room = Self::NAMED_MAX.saturating_sub(named.len());
        named.extend(more.iter().take(room).cloned());
    }
}

/// The resolvers of a replica, by table.
#[derive(Clone, Default)]
pub(crate) struct Resolvers(Arc<BTreeMap<TableName, Arc<dyn ConflictResolver>>>);

impl fmt::Debug for Resolvers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Resolvers {
    pub(crate) fn new(by_table: BTreeMap<TableName, Arc<dyn ConflictResolver>>) -> Self {
        Self(Arc::new(by_table))
    }

    /// True if the host decides no conflict.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The tables that this version does not know, so that their resolvers are never asked.
    pub(crate) fn unknown_tables(&self) -> impl Iterator<Item = &TableName> {
        self.0.keys().filter(|table| !is_known_table(table.as_str()))
    }

    /// What the host decides about a conflict; `None` if it has no resolver for the table. A panic of the resolver is an error.
    pub(super) fn decide(
        &self,
        local: Option<&RecordData>,
        incoming: &Incoming,
    ) -> Option<Result<Resolution, Panicked>> {
        let resolver = self.0.get(&incoming.table)?;
        let versions = ConflictVersions {
            table: &incoming.table,
            id: &incoming.id,
            local,
            received: Some(&incoming.data).filter(|_| incoming.action != Action::Delete),
            from: server_of(incoming),
        };
        // Nothing of ours is half changed by it: it only reads the two versions.
        Some(catch_unwind(AssertUnwindSafe(|| resolver.resolve(&versions))).map_err(|_| Panicked))
    }
}

/// A resolver panicked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Panicked;

/// The fields in which two versions differ. The names come from a peer too, so odd ones are left out.
pub(crate) fn differing(table: &TableName, one: &RecordData, other: &RecordData) -> Vec<String> {
    let is_plain = |name: &String| {
        name.len() <= 64 && name.chars().all(|char| char.is_ascii_alphanumeric() || matches!(char, '_' | ' ' | '$'))
    };
    let all = record_type(table.as_str())
        .map_or_else(|| differing_keys(one, other), |kind| kind.differing_fields(one, other));
    all.into_iter().filter(is_plain).take(Conflict::FIELDS_MAX).collect()
}

/// The server that a pulled record came from.
fn server_of(incoming: &Incoming) -> &'static str {
    if incoming.source == Source::Legacy { "legacy" } else { "central" }
}
