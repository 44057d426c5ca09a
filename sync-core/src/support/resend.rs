//! Sends records again that the other end has lost: logs their changes again, as edits that are not pushed yet.

use serde::Serialize;

use super::preview_push::{TypeCount, TypeCounts};
use crate::changelog::{Audience, Change, ChangeAction};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::ownership::{Operation, may_push};
use crate::record::{
    Cursor, RecordData, RecordId, StoreId, TableName, configured_by_legacy, owned_by_sites, record_type,
};
use crate::role::Role;
use crate::site::central::push::is_pushed;
use crate::site::legacy::push::is_pushed_to_legacy;
use crate::storage::state::{central_is_legacy, role, site_id};
use crate::storage::{ReadTxn, Repair, Selection, lock_cycle, state};
use crate::support::Support;
use crate::text::sentences::input;
use crate::write;
use crate::write::record_owner;

/// Changelog rows that are read at once, and the most bytes of their data.
const ROWS: usize = 1000;
const BYTES: usize = 4 * 1024 * 1024;

/// The records to send again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ResendFilter {
    /// Of this table; of every table if `None`.
    pub table: Option<TableName>,
    /// Only the record with this id.
    pub id: Option<RecordId>,
    /// Only records written here at this time or later.
    pub since: Option<Timestamp>,
    /// Also records of this site's stores that came by sync.
    pub received_too: bool,
}

impl ResendFilter {
    /// Records of this table only.
    #[must_use]
    pub fn table(self, table: impl Into<Option<TableName>>) -> Self {
        Self { table: table.into(), ..self }
    }

    /// The record with this id only.
    #[must_use]
    pub fn id(self, id: impl Into<Option<RecordId>>) -> Self {
        Self { id: id.into(), ..self }
    }

    /// Records written here at this time or later only.
    #[must_use]
    pub fn since(self, since: impl Into<Option<Timestamp>>) -> Self {
        Self { since: since.into(), ..self }
    }

    /// Also records of this site's stores that came by sync.
    #[must_use]
    pub fn received_too(self, received_too: bool) -> Self {
        Self { received_too, ..self }
    }
}

/// The records that are, or would be, sent again.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Resend {
    /// By type.
    pub by_type: Vec<TypeCount>,
    /// Their number.
    pub records: u64,
    /// The number of further records that wait to be pushed already.
    pub waiting_already: u64,
}

/// The chosen rows, and the push cursors.
struct Chosen<'l> {
    lost: &'l ResendFilter,
    to_central: Cursor,
    to_legacy: Cursor,
    one_server: bool,
    /// A central server sends only to the legacy server.
    is_remote: bool,
    stores: Vec<StoreId>,
}

/// The decision about a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ResendVerdict {
    NotMeant,
    WaitsAlready,
    SentAgain,
}

impl<'l> Chosen<'l> {
    fn new(txn: &dyn ReadTxn, lost: &'l ResendFilter) -> Result<Self> {
        match role(txn)? {
            None => return Err(Error::NotSetUp),
            Some(Role::Central) if !state::LEGACY_URL.is_set(txn)? => {
                let found = "central server without a legacy server";
                return Err(Error::WrongRole { needed: "remote site", found });
            }
            Some(_) if !state::INITIALISED_AT.is_set(txn)? => {
                return Err(Error::bad_input(input::nothing_sent_yet()));
            }
            Some(_) => {}
        }
        if let Some(table) = lost.table.as_ref().map(TableName::as_str)
            && record_type(table).is_none_or(|kind| !kind.pushed)
            && owned_by_sites(table).is_none()
        {
            let known = record_type(table).is_some() || configured_by_legacy(table);
            return Err(match known {
                true => Error::bad_input(input::not_sent_by_sites(table)),
                false => Error::unknown_table(table),
            });
        }
        Ok(Self {
            lost,
            to_central: state::PUSH_CURSOR_V6.get(txn)?,
            to_legacy: state::PUSH_CURSOR_LEGACY.get(txn)?,
            one_server: central_is_legacy(txn)?,
            is_remote: role(txn)? == Some(Role::Remote),
            stores: site_id(txn)?.map_or(Ok(Vec::new()), |site| txn.stores_of_site(site))?,
        })
    }

    fn selection(&self) -> Selection {
        if self.lost.received_too { Selection::All } else { Selection::Local }
    }

