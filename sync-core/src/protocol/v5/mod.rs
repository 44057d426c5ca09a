//! The parts of protocol V5, between a site and the legacy server, that V6 needs (`protocol-v5`).

mod central_records;
mod error;
mod headers;
mod idle_check;
mod patient;
mod queue;
mod site;
mod site_status;

pub use central_records::{CentralBatch, CentralRecord, ReadCentralBatch, UnreadableRecord};
pub use error::{V5Error, V5ErrorBody};
pub use headers::{SiteHeaders, V5_VERSION, header};
pub use idle_check::{IDLE_CHECK, IdleAnswers, IdleCheck};
pub use patient::{FoundPatient, MadeJoin, NewJoin, PatientQuery};
pub use queue::{
    Acknowledged, PushedAnswer, PushedQueue, PushedRecord, QueueBatch, QueueLength, QueuedRecord, ReadQueueBatch,
};
pub use site::{InitialisationStatus, SiteInfo};
pub use site_status::{LegacyStatus, StatusCode};

/// Paths below the legacy server's address; always absolute, so a prefix in the configured address is dropped.
pub mod path {
    /// The identity of this site.
    pub const SITE: &str = "/sync/v5/site";
    /// The current work of the server for this site.
    pub const SITE_STATUS: &str = "/sync/v5/site_status";
    /// Requests initialisation: the server queues the site's own records.
    pub const INITIALISE: &str = "/sync/v5/initialise";
    /// The site's queue (GET), and its push (POST).
    pub const QUEUED_RECORDS: &str = "/sync/v5/queued_records";
    /// Removes records from the site's queue.
    pub const ACKNOWLEDGED_RECORDS: &str = "/sync/v5/acknowledged_records";
    /// Central data, by cursor.
    pub const CENTRAL_RECORDS: &str = "/sync/v5/central_records";
    /// Where a site of Open mSupply 3.x asks after each good cycle whether it may change over to V7.
    pub const V7_URL_AND_UPGRADE: &str = "/sync/v5/v7_url_and_upgrade";
    /// Finds patients; needs only name and password.
    pub const PATIENT: &str = "/api/v4/patient";
    /// Makes a name visible in a store; needs only name and password.
    pub const NAME_STORE_JOIN: &str = "/api/v4/name_store_join";
}
