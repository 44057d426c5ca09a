//! A host's transaction: reads and writes of several tables that take effect together.

use std::cell::RefCell;

use super::find::{count, find};
use super::rules::{RecordWriter, TableKind, active_stores, changed_id};
use crate::changelog::{Audience, ChangeAction, NewChange};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::ownership::{Operation, Refusal};
use crate::protocol::v6::Action;
use crate::record::{Cursor, Deletion, Query, RecordData, RecordId, StoreId, TableName};
use crate::role::Role;
use crate::storage::{ReadTxn, Source, WriteTxn};
use crate::text::sentences::input;
use crate::write::{self, Origin, check_known, merged};

/// A transaction of [`Replica::write`](crate::Replica::write): its reads see its writes, and all of them take effect
/// together, or none. A call that fails ends it: nothing is written, even if the host goes on.
pub struct Transaction<'t> {
    txn: &'t dyn WriteTxn,
    now: Timestamp,
    failed: &'t FirstError,
    local_only: bool,
}

/// The first error of a transaction.
pub(super) type FirstError = RefCell<Option<Error>>;

impl std::fmt::Debug for Transaction<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transaction").field("local_only", &self.local_only).finish_non_exhaustive()
    }
}

impl<'t> Transaction<'t> {
    /// A transaction whose writes have this time.
    pub(crate) fn at(txn: &'t dyn WriteTxn, now: Timestamp, failed: &'t FirstError) -> Self {
        Self { txn, now, failed, local_only: false }
    }

