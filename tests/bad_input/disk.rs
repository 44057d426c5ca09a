//! Disks that are full or read-only.
//!
//! The disk is a small one in memory, mounted for one process, which needs Linux and no special rights. Where that is
//! impossible these tests say so and do nothing, unless `OMS_SYNC_DISK` is `required`.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use sync_core::files::{Attach, Files, FilesConfig};
use sync_core::site::FilesOptions;
use sync_core::storage::{FileState, SqliteStorage};
use sync_core::{Error, NoopObserver, Replica, SyncOptions};
use sync_tests::world::{asset, data};

use super::{Bench, assert_error, patient, settings, site_over};

const DISK: &str = "OMS_SYNC_TEST_DISK";

/// The small disk, in the process that has it; elsewhere runs `test` in such a process.
fn small_disk(test: &str) -> Option<PathBuf> {
    if let Some(disk) = std::env::var_os(DISK) {
        return Some(PathBuf::from(disk));
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let script = r#"mount -t tmpfs -o size=16m none "$OMS_SYNC_TEST_DISK" && echo mounted && exec "$0" "$@""#;
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "--", "sh", "-c", script])
        .arg(std::env::current_exe().expect("this binary"))
        .args(["--exact", test, "--nocapture"])
        .env(DISK, folder.path())
        .output();
    match output {
        Ok(output) if String::from_utf8_lossy(&output.stdout).contains("mounted") => {
            let (said, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert!(output.status.success(), "{said}\n{wrong}");
        }
        other => {
            let is_required = std::env::var("OMS_SYNC_DISK").as_deref() == Ok("required");
            assert!(!is_required, "no disk can be mounted here: {other:?}");
            eprintln!("SKIPPED: no disk can be mounted here ({other:?})");
        }
    }
    None
}

/// A bench whose site's database is on this disk.
fn bench_on(disk: &std::path::Path) -> Bench {
    let mut bench = Bench::before_set_up();
    bench.storage = Arc::new(SqliteStorage::open(disk.join("a.sqlite")).expect("a database"));
    bench.site = site_over(&bench.storage, &patient());
    bench.records = Replica::with_storage(bench.storage.clone()).records();
    bench.site.set_up(&settings(&bench.server.url()), &mut NoopObserver).expect("set up");
    bench.sync_well();
    bench
}

/// The error of a cycle, whether it could be logged or not.
fn error_of_cycle(bench: &Bench) -> Error {
    match bench.site.sync(&SyncOptions::default(), &mut NoopObserver) {
        Ok(report) => report.error.expect("an error"),
        Err(error) => error,
    }
}

