//! Sites that the local list checks.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sync_core::central::{Central, SiteRegistry};
use sync_core::protocol::PasswordHash;
use sync_core::record::{Cursor, SiteId};
use sync_core::storage::{CycleLock, MemoryStorage, ReadTxn, Storage, WriteTxn};
use sync_core::{NoopObserver, Replica, SyncOptions};
use sync_tests::world::{CentralEnd, Kind, PASSWORD, asset};

use super::{TestClock, credentials, credentials_of, json, pull_request, refusal, status_request};

const HERE: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)));
const ELSEWHERE: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2)));

fn central_of(storage: Arc<dyn Storage>, clock: Arc<TestClock>) -> (Central, SiteRegistry) {
    let replica = Replica::builder().clock(clock.clone()).with_storage(storage.clone());
    let sites = replica.site_registry().unwrap();
    (replica.stand_alone_central(), sites)
}

#[test]
fn too_many_refusals_make_one_site_wait_at_one_address() {
    let clock = Arc::new(TestClock::default());
    let (central, sites) = central_of(Arc::new(MemoryStorage::new()), clock.clone());
    for name in ["a", "b"] {
        sites.add(name, &PasswordHash::of_password(PASSWORD)).unwrap();
    }
    let ask = |credentials: &str, from| central.answer_to(&status_request(credentials), from).response;
    assert!(json(&ask(&credentials("a"), HERE)).get("data").is_some(), "known from now on");
    let guess = credentials_of("a", "guess", "machine-a", "2.19.0");
    let refused = |from| refusal(&ask(&guess, from));
    for _ in 0..10 {
        assert!(refused(HERE).contains("code: 'SiteIncorrectPassword'"));
    }
    let waits = refused(HERE);
    assert!(waits.contains("code: 'SiteAuthTimeout'") && waits.contains("try again in 30 s"), "{waits}");
    assert!(refused(ELSEWHERE).contains("code: 'SiteIncorrectPassword'"));
    assert!(json(&ask(&credentials("a"), HERE)).get("data").is_some(), "the site itself is not kept out");
    assert!(json(&ask(&credentials("b"), HERE)).get("data").is_some(), "nor any other");
    clock.pass(Duration::from_secs(31));
    assert!(refused(HERE).contains("code: 'SiteIncorrectPassword'"), "one more");
    assert!(refused(HERE).contains("code: 'SiteAuthTimeout'"));
}

#[test]
fn the_v5_questions_count_too() {
    let clock = Arc::new(TestClock::default());
    let (central, sites) = central_of(Arc::new(MemoryStorage::new()), clock);
    sites.add("a", &PasswordHash::of_password(PASSWORD)).unwrap();
    let mut headers = sync_core::protocol::v5::SiteHeaders {
        site_name: "a".to_owned(),
        password: PasswordHash::of_password("guess"),
        hardware_id: "m".to_owned(),
        app: sync_core::protocol::AppIdentity::default(),
        version: 14,
    };
    let mut ask = |password: &str| {
        headers.password = PasswordHash::of_password(password);
        let mut request = super::post("/sync/v5/site", "");
        request.method = sync_core::transport::Method::Get;
        request.headers = headers.to_headers();
        central.answer_to(&request, HERE).response
    };
    for _ in 0..10 {
        assert_eq!(ask("guess").status, 401);
    }
    let waits = ask(PASSWORD);
    assert_eq!((waits.status, waits.header("retry-after")), (429, Some("30")));
}

#[test]
fn a_machine_is_bound_at_first_and_another_let_in_after_a_reset() {
    let end = CentralEnd::over(Kind::Memory);
    end.add_site("a");
    let on = |machine: &str| end.central.handle(&status_request(&credentials_of("a", PASSWORD, machine, "2.19.0")));
    refusal(&on(""));
    assert!(json(&on("machine-1")).get("data").is_some());
    assert!(refusal(&on("machine-2")).contains("code: 'SiteIncorrectHardwareId'"));
    end.sites.reset_hardware("a").unwrap();
    assert!(json(&on("machine-2")).get("data").is_some());
    assert!(refusal(&on("machine-1")).contains("code: 'SiteIncorrectHardwareId'"));
}

