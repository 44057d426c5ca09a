//! `net`: measures the line, changes nothing, and reports faults of a server like other commands.

use serde_json::Value;

use super::doctor::{Answer, Ward};
use super::{PROPERTY, holds};

/// Central has records that the site has not read, and the site some that it has not sent.
fn with_something_unread(ward: &Ward) {
    ward.clinic.put_at_central("property", PROPERTY);
    ward.clinic.sync(0);
    let many: String = (0..400)
        .map(|n| {
            PROPERTY.replace("population", &format!("p{n}")).replace("Population", &"a long name ".repeat(20)) + "\n"
        })
        .collect();
    ward.clinic.put_at_central("property", &many);
    ward.clinic.put_asset("fridge", "not sent yet");
}

/// The content of central's database, except the times of visits.
fn central(ward: &Ward) -> Vec<(String, Vec<String>)> {
    let file = rusqlite::Connection::open(ward.clinic.desk.path("central.sqlite")).expect("central's database");
    let tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '%activity%' ORDER BY name";
    let mut tables = file.prepare(tables).expect("SQL");
    let names: Vec<String> =
        tables.query_map((), |row| row.get(0)).expect("SQL").collect::<Result<_, _>>().expect("names");
    assert!(names.iter().any(|name| name == "sync_state"), "{names:?}");
    let rows = |name: &String| {
        let mut all = file.prepare(&format!("SELECT * FROM \"{name}\" ORDER BY 1, 2")).expect("SQL");
        let columns = all.column_count();
        let text = |row: &rusqlite::Row<'_>| {
            (0..columns).map(|at| row.get::<_, rusqlite::types::Value>(at).map(|value| format!("{value:?}"))).collect()
        };
        all.query_map((), text).expect("SQL").collect::<Result<Vec<String>, _>>().expect("rows")
    };
    names.iter().map(|name| (name.clone(), rows(name))).collect()
}

#[test]
fn nothing_is_changed_by_doctor_or_net() {
    let ward = Ward::new();
    with_something_unread(&ward);
    let status = ward.clinic.json(&["status"], 0);
    let (here, there) = (ward.files(), central(&ward));
    ward.legacy.asked();
    ward.central.asked();
    ward.clinic.json(&["doctor"], 0);
    ward.clinic.json(&["net"], 0);
    assert!(ward.files() == here, "something changed here");
    assert_eq!(central(&ward), there, "something changed at central");
    assert_eq!(ward.clinic.json(&["status"], 0), status);
    let mut asked = [ward.legacy.asked(), ward.central.asked()].concat();
    asked.sort();
    asked.dedup();
    let reading = [
        "GET /sync/v5/central_records",
        "GET /sync/v5/site",
        "GET /sync/v5/site_status",
        "POST /central/sync/pull",
        "POST /central/sync/site_status",
        // Whether it is of Open mSupply 3.x; without a name or a password.
        "POST /central/sync_v7/site_status",
    ];
    assert_eq!(asked, reading, "only what reads, and nothing that acknowledges");
    let sync = ward.clinic.sync(0);
    assert_eq!((&sync["pulled"], &sync["pushed"]), (&400.into(), &1.into()), "everything still comes and goes");
}

#[test]
fn central_does_not_take_a_site_for_having_read_what_was_measured_with() {
    let ward = Ward::new();
    with_something_unread(&ward);
    let stands = ward.clinic.json(&["status"], 0)["pull_cursor_v6"].as_i64().expect("a number");
    ward.clinic.json(&["doctor"], 0);
    ward.clinic.json(&["net"], 0);
    // It then writes its knowledge of its sites.
    ward.clinic.server.stop().ends(0);
    let file = rusqlite::Connection::open(ward.clinic.desk.path("central.sqlite")).expect("central's database");
    let read_to: i64 = file.query_row("SELECT read_to FROM sync_activity", (), |row| row.get(0)).expect("a site");
    assert!(stands > 1 && read_to <= stands + 1, "it stands at {stands}, and central says it has read to {read_to}");
}

fn line<'a>(found: &'a Value, server: &str) -> &'a Value {
    let all = found["servers"].as_array().expect("a list");
    all.iter().find(|line| line["server"] == server).unwrap_or_else(|| panic!("no {server}: {found}"))
}

#[test]
fn the_line_and_what_follows_from_it() {
    let ward = Ward::new();
    with_something_unread(&ward);
    let found = ward.clinic.json(&["net"], 0);
    for server in ["legacy", "central"] {
        let of = line(&found, server);
        assert!(of["questions"].as_u64() >= Some(1) && of["median_ms"].as_f64() > Some(0.0), "{of}");
        assert!(of["worst_ms"].as_f64() >= of["median_ms"].as_f64(), "{of}");
        assert!(of["error"].is_null(), "{of}");
    }
    let of = line(&found, "central");
    assert_eq!((&of["total_records"], &of["records"]), (&400.into(), &400.into()), "{of}");
    assert!(of["bytes"].as_u64() > Some(400 * 240) && of["bytes_per_second"].as_f64() > Some(0.0), "{of}");
    assert!(found["batch_records"].as_u64() >= Some(16), "{found}");
    assert!(found["first_sync"]["seconds"].as_f64() > Some(0.0), "{found}");
    let said = ward.clinic.says(&["net"], 0);
    holds(&said, &["latency", "throughput", "400 records that this site has not read", "A first sync takes"]);
    holds(&said, &["Batches that fit this line"]);

    // No more is received than is allowed.
    let found = ward.clinic.json(&["net", "--max-bytes", "1"], 0);
    let of = line(&found, "central");
    assert_eq!((&of["records"], &of["total_records"]), (&50.into(), &400.into()), "one question, and no second");
    assert_eq!(ward.clinic.json(&["net", "--max-bytes", "0"], 2)["error"]["code"], "usage");
}

