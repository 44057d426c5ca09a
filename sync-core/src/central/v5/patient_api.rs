//! Without a legacy server: the requests of a site that find a patient and link the patient to one of its stores
//! (`protocol-v5` §11). They hold a name and a password, but no machine.

use serde::Serialize;

use super::legacy_api::{admitted, answer, credentials, refusal, unreadable};
use crate::central::legacy_mirror::is_deleted;
use crate::central::{Central, EnvelopeError, RequestTrace};
use crate::error::Result;
use crate::protocol::digest_of;
use crate::protocol::v5::{NewJoin, PatientQuery, SiteHeaders, path};
use crate::protocol::v6::WireError;
use crate::record::types::is_patient;
use crate::record::{NameId, RecordData, RecordId, SiteId, StoreId, TableName};
use crate::text_input::as_utf8;
use crate::transport::{HttpRequest, HttpResponse, Method};

/// The most patients of one answer, for any request.
const FOUND_MAX: usize = 100;

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
    /// again.
    fn link(&self, site: SiteId, join: NewJoin) -> HttpResponse {
        match self.try_to_link(site, join) {
            Ok(join) => answer(Ok(join)),
            Err(EnvelopeError(WireError::OtherServerError(text))) => refusal(400, "bad_request", &text),
            Err(_) => refusal(500, "internal_error", "Internal error"),
        }
    }

    fn try_to_link(
        &self,
        site: SiteId,
        NewJoin { name_id, store_id }: NewJoin,
    ) -> std::result::Result<Join, EnvelopeError> {
        let (joins, names) = (TableName::from("name_store_join"), TableName::from("name"));
        let txn = self.storage.write()?;
        let id = join_id(&name_id, &store_id);
        self.join(txn.as_ref(), site, &id, &name_id, &store_id)?;
        let name = RecordId::from(name_id.as_str());
        for (table, id) in [(&names, &name), (&joins, &id)] {
            if let Some(data) = txn.record(table, id)? {
                self.queue_for_site(txn.as_ref(), site, (table, id), &data)?;
            }
        }
        txn.commit()?;
        self.announce_work();
        Ok(Join { id, name_id, store_id, inactive: false })
    }
}

/// The id of the join of a name and a store: always the same.
fn join_id(name: &NameId, store: &StoreId) -> RecordId {
    RecordId::new(digest_of(&[name.as_str(), store.as_str()]).to_uppercase())
}
