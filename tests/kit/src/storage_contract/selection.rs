//! Which rows a selection holds, in which order, from where and how many.

use std::sync::Arc;

use super::history::check_random_history;
use super::{Make, all_changes, change, data, deletion, in_store, put, read, write};
use sync_core::changelog::{Audience, Change, ChangeAction, NewChange};
use sync_core::record::{Cursor, RecordData, SiteId};
use sync_core::storage::{Selection, Storage};

/// How many random histories are played.
const HISTORIES: u64 = 12;

fn ids(storage: &Arc<dyn Storage>, selection: &Selection) -> Vec<String> {
    read(storage, |txn| {
        let rows = txn.changes(selection, Cursor(0), usize::MAX).unwrap();
        assert!(rows.windows(2).all(|pair| pair[0].cursor < pair[1].cursor), "by cursor: {rows:?}");
        assert_eq!(txn.count_changes(selection, Cursor(0)).unwrap(), rows.len() as u64);
        rows.into_iter().map(|row| row.change.id.to_string()).collect()
    })
}

fn for_audience(id: &str, audience: Audience) -> NewChange {
    NewChange { audience, ..change("asset", id) }
}

fn about(name: &str, change: NewChange) -> NewChange {
    NewChange { name: Some(name.into()), ..change }
}

fn from_site(site: i32, change: NewChange) -> NewChange {
    NewChange { source_site: Some(SiteId(site)), ..change }
}

fn for_site(stores: &[&str], except_from: Option<i32>) -> Selection {
    let stores = stores.iter().map(|store| (*store).into()).collect();
    Selection::ForSite { stores, except_from: except_from.map(SiteId) }
}

