//! What central keeps of its sites: the local list, and when it last heard of each.

use crate::clock::Timestamp;
use crate::record::{Cursor, SiteId};

/// A site in the local list that central keeps where no legacy server does.
#[derive(Clone, PartialEq, Eq)]
pub struct SiteEntry {
    /// Its number.
    pub id: SiteId,
    /// Its UUID.
    pub uuid: String,
    /// Its name.
    pub name: String,
    /// A slow salted hash of the password hash that the site sends.
    pub secret: String,
    /// The hardware id it is bound to, from its first contact on.
    pub hardware_id: Option<String>,
    /// When it last completed a pull.
    pub last_pull_at: Option<Timestamp>,
}

impl std::fmt::Debug for SiteEntry {
    /// Shows number and name only.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SiteEntry").field("id", &self.id).field("name", &self.name).finish_non_exhaustive()
    }
}

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
