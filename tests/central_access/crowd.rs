//! The limits of one peer at central, and how a host keeps slow checks away from known sites.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sync_core::Replica;
use sync_core::central::{Caller, Central, Gate, Handled, UploadHead};
use sync_core::protocol::v5::SiteHeaders;
use sync_core::protocol::{AppIdentity, PasswordHash};
use sync_core::record::SiteId;
use sync_core::storage::{MemoryStorage, Storage};
use sync_core::transport::{HttpRequest, Method};
use sync_tests::world::{CentralEnd, Kind, PASSWORD};

use super::{PUSH, TestClock, credentials, credentials_of, json, post, push_request, refusal, status_request, text};

const HERE: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)));

fn central_with_site_a() -> (Arc<dyn Storage>, Central) {
    let (storage, clock) = (Arc::new(MemoryStorage::new()), Arc::new(TestClock::default()));
    let replica = Replica::builder().clock(clock.clone()).with_storage(storage.clone());
    let sites = replica.site_registry().unwrap();
    sites.add("a", &PasswordHash::of_password(PASSWORD)).unwrap();
    let central = replica.stand_alone_central();
    (storage, central)
}

/// A gate that is open or closed.
struct Open(AtomicBool);

impl Gate for Open {
    fn may_work(&self, site: SiteId) -> bool {
        assert_eq!(site, SiteId(2));
        self.0.load(Ordering::SeqCst)
    }
}

fn caller(is_open: bool) -> Caller {
    Caller { from: HERE, checked: None, gate: Some(Arc::new(Open(is_open.into()))) }
}

#[test]
fn what_takes_a_slow_check_is_put_off_until_the_host_has_made_it() {
    let (_storage, central) = central_with_site_a();
    let request = status_request(&credentials("a"));
    let Handled::Unchecked(check) = central.handle_for(&request, caller(true)) else { panic!("nobody knows it yet") };
    let Handled::Unchecked(same) = central.handle_for(&request, caller(true)) else { panic!("nor now") };
    assert!(check.is_same(&same) && check.site_name() == "a" && check.guilt() == 1);
    let checked = Some(central.check_credentials(&check));
    let Handled::Answered(answered) = central.handle_for(&request, Caller { checked, ..caller(true) }) else {
        panic!()
    };
    assert_eq!(
        (json(&answered.response)["data"]["is_integrating"].as_bool(), answered.site),
        (Some(false), Some(SiteId(2)))
    );
    assert!(matches!(central.handle_for(&request, caller(true)), Handled::Answered(_)), "known from now on");
    assert!(matches!(central.handle_for(&request, caller(false)), Handled::OutOfTurn(SiteId(2))));
}

#[test]
fn a_wrong_password_is_checked_once_for_all_who_ask_the_same_and_counts_once() {
    let (_storage, central) = central_with_site_a();
    let request = status_request(&credentials_of("a", "guess", "m", "2.19.0"));
    let Handled::Unchecked(check) = central.handle_for(&request, caller(true)) else { panic!("it is not checked") };
    let checked = central.check_credentials(&check);
    for _ in 0..30 {
        let caller = Caller { checked: Some(checked.clone()), ..caller(true) };
        let Handled::Answered(answered) = central.handle_for(&request, caller) else { panic!("it was checked") };
        assert!(refusal(&answered.response).contains("code: 'SiteIncorrectPassword'"));
    }
    let Handled::Unchecked(again) = central.handle_for(&request, caller(true)) else { panic!("it may try again") };
    assert_eq!(again.guilt(), 2, "one refusal speaks against it");
    // What was checked of one is nothing to another.
    let other = status_request(&credentials("a"));
    let caller = Caller { checked: Some(checked), ..caller(true) };
    assert!(matches!(central.handle_for(&other, caller), Handled::Unchecked(_)));
}

#[test]
fn names_that_are_no_sites_need_no_slow_check() {
    let (_storage, central) = central_with_site_a();
    let Handled::Answered(answered) = central.handle_for(&status_request(&credentials("made up")), caller(true)) else {
        panic!("the list says so")
    };
    assert!(refusal(&answered.response).contains("code: 'SiteNameNotFound'"));
}

