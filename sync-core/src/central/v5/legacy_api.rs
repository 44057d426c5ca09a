//! Answers the first V5 requests of a site if there is no legacy server.

use serde::Serialize;

use crate::central::auth::authenticator::AuthenticationError;
use crate::central::limits::LEGACY_RECORDS_MAX;
use crate::central::v6::body::decoded;
use crate::central::{Central, RequestTrace};
use crate::changelog::ChangeAction;
use crate::error::{Error, Result};
use crate::protocol::v5::{
    Acknowledged, CentralBatch, CentralRecord, InitialisationStatus, LegacyStatus, QueuedRecord, ReadQueueBatch,
    SiteHeaders, SiteInfo, V5Error, path,
};
use crate::protocol::v6::{Action, Credentials};
use crate::record::{Cursor, RecordData, SiteId};
use crate::storage::Selection;
use crate::storage::state::site_id;
use crate::text_input::as_utf8;
use crate::transport::{HttpRequest, HttpResponse, Method};
use crate::write::outgoing;

/// The most records of one answer, for any request.
const LIMIT_MAX: usize = 1000;

impl Central {
    pub(crate) fn legacy_api(
        &self,
        request: &HttpRequest,
        trace: &RequestTrace,
        route: &str,
        query: &str,
    ) -> HttpResponse {
        let Some(headers) = SiteHeaders::from_headers(|name| request.header(name)) else {
            return refusal(401, "site_name_not_found", "No credentials");
        };
        let site = match admitted(self.admit(trace, &credentials(&headers))) {
            Ok(site) => site,
            Err(response) => return response,
        };
        if let Some(paused) = self.v5_pause(route) {
            return paused;
        }
        let body = match decoded(request, self.config.json_bytes_max) {
            Ok(body) => body,
            Err(refused) => return refused,
        };
        let body = as_utf8(&body);
        match (request.method, route) {
            (Method::Get, path::SITE) => answer(self.site_info(site, &headers, asked_at(request)).map(|info| {
                let idle_answers = self.idle_answers(site, (request, &headers), trace);
                SiteInfo { idle_answers, ..info }
            })),
            (Method::Get, path::CENTRAL_RECORDS) => {
                answer(self.central_records(site, query, self.answer_bytes_max(trace)))
            }
            (Method::Get, path::SITE_STATUS) => answer(Ok(LegacyStatus::idle())),
            (Method::Post, path::INITIALISE) => answer(self.fill_queue(site)),
            (Method::Get, path::QUEUED_RECORDS) => answer(self.queue(site, limit(query), self.answer_bytes_max(trace))),
            (Method::Post, path::QUEUED_RECORDS) => match pushed(&body) {
                Some((_, records)) if records.len() > LEGACY_RECORDS_MAX => too_many(records.len()),
                Some((left, records)) => match self.mirror_push(site, left, records) {
                    Ok(Some(accepted)) => answer(Ok(accepted)),
                    Ok(None) => late_copy(),
                    Err(error) => failed(&error),
                },
                None => unreadable(),
            },
            (Method::Post, path::ACKNOWLEDGED_RECORDS) => match serde_json::from_slice::<Acknowledged>(&body) {
                Ok(Acknowledged { sync_ids }) if sync_ids.len() > LEGACY_RECORDS_MAX => too_many(sync_ids.len()),
                Ok(acknowledged) => match self.acknowledge_queue(site, &acknowledged) {
                    Ok(()) => HttpResponse { status: 204, headers: Vec::new(), body: Vec::new() },
                    Err(error) => failed(&error),
                },
                Err(_) => unreadable(),
            },
            (Method::Get, path::V7_URL_AND_UPGRADE) => stays_with_v6(),
            _ => refusal(404, "not_found", "There is no such question"),
        }
    }

    fn site_info(&self, site: SiteId, headers: &SiteHeaders, asked_at: Option<String>) -> Result<SiteInfo> {
        let txn = self.storage.read()?;
        let entry = txn.central()?.site_named(&headers.site_name)?;
        let (uuid, pulled) = entry.map_or((String::new(), false), |entry| (entry.uuid, entry.last_pull_at.is_some()));
        let own_id = site_id(txn.as_ref())?;
        Ok(SiteInfo {
            id: uuid,
            site_id: site,
            code: headers.site_name.clone(),
            name: headers.site_name.clone(),
            initialisation_status: if pulled { InitialisationStatus::Completed } else { InitialisationStatus::New },
            is_om_supply_central_server: false,
            om_supply_central_server_url: self.config.public_url.clone().or(asked_at).unwrap_or_default(),
            msupply_central_site_id: own_id,
            idle_answers: None,
        })
    }

