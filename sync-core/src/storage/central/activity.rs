//! When sites came last, and how far they have read.

use crate::clock::Timestamp;
use crate::error::Result;
use crate::record::{Cursor, SiteId};

/// What central knows of a site's visits: for its administrator to look at, no decision depends on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteActivity {
    /// Its number.
    pub site: SiteId,
    /// Its name, as it calls itself.
    pub name: String,
    /// The version of its application, as it says.
    pub app_version: String,
    /// Its last request of any kind.
    pub seen_at: Timestamp,
    /// Its last answered pull.
    pub pulled_at: Option<Timestamp>,
    /// Its last push that was taken.
    pub pushed_at: Option<Timestamp>,
    /// The position in central's changelog up to which it has been given everything.
    pub read_to: Option<Cursor>,
}

impl SiteActivity {
    /// Adds what was noted later; what a part does not say stays as it was.
    pub fn update(&mut self, later: Self) {
        let before = (self.pulled_at, self.pushed_at, self.read_to);
        *self = later;
        self.pulled_at = self.pulled_at.or(before.0);
        self.pushed_at = self.pushed_at.or(before.1);
        self.read_to = self.read_to.or(before.2);
    }
}

/// Reads the visits of sites.
///
/// # Errors
/// Each call: the storage cannot be read, or `damaged_state`.
pub trait ActivityReads {
    /// The visits of sites, by number.
    fn activity(&self) -> Result<Vec<SiteActivity>>;
}

/// Notes the visits of sites.
///
/// # Errors
/// Each call: the storage cannot be written. The call changed nothing.
pub trait ActivityWrites: ActivityReads {
    /// Notes a site's visits, as [`SiteActivity::update`] adds them.
    fn note_activity(&self, activity: &SiteActivity) -> Result<()>;
}
