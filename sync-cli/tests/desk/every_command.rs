//! Every command, as people and as scripts use it: no secret leaves the program by any of them, and what people read fits
//! 80 columns.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::time::{Duration, Instant};

use sync_core::protocol::PasswordHash;

use super::Clinic;
use super::bundled::{clinic_with_trouble, unpacked};
use super::json_keys::JsonKeys;
use super::support::{Desk, HARDWARE_ID, PASSWORD, Said, assert_no_secret};
use super::widths::wider;

/// One use of each command with its exit status, in an order that works; `CENTRAL` stands for the server's address. What lists records, and what
/// is written for another program, may be as wide as it is.
const USES: &[(Width, i32, &str)] = &[
    (Fits, 3, "init --legacy-url CENTRAL --site clinic --password-file wrong"),
    (Fits, 4, "init --legacy-url http://127.0.0.1:1 --site clinic --password-file pw"),
    (Fits, 0, "discover"),
    (Fits, 0, "sync"),
    (Fits, 0, "sync --with-files"),
    (Fits, 0, "status"),
    (Fits, 0, "log list --failed"),
    (Fits, 0, "doctor"),
    (Fits, 0, "net --max-time 2s"),
    (Fits, 0, "identity"),
    (Fits, 0, "identity --ask"),
    (Fits, 0, "explain asset fridge"),
    (Fits, 1, "explain name_property np"),
    (Fits, 0, "preview push"),
    (Fits, 0, "preview pull"),
    (Fits, 1, "audit"),
    (Fits, 0, "patient pull nobody"),
    (Fits, 0, "patient find --last nobody"),
    (Fits, 4, "patient link nobody"),
    (Fits, 0, "bundle --list"),
    (Fits, 0, "cursor show"),
    (Fits, 0, "cursor rewind pull --own"),
    (Fits, 0, "resend asset"),
    (Fits, 0, "conflicts list"),
    (Fits, 2, "conflicts show asset nobody"),
    (Fits, 0, "log list"),
    (Fits, 0, "log show"),
    (Fits, 0, "log show 2"),
    (Wide, 0, "records types"),
    (Wide, 0, "records list asset"),
    (Wide, 0, "records get asset fridge"),
    (Fits, 2, "records put asset put.json --dry-run"),
    (Fits, 2, "records delete asset nobody"),
    (Wide, 0, "files list"),
    (Fits, 0, "files attach asset fridge pw"),
    (Fits, 0, "files sync"),
    (Fits, 2, "files fetch nobody"),
    (Fits, 0, "files resend all"),
    (Fits, 0, "files verify"),
    (Wide, 0, "changelog"),
    (Fits, 0, "--db central.sqlite status"),
    (Fits, 0, "--db central.sqlite pause"),
    (Fits, 0, "--db central.sqlite resume"),
    (Wide, 0, "--db central.sqlite site list"),
    (Fits, 0, "--db central.sqlite site add another --password-file pw"),
    (Fits, 0, "--db central.sqlite site reset-hardware clinic"),
    (Fits, 0, "--db central.sqlite site set-password another --password-file pw"),
    (Fits, 0, "--db central.sqlite site remove another"),
    (Fits, 0, "--db central.sqlite site import sites.csv --passwords passwords.csv"),
    (Fits, 0, "--db central.sqlite backup backups"),
    (Fits, 0, "check central.sqlite"),
    (Fits, 0, "--db central.sqlite restore central.sqlite"),
    (Fits, 2, "rekey --new-key-file nokey"),
    (Fits, 2, "migrate central.sqlite other.sqlite"),
    (Fits, 0, "--db central.sqlite store add Another --code A --site clinic"),
    (Fits, 0, "--db central.sqlite store list"),
    (Fits, 2, "--db central.sqlite store remove nothing"),
    (Fits, 0, "--db central.sqlite identity"),
    (Fits, 0, "quarantine list"),
    (Fits, 0, "quarantine show 1"),
    (Fits, 0, "quarantine ignore 1 --reason test"),
    (Fits, 1, "quarantine retry 1"),
    (Fits, 1, "inspect site.sqlite"),
    (Fits, 0, "decode request.json"),
    (Fits, 0, "decode central-records.json"),
    (Fits, 0, "decode refused.json"),
    // It reads everything again, which mends what the others show.
    (Fits, 0, "init --legacy-url CENTRAL --site clinic --password-file pw"),
    (Fits, 0, "errors"),
    (Fits, 0, "errors incorrect_password"),
    (Fits, 2, "compat"),
    (Fits, 5, "compat --legacy 8.04.04 --central 2.8.0 --site 2.19.0"),
    (Fits, 1, "compat --central 2.19.0 --site 2.16.03"),
    (Wide, 0, "completions bash"),
    (Wide, 0, "man"),
    (Fits, 0, "demo"),
];

