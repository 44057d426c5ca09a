//! Database files: damaged ones of ours, and those of other programs.
//!
//! An input names a file in its first line: `ours`, `crashed` (ours, with a log that was not written back), `newer`,
//! `other`, `dropped` (another program's without its tables), `claimed` (another program's with our mark) or `file` (the
//! rest is the file). Each line after it does something to the file: `set TABLE COLUMN VALUE` by SQL, then `byte AT
//! VALUE`, `fill AT LENGTH VALUE`, `copy FROM TO LENGTH`, `cut LENGTH` to its bytes, `wbyte` and `wcut` to those of the
//! log beside it.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use rusqlite::Connection;
use rusqlite::types::Value;
use sync_core::record::{Cursor, RecordId, SiteId, StoreId, TableName};
use sync_core::storage::{Selection, Source, SqliteStorage, StagedKind, Storage, state};
use sync_core::{Error, ErrorClass, Replica, Result};

use super::answers::first_line;
use super::promises::assert_error;
use super::small_world::{B, SmallWorld, cycle, good_cycle};
use crate::world::asset;

/// "OMSS", where SQLite keeps the mark of the program.
const OUR_MARK: &[u8] = b"OMSS";

/// The files that inputs name, and the log of the crashed one.
struct Files {
    ours: Vec<u8>,
    crashed: Vec<u8>,
    log: Vec<u8>,
    other: Vec<u8>,
    dropped: Vec<u8>,
    newer: Vec<u8>,
    claimed: Vec<u8>,
}

fn files() -> &'static Files {
    static FILES: OnceLock<Files> = OnceLock::new();
    FILES.get_or_init(make_files)
}

fn make_files() -> Files {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("ours");
    let world = SmallWorld::new();
    world.put_class("before");
    let storage = Arc::new(SqliteStorage::open(&path).expect("a database"));
    let end = world.site(storage.clone(), world.transport());
    let settings = super::small_world::settings(B.0, B.1);
    end.site.set_up(&settings, &mut sync_core::NoopObserver).expect("set up");
    good_cycle(&end, "the first cycle");
    end.records.put("asset", [asset("edit", B.2, "made at the site")]).expect("an edit");
    plant_buffered(storage.as_ref());
    let read = |path: &Path| std::fs::read(path).expect("a readable file");
    let (crashed, log) = (read(&path), read(&folder.path().join("ours-wal")));
    drop((end, storage));
    let made = |name: &str, from: Option<&[u8]>, sql: &str| {
        let path = folder.path().join(name);
        if let Some(from) = from {
            std::fs::write(&path, from).expect("a file");
        }
        Connection::open(&path).and_then(|connection| connection.execute_batch(sql)).expect("SQL");
        read(&path)
    };
    let ours = read(&path);
    let newer = made("newer", Some(&ours), "PRAGMA journal_mode = DELETE; PRAGMA user_version = 99;");
    let theirs = "CREATE TABLE foo (x); INSERT INTO foo VALUES (1);";
    let other = made("other", None, theirs);
    let dropped = made("dropped", None, &format!("{theirs} DROP TABLE foo;"));
    let claimed = made(
        "claimed",
        None,
        &format!(
            "{theirs} CREATE TABLE sync_state (id, json); PRAGMA application_id = 0x4f4d5353; PRAGMA user_version = 1;"
        ),
    );
    Files { ours, crashed, log, other, dropped, newer, claimed }
}

/// A row in each of the tables that a cycle leaves empty.
fn plant_buffered(storage: &dyn Storage) {
    use sync_core::protocol::v6::Action;
    use sync_core::storage::{Incoming, Quarantine, QuarantineCause, SiteEntry};
    let txn = storage.write().expect("a transaction");
    let now = sync_core::clock::Timestamp::from_unix_millis(0);
    let waiting = Quarantine {
        cause: QuarantineCause::Waiting,
        reason: "r".to_owned(),
        waits_for: Some(("asset".into(), "z".into())),
    };
    for (id, quarantine) in [("w", Some(waiting)), ("s", None)] {
        let incoming = Incoming {
            source: Source::Central,
            table: "asset".into(),
            id: id.into(),
            action: Action::Update,
            data: asset(id, B.2, ""),
            cursor: None,
            known: Default::default(),
            quarantine,
        };
        txn.stage(&incoming, now).expect("a staged record");
    }
    let secret = super::small_world::SECRET.to_owned();
    let site = SiteEntry {
        id: SiteId(9),
        uuid: "u".to_owned(),
        name: "n".to_owned(),
        secret,
        hardware_id: None,
        last_pull_at: None,
    };
    txn.central().expect("central's part").put_site(&site).expect("a site");
    txn.central().expect("central's part").request_integration(SiteId(9), now).expect("a request");
    txn.commit().expect("rows");
}

