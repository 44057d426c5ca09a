//! Queries and repairs for people who help a site.
//!
//! [`Replica::support`](crate::Replica::support) has what needs only the database, [`Site::support`] what asks the servers too. They
//! give facts; the host shows them. All of it but the [`Status`] is behind the feature `support`.

pub(crate) mod alarms;
#[cfg(feature = "support")]
mod audit;
#[cfg(feature = "support")]
mod audit_report;
#[cfg(feature = "support")]
pub(crate) mod audit_with_central;
#[cfg(feature = "support")]
mod conflicts;
#[cfg(feature = "support")]
mod cursors;
#[cfg(feature = "support")]
pub mod doctor;
#[cfg(feature = "support")]
mod explain;
#[cfg(feature = "support")]
mod identity;
#[cfg(feature = "support")]
pub(crate) mod line_test;
mod log;
mod other_copy;
#[cfg(feature = "support")]
mod patience;
#[cfg(feature = "support")]
mod pause;
#[cfg(feature = "support")]
pub(crate) mod preview_pull;
#[cfg(feature = "support")]
mod preview_push;
#[cfg(feature = "support")]
mod quarantine;
#[cfg(feature = "support")]
mod redact;
mod refused_by_central;
#[cfg(feature = "support")]
mod resend;
#[cfg(feature = "support")]
mod retry;
pub(crate) mod status;

pub use crate::alarm::{CentralAlarm, NamedSites, ServerAlarm, ServerAlarmEntry};
#[cfg(feature = "central")]
pub use crate::central::alarms::SiteTrouble;
#[cfg(feature = "support")]
pub(crate) use audit::{CentralSnapshot, compare};
#[cfg(feature = "support")]
pub use audit_report::{Audit, AuditReason, AuditedType, Difference, DifferenceKind, DifferenceReason};
#[cfg(feature = "support")]
pub use conflicts::ComparedConflict;
#[cfg(feature = "support")]
pub use cursors::{CursorShown, PullCursor, Rewind};
#[cfg(feature = "support")]
pub use explain::{ChangeHistory, Delivery, DeliveryState, Explanation, Receivers, SyncRoute, Verdict};
#[cfg(feature = "support")]
pub use identity::{Disagreement, IdentityShown, Servers, StoreShown, Versions};
#[cfg(feature = "support")]
pub use line_test::{NetLimits, NetReport, PredictedPart, Prediction, ServerLine};
pub use log::{is_of_patient, is_repair};
pub use other_copy::OtherCopy;
pub(crate) use other_copy::other_copy;
#[cfg(feature = "support")]
pub use preview_pull::{IncomingPreview, PullPreview};
#[cfg(feature = "support")]
pub(crate) use preview_push::{NAMED, TypeCounts};
#[cfg(feature = "support")]
pub use preview_push::{PredictedSetAside, PushPreview, TypeCount};
#[cfg(feature = "support")]
#[cfg(feature = "support")]
pub use quarantine::{Awaited, AwaitedRoute, AwaitedState, RecordStore, SetAside, SetAsideGroup, source_name};
#[cfg(feature = "support")]
pub use redact::{FieldShape, RedactedFile, RedactedSetAside, Shape};
#[cfg(feature = "support")]
pub use resend::{Resend, ResendFilter};
#[cfg(feature = "support")]
pub use retry::{NotRetried, Retried, RetrySelection};
pub use status::{LastSync, Waiting};
pub(crate) use status::{Status, status};

#[cfg(feature = "support")]
use std::sync::Arc;
#[cfg(feature = "support")]
use std::time::Duration;

#[cfg(feature = "support")]
use crate::clock::Clock;
#[cfg(feature = "support")]
use crate::integrate::Resolvers;
#[cfg(feature = "support")]
use crate::site::Site;
#[cfg(feature = "support")]
use crate::storage::Storage;

/// Explains and repairs a database without asking a server.
#[cfg(feature = "support")]
#[derive(Clone)]
pub struct Support {
    storage: Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
    /// The host's decisions about conflicts, for records that are tried again.
    resolvers: Resolvers,
}

#[cfg(feature = "support")]
impl std::fmt::Debug for Support {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Support")
    }
}

#[cfg(all(test, feature = "support"))]
impl Support {
    /// Over an empty database in memory.
    fn in_memory() -> Self {
        Self::new(
            Arc::new(crate::storage::MemoryStorage::new()),
            Arc::new(crate::clock::SystemClock::new()),
            Resolvers::default(),
        )
    }
}

#[cfg(feature = "support")]
impl Support {
    /// Queries and repairs of this storage.
    pub(crate) fn new(storage: Arc<dyn Storage>, clock: Arc<dyn Clock>, resolvers: Resolvers) -> Self {
        Self { storage, clock, resolvers }
    }
}

/// Examines a site and its lines by asking the servers. Changes nothing, here or there.
#[cfg(feature = "support")]
#[derive(Debug, Clone)]
pub struct SiteSupport {
    site: Site,
    /// How long a diagnosis waits for an answer over a fast line.
    silence: Option<Duration>,
    /// Why the folder of files cannot be used.
    files_fault: Option<crate::error::Error>,
}

#[cfg(feature = "support")]
impl Site {
    /// Examines this site by asking the servers.
    pub fn support(&self) -> SiteSupport {
        SiteSupport { site: self.clone(), silence: None, files_fault: None }
    }
}

#[cfg(feature = "support")]
impl SiteSupport {
    /// Limits how long a diagnosis waits for each answer of a server that took the connection, and a [preview](Self::preview_pull) or a
    /// [measurement](Self::line_test) for the first, which is small: so long, or 20 times as long as the connection
    /// took, whichever is longer, because over a slow line a well server answers later. Without this only the transport's limits count.
    #[must_use]
    pub fn silent_after(mut self, silence: Duration) -> Self {
        self.silence = Some(silence);
        self
    }

    /// Tells a diagnosis that the folder of [files](crate::files::Files) cannot be used, as the host found when it looked: files that
    /// come or are attached then fail with this error.
    #[must_use]
    pub fn files_fail_with(mut self, error: crate::error::Error) -> Self {
        self.files_fault = Some(error);
        self
    }

    /// The queries that need only the database.
    fn of_database(&self) -> Support {
        Support::new(self.site.storage.clone(), self.site.clock.clone(), self.site.resolvers.clone())
    }
}
