//! The central server: one request in, one response out, independent of any web framework.

mod admission;
pub(crate) mod alarms;
pub(crate) mod auth;
mod caller;
pub(crate) mod copied_databases;
pub(crate) mod handled_request;
pub(crate) mod in_process;
pub(crate) mod legacy_mirror;
mod limits;
mod pause;
mod replay_window;
pub(crate) mod request_log;
pub(crate) mod site_activity;
pub(crate) mod site_registry;
mod site_view;
mod store_records;
mod uptime;
pub(crate) mod v5;
pub(crate) mod v6;
mod v7;

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use auth::authenticator::{AuthenticationError, CredentialRefusal, SiteAuthenticator};
pub use auth::legacy::LegacyAuthenticator;
pub use auth::local::LocalAuthenticator;
pub use caller::{Caller, Checked, CredentialCheck, Gate, Handled, UploadHead};
pub use copied_databases::refused::RefusedCopy;
pub use handled_request::{Endpoint, HandledRequest};
pub use in_process::InProcess;
use request_log::RequestTrace;
pub use site_activity::{CentralView, Integrations};
pub(crate) use site_registry::stores;
pub use site_registry::{SiteList, SiteRegistry, Store};
pub use site_view::SiteView;

use crate::clock::{Clock, Timestamp};
use crate::error::Result;
use crate::files::FileStore;
use crate::integrate;
use crate::protocol::v6::{
    Credentials, Introduction, PatientPullRequest, PullRequest, PushRequest, SiteStatus, SiteStatusRequest, WireError,
    check_version, encode_data, encode_error, path,
};
use crate::record::SiteId;
use crate::role::Role;
use crate::site::Site;
use crate::storage::Storage;
use crate::transport::{HttpRequest, HttpResponse, Method};
use crate::write::moved_stores;

/// A request up to this size may be parsed before its sender is known.
const PARSED_UNSIGNED_MAX: usize = 16 * 1024;

/// The most characters of a quoted input in a reason.
const REASON_CHARS_MAX: usize = 1000;

/// Limits of a central server.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CentralConfig {
    /// The most bytes of a JSON body, decoded (`protocol-v6` §1).
    pub json_bytes_max: usize,
    /// The most changelog rows of one batch, for any request (weak point D8).
    pub batch_records_max: u32,
    /// The most bytes of record data in one batch, except for a single larger record.
    pub batch_bytes_max: usize,
    /// The most records of one push. A larger push gets status 413.
    pub push_records_max: usize,
    /// The most records of one push that are integrated in the transaction that takes it. All other writers wait for that;
    /// the rest is integrated in turns afterwards.
    pub push_integrated_max: usize,
    /// The most bytes of an upload with all its parts (`protocol-v6` §1).
    pub upload_bytes_max: u64,
    /// The address under which sites reach this server; taken from each request's `Host` if `None`.
    pub public_url: Option<String>,
}

impl Default for CentralConfig {
    fn default() -> Self {
        Self {
            json_bytes_max: 10 * 1024 * 1024,
            batch_records_max: 10_000,
            batch_bytes_max: 8 * 1024 * 1024,
            push_records_max: 10_000,
            push_integrated_max: 4096,
            upload_bytes_max: 50 * 1024 * 1024,
            public_url: None,
        }
    }
}

/// A central server on its storage.
///
/// [`handle`](Self::handle) answers requests and may be called from many threads at once. One thread or a few call
/// [`integrate_waiting`](Self::integrate_waiting) to integrate pushes, woken by [`wait_for_work`](Self::wait_for_work).
/// The queue is in the database, so a restart loses nothing. The times of visits are in memory until
/// [`flush_activity`](Self::flush_activity) writes them.
pub struct Central {
    storage: Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
    authenticator: Arc<dyn SiteAuthenticator>,
    config: CentralConfig,
    /// True if V5 requests are answered here too, because there is no legacy server.
    is_stand_alone: bool,
    work: (Mutex<bool>, Condvar),
    /// Measures how long ago a push came.
    uptime: uptime::Uptime,
    attempts: auth::throttle::Attempts,
    queue: integrate::IntegrationQueue,
    activity: site_activity::Activity,
    /// True once the records that an older version, or an earlier run, could not integrate were queued again.
    has_requeued: AtomicBool,
    files: Option<FileStore>,
    /// This server's own site at the legacy server.
    own_site: Option<Site>,
    /// The number of running requests for patients there.
    patient_queries: AtomicUsize,
    /// Held while an uploaded file is compared with an existing one, and named.
    naming_upload: Mutex<()>,
    /// The time of the last sweep of leftovers of uploads.
    swept_at: Mutex<Option<Timestamp>>,
    /// Tells this server from others on the same storage.
    id: String,
}

