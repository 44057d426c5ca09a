//! Mistakes of the first day: mistyped paths and names, and the damage that the program must not do.

use std::process::Stdio;

use serde_json::json;

use super::support::{Desk, HARDWARE_ID, PASSWORD};
use super::{Clinic, holds};

#[test]
fn a_database_that_is_not_there_is_named_and_not_made() {
    let desk = Desk::new();
    for command in ["status", "sync", "doctor", "log list", "records list asset", "site list", "store list", "audit"] {
        let words: Vec<&str> = ["--db", "typo.sqlite"].into_iter().chain(command.split(' ')).collect();
        let said = desk.run(&[&words[..], &["--json"]].concat()).ends(3);
        assert!(said.out.contains("no_database") && said.out.contains("typo.sqlite"), "{command}: {said:?}");
        assert!(!desk.path("typo.sqlite").exists(), "{command} made a database");
    }
    desk.run(&["init", "--legacy-url", "http://127.0.0.1:1", "--site", "x", "--password-file", "pw"]).ends(4);
    let left: Vec<_> =
        std::fs::read_dir(desk.path(".")).expect("a folder").map(|f| f.expect("f").file_name()).collect();
    assert_eq!(left.len(), 2, "only the password files: {left:?}");
}

#[test]
fn the_advice_on_a_wrong_password_can_be_typed_as_it_stands() {
    let clinic = Clinic::new();
    let desk = &clinic.desk;
    std::fs::write(desk.path("new"), "another one\n").expect("a password file");
    desk.run(&["--db", "central.sqlite", "site", "set-password", "clinic", "--password-file", "new"]).ends(0);
    let refused = desk.run(&["sync", "--json", "-q"]).ends(3).json();
    let advice = refused["error"]["advice"].to_string();
    holds(&advice, &["Run `oms-sync init` again with the password that the server has", "needs nothing else"]);
    let said = desk.run(&["init", "--password-file", "new"]).ends(0);
    holds(&said.out, &["oms-sync.sqlite is set up as site \"clinic\""]);
    desk.run(&["sync", "-q"]).ends(0);
    // A new database knows neither, and is not made.
    for given in [&[][..], &["--site", "clinic"], &["--legacy-url", &clinic.server.address]] {
        let none = desk.run(&[&["--db", "none.sqlite", "init", "--password-file", "new"][..], given].concat()).ends(2);
        holds(&none.err, &["none.sqlite is not set up as a site yet: give --legacy-url and --site"]);
        assert!(!desk.path("none.sqlite").exists());
    }
    let central = desk.run(&["--db", "central.sqlite", "init", "--password-file", "new"]).ends(2);
    holds(&central.err, &["central.sqlite is not set up as a site yet"]);
}

/// Runs the program as a user who is not root, in a folder that this user may not enter; `None` where no other user may be played.
#[cfg(unix)]
fn as_nobody(desk: &Desk, folder: &str, args: &str) -> Option<(Option<i32>, String)> {
    // A server that starts after all ends too.
    let run = format!("timeout 60 {} {args}", env!("CARGO_BIN_EXE_oms-sync"));
    let mut command = std::process::Command::new("setpriv");
    command.args(["--reuid", "65534", "--clear-groups", "sh", "-c", &run]).current_dir(desk.path(folder));
    let output = command.stdin(Stdio::null()).env_remove("OMS_SYNC_CONFIG").output().ok()?;
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let is_played = !said.contains("Operation not permitted") && !said.contains("sh: ");
    if !is_played {
        println!("SKIPPED: no other user may be played here: {said}");
    }
    is_played.then(|| (output.status.code(), said))
}

