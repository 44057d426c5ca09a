//! A site in memory: the reference for the behaviour of a storage, simple rather than fast.

mod buffer;
mod changelog;
mod files;
mod pushed;
mod records;
mod settings;
mod sites;
mod state;
mod txn;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use self::state::{State, lock};
use self::txn::{MemoryTurn, MemoryTxn};
use super::writer_turns::WriterTurns;
use super::{CycleLock, ReadTxn, Storage, WriteTxn};
use crate::error::{Error, Result};
use crate::record::Cursor;

/// A complete storage in memory: gone with the process, and bounded by nothing but memory.
///
/// For tests and simulators, for hosts without a disk, and as the shortest version of the traits' promises: a
/// transaction works on a copy, and a commit replaces the original.
///
/// ```
/// use sync_core::storage::state::SITE_NAME;
/// use sync_core::storage::{MemoryStorage, Storage};
///
/// let storage = MemoryStorage::new();
/// let txn = storage.write()?;
/// SITE_NAME.set(txn.as_ref(), "clinic")?;
/// txn.commit()?;
/// assert_eq!(SITE_NAME.find(storage.read()?.as_ref())?.as_deref(), Some("clinic"));
/// # Ok::<(), sync_core::Error>(())
/// ```
#[derive(Default)]
pub struct MemoryStorage {
    committed: Mutex<State>,
    /// Held by the only writing transaction.
    writer: Mutex<()>,
    writer_turns: WriterTurns,
    cycle_runs: Arc<AtomicBool>,
}

impl MemoryStorage {
    /// An empty storage.
    pub fn new() -> Self {
        Self::default()
    }

    /// A backup of the committed state.
    pub fn backup(&self) -> MemoryBackup {
        MemoryBackup(self.snapshot())
    }

    /// Restores a backup of this storage in place of later commits.
    pub fn restore(&self, backup: &MemoryBackup) {
        let _turn = lock(&self.writer);
        let mut committed = lock(&self.committed);
        let mut state = backup.0.clone();
        state.went_back_from(&committed);
        *committed = state;
    }

    /// Another storage with the same content, as a copy of a whole machine has: it does not count as restored.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self { committed: Mutex::new(self.snapshot()), ..Self::default() }
    }

    /// Continues the changelog at this position at least, like a database that has seen as many changes.
    pub fn goes_on_at(&self, position: u64) {
        let _turn = lock(&self.writer);
        lock(&self.committed).goes_on_at(Cursor(position));
    }

    /// The committed state. Its parts are shared until one of them is written.
    fn snapshot(&self) -> State {
        lock(&self.committed).clone()
    }
}

impl std::fmt::Debug for MemoryStorage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryStorage").finish_non_exhaustive()
    }
}

impl Storage for MemoryStorage {
    fn read(&self) -> Result<Box<dyn ReadTxn + '_>> {
        Ok(Box::new(MemoryTxn::reading(self.snapshot())))
    }

    fn write(&self) -> Result<Box<dyn WriteTxn + '_>> {
        let turn = MemoryTurn::of(&self.writer, &self.writer_turns)?;
        Ok(Box::new(MemoryTxn::writing(self.snapshot(), &self.committed, turn)))
    }

    fn lock_cycle(&self) -> Result<CycleLock> {
        if self.cycle_runs.swap(true, Ordering::SeqCst) {
            return Err(Error::CycleRunning { holder: Some(std::process::id()) });
        }
        Ok(CycleLock::new(CycleRuns(self.cycle_runs.clone())))
    }
}

/// The whole content of a [`MemoryStorage`] at some moment.
#[derive(Clone)]
pub struct MemoryBackup(State);

impl std::fmt::Debug for MemoryBackup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MemoryBackup")
    }
}

/// Ends with the cycle.
struct CycleRuns(Arc<AtomicBool>);

impl Drop for CycleRuns {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}
