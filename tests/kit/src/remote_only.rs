//! A storage for remote sites only.

use std::sync::Arc;

use super::watched::{Operation, Watch, Watched};
use sync_core::Result;
use sync_core::storage::{CycleLock, ReadTxn, Storage, WriteTxn};

/// A wrapper of a storage without the part for a central server: a site that works on it does not need that part.
///
/// ```
/// use std::sync::Arc;
/// use sync_core::storage::{MemoryStorage, Storage};
/// use sync_testkit::RemoteOnlyStorage;
///
/// let storage = RemoteOnlyStorage::new(Arc::new(MemoryStorage::new()));
/// let txn = storage.read()?;
/// assert!(txn.as_central().is_none());
/// assert_eq!(txn.central().err().map(|error| error.code()), Some("wrong_role"));
/// # Ok::<(), sync_core::Error>(())
/// ```
pub struct RemoteOnlyStorage(Watched<WithoutCentral>);

struct WithoutCentral;

impl Watch for WithoutCentral {
    fn before(&self, _operation: Operation) -> Result<()> {
        Ok(())
    }

    fn has_central(&self) -> bool {
        false
    }
}

impl RemoteOnlyStorage {
    /// The part of this storage that a remote site needs.
    pub fn new(inner: Arc<dyn Storage>) -> Self {
        Self(Watched { inner, watch: WithoutCentral })
    }
}

impl Storage for RemoteOnlyStorage {
    fn read(&self) -> Result<Box<dyn ReadTxn + '_>> {
        self.0.read()
    }

    fn write(&self) -> Result<Box<dyn WriteTxn + '_>> {
        self.0.write()
    }

    fn lock_cycle(&self) -> Result<CycleLock> {
        self.0.lock_cycle()
    }
}
