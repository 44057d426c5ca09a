//! Two running copies of one site's database.

use std::ops::ControlFlow;
use std::sync::Arc;

use sync_core::central::RefusedCopy;
use sync_core::protocol::PasswordHash;
use sync_core::record::RecordData;
use sync_core::storage::{MemoryStorage, Storage as _, state};
use sync_core::support::CentralAlarm;
use sync_core::support::doctor::{Check, CheckOutcome};
use sync_core::{Error, NoopObserver, Records, Replica, Settings, Site, SyncOptions, SyncReport};
use sync_testkit::legacy_server::PASSWORD;
use sync_tests::world::{self, CentralEnd, Kind, data};

use crate::legacy_half::{Country, End};

fn asset(country: &Country, id: &str, notes: &str) -> RecordData {
    let store = &country.world.sites[0].store_id;
    data(&format!(
        r#"{{"id":"{id}","store_id":"{store}","notes":"{notes}","created_datetime":"2026-01-01T00:00:00","modified_datetime":"2026-01-01T00:00:00"}}"#
    ))
}

/// A copy of a database with all files beside it, such as a virtual machine: it does not count as restored.
fn copy(country: &Country, of: &End) -> End {
    End::over(Arc::new(of.storage.duplicate()), country.line.clone())
}

fn code(report: &SyncReport) -> Option<&'static str> {
    report.error.as_ref().map(Error::code)
}

fn set_up_again(end: &End) {
    let settings =
        Settings::new("http://legacy.example.org", "district_a", PasswordHash::of_password(PASSWORD)).https_only(false);
    end.site.set_up(&settings, &mut NoopObserver).unwrap();
}

#[test]
fn one_of_two_living_copies_goes_on_and_the_other_is_told() {
    let country = Country::new();
    let a = country.site("district_a");
    a.records.put("asset", [asset(&country, "before", "of both")]).unwrap();
    a.sync();
    let b = copy(&country, &a);
    a.records.put("asset", [asset(&country, "of a", "1")]).unwrap();
    b.records.put("asset", [asset(&country, "of b", "1")]).unwrap();
    a.sync();
    assert_eq!(code(&b.cycle()), Some("database_copied"));
    country.central.sync();
    assert_eq!(country.central.get("asset", "of b"), None);
    // It stays refused, and the other copy continues and learns of it.
    assert_eq!(code(&b.cycle()), Some("database_copied"));
    a.records.put("asset", [asset(&country, "of a", "2")]).unwrap();
    let report = a.sync();
    assert!(
        report.warnings.iter().any(|warning| warning.to_string().contains("another copy")),
        "{:?}",
        report.warnings
    );
    assert!(b.get("asset", "of b").is_some(), "nothing is lost there");

    // A person who decides for the other copy sets it up again: it reads the records of the first one, and sends its
    // own.
    set_up_again(&b);
    b.sync();
    b.sync();
    assert!(b.get("asset", "of a").unwrap().contains("\"2\""));
    assert!(country.central.get("asset", "of b").is_some());
    a.records.put("asset", [asset(&country, "of a", "3")]).unwrap();
    assert_eq!(code(&a.cycle()), Some("database_copied"));
    assert!(state::COPY_GOES_ON.get(b.storage.read().unwrap().as_ref()).unwrap().is_none());
}

/// No site gets its own records later, so what a copy of the former database sent after that would not reach the new one.
#[test]
fn a_database_that_was_set_up_has_all_that_central_accepted_of_the_former_one() {
    let country = Country::new();
    let former = country.site("district_a");
    former.records.put("asset", [asset(&country, "of the former", "1")]).unwrap();
    former.sync();
    let new = country.fresh("district_a");
    former.records.put("asset", [asset(&country, "of the former", "2")]).unwrap();
    assert_eq!(former.sync().pushed, 1, "the new one has read nothing yet");

    new.sync();
    former.records.put("asset", [asset(&country, "of the former", "3")]).unwrap();
    let held_back = former.cycle();
    assert_eq!(code(&held_back), Some("copy_undecided"), "one pull alone may be a late one");
    let said = held_back.error.as_ref().map(ToString::to_string).unwrap_or_default();
    assert!(said.contains("another database of site") && said.contains("was set up at"), "{said}");
    new.sync();
    assert_eq!(code(&former.cycle()), Some("database_copied"));
    assert!(new.get("asset", "of the former").unwrap().contains("\"2\""));

    new.records.put("asset", [asset(&country, "of the new", "1")]).unwrap();
    let report = new.sync();
    assert_eq!(report.pushed, 1);
    assert!(report.warnings.iter().any(|warning| warning.to_string().contains("another copy")));
    country.central.sync();
    for (id, notes) in [("of the former", "\"2\""), ("of the new", "\"1\"")] {
        assert!(country.central.get("asset", id).unwrap().contains(notes));
    }
}