#[test]
fn guesses_under_a_sites_name_do_not_lock_its_machine_out_not_even_after_a_restart() {
    let (storage, central) = central_with_site_a();
    let ask = |central: &Central, credentials: &str| central.answer_to(&status_request(credentials), HERE).response;
    assert!(json(&ask(&central, &credentials("a"))).get("data").is_some(), "its machine is bound");
    let restarted =
        Replica::builder().clock(Arc::new(TestClock::default())).with_storage(storage).stand_alone_central();
    for n in 0..30 {
        refusal(&ask(&restarted, &credentials_of("a", &format!("guess {n}"), &format!("m{n}"), "2.19.0")));
    }
    let waits = refusal(&ask(&restarted, &credentials_of("a", PASSWORD, "m", "2.19.0")));
    assert!(waits.contains("code: 'SiteAuthTimeout'"), "{waits}");
    assert!(json(&ask(&restarted, &credentials("a"))).get("data").is_some());
    // An attacker who knows the machine gets no more guesses than anybody.
    for n in 0..30 {
        refusal(&ask(&restarted, &credentials_of("a", &format!("guess {n}"), "machine-a", "2.19.0")));
    }
    let waits = refusal(&ask(&restarted, &credentials_of("a", "one more", "machine-a", "2.19.0")));
    assert!(waits.contains("code: 'SiteAuthTimeout'"), "{waits}");
    assert!(json(&ask(&restarted, &credentials("a"))).get("data").is_some(), "what was right lately passes");
}

/// Requests with only a name and a password count as from any machine.
#[test]
fn guesses_where_no_machine_is_named_do_not_lock_the_sites_machine_out() {
    for gated in [false, true] {
        let (storage, central) = central_with_site_a();
        let comes_in = |central: &Central| {
            json(&central.answer_to(&status_request(&credentials("a")), HERE).response).get("data").is_some()
        };
        assert!(comes_in(&central), "its machine is bound");
        let restarted =
            Replica::builder().clock(Arc::new(TestClock::default())).with_storage(storage).stand_alone_central();
        let find = |password: &str| {
            let headers = SiteHeaders {
                site_name: "a".to_owned(),
                password: PasswordHash::of_password(password),
                hardware_id: String::new(),
                app: AppIdentity::default(),
                version: 14,
            };
            let request = HttpRequest {
                method: Method::Get,
                url: "/api/v4/patient?limit=1".to_owned(),
                headers: headers.to_headers(),
                body: Vec::new(),
            };
            if !gated {
                return restarted.answer_to(&request, HERE).response.status;
            }
            let checked = match restarted.handle_for(&request, caller(true)) {
                Handled::Answered(answered) => return answered.response.status,
                Handled::Unchecked(check) => Some(restarted.check_credentials(&check)),
                Handled::OutOfTurn(_) => panic!("it has its turn"),
            };
            match restarted.handle_for(&request, Caller { checked, ..caller(true) }) {
                Handled::Answered(answered) => answered.response.status,
                other => panic!("it was checked: {other:?}"),
            }
        };
        for n in 0..10 {
            assert_eq!(find(&format!("guess {n}")), 401);
        }
        assert_eq!(find(PASSWORD), 429);
        assert!(comes_in(&restarted));
        assert_eq!(find(PASSWORD), 200, "what was right lately passes");
    }
}

