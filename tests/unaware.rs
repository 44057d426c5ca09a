//! What a site writes before it learns that a record or a store moved elsewhere.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sync_core::central::InProcess;
use sync_core::clock::Timestamp;
use sync_core::protocol::v6::{Action, WireRecord};
use sync_core::record::SiteId;
use sync_core::storage::{Incoming, Known, QuarantineCause, Source};
use sync_core::transport::{HttpRequest, HttpResponse, Transport, TransportError};
use sync_core::{NoopObserver, SyncConfig, SyncOptions};
use sync_tests::world::{CentralEnd, Kind, SiteEnd, asset, data, document, get, log, notes, put_class};

/// A line that runs some code before its next pull, and then leads to another server if there is one.
struct Changing {
    to_central: Mutex<Arc<dyn Transport>>,
    before_pull: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Transport for Changing {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        let before = if request.url.ends_with("/pull") { self.before_pull.lock().unwrap().take() } else { None };
        if let Some(before) = before {
            before();
        }
        let central = self.to_central.lock().unwrap().clone();
        central.send(request)
    }
}

fn added_before_its_site_is_told(is_restarted: bool, moves: &'static [&'static str]) {
    let central = Arc::new(CentralEnd::over(Kind::Memory));
    central.add_site("a");
    central.add_site("c");
    let line = Arc::new(Changing { to_central: Mutex::new(central.step_by_step()), before_pull: Mutex::new(None) });
    let a = central.set_up_in("a", "a", line.clone());
    let b = central.new_site("b");
    central.move_store("a");
    a.sync();
    b.sync();
    a.records.put("asset", [asset("x", "S", "1")]).unwrap();
    a.sync();
    // Changes of stores come before the rest of a cycle, during which this one moves.
    let server = central.clone();
    *line.before_pull.lock().unwrap() = Some(Box::new(move || {
        moves.iter().for_each(|site| server.move_store(site));
        put_class(server.storage.as_ref(), "of the same pull");
    }));
    a.sync();
    assert!(a.get("asset_class", "of the same pull").is_some(), "it has read past the move");
    a.records.put("asset_log", [log("between", "x")]).unwrap();
    if is_restarted {
        // The site's position is written from time to time.
        central.central.flush_activity().unwrap();
        *line.to_central.lock().unwrap() = Arc::new(InProcess::new(central.restarted()));
    }
    a.sync();
    central.restarted().integrate_waiting().unwrap();
    assert!(get(&central.records, "asset_log", "between").is_some(), "{:?}", central.causes());

    a.records.put("asset_log", [log("later", "x")]).unwrap_err();
    assert_eq!(central.causes(), []);
}

#[test]
fn what_is_added_before_a_site_is_told_of_the_store_is_taken_whatever_else_it_has_read() {
    for is_restarted in [false, true] {
        added_before_its_site_is_told(is_restarted, &["b"]);
        // The row that told of the first move is that of the second one now.
        added_before_its_site_is_told(is_restarted, &["b", "c"]);
    }
}

#[test]
fn what_is_added_in_a_store_that_moved_is_taken_by_a_server_that_forgot_how_far_the_site_had_read() {
    let central = CentralEnd::over(Kind::Memory);
    central.add_site("a");
    let line = Arc::new(Changing { to_central: Mutex::new(central.step_by_step()), before_pull: Mutex::new(None) });
    let a = central.set_up_in("a", "a", line.clone());
    central.new_site("b").sync();
    central.move_store("a");
    a.sync();
    a.records.put("asset", [asset("x", "S", "1")]).unwrap();
    a.sync();
    a.records.put("asset_log", [log("l", "x")]).unwrap();
    let restarted = central.restarted();
    *line.to_central.lock().unwrap() = Arc::new(InProcess::new(restarted.clone()));
    central.move_store("b");
    a.sync();
    restarted.integrate_waiting().unwrap();
    assert!(get(&central.records, "asset_log", "l").is_some(), "{:?}", central.causes());
}

