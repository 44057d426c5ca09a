//! `identity`: the identity of a database, and the advice for disagreements.

use serde_json::json;

use super::bundled::unpacked;
use super::support::{IN_ADDRESS, assert_no_secret};
use super::{Clinic, holds};

#[test]
fn who_this_is_without_a_secret() {
    let clinic = Clinic::new();
    let found = clinic.json(&["identity"], 0);
    assert_eq!(
        (&found["role"], &found["site_id"], &found["site_name"]),
        (&json!("remote"), &json!(2), &json!("clinic"))
    );
    assert_eq!(
        (&found["stores"][0]["store_id"], &found["stores"][0]["store_code"]),
        (&json!(clinic.store), &json!("C"))
    );
    assert_eq!((&found["hardware_id"], &found["versions"]["v6"]), (&json!("mach…"), &json!(5)));
    assert_eq!((&found["known_servers"]["one_server"], &found["disagreements"]), (&json!(true), &json!([])));
    let said = clinic.says(&["identity"], 0);
    holds(&said, &["site clinic", "hardware id mach… (shortened)", "(the same server)", "C Clinic", "V6 5"]);
    assert_eq!(clinic.json(&["identity", "--ask"], 0)["disagreements"], json!([]));
    clinic.json(&["--db", "central.sqlite", "identity"], 0);
}

#[test]
fn what_does_not_agree_says_what_to_do() {
    let clinic = Clinic::new();
    clinic.damage("UPDATE sync_state SET value = '' WHERE key = 'central_url'");
    let said = clinic.says(&["identity"], 3);
    holds(&said, &["does not agree [central_url_missing]", "then run `oms-sync discover`"]);
    // The database is a copy of another site's, or was changed by hand.
    clinic.damage("UPDATE sync_state SET value = 'another' WHERE key = 'site_uuid'");
    let asked = clinic.json(&["identity", "--ask"], 3);
    let codes: Vec<_> = asked["disagreements"].as_array().expect("a list").iter().map(|found| &found["code"]).collect();
    assert_eq!(codes, ["central_url_missing", "other_site", "other_central_url"]);
    holds(&clinic.says(&["identity", "--ask"], 3), &["These credentials are another site's"]);
    let state = clinic.json(&["identity"], 3);
    assert_eq!(state["site_uuid"], "another", "what the server says is not taken over");

    clinic.desk.run(&["--db", "central.sqlite", "site", "add", "clinic", "--password-file", "wrong"]).ends(0);
    assert_eq!(clinic.json(&["identity", "--ask"], 3)["error"]["code"], "incorrect_password");
}

#[test]
fn an_address_with_a_password_in_it_is_shown_without() {
    let clinic = Clinic::new();
    let plant = |key: &str, address: &str| {
        clinic.damage(&format!("UPDATE sync_state SET value = '{address}' WHERE key = '{key}'"));
    };
    let with_password = format!("https://me:{IN_ADDRESS}@oms.example.org");
    plant("central_url", &with_password);
    for (args, status) in [(&["status"][..], 0), (&["identity"], 3), (&["identity", "--ask"], 3), (&["discover"], 0)] {
        let said = clinic.desk.run(args).ends(status);
        assert!(said.out.contains("https://…@oms.example.org"), "{said:?}");
    }
    // Each run is searched for the password, whatever its output.
    const COMMANDS: [&str; 12] = [
        "status",
        "identity",
        "identity --ask",
        "doctor",
        "net --max-time 1s",
        "sync",
        "discover",
        "preview push",
        "preview pull",
        "log show",
        "audit",
        "bundle --list",
    ];
    for key in ["central_url", "legacy_url"] {
        for command in COMMANDS {
            plant(key, &with_password);
            for way in [&[][..], &["-v"], &["--json"]] {
                clinic.desk.run(&[&command.split(' ').collect::<Vec<_>>(), way].concat());
            }
        }
        plant(key, &with_password);
        let file = format!("{key}.tar.gz");
        clinic.desk.run(&["bundle", &file, "--offline"]).ends(0);
        let parts = unpacked(&clinic.desk.path(&file));
        parts.values().for_each(|text| assert_no_secret(text));
        assert!(parts["settings.json"].contains("https://…@oms.example.org"), "{}", parts["settings.json"]);
    }
}
