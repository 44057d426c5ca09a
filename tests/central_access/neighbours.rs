//! What a site can do to its neighbours: read, change and take their records.

use std::io::Read;

use sync_core::record::RecordId;
use sync_core::storage::QuarantineCause;
use sync_core::transport::{HttpResponse, Method};
use sync_tests::world::{CentralEnd, Kind, asset, document, get};

use super::{credentials, credentials_of, json, post, text};

const DAY: &str = "2025-01-01T00:00:00";

/// A central server with the sites `a` and `b`.
fn central() -> CentralEnd {
    let end = CentralEnd::new();
    end.add_site("a");
    end.add_site("b");
    end
}

/// Pushes one record, which this action and these data make, under a cursor of the site.
fn push_one(end: &CentralEnd, site: &str, record: (&str, &str, &str, &str), (cursor, lost): (u64, &str)) {
    let (action, table, id, data) = record;
    let body = format!(
        r#"{{"batch":{{"end_cursor":{cursor},"total_records":1,"is_last_batch":true,"lost_history":{lost},"records":[{{"cursor":{cursor},"record":{{"tableName":"{table}","recordId":"{id}","action":"{action}","recordData":{data}}}}}]}},"syncV5Settings":{},"syncV6Version":5}}"#,
        credentials(site)
    );
    json(&end.central.handle(&post(super::PUSH, body)));
    end.central.integrate_waiting().unwrap();
}

fn push(end: &CentralEnd, site: &str, table: &str, id: &str, data: &str) {
    push_one(end, site, ("Update", table, id, data), (0, "[]"));
}

fn pulled(end: &CentralEnd, site: &str) -> String {
    text(&end.central.handle(&super::pull_request(&credentials(site), 0, 500)))
}

fn aside(end: &CentralEnd) -> Vec<(String, QuarantineCause)> {
    let rows = end.storage.read().unwrap().quarantined(0, 100).unwrap();
    rows.into_iter().map(|(row, why)| (row.incoming.id.to_string(), why.cause)).collect()
}

fn refused(id: &str) -> (String, QuarantineCause) {
    (id.to_owned(), QuarantineCause::Refused)
}

fn waiting(id: &str) -> (String, QuarantineCause) {
    (id.to_owned(), QuarantineCause::Waiting)
}

/// A version that was refused from a site cannot be lost by its backup: the site learns nothing of the record.
#[test]
fn a_site_that_tells_of_a_backup_learns_nothing_of_a_record_that_it_was_refused() {
    for kind in [Kind::Memory, Kind::Sqlite] {
        let end = CentralEnd::over(kind);
        end.add_site("a");
        end.add_site("b");
        let of = |store: &str, notes: &str| asset("x", store, notes).as_str().to_owned();
        push_one(&end, "a", ("Update", "asset", "x", &of("STORE_a", "secret of a")), (3, "[]"));
        push_one(&end, "b", ("Update", "asset", "x", &of("STORE_b", "")), (7, "[]"));
        assert_eq!(aside(&end), [refused("x")]);
        let backup = r#"[{"after":10,"before":100}]"#;
        push_one(&end, "b", ("Update", "asset", "x", &of("STORE_b", "")), (5, backup));
        assert_eq!(aside(&end), [refused("x")], "it is judged as any other, and no newer version of it is known");
        assert!(!pulled(&end, "b").contains("secret"));
        push_one(&end, "b", ("Delete", "asset", "x", "null"), (6, backup));
        assert!(!pulled(&end, "b").contains("secret"));
        assert!(get(&end.records, "asset", "x").unwrap().contains("secret of a"));
    }
}