#[test]
fn a_full_disk_loses_nothing_and_heals() {
    let Some(disk) = small_disk("bad_input::disk::a_full_disk_loses_nothing_and_heals") else { return };
    let bench = bench_on(&disk);
    bench.plant("x");
    for n in 0..4 {
        let large = format!(r#"{{"id":"large{n}","name":"{}"}}"#, "n".repeat(300_000));
        bench.central.records.put("asset_class", [data(&large)]).unwrap();
    }
    let before = bench.cursors();
    let ballast = disk.join("ballast");
    // Fills the disk as far as it goes: that it cannot take all is the point.
    let _ = std::fs::write(&ballast, vec![1; 20 * 1024 * 1024]);
    assert_error("full", &error_of_cycle(&bench), "disk_full", "local_fault");
    assert_eq!(bench.cursors(), before, "nothing was saved, no cursor moved");
    let write = bench.records.put("asset", [asset("y", "STORE_a", &"n".repeat(100_000))]).unwrap_err();
    assert_error("full", &write, "disk_full", "local_fault");
    assert!(!bench.site_has("asset", "y"), "reading goes on, and nothing was written by half");
    let new = SqliteStorage::open(disk.join("new.sqlite")).unwrap_err();
    assert_error("a new database on a full disk", &new, "disk_full", "local_fault");

    // A little space: the small is saved, the large is not.
    let file = std::fs::OpenOptions::new().write(true).open(&ballast).unwrap();
    file.set_len(file.metadata().unwrap().len() - 200 * 1024).unwrap();
    drop(file);
    assert_error("nearly full", &error_of_cycle(&bench), "disk_full", "local_fault");
    assert!(bench.cursors().0 == before.0 && bench.quarantined().is_empty());

    std::fs::remove_file(&ballast).unwrap();
    bench.assert_heals("space again", "x");
    assert_eq!(bench.count("asset_class"), 5);
}

#[test]
fn a_disk_that_becomes_read_only_loses_nothing_and_heals() {
    let test = "bad_input::disk::a_disk_that_becomes_read_only_loses_nothing_and_heals";
    let Some(disk) = small_disk(test) else { return };
    let remount = |how: &str| {
        let done = Command::new("mount").args(["-o", how]).arg(&disk).status().expect("mount");
        assert!(done.success(), "{how}");
    };
    let bench = bench_on(&disk);
    bench.plant("x");
    let before = bench.cursors();
    let sound = disk.join("closed.sqlite");
    drop(SqliteStorage::open(&sound).unwrap());
    let central = bench.central;
    let (server, folder) = (bench.server, bench.folder);
    // A file that is open for writing keeps a disk from becoming read-only.
    drop((bench.site, bench.records, bench.storage));
    remount("remount,ro");
    for path in ["a.sqlite", "closed.sqlite"] {
        let error = SqliteStorage::open(disk.join(path)).unwrap_err();
        assert_error(path, &error, "database_read_only", "local_fault");
    }
    remount("remount,rw");
    let storage = Arc::new(SqliteStorage::open(disk.join("a.sqlite")).unwrap());
    let site = site_over(&storage, &patient());
    let records = Replica::with_storage(storage.clone()).records();
    let bench = Bench { central, server, storage, site, records, folder };
    assert_eq!(bench.cursors(), before);
    bench.assert_heals("writable again", "x");
}

#[test]
fn a_full_disk_keeps_out_the_large_file_only() {
    let test = "bad_input::disk::a_full_disk_keeps_out_the_large_file_only";
    let Some(disk) = small_disk(test) else { return };
    let mut bench = bench_on(&disk);
    let at_once = {
        let mut config = FilesConfig::default();
        config.retry_wait = Duration::ZERO;
        config
    };
    let new_files =
        |bench: &Bench, folder| Replica::with_storage(bench.storage.clone()).files(folder).with_config(at_once.clone());
    let files = new_files(&bench, disk.join("files"));
    bench.records.put("asset", [asset("x", "STORE_a", "")]).unwrap();
    bench.sync_well();
    let attach = |files: &Files, bytes: &[u8]| {
        let attach = Attach::new("asset", "x", "n");
        files.attach_bytes(&attach, &mut &*bytes)
    };
    let of_central = bench.central.files();
    let large = attach(&of_central, &vec![1; 12 * 1024 * 1024]).unwrap();
    let small = attach(&of_central, b"small").unwrap();
    bench.sync_well();
    let ballast = disk.join("ballast");
    std::fs::write(&ballast, vec![1; 8 * 1024 * 1024]).unwrap();
    assert_error("attached", &attach(&files, &vec![1; 12 * 1024 * 1024]).unwrap_err(), "disk_full", "local_fault");
    assert_eq!(std::fs::read_dir(disk.join("files/unfinished")).unwrap().count(), 0);

    let report = bench.site.sync_files(&files, &FilesOptions::default(), &mut NoopObserver).unwrap();
    // What came of the large one fills the disk; the database may need some of it.
    std::fs::remove_file(&ballast).unwrap();
    assert!(report.downloaded <= 1 && files.path(&large).unwrap().is_none(), "{report:?}");
    let mut rounds = 0;
    while files.path(&large).unwrap().is_none() || files.path(&small).unwrap().is_none() {
        rounds += 1;
        assert!(rounds < 4, "{:?}", files.list(None, 9));
        let _ = bench.site.sync_files(&files, &FilesOptions::default(), &mut NoopObserver).unwrap();
    }
    assert_eq!(std::fs::read(files.path(&large).unwrap().unwrap()).unwrap(), vec![1; 12 * 1024 * 1024]);

    // The folder's disk is full, the database's is not: the large file fails by itself.
    bench.storage = Arc::new(SqliteStorage::open(bench.folder.path().join("elsewhere.sqlite")).unwrap());
    bench.site = site_over(&bench.storage, &patient());
    bench.site.set_up(&settings(&bench.server.url()), &mut NoopObserver).unwrap();
    bench.sync_well();
    std::fs::remove_dir_all(disk.join("files")).unwrap();
    std::fs::write(&ballast, vec![1; 8 * 1024 * 1024]).unwrap();
    let files = new_files(&bench, disk.join("others"));
    let report = bench.site.sync_files(&files, &FilesOptions::default(), &mut NoopObserver).unwrap();
    assert_eq!(report.failed, 1, "{report:?}");
    let listed = files.list(None, 9).unwrap();
    let of = |id| listed.iter().find(|info| info.entry.id == id).expect("a file");
    assert_eq!(of(large.clone()).entry.state, FileState::Failed);
    assert!(of(large.clone()).entry.reason.as_ref().unwrap().contains("the disk is full"), "{listed:?}");
    std::fs::remove_file(&ballast).unwrap();
    let report = bench.site.sync_files(&files, &FilesOptions::default(), &mut NoopObserver).unwrap();
    assert!(report.error.is_none() && report.failed == 0, "{report:?}");
    assert!(files.path(&large).unwrap().is_some() && files.path(&small).unwrap().is_some());
}
