//! The facts in the storage that [`plan`](super::plan) needs.

use super::plan::Facts;
use super::provenance::Provenance;
use crate::error::{Result, Server};
use crate::ownership::StoreOwner;
use crate::record::{Cursor, NameId, RecordData, RecordId, SiteId, StoreId, TableName, record_type};
use crate::storage::state::{confirmed_to, site_id};
use crate::storage::{FileState, Incoming, Known, ReadTxn, Selection, Source, WriteTxn, state};
use crate::write::{self, UnseenMove, WritingSite, record_owner};

/// The facts in the storage that the plan needs.
pub(super) struct LocalState<'t> {
    pub(super) txn: &'t dyn WriteTxn,
    pub(super) provenance: &'t Provenance,
    /// On central, the active stores of the site that pushed, in this transaction.
    stores: Vec<StoreId>,
    /// The first local edit of a legacy table that is not pushed yet; `None` if there is none.
    unpushed_legacy: Option<Cursor>,
    /// The same for record types. Where one server is both, they go to it over V6, and may come from its legacy half.
    unpushed_typed: Option<Cursor>,
    /// The number of this site.
    pub(super) own: SiteId,
    /// True if the legacy server, from which the records come, is central too.
    pub(super) is_one_server: bool,
    /// False if no other source has a version of the current record in the sync buffer.
    pub(super) may_be_elsewhere: bool,
    /// The end of this changelog when the current record came, if it was staged.
    pub(super) came_at: Option<Cursor>,
    /// The position before which the site that pushed the current record had read this changelog.
    pub(super) read_to: Option<Cursor>,
}

impl<'t> LocalState<'t> {
    pub(super) fn new(txn: &'t dyn WriteTxn, provenance: &'t Provenance) -> Result<Self> {
        let server = match provenance.source {
            Source::Central => Some(Server::Central),
            Source::Legacy => Some(Server::Legacy),
            Source::Site(_) | Source::Local => None,
        };
        let unpushed = |server: Option<Server>| -> Result<Option<Cursor>> {
            let Some(server) = server else { return Ok(None) };
            let from = confirmed_to(txn, server)?;
            let is_any = !txn.changes(&Selection::Local, from, 1)?.is_empty();
            Ok(is_any.then_some(from))
        };
        let unpushed_legacy = unpushed(server)?;
        let is_one_server = server == Some(Server::Legacy) && state::central_is_legacy(txn)?;
        let unpushed_typed = if is_one_server { unpushed(Some(Server::Central))? } else { unpushed_legacy };
        let stores = match provenance.source {
            Source::Site(site) => txn.stores_of_site(site)?,
            _ => Vec::new(),
        };
        let (own, may_be_elsewhere) = (site_id(txn)?.unwrap_or(SiteId(0)), true);
        Ok(Self {
            txn,
            provenance,
            stores,
            unpushed_legacy,
            unpushed_typed,
            own,
            is_one_server,
            may_be_elsewhere,
            came_at: None,
            read_to: None,
        })
    }

    /// On central, logs a move again that the pushing site has read past, because it kept its own edit instead. A site that had
    /// not read of the move when it made the edit may have since: then it kept that edit too, and what it added meanwhile
    /// comes after it.
    pub(super) fn relog_passed_move(&self, incoming: &Incoming) -> Result<()> {
        let Source::Site(site) = incoming.source else { return Ok(()) };
        match self.unseen_move(incoming)? {
            UnseenMove::KeptAsOwn | UnseenMove::Record => {
                write::relog_move_away(self.txn, (site, &self.stores), (&incoming.table, &incoming.id))
            }
            UnseenMove::Nothing | UnseenMove::Store => Ok(()),
        }
    }

    fn unpushed_from(&self, table: &TableName) -> Option<Cursor> {
        if record_type(table.as_str()).is_some() { self.unpushed_typed } else { self.unpushed_legacy }
    }

    /// The edits that the writer of a quarantined record may have known: a local edit that the server does not have yet
    /// is newer, although it is stored already.
    pub(super) fn known_when_it_came(&self, incoming: &Incoming) -> Result<Known> {
        let from = self.unpushed_from(&incoming.table).filter(|_| incoming.known.here.is_none());
        Ok(match from {
            Some(from) if self.is_edited_here(incoming)? => {
                Known { here: Some(Cursor(from.0.saturating_sub(1))), ..incoming.known }
            }
            _ => incoming.known,
        })
    }
}

