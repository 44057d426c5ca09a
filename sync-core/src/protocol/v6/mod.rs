//! Protocol V6, between a site and the Open mSupply central server (`protocol-v6`).
//!
//! Casing is mixed on the wire: requests and records are camelCase, batches and results snake_case (§2).

mod batch;
mod credentials;
mod dialect;
mod envelope;
mod file;
mod release;
mod request;
mod version;

pub(crate) use batch::if_it_is_ours;
pub use batch::{Action, Batch, BatchElement, ReadBatch, RefusedRecord, ReportedRefusals, Unreadable, WireRecord};
pub use credentials::Credentials;
pub use dialect::Dialect;
pub use envelope::{Answer, EnvelopeFault, WireError, decode_answer, encode_data, encode_error};
pub(crate) use envelope::{data_in, marked_text, replaced_in};
pub use file::{DownloadRequest, UploadPart};
pub(crate) use release::pushes_nothing;
pub use release::{Release, release};
pub(crate) use request::Introduction;
pub use request::{
    CopyReport, NameStoreJoinRequest, PatientPullRequest, PullRequest, PushChain, PushRequest, PushResult,
    ReadPositions, SiteStatus, SiteStatusRequest, path,
};
pub use version::{V6_VERSION, V6_VERSION_MAX, V6_VERSION_MIN, check_version};