#[test]
fn another_sites_credentials_are_that_sites() {
    let end = CentralEnd::over(Kind::Memory);
    end.add_site("a");
    end.add_site("b");
    for name in ["a", "b"] {
        assert!(json(&end.central.handle(&status_request(&credentials(name)))).get("data").is_some());
    }
    let stolen = credentials_of("b", PASSWORD, "machine-a", "2.19.0");
    assert!(refusal(&end.central.handle(&status_request(&stolen))).contains("code: 'SiteIncorrectHardwareId'"));
}

#[test]
fn a_new_password_counts_at_once() {
    let end = CentralEnd::over(Kind::Memory);
    end.add_site("a");
    assert!(json(&end.central.handle(&status_request(&credentials("a")))).get("data").is_some());
    end.sites.add("a", &PasswordHash::of_password("another")).unwrap();
    assert!(refusal(&end.central.handle(&status_request(&credentials("a")))).contains("SiteIncorrectPassword"));
    let new = credentials_of("a", "another", "machine-a", "2.19.0");
    assert!(json(&end.central.handle(&status_request(&new))).get("data").is_some());
    end.sites.add_store("x", "x", "a", None).unwrap();
}

/// A storage that lets another process do something just before a transaction that writes.
pub(super) struct Interfered {
    pub(super) inner: Arc<dyn Storage>,
    pub(super) before_write: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Storage for Interfered {
    fn read(&self) -> sync_core::Result<Box<dyn ReadTxn + '_>> {
        self.inner.read()
    }

    fn write(&self) -> sync_core::Result<Box<dyn WriteTxn + '_>> {
        let before = self.before_write.lock().unwrap().take();
        if let Some(before) = before {
            before();
        }
        self.inner.write()
    }

    fn lock_cycle(&self) -> sync_core::Result<CycleLock> {
        self.inner.lock_cycle()
    }
}

/// Central over a storage in which somebody sets another password for site `a` just before central's next write.
fn interfered(bound: bool) -> (Central, SiteRegistry) {
    let inner: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let clock = Arc::new(TestClock::default());
    let replica = Replica::builder().clock(clock.clone()).with_storage(inner.clone());
    let sites = replica.site_registry().unwrap();
    sites.add("a", &PasswordHash::of_password(PASSWORD)).unwrap();
    let other = replica.site_registry().unwrap();
    let storage = Arc::new(Interfered { inner, before_write: Mutex::default() });
    let central = Replica::builder().clock(clock).with_storage(storage.clone()).stand_alone_central();
    if bound {
        assert!(json(&central.handle(&status_request(&credentials("a")))).get("data").is_some());
    }
    *storage.before_write.lock().unwrap() = Some(Box::new(move || {
        other.add("a", &PasswordHash::of_password("new")).unwrap();
    }));
    (central, sites)
}

#[test]
fn a_password_that_is_set_while_a_machine_is_bound_stays() {
    let (central, sites) = interfered(false);
    assert!(refusal(&central.handle(&status_request(&credentials("a")))).contains("SiteIncorrectPassword"));
    assert_eq!(sites.list().unwrap()[0].hardware_id, None, "nobody was let in, so nobody is bound");
    let new = credentials_of("a", "new", "machine-a", "2.19.0");
    assert!(json(&central.handle(&status_request(&new))).get("data").is_some());
}

