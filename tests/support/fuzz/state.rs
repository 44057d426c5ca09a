//! Settings and cursors that another program changed.
//!
//! An input is a list of lines `key=value`, each a row of the site's state. A value is text as it stands, with `\n` for
//! the end of a line, and is cut at 500 characters: what a site's administrator sets is not the other end's to blow up.

use sync_core::storage::Storage;
use sync_core::{Error, ErrorClass, NoopObserver, Replica};
use url::Url;

use super::promises::{assert_error, assert_message};
use super::small_world::{B, SmallWorld, cycle, good_cycle};
use crate::world::{SiteEnd, asset, get};

/// Rows that a site has.
pub(super) const KEYS: &[&str] = &[
    "legacy_url",
    "site_name",
    "password_sha256",
    "hardware_id",
    "site_uuid",
    "site_id",
    "role",
    "central_url",
    "central_url_confirmed",
    "central_url_answered",
    "legacy_site_id",
    "discovered_at",
    "initialised_at",
    "pull_cursor_v6",
    "push_cursor_v6",
    "push_confirmed_v6",
    "push_unconfirmed",
    "pull_cursor_central",
    "legacy_position_seen",
    "pull_own",
    "library_version",
    "lost",
    "recovered",
    "recovered_once",
    "recovering_from",
    "central_lost_known",
    "push_marks",
    "resend",
];

/// Positions that every cycle of a settled site reads.
const CURSORS: &[&str] = &[
    "pull_cursor_v6",
    "push_cursor_v6",
    "pull_cursor_central",
    "legacy_position_seen",
    "recovered",
    "central_lost_known",
];

/// True if a text is invalid for its row: a position, or pairs of numbers.
fn is_damaged(name: &str, text: &str) -> bool {
    let is_pair = |line: &str| {
        line.split_once(' ').is_some_and(|(one, other)| [one, other].iter().all(|n| n.parse::<u64>().is_ok()))
    };
    match name {
        "lost" | "push_marks" => !text.lines().all(is_pair),
        "resend" => !text.is_empty() && !is_pair(text),
        _ => CURSORS.contains(&name) && text.parse::<u64>().ok().is_none_or(|at| at >= i64::MAX as u64),
    }
}

fn set(storage: &dyn Storage, rows: &[(&'static str, String)]) {
    let txn = storage.write().expect("a transaction");
    for (name, value) in rows {
        txn.set_state(name, value).expect("a state");
    }
    txn.commit().expect("states");
}

pub(super) fn run(input: &[u8]) {
    let world = SmallWorld::new();
    world.put_class("before");
    let site = world.set_up(B);
    good_cycle(&site, "the first cycle");
    site.records.put("asset", [asset("edit", B.2, "made at the site")]).expect("an edit");
    good_cycle(&site, "a second cycle");
    let sound: Vec<(&'static str, String)> = {
        let txn = site.storage.read().expect("a transaction");
        KEYS.iter().filter_map(|name| Some((*name, txn.state(name).expect("a state")?))).collect()
    };
    let text = String::from_utf8_lossy(input);
    let rows = text.lines().take(20).filter_map(|line| {
        let (name, value) = line.split_once('=')?;
        let value: String = value.replace("\\n", "\n").chars().take(500).collect();
        Some((*KEYS.iter().find(|key| **key == name)?, value))
    });
    let rows: Vec<(&'static str, String)> = rows.collect();
    set(site.storage.as_ref(), &rows);
    let said = everything_that_reads_state(&site);
    assert_says_what_is_wrong(&site, &said, &rows);

    // Put right again, nothing of it stays.
    set(site.storage.as_ref(), &sound);
    let absent = KEYS.iter().filter(|name| sound.iter().all(|(key, _)| key != *name));
    let right = |name: &'static str| match name {
        "legacy_site_id" => (name, "1".to_owned()),
        "push_confirmed_v6" => (name, "0".to_owned()),
        name if CURSORS.contains(&name) => (name, "0".to_owned()),
        _ => (name, String::new()),
    };
    set(site.storage.as_ref(), &absent.map(|name| right(name)).collect::<Vec<_>>());
    site.records.put("asset", [asset("later", B.2, "made at the site")]).expect("an edit");
    world.put_class("later");
    good_cycle(&site, "put right");
    good_cycle(&site, "put right, and once more");
    assert!(site.get("asset_class", "later").is_some() && get(&world.records, "asset", "later").is_some());
}

/// The errors of everything that reads the state: its status, a request to each server, a write, and a cycle.
fn everything_that_reads_state(site: &SiteEnd) -> Vec<Error> {
    let mut errors = Vec::new();
    errors.extend(Replica::with_storage(site.storage.clone()).status().err());
    errors.extend(site.site.probe_central(&mut NoopObserver).err());
    errors.extend(site.records.put("asset", [asset("edit", B.2, "again")]).err());
    match cycle(site) {
        Ok(report) => {
            for warning in &report.warnings {
                assert_message(&warning.to_string());
            }
            errors.extend(report.error);
        }
        Err(error) => errors.push(error),
    }
    errors.extend(site.site.discover(&mut NoopObserver).err());
    for error in &errors {
        assert_error(error);
    }
    errors
}

fn assert_says_what_is_wrong(site: &SiteEnd, said: &[Error], rows: &[(&'static str, String)]) {
    let last = |name: &str| rows.iter().rev().find(|(key, _)| *key == name).map(|(_, value)| value.as_str());
    let codes: Vec<&str> = said.iter().map(Error::code).collect();
    // One fault may hide others: each row is tested alone too.
    let is_alone = |name: &str| rows.iter().all(|(key, _)| *key == name);
    for name in KEYS {
        let Some(bad) = last(name).filter(|text| is_damaged(name, text)) else { continue };
        if is_alone(name) {
            let named = said.iter().any(|error| matches!(error, Error::DamagedState { what } if what == name));
            assert!(named, "{name} is {bad:?}, and that is said: {codes:?}");
            let stays = site.storage.read().and_then(|txn| txn.state(name)).expect("a state");
            assert_eq!(stays.as_deref(), Some(bad), "{name} is left to be seen");
        } else if ["pull_cursor_v6", "push_cursor_v6"].contains(name) {
            assert!(codes.contains(&"damaged_state"), "{name} is {bad:?}, and that is said: {codes:?}");
        }
    }
    let usable = |text: &str| Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    if let Some(bad) = last("legacy_url").filter(|text| !usable(text)) {
        assert!(codes.contains(&"invalid_url"), "the address {bad:?}: {codes:?}");
    }
    // None of this is the fault of a correct server.
    let peer = said.iter().find(|error| error.class() == ErrorClass::PeerFault);
    if let Some(error) = peer {
        panic!("a good server is blamed: {} {error}", error.code());
    }
}