/// The push of an edit may fail, or wait for another cycle, while pulls go on: what the site learns from them, it did not know when
/// it wrote.
#[test]
fn what_is_added_before_a_move_is_read_and_pushed_after_it_is_taken() {
    let central = CentralEnd::over(Kind::Memory);
    central.add_site("a");
    let a = central.set_up_in("a", "a", central.step_by_step());
    central.new_site("b").sync();
    central.move_store("a");
    a.sync();
    a.records.put("asset", [asset("x", "S", "1")]).unwrap();
    a.sync();
    central.move_store("b");
    put_class(central.storage.as_ref(), "later than the move");
    let pull = || a.site.sync(&SyncOptions::default().pull_only(), &mut NoopObserver).unwrap();
    a.records.put("asset_log", [log("unknowing", "x")]).unwrap();
    for _ in 0..2 {
        let report = pull();
        assert_eq!(report.pushed, 0);
        assert!(a.get("asset_class", "later than the move").is_some());
    }
    a.sync();
    central.central.integrate_waiting().unwrap();
    assert!(get(&central.records, "asset_log", "unknowing").is_some(), "{:?}", central.causes());
}

/// A line that loses the answers to pulls as long as it is told to, and can leave out what a site says of its reading, which
/// sites of Open mSupply do not say.
struct Losing {
    to_central: Arc<dyn Transport>,
    loses: AtomicBool,
    says_nothing: bool,
}

impl Transport for Losing {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        let mut sent = request.clone();
        if self.says_nothing && request.url.ends_with("/push") {
            let mut body: serde_json::Value = serde_json::from_slice(&sent.body).unwrap();
            body.as_object_mut().unwrap().remove("readTo").expect("it says how far it has read");
            sent.body = body.to_string().into_bytes();
        }
        let response = self.to_central.send(&sent)?;
        match self.loses.load(SeqCst) && request.url.ends_with("/pull") {
            true => Err(TransportError::Broken("the line broke".into())),
            false => Ok(response),
        }
    }
}

#[test]
fn what_was_in_an_answer_that_never_came_is_not_known() {
    for says_nothing in [false, true] {
        let central = CentralEnd::over(Kind::Memory);
        central.add_site("a");
        let (to_central, loses) = (central.step_by_step(), AtomicBool::new(false));
        let line = Arc::new(Losing { to_central, loses, says_nothing });
        let mut a = central.set_up_in("a", "a", line.clone());
        let mut config = SyncConfig::default();
        config.retry_wait = Duration::from_millis(1);
        a.site = a.site.with_config(config);
        central.new_site("b").sync();
        a.sync();
        a.records.put("asset", [asset("x", "STORE_a", "1")]).unwrap();
        a.sync();
        central.records.put("asset", [asset("x", "STORE_b", "moved")]).unwrap();
        line.loses.store(true, SeqCst);
        let report = a.site.sync(&SyncOptions::default(), &mut NoopObserver).unwrap();
        assert!(report.error.is_some(), "every answer to its pull was lost");
        line.loses.store(false, SeqCst);
        a.records.put("asset_log", [log("l", "x")]).unwrap();
        a.sync();
        assert!(get(&central.records, "asset_log", "l").is_some(), "{:?}", central.causes());
        assert_eq!(central.causes(), []);
    }
}

