//! Tests the promises of a storage on each storage and on each wrapper, and the budgets of transactions.

mod budgets;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use sync_core::Replica;
use sync_core::Result;
use sync_core::clock::SystemClock;
use sync_core::storage::{CycleLock, MemoryStorage, ReadTxn, SqliteStorage, Storage, WriteTxn};
use sync_testkit::{CountingStorage, FaultyStorage, RemoteOnlyStorage};
use tempfile::TempDir;

/// A database whose folder is removed with it.
struct InFolder {
    storage: SqliteStorage,
    _folder: TempDir,
}

impl Storage for InFolder {
    fn read(&self) -> Result<Box<dyn ReadTxn + '_>> {
        self.storage.read()
    }

    fn write(&self) -> Result<Box<dyn WriteTxn + '_>> {
        self.storage.write()
    }

    fn lock_cycle(&self) -> Result<CycleLock> {
        self.storage.lock_cycle()
    }
}

fn in_a_file() -> Arc<dyn Storage> {
    let folder = tempfile::tempdir().unwrap();
    let storage = SqliteStorage::open(folder.path().join("site.sqlite")).unwrap();
    Arc::new(InFolder { storage, _folder: folder })
}

fn in_memory() -> Arc<dyn Storage> {
    Arc::new(MemoryStorage::new())
}

fn one_file() -> impl Fn() -> Arc<dyn Storage> {
    let folder = tempfile::tempdir().unwrap();
    move || Arc::new(SqliteStorage::open(folder.path().join("site.sqlite")).unwrap())
}

sync_testkit::storage_contract!(sqlite, in_a_file);
sync_testkit::storage_contract!(sqlite_reopened, reopen = one_file());
sync_testkit::storage_contract!(memory, in_memory);
sync_testkit::storage_contract!(own_storage, || Arc::new(crate::own_storage::PausedStorage::default())
    as Arc<dyn Storage>);
sync_testkit::storage_contract!(counting_over_sqlite, || Arc::new(CountingStorage::new(in_a_file()))
    as Arc<dyn Storage>);
sync_testkit::storage_contract!(counting_over_memory, || Arc::new(CountingStorage::new(in_memory()))
    as Arc<dyn Storage>);
sync_testkit::storage_contract!(faulty_over_memory, || Arc::new(FaultyStorage::new(in_memory())) as Arc<dyn Storage>);
sync_testkit::storage_contract!(remote_only, || Arc::new(RemoteOnlyStorage::new(in_memory())) as Arc<dyn Storage>,
    parts: [remote]);

#[test]
fn a_central_server_over_a_storage_for_remote_sites_says_so() {
    let storage: Arc<dyn Storage> = Arc::new(RemoteOnlyStorage::new(in_memory()));
    let txn = storage.write().unwrap();
    assert!(txn.as_central().is_none() && txn.as_central_writer().is_none());
    drop(txn);
    let clock = Arc::new(SystemClock::new());
    let replica = Replica::builder().clock(clock.clone()).with_storage(storage.clone());
    let sites = replica.site_registry().unwrap();
    assert_eq!(sites.list().unwrap_err().code(), "wrong_role");
    let central = replica.stand_alone_central();
    let error = central.integrate_waiting().unwrap_err();
    assert_eq!(error.to_string(), "this needs a central server, and this database is a storage for remote sites only",);
}

#[test]
fn storage_contract_lists_every_promise() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("kit/src/storage_contract");
    let stamped = std::fs::read_to_string(folder.join("mod.rs")).unwrap();
    let mut written = BTreeSet::new();
    for file in std::fs::read_dir(&folder).unwrap() {
        let path = file.unwrap().path();
        let part = path.file_stem().unwrap().to_str().unwrap().to_owned();
        for line in std::fs::read_to_string(&path).unwrap().lines() {
            if let Some((name, _)) = line.strip_prefix("pub fn ").and_then(|line| line.split_once('(')) {
                assert!(stamped.contains(&format!("{part}::{name},")), "{part}::{name} is not in storage_contract!");
                written.insert(name.to_owned());
            }
        }
    }
    assert!(written.len() > 50, "{}", written.len());
}

#[test]
fn a_storage_that_fails_at_any_operation_keeps_all_or_nothing() {
    let storage = FaultyStorage::new(in_memory());
    let write = || -> Result<()> {
        let txn = storage.write()?;
        txn.set_state("first", "1")?;
        txn.set_state("last", "1")?;
        txn.commit()
    };
    for crashes in [false, true] {
        for n in 1..=4 {
            match crashes {
                true => storage.crash_at(n),
                false => storage.fail_at(n, |_| sync_core::Error::DiskFull { source: "planned".into() }),
            }
            let error = write().unwrap_err();
            assert_eq!(error.code(), if crashes { "database_failed" } else { "disk_full" }, "{error}");
            assert_eq!(storage.read().is_err(), crashes, "a crash lasts");
            storage.heal();
            assert_eq!(storage.read().unwrap().state("first").unwrap(), None, "operation {n}");
        }
    }
    assert_eq!(storage.failed(), 12);
    write().unwrap();
    let before = storage.operations();
    assert_eq!(storage.read().unwrap().state("last").unwrap().as_deref(), Some("1"));
    assert_eq!(storage.operations() - before, 2);
}