impl std::fmt::Debug for Central {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Central").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Central {
    /// A central server whose sites are checked by `authenticator`.
    pub(crate) fn new(
        storage: Arc<dyn Storage>,
        clock: Arc<dyn Clock>,
        authenticator: Arc<dyn SiteAuthenticator>,
    ) -> Self {
        let uptime = uptime::Uptime::new(clock.as_ref(), storage.servers().is_none());
        Self {
            storage,
            clock,
            authenticator,
            config: CentralConfig::default(),
            is_stand_alone: false,
            work: (Mutex::new(false), Condvar::new()),
            uptime,
            attempts: auth::throttle::Attempts::default(),
            queue: integrate::IntegrationQueue::default(),
            activity: site_activity::Activity::default(),
            has_requeued: AtomicBool::new(false),
            files: None,
            own_site: None,
            patient_queries: AtomicUsize::new(0),
            naming_upload: Mutex::new(()),
            swept_at: Mutex::default(),
            id: uuid::Uuid::new_v4().simple().to_string(),
        }
    }

    /// A central server without a legacy server: it keeps the list of sites itself and answers the V5 requests that a
    /// site sends first.
    pub(crate) fn stand_alone(storage: Arc<dyn Storage>, clock: Arc<dyn Clock>) -> Self {
        let authenticator = Arc::new(LocalAuthenticator::new(storage.clone(), clock.clone()));
        Self { is_stand_alone: true, ..Self::new(storage, clock, authenticator) }
    }

    /// Replaces the limits.
    #[must_use]
    pub fn with_config(self, config: CentralConfig) -> Self {
        Self { config, ..self }
    }

    /// Sets its own site at the legacy server, which brings patients whom a site links and who are not known here yet.
    /// The host also synchronises that site.
    #[must_use]
    pub fn with_own_site(self, site: Site) -> Self {
        Self { own_site: Some(site), ..self }
    }

    /// The limits.
    pub fn config(&self) -> &CentralConfig {
        &self.config
    }

    /// Answers a request. Never fails: errors are in the response, in the format of the protocol.
    pub fn handle(&self, request: &HttpRequest) -> HttpResponse {
        self.answer_to(request, None).response
    }

    /// Like [`handle`](Self::handle), for a request from this address, by which refused attempts are counted; also
    /// returns a trace for the server's administrator.
    pub fn answer_to(&self, request: &HttpRequest, from: Option<IpAddr>) -> HandledRequest {
        let trace = RequestTrace::of(Caller::at(from));
        let response = self.route(request, &trace);
        self.activity.note(&trace, self.clock.now());
        trace.into_handled_request(response)
    }

    /// For a host that makes slow checks of credentials elsewhere, or lets sites wait for their turn: with a
    /// [`Caller::gate`] this takes no longer than the database does.
    pub fn handle_for(&self, request: &HttpRequest, caller: Caller) -> Handled {
        let trace = RequestTrace::of(caller);
        let response = self.route(request, &trace);
        self.activity.note(&trace, self.clock.now());
        trace.into_handled(response)
    }

    fn route(&self, request: &HttpRequest, trace: &RequestTrace) -> HttpResponse {
        let (route, query) = request.url.split_once('?').unwrap_or((&request.url, ""));
        if self.is_stand_alone && route.starts_with("/sync/v5/") {
            trace.endpoint.set(Endpoint::Legacy);
            return self.legacy_api(request, trace, route, query);
        }
        if self.is_stand_alone && route.starts_with("/api/v4/") {
            trace.endpoint.set(Endpoint::Legacy);
            return self.patient_api(request, trace, route, query);
        }
        let route = route.trim_start_matches('/');
        if route.starts_with("central/") && !self.is_central() {
            return not_central();
        }
        if route.starts_with(v7::PREFIX) {
            return v7::refused(trace);
        }
        match (request.method, route) {
            (Method::Post, path::PULL) => {
                self.answer(request, trace, Endpoint::Pull, |central, site, pull: PullRequest| {
                    // Read before the pull reads, so its answer ends here at least.
                    trace.newest.set(central.storage.read()?.last_cursor()?);
                    let mut batch = central.pull(site, &pull, central.answer_bytes_max(trace))?;
                    central.report_refused(site, &pull, &mut batch)?;
                    trace.note_pull(&batch, pull.is_dry_run);
                    if !pull.is_dry_run {
                        central.share_read_to(site, trace.read_to.get())?;
                    }
                    Ok(batch)
                })
            }
            (Method::Post, path::PATIENT_PULL) => {
                self.answer(request, trace, Endpoint::PatientPull, |central, site, pull: PatientPullRequest| {
                    let batch = central.patient_pull(site, &pull, central.answer_bytes_max(trace))?;
                    trace.records.set(batch.records.len() as u64);
                    Ok(batch)
                })
            }
            (Method::Post, path::PUSH) => {
                self.answer(request, trace, Endpoint::Push, |central, site, push: PushRequest| {
                    let result = central.push(site, push)?;
                    trace.records.set(result.records_pushed);
                    Ok(result)
                })
            }
            (Method::Post, path::SITE_STATUS) => {
                self.answer(request, trace, Endpoint::SiteStatus, |central, site, _: SiteStatusRequest| {
                    let is_sync_api_paused = central.is_paused()?;
                    Ok(SiteStatus { is_integrating: central.is_integrating(site)?, is_sync_api_paused })
                })
            }
            (Method::Post, path::NAME_STORE_JOIN) => self.name_store_join(request, trace),
            (Method::Put, path::UPLOAD_FILE) => {
                self.receive_file(request.header("content-type"), &mut request.body.as_slice(), trace)
            }
            (Method::Post, path::DOWNLOAD_FILE) => v6::files::whole(self.send_file(request, trace)),
            _ => HttpResponse { status: 404, headers: Vec::new(), body: Vec::new() },
        }
    }

