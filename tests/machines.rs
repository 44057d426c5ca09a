//! The machine as which a site comes in.

use std::sync::Arc;

use sync_core::protocol::PasswordHash;
use sync_core::storage::{MemoryStorage, Storage as _, state};
use sync_core::{Error, NoopObserver, Replica, Settings, Site, SyncOptions};
use sync_testkit::legacy_server::PASSWORD;

use crate::legacy_half::Country;

const SITE: &str = "district_a";

fn settings(hardware_id: Option<&str>) -> Settings {
    Settings::new("http://legacy.example.org", SITE, PasswordHash::of_password(PASSWORD))
        .https_only(false)
        .hardware_id(hardware_id.map(str::to_owned))
}

/// A database on a machine.
fn on(country: &Country, storage: &Arc<MemoryStorage>, machine: &str) -> Site {
    Replica::builder().machine_id(machine).with_storage(storage.clone()).site(country.line.clone())
}

fn sync(site: &Site) -> Result<(), Error> {
    site.sync(&SyncOptions::default(), &mut NoopObserver).unwrap().error.map_or(Ok(()), Err)
}

fn state(storage: &MemoryStorage, name: &str) -> Option<String> {
    storage.read().unwrap().state(name).unwrap()
}

#[test]
fn a_site_set_up_again_on_its_machine_is_let_in_and_a_copy_on_another_machine_is_not() {
    let country = Country::new();
    let first = Arc::new(MemoryStorage::new());
    let site = on(&country, &first, "machine one");
    site.set_up(&settings(None), &mut NoopObserver).unwrap();
    sync(&site).unwrap();
    assert_eq!(country.legacy.hardware_id(SITE).as_deref(), Some("machine one"));

    let again = Arc::new(MemoryStorage::new());
    on(&country, &again, "machine one").set_up(&settings(None), &mut NoopObserver).unwrap();
    sync(&on(&country, &again, "machine one")).unwrap();

    let elsewhere = on(&country, &first, "machine two");
    assert_eq!(sync(&elsewhere).unwrap_err().code(), "hardware_id_mismatch");
    assert_eq!(elsewhere.set_up(&settings(None), &mut NoopObserver).unwrap_err().code(), "hardware_id_mismatch");
    // The server's administrator frees the site.
    country.legacy.reset_hardware_id(SITE);
    assert_eq!(sync(&elsewhere).unwrap_err().code(), "database_copied", "the other one was set up after it");
    elsewhere.set_up(&settings(None), &mut NoopObserver).unwrap();
    sync(&elsewhere).unwrap();
    assert_eq!(sync(&site).unwrap_err().code(), "hardware_id_mismatch");
}

#[test]
fn a_database_made_before_keeps_its_id_until_that_is_refused() {
    let country = Country::new();
    let old = Arc::new(MemoryStorage::new());
    let site = on(&country, &old, "machine one");
    site.set_up(&settings(Some("made by chance")), &mut NoopObserver).unwrap();
    let txn = old.write().unwrap();
    // As a version before left it.
    state::named("hardware_id_from").set(txn.as_ref(), "").unwrap();
    txn.commit().unwrap();
    sync(&site).unwrap();
    assert_eq!(country.legacy.hardware_id(SITE).as_deref(), Some("made by chance"));
    assert_eq!(state(&old, state::HARDWARE_ID.name()).as_deref(), Some("made by chance"));

    // Another database of this machine was accepted since, with the machine's own id.
    country.legacy.reset_hardware_id(SITE);
    let new = Arc::new(MemoryStorage::new());
    on(&country, &new, "machine one").set_up(&settings(None), &mut NoopObserver).unwrap();
    sync(&site).unwrap();
    assert_eq!(state(&old, "hardware_id_from").as_deref(), Some("machine"));
    assert_eq!(sync(&on(&country, &old, "machine two")).unwrap_err().code(), "hardware_id_mismatch");
}

#[test]
fn an_id_that_somebody_chose_stays() {
    let country = Country::new();
    let storage = Arc::new(MemoryStorage::new());
    on(&country, &storage, "machine one").set_up(&settings(Some("chosen")), &mut NoopObserver).unwrap();
    // On the machine for which it was chosen; on another one see below.
    on(&country, &storage, "machine one").set_up(&settings(None), &mut NoopObserver).unwrap();
    sync(&on(&country, &storage, "machine one")).unwrap();
    assert_eq!(country.legacy.hardware_id(SITE).as_deref(), Some("chosen"));
    country.legacy.reset_hardware_id(SITE);
    on(&country, &Arc::new(MemoryStorage::new()), "machine one").set_up(&settings(None), &mut NoopObserver).unwrap();
    assert_eq!(sync(&on(&country, &storage, "machine one")).unwrap_err().code(), "hardware_id_mismatch");
}

/// A chosen id identifies only the machine for which it was chosen.
#[test]
fn a_chosen_id_does_not_go_with_a_copy_to_another_machine() {
    let country = Country::new();
    let first = Arc::new(MemoryStorage::new());
    let site = on(&country, &first, "machine one");
    site.set_up(&settings(Some("chosen")), &mut NoopObserver).unwrap();
    sync(&site).unwrap();
    assert_eq!(country.legacy.hardware_id(SITE).as_deref(), Some("chosen"));
    let copy = Arc::new(first.duplicate());
    let elsewhere = on(&country, &copy, "machine two");
    assert_eq!(sync(&elsewhere).unwrap_err().code(), "hardware_id_mismatch");
    // Who may, says there who it is.
    elsewhere.set_up(&settings(Some("chosen")), &mut NoopObserver).unwrap();
    sync(&elsewhere).unwrap();
    let kept = state(&first, state::HARDWARE_ID_BOUND.name()).unwrap();
    assert!(!kept.is_empty() && !kept.contains("machine one"));

    // As an older version left it: bound to nothing.
    let txn = first.write().unwrap();
    state::HARDWARE_ID_BOUND.set(txn.as_ref(), "").unwrap();
    txn.commit().unwrap();
    let error = sync(&on(&country, &first, "machine two")).unwrap_err();
    assert_eq!(error.code(), "database_copied", "its id is accepted, but the copy was set up after it");
}