#[cfg(unix)]
#[test]
fn settings_out_of_reach_are_none_and_an_error_of_rights_names_the_user() {
    use std::os::unix::fs::PermissionsExt as _;
    let clinic = Clinic::new();
    let desk = &clinic.desk;
    let mode = |name: &str, mode: u32| {
        std::fs::set_permissions(desk.path(name), std::fs::Permissions::from_mode(mode)).expect("a mode");
    };
    std::fs::create_dir(desk.path("closed")).expect("a folder");
    mode("closed", 0o700);
    mode("", 0o755);
    // Nobody asked for the file in the folder that this user may not enter.
    let Some((status, said)) = as_nobody(desk, "closed", "errors not_set_up") else { return };
    assert!(status == Some(0) && !said.contains("oms-sync.toml"), "{said}");
    std::fs::write(desk.path("closed/named.toml"), "").expect("a file");
    let named = format!("--config {} errors not_set_up", desk.path("closed/named.toml").display());
    std::fs::write(desk.path("oms-sync.toml"), "").expect("settings");
    mode("oms-sync.toml", 0o600);
    for (folder, args) in [("closed", named.as_str()), ("", "errors not_set_up")] {
        let (status, said) = as_nobody(desk, folder, args).expect("it was played above");
        let is_named = said.contains("cannot be read: Permission denied") && said.contains("as the user nobody)");
        assert!(status == Some(2) && is_named && !said.contains("Usage"), "{said}");
        assert!(said.ends_with('\n'), "{said:?}");
    }
    // The key of the database, the certificate of a server, and the lock beside a database.
    mode("oms-sync.toml", 0o644);
    std::fs::write(desk.path("secret"), "x\n").expect("a file");
    mode("secret", 0o600);
    mode("", 0o777);
    let serve = "--db new.sqlite serve --create --listen 127.0.0.1:0 --tls-cert secret --tls-key secret";
    for args in ["--db-key-file secret status", serve, "init --legacy-url https://h --site s --password-file secret"] {
        let (_, said) = as_nobody(desk, "", args).expect("it was played above");
        let is_named = said.contains("secret cannot be read") && said.contains("This program runs as the user nobody.");
        assert!(is_named, "{args}: {said}");
    }
    for name in ["oms-sync.sqlite", "oms-sync.sqlite.watermark"] {
        mode(name, 0o666);
    }
    mode("oms-sync.sqlite.lock", 0o600);
    let (_, said) = as_nobody(desk, "", "sync").expect("it was played above");
    assert!(said.contains("oms-sync.sqlite.lock") && said.contains("runs as the user nobody."), "{said}");
}

#[test]
fn a_host_that_is_not_known_and_an_address_without_a_scheme() {
    let desk = Desk::new();
    let init = |url| ["init", "--json", "--legacy-url", url, "--site", "x", "--password-file", "pw"];
    let unknown = desk.run(&init("https://no-such-host.invalid:2048")).ends(4).json();
    assert_eq!(unknown["error"]["code"], "unreachable", "{unknown}");
    holds(&unknown["error"]["message"].to_string(), &["no-such-host.invalid"]);
    for url in ["clinic", "127.0.0.1:18731"] {
        let bad = desk.run(&init(url)).ends(3).json();
        holds(&bad["error"]["message"].to_string(), &["it must begin with http:// or https://"]);
    }
}

#[test]
fn a_record_of_its_own_that_was_lost_comes_back_though_the_cursor_stands_at_the_beginning() {
    let clinic = Clinic::new();
    clinic.put_asset("fridge", "cold");
    clinic.sync(0);
    assert_eq!(clinic.json(&["status"], 0)["pull_cursor_v6"], 0);
    clinic.damage("DELETE FROM sync_record WHERE record_id = 'fridge'");
    let rewind = ["cursor", "rewind", "pull", "--own", "--yes", "--reason", "lost"];
    holds(&clinic.says(&rewind, 0), &["this site's own records included"]);
    clinic.sync(0);
    assert_eq!(clinic.json(&["records", "get", "asset", "fridge"], 0)["data"]["notes"], "cold");
}

#[test]
fn json_lines_are_lines_whatever_lies_between_the_values_of_a_record() {
    let clinic = Clinic::new();
    let store = clinic.store.clone();
    let at = "2026-11-23T08:00:00";
    let text = format!(
        "{{\"id\":\"a\",\n \"store_id\":\"{store}\",\r\n \"created_datetime\":\"{at}\",\"modified_datetime\":\"{at}\"}}"
    );
    clinic.put("asset", &text);
    let listed = clinic.desk.run(&["records", "list", "asset", "--json"]).ends(0).json_lines();
    assert_eq!((listed.len(), &listed[0]["id"]), (1, &json!("a")));
    assert_eq!(clinic.desk.run(&["records", "list", "asset"]).ends(0).out.lines().count(), 1);
    assert_eq!(clinic.json(&["records", "get", "asset", "a"], 0)["data"]["store_id"], store);
}

