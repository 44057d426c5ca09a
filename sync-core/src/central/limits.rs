//! Limits for the lists of a request. While central works through a list, it holds the only writer of the database, and all
//! other sites wait.

use super::CentralConfig;
use crate::changelog::ChangelogGap;
use crate::protocol::v6::{PatientPullRequest, PullRequest, PushRequest, SiteStatusRequest};

/// The most records in one legacy push or acknowledgement.
pub(super) const LEGACY_RECORDS_MAX: usize = 10_000;

/// A request with lists.
pub(super) trait Limited {
    /// Describes the list that is too long.
    fn within(&self, _config: &CentralConfig) -> Result<(), String> {
        Ok(())
    }
}

impl Limited for PullRequest {}
impl Limited for PatientPullRequest {}
impl Limited for SiteStatusRequest {}

impl Limited for PushRequest {
    fn within(&self, config: &CentralConfig) -> Result<(), String> {
        let (records, lost) = (self.batch.records.len(), self.batch.lost_history.len());
        if records > config.push_records_max {
            return Err(format!("The push has {records} records; at most {} are taken.", config.push_records_max));
        }
        if lost > ChangelogGap::TOLD_MAX {
            return Err(format!("lost_history has {lost} entries; at most {} are read.", ChangelogGap::TOLD_MAX));
        }
        Ok(())
    }
}
