//! Settings, the sync log, the local list of sites, and who waits for integration.

use super::{Make, read, write};
use sync_core::Timestamp;
use sync_core::record::{Cursor, RecordData, RecordId, SiteId, TableName};
use sync_core::storage::{CHUNK_BYTES, LogEntry, LoggedError, SiteActivity, SiteEntry};

fn at(millis: i64) -> Timestamp {
    Timestamp::from_unix_millis(millis)
}

fn entry(n: i64) -> LogEntry {
    LogEntry {
        started_at: at(n),
        finished_at: at(n + 1),
        outcome: "done".to_owned(),
        error: None,
        report: serde_json::json!({ "pulled": n }),
    }
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

/// A setting reads back as it was written last; one that was never written is none.
pub fn settings_are_kept_by_key(make: Make<'_>) {
    let storage = make();
    let get = |key: &str| read(&storage, |txn| txn.state(key).unwrap());
    assert_eq!(get("key"), None);
    for value in ["one", "", "it's \"é\"\n"] {
        write(&storage, |txn| txn.set_state("key", value).unwrap());
        assert_eq!(get("key").as_deref(), Some(value));
    }
    assert_eq!((get("KEY"), get("other")), (None, None));
}

/// The log is read newest first and keeps a thousand entries.
pub fn the_log_is_newest_first_and_keeps_a_thousand(make: Make<'_>) {
    let storage = make();
    write(&storage, |txn| (0..1003).for_each(|n| txn.add_log(&entry(n)).unwrap()));
    // The clock of a clinic may go back: the order is that of writing.
    write(&storage, |txn| txn.add_log(&entry(5)).unwrap());
    read(&storage, |txn| {
        assert_eq!(txn.log(3).unwrap(), [entry(5), entry(1002), entry(1001)]);
        let all = txn.log(usize::MAX).unwrap();
        assert_eq!((all.len(), &all[999]), (1000, &entry(4)));
        assert!(txn.log(0).unwrap().is_empty());
    });
}

/// All that an entry of the log says reads back as it was written.
pub fn a_log_entry_reads_back_as_it_was_written(make: Make<'_>) {
    let storage = make();
    let text = str::to_owned;
    let full = LogEntry {
        outcome: text("failed"),
        error: Some(LoggedError {
            code: text("unreachable"),
            class: text("retry"),
            message: text("it's \"é\""),
            advice: text("wait"),
            causes: vec![text("a"), text("b")],
        }),
        report: serde_json::json!({ "steps": [{ "name": "push" }], "error": null }),
        ..entry(1_700_000_000_123)
    };
    write(&storage, |txn| txn.add_log(&full).unwrap());
    assert_eq!(read(&storage, |txn| txn.log(1).unwrap()), [full]);
}

/// Sites come by number and are found by their exact name; putting a site again changes it.
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

/// A site that takes the name or the uuid of another is refused, and changes nothing.
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

/// Sites wait for integration oldest first; asking twice is the same as once, and keeps the place.
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

/// Of each site the newest visit is kept; what a visit does not tell stays as it was.
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
    assert_eq!(read(&storage, |txn| txn.central().unwrap().activity().unwrap()), [visit(4, 5), both]);
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
    assert_eq!((at(3, &table, &id), at(2, &"asset".into(), &id), at(2, &table, &"q".into())), (None, None, None));
    write(&storage, |txn| txn.note_pushed(SiteId(3), &table, &id, Cursor(1)).unwrap());
    write(&storage, |txn| txn.forget_pushed(SiteId(2)).unwrap());
    assert_eq!((at(2, &table, &id), at(3, &table, &id)), (None, Some(Cursor(1))));
}

/// Of what is kept for a site each record counts once, as it came last; sites do not meet.
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
