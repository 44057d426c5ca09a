//! The answers at each address.

use serde::{Deserialize, Serialize};

use super::faults::{Fault, Refusal, choose};
use super::records::{Element, JOIN, LegacyRecord};
use super::sites::PushedRecord;
use super::transport::Reply;
use super::{LEGACY_SITE_ID, State, rows};
use sync_core::protocol::v5::{PatientQuery, SiteHeaders, SiteInfo, V5Error, header};
use sync_core::protocol::v6::Action;
use sync_core::record::RecordData;
use sync_core::transport::{HttpRequest, HttpResponse, Method};

/// A method with an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Endpoint {
    /// `GET /sync/v5/site`
    Site,
    /// `GET /sync/v5/site_status`
    SiteStatus,
    /// `POST /sync/v5/initialise`
    Initialise,
    /// `GET /sync/v5/central_records`
    CentralRecords,
    /// `GET /sync/v5/queued_records`
    PullQueue,
    /// `POST /sync/v5/queued_records`
    PushQueue,
    /// `POST /sync/v5/acknowledged_records`
    Acknowledge,
    /// `POST /api/v4/name_store_join`
    NameStoreJoin,
    /// `GET /api/v4/patient`
    Patient,
}

/// The V5 versions that are accepted.
const VERSIONS: std::ops::RangeInclusive<u32> = 1..=14;

impl Endpoint {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Site,
        Self::SiteStatus,
        Self::Initialise,
        Self::CentralRecords,
        Self::PullQueue,
        Self::PushQueue,
        Self::Acknowledge,
        Self::NameStoreJoin,
        Self::Patient,
    ];

    /// The method and the path.
    pub fn address(self) -> (Method, &'static str) {
        match self {
            Self::Site => (Method::Get, "/sync/v5/site"),
            Self::SiteStatus => (Method::Get, "/sync/v5/site_status"),
            Self::Initialise => (Method::Post, "/sync/v5/initialise"),
            Self::CentralRecords => (Method::Get, "/sync/v5/central_records"),
            Self::PullQueue => (Method::Get, "/sync/v5/queued_records"),
            Self::PushQueue => (Method::Post, "/sync/v5/queued_records"),
            Self::Acknowledge => (Method::Post, "/sync/v5/acknowledged_records"),
            Self::NameStoreJoin => (Method::Post, "/api/v4/name_store_join"),
            Self::Patient => (Method::Get, "/api/v4/patient"),
        }
    }

    fn of(method: Method, path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|endpoint| endpoint.address() == (method, path))
    }
}