/// Central took the push while the store was the site's.
#[test]
fn what_waits_for_its_turn_counts_although_its_store_moves_meanwhile() {
    for kind in [Kind::Sqlite, Kind::Memory] {
        let central = CentralEnd::over(kind);
        central.new_site("b").sync();
        let a = central.new_site("a");
        central.move_store("a");
        a.sync();
        let record = |n: u32| {
            let (table_name, record_id) = ("asset".into(), format!("{n}").as_str().into());
            let record_data = asset(&format!("{n}"), "S", "acknowledged");
            Incoming::new(
                Source::Site(SiteId(3)),
                WireRecord { table_name, record_id, action: Action::Update, record_data },
            )
        };
        let stage = |n: u32| {
            let txn = central.storage.write().unwrap();
            txn.stage(&record(n), Timestamp::from_unix_millis(0)).unwrap();
            txn.central().unwrap().request_integration(SiteId(3), Timestamp::from_unix_millis(0)).unwrap();
            txn.commit().unwrap();
        };
        stage(1);
        central.sites.add_store("S", "S", "b", Some("S".into())).unwrap();
        stage(2);
        central.restarted().integrate_waiting().unwrap();
        let has = |id: &str| get(&central.records, "asset", id).is_some();
        assert_eq!((has("1"), has("2")), (true, false), "{:?}", central.causes());
    }
}

/// A photo of a log belongs where the log does: with the asset, wherever that is by now.
#[test]
fn the_photo_of_a_log_of_an_asset_that_moved_unseen_is_taken_with_the_log() {
    let (central, a, b) = CentralEnd::with_an_asset_of_a(Kind::Memory);
    central.records.put("asset", [asset("x", "STORE_b", "1")]).unwrap();
    a.records.put("asset_log", [log("l", "x")]).unwrap();
    let photo = [("id", "photo"), ("table_name", "asset_log"), ("record_id", "l"), ("file_name", "seal.jpg")];
    a.records.put("sync_file_reference", [document("sync_file_reference", &photo)]).unwrap();
    a.sync();
    b.sync();
    for end in [&central.records, &b.records] {
        assert!(get(end, "asset_log", "l").is_some() && get(end, "sync_file_reference", "photo").is_some());
    }
    assert_eq!(central.causes(), []);
}

/// Nobody else has the bytes of a file that was never sent, so a reference that stayed would be of no use to anybody.
#[test]
fn a_file_that_never_came_is_withdrawn_although_its_asset_moved_unseen() {
    let central = CentralEnd::over(Kind::Memory);
    let (a, b) = (central.new_site("a"), central.new_site("b"));
    a.sync();
    b.sync();
    a.records.put("asset", [asset("x", "STORE_a", "1")]).unwrap();
    let photo = [("id", "photo"), ("table_name", "asset"), ("record_id", "x"), ("file_name", "seal.jpg")];
    a.records.put("sync_file_reference", [document("sync_file_reference", &photo)]).unwrap();
    a.sync();
    central.records.put("asset", [asset("x", "STORE_b", "1")]).unwrap();
    a.records.delete("sync_file_reference", "photo").unwrap();
    a.sync();
    b.sync();
    for end in [&central.records, &b.records] {
        let reference = get(end, "sync_file_reference", "photo");
        let is_deleted =
            |json: String| data(&json).fields().is_some_and(|fields| fields.text("deleted_datetime").is_some());
        assert!(reference.is_none_or(is_deleted));
    }
    assert_eq!(central.causes(), []);
}

