//! The second kind of world: a legacy server stands behind central, which is one of its sites, and the other sites run all
//! seven steps of the cycle against both.

mod book;
mod check;
mod hosts;
mod line;
mod restore;
mod staff;
mod swarm;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, Weak};

use sync_core::central::Central;
use sync_core::protocol::PasswordHash;
use sync_core::protocol::v5::InitialisationStatus;
use sync_core::record::SiteId;
use sync_core::storage::Storage;
use sync_core::{NoopObserver, Replica, Settings};
use sync_testkit::legacy_server::{LegacyServer, LegacySite};

pub(crate) use book::STAFF;
pub use book::{Book, Merges};
pub use swarm::LegacySwarm;

use crate::aim::Aim;
use crate::clock::{EndClock, Time};
use crate::lock;
use crate::network::Network;
use crate::run::Sim;
use crate::world::{self, PASSWORD};

/// Where the legacy server is reached.
pub(crate) const LEGACY: &str = "http://legacy.sim";

/// The tables of which hosts and the staff write documents.
pub(crate) const STAFF_TABLES: [&str; 4] = ["transact", "item_line", "requisition", "clinician"];

/// The number of central among the sites of the legacy server, whose own number is 1.
const CENTRAL: SiteId = SiteId(100);

/// The legacy half of a world.
pub(crate) struct Legacy {
    pub server: Arc<LegacyServer>,
    pub book: Mutex<Book>,
    pub swarm: LegacySwarm,
    /// Whether central's own cycle is under way.
    pub cycling: AtomicBool,
}

impl Legacy {
    pub(crate) fn new(time: &Arc<Time>, swarm: LegacySwarm) -> Self {
        let clock = Arc::new(EndClock::new(time.clone(), usize::MAX, Weak::new()));
        Self {
            server: Arc::new(LegacyServer::new(clock)),
            book: Mutex::default(),
            swarm,
            cycling: AtomicBool::new(false),
        }
    }
}

/// The number of an end in this kind of world.
pub(crate) fn number(end: usize) -> SiteId {
    if end == 0 { CENTRAL } else { world::number(end) }
}

/// The name by which the legacy server knows an end.
pub(crate) fn name(end: usize) -> String {
    if end == 0 { "central".to_owned() } else { world::site_name(end) }
}

fn settings(sim: &Sim, end: usize) -> Settings {
    Settings::new(LEGACY, name(end), PasswordHash::of_password(PASSWORD))
        .https_only(false)
        .hardware_id(sim.machine(end).is_none().then(|| format!("machine-{end}")))
}

/// Fills the legacy server, and sets up central, which runs its first cycle, and the sites, which run none yet.
pub(crate) fn set_up(sim: &Sim, legacy: &Legacy) {
    let server = &legacy.server;
    server.add_site(LegacySite::new(CENTRAL.0, &name(0), PASSWORD, world::ADDRESS).oms_central());
    for site in 1..=world::rogue(sim) {
        server.add_site(LegacySite::new(number(site).0, &name(site), PASSWORD, world::ADDRESS));
        let stores = if site == world::rogue(sim) { 1 } else { sim.swarm.stores };
        for n in 0..stores {
            let store = world::store_name(site, n);
            lock(&sim.ledger).store_is_on(&store, site);
            server.add_store(&store, &format!("name-of-{store}"), &store, number(site));
        }
    }
    if sim.aims_at(Aim::Patients) {
        // The legacy server shows a patient to the site of a store.
        let store = world::store_name(0, 0);
        lock(&sim.ledger).store_is_on(&store, 0);
        server.add_store(&store, &format!("name-of-{store}"), &store, CENTRAL);
    }
    legacy.first_records(sim);
    world::site(sim, 0).set_up(&settings(sim, 0), &mut NoopObserver).expect("central is set up");
    sim.restart(0);
    sim.cycle(0, &sync_core::SyncOptions::default());
    assert_eq!(server.initialisation_status(&name(0)), Some(InitialisationStatus::Completed), "central has begun");
    for site in 1..sim.ends.len() {
        world::site(sim, site).set_up(&settings(sim, site), &mut NoopObserver).expect("set up");
    }
}

/// Central, which asks the legacy server who a site is.
pub(crate) fn central(sim: &Sim) -> Central {
    let end = &sim.ends[0];
    let process = end.process();
    let line = Arc::new(Network::of_authenticator(sim.me.clone()));
    let storage: Arc<dyn Storage> = process.storage.clone();
    let authenticator =
        Arc::new(Replica::builder().clock(end.clock.clone()).with_storage(storage).legacy_authenticator(line));
    Replica::builder()
        .clock(end.clock.clone())
        .with_storage(process.storage)
        .central(authenticator)
        .with_own_site(world::site(sim, 0))
}
