//! Refusals and faults of the server, planned by a test.

use super::routes::Endpoint;

/// The error codes of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is its code")]
pub enum Refusal {
    SiteNameNotFound,
    SiteIncorrectPassword,
    SiteIncorrectHardwareId,
    SiteHasNoStore,
    SiteAuthTimeout,
    ApiVersionIncompatible,
    SyncIsRunning,
    InitialisationInProgress,
    IntegrationInProgress,
    /// A code unknown to every client.
    SomethingNew,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::SiteNameNotFound,
        Self::SiteIncorrectPassword,
        Self::SiteIncorrectHardwareId,
        Self::SiteHasNoStore,
        Self::SiteAuthTimeout,
        Self::ApiVersionIncompatible,
        Self::SyncIsRunning,
        Self::InitialisationInProgress,
        Self::IntegrationInProgress,
        Self::SomethingNew,
    ];

    /// The code on the wire.
    pub fn code(self) -> &'static str {
        self.parts().1
    }

    /// The status of the response. Those of `site_has_no_store`, `site_auth_timeout` and the two `…_in_progress` are not
    /// known of the real server.
    pub fn status(self) -> u16 {
        self.parts().0
    }

    pub(super) fn message(self) -> &'static str {
        self.parts().2
    }

    fn parts(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::SiteNameNotFound => (401, "site_name_not_found", "Site name not found"),
            Self::SiteIncorrectPassword => (401, "site_incorrect_password", "Site password is incorrect"),
            Self::SiteIncorrectHardwareId => (401, "site_incorrect_hardware_id", "Site hardware ID does not match"),
            Self::SiteHasNoStore => (403, "site_has_no_store", "Site has no store"),
            Self::SiteAuthTimeout => (401, "site_auth_timeout", "Site authentication timed out"),
            Self::ApiVersionIncompatible => (409, "api_version_incompatible", "Api version is not compatible"),
            Self::SyncIsRunning => (503, "sync_is_running", "Sync is already running - try again later"),
            Self::InitialisationInProgress => (503, "initialisation_in_progress", "Initialisation in progress"),
            Self::IntegrationInProgress => (503, "integration_in_progress", "Integration in progress"),
            Self::SomethingNew => (418, "something_new", "No client knows this code"),
        }
    }
}

/// A fault of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It is refused with a code; nothing is done.
    Refuse(Refusal),
    /// It gets this status with a short text that is not JSON; nothing is done.
    Status(u16),
    /// It gets a web page with this status, as from a proxy or a login page; nothing is done.
    WebPage(u16),
    /// It gets status 200 and a text that is not JSON; nothing is done.
    NotJson,
    /// It never gets an answer; nothing is done.
    Unheard,
    /// It never gets an answer, but everything is done.
    AnswerLost,
    /// Everything is done, but the answer ends after so many bytes of its body.
    Cut(usize),
    /// `acknowledged_records`: the usual status, but the records stay queued.
    AcknowledgementsLost,
    /// `acknowledged_records`: acknowledged records are queued again under another id.
    QueueNeverEmpties,
    /// `central_records`: no rows, and a `maxCursor` so far after the requested cursor.
    EmptyBatch(u64),
    /// `central_records`: the server searches only so many positions after the cursor, so a gap gives an empty batch.
    Window(u64),
    /// `central_records` and `queued_records`: the records of a batch in reverse order.
    OutOfOrder,
    /// `queued_records`, pushed: everything is accepted, but the integration never starts.
    IntegrationNotStarted,
}

/// A fault, with the requests to which it applies.
///
/// ```
/// # use sync_testkit::legacy_server::{Endpoint, Fault, PlannedFault};
/// // The third and the fourth pull of the queue by one site.
/// let fault = PlannedFault::new(Endpoint::PullQueue, Fault::Status(500)).of_site("district_a").after(2).times(2);
/// ```
#[derive(Debug, Clone)]
pub struct PlannedFault {
    pub(super) endpoint: Endpoint,
    pub(super) fault: Fault,
    site: Option<String>,
    skip: u32,
    left: Option<u32>,
}

impl PlannedFault {
    /// A fault of every request to this endpoint.
    pub fn new(endpoint: Endpoint, fault: Fault) -> Self {
        Self { endpoint, fault, site: None, skip: 0, left: None }
    }

    /// Only requests with this site name.
    #[must_use]
    pub fn of_site(self, name: &str) -> Self {
        Self { site: Some(name.to_owned()), ..self }
    }

    /// Only after so many of these requests succeeded.
    #[must_use]
    pub fn after(self, requests: u32) -> Self {
        Self { skip: requests, ..self }
    }

    /// Only so many times.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self { left: Some(times), ..self }
    }

    /// Counts a request; returns whether it fails.
    fn meets(&mut self, endpoint: Endpoint, site: Option<&str>) -> bool {
        if self.endpoint != endpoint || self.site.as_deref().is_some_and(|only| site != Some(only)) {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        match &mut self.left {
            None => true,
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
        }
    }
}

/// The fault of a request: that of the first plan that applies.
pub(super) fn choose(plans: &mut [PlannedFault], endpoint: Endpoint, site: Option<&str>) -> Option<Fault> {
    plans.iter_mut().find_map(|plan| plan.meets(endpoint, site).then(|| plan.fault.clone()))
}