    /// The same transaction, for records that are not to be synchronised, such as drafts: what is written through it
    /// stays in this database. A record that has been synchronised, or waits for it, cannot be written so. A version
    /// that comes from elsewhere replaces the record, and an ordinary write makes it an ordinary record. Records that
    /// name it wait at central until it has come there. [Files](crate::files::Files::attach) cannot be attached to it: they would be sent.
    #[must_use]
    pub fn local_only(&self) -> Transaction<'t> {
        Transaction { local_only: true, ..*self }
    }

    /// A record's data; `None` if it is not here.
    ///
    /// # Errors
    /// As [`Records::get`](crate::Records::get).
    pub fn get(&self, table: impl Into<TableName>, id: impl Into<RecordId>) -> Result<Option<RecordData>> {
        self.noting(|| get(self.txn, &table.into(), &id.into()))
    }

    /// Up to `limit` records of a table, by id, after `after`.
    ///
    /// # Errors
    /// As [`Records::get`](crate::Records::get).
    pub fn list(
        &self,
        table: impl Into<TableName>,
        after: Option<&RecordId>,
        limit: usize,
    ) -> Result<Vec<(RecordId, RecordData)>> {
        self.noting(|| list(self.txn, &table.into(), after, limit))
    }

    /// The records of a table that a query asks for.
    ///
    /// # Errors
    /// As [`Records::find`](crate::Records::find).
    pub fn find(&self, table: impl Into<TableName>, query: &Query) -> Result<Vec<(RecordId, RecordData)>> {
        self.noting(|| find(self.txn, &table.into(), query))
    }

    /// The stores that are active on this site, by id.
    ///
    /// # Errors
    /// The database failed.
    pub fn active_stores(&self) -> Result<Vec<StoreId>> {
        self.noting(|| active_stores(self.txn))
    }

    /// A record's data with the position for [`if_unchanged_since`](Self::if_unchanged_since); see
    /// [`Records::get_with_position`](crate::Records::get_with_position).
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn get_with_position(
        &self,
        table: impl Into<TableName>,
        id: impl Into<RecordId>,
    ) -> Result<(Option<RecordData>, Cursor)> {
        self.noting(|| get_with_position(self.txn, &table.into(), &id.into()))
    }

    /// The number of records that a query finds, on all its pages.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub fn count(&self, table: impl Into<TableName>, query: &Query) -> Result<u64> {
        self.noting(|| count(self.txn, &table.into(), query))
    }

    /// Goes on only if a record has not changed since [`Records::position`](crate::Records::position) was this cursor: for
    /// an edit that a person made on a screen, from a version that somebody may have replaced meanwhile. For a typed record,
    /// [`TypedRecords::if_unchanged_since`](crate::TypedRecords::if_unchanged_since) is shorter.
    ///
    /// # Errors
    /// [`Error::ChangedMeanwhile`] if it was written or deleted since; as [`get`](Self::get).
    pub fn if_unchanged_since(
        &self,
        position: Cursor,
        table: impl Into<TableName>,
        id: impl Into<RecordId>,
    ) -> Result<()> {
        let (table, id) = (table.into(), id.into());
        self.noting(|| {
            check_known(self.txn, &table)?;
            match self.txn.written_at(&table, &id)? {
                Some(written) if written >= position => Err(Error::ChangedMeanwhile { table, id }),
                _ => Ok(()),
            }
        })
    }

    /// Writes records, as [`Records::put`](crate::Records::put) does.
    ///
    /// # Errors
    /// As [`Records::put`](crate::Records::put); [`Error::BadInput`] for a record that cannot be
    /// [local only](Self::local_only).
    pub fn put(
        &self,
        table: impl Into<TableName>,
        records: impl IntoIterator<Item = RecordData>,
    ) -> Result<Vec<RecordId>> {
        self.noting(|| self.put_all(&table.into(), records))
    }

    /// Changes a record that is here, as [`Records::update`](crate::Records::update) does.
    ///
    /// # Errors
    /// As [`put`](Self::put); [`Error::NotFound`] if it is not here; [`Error::InvalidRecord`] if `edit` changed the id;
    /// [`Error::ChangedMeanwhile`] if `edit` wrote or deleted the same record through this transaction; the error of `edit`.
    pub fn update(
        &self,
        table: impl Into<TableName>,
        id: impl Into<RecordId>,
        edit: impl FnOnce(RecordData) -> Result<RecordData>,
    ) -> Result<()> {
        let (table, id) = (table.into(), id.into());
        self.noting(|| {
            let (stored, position) = get_with_position(self.txn, &table, &id)?;
            let edited = edit(stored.ok_or_else(|| not_found(table.as_str(), &id))?)?;
            // `edit` may write through this transaction too, and what it wrote here would be lost.
            self.if_unchanged_since(position, &table, &id)?;
            match self.put_all(&table, [edited])?.first() == Some(&id) {
                true => Ok(()),
                false => Err(changed_id(table.as_str(), &id)),
            }
        })
    }

    /// Deletes a record, as [`Records::delete`](crate::Records::delete) does.
    ///
    /// # Errors
    /// As [`Records::delete`](crate::Records::delete).
    pub fn delete(&self, table: impl Into<TableName>, id: impl Into<RecordId>) -> Result<()> {
        self.noting(|| self.delete_one(&table.into(), &id.into()))
    }

    /// Keeps the first error, so that nothing is committed after it.
    fn noting<T>(&self, call: impl FnOnce() -> Result<T>) -> Result<T> {
        call().inspect_err(|error| {
            self.failed.borrow_mut().get_or_insert_with(|| error.clone());
        })
    }

    fn put_all(&self, table: &TableName, records: impl IntoIterator<Item = RecordData>) -> Result<Vec<RecordId>> {
        let (kind, txn) = (TableKind::of(table.as_str())?, self.txn);
        let now = self.now;
        let writer = RecordWriter::new(txn)?;
        let (any_buffered, any_set_aside) = (txn.any_buffered()?, txn.any_quarantined()?);
        let any_merged = merged::any(txn)?;
        let store = match writer.role {
            Role::Central => write::upsert_with_fanout,
            Role::Remote => write::upsert,
        };
        let mut ids = Vec::new();
        for data in records {
            let id = writer.check(kind, table, &data)?;
            self.check_written_once(kind, table, &id, &data)?;
            let origin = self.origin_of_put(table, &id)?;
            // The writer may not know of the merge yet.
            let resolved = if any_merged { merged::resolved(txn, table, &data)? } else { None };
            let data = resolved.unwrap_or(data);
            // It would count as an edit of what waits, and so undo that version although nobody changed anything.
            if any_buffered && origin == Origin::Local && self.is_saved_before_what_waits(table, &id, &data)? {
                ids.push(id);
                continue;
            }
            store(txn, table, &id, &data, origin, now)?;
            if any_merged {
                merged::stored(txn, table, &id, &data)?;
            }
            if any_set_aside {
                // A received version of this record that waits stays there. Once it can be integrated it meets this edit as a
                // conflict, or is superseded if the edit is pushed by then: as if it had come after the edit.
                txn.wake_waiting(table, &id)?;
            }
            ids.push(id);
        }
        Ok(ids)
    }

    fn delete_one(&self, table: &TableName, id: &RecordId) -> Result<()> {
        let (kind, txn) = (TableKind::of(table.as_str())?, self.txn);
        let now = self.now;
        let data = txn.record(table, id)?.ok_or_else(|| not_found(table.as_str(), id))?;
        let writer = RecordWriter::new(txn)?;
        // Nobody else knows a record that is local only, so its deletion is local only too.
        let origin = if is_local_only(txn, table, id)? { Origin::LocalOnly } else { self.origin_of_put(table, id)? };
        let kind = match kind {
            TableKind::Typed(kind) => kind,
            TableKind::Legacy(known) => {
                writer.check_legacy_store(table, id, None)?;
                if !known.deletes {
                    return Err(Refusal::NotDeletable { table: table.to_string() }.into());
                }
                return write::delete(txn, table, id, origin, now).map(|_| ());
            }
        };
        match kind.deletion {
            Deletion::Soft(field) | Deletion::SoftAndWire(field) => {
                writer.check_ownership(kind, Operation::Upsert, table, id, None)?;
                let marked = write::marked_deleted(&data, field, now).ok_or_else(|| not_found(table.as_str(), id))?;
                write::upsert(txn, table, id, &marked, origin, now).map(|_| ())
            }
            Deletion::Wire | Deletion::Never => {
                writer.check_ownership(kind, Operation::Delete, table, id, None)?;
                write::delete(txn, table, id, origin, now).map(|_| ())
            }
        }
    }

    /// True for a record that is stored as it is written, while another version of it waits to be integrated.
    fn is_saved_before_what_waits(&self, table: &TableName, id: &RecordId, data: &RecordData) -> Result<bool> {
        Ok(self.txn.is_buffered_elsewhere(Source::Local, table, id)?
            && write::is_same(table, Action::Update, data, self.txn.record(table, id)?.as_ref())
            && !is_local_only(self.txn, table, id)?)
    }

    /// Refuses another version of a record whose type is a history. A draft that is only here may change.
    fn check_written_once(&self, kind: TableKind, table: &TableName, id: &RecordId, data: &RecordData) -> Result<()> {
        let TableKind::Typed(kind) = kind else { return Ok(()) };
        if !kind.is_written_once() {
            return Ok(());
        }
        match self.txn.record(table, id)? {
            Some(stored) if !stored.same_value(data) && !is_local_only(self.txn, table, id)? => {
                let refusal = Refusal::WrittenOnce { table: table.to_string() };
                Err(Error::NotAllowed { refusal, id: Some(id.clone()) })
            }
            _ => Ok(()),
        }
    }

    /// Whether a write travels. A local version of a record that others have would differ from theirs for ever.
    fn origin_of_put(&self, table: &TableName, id: &RecordId) -> Result<Origin> {
        if !self.local_only {
            return Ok(Origin::Local);
        }
        match newest_change(self.txn, table, id)? {
            Some(change) if change.audience != Audience::LocalOnly => {
                Err(Error::bad_input(input::not_local_only(table.as_str(), id.as_str())))
            }
            _ => Ok(Origin::LocalOnly),
        }
    }
}

