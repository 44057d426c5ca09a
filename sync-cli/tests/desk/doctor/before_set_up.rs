//! `doctor` before there is a database: by the address, the name and the password that `init` would get.

use super::super::front::{Answer, Front};
use super::super::support::HARDWARE_ID;
use super::super::{Clinic, fits};

/// What is wrong, the arguments beside the password, the party, the exit status and the code.
type Case = (&'static str, fn(&mut Front, &mut Vec<String>), &'static str, i32, &'static str);

const CASES: &[Case] = &[
    ("nothing is wrong", |_, _| {}, "nobody", 0, ""),
    ("the server is stopped", |front, _| front.shut(), "legacy_server", 4, "unreachable"),
    ("no such host", |_, args| args[1] = "https://legacy..invalid".to_owned(), "device", 4, "unreachable"),
    ("another server answers", |front, _| front.instead("/", Answer::page(200)), "device", 3, "not_an_msupply_server"),
    ("the name is misspelled", |_, args| args[3] = "klinic".to_owned(), "device", 3, "site_name_not_found"),
    ("TLS where there is none", |_, args| args[1] = args[1].replace("http:", "https:"), "device", 3, "wrong_scheme"),
];

#[test]
fn a_set_up_that_would_fail_is_diagnosed_and_leaves_no_database() {
    let clinic = Clinic::new();
    for (what, break_it, party, status, code) in CASES {
        let mut front = Front::before(&clinic.server.address);
        let address = format!("http://localhost:{}", front.port());
        front.doing().host = Some(address.trim_start_matches("http://").to_owned());
        let given = ["--legacy-url", &address, "--site", "clinic", "--password-file", "pw"];
        let mut args = given.map(str::to_owned).to_vec();
        break_it(&mut front, &mut args);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let asked = |how: &[&str]| clinic.desk.run(&[&["--db", "new.sqlite", "doctor"], &args[..], how].concat());
        let (found, said) = (asked(&["--json"]), asked(&[]));
        assert_eq!((found.status, said.status), (Some(*status), Some(*status)), "{what}: {found:?}");
        let found = found.json();
        let found_code = found["finding"]["code"].as_str().unwrap_or_default();
        assert_eq!((found["party"].as_str(), found_code), (Some(*party), *code), "{what}: {found:#}");
        fits(&said);
        assert!(!clinic.desk.path("new.sqlite").exists(), "{what}");
    }
    // What `doctor` says is what `init` ends with.
    let address = clinic.server.address.replace("http:", "https:");
    let from = ["--site", "clinic", "--password-file", "pw", "--hardware-id", HARDWARE_ID];
    let init = clinic.desk.run(&[&["--db", "new.sqlite", "init", "--legacy-url", &address], &from[..]].concat());
    assert_eq!(init.status, Some(3), "{init:?}");
    assert!(init.err.contains("not_an_msupply_server") || init.err.contains("TLS"), "{}", init.err);
}
