//! A host's own tables follow the records, in the transaction that writes them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use sync_core::error::Cause;
use sync_core::record::{Cursor, Query};
use sync_core::storage::rusqlite::Connection;
use sync_core::storage::{HookedRecord, Storage};
use sync_core::{NoopObserver, Replica, SyncOptions, SyncOutcome};
use tempfile::TempDir;

use sync_tests::world::{CentralEnd, Kind, asset, data, document, put_class, settings};

/// A database whose host has a table of a few record types, and may refuse a record.
struct Host {
    folder: TempDir,
    refuses: Arc<AtomicBool>,
}

impl Host {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder"), refuses: Arc::default() }
    }

    fn storage(&self) -> Arc<dyn Storage> {
        let table =
            "CREATE TABLE IF NOT EXISTS mine (kind TEXT, id TEXT, name TEXT, by_sync INTEGER, PRIMARY KEY (kind, id))";
        let refuses = self.refuses.clone();
        let hook = move |connection: &Connection, record: &HookedRecord<'_>| {
            follow(connection, record)?;
            if refuses.load(Ordering::SeqCst) && record.id.as_str() == "bad" {
                return Err("the host cannot".into());
            }
            Ok(())
        };
        let replica = Replica::builder().host_tables(table).hook(hook).open(self.path()).expect("a database");
        replica.storage().clone()
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("host.sqlite")
    }

    /// The content of the host's table, as another program reads it.
    fn mine(&self) -> Vec<String> {
        let connection = Connection::open(self.path()).expect("a database");
        let sql = "SELECT kind || ' ' || id || ' ' || name || ' ' || by_sync FROM mine ORDER BY kind, id";
        let mut query = connection.prepare(sql).expect("the table");
        query.query_map((), |row| row.get(0)).expect("rows").map(|row| row.expect("text")).collect()
    }
}

fn follow(connection: &Connection, record: &HookedRecord<'_>) -> Result<(), Cause> {
    let (kind, id) = (record.table.as_str(), record.id.as_str());
    if !["asset", "asset_class", "asset_internal_location"].contains(&kind) {
        return Ok(());
    }
    connection.execute("DELETE FROM mine WHERE kind = ?1 AND id = ?2", [kind, id])?;
    if let Some(fields) = record.data.and_then(|data| data.fields()) {
        let name = ["name", "notes", "location_id"].into_iter().find_map(|key| fields.text(key));
        let row = (kind, id, name.as_deref().unwrap_or_default(), record.is_sync_update);
        connection.execute("INSERT INTO mine VALUES (?1, ?2, ?3, ?4)", row)?;
    }
    Ok(())
}

