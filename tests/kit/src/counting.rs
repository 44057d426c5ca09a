//! A storage that counts its transactions and calls.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::watched::{Operation, Watch, Watched};
use sync_core::Result;
use sync_core::storage::{CycleLock, ReadTxn, Storage, WriteTxn};

/// The counts of a storage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Transactions begun to read.
    pub reads: u64,
    /// Transactions begun to write.
    pub writes: u64,
    /// Of those, the committed ones.
    pub commits: u64,
    /// Calls within transactions, by the name of the method.
    pub calls: BTreeMap<&'static str, u64>,
}

/// A wrapper of a storage that counts transactions and calls, so that a test can hold a budget.
///
/// ```
/// use std::sync::Arc;
/// use sync_core::storage::{MemoryStorage, Storage};
/// use sync_testkit::CountingStorage;
///
/// let storage = CountingStorage::new(Arc::new(MemoryStorage::new()));
/// storage.read()?.record_counts()?;
/// let counts = storage.take_counts();
/// assert_eq!((counts.reads, counts.writes, counts.calls["record_counts"]), (1, 0, 1));
/// # Ok::<(), sync_core::Error>(())
/// ```
pub struct CountingStorage(Watched<Counter>);

#[derive(Default)]
struct Counter(Mutex<Counts>);

impl Counter {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch for Counter {
    fn before(&self, operation: Operation) -> Result<()> {
        let mut counts = self.counts();
        match operation {
            Operation::Read => counts.reads += 1,
            Operation::Write => counts.writes += 1,
            Operation::Call(name) => *counts.calls.entry(name).or_default() += 1,
            Operation::Commit | Operation::LockCycle => {}
        }
        Ok(())
    }

    fn committed(&self) {
        self.counts().commits += 1;
    }
}

impl CountingStorage {
    /// Counts the calls of this storage.
    pub fn new(inner: Arc<dyn Storage>) -> Self {
        Self(Watched { inner, watch: Counter::default() })
    }

    /// The counts so far.
    pub fn counts(&self) -> Counts {
        self.0.watch.counts().clone()
    }

    /// Returns the counts so far, and resets them.
    pub fn take_counts(&self) -> Counts {
        std::mem::take(&mut self.0.watch.counts())
    }
}

impl Storage for CountingStorage {
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
