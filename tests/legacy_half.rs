//! The legacy half of the cycle, against a stand-in for the legacy server.

use std::sync::Arc;
use std::time::Duration;

use sync_core::central::InProcess;
use sync_core::clock::SystemClock;
use sync_core::protocol::PasswordHash;
use sync_core::protocol::v6::Action;
use sync_core::record::{RecordData, SiteId};
use sync_core::site::Step;
use sync_core::storage::{MemoryStorage, QuarantineCause, Storage, state};
use sync_core::transport::Transport;
use sync_core::{
    Error, NoopObserver, Records, Replica, Settings, Site, SyncConfig, SyncOptions, SyncOutcome, SyncReport,
};
use sync_testkit::legacy_server::{
    Endpoint, Fault, LegacyAnd, LegacyServer, PASSWORD, PlannedFault, Refusal, SmallWorld, Spelling, Takes, rows,
    small_world,
};
use sync_tests::world::{SeenReport, data, get};

const OMS: &str = "http://oms.example.org";

/// A legacy server with a small world, and the Open mSupply central server, which is one of its sites.
pub(crate) struct Country {
    pub(crate) legacy: Arc<LegacyServer>,
    pub(crate) world: SmallWorld,
    pub(crate) line: Arc<dyn Transport>,
    pub(crate) central: End,
}

/// A database of a site.
pub(crate) struct End {
    pub(crate) storage: Arc<MemoryStorage>,
    pub(crate) site: Site,
    pub(crate) records: Records,
}

impl End {
    pub(crate) fn over(storage: Arc<MemoryStorage>, line: Arc<dyn Transport>) -> Self {
        let clock = Arc::new(SystemClock::new());
        let mut quick = SyncConfig::default();
        quick.integration_poll = Duration::from_millis(1);
        quick.retry_wait = Duration::from_millis(1);
        quick.initialisation_wait = Duration::from_millis(200);
        quick.integration_wait = Duration::from_millis(500);
        let replica = Replica::builder().clock(clock.clone()).with_storage(storage.clone());
        let site = replica.site(line).with_config(quick);
        let records = replica.records();
        Self { storage, site, records }
    }

    pub(crate) fn set_up(&self, name: &str) -> Result<(), Error> {
        self.site.set_up(&settings(name), &mut NoopObserver).map(|_| ())
    }

    pub(crate) fn cycle(&self) -> SeenReport {
        self.site.sync(&SyncOptions::default(), &mut NoopObserver).expect("a cycle").into()
    }

    /// A cycle that must go well.
    pub(crate) fn sync(&self) -> SeenReport {
        let report = self.cycle();
        assert!(report.error.is_none(), "{:?}", report.error);
        report
    }

    pub(crate) fn get(&self, table: &str, id: &str) -> Option<String> {
        get(&self.records, table, id)
    }

    pub(crate) fn causes(&self) -> Vec<(QuarantineCause, String)> {
        let rows = self.storage.read().unwrap().quarantined(0, 100).unwrap();
        rows.into_iter().map(|(row, why)| (why.cause, row.incoming.id.to_string())).collect()
    }
}

fn settings(name: &str) -> Settings {
    Settings::new("http://legacy.example.org", name, PasswordHash::of_password(PASSWORD))
        .https_only(false)
        .hardware_id(format!("machine of {name}"))
}

impl Country {
    pub(crate) fn new() -> Self {
        let clock = Arc::new(SystemClock::new());
        let legacy = Arc::new(LegacyServer::new(clock.clone()));
        let world = small_world(&legacy, 2, OMS);
        let central = End::over(Arc::new(MemoryStorage::new()), legacy.clone());
        central.set_up(&world.central).unwrap();
        assert_eq!(central.sync().outcome, SyncOutcome::Done);
        let replica = Replica::builder().clock(clock.clone()).with_storage(central.storage.clone());
        let authenticator = Arc::new(replica.legacy_authenticator(legacy.clone()));
        let server = replica.central(authenticator);
        let server = Arc::new(server.with_own_site(central.site.clone()));
        let line = Arc::new(LegacyAnd::new(legacy.clone(), Arc::new(InProcess::new(server))));
        Self { legacy, world, line, central }
    }