#[test]
fn they_follow_local_writes_pulls_and_deletions_in_the_same_transaction() {
    let central = CentralEnd::over(Kind::Memory);
    let host = Host::new();
    central.add_site("a");
    let site = central.set_up_over(host.storage(), "a", central.transport());
    put_class(central.storage.as_ref(), "cold");
    site.sync();
    site.records.put("asset", [asset("fridge", "STORE_a", "new")]).expect("allowed");
    let place =
        document("asset_internal_location", &[("id", "place"), ("asset_id", "fridge"), ("location_id", "shelf")]);
    site.records.put("asset_internal_location", [place]).expect("allowed");
    let all = ["asset fridge new 0", "asset_class cold n 1", "asset_internal_location place shelf 0"];
    assert_eq!(host.mine(), all);

    site.records.delete("asset_internal_location", "place").expect("allowed");
    central.records.put("asset_class", [data(r#"{"id":"cold","name":"renamed"}"#)]).expect("allowed");
    site.sync();
    assert_eq!(host.mine(), ["asset fridge new 0", "asset_class cold renamed 1"]);

    // What is not committed never was.
    host.refuses.store(true, Ordering::SeqCst);
    let both = [asset("good", "STORE_a", "x"), asset("bad", "STORE_a", "x")];
    let refused = site.records.put("asset", both).expect_err("the host refuses");
    assert_eq!((refused.code(), refused.causes()), ("host_failed", vec!["the host cannot".to_owned()]));
    assert!(refused.to_string().contains("asset bad"), "{refused}");
    assert_eq!(host.mine(), ["asset fridge new 0", "asset_class cold renamed 1"]);
    assert_eq!((site.get("asset", "good"), site.get("asset", "bad")), (None, None));
}

#[test]
fn a_host_that_fails_in_a_pull_loses_nothing() {
    let central = CentralEnd::over(Kind::Memory);
    let host = Host::new();
    central.add_site("a");
    let site = central.set_up_over(host.storage(), "a", central.transport());
    put_class(central.storage.as_ref(), "bad");
    host.refuses.store(true, Ordering::SeqCst);
    for _ in 0..2 {
        let report = site.site.sync(&SyncOptions::default(), &mut NoopObserver).expect("a cycle");
        assert_eq!(
            (report.outcome, report.error.map(|error| error.code())),
            (SyncOutcome::Failed, Some("host_failed"))
        );
        assert_eq!((host.mine(), site.get("asset_class", "bad")), (Vec::new(), None));
    }
    host.refuses.store(false, Ordering::SeqCst);
    site.sync();
    assert_eq!(host.mine(), ["asset_class bad n 1"]);
}

#[test]
fn a_central_server_has_them_too() {
    let host = Host::new();
    let central = CentralEnd::over_storage(host.storage());
    let site = central.new_site("a");
    site.sync();
    site.records.put("asset", [asset("fridge", "STORE_a", "new")]).expect("allowed");
    site.sync();
    assert_eq!(host.mine(), ["asset fridge new 1"]);
}

/// What was written before in the transaction must not stay without what comes after.
#[test]
fn a_hook_cannot_end_the_transaction_that_it_is_called_in() {
    for ends in ["COMMIT", "COMMIT; BEGIN", "END", "ROLLBACK", "ROLLBACK; BEGIN", "ignored COMMIT; BEGIN"] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("host.sqlite");
        let is_armed = Arc::new(AtomicBool::new(true));
        let armed = is_armed.clone();
        let hook = move |connection: &Connection, record: &HookedRecord<'_>| -> Result<(), Cause> {
            connection.execute("INSERT INTO mine VALUES (?1)", [record.id.as_str()])?;
            // A savepoint is no end.
            connection.execute_batch("SAVEPOINT s; DELETE FROM mine; ROLLBACK TO s; RELEASE s")?;
            if record.id.as_str() == "bad" && armed.load(Ordering::SeqCst) {
                match ends.strip_prefix("ignored ") {
                    Some(ends) => ends.split(';').for_each(|sql| drop(connection.execute_batch(sql))),
                    None => connection.execute_batch(ends)?,
                }
            }
            Ok(())
        };
        let tables = "CREATE TABLE IF NOT EXISTS mine (id TEXT PRIMARY KEY)";
        let replica = Replica::builder().host_tables(tables).hook(hook).open(&path).expect("a database");
        replica.site_registry().expect("a central server");
        let class = |id: &str| data(&format!(r#"{{"id":"{id}","name":"n"}}"#));
        let all = || ["first", "bad", "last"].map(class);
        let count = || {
            let records = replica.records().count("asset_class", &Query::new()).expect("counted");
            let sql = "SELECT count(*) FROM mine";
            let mine = replica.read_sql(|sqlite| sqlite.query_row(sql, (), |row| row.get::<_, i64>(0)));
            (records, mine.expect("counted"))
        };
        let refused = replica.records().put("asset_class", all()).expect_err(ends);
        assert_eq!(refused.code(), "host_failed", "{ends}");
        assert!(refused.causes()[0].starts_with("the hook ended the transaction"), "{ends}: {:?}", refused.causes());
        assert_eq!(count(), (0, 0), "{ends}");
        let checked = replica.records().check("asset_class", all());
        assert_eq!((checked.map_err(|error| error.code()).err(), count()), (Some("host_failed"), (0, 0)), "{ends}");
        is_armed.store(false, Ordering::SeqCst);
        replica.records().put("asset_class", all()).expect("it writes again");
        assert_eq!(count(), (3, 3), "{ends}");
    }
}

/// Another program has no hook: it writes nothing, unless it is told to; then the app catches up.
#[test]
fn what_another_program_writes_without_the_hook_is_replayed() {
    let central = CentralEnd::over(Kind::Memory);
    let host = Host::new();
    central.add_site("a");
    let replay = |from| {
        let hook = |connection: &Connection, record: &HookedRecord<'_>| follow(connection, record);
        let replica = Replica::builder().hook(hook).open(host.path()).expect("a database");
        let missed = replica.hook_missed_from().expect("a database");
        let replayed = replica.replay_hook(missed.unwrap_or(from)).expect("a hook");
        assert_eq!(replica.hook_missed_from().expect("a database"), None);
        (missed, replayed)
    };
    put_class(central.storage.as_ref(), "cold");
    let site = central.set_up_over(host.storage(), "a", central.transport());
    site.sync();
    site.records.put("asset", [asset("old", "STORE_a", "kept")]).expect("allowed");
    drop(site);

    let other = Replica::open(host.path()).expect("a database");
    central.records.put("asset_class", [data(r#"{"id":"cold","name":"renamed"}"#)]).expect("allowed");
    let report = other.site(central.transport()).sync(&SyncOptions::default(), &mut NoopObserver).expect("a cycle");
    assert_eq!((report.outcome, report.error.map(|error| error.code())), (SyncOutcome::Failed, Some("hook_missing")));
    let refused = other.records().put("asset", [asset("new", "STORE_a", "x")]).expect_err("no hook");
    assert_eq!(refused.code(), "hook_missing");
    assert_eq!(other.replay_hook(Cursor(0)).expect_err("no hook").code(), "bad_input");
    drop(other);
    assert_eq!(host.mine(), ["asset old kept 0", "asset_class cold n 1"]);

    let told = Replica::builder().without_hook().open(host.path()).expect("a database");
    told.records().put("asset", [asset("new", "STORE_a", "x")]).expect("told to");
    let report = told.site(central.transport()).sync(&SyncOptions::default(), &mut NoopObserver).expect("a cycle");
    assert_eq!(report.outcome, SyncOutcome::Done);
    assert_eq!(host.mine(), ["asset old kept 0", "asset_class cold n 1"], "the app does not know yet");
    drop(told);
    let (missed, replayed) = replay(Cursor(u64::from(u32::MAX)));
    assert!(missed.is_some() && replayed == 2, "{missed:?} {replayed}");
    let all = ["asset new x 0", "asset old kept 0", "asset_class cold renamed 1"];
    assert_eq!(host.mine(), all);

    // A hook that is new, or does more than before, is called for everything that is here.
    Connection::open(host.path()).expect("a database").execute("DELETE FROM mine", []).expect("the table");
    assert!(replay(Cursor(0)).1 >= 3);
    assert_eq!(host.mine(), all);
}

/// A hook that also sends messages must not send those of a preview.
#[test]
fn a_hook_is_told_when_it_is_in_a_dry_run() {
    let central = CentralEnd::over(Kind::Memory);
    central.add_site("a");
    let host = Host::new();
    let told = Arc::new(Mutex::new(Vec::new()));
    let runs = told.clone();
    let hook = move |connection: &Connection, record: &HookedRecord<'_>| {
        runs.lock().unwrap().push(record.is_dry_run);
        follow(connection, record)
    };
    let table = "CREATE TABLE IF NOT EXISTS mine (kind TEXT, id TEXT, name TEXT, by_sync INTEGER)";
    let replica = Replica::builder().host_tables(table).hook(hook).open(host.path()).expect("a database");
    let site = replica.site(central.transport());
    site.set_up(&settings("a"), &mut NoopObserver).expect("set up");
    put_class(central.storage.as_ref(), "cold");
    let preview = site.support().preview_pull(1_000_000, &mut NoopObserver).expect("a preview");
    assert!(preview.integrated > 0);
    let runs = std::mem::take(&mut *told.lock().unwrap());
    assert!(!runs.is_empty() && runs.iter().all(|is_dry| *is_dry), "{runs:?}");
    assert_eq!(host.mine(), Vec::<String>::new());
    site.sync(&SyncOptions::default(), &mut NoopObserver).expect("a cycle").into_result().expect("went well");
    let runs = std::mem::take(&mut *told.lock().unwrap());
    assert!(!runs.is_empty() && runs.iter().all(|is_dry| !is_dry), "{runs:?}");
    assert_eq!(host.mine(), ["asset_class cold n 1"]);
    let checked = replica.records().check("asset", [asset("x", "STORE_a", "")]).expect("it may be written");
    assert_eq!(checked, ["x"]);
    let runs = std::mem::take(&mut *told.lock().unwrap());
    assert_eq!(runs, [true], "a check writes nothing");
    assert_eq!(host.mine(), ["asset_class cold n 1"]);
    drop((site, replica));
    // A program without the hook may look at what would come, although it may not take it.
    let site = Replica::open(host.path()).expect("a database").site(central.transport());
    put_class(central.storage.as_ref(), "warm");
    assert!(site.support().preview_pull(1_000_000, &mut NoopObserver).expect("a preview").integrated > 0);
}

#[test]
fn a_mistake_in_the_hosts_sql_is_shown_as_one_and_the_librarys_tables_are_not_touched() {
    let host = Host::new();
    drop(host.storage());
    let open = |sql: &str| Replica::builder().host_tables(sql).without_hook().open(host.path());
    for (sql, says) in [
        ("CREATE TABEL x (id TEXT)", "TABEL"),
        ("CREATE TABLE mine (id TEXT)", "already exists"),
        ("INSERT INTO mine VALUES ('a', 'b', 'c', 0), ('a', 'b', 'c', 0)", "UNIQUE"),
        ("DROP TABLE sync_state", "not authorized"),
        ("DELETE FROM sync_record", "not authorized"),
        ("COMMIT", "not authorized"),
        ("PRAGMA journal_mode = OFF", "not authorized"),
        ("PRAGMA user_version = 0", "not authorized"),
        ("CREATE TRIGGER t AFTER INSERT ON sync_record BEGIN DELETE FROM sync_record; END", "not authorized"),
        ("CREATE TRIGGER t AFTER UPDATE ON Sync_State BEGIN SELECT RAISE(ABORT, 'no'); END", "not authorized"),
        ("CREATE TRIGGER t INSTEAD OF INSERT ON asset BEGIN SELECT 1; END", "not authorized"),
        ("CREATE TEMP TRIGGER t AFTER INSERT ON sync_record BEGIN SELECT 1; END", "not authorized"),
        ("CREATE TEMP TABLE sync_record (id TEXT)", "not authorized"),
        ("CREATE UNIQUE INDEX one ON sync_record (table_name)", "not authorized"),
        ("CREATE INDEX sync_mine ON mine (name)", "not authorized"),
        ("CREATE TABLE sync_mine (id TEXT)", "not authorized"),
        ("CREATE VIEW sync_mine AS SELECT 1", "not authorized"),
        ("ALTER TABLE mine RENAME TO sync_mine", "not authorized"),
        ("CREATE TABLE child (id TEXT REFERENCES sync_record)", "not authorized"),
        ("CREATE VIRTUAL TABLE sync_words USING fts5 (word)", "not authorized"),
        ("ATTACH ':memory:' AS other", "not authorized"),
        // The trigger is the host's, and what it does is not.
        (
            "CREATE TRIGGER t AFTER INSERT ON mine BEGIN DELETE FROM sync_record; END; \
             INSERT INTO mine VALUES ('a', 'b', 'c', 0)",
            "not authorized",
        ),
    ] {
        let refused = open(sql).expect_err(sql);
        let causes = format!("{refused} {:?}", refused.causes());
        assert!(refused.code() == "bad_input" && causes.contains(says), "{sql}: {} {causes}", refused.code());
    }
    let own = "CREATE INDEX IF NOT EXISTS mine_names ON mine (name); INSERT INTO mine VALUES ('a', 'b', 'c', 0); \
        CREATE TABLE copied AS SELECT id FROM asset; ALTER TABLE mine ADD COLUMN more TEXT; DROP INDEX mine_names; \
        CREATE TABLE child (id TEXT PRIMARY KEY, of INTEGER REFERENCES copied (rowid)); ALTER TABLE child RENAME TO renamed; \
        CREATE TABLE noted (id TEXT); CREATE TRIGGER notes AFTER DELETE ON mine BEGIN INSERT INTO noted VALUES (OLD.id); END; \
        DELETE FROM mine; CREATE VIEW names AS SELECT n.id, a.id AS asset FROM noted AS n, asset AS a; \
        WITH RECURSIVE few (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM few WHERE n < 3) INSERT INTO noted SELECT n FROM few; \
        CREATE VIRTUAL TABLE words USING fts5 (word); INSERT INTO words SELECT id FROM noted; \
        CREATE VIRTUAL TABLE places USING rtree (id, low, high); INSERT INTO places VALUES (1, 2, 3); \
        ANALYZE noted; DROP VIEW names; DROP TRIGGER notes; SELECT count(*) FROM sync_record; PRAGMA user_version";
    let replica = open(own).expect("the host's own tables");
    // They can be read, those with tables of their own below them too.
    let counted = replica.read_sql(|sqlite| {
        let words: i64 =
            sqlite.query_row("SELECT count(*) FROM words WHERE words MATCH 'b OR 2'", (), |row| row.get(0))?;
        let places: i64 = sqlite.query_row("SELECT count(*) FROM places WHERE low < 3", (), |row| row.get(0))?;
        Ok((words, places))
    });
    assert_eq!(counted.expect("read"), (2, 1));
}

/// What a hook does to the library's tables would be committed with the record.
#[test]
fn a_hook_and_a_query_leave_the_librarys_tables_and_settings_alone() {
    const REFUSED: [&str; 12] = [
        "DELETE FROM sync_state",
        "DROP TABLE sync_record",
        "UPDATE sync_record SET data = '{}'",
        "PRAGMA user_version = 1",
        "PRAGMA query_only = OFF",
        "CREATE TRIGGER t AFTER INSERT ON sync_record BEGIN SELECT 1; END",
        "ATTACH ':memory:' AS other",
        "INSERT INTO traps VALUES (1)",
        "ALTER TABLE mine RENAME TO sync_mine",
        "CREATE TABLE held (id TEXT REFERENCES sync_record (record_id))",
        "CREATE VIEW seen AS SELECT 1",
        "DROP TABLE mine",
    ];
    let folder = tempfile::tempdir().expect("a temporary folder");
    let said = Arc::new(Mutex::new(Vec::new()));
    let says = said.clone();
    let hook = move |connection: &Connection, record: &HookedRecord<'_>| -> Result<(), Cause> {
        for sql in REFUSED {
            let told = connection.execute_batch(sql).map_or_else(|error| error.to_string(), |()| "done".to_owned());
            says.lock().unwrap().push((sql, told));
        }
        connection.execute("INSERT INTO mine VALUES (?1)", [record.id.as_str()])?;
        connection.query_row("SELECT count(*) FROM sync_record", (), |row| row.get::<_, i64>(0))?;
        connection.execute_batch("SAVEPOINT s; UPDATE mine SET id = id; RELEASE s; PRAGMA user_version")?;
        Ok(())
    };
    let tables = "CREATE TABLE IF NOT EXISTS mine (id TEXT PRIMARY KEY); CREATE TABLE IF NOT EXISTS traps (id TEXT); \
        CREATE TRIGGER IF NOT EXISTS trap AFTER INSERT ON traps BEGIN DELETE FROM sync_record; END";
    let path = folder.path().join("host.sqlite");
    let replica = Replica::builder().host_tables(tables).hook(hook).open(path).expect("a database");
    replica.site_registry().expect("a central server");
    replica.records().put("asset_class", [data(r#"{"id":"cold","name":"n"}"#)]).expect("the hook does its own");
    let said = std::mem::take(&mut *said.lock().unwrap());
    assert_eq!(said.len(), REFUSED.len());
    for (sql, told) in said {
        assert!(told.contains("not authorized"), "{sql}: {told}");
    }
    assert_eq!(replica.records().count("asset_class", &Query::new()).expect("counted"), 1);
    // A query cannot make its connection one that writes.
    let freed = replica.read_sql(|sqlite| sqlite.execute_batch("PRAGMA query_only = OFF; DELETE FROM sync_record"));
    assert!(freed.expect_err("refused").causes().concat().contains("not authorized"));
    for sql in ["DELETE FROM sync_record", "CREATE TEMP TABLE t (id TEXT)"] {
        replica.read_sql(|sqlite| sqlite.execute_batch(sql)).expect_err(sql);
    }
    let telling = "PRAGMA case_sensitive_like = ON; PRAGMA table_info(mine); PRAGMA user_version";
    replica.read_sql(|sqlite| sqlite.execute_batch(telling)).expect("these change nothing");
    assert_eq!(replica.records().count("asset_class", &Query::new()).expect("counted"), 1);
}
