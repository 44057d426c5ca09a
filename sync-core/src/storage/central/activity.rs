//! The times of sites' visits, and their positions.

use crate::clock::Timestamp;
use crate::error::Result;
use crate::record::{Cursor, SiteId};
use crate::storage::SharedPositions;
#[cfg(doc)]
use crate::storage::TOLD;

/// The visits of a site, for the administrator of central.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteActivity {
    /// Its number.
    pub site: SiteId,
    /// Its name, as sent by the site.
    pub name: String,
    /// The version of its application, as sent by the site.
    pub app_version: String,
    /// The time of its last request.
    pub seen_at: Timestamp,
    /// The time of its last answered pull.
    pub pulled_at: Option<Timestamp>,
    /// The time of its last accepted push.
    pub pushed_at: Option<Timestamp>,
    /// The position in central's changelog before which it has received everything.
    pub read_to: Option<Cursor>,
}

impl SiteActivity {
    /// Adds newer values; missing ones stay as they were.
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
    /// The visits of one site, if it ever came.
    fn activity_of(&self, site: SiteId) -> Result<Option<SiteActivity>>;
    /// How far a site has read, as its requests show at all servers that use this storage at once. `None` if only one can, which
    /// keeps that in its memory.
    fn shared_positions(&self, _site: SiteId) -> Result<Option<SharedPositions>> {
        Ok(None)
    }
    /// What each server that uses this storage says of itself ([`TOLD`]). Nothing if only one can.
    fn told_by_servers(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}

/// Writes the visits of sites.
///
/// # Errors
/// Each call: the storage cannot be written. The call changed nothing.
pub trait ActivityWrites: ActivityReads {
    /// Stores a site's visits, as [`SiteActivity::update`] adds them.
    fn note_activity(&self, activity: &SiteActivity) -> Result<()>;
}
