//! Preview of the next push, by the rules of a push.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::changelog::{Change, ChangeAction};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::ownership::{Operation, StoreOwner, may_push};
use crate::record::{RECORD_BYTES_MAX, RecordData, RecordId, StoreId, TableName, record_type};
use crate::role::Role;
use crate::site::central::push::is_pushed;
use crate::site::central::recovery::{PendingRecovery, pending_recovery};
use crate::site::legacy::push::is_pushed_to_legacy;
use crate::storage::state::{central_is_legacy, role, site_id};
use crate::storage::{QuarantineCause, ReadTxn, Selection, state};
use crate::support::Support;
use crate::text::sentences::held_up as why;
use crate::text::{Localize, Message};
use crate::write::record_owner;

/// Changelog rows that are read at once, and the most bytes of their data.
const ROWS: usize = 1000;
const BYTES: usize = 4 * 1024 * 1024;

/// The most records that are named.
pub(crate) const NAMED: usize = 1000;

/// The result of the next push.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct PushPreview {
    /// Why nothing would be sent now.
    pub held_up: Option<Message>,
    /// The records for central, by type.
    pub to_central: Vec<TypeCount>,
    /// The records for the legacy server, by type.
    pub to_legacy: Vec<TypeCount>,
    /// Local edits that are sent nowhere, by type.
    pub stays_here: Vec<TypeCount>,
    /// True if an earlier push is not confirmed: then the other end is asked first.
    pub unconfirmed: bool,
    /// The first of the records that central would surely or probably put into quarantine.
    pub set_aside: Vec<PredictedSetAside>,
    /// The number of these.
    pub set_aside_records: u64,
}

impl Localize for PushPreview {
    fn each_message(&mut self, each: &mut dyn FnMut(&mut Message)) {
        self.held_up.each_message(each);
    }
}

/// Records of one type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TypeCount {
    /// The table.
    pub table: TableName,
    /// The number, including deletes.
    pub records: u64,
    /// The number of deletes.
    pub deletes: u64,
    /// The size of their data.
    pub bytes: u64,
    /// When the first of them was written here; `None` for received records.
    pub oldest_at: Option<Timestamp>,
}

/// A record that would go into quarantine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PredictedSetAside {
    /// Its table.
    pub table: TableName,
    /// Its id.
    pub id: RecordId,
    /// The cause.
    pub cause: QuarantineCause,
    /// The reason in words.
    pub reason: String,
}

/// Counts records by type.
#[derive(Debug, Default)]
pub(crate) struct TypeCounts(BTreeMap<TableName, TypeCount>);

impl TypeCounts {
    pub(crate) fn add(&mut self, table: &TableName, is_delete: bool, bytes: usize, at: Option<Timestamp>) {
        let of_table = || TypeCount { table: table.clone(), records: 0, deletes: 0, bytes: 0, oldest_at: None };
        let count = self.0.entry(table.clone()).or_insert_with(of_table);
        count.records += 1;
        count.deletes += u64::from(is_delete);
        count.bytes += bytes as u64;
        count.oldest_at = count.oldest_at.into_iter().chain(at).min();
    }

    pub(crate) fn list(self) -> Vec<TypeCount> {
        self.0.into_values().collect()
    }
}