/// It may have been replaced since it asked last, and not know that.
#[test]
fn a_database_that_is_set_up_again_reads_what_another_one_sent_meanwhile() {
    let country = Country::new();
    let first = country.site("district_a");
    let second = copy(&country, &first);
    set_up_again(&second);
    second.records.put("asset", [asset(&country, "of the second", "1")]).unwrap();
    second.sync();
    set_up_again(&first);
    first.sync();
    assert!(first.get("asset", "of the second").is_some());
    first.records.put("asset", [asset(&country, "of the first", "1")]).unwrap();
    assert_eq!(first.sync().pushed, 1, "it continues");
    assert_eq!(code(&second.cycle()), Some("database_copied"));
}

/// Before its first push it has nothing that another push could follow.
#[test]
fn a_former_database_that_never_pushed_is_told_too() {
    let country = Country::new();
    let former = country.site("district_a");
    let new = country.site("district_a");
    new.records.put("asset", [asset(&country, "of the new", "1")]).unwrap();
    new.sync();
    assert_eq!(code(&former.cycle()), Some("database_copied"));

    let copied = copy(&country, &new);
    new.records.put("asset", [asset(&country, "of the new", "2")]).unwrap();
    new.sync();
    assert_eq!(code(&copied.cycle()), Some("database_copied"));
}

/// A copy that only reads would never learn of the other copy's pushes.
#[test]
fn a_copy_that_only_reads_is_told_too() {
    let country = Country::new();
    let a = country.site("district_a");
    a.records.put("asset", [asset(&country, "before", "of both")]).unwrap();
    a.sync();
    let b = copy(&country, &a);
    for end in [&a, &b] {
        end.sync();
    }
    a.records.put("asset", [asset(&country, "of a", "1")]).unwrap();
    a.sync();
    assert_eq!(code(&b.cycle()), Some("database_copied"));
    a.sync();
    assert_eq!(code(&b.cycle()), Some("database_copied"));
}

/// A restored backup continues, and the database from which it was made, if that still runs, does not.
#[test]
fn a_backup_that_was_put_back_goes_on_though_it_has_nothing_to_send() {
    let country = Country::new();
    let a = country.site("district_a");
    a.records.put("asset", [asset(&country, "x", "1")]).unwrap();
    a.sync();
    let backup = a.storage.backup();
    a.records.put("asset", [asset(&country, "x", "2")]).unwrap();
    a.sync();
    let original = copy(&country, &a);
    a.storage.restore(&backup);
    for _ in 0..3 {
        a.sync();
    }
    assert!(a.get("asset", "x").unwrap().contains("\"2\""));
    a.records.put("asset", [asset(&country, "x", "3")]).unwrap();
    a.sync();
    assert_eq!(code(&original.cycle()), Some("database_copied"));
    a.sync();
}

/// One backup on two machines: also where it holds the id of a push that was on its way.
#[test]
fn two_machines_with_one_backup_are_told_apart() {
    for chosen in ["", "chosen before the backup"] {
        let country = Country::new();
        let a = country.site("district_a");
        a.records.put("asset", [asset(&country, "x", "1")]).unwrap();
        a.sync();
        let txn = a.storage.write().unwrap();
        state::PUSH_UNDER_WAY.set(txn.as_ref(), chosen).unwrap();
        txn.commit().unwrap();
        let backup = a.storage.backup();
        a.records.put("asset", [asset(&country, "x", "2")]).unwrap();
        a.sync();
        let b = copy(&country, &a);
        for (end, id) in [(&a, "of a"), (&b, "of b")] {
            end.storage.restore(&backup);
            end.records.put("asset", [asset(&country, id, "1")]).unwrap();
        }
        a.sync();
        assert_eq!(code(&b.cycle()), Some("database_copied"), "{chosen:?}");
        a.sync();
        country.central.sync();
        assert!(country.central.get("asset", "of a").is_some());
        assert_eq!(country.central.get("asset", "of b"), None);
    }
}

/// A snapshot of central's whole folder includes its watermark, so central does not know that it was restored.
#[test]
fn central_that_was_put_back_from_a_snapshot_stops_no_site() {
    let country = Country::new();
    let a = country.site("district_a");
    let put = |end: &End, notes: &str| end.records.put("asset", [asset(&country, "x", notes)]).unwrap();
    put(&a, "1");
    a.sync();
    let name = format!("copies_of_site_{}", country.world.sites[0].site_id);
    let snapshot = country.central.storage.read().unwrap().state(&name).unwrap().expect("a push was taken");
    for notes in ["2", "3"] {
        put(&a, notes);
        a.sync();
    }
    let b = copy(&country, &a);
    let txn = country.central.storage.write().unwrap();
    txn.set_state(&name, &snapshot).unwrap();
    txn.commit().unwrap();
    a.sync();
    put(&a, "4");
    a.sync();
    country.central.sync();
    assert!(country.central.get("asset", "x").unwrap().contains("\"4\""));
    // Copies are distinguished as before.
    put(&b, "of b");
    assert_eq!(code(&b.cycle()), Some("database_copied"));
}