    /// A new database of a site, set up and not synchronised.
    pub(crate) fn fresh(&self, name: &str) -> End {
        let end = End::over(Arc::new(MemoryStorage::new()), self.line.clone());
        end.set_up(name).unwrap();
        end
    }

    /// A site that has completed its first cycle.
    pub(crate) fn site(&self, name: &str) -> End {
        let end = self.fresh(name);
        end.sync();
        end
    }
}

fn steps(report: &SyncReport) -> Vec<Step> {
    report.steps.iter().map(|step| step.name).collect()
}

pub(crate) fn transact(id: &str, store: &str, comment: &str) -> sync_core::record::RecordData {
    data(&format!(r#"{{"ID":"{id}","store_ID":"{store}","type":"si","comment":"{comment}"}}"#))
}

#[test]
fn a_first_cycle_brings_everything_and_the_next_asks_little() {
    let country = Country::new();
    let (legacy, world) = (&country.legacy, &country.world);
    let a = country.fresh("district_a");
    let report = a.sync();
    assert_eq!(
        steps(&report),
        [Step::Prepare, Step::PullCentral, Step::PullRemote, Step::PullV6, Step::Integrate],
        "nothing is pushed before the site knows its stores"
    );
    assert!(legacy.queued("district_a").is_empty(), "all of it is acknowledged");
    let own = &world.sites[0];
    for (table, id) in [
        ("item", &world.items[0]),
        ("user", &world.users[0]),
        ("store", &own.store_id),
        ("transact", &own.transact_id),
        ("clinician", &own.clinician_id),
        ("name", &own.patients[0]),
    ] {
        assert!(a.get(table, id).is_some(), "{table}");
    }
    assert_eq!(a.get("transact", &world.sites[1].transact_id), None, "another site's");
    assert_eq!(legacy.count(Endpoint::Initialise), 2, "the central server's and this one's");

    legacy.forget_requests();
    let report = a.sync();
    assert_eq!((report.requests, report.pulled, report.pushed), (4, 0, 0));
    assert_eq!(legacy.count(Endpoint::PushQueue), 0, "there is nothing to integrate");
}

#[test]
fn the_central_server_is_a_site_of_the_legacy_server_and_leaves_out_v6() {
    let country = Country::new();
    let report = country.central.sync();
    assert_eq!(steps(&report), [Step::Prepare, Step::Push, Step::PullCentral, Step::PullRemote, Step::Integrate]);
    assert!(country.central.get("store", &country.world.sites[1].store_id).is_some());
}

#[test]
fn whatever_breaks_in_a_first_cycle_the_next_ones_go_on() {
    use Endpoint::{Acknowledge, CentralRecords, Initialise, PullQueue, Site, SiteStatus};
    let faults = [
        Fault::Unheard,
        Fault::AnswerLost,
        Fault::Cut(7),
        Fault::Status(500),
        Fault::WebPage(200),
        Fault::NotJson,
        Fault::Refuse(Refusal::InitialisationInProgress),
        Fault::Refuse(Refusal::SyncIsRunning),
        Fault::Refuse(Refusal::SomethingNew),
    ];
    for endpoint in [Site, Initialise, SiteStatus, CentralRecords, PullQueue, Acknowledge] {
        for fault in &faults {
            for takes in [Takes::NoTime, Takes::Polls(2)] {
                let country = Country::new();
                let a = country.fresh("district_a");
                country.legacy.set_initialise_takes(takes);
                // More often than a request is tried in a cycle.
                country.legacy.plan(PlannedFault::new(endpoint, fault.clone()).of_site("district_a").times(6));
                for _ in 0..8 {
                    a.cycle();
                }
                let what = format!("{endpoint:?} {fault:?} {takes:?}");
                let last = a.cycle();
                assert!(last.error.is_none(), "{what}: {:?}", last.error);
                assert!(Replica::with_storage(a.storage.clone()).status().unwrap().initialised, "{what}");
                assert!(country.legacy.queued("district_a").is_empty(), "{what}");
                for patient in &country.world.sites[0].patients {
                    assert!(a.get("name", patient).is_some(), "{what}");
                }
            }
        }
    }
}

#[test]
fn an_initialisation_that_takes_long_is_waited_for_by_one_cycle_after_the_other() {
    let country = Country::new();
    let a = country.fresh("district_a");
    country.legacy.set_initialise_takes(Takes::Polls(20));
    country.legacy.plan(PlannedFault::new(Endpoint::Initialise, Fault::AnswerLost).times(1));
    let before = country.legacy.count(Endpoint::Initialise);
    let first = a.cycle();
    assert!(matches!(first.error, Some(Error::InitialisationInProgress)), "{:?}", first.error);
    // The process ends here; another one goes on.
    let again = End::over(a.storage.clone(), country.line.clone());
    while again.cycle().error.is_some() {}
    assert_eq!(country.legacy.count(Endpoint::Initialise) - before, 1, "asked for once");
    assert!(again.get("transact", &country.world.sites[0].transact_id).is_some());
}

#[test]
fn a_queue_that_does_not_move_or_never_empties_ends_the_step_and_loses_nothing() {
    let country = Country::new();
    let a = country.fresh("district_a");
    country.legacy.plan(PlannedFault::new(Endpoint::Acknowledge, Fault::AcknowledgementsLost));
    let report = a.cycle();
    assert!(matches!(report.error, Some(Error::QueueNotMoving)), "{:?}", report.error);
    assert!(a.get("transact", &country.world.sites[0].transact_id).is_some(), "every record of it is here");
    country.legacy.heal();
    a.sync();

    country.legacy.put_row("transact", "T", rows::transact("T", &country.world.sites[0].store_id, "N", 9));
    country.legacy.plan(PlannedFault::new(Endpoint::Acknowledge, Fault::QueueNeverEmpties));
    let report = a.sync();
    assert!(
        report.warnings.iter().any(|warning| warning.to_string().contains("fills as fast as it is read")),
        "{report:?}"
    );
    assert!(a.get("transact", "T").is_some());
    country.legacy.heal();
    a.sync();
    assert!(country.legacy.queued("district_a").is_empty());
}

#[test]
fn gaps_in_the_central_change_log_are_stepped_over() {
    for fault in [Fault::EmptyBatch(3), Fault::Window(500), Fault::OutOfOrder] {
        let country = Country::new();
        let a = country.site("district_a");
        country.legacy.skip_positions(3000);
        country.legacy.put_central("item", "LATE", rows::item("LATE", "L", "Late", &country.world.units[0]));
        let times = if matches!(fault, Fault::EmptyBatch(_)) { 3 } else { 200 };
        country.legacy.plan(PlannedFault::new(Endpoint::CentralRecords, fault.clone()).times(times));
        a.sync();
        a.sync();
        assert!(a.get("item", "LATE").is_some(), "{fault:?}");
    }
}

#[test]
fn records_come_as_the_legacy_server_spells_them() {
    let country = Country::new();
    country.legacy.set_spelling(Spelling { null_as_empty: true, numbers_as_text: true });
    let a = country.site("district_a");
    assert_eq!(a.causes(), [], "nothing is set aside for its spelling");
    let stores = a.storage.read().unwrap().stores_of_site(country.world.sites[0].site_id).unwrap();
    assert_eq!(stores.len(), 1, "a site's number may be text");
}

#[test]
fn stores_of_the_legacy_server_itself_are_ignored_with_a_reason() {
    let country = Country::new();
    country.legacy.put_central("store", "SYSTEM", rows::store("SYSTEM", "N", "HIS", SiteId(1)));
    country.legacy.put_central("store", "NAMELESS", rows::store("NAMELESS", "", "X", SiteId(3)));
    let a = country.fresh("district_a");
    assert_eq!(a.sync().outcome, SyncOutcome::Done, "nothing is left behind by that");
    assert_eq!(a.get("store", "SYSTEM"), None);
    let ignored = |id: &str| (QuarantineCause::Ignored, id.to_owned());
    assert_eq!(a.causes(), [ignored("SYSTEM"), ignored("NAMELESS")]);
}

#[test]
fn what_a_host_writes_of_the_legacy_tables_reaches_the_server() {
    let country = Country::new();
    let own = country.world.sites[0].clone();
    let a = country.site("district_a");
    a.records.put("transact", [transact("new", &own.store_id, "1"), transact("gone", &own.store_id, "")]).unwrap();
    a.records.delete("transact", "gone").unwrap();
    a.records.put("transact", [transact("new", &own.store_id, "2")]).unwrap();
    let other = transact("x", &country.world.sites[1].store_id, "");
    assert_eq!(a.records.put("transact", [other]).unwrap_err().code(), "store_not_active_here");
    let item = data(r#"{"ID":"i"}"#);
    assert_eq!(a.records.put("item", [item.clone()]).unwrap_err().code(), "only_allowed_on_legacy");
    assert_eq!(a.records.put("hologram", [item.clone()]).unwrap_err().code(), "unknown_table");
    assert_eq!(a.records.put("transact", [data("[]")]).unwrap_err().code(), "bad_input");
    assert_eq!(a.records.delete("sensor", "i").unwrap_err().code(), "not_found");

    assert_eq!(Replica::with_storage(a.storage.clone()).status().unwrap().waiting.records, 2);
    let report = a.sync();
    assert_eq!(report.pushed, 2);
    let row = country.legacy.row("transact", "new").unwrap();
    assert_eq!(row["comment"], "2");
    assert_eq!(country.legacy.push_lengths("district_a"), [2, 0]);
    let pushed = country.legacy.pushed("district_a");
    assert_eq!(pushed.iter().map(|pushed| pushed.record.action).collect::<Vec<_>>(), [Action::Delete, Action::Update]);
    assert_eq!(Replica::with_storage(a.storage.clone()).status().unwrap().waiting.records, 0);
    assert_eq!(a.sync().pushed, 0);
}

#[test]
fn a_push_that_breaks_is_sent_again_and_an_edit_is_never_overwritten_before_it_arrived() {
    for fault in [Fault::Unheard, Fault::AnswerLost, Fault::Cut(3), Fault::Status(413), Fault::IntegrationNotStarted] {
        let country = Country::new();
        let own = country.world.sites[0].clone();
        let a = country.site("district_a");
        let edited = |comment| transact(&own.transact_id, &own.store_id, comment);
        a.records.put("transact", [edited("of the site")]).unwrap();
        // Of a push that is refused for its size, a second one follows, without a record.
        let times = if fault == Fault::Status(413) { 4 } else { 5 };
        country.legacy.plan(PlannedFault::new(Endpoint::PushQueue, fault.clone()).times(times));
        // If the server answers, its queue is still pulled.
        if matches!(fault, Fault::Status(413) | Fault::IntegrationNotStarted) {
            country.legacy.queue("district_a", Action::Update, "transact", &own.transact_id, Some(edited_at_server()));
        }
        let report = a.cycle();
        let here = a.get("transact", &own.transact_id).unwrap();
        assert!(here.contains("of the site"), "{fault:?}: {here}");
        assert_eq!(a.causes(), [], "{fault:?}: a server that refuses every push says nothing of a record");
        assert!(report.error.is_some(), "{fault:?} {report:?}");
        for _ in 0..4 {
            a.cycle();
        }
        a.sync();
        let there = country.legacy.row("transact", &own.transact_id).unwrap();
        assert_eq!(there["comment"], "of the site", "{fault:?}");
        assert!(a.get("transact", &own.transact_id).unwrap().contains("of the site"), "{fault:?}");
    }
}

fn edited_at_server() -> serde_json::Value {
    serde_json::json!({"ID": "x", "comment": "of the server"})
}

#[test]
fn a_store_that_moves_is_said_at_both_ends() {
    let country = Country::new();
    let (a, b) = (country.site("district_a"), country.site("district_b"));
    let store = country.world.sites[0].store_id.clone();
    country.legacy.move_store(&store, country.world.sites[1].site_id);
    let (lost, gained) = (a.sync(), b.sync());
    assert!(
        lost.warnings.iter().any(|warning| warning.to_string().contains(&format!("no longer active here: {store}"))),
        "{:?}",
        lost.warnings
    );
    assert!(
        gained.warnings.iter().any(|warning| warning.to_string().contains(&format!("here: {store}"))),
        "{:?}",
        gained.warnings
    );
    let refused = a.records.put("transact", [transact("x", &store, "")]).unwrap_err();
    assert_eq!(refused.code(), "store_not_active_here");
    b.records.put("transact", [transact("x", &store, "")]).unwrap();
}

/// A store whose telephone number changes is not new here: nothing is read again.
#[test]
fn news_of_an_own_store_is_no_reason_to_read_everything_again() {
    let country = Country::new();
    let a = country.site("district_a");
    a.sync();
    let store = country.world.sites[0].store_id.clone();
    let mut row = country.legacy.central("store", &store).unwrap();
    row["phone"] = serde_json::json!("555 123");
    country.legacy.put_central("store", &store, row);
    let report = a.sync();
    assert!(report.warnings.is_empty(), "{:?}", report.warnings);
    assert_eq!(report.pulled, 1);
    assert!(a.get("store", &store).unwrap().contains("555 123"));

    // Away and back between two cycles: records may have been missed at central, so everything is read again.
    country.legacy.move_store(&store, country.world.sites[1].site_id);
    a.sync();
    country.legacy.move_store(&store, country.world.sites[0].site_id);
    let report = a.sync();
    assert!(report.warnings.iter().any(|warning| warning.to_string().contains("here: ")), "{:?}", report.warnings);
}

#[test]
fn a_database_is_never_pointed_to_another_site() {
    let country = Country::new();
    let a = country.site("district_a");
    let before = a.records.counts().unwrap();
    assert_eq!(a.set_up("district_b").unwrap_err().code(), "other_site");
    let elsewhere = Arc::new(LegacyServer::new(Arc::new(SystemClock::new())));
    small_world(&elsewhere, 1, OMS);
    elsewhere.change_site("district_a", |site| site.uuid = "ANOTHER".to_owned());
    let moved = End::over(a.storage.clone(), elsewhere);
    assert_eq!(moved.set_up("district_a").unwrap_err().code(), "other_site");
    assert_eq!(a.records.counts().unwrap(), before);
    let site = state::SITE_NAME.find(a.storage.read().unwrap().as_ref()).unwrap();
    assert_eq!(site.as_deref(), Some("district_a"));
    a.sync();
}

/// Records of another site's store are not written here, nor are their lines.
#[test]
fn lines_are_written_where_the_record_is_whose_lines_they_are() {
    let country = Country::new();
    let (own, other) = (country.world.sites[0].clone(), country.world.sites[1].clone());
    let a = country.site("district_a");
    a.records.put("transact", [transact("t", &own.store_id, "N")]).unwrap();
    let line = |of: &str| data(&format!(r#"{{"ID":"l","transaction_ID":"{of}"}}"#));
    a.records.put("trans_line", [line("t")]).unwrap();
    // The store has moved away, and its records stay for reading.
    country.legacy.move_store(&own.store_id, other.site_id);
    a.sync();
    assert_eq!(a.records.put("trans_line", [line("t")]).unwrap_err().code(), "store_not_active_here");
    assert_eq!(a.records.delete("trans_line", "l").unwrap_err().code(), "store_not_active_here");
}

/// Whose it is cannot be said without that record. A server may send the two in any order.
#[test]
fn a_line_of_a_host_needs_the_record_whose_line_it_is_and_one_of_the_server_does_not() {
    let country = Country::new();
    let own = country.world.sites[0].clone();
    let a = country.site("district_a");
    for line in [r#"{"ID":"m","transaction_ID":"unknown"}"#, r#"{"ID":"m","transaction_ID":""}"#, r#"{"ID":"m"}"#] {
        let refused = a.records.put("trans_line", [data(line)]).unwrap_err();
        assert_eq!(refused.code(), "invalid_record", "{line}");
        assert!(refused.to_string().contains("$.transaction_ID"), "{refused}");
    }
    assert!(a.get("trans_line", "m").is_none());
    a.records.put("transact", [transact("t", &own.store_id, "N")]).unwrap();
    a.records.put("trans_line", [data(r#"{"ID":"m","transaction_ID":"t"}"#)]).unwrap();

    let early = serde_json::json!({ "ID": "early", "transaction_ID": "later", "store_ID": own.store_id });
    country.legacy.put_row("trans_line", "early", early);
    let report = a.sync();
    assert_eq!(report.quarantined, 0, "{report:?}");
    let noted = |line: RecordData| Ok(data(&line.as_str().replacen('{', r#"{"comment":"noted","#, 1)));
    a.records.update("trans_line", "early", noted).unwrap();
    let moved = |line: RecordData| Ok(data(&line.as_str().replace("later", "never")));
    assert_eq!(a.records.update("trans_line", "early", moved).unwrap_err().code(), "invalid_record");
}

/// A host learns at once what Open mSupply could not read; what the legacy server itself sends is stored as it is.
#[test]
fn a_legacy_record_of_a_host_has_fields_of_the_right_kind_and_one_of_the_server_may_have_others() {
    let country = Country::new();
    let store = country.world.sites[0].store_id.clone();
    let a = country.site("district_a");
    let invoice = |field: &str| data(&format!(r#"{{"ID":"t","store_ID":"{store}","name_ID":"N",{field}}}"#));
    for (field, path) in [
        (r#""hold":"false""#, "$.hold"),
        (r#""invoice_num":"seven""#, "$.invoice_num"),
        (r#""entry_date":"yesterday""#, "$.entry_date"),
        (r#""comment":5"#, "$.comment"),
    ] {
        let refused = a.records.put("transact", [invoice(field)]).unwrap_err();
        assert_eq!(refused.code(), "invalid_record");
        assert!(refused.to_string().contains(path), "{refused}");
    }
    // A store that is no text would be nobody's.
    let nobodys = data(r#"{"ID":"t","store_ID":["another"],"name_ID":"N"}"#);
    assert_eq!(a.records.put("transact", [nobodys]).unwrap_err().code(), "invalid_record");
    assert!(a.get("transact", "t").is_none());
    a.records
        .put("transact", [invoice(r#""hold":false,"invoice_num":"7","entry_date":"0000-00-00","comment":null"#)])
        .unwrap();
    a.sync();
    // Odd kinds that came before are still taken, and pushed back as they are.
    let odd = serde_json::json!({ "ID": "odd", "store_ID": store, "name_ID": "N", "hold": "no", "invoice_num": "x", "comment": 5 });
    country.legacy.put_row("transact", "odd", odd);
    let report = a.sync();
    assert_eq!(report.quarantined, 0, "{report:?}");
    assert!(a.get("transact", "odd").unwrap().contains(r#""hold":"no""#));
    // An edit of another field is not refused for them, but a new odd value is.
    let edit = |with: &str, by: &str| {
        a.records.update("transact", "odd", |data| {
            let edited = data.as_str().replace(with, by);
            RecordData::parse(edited).map_err(|error| Error::bad_input(error.to_string()))
        })
    };
    edit(r#""name_ID":"N""#, r#""name_ID":"N","their_ref":"ours""#).unwrap();
    assert_eq!(edit(r#""hold":"no""#, r#""hold":"yes""#).unwrap_err().code(), "invalid_record");
    a.sync();
    assert_eq!(country.legacy.row("transact", "odd").unwrap()["their_ref"], "ours");
}

fn asset(id: &str, store: &str) -> sync_core::record::RecordData {
    data(&format!(
        r#"{{"id":"{id}","store_id":"{store}","created_datetime":"2025-01-01T00:00:00","modified_datetime":"2025-01-01T00:00:00"}}"#
    ))
}

#[test]
fn a_store_that_moves_brings_its_records_whoever_hears_of_it_first() {
    let country = Country::new();
    let (a, b) = (country.site("district_a"), country.site("district_b"));
    let store = country.world.sites[0].store_id.clone();
    a.records.put("asset", [asset("fridge", &store)]).unwrap();
    a.sync();
    country.legacy.move_store(&store, country.world.sites[1].site_id);
    b.sync();
    assert_eq!(b.get("asset", "fridge"), None, "central does not know yet");
    country.central.sync();
    b.sync();
    assert!(b.get("asset", "fridge").is_some());
}