/// Commands that run until they are stopped, and have tests below.
const UNTIL_STOPPED: [&str; 2] = ["run", "serve"];

#[derive(Clone, Copy, PartialEq)]
enum Width {
    Fits,
    Wide,
}
use Width::{Fits, Wide};

/// The commands that a help text lists.
fn listed(help: &str) -> Vec<String> {
    // The program lists its commands in groups, a command those below it in one.
    let is_heading = |line: &str| line.ends_with(':') && !line.starts_with(' ') && !line.starts_with("Usage");
    let is_over = |line: &str| line.starts_with("Options") || line == "Arguments:";
    let lines = help.lines().skip_while(|line| !is_heading(line)).take_while(|line| !is_over(line));
    let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").map(str::to_owned).collect()
}

/// Every command that does something, by its words.
fn leaves(desk: &Desk, words: &[&str], found: &mut BTreeSet<String>) {
    let help = desk.run(&[words, &["--help"]].concat()).ends(0).out;
    let below = listed(&help);
    if below.is_empty() {
        found.insert(words.join(" "));
    }
    for name in below {
        leaves(desk, &[words, &[name.as_str()]].concat(), found);
    }
}

/// The command of a use, with its subcommand.
fn command_of(words: &[&str]) -> String {
    const WITH_SUBCOMMANDS: [&str; 11] = [
        "records",
        "files",
        "patient",
        "log",
        "conflicts",
        "quarantine",
        "preview",
        "cursor",
        "site",
        "store",
        "config",
    ];
    let at = words.iter().position(|word| *word == "--db").map_or(0, |db| db + 2);
    match words.get(at..).unwrap_or_default() {
        [first, second, ..] if WITH_SUBCOMMANDS.contains(first) && !second.starts_with('-') => {
            format!("{first} {second}")
        }
        [first, ..] => (*first).to_owned(),
        [] => String::new(),
    }
}

#[test]
fn no_command_is_forgotten_here() {
    let mut all = BTreeSet::new();
    leaves(&Desk::new(), &[], &mut all);
    assert!(all.contains("quarantine list") && all.contains("bundle"), "{all:?}");
    for command in all {
        let is_use = |use_: &str| {
            let words = use_.trim_start_matches("--db central.sqlite ");
            words == command || words.starts_with(&format!("{command} "))
        };
        let known = USES.iter().any(|(_, _, use_)| is_use(use_)) || UNTIL_STOPPED.contains(&command.as_str());
        assert!(known, "no use of `{command}` is tried for secrets");
    }
}

#[test]
fn every_command_has_a_page_and_a_help_that_fits() {
    let desk = Desk::new();
    let mut all = BTreeSet::new();
    leaves(&desk, &[], &mut all);
    let written = desk.run(&["man", "--dir", "man1", "--json"]).ends(0).json();
    let pages: BTreeSet<&str> =
        written["pages"].as_array().expect("pages").iter().map(|page| page.as_str().expect("a name")).collect();
    let mut too_wide = String::new();
    for command in &all {
        let words: Vec<&str> = command.split(' ').collect();
        let name = format!("oms-sync-{}.1", command.replace(' ', "-"));
        assert!(pages.contains(name.as_str()), "{name}: {pages:?}");
        let page = std::fs::read_to_string(desk.path("man1").join(&name)).expect("a page");
        assert_eq!(page.trim_end(), desk.run(&[&["man"], &words[..]].concat()).ends(0).out.trim_end());
        assert!(page.contains("Examples:"), "{page}");
        let help = desk.run_with(&[("COLUMNS", "80")], &[&words[..], &["--help"]].concat()).ends(0).out;
        let long = help.lines().filter(|line| line.trim_end().chars().count() > 80);
        long.for_each(|line| too_wide.push_str(&format!("{command}: {line}\n")));
    }
    assert!(too_wide.is_empty(), "beyond 80 columns:\n{too_wide}");
    assert_eq!(desk.run(&["man", "no-such", "--json"]).ends(2).error().0, "not_found");
}

