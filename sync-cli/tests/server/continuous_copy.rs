//! A continuous copy of a serving central server, as docs/central.md describes it: what a program such as Litestream relies on, and that program
//! itself where it is installed.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::json;

use crate::central;
use crate::support::{Desk, HARDWARE_ID, Server};

/// A central server, and a site that is set up.
fn clinic() -> (Desk, Server) {
    let (desk, server) = central(&[]);
    let init = ["init", "--legacy-url", &server.address, "--site", "clinic", "--password-file", "pw"];
    desk.run(&[&init[..], &["--hardware-id", HARDWARE_ID]].concat()).ends(0);
    desk.run(&["sync", "-q"]).ends(0);
    (desk, server)
}

/// The site writes and sends so many records, each in a push of its own.
fn push(desk: &Desk, ids: std::ops::Range<u32>) {
    let at = "2026-11-23T08:00:00";
    for id in ids {
        let asset =
            json!({ "id": format!("a{id}"), "store_id": "STORE", "created_datetime": at, "modified_datetime": at });
        desk.feed(&["records", "put", "asset", "-q"], &asset.to_string()).ends(0);
        desk.run(&["sync", "-q"]).ends(0);
    }
}

fn assets_in(desk: &Desk, db: &str) -> usize {
    desk.run(&["--db", db, "records", "list", "asset"]).ends(0).out.lines().count()
}

/// The salt in the head of SQLite's log. SQLite changes it when it begins the log anew.
fn salt(desk: &Desk) -> Vec<u8> {
    std::fs::read(desk.path("central.sqlite-wal")).expect("the log")[16..24].to_vec()
}

/// The database with its log as they lie on the disk, put in place on another machine, and served there.
fn restored(desk: &Desk, copy: &Path) -> usize {
    let copy = copy.to_str().expect("text");
    desk.run(&["check", copy]).ends(0);
    desk.run(&["--db", "standby.sqlite", "restore", copy, "--yes"]).ends(0);
    desk.run(&["--db", "standby.sqlite", "serve", "--check", "--listen", "127.0.0.1:0"]).ends(0);
    assets_in(desk, "standby.sqlite")
}

/// Such a program reads the log, which must not begin anew while it holds a transaction to read. It does the checkpoints itself, keeps
/// tables of its own in the database, and takes the turn to write for a moment.
#[test]
fn another_process_may_read_the_log_and_do_the_checkpoints_while_sites_are_served() {
    let (desk, server) = clinic();
    let other = rusqlite::Connection::open(desk.path("central.sqlite")).expect("the database");
    let mode: String = other.query_row("PRAGMA journal_mode", (), |row| row.get(0)).expect("a mode");
    assert_eq!(mode, "wal");
    other.pragma_update(None, "wal_autocheckpoint", 0).expect("it leaves the checkpoints to itself");
    other.busy_timeout(Duration::from_secs(60)).expect("it waits");
    let tables = "CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER); CREATE TABLE _litestream_lock (id INTEGER)";
    other.execute_batch(tables).expect("tables of its own");
    other.execute_batch("BEGIN; SELECT count(*) FROM _litestream_seq").expect("it reads");
    let before = salt(&desk);
    push(&desk, 0..8);
    assert_eq!(salt(&desk), before, "the server has not begun the log anew while it is read");

    // All that was pushed is in the two files.
    for end in ["", "-wal"] {
        std::fs::copy(desk.path(&format!("central.sqlite{end}")), desk.path(&format!("copy.sqlite{end}")))
            .expect("a copy");
    }
    other.execute_batch("COMMIT").expect("it has read");
    assert_eq!(restored(&desk, &desk.path("copy.sqlite")), 8);

    // It takes the turn to write; a push waits for it.
    let taken = "BEGIN IMMEDIATE; INSERT INTO _litestream_lock (id) VALUES (1)";
    other.execute_batch(taken).expect("its turn");
    std::thread::scope(|scope| {
        let pushes = scope.spawn(|| push(&desk, 8..9));
        std::thread::sleep(Duration::from_secs(1));
        other.execute_batch("ROLLBACK").expect("it is over");
        pushes.join().expect("the push came through");
    });
    // The checkpoint of another process moves everything into the file, and the server goes on.
    let busy: i64 = other.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |row| row.get(0)).expect("a checkpoint");
    assert_eq!(busy, 0);
    push(&desk, 9..10);
    assert_eq!(assets_in(&desk, "central.sqlite"), 10);
    drop(other);
    server.stop().ends(0);
    // Tables of that program are none of an app: the database can move to another storage. Nobody listens at this address.
    let to = "postgres://nobody@127.0.0.1:1/none";
    let moved = desk.run(&["migrate", "central.sqlite", to, "--json"]);
    assert_ne!(moved.error().0, "bad_input", "{moved:?}");
}

/// Litestream itself, where it is installed or named by OMS_SYNC_LITESTREAM.
fn litestream() -> Option<PathBuf> {
    let program = std::env::var_os("OMS_SYNC_LITESTREAM").map_or_else(|| PathBuf::from("litestream"), PathBuf::from);
    let is_there = Command::new(&program).arg("version").output().is_ok_and(|output| output.status.success());
    if !is_there {
        eprintln!("SKIPPED: there is no litestream here");
    }
    is_there.then_some(program)
}

/// Ends it at the end of the test, however that ends.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_server_that_is_lost_comes_back_from_the_copy_of_litestream() {
    let Some(litestream) = litestream() else { return };
    let (desk, server) = clinic();
    let replica = format!("file://{}", desk.path("replica").display());
    let mut replicate = Command::new(&litestream);
    replicate.arg("replicate").arg(desk.path("central.sqlite")).arg(&replica);
    let mut copying = Ended(replicate.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts"));
    push(&desk, 0..10);
    // It copies each second; asked to end it copies the rest.
    server.kill();
    crate::support::signal(&copying.0, "-INT");
    copying.0.wait().expect("it ends");
    let copy = desk.path("copy.sqlite");
    let restore = Command::new(&litestream).args(["restore", "-o"]).arg(&copy).arg(&replica).output().expect("it runs");
    assert!(restore.status.success(), "{restore:?}");
    assert_eq!(restored(&desk, &copy), 10);
}