/// Nor of versions by others of a record that was once its own.
#[test]
fn a_site_that_tells_of_a_backup_learns_nothing_new_of_a_record_that_left_it() {
    let end = central();
    let of = |store: &str, notes: &str| asset("x", store, notes).as_str().to_owned();
    push_one(&end, "b", ("Update", "asset", "x", &of("STORE_b", "of b")), (3, "[]"));
    end.records.put("asset", [asset("x", "STORE_a", "given to a")]).unwrap();
    let newest = end.storage.read().unwrap().last_cursor().unwrap();
    push_one(&end, "a", ("Update", "asset", "x", &of("STORE_a", "secret of a")), (3, "[]"));
    push_one(&end, "b", ("Update", "asset", "x", &of("STORE_b", "of b")), (2, r#"[{"after":5,"before":100}]"#));
    let later = end.central.handle(&super::pull_request(&credentials("b"), newest.next().0, 500));
    assert!(!text(&later).contains("secret"), "{}", text(&later));
}

fn reference(id: &str, table: &str, record: &str, more: &str) -> String {
    format!(
        r#"{{"id":"{id}","table_name":"{table}","record_id":"{record}","file_name":"n.txt","created_datetime":"{DAY}"{more}}}"#
    )
}

const BOUNDARY: &str = "multipart/form-data; boundary=b";

fn json_part(credentials: &str, id: &str) -> String {
    format!(
        "--b\r\nContent-Disposition: form-data; name=\"json_part\"\r\nContent-Type: application/json\r\n\r\n\
         {{\"file_id\":\"{id}\",\"sync_v5_settings\":{credentials},\"sync_v6_version\":5}}\r\n"
    )
}

fn file_part(bytes: &str) -> String {
    format!("--b\r\nContent-Disposition: form-data; name=\"file_part\"; filename=\"n.txt\"\r\n\r\n{bytes}\r\n")
}

fn upload(end: &CentralEnd, site: &str, id: &str, bytes: &str) -> String {
    let body = format!("{}{}--b--\r\n", json_part(&credentials(site), id), file_part(bytes));
    text(&end.central.upload_file(Some(BOUNDARY), &mut body.as_bytes(), None).response)
}

fn download(end: &CentralEnd, site: &str, id: &str, table: &str, record: &str) -> HttpResponse {
    let body = format!(
        r#"{{"tableName":"{table}","recordId":"{record}","id":"{id}","syncV5Settings":{},"syncV6Version":5}}"#,
        credentials(site)
    );
    let request = post("/central/sync/download_file", body);
    assert_eq!(request.method, Method::Post);
    end.central.handle(&request)
}

/// The owner of a reference is checked for the stored record and for the new one.
#[test]
fn no_site_takes_deletes_or_makes_the_file_of_another() {
    let end = central();
    for site in ["a", "b"] {
        let (id, store) = (format!("of-{site}"), format!("STORE_{site}"));
        push(&end, site, "asset", &id, asset(&id, &store, "").as_str());
    }
    push(&end, "a", "sync_file_reference", "f", &reference("f", "asset", "of-a", ""));
    assert!(upload(&end, "a", "f", "SECRT").contains("null"));
    let deleted = format!(r#","deleted_datetime":"{DAY}""#);
    for (id, record, more) in [("f", "of-b", ""), ("f", "of-a", deleted.as_str()), ("new", "of-a", "")] {
        push(&end, "b", "sync_file_reference", id, &reference(id, "asset", record, more));
        assert_eq!(aside(&end).last(), Some(&refused(id)), "{record} {more}");
        end.central.integrate_waiting().unwrap();
    }
    assert_eq!(download(&end, "b", "f", "asset", "of-b").status, 500);
    assert_eq!(download(&end, "a", "f", "asset", "of-a").body, b"SECRT");
    push(&end, "a", "sync_file_reference", "f", &reference("f", "asset", "of-a", deleted.as_str()));
    assert!(get(&end.records, "sync_file_reference", "f").unwrap().contains("deleted_datetime"));
}

/// The file of a record that every site has, or that central does not hold, belongs to the site that wrote the
/// reference.
#[test]
fn a_file_of_no_record_of_a_store_is_of_the_site_that_wrote_its_reference() {
    let end = central();
    end.records.put("asset_class", [sync_tests::world::data(r#"{"id":"c","name":"n"}"#)]).unwrap();
    for (id, table, record) in [("f", "invoice", "i"), ("g", "asset_class", "c"), ("h", "asset", "unknown")] {
        push(&end, "a", "sync_file_reference", id, &reference(id, table, record, r#","total_bytes":5"#));
        assert!(upload(&end, "b", id, "forgd").contains("syncFileNotFound"), "{table}");
        push(&end, "b", "sync_file_reference", id, &reference(id, table, record, r#","total_bytes":6"#));
        assert_eq!(aside(&end).last(), Some(&refused(id)));
        assert!(upload(&end, "a", id, "SECRT").contains("null"), "{table}");
        // A V6 record that central does not hold is only at its site.
        let expected = if id == "h" { 500 } else { 200 };
        assert_eq!(download(&end, "b", id, table, record).status, expected, "{table}");
        assert_eq!(download(&end, "a", id, table, record).body, b"SECRT", "{table}");
    }
    assert_eq!(aside(&end).len(), 3);
}

#[test]
fn the_file_of_a_patient_goes_to_those_who_see_the_patient() {
    let end = central();
    let patient = document("name", &[("ID", "p"), ("type", "patient"), ("last", "l")]);
    push(&end, "a", "name", "p", patient.as_str());
    push(&end, "a", "sync_file_reference", "f", &reference("f", "name", "p", ""));
    assert!(upload(&end, "a", "f", "SECRT").contains("null"));
    assert_eq!(download(&end, "a", "f", "name", "p").body, b"SECRT");
    assert_eq!(download(&end, "b", "f", "name", "p").status, 500);
    push(&end, "b", "name_store_join", "j", &join("j", "STORE_b", "p"));
    assert_eq!(download(&end, "b", "f", "name", "p").body, b"SECRT");
}

/// A restored site gets its records back, so their rows do not name it; who wrote them is noted beside.
#[test]
fn the_files_of_a_restored_site_stay_its_own() {
    let end = central();
    let lost = r#"[{"after":10,"before":100}]"#;
    let patient = document("name", &[("ID", "p"), ("type", "patient"), ("last", "l")]);
    push(&end, "a", "name", "p", patient.as_str());
    end.records.put("asset_class", [sync_tests::world::data(r#"{"id":"c","name":"n"}"#)]).unwrap();
    push_one(&end, "a", ("Update", "system_log", "s", document("system_log", &[("id", "s")]).as_str()), (150, lost));
    let files = [("f", "name", "p"), ("g", "asset_class", "c"), ("h", "invoice", "i"), ("i", "asset", "unknown")];
    for (id, table, record) in files {
        push_one(&end, "a", ("Update", "sync_file_reference", id, &reference(id, table, record, "")), (5, lost));
        assert!(upload(&end, "b", id, "forgd").contains("syncFileNotFound"), "{table}");
        assert!(upload(&end, "a", id, "SECRT").contains("null"), "{table}");
        assert_eq!(download(&end, "a", id, table, record).body, b"SECRT", "{table}");
    }
    assert_eq!(download(&end, "b", "f", "name", "p").status, 500, "b does not see the patient");
    assert_eq!(download(&end, "b", "i", "asset", "unknown").status, 500);
}

/// Nobody brings the bytes of a file that central itself attached.
#[test]
fn a_file_of_central_is_no_sites_to_bring() {
    let end = central();
    end.records.put("asset_class", [sync_tests::world::data(r#"{"id":"c","name":"n"}"#)]).unwrap();
    let of_central = document(
        "sync_file_reference",
        &[("id", "f"), ("table_name", "asset_class"), ("record_id", "c"), ("file_name", "x.jpg")],
    );
    end.records.put("sync_file_reference", [of_central]).unwrap();
    assert!(upload(&end, "b", "f", "forgd").contains("syncFileNotFound"));
}

/// Complete bytes stay, even if the reference has changed.
#[test]
fn whole_bytes_are_never_replaced() {
    let end = central();
    push(&end, "a", "asset", "x", asset("x", "STORE_a", "").as_str());
    let say = |more: &str| push(&end, "a", "sync_file_reference", "f", &reference("f", "asset", "x", more));
    say(r#","total_bytes":5"#);
    assert!(upload(&end, "a", "f", "first").contains("null"));
    let files = end.files();
    let stored = || std::fs::read(files.path(&"f".into()).unwrap().unwrap()).unwrap();
    say(r#","total_bytes":6"#);
    assert!(upload(&end, "a", "f", "second").contains("another one came"));
    assert!(upload(&end, "a", "f", "first").contains("shorter"), "the reference says what is taken");
    files.list(None, 10).unwrap();
    say(&format!(r#","total_bytes":6,"deleted_datetime":"{DAY}""#));
    files.list(None, 10).unwrap();
    say(r#","total_bytes":6"#);
    files.list(None, 10).unwrap();
    assert!(upload(&end, "a", "f", "second").contains("another one came"), "deleted in between or not");
    assert_eq!(stored(), b"first");
    say(r#","total_bytes":5"#);
    std::fs::write(files.store().path(&"f".into()), b"spoiled").unwrap();
    assert!(upload(&end, "a", "f", "other").contains("another one came"));
    assert!(upload(&end, "a", "f", "first").contains("null"), "the same bytes mend what the disk spoiled");
    assert_eq!(stored(), b"first");
}

/// Returns a body, and looks at a folder while it is read.
struct Watching<'b>(&'b [u8], std::path::PathBuf);

impl Read for Watching<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        assert!(!self.1.exists(), "something was written before anybody signed in");
        self.0.read(into)
    }
}

#[test]
fn nothing_is_written_to_the_disk_before_somebody_signed_in() {
    let end = central();
    push(&end, "a", "asset", "x", asset("x", "STORE_a", "").as_str());
    push(&end, "a", "sync_file_reference", "f", &reference("f", "asset", "x", ""));
    let folder = end.files().store().folder().join("unfinished");
    let large = "x".repeat(200_000);
    let wrong = credentials_of("a", "not the password", "machine-a", "2.19.0");
    for (body, says) in [
        (format!("{}--b--\r\n", file_part(&large)), "json_part must come before"),
        (format!("{}{}--b--\r\n", file_part(&large), json_part(&credentials("a"), "f")), "json_part must come before"),
        (format!("{}{}--b--\r\n", file_part("small"), json_part(&wrong, "f")), "SiteIncorrectPassword"),
        (format!("{}{}--b--\r\n", json_part(&wrong, "f"), file_part(&large)), "SiteIncorrectPassword"),
        (format!("{}{}--b--\r\n", json_part(&credentials("b"), "f"), file_part(&large)), "syncFileNotFound"),
    ] {
        let mut body = Watching(body.as_bytes(), folder.clone());
        let answer = text(&end.central.upload_file(Some(BOUNDARY), &mut body, None).response);
        assert!(answer.contains(says), "{answer}");
        assert!(!folder.exists());
    }
    let small = format!("{}{}--b--\r\n", file_part("small"), json_part(&credentials("a"), "f"));
    let answer = end.central.upload_file(Some(BOUNDARY), &mut small.as_bytes(), None).response;
    assert!(text(&answer).contains("null"), "a small one may come first");
    assert_eq!(download(&end, "a", "f", "asset", "x").body, b"small");
}

fn patient(id: &str, last: &str) -> String {
    document("name", &[("ID", id), ("type", "patient"), ("last", last)]).as_str().to_owned()
}

fn join(id: &str, store: &str, patient: &str) -> String {
    format!(r#"{{"ID":"{id}","store_ID":"{store}","name_ID":"{patient}","inactive":false}}"#)
}

#[test]
fn no_site_changes_or_deletes_a_patient_whom_it_does_not_see() {
    let end = central();
    let stored = |id: &str| get(&end.records, "name", id).unwrap();
    push(&end, "a", "name", "p", &patient("p", "right"));
    push(&end, "a", "name", "p", &patient("p", "of its author"));
    assert_eq!(aside(&end), [], "a new one, and by whoever brought it");
    push(&end, "b", "name", "p", &patient("p", "forged"));
    assert_eq!(aside(&end), [waiting("p")]);
    push_one(&end, "b", ("Delete", "name", "p", "null"), (0, "[]"));
    assert_eq!(aside(&end), [waiting("p")]);
    push(&end, "b", "name_oms_fields", "p", r#"{"id":"p","properties":"{}"}"#);
    assert_eq!(aside(&end), [waiting("p"), waiting("p")], "its properties too");
    assert!(stored("p").contains("of its author") && !stored("p").contains("deleted_datetime"));
    // With the join all of it is accepted; a delete is a mark.
    push(&end, "b", "name_store_join", "j", &join("j", "STORE_b", "p"));
    assert_eq!(aside(&end), []);
    assert!(stored("p").contains("of its author") && stored("p").contains("deleted_datetime"));
    assert!(get(&end.records, "name_oms_fields", "p").is_some());
    push(&end, "b", "name", "p", &patient("p", "of one who sees the patient"));
    assert!(stored("p").contains("of one who sees") && !stored("p").contains("deleted_datetime"));
    assert_eq!(aside(&end), []);
}

#[test]
fn a_patient_who_is_joined_in_the_same_push_is_taken() {
    let end = central();
    push(&end, "a", "name", "p", &patient("p", "right"));
    let changed = patient("p", "changed");
    let records = [("name", "p", changed.as_str()), ("name_store_join", "j", &join("j", "STORE_b", "p"))];
    json(&end.central.handle(&super::push_request(&credentials("b"), &records)));
    end.central.integrate_waiting().unwrap();
    assert_eq!(aside(&end), []);
    assert!(get(&end.records, "name", "p").unwrap().contains("changed"));
}

/// A record without a store is changed by its writer.
#[test]
fn no_site_replaces_what_another_wrote_and_what_is_of_no_store() {
    let end = central();
    let log = |message: &str| document("system_log", &[("id", "l"), ("message", message)]).as_str().to_owned();
    let storeless = |notes: &str| asset("x", "", notes).as_str().replace(r#""store_id":"""#, r#""store_id":null"#);
    push(&end, "a", "system_log", "l", &log("right"));
    push(&end, "a", "asset", "x", asset("x", "STORE_a", "").as_str());
    push(&end, "a", "asset", "x", &storeless("right"));
    push(&end, "b", "system_log", "l", &log("forged"));
    push(&end, "b", "asset", "x", &storeless("forged"));
    push(&end, "b", "asset", "x", asset("x", "STORE_b", "taken").as_str());
    let on_it = format!(r#"{{"id":"log","asset_id":"x","user_id":"u","log_datetime":"{DAY}"}}"#);
    push(&end, "b", "asset_log", "log", &on_it);
    let mut found = aside(&end);
    found.sort();
    assert_eq!(found, [refused("l"), refused("log"), refused("x")]);
    push(&end, "a", "system_log", "l", &log("right, again"));
    push(&end, "a", "asset_log", "log", &on_it);
    assert!(get(&end.records, "system_log", "l").unwrap().contains("right, again"));
    assert!(get(&end.records, "asset", "x").unwrap().contains("right"));
    assert!(get(&end.records, "asset_log", "log").is_some());
    // Central takes it out of a store: the site that had it may still change it.
    end.records.put("asset", [sync_tests::world::data(&storeless("central's"))]).unwrap();
    push(&end, "a", "asset", "x", asset("x", "STORE_a", "back").as_str());
    assert!(get(&end.records, "asset", "x").unwrap().contains("back"));
    assert!(end.storage.read().unwrap().record(&"asset".into(), &RecordId::from("x")).unwrap().is_some());
}

/// A deleted record still belongs to its store: a site that created it again would get its children.
#[test]
fn no_site_makes_again_what_was_deleted_in_the_store_of_another() {
    for kind in [Kind::Memory, Kind::Sqlite] {
        let end = CentralEnd::over(kind);
        end.add_site("a");
        end.add_site("b");
        let place = |asset: &str| format!(r#"{{"id":"l","asset_id":"{asset}","location_id":"c"}}"#);
        for site in ["a", "b"] {
            let (id, store) = (format!("of-{site}"), format!("STORE_{site}"));
            push(&end, site, "asset", &id, asset(&id, &store, "").as_str());
        }
        push(&end, "a", "asset_internal_location", "l", &place("of-a"));
        push_one(&end, "a", ("Delete", "asset_internal_location", "l", "null"), (5, "[]"));
        assert!(get(&end.records, "asset_internal_location", "l").is_none());
        // Nor does a site become the store of the deletion by reporting a backup.
        push_one(&end, "b", ("Delete", "asset_internal_location", "l", "null"), (5, "[]"));
        let backup = r#"[{"after":10,"before":100}]"#;
        push_one(&end, "b", ("Update", "asset_internal_location", "l", &place("of-b")), (4, backup));
        push(&end, "b", "asset_internal_location", "l", &place("of-b"));
        assert!(get(&end.records, "asset_internal_location", "l").is_none());
        assert_eq!(aside(&end), [refused("l")]);
        push(&end, "a", "asset_internal_location", "l", &place("of-a"));
        assert!(get(&end.records, "asset_internal_location", "l").is_some(), "its own site may");
    }
}

/// A record that central set aside is its store's all the same: a site that read its id in the reference of a file does not
/// make it in a store of its own, and the record's own site gets it in when it is mended.
#[test]
fn no_site_makes_what_is_set_aside_for_the_store_of_another() {
    for kind in [Kind::Memory, Kind::Sqlite] {
        let end = CentralEnd::over(kind);
        for site in ["a", "b"] {
            end.add_site(site);
        }
        let reference = r#"{"id":"f","table_name":"asset","record_id":"x","file_name":"photo.jpg","created_datetime":"2026-11-23T08:00:00"}"#;
        let unreadable = r#"{"id":"x","store_id":"STORE_a","asset_number":7}"#;
        push_one(&end, "a", ("Update", "asset", "x", unreadable), (3, "[]"));
        push(&end, "a", "sync_file_reference", "f", reference);
        assert_eq!(aside(&end), [("x".to_owned(), QuarantineCause::Malformed)]);
        assert!(pulled(&end, "b").contains("record_id"), "b may read the reference, and the id in it");
        push(&end, "b", "asset", "x", asset("x", "STORE_b", "mine now").as_str());
        assert!(get(&end.records, "asset", "x").is_none());
        assert!(aside(&end).contains(&refused("x")), "{:?}", aside(&end));
        push_one(&end, "a", ("Update", "asset", "x", asset("x", "STORE_a", "mended").as_str()), (4, "[]"));
        assert!(get(&end.records, "asset", "x").is_some_and(|record| record.contains("mended")));
    }
}
