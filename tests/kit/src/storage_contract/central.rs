//! The part for a central server: its sites, their visits, their pushes, and the mirror of legacy records.

use super::buffer::{because, central, incoming, set_aside, stage, waiting_for};
use super::{Make, all_changes, change, data, put, read, write};
use sync_core::clock::Timestamp;
use sync_core::protocol::v6::Action;
use sync_core::record::{Cursor, RecordData, RecordId, SiteId, TableName};
use sync_core::storage::{CHUNK_BYTES, Incoming, PushedVersion, QuarantineCause, SiteActivity, SiteEntry, Source};

fn at(millis: i64) -> Timestamp {
    Timestamp::from_unix_millis(millis)
}

fn site(id: i32, name: &str) -> SiteEntry {
    SiteEntry {
        id: SiteId(id),
        uuid: format!("uuid of {name}"),
        name: name.to_owned(),
        secret: "secret".to_owned(),
        hardware_id: None,
        last_pull_at: None,
    }
}

/// Sites are listed by number and found by their exact name; putting a site again changes it.
pub fn sites_are_kept_by_number_and_found_by_name(make: Make<'_>) {
    let storage = make();
    let full = SiteEntry {
        hardware_id: Some("machine".to_owned()),
        last_pull_at: Some(at(1_700_000_000_123)),
        ..site(10, "clinic")
    };
    write(&storage, |txn| {
        txn.central().unwrap().put_site(&full).unwrap();
        txn.central().unwrap().put_site(&site(9, "hospital")).unwrap();
    });
    read(&storage, |txn| {
        assert_eq!(txn.central().unwrap().sites().unwrap(), [site(9, "hospital"), full.clone()]);
        assert_eq!(txn.central().unwrap().site_named("clinic").unwrap(), Some(full.clone()));
        assert_eq!(
            (txn.central().unwrap().site_named("Clinic").unwrap(), txn.central().unwrap().site_named("").unwrap()),
            (None, None)
        );
    });
    let renamed = SiteEntry { name: "ward".to_owned(), hardware_id: None, ..full };
    write(&storage, |txn| txn.central().unwrap().put_site(&renamed).unwrap());
    read(&storage, |txn| {
        assert_eq!(txn.central().unwrap().site_named("clinic").unwrap(), None);
        assert_eq!(txn.central().unwrap().site_named("ward").unwrap(), Some(renamed));
    });
    write(&storage, |txn| {
        assert!(txn.central().unwrap().remove_site(SiteId(10)).unwrap());
        assert!(!txn.central().unwrap().remove_site(SiteId(10)).unwrap(), "it was not there");
    });
    assert_eq!(read(&storage, |txn| txn.central().unwrap().sites().unwrap()), [site(9, "hospital")]);
}

/// A site with the name or the UUID of another is refused, and nothing changes.
pub fn a_name_and_a_uuid_belong_to_one_site(make: Make<'_>) {
    let storage = make();
    write(&storage, |txn| txn.central().unwrap().put_site(&site(2, "clinic")).unwrap());
    write(&storage, |txn| txn.central().unwrap().put_site(&site(3, "ward")).unwrap());
    let txn = storage.write().unwrap();
    let taken_name = SiteEntry { uuid: "another".to_owned(), ..site(3, "clinic") };
    let taken_uuid = SiteEntry { name: "another".to_owned(), ..site(4, "clinic") };
    txn.central().unwrap().put_site(&taken_name).expect_err("the name is taken");
    txn.central().unwrap().put_site(&taken_uuid).expect_err("the uuid is taken");
    txn.commit().unwrap();
    assert_eq!(read(&storage, |txn| txn.central().unwrap().sites().unwrap()), [site(2, "clinic"), site(3, "ward")]);
}

/// A refused call changes nothing, and keeps the earlier writes of the transaction.
pub fn a_refused_call_leaves_the_transaction_as_it_was(make: Make<'_>) {
    let storage = make();
    write(&storage, |txn| {
        txn.put_record(&data("{}"), &change("asset", "before")).unwrap();
        txn.central().unwrap().put_site(&site(2, "clinic")).unwrap();
        txn.central()
            .unwrap()
            .put_site(&SiteEntry { uuid: "another".to_owned(), ..site(3, "clinic") })
            .expect_err("the name is taken");
        txn.put_record(&data("{}"), &change("asset", "after")).unwrap();
    });
    assert_eq!(all_changes(&storage).len(), 2);
    assert_eq!(read(&storage, |txn| txn.central().unwrap().sites().unwrap()), [site(2, "clinic")]);
    put(&storage, &change("asset", "next"));
}

