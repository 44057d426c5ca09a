//! The list of sites: who is in it, how each is, and how an administrator changes it.

use serde_json::{Value, json};

use crate::central;
use crate::files::sent;
use crate::support::{Desk, HARDWARE_ID};

fn listed(desk: &Desk, more: &[&str], status: i32) -> Vec<Value> {
    desk.run(&[&["--db", "central.sqlite", "site", "list", "--json"], more].concat()).ends(status).json_lines()
}

#[test]
fn the_list_says_how_each_site_is_and_alarms_for_those_that_stay_away() {
    let (desk, server, _file) = sent(100, &[]);
    desk.run(&["--db", "central.sqlite", "site", "add", "depot", "--password-file", "pw"]).ends(0);
    server.stop().ends(0);
    let sites = listed(&desk, &[], 0);
    let [clinic, depot] = &sites[..] else { panic!("{sites:?}") };
    assert_eq!(
        (&clinic["site_name"], &clinic["bound"], &clinic["refused"]),
        (&json!("clinic"), &json!(true), &json!(0))
    );
    assert!(clinic["seen_at"].is_string() && clinic["pulled_at"].is_string() && clinic["pushed_at"].is_string());
    assert!(!clinic["version"].as_str().expect("text").is_empty());
    assert_eq!(
        (&depot["site_name"], &depot["seen_at"], &depot["bound"]),
        (&json!("depot"), &json!(null), &json!(false))
    );
    let table = desk.run(&["--db", "central.sqlite", "site", "list"]).ends(0).out;
    assert!(table.lines().any(|line| line.contains("depot") && line.contains("never")), "{table}");

    let silent = listed(&desk, &["--max-age", "1d"], 1);
    assert_eq!((silent.len(), &silent[0]["site_name"]), (1, &json!("depot")));
    desk.run(&["--db", "central.sqlite", "site", "remove", "depot"]).ends(0);
    assert!(listed(&desk, &["--max-age", "1d"], 0).is_empty());
    let back = desk.run(&["--db", "central.sqlite", "site", "add", "depot", "--password-file", "pw"]).ends(0);
    assert!(back.out.contains(&format!("is back with the site id that it had, {}", silent[0]["site_id"])), "{back:?}");
}

#[test]
fn the_list_names_the_sites_of_which_two_copies_run() {
    let (desk, server, _file) = sent(100, &[]);
    let table = || desk.run(&["--db", "central.sqlite", "site", "list"]).ends(0);
    assert!(!table().out.contains("COPY") && listed(&desk, &[], 0)[0]["copy_refused_at"].is_null());
    // The clinic's machine is copied with all its files, and both copies go on.
    for end in ["", "-wal", "-shm", ".watermark"] {
        let from = desk.path(&format!("oms-sync.sqlite{end}"));
        if from.exists() {
            std::fs::copy(from, desk.path(&format!("copy.sqlite{end}"))).expect("a copy");
        }
    }
    let class = r#"{"id":"A","store_id":"S","notes":"","created_datetime":"2026-01-01T00:00:00","modified_datetime":"2026-01-01T00:00:00"}"#;
    let store =
        desk.run(&["identity", "--json"]).ends(0).json()["stores"][0]["store_id"].as_str().expect("a store").to_owned();
    for (db, ends) in [("oms-sync.sqlite", 0), ("copy.sqlite", 3)] {
        let asset = class.replace("\"S\"", &format!("\"{store}\"")).replace("\"A\"", &format!("\"{db}\""));
        std::fs::write(desk.path("asset.json"), asset).expect("a file");
        desk.run(&["--db", db, "records", "put", "asset", "asset.json"]).ends(0);
        desk.run(&["--db", db, "sync", "-q"]).ends(ends);
    }
    let at = |path: &str| crate::client::get(&server.address, path);
    let site = at("/status.json").json()["sites"][0].clone();
    let refused_at = site["copy_refused_at"].as_str().unwrap_or_else(|| panic!("{site}")).to_owned();
    let metrics = at("/metrics/sites").text();
    assert!(
        metrics.contains("oms_sync_site_copy_refused_timestamp_seconds{site=\"2\",name=\"clinic\"} 1"),
        "{metrics}"
    );
    let page = at("/?show=attention").text();
    assert!(page.contains("another copy of it was refused") && page.contains("Need attention (1)"), "{page}");
    // The copy asks again and again; the log has the first time.
    desk.run(&["--db", "copy.sqlite", "sync", "-q"]).ends(3);
    server.stop().ends(0);
    let entries = desk.run(&["--db", "central.sqlite", "log", "list", "--json"]).ends(0).json_lines();
    let noted: Vec<_> = entries.iter().filter(|entry| entry["outcome"] == "refused").collect();
    assert_eq!((noted.len(), &noted[0]["started_at"]), (1, &json!(refused_at)), "{entries:?}");
    let shown = desk.run(&["--db", "central.sqlite", "log", "show", &noted[0]["number"].to_string()]).ends(0).out;
    let shown = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(shown.contains("another copy of the database of site 2 (clinic) was refused"), "{shown}");
    assert!(listed(&desk, &[], 0)[0]["copy_refused_at"].is_string());
    let said = table();
    assert!(
        said.out.contains("COPY") && said.err.contains("Site \"clinic\": two copies of its database run"),
        "{said:?}"
    );
    let status = desk.run(&["--db", "central.sqlite", "status"]).ends(0);
    assert!(status.out.contains("two copies of the database of site clinic run"), "{status:?}");

    // A new password and a new set-up do not end the alarm: the copy that was refused may still hold edits.
    desk.run(&["--db", "central.sqlite", "site", "set-password", "clinic", "--password-file", "pw"]).ends(0);
    let server = desk.serve("central.sqlite");
    std::fs::remove_file(desk.path("oms-sync.sqlite")).expect("removed");
    let init = ["init", "--legacy-url", &server.address, "--site", "clinic", "--password-file", "pw"];
    desk.run(&[&init[..], &["--hardware-id", HARDWARE_ID]].concat()).ends(0);
    for _ in 0..2 {
        desk.run(&["sync", "-q"]).ends(0);
    }
    server.stop().ends(0);
    assert_eq!(listed(&desk, &[], 0)[0]["copy_refused_at"].as_str().map(|at| at >= refused_at.as_str()), Some(true));
}

