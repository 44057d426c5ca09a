//! `name-store-join`: a site makes a patient visible in one of its stores.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::central::replay_window::may_still_arrive;
use crate::central::{Central, Endpoint, EnvelopeError, RequestTrace};
use crate::changelog::{ChangeAction, NewChange};
use crate::error::ErrorClass;
use crate::protocol::v6::{Action, NameStoreJoinRequest, WireError};
use crate::record::{NameId, RecordData, RecordId, SiteId, StoreId, TableName, portable};
use crate::storage::{QuarantineCause, Source, WriteTxn};
use crate::transport::{HttpRequest, HttpResponse};
use crate::write;
use crate::write::{Origin, record_owner};

/// The most requests for patients to the legacy server at once: each holds a thread for up to half a minute.
const QUERIES_MAX: usize = 8;

/// Why a join that was just deleted is not made: the request may be older than the deletion.
pub(super) const DELETED_LATELY: &str =
    "The join was deleted here a short time ago, so this request may be a late copy; try again in a quarter of an hour";

/// What stands under the id that a join is to have.
pub(super) enum JoinId {
    /// Nothing, or the join itself.
    Free,
    /// Another record, or the claim of one.
    Taken,
    /// The join was deleted so lately that the request may have been sent before.
    DeletedLately,
}

/// A slot among the requests for patients to the legacy server; freed when dropped.
struct PatientQuerySlot<'c>(&'c AtomicUsize);

impl<'c> PatientQuerySlot<'c> {
    fn begin(running: &'c AtomicUsize) -> Option<Self> {
        let more = |count: usize| (count < QUERIES_MAX).then_some(count + 1);
        running.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok().map(|_| Self(running))
    }
}

impl Drop for PatientQuerySlot<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Central {
    /// Answers 200 without a body, or 500 with a text: only this request has no envelope (`protocol-v6` §8.7).
    pub(crate) fn name_store_join(&self, request: &HttpRequest, trace: &RequestTrace) -> HttpResponse {
        trace.endpoint.set(Endpoint::NameStoreJoin);
        let wanted: NameStoreJoinRequest = match self.read(request) {
            Ok(wanted) => wanted,
            Err(response) => return response,
        };
        let joined = self.admit(trace, &wanted.sync_v5_settings).map_err(EnvelopeError::from).and_then(|site| {
            trace.note_signed_in(site, &wanted.sync_v5_settings);
            self.unless_paused(trace, &wanted.sync_v5_settings)?;
            let NameStoreJoinRequest { id, name_id, store_id, .. } = &wanted;
            self.bring_if_unknown(site, name_id, store_id)?;
            let txn = self.storage.write()?;
            self.join(txn.as_ref(), site, id, name_id, store_id)?;
            txn.commit()?;
            self.announce_work();
            Ok(())
        });
        match joined {
            Ok(()) => HttpResponse { status: 200, headers: Vec::new(), body: Vec::new() },
            Err(EnvelopeError(WireError::OtherServerError(text))) => HttpResponse::text(500, text),
            Err(EnvelopeError(WireError::IntegrationInProgress)) => HttpResponse::text(503, DELETED_LATELY),
            Err(EnvelopeError(WireError::SyncApiPaused)) => {
                HttpResponse::text(503, "The central server is paused for maintenance")
            }
            Err(_) => HttpResponse::text(500, "Internal error: Error adding patient visibility"),
        }
    }

    /// Asks the legacy server, if there is one, to show an unknown patient to this server.
    fn bring_if_unknown(&self, site: SiteId, patient: &NameId, store: &StoreId) -> Result<(), EnvelopeError> {
        let name = (TableName::from("name"), RecordId::from(patient.as_str()));
        {
            let txn = self.storage.read()?;
            if txn.has_record(&name.0, &name.1)? || !txn.stores_of_site(site)?.contains(store) {
                return Ok(());
            }
        }
        let Some(own_site) = self.own_site.as_ref().filter(|_| !planted!(PatientNotAskedFor)) else { return Ok(()) };
        let Some(_place) = PatientQuerySlot::begin(&self.patient_queries) else {
            return Err(wrong("too many patients are being asked for; try again"));
        };
        match own_site.bring_patient(patient) {
            Ok(_) => Ok(()),
            Err(error) if error.class() == ErrorClass::LocalFault => Err(error.into()),
            Err(error) => Err(wrong(&error.to_string())),
        }
    }

