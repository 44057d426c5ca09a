//! A pause for maintenance: requests are refused in a way that makes each release try again later. They are still signed in
//! and counted, and requests for the status are answered.

use crate::central::v5::legacy_api::refusal;
use crate::central::{Central, Endpoint, EnvelopeError, RequestTrace};
use crate::error::Result;
use crate::protocol::v5::path;
use crate::protocol::v6::{Credentials, WireError};
use crate::storage::state;
use crate::transport::HttpResponse;

impl Central {
    /// True while this server is paused. Read from the database for each request, because another process may pause it.
    ///
    /// # Errors
    /// The database failed.
    pub fn is_paused(&self) -> Result<bool> {
        state::PAUSED.get(self.storage.read()?.as_ref())
    }

    /// Refuses a request of V6 during a pause.
    pub(super) fn unless_paused(
        &self,
        trace: &RequestTrace,
        credentials: &Credentials,
    ) -> std::result::Result<(), EnvelopeError> {
        match trace.endpoint.get() != Endpoint::SiteStatus && self.is_paused()? {
            true => Err(WireError::paused_for(&credentials.app_version).into()),
            false => Ok(()),
        }
    }

    /// Refuses a request of V5 during a pause, except for the site's identity and for the change to V7.
    pub(super) fn v5_pause(&self, route: &str) -> Option<HttpResponse> {
        let is_answered = matches!(route, path::SITE | path::V7_URL_AND_UPGRADE);
        let is_paused = !is_answered && self.is_paused().unwrap_or(false);
        is_paused.then(|| {
            let said = "The server is paused for maintenance. Nothing is lost; this site goes on by itself afterwards";
            refusal(503, "sync_api_paused", said)
        })
    }
}