#[test]
fn a_table_of_sites_is_imported_once() {
    let desk = Desk::new();
    std::fs::write(
        desk.path("sites.csv"),
        "site,store_code,store_name\nclinic,C,Clinic\nclinic,W,Ward\ndepot,D,Depot\n",
    )
    .expect("a table");
    let import = ["--db", "central.sqlite", "site", "import", "sites.csv", "--passwords", "passwords.csv", "--json"];
    let done = desk.run(&import).ends(0).json();
    assert_eq!((&done["sites_added"], &done["stores_changed"]), (&json!(2), &json!(3)));
    let written = std::fs::read_to_string(desk.path("passwords.csv")).expect("the passwords");
    let again = desk.run(&import).ends(0).json();
    assert_eq!((&again["sites_added"], &again["stores_changed"]), (&json!(0), &json!(0)), "nothing is left to do");
    assert_eq!(std::fs::read_to_string(desk.path("passwords.csv")).expect("the passwords"), written);

    // The password works.
    let line = written.lines().find_map(|line| line.strip_prefix("clinic,")).expect("the clinic's");
    let (password, made_at) = line.split_once(',').expect("two columns");
    assert!(made_at.starts_with("20"), "{written}");
    std::fs::write(desk.path("pw.clinic"), password).expect("a file");
    let server = desk.serve("central.sqlite");
    let init = ["init", "--legacy-url", &server.address, "--site", "clinic", "--password-file", "pw.clinic"];
    desk.run(&[&init[..], &["--hardware-id", HARDWARE_ID]].concat()).ends(0);
    desk.run(&["sync", "-q"]).ends(0);
    assert_eq!(desk.run(&["identity", "--json"]).ends(0).json()["stores"].as_array().expect("stores").len(), 2);
    server.stop().ends(0);

    std::fs::write(desk.path("sites.csv"), "site,store_code,store_name\ndepot,W,\n").expect("a table");
    assert_eq!(desk.run(&import).ends(0).json()["stores_changed"], 1, "the ward moved");
    std::fs::write(desk.path("sites.csv"), "site,store_code\n,X\n").expect("a table");
    assert_eq!(desk.run(&import).ends(2).error().0, "bad_input");
    std::fs::write(desk.path("sites.csv"), "site,store_code,store_name\nnew,N,New\nnew,SM,Supervisor\n")
        .expect("a table");
    let refused = desk.run(&import).ends(2);
    assert!(refused.out.contains("choose another code"), "{refused:?}");
    assert!(listed(&desk, &[], 0).iter().all(|site| site["site_name"] != "new"), "nothing of the table is added");
}

