use super::*;
use crate::clock::SystemClock;
use crate::integrate::{Provenance, receive};
use crate::storage::MemoryStorage;

fn message(table: &str, id: &str, action: Action, data: &str) -> Incoming {
    let record_data = RecordData::parse(data).unwrap();
    let record = WireRecord { table_name: table.into(), record_id: id.into(), action, record_data };
    Incoming::new(Source::Legacy, record)
}

fn name(id: &str) -> Incoming {
    message("name", id, Action::Insert, &format!(r#"{{"ID":"{id}","type":"patient"}}"#))
}

fn join(id: &str, name: &str, inactive: bool) -> Incoming {
    let data = format!(r#"{{"ID":"{id}","name_ID":"{name}","store_ID":"S","inactive":{inactive}}}"#);
    message("name_store_join", id, Action::Insert, &data)
}

fn merge(gone: &str, keep: &str) -> Incoming {
    let data = format!(r#"{{"mergeIdToKeep":"{keep}","mergeIdToDelete":"{gone}"}}"#);
    message("name", gone, Action::Merge, &data)
}

fn every_order(messages: &[Incoming]) -> Vec<Vec<Incoming>> {
    let Some((first, rest)) = messages.split_first() else { return vec![Vec::new()] };
    let of_rest = every_order(rest);
    let places = of_rest.iter().flat_map(|order| (0..=order.len()).map(move |place| (order, place)));
    let placed = places.map(|(order, place)| {
        let mut order = order.clone();
        order.insert(place, first.clone());
        order
    });
    placed.collect()
}

/// The final state, with one cycle for each message, or one cycle for all.
fn end(messages: &[Incoming], each_alone: bool) -> Vec<(String, String)> {
    let (storage, clock) = (MemoryStorage::new(), SystemClock::new());
    let provenance = Provenance::new(Source::Legacy, Some(SiteId(1)));
    for batch in messages.chunks(if each_alone { 1 } else { 2 }) {
        let txn = storage.write().unwrap();
        receive(txn.as_ref(), clock.now(), &provenance, batch.to_vec()).unwrap();
        txn.commit().unwrap();
        if each_alone {
            rewrite(&storage, &clock, None).unwrap();
        }
    }
    rewrite(&storage, &clock, None).unwrap();
    let txn = storage.read().unwrap();
    assert_eq!(state::MERGES_PENDING.find(txn.as_ref()).unwrap(), Some(Vec::new()));
    assert_eq!(txn.quarantine_counts().unwrap(), []);
    let mut all = Vec::new();
    for table in ["name", "name_store_join", "transact"] {
        let records = txn.records(&table.into(), None, 100).unwrap();
        all.extend(records.into_iter().map(|(id, data)| (format!("{table} {id}"), data.as_str().to_owned())));
    }
    all
}

fn ends_the_same(messages: &[Incoming], expected: &[&str]) {
    let usual = end(messages, false);
    assert_eq!(usual.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), expected);
    for order in every_order(messages) {
        for each_alone in [true, false] {
            let what = || order.iter().map(|m| format!("{:?} {} {}", m.action, m.table, m.id)).collect::<Vec<_>>();
            assert_eq!(end(&order, each_alone), usual, "{each_alone} {:?}", what());
        }
    }
}

#[test]
fn merges_and_their_records_end_the_same_in_any_order() {
    let invoice = message("transact", "t", Action::Insert, r#"{"ID":"t","name_ID":"C"}"#);
    let two = [name("A"), join("jA", "A", false), join("jB", "B", false), name("B"), merge("B", "A"), name("B")];
    ends_the_same(&two, &["name A", "name_store_join jA"]);
    let chain = [name("C"), join("jB", "B", true), join("jC", "C", false), invoice, merge("C", "B"), merge("B", "A")];
    ends_the_same(&chain, &["name_store_join jC", "transact t"]);
}

#[test]
fn a_join_of_a_store_with_its_own_name_goes_whenever_that_is_known() {
    let store = message("store", "S", Action::Insert, r#"{"ID":"S","code":"S","name_ID":"A"}"#);
    ends_the_same(&[name("A"), name("B"), store, join("jB", "B", false), merge("B", "A")], &["name A"]);
}

/// A deletion does not wait for a join of the patient, which no longer comes.
#[test]
fn what_a_site_writes_of_a_merged_record_is_set_aside_with_the_reason() {
    let deletion = message("name", "B", Action::Delete, "null");
    for (version, merge_is_first) in [(name("B"), true), (deletion.clone(), true), (deletion, false)] {
        let (storage, clock, site) = (MemoryStorage::new(), SystemClock::new(), Source::Site(SiteId(2)));
        let receive_from = |source, message: Incoming| {
            let provenance = Provenance::new(source, (source == site).then_some(SiteId(2)));
            let txn = storage.write().unwrap();
            receive(txn.as_ref(), clock.now(), &provenance, vec![Incoming { source, ..message }]).unwrap();
            txn.commit().unwrap();
        };
        let set_aside = || storage.read().unwrap().quarantined(0, 10).unwrap();
        receive_from(Source::Legacy, name("B"));
        if merge_is_first {
            receive_from(Source::Legacy, merge("B", "A"));
        }
        receive_from(site, version);
        if !merge_is_first {
            assert_eq!(set_aside()[0].1.cause, QuarantineCause::Waiting);
            receive_from(Source::Legacy, merge("B", "A"));
            let provenance = Provenance::new(site, Some(SiteId(2)));
            crate::integrate::integrate(&storage, &clock, &provenance, &mut Default::default(), |_, _| Ok(())).unwrap();
        }
        assert!(!storage.read().unwrap().has_record(&"name".into(), &"B".into()).unwrap());
        let aside = set_aside();
        assert_eq!(aside.iter().map(|(_, why)| why.cause).collect::<Vec<_>>(), [QuarantineCause::Ignored]);
        assert!(aside[0].1.reason.contains("merged this name"), "{:?}", aside[0].1);
    }
}

/// The merged patient stays here until an edit of it has arrived at the legacy server.
#[test]
fn what_waits_for_a_merged_patient_to_be_visible_waits_until_the_patient_is_removed() {
    let (storage, clock, site) =
        (MemoryStorage::new(), SystemClock::new(), Provenance::new(Source::Site(SiteId(2)), None));
    let receive_from = |provenance: &Provenance, source, message: Incoming| {
        let txn = storage.write().unwrap();
        receive(txn.as_ref(), clock.now(), provenance, vec![Incoming { source, ..message }]).unwrap();
        txn.commit().unwrap();
    };
    let txn = storage.write().unwrap();
    write::upsert(txn.as_ref(), &"name".into(), &"B".into(), &name("B").data, Origin::Local, clock.now()).unwrap();
    txn.commit().unwrap();
    receive_from(&Provenance::new(Source::Legacy, None), Source::Legacy, merge("B", "A"));
    let properties = message("name_oms_fields", "B", Action::Insert, r#"{"id":"B","properties":"{}"}"#);
    receive_from(&site, Source::Site(SiteId(2)), properties);
    rewrite(&storage, &clock, None).unwrap();
    assert_eq!(storage.read().unwrap().quarantined(0, 10).unwrap()[0].1.cause, QuarantineCause::Waiting);

    let txn = storage.write().unwrap();
    let end = txn.last_cursor().unwrap().next();
    [state::PUSH_CURSOR_V6, state::PUSH_CURSOR_LEGACY].iter().for_each(|push| push.set(txn.as_ref(), end).unwrap());
    txn.commit().unwrap();
    rewrite(&storage, &clock, None).unwrap();
    crate::integrate::integrate(&storage, &clock, &site, &mut Default::default(), |_, _| Ok(())).unwrap();
    let txn = storage.read().unwrap();
    assert!(!txn.has_record(&"name".into(), &"B".into()).unwrap());
    assert!(txn.has_record(&"name_oms_fields".into(), &"B".into()).unwrap());
    assert_eq!(txn.quarantine_counts().unwrap(), []);
}

/// A fault that passes, such as a full disk, is not the record's.
#[test]
fn a_record_of_a_merge_is_set_aside_only_after_a_second_failure() {
    let (storage, clock) = (MemoryStorage::new(), SystemClock::new());
    let txn = storage.write().unwrap();
    let provenance = Provenance::new(Source::Legacy, None);
    receive(txn.as_ref(), clock.now(), &provenance, vec![name("A")]).unwrap();
    txn.commit().unwrap();
    let rewriter = Rewriter { storage: &storage, clock: &clock, origin: None };
    for (failures, set_aside) in [(0_u32, 0), (1, 0), (2, 1)] {
        let left = std::cell::Cell::new(failures);
        let work = |_: &[RecordId]| match left.replace(left.get().saturating_sub(1)) {
            0 => Ok(1),
            _ => Err(Error::Database { source: "the disk".into() }),
        };
        assert_eq!(rewriter.past_failures(&"name".into(), &["A".into()], &work).unwrap(), 1);
        assert_eq!(storage.read().unwrap().quarantined(0, 10).unwrap().len(), set_aside, "{failures}");
    }
}

/// The database fails at one record that a merge changes, and at one that it removes.
#[cfg(feature = "sqlite")]
#[test]
fn a_record_at_which_the_database_fails_stops_no_merge() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("site.sqlite");
    let (storage, clock) = (crate::storage::SqliteStorage::open(&path).unwrap(), SystemClock::new());
    let provenance = Provenance::new(Source::Legacy, Some(SiteId(1)));
    let receive_all = |messages: Vec<Incoming>| {
        let txn = storage.write().unwrap();
        receive(txn.as_ref(), clock.now(), &provenance, messages).unwrap();
        txn.commit().unwrap();
    };
    let invoice = |id: &str| message("transact", id, Action::Insert, &format!(r#"{{"ID":"{id}","name_ID":"B"}}"#));
    let joins = [join("jA", "A", false), join("jB", "B", false)];
    receive_all([name("A"), name("B"), invoice("1"), invoice("bad"), invoice("2")].into_iter().chain(joins).collect());
    let damage = rusqlite::Connection::open(&path).unwrap();
    for (what, when) in
        [("UPDATE", "new.record_id = 'bad'"), ("INSERT", "new.record_id = 'bad'"), ("DELETE", "old.record_id = 'jB'")]
    {
        let sql = format!(
            "CREATE TRIGGER fails_at_{what} BEFORE {what} ON sync_record WHEN {when} BEGIN SELECT RAISE(ABORT, 'no'); END"
        );
        damage.execute(&sql, ()).unwrap();
    }
    receive_all(vec![merge("B", "A")]);
    rewrite(&storage, &clock, None).unwrap();
    let txn = storage.read().unwrap();
    assert_eq!(state::MERGES_PENDING.find(txn.as_ref()).unwrap(), Some(Vec::new()));
    let named = |id: &str| txn.record(&"transact".into(), &id.into()).unwrap().unwrap();
    assert!(named("1").as_str().contains("\"A\"") && named("2").as_str().contains("\"A\""));
    let aside = txn.quarantined(0, 10).unwrap();
    let aside: Vec<_> = aside.iter().map(|(row, why)| (row.incoming.id.as_str(), why.cause)).collect();
    assert_eq!(aside, [("bad", QuarantineCause::Failed), ("jB", QuarantineCause::Failed)]);
    drop(txn);
    for what in ["UPDATE", "INSERT", "DELETE"] {
        damage.execute(&format!("DROP TRIGGER fails_at_{what}"), ()).unwrap();
    }
    crate::integrate::requeue_failed(&storage).unwrap();
    crate::integrate::integrate(&storage, &clock, &provenance, &mut Default::default(), |_, _| Ok(())).unwrap();
    let txn = storage.read().unwrap();
    assert!(txn.record(&"transact".into(), &"bad".into()).unwrap().unwrap().as_str().contains("\"A\""));
    assert!(!txn.has_record(&"name_store_join".into(), &"jB".into()).unwrap());
    assert!(txn.quarantined(0, 10).unwrap().is_empty());
}