    /// Integrates pushed records, and returns when only the work of other threads is left. Sites take turns of one
    /// short transaction, so none waits for the whole push of another. With a storage that has one writer, such as
    /// SQLite, more threads are of no use.
    ///
    /// # Errors
    /// The database failed. The rest stays queued.
    pub fn integrate_waiting(&self) -> Result<()> {
        self.integrate_while(&|| true)
    }

    /// Like [`integrate_waiting`](Self::integrate_waiting), as long as `goes_on`, which is called before each turn, returns
    /// true. The rest stays queued.
    ///
    /// # Errors
    /// As [`integrate_waiting`](Self::integrate_waiting).
    pub fn integrate_while(&self, goes_on: &dyn Fn() -> bool) -> Result<()> {
        if !self.has_requeued.load(Ordering::Relaxed) {
            if self.has_others() {
                self.uptime.begin(self.storage.read()?.as_ref(), self.clock.as_ref())?;
            }
            integrate::requeue_after_upgrade(self.storage.as_ref())?;
            integrate::requeue_failed(self.storage.as_ref())?;
            self.has_requeued.store(true, Ordering::Relaxed);
        }
        let (storage, clock) = (self.storage.as_ref(), self.clock.as_ref());
        let mut worked = self.queue.work(storage, clock, goes_on);
        // A moved store may have very many records, so pushing sites get turns in between.
        while goes_on() {
            match moved_stores::log_next(storage, clock) {
                Ok(true) => worked = worked.and(self.queue.work(storage, clock, goes_on)),
                Ok(false) => break,
                Err(error) => return worked.and(Err(error)),
            }
        }
        worked
    }