fn value(text: &str) -> Value {
    let hex = text.strip_prefix("x'").and_then(|text| text.strip_suffix('\''));
    match (text, hex) {
        ("null", _) => Value::Null,
        (_, Some(hex)) => {
            Value::Blob(hex.as_bytes().chunks(2).map(|two| two.iter().fold(0, |all, c| all << 4 | c & 15)).collect())
        }
        _ => match (text.parse::<i64>(), text.parse::<f64>()) {
            (Ok(number), _) => Value::Integer(number),
            (_, Ok(number)) => Value::Real(number),
            _ => Value::Text(text.to_owned()),
        },
    }
}

/// Writes a column of all rows; what SQLite refuses stays as it was.
fn set(connection: &Connection, line: &str) {
    let mut words = line.splitn(4, ' ').skip(1);
    let (Some(table), Some(column), Some(text)) = (words.next(), words.next(), words.next()) else { return };
    let quoted = |name: &str| format!("\"{}\"", name.replace(['"', '\0'], ""));
    let sql = format!("UPDATE OR REPLACE {} SET {} = ?1", quoted(table), quoted(column));
    let _ = connection.execute(&sql, [value(text)]);
}

/// Does to bytes what a line says; places beyond their end count from their beginning.
fn damage(bytes: &mut Vec<u8>, line: &str) {
    let numbers: Vec<usize> = line.split(' ').skip(1).filter_map(|word| word.parse().ok()).collect();
    let number = |at: usize| numbers.get(at).copied().unwrap_or(0);
    let length = bytes.len();
    if length == 0 {
        return;
    }
    let place = number(0) % length;
    match line.split(' ').next().unwrap_or_default().trim_start_matches('w') {
        "byte" => bytes[place] = number(1) as u8,
        "fill" => bytes[place..(place + number(1) % length).min(length)].fill(number(2) as u8),
        "copy" => {
            let to = number(1) % length;
            let size = (number(2) % length).min(length - place).min(length - to);
            bytes.copy_within(place..place + size, to);
        }
        "cut" => bytes.truncate(place),
        _ => {}
    }
}

