//! Finding a patient of another site at the legacy server, and linking the patient to an own store.

use std::sync::{Arc, Mutex};

use sync_core::protocol::v5::{FoundPatient, PatientQuery};
use sync_core::record::{NameId, RecordId, StoreId};
use sync_core::site::Step;
use sync_core::storage::{Storage, state};
use sync_core::transport::{HttpRequest, HttpResponse, Transport, TransportError};
use sync_core::{Error, NoopObserver, SyncOutcome, SyncReport};
use sync_testkit::legacy_server::{Endpoint, Fault, PlannedFault, legacy_id, rows};
use sync_tests::world::{CentralEnd, Kind, SeenReport, SiteEnd, document};

use super::legacy_half::{Country, End};

/// A patient whom the legacy server knows, and no store sees.
const PATIENT: &str = "Diallo";

fn country() -> (Country, NameId) {
    let country = Country::new();
    let id = legacy_id("name", PATIENT);
    country.legacy.put_row("name", &id, rows::patient(&id, "P-9", "Ana", PATIENT, "2011-03-31"));
    (country, NameId::new(id))
}

fn by_last_name(name: &str) -> PatientQuery {
    PatientQuery { last_name: Some(name.to_owned()), limit: Some(10), ..PatientQuery::default() }
}

fn link(end: &End, patient: &NameId, store: &str) -> SeenReport {
    end.site.link_patient(patient, &StoreId::from(store), &mut NoopObserver).unwrap().into()
}

fn has(end: &End, patient: &NameId) -> bool {
    end.get("name", patient.as_str()).is_some()
}

fn is_visible(storage: &dyn Storage, patient: &NameId, store: &str) -> bool {
    storage.read().unwrap().is_visible(patient, &[StoreId::from(store)]).unwrap()
}

fn open_links(end: &End) -> String {
    state::named("links").find(end.storage.read().unwrap().as_ref()).unwrap().unwrap_or_default()
}

fn steps(report: &SyncReport) -> Vec<(Step, Option<&str>)> {
    report.steps.iter().map(|step| (step.name, step.error)).collect()
}

#[test]
fn a_patient_is_found_and_linked_and_comes() {
    let (country, patient) = country();
    let (a, store) = (country.site("district_a"), &country.world.sites[0].store_id);
    let found = a.site.find_patients(&by_last_name("diall"), &mut NoopObserver).unwrap();
    let [FoundPatient { id, first_name, last_name, code, date_of_birth, .. }] = &found[..] else { panic!("{found:?}") };
    assert_eq!((id, first_name.as_str(), last_name.as_str(), code.as_str()), (&patient, "Ana", PATIENT, "P-9"));
    assert!(date_of_birth.starts_with("2011-03-31"));
    assert_eq!(a.site.find_patients(&by_last_name("nobody of this name"), &mut NoopObserver).unwrap(), []);
    assert!(!has(&a, &patient) && !has(&country.central, &patient));

    // Central does not know the patient: it asks the legacy server to show the patient to its own store, and
    // synchronises.
    let report = link(&a, &patient, store);
    assert_eq!(report.outcome, SyncOutcome::Done, "{report:?}");
    assert_eq!(report.patient.as_ref(), Some(&patient));
    let expected = [Step::LinkPatient, Step::PullRemote, Step::PullPatient, Step::Integrate].map(|step| (step, None));
    assert_eq!(steps(&report), expected);
    assert!(has(&a, &patient) && is_visible(a.storage.as_ref(), &patient, store));
    assert!(has(&country.central, &patient) && is_visible(country.central.storage.as_ref(), &patient, store));
    assert_eq!(open_links(&a), "");

    // The other site's records of the patient come with the link.
    let b = country.site("district_b");
    let others = &country.world.sites[1].store_id;
    assert_eq!(link(&b, &patient, others).outcome, SyncOutcome::Done);
    assert_eq!(country.legacy.count(Endpoint::NameStoreJoin), 3, "one of central's, and one of each site");
    // Once more is the same as once.
    assert_eq!(link(&a, &patient, store).outcome, SyncOutcome::Done);
    let joins = country.central.records.list("name_store_join", None, 100).unwrap();
    let of_patient = joins.iter().filter(|(_, join)| {
        let join = join.as_str();
        join.contains(patient.as_str()) && (join.contains(store) || join.contains(others))
    });
    assert_eq!(of_patient.count(), 2);
    assert_eq!(a.sync().outcome, SyncOutcome::Done);
}