    /// Waits for a push, or for this time.
    pub fn wait_for_work(&self, timeout: Duration) {
        let (flag, signal) = &self.work;
        let waiting = flag.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut has_work, _) =
            signal.wait_timeout_while(waiting, timeout, |has_work| !*has_work).unwrap_or_else(PoisonError::into_inner);
        *has_work = false;
    }

    /// True if other central servers may work on the same storage at the same time.
    pub fn has_others(&self) -> bool {
        self.storage.servers().is_some()
    }

    /// Waits until another server on the same storage, if there may be one, tells of work, or for this time; whoever is in
    /// [`wait_for_work`](Self::wait_for_work) is woken then. The host calls it again and again on a thread of its own. Without
    /// it, work of a server that fell is found by looking from time to time.
    ///
    /// # Errors
    /// The connection to the storage failed: the host waits a little and calls it again.
    pub fn wait_for_others(&self, timeout: Duration) -> Result<()> {
        if self.storage.servers().map_or(Ok(false), |servers| servers.wait_for_work(timeout))? {
            self.announce_work();
        }
        Ok(())
    }

    fn announce_work(&self) {
        let (flag, signal) = &self.work;
        *flag.lock().unwrap_or_else(PoisonError::into_inner) = true;
        signal.notify_all();
    }

    /// Reads a body, or describes the error in it.
    fn read<Q: DeserializeOwned>(&self, request: &HttpRequest) -> std::result::Result<Q, HttpResponse> {
        parse(&v6::body::read_json(request, self.config.json_bytes_max)?)
    }

    /// Signs the sender of a request in before its whole body is parsed, answers it, and puts the answer into its envelope.
    fn answer<Q: DeserializeOwned + limits::Limited, A: Serialize>(
        &self,
        request: &HttpRequest,
        trace: &RequestTrace,
        endpoint: Endpoint,
        answer: impl FnOnce(&Self, SiteId, Q) -> std::result::Result<A, EnvelopeError>,
    ) -> HttpResponse {
        trace.endpoint.set(endpoint);
        let answered = self.read_signed_in(request, trace).and_then(|(site, content): (_, Q)| {
            content.within(&self.config).map_err(|excess| Refused::Response(HttpResponse::text(413, excess)))?;
            Ok(answer(self, site, content)?)
        });
        let body = match answered {
            Ok(data) => encode_data(&data),
            Err(Refused::Response(response)) => return response,
            Err(Refused::Envelope(EnvelopeError(error))) => {
                trace.note_error(&error);
                encode_error(&error)
            }
        };
        HttpResponse::json(200, body)
    }

    fn read_signed_in<Q: DeserializeOwned>(
        &self,
        request: &HttpRequest,
        trace: &RequestTrace,
    ) -> std::result::Result<(SiteId, Q), Refused> {
        let json = v6::body::read_json(request, self.config.json_bytes_max).map_err(Refused::Response)?;
        let Introduction { sync_v5_settings, sync_v6_version } = parse(&json).map_err(|unread| {
            // A real central server names the first fault in the whole request.
            let whole = if json.len() <= PARSED_UNSIGNED_MAX { parse::<Q>(&json).err() } else { None };
            Refused::Response(whole.unwrap_or(unread))
        })?;
        let site = self.sign_in(trace, sync_v6_version, &sync_v5_settings)?;
        Ok((site, parse(&json).map_err(Refused::Response)?))
    }

    /// The checks before each operation, in the order of the spec (`protocol-v6` §7).
    fn sign_in(
        &self,
        trace: &RequestTrace,
        version: u32,
        credentials: &Credentials,
    ) -> std::result::Result<SiteId, EnvelopeError> {
        check_version(version)?;
        let site = self.admit(trace, credentials)?;
        trace.note_signed_in(site, credentials);
        self.unless_paused(trace, credentials)?;
        Ok(site)
    }

    /// The most bytes of records in an answer.
    fn answer_bytes_max(&self, trace: &RequestTrace) -> usize {
        let of_gate = trace.caller.gate.as_ref().and_then(|gate| gate.answer_bytes_max());
        of_gate.map_or(self.config.batch_bytes_max, |most| most.min(self.config.batch_bytes_max))
    }

    /// True if this database is a central server's now: the legacy server may change that at any time. An unreadable
    /// database counts as one, because the answer will describe the error.
    fn is_central(&self) -> bool {
        let role = self.storage.read().and_then(|txn| crate::storage::state::role(txn.as_ref()));
        role.map_or(true, |role| role == Some(Role::Central))
    }

    fn is_integrating(&self, site: SiteId) -> Result<bool> {
        let waits = self.storage.read()?.central()?.integration_waits(site)?;
        if !waits {
            copied_databases::note_integrated(self.storage.as_ref(), site)?;
        }
        Ok(waits)
    }
}

/// For requests that only a central server answers.
fn not_central() -> HttpResponse {
    let mut response = HttpResponse::text(405, "Method only allowed on central server.");
    response.headers.push(("connection".to_owned(), "close".to_owned()));
    response
}

/// Parses a body, or describes the error in it.
fn parse<Q: DeserializeOwned>(json: &[u8]) -> std::result::Result<Q, HttpResponse> {
    serde_json::from_slice(json).map_err(|error| {
        let reason = error.to_string();
        let reason: String = reason.chars().filter(|c| !c.is_control()).take(REASON_CHARS_MAX).collect();
        HttpResponse::text(400, format!("Json deserialize error: {reason}"))
    })
}

/// Why a request is not answered: with an error in the envelope, or without an envelope.
enum Refused {
    Envelope(EnvelopeError),
    Response(HttpResponse),
}

impl From<EnvelopeError> for Refused {
    fn from(error: EnvelopeError) -> Self {
        Self::Envelope(error)
    }
}

/// An error for the envelope.
pub(crate) struct EnvelopeError(WireError);

impl From<WireError> for EnvelopeError {
    fn from(error: WireError) -> Self {
        Self(error)
    }
}

impl From<crate::Error> for EnvelopeError {
    /// A fault of this machine, in neutral words: the details are for its administrator, not for sites.
    fn from(error: crate::Error) -> Self {
        Self(WireError::OtherServerError(format!("Internal error: {}", error.code())))
    }
}

impl From<AuthenticationError> for EnvelopeError {
    fn from(error: AuthenticationError) -> Self {
        Self(error.flattened())
    }
}