#[test]
fn a_push_with_too_many_records_or_losses_is_refused_with_413_and_takes_nothing() {
    let end = CentralEnd::over(Kind::Memory);
    end.add_site("a");
    let records: Vec<(&str, &str, &str)> = vec![("asset", "x", r#"{"id":"x","store_id":"STORE_a"}"#); 10_001];
    let refused = end.central.handle(&push_request(&credentials("a"), &records));
    assert_eq!(
        (refused.status, text(&refused).as_str()),
        (413, "The push has 10001 records; at most 10000 are taken.")
    );
    let losses = |number| {
        let lost = vec![r#"{"after":1,"before":2}"#; number].join(",");
        let credentials = credentials("a");
        post(
            PUSH,
            format!(
                r#"{{"batch":{{"end_cursor":1,"total_records":0,"records":[],"is_last_batch":true,"lost_history":[{lost}]}},"syncV5Settings":{credentials},"syncV6Version":5}}"#
            ),
        )
    };
    assert_eq!(end.central.handle(&losses(1001)).status, 413);
    assert!(json(&end.central.handle(&losses(1000))).get("data").is_some());
}

#[test]
fn lists_of_the_legacy_half_have_their_limits_too() {
    let end = CentralEnd::over(Kind::Memory);
    end.add_site("a");
    let headers = sync_core::protocol::v5::SiteHeaders {
        site_name: "a".to_owned(),
        password: PasswordHash::of_password(PASSWORD),
        hardware_id: "machine-a".to_owned(),
        app: sync_core::protocol::AppIdentity::default(),
        version: 14,
    };
    let ask = |path: &str, body: String| {
        let (url, headers) = (path.to_owned(), headers.to_headers());
        end.central.handle(&HttpRequest { method: Method::Post, url, headers, body: body.into_bytes() })
    };
    let ids = |number| format!(r#"{{"syncIDs":[{}]}}"#, vec![r#""1""#; number].join(","));
    assert_eq!(ask("/sync/v5/acknowledged_records", ids(10_001)).status, 413);
    assert_eq!(ask("/sync/v5/acknowledged_records", ids(10_000)).status, 204);
    let record = r#"{"syncOutId":"1","tableName":"item_line","recordId":"x","action":"update","recordData":{}}"#;
    let push = |number| format!(r#"{{"queueLength":0,"data":[{}]}}"#, vec![record; number].join(","));
    assert_eq!(ask("/sync/v5/queued_records", push(10_001)).status, 413);
    assert_eq!(ask("/sync/v5/queued_records", push(2)).status, 200);
}

#[test]
fn the_beginning_of_an_upload_tells_who_brings_it() {
    let (_storage, central) = central_with_site_a();
    let kind = Some("multipart/form-data; boundary=b");
    let json = format!(r#"{{"file_id":"x","sync_v5_settings":{},"sync_v6_version":5}}"#, credentials("a"));
    let part = format!(
        "--b\r\nContent-Disposition: form-data; name=\"json_part\"\r\nContent-Type: application/json\r\n\r\n{json}\r\n--b\r\n"
    );
    let head = |bytes: &[u8]| central.upload_head(kind, bytes, caller(true));
    for end in [0, 10, 50, part.len() - 6] {
        assert!(matches!(head(&part.as_bytes()[..end]), UploadHead::More), "{end}");
    }
    let UploadHead::Unchecked(check) = head(part.as_bytes()) else { panic!("it is whole") };
    central.check_credentials(&check);
    assert!(matches!(head(part.as_bytes()), UploadHead::Checked(_)));
    // A small file may come first, in as many pieces as the line makes of it; of a large one nothing is kept.
    let file_first = |bytes: usize| {
        let file = "--b\r\nContent-Disposition: form-data; name=\"file_part\"; filename=\"x\"\r\n\r\n";
        format!("{file}{}\r\n{part}", "x".repeat(bytes))
    };
    let small = file_first(64 * 1024);
    for end in [1, 60, 100, 40_000, 64 * 1024, small.len() - part.len(), small.len() - 10] {
        assert!(matches!(head(&small.as_bytes()[..end]), UploadHead::More), "{end}");
    }
    assert!(matches!(head(small.as_bytes()), UploadHead::Checked(_)));
    assert!(matches!(head(file_first(64 * 1024 + 1).as_bytes()), UploadHead::Other));
    assert!(matches!(central.upload_head(Some("text/plain"), part.as_bytes(), caller(true)), UploadHead::Other));
}
