//! Secrets that a host keeps outside the database.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use sync_core::error::Cause;
use sync_core::protocol::{AppIdentity, PasswordHash};
use sync_core::site::{EnvironmentSecrets, Secret, SecretStore};
use sync_core::storage::{MemoryStorage, Storage as _, state};
use sync_core::transport::{HttpRequest, HttpResponse, Transport, TransportError};
use sync_core::{Error, NoopObserver, Replica, Settings, SyncOptions};
use sync_testkit::legacy_server::PASSWORD;

use crate::legacy_half::Country;

const SITE: &str = "district_a";
const ID: &str = "machine in the key chain";

/// The key chain of a device, which may be locked.
#[derive(Clone, Default)]
struct KeyChain {
    kept: Arc<Mutex<BTreeMap<&'static str, String>>>,
    is_locked: Arc<AtomicBool>,
}

impl KeyChain {
    fn of(&self, secret: Secret) -> Option<String> {
        self.kept.lock().unwrap().get(secret.as_str()).cloned()
    }

    fn check(&self) -> Result<(), Cause> {
        if self.is_locked.load(Ordering::Relaxed) { Err("the device is locked".into()) } else { Ok(()) }
    }
}

impl SecretStore for KeyChain {
    fn get(&self, secret: Secret) -> Result<Option<String>, Cause> {
        self.check()?;
        Ok(self.of(secret))
    }

    fn set(&self, secret: Secret, value: &str) -> Result<(), Cause> {
        self.check()?;
        self.kept.lock().unwrap().insert(secret.as_str(), value.to_owned());
        Ok(())
    }
}

fn settings() -> Settings {
    let password = PasswordHash::of_password(PASSWORD);
    Settings::new("http://legacy.example.org", SITE, password).https_only(false).hardware_id(ID.to_owned())
}

fn with(storage: &Arc<MemoryStorage>, secrets: impl SecretStore + 'static) -> Replica {
    Replica::builder().machine_id("machine one").secrets(secrets).with_storage(storage.clone())
}

fn without(storage: &Arc<MemoryStorage>) -> Replica {
    Replica::builder().machine_id("machine one").with_storage(storage.clone())
}

fn sync(country: &Country, replica: &Replica) -> Result<(), Error> {
    let report = replica.site(country.line.clone()).sync(&SyncOptions::default(), &mut NoopObserver)?;
    report.into_result().map(|_| ())
}

/// What the database has of the two secrets.
fn here(storage: &MemoryStorage) -> [Option<String>; 2] {
    let txn = storage.read().unwrap();
    [state::PASSWORD_HASH.name(), state::HARDWARE_ID.name()].map(|name| txn.state(name).unwrap())
}

fn empty() -> [Option<String>; 2] {
    [Some(String::new()), Some(String::new())]
}

#[test]
fn a_site_signs_in_with_secrets_that_are_not_in_its_database() {
    let country = Country::new();
    let (storage, chain) = (Arc::new(MemoryStorage::new()), KeyChain::default());
    let replica = with(&storage, chain.clone());
    replica.site(country.line.clone()).set_up(&settings(), &mut NoopObserver).unwrap();
    sync(&country, &replica).unwrap();
    assert_eq!(here(&storage), empty());
    let hash = PasswordHash::of_password(PASSWORD);
    assert_eq!(chain.of(Secret::PasswordHash).as_deref(), Some(hash.expose()));
    assert_eq!(chain.of(Secret::HardwareId).as_deref(), Some(ID));
    let known = replica.settings().unwrap().unwrap();
    assert_eq!((known.password == hash, known.hardware_id.as_deref()), (true, Some(ID)));

    // The file alone signs nobody in.
    assert_eq!(sync(&country, &without(&storage)).unwrap_err().code(), "secret_missing");
    assert_eq!(sync(&country, &with(&storage, KeyChain::default())).unwrap_err().code(), "secret_missing");
    // Set up again, it is another machine until somebody says which one it is.
    let again = |settings: &Settings| without(&storage).site(country.line.clone()).set_up(settings, &mut NoopObserver);
    assert_eq!(again(&settings().hardware_id(None)).unwrap_err().code(), "hardware_id_mismatch");
    again(&settings()).unwrap();
    sync(&country, &without(&storage)).unwrap();
    // The next cycle with the store moves them again.
    sync(&country, &replica).unwrap();
    assert_eq!(here(&storage), empty());
    // While the device is locked the site waits, and loses nothing.
    chain.is_locked.store(true, Ordering::Relaxed);
    let locked = sync(&country, &replica).unwrap_err();
    assert_eq!((locked.code(), locked.causes()), ("secrets_failed", vec!["the device is locked".to_owned()]));
    chain.is_locked.store(false, Ordering::Relaxed);
    sync(&country, &replica).unwrap();
}

#[test]
fn secrets_of_a_database_that_was_set_up_before_move_with_its_next_cycle() {
    let country = Country::new();
    let (storage, chain) = (Arc::new(MemoryStorage::new()), KeyChain::default());
    without(&storage).site(country.line.clone()).set_up(&settings(), &mut NoopObserver).unwrap();
    sync(&country, &without(&storage)).unwrap();
    assert!(here(&storage).iter().all(|secret| secret.as_ref().is_some_and(|text| !text.is_empty())));
    let replica = with(&storage, chain.clone());
    assert!(replica.settings().unwrap().is_some());
    sync(&country, &replica).unwrap();
    assert_eq!(here(&storage), empty());
    assert_eq!(chain.of(Secret::HardwareId).as_deref(), Some(ID));
    sync(&country, &replica).unwrap();
}

