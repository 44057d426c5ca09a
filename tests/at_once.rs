//! Readers and writers at the same time, in threads on one SQLite file: pulls never wait, a push waits only for earlier
//! ones, and a simultaneous reader misses no row.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use sync_core::Replica;
use sync_core::Result;
use sync_core::central::Central;
use sync_core::protocol::PasswordHash;
use sync_core::record::{Cursor, StoreId};
use sync_core::storage::{CycleLock, ReadTxn, Selection, SqliteStorage, Storage, WriteTxn};
use sync_core::transport::{HttpRequest, Method};
use sync_testkit::CountingStorage;
use sync_tests::world::{PASSWORD, asset, put_class};

/// Longer than any machine takes: reached only where somebody waits for ever.
const FOR_EVER: Duration = Duration::from_secs(120);

/// A central server over this storage with a site `a` that has the store `STORE_a`.
fn central(storage: Arc<dyn Storage>) -> Arc<Central> {
    let sites = Replica::with_storage(storage.clone()).site_registry().unwrap();
    sites.add("a", &PasswordHash::of_password(PASSWORD)).unwrap();
    sites.add_store("a", "a", "a", Some(StoreId::from("STORE_a"))).unwrap();
    let central = Arc::new(Replica::with_storage(storage).stand_alone_central());
    // The first contact binds the hardware id.
    assert!(pull(&central, 0, 1)["is_last_batch"].is_boolean());
    central
}

fn credentials() -> String {
    let hash = PasswordHash::of_password(PASSWORD);
    format!(
        r#"{{"serverUrl":"","username":"a","passwordSha256":"{}","siteUuid":"machine-a","appVersion":"2.19.0","appName":"","syncVersion":"14"}}"#,
        hash.expose()
    )
}

fn ask(central: &Central, path: &str, body: String) -> Value {
    let response = central.handle(&HttpRequest {
        method: Method::Post,
        url: format!("/central/sync/{path}"),
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: body.into_bytes(),
    });
    let answer: Value = serde_json::from_slice(&response.body).unwrap();
    assert!(answer["data"].is_object(), "{answer}");
    answer["data"].clone()
}

fn pull(central: &Central, from: u64, size: u32) -> Value {
    let body = format!(
        r#"{{"cursor":{from},"batchSize":{size},"syncV5Settings":{},"isInitialised":true,"syncV6Version":5}}"#,
        credentials()
    );
    ask(central, "pull", body)
}

/// Pushes assets with these numbers; only the last batch is integrated.
fn push(central: &Central, numbers: std::ops::Range<u64>, is_last: bool) -> Value {
    let element = |n: u64| {
        let data = asset(&format!("asset {n}"), "STORE_a", "");
        format!(
            r#"{{"cursor":{n},"record":{{"tableName":"asset","recordId":"asset {n}","action":"Update","recordData":{}}}}}"#,
            data.as_str()
        )
    };
    let records: Vec<String> = numbers.clone().map(element).collect();
    let body = format!(
        r#"{{"batch":{{"end_cursor":{},"total_records":{},"records":[{}],"is_last_batch":{is_last}}},"syncV5Settings":{},"syncV6Version":5}}"#,
        numbers.end,
        records.len(),
        records.join(","),
        credentials()
    );
    ask(central, "push", body)
}

fn open(path: &Path) -> Arc<SqliteStorage> {
    Arc::new(SqliteStorage::open(path).unwrap())
}

#[test]
fn pulls_go_on_while_something_is_being_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("central.sqlite");
    let storage = open(&path);
    let central = central(storage.clone());
    put_class(storage.as_ref(), "before");
    let newest = storage.read().unwrap().last_cursor().unwrap().0;
    // It is not committed before the pulls have been answered: if one waited for it, none would ever be.
    let writing = storage.write().unwrap();
    writing.set_state("being written", "1").unwrap();
    let (say, hear) = mpsc::channel();
    let pulls = thread::spawn(move || {
        for _ in 0..8 {
            say.send([pull(&central, 0, 500), pull(&central, newest + 1, 500)]).unwrap();
        }
    });
    for _ in 0..8 {
        let [first, idle] = hear.recv_timeout(FOR_EVER).expect("a pull that waits for nobody");
        assert_eq!((first["end_cursor"].as_u64(), first["is_last_batch"].as_bool()), (Some(newest), Some(true)));
        assert_eq!((idle["total_records"].as_u64(), idle["is_last_batch"].as_bool()), (Some(0), Some(true)));
    }
    pulls.join().unwrap();
    writing.commit().unwrap();
}

#[test]
fn a_pull_of_an_initialised_site_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let storage = Arc::new(CountingStorage::new(open(&folder.path().join("central.sqlite"))));
    let central = central(storage.clone());
    for n in 0..20 {
        put_class(storage.as_ref(), &format!("class {n}"));
    }
    storage.take_counts();
    let middle = pull(&central, 1, 5);
    assert_eq!((middle["records"].as_array().map(Vec::len), middle["is_last_batch"].as_bool()), (Some(5), Some(false)));
    let batch = storage.take_counts();
    let newest = storage.read().unwrap().last_cursor().unwrap().0;
    pull(&central, newest + 1, 500);
    let idle = storage.take_counts();
    assert_eq!((batch.writes, idle.writes), (0, 0));
    assert_eq!(idle.calls.get("count_changes"), None, "nothing is counted where nothing is left");
}

/// Notes who asks for the turn to write, gets it, and ends it.
struct Noted {
    storage: Arc<SqliteStorage>,
    notes: Mutex<Vec<(&'static str, String)>>,
}

impl Noted {
    fn note(&self, what: &'static str) {
        let who = thread::current().name().unwrap_or("test").to_owned();
        self.notes.lock().unwrap().push((what, who));
    }
}

impl Storage for Noted {
    fn read(&self) -> Result<Box<dyn ReadTxn + '_>> {
        self.storage.read()
    }