#[test]
fn a_link_that_breaks_off_anywhere_is_gone_on_with_by_the_next_cycle() {
    for (endpoint, times) in [(Endpoint::NameStoreJoin, 9), (Endpoint::PullQueue, 9)] {
        let (country, patient) = country();
        let (a, store) = (country.site("district_a"), &country.world.sites[0].store_id);
        country.legacy.plan(PlannedFault::new(endpoint, Fault::AnswerLost).of_site("district_a").times(times));
        let report = link(&a, &patient, store);
        assert!(report.error.is_some(), "{endpoint:?} {report:?}");
        assert!(open_links(&a).contains(patient.as_str()));
        country.legacy.heal();
        let report = a.sync();
        assert!(report.steps.iter().any(|step| step.name == Step::LinkPatient), "{report:?}");
        assert_eq!((report.outcome, open_links(&a).as_str()), (SyncOutcome::Done, ""), "{endpoint:?} {report:?}");
        assert!(has(&a, &patient) && is_visible(a.storage.as_ref(), &patient, store), "{endpoint:?}");
        assert!(is_visible(country.central.storage.as_ref(), &patient, store), "{endpoint:?}");
        let after = a.sync();
        assert!(after.steps.iter().all(|step| step.name != Step::LinkPatient), "nothing is left of it");
    }
}

#[test]
fn what_cannot_be_linked_or_searched_is_said() {
    let (country, patient) = country();
    let a = country.site("district_a");
    let refused = a.site.link_patient(&patient, &StoreId::from("of another"), &mut NoopObserver).unwrap_err();
    assert!(matches!(refused, Error::NotAllowed { .. }), "{refused}");
    let nobody = a.site.find_patients(&PatientQuery { limit: Some(5), ..PatientQuery::default() }, &mut NoopObserver);
    assert_eq!(nobody.unwrap_err().code(), "bad_input");
    let born = |text: &str| PatientQuery { date_of_birth: Some(text.to_owned()), ..PatientQuery::default() };
    assert_eq!(a.site.find_patients(&born("2011-3-31"), &mut NoopObserver).unwrap_err().code(), "bad_input");
    assert_eq!(a.site.find_patients(&born("2011-03-31"), &mut NoopObserver).unwrap().len(), 1);
    // The legacy server does not know this patient, so nothing is left to retry.
    let report = link(&a, &NameId::from("nobody"), &country.world.sites[0].store_id);
    assert!(report.error.is_some(), "{report:?}");
    assert_eq!((open_links(&a).as_str(), a.sync().outcome), ("", SyncOutcome::Done));
    let fresh = country.fresh("district_b");
    let early = fresh.site.link_patient(&patient, &StoreId::from("x"), &mut NoopObserver).unwrap_err();
    assert_eq!(early.code(), "bad_input");
}

fn patient_of(site: &SiteEnd, id: &str, last: &str) {
    let name = document("name", &[("ID", id), ("type", "patient"), ("last", last), ("first", "Ana")]);
    site.records.put("name", [name]).unwrap();
}

/// A central server without a legacy server answers the same requests.
#[test]
fn without_a_legacy_server_central_finds_and_links_patients() {
    for kind in [Kind::Memory, Kind::Sqlite] {
        let end = CentralEnd::over(kind);
        let (a, b) = (end.new_site("a"), end.new_site("b"));
        let course = document("vaccine_course", &[("id", "course")]);
        end.records.put("vaccine_course", [course]).unwrap();
        let dose = document("vaccine_course_dose", &[("id", "dose"), ("vaccine_course_id", "course")]);
        end.records.put("vaccine_course_dose", [dose]).unwrap();
        a.sync();
        b.sync();
        patient_of(&a, "p", PATIENT);
        patient_of(&a, "q", "Keita");
        let given = [("id", "v"), ("store_id", "STORE_a"), ("patient_id", "p"), ("vaccine_course_dose_id", "dose")];
        a.records.put("vaccination", [document("vaccination", &given)]).unwrap();
        let own = r#"{"ID":"stock","store_ID":"STORE_b","item_ID":"i"}"#;
        b.records.put("item_line", [sync_tests::world::data(own)]).unwrap();
        a.sync();
        b.sync();

        let found = b.site.find_patients(&by_last_name(PATIENT), &mut NoopObserver).unwrap();
        assert_eq!(found.iter().map(|found| found.id.as_str()).collect::<Vec<_>>(), ["p"]);
        let patient = NameId::from("p");
        let before = b.get("item_line", "stock");
        let report = b.site.link_patient(&patient, &StoreId::from("STORE_b"), &mut NoopObserver).unwrap();
        assert_eq!(report.outcome, SyncOutcome::Done, "{report:?}");
        assert!(b.get("name", "p").is_some() && b.get("vaccination", "v").is_some() && b.get("name", "q").is_none());
        assert!(is_visible(b.storage.as_ref(), &patient, "STORE_b"));
        assert_eq!(b.get("item_line", "stock"), before);
        assert_eq!(b.sync().outcome, SyncOutcome::Done);
        // A patient unknown to central is reported as unknown, and a site that never signed in gets no answer.
        let report =
            b.site.link_patient(&NameId::from("unknown"), &StoreId::from("STORE_b"), &mut NoopObserver).unwrap();
        assert!(report.error.is_some());
        // The machine that replaces this one gets the patient too.
        end.sites.reset_hardware("b").unwrap();
        let anew = end.set_up_in("b anew", "b", end.transport());
        anew.sync();
        assert!(anew.get("name", "p").is_some(), "what was linked is given back with what the site kept");
    }
}