#[test]
fn a_push_that_is_sent_again_is_no_copy() {
    use sync_core::transport::{HttpRequest, HttpResponse, Transport, TransportError};

    /// A line on which the answers to the first pushes are lost.
    struct Lossy(Arc<dyn Transport>, std::sync::atomic::AtomicU32);

    impl Transport for Lossy {
        fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
            let answer = self.0.send(request);
            let is_push = request.url.ends_with("/central/sync/push");
            if is_push && self.1.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < 8 {
                return Err(TransportError::TimedOut("planned".into()));
            }
            answer
        }
    }

    let country = Country::new();
    let line = Arc::new(Lossy(country.line.clone(), 0.into()));
    let a = End::over(Arc::new(MemoryStorage::new()), line);
    a.set_up("district_a").unwrap();
    a.cycle();
    for number in 0..6 {
        a.records.put("asset", [asset(&country, &format!("a{number}"), "1")]).unwrap();
        let report = a.cycle();
        assert_ne!(code(&report), Some("database_copied"));
    }
    a.sync();
    country.central.sync();
    for number in 0..6 {
        assert!(country.central.get("asset", &format!("a{number}")).is_some(), "{number}");
    }
}

/// What the check for copies says, and whether it is a fault, a warning or nothing.
fn doctor_says(site: &Site) -> (CheckOutcome, String) {
    let mut each = |_: &Check| ControlFlow::Continue(());
    let found = site.support().doctor(Vec::new(), &mut each, &mut NoopObserver).unwrap();
    let check = found.checks.iter().find(|check| check.name == "copies").expect("it is checked");
    let advice = check.finding.as_ref().map(|finding| finding.advice.to_string());
    (check.outcome, format!("{} {}", check.says, advice.unwrap_or_default()))
}

#[test]
fn doctor_says_at_all_ends_which_copy_goes_on() {
    let central = CentralEnd::over(Kind::Memory);
    let a = central.new_site("a");
    let put =
        |records: &Records, id: &str| records.put("asset", [sync_tests::world::asset(id, "STORE_a", "")]).unwrap();
    a.sync();
    put(&a.records, "before");
    a.sync();
    let replica = Replica::with_storage(central.storage.clone());
    let of_central = replica.site(central.transport());
    assert_eq!((central.central.refused_copies().unwrap(), replica.status().unwrap().alarms), (vec![], vec![]));
    for site in [&a.site, &of_central] {
        assert_eq!(doctor_says(site).0, CheckOutcome::Ok);
    }
    let copy = Replica::with_storage(Arc::new(central.memory("a").duplicate()));
    let copied = copy.site(central.transport());
    put(&a.records, "of a");
    a.sync();
    put(&copy.records(), "of the copy");
    assert_eq!(code(&copied.sync(&SyncOptions::default(), &mut NoopObserver).unwrap()), Some("database_copied"));
    // A cycle with nothing to send learns of the refused copy too, and tells of it once.
    let told = |report: &SyncReport| report.warnings.iter().any(|warning| warning.to_string().contains("another copy"));
    assert_eq!([told(&a.sync()), told(&a.sync())], [true, false]);
    let (outcome, says) = doctor_says(&a.site);
    assert_eq!(outcome, CheckOutcome::Warning);
    assert!(says.contains("this copy goes on"), "{says}");
    put(&a.records, "of a, later");
    a.sync();
    // Visits are stored later; a refusal is known at once.
    let refused = central.central.refused_copies().unwrap();
    let [RefusedCopy { name, goes_on_since, refused_at, .. }] = &refused[..] else { panic!("{refused:?}") };
    assert!(name == "a" && goes_on_since >= refused_at);
    let warnings = replica.status().unwrap().alarms;
    let [warning @ CentralAlarm::CopyRefused { .. }] = &warnings[..] else { panic!("{warnings:?}") };
    assert!(warning.to_string().contains("The people at that site must find the other copy"), "{warning}");

    let (outcome, says) = doctor_says(&copied);
    assert_eq!(outcome, CheckOutcome::Fault);
    assert!(says.contains("another copy of this database continues") && says.contains("Stop this copy"), "{says}");
    let (outcome, says) = doctor_says(&a.site);
    assert_eq!(outcome, CheckOutcome::Warning);
    assert!(says.contains("this copy goes on"), "{says}");
    let (outcome, says) = doctor_says(&of_central);
    assert_eq!(outcome, CheckOutcome::Warning);
    assert!(says.contains("site a"), "{says}");
}

/// The administrator lets a site sign in from another machine; its database may well be the same.
#[test]
fn a_reset_of_the_machine_is_no_restore_for_the_database_that_goes_on() {
    for kind in [Kind::Memory, Kind::Sqlite] {
        let end = CentralEnd::over(kind);
        let a = end.new_site("a");
        a.sync();
        let put = |id: &str| assert!(a.records.put("asset", [world::asset(id, "STORE_a", "")]).is_ok());
        put("before");
        a.sync();
        let rests = a.sync();
        assert_eq!((rests.pushed, rests.pulled), (0, 0));
        for id in ["first", "second"] {
            end.sites.reset_hardware("a").unwrap();
            put(id);
            let report = a.sync();
            assert_eq!((report.pushed, report.pulled, report.warnings.len()), (1, 0, 0), "{:?}", report.warnings);
            let rests = a.sync();
            assert_eq!((rests.pushed, rests.pulled, rests.warnings.len()), (0, 0, 0), "{:?}", rests.warnings);
        }
    }
}
