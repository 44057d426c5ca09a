//! Records of patients: who may push them, who receives them, and how a patient becomes visible.

use sync_core::record::RecordId;
use sync_core::storage::QuarantineCause;
use sync_core::transport::HttpResponse;
use sync_tests::world::{CentralEnd, Kind, count, data, get};

use super::{JOIN, credentials, json, post, pull_request, push_request, text};

/// A central server with sites `a` and `b`, a dose, and patient `p`, whom neither sees.
fn central() -> CentralEnd {
    let end = CentralEnd::over(Kind::Memory);
    end.add_site("a");
    end.add_site("b");
    let course = r#"{"id":"course","name":"c","program_id":"x","coverage_rate":1.0,"use_in_gaps_calculations":true,"is_active":true,"wastage_rate":1.0,"can_skip_dose":false}"#;
    end.records.put("vaccine_course", [data(course)]).unwrap();
    let dose =
        r#"{"id":"dose","vaccine_course_id":"course","label":"d","min_age":0.0,"max_age":1.0,"min_interval_days":0}"#;
    end.records.put("vaccine_course_dose", [data(dose)]).unwrap();
    let name = get(&end.records, "name", &names(&end)[0]).unwrap();
    let mut patient: serde_json::Value = serde_json::from_str(&name).unwrap();
    patient["ID"] = "p".into();
    patient["type"] = "patient".into();
    end.records.put("name", [data(&patient.to_string())]).unwrap();
    end
}

fn names(end: &CentralEnd) -> Vec<String> {
    let records = end.storage.read().unwrap().records(&"name".into(), None, 100).unwrap();
    records.into_iter().map(|(id, _)| id.to_string()).collect()
}

fn vaccination(id: &str, store: &str, patient: &str, comment: &str) -> String {
    format!(
        r#"{{"id":"{id}","store_id":"{store}","program_enrolment_id":"e","encounter_id":"e","user_id":"u","vaccine_course_dose_id":"dose","created_datetime":"2025-01-01T00:00:00","vaccination_date":"2025-01-01","given":true,"comment":"{comment}","patient_id":"{patient}"}}"#
    )
}