#[test]
fn a_password_that_is_set_while_a_first_pull_is_noted_stays() {
    let (central, sites) = interfered(true);
    let mut first = pull_request(&credentials("a"), 0, 100);
    first.body =
        String::from_utf8(first.body).unwrap().replace(r#""isInitialised":true"#, r#""isInitialised":false"#).into();
    assert!(json(&central.handle(&first)).get("data").is_some());
    assert!(sites.list().unwrap()[0].last_pull_at.is_some());
    let new = credentials_of("a", "new", "machine-a", "2.19.0");
    assert!(json(&central.handle(&status_request(&new))).get("data").is_some(), "the new password counts");
}

#[test]
fn no_secret_is_shown_by_what_holds_it() {
    let end = CentralEnd::over(Kind::Memory);
    end.add_site("a");
    let request = status_request(&credentials("a"));
    let credentials: sync_core::protocol::v6::SiteStatusRequest = serde_json::from_slice(&request.body).unwrap();
    let shown = format!("{request:?} {credentials:?} {:?} {:?}", end.central, end.sites);
    let hash = PasswordHash::of_password(PASSWORD);
    assert!(!shown.contains(hash.expose()) && !shown.contains("machine-a"), "{shown}");
    let stored = end.storage.read().unwrap().central().unwrap().site_named("a").unwrap().unwrap();
    assert!(stored.secret.starts_with("$argon2id$") && !stored.secret.contains(hash.expose()));
    assert_eq!((stored.id, end.storage.read().unwrap().last_cursor().unwrap() > Cursor(0)), (SiteId(2), true));
}

/// What came from a site bears its number: another site with that number would never be sent it.
#[test]
fn the_number_of_a_site_that_was_removed_is_not_given_out_again() {
    let end = CentralEnd::over(Kind::Memory);
    let number = |name: &str| end.sites.add(name, &PasswordHash::of_password(PASSWORD)).unwrap().id;
    let (first, last) = (number("a"), number("b"));
    assert!(first < last);
    end.sites.remove("b").unwrap();
    assert!(number("c") > last);
    assert_eq!(number("a"), first);
}

/// Its database knows it by its UUID, and has what it has not sent yet.
#[test]
fn a_site_that_was_removed_comes_back_as_the_same_one() {
    let end = CentralEnd::over(Kind::Memory);
    let (a, b) = (end.new_site("a"), end.new_site("b"));
    a.sync();
    b.sync();
    let before = end.sites.list().unwrap().into_iter().find(|site| site.name == "a").unwrap();
    a.records.put("asset", [asset("x", "STORE_a", "not sent yet")]).unwrap();
    assert_eq!(end.sites.move_stores("a", "b").unwrap(), 1);
    end.sites.remove("a").unwrap();
    assert_eq!(end.sites.removed("a").unwrap(), Some(before.id));
    let shown: Vec<String> = end.central.view().unwrap().sites.into_iter().map(|site| site.name).collect();
    assert_eq!(shown, ["b"], "who comes no more is not silent");
    let away = a.site.sync(&SyncOptions::default(), &mut NoopObserver).unwrap();
    assert_eq!(away.error.as_ref().map(sync_core::Error::code), Some("site_name_not_found"));

    let back = end.sites.add("a", &PasswordHash::of_password(PASSWORD)).unwrap();
    assert_eq!((back.id, &back.uuid, end.sites.removed("a").unwrap()), (before.id, &before.uuid, None));
    end.sites.add_store("a", "a", "a", Some("STORE_a".into())).unwrap();
    assert_eq!(a.sync().pushed, 1);
    end.central.integrate_waiting().unwrap();
    assert!(end.records.get("asset", "x").unwrap().is_some(), "what it had not sent arrives");
    a.sync();
}

/// Sites of Open mSupply leave these stores out, and nobody could work in one.
#[test]
fn a_store_that_no_site_takes_is_not_added() {
    let end = CentralEnd::over(Kind::Memory);
    end.add_site("a");
    for code in ["HIS", "SM", "DRG"] {
        let refused = end.sites.add_store("Clinic", code, "a", None).unwrap_err();
        assert_eq!(refused.code(), "bad_input");
        assert!(refused.to_string().contains(code) && refused.to_string().contains("choose another code"), "{refused}");
    }
    for code in ["SMITH", "his"] {
        end.sites.add_store("Clinic", code, "a", None).unwrap();
    }
}