#[test]
fn nobody_who_reads_changes_no_exit_status() {
    let clinic = Clinic::new();
    clinic.desk.run(&["--db", "central.sqlite", "site", "add", "clinic", "--password-file", "wrong"]).ends(0);
    for command in [&["doctor"][..], &["sync", "--json"], &["sync"]] {
        assert_eq!(clinic.desk.unread(command), Some(3), "{command:?}");
    }
    // Endless commands end.
    assert_eq!(clinic.desk.unread(&["status", "--watch", "--every", "1s"]), Some(0));
}

#[test]
fn who_tries_a_wrong_password_again_and_again_is_told_to_wait() {
    let clinic = Clinic::new();
    clinic.desk.run(&["--db", "central.sqlite", "site", "add", "clinic", "--password-file", "wrong"]).ends(0);
    let code = |_| clinic.desk.run(&["identity", "--ask", "--json"]).json()["error"]["code"].clone();
    let codes: Vec<_> = (0..30).map(code).collect();
    assert_eq!(codes[0], "incorrect_password");
    assert_eq!(codes[29], "too_many_attempts", "{codes:?}");
    let found = clinic.desk.run(&["doctor", "--json"]).ends(4).json();
    assert_eq!((&found["party"], &found["finding"]["code"]), (&json!("device"), &json!("too_many_attempts")));
    let said = clinic.desk.run(&["doctor"]).ends(4);
    holds(&said.out, &["The problem is with this device.", "check the password"]);
}

