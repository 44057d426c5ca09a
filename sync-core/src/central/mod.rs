//! The central server's half: one request in, one response out, with no web framework in sight.

mod authenticator;
mod body;
mod files;
mod legacy_api;
mod local;
mod multipart;
mod pull;
mod push;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use authenticator::{AuthenticationError, SiteAuthenticator};
pub use local::{LocalAuthenticator, LocalSites, Store};

use crate::clock::Clock;
use crate::error::Result;
use crate::files::FileStore;
use crate::integrate;
use crate::protocol::v6::{
    Credentials, PatientPullRequest, PullRequest, PushRequest, SiteStatus, SiteStatusRequest, WireError, check_version,
    encode_data, encode_error, path,
};
use crate::record::SiteId;
use crate::storage::Storage;
use crate::transport::{HttpRequest, HttpResponse, Method};

/// The most characters of a reason that quotes what was sent.
const REASON_CHARS_MAX: usize = 1000;

/// Limits of a central server.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CentralConfig {
    /// The most bytes of a JSON body, decoded (`protocol-v6` §1).
    pub json_bytes_max: usize,
    /// The most changelog rows of one batch, whatever a site asks for (weak point D8).
    pub batch_records_max: u32,
    /// The most bytes of record data in one batch, unless one record alone has more.
    pub batch_bytes_max: usize,
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
            upload_bytes_max: 50 * 1024 * 1024,
            public_url: None,
        }
    }
}

/// A central server over its storage.
///
/// [`handle`](Self::handle) answers requests and may be called from many threads at once. What sites push is integrated
/// by [`integrate_waiting`](Self::integrate_waiting), which one thread calls, woken by
/// [`wait_for_work`](Self::wait_for_work); what waits is in the database, so a restart forgets nothing.
pub struct Central {
    storage: Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
    authenticator: Arc<dyn SiteAuthenticator>,
    config: CentralConfig,
    /// Whether the V5 questions of a site are answered here too, because there is no legacy server.
    stands_alone: bool,
    work: (Mutex<bool>, Condvar),
    lately: push::Lately,
    /// Whether what an older version had set aside was tried again.
    is_up_to_date: AtomicBool,
    files: Option<FileStore>,
    /// Held while a file is compared with the one that is there, and named.
    keeping: Mutex<()>,
}

impl std::fmt::Debug for Central {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Central").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Central {
    /// A central server that lets sites in as `authenticator` says.
    pub fn new(storage: Arc<dyn Storage>, clock: Arc<dyn Clock>, authenticator: Arc<dyn SiteAuthenticator>) -> Self {
        Self {
            storage,
            clock,
            authenticator,
            config: CentralConfig::default(),
            stands_alone: false,
            work: (Mutex::new(false), Condvar::new()),
            lately: push::Lately::default(),
            is_up_to_date: AtomicBool::new(false),
            files: None,
            keeping: Mutex::new(()),
        }
    }

    /// A central server that needs no legacy server: it keeps the list of sites itself and answers the V5 questions
    /// that a site asks first.
    pub fn stand_alone(storage: Arc<dyn Storage>, clock: Arc<dyn Clock>) -> Self {
        let authenticator = Arc::new(LocalAuthenticator::new(storage.clone(), clock.clone()));
        Self { stands_alone: true, ..Self::new(storage, clock, authenticator) }
    }

    /// The same with other limits.
    #[must_use]
    pub fn with_config(self, config: CentralConfig) -> Self {
        Self { config, ..self }
    }

    /// The limits.
    pub fn config(&self) -> &CentralConfig {
        &self.config
    }

    /// Answers a request. Never fails: what goes wrong is in the response, in the shape of the protocol.
    pub fn handle(&self, request: &HttpRequest) -> HttpResponse {
        let (route, query) = request.url.split_once('?').unwrap_or((&request.url, ""));
        if self.stands_alone && route.starts_with("/sync/v5/") {
            return self.legacy_api(request, route, query);
        }
        match (request.method, route.trim_start_matches('/')) {
            (Method::Post, path::PULL) => self.answer(request, |central, pull: PullRequest| {
                let site = central.enter(pull.sync_v6_version, &pull.sync_v5_settings, true)?;
                central.pull(site, &pull)
            }),
            (Method::Post, path::PATIENT_PULL) => self.answer(request, |central, pull: PatientPullRequest| {
                let site = central.enter(pull.sync_v6_version, &pull.sync_v5_settings, true)?;
                central.patient_pull(site, &pull)
            }),
            (Method::Post, path::PUSH) => self.answer(request, |central, push: PushRequest| {
                let site = central.enter(push.sync_v6_version, &push.sync_v5_settings, true)?;
                central.push(site, push)
            }),
            (Method::Post, path::SITE_STATUS) => self.answer(request, |central, status: SiteStatusRequest| {
                let site = central.enter(status.sync_v6_version, &status.sync_v5_settings, false)?;
                Ok(SiteStatus { is_integrating: central.is_integrating(site)? })
            }),
            (Method::Put, path::UPLOAD_FILE) => {
                self.upload_file(request.header("content-type"), &mut request.body.as_slice())
            }
            (Method::Post, path::DOWNLOAD_FILE) => files::whole(self.download_file(request)),
            _ => HttpResponse { status: 404, headers: Vec::new(), body: Vec::new() },
        }
    }

