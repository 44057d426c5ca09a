//! Conflicts that a host decides: which version of a record stays if it was edited here and elsewhere.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use serde::Serialize;

use crate::error::{Error, ErrorClass, Result};
use crate::protocol::v6::Action;
use crate::record::{RecordData, RecordId, TableName, TypedRecord};
use crate::storage::{Incoming, Source, WriteTxn};

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
    /// A value that replaces both versions.
    pub fn replace_with<T: TypedRecord>(value: &T) -> Self {
        Self::Replace(value.write())
    }
}

/// Decides the conflicts of a table; see [`ReplicaBuilder::resolver`](crate::ReplicaBuilder::resolver).
///
/// It is called within the transaction of a pull, so it decides from the two versions alone: it must not use the replica, and
/// should be quick. A dry run asks it too. Where it panics, or gives a record that may not be written, the local version stays,
/// and the [conflict](crate::site::Conflict) says so.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
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

    /// What the host decides about a conflict; `None` if it has no resolver for the table. A panic of the resolver is an error.
    pub(super) fn decide(
        &self,
        txn: &dyn WriteTxn,
        incoming: &Incoming,
    ) -> Result<Option<Result<Resolution, Panicked>>> {
        let Some(resolver) = self.0.get(&incoming.table) else { return Ok(None) };
        let local = txn.record(&incoming.table, &incoming.id)?;
        let versions = ConflictVersions {
            table: &incoming.table,
            id: &incoming.id,
            local: local.as_ref(),
            received: Some(&incoming.data).filter(|_| incoming.action != Action::Delete),
            from: server_of(incoming),
        };
        // Nothing of ours is half changed by it: it only reads the two versions.
        Ok(Some(catch_unwind(AssertUnwindSafe(|| resolver.resolve(&versions))).map_err(|_| Panicked)))
    }
}

/// A resolver panicked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Panicked;

/// The server that a pulled record came from.
pub(super) fn server_of(incoming: &Incoming) -> &'static str {
    if incoming.source == Source::Legacy { "legacy" } else { "central" }
}

/// True if a record of a resolver may not be written. Every other error is one of this machine.
pub(super) fn is_its_fault(error: &Error) -> bool {
    error.class() == ErrorClass::Input
}
