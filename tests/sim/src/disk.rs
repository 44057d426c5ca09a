//! The storage of an end: in memory or in a file, faulty on request, and a place where other things may happen.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, Weak};

use sync_core::Result;
use sync_core::storage::{
    CycleLock, MemoryStorage, PostgresAddress, PostgresStorage, ReadTxn, SqliteStorage, Storage, WriteTxn,
};
use sync_testkit::{FaultyStorage, RemoteOnlyStorage, TestDatabase};
use tempfile::TempDir;

use crate::lock;
use crate::run::{Sim, Spot};

/// Where an end keeps what it has.
pub enum Disk {
    /// In memory.
    Memory(Mutex<Arc<MemoryStorage>>),
    /// In this file.
    File(PathBuf),
    /// In this database on a PostgreSQL server, with a witness in a folder.
    Server(TestDatabase, TempDir),
}

/// A process of an end: its storage, open.
#[derive(Clone)]
pub struct Process {
    /// What is stored, without faults: for the judge and the hosts.
    pub raw: Arc<dyn Storage>,
    /// The same, which fails where it is told to.
    pub faulty: Arc<FaultyStorage>,
    /// The same, where other things happen before each transaction: for the engine.
    pub storage: Arc<dyn Storage>,
}

impl Disk {
    /// Opens it, as a process that begins.
    pub fn open(&self, end: usize, sim: &Weak<Sim>) -> Process {
        let raw: Arc<dyn Storage> = match self {
            Self::Memory(storage) => lock(storage).clone(),
            Self::File(path) => Arc::new(SqliteStorage::open(path).expect("a file that can be opened")),
            Self::Server(database, folder) => {
                let address = PostgresAddress::parse(&database.address()).expect("an address");
                let witness = folder.path().join("witness");
                Arc::new(PostgresStorage::open(&address, Some(&witness)).expect("a database that can be opened"))
            }
        };
        // A site needs nothing of what only a central server stores.
        let raw = if end == 0 { raw } else { Arc::new(RemoteOnlyStorage::new(raw)) as Arc<dyn Storage> };
        let faulty = Arc::new(FaultyStorage::new(raw.clone()));
        let storage = Arc::new(Watched { inner: faulty.clone(), end, sim: sim.clone() });
        Process { raw, faulty, storage }
    }
}

/// Lets other things happen before each transaction.
struct Watched {
    inner: Arc<FaultyStorage>,
    end: usize,
    sim: Weak<Sim>,
}

impl Watched {
    fn meanwhile(&self) {
        if let Some(sim) = self.sim.upgrade() {
            sim.meanwhile(Spot::Transaction, self.end);
        }
    }
}

impl Storage for Watched {
    fn read(&self) -> Result<Box<dyn ReadTxn + '_>> {
        self.meanwhile();
        self.inner.read()
    }

    fn write(&self) -> Result<Box<dyn WriteTxn + '_>> {
        self.meanwhile();
        self.inner.write()
    }

    fn lock_cycle(&self) -> Result<CycleLock> {
        self.inner.lock_cycle()
    }
}
