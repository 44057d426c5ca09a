//! Records with their changelog: cursors, replaced rows, rows that stay.

use std::collections::BTreeSet;

use super::{Make, all_changes, change, data, deletion, in_store, put, read, write};
use sync_core::changelog::{Audience, ChangeAction, NewChange};
use sync_core::clock::Timestamp;
use sync_core::record::{Cursor, RecordId, SiteId, TableName};
use sync_core::storage::Selection;

/// Cursors only rise, in a transaction and from one to the next, and none is used twice, even if its row is gone.
pub fn cursors_only_rise_and_are_never_used_twice(make: Make<'_>) {
    let storage = make();
    assert_eq!(read(&storage, |txn| txn.last_cursor().unwrap()), Cursor(0), "before the first");
    let mut given = Vec::new();
    for round in 0..5 {
        given.extend(write(&storage, |txn| {
            [
                txn.put_record(&data("{}"), &change("asset", "same")).unwrap(),
                txn.put_record(&data("{}"), &change("asset", &format!("{round}"))).unwrap(),
                txn.append_change(&in_store(change("asset", "same"), "left"), None).unwrap(),
                // The newest row replaces the one before.
                txn.remove_record(&change("asset", "same")).unwrap(),
                txn.remove_record(&change("asset", "same")).unwrap(),
            ]
        }));
        let newest = read(&storage, |txn| txn.last_cursor().unwrap());
        assert_eq!(given.last(), Some(&newest));
    }
    assert!(given[0] > Cursor(0));
    assert!(given.windows(2).all(|pair| pair[0] < pair[1]), "{given:?}");
    let rows = all_changes(&storage);
    assert!(rows.windows(2).all(|pair| pair[0].cursor < pair[1].cursor));
    let given: BTreeSet<Cursor> = given.into_iter().collect();
    assert!(rows.iter().all(|row| given.contains(&row.cursor)), "a row stands where its write was told");
}

/// A rollback leaves no row, and no later row is below one that could be read before.
pub fn what_was_rolled_back_leaves_the_cursors_as_they_were(make: Make<'_>) {
    let storage = make();
    let visible = put(&storage, &change("asset", "kept"));
    let txn = storage.write().unwrap();
    let rolled_back = txn.put_record(&data("{}"), &change("asset", "gone")).unwrap();
    assert!(rolled_back > visible);
    drop(txn);
    assert_eq!(read(&storage, |txn| txn.last_cursor().unwrap()), visible);
    let next = put(&storage, &change("asset", "next"));
    assert!(next > visible);
    let cursors: Vec<Cursor> = all_changes(&storage).iter().map(|row| row.cursor).collect();
    assert_eq!(cursors, [visible, next]);
}

/// An insert is a put of a record that is not here: also after a deletion, whose row goes. One that is here stays as it is, and
/// takes no cursor.
pub fn an_insert_writes_a_record_that_is_not_here_and_no_other(make: Make<'_>) {
    let storage = make();
    let (table, id) = (TableName::from("asset"), RecordId::from("x"));
    let insert = |text: &str| {
        write(&storage, |txn| {
            let cursor = txn.insert_record(&data(text), &change("asset", "x")).unwrap();
            (cursor, txn.record(&table, &id).unwrap().unwrap())
        })
    };
    let first = insert("[1]");
    assert_eq!(first, (Some(Cursor(1)), data("[1]")));
    for text in ["[1]", "[2]"] {
        assert_eq!(insert(text), (None, data("[1]")));
    }
    // What the transaction has just read, or has just found missing, changes nothing.
    write(&storage, |txn| {
        assert!(txn.record(&table, &id).unwrap().is_some());
        assert_eq!(txn.insert_record(&data("[2]"), &change("asset", "x")).unwrap(), None);
        txn.remove_record(&deletion(&change("asset", "x"))).unwrap();
        assert_eq!(txn.record(&table, &id).unwrap(), None);
        assert_eq!(txn.insert_record(&data("[3]"), &change("asset", "x")).unwrap(), Some(Cursor(3)));
        assert_eq!(txn.insert_record(&data("[4]"), &change("asset", "x")).unwrap(), None);
    });
    let rows = all_changes(&storage);
    assert_eq!(
        rows.iter().map(|row| (row.cursor, row.change.action)).collect::<Vec<_>>(),
        [(Cursor(3), ChangeAction::Upsert)]
    );
    assert_eq!(read(&storage, |txn| txn.record(&table, &id).unwrap()), Some(data("[3]")));
}