fn join(id: &str, store: &str, patient: &str) -> String {
    format!(r#"{{"ID":"{id}","store_ID":"{store}","name_ID":"{patient}","inactive":false}}"#)
}

fn push(end: &CentralEnd, site: &str, records: &[(&str, &str, &str)]) {
    json(&end.central.handle(&push_request(&credentials(site), records)));
    end.central.integrate_waiting().unwrap();
}

fn aside(end: &CentralEnd) -> Vec<(String, QuarantineCause, String)> {
    let rows = end.storage.read().unwrap().quarantined(0, 100).unwrap();
    rows.into_iter().map(|(row, why)| (row.incoming.id.to_string(), why.cause, why.reason)).collect()
}

#[test]
fn a_record_of_a_patient_whom_its_site_does_not_see_waits_for_the_join() {
    let end = central();
    push(&end, "b", &[("vaccination", "v", &vaccination("v", "STORE_a", "p", "forged"))]);
    let [(id, cause, reason)] = &aside(&end)[..] else { panic!("{:?}", aside(&end)) };
    assert_eq!((id.as_str(), *cause), ("v", QuarantineCause::Waiting));
    assert!(reason.contains("patient p is not visible"), "{reason}");
    assert_eq!(count(end.storage.as_ref(), "vaccination"), 0);
    // A join of another site does not help, one of its own does.
    push(&end, "a", &[("name_store_join", "ja", &join("ja", "STORE_a", "p"))]);
    assert_eq!(aside(&end).len(), 1);
    push(&end, "b", &[("name_store_join", "jb", &join("jb", "STORE_b", "p"))]);
    assert_eq!(aside(&end), []);
    assert!(get(&end.records, "vaccination", "v").unwrap().contains("forged"));
}

#[test]
fn a_join_in_the_same_push_counts_whatever_their_order() {
    let end = central();
    let v = vaccination("v", "STORE_a", "p", "");
    push(&end, "b", &[("vaccination", "v", &v), ("name_store_join", "j", &join("j", "STORE_b", "p"))]);
    assert_eq!(aside(&end), []);
    assert_eq!(count(end.storage.as_ref(), "vaccination"), 1);
}

#[test]
fn a_site_vouches_for_what_it_wrote_in_its_own_store() {
    let end = central();
    let given =
        vaccination("w", "STORE_a", "p", "").replace(r#""given":true"#, r#""given":true,"given_store_id":"STORE_b""#);
    push(&end, "b", &[("vaccination", "v", &vaccination("v", "STORE_b", "p", "")), ("vaccination", "w", &given)]);
    assert_eq!(aside(&end), []);
    assert_eq!(count(end.storage.as_ref(), "vaccination"), 2);
}

/// The store left the site before the site could know it, and its patients went with it.
#[test]
fn what_was_recorded_in_a_store_before_its_site_could_know_that_it_moved_is_taken() {
    let end = central();
    push(&end, "a", &[("name_store_join", "ja", &join("ja", "STORE_a", "p"))]);
    end.sites.add_store("a", "a", "b", Some("STORE_a".into())).unwrap();
    end.central.integrate_waiting().unwrap();
    let photo = r#"{"id":"photo","table_name":"vaccination","record_id":"v","file_name":"x.jpg","mime_type":null,"created_datetime":"2025-01-01T00:00:00","deleted_datetime":null,"total_bytes":5}"#;
    let unaware = vaccination("v", "STORE_a", "p", "of a");
    push(&end, "a", &[("vaccination", "v", &unaware), ("sync_file_reference", "photo", photo)]);
    assert_eq!(aside(&end), []);
    assert!(
        get(&end.records, "vaccination", "v").is_some() && get(&end.records, "sync_file_reference", "photo").is_some()
    );
    // An edit of what is there is no addition: it waits for a join.
    push(&end, "a", &[("vaccination", "v", &vaccination("v", "STORE_a", "p", "again"))]);
    assert_eq!(aside(&end).len(), 1);
}

/// Each reader would take one of the two keys, and not all the same.
#[test]
fn a_key_in_its_two_spellings_is_refused() {
    let end = central();
    push(&end, "b", &[("name_store_join", "jb", &join("jb", "STORE_b", "p"))]);
    let both = vaccination("v", "STORE_b", "p", "").replacen('{', r#"{"patient_link_id":"q","#, 1);
    push(&end, "b", &[("vaccination", "v", &both)]);
    let [(_, cause, reason)] = &aside(&end)[..] else { panic!("{:?}", aside(&end)) };
    assert_eq!(*cause, QuarantineCause::Malformed);
    assert!(reason.contains("$.patient_id") && reason.contains("one spelling of the key"), "{reason}");
}

#[test]
fn nobody_takes_over_a_record_of_a_patient_whom_it_does_not_see() {
    let end = central();
    push(&end, "a", &[("vaccination", "v", &vaccination("v", "STORE_a", "p", "first"))]);
    push(&end, "b", &[("vaccination", "v", &vaccination("v", "STORE_b", "p", "taken over"))]);
    assert_eq!(aside(&end).len(), 1);
    assert!(get(&end.records, "vaccination", "v").unwrap().contains("first"));
}

#[test]
fn a_store_that_comes_to_a_site_brings_its_patients() {
    let end = central();
    push(&end, "a", &[("name_store_join", "j", &join("j", "STORE_a", "p"))]);
    push(&end, "b", &[("vaccination", "v", &vaccination("v", "STORE_x", "p", ""))]);
    assert_eq!(aside(&end).len(), 1);
    end.sites.add_store("a", "a", "b", Some("STORE_a".into())).unwrap();
    end.central.integrate_waiting().unwrap();
    assert_eq!(aside(&end), []);
}

fn ask_to_join(end: &CentralEnd, site: &str, id: &str, store: &str, patient: &str) -> HttpResponse {
    let body =
        format!(r#"{{"id":"{id}","nameId":"{patient}","storeId":"{store}","syncV5Settings":{}}}"#, credentials(site));
    end.central.handle(&post(JOIN, body))
}

fn patient_pull(end: &CentralEnd, site: &str) -> serde_json::Value {
    let body = format!(
        r#"{{"cursor":0,"batchSize":500,"syncV5Settings":{},"syncV6Version":5,"fetchPatientId":"p"}}"#,
        credentials(site)
    );
    json(&end.central.handle(&post("/central/sync/patient-pull", body)))["data"].clone()
}

#[test]
fn a_patient_who_is_joined_to_a_store_can_be_fetched() {
    let end = central();
    push(&end, "a", &[("vaccination", "v", &vaccination("v", "STORE_a", "p", ""))]);
    assert_eq!(patient_pull(&end, "b")["records"], serde_json::json!([]), "not before");
    let joined = ask_to_join(&end, "b", "j", "STORE_b", "p");
    assert_eq!((joined.status, joined.body.len()), (200, 0));
    let batch = patient_pull(&end, "b");
    assert_eq!(batch["records"][0]["record"]["recordId"], "v");
    assert_eq!((&batch["is_last_batch"], &batch["total_records"]), (&true.into(), &1.into()));
    // The ordinary pull brings it too, although its cursor had passed it.
    let pulled = json(&end.central.handle(&pull_request(&credentials("b"), 0, 500)));
    assert!(pulled.to_string().contains(r#""recordId":"v""#));
    // Once more, under another id: it is there.
    assert_eq!(ask_to_join(&end, "b", "j2", "STORE_b", "p").status, 200);
    assert!(end.storage.read().unwrap().record(&"name_store_join".into(), &RecordId::from("j2")).unwrap().is_none());
}

#[test]
fn who_may_not_join_is_told_so() {
    let end = central();
    assert_eq!(ask_to_join(&end, "a", "j", "STORE_a", "p").status, 200);
    let long = "x".repeat(300);
    for (what, site, id, store, patient, says) in [
        ("another site's store", "b", "k", "STORE_a", "p", "the store is not active on this site"),
        ("a store that nobody knows", "b", "k", "STORE_z", "p", "the store is not active on this site"),
        ("a patient that nobody knows", "b", "k", "STORE_b", "q", "the patient is not known here"),
        ("another join's id", "b", "j", "STORE_b", "p", "another join has this id"),
        ("no id", "b", "", "STORE_b", "p", "the id of the join"),
        ("an id of 300 bytes", "b", &long, "STORE_b", "p", "the id of the join"),
        ("a stranger", "nobody", "k", "STORE_b", "p", "code: 'SiteNameNotFound'"),
    ] {
        let response = ask_to_join(&end, site, id, store, patient);
        assert_eq!(response.status, 500, "{what}");
        assert!(text(&response).starts_with("Internal error: ") && text(&response).contains(says), "{what}");
    }
    assert_eq!(end.central.handle(&post(JOIN, "{}")).status, 400);
    assert_eq!(count(end.storage.as_ref(), "name_store_join"), 1);
}

/// What each rule says of records that are not a site's own: kept aside with the reason, and nothing else is held up.
#[test]
fn what_a_site_may_not_write_is_set_aside_with_its_reason() {
    use QuarantineCause::Refused;
    let end = central();
    let asset = |id: &str, store: &str| sync_tests::world::asset(id, store, "").as_str().to_owned();
    push(&end, "b", &[("asset", "theirs", &asset("theirs", "STORE_b"))]);
    push(
        &end,
        "a",
        &[
            ("asset", "one", &asset("one", "STORE_b")),
            ("asset", "two", &asset("two", "STORE_z")),
            ("asset", "theirs", &asset("theirs", "STORE_a")),
            ("asset_class", "three", r#"{"id":"three","name":"n"}"#),
            ("store", "four", r#"{"ID":"four","sync_id_remote_site":2}"#),
            ("name_store_join", "five", &join("five", "STORE_b", "p")),
            ("asset", "mine", &asset("mine", "STORE_a")),
        ],
    );
    let found = aside(&end);
    let reason = |id: &str| found.iter().find(|(held, ..)| held == id).unwrap_or_else(|| panic!("{id}: {found:?}"));
    for (id, cause, says) in [
        ("one", Refused, "store that is not active on this site"),
        ("two", Refused, "store that is not active on this site"),
        ("theirs", Refused, "store that is not active on this site"),
        ("three", Refused, "only allowed on central"),
        ("four", QuarantineCause::Unsupported, "\"store\" is not known"),
        ("five", Refused, "store that is not active on this site"),
    ] {
        assert_eq!(reason(id).1, cause, "{id}");
        assert!(reason(id).2.contains(says), "{id}: {}", reason(id).2);
    }
    assert_eq!(found.len(), 6);
    assert!(get(&end.records, "asset", "mine").is_some());
    assert!(get(&end.records, "asset", "theirs").unwrap().contains("STORE_b"));
}