impl Support {
    /// Previews the next push. Changes nothing.
    ///
    /// # Errors
    /// [`Error::NotSetUp`]; the database failed.
    pub fn preview_push(&self) -> Result<PushPreview> {
        let txn = self.storage.read()?;
        let txn = txn.as_ref();
        let role = role(txn)?.ok_or(Error::NotSetUp)?;
        let is_remote = role == Role::Remote;
        let one_server = central_is_legacy(txn)?;
        let stores = site_id(txn)?.map_or(Ok(Vec::new()), |site| txn.stores_of_site(site))?;
        let (to_central, to_legacy) = (state::PUSH_CURSOR_V6.get(txn)?, state::PUSH_CURSOR_LEGACY.get(txn)?);
        let mut found = PushPreview { held_up: held_up(txn)?, ..PushPreview::default() };
        found.unconfirmed = state::PUSH_UNCONFIRMED.get(txn)? || state::PUSH_UNCONFIRMED_LEGACY.get(txn)?;
        let (mut central, mut legacy, mut stays) =
            (TypeCounts::default(), TypeCounts::default(), TypeCounts::default());
        let mut from = if is_remote { to_central.min(to_legacy) } else { to_legacy };
        loop {
            let rows = txn.changed_records(&Selection::Local, from, ROWS, BYTES)?;
            let Some((last, _)) = rows.last() else { break };
            from = last.cursor.next();
            for (row, data) in rows {
                let bytes = data.as_ref().map_or(0, |data| data.as_str().len());
                let (goes_to_central, goes_to_legacy) =
                    (is_remote && is_pushed(&row), is_pushed_to_legacy(&row, one_server));
                let is_delete = row.change.action == ChangeAction::Delete;
                let add = |counts: &mut TypeCounts| {
                    counts.add(&row.change.table, is_delete, bytes, Some(row.change.changed_at))
                };
                if goes_to_central && row.cursor >= to_central {
                    add(&mut central);
                    if let Some(foreseen) = foresee(txn, &row, data.as_ref(), &stores)? {
                        found.set_aside_records += 1;
                        if found.set_aside.len() < NAMED {
                            found.set_aside.push(foreseen);
                        }
                    }
                }
                if goes_to_legacy && row.cursor >= to_legacy {
                    add(&mut legacy);
                }
                if is_remote && !goes_to_central && !goes_to_legacy {
                    add(&mut stays);
                }
            }
        }
        (found.to_central, found.to_legacy, found.stays_here) = (central.list(), legacy.list(), stays.list());
        Ok(found)
    }
}

/// The reason why nothing would be sent now.
fn held_up(txn: &dyn ReadTxn) -> Result<Option<Message>> {
    if !state::LEGACY_URL.is_set(txn)? {
        return Ok(Some(why::no_legacy_server()));
    }
    if !state::INITIALISED_AT.is_set(txn)? {
        return Ok(Some(why::first_sync()));
    }
    Ok(match pending_recovery(txn)? {
        Some(PendingRecovery::OfRestore) => Some(why::restored()),
        Some(PendingRecovery::OnceMore) => Some(why::store_came()),
        None => None,
    })
}

/// The cause for which central would put a record into quarantine, as far as it can be known here.
fn foresee(
    txn: &dyn ReadTxn,
    row: &Change,
    data: Option<&RecordData>,
    stores: &[StoreId],
) -> Result<Option<PredictedSetAside>> {
    let (table, id) = (&row.change.table, &row.change.id);
    let foreseen =
        |cause, reason: String| Some(PredictedSetAside { table: table.clone(), id: id.clone(), cause, reason });
    let Some(kind) = record_type(table.as_str()) else { return Ok(None) };
    let Some(data) = data else {
        let owner = match &row.change.store {
            None => StoreOwner::Nobody,
            Some(store) if stores.contains(store) => StoreOwner::Own,
            Some(_) => StoreOwner::Other,
        };
        let refusal = may_push(kind, Operation::Delete, owner).err();
        return Ok(refusal.and_then(|refusal| foreseen(QuarantineCause::Refused, refusal.to_string())));
    };
    if data.as_str().len() > RECORD_BYTES_MAX {
        let reason = format!("its data have {} bytes, and central takes {RECORD_BYTES_MAX}", data.as_str().len());
        return Ok(foreseen(QuarantineCause::Refused, reason));
    }
    if let Err(refusal) = may_push(kind, Operation::Upsert, record_owner::owner(txn, table, data, stores)?) {
        return Ok(foreseen(QuarantineCause::Refused, refusal.to_string()));
    }
    if let Some(patient) = record_owner::unseen_patient(txn, table, data, stores)? {
        let reason = format!("patient {patient} is not visible in a store of this site");
        return Ok(foreseen(QuarantineCause::Waiting, reason));
    }
    Ok(None)
}
