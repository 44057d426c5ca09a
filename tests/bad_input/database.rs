//! Faults of the database file, and the traces of a process that dies.

use std::ffi::OsStr;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use sync_core::storage::{SqliteStorage, Storage as _, state};
use sync_core::{SyncEvent, SyncOptions};

use super::{Bench, assert_error, patient, site_over};

/// Runs one test of this binary in a process of its own.
pub(super) fn again(test: &str, variables: &[(&str, &OsStr)]) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this binary"));
    command.args(["--exact", test, "--nocapture"]).envs(variables.iter().copied());
    command
}

fn refused(path: &Path) -> sync_core::Error {
    SqliteStorage::open(path).expect_err("not opened")
}

/// A sound database of a site, closed.
fn closed_database(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("site.sqlite");
    drop(SqliteStorage::open(&path).unwrap());
    path
}

#[test]
fn a_writer_waits_for_another_program_that_is_soon_done() {
    let bench = Bench::new();
    let holder = Connection::open(bench.path()).unwrap();
    holder.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let began = Instant::now();
    let other = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(500));
        holder.execute_batch("COMMIT").unwrap();
    });
    assert_eq!(bench.count("store"), 1, "readers go on");
    bench.plant("x");
    assert!(began.elapsed() >= Duration::from_millis(400));
    other.join().unwrap();
    bench.assert_heals("waited", "x");
}

#[test]
fn a_writer_gives_up_on_another_program_that_is_not() {
    let bench = Bench::new();
    bench.plant("x");
    let before = bench.cursors();
    let holder = Connection::open(bench.path()).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (_, second) = (bench.count("store"), SqliteStorage::open(bench.path()).unwrap());
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| second.write().err().unwrap());
        let error = bench.storage.write().err().unwrap();
        assert_error("locked", &error, "database_busy", "local_fault");
        assert_error("locked", &waiting.join().unwrap(), "database_busy", "local_fault");
    });
    holder.execute_batch("ROLLBACK").unwrap();
    bench.assert_nothing_passed("locked", "x", before);
    bench.assert_heals("locked", "x");
}

#[test]
fn files_that_are_no_database_of_ours_are_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let made = |name: &str, make: &dyn Fn(&Path)| {
        let path = folder.path().join(name);
        make(&path);
        path
    };
    let sql = |path: &Path, sql: &str| Connection::open(path).unwrap().execute_batch(sql).unwrap();
    let other = "CREATE TABLE foo (x); INSERT INTO foo VALUES (1);";
    for (path, code, class) in [
        (
            made("text", &|path| std::fs::write(path, "Dear diary\n".repeat(500)).unwrap()),
            "not_a_database",
            "local_fault",
        ),
        (made("short", &|path| std::fs::write(path, "Dear diary").unwrap()), "not_a_database", "local_fault"),
        (made("zeros", &|path| std::fs::write(path, vec![0; 8192]).unwrap()), "not_a_database", "local_fault"),
        (made("other", &|path| sql(path, other)), "not_a_database", "local_fault"),
        (
            made("other_wal", &|path| sql(path, &format!("PRAGMA journal_mode = WAL; {other}"))),
            "not_a_database",
            "local_fault",
        ),
        (
            made("other_application", &|path| sql(path, "PRAGMA application_id = 7; PRAGMA user_version = 1;")),
            "not_a_database",
            "local_fault",
        ),
        (
            made("newer", &|path| {
                std::fs::copy(closed_database(folder.path()), path).unwrap();
                sql(path, "PRAGMA journal_mode = DELETE; PRAGMA user_version = 99;");
            }),
            "database_too_new",
            "upgrade",
        ),
        (
            made("newer_wal", &|path| {
                std::fs::copy(closed_database(folder.path()), path).unwrap();
                sql(path, "PRAGMA user_version = 99;");
            }),
            "database_too_new",
            "upgrade",
        ),
    ] {
        let bytes = std::fs::read(&path).unwrap();
        let what = path.display().to_string();
        for error in [refused(&path), SqliteStorage::open_existing(&path).unwrap_err()] {
            assert_error(&what, &error, code, class);
            assert!(code != "not_a_database" || error.to_string().contains(&what), "{error}");
        }
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "{what} is as it was");
    }
}

#[test]
fn an_empty_file_becomes_a_database() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("empty");
    std::fs::write(&path, "").unwrap();
    assert_eq!(SqliteStorage::open(&path).unwrap().read().unwrap().record_counts().unwrap(), []);
    assert!(SqliteStorage::open_existing(&path).is_ok());
}

