//! The storage on PostgreSQL: the promises of every storage, and what is its own.

use std::sync::Arc;

use sync_core::Result;
use sync_core::changelog::{Audience, ChangeAction, NewChange};
use sync_core::clock::Timestamp;
use sync_core::record::{Cursor, RecordData};
use sync_core::storage::{CycleLock, PostgresAddress, PostgresStorage, ReadTxn, Selection, Storage, WriteTxn, state};
use sync_testkit::{PostgresServer, TestDatabase};

/// A storage whose database goes with it.
struct InDatabase {
    storage: PostgresStorage,
    _database: TestDatabase,
}

impl Storage for InDatabase {
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

fn open(database: &TestDatabase) -> PostgresStorage {
    PostgresStorage::open(&address(database), None).unwrap()
}

fn address(database: &TestDatabase) -> PostgresAddress {
    PostgresAddress::parse(&database.address()).unwrap()
}

/// Makes storages, each in a database of its own; `None` where there is no PostgreSQL.
fn in_a_database() -> Option<impl Fn() -> Arc<dyn Storage>> {
    let server = PostgresServer::of_this_process()?;
    Some(move || {
        let database = server.new_database();
        Arc::new(InDatabase { storage: open(&database), _database: database }) as Arc<dyn Storage>
    })
}

fn one_database() -> Option<impl Fn() -> Arc<dyn Storage>> {
    let database = PostgresServer::of_this_process()?.new_database();
    Some(move || Arc::new(open(&database)) as Arc<dyn Storage>)
}

/// Ends a test where there is no PostgreSQL, which was said then.
macro_rules! or_skip {
    ($made:expr) => {
        match $made {
            Some(made) => made,
            None => return,
        }
    };
}

sync_testkit::storage_contract!(postgres, or_skip!(in_a_database()));
sync_testkit::storage_contract!(postgres_reopened, reopen = or_skip!(one_database()));

fn change(id: &str) -> NewChange {
    NewChange {
        table: "asset".into(),
        id: id.into(),
        action: ChangeAction::Upsert,
        store: None,
        name: None,
        source_site: None,
        is_sync_update: false,
        audience: Audience::Everyone,
        changed_at: Timestamp::from_unix_millis(0),
    }
}

fn put(storage: &PostgresStorage, id: &str) -> Result<Cursor> {
    let txn = storage.write()?;
    let cursor = txn.put_record(&RecordData::parse("{}").unwrap(), &change(id))?;
    txn.commit()?;
    Ok(cursor)
}

fn gaps(storage: &PostgresStorage) -> Vec<(u64, u64)> {
    let gaps = state::changelog_gaps(storage.read().unwrap().as_ref()).unwrap();
    gaps.into_iter().map(|gap| (gap.after.0, gap.before.0)).collect()
}

/// Two processes write and a third reads on from where it stopped, as a site does: it passes no row.
#[test]
fn a_reader_passes_no_row_of_writers_in_several_processes() {
    const EACH: usize = 40;
    let database = or_skip!(PostgresServer::of_this_process()).new_database();
    let writers = [open(&database), open(&database)];
    let reader = open(&database);
    std::thread::scope(|threads| {
        for (of, writer) in writers.iter().enumerate() {
            threads.spawn(move || {
                for n in 0..EACH {
                    let txn = writer.write().unwrap();
                    for part in 0..3 {
                        let data = RecordData::parse("{}").unwrap();
                        txn.put_record(&data, &change(&format!("{of} {n} {part}"))).unwrap();
                    }
                    txn.commit().unwrap();
                }
            });
        }
        let (mut from, mut seen) = (Cursor(0), Vec::new());
        while seen.len() < 2 * EACH * 3 {
            let rows = reader.read().unwrap().changes(&Selection::All, from, 10).unwrap();
            from = rows.last().map_or(from, |row| row.cursor.next());
            seen.extend(rows.into_iter().map(|row| row.cursor.0));
        }
        assert_eq!(seen, (1..=2 * EACH as u64 * 3).collect::<Vec<_>>());
    });
}

#[test]
fn a_connection_that_was_cut_costs_what_was_open_on_it_and_nothing_else() {
    let database = or_skip!(PostgresServer::of_this_process()).new_database();
    let storage = open(&database);
    put(&storage, "before").unwrap();
    let cut = || {
        let sql = format!(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{}'",
            database.name()
        );
        database.server().sql("postgres", &sql)
    };
    // Idle ones are replaced, and nobody notices.
    cut();
    put(&storage, "after").unwrap();
    let (txn, reader) = (storage.write().unwrap(), storage.read().unwrap());
    txn.put_record(&RecordData::parse("{}").unwrap(), &change("lost")).unwrap();
    cut();
    let error = txn.put_record(&RecordData::parse("{}").unwrap(), &change("lost too")).unwrap_err();
    assert_eq!((error.code(), error.class().as_str()), ("database_unreachable", "local_fault"), "{error}");
    assert_eq!(txn.commit().unwrap_err().code(), "database_unreachable");
    assert_eq!(reader.state("key").unwrap_err().code(), "database_unreachable");
    drop(reader);
    assert_eq!(put(&storage, "next").unwrap(), Cursor(3), "and the lock of the writer is free");
    assert_eq!(storage.read().unwrap().record_counts().unwrap(), [("asset".into(), 3)]);
}

#[test]
fn what_a_statement_broke_is_rolled_back_by_the_commit() {
    let database = or_skip!(PostgresServer::of_this_process()).new_database();
    let storage = open(&database);
    let txn = storage.write().unwrap();
    txn.put_record(&RecordData::parse("{}").unwrap(), &change("before")).unwrap();
    // Too long for an index, and nothing in it repeats.
    let mut random = 1_u32;
    let long: String = std::iter::repeat_with(|| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b'!' + (random >> 24) as u8 % 90)
    })
    .take(6000)
    .collect();
    assert_eq!(
        txn.put_record(&RecordData::parse("{}").unwrap(), &change(&long)).unwrap_err().code(),
        "database_failed"
    );
    assert!(txn.commit().is_err());
    assert_eq!(storage.read().unwrap().last_cursor().unwrap(), Cursor(0));
}

