//! The parts of protocol V5, between a site and the legacy server, that V6 leans on (`protocol-v5`).

mod central_records;
mod error;
mod headers;
mod site;

pub use central_records::{CentralBatch, CentralRecord, ReadCentralBatch, UnreadableRecord};
pub use error::{V5Error, V5ErrorBody};
pub use headers::{SiteHeaders, V5_VERSION, header};
pub use site::{InitialisationStatus, SiteInfo};

/// Paths below the legacy server's address; always absolute, a prefix in the configured address is dropped.
pub mod path {
    /// Who is this site.
    pub const SITE: &str = "/sync/v5/site";
    /// Central data, by cursor.
    pub const CENTRAL_RECORDS: &str = "/sync/v5/central_records";
}
