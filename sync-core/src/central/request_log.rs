//! The trace of a request for the administrator of a central server.

use std::cell::{Cell, RefCell};

use super::caller::{Caller, Deferred, Handled};
use super::handled_request::{Endpoint, HandledRequest};
use crate::protocol::v6::{Batch, Credentials, WireError};
use crate::record::{Cursor, SiteId};

/// The most characters of a name or a version that a site sends.
const TEXT_MAX: usize = 100;

/// The notes on a request while it is answered.
#[derive(Debug, Default)]
pub(crate) struct RequestTrace {
    /// The caller, from the host.
    pub caller: Caller,
    /// The reason why it is deferred, if it is.
    pub deferred: RefCell<Option<Deferred>>,
    pub endpoint: Cell<Endpoint>,
    pub records: Cell<u64>,
    /// The newest position in the changelog before the request read it.
    pub newest: Cell<Cursor>,
    pub read_to: Cell<Option<Cursor>>,
    pub is_dry_run: Cell<bool>,
    /// True if the request names no machine, so that the bound one is put into its credentials.
    pub is_machine_assumed: Cell<bool>,
    pub error: Cell<Option<&'static str>>,
    pub signed_in: RefCell<Option<SignedInSite>>,
}

/// A site that signed in, with the name that it sent.
#[derive(Debug)]
pub(crate) struct SignedInSite {
    pub site: SiteId,
    pub name: String,
    pub app_version: String,
}

impl RequestTrace {
    pub(crate) fn of(caller: Caller) -> Self {
        Self { caller, ..Self::default() }
    }

    /// Defers the answer; the first reason counts.
    pub(crate) fn defer(&self, reason: Deferred) {
        self.deferred.borrow_mut().get_or_insert(reason);
    }

    pub(crate) fn note_signed_in(&self, site: SiteId, credentials: &Credentials) {
        let short = |text: &str| text.chars().filter(|c| !c.is_control()).take(TEXT_MAX).collect();
        let (name, app_version) = (short(&credentials.username), short(&credentials.app_version));
        *self.signed_in.borrow_mut() = Some(SignedInSite { site, name, app_version });
    }

    pub(crate) fn note_pull(&self, batch: &Batch, is_dry_run: bool) {
        self.records.set(batch.records.len() as u64);
        self.is_dry_run.set(is_dry_run);
        if is_dry_run || (batch.records.is_empty() && !batch.is_last_batch) {
            return;
        }
        let after_last = if batch.records.is_empty() { batch.end_cursor } else { batch.end_cursor.next() };
        // No row between the last record and the newest position is for this site.
        let end = if batch.is_last_batch { self.newest.get().next().max(after_last) } else { after_last };
        self.read_to.set(Some(end));
    }

    pub(crate) fn note_error(&self, error: &WireError) {
        self.error.set(Some(match error {
            WireError::NotACentralServer => "not_a_central_server",
            WireError::IntegrationInProgress => "integration_in_progress",
            WireError::SyncVersionMismatch(..) => "sync_version_mismatch",
            WireError::ParsingSyncRecordError(_) => "parsing_sync_record_error",
            WireError::SyncFileNotFound(_) => "sync_file_not_found",
            WireError::TableNotAuthoredBySite(_) => "table_not_authored_by_site",
            WireError::SyncApiPaused => "sync_paused",
            error if error.is_pause() => "sync_paused",
            WireError::LegacyServerError(_)
            | WireError::CannotConnectToLegacyServer(_)
            | WireError::OtherLegacyServerError(_) => "legacy_server_error",
            WireError::OtherServerError(_) => "other_server_error",
        }));
    }

    /// The result of the request: a response counts only if nothing was deferred.
    pub(crate) fn into_handled<R>(self, response: R) -> Handled<R> {
        match self.deferred.take() {
            Some(Deferred::Unchecked(check)) => Handled::Unchecked(check),
            Some(Deferred::OutOfTurn(site)) => Handled::OutOfTurn(site),
            None => Handled::Answered(self.into_handled_request(response)),
        }
    }

    pub(crate) fn into_handled_request<R>(self, response: R) -> HandledRequest<R> {
        HandledRequest {
            response,
            endpoint: self.endpoint.get(),
            site: self.signed_in.borrow().as_ref().map(|known| known.site),
            records: self.records.get(),
            error: self.error.get(),
        }
    }
}