#[test]
fn a_table_with_a_wrong_line_changes_nothing_and_makes_no_database() {
    let desk = Desk::new();
    let import = |table: &str, passwords: &str| {
        std::fs::write(desk.path("sites.csv"), format!("site,store_code,store_name\n{table}")).expect("a table");
        desk.run(&["--db", "central.sqlite", "site", "import", "sites.csv", "--passwords", passwords, "--json"])
    };
    let refused = import("a,A,Good\nb,B,\nc,C,Three\n", "passwords.csv").ends(2);
    assert!(refused.out.contains("sites.csv, line 3: a store's name"), "{refused:?}");
    import("a,A,Good\n", "nowhere/passwords.csv").ends(6);
    for made in ["central.sqlite", "passwords.csv"] {
        assert!(!desk.path(made).exists(), "{made}");
    }
    import("a,A,Good\n", "passwords.csv").ends(0);
    import("b,,\nc:d,,\n", "passwords.csv").ends(2);
    // A password in it may have been changed since: a later import has a file of its own.
    let there = import("b,,\n", "passwords.csv").ends(2);
    assert!(there.out.contains("name another file"), "{there:?}");
    assert_eq!(listed(&desk, &[], 0).len(), 1, "nothing of a refused table is added");
    // A store that is there keeps its name, so the table need not have it.
    assert_eq!(import("b,A,\n", "more.csv").ends(0).json()["stores_changed"], 1);
}

#[test]
fn a_site_leaves_its_stores_to_another_and_a_password_is_changed() {
    let (desk, server, _file) = sent(100, &[]);
    let administer = |args: &[&str]| desk.run(&[&["--db", "central.sqlite"], args].concat());
    administer(&["site", "add", "district", "--password-file", "pw"]).ends(0);
    administer(&["site", "remove", "clinic"]).ends(2);
    administer(&["site", "remove", "clinic", "--move-stores-to", "clinic"]).ends(2);
    administer(&["site", "remove", "clinic", "--move-stores-to", "nowhere"]).ends(2);
    administer(&["site", "remove", "clinic", "--move-stores-to", "district"]).ends(0);
    let stores = administer(&["store", "list", "--json"]).ends(0).json();
    let district = listed(&desk, &[], 0)[0].clone();
    assert_eq!((&stores["site_id"], &stores["name"]), (&district["site_id"], &json!("Clinic")));

    // The new site gets what the former one had.
    let init = ["--db", "d.sqlite", "init", "--legacy-url", &server.address, "--site", "district"];
    desk.run(&[&init[..], &["--password-file", "pw", "--hardware-id", HARDWARE_ID]].concat()).ends(0);
    desk.run(&["--db", "d.sqlite", "sync", "-q"]).ends(0);
    desk.run(&["--db", "d.sqlite", "records", "get", "asset", "a"]).ends(0);

    std::fs::write(desk.path("new"), "a new password of the district").expect("a file");
    administer(&["site", "set-password", "nowhere", "--password-file", "new"]).ends(2);
    administer(&["site", "set-password", "district", "--password-file", "new"]).ends(0);
    assert_eq!(desk.run(&["--db", "d.sqlite", "sync", "--json"]).ends(3).error().0, "incorrect_password");
    server.stop().ends(0);
}