/// V6 returns no names: without a legacy server central gives them to a site that begins anew, as they are now.
#[test]
fn a_site_that_begins_anew_gets_its_patients_as_they_are_now() {
    for kind in [Kind::Memory, Kind::Sqlite] {
        let end = CentralEnd::over(kind);
        let (a, b) = (end.new_site("a"), end.new_site("b"));
        a.sync();
        b.sync();
        patient_of(&a, "p", PATIENT);
        patient_of(&a, "hidden", "Keita");
        for (id, last) in [("own", "Touré"), ("gone", "Camara")] {
            patient_of(&b, id, last);
            let join = format!(r#"{{"ID":"j {id}","store_ID":"STORE_b","name_ID":"{id}","inactive":false}}"#);
            b.records.put("name_store_join", [sync_tests::world::data(&join)]).unwrap();
        }
        a.sync();
        b.sync();
        for id in ["p", "hidden"] {
            let linked = b.site.link_patient(&NameId::from(id), &StoreId::from("STORE_b"), &mut NoopObserver).unwrap();
            assert_eq!(linked.outcome, SyncOutcome::Done, "{linked:?}");
        }
        patient_of(&b, "p", "Diallo-Bah");
        let all = [StoreId::from("STORE_b")];
        let joins = b.records.list("name_store_join", None, 100).unwrap();
        let of_hidden = joins.iter().find(|(_, join)| join.as_str().contains("hidden")).unwrap().0.clone();
        b.records.delete("name_store_join", &of_hidden).unwrap();
        b.records.delete("name", RecordId::from("gone")).unwrap();
        b.sync();
        end.sites.reset_hardware("b").unwrap();
        let anew = end.set_up_in("b anew", "b", end.transport());
        assert_eq!(anew.sync().outcome, SyncOutcome::Done);
        assert!(anew.get("name", "p").is_some_and(|name| name.contains("Diallo-Bah")), "the newest version");
        assert!(anew.get("name", "own").is_some(), "a patient whom the site wrote itself");
        for id in ["p", "own"] {
            assert!(anew.storage.read().unwrap().is_visible(&NameId::from(id), &all).unwrap(), "{id}");
        }
        assert!(anew.get("name", "gone").is_none(), "no patient whom the site deleted");
        assert!(!is_visible(anew.storage.as_ref(), &NameId::from("hidden"), "STORE_b"), "no join that was deleted");
        assert_eq!(anew.sync().pushed, 0, "what was given back is no edit");
        assert!(anew.storage.read().unwrap().quarantined(0, 10).unwrap().is_empty());

        // A store that came from another site brings its patients too: only that site had sent what central keeps of it.
        let c = end.new_site("c");
        c.sync();
        end.sites.add_store("STORE_b", "b", "c", Some(StoreId::from("STORE_b"))).unwrap();
        end.sites.reset_hardware("c").unwrap();
        let heir = end.set_up_in("c anew", "c", end.transport());
        assert_eq!(heir.sync().outcome, SyncOutcome::Done);
        for id in ["p", "own"] {
            assert!(heir.storage.read().unwrap().is_visible(&NameId::from(id), &all).unwrap(), "{id}");
            assert!(heir.get("name", id).is_some(), "{id}");
        }
        end.sites.add_store("STORE_b", "b", "b", Some(StoreId::from("STORE_b"))).unwrap();

        // Central deletes one after the site was told how many there are.
        end.sites.reset_hardware("b").unwrap();
        let central = end.records.clone();
        let delete = move || assert!(central.delete("name", RecordId::from("own")).is_ok());
        let line = BeforeTheQueue { to_central: end.transport(), once: Mutex::new(Some(Box::new(delete))) };
        let after = end.set_up_in("b after", "b", Arc::new(line));
        assert_eq!(after.sync().outcome, SyncOutcome::Done);
        assert!(after.get("name", "own").is_none(), "nobody who was deleted since");
        assert!(after.get("name", "p").is_some());
    }
}

/// Somebody writes at central before the site fetches its queue.
struct BeforeTheQueue {
    to_central: Arc<dyn Transport>,
    once: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Transport for BeforeTheQueue {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        if request.url.contains("/sync/v5/queued_records")
            && let Some(write) = self.once.lock().unwrap().take()
        {
            write();
        }
        self.to_central.send(request)
    }
}

/// A request for the queue is held up on its way: central fills the queue once more, with patients as they are then.
#[test]
fn a_patient_who_comes_again_yields_to_no_edit_that_central_has() {
    for kind in [Kind::Memory, Kind::Sqlite] {
        let end = CentralEnd::over(kind);
        end.new_site("b").sync();
        end.sites.reset_hardware("b").unwrap();
        let line = Arc::new(KeepsInitialise { to_central: end.transport(), kept: Mutex::default() });
        let b = end.set_up_in("b anew", "b", line.clone());
        b.sync();
        patient_of(&b, "own", "Touré");
        let join = r#"{"ID":"j","store_ID":"STORE_b","name_ID":"own","inactive":false}"#;
        b.records.put("name_store_join", [sync_tests::world::data(join)]).unwrap();
        b.sync();
        let newer = b.get("name", "own").unwrap().replace("Touré", "Camara");
        end.records.put("name", [sync_tests::world::data(&newer)]).unwrap();
        let late = line.kept.lock().unwrap().clone().expect("it was asked for once");
        assert_eq!(end.transport().send(&late).unwrap().status, 200);
        assert_eq!(b.sync().kept_local, 0);
        assert_eq!(b.sync().pushed, 0, "central has had the edit");
        assert_eq!(b.get("name", "own").as_deref(), Some(newer.as_str()));
        assert_eq!(sync_tests::world::get(&end.records, "name", "own"), Some(newer));
    }
}

/// Keeps the request by which a site has its queue filled.
struct KeepsInitialise {
    to_central: Arc<dyn Transport>,
    kept: Mutex<Option<HttpRequest>>,
}

impl Transport for KeepsInitialise {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        if request.url.contains("/sync/v5/initialise") {
            *self.kept.lock().unwrap() = Some(request.clone());
        }
        self.to_central.send(request)
    }
}