#[test]
fn what_is_added_to_a_record_that_moved_belongs_to_it_and_an_edit_gives_way() {
    let (central, a, b) = CentralEnd::with_an_asset_of_a(Kind::Memory);
    central.records.put("asset", [asset("x", "STORE_b", "moved")]).unwrap();
    a.records.put("asset_log", [log("l", "x")]).unwrap();
    a.records.put("asset", [asset("x", "STORE_a", "2: of a")]).unwrap();
    a.sync();
    b.sync();
    assert!(b.get("asset_log", "l").is_some(), "the log is where its asset is");
    assert_eq!(central.causes(), [(QuarantineCause::Superseded, 1)], "the edit is no breach of a rule");
    for found in [get(&central.records, "asset", "x"), a.get("asset", "x"), b.get("asset", "x")] {
        assert_eq!(notes(found).as_deref(), Some("moved"));
    }

    // Once the site has read of it, it is one.
    let read_to = central.storage.read().unwrap().last_cursor().unwrap().next();
    for (id, by_sender) in [("of one who knew", Some(read_to)), ("of one of whom nothing is known", None)] {
        let (table_name, record_id) = ("asset_log".into(), id.into());
        let record = WireRecord { table_name, record_id, action: Action::Update, record_data: log(id, "x") };
        let known = Known { here: None, by_sender };
        let txn = central.storage.write().unwrap();
        let incoming = Incoming { known, ..Incoming::new(Source::Site(SiteId(2)), record) };
        txn.stage(&incoming, Timestamp::from_unix_millis(0)).unwrap();
        txn.central().unwrap().request_integration(SiteId(2), Timestamp::from_unix_millis(0)).unwrap();
        txn.commit().unwrap();
        central.central.integrate_waiting().unwrap();
        assert_eq!(get(&central.records, "asset_log", id), None);
    }
    let found = central.causes();
    assert_eq!(found, [(QuarantineCause::Refused, 2), (QuarantineCause::Superseded, 1)]);
}

/// Reads, sends nothing.
fn pull_only(site: &SiteEnd) {
    let _ = site.site.sync(&SyncOptions::default().pull_only(), &mut NoopObserver).unwrap();
}

/// The edit was made before the site read of the move, and goes in a batch of its own: what comes in a later one was written by a
/// site that had read of the move, and kept its edit all the same.
#[test]
fn what_is_added_after_an_edit_that_was_kept_is_taken_in_a_later_batch_too() {
    for kind in [Kind::Sqlite, Kind::Memory] {
        let (central, a, b) = CentralEnd::with_an_asset_of_a(kind);
        a.records.put("asset", [asset("x", "STORE_a", "2: of a")]).unwrap();
        central.records.put("asset", [asset("x", "STORE_b", "moved")]).unwrap();
        put_class(central.storage.as_ref(), "later than the move");
        pull_only(&a);
        a.records.put("asset_log", [log("l", "x")]).unwrap();
        let mut config = SyncConfig::default();
        config.push_records_max = 1;
        let site = a.site.clone().with_config(config);
        let _ = site.sync(&SyncOptions::default(), &mut NoopObserver).unwrap();
        a.sync();
        central.central.integrate_waiting().unwrap();
        b.sync();
        assert!(b.get("asset_log", "l").is_some(), "{:?}", central.causes());
        assert_eq!(central.causes(), [(QuarantineCause::Superseded, 1)]);
        for found in [get(&central.records, "asset", "x"), a.get("asset", "x"), b.get("asset", "x")] {
            assert_eq!(notes(found).as_deref(), Some("moved"));
        }
    }
}

#[test]
fn a_site_that_kept_its_edit_and_read_past_a_move_is_told_of_it_again_and_what_it_added_meanwhile_is_taken() {
    for kind in [Kind::Sqlite, Kind::Memory] {
        let (central, a, b) = CentralEnd::with_an_asset_of_a(kind);
        a.records.put("asset", [asset("x", "STORE_a", "2: of a")]).unwrap();
        central.records.put("asset", [asset("x", "STORE_b", "moved")]).unwrap();
        pull_only(&a);
        a.records.put("asset_log", [log("l", "x")]).unwrap();
        // The same that came before the edit, in a push that broke off.
        let read_to = central.storage.read().unwrap().last_cursor().unwrap().next();
        let record = WireRecord {
            table_name: "asset_log".into(),
            record_id: "m".into(),
            action: Action::Update,
            record_data: log("m", "x"),
        };
        let known = Known { here: None, by_sender: Some(read_to) };
        let (txn, now) = (central.storage.write().unwrap(), Timestamp::from_unix_millis(0));
        txn.stage(&Incoming { known, ..Incoming::new(Source::Site(SiteId(2)), record) }, now).unwrap();
        txn.central().unwrap().request_integration(SiteId(2), now).unwrap();
        txn.commit().unwrap();
        central.central.integrate_waiting().unwrap();
        assert_eq!(central.causes(), [(QuarantineCause::Refused, 1)]);

        a.sync();
        central.central.integrate_waiting().unwrap();
        b.sync();
        for id in ["l", "m"] {
            assert!(b.get("asset_log", id).is_some(), "{id}: {:?}", central.causes());
        }
        assert_eq!(central.causes(), [(QuarantineCause::Superseded, 1)], "the edit is no breach of a rule");
        for found in [get(&central.records, "asset", "x"), a.get("asset", "x"), b.get("asset", "x")] {
            assert_eq!(notes(found).as_deref(), Some("moved"));
        }
        a.records.put("asset_log", [log("later", "x")]).unwrap_err();
    }
}

