//! The legacy server names another address of central: nothing is sent to another host until somebody has confirmed it. And what of https a
//! new site uses.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use sync_core::protocol::PasswordHash;
use sync_core::site::Step;
use sync_core::storage::{MemoryStorage, Storage as _, state};
use sync_core::transport::{HttpRequest, HttpResponse, Transport, TransportError};
use sync_core::{Error, NoopObserver, Replica, Settings, Site, SyncEvent, SyncOptions};
use sync_tests::world::{CentralEnd, asset, settings};
use url::Url;

/// A line on which every host leads to the same server. The legacy server's part of that names any address for central.
struct Line {
    line: Arc<dyn Transport>,
    told: Mutex<String>,
    /// True if it calls the site a central server.
    says_central: AtomicBool,
    /// How many requests each host got.
    asked: Mutex<BTreeMap<String, usize>>,
}

impl Line {
    fn to(central: &CentralEnd, told: &str) -> Arc<Self> {
        let (asked, says_central) = (Mutex::default(), AtomicBool::new(false));
        Arc::new(Self { line: central.transport(), told: Mutex::new(told.to_owned()), says_central, asked })
    }

    fn tell(&self, address: &str) {
        *self.told.lock().unwrap() = address.to_owned();
    }

    fn asked(&self, host: &str) -> usize {
        self.asked.lock().unwrap().get(host).copied().unwrap_or_default()
    }
}

impl Transport for Line {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        let host = Url::parse(&request.url).unwrap().host_str().unwrap_or_default().to_owned();
        *self.asked.lock().unwrap().entry(host).or_default() += 1;
        let mut response = self.line.send(request)?;
        if request.url.ends_with("/sync/v5/site") {
            let mut site: Value = serde_json::from_slice(&response.body).unwrap();
            site["omSupplyCentralServerUrl"] = self.told.lock().unwrap().clone().into();
            if self.says_central.load(Ordering::Relaxed) {
                site["isOmSupplyCentralServer"] = true.into();
            }
            response.body = site.to_string().into_bytes();
        }
        Ok(response)
    }
}

const LEGACY: &str = "https://legacy.example.org";
const FIRST: &str = "https://one.example.org";
const SECOND: &str = "https://two.example.org";

fn at(legacy_url: &str) -> Settings {
    let mut settings = settings("a");
    settings.legacy_url = legacy_url.to_owned();
    settings.https_only = None;
    settings
}

/// A site that has synchronised once with central at its first address.
fn world() -> (CentralEnd, Arc<Line>, Replica, Site) {
    let central = CentralEnd::new();
    central.add_site("a");
    let line = Line::to(&central, FIRST);
    let replica = Replica::with_storage(Arc::new(MemoryStorage::new()));
    let site = replica.site(line.clone());
    let discovered = site.set_up(&at(LEGACY), &mut NoopObserver).unwrap();
    assert!(!discovered.central_unconfirmed);
    cycle(&site).unwrap();
    (central, line, replica, site)
}

fn cycle(site: &Site) -> Result<Vec<Step>, Error> {
    let report = site.sync(&SyncOptions::default(), &mut NoopObserver).unwrap();
    let steps = report.steps.iter().filter(|step| step.error.is_some()).map(|step| step.name).collect();
    report.error.map_or(Ok(steps), Err)
}

#[test]
fn nothing_goes_to_a_new_host_of_central_until_somebody_confirms_it() {
    let (central, line, replica, site) = world();
    replica.records().put("asset", [asset("a", "STORE_a", "written here")]).unwrap();
    line.tell(SECOND);
    let before = line.asked("one.example.org");
    for _ in 0..2 {
        let error = cycle(&site).unwrap_err();
        assert_eq!((error.code(), error.class().as_str()), ("central_url_unconfirmed", "configure"));
        let text = error.to_string();
        assert!(text.contains(SECOND) && text.contains(FIRST), "{text}");
    }
    assert!(site.discover(&mut NoopObserver).unwrap().central_unconfirmed);
    assert_eq!(site.probe_central(&mut NoopObserver).unwrap_err().code(), "central_url_unconfirmed");
    assert_eq!((line.asked("two.example.org"), line.asked("one.example.org")), (0, before), "nor to the former one");

    let another = site.confirm_central_url("https://three.example.org").unwrap_err();
    assert_eq!(another.code(), "bad_input", "only what the legacy server said");
    site.confirm_central_url("https://two.example.org/").unwrap();
    cycle(&site).unwrap();
    assert!(line.asked("two.example.org") > 0);
    assert!(central.records.get("asset", "a").unwrap().is_some());
    assert!(!site.discover(&mut NoopObserver).unwrap().central_unconfirmed);
    // Back at the former host, somebody has to confirm that again.
    line.tell(FIRST);
    assert_eq!(cycle(&site).unwrap_err().code(), "central_url_unconfirmed");
}