#[test]
fn a_place_that_cannot_be_written_leaves_the_database_as_it_is() {
    let country = Country::new();
    let (storage, chain) = (Arc::new(MemoryStorage::new()), KeyChain::default());
    chain.is_locked.store(true, Ordering::Relaxed);
    let replica = with(&storage, chain);
    let failed = replica.site(country.line.clone()).set_up(&settings(), &mut NoopObserver).unwrap_err();
    assert_eq!(failed.code(), "secrets_failed");
    assert_eq!(here(&storage), [None, None]);
    assert!(replica.settings().unwrap().is_none() && replica.role().unwrap().is_none());
    // The environment is set by somebody else, and here by nobody.
    let replica = with(&storage, EnvironmentSecrets::new("OMS_SYNC_TEST_NOBODY_SETS"));
    let failed = replica.site(country.line.clone()).set_up(&settings(), &mut NoopObserver).unwrap_err();
    assert!(failed.causes()[0].contains("OMS_SYNC_TEST_NOBODY_SETS_PASSWORD_SHA256"), "{:?}", failed.causes());
}

/// A process gets its environment from the one that starts it, so this test runs itself again with other variables.
#[test]
fn secrets_of_the_environment_are_read_by_a_process_that_has_them() {
    const TEST: &str = "secrets::secrets_of_the_environment_are_read_by_a_process_that_has_them";
    const INNER: &str = "OMS_SYNC_TEST_READS_ITS_ENVIRONMENT";
    if std::env::var_os(INNER).is_some() {
        let country = Country::new();
        let storage = Arc::new(MemoryStorage::new());
        let replica = with(&storage, EnvironmentSecrets::new("CLINIC"));
        let set_up = replica.site(country.line.clone()).set_up(&settings(), &mut NoopObserver);
        if let Err(error) = set_up {
            println!("[refused] {}", error.causes().join(" "));
            return;
        }
        sync(&country, &replica).unwrap();
        assert_eq!(here(&storage), empty());
        let known = replica.settings().unwrap().unwrap();
        assert!(known.password == PasswordHash::of_password(PASSWORD));
        println!("[synchronised] {}", known.hardware_id.unwrap_or_default());
        return;
    }
    let with_variables = |hash: &str, id: &str| {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", TEST, "--nocapture"]).env(INNER, "1");
        child.env("CLINIC_PASSWORD_SHA256", hash).env("CLINIC_HARDWARE_ID", id);
        let output = child.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said} {}", String::from_utf8_lossy(&output.stderr));
        said[said.find('[').unwrap()..].lines().next().unwrap().to_owned()
    };
    let hash = PasswordHash::of_password(PASSWORD);
    assert_eq!(with_variables(hash.expose(), ID), format!("[synchronised] {ID}"));
    assert_eq!(
        with_variables(&format!(" {}\n", hash.expose()), ID),
        format!("[synchronised] {ID}"),
        "a blank is nothing"
    );
    let another = with_variables("of another site", ID);
    assert!(another.contains("[refused]") && another.contains("CLINIC_PASSWORD_SHA256 has another value"), "{another}");
    let none = with_variables(hash.expose(), "");
    assert!(none.contains("[refused]") && none.contains("CLINIC_HARDWARE_ID"), "{none}");
}

#[test]
fn an_app_says_who_it_is_and_cannot_say_what_no_header_holds() {
    let country = Country::new();
    let app = AppIdentity::new("2.20.0", "Open mSupply Android").unwrap();
    let storage = Arc::new(MemoryStorage::new());
    let replica = Replica::builder().machine_id("a phone").app_identity(app).with_storage(storage);
    let log = Arc::new(Names::over(country.line.clone()));
    let site = replica.site(log.clone());
    site.set_up(&settings(), &mut NoopObserver).unwrap();
    site.sync(&SyncOptions::default(), &mut NoopObserver).unwrap().into_result().unwrap();
    let seen = log.seen.lock().unwrap().clone();
    assert!(seen.len() > 2 && seen.iter().all(|name| name == "2.20.0 Open mSupply Android"), "{seen:?}");
    for (version, name) in
        [("2.20", "a"), ("2.020.0", "a"), ("mine", "a"), ("2.20.0", ""), ("2.20.0", "a\r\nb"), ("2.20.0", "é")]
    {
        assert_eq!(AppIdentity::new(version, name), None, "{version} {name:?}");
    }
    let default = AppIdentity::default();
    assert_eq!(AppIdentity::new(&default.version, &default.name), Some(default));
}

/// The names of the app in the requests on a line.
struct Names {
    line: Arc<dyn Transport>,
    seen: Mutex<Vec<String>>,
}

impl Names {
    fn over(line: Arc<dyn Transport>) -> Self {
        Self { line, seen: Mutex::default() }
    }
}

impl Transport for Names {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        let of_header = (request.header("app-version"), request.header("app-name"));
        let body: Option<serde_json::Value> = serde_json::from_slice(&request.body).ok();
        let of_body = body.as_ref().map(|body| {
            let credentials = &body["syncV5Settings"];
            (credentials["appVersion"].as_str(), credentials["appName"].as_str())
        });
        if let (Some(version), Some(name)) = of_body.filter(|(version, _)| version.is_some()).unwrap_or(of_header) {
            self.seen.lock().unwrap().push(format!("{version} {name}"));
        }
        self.line.send(request)
    }
}