#[test]
fn a_slow_line_takes_longer_and_has_smaller_batches() {
    const DELAY: f64 = 200.0;
    const SPEED: u32 = 30_000;
    let ward = Ward::new();
    // Names that no compression makes small.
    let word = |n: u64| format!("{:x}", n.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let property = |n: u64| {
        let name: String = (1..=16).map(|i| word(16 * n + i)).collect();
        PROPERTY.replace("population", &format!("p{n}")).replace("Population", &name) + "\n"
    };
    // From the records here it estimates a first sync, not the speed of the line.
    ward.clinic.put_at_central("property", &(0..400).map(property).collect::<String>());
    ward.clinic.sync(0);
    ward.clinic.put_at_central("property", &(400..800).map(property).collect::<String>());
    let fast = ward.clinic.json(&["net"], 0);
    for front in [&ward.legacy, &ward.central] {
        front.doing().delay = std::time::Duration::from_millis(DELAY as u64);
        front.doing().bytes_per_second = Some(SPEED);
    }
    let slow = ward.clinic.json(&["net"], 0);
    let number = |of: &Value| of.as_f64().unwrap_or_else(|| panic!("no number: {fast} {slow}"));
    for server in ["legacy", "central"] {
        let (fast, slow) = (line(&fast, server), line(&slow, server));
        assert!(number(&fast["median_ms"]) < DELAY && number(&slow["median_ms"]) >= DELAY, "{fast} {slow}");
        assert!(number(&slow["worst_ms"]) >= number(&slow["median_ms"]), "{slow}");
        assert!(number(&slow["bytes_per_second"]) < number(&fast["bytes_per_second"]), "{fast} {slow}");
    }
    let speed = number(&line(&slow, "central")["bytes_per_second"]);
    // Unpacked bytes are measured.
    assert!((f64::from(SPEED) / 2.0..=4.0 * f64::from(SPEED)).contains(&speed), "what came in a second: {slow}");
    let seconds = |found: &Value| number(&found["first_sync"]["seconds"]);
    assert!(seconds(&slow) > 1.0 && seconds(&slow) > 4.0 * seconds(&fast), "{fast} {slow}");
    let (batch, small) = (number(&fast["batch_records"]), number(&slow["batch_records"]));
    assert!(small < batch && small >= 16.0, "{fast} {slow}");
    // A batch does not take longer than twenty seconds.
    let of = line(&slow, "central");
    let each = number(&of["bytes"]) / number(&of["records"]);
    assert!(small * each / speed <= 20.5, "{slow}");
}

/// A site that has never synced gets an estimate of the first sync: central knows how much there is.
#[test]
fn a_first_sync_is_predicted_before_it() {
    let ward = Ward::new();
    with_something_unread(&ward);
    let db = ["--db", "new.sqlite"];
    ward.at_server(&["site", "reset-hardware", "clinic"]);
    let from = ["--site", "clinic", "--password-file", "pw", "--hardware-id", super::support::HARDWARE_ID];
    let address = format!("http://127.0.0.1:{}", ward.legacy.port());
    ward.clinic.desk.run(&[&db[..], &["init", "--legacy-url", &address], &from].concat()).ends(0);
    let found = ward.clinic.json(&[&db[..], &["net"]].concat(), 0);
    let parts = found["first_sync"]["predicted_parts"].as_array().expect("parts");
    let central = parts.iter().find(|part| part["server"] == "central").expect("central's part");
    assert!(central["records"].as_u64() >= Some(400), "{found}");
    assert_eq!(central["known_from"], "what central counts for this site");
    let sync = ward.clinic.json(&[&db[..], &["sync", "-q"]].concat(), 0);
    let records: u64 = parts.iter().filter_map(|part| part["records"].as_u64()).sum();
    assert_eq!(sync["pulled"], records, "and so many came");
}

#[test]
fn what_is_wrong_with_a_server_is_told_and_the_other_is_measured() {
    let mut ward = Ward::new();
    ward.central.instead("/", Answer::page(502));
    let found = ward.clinic.json(&["net"], 4);
    assert_eq!(line(&found, "central")["error"]["code"], "server_trouble");
    assert!(line(&found, "legacy")["median_ms"].as_f64() > Some(0.0), "{found}");
    holds(&ward.clinic.says(&["net"], 4), &["[server_trouble]", "try again later"]);
    ward.heal();
    ward.legacy.shut();
    let found = ward.clinic.json(&["net"], 4);
    assert_eq!(line(&found, "legacy")["error"]["code"], "unreachable");
    ward.heal();
    ward.at_server(&["site", "add", "clinic", "--password-file", "wrong"]);
    let found = ward.clinic.json(&["net"], 3);
    assert_eq!(line(&found, "legacy")["error"]["code"], "incorrect_password");
    assert_eq!(ward.clinic.json(&["--db", "none.sqlite", "net"], 3)["error"]["code"], "no_database");
    assert!(!ward.clinic.desk.path("none.sqlite").exists(), "it only reads");
}