/// Writes a record as the host, in a transaction of the engine, with all checks of a host's write.
pub(crate) fn put_of_host(
    txn: &dyn WriteTxn,
    now: Timestamp,
    (table, id): (&TableName, &RecordId),
    data: RecordData,
) -> Result<()> {
    let kind = TableKind::of(table.as_str())?;
    if RecordWriter::new(txn)?.check(kind, table, &data)? != *id {
        return Err(changed_id(table.as_str(), id));
    }
    Transaction::at(txn, now, &FirstError::default()).put(table, [data]).map(|_| ())
}

/// A record of a table that is one.
pub(super) fn get<T: ReadTxn + ?Sized>(txn: &T, table: &TableName, id: &RecordId) -> Result<Option<RecordData>> {
    check_known(txn, table)?;
    txn.record(table, id)
}

/// A page of records of a table that is one.
pub(super) fn list<T: ReadTxn + ?Sized>(
    txn: &T,
    table: &TableName,
    after: Option<&RecordId>,
    limit: usize,
) -> Result<Vec<(RecordId, RecordData)>> {
    check_known(txn, table)?;
    txn.records(table, after, limit)
}

/// A record, and the position behind the newest change.
pub(super) fn get_with_position<T: ReadTxn + ?Sized>(
    txn: &T,
    table: &TableName,
    id: &RecordId,
) -> Result<(Option<RecordData>, Cursor)> {
    Ok((get(txn, table, id)?, txn.last_cursor()?.next()))
}

/// The newest row of a record, or of its deletion.
fn newest_change(txn: &dyn ReadTxn, table: &TableName, id: &RecordId) -> Result<Option<NewChange>> {
    if let Some(change) = txn.newest_change(table, id)? {
        return Ok(Some(change));
    }
    let tombstones = txn.tombstones(table, id)?;
    Ok(tombstones.into_iter().map(|(row, _)| row).rfind(|row| row.action == ChangeAction::Delete))
}

/// True if the host wrote the current version of a record as local only.
pub(crate) fn is_local_only(txn: &dyn ReadTxn, table: &TableName, id: &RecordId) -> Result<bool> {
    Ok(txn.newest_change(table, id)?.is_some_and(|change| change.audience == Audience::LocalOnly))
}

fn not_found(table: &str, id: &RecordId) -> Error {
    Error::not_found(table, id.to_string())
}