    fn judge(&self, txn: &dyn ReadTxn, row: &Change, data: Option<&RecordData>) -> Result<ResendVerdict> {
        let (change, lost) = (&row.change, self.lost);
        let is_meant = lost.table.as_ref().is_none_or(|table| *table == change.table)
            && lost.id.as_ref().is_none_or(|id| *id == change.id)
            && lost.since.is_none_or(|since| change.changed_at >= since);
        let (central, legacy) = (self.is_remote && is_pushed(row), is_pushed_to_legacy(row, self.one_server));
        let is_meant = is_meant && change.audience != Audience::LocalOnly;
        if !is_meant || !(central || legacy) || (change.action == ChangeAction::Upsert) != data.is_some() {
            return Ok(ResendVerdict::NotMeant);
        }
        if change.is_sync_update {
            let (Some(kind), Some(data)) = (record_type(change.table.as_str()), data) else {
                return Ok(ResendVerdict::NotMeant);
            };
            let owner = record_owner::owner(txn, &change.table, data, &self.stores)?;
            let is_own = change.store.is_some() && may_push(kind, Operation::Upsert, owner).is_ok();
            return Ok(if is_own { ResendVerdict::SentAgain } else { ResendVerdict::NotMeant });
        }
        let waits = (!central || row.cursor >= self.to_central) && (!legacy || row.cursor >= self.to_legacy);
        Ok(if waits { ResendVerdict::WaitsAlready } else { ResendVerdict::SentAgain })
    }
}

impl Support {
    /// The records that would be sent again. Changes nothing.
    ///
    /// # Errors
    /// [`Error::NotSetUp`], [`Error::WrongRole`], [`Error::UnknownTable`], [`Error::BadInput`] for a table that sites do not
    /// send; the database failed.
    pub fn plan_resend(&self, lost: &ResendFilter) -> Result<Resend> {
        let txn = self.storage.read()?;
        let txn = txn.as_ref();
        let chosen = Chosen::new(txn, lost)?;
        let (mut found, mut counts, mut from) = (Resend::default(), TypeCounts::default(), Cursor(0));
        loop {
            let rows = txn.changed_records(&chosen.selection(), from, ROWS, BYTES)?;
            let Some((last, _)) = rows.last() else { break };
            from = last.cursor.next();
            for (row, data) in rows {
                match chosen.judge(txn, &row, data.as_ref())? {
                    ResendVerdict::NotMeant => {}
                    ResendVerdict::WaitsAlready => found.waiting_already += 1,
                    ResendVerdict::SentAgain => {
                        let bytes = data.as_ref().map_or(0, |data| data.as_str().len());
                        let is_delete = row.change.action == ChangeAction::Delete;
                        counts.add(&row.change.table, is_delete, bytes, Some(row.change.changed_at));
                        found.records += 1;
                    }
                }
            }
        }
        found.by_type = counts.list();
        Ok(found)
    }
}

impl Support {
    /// Sends them again with the next push, each in its current version; the reason is kept in the sync log. A second call
    /// finds the records waiting, and does nothing more. They win over the versions at the other end, like edits made now,
    /// so pull first.
    ///
    /// # Errors
    /// As [`plan_resend`](Self::plan_resend); [`Error::CycleRunning`].
    pub fn resend(&self, lost: &ResendFilter, reason: &str) -> Result<Resend> {
        let _lock = lock_cycle(self.storage.as_ref())?;
        let planned = self.plan_resend(lost)?;
        let end = self.storage.read()?.last_cursor()?.next();
        let mut from = Cursor(0);
        let mut left = planned.records > 0;
        while left {
            let txn = self.storage.write()?;
            let rows = {
                let chosen = Chosen::new(txn.as_ref(), lost)?;
                let rows = txn.changed_records(&chosen.selection(), from, ROWS, BYTES)?;
                left = rows.last().is_some_and(|(last, _)| last.cursor.next() < end);
                from = rows.last().map_or(from, |(last, _)| last.cursor.next());
                let mut again = Vec::new();
                for (row, data) in rows.into_iter().filter(|(row, _)| row.cursor < end) {
                    if chosen.judge(txn.as_ref(), &row, data.as_ref())? == ResendVerdict::SentAgain {
                        again.push(row);
                    }
                }
                again
            };
            for row in rows {
                write::requeue_edit(txn.as_ref(), row.change, self.clock.now())?;
            }
            if !left {
                let of = |text: Option<String>| text.map(|text| format!(" {text}")).unwrap_or_default();
                let table = of(Some(lost.table.as_ref().map_or("all".to_owned(), ToString::to_string)));
                let id = of(lost.id.as_ref().map(ToString::to_string));
                let since = of(lost.since.map(|since| format!("since {since}")));
                let repair = Repair {
                    command: format!("resend{table}{id}{since}"),
                    reason: reason.to_owned(),
                    changed: format!("{} records go out again with the next push", planned.records),
                };
                repair.note(txn.as_ref(), self.clock.now())?;
            }
            txn.commit()?;
        }
        Ok(planned)
    }
}
