//! Sites of Open mSupply 3.x, over HTTP.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use sync_core::protocol::PasswordHash;

use super::central;
use super::client::ask;
use super::support::{HARDWARE_ID, PASSWORD};

#[test]
fn both_a_new_site_and_an_upgraded_one_learn_that_the_server_speaks_v6() {
    let (_desk, server) = central(&[]);
    let token = br#"{"version":{"major":3,"minor":0,"patch":0,"pre_release":null},"name":"clinic","passwordSha256":"0","hardwareId":"m"}"#;
    let v7 = ["authorization: Bearer t", "hardware-id: m", "app-version: 3.0.0"]
        .map(|h| h.split_once(": ").unwrap_or((h, "")));
    for (name, headers, body) in [("get_token", &[][..], &token[..]), ("site_status", &v7[..], b"null")] {
        let told = ask(&server.address, "POST", &format!("/central/sync_v7/{name}"), headers, body);
        assert_eq!(told.status, 200, "{told:?}");
        let said = told.json()["Err"]["Other"].to_string();
        assert!(said.contains("speaks the sync protocol V6"), "{said}");
    }
    let login =
        format!("Basic {}", STANDARD.encode(format!("clinic:{}", PasswordHash::of_password(PASSWORD).expose())));
    let headers = [
        ("authorization", login.as_str()),
        ("msupply-site-uuid", HARDWARE_ID),
        ("version", "15"),
        ("app-version", "3.0.0"),
        ("app-name", "Open mSupply Desktop"),
    ];
    assert_eq!(ask(&server.address, "GET", "/sync/v5/site", &headers, b"").status, 200);
    let stays = ask(&server.address, "GET", "/sync/v5/v7_url_and_upgrade", &headers, b"");
    assert_eq!((stays.status, &stays.json()["error"]["code"]), (503, &"stores_not_migrated".into()), "{stays:?}");
    server.stop().ends(0);
}

#[test]
fn a_pause_is_told_to_each_release_in_its_way_until_it_is_over() {
    let (desk, server) = central(&["--paused"]);
    let credentials = |release: &str| {
        json!({ "serverUrl": "", "username": "clinic", "passwordSha256": PasswordHash::of_password(PASSWORD).expose(),
                "siteUuid": HARDWARE_ID, "appVersion": release, "appName": "Open mSupply Desktop", "syncVersion": "14" })
    };
    let pull = |release: &str| {
        let body = json!({ "cursor": 0, "batchSize": 1, "isInitialised": true, "syncV6Version": 5,
                           "syncV5Settings": credentials(release) });
        let json = ("content-type", "application/json");
        ask(&server.address, "POST", "/central/sync/pull", &[json], body.to_string().as_bytes()).json()
    };
    let is_paused = |answer: &serde_json::Value| answer["error"].to_string().to_lowercase().contains("paused");
    assert_eq!(pull("3.2.0")["error"], "syncApiPaused");
    for release in ["2.0.0", "2.19.0", "3.1.0"] {
        let error = &pull(release)["error"]["otherServerError"];
        assert!(error.as_str().is_some_and(|text| text.starts_with("The central server is paused")), "{error}");
    }
    let status = json!({ "syncV6Version": 5, "syncV5Settings": credentials("3.2.0") });
    let json = ("content-type", "application/json");
    let status = ask(&server.address, "POST", "/central/sync/site_status", &[json], status.to_string().as_bytes());
    assert_eq!(status.json()["data"]["is_sync_api_paused"], true, "{status:?}");
    let login =
        format!("Basic {}", STANDARD.encode(format!("clinic:{}", PasswordHash::of_password(PASSWORD).expose())));
    let headers = [("authorization", login.as_str()), ("msupply-site-uuid", HARDWARE_ID), ("version", "15")];
    for path in ["/sync/v5/central_records?cursor=0&limit=1", "/sync/v5/queued_records?limit=1"] {
        let over_v5 = ask(&server.address, "GET", path, &headers, b"");
        assert_eq!(
            (over_v5.status, &over_v5.json()["error"]["code"]),
            (503, &"sync_api_paused".into()),
            "{path}: {over_v5:?}"
        );
    }
    let file = json!({ "tableName": "asset", "recordId": "a", "id": "f", "syncV6Version": 5, "syncV5Settings": credentials("3.2.0") });
    let file = ask(&server.address, "POST", "/central/sync/download_file", &[json], file.to_string().as_bytes());
    assert_eq!(file.status, 503, "{file:?}");
    assert_eq!(desk.run(&["--db", "central.sqlite", "status", "--json"]).ends(0).json()["paused"], true);
    assert_eq!(desk.run(&["--db", "central.sqlite", "resume", "--json"]).ends(0).json()["was_paused"], true);
    assert!(!is_paused(&pull("3.2.0")) && !is_paused(&pull("2.19.0")));
    desk.run(&["--db", "central.sqlite", "pause"]).ends(0);
    assert!(is_paused(&pull("3.2.0")) && is_paused(&pull("2.19.0")));
    server.stop().ends(0);
}
