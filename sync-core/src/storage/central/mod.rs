//! The part of a storage for a central server: its sites, their pushes, and their legacy records.

mod activity;
mod legacy_mirror;
mod site_pushes;
mod sites;

pub use activity::{ActivityReads, ActivityWrites, SiteActivity};
pub use legacy_mirror::{LegacyMirrorReads, LegacyMirrorWrites, MirroredRecord};
pub use site_pushes::{PushedVersion, SitePushReads, SitePushWrites};
pub use sites::{SiteEntry, SiteReads, SiteWrites};

use super::{ReadTxn, WriteTxn};
use crate::error::{Error, Result};

/// Reads central's part of a storage: see [`ReadTxn::as_central`].
pub trait CentralReads: SiteReads + ActivityReads + SitePushReads + LegacyMirrorReads {}

impl<T: SiteReads + ActivityReads + SitePushReads + LegacyMirrorReads + ?Sized> CentralReads for T {}

/// Writes central's part of a storage: see [`WriteTxn::as_central_writer`].
pub trait CentralWrites: CentralReads + SiteWrites + ActivityWrites + SitePushWrites + LegacyMirrorWrites {}

impl<T: CentralReads + SiteWrites + ActivityWrites + SitePushWrites + LegacyMirrorWrites + ?Sized> CentralWrites for T {}

fn for_remote_sites_only() -> Error {
    Error::WrongRole { needed: "central server", found: "storage for remote sites only" }
}

impl dyn ReadTxn + '_ {
    /// Central's part of this storage.
    ///
    /// # Errors
    /// [`Error::WrongRole`] if the storage is for remote sites only.
    pub fn central(&self) -> Result<&dyn CentralReads> {
        self.as_central().ok_or_else(for_remote_sites_only)
    }
}

impl dyn WriteTxn + '_ {
    /// Central's part of this storage, to read and to write.
    ///
    /// # Errors
    /// [`Error::WrongRole`] if the storage is for remote sites only.
    pub fn central(&self) -> Result<&dyn CentralWrites> {
        self.as_central_writer().ok_or_else(for_remote_sites_only)
    }
}
