//! What the wire promises, broken on purpose.

use super::*;

fn key(table: &str, id: &str) -> Key {
    (table.to_owned(), id.to_owned())
}

fn answer(key: &Key, content: &str) -> Vec<u8> {
    let (table, id) = key;
    let record = format!(r#"{{"tableName":"{table}","recordId":"{id}","action":"Update","recordData":{content}}}"#);
    let records = format!(r#"[{{"cursor":1,"record":{record}}}]"#);
    let data = format!(r#"{{"end_cursor":1,"total_records":1,"is_last_batch":true,"records":{records}}}"#);
    format!(r#"{{"data":{data}}}"#).into_bytes()
}

fn broken(ledger: &Ledger, site: usize, is_initialised: bool, key: &Key, content: &str) -> Vec<Promise> {
    let found = pulled(ledger, site, is_initialised, &answer(key, content));
    found.into_iter().map(|found| found.promise).collect()
}

#[test]
fn an_echo_is_found_unless_there_is_a_reason() {
    let mut ledger = Ledger::default();
    ledger.store_is_on("s1", 1);
    let key = key("asset", "a");
    let (first, second) = (r#"{"id":"a","notes":"v1","store_id":"s1"}"#, r#"{"id":"a","notes":"v2","store_id":"s1"}"#);
    ledger.wrote(1, key.clone(), None, Some(first.to_owned()));
    assert_eq!(broken(&ledger, 1, true, &key, first), [Promise::NoEcho]);
    assert_eq!(broken(&ledger, 1, false, &key, first), [], "the site asked for all");
    ledger.wrote(0, key.clone(), Some(first), Some(second.to_owned()));
    assert_eq!(broken(&ledger, 1, true, &key, first), [], "somebody wrote after it");
    assert_eq!(broken(&ledger, 1, true, &key, second), [], "somebody else's");
}

#[test]
fn a_record_whose_parent_was_written_may_come_again() {
    let mut ledger = Ledger::default();
    ledger.store_is_on("s1", 1);
    let (asset, log) = (key("asset", "a"), key("asset_log", "l"));
    let of_asset = r#"{"id":"a","notes":"v1","store_id":"s1"}"#;
    let of_log = r#"{"id":"l","asset_id":"a","comment":"v2"}"#;
    ledger.wrote(1, asset.clone(), None, Some(of_asset.to_owned()));
    ledger.wrote(1, log.clone(), None, Some(of_log.to_owned()));
    assert_eq!(broken(&ledger, 1, true, &log, of_log), [Promise::NoEcho]);
    let moved = r#"{"id":"a","notes":"v3","store_id":"s1"}"#;
    ledger.wrote(0, asset, Some(of_asset), Some(moved.to_owned()));
    assert_eq!(broken(&ledger, 1, true, &log, of_log), []);
}

#[test]
fn a_reference_whose_record_was_written_may_come_again() {
    let mut ledger = Ledger::default();
    ledger.store_is_on("s1", 1);
    let (asset, reference) = (key("asset", "a"), key("sync_file_reference", "f"));
    let of_asset = r#"{"id":"a","notes":"v1","store_id":"s1"}"#;
    let of_file = r#"{"id":"f","table_name":"asset","record_id":"a","file_name":"v2"}"#;
    ledger.wrote(1, asset.clone(), None, Some(of_asset.to_owned()));
    ledger.wrote(1, reference.clone(), None, Some(of_file.to_owned()));
    let another = r#"{"id":"b","notes":"v3","store_id":"s1"}"#;
    ledger.wrote(0, key("asset", "b"), None, Some(another.to_owned()));
    assert_eq!(broken(&ledger, 1, true, &reference, of_file), [Promise::NoEcho]);
    let moved = r#"{"id":"a","notes":"v4","store_id":"s1"}"#;
    ledger.wrote(0, asset, Some(of_asset), Some(moved.to_owned()));
    assert_eq!(broken(&ledger, 1, true, &reference, of_file), []);
}

#[test]
fn an_outdated_version_in_the_store_of_today_is_for_a_restored_site() {
    let mut ledger = Ledger::default();
    ledger.store_is_on("s1", 1);
    ledger.store_is_on("s2", 1);
    let key = key("asset", "a");
    let of = |notes: &str, store: &str| format!(r#"{{"id":"a","notes":"{notes}","store_id":"{store}"}}"#);
    ledger.wrote(1, key.clone(), None, Some(of("v1", "s1")));
    ledger.wrote(1, key.clone(), Some(&of("v1", "s1")), Some(of("v2", "s2")));
    assert_eq!(broken(&ledger, 1, true, &key, &of("v1", "s2")), [Promise::OnlyWhoMayChanges], "nobody wrote that");
    ledger.was_restored(1);
    assert_eq!(broken(&ledger, 1, true, &key, &of("v1", "s2")), []);
    assert_eq!(broken(&ledger, 1, true, &key, &of("v1", "s3")), [Promise::OnlyWhoMayChanges], "it was never there");
}

#[test]
fn a_version_is_given_back_if_another_came_between() {
    let mut ledger = Ledger::default();
    ledger.store_is_on("s1", 1);
    let key = key("asset", "a");
    let (theirs, ours) = (r#"{"id":"a","notes":"v1","store_id":"s1"}"#, r#"{"id":"a","notes":"v2","store_id":"s1"}"#);
    ledger.wrote(0, key.clone(), None, Some(theirs.to_owned()));
    let give = |ledger: &mut Ledger, content: &str| note_given(ledger, 1, &answer(&key, content));
    give(&mut ledger, theirs);
    let number = ledger.wrote(1, key.clone(), Some(theirs), Some(ours.to_owned()));
    give(&mut ledger, ours);
    assert!(!ledger.came_back_from_central(number), "it held that one all the time");
    give(&mut ledger, theirs);
    assert!(!ledger.came_back_from_central(number));
    give(&mut ledger, ours);
    assert!(ledger.came_back_from_central(number));
}

#[test]
fn what_may_have_waited_while_another_version_was_given_out_may_come_back() {
    let mut ledger = Ledger::default();
    ledger.store_is_on("s1", 1);
    let (fields, join) = (key("name_oms_fields", "p"), key("name_store_join", "j"));
    let (theirs, ours) = (r#"{"id":"p","properties":"v1"}"#, r#"{"id":"p","properties":"v2"}"#);
    let joins = |name: &str| Some(format!(r#"{{"ID":"j","store_ID":"s1","name_ID":"{name}"}}"#));
    ledger.wrote(2, fields.clone(), None, Some(theirs.to_owned()));
    ledger.wrote(1, fields.clone(), None, Some(ours.to_owned()));
    ledger.wrote(1, join.clone(), None, joins("q"));
    assert_eq!(broken(&ledger, 1, true, &fields, ours), [Promise::NoEcho], "it was not waiting for that");
    ledger.wrote(1, join.clone(), None, joins("p"));
    assert_eq!(broken(&ledger, 1, true, &fields, ours), []);
    let mut ledger = Ledger::default();
    ledger.wrote(1, fields.clone(), None, Some(ours.to_owned()));
    ledger.wrote(1, join, None, joins("p"));
    assert_eq!(broken(&ledger, 1, true, &fields, ours), [Promise::NoEcho], "there was no other");
}

#[test]
fn what_was_not_sent_stays() {
    let mut ledger = Ledger::default();
    let key = key("preference", "p");
    let (ours, theirs) = (r#"{"id":"p","value":"v1"}"#, r#"{"id":"p","value":"v2"}"#);
    let promise = |ledger: &Ledger, held: Option<&str>| {
        replaced(ledger, 1, |_| held.map(str::to_owned)).map(|found| found.promise)
    };
    ledger.wrote(1, key.clone(), None, Some(ours.to_owned()));
    assert_eq!(promise(&ledger, Some(ours)), None);
    assert_eq!(promise(&ledger, Some(theirs)), Some(Promise::NothingIsLost));
    assert_eq!(promise(&ledger, None), Some(Promise::NothingIsLost));
    ledger.was_sent(1, key.clone(), Some(ours));
    assert_eq!(promise(&ledger, Some(theirs)), None, "it was sent");
    ledger.wrote(1, key.clone(), Some(ours), None);
    assert_eq!(promise(&ledger, Some(theirs)), Some(Promise::NothingIsLost), "the deletion was not");
    ledger.was_restored(1);
    assert_eq!(promise(&ledger, Some(theirs)), None, "nobody knows what was sent");
}

#[test]
fn a_request_says_whether_all_is_wanted() {
    assert!(leaves_out_own(br#"{"cursor":3,"isInitialised":true}"#));
    assert!(!leaves_out_own(br#"{"cursor":3,"isInitialised":false}"#));
}