    /// Integrates what sites have pushed, and returns when nothing waits any more.
    ///
    /// # Errors
    /// The database failed. What is not done yet stays queued.
    pub fn integrate_waiting(&self) -> Result<()> {
        if !self.is_up_to_date.load(Ordering::Relaxed) {
            integrate::requeue_after_upgrade(self.storage.as_ref())?;
            self.is_up_to_date.store(true, Ordering::Relaxed);
        }
        integrate::integrate_sites(self.storage.as_ref(), self.clock.as_ref()).map(|_| ())
    }

    /// Waits until a push brought work, or for this time.
    pub fn wait_for_work(&self, timeout: Duration) {
        let (flag, signal) = &self.work;
        let waiting = flag.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut brought, _) =
            signal.wait_timeout_while(waiting, timeout, |brought| !*brought).unwrap_or_else(PoisonError::into_inner);
        *brought = false;
    }

    fn announce_work(&self) {
        let (flag, signal) = &self.work;
        *flag.lock().unwrap_or_else(PoisonError::into_inner) = true;
        signal.notify_all();
    }

    /// Reads a body, answers it, and puts the answer into its envelope.
    fn answer<Q: DeserializeOwned, A: Serialize>(
        &self,
        request: &HttpRequest,
        answer: impl FnOnce(&Self, Q) -> std::result::Result<A, Refused>,
    ) -> HttpResponse {
        let json = match body::read_json(request, self.config.json_bytes_max) {
            Ok(json) => json,
            Err(response) => return response,
        };
        let question = match serde_json::from_slice(&json) {
            Ok(question) => question,
            Err(error) => return not_the_message(&error),
        };
        drop(json);
        let body = match answer(self, question) {
            Ok(data) => encode_data(&data),
            Err(Refused(error)) => encode_error(&error),
        };
        HttpResponse::json(200, body)
    }

    /// What is checked before each operation, in the order of the spec (`protocol-v6` §7).
    fn enter(
        &self,
        version: u32,
        credentials: &Credentials,
        unless_integrating: bool,
    ) -> std::result::Result<SiteId, Refused> {
        check_version(version)?;
        let site = self.authenticator.authenticate(credentials)?;
        if unless_integrating && self.is_integrating(site)? {
            return Err(Refused(WireError::IntegrationInProgress));
        }
        Ok(site)
    }

    fn is_integrating(&self, site: SiteId) -> Result<bool> {
        Ok(self.storage.read()?.integrations()?.contains(&site))
    }
}

/// A body that is not the message of its path.
fn not_the_message(error: &serde_json::Error) -> HttpResponse {
    let reason = error.to_string();
    let reason: String = reason.chars().filter(|c| !c.is_control()).take(REASON_CHARS_MAX).collect();
    HttpResponse::text(400, format!("Json deserialize error: {reason}"))
}

/// An error on its way into the envelope.
struct Refused(WireError);

impl From<WireError> for Refused {
    fn from(error: WireError) -> Self {
        Self(error)
    }
}

impl From<crate::Error> for Refused {
    /// A fault of this machine, told in neutral words: the details are for its keeper, not for sites.
    fn from(error: crate::Error) -> Self {
        Self(WireError::OtherServerError(format!("Internal error: {}", error.code())))
    }
}

impl From<AuthenticationError> for Refused {
    fn from(error: AuthenticationError) -> Self {
        match error {
            AuthenticationError::Refused { refusal, checked_at } => {
                let (code, message) = refusal.flattened();
                Self(WireError::flatten_legacy(&checked_at, 401, "Unauthorized", code, message))
            }
            AuthenticationError::Failed(error) => error.into(),
        }
    }
}