/// Someone tries a wrong password under the name of a site.
#[test]
fn failed_sign_ins_are_told_per_site() {
    let (desk, server) = central(&[]);
    std::fs::write(desk.path("wrong"), "not the password").expect("a file");
    let init = ["init", "--legacy-url", &server.address, "--site", "clinic", "--hardware-id", HARDWARE_ID];
    desk.run(&[&init[..], &["--password-file", "wrong"]].concat()).ends(3);
    desk.run(&[&["init", "--legacy-url", &server.address, "--site", "nobody", "--password-file", "pw"][..]].concat())
        .ends(3);
    let at = |path: &str| crate::client::get(&server.address, path);
    let site = at("/status.json").json()["sites"][0].clone();
    let failed = site["failed_sign_ins"].as_u64().expect("a number");
    assert!(failed >= 1 && site["sign_in_failed_at"].is_string(), "{site}");
    let metrics = at("/metrics/sites").text();
    let family = format!("oms_sync_site_failed_sign_ins{{site=\"2\",name=\"clinic\"}} {failed}");
    assert!(metrics.contains(&family) && !metrics.contains("nobody"), "{metrics}");
    let page = at("/").text();
    let last =
        format!("<b>{failed}</b> <small><time datetime=\"{}\"", site["sign_in_failed_at"].as_str().expect("a time"));
    assert!(page.contains("sign-in fails</span> <small><time ") && page.contains(&last), "the page: {page}");
    server.stop().ends(0);
    let sites = listed(&desk, &[], 0);
    assert_eq!((sites.len(), &sites[0]["failed_sign_ins"]), (1, &json!(failed)), "it outlives a restart");
    let table = desk.run(&["--db", "central.sqlite", "site", "list"]).ends(0).out;
    assert!(table.contains("FAILED") && table.contains(&format!(" {failed} (")), "with the time of the last: {table}");

    // The next visit of the site ends the alarm of the page; the count stays.
    let server = desk.serve("central.sqlite");
    let from = ["--site", "clinic", "--password-file", "pw", "--hardware-id", HARDWARE_ID];
    desk.run(&[&["init", "--legacy-url", &server.address][..], &from].concat()).ends(0);
    desk.run(&["sync", "-q"]).ends(0);
    // What the page shows may be some seconds old.
    let page = || crate::client::get(&server.address, "/").text();
    for _ in 0..100 {
        if !page().contains("sign-in fails") {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let page = page();
    assert!(!page.contains("sign-in fails") && page.contains("Failed sign-ins"), "{page}");
    server.stop().ends(0);
}

#[test]
fn a_store_without_records_is_removed_and_the_log_says_who_did_what() {
    let (desk, server, _file) = sent(100, &[]);
    let administer = |args: &[&str]| desk.run(&[&["--db", "central.sqlite"], args].concat());
    let kept = administer(&["store", "remove", "STORE", "--json"]).ends(2).json();
    assert!(kept["error"]["message"].to_string().contains("records belong to store"), "{kept}");
    administer(&["store", "add", "Mistake", "--code", "M", "--site", "clinic", "--id", "MISTAKE"]).ends(0);
    desk.run(&["sync", "-q"]).ends(0);
    let stores = || desk.run(&["identity", "--json"]).ends(0).json()["stores"].to_string();
    assert!(stores().contains("MISTAKE"), "{}", stores());
    administer(&["store", "remove", "MISTAKE"]).ends(0);
    assert_eq!(administer(&["store", "remove", "MISTAKE", "--json"]).ends(2).error().0, "not_found");
    let listed = administer(&["store", "list", "--json"]).ends(0).json_lines();
    assert_eq!((listed.len(), &listed[0]["site_name"]), (1, &json!("clinic")), "{listed:?}");
    desk.run(&["sync", "-q"]).ends(0);
    assert!(!stores().contains("MISTAKE"), "the site heard of it: {}", stores());

    administer(&["pause"]).ends(0);
    administer(&["resume"]).ends(0);
    let log = administer(&["log", "list", "--json"]).ends(0).json_lines();
    let did: Vec<&str> = log.iter().filter_map(|entry| entry["repair"]["command"].as_str()).collect();
    let expected = [
        "resume",
        "pause",
        "store remove MISTAKE",
        "store add Mistake --code M --site clinic --id MISTAKE",
        "store add Clinic --code C --site clinic --id STORE",
        "site add clinic",
    ];
    assert_eq!(did, expected);
    let shown = administer(&["log", "show", "3"]).ends(0).out;
    assert!(shown.contains("changed at") && shown.contains("store MISTAKE is removed"), "{shown}");
    // Where a number stands, the name stands beside it.
    let changes = administer(&["changelog"]).ends(0).out;
    assert!(changes.contains("site 2 (clinic)"), "{changes}");
    server.stop().ends(0);
}

#[test]
fn one_database_is_served_once_and_a_wrong_path_starts_no_server() {
    let (desk, server) = central(&[]);
    let serve = ["--db", "central.sqlite", "serve", "--listen", "127.0.0.1:0", "--json"];
    // It passes once the first one has ended, so it is no fault of the flags: a service tries again.
    let second = desk.run(&serve).ends(7);
    assert_eq!(second.error(), ("served_already".to_owned(), "busy".to_owned()));
    let holder = format!("central.sqlite is served already by another process (process {})", server.id());
    assert!(second.out.contains(&holder), "{second:?}");
    desk.run(&["--db", "other.sqlite", "site", "add", "clinic", "--password-file", "pw"]).ends(0);
    let address = server.socket_address().to_string();
    let taken = desk.run(&["--db", "other.sqlite", "serve", "--listen", &address, "--json"]).ends(6);
    assert_eq!(taken.error().0, "address_unavailable");
    assert!(taken.out.contains("another program uses it"), "{taken:?}");
    server.stop().ends(0);
    let other = ["--db", "centrl.sqlite", "serve", "--listen", "127.0.0.1:0", "--json"];
    let refused = desk.run(&other).ends(3);
    assert_eq!(refused.error().0, "no_database");
    let advice = refused.json()["error"]["advice"].to_string();
    assert!(advice.contains("site add") && advice.contains("--create"), "of a central server too: {advice}");
    assert!(!desk.path("centrl.sqlite").exists());
    desk.serve_with("centrl.sqlite", &["--create"]).stop().ends(0);
    desk.serve("central.sqlite").stop().ends(0);
}

#[test]
fn a_person_who_opens_the_address_of_the_sites_is_told_what_it_is() {
    let (_desk, server) = central(&["--behind-proxy"]);
    let reply = crate::client::get(&server.address, "/");
    assert_eq!(reply.status, 404);
    assert!(reply.text().contains("Open mSupply central server"), "{}", reply.text());
}

/// The same for scripts and for Prometheus, at the server itself.
#[test]
fn the_state_of_each_site_is_a_document_and_a_page_of_metrics() {
    let (_desk, server, _file) = sent(100, &[]);
    let status = crate::client::get(&server.address, "/status.json").json();
    assert_eq!(
        (&status["sites"][0]["site_name"], &status["sites"][0]["refused"]),
        (&json!("clinic"), &json!(0)),
        "{status}"
    );
    assert!(status["sites"][0]["seen_at"].is_string() && status["disk"].is_string(), "{status}");
    let metrics = crate::client::get(&server.address, "/metrics/sites").text();
    let seen = metrics.lines().find(|line| line.starts_with("oms_sync_site_seen_timestamp_seconds{")).expect("a value");
    assert!(seen.contains(r#"name="clinic""#), "{seen}");
    server.stop().ends(0);

    let (_desk, server) = central(&["--behind-proxy"]);
    for page in ["/status.json", "/metrics/sites"] {
        assert_eq!(
            crate::client::get(&server.address, page).status,
            404,
            "only this machine without a proxy gets {page}"
        );
    }
}

#[test]
fn the_page_draws_the_last_day() {
    let (_desk, server, _file) = sent(100, &[]);
    let page = crate::client::get(&server.address, "/").text();
    for plot in ["requests", "records", "errors", "p99", "waiting"] {
        assert!(page.contains(&format!("id=\"plot-{plot}\"")), "{plot}");
    }
    assert!(page.contains("<path d=\"M287 40v-40.0h1V40z\"/>"), "the requests of now: {page}");
    assert!(page.contains("http-equiv=\"refresh\""));
    let searched = crate::client::get(&server.address, "/?name=cl").text();
    assert!(!searched.contains("http-equiv=\"refresh\""), "what is being typed is not lost");
    server.stop().ends(0);
}

/// What nobody reads would be lost silently.
#[test]
fn a_table_with_an_unknown_column_is_refused() {
    let desk = Desk::new();
    for (head, says) in [
        ("site,Store_Code,store_name", "there is no column \\\"Store_Code\\\"; did you mean store_code?"),
        ("site,store_code,store_nam", "did you mean store_name?"),
        ("site,store code,store_name", "did you mean store_code?"),
    ] {
        std::fs::write(desk.path("sites.csv"), format!("{head}\nw3,W3,Ward\n")).expect("a table");
        let import = ["--db", "central.sqlite", "site", "import", "sites.csv", "--passwords", "p.csv", "--json"];
        let refused = desk.run(&import).ends(2);
        assert!(refused.out.contains(says), "{head}: {refused:?}");
        assert!(!desk.path("p.csv").exists() && !desk.path("central.sqlite").exists(), "{head}");
    }
    std::fs::write(desk.path("sites.csv"), "site,store_code,store_name,region\nw3,W3,Ward,North\n").expect("a table");
    let said = desk.run(&["--db", "central.sqlite", "site", "import", "sites.csv", "--passwords", "p.csv"]).ends(0);
    assert!(said.err.contains("the column \"region\" is not read"), "{said:?}");
}
