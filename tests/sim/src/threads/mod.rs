//! Real threads at central: sites push, repeat and ask, while others integrate; in every second world there is also all
//! else that happens there (`crowd.rs`). Before each transaction a scheduler, which
//! a seed decides, says whose turn it is, so that transactions of different threads come in every order.

mod crowd;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};
use sync_core::Replica;
use sync_core::Result;
use sync_core::central::{Central, CentralConfig};
use sync_core::clock::{Clock, Timestamp};
use sync_core::files::FileStore;
use sync_core::protocol::PasswordHash;
use sync_core::protocol::v6::{V6_VERSION, path};
use sync_core::record::StoreId;
use sync_core::storage::{CycleLock, MemoryStorage, ReadTxn, SiteEntry, SqliteStorage, Storage, WriteTxn};
use sync_core::transport::{HttpRequest, HttpResponse, Method};

use crowd::{Crowd, LEAVES, MOVING};

use crate::lock;
use crate::run::integrated_at_once;
use crate::world::{self, SECRET};

/// How many sites push at once.
const SITES: usize = 3;

/// How many threads integrate.
const INTEGRATORS: usize = 2;

/// How many others there are in every second world.
const OTHERS: usize = 5;

/// How often each site pushes.
const ROUNDS: usize = 3;

/// A thread that has its turn and does not come to its next transaction waits for another one.
const STUCK: Duration = Duration::from_millis(5);

/// The same in a crowd, where threads wait for each other more often.
const STUCK_IN_A_CROWD: Duration = Duration::from_millis(1);

thread_local! {
    static ME: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Whose turn it is.
struct Schedule {
    turns: Mutex<Turns>,
    changed: Condvar,
    stuck: Duration,
}

struct Turns {
    rng: Rng,
    waiting: BTreeSet<usize>,
    running: Option<usize>,
    alive: usize,
}

impl Turns {
    /// Gives the turn to one of those that wait, once nobody has it and all are here.
    fn pick(&mut self, all_are_here: bool) {
        let may =
            self.running.is_none() && !self.waiting.is_empty() && (!all_are_here || self.waiting.len() == self.alive);
        if may {
            self.running = self.waiting.iter().nth(self.rng.usize(..self.waiting.len())).copied();
            self.waiting.retain(|thread| Some(*thread) != self.running);
        }
    }
}

impl Schedule {
    /// Waits for a turn of this thread, if it is one that takes turns.
    fn point(&self) {
        let Some(me) = ME.get() else { return };
        let mut turns = lock(&self.turns);
        turns.waiting.insert(me);
        turns.running.take_if(|running| *running == me);
        turns.pick(true);
        self.changed.notify_all();
        while turns.running != Some(me) {
            let before = turns.running;
            let (now, waited) =
                self.changed.wait_timeout(turns, self.stuck).unwrap_or_else(std::sync::PoisonError::into_inner);
            turns = now;
            if turns.running == Some(me) {
                break;
            }
            // Its turn may have been given to it and taken away again before it woke.
            turns.waiting.insert(me);
            if waited.timed_out() && turns.running == before {
                turns.running = None;
                turns.pick(false);
                self.changed.notify_all();
            }
        }
    }

    fn done(&self) {
        let Some(me) = ME.take() else { return };
        let mut turns = lock(&self.turns);
        turns.alive -= 1;
        turns.waiting.remove(&me);
        turns.running.take_if(|running| *running == me);
        turns.pick(true);
        self.changed.notify_all();
    }
}

struct Scheduled {
    inner: Arc<dyn Storage>,
    schedule: Arc<Schedule>,
}

impl Storage for Scheduled {
    fn read(&self) -> Result<Box<dyn ReadTxn + '_>> {
        self.schedule.point();
        self.inner.read()
    }

    fn write(&self) -> Result<Box<dyn WriteTxn + '_>> {
        self.schedule.point();
        self.inner.write()
    }

    fn lock_cycle(&self) -> Result<CycleLock> {
        self.inner.lock_cycle()
    }
}

/// A clock on which nothing passes but what is waited.
struct Waits {
    millis: AtomicI64,
    schedule: Arc<Schedule>,
}

impl Clock for Waits {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_millis(1_767_225_600_000 + self.millis.load(Relaxed))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.millis.load(Relaxed)).unwrap_or(0))
    }

    fn sleep(&self, duration: Duration) {
        self.millis.fetch_add(i64::try_from(duration.as_millis()).unwrap_or(0), Relaxed);
        self.schedule.point();
    }
}

