//! Sites of Open mSupply 3.x, over HTTP.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
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
