//! Which version of a record wins, and what happens to the others: waiting, refused and late ones, those of sites that
//! could not know, and those at which the database fails.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use sync_core::central::InProcess;
use sync_core::clock::Timestamp;
use sync_core::protocol::v6::{Action, WireRecord};
use sync_core::record::{Cursor, RecordData, RecordId, SiteId, TableName};
use sync_core::storage::rusqlite::Connection;
use sync_core::storage::{
    CycleLock, HookedRecord, Incoming, MemoryStorage, Quarantine, QuarantineCause, ReadTxn, Source, SqliteStorage,
    Storage, WriteTxn, state,
};
use sync_core::transport::{HttpRequest, HttpResponse, Transport, TransportError};
use sync_core::{NoopObserver, Replica, Result, SyncOptions, SyncOutcome};
use sync_tests::world::{CentralEnd, Kind, asset, count, data, get, notes, put_class};

fn causes(storage: &dyn Storage) -> Vec<(QuarantineCause, u64)> {
    storage.read().unwrap().quarantine_counts().unwrap()
}

#[test]
fn an_edit_that_was_refused_does_not_undo_a_newer_one_when_its_store_comes_back() {
    for kind in [Kind::Sqlite, Kind::Memory] {
        let (central, a, b) = CentralEnd::with_a_store_on_a(kind);
        central.move_store("b");
        a.records.put("asset", [asset("x", "S", "2: of a, while the store is away")]).unwrap();
        a.sync();
        b.sync();
        assert_eq!(notes(b.get("asset", "x")).as_deref(), Some("1"));
        b.records.put("asset", [asset("x", "S", "3: of b")]).unwrap();
        b.sync();
        central.move_store("a");
        assert_eq!(notes(get(&central.records, "asset", "x")).as_deref(), Some("3: of b"));
        assert_eq!(central.causes(), [(QuarantineCause::Superseded, 1)]);
        a.sync();
        assert_eq!(notes(a.get("asset", "x")).as_deref(), Some("3: of b"));
    }
}

#[test]
fn an_edit_that_was_refused_wins_where_nothing_newer_was_written() {
    let (central, a, _) = CentralEnd::with_a_store_on_a(Kind::Memory);
    central.move_store("b");
    a.records.put("asset", [asset("x", "S", "2: of a, while the store is away")]).unwrap();
    a.sync();
    central.move_store("a");
    let found = notes(get(&central.records, "asset", "x"));
    assert_eq!(found.as_deref(), Some("2: of a, while the store is away"), "records logged anew are no newer");
    assert_eq!(central.causes(), []);
}