/// What the threads share.
struct World {
    central: Central,
    storage: Arc<dyn Storage>,
    schedule: Arc<Schedule>,
    /// The storage in which transactions take turns.
    scheduled: Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
    crowd: Mutex<Crowd>,
    /// Requests that were sent, which may arrive once more.
    sent: Mutex<Vec<Vec<u8>>>,
    broken: Mutex<Vec<String>>,
}

/// Runs one seed, over SQLite or in memory; says what was broken. `begin` is called in each thread first.
pub fn run(seed: u64, sqlite: bool, begin: &(dyn Fn() + Sync)) -> Vec<String> {
    let folder = sqlite.then(world::folder);
    let inner: Arc<dyn Storage> = match &folder {
        Some(folder) => Arc::new(SqliteStorage::open(folder.path().join("central.sqlite")).expect("a database")),
        None => Arc::new(MemoryStorage::new()),
    };
    let is_crowded = seed % 2 == 1;
    let others = if is_crowded { OTHERS } else { 0 };
    let threads = SITES + INTEGRATORS + 1 + others;
    let stuck = if is_crowded { STUCK_IN_A_CROWD } else { STUCK };
    let turns = Turns { rng: Rng::with_seed(seed), waiting: BTreeSet::new(), running: None, alive: threads };
    let schedule = Arc::new(Schedule { turns: Mutex::new(turns), changed: Condvar::new(), stuck });
    let clock: Arc<dyn Clock> = Arc::new(Waits { millis: AtomicI64::new(0), schedule: schedule.clone() });
    let storage: Arc<dyn Storage> = Arc::new(Scheduled { inner: inner.clone(), schedule: schedule.clone() });
    set_up(&inner, &clock, is_crowded);
    // Who asks takes no turns: it would hold what all others need.
    let authenticator =
        Arc::new(Replica::builder().clock(clock.clone()).with_storage(inner.clone()).local_authenticator());
    let replica = Replica::builder().clock(clock.clone()).with_storage(storage.clone());
    // All others need a server without a legacy server, which checks passwords in transactions that take turns.
    let central = if is_crowded { replica.stand_alone_central() } else { replica.central(authenticator) };
    let mut config = CentralConfig::default();
    config.push_integrated_max = integrated_at_once(seed);
    let central = central.with_config(config);
    let files = is_crowded.then(world::folder);
    let central = match &files {
        Some(folder) => central.with_files(FileStore::new(folder.path())),
        None => central,
    };
    let (sent, broken, crowd) = Default::default();
    let world = World { central, storage: inner, schedule, scheduled: storage, clock, crowd, sent, broken };
    for site in 1..=if is_crowded { LEAVES } else { SITES } {
        // The first contact binds the machine, and takes a while.
        let asked = world.is_done(site);
        assert!(asked, "a site is known");
    }
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let world = &world;
            scope.spawn(move || {
                begin();
                ME.set(Some(thread));
                match thread {
                    site if site < SITES => world.site(site + 1, seed),
                    thread if thread < SITES + INTEGRATORS => world.integrator(),
                    thread => match thread - SITES - INTEGRATORS {
                        0 => world.repeater(seed),
                        1 => world.puller(seed),
                        2 => world.administrator(seed),
                        3 => world.linker(),
                        4 => world.sender(seed),
                        _ => world.leaver(),
                    },
                }
                world.schedule.done();
            });
        }
    });
    world.central.integrate_waiting().unwrap_or_else(|error| world.broke(format!("in the end: {error}")));
    if is_crowded {
        world.look_at_pulls();
    }
    let broken = world.broken.into_inner().unwrap_or_default();
    broken.into_iter().collect()
}

fn set_up(storage: &Arc<dyn Storage>, clock: &Arc<dyn Clock>, is_crowded: bool) {
    let sites = Replica::builder()
        .clock(clock.clone())
        .with_storage(storage.clone())
        .site_registry()
        .expect("a central database");
    for site in 1..=if is_crowded { LEAVES } else { SITES } {
        let entry = SiteEntry {
            id: world::number(site),
            uuid: format!("UUID-{site}"),
            name: world::site_name(site),
            secret: SECRET.to_owned(),
            hardware_id: None,
            last_pull_at: None,
        };
        let txn = storage.write().expect("a transaction");
        txn.central().expect("central's part").put_site(&entry).expect("a site");
        txn.commit().expect("a commit");
        if site == LEAVES {
            continue;
        }
        let store = world::store_name(site, 0);
        sites.add_store(&store, &store, &entry.name, Some(StoreId::from(store.as_str()))).expect("a store");
    }
    if is_crowded {
        for store in (0..MOVING).map(crowd::moving) {
            let id = Some(StoreId::from(store.as_str()));
            sites.add_store(&store, &store, &world::site_name(1), id).expect("a store");
        }
        crowd::first_records(storage);
    }
}

