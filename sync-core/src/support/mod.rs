//! Queries and repairs for people who help a site.
//!
//! [`Replica::support`](crate::Replica::support) has what needs only the database, [`Site::support`] what asks the servers too. They
//! give facts; the host shows them.

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
pub use cursors::{CursorShown, PullCursor, Rewind};
pub use explain::{ChangeHistory, Delivery, DeliveryState, Explanation, Receivers, SyncRoute, Verdict};
pub use identity::{Disagreement, IdentityShown, Servers, StoreShown, Versions};
pub use line_test::{NetLimits, NetReport, PredictedPart, Prediction, ServerLine};
pub use log::{is_of_patient, is_repair};
pub use preview_pull::{IncomingPreview, PullPreview};
pub(crate) use preview_push::{NAMED, TypeCounts};
pub use preview_push::{PredictedSetAside, PushPreview, TypeCount};
pub(crate) use quarantine::each_set_aside;
pub use quarantine::{Awaited, AwaitedState, SetAside, SetAsideGroup, source_name};
pub use redact::{FieldShape, RedactedFile, RedactedSetAside, Shape};
pub use resend::{Resend, ResendFilter};
pub use retry::{NotRetried, Retried, RetrySelection};
pub use status::{LastSync, Waiting};
pub(crate) use status::{Status, status};

use std::sync::Arc;

use crate::clock::Clock;
use crate::site::Site;
use crate::storage::Storage;

/// Explains and repairs a database without asking a server.
#[derive(Clone)]
pub struct Support {
    storage: Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Support {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Support")
    }
}

#[cfg(test)]
impl Support {
    /// Over an empty database in memory.
    fn in_memory() -> Self {
        Self::new(Arc::new(crate::storage::MemoryStorage::new()), Arc::new(crate::clock::SystemClock::new()))
    }
}

impl Support {
    /// Queries and repairs of this storage.
    pub(crate) fn new(storage: Arc<dyn Storage>, clock: Arc<dyn Clock>) -> Self {
        Self { storage, clock }
    }
}

/// Examines a site and its lines by asking the servers. Changes nothing, here or there.
#[derive(Debug, Clone)]
pub struct SiteSupport {
    site: Site,
}

impl Site {
    /// Examines this site by asking the servers.
    pub fn support(&self) -> SiteSupport {
        SiteSupport { site: self.clone() }
    }
}

impl SiteSupport {
    /// The queries that need only the database.
    fn of_database(&self) -> Support {
        Support::new(self.site.storage.clone(), self.site.clock.clone())
    }
}