impl Facts for LocalState<'_> {
    fn has(&self, table: &str, id: &RecordId) -> Result<bool> {
        self.txn.has_record(&TableName::from(table), id)
    }

    fn stored(&self, table: &TableName, id: &RecordId) -> Result<Option<RecordData>> {
        // What another program damaged says nothing about its owner: the next version takes its place.
        Ok(self.txn.record(table, id)?.filter(RecordData::is_object))
    }

    fn owner_of(&self, table: &TableName, data: &RecordData) -> Result<StoreOwner> {
        let owner = record_owner::owner(self.txn, table, data, &self.stores)?;
        match (owner, self.came_at, self.provenance.source) {
            // Central accepted it while the store was the site's.
            (StoreOwner::Other, Some(came_at), Source::Site(site))
                if record_owner::has_owner_left(self.txn, site, (table, data), came_at.next())? =>
            {
                Ok(StoreOwner::Own)
            }
            _ => Ok(owner),
        }
    }

    fn is_anothers(&self, table: &TableName, id: &RecordId, data: &RecordData) -> Result<bool> {
        match self.provenance.source {
            Source::Site(site) => record_owner::is_anothers(self.txn, (site, &self.stores), (table, id), data),
            _ => Ok(false),
        }
    }

    fn was_deleted_elsewhere(&self, table: &TableName, id: &RecordId) -> Result<bool> {
        record_owner::was_deleted_elsewhere(self.txn, (table, id), &self.stores)
    }

    fn is_set_aside_elsewhere(&self, table: &TableName, id: &RecordId) -> Result<bool> {
        let Source::Site(site) = self.provenance.source else { return Ok(false) };
        if !self.may_be_elsewhere {
            return Ok(false);
        }
        record_owner::is_set_aside_elsewhere(self.txn, (table, id), (site, &self.stores))
    }

    fn sent_first_elsewhere(&self, table: &TableName, id: &RecordId) -> Result<Option<RecordData>> {
        let Source::Site(site) = self.provenance.source else { return Ok(None) };
        if !self.may_be_elsewhere {
            return Ok(None);
        }
        record_owner::sent_first_elsewhere(self.txn, (table, id), site)
    }

    fn unseen_patient(&self, table: &TableName, id: &RecordId, data: &RecordData) -> Result<Option<NameId>> {
        match (self.provenance.source, table.as_str()) {
            (Source::Site(_), "name" | "name_oms_fields") if planted!(PatientIsAnyones) => Ok(None),
            (Source::Site(site), "name" | "name_oms_fields") => {
                record_owner::unseen_name(self.txn, (site, &self.stores), id)
            }
            (source, _) => {
                let patient = record_owner::unseen_patient(self.txn, table, data, &self.stores)?;
                match (source, self.read_to) {
                    // Added in a store that moved before the site could know it: the patient went with the store.
                    (Source::Site(site), Some(read_to))
                        if patient.is_some()
                            && !self.txn.has_record(table, id)?
                            && record_owner::has_named_store_left(self.txn, site, (table, data), read_to)? =>
                    {
                        Ok(None)
                    }
                    _ => Ok(patient),
                }
            }
        }
    }

    fn unseen_move(&self, incoming: &Incoming) -> Result<UnseenMove> {
        let (Source::Site(id), Some(read_to)) = (incoming.source, incoming.known.by_sender) else {
            return Ok(UnseenMove::Nothing);
        };
        let site = WritingSite { id, read_to, stores: &self.stores };
        write::unseen_move(self.txn, &site, &incoming.table, &incoming.id, &incoming.data)
    }

    fn has_file(&self, reference: &RecordId) -> Result<bool> {
        Ok(self.txn.file(reference)?.is_some_and(|file| file.state == FileState::Done))
    }

    fn is_superseded(&self, incoming: &Incoming) -> Result<bool> {
        let Some(known) = incoming.known.here.filter(|_| !planted!(OlderVersionWins)) else { return Ok(false) };
        let (table, id) = (&incoming.table, &incoming.id);
        if self.txn.written_at(table, id)?.is_none_or(|written| written <= known) {
            return Ok(false);
        }
        let here = self.txn.record(table, id)?;
        Ok(!write::is_same(table, incoming.action, &incoming.data, here.as_ref()))
    }

    fn is_edited_here(&self, incoming: &Incoming) -> Result<bool> {
        let (table, id) = (&incoming.table, &incoming.id);
        if planted!(LocalEditOverwritten) {
            return Ok(false);
        }
        let Some(from) = self.unpushed_from(table) else { return Ok(false) };
        // An edit that came back from central does not wait any more.
        let seen = match self.provenance.source {
            Source::Central => seen_at_central(self.txn, self.own, table, id)?,
            _ => Cursor(0),
        };
        let from = from.max(seen);
        self.txn.has_local_change(table, id, from)
    }
}

/// Records that central has the current version of a record: its edits so far need not be pushed, unless central goes
/// back.
pub(crate) fn note_at_central(txn: &dyn WriteTxn, table: &TableName, id: &RecordId) -> Result<()> {
    let own = site_id(txn)?.unwrap_or(SiteId(0));
    txn.note_pushed(own, table, id, txn.last_cursor()?.next())
}

/// The first edit of the site with this number that central is not known to have.
pub(crate) fn seen_at_central(txn: &dyn ReadTxn, own: SiteId, table: &TableName, id: &RecordId) -> Result<Cursor> {
    Ok(txn.pushed_at(own, table, id)?.unwrap_or_default())
}
