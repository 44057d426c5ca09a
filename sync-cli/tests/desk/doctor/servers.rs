//! Servers that are away, are something else, or refuse the site.

use sync_core::protocol::v6::{WireError, encode_error};

use super::super::front::Front;
use super::{ADDRESS_PASSWORD, Answer, Says, Ward, holds, of};

const EVERYTHING: &str = "/";

/// The fault, how it is made, and the expected result.
type Case = (&'static str, fn(&mut Ward), Says);

#[test]
fn servers_that_take_a_connection_and_never_answer() {
    let ward = Ward::new();
    let silent = |party, check| of(party, 4, check, "timed_out", &["did not answer in time", "slow"]);
    ward.central.instead(EVERYTHING, Answer::never());
    // Long enough for the other server on a slow day.
    let central = silent("central_server", "central server");
    ward.doctor_asked(&[], &["--max-time", "10s"], "central never answers", &central);
    ward.legacy.instead(EVERYTHING, Answer::never());
    let both = silent("network", "legacy server");
    let found = ward.doctor_asked(&[], &["--max-time", "1s"], "neither answers", &both);
    let all = found["checks"].as_array().expect("checks");
    for (name, outcome) in [("legacy connection", "ok"), ("legacy sign-in", "not_checked"), ("central server", "fault")]
    {
        assert_eq!(all.iter().find(|check| check["name"] == name).expect(name)["outcome"], outcome, "{found:#}");
    }
    ward.clinic.desk.run(&["doctor", "--max-time", "0"]).ends(2);
}

/// Makes one fault after the other, and heals it again.
fn each(cases: &[Case]) {
    let mut ward = Ward::new();
    for (what, break_it, says) in cases {
        break_it(&mut ward);
        ward.doctor(what, says);
        ward.heal();
        ward.doctor(&format!("{what}, and healed"), &of("nobody", 0, "", "", &["No problem found. Everything"]));
    }
}

fn html(ward: &mut Ward, status: u16) {
    ward.legacy.instead(EVERYTHING, Answer::page(status));
    ward.central.instead(EVERYTHING, Answer::page(status));
}

fn legacy_says(ward: &mut Ward, code: &str) {
    let body = format!(r#"{{"error":{{"code":"{code}","message":"No","data":null}}}}"#);
    ward.legacy.instead("/sync/v5", Answer::json(401, &body));
}

fn central_says(ward: &mut Ward, error: &WireError) {
    let says = String::from_utf8(encode_error(error)).expect("JSON");
    ward.central.instead("/central", Answer::json(200, &says));
}

/// The legacy server's address of central.
fn told(ward: &mut Ward, url: &str) {
    let site = format!(
        r#"{{"id":"{}","siteId":2,"code":"clinic","name":"clinic","initialisationStatus":"completed","isOmSupplyCentralServer":false,"omSupplyCentralServerUrl":"{url}","mSupplyCentralSiteId":1}}"#,
        ward.clinic.json(&["identity"], 0)["site_uuid"].as_str().expect("text"),
    );
    ward.legacy.instead("/sync/v5/site", Answer::json(200, &site));
}

#[test]
fn everything_is_checked_in_order() {
    let ward = Ward::new();
    let found = ward.doctor("well", &of("nobody", 0, "", "", &["No problem found. Everything"]));
    let names: Vec<&str> =
        found["checks"].as_array().expect("a list").iter().filter_map(|check| check["name"].as_str()).collect();
    let server = |of: &str, last: [&str; 2]| {
        ["name lookup", "connection", "TLS", "server", last[0], last[1]].map(|what| format!("{of} {what}"))
    };
    let expected = [
        &["database", "integrity", "disk space", "settings", "copies"].map(str::to_owned)[..],
        &server("legacy", ["sign-in", "version"]),
        &["identity", "central address"].map(str::to_owned),
        &server("central", ["version", "sign-in"]),
        &["clock", "dispensary mode", "cursors", "quarantine", "refused by central", "files", "last sync", "alarms"]
            .map(str::to_owned),
    ];
    assert_eq!(names, expected.concat());
    let mut outcomes = found["checks"].as_array().expect("a list").iter().map(|check| &check["outcome"]);
    assert!(outcomes.all(|outcome| outcome == "ok"), "{found:#}");
}

#[test]
fn servers_that_are_not_there() {
    each(&[
        (
            "the legacy server is stopped",
            |ward| ward.legacy.shut(),
            of(
                "legacy_server",
                4,
                "legacy connection",
                "unreachable",
                &["stopped, or this is not its port", "start it, and check"],
            ),
        ),
        (
            "central is stopped",
            |ward| ward.central.shut(),
            of(
                "central_server",
                4,
                "central connection",
                "unreachable",
                &["stopped, or this is not its port", "start it, and check"],
            ),
        ),
        (
            "no name is known, so there is no line",
            |ward| {
                ward.legacy_at("http://legacy..invalid");
                ward.central_at("http://central..invalid");
            },
            of(
                "network",
                4,
                "legacy name lookup",
                "unreachable",
                &["The name legacy..invalid", "check the connection"],
            ),
        ),
        (
            "the legacy server's name is not known",
            |ward| ward.legacy_at("http://legacy..invalid"),
            of(
                "legacy_server",
                4,
                "legacy name lookup",
                "unreachable",
                &["The name legacy..invalid", "check the name"],
            ),
        ),
        (
            "a proxy before central has nothing behind it",
            |ward| ward.central.instead(EVERYTHING, Answer::page(502)),
            of("central_server", 4, "central server", "server_trouble", &["status 502", "try again later"]),
        ),
        (
            "central hangs up without a word",
            |ward| ward.central.instead(EVERYTHING, Answer::nothing()),
            of("central_server", 4, "central server", "cut_off", &["sync again"]),
        ),
        (
            "every connection is cut",
            |ward| {
                ward.legacy.instead(EVERYTHING, Answer::nothing());
                ward.central.instead(EVERYTHING, Answer::nothing());
            },
            of("network", 4, "legacy server", "cut_off", &["The connection broke"]),
        ),
        (
            "the legacy server fails",
            |ward| ward.legacy.instead(EVERYTHING, Answer::new(500, "text/plain", "out of memory")),
            of("legacy_server", 4, "legacy server", "server_trouble", &["status 500", "tell its administrator"]),
        ),
    ]);
}

#[test]
fn something_else_answers() {
    each(&[
        (
            "the log-in page of the network",
            |ward| html(ward, 200),
            of(
                "network",
                3,
                "legacy server",
                "not_an_msupply_server",
                &["a web page", "open any web page", "log in there"],
            ),
        ),
        (
            "the network sends to its log-in page",
            |ward| {
                ward.legacy.instead(EVERYTHING, Answer::redirect("http://hotel.example.org/login"));
                ward.central.instead(EVERYTHING, Answer::redirect("http://hotel.example.org/login"));
            },
            of(
                "network",
                3,
                "legacy server",
                "not_an_msupply_server",
                &["a redirection to http://hotel", "log in there"],
            ),
        ),
        (
            "the network asks for a log-in in the words of HTTP",
            |ward| html(ward, 511),
            of("network", 3, "legacy server", "not_an_msupply_server", &["status 511", "log in there"]),
        ),
        (
            "a web page at central's address, while the legacy server is well",
            |ward| ward.central.instead(EVERYTHING, Answer::page(200)),
            of(
                "central_server",
                3,
                "central server",
                "not_an_msupply_server",
                &["a web page", "answered as the central server before", "a proxy before it"],
            ),
        ),
        (
            "a web page at the legacy server's address, while central is well",
            |ward| ward.legacy.instead(EVERYTHING, Answer::page(200)),
            of(
                "legacy_server",
                3,
                "legacy server",
                "not_an_msupply_server",
                &["a web page", "answered as the legacy server before", "a proxy before it"],
            ),
        ),
        (
            "the port of some other program",
            |ward| ward.legacy.instead(EVERYTHING, Answer::new(404, "text/plain", "no")),
            of(
                "legacy_server",
                3,
                "legacy server",
                "not_an_msupply_server",
                &["no such page", "answered as the legacy server before"],
            ),
        ),
        (
            "https asked of a port that speaks http",
            |ward| ward.legacy_at(&format!("https://127.0.0.1:{}", ward.legacy.port())),
            of("device", 3, "legacy TLS", "wrong_scheme", &["Write http:// instead of https://", "oms-sync init"]),
        ),
        (
            "http, and the server sends to https",
            |ward| {
                let to = format!("https://127.0.0.1:{}/sync/v5/site", ward.legacy.port());
                ward.legacy.instead(EVERYTHING, Answer::redirect(&to));
            },
            of("device", 3, "legacy server", "wrong_scheme", &["Write https:// instead of http://", "oms-sync init"]),
        ),
        (
            "https asked of a central that speaks http",
            |ward| told(ward, &format!("https://localhost:{}", ward.central.port())),
            of(
                "legacy_server",
                3,
                "central TLS",
                "wrong_scheme",
                &["Write http://", "the legacy server's administrator"],
            ),
        ),
    ]);
}

#[test]
fn a_site_that_is_not_let_in() {
    each(&[
        (
            "another password",
            |ward| ward.at_server(&["site", "add", "clinic", "--password-file", "wrong"]),
            of("device", 3, "legacy sign-in", "incorrect_password", &["oms-sync init` again with the password"]),
        ),
        (
            "another machine",
            |ward| ward.take_over("other.sqlite"),
            of("legacy_server", 3, "legacy sign-in", "hardware_id_mismatch", &["reset the site's hardware id"]),
        ),
        (
            "a site without a store",
            |ward| legacy_says(ward, "site_has_no_store"),
            of("legacy_server", 3, "legacy sign-in", "site_has_no_store", &["make a store active on this site"]),
        ),
        (
            "central knows another password",
            |ward| {
                let url = "http://other.example.org/";
                central_says(ward, &WireError::flatten_legacy(url, 401, "Unauthorized", "SiteIncorrectPassword", "No"));
            },
            of(
                "central_server",
                3,
                "central sign-in",
                "incorrect_password",
                &["lets this site in", "Ask central's administrator"],
            ),
        ),
        (
            "central does not reach the legacy server",
            |ward| {
                let text = "Internal error: Sync api error -> [\n \"Connection problem\",\n]".to_owned();
                central_says(ward, &WireError::OtherServerError(text));
            },
            of("central_server", 4, "central sign-in", "central_cannot_reach_legacy", &["between the two servers"]),
        ),
        (
            "a legacy server of another version",
            |ward| legacy_says(ward, "api_version_incompatible"),
            of("legacy_server", 5, "legacy version", "api_version_incompatible", &["Upgrade the server"]),
        ),
        (
            "a central that is older",
            |ward| central_says(ward, &WireError::SyncVersionMismatch(0, 4, 5)),
            of("central_server", 5, "central version", "v6_version_incompatible", &["Upgrade the older end"]),
        ),
        (
            "a central that is too new",
            |ward| central_says(ward, &WireError::SyncVersionMismatch(6, 7, 5)),
            of("device", 5, "central version", "v6_version_incompatible", &["Upgrade the older end"]),
        ),
        (
            "a central that has not integrated yet",
            |ward| {
                let says = r#"{"error":"integrationInProgress"}"#;
                ward.central.instead("/central/sync/pull", Answer::json(200, says));
            },
            of(
                "central_server",
                0,
                "cursors",
                "integration_in_progress",
                &["No fault found, but", "Sync again in a minute"],
            ),
        ),
        (
            "another database of the site that was just set up",
            |ward| {
                let error = encode_error(&WireError::copy_undecided("2026-11-23T08:00:00.000Z"));
                let says = String::from_utf8(error).expect("text");
                ward.central.instead("/central/sync/pull", Answer::json(200, &says));
            },
            of(
                "device",
                4,
                "cursors",
                "copy_undecided",
                &["database of site \"clinic\" was set up at", "stop this one"],
            ),
        ),
    ]);
}

#[test]
fn a_site_that_was_removed_and_one_that_took_its_place() {
    let ward = Ward::new();
    let store = ward.clinic.store.clone();
    ward.at_server(&["site", "add", "other", "--password-file", "pw"]);
    ward.at_server(&["store", "add", "Clinic", "--code", "C", "--site", "other", "--id", &store]);
    ward.at_server(&["site", "remove", "clinic"]);
    let unknown =
        &["does not know", "It was there at", "deleted or renamed", "ask its administrator", "Nothing is lost"];
    ward.doctor("removed", &of("legacy_server", 3, "legacy sign-in", "site_name_not_found", unknown));
    ward.at_server(&["site", "add", "clinic", "--password-file", "pw"]);
    ward.at_server(&["store", "add", "Clinic", "--code", "C", "--site", "clinic", "--id", &store]);
    ward.doctor("back", &of("nobody", 0, "", "", &["No problem found"]));
    ward.make_site_anew();
    let sync = ward.clinic.desk.run(&["sync", "-q"]).ends(3);
    let words =
        ["another site \"clinic\", with the number 2", "what was not pushed is kept here", "put the former one back"];
    holds(&sync.err, &words);
    let other = &["deleted on the legacy server and made again", "put the former site back"];
    ward.doctor("replaced", &of("legacy_server", 3, "identity", "other_site", other));
}

#[test]
fn addresses_of_central_that_are_wrong() {
    each(&[
        (
            "none",
            |ward| told(ward, ""),
            of(
                "legacy_server",
                3,
                "central address",
                "central_url_missing",
                &["Ask the legacy server's administrator to enter"],
            ),
        ),
        (
            "no address",
            |ward| told(ward, "oms.example.org"),
            of("legacy_server", 3, "central address", "invalid_url", &["Give an address like https://"]),
        ),
        (
            "with a password in it",
            |ward| told(ward, &format!("https://me:{ADDRESS_PASSWORD}@oms.example.org")),
            of("legacy_server", 3, "central address", "invalid_url", &["without user name or password"]),
        ),
        (
            "the legacy server itself",
            |ward| {
                ward.legacy.instead("/central", Answer::new(404, "text/plain", "Not found"));
                told(ward, &format!("http://127.0.0.1:{}", ward.legacy.port()));
            },
            of(
                "legacy_server",
                3,
                "central server",
                "not_an_msupply_server",
                &["no such page", "Central's address is that of the legacy server itself"],
            ),
        ),
        (
            "a remote site",
            |ward| {
                let no = "Method only allowed on central server.";
                ward.central.instead("/central", Answer::new(405, "text/plain", no));
            },
            of("legacy_server", 3, "central server", "not_a_central_server", &["Check the central server's address"]),
        ),
        (
            "another than before",
            |ward| told(ward, &format!("http://127.0.0.1:{}", ward.central.port())),
            of(
                "legacy_server",
                0,
                "central address",
                "other_central_url",
                &["If central has moved", "before anybody syncs"],
            ),
        ),
        (
            "another than before, which had a password in it",
            |ward| ward.central_at(&format!("https://me:{ADDRESS_PASSWORD}@oms.example.org")),
            of("legacy_server", 0, "central address", "other_central_url", &["here \"https://…@oms.example.org\""]),
        ),
        (
            "a path at its end that is dropped",
            |ward| {
                told(ward, &format!("http://localhost:{}/sync", ward.central.port()));
                ward.central_at(&format!("http://localhost:{}/sync", ward.central.port()));
            },
            of(
                "legacy_server",
                0,
                "central address",
                "central_url_unusual",
                &["Ask the legacy server's administrator to correct"],
            ),
        ),
    ]);
}

/// A sync took the address over, so the database and the legacy server agree on it.
#[test]
fn an_address_that_changed_since_central_answered_last() {
    let mut ward = Ward::new();
    let mut closed = Front::before(&ward.clinic.server.address);
    told(&mut ward, &format!("http://localhost:{}", closed.port()));
    closed.shut();
    let words = |words| of("legacy_server", 4, "central connection", "unreachable", words);
    ward.doctor("before a sync", &words(&["put the old one back before anybody syncs"]));
    ward.clinic.sync(4);
    ward.doctor("after it", &words(&["Central answered last at http://localhost:", "put that address back"]));
    ward.legacy.doing().instead.clear();
    ward.clinic.sync(0);
    ward.doctor("put back", &of("nobody", 0, "", "", &[]));
}

/// Nobody forbade http, but it is only for a server on the site's own machine, which central was.
#[test]
fn a_central_that_moves_to_another_host_without_tls() {
    let mut ward = Ward::new();
    ward.clinic.damage("UPDATE sync_state SET value = '1' WHERE key = 'https_only'");
    told(&mut ward, "http://oms.example.org");
    let words = &["new address, on another host than before,", "may use http only with a server on its own machine"];
    ward.doctor("moved", &of("legacy_server", 3, "central address", "https_required", words));
    let failed = ward.clinic.sync(3);
    assert!(failed["error"]["message"].as_str().is_some_and(|said| said.contains(words[0])), "{failed:#}");
}

/// Answers in V7 from now on, as Open mSupply 3.x answers somebody without a token.
fn answers_in_v7(front: &Front) {
    front.instead("/central/sync_v7", Answer::json(200, r#"{"Err":{"MissingAuthHeader":"missing header"}}"#));
}

fn lacks(front: &Front, path: &str) {
    front.instead(path, Answer::new(404, "text/plain", ""));
}

#[test]
fn servers_of_release_3() {
    each(&[
        (
            "an address where a 3.x server speaks V7 alone",
            |ward| {
                lacks(&ward.legacy, "/sync/v5");
                lacks(&ward.legacy, "/central/sync/");
                answers_in_v7(&ward.legacy);
            },
            of("device", 3, "legacy server", "speaks_v7_only", &["speaks V7 only", "address of a legacy server"]),
        ),
        (
            "the address of a 3.x central server that still speaks V6, in place of the legacy server's",
            |ward| {
                lacks(&ward.legacy, "/sync/v5");
                answers_in_v7(&ward.legacy);
            },
            of(
                "device",
                3,
                "legacy server",
                "central_of_release_3",
                &["still speaks V6", "address of the legacy server"],
            ),
        ),
        (
            "a 3.x central server that speaks V6 no more",
            |ward| {
                lacks(&ward.central, "/central/sync/");
                answers_in_v7(&ward.central);
            },
            of(
                "central_server",
                3,
                "central server",
                "speaks_v7_only",
                &["speaks V7 only", "Ask central's administrator to let it speak V6 again", "Nothing is lost"],
            ),
        ),
    ]);
    let ward = Ward::new();
    answers_in_v7(&ward.central);
    ward.doctor("a 3.x central server that speaks both", &of("nobody", 0, "", "", &["No problem found"]));
    let all = ward.clinic.desk.run(&["doctor", "-v"]).ends(0).out;
    holds(&all, &["the server is of Open mSupply 3.x, and speaks V7 too"]);
    // A cycle says the same as doctor.
    lacks(&ward.central, "/central/sync/");
    let failed = ward.clinic.sync(3);
    assert_eq!(failed["error"]["code"], "speaks_v7_only", "{failed:#}");
    let steps: Vec<_> = failed["steps"].as_array().expect("steps").iter().map(|step| &step["error"]).collect();
    assert!(steps.iter().all(|code| **code != "not_an_msupply_server"), "{failed:#}");
    assert_eq!(ward.clinic.json(&["discover"], 3)["error"]["code"], "speaks_v7_only");
    ward.central.doing().instead.clear();
    lacks(&ward.legacy, "/sync/v5");
    answers_in_v7(&ward.legacy);
    assert_eq!(ward.clinic.json(&["discover"], 3)["error"]["code"], "central_of_release_3");
}

/// The address of each server is the one at which it has always answered, so nobody entered a wrong one.
#[test]
fn something_else_at_an_address_that_has_not_changed() {
    type Other = (&'static str, fn() -> Answer);
    let others: [Other; 4] = [
        ("a page", || Answer::page(200)),
        ("a redirection", || Answer::redirect("http://web.example.org/login")),
        ("no such page", || Answer::new(404, "text/plain", "no")),
        ("an empty answer", || Answer::new(200, "text/plain", "")),
    ];
    let mut ward = Ward::new();
    for (what, other) in others {
        for (party, name) in [("legacy_server", "the legacy server"), ("central_server", "the central server")] {
            let front = if party == "legacy_server" { &ward.legacy } else { &ward.central };
            front.instead(EVERYTHING, other());
            let found = ward.clinic.desk.run(&["doctor", "--json"]).json();
            assert_eq!(found["party"], party, "{what} in place of {name}: {found:#}");
            let advice = found["finding"]["advice"].as_str().unwrap_or_default();
            let is_unreadable = found["finding"]["code"] == "unreadable_answer";
            assert!(is_unreadable || advice.contains(&format!("answered as {name} before")), "{what}: {advice}");
            ward.heal();
        }
    }
}

/// A cycle takes the legacy server's own address over as central's: that makes it no central server.
#[test]
fn the_legacy_server_names_itself_as_central_before_and_after_a_sync() {
    let mut ward = Ward::new();
    ward.legacy.instead("/central", Answer::new(404, "text/plain", "Not found"));
    let itself = format!("http://127.0.0.1:{}", ward.legacy.port());
    told(&mut ward, &itself);
    let says = || {
        let words = &["no such page", "Central's address is that of the legacy server itself"];
        of("legacy_server", 3, "central server", "not_an_msupply_server", words)
    };
    ward.doctor("before a sync", &says());
    ward.clinic.sync(3);
    ward.doctor("after a sync", &says());
    // Central never answered this site.
    ward.clinic.damage("DELETE FROM sync_state WHERE key = 'central_url_answered'");
    ward.doctor("before central answered once", &says());

    // Another kind of web server.
    ward.heal();
    let other = Front::before(&ward.clinic.server.address);
    other.instead(EVERYTHING, Answer::new(501, "text/html", "<h1>Unsupported method</h1>"));
    told(&mut ward, &format!("http://localhost:{}", other.port()));
    let words = |words| of("legacy_server", 4, "central server", "server_trouble", words);
    ward.doctor("a web server, before a sync", &words(&["status 501", "put the old one back"]));
    ward.clinic.sync(4);
    ward.doctor("a web server, after a sync", &words(&["status 501", "put that address back"]));
}

/// Each server has a fault of its own: both are named, each once, in words and not by the name of a check.
#[test]
fn two_servers_that_are_ill_in_two_ways() {
    type Fault = (&'static str, fn(&mut Front));
    const SILENT: Fault = ("silent", |front| front.instead(EVERYTHING, Answer::never()));
    const CUT: Fault = ("cut off", |front| front.instead(EVERYTHING, Answer::nothing()));
    const PAGE: Fault = ("a page", |front| front.instead(EVERYTHING, Answer::page(200)));
    const TROUBLE: Fault = ("502", |front| front.instead(EVERYTHING, Answer::page(502)));
    const NO_PAGE: Fault = ("404", |front| front.instead(EVERYTHING, Answer::new(404, "text/plain", "no")));
    const SHUT: Fault = ("shut", Front::shut);
    let pairs = [
        (SILENT, CUT, "its answer was cut off|was cut off"),
        (SILENT, PAGE, "something else answers|it sent a web page"),
        (TROUBLE, PAGE, "something else answers|it sent a web page"),
        (TROUBLE, TROUBLE, "status 502|trouble (5xx)"),
        (SHUT, SHUT, "nothing takes connections"),
        (NO_PAGE, NO_PAGE, "something else answers|no such page"),
        (SHUT, CUT, "was cut off"),
        (CUT, PAGE, "something else answers|it sent a web page"),
    ];
    let mut wrong = String::new();
    for (legacy, central, words) in pairs {
        for is_one_machine in [false, true] {
            let mut ward = Ward::new();
            if is_one_machine {
                ward.legacy_at(&format!("http://localhost:{}", ward.legacy.port()));
            }
            (legacy.1)(&mut ward.legacy);
            (central.1)(&mut ward.central);
            let said = ward.clinic.desk.run(&["doctor", "-q"]).out.split_whitespace().collect::<Vec<_>>().join(" ");
            let first = said.starts_with("The problem is with the legacy server. ");
            let second = said.split_once("Another problem is with the central server: ").map_or("", |(_, rest)| rest);
            if !first || !words.split('|').any(|words| second.contains(words)) || second.contains("Another problem") {
                wrong += &format!("{} and {}, {is_one_machine}: {said}\n", legacy.0, central.0);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");

    // One server that answers each question with another fault is named once.
    let ward = Ward::new();
    let at = format!("http://localhost:{}", ward.central.port());
    ward.legacy_at(&at);
    ward.central_at(&at);
    ward.central.instead(EVERYTHING, Answer::json(200, r#"{"not": "known"}"#));
    let said = ward.clinic.desk.run(&["doctor", "-q"]).out;
    assert_eq!(said.matches("central server. ").count() + said.matches("Another problem").count(), 1, "{said}");
}

/// What failed the last sync is found by a check of its own as long as it lasts, so it has passed.
#[test]
fn a_fault_that_has_passed_blames_nobody() {
    type Fault = (&'static str, fn(&mut Ward), i32);
    let faults: [Fault; 9] = [
        ("a page of the legacy server", |ward| ward.legacy.instead(EVERYTHING, Answer::page(200)), 3),
        ("a page of central", |ward| ward.central.instead(EVERYTHING, Answer::page(200)), 3),
        ("404 of the legacy server", |ward| ward.legacy.instead(EVERYTHING, Answer::new(404, "text/plain", "no")), 3),
        ("404 of central", |ward| ward.central.instead(EVERYTHING, Answer::new(404, "text/plain", "no")), 3),
        ("an empty answer", |ward| ward.legacy.instead(EVERYTHING, Answer::new(200, "text/plain", "")), 3),
        ("a proxy wants a password", |ward| ward.legacy.instead(EVERYTHING, Answer::page(407)), 3),
        (
            "unreadable JSON of the legacy server",
            |ward| {
                ward.legacy.instead(EVERYTHING, Answer::json(200, r#"{"not": "known"}"#));
            },
            4,
        ),
        (
            "unreadable JSON of central",
            |ward| {
                ward.central.instead(EVERYTHING, Answer::json(200, r#"{"not": "known"}"#));
            },
            4,
        ),
        (
            "another password, put back",
            |ward| {
                ward.at_server(&["site", "set-password", "clinic", "--password-file", "wrong"]);
            },
            3,
        ),
    ];
    let mut wrong = String::new();
    for (what, break_it, status) in faults {
        let mut ward = Ward::new();
        break_it(&mut ward);
        ward.clinic.desk.run(&["sync", "-q"]).ends(status);
        ward.legacy.doing().instead.clear();
        ward.central.doing().instead.clear();
        ward.at_server(&["site", "set-password", "clinic", "--password-file", "pw"]);
        let ran = ward.clinic.desk.run(&["doctor", "-q"]);
        let said = ran.out.split_whitespace().collect::<Vec<_>>().join(" ");
        let passed = said.starts_with("No fault found, ") && said.contains("Nothing is wrong any more that could be");
        if !passed || ran.status != Some(0) {
            wrong += &format!("{what}: {:?}, {said}\n", ran.status);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