fn join(storage: &Arc<dyn Storage>, name: &str, store: &str) {
    let json = format!(r#"{{"ID":"{name}{store}","name_ID":"{name}","store_ID":"{store}"}}"#);
    let row = change("name_store_join", &format!("join {name} {store}"));
    write(storage, |txn| txn.put_record(&data(&json), &row).unwrap());
}

/// Rows for everyone, for stores A and B, about a patient of A, of the legacy server, for nobody, of this database alone; one deleted.
fn mixed(make: Make<'_>) -> Arc<dyn Storage> {
    let storage = make();
    join(&storage, "p", "A");
    put(&storage, &from_site(2, for_audience("everyone", Audience::Everyone)));
    put(&storage, &in_store(for_audience("of A", Audience::Store("A".into())), "A"));
    put(&storage, &from_site(3, in_store(for_audience("of B", Audience::Store("B".into())), "B")));
    put(&storage, &about("p", for_audience("of p", Audience::Patient)));
    put(&storage, &about("q", for_audience("of q", Audience::Patient)));
    put(&storage, &for_audience("of legacy", Audience::Legacy));
    put(&storage, &NewChange { is_sync_update: false, ..for_audience("of nobody", Audience::Nobody) });
    put(&storage, &for_audience("local only", Audience::LocalOnly));
    let deleted = in_store(for_audience("deleted in A", Audience::Store("A".into())), "A");
    put(&storage, &deleted);
    write(&storage, |txn| txn.remove_record(&deletion(&deleted)).unwrap());
    storage
}

/// *All* selects every row.
pub fn all_selects_every_row(make: Make<'_>) {
    let storage = mixed(make);
    let first = ["join p A", "everyone", "of A", "of B", "of p", "of q", "of legacy"];
    let everything = [&first[..], &["of nobody", "local only", "deleted in A"]].concat();
    assert_eq!(ids(&storage, &Selection::All), everything);
}

/// *Local* selects what sync did not write, deletes included, and loses what sync writes over.
pub fn local_selects_what_sync_did_not_write(make: Make<'_>) {
    let storage = mixed(make);
    let local = NewChange { is_sync_update: false, ..change("asset", "deleted here") };
    put(&storage, &local);
    write(&storage, |txn| txn.remove_record(&deletion(&local)).unwrap());
    assert_eq!(ids(&storage, &Selection::Local), ["of nobody", "deleted here"]);
    put(&storage, &for_audience("of nobody", Audience::Nobody));
    assert_eq!(ids(&storage, &Selection::Local), ["deleted here"]);
}

/// Local edits are counted by table and action, within two cursors.
pub fn local_edits_are_counted_by_table_and_action(make: Make<'_>) {
    let storage = make();
    let local = |table: &str, id: &str| NewChange { is_sync_update: false, ..change(table, id) };
    let count = |from, end| {
        let mut counts = read(&storage, |txn| txn.count_local_edits(Cursor(from), Cursor(end)).unwrap());
        counts.sort_by_key(|(table, action, _)| (table.clone(), *action == ChangeAction::Delete));
        counts.into_iter().map(|(table, action, count)| (table.to_string(), action, count)).collect::<Vec<_>>()
    };
    assert_eq!(count(0, 100), []);
    for n in 0..1200 {
        put(&storage, &local("asset", &n.to_string()));
    }
    put(&storage, &change("asset", "of sync"));
    put(&storage, &local("name", "1"));
    for id in ["5", "6"] {
        write(&storage, |txn| txn.remove_record(&deletion(&local("asset", id))).unwrap());
    }
    let (assets, names) = ("asset".to_owned(), "name".to_owned());
    let (upsert, delete) = (ChangeAction::Upsert, ChangeAction::Delete);
    let all = [(assets.clone(), upsert, 1198), (assets.clone(), delete, 2), (names.clone(), upsert, 1)];
    assert_eq!(count(0, 2000), all);
    // Rows 6 and 7 are gone, because those assets were deleted.
    assert_eq!(count(2, 11), [(assets.clone(), upsert, 7)]);
    assert_eq!(count(1201, 1204), [(assets, delete, 1), (names, upsert, 1)]);
    assert_eq!(count(1205, 2000), []);
}

/// *For a site* selects what is for everyone, for its stores, and about names that its stores see; nothing else.
pub fn for_site_selects_what_is_for_everyone_its_stores_and_its_patients(make: Make<'_>) {
    let storage = mixed(make);
    assert_eq!(ids(&storage, &for_site(&["A"], None)), ["everyone", "of A", "of p", "deleted in A"]);
    assert_eq!(ids(&storage, &for_site(&["B"], None)), ["everyone", "of B"]);
    assert_eq!(
        ids(&storage, &for_site(&["B", "A"], None)),
        ["everyone", "of A", "of B", "of p", "deleted in A"],
        "by cursor, not by store"
    );
    assert_eq!(ids(&storage, &for_site(&[], None)), ["everyone"]);
    put(&storage, &for_audience("about nobody", Audience::Patient));
    assert_eq!(ids(&storage, &for_site(&["B"], None)), ["everyone", "of B"], "a patient's row that names none");
}

/// *For a site, except from it* leaves out what that site sent, and only that.
pub fn for_site_leaves_out_what_came_from_it(make: Make<'_>) {
    let storage = mixed(make);
    assert_eq!(ids(&storage, &for_site(&["A", "B"], Some(2))), ["of A", "of B", "of p", "deleted in A"]);
    assert_eq!(ids(&storage, &for_site(&["A", "B"], Some(3))), ["everyone", "of A", "of p", "deleted in A"]);
    assert_eq!(ids(&storage, &for_site(&["A", "B"], Some(4))).len(), 5);
}

/// A store that is named twice in a selection selects its rows once.
pub fn a_store_named_twice_counts_once(make: Make<'_>) {
    let storage = mixed(make);
    let twice = for_site(&["A", "A"], None);
    assert_eq!(ids(&storage, &twice), ["everyone", "of A", "of p", "deleted in A"]);
    assert_eq!(read(&storage, |txn| txn.changed_records(&twice, Cursor(0), 10, usize::MAX).unwrap().len()), 4);
}

/// *Patient* selects the rows that are for those who see a patient, and none that only names it.
pub fn patient_selects_what_is_for_those_who_see_the_patient(make: Make<'_>) {
    let storage = mixed(make);
    put(&storage, &about("p", in_store(for_audience("in a store", Audience::Store("A".into())), "A")));
    put(&storage, &about("p", for_audience("in no store", Audience::Nobody)));
    assert_eq!(ids(&storage, &Selection::Patient("p".into())), ["of p"]);
    assert_eq!(ids(&storage, &Selection::Patient("nobody".into())), [""; 0]);
}

/// *Store* selects what is for the site of a store, of its patients too, and nothing that is for every site.
pub fn store_selects_what_is_of_the_store_and_its_patients(make: Make<'_>) {
    let storage = mixed(make);
    assert_eq!(ids(&storage, &Selection::Store("A".into())), ["of A", "of p", "deleted in A"]);
    assert_eq!(ids(&storage, &Selection::Store("nowhere".into())), [""; 0]);
}

/// *Legacy* selects central data of the legacy server.
pub fn legacy_selects_central_data_of_the_legacy_server(make: Make<'_>) {
    let storage = mixed(make);
    assert_eq!(ids(&storage, &Selection::Legacy), ["of legacy"]);
}

/// A row at the start is selected; a start beyond every row, the end of the range included, selects none.
pub fn a_start_is_inclusive_and_may_be_beyond_every_row(make: Make<'_>) {
    let storage = mixed(make);
    let selections = [
        Selection::All,
        Selection::Local,
        for_site(&["A", "B"], None),
        for_site(&["A"], Some(2)),
        Selection::Patient("p".into()),
        Selection::Store("A".into()),
        Selection::Legacy,
    ];
    let newest = read(&storage, |txn| txn.last_cursor().unwrap());
    read(&storage, |txn| {
        for selection in &selections {
            let rows = txn.changes(selection, Cursor(0), usize::MAX).unwrap();
            for (n, row) in rows.iter().enumerate() {
                assert_eq!(txn.changes(selection, row.cursor, usize::MAX).unwrap(), rows[n..], "{selection:?}");
                assert_eq!(txn.changes(selection, row.cursor.next(), usize::MAX).unwrap(), rows[n + 1..]);
                assert_eq!(txn.count_changes(selection, row.cursor).unwrap(), (rows.len() - n) as u64);
            }
            for beyond in [newest.next(), Cursor(i64::MAX as u64), Cursor(i64::MAX as u64 + 1), Cursor(u64::MAX)] {
                assert!(txn.changes(selection, beyond, usize::MAX).unwrap().is_empty());
                assert!(txn.changed_records(selection, beyond, 10, 10).unwrap().is_empty());
                assert_eq!(txn.count_changes(selection, beyond).unwrap(), 0);
            }
        }
    });
}

/// A limit cuts; going on behind the last row of a page leaves nothing out and brings nothing twice.
pub fn a_limit_cuts_and_the_next_page_goes_on(make: Make<'_>) {
    let storage = mixed(make);
    for n in 0..10 {
        // Rows that are not visible must not use up the share of those that are.
        put(&storage, &about("q", for_audience(&format!("hidden {n}"), Audience::Patient)));
        put(&storage, &about("p", for_audience(&format!("seen {n}"), Audience::Patient)));
    }
    for selection in [Selection::All, for_site(&["A"], None), for_site(&["A", "B"], Some(3))] {
        let all = read(&storage, |txn| txn.changes(&selection, Cursor(0), usize::MAX).unwrap());
        for limit in [1, 2, 3, 7, all.len(), all.len() + 1] {
            let mut paged: Vec<Change> = Vec::new();
            loop {
                let from = paged.last().map_or(Cursor(0), |row| row.cursor.next());
                let page = read(&storage, |txn| txn.changes(&selection, from, limit).unwrap());
                assert_eq!(page.len(), limit.min(all.len() - paged.len()), "a page is full until the end");
                if page.is_empty() {
                    break;
                }
                paged.extend(page);
            }
            assert_eq!(paged, all, "{selection:?} by {limit}");
        }
        assert!(read(&storage, |txn| txn.changes(&selection, Cursor(0), 0).unwrap()).is_empty());
    }
}

/// Rows come with the data that their records have now, none where the record is gone. A page ends before its data
/// exceed the bytes, but holds at least one row; what was passed over comes with the next.
pub fn data_come_with_their_rows_as_far_as_the_bytes_go(make: Make<'_>) {
    let storage = make();
    let text = |n: usize| data(&format!("\"{}\"", "x".repeat(n)));
    let sizes = [10, 10, 500, 10, 98, 0];
    write(&storage, |txn| {
        for (n, size) in sizes.iter().enumerate() {
            txn.put_record(&text(*size), &change("asset", &n.to_string())).unwrap();
        }
        txn.append_change(&in_store(change("asset", "0"), "left"), None).unwrap();
        txn.remove_record(&deletion(&change("asset", "gone"))).unwrap();
    });
    let page = |from, limit, bytes| -> Vec<(Change, Option<RecordData>)> {
        read(&storage, |txn| txn.changed_records(&Selection::All, from, limit, bytes).unwrap())
    };
    let all = page(Cursor(0), usize::MAX, usize::MAX);
    let sizes_read: Vec<Option<usize>> =
        all.iter().map(|(_, data)| data.as_ref().map(|data| data.as_str().len())).collect();
    let expected = [Some(12), Some(12), Some(502), Some(12), Some(100), Some(2), Some(12), None];
    assert_eq!(sizes_read, expected, "the row of a store that was left has the data of now; a delete has none");
    assert_eq!(all.iter().map(|(row, _)| row.clone()).collect::<Vec<_>>(), all_changes(&storage));
    for (bytes, rows) in [(0, 1), (11, 1), (12, 1), (23, 1), (24, 2), (525, 2), (526, 3), (usize::MAX, 8)] {
        assert_eq!(page(Cursor(0), usize::MAX, bytes).len(), rows, "{bytes} bytes");
    }
    assert_eq!(page(Cursor(0), 2, usize::MAX).len(), 2);
    for bytes in [0, 24, 100, 600] {
        let mut paged: Vec<(Change, Option<RecordData>)> = Vec::new();
        loop {
            let from = paged.last().map_or(Cursor(0), |(row, _)| row.cursor.next());
            let rows = page(from, 3, bytes);
            if rows.is_empty() {
                break;
            }
            paged.extend(rows);
        }
        assert_eq!(paged, all, "nothing is skipped at {bytes} bytes");
    }
}

/// After any history, every selection holds what the rules say: rows, order, counts, data; compared with a plain list
/// that is searched from end to end.
pub fn random_histories_read_as_the_rules_say(make: Make<'_>) {
    for seed in 0..HISTORIES {
        check_random_history(&make(), seed);
    }
}