    /// Stores and their names. Patients are names too, but are left out: only the sites that see them get them.
    pub(super) fn central_records(&self, site: SiteId, query: &str, bytes_max: usize) -> Result<CentralBatch> {
        let limit = limit(query);
        let txn = self.storage.read()?;
        let newest = txn.last_cursor()?;
        let from = cursor_of(query).meant(newest).next();
        let mut data = Vec::new();
        let mut rows = txn.changes(&Selection::Legacy, from, limit + 1)?;
        let mut beyond = if rows.len() > limit { rows.pop() } else { None };
        let mut bytes = 0;
        for row in rows {
            if bytes > bytes_max {
                beyond = Some(row);
                break;
            }
            let change = row.change;
            let (action, record_data) = match (change.action, txn.record(&change.table, &change.id)?) {
                (ChangeAction::Upsert, Some(data)) if !outgoing::is_readable(&data) => continue,
                (ChangeAction::Upsert, Some(data)) => (Action::Update, data),
                _ => (Action::Delete, RecordData::empty()),
            };
            bytes += record_data.as_str().len();
            let position = row.cursor.0;
            data.push(CentralRecord { position, table_name: change.table, record_id: change.id, action, record_data });
        }
        // A position that is not below any earlier one: that of the next of these records, else of the last one; if
        // none is left, the site's own.
        let last = data.last().map_or(from.0.saturating_sub(1), |record| record.position);
        self.note_stores_asked(site, from)?;
        Ok(CentralBatch { max_cursor: beyond.map_or(last, |row| row.cursor.0), data })
    }
}

/// The site that signed in, or the refusal in the format of the legacy server.
pub(crate) fn admitted(
    asked: std::result::Result<SiteId, AuthenticationError>,
) -> std::result::Result<SiteId, HttpResponse> {
    asked.map_err(|error| match error {
        AuthenticationError::Refused { refusal: reason, .. } => {
            let (code, message) = reason.legacy();
            refusal(401, code, message)
        }
        AuthenticationError::TooMany { wait } => {
            let mut response = refusal(429, "site_auth_timeout", "Too many refused attempts");
            response.headers.push(("retry-after".to_owned(), wait.as_secs().max(1).to_string()));
            response
        }
        AuthenticationError::Unanswered { .. } => {
            refusal(502, "site_auth_timeout", "The server that checks credentials does not answer")
        }
        AuthenticationError::Failed(error) => failed(&error),
    })
}

fn number(query: &str, name: &str) -> Option<u64> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(key, _)| *key == name).find_map(|(_, value)| value.parse().ok())
}

/// The position to read from; as in V6 a site may keep it in 32 bits.
fn cursor_of(query: &str) -> Cursor {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let mut asked = pairs.filter(|(key, _)| *key == "cursor").map(|(_, value)| value);
    let read =
        |value: &str| value.parse::<u64>().ok().or_else(|| value.parse::<i64>().ok().map(|signed| signed as u64));
    Cursor(asked.find_map(read).unwrap_or(0))
}

pub(super) fn limit(query: &str) -> usize {
    number(query, "limit").map_or(LIMIT_MAX, |limit| usize::try_from(limit).map_or(LIMIT_MAX, |l| l.min(LIMIT_MAX)))
}

pub(crate) fn credentials(headers: &SiteHeaders) -> Credentials {
    Credentials {
        server_url: String::new(),
        username: headers.site_name.clone(),
        password_sha256: headers.password.expose().to_owned(),
        site_uuid: headers.hardware_id.clone(),
        app_version: headers.app.version.clone(),
        app_name: headers.app.name.clone(),
        sync_version: headers.version.to_string(),
    }
}

pub(crate) fn answer<T: Serialize>(answer: Result<T>) -> HttpResponse {
    match answer {
        Ok(answer) => HttpResponse::json(200, serde_json::to_vec(&answer).unwrap_or_default()),
        Err(error) => failed(&error),
    }
}

/// A push of a site, if all of it can be read; otherwise the site keeps all of it.
fn pushed(body: &[u8]) -> Option<(u64, Vec<QueuedRecord>)> {
    let ReadQueueBatch { queue_length, data } = serde_json::from_slice(body).ok()?;
    Some((queue_length, data.into_iter().collect::<std::result::Result<_, _>>().ok()?))
}

fn failed(error: &Error) -> HttpResponse {
    refusal(500, error.code(), "Internal error")
}

/// Answers an upgraded site of Open mSupply 3.x, which asks after each good cycle whether it may change over to V7. The
/// site stays with V5 and V6, and shows the text. Any answer with 200 would make it leave V6 for good.
fn stays_with_v6() -> HttpResponse {
    let said = "This central server does not speak V7, so this site stays with V5 and V6. Its data was synchronised all \
                the same; nobody needs to do anything";
    refusal(503, "stores_not_migrated", said)
}

fn too_many(records: usize) -> HttpResponse {
    let said = format!("The request has {records} records; at most {LEGACY_RECORDS_MAX} are taken");
    refusal(413, "too_many_records", &said)
}

/// Refuses a late copy of a push. What delivers it late does not read the answer, and a real site tries again.
fn late_copy() -> HttpResponse {
    refusal(503, "integration_in_progress", "A newer version of a record of this push came a short time ago; try again")
}

pub(crate) fn unreadable() -> HttpResponse {
    refusal(400, "bad_request", "The body cannot be read")
}

/// The address at which this server was asked, as far as the request shows it. The host sends `x-forwarded-proto` only
/// if it serves TLS itself or trusts the proxy before it.
fn asked_at(request: &HttpRequest) -> Option<String> {
    let is_tls = request.header("x-forwarded-proto").is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"));
    Some(format!("{}://{}", if is_tls { "https" } else { "http" }, request.header("host")?))
}

pub(crate) fn refusal(status: u16, code: &str, message: &str) -> HttpResponse {
    let mut response = HttpResponse::json(status, serde_json::to_vec(&V5Error::new(code, message)).unwrap_or_default());
    if status == 401 {
        response.headers.push(("www-authenticate".to_owned(), "Basic".to_owned()));
    }
    response
}