#[test]
fn what_is_added_in_a_store_that_moved_is_taken() {
    let (central, a, b) = CentralEnd::with_a_store_on_a(Kind::Memory);
    central.move_store("b");
    a.records.put("asset_log", [log("l", "x")]).unwrap();
    a.sync();
    b.sync();
    assert!(b.get("asset_log", "l").is_some(), "{:?}", central.causes());
    assert_eq!(central.causes(), []);
}

/// A new record is in nobody's way, and what was added to it would else wait for it for ever.
#[test]
fn a_new_record_of_a_store_that_moved_is_taken_with_what_was_added_to_it() {
    for kind in [Kind::Sqlite, Kind::Memory] {
        let (central, a, b) = CentralEnd::with_a_store_on_a(kind);
        central.move_store("b");
        a.records.put("asset", [asset("new", "S", "of a")]).unwrap();
        a.records.put("asset_log", [log("of new", "new")]).unwrap();
        a.sync();
        b.sync();
        for (table, id) in [("asset", "new"), ("asset_log", "of new")] {
            assert!(b.get(table, id).is_some(), "{table}: {:?}", central.causes());
        }
        assert_eq!(central.causes(), []);
        // From now on the site knows.
        a.records.put("asset", [asset("later", "S", "of a")]).unwrap_err();
        b.records.put("asset", [asset("new", "S", "of b")]).unwrap();
        b.sync();
        a.sync();
        assert_eq!(notes(get(&central.records, "asset", "new")).as_deref(), Some("of b"));
    }
}

/// An edit is kept for the case that the store comes back, and breaks no rule.
#[test]
fn an_edit_in_a_store_that_moved_comes_back_with_it() {
    let (central, a, b) = CentralEnd::with_a_store_on_a(Kind::Memory);
    central.move_store("b");
    a.records.put("asset", [asset("x", "S", "edited by a")]).unwrap();
    a.sync();
    assert_eq!(central.causes(), [(QuarantineCause::Refused, 1)]);
    b.sync();
    central.move_store("a");
    a.sync();
    assert_eq!(central.causes(), []);
    assert_eq!(notes(get(&central.records, "asset", "x")).as_deref(), Some("edited by a"));
}

#[test]
fn what_is_added_is_taken_where_a_store_moved_and_a_record_of_it_too() {
    for kind in [Kind::Sqlite, Kind::Memory] {
        for store_first in [true, false] {
            let (central, a, b) = CentralEnd::with_a_store_on_a(kind);
            if store_first {
                central.move_store("b");
            }
            central.records.put("asset", [asset("x", "STORE_b", "moved")]).unwrap();
            if !store_first {
                central.move_store("b");
            }
            a.records.put("asset_log", [log("l", "x")]).unwrap();
            a.records.put("asset", [asset("x", "S", "2: of a")]).unwrap();
            a.sync();
            b.sync();
            assert!(b.get("asset_log", "l").is_some(), "{:?}", central.causes());
            assert_eq!(central.causes(), [(QuarantineCause::Superseded, 1)], "the edit is no breach");
            assert_eq!(notes(b.get("asset", "x")).as_deref(), Some("moved"));
        }
    }
}
