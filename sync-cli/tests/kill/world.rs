//! Central and two sites as processes, and the rounds.

use std::path::PathBuf;
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, RwLock};
use std::time::{Duration, Instant};

use sync_core::storage::{PostgresAddress, PostgresStorage, Storage};
use sync_core::{Records, Replica};
use sync_testkit::TestDatabase;

use super::host::{Host, open, store};
use super::ledger::{CENTRAL, Ledger, NAMES, Write};
use super::line::{CentralAddress, Line};
use super::random::Random;
use super::tally::Tally;
use crate::support::{Desk, Said, Server, kill};

/// The longest that a kill waits after the event that it is drawn for. A cycle waits a second for central to begin its
/// integration; most kills shall meet something else.
const DELAY_MAX: Duration = Duration::from_millis(100);

/// The same after the last answer, where little is left to do.
const AT_THE_END: Duration = Duration::from_millis(5);

/// The longest that a server hangs, or that one is away while the other serves.
const HANGS_MAX: Duration = Duration::from_millis(400);

/// The database of a central server without PostgreSQL.
const IN_FILE: &str = "central.sqlite";

/// The ways a cycle is run: most rounds do not push, as a push is followed by a wait of a second.
const MODES: [&[&str]; 3] =
    [&["sync", "--json"], &["sync", "--json", "--pull-only"], &["sync", "--json", "--push-only"]];

/// The durations without kills: the moments of kills are drawn from them.
pub(crate) struct Unkilled {
    /// The times between the events of a cycle, by mode.
    cycles: Vec<Vec<Duration>>,
    /// A call of `records put`.
    put: Duration,
}

pub(crate) struct World {
    desk: Desk,
    /// The database on a PostgreSQL server, if it is not a file.
    database: Option<TestDatabase>,
    /// The servers on the database, and which of them hang.
    central: Mutex<Vec<(Option<Server>, bool)>>,
    /// Held to write by who cuts all connections, and to read by who must not be met by that.
    uncut: RwLock<()>,
    address: CentralAddress,
    lines: Vec<Line>,
    ledger: Mutex<Ledger>,
    tally: Mutex<Tally>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nobody panicked")
}

impl World {
    /// Two sites that are set up and have synchronised. Central is one server on a file, or two on a database.
    pub(crate) fn new(database: Option<TestDatabase>) -> Self {
        let desk = Desk::new();
        let (db, servers) = match &database {
            Some(database) => (database.address(), 2),
            None => (IN_FILE.to_owned(), 1),
        };
        for (site, name) in NAMES.iter().enumerate().skip(1) {
            let central = ["--db", &db];
            desk.run(&[&central[..], &["site", "add", name, "--password-file", "pw"]].concat()).ends(0);
            let store = store(site);
            let add = ["store", "add", name, "--code", name, "--site", name, "--id", &store];
            desk.run(&[&central[..], &add].concat()).ends(0);
        }
        let address = CentralAddress::default();
        let lines = vec![Line::to(address.clone()), Line::to(address.clone())];
        let (ledger, tally) = Default::default();
        let central = Mutex::new((0..servers).map(|_| (None, false)).collect());
        let world = Self { desk, database, central, uncut: RwLock::default(), address, lines, ledger, tally };
        world.restart_central();
        for (line, name) in world.lines.iter().zip(&NAMES[1..]) {
            let db = format!("{name}.sqlite");
            let init = ["--db", &db, "init", "--legacy-url", &line.address, "--site", name, "--password-file", "pw"];
            world.desk.run(&init).ends(0);
            world.desk.run(&["--db", &db, "sync", "-q"]).ends(0);
        }
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.desk.path(&format!("{name}.sqlite"))
    }

    /// The storage of an end, which other processes use too.
    pub(crate) fn storage(&self, end: usize) -> Arc<dyn Storage> {
        match &self.database {
            Some(database) if end == CENTRAL => {
                let address = PostgresAddress::parse(&database.address()).expect("an address");
                Arc::new(
                    PostgresStorage::open_existing(&address, None).expect("a database, whoever was killed over it"),
                )
            }
            _ => open(&self.path(NAMES[end])),
        }
    }

    /// The records of an end.
    pub(crate) fn records(&self, end: usize) -> Records {
        Replica::with_storage(self.storage(end)).records()
    }

    /// The database on a PostgreSQL server, if there is one.
    pub(crate) fn database(&self) -> Option<&TestDatabase> {
        self.database.as_ref()
    }

    /// The results of the kills, with the written records.
    pub(crate) fn tally(&self, ledger: &Ledger) -> Tally {
        let mut tally = std::mem::take(&mut *lock(&self.tally));
        (tally.records, tally.of_two_writers) = ledger.counts();
        tally
    }

