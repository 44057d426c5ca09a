//! Broken sites as they come to a support desk: the fault, who must act, the code, and words of the cure. Each is really
//! broken, and `doctor` really asked; none takes longer than a caller on the phone waits.

use std::time::{Duration, Instant};

use sync_core::protocol::v6::{WireError, encode_error};

use super::super::support::HARDWARE_ID;
use super::{Answer, Ward};

/// The longest that one diagnosis may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The fault, how it is made, the party, the exit status, the code, and words of the verdict.
type Case = (&'static str, fn(&mut Ward), &'static str, i32, &'static str, &'static [&'static str]);

const ALL: &str = "/";

fn told(ward: &Ward, url: &str) {
    let uuid = ward.clinic.json(&["identity"], 0)["site_uuid"].as_str().expect("text").to_owned();
    let site = format!(
        r#"{{"id":"{uuid}","siteId":2,"code":"clinic","name":"clinic","initialisationStatus":"completed","isOmSupplyCentralServer":false,"omSupplyCentralServerUrl":"{url}","mSupplyCentralSiteId":1}}"#
    );
    ward.legacy.instead("/sync/v5/site", Answer::json(200, &site));
}

/// Both servers on one machine, at two ports.
fn on_one_machine(ward: &Ward) {
    let at = format!("http://localhost:{}", ward.legacy.port());
    ward.legacy_at(&at);
}

/// A network without a legacy server: one server for everything.
fn one_server(ward: &Ward) {
    let at = format!("http://localhost:{}", ward.central.port());
    ward.legacy_at(&at);
    ward.central_at(&at);
    ward.central.doing().host = Some(format!("localhost:{}", ward.central.port()));
}

/// The site is removed; its store goes to another one first.
fn remove_site(ward: &Ward) {
    let store = ward.clinic.store.clone();
    ward.at_server(&["site", "add", "other", "--password-file", "pw"]);
    ward.at_server(&["store", "add", "Clinic", "--code", "C", "--site", "other", "--id", &store]);
    ward.at_server(&["site", "remove", "clinic"]);
}

fn legacy_says(ward: &Ward, code: &str) {
    let body = format!(r#"{{"error":{{"code":"{code}","message":"No","data":null}}}}"#);
    ward.legacy.instead("/sync/v5", Answer::json(401, &body));
}

/// A cycle fails, and then all is well again.
fn failed_once(ward: &Ward, at: &str, answer: Answer, status: i32) {
    ward.central.instead(at, answer);
    ward.clinic.put_asset("edited", "while central was ill");
    ward.clinic.desk.run(&["sync", "-q"]).ends(status);
    ward.central.doing().instead.clear();
}

const BROKEN: &[Case] = &[
    (
        "the legacy server is stopped",
        |ward| ward.legacy.shut(),
        "legacy_server",
        4,
        "unreachable",
        &["The problem is with the legacy server", "start it"],
    ),
    ("central is stopped", |ward| ward.central.shut(), "central_server", 4, "unreachable", &["start it"]),
    (
        "both servers are stopped",
        |ward| {
            ward.legacy.shut();
            ward.central.shut();
        },
        "legacy_server",
        4,
        "unreachable",
        &["Another problem is with the central server", "start it"],
    ),
    (
        "there is no line",
        |ward| {
            ward.legacy_at("http://legacy..invalid");
            ward.central_at("http://central..invalid");
        },
        "network",
        4,
        "unreachable",
        &["check the connection"],
    ),
    (
        "every connection is cut",
        |ward| {
            ward.legacy.instead(ALL, Answer::nothing());
            ward.central.instead(ALL, Answer::nothing());
        },
        "network",
        4,
        "cut_off",
        &["The connection broke", "try another network"],
    ),
    (
        "only the legacy server resets connections",
        |ward| ward.legacy.instead(ALL, Answer::nothing()),
        "legacy_server",
        4,
        "cut_off",
        &["The connection broke", "ask its administrator to look at the server"],
    ),
    (
        "the same, on the machine of central",
        |ward| {
            on_one_machine(ward);
            ward.legacy.instead(ALL, Answer::nothing());
        },
        "legacy_server",
        4,
        "cut_off",
        &["The connection broke", "ask its administrator to look at the server"],
    ),
    (
        "only the legacy server's address gives a web page",
        |ward| ward.legacy.instead(ALL, Answer::page(200)),
        "legacy_server",
        3,
        "not_an_msupply_server",
        &["a web page", "answered as the legacy server before"],
    ),
    (
        "the same, on the machine of central",
        |ward| {
            on_one_machine(ward);
            ward.legacy.instead(ALL, Answer::page(200));
        },
        "legacy_server",
        3,
        "not_an_msupply_server",
        &["a web page", "answered as the legacy server before"],
    ),
    (
        "a log-in page of the network",
        |ward| {
            ward.legacy.instead(ALL, Answer::page(200));
            ward.central.instead(ALL, Answer::page(200));
        },
        "network",
        3,
        "not_an_msupply_server",
        &["log in there"],
    ),
    (
        "central's address leads to a web page",
        |ward| {
            on_one_machine(ward);
            ward.central.instead(ALL, Answer::page(200));
        },
        "central_server",
        3,
        "not_an_msupply_server",
        &["a web page", "answered as the central server before"],
    ),
    (
        "central's address leads to the legacy server itself",
        |ward| {
            ward.legacy.instead("/central", Answer::new(500, "text/plain", "Internal error"));
            told(ward, &format!("http://127.0.0.1:{}", ward.legacy.port()));
        },
        "legacy_server",
        4,
        "server_trouble",
        &["that of the legacy server itself", "correct it there"],
    ),
    (
        "central's address leads to a dead port since it was changed",
        |ward| told(ward, "http://localhost:1"),
        "legacy_server",
        4,
        "unreachable",
        &["put the old one back"],
    ),
    (
        "central's address leads to another site",
        |ward| {
            ward.central.instead("/central", Answer::new(405, "text/plain", "Method only allowed on central server."))
        },
        "legacy_server",
        3,
        "not_a_central_server",
        &["Check the central server's address"],
    ),
    (
        "the site was deleted and made again",
        |ward| ward.make_site_anew(),
        "legacy_server",
        3,
        "other_site",
        &["deleted on the legacy server and made again", "put the former site back"],
    ),
    (
        "another password",
        |ward| ward.at_server(&["site", "add", "clinic", "--password-file", "wrong"]),
        "device",
        3,
        "incorrect_password",
        &["oms-sync init` again"],
    ),
    (
        "another machine",
        |ward| ward.take_over("other.sqlite"),
        "legacy_server",
        3,
        "hardware_id_mismatch",
        &["reset the site's hardware id"],
    ),
    (
        "a legacy server that is too old",
        |ward| legacy_says(ward, "api_version_incompatible"),
        "legacy_server",
        5,
        "api_version_incompatible",
        &["Upgrade the server"],
    ),
    (
        "a site without a store",
        |ward| legacy_says(ward, "site_has_no_store"),
        "legacy_server",
        3,
        "site_has_no_store",
        &["make a store active"],
    ),
    (
        "the one server of a network is stopped",
        |ward| {
            one_server(ward);
            ward.central.shut();
        },
        "central_server",
        4,
        "unreachable",
        &["The problem is with the central server", "the central server is stopped"],
    ),
    (
        "the one server of a network does not know the site",
        |ward| {
            one_server(ward);
            remove_site(ward);
        },
        "central_server",
        3,
        "site_name_not_found",
        &["the central server does not know a site named"],
    ),
    (
        "central is paused",
        |ward| ward.at_server(&["pause"]),
        "central_server",
        4,
        "sync_paused",
        &["paused for maintenance", "Nothing to do"],
    ),
    (
        "the last sync failed, and nothing is wrong any more",
        |ward| failed_once(ward, "/central", Answer::page(502), 4),
        "central_server",
        0,
        "server_trouble",
        &["the last sync, at", "status 502", "sync again"],
    ),
    (
        "central reports a fault that no check finds",
        |ward| {
            let error = WireError::OtherServerError("Internal error: a table is locked".to_owned());
            let says = String::from_utf8(encode_error(&error)).expect("JSON");
            failed_once(ward, "/central/sync/push", Answer::json(200, &says), 4);
        },
        "central_server",
        4,
        "peer_error",
        &["the last sync, at", "a table is locked", "server's administrator"],
    ),
    (
        "no sync ever succeeded",
        |ward| ward.clinic.damage("DELETE FROM sync_log"),
        "device",
        0,
        "never_synced",
        &["no sync has succeeded here yet"],
    ),
    (
        "the bytes of a file are gone",
        |ward| {
            ward.clinic.put_asset("fridge", "with a photo");
            ward.clinic.sync(0);
            ward.clinic.desk.run(&["files", "attach", "asset", "fridge", "pw", "-q"]).ends(0);
            ward.clinic.sync(0);
            std::fs::remove_dir_all(ward.clinic.desk.path("oms-sync.sqlite.files")).expect("a folder");
            std::fs::create_dir(ward.clinic.desk.path("oms-sync.sqlite.files")).expect("a folder");
            ward.clinic.desk.run(&["files", "sync", "-q"]);
        },
        "device",
        0,
        "files_stuck",
        &["are gone from this device", "Attach the file to its record again"],
    ),
    (
        "the legacy server takes connections and never answers",
        |ward| ward.legacy.instead(ALL, Answer::never()),
        "legacy_server",
        4,
        "timed_out",
        &["The problem is with the legacy server", "did not answer in time", "whether it hangs"],
    ),
    (
        "central takes connections and never answers",
        |ward| ward.central.instead(ALL, Answer::never()),
        "central_server",
        4,
        "timed_out",
        &["The problem is with the central server", "did not answer in time", "whether it hangs"],
    ),
    (
        "neither server ever answers",
        |ward| {
            ward.legacy.instead(ALL, Answer::never());
            ward.central.instead(ALL, Answer::never());
        },
        "network",
        4,
        "timed_out",
        &["did not answer in time", "a firewall or a proxy on the way"],
    ),
    (
        "a clock that is a year off",
        |ward| {
            let date = Some("Mon, 01 Jan 2024 00:00:00 GMT".to_owned());
            ward.legacy.doing().date.clone_from(&date);
            ward.central.doing().date = date;
        },
        "device",
        6,
        "clock_wrong",
        &["the clock of this machine", "Set date, time"],
    ),
];

#[test]
fn every_broken_site_gets_the_right_verdict_in_time() {
    assert!(BROKEN.len() >= 26, "{}", BROKEN.len());
    let mut wrong = String::new();
    for (what, break_it, party, status, code, words) in BROKEN {
        // Each on its own: what one leaves behind is no fault of the next.
        let mut ward = Ward::new();
        break_it(&mut ward);
        let timed = |args: &[&str]| {
            let began = Instant::now();
            let said = ward.clinic.desk.run(args);
            (said, began.elapsed())
        };
        let (found, first) = timed(&["doctor", "--json"]);
        let (said, second) = timed(&["doctor", "-q"]);
        let (whole, third) = timed(&["doctor"]);
        let took = first.max(second).max(third);
        let json = found.json();
        let is = |key: &str| json[key].as_str().unwrap_or_default().to_owned();
        let verdict = said.out.split_whitespace().collect::<Vec<_>>().join(" ");
        let missing: Vec<_> =
            words.iter().filter(|word| !verdict.to_lowercase().contains(&word.to_lowercase())).collect();
        let met = (is("party"), found.status, json["finding"]["code"].as_str().unwrap_or_default().to_owned());
        if met != ((*party).to_owned(), Some(*status), (*code).to_owned()) || !missing.is_empty() {
            wrong += &format!("{what}: {met:?}, without {missing:?}:\n{}\n", said.out);
        }
        let lines = said.out.lines().count().max(whole.out.lines().count());
        if took > PATIENCE || lines > 5 || !said.err.is_empty() {
            wrong += &format!("{what}: {took:?}, {lines} lines, {:?}:\n{}", said.err, whole.out);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// One server for everything is called the central server: nobody there knows a legacy server that could be at fault.
#[test]
fn a_network_with_one_server_blames_no_legacy_server() {
    type Fault = (&'static str, fn(&mut Ward), &'static [&'static str]);
    let faults: [Fault; 12] = [
        ("it is stopped", |ward| ward.central.shut(), &["the central server is stopped"]),
        ("it cuts connections", |ward| ward.central.instead(ALL, Answer::nothing()), &["connection"]),
        ("it never answers", |ward| ward.central.instead(ALL, Answer::never()), &["did not answer in time"]),
        ("a web page", |ward| ward.central.instead(ALL, Answer::page(200)), &["a web page"]),
        ("trouble", |ward| ward.central.instead(ALL, Answer::page(502)), &["502"]),
        ("the site is removed", |ward| remove_site(ward), &["does not know a site named"]),
        (
            "another password",
            |ward| ward.at_server(&["site", "add", "clinic", "--password-file", "wrong"]),
            &["The password of site"],
        ),
        ("another machine", |ward| ward.take_over("other.sqlite"), &["another machine"]),
        (
            "the site was made again",
            |ward| ward.make_site_anew(),
            &["deleted on the central server and made again", "Ask the administrator of the central server"],
        ),
        ("it is too old", |ward| one_says(ward, "api_version_incompatible"), &["The central server does not accept"]),
        ("the site has no store", |ward| one_says(ward, "site_has_no_store"), &["make a store active"]),
        (
            "this database has lost its stores",
            |ward| ward.clinic.damage("DELETE FROM sync_record WHERE table_name IN ('store', 'name')"),
            &["holds none any more", "the server still has them"],
        ),
    ];
    let mut wrong = String::new();
    for (what, break_it, words) in faults {
        let mut ward = Ward::new();
        one_server(&ward);
        let at = format!("http://localhost:{}", ward.central.port());
        break_it(&mut ward);
        let init = ["init", "--legacy-url", &at, "--site", "clinic", "--password-file", "pw", "--hardware-id"];
        let init = [&init[..], &[HARDWARE_ID, "--allow-http"]].concat();
        for args in [&["doctor"][..], &["sync", "--max-time", "5s"], &["discover"], &init] {
            // The others wait as long as a slow server may take.
            if what.contains("never") && args[0] != "doctor" {
                continue;
            }
            let said = ward.clinic.desk.run(args);
            let said = format!("{}{}", said.out, said.err).split_whitespace().collect::<Vec<_>>().join(" ");
            if said.to_lowercase().contains("legacy server") {
                wrong += &format!("{what}, {}: {said}\n\n", args[0]);
            }
            if args[0] == "doctor" && words.iter().any(|word| !said.contains(word)) {
                wrong += &format!("{what}, without {words:?}: {said}\n\n");
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

fn one_says(ward: &Ward, code: &str) {
    let body = format!(r#"{{"error":{{"code":"{code}","message":"No","data":null}}}}"#);
    ward.central.instead("/sync/v5", Answer::json(401, &body));
}