/// The most records of one answer, for any request.
const LIMIT_MAX: u64 = 1000;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct QueueBatch {
    queue_length: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Vec<Element>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CentralBatch {
    max_cursor: u64,
    data: Vec<Element>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Push {
    queue_length: u64,
    data: Vec<PushedElement>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PushedElement {
    sync_out_id: String,
    table_name: String,
    record_id: String,
    action: Action,
    record_data: RecordData,
}

#[derive(Deserialize)]
struct Acknowledged {
    #[serde(rename = "syncIDs")]
    sync_ids: Vec<String>,
}

#[derive(Deserialize)]
struct NewJoin {
    #[serde(rename = "name_ID")]
    name: String,
    #[serde(rename = "store_ID")]
    store: String,
}

impl State {
    pub(super) fn reply(&mut self, request: &HttpRequest) -> Reply {
        let (path, query) = request.url.split_once('?').unwrap_or((&request.url, ""));
        let Some(endpoint) = Endpoint::of(request.method, path) else {
            self.unknown_requests += 1;
            return Reply::Whole(HttpResponse::text(404, "there is no such address"));
        };
        *self.requests.entry(endpoint).or_default() += 1;
        let headers = SiteHeaders::from_headers(|name| request.header(name));
        let site = headers.as_ref().map(|headers| headers.site_name.as_str());
        let fault = choose(&mut self.plans, endpoint, site);
        match fault {
            Some(Fault::Refuse(refusal)) => return Reply::Whole(refused(refusal)),
            Some(Fault::Status(status)) => return Reply::Whole(HttpResponse::text(status, "planned fault")),
            Some(Fault::WebPage(status)) => return Reply::Whole(web_page(status)),
            Some(Fault::NotJson) => return Reply::Whole(HttpResponse::json(200, b"{\"maxCursor\": 5, oops".to_vec())),
            Some(Fault::Unheard) => return Reply::Nothing,
            _ => {}
        }
        let answer = match self.authenticated(endpoint, request, headers.as_ref()) {
            Ok(at) => self.answer(endpoint, at, query, &request.body, fault.as_ref()),
            Err(refusal) => Some(refusal),
        };
        match (answer, fault) {
            (None, _) | (_, Some(Fault::AnswerLost)) => Reply::Nothing,
            (Some(response), Some(Fault::Cut(bytes))) => Reply::Cut(response, bytes),
            (Some(response), _) => Reply::Whole(response),
        }
    }

    /// The site of a request, if its headers are right.
    fn authenticated(
        &mut self,
        endpoint: Endpoint,
        request: &HttpRequest,
        headers: Option<&SiteHeaders>,
    ) -> Result<usize, HttpResponse> {
        let Some(headers) = headers else { return Err(refused(Refusal::SiteNameNotFound)) };
        let at = self.sites.iter().position(|account| account.site.name == headers.site_name);
        let at = at.ok_or_else(|| refused(Refusal::SiteNameNotFound))?;
        if self.sites[at].site.password != headers.password {
            return Err(refused(Refusal::SiteIncorrectPassword));
        }
        if matches!(endpoint, Endpoint::NameStoreJoin | Endpoint::Patient) {
            return Ok(at);
        }
        for name in [header::SITE_UUID, header::APP_VERSION, header::APP_NAME, header::VERSION] {
            if request.header(name).is_none() {
                return Err(invalid(&format!("the header {name} is missing")));
            }
        }
        if !VERSIONS.contains(&headers.version) {
            return Err(refused(Refusal::ApiVersionIncompatible));
        }
        let bound = self.sites[at].hardware_id.get_or_insert_with(|| headers.hardware_id.clone());
        if *bound != headers.hardware_id {
            return Err(refused(Refusal::SiteIncorrectHardwareId));
        }
        Ok(at)
    }

    /// Handles a request; `None` if the answer would come later than any client waits.
    fn answer(
        &mut self,
        endpoint: Endpoint,
        at: usize,
        query: &str,
        body: &[u8],
        fault: Option<&Fault>,
    ) -> Option<HttpResponse> {
        Some(match endpoint {
            Endpoint::Site => self.site_info(at),
            Endpoint::SiteStatus => self.site_status(at),
            Endpoint::Initialise => return self.initialise(at, body),
            Endpoint::CentralRecords => self.central_records(query, fault),
            Endpoint::PullQueue => self.pull_queue(at, query, fault),
            Endpoint::PushQueue => read(body, |push| self.push_queue(at, push, fault)),
            Endpoint::Acknowledge => read(body, |acknowledged| self.acknowledge(at, acknowledged, fault)),
            Endpoint::NameStoreJoin => read(body, |join| self.name_store_join(at, &join)),
            Endpoint::Patient => self.patients(query),
        })
    }

    fn site_info(&self, at: usize) -> HttpResponse {
        let account = &self.sites[at];
        let site = account.site.clone();
        json(&SiteInfo {
            id: site.uuid,
            site_id: site.site_id,
            code: site.code,
            name: site.name,
            initialisation_status: account.status.clone(),
            is_om_supply_central_server: site.is_oms_central,
            om_supply_central_server_url: site.oms_central_url,
            msupply_central_site_id: Some(LEGACY_SITE_ID),
            idle_answers: None,
        })
    }

    fn site_status(&mut self, at: usize) -> HttpResponse {
        if self.sites[at].initialising.as_mut().is_some_and(super::sites::Work::polled) {
            self.finish_initialising(at);
        }
        if self.sites[at].integrating.as_mut().is_some_and(super::sites::Work::polled) {
            self.finish_integrating(at);
        }
        let account = &self.sites[at];
        let (code, message) = if account.initialising.is_some() {
            ("initialisation_in_progress", "Initialisation in progress")
        } else if account.integrating.is_some() {
            ("integration_in_progress", "Integration in progress")
        } else {
            ("idle", "idle")
        };
        json(&serde_json::json!({ "code": code, "message": message, "data": null }))
    }

    /// The real server answers at the end. If that takes time, no client waits long enough.
    fn initialise(&mut self, at: usize, body: &[u8]) -> Option<HttpResponse> {
        if self.sites[at].initialising.is_some() {
            return Some(refused(Refusal::InitialisationInProgress));
        }
        if !serde_json::from_slice::<serde_json::Value>(body).is_ok_and(|body| body.is_object()) {
            return Some(invalid("the body is no JSON object"));
        }
        let done = self.begin_initialising(at);
        done.then(|| json(&QueueBatch { queue_length: self.sites[at].queue.len(), data: None }))
    }

    fn central_records(&self, query: &str, fault: Option<&Fault>) -> HttpResponse {
        let Some(cursor) = number(query, "cursor") else { return invalid("the cursor is missing") };
        let limit = limit(query);
        let until = match fault {
            Some(Fault::EmptyBatch(ahead)) => {
                return json(&CentralBatch { max_cursor: cursor.saturating_add(*ahead), data: Vec::new() });
            }
            Some(Fault::Window(positions)) => cursor.saturating_add(*positions),
            _ => u64::MAX,
        };
        let records = self.records.central.after(cursor).take(limit).take_while(|(position, _)| *position <= until);
        let mut data: Vec<Element> =
            records.map(|(position, record)| Element::of_central(position, record, self.spelling)).collect();
        if fault == Some(&Fault::OutOfOrder) {
            data.reverse();
        }
        json(&CentralBatch { max_cursor: self.records.central.last(), data })
    }

    fn pull_queue(&mut self, at: usize, query: &str, fault: Option<&Fault>) -> HttpResponse {
        let queue = &mut self.sites[at].queue;
        let sent = queue.send(limit(query), &self.records.rows).into_iter();
        let mut data: Vec<Element> =
            sent.map(|queued| Element::of_queue(queued.sync_out_id, &queued.record, self.spelling)).collect();
        if fault == Some(&Fault::OutOfOrder) {
            data.reverse();
        }
        json(&QueueBatch { queue_length: queue.len(), data: Some(data) })
    }

    fn push_queue(&mut self, at: usize, push: Push, fault: Option<&Fault>) -> HttpResponse {
        let account = &mut self.sites[at];
        account.push_lengths.push(push.queue_length);
        for element in push.data {
            let PushedElement { sync_out_id, table_name, record_id, action, record_data } = element;
            let data = Some(record_data).filter(|data| data.as_str() != "null");
            let record = LegacyRecord { table: table_name, id: record_id, action, data };
            account.waiting.push(record.clone());
            account.pushed.push(PushedRecord { sync_out_id, record });
        }
        let started = push.queue_length == 0 && fault != Some(&Fault::IntegrationNotStarted);
        if started {
            self.begin_integrating(at);
        }
        json(&serde_json::json!({ "integrationStarted": started }))
    }

    fn acknowledge(&mut self, at: usize, acknowledged: Acknowledged, fault: Option<&Fault>) -> HttpResponse {
        for id in acknowledged.sync_ids {
            if fault == Some(&Fault::AcknowledgementsLost) {
                continue;
            }
            let removed = self.sites[at].queue.acknowledge(&id, &self.records.rows);
            if let Some(entry) = removed.filter(|_| fault == Some(&Fault::QueueNeverEmpties)) {
                self.enqueue(at, entry);
            }
        }
        HttpResponse { status: 204, headers: Vec::new(), body: Vec::new() }
    }

    /// The patients of the whole system that match a query.
    fn patients(&self, query: &str) -> HttpResponse {
        let query = PatientQuery::from_query(query);
        let names = self.records.rows.iter().filter(|row| row.record.table == "name");
        let patients = names.filter_map(|row| row.record.data.as_ref()).filter(|data| is_patient(data));
        let limit = query.limit.map_or(usize::MAX, |limit| limit as usize);
        let found: Vec<&RecordData> = patients.filter(|data| query.is_for(data)).take(limit).collect();
        json(&found)
    }

    /// Links a patient to a store of the site, and queues the patient's records. An existing link is returned again.
    fn name_store_join(&mut self, at: usize, join: &NewJoin) -> HttpResponse {
        if self.records.site_of_store(&join.store) != Some(self.sites[at].site.site_id) {
            return HttpResponse::text(400, "the store is not active on this site");
        }
        let names = (self.records.rows.get("name", &join.name), self.records.central.get("name", &join.name));
        if names == (None, None) {
            return HttpResponse::text(404, "the name is unknown");
        }
        let known = self.records.rows.join(&join.name, &join.store).and_then(|row| row.record.data.clone());
        let data = known.unwrap_or_else(|| {
            let id = super::legacy_id(JOIN, &format!("{} {}", join.name, join.store));
            let data = RecordData::of(&rows::name_store_join(&id, &join.name, &join.store));
            self.change_row(LegacyRecord::new(Action::Insert, JOIN, &id, Some(data.clone())), None);
            data
        });
        json(&data)
    }
}

/// Reads a body, or refuses one of the wrong kind.
fn read<T: serde::de::DeserializeOwned>(body: &[u8], answer: impl FnOnce(T) -> HttpResponse) -> HttpResponse {
    match serde_json::from_slice(body) {
        Ok(message) => answer(message),
        Err(error) => invalid(&error.to_string()),
    }
}

fn json(answer: &impl Serialize) -> HttpResponse {
    HttpResponse::json(200, serde_json::to_vec(answer).unwrap_or_default())
}

fn refused(refusal: Refusal) -> HttpResponse {
    let mut error = V5Error::new(refusal.code(), refusal.message());
    if refusal == Refusal::ApiVersionIncompatible {
        error.error.data = serde_json::json!({ "major": 8, "minor": 4 });
    }
    HttpResponse::json(refusal.status(), serde_json::to_vec(&error).unwrap_or_default())
}

/// A request that no client should send.
fn invalid(message: &str) -> HttpResponse {
    HttpResponse::json(400, serde_json::to_vec(&V5Error::new("invalid_request", message)).unwrap_or_default())
}

fn web_page(status: u16) -> HttpResponse {
    let headers = vec![("content-type".to_owned(), "text/html; charset=utf-8".to_owned())];
    let body = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>Please sign in</body></html>".to_vec();
    HttpResponse { status, headers, body }
}

fn number(query: &str, name: &str) -> Option<u64> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(key, _)| *key == name).find_map(|(_, value)| value.parse().ok())
}

fn limit(query: &str) -> usize {
    usize::try_from(number(query, "limit").unwrap_or(LIMIT_MAX).min(LIMIT_MAX)).unwrap_or(usize::MAX)
}

/// True if a row of `name` is a patient.
fn is_patient(data: &RecordData) -> bool {
    data.fields().and_then(|fields| fields.text("type")).is_some_and(|kind| kind == "patient")
}