#[test]
fn a_write_that_is_refused_names_the_record() {
    let clinic = Clinic::new();
    let at = "2026-11-23T08:00:00";
    let line = |id: &str, store: &str| {
        format!(r#"{{"id":"{id}","store_id":"{store}","created_datetime":"{at}","modified_datetime":"{at}"}}"#)
    };
    let lines = [line("good", &clinic.store), line("foreign", "elsewhere")].join("\n");
    let said = clinic.desk.feed(&["records", "put", "asset", "--json"], &lines).ends(2).json();
    assert_eq!(said["error"]["code"], "store_not_active_here");
    holds(&said["error"]["message"].to_string(), &["this asset foreign belongs to a store"]);
    clinic.desk.run(&["records", "get", "asset", "good"]).ends(2);
    // Also one whose id is a number, or missing.
    for (id, named) in [(r#""id":17,"#, "asset 17 is not valid: $.id"), ("", "asset (none) is not valid: $.id")] {
        let line =
            format!(r#"{{{id}"store_id":"{}","created_datetime":"{at}","modified_datetime":"{at}"}}"#, clinic.store);
        let said = clinic.desk.feed(&["records", "put", "asset", "--json"], &line).ends(2).json();
        holds(&said["error"]["message"].to_string(), &[named]);
    }
    assert_eq!(clinic.json(&["records", "get", "asett", "x"], 2)["error"]["code"], "unknown_table");
}

#[test]
fn an_id_that_would_steer_a_terminal_is_shown_harmless() {
    let clinic = Clinic::new();
    clinic.put_asset("a\\u001b[31m", "x");
    for command in ["records list asset", "changelog", "preview push"] {
        let said = clinic.desk.run(&command.split(' ').collect::<Vec<_>>()).ends(0);
        assert!(!said.out.contains('\u{1b}'), "{command}: {said:?}");
    }
    let said = clinic.desk.run(&["explain", "asset", "a\u{1b}[31m"]).ends(0);
    assert!(said.out.contains("a\u{fffd}[31m") && !said.out.contains('\u{1b}'), "{said:?}");
}

#[test]
fn status_tells_when_it_worked_last_and_what_lies_in_quarantine_is_not_forgotten() {
    let clinic = Clinic::new();
    let worked = clinic.json(&["status"], 0)["last_sync"]["finished_at"].clone();
    assert_eq!(clinic.json(&["status"], 0)["last_success"], worked);
    clinic.stop_central();
    clinic.sync(4);
    let status = clinic.json(&["status"], 0);
    assert_eq!((&status["last_sync"]["outcome"], &status["last_success"]), (&json!("failed"), &worked));
    let shown = worked.as_str().and_then(|at| at.get(..19)).expect("a time").replace('T', " ");
    holds(&clinic.says(&["status"], 0), &["last success", &format!("{shown}Z")]);
    let failed = clinic.desk.run(&["sync"]).ends(4);
    holds(&failed.err, &["To find the cause: oms-sync doctor"]);

    let clinic = Clinic::new();
    clinic.lose_a_parent();
    holds(&clinic.desk.run(&["sync"]).ends(0).err, &["In quarantine since earlier: 1"]);
    clinic.desk.run(&["quarantine", "ignore", "1", "--reason", "test"]).ends(0);
    let status = clinic.json(&["status"], 0);
    assert_eq!((&status["quarantined"], &status["quarantined_by_cause"]), (&json!(0), &json!({ "ignored": 1 })));
    assert!(!clinic.desk.run(&["sync"]).ends(0).err.contains("In quarantine"));
}

#[test]
fn a_central_server_is_told_what_it_cannot_be_asked() {
    let clinic = Clinic::new();
    let at_central = |command: &str| {
        let words: Vec<&str> = ["--db", "central.sqlite", "--json"].into_iter().chain(command.split(' ')).collect();
        clinic.desk.run(&words)
    };
    for command in ["audit", "preview pull", "discover", "net", "patient pull x", "identity --ask", "sync"] {
        let said = at_central(command).ends(3);
        assert!(said.out.contains("wrong_role"), "{command}: {said:?}");
    }
    let said = clinic.desk.run(&["--db", "central.sqlite", "status"]).ends(0).out;
    assert!(!said.contains("cursor") && !said.contains("last sync"), "{said}");
}

#[test]
fn a_database_that_may_not_be_written_is_read() {
    let clinic = Clinic::new();
    clinic.lose_a_parent();
    // Root may write despite the mode, so this runs as another user.
    let mode = |mode: &str| {
        for name in ["oms-sync.sqlite", "."] {
            let path = clinic.desk.path(name);
            let status = std::process::Command::new("chmod").arg(mode).arg(path).status();
            assert!(status.expect("chmod runs").success());
        }
    };
    mode("a=rX");
    let program = env!("CARGO_BIN_EXE_oms-sync");
    let as_nobody = |command: &str| {
        let run = format!("{program} --db {} {command}", clinic.desk.path("oms-sync.sqlite").display());
        std::process::Command::new("setpriv")
            .args(["--reuid", "65534", "--clear-groups", "sh", "-c", &run])
            .stdin(Stdio::null())
            .output()
    };
    let outputs: Vec<_> =
        ["status", "log list", "quarantine list", "sync"].into_iter().map(|c| (c, as_nobody(c))).collect();
    mode("u+rwX");
    for (command, output) in outputs {
        let Ok(output) = output else {
            println!("SKIPPED: setpriv is missing");
            return;
        };
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if said.contains("Operation not permitted") || said.contains("Permission denied") && !said.contains("error [") {
            println!("SKIPPED: no other user may be played here: {said}");
            return;
        }
        assert!(!said.contains(PASSWORD), "{said}");
        match command {
            "sync" => assert_eq!(output.status.code(), Some(6), "{said}"),
            _ => assert_eq!(output.status.code(), Some(0), "{command}: {said}"),
        }
    }
}

/// Servers accept a site from one machine. A lost database is set up again on the same machine.
#[test]
fn a_site_is_set_up_again_on_the_same_machine() {
    let clinic = Clinic::new();
    clinic.desk.run(&["--db", "central.sqlite", "site", "reset-hardware", "clinic"]).ends(0);
    let from = ["--site", "clinic", "--password-file", "pw", "--legacy-url", &clinic.server.address];
    let init = |db: &str| {
        clinic.desk.run_with(&[("OMS_SYNC_HARDWARE_ID", "")], &[&["--db", db, "init", "--json"], &from[..]].concat())
    };
    let Ok(machine) = sync_core::site::machine_id() else {
        // A container without one: it reports that.
        assert_eq!(init("none.sqlite").ends(3).error().0, "no_machine_id");
        return;
    };
    for db in ["first.sqlite", "second.sqlite"] {
        let said = init(db).ends(0);
        assert!(!said.out.contains(&machine) && !said.err.contains(&machine), "the id is shown to nobody");
        for args in [&["identity"][..], &["identity", "--json"], &["status"], &["doctor"]] {
            let said = clinic.desk.run(&[&["--db", db], args].concat());
            assert!(!said.out.contains(&machine) && !said.err.contains(&machine), "{args:?}");
        }
    }
    let other = ["--hardware-id", "another machine"];
    let refused = clinic.desk.run(&[&["--db", "third.sqlite", "init", "--json"], &from[..], &other].concat()).ends(3);
    assert_eq!(refused.error().0, "hardware_id_mismatch");
}

#[test]
fn an_address_that_may_not_be_used_is_no_good_health() {
    let clinic = Clinic::new();
    clinic.damage("UPDATE sync_state SET value = 'http://legacy.example.org' WHERE key = 'legacy_url'");
    let verdict = clinic.json(&["doctor"], 3);
    assert_eq!((&verdict["party"], &verdict["finding"]["code"]), (&json!("device"), &json!("https_required")));
}

/// The database belongs to an app, which keeps tables of its own with a hook that this program does not have.
#[test]
fn nothing_is_written_beside_an_app_with_a_hook_unless_that_is_wanted() {
    let clinic = Clinic::new();
    clinic.damage("INSERT INTO sync_state (key, value) VALUES ('has_hook', '1')");
    clinic.put_at_central("asset_class", r#"{"id":"cold","name":"Cold chain"}"#);
    assert_eq!(clinic.sync(6)["error"]["code"], "hook_missing");
    clinic.desk.run(&["records", "get", "asset_class", "cold"]).ends(2);
    // It would fail at each cycle, for ever.
    let run = clinic.desk.interrupt(&["run", "--json"], std::time::Duration::from_secs(3)).ends(6);
    assert_eq!(run.error().0, "hook_missing");
    for no in ["0", "no", "false"] {
        clinic.desk.run_with(&[("OMS_SYNC_WITHOUT_HOOK", no)], &["sync", "-q"]).ends(6);
    }
    let said = clinic.desk.run(&["sync"]).ends(6);
    holds(&said.err, &["Let the app synchronise", "add --without-hook, and let the app replay its hook afterwards"]);
    let verdict = clinic.json(&["doctor"], 6);
    assert_eq!((&verdict["party"], &verdict["finding"]["code"]), (&json!("device"), &json!("hook_missing")));
    clinic.json(&["status"], 0);

    clinic.desk.run_with(&[("OMS_SYNC_WITHOUT_HOOK", "perhaps")], &["sync"]).ends(2);
    clinic.desk.run(&["--without-hook", "sync", "-q"]).ends(0);
    for yes in ["1", "yes", "true"] {
        clinic.desk.run_with(&[("OMS_SYNC_WITHOUT_HOOK", yes)], &["sync", "-q"]).ends(0);
    }
    let well = clinic.json(&["doctor"], 0);
    assert_eq!(well["party"], "nobody", "its app synchronises it: {well}");
    holds(&clinic.says(&["doctor", "-v"], 0), &["an app keeps tables of its own in this database"]);
    clinic.desk.run(&["records", "get", "asset_class", "cold"]).ends(0);
    let missed = rusqlite::Connection::open(clinic.desk.path("oms-sync.sqlite")).expect("the site's database");
    let sql = "SELECT value FROM sync_state WHERE key = 'hook_missed_from'";
    let from: String = missed.query_row(sql, (), |row| row.get(0)).expect("the app can catch up from there");
    assert!(from.parse::<u64>().is_ok_and(|from| from > 0), "{from}");

    // A server would accept pushes and never integrate them.
    clinic.server.stop();
    rusqlite::Connection::open(clinic.desk.path("central.sqlite"))
        .expect("central's database")
        .execute("INSERT INTO sync_state (key, value) VALUES ('has_hook', '1')", ())
        .expect("a setting");
    for more in [None, Some("--check")] {
        let serve = ["--db", "central.sqlite", "serve", "--listen", "127.0.0.1:0", "--json"];
        let serve: Vec<&str> = serve.into_iter().chain(more).collect();
        assert_eq!(clinic.desk.run(&serve).ends(6).error().0, "hook_missing", "{more:?}");
    }
    let doctor = clinic.desk.run(&["--db", "central.sqlite", "doctor", "--json"]).ends(0).json();
    assert_eq!((&doctor["outcome"], &doctor["finding"]["code"]), (&json!("warning"), &json!("hook_missing")));
    let doctor = clinic.desk.run(&["--db", "central.sqlite", "doctor"]).ends(0);
    holds(&doctor.out, &["check this device", "add --without-hook"]);
}

#[test]
fn what_misleads_a_newcomer_is_told() {
    let clinic = Clinic::new();
    let desk = &clinic.desk;
    // A variable that is set, and empty.
    let empty = desk.run_with(&[("OMS_SYNC_DB", "")], &["status"]).ends(2);
    holds(&empty.err, &["the variable OMS_SYNC_DB has the value \"\", which is no value for --db"]);
    // A path behind the address.
    let at = format!("{}/sync/v5?x=1", clinic.server.address);
    let init = ["init", "--legacy-url", &at, "--site", "clinic", "--password-file", "pw", "--hardware-id", HARDWARE_ID];
    let said = desk.run(&init).ends(0);
    holds(&said.err, &["is asked at", &clinic.server.address, "\"/sync/v5?x=1\" behind it is not used"]);
    // Hints repeat the database that was given.
    std::fs::copy(desk.path("central.sqlite"), desk.path("other.sqlite")).expect("copied");
    clinic.lose_a_parent();
    std::fs::rename(desk.path("oms-sync.sqlite"), desk.path("moved.sqlite")).expect("moved");
    holds(
        &desk.run(&["--db", "moved.sqlite", "quarantine", "list"]).ends(0).err,
        &["oms-sync --db moved.sqlite quarantine show NUMBER"],
    );
    // A key that resembles one of the type.
    let asset = format!(
        r#"{{"id":"a","store_id":"{}","serial_numbr":"7","created_datetime":"2026-11-23T08:00:00","modified_datetime":"2026-11-23T08:00:00"}}"#,
        clinic.store
    );
    let put = |db: &str| desk.feed(&["--db", db, "records", "put", "asset"], &asset);
    holds(&put("moved.sqlite").ends(0).err, &["serial_numbr", "serial_number"]);
    let line = format!(r#"{{"ID":"l","store_ID":"{}","item_ID":"i","quantty":7}}"#, clinic.store);
    let legacy = desk.feed(&["--db", "moved.sqlite", "records", "put", "item_line"], &line);
    holds(&legacy.ends(0).err, &["quantty", "quantity"]);
    // A site that has not synchronised knows no store.
    let from = ["--site", "clinic", "--password-file", "pw", "--hardware-id", HARDWARE_ID];
    desk.run(&[&["--db", "new.sqlite", "init", "--legacy-url", &clinic.server.address][..], &from].concat()).ends(0);
    let refused = put("new.sqlite");
    assert_ne!(refused.status, Some(0));
    holds(&refused.err, &["This site has not synchronised yet", "oms-sync --db new.sqlite sync first"]);
    // A table and a command that are misspelled.
    holds(&desk.run(&["--db", "moved.sqlite", "records", "list", "asett"]).ends(2).err, &["asset"]);
    holds(&desk.run(&["quarantin", "list"]).ends(2).err, &["quarantine"]);
}