    fn sync(&self, site: usize, mode: usize) -> Child {
        let db = format!("{}.sqlite", NAMES[site]);
        self.desk.spawn(&[&["--db", &db][..], MODES[mode]].concat())
    }

    /// One cycle of each mode that nobody kills, with something to carry both ways.
    pub(crate) fn measure(&self, hosts: &mut [Host; 3]) -> Unkilled {
        let measure = |mode| {
            for (end, host) in hosts.iter_mut().enumerate() {
                host.write(&self.records(end), 10, &self.ledger);
            }
            self.lines[0].arm(None);
            Said::by(self.sync(1, mode)).ends(0);
            self.lines[0].seen().1
        };
        let cycles: Vec<_> = (0..MODES.len()).map(measure).collect();
        assert!(cycles.iter().all(|times| times.len() > 3), "{cycles:?}");
        let writes = hosts[1].for_the_program();
        let began = now();
        Said::by(self.put(1, &writes)).ends(0);
        let put = began.elapsed();
        lock(&self.ledger).acknowledged(1, &writes);
        Unkilled { cycles, put }
    }

    /// The host of central writes until it is told to stop; now and then the database is open nowhere but in the server.
    pub(crate) fn write_at_central(&self, host: &mut Host, random: &mut Random, stop: &AtomicBool) {
        while !stop.load(Ordering::SeqCst) {
            let uncut = self.uncut.read().expect("nobody panicked");
            let records = self.records(CENTRAL);
            host.write(&records, random.within(1..12), &self.ledger);
            if random.chance(1) {
                host.write_many(&records, &self.ledger);
            }
            drop((records, uncut));
            std::thread::sleep(random.part_of(Duration::from_millis(200)));
        }
    }

    /// A host writes, a cycle runs, and a process is killed.
    pub(crate) fn round(&self, site: usize, host: &mut Host, random: &mut Random, unkilled: &Unkilled) {
        let records = self.records(site);
        host.write(&records, random.within(2..20), &self.ledger);
        if random.chance(8) {
            host.write_many(&records, &self.ledger);
        }
        if random.chance(20) {
            self.put_or_kill(site, host, random, unkilled.put);
        }
        // In every second round the program has the file to itself, and a kill leaves its log to whoever opens it next.
        let records = random.chance(50).then_some(records);
        let mode = if random.chance(45) { 0 } else { random.within(1..3) };
        let times = &unkilled.cycles[mode];
        let at = random.within(0..times.len() + 1);
        let line = &self.lines[site - 1];
        line.arm((at > 0).then_some(at));
        let mut child = self.sync(site, mode);
        let ended = AtomicBool::new(false);
        let (killed, status) = std::thread::scope(|scope| {
            let _ends = EndsOnDrop(&ended);
            scope.spawn(|| {
                while let (Some(records), false) = (&records, ended.load(Ordering::SeqCst)) {
                    host.write(records, 1, &self.ledger);
                    std::thread::sleep(Duration::from_millis(5));
                }
            });
            self.strike(site, &mut child, at, times, random)
        });
        line.release();
        line.settle();
        if !killed {
            let said = Said::by(child);
            // 7 would be a cycle that is still running: that of a dead process, as no other runs here.
            assert!(matches!(status, Some(0 | 1 | 4)), "{}: {said:?}", NAMES[site]);
            *lock(&self.tally).ended.entry(status.unwrap_or(-1)).or_default() += 1;
        }
    }

    /// Waits for the moment and kills; returns whether the site was hit, and how it ended otherwise.
    fn strike(
        &self,
        site: usize,
        child: &mut Child,
        at: usize,
        times: &[Duration],
        random: &mut Random,
    ) -> (bool, Option<i32>) {
        let line = &self.lines[site - 1];
        let gap = times.get(at).copied().unwrap_or(AT_THE_END).min(DELAY_MAX);
        // A site whose central was killed waits for a while before it tries again: it is killed there.
        let patience = times.iter().take(at).sum::<Duration>() * 2 + DELAY_MAX * 3;
        let began = now();
        while at > 0 && !line.is_held() && began.elapsed() < patience {
            if let Some(status) = child.try_wait().expect("it is ours") {
                lock(&self.tally).kill("site", "end", false);
                return (false, status.code());
            }
        }
        let (kills_site, kills_central) =
            random.pick(&[(true, false), (true, false), (false, true), (true, true)]).expect("one");
        // A held request reaches nobody before the kill; central can only be hit while it works on an earlier one.
        if kills_central || random.chance(50) {
            line.release();
            std::thread::sleep(random.part_of(gap));
        }
        let (last, _) = line.seen();
        if kills_central {
            self.strike_central(last, random);
        }
        let killed = kills_site && kill(child);
        if kills_site {
            lock(&self.tally).kill("site", last, killed);
        }
        if kills_central {
            if self.database.is_some() {
                std::thread::sleep(random.part_of(HANGS_MAX));
            }
            self.restart_central();
        }
        line.release();
        if killed {
            return (true, None);
        }
        (false, child.wait().expect("it is ours").code())
    }

