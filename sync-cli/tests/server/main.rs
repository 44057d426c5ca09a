//! The server with its administrator and hostile clients: real processes, real sockets.

mod administrator;
mod backups;
mod browser;
mod client;
mod continuous_copy;
mod crowd;
mod files;
mod limits;
mod moved_store;
mod release_3;
mod restored_list;
mod seeds;
mod settings;
mod site_alarms;
mod site_list;
mod stop;
#[allow(dead_code, reason = "each test binary uses a part of it")]
#[path = "../support/mod.rs"]
mod support;
mod tls;
mod webdriver;

use self::support::{Desk, Server};

/// A central server with the site `clinic`, whose store is `STORE`.
fn central(flags: &[&str]) -> (Desk, Server) {
    let desk = Desk::new();
    desk.run(&["--db", "central.sqlite", "site", "add", "clinic", "--password-file", "pw"]).ends(0);
    let add = ["--db", "central.sqlite", "store", "add", "Clinic", "--code", "C", "--site", "clinic", "--id", "STORE"];
    desk.run(&add).ends(0);
    let server = desk.serve_with("central.sqlite", flags);
    (desk, server)
}
