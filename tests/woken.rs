//! What waited, was refused or could not be read at central, and what its site is told of it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use sha2::Digest as _;
use sync_core::clock::Timestamp;
use sync_core::protocol::v6::{Action, WireRecord};
use sync_core::record::{Cursor, SiteId};
use sync_core::site::{CentralRefusal, ConflictOutcome, RefusalCause};
use sync_core::storage::{Incoming, Quarantine, QuarantineCause, Source, state};
use sync_core::support::RetrySelection;
use sync_core::transport::{HttpRequest, HttpResponse, Transport, TransportError};
use sync_core::{NoopObserver, Replica, SyncConfig, SyncOptions};
use sync_tests::world::{CentralEnd, Kind, asset, data, document, get};

fn both_kinds(test: impl Fn(CentralEnd)) {
    for kind in [Kind::Sqlite, Kind::Memory] {
        test(CentralEnd::over(kind));
    }
}

/// Puts an asset of the first site into central's quarantine, as if it had been pushed.
fn set_aside(central: &CentralEnd, id: &str, notes: &str, cause: QuarantineCause) {
    let (table_name, record_id) = ("asset".into(), id.into());
    let record_data = asset(id, "STORE_a", notes);
    let record = WireRecord { table_name, record_id, action: Action::Update, record_data };
    let quarantine = Some(Quarantine { cause, reason: "planned".to_owned(), waits_for: None });
    let txn = central.storage.write().unwrap();
    let incoming = Incoming { quarantine, ..Incoming::new(Source::Site(SiteId(2)), record) };
    txn.stage(&incoming, Timestamp::from_unix_millis(0)).unwrap();
    txn.commit().unwrap();
}