/// Sites wait for integration oldest first; a second request is ignored, and the place stays.
pub fn integrations_come_oldest_first_and_once(make: Make<'_>) {
    let storage = make();
    let waiting = || -> Vec<i32> {
        read(&storage, |txn| txn.central().unwrap().integrations().unwrap()).into_iter().map(|site| site.0).collect()
    };
    for (site, millis) in [(5, 2_000), (4, 1_500), (3, 2_000), (10, 2_001), (4, 9_000)] {
        write(&storage, |txn| txn.central().unwrap().request_integration(SiteId(site), at(millis)).unwrap());
    }
    assert_eq!(waiting(), [4, 3, 5, 10], "those of one moment by number");
    write(&storage, |txn| {
        txn.central().unwrap().finish_integration(SiteId(4)).unwrap();
        txn.central().unwrap().finish_integration(SiteId(99)).unwrap();
    });
    assert_eq!(waiting(), [3, 5, 10]);
    write(&storage, |txn| txn.central().unwrap().request_integration(SiteId(4), at(9_000)).unwrap());
    assert_eq!(waiting(), [3, 5, 10, 4]);
    let waits = |site| read(&storage, |txn| txn.central().unwrap().integration_waits(SiteId(site)).unwrap());
    assert_eq!((waits(4), waits(99)), (true, false));
}

/// The newest visit of each site is stored; missing values stay as they were.
pub fn the_visits_of_a_site_add_up(make: Make<'_>) {
    let storage = make();
    assert!(read(&storage, |txn| txn.central().unwrap().activity().unwrap()).is_empty());
    let visit = |site, millis| SiteActivity {
        site: SiteId(site),
        name: format!("site {site}"),
        app_version: format!("2.{millis}"),
        seen_at: at(millis),
        pulled_at: None,
        pushed_at: None,
        read_to: None,
    };
    let pull = SiteActivity { pulled_at: Some(at(1)), read_to: Some(Cursor(7)), ..visit(9, 1) };
    let push = SiteActivity { pushed_at: Some(at(2)), ..visit(9, 2) };
    write(&storage, |txn| {
        for activity in [&pull, &push, &visit(9, 3), &visit(4, 5)] {
            txn.central().unwrap().note_activity(activity).unwrap();
        }
    });
    let both = SiteActivity { pulled_at: Some(at(1)), pushed_at: Some(at(2)), read_to: Some(Cursor(7)), ..visit(9, 3) };
    let of = |site| read(&storage, |txn| txn.central().unwrap().activity_of(SiteId(site)).unwrap());
    assert_eq!((of(4), of(5), of(9)), (Some(visit(4, 5)), None, Some(both.clone())));
    assert_eq!(read(&storage, |txn| txn.central().unwrap().activity().unwrap()), [visit(4, 5), both]);
}

