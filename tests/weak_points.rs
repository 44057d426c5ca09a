//! Weak points of Open mSupply's synchronisation that are answered here and shown by no other test;
//! `docs/weak-points.md` lists all of them with their tests.

mod page;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use sync_core::protocol::PasswordHash;
use sync_core::record::{Cursor, RecordData, RecordId, StoreId, record_types};
use sync_core::site::Step;
use sync_core::storage::{CycleLock, ReadTxn, SiteEntry, Storage, WriteTxn};
use sync_core::transport::{HttpRequest, HttpResponse, Method, Transport, TransportError};
use sync_core::{NoopObserver, Replica, Result, SyncConfig, SyncEvent, SyncOptions, SyncOutcome};
use sync_tests::world::{CentralEnd, Kind, PASSWORD, SiteEnd, asset, data, get, notes, put_class, settings};

/// A record of the demonstration.
struct Seed {
    table: &'static str,
    id: RecordId,
    by_site: bool,
    data: RecordData,
}

/// The store of the records of the demonstration.
const STORE: &str = "D77F67339BF8400886D009178F4962E1";

/// One record of each type, parents before children.
fn seeds() -> Vec<Seed> {
    let lines = include_str!("../sync-cli/demo/src/seed.jsonl").lines();
    let seed = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let kind = record_types().iter().find(|kind| line["table"] == kind.table).unwrap();
        let id = line["data"][kind.key].as_str().unwrap().into();
        Seed { table: kind.table, id, by_site: line["by"] == "site", data: RecordData::of(&line["data"]) }
    };
    lines.map(seed).collect()
}

fn seed(table: &str) -> Seed {
    seeds().into_iter().find(|seed| seed.table == table).unwrap()
}

/// A central server with a site, on which [`STORE`] is active too.
fn world() -> (CentralEnd, SiteEnd) {
    let central = CentralEnd::over(Kind::Memory);
    let a = central.new_site("a");
    central.sites.add_store("clinic", "clinic", "a", Some(StoreId::from(STORE))).unwrap();
    a.sync();
    (central, a)
}

/// A storage into which another program writes a record right after the nth reader from now on has begun.
struct WrittenMeanwhile {
    storage: Arc<dyn Storage>,
    readers_left: Mutex<Option<usize>>,
    written: Mutex<Option<Cursor>>,
}

impl Storage for WrittenMeanwhile {
    fn read(&self) -> Result<Box<dyn ReadTxn + '_>> {
        let txn = self.storage.read()?;
        txn.last_cursor()?;
        let mut left = self.readers_left.lock().unwrap();
        match *left {
            Some(1) => {
                *self.written.lock().unwrap() = Some(put_class(self.storage.as_ref(), "meanwhile"));
                *left = None;
            }
            Some(more) => *left = Some(more - 1),
            None => {}
        }
        Ok(txn)
    }

    fn write(&self) -> Result<Box<dyn WriteTxn + '_>> {
        self.storage.write()
    }

    fn lock_cycle(&self) -> Result<CycleLock> {
        self.storage.lock_cycle()
    }
}

/// A1: Open mSupply's sites move past the end of an empty batch.
#[test]
fn the_end_of_an_empty_batch_of_central_is_not_behind_what_it_did_not_see() {
    let central = CentralEnd::over(Kind::Memory);
    central.add_site("a");
    let storage = Arc::new(WrittenMeanwhile {
        storage: central.storage.clone(),
        readers_left: Mutex::default(),
        written: Mutex::default(),
    });
    let server = Replica::with_storage(storage.clone()).stand_alone_central();
    let pull = |from: Cursor| {
        let hash = PasswordHash::of_password(PASSWORD);
        let body = format!(
            r#"{{"cursor":{from},"batchSize":500,"syncV5Settings":{{"serverUrl":"","username":"a","passwordSha256":"{}","siteUuid":"machine-a","appVersion":"2.19.0","appName":"","syncVersion":"14"}},"isInitialised":true,"syncV6Version":5}}"#,
            hash.expose()
        );
        let response = server.handle(&HttpRequest {
            method: Method::Post,
            url: "/central/sync/pull".to_owned(),
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: body.into_bytes(),
        });
        let answer: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
        answer["data"].clone()
    };
    pull(Cursor(0));
    let (mut sent, mut not_seen) = (0, 0);
    for reader in 1.. {
        let from = central.storage.read().unwrap().last_cursor().unwrap().next();
        *storage.readers_left.lock().unwrap() = Some(reader);
        let batch = pull(from);
        let Some(written) = storage.written.lock().unwrap().take() else { break };
        match batch["records"].as_array().unwrap().len() {
            0 => {
                not_seen += 1;
                assert!(batch["end_cursor"].as_u64().unwrap() < written.0, "reader {reader}: {batch}");
            }
            _ => sent += 1,
        }
    }
    assert!(sent > 0 && not_seen > 0, "{sent} {not_seen}: written before and after the batch was read");
}