    /// Joins a patient to a store of a site, unless the join exists.
    pub(crate) fn join(
        &self,
        txn: &dyn WriteTxn,
        site: SiteId,
        id: &RecordId,
        name_id: &NameId,
        store_id: &StoreId,
    ) -> Result<(), EnvelopeError> {
        let table = TableName::from("name_store_join");
        if portable::length_fault(&table, id).is_some() {
            return Err(wrong("the id of the join is empty or too long"));
        }
        if portable::admit(&table, id, None).is_err() {
            return Err(wrong("the id of the join holds what not every peer can read"));
        }
        if !txn.stores_of_site(site)?.contains(store_id) && !planted!(LinkIsAnyones) {
            return Err(wrong("the store is not active on this site"));
        }
        if !txn.has_record(&TableName::from("name"), &RecordId::from(name_id.as_str()))? {
            return Err(wrong("the patient is not known here yet; sync, and try again"));
        }
        if txn.is_visible(name_id, std::slice::from_ref(store_id))? {
            return Ok(());
        }
        match self.join_id(txn, site, id, (name_id, store_id))? {
            JoinId::Free => {}
            JoinId::Taken => return Err(wrong("another join has this id")),
            JoinId::DeletedLately => return Err(WireError::IntegrationInProgress.into()),
        }
        let wanted = (Some(store_id.clone()), Some(name_id.clone()));
        // The site may have pushed this join, which waits for the patient: its version would find a newer one here.
        let mut pushed = None;
        for version in txn.buffered_versions(&table, id)?.into_iter().map(|version| version.incoming) {
            let is_of_site = version.source == Source::Site(site) && version.action != Action::Delete;
            if is_of_site && write::scope(txn, &table, &version.data)? == wanted {
                pushed = Some(version.data);
            }
        }
        let made = || serde_json::json!({"ID": id, "name_ID": name_id, "store_ID": store_id, "inactive": false});
        let data = pushed.unwrap_or_else(|| RecordData::of(&made()));
        write::upsert_with_fanout(txn, &table, id, &data, Origin::Sync(Some(site)), self.clock.now())?;
        txn.wake_waiting(&table, id)?;
        Ok(())
    }

    /// Whether a join of a name and a store of the site may have an id. As for a push, the id of a deleted record stays
    /// reserved for its store, and that of a waiting one for the site that sent it.
    pub(super) fn join_id(
        &self,
        txn: &dyn WriteTxn,
        site: SiteId,
        id: &RecordId,
        (name, store): (&NameId, &StoreId),
    ) -> Result<JoinId, EnvelopeError> {
        let (table, stores) = (TableName::from("name_store_join"), txn.stores_of_site(site)?);
        let wanted = (Some(store.clone()), Some(name.clone()));
        if let Some(held) = txn.record(&table, id)? {
            let is_same = write::scope(txn, &table, &held)? == wanted;
            return Ok(if is_same { JoinId::Free } else { JoinId::Taken });
        }
        if record_owner::was_deleted_elsewhere(txn, (&table, id), &stores)?
            || record_owner::is_set_aside_elsewhere(txn, (&table, id), (site, &stores))?
        {
            return Ok(JoinId::Taken);
        }
        for version in txn.buffered_versions(&table, id)?.into_iter().map(|version| version.incoming) {
            let is_of_site = version.source == Source::Site(site) && version.action != Action::Delete;
            let is_refused = version.quarantine.is_some_and(|aside| aside.cause == QuarantineCause::Refused);
            if is_of_site && !is_refused && write::scope(txn, &table, &version.data)? != wanted {
                return Ok(JoinId::Taken);
            }
        }
        let now = self.clock.now();
        let is_late = |row: &NewChange| row.action == ChangeAction::Delete && may_still_arrive(row.changed_at, now);
        let is_deleted_lately = txn.tombstones(&table, id)?.iter().any(|(row, _)| is_late(row));
        Ok(if is_deleted_lately { JoinId::DeletedLately } else { JoinId::Free })
    }
}

fn wrong(why: &str) -> EnvelopeError {
    EnvelopeError(WireError::OtherServerError(format!("Internal error: Error adding patient visibility: {why}")))
}