#[test]
fn another_port_needs_no_confirmation_and_no_address_in_between_hides_the_known_one() {
    let (_central, line, _replica, site) = world();
    line.tell("https://one.example.org:8443");
    cycle(&site).unwrap();
    for (told, code) in [("", "central_url_missing"), ("two.example.org", "invalid_url")] {
        line.tell(told);
        assert_eq!(cycle(&site).unwrap_err().code(), code);
        line.tell(SECOND);
        assert_eq!(cycle(&site).unwrap_err().code(), "central_url_unconfirmed", "after {told:?}");
    }
    // The same host without TLS is not what was confirmed either.
    site.set_up(&at(LEGACY).https_only(false), &mut NoopObserver).unwrap();
    line.tell("http://one.example.org:8443");
    assert_eq!(cycle(&site).unwrap_err().code(), "central_url_unconfirmed");
    assert_eq!(line.asked("two.example.org"), 0);
}

#[test]
fn an_answer_that_makes_a_site_a_central_server_confirms_no_address() {
    let (_central, line, _replica, site) = world();
    line.tell(SECOND);
    line.says_central.store(true, Ordering::Relaxed);
    assert!(!site.discover(&mut NoopObserver).unwrap().central_unconfirmed);
    line.says_central.store(false, Ordering::Relaxed);
    assert!(site.discover(&mut NoopObserver).unwrap().central_unconfirmed);
    assert_eq!(cycle(&site).unwrap_err().code(), "central_url_unconfirmed");
    assert_eq!(line.asked("two.example.org"), 0);
}

#[test]
fn who_sets_a_site_up_at_another_legacy_server_vouches_for_its_central_server() {
    let (_central, line, _replica, site) = world();
    line.tell(SECOND);
    assert!(site.set_up(&at(LEGACY), &mut NoopObserver).unwrap().central_unconfirmed, "at the same one nobody does");
    assert_eq!(cycle(&site).unwrap_err().code(), "central_url_unconfirmed");
    let discovered = site.set_up(&at("https://moved.example.org"), &mut NoopObserver).unwrap();
    assert!(!discovered.central_unconfirmed);
    cycle(&site).unwrap();
    assert!(line.asked("two.example.org") > 0);
}

/// It has no confirmed address, and goes on with the one that it uses.
#[test]
fn a_database_of_an_older_version_goes_on_and_asks_about_a_new_host() {
    let central = CentralEnd::new();
    central.add_site("a");
    let line = Line::to(&central, FIRST);
    let storage = Arc::new(MemoryStorage::new());
    let site = Replica::with_storage(storage.clone()).site(line.clone());
    site.set_up(&at(LEGACY), &mut NoopObserver).unwrap();
    let plant = |name: &str, value: &str| {
        let txn = storage.write().unwrap();
        state::named(name).set(txn.as_ref(), value).unwrap();
        txn.commit().unwrap();
    };
    // As an older version left it: nothing confirmed is no address.
    plant(state::CENTRAL_CONFIRMED.name(), "");
    plant(state::HTTPS_ONLY.name(), "0");
    cycle(&site).unwrap();
    plant(state::CENTRAL_CONFIRMED.name(), "");
    line.tell(SECOND);
    assert_eq!(cycle(&site).unwrap_err().code(), "central_url_unconfirmed");
    assert_eq!(line.asked("two.example.org"), 0);
}

fn new_site(central: &CentralEnd) -> (Replica, Site) {
    let replica = Replica::with_storage(Arc::new(MemoryStorage::new()));
    let site = replica.site(Line::to(central, "http://127.0.0.1:8000"));
    (replica, site)
}