/// Of a site's mirrored records each counts once, in its newest version; sites are separate.
pub fn what_is_kept_for_a_site_comes_back_in_its_order(make: Make<'_>) {
    let storage = make();
    let (table, other) = (TableName::from("item_line"), TableName::from("transact"));
    let data = |text: &str| RecordData::parse(text.to_owned()).unwrap();
    let keep = |site, table: &TableName, id: &str, text: &str| {
        write(&storage, |txn| {
            txn.central().unwrap().mirror_record(SiteId(site), table, &id.into(), &data(text)).unwrap()
        });
    };
    let kept = |site, after, limit| {
        let records = read(&storage, |txn| txn.central().unwrap().legacy_mirror(SiteId(site), after, limit).unwrap());
        records.into_iter().map(|kept| (kept.number, kept.table, kept.id.to_string(), kept.data)).collect::<Vec<_>>()
    };
    assert_eq!(read(&storage, |txn| txn.central().unwrap().count_mirrored(SiteId(2), 0).unwrap()), (0, 0));
    for (site, table, id, text) in [(2, &table, "a", "1"), (2, &other, "a", "2"), (3, &table, "a", "3")] {
        keep(site, table, id, text);
    }
    keep(2, &table, "b", r#"{"ID" : "b"}"#);
    keep(2, &table, "a", "4");
    let all = kept(2, 0, 10);
    let shown: Vec<_> = all.iter().map(|(_, table, id, data)| (table.as_str(), id.as_str(), data.as_str())).collect();
    assert_eq!(shown, [("transact", "a", "2"), ("item_line", "b", r#"{"ID" : "b"}"#), ("item_line", "a", "4")]);
    assert!(all.is_sorted_by_key(|(number, ..)| *number));
    let one = |site, id: &str| {
        let found =
            read(&storage, |txn| txn.central().unwrap().mirrored_record(SiteId(site), &table, &id.into()).unwrap());
        found.map(|kept| (kept.number, kept.table, kept.id.to_string(), kept.data))
    };
    assert_eq!((one(2, "a"), one(2, "b"), one(3, "b")), (Some(all[2].clone()), Some(all[1].clone()), None));
    assert_eq!(
        (kept(2, all[0].0, 1), kept(2, all[2].0, 10), kept(2, u64::MAX, 10)),
        (vec![all[1].clone()], vec![], vec![])
    );
    assert_eq!(
        read(&storage, |txn| txn.central().unwrap().count_mirrored(SiteId(2), all[0].0).unwrap()),
        (2, all[2].0)
    );

    let let_go = |site, table: &TableName| {
        write(&storage, |txn| txn.central().unwrap().drop_mirrored(SiteId(site), table, &"a".into()).unwrap())
    };
    let_go(2, &table);
    let_go(2, &table);
    assert_eq!((kept(2, 0, 10).len(), kept(3, 0, 10).len()), (2, 1));
    keep(2, &table, "a", "5");
    assert!(kept(2, all[2].0, 10).len() == 1, "no number is given out twice");
    let large = format!("{:?}", "x".repeat(CHUNK_BYTES));
    keep(4, &table, "a", &large);
    keep(4, &table, "b", "1");
    assert_eq!(kept(4, 0, 10).len(), 1, "a page ends at its bytes, but holds one record");
}

/// Waking a site's records requests its integration, as of the oldest of them; an existing request keeps its place.
pub fn waking_what_a_site_pushed_requests_its_integration(make: Make<'_>) {
    let storage = make();
    let at = |millis: i64| Timestamp::from_unix_millis(1_700_000_000_000 + millis);
    write(&storage, |txn| {
        let stage = |site, id: &str, millis, parent: &str| {
            let child = incoming(Source::Site(SiteId(site)), id, Action::Update);
            txn.stage(&set_aside(child, waiting_for("store", parent)), at(millis)).unwrap();
        };
        stage(7, "late", 300, "S");
        stage(7, "early", 100, "S");
        stage(5, "child", 200, "S");
        stage(3, "of another", 0, "T");
        stage(2, "asked before", 0, "S");
        txn.stage(&set_aside(central("child"), waiting_for("store", "S")), at(0)).unwrap();
        txn.central().unwrap().request_integration(SiteId(2), at(400)).unwrap();
    });
    assert_eq!(write(&storage, |txn| txn.wake_waiting(&"store".into(), &"S".into()).unwrap()), 5);
    let waiting = read(&storage, |txn| txn.central().unwrap().integrations().unwrap());
    assert_eq!(waiting, [7, 5, 2].map(SiteId));
}

/// Quarantined pushes are counted for each site; other records, and staged ones, are not.
pub fn quarantine_is_counted_by_site(make: Make<'_>) {
    let storage = make();
    let pushed = |site, id: &str| Incoming { source: Source::Site(SiteId(site)), ..central(id) };
    let refused = |incoming| set_aside(incoming, because(QuarantineCause::Refused));
    let malformed = |incoming| set_aside(incoming, because(QuarantineCause::Malformed));
    let all = [
        refused(pushed(12, "a")),
        refused(pushed(12, "b")),
        malformed(pushed(12, "c")),
        malformed(pushed(3, "a")),
        refused(central("a")),
        pushed(4, "a"),
    ];
    stage(&storage, &all);
    let counts = read(&storage, |txn| txn.central().unwrap().quarantine_of_sites().unwrap());
    let (refused, malformed) = (QuarantineCause::Refused, QuarantineCause::Malformed);
    assert_eq!(counts, [(SiteId(3), malformed, 1), (SiteId(12), refused, 2), (SiteId(12), malformed, 1)]);
}

/// The last push of a record by a site is recognised; also one from a former database of the site, marked as such.
pub fn what_a_site_pushed_is_known_again(make: Make<'_>) {
    let storage = make();
    let (table, id, site) = (TableName::from("asset"), RecordId::from("x"), SiteId(2));
    let pushed = |cursor, fingerprint| PushedVersion {
        cursor: Cursor(cursor),
        fingerprint,
        at: Timestamp::from_unix_millis(1_700_000_000_000),
        is_former: false,
    };
    let note = |pushed: PushedVersion| {
        write(&storage, |txn| txn.central().unwrap().note_taken(site, &table, &id, &pushed).unwrap())
    };
    let found = || {
        read(&storage, |txn| {
            (txn.central().unwrap().pushed(site, &table, &id).unwrap(), txn.pushed_at(site, &table, &id).unwrap())
        })
    };
    assert_eq!(found(), (None, None));
    note(pushed(8, u64::MAX));
    note(pushed(7, 1));
    assert_eq!(found(), (Some(pushed(8, u64::MAX)), Some(Cursor(8))), "a lower cursor is older");
    write(&storage, |txn| txn.forget_pushed(SiteId(3)).unwrap());
    write(&storage, |txn| txn.forget_pushed(site).unwrap());
    assert_eq!(found(), (Some(PushedVersion { is_former: true, ..pushed(8, u64::MAX) }), None));
    note(pushed(3, 2));
    assert_eq!(found(), (Some(pushed(3, 2)), Some(Cursor(3))), "another database counts anew");
}

/// The first push of a record by a site is noted as such, and nothing that is noted already is replaced.
pub fn what_a_site_pushed_first_is_noted_in_one_call(make: Make<'_>) {
    let storage = make();
    let (table, id) = (TableName::from("asset"), RecordId::from("x"));
    let at = Timestamp::from_unix_millis(1_700_000_000_000);
    let version = |cursor| PushedVersion { cursor: Cursor(cursor), fingerprint: u64::MAX, at, is_former: false };
    let note = |site, cursor| {
        write(&storage, |txn| {
            let is_first = txn.central().unwrap().note_first_taken(site, &table, &id, &version(cursor)).unwrap();
            (is_first, txn.central().unwrap().pushed(site, &table, &id).unwrap())
        })
    };
    let (one, other, third) = (SiteId(2), SiteId(3), SiteId(4));
    assert_eq!(note(one, 8), (true, Some(version(8))));
    assert_eq!(note(one, 9), (false, Some(version(8))), "it is not the first");
    assert_eq!(note(other, 9), (true, Some(version(9))), "each site counts for itself");
    write(&storage, |txn| txn.forget_pushed(one).unwrap());
    assert_eq!(note(one, 1), (false, Some(PushedVersion { is_former: true, ..version(8) })), "a former database did");
    write(&storage, |txn| txn.note_pushed(third, &table, &id, Cursor(5)).unwrap());
    assert_eq!(note(third, 6), (false, None), "its cursor is known");
}

/// Requeueing a site's records requests its integration; a cause without records requests none.
pub fn requeueing_what_a_site_pushed_requests_its_integration(make: Make<'_>) {
    let storage = make();
    let pushed = incoming(Source::Site(SiteId(7)), "pushed", Action::Update);
    stage(&storage, &[set_aside(pushed, because(QuarantineCause::Refused))]);
    let requeue = |cause, source| write(&storage, |txn| txn.requeue(cause, source).unwrap());
    let waiting = || read(&storage, |txn| txn.central().unwrap().integrations().unwrap());
    assert_eq!(requeue(QuarantineCause::Malformed, None), 0);
    assert_eq!(requeue(QuarantineCause::Refused, Some(Source::Site(SiteId(8)))), 0);
    assert_eq!(waiting(), []);
    assert_eq!(requeue(QuarantineCause::Refused, Some(Source::Site(SiteId(7)))), 1);
    assert_eq!(waiting(), [SiteId(7)]);

    let alone = incoming(Source::Site(SiteId(9)), "alone", Action::Update);
    stage(&storage, &[set_aside(alone, because(QuarantineCause::Failed))]);
    let number = read(&storage, |txn| txn.quarantined(0, 9).unwrap()[0].0.sequence);
    assert_eq!(write(&storage, |txn| txn.requeue_one(number).unwrap()), 1);
    assert!(waiting().contains(&SiteId(9)));
}