    /// Kills one of the servers. Where there are several, it may hang instead, or all lose their connections to the database.
    fn strike_central(&self, last: &'static str, random: &mut Random) {
        let at_work = self.lines.iter().any(Line::is_busy) || last == "push, answered";
        let blow = match self.database {
            Some(_) => random.pick(&["killed", "killed", "hung", "cut"]).expect("one"),
            None => "killed",
        };
        let mut central = lock(&self.central);
        if let ("cut", Some(database)) = (blow, &self.database) {
            // Nor a server that starts, which a service manager would start again.
            let _nobody_else = self.uncut.write().expect("nobody panicked");
            let name = database.name();
            database.server().sql(
                "postgres",
                &format!("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '{name}'"),
            );
            lock(&self.tally).kill("connections", last, at_work);
            return;
        }
        let which = random.within(0..central.len());
        let (server, hangs) = &mut central[which];
        // It may be dead already, by the round of the other site.
        match server.take() {
            Some(running) if blow == "hung" => {
                running.signal("-STOP");
                (*server, *hangs) = (Some(running), true);
                lock(&self.tally).kill("hung central", last, at_work);
            }
            Some(running) => {
                assert!(running.kill(), "the server ended by itself");
                *hangs = false;
                lock(&self.tally).kill("central", last, at_work);
            }
            None => {}
        }
    }

    fn restart_central(&self) {
        let db = self.database.as_ref().map_or_else(|| IN_FILE.to_owned(), TestDatabase::address);
        let mut central = lock(&self.central);
        for (server, hangs) in central.iter_mut() {
            let server = server.get_or_insert_with(|| self.desk.serve(&db));
            if std::mem::take(hangs) {
                server.signal("-CONT");
            }
        }
        let addresses = central.iter().filter_map(|(server, _)| server.as_ref());
        let addresses = addresses.map(|server| server.address.trim_start_matches("http://").to_owned()).collect();
        lock(&self.address).servers = addresses;
    }

    fn put(&self, site: usize, writes: &[Write]) -> Child {
        let (db, file) = (format!("{}.sqlite", NAMES[site]), format!("{}.jsonl", NAMES[site]));
        let lines: Vec<&str> = writes.iter().flat_map(|write| &write.content).map(|data| data.as_str()).collect();
        std::fs::write(self.desk.path(&file), lines.join("\n")).expect("a file");
        self.desk.spawn(&["--db", &db, "records", "put", writes[0].table, &file, "--json"])
    }

    /// A call of the program writes records, and is killed in every second round: it must write all or nothing.
    fn put_or_kill(&self, site: usize, host: &mut Host, random: &mut Random, takes: Duration) {
        let writes = host.for_the_program();
        let mut child = self.put(site, &writes);
        if random.chance(50) {
            std::thread::sleep(random.part_of(takes));
            if kill(&mut child) {
                lock(&self.tally).puts += 1;
                lock(&self.ledger).unanswered(site, writes);
                return;
            }
        }
        Said::by(child).ends(0);
        lock(&self.ledger).acknowledged(site, &writes);
    }

    /// Runs cycles until nothing moves any more.
    pub(crate) fn settle(&self) {
        let mut quiet = 0;
        for cycles in 1..=20 {
            let said = Said::by(self.sync(1 + cycles % 2, 0));
            let report = said.json();
            assert!(matches!(said.status, Some(0 | 1)), "{said:?}");
            let moved = ["pushed", "pulled", "integrated", "kept_local"].iter().any(|key| report[key] != 0);
            quiet = if moved || said.status != Some(0) { 0 } else { quiet + 1 };
            if quiet == 2 {
                return;
            }
        }
        panic!("it never comes to rest");
    }

    /// Stops central normally; returns the ledger.
    pub(crate) fn stop(&self) -> Ledger {
        for (server, _) in std::mem::take(&mut *lock(&self.central)) {
            server.expect("it runs").stop().ends(0);
        }
        std::mem::take(&mut lock(&self.ledger))
    }
}

/// Ends the host's writing, also if the test fails.
struct EndsOnDrop<'a>(&'a AtomicBool);

impl Drop for EndsOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[allow(clippy::disallowed_methods, reason = "the moments of kills come from a measured call")]
fn now() -> Instant {
    Instant::now()
}
