//! Which version of a record is newer: where a record got its data, what it was when it left a store, what a received
//! version knew, and what a site pushed last.

use super::{Make, change, data, deletion, in_store, put, read, write};
use sync_core::changelog::{Audience, NewChange};
use sync_core::clock::Timestamp;
use sync_core::protocol::v6::{Action, WireRecord};
use sync_core::record::{Cursor, RecordId, SiteId, StoreId, TableName};
use sync_core::storage::{Incoming, Known, Selection, Source, StagedKind};

/// Where a record got the data that it has, or was deleted, is told as long as that is so: rows that only tell it again do
/// not move it.
pub fn where_a_record_was_written_stays_when_it_is_logged_again(make: Make<'_>) {
    let storage = make();
    let (table, id) = (TableName::from("asset"), RecordId::from("x"));
    let written = || read(&storage, |txn| txn.written_at(&table, &id).unwrap());
    assert_eq!(written(), None);
    let row = in_store(change("asset", "x"), "A");
    let first = put(&storage, &row);
    put(&storage, &change("asset", "y"));
    assert_eq!(written(), Some(first));
    put(&storage, &row);
    put(&storage, &in_store(change("asset", "x"), "B"));
    assert_eq!(written(), Some(first), "the same data");
    write(&storage, |txn| txn.append_change(&row, Some(&data("{}"))).unwrap());
    assert_eq!(written(), Some(first), "a row beside is not the record's");
    let second = write(&storage, |txn| txn.put_record(&data("{ }"), &row).unwrap());
    assert_eq!(written(), Some(second));
    let deleted = write(&storage, |txn| txn.remove_record(&deletion(&row)).unwrap());
    assert_eq!(written(), Some(deleted));
    write(&storage, |txn| {
        txn.append_change(&deletion(&row), None).unwrap();
        txn.remove_record(&deletion(&row)).unwrap();
    });
    assert_eq!(written(), Some(deleted), "deleted already");
    let again = put(&storage, &row);
    assert_eq!(written(), Some(again));
}

/// The row for a store that a record left comes with the data that the record had then, where that is kept, and tells where
/// that was.
pub fn a_former_store_is_told_what_the_record_was_when_it_left(make: Make<'_>) {
    let storage = make();
    let (table, id) = (TableName::from("asset"), RecordId::from("x"));
    let of_store =
        |store: &str| NewChange { audience: Audience::Store(store.into()), ..in_store(change("asset", "x"), store) };
    let (row, left) = (of_store("B"), of_store("A"));
    put(&storage, &row);
    let at = write(&storage, |txn| txn.append_change(&left, Some(&data("[1]"))).unwrap());
    write(&storage, |txn| txn.put_record(&data("[2]"), &row).unwrap());
    let told_to = |selection: &Selection| {
        let rows = read(&storage, |txn| txn.changed_records(selection, Cursor(0), usize::MAX, usize::MAX).unwrap());
        let of = |(row, data): (sync_core::changelog::Change, Option<sync_core::record::RecordData>)| {
            (row.change.store.map(|store| store.to_string()), data.map(|data| data.as_str().to_owned()))
        };
        rows.into_iter().map(of).collect::<Vec<_>>()
    };
    let told = || told_to(&Selection::All);
    let site_of = |stores: &[&str]| Selection::ForSite {
        stores: stores.iter().map(|store| StoreId::from(*store)).collect(),
        except_from: None,
    };
    let pair = |store: &str, data: &str| (Some(store.to_owned()), Some(data.to_owned()));
    assert_eq!(told(), [pair("A", "[1]"), pair("B", "[2]")]);
    assert_eq!(told_to(&site_of(&["A"])), [pair("A", "[1]")]);
    let both = [pair("A", "[2]"), pair("B", "[2]")];
    assert_eq!(told_to(&site_of(&["A", "B"])), both, "whoever has both stores still has it");
    let left_at = |stores: &[&str]| {
        let stores: Vec<StoreId> = stores.iter().map(|store| StoreId::from(*store)).collect();
        read(&storage, |txn| txn.left_at(&table, &id, &stores).unwrap())
    };
    assert_eq!(
        (left_at(&["A"]), left_at(&["C", "A"]), left_at(&["B"]), left_at(&[])),
        (Some(at), Some(at), None, None)
    );
    let again = write(&storage, |txn| txn.append_change(&left, Some(&data("[1]"))).unwrap());
    assert_eq!(left_at(&["A"]), Some(again), "told again");
    write(&storage, |txn| txn.remove_record(&deletion(&row)).unwrap());
    assert_eq!(told(), [pair("A", "[1]"), (Some("B".to_owned()), None)], "it outlives the record");
    let gone = told_to(&site_of(&["A", "B"]));
    assert!(gone.iter().all(|(_, data)| data.is_none()), "it is not brought back: {gone:?}");
    write(&storage, |txn| txn.append_change(&left, None).unwrap());
    assert_eq!(told()[1], (Some("A".to_owned()), None), "where nothing is kept, as the record is now");
}