#[test]
fn what_waited_for_a_join_undoes_nothing_that_was_written_since() {
    both_kinds(|central| {
        let (a, b) = (central.new_site("a"), central.new_site("b"));
        a.sync();
        b.sync();
        let patient = |last: &str| document("name", &[("ID", "p"), ("type", "patient"), ("last", last)]);
        let join = |id: &str, store: &str| {
            data(&format!(r#"{{"ID":"{id}","store_ID":"{store}","name_ID":"p","inactive":false}}"#))
        };
        let properties = |text: &str| data(&format!(r#"{{"id":"p","properties":"{text}"}}"#));
        b.records.put("name", [patient("first")]).unwrap();
        b.records.put("name_store_join", [join("jb", "STORE_b")]).unwrap();
        b.sync();
        a.records.put("name", [patient("older, of a")]).unwrap();
        a.records.put("name_oms_fields", [properties("older, of a")]).unwrap();
        a.sync();
        assert_eq!(central.causes(), [(QuarantineCause::Waiting, 2)], "a does not see the patient");
        b.records.put("name", [patient("newer, of b")]).unwrap();
        b.sync();
        b.records.put("name_oms_fields", [properties("newer, of b")]).unwrap();
        b.sync();

        a.records.put("name_store_join", [join("ja", "STORE_a")]).unwrap();
        let report = a.sync();
        assert_eq!(central.causes(), [(QuarantineCause::Superseded, 2)]);
        assert!(get(&central.records, "name", "p").unwrap().contains("newer, of b"));
        for records in [&central.records, &a.records] {
            assert!(get(records, "name_oms_fields", "p").unwrap().contains("newer, of b"));
        }
        let told: Vec<String> = report.warnings.iter().map(ToString::to_string).collect();
        for record in ["name p", "name_oms_fields p"] {
            let is_it = |told: &&String| told.contains(&format!("central did not take {record}"));
            assert_eq!(told.iter().filter(is_it).count(), 1, "{told:?}");
        }
        assert!(a.sync().warnings.is_empty(), "it is told once");
    });
}

#[test]
fn what_an_upgrade_or_a_person_wakes_undoes_nothing_that_was_written_since() {
    let upgrade = |central: &CentralEnd| {
        let txn = central.storage.write().unwrap();
        state::LIBRARY_VERSION.set(txn.as_ref(), "0.0.1").unwrap();
        txn.commit().unwrap();
        central.restarted().integrate_waiting().unwrap();
    };
    let person = |central: &CentralEnd| {
        let support = Replica::with_storage(central.storage.clone()).support();
        assert_eq!(support.retry(RetrySelection::Cause(QuarantineCause::Unsupported)).unwrap().staged, 2);
    };
    let wakes: [&dyn Fn(&CentralEnd); 2] = [&upgrade, &person];
    for wake in wakes {
        both_kinds(|central| {
            let a = central.new_site("a");
            a.sync();
            central.central.integrate_waiting().unwrap();
            set_aside(&central, "edited since", "older", QuarantineCause::Unsupported);
            set_aside(&central, "untouched", "the only one", QuarantineCause::Unsupported);
            central.records.put("asset", [asset("edited since", "STORE_a", "newer")]).unwrap();
            wake(&central);
            assert!(get(&central.records, "asset", "edited since").unwrap().contains("newer"));
            assert!(get(&central.records, "asset", "untouched").unwrap().contains("the only one"));
            assert_eq!(central.causes(), [(QuarantineCause::Superseded, 1)]);
        });
    }
}

#[test]
fn an_edit_over_which_a_move_wins_is_told_to_both_ends() {
    both_kinds(|central| {
        let (a, b) = (central.new_site("a"), central.new_site("b"));
        a.sync();
        b.sync();
        a.records.put("asset", [asset("x", "STORE_a", "1")]).unwrap();
        a.sync();
        central.records.put("asset", [asset("x", "STORE_b", "moved")]).unwrap();
        a.records.put("asset", [asset("x", "STORE_a", "of a, who could not know")]).unwrap();
        let report = a.sync();
        let told: Vec<String> = report.warnings.iter().map(ToString::to_string).collect();
        let at_site =
            told.iter().filter(|told| told.contains("central did not take asset x: it went to a store of another"));
        assert_eq!(at_site.count(), 1, "{told:?}");
        let (row, why) = central.storage.read().unwrap().quarantined(0, 9).unwrap().remove(0);
        assert_eq!(why.cause, QuarantineCause::Superseded);
        assert!(row.incoming.data.as_str().contains("who could not know"), "nothing of it is lost");
        assert!(why.reason.contains("the move wins"), "{}", why.reason);
        assert!(a.sync().warnings.is_empty(), "it is told once");
        let replica = Replica::with_storage(a.storage.clone());
        let explained = replica.support().explain("asset", "x").unwrap();
        let refused = explained.refused_by_central.expect("it was told");
        assert!(refused.reason.contains("the move wins") && !refused.is_newest, "{refused:?}");
        assert_eq!(named(&refused), named(&report.refused_by_central[0]));
        assert_eq!(named(&refused), version_that_won(&central, "asset", "x"));
        assert!(replica.status().unwrap().refused_by_central.is_empty(), "the move came, and is the newer version");
    });
}

/// Cause, position and digest of what central did not take.
fn named(refused: &CentralRefusal) -> (RefusalCause, Option<Cursor>, Option<String>) {
    (refused.cause, refused.cursor, refused.digest.clone())
}

/// The same of a record over which the version that central has won.
fn version_that_won(central: &CentralEnd, table: &str, id: &str) -> (RefusalCause, Option<Cursor>, Option<String>) {
    let txn = central.storage.read().unwrap();
    let here = txn.record(&table.into(), &id.into()).unwrap().unwrap();
    let digest: String = sha2::Sha256::digest(here.as_str()).iter().map(|byte| format!("{byte:02x}")).collect();
    (RefusalCause::Superseded, txn.written_at(&table.into(), &id.into()).unwrap(), Some(digest))
}

#[test]
fn an_edit_over_which_a_later_one_of_central_wins_is_named_with_the_version_that_won() {
    both_kinds(|central| {
        let (a, b) = (central.new_site("a"), central.new_site("b"));
        a.sync();
        b.sync();
        let join = |id: &str, store: &str| {
            data(&format!(r#"{{"ID":"{id}","store_ID":"{store}","name_ID":"p","inactive":false}}"#))
        };
        let properties = |text: &str| data(&format!(r#"{{"id":"p","properties":"{text}"}}"#));
        b.records.put("name", [document("name", &[("ID", "p"), ("type", "patient")])]).unwrap();
        b.records.put("name_store_join", [join("jb", "STORE_b")]).unwrap();
        b.sync();
        a.records.put("name_oms_fields", [properties("of a, which does not see the patient yet")]).unwrap();
        assert!(a.sync().refused_by_central.is_empty(), "it waits");
        assert_eq!(central.causes(), [(QuarantineCause::Waiting, 1)]);
        central.records.put("name_oms_fields", [properties("later, of central")]).unwrap();
        a.records.put("name_store_join", [join("ja", "STORE_a")]).unwrap();
        let report = a.sync();
        let [told] = report.refused_by_central.as_slice() else { panic!("{report:?}") };
        assert_eq!((told.table.as_str(), told.id.as_str()), ("name_oms_fields", "p"));
        assert_eq!(named(told), version_that_won(&central, "name_oms_fields", "p"));
        assert!(!told.is_newest, "the version that won came in this cycle");
        assert!(get(&central.records, "name_oms_fields", "p").unwrap().contains("later, of central"));
        assert!(a.get("name_oms_fields", "p").unwrap().contains("later, of central"), "it came with the pull");
        let explained = Replica::with_storage(a.storage.clone()).support().explain("name_oms_fields", "p").unwrap();
        assert_eq!(named(&explained.refused_by_central.unwrap()), named(told));
        let kept = Replica::with_storage(a.storage.clone()).conflicts().unwrap();
        let [kept] = kept.as_slice() else { panic!("the edit is lost: {kept:?}") };
        assert_eq!(kept.conflict.id.as_str(), "p");
        assert_eq!(kept.conflict.outcome, ConflictOutcome::NotTaken);
        assert!(kept.local.as_ref().unwrap().as_str().contains("of a, which"), "the edit can be read here");
        assert!(a.sync().refused_by_central.is_empty(), "it is told once");
    });
}

/// What other sites were refused is read a part at a time, and only once.
#[test]
fn a_site_is_told_of_its_own_behind_much_that_others_were_refused() {
    both_kinds(|central| {
        let (a, b) = (central.new_site("a"), central.new_site("b"));
        a.sync();
        b.sync();
        for n in 0..3 {
            set_aside(&central, &format!("of a {n}"), &"n".repeat(3_000_000), QuarantineCause::Refused);
        }
        b.records.put("asset", [asset("x", "STORE_b", "1")]).unwrap();
        b.sync();
        central.sites.add_store("b", "b", "a", Some("STORE_b".into())).unwrap();
        b.records.put("asset", [asset("x", "STORE_b", "of b, whose store is away")]).unwrap();
        let mut told = Vec::new();
        for _ in 0..5 {
            let of_x = |warning: &String| warning.contains("central did not take asset x");
            told.extend(b.sync().warnings.iter().map(ToString::to_string).filter(of_x));
        }
        assert_eq!(told.len(), 1, "{told:?}");
    });
}

/// A line that loses the first answer that names a refused record.
struct LosesFirstReport {
    to_central: Arc<dyn Transport>,
    has_lost: AtomicBool,
}

impl Transport for LosesFirstReport {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        let response = self.to_central.send(request)?;
        let names_one = String::from_utf8_lossy(&response.body).contains(r#""refused":["#);
        if names_one && !self.has_lost.swap(true, Ordering::SeqCst) {
            return Err(TransportError::Broken("the line broke".into()));
        }
        Ok(response)
    }
}

#[test]
fn what_was_refused_is_told_again_if_the_answer_is_lost() {
    both_kinds(|central| {
        central.add_site("a");
        let line = Arc::new(LosesFirstReport { to_central: central.step_by_step(), has_lost: AtomicBool::new(false) });
        let a = central.set_up_in("a", "a", line.clone());
        a.sync();
        set_aside(&central, "x", "of a", QuarantineCause::Refused);
        let told = |report: Arc<sync_core::SyncReport>| {
            let of_x = |warning: &&String| warning.contains("central did not take asset x");
            report.warnings.iter().map(ToString::to_string).collect::<Vec<_>>().iter().filter(of_x).count()
        };
        assert_eq!(told(a.sync()), 1, "the answer came with the second try");
        assert!(line.has_lost.load(Ordering::SeqCst));
        assert_eq!(told(a.sync()), 0, "it is told once");
    });
}

#[test]
fn what_was_refused_and_is_taken_after_all_is_not_shown_as_refused_any_more() {
    both_kinds(|central| {
        let (a, b) = (central.new_site("a"), central.new_site("b"));
        a.sync();
        b.sync();
        b.records.put("asset", [asset("x", "STORE_b", "1"), asset("y", "STORE_b", "1")]).unwrap();
        b.sync();
        let move_to = |site: &str| {
            central.sites.add_store("b", "b", site, Some("STORE_b".into())).unwrap();
            central.central.integrate_waiting().unwrap();
        };
        move_to("a");
        b.records.put("asset", [asset("x", "STORE_b", "of b, whose store is away")]).unwrap();
        b.sync();
        let shown = || Replica::with_storage(b.storage.clone()).status().unwrap().refused_by_central.len();
        assert_eq!(shown(), 1);
        b.sync();
        assert_eq!(shown(), 1, "it stands");
        move_to("b");
        assert!(get(&central.records, "asset", "x").unwrap().contains("whose store is away"), "it is taken");
        b.sync();
        assert_eq!(shown(), 0);
    });
}

/// A form was deleted, and made again in another store, which moves to another site: its lines go with it.
#[test]
fn children_of_a_record_that_is_back_in_another_store_are_of_that_store() {
    both_kinds(|central| {
        let (a, b) = (central.new_site("a"), central.new_site("b"));
        central.move_store("a");
        a.sync();
        b.sync();
        let write = |store: &str| {
            let form = document("rnr_form", &[("id", "form"), ("store_id", store)]);
            a.records.put("rnr_form", [form]).unwrap();
        };
        write("STORE_a");
        let line = document("rnr_form_line", &[("id", "line"), ("rnr_form_id", "form")]);
        a.records.put("rnr_form_line", [line]).unwrap();
        a.sync();
        a.records.delete("rnr_form", "form").unwrap();
        a.sync();
        write("S");
        a.sync();
        central.move_store("b");
        b.sync();
        assert!(b.get("rnr_form", "form").is_some());
        assert!(b.get("rnr_form_line", "line").is_some(), "it is of the store that moved");
    });
}

/// A line to a server that names refused records before its last batch. Notes what is asked for with each pull.
struct NotingPulls {
    to_central: Arc<dyn Transport>,
    bodies: Mutex<Vec<Vec<u8>>>,
}

impl Transport for NotingPulls {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        if request.url.ends_with("/pull") {
            self.bodies.lock().unwrap().push(request.body.clone());
        }
        let mut response = self.to_central.send(request)?;
        let text = String::from_utf8_lossy(&response.body).into_owned();
        if text.contains(r#""refused":["#) {
            response.body = text.replace(r#""is_last_batch":true"#, r#""is_last_batch":false"#).into_bytes();
        }
        Ok(response)
    }
}

/// The first answer of a pull names the refused record, and the site asks for the batch after it before it has stored this one.
#[test]
fn a_batch_that_is_asked_for_ahead_is_used_although_the_one_before_names_a_refused_record() {
    let (central, a, _) = CentralEnd::with_an_asset_of_a(Kind::Memory);
    central.sites.add_store("a", "a", "b", Some("STORE_a".into())).unwrap();
    a.records.put("asset", [asset("x", "STORE_a", "of a, whose store is away")]).unwrap();
    for n in 0..6 {
        central.records.put("asset_class", [data(&format!(r#"{{"id":"{n}","name":"n"}}"#))]).unwrap();
    }
    let pulls = Arc::new(NotingPulls { to_central: central.step_by_step(), bodies: Mutex::default() });
    let small = SyncConfig::default().pull_records(2).pull_records_max(2);
    let site = Replica::with_storage(a.storage.clone()).site(pulls.clone()).with_config(small);
    let report = site.sync(&SyncOptions::default(), &mut NoopObserver).unwrap();
    assert_eq!(report.refused_by_central.len(), 1, "{report:?}");
    let positions =
        |body: &Vec<u8>| serde_json::from_slice::<serde_json::Value>(body).unwrap()["cursor"].as_u64().unwrap();
    let asked: Vec<u64> = pulls.bodies.lock().unwrap().iter().map(positions).collect();
    let once: BTreeSet<u64> = asked.iter().copied().collect();
    assert_eq!(asked.len(), once.len(), "each batch once: {asked:?}");
}
