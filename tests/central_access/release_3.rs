//! Sites of Open mSupply 3.x at a central server that speaks V5 and V6.

use sync_core::central::Endpoint;
use sync_core::protocol::v5::{SiteHeaders, path};
use sync_core::protocol::{AppIdentity, PasswordHash};
use sync_core::record::SiteId;
use sync_core::transport::{HttpRequest, HttpResponse, Method};
use sync_tests::world::{CentralEnd, Kind, PASSWORD};

use super::{json, post};

fn v5(end: &CentralEnd, path: &str, password: &str) -> HttpResponse {
    let headers = SiteHeaders {
        site_name: "a".to_owned(),
        password: PasswordHash::of_password(password),
        hardware_id: "machine-a".to_owned(),
        app: AppIdentity::new("3.0.0", "Open mSupply Desktop").expect("a release"),
        version: 15,
    };
    end.central.handle(&HttpRequest { method: Method::Get, headers: headers.to_headers(), ..post(path, "") })
}

#[test]
fn a_new_one_is_told_in_its_own_envelope_what_this_server_speaks() {
    let end = CentralEnd::over(Kind::Memory);
    let names =
        ["get_token", "site_status", "pull", "push", "patient_search", "patient_data_for_site", "download_file"];
    for name in names {
        for body in ["null", "", "{"] {
            let handled = end.central.answer_to(&post(&format!("/central/sync_v7/{name}"), body), None);
            assert_eq!(handled.endpoint, Endpoint::V7);
            assert_eq!((handled.site, handled.error), (None::<SiteId>, Some("other")));
            assert_eq!(handled.response.status, 200, "{name}");
            let answer = json(&handled.response);
            assert_eq!(answer.as_object().map(serde_json::Map::len), Some(1), "{answer}");
            let said = answer["Err"]["Other"].as_str().unwrap_or_default();
            assert!(said.contains("V6 (versions 0 to 5)") && said.contains("Open mSupply 2.x"), "{answer}");
        }
    }
}

#[test]
fn an_upgraded_one_is_answered_and_stays_with_v6() {
    let end = CentralEnd::over(Kind::Memory);
    end.add_site("a");
    assert_eq!(v5(&end, path::SITE, PASSWORD).status, 200, "version 15");
    let stays = v5(&end, path::V7_URL_AND_UPGRADE, PASSWORD);
    let answer: serde_json::Value = serde_json::from_slice(&stays.body).unwrap();
    assert_eq!((stays.status, &answer["error"]["code"]), (503, &"stores_not_migrated".into()), "{answer}");
    let said = answer["error"]["message"].as_str().unwrap_or_default();
    assert!(said.contains("does not speak V7") && said.contains("data was synchronised"), "{answer}");
    assert_eq!(v5(&end, path::V7_URL_AND_UPGRADE, "guess").status, 401, "only a site that may sign in");
}
