//! What the records of stores and joins say: who sees which name, which store is active where.

use std::sync::Arc;

use super::{Make, change, data, read, write};
use sync_core::record::{RecordId, SiteId, StoreId};
use sync_core::storage::Storage;

fn put(storage: &Arc<dyn Storage>, table: &str, id: &str, json: &str) {
    write(storage, |txn| txn.put_record(&data(json), &change(table, id)).unwrap());
}

fn join(storage: &Arc<dyn Storage>, id: &str, name: &str, store: &str, inactive: &str) {
    let json = format!(r#"{{"ID":"{id}","name_ID":"{name}","store_ID":"{store}","inactive":{inactive}}}"#);
    put(storage, "name_store_join", id, &json);
}

fn sees(storage: &Arc<dyn Storage>, stores: &[&str], name: &str) -> bool {
    let stores: Vec<StoreId> = stores.iter().map(|store| (*store).into()).collect();
    read(storage, |txn| txn.is_visible(&name.into(), &stores).unwrap())
}

fn joined_by(storage: &Arc<dyn Storage>, name: &str, store: &str) -> Option<String> {
    read(storage, |txn| txn.join_of(&name.into(), &store.into()).unwrap()).map(|id| id.to_string())
}

fn stores(storage: &Arc<dyn Storage>, site: i32) -> Vec<String> {
    let stores = read(storage, |txn| txn.stores_of_site(SiteId(site)).unwrap());
    stores.iter().map(ToString::to_string).collect()
}

/// A name is visible in the stores that it is joined to, and in no other.
pub fn a_name_is_visible_where_it_is_joined(make: Make<'_>) {
    let storage = make();
    join(&storage, "j", "p", "A", "false");
    put(&storage, "name_store_join", "k", r#"{"ID":"k","name_ID":"q","store_ID":"B"}"#);
    put(&storage, "another_table", "l", r#"{"ID":"l","name_ID":"p","store_ID":"C"}"#);
    put(&storage, "name_store_join", "m", "null");
    assert!(sees(&storage, &["A"], "p") && sees(&storage, &["B", "A"], "p"), "any of the stores is enough");
    assert!(sees(&storage, &["B"], "q"), "a join that does not say whether it is active is");
    assert!(!sees(&storage, &["B"], "p") && !sees(&storage, &["C"], "p"));
    assert!(!sees(&storage, &["A"], "q") && !sees(&storage, &["A"], "P") && !sees(&storage, &[], "p"));
    let found = |name: &str, store: &str| joined_by(&storage, name, store);
    assert_eq!((found("p", "A"), found("q", "B"), found("p", "B")), (Some("j".into()), Some("k".into()), None));
}

/// A join that is inactive hides the name, unless another one is active.
pub fn an_inactive_join_hides(make: Make<'_>) {
    let storage = make();
    join(&storage, "j", "p", "A", "true");
    assert!(!sees(&storage, &["A"], "p"));
    join(&storage, "k", "p", "A", "false");
    assert!(sees(&storage, &["A"], "p"));
    join(&storage, "k", "p", "A", "null");
    assert!(sees(&storage, &["A"], "p"), "null is not inactive");
    assert_eq!(joined_by(&storage, "p", "A"), Some("k".into()), "the one that is active");
    join(&storage, "a", "p", "A", "false");
    assert_eq!(joined_by(&storage, "p", "A"), Some("a".into()), "the first");
}

/// Visibility follows a join that changes, moves or goes, also within the transaction that changes it.
pub fn visibility_follows_joins_that_change(make: Make<'_>) {
    let storage = make();
    join(&storage, "j", "p", "A", "false");
    join(&storage, "j", "p", "B", "false");
    assert!(sees(&storage, &["B"], "p") && !sees(&storage, &["A"], "p"));
    join(&storage, "j", "q", "B", "false");
    assert!(sees(&storage, &["B"], "q") && !sees(&storage, &["B"], "p"));
    join(&storage, "j", "q", "B", "true");
    assert!(!sees(&storage, &["B"], "q"));
    join(&storage, "j", "q", "B", "false");
    let txn = storage.write().unwrap();
    txn.remove_record(&change("name_store_join", "j")).unwrap();
    assert!(!txn.is_visible(&"q".into(), &["B".into()]).unwrap());
    assert!(sees(&storage, &["B"], "q"), "another transaction sees what was");
    txn.commit().unwrap();
    assert!(!sees(&storage, &["B"], "q"));
}

/// The children of a record are those that name it in the field, by id, of that table alone.
pub fn children_are_those_that_name_their_parent(make: Make<'_>) {
    let storage = make();
    for (table, id, json) in [
        ("asset_log", "b", r#"{"asset_id":"x"}"#),
        ("asset_log", "a", r#"{"asset_id":"x"}"#),
        ("asset_log", "c", r#"{"asset_id":"y","id":"x"}"#),
        ("asset_log", "d", "{}"),
        ("asset_internal_location", "e", r#"{"asset_id":"x"}"#),
    ] {
        put(&storage, table, id, json);
    }
    let children = |table: &str, parent: &str| {
        let found = read(&storage, |txn| txn.children(&table.into(), "asset_id", &parent.into()).unwrap());
        found.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(children("asset_log", "x"), ["a", "b"]);
    assert_eq!(children("asset_internal_location", "x"), ["e"]);
    assert_eq!(children("asset_log", "z"), [""; 0]);
    put(&storage, "asset_log", "a", r#"{"asset_id":"y"}"#);
    assert_eq!(children("asset_log", "y"), ["a", "c"]);
}

/// What records are found by is read as this library reads them, whatever SQL would make of them: of a key that stands twice
/// the last value counts, and a number is one only as a whole.
pub fn records_are_found_by_what_the_rules_read(make: Make<'_>) {
    let storage = make();
    let deep = format!("{}{}", "[".repeat(1500), "]".repeat(1500));
    put(&storage, "store", "a", r#"{"sync_id_remote_site":2,"sync_id_remote_site":"3"}"#);
    put(&storage, "store", "b", r#"{"sync_id_remote_site":"3 and more"}"#);
    assert_eq!((stores(&storage, 2), stores(&storage, 3)), (Vec::new(), vec!["a".to_owned()]));
    put(&storage, "asset_log", "l", &format!(r#"{{"asset_id":{deep},"asset_id":"x"}}"#));
    let found = read(&storage, |txn| txn.children(&"asset_log".into(), "asset_id", &"x".into()).unwrap());
    assert_eq!(found, [RecordId::from("l")]);
    put(
        &storage,
        "name_store_join",
        "j",
        r#"{"name_ID":"q","name_ID":"p","store_ID":"A","inactive":true,"inactive":false}"#,
    );
    assert!(sees(&storage, &["A"], "p") && !sees(&storage, &["A"], "q"));
}

/// The stores of a site are those whose record names it, as a number or as text, by id; they follow a store that moves.
pub fn stores_of_a_site_follow_their_moves(make: Make<'_>) {
    let storage = make();
    for (id, site) in [("b", "2"), ("a", "\"2\""), ("c", "3"), ("d", "null"), ("e", "\"\"")] {
        put(&storage, "store", id, &format!(r#"{{"ID":"{id}","sync_id_remote_site":{site}}}"#));
    }
    put(&storage, "store", "f", "{}");
    put(&storage, "another_table", "g", r#"{"sync_id_remote_site":2}"#);
    assert_eq!(stores(&storage, 2), ["a", "b"]);
    assert_eq!(stores(&storage, 3), ["c"]);
    assert_eq!(stores(&storage, 4), [""; 0]);
    put(&storage, "store", "b", r#"{"ID":"b","sync_id_remote_site":3}"#);
    assert_eq!(
        (stores(&storage, 2), stores(&storage, 3)),
        (vec!["a".to_owned()], vec!["b".to_owned(), "c".to_owned()])
    );
    write(&storage, |txn| txn.remove_record(&change("store", "a")).unwrap());
    assert_eq!(stores(&storage, 2), [""; 0]);
}
