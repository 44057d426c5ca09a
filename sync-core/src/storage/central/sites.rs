//! The local list of sites, which central keeps if there is no legacy server.

use crate::clock::Timestamp;
use crate::error::Result;
use crate::record::SiteId;

/// A site in the local list.
#[derive(Clone, PartialEq, Eq)]
pub struct SiteEntry {
    /// Its number.
    pub id: SiteId,
    /// Its UUID.
    pub uuid: String,
    /// Its name.
    pub name: String,
    /// A slow salted hash of the site's password hash.
    pub secret: String,
    /// The hardware id of its machine, from its first sign-in on.
    pub hardware_id: Option<String>,
    /// The time of its last complete pull.
    pub last_pull_at: Option<Timestamp>,
}

impl std::fmt::Debug for SiteEntry {
    /// Shows only number and name.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SiteEntry").field("id", &self.id).field("name", &self.name).finish_non_exhaustive()
    }
}

/// Reads the local list of sites.
///
/// # Errors
/// Each call: the storage cannot be read, or `damaged_state`.
pub trait SiteReads {
    /// The local list of sites, by number.
    fn sites(&self) -> Result<Vec<SiteEntry>>;
    /// A site of the local list by name; capital letters matter.
    fn site_named(&self, name: &str) -> Result<Option<SiteEntry>>;
}

/// Writes the local list of sites.
///
/// # Errors
/// Each call: the storage cannot be written. The call changed nothing.
pub trait SiteWrites: SiteReads {
    /// Adds or changes a site of the local list.
    ///
    /// # Errors
    /// Another site has this name or UUID.
    fn put_site(&self, site: &SiteEntry) -> Result<()>;
    /// Removes a site of the local list; returns whether it existed.
    fn remove_site(&self, id: SiteId) -> Result<bool>;
}
