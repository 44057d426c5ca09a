//! Cycles between real ends in one process: the receivers of records, kept records, and yielding edits.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sync_core::error::Server;
use sync_core::record::{Cursor, RecordId, TableName};
use sync_core::site::Step;
use sync_core::storage::{QuarantineCause, state};
use sync_core::transport::{HttpRequest, HttpResponse, Transport, TransportError};
use sync_core::{Error, NoopObserver, SyncConfig, SyncEvent, SyncOptions, SyncOutcome};
use sync_tests::world::{CentralEnd, Kind, asset, data, get};

/// Makes a test of each in a world over SQLite files and in one in memory.
macro_rules! over_each_storage {
    ($($test:ident),+ $(,)?) => {
        mod over_sqlite {
            $(#[test] fn $test() { super::$test(super::CentralEnd::over(super::Kind::Sqlite)); })+
        }
        mod over_memory {
            $(#[test] fn $test() { super::$test(super::CentralEnd::over(super::Kind::Memory)); })+
        }
    };
}

over_each_storage! {
    a_first_sync_brings_what_central_has_for_the_site_and_no_more,
    edits_go_up_and_down_and_do_not_echo,
    what_only_central_configures_is_refused_in_words_for_users,
    a_write_is_all_or_nothing_with_its_changelog,
    an_edit_made_during_the_cycle_wins_over_what_was_pulled,
    edits_made_before_the_first_sync_are_pushed_by_the_second,
    deletes_and_moves_travel,
    a_reinstalled_site_gets_its_own_records_back,
    central_keeps_what_breaks_the_rules_with_its_reason,
    a_record_waits_for_its_parent_and_heals,
    a_record_of_one_site_may_wait_for_one_of_another_or_of_central,
    a_vaccination_follows_its_patient,
    one_cycle_at_a_time,
    stopped_at_any_event_it_goes_on_where_it_was,
    a_central_that_went_back_is_read_again,
    when_only_the_legacy_server_is_down_the_rest_goes_on_and_says_so,
    the_last_word_on_a_record_counts_within_a_batch,
    values_that_a_peer_could_not_read_stop_nobody,
    an_edit_that_was_sent_but_not_confirmed_is_not_overwritten,
    a_patient_pull_brings_no_form_of_another_site,
}

const PATIENT: &str = r#"{"ID":"p","name":"P","code":"p","type":"patient","customer":false,"supplier":false,"supplying_store_id":"","first":"","last":"","female":true,"date_of_birth":null,"phone":"","charge code":"","comment":"","country":"","bill_address1":"","bill_address2":"","email":"","url":"","manufacturer":false,"donor":false,"hold":false,"NEXT_OF_KIN_ID":"","next_of_kin_relative":"","created_date":null,"national_health_number":"","isDeceased":false,"om_created_datetime":null,"om_gender":"FEMALE"}"#;
const COURSE: &str = r#"{"id":"vc","name":"n","program_id":"p","demographic_id":null,"coverage_rate":1.0,"is_active":true,"wastage_rate":0.0,"deleted_datetime":null,"can_skip_dose":false}"#;
const DOSE: &str = r#"{"id":"d","vaccine_course_id":"vc","label":"1","min_age":0.0,"max_age":1.0,"custom_age_label":null,"min_interval_days":1,"deleted_datetime":null}"#;
const VACCINATION: &str = r#"{"id":"v","store_id":"STORE_a","program_enrolment_id":"e","encounter_id":"e","user_id":"u","vaccine_course_dose_id":"d","created_datetime":"2025-01-01T00:00:00","vaccination_date":"2025-01-01","given":true,"patient_id":"p"}"#;

fn a_first_sync_brings_what_central_has_for_the_site_and_no_more(central: CentralEnd) {
    let (a, b) = (central.new_site("a"), central.new_site("b"));
    central.records.put("asset_class", [data(r#"{"id":"class","name":"Cold chain"}"#)]).unwrap();
    central.records.put("asset", [asset("of_a", "STORE_a", ""), asset("of_b", "STORE_b", "")]).unwrap();

    let report = a.sync();
    assert_eq!(report.outcome, SyncOutcome::Done);
    b.sync();
    assert_eq!(a.get("asset_class", "class").as_deref(), Some(r#"{"id":"class","name":"Cold chain"}"#));
    assert!(a.get("asset", "of_a").is_some() && a.get("asset", "of_b").is_none());
    assert!(b.get("asset", "of_b").is_some() && b.get("asset", "of_a").is_none());
    assert!(a.get("store", "STORE_a").is_some(), "stores come as central data of the legacy side");
    assert_eq!(
        report.steps.iter().map(|s| s.name).collect::<Vec<_>>(),
        [Step::Prepare, Step::PullCentral, Step::PullRemote, Step::PullV6, Step::Integrate]
    );
}

fn edits_go_up_and_down_and_do_not_echo(central: CentralEnd) {
    let (a, b) = (central.new_site("a"), central.new_site("b"));
    a.sync();
    b.sync();
    a.records.put("asset", [asset("x", "STORE_a", "made at a")]).unwrap();
    a.records.put("name_oms_fields", [data(r#"{"id":"N","properties":"{}"}"#)]).unwrap();
    let pushed = a.sync();
    assert_eq!((pushed.pushed, pushed.pulled), (2, 0), "what a site sent does not come back to it");
    assert_eq!(get(&central.records, "asset", "x").as_deref(), Some(asset("x", "STORE_a", "made at a").as_str()));
    let pulled = b.sync();
    assert_eq!(pulled.pulled, 1, "store properties go to every site, another store's asset does not");

    central.records.put("asset", [asset("x", "STORE_a", "changed at central")]).unwrap();
    assert_eq!(a.sync().pulled, 1);
    assert!(a.get("asset", "x").unwrap().contains("changed at central"));
    let quiet = a.sync();
    assert_eq!((quiet.pushed, quiet.pulled, quiet.integrated), (0, 0, 0));
}

fn what_only_central_configures_is_refused_in_words_for_users(central: CentralEnd) {
    let a = central.new_site("a");
    a.sync();
    let error = a.records.put("asset_class", [data(r#"{"id":"c","name":"n"}"#)]).unwrap_err();
    assert_eq!(error.code(), "only_allowed_on_central");
    assert!(error.to_string().contains("asset_class c is only allowed on central"), "{error}");
    let other = a.records.put("asset", [asset("x", "STORE_elsewhere", "")]).unwrap_err();
    assert_eq!(other.code(), "store_not_active_here");
    let shape = a.records.put("asset", [data(r#"{"id":"x","notes":5}"#)]).unwrap_err();
    assert!(matches!(shape, Error::InvalidRecord { .. }), "{shape}");
    let txn = a.storage.read().unwrap();
    assert!(!txn.has_record(&"asset".into(), &"x".into()).unwrap(), "nothing was written");
}

fn a_write_is_all_or_nothing_with_its_changelog(central: CentralEnd) {
    let a = central.new_site("a");
    a.sync();
    let before = a.storage.read().unwrap().last_cursor().unwrap();
    let records = [asset("good", "STORE_a", ""), asset("bad", "STORE_other", "")];
    assert!(a.records.put("asset", records).is_err());
    assert_eq!(a.get("asset", "good"), None);
    assert_eq!(a.storage.read().unwrap().last_cursor().unwrap(), before);
}

fn an_edit_made_during_the_cycle_wins_over_what_was_pulled(central: CentralEnd) {
    let a = central.new_site("a");
    a.sync();
    a.records.put("asset", [asset("x", "STORE_a", "first")]).unwrap();
    a.sync();
    central.records.put("asset", [asset("x", "STORE_a", "of central")]).unwrap();
    let mut edit_after_the_push = |event: &SyncEvent| {
        if matches!(event, SyncEvent::StepStarted { step: Step::PullV6 }) {
            a.records.put("asset", [asset("x", "STORE_a", "of the clinic")]).unwrap();
        }
        ControlFlow::Continue(())
    };
    let report = a.site.sync(&SyncOptions::default(), &mut edit_after_the_push).unwrap();
    assert_eq!((report.kept_local, report.integrated), (1, 0));
    let named: Vec<_> = report.conflicts.iter().map(|one| (one.table.as_str(), one.id.as_str(), one.from)).collect();
    assert_eq!(named, [("asset", "x", "central")]);
    let support = sync_core::Replica::with_storage(a.storage.clone()).support();
    assert!(support.explain("asset", "x").unwrap().conflict_at.is_some());
    assert!(a.get("asset", "x").unwrap().contains("of the clinic"));
    a.sync();
    assert!(get(&central.records, "asset", "x").unwrap().contains("of the clinic"), "and goes out with the next push");
}

fn edits_made_before_the_first_sync_are_pushed_by_the_second(central: CentralEnd) {
    let a = central.new_site("a");
    a.records.put("system_log", [data(
        r#"{"id":"s","type":"Migration","sync_site_id":null,"datetime":"2025-01-01T00:00:00","message":null,"is_error":false}"#,
    )]).unwrap();
    assert_eq!(a.sync().pushed, 0);
    assert_eq!(a.sync().pushed, 1);
    assert!(get(&central.records, "system_log", "s").is_some());
}

fn deletes_and_moves_travel(central: CentralEnd) {
    let (a, b) = (central.new_site("a"), central.new_site("b"));
    a.sync();
    b.sync();
    a.records.put("asset", [asset("x", "STORE_a", "")]).unwrap();
    a.records.put("asset_internal_location", [data(r#"{"id":"l","asset_id":"x","location_id":"loc"}"#)]).unwrap();
    a.sync();
    assert!(get(&central.records, "asset_internal_location", "l").is_some());
    a.records.delete("asset_internal_location", RecordId::from("l")).unwrap();
    a.records.delete("asset", RecordId::from("x")).unwrap();
    a.sync();
    assert_eq!(get(&central.records, "asset_internal_location", "l"), None);
    assert!(get(&central.records, "asset", "x").unwrap().contains("\"deleted_datetime\":\"2"), "a soft delete");

    central.records.put("asset", [asset("moves", "STORE_a", "")]).unwrap();
    a.sync();
    central.records.put("asset", [asset("moves", "STORE_b", "")]).unwrap();
    a.sync();
    b.sync();
    assert!(b.get("asset", "moves").unwrap().contains("STORE_b"));
    assert!(a.get("asset", "moves").unwrap().contains("STORE_b"), "the site that loses it is told");
}

fn a_reinstalled_site_gets_its_own_records_back(central: CentralEnd) {
    let a = central.new_site("a");
    a.sync();
    a.records.put("asset", [asset("x", "STORE_a", "precious")]).unwrap();
    a.sync();
    drop(a);
    let again = central.set_up_in("a_again", "a", central.transport());
    again.sync();
    assert_eq!(again.get("asset", "x").as_deref(), Some(asset("x", "STORE_a", "precious").as_str()));
    assert_eq!(again.sync().pushed, 0, "what came back is not pushed again");
}

fn central_keeps_what_breaks_the_rules_with_its_reason(central: CentralEnd) {
    use sync_core::protocol::v6::Action;
    use sync_core::storage::{Incoming, Source};
    let a = central.new_site("a");
    a.sync();
    // As a site whose program asks nobody would push it.
    let txn = central.storage.write().unwrap();
    let site = central.sites.list().unwrap()[0].id;
    let bad = |table: &str, id: &str, json: &str| Incoming {
        source: Source::Site(site),
        table: table.into(),
        id: id.into(),
        action: Action::Update,
        data: data(json),
        cursor: None,
        known: Default::default(),
        quarantine: None,
    };
    let now = sync_core::clock::Timestamp::from_unix_millis(0);
    txn.stage(&bad("asset_class", "c", r#"{"id":"c","name":"mine"}"#), now).unwrap();
    txn.stage(&bad("asset", "x", asset("x", "STORE_b", "").as_str()), now).unwrap();
    txn.stage(&bad("asset", "ok", asset("ok", "STORE_a", "").as_str()), now).unwrap();
    txn.stage(&bad("hologram", "h", "{}"), now).unwrap();
    txn.central().unwrap().request_integration(site, now).unwrap();
    txn.commit().unwrap();
    central.central.integrate_waiting().unwrap();
    let counts = central.storage.read().unwrap().quarantine_counts().unwrap();
    assert_eq!(counts, [(QuarantineCause::Refused, 2), (QuarantineCause::Unsupported, 1)]);
    assert!(get(&central.records, "asset", "ok").is_some(), "the rest goes on");
    assert_eq!(get(&central.records, "asset_class", "c"), None);
    let set_aside = central.storage.read().unwrap().quarantined(0, 10).unwrap();
    assert!(set_aside[0].1.reason.contains("only allowed on central"), "{:?}", set_aside[0].1);
}

fn a_record_waits_for_its_parent_and_heals(central: CentralEnd) {
    let a = central.new_site("a");
    a.sync();
    // The child's row is older than the parent's because the parent was changed last; and the parent comes later.
    central.records.put("vaccine_course_dose", [data(DOSE)]).unwrap();
    let report = a.sync();
    assert_eq!((report.outcome, report.quarantined), (SyncOutcome::LeftBehind, 1));
    let (_, why) = a.storage.read().unwrap().quarantined(0, 1).unwrap().remove(0);
    assert_eq!(why.waits_for, Some((TableName::from("vaccine_course"), RecordId::from("vc"))));
    central.records.put("vaccine_course", [data(COURSE)]).unwrap();
    let healed = a.sync();
    assert_eq!((healed.outcome, healed.integrated, healed.quarantined), (SyncOutcome::Done, 2, 0));
    assert_eq!(a.get("vaccine_course_dose", "d").as_deref(), Some(DOSE));
}

fn a_record_of_one_site_may_wait_for_one_of_another_or_of_central(central: CentralEnd) {
    let (a, b) = (central.new_site("a"), central.new_site("b"));
    a.sync();
    b.sync();
    let join = |id: &str, store: &str| {
        data(&format!(r#"{{"ID":"{id}","store_ID":"{store}","name_ID":"p","inactive":false}}"#))
    };
    b.records.put("name_store_join", [join("jb", "STORE_b")]).unwrap();
    b.sync();
    assert_eq!(get(&central.records, "name_store_join", "jb"), None, "its patient is not at central yet");
    a.records.put("name", [data(PATIENT)]).unwrap();
    a.sync();
    assert!(get(&central.records, "name_store_join", "jb").is_some(), "woken by what the other site pushed");

    let given = VACCINATION.replace("STORE_a", "STORE_b");
    b.records.put("vaccination", [data(&given)]).unwrap();
    b.sync();
    assert_eq!(get(&central.records, "vaccination", "v"), None);
    central.records.put("vaccine_course", [data(COURSE)]).unwrap();
    central.records.put("vaccine_course_dose", [data(DOSE)]).unwrap();
    central.central.integrate_waiting().unwrap();
    assert_eq!(get(&central.records, "vaccination", "v").as_deref(), Some(given.as_str()), "woken by central itself");
}

fn a_vaccination_follows_its_patient(central: CentralEnd) {
    let (a, b) = (central.new_site("a"), central.new_site("b"));
    central.records.put("vaccine_course", [data(COURSE)]).unwrap();
    central.records.put("vaccine_course_dose", [data(DOSE)]).unwrap();
    a.sync();
    b.sync();
    for site in [&a, &b] {
        site.records.put("name", [data(PATIENT)]).unwrap();
    }
    a.records
        .put("name_store_join", [data(r#"{"ID":"ja","store_ID":"STORE_a","name_ID":"p","inactive":false}"#)])
        .unwrap();
    a.records.put("vaccination", [data(VACCINATION)]).unwrap();
    a.sync();
    b.sync();
    assert_eq!(b.get("vaccination", "v"), None, "the patient is not visible at b");
    b.records
        .put("name_store_join", [data(r#"{"ID":"jb","store_ID":"STORE_b","name_ID":"p","inactive":false}"#)])
        .unwrap();
    b.sync();
    a.records
        .put("vaccination", [data(&VACCINATION.replace("\"given\":true", "\"given\":true,\"comment\":\"x\""))])
        .unwrap();
    a.sync();
    b.sync();
    assert!(b.get("vaccination", "v").is_some());
}

fn one_cycle_at_a_time(central: CentralEnd) {
    let a = central.new_site("a");
    let lock = a.storage.lock_cycle().unwrap();
    let error = a.site.sync(&SyncOptions::default(), &mut NoopObserver).unwrap_err();
    assert!(matches!(error, Error::CycleRunning { holder: Some(pid) } if pid == std::process::id()), "{error}");
    drop(lock);
    a.sync();
}

fn stopped_at_any_event_it_goes_on_where_it_was(central: CentralEnd) {
    let a = central.new_site("a");
    for n in 0..50 {
        central.records.put("asset", [asset(&format!("{n:03}"), "STORE_a", "")]).unwrap();
    }
    let mut stop_at = 0;
    loop {
        let mut seen = 0;
        let mut stop = |_: &SyncEvent| {
            seen += 1;
            if seen > stop_at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let report = a.site.sync(&SyncOptions::default(), &mut stop).unwrap();
        if report.outcome == SyncOutcome::Done {
            break;
        }
        assert_eq!(report.outcome, SyncOutcome::Cancelled);
        stop_at += 1;
        assert!(stop_at < 100, "it never ends");
    }
    assert_eq!(sync_tests::world::count(a.storage.as_ref(), "asset"), 50);
}

fn a_central_that_went_back_is_read_again(central: CentralEnd) {
    let a = central.new_site("a");
    central.records.put("asset_class", [data(r#"{"id":"c","name":"n"}"#)]).unwrap();
    a.sync();
    let txn = a.storage.write().unwrap();
    state::PULL_CURSOR_V6.set(txn.as_ref(), Cursor(1_000_000)).unwrap();
    txn.commit().unwrap();
    let report = a.sync();
    assert!(report.warnings[0].to_string().contains("central went back to 3 "), "{:?}", report.warnings);
    assert_eq!(report.pulled, 1);
    let cursor = state::PULL_CURSOR_V6.get(a.storage.read().unwrap().as_ref()).unwrap();
    assert!(cursor <= central.storage.read().unwrap().last_cursor().unwrap().next());
}

/// A line on which the legacy server's half can be taken away, or everything.
struct LegacyDown {
    line: Arc<dyn Transport>,
    down: AtomicBool,
    all_down: AtomicBool,
}

impl Transport for LegacyDown {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        let is_down = self.down.load(Ordering::SeqCst) && request.url.contains("/sync/v5/");
        if is_down || self.all_down.load(Ordering::SeqCst) {
            return Err(TransportError::Unreachable("no route".into()));
        }
        self.line.send(request)
    }
}

fn when_only_the_legacy_server_is_down_the_rest_goes_on_and_says_so(central: CentralEnd) {
    central.add_site("a");
    let line = Arc::new(LegacyDown {
        line: central.transport(),
        down: AtomicBool::new(false),
        all_down: AtomicBool::new(false),
    });
    let a = central.set_up_in("a", "a", line.clone());
    a.sync();
    let mut quick = SyncConfig::default();
    quick.retry_wait = Duration::from_millis(10);
    let site = a.site.clone().with_config(quick.clone());
    line.down.store(true, Ordering::SeqCst);
    a.records.put("asset", [asset("x", "STORE_a", "")]).unwrap();
    central.records.put("asset_class", [data(r#"{"id":"c","name":"n"}"#)]).unwrap();
    let mut retries = 0;
    let report = site
        .sync(&SyncOptions::default(), &mut |event: &SyncEvent| {
            if let SyncEvent::Retrying { server, error, .. } = event {
                retries += 1;
                // This network has one server, which people know as central.
                assert_eq!((*server, error.to_string().contains("legacy")), (Server::Central, false), "{error}");
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(retries, quick.attempts - 1, "each wait is told once, and nobody asks a server that is down again");
    assert_eq!((report.pushed, report.pulled, report.integrated), (1, 1, 1));
    assert_eq!(report.error.unwrap().code(), "unreachable");
    assert!(
        report.warnings[0].to_string().contains("the central server does not say who this site is"),
        "{:?}",
        report.warnings
    );
    line.down.store(false, Ordering::SeqCst);
    assert_eq!(a.sync().outcome, SyncOutcome::Done);

    // Where nobody answers at all, one server is tried several times, and the others once: a person may wait for the end.
    line.all_down.store(true, Ordering::SeqCst);
    let mut retries = 0;
    let report = site
        .sync(&SyncOptions::default(), &mut |event: &SyncEvent| {
            retries += u32::from(matches!(event, SyncEvent::Retrying { .. }));
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!((retries, report.retries), (quick.attempts - 1, u64::from(quick.attempts - 1)));
    assert_eq!(report.error.unwrap().code(), "unreachable");
    line.all_down.store(false, Ordering::SeqCst);
    assert_eq!(a.sync().outcome, SyncOutcome::Done);
}

fn the_last_word_on_a_record_counts_within_a_batch(central: CentralEnd) {
    let a = central.new_site("a");
    central.sites.add_store("two", "two", "a", Some("STORE_2".into())).unwrap();
    a.sync();
    let preference = |store: &str| data(&format!(r#"{{"id":"p","key":"k","value":"1","store_id":"{store}"}}"#));
    central.records.put("preference", [preference("STORE_a")]).unwrap();
    a.sync();
    central.records.delete("preference", RecordId::from("p")).unwrap();
    central.records.put("preference", [preference("STORE_2")]).unwrap();
    a.sync();
    assert!(a.get("preference", "p").unwrap().contains("STORE_2"), "a delete in one store, then a write in another");
}

/// A number out of range, half a character, or a nesting without end would make a peer refuse the message around it.
fn values_that_a_peer_could_not_read_stop_nobody(central: CentralEnd) {
    use sync_core::protocol::v6::Action;
    use sync_core::storage::{Incoming, Source};
    let (a, b) = (central.new_site("a"), central.new_site("b"));
    a.sync();
    b.sync();
    let deep = format!("{}{}", "[".repeat(2000), "]".repeat(2000));
    let now = sync_core::clock::Timestamp::from_unix_millis(0);
    for (number, value) in ["1e999", "\"\\ud800\"", &deep, r#"{"x":[1e999]}"#].into_iter().enumerate() {
        let json = format!(r#"{{"ID":"j","store_ID":"STORE_a","name_ID":"n","inactive":false,"more":{value}}}"#);
        let error = a.records.put("name_store_join", [data(&json)]).unwrap_err();
        assert_eq!(error.code(), "invalid_record", "{number}");
        // As a site whose program asks nobody would push it.
        let site = central.sites.list().unwrap()[0].id;
        let txn = central.storage.write().unwrap();
        let incoming = Incoming {
            source: Source::Site(site),
            table: "name_store_join".into(),
            id: "j".into(),
            action: Action::Update,
            data: data(&json),
            cursor: None,
            known: Default::default(),
            quarantine: None,
        };
        txn.stage(&incoming, now).unwrap();
        txn.central().unwrap().request_integration(site, now).unwrap();
        txn.commit().unwrap();
        central.central.integrate_waiting().unwrap();
        let (_, why) = central.storage.read().unwrap().quarantined(0, 9).unwrap().remove(0);
        assert_eq!(why.cause, QuarantineCause::Malformed, "{number}");
        assert!(why.reason.starts_with("$.more: "), "{}", why.reason);
    }
    b.records.put("asset", [asset("x", "STORE_b", "")]).unwrap();
    b.sync();
    assert!(get(&central.records, "asset", "x").is_some(), "others go on");
}

fn an_edit_that_was_sent_but_not_confirmed_is_not_overwritten(central: CentralEnd) {
    let a = central.new_site("a");
    a.sync();
    a.records.put("asset", [asset("x", "STORE_a", "first")]).unwrap();
    a.sync();
    central.records.put("asset", [asset("x", "STORE_a", "of central")]).unwrap();
    a.records.put("asset", [asset("x", "STORE_a", "of the clinic")]).unwrap();
    a.records.put("asset", [asset("y", "STORE_a", "")]).unwrap();
    // One record a batch, and an end after the first: central has x, but was not told to integrate.
    let mut small = SyncConfig::default();
    small.push_records_max = 1;
    small.integration_poll = Duration::from_millis(1);
    let options = SyncOptions::default().max_bytes(1);
    let report = a.site.clone().with_config(small).sync(&options, &mut NoopObserver).unwrap();
    assert_eq!((report.pushed, report.outcome), (1, SyncOutcome::Partial));
    assert!(a.get("asset", "x").unwrap().contains("of the clinic"), "{report:?}");
    a.sync();
    a.sync();
    assert!(a.get("asset", "x").unwrap().contains("of the clinic"));
    assert_eq!(get(&central.records, "asset", "x"), a.get("asset", "x"), "both ends agree");
    assert!(get(&central.records, "asset", "y").is_some());
}

fn a_patient_pull_brings_no_form_of_another_site(central: CentralEnd) {
    let (a, b) = (central.new_site("a"), central.new_site("b"));
    a.sync();
    b.sync();
    let form = r#"{"id":"form","store_id":"STORE_b","period_id":"p","program_id":"p","created_datetime":"2025-01-01T00:00:00","status":"DRAFT","name_id":"p","comment":"private"}"#;
    b.records.put("rnr_form", [data(form)]).unwrap();
    b.sync();
    a.records.put("name", [data(PATIENT)]).unwrap();
    let join = r#"{"ID":"ja","store_ID":"STORE_a","name_ID":"p","inactive":false}"#;
    a.records.put("name_store_join", [data(join)]).unwrap();
    a.sync();
    assert!(get(&central.records, "rnr_form", "form").is_some());
    let hash = sync_core::protocol::PasswordHash::of_password(sync_tests::world::PASSWORD);
    let body = format!(
        r#"{{"cursor":0,"batchSize":500,"syncV5Settings":{{"serverUrl":"","username":"a","passwordSha256":"{}","siteUuid":"machine-a","appVersion":"2.19.0","appName":"","syncVersion":"14"}},"syncV6Version":5,"fetchPatientId":"p"}}"#,
        hash.expose()
    );
    let response = central.central.handle(&HttpRequest {
        method: sync_core::transport::Method::Post,
        url: "/central/sync/patient-pull".to_owned(),
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: body.into_bytes(),
    });
    let text = String::from_utf8(response.body).unwrap();
    assert!(text.contains(r#""records":[]"#) && !text.contains("private"), "{text}");
}