#[test]
fn a_new_site_uses_https_alone_unless_its_server_is_here_or_somebody_allows_http() {
    let central = CentralEnd::new();
    central.add_site("a");
    let remote = "http://legacy.example.org";
    for (url, chosen, expected) in [
        (LEGACY, None, Some(true)),
        (remote, None, None),
        (remote, Some(true), None),
        (remote, Some(false), Some(false)),
        ("http://127.0.0.1:2048", None, Some(true)),
        ("http://localhost", None, Some(true)),
        ("http://localhost", Some(false), Some(false)),
        ("http://localhost", Some(true), Some(true)),
    ] {
        let (replica, site) = new_site(&central);
        let mut warned = Vec::new();
        let mut observer = |event: &SyncEvent| {
            if let SyncEvent::Warning { message } = event {
                warned.push(message.to_string());
            }
            ControlFlow::Continue(())
        };
        let mut settings = at(url);
        settings.https_only = chosen;
        let done = site.set_up(&settings, &mut observer);
        assert_eq!(done.err().map(|error| error.code()), expected.is_none().then_some("https_required"), "{url}");
        let stored = replica.settings().unwrap();
        assert_eq!(stored.and_then(|settings| settings.https_only), expected, "{url} {chosen:?}");
        let is_allowed = expected == Some(false) && url == remote;
        assert_eq!(warned.iter().any(|text| text.contains(remote) && text.contains("not https")), is_allowed, "{url}");
    }
}

#[test]
fn a_site_that_is_set_up_again_keeps_what_it_had_of_https() {
    let central = CentralEnd::new();
    central.add_site("a");
    let (replica, site) = new_site(&central);
    let again = |settings: Settings| {
        site.set_up(&settings, &mut NoopObserver).unwrap();
        replica.settings().unwrap().unwrap().https_only
    };
    let http = || at("http://legacy.example.org");
    assert_eq!(again(http().https_only(false)), Some(false));
    assert_eq!(again(http()), Some(false));
    assert_eq!(again(at(LEGACY).https_only(true)), Some(true));
    let refused = site.set_up(&http(), &mut NoopObserver).unwrap_err();
    assert_eq!(refused.code(), "https_required");
    assert!(Settings::new("u", "s", PasswordHash::of_password("p")).https_only.is_none());
}

/// A legacy server behind a tunnel is on this machine; central is not.
#[test]
fn a_site_whose_legacy_server_is_on_this_machine_sends_nothing_elsewhere_without_tls() {
    let central = CentralEnd::new();
    central.add_site("a");
    let line = Line::to(&central, "http://one.example.org");
    let replica = Replica::with_storage(Arc::new(MemoryStorage::new()));
    let site = replica.site(line.clone());
    let _ = site.set_up(&at("http://127.0.0.1:8080"), &mut NoopObserver).unwrap();
    let _ = cycle(&site);
    assert_eq!(line.asked("one.example.org"), 0);
    line.tell("http://localhost:9090");
    let _ = site.set_up(&at("http://127.0.0.1:8080"), &mut NoopObserver);
    let _ = cycle(&site);
    assert_eq!(line.asked("one.example.org"), 0);
}

/// `localhost` and `127.0.0.1` are one server, so a set-up under the other name vouches for nothing new.
#[test]
fn another_name_of_the_same_legacy_server_confirms_nothing() {
    let central = CentralEnd::new();
    central.add_site("a");
    let line = Line::to(&central, FIRST);
    let replica = Replica::with_storage(Arc::new(MemoryStorage::new()));
    let site = replica.site(line.clone());
    let _ = site.set_up(&at("http://127.0.0.1:8080"), &mut NoopObserver).unwrap();
    cycle(&site).unwrap();
    line.tell(SECOND);
    for same in ["http://localhost:8080", "http://127.0.0.1:9090", "http://127.0.0.1:8080"] {
        assert!(site.set_up(&at(same), &mut NoopObserver).unwrap().central_unconfirmed, "{same}");
    }
    let _ = cycle(&site);
    assert_eq!(line.asked("two.example.org"), 0);
}