#[test]
fn paths_that_lead_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("none.sqlite");
    assert_error("none", &SqliteStorage::open_existing(&missing).unwrap_err(), "no_database", "configure");
    assert!(!missing.exists());
    assert_error("no folder", &refused(&folder.path().join("no/such.sqlite")), "io_failed", "local_fault");
    assert_error("a folder", &refused(folder.path()), "not_a_database", "local_fault");
}

#[test]
fn several_programs_may_make_the_same_database_at_once() {
    for _ in 0..10 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new.sqlite");
        std::thread::scope(|scope| {
            let makers: Vec<_> = (0..6).map(|_| scope.spawn(|| SqliteStorage::open(&path).map(drop))).collect();
            for maker in makers {
                maker.join().unwrap().unwrap();
            }
        });
    }
}

#[test]
fn a_database_that_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let sound = std::fs::read(closed_database(folder.path())).unwrap();
    for (what, bytes) in [
        ("cut in half", sound[..sound.len() / 2].to_vec()),
        ("cut within its first page", sound[..1000].to_vec()),
        ("without its last byte", sound[..sound.len() - 1].to_vec()),
        ("overwritten after its first page", {
            let mut bytes = sound.clone();
            bytes[4096..].fill(0x5a);
            bytes
        }),
    ] {
        let path = folder.path().join("damaged.sqlite");
        std::fs::write(&path, bytes).unwrap();
        let error = refused(&path);
        assert!(["database_failed", "not_a_database"].contains(&error.code()), "{what}: {error}");
        assert_eq!(error.class().as_str(), "local_fault", "{what}");
        assert!(!error.causes().is_empty() && !error.advice().is_empty(), "{what}: {error}");
    }
}

#[test]
fn state_that_something_else_changed() {
    let bench = Bench::new();
    bench.plant("x");
    for name in [state::PULL_CURSOR_V6.name(), state::PUSH_CURSOR_V6.name(), state::PULL_CURSOR_CENTRAL.name()] {
        for bad in ["", "abc", "-1", "18446744073709551616"] {
            let set = |value: &str| {
                let txn = bench.storage.write().unwrap();
                txn.set_state(name, value).unwrap();
                txn.commit().unwrap();
            };
            let right = bench.storage.read().unwrap().state(name).unwrap();
            set(bad);
            let report = bench.sync();
            assert_error(name, report.error.as_ref().unwrap(), "damaged_state", "local_fault");
            assert_eq!(bench.storage.read().unwrap().state(name).unwrap().as_deref(), Some(bad), "left to be seen");
            set(right.as_deref().unwrap_or("0"));
        }
    }
    bench.assert_heals("put right", "x");
}

const DIE_AT: &str = "OMS_SYNC_TEST_DIE_AT";
const DATABASE: &str = "OMS_SYNC_TEST_DATABASE";

/// In a process of its own: a cycle that ends, with the process, at its nth event.
fn die_at(event: usize, database: &Path) {
    let storage = std::sync::Arc::new(SqliteStorage::open_existing(database).unwrap());
    let mut seen = 0;
    let mut die = |_: &SyncEvent| {
        seen += 1;
        if seen == event {
            std::process::abort();
        }
        ControlFlow::Continue(())
    };
    let report = site_over(&storage, &patient()).sync(&SyncOptions::default(), &mut die).unwrap();
    assert!(report.error.is_none(), "{:?}", report.error);
}

#[test]
fn a_process_that_dies_at_any_event_loses_nothing() {
    if let (Ok(event), Some(database)) = (std::env::var(DIE_AT), std::env::var_os(DATABASE)) {
        return die_at(event.parse().unwrap(), Path::new(&database));
    }
    let bench = Bench::new();
    let test = "bad_input::database::a_process_that_dies_at_any_event_loses_nothing";
    for event in 1.. {
        let id = format!("{event}");
        bench.plant(&id);
        let before = bench.cursors();
        let variables =
            [(DIE_AT, OsStr::new(&id)), (DATABASE, bench.path().as_os_str())].map(|(n, v)| (n, v.to_owned()));
        let output =
            again(test, &variables.each_ref().map(|(name, value)| (*name, value.as_os_str()))).output().unwrap();
        if output.status.success() {
            assert!(event > 10, "there are more events than {event}");
            break;
        }
        assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"), "{output:?}");
        bench.assert_nothing_passed(&id, &id, before);
        bench.assert_heals(&id, &id);
    }
    let sound: String =
        Connection::open(bench.path()).unwrap().query_row("PRAGMA integrity_check", (), |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
}