/// Answers one path itself while it has something to say.
struct SaysItself {
    to_central: Arc<dyn Transport>,
    path: &'static str,
    says: Mutex<Option<String>>,
}

impl Transport for SaysItself {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        match self.says.lock().unwrap().clone().filter(|_| request.url.ends_with(self.path)) {
            Some(says) => Ok(HttpResponse::json(200, says.into_bytes())),
            None => self.to_central.send(request),
        }
    }
}

/// A join of somebody else, one with an unusable id, and success that is not central's: none of them links anybody.
#[test]
fn a_strange_answer_to_a_join_is_an_error_and_the_link_is_made_later() {
    const LEGACY: &str = "/api/v4/name_store_join";
    const CENTRAL: &str = "/central/name-store-join";
    let of = |name: &str, store: &str| format!(r#"{{"ID":"j","name_ID":"{name}","store_ID":"{store}"}}"#);
    let with_id = |id: &str| format!(r#"{{"ID":"{id}","name_ID":"p","store_ID":"STORE_b"}}"#);
    for (path, says, code, is_left) in [
        (LEGACY, of("another", "STORE_b"), "peer_error", false),
        (LEGACY, of("p", "STORE_a"), "peer_error", false),
        (LEGACY, with_id(""), "unreadable_answer", true),
        (LEGACY, with_id("\\u0000"), "unreadable_answer", true),
        (LEGACY, with_id(&"x".repeat(300)), "unreadable_answer", true),
        (LEGACY, "<html>Log in here</html>".to_owned(), "not_an_msupply_server", true),
        (CENTRAL, "<html>Log in here</html>".to_owned(), "not_an_msupply_server", true),
        (CENTRAL, r#"{"error":{"otherServerError":"no"}}"#.to_owned(), "peer_error", true),
        (CENTRAL, r#"{"error":{"somethingNew":1}}"#.to_owned(), "peer_error", true),
    ] {
        let end = CentralEnd::over(Kind::Memory);
        let (a, b) = (end.new_site("a"), end.new_site("b"));
        a.sync();
        b.sync();
        patient_of(&a, "p", PATIENT);
        a.sync();
        end.sites.reset_hardware("b").unwrap();
        let line = Arc::new(SaysItself { to_central: end.transport(), path, says: Mutex::new(Some(says.clone())) });
        let b = end.set_up_in("b anew", "b", line.clone());
        b.sync();
        let to_b = || b.site.link_patient(&NameId::from("p"), &StoreId::from("STORE_b"), &mut NoopObserver).unwrap();
        let report = to_b();
        assert_eq!(report.error.as_ref().map(|error| error.code()), Some(code), "{says} {report:?}");
        let left = state::named("links").find(b.storage.read().unwrap().as_ref()).unwrap().unwrap_or_default();
        assert_eq!(left.contains("STORE_b"), is_left, "{says}");
        *line.says.lock().unwrap() = None;
        let healed = if is_left { b.sync() } else { to_b().into() };
        assert_eq!(healed.outcome, SyncOutcome::Done, "{says} {healed:?}");
        assert!(is_visible(b.storage.as_ref(), &NameId::from("p"), "STORE_b"), "{says}");
    }
}

/// The network's log-in page answers first, then the legacy server refuses: no cycle says that such a link continues.
#[test]
fn a_link_that_is_refused_in_a_later_cycle_ends_and_says_so() {
    let end = CentralEnd::over(Kind::Memory);
    end.add_site("b");
    let says = Mutex::new(Some("<html>Log in here</html>".to_owned()));
    let line = Arc::new(SaysItself { to_central: end.transport(), path: "/api/v4/name_store_join", says });
    let b = end.set_up_in("b", "b", line.clone());
    b.sync();
    let linked = b.site.link_patient(&NameId::from("p"), &StoreId::from("STORE_b"), &mut NoopObserver).unwrap();
    assert!(linked.error.is_some());
    let warned = |words: &str| b.sync().warnings.iter().any(|warning| warning.to_string().contains(words));
    assert!(warned("continues with the next sync"));
    *line.says.lock().unwrap() =
        Some(r#"{"error":{"code":"no_patient","message":"no such patient","data":null}}"#.to_owned());
    assert!(warned("ends unfinished, because it was refused"));
    assert!(!warned("linking patient"));
}

/// A link that a server refuses for ever is given up by a person, or ends by itself once its store is elsewhere.
#[test]
fn a_link_that_is_never_made_can_be_given_up_and_ends_with_its_store() {
    let (patient, to) = (NameId::from("p"), StoreId::from("STORE_b"));
    for moves in [false, true] {
        let end = CentralEnd::over(Kind::Memory);
        let (a, _) = (end.new_site("a"), end.add_site("b"));
        a.sync();
        patient_of(&a, "p", PATIENT);
        a.sync();
        let refusal = Mutex::new(Some(r#"{"error":{"otherServerError":"no"}}"#.to_owned()));
        let path = "/central/name-store-join";
        let b = end.set_up_in("b", "b", Arc::new(SaysItself { to_central: end.transport(), path, says: refusal }));
        b.sync();
        assert!(b.site.link_patient(&patient, &to, &mut NoopObserver).unwrap().error.is_some());
        let open = || state::named("links").find(b.storage.read().unwrap().as_ref()).unwrap().unwrap_or_default();
        assert!(b.sync().warnings.iter().any(|warning| warning.to_string().contains("not done yet")));
        if moves {
            end.sites.add_store("STORE_b", "b", "a", Some(to.clone())).unwrap();
            b.sync();
            let report = b.sync();
            assert!(
                report.warnings.iter().any(|warning| warning.to_string().contains("no longer active")),
                "{report:?}"
            );
        } else {
            assert!(!b.site.give_up_link(&NameId::from("another"), &to).unwrap());
            assert!(b.site.give_up_link(&patient, &to).unwrap());
        }
        assert_eq!(open(), "");
        assert!(!b.site.give_up_link(&patient, &to).unwrap());
        let report = b.sync();
        assert!(report.warnings.is_empty() && report.steps.iter().all(|step| step.name != Step::LinkPatient));
    }
}