impl World {
    fn broke(&self, what: String) {
        lock(&self.broken).push(what);
    }

    /// A site pushes in two batches, waits until central says that it is done, and looks whether it is.
    fn site(&self, site: usize, seed: u64) {
        let mut rng = Rng::with_seed(seed ^ site as u64);
        let mut cursor = 0;
        let mut newest: BTreeMap<String, String> = BTreeMap::new();
        for round in 0..ROUNDS {
            for is_last in [false, true] {
                let mut elements = Vec::new();
                for _ in 0..=rng.usize(..2) {
                    cursor += 1;
                    let id = format!("asset-{site}-{}", rng.usize(..3));
                    let notes = format!("v{cursor} of round {round}");
                    let data = json!({"id": id, "notes": notes, "store_id": world::store_name(site, 0),
                        "created_datetime": "2024-02-01T09:30:00", "modified_datetime": "2024-02-01T09:30:00"});
                    newest.insert(id.clone(), notes);
                    elements.push(json!({"cursor": cursor, "record":
                        {"tableName": "asset", "recordId": id, "action": "Update", "recordData": data}}));
                }
                let batch = json!({"end_cursor": cursor, "total_records": elements.len(), "records": elements,
                    "is_last_batch": is_last});
                if !self.push(site, &batch) {
                    return self.broke(format!("site {site} cannot push in round {round}"));
                }
            }
            if !self.is_done(site) {
                return self.broke(format!("central never integrates what site {site} pushed in round {round}"));
            }
            self.look(site, &newest);
        }
    }

    /// Pushes a batch until it is taken.
    fn push(&self, site: usize, batch: &Value) -> bool {
        (0..500).any(|_| {
            let mut body = self.signed(site);
            body["batch"] = batch.clone();
            let body = body.to_string().into_bytes();
            let answer = self.ask(path::PUSH, body.clone());
            let is_taken = answer["data"]["records_pushed"].is_u64();
            if is_taken {
                lock(&self.sent).push(body.clone());
            }
            self.schedule.point();
            is_taken
        })
    }

    fn is_done(&self, site: usize) -> bool {
        (0..500).any(|_| {
            let answer = self.ask(path::SITE_STATUS, self.signed(site).to_string().into_bytes());
            self.schedule.point();
            answer["data"]["is_integrating"] == false
        })
    }

    fn look(&self, site: usize, newest: &BTreeMap<String, String>) {
        let txn = self.storage.read().expect("a transaction");
        for (id, notes) in newest {
            let held = txn.record(&"asset".into(), &id.as_str().into()).expect("a readable record");
            let held = held.map(|data| crate::rules::fields(data.as_str())["notes"].to_string());
            if held.as_deref() != Some(json!(notes).to_string().as_str()) {
                self.broke(format!(
                    "central says that it is done, and of {id} of site {site}, {notes}, it holds {held:?}"
                ));
            }
        }
    }

    fn integrator(&self) {
        for _ in 0..2000 {
            if let Err(error) = self.central.integrate_waiting() {
                self.broke(format!("central cannot integrate: {error}"));
            }
            self.schedule.point();
            if lock(&self.schedule.turns).alive <= INTEGRATORS {
                return;
            }
        }
    }

    /// Old requests arrive once more.
    fn repeater(&self, seed: u64) {
        let mut rng = Rng::with_seed(seed ^ 0x5245_5045_4154);
        for _ in 0..10 {
            self.schedule.point();
            let sent = lock(&self.sent).clone();
            if !sent.is_empty() {
                self.ask(path::PUSH, sent[rng.usize(..sent.len())].clone());
            }
        }
    }

    fn ask(&self, path: &str, body: Vec<u8>) -> Value {
        serde_json::from_slice(&self.send(path, body).body).unwrap_or_default()
    }

    fn send(&self, path: &str, body: Vec<u8>) -> HttpResponse {
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        self.central.handle(&HttpRequest { method: Method::Post, url: format!("/{path}"), headers, body })
    }

    /// A question with the password that a site has now.
    fn signed(&self, site: usize) -> Value {
        self.signed_with(site, &self.password(site))
    }

    fn signed_with(&self, site: usize, password: &PasswordHash) -> Value {
        json!({"syncV5Settings": {
            "serverUrl": "http://central.sim", "username": world::site_name(site),
            "passwordSha256": password.expose(), "siteUuid": format!("machine-{site}"), "appVersion": "2.19.0",
            "appName": "threads", "syncVersion": "14",
        }, "syncV6Version": V6_VERSION})
    }
}