/// A2, A3: `name` and `name_oms_fields` share their ids.
#[test]
fn records_of_two_tables_with_one_id_travel_both() {
    let (central, a) = world();
    let id = seed("name").id;
    let fields = data(&format!(r#"{{"id":"{id}","properties":"{{}}"}}"#));
    a.records.put("name", [seed("name").data]).unwrap();
    a.records.put("name_oms_fields", [fields]).unwrap();
    assert_eq!(a.sync().pushed, 2);
    for table in ["name", "name_oms_fields"] {
        assert!(get(&central.records, table, id.as_str()).is_some(), "{table}");
    }
    // In one pulled batch.
    central.records.put("asset_class", [data(r#"{"id":"x","name":"n"}"#)]).unwrap();
    central.records.put("demographic", [data(r#"{"id":"x","name":"n","population_percentage":1.0}"#)]).unwrap();
    assert_eq!(a.sync().integrated, 2);
    for table in ["asset_class", "demographic"] {
        assert!(a.get(table, "x").is_some(), "{table}");
    }
}

/// A6: what was refused is not given up, either.
#[test]
fn what_was_refused_is_taken_once_its_store_is_back() {
    let (central, a) = world();
    central.add_site("b");
    let move_to = |site| central.sites.add_store("a", "a", site, Some(StoreId::from("STORE_a"))).unwrap();
    a.records.put("asset", [asset("x", "STORE_a", "before")]).unwrap();
    a.sync();
    a.records.put("asset", [asset("x", "STORE_a", "edited before it knew that the store moved")]).unwrap();
    move_to("b");
    a.sync();
    let at_central = || notes(get(&central.records, "asset", "x"));
    assert_eq!(at_central().as_deref(), Some("before"));
    move_to("a");
    a.sync();
    assert_eq!(at_central().as_deref(), Some("edited before it knew that the store moved"));
    assert!(central.storage.read().unwrap().quarantine_counts().unwrap().is_empty());
}

/// A7, B7: a push has an end, and what is written after it has begun is not passed over.
#[test]
fn what_is_written_during_a_push_goes_out_with_the_next() {
    let (central, a) = world();
    for id in ["1", "2", "3"] {
        a.records.put("asset", [asset(id, "STORE_a", "before")]).unwrap();
    }
    let mut config = SyncConfig::default();
    config.push_records_max = 1;
    let mut written = 0;
    let mut write = |event: &SyncEvent| {
        if matches!(event, SyncEvent::Progress { step: Step::PushV6, .. }) {
            written += 1;
            a.records.put("asset", [asset(&format!("new{written}"), "STORE_a", "during")]).unwrap();
        }
        ControlFlow::Continue(())
    };
    let report = a.site.clone().with_config(config).sync(&SyncOptions::default(), &mut write).unwrap();
    assert_eq!((report.outcome, report.pushed, written), (SyncOutcome::Done, 3, 3));
    assert_eq!(a.sync().pushed, 3);
    for n in 1..=3 {
        assert!(get(&central.records, "asset", &format!("new{n}")).is_some(), "{n}");
    }
}

/// A7: the next batch is made while central works on the last, so a record may be edited between the two.
#[test]
fn what_is_edited_after_its_batch_was_made_goes_out_with_the_next_push() {
    let (central, a) = world();
    for id in ["1", "2", "3"] {
        a.records.put("asset", [asset(id, "STORE_a", "before")]).unwrap();
    }
    let mut config = SyncConfig::default();
    config.push_records_max = 1;
    let mut is_edited = false;
    let mut edit = |event: &SyncEvent| {
        if matches!(event, SyncEvent::Progress { step: Step::PushV6, done: 1, .. })
            && !std::mem::replace(&mut is_edited, true)
        {
            a.records.put("asset", [asset("2", "STORE_a", "during")]).unwrap();
            a.records.delete("asset", "3").unwrap();
        }
        ControlFlow::Continue(())
    };
    let report = a.site.clone().with_config(config).sync(&SyncOptions::default(), &mut edit).unwrap();
    assert_eq!((report.outcome, report.pushed, is_edited), (SyncOutcome::Done, 2, true), "the second was made already");
    assert_eq!(a.sync().pushed, 2);
    assert!(get(&central.records, "asset", "2").unwrap().contains("during"));
    assert!(get(&central.records, "asset", "3").is_none_or(|asset| asset.contains(r#""deleted_datetime":"2"#)));
}

/// A12: Open mSupply never sends deletes of R&R forms, plugins, preferences and others.
#[test]
fn whatever_can_be_deleted_is_gone_or_marked_at_the_other_end_too() {
    let (central, a) = world();
    for seed in seeds().iter().filter(|seed| !seed.by_site) {
        central.records.put(seed.table, [seed.data.clone()]).unwrap();
    }
    a.sync();
    for seed in seeds().iter().filter(|seed| seed.by_site) {
        a.records.put(seed.table, [seed.data.clone()]).unwrap();
    }
    a.sync();
    let is_there = |text: Option<String>| text.is_some_and(|text| !text.contains(r#""deleted_datetime":"2"#));
    let mut deleted = BTreeSet::new();
    for seed in seeds().iter().rev() {
        let (writer, reader) =
            if seed.by_site { (&a.records, &central.records) } else { (&central.records, &a.records) };
        assert!(is_there(get(reader, seed.table, seed.id.as_str())), "{}", seed.table);
        match writer.delete(seed.table, &seed.id) {
            Ok(_) => assert!(deleted.insert(seed.table)),
            Err(error) => assert_eq!(error.code(), "not_deletable", "{}", seed.table),
        }
    }
    a.sync();
    for seed in seeds().iter().filter(|seed| deleted.contains(seed.table)) {
        let reader = if seed.by_site { &central.records } else { &a.records };
        assert!(!is_there(get(reader, seed.table, seed.id.as_str())), "{}", seed.table);
    }
    for table in ["rnr_form", "rnr_form_line", "preference", "backend_plugin", "asset_log_reason", "asset"] {
        assert!(deleted.contains(table), "{table}");
    }
}

/// A line on which central's half can be taken down, and that counts requests to the legacy server.
struct Line {
    to_central: Arc<dyn Transport>,
    central_down: AtomicBool,
    legacy_questions: AtomicU64,
    /// Positions of records that the legacy server has, and the highest that it ever gave out, if it is not the one
    /// behind the line.
    legacy: Mutex<Option<(Vec<u64>, u64)>>,
}

impl Line {
    fn to(central: &CentralEnd) -> Arc<Self> {
        let (central_down, legacy_questions) = (AtomicBool::new(false), AtomicU64::new(0));
        Arc::new(Self { to_central: central.step_by_step(), central_down, legacy_questions, legacy: Mutex::default() })
    }
}

impl Transport for Line {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        if self.central_down.load(Ordering::SeqCst) && request.url.contains("/central/sync/") {
            return Err(TransportError::Unreachable("no route".into()));
        }
        let Some((_, query)) = request.url.split_once("/central_records?cursor=") else {
            return self.to_central.send(request);
        };
        self.legacy_questions.fetch_add(1, Ordering::SeqCst);
        let legacy = self.legacy.lock().unwrap();
        let Some((positions, end)) = legacy.as_ref() else { return self.to_central.send(request) };
        let cursor: u64 = query.split('&').next().unwrap().parse().unwrap();
        let records = positions.iter().filter(|position| **position > cursor).map(|position| {
            serde_json::json!({"ID": position, "tableName": "item", "recordId": format!("i{position}"),
                "action": "update", "recordData": {"ID": format!("i{position}")}})
        });
        let body = serde_json::json!({"maxCursor": end, "data": records.collect::<Vec<_>>()});
        Ok(HttpResponse::json(200, body.to_string().into_bytes()))
    }
}

/// B4, the other way round.
#[test]
fn when_only_central_is_down_stores_and_names_still_come() {
    let central = CentralEnd::over(Kind::Memory);
    central.add_site("a");
    let line = Line::to(&central);
    let a = central.set_up_in("a", "a", line.clone());
    a.sync();
    a.records.put("asset", [asset("x", "STORE_a", "")]).unwrap();
    central.sites.add_store("new", "new", "a", Some(StoreId::from("STORE_new"))).unwrap();
    line.central_down.store(true, Ordering::SeqCst);
    let mut config = SyncConfig::default();
    config.attempts = 1;
    let report = a.site.clone().with_config(config).sync(&SyncOptions::default(), &mut NoopObserver).unwrap();
    assert_eq!((report.error.unwrap().code(), report.pushed), ("unreachable", 0));
    assert!(a.get("store", "STORE_new").is_some());
    line.central_down.store(false, Ordering::SeqCst);
    assert_eq!(a.sync().pushed, 1);
}

/// B12: Open mSupply's sites step over a gap at the end of the legacy server's positions one by one.
#[test]
fn a_gap_of_positions_takes_few_questions() {
    let central = CentralEnd::over(Kind::Memory);
    central.add_site("a");
    let line = Line::to(&central);
    let a = central.set_up_in("a", "a", line.clone());
    *line.legacy.lock().unwrap() = Some((vec![1, 2], 50_002));
    assert_eq!(a.sync().outcome, SyncOutcome::Done);
    let questions = line.legacy_questions.load(Ordering::SeqCst);
    assert!(questions < 50_000 / 500 + 30, "{questions}");
    *line.legacy.lock().unwrap() = Some((vec![1, 2, 50_003], 50_003));
    a.sync();
    for id in ["i1", "i2", "i50003"] {
        assert!(a.get("item", id).is_some(), "{id}");
    }
}

/// B8, E13: upstream's sites cannot be given another password, and look at the UUID at the set-up only.
#[test]
fn a_site_may_get_another_password_but_not_become_another_site() {
    let (central, a) = world();
    central.add_site("b");
    a.records.put("asset", [asset("x", "STORE_a", "")]).unwrap();
    let set_up = |name: &str, password| {
        let mut settings = settings(name);
        settings.password = PasswordHash::of_password(password);
        a.site.set_up(&settings, &mut NoopObserver).map_err(|error| error.code())
    };
    central.sites.add("a", &PasswordHash::of_password("another")).unwrap();
    let refused = a.site.sync(&SyncOptions::default(), &mut NoopObserver).unwrap();
    assert_eq!(refused.error.unwrap().code(), "incorrect_password");
    set_up("a", "another").unwrap();
    assert_eq!(a.sync().pushed, 1);

    assert_eq!(set_up("b", PASSWORD).unwrap_err(), "other_site");
    a.sync();
    // The site is made anew under its old name, as a server does that forgets a removed one.
    let txn = central.storage.write().unwrap();
    let known = txn.central().unwrap().site_named("a").unwrap().unwrap();
    txn.central().unwrap().put_site(&SiteEntry { uuid: "another".to_owned(), ..known }).unwrap();
    txn.commit().unwrap();
    let refused = a.site.sync(&SyncOptions::default(), &mut NoopObserver).unwrap();
    assert_eq!((refused.error.unwrap().code(), refused.requests), ("other_site", 1));
}

/// A line that records the size of each push and whether it was gzipped; a proxy on it may refuse gzip.
struct Pushes {
    to_central: Arc<dyn Transport>,
    seen: Mutex<Vec<(usize, bool)>>,
    refuses: u16,
}

impl Transport for Pushes {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        if !request.url.ends_with("/push") {
            return self.to_central.send(request);
        }
        let gzipped = request.header("content-encoding") == Some("gzip");
        self.seen.lock().unwrap().push((request.body.len(), gzipped));
        match gzipped && self.refuses > 0 {
            true => Ok(HttpResponse::text(self.refuses, "what is this?")),
            false => self.to_central.send(request),
        }
    }
}

/// C10
#[test]
fn a_large_push_is_compressed_and_sent_plain_where_that_is_refused() {
    for refuses in [0, 400, 415] {
        let central = CentralEnd::over(Kind::Memory);
        central.add_site("a");
        let line = Arc::new(Pushes { to_central: central.step_by_step(), seen: Mutex::default(), refuses });
        let a = central.set_up_in("a", "a", line.clone());
        a.sync();
        a.records.put("asset", [asset("x", "STORE_a", &"cold ".repeat(10_000))]).unwrap();
        assert_eq!(a.sync().pushed, 1);
        let seen = line.seen.lock().unwrap().clone();
        assert!(seen[0].1 && seen[0].0 < 5_000, "{seen:?}");
        assert_eq!(seen.iter().any(|(bytes, gzipped)| !gzipped && *bytes > 50_000), refuses > 0, "{seen:?}");
        assert!(get(&central.records, "asset", "x").is_some(), "{refuses}");
    }
}
