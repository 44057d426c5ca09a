//! A storage of the host's own: one that can be made read-only while the app backs its folder up, and that counts commits.
//!
//! It stands on the storage in memory, as a host's may stand on any other. One from nothing implements the traits of
//! `sync_core::storage` itself; the one in memory (`src/storage/memory/`) is the shortest. The crate `sync-testkit` has the contract
//! that each must pass, as a test for each promise: `sync_testkit::storage_contract!(mine, || Arc::new(PausedStorage::default()))`.
//!
//! `cargo run -p sync-core --example own_storage`

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use sync_core::record::AssetClass;
use sync_core::storage::{CycleLock, MemoryStorage, ReadTxn, Storage, WriteTxn};
use sync_core::{Error, Replica, Result};

/// A storage in memory that refuses to write while it is paused.
#[derive(Default)]
pub(crate) struct PausedStorage {
    inner: MemoryStorage,
    is_paused: AtomicBool,
    begun: AtomicU64,
}

impl PausedStorage {
    pub(crate) fn pause(&self, is_paused: bool) {
        self.is_paused.store(is_paused, Ordering::SeqCst);
    }
}

impl Storage for PausedStorage {
    fn read(&self) -> Result<Box<dyn ReadTxn + '_>> {
        self.inner.read()
    }

    fn write(&self) -> Result<Box<dyn WriteTxn + '_>> {
        if self.is_paused.load(Ordering::SeqCst) {
            // A class of error that the engine knows: nothing is lost, and the next cycle goes on.
            return Err(Error::DatabaseBusy { source: "the app makes a backup".into() });
        }
        self.begun.fetch_add(1, Ordering::SeqCst);
        self.inner.write()
    }

    fn lock_cycle(&self) -> Result<CycleLock> {
        self.inner.lock_cycle()
    }
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    println!("{} writing transactions", run()?);
    Ok(())
}

/// Writes records through it, and returns how many transactions that took.
pub(crate) fn run() -> std::result::Result<u64, Box<dyn std::error::Error>> {
    let storage = Arc::new(PausedStorage::default());
    let replica = Replica::with_storage(storage.clone());
    replica.site_registry()?; // makes it a central server's
    let class = AssetClass { id: "cold".into(), name: "Cold chain".into(), ..AssetClass::default() };
    storage.pause(true);
    let refused = replica.records().of().put(&class);
    storage.pause(false);
    println!("while it is paused: {:?}", refused.map_err(|error| error.to_string()));
    replica.records().of().put(&class)?;
    Ok(storage.begun.load(Ordering::SeqCst))
}
