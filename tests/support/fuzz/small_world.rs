//! A new world for each input: in memory, with a clock that stands still and a cheap hash.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sync_core::central::{Central, InProcess};
use sync_core::clock::{Clock, Timestamp};
use sync_core::protocol::PasswordHash;
use sync_core::record::{RecordData, SiteId, StoreId};
use sync_core::storage::{MemoryStorage, SiteEntry, Storage};
use sync_core::transport::Transport;
use sync_core::{NoopObserver, Records, Replica, Result, Settings, SyncConfig, SyncOptions, SyncReport};

use crate::world::{PASSWORD, SeenReport, SiteEnd, data};

/// The site whose captured traffic is the beginning of many inputs, and another one; each with the machine it is bound
/// to and its store.
pub(super) const B: (&str, &str, &str) = ("site_b", "hardware-0001", "STORE_SITE_B");
pub(super) const C: (&str, &str, &str) = ("site_c", "machine-c", "STORE_SITE_C");

/// Central's stored form of [`PASSWORD`], with the least cost that the hash allows.
pub(super) const SECRET: &str =
    "$argon2id$v=19$m=8,t=1,p=1$c2FsdG9mdGVzdHM$VtIW1eZtKyrhtoq903wsKiAkpqXUuUWksN86O+cV/u0";

/// A clock that moves only where somebody waits.
#[derive(Default)]
struct StillClock(AtomicU64);

impl Clock for StillClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_millis(1_767_225_600_000 + self.monotonic().as_millis() as i64)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }

    fn sleep(&self, duration: Duration) {
        self.0.fetch_add(duration.as_millis().max(1) as u64, Ordering::Relaxed);
    }
}

/// Central with its two sites, of which none has signed in yet.
pub(super) struct SmallWorld {
    pub storage: Arc<dyn Storage>,
    pub central: Arc<Central>,
    pub records: Records,
    pub clock: Arc<dyn Clock>,
}

impl SmallWorld {
    pub(super) fn new() -> Self {
        let clock: Arc<dyn Clock> = Arc::new(StillClock::default());
        let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
        let replica = Replica::builder().clock(clock.clone()).with_storage(storage.clone());
        let sites = replica.site_registry().expect("a central database");
        let txn = storage.write().expect("a transaction");
        for (number, (name, machine, _)) in [(2, B), (3, C)] {
            let entry = SiteEntry {
                id: SiteId(number),
                uuid: format!("UUID-{name}"),
                name: name.to_owned(),
                secret: SECRET.to_owned(),
                hardware_id: Some(machine.to_owned()),
                last_pull_at: None,
            };
            txn.central().expect("central's part").put_site(&entry).expect("a site");
        }
        txn.commit().expect("sites");
        for (name, _, store) in [B, C] {
            sites.add_store(name, name, name, Some(StoreId::from(store))).expect("a store");
        }
        let central = Arc::new(replica.stand_alone_central());
        let records = replica.records();
        Self { storage, central, records, clock }
    }

    pub(super) fn transport(&self) -> Arc<dyn Transport> {
        Arc::new(InProcess::new(self.central.clone()))
    }

    /// A site on its own storage and transport, before any request.
    pub(super) fn site(&self, storage: Arc<dyn Storage>, transport: Arc<dyn Transport>) -> SiteEnd {
        let mut config = SyncConfig::default();
        config.attempts = 2;
        config.integration_wait = Duration::from_secs(5);
        let replica = Replica::builder().clock(self.clock.clone()).with_storage(storage.clone());
        let site = replica.site(transport).with_config(config);
        let records = replica.records();
        SiteEnd { storage, site, records }
    }

    /// A fresh site that is set up, and has not synchronised yet.
    pub(super) fn set_up(&self, (name, machine, _): (&str, &str, &str)) -> SiteEnd {
        let end = self.site(Arc::new(MemoryStorage::new()), self.transport());
        end.site.set_up(&settings(name, machine), &mut NoopObserver).expect("set up");
        end
    }

    /// Puts a class at central, which goes to every site.
    pub(super) fn put_class(&self, id: &str) {
        self.records.put("asset_class", [class(id)]).expect("a class");
    }
}

pub(super) fn settings(name: &str, machine: &str) -> Settings {
    Settings::new("http://legacy.example.org:2048", name, PasswordHash::of_password(PASSWORD))
        .https_only(false)
        .hardware_id(machine.to_owned())
}

pub(super) fn class(id: &str) -> RecordData {
    data(&format!(r#"{{"id":"{id}","name":"of central"}}"#))
}

pub(super) fn cycle(end: &SiteEnd) -> Result<SyncReport> {
    end.site.sync(&SyncOptions::default(), &mut NoopObserver)
}

/// A cycle with a good central, which must succeed after any input.
#[track_caller]
pub(super) fn good_cycle(end: &SiteEnd, what: &str) -> SeenReport {
    let report = cycle(end).unwrap_or_else(|error| panic!("{what}: {error} {:?}", error.causes()));
    if let Some(error) = &report.error {
        panic!("{what}: {} {error} {:?}", error.code(), error.causes());
    }
    report.into()
}
