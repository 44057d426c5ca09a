//! The conflicts that a database keeps, with the versions that did not stay, for a person who compares them.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::conflict::{Conflict, ConflictOutcome};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::protocol::v6::Action;
use crate::record::{Cursor, RecordData, RecordId, TableName, TypedRecord};
use crate::storage::{Incoming, ReadTxn, WriteTxn, state};

/// The most conflicts that are kept, one for each record.
pub(super) const KEPT_MAX: usize = 100;

/// A version above this is not kept, in bytes.
const VERSION_BYTES_MAX: usize = 64 * 1024;

/// All kept versions together have at most so many bytes, because each new conflict writes the list anew.
const BYTES_MAX: usize = 512 * 1024;

/// A conflict with the versions of the record that did not stay. See [`Replica::conflicts`](crate::Replica::conflicts).
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct KeptConflict {
    /// The conflict, and how it ended.
    #[serde(flatten)]
    pub conflict: Conflict,
    /// When the other version came.
    pub at: Timestamp,
    /// The version of this database, if it did not stay; `None` if it stayed, was a deletion, or was too large to be kept.
    pub local: Option<RecordData>,
    /// The version that came, if it did not stay; `None` if it was taken, was a deletion, or was too large to be kept.
    pub received: Option<RecordData>,
}

impl KeptConflict {
    /// The local version as a value; `None` if it is not kept, or is of another type.
    pub fn local_as<T: TypedRecord>(&self) -> Option<T> {
        self.value_of(self.local.as_ref())
    }

    /// The received version as a value; `None` if it is not kept, or is of another type.
    pub fn received_as<T: TypedRecord>(&self) -> Option<T> {
        self.value_of(self.received.as_ref())
    }

    fn value_of<T: TypedRecord>(&self, data: Option<&RecordData>) -> Option<T> {
        data.filter(|_| self.conflict.table == *T::TYPE.table).and_then(|data| T::read(data).ok())
    }
}

/// A conflict as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct NotedConflict {
    conflict: StoredFacts,
    at: Timestamp,
    local: Option<RecordData>,
    received: Option<RecordData>,
}

/// What a report says of a conflict, in the form in which it is read again.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct StoredFacts {
    table: TableName,
    id: RecordId,
    is_of_legacy: bool,
    is_deletion: bool,
    cursor: Option<Cursor>,
    digest: Option<String>,
    differs: Vec<String>,
    outcome: ConflictOutcome,
}

impl NotedConflict {
    pub(super) fn of(conflict: &Conflict, local: Option<RecordData>, incoming: &Incoming, at: Timestamp) -> Self {
        let is_small = |data: &RecordData| data.as_str().len() <= VERSION_BYTES_MAX;
        let (keeps_local, keeps_received) = match conflict.outcome {
            ConflictOutcome::KeptLocal | ConflictOutcome::ResolverFailed => (false, true),
            ConflictOutcome::TookReceived | ConflictOutcome::NotTaken => (true, false),
            ConflictOutcome::Replaced => (true, true),
        };
        let received = Some(&incoming.data).filter(|_| incoming.action != Action::Delete);
        let Conflict { table, id, is_deletion, cursor, digest, differs, outcome, .. } = conflict.clone();
        let is_of_legacy = conflict.from == "legacy";
        Self {
            conflict: StoredFacts { table, id, is_of_legacy, is_deletion, cursor, digest, differs, outcome },
            at,
            local: local.filter(|data| keeps_local && is_small(data)),
            received: received.filter(|data| keeps_received && is_small(data)).cloned(),
        }
    }

    fn is_of_record(&self, other: &Self) -> bool {
        self.conflict.table == other.conflict.table && self.conflict.id == other.conflict.id
    }

    fn bytes(&self) -> usize {
        [&self.local, &self.received].into_iter().flatten().map(|data| data.as_str().len()).sum()
    }
}

impl From<NotedConflict> for KeptConflict {
    fn from(noted: NotedConflict) -> Self {
        let StoredFacts { table, id, is_of_legacy, is_deletion, cursor, digest, differs, outcome } = noted.conflict;
        let from = if is_of_legacy { "legacy" } else { "central" };
        let conflict = Conflict { table, id, from, is_deletion, cursor, digest, differs, outcome };
        Self { conflict, at: noted.at, local: noted.local, received: noted.received }
    }
}

/// Adds conflicts to those that the database keeps. The oldest ones make room.
pub(super) fn note_conflicts(txn: &dyn WriteTxn, new: VecDeque<NotedConflict>) -> Result<()> {
    if new.is_empty() {
        return Ok(());
    }
    let setting = state::conflicts::<NotedConflict>();
    let mut all = setting.get(txn)?.0;
    for noted in new {
        all.retain(|kept| !kept.is_of_record(&noted));
        all.push(noted);
    }
    let mut bytes = 0;
    let fits = |noted: &&NotedConflict| {
        bytes += noted.bytes();
        bytes <= BYTES_MAX
    };
    let kept = all.iter().rev().take(KEPT_MAX).take_while(fits).count();
    all.drain(..all.len() - kept);
    setting.set(txn, all)
}

/// The conflicts that the database keeps, the newest first.
pub(crate) fn kept_conflicts(txn: &dyn ReadTxn) -> Result<Vec<KeptConflict>> {
    let all = state::conflicts::<NotedConflict>().get(txn)?.0;
    Ok(all.into_iter().rev().map(KeptConflict::from).collect())
}
