//! The support desk: something is really broken, and the program says what, why, and what to do.

mod administered;
mod audited;
mod bundled;
mod conflicted;
mod doctor;
#[cfg(target_os = "linux")]
mod drawn;
mod every_command;
mod explained;
mod first_day;
mod forged;
mod front;
mod identified;
mod json_keys;
mod measured;
mod one_patient;
mod previewed;
mod put_back;
mod quarantined;
mod repaired;
mod said_otherwise;
mod small_disk;
#[allow(dead_code, reason = "each test binary uses a part of it")]
#[path = "../support/mod.rs"]
mod support;
mod translated;
mod translated_commands;
mod typed;
mod watched;
mod widths;

use std::cell::OnceCell;

use tokio::net::TcpSocket;

use self::support::{Desk, HARDWARE_ID, Said, Server, hold_port};

/// A running central server, and a site that is set up and has synchronised.
struct Clinic {
    desk: Desk,
    server: Server,
    store: String,
    /// The port of the central server, once that is stopped.
    held_port: OnceCell<TcpSocket>,
}

impl Clinic {
    fn new() -> Self {
        let desk = Desk::new();
        let (server, store) = desk.serve_a_clinic();
        let clinic = Self { desk, server, store, held_port: OnceCell::new() };
        clinic.sync(0);
        clinic
    }

    fn sync(&self, status: i32) -> serde_json::Value {
        self.desk.run(&["sync", "--json", "-q"]).ends(status).json()
    }

    /// Writes records of a table at the site.
    fn put(&self, table: &str, data: &str) {
        self.desk.feed(&["records", "put", table, "-q"], data).ends(0);
    }

    /// Writes records of a table at central.
    fn put_at_central(&self, table: &str, data: &str) {
        self.desk.feed(&["--db", "central.sqlite", "records", "put", table, "-q"], data).ends(0);
    }

    /// Writes an asset of this site's store.
    fn put_asset(&self, id: &str, notes: &str) {
        let (store, at) = (&self.store, "2026-11-23T08:00:00");
        self.put(
            "asset",
            &format!(
                r#"{{"id":"{id}","notes":"{notes}","store_id":"{store}","created_datetime":"{at}","modified_datetime":"{at}"}}"#
            ),
        );
    }

    /// The site loses a record, so that central's next record names a missing one.
    fn lose_a_parent(&self) {
        self.put_at_central("property", PROPERTY);
        self.sync(0);
        self.damage("DELETE FROM sync_record WHERE table_name = 'property'");
        self.put_at_central("name_property", NAME_PROPERTY);
        assert_eq!(self.sync(1)["quarantined"], 1);
    }

    /// Stops the central server. From then on nobody answers there, no other test's server either.
    fn stop_central(&self) {
        self.server.terminate();
        self.held_port.set(hold_port(self.server.socket_address())).expect("it is stopped once");
    }

    /// The output of a command for people: it ends with this status, and fits 80 columns.
    fn says(&self, args: &[&str], status: i32) -> String {
        fits(&self.desk.run(args).ends(status))
    }

    fn json(&self, args: &[&str], status: i32) -> serde_json::Value {
        self.desk.run(&[args, &["--json"]].concat()).ends(status).json()
    }

    /// Damages the site's database behind the program's back.
    fn damage(&self, sql: &str) {
        let file = rusqlite::Connection::open(self.desk.path("oms-sync.sqlite")).expect("the site's database");
        assert!(file.execute(sql, ()).expect("SQL") > 0, "nothing was damaged: {sql}");
    }
}

/// The text, of which no line is longer than 80 columns.
fn fits(said: &Said) -> String {
    for line in said.out.lines() {
        assert!(line.chars().count() <= 80, "too long for 80 columns: {line:?}");
    }
    said.out.clone()
}

/// All words in lines that may have been folded.
#[track_caller]
fn holds(text: &str, words: &[&str]) {
    let plain = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for word in words {
        assert!(plain.contains(word), "{word:?} is not in: {text}");
    }
}

const PROPERTY: &str =
    r#"{"id":"population","key":"population","name":"Population","value_type":"INTEGER","allowed_values":null}"#;
const NAME_PROPERTY: &str = r#"{"id":"np","property_id":"population","remote_editable":true}"#;