#[test]
fn a_database_of_another_program_or_of_a_newer_version_stays_as_it_is() {
    let server = or_skip!(PostgresServer::of_this_process());
    let other = server.new_database();
    other.sql("CREATE TABLE changelog (cursor bigint)");
    let code = |database: &TestDatabase| {
        let refused = PostgresStorage::open(&address(database), None).unwrap_err();
        assert!(!refused.to_string().contains("oms:"), "{refused}");
        refused.code()
    };
    assert_eq!(code(&other), "not_a_database");
    assert_eq!(other.sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"), "1");
    let newer = server.new_database();
    assert_eq!(PostgresStorage::open_existing(&address(&newer), None).unwrap_err().code(), "no_database");
    drop(open(&newer));
    newer.sql("UPDATE sync_schema SET version = version + 1");
    assert_eq!(code(&newer), "database_too_new");
    let latin = server.sql("postgres", "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1'");
    assert_eq!(latin, "");
    let address = newer.address().replace(newer.name(), "latin");
    let refused = PostgresStorage::open(&PostgresAddress::parse(&address).unwrap(), None).unwrap_err();
    assert!(refused.code() == "not_a_database", "{refused}");
    server.sql("postgres", "DROP DATABASE latin WITH (FORCE)");
}

#[test]
fn who_must_act_is_told() {
    let server = or_skip!(PostgresServer::of_this_process());
    let database = server.new_database();
    let opened = |address: &str| PostgresStorage::open(&PostgresAddress::parse(address).unwrap(), None).unwrap_err();
    let good = database.address();
    assert_eq!(opened(&good.replace(database.name(), "nowhere")).code(), "no_database");
    assert_eq!(opened(&good.replace("user=oms", "user=nobody_here")).code(), "database_refused");
    assert_eq!(opened("postgres://oms:hush@127.0.0.1:9/central").code(), "database_unreachable");
    assert!(!format!("{:?}", opened("postgres://oms:hush@127.0.0.1:9/central")).contains("hush"));
    let storage = open(&database);
    let only_read = PostgresStorage::open_to_read(&address(&database)).unwrap();
    assert_eq!(only_read.write().map(|_| ()).unwrap_err().code(), "database_read_only");
    assert_eq!(only_read.read().unwrap().last_cursor().unwrap(), Cursor(0));
    database.sql(&format!("ALTER DATABASE {} SET default_transaction_read_only = on", database.name()));
    let read_only = put(&open(&database), "x").unwrap_err();
    assert_eq!(read_only.code(), "database_read_only", "{read_only}");
    put(&storage, "x").unwrap();
}

/// How many sessions have a lock of this number in the database.
fn holders(database: &TestDatabase, lock: u32) -> String {
    database.sql(&format!(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = {lock} AND granted \
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    ))
}

/// Ends the sessions that have a lock of this number in the database.
fn cut_holders(database: &TestDatabase, lock: u32) -> String {
    database.sql(&format!(
        "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_locks WHERE locktype = 'advisory' AND objid = {lock} \
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    ))
}

#[test]
fn servers_share_a_lock_with_each_other_and_with_nobody_else() {
    let database = or_skip!(PostgresServer::of_this_process()).new_database();
    let (first, second) = (open(&database), open(&database));
    let mut lock = first.lock_server().unwrap().unwrap();
    let other = second.lock_server().unwrap().unwrap();
    let alone = "SELECT pg_try_advisory_lock(x'4f4d5353'::int, 4)";
    assert_eq!(database.sql(alone), "f");
    assert_eq!(cut_holders(&database, 4), "2");
    assert!(lock.is_kept(), "it is taken again");
    drop((lock, other));
    assert_eq!((holders(&database, 4).as_str(), database.sql(alone).as_str()), ("0", "t"));
}

/// What a process leaves that is stopped, or whose network failed, in the middle of a transaction.
#[test]
fn a_writer_that_hangs_does_not_keep_the_others_waiting() {
    let database = or_skip!(PostgresServer::of_this_process()).new_database();
    let (hangs, other) = (open(&database), open(&database));
    let txn = hangs.write().unwrap();
    txn.put_record(&RecordData::parse("{}").unwrap(), &change("lost")).unwrap();
    assert_eq!(put(&other, "x").unwrap(), Cursor(1));
    assert_eq!(txn.commit().unwrap_err().code(), "database_unreachable");
    assert_eq!(put(&hangs, "y").unwrap(), Cursor(2));
}

#[test]
fn one_leads_until_its_connection_ends_or_it_is_silent() {
    let database = or_skip!(PostgresServer::of_this_process()).new_database();
    let (first, second) = (open(&database), open(&database));
    // PostgreSQL shows which sessions belong together.
    let unnamed =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'oms-sync'";
    assert_eq!(database.sql(unnamed), "0");
    let mut lead = first.lock_leader().unwrap().unwrap();
    assert!(second.lock_leader().unwrap().is_none() && lead.confirm());
    assert_eq!(cut_holders(&database, 5), "1");
    assert!(!lead.confirm());
    let mut silent = second.lock_leader().unwrap().unwrap();
    // It hangs: the other one takes its place, and ends what it has begun, which would go on once it wakes up.
    let (txn, _cycle) = (second.write().unwrap(), second.lock_cycle().unwrap());
    let mut next = loop {
        if let Some(next) = first.lock_leader().unwrap() {
            break next;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    };
    assert!(txn.commit().is_err() && !silent.confirm() && next.confirm());
    drop(first.lock_cycle().unwrap());
    drop(next);
    assert!(second.lock_leader().unwrap().is_some());
}

/// `pg_dump` and a restore into another database, as an administrator does.
fn copied(database: &TestDatabase) -> TestDatabase {
    let copy = database.server().new_database();
    let bin = database.server().bin().display().to_string();
    let host = database.server().folder().display().to_string();
    let script = format!(
        "set -e; {bin}/pg_dump -h {host} -U oms {} | {bin}/psql -X -q -v ON_ERROR_STOP=1 -h {host} -U oms -d {} >/dev/null",
        database.name(),
        copy.name()
    );
    let ended = std::process::Command::new("sh").args(["-c", &script]).status().unwrap();
    assert!(ended.success());
    copy
}

#[test]
fn a_database_that_was_put_back_is_recognised_by_its_witness_and_without_one_by_its_place() {
    let database = or_skip!(PostgresServer::of_this_process()).new_database();
    let folder = tempfile::tempdir().unwrap();
    let witness = folder.path().join("central.witness");
    let with_witness = |database: &TestDatabase| PostgresStorage::open(&address(database), Some(&witness)).unwrap();
    let storage = with_witness(&database);
    put(&storage, "early").unwrap();
    let (moved, backup) = (copied(&database), copied(&database));
    // Moved with its witness: nothing is lost.
    drop(storage);
    let storage = with_witness(&moved);
    assert_eq!(gaps(&storage), []);
    put(&storage, "later").unwrap();
    put(&storage, "last").unwrap();
    drop(storage);
    let storage = with_witness(&backup);
    assert_eq!(gaps(&storage), [(1, 4)], "two rows are lost");
    assert_eq!(put(&storage, "new").unwrap(), Cursor(5), "no cursor is used twice");
    drop(storage);
    let storage = with_witness(&backup);
    assert_eq!(gaps(&storage), [(1, 4)], "and it is noticed once");
    drop(storage);
    let elsewhere = copied(&backup);
    let (after, before) = gaps(&open(&elsewhere))[1];
    assert!(after == 5 && before > 1_000_000 && before < 1 << 31, "{before}");
    assert_eq!(gaps(&open(&elsewhere)).len(), 2);
}

/// A role that may read the views sees fields as columns, and none of the tables, which hold passwords.
#[test]
fn record_types_are_views_that_a_role_may_read_alone() {
    let database = or_skip!(PostgresServer::of_this_process()).new_database();
    let storage = open(&database);
    let put = |table: &str, id: &str, json: &str| {
        let txn = storage.write().unwrap();
        let change = NewChange { table: table.into(), ..change(id) };
        txn.put_record(&RecordData::parse(json).unwrap(), &change).unwrap();
        txn.commit().unwrap();
    };
    put("asset", "a", r#"{"id":"a","asset_number":"N/1","needs_replacement":true,"notes":null}"#);
    put("asset", "b", r#"{"id":"b","asset_number":7,"needs_replacement":"yes"}"#);
    put("vaccination", "v", r#"{"id":"v","patient_link_id":"p","given":true}"#);
    put("vaccination", "w", r#"{"id":"w","patient_link_id":"p","patient_id":null}"#);
    let role = format!("reports_{}", database.name());
    database.sql(&format!(
        "CREATE ROLE {role}; GRANT USAGE ON SCHEMA records TO {role}; GRANT SELECT ON ALL TABLES IN SCHEMA records TO {role}"
    ));
    let asked = |sql: &str| database.sql(&format!("SET ROLE {role}; {sql}"));
    let assets = asked("SELECT id, asset_number, needs_replacement, notes IS NULL FROM records.asset ORDER BY id");
    assert!(assets.contains("a|N/1|t|t") && assets.contains("b|7||t"), "{assets}");
    let given = asked("SELECT id, patient_id, given FROM records.vaccination ORDER BY id");
    assert!(given.contains("v|p|t") && given.contains("w||"), "the current spelling counts: {given}");
    let views = database.sql("SELECT count(*) FROM pg_views WHERE schemaname = 'records'");
    assert_eq!(views.trim(), sync_core::record::record_types().len().to_string());
    let may = format!("SELECT has_table_privilege('{role}', 'sync_site', 'SELECT')");
    assert_eq!(database.sql(&may).trim(), "f");

    // A view that somebody else uses stays, and hinders nothing.
    database.sql(
        "CREATE VIEW of_mine AS SELECT id FROM records.asset; UPDATE sync_state SET value = '' WHERE key = 'views'",
    );
    drop(storage);
    let _again = open(&database);
    assert_eq!(database.sql("SELECT count(*) FROM of_mine").trim(), "2");
}