/// A put replaces the row of the same table, record and store: a record that changes often has one row.
pub fn put_takes_the_place_of_the_row_of_the_same_table_record_and_store(make: Make<'_>) {
    let storage = make();
    for store in [None, Some("A")] {
        let row = NewChange { store: store.map(Into::into), ..change("asset", "x") };
        put(&storage, &change("asset", "other"));
        let mut last = Cursor(0);
        for n in 0..3 {
            last = write(&storage, |txn| txn.put_record(&data(&n.to_string()), &row).unwrap());
        }
        let rows = all_changes(&storage);
        assert_eq!(rows.len(), 2, "{rows:?}");
        assert_eq!((rows[1].cursor, &rows[1].change), (last, &row));
    }
    let found = read(&storage, |txn| txn.record(&"asset".into(), &"x".into()).unwrap());
    assert_eq!(found, Some(data("2")));
}

/// The row for a store that the record left stays when the record changes in its new store. It is replaced when the
/// record comes back to that store, or by a newer one for the same store.
pub fn rows_for_the_stores_that_a_record_left_stay(make: Make<'_>) {
    let storage = make();
    let row = |store: &str| in_store(change("asset", "x"), store);
    let stores = || -> Vec<String> {
        let rows = all_changes(&storage);
        rows.iter().map(|row| row.change.store.as_ref().map_or(String::new(), ToString::to_string)).collect()
    };
    put(&storage, &row("A"));
    let moved = |to: &str, left: &str| {
        write(&storage, |txn| {
            txn.put_record(&data("{}"), &row(to)).unwrap();
            txn.append_change(&row(left), None).unwrap();
        });
    };
    moved("B", "A");
    assert_eq!(stores(), ["B", "A"]);
    put(&storage, &row("B"));
    assert_eq!(stores(), ["A", "B"], "a change in its new store");
    moved("C", "B");
    assert_eq!(stores(), ["A", "C", "B"]);
    moved("A", "C");
    assert_eq!(stores(), ["B", "A", "C"], "back in A");
    write(&storage, |txn| txn.append_change(&row("B"), None).unwrap());
    assert_eq!(stores(), ["A", "C", "B"], "told again");
}

/// Ids of different tables may be equal: a record of one never affects that of the other.
pub fn ids_shared_by_two_tables_do_not_meet(make: Make<'_>) {
    let storage = make();
    write(&storage, |txn| {
        txn.put_record(&data("1"), &change("name", "same")).unwrap();
        txn.put_record(&data("2"), &change("name_oms_fields", "same")).unwrap();
    });
    assert_eq!(all_changes(&storage).len(), 2);
    write(&storage, |txn| txn.remove_record(&deletion(&change("name", "same"))).unwrap());
    read(&storage, |txn| {
        assert_eq!(txn.record(&"name".into(), &"same".into()).unwrap(), None);
        assert_eq!(txn.record(&"name_oms_fields".into(), &"same".into()).unwrap(), Some(data("2")));
        assert_eq!(txn.record(&"NAME_OMS_FIELDS".into(), &"same".into()).unwrap(), None, "capital letters count");
    });
    assert_eq!(all_changes(&storage).len(), 2);
}

/// A delete removes the data and replaces the record's row; putting the record again replaces the delete. A delete of a
/// missing record leaves a row too.
pub fn a_delete_leaves_its_row_until_the_record_is_put_again(make: Make<'_>) {
    let storage = make();
    let row = in_store(change("asset", "x"), "A");
    let actions = || all_changes(&storage).iter().map(|row| row.change.action).collect::<Vec<_>>();
    for _ in 0..2 {
        put(&storage, &row);
        assert_eq!(actions(), [ChangeAction::Upsert]);
        write(&storage, |txn| txn.remove_record(&deletion(&row)).unwrap());
        assert!(!read(&storage, |txn| txn.has_record(&"asset".into(), &"x".into()).unwrap()));
        assert_eq!(actions(), [ChangeAction::Delete]);
    }
    write(&storage, |txn| txn.remove_record(&deletion(&row)).unwrap());
    assert_eq!(actions(), [ChangeAction::Delete], "deleted twice");
    write(&storage, |txn| txn.remove_record(&deletion(&change("asset", "never here"))).unwrap());
    assert_eq!(all_changes(&storage).len(), 2);
}

