//! A storage over another, with a watcher that is told each operation before it happens and may forbid it.

mod central;
mod topics;

use std::fmt;
use std::sync::Arc;

use sync_core::Result;
use sync_core::record::RecordData;
use sync_core::storage::{CentralReads, CentralWrites, CycleLock, ReadTxn, Storage, WriteTxn};

/// Something that is asked of a storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// To begin a transaction that reads.
    Read,
    /// To begin a transaction that writes.
    Write,
    /// A call within a transaction: the name of the method.
    Call(&'static str),
    /// To make a transaction take effect.
    Commit,
    /// To take the lock of the cycle.
    LockCycle,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Call(name) => name,
            Self::Commit => "commit",
            Self::LockCycle => "lock_cycle",
        })
    }
}

pub(super) trait Watch: Send + Sync {
    /// Is told an operation; an error forbids it.
    fn before(&self, operation: Operation) -> Result<()>;

    /// Is told a record before it is stored; an error forbids it.
    fn before_record(&self, _data: &RecordData) -> Result<()> {
        Ok(())
    }

    /// Whether the part of a central server is passed on.
    fn has_central(&self) -> bool {
        true
    }

    /// Is told that a transaction took effect.
    fn committed(&self) {}
}

pub(super) struct Watched<W> {
    pub inner: Arc<dyn Storage>,
    pub watch: W,
}

impl<W: Watch> Watched<W> {
    pub(super) fn read(&self) -> Result<Box<dyn ReadTxn + '_>> {
        self.watch.before(Operation::Read)?;
        Ok(Box::new(WatchedTxn { inner: self.inner.read()?, watch: &self.watch }))
    }

    pub(super) fn write(&self) -> Result<Box<dyn WriteTxn + '_>> {
        self.watch.before(Operation::Write)?;
        Ok(Box::new(WatchedTxn { inner: self.inner.write()?, watch: &self.watch }))
    }

    pub(super) fn lock_cycle(&self) -> Result<CycleLock> {
        self.watch.before(Operation::LockCycle)?;
        self.inner.lock_cycle()
    }
}

pub(super) struct WatchedTxn<'s, T: ?Sized> {
    pub(super) inner: Box<T>,
    pub(super) watch: &'s dyn Watch,
}

impl<T: ?Sized> WatchedTxn<'_, T> {
    pub(super) fn call(&self, name: &'static str) -> Result<()> {
        self.watch.before(Operation::Call(name))
    }
}

impl<T: ReadTxn + ?Sized> ReadTxn for WatchedTxn<'_, T> {
    fn as_central(&self) -> Option<&dyn CentralReads> {
        self.inner.as_central().filter(|_| self.watch.has_central()).map(|_| self as &dyn CentralReads)
    }
}

impl WriteTxn for WatchedTxn<'_, dyn WriteTxn + '_> {
    fn as_central_writer(&self) -> Option<&dyn CentralWrites> {
        self.inner.as_central_writer().filter(|_| self.watch.has_central()).map(|_| self as &dyn CentralWrites)
    }

    fn commit(self: Box<Self>) -> Result<()> {
        self.watch.before(Operation::Commit)?;
        self.inner.commit()?;
        self.watch.committed();
        Ok(())
    }
}
