//! Queries and repairs for people who help a site. They use [`Storage`], so they work on every kind of database; the
//! host shows the results.
//!
//! [`Storage`]: crate::storage::Storage

mod audit;
pub(crate) mod audit_with_central;
pub(crate) mod config_warnings;
mod cursors;
pub mod doctor;
mod explain;
mod identity;
pub(crate) mod line_test;
mod log;
pub(crate) mod preview_pull;
mod preview_push;
mod quarantine;
mod redact;
mod resend;
mod retry;
pub(crate) mod status;

pub use audit::{Audit, AuditReason, AuditedType, Difference, DifferenceKind, DifferenceReason};
pub(crate) use audit::{CentralSnapshot, compare};
pub use config_warnings::ConfigWarning;
pub use cursors::{CursorShown, PullCursor, Rewind, cursors, plan_rewind, rewind};
pub use explain::{ChangeHistory, Delivery, DeliveryState, Explanation, Receivers, SyncRoute, Verdict, explain};
pub use identity::{Disagreement, IdentityShown, Servers, StoreShown, Versions, identity};
pub use line_test::{NetLimits, NetReport, PredictedPart, Prediction, ServerLine};
pub use log::{Repair, is_of_patient, is_repair, note_repair};
pub use preview_pull::{IncomingPreview, PullPreview};
pub(crate) use preview_push::{NAMED, TypeCounts};
pub use preview_push::{PredictedSetAside, PushPreview, TypeCount, preview_push};
pub(crate) use quarantine::each_set_aside;
pub use quarantine::{Awaited, AwaitedState, SetAside, SetAsideGroup, find_set_aside, set_aside_groups, source_name};
pub use redact::{
    FieldShape, RedactedFile, RedactedSetAside, Shape, redacted_files, redacted_groups, redacted_log,
    redacted_set_aside, settings_shown,
};
pub use resend::{Resend, ResendFilter, plan_resend, resend};
pub use retry::{NotRetried, Retried, RetrySelection, ignore, retry};
pub use status::{LastSync, Status, Waiting, status};