    fn write(&self) -> Result<Box<dyn WriteTxn + '_>> {
        self.note("asks");
        let txn = self.storage.write()?;
        self.note("has it");
        Ok(txn)
    }

    fn lock_cycle(&self) -> Result<CycleLock> {
        self.storage.lock_cycle()
    }
}

/// How many transactions of an endless integration come before each of thirty pushes.
fn transactions_before_each_push() -> Vec<usize> {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(&folder.path().join("central.sqlite"));
    let noted = Arc::new(Noted { storage: storage.clone(), notes: Mutex::default() });
    let central = central(noted.clone());
    let named =
        |name: &str, work: Box<dyn FnOnce() + Send>| thread::Builder::new().name(name.to_owned()).spawn(work).unwrap();
    // Small transactions without a pause in between are what could keep others out for ever.
    let integrates = Arc::new(AtomicBool::new(true));
    let integration = named("integration", {
        let (noted, integrates) = (noted.clone(), integrates.clone());
        Box::new(move || {
            for n in 0.. {
                if !integrates.load(Ordering::SeqCst) {
                    break;
                }
                let txn = noted.write().unwrap();
                txn.set_state("integrated", &n.to_string()).unwrap();
                txn.commit().unwrap();
            }
        })
    });
    let pushes = named("push", {
        let central = central.clone();
        Box::new(move || {
            for n in 0..30 {
                assert_eq!(push(&central, n * 10..n * 10 + 10, false)["records_pushed"], 10);
            }
        })
    });
    pushes.join().unwrap();
    integrates.store(false, Ordering::SeqCst);
    integration.join().unwrap();
    let notes = noted.notes.lock().unwrap();
    let asked: Vec<usize> = (0..notes.len()).filter(|at| notes[*at].0 == "asks" && notes[*at].1 == "push").collect();
    assert_eq!(asked.len(), 30);
    let came_before = |at: &usize| {
        let until_it_has = notes[*at..].iter().take_while(|(what, who)| *what != "has it" || who != "push");
        until_it_has.filter(|(what, _)| *what == "has it").count()
    };
    asked.iter().map(came_before).collect()
}

#[test]
fn a_push_waits_for_one_transaction_of_an_integration_and_not_for_all() {
    // Before it comes the one that has its turn, or one more that asked meanwhile. A thread that is put to sleep between its
    // note and the queue lets more pass, and on a busy machine that may happen often; so most of them count, and the quietest
    // of a few tries.
    let median = |mut waits: Vec<usize>| {
        waits.sort_unstable();
        waits[waits.len() / 2]
    };
    let tries: Vec<usize> = (0..5).map(|_| median(transactions_before_each_push())).collect();
    assert!(tries.iter().any(|waits| *waits <= 2), "transactions that came before most pushes: {tries:?}");
}

#[test]
fn no_row_that_is_committed_late_is_skipped_by_one_who_reads_along() {
    const WRITERS: usize = 3;
    const TRANSACTIONS: usize = 40;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("central.sqlite");
    let central = central(open(&path));
    let ended = Arc::new(AtomicUsize::new(0));
    // Each has the database open for itself, as processes do.
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (storage, ended) = (open(&path), ended.clone());
            thread::spawn(move || {
                let mut written = BTreeSet::new();
                for n in 0..TRANSACTIONS {
                    let txn = storage.write().unwrap();
                    let ids = (0..1 + n % 7).map(|part| format!("{writer} {n} {part}"));
                    let ids: BTreeSet<String> = ids.collect();
                    for id in &ids {
                        txn.put_record(&sync_tests::world::data("{}"), &class(id)).unwrap();
                        thread::yield_now();
                    }
                    if n % 5 == 4 {
                        drop(txn);
                    } else {
                        txn.commit().unwrap();
                        written.extend(ids);
                    }
                }
                ended.fetch_add(1, Ordering::SeqCst);
                written
            })
        })
        .collect();
    let (mut read, mut from, mut pulls) = (BTreeSet::new(), 0, 0);
    loop {
        // Asked first: what was committed before is then seen by the pull.
        let all_ended = ended.load(Ordering::SeqCst) == WRITERS;
        let batch = pull(&central, from, 10);
        let records = batch["records"].as_array().unwrap();
        pulls += 1;
        for record in records {
            let cursor = record["cursor"].as_u64().unwrap();
            assert!(cursor >= from, "{cursor} comes after {from} was read");
            assert!(read.insert(record["record"]["recordId"].as_str().unwrap().to_owned()));
        }
        // As upstream's sites do, also behind an empty batch.
        from = batch["end_cursor"].as_u64().unwrap() + 1;
        if all_ended && batch["is_last_batch"] == true {
            break;
        }
    }
    let written: BTreeSet<String> = writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect();
    assert_eq!(read, written);
    assert!(pulls > written.len() / 10);
    let changes = open(&path).read().unwrap().changes(&Selection::All, Cursor(0), usize::MAX).unwrap();
    assert!(changes.windows(2).all(|pair| pair[0].cursor < pair[1].cursor));
}

fn class(id: &str) -> sync_core::changelog::NewChange {
    sync_core::changelog::NewChange {
        table: "asset_class".into(),
        id: id.into(),
        action: sync_core::changelog::ChangeAction::Upsert,
        store: None,
        name: None,
        source_site: None,
        is_sync_update: false,
        audience: sync_core::changelog::Audience::Everyone,
        changed_at: sync_core::clock::Timestamp::from_unix_millis(0),
    }
}
