//! Without a legacy server: the requests of a site that find a patient and link the patient to one of its stores
//! (`protocol-v5` §11). They hold a name and a password, but no machine.

use serde::Serialize;

use super::legacy_api::{admitted, answer, credentials, refusal, unreadable};
use super::name_store_join::{DELETED_LATELY, JoinId};
use crate::central::legacy_mirror::is_deleted;
use crate::central::{Central, EnvelopeError, RequestTrace};
use crate::error::Result;
use crate::protocol::digest_of;
use crate::protocol::v5::{NewJoin, PatientQuery, SiteHeaders, path};
use crate::protocol::v6::WireError;
use crate::record::types::is_patient;
use crate::record::{NameId, RecordData, RecordId, SiteId, StoreId, TableName};
use crate::storage::WriteTxn;
use crate::text_input::as_utf8;
use crate::transport::{HttpRequest, HttpResponse, Method};

/// The most patients of one answer, for any request.
const FOUND_MAX: usize = 100;

/// How many digests are tried as the id of a join, before a random one.
const DIGESTS: u32 = 4;

/// Why a patient is not linked now.
const QUEUE_FULL: &str =
    "The records of many linked patients wait for this site; it has to read its queue before it links more";

/// Names that are read at once.
const PAGE: usize = 500;

/// A join in the format of the legacy server.
#[derive(Serialize)]
struct Join {
    #[serde(rename = "ID")]
    id: RecordId,
    #[serde(rename = "name_ID")]
    name_id: NameId,
    #[serde(rename = "store_ID")]
    store_id: StoreId,
    inactive: bool,
}

impl Central {
    pub(crate) fn patient_api(
        &self,
        request: &HttpRequest,
        trace: &RequestTrace,
        route: &str,
        query: &str,
    ) -> HttpResponse {
        let site = match self.known_site(request, trace) {
            Ok(site) => site,
            Err(response) => return response,
        };
        if let Some(paused) = self.v5_pause(route) {
            return paused;
        }
        match (request.method, route) {
            (Method::Get, path::PATIENT) => answer(self.find_patients(&PatientQuery::from_query(query))),
            (Method::Post, path::NAME_STORE_JOIN) => match serde_json::from_slice::<NewJoin>(&as_utf8(&request.body)) {
                Ok(join) => self.link(site, join),
                Err(_) => unreadable(),
            },
            _ => refusal(404, "not_found", "There is no such question"),
        }
    }

    /// The site, by name and password. The bound machine is assumed: a site signs in elsewhere first.
    fn known_site(&self, request: &HttpRequest, trace: &RequestTrace) -> std::result::Result<SiteId, HttpResponse> {
        let no_one = || refusal(401, "site_name_not_found", "No credentials");
        let headers = SiteHeaders::from_headers(|name| request.header(name)).ok_or_else(no_one)?;
        let entry = self.storage.read().and_then(|txn| txn.central()?.site_named(&headers.site_name));
        let bound = match entry {
            Ok(entry) => entry.map(|entry| entry.hardware_id),
            Err(error) => return Err(answer::<()>(Err(error))),
        };
        let mut credentials = credentials(&headers);
        match bound {
            Some(Some(machine)) => {
                credentials.site_uuid = machine;
                // Guesses here do not use up the attempts of the machine itself.
                trace.is_machine_assumed.set(true);
            }
            Some(None) => return Err(refusal(401, "site_incorrect_hardware_id", "The site has no machine yet")),
            // Refused, and counted, like any unknown caller.
            None => {}
        }
        admitted(self.admit(trace, &credentials))
    }

    /// Patients of the whole system that match this query. An empty query finds none.
    fn find_patients(&self, query: &PatientQuery) -> Result<Vec<RecordData>> {
        let mut found = Vec::new();
        if query.is_empty() {
            return Ok(found);
        }
        let limit = query.limit.map_or(FOUND_MAX, |limit| FOUND_MAX.min(limit as usize));
        let table = TableName::from("name");
        let mut after: Option<RecordId> = None;
        while found.len() < limit {
            let page = self.storage.read()?.records(&table, after.as_ref(), PAGE)?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            let is_meant = |data: &RecordData| is_patient(data) && !is_deleted(data) && query.is_for(data);
            found.extend(page.into_iter().map(|(_, data)| data).filter(is_meant));
        }
        found.truncate(limit);
        Ok(found)
    }

    /// Joins a patient to a store of the site, and queues name and join for the site. An existing join is returned
    /// again, whoever made it.
    fn link(&self, site: SiteId, join: NewJoin) -> HttpResponse {
        match self.try_to_link(site, join) {
            Ok(Some(join)) => answer(Ok(join)),
            Ok(None) => refusal(503, "integration_in_progress", QUEUE_FULL),
            Err(EnvelopeError(WireError::IntegrationInProgress)) => {
                refusal(503, "integration_in_progress", DELETED_LATELY)
            }
            Err(EnvelopeError(WireError::OtherServerError(text))) => refusal(400, "bad_request", &text),
            Err(_) => refusal(500, "internal_error", "Internal error"),
        }
    }

    /// The join; `None` if too many linked patients wait for the site.
    fn try_to_link(
        &self,
        site: SiteId,
        NewJoin { name_id, store_id }: NewJoin,
    ) -> std::result::Result<Option<Join>, EnvelopeError> {
        let (joins, names) = (TableName::from("name_store_join"), TableName::from("name"));
        if self.too_many_links_wait(site)? {
            return Ok(None);
        }
        let txn = self.storage.write()?;
        let id = match txn.join_of(&name_id, &store_id)? {
            Some(id) => id,
            None => self.free_join_id(txn.as_ref(), site, (&name_id, &store_id))?,
        };
        self.join(txn.as_ref(), site, &id, &name_id, &store_id)?;
        let name = RecordId::from(name_id.as_str());
        for (table, id) in [(&names, &name), (&joins, &id)] {
            if let Some(data) = txn.record(table, id)?
                && !self.queue_for_site(txn.as_ref(), site, (table, id), &data)?
            {
                return Ok(None);
            }
        }
        txn.commit()?;
        self.announce_work();
        Ok(Some(Join { id, name_id, store_id, inactive: false }))
    }

    /// An id for the join of a name and a store: a digest of both, so that a late copy of the request is known after the join
    /// was deleted. Anybody can compute a digest and push a record under it, so it may be taken; then another one is used.
    fn free_join_id(
        &self,
        txn: &dyn WriteTxn,
        site: SiteId,
        (name, store): (&NameId, &StoreId),
    ) -> std::result::Result<RecordId, EnvelopeError> {
        for number in 0..DIGESTS {
            let id = join_id(name, store, number);
            match self.join_id(txn, site, &id, (name, store))? {
                JoinId::Free => return Ok(id),
                JoinId::Taken => {}
                JoinId::DeletedLately => return Err(WireError::IntegrationInProgress.into()),
            }
        }
        Ok(RecordId::new(uuid::Uuid::new_v4().simple().to_string().to_uppercase()))
    }
}

/// The id with this number for the join of a name and a store.
fn join_id(name: &NameId, store: &StoreId, number: u32) -> RecordId {
    let digest = match number {
        0 => digest_of(&[name.as_str(), store.as_str()]),
        more => digest_of(&[name.as_str(), store.as_str(), &more.to_string()]),
    };
    RecordId::new(digest.to_uppercase())
}