/// The last store of a record is that of its newest deletion; without a deletion there is none.
pub fn the_newest_deletion_says_in_which_store(make: Make<'_>) {
    let storage = make();
    let row = change("asset", "x");
    let was_in = |id: &str| read(&storage, |txn| txn.deleted_in(&"asset".into(), &id.into()).unwrap());
    put(&storage, &in_store(row.clone(), "A"));
    write(&storage, |txn| txn.append_change(&in_store(row.clone(), "B"), None).unwrap());
    assert_eq!(was_in("x"), None);
    for store in ["B", "A", "C"] {
        write(&storage, |txn| txn.remove_record(&deletion(&in_store(row.clone(), store))).unwrap());
        assert_eq!((was_in("x"), was_in("y")), (Some(store.into()), None));
    }
    write(&storage, |txn| txn.remove_record(&deletion(&row)).unwrap());
    assert_eq!(was_in("x"), None, "it was in none");
}

/// An existing record has one row of its own, and tombstones of the stores that it left and of its deletion.
pub fn the_rows_of_a_record_are_its_own_and_those_beside_it(make: Make<'_>) {
    let storage = make();
    let (table, x) = (TableName::from("asset"), RecordId::from("x"));
    let own = || read(&storage, |txn| txn.newest_change(&table, &x).unwrap());
    let beside = || -> Vec<NewChange> {
        let rows = read(&storage, |txn| txn.tombstones(&table, &x).unwrap());
        rows.into_iter().map(|(row, _)| row).collect()
    };
    let from = |store: &str, site| NewChange { source_site: site, ..in_store(change("asset", "x"), store) };
    assert_eq!((own(), beside()), (None, vec![]));
    put(&storage, &from("C", Some(SiteId(2))));
    put(&storage, &in_store(change("asset", "xx"), "A"));
    put(&storage, &in_store(change("asset_log", "x"), "A"));
    assert_eq!((own(), beside()), (Some(from("C", Some(SiteId(2)))), vec![]));
    for store in ["B", "A"] {
        write(&storage, |txn| txn.append_change(&from(store, None), None).unwrap());
    }
    assert_eq!((own(), beside()), (Some(from("C", Some(SiteId(2)))), vec![from("B", None), from("A", None)]));
    write(&storage, |txn| txn.remove_record(&deletion(&from("C", None))).unwrap());
    assert_eq!((own(), beside()), (None, vec![from("B", None), from("A", None), deletion(&from("C", None))]));
}

/// All values of a changelog row are read as they were written.
pub fn a_change_reads_back_as_it_was_written(make: Make<'_>) {
    let storage = make();
    let store = Audience::Store("S 1".into());
    let audiences =
        [Audience::Everyone, store, Audience::Patient, Audience::Legacy, Audience::Nobody, Audience::LocalOnly];
    let mut written = Vec::new();
    for (n, audience) in audiences.into_iter().enumerate() {
        let full = NewChange {
            store: Some("store '\"é".into()),
            name: Some("name".into()),
            source_site: Some(SiteId(i32::MAX)),
            is_sync_update: n % 2 == 0,
            changed_at: Timestamp::from_unix_millis(1_700_000_000_123),
            audience: audience.clone(),
            ..change("asset", &format!("full {n}"))
        };
        let bare = NewChange { audience, ..change("asset", &format!("bare {n}")) };
        for row in [full, bare] {
            put(&storage, &row);
            let left = NewChange { store: Some("left".into()), ..row.clone() };
            write(&storage, |txn| txn.append_change(&left, None).unwrap());
            written.extend([row, left]);
        }
    }
    let read: Vec<NewChange> = all_changes(&storage).into_iter().map(|row| row.change).collect();
    assert_eq!(read, written);
}