fn properties(text: &str) -> RecordData {
    data(&format!(r#"{{"id":"n","properties":"{text}"}}"#))
}

fn pushed(site: i32, text: &str) -> Incoming {
    let (table_name, record_id) = ("name_oms_fields".into(), "n".into());
    let record = WireRecord { table_name, record_id, action: Action::Update, record_data: properties(text) };
    Incoming::new(Source::Site(SiteId(site)), record)
}

#[test]
fn what_was_pushed_last_wins_whoever_has_the_first_turn() {
    let at = |second: i64| Timestamp::from_unix_millis(1_750_000_000_000 + second * 1000);
    for (first_turn, kind) in [(2, Kind::Memory), (3, Kind::Memory), (2, Kind::Sqlite), (3, Kind::Sqlite)] {
        let central = CentralEnd::over(kind);
        central.add_site("a");
        central.add_site("b");
        let txn = central.storage.write().unwrap();
        for (site, text) in [(2, "of a"), (3, "of b, later")] {
            txn.stage(&pushed(site, text), at(10)).unwrap();
            txn.central()
                .unwrap()
                .request_integration(SiteId(site), at(if site == first_turn { 0 } else { 5 }))
                .unwrap();
        }
        txn.commit().unwrap();
        central.central.integrate_waiting().unwrap();
        let found = get(&central.records, "name_oms_fields", "n").unwrap();
        assert_eq!(found, properties("of b, later").as_str(), "the first turn is of site {first_turn}");
    }
}

#[test]
fn what_waits_at_a_site_does_not_bring_back_what_is_deleted_since() {
    for kind in [Kind::Sqlite, Kind::Memory] {
        let central = CentralEnd::over(kind);
        let a = central.new_site("a");
        a.sync();
        let location = |asset: &str| data(&format!(r#"{{"id":"l","asset_id":"{asset}","location_id":"loc"}}"#));
        a.records.put("asset", [asset("x", "STORE_a", "")]).unwrap();
        a.records.put("asset_internal_location", [location("x")]).unwrap();
        a.sync();
        let waits = Quarantine {
            cause: QuarantineCause::Waiting,
            reason: "$.asset_id names asset y, which is not here yet".to_owned(),
            waits_for: Some(("asset".into(), "y".into())),
        };
        let (table_name, record_id) = ("asset_internal_location".into(), "l".into());
        let record = WireRecord { table_name, record_id, action: Action::Update, record_data: location("y") };
        let newer = Incoming { quarantine: Some(waits), ..Incoming::new(Source::Central, record) };
        let txn = a.storage.write().unwrap();
        txn.stage(&newer, Timestamp::from_unix_millis(0)).unwrap();
        txn.commit().unwrap();
        a.records.delete("asset_internal_location", "l").unwrap();
        a.sync();
        a.records.put("asset", [asset("z", "STORE_a", "")]).unwrap();
        central.records.put("asset", [asset("y", "STORE_a", "")]).unwrap();
        assert_eq!(a.sync().outcome, SyncOutcome::Done, "nobody has to do anything");
        a.sync();
        assert_eq!((a.get("asset_internal_location", "l"), a.get("asset", "y").is_some()), (None, true));
        assert_eq!(causes(a.storage.as_ref()), [(QuarantineCause::Superseded, 1)]);
        assert_eq!(get(&central.records, "asset_internal_location", "l"), None);
    }
}

#[test]
fn a_site_that_lost_a_record_has_it_as_it_was_when_it_left() {
    for kind in [Kind::Sqlite, Kind::Memory] {
        let (central, a, b) = CentralEnd::with_an_asset_of_a(kind);
        central.records.put("asset", [asset("x", "STORE_b", "as it left")]).unwrap();
        a.sync();
        b.sync();
        b.records.put("asset", [asset("x", "STORE_b", "of b, later")]).unwrap();
        b.sync();
        let audit = a.site.support().audit(&MemoryStorage::new(), &mut NoopObserver).unwrap();
        assert_eq!(audit.lost_records, 0, "{:?}", audit.lost);
        let told: Vec<_> = audit.explained.iter().map(|told| (told.id.as_str(), told.why)).collect();
        assert_eq!(told, [("x", sync_core::support::DifferenceReason::NotForThisSite)], "it is told for what it is");
        let again = central.set_up_in("a again", "a", central.transport());
        again.sync();
        assert_eq!(notes(again.get("asset", "x")).as_deref(), Some("as it left"));
        b.records.put("asset", [asset("x", "STORE_b", "once more")]).unwrap();
        b.sync();
        assert_eq!(again.site.support().audit(&MemoryStorage::new(), &mut NoopObserver).unwrap().lost_records, 0);
    }
}

/// A storage that runs some code just before a writing transaction begins.
struct Interposed {
    inner: Arc<dyn Storage>,
    before_write: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Storage for Interposed {
    fn read(&self) -> Result<Box<dyn ReadTxn + '_>> {
        self.inner.read()
    }

    fn write(&self) -> Result<Box<dyn WriteTxn + '_>> {
        let before = self.before_write.lock().unwrap().take();
        if let Some(before) = before {
            before();
        }
        self.inner.write()
    }

    fn lock_cycle(&self) -> Result<CycleLock> {
        self.inner.lock_cycle()
    }
}

/// Records the pushes on it, and does not deliver them.
#[derive(Default)]
struct Kept(Mutex<Vec<HttpRequest>>);

struct Keeping {
    to_central: Arc<dyn Transport>,
    kept: Arc<Kept>,
}

impl Transport for Keeping {
    fn send(&self, request: &HttpRequest) -> std::result::Result<HttpResponse, TransportError> {
        if !request.url.ends_with("/push") {
            return self.to_central.send(request);
        }
        self.kept.0.lock().unwrap().push(request.clone());
        Err(TransportError::Broken("the line broke".into()))
    }
}

/// A push of a record, as a site makes it that names no push before it, as Open mSupply does.
fn a_push(central: &CentralEnd, database: &str, table: &str, record: RecordData) -> HttpRequest {
    let kept = Arc::new(Kept::default());
    let line = Arc::new(Keeping { to_central: central.step_by_step(), kept: kept.clone() });
    let mut site = central.set_up_in(database, "a", line);
    let mut config = sync_core::SyncConfig::default();
    config.attempts = 1;
    site.site = site.site.clone().with_config(config);
    let _ = site.site.sync(&SyncOptions::default(), &mut NoopObserver).unwrap();
    site.records.put(table, [record]).unwrap();
    let _ = site.site.sync(&SyncOptions::default(), &mut NoopObserver).unwrap();
    // After the break, the site tells central that nothing follows: that push is not the one.
    let mut request = kept.0.lock().unwrap().drain(..).next().expect("a push");
    request.url = "/central/sync/push".to_owned();
    let mut body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
    body.as_object_mut().unwrap().remove("pushChain").expect("a chain");
    request.body = body.to_string().into_bytes();
    request
}

#[test]
fn a_push_that_comes_while_an_integration_waits_is_not_taken_at_any_moment() {
    let central = CentralEnd::over(Kind::Memory).integrating_at_once(0);
    central.add_site("a");
    let push = |database, text| a_push(&central, database, "name_oms_fields", properties(text));
    let (first, second) = (push("one", "first"), push("two", "second"));
    let interposed = Arc::new(Interposed { inner: central.storage.clone(), before_write: Mutex::default() });
    let server = Replica::with_storage(interposed.clone()).stand_alone_central();
    // The other push is accepted after the check that none waits, and before this one is staged.
    let other = central.central.clone();
    *interposed.before_write.lock().unwrap() = Some(Box::new(move || {
        let body = String::from_utf8(other.handle(&first).body).unwrap();
        assert!(body.contains("records_pushed"), "{body}");
    }));
    let body = String::from_utf8(server.handle(&second).body).unwrap();
    assert!(body.contains("integrationInProgress"), "{body}");
    central.central.integrate_waiting().unwrap();
    let txn = central.storage.read().unwrap();
    assert!(txn.staged_tables(Source::Site(SiteId(2))).unwrap().is_empty(), "nothing is left behind");
    assert_eq!(get(&central.records, "name_oms_fields", "n").unwrap(), properties("first").as_str());
}

#[test]
fn a_store_that_moves_just_before_a_push_of_its_former_site_is_taken_is_not_that_sites_any_more() {
    let central = Arc::new(CentralEnd::over(Kind::Memory));
    central.add_site("a");
    central.add_site("b");
    central.records.put("asset", [asset("x", "STORE_a", "before")]).unwrap();
    let push = a_push(&central, "one", "asset", asset("x", "STORE_a", "of a"));
    let interposed = Arc::new(Interposed { inner: central.storage.clone(), before_write: Mutex::default() });
    let server = Replica::with_storage(interposed.clone()).stand_alone_central();
    let registry = central.clone();
    *interposed.before_write.lock().unwrap() = Some(Box::new(move || {
        registry.sites.add_store("a", "a", "b", Some("STORE_a".into())).unwrap();
    }));
    let body = String::from_utf8(server.handle(&push).body).unwrap();
    assert!(body.contains("records_pushed"), "{body}");
    server.integrate_waiting().unwrap();
    assert_eq!(notes(get(&central.records, "asset", "x")).as_deref(), Some("before"), "the store is on b");
    assert_eq!(central.causes(), [(QuarantineCause::Refused, 1)]);
}

/// Runs what another program does to a database file.
fn meddle(path: &std::path::Path, sql: &str) {
    Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

/// A trigger at which each write of this record fails.
fn refusing(id: &str) -> String {
    let when = format!("BEFORE UPDATE ON sync_record WHEN new.record_id = '{id}'");
    format!("CREATE TRIGGER refuses {when} BEGIN SELECT RAISE(ABORT, 'planned'); END")
}

fn class(id: &str, name: &str) -> RecordData {
    data(&format!(r#"{{"id":"{id}","name":"{name}"}}"#))
}

#[test]
fn a_record_at_which_a_sites_database_fails_stops_no_other() {
    let central = CentralEnd::over(Kind::Memory);
    central.add_site("a");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("site.sqlite");
    let a = central.set_up_over(Arc::new(SqliteStorage::open(&path).unwrap()), "a", central.transport());
    put_class(central.storage.as_ref(), "bad");
    a.sync();
    meddle(&path, &refusing("bad"));
    central.records.put("asset_class", [class("bad", "newer"), class("good", "n"), class("good2", "n")]).unwrap();
    let report = a.site.sync(&SyncOptions::default(), &mut NoopObserver).unwrap();
    assert_eq!(report.error.map(|error| error.code()), Some("database_failed"), "the first time it may be chance");
    let report = a.site.sync(&SyncOptions::default(), &mut NoopObserver).unwrap();
    assert!(report.error.is_none(), "{:?}", report.error);
    assert!(a.get("asset_class", "good").is_some() && a.get("asset_class", "good2").is_some());
    assert_eq!(causes(a.storage.as_ref()), [(QuarantineCause::Failed, 1)]);
    let (row, why) = a.storage.read().unwrap().quarantined(0, 9).unwrap().remove(0);
    assert_eq!(row.incoming.id, *"bad");
    assert!(why.reason.contains("planned"), "{}", why.reason);
    // A later version is tried afresh.
    put_class(central.storage.as_ref(), "later");
    a.sync();
    assert!(a.get("asset_class", "later").is_some());
}

/// One edit is pushed once, also if it moves the record between stores of its site: a second row of it would come after what central
/// wrote in between.
#[test]
fn an_edit_that_moves_a_record_between_stores_of_its_site_is_one_edit() {
    let (central, a, _) = CentralEnd::with_an_asset_of_a(Kind::Memory);
    central.sites.add_store("SECOND", "SECOND", "a", Some("SECOND".into())).unwrap();
    a.sync();
    a.records.put("asset", [asset("x", "SECOND", "2")]).unwrap();
    assert_eq!(a.sync().pushed, 1);
    assert_eq!(notes(get(&central.records, "asset", "x")).as_deref(), Some("2"));
}

const DAMAGE: &str = "UPDATE sync_record SET data = '{' WHERE record_id = 'bad'";

/// Another program damages a record at a site, and then at central: it stops no other record, and the next version takes its place.
#[test]
fn a_record_that_another_program_damaged_stops_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let [at_site, at_central] = ["site.sqlite", "central.sqlite"].map(|name| folder.path().join(name));
    let central = CentralEnd::over_storage(Arc::new(SqliteStorage::open(&at_central).unwrap()));
    central.add_site("a");
    let a = central.set_up_over(Arc::new(SqliteStorage::open(&at_site).unwrap()), "a", central.transport());
    central.move_store("a");
    a.sync();
    let write = |version: &str| {
        for id in ["bad", "good"] {
            a.records.put("asset", [asset(id, "S", version)]).unwrap();
        }
    };
    let version_at_central = |id: &str| notes(get(&central.records, "asset", id));
    write("1");
    meddle(&at_site, DAMAGE);
    let report = a.sync();
    assert_eq!((report.pushed, report.refused, report.quarantined), (1, 0, 1), "the site says that it cannot send it");
    assert_eq!(causes(a.storage.as_ref()), [(QuarantineCause::Malformed, 1)]);
    assert_eq!(version_at_central("good").as_deref(), Some("1"));
    assert_eq!(a.sync().pushed, 0, "once");
    write("2");
    assert_eq!(a.sync().pushed, 2, "it can be written again");
    assert_eq!(causes(a.storage.as_ref()), [], "and nobody has to act any more");
    meddle(&at_central, DAMAGE);
    let b = central.new_site("b");
    b.sync();
    central.records.put("asset_class", [class("class", "n")]).unwrap();
    central.move_store("b");
    b.sync();
    assert!(b.get("asset", "good").is_some() && b.get("asset_class", "class").is_some(), "others are sent");
    assert_eq!(b.get("asset", "bad"), None);
    b.records.put("asset", [asset("bad", "S", "3")]).unwrap();
    b.sync();
    assert_eq!(version_at_central("bad").as_deref(), Some("3"));
}

/// Site a has pushed properties of three names, and of one of them twice.
#[test]
fn a_record_at_which_centrals_database_or_its_code_fails_stops_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let panics = Arc::new(AtomicBool::new(true));
    let panicking = panics.clone();
    let hook = move |_: &Connection, record: &HookedRecord<'_>| {
        assert!(!panicking.load(Ordering::SeqCst) || *record.id != *"bad1", "planned");
        Ok(())
    };
    let replica = Replica::builder().hook(hook).open(folder.path().join("central.sqlite")).unwrap();
    let central = CentralEnd::over_storage(replica.storage().clone());
    let (a, b) = (central.new_site("a"), central.new_site("b"));
    a.sync();
    b.sync();
    for id in ["bad1", "bad2", "good1", "good2"] {
        a.records.put("asset", [asset(id, "STORE_a", "1")]).unwrap();
    }
    panics.store(false, Ordering::SeqCst);
    a.sync();
    panics.store(true, Ordering::SeqCst);
    meddle(&folder.path().join("central.sqlite"), &refusing("bad2"));
    for id in ["good1", "bad1", "bad2", "good2"] {
        a.records.put("asset", [asset(id, "STORE_a", "2")]).unwrap();
    }
    assert_eq!(a.sync().pushed, 4);
    assert!(!central.storage.read().unwrap().central().unwrap().integration_waits(SiteId(2)).unwrap(), "it is done");
    for id in ["good1", "good2"] {
        assert_eq!(notes(get(&central.records, "asset", id)).as_deref(), Some("2"));
    }
    assert_eq!(central.causes(), [(QuarantineCause::Failed, 2)]);
    panics.store(false, Ordering::SeqCst);
    central.restarted().integrate_waiting().unwrap();
    assert_eq!(notes(get(&central.records, "asset", "bad1")).as_deref(), Some("2"), "tried again by a new server");
    assert_eq!(central.causes(), [(QuarantineCause::Failed, 1)]);
}

/// Delivers a push, and reports that it was refused.
struct Doubting {
    to_central: Arc<dyn Transport>,
    doubts: AtomicBool,
}

impl Transport for Doubting {
    fn send(&self, request: &HttpRequest) -> std::result::Result<HttpResponse, TransportError> {
        let response = self.to_central.send(request);
        if request.url.ends_with("/push") && self.doubts.swap(false, Ordering::SeqCst) {
            let body = r#"{"error":{"otherServerError":"Internal error: database_busy"}}"#;
            return Ok(HttpResponse::json(200, body.as_bytes().to_vec()));
        }
        response
    }
}

#[test]
fn an_edit_that_came_back_is_at_central_and_not_pushed_again() {
    let central = CentralEnd::over(Kind::Memory);
    central.add_site("a");
    let line = Arc::new(Doubting { to_central: central.step_by_step(), doubts: AtomicBool::new(false) });
    let a = central.set_up_in("a", "a", line.clone());
    let b = central.new_site("b");
    a.sync();
    b.sync();
    a.records.put("name_oms_fields", [properties("of a")]).unwrap();
    line.doubts.store(true, Ordering::SeqCst);
    // It reads everything again, its own included.
    let txn = a.storage.write().unwrap();
    state::PULL_CURSOR_V6.set(txn.as_ref(), Cursor(0)).unwrap();
    state::PULL_OWN.set(txn.as_ref(), true).unwrap();
    txn.commit().unwrap();
    let report = a.site.sync(&SyncOptions::default(), &mut NoopObserver).unwrap();
    assert_eq!(report.error.map(|error| error.code()), Some("peer_error"));
    assert_eq!(report.kept_local, 0, "what came is what is here");
    b.sync();
    b.records.put("name_oms_fields", [properties("of b, who had read a")]).unwrap();
    b.sync();
    assert_eq!(a.sync().pushed, 0, "central has it");
    b.sync();
    for found in [get(&central.records, "name_oms_fields", "n"), a.get("name_oms_fields", "n")] {
        assert_eq!(found.unwrap(), properties("of b, who had read a").as_str());
    }
    a.records.put("name_oms_fields", [properties("of a, later")]).unwrap();
    assert_eq!(a.sync().pushed, 1, "a later edit is one");
    assert_eq!(count(central.storage.as_ref(), "name_oms_fields"), 1);
}

#[test]
fn a_late_copy_is_known_after_a_restart_and_after_very_many_others() {
    for kind in [Kind::Sqlite, Kind::Memory] {
        let central = CentralEnd::over(kind);
        central.add_site("a");
        let late = a_push(&central, "a", "name_oms_fields", properties("1"));
        let a = central.set_up_in("a", "a", central.transport());
        a.records.put("name_oms_fields", [properties("2")]).unwrap();
        a.sync();
        let txn = central.storage.write().unwrap();
        let (at, table) = (Timestamp::from_unix_millis(0), TableName::from("asset"));
        for n in 0..25_000_u64 {
            let pushed = sync_core::storage::PushedVersion { cursor: Cursor(n), fingerprint: n, at, is_former: false };
            txn.central().unwrap().note_taken(SiteId(2), &table, &RecordId::new(n.to_string()), &pushed).unwrap();
        }
        txn.commit().unwrap();
        for server in [central.central.clone(), central.restarted()] {
            let answer = InProcess::new(server).send(&late).unwrap();
            let body = String::from_utf8(answer.body).unwrap();
            assert!(body.contains("integrationInProgress") || body.contains("records_pushed"), "{body}");
            let found = get(&central.records, "name_oms_fields", "n").unwrap();
            assert_eq!(found, properties("2").as_str());
        }
    }
}

type Write = Box<dyn FnOnce() + Send>;

/// Somebody writes during a pull, which brings this batch.
struct Meanwhile {
    to_central: Arc<dyn Transport>,
    pull: Mutex<Option<(String, Write)>>,
}

impl Transport for Meanwhile {
    fn send(&self, request: &HttpRequest) -> std::result::Result<HttpResponse, TransportError> {
        let mut response = self.to_central.send(request)?;
        if request.url.ends_with("/central/sync/pull")
            && let Some((batch, write)) = self.pull.lock().unwrap().take()
        {
            write();
            response.body = batch.into_bytes();
        }
        Ok(response)
    }
}

#[test]
fn what_waits_does_not_undo_what_was_written_here_before_it_came() {
    for (kind, deletes) in [(Kind::Sqlite, false), (Kind::Sqlite, true), (Kind::Memory, false), (Kind::Memory, true)] {
        let central = CentralEnd::over(kind);
        central.add_site("a");
        let line = Arc::new(Meanwhile { to_central: central.step_by_step(), pull: Mutex::new(None) });
        let a = central.set_up_in("a", "a", line.clone());
        a.sync();
        let location = |asset: &str| data(&format!(r#"{{"id":"l","asset_id":"{asset}","location_id":"loc"}}"#));
        a.records.put("asset", [asset("x", "STORE_a", ""), asset("z", "STORE_a", "")]).unwrap();
        a.records.put("asset_internal_location", [location("x")]).unwrap();
        a.sync();
        let next = central.storage.read().unwrap().last_cursor().unwrap().next();
        let record = format!(
            r#"{{"tableName":"asset_internal_location","recordId":"l","action":"Update","recordData":{}}}"#,
            location("y").as_str()
        );
        let batch = format!(
            r#"{{"data":{{"end_cursor":{next},"total_records":1,"is_last_batch":true,"records":[{{"cursor":{next},"record":{record}}}]}}}}"#
        );
        let (records, edit) = (a.records.clone(), location("z"));
        let write = move || {
            let written = match deletes {
                true => records.delete("asset_internal_location", "l"),
                false => records.put("asset_internal_location", [edit]).map(|_| ()),
            };
            written.unwrap();
        };
        *line.pull.lock().unwrap() = Some((batch, Box::new(write)));
        let cycle =
            || sync_tests::world::SeenReport::new(a.site.sync(&SyncOptions::default(), &mut NoopObserver).unwrap());
        cycle();
        assert_eq!(causes(a.storage.as_ref()), [(QuarantineCause::Waiting, 1)]);
        assert_eq!(cycle().pushed, 1);
        for id in ["1", "2", "3"] {
            put_class(central.storage.as_ref(), id);
        }
        central.records.put("asset", [asset("y", "STORE_a", "")]).unwrap();
        cycle();
        cycle();
        assert!(a.get("asset", "y").is_some());
        let expected = (!deletes).then(|| location("z").as_str().to_owned());
        assert_eq!(a.get("asset_internal_location", "l"), expected, "{kind:?}");
        assert_eq!(get(&central.records, "asset_internal_location", "l"), expected);
        assert_eq!(causes(a.storage.as_ref()), [(QuarantineCause::Superseded, 1)]);
    }
}