pub(super) fn run(input: &[u8]) {
    let (base, rest) = first_line(input);
    let text = String::from_utf8_lossy(rest);
    let files = files();
    let (mut file, mut log) = match base.as_str() {
        "other" => (files.other.clone(), None),
        "dropped" => (files.dropped.clone(), None),
        "newer" => (files.newer.clone(), None),
        "claimed" => (files.claimed.clone(), None),
        "crashed" => (files.crashed.clone(), Some(files.log.clone())),
        "file" => (rest.to_vec(), None),
        _ => (files.ours.clone(), None),
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("site.sqlite");
    let lines = || text.lines().filter(|_| base != "file").take(20);
    if base != "crashed" && lines().any(|line| line.starts_with("set ")) {
        std::fs::write(&path, &file).expect("a file");
        let connection = Connection::open(&path).expect("a database");
        let _ = connection.execute_batch("PRAGMA ignore_check_constraints = ON; PRAGMA synchronous = OFF;");
        lines().filter(|line| line.starts_with("set ")).for_each(|line| set(&connection, line));
        drop(connection);
        file = std::fs::read(&path).expect("a file");
    }
    for line in lines().filter(|line| !line.starts_with("set ")) {
        match (&mut log, line.starts_with('w')) {
            (Some(log), true) => damage(log, line),
            _ => damage(&mut file, line),
        }
    }
    std::fs::write(&path, &file).expect("a file");
    if let Some(log) = log {
        std::fs::write(folder.path().join("site.sqlite-wal"), log).expect("a file");
    }
    let marked = file.get(68..72) == Some(OUR_MARK);
    let opened = SqliteStorage::open(&path);
    let refused = matches!(&opened, Err(Error::NotADatabase { .. } | Error::DatabaseTooNew { .. }));
    let of_others = !is_fresh(&file) && !marked && base != "crashed";
    if refused && base != "crashed" || of_others {
        let after = std::fs::read(&path).expect("a file");
        assert!(
            after == file,
            "a file that is not ours was changed, and {:?}",
            opened.err().map(|error| error.to_string())
        );
    }
    match opened {
        Ok(storage) => {
            assert!(!of_others, "a file that is not ours was opened");
            use_it(Arc::new(storage));
        }
        Err(error) => assert_local(&error),
    }
}

/// A file of one page at most that says that it holds no table is one that SQLite has just made.
fn is_fresh(file: &[u8]) -> bool {
    let page = match file.get(16..18) {
        Some([0, 1]) => 65536,
        Some([high, low]) => usize::from(u16::from_be_bytes([*high, *low])),
        _ => return true,
    };
    file.len() <= page && file.get(103..105).is_none_or(|cells| cells == [0, 0])
}

/// A file is never the fault of anything but this machine, or it is of a newer version.
#[track_caller]
fn assert_local(error: &Error) {
    assert_error(error);
    let local = [ErrorClass::LocalFault, ErrorClass::Upgrade].contains(&error.class());
    assert!(local, "{}: {error} {:?}", error.code(), error.causes());
}

/// Reads everything, and runs a cycle.
fn use_it(storage: Arc<SqliteStorage>) {
    if let Err(error) = read_all(storage.as_ref()) {
        assert_local(&error);
    }
    if let Err(error) = Replica::with_storage(storage.clone()).status() {
        assert_local(&error);
    }
    let world = SmallWorld::new();
    world.put_class("before");
    world.put_class("planted");
    let end = world.site(storage, world.transport());
    match cycle(&end) {
        // The site's identity may be damaged too: then the answers fit that.
        Ok(report) => {
            if let Some(error) = &report.error {
                assert_error(error);
            }
        }
        Err(error) => assert_error(&error),
    }
    if let Err(error) = end.records.put("asset", [asset("edit", B.2, "again")]) {
        assert_error(&error);
    }
}

fn read_all(storage: &dyn Storage) -> Result<()> {
    let txn = storage.read()?;
    let mut result = Ok(());
    // Each is checked, whatever the result of those before.
    let mut note = |outcome: Result<()>| result = std::mem::replace(&mut result, Ok(())).and(outcome);
    for (table, _) in txn.record_counts().unwrap_or_default() {
        note(txn.records(&table, None, usize::MAX).map(drop));
    }
    let (table, id) = (TableName::from("asset"), RecordId::from("edit"));
    note(txn.record(&table, &id).map(drop));
    note(txn.has_local_change(&table, &id, Cursor(0)).map(drop));
    note(txn.stores_of_site(SiteId(2)).map(drop));
    note(txn.is_visible(&"n".into(), &[StoreId::from(B.2)]).map(drop));
    let for_site = Selection::ForSite { stores: vec![StoreId::from(B.2)], except_from: Some(SiteId(3)) };
    for selection in [Selection::All, Selection::Local, for_site, Selection::Patient("p".into()), Selection::Legacy] {
        note(txn.changes(&selection, Cursor(0), usize::MAX).map(drop));
        note(txn.changed_records(&selection, Cursor(0), 100, 10_000).map(drop));
        note(txn.count_changes(&selection, Cursor(0)).map(drop));
    }
    note(txn.last_cursor().map(drop));
    for source in [Source::Central, Source::Legacy, Source::Site(SiteId(9)), Source::Local] {
        note(txn.staged_tables(source).map(drop));
        note(txn.staged(source, &table, StagedKind::Upserts, 0, 100).map(drop));
    }
    note(txn.quarantined(0, usize::MAX).map(drop));
    note(txn.quarantine_counts().map(drop));
    note(state::PULL_CURSOR_V6.as_text().find(txn.as_ref()).map(drop));
    note(txn.log(100).map(drop));
    note(txn.central().and_then(|central| central.sites().map(drop)));
    note(txn.central().and_then(|central| central.site_named("n").map(drop)));
    note(txn.central().and_then(|central| central.integrations().map(drop)));
    result
}