/// True for a time as programs write it: `2026-11-23T08:00:00.000Z`.
fn has_machine_time(line: &str) -> bool {
    line.as_bytes().windows(9).any(|part| {
        part[0] == b'T'
            && part[3] == b':'
            && part[6] == b':'
            && [1, 2, 4, 5, 7, 8].iter().all(|at| part[*at].is_ascii_digit())
    })
}

/// A clinic with all that the uses need.
fn prepared() -> Clinic {
    let clinic = clinic_with_trouble();
    let desk = &clinic.desk;
    // The password again, so that some of it goes well.
    desk.run(&["--db", "central.sqlite", "site", "add", "clinic", "--password-file", "pw"]).ends(0);
    let hash = PasswordHash::of_password(PASSWORD);
    let request = format!(
        r#"{{"cursor":0,"batchSize":5,"isInitialised":true,"syncV6Version":5,"syncV5Settings":{{"serverUrl":"http://a","username":"clinic","passwordSha256":"{}","siteUuid":"{HARDWARE_ID}","appVersion":"2.19.0","appName":"a","syncVersion":"14"}}}}"#,
        hash.expose()
    );
    std::fs::write(desk.path("request.json"), request).expect("a file");
    let examples = [
        ("central-records.json", include_str!("../../../fixtures/examples/v5-central-records.json")),
        ("refused.json", include_str!("../../../fixtures/examples/answer-legacy-server-error.json")),
    ];
    examples.iter().for_each(|(name, text)| std::fs::write(desk.path(name), text).expect("a file"));
    std::fs::write(desk.path("sites.csv"), "site,store_code,store_name\nthird,T,Third\n").expect("a file");
    std::fs::write(desk.path("put.json"), r#"{"id":"x","store_id":"another"}"#).expect("a file");
    let theirs = rusqlite::Connection::open(desk.path("site.sqlite")).expect("a database");
    let site = include_str!("../../../fixtures/databases/site.sql");
    theirs.execute_batch(&format!("PRAGMA foreign_keys = OFF; BEGIN; {site}; COMMIT;")).expect("sound SQL");
    drop(theirs);
    clinic
}

/// A single word, such as an id, an address or a path, is not cut: it can be copied.
#[test]
fn what_people_read_fits_a_narrow_terminal() {
    const COLUMNS: usize = 40;
    let clinic = prepared();
    let mut too_wide = String::new();
    for (width, _, use_) in USES.iter().filter(|(_, _, use_)| *use_ != "demo") {
        let use_ = use_.replace("CENTRAL", &clinic.server.address);
        // Data that another program reads, or that stand as they are.
        if *width == Wide && (!use_.contains("list") || use_.starts_with("records")) && use_ != "changelog" {
            continue;
        }
        for way in [&[][..], &["-v"]] {
            let words: Vec<&str> = use_.split(' ').chain(way.iter().copied()).collect();
            let said = clinic.desk.run_with(&[("COLUMNS", &COLUMNS.to_string())], &words);
            wider(&said.out, COLUMNS).iter().for_each(|line| too_wide.push_str(&format!("{use_} {way:?}: {line}\n")));
        }
    }
    assert!(too_wide.is_empty(), "beyond {COLUMNS} columns:\n{too_wide}");
}

#[test]
fn no_secret_leaves_by_any_command_and_what_people_read_fits() {
    let clinic = prepared();
    let desk = &clinic.desk;
    let (mut too_wide, mut other_times) = (String::new(), String::new());
    let mut keys = JsonKeys::default();
    for (width, status, use_) in USES {
        let use_ = use_.replace("CENTRAL", &clinic.server.address);
        let words: Vec<&str> = use_.split(' ').collect();
        // `demo` takes its time, and prints the same with either.
        let ways: &[&[&str]] = if use_ == "demo" { &[&[]] } else { &[&[], &["-v"], &["--json"]] };
        for way in ways {
            // What runs looks through what it said itself.
            let said: Said = desk.run(&[&words[..], way].concat());
            assert!(!said.err.contains("Usage:"), "{use_} is no use: {said:?}");
            // Run again, it may have been done already.
            let is_expected = said.status == Some(*status) || !way.is_empty() && said.status == Some(2);
            assert!(is_expected, "{use_} {way:?}: {said:?}");
            if *width == Fits && !way.contains(&"--json") {
                let long = said.out.lines().filter(|line| line.chars().count() > 80);
                long.for_each(|line| too_wide.push_str(&format!("{use_}: {line}\n")));
            }
            // The data of records are shown as they are.
            let is_data =
                ["quarantine show", "conflicts", "records", "explain", "decode"].iter().any(|of| use_.contains(of));
            if !is_data && !way.contains(&"--json") {
                let all = format!("{}{}", said.out, said.err);
                let found = all.lines().filter(|line| has_machine_time(line));
                found.for_each(|line| other_times.push_str(&format!("{use_} {way:?}: {line}\n")));
            }
            if way.contains(&"--json") {
                keys.read(&command_of(&words), &said.out);
            }
        }
    }
    assert!(too_wide.is_empty(), "beyond 80 columns:\n{too_wide}");
    assert!(other_times.is_empty(), "times that people do not read:\n{other_times}");
    // A server writes the visits of its sites every half minute and when it ends: only then the list has them for sure.
    clinic.stop_central();
    let began = Instant::now();
    let sites = loop {
        let sites = desk.run(&["--db", "central.sqlite", "site", "list", "--json"]).ends(0);
        if sites.json_lines().iter().any(|site| site["seen_at"].is_string()) {
            break sites;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "the server ends and has written the visits: {sites:?}");
        std::thread::sleep(Duration::from_millis(50));
    };
    keys.read("site list", &sites.out);
    keys.each_has_one_meaning();

    desk.run(&["bundle", "all.tar.gz"]).ends(0);
    for (name, text) in unpacked(&desk.path("all.tar.gz")) {
        assert!(!text.contains("Miriam"), "{name}: {text}");
        assert_no_secret(&text);
    }
    // Also in the log of the database, which other programs may show.
    let ours = rusqlite::Connection::open(desk.path("oms-sync.sqlite")).expect("the site's database");
    let mut log = ours.prepare("SELECT report || coalesce(error, '') FROM sync_log").expect("SQL");
    let entries = log.query_map((), |row| row.get::<_, String>(0)).expect("rows");
    entries.for_each(|entry| assert_no_secret(&entry.expect("text")));
}

#[test]
fn no_secret_leaves_by_what_runs_until_it_is_stopped() {
    let clinic = clinic_with_trouble();
    let desk = &clinic.desk;
    // With the wrong password, with the right one, and as central with its access log.
    desk.interrupt(&["run", "--interval", "1h", "-v"], Duration::from_millis(1500));
    desk.run(&["--db", "central.sqlite", "site", "add", "clinic", "--password-file", "pw"]).ends(0);
    desk.interrupt(&["run", "--interval", "1h"], Duration::from_millis(1500));
    clinic.stop_central();
    let server = desk.serve_with("central.sqlite", &["--access-log", "access.log"]);
    let from = ["--site", "clinic", "--password-file", "pw", "--hardware-id", HARDWARE_ID];
    desk.run(&[&["--db", "other.sqlite", "init", "--legacy-url", &server.address][..], &from].concat());
    desk.run(&["--db", "other.sqlite", "sync", "-v"]);
    server.stop();
    let mut log = String::new();
    let file = std::fs::File::open(desk.path("access.log")).and_then(|mut file| file.read_to_string(&mut log));
    file.expect("an access log");
    assert!(log.contains("/central/sync/pull"), "{log}");
    assert_no_secret(&log);
}
