//! Edits that a site makes before it learns that a store moved elsewhere.

use std::sync::{Arc, Mutex};

use sync_core::central::InProcess;
use sync_core::record::{RecordData, StoreId};
use sync_core::storage::QuarantineCause;
use sync_core::transport::{HttpRequest, HttpResponse, Transport, TransportError};
use sync_tests::world::{CentralEnd, Kind, asset, data, document, get};

fn causes(central: &CentralEnd) -> Vec<(QuarantineCause, u64)> {
    central.storage.read().unwrap().quarantine_counts().unwrap()
}

fn move_store(central: &CentralEnd, site: &str) {
    central.sites.add_store("S", "S", site, Some(StoreId::from("S"))).unwrap();
    central.central.integrate_waiting().unwrap();
}

fn log(id: &str, asset: &str) -> RecordData {
    data(&format!(
        r#"{{"id":"{id}","asset_id":"{asset}","user_id":"u","status":"FUNCTIONING","log_datetime":"2025-01-01T00:00:00"}}"#
    ))
}

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

fn added_before_its_site_is_told(is_restarted: bool) {
    let central = Arc::new(CentralEnd::over(Kind::Memory));
    central.add_site("a");
    let line = Arc::new(Changing { to_central: Mutex::new(central.transport()), before_pull: Mutex::new(None) });
    let a = central.set_up_in("a", "a", line.clone());
    let b = central.new_site("b");
    move_store(&central, "a");
    a.sync();
    b.sync();
    a.records.put("asset", [asset("x", "S", "1")]).unwrap();
    a.sync();
    // Changes of stores come before the rest of a cycle, during which this one moves.
    let server = central.clone();
    *line.before_pull.lock().unwrap() = Some(Box::new(move || move_store(&server, "b")));
    a.sync();
    a.records.put("asset_log", [log("between", "x")]).unwrap();
    if is_restarted {
        // The site's position is written from time to time.
        central.central.flush_activity().unwrap();
        *line.to_central.lock().unwrap() = Arc::new(InProcess::new(central.restarted()));
    }
    a.sync();
    central.restarted().integrate_waiting().unwrap();
    assert!(get(&central.records, "asset_log", "between").is_some(), "{:?}", causes(&central));

    a.records.put("asset_log", [log("later", "x")]).unwrap_err();
    assert_eq!(causes(&central), []);
}

#[test]
fn what_is_added_before_a_site_is_told_of_the_store_is_taken_whatever_else_it_has_read() {
    added_before_its_site_is_told(false);
    added_before_its_site_is_told(true);
}

#[test]
fn what_is_added_in_a_store_that_moved_is_taken_by_a_server_that_forgot_how_far_the_site_had_read() {
    let central = CentralEnd::over(Kind::Memory);
    central.add_site("a");
    let line = Arc::new(Changing { to_central: Mutex::new(central.transport()), before_pull: Mutex::new(None) });
    let a = central.set_up_in("a", "a", line.clone());
    central.new_site("b").sync();
    move_store(&central, "a");
    a.sync();
    a.records.put("asset", [asset("x", "S", "1")]).unwrap();
    a.sync();
    a.records.put("asset_log", [log("l", "x")]).unwrap();
    let restarted = central.restarted();
    *line.to_central.lock().unwrap() = Arc::new(InProcess::new(restarted.clone()));
    move_store(&central, "b");
    a.sync();
    restarted.integrate_waiting().unwrap();
    assert!(get(&central.records, "asset_log", "l").is_some(), "{:?}", causes(&central));
}

/// A photo of a log belongs where the log does: with the asset, wherever that is by now.
#[test]
fn the_photo_of_a_log_of_an_asset_that_moved_unseen_is_taken_with_the_log() {
    let central = CentralEnd::over(Kind::Memory);
    let (a, b) = (central.new_site("a"), central.new_site("b"));
    a.sync();
    b.sync();
    a.records.put("asset", [asset("x", "STORE_a", "1")]).unwrap();
    a.sync();
    central.records.put("asset", [asset("x", "STORE_b", "1")]).unwrap();
    a.records.put("asset_log", [log("l", "x")]).unwrap();
    let photo = [("id", "photo"), ("table_name", "asset_log"), ("record_id", "l"), ("file_name", "seal.jpg")];
    a.records.put("sync_file_reference", [document("sync_file_reference", &photo)]).unwrap();
    a.sync();
    b.sync();
    for end in [&central.records, &b.records] {
        assert!(get(end, "asset_log", "l").is_some() && get(end, "sync_file_reference", "photo").is_some());
    }
    assert_eq!(causes(&central), []);
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
    a.records.delete("sync_file_reference", &"photo".into()).unwrap();
    a.sync();
    b.sync();
    for end in [&central.records, &b.records] {
        let reference = get(end, "sync_file_reference", "photo");
        let is_deleted =
            |json: String| data(&json).fields().is_some_and(|fields| fields.text("deleted_datetime").is_some());
        assert!(reference.is_none_or(is_deleted));
    }
    assert_eq!(causes(&central), []);
}