/// Data are kept as their text: digits, order of keys and spaces.
pub fn data_read_back_as_the_same_text(make: Make<'_>) {
    let storage = make();
    let texts = [r#"{ "b":1.10, "a":9007199254740993,"é":"\u00e9\u0000" }"#, "null", "[1, 2]", r#""text""#, "{}"];
    for text in texts {
        write(&storage, |txn| txn.put_record(&data(text), &change("asset", "x")).unwrap());
        let found = read(&storage, |txn| txn.record(&"asset".into(), &"x".into()).unwrap());
        assert_eq!(found.unwrap().as_str(), text);
    }
}

/// Marking a record as synced keeps its rows, also those for stores that it left, without any local edit among them.
pub fn a_record_marked_as_synced_has_no_local_edit(make: Make<'_>) {
    let storage = make();
    let (table, x) = ("asset".into(), "x".into());
    let edit = |id: &str| NewChange { is_sync_update: false, ..change("asset", id) };
    put(&storage, &edit("x"));
    write(&storage, |txn| txn.append_change(&NewChange { store: Some("left".into()), ..edit("x") }, None).unwrap());
    put(&storage, &edit("y"));
    let rows = all_changes(&storage).len();
    write(&storage, |txn| txn.mark_synced(&table, &x).unwrap());
    assert_eq!(all_changes(&storage).len(), rows);
    read(&storage, |txn| {
        assert!(!txn.has_local_change(&table, &x, Cursor(0)).unwrap());
        let local = txn.changes(&Selection::Local, Cursor(0), 10).unwrap();
        assert_eq!(local.iter().map(|row| row.change.id.as_str()).collect::<Vec<_>>(), ["y"]);
    });
}

/// A local edit of a record is found at or after a cursor, deletes included, until sync writes the record.
pub fn local_edits_are_found_by_record_and_cursor(make: Make<'_>) {
    let storage = make();
    let local = NewChange { is_sync_update: false, ..change("asset", "x") };
    let found = |id: &str, from| read(&storage, |txn| txn.has_local_change(&"asset".into(), &id.into(), from).unwrap());
    put(&storage, &change("asset", "synced"));
    for delete in [false, true] {
        let at = match delete {
            true => write(&storage, |txn| txn.remove_record(&deletion(&local)).unwrap()),
            false => put(&storage, &local),
        };
        assert!(found("x", Cursor(0)) && found("x", at));
        assert!(!found("x", at.next()) && !found("x", Cursor(u64::MAX)));
        assert!(!found("synced", Cursor(0)) && !found("other", Cursor(0)));
    }
    put(&storage, &change("asset", "x"));
    assert!(!found("x", Cursor(0)), "sync wrote it");
}

/// Records of a table come by id, page by page; an empty table is not counted.
pub fn records_are_paged_by_id_and_counted_by_table(make: Make<'_>) {
    let storage = make();
    for id in ["b", "C", "a", "é", "10", "9"] {
        put(&storage, &change("asset", id));
    }
    put(&storage, &change("asset_class", "elsewhere"));
    put(&storage, &change("gone", "x"));
    write(&storage, |txn| txn.remove_record(&deletion(&change("gone", "x"))).unwrap());
    read(&storage, |txn| {
        let mut ids: Vec<String> = Vec::new();
        loop {
            let after = ids.last().map(|id| RecordId::from(id.as_str()));
            let page = txn.records(&"asset".into(), after.as_ref(), 4).unwrap();
            if page.is_empty() {
                break;
            }
            ids.extend(page.into_iter().map(|(id, _)| id.to_string()));
        }
        assert_eq!(ids, ["10", "9", "C", "a", "b", "é"], "by the bytes of the id");
        assert_eq!(txn.records(&"asset".into(), None, usize::MAX).unwrap().len(), 6);
        assert!(txn.records(&"asset".into(), None, 0).unwrap().is_empty());
        let counts = [("asset", 6), ("asset_class", 1)].map(|(table, count)| (TableName::from(table), count));
        assert_eq!(txn.record_counts().unwrap(), counts, "by the name of the table");
    });
}
