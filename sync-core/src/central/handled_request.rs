//! A handled request: its response and its trace.

use crate::record::SiteId;
use crate::transport::HttpResponse;

/// The endpoint of a request.
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
    /// An endpoint of the legacy server.
    Legacy,
    /// An endpoint of V7, the protocol of Open mSupply 3.x, which is refused.
    V7,
    /// An unknown endpoint.
    #[default]
    Unknown,
}

impl Endpoint {
    /// The endpoint in snake_case.
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
            Self::V7 => "v7",
            Self::Unknown => "unknown",
        }
    }
}

/// A response and its trace. Only the response itself may hold a secret.
#[derive(Debug)]
#[non_exhaustive]
pub struct HandledRequest<R = HttpResponse> {
    /// What goes back.
    pub response: R,
    /// The endpoint.
    pub endpoint: Endpoint,
    /// The site, if known.
    pub site: Option<SiteId>,
    /// The number of records sent or accepted.
    pub records: u64,
    /// The kind of error in the response, as on the wire.
    pub error: Option<&'static str>,
}

impl<R> HandledRequest<R> {
    /// Replaces the response.
    pub fn map<S>(self, change: impl FnOnce(R) -> S) -> HandledRequest<S> {
        let Self { response, endpoint, site, records, error } = self;
        HandledRequest { response: change(response), endpoint, site, records, error }
    }
}