/// A site that has several of the stores which a record has left is told what the record was when it left the last of them,
/// in whatever order the rows for them are logged again.
pub fn of_several_former_stores_the_last_one_counts(make: Make<'_>) {
    let storage = make();
    let of_store =
        |store: &str| NewChange { audience: Audience::Store(store.into()), ..in_store(change("asset", "x"), store) };
    write(&storage, |txn| {
        txn.put_record(&data("[1]"), &of_store("A")).unwrap();
        for (store, left, as_it_was) in [("B", "A", "[2]"), ("C", "B", "[3]")] {
            txn.put_record(&data(as_it_was), &of_store(store)).unwrap();
            txn.append_change(&of_store(left), Some(&data(as_it_was))).unwrap();
        }
        txn.append_change(&of_store("A"), Some(&data("[2]"))).unwrap();
    });
    let told_to = |stores: &[&str]| {
        let stores = stores.iter().map(|store| StoreId::from(*store)).collect();
        let selection = Selection::ForSite { stores, except_from: None };
        let rows = read(&storage, |txn| txn.changed_records(&selection, Cursor(0), usize::MAX, usize::MAX).unwrap());
        rows.into_iter().map(|(_, data)| data.unwrap().as_str().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!((told_to(&["A"]), told_to(&["B"])), (vec!["[2]".to_owned()], vec!["[3]".to_owned()]));
    assert_eq!(told_to(&["A", "B"]), ["[3]", "[3]"]);
    let of_one_store = Selection::Store("A".into());
    let rows = read(&storage, |txn| txn.changed_records(&of_one_store, Cursor(0), 9, usize::MAX).unwrap());
    let held: Vec<_> = rows.into_iter().map(|(_, data)| data.unwrap().as_str().to_owned()).collect();
    assert_eq!(held, ["[2]"], "each row keeps what it tells");
}

/// A record that was for every site and went into a store is told to the other sites as it went, also where it left a store of
/// theirs before; whoever it is for still is told what it is now.
pub fn who_is_told_what_a_record_was_when_it_was_for_every_site(make: Make<'_>) {
    let storage = make();
    let in_store = |store: Option<&str>| NewChange {
        store: store.map(StoreId::from),
        audience: store.map_or(Audience::Everyone, |store| Audience::Store(store.into())),
        ..change("preference", "x")
    };
    let told_to = |stores: &[&str]| {
        let stores = stores.iter().map(|store| StoreId::from(*store)).collect();
        let selection = Selection::ForSite { stores, except_from: None };
        let rows = read(&storage, |txn| txn.changed_records(&selection, Cursor(0), usize::MAX, usize::MAX).unwrap());
        rows.into_iter().map(|(_, data)| data.map(|data| data.as_str().to_owned())).collect::<Vec<_>>()
    };
    let moved = |to: Option<&str>, left: Option<&str>, as_it_was: &str| {
        write(&storage, |txn| {
            txn.put_record(&data(as_it_was), &in_store(to)).unwrap();
            txn.append_change(&in_store(left), Some(&data(as_it_was))).unwrap();
        });
    };
    let said = |data: &str| Some(data.to_owned());
    put(&storage, &in_store(Some("A")));
    moved(None, Some("A"), "[2]");
    write(&storage, |txn| txn.put_record(&data("[3]"), &in_store(None)).unwrap());
    assert_eq!(told_to(&["A"]), [said("[3]"), said("[3]")], "it is for every site");
    moved(Some("B"), None, "[4]");
    write(&storage, |txn| txn.put_record(&data("[5]"), &in_store(Some("B"))).unwrap());
    assert_eq!(told_to(&["A"]), [said("[4]"), said("[4]")], "it was for every site after it left the store");
    assert_eq!(told_to(&["C"]), [said("[4]")]);
    assert_eq!(told_to(&["B"]), [said("[5]"), said("[5]")]);
    moved(None, Some("B"), "[6]");
    write(&storage, |txn| txn.remove_record(&deletion(&in_store(None))).unwrap());
    assert!(told_to(&["A"]).iter().all(Option::is_none), "what is gone for every site is not brought back");
}

/// A version in the buffer keeps what was known here when it came, however often it is staged again; of several versions of
/// a record, those that came later are told that they are newer than one that was integrated.
pub fn what_was_known_is_kept_with_a_version(make: Make<'_>) {
    let storage = make();
    let of = |site| {
        let record = WireRecord {
            table_name: "asset".into(),
            record_id: "x".into(),
            action: Action::Update,
            record_data: data("{}"),
        };
        Incoming::new(Source::Site(SiteId(site)), record)
    };
    let now = Timestamp::from_unix_millis(1_700_000_000_000);
    let found = |site| {
        let rows = read(&storage, |txn| {
            txn.staged(Source::Site(SiteId(site)), &"asset".into(), StagedKind::Upserts, 0, 9).unwrap()
        });
        let row = rows.into_iter().next().unwrap();
        (row.sequence, row.incoming.known.here.unwrap(), row.incoming.known.by_sender)
    };
    write(&storage, |txn| txn.stage(&of(2), now).unwrap());
    assert_eq!((found(2).1, found(2).2), (Cursor(0), None));
    let at = put(&storage, &change("asset", "y"));
    let known = Known { here: None, by_sender: Some(Cursor(7)) };
    write(&storage, |txn| txn.stage(&Incoming { known, ..of(3) }, now).unwrap());
    assert_eq!((found(3).1, found(3).2), (at, Some(Cursor(7))));
    let known = Known { here: Some(Cursor(0)), by_sender: None };
    write(&storage, |txn| txn.stage(&Incoming { known, ..of(4) }, now).unwrap());
    assert_eq!(found(4).1, Cursor(0), "staged again");
    let newest = put(&storage, &change("asset", "x"));
    let than = (found(2).0, at);
    write(&storage, |txn| txn.note_newer(&"asset".into(), &"other".into(), than).unwrap());
    assert_eq!(found(3).1, at);
    write(&storage, |txn| txn.note_newer(&"asset".into(), &"x".into(), than).unwrap());
    assert_eq!((found(2).1, found(3).1, found(4).1), (Cursor(0), newest, Cursor(0)));
}

/// Of the versions of a record that a site pushed, the highest cursor is noted.
pub fn the_newest_version_that_a_site_pushed_is_noted(make: Make<'_>) {
    let storage = make();
    let (table, id) = ("name".into(), "p".into());
    let at =
        |site, table: &TableName, id: &RecordId| read(&storage, |txn| txn.pushed_at(SiteId(site), table, id).unwrap());
    for cursor in [7, 9, 8] {
        write(&storage, |txn| txn.note_pushed(SiteId(2), &table, &id, Cursor(cursor)).unwrap());
    }
    assert_eq!(at(2, &table, &id), Some(Cursor(9)));
    assert!(read(&storage, |txn| txn.any_pushed().unwrap()));
    assert_eq!((at(3, &table, &id), at(2, &"asset".into(), &id), at(2, &table, &"q".into())), (None, None, None));
    write(&storage, |txn| txn.note_pushed(SiteId(3), &table, &id, Cursor(1)).unwrap());
    write(&storage, |txn| txn.forget_pushed(SiteId(2)).unwrap());
    assert_eq!((at(2, &table, &id), at(3, &table, &id)), (None, Some(Cursor(1))));
}
