//! A storage that fails on request.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::watched::{Operation, Watch, Watched};
use sync_core::record::RecordData;
use sync_core::storage::{CycleLock, ReadTxn, Storage, WriteTxn};
use sync_core::{Error, Result};

/// A wrapper of a storage that fails on request.
///
/// Every operation counts: beginning a transaction, each call in it, its commit, and taking the lock of the cycle. An
/// operation that fails has no effect; a commit that fails rolls back.
///
/// ```
/// use std::sync::Arc;
/// use sync_core::storage::{MemoryStorage, Storage};
/// use sync_testkit::FaultyStorage;
///
/// let storage = FaultyStorage::new(Arc::new(MemoryStorage::new()));
/// storage.crash_at(3);
/// let txn = storage.write()?;
/// txn.set_state("key", "value")?;
/// assert!(txn.commit().is_err() && storage.read().is_err(), "gone from the third operation on");
/// storage.heal();
/// assert_eq!(storage.read()?.state("key")?, None);
/// # Ok::<(), sync_core::Error>(())
/// ```
pub struct FaultyStorage(Watched<Faults>);

type MakeError = Box<dyn Fn(Operation) -> Error + Send + Sync>;

struct Plan {
    /// The number of operations before the one that fails.
    left: u64,
    /// True if all later ones fail too.
    crashes: bool,
    error: MakeError,
}

#[derive(Default)]
struct Faults(Mutex<FaultState>);

#[derive(Default)]
struct FaultState {
    operations: u64,
    failed: u64,
    plan: Option<Plan>,
    refused: Option<String>,
}

impl Faults {
    fn state(&self) -> MutexGuard<'_, FaultState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch for Faults {
    fn before(&self, operation: Operation) -> Result<()> {
        let mut state = self.state();
        state.operations += 1;
        let Some(plan) = &mut state.plan else { return Ok(()) };
        if plan.left > 0 {
            plan.left -= 1;
            return Ok(());
        }
        let error = (plan.error)(operation);
        if !plan.crashes {
            state.plan = None;
        }
        state.failed += 1;
        Err(error)
    }

    fn before_record(&self, data: &RecordData) -> Result<()> {
        let mut state = self.state();
        let Some(text) = state.refused.clone().filter(|text| data.as_str().contains(text)) else { return Ok(()) };
        state.failed += 1;
        Err(Error::Database { source: format!("a constraint forbids {text:?}").into() })
    }
}

impl FaultyStorage {
    /// Wraps this storage; nothing fails yet.
    pub fn new(inner: Arc<dyn Storage>) -> Self {
        Self(Watched { inner, watch: Faults::default() })
    }

    /// Makes the `n`th operation from now on fail with this error, and none after it. The first is 1.
    pub fn fail_at(&self, n: u64, error: impl Fn(Operation) -> Error + Send + Sync + 'static) {
        self.0.watch.state().plan = Some(Plan { left: n.saturating_sub(1), crashes: false, error: Box::new(error) });
    }

    /// Makes every operation from the `n`th from now on fail, until it is [healed](Self::heal), as if the process died
    /// there. The first is 1.
    pub fn crash_at(&self, n: u64) {
        let error = |operation| Error::Database { source: format!("planned crash before {operation}").into() };
        self.0.watch.state().plan = Some(Plan { left: n.saturating_sub(1), crashes: true, error: Box::new(error) });
    }

    /// Makes each record with this text fail to be stored, like one that a constraint of the database forbids.
    pub fn refuse_records(&self, text: &str) {
        self.0.watch.state().refused = Some(text.to_owned());
    }

    /// Counts an operation outside the storage, such as one on a file beside it, and fails it if it is the planned one.
    ///
    /// # Errors
    /// It is the planned one, or a later one after a crash.
    pub fn operate(&self, what: &'static str) -> Result<()> {
        self.0.watch.before(Operation::Call(what))
    }

    /// Ends all faults.
    pub fn heal(&self) {
        self.0.watch.state().plan = None;
    }

    /// The number of operations so far, including failed ones.
    pub fn operations(&self) -> u64 {
        self.0.watch.state().operations
    }

    /// The number of operations that failed on request.
    pub fn failed(&self) -> u64 {
        self.0.watch.state().failed
    }
}

impl Storage for FaultyStorage {
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
