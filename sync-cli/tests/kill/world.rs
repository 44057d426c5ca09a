//! Central and two sites as processes, and the rounds.

use std::path::PathBuf;
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

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
    central: Mutex<Option<Server>>,
    address: CentralAddress,
    lines: Vec<Line>,
    ledger: Mutex<Ledger>,
    tally: Mutex<Tally>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nobody panicked")
}

impl World {
    /// Two sites that are set up and have synchronised.
    pub(crate) fn new() -> Self {
        let desk = Desk::new();
        for (site, name) in NAMES.iter().enumerate().skip(1) {
            let central = ["--db", "central.sqlite"];
            desk.run(&[&central[..], &["site", "add", name, "--password-file", "pw"]].concat()).ends(0);
            let store = store(site);
            let add = ["store", "add", name, "--code", name, "--site", name, "--id", &store];
            desk.run(&[&central[..], &add].concat()).ends(0);
        }
        let address = CentralAddress::default();
        let lines = vec![Line::to(address.clone()), Line::to(address.clone())];
        let (ledger, tally) = Default::default();
        let world = Self { desk, central: Mutex::default(), address, lines, ledger, tally };
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
                host.write(&open(&self.path(NAMES[end])), 10, &self.ledger);
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
            let records = open(&self.path(NAMES[CENTRAL]));
            host.write(&records, random.within(1..12), &self.ledger);
            if random.chance(1) {
                host.write_many(&records, &self.ledger);
            }
            drop(records);
            std::thread::sleep(random.part_of(Duration::from_millis(200)));
        }
    }

    /// A host writes, a cycle runs, and a process is killed.
    pub(crate) fn round(&self, site: usize, host: &mut Host, random: &mut Random, unkilled: &Unkilled) {
        let path = self.path(NAMES[site]);
        let records = open(&path);
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
            self.kill_central(last);
        }
        let killed = kills_site && kill(child);
        if kills_site {
            lock(&self.tally).kill("site", last, killed);
        }
        if kills_central {
            self.restart_central();
        }
        line.release();
        if killed {
            return (true, None);
        }
        (false, child.wait().expect("it is ours").code())
    }

    /// Central may be dead already, by the round of the other site.
    fn kill_central(&self, last: &'static str) {
        let at_work = self.lines.iter().any(Line::is_busy) || last == "push, answered";
        let Some(server) = lock(&self.central).take() else { return };
        assert!(server.kill(), "the server ended by itself");
        lock(&self.tally).kill("central", last, at_work);
    }

    fn restart_central(&self) {
        let mut central = lock(&self.central);
        if central.is_none() {
            let server = self.desk.serve("central.sqlite");
            *lock(&self.address) = server.address.trim_start_matches("http://").to_owned();
            *central = Some(server);
        }
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
        let server = lock(&self.central).take().expect("it runs");
        server.stop().ends(0);
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
