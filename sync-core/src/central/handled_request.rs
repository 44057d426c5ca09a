//! A request that was handled: its response, and what it was about.

use crate::record::SiteId;
use crate::transport::HttpResponse;

/// What a request asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each is its own meaning")]
pub enum Endpoint {
    Pull,
    PatientPull,
    Push,
    SiteStatus,
    NameStoreJoin,
    UploadFile,
    DownloadFile,
    /// One of those that the legacy server answers otherwise.
    Legacy,
    /// Nothing that is known.
    #[default]
    Unknown,
}

impl Endpoint {
    /// The question in snake_case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::PatientPull => "patient_pull",
            Self::Push => "push",
            Self::SiteStatus => "site_status",
            Self::NameStoreJoin => "name_store_join",
            Self::UploadFile => "upload_file",
            Self::DownloadFile => "download_file",
            Self::Legacy => "legacy",
            Self::Unknown => "unknown",
        }
    }
}

/// A response, and what it was about. No secret is in it but in the response.
#[derive(Debug)]
#[non_exhaustive]
pub struct HandledRequest<R = HttpResponse> {
    /// What goes back.
    pub response: R,
    /// What was asked.
    pub endpoint: Endpoint,
    /// Who asked, if that could be told.
    pub site: Option<SiteId>,
    /// The records that were given or taken.
    pub records: u64,
    /// The kind of error in the response, as the wire names it.
    pub error: Option<&'static str>,
}

impl<R> HandledRequest<R> {
    /// The same with another response.
    pub fn map<S>(self, change: impl FnOnce(R) -> S) -> HandledRequest<S> {
        let Self { response, endpoint, site, records, error } = self;
        HandledRequest { response: change(response), endpoint, site, records, error }
    }
}
